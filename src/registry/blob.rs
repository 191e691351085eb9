//! Blobs: streamed, and checked against their descriptor on the way.

use bytes::Bytes;
use carnet_bundle::{Descriptor, Digest, Digester, Reference};
use futures_util::{StreamExt, stream, stream::BoxStream};
use reqwest::{StatusCode, header::CONTENT_RANGE};

use crate::{
    answer::{Answer, Obstacle, ObstacleKind},
    endpoint::is_local,
    transport::{Body, Query, Registry, Reply},
};

/// Bytes after which a download has got somewhere, and what broke before is
/// forgiven: a large blob over a bad line breaks more often than a small one.
const PROGRESS: u64 = 1 << 20;

/// Bytes of a blob as they arrive, unchecked.
pub type Chunks = BoxStream<'static, Result<Bytes, BlobError>>;

/// The bytes of a blob. The end of the stream is reached only when size and
/// digest are those of the descriptor.
pub struct BlobStream {
    chunks: Chunks,
    want: Digest,
    size: u64,
    seen: u64,
    digester: Option<Digester>,
}

/// Why a blob could not be read to its end.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BlobError {
    /// The bytes are not those of the descriptor.
    #[error("digest mismatch for {want}: got {got}")]
    Digest {
        /// Digest of the bytes.
        got: Digest,
        /// Digest of the descriptor.
        want: Digest,
    },
    /// The bytes could not be read.
    #[error(transparent)]
    Obstacle(#[from] Obstacle),
    /// More or fewer bytes than the descriptor says.
    #[error("size mismatch for {digest}: got {got} bytes, want {want}")]
    Size {
        /// Digest of the descriptor.
        digest: Digest,
        /// Bytes read; reading stops once they are too many.
        got: u64,
        /// Size of the descriptor.
        want: u64,
    },
}

impl BlobStream {
    /// Checks `chunks` against `descriptor`.
    pub fn new(descriptor: &Descriptor, chunks: Chunks) -> Self {
        Self { chunks, want: descriptor.digest, size: descriptor.size, seen: 0, digester: Some(Digester::new()) }
    }

    /// The next bytes, or `None` after the last when all of them were right.
    ///
    /// # Errors
    ///
    /// Returns a [`BlobError`] when the bytes are wrong or cannot be had.
    pub async fn next(&mut self) -> Result<Option<Bytes>, BlobError> {
        let Some(digester) = &mut self.digester else { return Ok(None) };
        if let Some(chunk) = self.chunks.next().await {
            let chunk = chunk?;
            self.seen = self.seen.saturating_add(u64::try_from(chunk.len()).unwrap_or(u64::MAX));
            if self.seen > self.size {
                return Err(self.wrong_size());
            }
            digester.update(&chunk);
            return Ok(Some(chunk));
        }
        if self.seen != self.size {
            return Err(self.wrong_size());
        }
        match self.digester.take().map(Digester::finish) {
            Some(got) if got != self.want => Err(BlobError::Digest { got, want: self.want }),
            _ => Ok(None),
        }
    }

    /// Reads all of it. For blobs whose size was checked against a bound.
    ///
    /// # Errors
    ///
    /// As [`Self::next`].
    pub async fn read(mut self) -> Result<Vec<u8>, BlobError> {
        let mut bytes = Vec::new();
        while let Some(chunk) = self.next().await? {
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    fn wrong_size(&self) -> BlobError {
        BlobError::Size { digest: self.want, got: self.seen, want: self.size }
    }
}

impl Registry {
    /// Opens a blob of the repository of `reference`.
    ///
    /// A connection that breaks is opened again from the byte it broke at. Places
    /// in `urls` of the descriptor are never asked.
    pub async fn blob(&self, reference: &Reference, descriptor: &Descriptor) -> Answer<BlobStream> {
        self.blob_from(reference, descriptor, 0).await.map(|chunks| BlobStream::new(descriptor, chunks))
    }

    /// Opens a blob at byte `from`; who has the bytes before it checks the whole.
    /// A registry that cannot start there sends all of it, and the start is passed
    /// over here.
    pub async fn blob_from(&self, reference: &Reference, descriptor: &Descriptor, from: u64) -> Answer<Chunks> {
        let url = self.url(reference, &format!("blobs/{}", descriptor.digest));
        self.open(Some(reference.clone()), url, from).await
    }

    /// Opens a blob at byte `from` at one of the `urls` of its descriptor: over https,
    /// never on this machine, and never with credentials. The first place that has
    /// it answers.
    pub async fn foreign_blob_from(&self, descriptor: &Descriptor, from: u64) -> Answer<Chunks> {
        let mut answer = Answer::None { status: None };
        for url in &descriptor.urls {
            let asked = match foreign_url(url) {
                Ok(url) => self.open(None, url, from).await,
                Err(reason) => Answer::CouldNotLook(Obstacle::new(ObstacleKind::Denied, None, url, reason)),
            };
            match asked {
                found @ Answer::Found(_) => return found,
                Answer::None { .. } if matches!(answer, Answer::CouldNotLook(_)) => {}
                other => answer = other,
            }
        }
        answer
    }

    async fn open(&self, reference: Option<Reference>, url: String, from: u64) -> Answer<Chunks> {
        let source = Source { registry: self.clone(), reference, url, offset: from, begun: from, failures: 0 };
        match source.open_at_offset().await {
            Err(obstacle) => Answer::CouldNotLook(obstacle),
            Ok((reply, skip)) => match reply.status.as_u16() {
                200 | 206 => Answer::Found(source.stream(reply, skip)),
                404 => Answer::None { status: Some(404) },
                _ => Answer::CouldNotLook(reply.refusal()),
            },
        }
    }
}

/// A download that knows how far it came.
struct Source {
    registry: Registry,
    reference: Option<Reference>,
    url: String,
    offset: u64,
    /// Where the last answer began.
    begun: u64,
    failures: u32,
}

impl Source {
    async fn open(&self, from: u64) -> Result<Reply, Obstacle> {
        let accept = "application/octet-stream, */*";
        let query = Query { reference: self.reference.as_ref(), url: self.url.clone(), accept, read: None, from };
        self.registry.get(&query).await
    }

    /// Opens the blob where it is wanted. The second value is how many bytes come
    /// that are there already.
    async fn open_at_offset(&self) -> Result<(Reply, u64), Obstacle> {
        let reply = self.open(self.offset).await?;
        match reply.status {
            StatusCode::OK => Ok((reply, self.offset)),
            StatusCode::PARTIAL_CONTENT if self.is_rest(&reply) => Ok((reply, 0)),
            StatusCode::PARTIAL_CONTENT => Err(reply.malformed("the registry answers with another range")),
            // Some say so about a range that they could serve; the whole tells.
            StatusCode::RANGE_NOT_SATISFIABLE if self.offset > 0 => {
                drop(reply);
                Ok((self.open(0).await?, self.offset))
            }
            _ => Ok((reply, 0)),
        }
    }

    fn stream(self, reply: Reply, skip: u64) -> Chunks {
        stream::try_unfold((self, Some((reply, skip))), |(mut source, mut open)| async move {
            loop {
                let (reply, skip) = match &mut open {
                    Some(open) => open,
                    None => open.insert(source.reopen().await?),
                };
                let Body::Open(body) = &mut reply.body else { return Ok(None) };
                match body.chunk().await {
                    Ok(None) => return Ok(None),
                    Ok(Some(mut chunk)) => {
                        let known = usize::try_from(*skip).unwrap_or(usize::MAX).min(chunk.len());
                        *skip -= u64::try_from(known).unwrap_or_default();
                        let chunk = chunk.split_off(known);
                        source.offset += u64::try_from(chunk.len()).unwrap_or_default();
                        if !chunk.is_empty() {
                            return Ok(Some((chunk, (source, open))));
                        }
                    }
                    Err(obstacle) => {
                        if source.offset.saturating_sub(source.begun) >= PROGRESS {
                            source.failures = 0;
                        }
                        source.failures += 1;
                        if source.failures >= source.registry.0.options.backoff.attempts {
                            return Err(obstacle.into());
                        }
                        source.begun = source.offset;
                        open = None;
                    }
                }
            }
        })
        .boxed()
    }

    async fn reopen(&self) -> Result<(Reply, u64), BlobError> {
        tokio::time::sleep(self.registry.0.options.backoff.pause(self.failures, None)).await;
        let (reply, skip) = self.open_at_offset().await?;
        match reply.status {
            StatusCode::OK | StatusCode::PARTIAL_CONTENT => Ok((reply, skip)),
            _ => Err(reply.refusal().into()),
        }
    }

    fn is_rest(&self, reply: &Reply) -> bool {
        let range = reply.headers.get(CONTENT_RANGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        range.starts_with(&format!("bytes {}-", self.offset))
    }
}

fn foreign_url(text: &str) -> Result<String, &'static str> {
    let url: reqwest::Url = text.parse().map_err(|_| "not a URL")?;
    match url.host_str() {
        _ if url.scheme() != "https" => Err("not https"),
        Some(host) if !is_local(host) => Ok(url.to_string()),
        _ => Err("on this machine or its link"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_places_are_asked_over_https_and_never_on_this_machine() {
        assert!(foreign_url("https://storage.example/layer?x=1").is_ok());
        for url in
            ["http://storage.example/", "https://127.0.0.1/", "https://[::1]/", "https://169.254.169.254/", "file:///x", "x"]
        {
            assert!(foreign_url(url).is_err(), "{url}");
        }
    }
}
