//! What the normaliser puts in place of operators and iterations, so that they
//! are undefined where OPA has them undefined.

use std::collections::BTreeSet;

use regorus::Value;

use super::{Answer, Failure, Session, bounds, undefined};

fn numbers(args: &[Value]) -> Option<(&Value, &Value)> {
    match args {
        [left @ Value::Number(_), right @ Value::Number(_)] => Some((left, right)),
        _ => None,
    }
}

macro_rules! arithmetic {
    ($name:ident, $method:ident) => {
        pub(super) fn $name(args: &[Value]) -> Answer {
            let Some((left, right)) = numbers(args) else { return undefined("operands must be numbers") };
            let value = left.as_number().and_then(|left| left.$method(right.as_number()?));
            value.map(Value::from).or_else(|e| undefined(e.to_string())).and_then(bounds::number)
        }
    };
}

arithmetic!(plus, add);
arithmetic!(times, mul);
arithmetic!(subtract, sub);

pub(super) fn minus(args: &[Value]) -> Answer {
    match args {
        [Value::Set(left), Value::Set(right)] => Ok(Value::from(left.difference(right))),
        _ => subtract(args),
    }
}

pub(super) fn div(args: &[Value]) -> Answer {
    let Some((left, right)) = numbers(args) else { return undefined("operands must be numbers") };
    if *right == Value::from(0u64) {
        return undefined("divide by zero");
    }
    let value = left.as_number().and_then(|left| left.clone().divide(right.as_number()?));
    value.map(Value::from).or_else(|e| undefined(e.to_string()))
}

pub(super) fn rem(args: &[Value]) -> Answer {
    let Some((left, right)) = numbers(args) else { return undefined("operands must be numbers") };
    let integers = left.as_number().is_ok_and(|n| n.is_integer()) && right.as_number().is_ok_and(|n| n.is_integer());
    if !integers {
        return undefined("modulo on floating-point number");
    }
    if *right == Value::from(0u64) {
        return undefined("modulo by zero");
    }
    let value = left.as_number().and_then(|left| left.clone().modulo(right.as_number()?));
    value.map(Value::from).or_else(|e| undefined(e.to_string()))
}

pub(super) fn intersection(args: &[Value]) -> Answer {
    match args {
        [Value::Set(left), Value::Set(right)] => Ok(Value::from(left.intersection(right))),
        _ => undefined("operands must be sets"),
    }
}

pub(super) fn union(args: &[Value]) -> Answer {
    match args {
        [Value::Set(left), Value::Set(right)] => Ok(Value::from(left.union(right))),
        _ => undefined("operands must be sets"),
    }
}

/// `value in collection`.
pub(super) fn member(args: &[Value]) -> Answer {
    let [value, collection] = args else { return undefined("two operands") };
    Ok(Value::Bool(match collection {
        Value::Array(items) => items.contains(value),
        Value::Set(items) => items.contains(value),
        Value::Object(fields) => fields.values().any(|field| field == value),
        _ => false,
    }))
}

/// `key, value in collection`.
pub(super) fn member_of(args: &[Value]) -> Answer {
    let [key, value, collection] = args else { return undefined("three operands") };
    Ok(Value::Bool(match collection {
        Value::Array(items) => {
            let at = key.as_number().ok().and_then(|n| n.as_u64()).and_then(|n| usize::try_from(n).ok());
            at.and_then(|at| items.get(at)) == Some(value)
        }
        // The members of a set are their own keys.
        Value::Set(items) => key == value && items.contains(value),
        Value::Object(fields) => fields.get(key) == Some(value),
        _ => false,
    }))
}

/// The collection itself, or nothing to iterate over.
pub(super) fn sequence(args: &[Value]) -> Answer {
    Ok(match args {
        [value @ (Value::Array(_) | Value::Set(_) | Value::Object(_))] => value.clone(),
        _ => Value::new_array(),
    })
}

/// An element of a collection that grows with the product of what it iterates
/// over: itself, as long as there is room.
pub(super) fn element(args: &[Value], session: &Session) -> Answer {
    let value = args.first().cloned().unwrap_or(Value::Undefined);
    if session.take(bounds::ELEMENT.saturating_add(literal(&value))) { Ok(value) } else { Err(too_many()) }
}

/// A comprehension: itself, as long as there was room for it.
pub(super) fn made(args: &[Value], session: &Session) -> Answer {
    let value = args.first().cloned().unwrap_or(Value::Undefined);
    let parts = match &value {
        Value::Array(items) => items.iter().map(literal).fold(0, u64::saturating_add),
        Value::Set(items) => items.iter().map(literal).fold(0, u64::saturating_add),
        Value::Object(fields) => fields.values().map(literal).fold(0, u64::saturating_add),
        _ => 0,
    };
    if session.take(bounds::shallow(&value).saturating_add(parts)) { Ok(value) } else { Err(too_many()) }
}

/// What an element may have brought along as a literal: the collection itself, of
/// the length that people write.
fn literal(value: &Value) -> u64 {
    match value {
        Value::String(_) => 0,
        value => bounds::shallow(value).min(64 * bounds::ELEMENT),
    }
}

fn too_many() -> Failure {
    Failure::Limit("number of elements".to_owned())
}

/// All `[path, value]` of a document, itself first.
pub(super) fn walk(args: &[Value], session: &Session) -> Answer {
    let mut found = Vec::new();
    visit(&mut Vec::new(), &walkable(args, session)?, &mut found);
    Ok(Value::from(found))
}

/// A document whose paths there is room for.
pub(super) fn walkable(args: &[Value], session: &Session) -> Answer {
    let [root] = args else { return undefined("one operand") };
    let mut left = session.left();
    if steps(root, 1, &mut left).is_none() {
        return Err(too_many());
    }
    session.take(session.left() - left);
    Ok(root.clone())
}

/// Takes what `walk` makes of a value `depth` levels down.
fn steps(value: &Value, depth: u64, left: &mut u64) -> Option<()> {
    *left = left.checked_sub((depth + 2) * 16)?;
    match value {
        Value::Array(items) => items.iter().try_for_each(|item| steps(item, depth + 1, left)),
        Value::Set(items) => items.iter().try_for_each(|item| steps(item, depth + 1, left)),
        Value::Object(fields) => fields.values().try_for_each(|value| steps(value, depth + 1, left)),
        _ => Some(()),
    }
}

fn visit(path: &mut Vec<Value>, value: &Value, found: &mut Vec<Value>) {
    found.push(Value::from(vec![Value::from(path.clone()), value.clone()]));
    let mut below = |key: Value, value: &Value| {
        path.push(key);
        visit(path, value, found);
        path.pop();
    };
    match value {
        Value::Array(items) => items.iter().enumerate().for_each(|(at, item)| below(Value::from(at), item)),
        Value::Set(items) => {
            let items: BTreeSet<&Value> = items.iter().collect();
            items.into_iter().for_each(|item| below(item.clone(), item));
        }
        Value::Object(fields) => fields.iter_sorted().for_each(|(key, value)| below(key.clone(), value)),
        _ => {}
    }
}
