//! Uploads: POST, then PUT the whole, or PATCH after PATCH; mounts; manifests.

use axum::http::{HeaderMap, Method, header};
use bytes::Bytes;
use carnet_bundle::{Digest, Manifest};

use super::{
    State,
    routes::{Plain, split},
};

const SUBJECT: header::HeaderName = header::HeaderName::from_static("oci-subject");

pub(super) fn answer(state: &mut State, method: &Method, path: &str, query: &str, headers: &HeaderMap, body: Bytes) -> Plain {
    if *method == Method::PUT && path.contains("/manifests/") {
        return put_manifest(state, path, headers, &body);
    }
    let Some((name, session)) = path.strip_prefix("/v2/").and_then(|rest| rest.split_once("/blobs/uploads/")) else {
        return Plain::error(405, "UNSUPPORTED");
    };
    if state.behaviour.largest_upload > 0 && body.len() > state.behaviour.largest_upload {
        return Plain::error(413, "SIZE_INVALID");
    }
    match *method {
        Method::POST => begin(state, name, query),
        Method::DELETE => Plain::new(204, "text/plain", ""),
        Method::PATCH => patch(state, path, session, headers, &body),
        _ => finish(state, name, session, query, &body),
    }
}

/// How much of an upload is there.
pub(super) fn progress(state: &State, path: &str) -> Plain {
    let session = path.rsplit('/').next().unwrap_or_default();
    match index(session).and_then(|at| state.uploads.get(at)) {
        Some(upload) => accepted(204, path, upload.len()),
        None => Plain::error(404, "BLOB_UPLOAD_UNKNOWN"),
    }
}

fn begin(state: &mut State, name: &str, query: &str) -> Plain {
    let mount = parameter(query, "mount").and_then(|text| text.parse::<Digest>().ok());
    let from = parameter(query, "from").map(|text| text.replace("%2F", "/"));
    if let (Some(digest), Some(from)) = (mount, from)
        && state.content.mount(&from, name, &digest)
    {
        return Plain::new(201, "text/plain", "").with(header::LOCATION, format!("/v2/{name}/blobs/{digest}"));
    }
    state.uploads.push(Vec::new());
    Plain::new(202, "text/plain", "").with(header::LOCATION, format!("/v2/{name}/blobs/uploads/{}", state.uploads.len()))
}

fn patch(state: &mut State, path: &str, session: &str, headers: &HeaderMap, body: &Bytes) -> Plain {
    let Some(upload) = index(session).and_then(|at| state.uploads.get_mut(at)) else {
        return Plain::error(404, "BLOB_UPLOAD_UNKNOWN");
    };
    let range = headers.get(header::CONTENT_RANGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if range.split('-').next() != Some(upload.len().to_string().as_str()) {
        return Plain { status: 416, ..accepted(416, path, upload.len()) };
    }
    upload.extend_from_slice(body);
    let length = upload.len();
    accepted(202, path, length)
}

fn finish(state: &mut State, name: &str, session: &str, query: &str, body: &Bytes) -> Plain {
    let begun = index(session).and_then(|at| state.uploads.get_mut(at)).map(std::mem::take).unwrap_or_default();
    let bytes = [begun.as_slice(), body.as_ref()].concat();
    match parameter(query, "digest").and_then(|text| text.parse::<Digest>().ok()) {
        None => Plain::error(405, "UNSUPPORTED"),
        Some(digest) if digest == Digest::of(&bytes) => {
            state.content.add_blob(name, &bytes);
            Plain::new(201, "text/plain", "").with(header::LOCATION, format!("/v2/{name}/blobs/{digest}"))
        }
        Some(_) => Plain::error(400, "DIGEST_INVALID"),
    }
}

fn accepted(status: u16, path: &str, length: usize) -> Plain {
    let plain = Plain::new(status, "text/plain", "").with(header::LOCATION, path);
    plain.with(header::RANGE, format!("0-{}", length.saturating_sub(1)))
}

fn parameter(query: &str, name: &str) -> Option<String> {
    let value = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    value.map(|text| text.replace("%3A", ":"))
}

fn index(session: &str) -> Option<usize> {
    session.parse::<usize>().ok()?.checked_sub(1)
}

fn put_manifest(state: &mut State, path: &str, headers: &HeaderMap, body: &[u8]) -> Plain {
    let Some((name, "manifests", reference)) = split(path) else { return Plain::error(404, "NAME_UNKNOWN") };
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let digest = Digest::of(body);
    let manifest = Manifest::parse(body, media_type).ok();
    if state.behaviour.complete_only && !manifest.as_ref().is_some_and(|manifest| state.content.holds(name, manifest)) {
        return Plain::error(404, "MANIFEST_BLOB_UNKNOWN");
    }
    match reference.parse::<Digest>() {
        Ok(wanted) if wanted != digest => return Plain::error(400, "DIGEST_INVALID"),
        Ok(_) => state.content.add_manifest(name, None, media_type, body),
        Err(_) => state.content.add_manifest(name, Some(reference), media_type, body),
    };
    let plain = Plain::new(201, "text/plain", "").with(header::LOCATION, path);
    match manifest.and_then(|manifest| manifest.subject).filter(|_| state.behaviour.referrers_api) {
        Some(subject) => plain.with(SUBJECT, subject.digest.to_string()),
        None => plain,
    }
}
