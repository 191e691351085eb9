//! A signed item in one form, whatever form it was stored in.
//!
//! Legacy layers and Sigstore bundles are both read into a [`Signed`], once, and
//! every check and the second verifier work on this value: nothing is parsed
//! twice by two parsers that could disagree.

use std::borrow::Cow;

use carnet_bundle::{Code, Finding};

/// Signature, what it covers, and what vouches for it. All of it unverified.
#[derive(Clone, Debug)]
pub(crate) struct Signed<'a> {
    pub(crate) form: Form,
    pub(crate) content: Content<'a>,
    pub(crate) signature: Signature,
    /// Further signatures over the same content: an envelope that is stored by itself
    /// may have several, a Sigstore bundle has one.
    pub(crate) further: Vec<Signature>,
    pub(crate) material: Material,
    pub(crate) entries: Vec<LogEntry>,
    pub(crate) timestamps: Vec<Vec<u8>>,
    /// The bytes as stored: what the envelope hash of a log entry covers.
    pub(crate) stored: &'a [u8],
}

/// One signature over the content.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Signature {
    pub(crate) bytes: Vec<u8>,
    /// `keyid` of a DSSE signature: a hint that nobody signed.
    pub(crate) keyid: String,
}

/// How it was stored.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Form {
    /// A bare DSSE envelope in a file: signature and nothing else.
    BareEnvelope,
    /// A Sigstore bundle of version 0.N.
    Bundle(u8),
    /// A layer of cosign's `.att` image.
    LegacyAttestation,
    /// A layer of cosign's `.sig` image.
    LegacySignature,
}

/// What is signed.
#[derive(Clone, Debug)]
pub(crate) enum Content<'a> {
    /// The artifact itself; the digest is a hint by the signer's client.
    Artifact { digest: Option<(String, Vec<u8>)> },
    /// A DSSE envelope.
    Envelope { payload_type: String, payload: Vec<u8> },
    /// A simple-signing payload.
    SimpleSigning { payload: Cow<'a, [u8]> },
}

/// What the evidence brings along to verify the signature with.
#[derive(Clone, Debug)]
pub(crate) enum Material {
    /// DER certificates: the signer's, and what may stand above it.
    Certificate { leaf: Vec<u8>, chain: Vec<Vec<u8>> },
    /// Nothing: the key comes from the operator. The hint is nobody's word.
    Key { hint: String },
}

/// One entry of a transparency log.
#[derive(Clone, Debug)]
pub(crate) struct LogEntry {
    pub(crate) log_id: [u8; 32],
    pub(crate) log_index: u64,
    pub(crate) kind: String,
    pub(crate) version: String,
    /// Seconds since 1970; what a signed entry timestamp covers.
    pub(crate) integrated_time: Option<i64>,
    pub(crate) promise: Option<Vec<u8>>,
    pub(crate) proof: Option<InclusionProof>,
    pub(crate) body: Vec<u8>,
}

/// A Merkle path with the signed tree head it leads to.
#[derive(Clone, Debug)]
pub(crate) struct InclusionProof {
    pub(crate) log_index: u64,
    pub(crate) root_hash: [u8; 32],
    pub(crate) tree_size: u64,
    pub(crate) hashes: Vec<[u8; 32]>,
    pub(crate) checkpoint: String,
}

/// A reason not to believe: the code and both sides of what disagrees.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Refusal {
    pub(crate) code: &'static Code,
    pub(crate) message: String,
}

impl Signed<'_> {
    /// All signatures, as they stand.
    pub(crate) fn signatures(&self) -> impl Iterator<Item = &Signature> {
        std::iter::once(&self.signature).chain(&self.further)
    }
}

impl From<Vec<u8>> for Signature {
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes, keyid: String::new() }
    }
}

impl Refusal {
    /// Makes a refusal.
    pub(crate) fn new(code: &'static Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// As a finding about the piece of evidence `about`.
    pub(crate) fn into_finding(self, about: &str) -> Finding {
        Finding::new(self.code, about, self.message)
    }
}

impl LogEntry {
    /// Whether it is an entry of a Rekor version 2 log, which signs tree heads
    /// only and no times.
    pub(crate) fn is_rekor_v2(&self) -> bool {
        matches!((self.kind.as_str(), self.version.as_str()), ("hashedrekord" | "dsse", "0.0.2"))
    }

    /// `kind/version`, for messages.
    pub(crate) fn format(&self) -> String {
        format!("{}/{}", self.kind, self.version)
    }
}
