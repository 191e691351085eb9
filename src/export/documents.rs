//! Control documents: what the operator gave, byte for byte, and the record of
//! the collection.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use carnet_bundle::{Document, Limits, Reference, json, media};
use carnet_policy::{Images, Policy, Reading, images};
use jiff::Timestamp;
use serde_json::json;

use crate::{cli::ExportArgs, error::ExportError, proofs::Upgrade, source::Origin, sources, trust};

const SOURCE_DATE_EPOCH: &str = "SOURCE_DATE_EPOCH";

/// The files that the operator named.
pub(crate) struct Given {
    /// In the order in which they are to stand in the control manifest.
    pub(crate) documents: Vec<Document>,
    /// What images.yaml asks for.
    pub(crate) images: Images,
    /// What policy.yaml says.
    pub(crate) policy: Option<Policy>,
}

impl Given {
    /// Reads the files that `args` names.
    pub(crate) async fn read(args: &ExportArgs) -> Result<Self, ExportError> {
        let mut documents = Vec::new();
        let mut images = Images::default();
        let mut policy = None;
        if let Some(path) = &args.images {
            let bytes = read(path)?;
            let file = path.display().to_string();
            images = images::read(&[images::Document { file: &file, bytes: &bytes }], None, Reading::Strict)?;
            documents.push(document(media::IMAGES_DOCUMENT, "images.yaml".to_owned(), bytes));
        }
        if let Some(path) = &args.policy {
            let fetched = sources::document(&path.to_string_lossy()).await?;
            let bytes = fetched.map_or_else(|| read(path), Ok)?;
            policy = Some(Policy::parse(&bytes, &path.display().to_string())?);
            documents.push(document(media::POLICY_DOCUMENT, "policy.yaml".to_owned(), bytes));
        }
        for (n, path) in args.trusted_root.iter().enumerate() {
            let bytes = read(path)?;
            let material = |reason: String| ExportError::TrustMaterial { path: path.clone(), reason };
            json::parse(&bytes).map_err(|error| material(format!("not a trusted root: {error}")))?;
            documents.push(document(media::TRUSTED_ROOT, numbered("trusted_root", n, "json"), bytes));
        }
        if let Some(folder) = &args.tuf_chain {
            let given: Vec<_> = roots(&documents).collect();
            let chain = trust::chain::read(folder, &given)?;
            documents.extend(chain);
        }
        for (n, path) in args.public_key.iter().enumerate() {
            let bytes = read(path)?;
            if !is_public_pem(&bytes) {
                let reason = "not a public key in PEM form".to_owned();
                return Err(ExportError::TrustMaterial { path: path.clone(), reason });
            }
            documents.push(document(media::PUBLIC_KEY, numbered("public-key", n, "pem"), bytes));
        }
        Ok(Self { documents, images, policy })
    }

    /// The trusted roots among the documents.
    pub(crate) fn trusted_roots(&self) -> impl Iterator<Item = &[u8]> {
        roots(&self.documents)
    }

    /// The images asked for: positional arguments first, then images.yaml; equal
    /// references once.
    pub(crate) fn references(&self, positional: &[String]) -> Result<Vec<Reference>, ExportError> {
        let mut references: Vec<Reference> = positional.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
        references.extend(self.images.components.iter().map(|component| component.reference.clone()));
        let mut unique = Vec::new();
        for reference in references {
            if !unique.contains(&reference) {
                unique.push(reference);
            }
        }
        if unique.is_empty() { Err(ExportError::NoImages) } else { Ok(unique) }
    }
}

fn roots(documents: &[Document]) -> impl Iterator<Item = &[u8]> {
    let roots = documents.iter().filter(|document| document.media_type == media::TRUSTED_ROOT);
    roots.map(|document| document.bytes.as_slice())
}

/// The record of the collection, or nothing for a reproducible export.
pub(crate) fn record(args: &ExportArgs, origins: &[Origin], upgrade: Option<&Upgrade>) -> Result<Option<Document>, ExportError> {
    if args.reproducible {
        return Ok(None);
    }
    let sources: Vec<_> = origins
        .iter()
        .map(|origin| json!({ "reference": origin.reference.to_string(), "source": origin.source.kind().to_string() }))
        .collect();
    let mut record = json!({
        "schema": { "name": "carnet-collection", "major": 0, "minor": 1 },
        "tool": concat!("carnet ", env!("CARGO_PKG_VERSION")),
        "collected": collected()?.to_string(),
        "sources": sources,
        "options": {
            "allowHttpRegistry": args.network.allow_http_registry,
            "allowIncomplete": args.allow_incomplete,
            "allowInsecureRegistry": args.network.allow_insecure_registry,
            "includeForeign": args.include_foreign,
            "layers": args.layers.to_string(),
        },
    });
    let platforms: Vec<_> = args.platform.iter().map(ToString::to_string).collect();
    for (name, values) in [
        ("evidenceRepositories", args.evidence_repository.as_slice()),
        ("platforms", &platforms),
        ("tagPrefixes", &args.tag_prefix),
    ] {
        if !values.is_empty() {
            record["options"][name] = values.join(",").into();
        }
    }
    if let Some(upgrade) = upgrade {
        let unproved: Vec<_> =
            upgrade.unproved.iter().map(|entry| json!({ "leaf": entry.leaf, "reason": entry.reason })).collect();
        record["proofs"] = json!({ "fetched": upgrade.proved, "unproved": unproved });
    }
    let bytes = json::canonical(&record).map_err(carnet_bundle::PlanError::from)?;
    Ok(Some(document(media::COLLECTION_RECORD, "collection.json".to_owned(), bytes)))
}

/// The time that the record states: `SOURCE_DATE_EPOCH` when it is set
/// (reproducible-builds.org), else the clock.
fn collected() -> Result<Timestamp, ExportError> {
    let Some(value) = env::var_os(SOURCE_DATE_EPOCH) else { return Ok(Timestamp::now()) };
    let value = value.to_string_lossy().into_owned();
    let seconds = value.parse().ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    seconds.ok_or(ExportError::SourceDateEpoch { variable: SOURCE_DATE_EPOCH, value })
}

/// Reads a small file of the operator.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, ExportError> {
    read_up_to(path, Limits::default().manifest_size)
}

/// Reads a file of the operator of at most `bound` bytes.
pub(crate) fn read_up_to(path: &Path, bound: u64) -> Result<Vec<u8>, ExportError> {
    let unreadable = |source| ExportError::Document { path: path.to_owned(), source };
    if fs::metadata(path).map_err(unreadable)?.len() > bound {
        return Err(ExportError::DocumentSize { path: PathBuf::from(path), bound });
    }
    fs::read(path).map_err(unreadable)
}

fn document(media_type: &str, title: String, bytes: Vec<u8>) -> Document {
    Document { media_type: media_type.to_owned(), title, bytes }
}

/// `stem.extension`, then `stem-2.extension`: titles of documents of one sort.
pub(crate) fn numbered(stem: &str, n: usize, extension: &str) -> String {
    match n {
        0 => format!("{stem}.{extension}"),
        n => format!("{stem}-{}.{extension}", n + 1),
    }
}

/// A private key would travel in the clear.
fn is_public_pem(bytes: &[u8]) -> bool {
    let has = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
    has(b"-----BEGIN ") && !has(b"PRIVATE KEY")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_keys_are_not_taken_for_public_ones() {
        assert!(is_public_pem(b"-----BEGIN PUBLIC KEY-----\n"));
        assert!(!is_public_pem(b"-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n"));
        assert!(!is_public_pem(b"k8s://ns/key"));
    }

    #[test]
    fn titles_count_from_two() {
        assert_eq!([0, 1].map(|n| numbered("public-key", n, "pem")), ["public-key.pem", "public-key-2.pem"]);
    }
}
