//! What may go to a terminal.

use std::{
    fmt,
    io::{self, Write},
};

/// Text of unknown origin with its control characters made visible: a tag or an
/// error document must not move the cursor or set a title.
pub(crate) struct Printable<T>(pub(crate) T);

impl<T: fmt::Display> fmt::Display for Printable<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        for c in text.chars() {
            match c {
                // Bidirectional overrides reorder what is read.
                '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                    write!(f, "{}", c.escape_unicode())?
                }
                c if c.is_control() => write!(f, "{}", c.escape_default())?,
                c => write!(f, "{c}")?,
            }
        }
        Ok(())
    }
}

/// Writes a line to stderr. Nobody is left to be told when that fails.
pub(crate) fn say(line: impl fmt::Display) {
    let _ = writeln!(io::stderr(), "carnet: {}", Printable(line));
}

/// Bytes in the unit that people read.
pub(crate) fn human_size(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_made_visible() {
        assert_eq!(Printable("a\x1b]0;t\x07\u{9b}\u{202e}\u{e9}").to_string(), "a\\u{1b}]0;t\\u{7}\\u{9b}\\u{202e}\u{e9}");
        assert_eq!(Printable("two\r\nlines").to_string(), "two\\r\\nlines");
    }
}
