//! The report as YAML: the data of the JSON report, keys sorted.
//!
//! Written by hand rather than by a serialiser, because consumers read it with
//! YAML 1.1 and 1.2 parsers: a text that either takes for a number, a time or a
//! boolean is quoted, and no control character or direction mark is left raw.
//! Indentation and quoting follow Conforma's writer (go-yaml).

use serde_json::{Map, Value};

use super::escape::is_dangerous;

/// Renders the document.
pub fn render(document: &Value) -> String {
    let mut out = String::new();
    match document {
        Value::Object(members) if !members.is_empty() => mapping(&mut out, members, 0),
        other => {
            scalar(&mut out, other, 0);
            out.push('\n');
        }
    }
    out
}

fn mapping(out: &mut String, members: &Map<String, Value>, indent: usize) {
    let mut sorted: Vec<_> = members.iter().collect();
    sorted.sort_by_key(|(key, _)| *key);
    for (i, (key, value)) in sorted.into_iter().enumerate() {
        // The first key stands behind the dash of its item, or at the margin.
        if i > 0 {
            pad(out, indent);
        }
        text(out, key, None);
        out.push(':');
        member(out, value, indent);
    }
}

fn member(out: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            out.push('\n');
            pad(out, indent + 2);
            mapping(out, members, indent + 2);
        }
        Value::Array(items) if !items.is_empty() => {
            out.push('\n');
            pad(out, indent);
            sequence(out, items, indent);
        }
        other => {
            out.push(' ');
            scalar(out, other, indent + 2);
            out.push('\n');
        }
    }
}

/// Items stand at the column of their key, as in go-yaml.
fn sequence(out: &mut String, items: &[Value], indent: usize) {
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            pad(out, indent);
        }
        out.push_str("- ");
        match item {
            Value::Object(members) if !members.is_empty() => mapping(out, members, indent + 2),
            Value::Array(items) if !items.is_empty() => sequence(out, items, indent + 2),
            other => {
                scalar(out, other, indent + 2);
                out.push('\n');
            }
        }
    }
}

fn scalar(out: &mut String, value: &Value, indent: usize) {
    match value {
        Value::String(value) => text(out, value, Some(indent)),
        Value::Array(_) => out.push_str("[]"),
        Value::Object(_) => out.push_str("{}"),
        other => out.push_str(&other.to_string()),
    }
}

/// A text in the plainest style that every reader takes for this text. A block
/// is possible for values only, at `block`.
fn text(out: &mut String, value: &str, block: Option<usize>) {
    match block {
        Some(indent) if fits_block(value) => literal(out, value, indent),
        _ if value.chars().any(is_special) || looks_typed(value) => quoted(out, value),
        _ if is_plain(value) => out.push_str(value),
        _ => out.push_str(&format!("'{}'", value.replace('\'', "''"))),
    }
}

fn is_special(c: char) -> bool {
    is_dangerous(c) || u32::from(c) == 0xfffe || u32::from(c) == 0xffff
}

/// A block keeps its text only without blanks at line ends or in front.
fn fits_block(value: &str) -> bool {
    value.contains('\n')
        && !value.chars().any(|c| c != '\n' && is_special(c))
        && !value.starts_with([' ', '\n'])
        && !value.contains(" \n")
        && !value.ends_with(' ')
}

fn literal(out: &mut String, value: &str, indent: usize) {
    let ends = value.chars().rev().take_while(|c| *c == '\n').count();
    out.push_str(match ends {
        0 => "|-",
        1 => "|",
        _ => "|+",
    });
    for line in value.strip_suffix('\n').unwrap_or(value).split('\n') {
        out.push('\n');
        if !line.is_empty() {
            pad(out, indent);
            out.push_str(line);
        }
    }
}

fn quoted(out: &mut String, value: &str) {
    out.push('"');
    for c in value.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if is_special(c) => out.push_str(&match u32::from(c) {
                code @ ..=0xffff => format!("\\u{code:04x}"),
                code => format!("\\U{code:08x}"),
            }),
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Whether a reader of YAML 1.1 or 1.2 could take the plain text for another
/// type: empty, a word for null or a boolean, or anything that starts like a
/// number or a time and holds nothing but their characters.
fn looks_typed(value: &str) -> bool {
    const WORDS: [&str; 14] = ["", "~", "null", "true", "false", "yes", "no", "y", "n", "on", "off", "<<", "=", ".nan"];
    if WORDS.contains(&value.to_ascii_lowercase().as_str()) {
        return true;
    }
    let numeric = |c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.' | '_' | ':');
    let timelike = |c: char| numeric(c) || matches!(c, 'T' | 't' | 'Z' | 'z' | ' ');
    let body = value.strip_prefix(['+', '-']).unwrap_or(value);
    let lower = body.to_ascii_lowercase();
    let begins = body.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    let based = ["0x", "0o", "0b"]
        .iter()
        .any(|prefix| lower.strip_prefix(prefix).is_some_and(|digits| digits.chars().all(|c| c.is_ascii_hexdigit() || c == '_')));
    begins && (based || lower == ".inf" || value.chars().all(timelike) || is_scaled(&lower))
}

/// `1e4`, `1.5E-3`, `1_0e+3`.
fn is_scaled(lower: &str) -> bool {
    let part = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | '_'));
    lower.split_once('e').is_some_and(|(mantissa, exponent)| part(mantissa) && part(exponent.trim_start_matches(['+', '-'])))
}

/// Whether the text stays itself without quotes (YAML 1.2 §7.3.3, block context).
fn is_plain(value: &str) -> bool {
    let indicator = value.starts_with(['#', ',', '[', ']', '{', '}', '&', '*', '!', '|', '>', '\'', '"', '%', '@', '`']);
    let lone =
        ['-', '?', ':'].iter().any(|c| value.strip_prefix(*c).is_some_and(|rest| rest.is_empty() || rest.starts_with(' ')));
    let marker = value.starts_with("---") || value.starts_with("...");
    let inside = value.contains(": ") || value.contains(" #") || value.ends_with(':');
    let blank = value.starts_with(' ') || value.ends_with(' ');
    !(indicator || lone || marker || inside || blank)
}

fn pad(out: &mut String, indent: usize) {
    out.extend(std::iter::repeat_n(' ', indent));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn layout_is_that_of_go_yaml() {
        let document = json!({
            "b": [{"y": 1, "x": [1, {"k": []}]}, [], {}],
            "a": {"pem": "-----BEGIN\nAB==\n-----END\n", "no": "y", "plain": "a b:c", "quote": "k: v"},
            "c": null,
        });
        let want = "a:\n  \"no\": \"y\"\n  pem: |\n    -----BEGIN\n    AB==\n    -----END\n  plain: a b:c\n  quote: 'k: v'\n\
                    b:\n- x:\n  - 1\n  - k: []\n  \"y\": 1\n- []\n- {}\nc: null\n";
        assert_eq!(render(&document), want);
    }

    #[test]
    fn texts_that_look_like_something_else_are_quoted() {
        for typed in [
            "",
            "~",
            "Null",
            "TRUE",
            "no",
            "1",
            "-1",
            "+.5",
            "0x1F",
            "0o17",
            "0b1",
            "1e4",
            "1_000",
            "190:20:30",
            ".inf",
            "-.INF",
            ".NaN",
            "2026-03-01",
            "2026-03-01T12:00:00Z",
            "2026-03-01 12:00:00.5 +1",
            "<<",
            "=",
        ] {
            assert_eq!(render(&json!({ "k": typed })), format!("k: \"{typed}\"\n"), "{typed}");
        }
        for (text, want) in [
            ("v1.2", "v1.2"),
            ("1a2b3c", "1a2b3c"),
            ("sha256:00ff", "sha256:00ff"),
            ("it's: so", "'it''s: so'"),
            ("- x", "'- x'"),
            ("--- x", "'--- x'"),
            ("[x", "'[x'"),
            (" x", "' x'"),
            ("x #y", "'x #y'"),
            ("a\tb", "\"a\\tb\""),
            ("a\u{202e}b\u{9b}\u{e0041}", "\"a\\u202eb\\u009b\\U000e0041\""),
            ("a\n b", "|-\n  a\n   b"),
            ("a \nb", "\"a \\nb\""),
            ("\na", "\"\\na\""),
            ("a\n\n", "|+\n  a\n"),
        ] {
            assert_eq!(render(&json!({ "k": text })), format!("k: {want}\n"), "{text:?}");
        }
    }
}
