//! `json.remove` and `json.filter`: paths as texts with `/` or as arrays.

use std::collections::BTreeMap;

use regorus::Value;

use super::{Answer, undefined};

/// Paths as a tree; a node without branches is the end of a path.
#[derive(Debug, Default)]
struct Tree(BTreeMap<Value, Tree>);

impl Tree {
    fn of(paths: &Value) -> Result<Self, &'static str> {
        let mut tree = Self::default();
        let paths: Vec<&Value> = match paths {
            Value::Array(items) => items.iter().collect(),
            Value::Set(items) => items.iter().collect(),
            _ => return Err("paths must be an array or a set"),
        };
        for path in paths {
            tree.insert(&segments(path)?);
        }
        Ok(tree)
    }

    fn insert(&mut self, path: &[Value]) {
        if let Some((first, rest)) = path.split_first() {
            // A path that ends above others takes them along.
            let known = self.0.contains_key(first);
            let below = self.0.entry(first.clone()).or_default();
            if rest.is_empty() {
                below.0.clear();
            } else if !known || !below.0.is_empty() {
                below.insert(rest);
            }
        }
    }
}

fn segments(path: &Value) -> Result<Vec<Value>, &'static str> {
    match path {
        Value::String(text) if text.is_empty() => Ok(Vec::new()),
        Value::String(text) => {
            let parts = text.trim_start_matches('/').split('/');
            Ok(parts.map(|part| Value::from(part.replace("~1", "/").replace("~0", "~"))).collect())
        }
        Value::Array(items) => Ok(items.iter().cloned().collect()),
        _ => Err("a path must be a text or an array"),
    }
}

pub(super) fn remove(args: &[Value]) -> Answer {
    let [document @ Value::Object(_), paths] = args else { return undefined("operands must be an object and paths") };
    Tree::of(paths).map_or_else(undefined, |tree| Ok(without(document, &tree)))
}

fn without(value: &Value, tree: &Tree) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.iter().filter_map(|(key, value)| Some((key.clone(), survivor(value, tree.0.get(key))?)));
            Value::from(kept.collect::<BTreeMap<_, _>>())
        }
        Value::Set(items) => {
            let kept = items.iter().filter_map(|item| survivor(item, tree.0.get(item)));
            Value::from(kept.collect::<std::collections::BTreeSet<_>>())
        }
        Value::Array(items) => {
            let kept = items.iter().enumerate().filter_map(|(at, item)| survivor(item, at_index(tree, at)));
            Value::from(kept.collect::<Vec<_>>())
        }
        other => other.clone(),
    }
}

/// An index is a text in a path, or a number in an array.
fn at_index(tree: &Tree, at: usize) -> Option<&Tree> {
    tree.0.get(&Value::from(at.to_string())).or_else(|| tree.0.get(&Value::from(at)))
}

fn survivor(value: &Value, tree: Option<&Tree>) -> Option<Value> {
    match tree {
        None => Some(value.clone()),
        Some(tree) if tree.0.is_empty() => None,
        Some(tree) => Some(without(value, tree)),
    }
}

pub(super) fn filter(args: &[Value]) -> Answer {
    let [document @ Value::Object(_), paths] = args else { return undefined("operands must be an object and paths") };
    Tree::of(paths).map_or_else(undefined, |tree| Ok(only(document, &tree)))
}

fn only(value: &Value, tree: &Tree) -> Value {
    if tree.0.is_empty() {
        // The end of a path: everything below. At the top there is no path.
        return value.clone();
    }
    match value {
        Value::Object(fields) => {
            let kept = fields.iter().filter_map(|(key, value)| Some((key.clone(), only(value, tree.0.get(key)?))));
            Value::from(kept.collect::<BTreeMap<_, _>>())
        }
        Value::Array(items) => {
            let kept = items.iter().enumerate().filter_map(|(at, item)| Some(only(item, at_index(tree, at)?)));
            Value::from(kept.collect::<Vec<_>>())
        }
        Value::Set(items) => {
            let kept = items.iter().filter_map(|item| Some(only(item, tree.0.get(item)?)));
            Value::from(kept.collect::<std::collections::BTreeSet<_>>())
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Value {
        Value::from_json_str(text).unwrap()
    }

    #[test]
    fn paths_are_taken_out() {
        let document = value(r#"{"a": {"b": [1, 2, 3], "c/d": 4}, "e": 5}"#);
        for (paths, want) in [
            (r#"["/a/b"]"#, r#"{"a": {"c/d": 4}, "e": 5}"#),
            (r#"["a/b/1"]"#, r#"{"a": {"b": [1, 3], "c/d": 4}, "e": 5}"#),
            (r#"["a/c~1d", "e"]"#, r#"{"a": {"b": [1, 2, 3]}}"#),
            (r#"[["a", "b", 0]]"#, r#"{"a": {"b": [2, 3], "c/d": 4}, "e": 5}"#),
            (r#"["/a", "/a/b"]"#, r#"{"e": 5}"#),
            (r#"["/x/y"]"#, r#"{"a": {"b": [1, 2, 3], "c/d": 4}, "e": 5}"#),
        ] {
            assert_eq!(remove(&[document.clone(), value(paths)]).unwrap(), value(want), "{paths}");
        }
        for (paths, want) in [
            (r#"["/a/b"]"#, r#"{"a": {"b": [1, 2, 3]}}"#),
            (r#"["a/b/1", "e"]"#, r#"{"a": {"b": [2]}, "e": 5}"#),
            (r#"["/x"]"#, "{}"),
        ] {
            assert_eq!(filter(&[document.clone(), value(paths)]).unwrap(), value(want), "{paths}");
        }
    }
}
