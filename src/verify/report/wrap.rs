//! Word wrap as Conforma's text report has it.

/// Wraps `text` at `width` columns, one column per character. Words longer than
/// the width stay whole, line breaks and inner blanks stay, blanks at a new break
/// are dropped.
pub(super) fn wrap(text: &str, width: usize) -> String {
    text.split('\n').map(|line| wrap_line(line, width)).collect::<Vec<_>>().join("\n")
}

fn wrap_line(line: &str, width: usize) -> String {
    let mut out = String::with_capacity(line.len() + 8);
    let mut column = 0;
    let mut rest = line;
    while !rest.is_empty() {
        let blanks_end = rest.find(|c: char| !is_blank(c)).unwrap_or(rest.len());
        let (blanks, after) = rest.split_at(blanks_end);
        let word_end = after.find(is_blank).unwrap_or(after.len());
        let (word, after) = after.split_at(word_end);
        let (gap, length) = (blanks.chars().count(), word.chars().count());
        if word.is_empty() {
            if column + gap <= width {
                out.push_str(blanks);
            }
        } else if column + gap + length > width && column + gap > 1 {
            out.push('\n');
            out.push_str(word);
            column = length;
        } else {
            out.push_str(blanks);
            out.push_str(word);
            column += gap + length;
        }
        rest = after;
    }
    out
}

/// White space that may become a line break; the no-break space may not.
fn is_blank(c: char) -> bool {
    c.is_whitespace() && c != '\u{a0}'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_move_whole_and_line_breaks_stay() {
        for (text, want) in [
            ("", ""),
            ("one two", "one two"),
            ("aaa bbb ccc ddd", "aaa bbb\nccc ddd"),
            ("aaaa bbbbbb", "aaaa\nbbbbbb"),
            ("a bbbbbbbbbbbb c", "a\nbbbbbbbbbbbb\nc"),
            ("bbbbbbbbbbbb c", "bbbbbbbbbbbb\nc"),
            (" bbbbbbbbbbbb", " bbbbbbbbbbbb"),
            ("a  b   c", "a  b   c"),
            ("a\n\n b ", "a\n\n b "),
            ("aaaaaaa ", "aaaaaaa "),
            ("aaaaaaaa ", "aaaaaaaa"),
            ("éééé éééé", "éééé\néééé"),
            ("aaa\u{a0}bbb ccc", "aaa\u{a0}bbb\nccc"),
        ] {
            assert_eq!(wrap(text, 8), want, "{text:?}");
        }
    }
}
