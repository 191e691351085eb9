//! Manifests: bytes, media type and the digest that we computed.

use bytes::Bytes;
use carnet_bundle::{Digest, Limits, Reference, json, media};
use serde_json::Value;

use crate::{
    answer::Answer,
    transport::{Query, Registry, Reply},
};

const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";

/// A manifest as a registry served it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RemoteManifest {
    /// The bytes as served.
    pub bytes: Bytes,
    /// `mediaType` of the document, else what the registry called it.
    pub media_type: String,
    /// Digest of [`Self::bytes`], computed here.
    pub digest: Digest,
    /// HTTP status, if a registry served it.
    pub status: Option<u16>,
}

impl Registry {
    /// Fetches the manifest that `reference` names: its digest if it has one,
    /// else its tag.
    ///
    /// Bytes that do not hash to the digest asked for are no answer. The header
    /// `Docker-Content-Digest` is not looked at; many registries have it wrong.
    pub async fn manifest(&self, reference: &Reference) -> Answer<RemoteManifest> {
        let name = match (reference.digest(), reference.tag()) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(tag)) => tag.to_owned(),
            (None, None) => "latest".to_owned(),
        };
        let query = Query {
            reference: Some(reference),
            url: self.url(reference, &format!("manifests/{name}")),
            accept: ACCEPT,
            read: Some(Limits::default().manifest_size),
            from: 0,
        };
        match self.get(&query).await {
            Err(obstacle) => Answer::CouldNotLook(obstacle),
            Ok(reply) => match reply.status.as_u16() {
                200 => manifest(&reply, reference.digest()),
                404 => Answer::None { status: Some(404) },
                _ => Answer::CouldNotLook(reply.refusal()),
            },
        }
    }
}

fn manifest(reply: &Reply, wanted: Option<&Digest>) -> Answer<RemoteManifest> {
    let malformed = |reason: String| Answer::CouldNotLook(reply.malformed(reason));
    let bytes = Bytes::copy_from_slice(reply.bytes());
    let digest = Digest::of(&bytes);
    if let Some(wanted) = wanted.filter(|wanted| **wanted != digest) {
        return malformed(format!("digest mismatch: got {digest}, want {wanted}"));
    }
    let document = match json::parse(&bytes) {
        Ok(document) => document,
        Err(error) => return malformed(format!("the answer is not a manifest: {error}")),
    };
    let called = reply.content_type();
    if let Some(other) = reply.other_content_type() {
        return malformed(format!("media type mismatch: the registry says {called} and {other}"));
    }
    let own = document.get("mediaType").and_then(Value::as_str);
    // Two readers would see two things (CVE-2021-41190). Types that say nothing
    // about manifests, such as application/json, contradict nothing.
    if let Some(own) = own.filter(|own| media::is_manifest(called) && *own != called) {
        return malformed(format!("media type mismatch: the document says {own}, the registry {called}"));
    }
    let media_type = own.unwrap_or(called).to_owned();
    Answer::Found(RemoteManifest { bytes, media_type, digest, status: Some(reply.status.as_u16()) })
}
