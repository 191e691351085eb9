//! The report as JSON: Conforma's members in Conforma's order, then `carnet`.

use carnet_policy::ComponentOutcome;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{Report, Verdict, escape::is_dangerous};

/// The whole document.
pub(super) fn document(report: &Report, show_successes: bool) -> Value {
    let components = report.ordered().into_iter().map(|c| component(c, show_successes)).collect::<Vec<_>>();
    let mut members = Map::new();
    let mut put = |name: &str, value: Value| drop(members.insert(name.to_owned(), value));
    put("success", (report.verdict() == Verdict::Pass).into());
    if !report.snapshot.is_empty() {
        put("snapshot", report.snapshot.as_str().into());
    }
    // Conforma prints a nil slice.
    put("components", if components.is_empty() { Value::Null } else { components.into() });
    put("key", report.key.as_str().into());
    put("policy", report.policy.clone());
    put("ec-version", report.ec_version.as_str().into());
    put("effective-time", report.effective_time.to_string().into());
    put("carnet", carnet(report));
    Value::Object(members)
}

/// One compact line as Go writes it, in which also no control character and no
/// direction mark is left raw.
pub(crate) fn render(document: &Value) -> String {
    let text = document.to_string();
    let mut out = String::with_capacity(text.len() + text.len() / 16);
    for c in text.chars() {
        // Outside strings JSON has none of these characters.
        if matches!(c, '<' | '>' | '&') || is_dangerous(c) {
            escape(&mut out, c);
        } else {
            out.push(c);
        }
    }
    out
}

/// Writes a character of a JSON text by its UTF-16 units.
pub(super) fn escape(out: &mut String, c: char) {
    let mut units = [0; 2];
    for unit in c.encode_utf16(&mut units) {
        out.push_str(&format!("\\u{unit:04x}"));
    }
}

fn component(component: &ComponentOutcome, show_successes: bool) -> Value {
    let mut members = Map::new();
    let mut put = |name: &str, value: Value| drop(members.insert(name.to_owned(), value));
    put("name", component.name.as_str().into());
    put("containerImage", component.container_image.as_str().into());
    put("source", value(&component.source));
    for (name, list) in [("violations", &component.violations), ("warnings", &component.warnings)] {
        if !list.is_empty() {
            put(name, value(list));
        }
    }
    if show_successes && !component.successes.is_empty() {
        put("successes", value(&component.successes));
    }
    put("success", component.success().into());
    if !component.signatures.is_empty() {
        put("signatures", value(&component.signatures));
    }
    if !component.attestations.is_empty() {
        put("attestations", value(&component.attestations));
    }
    Value::Object(members)
}

/// The member `carnet` of a report.
pub(super) fn carnet(report: &Report) -> Value {
    let mut members = Map::new();
    members.insert("verdict".to_owned(), verdict(report));
    if let Value::Object(rest) = value(&report.carnet) {
        members.extend(rest);
    }
    Value::Object(members)
}

/// The verdict as a value.
pub(super) fn verdict(report: &Report) -> Value {
    value(&report.verdict())
}

/// Our own types have text keys and no fallible serialiser, so this is always
/// their JSON form.
fn value<T: Serialize>(of: &T) -> Value {
    serde_json::to_value(of).unwrap_or_default()
}
