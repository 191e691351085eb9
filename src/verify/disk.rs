//! A bundle on disk: an archive, standard input, or the directory form.
//!
//! This is the one module of the library that touches a disk. `carnet-verify`
//! uses it for the archive that it judges and for sources of rules that the
//! operator has as directories; nothing else in this room opens files.

#![expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "the one module that reads from disk")]

pub mod sources;

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use carnet_bundle::{
    Archive, Digester, Limits,
    container::{Container, ContainerError, Keep, Member, Names, is_member_name},
};

const CHUNK: usize = 256 * 1024;

/// Opens the bundle that `path` names: a directory, a file, or `-` for standard
/// input.
///
/// # Errors
///
/// Returns a [`ContainerError`] when it cannot be read or is no archive.
pub fn open_container(path: &Path, limits: &Limits) -> Result<Box<dyn Container>, ContainerError> {
    if path == Path::new("-") {
        return Ok(Box::new(Archive::new(io::stdin().lock(), limits)?));
    }
    let io_error = |source| ContainerError::Io { name: path.display().to_string(), source };
    let metadata = fs::metadata(path).map_err(io_error)?;
    if metadata.is_dir() {
        return Ok(Box::new(Directory::new(path, limits)?));
    }
    Ok(Box::new(Archive::new(File::open(path).map_err(io_error)?, limits)?))
}

/// The directory form: the members of an archive as regular files.
struct Directory {
    root: PathBuf,
    buffer: Vec<u8>,
    names: BTreeSet<String>,
}

impl Directory {
    fn new(root: &Path, limits: &Limits) -> Result<Self, ContainerError> {
        let mut directory = Self { root: root.to_owned(), buffer: vec![0; CHUNK], names: BTreeSet::new() };
        directory.list("", limits)?;
        Ok(directory)
    }

    /// Lists every file below; anything but directories and regular files is
    /// outside the grammar, a link above all.
    fn list(&mut self, below: &str, limits: &Limits) -> Result<(), ContainerError> {
        let path = self.root.join(below);
        let entries = fs::read_dir(&path).map_err(|source| io_error(below, source))?;
        for entry in entries {
            let entry = entry.map_err(|source| io_error(below, source))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let name = if below.is_empty() { name } else { format!("{below}/{name}") };
            let kind = entry.file_type().map_err(|source| io_error(&name, source))?;
            if kind.is_file() {
                self.names.insert(name);
            } else if kind.is_dir() && matches!(name.as_str(), "blobs" | "blobs/sha256") {
                self.list(&name, limits)?;
            } else {
                let reason = if kind.is_dir() { "a directory that no bundle has" } else { "not a regular file" };
                let name = name.escape_debug().to_string();
                return Err(ContainerError::NotCanonical { name, reason: reason.to_owned() });
            }
            if u64::try_from(self.names.len()).unwrap_or(u64::MAX) > limits.members {
                return Err(ContainerError::Limit { what: "members".to_owned(), bound: limits.members });
            }
        }
        Ok(())
    }

    fn read(&mut self, name: &str, mut file: File, keep: Keep) -> Result<Member, ContainerError> {
        let mut held = matches!(keep, Keep::Bytes(_)).then(Vec::new);
        let mut digester = Digester::new();
        let mut size = 0;
        loop {
            let got = match file.read(&mut self.buffer) {
                Ok(0) => break,
                Ok(got) => got,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(source) => return Err(io_error(name, source)),
            };
            size += u64::try_from(got).unwrap_or(u64::MAX);
            if let Keep::Bytes(bound) = keep
                && size > bound
            {
                return Err(ContainerError::Limit { what: name.to_owned(), bound });
            }
            digester.update(&self.buffer[..got]);
            if let Some(held) = &mut held {
                held.extend_from_slice(&self.buffer[..got]);
            }
        }
        Ok(Member { size, digest: digester.finish(), bytes: held })
    }
}

impl Container for Directory {
    fn member(&mut self, name: &str, keep: Keep) -> Result<Option<Member>, ContainerError> {
        if !is_member_name(name) || !self.names.contains(name) {
            return Ok(None);
        }
        let file = File::open(self.root.join(name)).map_err(|source| io_error(name, source))?;
        self.read(name, file, keep).map(Some)
    }

    fn finish(&mut self) -> Result<Names, ContainerError> {
        Ok(Names::Unordered(std::mem::take(&mut self.names).into_iter().collect()))
    }
}

fn io_error(name: &str, source: io::Error) -> ContainerError {
    ContainerError::Io { name: name.to_owned(), source }
}
