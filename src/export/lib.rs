//! The near side: collects images with all their evidence and writes a bundle.
//!
//! Input is references and where to look for them ([`ExportArgs`]); output is one
//! archive, or no file at all. Everything asked of a source is asked by digest
//! once a tag has been resolved, every byte is hashed here, and every place that
//! was looked at leaves a receipt.
//!
//! What was refused or could not be reached is not "none": then no file is
//! written, unless the operator accepts an incomplete one, which says so itself.
//!
//! The order of what is asked follows `bundle-spec/evidence.md`, "Collection"; the
//! archive follows `bundle-spec/bundle.md`.

#![forbid(unsafe_code)]

mod archive;
mod cache;
mod claims;
mod cli;
mod collect;
mod direct;
mod docker_archive;
mod documents;
mod error;
mod export;
mod layout;
mod loose;
mod pinned;
mod platforms;
mod policy_files;
mod policy_inspect;
mod policy_test;
mod preflight;
mod progress;
mod proofs;
mod record;
mod rehearsal;
mod remote;
mod require;
mod sink;
mod source;
mod sources;
mod summary;
mod terminal;
mod trust;

pub use cli::{ExportArgs, Layers, Proofs, run};
pub use policy_inspect::{InspectPolicyArgs, run as inspect_policy};
pub use policy_test::{TestPolicyArgs, run as test_policy};
pub use require::Requirement;
pub use sources::{PinArgs, pin};
pub use trust::{TrustArgs, run as trust};
