//! How OPA writes values as text, and Go quotes strings.

use regorus::Value;

/// A value as OPA prints it: `{"a": 1}`, `{1, 2}`, `set()`.
pub(crate) fn rego(value: &Value) -> String {
    let mut out = String::new();
    write(value, &mut out);
    out
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Number(number) => out.push_str(&number.format_decimal()),
        Value::String(text) => out.push_str(&quote(text)),
        Value::Array(items) => {
            out.push('[');
            list(items.iter(), out);
            out.push(']');
        }
        Value::Set(items) if items.is_empty() => out.push_str("set()"),
        Value::Set(items) => {
            out.push('{');
            list(items.iter_sorted(), out);
            out.push('}');
        }
        Value::Object(fields) => {
            out.push('{');
            for (at, (key, value)) in fields.iter_sorted().enumerate() {
                if at > 0 {
                    out.push_str(", ");
                }
                write(key, out);
                out.push_str(": ");
                write(value, out);
            }
            out.push('}');
        }
        Value::Undefined => {}
    }
}

fn list<'a>(items: impl Iterator<Item = &'a Value>, out: &mut String) {
    for (at, item) in items.enumerate() {
        if at > 0 {
            out.push_str(", ");
        }
        write(item, out);
    }
}

/// Go's `strconv.Quote`.
pub(crate) fn quote(text: &str) -> String {
    quoted(text, '"', false)
}

/// Go's `strconv.QuoteToASCII`.
pub(crate) fn quote_ascii(text: &str) -> String {
    quoted(text, '"', true)
}

/// Go's `strconv.QuoteRune`.
pub(crate) fn quote_char(c: char) -> String {
    quoted(c.encode_utf8(&mut [0; 4]), '\'', false)
}

fn quoted(text: &str, mark: char, ascii: bool) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push(mark);
    for c in text.chars() {
        let code = u32::from(c);
        match c {
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            '\\' => out.push_str("\\\\"),
            c if c == mark => {
                out.push('\\');
                out.push(c);
            }
            ' '..='~' => out.push(c),
            _ if code < 0x20 || code == 0x7f => out.push_str(&format!("\\x{code:02x}")),
            c if !ascii && is_printable(c) => out.push(c),
            _ if code < 0x10000 => out.push_str(&format!("\\u{code:04x}")),
            _ => out.push_str(&format!("\\U{code:08x}")),
        }
    }
    out.push(mark);
    out
}

/// Close to Go's `unicode.IsPrint`: letters, marks, numbers, punctuation and
/// symbols. Rust's own escaping of debug texts draws the line at the same place
/// but for combining marks, which it escapes.
fn is_printable(c: char) -> bool {
    let escaped = c.escape_debug().next() == Some('\\');
    let mark = matches!(u32::from(c), 0x300..=0x36f | 0x483..=0x489 | 0x591..=0x5bd | 0x610..=0x61a | 0x64b..=0x65f | 0x1ab0..=0x1aff | 0x1dc0..=0x1dff | 0x20d0..=0x20ff | 0xfe20..=0xfe2f);
    !c.is_whitespace() && (!escaped || mark)
}
