//! Sources: where the rules and data of a policy come from, and who says so.
//!
//! Whoever writes an archive controls every byte in it, the rules that judge it
//! included. So content is used only when something binds it that the operator
//! said: a commit id or a digest in policy.yaml, a lock, a directory, the id of
//! the bundle, or open acceptance. [`resolve`] decides that for every source and
//! hands out its files; content that a pin binds is hashed up to the pin again.
//!
//! Nothing here opens a file or a socket: what an archive carries comes through
//! [`Carried`], what lies on the operator's disk through [`LocalFiles`]. The
//! export room uses the same types to write what is read here.
//!
//! The normative text is `bundle-spec/policy.md` §4 and §5 (step V13.4).

pub mod archive;
pub mod artifact;
mod authority;
mod carried;
pub mod codes;
pub mod id;
pub mod limits;
pub mod lock;
pub mod objects;
mod pin;
pub mod tree;
pub mod url;

use std::{collections::BTreeMap, sync::Arc};

use carnet_bundle::{Digest, Finding};
use serde::Serialize;

use crate::document::{Policy, SourceGroup};
use authority::Resolver;

pub use lock::{Lock, LockedContent, LockedSource};
pub use pin::{PinError, rewrite};
pub use url::{Location, Revision, SourceUrl, UrlError};

/// One file of a source.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SourceFile {
    /// Path below the source, `/` between segments.
    pub path: String,
    /// The bytes.
    pub bytes: Arc<[u8]>,
}

/// What an archive carries for its sources.
pub trait Carried {
    /// The bytes of the policy lock, if there is one.
    fn lock(&self) -> Option<&[u8]>;

    /// The layer of the policy manifest of that digest. Its bytes have been hashed.
    fn layer(&self, digest: &Digest) -> Option<&[u8]>;
}

/// Reads directories on the disk of the operator.
pub trait LocalFiles {
    /// All regular files below the directory `path`, links followed, sorted by
    /// path; `path` is relative to the working directory.
    ///
    /// # Errors
    ///
    /// Returns what the system says, in a sentence that names the path.
    fn read(&self, path: &str) -> Result<Vec<SourceFile>, String>;
}

/// What the operator says about sources.
#[derive(Clone, Copy)]
pub struct Operator<'a> {
    /// `--policy-lock`.
    pub lock: Option<&'a Lock>,
    /// `--policy-source URL=DIRECTORY`: URL as in policy.yaml, and the directory.
    pub overrides: &'a [(String, String)],
    /// The operator pinned the id of the bundle, and it is that id.
    pub bundle_pinned: bool,
    /// `--accept-bundled-sources`, or `--accept-bundled-policy` with the carried
    /// policy in use.
    pub accept: bool,
    /// The operator's disk.
    pub local: &'a dyn LocalFiles,
}

/// Every source of a policy with its files.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The groups in the order of policy.yaml.
    pub groups: Vec<ResolvedGroup>,
    /// The policy as the report shows it: every URL in its pinned form.
    pub policy: Policy,
    /// What was used for each URL and why it may be, in the order of first use.
    pub used: Vec<UsedSource>,
}

/// The files of one source group.
#[derive(Clone, Debug)]
pub struct ResolvedGroup {
    /// Rules, in the order of policy.yaml; compiled together.
    pub policy: Vec<ResolvedSource>,
    /// Data, in the order of policy.yaml; each is a root of its own.
    pub data: Vec<ResolvedSource>,
}

/// One source with its files.
#[derive(Clone, Debug)]
pub struct ResolvedSource {
    /// The URL in its pinned form.
    pub pinned: String,
    /// Its files, sorted by path.
    pub files: Arc<[SourceFile]>,
}

/// What was used for a URL.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct UsedSource {
    /// The URL as written.
    pub url: String,
    /// Its pinned form, as Conforma prints it.
    pub pinned: String,
    /// What binds the content to the operator.
    pub anchor: Anchor,
    /// The directory, where [`Self::anchor`] is one of the operator's.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub directory: String,
    /// Number of files.
    pub files: usize,
}

/// What binds the content of a source to the operator.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Anchor {
    /// Nothing but open acceptance: the exporter's word.
    Accepted,
    /// The id of the bundle, which the operator pinned.
    BundleId,
    /// A directory of the operator: `--policy-source`, or a path in policy.yaml.
    Directory,
    /// The policy lock of the operator.
    Lock,
    /// The commit id or digest in policy.yaml.
    Pin,
}

impl std::fmt::Display for Anchor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Accepted => "open acceptance",
            Self::BundleId => "the pinned bundle id",
            Self::Directory => "a directory of yours",
            Self::Lock => "your policy lock",
            Self::Pin => "the pin in policy.yaml",
        })
    }
}

/// Why sources cannot be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SourcesError {
    /// The archive holds other content than the operator said: the verdict is
    /// fail, and rules are not evaluated.
    #[error("{}", sentences(.0))]
    Failed(Vec<Finding>),
    /// Nothing can be said before the operator says more: no verdict.
    #[error("{}", sentences(.0))]
    NoVerdict(Vec<Finding>),
}

impl SourcesError {
    /// The findings, one for each source that cannot be used.
    pub fn findings(&self) -> &[Finding] {
        match self {
            Self::Failed(findings) | Self::NoVerdict(findings) => findings,
        }
    }
}

fn sentences(findings: &[Finding]) -> String {
    findings.iter().map(|finding| finding.message.as_str()).collect::<Vec<_>>().join("\n")
}

/// Decides for every source of `policy` what may stand for it, and reads it
/// (step V13.4).
///
/// # Errors
///
/// Returns a [`SourcesError`] with a finding for every source that cannot be used.
pub fn resolve(policy: &Policy, carried: &dyn Carried, operator: &Operator<'_>) -> Result<Resolved, SourcesError> {
    let mut resolver = Resolver::new(carried, operator);
    let mut known: BTreeMap<(&str, bool), Result<ResolvedSource, ()>> = BTreeMap::new();
    let mut used = Vec::new();
    for group in &policy.sources {
        let rules = group.policy.iter().map(|url| (url.as_str(), true));
        for (url, is_rules) in rules.chain(group.data.iter().map(|url| (url.as_str(), false))) {
            if known.contains_key(&(url, is_rules)) {
                continue;
            }
            let outcome = match known.get(&(url, !is_rules)) {
                Some(outcome) => outcome.clone(),
                None => resolver.source(url).map(|(source, entry)| {
                    used.push(entry);
                    source
                }),
            };
            let outcome = outcome.and_then(|source| if is_rules { resolver.require_rules(url, source) } else { Ok(source) });
            known.insert((url, is_rules), outcome);
        }
    }
    resolver.finish()?;
    let find = |url: &String, is_rules| known.get(&(url.as_str(), is_rules)).and_then(|outcome| outcome.clone().ok());
    let group = |group: &SourceGroup| ResolvedGroup {
        policy: group.policy.iter().filter_map(|url| find(url, true)).collect(),
        data: group.data.iter().filter_map(|url| find(url, false)).collect(),
    };
    let groups = policy.sources.iter().map(group).collect();
    let pinned = |url: &mut String| {
        if let Some(entry) = used.iter().find(|entry| entry.url == *url) {
            url.clone_from(&entry.pinned);
        }
    };
    let mut policy = policy.clone();
    policy.sources.iter_mut().for_each(|group| group.policy.iter_mut().chain(&mut group.data).for_each(pinned));
    Ok(Resolved { groups, policy, used })
}
