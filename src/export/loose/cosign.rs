//! What `cosign attest-blob --bundle` and `sign-blob --bundle` of cosign 1 and 2
//! write, and of cosign 3 when it is told to: `{"base64Signature", "cert",
//! "rekorBundle"}`.
//!
//! The file of an attestation holds the envelope and with it the statement that
//! names its subjects. That of a signature does not hold what was signed: the payload
//! is given as another file, or it is one that cosign writes for an image at hand.
//! Either becomes the manifest that cosign stores at a registry, so one verifier
//! reads both.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use carnet_bundle::{
    Descriptor, Digest, Reference,
    inventory::EvidenceKind,
    json::{self, JsonError},
    media,
};
use serde_json::{Value, json};

const SIGNATURE: &str = "base64Signature";
const CERTIFICATE: &str = "cert";
const LOG_ENTRY: &str = "rekorBundle";
/// What cosign calls a signature that is stored as a referrer.
const SIGNATURE_ARTIFACT: &str = "application/vnd.dev.cosign.artifact.sig.v1+json";
const PAYLOAD_TYPE: &str = "cosign container image signature";

/// One such file.
pub(super) struct Signed {
    content: Content,
    annotations: BTreeMap<&'static str, String>,
}

enum Content {
    Envelope(Vec<u8>),
    /// A signature, and the digest of what was signed where a log entry says it.
    Signature(Option<Digest>),
}

/// A manifest with one layer.
pub(super) struct Stored {
    pub(super) kind: EvidenceKind,
    pub(super) manifest: Vec<u8>,
}

/// Whether a document is such a file, good or not.
pub(super) fn is_signed(document: &Value) -> bool {
    document.get(SIGNATURE).is_some()
}

/// The image that a simple-signing payload names, if the document is one.
pub(super) fn payload_subject(document: &Value) -> Option<Digest> {
    let is_one = document.pointer("/critical/type").and_then(Value::as_str) == Some(PAYLOAD_TYPE);
    document.pointer("/critical/image/docker-manifest-digest").and_then(Value::as_str).filter(|_| is_one)?.parse().ok()
}

/// Payloads that cosign writes for an image in a repository: by its name, as newer and
/// older versions say it, or by none.
pub(super) fn payloads(image: &Digest, reference: &str) -> Vec<Vec<u8>> {
    let mut names = vec![String::new(), reference.to_owned()];
    if let Ok(parsed) = reference.parse::<Reference>() {
        // The library under cosign has its own name for Docker Hub.
        let hub = parsed.name().strip_prefix("docker.io/").map(|rest| format!("index.docker.io/{rest}"));
        for name in [Some(parsed.name()), hub].into_iter().flatten() {
            names.extend(parsed.tag().map(|tag| format!("{name}:{tag}")));
            names.push(format!("{name}@{image}"));
            names.push(name);
        }
    }
    let payload = |name: String| {
        let name = Value::from(name);
        format!(
            r#"{{"critical":{{"identity":{{"docker-reference":{name}}},"image":{{"docker-manifest-digest":"{image}"}},"type":"{PAYLOAD_TYPE}"}},"optional":null}}"#
        )
        .into_bytes()
    };
    names.into_iter().map(payload).collect()
}

/// Payload of the signature that has no log entry: what cosign writes today.
pub(super) fn usual_payload(image: &Digest, reference: &str) -> Vec<u8> {
    payloads(image, reference).pop().unwrap_or_default()
}

impl Signed {
    /// Reads such a file.
    pub(super) fn parse(document: &Value) -> Result<Self, String> {
        let members = document.as_object().ok_or("not an object")?;
        if let Some(other) = members.keys().find(|key| ![SIGNATURE, CERTIFICATE, LOG_ENTRY].contains(&key.as_str())) {
            return Err(format!("a bundle of cosign 1 or 2 with the unknown member {other:?}"));
        }
        let signature = document.get(SIGNATURE).and_then(Value::as_str).unwrap_or_default();
        let bytes = STANDARD.decode(signature).ok().filter(|bytes| !bytes.is_empty());
        let bytes = bytes.ok_or_else(|| format!("{SIGNATURE} is not the base64 of a signature"))?;
        let mut annotations = BTreeMap::new();
        if let Some(pem) = certificate(document)? {
            annotations.insert("dev.sigstore.cosign/certificate", pem);
        }
        let entry = document.get(LOG_ENTRY).filter(|entry| !entry.is_null());
        if let Some(entry) = entry {
            annotations.insert("dev.sigstore.cosign/bundle", entry.to_string());
        }
        let is_envelope = json::parse(&bytes).is_ok_and(|value| value.get("payload").is_some());
        let content = match is_envelope {
            true => Content::Envelope(bytes),
            false => Content::Signature(entry.map(logged_digest).transpose()?),
        };
        let signature = if is_envelope { String::new() } else { signature.to_owned() };
        annotations.insert("dev.cosignproject.cosign/signature", signature);
        Ok(Self { content, annotations })
    }

    /// The envelope, unless it is a signature over bytes that are elsewhere.
    pub(super) fn envelope(&self) -> Option<&[u8]> {
        match &self.content {
            Content::Envelope(bytes) => Some(bytes),
            Content::Signature(_) => None,
        }
    }

    /// Digest of what was signed, as far as the file says it.
    pub(super) fn logged(&self) -> Option<&Digest> {
        match &self.content {
            Content::Signature(logged) => logged.as_ref(),
            Content::Envelope(_) => None,
        }
    }

    /// The manifest about `subject`; `layer` is the envelope, or what was signed.
    pub(super) fn store(&self, subject: &Descriptor, layer: &[u8], predicate_type: &str) -> Result<Stored, JsonError> {
        let (kind, artifact_type, media_type) = match &self.content {
            Content::Envelope(_) => (EvidenceKind::Dsse, media::DSSE_ENVELOPE, media::DSSE_ENVELOPE),
            Content::Signature(_) => (EvidenceKind::Simplesigning, SIGNATURE_ARTIFACT, media::SIMPLE_SIGNING),
        };
        let mut annotations = self.annotations.clone();
        if !predicate_type.is_empty() {
            annotations.insert("predicateType", predicate_type.to_owned());
        }
        let describe =
            |media_type: &str, bytes: &[u8]| json!({ "mediaType": media_type, "digest": Digest::of(bytes), "size": bytes.len() });
        let mut described = describe(media_type, layer);
        described["annotations"] = json!(annotations);
        let manifest = json::canonical_value(json!({
            "schemaVersion": 2,
            "mediaType": media::OCI_MANIFEST,
            "artifactType": artifact_type,
            "config": describe(media::OCI_EMPTY, media::EMPTY_JSON),
            "layers": [described],
            "subject": { "mediaType": subject.media_type, "digest": subject.digest, "size": subject.size },
        }))?;
        Ok(Stored { kind, manifest })
    }
}

/// The certificate as PEM. cosign puts the public key into the same place when it
/// signs with one; the verifier has its own.
fn certificate(document: &Value) -> Result<Option<String>, String> {
    let text = match document.get(CERTIFICATE) {
        None | Some(Value::Null) => return Ok(None),
        Some(value) => value.as_str().ok_or_else(|| format!("{CERTIFICATE} is not a text"))?,
    };
    let decoded = STANDARD.decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let pem = decoded.unwrap_or_else(|| text.to_owned());
    match pem.trim_start() {
        "" => Ok(None),
        start if start.starts_with("-----BEGIN CERTIFICATE-----") => Ok(Some(pem)),
        start if start.starts_with("-----BEGIN PUBLIC KEY-----") => Ok(None),
        _ => Err(format!("{CERTIFICATE} is neither a certificate nor a public key in PEM")),
    }
}

/// Digest of what was signed, in the log entry of a signature (`hashedrekord`).
fn logged_digest(entry: &Value) -> Result<Digest, String> {
    let body = entry.pointer("/Payload/body").and_then(Value::as_str).and_then(|text| STANDARD.decode(text).ok());
    let body = body.and_then(|bytes| json::parse(&bytes).ok()).ok_or_else(|| format!("{LOG_ENTRY} holds no log entry"))?;
    let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let hash = Digest::from_hex(text("/spec/data/hash/value")).ok();
    let is_sha256 = text("/kind") == "hashedrekord" && text("/spec/data/hash/algorithm") == "sha256";
    hash.filter(|_| is_sha256).ok_or_else(|| format!("{LOG_ENTRY} is not the entry of a signature over a SHA-256"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(cert: &str, entry: &Value) -> Value {
        json!({ SIGNATURE: STANDARD.encode("signature"), CERTIFICATE: STANDARD.encode(cert), LOG_ENTRY: entry })
    }

    fn entry(kind: &str, algorithm: &str) -> Value {
        let hash = json!({ "algorithm": algorithm, "value": Digest::of(b"payload").to_hex() });
        let body = json!({ "kind": kind, "spec": { "data": { "hash": hash } } });
        json!({ "Payload": { "body": STANDARD.encode(body.to_string()) } })
    }

    #[test]
    fn a_signature_is_read_with_what_vouches_for_it() {
        let certificate = "-----BEGIN CERTIFICATE-----\nx\n";
        let signed = Signed::parse(&file(certificate, &entry("hashedrekord", "sha256"))).unwrap();
        assert_eq!(signed.logged(), Some(&Digest::of(b"payload")));
        assert_eq!(signed.annotations["dev.sigstore.cosign/certificate"], certificate);
        let with_key = Signed::parse(&file("-----BEGIN PUBLIC KEY-----\nx\n", &Value::Null)).unwrap();
        assert_eq!(with_key.annotations.keys().collect::<Vec<_>>(), [&"dev.cosignproject.cosign/signature"]);
        assert!(with_key.logged().is_none() && with_key.envelope().is_none());
    }

    #[test]
    fn what_cannot_be_kept_whole_is_refused() {
        for (document, reason) in [
            (json!({ SIGNATURE: "" }), "not the base64"),
            (json!({ SIGNATURE: "?" }), "not the base64"),
            (json!({ SIGNATURE: "eA==", "timestamp": "" }), "unknown member \"timestamp\""),
            (json!({ SIGNATURE: "eA==", CERTIFICATE: 1 }), "cert is not a text"),
            (file("-----BEGIN EC PRIVATE KEY-----", &Value::Null), "neither a certificate nor"),
            (file("", &json!({})), "no log entry"),
            (file("", &entry("intoto", "sha256")), "not the entry of a signature"),
            (file("", &entry("hashedrekord", "sha512")), "not the entry of a signature"),
        ] {
            let refused = Signed::parse(&document).err().unwrap_or_default();
            assert!(refused.contains(reason), "{document}: {refused}");
        }
    }

    #[test]
    fn payloads_have_the_bytes_of_cosign() {
        let image = Digest::of(b"image");
        let names = |reference: &str| -> Vec<String> {
            let name = |bytes: &Vec<u8>| json::parse(bytes).unwrap().pointer("/critical/identity/docker-reference").cloned();
            payloads(&image, reference).iter().map(|bytes| name(bytes).unwrap().as_str().unwrap().to_owned()).collect()
        };
        assert!(names("r.example/app:v1").contains(&"r.example/app".to_owned()));
        assert!(names("r.example/app:v1").contains(&"r.example/app:v1".to_owned()));
        assert!(names("alpine").contains(&"index.docker.io/library/alpine".to_owned()));
        let usual = usual_payload(&image, "r.example/app:v1");
        let want = format!(
            r#"{{"critical":{{"identity":{{"docker-reference":"r.example/app"}},"image":{{"docker-manifest-digest":"{image}"}},"type":"cosign container image signature"}},"optional":null}}"#
        );
        assert_eq!(String::from_utf8(usual.clone()).unwrap(), want);
        assert_eq!(payload_subject(&json::parse(&usual).unwrap()), Some(image));
        assert_eq!(payload_subject(&json!({ "critical": {} })), None);
    }
}
