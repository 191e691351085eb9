//! Whether an outcome is the recorded one.

use serde_json::Value;

use crate::golden_runs::{Case, Outcome};

/// Members of a report that carnet adds, or that change from run to run.
const ASIDE: [&str; 4] = ["carnet", "ec-version", "effective-time", "timestamp"];

/// Compares exit status and every report.
pub(crate) fn compare(case: &Case, got: &Outcome) -> Result<(), String> {
    if got.exit != case.exit {
        return Err(format!("exit status {}, want {}: {}{}", got.exit, case.exit, got.stderr, got.stdout));
    }
    if case.exit == 2 {
        return Ok(());
    }
    let note = |name: &str| case.volatile.get(name).map_or("", String::as_str);
    report("stdout", &got.stdout, &case.stdout, note("stdout"))?;
    for (name, want) in &case.files {
        let written = got.files.get(name).ok_or_else(|| format!("{name} was not written"))?;
        report(name, written, want, note(&format!("files/{name}")))?;
    }
    Ok(())
}

fn report(name: &str, got: &str, want: &str, note: &str) -> Result<(), String> {
    let (got, want) = (comparable(got, note), comparable(want, note));
    if got == want { Ok(()) } else { Err(format!("{name}:\n{}", difference(&got, &want))) }
}

/// The lines that differ.
fn difference(got: &str, want: &str) -> String {
    let (got, want): (Vec<_>, Vec<_>) = (got.lines().collect(), want.lines().collect());
    let start = got.iter().zip(&want).take_while(|(a, b)| a == b).count();
    let shown = |lines: &[&str]| lines.iter().skip(start).take(20).map(|line| format!("  {line}\n")).collect::<String>();
    format!("from line {} got:\n{}want:\n{}", start + 1, shown(&got), shown(&want))
}

/// A report in the form in which two of them are compared.
fn comparable(text: &str, note: &str) -> String {
    if text.trim_start().starts_with('{') {
        let mut lines: Vec<String> = text
            .lines()
            .filter(|line| !line.is_empty())
            .map(|line| json(line, note).unwrap_or_else(|| line.to_owned()))
            .collect();
        if note.contains("order") {
            lines.sort();
        }
        return lines.join("\n");
    }
    if text.starts_with("<testsuites") {
        return junit(text);
    }
    match serde_yaml::from_str::<Value>(text) {
        Ok(value @ Value::Object(_)) if value.get("components").is_some() => settled(value, note),
        _ => plain(text, note),
    }
}

fn json(text: &str, note: &str) -> Option<String> {
    serde_json::from_str::<Value>(text).ok().map(|value| settled(value, note))
}

fn settled(mut value: Value, note: &str) -> String {
    if let Some(members) = value.as_object_mut() {
        ASIDE.iter().for_each(|name| drop(members.shift_remove(*name)));
        if members.get("note").and_then(Value::as_str).is_some_and(|note| note.starts_with("relaxed by ")) {
            members.shift_remove("note");
        }
    }
    if let Some(summary) = value.get_mut("summary").and_then(Value::as_object_mut) {
        summary.shift_remove("ec_version");
    }
    if let Some(components) = value.get_mut("components").and_then(Value::as_array_mut) {
        if note.contains("random order") {
            components.sort_by_key(Value::to_string);
        }
        if note.contains("compare the code and the prefix") {
            let violations = components.iter_mut().filter_map(|component| component.get_mut("violations")?.as_array_mut());
            violations.flatten().filter_map(|violation| violation.get_mut("msg")).for_each(prefix);
        }
    }
    serde_json::to_string_pretty(&value).unwrap()
}

/// A message up to the schema error that it names.
fn prefix(message: &mut Value) {
    let text = message.as_str().unwrap_or_default();
    let end = ["jsonschema", "- at ", "/predicate"].iter().filter_map(|mark| text.find(mark)).min().unwrap_or(text.len());
    *message = text[..end].into();
}

/// Without carnet's own suite, which counts in the head, and the times.
fn junit(text: &str) -> String {
    let head = text.find("<testsuites").unwrap_or(0);
    let suites = text[head..].find('>').map_or(head, |end| head + end);
    let text = &text[suites..];
    let conforma = text.split_once("<testsuite name=\"carnet\"").map_or(text, |(conforma, _)| conforma);
    let conforma = conforma.trim_end().trim_end_matches("</testsuites>");
    let mut parts = conforma.split(" timestamp=\"");
    let start = parts.next().unwrap_or_default().to_owned();
    parts.fold(start, |all, part| all + part.split_once('"').map_or("", |(_, rest)| rest))
}

/// Without carnet's banner and sections, and without the time of a summary.
fn plain(text: &str, note: &str) -> String {
    let mut lines = Vec::new();
    let (mut banner, mut own) = (false, false);
    for line in text.lines() {
        banner = line.contains("! Relaxed by ") || banner && !line.is_empty();
        // A text may be followed by another report.
        own = line.contains("Verdict: ") || own && !line.starts_with('{');
        if !banner && !own && !line.starts_with("| Time |") && !line.starts_with("| Relaxed |") {
            lines.push(json(line, note).unwrap_or_else(|| line.to_owned()));
        }
    }
    let start = lines.iter().take_while(|line| line.is_empty()).count();
    lines[start..].join("\n").trim_end().to_owned()
}
