//! The trust policy: every rule about evidence for which Conforma's closed
//! policy.yaml has no key (`bundle-spec/trust-policy.md`).
//!
//! It is the operator's file, never the bundle's. Reading YAML is the business of
//! the policy room; this takes the value it holds. An unknown key is fatal: a
//! misspelt rule must not vanish.

mod section;
mod value;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::{
    checkpoint::Witness,
    rules::{KeyScheme, KeyTerms, RepositoryRule, Requirements, Rules, Signer, TimeSources},
    trust_root::Window,
};

pub use section::{
    AttestationRules, Buildkit, CertificateRules, KeyRules, LogRules, MaxAge, Notation, PatternReading, Proof, Remap,
    RepositoryMatch, Scope, SignatureRules, Source, SubjectName, TimeRules, TrustRootRules, TufRules, TufVersions, Weight,
    WithoutWindow, WitnessRules,
};
pub use value::{Age, Expired, ValidFor};

/// The document, with the defaults of the specification in place of what is left out.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub struct TrustPolicy {
    /// Which trust root is accepted, and how old it may be.
    #[serde(default)]
    pub trust_root: TrustRootRules,
    /// What is needed to sign an image.
    #[serde(default)]
    pub signatures: SignatureRules,
    /// What is needed of attestations.
    #[serde(default)]
    pub attestations: AttestationRules,
    /// What is needed of transparency logs.
    #[serde(default)]
    pub log: LogRules,
    /// What is needed of times.
    #[serde(default)]
    pub time: TimeRules,
    /// What is needed of certificates.
    #[serde(default)]
    pub certificates: CertificateRules,
    /// What is known of managed keys.
    #[serde(default)]
    pub keys: Vec<KeyRules>,
}

/// Why a trust policy cannot be used: no verdict.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TrustPolicyError {
    /// Another `apiVersion` or `kind`.
    #[error("not a trust policy: want apiVersion \"carnet/v0\" and kind \"TrustPolicy\", got {0}")]
    Header(String),
    /// Two keys that exclude each other, or one that needs another.
    #[error("trust policy: {0}")]
    Inconsistent(String),
    /// An unknown key, a value of another type or outside its bounds.
    #[error("trust policy: {}{reason}", prefix(at))]
    Shape {
        /// Path of the key, such as `log.witnesses.keys[0]`; empty for the document.
        at: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl TrustPolicyError {
    /// Path of the key that is wrong, such as `log.witnesses.keys[0]`; empty where it
    /// is the document.
    pub fn at(&self) -> &str {
        match self {
            Self::Shape { at, .. } => at,
            Self::Header(_) | Self::Inconsistent(_) => "",
        }
    }
}

impl TrustPolicy {
    /// Takes the document that `value` holds.
    ///
    /// # Errors
    ///
    /// Returns a [`TrustPolicyError`] for an unknown key, a value out of bounds, and
    /// rules that contradict each other.
    pub fn from_value(value: Value) -> Result<Self, TrustPolicyError> {
        let policy: Self = value::document(value)?;
        policy.check()?;
        Ok(policy)
    }

    /// The evidence rules for `signer` under this policy.
    ///
    /// # Errors
    ///
    /// Returns a [`TrustPolicyError`] for a witness key that cannot be read.
    pub fn rules(&self, signer: Signer) -> Result<Rules, TrustPolicyError> {
        let signer = self.read_patterns(signer)?;
        Ok(self.rules_of_all()?.for_signer(signer))
    }

    /// The rules without a signer, to be given one by [`Rules::for_signer`]: as they
    /// are, they accept no one.
    ///
    /// # Errors
    ///
    /// As [`Self::rules`].
    pub fn rules_of_all(&self) -> Result<Rules, TrustPolicyError> {
        let mut rules = Rules::new(Signer::Identities(Vec::new()));
        rules.log_threshold = self.log.threshold;
        rules.require_inclusion_proof = self.log.proof == Proof::Inclusion;
        rules.time_threshold = self.time.threshold;
        rules.time_sources = TimeSources {
            log: self.time.sources.contains(&Source::Log),
            timestamp_authority: self.time.sources.contains(&Source::TimestampAuthority),
        };
        rules.sct_threshold = self.certificates.sct_threshold;
        rules.extensions = self.extensions()?;
        rules.accept_buildkit = self.attestations.buildkit == Buildkit::AcceptWhenIndexSigned;
        rules.repository = self.repository();
        rules.compare_subject_name = self.attestations.subject_name == SubjectName::Match;
        rules.issuer_where_absent.clone_from(&self.certificates.issuer_where_absent);
        rules.requirements = self.requirements();
        if let Some(witnesses) = &self.log.witnesses {
            rules.witness_threshold = witnesses.threshold;
            rules.witnesses = witnesses.keys.iter().map(|text| witness(text)).collect::<Result<_, _>>()?;
        }
        rules.keys = self.keys.iter().map(|entry| (entry.digest, self.terms(entry))).collect();
        Ok(rules)
    }

    /// Rules that are looser than their defaults, for the report.
    pub fn relaxations(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut say = |loose: bool, text: &str| {
            if loose {
                found.push(text.to_owned());
            }
        };
        say(self.log.threshold == 0, "log.threshold: 0: no log entry is asked for");
        say(self.certificates.sct_threshold == 0, "certificates.sctThreshold: 0: no certificate timestamp is asked for");
        say(self.trust_root.authority_without_window == WithoutWindow::Accept, "trustRoot.authorityWithoutWindow: accept");
        say(self.trust_root.max_age.warn > Age::half_a_year(), "trustRoot.maxAge.warn: longer than 180d");
        say(self.trust_root.tuf.as_ref().is_some_and(|tuf| tuf.expired_metadata.is_loose()), "trustRoot.tuf.expiredMetadata");
        say(matches!(self.signatures.scope, Scope::Root | Scope::SelectedPlatform | Scope::EveryPlatform), "signatures.scope");
        say(self.attestations.slsa_schema != Weight::Fail, "attestations.slsaSchema: warn");
        say(self.attestations.source_contradiction != Weight::Fail, "attestations.sourceContradiction: warn");
        say(self.attestations.buildkit == Buildkit::AcceptWhenIndexSigned, "attestations.buildkit: accept-when-index-signed");
        let absent = self.certificates.issuer_where_absent.is_some();
        say(absent, "certificates.issuerWhereAbsent: a certificate without an issuer is vouched for by its authority alone");
        let loose = |key: &KeyRules| key.log_threshold == Some(0) && self.log.threshold > 0;
        say(self.keys.iter().any(loose), "keys[].logThreshold: 0: no log entry is asked for");
        let old = |key: &KeyRules| key.algorithm == Some(KeyScheme::EcdsaP384Sha256);
        say(self.keys.iter().any(old), "keys[].algorithm: ecdsa-p384-sha256");
        found
    }

    /// Keys of the file that say how to read certificates, and have nothing to read
    /// where `signer` is a key. Those that ask for something are refused there
    /// ([`crate::VerifierError::NotOfAKey`]).
    pub fn without_effect(&self, signer: &Signer) -> Vec<&'static str> {
        let (rules, mut found) = (&self.certificates, Vec::new());
        if matches!(signer, Signer::Key(_)) {
            let mut say = |is_set: bool, name: &'static str| found.extend(is_set.then_some(name));
            say(rules.sct_threshold == 0, "certificates.sctThreshold");
            say(rules.reg_exp == PatternReading::Anchored, "certificates.regExp");
            say(rules.issuer_where_absent.is_some(), "certificates.issuerWhereAbsent");
        }
        found
    }

    fn check(&self) -> Result<(), TrustPolicyError> {
        let inconsistent = |text: &str| Err(TrustPolicyError::Inconsistent(text.to_owned()));
        let root = &self.trust_root;
        if root.digest.is_some() && root.tuf.is_some() {
            return inconsistent("trustRoot.digest and trustRoot.tuf exclude each other");
        }
        if (self.log.threshold == 0 || self.certificates.sct_threshold == 0) && root.digest.is_none() {
            return inconsistent("log.threshold: 0 and certificates.sctThreshold: 0 need trustRoot.digest");
        }
        if self.certificates.issuer_where_absent.is_some() && root.digest.is_none() {
            return inconsistent("certificates.issuerWhereAbsent needs trustRoot.digest");
        }
        let (schema, source) = (self.attestations.slsa_schema, self.attestations.source_contradiction);
        for (key, weight) in [("slsaSchema", schema), ("sourceContradiction", source)] {
            if weight == Weight::Note {
                return Err(shape(&format!("attestations.{key}"), "is \"note\", want \"fail\" or \"warn\""));
            }
        }
        let signatures = &self.signatures;
        if (signatures.repository_match == RepositoryMatch::Prefix) != signatures.repository_prefix.is_some() {
            return inconsistent("signatures.repositoryPrefix goes with repositoryMatch: prefix");
        }
        if (signatures.repository_match == RepositoryMatch::Remap) == signatures.repository_remap.is_empty() {
            return inconsistent("signatures.repositoryRemap goes with repositoryMatch: remap");
        }
        if let Some(witnesses) = &self.log.witnesses {
            if witnesses.threshold == 0 || witnesses.threshold > witnesses.keys.len() {
                return inconsistent("log.witnesses.threshold: want 1 to the number of keys");
            }
            witnesses.keys.iter().try_for_each(|text| witness(text).map(|_| ()))?;
        }
        self.extensions()?;
        value::check_bounds(self)
    }

    fn read_patterns(&self, signer: Signer) -> Result<Signer, TrustPolicyError> {
        match signer {
            Signer::Identities(identities) if self.certificates.reg_exp == PatternReading::Anchored => {
                let anchored = identities.iter().map(crate::identity::Identity::anchored).collect::<Result<_, _>>();
                anchored.map(Signer::Identities).map_err(|e| TrustPolicyError::Inconsistent(e.to_string()))
            }
            other => Ok(other),
        }
    }

    fn requirements(&self) -> Requirements {
        let (signatures, attestations) = (&self.signatures, &self.attestations);
        Requirements {
            scope: signatures.scope,
            signers: signatures.threshold,
            attesters: attestations.threshold,
            slsa_schema: attestations.slsa_schema,
            source_contradiction: attestations.source_contradiction,
            builder_contradiction: attestations.builder_contradiction,
            notation: attestations.notation,
        }
    }

    fn terms(&self, entry: &KeyRules) -> KeyTerms {
        KeyTerms {
            window: entry.valid_for.map_or(Window::OPEN, |window| window.window()),
            log_threshold: entry.log_threshold.unwrap_or(self.log.threshold),
            scheme: entry.algorithm,
        }
    }

    fn repository(&self) -> RepositoryRule {
        let signatures = &self.signatures;
        match signatures.repository_match {
            RepositoryMatch::Ignore => RepositoryRule::Ignore,
            RepositoryMatch::Exact => RepositoryRule::Exact,
            RepositoryMatch::Prefix => RepositoryRule::Prefix(signatures.repository_prefix.clone().unwrap_or_default()),
            RepositoryMatch::Remap => {
                let rows = signatures.repository_remap.iter().map(|row| (row.from.clone(), row.to.clone()));
                RepositoryRule::Remap(rows.collect())
            }
        }
    }

    fn extensions(&self) -> Result<BTreeMap<u32, String>, TrustPolicyError> {
        let number = |(name, value): (&String, &String)| match value::extension_number(name) {
            Some(number) if !value.is_empty() => Ok((number, value.clone())),
            Some(_) => Err(shape(&format!("certificates.extensions.{name}"), "the value is empty")),
            None => Err(shape(&format!("certificates.extensions.{name}"), &format!("unknown certificate extension {name:?}"))),
        };
        self.certificates.extensions.iter().map(number).collect()
    }
}

fn witness(text: &str) -> Result<Witness, TrustPolicyError> {
    Witness::parse(text).ok_or_else(|| shape("log.witnesses.keys", &format!("{text:?} is not the Ed25519 key of a witness")))
}

fn shape(at: &str, reason: &str) -> TrustPolicyError {
    TrustPolicyError::Shape { at: at.to_owned(), reason: reason.to_owned() }
}

fn prefix(at: &str) -> String {
    if at.is_empty() { String::new() } else { format!("{at}: ") }
}
