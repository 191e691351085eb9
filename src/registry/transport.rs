//! One request to a registry: authorization, redirects, retries, bounds.

use std::{
    collections::HashMap,
    error::Error,
    future::Future,
    hash::{BuildHasher as _, Hasher as _, RandomState},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use carnet_bundle::Reference;
use jiff::Timestamp;
use reqwest::{
    Response, StatusCode,
    header::{ACCEPT, HeaderMap, RANGE, RETRY_AFTER},
    redirect,
};
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    answer::{Obstacle, ObstacleKind},
    authorization::{Authorization, Authorizer},
    endpoint::{Endpoint, leads_inside},
    options::{Options, Patience},
};

const USER_AGENT: &str = concat!("carnet/", env!("CARGO_PKG_VERSION"));
const REDIRECTS: usize = 10;
/// Error documents are a few hundred bytes; some proxies send a page.
const REFUSAL_SIZE: u64 = 64 * 1024;
/// A host that cannot be connected to is tried less often than one that failed
/// to answer: names do not start to resolve within seconds.
const CONNECT_ATTEMPTS: u32 = 2;

/// A client for any number of registries. Clones share connections and tokens.
#[derive(Clone)]
pub struct Registry(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) http: reqwest::Client,
    pub(crate) authorizer: Authorizer,
    pub(crate) options: Options,
    hosts: Mutex<HashMap<String, Arc<Semaphore>>>,
}

/// Why no client could be made.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// The HTTP client refused its configuration, for want of root certificates
    /// for instance.
    #[error("cannot set up the HTTP client: {0}")]
    Client(String),
}

/// What to ask a repository for.
pub(crate) struct Query<'a> {
    /// The repository, whose credentials may be sent. Without one, none are.
    pub(crate) reference: Option<&'a Reference>,
    pub(crate) url: String,
    pub(crate) accept: &'a str,
    /// Read the body up to so many bytes; `None` leaves it open.
    pub(crate) read: Option<u64>,
    /// First byte that is wanted.
    pub(crate) from: u64,
}

/// An answer of any status that repeating the request will not change.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) url: reqwest::Url,
    pub(crate) body: Body,
    _turn: Turn,
}

pub(crate) enum Body {
    Open(Paced),
    Read(Bytes),
}

impl Registry {
    /// Makes a client.
    ///
    /// # Errors
    ///
    /// Returns [`RegistryError::Client`] when TLS cannot be set up.
    pub fn new(options: Options) -> Result<Self, RegistryError> {
        let http = client_builder(&options)?.build().map_err(|error| RegistryError::Client(root_cause(&error)))?;
        let authorizer = Authorizer::new(&options)?;
        Ok(Self(Arc::new(Inner { http, authorizer, options, hosts: Mutex::default() })))
    }

    /// URL of `path` below the repository of `reference`.
    pub(crate) fn url(&self, reference: &Reference, path: &str) -> String {
        Endpoint::of(reference, &self.0.options).url(reference, path)
    }

    /// Sends a GET, again and again while that may help.
    pub(crate) async fn get(&self, query: &Query<'_>) -> Result<Reply, Obstacle> {
        self.repeat(|| self.attempt(query)).await
    }

    /// Repeats `attempt` while that may help.
    pub(crate) async fn repeat<F>(&self, attempt: impl Fn() -> F) -> Result<Reply, Obstacle>
    where
        F: Future<Output = Result<Reply, Failure>>,
    {
        let backoff = self.0.options.backoff;
        let mut attempts = 1;
        loop {
            let (outcome, last) = match attempt().await {
                Ok(reply) if !is_transient(reply.status) => return Ok(reply),
                Ok(reply) => (Ok(reply), attempts >= backoff.attempts),
                Err(failure) => {
                    let most = if failure.connect { backoff.attempts.min(CONNECT_ATTEMPTS) } else { backoff.attempts };
                    let last = attempts >= most || failure.obstacle.kind != ObstacleKind::Unreachable;
                    (Err(failure.obstacle), last)
                }
            };
            if last {
                return outcome;
            }
            let retry_after = outcome.ok().and_then(|reply| retry_after(&reply.headers, Timestamp::now()));
            let pause = backoff.pause(attempts, retry_after);
            tokio::time::sleep(pause + pause.mul_f64(chance() / 4.0)).await;
            attempts += 1;
        }
    }

    async fn attempt(&self, query: &Query<'_>) -> Result<Reply, Failure> {
        let inner = &*self.0;
        let Some(reference) = query.reference else {
            let host = query.url.parse().map_or_else(|_| String::new(), |url: reqwest::Url| url.authority().to_owned());
            let turn = self.turn(&host).await;
            return Reply::read(self.send(query, &Authorization::Nothing).await?, query.read, turn).await;
        };
        let endpoint = Endpoint::of(reference, &inner.options);
        let turn = self.turn(&endpoint.host).await;
        let used = inner.authorizer.current(reference).await;
        let mut response = self.send(query, &used).await?;
        if response.status() == StatusCode::UNAUTHORIZED {
            let headers = response.headers();
            let renewed = inner.authorizer.renew(&inner.http, &endpoint, reference, &used, headers).await?;
            if renewed != used {
                response = self.send(query, &renewed).await?;
            }
        }
        Reply::read(response, query.read, turn).await
    }

    async fn send(&self, query: &Query<'_>, authorization: &Authorization) -> Result<Response, Failure> {
        let mut request = self.0.http.get(&query.url).header(ACCEPT, query.accept);
        if query.from > 0 {
            request = request.header(RANGE, format!("bytes={}-", query.from));
        }
        authorization.apply(request).send().await.map_err(|error| Failure::of(&error, &query.url))
    }

    /// Waits until `host` may be asked once more.
    pub(crate) async fn turn(&self, host: &str) -> Turn {
        let semaphore = {
            let mut hosts = self.0.hosts.lock().unwrap_or_else(PoisonError::into_inner);
            let permits = || Arc::new(Semaphore::new(self.0.options.requests_per_host.max(1)));
            Arc::clone(hosts.entry(host.to_owned()).or_insert_with(permits))
        };
        match semaphore.acquire_owned().await {
            Ok(permit) => Turn { _permit: permit, patience: self.0.options.patience },
            Err(_) => unreachable!("the semaphore of a host is never closed"),
        }
    }
}

impl Reply {
    /// Takes an answer; its body is read up to `limit`, or left open.
    pub(crate) async fn read(response: Response, limit: Option<u64>, turn: Turn) -> Result<Self, Failure> {
        let (status, headers, url) = (response.status(), response.headers().clone(), response.url().clone());
        let limit = if status.is_success() { limit } else { Some(REFUSAL_SIZE) };
        let paced = Paced::new(response, turn.patience);
        let body = match limit {
            Some(limit) => Body::Read(paced.read(limit).await?),
            None => Body::Open(paced),
        };
        Ok(Self { status, headers, url, body, _turn: turn })
    }

    /// The obstacle that an answer of this status is.
    pub(crate) fn refusal(&self) -> Obstacle {
        let status = self.status.as_u16();
        let kind = match status {
            401 | 403 => ObstacleKind::Denied,
            _ if is_transient(self.status) || self.status.is_server_error() => ObstacleKind::Unreachable,
            _ => ObstacleKind::Malformed,
        };
        let mut reason = match self.message() {
            Some(message) => format!("{}: {message}", self.status),
            None => self.status.to_string(),
        };
        // Docker Hub says with this how often one may ask, such as `0;w=21600`.
        if let Some(left) = self.headers.get("ratelimit-remaining").and_then(|value| value.to_str().ok()) {
            reason.push_str(&format!(" (RateLimit-Remaining: {left})"));
        }
        Obstacle::new(kind, Some(status), place(&self.url), reason)
    }

    /// Media type of the body, without parameters.
    pub(crate) fn content_type(&self) -> &str {
        self.content_types().next().unwrap_or_default()
    }

    /// Another media type beside it, which another reader may take.
    pub(crate) fn other_content_type(&self) -> Option<&str> {
        self.content_types().find(|other| *other != self.content_type())
    }

    fn content_types(&self) -> impl Iterator<Item = &str> {
        let values = self.headers.get_all(reqwest::header::CONTENT_TYPE).iter();
        values.map(|value| value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim())
    }

    /// The body, if it was read.
    pub(crate) fn bytes(&self) -> &[u8] {
        match &self.body {
            Body::Read(bytes) => bytes,
            Body::Open(_) => &[],
        }
    }

    pub(crate) fn malformed(&self, reason: impl AsRef<str>) -> Obstacle {
        Obstacle::new(ObstacleKind::Malformed, Some(self.status.as_u16()), place(&self.url), reason)
    }

    /// What the registry says in its error document.
    fn message(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct Envelope {
            errors: Vec<Item>,
        }
        #[derive(Deserialize)]
        struct Item {
            #[serde(default)]
            code: String,
            #[serde(default)]
            message: String,
        }
        let envelope: Envelope = serde_json::from_slice(self.bytes()).ok()?;
        envelope.errors.first().map(|item| if item.message.is_empty() { item.code.clone() } else { item.message.clone() })
    }
}

/// Sets up the one way in which everything here is asked: our TLS provider, the
/// operator's authorities, no credentials to another host.
pub(crate) fn client_builder(options: &Options) -> Result<reqwest::ClientBuilder, RegistryError> {
    // An error says that a provider is there already; the process has one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let error = |error: reqwest::Error| RegistryError::Client(root_cause(&error));
    let mut builder = reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .tls_danger_accept_invalid_certs(options.allow_insecure)
        .redirect(redirect::Policy::custom(follow))
        .referer(false)
        .connect_timeout(options.patience.connect)
        .read_timeout(options.patience.silence);
    for pem in &options.authorities {
        let authorities = reqwest::Certificate::from_pem_bundle(pem).map_err(error)?;
        if authorities.is_empty() {
            return Err(RegistryError::Client("no certificate in the file of certificate authorities".to_owned()));
        }
        builder = builder.tls_certs_merge(authorities);
    }
    if let Some(pem) = &options.identity {
        builder = builder.identity(reqwest::Identity::from_pem(pem).map_err(error)?);
    }
    Ok(builder)
}

/// An attempt that brought no answer.
pub(crate) struct Failure {
    obstacle: Obstacle,
    connect: bool,
}

impl Failure {
    pub(crate) fn of(error: &reqwest::Error, url: &str) -> Self {
        let place = url.parse().map_or_else(|_| url.to_owned(), |url| place(&url));
        let kind = if error.is_redirect() { ObstacleKind::Denied } else { ObstacleKind::Unreachable };
        Self { obstacle: Obstacle::new(kind, None, place, root_cause(error)), connect: error.is_connect() }
    }
}

impl From<Obstacle> for Failure {
    fn from(obstacle: Obstacle) -> Self {
        Self { obstacle, connect: false }
    }
}

/// The right to ask a host, for as long as its answer is read.
pub(crate) struct Turn {
    _permit: OwnedSemaphorePermit,
    patience: Patience,
}

/// A body that has to keep coming.
pub(crate) struct Paced {
    response: Response,
    patience: Patience,
    /// Time waited for the other side in this window; what is done with the bytes
    /// meanwhile is not its fault.
    waited: Duration,
    brought: u64,
}

impl Paced {
    pub(crate) fn new(response: Response, patience: Patience) -> Self {
        Self { response, patience, waited: Duration::ZERO, brought: 0 }
    }

    /// The next bytes.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, Obstacle> {
        let begun = Instant::now();
        let chunk = self.response.chunk().await.map_err(|error| Failure::of(&error, self.response.url().as_str()).obstacle)?;
        self.waited += begun.elapsed();
        self.brought += chunk.as_ref().map_or(0, |chunk| u64::try_from(chunk.len()).unwrap_or(u64::MAX));
        if self.waited < self.patience.window || chunk.is_none() {
            return Ok(chunk);
        }
        if self.brought < self.patience.least {
            let reason = format!("no more than {} bytes in {:.1?}", self.brought, self.waited);
            return Err(Obstacle::new(ObstacleKind::Unreachable, None, place(self.response.url()), reason));
        }
        (self.waited, self.brought) = (Duration::ZERO, 0);
        Ok(chunk)
    }

    /// All of it, up to `limit` bytes.
    pub(crate) async fn read(mut self, limit: u64) -> Result<Bytes, Obstacle> {
        let status = self.response.status();
        let mut body = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            body.extend_from_slice(&chunk);
            if u64::try_from(body.len()).is_ok_and(|length| length <= limit) {
                continue;
            }
            if !status.is_success() {
                break;
            }
            let reason = format!("the answer is longer than {limit} bytes");
            return Err(Obstacle::new(ObstacleKind::Malformed, Some(status.as_u16()), place(self.response.url()), reason));
        }
        Ok(body.into())
    }
}

/// Follows redirects, but never from https into the clear. reqwest drops the
/// `Authorization` header when host, port or scheme change.
fn follow(attempt: redirect::Attempt<'_>) -> redirect::Action {
    let from_https = attempt.previous().iter().any(|url| url.scheme() == "https");
    if from_https && attempt.url().scheme() != "https" {
        return attempt.error("the registry redirects from https to http");
    }
    let host = |url: &reqwest::Url| url.host_str().unwrap_or_default().to_owned();
    if attempt.previous().last().is_some_and(|from| leads_inside(&host(from), &host(attempt.url()))) {
        return attempt.error("the registry redirects to an address where it has no business");
    }
    if attempt.previous().len() > REDIRECTS {
        return attempt.error("too many redirects");
    }
    attempt.follow()
}

/// A number from 0 to 1, so that many clients do not come back at the same moment.
/// The seeds of the standard library's hash tables are random enough for that.
fn chance() -> f64 {
    let [byte, ..] = RandomState::new().build_hasher().finish().to_le_bytes();
    f64::from(byte) / 256.0
}

fn is_transient(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429) || (status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED)
}

/// `Retry-After`: seconds, or a time (RFC 9110 §10.2.3).
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let time = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    // A time that has passed asks for no pause.
    Some(Duration::try_from(time.duration_since(now)).unwrap_or_default())
}

/// A URL without its query: pre-signed URLs carry secrets there.
pub(crate) fn place(url: &reqwest::Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path())
}

/// The innermost error: what the system or the TLS library said.
pub(crate) fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_time() {
        let now = "1994-11-06T08:49:30Z".parse().unwrap();
        for (text, want) in [
            ("3", Some(3)),
            ("0", Some(0)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(7)),
            ("Sun, 06 Nov 1994 08:49:00 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
            ("", None),
        ] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]);
            assert_eq!(retry_after(&headers, now), want.map(Duration::from_secs), "{text}");
        }
    }
}
