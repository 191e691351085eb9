//! The HTTP side of a testing registry.

use std::{io, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::{Request, State as Extract},
    http::{HeaderMap, Method, StatusCode, header},
    response::Response,
    routing::any,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use carnet_bundle::{Digest, media};
use futures_util::{StreamExt, stream};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use super::{
    Effect, Fault, Route, Served, Shared,
    content::{Repository, StoredBlob},
    lock, push,
};

const CHUNK: usize = 256 * 1024;
/// Largest upload that is taken, in one piece.
const UPLOAD: usize = 1 << 30;

pub(super) fn router(state: Shared) -> Router {
    Router::new().fallback(any(serve)).with_state(state)
}

/// An answer before it meets a fault.
pub(super) struct Plain {
    pub(super) status: u16,
    pub(super) headers: Vec<(header::HeaderName, String)>,
    pub(super) body: Source,
}

pub(super) enum Source {
    Bytes(Bytes),
    File { blob: StoredBlob, from: u64 },
}

impl Plain {
    pub(super) fn new(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        let headers = vec![(header::CONTENT_TYPE, content_type.to_owned())];
        Self { status, headers, body: Source::Bytes(body.into()) }
    }

    pub(super) fn error(status: u16, code: &str) -> Self {
        Self::new(status, "application/json", json!({ "errors": [{ "code": code, "message": code }] }).to_string())
    }

    pub(super) fn with(mut self, name: header::HeaderName, value: impl Into<String>) -> Self {
        self.headers.retain(|(have, _)| *have != name);
        self.headers.push((name, value.into()));
        self
    }
}

async fn serve(Extract(state): Extract<Shared>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let route = route(&parts.method, &path);
    let effect = lock(&state).faults.iter_mut().find_map(|fault| fault.strike(route, &path));
    let plain = match parts.method {
        Method::GET | Method::HEAD => answer(&state, &path, &query, &parts.headers, effect.as_ref()),
        _ => match axum::body::to_bytes(body, UPLOAD).await {
            Ok(form) if path == "/token" => refresh(&state, &form),
            Ok(body) if is_authorized(&state, &parts.headers) => match Fault::refuses(effect.as_ref()) {
                true => Plain::error(500, "FAULT"),
                false => push::answer(&mut lock(&state), &parts.method, &path, &query, &parts.headers, body),
            },
            Ok(_) => unauthorized(&parts.headers),
            Err(_) => Plain::error(413, "SIZE_INVALID"),
        },
    };
    let plain = effect.iter().fold(plain, spoil);
    let served = Served {
        method: parts.method.to_string(),
        path: parts.uri.to_string(),
        authorization: scheme(&parts.headers),
        from: range_start(&parts.headers).unwrap_or_default(),
        status: plain.status,
    };
    lock(&state).served.push(served);
    respond(&state, plain, parts.method == Method::HEAD, effect).await
}

fn route(method: &Method, path: &str) -> Route {
    let writes = !matches!(*method, Method::GET | Method::HEAD);
    if path == "/token" {
        Route::Token
    } else if writes && path.contains("/manifests/") {
        Route::PutManifest
    } else if writes && path.contains("/blobs/uploads/") {
        Route::Upload
    } else if path.contains("/manifests/") {
        Route::Manifest
    } else if path.contains("/blobs/") {
        Route::Blob
    } else if path.contains("/referrers/") {
        Route::Referrers
    } else {
        Route::Any
    }
}

fn answer(state: &Shared, path: &str, query: &str, headers: &HeaderMap, effect: Option<&Effect>) -> Plain {
    if path == "/token" {
        return token(state, headers);
    }
    if !is_authorized(state, headers) {
        return unauthorized(headers);
    }
    if path == "/v2/" {
        return Plain::new(200, "application/json", "{}");
    }
    let state = lock(state);
    if path.contains("/blobs/uploads/") {
        return push::progress(&state, path);
    }
    let Some((name, sort, reference)) = split(path) else { return Plain::error(404, "NAME_UNKNOWN") };
    let Some(repository) = state.content.repository(name) else { return Plain::error(404, "NAME_UNKNOWN") };
    match sort {
        "manifests" => manifest(repository, reference, effect),
        "blobs" => blob(repository, reference, headers, state.behaviour.ranges),
        _ if !state.behaviour.referrers_api => Plain::error(404, "NOT_FOUND"),
        _ => referrers(repository, path, reference, query, state.behaviour.page_size),
    }
}

/// Splits `/v2/<name>/<sort>/<reference>`.
pub(super) fn split(path: &str) -> Option<(&str, &str, &str)> {
    let (rest, reference) = path.strip_prefix("/v2/")?.rsplit_once('/')?;
    let (name, sort) = rest.rsplit_once('/')?;
    matches!(sort, "manifests" | "blobs" | "referrers").then_some((name, sort, reference))
}

fn manifest(repository: &Repository, reference: &str, effect: Option<&Effect>) -> Plain {
    let digest = match effect {
        Some(Effect::Manifest(digest)) => Some(*digest),
        _ => repository.resolve(reference),
    };
    let found = digest.and_then(|digest| repository.manifests.get(&digest).map(|manifest| (digest, manifest)));
    let Some((digest, manifest)) = found else { return Plain::error(404, "MANIFEST_UNKNOWN") };
    Plain::new(200, &manifest.media_type, manifest.bytes.clone())
        .with(header::HeaderName::from_static("docker-content-digest"), digest.to_string())
}

fn blob(repository: &Repository, reference: &str, headers: &HeaderMap, ranges: bool) -> Plain {
    let found = reference.parse().ok().and_then(|digest: Digest| repository.blobs.get(&digest));
    let Some(blob) = found else { return Plain::error(404, "BLOB_UNKNOWN") };
    let size = blob.size();
    let from = range_start(headers).filter(|_| ranges);
    let plain = Plain::new(200, "application/octet-stream", "");
    let plain = match from {
        Some(from) if from >= size => return Plain::error(416, "RANGE_INVALID"),
        Some(from) => {
            Plain { status: 206, ..plain }.with(header::CONTENT_RANGE, format!("bytes {from}-{}/{size}", size.saturating_sub(1)))
        }
        None => plain,
    };
    let from = from.unwrap_or_default();
    let plain = plain.with(header::CONTENT_LENGTH, (size - from).to_string());
    Plain { body: Source::File { blob: blob.clone(), from }, ..plain }
}

/// N of `Range: bytes=N-`, the one form that clients of registries send.
fn range_start(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::RANGE)?.to_str().ok()?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
}

fn referrers(repository: &Repository, path: &str, reference: &str, query: &str, page_size: usize) -> Plain {
    let Ok(subject) = reference.parse() else { return Plain::error(400, "DIGEST_INVALID") };
    let all = repository.referrers(&subject);
    let start: usize = query.strip_prefix("from=").and_then(|text| text.parse().ok()).unwrap_or_default();
    let size = if page_size == 0 { all.len() } else { page_size };
    let page: Vec<_> = all.iter().skip(start).take(size).collect();
    let index = json!({ "schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": page });
    let plain = Plain::new(200, media::OCI_INDEX, index.to_string());
    match start + size < all.len() {
        true => plain.with(header::LINK, format!("<{path}?from={}>; rel=\"next\"", start + size)),
        false => plain,
    }
}

fn token(state: &Shared, headers: &HeaderMap) -> Plain {
    let wanted = lock(state).behaviour.credentials.clone();
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match wanted {
        Some((user, password)) if given != basic(&user, &password) => Plain::error(401, "UNAUTHORIZED"),
        _ => Plain::new(200, "application/json", json!({ "token": current_token(state) }).to_string()),
    }
}

/// The refresh grant; the password stands for the identity token.
fn refresh(state: &Shared, form: &[u8]) -> Plain {
    let wanted = lock(state).behaviour.credentials.clone();
    let form = String::from_utf8_lossy(form);
    let given = form.split('&').find_map(|pair| pair.strip_prefix("refresh_token="));
    match wanted {
        Some((_, token)) if given == Some(token.as_str()) => {
            Plain::new(200, "application/json", json!({ "access_token": current_token(state) }).to_string())
        }
        _ => Plain::error(401, "UNAUTHORIZED"),
    }
}

/// Any text will do; nobody but this registry reads it.
fn current_token(state: &Shared) -> String {
    format!("opaque-token-{}", lock(state).tokens.number)
}

fn is_authorized(state: &Shared, headers: &HeaderMap) -> bool {
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let right = given == format!("Bearer {}", current_token(state));
    let mut state = lock(state);
    if state.behaviour.credentials.is_none() && !state.behaviour.anonymous_tokens {
        return true;
    }
    if right && state.behaviour.token_uses > 0 {
        state.tokens.used += 1;
        if state.tokens.used > state.behaviour.token_uses {
            state.tokens = super::Tokens { number: state.tokens.number + 1, used: 0 };
            return false;
        }
    }
    right
}

fn unauthorized(headers: &HeaderMap) -> Plain {
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let challenge = format!("Bearer realm=\"http://{host}/token\",service=\"testing\"");
    Plain::error(401, "UNAUTHORIZED").with(header::WWW_AUTHENTICATE, challenge)
}

fn scheme(headers: &HeaderMap) -> String {
    let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(' ').next().unwrap_or_default().to_owned()
}

/// `Basic` credentials (RFC 7617).
fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

fn spoil(plain: Plain, effect: &Effect) -> Plain {
    match effect {
        Effect::Answer(status, content_type, body) => Plain::new(*status, content_type, body.clone()),
        Effect::ContentType(content_type) => plain.with(header::CONTENT_TYPE, content_type.clone()),
        Effect::Header(name, value) => plain.with(header::HeaderName::from_static(name), value.clone()),
        Effect::Redirect(url) => Plain::new(307, "text/plain", "").with(header::LOCATION, url.clone()),
        Effect::Status(401) => Plain::error(401, "UNAUTHORIZED").with(header::WWW_AUTHENTICATE, "Basic realm=\"x\""),
        // Clients that try again need not wait for a test.
        Effect::Status(status) => Plain::error(*status, "FAULT").with(header::RETRY_AFTER, "0"),
        Effect::Limited(left) => Plain::error(429, "TOOMANYREQUESTS")
            .with(header::RETRY_AFTER, "0")
            .with(header::HeaderName::from_static("ratelimit-remaining"), left.clone()),
        Effect::TooManyRequests(pause) => {
            Plain::error(429, "TOOMANYREQUESTS").with(header::RETRY_AFTER, pause.as_secs().to_string())
        }
        Effect::Corrupt | Effect::CutAfter(_) | Effect::Longer | Effect::Manifest(_) | Effect::Stall | Effect::Trickle(_) => {
            plain
        }
    }
}

async fn respond(state: &Shared, plain: Plain, head: bool, effect: Option<Effect>) -> Response {
    let mut response = Response::builder().status(StatusCode::from_u16(plain.status).unwrap_or(StatusCode::OK));
    for (name, value) in &plain.headers {
        if *name != header::CONTENT_LENGTH || !matches!(effect, Some(Effect::Longer)) {
            response = response.header(name, value);
        }
    }
    let body = match (plain.body, head) {
        (_, true) => Body::empty(),
        (Source::Bytes(bytes), _) => spoiled(bytes, effect),
        (Source::File { blob: StoredBlob::Bytes(bytes), from }, _) => {
            spoiled(bytes.slice(usize::try_from(from).unwrap_or_default()..), effect)
        }
        (Source::File { blob: StoredBlob::File { path, .. }, from }, _) => match effect {
            None => from_file(Shared::clone(state), path, from),
            Some(_) => {
                let bytes = Bytes::from(tokio::fs::read(&path).await.unwrap_or_default());
                spoiled(bytes.slice(usize::try_from(from).unwrap_or_default()..), effect)
            }
        },
    };
    response.body(body).unwrap_or_default()
}

fn spoiled(bytes: Bytes, effect: Option<Effect>) -> Body {
    match effect {
        Some(Effect::Corrupt) => {
            let mut bytes = bytes.to_vec();
            if let Some(last) = bytes.last_mut() {
                *last ^= 1;
            }
            Body::from(bytes)
        }
        Some(Effect::Longer) => Body::from([bytes.as_ref(), b"!"].concat()),
        Some(Effect::CutAfter(length)) => {
            let part = bytes.slice(..length.min(bytes.len()));
            // The pause lets the server send what it has before it gives up.
            let cut = stream::once(async {
                tokio::task::yield_now().await;
                Err(io::Error::from(io::ErrorKind::ConnectionReset))
            });
            Body::from_stream(stream::iter([Ok(part)]).chain(cut))
        }
        Some(Effect::Stall) => Body::from_stream(stream::iter([Ok::<_, io::Error>(bytes.slice(..1))]).chain(stream::pending())),
        Some(Effect::Trickle(pause)) => Body::from_stream(stream::iter(0..bytes.len()).then(move |at| {
            let byte = bytes.slice(at..=at);
            async move {
                tokio::time::sleep(pause).await;
                Ok::<_, io::Error>(byte)
            }
        })),
        _ => Body::from(bytes),
    }
}

fn from_file(state: Shared, path: std::path::PathBuf, from: u64) -> Body {
    let opened = async move {
        let mut file = tokio::fs::File::open(path).await?;
        file.set_max_buf_size(CHUNK);
        file.seek(io::SeekFrom::Start(from)).await?;
        Ok::<_, io::Error>(stream::try_unfold((state, file), |(state, mut file)| async move {
            let mut chunk = Vec::with_capacity(CHUNK);
            let read = file.read_buf(&mut chunk).await?;
            pass(&state, u64::try_from(read).unwrap_or_default()).await;
            Ok((read > 0).then(|| (Bytes::from(chunk), (state, file))))
        }))
    };
    Body::from_stream(stream::once(opened).flat_map(|opened| match opened {
        Ok(chunks) => chunks.boxed(),
        Err(error) => stream::iter([Err(error)]).boxed(),
    }))
}

/// Waits while the registry is held.
async fn pass(state: &Shared, length: u64) {
    loop {
        let released = Arc::clone(&lock(state).released);
        let mut released = std::pin::pin!(released.notified());
        released.as_mut().enable();
        {
            let mut state = lock(state);
            let Some(hold) = &mut state.hold else { return };
            if let Some(left) = hold.left.checked_sub(length) {
                hold.left = left;
                return;
            }
            // Who does not listen any more need not hear.
            hold.reached.take().map(|reached| reached.send(()));
        }
        released.await;
    }
}
