//! A directory as one run of bytes: the normalised tar of local sources.

use carnet_bundle::container;

use super::{SourceFile, tree::unsafe_name};

/// Longest name that fits a member header.
const MAX_NAME: usize = 100;

/// The file cannot stand in a normalised tar.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{path:?} {reason}")]
pub struct ArchiveError {
    path: String,
    reason: &'static str,
}

/// Writes `files` as the one tar that they have (`bundle-spec/policy.md` §5).
///
/// # Errors
///
/// Returns an [`ArchiveError`] for names that are refused or too long.
pub fn write(files: &[SourceFile]) -> Result<Vec<u8>, ArchiveError> {
    let mut sorted: Vec<_> = files.iter().collect();
    sorted.sort_by(|a, b| a.path.cmp(&b.path));
    let mut bytes = Vec::new();
    for file in sorted {
        let refused = |reason| ArchiveError { path: file.path.clone(), reason };
        if let Some(reason) = file.path.split('/').find_map(unsafe_name) {
            return Err(refused(reason));
        }
        if file.path.len() > MAX_NAME {
            return Err(refused("is longer than 100 bytes"));
        }
        let size = u64::try_from(file.bytes.len()).map_err(|_| refused("is too large"))?;
        bytes.extend_from_slice(&container::header(&file.path, size));
        bytes.extend_from_slice(&file.bytes);
        bytes.resize(bytes.len().next_multiple_of(container::BLOCK), 0);
    }
    bytes.resize(bytes.len() + 2 * container::BLOCK, 0);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> SourceFile {
        SourceFile { path: path.to_owned(), bytes: text.as_bytes().into() }
    }

    #[test]
    fn the_order_of_the_files_does_not_matter() {
        let forward = write(&[file("a/b.rego", "package b"), file("c.yaml", "x: 1")]).unwrap();
        assert_eq!(forward, write(&[file("c.yaml", "x: 1"), file("a/b.rego", "package b")]).unwrap());
        assert_eq!(forward.len(), 6 * container::BLOCK);
        assert!(forward.starts_with(b"a/b.rego\0"));
    }

    #[test]
    fn names_that_do_not_fit_are_refused() {
        for path in ["../a", "a//b", "a/.git/b", &"x".repeat(101)] {
            assert!(write(&[file(path, "")]).is_err(), "{path}");
        }
    }
}
