//! Conclusions: one sentence each, with the step that draws it and what it stands on.

use std::collections::BTreeMap;

use carnet_bundle::Digest;
use carnet_policy::{ComponentOutcome, RuleResult};
use serde::Serialize;
use serde_json::Value;

use super::{
    super::Trust,
    ledger::{CertificateLog, Facts, LogEntry, Piece, Signer, Time, TimeVoucher},
};

/// One conclusion.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Conclusion {
    /// Step of `bundle-spec/verify.md`.
    pub step: &'static str,
    /// The check or rule that asks it.
    pub requirement: String,
    /// What came of it.
    pub result: Held,
    /// The conclusion in words.
    pub says: String,
    /// The digest it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<Digest>,
    /// The pieces of evidence that it stands on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<String>,
    /// Who signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signer: Option<Signer>,
    /// Where that was logged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_entry: Option<LogEntry>,
    /// Where the certificate was logged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_log: Option<CertificateLog>,
    /// The times that it rests on, with who vouches for each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub times: Vec<Time>,
    /// Through what of the operator's it is trusted.
    pub trust: Anchor,
    /// What a rule says beside its message.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, Value>,
}

/// What came of a conclusion.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Held {
    /// Two statements contradict each other.
    Contradicted,
    /// It does not hold, and the image fails.
    Failed,
    /// Two statements could not be compared.
    NotComparable,
    /// It does not hold, and so the piece does not count.
    NotCounted,
    /// It holds.
    Passed,
    /// It deserves a look.
    Warning,
}

/// What of the operator's a conclusion is trusted through.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Anchor {
    /// What sort of thing that is.
    pub from: AnchorKind,
    /// Where it came from.
    pub source: String,
    /// Its digest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Its age in whole days at the time of verification.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age_days: Option<i64>,
}

/// What an operator can trust.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AnchorKind {
    /// The digest itself: nothing has to be believed.
    Digest,
    /// The policy, with flags that settle it.
    Policy,
    /// A public key.
    PublicKey,
    /// A trust root.
    TrustRoot,
}

/// What of gate 3 asks for it, by the code in Conforma's reports: the step, the
/// kind of evidence it stands on, and what it means that it passed.
const BUILT_IN: [(&str, &str, &str, &str); 6] = [
    ("builtin.attestation.signature_check", "V14.3", "attestation", "The image is attested by whom the policy asks for."),
    ("builtin.attestation.source_check", "V11.6", "attestation", "Provenance and signing certificate name the same source."),
    ("builtin.attestation.syntax_check", "V14.4", "attestation", "The attestations have the shape that their type demands."),
    ("builtin.image.accessible", "V14.1", "", "The image is in the bundle."),
    ("builtin.image.notation_check", "V14.2", "", "A Notary Project signature is there or not, as the trust policy asks."),
    ("builtin.image.signature_check", "V14.2", "image-signature", "The image is signed by whom the policy asks for."),
];

/// The conclusions of gate 3 about one component: what fails first.
pub(super) fn of(component: &ComponentOutcome, digest: Option<Digest>, pieces: &[Piece], policy: Digest) -> Vec<Conclusion> {
    let lists =
        [(&component.violations, Held::Failed), (&component.warnings, Held::Warning), (&component.successes, Held::Passed)];
    let one = |result: &RuleResult, held: Held| {
        let requirement = result.code().unwrap_or_default();
        let known = BUILT_IN.iter().find(|(code, ..)| *code == requirement);
        // A violation without a code is the last of the attestation checks.
        let last = if requirement.is_empty() { ("V14.4", "attestation", "") } else { ("V15.4", "attestation", "") };
        let (step, kind, meaning) = known.map_or(last, |(_, step, kind, meaning)| (*step, *kind, *meaning));
        let title = result.metadata.get("title").and_then(Value::as_str);
        let says = match held {
            Held::Passed if !meaning.is_empty() => meaning,
            // A rule that passed says nothing but "Pass".
            Held::Passed => title.unwrap_or("The rule has nothing against the image."),
            _ => result.msg.as_str(),
        };
        let mut metadata = result.metadata.clone();
        metadata.remove("code");
        Conclusion {
            evidence: pieces.iter().filter(|piece| piece.is(kind)).map(|piece| piece.evidence.clone()).collect(),
            subject: digest,
            metadata,
            ..blank(step, requirement, held, says, Anchor::policy(policy))
        }
    };
    let in_order_of_steps = |(list, held): (&Vec<RuleResult>, Held)| {
        let mut conclusions: Vec<_> = list.iter().map(|result| one(result, held)).collect();
        conclusions.sort_by_key(|conclusion| conclusion.step);
        conclusions
    };
    lists.into_iter().flat_map(in_order_of_steps).collect()
}

fn blank(step: &'static str, requirement: &str, result: Held, says: impl Into<String>, trust: Anchor) -> Conclusion {
    Conclusion {
        step,
        requirement: requirement.to_owned(),
        result,
        says: says.into(),
        subject: None,
        evidence: Vec::new(),
        signer: None,
        log_entry: None,
        certificate_log: None,
        times: Vec::new(),
        trust,
        metadata: BTreeMap::new(),
    }
}

impl Anchor {
    fn policy(digest: Digest) -> Self {
        Self {
            from: AnchorKind::Policy,
            source: "the operator's policy and flags".to_owned(),
            digest: Some(digest),
            age_days: None,
        }
    }

    fn root(trust: &Trust) -> Self {
        Self { from: AnchorKind::TrustRoot, source: trust.source.clone(), digest: trust.digest, age_days: trust.age_days }
    }

    fn digest(digest: Digest) -> Self {
        Self { from: AnchorKind::Digest, source: "the digest itself".to_owned(), digest: Some(digest), age_days: None }
    }

    fn of_signer(signer: &Signer, trust: &Trust) -> Self {
        match signer {
            Signer::Certificate { .. } | Signer::Other => Self::root(trust),
            Signer::Index { digest } => Self::digest(*digest),
            Signer::Key { digest } => Self {
                from: AnchorKind::PublicKey,
                source: "the operator's public key".to_owned(),
                digest: Some(*digest),
                age_days: None,
            },
        }
    }
}

impl Piece {
    fn is(&self, kind: &str) -> bool {
        self.facts.as_ref().is_some_and(|facts| facts.kind == kind)
    }

    /// What follows from the piece (V6 to V11); nothing when it did not verify.
    pub(super) fn conclusions(&self, trust: &Trust, policy: Digest) -> Vec<Conclusion> {
        let Some(facts) = &self.facts else { return Vec::new() };
        let mut conclusions = facts.signed(trust);
        conclusions.extend(facts.logged(trust));
        conclusions.extend(facts.dated(trust));
        conclusions.extend(facts.certified(trust, policy));
        conclusions.extend(facts.compared(trust));
        for conclusion in &mut conclusions {
            conclusion.subject = Some(facts.subject);
            conclusion.evidence = vec![self.evidence.clone()];
        }
        conclusions
    }
}

impl Facts {
    /// V6.9, V7.
    fn signed(&self, trust: &Trust) -> Vec<Conclusion> {
        let anchor = Anchor::of_signer(&self.signer, trust);
        let (step, requirement, says) = match &self.signer {
            Signer::Index { digest } => {
                ("V6.9", "signed-index", format!("Nobody signed it; the signed index {digest} binds its bytes."))
            }
            Signer::Key { .. } => {
                ("V7.3", "key", "The signature verifies over the bytes as stored, by the operator's key.".to_owned())
            }
            Signer::Certificate { .. } => (
                "V7.1",
                "signature",
                "The signature verifies over the bytes as stored, by the key of the certificate.".to_owned(),
            ),
            Signer::Other => ("V7.1", "signature", "The signature verifies over the bytes as stored.".to_owned()),
        };
        let names = match (self.subject_index, &self.docker_reference) {
            (Some(index), _) => format!("It speaks of this image: subject {index} of the statement."),
            (None, Some(name)) => format!("It speaks of this image, which its signer called {name}."),
            (None, None) => "It speaks of this image.".to_owned(),
        };
        let signed = blank(step, requirement, Held::Passed, says, anchor);
        let about = blank("V7.5", "subject", Held::Passed, names, Anchor::digest(self.subject));
        vec![Conclusion { signer: Some(self.signer.clone()), ..signed }, about]
    }

    /// V8.
    fn logged(&self, trust: &Trust) -> impl Iterator<Item = Conclusion> {
        self.log_entries.iter().map(|entry| {
            let by = match (entry.promise, entry.inclusion_proof) {
                (true, true) => "a promise that the log signed, and a proof that leads to a tree head of the log",
                (true, false) => "a promise that the log signed",
                (false, _) => "a proof that leads to a tree head of the log",
            };
            let says = format!("The log {} holds exactly this signature: {by}.", entry.log);
            let conclusion = blank("V8.1", "transparency-log", Held::Passed, says, Anchor::root(trust));
            Conclusion { log_entry: Some(entry.clone()), ..conclusion }
        })
    }

    /// V9.
    fn dated(&self, trust: &Trust) -> impl Iterator<Item = Conclusion> {
        self.times.iter().map(|time| {
            let (step, by) = match time.source {
                TimeVoucher::LogPromise => ("V9.5", "the promise of the log"),
                TimeVoucher::TimestampAuthority => ("V9.1", "a timestamp of"),
            };
            let says = format!("It was signed at or before {}, by {by} {}.", time.at, time.by);
            let conclusion = blank(step, "verified-time", Held::Passed, says, Anchor::root(trust));
            Conclusion { times: vec![time.clone()], ..conclusion }
        })
    }

    /// V10, V11.
    fn certified(&self, trust: &Trust, policy: Digest) -> Vec<Conclusion> {
        let Signer::Certificate { subject, issuer, authority, .. } = &self.signer else { return Vec::new() };
        let holds = |step, requirement, says: String| blank(step, requirement, Held::Passed, says, Anchor::root(trust));
        let chain = holds("V10.1", "certificate-chain", format!("The certificate leads to the authority {authority}."));
        let valid =
            holds("V10.2", "certificate-validity", "Certificate and authority were valid at every verified time.".to_owned());
        let mut conclusions = vec![chain, Conclusion { times: self.times.clone(), ..valid }];
        conclusions.extend(self.certificate_logs.iter().map(|log| {
            let says = format!("The certificate log {} holds the certificate since {}.", log.log, log.at);
            Conclusion { certificate_log: Some(log.clone()), ..holds("V10.5", "certificate-log", says) }
        }));
        let says = format!("The signer is one that the policy asks for: {subject}, vouched for by {issuer}.");
        conclusions.push(blank("V11.1", "identity", Held::Passed, says, Anchor::policy(policy)));
        conclusions
    }

    /// V11.6, V11.7.
    fn compared(&self, trust: &Trust) -> impl Iterator<Item = Conclusion> {
        self.compared.iter().map(|compared| {
            let step = if compared.of_source { "V11.6" } else { "V11.7" };
            blank(step, compared.what, compared.result, &compared.says, Anchor::root(trust))
        })
    }
}
