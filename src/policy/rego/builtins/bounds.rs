//! How large results may become, known before they are made: a value may share
//! its parts, so a few lines of rules can describe more than any memory holds.

use regorus::Value;

use super::{Failure, Session};

/// What an element of a collection takes, in bytes.
pub(in crate::rego) const ELEMENT: u64 = 64;
/// Longest number, in bits.
const MAX_NUMBER: u64 = 1024 * 1024;

/// Refuses a call whose result would not fit what the evaluation may still make.
pub(super) fn check(function: &str, args: &[Value], session: &Session) -> Result<(), Failure> {
    let left = session.left();
    let size = match (function, args) {
        ("concat", [Value::String(between), Value::Array(items)]) => joined(between, items.iter()),
        ("concat", [Value::String(between), Value::Set(items)]) => joined(between, items.iter()),
        ("replace", [Value::String(text), Value::String(old), Value::String(new)]) => {
            size(text.len()).saturating_add(size(text.matches(&**old).count()).saturating_mul(size(new.len())))
        }
        ("json.marshal_with_options" | "yaml.marshal" | "object.union_n", [value, ..]) => weigh(value, left),
        ("object.union", [first, second]) => weigh(first, left).saturating_add(weigh(second, left)),
        ("net.cidr_expand", [Value::String(block)]) => addresses(block).saturating_mul(ELEMENT),
        ("graph.reachable_paths", [Value::Object(_), Value::Array(from)]) => paths(&args[0], from.iter(), left),
        ("graph.reachable_paths", [Value::Object(_), Value::Set(from)]) => paths(&args[0], from.iter(), left),
        ("bits.lsh", [_, by]) if by.as_number().ok().and_then(|by| by.as_u64()).is_some_and(|by| by > MAX_NUMBER) => {
            return Err(Failure::Limit("digits of a number".to_owned()));
        }
        _ => return Ok(()),
    };
    if size > left { Err(memory()) } else { Ok(()) }
}

pub(super) fn memory() -> Failure {
    Failure::Limit("memory".to_owned())
}

/// Refuses a number of more digits than any rule needs.
pub(super) fn number(value: Value) -> Result<Value, Failure> {
    let small = |value: &Value| value.as_number().is_ok_and(|number| number.as_i64().is_some() || !number.is_integer());
    if small(&value) || value.as_number().ok().and_then(|number| number.as_big()).is_none_or(|big| big.bits() <= MAX_NUMBER) {
        return Ok(value);
    }
    Err(Failure::Limit("digits of a number".to_owned()))
}

/// Size of a value as text, shared parts counted wherever they stand; some number
/// above `most` when it is more.
pub(in crate::rego) fn weigh(value: &Value, most: u64) -> u64 {
    let mut left = most;
    match take(value, &mut left) {
        Some(()) => most - left,
        None => most.saturating_add(1),
    }
}

fn take(value: &Value, left: &mut u64) -> Option<()> {
    let own = match value {
        Value::String(text) => size(text.len()).saturating_add(8),
        _ => 8,
    };
    *left = left.checked_sub(own)?;
    match value {
        Value::Array(items) => items.iter().try_for_each(|item| take(item, left)),
        Value::Set(items) => items.iter().try_for_each(|item| take(item, left)),
        Value::Object(fields) => fields.iter().try_for_each(|(key, value)| {
            take(key, left)?;
            take(value, left)
        }),
        _ => Some(()),
    }
}

/// What a new value takes itself, parts that it may share left out.
pub(in crate::rego) fn shallow(value: &Value) -> u64 {
    match value {
        Value::String(text) => size(text.len()).saturating_add(32),
        Value::Array(items) => size(items.len()).saturating_mul(ELEMENT),
        Value::Set(items) => size(items.len()).saturating_mul(ELEMENT),
        Value::Object(fields) => size(fields.len()).saturating_mul(2 * ELEMENT),
        _ => 0,
    }
}

fn joined<'a>(between: &str, items: impl Iterator<Item = &'a Value>) -> u64 {
    let one = |item: &Value| item.as_string().map_or(0, |text| size(text.len())).saturating_add(size(between.len()));
    items.map(one).fold(0, u64::saturating_add)
}

/// How many addresses a block has.
fn addresses(block: &str) -> u64 {
    let Some((address, length)) = block.split_once('/') else { return 1 };
    let bits: u32 = if address.contains(':') { 128 } else { 32 };
    let host = length.parse().map_or(0, |length: u32| bits.saturating_sub(length));
    1u64.checked_shl(host).unwrap_or(u64::MAX)
}

/// What all paths of a graph take: there can be two to the power of its nodes.
fn paths<'a>(graph: &'a Value, from: impl Iterator<Item = &'a Value>, most: u64) -> u64 {
    let mut walk = Walk { graph, on: Vec::new(), left: most };
    for node in from {
        if walk.visit(node).is_none() {
            return most.saturating_add(1);
        }
    }
    most - walk.left
}

struct Walk<'a> {
    graph: &'a Value,
    on: Vec<&'a Value>,
    left: u64,
}

impl<'a> Walk<'a> {
    fn visit(&mut self, node: &'a Value) -> Option<()> {
        let Value::Object(edges) = self.graph else { return Some(()) };
        let below = edges.get(node);
        if below.is_none() || self.on.contains(&node) {
            return self.end();
        }
        self.on.push(node);
        let next: Vec<&Value> = match below {
            Some(Value::Array(items)) => items.iter().collect(),
            Some(Value::Set(items)) => items.iter().collect(),
            _ => Vec::new(),
        };
        if next.is_empty() {
            self.end()?;
        }
        for node in next {
            self.visit(node)?;
        }
        self.on.pop();
        Some(())
    }

    fn end(&mut self) -> Option<()> {
        self.left = self.left.checked_sub(ELEMENT.saturating_mul(size(self.on.len() + 1)))?;
        Some(())
    }
}

pub(in crate::rego) fn size(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}
