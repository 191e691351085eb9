//! Reads the outermost object of a document: all of it strictly, its `predicate`
//! without keeping it unless asked to.

use std::{collections::HashSet, fmt};

use carnet_bundle::json::MAX_DEPTH;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value, map::Entry};

/// Returns the members of the object that `bytes` are, `predicate` as `null` unless
/// it is to be kept.
///
/// As [`carnet_bundle::json::parse`], it refuses duplicate keys at any depth, deep
/// nesting, and bytes behind the value.
pub(super) fn read(bytes: &[u8], keep_predicate: bool) -> Result<Map<String, Value>, String> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let members = deserializer.deserialize_map(Frame { keep_predicate }).map_err(|e| e.to_string())?;
    deserializer.end().map_err(|e| e.to_string())?;
    Ok(members)
}

struct Frame {
    keep_predicate: bool,
}

impl<'de> Visitor<'de> for Frame {
    type Value = Map<String, Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut members = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            if members.contains_key(&key) {
                return Err(A::Error::custom(format_args!("duplicate key {key:?}")));
            }
            let keep = self.keep_predicate || key != "predicate";
            let value = access.next_value_seed(Strict { depth: 1, keep })?;
            members.insert(key, value);
        }
        Ok(members)
    }
}

/// Reads a value strictly, and keeps it or not.
#[derive(Clone, Copy)]
struct Strict {
    depth: usize,
    keep: bool,
}

impl Strict {
    fn deeper<E: Error>(self) -> Result<Self, E> {
        if self.depth >= MAX_DEPTH {
            return Err(E::custom(format_args!("nested deeper than {MAX_DEPTH} levels")));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }

    fn kept<E>(self, value: impl FnOnce() -> Value) -> Result<Value, E> {
        Ok(if self.keep { value() } else { Value::Null })
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        self.kept(|| value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        self.kept(|| value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        self.kept(|| value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        if !value.is_finite() {
            return Err(E::custom("number out of range"));
        }
        self.kept(|| value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        self.kept(|| value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element_seed(self.deeper()?)? {
            if self.keep {
                items.push(item);
            }
        }
        self.kept(|| items.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let duplicate = |key: &str| A::Error::custom(format_args!("duplicate key {key:?}"));
        let mut members = Map::new();
        let mut seen = HashSet::new();
        while let Some(key) = access.next_key::<String>()? {
            if self.keep {
                match members.entry(key) {
                    Entry::Occupied(known) => return Err(duplicate(known.key())),
                    Entry::Vacant(free) => {
                        free.insert(access.next_value_seed(self.deeper()?)?);
                    }
                }
            } else if seen.contains(&key) {
                return Err(duplicate(&key));
            } else {
                access.next_value_seed(self.deeper()?)?;
                seen.insert(key);
            }
        }
        self.kept(|| members.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The strict parser of the bundle room and this one refuse the same.
    #[test]
    fn it_is_as_strict_as_the_full_parser() {
        let deep = |n: usize| format!(r#"{{"predicate":{}{}}}"#, "[".repeat(n), "]".repeat(n));
        for text in [
            r#"{"a":1,"predicate":{"b":[1,2.5,"x",null,true]}}"#.to_owned(),
            r#"{"a":1,"a":1}"#.to_owned(),
            r#"{"predicate":{},"predicate":{}}"#.to_owned(),
            r#"{"predicate":{"a":{"b":1,"b":2}}}"#.to_owned(),
            r#"{"predicate":[{"a":1,"\u0061":2}]}"#.to_owned(),
            r#"{"predicate":1e999}"#.to_owned(),
            r#"{"predicate":{}} {}"#.to_owned(),
            r#"{"predicate":{}"#.to_owned(),
            deep(63),
            deep(64),
            deep(65),
            deep(100_000),
        ] {
            let full = carnet_bundle::json::parse(text.as_bytes()).is_ok();
            for keep in [false, true] {
                assert_eq!(read(text.as_bytes(), keep).is_ok(), full, "{}", text.chars().take(60).collect::<String>());
            }
        }
        assert!(read(b"[]", false).is_err() && read(b"\"\xff\"", false).is_err());
    }

    #[test]
    fn the_predicate_is_kept_where_it_is_asked_for() {
        for (keep, want) in [(false, Value::Null), (true, serde_json::json!({"a": [1, {}]}))] {
            let members = read(br#"{"predicate":{"a":[1,{}]},"subject":[{"b":2}]}"#, keep).unwrap();
            assert_eq!(members["predicate"], want);
            assert_eq!(members["subject"][0]["b"], 2);
        }
    }
}
