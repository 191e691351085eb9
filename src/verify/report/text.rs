//! The report as text: a banner for what was relaxed, Conforma's text report,
//! then what carnet adds.

use std::collections::BTreeSet;

use carnet_bundle::Severity;
use carnet_policy::{ComponentOutcome, RuleResult};
use serde_json::Value;

use super::{
    Report, TextOptions, Trust, Verdict,
    alike::{Alike, alike},
    causes::causes,
    escape::{escape_line, escape_lines},
    totals::{Totals, unsaid},
    wrap::wrap,
};

/// Columns of a line, and how far entries are indented.
const WIDTH: usize = 130;
const INDENT: usize = 2;
/// Lines of the forecast; JSON has all of it.
const ENDINGS: usize = 3;

/// The reason of a finding that a violation gives, too.
const SAID: &str = "see the violation above";
/// How a hint begins that asks for nothing.
const NOTHING: &str = "nothing: ";

const DOCS: &str = "For more information about policy issues, see the policy documentation: https://conforma.dev/docs/policy/";

/// The three sorts of results, in the order of the report.
#[derive(Clone, Copy)]
enum Sort {
    Violation,
    Warning,
    Success,
}

/// A mark with its colour (SGR code).
type Mark = (&'static str, &'static str);

const RED: Mark = ("✕", "31");
const YELLOW: Mark = ("›", "33");
const GREEN: Mark = ("✓", "32");
const PLAIN: Mark = ("-", "");

/// Renders the whole text.
pub(super) fn render(report: &Report, options: &TextOptions, colour: bool) -> String {
    let mut page = Page { text: String::new(), colour };
    page.banner(report);
    page.conforma(report, options);
    page.carnet(report);
    page.text
}

struct Page {
    text: String,
    colour: bool,
}

impl Page {
    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// An indented line of untrusted text that may wrap or hold line breaks.
    fn field(&mut self, name: &str, text: &str) {
        let wrapped = wrap(&format!("{name}: {}", escape_lines(text)), WIDTH - INDENT);
        for line in wrapped.split('\n') {
            self.line(&format!("  {line}"));
        }
    }

    /// A field on one line of its own, unless there is nothing to say.
    fn said(&mut self, name: &str, text: &str) {
        if !text.is_empty() {
            self.field(name, &escape_line(text));
        }
    }

    fn head(&mut self, (mark, code): Mark, head: &str) {
        let line = format!("{} {}", self.coloured(code, mark), self.coloured(code, head));
        self.line(&line);
    }

    fn coloured(&self, code: &str, text: &str) -> String {
        if self.colour && !code.is_empty() { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    /// What was relaxed comes before anything that may read as a success.
    fn banner(&mut self, report: &Report) {
        for relaxation in &report.carnet.relaxations {
            let line = format!("! Relaxed by {}: {}", escape_line(&relaxation.flag), escape_line(&relaxation.effect));
            let line = self.coloured(YELLOW.1, &line);
            self.line(&line);
        }
        if !report.carnet.relaxations.is_empty() {
            self.line("");
        }
    }

    fn conforma(&mut self, report: &Report, options: &TextOptions) {
        let components = report.ordered();
        let sum = Totals::of(report);
        let Totals { violations, warnings, successes } = sum;
        let success = report.verdict() == Verdict::Pass;
        self.line(&format!("Success: {success}"));
        self.line(&format!("Result: {}", sum.result(report)));
        self.line(&totals(violations, warnings, successes));
        self.components(&components);
        let warned = warnings > 0 && options.show_warnings;
        let succeeded = successes > 0 && options.show_successes;
        if violations > 0 || warned || succeeded {
            self.line("Results:");
        }
        self.results(&components, Sort::Violation);
        if warned {
            self.results(&components, Sort::Warning);
        }
        if succeeded {
            self.results(&components, Sort::Success);
        }
        if options.show_policy_docs_link && (violations > 0 || warned) {
            self.line(DOCS);
        }
    }

    fn components(&mut self, components: &[&ComponentOutcome]) {
        if let [component] = components {
            self.line(&format!("Component: {}", escape_line(&component.name)));
            self.line(&format!("ImageRef: {}", escape_line(&component.container_image)));
            self.line("");
            return;
        }
        if components.len() > 1 {
            self.line("");
            self.line("Components:");
        }
        for component in components {
            self.line(&format!("- Name: {}", escape_line(&component.name)));
            self.line(&format!("  ImageRef: {}", escape_line(&component.container_image)));
            let totals = totals(component.violations.len(), component.warnings.len(), component.successes.len());
            self.line(&format!("  {totals}"));
            self.line("");
        }
    }

    fn results(&mut self, components: &[&ComponentOutcome], sort: Sort) {
        for component in components {
            let results = match sort {
                Sort::Violation => &component.violations,
                Sort::Warning => &component.warnings,
                Sort::Success => &component.successes,
            };
            results.iter().for_each(|result| self.result(&component.container_image, result, sort));
        }
    }

    fn result(&mut self, image: &str, result: &RuleResult, sort: Sort) {
        let (mark, word, passed) = match sort {
            Sort::Violation => (RED, "Violation", false),
            Sort::Warning => (YELLOW, "Warning", false),
            Sort::Success => (GREEN, "Success", true),
        };
        // Conforma's text for a result without a code is how Go prints nothing;
        // scripts know it.
        let code = result.metadata.get("code").map_or_else(|| "%!s(<nil>)".to_owned(), plain);
        self.head(mark, &format!("[{word}] {}", escape_line(&code)));
        if !image.is_empty() {
            self.line(&format!("  ImageRef: {}", escape_line(image)));
        }
        if !passed && !result.msg.is_empty() {
            self.field("Reason", &result.msg);
        }
        if let Some(term) = result.metadata.get("term").filter(|term| !is_empty(term)) {
            let name = if term.is_array() { "Terms" } else { "Term" };
            self.field(name, &escape_line(&plain(term)));
        }
        let more = [("title", "Title"), ("description", "Description"), ("solution", "Solution")];
        for (member, name) in more.into_iter().filter(|(member, _)| !passed || *member != "solution") {
            if let Some(text) = result.metadata.get(member).filter(|text| !is_empty(text)) {
                self.field(name, &plain(text));
            }
        }
        self.line("");
    }

    fn carnet(&mut self, report: &Report) {
        let carnet = &report.carnet;
        let verdict = match report.verdict() {
            Verdict::Fail => ("fail", RED.1),
            Verdict::Pass => ("pass", GREEN.1),
        };
        if !self.text.ends_with("\n\n") {
            self.line("");
        }
        let verdict = self.coloured(verdict.1, verdict.0);
        self.line(&format!("Verdict: {verdict} (carnet {})", escape_line(&carnet.version)));
        let causes: Vec<_> = causes(report).into_iter().map(|cause| cause.to_string()).collect();
        if !causes.is_empty() {
            self.line(&format!("Because: {}", escape_line(&causes.join(", "))));
        }
        if let Some(id) = carnet.bundle.id {
            self.line(&format!("Bundle: {id}"));
        }
        if let Some(id) = carnet.bundle.content_id {
            self.line(&format!("Content: {id}"));
        }
        for stamp in &carnet.timestamps {
            self.line(&escape_line(&format!("Existed: at {}, by {} ({})", stamp.time, stamp.authority, stamp.through)));
        }
        self.trust(&carnet.trust);
        for source in &carnet.sources {
            let line = format!("Source: {} (as {}, by {})", source.url, source.pinned, source.anchor);
            self.line(&escape_line(&line));
        }
        for image in &carnet.images {
            let reference = escape_line(&image.reference);
            let shown = if reference.ends_with(&image.digest.to_string()) {
                reference
            } else {
                format!("{reference} ({})", image.digest)
            };
            self.line(&format!("Image: {shown}"));
        }
        self.findings(report);
        self.assumptions(report);
        self.relaxations(report);
    }

    /// Where the trust came from, how old it is, and what ends next.
    fn trust(&mut self, trust: &Trust) {
        self.line(&format!("Trust: {}", described(trust)));
        if let Some(at) = trust.as_of {
            self.line(&format!("As of: {at}"));
        }
        let more = trust.forecast.len().saturating_sub(ENDINGS);
        for (place, ending) in trust.forecast.iter().take(ENDINGS).enumerate() {
            let rest = if place + 1 == ENDINGS && more > 0 { format!(" (and {more} later)") } else { String::new() };
            self.line(&format!("Ends: {}, {}{rest}", ending.until, escape_line(&ending.what)));
        }
    }

    fn findings(&mut self, report: &Report) {
        // What a violation says already is not said again.
        let unsaid: BTreeSet<_> = unsaid(report).into_iter().map(std::ptr::from_ref).collect();
        let mut findings: Vec<_> = report.carnet.findings.iter().collect();
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        if !findings.is_empty() {
            self.line("");
            self.line("Findings:");
        }
        for Alike { first, said, subjects } in alike(findings, |finding| !unsaid.contains(&std::ptr::from_ref(finding))) {
            let (mark, word) = match first.severity {
                Severity::Failure => (RED, "Failure"),
                Severity::Warning => (YELLOW, "Warning"),
                Severity::Note => (PLAIN, "Note"),
            };
            self.head(mark, &format!("[{word}] {} ({})", escape_line(first.code), escape_line(first.step)));
            match subjects.as_slice() {
                [] => {}
                [subject] => self.field("Subject", &escape_line(subject)),
                subjects => {
                    self.line(&format!("  Subjects: {}", subjects.len()));
                    subjects.iter().for_each(|subject| self.line(&format!("    {}", escape_line(subject))));
                }
            }
            self.said("Reason", if said { SAID } else { &first.message });
            if !first.hint.starts_with(NOTHING) {
                self.said("Hint", &first.hint);
            }
        }
    }

    fn assumptions(&mut self, report: &Report) {
        if !report.carnet.assumptions.is_empty() {
            self.line("");
            self.line("Assumptions (the exporter's word, not checked):");
        }
        for assumption in &report.carnet.assumptions {
            self.head(PLAIN, &escape_line(&assumption.code));
            self.field("Subject", &escape_line(&assumption.subject));
            self.field("Assumed", &escape_line(&assumption.message));
            if !assumption.used_by.is_empty() {
                self.field("Used by", &escape_line(&assumption.used_by.join(", ")));
            }
            if !assumption.vouched_by.is_empty() {
                self.field("Vouched by", &escape_line(&assumption.vouched_by));
            }
        }
    }

    fn relaxations(&mut self, report: &Report) {
        if !report.carnet.relaxations.is_empty() {
            self.line("");
            self.line("Relaxations:");
        }
        for relaxation in &report.carnet.relaxations {
            self.head(PLAIN, &escape_line(&relaxation.flag));
            self.field("Effect", &escape_line(&relaxation.effect));
        }
    }
}

fn totals(violations: usize, warnings: usize, successes: usize) -> String {
    format!("Violations: {violations}, Warnings: {warnings}, Successes: {successes}")
}

fn described(trust: &Trust) -> String {
    let mut parts = vec![escape_line(&trust.source)];
    if let Some(date) = trust.date {
        parts.push(date.strftime("%Y-%m-%d").to_string());
    }
    match trust.age_days {
        Some(1) => parts.push("1 day old".to_owned()),
        Some(days) if days < 0 => parts.push(format!("{} days ahead", days.unsigned_abs())),
        Some(days) => parts.push(format!("{days} days old")),
        // Single keys and certificates say nothing of their time.
        None if trust.digest.is_some() => parts.push("of unknown age".to_owned()),
        None => {}
    }
    parts.extend(trust.digest.map(|digest| digest.to_string()));
    parts.join(", ")
}

/// A metadata value as text; a list is joined.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}
