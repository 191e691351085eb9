//! What a URL under `sources` names, read as Conforma reads it.
//!
//! The order of the questions and the forms are those of Conforma's downloader
//! (`internal/downloader` of conforma/cli 0.9 with go-gather 1.2.0): OCI by its
//! prefix, a single file over https, a local path, git, then hosts known as OCI
//! registries. Whatever Conforma would mangle into another URL is refused.

mod git;
mod registry;

use std::fmt;

use carnet_bundle::{Digest, Reference, ReferenceError};

use super::id::ObjectId;

pub use git::GitLocation;

/// A URL of `policy` or `data`, as written, and what it names.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SourceUrl {
    text: String,
    location: Location,
}

/// What a URL names.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Location {
    /// A directory in a git repository.
    Git(GitLocation),
    /// One file, over https.
    Https {
        /// The URL to ask.
        url: String,
        /// Last segment of its path, the name of the file.
        name: String,
    },
    /// A directory on the disk of whoever runs the program.
    Local {
        /// The path without scheme.
        path: String,
    },
    /// An OCI artifact.
    Oci {
        /// Where it is.
        reference: Reference,
    },
}

/// The exact content that a URL stands for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Revision {
    /// A git commit.
    Commit(ObjectId),
    /// The manifest of an OCI artifact.
    Manifest(Digest),
}

/// Why a text is no source.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// Plain http, which whoever is on the way can change.
    #[error("attempting to download from insecure source: {0}")]
    Insecure(String),
    /// The reference of an OCI artifact is none.
    #[error("{url}: {source}")]
    Reference {
        /// The URL as written.
        url: String,
        /// What is wrong with it.
        source: ReferenceError,
    },
    /// A form that nothing downloads, or that would become another URL.
    #[error("{url}: {reason}")]
    Unsupported {
        /// The URL as written.
        url: String,
        /// Why it is refused.
        reason: &'static str,
    },
}

impl SourceUrl {
    /// Reads a URL as written in policy.yaml.
    ///
    /// # Errors
    ///
    /// Returns a [`UrlError`] for plain http and for forms that Conforma does not
    /// download either.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        if is_insecure(text) {
            return Err(UrlError::Insecure(text.to_owned()));
        }
        let location = if text.starts_with("oci://") || text.starts_with("oci::") {
            registry::location(text)?
        } else if is_single_file(text) {
            https(text)?
        } else if let Some(path) = local_path(text) {
            Location::Local { path: path.to_owned() }
        } else if git::matches(text) {
            Location::Git(git::location(text)?)
        } else if registry::matches(text) {
            registry::location(text)?
        } else if text.contains("::") || text.contains("://") || text.trim().is_empty() {
            return Err(unsupported(text, "not a git, OCI, https or file source"));
        } else {
            // Conforma asks the disk whether it exists.
            Location::Local { path: text.to_owned() }
        };
        Ok(Self { text: text.to_owned(), location })
    }

    /// The text as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What it names.
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// The content that the URL itself fixes: a full commit id or a digest. A
    /// branch, a tag or a short id fixes nothing.
    pub fn pin(&self) -> Option<Revision> {
        match &self.location {
            Location::Git(git) => git.revision.as_deref()?.parse().ok().map(Revision::Commit),
            Location::Oci { reference } => reference.digest().copied().map(Revision::Manifest),
            Location::Https { .. } | Location::Local { .. } => None,
        }
    }

    /// What Conforma's report prints for this source once `revision` has been
    /// downloaded (`GetPinnedURL` of go-gather), whatever it makes of the rest.
    pub fn conforma_form(&self, revision: Option<&Revision>) -> String {
        let strip = |prefixes: &[&str]| {
            prefixes.iter().fold(self.text.as_str(), |rest, prefix| rest.strip_prefix(prefix).unwrap_or(rest)).to_owned()
        };
        match (&self.location, revision) {
            (Location::Git(_), Some(Revision::Commit(commit))) => git::conforma_form(&self.text, commit),
            (Location::Oci { .. }, Some(Revision::Manifest(digest))) => {
                let name = strip(&["oci::", "oci://", "https://"]);
                format!("oci::{}@{digest}", name.split('@').next().unwrap_or_default())
            }
            (Location::Https { .. }, _) => format!("http::{}", strip(&["http://", "https://", "http::"])),
            (Location::Local { .. }, _) => format!("file::{}", strip(&["file::", "file://"])),
            _ => self.text.clone(),
        }
    }

    /// The line to write in policy.yaml to fix `revision`: Conforma's own form
    /// where that still names the same thing, else the same thing spelt out.
    /// `None` where no form fixes the content.
    pub fn pinned_line(&self, revision: &Revision) -> Option<String> {
        let own = self.conforma_form(Some(revision));
        match (&self.location, revision) {
            (Location::Git(git), Revision::Commit(commit)) => {
                let pinned = GitLocation { revision: Some(commit.to_string()), ..git.clone() };
                let same = Self::parse(&own).is_ok_and(|url| url.location == Location::Git(pinned.clone()));
                Some(if same { own } else { pinned.to_string() })
            }
            (Location::Oci { .. }, Revision::Manifest(_)) => Some(own),
            _ => None,
        }
    }
}

impl fmt::Display for SourceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn unsupported(url: &str, reason: &'static str) -> UrlError {
    UrlError::Unsupported { url: url.to_owned(), reason }
}

/// `http:…` and `git::http:…`, in any case.
fn is_insecure(text: &str) -> bool {
    let lower = text.trim_start().to_ascii_lowercase();
    let getter = lower.split_once("::").filter(|(getter, _)| getter.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    lower.starts_with("http:") || getter.is_some_and(|(_, rest)| rest.starts_with("http:"))
}

/// An https URL whose host is not one of the three that are asked as git.
fn is_single_file(text: &str) -> bool {
    let scheme = text.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://"));
    let host = host(text.get(8..).unwrap_or_default());
    let of_git = ["github.com", "gitlab.com", "bitbucket.org"]
        .iter()
        .any(|vendor| host.strip_suffix(vendor).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')));
    scheme && !host.is_empty() && !of_git
}

/// Host of what follows a scheme, without user and port, in lower case.
fn host(rest: &str) -> String {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let address = authority.rsplit_once('@').map_or(authority, |(_, address)| address);
    let host = match address.strip_prefix('[').and_then(|v6| v6.split_once(']')) {
        Some((v6, _)) => v6,
        None => address.split(':').next().unwrap_or_default(),
    };
    host.to_ascii_lowercase()
}

fn https(text: &str) -> Result<Location, UrlError> {
    let path = text.get(8..).and_then(|rest| rest.split(['?', '#']).next()).unwrap_or_default();
    let name = path.split_once('/').map_or("", |(_, path)| path).trim_end_matches('/');
    let name = name.rsplit('/').next().unwrap_or_default();
    if name.is_empty() || super::tree::unsafe_name(name).is_some() {
        return Err(unsupported(text, "the URL of a file ends with its name"));
    }
    Ok(Location::Https { url: text.to_owned(), name: name.to_owned() })
}

fn local_path(text: &str) -> Option<&str> {
    let stripped = text.strip_prefix("file://").or_else(|| text.strip_prefix("file::"));
    let is_path = ["/", "./", "../"].iter().any(|start| text.starts_with(start)) || matches!(text, "." | "..");
    stripped.or(is_path.then_some(text)).filter(|path| !path.is_empty())
}

#[cfg(test)]
mod tests;
