//! Proof upgrade: an inclusion proof for every log entry that travels with a
//! promise only (`bundle-spec/evidence.md` §5).
//!
//! Input is the evidence that was collected and the logs that the trust roots
//! name; output is documents beside the originals, which stay as they are. A proof
//! is stored when it is about the very entry (body, log, index and time) and
//! verifies. One that cannot be had is said and nothing is lost; but an entry that
//! the log denies although it has promised it is an alarm.
//!
//! The `sigstore` crate has a client for these entries (its feature `rekor`). It
//! cannot carry the checks: it throws the bytes of the body away, so they cannot be
//! compared nor hashed, has no kind `dsse`, cuts the answer at fixed places (and
//! panics where the id is short), and keeps no status, so that "denied" and "does
//! not exist" are one. The entries are fetched as plain documents instead.

mod entry;
mod log;
mod promise;

use std::collections::{BTreeMap, BTreeSet};

use carnet_bundle::{
    Assembly, Digest, Document,
    inventory::{LookResult, Method, ProofEntry, Receipt},
    json, media,
};
use carnet_registry::{Answer, Obstacle, ObstacleKind, Registry, RegistryError};

pub(crate) use self::log::Logs;
use self::{
    log::Log,
    promise::{Promise, promises},
};
use crate::progress::Progress;

/// Largest answer of a log, in bytes: a body of 10 MiB in base64, and a proof.
const ANSWER: u64 = 16 << 20;
/// Entries that are asked for; logs limit how often they are asked.
const ENTRIES: usize = 1_000;

/// The logs that evidence names and no trusted root knows, with the number of their
/// entries: the far side needs a root that has them.
pub(crate) fn unknown_logs(assembly: &Assembly, logs: &Logs) -> BTreeMap<String, usize> {
    let mut unknown = BTreeMap::new();
    for id in promise::log_ids(assembly).into_iter().filter(|id| logs.find(id).is_none()) {
        *unknown.entry(id).or_default() += 1;
    }
    unknown
}

/// What became of the promises.
#[derive(Debug, Default)]
pub(crate) struct Upgrade {
    /// Entries that have a proof now.
    pub(crate) proved: usize,
    /// Entries without, each with the reason.
    pub(crate) unproved: Vec<Unproved>,
}

/// An entry that no proof could be had for.
#[derive(Debug)]
pub(crate) struct Unproved {
    pub(crate) leaf: Digest,
    pub(crate) reason: String,
    /// The log denies what it has promised.
    pub(crate) is_alarm: bool,
}

/// Fetches the proofs and adds them to `assembly`, with a receipt for every log that
/// was asked for an entry. `urls` are asked instead of the
/// logs' own addresses, if there are any.
pub(crate) async fn upgrade(
    assembly: &mut Assembly,
    logs: &Logs,
    urls: &[String],
    client: Result<Registry, RegistryError>,
    progress: &Progress,
) -> Upgrade {
    let promises = promises(assembly);
    let mut upgrade = Upgrade::default();
    let mut silent = BTreeSet::new();
    if !promises.is_empty() {
        progress.step(format_args!("asking for {} proofs", promises.len()));
    }
    for (n, (leaf, promise)) in promises.into_iter().enumerate() {
        let mut asked = Asked { promise, leaf, receipts: Vec::new() };
        let fetched = match (logs.find(&asked.promise.log_id), &client) {
            _ if n >= ENTRIES => Err(Failed::not_asked("too-many-entries", format!("more than {ENTRIES} entries"))),
            (None, _) => Err(Failed::not_asked("log-unknown", format!("log {} is in no trusted root", asked.promise.log_id))),
            (_, Err(error)) => Err(Failed::not_asked("no-client", error.to_string())),
            (Some(log), Ok(client)) => asked.prove(log, urls, client, &mut silent).await,
        };
        match fetched {
            Ok((url, bytes)) => {
                assembly.proofs.push(ProofEntry { leaf, digest: Digest::of(&bytes), log: url });
                let title = format!("{}.json", leaf.to_hex());
                assembly.documents.push(Document { media_type: media::LOG_PROOF.to_owned(), title, bytes });
                upgrade.proved += 1;
            }
            Err(failed) => {
                if asked.receipts.is_empty() {
                    asked.receipts.push(failed.receipt(leaf, &asked.promise.log_id));
                }
                upgrade.unproved.push(Unproved { leaf, reason: failed.reason, is_alarm: failed.is_alarm });
            }
        }
        assembly.receipts.append(&mut asked.receipts);
    }
    upgrade
}

/// Why there is no proof, and what the receipt says of it.
struct Failed {
    reason: String,
    is_alarm: bool,
    result: LookResult,
    status: Option<u16>,
    note: &'static str,
}

impl Failed {
    /// An answer that is of no use.
    fn reason(reason: impl Into<String>) -> Self {
        let note = ObstacleKind::Malformed.word();
        Self { reason: reason.into(), is_alarm: false, result: LookResult::CouldNotLook, status: None, note }
    }

    /// A log that does not hold what it promised.
    fn alarm(reason: impl Into<String>) -> Self {
        Self { is_alarm: true, result: LookResult::None, note: "promise-not-kept", ..Self::reason(reason) }
    }

    fn not_asked(note: &'static str, reason: impl Into<String>) -> Self {
        Self { result: LookResult::NotLooked, note, ..Self::reason(reason) }
    }

    fn obstacle(obstacle: &Obstacle) -> Self {
        Self { status: obstacle.status, note: obstacle.kind.word(), ..Self::reason(obstacle.to_string()) }
    }

    fn receipt(&self, leaf: Digest, place: &str) -> Receipt {
        receipt(leaf, place, self.result, self.status, self.note)
    }
}

fn receipt(leaf: Digest, place: &str, result: LookResult, status: Option<u16>, note: &str) -> Receipt {
    Receipt {
        subject: leaf,
        repository: place.to_owned(),
        method: Method::LogProof,
        result,
        found: u64::from(result == LookResult::Found),
        status,
        answer: None,
        note: note.to_owned(),
    }
}

/// One entry, and the logs that were asked for it.
struct Asked {
    promise: Promise,
    leaf: Digest,
    receipts: Vec<Receipt>,
}

impl Asked {
    /// Asks one log after the other, until one proves the entry or denies it. The
    /// first reason is the one that is told.
    async fn prove(
        &mut self,
        log: &Log,
        urls: &[String],
        client: &Registry,
        silent: &mut BTreeSet<String>,
    ) -> Result<(String, Vec<u8>), Failed> {
        // Nothing was promised; the verifier says what is wrong with it.
        log.verify_promise(&self.promise).map_err(|reason| Failed::not_asked("promise-invalid", reason))?;
        let own = [log.url.clone()];
        let mut failed = None;
        let urls = if urls.is_empty() { own.as_slice() } else { urls };
        for url in urls.iter().filter(|url| !url.is_empty()) {
            let url = url.trim_end_matches('/').to_owned();
            match self.fetch(&url, log, client, silent).await {
                Ok(bytes) => {
                    self.receipts.push(receipt(self.leaf, &url, LookResult::Found, Some(200), ""));
                    return Ok((url, bytes));
                }
                Err(error) => {
                    self.receipts.push(error.receipt(self.leaf, &url));
                    if error.is_alarm {
                        return Err(error);
                    }
                    failed.get_or_insert(error);
                }
            }
        }
        Err(failed.unwrap_or_else(|| Failed::not_asked("log-unknown", "the trusted root gives no address of the log")))
    }

    /// Fetches the entry from one log and brings it into the form that is stored.
    async fn fetch(&self, url: &str, log: &Log, client: &Registry, silent: &mut BTreeSet<String>) -> Result<Vec<u8>, Failed> {
        // Who has not answered once is not waited for again.
        if silent.contains(url) {
            return Err(Failed { note: ObstacleKind::Unreachable.word(), ..Failed::reason(format!("{url} does not answer")) });
        }
        match ask(client, url, &self.promise, &self.leaf).await {
            Answer::Found(answer) => {
                let stored = entry::read(&answer, &self.promise, &self.leaf, log)?;
                json::canonical(&stored).map_err(|error| Failed::reason(error.to_string()))
            }
            Answer::None { status } | Answer::NotOffered { status } => match is_log(client, url, log).await {
                true => {
                    let reason = format!("{url} has no such entry, although the log promised it");
                    Err(Failed { status, ..Failed::alarm(reason) })
                }
                false => {
                    let reason = format!("{url} has no such entry, and is another log");
                    Err(Failed { status, ..Failed::not_asked("other-log", reason) })
                }
            },
            Answer::CouldNotLook(obstacle) => {
                if obstacle.kind == ObstacleKind::Unreachable {
                    silent.insert(url.to_owned());
                }
                Err(Failed::obstacle(&obstacle))
            }
        }
    }
}

/// Whether the server speaks for the log that promised: it has the address that the
/// trust root gives, or shows the log's key. What another log lacks is no news.
async fn is_log(client: &Registry, url: &str, log: &Log) -> bool {
    if url == log.url.trim_end_matches('/') {
        return true;
    }
    match client.document(&format!("{url}/api/v1/log/publicKey"), ANSWER).await {
        Answer::Found(pem) => carnet_evidence::PublicKey::from_pem(&pem).is_ok_and(|key| log.has_key(&key)),
        _ => false,
    }
}

/// Asks by the leaf, which cannot be answered with another entry unnoticed, then by
/// the index.
async fn ask(client: &Registry, url: &str, promise: &Promise, leaf: &Digest) -> Answer<bytes::Bytes> {
    let by_leaf = format!("{url}/api/v1/log/entries/{}", leaf.to_hex());
    match client.document(&by_leaf, ANSWER).await {
        Answer::None { .. } => client.document(&format!("{url}/api/v1/log/entries?logIndex={}", promise.log_index), ANSWER).await,
        answer => answer,
    }
}

/// Promises by leaf.
type Promises = BTreeMap<Digest, Promise>;
