//! Text that cannot move the cursor, hide itself or forge a line.

/// Escapes everything but printable text: one line stays one line.
pub fn escape_line(text: &str) -> String {
    escape(text, is_dangerous)
}

/// Escapes the same, but keeps line breaks and tabs, for text that is indented
/// line by line.
pub(super) fn escape_lines(text: &str) -> String {
    escape(text, |c| is_dangerous(c) && !matches!(c, '\n' | '\t'))
}

/// A text as a code span of a Markdown table: markup, links, mentions and emoji
/// names in it stay text. The bar ends a cell even there, and whether a backslash
/// before it helps depends on what stands before that, so it is spelled out.
pub(super) fn markdown_code(text: &str) -> String {
    let text = escape_line(text).replace('|', "\\u{7c}");
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    // A blank at both ends is taken away again; it keeps backticks off the fence.
    format!("{fence} {text} {fence}")
}

/// Whether a character is more than the glyph it shows: a control character, one
/// that turns the writing direction, breaks a line or is not seen at all.
pub(super) fn is_dangerous(c: char) -> bool {
    c.is_control()
        || matches!(c,
            // Direction marks, embeddings, overrides and isolates (UAX #9).
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            // Line and paragraph separator.
            | '\u{2028}' | '\u{2029}'
            // Invisible: zero width space, word joiner and its kin, BOM,
            // interlinear annotations, tag characters.
            | '\u{200b}' | '\u{2060}'..='\u{2065}' | '\u{206a}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

fn escape(text: &str, dangerous: impl Fn(char) -> bool) -> String {
    if !text.contains(&dangerous) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' if dangerous(c) => out.push_str("\\n"),
            '\r' if dangerous(c) => out.push_str("\\r"),
            '\t' if dangerous(c) => out.push_str("\\t"),
            c if dangerous(c) => out.push_str(&format!("\\u{{{:x}}}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_moves_the_cursor() {
        for (text, want) in [
            ("plain é → 漢字 👩‍💻", "plain é → 漢字 👩‍💻"),
            ("\u{1b}[2J", "\\u{1b}[2J"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("a\rb\nc\td", "a\\rb\\nc\\td"),
            ("ab\u{8}\u{7f}", "ab\\u{8}\\u{7f}"),
            ("x\u{202e}gpj.exe", "x\\u{202e}gpj.exe"),
            ("a\u{2028}b\u{2066}\u{200b}\u{feff}\u{e0041}", "a\\u{2028}b\\u{2066}\\u{200b}\\u{feff}\\u{e0041}"),
        ] {
            assert_eq!(escape_line(text), want);
        }
        assert_eq!(escape_lines("a\nb\tc\r\u{1b}"), "a\nb\tc\\r\\u{1b}");
    }

    #[test]
    fn markdown_stays_text() {
        assert_eq!(markdown_code("--flag"), "` --flag `");
        assert_eq!(markdown_code("a|b\n`x` ``y"), "``` a\\u{7c}b\\n`x` ``y ```");
    }
}
