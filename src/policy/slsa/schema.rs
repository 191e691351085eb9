//! The part of JSON Schema (draft 2020-12) that the two provenance schemas use.
//!
//! A general validator would bring a dozen crates into the verifier for eleven
//! keywords. A test holds that the schemas use no keyword that is not here.

use std::fmt;

use serde_json::{Map, Value};

use crate::time;

/// One violation of a schema.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SchemaError {
    /// JSON pointer of the offending value.
    pub instance: String,
    /// Where in the schema the rule stands.
    keyword: String,
    /// What is the matter.
    message: String,
}

impl fmt::Display for SchemaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "jsonschema: '{}' does not validate with {}: {}", self.instance, self.keyword, self.message)
    }
}

impl SchemaError {
    /// JSON pointers of the members that are missing or wrong.
    pub fn members(&self) -> Vec<String> {
        match self.message.strip_prefix("missing properties: ") {
            Some(names) => names.split(", ").map(|name| format!("{}/{}", self.instance, name.trim_matches('\''))).collect(),
            None => vec![self.instance.clone()],
        }
    }
}

/// Validates `instance` against the schema text.
pub(super) fn validate(schema: &str, instance: &Value) -> Vec<SchemaError> {
    // The schemas are part of the program and are held by tests; should one not
    // parse, nothing is valid.
    let Ok(root) = serde_json::from_str::<Value>(schema) else {
        let message = "the built-in schema is broken".to_owned();
        return vec![SchemaError { instance: String::new(), keyword: String::new(), message }];
    };
    let id = root.get("$id").and_then(Value::as_str).unwrap_or_default();
    let mut walk = Walk { root: &root, errors: Vec::new() };
    walk.value(&root, instance, "", &format!("{id}#"));
    walk.errors
}

struct Walk<'s> {
    root: &'s Value,
    errors: Vec<SchemaError>,
}

impl Walk<'_> {
    fn value(&mut self, schema: &Value, instance: &Value, at: &str, keyword: &str) {
        let Some(rules) = schema.as_object() else { return };
        if let Some(target) = rules.get("$ref").and_then(Value::as_str) {
            let root = self.root;
            match target.strip_prefix('#').and_then(|pointer| root.pointer(pointer)) {
                Some(definition) => self.value(definition, instance, at, &format!("{keyword}/$ref")),
                None => self.fail(at, keyword, "$ref", format!("no definition {target}")),
            }
        }
        if let Some(want) = rules.get("type").and_then(Value::as_str).filter(|want| *want != kind(instance)) {
            self.fail(at, keyword, "type", format!("expected {want}, but got {}", kind(instance)));
        }
        self.constants(rules, instance, at, keyword);
        match instance {
            Value::String(text) => self.text(rules, text, at, keyword),
            Value::Array(items) => self.items(rules, items, at, keyword),
            Value::Object(members) => self.members(rules, members, at, keyword),
            _ => {}
        }
    }

    fn constants(&mut self, rules: &Map<String, Value>, instance: &Value, at: &str, keyword: &str) {
        if let Some(want) = rules.get("const").filter(|want| *want != instance) {
            self.fail(at, keyword, "const", format!("value must be {want}"));
        }
        if let Some(choices) = rules.get("enum").and_then(Value::as_array).filter(|choices| !choices.contains(instance)) {
            let choices: Vec<_> = choices.iter().map(Value::to_string).collect();
            self.fail(at, keyword, "enum", format!("value must be one of {}", choices.join(", ")));
        }
    }

    fn text(&mut self, rules: &Map<String, Value>, text: &str, at: &str, keyword: &str) {
        let length = u64::try_from(text.chars().count()).unwrap_or(u64::MAX);
        if let Some(least) = rules.get("minLength").and_then(Value::as_u64).filter(|least| length < *least) {
            self.fail(at, keyword, "minLength", format!("length must be >= {least}, but got {length}"));
        }
        if let Some(pattern) = rules.get("pattern").and_then(Value::as_str).filter(|pattern| !matches_pattern(pattern, text)) {
            self.fail(at, keyword, "pattern", format!("does not match pattern '{pattern}'"));
        }
        if let Some(format) = rules.get("format").and_then(Value::as_str).filter(|format| !has_format(format, text)) {
            self.fail(at, keyword, "format", format!("'{text}' is not valid '{format}'"));
        }
    }

    fn items(&mut self, rules: &Map<String, Value>, items: &[Value], at: &str, keyword: &str) {
        let count = u64::try_from(items.len()).unwrap_or(u64::MAX);
        if let Some(least) = rules.get("minItems").and_then(Value::as_u64).filter(|least| count < *least) {
            self.fail(at, keyword, "minItems", format!("minimum {least} items required, but found {count} items"));
        }
        if let Some(schema) = rules.get("items") {
            for (i, item) in items.iter().enumerate() {
                self.value(schema, item, &format!("{at}/{i}"), &format!("{keyword}/items"));
            }
        }
    }

    fn members(&mut self, rules: &Map<String, Value>, members: &Map<String, Value>, at: &str, keyword: &str) {
        let required = rules.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        let missing: Vec<_> = required.filter(|name| !members.contains_key(*name)).map(|name| format!("'{name}'")).collect();
        if !missing.is_empty() {
            self.fail(at, keyword, "required", format!("missing properties: {}", missing.join(", ")));
        }
        let known = rules.get("properties").and_then(Value::as_object);
        for (name, schema) in known.into_iter().flatten() {
            if let Some(member) = members.get(name) {
                self.value(schema, member, &format!("{at}/{}", escape(name)), &format!("{keyword}/properties/{name}"));
            }
        }
        for (name, member) in members {
            let at = format!("{at}/{}", escape(name));
            if let Some(schema) = rules.get("propertyNames") {
                self.value(schema, &Value::String(name.clone()), &at, &format!("{keyword}/propertyNames"));
            }
            let other = known.is_none_or(|known| !known.contains_key(name));
            if let Some(schema) = rules.get("additionalProperties").filter(|_| other) {
                self.value(schema, member, &at, &format!("{keyword}/additionalProperties"));
            }
        }
    }

    fn fail(&mut self, at: &str, keyword: &str, rule: &str, message: String) {
        self.errors.push(SchemaError { instance: at.to_owned(), keyword: format!("{keyword}/{rule}"), message });
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// A member name inside a JSON pointer (RFC 6901 §3).
fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// The two patterns of the schemas; a pattern that is not here matches nothing.
fn matches_pattern(pattern: &str, text: &str) -> bool {
    match pattern {
        "^[a-f0-9]+$" => !text.is_empty() && text.bytes().all(|b| matches!(b, b'a'..=b'f' | b'0'..=b'9')),
        "Z$" => text.ends_with('Z'),
        _ => false,
    }
}

/// The two formats of the schemas; a format that is not here is never met.
fn has_format(format: &str, text: &str) -> bool {
    match format {
        "date-time" => time::rfc3339(text).is_some(),
        "uri" => is_absolute_uri(text),
        _ => false,
    }
}

/// An URI with a scheme (RFC 3986 §3.1), without blanks and control characters.
fn is_absolute_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let begins = scheme.starts_with(|c: char| c.is_ascii_alphabetic());
    let goes_on = scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    let plain = !rest.chars().any(|c| c.is_control() || c == ' ');
    begins && goes_on && plain && percent_is_sound(rest)
}

fn percent_is_sound(text: &str) -> bool {
    text.split('%').skip(1).all(|part| part.len() >= 2 && part.bytes().take(2).all(|b| b.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A keyword that this file does not know would silently not be enforced.
    #[test]
    fn the_schemas_use_known_keywords_only() {
        const KNOWN: [&str; 15] = [
            "$id",
            "$defs",
            "$ref",
            "type",
            "required",
            "properties",
            "const",
            "enum",
            "minItems",
            "items",
            "minLength",
            "pattern",
            "format",
            "propertyNames",
            "additionalProperties",
        ];
        fn walk(schema: &Value) {
            for (keyword, value) in schema.as_object().unwrap() {
                assert!(KNOWN.contains(&keyword.as_str()), "{keyword}");
                match keyword.as_str() {
                    "$defs" | "properties" => value.as_object().unwrap().values().for_each(walk),
                    "items" | "propertyNames" | "additionalProperties" => walk(value),
                    "pattern" => assert!(matches!(value.as_str(), Some("^[a-f0-9]+$" | "Z$"))),
                    "format" => assert!(matches!(value.as_str(), Some("uri" | "date-time"))),
                    _ => {}
                }
            }
        }
        for schema in [super::super::SCHEMA_V0_2, super::super::SCHEMA_V1] {
            walk(&serde_json::from_str(schema).unwrap());
        }
    }

    #[test]
    fn absolute_uris_have_a_scheme() {
        for (text, want) in [
            ("https://tekton.dev/chains/v2", true),
            ("scheme:authority", true),
            ("urn:x:y%20z", true),
            ("", false),
            ("12270807", false),
            ("not_uri", false),
            ("1https://x", false),
            ("https://a b", false),
            ("https://x/%zz", false),
            ("//x/y", false),
        ] {
            assert_eq!(is_absolute_uri(text), want, "{text}");
        }
    }
}
