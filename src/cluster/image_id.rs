//! What a container runtime says that a container runs: `imageID`.
//!
//! The kubelet passes on what the runtime gives it, and runtimes differ:
//!
//! | form | from | the digest is that of |
//! |---|---|---|
//! | `registry/repo@sha256:…` | containerd, CRI-O | what was pulled: an index or a manifest |
//! | `docker-pullable://registry/repo@sha256:…` | docker | the same |
//! | `sha256:…` | containerd, for images without a registry | the image's configuration |
//! | `docker://sha256:…` | docker, for images without a registry | the image's configuration |
//! | 64 hex digits | CRI-O, for images without a registry | the image's configuration |
//!
//! A configuration has no name in a registry: nothing can be pulled by it.

use carnet_bundle::{Digest, Reference};

/// What runs, as far as the runtime says it.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum ImageId {
    /// Digest of the image's configuration.
    Config(Digest),
    /// Nothing yet: the container has not been started.
    None,
    /// Name and digest of an index or a manifest.
    Pinned(Reference),
    /// A text of another form, kept for messages.
    Unknown(String),
}

impl ImageId {
    /// Reads `imageID` of a container status.
    pub(crate) fn parse(text: &str) -> Self {
        let text = text.trim();
        if text.is_empty() {
            return Self::None;
        }
        let bare = text.strip_prefix("docker-pullable://").or_else(|| text.strip_prefix("docker://")).unwrap_or(text);
        if let Ok(digest) = bare.parse().or_else(|_| Digest::from_hex(bare)) {
            return Self::Config(digest);
        }
        match bare.parse::<Reference>() {
            Ok(reference) if reference.digest().is_some() => Self::Pinned(reference),
            _ => Self::Unknown(text.to_owned()),
        }
    }

    /// The digest, whatever it is the digest of.
    pub(crate) fn digest(&self) -> Option<&Digest> {
        match self {
            Self::Config(digest) => Some(digest),
            Self::Pinned(reference) => reference.digest(),
            Self::None | Self::Unknown(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn every_runtime_is_understood() {
        let pinned = |name: &str| ImageId::Pinned(format!("{name}@sha256:{HEX}").parse().unwrap());
        let config = ImageId::Config(Digest::of(b""));
        for (text, want) in [
            (format!("registry.example/a/b@sha256:{HEX}"), pinned("registry.example/a/b")),
            (format!("docker.io/library/nginx@sha256:{HEX}"), pinned("nginx")),
            (format!("docker-pullable://nginx@sha256:{HEX}"), pinned("nginx")),
            (format!("registry.example:5000/a:v1@sha256:{HEX}"), pinned("registry.example:5000/a:v1")),
            (format!("sha256:{HEX}"), config.clone()),
            (format!("docker://sha256:{HEX}"), config.clone()),
            (HEX.to_owned(), config),
            (String::new(), ImageId::None),
            (" ".to_owned(), ImageId::None),
        ] {
            assert_eq!(ImageId::parse(&text), want, "{text}");
        }
    }

    #[test]
    fn a_text_without_a_digest_pins_nothing() {
        for text in ["nginx", "nginx:1.27", "docker://nginx", "sha256:12", "a@sha256:12", &format!("a@sha512:{HEX}"), "\u{1b}[2J"]
        {
            let id = ImageId::parse(text);
            assert!(id.digest().is_none() && matches!(id, ImageId::Unknown(_)), "{text}: {id:?}");
        }
    }
}
