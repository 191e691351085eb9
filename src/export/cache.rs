//! The download cache: blobs of registries by digest, so that an export that was
//! interrupted goes on where it stopped, and what came once need not come again.
//!
//! One file for each blob, named by its digest and as long as what has arrived.
//! Nothing in it is believed: the bytes are hashed each time they are used, so a
//! file that a power cut or a hand has damaged is fetched anew. Whoever writes a
//! file holds its lock; another export that wants the same blob at the same time
//! fetches it for itself and leaves the file alone.
//!
//! Manifests and lists are asked for each time: only the registry knows what is
//! there today.

use std::{
    collections::BTreeSet,
    env,
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use carnet_bundle::{Descriptor, Digest};
use carnet_registry::{BlobError, Chunks};
use futures_util::{StreamExt, stream};

/// Files that were not used for so long are removed when an export starts.
const KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);
const CHUNK: u64 = 1 << 20;

/// The cache of one export. Clones are the same cache.
#[derive(Clone, Debug)]
pub(crate) struct Cache(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    folder: PathBuf,
    is_open: OnceLock<bool>,
    /// Blobs of which this export has read bytes out of the cache.
    used: Mutex<BTreeSet<Digest>>,
    problem: OnceLock<String>,
}

/// What the cache holds of a blob, ready to take the rest.
pub(crate) struct Entry {
    cache: Cache,
    file: File,
    /// Bytes that are there.
    pub(crate) length: u64,
}

/// The folder that is used unless another one is named: `carnet` in
/// `$XDG_CACHE_HOME` or `~/.cache`. `None` where neither is known.
pub(crate) fn default_folder() -> Option<PathBuf> {
    let var = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    Some(var("XDG_CACHE_HOME").or_else(|| Some(var("HOME")?.join(".cache")))?.join("carnet"))
}

impl Cache {
    /// The cache in `folder`, which is made when the first blob comes.
    pub(crate) fn new(folder: &Path) -> Self {
        Self(Arc::new(Inner { folder: folder.join("sha256"), ..Inner::default() }))
    }

    /// Makes the folder and removes what nobody has used for long.
    pub(crate) fn open(&self) -> io::Result<()> {
        // What a private repository holds is nobody else's business.
        DirBuilder::new().recursive(true).mode(0o700).create(&self.0.folder)?;
        sweep(&self.0.folder, SystemTime::now())
    }

    /// What is there of a blob. `None` when another export is at it, or when the
    /// file cannot be used; then the blob is fetched without the cache.
    pub(crate) fn entry(&self, descriptor: &Descriptor) -> Option<Entry> {
        let is_open = self.0.is_open.get_or_init(|| self.open().inspect_err(|error| self.note(error)).is_ok());
        let opened = if *is_open { self.open_entry(descriptor) } else { Ok(None) };
        opened.inspect_err(|error| self.note(error)).ok().flatten()
    }

    fn open_entry(&self, descriptor: &Descriptor) -> io::Result<Option<Entry>> {
        let path = self.path(&descriptor.digest);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path)?;
        let length = file.metadata()?.len();
        // Readers of a whole blob do not stand in each other's way.
        let whole = length == descriptor.size;
        let locked = if whole { file.try_lock_shared() } else { file.try_lock() };
        // It may have changed between the look and the lock.
        let length = file.metadata()?.len();
        if locked.is_err() || (whole && length != descriptor.size) {
            return Ok(None);
        }
        let length = match length {
            length if length > descriptor.size => {
                file.set_len(0)?;
                0
            }
            length => length,
        };
        file.set_modified(SystemTime::now())?;
        if length > 0 {
            self.used().insert(descriptor.digest);
        }
        Ok(Some(Entry { cache: self.clone(), file, length }))
    }

    /// Forgets a blob whose bytes were not those of its digest. Says whether any
    /// of them came out of the cache, so that fetching it again may help.
    pub(crate) fn forget(&self, digest: &Digest) -> bool {
        // If it stays, it will be found out again.
        let _ = fs::remove_file(self.path(digest));
        self.used().remove(digest)
    }

    /// What kept the cache from being used, if anything did.
    pub(crate) fn problem(&self) -> Option<&str> {
        self.0.problem.get().map(String::as_str)
    }

    fn note(&self, error: &io::Error) {
        let _ = self.0.problem.set(format!("{}: {error}", self.0.folder.display()));
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.0.folder.join(digest.to_hex())
    }

    fn used(&self) -> std::sync::MutexGuard<'_, BTreeSet<Digest>> {
        self.0.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    /// What is there, followed by `rest`, which is kept on the way.
    pub(crate) fn then(self, rest: Option<Chunks>) -> Chunks {
        let length = self.length;
        let file = Arc::new(self.file);
        let held = stream::try_unfold((Arc::clone(&file), 0), move |(file, offset)| async move {
            if offset >= length {
                return Ok(None);
            }
            let read = tokio::task::spawn_blocking(move || read_at(&file, offset, length).map(|bytes| (bytes, file)));
            // A file that another export has shortened is one that cannot be relied on:
            // what is missing makes the digest wrong, and the blob is fetched anew.
            match read.await.map_err(io::Error::other).flatten() {
                Ok((bytes, file)) => {
                    let next = offset + u64::try_from(bytes.len()).unwrap_or_default();
                    Ok::<_, BlobError>(Some((bytes, (file, next))))
                }
                Err(_) => Ok(None),
            }
        });
        let Some(rest) = rest else { return held.boxed() };
        let keeper = Keeper { cache: self.cache, file: Some(file), offset: length };
        let kept = rest.scan(keeper, |keeper, chunk| {
            if let Ok(bytes) = &chunk {
                keeper.keep(bytes);
            }
            std::future::ready(Some(chunk))
        });
        held.chain(kept).boxed()
    }
}

/// Writes behind what is there. When that fails, the export goes on without it.
struct Keeper {
    cache: Cache,
    file: Option<Arc<File>>,
    offset: u64,
}

impl Keeper {
    fn keep(&mut self, bytes: &[u8]) {
        let Some(file) = &self.file else { return };
        match file.write_all_at(bytes, self.offset) {
            Ok(()) => self.offset += u64::try_from(bytes.len()).unwrap_or_default(),
            Err(error) => {
                self.cache.note(&error);
                // Half a chunk is as good as any other start of the blob.
                self.file = None;
            }
        }
    }
}

fn read_at(file: &File, offset: u64, end: u64) -> io::Result<Bytes> {
    let mut bytes = vec![0; usize::try_from((end - offset).min(CHUNK)).map_err(io::Error::other)?];
    file.read_exact_at(&mut bytes, offset)?;
    Ok(bytes.into())
}

/// Removes files that nobody has used since [`KEPT`]; those in use are locked.
fn sweep(folder: &Path, now: SystemTime) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        let age = metadata.modified().ok().and_then(|time| now.duration_since(time).ok()).unwrap_or_default();
        let is_ours = entry.file_name().to_str().is_some_and(|name| Digest::from_hex(name).is_ok());
        if age > KEPT && is_ours && metadata.is_file() && File::open(entry.path())?.try_lock().is_ok() {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
