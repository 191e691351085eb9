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

/// Docker Hub, and the name that older tools give it.
const DOCKER_HUB: &str = "docker.io";
const DOCKER_HUB_OLD: &str = "index.docker.io";
/// Longest registry and path together (distribution-spec, "Pulling manifests").
const MAX_NAME: usize = 255;
/// Longest tag.
const MAX_TAG: usize = 128;

/// The grammar is that of the distribution project's `reference` package. It is
/// read by hand: the regular expression of the oci-spec crate takes 44 ms and
/// 20 MiB to compile, ten times what the rest of a small run takes.
impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let malformed = |reason: &str| ReferenceError::Malformed { text: text.to_owned(), reason: reason.to_owned() };
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => {
                let wrong = |source| ReferenceError::Digest { text: text.to_owned(), source };
                (rest, Some(digest.parse::<Digest>().map_err(wrong)?))
            }
            None => (text, None),
        };
        // A colon behind the last slash is that of a tag, not of a port.
        let path_at = rest.rfind('/').map_or(0, |at| at + 1);
        let (name, tag) = match rest[path_at..].split_once(':') {
            Some((last, tag)) => (&rest[..path_at + last.len()], Some(tag)),
            None => (rest, None),
        };
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(malformed("a tag has 1 to 128 of the characters A-Z a-z 0-9 _ . - and starts with no . or -"));
        }
        let (registry, repository) = split_name(name);
        if !is_registry(registry) {
            return Err(malformed("the registry is not host[:port]"));
        }
        if !repository.split('/').all(is_path_component) {
            return Err(malformed("a repository has components of a-z and 0-9, joined by . _ __ or -"));
        }
        if registry.len() + repository.len() >= MAX_NAME {
            return Err(malformed("the name is longer than 255 characters"));
        }
        let tag = tag.or(if digest.is_none() { Some("latest") } else { None });
        Ok(Self { registry: registry.to_owned(), repository, tag: tag.map(str::to_owned), digest })
    }
}

/// Splits registry from path; short names are those of Docker Hub.
fn split_name(name: &str) -> (&str, String) {
    let is_host =
        |first: &str| first.contains(['.', ':']) || first == "localhost" || first.chars().any(|c| c.is_ascii_uppercase());
    let (registry, path) = match name.split_once('/') {
        Some((first, path)) if is_host(first) => (first, path),
        _ => (DOCKER_HUB, name),
    };
    let registry = if registry == DOCKER_HUB_OLD { DOCKER_HUB } else { registry };
    let official = registry == DOCKER_HUB && !path.contains('/');
    (registry, if official { format!("library/{path}") } else { path.to_owned() })
}

fn is_tag(tag: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let first = tag.bytes().next().is_some_and(word);
    first && tag.len() <= MAX_TAG && tag.bytes().all(|byte| word(byte) || matches!(byte, b'.' | b'-'))
}

fn is_registry(registry: &str) -> bool {
    let (host, port) = match registry.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, rest)) => {
            let hex = !address.is_empty() && address.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b':');
            return hex && rest.strip_prefix(':').map_or(rest.is_empty(), is_port);
        }
        None => registry.split_once(':').map_or((registry, None), |(host, port)| (host, Some(port))),
    };
    port.is_none_or(is_port) && host.split('.').all(is_host_component)
}

fn is_port(port: &str) -> bool {
    !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_host_component(component: &str) -> bool {
    let ends = !component.starts_with('-') && !component.ends_with('-');
    !component.is_empty() && ends && component.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// Words of a-z and 0-9 with one separator between two: `.`, `_`, `__` or dashes.
fn is_path_component(component: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let separators = component.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit()).filter(|part| !part.is_empty());
    let ends = component.bytes().next().is_some_and(word) && component.bytes().last().is_some_and(word);
    ends && separators.into_iter().all(|part| matches!(part, "." | "_" | "__") || part.bytes().all(|byte| byte == b'-'))
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
        let long = format!("host.example/{}", "a".repeat(255));
        for text in [
            "",
            "/",
            "host/",
            "host.example/",
            "/repo",
            "host/UPPER",
            "UPPER/case:tag:tag",
            "a b",
            "a\u{e9}",
            "host/repo:",
            "host/repo:.tag",
            "host/repo:-tag",
            "host/repo@",
            "host/repo@sha256:12",
            "host/../etc",
            "host/a..b",
            "host/a___b",
            "host/a.-b",
            "host/-a",
            "host/a-",
            "host:/repo",
            "host:x/repo",
            "-host.example/repo",
            "host..example/repo",
            "[::1/repo",
            "[x]/repo",
            "host/repo@sha512:00",
            "host/repo@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855@x",
            long.as_str(),
        ] {
            assert!(text.parse::<Reference>().is_err(), "{text}");
        }
    }

    #[test]
    fn names_of_the_grammar_are_read() {
        for (text, registry, repository, tag) in [
            ("localhost/a", "localhost", "a", "latest"),
            ("localhost:80/a/b_c/d__e/f-g/h--i/j.k:V_1.2-x", "localhost:80", "a/b_c/d__e/f-g/h--i/j.k", "V_1.2-x"),
            ("[::1]:5000/a:1", "[::1]:5000", "a", "1"),
            ("Host/a", "Host", "a", "latest"),
            ("127.0.0.1:5055/a", "127.0.0.1:5055", "a", "latest"),
            ("org/a:v1", "docker.io", "org/a", "v1"),
        ] {
            let reference: Reference = text.parse().unwrap();
            assert_eq!(
                (reference.registry(), reference.repository(), reference.tag()),
                (registry, repository, Some(tag)),
                "{text}"
            );
        }
    }
}
