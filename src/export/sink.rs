//! The file that layers are written into from several tasks.

use std::{fs::File, io, os::unix::fs::FileExt, path::Path, sync::Arc};

use tokio::{
    sync::Mutex,
    task::{JoinHandle, spawn_blocking},
};

use crate::direct::{self, ALIGNMENT, Block};

/// Bytes after which the disk is put to work, so that the last sync is short.
const FLUSH: u64 = 64 << 20;

/// A file with a size, written at offsets.
///
/// Where the file system takes it, layers go from memory to the disk directly: no
/// page is filled that nobody will read before it is written, which is what writing
/// mostly costs, and the disk works from the first block on. Elsewhere, and for the
/// ends of a layer that are not whole blocks, the page cache is written into.
pub(crate) struct Sink {
    file: File,
    direct: Option<File>,
    cached: Mutex<Cached>,
}

/// What was written into the page cache.
#[derive(Default)]
struct Cached {
    dirty: u64,
    flushing: Option<JoinHandle<io::Result<()>>>,
}

/// One layer on its way into the file: a block is filled while the one before it is
/// written.
pub(crate) struct Lane {
    sink: Arc<Sink>,
    /// Where the next byte goes.
    offset: u64,
    /// What comes before `offset` and is not written yet; it begins at a multiple of
    /// [`ALIGNMENT`].
    block: Option<Block>,
    writing: Option<JoinHandle<io::Result<Block>>>,
}

impl Sink {
    /// Makes room for `size` bytes. `path` is where `file` is.
    pub(crate) fn new(file: File, path: &Path, size: u64) -> io::Result<Arc<Self>> {
        direct::allocate(&file, size)?;
        let direct = direct::open(path);
        Ok(Arc::new(Self { file, direct, cached: Mutex::default() }))
    }

    /// A way in for the bytes from `offset` on. Nobody else writes there.
    pub(crate) fn lane(self: &Arc<Self>, offset: u64) -> Lane {
        Lane { sink: Arc::clone(self), offset, block: None, writing: None }
    }

    /// Writes into the page cache, which is shorter than a hop to another thread.
    /// One write at a time: the kernel allows no more for one file and lets the
    /// others spin.
    async fn write_cached(self: &Arc<Self>, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut cached = self.cached.lock().await;
        self.file.write_all_at(bytes, offset)?;
        cached.dirty += length(bytes);
        if cached.dirty >= FLUSH && cached.flushing.as_ref().is_none_or(JoinHandle::is_finished) {
            cached.flushed().await?;
            cached.dirty = 0;
            let sink = Arc::clone(self);
            cached.flushing = Some(spawn_blocking(move || sink.file.sync_data()));
        }
        Ok(())
    }

    fn write_block(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let Some(direct) = &self.direct else { return self.file.write_all_at(bytes, offset) };
        match direct.write_all_at(bytes, offset) {
            // Some file systems find out only now that they cannot.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => self.file.write_all_at(bytes, offset),
            done => done,
        }
    }

    /// Returns when everything is on the disk.
    pub(crate) async fn sync(self: Arc<Self>) -> io::Result<()> {
        self.cached.lock().await.flushed().await?;
        spawn_blocking(move || self.file.sync_all()).await.map_err(io::Error::other)?
    }
}

impl Cached {
    /// The kernel reports a failed write-back once, so its answer must be heard.
    async fn flushed(&mut self) -> io::Result<()> {
        match self.flushing.take() {
            Some(flushing) => flushing.await.map_err(io::Error::other)?,
            None => Ok(()),
        }
    }
}

impl Lane {
    /// Adds the next bytes.
    pub(crate) async fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        if self.sink.direct.is_none() {
            self.sink.write_cached(bytes, self.offset).await?;
            self.offset += length(bytes);
            return Ok(());
        }
        while !bytes.is_empty() {
            let rest = match &mut self.block {
                Some(block) => block.fill(bytes),
                None => {
                    let before =
                        usize::try_from(self.offset.next_multiple_of(ALIGNMENT) - self.offset).map_err(io::Error::other)?;
                    let (ahead, rest) = bytes.split_at(before.min(bytes.len()));
                    self.sink.write_cached(ahead, self.offset).await?;
                    if ahead.len() == before {
                        self.block = Some(Block::new());
                    }
                    rest
                }
            };
            self.offset += length(bytes) - length(rest);
            bytes = rest;
            if self.block.as_ref().is_some_and(Block::is_full) {
                self.block = Some(self.written().await?.unwrap_or_else(Block::new));
            }
        }
        Ok(())
    }

    /// Hands the block to the disk. Returns the one before it, empty.
    async fn written(&mut self) -> io::Result<Option<Block>> {
        let before = self.settle().await?;
        if let Some(block) = self.block.take() {
            let (sink, offset) = (Arc::clone(&self.sink), self.offset - length(block.bytes()));
            self.writing = Some(spawn_blocking(move || sink.write_block(block.bytes(), offset).map(|()| block)));
        }
        Ok(before)
    }

    /// Waits until nothing of it is under way any more.
    pub(crate) async fn settle(&mut self) -> io::Result<Option<Block>> {
        match self.writing.take() {
            Some(writing) => writing.await.map_err(io::Error::other)?.map(|block| Some(block.emptied())),
            None => Ok(None),
        }
    }

    /// Writes what is left. The bytes are on the disk after [`Sink::sync`].
    pub(crate) async fn finish(mut self) -> io::Result<()> {
        let behind = self.block.as_mut().map(Block::split_end).unwrap_or_default();
        self.offset -= length(&behind);
        self.written().await?;
        self.settle().await?;
        self.sink.write_cached(&behind, self.offset).await
    }
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::{env, fs, path::PathBuf};

    use super::*;

    /// Two lanes that end where no block does, in pieces of odd lengths.
    #[tokio::test]
    async fn every_byte_is_where_it_belongs() {
        // On a disk as a rule, and in memory.
        for folder in [env::temp_dir(), PathBuf::from("/dev/shm")] {
            let Ok(file) = tempfile::NamedTempFile::new_in(&folder) else { continue };
            let bytes: Vec<u8> = (0..=250).cycle().take(5_000_000).collect();
            for (start, middle, piece) in
                [(0, 4096, 1000), (512, 2_500_000, 65_537), (4608, 4_608, 3_000_000), (1, 4_999_999, 8191)]
            {
                let sink = Sink::new(file.reopen().unwrap(), file.path(), length(&bytes)).unwrap();
                let halves = [(start, &bytes[start..middle]), (middle, &bytes[middle..])];
                let mut lanes: Vec<_> = halves.iter().map(|(offset, _)| sink.lane(u64::try_from(*offset).unwrap())).collect();
                for round in 0.. {
                    let pieces = halves.map(|(_, half)| half.chunks(piece).nth(round));
                    if pieces.iter().all(Option::is_none) {
                        break;
                    }
                    for (lane, piece) in lanes.iter_mut().zip(pieces) {
                        lane.write(piece.unwrap_or_default()).await.unwrap();
                    }
                }
                for lane in lanes {
                    lane.finish().await.unwrap();
                }
                sink.sync().await.unwrap();
                let written = fs::read(file.path()).unwrap();
                file.as_file().set_len(0).unwrap();
                assert!(written[start..] == bytes[start..], "{folder:?} {start} {middle} {piece}");
            }
        }
    }
}
