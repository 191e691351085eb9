//! Pushes: blobs and manifests, byte for byte.
//!
//! Every byte is hashed again on its way out, and the last piece of a blob waits
//! until the digest of the whole is right: nobody ever gets all of a blob that is
//! not the one that its digest names.
//!
//! Follows the OCI distribution-spec 1.1, "Pushing".

mod manifest;
mod upload;

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use carnet_bundle::{Digest, Reference};
use reqwest::{RequestBuilder, Response, StatusCode, header::LOCATION, redirect};

use crate::{
    answer::{Answer, Obstacle, ObstacleKind},
    authorization::Authorization,
    blob::BlobError,
    endpoint::{Endpoint, is_local},
    options::Options,
    transport::{Failure, Registry, RegistryError, Reply, client_builder, place, root_cause},
};

pub use upload::{Placed, Upload};

/// Answers to pushes have no body that anybody reads.
const ANSWER_SIZE: u64 = 64 * 1024;
/// The client's own bound on silence would end long uploads; ours looks at what moves.
const NEVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A client that may write. Clones share connections and tokens.
#[derive(Clone)]
pub struct Pusher {
    registry: Registry,
    /// Follows no redirect: a body that was streamed cannot be sent again.
    uploads: reqwest::Client,
}

/// Why something could not be written.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PushError {
    /// The registry did not take it, or could not be reached.
    #[error(transparent)]
    Refused(#[from] Obstacle),
    /// What was to be written is not what its digest names, or cannot be read.
    #[error(transparent)]
    Source(BlobError),
    /// The registry says that it stored something else.
    #[error("digest mismatch: the registry stored {got}, want {want}")]
    Stored {
        /// What the registry says.
        got: String,
        /// What was sent.
        want: Digest,
    },
}

impl Pusher {
    /// Makes a client that asks for the right to write.
    ///
    /// # Errors
    ///
    /// As [`Registry::new`].
    pub fn new(options: Options) -> Result<Self, RegistryError> {
        let options = Options { push: true, ..options };
        let uploads = client_builder(&options)?.redirect(redirect::Policy::none()).read_timeout(NEVER).build();
        let uploads = uploads.map_err(|error| RegistryError::Client(root_cause(&error)))?;
        Ok(Self { registry: Registry::new(options)?, uploads })
    }

    /// The same client for reading.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Whether the repository of `reference` holds the blob `digest`.
    pub async fn has_blob(&self, reference: &Reference, digest: &Digest) -> Answer<()> {
        self.has(reference, &format!("blobs/{digest}")).await
    }

    /// Whether the repository of `reference` holds the manifest `digest`.
    pub async fn has_manifest(&self, reference: &Reference, digest: &Digest) -> Answer<()> {
        self.has(reference, &format!("manifests/{digest}")).await
    }

    async fn has(&self, reference: &Reference, path: &str) -> Answer<()> {
        let url = self.registry.url(reference, path);
        // Some registries answer 404 when a manifest's type is not accepted.
        let head = || self.uploads.head(&url).header(reqwest::header::ACCEPT, manifest::ACCEPT_ANY);
        match self.registry.repeat(|| self.call(reference, &head, None)).await {
            Err(obstacle) => Answer::CouldNotLook(obstacle),
            // Whoever keeps blobs elsewhere says where with a redirect.
            Ok(reply) if reply.status.is_success() || reply.status.is_redirection() => Answer::Found(()),
            Ok(reply) if reply.status == StatusCode::NOT_FOUND => Answer::None { status: Some(404) },
            Ok(reply) => Answer::CouldNotLook(reply.refusal()),
        }
    }

    /// Sends a request with the authorization of the repository, and once more
    /// after a 401 that could be answered. `moved` counts the bytes of its body.
    async fn call(
        &self,
        reference: &Reference,
        request: &(dyn Fn() -> RequestBuilder + Send + Sync),
        moved: Option<&AtomicU64>,
    ) -> Result<Reply, Failure> {
        let inner = &*self.registry.0;
        let endpoint = Endpoint::of(reference, &inner.options);
        let turn = self.registry.turn(&endpoint.host).await;
        let used = inner.authorizer.current(reference).await;
        let mut response = self.transmit(used.apply(request()), moved).await?;
        if response.status() == StatusCode::UNAUTHORIZED {
            let headers = response.headers();
            let renewed = inner.authorizer.renew(&inner.http, &endpoint, reference, &used, headers).await?;
            if renewed != used {
                response = self.transmit(renewed.apply(request()), moved).await?;
            }
        }
        Reply::read(response, Some(ANSWER_SIZE), turn).await
    }

    /// Sends a request to where an upload goes on. Another host than the
    /// registry's own gets no credentials.
    async fn call_at(
        &self,
        reference: &Reference,
        location: &reqwest::Url,
        request: &(dyn Fn() -> RequestBuilder + Send + Sync),
        moved: Option<&AtomicU64>,
    ) -> Result<Reply, Failure> {
        let own = self.registry.url(reference, "");
        if own.parse().is_ok_and(|own: reqwest::Url| own.origin() == location.origin()) {
            return self.call(reference, request, moved).await;
        }
        let inner = &*self.registry.0;
        let turn = self.registry.turn(&Endpoint::of(reference, &inner.options).host).await;
        let response = self.transmit(Authorization::Nothing.apply(request()), moved).await?;
        Reply::read(response, Some(ANSWER_SIZE), turn).await
    }

    /// Waits for an answer as long as bytes move.
    async fn transmit(&self, request: RequestBuilder, moved: Option<&AtomicU64>) -> Result<Response, Failure> {
        let silence = self.registry.0.options.patience.silence;
        let mut sent = std::pin::pin!(request.send());
        let mut before = u64::MAX;
        loop {
            tokio::select! {
                answer = &mut sent => return answer.map_err(|error| {
                    let url = error.url().map(ToString::to_string).unwrap_or_default();
                    Failure::of(&error, &url)
                }),
                () = tokio::time::sleep(silence) => {
                    let now = moved.map_or(u64::MAX, |moved| moved.load(Ordering::Relaxed));
                    if now == before || moved.is_none() {
                        let reason = format!("no answer, and nothing was taken, for {} s", silence.as_secs());
                        return Err(Obstacle::new(ObstacleKind::Unreachable, None, "the registry", reason).into());
                    }
                    before = now;
                }
            }
        }
    }
}

/// Where an upload goes on (`Location`): never from https into the clear, and never
/// from elsewhere to this machine or its link.
fn location(reply: &Reply) -> Result<reqwest::Url, Obstacle> {
    let denied = |reason: &str| Obstacle::new(ObstacleKind::Denied, Some(reply.status.as_u16()), place(&reply.url), reason);
    let text = reply.headers.get(LOCATION).and_then(|value| value.to_str().ok());
    let next = text.and_then(|text| reply.url.join(text).ok());
    let next = next.ok_or_else(|| reply.malformed("the answer does not say where the upload goes on"))?;
    match (reply.url.scheme(), next.scheme()) {
        ("https" | "http", "https") | ("http", "http") => {}
        _ => return Err(denied("the upload would go on in the clear")),
    }
    let local = |url: &reqwest::Url| is_local(url.host_str().unwrap_or_default());
    if local(&next) && !local(&reply.url) {
        return Err(denied("the upload would go on on this machine or its link"));
    }
    Ok(next)
}
