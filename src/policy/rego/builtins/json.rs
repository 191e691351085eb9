//! `json.marshal` as Go has it, and the reader of JSON that rules ask for.

use regorus::Value;

use super::{Answer, Session, bounds, undefined};

/// Deepest document.
const MAX_DEPTH: usize = 128;

/// Compact, keys sorted, and `<`, `>`, `&`, U+2028 and U+2029 escaped.
pub(super) fn marshal(args: &[Value], session: &Session) -> Answer {
    let [value] = args else { return undefined("one operand") };
    if bounds::weigh(value, session.left()) > session.left() {
        return Err(bounds::memory());
    }
    text(value).map_or_else(undefined, |text| Ok(Value::from(text)))
}

/// A value as Go writes it.
pub(super) fn text(value: &Value) -> Result<String, String> {
    value.to_json_str().map(|text| compact(&text)).map_err(|e| e.to_string())
}

/// Takes the blanks out of a JSON text and escapes as Go does.
pub(in crate::rego) fn compact(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut inside, mut escaped) = (false, false);
    for c in text.chars() {
        match c {
            ' ' | '\n' | '\r' | '\t' if !inside => continue,
            '"' if !escaped => inside = !inside,
            _ => {}
        }
        escaped = inside && c == '\\' && !escaped;
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' if inside => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

/// Parses JSON; of two equal keys the last one counts, as in Go.
pub(super) fn parse(bytes: &[u8]) -> Result<Value, String> {
    let text = std::str::from_utf8(bytes).map_err(|e| e.to_string())?;
    if depth(text) > MAX_DEPTH {
        return Err(format!("nested deeper than {MAX_DEPTH} levels"));
    }
    Value::from_json_str(text).map_err(|e| e.to_string())
}

fn depth(text: &str) -> usize {
    let (mut inside, mut escaped, mut open, mut most) = (false, false, 0usize, 0);
    for b in text.bytes() {
        match b {
            b'"' if !escaped => inside = !inside,
            b'[' | b'{' if !inside => open += 1,
            b']' | b'}' if !inside => open = open.saturating_sub(1),
            _ => {}
        }
        escaped = inside && b == b'\\' && !escaped;
        most = most.max(open);
    }
    most
}
