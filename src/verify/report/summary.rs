//! The report in short: as JSON, and as a table in Markdown.

use std::collections::BTreeMap;

use carnet_bundle::Severity;
use carnet_policy::{ComponentOutcome, RuleResult};
use serde_json::{Map, Value, json};

use super::{
    Report, Verdict,
    escape::markdown_code,
    json::carnet,
    totals::{Totals, unsaid, unsaid_failures},
};

/// The document. Its `success` is false whatever the verdict, as Conforma writes
/// it; the verdict stands in `carnet`.
pub(super) fn document(report: &Report, show_successes: bool) -> Value {
    let components: Vec<_> = report.ordered().into_iter().map(|c| component(c, show_successes)).collect();
    let mut members = Map::new();
    let mut put = |name: &str, value: Value| drop(members.insert(name.to_owned(), value));
    if !report.snapshot.is_empty() {
        put("snapshot", report.snapshot.as_str().into());
    }
    put("components", if components.is_empty() { Value::Null } else { components.into() });
    put("success", false.into());
    put("key", report.key.as_str().into());
    put("carnet", carnet(report));
    Value::Object(members)
}

fn component(component: &ComponentOutcome, show_successes: bool) -> Value {
    let shown: &[RuleResult] = if show_successes { &component.successes } else { &[] };
    json!({
        "name": component.name,
        "success": component.success(),
        "violations": condensed(&component.violations),
        "warnings": condensed(&component.warnings),
        "successes": condensed(shown),
        "total_violations": component.violations.len(),
        "total_warnings": component.warnings.len(),
        "total_successes": component.successes.len(),
    })
}

/// Of each code the first message, and how many more there are. What has no code
/// is counted only.
fn condensed(results: &[RuleResult]) -> BTreeMap<&str, Vec<String>> {
    let mut messages: BTreeMap<&str, (&str, usize)> = BTreeMap::new();
    for result in results {
        if let Some(code) = result.code() {
            messages.entry(code).or_insert((&result.msg, 0)).1 += 1;
        }
    }
    let lines = |(code, (first, count)): (_, (&str, usize))| {
        let mut lines = vec![first.to_owned()];
        if count > 1 {
            lines.push(format!("There are {} more {code:?} messages", count - 1));
        }
        (code, lines)
    };
    messages.into_iter().map(lines).collect()
}

/// The table; what carnet adds are further rows of it.
pub(super) fn markdown(report: &Report) -> String {
    let totals = Totals::of(report);
    let failures = totals.violations + unsaid_failures(report);
    let mut text = "| Field     | Value |Status|\n|-----------|-------|-------|\n".to_owned();
    let mut row = |field: &str, value: &str, icon: &str| text.push_str(&format!("| {field} | {value} | {icon} |\n"));
    row("Time", &report.time.strftime("%Y-%m-%d %H:%M:%S").to_string(), "");
    row("Successes", &totals.successes.to_string(), icon(totals.successes > 0 && failures == 0));
    row("Failures", &failures.to_string(), icon(failures == 0));
    row("Warnings", &totals.warnings.to_string(), icon(totals.warnings == 0));
    row("Result", "", icon(report.verdict() == Verdict::Pass));
    for relaxation in &report.carnet.relaxations {
        row("Relaxed", &markdown_code(&relaxation.flag), ":warning:");
    }
    for by in report.vouchers() {
        row("Vouched", &markdown_code(by), "");
    }
    for stamp in &report.carnet.timestamps {
        row("Existed", &markdown_code(&stamp.sentence()), "");
    }
    for finding in unsaid(report) {
        let value = markdown_code(&format!("{}: {}", finding.code, finding.message));
        match finding.severity {
            Severity::Failure => row("Finding", &value, ":x:"),
            Severity::Warning => row("Finding", &value, ":warning:"),
            // Notes are for the record; the table is for a glance.
            Severity::Note => {}
        }
    }
    text
}

fn icon(good: bool) -> &'static str {
    if good { ":white_check_mark:" } else { ":x:" }
}
