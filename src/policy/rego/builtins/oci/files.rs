//! Files inside layers, as JSON.

use std::{collections::BTreeMap, io::Read};

use regorus::Value;

use super::{Failure, json};
use crate::rego::builtins::{Answer, yaml};

/// Largest file that is read; larger ones are passed over.
const MAX_FILE: u64 = 8 * 1024 * 1024;
/// Most entries of one layer.
const MAX_ENTRIES: usize = 1_000_000;

/// The names that a rule asks for.
pub(super) fn wanted(value: Option<&Value>) -> Result<Vec<String>, Failure> {
    let text = |item: &Value| {
        item.as_string().map(|text| text.to_string()).map_err(|_| Failure::Undefined("paths must be strings".to_owned()))
    };
    match value {
        Some(Value::Array(items)) => items.iter().map(text).collect(),
        _ => Err(Failure::Undefined("paths must be an array".to_owned())),
    }
}

/// An entry of a tar.
struct Entry {
    name: String,
    is_file: bool,
    content: Option<Vec<u8>>,
}

fn entries(layer: &[u8], keep: impl Fn(&str) -> bool) -> Result<Vec<Entry>, Failure> {
    let broken = |e: std::io::Error| Failure::Undefined(format!("not a tar: {e}"));
    let mut archive = tar::Archive::new(layer);
    let mut found = Vec::new();
    for entry in archive.entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let is_file = entry.header().entry_type().is_file();
        let mut content = None;
        if is_file && keep(&name) && entry.size() <= MAX_FILE {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).map_err(broken)?;
            content = Some(bytes);
        }
        found.push(Entry { name, is_file, content });
        if found.len() > MAX_ENTRIES {
            return Err(Failure::Limit(format!("more than {MAX_ENTRIES} files in a layer")));
        }
    }
    Ok(found)
}

/// YAML or JSON; anything else is left out.
fn parsed(bytes: &[u8]) -> Option<Value> {
    json::parse(bytes).or_else(|_| yaml::parse(bytes)).ok()
}

/// Files whose name in the tar is exactly one of `wanted`.
pub(super) fn of_layer(layer: &[u8], wanted: &[String]) -> Answer {
    let mut files = BTreeMap::new();
    for entry in entries(layer, |name| wanted.iter().any(|path| path == name))? {
        if let Some(value) = entry.content.and_then(|bytes| parsed(&bytes)) {
            files.insert(Value::from(entry.name), value);
        }
    }
    Ok(Value::from(files))
}

/// Files directly below `directories` in the image that the layers make.
pub(super) fn of_image(layers: impl Iterator<Item = Result<Vec<u8>, Failure>>, directories: &[String]) -> Answer {
    let directories: Vec<String> = directories.iter().map(|path| clean(path)).collect();
    let within = |name: &str| {
        let name = clean(name);
        let known = [".yaml", ".yml", ".json"].iter().any(|extension| name.ends_with(extension));
        let parent = name.rsplit_once('/').map_or("", |(parent, _)| parent);
        known && directories.iter().any(|directory| directory == parent)
    };
    let mut files: BTreeMap<String, Option<Vec<u8>>> = BTreeMap::new();
    for layer in layers {
        for entry in entries(&layer?, within)? {
            let name = clean(&entry.name);
            let (parent, base) = name.rsplit_once('/').unwrap_or(("", &name));
            if base == ".wh..wh..opq" {
                let prefix = format!("{parent}/");
                files.retain(|path, _| !path.starts_with(&prefix));
            } else if let Some(gone) = base.strip_prefix(".wh.") {
                let path = if parent.is_empty() { gone.to_owned() } else { format!("{parent}/{gone}") };
                files.retain(|known, _| *known != path && !known.starts_with(&format!("{path}/")));
            } else if entry.is_file && within(&entry.name) {
                files.insert(name, entry.content);
            } else {
                files.remove(&name);
            }
        }
    }
    let values = files.into_iter().filter_map(|(name, bytes)| Some((Value::from(name), parsed(&bytes?)?)));
    Ok(Value::from(values.collect::<BTreeMap<_, _>>()))
}

fn clean(path: &str) -> String {
    let parts: Vec<_> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    parts.join("/")
}
