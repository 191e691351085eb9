//! The rule engine: Conforma's rules, evaluated offline.
//!
//! Rules are written in Rego. They are evaluated by the `regorus` crate, which
//! differs from OPA in ways that would let a bad image pass; so the files are
//! parsed, checked and rewritten first, and functions that Go and Rust have
//! differently are replaced. Nothing of `regorus` is part of this module's
//! interface.

mod annotations;
mod builtins;
mod check;
pub mod codes;
mod criteria;
mod data;
mod engine;
mod error;
mod functions;
mod graph;
mod group;
mod inspect;
mod ir;
pub mod listing;
mod lower;
mod normalise;
mod plain;
mod print;
mod program;
mod recall;
mod registry;
mod results;
mod safety;
mod scan;
mod selection;
mod session;
mod syntax;
mod tester;
mod xref;

pub(crate) use builtins::oci::files_below;
pub use data::{Configuration, Data, DataError};
pub use error::{CheckError, CheckKind, EvaluationError, LoadError, Location, SyntaxError};
pub use group::{Group, GroupOutcome, Settings, Target};
pub use inspect::{RuleInfo, RuleKind};
pub use listing::{Listed, Listing};
pub use program::File;
pub use registry::{
    Answer, Head, LookupError, ManifestBytes, NoRegistry, Question, Referrer, Registry, SignerOptions, Verified,
    VerifiedAttestation, VerifiedSignature,
};
pub use selection::Filter;
pub use session::{Limits, Lookup, Undefined};
pub use tester::{Test, TestResult, TestRule, Tests, run_tests};
