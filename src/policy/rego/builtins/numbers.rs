//! Numbers: ranges with a bound, texts read as strictly as Go reads them, and
//! chance that is the same in every run.

use carnet_bundle::Digest;
use regorus::Value;

use super::{Answer, Failure, undefined};

/// Longest range: more elements than any policy can use, and few enough to hold.
const MAX_RANGE: u128 = 1_000_000;

fn int(value: &Value) -> Option<i128> {
    value.as_number().ok().filter(|number| number.is_integer())?.as_i128()
}

pub(super) fn range(args: &[Value]) -> Answer {
    let ints: Option<Vec<i128>> = args.iter().map(int).collect();
    match ints.as_deref() {
        Some([from, to]) => steps(*from, *to, 1),
        _ => undefined("operands must be integers"),
    }
}

pub(super) fn range_step(args: &[Value]) -> Answer {
    let ints: Option<Vec<i128>> = args.iter().map(int).collect();
    match ints.as_deref() {
        Some([from, to, step]) if *step > 0 => steps(*from, *to, *step),
        Some([_, _, _]) => undefined("step must be a positive number above zero"),
        _ => undefined("operands must be integers"),
    }
}

fn steps(from: i128, to: i128, step: i128) -> Answer {
    let distance = from.abs_diff(to);
    let count = distance / step.unsigned_abs() + 1;
    if count > MAX_RANGE {
        return Err(Failure::Limit(format!("a range of {count} numbers")));
    }
    let step = if to < from { -step } else { step };
    let mut items = Vec::new();
    let mut at = from;
    for _ in 0..count {
        items.push(Value::from(at));
        at = at.saturating_add(step);
    }
    Ok(Value::from(items))
}

pub(super) fn to_number(args: &[Value]) -> Answer {
    match args {
        [Value::Null] => Ok(Value::from(0u64)),
        [Value::Bool(value)] => Ok(Value::from(u64::from(*value))),
        [number @ Value::Number(_)] => Ok(number.clone()),
        [Value::String(text)] => {
            let shaped =
                !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'+' | b'e' | b'E'));
            let number = shaped.then(|| Value::from_numeric_string(text).ok()).flatten();
            number.map_or_else(|| undefined("invalid syntax"), Ok)
        }
        _ => undefined("operand must be null, boolean, number or string"),
    }
}

pub(super) fn flatten(args: &[Value]) -> Answer {
    let [Value::Array(items)] = args else { return undefined("operand must be an array") };
    let mut flat = Vec::new();
    for item in items.iter() {
        match item {
            Value::Array(items) => flat.extend(items.iter().cloned()),
            other => flat.push(other.clone()),
        }
    }
    Ok(Value::from(flat))
}

/// A number below `n` that depends on the text alone: a verdict is the same
/// whenever it is asked for.
pub(super) fn intn(args: &[Value]) -> Answer {
    let [Value::String(text), n] = args else { return undefined("operands must be a string and an integer") };
    let Some(n) = int(n) else { return undefined("operand must be an integer") };
    let seed = seed(text);
    Ok(match n.unsigned_abs() {
        0 => Value::from(0u64),
        n => Value::from(seed % n),
    })
}

/// A version 4 UUID that depends on the text alone.
pub(super) fn uuid(args: &[Value]) -> Answer {
    let [Value::String(text)] = args else { return undefined("operand must be a string") };
    let bits = (seed(text) & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    Ok(Value::from(format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])))
}

fn seed(text: &str) -> u128 {
    let mut first = [0; 16];
    first.copy_from_slice(&Digest::of(text.as_bytes()).as_bytes()[..16]);
    u128::from_be_bytes(first)
}
