//! Git repositories: the commit that a revision stands for, and its objects.
//!
//! What comes over the network goes into a bare repository in a temporary folder,
//! one commit deep where the server can do that; a repository on the disk is
//! opened where it is. Both are read through the same walk that the verifier makes
//! (`carnet_policy::sources::tree`). Credentials, proxies and rewritten URLs are
//! those of git's own configuration.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    num::NonZeroU32,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, atomic::AtomicBool},
};

use carnet_policy::sources::{
    SourceFile,
    id::{ObjectId, ObjectKind},
    limits::MAX_BYTES,
    objects,
    tree::{Objects, TreeError},
    url::GitLocation,
};
use gix::{
    Repository,
    progress::Discard,
    protocol::handshake::Ref,
    remote::{
        Direction,
        fetch::{Shallow, Tags},
        ref_map,
    },
};

use tempfile::TempDir;

use super::https::set_up_tls;

/// Where the wanted revision is kept in the temporary repository.
const WANTED: &str = "refs/carnet/wanted";
const EVERYTHING: [&str; 3] = ["+HEAD:refs/carnet/HEAD", "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"];

/// A directory at a commit.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) commit: ObjectId,
    /// The objects as a bundle carries them.
    pub(crate) objects: Vec<u8>,
    pub(crate) files: Vec<SourceFile>,
}

/// Why a directory cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum GitError {
    #[error("{revision:?} is not a commit: a tag by its own id is not a pin, write the id of the commit")]
    NotACommit { revision: String },
    #[error("cannot fetch: {0}")]
    Remote(String),
    #[error("cannot read the repository: {0}")]
    Repository(String),
    #[error("there is no branch, tag or commit {0:?}")]
    Revision(String),
    #[error("there is no default branch")]
    NoDefault,
    #[error("cannot use a temporary folder: {0}")]
    Temporary(std::io::Error),
    #[error(transparent)]
    Tree(#[from] TreeError<StoreError>),
}

/// Why an object cannot be had.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum StoreError {
    #[error("{wanted} {id} is a {got}")]
    Kind { id: ObjectId, wanted: ObjectKind, got: String },
    #[error("the directory holds more than {0} bytes")]
    TooLarge(u64),
    #[error("{kind} {id}: {reason}")]
    Unreadable { id: ObjectId, kind: ObjectKind, reason: String },
}

/// Repositories that have been fetched: two directories of one branch are of one
/// commit, even when the branch moves meanwhile.
#[derive(Default)]
pub(crate) struct Git {
    clones: Mutex<BTreeMap<(String, Option<String>), Clone>>,
}

struct Clone {
    /// Removed when the last source has been read.
    _folder: TempDir,
    repository: PathBuf,
    commit: gix::ObjectId,
}

impl Git {
    /// Fetches what `location` names. Blocks.
    pub(crate) fn fetch(&self, location: &GitLocation) -> Result<Fetched, GitError> {
        let revision = location.revision.as_deref();
        if let Some(path) = location.repository.strip_prefix("file://") {
            let repository = open(&place(&location.repository, path)?)?;
            return read(&repository, commit(&repository, revision)?, &location.path);
        }
        let mut clones = self.clones.lock().unwrap_or_else(PoisonError::into_inner);
        let clone = match clones.entry((location.repository.clone(), location.revision.clone())) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                set_up_tls();
                let folder = tempfile::tempdir().map_err(GitError::Temporary)?;
                let (repository, commit) = Remote { url: &location.repository, folder: folder.path() }.fetch(revision)?;
                new.insert(Clone { _folder: folder, repository: repository.git_dir().to_owned(), commit })
            }
        };
        read(&open(&clone.repository)?, clone.commit, &location.path)
    }
}

/// Where a repository on the disk is: at its path, else where git's configuration
/// (`url.<base>.insteadOf`) says.
fn place(url: &str, path: &str) -> Result<PathBuf, GitError> {
    let asked = PathBuf::from(path);
    if asked.exists() {
        return Ok(asked);
    }
    let folder = tempfile::tempdir().map_err(GitError::Temporary)?;
    let repository = Remote { url, folder: folder.path() }.empty(gix::hash::Kind::Sha1)?;
    let remote = remote(&repository, url, &[])?;
    let elsewhere = remote.url(Direction::Fetch).map(|url| url.to_bstring().to_string());
    Ok(elsewhere.and_then(|url| url.strip_prefix("file://").map(PathBuf::from)).unwrap_or(asked))
}

fn open(path: &Path) -> Result<Repository, GitError> {
    gix::open(path.to_owned()).map_err(|error| GitError::Repository(sentence(&error)))
}

fn read(repository: &Repository, commit: gix::ObjectId, path: &str) -> Result<Fetched, GitError> {
    let Some(commit) = ObjectId::from_bytes(commit.as_bytes()) else {
        return Err(GitError::Repository("an id of an unknown length".to_owned()));
    };
    let (objects, files) = objects::write(commit, path, &mut Store { repository, bytes: 0 })?;
    Ok(Fetched { commit, objects, files })
}

struct Store<'r> {
    repository: &'r Repository,
    bytes: u64,
}

impl Objects for Store<'_> {
    type Error = StoreError;

    fn object(&mut self, id: &ObjectId, kind: ObjectKind) -> Result<Arc<[u8]>, StoreError> {
        let unreadable = |reason: String| StoreError::Unreadable { id: *id, kind, reason };
        let key = gix::ObjectId::try_from(id.as_bytes()).map_err(|error| unreadable(error.to_string()))?;
        let header = self.repository.find_header(key).map_err(|error| unreadable(sentence(&error)))?;
        self.bytes = self.bytes.saturating_add(header.size());
        if self.bytes > MAX_BYTES {
            return Err(StoreError::TooLarge(MAX_BYTES));
        }
        let object = self.repository.find_object(key).map_err(|error| unreadable(sentence(&error)))?;
        if object.kind.to_string() != kind.word() {
            return Err(StoreError::Kind { id: *id, wanted: kind, got: object.kind.to_string() });
        }
        Ok(Arc::from(object.data.as_slice()))
    }
}

/// The commit of a revision in a repository that is here, by the rules of
/// `git rev-parse`: a full id is an id, then references, then a short id.
fn commit(repository: &Repository, revision: Option<&str>) -> Result<gix::ObjectId, GitError> {
    let Some(name) = revision else {
        return repository.head_id().map(gix::Id::detach).map_err(|_| GitError::NoDefault);
    };
    if let Ok(id) = gix::ObjectId::from_hex(name.as_bytes()) {
        return match repository.try_find_header(id) {
            Ok(Some(header)) if header.kind() == gix::object::Kind::Commit => Ok(id),
            Ok(Some(_)) => Err(GitError::NotACommit { revision: name.to_owned() }),
            _ => Err(GitError::Revision(name.to_owned())),
        };
    }
    let unknown = || GitError::Revision(name.to_owned());
    match repository.try_find_reference(name) {
        Ok(Some(mut reference)) => reference.peel_to_commit().map(|commit| commit.id).map_err(|_| unknown()),
        _ => short(repository, name).ok_or_else(unknown),
    }
}

/// The one commit whose id begins so.
fn short(repository: &Repository, hex: &str) -> Option<gix::ObjectId> {
    let prefix = gix::hash::Prefix::from_hex(hex).ok()?;
    let id = repository.objects.lookup_prefix(prefix, None).ok()??.ok()?;
    (repository.try_find_header(id).ok()??.kind() == gix::object::Kind::Commit).then_some(id)
}

/// A repository on the other side of a network.
struct Remote<'a> {
    url: &'a str,
    folder: &'a Path,
}

impl Remote<'_> {
    fn fetch(&self, revision: Option<&str>) -> Result<(Repository, gix::ObjectId), GitError> {
        let (kind, references) = self.list()?;
        let repository = self.empty(kind)?;
        if let Some(id) = revision.filter(|name| name.parse::<ObjectId>().is_ok()) {
            // Servers that give out any object give it alone; others all of it.
            let alone = self.receive(&repository, &[&format!("{}:{WANTED}", id.to_ascii_lowercase())], true);
            if alone.is_err() || commit(&repository, revision).is_err() {
                self.receive(&repository, &EVERYTHING, false)?;
            }
            let commit = commit(&repository, revision)?;
            return Ok((repository, commit));
        }
        match full_name(&references, revision) {
            Some(name) => {
                self.receive(&repository, &[&format!("+{name}:{WANTED}")], true)?;
                let commit = commit(&repository, Some(WANTED))?;
                Ok((repository, commit))
            }
            None => {
                let name = revision.ok_or(GitError::NoDefault)?;
                if gix::hash::Prefix::from_hex(name).is_err() {
                    return Err(GitError::Revision(name.to_owned()));
                }
                self.receive(&repository, &EVERYTHING, false)?;
                let commit = short(&repository, name).ok_or_else(|| GitError::Revision(name.to_owned()))?;
                Ok((repository, commit))
            }
        }
    }

    /// Lists the references; the answer says which hash the repository has.
    fn list(&self) -> Result<(gix::hash::Kind, Vec<String>), GitError> {
        let repository = self.empty(gix::hash::Kind::Sha1)?;
        let remote = remote(&repository, self.url, &EVERYTHING)?;
        let connection = remote.connect(Direction::Fetch).map_err(|error| GitError::Remote(sentence(&error)))?;
        let listed = connection.ref_map(Discard, ref_map::Options::default());
        let (listed, _) = listed.map_err(|error| GitError::Remote(sentence(&error)))?;
        let name = |reference: &Ref| match reference {
            Ref::Unborn { .. } => None,
            other => Some(other.unpack().0.to_string()),
        };
        Ok((listed.object_hash, listed.remote_refs.iter().filter_map(name).collect()))
    }

    fn empty(&self, kind: gix::hash::Kind) -> Result<Repository, GitError> {
        let folder = tempfile::tempdir_in(self.folder).map_err(GitError::Temporary)?.keep();
        let create = gix::create::Options { object_hash: Some(kind), ..gix::create::Options::default() };
        let repository =
            gix::ThreadSafeRepository::init_opts(folder, gix::create::Kind::Bare, create, gix::open::Options::default());
        repository.map(|repository| repository.to_thread_local()).map_err(|error| GitError::Repository(sentence(&error)))
    }

    fn receive(&self, repository: &Repository, specs: &[&str], shallow: bool) -> Result<(), GitError> {
        let failed = |error: gix::Error| GitError::Remote(sentence(&error));
        let remote = remote(repository, self.url, specs)?;
        let connection = remote.connect(Direction::Fetch).map_err(failed)?;
        let prepared = connection.prepare_fetch(Discard, ref_map::Options::default()).map_err(failed)?;
        let depth = if shallow { Shallow::DepthAtRemote(NonZeroU32::MIN) } else { Shallow::NoChange };
        prepared.with_shallow(depth).receive(Discard, &AtomicBool::new(false)).map_err(failed)?;
        Ok(())
    }
}

fn remote<'r>(repository: &'r Repository, url: &str, specs: &[&str]) -> Result<gix::Remote<'r>, GitError> {
    let failed = |error: gix::Error| GitError::Remote(sentence(&error));
    let remote = repository.remote_at(url).map_err(failed)?.with_fetch_tags(Tags::None);
    let specs = specs.iter().map(|spec| gix::bstr::BStr::new(*spec));
    remote.with_refspecs(specs, Direction::Fetch).map_err(failed)
}

/// The reference that a short name stands for, by the order of `git rev-parse`.
fn full_name(references: &[String], revision: Option<&str>) -> Option<String> {
    let candidates = match revision {
        None => vec!["HEAD".to_owned()],
        Some(name) => ["", "refs/", "refs/tags/", "refs/heads/"].iter().map(|prefix| format!("{prefix}{name}")).collect(),
    };
    candidates.into_iter().find(|name| references.contains(name))
}

/// The whole chain on one line; servers' texts lose their control characters.
fn sentence(error: &gix::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    for cause in error.iter_errors() {
        let text = cause.to_string();
        if !parts.iter().any(|part| part.contains(&text)) {
            parts.push(text);
        }
    }
    parts.join(": ").chars().take(600).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests;
