//! The TUF chain that a bundle carries: which trust root does it deliver to someone
//! who holds an earlier `root.json`?
//!
//! Input is the `root.json` that the *operator* holds and the metadata that
//! travelled: later roots, timestamp, snapshot, targets and the target itself.
//! Output is a [`Chain`] and the bytes that it delivers, or a [`TufError`]. No
//! repository is asked, so what the bundle does not carry does not exist; what is
//! there is checked in the order of the client workflow. Expiry alone takes a time,
//! and is a freshness rule: [`Chain::findings`].
//!
//! Follows the [TUF specification 1.0.34], §5; each check names its section. Not
//! followed: delegations, for a Sigstore repository lists its trust root in the
//! top-level targets. Stricter: JSON without duplicate keys, thresholds that count
//! distinct keys and not only distinct key ids.
//!
//! The `sigstore-tuf` crate, the client of the near side, is not used here: it
//! counts key ids, reads duplicate keys, and brings temporary files along.
//!
//! [TUF specification 1.0.34]: https://theupdateframework.github.io/specification/v1.0.34/

mod chain;
mod error;
mod key;
mod metadata;

use std::collections::BTreeMap;

use carnet_bundle::{Digest, media};

pub use chain::{Chain, Link};
pub use error::TufError;
pub use metadata::Role;

use crate::trust_policy::TufVersions;
use metadata::{FilePin, Metadata, Root, Signed};

/// Media type of the control documents that hold TUF metadata.
pub const MEDIA_TYPE: &str = media::TUF_METADATA;
/// The target that is the trust root of a Sigstore instance.
pub const TARGET: &str = "trusted_root.json";
/// Steps from one root to the next; the bound that §5.3.3 proposes.
const ROOTS: u64 = 1024;

/// What is at hand of one TUF repository. Nothing in it is trusted yet.
///
/// Files are known by what they are, never by their names (stops: a name that is
/// used as a path, CVE-2024-47534 and the like).
#[derive(Clone, Debug, Default)]
pub struct Repository<'a> {
    metadata: BTreeMap<(Role, u64), (Metadata, &'a [u8])>,
    targets: Vec<&'a [u8]>,
}

impl<'a> Repository<'a> {
    /// Adds a metadata file, and returns the name that it has in a repository with
    /// consistent snapshots, such as `3.root.json`.
    ///
    /// # Errors
    ///
    /// Returns a [`TufError`] when it cannot be read, and for a second file of one
    /// role and version that says something else: one archive carries one repository.
    pub fn add_metadata(&mut self, bytes: &'a [u8]) -> Result<String, TufError> {
        let metadata = Metadata::parse(bytes)?;
        let (role, version) = (metadata.role(), metadata.version());
        let name = name(role, version);
        let twice = || TufError::Malformed { name: name.clone(), reason: "carried twice, with different content".to_owned() };
        if role == Role::Timestamp && self.of(role).any(|(other, _)| other != version) {
            return Err(twice());
        }
        match self.metadata.get(&(role, version)) {
            Some((other, _)) if !other.says_the_same(&metadata) => Err(twice()),
            Some(_) => Ok(name),
            None => {
                self.metadata.insert((role, version), (metadata, bytes));
                Ok(name)
            }
        }
    }

    /// Adds a file that may be the target.
    pub fn add_target(&mut self, bytes: &'a [u8]) {
        self.targets.push(bytes);
    }

    /// Whether no metadata was added.
    pub fn is_empty(&self) -> bool {
        self.metadata.is_empty()
    }

    /// The root with this digest: for an operator who holds the digest of a root.
    pub fn root(&self, digest: &Digest) -> Option<&'a [u8]> {
        self.of(Role::Root).map(|(_, bytes)| bytes).find(|bytes| Digest::of(bytes) == *digest)
    }

    /// The oldest root: where the exporter begins to see that the chain holds.
    pub fn oldest_root(&self) -> Option<&'a [u8]> {
        self.of(Role::Root).map(|(_, bytes)| bytes).next()
    }

    /// Follows the chain from `held`, the root that is trusted, to the target.
    /// Versions below `floors` are refused.
    ///
    /// # Errors
    ///
    /// Returns a [`TufError`] for the first check that fails, in the order of §5.
    pub fn deliver(&self, held: &[u8], floors: &TufVersions) -> Result<(Chain, &'a [u8]), TufError> {
        // §5.2: the held root is trusted as it is; a threshold of its own keys says
        // that it is whole.
        let first = Metadata::parse(held)?;
        let Signed::Root(root) = &first.signed else { return Err(TufError::Missing { name: "root.json".to_owned() }) };
        first.check(root, Role::Root)?;
        let (last, root) = self.last_root(&first, root)?;
        floor(last, floors.root)?;

        // §5.4.2: the timestamp is signed by the role's keys; §5.4.3: no rollback.
        let newest = self.of(Role::Timestamp).next().map(|(version, _)| version);
        let (timestamp, _) = self.find(Role::Timestamp, newest)?;
        timestamp.check(root, Role::Timestamp)?;
        floor(timestamp, floors.timestamp)?;
        let snapshot = self.pinned(root, timestamp, Role::Snapshot)?;
        floor(snapshot, floors.snapshot)?;
        let targets = self.pinned(root, snapshot, Role::Targets)?;
        floor(targets, floors.targets)?;

        let Signed::Targets(list) = &targets.signed else { return Err(missing(Role::Targets, None)) };
        let target = self.target(list.targets.get(TARGET))?;
        let links = [last, timestamp, snapshot, targets].map(Link::of);
        Ok((Chain::new(Digest::of(held), first.version(), links), target))
    }

    /// §5.3: every root is signed by a threshold of the one before it and of its own
    /// keys, and its version is one more.
    fn last_root<'m>(&'m self, held: &'m Metadata, trusted: &'m Root) -> Result<(&'m Metadata, &'m Root), TufError> {
        let (mut last, mut trusted) = (held, trusted);
        for (version, _) in self.of(Role::Root).filter(|(version, _)| *version > held.version()) {
            // §5.3.5. A later root behind a gap is no end of the chain: one was
            // taken out.
            let want = last.version().saturating_add(1);
            if version != want || want - held.version() > ROOTS {
                return Err(TufError::Version { name: "root.json".to_owned(), got: version, want });
            }
            let (next, _) = self.find(Role::Root, Some(version))?;
            let Signed::Root(root) = &next.signed else { return Err(missing(Role::Root, Some(version))) };
            // §5.3.4, both halves; §5.3.6: its expiry does not matter yet.
            next.check(trusted, Role::Root)?;
            next.check(root, Role::Root)?;
            (last, trusted) = (next, root);
        }
        Ok((last, trusted))
    }

    /// §5.5 and §5.6: the file that `by` names, checked by digest, signatures and
    /// version in that order.
    fn pinned(&self, root: &Root, by: &Metadata, role: Role) -> Result<&Metadata, TufError> {
        let name = format!("{role}.json");
        let (Signed::Timestamp(list) | Signed::Snapshot(list)) = &by.signed else { return Err(missing(role, None)) };
        let pin = list.meta.get(&name).ok_or_else(|| TufError::Malformed {
            name: self::name(by.role(), by.version()),
            reason: format!("does not name {name}"),
        })?;
        let (file, bytes) = self.find(role, Some(pin.version))?;
        // §5.5.2, §5.6.2.
        pin.file.check(&self::name(role, pin.version), bytes)?;
        // §5.5.3, §5.6.3. The version (§5.5.4, §5.6.4) is how it was found.
        file.check(root, role)?;
        Ok(file)
    }

    /// §5.7: the target is the file with the length and digests that the targets
    /// list.
    fn target(&self, pin: Option<&FilePin>) -> Result<&'a [u8], TufError> {
        let pin = pin.ok_or_else(|| TufError::Missing { name: TARGET.to_owned() })?;
        let mut refused = TufError::Missing { name: TARGET.to_owned() };
        if pin.hashes.as_ref().is_none_or(BTreeMap::is_empty) {
            return Err(TufError::Malformed { name: TARGET.to_owned(), reason: "listed without a digest".to_owned() });
        }
        for bytes in &self.targets {
            match pin.check(TARGET, bytes) {
                Ok(()) => return Ok(bytes),
                Err(error) => refused = error,
            }
        }
        Err(refused)
    }

    fn of(&self, role: Role) -> impl Iterator<Item = (u64, &'a [u8])> {
        self.metadata.range((role, 0)..=(role, u64::MAX)).map(|((_, version), (_, bytes))| (*version, *bytes))
    }

    fn find(&self, role: Role, version: Option<u64>) -> Result<(&Metadata, &'a [u8]), TufError> {
        let found = version.and_then(|version| self.metadata.get(&(role, version)));
        let (metadata, bytes) = found.ok_or_else(|| match (self.of(role).last(), version) {
            (Some((got, _)), Some(want)) => TufError::Version { name: format!("{role}.json"), got, want },
            _ => missing(role, version),
        })?;
        Ok((metadata, bytes))
    }
}

/// §5.4.3.1, §5.5.5: not below the least version that the operator knows of.
fn floor(metadata: &Metadata, floor: Option<u32>) -> Result<(), TufError> {
    let got = metadata.version();
    match floor.map(u64::from).filter(|floor| got < *floor) {
        Some(floor) => Err(TufError::Rollback { name: format!("{}.json", metadata.role()), got, floor }),
        None => Ok(()),
    }
}

fn missing(role: Role, version: Option<u64>) -> TufError {
    TufError::Missing { name: version.map_or_else(|| format!("{role}.json"), |version| name(role, version)) }
}

/// §6.2: the name of a file in a repository with consistent snapshots.
fn name(role: Role, version: u64) -> String {
    match role {
        Role::Timestamp => "timestamp.json".to_owned(),
        role => format!("{version}.{role}.json"),
    }
}
