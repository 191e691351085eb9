//! DSSE envelopes (secure-systems-lab/dsse, `envelope.md` and `protocol.md`).

use carnet_bundle::json;
use serde_json::Value;

use crate::{
    budget, codes,
    encoding::base64_protojson,
    fields::{FieldError, Fields},
    signed::Refusal,
};

/// A parsed envelope with its one signature.
#[derive(Clone, Debug)]
pub(crate) struct Envelope {
    pub(crate) payload_type: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) signature: Vec<u8>,
    pub(crate) keyid: String,
}

/// Reads the JSON of an envelope that was stored by itself. DSSE says to ignore
/// unknown members.
pub(crate) fn parse(bytes: &[u8]) -> Result<Envelope, Refusal> {
    if bytes.len() > budget::ENVELOPE {
        return Err(Refusal::new(&codes::EVIDENCE_LIMIT_EXCEEDED, format!("envelope of {} bytes", bytes.len())));
    }
    let value = json::parse(bytes).map_err(|e| malformed(format!("envelope: {e}")))?;
    Fields::open(&value, "envelope").and_then(|fields| read(&fields)).map_err(|e| malformed(e.to_string()))
}

/// Reads the envelope member of a Sigstore bundle, with known members only.
pub(crate) fn read_strict(value: &Value, path: &str) -> Result<Envelope, FieldError> {
    read(&Fields::new(value, path, &["payload", "payloadType", "signatures"])?)
}

/// The bytes that are signed: `DSSEv1`, and type and payload with their lengths.
pub(crate) fn pre_authentication_encoding(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    bytes.extend_from_slice(payload);
    bytes
}

fn read(fields: &Fields<'_>) -> Result<Envelope, FieldError> {
    // The payload is decoded without the bound of `Fields::bytes`: the whole
    // envelope is bounded.
    let text = fields.text("payload")?;
    let payload = base64_protojson(text).ok_or_else(|| fields.error("payload", "not base64".to_owned()))?;
    let payload_type = fields.text("payloadType")?.to_owned();
    let [signature] = fields.list("signatures", 64)? else {
        let count = fields.list("signatures", 64)?.len();
        return Err(fields.error("signatures", format!("exactly one signature is wanted, there are {count}")));
    };
    let signature = Fields::open(signature, &fields.path_of("signatures[0]"))?;
    let bytes = signature.bytes("sig", budget::SIGNATURE)?;
    if bytes.is_empty() || payload.is_empty() || payload_type.is_empty() {
        return Err(fields.error("", "signature, payload or payload type is empty".to_owned()));
    }
    Ok(Envelope { payload_type, payload, signature: bytes, keyid: signature.text("keyid")?.to_owned() })
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
    fn an_envelope_has_exactly_one_signature_that_is_not_empty() {
        for (signatures, good) in [
            (r#"[{"sig":"AA=="}]"#, true),
            (r#"[{"sig":"AA==","keyid":"k","extension":{}}]"#, true),
            ("[]", false),
            (r#"[{"sig":""}]"#, false),
            (r#"[{"sig":"AA=="},{"sig":"AA=="}]"#, false),
        ] {
            let text = format!(r#"{{"payload":"e30=","payloadType":"t","signatures":{signatures}}}"#);
            assert_eq!(parse(text.as_bytes()).is_ok(), good, "{signatures}");
        }
    }
}
