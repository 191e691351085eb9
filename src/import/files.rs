//! Targets that are files: complete, or not there at all.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use carnet_bundle::{Descriptor, Digester};
use tempfile::{Builder, NamedTempFile};

use crate::{error::ImportError, members::Members};

/// Start of names that nobody should rely on.
const HIDDEN: &str = ".carnet-";

/// Copies a blob out of the archive and hashes it on the way.
pub(crate) fn copy(members: &Members, blob: &Descriptor, to: &mut dyn Write, path: &Path) -> Result<(), ImportError> {
    let read = |source| ImportError::Read { path: path.to_owned(), source };
    let changed = |reason: String| ImportError::Changed(format!("{}: {reason}", blob.digest));
    let mut left = members.blob(&blob.digest).map_err(read)?.ok_or_else(|| changed("it is not there any more".to_owned()))?;
    if left.size != blob.size {
        return Err(changed(format!("size mismatch: got {}, want {} bytes", left.size, blob.size)));
    }
    let mut digester = Digester::new();
    while let Some((bytes, rest)) = left.split_front().map_err(read)? {
        digester.update(&bytes);
        to.write_all(&bytes).map_err(|source| write_error(path, source))?;
        left = rest;
    }
    match digester.finish() {
        got if got == blob.digest => Ok(()),
        got => Err(changed(format!("digest mismatch: got {got}, want {}", blob.digest))),
    }
}

/// A file that appears at `path` when it is complete.
pub(crate) struct Pending {
    file: NamedTempFile,
    path: PathBuf,
}

impl Pending {
    pub(crate) fn new(path: &Path, force: bool) -> Result<Self, ImportError> {
        if !force && path.symlink_metadata().is_ok() {
            return Err(ImportError::Exists(path.to_owned()));
        }
        // As any file that is created, and not as a secret.
        let permissions = fs::Permissions::from_mode(0o666);
        let file = Builder::new()
            .prefix(HIDDEN)
            .permissions(permissions)
            .tempfile_in(folder(path))
            .map_err(|source| write_error(path, source))?;
        Ok(Self { file, path: path.to_owned() })
    }

    pub(crate) fn finish(self) -> Result<(), ImportError> {
        self.file.as_file().sync_all().map_err(|source| write_error(&self.path, source))?;
        self.file.persist(&self.path).map(drop).map_err(|error| write_error(&self.path, error.error))
    }
}

impl Write for Pending {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A directory that appears at `path` when it is complete.
pub(crate) struct PendingDirectory {
    dir: tempfile::TempDir,
    path: PathBuf,
}

impl PendingDirectory {
    /// An empty directory is taken; another one only by force, and only a layout.
    pub(crate) fn new(path: &Path, force: bool) -> Result<Self, ImportError> {
        let is_empty = fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none());
        let is_layout = path.join("oci-layout").is_file();
        if path.symlink_metadata().is_ok() && !is_empty && !(force && is_layout) {
            return Err(ImportError::Exists(path.to_owned()));
        }
        let dir = Builder::new().prefix(HIDDEN).tempdir_in(folder(path)).map_err(|source| write_error(path, source))?;
        Ok(Self { dir, path: path.to_owned() })
    }

    /// Where files are written meanwhile.
    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("new")
    }

    pub(crate) fn finish(self) -> Result<(), ImportError> {
        let error = |source| write_error(&self.path, source);
        if self.path.symlink_metadata().is_ok() {
            fs::rename(&self.path, self.dir.path().join("old")).map_err(error)?;
        }
        fs::rename(self.path(), &self.path).map_err(error)
    }
}

pub(crate) fn write_error(path: &Path, source: io::Error) -> ImportError {
    ImportError::WriteFile { path: path.to_owned(), source }
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
