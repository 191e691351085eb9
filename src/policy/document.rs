//! policy.yaml: who must have signed, and which rules apply.
//!
//! The document is Conforma's `EnterpriseContractPolicySpec`, bare or wrapped in
//! a custom resource (`bundle-spec/policy.md`). It is read whole and closed: an
//! unknown key, a key that occurs twice or a value of another type is fatal, for
//! each of them can switch a rule off.

mod authority;
mod fields;

use serde::Serialize;

use crate::yaml::{self, Place, Reading, Value, YamlError};

pub use authority::{Authority, Effective, KeySource, Overrides};

/// The policy as written. Serialised, it is the `policy` of a report: members in
/// Conforma's order, empty ones left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Policy {
    /// Name, for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Description, for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Groups of rules and data; each is evaluated on its own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<SourceGroup>,
    /// Deprecated selection of rules.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configuration: Option<Configuration>,
    /// URL of a Rekor server; shown, never asked.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub rekor_url: String,
    /// PEM text of a public key, or where it is to be read from.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub public_key: String,
    /// Who must have signed when there is no key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
}

/// Who must have signed: the subject of the certificate and the issuer of the
/// token behind it. Empty texts are absent.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// Subject, compared as it is.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub subject: String,
    /// Subject as a regular expression, not anchored.
    #[serde(rename = "subjectRegExp", skip_serializing_if = "String::is_empty")]
    pub subject_reg_exp: String,
    /// Issuer, compared as it is.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub issuer: String,
    /// Issuer as a regular expression, not anchored.
    #[serde(rename = "issuerRegExp", skip_serializing_if = "String::is_empty")]
    pub issuer_reg_exp: String,
}

/// One group of rules with its data and selection.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceGroup {
    /// Name, for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// URLs of rules.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub policy: Vec<String>,
    /// URLs of data.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub data: Vec<String>,
    /// Data written in the policy itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule_data: Option<serde_json::Value>,
    /// Which rules apply.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<Selection>,
    /// Which rules apply for a time or for some images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volatile_config: Option<VolatileSelection>,
}

/// Which rules apply.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Selection {
    /// Criteria that take rules out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// Criteria that take rules in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<String>,
}

/// The deprecated selection of the whole policy.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Configuration {
    /// Criteria that take rules out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// Criteria that take rules in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<String>,
    /// Collections to take in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub collections: Vec<String>,
}

/// Which rules apply for a time or for some images.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct VolatileSelection {
    /// Criteria that take rules out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<VolatileCriterion>,
    /// Criteria that take rules in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<VolatileCriterion>,
}

/// A criterion with its window and its images. Empty texts are absent.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VolatileCriterion {
    /// The criterion.
    pub value: String,
    /// Begin of the window, RFC 3339 or a date.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub effective_on: String,
    /// End of the window, RFC 3339 or a date.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub effective_until: String,
    /// Deprecated: digest of the image.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub image_ref: String,
    /// Repository of the images, without tag and digest.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub image_url: String,
    /// Digest of the image.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub image_digest: String,
    /// Names of the components.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub component_names: Vec<String>,
    /// Where the exception is documented.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reference: String,
}

/// Why there is no policy, hence no verdict.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// Neither a key nor a complete identity.
    #[error("{}", missing.join("\n"))]
    IdentityIncomplete {
        /// What is missing, one sentence each.
        missing: Vec<&'static str>,
    },
    /// An identity that is no rule, such as a broken regular expression.
    #[error(transparent)]
    Identity(#[from] carnet_evidence::IdentityError),
    /// A key in a cluster, a key management service or an URL.
    #[error("public key {reference:?} is not at hand offline: give the key itself with --public-key FILE")]
    KeyNotAtHand {
        /// The reference as written.
        reference: String,
    },
    /// `spec` without `apiVersion`: Conforma validates such a file and then
    /// applies an empty policy.
    #[error(
        "{place}: `spec` without `apiVersion` would be read as an empty policy: add `apiVersion`, or write the fields of `spec` at the top"
    )]
    SpecWithoutApiVersion {
        /// Where `spec` stands.
        place: Place,
    },
    /// The document cannot be read.
    #[error(transparent)]
    Yaml(#[from] YamlError),
}

impl Policy {
    /// Parses policy.yaml (step V13.1); `file` names it in errors.
    ///
    /// # Errors
    ///
    /// Returns a [`PolicyError`] with line and column for anything but one
    /// document of the closed shape.
    pub fn parse(bytes: &[u8], file: &str) -> Result<Self, PolicyError> {
        let root = yaml::parse(bytes, file, Reading::Strict)?;
        let entries = root.entries("the policy")?;
        let find = |name: &str| entries.iter().find(|(key, _)| key.text == name);
        match (find("apiVersion"), find("spec")) {
            (None, Some((key, _))) => Err(PolicyError::SpecWithoutApiVersion { place: key.place.clone() }),
            (Some((_, version)), Some((key, spec))) => {
                if matches!(&version.value, Value::Scalar(scalar) if scalar.text.is_empty()) {
                    return Err(PolicyError::SpecWithoutApiVersion { place: key.place.clone() });
                }
                version.text("apiVersion")?;
                fields::wrapper(entries)?;
                Ok(fields::policy(spec, "spec")?)
            }
            (_, None) => Ok(fields::policy(&root, "the policy")?),
        }
    }
}
