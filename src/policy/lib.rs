//! Is it acceptable? The two files of the operator and the built-in checks.
//!
//! Input is the bytes of images.yaml and policy.yaml and what the evidence room
//! has verified; output is an outcome per component. Nothing here opens a file, a
//! socket or a clock: `now` is a parameter, and a key that the policy names by
//! path is handed back for the caller to read.
//!
//! The normative texts are `bundle-spec/images.md` and `bundle-spec/policy.md`;
//! step numbers such as `V12.1` refer to `bundle-spec/verify.md`.

#![forbid(unsafe_code)]

pub mod checks;
pub mod codes;
pub mod document;
pub mod images;
pub mod input;
pub mod outcome;
pub mod rego;
pub mod slsa;
pub mod sources;
mod spelling;
pub mod time;
pub mod yaml;

pub use document::{Policy, PolicyError};
pub use images::{Component, Images, ImagesError};
pub use outcome::{ComponentOutcome, RuleResult};
pub use time::{EffectiveTime, TimeError};
pub use yaml::{Place, Reading, YamlError};
