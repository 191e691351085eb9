//! What a proof is made of: the facts of each piece of evidence, and the receipts.
//!
//! Filled by the run only when a form asks for it. The payloads stay where they
//! are; a proof names them by digest.

use std::collections::BTreeMap;

use carnet_bundle::{
    Bundle, Digest, Finding, Platform,
    inventory::{Absence, ChildState, EvidenceKind, Receipt},
};
use carnet_evidence::{Claim, ClaimKind, Comparison, LogRecord, SignedBy, TimeSource, VerifiedTime};
use carnet_policy::{
    checks::{Evidence, Refused},
    document::Authority,
};
use jiff::Timestamp;
use serde::Serialize;

use super::Held;

/// The facts behind a report that only a proof shows.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// Who must have signed, where that is asked by name; empty for a key.
    pub identity: BTreeMap<&'static str, String>,
    /// The evidence about each component, in the order of the report's components.
    pub evidence: Vec<Vec<Piece>>,
    /// Every place that was looked at for evidence, and the answer.
    pub receipts: Vec<Receipt>,
    /// Blobs that the bundle names and does not hold.
    pub absent: Vec<Absence>,
    /// Children of indexes that were left out at export.
    pub omitted: Vec<Omitted>,
}

/// A child of an index that did not travel.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Omitted {
    /// The index.
    pub index: Digest,
    /// The child.
    pub child: Digest,
    /// Its platform as the index gives it.
    pub platform: String,
}

/// One piece of evidence.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Piece {
    /// How findings name it: the digest of its manifest or file, and the layer.
    pub evidence: String,
    /// That digest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// The form it is stored in.
    pub form: EvidenceKind,
    /// Whether everything that is asked of it was found to hold.
    pub result: Held,
    /// What it says; none when it did not verify: nothing it says is repeated then.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub facts: Option<Facts>,
    /// Why it was refused, or what was passed over on the way.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
}

/// What a verified piece of evidence says.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Facts {
    /// `image-signature` or `attestation`.
    pub kind: &'static str,
    /// The digest it speaks of.
    pub subject: Digest,
    /// Which subject of the statement that is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject_index: Option<usize>,
    /// `_type` of the statement.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statement_type: Option<String>,
    /// `predicateType` of the statement.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub predicate_type: Option<String>,
    /// What the signer called the image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub docker_reference: Option<String>,
    /// Who signed.
    #[serde(skip)]
    pub signer: Signer,
    /// When, and who says so.
    #[serde(skip)]
    pub times: Vec<Time>,
    /// Where it was logged.
    #[serde(skip)]
    pub log_entries: Vec<LogEntry>,
    /// Where the certificate was logged.
    #[serde(skip)]
    pub certificate_logs: Vec<CertificateLog>,
    /// Certificate against provenance, by what is compared.
    #[serde(skip)]
    pub compared: Vec<Compared>,
}

/// Who signed.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase", rename_all_fields = "camelCase")]
pub enum Signer {
    /// The holder of a certificate.
    Certificate {
        /// Its subject alternative name.
        subject: String,
        /// Who vouched for that name.
        issuer: String,
        /// The authority of the trust root that its path ends in.
        authority: String,
        /// First moment of validity.
        not_before: Timestamp,
        /// Last moment of validity.
        not_after: Timestamp,
        /// Fulcio's extensions by their last number.
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        extensions: BTreeMap<u32, String>,
    },
    /// Somebody, in a way that this version has no words for.
    Other,
    /// Nobody: the signed index with this digest binds it.
    Index {
        /// The index.
        digest: Digest,
    },
    /// The holder of the operator's key.
    Key {
        /// SHA-256 of its SubjectPublicKeyInfo.
        digest: Digest,
    },
}

/// A verified time.
#[derive(Clone, Debug, Serialize)]
pub struct Time {
    /// The time.
    pub at: Timestamp,
    /// What sort of source vouches for it.
    pub source: TimeVoucher,
    /// Its name.
    pub by: String,
}

/// What sort of source vouches for a time.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TimeVoucher {
    /// The promise of a transparency log.
    LogPromise,
    /// An RFC 3161 timestamp.
    TimestampAuthority,
}

/// An entry of a transparency log.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LogEntry {
    /// URL of the log, else its id.
    pub log: String,
    /// Id of the log, hex.
    pub log_id: String,
    /// Index of the entry.
    pub index: u64,
    /// `kind/version` of its body.
    pub format: String,
    /// The log signed a promise.
    pub promise: bool,
    /// A path leads to a tree head that the log signed.
    pub inclusion_proof: bool,
    /// RFC 6962 hash of the entry, hex.
    pub leaf: String,
}

/// A certificate log that holds the signer's certificate.
#[derive(Clone, Debug, Serialize)]
pub struct CertificateLog {
    /// The log.
    pub log: String,
    /// When it promised to hold it.
    pub at: Timestamp,
}

/// One statement of a certificate against the provenance that it signed.
#[derive(Clone, Debug)]
pub struct Compared {
    /// What both may speak of, such as `source commit`.
    pub what: &'static str,
    /// Whether V11.6 asks it; else V11.7.
    pub of_source: bool,
    /// What came of it.
    pub result: Held,
    /// Both sides, or why they cannot be compared.
    pub says: String,
}

impl Ledger {
    /// The facts of a judged bundle; `evidence` in the order of its components.
    pub(crate) fn new<'e>(bundle: &Bundle, asked: &Authority, evidence: impl Iterator<Item = Option<Evidence<'e>>>) -> Self {
        let inventory = bundle.inventory();
        let omitted = inventory.subjects.iter().flat_map(|subject| {
            let absent = subject.children.iter().filter(|child| child.state == ChildState::Omitted);
            absent.map(|child| Omitted { index: subject.digest, child: child.digest, platform: named(child.platform.as_ref()) })
        });
        Self {
            identity: identity(asked),
            evidence: evidence.map(|evidence| evidence.map(pieces).unwrap_or_default()).collect(),
            receipts: inventory.looked_for.clone(),
            absent: inventory.absent.clone(),
            omitted: omitted.collect(),
        }
    }
}

/// The identity under the names of policy.yaml, whether it stood there or in flags.
fn identity(asked: &Authority) -> BTreeMap<&'static str, String> {
    let Authority::Identity(identity) = asked else { return BTreeMap::new() };
    let members = [
        ("issuer", &identity.issuer),
        ("issuerRegExp", &identity.issuer_reg_exp),
        ("subject", &identity.subject),
        ("subjectRegExp", &identity.subject_reg_exp),
    ];
    members.into_iter().filter(|(_, text)| !text.is_empty()).map(|(name, text)| (name, text.clone())).collect()
}

fn pieces(evidence: Evidence<'_>) -> Vec<Piece> {
    evidence.verified.iter().map(|claim| verified(claim)).chain(evidence.refused.iter().map(refused)).collect()
}

fn verified(claim: &Claim) -> Piece {
    let facts = Facts {
        kind: if claim.kind == ClaimKind::ImageSignature { "image-signature" } else { "attestation" },
        subject: claim.subject,
        subject_index: claim.subject_index,
        statement_type: claim.statement_type.clone(),
        predicate_type: claim.predicate_type.clone(),
        docker_reference: claim.docker_reference.clone(),
        signer: Signer::from(&claim.signed_by),
        times: claim.times.iter().map(Time::from).collect(),
        log_entries: claim.log_records.iter().map(LogEntry::from).collect(),
        certificate_logs: claim.certificate_logs.iter().map(|(log, at)| CertificateLog { log: log.clone(), at: *at }).collect(),
        compared: claim.provenance.as_ref().map(compared).unwrap_or_default(),
    };
    Piece {
        evidence: claim.evidence.clone(),
        digest: first_digest(&claim.evidence),
        form: claim.form,
        result: Held::Passed,
        facts: Some(facts),
        findings: claim.notes.clone(),
    }
}

fn refused(refused: &Refused) -> Piece {
    let evidence = refused.findings.first().map(|finding| finding.subject.clone()).unwrap_or_default();
    Piece {
        digest: first_digest(&evidence),
        evidence,
        form: refused.form,
        result: Held::NotCounted,
        facts: None,
        findings: refused.findings.clone(),
    }
}

fn first_digest(evidence: &str) -> Option<Digest> {
    evidence.split(' ').next()?.parse().ok()
}

fn named(platform: Option<&Platform>) -> String {
    let Some(platform) = platform else { return String::new() };
    let parts = [Some(&platform.os), Some(&platform.architecture), platform.variant.as_ref()];
    parts.into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join("/")
}

fn compared(provenance: &carnet_evidence::Provenance) -> Vec<Compared> {
    let one = |of_source: bool, (what, comparison): (&'static str, &Comparison)| {
        let (result, says) = match comparison {
            Comparison::Consistent => (Held::Passed, "certificate and provenance say the same".to_owned()),
            Comparison::Contradicts(both) => (Held::Contradicted, both.clone()),
            Comparison::NotComparable(why) => (Held::NotComparable, why.clone()),
        };
        Compared { what, of_source, result, says }
    };
    let source = provenance.source().map(|compared| one(true, compared));
    source.into_iter().chain(provenance.build().map(|compared| one(false, compared))).collect()
}

impl From<&SignedBy> for Signer {
    fn from(signed_by: &SignedBy) -> Self {
        match signed_by {
            SignedBy::Certificate(facts) => Self::Certificate {
                subject: facts.subject.clone(),
                issuer: facts.issuer.clone(),
                authority: facts.authority.clone(),
                not_before: facts.not_before,
                not_after: facts.not_after,
                extensions: facts.extensions.clone(),
            },
            SignedBy::Index(digest) => Self::Index { digest: *digest },
            SignedBy::Key(digest) => Self::Key { digest: *digest },
            _ => Self::Other,
        }
    }
}

impl From<&VerifiedTime> for Time {
    fn from(time: &VerifiedTime) -> Self {
        let (source, by) = match &time.source {
            TimeSource::Timestamp(authority) => (TimeVoucher::TimestampAuthority, authority.clone()),
            TimeSource::IntegratedTime(log) => (TimeVoucher::LogPromise, log.clone()),
            other => (TimeVoucher::LogPromise, format!("{other:?}")),
        };
        Self { at: time.time, source, by }
    }
}

impl From<&LogRecord> for LogEntry {
    fn from(record: &LogRecord) -> Self {
        Self {
            log: record.log.clone(),
            log_id: record.log_id.clone(),
            index: record.log_index,
            format: record.format.clone(),
            promise: record.has_promise,
            inclusion_proof: record.has_proof,
            leaf: record.leaf.clone(),
        }
    }
}
