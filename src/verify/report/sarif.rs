//! The report as SARIF 2.1.0 (OASIS), for code scanning.
//!
//! Images are no files, so a location is the image reference as a relative URI
//! with line 1, which consumers insist on, and a logical location that names the
//! component.

use std::collections::BTreeMap;

use carnet_bundle::{Digest, Finding, Severity};
use carnet_policy::{ComponentOutcome, RuleResult};
use serde_json::{Map, Value, json};

use super::{Report, json::verdict, totals::unsaid, vsa::encode};
use crate::codes;

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";
/// The rules of what carnet adds to findings and results.
const RELAXED: &str = "carnet/relaxation";
const ASSUMED: &str = "carnet/assumption";
/// The rule of results that have no code.
const NO_CODE: &str = "no-code";

/// The document.
pub(super) fn document(report: &Report, show_successes: bool) -> Value {
    let mut run = Run::default();
    for component in report.ordered() {
        component.violations.iter().for_each(|result| run.result(component, result, Weight::Error));
        component.warnings.iter().for_each(|result| run.result(component, result, Weight::Warning));
        if show_successes {
            component.successes.iter().for_each(|result| run.result(component, result, Weight::Pass));
        }
    }
    unsaid(report).into_iter().for_each(|finding| run.finding(finding));
    for relaxation in &report.carnet.relaxations {
        let rule = || json!({"shortDescription": {"text": "A flag relaxed a check"}});
        run.add(RELAXED, rule, Weight::Warning, &format!("{}: {}", relaxation.flag, relaxation.effect), &relaxation.flag, None);
    }
    for assumption in &report.carnet.assumptions {
        let rule = || json!({"shortDescription": {"text": "Something was taken on the exporter's word"}});
        let message = format!("{}: {}", assumption.code, assumption.message);
        run.add(ASSUMED, rule, Weight::Review, &message, &assumption.subject, None);
    }
    run.document(report)
}

/// What a result means in SARIF: its kind and its level.
#[derive(Clone, Copy)]
enum Weight {
    Error,
    Note,
    Pass,
    Review,
    Warning,
}

impl Weight {
    fn kind(self) -> &'static str {
        match self {
            Self::Error | Self::Note | Self::Warning => "fail",
            Self::Pass => "pass",
            Self::Review => "review",
        }
    }

    /// A level other than `none` is for failures only (§3.27.10).
    fn level(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Note => "note",
            Self::Pass | Self::Review => "none",
            Self::Warning => "warning",
        }
    }
}

#[derive(Default)]
struct Run {
    /// Rules by id; results name them by their place in this order.
    rules: BTreeMap<String, Value>,
    results: Vec<(String, Map<String, Value>)>,
}

impl Run {
    fn result(&mut self, component: &ComponentOutcome, result: &RuleResult, weight: Weight) {
        let text = |name: &str| result.metadata.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let id = result.code().unwrap_or(NO_CODE);
        let rule = || {
            let mut rule = Map::new();
            for (member, from) in [("shortDescription", "title"), ("fullDescription", "description"), ("help", "solution")] {
                if let Some(text) = text(from) {
                    rule.insert(member.to_owned(), json!({ "text": text }));
                }
            }
            Value::Object(rule)
        };
        let message = if result.msg.is_empty() { id } else { &result.msg };
        self.add(id, rule, weight, message, &component.container_image, Some((&component.name, result.metadata.get("term"))));
    }

    fn finding(&mut self, finding: &Finding) {
        let weight = match finding.severity {
            Severity::Failure => Weight::Error,
            Severity::Warning => Weight::Warning,
            Severity::Note => Weight::Note,
        };
        let code = codes::all().find(|code| code.name == finding.code);
        let rule = || match code {
            Some(code) => json!({
                "shortDescription": {"text": code.summary},
                "help": {"text": if code.hint.is_empty() { code.summary } else { code.hint }},
                "properties": {"step": code.step},
            }),
            None => json!({}),
        };
        self.add(finding.code, rule, weight, &finding.message, &finding.subject, None);
    }

    fn add(
        &mut self,
        id: &str,
        rule: impl FnOnce() -> Value,
        weight: Weight,
        message: &str,
        subject: &str,
        component: Option<(&str, Option<&Value>)>,
    ) {
        self.rules.entry(id.to_owned()).or_insert_with(rule);
        let (name, term) = component.unwrap_or_default();
        // The digest of an image changes with each build, what is wrong need not.
        let place = subject.split('@').next().unwrap_or(subject);
        let fingerprint = Digest::of(json!([id, name, place, term, message]).to_string().as_bytes()).to_hex();
        let mut result = Map::new();
        let mut put = |name: &str, value: Value| drop(result.insert(name.to_owned(), value));
        put("kind", weight.kind().into());
        put("level", weight.level().into());
        put("message", json!({"text": plain(message)}));
        put("locations", json!([location(subject, name)]));
        put("partialFingerprints", json!({"carnet/v1": fingerprint}));
        if let Some(term) = term {
            put("properties", json!({ "term": term }));
        }
        self.results.push((id.to_owned(), result));
    }

    fn document(self, report: &Report) -> Value {
        let places: BTreeMap<&str, usize> = self.rules.keys().enumerate().map(|(place, id)| (id.as_str(), place)).collect();
        let results = self.results.iter().map(|(id, rest)| {
            let mut result = Map::new();
            result.insert("ruleId".to_owned(), id.as_str().into());
            result.insert("ruleIndex".to_owned(), json!(places.get(id.as_str())));
            result.extend(rest.clone());
            Value::Object(result)
        });
        json!({
            "$schema": SCHEMA,
            "version": "2.1.0",
            "runs": [{
                "tool": {"driver": {
                    "name": "carnet-verify",
                    "version": report.carnet.version,
                    "informationUri": env!("CARGO_PKG_REPOSITORY"),
                    "rules": self.rules.iter().map(|(id, rule)| described(id, rule)).collect::<Vec<_>>(),
                }},
                "invocations": [{
                    "executionSuccessful": true,
                    "endTimeUtc": report.time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
                }],
                "results": results.collect::<Vec<_>>(),
                "properties": {
                    "verdict": verdict(report),
                    "bundle": report.carnet.bundle,
                    "trust": report.carnet.trust,
                },
            }],
        })
    }
}

/// A rule with the texts that consumers insist on; without `--info` results bring
/// none along.
fn described(id: &str, rule: &Value) -> Value {
    let mut members = Map::new();
    members.insert("id".to_owned(), id.into());
    for member in ["shortDescription", "fullDescription", "help"] {
        let fallback = || rule.get("shortDescription").cloned().unwrap_or_else(|| json!({ "text": id }));
        members.insert(member.to_owned(), rule.get(member).cloned().unwrap_or_else(fallback));
    }
    if let Some(properties) = rule.get("properties") {
        members.insert("properties".to_owned(), properties.clone());
    }
    Value::Object(members)
}

fn location(subject: &str, component: &str) -> Value {
    let subject = if subject.is_empty() { "bundle" } else { subject };
    let name = if component.is_empty() { subject } else { component };
    json!({
        "physicalLocation": {"artifactLocation": {"uri": encode(subject, "/@")}, "region": {"startLine": 1}},
        "logicalLocations": [{"name": name, "fullyQualifiedName": subject, "kind": "module"}],
    })
}

/// A message in which nothing is a link: of `[text](target)` the bracket is
/// escaped (§3.11.6), for evidence must not put links before a reader.
fn plain(message: &str) -> String {
    if message.contains("](") {
        message.replace('\\', "\\\\").replace('[', "\\[").replace(']', "\\]")
    } else {
        message.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_makes_no_links() {
        assert_eq!(plain("a [b] c"), "a [b] c");
        assert_eq!(plain("see [b](http://evil.example)\\"), "see \\[b\\](http://evil.example)\\\\");
    }

    #[test]
    fn a_reference_is_a_relative_uri() {
        let location = location("r.example:5000/app@sha256:00", "app");
        assert_eq!(location["physicalLocation"]["artifactLocation"]["uri"], "r.example%3A5000/app@sha256%3A00");
        assert_eq!(location["logicalLocations"][0]["fullyQualifiedName"], "r.example:5000/app@sha256:00");
    }
}
