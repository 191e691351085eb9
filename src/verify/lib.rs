//! The offline verifier: one bundle, the operator's files, one report.
//!
//! [`run`] is a function of its inputs: the container, the operator's documents,
//! flags and the time. The program `carnet-verify` (`main.rs`) reads files and the
//! clock and prints; [`disk`] reads the archive. Nothing on this side of the house
//! can open a socket.
//!
//! Follows `bundle-spec/verify.md`: gate 1 (V1–V4) is [`carnet_bundle::open()`],
//! gate 2 (V5–V11) is [`carnet_evidence::Verifier`], gate 3 (V12–V16) is
//! [`carnet_policy`] and this room.

#![forbid(unsafe_code)]

pub mod attachment;
pub mod cli;
pub mod codes;
pub mod conformance;
pub mod disk;
mod error;
mod inputs;
pub mod inspect;
mod judge;
mod matching;
mod rehearsal;
pub mod replay;
pub mod report;
mod rules;
mod run;
mod trust;
mod weigh;

pub use cli::VerifyArgs;
pub use error::VerifyError;
pub use inputs::{Document, Inputs, TrustInputs};
pub use rehearsal::{Rehearsal, rehearse};
pub use report::Report;
pub use run::run;
