//! What each request is answered with.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use carnet_bundle::{Digest, media};
use carnet_verify::report::escape_line;
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode,
    header::{HeaderName, IF_NONE_MATCH, IF_RANGE, RANGE},
};
use serde_json::json;
use tokio::sync::Notify;

use super::{
    blob::{BlobFault, Blobs, Sending},
    catalog::{self, Blob, Catalog, Document, Repository},
    listing::{Page, Query},
    range::{Wanted, wanted},
    reply::{Body, ErrorCode, Reply},
    watch::Watch,
};
use crate::cli::say;

/// Longest text of a request that is repeated in the log.
const LOGGED: usize = 300;

/// A registry that is being served.
#[derive(Debug)]
pub(crate) struct Registry {
    catalog: Catalog,
    watches: Vec<Watch>,
    blobs: Arc<Blobs>,
    changed: Arc<AtomicBool>,
}

/// A path of the API.
#[derive(Debug, Eq, PartialEq)]
enum Asked<'a> {
    Base,
    Catalog,
    Tags(&'a str),
    Manifest(&'a str, &'a str),
    Blob(&'a str, &'a str),
    Referrers(&'a str, &'a str),
    Nothing,
}

/// One request, with what answers to it need.
struct Call<'a> {
    registry: &'a Registry,
    headers: &'a HeaderMap,
    is_head: bool,
    query: Query<'a>,
    stalled: &'a Arc<Notify>,
}

impl Registry {
    pub(crate) fn new(catalog: Catalog, watches: Vec<Watch>) -> Self {
        Self { catalog, watches, blobs: Arc::default(), changed: Arc::default() }
    }

    /// What is served, a line for each image.
    pub(crate) fn images(&self) -> impl Iterator<Item = String> {
        self.catalog.images()
    }

    /// Whether other bytes were found in the place of a blob.
    pub(crate) fn has_changed(&self) -> bool {
        self.changed.load(Ordering::Relaxed)
    }

    /// Answers a request. `stalled` is told when its client reads no more.
    pub(crate) async fn answer<B>(&self, request: Request<B>, stalled: &Arc<Notify>) -> Response<Body> {
        self.watches.iter().filter_map(Watch::notice).for_each(|what| log(&format!("warning: {what}")));
        let (method, path) = (request.method(), request.uri().path());
        if !matches!(*method, Method::GET | Method::HEAD) {
            log(&format!("405 {method} {path}"));
            let reply = Reply::error(ErrorCode::Unsupported, "this registry is read-only");
            return reply.with("allow", "GET, HEAD").finish();
        }
        let is_head = *method == Method::HEAD;
        let query = Query::new(request.uri().query());
        let call = Call { registry: self, headers: request.headers(), is_head, query, stalled };
        // Some clients write the colon of a digest so.
        let path = path.replace("%3A", ":").replace("%3a", ":");
        let reply = match asked(&path) {
            Asked::Base => Reply::bytes("application/json", "{}"),
            Asked::Catalog => call.repositories(),
            Asked::Tags(name) => call.tags(name),
            Asked::Manifest(name, reference) => call.manifest(name, reference),
            Asked::Blob(name, digest) => call.blob(name, digest).await,
            Asked::Referrers(name, digest) => call.referrers(name, digest),
            Asked::Nothing => call.unknown(ErrorCode::NameUnknown, &path, None),
        };
        if is_head { reply.head().finish() } else { reply.finish() }
    }
}

impl Call<'_> {
    fn repositories(&self) -> Reply {
        match self.query.page(self.registry.catalog.names()) {
            Ok(page) => linked(list("repositories", None, &page), "/v2/_catalog", page.next),
            Err(_) => Reply::error(ErrorCode::PaginationNumberInvalid, "n is not a number"),
        }
    }

    fn tags(&self, name: &str) -> Reply {
        let Some(repository) = self.repository(name) else { return self.unknown(ErrorCode::NameUnknown, name, None) };
        match self.query.page(repository.tags.keys().map(String::as_str)) {
            Ok(page) => linked(list("tags", Some(name), &page), &format!("/v2/{name}/tags/list"), page.next),
            Err(_) => Reply::error(ErrorCode::PaginationNumberInvalid, "n is not a number"),
        }
    }

    fn manifest(&self, name: &str, reference: &str) -> Reply {
        let found = self.repository(name).and_then(|repository| repository.manifest(reference));
        let Some((digest, Document { media_type, bytes })) = found else {
            if reference.contains(':') && reference.parse::<Digest>().is_err() {
                return Reply::error(ErrorCode::DigestInvalid, "not a sha256 digest");
            }
            let code = if self.repository(name).is_some() { ErrorCode::ManifestUnknown } else { ErrorCode::NameUnknown };
            return self.unknown(code, name, Some(reference));
        };
        if self.has_already(&digest) {
            return named(Reply::empty().status(StatusCode::NOT_MODIFIED), &digest);
        }
        named(Reply::bytes(media_type, bytes.clone()), &digest)
    }

    async fn blob(&self, name: &str, text: &str) -> Reply {
        let Ok(digest) = text.parse::<Digest>() else {
            return Reply::error(ErrorCode::DigestInvalid, "not a sha256 digest");
        };
        let Some(blob) = self.repository(name).and_then(|repository| repository.blobs.get(&digest)) else {
            let code = if self.repository(name).is_some() { ErrorCode::BlobUnknown } else { ErrorCode::NameUnknown };
            return self.unknown(code, name, Some(text));
        };
        if self.registry.blobs.is_lost(&digest) {
            log(&format!("404 {name}@{digest}: other bytes were found in its place"));
            return Reply::error(ErrorCode::BlobUnknown, "it is not there any more");
        }
        if self.has_already(&digest) {
            return named(Reply::empty().status(StatusCode::NOT_MODIFIED), &digest);
        }
        let size = blob.size;
        let (status, part) = match self.range(&digest, size) {
            Wanted::Whole => (StatusCode::OK, 0..size),
            Wanted::Part(part) => (StatusCode::PARTIAL_CONTENT, part),
            Wanted::Nothing => {
                let reply = Reply::error(ErrorCode::RangeInvalid, "no byte of the blob is in that range");
                return reply.with("content-range", &format!("bytes */{size}"));
            }
        };
        let length = (part.end - part.start).to_string();
        let range = format!("bytes {}-{}/{size}", part.start, part.end.saturating_sub(1));
        let reply = match self.is_head {
            true => Reply::empty(),
            false => self.pieces(name, &digest, blob, part).await,
        };
        if reply.is_error() {
            return reply;
        }
        let reply = named(reply.status(status), &digest).with("content-length", &length).with("accept-ranges", "bytes");
        let reply = reply.with("content-type", "application/octet-stream");
        if status == StatusCode::PARTIAL_CONTENT { reply.with("content-range", &range) } else { reply }
    }

    /// Begins to send. What shows to be wrong at once is 404 yet; later the body is
    /// cut off.
    async fn pieces(&self, name: &str, digest: &Digest, blob: &Blob, part: Range<u64>) -> Reply {
        let sending = Sending { digest: *digest, size: blob.size, part, members: Arc::clone(&blob.members) };
        let (changed, name) = (Arc::clone(&self.registry.changed), name.to_owned());
        let done = move |digest: &Digest, fault: &BlobFault| {
            if matches!(fault, BlobFault::Changed(_)) {
                changed.store(true, Ordering::Relaxed);
                log(&format!("error: {name}@{digest} was not sent to its end: {fault}; it is not served any more"));
            }
        };
        let mut pieces = self.registry.blobs.send(sending, Arc::clone(self.stalled), done);
        match pieces.recv().await {
            Some(Ok(first)) => Reply::pieces(first, pieces),
            _ => Reply::error(ErrorCode::BlobUnknown, "it is not there any more"),
        }
    }

    /// A list for every digest, as the specification wants it, though it be empty.
    fn referrers(&self, name: &str, text: &str) -> Reply {
        let Ok(subject) = text.parse::<Digest>() else {
            return Reply::error(ErrorCode::DigestInvalid, "not a sha256 digest");
        };
        if let Some(reason) = self.registry.catalog.reason(name, text) {
            log(&format!("no referrers of {name}@{subject}: {reason}"));
        }
        let none = Default::default();
        let all = self.repository(name).and_then(|repository| repository.referrers.get(&subject)).unwrap_or(&none);
        let page = self.query.referrers(all);
        let Ok(index) = catalog::index(&page.entries) else {
            return Reply::error(ErrorCode::ManifestUnknown, "the list cannot be written");
        };
        let reply = linked(Reply::bytes(media::OCI_INDEX, index), &format!("/v2/{name}/referrers/{subject}"), page.next);
        if self.query.artifact_type().is_some() { reply.with("oci-filters-applied", "artifactType") } else { reply }
    }

    fn repository(&self, name: &str) -> Option<&Repository> {
        self.registry.catalog.repository(name)
    }

    /// 404: the client hears that, the operator why.
    fn unknown(&self, code: ErrorCode, name: &str, reference: Option<&str>) -> Reply {
        let what = match reference {
            Some(digest) if digest.contains(':') => format!("{name}@{digest}"),
            Some(tag) => format!("{name}:{tag}"),
            None => name.to_owned(),
        };
        let reason = reference.and_then(|reference| self.registry.catalog.reason(name, reference));
        log(&format!("404 {what}: {}", reason.unwrap_or("no archive has that under this name")));
        Reply::error(code, "nothing that passed has that name")
    }

    /// Whether the client has it, by its digest as entity tag.
    fn has_already(&self, digest: &Digest) -> bool {
        let tag = tag_of(digest);
        self.header(IF_NONE_MATCH).is_some_and(|list| list.split(',').any(|one| one.trim().trim_start_matches("W/") == tag))
    }

    fn range(&self, digest: &Digest, size: u64) -> Wanted {
        let is_same = self.header(IF_RANGE).is_none_or(|tag| tag == tag_of(digest));
        let several = self.headers.get_all(RANGE).iter().count() > 1;
        match self.header(RANGE) {
            Some(range) if is_same && !several => wanted(range, size),
            _ => Wanted::Whole,
        }
    }

    fn header(&self, name: HeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

fn asked(path: &str) -> Asked<'_> {
    let Some(rest) = path.strip_prefix("/v2").filter(|rest| rest.is_empty() || rest.starts_with('/')) else {
        return Asked::Nothing;
    };
    let rest = rest.trim_start_matches('/');
    if rest.is_empty() {
        return Asked::Base;
    }
    if rest == "_catalog" {
        return Asked::Catalog;
    }
    if let Some(name) = rest.strip_suffix("/tags/list") {
        return Asked::Tags(name);
    }
    let split = rest.rsplit_once('/').and_then(|(front, last)| front.rsplit_once('/').map(|(name, sort)| (name, sort, last)));
    match split {
        Some((name, "manifests", reference)) => Asked::Manifest(name, reference),
        Some((name, "blobs", digest)) => Asked::Blob(name, digest),
        Some((name, "referrers", digest)) => Asked::Referrers(name, digest),
        _ => Asked::Nothing,
    }
}

fn list(what: &str, name: Option<&str>, page: &Page<&str>) -> Reply {
    let body = match name {
        Some(name) => json!({ "name": name, what: page.entries }),
        None => json!({ what: page.entries }),
    };
    Reply::bytes("application/json", body.to_string())
}

fn linked(reply: Reply, path: &str, next: Option<String>) -> Reply {
    match next {
        Some(query) => reply.with("link", &format!("<{path}?{query}>; rel=\"next\"")),
        None => reply,
    }
}

fn named(reply: Reply, digest: &Digest) -> Reply {
    reply.with("docker-content-digest", &digest.to_string()).with("etag", &tag_of(digest))
}

fn tag_of(digest: &Digest) -> String {
    format!("\"{digest}\"")
}

/// Says a line in which nothing can steer a terminal, and which has an end.
fn log(line: &str) {
    let line: String = line.chars().take(LOGGED).collect();
    say(&format!("carnet: {}", escape_line(&line)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_specification() {
        for (path, want) in [
            ("/v2/", Asked::Base),
            ("/v2", Asked::Base),
            ("/v2/_catalog", Asked::Catalog),
            ("/v2/a/b/tags/list", Asked::Tags("a/b")),
            ("/v2/a/b/manifests/v1", Asked::Manifest("a/b", "v1")),
            ("/v2/manifests/manifests/manifests/v1", Asked::Manifest("manifests/manifests", "v1")),
            ("/v2/a/blobs/sha256:x", Asked::Blob("a", "sha256:x")),
            ("/v2/a/referrers/sha256:x", Asked::Referrers("a", "sha256:x")),
            ("/v2/a/../b/manifests/v1", Asked::Manifest("a/../b", "v1")),
            ("/v2/manifests/v1", Asked::Nothing),
            ("/v2/a", Asked::Nothing),
            ("/v2x/a/manifests/v1", Asked::Nothing),
            ("/", Asked::Nothing),
            ("*", Asked::Nothing),
        ] {
            assert_eq!(asked(path), want, "{path}");
        }
    }
}
