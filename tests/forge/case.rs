//! A case: evidence, the trust root and rules it is judged by, what must come out.

use std::{collections::BTreeMap, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

/// Evidence as it is stored.
pub(crate) enum Stored {
    Bundle(Vec<u8>),
    Layer { media_type: &'static str, annotations: BTreeMap<String, String>, blob: Vec<u8> },
}

pub(crate) struct Case {
    /// Folder name: what is wrong with it, or what it shows.
    pub(crate) name: String,
    pub(crate) stored: Stored,
    /// `None` for the common trust root.
    pub(crate) root: Option<Value>,
    /// Members of `rules` in expect.json.
    pub(crate) rules: Value,
    /// `image-signature`, `attestation` or the codes of all findings.
    pub(crate) outcome: &'static str,
    /// Certificate against provenance, a letter for repository, commit, ref, builder
    /// and run: `=` consistent, `!` contradicts, `?` not comparable.
    pub(crate) compared: Option<&'static str>,
}

impl Case {
    /// The files of its folder.
    pub(crate) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let pretty = |value: &Value| (serde_json::to_string_pretty(value).unwrap() + "\n").into_bytes();
        let mut files = BTreeMap::new();
        match &self.stored {
            Stored::Bundle(bytes) => drop(files.insert("bundle.sigstore.json".to_owned(), bytes.clone())),
            Stored::Layer { media_type, annotations, blob } => {
                let value = json!({"mediaType": media_type, "annotations": annotations, "blob": STANDARD.encode(blob)});
                files.insert("layer.json".to_owned(), pretty(&value));
            }
        }
        if let Some(root) = &self.root {
            files.insert("trusted_root.json".to_owned(), pretty(root));
        }
        let mut expect = json!({"rules": self.rules, "outcome": self.outcome});
        if let Some(letters) = self.compared {
            expect["compared"] = json!(letters);
        }
        files.insert("expect.json".to_owned(), pretty(&expect));
        files
    }

    /// The name as a folder.
    pub(crate) fn folder(&self) -> String {
        let negative = !matches!(self.outcome, "image-signature" | "attestation");
        if negative { format!("{}_fail", self.name) } else { self.name.clone() }
    }
}

/// Writes files below `folder`, replacing what was there.
pub(crate) fn write(folder: &Path, files: &BTreeMap<String, Vec<u8>>) {
    std::fs::create_dir_all(folder).unwrap();
    for (name, bytes) in files {
        std::fs::write(folder.join(name), bytes).unwrap();
    }
}
