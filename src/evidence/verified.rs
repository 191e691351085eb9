//! What a piece of evidence says, after everything about it has been verified.

use std::ops::Deref;

use carnet_bundle::{Digest, Finding, inventory::EvidenceKind, json};
use jiff::Timestamp;
use serde_json::Value;

use crate::provenance::Provenance;

/// A value whose signature, log entry, time and signer have all been verified.
///
/// Only this room can make one: the field is private and there is no `From`.
/// Policy takes `&Verified<T>`, so a rule can never read an unchecked claim.
///
/// ```compile_fail
/// # use carnet_evidence::Verified;
/// let forged = Verified("trust me"); // private field
/// ```
///
/// ```compile_fail
/// # use carnet_evidence::Verified;
/// let forged: Verified<&str> = "trust me".into(); // no conversion
/// ```
#[derive(Clone, Debug)]
pub struct Verified<T>(T);

impl<T> Verified<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(value)
    }
}

impl<T> Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// What a verified piece of evidence says about its subject.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Claim {
    /// Whether it signs the image or attests something about it.
    pub kind: ClaimKind,
    /// The form it was stored in.
    pub form: EvidenceKind,
    /// How findings name the piece of evidence.
    pub evidence: String,
    /// The digest it speaks of: equal to the one it was verified for.
    pub subject: Digest,
    /// Which subject of the statement that is.
    pub subject_index: Option<usize>,
    /// The signed bytes inside the envelope or layer; empty for a signature over
    /// the manifest itself.
    pub payload: Vec<u8>,
    /// `_type` of the statement.
    pub statement_type: Option<String>,
    /// `predicateType` of the statement.
    pub predicate_type: Option<String>,
    /// `docker-reference` of a simple-signing payload: what the signer called the
    /// image, which need not be what it is called here.
    pub docker_reference: Option<String>,
    /// Who signed.
    pub signed_by: SignedBy,
    /// The signature as reports and rules show it.
    pub signature: SignatureObject,
    /// When it was signed, by every source that vouches for a time. Never empty
    /// when a certificate signed.
    pub times: Vec<VerifiedTime>,
    /// Verified entries of transparency logs.
    pub log_records: Vec<LogRecord>,
    /// CT logs that hold the certificate, with the time of logging.
    pub certificate_logs: Vec<(String, Timestamp)>,
    /// For SLSA provenance under a certificate: what the one says of the build
    /// against the other. Nothing is refused for it here; acceptance weighs it.
    pub provenance: Option<Provenance>,
    /// What was passed over on the way: for the record.
    pub notes: Vec<Finding>,
}

/// The two things evidence can be. One never counts as the other (R1.13, R1.14).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum ClaimKind {
    /// A statement about the image with a predicate.
    Attestation,
    /// A signature of the image: simple signing, predicate
    /// `https://sigstore.dev/cosign/sign/v1`, or a signature over the manifest.
    ImageSignature,
}

/// Who signed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum SignedBy {
    /// The holder of a certificate; boxed for its size.
    Certificate(Box<CertificateFacts>),
    /// Nobody: whoever signed this index vouches for the bytes that bind it.
    Index(Digest),
    /// The holder of the operator's key; SHA-256 of its SubjectPublicKeyInfo.
    Key(Digest),
}

/// What the signer's certificate says, read from the verified leaf.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CertificateFacts {
    /// The one subject alternative name.
    pub subject: String,
    /// Who vouched for it (extension 8, or 1 in old certificates).
    pub issuer: String,
    /// Fulcio's extensions by their last number, such as 13 for the source digest.
    pub extensions: std::collections::BTreeMap<u32, String>,
    /// First moment of validity.
    pub not_before: Timestamp,
    /// Last moment of validity.
    pub not_after: Timestamp,
    /// The authority of the trust root that the path ends in.
    pub authority: String,
}

/// A signature as Conforma's reports and rules show it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct SignatureObject {
    /// Hex of the certificate's subject key id; else the `keyid` of the envelope.
    pub keyid: String,
    /// Base64 of the signature.
    pub sig: String,
    /// PEM of the signer's certificate.
    pub certificate: Option<String>,
    /// PEM of the certificates that came along, in their order.
    pub chain: Vec<String>,
    /// Facts of the certificate under Conforma's names.
    pub metadata: Vec<(String, String)>,
}

/// A time and who vouches for it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct VerifiedTime {
    /// The time.
    pub time: Timestamp,
    /// The source.
    pub source: TimeSource,
}

/// Who can vouch for a time.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum TimeSource {
    /// The signed entry timestamp of this log.
    IntegratedTime(String),
    /// An RFC 3161 timestamp of this authority.
    Timestamp(String),
}

/// A verified entry of a transparency log.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct LogRecord {
    /// URL of the log, else its id.
    pub log: String,
    /// Id of the log, hex.
    pub log_id: String,
    /// Index of the entry. Signed by the log where there is a promise, proved by
    /// the path in Rekor version 2; else only said.
    pub log_index: u64,
    /// `kind/version` of the body.
    pub format: String,
    /// The log signed a promise.
    pub has_promise: bool,
    /// A path leads to a tree head that the log signed.
    pub has_proof: bool,
    /// RFC 6962 hash of the entry, hex: what a later proof is bound to.
    pub leaf: String,
}

impl Claim {
    /// The name under which signers are counted: an identity with its issuer, or a
    /// key. `None` where nobody signed the statement itself.
    pub fn signer(&self) -> Option<String> {
        match &self.signed_by {
            SignedBy::Certificate(facts) => Some(format!("{} ({})", facts.subject, facts.issuer)),
            SignedBy::Index(_) => None,
            SignedBy::Key(key) => Some(key.to_string()),
        }
    }

    /// The statement with its members in the order in which they were signed;
    /// `None` when the payload is no statement.
    ///
    /// Parsed anew at each call: a bill of materials is large, and only rules
    /// need it as a tree.
    pub fn statement(&self) -> Option<Value> {
        self.statement_type.as_ref()?;
        json::parse(&self.payload).ok()
    }
}
