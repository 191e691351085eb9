//! Bounds on what a bundle may ask of its reader.

/// The bounds of gate 1 (`bundle-spec/considerations.md`, "Limits").
///
/// A value greater than its bound is `limit-exceeded`: no verdict. Sizes are bytes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Members of the container, `oci-layout` and `index.json` among them. A bundle
    /// of 100 images with 20 layers and 50 pieces of evidence each stays below a
    /// tenth of it.
    pub members: u64,
    /// One manifest or index, and `index.json`: twice what registries must accept
    /// (4 MiB; OCI distribution-spec, "Pushing Manifests").
    pub manifest_size: u64,
    /// The bundle index: what every registry accepts as one manifest.
    pub bundle_index_size: u64,
    /// The inventory: 100 000 receipts of 300 bytes fit twice.
    pub inventory_size: u64,
    /// One config, document, layer of the policy manifest or payload of evidence;
    /// cosign's own bound (`COSIGN_MAX_ATTACHMENT_SIZE`).
    pub evidence_size: u64,
    /// All blobs held in memory at once: manifests, documents, evidence. Image layers
    /// are streamed and count nothing.
    pub memory: u64,
    /// Entries of the inventory's `evidence` about one subject (CVE-2023-46737).
    pub evidence_per_subject: usize,
    /// Manifests reached in all.
    pub manifests: usize,
    /// Indexes of which each holds the next.
    pub index_depth: usize,
    /// Evidence about evidence: how often an exporter asks for what is about what it
    /// has found. A reader follows what the bundle index lists and needs no bound.
    pub referrer_depth: usize,
    /// What a gzip container may unpack to, as a multiple of its own size:
    /// layers hardly compress, and DEFLATE cannot exceed 1032.
    pub gzip_ratio: u64,
}

impl Default for Limits {
    fn default() -> Self {
        const MIB: u64 = 1024 * 1024;
        Self {
            members: 100_000,
            manifest_size: 8 * MIB,
            bundle_index_size: 4 * MIB,
            inventory_size: 64 * MIB,
            evidence_size: 128 * MIB,
            memory: 256 * MIB,
            evidence_per_subject: 1_000,
            manifests: 5_000,
            index_depth: 4,
            referrer_depth: 4,
            gzip_ratio: 100,
        }
    }
}
