//! Manifests: PUT as they are, under their digest or a tag.

use bytes::Bytes;
use carnet_bundle::{Digest, Reference};
use reqwest::header::CONTENT_TYPE;

use super::{PushError, Pusher};
use crate::blob::BlobError;

pub(super) const ACCEPT_ANY: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json, */*";
const SUBJECT: &str = "oci-subject";
const DIGEST: &str = "docker-content-digest";

impl Pusher {
    /// Writes a manifest under the digest of `reference`, else under its tag.
    ///
    /// Returns what the registry says in `OCI-Subject`: the subject whose list of
    /// referrers it has added the manifest to. `None` says nothing.
    ///
    /// # Errors
    ///
    /// Returns a [`PushError`] when the bytes are not those of the digest, or the
    /// registry does not take them as they are.
    pub async fn push_manifest(
        &self,
        reference: &Reference,
        media_type: &str,
        bytes: Bytes,
    ) -> Result<Option<Digest>, PushError> {
        let got = Digest::of(&bytes);
        let name = match (reference.digest(), reference.tag()) {
            (Some(want), _) if *want != got => return Err(PushError::Source(BlobError::Digest { got, want: *want })),
            (Some(digest), _) => digest.to_string(),
            (None, tag) => tag.unwrap_or("latest").to_owned(),
        };
        let url = self.registry.url(reference, &format!("manifests/{name}"));
        let put = || self.uploads.put(&url).header(CONTENT_TYPE, media_type).body(bytes.clone());
        let reply = self.registry.repeat(|| self.call(reference, &put, None)).await?;
        if !reply.status.is_success() {
            return Err(reply.refusal().into());
        }
        let header = |name: &str| reply.headers.get(name).and_then(|value| value.to_str().ok());
        match header(DIGEST) {
            Some(stored) if stored != got.to_string() => {
                let stored = crate::answer::printable(stored);
                Err(PushError::Stored { got: stored, want: got })
            }
            _ => Ok(header(SUBJECT).and_then(|subject| subject.parse().ok())),
        }
    }
}
