//! Bounds on what one source may hold.

/// Files and directories of one source. Conforma's own release policy has 250.
pub const MAX_FILES: usize = 20_000;
/// Nested directories of one source.
pub const MAX_DEPTH: usize = 64;
/// Bytes of one source; the bound that Conforma has for one download.
pub const MAX_BYTES: u64 = 80 * 1024 * 1024;
