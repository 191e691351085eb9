//! Checks a document against a schema, in gojsonschema's order and with its way
//! of choosing which errors of alternatives to show.

use std::{cell::Cell, collections::BTreeMap};

use regorus::Value;

use super::{
    Failure, MAX_DEPTH, format, is_resource, members,
    regex::compile,
    resolve,
    words::{Mistake, What, type_of},
};

/// What was found, and how well the document fitted: the alternative that
/// fitted best is the one the author meant.
#[derive(Default)]
struct Outcome {
    mistakes: Vec<Mistake>,
    score: i64,
}

impl Outcome {
    fn add(&mut self, path: &[String], what: What) {
        self.mistakes.push(Mistake { path: path.to_vec(), what });
        self.score -= 2;
    }

    fn merge(&mut self, other: Self) {
        self.mistakes.extend(other.mistakes);
        self.score += other.score;
    }

    fn valid(&self) -> bool {
        self.mistakes.is_empty()
    }
}

/// Most parts of a document that are held against parts of a schema: alternatives
/// that refer to each other multiply. Enough for a hundred thousand components of
/// an SBOM with some dozens of members each.
const MAX_STEPS: u64 = 4_000_000;

/// Returns every mistake of `document`.
pub(in crate::rego::builtins) fn validate(schema: &Value, document: &Value) -> Result<Vec<Mistake>, Failure> {
    let mut path = Vec::new();
    let validator = Validator { root: schema, steps: Cell::new(0) };
    let found = validator.check(At { schema, resource: schema }, document, &mut path, 0);
    if validator.steps.get() > MAX_STEPS {
        return Err(Failure::Limit("steps of a schema".to_owned()));
    }
    Ok(found.mistakes)
}

struct Validator<'a> {
    root: &'a Value,
    steps: Cell<u64>,
}

/// A schema, and the resource in which its references are resolved.
#[derive(Clone, Copy)]
struct At<'s> {
    schema: &'s Value,
    resource: &'s Value,
}

/// The members of a schema, and its resource.
struct Schema<'s> {
    members: BTreeMap<&'s str, &'s Value>,
    resource: &'s Value,
}

impl<'s> Schema<'s> {
    fn get(&self, name: &str) -> Option<&'s Value> {
        self.members.get(name).copied()
    }

    fn at(&self, schema: &'s Value) -> At<'s> {
        At { schema, resource: self.resource }
    }
}

impl<'a> Validator<'a> {
    fn check(&self, at: At<'a>, value: &Value, path: &mut Vec<String>, depth: usize) -> Outcome {
        let mut out = Outcome::default();
        let steps = self.steps.get() + 1;
        self.steps.set(steps);
        if steps > MAX_STEPS {
            return out;
        }
        if let Value::Bool(pass) = at.schema {
            if !pass {
                out.add(path, What::Never);
            }
            return out;
        }
        // A schema that refers to itself for ever is no schema.
        if depth > 4 * MAX_DEPTH {
            out.add(path, What::Never);
            return out;
        }
        let resource = if is_resource(at.schema) { at.schema } else { at.resource };
        let schema = Schema { members: members(at.schema), resource };
        if let Some(Value::String(reference)) = schema.get("$ref") {
            return match resolve(self.root, resource, reference) {
                Ok((schema, resource)) => self.check(At { schema, resource }, value, path, depth + 1),
                Err(_) => {
                    out.add(path, What::Never);
                    out
                }
            };
        }
        if !self.type_fits(&schema, value, path, &mut out) {
            return out;
        }
        self.combinations(&schema, value, path, depth, &mut out);
        match value {
            Value::Array(items) => self.array(&schema, items.as_slice(), path, depth, &mut out),
            Value::Object(_) => self.object(&schema, value, path, depth, &mut out),
            Value::Number(_) => number(&schema, value, path, &mut out),
            _ => {}
        }
        common(&schema, value, path, &mut out);
        if let Value::String(text) = value {
            string(&schema, text, path, &mut out);
        }
        if let (Some(properties), Value::Object(fields)) = (schema.get("properties"), value) {
            for (name, below) in members(properties) {
                if let Some(field) = fields.get(&Value::from(name)) {
                    let found = self.below(schema.at(below), field, name, path, depth);
                    out.merge(found);
                }
            }
        }
        out.score += 1;
        out
    }

    fn below(&self, schema: At<'a>, value: &Value, name: &str, path: &mut Vec<String>, depth: usize) -> Outcome {
        path.push(name.to_owned());
        let found = self.check(schema, value, path, depth + 1);
        path.pop();
        found
    }

    fn type_fits(&self, schema: &Schema<'_>, value: &Value, path: &[String], out: &mut Outcome) -> bool {
        let names: Vec<&str> = match schema.get("type") {
            None => return true,
            Some(Value::Array(items)) => items.iter().filter_map(|item| item.as_string().ok().map(|name| &**name)).collect(),
            Some(Value::String(name)) => vec![name],
            Some(_) => return true,
        };
        let given = type_of(value);
        if names.is_empty() || names.contains(&given) || (given == "integer" && names.contains(&"number")) {
            return true;
        }
        let expected = if let [one] = names.as_slice() { (*one).to_owned() } else { format!("[{}]", names.join(",")) };
        out.add(path, What::Type { expected, given });
        false
    }

    fn combinations(&self, schema: &Schema<'a>, value: &Value, path: &mut Vec<String>, depth: usize, out: &mut Outcome) {
        if let Some(Value::Array(schemas)) = schema.get("anyOf") {
            let (valid, best) = self.alternatives(schema, schemas.as_slice(), value, path, depth, true);
            if valid == 0 {
                out.add(path, What::AnyOf);
                best.into_iter().for_each(|best| out.merge(best));
            }
        }
        if let Some(Value::Array(schemas)) = schema.get("oneOf") {
            let (valid, best) = self.alternatives(schema, schemas.as_slice(), value, path, depth, false);
            if valid != 1 {
                out.add(path, What::OneOf);
                if valid == 0 {
                    best.into_iter().for_each(|best| out.merge(best));
                }
            }
        }
        if let Some(Value::Array(schemas)) = schema.get("allOf") {
            let mut all = true;
            for one in schemas.iter() {
                let found = self.check(schema.at(one), value, path, depth + 1);
                all &= found.valid();
                if !found.valid() {
                    out.merge(found);
                }
            }
            if !all {
                out.add(path, What::AllOf);
            }
        }
        if let Some(not) = schema.get("not")
            && self.check(schema.at(not), value, path, depth + 1).valid()
        {
            out.add(path, What::Not);
        }
        self.dependencies(schema, value, path, depth, out);
        self.conditions(schema, value, path, depth, out);
        out.score += 1;
    }

    /// How many alternatives hold, and the outcome of the one that fitted best.
    fn alternatives(
        &self,
        within: &Schema<'a>,
        schemas: &'a [Value],
        value: &Value,
        path: &mut Vec<String>,
        depth: usize,
        any: bool,
    ) -> (usize, Option<Outcome>) {
        let (mut valid, mut best) = (0, None::<Outcome>);
        for schema in schemas {
            if any && valid > 0 {
                break;
            }
            let found = self.check(within.at(schema), value, path, depth + 1);
            if found.valid() {
                valid += 1;
            } else if valid == 0 && best.as_ref().is_none_or(|best| found.score > best.score) {
                best = Some(found);
            }
        }
        (valid, best)
    }

    fn dependencies(&self, schema: &Schema<'a>, value: &Value, path: &mut Vec<String>, depth: usize, out: &mut Outcome) {
        let (Some(dependencies), Value::Object(fields)) = (schema.get("dependencies"), value) else { return };
        for (name, needed) in members(dependencies) {
            if !fields.contains_key(&Value::from(name)) {
                continue;
            }
            match needed {
                Value::Array(names) => {
                    for needed in names.iter().filter(|needed| !fields.contains_key(needed)) {
                        out.add(path, What::Dependency(needed.as_string().map(|name| name.to_string()).unwrap_or_default()));
                    }
                }
                below => {
                    let found = self.check(schema.at(below), value, path, depth + 1);
                    out.merge(found);
                }
            }
        }
    }

    fn conditions(&self, schema: &Schema<'a>, value: &Value, path: &mut Vec<String>, depth: usize, out: &mut Outcome) {
        let Some(condition) = schema.get("if") else { return };
        let holds = self.check(schema.at(condition), value, path, depth + 1).valid();
        let (branch, what) = if holds { (schema.get("then"), What::Then) } else { (schema.get("else"), What::Else) };
        let Some(branch) = branch else { return };
        let found = self.check(schema.at(branch), value, path, depth + 1);
        if !found.valid() {
            out.add(path, what);
            out.merge(found);
        }
    }

    fn array(&self, schema: &Schema<'a>, items: &[Value], path: &mut Vec<String>, depth: usize, out: &mut Outcome) {
        match schema.get("items") {
            Some(Value::Array(schemas)) => {
                for (at, (one, item)) in schemas.iter().zip(items).enumerate() {
                    let found = self.below(schema.at(one), item, &at.to_string(), path, depth);
                    out.merge(found);
                }
                match schema.get("additionalItems") {
                    Some(Value::Bool(false)) if items.len() > schemas.len() => out.add(path, What::AdditionalItems),
                    Some(additional @ Value::Object(_)) => {
                        for (at, item) in items.iter().enumerate().skip(schemas.len()) {
                            let found = self.below(schema.at(additional), item, &at.to_string(), path, depth);
                            out.merge(found);
                        }
                    }
                    _ => {}
                }
            }
            Some(one) => {
                for (at, item) in items.iter().enumerate() {
                    let found = self.below(schema.at(one), item, &at.to_string(), path, depth);
                    out.merge(found);
                }
            }
            None => {}
        }
        bounds(schema, items.len(), ["minItems", "maxItems"], [What::ItemsLeast, What::ItemsMost], path, out);
        if let Some(Value::Bool(true)) = schema.get("uniqueItems") {
            unique(items, path, out);
        }
        if let Some(contains) = schema.get("contains") {
            let (mut one, mut best) = (false, None::<Outcome>);
            for (at, item) in items.iter().enumerate() {
                let found = self.below(schema.at(contains), item, &at.to_string(), path, depth);
                one |= found.valid();
                if best.as_ref().is_none_or(|best| found.score > best.score) {
                    best = Some(found);
                }
            }
            if !one {
                out.add(path, What::Contains);
                best.into_iter().for_each(|best| out.merge(best));
            }
        }
        out.score += 1;
    }

    fn object(&self, schema: &Schema<'a>, value: &Value, path: &mut Vec<String>, depth: usize, out: &mut Outcome) {
        let fields = members(value);
        let sizes = ["minProperties", "maxProperties"];
        bounds(schema, fields.len(), sizes, [What::PropertiesLeast, What::PropertiesMost], path, out);
        if let Some(Value::Array(required)) = schema.get("required") {
            for name in required.iter().filter_map(|name| name.as_string().ok()) {
                if fields.contains_key(&**name) {
                    out.score += 1;
                } else {
                    out.add(path, What::Required(name.to_string()));
                }
            }
        }
        let properties = schema.get("properties").map(|properties| members(properties)).unwrap_or_default();
        let patterns = schema.get("patternProperties").map(|patterns| members(patterns)).unwrap_or_default();
        for (name, field) in &fields {
            let mut known = properties.contains_key(name);
            for (pattern, below) in &patterns {
                if compile(pattern).as_ref().as_ref().is_ok_and(|regex| regex.is_match(name)) {
                    known = true;
                    let found = self.below(schema.at(below), field, name, path, depth);
                    out.merge(found);
                }
            }
            match schema.get("additionalProperties") {
                Some(Value::Bool(false)) if !known => out.add(path, What::Additional((*name).to_owned())),
                Some(additional @ Value::Object(_)) if !known => {
                    let found = self.below(schema.at(additional), field, name, path, depth);
                    out.merge(found);
                }
                _ => {}
            }
        }
        if let Some(names) = schema.get("propertyNames") {
            for name in fields.keys() {
                let found = self.check(schema.at(names), &Value::from(*name), path, depth + 1);
                if !found.valid() {
                    out.add(path, What::PropertyName((*name).to_owned()));
                    out.merge(found);
                }
            }
        }
        out.score += 1;
    }
}

fn bounds(
    schema: &Schema<'_>,
    count: usize,
    names: [&str; 2],
    what: [fn(String) -> What; 2],
    path: &[String],
    out: &mut Outcome,
) {
    let [least, most] =
        names.map(|name| schema.get(name).and_then(|value| value.as_u64().ok()).and_then(|n| usize::try_from(n).ok()));
    let [below, above] = what;
    if let Some(least) = least
        && count < least
    {
        out.add(path, below(least.to_string()));
    }
    if let Some(most) = most
        && count > most
    {
        out.add(path, above(most.to_string()));
    }
}

fn unique(items: &[Value], path: &[String], out: &mut Outcome) {
    let mut seen: BTreeMap<&Value, usize> = BTreeMap::new();
    for (at, item) in items.iter().enumerate() {
        if let Some(first) = seen.get(item) {
            out.add(path, What::Unique(*first, at));
        }
        seen.insert(item, at);
    }
}

fn common(schema: &Schema<'_>, value: &Value, path: &[String], out: &mut Outcome) {
    let text = |value: &Value| super::json::text(value).ok();
    if let Some(allowed) = schema.get("const")
        && allowed != value
    {
        out.add(path, What::Const(text(allowed).unwrap_or_default()));
    }
    if let Some(Value::Array(allowed)) = schema.get("enum")
        && !allowed.contains(value)
    {
        let allowed: Vec<String> = allowed.iter().filter_map(text).collect();
        out.add(path, What::Enum(allowed.join(", ")));
    }
    if let (Some(Value::String(name)), Value::String(text)) = (schema.get("format"), value)
        && !format::holds(name, text)
    {
        out.add(path, What::Format(name.to_string()));
    }
    out.score += 1;
}

fn string(schema: &Schema<'_>, text: &str, path: &[String], out: &mut Outcome) {
    bounds(schema, text.chars().count(), ["minLength", "maxLength"], [What::LengthLeast, What::LengthMost], path, out);
    if let Some(Value::String(pattern)) = schema.get("pattern")
        && !compile(pattern).as_ref().as_ref().is_ok_and(|regex| regex.is_match(text))
    {
        out.add(path, What::Pattern(pattern.to_string()));
    }
    out.score += 1;
}

fn number(schema: &Schema<'_>, value: &Value, path: &[String], out: &mut Outcome) {
    let bound = |name: &str| schema.get(name).filter(|bound| matches!(bound, Value::Number(_)));
    let text = |bound: &Value| super::super::text::rego(bound);
    // Draft 4 has a boolean that sharpens the bound beside it.
    let sharp = |name: &str| matches!(schema.get(name), Some(Value::Bool(true)));
    if let Some(factor) = bound("multipleOf") {
        let (factor_value, value) = (factor.as_f64().unwrap_or(1.0), value.as_f64().unwrap_or(0.0));
        if (value / factor_value).fract() != 0.0 {
            out.add(path, What::MultipleOf(text(factor)));
        }
    }
    if let Some(most) = bound("maximum") {
        if sharp("exclusiveMaximum") {
            if value >= most {
                out.add(path, What::NumberBelow(text(most)));
            }
        } else if value > most {
            out.add(path, What::NumberMost(text(most)));
        }
    }
    if let Some(most) = bound("exclusiveMaximum")
        && value >= most
    {
        out.add(path, What::NumberBelow(text(most)));
    }
    if let Some(least) = bound("minimum") {
        if sharp("exclusiveMinimum") {
            if value <= least {
                out.add(path, What::NumberAbove(text(least)));
            }
        } else if value < least {
            out.add(path, What::NumberLeast(text(least)));
        }
    }
    if let Some(least) = bound("exclusiveMinimum")
        && value <= least
    {
        out.add(path, What::NumberAbove(text(least)));
    }
    out.score += 1;
}
