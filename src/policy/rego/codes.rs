//! Findings of the rules.

carnet_bundle::codes! {
    FUNCTION_UNDEFINED = "function-undefined" "V15.2" Warning
        "A function that a rule called failed and counts as undefined, as in Conforma; the rule may have missed something because of it."
        "look at the call: the rule may have to check its operands first";
    INCLUDE_MATCHES_NOTHING = "include-matches-nothing" "V15.3" Failure
        "An include criterion matches no rule, so what it was meant to ask for was not asked."
        "correct the criterion: `package`, `package.rule`, `package.rule:term` or `@collection`; a package goes by its last name";
    PACKAGE_SKIPPED_BY_CONFORMA = "package-skipped-by-conforma" "V15.4" Note
        "The package is selected and was evaluated; Conforma chooses packages by their first name and without terms and components, and would silently not evaluate it."
        "give the package a name of one word if Conforma is to evaluate it, too";
    CODE_IN_DENY_AND_WARN = "code-in-deny-and-warn" "V15.4" Failure
        "A deny rule and a warn rule report under one code, and Conforma shows what was denied as a warning."
        "give the two rules different codes";
    EMPTY_MESSAGE = "empty-message" "V15.4" Failure
        "A deny or warn rule fired with an empty message, which Conforma counts as a pass."
        "give the rule a message";
    DENY_IS_NOT_A_SET = "deny-is-not-a-set" "V15.4" Failure
        "A deny or warn rule has a value that is not a set of messages, and Conforma takes it for a pass."
        "write the rule with `contains`";
    VIOLATION_TRIMMED = "violation-trimmed" "V15.4" Failure
        "A violation depends on a rule that only warned, or on itself, and Conforma leaves it out: nothing that denies is left."
        "correct `depends_on` of the rule, or make the rule that it depends on effective";
    RULE_EXCEPTED = "rule-excepted" "V15.4" Warning
        "An `exception` rule of the policy suppressed what a rule reported."
        "look at the exception: what it suppresses stands in no other list";
    PASS_BY_EXCLUSION = "pass-by-exclusion" "V15.4" Note
        "The rule is listed as passed because everything it reported was excluded."
        "look at the exclude criteria if this is not what you expect";
    SEVERITY_UNKNOWN = "severity-unknown" "V15.4" Warning
        "A result has a severity that is neither `failure` nor `warning`; it is ignored, as in Conforma."
        "correct the severity in the rule";
    EFFECTIVE_ON_UNREADABLE = "effective-on-unreadable" "V15.4" Warning
        "The effective date of a rule is not of the form 2006-01-02T15:04:05Z; the rule counts as effective, as in Conforma."
        "correct the date in the rule";
    VOLATILE_INCLUDE_UNREADABLE = "volatile-include-unreadable" "V15.3" Failure
        "The window of a volatile include criterion cannot be read, so the rules it asks for were not asked."
        "write effectiveOn and effectiveUntil as RFC 3339 times or as dates";
    VOLATILE_EXCLUDE_UNREADABLE = "volatile-exclude-unreadable" "V15.3" Warning
        "The window of a volatile exclude criterion cannot be read, so it excludes nothing."
        "write effectiveOn and effectiveUntil as RFC 3339 times or as dates";
}
