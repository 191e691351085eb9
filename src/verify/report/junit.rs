//! The report as JUnit XML: a suite per component, then one of carnet's own.
//!
//! Bytes are those of Conforma's writer (Go's `encoding/xml`), so its way of
//! escaping is kept: every line break of an attribute is a reference. Characters
//! that XML cannot hold, or that move a cursor, are spelled out.

use carnet_bundle::{Finding, Severity};
use carnet_policy::{ComponentOutcome, RuleResult};
use quick_xml::{
    Writer,
    events::{BytesCData, BytesEnd, BytesStart, BytesText, Event, attributes::Attribute},
    name::QName,
};
use serde_json::Value;

use super::{
    Report, Verdict,
    escape::{escape_line, escape_lines},
    totals::unsaid,
};

/// Renders the document on one line.
pub(super) fn render(report: &Report, show_successes: bool) -> String {
    let mut suites: Vec<_> = report.ordered().into_iter().map(|c| component(report, c, show_successes)).collect();
    suites.push(carnet(report));
    let timestamp = report.time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let mut page = Page { writer: Writer::new(Vec::new()) };
    let sum = |count: fn(&Suite) -> usize| suites.iter().map(count).sum::<usize>();
    let totals = [("tests", sum(|s| s.cases.len())), ("failures", sum(Suite::failures)), ("skipped", sum(Suite::skipped))];
    let counts: Vec<_> = totals.into_iter().filter(|(_, n)| *n > 0).map(|(name, n)| (name, n.to_string())).collect();
    page.open("testsuites", &counts);
    suites.iter().for_each(|suite| page.suite(suite, &timestamp));
    page.close("testsuites");
    // Only escaped text of Rust strings was written.
    String::from_utf8(page.writer.into_inner()).unwrap_or_default()
}

struct Suite {
    name: String,
    properties: Vec<(String, String)>,
    cases: Vec<Case>,
}

struct Case {
    name: String,
    outcome: Outcome,
}

enum Outcome {
    Failed(String),
    Passed,
    Skipped(String),
}

impl Suite {
    fn failures(&self) -> usize {
        self.cases.iter().filter(|case| matches!(case.outcome, Outcome::Failed(_))).count()
    }

    fn skipped(&self) -> usize {
        self.cases.iter().filter(|case| matches!(case.outcome, Outcome::Skipped(_))).count()
    }
}

fn component(report: &Report, component: &ComponentOutcome, show_successes: bool) -> Suite {
    let mut properties = vec![
        ("image".to_owned(), component.container_image.clone()),
        ("key".to_owned(), report.key.clone()),
        ("success".to_owned(), component.success().to_string()),
    ];
    for signature in &component.signatures {
        properties.push(("keyId".to_owned(), signature.keyid.clone()));
        properties.push(("signature".to_owned(), signature.sig.clone()));
        properties.extend(signature.metadata.iter().map(|(name, value)| (format!("metadata.{name}"), value.clone())));
    }
    let successes = component.successes.iter().filter(|_| show_successes).map(|r| case(r, Outcome::Passed));
    let violations = component.violations.iter().map(|r| case(r, Outcome::Failed(r.msg.clone())));
    let warnings = component.warnings.iter().map(|r| case(r, Outcome::Skipped(r.msg.clone())));
    Suite {
        name: format!("{} ({})", component.name, component.container_image),
        properties,
        cases: successes.chain(violations).chain(warnings).collect(),
    }
}

fn case(result: &RuleResult, outcome: Outcome) -> Case {
    let facts: Vec<_> = result
        .metadata
        .iter()
        .filter(|(name, _)| *name != "code")
        .map(|(name, value)| format!("{name}={}", as_in_go(value)))
        .collect();
    let facts = if facts.is_empty() { String::new() } else { format!(" [{}]", facts.join(", ")) };
    let code = result.code().map(|code| format!("{code}: ")).unwrap_or_default();
    Case { name: format!("{code}{}{facts}", result.msg), outcome }
}

/// A value as Go's `%v` prints it.
fn as_in_go(value: &Value) -> String {
    let joined = |items: Vec<String>| items.join(" ");
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", joined(items.iter().map(as_in_go).collect())),
        Value::Object(members) => {
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_by_key(|(key, _)| *key);
            format!("map[{}]", joined(sorted.into_iter().map(|(key, value)| format!("{key}:{}", as_in_go(value))).collect()))
        }
        other => other.to_string(),
    }
}

/// What carnet has to say: a relaxed check is a skipped test, a finding that
/// fails the verdict a failed one, and the rest stands in properties.
fn carnet(report: &Report) -> Suite {
    let carnet = &report.carnet;
    let mut properties = vec![
        ("version".to_owned(), carnet.version.clone()),
        ("verdict".to_owned(), if report.verdict() == Verdict::Pass { "pass" } else { "fail" }.to_owned()),
        ("trust".to_owned(), carnet.trust.source.clone()),
    ];
    let ids = [("bundle.id", carnet.bundle.id), ("bundle.contentId", carnet.bundle.content_id)];
    properties.extend(ids.into_iter().filter_map(|(name, id)| Some((name.to_owned(), id?.to_string()))));
    let assumed = carnet.assumptions.iter().map(|a| format!("{}: {}: {}", a.code, a.subject, a.message));
    properties.extend(assumed.map(|text| ("assumption".to_owned(), text)));
    let mut cases: Vec<_> = carnet
        .relaxations
        .iter()
        .map(|relaxation| Case {
            name: format!("relaxed by {}", relaxation.flag),
            outcome: Outcome::Skipped(relaxation.effect.clone()),
        })
        .collect();
    for finding in unsaid(report) {
        match finding.severity {
            Severity::Failure => cases.push(finding_case(finding, Outcome::Failed)),
            Severity::Warning => cases.push(finding_case(finding, Outcome::Skipped)),
            Severity::Note => properties.push(("note".to_owned(), said(finding))),
        }
    }
    Suite { name: "carnet".to_owned(), properties, cases }
}

fn finding_case(finding: &Finding, outcome: fn(String) -> Outcome) -> Case {
    Case { name: said(finding), outcome: outcome(finding.message.clone()) }
}

fn said(finding: &Finding) -> String {
    let subject = if finding.subject.is_empty() { String::new() } else { format!(" [subject={}]", finding.subject) };
    format!("{}: {}{subject}", finding.code, finding.message)
}

struct Page {
    writer: Writer<Vec<u8>>,
}

impl Page {
    fn suite(&mut self, suite: &Suite, timestamp: &str) {
        let skipped = suite.skipped();
        let mut attributes = vec![
            ("name", suite.name.clone()),
            ("tests", suite.cases.len().to_string()),
            ("failures", suite.failures().to_string()),
            ("errors", "0".to_owned()),
            // Conforma numbers no suite.
            ("id", "0".to_owned()),
        ];
        if skipped > 0 {
            attributes.push(("skipped", skipped.to_string()));
        }
        attributes.extend([("time", String::new()), ("timestamp", timestamp.to_owned())]);
        self.open("testsuite", &attributes);
        self.open("properties", &[]);
        for (name, value) in &suite.properties {
            self.open("property", &[("name", name.clone()), ("value", value.clone())]);
            self.close("property");
        }
        self.close("properties");
        suite.cases.iter().for_each(|case| self.case(case));
        self.close("testsuite");
    }

    fn case(&mut self, case: &Case) {
        self.open("testcase", &[("name", case.name.clone()), ("classname", case.name.clone())]);
        match &case.outcome {
            Outcome::Passed => {}
            Outcome::Failed(message) => self.message("failure", message),
            Outcome::Skipped(message) => self.message("skipped", message),
        }
        self.close("testcase");
    }

    fn message(&mut self, element: &str, message: &str) {
        self.open(element, &[("message", message.to_owned())]);
        // A section for characters cannot hold its own end, and a raw line break in
        // it would begin a line of the report.
        if message == escape_line(message) && !message.contains("]]>") {
            self.write(Event::CData(BytesCData::new(message)));
        } else {
            self.write(Event::Text(BytesText::from_escaped(escape_xml(message))));
        }
        self.close(element);
    }

    fn open(&mut self, name: &str, attributes: &[(&str, String)]) {
        let mut start = BytesStart::new(name);
        for (key, value) in attributes {
            start.push_attribute(Attribute { key: QName(key), value: escape_xml(value).into() });
        }
        self.write(Event::Start(start));
    }

    fn close(&mut self, name: &str) {
        self.write(Event::End(BytesEnd::new(name)));
    }

    fn write(&mut self, event: Event<'_>) {
        // Memory takes every byte.
        let _ = self.writer.write_event(event);
    }
}

/// Text as Go's `xml.EscapeText` writes it; what XML has no character for, and
/// what moves a cursor, is spelled out.
fn escape_xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    for c in escape_lines(text).chars() {
        match c {
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\t' => out.push_str("&#x9;"),
            '\n' => out.push_str("&#xA;"),
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_printed_as_in_go() {
        for (value, want) in [
            (json!("a b"), "a b"),
            (json!(["a", "b c"]), "[a b c]"),
            (json!({"b": [1, true], "a": null}), "map[a:<nil> b:[1 true]]"),
            (json!([]), "[]"),
        ] {
            assert_eq!(as_in_go(&value), want);
        }
    }

    #[test]
    fn text_is_escaped_as_in_go() {
        assert_eq!(escape_xml("<a b=\"c\">'&\n\t"), "&lt;a b=&#34;c&#34;&gt;&#39;&amp;&#xA;&#x9;");
        assert_eq!(escape_xml("\u{1b}[2J\u{202e}\u{ffff}\r"), "\\u{1b}[2J\\u{202e}\u{fffd}\\r");
    }
}
