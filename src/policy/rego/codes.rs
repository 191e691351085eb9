//! Findings of the rules.

use carnet_bundle::{Code, Severity};

/// A function failed, so its rule went on as if it had no value.
pub static FUNCTION_UNDEFINED: Code = Code {
    name: "function-undefined",
    step: "V15.3",
    severity: Severity::Warning,
    summary: "a function that a rule called failed and counts as undefined, as in Conforma; the rule may have missed something because of it",
    hint: "look at the call: the rule may have to check its operands first",
};

/// An include criterion matched no rule.
pub static INCLUDE_MATCHES_NOTHING: Code = Code {
    name: "include-matches-nothing",
    step: "V15.2",
    severity: Severity::Failure,
    summary: "an include criterion matches no rule, so what it was meant to ask for was not asked",
    hint: "correct the criterion: `package`, `package.rule`, `package.rule:term` or `@collection`; a package goes by its last name",
};

/// A package that Conforma would silently leave out.
pub static PACKAGE_SKIPPED_BY_CONFORMA: Code = Code {
    name: "package-skipped-by-conforma",
    step: "V15.2",
    severity: Severity::Note,
    summary: "the package is selected and was evaluated; Conforma chooses packages by their first name and without terms and components, and would silently not evaluate it",
    hint: "give the package a name of one word if Conforma is to evaluate it, too",
};

/// One code in `deny` and `warn`.
pub static CODE_IN_DENY_AND_WARN: Code = Code {
    name: "code-in-deny-and-warn",
    step: "V15.4",
    severity: Severity::Failure,
    summary: "a deny rule and a warn rule report under one code, and Conforma shows what was denied as a warning",
    hint: "give the two rules different codes",
};

/// A message without text.
pub static EMPTY_MESSAGE: Code = Code {
    name: "empty-message",
    step: "V15.4",
    severity: Severity::Failure,
    summary: "a deny or warn rule fired with an empty message, which Conforma counts as a pass",
    hint: "give the rule a message",
};

/// A deny that is not a set.
pub static DENY_IS_NOT_A_SET: Code = Code {
    name: "deny-is-not-a-set",
    step: "V15.4",
    severity: Severity::Failure,
    summary: "a deny or warn rule has a value that is not a set of messages, and Conforma takes it for a pass",
    hint: "write the rule with `contains`",
};

/// Every violation was trimmed, and none is left that explains it.
pub static VIOLATION_TRIMMED: Code = Code {
    name: "violation-trimmed",
    step: "V15.4",
    severity: Severity::Failure,
    summary: "a violation depends on a rule that only warned, or on itself, and Conforma leaves it out: nothing that denies is left",
    hint: "correct `depends_on` of the rule, or make the rule that it depends on effective",
};

/// A rule was suppressed by an exception.
pub static RULE_EXCEPTED: Code = Code {
    name: "rule-excepted",
    step: "V15.4",
    severity: Severity::Warning,
    summary: "an `exception` rule of the policy suppressed what a rule reported",
    hint: "look at the exception: what it suppresses stands in no other list",
};

/// A success although the rule reported something.
pub static PASS_BY_EXCLUSION: Code = Code {
    name: "pass-by-exclusion",
    step: "V15.4",
    severity: Severity::Note,
    summary: "the rule is listed as passed because everything it reported was excluded",
    hint: "look at the exclude criteria if this is not what you expect",
};

/// A severity that is none.
pub static SEVERITY_UNKNOWN: Code = Code {
    name: "severity-unknown",
    step: "V15.4",
    severity: Severity::Warning,
    summary: "a result has a severity that is neither `failure` nor `warning`; it is ignored, as in Conforma",
    hint: "correct the severity in the rule",
};

/// A date that is none.
pub static EFFECTIVE_ON_UNREADABLE: Code = Code {
    name: "effective-on-unreadable",
    step: "V15.4",
    severity: Severity::Warning,
    summary: "the effective date of a rule is not of the form 2006-01-02T15:04:05Z; the rule counts as effective, as in Conforma",
    hint: "correct the date in the rule",
};

/// A temporary include whose window cannot be read.
pub static VOLATILE_INCLUDE_UNREADABLE: Code = Code {
    name: "volatile-include-unreadable",
    step: "V15.2",
    severity: Severity::Failure,
    summary: "the window of a volatile include criterion cannot be read, so the rules it asks for were not asked",
    hint: "write effectiveOn and effectiveUntil as RFC 3339 times or as dates",
};

/// A temporary exclude whose window cannot be read.
pub static VOLATILE_EXCLUDE_UNREADABLE: Code = Code {
    name: "volatile-exclude-unreadable",
    step: "V15.2",
    severity: Severity::Warning,
    summary: "the window of a volatile exclude criterion cannot be read, so it excludes nothing",
    hint: "write effectiveOn and effectiveUntil as RFC 3339 times or as dates",
};

/// All of them.
pub static ALL: &[&Code] = &[
    &FUNCTION_UNDEFINED,
    &INCLUDE_MATCHES_NOTHING,
    &PACKAGE_SKIPPED_BY_CONFORMA,
    &CODE_IN_DENY_AND_WARN,
    &EMPTY_MESSAGE,
    &DENY_IS_NOT_A_SET,
    &VIOLATION_TRIMMED,
    &RULE_EXCEPTED,
    &PASS_BY_EXCLUSION,
    &SEVERITY_UNKNOWN,
    &EFFECTIVE_ON_UNREADABLE,
    &VOLATILE_INCLUDE_UNREADABLE,
    &VOLATILE_EXCLUDE_UNREADABLE,
];
