//! Directories of rules and data on this disk.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use carnet_policy::sources::{
    LocalFiles, SourceFile,
    limits::{MAX_BYTES, MAX_DEPTH, MAX_FILES},
};

/// Why a directory cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DirectoryError {
    /// The system refuses.
    #[error("{path}: {source}")]
    Io {
        /// Which file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A path that is no directory.
    #[error("{0} is not a directory")]
    NotADirectory(PathBuf),
    /// A device, a socket, a link to a directory.
    #[error("{0} is not a file, a directory or a link to a file")]
    NotAFile(PathBuf),
    /// More than a source may have.
    #[error("{path} has more than {limit} {what}")]
    TooLarge {
        /// The directory.
        path: PathBuf,
        /// What was counted.
        what: &'static str,
        /// The bound.
        limit: u64,
    },
    /// A name that no source of rules has.
    #[error("{0} has a name that is not UTF-8")]
    Utf8(PathBuf),
}

/// The disk of whoever runs the program.
#[derive(Clone, Copy, Debug)]
pub struct Disk;

impl LocalFiles for Disk {
    fn read(&self, path: &str) -> Result<Vec<SourceFile>, String> {
        read(Path::new(path)).map_err(|error| error.to_string())
    }
}

/// Reads all files below `root`, sorted by path. Links to files are followed, as
/// Conforma follows them; links to directories are refused, as there.
///
/// # Errors
///
/// Returns a [`DirectoryError`] when a file cannot be read or is none, and when
/// there is more than a source may have.
pub fn read(root: &Path) -> Result<Vec<SourceFile>, DirectoryError> {
    let metadata = fs::metadata(root).map_err(|source| DirectoryError::Io { path: root.to_owned(), source })?;
    if !metadata.is_dir() {
        return Err(DirectoryError::NotADirectory(root.to_owned()));
    }
    let mut reading = Reading { root, files: Vec::new(), bytes: 0 };
    reading.directory(root, "", 0)?;
    reading.files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(reading.files)
}

struct Reading<'a> {
    root: &'a Path,
    files: Vec<SourceFile>,
    bytes: u64,
}

impl Reading<'_> {
    fn directory(&mut self, directory: &Path, prefix: &str, depth: usize) -> Result<(), DirectoryError> {
        if depth >= MAX_DEPTH {
            return Err(self.too_large("nested directories", MAX_DEPTH));
        }
        let failed = |source| DirectoryError::Io { path: directory.to_owned(), source };
        for entry in fs::read_dir(directory).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let path = entry.path();
            let name = entry.file_name().into_string().map_err(|_| DirectoryError::Utf8(path.clone()))?;
            let kind = entry.file_type().map_err(failed)?;
            if kind.is_dir() {
                self.directory(&path, &format!("{prefix}{name}/"), depth + 1)?;
            } else {
                self.file(&path, format!("{prefix}{name}"))?;
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &Path, name: String) -> Result<(), DirectoryError> {
        let failed = |source| DirectoryError::Io { path: path.to_owned(), source };
        let metadata = fs::metadata(path).map_err(failed)?;
        if !metadata.is_file() {
            return Err(DirectoryError::NotAFile(path.to_owned()));
        }
        self.bytes = self.bytes.saturating_add(metadata.len());
        if self.bytes > MAX_BYTES {
            return Err(DirectoryError::TooLarge { path: self.root.to_owned(), what: "bytes", limit: MAX_BYTES });
        }
        if self.files.len() >= MAX_FILES {
            return Err(self.too_large("files", MAX_FILES));
        }
        self.files.push(SourceFile { path: name, bytes: Arc::from(fs::read(path).map_err(failed)?) });
        Ok(())
    }

    fn too_large(&self, what: &'static str, limit: usize) -> DirectoryError {
        DirectoryError::TooLarge { path: self.root.to_owned(), what, limit: u64::try_from(limit).unwrap_or(u64::MAX) }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn files_are_read_in_order_and_links_to_files_are_followed() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("lib")).unwrap();
        fs::write(folder.path().join("lib/b.rego"), "package b").unwrap();
        fs::write(folder.path().join("a.yaml"), "a: 1").unwrap();
        symlink("lib/b.rego", folder.path().join("z.rego")).unwrap();
        let files = read(folder.path()).unwrap();
        assert_eq!(files.iter().map(|file| file.path.as_str()).collect::<Vec<_>>(), ["a.yaml", "lib/b.rego", "z.rego"]);
        assert_eq!(files[1].bytes, files[2].bytes);
        symlink("lib", folder.path().join("link")).unwrap();
        assert!(matches!(read(folder.path()), Err(DirectoryError::NotAFile(_))));
    }

    #[test]
    fn what_is_not_a_directory_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("g.rego"), "package g").unwrap();
        assert!(matches!(read(&folder.path().join("g.rego")), Err(DirectoryError::NotADirectory(_))));
        assert!(matches!(read(&folder.path().join("absent")), Err(DirectoryError::Io { .. })));
    }
}
