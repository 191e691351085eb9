//! Reports of one JSON document per line that are data for other tools, not
//! verdicts: the verified statements, and what rules saw.
//!
//! Every line is a document of a foreign format, so nothing of carnet's own can
//! stand here; the program says relaxations and failures on standard error.

use super::{Report, escape::is_dangerous, json};

/// The verified statements, component by component, byte for byte as they were
/// signed where no byte breaks a line or moves a cursor.
pub(super) fn attestations(report: &Report) -> String {
    let materials = report.ordered_materials();
    materials.into_iter().flat_map(|material| &material.statements).map(|text| one_line(text)).collect::<Vec<_>>().join("\n")
}

/// The `input` of the rules, component by component; an empty line where none was
/// evaluated.
pub(super) fn inputs(report: &Report) -> String {
    let line = |material: &super::Material| material.policy_input.as_ref().map(json::render).unwrap_or_default();
    report.ordered_materials().into_iter().map(line).collect::<Vec<_>>().join("\n")
}

/// A JSON text on one line. Raw control characters can stand only between its
/// tokens, where a blank means the same, and other dangerous ones only inside its
/// texts, where JSON has an escape for them.
fn one_line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' | '\t' => out.push(' '),
            c if is_dangerous(c) => json::escape(&mut out, c),
            c => out.push(c),
        }
    }
    out.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_stays_itself_on_one_line() {
        let signed = "{\r\n\t\"a\": \"<x> & \u{202e}\u{9b}\u{e0041}\",\n \"b\":\"\\n\"}\n";
        let line = one_line(signed);
        assert_eq!(line, "{   \"a\": \"<x> & \\u202e\\u009b\\udb40\\udc41\",  \"b\":\"\\n\"}");
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(value(&line), value(signed));
    }
}
