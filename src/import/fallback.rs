//! The fallback tag (OCI distribution-spec 1.1, "Referrers tag schema"): the list of
//! referrers where a registry keeps none.
//!
//! Whether a registry keeps one is seen by asking it for the list. The tag is read,
//! added to and written back; entries of others stay as they are. Two clients that
//! do so at once can lose an entry, so it is read once more.

use std::collections::BTreeSet;

use carnet_bundle::{Bundle, Digest, Reference, derive, json, media};
use carnet_registry::Answer;
use serde_json::{Value, json};

use crate::{
    delivery::Writer,
    error::ImportError,
    receipt::{How, What},
    vsa::Signed,
};

const ATTEMPTS: usize = 5;

/// What refers to one subject.
pub(crate) struct List {
    subject: Digest,
    entries: Vec<Value>,
}

/// The lists of all subjects among `listed`.
pub(crate) fn lists(bundle: &Bundle, listed: &BTreeSet<&Digest>, signed: &[&Signed]) -> Result<Vec<List>, ImportError> {
    let mut lists = Vec::new();
    for index in derive::fallback_indexes(bundle.tree())?.into_iter().filter(|index| listed.contains(&index.subject)) {
        let entries = entries(&json::parse(&index.bytes)?);
        lists.push(List { subject: index.subject, entries });
    }
    for signed in signed {
        match lists.iter_mut().find(|list| list.subject == signed.subject) {
            Some(list) => list.entries.push(signed.entry()),
            None => lists.push(List { subject: signed.subject, entries: vec![signed.entry()] }),
        }
    }
    Ok(lists)
}

/// Writes the fallback tag of `list` unless the registry lists everything itself.
pub(crate) async fn maintain(writer: &mut Writer<'_>, repository: &Reference, list: &List) -> Result<(), ImportError> {
    if is_listed(writer, repository, list).await? {
        return Ok(());
    }
    let reference = repository.tagged(format!("sha256-{}", list.subject.to_hex()));
    let mut sent = false;
    for _ in 0..ATTEMPTS {
        let (document, digest) = read(writer, &reference, list).await?;
        let have: BTreeSet<String> = entries(&document).iter().filter_map(digest_of).collect();
        let missing: Vec<&Value> =
            list.entries.iter().filter(|entry| digest_of(entry).is_some_and(|d| !have.contains(&d))).collect();
        if missing.is_empty() {
            let how = if sent { How::Sent } else { How::Present };
            writer.receipt.write(What::FallbackTag, reference.to_string(), digest, how);
            return Ok(());
        }
        let bytes = json::canonical(&with(document, missing))?;
        if writer.is_dry() {
            writer.receipt.write(What::FallbackTag, reference.to_string(), Digest::of(&bytes), How::Planned);
            return Ok(());
        }
        writer.put_bytes(&reference, media::OCI_INDEX, bytes.into()).await?;
        sent = true;
    }
    Err(ImportError::FallbackRace { tag: reference.to_string() })
}

/// Whether the registry's own list has every entry.
async fn is_listed(writer: &Writer<'_>, repository: &Reference, list: &List) -> Result<bool, ImportError> {
    match writer.pusher.registry().referrers(repository, &list.subject).await {
        Answer::Found(referrers) => {
            let have: BTreeSet<String> = referrers.manifests.iter().map(|d| d.digest.to_string()).collect();
            // A dry run has written nothing: that there is a list is the answer.
            Ok(writer.is_dry() || list.entries.iter().filter_map(digest_of).all(|digest| have.contains(&digest)))
        }
        Answer::None { .. } | Answer::NotOffered { .. } => Ok(false),
        Answer::CouldNotLook(obstacle) => {
            Err(ImportError::Look { what: format!("the referrers of {}", repository.pinned(list.subject)), obstacle })
        }
    }
}

/// What stands under the tag: an index, or an empty one. Anything else is somebody's
/// own tag.
async fn read(writer: &Writer<'_>, reference: &Reference, list: &List) -> Result<(Value, Digest), ImportError> {
    match writer.pusher.registry().manifest(reference).await {
        Answer::None { .. } | Answer::NotOffered { .. } => {
            let empty = json!({ "schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": [] });
            Ok((empty, Digest::of(b"")))
        }
        Answer::Found(manifest) => match json::parse(&manifest.bytes) {
            Ok(document) if manifest.media_type == media::OCI_INDEX && document.get("manifests").is_some_and(Value::is_array) => {
                // Some registries answer with the subject itself.
                match manifest.digest == list.subject {
                    true => Err(ImportError::Fallback { tag: reference.to_string(), subject: list.subject }),
                    false => Ok((document, manifest.digest)),
                }
            }
            _ => Err(ImportError::Fallback { tag: reference.to_string(), subject: list.subject }),
        },
        Answer::CouldNotLook(obstacle) => Err(ImportError::Look { what: reference.to_string(), obstacle }),
    }
}

/// The document with more entries, all by digest.
fn with(mut document: Value, missing: Vec<&Value>) -> Value {
    if let Some(manifests) = document.get_mut("manifests").and_then(Value::as_array_mut) {
        manifests.extend(missing.into_iter().cloned());
        manifests.sort_by_key(digest_of);
    }
    document
}

fn entries(index: &Value) -> Vec<Value> {
    index.get("manifests").and_then(Value::as_array).cloned().unwrap_or_default()
}

fn digest_of(entry: &Value) -> Option<String> {
    entry.get("digest").and_then(Value::as_str).map(str::to_owned)
}
