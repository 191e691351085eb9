//! The inventory: the map of a bundle, and the receipts of its collection
//! (`bundle-spec/bundle.md` §5).
//!
//! The inventory is a map, not an authority. What can be derived from the tree
//! is derived again and compared; receipts are the exporter's word.

use serde::{Deserialize, Serialize};

use crate::{
    digest::Digest,
    manifest::{Descriptor, Manifest, Platform},
};

/// Name that every inventory gives itself.
pub const SCHEMA_NAME: &str = "carnet-inventory";
/// Minor version that this reader knows in full.
pub const SCHEMA_MINOR: u32 = 1;

/// The inventory document: layer 0 of the control manifest, in the exporter's words.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Inventory {
    /// Name and version of the schema.
    pub schema: Schema,
    /// Features that a reader must know to judge the bundle.
    pub critical: Vec<String>,
    /// Whether the bundle holds everything (`full`).
    pub mode: Mode,
    /// The images that were asked for, in the order of the bundle index.
    pub subjects: Vec<Subject>,
    /// Every piece of evidence, sorted by digest.
    pub evidence: Vec<EvidenceEntry>,
    /// Log entries fetched at export, sorted by leaf.
    pub proofs: Vec<ProofEntry>,
    /// Receipts: every place looked at, sorted.
    pub looked_for: Vec<Receipt>,
    /// Blobs that the tree names and the container does not hold, sorted by digest.
    pub absent: Vec<Absence>,
}

/// Name and version of a carnet document.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Schema {
    /// Which document this is.
    pub name: String,
    /// Major version; in step with the media type.
    pub major: u32,
    /// Minor version; only adds.
    pub minor: u32,
}

/// How much of the tree a bundle holds (§5.1).
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Everything but the declared absences.
    Full,
    /// Reserved: blobs to be found elsewhere. Readers of version 0 refuse it.
    Thin,
}

/// One image that was asked for (§5.2). Gate 1 compares all of it with the tree; that
/// the reference stood for this digest is the exporter's word.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Subject {
    /// The reference as requested, after normalisation.
    pub reference: String,
    /// What the reference resolved to.
    pub digest: Digest,
    /// Media type of that manifest.
    pub media_type: String,
    /// Size of that manifest in bytes.
    pub size: u64,
    /// Children of an index, in its order; empty for an image.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<Child>,
}

/// One child of an index (§5.2), attestations included.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Child {
    /// Digest of the child manifest.
    pub digest: Digest,
    /// Size of the child manifest in bytes.
    pub size: u64,
    /// Platform as the index gives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Whether the child travels.
    pub state: ChildState,
}

/// Whether a child of an index travels.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ChildState {
    /// The child is in the container.
    Included,
    /// The child was left out at export.
    Omitted,
}

/// One piece of evidence: a manifest or a loose file (§5.3). Gate 1 compares the
/// subject with the one that the manifest names; what the evidence says is gate 2's.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct EvidenceEntry {
    /// Digest of the evidence manifest, or of the loose file.
    pub digest: Digest,
    /// Digest of what it is evidence about.
    pub subject: Digest,
    /// What sort of evidence it is.
    pub kind: EvidenceKind,
    /// Predicate type as the manifest hints it; empty when it does not.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub predicate_type: String,
    /// Every place where it was found, sorted.
    pub found_in: Vec<Place>,
}

/// Sorts of evidence (`bundle-spec/evidence.md`).
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum EvidenceKind {
    /// BuildKit attestation manifest: unsigned statements bound by their index.
    BuildkitAttestation,
    /// DSSE envelopes, as cosign's `.att` images hold them.
    Dsse,
    /// A bare in-toto statement.
    InToto,
    /// Notary Project signature.
    Notation,
    /// Anything else that names a subject.
    Other,
    /// A bill of materials without a signature.
    Sbom,
    /// A Sigstore bundle.
    SigstoreBundle,
    /// Simple-signing payloads, as cosign's `.sig` images hold them.
    Simplesigning,
}

/// Where a piece of evidence was found (§5.3): the exporter's word.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Place {
    /// Repository, such as `ghcr.io/org/app`.
    pub repository: String,
    /// How it was found.
    pub method: Method,
    /// The tag, for methods that read one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tag: String,
}

/// Ways to look for evidence (`bundle-spec/evidence.md` §2).
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// The tag `sha256-<hex>.att`.
    CosignAtt,
    /// The tag `sha256-<hex>.sbom`.
    CosignSbom,
    /// The tag `sha256-<hex>.sig`.
    CosignSig,
    /// The tag `sha256-<hex>` of the OCI referrers tag schema.
    FallbackTag,
    /// Children of the index that are attestations (BuildKit).
    IndexChildren,
    /// A transparency log, asked for the inclusion proof of an entry; the subject is
    /// the leaf.
    LogProof,
    /// A file given at export.
    LooseFile,
    /// The OCI referrers API.
    ReferrersApi,
}

impl Method {
    /// The methods that a receipt must exist for, for every subject.
    pub const PROFILE: [Self; 6] =
        [Self::CosignAtt, Self::CosignSbom, Self::CosignSig, Self::FallbackTag, Self::IndexChildren, Self::ReferrersApi];
}

/// A log entry fetched at export (§5.4). The entry names a document and proves nothing;
/// the document counts for the item whose leaf it verifies.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ProofEntry {
    /// RFC 6962 leaf hash of the entry's body; the only binding to an item.
    pub leaf: Digest,
    /// Digest of the stored `TransparencyLogEntry` document.
    pub digest: Digest,
    /// Base URL of the log that answered.
    pub log: String,
}

/// One place that was looked at, and the answer (§5.5). It explains what is not there
/// and proves nothing.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Receipt {
    /// Digest that evidence was looked for.
    pub subject: Digest,
    /// Repository that was asked.
    pub repository: String,
    /// How it was asked.
    pub method: Method,
    /// What came back.
    pub result: LookResult,
    /// Number of manifests found.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub found: u64,
    /// HTTP status of the decisive answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Digest of the answer's bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Digest>,
    /// A stable word for what was odd about the answer, such as
    /// `fallback-tag-not-an-index`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// The answers that a look can have. They are never merged.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LookResult {
    /// Denied, unreachable or malformed: nothing is known.
    CouldNotLook,
    /// Something was found.
    Found,
    /// The source answered that there is nothing.
    None,
    /// The source has no such method.
    NotLooked,
}

/// A blob that the tree names and the container does not hold (§5.6).
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Absence {
    /// Digest of the blob.
    pub digest: Digest,
    /// Size of the blob in bytes.
    pub size: u64,
    /// What the blob is for.
    pub role: Role,
    /// Why it is absent.
    pub reason: AbsenceReason,
}

/// What an absent blob is for: the way on which the tree names it.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// A child manifest of an index, with everything below it.
    Child,
    /// An image config.
    Config,
    /// A payload of evidence.
    Evidence,
    /// An image layer.
    Layer,
}

/// Why a blob is absent, in the exporter's words. No reason excuses it.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AbsenceReason {
    /// A foreign layer, not fetched by default.
    Foreign,
    /// Layers were not asked for (`--layers=none`).
    LayersNotRequested,
    /// The source does not hold it.
    NotInSource,
    /// The platform was not asked for (`--platform`).
    PlatformNotRequested,
    /// More than a verifier holds in memory by default.
    TooLarge,
    /// The source refused it or could not be reached.
    Unreachable,
}

fn is_zero(value: &u64) -> bool {
    *value == 0
}

impl Inventory {
    /// An empty inventory of this version.
    pub fn new() -> Self {
        Self {
            schema: Schema { name: SCHEMA_NAME.to_owned(), major: 0, minor: SCHEMA_MINOR },
            critical: Vec::new(),
            mode: Mode::Full,
            subjects: Vec::new(),
            evidence: Vec::new(),
            proofs: Vec::new(),
            looked_for: Vec::new(),
            absent: Vec::new(),
        }
    }

    /// Brings every list into the order of the specification and drops repeats.
    /// Subjects keep the order in which they were asked for.
    pub fn sort(&mut self) {
        for entry in &mut self.evidence {
            entry.found_in.sort();
            entry.found_in.dedup();
        }
        self.evidence.sort_by_key(|entry| (entry.digest, entry.subject));
        self.evidence.dedup();
        self.proofs.sort_by_key(|proof| (proof.leaf, proof.digest));
        self.proofs.dedup();
        self.looked_for.sort_by(|a, b| a.place().cmp(&b.place()));
        self.looked_for.dedup();
        self.absent.sort_by_key(|absence| absence.digest);
        self.absent.dedup_by_key(|absence| absence.digest);
    }

    /// Whether [`Self::sort`] would leave it as it is.
    pub(crate) fn is_sorted(&self) -> bool {
        self.evidence.iter().all(|entry| in_order(&entry.found_in, |place| place))
            && in_order(&self.evidence, |entry| (entry.digest, entry.subject))
            && in_order(&self.proofs, |proof| (proof.leaf, proof.digest))
            && in_order(&self.looked_for, Receipt::place)
            && self.absent.is_sorted_by(|a, b| a.digest < b.digest)
    }
}

/// Whether no item stands twice and all stand in the order of `key`.
fn in_order<'i, T: PartialEq, K: Ord>(list: &'i [T], key: impl Fn(&'i T) -> K) -> bool {
    list.is_sorted_by_key(key) && list.windows(2).all(|pair| pair[0] != pair[1])
}

impl Subject {
    /// The entry of an image root, with the children that its manifest names.
    pub fn new(reference: String, root: &Descriptor, manifest: &Manifest, included: impl Fn(&Digest) -> bool) -> Self {
        let child = |child: &Descriptor| Child {
            digest: child.digest,
            size: child.size,
            platform: child.platform.clone(),
            state: if included(&child.digest) { ChildState::Included } else { ChildState::Omitted },
        };
        Self {
            reference,
            digest: root.digest,
            media_type: root.media_type.clone(),
            size: root.size,
            children: manifest.children().iter().map(child).collect(),
        }
    }
}

/// The kebab-case word that stands for a value in JSON.
macro_rules! display_as_word {
    ($($type:ty { $($variant:ident = $word:literal),* $(,)? })*) => {$(
        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(match self { $(Self::$variant => $word),* })
            }
        }
    )*};
}

display_as_word! {
    AbsenceReason {
        Foreign = "foreign", LayersNotRequested = "layers-not-requested", NotInSource = "not-in-source",
        PlatformNotRequested = "platform-not-requested", TooLarge = "too-large", Unreachable = "unreachable",
    }
    EvidenceKind {
        BuildkitAttestation = "buildkit-attestation", Dsse = "dsse", InToto = "in-toto", Notation = "notation",
        Other = "other", Sbom = "sbom", SigstoreBundle = "sigstore-bundle", Simplesigning = "simplesigning",
    }
    LookResult { CouldNotLook = "could-not-look", Found = "found", None = "none", NotLooked = "not-looked" }
    Method {
        CosignAtt = "cosign-att", CosignSbom = "cosign-sbom", CosignSig = "cosign-sig", FallbackTag = "fallback-tag",
        IndexChildren = "index-children", LogProof = "log-proof", LooseFile = "loose-file", ReferrersApi = "referrers-api",
    }
    Role { Child = "child", Config = "config", Evidence = "evidence", Layer = "layer" }
}

impl Receipt {
    fn place(&self) -> (&Digest, &str, Method) {
        (&self.subject, &self.repository, self.method)
    }
}

impl Default for Inventory {
    fn default() -> Self {
        Self::new()
    }
}
