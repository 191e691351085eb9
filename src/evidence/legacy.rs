//! Signatures and attestations as cosign 1 and 2 store them: a layer, and what
//! vouches for it in the annotations of the layer's descriptor.
//!
//! Annotations are not covered by any signature; everything in them is input to
//! verification. Follows cosign's `specs/SIGNATURE_SPEC.md` and
//! `specs/BUNDLE_SPEC.md`; where decoders differ, the strict reading of
//! containers/image is taken.

use std::{borrow::Cow, collections::BTreeMap};

use carnet_bundle::json;
use serde_json::Value;

use crate::{
    budget, codes, encoding,
    encoding::PemKind,
    entry_body, envelope,
    fields::{FieldError, Fields},
    signed::{Content, Form, LogEntry, Material, Refusal, Signed},
};

/// Annotation: base64 of the signature; empty for attestations.
pub(crate) const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
const CERTIFICATE: &str = "dev.sigstore.cosign/certificate";
const CHAIN: &str = "dev.sigstore.cosign/chain";
const BUNDLE: &str = "dev.sigstore.cosign/bundle";
const TIMESTAMP: &str = "dev.sigstore.cosign/rfc3161timestamp";

/// Reads a layer of a `.sig` image.
pub(crate) fn read_signature<'a>(blob: &'a [u8], annotations: &BTreeMap<String, String>) -> Result<Signed<'a>, Refusal> {
    let text = annotations.get(SIGNATURE).map_or("", String::as_str);
    let signature = encoding::base64_standard(text).filter(|bytes| !bytes.is_empty());
    let signature = signature.ok_or_else(|| malformed(SIGNATURE, "not the base64 of a signature"))?;
    within(SIGNATURE, signature.len(), budget::SIGNATURE, "bytes")?;
    Ok(Signed {
        form: Form::LegacySignature,
        content: Content::SimpleSigning { payload: Cow::Borrowed(blob) },
        signature: signature.into(),
        further: Vec::new(),
        material: material(annotations)?,
        entries: log_entry(annotations)?.into_iter().collect(),
        timestamps: timestamp(annotations)?.into_iter().collect(),
        stored: blob,
    })
}

/// Reads a layer of a `.att` image.
pub(crate) fn read_attestation<'a>(blob: &'a [u8], annotations: &BTreeMap<String, String>) -> Result<Signed<'a>, Refusal> {
    let envelope = envelope::parse(blob)?;
    Ok(Signed {
        form: Form::LegacyAttestation,
        content: Content::Envelope { payload_type: envelope.payload_type, payload: envelope.payload },
        signature: envelope.signature,
        further: envelope.further,
        material: material(annotations)?,
        entries: log_entry(annotations)?.into_iter().collect(),
        timestamps: timestamp(annotations)?.into_iter().collect(),
        stored: blob,
    })
}

/// Reads a DSSE envelope that came as a file, without anything that vouches for it.
pub(crate) fn read_bare_envelope(bytes: &[u8]) -> Result<Signed<'_>, Refusal> {
    Ok(Signed { form: Form::BareEnvelope, ..read_attestation(bytes, &BTreeMap::new())? })
}

fn material(annotations: &BTreeMap<String, String>) -> Result<Material, Refusal> {
    let Some(pem) = set(annotations, CERTIFICATE) else {
        return Ok(Material::Key { hint: String::new() });
    };
    let Some((PemKind::Certificate, leaf)) = encoding::pem_single(pem.as_bytes()) else {
        return Err(malformed(CERTIFICATE, "not one PEM certificate"));
    };
    within(CERTIFICATE, leaf.len(), budget::CERTIFICATE, "bytes")?;
    let mut chain = Vec::new();
    if let Some(pem) = set(annotations, CHAIN) {
        let sections = encoding::pem_sections(pem.as_bytes()).unwrap_or_default();
        if sections.is_empty() || sections.iter().any(|(kind, _)| *kind != PemKind::Certificate) {
            return Err(malformed(CHAIN, "not a list of PEM certificates"));
        }
        within(CHAIN, sections.len(), budget::CHAIN, "certificates")?;
        within(CHAIN, sections.iter().map(|(_, der)| der.len()).max().unwrap_or(0), budget::CERTIFICATE, "bytes of one")?;
        chain = sections.into_iter().map(|(_, der)| der).collect();
    }
    Ok(Material::Certificate { leaf, chain })
}

fn log_entry(annotations: &BTreeMap<String, String>) -> Result<Option<LogEntry>, Refusal> {
    let Some(text) = set(annotations, BUNDLE) else { return Ok(None) };
    let value = json::parse(text.as_bytes()).map_err(|e| malformed(BUNDLE, &e.to_string()))?;
    if value.is_null() {
        return Ok(None);
    }
    read_log_entry(&value).map(Some).map_err(|e| of_field(BUNDLE, &e))
}

/// `SignedEntryTimestamp` and `Payload` with their odd letter case, as Rekor's
/// client marshals them.
fn read_log_entry(value: &Value) -> Result<LogEntry, FieldError> {
    let fields = Fields::new(value, "bundle", &["SignedEntryTimestamp", "Payload"])?;
    let payload = fields.object("Payload", &["body", "integratedTime", "logIndex", "logID"])?;
    let body = encoding::base64_standard(payload.text("body")?)
        .filter(|body| !body.is_empty())
        .ok_or_else(|| payload.error("body", "not base64, or empty".to_owned()))?;
    if body.len() > budget::ENTRY_BODY {
        return Err(payload.too_much("body", format!("longer than {} bytes", budget::ENTRY_BODY)));
    }
    let (kind, version) = entry_body::kind_of(&body);
    let promise = match fields.get("SignedEntryTimestamp") {
        None => None,
        Some(_) => Some(fields.bytes("SignedEntryTimestamp", budget::SIGNATURE)?),
    };
    // Absent is not zero here: both are covered by the signature as they stand.
    payload.require("integratedTime")?;
    payload.require("logIndex")?;
    let time = i64::try_from(payload.unsigned("integratedTime")?).ok();
    Ok(LogEntry {
        log_id: log_id(payload.text("logID")?).ok_or_else(|| payload.error("logID", "not 64 hex digits".to_owned()))?,
        log_index: payload.unsigned("logIndex")?,
        kind,
        version,
        integrated_time: time,
        promise,
        proof: None,
        body,
    })
}

/// The text is signed as it stands, so only its one form is read.
fn log_id(text: &str) -> Option<[u8; 32]> {
    carnet_bundle::Digest::from_hex(text).ok().map(|digest| *digest.as_bytes())
}

fn timestamp(annotations: &BTreeMap<String, String>) -> Result<Option<Vec<u8>>, Refusal> {
    let Some(text) = set(annotations, TIMESTAMP) else { return Ok(None) };
    let value = json::parse(text.as_bytes()).map_err(|e| malformed(TIMESTAMP, &e.to_string()))?;
    if value.is_null() {
        return Ok(None);
    }
    let read = Fields::new(&value, "rfc3161timestamp", &["SignedRFC3161Timestamp"])
        .and_then(|fields| fields.bytes("SignedRFC3161Timestamp", budget::TOKEN));
    read.map(Some).map_err(|e| of_field(TIMESTAMP, &e))
}

fn set<'m>(annotations: &'m BTreeMap<String, String>, key: &str) -> Option<&'m str> {
    annotations.get(key).map(String::as_str).filter(|text| !text.is_empty())
}

/// Refuses what is larger than one piece of evidence may be.
fn within(annotation: &str, got: usize, most: usize, unit: &str) -> Result<(), Refusal> {
    if got <= most {
        return Ok(());
    }
    let message = format!("annotation {annotation}: {got} {unit}, at most {most} are read");
    Err(Refusal::new(&codes::EVIDENCE_LIMIT_EXCEEDED, message))
}

fn of_field(annotation: &str, error: &FieldError) -> Refusal {
    let code = if error.is_limit { &codes::EVIDENCE_LIMIT_EXCEEDED } else { &codes::EVIDENCE_MALFORMED };
    Refusal::new(code, format!("annotation {annotation}: {error}"))
}

fn malformed(annotation: &str, reason: &str) -> Refusal {
    Refusal::new(&codes::EVIDENCE_MALFORMED, format!("annotation {annotation}: {reason}"))
}
