//! Addresses of source repositories, as predicates and certificates write them.

use std::fmt;

/// A repository: scheme, host and path, in one spelling.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct SourceUrl {
    scheme: String,
    host: String,
    path: String,
    /// What stands behind `@`: a ref or a commit.
    pub(super) revision: Option<String>,
}

/// How alike two addresses are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Likeness {
    /// Another host or path.
    Different,
    /// Host and path are the same, reached in another way.
    OtherScheme,
    /// The same repository.
    Same,
}

impl SourceUrl {
    /// Reads `[git+]scheme://[user@]host[:port]/path[.git][@revision][#fragment]` and
    /// git's short form `user@host:path`. Only the schemes of git.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix("git+").unwrap_or(text);
        let text = text.split(['#', '?']).next().unwrap_or_default();
        let (scheme, authority, path) = match text.split_once("://") {
            Some((scheme, rest)) => {
                let (authority, path) = rest.split_once('/')?;
                (scheme.to_ascii_lowercase(), authority, path)
            }
            None => {
                let (authority, path) = text.split_once(':')?;
                let is_short = authority.contains('@') && !authority.contains('/');
                ("ssh".to_owned(), Some(authority).filter(|_| is_short)?, path)
            }
        };
        let port = match scheme.as_str() {
            "https" => ":443",
            "http" => ":80",
            "ssh" => ":22",
            "git" => ":9418",
            _ => return None,
        };
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host).to_ascii_lowercase();
        let host = host.strip_suffix(port).unwrap_or(&host).to_owned();
        let (path, revision) = match path.split_once('@') {
            Some((path, revision)) => (path, Some(revision.to_owned()).filter(|revision| !revision.is_empty())),
            None => (path, None),
        };
        let path = path.trim_matches('/');
        let path = path.strip_suffix(".git").unwrap_or(path).to_owned();
        (!host.is_empty() && !path.is_empty()).then_some(Self { scheme, host, path, revision })
    }

    /// The repository of a workflow at a ref: `https://github.com/o/r/.github/…@ref`,
    /// `https://gitlab.com/g/p//.gitlab-ci.yml@ref`.
    pub(super) fn of_workflow(text: &str) -> Option<Self> {
        let mut url = Self::parse(text)?;
        url.revision.as_ref()?;
        let repository = url.path.split_once("//").or_else(|| url.path.split_once("/.github/")).map(|(path, _)| path.to_owned());
        url.path = repository?;
        Some(url)
    }

    pub(super) fn likeness(&self, other: &Self) -> Likeness {
        match (self.host == other.host && self.path == other.path, self.scheme == other.scheme) {
            (false, _) => Likeness::Different,
            (true, false) => Likeness::OtherScheme,
            (true, true) => Likeness::Same,
        }
    }
}

impl fmt::Display for SourceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}/{}", self.scheme, self.host, self.path)
    }
}
