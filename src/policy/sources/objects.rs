//! Git objects as a bundle carries them: written by the exporter, read against a
//! commit id by the verifier.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    SourceFile,
    id::{Collision, ObjectId, ObjectKind},
    tree::{Objects, TreeError, walk},
};

/// Why carried objects do not show that they are the content of a commit.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ObjectsError {
    /// Bytes that are half of a SHA-1 collision.
    #[error("object {number}: {source}")]
    Collision {
        /// Which object, from 1.
        number: usize,
        /// What it is.
        source: Collision,
    },
    /// The first object is another commit.
    #[error("commit mismatch: got {got}, want {want}")]
    Commit {
        /// Id of the carried commit.
        got: ObjectId,
        /// The pinned id.
        want: ObjectId,
    },
    /// Bytes outside the grammar.
    #[error("object {number} is malformed: {reason}")]
    Grammar {
        /// Which object, from 1.
        number: usize,
        /// What is wrong.
        reason: &'static str,
    },
    /// An object that the commit reaches is not there, and no other is in its place.
    #[error("{kind} {id} is missing")]
    Missing {
        /// The object.
        id: ObjectId,
        /// What it should be.
        kind: ObjectKind,
    },
    /// The objects are right and stand in another order, or twice.
    #[error("object {number} is {got}, want {want}: the objects stand in another order, or twice")]
    Order {
        /// Which object, from 1.
        number: usize,
        /// Id of the object there.
        got: ObjectId,
        /// Id of the object that belongs there.
        want: ObjectId,
    },
    /// An object that the commit reaches is not there, and others that it does
    /// not reach are: a file or a directory was changed.
    #[error("{kind} {wanted} was replaced: the commit does not reach {unreached}, which is carried")]
    Replaced {
        /// The object that the commit names.
        wanted: ObjectId,
        /// What it should be.
        kind: ObjectKind,
        /// An object that the commit does not name.
        unreached: ObjectId,
    },
    /// The tree itself, see [`TreeError`].
    #[error(transparent)]
    Tree(TreeError<Unavailable>),
    /// An object that nothing reaches.
    #[error("the commit does not reach {0}, which is carried")]
    Unreached(ObjectId),
}

/// An object that is not among the carried ones.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{kind} {id} is missing")]
pub struct Unavailable {
    id: ObjectId,
    kind: ObjectKind,
}

/// Reads the files below `path` from objects that hash up to `commit` (V13.4).
///
/// # Errors
///
/// Returns an [`ObjectsError`] for anything but exactly the objects of that
/// commit and path in their one order.
pub fn read(bytes: &[u8], commit: ObjectId, path: &str) -> Result<Vec<SourceFile>, ObjectsError> {
    let carried = parse(bytes, commit)?;
    let first = carried.order.first().copied();
    let mut visited = Visited { carried: &carried, order: Vec::new() };
    let walked = walk(commit, path, &mut visited);
    let order = visited.order;
    match walked {
        Ok(files) => in_order(&carried.order, &order).map(|()| files),
        Err(TreeError::Object(Unavailable { id, kind: ObjectKind::Commit })) => Err(match first {
            Some(got) => ObjectsError::Commit { got, want: commit },
            None => ObjectsError::Missing { id, kind: ObjectKind::Commit },
        }),
        Err(TreeError::Object(Unavailable { id, kind })) => {
            let reached: BTreeSet<_> = order.iter().copied().chain(carried.named_by(&order)).collect();
            let foreign =
                |other: &&ObjectId| !reached.contains(other) && carried.objects.get(other).is_some_and(|(k, _)| *k == kind);
            Err(match carried.order.iter().find(foreign) {
                Some(unreached) => ObjectsError::Replaced { wanted: id, kind, unreached: *unreached },
                None => ObjectsError::Missing { id, kind },
            })
        }
        Err(error) => Err(ObjectsError::Tree(error)),
    }
}

/// The objects of a commit and path as a bundle carries them, and the files in them.
pub type Written = (Vec<u8>, Vec<SourceFile>);

/// Writes the objects of `commit` and `path` as a bundle carries them, with the
/// files that they hold.
///
/// # Errors
///
/// Returns a [`TreeError`] as [`walk`] does.
pub fn write<O: Objects>(commit: ObjectId, path: &str, objects: &mut O) -> Result<Written, TreeError<O::Error>> {
    let mut writer = Writer { objects, bytes: Vec::new() };
    let files = walk(commit, path, &mut writer)?;
    Ok((writer.bytes, files))
}

struct Writer<'o, O> {
    objects: &'o mut O,
    bytes: Vec<u8>,
}

impl<O: Objects> Objects for Writer<'_, O> {
    type Error = O::Error;

    fn object(&mut self, id: &ObjectId, kind: ObjectKind) -> Result<Arc<[u8]>, O::Error> {
        let content = self.objects.object(id, kind)?;
        self.bytes.extend_from_slice(format!("{} {}\0", kind.word(), content.len()).as_bytes());
        self.bytes.extend_from_slice(&content);
        Ok(content)
    }
}

struct Carried {
    order: Vec<ObjectId>,
    objects: BTreeMap<ObjectId, (ObjectKind, Arc<[u8]>)>,
}

impl Carried {
    /// Ids that occur in the bytes of visited trees: what the walk had not come
    /// to yet is not taken for foreign.
    fn named_by(&self, visited: &[ObjectId]) -> Vec<ObjectId> {
        let mut named: Vec<ObjectId> = Vec::new();
        let mut waiting = visited.to_vec();
        let mut done = BTreeSet::new();
        while let Some(id) = waiting.pop() {
            let Some((ObjectKind::Tree, bytes)) = self.objects.get(&id) else { continue };
            if !done.insert(id) {
                continue;
            }
            let length = id.hash().len();
            let ids = bytes.windows(length).filter_map(ObjectId::from_bytes).filter(|id| self.objects.contains_key(id));
            for found in ids {
                named.push(found);
                waiting.push(found);
            }
        }
        named
    }
}

struct Visited<'c> {
    carried: &'c Carried,
    order: Vec<ObjectId>,
}

impl Objects for Visited<'_> {
    type Error = Unavailable;

    fn object(&mut self, id: &ObjectId, kind: ObjectKind) -> Result<Arc<[u8]>, Unavailable> {
        match self.carried.objects.get(id) {
            Some((found, bytes)) if *found == kind => {
                self.order.push(*id);
                Ok(Arc::clone(bytes))
            }
            _ => Err(Unavailable { id: *id, kind }),
        }
    }
}

fn in_order(carried: &[ObjectId], visited: &[ObjectId]) -> Result<(), ObjectsError> {
    let reached: BTreeSet<_> = visited.iter().collect();
    if let Some(unreached) = carried.iter().find(|id| !reached.contains(id)) {
        return Err(ObjectsError::Unreached(*unreached));
    }
    for (number, (got, want)) in carried.iter().zip(visited).enumerate() {
        if got != want {
            return Err(ObjectsError::Order { number: number + 1, got: *got, want: *want });
        }
    }
    match carried.get(visited.len()) {
        // All are reached, so one more is one of them again.
        Some(got) => Err(ObjectsError::Order { number: visited.len() + 1, got: *got, want: *got }),
        None => Ok(()),
    }
}

/// Reads `<type> SP <size> NUL <content>` until the end.
fn parse(bytes: &[u8], commit: ObjectId) -> Result<Carried, ObjectsError> {
    let mut carried = Carried { order: Vec::new(), objects: BTreeMap::new() };
    let mut rest = bytes;
    while !rest.is_empty() {
        let number = carried.order.len() + 1;
        let (kind, content, after) = object(rest).map_err(|reason| ObjectsError::Grammar { number, reason })?;
        let id = ObjectId::of(commit.hash(), kind, content).map_err(|source| ObjectsError::Collision { number, source })?;
        carried.order.push(id);
        carried.objects.insert(id, (kind, Arc::from(content)));
        rest = after;
    }
    Ok(carried)
}

fn object(bytes: &[u8]) -> Result<(ObjectKind, &[u8], &[u8]), &'static str> {
    // The longest header is "commit " and a size of 20 digits.
    let end = bytes.iter().take(32).position(|byte| *byte == 0).ok_or("no header")?;
    let header = bytes.get(..end).and_then(|header| std::str::from_utf8(header).ok()).ok_or("no header")?;
    let (word, size) = header.split_once(' ').ok_or("no size")?;
    let kind = match word {
        "blob" => ObjectKind::Blob,
        "commit" => ObjectKind::Commit,
        "tree" => ObjectKind::Tree,
        _ => return Err("not a commit, tree or blob"),
    };
    let length: usize = size.parse().map_err(|_| "a size that is no number")?;
    if length.to_string() != size {
        return Err("a size in another form");
    }
    let rest = bytes.get(end + 1..).unwrap_or_default();
    if rest.len() < length {
        return Err("cut off");
    }
    let (content, after) = rest.split_at(length);
    Ok((kind, content, after))
}
