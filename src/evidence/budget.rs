//! Bounds on what one piece of evidence may ask of its reader.
//!
//! The numbers of log entries, timestamps, subjects and digests are those of
//! sigstore-go (CVE-2024-45395: endless data); sizes are bytes.

/// Layers of one legacy manifest that are looked at.
pub(crate) const LAYERS: usize = 1_000;
/// Log entries of one bundle.
pub(crate) const LOG_ENTRIES: usize = 32;
/// Timestamps of one bundle.
pub(crate) const TIMESTAMPS: usize = 32;
/// Subjects of one statement.
pub(crate) const SUBJECTS: usize = 1_024;
/// Signatures of one envelope that is stored by itself; real ones have one or two.
pub(crate) const SIGNATURES: usize = 16;
/// The longest statement whose predicate is kept as a tree from one step to the next;
/// of a longer one it is made anew where it is asked about.
pub(crate) const KEPT_PREDICATE: usize = 16 * 1024;
/// Digests of one subject.
pub(crate) const SUBJECT_DIGESTS: usize = 32;
/// Certificates beside the leaf; real chains have at most three.
pub(crate) const CHAIN: usize = 10;
/// One certificate; real ones stay below 4 KiB.
pub(crate) const CERTIFICATE: usize = 64 * 1024;
/// One timestamp token; real ones with certificates stay below 8 KiB.
pub(crate) const TOKEN: usize = 64 * 1024;
/// One signed entry timestamp or signature; RSA 8192 has 1 KiB.
pub(crate) const SIGNATURE: usize = 8 * 1024;
/// One log entry body. Bodies of Rekor hold hashes and a certificate.
pub(crate) const ENTRY_BODY: usize = 1024 * 1024;
/// One checkpoint, and its signature lines.
pub(crate) const CHECKPOINT: usize = 64 * 1024;
/// Signature lines of one checkpoint.
pub(crate) const CHECKPOINT_SIGNATURES: usize = 32;
/// Hashes of one inclusion proof: a tree has at most 2^64 leaves.
pub(crate) const PROOF_HASHES: usize = 64;
/// One simple-signing payload; real ones have about 250 bytes and annotations.
pub(crate) const SIMPLE_SIGNING: usize = 1024 * 1024;
/// One Sigstore bundle or DSSE envelope; cosign's own bound for attachments.
pub(crate) const ENVELOPE: usize = 128 * 1024 * 1024;
/// One trusted_root.json; real ones have 7 to 30 KiB.
pub(crate) const TRUST_ROOT: usize = 4 * 1024 * 1024;
/// One TUF metadata file; real ones have 0.5 to 10 KiB.
pub(crate) const TUF_METADATA: usize = 4 * 1024 * 1024;
/// Signatures of one TUF metadata file; real ones have at most ten.
pub(crate) const TUF_SIGNATURES: usize = 64;
/// The longest identity pattern and its compiled size.
pub(crate) const PATTERN: usize = 1 << 20;
/// Payloads up to this size are put to the second verifier as well. It keeps three
/// more copies and the whole statement as a tree.
pub(crate) const SECOND_VERIFIER: usize = 16 * 1024 * 1024;
