//! Strict JSON in, RFC 8785 JSON out.
//!
//! Two readers of one signed document must not see two documents: a duplicate
//! key is an error here, whatever the depth (in-toto/specification#74), and so
//! are bytes after the value, invalid UTF-8 and deep nesting.

use std::{collections::HashSet, fmt};

use serde::{
    Serialize,
    de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};

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
        let mut seen = HashSet::new();
        while let Some(key) = access.next_key::<String>()? {
            if !seen.insert(key.clone()) {
                return Err(A::Error::custom(format_args!("duplicate key {key:?}")));
            }
            let value = access.next_value_seed(self.deeper()?)?;
            members.insert(key, value);
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
}
