//! Uploads, in the one form that clients fall back to: POST, then PUT the whole.

use axum::http::{HeaderMap, Method, header};
use bytes::Bytes;
use carnet_bundle::Digest;

use super::{
    content::Content,
    routes::{Plain, split},
};

pub(super) fn answer(content: &mut Content, method: &Method, path: &str, query: &str, headers: &HeaderMap, body: Bytes) -> Plain {
    if *method == Method::PUT && path.contains("/manifests/") {
        return put_manifest(content, path, headers, &body);
    }
    let Some((name, _)) = path.strip_prefix("/v2/").and_then(|rest| rest.split_once("/blobs/uploads/")) else {
        return Plain::error(405, "UNSUPPORTED");
    };
    let wanted = query.split('&').find_map(|pair| pair.strip_prefix("digest=")).map(|text| text.replace("%3A", ":"));
    match wanted {
        None if *method == Method::POST => {
            Plain::new(202, "text/plain", "").with(header::LOCATION, format!("/v2/{name}/blobs/uploads/1"))
        }
        None => Plain::error(405, "UNSUPPORTED"),
        Some(digest) if digest == Digest::of(&body).to_string() => {
            content.add_blob(name, &body);
            Plain::new(201, "text/plain", "").with(header::LOCATION, format!("/v2/{name}/blobs/{digest}"))
        }
        Some(_) => Plain::error(400, "DIGEST_INVALID"),
    }
}

fn put_manifest(content: &mut Content, path: &str, headers: &HeaderMap, body: &[u8]) -> Plain {
    let Some((name, "manifests", reference)) = split(path) else { return Plain::error(404, "NAME_UNKNOWN") };
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let digest = Digest::of(body);
    match reference.parse::<Digest>() {
        Ok(wanted) if wanted != digest => return Plain::error(400, "DIGEST_INVALID"),
        Ok(_) => content.add_manifest(name, None, media_type, body),
        Err(_) => content.add_manifest(name, Some(reference), media_type, body),
    };
    Plain::new(201, "text/plain", "").with(header::LOCATION, path)
}
