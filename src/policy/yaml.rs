//! The one place that reads YAML: images.yaml and policy.yaml as a tree in which
//! every value knows where it stands and how it was written.
//!
//! A parser that hands out values only is not enough here. A security rule with
//! a misspelt key must be refused with line and column, a key that occurs twice
//! must not silently win or lose, and a plain `0123` must stay the text that the
//! author wrote until a field says what it wants.

mod document;
mod scalar;
mod tree;

use std::{fmt, sync::Arc};

pub use document::Document;
pub(crate) use scalar::Resolved;

/// Largest document that is read, in bytes. The largest policy in the field is
/// below 100 KiB; a list of 10 000 images stays below 4 MiB.
const MAX_SIZE: usize = 8 * 1024 * 1024;
/// Deepest nesting; policy.yaml itself needs 6, rule data a few more.
const MAX_DEPTH: usize = 64;
/// Values of one document, aliases counted in full (stops an *alias bomb*).
const MAX_NODES: usize = 500_000;

/// How the two documents are read.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Reading {
    /// carnet's own: ambiguous documents are refused.
    #[default]
    Strict,
    /// As Conforma reads them (`--compat ec`): keys of images.yaml in any case,
    /// of two equal keys the last, of several documents the first.
    Conforma,
}

/// Where something stands in a document.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Place {
    /// Name of the document, as the user would recognise it.
    pub file: Arc<str>,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// Why a document cannot be read.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum YamlError {
    /// A key that occurs twice in one mapping: two readers would see two values.
    #[error("{place}: duplicate key {key:?}, first written in line {first}")]
    DuplicateKey {
        /// Where the second one stands.
        place: Place,
        /// The key.
        key: String,
        /// Line of the first one.
        first: usize,
    },
    /// Nothing but blanks and comments.
    #[error("{file}: the document is empty")]
    Empty {
        /// Name of the document.
        file: Arc<str>,
    },
    /// A key that is not plain text.
    #[error("{place}: a key must be a text")]
    KeyNotText {
        /// Where it stands.
        place: Place,
    },
    /// A bound of this reader.
    #[error("{place}: limit exceeded: more than {limit} {what}")]
    LimitExceeded {
        /// Where it was exceeded.
        place: Place,
        /// What was counted.
        what: &'static str,
        /// The bound.
        limit: usize,
    },
    /// A known key in other spelling: a typo must not switch a rule off.
    #[error("{place}: unknown key {key:?} in {within}: did you mean {meant:?}?")]
    MisspeltKey {
        /// Where it stands.
        place: Place,
        /// The key as written.
        key: String,
        /// What the key stands in.
        within: String,
        /// The known key it resembles.
        meant: &'static str,
    },
    /// Bytes that are not UTF-8.
    #[error("{place}: not UTF-8")]
    NotUtf8 {
        /// Where the first such byte stands.
        place: Place,
    },
    /// More than one document in the stream.
    #[error("{place}: a second document begins here: want one document")]
    SeveralDocuments {
        /// Where it begins.
        place: Place,
    },
    /// Outside the grammar.
    #[error("{place}: {reason}")]
    Syntax {
        /// Where the parser stopped.
        place: Place,
        /// What it says.
        reason: String,
    },
    /// A tag other than `!!str`, `!!seq` and `!!map`.
    #[error("{place}: unsupported tag {tag}")]
    Tag {
        /// Where it stands.
        place: Place,
        /// The tag.
        tag: String,
    },
    /// A key that the document does not know.
    #[error("{place}: unknown key {key:?} in {within}: known are {known}")]
    UnknownKey {
        /// Where it stands.
        place: Place,
        /// The key as written.
        key: String,
        /// What the key stands in.
        within: String,
        /// All known keys.
        known: String,
    },
    /// A value of another type than the field has.
    #[error("{place}: {field} must be {want}, got {got}")]
    WrongType {
        /// Where it stands.
        place: Place,
        /// Path of the field.
        field: String,
        /// What the field takes.
        want: &'static str,
        /// What was written.
        got: &'static str,
    },
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) value: Value,
}

/// The three sorts of values.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Scalar(Scalar),
    Sequence(Vec<Node>),
    Mapping(Vec<(Key, Node)>),
}

/// A scalar as it was written.
#[derive(Clone, Debug)]
pub(crate) struct Scalar {
    pub(crate) text: String,
    /// Neither quoted nor a block nor tagged as text: its type depends on its text.
    pub(crate) plain: bool,
}

/// A key of a mapping.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) place: Place,
    pub(crate) text: String,
}

/// Parses the one document in `bytes`; `file` names it in errors.
pub(crate) fn parse(bytes: &[u8], file: &str, reading: Reading) -> Result<Node, YamlError> {
    let file: Arc<str> = Arc::from(file);
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if bytes.len() > MAX_SIZE {
        let place = Place { file, line: 1, column: 1 };
        return Err(YamlError::LimitExceeded { place, what: "bytes", limit: MAX_SIZE });
    }
    let text = std::str::from_utf8(bytes).map_err(|e| not_utf8(&bytes[..e.valid_up_to()], &file))?;
    tree::read(text, &file, reading)
}

fn not_utf8(valid: &[u8], file: &Arc<str>) -> YamlError {
    let text = String::from_utf8_lossy(valid);
    let line = 1 + text.matches('\n').count();
    let column = 1 + text.rsplit('\n').next().map_or(0, |last| last.chars().count());
    YamlError::NotUtf8 { place: Place { file: file.clone(), line, column } }
}

impl Node {
    /// What the value is called in errors.
    pub(crate) fn kind(&self) -> &'static str {
        match &self.value {
            Value::Scalar(scalar) => scalar.resolve().kind(),
            Value::Sequence(_) => "a list",
            Value::Mapping(_) => "a mapping",
        }
    }

    /// Whether this is an absent value (`~`, `null` or nothing).
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar(scalar) if scalar.resolve() == Resolved::Null)
    }

    /// The entries of a mapping.
    pub(crate) fn entries(&self, field: &str) -> Result<&[(Key, Node)], YamlError> {
        match &self.value {
            Value::Mapping(entries) => Ok(entries),
            _ => Err(self.wrong_type(field, "a mapping")),
        }
    }

    /// The items of a list.
    pub(crate) fn items(&self, field: &str) -> Result<&[Node], YamlError> {
        match &self.value {
            Value::Sequence(items) => Ok(items),
            _ => Err(self.wrong_type(field, "a list")),
        }
    }

    /// A text; a plain scalar that YAML 1.1 takes for another type is none.
    pub(crate) fn text(&self, field: &str) -> Result<String, YamlError> {
        match &self.value {
            Value::Scalar(scalar) if scalar.resolve() == Resolved::Text => Ok(scalar.text.clone()),
            _ => Err(self.wrong_type(field, "a text (quote it)")),
        }
    }

    /// The text of any scalar as it was written.
    pub(crate) fn verbatim(&self, field: &str) -> Result<&Scalar, YamlError> {
        match &self.value {
            Value::Scalar(scalar) => Ok(scalar),
            _ => Err(self.wrong_type(field, "a text")),
        }
    }

    pub(crate) fn wrong_type(&self, field: &str, want: &'static str) -> YamlError {
        YamlError::WrongType { place: self.place.clone(), field: field.to_owned(), want, got: self.kind() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> YamlError {
        parse(text.as_bytes(), "f.yaml", Reading::Strict).unwrap_err()
    }

    #[test]
    fn mistakes_are_named_with_line_and_column() {
        for (text, want) in [
            ("a: 1\nb: {c: 2,\n  c: 3}\n", "f.yaml:3:3: duplicate key \"c\", first written in line 2"),
            ("a: 1\n---\nb: 2\n", "f.yaml:2:1: a second document begins here: want one document"),
            ("", "f.yaml: the document is empty"),
            ("# only a comment\n", "f.yaml: the document is empty"),
            ("a: !!binary aGk=\n", "f.yaml:1:4: unsupported tag tag:yaml.org,2002:!binary"),
            ("? [a]\n: b\n", "f.yaml:1:3: a key must be a text"),
        ] {
            assert_eq!(error(text).to_string(), want, "{text}");
        }
        let bytes = b"a: b\nc: \xff\n";
        assert_eq!(parse(bytes, "f", Reading::Strict).unwrap_err().to_string(), "f:2:4: not UTF-8");
    }

    #[test]
    fn broken_documents_are_syntax_errors() {
        for text in
            ["a: [", "a: [\nfoo: : bar\n", "a: b: c", "a:\n\tb: 1", "a: *nope", "a: \"x", "{a: 1", "a: &x [*x]", "%FOO\n: a: - b"]
        {
            assert!(matches!(error(text), YamlError::Syntax { .. }), "{text:?}: {:?}", error(text));
        }
    }

    #[test]
    fn bombs_end_at_a_limit() {
        let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
        for i in 1..12 {
            let alias = format!("*a{},", i - 1).repeat(10);
            bomb.push_str(&format!("a{i}: &a{i} [{alias}]\n"));
        }
        let deep = "[".repeat(200);
        let huge = " ".repeat(MAX_SIZE + 1);
        for (text, what) in [(bomb.as_str(), "values"), (deep.as_str(), "levels of nesting"), (huge.as_str(), "bytes")] {
            match error(text) {
                YamlError::LimitExceeded { what: got, .. } => assert_eq!(got, what),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn conforma_takes_the_first_document_and_the_last_key() {
        let node = parse(b"a: 1\na: 2\n---\nb: 3\n", "f", Reading::Conforma).unwrap();
        let entries = node.entries("f").unwrap();
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0].1.verbatim("a").unwrap().text, "2");
    }

    #[test]
    fn aliases_and_merge_keys_are_resolved() {
        let node = parse(b"a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\n", "f", Reading::Strict).unwrap();
        let (_, b) = &node.entries("f").unwrap()[1];
        let got: Vec<_> =
            b.entries("b").unwrap().iter().map(|(k, v)| format!("{}={}", k.text, v.verbatim("").unwrap().text)).collect();
        assert_eq!(got, ["y=3", "x=1"]);
    }
}
