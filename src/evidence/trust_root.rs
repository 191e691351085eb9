//! The trust root: whose logs, certificates and timestamps count.
//!
//! It comes from the operator, never from the bundle (R4.1): whoever writes the
//! archive controls all its bytes and could bring authorities along that vouch
//! for anything. [`TrustSource`] says where it came from and stands in every
//! report.
//!
//! Reads Sigstore's `trusted_root.json` of versions 0.1 and 0.2. Everything that
//! can be computed again is computed again when it is loaded (V5.2).

mod parts;
mod read;

use std::{fmt, sync::Arc};

use carnet_bundle::Digest;
use jiff::Timestamp;

use crate::{chain::Authority, public_key::PublicKey, signature::Memo, trust_policy::WithoutWindow, tuf};

pub use parts::TrustParts;

/// The compiled-in root of the public Sigstore instance, as its TUF repository
/// served it on [`PUBLIC_GOOD_DATE`].
const PUBLIC_GOOD: &[u8] = include_bytes!("data/public-good.trusted_root.json");
/// When the compiled-in root was taken.
const PUBLIC_GOOD_DATE: &str = "2026-08-21";

/// Parsed and validated trust material.
#[derive(Clone, Debug)]
pub struct TrustRoot {
    source: TrustSource,
    digest: Digest,
    media_type: String,
    logs: Vec<Log>,
    ct_logs: Vec<Log>,
    authorities: Vec<Authority>,
    timestamp_authorities: Vec<Authority>,
    skipped: Vec<String>,
    /// The signatures in its chains, which were verified when it was loaded and stand
    /// in the path of every piece of evidence.
    memo: Arc<Memo>,
}

/// How a trust root came to be trusted (R4.1).
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum TrustSource {
    /// Compiled into the program; the text is its date.
    CompiledIn(String),
    /// A file that the operator named.
    File(String),
    /// None: only keys that the operator gave count.
    None,
    /// Single keys and certificates that the operator named.
    Parts(String),
    /// A file of the bundle whose digest the operator pinned.
    Pinned(String),
    /// A TUF chain of the bundle, verified from a `root.json` that the operator holds.
    Tuf(Box<tuf::Chain>),
}

/// A time for which something is trusted. Both ends are included.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Window {
    /// First moment; open when absent.
    pub start: Option<Timestamp>,
    /// Last moment; open when absent.
    pub end: Option<Timestamp>,
}

/// A transparency log or a certificate transparency log.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    /// `baseUrl`; empty when the file has none.
    pub(crate) base_url: String,
    /// The 32 bytes that entries name it by.
    pub(crate) id: [u8; 32],
    pub(crate) key: PublicKey,
    pub(crate) window: Window,
}

/// Why a trust root cannot be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TrustRootError {
    /// A certificate or chain that cannot be an authority.
    #[error("{at}: {reason}")]
    Authority {
        /// Which element.
        at: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Two elements claim the same key id and differ.
    #[error("{at}: key id {id} stands there twice with different content")]
    Duplicate {
        /// Which element.
        at: String,
        /// The key id, base64.
        id: String,
    },
    /// The key id of a log is not that of its key.
    #[error("{at}: key id mismatch: the file says {file}, its key has {computed}")]
    KeyId {
        /// Which element.
        at: String,
        /// What the file says, base64.
        file: String,
        /// What the key gives, base64.
        computed: String,
    },
    /// A key that cannot be read.
    #[error("{at}: {reason}")]
    Key {
        /// Which element.
        at: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Not strict JSON, or not of the shape of a trusted root.
    #[error("not a trusted root: {0}")]
    Malformed(String),
    /// The file says that it is something else.
    #[error("unsupported trusted root media type {0:?}")]
    MediaType(String),
    /// A window without the start that it must have, or that ends before it starts.
    #[error("{at}: {reason}")]
    Window {
        /// Which element.
        at: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl TrustRoot {
    /// Parses and validates a `trusted_root.json`.
    ///
    /// # Errors
    ///
    /// Returns a [`TrustRootError`] for anything that is not wholly sound: a trust
    /// root is used as a whole or not at all. Keys of algorithms that carnet does
    /// not know are left out and listed by [`Self::skipped`].
    pub fn parse(bytes: &[u8], source: TrustSource) -> Result<Self, TrustRootError> {
        Self::remembering(|| read::parse(bytes, source, WithoutWindow::Refuse))
    }

    /// As [`Self::parse`], but takes authorities that do not say from when they are
    /// valid, for all times (trust policy, `trustRoot.authorityWithoutWindow`).
    ///
    /// # Errors
    ///
    /// As [`Self::parse`].
    pub fn parse_accepting_open_windows(bytes: &[u8], source: TrustSource) -> Result<Self, TrustRootError> {
        Self::remembering(|| read::parse(bytes, source, WithoutWindow::Accept))
    }

    /// The bytes of the compiled-in root: what [`Self::public_good`] reads.
    pub fn public_good_bytes() -> &'static [u8] {
        PUBLIC_GOOD
    }

    /// The compiled-in root of the public Sigstore instance.
    ///
    /// # Errors
    ///
    /// As [`Self::parse`]; a test holds that the compiled-in bytes are sound.
    pub fn public_good() -> Result<Self, TrustRootError> {
        Self::parse(PUBLIC_GOOD, TrustSource::CompiledIn(PUBLIC_GOOD_DATE.to_owned()))
    }

    /// No trust material at all: for evidence that is judged by a key alone.
    pub fn none() -> Self {
        Self {
            source: TrustSource::None,
            digest: Digest::of(b""),
            media_type: String::new(),
            logs: Vec::new(),
            ct_logs: Vec::new(),
            authorities: Vec::new(),
            timestamp_authorities: Vec::new(),
            skipped: Vec::new(),
            memo: Arc::default(),
        }
    }

    /// Makes a trust root of single keys and certificates, as the `SIGSTORE_*`
    /// variables of cosign name them.
    ///
    /// # Errors
    ///
    /// As [`Self::parse`].
    pub fn from_parts(parts: &TrustParts, source: &str) -> Result<Self, TrustRootError> {
        Self::remembering(|| parts::assemble(parts, TrustSource::Parts(source.to_owned())))
    }

    /// Where it came from.
    pub fn source(&self) -> &TrustSource {
        &self.source
    }

    /// SHA-256 of the bytes it was read from.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Media type of the file.
    pub fn media_type(&self) -> &str {
        &self.media_type
    }

    /// When its newest element starts: it knows nothing of what came later.
    pub fn newest_entry(&self) -> Option<Timestamp> {
        let logs = self.logs.iter().chain(&self.ct_logs).map(|log| log.window);
        let authorities = self.authorities.iter().chain(&self.timestamp_authorities).map(|authority| authority.window);
        logs.chain(authorities).filter_map(|window| window.start).max()
    }

    /// What ends when, soonest first: after that time nothing new verifies by it.
    /// What was signed before stays good, for it is judged at its own time.
    pub fn ends(&self) -> Vec<(String, Timestamp)> {
        let logs = self.logs.iter().chain(&self.ct_logs).filter_map(|log| Some((format!("log {}", log.name()), log.window.end?)));
        let authorities = self.authorities.iter().chain(&self.timestamp_authorities).filter_map(|authority| {
            let certificates = authority.chain.iter().map(crate::certificate::Certificate::not_after);
            let end = certificates.chain(authority.window.end).min()?;
            Some((format!("authority {}", authority.name), end))
        });
        let mut ends: Vec<_> = logs.chain(authorities).collect();
        ends.sort_by_key(|(_, end)| *end);
        ends
    }

    /// Elements that were left out, with the reason.
    pub fn skipped(&self) -> &[String] {
        &self.skipped
    }

    /// Whether it lists neither transparency logs nor CT logs, as the root of
    /// GitHub's private instance does.
    pub fn is_without_logs(&self) -> bool {
        self.logs.is_empty() && self.ct_logs.is_empty()
    }

    fn remembering(load: impl FnOnce() -> Result<Self, TrustRootError>) -> Result<Self, TrustRootError> {
        let memo: Arc<Memo> = Arc::default();
        Ok(Self { memo: memo.clone(), ..Memo::scope(&memo, load)? })
    }

    pub(crate) fn memo(&self) -> &Arc<Memo> {
        &self.memo
    }

    pub(crate) fn logs(&self) -> &[Log] {
        &self.logs
    }

    pub(crate) fn ct_logs(&self) -> &[Log] {
        &self.ct_logs
    }

    pub(crate) fn authorities(&self) -> &[Authority] {
        &self.authorities
    }

    pub(crate) fn timestamp_authorities(&self) -> &[Authority] {
        &self.timestamp_authorities
    }
}

impl Window {
    /// A window without ends.
    pub const OPEN: Self = Self { start: None, end: None };

    /// Whether `time` lies in it.
    pub fn contains(&self, time: Timestamp) -> bool {
        self.start.is_none_or(|start| start <= time) && self.end.is_none_or(|end| time <= end)
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.start, self.end) {
            (None, None) => f.write_str("always"),
            (Some(start), None) => write!(f, "from {start}"),
            (None, Some(end)) => write!(f, "until {end}"),
            (Some(start), Some(end)) => write!(f, "from {start} to {end}"),
        }
    }
}

impl fmt::Display for TrustSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CompiledIn(date) => write!(f, "compiled in, of {date}"),
            Self::File(path) => write!(f, "file {path}"),
            Self::None => f.write_str("none"),
            Self::Parts(text) => write!(f, "single keys and certificates: {text}"),
            Self::Pinned(digest) => write!(f, "carried in the bundle, pinned as {digest}"),
            Self::Tuf(chain) => write!(f, "TUF, {chain}"),
        }
    }
}

impl Log {
    /// Name for messages.
    pub(crate) fn name(&self) -> String {
        let id = crate::encoding::to_base64(&self.id);
        if self.base_url.is_empty() { id } else { format!("{} ({id})", self.base_url) }
    }

    /// The name that its checkpoints carry: the host, with the port if there is
    /// one; `None` when the trust root names no URL.
    pub(crate) fn host(&self) -> Option<&str> {
        let rest = self.base_url.split_once("://").map_or(self.base_url.as_str(), |(_, rest)| rest);
        let authority = rest.split('/').next().unwrap_or_default();
        (!authority.is_empty()).then_some(authority)
    }
}
