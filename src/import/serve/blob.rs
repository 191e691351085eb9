//! Blobs on their way out of an archive.
//!
//! What is promised: a body that ends as HTTP says that it must is right, the very
//! bytes that were sent. The first pull hashes every piece after it was read and
//! before it is sent; the last one is sent only when the digest of the whole is right.
//! So a file that is overwritten at any moment gives a body that is cut off, and never
//! one that is complete and wrong. A range is held to the same: its last piece waits
//! until the blob was hashed to its end.
//!
//! To trust the file from then on would promise less: what is written later is not
//! seen. SHA-256 again at each pull keeps the promise, at half the speed of registries
//! that look at nothing. So the first pass seals each piece ([`Seals`]), and later
//! pulls check the seal of each piece that they read, before it is sent.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc::sync_channel},
    time::Duration,
};

use bytes::Bytes;
use carnet_bundle::{Digest, Digester};
use ring::{
    aead::{AES_128_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    rand::{SecureRandom, SystemRandom},
};
use tokio::{
    runtime::Handle,
    sync::{Notify, mpsc},
    task, time,
};

use crate::members::{Extent, Members};

/// Bytes read, hashed and sent at a time. Of each pull, a handful are in memory.
const PIECE: u64 = 128 * 1024;
/// Pieces that may be read before they are hashed.
const AHEAD: usize = 2;
/// How long a client may read nothing.
const PATIENCE: Duration = Duration::from_secs(120);

/// Why a blob was not sent to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BlobFault {
    /// Other bytes are in its place.
    #[error("{0}")]
    Changed(String),
    /// Its client has gone.
    #[error("the client has gone")]
    Gone,
    /// Its client reads nothing.
    #[error("the client has read nothing for {} s", PATIENCE.as_secs())]
    Stalled,
}

/// What is known of blobs beside their place.
#[derive(Debug, Default)]
pub(crate) struct Blobs {
    seals: Mutex<BTreeMap<Digest, Arc<Seals>>>,
    lost: Mutex<BTreeSet<Digest>>,
}

/// One tag for each piece of a blob whose digest was right, under a key that is made
/// for the blob and never leaves the process.
///
/// The tag is that of AES-GCM with the number of the piece as nonce. Who knows neither
/// key nor tag finds other bytes of the same tag by luck alone, with a chance of 2^13
/// (the blocks of a piece) in 2^128; after one wrong guess the blob is not served any
/// more.
#[derive(Debug)]
struct Seals {
    key: LessSafeKey,
    tags: Vec<[u8; 16]>,
}

/// A blob that is to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Sending {
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    /// The bytes that are wanted.
    pub(crate) part: Range<u64>,
    pub(crate) members: Arc<Members>,
}

/// Pieces of a body; an error cuts it off.
pub(crate) type Pieces = mpsc::Receiver<io::Result<Bytes>>;

impl Blobs {
    /// Whether other bytes were found in the place of that blob. It is not served any
    /// more, or clients would try for ever.
    pub(crate) fn is_lost(&self, digest: &Digest) -> bool {
        lock(&self.lost).contains(digest)
    }

    /// Reads, hashes and sends on a thread of its own. `done` hears how it ended, and
    /// `stalled` that the connection is to be closed.
    pub(crate) fn send(
        self: &Arc<Self>,
        sending: Sending,
        stalled: Arc<Notify>,
        done: impl FnOnce(&Digest, &BlobFault) + Send + 'static,
    ) -> Pieces {
        let (sender, pieces) = mpsc::channel(1);
        let (blobs, handle) = (Arc::clone(self), Handle::current());
        task::spawn_blocking(move || {
            let client = Client { sender, handle };
            if let Err(fault) = blobs.pass_on(&sending, &client) {
                match &fault {
                    BlobFault::Changed(_) => drop(lock(&blobs.lost).insert(sending.digest)),
                    BlobFault::Stalled => stalled.notify_one(),
                    BlobFault::Gone => {}
                }
                done(&sending.digest, &fault);
                client.cut_off(fault);
            }
        });
        pieces
    }

    fn pass_on(&self, sending: &Sending, client: &Client) -> Result<(), BlobFault> {
        let extent = place(sending)?;
        let seals = lock(&self.seals).get(&sending.digest).cloned();
        match seals {
            Some(seals) => sealed(sending, &extent, &seals, client),
            None => self.hashed(sending, &extent, client),
        }
    }

    /// Hashes all of it, and sends the last piece when the digest is right.
    ///
    /// One thread hashes while this one reads, seals and sends: neither waits for the
    /// other for more than [`AHEAD`] pieces.
    fn hashed(&self, sending: &Sending, extent: &Extent, client: &Client) -> Result<(), BlobFault> {
        let (to_hash, read) = sync_channel::<Bytes>(AHEAD);
        let hashing = client.handle.spawn_blocking(move || {
            let mut hasher = Digester::new();
            read.iter().for_each(|bytes| hasher.update(&bytes));
            hasher.finish()
        });
        let (mut seals, mut scratch) = (Seals::new(), Vec::new());
        let mut held: Option<Bytes> = None;
        for number in 0..sending.size.div_ceil(PIECE) {
            let bytes = piece(sending, extent, number)?;
            to_hash.send(bytes.clone()).map_err(|_| lost_thread())?;
            if let Some(seals) = &mut seals {
                let tag = seals.tag(number, &bytes, &mut scratch)?;
                seals.tags.push(tag);
            }
            if let Some(bytes) = cut(bytes, number * PIECE, &sending.part)
                && let Some(earlier) = held.replace(bytes)
            {
                client.send(earlier)?;
            }
        }
        drop(to_hash);
        let got = client.handle.block_on(hashing).map_err(|_| lost_thread())?;
        if got != sending.digest {
            return Err(BlobFault::Changed(format!("digest mismatch: got {got}, want {}", sending.digest)));
        }
        if let Some(seals) = seals {
            lock(&self.seals).insert(sending.digest, Arc::new(seals));
        }
        client.send(held.unwrap_or_default())
    }
}

/// The thread that hashes ends with the pieces, and not before.
fn lost_thread() -> BlobFault {
    BlobFault::Changed("it could not be hashed".to_owned())
}

/// Sends each piece whose seal is right.
fn sealed(sending: &Sending, extent: &Extent, seals: &Seals, client: &Client) -> Result<(), BlobFault> {
    let mut scratch = Vec::new();
    for number in sending.part.start / PIECE..sending.part.end.div_ceil(PIECE) {
        let bytes = piece(sending, extent, number)?;
        let want = usize::try_from(number).ok().and_then(|number| seals.tags.get(number));
        if want != Some(&seals.tag(number, &bytes, &mut scratch)?) {
            let from = number * PIECE;
            return Err(BlobFault::Changed(format!("other bytes than were hashed from byte {from} on")));
        }
        if let Some(bytes) = cut(bytes, number * PIECE, &sending.part) {
            client.send(bytes)?;
        }
    }
    // The answer waits for something.
    if sending.part.is_empty() { client.send(Bytes::new()) } else { Ok(()) }
}

impl Seals {
    /// With a new key. `None` when the system has no random bytes: then each pull is
    /// hashed.
    fn new() -> Option<Self> {
        let mut key = [0; 16];
        SystemRandom::new().fill(&mut key).ok()?;
        let key = UnboundKey::new(&AES_128_GCM, &key).ok()?;
        Some(Self { key: LessSafeKey::new(key), tags: Vec::new() })
    }

    fn tag(&self, number: u64, bytes: &[u8], scratch: &mut Vec<u8>) -> Result<[u8; 16], BlobFault> {
        let mut nonce = [0; NONCE_LEN];
        nonce[..8].copy_from_slice(&number.to_le_bytes());
        scratch.clear();
        scratch.extend_from_slice(bytes);
        let tag = self.key.seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), scratch);
        let tag = tag.ok().and_then(|tag| tag.as_ref().try_into().ok());
        tag.ok_or_else(|| BlobFault::Changed("it is too long to be sealed".to_owned()))
    }
}

struct Client {
    sender: mpsc::Sender<io::Result<Bytes>>,
    handle: Handle,
}

impl Client {
    fn send(&self, bytes: Bytes) -> Result<(), BlobFault> {
        match self.handle.block_on(time::timeout(PATIENCE, self.sender.send(Ok(bytes)))) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(BlobFault::Gone),
            Err(_) => Err(BlobFault::Stalled),
        }
    }

    /// Who has gone need not hear it.
    fn cut_off(&self, fault: BlobFault) {
        if matches!(fault, BlobFault::Changed(_)) {
            let _ = self.handle.block_on(time::timeout(PATIENCE, self.sender.send(Err(io::Error::other(fault)))));
        }
    }
}

/// Reads a piece.
fn piece(sending: &Sending, extent: &Extent, number: u64) -> Result<Bytes, BlobFault> {
    let from = number * PIECE;
    let read = extent.piece(from, PIECE.min(sending.size.saturating_sub(from)));
    read.map_err(|error| BlobFault::Changed(format!("it cannot be read: {error}")))
}

fn place(sending: &Sending) -> Result<Extent, BlobFault> {
    let found =
        sending.members.blob(&sending.digest).map_err(|error| BlobFault::Changed(format!("it cannot be read: {error}")))?;
    let extent = found.ok_or_else(|| BlobFault::Changed("it is not there any more".to_owned()))?;
    match extent.size == sending.size {
        true => Ok(extent),
        false => Err(BlobFault::Changed(format!("size mismatch: got {}, want {} bytes", extent.size, sending.size))),
    }
}

/// The bytes of a piece that lie in `part`.
fn cut(bytes: Bytes, from: u64, part: &Range<u64>) -> Option<Bytes> {
    let length = u64::try_from(bytes.len()).ok()?;
    let start = part.start.saturating_sub(from).min(length);
    let end = part.end.saturating_sub(from).min(length);
    let (start, end) = (usize::try_from(start).ok()?, usize::try_from(end).ok()?);
    (start < end).then(|| bytes.slice(start..end))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::FileExt};

    use carnet_bundle::Limits;

    use super::*;

    /// A directory with one blob, and what serves it.
    struct Stage {
        _dir: tempfile::TempDir,
        file: fs::File,
        bytes: Vec<u8>,
        blobs: Arc<Blobs>,
        whole: Sending,
    }

    impl Stage {
        fn set(size: u64) -> Self {
            let bytes: Vec<u8> = (0..size).map(|n| (n % 251).to_le_bytes()[0]).collect();
            let digest = Digest::of(&bytes);
            let dir = tempfile::tempdir().unwrap();
            fs::create_dir_all(dir.path().join("blobs/sha256")).unwrap();
            let path = dir.path().join("blobs/sha256").join(digest.to_hex());
            fs::write(&path, &bytes).unwrap();
            let members = Arc::new(Members::open(dir.path(), &Limits::default()).unwrap());
            let file = fs::OpenOptions::new().write(true).open(path).unwrap();
            let whole = Sending { digest, size, part: 0..size, members };
            Self { _dir: dir, file, bytes, blobs: Arc::default(), whole }
        }

        /// What a client gets, and whether it is complete.
        async fn get(&self, part: Range<u64>) -> (Vec<u8>, bool) {
            let sending = Sending { part, ..self.whole.clone() };
            let mut pieces = self.blobs.send(sending, Arc::default(), |_, _| {});
            let mut all = Vec::new();
            while let Some(piece) = pieces.recv().await {
                match piece {
                    Ok(bytes) => all.extend_from_slice(&bytes),
                    Err(_) => return (all, false),
                }
            }
            (all, true)
        }

        fn flip(&self, at: u64) {
            let byte = self.bytes[usize::try_from(at).unwrap()] ^ 1;
            self.file.write_all_at(&[byte], at).unwrap();
        }

        fn heal(&self) {
            self.file.write_all_at(&self.bytes, 0).unwrap();
            lock(&self.blobs.lost).clear();
        }

        fn slice(&self, part: Range<u64>) -> &[u8] {
            &self.bytes[usize::try_from(part.start).unwrap()..usize::try_from(part.end).unwrap()]
        }
    }

    const MANY: u64 = 3 * PIECE;
    const SIZES: [u64; 7] = [0, 1, PIECE, PIECE + 1, MANY, MANY + 1, 2 * MANY + PIECE / 2];

    #[tokio::test]
    async fn every_range_is_what_the_blob_holds_there() {
        for size in SIZES {
            let stage = Stage::set(size);
            let ends = [0, 1, PIECE - 1, PIECE, MANY - 1, MANY, MANY + 1, 2 * MANY, size];
            let ends: BTreeSet<u64> = ends.into_iter().filter(|end| *end <= size).collect();
            // First hashed, then by seals.
            for round in 0..2 {
                for (from, to) in ends.iter().flat_map(|from| ends.range(from + 1..).map(move |to| (*from, *to))) {
                    let (got, complete) = stage.get(from..to).await;
                    assert!(complete && got == stage.slice(from..to), "{size}: {from}..{to}, round {round}");
                    if round == 0 {
                        lock(&stage.blobs.seals).clear();
                    }
                }
                assert_eq!(stage.get(0..size).await, (stage.bytes.clone(), true));
            }
        }
    }

    #[tokio::test]
    async fn wrong_bytes_are_never_a_complete_body() {
        let size = 2 * MANY + PIECE / 2;
        for is_sealed in [false, true] {
            let stage = Stage::set(size);
            for at in [0, PIECE, MANY - 1, MANY, 2 * MANY, size - 1] {
                for part in [0..size, at..at + 1, at..size, 0..at + 1, at.saturating_sub(1)..(at + 2).min(size)] {
                    stage.heal();
                    lock(&stage.blobs.seals).clear();
                    if is_sealed {
                        assert!(stage.get(0..size).await.1);
                    }
                    stage.flip(at);
                    let (got, complete) = stage.get(part.clone()).await;
                    assert!(!complete && got.len() < stage.slice(part.clone()).len(), "{at} {part:?} {is_sealed}");
                    assert!(stage.blobs.is_lost(&stage.whole.digest));
                }
            }
        }
    }

    /// With seals, what is overwritten elsewhere does not matter to a range.
    #[tokio::test]
    async fn a_range_rests_on_the_bytes_around_it() {
        let stage = Stage::set(3 * MANY);
        assert!(stage.get(0..3 * MANY).await.1);
        stage.flip(0);
        stage.flip(3 * MANY - 1);
        let (got, complete) = stage.get(MANY..2 * MANY).await;
        assert!(complete && got == stage.slice(MANY..2 * MANY));
    }

    #[tokio::test]
    async fn a_shorter_or_missing_file_is_no_body() {
        let stage = Stage::set(MANY);
        stage.file.set_len(MANY - 1).unwrap();
        assert!(!stage.get(0..MANY).await.1);
        let stage = Stage::set(0);
        let other = Sending { digest: Digest::of(b"other"), ..stage.whole.clone() };
        let mut pieces = stage.blobs.send(other, Arc::default(), |_, _| {});
        assert!(pieces.recv().await.unwrap().is_err());
    }
}
