//! The file that layers are written into from several tasks.

use std::{fs::File, io, os::unix::fs::FileExt, sync::Arc};

use tokio::{
    sync::Mutex,
    task::{JoinHandle, spawn_blocking},
};

/// Bytes after which the disk is put to work, so that the last sync is short.
const FLUSH: u64 = 64 << 20;

/// A file with a size, written at offsets.
pub(crate) struct Sink {
    file: File,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    dirty: u64,
    flushing: Option<JoinHandle<io::Result<()>>>,
}

impl Sink {
    pub(crate) fn new(file: File) -> Arc<Self> {
        Arc::new(Self { file, state: Mutex::default() })
    }

    /// Writes into the page cache, which is shorter than a hop to another thread.
    /// One write at a time: the kernel allows no more for one file and lets the
    /// others spin.
    pub(crate) async fn write(self: &Arc<Self>, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.state.lock().await;
        self.file.write_all_at(bytes, offset)?;
        state.dirty += u64::try_from(bytes.len()).unwrap_or_default();
        if state.dirty >= FLUSH && state.flushing.as_ref().is_none_or(JoinHandle::is_finished) {
            state.flushed().await?;
            state.dirty = 0;
            let sink = Arc::clone(self);
            state.flushing = Some(spawn_blocking(move || sink.file.sync_data()));
        }
        Ok(())
    }

    /// Returns when everything is on the disk.
    pub(crate) async fn sync(self: Arc<Self>) -> io::Result<()> {
        self.state.lock().await.flushed().await?;
        spawn_blocking(move || self.file.sync_all()).await.map_err(io::Error::other)?
    }
}

impl State {
    /// The kernel reports a failed write-back once, so its answer must be heard.
    async fn flushed(&mut self) -> io::Result<()> {
        match self.flushing.take() {
            Some(flushing) => flushing.await.map_err(io::Error::other)?,
            None => Ok(()),
        }
    }
}
