//! Simple-signing payloads (containers/image `containers-signature.5.md`) as
//! cosign writes them.

use carnet_bundle::{Digest, json};
use serde_json::Value;

use crate::{budget, codes, signed::Refusal};

/// The only payload type: cosign itself does not look at it.
const TYPE: &str = "cosign container image signature";

/// A payload in its strict reading.
#[derive(Clone, Debug)]
pub(crate) struct Payload {
    pub(crate) digest: Digest,
    /// What the signer called the image; empty, `host/repo` or `host/repo:tag`.
    pub(crate) docker_reference: String,
}

/// Reads a payload: no unknown member outside `optional`, nothing twice.
pub(crate) fn parse(bytes: &[u8]) -> Result<Payload, Refusal> {
    if bytes.len() > budget::SIMPLE_SIGNING {
        let message = format!("simple-signing payload of {} bytes, at most {}", bytes.len(), budget::SIMPLE_SIGNING);
        return Err(Refusal::new(&codes::EVIDENCE_LIMIT_EXCEEDED, message));
    }
    let value = json::parse(bytes).map_err(|e| {
        let reason = e.to_string();
        let ambiguous = reason.contains("duplicate key");
        let code = if ambiguous { &codes::AMBIGUOUS_JSON } else { &codes::EVIDENCE_MALFORMED };
        Refusal::new(code, format!("simple-signing payload: {reason}"))
    })?;
    only(&value, &["critical", "optional"])?;
    let critical = value.get("critical").ok_or_else(|| malformed("no `critical`"))?;
    only(critical, &["identity", "image", "type"])?;
    if text(critical, "/type")? != TYPE {
        return Err(malformed(&format!("type {:?}, want {TYPE:?}", text(critical, "/type")?)));
    }
    only(critical.get("identity").unwrap_or(&Value::Null), &["docker-reference"])?;
    only(critical.get("image").unwrap_or(&Value::Null), &["docker-manifest-digest"])?;
    if !matches!(value.get("optional"), None | Some(Value::Null | Value::Object(_))) {
        return Err(malformed("`optional` is not an object"));
    }
    let digest = text(critical, "/image/docker-manifest-digest")?;
    let digest = digest.parse().map_err(|e| malformed(&format!("docker-manifest-digest: {e}")))?;
    Ok(Payload { digest, docker_reference: text(critical, "/identity/docker-reference")?.to_owned() })
}

fn only(value: &Value, known: &[&str]) -> Result<(), Refusal> {
    let members = value.as_object().ok_or_else(|| malformed("not an object"))?;
    match members.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(malformed(&format!("unknown member {key:?}"))),
        None => Ok(()),
    }
}

fn text<'v>(value: &'v Value, pointer: &str) -> Result<&'v str, Refusal> {
    value.pointer(pointer).and_then(Value::as_str).ok_or_else(|| malformed(&format!("no text at critical{pointer}")))
}

fn malformed(reason: &str) -> Refusal {
    Refusal::new(&codes::EVIDENCE_MALFORMED, format!("simple-signing payload: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = concat!(
        r#"{"critical":{"identity":{"docker-reference":"host/repo"},"#,
        r#""image":{"docker-manifest-digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},"#,
        r#""type":"cosign container image signature"},"optional":null}"#
    );

    #[test]
    fn a_payload_as_cosign_writes_it_is_read() {
        let payload = parse(GOOD.as_bytes()).unwrap();
        assert_eq!(payload.digest, Digest::of(b""));
        assert_eq!(payload.docker_reference, "host/repo");
        assert!(parse(GOOD.replace("null", r#"{"k":"v","creator":1}"#).as_bytes()).is_ok());
    }

    #[test]
    fn payloads_of_another_shape_are_refused() {
        for (from, to, code) in [
            ("cosign container", "atomic container", "evidence-malformed"),
            (r#""optional":null"#, r#""optional":[]"#, "evidence-malformed"),
            (r#""optional":null"#, r#""optional":null,"more":1"#, "evidence-malformed"),
            (r#""type""#, r#""Type""#, "evidence-malformed"),
            (r#""optional":null"#, r#""optional":null,"optional":null"#, "ambiguous-json"),
            ("sha256:e3", "sha256:E3", "evidence-malformed"),
            (r#"{"docker-reference":"host/repo"}"#, r#"{"docker-reference":1}"#, "evidence-malformed"),
            (r#"{"docker-reference":"host/repo"}"#, r#"{"docker-reference":"a","x":1}"#, "evidence-malformed"),
        ] {
            let text = GOOD.replacen(from, to, 1);
            assert_ne!(text, GOOD);
            assert_eq!(parse(text.as_bytes()).unwrap_err().code.name, code, "{text}");
        }
    }
}
