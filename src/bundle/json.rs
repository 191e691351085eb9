//! Strict JSON in, RFC 8785 JSON out.
//!
//! Two readers of one signed document must not see two documents: a duplicate
//! key is an error here, whatever the depth (in-toto/specification#74), and so
//! are bytes after the value, invalid UTF-8 and deep nesting.

use std::fmt;

use serde::{
    Serialize,
    de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value, map::Entry};

/// Deepest nesting of objects and arrays that is read.
///
/// Real statements and SBOMs nest below 30; the bound keeps recursion far from
/// the end of the stack.
pub const MAX_DEPTH: usize = 64;

/// Why bytes are not strict JSON.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{reason}")]
pub struct JsonError {
    reason: String,
}

/// Parses `bytes` as one JSON value without duplicate keys.
///
/// # Errors
///
/// Returns a [`JsonError`] with line and column for anything that is not JSON,
/// for a duplicate key, for nesting deeper than [`MAX_DEPTH`] and for bytes after
/// the value.
pub fn parse(bytes: &[u8]) -> Result<Value, JsonError> {
    let error = |e: serde_json::Error| JsonError { reason: e.to_string() };
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Strict { depth: 0 }.deserialize(&mut deserializer).map_err(error)?;
    deserializer.end().map_err(error)?;
    Ok(value)
}

/// Parses `bytes` as strict JSON and reads a `T` from it.
///
/// # Errors
///
/// As [`parse`], and when the value has not the shape of a `T`.
pub fn parse_as<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, JsonError> {
    from_value(parse(bytes)?)
}

/// Reads a `T` from a value that [`parse`] returned.
///
/// # Errors
///
/// Returns a [`JsonError`] when the value has not the shape of a `T`.
pub fn from_value<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, JsonError> {
    serde_json::from_value(value).map_err(|e| JsonError { reason: e.to_string() })
}

/// Writes `value` as RFC 8785 bytes.
///
/// # Errors
///
/// Returns a [`JsonError`] for values that JSON cannot hold, such as a map whose
/// keys are not strings.
pub fn canonical<T: Serialize>(value: &T) -> Result<Vec<u8>, JsonError> {
    serde_json_canonicalizer::to_vec(value).map_err(|e| JsonError { reason: e.to_string() })
}

/// Writes `value` as RFC 8785 bytes, as [`canonical`] does and several times as fast.
///
/// # Errors
///
/// As [`canonical`].
pub fn canonical_value(mut value: Value) -> Result<Vec<u8>, JsonError> {
    if !is_plain(&value) {
        return canonical(&value);
    }
    value.sort_all_objects();
    serde_json::to_vec(&value).map_err(|e| JsonError { reason: e.to_string() })
}

/// Whether `bytes` are the RFC 8785 form of `value`, which was read from them.
///
/// # Errors
///
/// As [`canonical`].
pub fn is_canonical(value: &Value, bytes: &[u8]) -> Result<bool, JsonError> {
    let form = if is_plain(value) && is_sorted(value) {
        serde_json::to_vec(value).map_err(|e| JsonError { reason: e.to_string() })?
    } else {
        canonical(value)?
    };
    Ok(form == bytes)
}

/// Whether RFC 8785 and serde_json differ in the order of members alone: numbers are
/// integers that a double holds, and keys are ASCII, so that code units and bytes give
/// one order. Both write texts in one way.
fn is_plain(value: &Value) -> bool {
    const EXACT: u64 = 1 << 53;
    match value {
        Value::Null | Value::Bool(_) | Value::String(_) => true,
        Value::Number(number) => {
            let magnitude = number.as_u64().or_else(|| number.as_i64().map(i64::unsigned_abs));
            magnitude.is_some_and(|magnitude| magnitude <= EXACT)
        }
        Value::Array(items) => items.iter().all(is_plain),
        Value::Object(members) => members.iter().all(|(key, value)| key.is_ascii() && is_plain(value)),
    }
}

/// Whether the members of all objects stand in the order of their keys.
fn is_sorted(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().all(is_sorted),
        Value::Object(members) => members.keys().is_sorted() && members.values().all(is_sorted),
        _ => true,
    }
}

struct Strict {
    depth: usize,
}

impl Strict {
    fn deeper<E: serde::de::Error>(&self) -> Result<Self, E> {
        if self.depth >= MAX_DEPTH {
            return Err(E::custom(format_args!("nested deeper than {MAX_DEPTH} levels")));
        }
        Ok(Self { depth: self.depth + 1 })
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element_seed(self.deeper()?)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            match members.entry(key) {
                Entry::Occupied(known) => {
                    return Err(A::Error::custom(format_args!("duplicate key {:?}", known.key())));
                }
                Entry::Vacant(free) => {
                    free.insert(access.next_value_seed(self.deeper()?)?);
                }
            }
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_serde_json_reads() {
        let text = r#" {"b":[1,-2,2.5,null,true,"x\u0041"],"a":{}} "#;
        assert_eq!(parse(text.as_bytes()).unwrap(), serde_json::from_str::<Value>(text).unwrap());
    }

    #[test]
    fn ambiguous_or_hostile_documents_are_refused() {
        let deep = format!("{}{}", "[".repeat(65), "]".repeat(65));
        for (text, reason) in [
            (r#"{"a":1,"a":1}"#, "duplicate key"),
            (r#"{"x":[{"a":1,"\u0061":2}]}"#, "duplicate key"),
            ("{} {}", "trailing characters"),
            ("", "EOF"),
            (deep.as_str(), "nested deeper"),
            ("1e999", "number out of range"),
        ] {
            let error = parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
        assert!(parse(b"\"\xff\"").is_err());
        assert!(parse("[".repeat(100_000).as_bytes()).is_err());
    }

    #[test]
    fn canonical_bytes_follow_rfc_8785() {
        let value = parse(br#"{"b": 1, "a": "\u20ac", "A": [ ]}"#).unwrap();
        assert_eq!(canonical(&value).unwrap(), "{\"A\":[],\"a\":\"\u{20ac}\",\"b\":1}".as_bytes());
    }

    #[test]
    fn the_short_way_to_canonical_bytes_ends_at_the_same_bytes() {
        let control: String = (0..=0x9f).filter_map(char::from_u32).collect();
        for value in [
            serde_json::json!({"b": [1, -2, {"z": null, "a": true}], "a": {"d": 0, "c": [{"y": "\u{20ac}", "x": control}]}}),
            serde_json::json!({"n": [9_007_199_254_740_992_u64, -9_007_199_254_740_992_i64, i64::MAX, i64::MIN, u64::MAX]}),
            serde_json::json!({"n": [1.0, -0.0, 1e21, 0.1, 1e-7]}),
            // By code units the first stands before the second, by code points behind it.
            serde_json::json!({"\u{ffff}": 1, "\u{10000}": 2}),
            serde_json::json!({"\u{10000}": 2, "\u{ffff}": 1}),
            serde_json::json!({"Z": 1, "a": 2, "\u{e9}": 3, "": 4, "\"": 5, "\u{7f}": 6, "\n": 7}),
            serde_json::json!("\u{2028}\u{2029}</script>\u{10ffff}"),
        ] {
            let want = canonical(&value).unwrap();
            assert_eq!(canonical_value(value.clone()).unwrap(), want, "{value}");
            assert!(is_canonical(&parse(&want).unwrap(), &want).unwrap(), "{value}");
            let other = serde_json::to_vec_pretty(&value).unwrap();
            assert_eq!(is_canonical(&parse(&other).unwrap(), &other).unwrap(), other == want, "{value}");
        }
    }

    #[test]
    fn what_is_not_canonical_is_seen() {
        for text in [
            r#"{"b":1,"a":2}"#,
            r#"{"a": 1}"#,
            r#"{"a":[{"c":1,"b":2}]}"#,
            r#"{"a":1.0}"#,
            r#"{"a":-0}"#,
            r#"{"a":1e2}"#,
            r#"{"a":9007199254740993}"#,
            r#"{"a":"\u0061"}"#,
            r#"{"a":"\/"}"#,
            r#"{"\u0061":1}"#,
            r#"{"a":"\u000A"}"#,
            r#"{"a":"\u001F"}"#,
        ] {
            let value = parse(text.as_bytes()).unwrap();
            assert!(!is_canonical(&value, text.as_bytes()).unwrap(), "{text}");
        }
    }
}
