//! Git URLs: `host/org/repo//sub/dir?ref=REVISION`, in all the ways to write them.

use std::fmt;

use super::{UrlError, unsupported};
use crate::sources::{id::ObjectId, tree::unsafe_name};

/// A directory in a git repository at some revision.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct GitLocation {
    /// `https://…` or `file://…`, to clone from.
    pub repository: String,
    /// Directory below the root, without `.` and `..`; empty for the root.
    pub path: String,
    /// Branch, tag, full name of a reference, or object id; none for the default
    /// branch.
    pub revision: Option<String>,
}

/// What Conforma's git gatherer takes for its own.
pub(super) fn matches(text: &str) -> bool {
    if ["git@", "git://", "git::"].iter().any(|prefix| text.starts_with(prefix)) {
        return true;
    }
    !text.contains("::")
        && (["github.com", "gitlab.com", "bitbucket.org"].iter().any(|host| text.contains(host)) || text.ends_with(".git"))
}

pub(super) fn location(text: &str) -> Result<GitLocation, UrlError> {
    let refused = |reason| unsupported(text, reason);
    let plain = match text.strip_prefix("git@") {
        // go-gather asks over https, whatever the user meant by git@.
        Some(scp) => scp.replacen(':', "/", 1),
        None => ["git://", "git::", "https://"].iter().fold(text, |rest, p| rest.strip_prefix(p).unwrap_or(rest)).to_owned(),
    };
    let file = plain.strip_prefix("file://").or_else(|| plain.strip_prefix("file::"));
    let is_path = |path: &str| ["/", "./", "../"].iter().any(|start| path.starts_with(start));
    let (local, rest) = match file {
        Some(path) if is_path(path) => (true, path),
        Some(_) => return Err(refused("a repository on the disk is written git::file:///path")),
        None => (is_path(&plain), plain.as_str()),
    };
    if rest.contains('#') {
        return Err(refused("a fragment names nothing in a repository"));
    }
    let (address, query) = rest.split_once('?').unwrap_or((rest, ""));
    if address.contains("://") || address.contains("::") {
        return Err(refused("git is asked over https or on the disk only"));
    }
    let (base, inner) = split_path(address);
    let mut path = inner.map(|inner| decode(inner, false)).unwrap_or_else(|| Some(String::new()));
    let mut revision = None;
    for (key, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        match key {
            "ref" if revision.is_none() => {
                let value = decode(value, true).ok_or_else(|| refused("a malformed % escape"))?;
                let (name, inner) = value.split_once("//").map_or((value.as_str(), None), |(name, inner)| (name, Some(inner)));
                revision = Some(name.to_owned()).filter(|name| !name.is_empty());
                if let Some(inner) = inner {
                    // The path of the URL wins, as it is read last.
                    path = path.map(|path| if path.is_empty() { inner.to_owned() } else { path });
                }
            }
            "depth" => {}
            "ref" => return Err(refused("ref stands twice")),
            _ => return Err(refused("known parameters are ref and depth")),
        }
    }
    let path = normal(&path.ok_or_else(|| refused("a malformed % escape"))?).map_err(refused)?;
    if revision.as_deref().is_some_and(|name| name.starts_with('-') || name.contains(|c: char| c.is_control() || c == ' ')) {
        return Err(refused("not the name of a revision"));
    }
    let repository =
        if local { format!("file://{base}") } else { clone_url(base).ok_or_else(|| refused("want host/repository"))? };
    Ok(GitLocation { repository, path, revision })
}

/// Splits at the first `//`; a path on the disk may begin with none.
fn split_path(address: &str) -> (&str, Option<&str>) {
    match address.get(1..).and_then(|rest| rest.find("//")) {
        Some(at) => (address.get(..=at).unwrap_or_default(), address.get(at + 3..)),
        None => (address, None),
    }
}

fn clone_url(base: &str) -> Option<String> {
    let base = base.trim_end_matches('/');
    let (host, path) = base.split_once('/')?;
    let port = host.rsplit_once('@').map_or(host, |(_, host)| host).rsplit_once(':').map(|(_, port)| port);
    // host:org/repo is another form, and as a URL it has no valid port.
    if host.is_empty() || path.is_empty() || port.is_some_and(|port| port.parse::<u16>().is_err()) {
        return None;
    }
    let suffix = if base.ends_with(".git") { "" } else { ".git" };
    Some(format!("https://{base}{suffix}"))
}

fn normal(path: &str) -> Result<String, &'static str> {
    let names: Vec<_> = path.split('/').filter(|name| !matches!(*name, "" | ".")).collect();
    match names.iter().any(|name| unsafe_name(name).is_some()) {
        true => Err("the directory has a name that is refused"),
        false => Ok(names.join("/")),
    }
}

/// Undoes `%XX`, and `+` where the text stands in a query.
fn decode(text: &str, query: bool) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            b'+' if query => b' ',
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

/// `GitMetadata.GetPinnedURL` of go-gather, step by step.
pub(super) fn conforma_form(text: &str, commit: &ObjectId) -> String {
    let rest = ["git::", "git://", "https://"].iter().fold(text, |rest, prefix| rest.strip_prefix(prefix).unwrap_or(rest));
    let rest = match rest.strip_prefix("git@") {
        Some(scp) => scp.split("git@").next().unwrap_or_default().replacen(':', "/", 1),
        None => rest.to_owned(),
    };
    format!("git::{}?ref={commit}", rest.split("?ref=").next().unwrap_or_default())
}

/// The canonical form of the URL.
impl fmt::Display for GitLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "git::{}", self.repository.strip_prefix("https://").unwrap_or(&self.repository))?;
        if !self.path.is_empty() {
            write!(f, "//{}", escaped(&self.path))?;
        }
        match &self.revision {
            Some(revision) => write!(f, "?ref={}", escaped(revision)),
            None => Ok(()),
        }
    }
}

fn escaped(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/-._~".contains(c);
    let escape = |c: char| c.to_string().bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    text.chars().map(|c| if plain(c) { c.to_string() } else { escape(c) }).collect()
}
