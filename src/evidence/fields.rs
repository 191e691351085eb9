//! Reads protobuf JSON strictly: known members only, no member under two names.
//!
//! Follows the ProtoJSON mapping: member names in lowerCamelCase or as in the
//! .proto file, 64-bit integers as text or number, `null` for unset.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::encoding::base64_protojson;

/// Why a value is not of the expected shape.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{path}: {reason}")]
pub(crate) struct FieldError {
    path: String,
    reason: String,
    /// A bound was exceeded; else the shape is wrong.
    pub(crate) is_limit: bool,
}

/// One JSON object whose members are known.
pub(crate) struct Fields<'a> {
    members: &'a Map<String, Value>,
    path: String,
}

impl<'a> Fields<'a> {
    /// Takes `value` as an object that has no other members than `known`
    /// (lowerCamelCase names).
    pub(crate) fn new(value: &'a Value, path: &str, known: &[&str]) -> Result<Self, FieldError> {
        let fields = Self::open(value, path)?;
        for (index, key) in fields.members.keys().enumerate() {
            let name = camel_case(key);
            if !known.contains(&name.as_ref()) {
                return Err(fields.error("", format!("unknown member {key:?}")));
            }
            if fields.members.keys().take(index).any(|other| camel_case(other) == name) {
                return Err(fields.error("", format!("member {name:?} stands there under two names")));
            }
        }
        Ok(fields)
    }

    /// Takes `value` as an object with any members.
    pub(crate) fn open(value: &'a Value, path: &str) -> Result<Self, FieldError> {
        let members = value.as_object().ok_or_else(|| FieldError {
            path: path.to_owned(),
            reason: "not an object".to_owned(),
            is_limit: false,
        })?;
        Ok(Self { members, path: path.to_owned() })
    }

    /// The member `name`; `None` when it is unset.
    pub(crate) fn get(&self, name: &str) -> Option<&'a Value> {
        let direct = self.members.get(name);
        let found = direct.or_else(|| self.members.iter().find(|(key, _)| camel_case(key) == name).map(|(_, value)| value));
        found.filter(|value| !value.is_null())
    }

    /// The member `name`, which must be set.
    pub(crate) fn require(&self, name: &str) -> Result<&'a Value, FieldError> {
        self.get(name).ok_or_else(|| self.error(name, "missing".to_owned()))
    }

    /// A member object with known members.
    pub(crate) fn object(&self, name: &str, known: &[&str]) -> Result<Fields<'a>, FieldError> {
        Fields::new(self.require(name)?, &self.path_of(name), known)
    }

    /// A member list; empty when unset.
    pub(crate) fn list(&self, name: &str, limit: usize) -> Result<&'a [Value], FieldError> {
        let Some(value) = self.get(name) else { return Ok(&[]) };
        let list = value.as_array().ok_or_else(|| self.error(name, "not a list".to_owned()))?;
        if list.len() > limit {
            return Err(self.too_much(name, format!("{} elements, at most {limit} are read", list.len())));
        }
        Ok(list)
    }

    /// A member text; empty when unset.
    pub(crate) fn text(&self, name: &str) -> Result<&'a str, FieldError> {
        match self.get(name) {
            None => Ok(""),
            Some(Value::String(text)) => Ok(text),
            Some(_) => Err(self.error(name, "not a text".to_owned())),
        }
    }

    /// A member of base64 bytes that must be set and not longer than `limit`.
    pub(crate) fn bytes(&self, name: &str, limit: usize) -> Result<Vec<u8>, FieldError> {
        let text = self.require(name)?.as_str().ok_or_else(|| self.error(name, "not a text".to_owned()))?;
        // Four characters hold three bytes; the exact length is checked below.
        if text.len() / 4 > limit / 3 + 1 {
            return Err(self.too_much(name, format!("longer than {limit} bytes")));
        }
        let bytes = base64_protojson(text).ok_or_else(|| self.error(name, "not base64".to_owned()))?;
        if bytes.len() > limit {
            return Err(self.too_much(name, format!("longer than {limit} bytes")));
        }
        Ok(bytes)
    }

    /// A member of exactly 32 base64 bytes.
    pub(crate) fn hash(&self, name: &str) -> Result<[u8; 32], FieldError> {
        let bytes = self.bytes(name, 64)?;
        bytes.try_into().map_err(|bytes: Vec<u8>| self.error(name, format!("{} bytes, want 32", bytes.len())))
    }

    /// A member integer that is not negative; 0 when unset.
    pub(crate) fn unsigned(&self, name: &str) -> Result<u64, FieldError> {
        let number = match self.get(name) {
            None => Some(0),
            Some(Value::Number(number)) => number.as_u64(),
            Some(Value::String(text)) => decimal(text),
            Some(_) => None,
        };
        // protobuf has int64 here.
        let number = number.filter(|number| i64::try_from(*number).is_ok());
        number.ok_or_else(|| self.error(name, "not an integer from 0 to 2^63-1".to_owned()))
    }

    /// An error about the member `name`.
    pub(crate) fn error(&self, name: &str, reason: String) -> FieldError {
        let path = if name.is_empty() { self.path.clone() } else { self.path_of(name) };
        FieldError { path, reason, is_limit: false }
    }

    /// An error about the member `name` that exceeds a bound.
    pub(crate) fn too_much(&self, name: &str, reason: String) -> FieldError {
        FieldError { is_limit: true, ..self.error(name, reason) }
    }

    /// The path of the member `name`.
    pub(crate) fn path_of(&self, name: &str) -> String {
        let mut path = String::with_capacity(self.path.len() + 1 + name.len());
        path.push_str(&self.path);
        path.push('.');
        path.push_str(name);
        path
    }
}

/// The member at `/name/name…` below `value`: a JSON pointer of plain names, without the
/// copies that [`Value::pointer`] makes of each.
pub(crate) fn member_at<'v>(value: &'v Value, pointer: &str) -> Option<&'v Value> {
    pointer.split('/').skip(1).try_fold(value, |value, name| value.get(name))
}

/// Parses a decimal integer in its only form: digits, no leading zero.
pub(crate) fn decimal(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    plain.then(|| text.parse().ok()).flatten()
}

/// `log_index` and `logIndex` are both `logIndex`.
fn camel_case(key: &str) -> Cow<'_, str> {
    if !key.contains('_') {
        return Cow::Borrowed(key);
    }
    let mut parts = key.split('_');
    let mut name = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let mut letters = part.chars();
        if let Some(first) = letters.next() {
            name.extend(first.to_uppercase());
            name.push_str(letters.as_str());
        }
    }
    Cow::Owned(name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn members_are_known_and_have_one_name() {
        let value = json!({"log_index": "5", "logId": null});
        let fields = Fields::new(&value, "entry", &["logIndex", "logId"]).unwrap();
        assert_eq!(fields.unsigned("logIndex").unwrap(), 5);
        assert!(fields.get("logId").is_none());
        for (value, reason) in [
            (json!({"log_index": 1, "logIndex": 1}), "two names"),
            (json!({"LogIndex": 1}), "unknown member"),
            (json!([]), "not an object"),
        ] {
            let error = Fields::new(&value, "entry", &["logIndex"]).err().unwrap().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn a_member_is_found_where_a_json_pointer_finds_it() {
        let value = json!({"a": {"b": [{"c": 1}], "": 2}, "b": null});
        for pointer in ["", "/a", "/a/b", "/a/b/c", "/a/", "/b", "/b/c", "/c"] {
            assert_eq!(member_at(&value, pointer), value.pointer(pointer), "{pointer}");
        }
    }

    #[test]
    fn integers_are_not_negative_and_have_one_form() {
        for (value, want) in [
            (json!({"n": "7"}), Some(7)),
            (json!({"n": 7}), Some(7)),
            (json!({}), Some(0)),
            (json!({"n": -1}), None),
            (json!({"n": "-1"}), None),
            (json!({"n": "07"}), None),
            (json!({"n": "+7"}), None),
            (json!({"n": 1.5}), None),
            (json!({"n": "9223372036854775808"}), None),
        ] {
            assert_eq!(Fields::new(&value, "x", &["n"]).unwrap().unsigned("n").ok(), want, "{value}");
        }
    }
}
