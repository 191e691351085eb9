//! The one walk from a commit to the files at a path.
//!
//! The exporter walks with the objects of a repository, the verifier with the
//! objects of a bundle; both visit the same objects in the same order, and the
//! order is the format (`bundle-spec/policy.md` §5).

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use super::{
    SourceFile,
    id::{HashKind, ObjectId, ObjectKind},
    limits::{MAX_DEPTH, MAX_FILES},
};

/// Hands out git objects by id.
pub trait Objects {
    /// Why an object could not be had.
    type Error;

    /// The content of an object of that id and kind, without its header.
    ///
    /// # Errors
    ///
    /// Returns whatever keeps the object away; the walk ends with it.
    fn object(&mut self, id: &ObjectId, kind: ObjectKind) -> Result<Arc<[u8]>, Self::Error>;
}

/// Why a walk ended early.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TreeError<E> {
    /// An object that git would not write.
    #[error("{kind} {id} is malformed: {reason}")]
    Malformed {
        /// The object.
        id: ObjectId,
        /// What it should be.
        kind: ObjectKind,
        /// What is wrong.
        reason: &'static str,
    },
    /// The path is not a directory of the commit.
    #[error("there is no directory {path:?} in commit {commit}")]
    NoSuchDirectory {
        /// The path.
        path: String,
        /// The commit.
        commit: ObjectId,
    },
    /// An object that could not be had.
    #[error(transparent)]
    Object(E),
    /// More than the walk may visit (stops a tree that names itself a million
    /// times over, a *git bomb*).
    #[error("more than {limit} {what}")]
    TooLarge {
        /// What was counted.
        what: &'static str,
        /// The bound.
        limit: usize,
    },
    /// Two systems could unpack it in two ways.
    #[error("{path:?} {reason}")]
    Unsafe {
        /// Path of the entry.
        path: String,
        /// Why it is refused.
        reason: &'static str,
    },
}

/// The files below `path` in `commit`, in tree order.
///
/// # Errors
///
/// Returns a [`TreeError`] for objects that cannot be had or read, and for trees
/// that two systems unpack in two ways.
pub fn walk<O: Objects>(commit: ObjectId, path: &str, objects: &mut O) -> Result<Vec<SourceFile>, TreeError<O::Error>> {
    let mut walk = Walk { objects, hash: commit.hash(), seen: BTreeMap::new(), files: Vec::new(), entries: 0 };
    let mut tree = walk.root(commit)?;
    for name in path.split('/').filter(|name| !name.is_empty()) {
        tree = walk.step(&tree, name).ok_or_else(|| TreeError::NoSuchDirectory { path: path.to_owned(), commit })??;
    }
    walk.below(&tree, "", 0)?;
    Ok(walk.files)
}

struct Walk<'o, O> {
    objects: &'o mut O,
    hash: HashKind,
    seen: BTreeMap<ObjectId, (ObjectKind, Arc<[u8]>)>,
    files: Vec<SourceFile>,
    entries: usize,
}

struct Entry {
    mode: Mode,
    name: String,
    id: ObjectId,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Mode {
    File,
    Submodule,
    SymbolicLink,
    Tree,
}

impl<O: Objects> Walk<'_, O> {
    /// Reads an object once, whoever names it.
    fn object(&mut self, id: ObjectId, kind: ObjectKind) -> Result<Arc<[u8]>, TreeError<O::Error>> {
        match self.seen.get(&id) {
            Some((known, bytes)) if *known == kind => Ok(Arc::clone(bytes)),
            Some(_) => Err(TreeError::Malformed { id, kind, reason: "named as another kind elsewhere" }),
            None => {
                let bytes = self.objects.object(&id, kind).map_err(TreeError::Object)?;
                self.seen.insert(id, (kind, Arc::clone(&bytes)));
                Ok(bytes)
            }
        }
    }

    fn root(&mut self, commit: ObjectId) -> Result<Vec<Entry>, TreeError<O::Error>> {
        let content = self.object(commit, ObjectKind::Commit)?;
        let malformed = TreeError::Malformed { id: commit, kind: ObjectKind::Commit, reason: "its first line names no tree" };
        let line = content.split(|byte| *byte == b'\n').next().and_then(|line| std::str::from_utf8(line).ok());
        let id = line.and_then(|line| line.strip_prefix("tree ")).and_then(|hex| hex.parse::<ObjectId>().ok());
        self.tree(id.filter(|id| id.hash() == self.hash).ok_or(malformed)?)
    }

    /// The directory `name` of a tree on the way. What else that tree holds does
    /// not count, unless it could be taken for `name`.
    fn step(&mut self, tree: &[Entry], name: &str) -> Option<Result<Vec<Entry>, TreeError<O::Error>>> {
        let folded = name.to_lowercase();
        let mut alike = tree.iter().filter(|entry| entry.name.to_lowercase() == folded);
        let entry = alike.next()?;
        if alike.next().is_some() {
            return Some(Err(refused(name, "", "differs from another name by letter case only")));
        }
        (entry.name == name && entry.mode == Mode::Tree).then(|| self.tree(entry.id))
    }

    fn below(&mut self, tree: &[Entry], prefix: &str, depth: usize) -> Result<(), TreeError<O::Error>> {
        if depth >= MAX_DEPTH {
            return Err(TreeError::TooLarge { what: "nested directories", limit: MAX_DEPTH });
        }
        self.entries = self.entries.saturating_add(tree.len());
        if self.entries > MAX_FILES {
            return Err(TreeError::TooLarge { what: "files", limit: MAX_FILES });
        }
        let mut folded = HashSet::new();
        for entry in tree {
            if let Some(reason) = unsafe_name(&entry.name) {
                return Err(refused(prefix, &entry.name, reason));
            }
            if !folded.insert(entry.name.to_lowercase()) {
                return Err(refused(prefix, &entry.name, "differs from another name by letter case only"));
            }
            let path = format!("{prefix}{}", entry.name);
            match entry.mode {
                Mode::File => {
                    let bytes = self.object(entry.id, ObjectKind::Blob)?;
                    self.files.push(SourceFile { path, bytes });
                }
                Mode::Tree => {
                    let below = self.tree(entry.id)?;
                    self.below(&below, &format!("{path}/"), depth + 1)?;
                }
                Mode::SymbolicLink => return Err(refused(&path, "", "is a symbolic link")),
                Mode::Submodule => return Err(refused(&path, "", "is a submodule")),
            }
        }
        Ok(())
    }

    fn tree(&mut self, id: ObjectId) -> Result<Vec<Entry>, TreeError<O::Error>> {
        let content = self.object(id, ObjectKind::Tree)?;
        let malformed = |reason| TreeError::Malformed { id, kind: ObjectKind::Tree, reason };
        let mut entries = Vec::new();
        let mut names = HashSet::new();
        let mut rest: &[u8] = &content;
        while !rest.is_empty() {
            let (entry, after) = entry(rest, self.hash).map_err(malformed)?;
            if !names.insert(entry.name.clone()) {
                return Err(malformed("a name stands twice"));
            }
            entries.push(entry);
            rest = after;
        }
        Ok(entries)
    }
}

fn refused<E>(prefix: &str, name: &str, reason: &'static str) -> TreeError<E> {
    TreeError::Unsafe { path: format!("{prefix}{name}"), reason }
}

/// Reads `<mode> SP <name> NUL <id>`.
fn entry(bytes: &[u8], hash: HashKind) -> Result<(Entry, &[u8]), &'static str> {
    let (mode, rest) = split(bytes, b' ').ok_or("an entry without mode")?;
    let (name, rest) = split(rest, 0).ok_or("an entry without name")?;
    let id = rest.get(..hash.len()).and_then(ObjectId::from_bytes).ok_or("an entry without id")?;
    let mode = match mode {
        // 100664 stands in old repositories.
        b"100644" | b"100755" | b"100664" => Mode::File,
        b"120000" => Mode::SymbolicLink,
        b"160000" => Mode::Submodule,
        b"40000" => Mode::Tree,
        _ => return Err("an entry with an unknown mode"),
    };
    let name = std::str::from_utf8(name).map_err(|_| "a name that is not UTF-8")?.to_owned();
    Ok((Entry { mode, name, id }, rest.get(hash.len()..).unwrap_or_default()))
}

fn split(bytes: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let position = bytes.iter().position(|byte| *byte == at)?;
    Some((bytes.get(..position)?, bytes.get(position + 1..)?))
}

/// Why a name could mean another place on some system.
pub(super) fn unsafe_name(name: &str) -> Option<&'static str> {
    match name {
        "" => Some("is an empty name"),
        "." | ".." => Some("names a directory itself"),
        _ if name.eq_ignore_ascii_case(".git") => Some("is a repository of its own"),
        _ if name.contains(['/', '\\', '\0']) => Some("has a separator in a name"),
        _ => None,
    }
}
