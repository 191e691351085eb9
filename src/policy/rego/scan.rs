//! One pass over the characters of a policy file, before the parser sees it:
//! collects the comments, which the parser drops, and refuses what the parser
//! cannot be trusted with.

use super::error::{Location, SyntaxError};

/// Deepest nesting of brackets. Real policies stay below 20.
const MAX_DEPTH: usize = 48;
/// Deepest nesting of brackets that open their parent (`[[[`), and of
/// comprehensions: the parser tries each of them twice.
const MAX_RETRIED: usize = 10;

/// Longest chain of operators, dots and indexes. The parser makes a tree of it
/// that is as deep as the chain is long.
const MAX_CHAIN: usize = 256;

/// A comment.
#[derive(Debug)]
pub(super) struct Comment<'a> {
    /// Line, from 1.
    pub(super) line: u32,
    /// Column, from 1.
    pub(super) column: u32,
    /// What stands behind `#`.
    pub(super) text: &'a str,
}

/// What stood last at a level of brackets.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Last {
    Nothing,
    Operand,
    Operator,
}

/// An open bracket.
struct Open {
    /// Nothing has been seen inside yet.
    fresh: bool,
    /// How many brackets above it were opened by their first token.
    lead: usize,
    /// A `|` has been seen: a comprehension, or a union.
    bar: bool,
    /// Operators since the last place where no expression goes on.
    chain: usize,
    last: Last,
}

impl Open {
    fn new(lead: usize) -> Self {
        Self { fresh: true, lead, bar: false, chain: 0, last: Last::Nothing }
    }
}

/// Collects the comments of `text`.
pub(super) fn scan<'a>(text: &'a str, file: &str) -> Result<Vec<Comment<'a>>, SyntaxError> {
    let mut scanner = Scanner { text, file, line: 1, line_start: 0, open: vec![Open::new(0)], comments: Vec::new() };
    scanner.run()?;
    Ok(scanner.comments)
}

struct Scanner<'a, 'f> {
    text: &'a str,
    file: &'f str,
    line: u32,
    line_start: usize,
    open: Vec<Open>,
    comments: Vec<Comment<'a>>,
}

impl Scanner<'_, '_> {
    fn run(&mut self) -> Result<(), SyntaxError> {
        let bytes = self.text.as_bytes();
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            match byte {
                // The parser takes it for the end of the file, and everything
                // behind it would silently not exist.
                0 => return Err(self.error(at, "NUL character")),
                b'\n' => self.newline(at),
                b'#' => {
                    let end = self.text[at..].find('\n').map_or(self.text.len(), |n| at + n);
                    if self.text[at..end].contains('\0') {
                        return Err(self.error(at, "NUL character"));
                    }
                    self.comment(at, end);
                    at = end;
                    continue;
                }
                b'"' => {
                    at = self.string(at)?;
                    continue;
                }
                b'`' => {
                    at = self.raw_string(at)?;
                    continue;
                }
                b'[' | b'{' | b'(' => self.bracket(at)?,
                b']' | b'}' | b')' => {
                    if self.open.len() > 1 {
                        self.open.pop();
                    }
                    self.operand(false);
                }
                b' ' | b'\t' | b'\r' => {}
                b',' | b';' | b':' => self.separator(),
                b if b.is_ascii_alphanumeric() || b == b'_' || !b.is_ascii() => {
                    at = self.word(at)?;
                    continue;
                }
                b => {
                    if b == b'|' {
                        self.bar(at)?;
                    }
                    self.operator(at)?;
                }
            }
            at += 1;
        }
        Ok(())
    }

    fn newline(&mut self, at: usize) {
        self.line += 1;
        self.line_start = at + 1;
    }

    fn separator(&mut self) {
        if let Some(open) = self.open.last_mut() {
            (open.fresh, open.chain, open.last) = (false, 0, Last::Nothing);
        }
    }

    /// An operand; two in a row belong to two expressions.
    fn operand(&mut self, begins: bool) {
        if let Some(open) = self.open.last_mut() {
            if begins && open.last == Last::Operand {
                open.chain = 0;
            }
            (open.fresh, open.last) = (false, Last::Operand);
        }
    }

    fn operator(&mut self, at: usize) -> Result<(), SyntaxError> {
        let Some(open) = self.open.last_mut() else { return Ok(()) };
        open.chain += 1;
        (open.fresh, open.last) = (false, Last::Operator);
        if open.chain > MAX_CHAIN {
            return Err(self.error(at, "the expression is too long"));
        }
        Ok(())
    }

    /// Returns where the word that begins at `at` ends.
    fn word(&mut self, at: usize) -> Result<usize, SyntaxError> {
        let rest = &self.text[at..];
        let length = rest.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_' || !b.is_ascii()).count();
        match &rest[..length] {
            "in" => self.operator(at)?,
            _ => self.operand(true),
        }
        Ok(at + length)
    }

    fn bracket(&mut self, at: usize) -> Result<(), SyntaxError> {
        let lead = self.open.last().map_or(0, |parent| if parent.fresh { parent.lead + 1 } else { 0 });
        // An index or a call goes on with the expression.
        self.operator(at)?;
        self.open.push(Open::new(lead));
        if self.open.len() > MAX_DEPTH + 1 || lead > MAX_RETRIED {
            return Err(self.error(at, "brackets are nested too deep"));
        }
        Ok(())
    }

    fn bar(&mut self, at: usize) -> Result<(), SyntaxError> {
        if let Some(open) = self.open.last_mut() {
            open.bar = true;
        }
        if self.open.iter().filter(|open| open.bar).count() > MAX_RETRIED {
            return Err(self.error(at, "comprehensions are nested too deep"));
        }
        Ok(())
    }

    fn comment(&mut self, at: usize, end: usize) {
        let text = &self.text[at + 1..end];
        let column = column(self.line_start, at);
        self.comments.push(Comment { line: self.line, column, text: text.strip_suffix('\r').unwrap_or(text) });
    }

    /// Returns where the string that begins at `at` ends.
    fn string(&mut self, at: usize) -> Result<usize, SyntaxError> {
        self.operand(true);
        let bytes = self.text.as_bytes();
        let mut end = at + 1;
        while let Some(&byte) = bytes.get(end) {
            match byte {
                b'"' => return Ok(end + 1),
                b'\\' => end += 2,
                0 | b'\n' => break,
                _ => end += 1,
            }
        }
        Err(self.error(at, "the string is not closed"))
    }

    fn raw_string(&mut self, at: usize) -> Result<usize, SyntaxError> {
        self.operand(true);
        let Some(length) = self.text[at + 1..].find('`') else {
            return Err(self.error(at, "the raw string is not closed"));
        };
        let body = &self.text[at + 1..at + 1 + length];
        if body.contains('\0') {
            return Err(self.error(at, "NUL character"));
        }
        for (offset, _) in body.match_indices('\n') {
            self.newline(at + 1 + offset);
        }
        Ok(at + length + 2)
    }

    fn error(&self, at: usize, reason: &str) -> SyntaxError {
        let column = column(self.line_start, at);
        SyntaxError { at: Location { file: self.file.into(), line: self.line, column }, reason: reason.to_owned() }
    }
}

fn column(line_start: usize, at: usize) -> u32 {
    u32::try_from(at - line_start + 1).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_hold_no_comments() {
        let text = "a := \"# no\" # one\nb := `\n# no\n` # two\n# three\\\n";
        let found: Vec<_> = scan(text, "f").unwrap().iter().map(|c| (c.line, c.column, c.text)).collect();
        assert_eq!(found, [(1, 13, " one"), (4, 3, " two"), (5, 1, " three\\")]);
    }

    #[test]
    fn many_short_expressions_are_fine() {
        let body = "\tx.y[0] == 1\n\tnot z in [1]\n".repeat(1000);
        let list = "1 + 1, ".repeat(1000);
        assert!(scan(&format!("a if {{\n{body}}}\nb := [{list}]\n"), "f").is_ok());
    }

    #[test]
    fn what_the_parser_would_misread_is_refused() {
        let deep = format!("a := {}1{}", "[1,".repeat(60), "]".repeat(60));
        let lead = format!("a := {}1{}", "[".repeat(30), "]".repeat(30));
        let sum = format!("a := 1{}", " + 1".repeat(300));
        let dots = format!("a := b{}", ".c".repeat(300));
        let indexes = format!("a := b{}", "[0]".repeat(300));
        let members = format!("a := b{}", " in b".repeat(300));
        let comprehensions = format!("a := {}1{}", "[x | x := ".repeat(30), "]".repeat(30));
        for (text, want) in [
            ("package a\n\0\ndeny := 1", "f:2:1: NUL character"),
            ("# a \0", "f:1:1: NUL character"),
            ("a := `\0`", "f:1:6: NUL character"),
            ("a := \"x", "f:1:6: the string is not closed"),
            ("a := `x", "f:1:6: the raw string is not closed"),
            (&deep, "f:1:150: brackets are nested too deep"),
            (&lead, "f:1:17: brackets are nested too deep"),
            (&sum, "f:1:1028: the expression is too long"),
            (&dots, "f:1:517: the expression is too long"),
            (&indexes, "f:1:772: the expression is too long"),
            (&members, "f:1:1283: the expression is too long"),
            (&comprehensions, "f:1:109: comprehensions are nested too deep"),
        ] {
            assert_eq!(scan(text, "f").unwrap_err().to_string(), want);
        }
    }
}
