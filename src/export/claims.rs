//! What a piece of evidence says of itself, unverified: which subjects, which
//! predicate type. Good for filing it and for telling the operator, and for
//! nothing else.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use carnet_bundle::{Digest, json};
use serde_json::Value;

/// The predicate type that the signed or bare statement in `bytes` names.
pub(crate) fn predicate_type(bytes: &[u8]) -> Option<String> {
    let document = json::parse(bytes).ok()?;
    let envelope = document.get("dsseEnvelope").unwrap_or(&document);
    let statement = match envelope.get("payload").and_then(Value::as_str) {
        Some(payload) => json::parse(&STANDARD.decode(payload).ok()?).ok()?,
        None => document,
    };
    statement.get("predicateType").and_then(Value::as_str).map(str::to_owned)
}

/// The subjects that a loose file names: those of its statement, or the digest
/// that a signature over bytes is about.
pub(crate) fn subjects(bytes: &[u8]) -> Vec<Digest> {
    let mut subjects = carnet_evidence::claimed_subjects(bytes);
    subjects.extend(json::parse(bytes).ok().and_then(|document| message_digest(&document)));
    subjects.sort_unstable();
    subjects.dedup();
    subjects
}

fn message_digest(bundle: &Value) -> Option<Digest> {
    let digest = bundle.pointer("/messageSignature/messageDigest/digest")?.as_str()?;
    let bytes = STANDARD.decode(digest).ok()?;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Digest::from_hex(&hex).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_found_bare_in_envelopes_and_in_bundles() {
        let statement = r#"{"predicateType":"https://slsa.dev/provenance/v1"}"#;
        let envelope = format!(r#"{{"payloadType":"x","payload":"{}","signatures":[]}}"#, STANDARD.encode(statement));
        let bundle = format!(r#"{{"dsseEnvelope":{envelope}}}"#);
        for text in [statement, &envelope, &bundle] {
            assert_eq!(predicate_type(text.as_bytes()).as_deref(), Some("https://slsa.dev/provenance/v1"), "{text}");
        }
        for text in ["", "{}", r#"{"payload":"?"}"#, r#"{"payload":"e30="}"#] {
            assert_eq!(predicate_type(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_signature_over_bytes_is_about_their_digest() {
        let digest = Digest::of(b"manifest");
        let text = format!(
            r#"{{"messageSignature":{{"messageDigest":{{"algorithm":"SHA2_256","digest":"{}"}}}}}}"#,
            STANDARD.encode(digest.as_bytes())
        );
        assert_eq!(subjects(text.as_bytes()), [digest]);
    }
}
