//! Image references: `host[:port]/path[:tag][@digest]`.

use std::{fmt, str::FromStr};

use crate::digest::{Digest, DigestError};

/// An image reference in its full form.
///
/// Docker Hub's short forms are spelled out (`alpine` is
/// `docker.io/library/alpine:latest`), so equal references compare equal.
/// A reference with tag and digest keeps both; the digest decides.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// Why a text is not a reference.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ReferenceError {
    /// The digest part is not one that version 0 bundles can carry.
    #[error("could not parse reference: {text}: {source}")]
    Digest {
        /// The whole text.
        text: String,
        /// What is wrong with the digest.
        source: DigestError,
    },
    /// The text is outside the grammar.
    #[error("could not parse reference: {text}: {reason}")]
    Malformed {
        /// The whole text.
        text: String,
        /// What the grammar says.
        reason: String,
    },
}

impl Reference {
    /// Registry host, with port if there is one; `docker.io` for Docker Hub.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// Path inside the registry, such as `library/alpine`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// Registry and path, such as `docker.io/library/alpine`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// The tag; `latest` when neither tag nor digest was written.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, if one was written.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// The same repository at `digest`, without a tag.
    #[must_use]
    pub fn pinned(&self, digest: Digest) -> Self {
        Self { tag: None, digest: Some(digest), ..self.clone() }
    }

    /// The same repository at `tag`, without a digest.
    #[must_use]
    pub fn tagged(&self, tag: impl Into<String>) -> Self {
        Self { tag: Some(tag.into()), digest: None, ..self.clone() }
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        if let Some((_, digest)) = text.split_once('@') {
            digest.parse::<Digest>().map_err(|source| ReferenceError::Digest { text: text.to_owned(), source })?;
        }
        let parsed: oci_spec::distribution::Reference = text.parse().map_err(|e: oci_spec::distribution::ParseError| {
            ReferenceError::Malformed { text: text.to_owned(), reason: e.to_string() }
        })?;
        // The crate takes `UPPER/case` for a repository of Docker Hub.
        if parsed.repository().chars().any(|c| c.is_ascii_uppercase()) {
            let reason = "repository names are lower case".to_owned();
            return Err(ReferenceError::Malformed { text: text.to_owned(), reason });
        }
        let digest = parsed
            .digest()
            .map(str::parse)
            .transpose()
            .map_err(|source| ReferenceError::Digest { text: text.to_owned(), source })?;
        Ok(Self {
            registry: parsed.registry().to_owned(),
            repository: parsed.repository().to_owned(),
            tag: parsed.tag().map(str::to_owned),
            digest,
        })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_forms_are_spelled_out() {
        let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        for (text, want) in [
            ("alpine".to_owned(), "docker.io/library/alpine:latest".to_owned()),
            ("index.docker.io/library/alpine:3".to_owned(), "docker.io/library/alpine:3".to_owned()),
            ("docker.io/alpine".to_owned(), "docker.io/library/alpine:latest".to_owned()),
            ("localhost:5000/a/b:v1".to_owned(), "localhost:5000/a/b:v1".to_owned()),
            (format!("ghcr.io/a/b@sha256:{hex}"), format!("ghcr.io/a/b@sha256:{hex}")),
            (format!("ghcr.io/a/b:t@sha256:{hex}"), format!("ghcr.io/a/b:t@sha256:{hex}")),
        ] {
            assert_eq!(text.parse::<Reference>().unwrap().to_string(), want);
        }
    }

    #[test]
    fn texts_outside_the_grammar_are_refused() {
        for text in
            ["", "host/UPPER", "UPPER/case", "a b", "host/repo:", "host/repo@sha256:12", "host/../etc", "host/repo@sha512:00"]
        {
            assert!(text.parse::<Reference>().is_err(), "{text}");
        }
    }
}
