//! DSSE envelopes (secure-systems-lab/dsse, `envelope.md` and `protocol.md`).

use carnet_bundle::json;
use serde_json::Value;

use crate::{
    budget, codes,
    encoding::base64_protojson,
    fields::{FieldError, Fields},
    signed::{Refusal, Signature},
};

/// A parsed envelope. It has at least one signature.
#[derive(Clone, Debug)]
pub(crate) struct Envelope {
    pub(crate) payload_type: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) signature: Signature,
    pub(crate) further: Vec<Signature>,
}

/// Reads the JSON of an envelope that was stored by itself. DSSE says to ignore
/// unknown members.
pub(crate) fn parse(bytes: &[u8]) -> Result<Envelope, Refusal> {
    if bytes.len() > budget::ENVELOPE {
        return Err(Refusal::new(&codes::EVIDENCE_LIMIT_EXCEEDED, format!("envelope of {} bytes", bytes.len())));
    }
    let value = json::parse(bytes).map_err(|e| malformed(format!("envelope: {e}")))?;
    Fields::open(&value, "envelope").and_then(|fields| read(&fields, budget::SIGNATURES)).map_err(|e| match e.is_limit {
        true => Refusal::new(&codes::EVIDENCE_LIMIT_EXCEEDED, e.to_string()),
        false => malformed(e.to_string()),
    })
}

/// Reads the envelope member of a Sigstore bundle, with known members only and one
/// signature.
pub(crate) fn read_strict(value: &Value, path: &str) -> Result<Envelope, FieldError> {
    let fields = Fields::new(value, path, &["payload", "payloadType", "signatures"])?;
    let envelope = read(&fields, budget::SIGNATURES)?;
    match envelope.further.len() {
        0 => Ok(envelope),
        further => Err(fields.error("signatures", format!("exactly one signature is wanted, there are {}", further + 1))),
    }
}

/// The bytes that are signed: `DSSEv1`, and type and payload with their lengths.
pub(crate) fn pre_authentication_encoding(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    bytes.extend_from_slice(payload);
    bytes
}

fn read(fields: &Fields<'_>, most: usize) -> Result<Envelope, FieldError> {
    // The payload is decoded without the bound of `Fields::bytes`: the whole
    // envelope is bounded.
    let text = fields.text("payload")?;
    let payload = base64_protojson(text).ok_or_else(|| fields.error("payload", "not base64".to_owned()))?;
    let payload_type = fields.text("payloadType")?.to_owned();
    let mut signatures = Vec::new();
    for (place, value) in fields.list("signatures", most)?.iter().enumerate() {
        signatures.push(signature(&Fields::open(value, &fields.path_of(&format!("signatures[{place}]")))?)?);
    }
    if signatures.is_empty() {
        return Err(fields.error("signatures", "there is no signature".to_owned()));
    }
    if payload.is_empty() || payload_type.is_empty() {
        return Err(fields.error("", "payload or payload type is empty".to_owned()));
    }
    Ok(Envelope { payload_type, payload, signature: signatures.remove(0), further: signatures })
}

fn signature(fields: &Fields<'_>) -> Result<Signature, FieldError> {
    let bytes = fields.bytes("sig", budget::SIGNATURE)?;
    if bytes.is_empty() {
        return Err(fields.error("sig", "the signature is empty".to_owned()));
    }
    Ok(Signature { bytes, keyid: fields.text("keyid")?.to_owned() })
}

fn malformed(message: String) -> Refusal {
    let code = if message.contains("duplicate key") { &codes::AMBIGUOUS_JSON } else { &codes::EVIDENCE_MALFORMED };
    Refusal::new(code, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoding_is_that_of_the_dsse_protocol() {
        // The example of protocol.md.
        let bytes = pre_authentication_encoding("http://example.com/HelloWorld", b"hello world");
        assert_eq!(bytes, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
    }

    #[test]
    fn an_envelope_has_signatures_and_none_is_empty() {
        let seventeen = format!("[{}]", vec![r#"{"sig":"AA=="}"#; 17].join(","));
        for (signatures, want, in_a_bundle) in [
            (r#"[{"sig":"AA=="}]"#, Ok(1), true),
            (r#"[{"sig":"AA==","keyid":"k","extension":{}}]"#, Ok(1), true),
            (r#"[{"sig":"AA=="},{"sig":"AQ==","keyid":"k"}]"#, Ok(2), false),
            (r#"[{"sig":"AA=="},{"sig":"AA=="}]"#, Ok(2), false),
            ("[]", Err("evidence-malformed"), false),
            (r#"[{"sig":""}]"#, Err("evidence-malformed"), false),
            (r#"[{"sig":"AA=="},{"sig":""}]"#, Err("evidence-malformed"), false),
            (r#"[{"sig":"AA=="},1]"#, Err("evidence-malformed"), false),
            (&seventeen, Err("evidence-limit-exceeded"), false),
        ] {
            let text = format!(r#"{{"payload":"e30=","payloadType":"t","signatures":{signatures}}}"#);
            let got = parse(text.as_bytes()).map(|envelope| 1 + envelope.further.len()).map_err(|refusal| refusal.code.name);
            assert_eq!(got, want, "{signatures}");
            let strict = read_strict(&json::parse(text.as_bytes()).unwrap(), "envelope");
            assert_eq!(strict.is_ok(), in_a_bundle, "{signatures}");
        }
    }
}
