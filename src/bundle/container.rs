//! The container: canonical tar members, and what a reader needs of any form of
//! a bundle (`bundle-spec/bundle.md` §3).

use crate::digest::Digest;

/// Bytes of a tar block, and of a member header.
pub const BLOCK: usize = 512;
/// Name of the member that says "this is an OCI layout".
pub const LAYOUT_MEMBER: &str = "oci-layout";
/// Name of the member that readers other than carnet start from.
pub const INDEX_MEMBER: &str = "index.json";

/// One form in which a bundle is stored: an archive or a directory.
///
/// The reader asks for members in canonical order, so that a stream is read once.
pub trait Container {
    /// Reads a member to its end. `None` when the container has no such member.
    ///
    /// # Errors
    ///
    /// Returns a [`ContainerError`] when the container is outside the grammar,
    /// cut off, unreadable or over a limit. No verdict is possible then.
    fn member(&mut self, name: &str, keep: Keep) -> Result<Option<Member>, ContainerError>;

    /// Reads what is left and returns the names of all members.
    ///
    /// # Errors
    ///
    /// As [`Self::member`].
    fn finish(&mut self) -> Result<Names, ContainerError>;
}

/// What to do with the bytes of a member.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Keep {
    /// Hash and hold them; more than this many bytes is over the limit.
    Bytes(u64),
    /// Hash them only.
    Digest,
}

/// A member that was read to its end.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Member {
    /// Number of bytes.
    pub size: u64,
    /// Digest of the bytes.
    pub digest: Digest,
    /// The bytes, when they were asked for.
    pub bytes: Option<Vec<u8>>,
}

/// Names of all members of a container, to be compared with those that are due.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Names {
    /// In stored order; a repeated name stands repeatedly.
    Ordered(Vec<String>),
    /// In no order: a directory.
    Unordered(Vec<String>),
}

/// Why a container yields no verdict.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContainerError {
    /// A gzip stream that is damaged or not of the one allowed form.
    #[error("gzip: {0}")]
    Gzip(String),
    /// The bytes could not be read.
    #[error("cannot read {name}: {source}")]
    Io {
        /// Member or archive.
        name: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A bound of [`crate::Limits`] was exceeded.
    #[error("{what} exceeds the limit of {bound}")]
    Limit {
        /// What was counted.
        what: String,
        /// The bound.
        bound: u64,
    },
    /// A member whose header, name or padding is not canonical.
    #[error("{name}: {reason}")]
    NotCanonical {
        /// Member name as found, escaped.
        name: String,
        /// What differs.
        reason: String,
    },
    /// Not a tar archive, not gzip of one.
    #[error("not a carnet archive: {0}")]
    NotAnArchive(&'static str),
    /// The archive ends inside a member or before its end mark.
    #[error("the archive is cut off in {name}: {got} of {want} bytes")]
    Truncated {
        /// Member that is cut off, or `end of archive`.
        name: String,
        /// Bytes that were there.
        got: u64,
        /// Bytes that had to be there.
        want: u64,
    },
}

/// Returns the name of the member that holds a blob: `blobs/sha256/<hex>`.
pub fn blob_name(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.to_hex())
}

/// Whether `name` is one that a member may have.
pub fn is_member_name(name: &str) -> bool {
    name == LAYOUT_MEMBER
        || name == INDEX_MEMBER
        || name.strip_prefix("blobs/sha256/").is_some_and(|hex| Digest::from_hex(hex).is_ok())
}

/// Returns the one header that a member of that name and size has: ustar, regular
/// file, mode 0644, owner and time zero.
///
/// Sizes from 8 GiB stand in base-256 in the same block: a pax record would be
/// invisible to readers that step back one block from a member's data. `name` is
/// one of [`is_member_name`], which all fit the 100 bytes of the name field.
pub fn header(name: &str, size: u64) -> [u8; BLOCK] {
    let mut header = tar::Header::new_ustar();
    for (field, byte) in header.as_old_mut().name.iter_mut().zip(name.bytes()) {
        *field = byte;
    }
    header.set_entry_type(tar::EntryType::Regular);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header.set_cksum();
    *header.as_bytes()
}

/// Number of zero bytes after a member's data.
pub fn padding(size: u64) -> u64 {
    size.next_multiple_of(512) - size
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_has_the_bytes_of_the_specification() {
        let header = header("index.json", 2);
        let field = |from: usize, to: usize| &header[from..to];
        assert_eq!(field(0, 11), b"index.json\0");
        assert_eq!(field(100, 108), b"0000644\0");
        assert_eq!(field(108, 124), b"0000000\x000000000\0");
        assert_eq!(field(124, 136), b"00000000002\0");
        assert_eq!(field(136, 148), b"00000000000\0");
        assert_eq!(field(148, 156), b"0007737\0");
        assert_eq!(field(156, 157), b"0");
        assert_eq!(field(257, 265), b"ustar\x0000");
        assert!(field(265, 512).iter().all(|byte| *byte == 0));
    }

    #[test]
    fn sizes_from_8_gib_stand_in_base_256() {
        let size_field = |size| header("index.json", size)[124..136].to_vec();
        assert_eq!(size_field(0o77_777_777_777), b"77777777777\0");
        assert_eq!(size_field(0o100_000_000_000), [0x80, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0]);
    }

    #[test]
    fn only_the_three_sorts_of_names_are_member_names() {
        let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        for name in ["oci-layout", "index.json", &format!("blobs/sha256/{hex}")] {
            assert!(is_member_name(name), "{name}");
        }
        for name in [
            "",
            "./index.json",
            "Index.json",
            "blobs/",
            "blobs/sha256/",
            "blobs/sha256/../../etc/passwd",
            &format!("blobs/sha256/{}", hex.to_uppercase()),
            &format!("blobs/sha512/{hex}"),
            &format!("/blobs/sha256/{hex}"),
        ] {
            assert!(!is_member_name(name), "{name}");
        }
    }

    #[test]
    fn padding_fills_the_block() {
        assert_eq!([0, 1, 511, 512, 513].map(padding), [0, 511, 1, 0, 511]);
    }
}
