//! Functions on strings that Go and Rust have differently.

use regorus::Value;

use super::{Answer, Session, bounds, undefined};

/// Index in characters; an empty text is searched in vain.
pub(super) fn indexof(args: &[Value]) -> Answer {
    let [Value::String(text), Value::String(search)] = args else { return undefined("operands must be strings") };
    if search.is_empty() {
        return undefined("empty search character");
    }
    let at = text.find(&**search).map(|at| text[..at].chars().count());
    Ok(at.map_or_else(|| Value::from(-1i64), Value::from))
}

/// Go's `strings.NewReplacer`: one pass, at each place the first of the patterns
/// in the order of their text.
pub(super) fn replace_n(args: &[Value], session: &Session) -> Answer {
    let [Value::Object(patterns), Value::String(text)] = args else {
        return undefined("operands must be an object and a string");
    };
    let mut pairs = Vec::new();
    for (from, to) in patterns.iter_sorted() {
        let (Value::String(from), Value::String(to)) = (from, to) else { return undefined("patterns must be strings") };
        pairs.push((from, to));
    }
    let mut out = String::with_capacity(text.len());
    let mut rest: &str = text;
    let mut after_empty = false;
    loop {
        if bounds::size(out.len()) > session.left() {
            return Err(bounds::memory());
        }
        let found = pairs.iter().find(|(from, _)| rest.starts_with(&***from) && !(from.is_empty() && after_empty));
        match found {
            Some((from, to)) => {
                out.push_str(to);
                rest = &rest[from.len()..];
                after_empty = from.is_empty();
                if !after_empty {
                    continue;
                }
            }
            None => after_empty = false,
        }
        let Some(next) = rest.chars().next() else { return Ok(Value::from(out)) };
        if found.is_none() || after_empty {
            out.push(next);
            rest = &rest[next.len_utf8()..];
            after_empty = false;
        }
    }
}
