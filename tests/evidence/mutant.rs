//! Changes a document in one place, by chance but from a seed.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};

use crate::random::Random;

/// Evidence in the form in which it can be changed.
#[derive(Clone)]
pub(crate) enum Document {
    /// The JSON of a Sigstore bundle.
    Bundle(Vec<u8>),
    /// A legacy layer with the annotations of its descriptor.
    Layer { media_type: String, annotations: BTreeMap<String, String>, blob: Vec<u8> },
}

/// A changed document and what was changed.
pub(crate) struct Mutant {
    pub(crate) document: Document,
    pub(crate) what: &'static str,
    pub(crate) path: String,
}

impl Document {
    /// A manifest with this one layer, and the layer.
    pub(crate) fn to_manifest(&self) -> (Vec<u8>, Vec<u8>) {
        let Self::Layer { media_type, annotations, blob } = self else { panic!("a bundle is no layer here") };
        let digest = carnet_bundle::Digest::of(blob);
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest, "size": 2},
            "layers": [{"mediaType": media_type, "digest": digest, "size": blob.len(), "annotations": annotations}],
        });
        (serde_json::to_vec(&manifest).unwrap(), blob.clone())
    }

    /// As one JSON value in which everything can be reached.
    fn to_value(&self) -> Value {
        match self {
            Self::Bundle(text) => serde_json::from_slice(text).unwrap(),
            Self::Layer { annotations, blob, .. } => json!({"annotations": annotations, "blob": STANDARD.encode(blob)}),
        }
    }

    fn with_value(&self, value: &Value) -> Option<Self> {
        Some(match self {
            Self::Bundle(_) => Self::Bundle(serde_json::to_vec(value).unwrap()),
            Self::Layer { media_type, .. } => {
                let annotations = value.get("annotations")?.as_object()?.iter();
                let annotations = annotations.map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
                Self::Layer {
                    media_type: media_type.clone(),
                    annotations: annotations.collect::<Option<_>>()?,
                    blob: STANDARD.decode(value.get("blob")?.as_str()?).ok()?,
                }
            }
        })
    }
}

/// Changes `document` in one place; `others` give what is swapped in. `None` when
/// nothing changed.
pub(crate) fn mutate(document: &Document, others: &[Document], random: &mut Random) -> Option<Mutant> {
    match random.below(10) {
        0 => mutate_bytes(document, random),
        1 => duplicate_member(document, random),
        _ => mutate_value(document, others, random),
    }
}

/// Flips a bit of the text, or cuts it off.
fn mutate_bytes(document: &Document, random: &mut Random) -> Option<Mutant> {
    let bytes = match document {
        Document::Bundle(text) => text,
        Document::Layer { blob, .. } => blob,
    };
    let (bytes, what) = match random.below(4) {
        0 => (bytes[..random.below(bytes.len())].to_vec(), "cut off"),
        _ => (flip(bytes, random), "bit of the text flipped"),
    };
    let same = |a: &[u8], b: &[u8]| {
        let value = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).ok();
        value(a).is_some() && value(a) == value(b)
    };
    let (path, document) = match document {
        Document::Bundle(text) if same(text, &bytes) => return None,
        Document::Bundle(text) => {
            let value = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap_or_default();
            let path = changed_path(&value(text), &value(&bytes), "");
            (path.unwrap_or_default(), Document::Bundle(bytes))
        }
        Document::Layer { media_type, annotations, .. } => {
            let document = Document::Layer { media_type: media_type.clone(), annotations: annotations.clone(), blob: bytes };
            ("blob".to_owned(), document)
        }
    };
    Some(Mutant { document, what, path })
}

/// The path of the first value that differs, so that a survivor can be named.
fn changed_path(a: &Value, b: &Value, path: &str) -> Option<String> {
    match (a, b) {
        (Value::Object(x), Value::Object(y)) => {
            let one_sided = |key: &&String| x.contains_key(*key) != y.contains_key(*key);
            let missing = x.keys().chain(y.keys()).find(one_sided).map(|key| format!("{path}/{key}"));
            let below = || x.iter().find_map(|(key, value)| changed_path(value, y.get(key)?, &format!("{path}/{key}")));
            missing.or_else(below)
        }
        (Value::Array(x), Value::Array(y)) if x.len() == y.len() => {
            x.iter().zip(y).enumerate().find_map(|(n, (a, b))| changed_path(a, b, &format!("{path}/{n}")))
        }
        _ => (a != b).then(|| path.to_owned()),
    }
}

/// Writes one member twice, first with another value.
fn duplicate_member(document: &Document, random: &mut Random) -> Option<Mutant> {
    let text = match document {
        Document::Bundle(text) => String::from_utf8(text.clone()).unwrap(),
        Document::Layer { blob, .. } => String::from_utf8(blob.clone()).ok()?,
    };
    let places: Vec<_> = text.match_indices("\":").map(|(place, _)| place).collect();
    let end = *places.get(random.below(places.len()))?;
    let start = text[..end].rfind('"')?;
    let key = &text[start..=end];
    let value = ["null", "0", "\"\"", "{}", "[]"][random.below(5)];
    let text = format!("{}{key}:{value},{}", &text[..start], &text[start..]);
    let path = key.trim_matches('"').to_owned();
    let document = match document {
        Document::Bundle(_) => Document::Bundle(text.into_bytes()),
        Document::Layer { media_type, annotations, .. } => {
            Document::Layer { media_type: media_type.clone(), annotations: annotations.clone(), blob: text.into_bytes() }
        }
    };
    Some(Mutant { document, what: "member written twice", path: format!("twice {path}") })
}

/// Changes, removes or swaps a value somewhere in the tree.
fn mutate_value(document: &Document, others: &[Document], random: &mut Random) -> Option<Mutant> {
    let original = document.to_value();
    let mut value = original.clone();
    let paths = paths(&value);
    let path = paths[random.below(paths.len())].clone();
    let what = match random.below(5) {
        0 => {
            remove(&mut value, &path)?;
            "removed"
        }
        // Another layer is other evidence, not changed evidence.
        1 if path == "/blob" => return None,
        1 => {
            let other = others[random.below(others.len())].to_value();
            *value.pointer_mut(&path)? = other.pointer(&path)?.clone();
            "taken from other evidence"
        }
        _ => {
            change(value.pointer_mut(&path)?, random)?;
            "changed"
        }
    };
    if spelled_alike(&original, &value) {
        return None;
    }
    let path = changed_path(&original, &value, "")?;
    Some(Mutant { document: document.with_value(&value)?, what, path })
}

/// Whether two values differ in nothing but the spelling of base64 and numbers.
fn spelled_alike(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Object(x), Value::Object(y)) => {
            // protobuf leaves out what is empty or zero.
            let unset = |value: Option<&Value>| {
                value.is_none_or(|v| v.is_null() || v == "0" || v == 0 || v.as_array().is_some_and(Vec::is_empty))
            };
            let keys = x.keys().chain(y.keys());
            keys.into_iter().all(|key| match (x.get(key), y.get(key)) {
                (Some(a), Some(b)) => spelled_alike(a, b),
                (a, b) => unset(a) && unset(b),
            })
        }
        (Value::Array(x), Value::Array(y)) => x.len() == y.len() && x.iter().zip(y).all(|(a, b)| spelled_alike(a, b)),
        (Value::String(x), Value::String(y)) => {
            x == y || base64(x).is_some_and(|bytes| !x.is_empty() && base64(y) == Some(bytes))
        }
        (Value::String(text), number @ Value::Number(_)) | (number @ Value::Number(_), Value::String(text)) => {
            text.parse::<i64>().ok() == number.as_i64()
        }
        _ => a == b,
    }
}

fn base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// Changes a value; base64 is changed in its bytes, JSON inside it in its values.
fn change(value: &mut Value, random: &mut Random) -> Option<()> {
    match value {
        Value::String(text) => *text = change_text(text, random)?,
        Value::Number(number) => {
            let n = number.as_i64()?;
            let n = [n + 1, n - 1, 0, n + 600, n - 600, i64::MAX, -1][random.below(7)];
            *value = n.into();
        }
        Value::Array(list) if !list.is_empty() => {
            let place = random.below(list.len());
            if random.below(2) == 0 {
                list.remove(place);
            } else {
                list.push(list[place].clone());
            }
        }
        Value::Object(members) if !members.is_empty() => {
            let key = members.keys().nth(random.below(members.len()))?.clone();
            change(members.get_mut(&key)?, random)?;
        }
        _ => return None,
    }
    Some(())
}

fn change_text(text: &str, random: &mut Random) -> Option<String> {
    if let Ok(mut inner) = serde_json::from_str::<Value>(text)
        && inner.is_object()
        && random.below(3) > 0
    {
        let paths = paths(&inner);
        let path = paths[random.below(paths.len())].clone();
        if random.below(3) == 0 {
            remove(&mut inner, &path)?
        } else {
            change(inner.pointer_mut(&path)?, random)?
        }
        return Some(inner.to_string());
    }
    if let Ok(number) = text.parse::<i64>() {
        return Some([number + 1, number - 1, 0, number + 600, number - 600][random.below(5)].to_string());
    }
    if let Some(bytes) = base64(text).filter(|bytes| bytes.len() > 3) {
        if let Ok(inner) = std::str::from_utf8(&bytes)
            && inner.starts_with('{')
            && random.below(2) == 0
        {
            return Some(STANDARD.encode(change_text(inner, random)?));
        }
        let mut bytes = bytes;
        match random.below(5) {
            0 => bytes.truncate(random.below(bytes.len())),
            1 => bytes.push(0),
            _ => bytes = flip(&bytes, random),
        }
        return Some(STANDARD.encode(bytes));
    }
    if text.is_empty() {
        return Some("x".to_owned());
    }
    let mut letters: Vec<char> = text.chars().collect();
    let place = random.below(letters.len());
    match random.below(3) {
        0 => drop(letters.remove(place)),
        1 => letters.insert(place, letters[place]),
        _ => letters[place] = if letters[place] == 'x' { 'y' } else { 'x' },
    }
    Some(letters.into_iter().collect())
}

fn flip(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if !bytes.is_empty() {
        let place = random.below(bytes.len());
        bytes[place] ^= 1 << random.below(8);
    }
    bytes
}

/// JSON pointers of every value below the root.
fn paths(value: &Value) -> Vec<String> {
    fn walk(value: &Value, path: &str, found: &mut Vec<String>) {
        let mut visit = |key: &str, inner: &Value| {
            let path = format!("{path}/{}", key.replace('~', "~0").replace('/', "~1"));
            found.push(path.clone());
            walk(inner, &path, found);
        };
        match value {
            Value::Object(members) => members.iter().for_each(|(key, inner)| visit(key, inner)),
            Value::Array(list) => list.iter().enumerate().for_each(|(n, inner)| visit(&n.to_string(), inner)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    walk(value, "", &mut found);
    found
}

fn remove(value: &mut Value, path: &str) -> Option<()> {
    let (parent, key) = path.rsplit_once('/')?;
    match value.pointer_mut(parent)? {
        Value::Object(members) => {
            let members: &mut Map<String, Value> = members;
            members.shift_remove(&key.replace("~1", "/").replace("~0", "~"))?;
        }
        Value::Array(list) => drop(list.remove(key.parse().ok()?)),
        _ => return None,
    }
    Some(())
}
