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

use carnet_bundle::{Assembly, Digest, Document, inventory::ProofEntry, json, media};
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

/// Fetches the proofs and adds them to `assembly`. `urls` are asked instead of the
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
        let fetched = match (logs.find(&promise.log_id), &client) {
            _ if n >= ENTRIES => Err(Failed::reason(format!("more than {ENTRIES} entries"))),
            (None, _) => Err(Failed::reason(format!("log {} is in no trusted root", promise.log_id))),
            (_, Err(error)) => Err(Failed::reason(error.to_string())),
            (Some(log), Ok(client)) => fetch(&promise, &leaf, log, urls, client, &mut silent).await,
        };
        match fetched {
            Ok((url, bytes)) => {
                assembly.proofs.push(ProofEntry { leaf, digest: Digest::of(&bytes), log: url });
                let title = format!("{}.json", leaf.to_hex());
                assembly.documents.push(Document { media_type: media::LOG_PROOF.to_owned(), title, bytes });
                upgrade.proved += 1;
            }
            Err(Failed { reason, is_alarm }) => upgrade.unproved.push(Unproved { leaf, reason, is_alarm }),
        }
    }
    upgrade
}

struct Failed {
    reason: String,
    is_alarm: bool,
}

impl Failed {
    fn reason(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), is_alarm: false }
    }

    fn alarm(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), is_alarm: true }
    }
}

/// Fetches one entry and brings it into the form that is stored.
async fn fetch(
    promise: &Promise,
    leaf: &Digest,
    log: &Log,
    urls: &[String],
    client: &Registry,
    silent: &mut BTreeSet<String>,
) -> Result<(String, Vec<u8>), Failed> {
    // Nothing was promised; the verifier says what is wrong with it.
    log.verify_promise(promise).map_err(Failed::reason)?;
    let own = [log.url.clone()];
    let mut failed = None;
    for url in if urls.is_empty() { &own } else { urls } {
        let url = url.trim_end_matches('/').to_owned();
        // Who has not answered once is not waited for again.
        if silent.contains(&url) {
            failed.get_or_insert(Failed::reason(format!("{url} does not answer")));
            continue;
        }
        match ask(client, &url, promise, leaf).await {
            Answer::Found(answer) => {
                let stored = entry::read(&answer, promise, leaf, log)?;
                let bytes = json::canonical(&stored).map_err(|error| Failed::reason(error.to_string()))?;
                return Ok((url, bytes));
            }
            Answer::None { .. } | Answer::NotOffered { .. } if is_log(client, &url, log).await => {
                return Err(Failed::alarm(format!("{url} has no such entry, although the log promised it")));
            }
            Answer::None { .. } | Answer::NotOffered { .. } => {
                failed.get_or_insert(Failed::reason(format!("{url} has no such entry, and is another log")));
            }
            Answer::CouldNotLook(obstacle) => {
                failed.get_or_insert(Failed::reason(obstacle.to_string()));
                if is_silent(&obstacle) {
                    silent.insert(url);
                }
            }
        }
    }
    Err(failed.unwrap_or_else(|| Failed::reason("no log was asked")))
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

fn is_silent(obstacle: &Obstacle) -> bool {
    obstacle.kind == ObstacleKind::Unreachable
}

/// RFC 6962: SHA-256 of a zero byte and the leaf.
fn leaf_hash(body: &[u8]) -> Digest {
    Digest::of(&[&[0], body].concat())
}

/// Promises by leaf.
type Promises = BTreeMap<Digest, Promise>;
