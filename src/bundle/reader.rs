//! The members of a container, each checked against its descriptor (V3).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    archive, codes,
    container::{Container, ContainerError, INDEX_MEMBER, Keep, LAYOUT_MEMBER, Member, Names, blob_name},
    digest::Digest,
    finding::{Code, Finding},
    limits::Limits,
    manifest::{Descriptor, Manifest, ManifestError},
    media,
    open::OpenError,
    tree::{Part, Visitor, count},
};

/// Gives the walk the members of a container, each checked against its descriptor.
pub(crate) struct Reader<'a> {
    container: &'a mut dyn Container,
    pub(crate) limits: &'a Limits,
    pub(crate) held: BTreeMap<Digest, Arc<[u8]>>,
    held_bytes: u64,
    pub(crate) present: BTreeSet<Digest>,
    pub(crate) absent: BTreeSet<Digest>,
    expected: Vec<String>,
    pub(crate) findings: Vec<Finding>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(container: &'a mut dyn Container, limits: &'a Limits, index_json: &[u8]) -> Self {
        Self {
            container,
            limits,
            held: BTreeMap::new(),
            held_bytes: count(index_json.len()),
            present: BTreeSet::new(),
            absent: BTreeSet::new(),
            expected: vec![LAYOUT_MEMBER.to_owned(), INDEX_MEMBER.to_owned()],
            findings: Vec::new(),
        }
    }

    fn bound(&self, descriptor: &Descriptor, part: Part) -> u64 {
        match part {
            Part::Manifest => self.limits.manifest_size,
            Part::Payload if descriptor.media_type == media::INVENTORY => self.limits.inventory_size,
            Part::Config | Part::Payload | Part::Layer => self.limits.evidence_size,
        }
    }

    pub(crate) fn find(&mut self, code: &'static Code, subject: impl ToString, message: impl Into<String>) {
        self.findings.push(Finding::new(code, subject, message));
    }

    /// Parses a document of carnet's own; `None` leaves a finding.
    pub(crate) fn own_manifest(&mut self, descriptor: &Descriptor, bytes: &[u8]) -> Option<Manifest> {
        match Manifest::parse(bytes, &descriptor.media_type) {
            Ok(manifest) => Some(manifest),
            Err(error) => {
                self.find(&codes::INDEX_MALFORMED, descriptor.digest, error.to_string());
                None
            }
        }
    }

    pub(crate) fn malformed_index<T>(&mut self, descriptor: &Descriptor, reason: &str) -> Option<T> {
        self.find(&codes::INDEX_MALFORMED, descriptor.digest, reason);
        None
    }

    /// Checks size and digest of a member against its descriptor (V3.1).
    fn matches(&mut self, descriptor: &Descriptor, member: &Member) -> bool {
        if member.digest != descriptor.digest {
            let message = format!("digest mismatch for {}: got {}, want {}", descriptor.digest, member.digest, descriptor.digest);
            self.find(&codes::BLOB_DIGEST_MISMATCH, descriptor.digest, message);
            return false;
        }
        if member.size != descriptor.size {
            let message = format!("size mismatch for {}: got {}, want {} bytes", descriptor.digest, member.size, descriptor.size);
            self.find(&codes::BLOB_SIZE_MISMATCH, descriptor.digest, message);
            return false;
        }
        true
    }

    fn hold(&mut self, digest: Digest, bytes: Vec<u8>) -> Result<Arc<[u8]>, OpenError> {
        self.held_bytes += count(bytes.len());
        if self.held_bytes > self.limits.memory {
            return Err(OpenError::Limit { what: "evidence held in memory", bound: self.limits.memory });
        }
        let bytes: Arc<[u8]> = bytes.into();
        self.held.insert(digest, Arc::clone(&bytes));
        Ok(bytes)
    }

    /// Compares the names of all members with those that the walk asked for (V1.2,
    /// V1.3, V3.3).
    pub(crate) fn finish(&mut self) -> Result<(), OpenError> {
        let names = self.container.finish()?;
        let (Names::Ordered(stored) | Names::Unordered(stored)) = &names;
        for name in archive::repeated(stored) {
            self.find(&codes::MEMBER_DUPLICATE, name.escape_debug(), "the name stands more than once");
        }
        let expected: BTreeSet<&String> = self.expected.iter().collect();
        let unlisted: Vec<String> = stored.iter().filter(|name| !expected.contains(name)).cloned().collect();
        for name in unlisted {
            self.find(&codes::MEMBER_NOT_LISTED, name.escape_debug(), "nothing in the tree of the bundle names it");
        }
        if let Names::Ordered(stored) = names
            && !self.findings.iter().any(Finding::is_failure)
            && let Some((got, want)) = stored.iter().zip(&self.expected).find(|(got, want)| got != want)
        {
            self.find(&codes::ARCHIVE_NOT_CANONICAL, got, format!("{got} stands where {want} is due"));
        }
        Ok(())
    }
}

impl Visitor for Reader<'_> {
    type Error = OpenError;

    fn blob(&mut self, descriptor: &Descriptor, part: Part) -> Result<Option<Arc<[u8]>>, OpenError> {
        let digest = descriptor.digest;
        let bound = self.bound(descriptor, part);
        if part != Part::Layer && descriptor.size > bound && !self.absent.contains(&digest) {
            return Err(ContainerError::Limit { what: format!("{digest} ({} bytes)", descriptor.size), bound }.into());
        }
        let keep = if part == Part::Layer { Keep::Digest } else { Keep::Bytes(bound) };
        let name = blob_name(&digest);
        if self.absent.contains(&digest) {
            return Ok(None);
        }
        let Some(member) = self.container.member(&name, keep)? else {
            self.find(&codes::MEMBER_MISSING, name, format!("{digest} is not in the container, and not declared absent"));
            return Ok(None);
        };
        self.expected.push(name);
        if !self.matches(descriptor, &member) {
            return Ok(None);
        }
        self.present.insert(digest);
        match (part, member.bytes) {
            (Part::Layer, _) => Ok(None),
            (_, Some(bytes)) => self.hold(digest, bytes).map(Some),
            (_, None) => Err(OpenError::Limit { what: "members out of order", bound: self.limits.memory }),
        }
    }

    fn held(&self, digest: &Digest) -> Option<Arc<[u8]>> {
        self.held.get(digest).cloned()
    }

    fn conflict(&mut self, descriptor: &Descriptor, first: u64) -> Result<(), OpenError> {
        let message =
            format!("size mismatch for {}: {} and {first} bytes by two descriptors", descriptor.digest, descriptor.size);
        self.find(&codes::BLOB_SIZE_MISMATCH, descriptor.digest, message);
        Ok(())
    }

    fn malformed(&mut self, digest: &Digest, error: ManifestError) -> Result<(), OpenError> {
        self.find(&codes::MANIFEST_MALFORMED, digest, error.to_string());
        Ok(())
    }

    fn limit(&mut self, what: &'static str, bound: u64) -> OpenError {
        OpenError::Limit { what, bound }
    }
}
