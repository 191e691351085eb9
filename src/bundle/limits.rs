//! Bounds on what a bundle may ask of its reader.

/// The bounds of gate 1 (`bundle-spec/considerations.md`, "Limits").
///
/// Exceeding one is `limit-exceeded`: no verdict. Sizes are bytes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Members of the container. A bundle of 100 images with 20 layers and 50
    /// pieces of evidence each stays below a tenth of it.
    pub members: u64,
    /// One manifest or index: twice what registries must accept (4 MiB).
    pub manifest_size: u64,
    /// The bundle index: what every registry accepts as one manifest.
    pub bundle_index_size: u64,
    /// The inventory: 100 000 receipts of 300 bytes fit twice.
    pub inventory_size: u64,
    /// One evidence blob; cosign's own bound (`COSIGN_MAX_ATTACHMENT_SIZE`).
    pub evidence_size: u64,
    /// All blobs held in memory at once: manifests, documents, evidence.
    pub memory: u64,
    /// Evidence manifests about one subject (CVE-2023-46737).
    pub evidence_per_subject: usize,
    /// Manifests reached in all.
    pub manifests: usize,
    /// How deep indexes may nest.
    pub index_depth: usize,
    /// How deep evidence about evidence may nest.
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
