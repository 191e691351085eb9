//! Reads `trusted_root.json` (sigstore/protobuf-specs, its trust root .proto).

use std::sync::Arc;

use carnet_bundle::{Digest, json};
use jiff::Timestamp;
use ring::digest::{SHA256, digest};
use serde_json::Value;

use super::{Log, TrustRoot, TrustRootError, TrustSource, Window};
use crate::{
    budget,
    certificate::{Certificate, CertificateError},
    chain::Authority,
    encoding::to_base64,
    fields::{FieldError, Fields},
    public_key::{KeyAlgorithm, KeyError, PublicKey},
    trust_policy::WithoutWindow,
};

const MEDIA_TYPES: &[&str] = &[
    "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
    "application/vnd.dev.sigstore.trustedroot.v0.1+json",
    "application/vnd.dev.sigstore.trustedroot.v0.2+json",
];
const MEMBERS: &[&str] = &["mediaType", "tlogs", "certificateAuthorities", "ctlogs", "timestampAuthorities"];
const LOG: &[&str] = &["baseUrl", "hashAlgorithm", "publicKey", "logId", "checkpointKeyId", "operator"];
const AUTHORITY: &[&str] = &["subject", "uri", "certChain", "validFor", "operator"];
/// More of one sort than any instance has.
const ELEMENTS: usize = 256;

/// The uses of a log key: the two sorts compute their id differently.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Use {
    Certificates,
    Entries,
}

pub(super) fn parse(bytes: &[u8], source: TrustSource, open: WithoutWindow) -> Result<TrustRoot, TrustRootError> {
    if bytes.len() > budget::TRUST_ROOT {
        return Err(TrustRootError::Malformed(format!("longer than {} bytes", budget::TRUST_ROOT)));
    }
    let value = json::parse(bytes).map_err(|e| TrustRootError::Malformed(e.to_string()))?;
    let fields = Fields::new(&value, "trusted root", MEMBERS)?;
    let media_type = fields.text("mediaType")?;
    if !MEDIA_TYPES.contains(&media_type) {
        return Err(TrustRootError::MediaType(media_type.to_owned()));
    }
    let mut skipped = Vec::new();
    Ok(TrustRoot {
        source,
        digest: Digest::of(bytes),
        media_type: media_type.to_owned(),
        logs: logs(&fields, "tlogs", Use::Entries, &mut skipped)?,
        ct_logs: logs(&fields, "ctlogs", Use::Certificates, &mut skipped)?,
        authorities: authorities(&fields, "certificateAuthorities", open, &mut skipped)?,
        timestamp_authorities: authorities(&fields, "timestampAuthorities", open, &mut skipped)?,
        skipped,
        memo: Arc::default(),
    })
}

fn logs(root: &Fields<'_>, name: &str, usage: Use, skipped: &mut Vec<String>) -> Result<Vec<Log>, TrustRootError> {
    let mut logs: Vec<Log> = Vec::new();
    for (index, value) in root.list(name, ELEMENTS)?.iter().enumerate() {
        let at = format!("{name}[{index}]");
        let fields = Fields::new(value, &at, LOG)?;
        if !matches!(fields.text("hashAlgorithm")?, "SHA2_256" | "HASH_ALGORITHM_UNSPECIFIED" | "") {
            return Err(fields.error("hashAlgorithm", "only SHA2_256 trees are read".to_owned()).into());
        }
        let key_fields = fields.object("publicKey", &["rawBytes", "keyDetails", "validFor"])?;
        let window = window(&key_fields, &at)?;
        if window.start.is_none() {
            return Err(TrustRootError::Window { at, reason: "the key of a log must say from when it is valid".to_owned() });
        }
        let raw = key_fields.bytes("rawBytes", budget::CERTIFICATE)?;
        let key = match read_key(&raw, key_fields.text("keyDetails")?) {
            Ok(key) => key,
            Err(KeyError::Unsupported(algorithm)) => {
                skipped.push(format!("{at}: unsupported key algorithm {algorithm}"));
                continue;
            }
            Err(e) => return Err(TrustRootError::Key { at, reason: e.to_string() }),
        };
        let id = fields.object("logId", &["keyId"])?.hash("keyId")?;
        let log = Log { base_url: fields.text("baseUrl")?.to_owned(), id, key, window };
        check_id(&log, usage, &at)?;
        check_checkpoint_id(&fields, &log, &at)?;
        add(&mut logs, log, &at)?;
    }
    Ok(logs)
}

fn read_key(raw: &[u8], details: &str) -> Result<PublicKey, KeyError> {
    match details {
        // The bytes are PKCS #1, not a SubjectPublicKeyInfo.
        "PKCS1_RSA_PKCS1V5" | "PKCS1_RSA_PSS" => PublicKey::from_pkcs1(raw),
        _ => PublicKey::from_der(raw),
    }
}

/// The id is recomputed: an id that is free to choose could point entries of one
/// log at the key of another.
fn check_id(log: &Log, usage: Use, at: &str) -> Result<(), TrustRootError> {
    let plain = sha256(&[log.key.as_der()]);
    let ed25519 = log.key.algorithm() == KeyAlgorithm::Ed25519 && usage == Use::Entries;
    let note_id = log.host().filter(|_| ed25519).map(|host| note_key_id(host, &log.key));
    // Some files name the host without the port that the URL has.
    let bare = log.host().and_then(|host| host.split(':').next()).filter(|_| ed25519);
    let bare_id = bare.map(|host| note_key_id(host, &log.key));
    if [Some(plain), note_id, bare_id].contains(&Some(log.id)) {
        return Ok(());
    }
    Err(TrustRootError::KeyId { at: at.to_owned(), file: to_base64(&log.id), computed: to_base64(&note_id.unwrap_or(plain)) })
}

/// Version 0.2 repeats the id of the checkpoint key.
fn check_checkpoint_id(fields: &Fields<'_>, log: &Log, at: &str) -> Result<(), TrustRootError> {
    if fields.get("checkpointKeyId").is_none() {
        return Ok(());
    }
    let given = fields.object("checkpointKeyId", &["keyId"])?.bytes("keyId", 32)?;
    if given.len() >= 4 && log.id.starts_with(&given) {
        return Ok(());
    }
    Err(TrustRootError::KeyId { at: at.to_owned(), file: to_base64(&given), computed: to_base64(&log.id) })
}

/// c2sp.org/signed-note: SHA-256 of name, newline, algorithm byte and key.
fn note_key_id(name: &str, key: &PublicKey) -> [u8; 32] {
    sha256(&[name.as_bytes(), &[b'\n', 1], key.raw()])
}

fn add(logs: &mut Vec<Log>, log: Log, at: &str) -> Result<(), TrustRootError> {
    match logs.iter().find(|other| other.id == log.id) {
        None => logs.push(log),
        Some(other) if other.key == log.key && other.window == log.window && other.base_url == log.base_url => {}
        Some(_) => return Err(TrustRootError::Duplicate { at: at.to_owned(), id: to_base64(&log.id) }),
    }
    Ok(())
}

fn authorities(
    root: &Fields<'_>,
    name: &str,
    open: WithoutWindow,
    skipped: &mut Vec<String>,
) -> Result<Vec<Authority>, TrustRootError> {
    let mut authorities = Vec::new();
    for (index, value) in root.list(name, ELEMENTS)?.iter().enumerate() {
        let at = format!("{name}[{index}]");
        let fields = Fields::new(value, &at, AUTHORITY)?;
        let window = window(&fields, &at)?;
        if window.start.is_none() && open == WithoutWindow::Refuse {
            return Err(TrustRootError::Window { at, reason: "an authority must say from when it is valid".to_owned() });
        }
        let list = fields.object("certChain", &["certificates"])?.list("certificates", budget::CHAIN)?;
        let mut chain = Vec::new();
        for (place, value) in list.iter().enumerate() {
            let path = format!("{at}.certChain.certificates[{place}]");
            chain.push(Fields::new(value, &path, &["rawBytes"])?.bytes("rawBytes", budget::CERTIFICATE)?);
        }
        let uri = fields.text("uri")?;
        match authority(uri, &chain, window) {
            Ok(authority) if name == "certificateAuthorities" && !authority.chain.iter().all(Certificate::is_authority) => {
                let reason = "a certificate of the chain may not issue certificates".to_owned();
                return Err(TrustRootError::Authority { at, reason });
            }
            Ok(authority) => authorities.push(authority),
            Err(Unusable::Algorithm(reason)) => skipped.push(format!("{at}: {reason}")),
            Err(Unusable::Unsound(reason)) => return Err(TrustRootError::Authority { at, reason }),
        }
    }
    Ok(authorities)
}

/// Why a chain is no authority.
pub(super) enum Unusable {
    /// It may be sound, but carnet does not know its algorithm.
    Algorithm(String),
    /// It is not sound.
    Unsound(String),
}

/// Makes an authority of a chain: each certificate is issued by the next one, the
/// last one by itself.
pub(super) fn authority(uri: &str, chain: &[Vec<u8>], window: Window) -> Result<Authority, Unusable> {
    let unsound = |reason: &str| Unusable::Unsound(reason.to_owned());
    let mut certificates = Vec::new();
    for der in chain {
        certificates.push(Certificate::parse(der).map_err(|e| match e {
            CertificateError::Key(KeyError::Unsupported(algorithm)) => {
                Unusable::Algorithm(format!("unsupported key algorithm {algorithm}"))
            }
            other => Unusable::Unsound(other.to_string()),
        })?);
    }
    let anchor = certificates.last().ok_or_else(|| unsound("the chain has no certificate"))?;
    if !anchor.is_self_issued() || !anchor.is_issued_by(anchor) {
        return Err(unsound("the last certificate of the chain is not a self-signed root: an intermediate is no anchor"));
    }
    if !anchor.is_authority() {
        return Err(unsound("the root of the chain may not issue certificates"));
    }
    for pair in certificates.windows(2) {
        if let [subject, issuer] = pair
            && !subject.is_issued_by(issuer)
        {
            return Err(unsound("a certificate of the chain is not issued by the one after it"));
        }
    }
    let name = if uri.is_empty() { anchor.subject() } else { uri.to_owned() };
    Ok(Authority { name, chain: certificates, window })
}

fn window(fields: &Fields<'_>, at: &str) -> Result<Window, TrustRootError> {
    let Some(value) = fields.get("validFor") else { return Ok(Window::OPEN) };
    let fields = Fields::new(value, &fields.path_of("validFor"), &["start", "end"])?;
    let window = Window { start: time(&fields, "start")?, end: time(&fields, "end")? };
    if let (Some(start), Some(end)) = (window.start, window.end)
        && end < start
    {
        return Err(TrustRootError::Window { at: at.to_owned(), reason: format!("ends at {end} before it starts at {start}") });
    }
    Ok(window)
}

fn time(fields: &Fields<'_>, name: &str) -> Result<Option<Timestamp>, TrustRootError> {
    match fields.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => {
            text.parse().map(Some).map_err(|e| fields.error(name, format!("not an RFC 3339 time: {e}")).into())
        }
        Some(_) => Err(fields.error(name, "not a text".to_owned()).into()),
    }
}

fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest(&SHA256, &parts.concat()).as_ref());
    bytes
}

impl From<FieldError> for TrustRootError {
    fn from(error: FieldError) -> Self {
        Self::Malformed(error.to_string())
    }
}
