//! The bytes of a layout: files of a directory, or extents of a tar file.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use carnet_bundle::{Descriptor, Digest, Limits};
use carnet_registry::{BlobError, Obstacle, ObstacleKind};
use futures_util::{StreamExt, stream, stream::BoxStream};

const BLOBS: &str = "blobs/sha256/";
const CHUNK: usize = 1 << 20;
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Where the members of a layout are.
pub(crate) enum Store {
    Archive { file: Arc<File>, members: BTreeMap<String, (u64, u64)> },
    Directory(PathBuf),
}

/// A run of bytes in a file.
pub(crate) struct Extent {
    file: Arc<File>,
    offset: u64,
    size: u64,
}

impl Store {
    pub(crate) fn open(path: &Path) -> Result<Self, String> {
        let metadata = fs::metadata(path).map_err(|error| error.to_string())?;
        if metadata.is_dir() {
            return Ok(Self::Directory(path.to_owned()));
        }
        let mut file = File::open(path).map_err(|error| error.to_string())?;
        let members = members(&mut file)?;
        Ok(Self::Archive { file: Arc::new(file), members })
    }

    /// Digests of all blobs, sorted.
    pub(super) fn blobs(&self) -> Result<Vec<Digest>, String> {
        let mut digests: Vec<Digest> = match self {
            Self::Archive { members, .. } => members.keys().filter_map(|name| blob_digest(name.strip_prefix(BLOBS)?)).collect(),
            Self::Directory(path) => {
                let folder = path.join(BLOBS);
                let files = fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
                let names = files.map(|file| file.map(|file| file.file_name()));
                let names: Vec<_> = names.collect::<Result<_, _>>().map_err(|error| error.to_string())?;
                names.iter().filter_map(|name| blob_digest(name.to_str()?)).collect()
            }
        };
        digests.sort_unstable();
        Ok(digests)
    }

    /// Reads a blob that may be a manifest: not too large, and JSON at first sight.
    pub(super) fn read_document(&self, digest: &Digest) -> Result<Option<Vec<u8>>, String> {
        let Some(extent) = self.open_blob(digest).map_err(|error| error.to_string())? else { return Ok(None) };
        if extent.size > Limits::default().manifest_size || extent.first_byte() != Some(b'{') {
            return Ok(None);
        }
        extent.read().map(Some).map_err(|error| format!("{digest}: {error}"))
    }

    /// Reads a blob of at most the size of evidence. `None` when it is not there
    /// or larger.
    pub(super) fn read_blob(&self, descriptor: &Descriptor) -> Result<Option<Vec<u8>>, String> {
        let digest = descriptor.digest;
        let Some(extent) = self.open_blob(&digest).map_err(|error| error.to_string())? else { return Ok(None) };
        if extent.size > Limits::default().evidence_size {
            return Ok(None);
        }
        let bytes = extent.read().map_err(|error| format!("{digest}: {error}"))?;
        let got = Digest::of(&bytes);
        match got == digest {
            true => Ok(Some(bytes)),
            false => Err(format!("digest mismatch: got {got}, want {digest}")),
        }
    }

    /// Reads a member that is no blob, up to `bound` bytes.
    pub(crate) fn read_member(&self, name: &str, bound: u64) -> Result<Option<Vec<u8>>, String> {
        let Some(extent) = self.open_member(name).map_err(|error| error.to_string())? else { return Ok(None) };
        if extent.size > bound {
            return Err(format!("{name} is larger than {bound} bytes"));
        }
        extent.read().map(Some).map_err(|error| format!("{name}: {error}"))
    }

    /// Finds a blob without reading it.
    pub(super) fn open_blob(&self, digest: &Digest) -> io::Result<Option<Extent>> {
        self.open_member(&format!("{BLOBS}{}", digest.to_hex()))
    }

    pub(crate) fn open_member(&self, name: &str) -> io::Result<Option<Extent>> {
        match self {
            Self::Archive { file, members } => {
                let extent = |(offset, size): &(u64, u64)| Extent { file: Arc::clone(file), offset: *offset, size: *size };
                Ok(members.get(name).map(extent))
            }
            Self::Directory(path) => match File::open(path.join(name)) {
                Ok(file) => {
                    let size = file.metadata()?.len();
                    Ok(Some(Extent { file: Arc::new(file), offset: 0, size }))
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error),
            },
        }
    }
}

impl Extent {
    fn first_byte(&self) -> Option<u8> {
        let mut byte = [0];
        let read = self.file.read_at(&mut byte, self.offset).ok()?;
        (self.size > 0 && read == 1).then_some(byte[0])
    }

    fn read(&self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(self.size).map_err(io::Error::other)?];
        self.file.read_exact_at(&mut bytes, self.offset).map_err(cut_off)?;
        Ok(bytes)
    }

    /// The bytes in pieces, read away from the threads that serve sockets.
    pub(crate) fn stream(self, place: String) -> BoxStream<'static, Result<Bytes, BlobError>> {
        let unreadable = move |error: io::Error| Obstacle::new(ObstacleKind::Unreachable, None, place.clone(), error.to_string());
        stream::try_unfold(self, move |extent| {
            let unreadable = unreadable.clone();
            async move {
                let read = tokio::task::spawn_blocking(move || extent.split_front());
                let read = read.await.map_err(io::Error::other).flatten();
                read.map_err(|error| unreadable(error).into())
            }
        })
        .boxed()
    }

    /// The first bytes and what is behind them; `None` at the end.
    pub(crate) fn split_front(self) -> io::Result<Option<(Bytes, Self)>> {
        if self.size == 0 {
            return Ok(None);
        }
        let length = usize::try_from(self.size).unwrap_or(usize::MAX).min(CHUNK);
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, self.offset).map_err(cut_off)?;
        let length = u64::try_from(length).map_err(io::Error::other)?;
        Ok(Some((bytes.into(), Self { offset: self.offset + length, size: self.size - length, ..self })))
    }
}

/// The system's own words for this are about a buffer.
fn cut_off(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => io::Error::new(error.kind(), "the file is cut off"),
        _ => error,
    }
}

fn blob_digest(hex: &str) -> Option<Digest> {
    Digest::from_hex(hex).ok()
}

/// Reads the headers of a tar file. Blobs are found by name, so a name that
/// occurs twice is refused: two readers would see two contents.
fn members(file: &mut File) -> Result<BTreeMap<String, (u64, u64)>, String> {
    let mut magic = [0; 2];
    let read = file.read(&mut magic).map_err(|error| error.to_string())?;
    if read == magic.len() && magic == GZIP_MAGIC {
        return Err("it is compressed; unpack it with gunzip first".to_owned());
    }
    file.seek(SeekFrom::Start(0)).map_err(|error| error.to_string())?;
    let mut archive = tar::Archive::new(&*file);
    let entries = archive.entries_with_seek().map_err(not_tar)?;
    let mut members = BTreeMap::new();
    for entry in entries {
        let entry = entry.map_err(not_tar)?;
        if entry.header().entry_type() != tar::EntryType::Regular {
            continue;
        }
        let name = String::from_utf8_lossy(&entry.path_bytes()).trim_start_matches("./").to_owned();
        if members.insert(name.clone(), (entry.raw_file_position(), entry.size())).is_some() {
            return Err(format!("the member {name} occurs twice"));
        }
    }
    Ok(members)
}

fn not_tar(error: io::Error) -> String {
    format!("it is neither a directory nor a tar file: {error}")
}
