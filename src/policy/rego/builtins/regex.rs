//! `regex.*` with Go's syntax (RE2): translated, because the same text means
//! something else to Rust's `regex` in many places.

mod go;

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex},
};

use regex::{Captures, Regex, RegexBuilder};
use regorus::Value;

use super::{Answer, Failure, Session, bounds, undefined};

/// Compiled patterns that are kept.
const CACHED: usize = 512;
/// Size of a compiled pattern that may be kept, and of the largest one, in bytes.
const KEPT: usize = 256 * 1024;
const LARGEST: usize = 8 * 1024 * 1024;

type Compiled = Arc<Result<Regex, BadPattern>>;

static CACHE: LazyLock<Mutex<HashMap<String, Compiled>>> = LazyLock::new(Mutex::default);

/// Why a pattern cannot be used.
#[derive(Clone, Debug)]
pub(super) enum BadPattern {
    /// It is none in Go either.
    Syntax(String),
    /// It would take more memory than a pattern may.
    TooLarge,
}

impl BadPattern {
    /// What becomes of the call: Go would have used a pattern that is too large here.
    pub(super) fn failure(&self) -> Failure {
        match self {
            Self::Syntax(reason) => Failure::Undefined(format!("error parsing regexp: {reason}")),
            Self::TooLarge => Failure::Limit("size of a regular expression".to_owned()),
        }
    }
}

/// Compiles a pattern in Go's syntax.
pub(super) fn compile(pattern: &str) -> Compiled {
    kept(pattern, || go::translate(pattern))
}

/// Compiles the pattern that `translate` makes, or finds it under `name`.
pub(super) fn kept(name: &str, translate: impl FnOnce() -> Result<String, String>) -> Compiled {
    let known = CACHE.lock().ok().and_then(|cache| cache.get(name).cloned());
    known.unwrap_or_else(|| {
        let translated = match translate() {
            Ok(translated) => translated,
            Err(reason) => return Arc::new(Err(BadPattern::Syntax(reason))),
        };
        match fresh(&translated, KEPT) {
            Err(BadPattern::TooLarge) => Arc::new(fresh(&translated, LARGEST)),
            compiled => keep(name, Arc::new(compiled)),
        }
    })
}

fn fresh(pattern: &str, size: usize) -> Result<Regex, BadPattern> {
    RegexBuilder::new(pattern).size_limit(size).dfa_size_limit(size).build().map_err(|e| match e {
        regex::Error::CompiledTooBig(_) => BadPattern::TooLarge,
        e => BadPattern::Syntax(e.to_string()),
    })
}

fn keep(name: &str, compiled: Compiled) -> Compiled {
    if let Ok(mut cache) = CACHE.lock() {
        if cache.len() >= CACHED {
            cache.clear();
        }
        cache.insert(name.to_owned(), compiled.clone());
    }
    compiled
}

fn with(pattern: &Value, run: impl FnOnce(&Regex) -> Answer) -> Answer {
    let Value::String(pattern) = pattern else { return undefined("pattern must be a string") };
    match compile(pattern).as_ref() {
        Ok(regex) => run(regex),
        Err(bad) => Err(bad.failure()),
    }
}

pub(super) fn is_valid(args: &[Value]) -> Answer {
    let [Value::String(pattern)] = args else { return Ok(Value::Bool(false)) };
    match compile(pattern).as_ref() {
        Err(bad @ BadPattern::TooLarge) => Err(bad.failure()),
        compiled => Ok(Value::Bool(compiled.is_ok())),
    }
}

pub(super) fn is_match(args: &[Value]) -> Answer {
    let [pattern, Value::String(text)] = args else { return undefined("operands must be strings") };
    with(pattern, |regex| Ok(Value::Bool(regex.is_match(text))))
}

/// `n`: how many matches at most; negative for all.
fn limit(n: &Value) -> Option<usize> {
    let n = n.as_number().ok()?.as_i64()?;
    Some(usize::try_from(n).unwrap_or(usize::MAX))
}

pub(super) fn find_n(args: &[Value]) -> Answer {
    let [pattern, Value::String(text), n] = args else { return undefined("operands must be strings") };
    let Some(n) = limit(n) else { return undefined("number must be an integer") };
    with(pattern, |regex| {
        let found: Vec<Value> = regex.find_iter(text).take(n).map(|found| Value::from(found.as_str())).collect();
        Ok(Value::from(found))
    })
}

pub(super) fn find_all_string_submatch_n(args: &[Value]) -> Answer {
    let [pattern, Value::String(text), n] = args else { return undefined("operands must be strings") };
    let Some(n) = limit(n) else { return undefined("number must be an integer") };
    with(pattern, |regex| {
        let groups = |captures: Captures<'_>| {
            let groups: Vec<Value> = captures.iter().map(|group| Value::from(group.map_or("", |group| group.as_str()))).collect();
            Value::from(groups)
        };
        Ok(Value::from(regex.captures_iter(text).take(n).map(groups).collect::<Vec<_>>()))
    })
}

pub(super) fn replace(args: &[Value], session: &Session) -> Answer {
    replaced(args, session.left())
}

/// The text with its matches replaced, of at most `most` bytes.
fn replaced(args: &[Value], most: u64) -> Answer {
    let [Value::String(text), pattern, Value::String(value)] = args else { return undefined("operands must be strings") };
    with(pattern, |regex| {
        let (mut out, mut end) = (String::new(), 0);
        for captures in regex.captures_iter(text) {
            let found = captures.get_match();
            out.push_str(&text[end..found.start()]);
            captures.expand(value, &mut out);
            end = found.end();
            if bounds::size(out.len()) > most {
                return Err(bounds::memory());
            }
        }
        out.push_str(&text[end..]);
        Ok(Value::from(out))
    })
}

/// Go's `Split`, which drops an empty match at the beginning.
pub(super) fn split(args: &[Value]) -> Answer {
    let [pattern, Value::String(text)] = args else { return undefined("operands must be strings") };
    with(pattern, |regex| {
        if text.is_empty() && !regex.as_str().is_empty() {
            return Ok(Value::from(vec![Value::from("")]));
        }
        let (mut parts, mut begin, mut end) = (Vec::new(), 0, 0);
        for found in regex.find_iter(text) {
            end = found.start();
            if found.end() != 0 {
                parts.push(Value::from(&text[begin..end]));
            }
            begin = found.end();
        }
        if end != text.len() {
            parts.push(Value::from(&text[begin..]));
        }
        Ok(Value::from(parts))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, text: &str) -> Option<bool> {
        is_match(&[Value::from(pattern), Value::from(text)]).ok().and_then(|value| value.as_bool().ok().copied())
    }

    /// Expectations are Go's.
    #[test]
    fn patterns_mean_what_they_mean_in_go() {
        for (pattern, text, want) in [
            (r"^\d+$", "42", Some(true)),
            (r"^\d+$", "\u{664}\u{662}", Some(false)),
            (r"^\w+$", "é", Some(false)),
            (r"^\W$", "é", Some(true)),
            (r"^\s$", "\u{a0}", Some(false)),
            (r"\bé", "aé", Some(true)),
            (r"^[a&&b]$", "&", Some(true)),
            (r"^[a&&b]$", "a", Some(true)),
            (r"^[a--b]$", "b", None),
            (r"^[~~]$", "~", Some(true)),
            (r"^[[a]$", "[", Some(true)),
            (r"^[]a]$", "]", Some(true)),
            (r"^[\d-z]$", "-", Some(true)),
            (r"^[^\d]$", "x", Some(true)),
            (r"^[\D]$", "7", Some(false)),
            (r"^[[:alpha:]_]+$", "ab_", Some(true)),
            (r"^\Qa.b\E$", "a.b", Some(true)),
            (r"^\Qa.b\E$", "axb", Some(false)),
            (r"^{$", "{", Some(true)),
            (r"^a{,2}$", "a{,2}", Some(true)),
            (r"^a{2}$", "aa", Some(true)),
            (r"^\07$", "\u{7}", Some(true)),
            (r"a**", "", None),
            (r"a*+", "", None),
            (r"a{2}{3}", "", None),
            (r"a*?", "", Some(true)),
            (r"(?x)a b", "", None),
            (r"a{1001}", "", None),
            (r"a{2,1}", "", None),
            (r"*a", "", None),
            (r"(?i)^ABC$", "abc", Some(true)),
            (r"^(?P<n>a)(?:b)$", "ab", Some(true)),
            (r"\y", "", None),
            (r"\1", "", None),
            (r"^\p{Greek}\pL$", "αa", Some(true)),
            (r"^[\p{Greek}x]$", "α", Some(true)),
            (r"^\-\_\/$", "-_/", Some(true)),
            (r"(a", "", None),
            (r"a)", "", None),
            (r"[b-a]", "", None),
            (r"^a$", "a\n", Some(false)),
            (r"^.$", "\n", Some(false)),
        ] {
            assert_eq!(matches(pattern, text), want, "{pattern} {text:?}");
        }
    }

    #[test]
    fn texts_are_split_as_in_go() {
        for (pattern, text, want) in [
            (",", "a,b", r#"["a", "b"]"#),
            (",", ",a,", r#"["", "a", ""]"#),
            (",", "", r#"[""]"#),
            ("", "abc", r#"["a", "b", "c"]"#),
            ("b*", "abc", r#"["a", "c"]"#),
        ] {
            let got = split(&[Value::from(pattern), Value::from(text)]).unwrap();
            assert_eq!(got, Value::from_json_str(want).unwrap(), "{pattern} {text}");
        }
        let got = replaced(&[Value::from("ab-ac"), Value::from("a(.)"), Value::from("${1}x$0")], 100).unwrap();
        assert_eq!(got, Value::from("bxab-cxac"));
    }
}
