//! Documents that no registry holds: log entries, TUF metadata.
//!
//! They are asked for as everything else is, with the same limits, retries and
//! rules for redirects, and never with credentials.

use bytes::Bytes;
use reqwest::header::ACCEPT;

use crate::{
    answer::{Answer, Obstacle, ObstacleKind},
    endpoint::is_loopback,
    transport::{Failure, Registry, Reply},
};

impl Registry {
    /// Fetches the document at `url`, of at most `limit` bytes.
    ///
    /// As for registries, plain http is for hosts on loopback, unless the options
    /// allow it. 404 and 410 are [`Answer::None`].
    pub async fn document(&self, url: &str, limit: u64) -> Answer<Bytes> {
        let refused = |reason: &str| Answer::CouldNotLook(Obstacle::new(ObstacleKind::Denied, None, url, reason));
        let Ok(parsed) = url.parse::<reqwest::Url>() else { return refused("not a URL") };
        let host = parsed.host_str().unwrap_or_default();
        match parsed.scheme() {
            "https" => {}
            "http" if self.0.options.allow_http || is_loopback(host) => {}
            _ => return refused("neither https, nor http on loopback"),
        }
        match self.repeat(|| self.fetch(parsed.clone(), limit)).await {
            Err(obstacle) => Answer::CouldNotLook(obstacle),
            Ok(reply) => match reply.status.as_u16() {
                200 => Answer::Found(Bytes::copy_from_slice(reply.bytes())),
                status @ (404 | 410) => Answer::None { status: Some(status) },
                _ => Answer::CouldNotLook(reply.refusal()),
            },
        }
    }

    async fn fetch(&self, url: reqwest::Url, limit: u64) -> Result<Reply, Failure> {
        let turn = self.turn(url.authority()).await;
        let request = self.0.http.get(url.clone()).header(ACCEPT, "application/json, */*");
        let response = request.send().await.map_err(|error| Failure::of(&error, url.as_str()))?;
        Reply::read(response, Some(limit), turn).await
    }
}
