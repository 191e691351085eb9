//! Uploads of blobs: mounted, in one piece, or in chunks.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use carnet_bundle::{Descriptor, Reference};
use futures_util::{Stream, stream};
use reqwest::{
    StatusCode, Url,
    header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, RANGE},
};

use super::{PushError, Pusher, location};
use crate::{
    answer::{Obstacle, ObstacleKind},
    blob::{BlobError, BlobStream, Chunks},
    transport::{Failure, Reply, place},
};

const OCTETS: &str = "application/octet-stream";
/// Least size of a chunk: some stores behind registries take no smaller parts.
const CHUNK: usize = 5 << 20;
/// A registry that wants larger chunks than this is not served: they are held.
const LARGEST_CHUNK: usize = 64 << 20;

/// How a blob came to be where it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Placed {
    /// The registry had it in another repository.
    Mounted,
    /// Its bytes were sent.
    Sent,
}

/// A blob to be written.
pub struct Upload<'a> {
    /// Its digest and size.
    pub descriptor: &'a Descriptor,
    /// Opens its bytes, unchecked; called again when an attempt fails.
    pub open: &'a (dyn Fn() -> Chunks + Send + Sync),
    /// Another repository of the same registry that may hold it.
    pub mount: Option<&'a str>,
}

impl Pusher {
    /// Writes a blob into the repository of `reference`.
    ///
    /// It is sent in one piece; where that is too large for the registry or for
    /// what stands before it (413), in chunks.
    ///
    /// # Errors
    ///
    /// Returns a [`PushError`]; of bytes that turn out wrong, the last piece was
    /// never sent.
    pub async fn push_blob(&self, reference: &Reference, upload: &Upload<'_>) -> Result<Placed, PushError> {
        let mut session = None;
        if let Some(from) = upload.mount {
            let reply = self.begin(reference, &[("mount", &upload.descriptor.digest.to_string()), ("from", from)]).await;
            match reply {
                Ok(reply) if reply.status == StatusCode::CREATED => return Ok(Placed::Mounted),
                Ok(reply) if reply.status == StatusCode::ACCEPTED => session = Some(location(&reply)?),
                // Registries that know no mounts refuse the parameters.
                Ok(_) | Err(_) => {}
            }
        }
        let wrong = Wrong::default();
        let session = Mutex::new(session);
        let taken = || session.lock().unwrap_or_else(PoisonError::into_inner).take();
        let outcome = self.registry.repeat(|| self.whole(reference, upload, taken(), &wrong)).await;
        if let Some(error) = wrong.take() {
            return Err(PushError::Source(error));
        }
        let reply = outcome?;
        match reply.status {
            status if status.is_success() => Ok(Placed::Sent),
            StatusCode::PAYLOAD_TOO_LARGE => {
                drop(reply);
                self.in_chunks(reference, upload).await
            }
            _ => Err(reply.refusal().into()),
        }
    }

    /// Opens an upload session.
    async fn begin(&self, reference: &Reference, query: &[(&str, &str)]) -> Result<Reply, Failure> {
        let url = self.registry.url(reference, "blobs/uploads/");
        let mut url: Url = url.parse().map_err(|_| Obstacle::new(ObstacleKind::Malformed, None, url.clone(), "not a URL"))?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let post = || self.uploads.post(url.clone()).header(CONTENT_LENGTH, 0);
        self.call(reference, &post, None).await
    }

    /// One attempt to send a blob in one piece.
    async fn whole(
        &self,
        reference: &Reference,
        upload: &Upload<'_>,
        session: Option<Url>,
        wrong: &Wrong,
    ) -> Result<Reply, Failure> {
        let mut at = match session {
            Some(session) => session,
            None => match self.begin(reference, &[]).await? {
                reply if reply.status == StatusCode::ACCEPTED => location(&reply)?,
                reply if reply.status.is_success() => return Err(reply.malformed("want 202 and a place to upload to").into()),
                reply => return Ok(reply),
            },
        };
        at.query_pairs_mut().append_pair("digest", &upload.descriptor.digest.to_string());
        let moved = Arc::new(AtomicU64::new(0));
        let put = || {
            let body = checked(upload.descriptor, (upload.open)(), wrong.clone(), Arc::clone(&moved));
            let request = self.uploads.put(at.clone()).header(CONTENT_TYPE, OCTETS);
            request.header(CONTENT_LENGTH, upload.descriptor.size).body(reqwest::Body::wrap_stream(body))
        };
        let outcome = self.call_at(reference, &at, &put, Some(&moved)).await;
        match wrong.peek() {
            // Not worth another attempt: the bytes will not get better.
            Some(error) => Err(Obstacle::new(ObstacleKind::Malformed, None, place(&at), error.to_string()).into()),
            None => outcome,
        }
    }

    async fn in_chunks(&self, reference: &Reference, upload: &Upload<'_>) -> Result<Placed, PushError> {
        let begun = self.registry.repeat(|| self.begin(reference, &[])).await?;
        if begun.status != StatusCode::ACCEPTED {
            return Err(begun.refusal().into());
        }
        let least = begun.headers.get("oci-chunk-min-length").and_then(|value| value.to_str().ok()?.parse().ok());
        let size = least.unwrap_or(CHUNK).max(CHUNK);
        if size > LARGEST_CHUNK {
            return Err(begun.malformed(format!("the registry wants chunks of {size} bytes, more than {LARGEST_CHUNK}")).into());
        }
        let mut session = Session { pusher: self, reference, at: location(&begun)?, offset: 0 };
        drop(begun);
        let outcome = session.send(upload, size).await;
        if outcome.is_err() {
            session.abandon().await;
        }
        outcome.map(|()| Placed::Sent)
    }
}

/// An upload in chunks.
struct Session<'a> {
    pusher: &'a Pusher,
    reference: &'a Reference,
    at: Url,
    offset: u64,
}

impl Session<'_> {
    async fn send(&mut self, upload: &Upload<'_>, size: usize) -> Result<(), PushError> {
        let mut blob = BlobStream::new(upload.descriptor, (upload.open)());
        let mut held = Vec::with_capacity(size);
        loop {
            let piece = blob.next().await.map_err(PushError::Source)?;
            let last = piece.is_none();
            held.extend_from_slice(piece.as_deref().unwrap_or_default());
            while held.len() >= size || (last && !held.is_empty()) {
                let rest = held.split_off(held.len().min(size));
                self.patch(std::mem::replace(&mut held, rest).into()).await?;
            }
            if last {
                return self.close(upload).await;
            }
        }
    }

    /// Sends one chunk, from where the registry is if that is within it.
    async fn patch(&mut self, mut chunk: Bytes) -> Result<(), PushError> {
        let backoff = self.pusher.registry.0.options.backoff;
        let mut stalls = 0;
        while !chunk.is_empty() {
            let end = self.offset + length(&chunk) - 1;
            let range = format!("{}-{end}", self.offset);
            let (at, moved) = (self.at.clone(), AtomicU64::new(0));
            let patch = || {
                let request = self.pusher.uploads.patch(at.clone()).header(CONTENT_TYPE, OCTETS);
                request.header(CONTENT_RANGE, &range).header(CONTENT_LENGTH, chunk.len()).body(chunk.clone())
            };
            let reply = self.pusher.call_at(self.reference, &at, &patch, Some(&moved)).await;
            let reply = match reply {
                Ok(reply) if reply.status == StatusCode::ACCEPTED => reply,
                Ok(reply) if !is_open(reply.status) => return Err(reply.refusal().into()),
                // Nobody knows how much of it was taken. An answer that is kept
                // would hold up the next question.
                other => {
                    drop(other);
                    self.ask().await?
                }
            };
            let next = match received(&reply).unwrap_or(end + 1) {
                // Nobody takes one byte; `0-0` is how "nothing" is said.
                1 if self.offset == 0 && end > 0 => 0,
                next => next,
            };
            let taken = next.checked_sub(self.offset).and_then(|taken| usize::try_from(taken).ok());
            match taken.filter(|taken| *taken <= chunk.len()) {
                Some(0) if stalls + 1 < backoff.attempts => {
                    stalls += 1;
                    tokio::time::sleep(backoff.pause(stalls, None)).await;
                }
                Some(taken @ 1..) => (chunk, stalls) = (chunk.split_off(taken), 0),
                _ => {
                    return Err(reply
                        .malformed(format!("the registry has bytes to {next}, want more than {}", self.offset))
                        .into());
                }
            }
            self.offset = next;
            self.at = location(&reply)?;
        }
        Ok(())
    }

    /// Asks how much the registry has.
    async fn ask(&self) -> Result<Reply, PushError> {
        let get = || self.pusher.uploads.get(self.at.clone());
        let reply = self.pusher.registry.repeat(|| self.pusher.call_at(self.reference, &self.at, &get, None)).await?;
        if reply.status.is_success() { Ok(reply) } else { Err(reply.refusal().into()) }
    }

    async fn close(&self, upload: &Upload<'_>) -> Result<(), PushError> {
        let mut at = self.at.clone();
        at.query_pairs_mut().append_pair("digest", &upload.descriptor.digest.to_string());
        let put = || self.pusher.uploads.put(at.clone()).header(CONTENT_LENGTH, 0);
        let reply = self.pusher.registry.repeat(|| self.pusher.call_at(self.reference, &at, &put, None)).await?;
        if reply.status.is_success() { Ok(()) } else { Err(reply.refusal().into()) }
    }

    /// Lets the registry forget what it has; it would in time.
    async fn abandon(&self) {
        let delete = || self.pusher.uploads.delete(self.at.clone());
        let _ = self.pusher.call_at(self.reference, &self.at, &delete, None).await;
    }
}

/// Whether a chunk that was answered with this may be sent again.
fn is_open(status: StatusCode) -> bool {
    status.is_server_error() || matches!(status, StatusCode::RANGE_NOT_SATISFIABLE | StatusCode::TOO_MANY_REQUESTS)
}

/// Number of bytes that a registry has of an upload (`Range: 0-<last>`).
fn received(reply: &Reply) -> Option<u64> {
    let range = reply.headers.get(RANGE)?.to_str().ok()?;
    let last: u64 = range.trim_start_matches("bytes=").split_once('-')?.1.parse().ok()?;
    last.checked_add(1)
}

/// Why a stream ended early, for whoever sees the broken request only.
#[derive(Clone, Default)]
struct Wrong(Arc<Mutex<Option<BlobError>>>);

impl Wrong {
    fn set(&self, error: BlobError) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    fn peek(&self) -> Option<BlobError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn take(&self) -> Option<BlobError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The bytes of a blob, the last piece only after the digest of the whole is right.
fn checked(
    descriptor: &Descriptor,
    chunks: Chunks,
    wrong: Wrong,
    moved: Arc<AtomicU64>,
) -> impl Stream<Item = Result<Bytes, BlobError>> + Send + use<> {
    let start = (BlobStream::new(descriptor, chunks), None::<Bytes>);
    stream::try_unfold(start, move |(mut blob, mut held)| {
        let (wrong, moved) = (wrong.clone(), Arc::clone(&moved));
        async move {
            loop {
                let next = blob.next().await.inspect_err(|error| wrong.set(error.clone()))?;
                let last = next.is_none();
                let ready = std::mem::replace(&mut held, next);
                match ready {
                    Some(ready) => {
                        moved.fetch_add(length(&ready), Ordering::Relaxed);
                        return Ok(Some((ready, (blob, held))));
                    }
                    None if last => return Ok(None),
                    None => {}
                }
            }
        }
    })
}

fn length(bytes: &Bytes) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}
