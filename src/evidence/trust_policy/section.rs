//! The sections of the document, with their defaults.

use std::collections::BTreeMap;

use carnet_bundle::Digest;
use jiff::SignedDuration;
use serde::Deserialize;

use super::value::{self, Age, Expired, ValidFor};
use crate::rules::KeyScheme;

/// `trustRoot`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub struct TrustRootRules {
    /// The one trust root that is accepted.
    pub digest: Option<Digest>,
    /// How old it may be.
    #[serde(default)]
    pub max_age: MaxAge,
    /// What becomes of a certificate authority without a start of validity.
    #[serde(default)]
    pub authority_without_window: WithoutWindow,
    /// The TUF root that the operator holds.
    pub tuf: Option<TufRules>,
}

/// `trustRoot.maxAge`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct MaxAge {
    /// Older is a warning.
    #[serde(default = "Age::half_a_year")]
    pub warn: Age,
    /// Older is a failure.
    #[serde(default)]
    pub fail: Age,
}

/// `trustRoot.authorityWithoutWindow`.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum WithoutWindow {
    /// It is trusted for all times.
    Accept,
    /// The trust root is refused.
    #[default]
    Refuse,
}

/// `trustRoot.tuf`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub struct TufRules {
    /// SHA-256 of the root.json.
    pub root: Digest,
    /// Lower versions are refused.
    #[serde(default)]
    pub min_version: TufVersions,
    /// What becomes of expired metadata.
    #[serde(default)]
    pub expired_metadata: Expired,
}

/// `trustRoot.tuf.minVersion`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TufVersions {
    /// Of root.json.
    pub root: Option<u32>,
    /// Of timestamp.json.
    pub timestamp: Option<u32>,
    /// Of snapshot.json.
    pub snapshot: Option<u32>,
    /// Of targets.json.
    pub targets: Option<u32>,
}

/// `signatures`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub struct SignatureRules {
    /// Which images need evidence of their own.
    #[serde(default)]
    pub scope: Scope,
    /// Distinct signers of an image.
    #[serde(default = "value::one")]
    pub threshold: usize,
    /// Whether the repository of a payload is compared.
    #[serde(default)]
    pub repository_match: RepositoryMatch,
    /// With `prefix`: what the reference begins with.
    pub repository_prefix: Option<String>,
    /// With `remap`: what stands for what.
    #[serde(default)]
    pub repository_remap: Vec<Remap>,
}

/// `signatures.scope`.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// The root and every runnable child.
    #[default]
    AsConforma,
    /// Every runnable child, the root not.
    EveryPlatform,
    /// The root alone: the index's bytes bind its children.
    Root,
    /// The root and the children that were named.
    SelectedPlatform,
}

/// `signatures.repositoryMatch`.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum RepositoryMatch {
    /// The same repository, a tag aside.
    Exact,
    /// Any repository.
    #[default]
    Ignore,
    /// A repository below the prefix.
    Prefix,
    /// The repository that the map gives.
    Remap,
}

/// One row of `signatures.repositoryRemap`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Remap {
    /// What the repository asked for begins with.
    pub from: String,
    /// What stands there when it was signed.
    pub to: String,
}

/// `attestations`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub struct AttestationRules {
    /// Distinct signers of the attestations that are counted.
    #[serde(default = "value::one")]
    pub threshold: usize,
    /// Whether a subject's name is compared with the repository.
    #[serde(default)]
    pub subject_name: SubjectName,
    /// What a violation of the SLSA schema weighs.
    #[serde(default = "Weight::fail")]
    pub slsa_schema: Weight,
    /// What it weighs that certificate and predicate disagree on the source.
    #[serde(default = "Weight::fail")]
    pub source_contradiction: Weight,
    /// What it weighs that they disagree on builder or run.
    #[serde(default = "Weight::note")]
    pub builder_contradiction: Weight,
    /// What unsigned BuildKit statements are worth.
    #[serde(default)]
    pub buildkit: Buildkit,
    /// Whether a Notary Project signature has to be there.
    #[serde(default)]
    pub notation: Notation,
}

/// `attestations.subjectName`.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum SubjectName {
    /// Not compared.
    #[default]
    Ignore,
    /// Compared with the repository.
    Match,
}

/// What a finding weighs.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum Weight {
    /// The verdict is fail.
    Fail,
    /// Said for the record.
    Note,
    /// Deserves a look.
    Warn,
}

/// `attestations.buildkit`.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum Buildkit {
    /// They count when the index that binds them is signed.
    AcceptWhenIndexSigned,
    /// They do not count.
    #[default]
    Refuse,
}

/// `attestations.notation`.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum Notation {
    /// None may be there.
    Forbid,
    /// It makes no difference.
    #[default]
    Ignore,
    /// One has to be there; it is not verified.
    Require,
}

/// `log`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub struct LogRules {
    /// Distinct logs with a verified entry.
    #[serde(default = "value::one")]
    pub threshold: usize,
    /// What an entry has to prove.
    #[serde(default)]
    pub proof: Proof,
    /// Who has to have cosigned the tree head.
    pub witnesses: Option<WitnessRules>,
}

/// `log.proof`.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum Proof {
    /// An inclusion proof and a checkpoint.
    Inclusion,
    /// The log's promise will do.
    #[default]
    PromiseOrInclusion,
}

/// `log.witnesses`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct WitnessRules {
    /// Distinct witnesses.
    pub threshold: usize,
    /// Their keys in the form of c2sp.org/signed-note.
    pub keys: Vec<String>,
}

/// `time`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TimeRules {
    /// Verified times of a keyless signature, by the distinct keys that signed them.
    #[serde(default = "value::one")]
    pub threshold: usize,
    /// Which sources count.
    #[serde(default = "value::all_sources")]
    pub sources: Vec<Source>,
}

/// One of `time.sources`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// Promises of transparency logs.
    Log,
    /// Timestamps of authorities.
    TimestampAuthority,
}

/// `certificates`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub struct CertificateRules {
    /// Distinct certificate transparency logs.
    #[serde(default = "value::one")]
    pub sct_threshold: usize,
    /// How the patterns of policy.yaml are read.
    #[serde(default)]
    pub reg_exp: PatternReading,
    /// The issuer that policy.yaml means by certificates that name none.
    pub issuer_where_absent: Option<String>,
    /// Values that the certificate has to carry, by the names of evidence.md.
    #[serde(default)]
    pub extensions: BTreeMap<String, String>,
}

/// `certificates.regExp`.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum PatternReading {
    /// As if they began with `^` and ended with `$`.
    Anchored,
    /// As they stand.
    #[default]
    AsConforma,
}

/// One of `keys`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub struct KeyRules {
    /// SHA-256 of the key's SubjectPublicKeyInfo.
    pub digest: Digest,
    /// The time for which it is trusted.
    pub valid_for: Option<ValidFor>,
    /// Distinct logs for signatures by it.
    pub log_threshold: Option<usize>,
    /// What it signs.
    pub algorithm: Option<KeyScheme>,
}

impl MaxAge {
    /// How old the trust root may be before it is said.
    pub fn warn_after(&self) -> Option<SignedDuration> {
        self.warn.duration()
    }

    /// How old the trust root may be before the verdict is fail.
    pub fn fail_after(&self) -> Option<SignedDuration> {
        self.fail.duration()
    }
}
