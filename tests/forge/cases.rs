//! Every case of the forge.

#[path = "cases/certificates.rs"]
mod certificates;
#[path = "cases/content.rs"]
mod content;
#[path = "cases/good.rs"]
mod good;
#[path = "cases/logs.rs"]
mod logs;
#[path = "cases/provenance.rs"]
mod provenance;
#[path = "cases/several.rs"]
mod several;
#[path = "cases/timestamps.rs"]
mod timestamps;
#[path = "cases/unsupported.rs"]
mod unsupported;

use serde_json::{Value, json};

use super::{
    case::{Case, Stored},
    world::{IDENTITY, ISSUER, Signed, World},
};

pub(crate) fn all(world: &World) -> Vec<Case> {
    let mut cases = good::cases(world);
    cases.extend(content::cases(world));
    cases.extend(several::cases(world));
    cases.extend(logs::cases(world));
    cases.extend(timestamps::cases(world));
    cases.extend(certificates::cases(world));
    cases.extend(provenance::cases(world));
    cases.extend(unsupported::cases(world));
    cases
}

/// The rules of most cases.
fn keyless() -> Value {
    json!({"identity": {"subject": IDENTITY, "issuer": ISSUER}})
}

fn keyless_without_log() -> Value {
    json!({"identity": {"subject": IDENTITY, "issuer": ISSUER}, "ignoreRekor": true})
}

fn bundle(name: &str, value: &Value, outcome: &'static str) -> Case {
    let bytes = (serde_json::to_string_pretty(value).unwrap() + "\n").into_bytes();
    Case { name: name.to_owned(), stored: Stored::Bundle(bytes), root: None, rules: keyless(), outcome, compared: None }
}

fn attestation_layer(name: &str, signed: &Signed, entry: Option<String>, outcome: &'static str) -> Case {
    let stored = Stored::Layer {
        media_type: "application/vnd.dsse.envelope.v1+json",
        annotations: signed.annotations(entry),
        blob: signed.envelope_bytes(),
    };
    Case { name: name.to_owned(), stored, root: None, rules: keyless(), outcome, compared: None }
}

fn signature_layer(name: &str, signed: &Signed, entry: Option<String>, outcome: &'static str) -> Case {
    let stored = Stored::Layer {
        media_type: "application/vnd.dev.cosign.simplesigning.v1+json",
        annotations: signed.annotations(entry),
        blob: signed.payload.clone(),
    };
    Case { name: name.to_owned(), stored, root: None, rules: keyless(), outcome, compared: None }
}

impl Case {
    fn with_root(mut self, root: Value) -> Self {
        self.root = Some(root);
        self
    }

    fn with_rules(mut self, rules: Value) -> Self {
        self.rules = rules;
        self
    }

    fn with_comparison(mut self, letters: &'static str) -> Self {
        self.compared = Some(letters);
        self
    }

    fn with_annotation(mut self, key: &str, value: String) -> Self {
        if let Stored::Layer { annotations, .. } = &mut self.stored {
            annotations.insert(key.to_owned(), value);
        }
        self
    }
}
