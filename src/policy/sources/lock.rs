//! The policy lock: which content stands for which source.
//!
//! The exporter writes one into every bundle that has sources and, when asked,
//! beside it. In the bundle it is a map; in the hands of the operator it is an
//! authority (`bundle-spec/policy.md` §5).

use carnet_bundle::{
    Digest,
    inventory::Schema,
    json::{self, JsonError},
};
use serde::{Deserialize, Serialize};

use super::{id::ObjectId, url::Revision};

const NAME: &str = "carnet-policy-lock";

/// A policy lock.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Lock {
    schema: Schema,
    critical: Vec<String>,
    sources: Vec<LockedSource>,
}

/// One source with its content.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct LockedSource {
    /// The URL as written in policy.yaml.
    pub url: String,
    /// The pinned form of it, as Conforma prints it.
    pub pinned: String,
    /// What stands for it.
    #[serde(flatten)]
    pub content: LockedContent,
}

/// The content of a source, by digests of layers of the policy manifest.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase", tag = "kind")]
pub enum LockedContent {
    /// A local path: for the record, never used.
    File {
        /// The file, or a tar of the directory.
        content: Digest,
    },
    /// A directory in a git repository.
    Git {
        /// Full id of the commit.
        commit: ObjectId,
        /// Directory below the root; empty for the root.
        path: String,
        /// The git objects.
        content: Digest,
    },
    /// One file, over https.
    Https {
        /// The body as served.
        content: Digest,
    },
    /// An OCI artifact.
    Oci {
        /// The manifest as served.
        manifest: Digest,
        /// Its layers in order.
        layers: Vec<Digest>,
    },
}

/// Why a document is not a policy lock of this version.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// A feature that this reader does not know.
    #[error("needs a newer carnet: unknown critical feature {0:?}")]
    Critical(String),
    /// Not JSON of this shape.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// Another document, or a version that this reader does not know.
    #[error("not a policy lock of version 0: {name} {major}")]
    Schema {
        /// Name in the document.
        name: String,
        /// Major version in the document.
        major: u32,
    },
    /// The sources are not sorted by URL, each once.
    #[error("sources must be sorted by url, each once: {0:?}")]
    Unsorted(String),
}

impl Lock {
    /// Makes a lock of these sources; of entries with one URL the first counts.
    pub fn new(mut sources: Vec<LockedSource>) -> Self {
        sources.sort_by(|a, b| a.url.cmp(&b.url));
        sources.dedup_by(|later, first| later.url == first.url);
        let schema = Schema { name: NAME.to_owned(), major: 0, minor: 1 };
        Self { schema, critical: Vec::new(), sources }
    }

    /// Reads a lock.
    ///
    /// # Errors
    ///
    /// Returns a [`LockError`] for anything but a lock of version 0 whose critical
    /// features are known.
    pub fn parse(bytes: &[u8]) -> Result<Self, LockError> {
        let lock: Self = json::parse_as(bytes)?;
        if lock.schema.name != NAME || lock.schema.major != 0 {
            return Err(LockError::Schema { name: lock.schema.name, major: lock.schema.major });
        }
        if let Some(feature) = lock.critical.first() {
            return Err(LockError::Critical(feature.clone()));
        }
        match lock.sources.windows(2).find(|pair| pair[0].url >= pair[1].url) {
            Some(pair) => Err(LockError::Unsorted(pair[1].url.clone())),
            None => Ok(lock),
        }
    }

    /// The bytes of the lock (RFC 8785).
    ///
    /// # Errors
    ///
    /// None in practice; serialisation is fallible.
    pub fn to_bytes(&self) -> Result<Vec<u8>, JsonError> {
        json::canonical(self)
    }

    /// The sources, sorted by URL.
    pub fn sources(&self) -> &[LockedSource] {
        &self.sources
    }

    /// The entry of a URL: as it was written at the export, or in its pinned form.
    pub fn entry(&self, url: &str) -> Option<&LockedSource> {
        let sources = || self.sources.iter();
        sources().find(|source| source.url == url).or_else(|| sources().find(|source| source.pinned == url))
    }
}

impl LockedSource {
    /// The exact content, where the kind of source has one.
    pub fn revision(&self) -> Option<Revision> {
        match &self.content {
            LockedContent::Git { commit, .. } => Some(Revision::Commit(*commit)),
            LockedContent::Oci { manifest, .. } => Some(Revision::Manifest(*manifest)),
            LockedContent::File { .. } | LockedContent::Https { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(url: &str) -> LockedSource {
        LockedSource {
            url: url.to_owned(),
            pinned: format!("http::{url}"),
            content: LockedContent::Https { content: Digest::of(url.as_bytes()) },
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let lock = Lock::new(vec![source("b"), source("a"), source("b")]);
        let bytes = lock.to_bytes().unwrap();
        assert!(
            bytes.starts_with(
                br#"{"critical":[],"schema":{"major":0,"minor":1,"name":"carnet-policy-lock"},"sources":[{"content":"#
            )
        );
        assert_eq!(Lock::parse(&bytes).unwrap(), lock);
        assert_eq!(lock.sources().iter().map(|source| source.url.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(lock.entry("http::b").unwrap().url, "b");
    }

    #[test]
    fn locks_of_another_kind_or_order_are_refused() {
        let text = |replace: &str, with: &str| {
            let text = r#"{"critical":[],"schema":{"major":0,"minor":1,"name":"carnet-policy-lock"},"sources":[]}"#;
            text.replacen(replace, with, 1)
        };
        assert!(Lock::parse(text("", "").as_bytes()).is_ok());
        assert!(Lock::parse(text("\"minor\":1", "\"minor\":7,\"new\":1").as_bytes()).is_ok());
        for (replace, with, reason) in [
            ("\"major\":0", "\"major\":1", "version 0"),
            ("carnet-policy-lock", "carnet-lookups", "version 0"),
            ("\"critical\":[]", "\"critical\":[\"x\"]", "critical"),
            ("\"sources\":[]", "\"sources\":[],\"sources\":[]", "duplicate key"),
            ("[]}", r#"[{"url":"a","kind":"gitt","pinned":"b","content":"sha256:00"}]}"#, "gitt"),
        ] {
            let error = Lock::parse(text(replace, with).as_bytes()).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
        let mut unsorted = Lock::new(vec![source("a"), source("b")]);
        unsorted.sources.reverse();
        assert_eq!(Lock::parse(&unsorted.to_bytes().unwrap()), Err(LockError::Unsorted("a".to_owned())));
    }
}
