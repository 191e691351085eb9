//! What was found out about a component, in Conforma's shape.

use std::collections::BTreeMap;

use carnet_evidence::SignatureObject;
use serde::Serialize;
use serde_json::Value;

use crate::images::Source;

/// Type that Conforma shows for every attestation, whatever its own.
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v0.1";

/// One violation, warning or success.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct RuleResult {
    /// What is the matter; `Pass` for a success.
    pub msg: String,
    /// `code`, `title`, `description`, `term` and so on, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, Value>,
}

/// The outcome for one component.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ComponentOutcome {
    /// Name of the component.
    pub name: String,
    /// The pinned reference; as written when the image was not found.
    pub container_image: String,
    /// Where the image was built from.
    pub source: Source,
    /// What fails the component.
    pub violations: Vec<RuleResult>,
    /// What deserves a look.
    pub warnings: Vec<RuleResult>,
    /// What passed. Always complete; renderers leave it out unless asked.
    pub successes: Vec<RuleResult>,
    /// The verified signatures of the image.
    pub signatures: Vec<Signature>,
    /// The verified attestations.
    pub attestations: Vec<Attestation>,
}

/// A verified signature, as a report and a rule see it.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Signature {
    /// Subject key id of the certificate in hex; else what the envelope says.
    pub keyid: String,
    /// The signature in base64.
    pub sig: String,
    /// The certificate in PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// The certificates above it in PEM.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub chain: Vec<String>,
    /// What the certificate says, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

/// A verified attestation, as a report shows it.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Attestation {
    /// Always [`STATEMENT_TYPE`].
    #[serde(rename = "type")]
    pub statement_type: String,
    /// `predicateType` of the statement.
    pub predicate_type: String,
    /// `buildType` of SLSA provenance in a legacy store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub predicate_build_type: Option<String>,
    /// The signatures over it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub signatures: Vec<Signature>,
}

impl From<&SignatureObject> for Signature {
    fn from(object: &SignatureObject) -> Self {
        Self {
            keyid: object.keyid.clone(),
            sig: object.sig.clone(),
            certificate: object.certificate.clone(),
            chain: object.chain.clone(),
            metadata: object.metadata.iter().cloned().collect(),
        }
    }
}

impl RuleResult {
    /// The `code`, if the result has one.
    pub fn code(&self) -> Option<&str> {
        self.metadata.get("code").and_then(Value::as_str)
    }

    /// The first `term`, for sorting.
    fn first_term(&self) -> &str {
        let term = self.metadata.get("term");
        term.and_then(|term| term.as_str().or_else(|| term.get(0).and_then(Value::as_str))).unwrap_or_default()
    }
}

impl ComponentOutcome {
    /// Whether nothing fails the component.
    pub fn success(&self) -> bool {
        self.violations.is_empty()
    }

    /// Sorts each list by code, first term and message, byte by byte; a missing
    /// code comes first.
    pub fn sort(&mut self) {
        let key = |r: &RuleResult| (r.code().unwrap_or_default().to_owned(), r.first_term().to_owned(), r.msg.clone());
        self.violations.sort_by_cached_key(key);
        self.warnings.sort_by_cached_key(key);
        self.successes.sort_by_cached_key(key);
    }

    /// Leaves only `code`, `effective_on` and `term` of all metadata, as without
    /// `--info`.
    pub fn reduce(&mut self) {
        let kept = |name: &String| matches!(name.as_str(), "code" | "effective_on" | "term");
        let lists = [&mut self.violations, &mut self.warnings, &mut self.successes];
        lists.into_iter().flatten().for_each(|result| result.metadata.retain(|name, _| kept(name)));
    }
}
