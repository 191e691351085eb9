//! Sigstore bundles (sigstore/protobuf-specs, its bundle .proto), read
//! strictly.
//!
//! A member that is unknown, stands there twice or under two names, or two
//! members of which one is allowed, make the bundle unreadable: two clients must
//! not verify two different things in one document.

use carnet_bundle::json;
use serde_json::Value;

use crate::{
    budget, codes, envelope,
    fields::{FieldError, Fields},
    signed::{Content, Form, InclusionProof, LogEntry, Material, Refusal, Signature, Signed},
};

const MEMBERS: &[&str] = &["mediaType", "verificationMaterial", "messageSignature", "dsseEnvelope"];
const MATERIAL: &[&str] = &["publicKey", "x509CertificateChain", "certificate", "tlogEntries", "timestampVerificationData"];
const ENTRY: &[&str] =
    &["logIndex", "logId", "kindVersion", "integratedTime", "inclusionPromise", "inclusionProof", "canonicalizedBody"];
const PROOF: &[&str] = &["logIndex", "rootHash", "treeSize", "hashes", "checkpoint"];

/// Start of the media type of every Sigstore bundle.
const PREFIX: &str = "application/vnd.dev.sigstore.bundle";

/// Reads the JSON of a Sigstore bundle of version 0.1 to 0.3.
pub(crate) fn parse(bytes: &[u8]) -> Result<Signed<'_>, Refusal> {
    if bytes.len() > budget::ENVELOPE {
        return Err(Refusal::new(&codes::EVIDENCE_LIMIT_EXCEEDED, format!("Sigstore bundle of {} bytes", bytes.len())));
    }
    let value = json::parse(bytes).map_err(|e| {
        let reason = e.to_string();
        let ambiguous = reason.contains("duplicate key");
        let code = if ambiguous { &codes::AMBIGUOUS_JSON } else { &codes::EVIDENCE_MALFORMED };
        Refusal::new(code, format!("Sigstore bundle: {reason}"))
    })?;
    let version = version(&value)?;
    let malformed = |e: FieldError| {
        let code = if e.is_limit { &codes::EVIDENCE_LIMIT_EXCEEDED } else { &codes::EVIDENCE_MALFORMED };
        Refusal::new(code, format!("Sigstore bundle: {e}"))
    };
    let signed = read(&value, version, bytes).map_err(malformed)?;
    signed.entries.iter().try_for_each(|entry| check_entry(entry, version))?;
    Ok(signed)
}

/// Whether `value` calls itself a Sigstore bundle.
pub(crate) fn is_bundle(value: &Value) -> bool {
    let media_type = value.get("mediaType").or_else(|| value.get("media_type")).and_then(Value::as_str);
    media_type.is_some_and(|text| text.starts_with(PREFIX)) || value.get("verificationMaterial").is_some()
}

fn version(value: &Value) -> Result<u8, Refusal> {
    let media_type = value.get("mediaType").or_else(|| value.get("media_type"));
    match media_type.and_then(Value::as_str) {
        Some("application/vnd.dev.sigstore.bundle+json;version=0.1") => Ok(1),
        Some("application/vnd.dev.sigstore.bundle+json;version=0.2") => Ok(2),
        Some("application/vnd.dev.sigstore.bundle+json;version=0.3" | "application/vnd.dev.sigstore.bundle.v0.3+json") => Ok(3),
        Some(other) => Err(Refusal::new(&codes::UNSUPPORTED_BUNDLE_VERSION, format!("media type {other:?}"))),
        None => Err(Refusal::new(&codes::EVIDENCE_MALFORMED, "Sigstore bundle: no media type")),
    }
}

fn read<'a>(value: &Value, version: u8, stored: &'a [u8]) -> Result<Signed<'a>, FieldError> {
    let fields = Fields::new(value, "bundle", MEMBERS)?;
    let material = fields.object("verificationMaterial", MATERIAL)?;
    let (content, signature) = content(&fields)?;
    let mut entries = Vec::new();
    for (index, value) in material.list("tlogEntries", budget::LOG_ENTRIES)?.iter().enumerate() {
        entries.push(log_entry(value, &material.path_of(&format!("tlogEntries[{index}]")))?);
    }
    Ok(Signed {
        form: Form::Bundle(version),
        content,
        signature,
        further: Vec::new(),
        material: signer(&material, version)?,
        entries,
        timestamps: timestamps(&material)?,
        stored,
    })
}

fn content<'a>(fields: &Fields<'_>) -> Result<(Content<'a>, Signature), FieldError> {
    match (fields.get("messageSignature"), fields.get("dsseEnvelope")) {
        (None, Some(value)) => {
            let envelope = envelope::read_strict(value, &fields.path_of("dsseEnvelope"))?;
            let content = Content::Envelope { payload_type: envelope.payload_type, payload: envelope.payload };
            Ok((content, envelope.signature))
        }
        (Some(_), None) => {
            let message = fields.object("messageSignature", &["messageDigest", "signature"])?;
            let signature = message.bytes("signature", budget::SIGNATURE)?;
            let digest = match message.get("messageDigest") {
                None => None,
                Some(_) => {
                    let digest = message.object("messageDigest", &["algorithm", "digest"])?;
                    Some((digest.text("algorithm")?.to_owned(), digest.bytes("digest", 64)?))
                }
            };
            Ok((Content::Artifact { digest }, signature.into()))
        }
        _ => Err(fields.error("", "exactly one of messageSignature and dsseEnvelope is wanted".to_owned())),
    }
}

fn signer(material: &Fields<'_>, version: u8) -> Result<Material, FieldError> {
    let set = |name: &str| material.get(name).is_some();
    match (set("publicKey"), set("x509CertificateChain"), set("certificate")) {
        (true, false, false) => {
            let key = material.object("publicKey", &["hint"])?;
            Ok(Material::Key { hint: key.text("hint")?.to_owned() })
        }
        (false, false, true) => {
            let leaf = material.object("certificate", &["rawBytes"])?.bytes("rawBytes", budget::CERTIFICATE)?;
            Ok(Material::Certificate { leaf, chain: Vec::new() })
        }
        (false, true, false) if version < 3 => {
            let list = material.object("x509CertificateChain", &["certificates"])?.list("certificates", budget::CHAIN)?;
            let mut chain = Vec::new();
            for (index, value) in list.iter().enumerate() {
                let path = material.path_of(&format!("x509CertificateChain.certificates[{index}]"));
                chain.push(Fields::new(value, &path, &["rawBytes"])?.bytes("rawBytes", budget::CERTIFICATE)?);
            }
            if chain.is_empty() {
                return Err(material.error("x509CertificateChain", "the chain has no certificate".to_owned()));
            }
            let leaf = chain.remove(0);
            Ok(Material::Certificate { leaf, chain })
        }
        (false, true, false) => {
            Err(material.error("x509CertificateChain", "version 0.3 allows a single certificate only".to_owned()))
        }
        _ => {
            let reason = "exactly one of certificate, x509CertificateChain and publicKey is wanted";
            Err(material.error("", reason.to_owned()))
        }
    }
}

fn timestamps(material: &Fields<'_>) -> Result<Vec<Vec<u8>>, FieldError> {
    if material.get("timestampVerificationData").is_none() {
        return Ok(Vec::new());
    }
    let data = material.object("timestampVerificationData", &["rfc3161Timestamps"])?;
    let mut tokens = Vec::new();
    for (index, value) in data.list("rfc3161Timestamps", budget::TIMESTAMPS)?.iter().enumerate() {
        let path = data.path_of(&format!("rfc3161Timestamps[{index}]"));
        tokens.push(Fields::new(value, &path, &["signedTimestamp"])?.bytes("signedTimestamp", budget::TOKEN)?);
    }
    Ok(tokens)
}

/// Reads a `TransparencyLogEntry`.
pub(crate) fn log_entry(value: &Value, path: &str) -> Result<LogEntry, FieldError> {
    let fields = Fields::new(value, path, ENTRY)?;
    let format = fields.object("kindVersion", &["kind", "version"])?;
    let promise = match fields.get("inclusionPromise") {
        None => None,
        Some(_) => {
            let promise = fields.object("inclusionPromise", &["signedEntryTimestamp"])?;
            Some(promise.bytes("signedEntryTimestamp", budget::SIGNATURE)?)
        }
    };
    Ok(LogEntry {
        log_id: fields.object("logId", &["keyId"])?.hash("keyId")?,
        log_index: fields.unsigned("logIndex")?,
        kind: format.text("kind")?.to_owned(),
        version: format.text("version")?.to_owned(),
        // 0 is how protobuf writes "not set".
        integrated_time: i64::try_from(fields.unsigned("integratedTime")?).ok().filter(|time| *time != 0),
        promise,
        proof: proof(&fields)?,
        body: fields.bytes("canonicalizedBody", budget::ENTRY_BODY)?,
    })
}

fn proof(entry: &Fields<'_>) -> Result<Option<InclusionProof>, FieldError> {
    if entry.get("inclusionProof").is_none() {
        return Ok(None);
    }
    let fields = entry.object("inclusionProof", PROOF)?;
    let mut hashes = Vec::new();
    for (index, value) in fields.list("hashes", budget::PROOF_HASHES)?.iter().enumerate() {
        let name = format!("hashes[{index}]");
        let bytes = value.as_str().and_then(crate::encoding::base64_protojson);
        let hash = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        hashes.push(hash.ok_or_else(|| fields.error(&name, "not the base64 of 32 bytes".to_owned()))?);
    }
    let checkpoint = match fields.get("checkpoint") {
        None => String::new(),
        Some(_) => fields.object("checkpoint", &["envelope"])?.text("envelope")?.to_owned(),
    };
    Ok(Some(InclusionProof {
        log_index: fields.unsigned("logIndex")?,
        root_hash: fields.hash("rootHash")?,
        tree_size: fields.unsigned("treeSize")?,
        hashes,
        checkpoint,
    }))
}

/// Version 0.1 demands the promise; later ones demand the proof with its
/// checkpoint.
fn check_entry(entry: &LogEntry, version: u8) -> Result<(), Refusal> {
    let missing = |what: &str| {
        let message = format!("Sigstore bundle version 0.{version}: log entry {} has no {what}", entry.log_index);
        Err(Refusal::new(&codes::LOG_EVIDENCE_MISSING, message))
    };
    match &entry.proof {
        _ if version == 1 && entry.promise.is_none() => missing("signed entry timestamp"),
        None if version > 1 => missing("inclusion proof"),
        Some(proof) if version > 1 && proof.checkpoint.is_empty() => missing("checkpoint"),
        _ => Ok(()),
    }
}
