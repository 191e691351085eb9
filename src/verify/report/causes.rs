//! Why a verdict is fail, in a few lines: which codes, and what to do about them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use carnet_bundle::{Finding, Severity};

use super::Report;

/// Steps at which evidence is counted: what it lacks, the steps before have said.
const COUNTED: [&str; 2] = ["V14.2", "V14.3"];
/// Steps that judge single pieces of evidence.
const SINGLE: std::ops::RangeInclusive<u32> = 6..=11;
/// What a rule has against an image, only the rule knows.
const RULES: &str = "read what the rules have against the image, above; --info shows what each of them suggests";

/// A code, and how often it was said.
pub(super) struct Cause<'r> {
    code: &'r str,
    count: usize,
}

impl fmt::Display for Cause<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code)?;
        if self.count == 1 { Ok(()) } else { write!(f, " ({} times)", self.count) }
    }
}

/// What fails the verdict: the codes of findings, by step, then those of rules.
pub(super) fn causes(report: &Report) -> Vec<Cause<'_>> {
    let findings = by_code(failures(report)).into_iter().map(|(finding, count)| Cause { code: finding.code, count });
    let mut rules: BTreeMap<&str, usize> = BTreeMap::new();
    rule_violations(report).for_each(|code| *rules.entry(code).or_default() += 1);
    findings.chain(rules.into_iter().map(|(code, count)| Cause { code, count })).collect()
}

/// What to do: of each cause its hint, each once. Where too little evidence counted,
/// that is what is wrong with the evidence that did not.
pub(super) fn remedies(report: &Report) -> Vec<String> {
    let failing = by_code(failures(report));
    let pieces = by_code(report.carnet.findings.iter().filter(|finding| is_of_a_piece(finding)));
    let is_counted = |finding: &Finding| COUNTED.contains(&finding.step);
    let lacks = failing.iter().any(|(finding, _)| is_counted(finding));
    let own = failing.iter().filter(|(finding, _)| pieces.is_empty() || !is_counted(finding));
    let behind = pieces.iter().filter(|_| lacks);
    let mut said = BTreeSet::new();
    let hints = own.chain(behind).filter(|(finding, _)| said.insert(&finding.hint));
    let mut remedies: Vec<_> = hints.map(|(finding, _)| format!("{}: {}", finding.code, finding.hint)).collect();
    if rule_violations(report).next().is_some() {
        remedies.push(RULES.to_owned());
    }
    remedies
}

fn failures(report: &Report) -> impl Iterator<Item = &Finding> {
    report.carnet.findings.iter().filter(|finding| finding.is_failure())
}

/// Codes of the violations that are no finding, too.
fn rule_violations(report: &Report) -> impl Iterator<Item = &str> {
    let said: BTreeSet<(&str, &str)> = failures(report).map(|finding| (&*finding.subject, &*finding.message)).collect();
    let violations = report.components.iter().flat_map(|component| component.violations.iter().map(move |v| (component, v)));
    let own = violations.filter(move |(component, v)| !said.contains(&(&*component.container_image, &*v.msg)));
    own.map(|(_, violation)| violation.code().unwrap_or("a violation without a code"))
}

/// The first finding of each code, by step, and how many have it.
fn by_code<'r>(findings: impl Iterator<Item = &'r Finding>) -> Vec<(&'r Finding, usize)> {
    let mut codes: BTreeMap<_, (&Finding, usize)> = BTreeMap::new();
    for finding in findings {
        codes.entry((place(finding), finding.code)).or_insert((finding, 0)).1 += 1;
    }
    codes.into_values().collect()
}

fn is_of_a_piece(finding: &Finding) -> bool {
    finding.severity == Severity::Warning
        && place(finding).first().is_some_and(|gate| SINGLE.contains(gate))
        // These are about what the operator wrote.
        && !finding.code.starts_with("identity-pattern-")
}

/// `V6.10` as `[6, 10]`.
fn place(finding: &Finding) -> Vec<u32> {
    finding.step.trim_start_matches('V').split('.').filter_map(|part| part.parse().ok()).collect()
}
