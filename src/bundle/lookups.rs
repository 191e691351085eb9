//! Recorded lookups: what a policy asked registries for while the bundle was
//! made, and what they answered (`bundle-spec/policy.md` §6).
//!
//! Only what a registry itself says is recorded. A manifest or blob asked for by
//! digest proves itself by its bytes; every other answer is the exporter's word.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{
    digest::Digest,
    inventory::{EvidenceEntry, Schema, Subject},
    json::{self as strict, JsonError},
    manifest::{Descriptor, Manifest, ManifestError},
    media,
    reference::Reference,
};

/// Name that every lookups document gives itself.
pub const SCHEMA_NAME: &str = "carnet-lookups";
/// Minor version that this reader knows in full.
pub const SCHEMA_MINOR: u32 = 1;
/// File name of the document in the control manifest.
pub const TITLE: &str = "lookups.json";

/// The questions that were asked, each once, with their answers.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Lookups(BTreeMap<(Ask, String), Lookup>);

/// One question and its answer. Nothing in it is believed for being recorded.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Lookup {
    /// What was asked.
    pub ask: Ask,
    /// What it was asked about, in full form: a tag for [`Ask::Resolve`], else a
    /// digest.
    pub reference: String,
    /// What sort of answer came.
    pub result: LookupResult,
    /// HTTP status of the decisive answer, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Media type of the manifest that was answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// Digest of the answer's bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Size of the answer's bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}

/// The questions that a registry can be asked.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Ask {
    /// The blob of this digest in this repository.
    Blob,
    /// The manifest of this digest in this repository.
    Manifest,
    /// The list of manifests about this digest in this repository: all pages of
    /// the referrers API and the fallback tag, merged.
    Referrers,
    /// What this tag stands for.
    Resolve,
}

/// The sorts of answers. They are never merged.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LookupResult {
    /// Something, whose digest and size are recorded.
    Answered,
    /// Refused, not understood or out of reach: nothing is known.
    CouldNotLook,
    /// A definite negative.
    None,
}

/// Why a lookups document cannot be relied on.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LookupsError {
    /// A feature that the document calls critical is unknown to this reader.
    #[error("lookups.json needs a newer carnet: unknown critical feature {0:?}")]
    Critical(String),
    /// An entry that is not of its kind's shape.
    #[error("lookups.json: {ask} of {reference:?}: {reason}")]
    Entry {
        /// What was asked.
        ask: Ask,
        /// What it was asked about, as written.
        reference: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Not strict JSON, or not of the document's shape.
    #[error("lookups.json: {0}")]
    Json(#[from] JsonError),
    /// Not the one RFC 8785 form.
    #[error("lookups.json is not in RFC 8785 form")]
    NotCanonical,
    /// A question stands before or beside an equal or smaller one.
    #[error("lookups.json: {ask} of {reference:?} is out of order or stands twice")]
    Order {
        /// What was asked.
        ask: Ask,
        /// What it was asked about.
        reference: String,
    },
    /// Another document or major version.
    #[error("unsupported document {0}")]
    Unsupported(String),
}

impl Lookups {
    /// Reads a lookups document.
    ///
    /// # Errors
    ///
    /// Returns a [`LookupsError`] for anything but the one canonical form.
    pub fn read(bytes: &[u8]) -> Result<Self, LookupsError> {
        let value = strict::parse(bytes)?;
        if strict::canonical(&value)? != bytes {
            return Err(LookupsError::NotCanonical);
        }
        let document: Document = strict::from_value(value)?;
        if let Some(feature) = document.critical.first() {
            return Err(LookupsError::Critical(feature.clone()));
        }
        if document.schema.name != SCHEMA_NAME || document.schema.major != 0 {
            return Err(LookupsError::Unsupported(format!("{} {}", document.schema.name, document.schema.major)));
        }
        let mut lookups = Self::default();
        for lookup in document.lookups {
            lookup.check()?;
            let last = lookups.0.last_key_value().map(|(key, _)| key);
            if last.is_some_and(|(ask, reference)| (*ask, reference) >= (lookup.ask, &lookup.reference)) {
                return Err(LookupsError::Order { ask: lookup.ask, reference: lookup.reference });
            }
            lookups.0.insert((lookup.ask, lookup.reference.clone()), lookup);
        }
        Ok(lookups)
    }

    /// Writes the document in its one form.
    ///
    /// # Errors
    ///
    /// None in practice; serialisation is fallible.
    pub fn write(&self) -> Result<Vec<u8>, JsonError> {
        let schema = Schema { name: SCHEMA_NAME.to_owned(), major: 0, minor: SCHEMA_MINOR };
        strict::canonical(&Document { schema, critical: Vec::new(), lookups: self.iter().cloned().collect() })
    }

    /// The answer to a question, if it was asked.
    pub fn get(&self, ask: Ask, reference: &Reference) -> Option<&Lookup> {
        self.0.get(&(ask, reference.to_string()))
    }

    /// Notes an answer. The first answer to a question stays.
    pub fn insert(&mut self, lookup: Lookup) {
        self.0.entry((lookup.ask, lookup.reference.clone())).or_insert(lookup);
    }

    /// Every question with its answer, sorted by question.
    pub fn iter(&self) -> impl Iterator<Item = &Lookup> {
        self.0.values()
    }

    /// Whether nothing was asked.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Lookup {
    /// An answer without content.
    pub fn without(ask: Ask, reference: &Reference, result: LookupResult, status: Option<u16>) -> Self {
        Self { ask, reference: reference.to_string(), result, status, media_type: None, digest: None, size: None }
    }

    /// An answer with content; `media_type` for manifests.
    pub fn answered(ask: Ask, reference: &Reference, status: Option<u16>, media_type: Option<String>, bytes: &[u8]) -> Self {
        Self {
            media_type,
            digest: Some(Digest::of(bytes)),
            size: Some(u64::try_from(bytes.len()).unwrap_or(u64::MAX)),
            ..Self::without(ask, reference, LookupResult::Answered, status)
        }
    }

    /// Holds the entry to the shape of its kind. Whether an answer by digest has
    /// that digest is asked where its bytes are.
    fn check(&self) -> Result<(), LookupsError> {
        let wrong = |reason| Err(LookupsError::Entry { ask: self.ask, reference: self.reference.clone(), reason });
        let reference = match self.reference.parse::<Reference>() {
            Ok(reference) if reference.to_string() == self.reference => reference,
            _ => return wrong("the reference is not in full form"),
        };
        match (self.ask, reference.tag(), reference.digest()) {
            (Ask::Resolve, Some(_), None) | (Ask::Blob | Ask::Manifest | Ask::Referrers, None, Some(_)) => {}
            (Ask::Resolve, ..) => return wrong("want a tag and no digest"),
            _ => return wrong("want a digest and no tag"),
        }
        let is_manifest = matches!(self.ask, Ask::Manifest | Ask::Resolve);
        let content = (self.digest.is_some(), self.size.is_some(), self.media_type.is_some());
        match (self.result, content) {
            (LookupResult::Answered, (true, true, has_type)) if has_type == is_manifest => Ok(()),
            (LookupResult::Answered, _) => wrong("an answer has a digest and a size, and a manifest has a media type"),
            (_, (false, false, false)) => Ok(()),
            _ => wrong("only an answer has content"),
        }
    }
}

impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Blob => "blob",
            Self::Manifest => "manifest",
            Self::Referrers => "referrers",
            Self::Resolve => "resolve",
        })
    }
}

#[derive(Deserialize, Serialize)]
struct Document {
    schema: Schema,
    critical: Vec<String>,
    lookups: Vec<Lookup>,
}

/// Writes a list of referrers as the one document that stands for it: an index,
/// its entries sorted by digest, each once.
///
/// # Errors
///
/// None in practice; serialisation is fallible.
pub fn write_referrers<'d>(listed: impl IntoIterator<Item = &'d Descriptor>) -> Result<Vec<u8>, JsonError> {
    let mut by_digest: BTreeMap<Digest, Value> = BTreeMap::new();
    for descriptor in listed {
        by_digest.entry(descriptor.digest).or_insert_with(|| entry(descriptor));
    }
    let manifests: Vec<Value> = by_digest.into_values().collect();
    strict::canonical(&json!({ "schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": manifests }))
}

/// Reads what [`write_referrers`] wrote.
///
/// # Errors
///
/// Returns a [`ManifestError`] for anything but an index.
pub fn read_referrers(bytes: &[u8]) -> Result<Vec<Descriptor>, ManifestError> {
    Ok(Manifest::parse(bytes, media::OCI_INDEX)?.children().to_vec())
}

fn entry(descriptor: &Descriptor) -> Value {
    let mut entry = Map::new();
    entry.insert("mediaType".to_owned(), descriptor.media_type.clone().into());
    entry.insert("digest".to_owned(), descriptor.digest.to_string().into());
    entry.insert("size".to_owned(), descriptor.size.into());
    if let Some(artifact_type) = &descriptor.artifact_type {
        entry.insert("artifactType".to_owned(), artifact_type.clone().into());
    }
    if !descriptor.annotations.is_empty() {
        entry.insert("annotations".to_owned(), json!(descriptor.annotations));
    }
    Value::Object(entry)
}

/// Which repository holds which content, by what was collected from it.
#[derive(Clone, Debug, Default)]
pub struct Places(BTreeMap<String, BTreeSet<Digest>>);

impl Places {
    /// Follows images and evidence down to their blobs; `manifest` hands out the
    /// manifests at hand.
    pub fn new(subjects: &[Subject], evidence: &[EvidenceEntry], manifest: &dyn Fn(&Digest) -> Option<Manifest>) -> Self {
        let mut places = Self::default();
        for subject in subjects {
            if let Ok(reference) = subject.reference.parse::<Reference>() {
                places.add(reference.name(), subject.digest, manifest);
            }
        }
        for entry in evidence {
            for place in &entry.found_in {
                places.add(place.repository.clone(), entry.digest, manifest);
            }
        }
        places
    }

    /// Whether this content was collected from the repository of `reference`.
    pub fn has(&self, reference: &Reference, digest: &Digest) -> bool {
        self.0.get(&reference.name()).is_some_and(|held| held.contains(digest))
    }

    fn add(&mut self, repository: String, root: Digest, manifest: &dyn Fn(&Digest) -> Option<Manifest>) {
        let held = self.0.entry(repository).or_default();
        let mut waiting = vec![root];
        while let Some(digest) = waiting.pop() {
            if !held.insert(digest) {
                continue;
            }
            if let Some(manifest) = manifest(&digest) {
                waiting.extend(manifest.children().iter().map(|child| child.digest));
                held.extend(manifest.config().into_iter().chain(manifest.layers()).map(|blob| blob.digest));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAG: &str = "registry.example/app:v1";

    fn pinned(bytes: &[u8]) -> Reference {
        TAG.parse::<Reference>().unwrap().pinned(Digest::of(bytes))
    }

    fn sample() -> Lookups {
        let mut lookups = Lookups::default();
        let tag: Reference = TAG.parse().unwrap();
        let media_type = Some(media::OCI_MANIFEST.to_owned());
        lookups.insert(Lookup::answered(Ask::Resolve, &tag, Some(200), media_type, b"manifest"));
        lookups.insert(Lookup::answered(Ask::Blob, &pinned(b"blob"), Some(200), None, b"blob"));
        lookups.insert(Lookup::without(Ask::Referrers, &pinned(b"blob"), LookupResult::None, Some(404)));
        lookups.insert(Lookup::without(Ask::Manifest, &pinned(b"blob"), LookupResult::CouldNotLook, None));
        lookups
    }

    #[test]
    fn a_document_is_read_as_it_was_written() {
        let bytes = sample().write().unwrap();
        let read = Lookups::read(&bytes).unwrap();
        assert_eq!(read, sample());
        let asks: Vec<_> = read.iter().map(|lookup| lookup.ask).collect();
        assert_eq!(asks, [Ask::Blob, Ask::Manifest, Ask::Referrers, Ask::Resolve]);
        assert_eq!(read.get(Ask::Blob, &pinned(b"blob")).unwrap().size, Some(4));
        assert_eq!(read.get(Ask::Blob, &pinned(b"other")), None);
    }

    #[test]
    fn the_first_answer_stays() {
        let mut lookups = sample();
        lookups.insert(Lookup::without(Ask::Blob, &pinned(b"blob"), LookupResult::None, Some(404)));
        assert_eq!(lookups, sample());
    }

    #[test]
    fn other_documents_are_refused_with_the_reason() {
        let text = String::from_utf8(sample().write().unwrap()).unwrap();
        let digest = Digest::of(b"blob").to_string();
        let blob = format!("app@{digest}\",\"result\":\"answered\"");
        for (from, to, reason) in [
            ("\"critical\":[]", "\"critical\":[\"x\"]", "needs a newer carnet: unknown critical feature \"x\""),
            ("\"critical\":[]", "\"critical\": []", "not in RFC 8785 form"),
            ("\"major\":0", "\"major\":1", "unsupported document carnet-lookups 1"),
            ("carnet-lookups", "carnet-list", "unsupported document carnet-list 0"),
            ("app:v1", "app", "the reference is not in full form"),
            ("app:v1", "app:v1@sha256:12", "the reference is not in full form"),
            (TAG, &format!("registry.example/app@{digest}"), "want a tag and no digest"),
            (&blob, "app:v1\",\"result\":\"answered\"", "want a digest and no tag"),
            (&blob, &format!("app@{digest}\",\"result\":\"none\""), "only an answer has content"),
            ("\"status\":404", "\"size\":1,\"status\":404", "only an answer has content"),
            ("\"size\":4,", "", "an answer has a digest and a size"),
            ("\"answered\",\"size\":8", "\"found\",\"size\":8", "unknown variant"),
            ("\"ask\":\"resolve\"", "\"ask\":\"blob\"", "want a digest and no tag"),
            ("\"ask\":\"referrers\"", "\"ask\":\"blob\"", "is out of order or stands twice"),
        ] {
            let changed = text.replacen(from, to, 1);
            assert_ne!(changed, text, "{from}");
            let error = Lookups::read(changed.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(reason), "{to}: {error}");
        }
        assert!(matches!(Lookups::read(b"{"), Err(LookupsError::Json(_))));
    }

    #[test]
    fn a_list_of_referrers_has_one_form() {
        let descriptor = |bytes: &[u8], artifact_type: Option<&str>| Descriptor {
            media_type: media::OCI_MANIFEST.to_owned(),
            digest: Digest::of(bytes),
            size: 1,
            artifact_type: artifact_type.map(str::to_owned),
            annotations: BTreeMap::from([("a".to_owned(), "b".to_owned())]),
            platform: None,
            urls: Vec::new(),
        };
        let (one, other) = (descriptor(b"1", Some("x")), descriptor(b"2", None));
        let repeated = descriptor(b"1", None);
        let forth = write_referrers([&one, &other, &repeated]).unwrap();
        assert_eq!(forth, write_referrers([&other, &one]).unwrap());
        let read = read_referrers(&forth).unwrap();
        assert!(read.is_sorted_by_key(|descriptor| descriptor.digest));
        assert_eq!(read.len(), 2);
        assert!(read.contains(&one) && read.contains(&other));
    }

    #[test]
    fn places_reach_from_a_repository_to_the_blobs_below_it() {
        let (config, layer) = (Digest::of(b"config"), Digest::of(b"layer"));
        let manifest = json!({
            "schemaVersion": 2, "mediaType": media::OCI_MANIFEST,
            "config": {"mediaType": media::OCI_CONFIG, "digest": config, "size": 6},
            "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer, "size": 5}],
        })
        .to_string();
        let root = Digest::of(manifest.as_bytes());
        let find = |digest: &Digest| (*digest == root).then(|| Manifest::parse(manifest.as_bytes(), media::OCI_MANIFEST).ok());
        let subject = Subject {
            reference: TAG.to_owned(),
            digest: root,
            media_type: media::OCI_MANIFEST.to_owned(),
            size: 1,
            children: Vec::new(),
        };
        let places = Places::new(&[subject], &[], &|digest| find(digest).flatten());
        let here: Reference = TAG.parse().unwrap();
        let there: Reference = "registry.example/other:v1".parse().unwrap();
        for digest in [root, config, layer] {
            assert!(places.has(&here, &digest) && !places.has(&there, &digest), "{digest}");
        }
        assert!(!places.has(&here, &Digest::of(b"other")));
    }
}
