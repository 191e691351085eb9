//! `carnet trust create`: a trusted_root.json of PEM files, as
//! `cosign trusted-root create` makes it.

use std::path::{Path, PathBuf};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use carnet_bundle::{Digest, Limits};
use carnet_evidence::{KeyAlgorithm, PublicKey, TrustRoot};
use clap::Args;
use jiff::Timestamp;
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use serde_json::{Map, Value, json};
use x509_cert::{
    Certificate,
    der::{Decode as _, oid::ObjectIdentifier},
    name::Name,
};

use crate::{
    documents,
    error::ExportError,
    trust::{validate, write},
};

const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.trustedroot+json;version=0.1";
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
const ORGANIZATION: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.10");

/// Makes a trusted_root.json of keys and certificates in PEM files.
///
/// Each service is a list of `key=value`, separated by commas: url, start-time and
/// end-time (RFC 3339) for all; public-key (a file) for logs; certificate-chain (a
/// file, the root last) for authorities; origin for logs of Rekor version 2.
#[derive(Args, Clone, Debug)]
pub(super) struct CreateArgs {
    /// Certificate authority: url=URL,certificate-chain=FILE; may be repeated
    #[arg(long, value_name = "SERVICE")]
    fulcio: Vec<String>,

    /// Transparency log: url=URL,public-key=FILE,start-time=TIME; may be repeated
    #[arg(long, value_name = "SERVICE")]
    rekor: Vec<String>,

    /// Certificate transparency log: url=URL,public-key=FILE,start-time=TIME; may be repeated
    #[arg(long, value_name = "SERVICE")]
    ctfe: Vec<String>,

    /// Timestamp authority: url=URL,certificate-chain=FILE; may be repeated
    #[arg(long, value_name = "SERVICE")]
    tsa: Vec<String>,

    /// Start from the services of the public Sigstore instance
    #[arg(long)]
    with_default_services: bool,

    /// Write to this file instead of standard output
    #[arg(short, long, visible_alias = "out", value_name = "FILE")]
    output_file: Option<PathBuf>,
}

pub(super) fn run(args: &CreateArgs) -> Result<(), ExportError> {
    let mut root = json!({
        "mediaType": MEDIA_TYPE, "tlogs": [], "certificateAuthorities": [], "ctlogs": [], "timestampAuthorities": [],
    });
    if args.with_default_services {
        root = serde_json::from_slice(TrustRoot::public_good_bytes()).unwrap_or(root);
    }
    let mut made = 0;
    let lists: [(&str, &[String], Make); 4] = [
        ("tlogs", &args.rekor, log),
        ("ctlogs", &args.ctfe, log),
        ("certificateAuthorities", &args.fulcio, authority),
        ("timestampAuthorities", &args.tsa, authority),
    ];
    for (list, services, make) in lists {
        for text in services {
            let service = Service::parse(text)?;
            let entry = make(&service)?;
            if let Some(Value::Array(entries)) = root.get_mut(list) {
                entries.push(entry);
                made += 1;
            }
        }
    }
    if made == 0 && !args.with_default_services {
        return Err(ExportError::Service { text: String::new(), reason: "no service was named".to_owned() });
    }
    let mut bytes = serde_json::to_vec_pretty(&root).unwrap_or_default();
    bytes.push(b'\n');
    let path = args.output_file.as_deref();
    validate(path.unwrap_or(Path::new("the new trusted root")), &bytes)?;
    write(path, &bytes)
}

type Make = fn(&Service<'_>) -> Result<Value, ExportError>;

/// One value of a flag.
struct Service<'a> {
    text: &'a str,
    fields: Vec<(&'a str, &'a str)>,
}

impl<'a> Service<'a> {
    const KEYS: [&'static str; 6] = ["certificate-chain", "end-time", "origin", "public-key", "start-time", "url"];

    fn parse(text: &'a str) -> Result<Self, ExportError> {
        let error = |reason: String| ExportError::Service { text: text.to_owned(), reason };
        let mut fields: Vec<(&str, &str)> = Vec::new();
        for field in text.split(',') {
            let (key, value) = field.split_once('=').ok_or_else(|| error(format!("want key=value, got {field:?}")))?;
            if !Self::KEYS.contains(&key) || fields.iter().any(|(have, _)| *have == key) {
                return Err(error(format!("unknown key, or one that stands twice: {key}")));
            }
            fields.push((key, value));
        }
        Ok(Self { text, fields })
    }

    fn find(&self, key: &str) -> Option<&'a str> {
        self.fields.iter().find(|(have, _)| *have == key).map(|(_, value)| *value)
    }

    fn want(&self, key: &str) -> Result<&'a str, ExportError> {
        self.find(key).ok_or_else(|| self.error(format!("{key} is missing")))
    }

    fn error(&self, reason: impl Into<String>) -> ExportError {
        ExportError::Service { text: self.text.to_owned(), reason: reason.into() }
    }

    fn read(&self, key: &str) -> Result<Vec<u8>, ExportError> {
        documents::read_up_to(Path::new(self.want(key)?), Limits::default().manifest_size)
    }

    /// The window, with `start` unless one is given.
    fn window(&self, start: Option<Timestamp>) -> Result<Value, ExportError> {
        let time = |text: &str| text.parse::<Timestamp>().map_err(|error| self.error(format!("{text}: {error}")));
        let start = self.find("start-time").map(time).transpose()?.or(start);
        let start = start.ok_or_else(|| self.error("start-time is missing"))?;
        let mut window = Map::from_iter([("start".to_owned(), Value::from(start.to_string()))]);
        if let Some(end) = self.find("end-time").map(time).transpose()? {
            window.insert("end".to_owned(), end.to_string().into());
        }
        Ok(window.into())
    }
}

fn log(service: &Service<'_>) -> Result<Value, ExportError> {
    let url = service.want("url")?;
    let pem = service.read("public-key")?;
    let key = PublicKey::from_pem(&pem).map_err(|error| service.error(error.to_string()))?;
    let id = match service.find("origin") {
        Some(origin) => {
            checkpoint_key_id(origin, &key).ok_or_else(|| service.error("a log with an origin has an Ed25519 key"))?
        }
        None => Digest::of(key.as_der()),
    };
    Ok(json!({
        "baseUrl": url,
        "hashAlgorithm": "SHA2_256",
        "publicKey": {
            "rawBytes": STANDARD.encode(key.as_der()),
            "keyDetails": key_details(&key),
            "validFor": service.window(None)?,
        },
        "logId": { "keyId": STANDARD.encode(id.as_bytes()) },
    }))
}

/// Key id of a log of Rekor version 2, not cut off (c2sp.org/signed-note).
fn checkpoint_key_id(origin: &str, key: &PublicKey) -> Option<Digest> {
    if key.algorithm() != KeyAlgorithm::Ed25519 {
        return None;
    }
    let raw = key.as_der().last_chunk::<32>()?;
    Some(Digest::of(&[origin.as_bytes(), b"\n\x01", raw].concat()))
}

fn key_details(key: &PublicKey) -> &'static str {
    match key.algorithm() {
        KeyAlgorithm::EcdsaP256 => "PKIX_ECDSA_P256_SHA_256",
        KeyAlgorithm::EcdsaP384 => "PKIX_ECDSA_P384_SHA_384",
        KeyAlgorithm::Ed25519 => "PKIX_ED25519",
        // By the length of the SubjectPublicKeyInfo.
        _ => match key.as_der().len() {
            0..350 => "PKIX_RSA_PKCS1V15_2048_SHA256",
            350..480 => "PKIX_RSA_PKCS1V15_3072_SHA256",
            _ => "PKIX_RSA_PKCS1V15_4096_SHA256",
        },
    }
}

fn authority(service: &Service<'_>) -> Result<Value, ExportError> {
    let url = service.want("url")?;
    let pem = service.read("certificate-chain")?;
    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>().map_err(|e| service.error(e.to_string()))?;
    let parse = |der: &CertificateDer<'_>| Certificate::from_der(der).map_err(|e| service.error(e.to_string()));
    let (Some(first), Some(last)) = (chain.first(), chain.last()) else {
        return Err(service.error("the file of the chain has no certificate"));
    };
    let subject = parse(last)?.tbs_certificate.subject;
    let start = parse(first)?.tbs_certificate.validity.not_before.to_unix_duration().as_secs();
    let start = i64::try_from(start).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    let certificates: Vec<_> = chain.iter().map(|der| json!({ "rawBytes": STANDARD.encode(der) })).collect();
    Ok(json!({
        "subject": { "organization": part(&subject, ORGANIZATION), "commonName": part(&subject, COMMON_NAME) },
        "uri": url,
        "certChain": { "certificates": certificates },
        "validFor": service.window(start)?,
    }))
}

/// One attribute of a distinguished name.
pub(super) fn part(name: &Name, attribute: ObjectIdentifier) -> String {
    let mut attributes = name.0.iter().flat_map(|set| set.0.iter());
    let found = attributes.find(|found| found.oid == attribute);
    found.map_or_else(String::new, |found| String::from_utf8_lossy(found.value.value()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_lists_of_known_keys() {
        let service = Service::parse("url=https://x,start-time=2026-01-01T00:00:00Z").unwrap();
        assert_eq!(service.find("url"), Some("https://x"));
        assert_eq!(service.window(None).unwrap().to_string(), r#"{"start":"2026-01-01T00:00:00Z"}"#);
        for text in ["", "url", "url=a,url=b", "uri=x"] {
            assert!(Service::parse(text).is_err(), "{text}");
        }
        assert!(Service::parse("url=x").unwrap().window(None).is_err());
    }
}
