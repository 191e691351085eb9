//! Where an import goes: a registry, a layout, or an archive of one.

use std::{path::PathBuf, str::FromStr};

use carnet_bundle::{Reference, ReferenceError};

/// Value of `--to`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Target {
    /// `docker-archive:FILE`: what `docker load` reads. It holds no evidence.
    DockerArchive(PathBuf),
    /// `oci:DIR`: an OCI layout.
    Layout(PathBuf),
    /// `oci-archive:FILE`: a tar of an OCI layout.
    LayoutArchive(PathBuf),
    /// A repository, with a tag if one is written.
    Repository(Place),
}

/// A repository, as an operator names it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Place {
    /// The repository; its tag means nothing.
    pub(crate) repository: Reference,
    /// The tag, if one was written.
    pub(crate) tag: Option<String>,
}

/// Value of `--map`: where images of a repository, or of all below a path, go.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Mapping {
    pub(crate) from: String,
    pub(crate) to: String,
}

/// Why a text is not a place to import to.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum TargetError {
    /// A digest says what is written, not where.
    #[error("{0}: a place has no digest")]
    Digest(String),
    /// Not `FROM=TO`.
    #[error("{0}: want FROM=TO, two repositories without tag")]
    Mapping(String),
    /// The path is missing.
    #[error("{0}: the path is missing")]
    NoPath(String),
    /// Not a repository.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let path = |prefix: &str| text.strip_prefix(prefix).map(PathBuf::from);
        let file = path("docker-archive:")
            .map(Self::DockerArchive)
            .or_else(|| path("oci:").map(Self::Layout))
            .or_else(|| path("oci-archive:").map(Self::LayoutArchive));
        match file {
            Some(Self::DockerArchive(path) | Self::Layout(path) | Self::LayoutArchive(path)) if path.as_os_str().is_empty() => {
                Err(TargetError::NoPath(text.to_owned()))
            }
            Some(file) => Ok(file),
            None => text.parse().map(Self::Repository),
        }
    }
}

impl FromStr for Place {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let repository: Reference = text.parse()?;
        if repository.digest().is_some() {
            return Err(TargetError::Digest(text.to_owned()));
        }
        // The parser adds `latest`, which nobody wrote.
        let written = text.rsplit('/').next().is_some_and(|last| last.contains(':'));
        let tag = repository.tag().filter(|_| written).map(str::to_owned);
        Ok(Self { repository, tag })
    }
}

impl FromStr for Mapping {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let wrong = || TargetError::Mapping(text.to_owned());
        let (from, to) = text.split_once('=').ok_or_else(wrong)?;
        let name = |side: &str| {
            let place: Place = side.parse()?;
            if place.tag.is_some() { Err(wrong()) } else { Ok::<_, TargetError>(place.repository.name()) }
        };
        // A host alone stands for everything below it.
        let host = |side: &str| format!("{side}/x").parse::<Reference>().is_ok_and(|r| r.registry() == side);
        let side = |side: &str| if !side.contains('/') && host(side) { Ok(side.to_owned()) } else { name(side) };
        Ok(Self { from: side(from)?, to: side(to)? })
    }
}

impl Mapping {
    /// Where images of `repository` go, if this says so.
    pub(crate) fn apply(&self, repository: &str) -> Option<String> {
        let rest = repository.strip_prefix(&self.from)?;
        (rest.is_empty() || rest.starts_with('/')).then(|| format!("{}{rest}", self.to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read_in_their_forms() {
        assert_eq!("oci:a".parse(), Ok(Target::Layout("a".into())));
        assert_eq!("oci-archive:/x/a.tar".parse(), Ok(Target::LayoutArchive("/x/a.tar".into())));
        assert_eq!("docker-archive:a.tar".parse(), Ok(Target::DockerArchive("a.tar".into())));
        for (text, name, tag) in [
            ("r.example:5000/a/b", "r.example:5000/a/b", None),
            ("r.example/a:v1", "r.example/a", Some("v1")),
            ("localhost/a", "localhost/a", None),
        ] {
            let Ok(Target::Repository(place)) = text.parse() else { panic!("{text}") };
            assert_eq!((place.repository.name().as_str(), place.tag.as_deref()), (name, tag), "{text}");
        }
        let digest = format!("r.example/a@sha256:{}", "0".repeat(64));
        for text in ["oci:", "docker-archive:", "r.example/UPPER", digest.as_str(), ""] {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_mapping_moves_a_repository_or_all_below_a_path() {
        let map = |text: &str, repository: &str| text.parse::<Mapping>().unwrap().apply(repository);
        assert_eq!(map("ghcr.io/org/app=r.example/x", "ghcr.io/org/app").as_deref(), Some("r.example/x"));
        assert_eq!(map("ghcr.io/org=r.example/m", "ghcr.io/org/app").as_deref(), Some("r.example/m/app"));
        assert_eq!(map("ghcr.io=r.example:5000", "ghcr.io/org/app").as_deref(), Some("r.example:5000/org/app"));
        assert_eq!(map("ghcr.io/org=r.example/m", "ghcr.io/organ/app"), None);
        for text in ["a", "=", "a/b:v1=c/d", "ghcr.io/a=r.example/B"] {
            assert!(text.parse::<Mapping>().is_err(), "{text}");
        }
    }
}
