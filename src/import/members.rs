//! Where each blob of an archive lies: a file is not read twice from front to back
//! to find one.
//!
//! Nothing here is trusted. Names are what the file says; whoever takes bytes from
//! here hashes them.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use carnet_bundle::{
    Digest, Digester, Limits,
    container::{
        BLOCK, Container, ContainerError, INDEX_MEMBER, Keep, LAYOUT_MEMBER, Member, Names, blob_name, header, is_member_name,
        padding,
    },
};
use carnet_registry::{BlobError, Chunks, Obstacle, ObstacleKind};
use futures_util::{StreamExt, stream};
#[cfg(target_os = "linux")]
use rustix::io::{ReadWriteFlags, preadv2};

use crate::{
    buffers::{Buffer, Buffers},
    error::ImportError,
};

/// Bytes read at a time: what was read is still in the cache of the processor when it
/// is hashed and sent. Several blobs are under way at once, and each holds back one
/// piece.
const CHUNK: usize = 512 * 1024;
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// The members of an archive or of its unpacked directory.
#[derive(Clone, Debug)]
pub(crate) struct Members {
    place: String,
    store: Store,
    names: Vec<String>,
    buffers: Buffers,
}

#[derive(Clone, Debug)]
enum Store {
    Archive { file: Arc<File>, extents: Extents },
    Directory(PathBuf),
}

/// Offset and size of each member's data, by name.
type Extents = BTreeMap<String, (u64, u64)>;

/// A run of bytes in a file.
#[derive(Clone, Debug)]
pub(crate) struct Extent {
    file: Arc<File>,
    offset: u64,
    pub(crate) size: u64,
    buffers: Buffers,
}

impl Members {
    /// Reads the headers of the archive, or lists the directory.
    pub(crate) fn open(path: &Path, limits: &Limits) -> Result<Self, ImportError> {
        if path == Path::new("-") {
            return Err(ImportError::StandardInput);
        }
        let (place, buffers) = (path.display().to_string(), Buffers::up_to(CHUNK));
        let read_error = |source| ImportError::Read { path: path.to_owned(), source };
        if fs::metadata(path).map_err(read_error)?.is_dir() {
            let store = Store::Directory(path.to_owned());
            return Ok(Self { place, store, names: listed(path).map_err(read_error)?, buffers });
        }
        let mut file = File::open(path).map_err(read_error)?;
        let mut magic = [0; 2];
        if file.read(&mut magic).map_err(read_error)? == magic.len() && magic == GZIP {
            return Err(ImportError::Compressed(path.to_owned()));
        }
        let (names, extents) = headers(&file, limits)?;
        Ok(Self { place, store: Store::Archive { file: Arc::new(file), extents }, names, buffers })
    }

    /// Finds a blob without reading it.
    pub(crate) fn blob(&self, digest: &Digest) -> io::Result<Option<Extent>> {
        self.find(&blob_name(digest))
    }

    /// The bytes of a blob in pieces, unchecked. What is not there is an error of
    /// the stream.
    pub(crate) fn chunks(&self, digest: &Digest) -> Chunks {
        let place = format!("{} in {}", digest, self.place);
        let unreadable = move |error: io::Error| {
            BlobError::from(Obstacle::new(ObstacleKind::Malformed, None, place.clone(), error.to_string()))
        };
        let opened = self.blob(digest).and_then(|found| found.ok_or_else(|| io::Error::other("it is not there any more")));
        match opened {
            Err(error) => stream::iter([Err(unreadable(error))]).boxed(),
            Ok(extent) => stream::try_unfold(extent, move |extent| {
                let unreadable = unreadable.clone();
                async move { extent.front().await.map_err(unreadable) }
            })
            .boxed(),
        }
    }

    fn find(&self, name: &str) -> io::Result<Option<Extent>> {
        let extent = |file, offset, size| Extent { file, offset, size, buffers: self.buffers.clone() };
        match &self.store {
            Store::Archive { file, extents } => {
                Ok(extents.get(name).map(|(offset, size)| extent(Arc::clone(file), *offset, *size)))
            }
            Store::Directory(root) => match File::open(root.join(name)) {
                Ok(file) => {
                    let size = file.metadata()?.len();
                    Ok(Some(extent(Arc::new(file), 0, size)))
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error),
            },
        }
    }
}

/// Gate 1 reads an archive through this. What it would only hash (image layers) is
/// taken to be what its name says, because it is hashed when it is written.
impl Container for Members {
    fn member(&mut self, name: &str, keep: Keep) -> Result<Option<Member>, ContainerError> {
        let io_error = |source| ContainerError::Io { name: name.to_owned(), source };
        let Some(extent) = self.find(name).map_err(io_error)?.filter(|_| is_member_name(name)) else { return Ok(None) };
        let claimed = name.rsplit('/').next().and_then(|hex| Digest::from_hex(hex).ok());
        match (keep, claimed) {
            (Keep::Digest, Some(digest)) => Ok(Some(Member { size: extent.size, digest, bytes: None })),
            (Keep::Bytes(bound), _) if extent.size > bound => {
                Err(ContainerError::Limit { what: format!("{name} ({} bytes)", extent.size), bound })
            }
            _ => {
                let bytes = extent.read().map_err(io_error)?;
                let mut digester = Digester::new();
                digester.update(&bytes);
                Ok(Some(Member { size: extent.size, digest: digester.finish(), bytes: Some(bytes) }))
            }
        }
    }

    fn finish(&mut self) -> Result<Names, ContainerError> {
        let names = self.names.clone();
        Ok(match self.store {
            Store::Archive { .. } => Names::Ordered(names),
            Store::Directory(_) => Names::Unordered(names),
        })
    }
}

impl Extent {
    fn read(&self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(self.size).map_err(io::Error::other)?];
        self.file.read_exact_at(&mut bytes, self.offset).map_err(cut_off)?;
        Ok(bytes)
    }

    /// `length` bytes from `from` on, which have to be within.
    pub(crate) fn piece(&self, from: u64, length: u64) -> io::Result<Bytes> {
        let mut buffer = self.buffer(length)?;
        self.file.read_exact_at(buffer.as_mut(), self.offset.saturating_add(from)).map_err(cut_off)?;
        Ok(buffer.freeze())
    }

    /// The first bytes and what is behind them; `None` at the end.
    pub(crate) fn split_front(self) -> io::Result<Option<(Bytes, Self)>> {
        match self.front_length() {
            0 => Ok(None),
            length => Ok(Some((self.piece(0, length)?, self.behind(length)))),
        }
    }

    /// The same. What the system has at hand is read at once, and hashed and sent by the
    /// thread that read it; only the disk is waited for elsewhere.
    async fn front(self) -> io::Result<Option<(Bytes, Self)>> {
        let length = self.front_length();
        let mut buffer = self.buffer(length)?;
        if length == 0 || is_at_hand(&self.file, buffer.as_mut(), self.offset) {
            return Ok((length > 0).then(|| (buffer.freeze(), self.behind(length))));
        }
        tokio::task::spawn_blocking(move || self.split_front()).await.map_err(io::Error::other).flatten()
    }

    fn front_length(&self) -> u64 {
        self.size.min(u64::try_from(CHUNK).unwrap_or(u64::MAX))
    }

    fn behind(self, length: u64) -> Self {
        Self { offset: self.offset.saturating_add(length), size: self.size.saturating_sub(length), ..self }
    }

    fn buffer(&self, length: u64) -> io::Result<Buffer> {
        Ok(self.buffers.take(usize::try_from(length).map_err(io::Error::other)?))
    }
}

/// Fills `bytes` if that takes no waiting for a disk.
#[cfg(target_os = "linux")]
fn is_at_hand(file: &File, bytes: &mut [u8], offset: u64) -> bool {
    let want = bytes.len();
    let read = preadv2(file, &mut [io::IoSliceMut::new(bytes)], offset, ReadWriteFlags::NOWAIT);
    read.is_ok_and(|got| got == want)
}

#[cfg(not(target_os = "linux"))]
fn is_at_hand(_: &File, _: &mut [u8], _: u64) -> bool {
    false
}

/// The system's own words for this are about a buffer.
fn cut_off(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => io::Error::new(error.kind(), "the file is cut off"),
        _ => error,
    }
}

/// Names and places of all members, each header compared with the one canonical
/// header of that name and size.
fn headers(file: &File, limits: &Limits) -> Result<(Vec<String>, Extents), ImportError> {
    let block_size = u64::try_from(BLOCK).unwrap_or(u64::MAX);
    let (mut names, mut extents) = (Vec::new(), BTreeMap::new());
    let mut offset = 0_u64;
    loop {
        let mut block = [0; BLOCK];
        let name = "the archive".to_owned();
        file.read_exact_at(&mut block, offset).map_err(|error| ContainerError::Io { name, source: cut_off(error) })?;
        if block == [0; BLOCK] {
            return Ok((names, extents));
        }
        let name = String::from_utf8_lossy(block[..100].split(|byte| *byte == 0).next().unwrap_or_default()).into_owned();
        let refused =
            |reason: &str| ContainerError::NotCanonical { name: name.escape_debug().to_string(), reason: reason.to_owned() };
        let size = tar::Header::from_byte_slice(&block).entry_size().map_err(|_| refused("the size field is not a number"))?;
        if !is_member_name(&name) || header(&name, size) != block {
            return Err(refused("the header differs from the one canonical header").into());
        }
        if u64::try_from(names.len()).unwrap_or(u64::MAX) >= limits.members {
            return Err(ContainerError::Limit { what: "members".to_owned(), bound: limits.members }.into());
        }
        let data = offset + block_size;
        let end = data.checked_add(size).and_then(|end| end.checked_add(padding(size)));
        offset = end.ok_or_else(|| refused("the size is beyond any file"))?;
        if extents.insert(name.clone(), (data, size)).is_some() {
            return Err(refused("the name stands more than once").into());
        }
        names.push(name);
    }
}

fn listed(root: &Path) -> io::Result<Vec<String>> {
    let mut names = vec![LAYOUT_MEMBER.to_owned(), INDEX_MEMBER.to_owned()];
    for entry in fs::read_dir(root.join("blobs/sha256"))? {
        names.push(format!("blobs/sha256/{}", entry?.file_name().to_string_lossy()));
    }
    Ok(names)
}
