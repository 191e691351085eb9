//! The rules of the operator: which signers count, and what must vouch for them.

use std::collections::BTreeMap;

use carnet_bundle::Digest;
use serde::Deserialize;

use crate::{
    checkpoint::Witness,
    identity::Identity,
    public_key::PublicKey,
    trust_policy::{Notation, Scope, Weight},
    trust_root::Window,
};

/// What a piece of evidence must satisfy. The defaults are the strict ones;
/// every setter that lowers safety is named for what it gives up.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Rules {
    /// Who may sign.
    pub signer: Signer,
    /// Distinct logs that must hold the signature; 0 when logs are ignored, and then
    /// their times do not count for certificates either.
    pub log_threshold: usize,
    /// Whether a log entry counts only with an inclusion proof, not with the
    /// log's promise alone.
    pub require_inclusion_proof: bool,
    /// Distinct witnesses of [`Self::witnesses`] that must have cosigned the
    /// checkpoint of an entry.
    pub witness_threshold: usize,
    /// The witnesses that count.
    pub witnesses: Vec<Witness>,
    /// Verified times that a certificate needs, by the distinct keys that signed them.
    pub time_threshold: usize,
    /// Which sources of time count.
    pub time_sources: TimeSources,
    /// Distinct CT logs that must hold the certificate.
    pub sct_threshold: usize,
    /// Fulcio extensions that the certificate must carry, by their last number.
    pub extensions: BTreeMap<u32, String>,
    /// The time for which the operator trusts a key; a signed time must lie in it.
    /// Without ends no time is asked for.
    pub key_window: Window,
    /// What the operator's key signs, where it is not the rule of its algorithm.
    pub key_scheme: Option<KeyScheme>,
    /// Whether unsigned BuildKit statements count where the index is signed.
    pub accept_buildkit: bool,
    /// Whether the repository that a simple-signing payload names is compared.
    pub repository: RepositoryRule,
    /// Whether the name of an attestation's subject has to be the repository asked
    /// for.
    pub compare_subject_name: bool,
    /// The issuer that a certificate without one is taken to be vouched for by: the
    /// authority of an instance that names none.
    pub issuer_where_absent: Option<String>,
    /// What acceptance asks of the evidence about one image as a whole; no part of
    /// the verification of a single piece.
    pub requirements: Requirements,
    /// What differs for single keys, by the digest of the key.
    pub(crate) keys: BTreeMap<Digest, KeyTerms>,
}

/// What is asked of all evidence about one image together.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Requirements {
    /// Which images need evidence of their own.
    pub scope: Scope,
    /// Distinct signers of the image.
    pub signers: usize,
    /// Distinct signers of its attestations.
    pub attesters: usize,
    /// What a violation of the SLSA provenance schema weighs.
    pub slsa_schema: Weight,
    /// What it weighs that certificate and provenance disagree on the source.
    pub source_contradiction: Weight,
    /// What it weighs that they disagree on builder or run.
    pub builder_contradiction: Weight,
    /// Whether a Notary Project signature has to be there.
    pub notation: Notation,
}

/// What the operator knows of one key.
#[derive(Clone, Debug)]
pub(crate) struct KeyTerms {
    pub(crate) window: Window,
    pub(crate) log_threshold: usize,
    pub(crate) scheme: Option<KeyScheme>,
}

/// Which sources of time count.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TimeSources {
    /// Promises of transparency logs.
    pub log: bool,
    /// Timestamps of authorities.
    pub timestamp_authority: bool,
}

/// Whether the repository that a simple-signing payload names is compared with the
/// one asked for ([`crate::Subject::in_repository`]).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum RepositoryRule {
    /// It is the same one; a tag of the payload is left aside.
    Exact,
    /// It is reported and not compared.
    #[default]
    Ignore,
    /// It is this one or lies below it.
    Prefix(String),
    /// It is the one that comes out when the first prefix that fits the repository
    /// asked for is replaced.
    Remap(Vec<(String, String)>),
}

/// What a managed key signs.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum KeyScheme {
    /// ECDSA P-256 over SHA-256.
    EcdsaP256Sha256,
    /// ECDSA P-384 over SHA-256, as in old bundles.
    EcdsaP384Sha256,
    /// ECDSA P-384 over SHA-384.
    EcdsaP384Sha384,
    /// Ed25519, pure.
    Ed25519,
    /// RSA PKCS #1 v1.5 over SHA-256.
    RsaPkcs1Sha256,
    /// RSA PSS over SHA-256, salt as long as the hash.
    RsaPssSha256,
}

/// Who may sign.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Signer {
    /// Anyone whose certificate carries one of these identities.
    Identities(Vec<Identity>),
    /// The holder of this key.
    Key(PublicKey),
}

impl Rules {
    /// The strict rules for `signer`: one log, one verified time and one CT log
    /// for certificates; one log for keys.
    pub fn new(signer: Signer) -> Self {
        Self {
            signer,
            log_threshold: 1,
            require_inclusion_proof: false,
            witness_threshold: 0,
            witnesses: Vec::new(),
            time_threshold: 1,
            time_sources: TimeSources { log: true, timestamp_authority: true },
            sct_threshold: 1,
            extensions: BTreeMap::new(),
            key_window: Window::OPEN,
            key_scheme: None,
            accept_buildkit: false,
            repository: RepositoryRule::Ignore,
            compare_subject_name: false,
            issuer_where_absent: None,
            requirements: Requirements::default(),
            keys: BTreeMap::new(),
        }
    }

    /// The same rules for another signer. What the operator said of single keys
    /// holds for these keys alone; `self` must not be the rules of such a key.
    #[must_use]
    pub fn for_signer(&self, signer: Signer) -> Self {
        let mut rules = Self { signer, ..self.clone() };
        if let Signer::Key(key) = &rules.signer
            && let Some(terms) = self.keys.get(&key.fingerprint())
        {
            rules.key_window = terms.window;
            rules.key_scheme = terms.scheme;
            rules.log_threshold = terms.log_threshold;
        }
        rules
    }

    /// The rule of the trust policy that asks more of a certificate than that there is
    /// one, if there is such a rule.
    pub(crate) fn of_certificates(&self) -> Option<&'static str> {
        let extensions = (!self.extensions.is_empty()).then_some("certificates.extensions");
        extensions.or((self.sct_threshold > 1).then_some("certificates.sctThreshold"))
    }

    /// No log entry is asked for. What still holds: the signature, the identity or
    /// key, and for certificates a timestamp of an authority: a log that is not
    /// asked for does not say when a certificate was used.
    #[must_use]
    pub fn ignore_rekor(mut self) -> Self {
        self.log_threshold = 0;
        self
    }

    /// Neither log nor CT log is asked for: the profile of instances that have
    /// none, such as GitHub's for private repositories. What still holds: a
    /// timestamp of the instance's own authority. [`crate::Verifier::new`] refuses
    /// it for trust roots that list a log.
    #[must_use]
    pub fn timestamps_only(mut self) -> Self {
        self.log_threshold = 0;
        self.sct_threshold = 0;
        self
    }

    /// No certificate timestamp is asked for. What still holds: everything else.
    #[must_use]
    pub fn ignore_sct(mut self) -> Self {
        self.sct_threshold = 0;
        self
    }
}

impl Requirements {
    /// The same with the contradictions and schema violations that a trust policy
    /// may lower lowered: for runs from which no verdict comes.
    #[must_use]
    pub fn lowered(self) -> Self {
        Self { slsa_schema: Weight::Warn, source_contradiction: Weight::Warn, builder_contradiction: Weight::Note, ..self }
    }
}

impl Default for Requirements {
    /// The defaults of `bundle-spec/trust-policy.md` §3.
    fn default() -> Self {
        Self {
            scope: Scope::AsConforma,
            signers: 1,
            attesters: 1,
            slsa_schema: Weight::Fail,
            source_contradiction: Weight::Fail,
            builder_contradiction: Weight::Note,
            notation: Notation::Ignore,
        }
    }
}

impl RepositoryRule {
    /// Whether `named`, the reference in a payload, is good for the repository
    /// `asked`. Where the rule compares and nothing is known of either, it is not.
    pub(crate) fn accepts(&self, named: &str, asked: Option<&str>) -> bool {
        // `host:port/repo:tag`: a colon behind the last slash starts a tag.
        let named = match named.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => repository,
            _ => named,
        };
        let below = |text: &str, prefix: &str| {
            text.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || prefix.ends_with('/'))
        };
        match (self, asked) {
            (Self::Ignore, _) => true,
            (_, _) if named.is_empty() => false,
            (Self::Prefix(prefix), _) => below(named, prefix),
            (Self::Exact, Some(asked)) => named == asked,
            (Self::Remap(rows), Some(asked)) => {
                let row = rows.iter().find(|(from, _)| below(asked, from));
                row.is_some_and(|(from, to)| asked.strip_prefix(from.as_str()).is_some_and(|rest| named == format!("{to}{rest}")))
            }
            (Self::Exact | Self::Remap(_), None) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_is_compared_without_its_tag_and_at_slashes() {
        let remap = RepositoryRule::Remap(vec![("mirror.example/a".into(), "origin.example/b".into())]);
        let prefix = RepositoryRule::Prefix("origin.example/team".into());
        for (rule, named, asked, good) in [
            (&RepositoryRule::Ignore, "", None, true),
            (&RepositoryRule::Exact, "h:5000/r:v1", Some("h:5000/r"), true),
            (&RepositoryRule::Exact, "h:5000/r", Some("h:5000/r"), true),
            (&RepositoryRule::Exact, "h/r2", Some("h/r"), false),
            (&RepositoryRule::Exact, "", Some(""), false),
            (&RepositoryRule::Exact, "h/r", None, false),
            (&prefix, "origin.example/team/app", None, true),
            (&prefix, "origin.example/teammate/app", None, false),
            (&remap, "origin.example/b/app", Some("mirror.example/a/app"), true),
            (&remap, "mirror.example/a/app", Some("mirror.example/a/app"), false),
            (&remap, "origin.example/b/app", Some("mirror.example/ab/app"), false),
        ] {
            assert_eq!(rule.accepts(named, asked), good, "{rule:?} {named} {asked:?}");
        }
    }
}
