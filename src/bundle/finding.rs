//! Findings: what a check has to say, under a stable code.
//!
//! A wrong bundle is not an error of the program, it is a finding in the report.
//! Each room keeps the [`Code`]s of its own checks in its `codes.rs`; the list of
//! all rooms together is documented and held by a snapshot.

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

/// How much a finding weighs in the verdict.
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

/// One thing that a check found out.
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

    /// The same finding with another weight.
    #[must_use]
    pub fn with_severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }

    /// The same finding with another hint.
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
