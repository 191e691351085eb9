//! The questions as requests to whoever answers for a repository.

use std::sync::Arc;

use carnet_bundle::{Descriptor, Digest, Manifest, Reference, inventory::Method, json};
use carnet_registry::{Answer, BlobError, BlobStream, Obstacle, ObstacleKind, RemoteManifest};

use crate::source::{Source, fallback_tag};

/// Rules ask for blobs by digest alone. No blob is of this size, so a stream that
/// is held to it says at its end how long it was.
const UNKNOWN_SIZE: u64 = u64::MAX;
const NOT_THERE: Answer<Vec<u8>> = Answer::None { status: None };

/// What a tag stands for. Cosign's legacy tags have other ways to be found in a
/// layout.
pub(super) async fn resolve(source: Arc<dyn Source>, tag: Reference) -> Answer<RemoteManifest> {
    let Some((subject, method)) = tag.tag().and_then(legacy) else { return source.manifest(&tag).await };
    let found = source.legacy(&tag, &subject, method, "").await;
    found.and_then(|manifests| match manifests.into_iter().next() {
        Some(first) => Answer::Found(first),
        None => Answer::None { status: None },
    })
}

pub(super) async fn manifest(source: Arc<dyn Source>, pinned: Reference) -> Answer<RemoteManifest> {
    source.manifest(&pinned).await
}

/// The bytes of a blob of at most `bound` bytes.
pub(super) async fn blob(source: Arc<dyn Source>, pinned: Reference, digest: Digest, bound: u64) -> Answer<Vec<u8>> {
    let descriptor = Descriptor::new("application/octet-stream", digest, UNKNOWN_SIZE);
    let malformed =
        |reason: String| Answer::CouldNotLook(Obstacle::new(ObstacleKind::Malformed, None, pinned.to_string(), reason));
    loop {
        let stream = match source.blob(&pinned, &descriptor).await {
            Answer::Found(stream) => stream,
            other => return other.and_then(|_| Answer::None { status: None }),
        };
        let bytes = match read(stream, bound).await {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return malformed(format!("the blob is larger than {bound} bytes")),
            Err(BlobError::Obstacle(obstacle)) => return Answer::CouldNotLook(obstacle),
            Err(error) => return malformed(error.to_string()),
        };
        let got = Digest::of(&bytes);
        if got == digest {
            return if is_manifest_of_a_layout(&*source, &pinned, &bytes).await { NOT_THERE } else { Answer::Found(bytes) };
        }
        if !source.forget(&digest) {
            return malformed(format!("digest mismatch: got {got}, want {digest}"));
        }
    }
}

/// A layout keeps manifests and blobs in one folder. The registry that it stands
/// for does not, so a manifest in it is not answered as a blob; what a registry
/// hands out is its own affair, and recorded as heard.
async fn is_manifest_of_a_layout(source: &dyn Source, pinned: &Reference, bytes: &[u8]) -> bool {
    if bytes.first() != Some(&b'{') {
        return false;
    }
    let document = json::parse(bytes).unwrap_or_default();
    let has_its_shape = document.get("schemaVersion").is_some()
        && ["manifests", "layers", "subject"].iter().any(|name| document.get(*name).is_some());
    // Registries answer with a status.
    has_its_shape && matches!(source.manifest(pinned).await, Answer::Found(manifest) if manifest.status.is_none())
}

/// Reads a stream of unknown length. `None` when it is longer than `bound`.
async fn read(mut stream: BlobStream, bound: u64) -> Result<Option<Vec<u8>>, BlobError> {
    let mut bytes = Vec::new();
    loop {
        match stream.next().await {
            Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
            Err(BlobError::Size { got, want: UNKNOWN_SIZE, .. }) if usize::try_from(got) == Ok(bytes.len()) => {
                return Ok(Some(bytes));
            }
            Ok(None) => return Ok(Some(bytes)),
            Err(error) => return Err(error),
        }
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > bound {
            return Ok(None);
        }
    }
}

/// Everything that is listed about `subject`, by the referrers API and by the
/// fallback tag. One of the two that cannot be looked at leaves the list unknown.
pub(super) async fn referrers(
    source: Arc<dyn Source>,
    pinned: Reference,
    subject: Digest,
) -> Answer<(Vec<Descriptor>, Option<u16>)> {
    let tag = pinned.tagged(fallback_tag(&subject));
    let (api, fallback) = futures_util::join!(source.referrers(&pinned, &subject), source.manifest(&tag));
    let (mut listed, status) = match api {
        Answer::Found(list) if list.status.is_some() => (list.manifests, list.status),
        Answer::Found(list) => {
            let describe = list.manifests.into_iter().map(|descriptor| describe(&*source, &pinned, descriptor));
            (futures_util::future::join_all(describe).await, None)
        }
        Answer::None { status } | Answer::NotOffered { status } => (Vec::new(), status),
        Answer::CouldNotLook(obstacle) => return Answer::CouldNotLook(obstacle),
    };
    match fallback {
        // An index that is the subject itself lists platforms, not referrers.
        Answer::Found(index) if index.digest != subject => {
            if let Ok(manifest) = Manifest::parse(&index.bytes, &index.media_type) {
                // Of two entries for one digest the first is kept. A layout has no
                // list of its own: where it holds the tag, that is the list.
                let at = if status.is_some() { listed.len() } else { 0 };
                listed.splice(at..at, manifest.children().iter().cloned());
            }
        }
        Answer::Found(_) | Answer::None { .. } | Answer::NotOffered { .. } => {}
        Answer::CouldNotLook(obstacle) => return Answer::CouldNotLook(obstacle),
    }
    if listed.is_empty() { Answer::None { status } } else { Answer::Found((listed, status)) }
}

/// A layout has no list: what a registry would show is read from the manifest.
async fn describe(source: &dyn Source, pinned: &Reference, descriptor: Descriptor) -> Descriptor {
    let Answer::Found(found) = source.manifest(&pinned.pinned(descriptor.digest)).await else { return descriptor };
    match Manifest::parse(&found.bytes, &found.media_type) {
        Ok(manifest) => Descriptor {
            artifact_type: manifest.effective_artifact_type().map(str::to_owned),
            annotations: manifest.annotations,
            ..descriptor
        },
        Err(_) => descriptor,
    }
}

/// Subject and method of a tag such as `sha256-<hex>.sig`.
fn legacy(tag: &str) -> Option<(Digest, Method)> {
    let (hex, suffix) = tag.strip_prefix("sha256-")?.split_once('.')?;
    let method = match suffix {
        "att" => Method::CosignAtt,
        "sbom" => Method::CosignSbom,
        "sig" => Method::CosignSig,
        _ => return None,
    };
    Some((Digest::from_hex(hex).ok()?, method))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_cosigns_tags_are_legacy_tags() {
        let digest = Digest::of(b"");
        let hex = digest.to_hex();
        assert_eq!(legacy(&format!("sha256-{hex}.sig")), Some((digest, Method::CosignSig)));
        assert_eq!(legacy(&format!("sha256-{hex}.sbom")), Some((digest, Method::CosignSbom)));
        for tag in ["v1", "v1.sig", &format!("sha256-{hex}"), &format!("sha256-{hex}.sigs"), &format!("x-sha256-{hex}.sig")] {
            assert_eq!(legacy(tag), None, "{tag}");
        }
    }
}
