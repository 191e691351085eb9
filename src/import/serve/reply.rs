//! Answers in the form of distribution-spec 1.1.

use std::io;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, Empty, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    Response, StatusCode,
    body::Frame,
    header::{HeaderName, HeaderValue},
};
use serde_json::json;

use super::blob::Pieces;

/// A body, in memory or on its way.
pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Which code of the specification an error has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ErrorCode {
    BlobUnknown,
    DigestInvalid,
    ManifestUnknown,
    NameUnknown,
    PaginationNumberInvalid,
    RangeInvalid,
    Unsupported,
}

impl ErrorCode {
    fn name(self) -> &'static str {
        match self {
            Self::BlobUnknown => "BLOB_UNKNOWN",
            Self::DigestInvalid => "DIGEST_INVALID",
            Self::ManifestUnknown => "MANIFEST_UNKNOWN",
            Self::NameUnknown => "NAME_UNKNOWN",
            Self::PaginationNumberInvalid => "PAGINATION_NUMBER_INVALID",
            Self::RangeInvalid => "RANGE_INVALID",
            Self::Unsupported => "UNSUPPORTED",
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::BlobUnknown | Self::ManifestUnknown | Self::NameUnknown => StatusCode::NOT_FOUND,
            Self::DigestInvalid | Self::PaginationNumberInvalid => StatusCode::BAD_REQUEST,
            Self::RangeInvalid => StatusCode::RANGE_NOT_SATISFIABLE,
            Self::Unsupported => StatusCode::METHOD_NOT_ALLOWED,
        }
    }
}

/// An answer that is being put together.
pub(crate) struct Reply(Response<Body>);

impl Reply {
    /// Bytes that are in memory.
    pub(crate) fn bytes(content_type: &str, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let length = bytes.len().to_string();
        let body = Full::new(bytes).map_err(|never| match never {}).boxed_unsync();
        Self(Response::new(body)).with("content-type", content_type).with("content-length", &length)
    }

    /// A blob on its way, `first` being here already.
    pub(crate) fn pieces(first: Bytes, rest: Pieces) -> Self {
        let pieces = stream::unfold((Some(first), rest), |(first, mut rest)| async move {
            let next = match first {
                Some(first) => Ok(first),
                None => rest.recv().await?,
            };
            Some((next.map(Frame::data), (None, rest)))
        });
        Self(Response::new(StreamBody::new(pieces).boxed_unsync()))
    }

    /// Nothing, as to HEAD and with 304.
    pub(crate) fn empty() -> Self {
        Self(Response::new(Empty::new().map_err(|never| match never {}).boxed_unsync()))
    }

    /// An error with the body that the specification gives it.
    pub(crate) fn error(code: ErrorCode, message: &str) -> Self {
        let body = json!({ "errors": [{ "code": code.name(), "message": message }] });
        Self::bytes("application/json", body.to_string()).status(code.status())
    }

    pub(crate) fn is_error(&self) -> bool {
        self.0.status().is_client_error()
    }

    pub(crate) fn status(mut self, status: StatusCode) -> Self {
        *self.0.status_mut() = status;
        self
    }

    /// Adds a header. A value that no header can have is left out.
    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.0.headers_mut().insert(HeaderName::from_static(name), value);
        }
        self
    }

    /// The same without its body.
    pub(crate) fn head(self) -> Self {
        let (parts, _) = self.0.into_parts();
        let Self(empty) = Self::empty();
        Self(Response::from_parts(parts, empty.into_body()))
    }

    pub(crate) fn finish(self) -> Response<Body> {
        let all = self.with("docker-distribution-api-version", "registry/2.0").with("x-content-type-options", "nosniff");
        all.0
    }
}
