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
    attachment::{self, Attachment},
    codes,
    container::{Container, ContainerError, INDEX_MEMBER, Keep, LAYOUT_MEMBER, Member},
    derive::{self, OCI_LAYOUT},
    digest::Digest,
    finding::Finding,
    inventory::{Inventory, Mode, SCHEMA_NAME},
    json::{self, JsonError},
    limits::Limits,
    manifest::{Descriptor, Manifest},
    media,
    plan::content_id,
    reader::Reader,
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
    attachments: Vec<Attachment>,
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
        Some(descriptor) => own_documents(&mut walk, descriptor, media::POLICY)?,
        None => None,
    };
    for evidence in &parts.evidence {
        walk.evidence(evidence)?;
    }
    let fallback = derive::fallback_indexes(&walk.tree)?;
    for index in &fallback {
        walk.once(&Descriptor::of(media::OCI_INDEX, &index.bytes), Part::Manifest)?;
    }
    let (attachments, wrong) = attachment::visit(&mut walk, &start.id, &start.attachments)?;
    findings.extend(wrong);
    walk.layers()?;
    let Walk { visitor: mut reader, tree, .. } = walk;
    reader.finish()?;
    findings.append(&mut reader.findings);

    let expected = derive::index_json(&start.id, &parts.inventory, &tree, &fallback, &start.attachments)?;
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
        attachments,
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

    /// The bundle index as a subject of attachments.
    pub fn descriptor(&self) -> Descriptor {
        let size = self.blob(&self.id).map_or(0, |index| count(index.len()));
        Descriptor::new(media::OCI_INDEX, self.id, size)
    }

    /// What is attached, by digest: evidence about the bundle, unverified.
    pub fn attachments(&self) -> &[Attachment] {
        &self.attachments
    }

    /// Every blob that is held.
    pub(crate) fn blobs(&self) -> &BTreeMap<Digest, Arc<[u8]>> {
        &self.held
    }

    /// The map of the bundle as the exporter wrote it. Where it does not fit the tree,
    /// [`Opened::findings`] say so.
    pub fn inventory(&self) -> &Inventory {
        &self.inventory
    }

    /// What the walk reached: manifests, images, layers.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// The manifest of that digest, if it is here and could be read.
    pub fn manifest(&self, digest: &Digest) -> Option<&Manifest> {
        self.tree.manifest(digest)
    }

    /// The bytes of a held blob; of an image layer only when a rule reads it, so
    /// that the policy manifest names it.
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
    attachments: Vec<Descriptor>,
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
    let (id, attachments) = bundle_descriptor(&index_json)?;
    Ok(Start { index_json, id, attachments, findings })
}

fn required(container: &mut dyn Container, name: &str, limits: &Limits) -> Result<Member, OpenError> {
    let member = container.member(name, Keep::Bytes(limits.manifest_size))?;
    member.ok_or_else(|| OpenError::NoBundle(format!("there is no {name}")))
}

/// Finds the entry of the bundle index (V2.1), and those of attachments.
fn bundle_descriptor(index_json: &[u8]) -> Result<(Descriptor, Vec<Descriptor>), OpenError> {
    let no_bundle = |reason: String| OpenError::NoBundle(format!("{INDEX_MEMBER}: {reason}"));
    let index = Manifest::parse(index_json, media::OCI_INDEX).map_err(|e| no_bundle(e.to_string()))?;
    let artifact = |d: &&Descriptor| d.artifact_type.as_deref().is_some_and(|t| t.starts_with("application/vnd.carnet.bundle."));
    let mut bundles = index.children().iter().filter(artifact);
    let entry = bundles.next().ok_or_else(|| no_bundle(format!("no entry has artifactType {}", media::BUNDLE)))?;
    if bundles.next().is_some() {
        return Err(no_bundle("more than one bundle".to_owned()));
    }
    match entry.artifact_type.as_deref() {
        Some(media::BUNDLE) => {
            let id = Descriptor { artifact_type: None, annotations: BTreeMap::new(), ..entry.clone() };
            let attachments = attachment::entries(&index, &id);
            Ok((id, attachments))
        }
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
        if id.size > walk.visitor.limits.bundle_index_size {
            return Err(walk.visitor.limit("bytes of the bundle index", walk.visitor.limits.bundle_index_size));
        }
        let Some(bytes) = walk.once(id, Part::Manifest)? else { return Ok(None) };
        let Some(index) = walk.visitor.own_manifest(id, &bytes) else { return Ok(None) };
        let Some((control_entry, rest)) = index.children().split_first() else {
            return Ok(walk.visitor.malformed_index(id, "it names nothing"));
        };
        let (roots, policy, evidence) = sections(rest);
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
        let Some(control) = own_documents(walk, entry, media::CONTROL)? else { return Ok(None) };
        let Some(layer) = control.layers().first().filter(|layer| layer.media_type == media::INVENTORY) else {
            return Ok(walk.visitor.malformed_index(entry, "layer 0 of the control manifest is not the inventory"));
        };
        let Some(bytes) = walk.visitor.held.get(&layer.digest).cloned() else { return Ok(None) };
        let value = json::parse(&bytes).map_err(unreadable_inventory)?;
        if !json::is_canonical(&value, &bytes)? {
            walk.visitor.findings.push(Finding::new(&codes::DOCUMENT_NOT_CANONICAL, layer.digest, "inventory.json"));
        }
        let inventory = read_inventory(value)?;
        bound_evidence(&inventory, walk.visitor.limits)?;
        walk.visitor.absent = inventory.absent.iter().map(|absence| absence.digest).collect();
        Ok(Some((control, inventory)))
    }
}

/// Visits the control or policy manifest, which has no more than it must (V3.5).
fn own_documents(
    walk: &mut Walk<'_, Reader<'_>>,
    descriptor: &Descriptor,
    artifact_type: &str,
) -> Result<Option<Manifest>, OpenError> {
    let Some(manifest) = walk.documents(descriptor)? else { return Ok(None) };
    let title = |layer: &Descriptor| layer.annotations.get(derive::TITLE).cloned().unwrap_or_default();
    let layers: Vec<_> = manifest.layers().iter().map(|layer| (layer.clone(), title(layer))).collect();
    let again = derive::documents_manifest(artifact_type, &layers)?;
    if walk.visitor.held.get(&descriptor.digest).is_none_or(|bytes| **bytes != *again) {
        walk.visitor.find(&codes::DOCUMENT_NOT_CANONICAL, descriptor.digest, format!("not the one form of {artifact_type}"));
    }
    Ok(Some(manifest))
}

/// Image roots, policy manifest and evidence: what the bundle index names behind
/// the control manifest.
pub(crate) fn sections(rest: &[Descriptor]) -> (Vec<(Descriptor, String)>, Option<Descriptor>, Vec<Descriptor>) {
    let roots: Vec<_> = rest.iter().map_while(root).collect();
    let rest = rest.get(roots.len()..).unwrap_or_default();
    let is_policy = |d: &&Descriptor| d.artifact_type.as_deref() == Some(media::POLICY);
    let policy = rest.first().filter(is_policy).cloned();
    let evidence = rest.get(usize::from(policy.is_some())..).unwrap_or_default().to_vec();
    (roots, policy, evidence)
}

fn root(descriptor: &Descriptor) -> Option<(Descriptor, String)> {
    let reference = descriptor.annotations.get(media::REF_NAME)?;
    Some((descriptor.clone(), reference.clone()))
}

fn unreadable_inventory(error: JsonError) -> OpenError {
    OpenError::NoBundle(format!("inventory: {error}"))
}

/// Reads the inventory; an unknown critical feature or mode ends here (V2.4).
fn read_inventory(value: Value) -> Result<Inventory, OpenError> {
    let critical = value.get("critical").and_then(Value::as_array).into_iter().flatten();
    if let Some(feature) = critical.map(|feature| feature.as_str().unwrap_or("?").to_owned()).next() {
        return Err(OpenError::Critical(feature));
    }
    let inventory: Inventory = json::from_value(value).map_err(unreadable_inventory)?;
    if inventory.schema.name != SCHEMA_NAME || inventory.schema.major != 0 {
        return Err(OpenError::Unsupported(format!("inventory {} {}", inventory.schema.name, inventory.schema.major)));
    }
    match inventory.mode {
        Mode::Full => Ok(inventory),
        Mode::Thin => Err(OpenError::Unsupported("mode \"thin\" is reserved".to_owned())),
    }
}

/// Evidence without end about one subject is over the limit before any of it is
/// read (V1.5, CVE-2023-46737).
fn bound_evidence(inventory: &Inventory, limits: &Limits) -> Result<(), OpenError> {
    let mut per_subject: BTreeMap<Digest, usize> = BTreeMap::new();
    for entry in &inventory.evidence {
        let seen = per_subject.entry(entry.subject).or_default();
        *seen += 1;
        if *seen > limits.evidence_per_subject {
            let bound = count(limits.evidence_per_subject);
            return Err(OpenError::Limit { what: "pieces of evidence about one subject", bound });
        }
    }
    Ok(())
}
