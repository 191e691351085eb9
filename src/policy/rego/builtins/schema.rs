//! `json.match_schema` and `json.verify_schema`: JSON Schema as gojsonschema
//! checks it (draft 4 to 7), with its words. Rules show these texts, and
//! Conforma's own rules tell a warning from a failure by them.

mod format;
mod validate;
mod words;

use std::collections::BTreeMap;

use regorus::Value;

use super::{Answer, Failure, json, oci::object, regex, undefined};

/// Deepest schema.
const MAX_DEPTH: usize = 64;
const TYPES: [&str; 7] = ["array", "boolean", "integer", "null", "number", "object", "string"];

/// `[valid, errors]`.
pub(super) fn match_schema(args: &[Value]) -> Answer {
    let [document, schema] = args else { return undefined("two operands") };
    let (document, schema) = match (loaded(document), loaded(schema)) {
        (Ok(document), Ok(schema)) => (document, schema),
        (Err(reason), _) | (_, Err(reason)) => return undefined(reason),
    };
    if let Err(reason) = verify(&schema) {
        return undefined(reason);
    }
    let errors: Vec<Value> = validate::validate(&schema, &document)?
        .into_iter()
        .map(|error| {
            object([
                ("error", Value::from(format!("{}: {}", error.field(), error.description()))),
                ("type", Value::from(error.kind())),
                ("field", Value::from(error.field())),
                ("desc", Value::from(error.description())),
            ])
        })
        .collect();
    Ok(Value::from(vec![Value::Bool(errors.is_empty()), Value::from(errors)]))
}

/// `[valid, null or the error]`.
pub(super) fn verify_schema(args: &[Value]) -> Answer {
    let result = args.first().map_or(Err("one operand".to_owned()), |schema| loaded(schema).and_then(|schema| verify(&schema)));
    Ok(match result {
        Ok(()) => Value::from(vec![Value::Bool(true), Value::Null]),
        Err(reason) => Value::from(vec![Value::Bool(false), Value::from(format!("jsonschema: {reason}"))]),
    })
}

/// An object as it is, a string parsed as JSON.
fn loaded(value: &Value) -> Result<Value, String> {
    match value {
        Value::Object(_) => Ok(value.clone()),
        Value::String(text) => json::parse(text.as_bytes()),
        _ => Err("wrong type, expected string or object".to_owned()),
    }
}

/// Checks what gojsonschema checks when it compiles a schema.
fn verify(schema: &Value) -> Result<(), String> {
    Verifier { root: schema }.schema(schema, schema, 0)
}

struct Verifier<'a> {
    root: &'a Value,
}

impl<'a> Verifier<'a> {
    fn schema(&self, schema: &'a Value, resource: &'a Value, depth: usize) -> Result<(), String> {
        if depth > MAX_DEPTH {
            return Err("schema is nested too deep".to_owned());
        }
        let fields = match schema {
            Value::Bool(_) => return Ok(()),
            Value::Object(fields) => fields,
            _ => return Err("schema must be an object or a boolean".to_owned()),
        };
        let resource = if is_resource(schema) { schema } else { resource };
        for (key, value) in fields.iter_sorted() {
            let Value::String(key) = key else { return Err("keys of a schema must be strings".to_owned()) };
            self.keyword(key, value, resource, depth)?;
        }
        Ok(())
    }

    fn keyword(&self, key: &str, value: &'a Value, resource: &'a Value, depth: usize) -> Result<(), String> {
        let below = |value: &'a Value| self.schema(value, resource, depth + 1);
        let must = |ok: bool, what: &str| if ok { Ok(()) } else { Err(format!("{key} must be {what}")) };
        match key {
            "type" => types(value),
            "$ref" => match value {
                Value::String(reference) => resolve(self.root, resource, reference).map(|_| ()),
                _ => Err("$ref must be of type string".to_owned()),
            },
            "properties" | "patternProperties" | "definitions" => {
                let Value::Object(fields) = value else { return Err(format!("{key} must be of type object")) };
                for (name, schema) in fields.iter_sorted() {
                    if key == "patternProperties" {
                        pattern(name)?;
                    }
                    below(schema)?;
                }
                Ok(())
            }
            "pattern" => pattern(value),
            "items" => match value {
                Value::Array(items) => items.iter().try_for_each(below),
                schema => below(schema),
            },
            "additionalItems" | "additionalProperties" | "contains" | "propertyNames" | "not" | "if" | "then" | "else" => {
                below(value)
            }
            "allOf" | "anyOf" | "oneOf" => match value {
                Value::Array(schemas) if !schemas.is_empty() => schemas.iter().try_for_each(below),
                _ => Err(format!("{key} must be of type array")),
            },
            "required" => must(strings(value), "of type array of strings"),
            "enum" => must(matches!(value, Value::Array(_)), "of type array"),
            "uniqueItems" => must(matches!(value, Value::Bool(_)), "of type boolean"),
            "minLength" | "maxLength" | "minItems" | "maxItems" | "minProperties" | "maxProperties" => must(
                value.as_number().is_ok_and(|n| n.is_integer() && n.as_u64().is_some()),
                "a number greater than or equal to 0",
            ),
            "multipleOf" => must(value.as_number().is_ok_and(|n| n.is_positive()), "strictly greater than 0"),
            "minimum" | "maximum" => must(matches!(value, Value::Number(_)), "of type number"),
            "dependencies" => match value {
                Value::Object(fields) => {
                    fields.iter_sorted().try_for_each(|(_, value)| if strings(value) { Ok(()) } else { below(value) })
                }
                _ => Err("dependencies must be of type object".to_owned()),
            },
            _ => Ok(()),
        }
    }
}

fn types(value: &Value) -> Result<(), String> {
    let names: Vec<&Value> = match value {
        Value::Array(items) => items.iter().collect(),
        one => vec![one],
    };
    for name in names {
        match name {
            Value::String(name) if TYPES.contains(&&**name) => {}
            Value::String(name) => {
                return Err(format!(
                    "has a primitive type that is NOT VALID -- given: /{name}/ Expected valid values are:{TYPES:?}"
                )
                .replace('"', ""));
            }
            _ => return Err("type must be of type string or array of strings".to_owned()),
        }
    }
    Ok(())
}

fn pattern(value: &Value) -> Result<(), String> {
    match value {
        Value::String(text) if regex::compile(text).is_ok() => Ok(()),
        Value::String(text) => Err(format!("Invalid regex pattern '{text}'")),
        _ => Err("pattern must be of type string".to_owned()),
    }
}

fn strings(value: &Value) -> bool {
    matches!(value, Value::Array(items) if items.iter().all(|item| matches!(item, Value::String(_))))
}

/// Finds what a `$ref` means, and the resource in which its own references are
/// resolved: the nearest part around it with an id. Only the document itself is
/// known.
fn resolve<'a>(root: &'a Value, resource: &'a Value, reference: &str) -> Result<(&'a Value, &'a Value), String> {
    let missing = || format!("Reference {reference} must be canonical");
    let (id, pointer) = reference.split_once('#').unwrap_or((reference, ""));
    let resource = if id.is_empty() {
        resource
    } else {
        let wanted = joined(id_of(resource).or(id_of(root)).unwrap_or_default(), id);
        by_id(root, "", &wanted, 0).ok_or_else(missing)?
    };
    if !pointer.is_empty() && !pointer.starts_with('/') {
        // The name of a part, `"$id": "#name"`.
        let named = format!("#{pointer}");
        return by_name(resource, &named, 0).map(|found| (found, resource)).ok_or_else(missing);
    }
    let mut at = resource;
    for part in pointer.split('/').skip(1) {
        let part = part.replace("%25", "%").replace("~1", "/").replace("~0", "~");
        at = match at {
            Value::Object(fields) => fields.get(&Value::from(part)).ok_or_else(missing)?,
            Value::Array(items) => part.parse::<usize>().ok().and_then(|at| items.get(at)).ok_or_else(missing)?,
            _ => return Err(missing()),
        };
    }
    Ok((at, if is_resource(at) { at } else { resource }))
}

/// The id of a schema without its fragment.
fn id_of(schema: &Value) -> Option<&str> {
    let Value::Object(fields) = schema else { return None };
    match ["$id", "id"].iter().find_map(|name| fields.get(&Value::from(*name)))? {
        Value::String(id) => id.split('#').next().filter(|id| !id.is_empty()),
        _ => None,
    }
}

fn is_resource(schema: &Value) -> bool {
    id_of(schema).is_some()
}

/// An id, relative to another one.
fn joined(base: &str, id: &str) -> String {
    match base.rfind('/') {
        Some(at) if !id.contains("://") && !id.starts_with("urn:") => format!("{}{id}", &base[..=at]),
        _ => id.to_owned(),
    }
}

/// The part of the document with this id.
fn by_id<'a>(schema: &'a Value, base: &str, wanted: &str, depth: usize) -> Option<&'a Value> {
    if depth > MAX_DEPTH {
        return None;
    }
    let own = id_of(schema).map(|id| joined(base, id));
    if own.as_deref() == Some(wanted) {
        return Some(schema);
    }
    let base = own.as_deref().unwrap_or(base);
    match schema {
        Value::Object(fields) => fields.iter_sorted().find_map(|(_, value)| by_id(value, base, wanted, depth + 1)),
        Value::Array(items) => items.iter().find_map(|value| by_id(value, base, wanted, depth + 1)),
        _ => None,
    }
}

fn by_name<'a>(schema: &'a Value, name: &str, depth: usize) -> Option<&'a Value> {
    if depth > MAX_DEPTH {
        return None;
    }
    match schema {
        Value::Object(fields) if fields.get(&Value::from("$id")) == Some(&Value::from(name)) => Some(schema),
        Value::Object(fields) => fields.iter_sorted().find_map(|(_, value)| by_name(value, name, depth + 1)),
        Value::Array(items) => items.iter().find_map(|value| by_name(value, name, depth + 1)),
        _ => None,
    }
}

/// Members of a schema, sorted by name.
fn members(value: &Value) -> BTreeMap<&str, &Value> {
    let Value::Object(fields) = value else { return BTreeMap::new() };
    let mut found = BTreeMap::new();
    for (key, value) in fields.iter() {
        if let Value::String(key) = key {
            found.insert(&**key, value);
        }
    }
    found
}
