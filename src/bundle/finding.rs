//! Findings: what a check has to say, under a stable code.
//!
//! A wrong bundle is not an error of the program, it is a finding in the report.
//! Each room declares the [`Code`]s of its own checks in its `codes.rs`, with
//! [`codes!`](crate::codes!). The rooms together are listed in `docs/findings.md`
//! and in the steps of `bundle-spec/verify.md`; tests hold all three to each other.

use serde::Serialize;

/// One kind of finding: its stable name, the step that makes it, what it means.
#[derive(Debug, Eq, PartialEq)]
pub struct Code {
    /// Kebab-case name; never reused for another meaning.
    pub name: &'static str,
    /// Step of `bundle-spec/verify.md`, such as `V3.2`.
    pub step: &'static str,
    /// How much it weighs when nothing changes it.
    pub severity: Severity,
    /// One sentence for the documentation.
    pub summary: &'static str,
    /// What the reader can do about it.
    pub hint: &'static str,
}

/// Declares the finding codes of a room: a `static` [`Code`] for each, and `ALL`,
/// the list of them in the order written.
///
/// A summary is a sentence. A hint says what to do, is written without a full
/// stop since it stands behind `hint:`, and is empty where nothing is to be done.
///
/// ```
/// carnet_bundle::codes! {
///     SEAL_BROKEN = "seal-broken" "V1.1" Failure
///         "The seal of the crate is broken."
///         "send it back";
/// }
/// assert_eq!(ALL, [&SEAL_BROKEN]);
/// ```
#[macro_export]
macro_rules! codes {
    ($($id:ident = $name:literal $step:literal $severity:ident $summary:literal $hint:literal;)*) => {
        $(
            #[doc = $summary]
            pub static $id: $crate::Code = $crate::Code {
                name: $name,
                step: $step,
                severity: $crate::Severity::$severity,
                summary: $summary,
                hint: $hint,
            };
        )*
        /// Every code of this room.
        pub static ALL: &[&$crate::Code] = &[$(&$id),*];
    };
}

/// How much a finding weighs in the verdict (`bundle-spec/verify.md`, "Outcomes").
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Said for the record.
    Note,
    /// Deserves a look; does not fail the verdict.
    Warning,
    /// The verdict is fail.
    Failure,
}

/// One thing that a check found out; in JSON as `bundle-spec/schema/finding.json` has it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Finding {
    /// Stable kebab-case name, see the list of finding codes.
    pub code: &'static str,
    /// Step of `bundle-spec/verify.md`.
    pub step: &'static str,
    /// Weight in the verdict.
    pub severity: Severity,
    /// What it is about: a digest, a member name, a reference. Empty for the
    /// bundle as a whole.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub subject: String,
    /// What is the matter, both sides of a mismatch included.
    pub message: String,
    /// What the reader can do about it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub hint: String,
}

impl Finding {
    /// Makes a finding of the code's own severity and hint.
    pub fn new(code: &'static Code, subject: impl ToString, message: impl Into<String>) -> Self {
        Self {
            code: code.name,
            step: code.step,
            severity: code.severity,
            subject: subject.to_string(),
            message: message.into(),
            hint: code.hint.to_owned(),
        }
    }

    /// The same finding with another weight: what a flag or the trust policy made of it.
    #[must_use]
    pub fn with_severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }

    /// The same finding with a hint that knows more than its code does.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    /// Whether it makes the verdict a fail.
    pub fn is_failure(&self) -> bool {
        self.severity == Severity::Failure
    }
}
