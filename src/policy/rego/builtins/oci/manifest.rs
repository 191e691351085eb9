//! Manifests as rules see them: every member present, whatever was written.

use carnet_bundle::{Digest, Reference};
use regorus::Value;
use serde_json::{Map, Value as Json, json};

use super::{Failure, Question, Session, found};
use crate::rego::builtins::Answer;

/// A parsed manifest or index.
pub(super) struct Document(Map<String, Json>);

/// Fetches what stands under a reference.
pub(super) fn fetch(session: &Session, reference: &Reference) -> Result<Document, Failure> {
    let question = Question::Manifest(reference.clone());
    let answer = found(session.manifest(reference), question)?;
    match carnet_bundle::json::parse(&answer.bytes) {
        Ok(Json::Object(mut members)) => {
            members.entry("mediaType").or_insert_with(|| answer.media_type.into());
            Ok(Document(members))
        }
        Ok(_) => Err(Failure::Undefined(format!("{reference}: the manifest is not an object"))),
        Err(e) => Err(Failure::Undefined(format!("{reference}: {e}"))),
    }
}

/// Fetches an image manifest; of an index the child for linux/amd64.
pub(super) fn image(session: &Session, reference: &Reference) -> Result<(Reference, Document), Failure> {
    let document = fetch(session, reference)?;
    if !document.is_index() {
        return Ok((reference.clone(), document));
    }
    let child = document
        .child()
        .ok_or_else(|| Failure::Undefined(format!("{reference}: no child with platform linux/amd64 in index")))?;
    let reference = reference.pinned(child);
    let document = fetch(session, &reference)?;
    Ok((reference, document))
}

impl Document {
    fn is_index(&self) -> bool {
        self.0.contains_key("manifests") && !self.0.contains_key("config")
    }

    fn child(&self) -> Option<Digest> {
        let manifests = self.0.get("manifests")?.as_array()?;
        let is_wanted = |entry: &&Json| {
            let platform = &entry["platform"];
            platform["os"] == "linux" && platform["architecture"] == "amd64"
        };
        manifests.iter().find(is_wanted)?["digest"].as_str()?.parse().ok()
    }

    /// Digests of the layers, lowest first.
    pub(super) fn layers(&self) -> Result<Vec<Digest>, Failure> {
        let layers = self.0.get("layers").and_then(Json::as_array).into_iter().flatten();
        let digest = |layer: &Json| layer["digest"].as_str().and_then(|text| text.parse().ok());
        layers.map(|layer| digest(layer).ok_or_else(|| Failure::Undefined("a layer has no digest".to_owned()))).collect()
    }

    pub(super) fn value(&self) -> Answer {
        let list = |name: &str| -> Json { self.0.get(name).and_then(Json::as_array).into_iter().flatten().map(filled).collect() };
        let mut value = json!({
            "schemaVersion": self.0.get("schemaVersion").cloned().unwrap_or(0.into()),
            "mediaType": self.0.get("mediaType"),
            "config": filled(self.0.get("config").unwrap_or(&Json::Null)),
            "layers": list("layers"),
            "annotations": annotations(self.0.get("annotations")),
        });
        self.subject(&mut value);
        Ok(Value::from(value))
    }

    pub(super) fn index_value(&self) -> Answer {
        if !self.is_index() {
            return Err(Failure::Undefined("not an image index".to_owned()));
        }
        let manifests: Json = self.0.get("manifests").and_then(Json::as_array).into_iter().flatten().map(filled).collect();
        let mut value = json!({
            "schemaVersion": self.0.get("schemaVersion").cloned().unwrap_or(0.into()),
            "mediaType": self.0.get("mediaType"),
            "manifests": manifests,
            "annotations": annotations(self.0.get("annotations")),
        });
        self.subject(&mut value);
        Ok(Value::from(value))
    }

    fn subject(&self, value: &mut Json) {
        if let Some(subject) = self.0.get("subject") {
            value["subject"] = filled(subject);
        }
    }
}

/// A descriptor of which only these three are known.
pub(super) fn descriptor(media_type: &str, size: u64, digest: &str) -> Value {
    Value::from(filled(&json!({"mediaType": media_type, "size": size, "digest": digest})))
}

/// A descriptor with every member.
fn filled(descriptor: &Json) -> Json {
    let text = |name: &str| descriptor[name].as_str().unwrap_or_default().to_owned();
    let mut filled = json!({
        "mediaType": text("mediaType"),
        "size": descriptor["size"].as_u64().unwrap_or(0),
        "digest": text("digest"),
        "data": text("data"),
        "urls": descriptor["urls"].as_array().cloned().unwrap_or_default(),
        "annotations": annotations(descriptor.get("annotations")),
        "artifactType": text("artifactType"),
    });
    if let Some(platform @ Json::Object(_)) = descriptor.get("platform") {
        let text = |name: &str| platform[name].as_str().unwrap_or_default().to_owned();
        let list = |name: &str| platform[name].as_array().cloned().unwrap_or_default();
        filled["platform"] = json!({
            "architecture": text("architecture"),
            "os": text("os"),
            "os.version": text("os.version"),
            "os.features": list("os.features"),
            "variant": text("variant"),
            "features": list("features"),
        });
    }
    filled
}

fn annotations(value: Option<&Json>) -> Json {
    match value {
        Some(Json::Object(members)) => Json::Object(members.clone()),
        _ => Json::Object(Map::new()),
    }
}
