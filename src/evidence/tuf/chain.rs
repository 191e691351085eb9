//! A chain that was followed to its end, and whether it is still fresh.

use std::fmt;

use carnet_bundle::{Digest, Finding, Severity};
use jiff::Timestamp;

use super::{
    metadata::{Metadata, Role},
    name,
};
use crate::{codes, trust_policy::Expired};

/// How a trust root was delivered by TUF.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Chain {
    held: Digest,
    held_version: u64,
    links: [Link; 4],
}

/// One file that vouches for the trust root.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Link {
    /// The role that signed it.
    pub role: Role,
    /// Its version.
    pub version: u64,
    /// When it expires.
    pub expires: Timestamp,
}

impl Chain {
    pub(super) fn new(held: Digest, held_version: u64, links: [Link; 4]) -> Self {
        Self { held, held_version, links }
    }

    /// SHA-256 of the `root.json` that the operator holds.
    pub fn held(&self) -> &Digest {
        &self.held
    }

    /// The files at its end: the last root, timestamp, snapshot, targets.
    pub fn links(&self) -> &[Link] {
        &self.links
    }

    /// §5.3.10, §5.4.4, §5.5.6, §5.6.5: what has expired at the time `at`, weighed
    /// as `rule` says.
    ///
    /// A bundle travels; a repository that was honest when it was collected is
    /// expired when it arrives. An expired chain cannot invent keys, but it may hide
    /// that one was withdrawn.
    pub fn findings(&self, at: Timestamp, rule: Expired) -> Vec<Finding> {
        let expired = self.links.iter().filter(|link| link.expires <= at);
        expired.map(|link| link.expired(at, rule, &self.held)).collect()
    }
}

impl Link {
    /// Its name in a repository with consistent snapshots, such as `3.root.json`.
    pub fn name(&self) -> String {
        name(self.role, self.version)
    }

    pub(super) fn of(metadata: &Metadata) -> Self {
        Self { role: metadata.role(), version: metadata.version(), expires: metadata.expires }
    }

    fn expired(&self, at: Timestamp, rule: Expired, held: &Digest) -> Finding {
        let Self { role, version, expires } = self;
        let since = at.duration_since(*expires);
        let message = format!("{role}.json of version {version} expired at {expires}, {} days ago", since.as_hours() / 24);
        let accepted = match rule {
            Expired::Fail => false,
            Expired::For(hours) => since <= jiff::SignedDuration::from_hours(i64::from(hours)),
            Expired::Warn => true,
        };
        let finding = Finding::new(&codes::TUF_METADATA_EXPIRED, held, message);
        if accepted { finding.with_severity(Severity::Warning) } else { finding }
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "carried in the bundle, verified from root.json {} of version {}:", self.held, self.held_version)?;
        let mut comma = "";
        for Link { role, version, .. } in &self.links {
            write!(f, "{comma} {role} {version}")?;
            comma = ",";
        }
        Ok(())
    }
}
