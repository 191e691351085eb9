//! in-toto statements (in-toto/attestation, `spec/v1/statement.md`).

mod frame;

use carnet_bundle::Digest;
use serde_json::{Map, Value};

use crate::{budget, codes, signed::Refusal};

/// Payload type of DSSE envelopes that hold a statement.
pub(crate) const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
/// Predicate type of cosign's image signatures.
pub(crate) const IMAGE_SIGNATURE: &str = "https://sigstore.dev/cosign/sign/v1";
const TYPES: &[&str] = &["https://in-toto.io/Statement/v0.1", "https://in-toto.io/Statement/v1"];

/// What the frame of a statement says.
#[derive(Clone, Debug)]
pub(crate) struct Statement {
    pub(crate) statement_type: String,
    pub(crate) predicate_type: String,
    /// SHA-256 digests of each subject.
    subjects: Vec<Option<Digest>>,
    names: Vec<Option<String>>,
    /// The predicate, unless it is large.
    pub(crate) predicate: Option<Value>,
}

/// Reads the frame of a statement and refuses whatever two readers could read
/// differently (R7.1).
///
/// A large predicate is read through and not kept: a bill of materials is one.
pub(crate) fn parse(payload: &[u8]) -> Result<Statement, Refusal> {
    let keep = payload.len() <= budget::KEPT_PREDICATE;
    let mut members = frame::read(payload, keep).map_err(|reason| {
        let code = if reason.contains("duplicate key") { &codes::AMBIGUOUS_JSON } else { &codes::EVIDENCE_MALFORMED };
        Refusal::new(code, format!("statement: {reason}"))
    })?;
    no_folded(&members, &["_type", "subject", "predicateType", "predicate"])?;
    let text = |key: &str| members.get(key).and_then(Value::as_str).ok_or_else(|| malformed(format!("no text {key:?}")));
    let statement_type = text("_type")?;
    if !TYPES.contains(&statement_type) {
        return Err(Refusal::new(&codes::UNSUPPORTED_STATEMENT_TYPE, format!("statement type {statement_type:?}")));
    }
    let predicate_type = text("predicateType")?;
    if predicate_type.is_empty() {
        return Err(malformed("predicateType is empty".to_owned()));
    }
    Ok(Statement {
        statement_type: statement_type.to_owned(),
        predicate_type: predicate_type.to_owned(),
        names: names(members.get("subject")),
        subjects: subjects(members.get("subject"))?,
        predicate: members.remove("predicate").filter(|_| keep),
    })
}

impl Statement {
    /// The places of the subjects that are `digest`.
    pub(crate) fn places_of(&self, digest: &Digest) -> impl Iterator<Item = usize> {
        let own = move |(_, subject): &(usize, &Option<Digest>)| subject.as_ref() == Some(digest);
        self.subjects.iter().enumerate().filter(own).map(|(place, _)| place)
    }

    /// The name of the subject at this place.
    pub(crate) fn name_of(&self, index: usize) -> Option<&str> {
        self.names.get(index)?.as_deref()
    }

    /// The SHA-256 digests of all subjects.
    pub(crate) fn digests(&self) -> Vec<Digest> {
        self.subjects.iter().flatten().copied().collect()
    }

    /// The subjects, for messages.
    pub(crate) fn subject_names(&self) -> String {
        let names: Vec<_> = self.subjects.iter().flatten().take(4).map(ToString::to_string).collect();
        match (names.is_empty(), self.subjects.len() > names.len()) {
            (true, _) => "no sha256 subject".to_owned(),
            (false, false) => names.join(", "),
            (false, true) => format!("{}, …", names.join(", ")),
        }
    }
}

fn subjects(value: Option<&Value>) -> Result<Vec<Option<Digest>>, Refusal> {
    let list = value.and_then(Value::as_array).ok_or_else(|| malformed("no list \"subject\"".to_owned()))?;
    if list.is_empty() {
        return Err(malformed("no subject".to_owned()));
    }
    if list.len() > budget::SUBJECTS {
        let message = format!("statement with {} subjects, at most {}", list.len(), budget::SUBJECTS);
        return Err(Refusal::new(&codes::EVIDENCE_LIMIT_EXCEEDED, message));
    }
    list.iter().map(subject).collect()
}

fn names(value: Option<&Value>) -> Vec<Option<String>> {
    let list = value.and_then(Value::as_array).into_iter().flatten();
    list.take(budget::SUBJECTS).map(|subject| subject.get("name").and_then(Value::as_str).map(str::to_owned)).collect()
}

/// Only SHA-256 binds an image: it is the digest that bundles carry, and sha1,
/// md5 and gitCommit bind nothing (R7.3).
fn subject(value: &Value) -> Result<Option<Digest>, Refusal> {
    let members = object(value, "subject")?;
    no_folded(members, &["name", "digest"])?;
    let Some(digests) = members.get("digest") else { return Ok(None) };
    let digests = object(digests, "digest")?;
    if digests.len() > budget::SUBJECT_DIGESTS {
        let message = format!("subject with {} digests, at most {}", digests.len(), budget::SUBJECT_DIGESTS);
        return Err(Refusal::new(&codes::EVIDENCE_LIMIT_EXCEEDED, message));
    }
    no_folded(digests, &["sha256"])?;
    match digests.get("sha256") {
        None => Ok(None),
        Some(Value::String(hex)) => Digest::from_hex(hex).map(Some).map_err(|e| malformed(format!("subject digest: {e}"))),
        Some(_) => Err(malformed("a digest is not a text".to_owned())),
    }
}

/// Go's decoder takes `Subject` for `subject`; others do not.
fn no_folded(members: &Map<String, Value>, known: &[&str]) -> Result<(), Refusal> {
    // Upper case first: it takes the long s to S, as Go's folding does.
    let fold = |text: &str| text.to_uppercase().to_lowercase();
    for key in members.keys() {
        if let Some(name) = known.iter().find(|name| key != *name && fold(key) == fold(name)) {
            let message = format!("statement: key {key:?} differs from {name:?} in letter case only");
            return Err(Refusal::new(&codes::AMBIGUOUS_JSON, message));
        }
    }
    Ok(())
}

fn object<'v>(value: &'v Value, what: &str) -> Result<&'v Map<String, Value>, Refusal> {
    value.as_object().ok_or_else(|| malformed(format!("{what} is not an object")))
}

fn malformed(reason: String) -> Refusal {
    Refusal::new(&codes::EVIDENCE_MALFORMED, format!("statement: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn statement(subject: &str) -> String {
        format!(r#"{{"_type":"https://in-toto.io/Statement/v1","subject":{subject},"predicateType":"p","predicate":{{}}}}"#)
    }

    #[test]
    fn the_subject_is_found_at_its_place() {
        let text = statement(&format!(r#"[{{"digest":{{"sha1":"00"}}}},{{"name":"n","digest":{{"sha256":"{HEX}"}}}}]"#));
        let parsed = parse(text.as_bytes()).unwrap();
        assert_eq!(parsed.places_of(&Digest::of(b"")).collect::<Vec<_>>(), [1]);
        assert_eq!(parsed.places_of(&Digest::of(b"x")).count(), 0);
    }

    #[test]
    fn what_two_readers_read_differently_is_refused() {
        let good = statement(&format!(r#"[{{"digest":{{"sha256":"{HEX}"}}}}]"#));
        for (from, to, code) in [
            (r#""predicate":{}"#, r#""predicate":{},"predicate":{}"#, "ambiguous-json"),
            (r#""predicate":{}"#, r#""predicate":{"a":1,"a":2}"#, "ambiguous-json"),
            (r#""predicate":{}"#, r#""predicate":{},"Predicate":{}"#, "ambiguous-json"),
            (r#""subject""#, r#""Subject""#, "ambiguous-json"),
            (r#""subject""#, "\"\u{17f}ubject\"", "ambiguous-json"),
            (r#""digest""#, r#""DIGEST""#, "ambiguous-json"),
            (r#""sha256""#, r#""SHA256""#, "ambiguous-json"),
            ("e3b0c442", "E3B0C442", "evidence-malformed"),
            ("Statement/v1", "Statement/v2", "unsupported-statement-type"),
            (r#""p""#, r#""""#, "evidence-malformed"),
            (r#""p""#, "1", "evidence-malformed"),
        ] {
            let text = good.replacen(from, to, 1);
            assert_ne!(text, good);
            assert_eq!(parse(text.as_bytes()).unwrap_err().code.name, code, "{text}");
        }
        for subject in ["[]", "null", "{}", "[1]", r#"[{"digest":1}]"#, r#"[{"digest":{"sha256":1}}]"#] {
            assert_eq!(parse(statement(subject).as_bytes()).unwrap_err().code.name, "evidence-malformed", "{subject}");
        }
        let many = format!("[{}]", vec!["{}"; 1025].join(","));
        assert_eq!(parse(statement(&many).as_bytes()).unwrap_err().code.name, "evidence-limit-exceeded");
    }
}
