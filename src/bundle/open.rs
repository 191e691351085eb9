//! Gate 1: is every byte the one that was exported (`bundle-spec/verify.md` V1–V4)?
//!
//! One pass over the container. The walk asks for each member in canonical order
//! and everything that can be derived is derived again and compared. A wrong
//! bundle is a list of findings; an error means that no verdict is possible.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde_json::Value;

use crate::{
    archive, codes,
    container::{Container, ContainerError, INDEX_MEMBER, Keep, LAYOUT_MEMBER, Member, Names, blob_name},
    derive::{self, OCI_LAYOUT},
    digest::Digest,
    finding::{Code, Finding},
    inventory::{Inventory, Mode, SCHEMA_NAME},
    json::{self, JsonError},
    limits::Limits,
    manifest::{Descriptor, Manifest, ManifestError},
    media,
    plan::content_id,
    recheck,
    tree::{Part, Tree, Visitor, Walk, count},
};

/// What gate 1 found out.
#[derive(Debug)]
pub struct Opened {
    /// The bundle id as `index.json` names it.
    pub id: Digest,
    /// The bundle. `None` when its index or inventory cannot be relied on; there
    /// is a failure among the findings then.
    pub bundle: Option<Bundle>,
    /// What is wrong with the container and its content.
    pub findings: Vec<Finding>,
}

/// A bundle whose held bytes all have the digests that name them.
///
/// Blobs that failed a check are not in here: nothing judges their content.
#[derive(Debug)]
pub struct Bundle {
    id: Digest,
    content_id: Digest,
    inventory: Inventory,
    tree: Tree,
    control: Manifest,
    policy: Option<Manifest>,
    held: BTreeMap<Digest, Arc<[u8]>>,
    present: BTreeSet<Digest>,
}

/// A document that the control or policy manifest names.
#[derive(Clone, Copy, Debug)]
pub struct CarriedDocument<'a> {
    /// Media type of its layer.
    pub media_type: &'a str,
    /// File name.
    pub title: &'a str,
    /// Digest of its bytes.
    pub digest: Digest,
    /// Its bytes.
    pub bytes: &'a [u8],
}

/// Why there can be no verdict.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The container itself is unreadable, see [`ContainerError`].
    #[error(transparent)]
    Container(#[from] ContainerError),
    /// A feature that the bundle calls critical is unknown to this reader.
    #[error("the bundle needs a newer carnet: unknown critical feature {0:?}")]
    Critical(String),
    /// A document that could not be computed for comparison.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// A bound of [`Limits`] was exceeded.
    #[error("{what} exceeds the limit of {bound}")]
    Limit {
        /// What was counted.
        what: &'static str,
        /// The bound.
        bound: u64,
    },
    /// There is no carnet bundle in the container.
    #[error("not a carnet archive: {0}")]
    NoBundle(String),
    /// A mode or major version that this reader does not judge.
    #[error("unsupported bundle: {0}")]
    Unsupported(String),
}

/// Reads a bundle to its end and checks its integrity.
///
/// # Errors
///
/// Returns an [`OpenError`] when no verdict is possible: outside the container
/// grammar, cut off, over a limit, no bundle, or a bundle of a newer kind.
pub fn open(container: &mut dyn Container, limits: &Limits) -> Result<Opened, OpenError> {
    let start = read_start(container, limits)?;
    let id = start.id.digest;
    let mut findings = start.findings;
    let reader = Reader::new(container, limits, &start.index_json);
    let mut walk = Walk::new(reader, limits);
    let parts = match Parts::read(&mut walk, &start.id)? {
        Some(parts) => parts,
        None => {
            walk.visitor.finish()?;
            findings.append(&mut walk.visitor.findings);
            return Ok(Opened { id, bundle: None, findings });
        }
    };
    for (root, _) in &parts.roots {
        walk.image(root)?;
    }
    let policy = match &parts.policy {
        Some(descriptor) => walk.documents(descriptor)?,
        None => None,
    };
    for evidence in &parts.evidence {
        walk.evidence(evidence)?;
    }
    let fallback = derive::fallback_indexes(&walk.tree)?;
    for index in &fallback {
        walk.once(&derive::descriptor(media::OCI_INDEX, &index.bytes), Part::Manifest)?;
    }
    walk.layers()?;
    let Walk { visitor: mut reader, tree, .. } = walk;
    reader.finish()?;
    findings.append(&mut reader.findings);

    let expected = derive::index_json(&start.id, &parts.inventory, &tree, &fallback)?;
    if expected != start.index_json {
        findings.push(Finding::new(&codes::INDEX_JSON_MISMATCH, INDEX_MEMBER, recheck::difference(&start.index_json, &expected)));
    }
    let bundle = Bundle {
        id,
        content_id: content_id(&parts.inventory, &tree)?,
        inventory: parts.inventory,
        tree,
        control: parts.control,
        policy,
        held: reader.held,
        present: reader.present,
    };
    findings.extend(recheck::inventory(&bundle, &parts.roots, &parts.evidence));
    Ok(Opened { id, bundle: Some(bundle), findings })
}

impl Bundle {
    /// The bundle id: digest of the bundle index.
    pub fn id(&self) -> Digest {
        self.id
    }

    /// The content id: what two exports of the same things have in common.
    pub fn content_id(&self) -> Digest {
        self.content_id
    }

    /// The map of the bundle.
    pub fn inventory(&self) -> &Inventory {
        &self.inventory
    }

    /// Manifests, images and layers.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// The manifest of that digest, if it is here and could be read.
    pub fn manifest(&self, digest: &Digest) -> Option<&Manifest> {
        self.tree.manifest(digest)
    }

    /// The bytes of a held blob; never those of an image layer.
    pub fn blob(&self, digest: &Digest) -> Option<&[u8]> {
        self.held.get(digest).map(AsRef::as_ref)
    }

    /// Whether the container holds that blob, with the right bytes.
    pub fn has(&self, digest: &Digest) -> bool {
        self.present.contains(digest)
    }

    /// The control documents in their order, the inventory excepted.
    pub fn documents(&self) -> impl Iterator<Item = CarriedDocument<'_>> {
        self.carried(self.control.layers().get(1..).unwrap_or_default())
    }

    /// The layers of the policy manifest in their order.
    pub fn policy_documents(&self) -> impl Iterator<Item = CarriedDocument<'_>> {
        self.carried(self.policy.as_ref().map(Manifest::layers).unwrap_or_default())
    }

    fn carried<'a>(&'a self, layers: &'a [Descriptor]) -> impl Iterator<Item = CarriedDocument<'a>> {
        layers.iter().filter_map(|layer| {
            Some(CarriedDocument {
                media_type: &layer.media_type,
                title: layer.annotations.get(derive::TITLE).map_or("", String::as_str),
                digest: layer.digest,
                bytes: self.blob(&layer.digest)?,
            })
        })
    }
}

/// `oci-layout`, `index.json` and the one entry that names the bundle.
struct Start {
    index_json: Vec<u8>,
    id: Descriptor,
    findings: Vec<Finding>,
}

fn read_start(container: &mut dyn Container, limits: &Limits) -> Result<Start, OpenError> {
    let layout = required(container, LAYOUT_MEMBER, limits)?;
    let mut findings = Vec::new();
    if layout.bytes.as_deref() != Some(OCI_LAYOUT) {
        findings.push(Finding::new(&codes::INDEX_JSON_MISMATCH, LAYOUT_MEMBER, "not the one OCI layout of version 1.0.0"));
    }
    let index = required(container, INDEX_MEMBER, limits)?;
    let index_json = index.bytes.unwrap_or_default();
    let id = bundle_descriptor(&index_json)?;
    Ok(Start { index_json, id, findings })
}

fn required(container: &mut dyn Container, name: &str, limits: &Limits) -> Result<Member, OpenError> {
    let member = container.member(name, Keep::Bytes(limits.manifest_size))?;
    member.ok_or_else(|| OpenError::NoBundle(format!("there is no {name}")))
}

/// Finds the entry of the bundle index (V2.1).
fn bundle_descriptor(index_json: &[u8]) -> Result<Descriptor, OpenError> {
    let no_bundle = |reason: String| OpenError::NoBundle(format!("{INDEX_MEMBER}: {reason}"));
    let index = Manifest::parse(index_json, media::OCI_INDEX).map_err(|e| no_bundle(e.to_string()))?;
    let artifact = |d: &&Descriptor| d.artifact_type.as_deref().is_some_and(|t| t.starts_with("application/vnd.carnet.bundle."));
    let mut bundles = index.children().iter().filter(artifact);
    let entry = bundles.next().ok_or_else(|| no_bundle(format!("no entry has artifactType {}", media::BUNDLE)))?;
    if bundles.next().is_some() {
        return Err(no_bundle("more than one bundle".to_owned()));
    }
    match entry.artifact_type.as_deref() {
        Some(media::BUNDLE) => Ok(Descriptor { artifact_type: None, annotations: BTreeMap::new(), ..entry.clone() }),
        other => Err(OpenError::Unsupported(format!("{}, this carnet reads {}", other.unwrap_or_default(), media::BUNDLE))),
    }
}

/// What the bundle index names, in its order (V2.3).
struct Parts {
    control: Manifest,
    inventory: Inventory,
    roots: Vec<(Descriptor, String)>,
    policy: Option<Descriptor>,
    evidence: Vec<Descriptor>,
}

impl Parts {
    /// Reads bundle index, control manifest and inventory. `None` when one of them
    /// cannot be relied on.
    fn read(walk: &mut Walk<'_, Reader<'_>>, id: &Descriptor) -> Result<Option<Self>, OpenError> {
        let Some(bytes) = walk.once(id, Part::Manifest)? else { return Ok(None) };
        let Some(index) = walk.visitor.own_manifest(id, &bytes) else { return Ok(None) };
        let Some((control_entry, rest)) = index.children().split_first() else {
            return Ok(walk.visitor.malformed_index(id, "it names nothing"));
        };
        let roots: Vec<_> = rest.iter().map_while(root).collect();
        let rest = rest.get(roots.len()..).unwrap_or_default();
        let is_policy = |d: &&Descriptor| d.artifact_type.as_deref() == Some(media::POLICY);
        let policy = rest.first().filter(is_policy).cloned();
        let evidence = rest.get(usize::from(policy.is_some())..).unwrap_or_default().to_vec();
        let again = derive::bundle_index(control_entry, &roots, policy.as_ref(), &evidence)?;
        if again != bytes.as_ref() || !evidence.is_sorted_by(|a, b| a.digest < b.digest) || roots.is_empty() {
            return Ok(walk
                .visitor
                .malformed_index(id, "want control manifest, image roots, policy manifest, then evidence by digest"));
        }
        let Some((control, inventory)) = Self::read_control(walk, control_entry)? else { return Ok(None) };
        Ok(Some(Self { control, inventory, roots, policy, evidence }))
    }

    fn read_control(walk: &mut Walk<'_, Reader<'_>>, entry: &Descriptor) -> Result<Option<(Manifest, Inventory)>, OpenError> {
        let Some(control) = walk.documents(entry)? else { return Ok(None) };
        let Some(layer) = control.layers().first().filter(|layer| layer.media_type == media::INVENTORY) else {
            return Ok(walk.visitor.malformed_index(entry, "layer 0 of the control manifest is not the inventory"));
        };
        let Some(bytes) = walk.visitor.held.get(&layer.digest).cloned() else { return Ok(None) };
        let inventory = read_inventory(&bytes)?;
        if json::canonical(&inventory)? != bytes.as_ref() {
            walk.visitor.findings.push(Finding::new(&codes::DOCUMENT_NOT_CANONICAL, layer.digest, "inventory.json"));
        }
        walk.visitor.absent = inventory.absent.iter().map(|absence| absence.digest).collect();
        Ok(Some((control, inventory)))
    }
}

fn root(descriptor: &Descriptor) -> Option<(Descriptor, String)> {
    let reference = descriptor.annotations.get(media::REF_NAME)?;
    Some((descriptor.clone(), reference.clone()))
}

/// Reads the inventory; an unknown critical feature or mode ends here (V2.4).
fn read_inventory(bytes: &[u8]) -> Result<Inventory, OpenError> {
    let unreadable = |e: JsonError| OpenError::NoBundle(format!("inventory: {e}"));
    let value = json::parse(bytes).map_err(unreadable)?;
    let critical = value.get("critical").and_then(Value::as_array).into_iter().flatten();
    if let Some(feature) = critical.map(|feature| feature.as_str().unwrap_or("?").to_owned()).next() {
        return Err(OpenError::Critical(feature));
    }
    let inventory: Inventory = json::from_value(value).map_err(unreadable)?;
    if inventory.schema.name != SCHEMA_NAME || inventory.schema.major != 0 {
        return Err(OpenError::Unsupported(format!("inventory {} {}", inventory.schema.name, inventory.schema.major)));
    }
    match inventory.mode {
        Mode::Full => Ok(inventory),
        Mode::Thin => Err(OpenError::Unsupported("mode \"thin\" is reserved".to_owned())),
    }
}

/// Gives the walk the members of a container, each checked against its descriptor.
struct Reader<'a> {
    container: &'a mut dyn Container,
    limits: &'a Limits,
    held: BTreeMap<Digest, Arc<[u8]>>,
    held_bytes: u64,
    present: BTreeSet<Digest>,
    absent: BTreeSet<Digest>,
    expected: Vec<String>,
    findings: Vec<Finding>,
}

impl<'a> Reader<'a> {
    fn new(container: &'a mut dyn Container, limits: &'a Limits, index_json: &[u8]) -> Self {
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

    fn find(&mut self, code: &'static Code, subject: impl ToString, message: impl Into<String>) {
        self.findings.push(Finding::new(code, subject, message));
    }

    /// Parses a document of carnet's own; `None` leaves a finding.
    fn own_manifest(&mut self, descriptor: &Descriptor, bytes: &[u8]) -> Option<Manifest> {
        match Manifest::parse(bytes, &descriptor.media_type) {
            Ok(manifest) => Some(manifest),
            Err(error) => {
                self.find(&codes::INDEX_MALFORMED, descriptor.digest, error.to_string());
                None
            }
        }
    }

    fn malformed_index<T>(&mut self, descriptor: &Descriptor, reason: &str) -> Option<T> {
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
    fn finish(&mut self) -> Result<(), OpenError> {
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
