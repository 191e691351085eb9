//! Why rules could not be loaded or evaluated.

use std::{fmt, sync::Arc};

/// Where something stands in a policy file.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Location {
    /// Name of the file, as the caller gave it.
    pub file: Arc<str>,
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1; 0 when only the line is known.
    pub column: u32,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)?;
        if self.column > 0 {
            write!(f, ":{}", self.column)?;
        }
        Ok(())
    }
}

/// A policy file that is not Rego.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{at}: {reason}")]
pub struct SyntaxError {
    /// Where the reader stopped.
    pub at: Location,
    /// What it says.
    pub reason: String,
}

/// A rule that must not be evaluated, with the reason in OPA's words where OPA
/// refuses it too.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{at}: {kind}: {reason}")]
pub struct CheckError {
    /// Where it stands.
    pub at: Location,
    /// Sort of mistake.
    pub kind: CheckKind,
    /// What is the matter.
    pub reason: String,
}

/// Sorts of mistakes, named as in OPA.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum CheckKind {
    /// Structure: conflicting, shadowing or unsupported.
    Compile,
    /// A rule that depends on itself.
    Recursion,
    /// An unknown or forbidden function, a wrong number of arguments.
    Type,
    /// A variable that nothing binds.
    UnsafeVar,
}

impl fmt::Display for CheckKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Compile => "rego_compile_error",
            Self::Recursion => "rego_recursion_error",
            Self::Type => "rego_type_error",
            Self::UnsafeVar => "rego_unsafe_var_error",
        })
    }
}

/// Why a group of rules cannot be used: no verdict.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// A `# METADATA` block that cannot be read.
    #[error("{at}: annotations: {reason}")]
    Annotation {
        /// Where the block or its faulty line stands.
        at: Location,
        /// What is the matter.
        reason: String,
    },
    /// Rules that must not be evaluated.
    #[error("{}", list(.0))]
    Check(Vec<CheckError>),
    /// Two annotated rules with one code.
    #[error("found a second rule with the same code: `{code}` at {second}, first at {first}")]
    DuplicateCode {
        /// The code.
        code: String,
        /// Where the first rule stands.
        first: Location,
        /// Where the second rule stands.
        second: Location,
    },
    /// The engine does not take the rules.
    #[error("{at}: {reason}")]
    Engine {
        /// Where it stopped; the file is empty when it does not say.
        at: Location,
        /// What it says.
        reason: String,
    },
    /// More or larger files than this reader takes.
    #[error("{file}: limit exceeded: more than {limit} {what}")]
    LimitExceeded {
        /// The file.
        file: Arc<str>,
        /// What was counted.
        what: &'static str,
        /// The bound.
        limit: usize,
    },
    /// No rules at all.
    #[error("no rego files found in policy subdirectory")]
    NoRules,
    /// Not Rego.
    #[error(transparent)]
    Syntax(#[from] SyntaxError),
    /// A `deny` or `warn` that is not a set of messages.
    #[error("the rule \"{rule}\" returns an unsupported value, at {at}")]
    UnsupportedRule {
        /// The rule as written.
        rule: String,
        /// Where it stands.
        at: Location,
    },
}

fn list(errors: &[CheckError]) -> String {
    let lines: Vec<_> = errors.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

/// Why an evaluation ended without an outcome: no verdict.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EvaluationError {
    /// A rule failed at run time.
    #[error("evaluating policy: {namespace}: {at}: {reason}")]
    Failed {
        /// The package whose evaluation failed.
        namespace: String,
        /// Where; the file is empty when the engine does not say.
        at: Location,
        /// What is the matter.
        reason: String,
    },
    /// A bound of time or memory.
    #[error("limit exceeded: {what} while evaluating {namespace}")]
    LimitExceeded {
        /// The bound.
        what: String,
        /// What was evaluated.
        namespace: String,
    },
    /// A question to the registry that has no trustworthy answer.
    #[error("{rule}: {builtin}: {source}")]
    Lookup {
        /// The rule that asked.
        rule: String,
        /// The function it called.
        builtin: String,
        /// Why there is no answer.
        source: super::registry::LookupError,
    },
    /// No rule passed, warned or failed.
    #[error("no successes, warnings, or failures, check input")]
    NothingEvaluated,
    /// An element of `deny` or `warn` that is not a message.
    #[error("evaluating policy: {rule}: unexpected policy result: {value}")]
    UnexpectedResult {
        /// The rule.
        rule: String,
        /// The element.
        value: String,
    },
}
