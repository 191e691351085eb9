//! A document for a reader that knows its keys itself: plain values, and where each
//! of them stands.

use serde_json::Value as Json;

use super::{Node, Place, Reading, Value, YamlError, parse};

/// A document read whole; no key occurs twice.
#[derive(Clone, Debug)]
pub struct Document {
    root: Node,
    value: Json,
}

impl Document {
    /// Reads the one document in `bytes`; `file` names it in errors.
    ///
    /// # Errors
    ///
    /// Returns a [`YamlError`] for what is no YAML, ambiguous or beyond a limit.
    pub fn parse(bytes: &[u8], file: &str) -> Result<Self, YamlError> {
        let root = parse(bytes, file, Reading::Strict)?;
        let value = root.to_json("the document")?;
        Ok(Self { root, value })
    }

    /// The values.
    pub fn value(&self) -> &Json {
        &self.value
    }

    /// Where `path` stands, such as `log.witnesses.keys[0]`: the key itself, else the
    /// last part of the path that exists.
    pub fn place(&self, path: &str) -> Place {
        let (mut node, mut place) = (&self.root, &self.root.place);
        for part in path.split(['.', '[', ']']).filter(|part| !part.is_empty()) {
            let next = match &node.value {
                Value::Mapping(entries) => entries.iter().find(|(key, _)| key.text == part).map(|(key, node)| (node, &key.place)),
                Value::Sequence(items) => part.parse().ok().and_then(|at: usize| items.get(at)).map(|node| (node, &node.place)),
                Value::Scalar(_) => None,
            };
            let Some((below, at)) = next else { break };
            (node, place) = (below, at);
        }
        place.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_to_its_key() {
        let document = Document::parse(b"log:\n  witnesses:\n    keys: [a, b]\nlist:\n- x: 1\n- y: 2\n", "t.yaml").unwrap();
        assert_eq!(document.value()["list"][1]["y"], 2);
        for (path, want) in [
            ("log.witnesses", "t.yaml:2:3"),
            ("log.witnesses.keys[1]", "t.yaml:3:15"),
            ("list[1].y", "t.yaml:6:3"),
            ("log.absent.below", "t.yaml:1:1"),
            ("", "t.yaml:1:1"),
        ] {
            assert_eq!(document.place(path).to_string(), want, "{path}");
        }
        assert!(Document::parse(b"a: 1\na: 2\n", "t.yaml").is_err());
    }
}
