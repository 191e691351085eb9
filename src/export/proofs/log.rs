//! The logs that trust roots name, and what they answer for.

use carnet_evidence::{KnownLog, PublicKey, TrustRoot, TrustSource, Vouched};
use serde_json::Value;

use super::{entry, promise::Promise};

/// Transparency logs by the id of their keys.
#[derive(Default)]
pub(crate) struct Logs(Vec<Log>);

/// One log.
pub(super) struct Log {
    pub(super) url: String,
    /// What the trusted root calls it, in hex; not the digest of the key for logs of
    /// Rekor version 2.
    name: String,
    known: KnownLog,
}

impl Logs {
    /// The logs of these trusted roots; of the public Sigstore instance when none is
    /// given. A file that is not sound has no logs; whoever verifies says why.
    pub(crate) fn new<'a>(roots: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut roots: Vec<&[u8]> = roots.into_iter().collect();
        if roots.is_empty() {
            roots.push(TrustRoot::public_good_bytes());
        }
        let roots = roots.into_iter().filter_map(|root| TrustRoot::parse(root, TrustSource::File(String::new())).ok());
        let logs = roots.flat_map(|root| KnownLog::of(&root));
        Self(logs.map(|known| Log { url: known.url().to_owned(), name: known.id(), known }).collect())
    }

    pub(super) fn find(&self, id: &str) -> Option<&Log> {
        self.0.iter().find(|log| log.name == id)
    }
}

impl Log {
    pub(super) fn has_key(&self, key: &PublicKey) -> bool {
        self.known.has_key(key)
    }

    /// Verifies the signed entry timestamp.
    pub(super) fn verify_promise(&self, promise: &Promise) -> Result<(), String> {
        match self.verify(&entry::stored(promise, None))?.by_promise {
            true => Ok(()),
            false => Err(format!("{} has promised nothing", self.url)),
        }
    }

    /// Verifies what the log has to answer for in an entry in the form that is stored.
    pub(super) fn verify(&self, entry: &Value) -> Result<Vouched, String> {
        self.known.verify(entry.to_string().as_bytes()).map_err(|error| error.to_string())
    }
}
