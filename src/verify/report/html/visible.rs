//! Text of others in a page: it stays text, and nothing in it stays unseen.

use std::fmt::{Result, Write};

use askama::filters::Escaper;

use super::super::escape::is_dangerous;

/// Escapes markup, and shows what has no glyph of its own as a marked name, such as
/// U+202E. A line break is marked and breaks the line.
///
/// The marks are elements, so no template puts an expression into an attribute that
/// could hold text of others.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Visible;

impl Escaper for Visible {
    fn write_escaped_str<W: Write>(&self, mut out: W, text: &str) -> Result {
        let mut plain = 0;
        for (at, c) in text.char_indices().filter(|(_, c)| is_special(*c)) {
            out.write_str(&text[plain..at])?;
            write(&mut out, c)?;
            plain = at + c.len_utf8();
        }
        out.write_str(&text[plain..])
    }
}

fn write(out: &mut impl Write, c: char) -> Result {
    match c {
        '<' => out.write_str("&lt;"),
        '>' => out.write_str("&gt;"),
        '&' => out.write_str("&amp;"),
        '"' => out.write_str("&quot;"),
        '\'' => out.write_str("&#39;"),
        '\n' => out.write_str("<i class=\"u\">↵</i><br>"),
        '\t' => out.write_str("<i class=\"u\">⇥</i> "),
        c => write!(out, "<i class=\"u\">U+{:04X}</i>", u32::from(c)),
    }
}

fn is_special(c: char) -> bool {
    matches!(c, '<' | '>' | '&' | '"' | '\'') || is_dangerous(c) || is_unseen(c)
}

/// Beyond what moves a cursor: what a browser shows as nothing, or joins to its
/// neighbour, and what a document must not contain.
fn is_unseen(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200c}' | '\u{200d}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{ffa0}' | '\u{fffc}'
        | '\u{fdd0}'..='\u{fdef}' | '\u{e000}'..='\u{f8ff}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0080}'..='\u{e0fff}'
        | '\u{f0000}'..='\u{10ffff}')
        || u32::from(c) & 0xfffe == 0xfffe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_markup_and_nothing_is_unseen() {
        for (text, want) in [
            ("plain é → 漢字", "plain é → 漢字"),
            ("<b a='x' c=\"y\">&", "&lt;b a=&#39;x&#39; c=&quot;y&quot;&gt;&amp;"),
            ("x\u{202e}y", "x<i class=\"u\">U+202E</i>y"),
            (
                "\u{0}\u{200d}\u{ffff}\u{e0041}",
                "<i class=\"u\">U+0000</i><i class=\"u\">U+200D</i><i class=\"u\">U+FFFF</i><i class=\"u\">U+E0041</i>",
            ),
            ("a\nb\tc", "a<i class=\"u\">↵</i><br>b<i class=\"u\">⇥</i> c"),
        ] {
            let mut out = String::new();
            Visible.write_escaped_str(&mut out, text).unwrap();
            assert_eq!(out, want);
        }
    }
}
