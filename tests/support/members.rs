//! An archive taken apart into its members, and put together again.

use carnet_bundle::container::{BLOCK, header, padding};

/// Names and bytes of a tar, in its order.
pub(crate) type Members = Vec<(String, Vec<u8>)>;

pub(crate) fn members(archive: &[u8]) -> Members {
    let mut members = Vec::new();
    let mut at = 0;
    while archive[at] != 0 {
        let field = |from: usize, to: usize| String::from_utf8(archive[at + from..at + to].to_vec()).unwrap();
        let size = usize::from_str_radix(&field(124, 135), 8).unwrap();
        let data = archive[at + BLOCK..at + BLOCK + size].to_vec();
        members.push((field(0, 100).trim_end_matches('\0').to_owned(), data));
        at += BLOCK + size + padding(size as u64) as usize;
    }
    members
}

/// The tar of these members, each under the one canonical header.
pub(crate) fn tar(members: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut archive = Vec::new();
    for (name, data) in members {
        archive.extend_from_slice(&header(name, data.len() as u64));
        archive.extend_from_slice(data);
        archive.resize(archive.len().next_multiple_of(BLOCK), 0);
    }
    archive.resize(archive.len() + 2 * BLOCK, 0);
    archive
}
