//! From a recorded lookup and its bytes to the answer, the same when it is heard
//! and when it is read again.

use carnet_bundle::{
    Digest, Lookup, Reference, json,
    lookups::{Ask, LookupResult, read_referrers},
    manifest::Descriptor,
    media,
};
use carnet_policy::rego::{Answer, Head, LookupError, ManifestBytes, Question, Referrer};
use serde_json::Value;

/// What a tag stands for, as recorded. The manifest itself says whether the
/// record speaks the truth about it, see [`agree`].
///
/// # Errors
///
/// Returns a [`LookupError`] when nothing is known.
pub fn resolve(lookup: &Lookup, tag: &Reference) -> Result<Answer<Head>, LookupError> {
    let question = Question::Head(tag.clone());
    match (lookup.result, &lookup.media_type, lookup.digest, lookup.size) {
        (LookupResult::Answered, Some(media_type), Some(digest), Some(size)) => {
            Ok(Answer::Found(Head { media_type: media_type.clone(), digest, size }))
        }
        (LookupResult::Answered, ..) => Err(tampered(question, "an answer without digest, size or media type".to_owned())),
        _ => without(lookup, question),
    }
}

/// The manifest of a digest.
///
/// # Errors
///
/// Returns a [`LookupError`] when nothing is known, and when record, bytes and
/// digest do not agree.
pub fn manifest(lookup: &Lookup, pinned: &Reference, bytes: Option<&[u8]>) -> Result<Answer<ManifestBytes>, LookupError> {
    let question = Question::Manifest(pinned.clone());
    let bytes = match content(lookup, &question, pinned.digest(), bytes)? {
        Answer::Found(bytes) => bytes,
        Answer::NotFound => return Ok(Answer::NotFound),
        Answer::Refused(reason) => return Ok(Answer::Refused(reason)),
    };
    let media_type = lookup.media_type.clone().unwrap_or_default();
    match shape_mismatch(bytes, &media_type) {
        Some(reason) => Err(tampered(question, reason)),
        None => Ok(Answer::Found(ManifestBytes { media_type, bytes: bytes.to_vec() })),
    }
}

/// The blob of a digest.
///
/// # Errors
///
/// As [`manifest`].
pub fn blob(lookup: &Lookup, pinned: &Reference, bytes: Option<&[u8]>) -> Result<Answer<Vec<u8>>, LookupError> {
    let found = content(lookup, &Question::Blob(pinned.clone()), pinned.digest(), bytes)?;
    Ok(match found {
        Answer::Found(bytes) => Answer::Found(bytes.to_vec()),
        Answer::NotFound => Answer::NotFound,
        Answer::Refused(reason) => Answer::Refused(reason),
    })
}

/// The list of manifests about a digest; `bytes` are those of the list.
///
/// # Errors
///
/// As [`manifest`].
pub fn referrers(lookup: &Lookup, pinned: &Reference, bytes: Option<&[u8]>) -> Result<Answer<Vec<Referrer>>, LookupError> {
    let question = Question::Referrers(pinned.clone());
    let bytes = match content(lookup, &question, lookup.digest.as_ref(), bytes)? {
        Answer::Found(bytes) => bytes,
        Answer::NotFound => return Ok(Answer::NotFound),
        Answer::Refused(reason) => return Ok(Answer::Refused(reason)),
    };
    match read_referrers(bytes) {
        Ok(listed) => Ok(Answer::Found(listed.into_iter().map(referrer).collect())),
        Err(error) => Err(tampered(question, format!("the list cannot be read: {error}"))),
    }
}

/// Holds what a tag is said to stand for against the manifest itself.
///
/// # Errors
///
/// Returns [`LookupError::Tampered`] with both sides when they differ.
pub fn agree(tag: &Reference, head: &Head, manifest: &ManifestBytes) -> Result<(), LookupError> {
    let size = count(&manifest.bytes);
    if head.size == size && head.media_type == manifest.media_type {
        return Ok(());
    }
    let reason = format!(
        "recorded as {} of {} bytes, its manifest is {} of {size} bytes",
        head.media_type, head.size, manifest.media_type
    );
    Err(tampered(Question::Head(tag.clone()), reason))
}

/// The media type that the document itself gives, if it is a manifest's.
pub fn own_media_type(bytes: &[u8]) -> Option<String> {
    let document = json::parse(bytes).ok()?;
    document.get("mediaType").and_then(Value::as_str).filter(|own| media::is_manifest(own)).map(str::to_owned)
}

/// Whether repeating the question another day may bring another answer.
pub fn is_out_of_reach(status: Option<u16>) -> bool {
    !matches!(status, Some(status) if status < 500 && status != 408 && status != 429)
}

pub(super) fn tampered(question: Question, reason: String) -> LookupError {
    LookupError::Tampered { question: Box::new(question), reason }
}

fn content<'b>(
    lookup: &Lookup,
    question: &Question,
    want: Option<&Digest>,
    bytes: Option<&'b [u8]>,
) -> Result<Answer<&'b [u8]>, LookupError> {
    if lookup.result != LookupResult::Answered {
        return without(lookup, question.clone());
    }
    let tampered = |reason: String| Err(tampered(question.clone(), reason));
    let (Some(digest), Some(size), Some(want)) = (lookup.digest, lookup.size, want) else {
        return tampered("an answer without digest or size".to_owned());
    };
    if digest != *want {
        return tampered(format!("digest mismatch: the recorded answer is {digest}, want {want}"));
    }
    let Some(bytes) = bytes else {
        return tampered(format!("the recorded answer {digest} ({size} bytes) is not carried"));
    };
    let got = Digest::of(bytes);
    if got != digest {
        return tampered(format!("digest mismatch: got {got}, want {digest}"));
    }
    if count(bytes) != size {
        return tampered(format!("size mismatch for {digest}: got {} bytes, want {size} as recorded", bytes.len()));
    }
    Ok(Answer::Found(bytes))
}

fn without<T>(lookup: &Lookup, question: Question) -> Result<Answer<T>, LookupError> {
    match (lookup.result, lookup.status) {
        (LookupResult::None, _) => Ok(Answer::NotFound),
        (_, Some(status)) if !is_out_of_reach(lookup.status) => Ok(Answer::Refused(format!("HTTP status {status}"))),
        (_, status) => {
            let status = status.map_or_else(String::new, |status| format!(", HTTP status {status}"));
            Err(LookupError::Unreachable {
                question: Box::new(question),
                reason: format!("could not be looked at when the bundle was made{status}"),
            })
        }
    }
}

/// A manifest that is of another type than the registry called it (the document's
/// own word counts), or an index that is called an image.
fn shape_mismatch(bytes: &[u8], media_type: &str) -> Option<String> {
    let document = match json::parse(bytes) {
        Ok(document) => document,
        Err(error) => return Some(format!("not a manifest: {error}")),
    };
    match document.get("mediaType").and_then(Value::as_str) {
        Some(own) if own != media_type => Some(format!("media type mismatch: the document says {own}, the record {media_type}")),
        None if media::is_index(media_type) != document.get("manifests").is_some() => {
            Some(format!("media type mismatch: the document is not of the recorded type {media_type}"))
        }
        _ => None,
    }
}

fn referrer(descriptor: Descriptor) -> Referrer {
    Referrer {
        media_type: descriptor.media_type,
        size: descriptor.size,
        digest: descriptor.digest.to_string(),
        artifact_type: descriptor.artifact_type.unwrap_or_default(),
        annotations: descriptor.annotations,
    }
}

fn count(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

/// The question of the engine that a recorded one answers.
pub(super) fn question(ask: Ask, reference: &Reference) -> Question {
    match ask {
        Ask::Blob => Question::Blob(reference.clone()),
        Ask::Manifest => Question::Manifest(reference.clone()),
        Ask::Referrers => Question::Referrers(reference.clone()),
        Ask::Resolve => Question::Head(reference.clone()),
    }
}
