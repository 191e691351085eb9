//! Is it authentic? Signatures, transparency logs, timestamps, certificates.
//!
//! Input is [`Evidence`], the unverified word, together with a [`TrustRoot`] and
//! [`Rules`] that come from the operator, never from the bundle. Output is a
//! [`Verified`] claim or the findings that say why not. Nothing here opens a
//! file, a socket or a clock; `now` is a parameter and takes no part in the
//! validity of a signature.
//!
//! Every piece of evidence is judged by the steps of this room, and what the
//! `sigstore-verify` crate can judge (the kinds that it knows, up to 16 MiB) is
//! judged by that crate as well: a claim is verified only when both agree. That
//! crate is reached through the module `backend` alone. It reads the clock of the
//! host for one purpose: a log entry or a key window from the future is refused.
//! This is the one exception to the rule above; it can only refuse, and says so as
//! `host-clock-implausible`.
//!
//! The normative text is `bundle-spec/evidence.md`; step numbers such as `V8.4`
//! refer to `bundle-spec/verify.md`.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let (root_json, manifest_bytes): (Vec<u8>, Vec<u8>) = Default::default();
//! # let (subject, digest): (carnet_bundle::Digest, carnet_bundle::Digest) = (carnet_bundle::Digest::of(b""), carnet_bundle::Digest::of(b""));
//! # let blobs = std::collections::BTreeMap::<carnet_bundle::Digest, Vec<u8>>::new();
//! use carnet_evidence::{Identity, Rules, Signer, TrustRoot, TrustSource, Verifier, from_manifest};
//!
//! let root = TrustRoot::parse(&root_json, TrustSource::File("trusted_root.json".into()))?;
//! let identity = Identity::exact("release@example.com", "https://accounts.example.com")?;
//! let rules = Rules::new(Signer::Identities(vec![identity]));
//! let verifier = Verifier::new(root, rules, "2026-11-25T00:00:00Z".parse()?)?;
//!
//! let manifest = carnet_bundle::Manifest::parse(&manifest_bytes, carnet_bundle::media::OCI_MANIFEST)?;
//! let (items, _notes) = from_manifest(&subject, &digest, &manifest, &|d| blobs.get(d).map(Vec::as_slice));
//! for item in &items {
//!     match verifier.verify(item, &subject) {
//!         Ok(claim) => println!("{:?}", claim.predicate_type),
//!         Err(findings) => println!("{findings:?}"),
//!     }
//! }
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]

mod backend;
mod binding;
mod budget;
mod certificate;
mod chain;
mod checkpoint;
pub mod codes;
mod der;
mod encoding;
mod entry_body;
mod envelope;
mod evidence;
mod fields;
mod identity;
mod kind;
mod legacy;
mod log;
mod log_proof;
mod merkle;
mod provenance;
mod public_key;
mod rules;
mod sct;
mod sigbundle;
mod signature;
mod signed;
mod simple_signing;
mod statement;
mod subject_name;
mod timestamp;
pub mod trust_policy;
mod trust_root;
pub mod tuf;
mod verified;
mod verifier;

#[cfg(test)]
#[path = "../../tests/fuzz_evidence.rs"]
mod fuzz;
#[cfg(test)]
#[path = "../../tests/fuzz/random.rs"]
mod random;
#[cfg(test)]
#[path = "../../tests/fuzz/target.rs"]
mod target;

pub use backend::install_crypto_provider;
pub use checkpoint::Witness;
pub use evidence::{Evidence, LooseError, claimed_subjects, from_loose_file, from_manifest};
pub use identity::{Identity, IdentityError};
pub use kind::{Classification, classify};
pub use log_proof::{KnownLog, LogProofError, LogProofs, Vouched, log_leaf};
pub use provenance::{Comparison, Provenance};
pub use public_key::{KeyAlgorithm, KeyError, PublicKey};
pub use rules::{KeyScheme, RepositoryRule, Requirements, Rules, Signer, TimeSources};
pub use timestamp::{TimestampAuthorities, TimestampError, TimestampVerified, check_imprint};
pub use trust_policy::{TrustPolicy, TrustPolicyError};
pub use trust_root::{TrustParts, TrustRoot, TrustRootError, TrustSource, Window};
pub use verified::{
    CertificateFacts, Claim, ClaimKind, LogRecord, SignatureObject, SignedBy, TimeSource, Verified, VerifiedTime,
};
pub use verifier::{Subject, Verifier, VerifierError};
