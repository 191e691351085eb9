//! From Go's regular expressions to the same in the syntax of Rust's `regex`.

use std::{fmt::Write as _, iter::Peekable, str::Chars};

/// Most repetitions that Go takes.
const MAX_REPEAT: u32 = 1000;
const DIGIT: &str = "0-9";
const SPACE: &str = r"\t\n\f\r ";
const WORD: &str = "0-9A-Za-z_";

/// Translates a pattern.
pub(super) fn translate(pattern: &str) -> Result<String, String> {
    let mut translator = Translator { rest: pattern.chars().peekable(), out: String::new(), repeatable: false, repeated: false };
    translator.run()?;
    Ok(translator.out)
}

struct Translator<'a> {
    rest: Peekable<Chars<'a>>,
    out: String,
    /// There is something that a `*` could repeat.
    repeatable: bool,
    /// The last thing was a repetition.
    repeated: bool,
}

impl Translator<'_> {
    fn run(&mut self) -> Result<(), String> {
        while let Some(c) = self.rest.next() {
            match c {
                '\\' => self.escape()?,
                '[' => self.class()?,
                '(' => self.group()?,
                '*' | '+' | '?' => self.repeat(&c.to_string())?,
                '{' => match self.braces()? {
                    Some(text) => self.repeat(&text)?,
                    None => self.literal('{'),
                },
                '|' => {
                    self.out.push('|');
                    self.set(false);
                }
                ')' | '^' | '$' | '.' => {
                    self.out.push(c);
                    self.set(true);
                }
                c => self.literal(c),
            }
        }
        Ok(())
    }

    fn set(&mut self, repeatable: bool) {
        self.repeatable = repeatable;
        self.repeated = false;
    }

    fn literal(&mut self, c: char) {
        self.out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
        self.set(true);
    }

    fn repeat(&mut self, operator: &str) -> Result<(), String> {
        if !self.repeatable {
            return Err(format!("missing argument to repetition operator: `{operator}`"));
        }
        if self.repeated {
            return Err(format!("invalid nested repetition operator: `{operator}`"));
        }
        self.out.push_str(operator);
        if self.rest.next_if_eq(&'?').is_some() {
            self.out.push('?');
        }
        self.repeated = true;
        Ok(())
    }

    /// Reads what stands behind a `{` if it is a repetition.
    fn braces(&mut self) -> Result<Option<String>, String> {
        let ahead: String = self.rest.clone().take_while(|c| *c != '}').collect();
        let closed = self.rest.clone().nth(ahead.chars().count()) == Some('}');
        let (least, most) = match ahead.split_once(',') {
            Some((least, most)) => (least, Some(most)),
            None => (ahead.as_str(), None),
        };
        let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !closed || !number(least) || !most.is_none_or(|most| most.is_empty() || number(most)) {
            return Ok(None);
        }
        let value = |text: &str| text.parse::<u32>().ok().filter(|n| *n <= MAX_REPEAT).ok_or("invalid repeat count".to_owned());
        let least_value = value(least)?;
        if let Some(most) = most.filter(|most| !most.is_empty())
            && value(most)? < least_value
        {
            return Err("invalid repeat count".to_owned());
        }
        self.skip(ahead.chars().count() + 1);
        Ok(Some(format!("{{{ahead}}}")))
    }

    fn skip(&mut self, count: usize) {
        for _ in 0..count {
            self.rest.next();
        }
    }

    fn group(&mut self) -> Result<(), String> {
        self.out.push('(');
        self.set(false);
        if self.rest.next_if_eq(&'?').is_none() {
            return Ok(());
        }
        self.out.push('?');
        if let Some(&c) = self.rest.peek()
            && matches!(c, 'P' | '<')
        {
            let name: String = self.rest.by_ref().take_while(|c| *c != '>').collect();
            let plain = name.trim_start_matches('P').trim_start_matches('<');
            if plain.is_empty() || !plain.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
                return Err("invalid named capture".to_owned());
            }
            let _ = write!(self.out, "P<{plain}>");
            return Ok(());
        }
        for c in self.rest.by_ref() {
            match c {
                'i' | 'm' | 's' | 'U' | '-' => self.out.push(c),
                ':' | ')' => {
                    self.out.push(c);
                    return Ok(());
                }
                _ => return Err("invalid or unsupported Perl syntax".to_owned()),
            }
        }
        Err("missing closing )".to_owned())
    }

    fn escape(&mut self) -> Result<(), String> {
        let Some(&c) = self.rest.peek() else { return Err("trailing backslash at end of expression".to_owned()) };
        match c {
            'Q' => {
                self.rest.next();
                return self.quoted();
            }
            'A' | 'z' => {
                self.rest.next();
                let _ = write!(self.out, "\\{c}");
            }
            'b' | 'B' => {
                self.rest.next();
                self.out.push_str(if c == 'b' { r"(?-u:\b)" } else { r"\B" });
            }
            _ => match self.class_escape()? {
                Item::Char(c) => {
                    return {
                        self.literal(c);
                        Ok(())
                    };
                }
                Item::Class(text) => {
                    let _ = write!(self.out, "[{text}]");
                }
            },
        }
        self.set(true);
        Ok(())
    }

    fn quoted(&mut self) -> Result<(), String> {
        while let Some(c) = self.rest.next() {
            if c == '\\' && self.rest.next_if_eq(&'E').is_some() {
                return Ok(());
            }
            self.literal(c);
        }
        Ok(())
    }

    /// An escape that may stand in a class, behind its backslash.
    fn class_escape(&mut self) -> Result<Item, String> {
        let Some(c) = self.rest.next() else { return Err("trailing backslash at end of expression".to_owned()) };
        Ok(match c {
            'd' => Item::Class(DIGIT.to_owned()),
            's' => Item::Class(SPACE.to_owned()),
            'w' => Item::Class(WORD.to_owned()),
            'D' => Item::Class(format!("[^{DIGIT}]")),
            'S' => Item::Class(format!("[^{SPACE}]")),
            'W' => Item::Class(format!("[^{WORD}]")),
            'p' | 'P' => self.property(c)?,
            'a' => Item::Char('\u{7}'),
            'f' => Item::Char('\u{c}'),
            'n' => Item::Char('\n'),
            'r' => Item::Char('\r'),
            't' => Item::Char('\t'),
            'v' => Item::Char('\u{b}'),
            'x' => Item::Char(self.hex()?),
            '0'..='7' => Item::Char(self.octal(c)?),
            c if c.is_ascii() && !c.is_ascii_alphanumeric() => Item::Char(c),
            c => return Err(format!("invalid escape sequence: `\\{c}`")),
        })
    }

    fn property(&mut self, letter: char) -> Result<Item, String> {
        let name: String = match self.rest.next() {
            Some('{') => self.rest.by_ref().take_while(|c| *c != '}').collect(),
            Some(c) => c.to_string(),
            None => return Err("invalid character class range".to_owned()),
        };
        let negated = (letter == 'P') != name.starts_with('^');
        let name = name.trim_start_matches('^');
        Ok(Item::Class(format!("\\{}{{{name}}}", if negated { 'P' } else { 'p' })))
    }

    fn hex(&mut self) -> Result<char, String> {
        let invalid = || "invalid escape sequence: `\\x`".to_owned();
        let digits: String = if self.rest.next_if_eq(&'{').is_some() {
            self.rest.by_ref().take_while(|c| *c != '}').collect()
        } else {
            self.rest.by_ref().take(2).collect()
        };
        let code = u32::from_str_radix(&digits, 16).map_err(|_| invalid())?;
        char::from_u32(code).ok_or_else(invalid)
    }

    /// One to three octal digits; a single one other than 0 would refer back.
    fn octal(&mut self, first: char) -> Result<char, String> {
        let mut code = first.to_digit(8).unwrap_or(0);
        let mut digits = 1;
        while digits < 3
            && let Some(digit) = self.rest.peek().and_then(|c| c.to_digit(8))
        {
            self.rest.next();
            code = code * 8 + digit;
            digits += 1;
        }
        if first != '0' && digits == 1 {
            return Err(format!("invalid escape sequence: `\\{first}`"));
        }
        char::from_u32(code).ok_or_else(|| "invalid escape sequence".to_owned())
    }

    fn class(&mut self) -> Result<(), String> {
        self.out.push('[');
        if self.rest.next_if_eq(&'^').is_some() {
            self.out.push('^');
        }
        let mut first = true;
        loop {
            let Some(c) = self.rest.next() else { return Err("missing closing ]".to_owned()) };
            if c == ']' && !first {
                break;
            }
            first = false;
            if c == '[' && self.rest.peek() == Some(&':') && self.posix()? {
                continue;
            }
            let low = if c == '\\' { self.class_escape()? } else { Item::Char(c) };
            let low = match low {
                Item::Class(text) => {
                    self.out.push_str(&text);
                    continue;
                }
                Item::Char(c) => c,
            };
            let high = self.range_end()?.unwrap_or(low);
            if high < low {
                return Err("invalid character class range".to_owned());
            }
            let _ = write!(self.out, "\\x{{{:x}}}-\\x{{{:x}}}", u32::from(low), u32::from(high));
        }
        self.out.push(']');
        self.set(true);
        Ok(())
    }

    /// Reads `-x` if it ends a range.
    fn range_end(&mut self) -> Result<Option<char>, String> {
        let mut ahead = self.rest.clone();
        if ahead.next() != Some('-') || matches!(ahead.next(), None | Some(']')) {
            return Ok(None);
        }
        self.rest.next();
        match self.rest.next() {
            Some('\\') => match self.class_escape()? {
                Item::Char(c) => Ok(Some(c)),
                Item::Class(_) => Err("invalid character class range".to_owned()),
            },
            c => Ok(c),
        }
    }

    /// Reads `[:name:]` if it is one.
    fn posix(&mut self) -> Result<bool, String> {
        let ahead: String = self.rest.clone().take(16).collect();
        let Some((name, _)) = ahead.split_once(":]") else { return Ok(false) };
        let plain = name.trim_start_matches(':').trim_start_matches('^');
        const NAMES: [&str; 14] = [
            "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "word",
            "xdigit",
        ];
        if !NAMES.contains(&plain) {
            return Err(format!("invalid character class range: `[{name}:]`"));
        }
        let _ = write!(self.out, "[{name}:]");
        self.skip(name.chars().count() + 2);
        Ok(true)
    }
}

enum Item {
    Char(char),
    /// What stands between the brackets of a class.
    Class(String),
}
