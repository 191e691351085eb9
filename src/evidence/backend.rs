//! The second verifier: everything that is known of the `sigstore-*` crates.
//!
//! What our own steps accept is put to `sigstore-verify` as well, built with its
//! typed constructors from the value that our steps read. A piece of evidence is
//! good only when both say so. Kinds that the crate does not know (intoto/0.0.1,
//! dsse/0.0.2, keys without a log, envelopes of several signatures) rest on our
//! steps alone; a list of what is left out of a comparison stands at
//! [`Witness::examine`].
//!
//! No other file names these crates; a test holds it.

mod provider;
mod typed;

use std::sync::Arc;

use jiff::Timestamp;
use sigstore_trust_root::TrustedRoot;
use sigstore_types::{Artifact, Sha256Hash};
use sigstore_verify::{PublicKeyVerificationPolicy, VerificationPolicy, Verifier};

use crate::{
    budget,
    public_key::{KeyAlgorithm, PublicKey},
    signature::Memo,
    signed::{Content, Form, Signed},
    trust_root::TrustRoot,
    verifier::VerifierError,
};

/// The crate's verifier for one trust root.
pub(crate) struct Witness {
    verifier: Verifier,
    root: TrustedRoot,
    /// Starts of the windows of certificate authorities, each with its number of
    /// certificates, and of timestamp authorities.
    authorities: Vec<(Option<Timestamp>, usize)>,
    timestamp_authorities: Vec<Option<Timestamp>>,
}

/// What our steps found, so that the crate is asked about the same.
pub(crate) struct Question<'a> {
    pub(crate) signed: &'a Signed<'a>,
    /// Places of the log entries that count.
    pub(crate) entries: &'a [usize],
    /// Places of the timestamps that count.
    pub(crate) timestamps: &'a [usize],
    /// SHA-256 of the artifact.
    pub(crate) subject: [u8; 32],
    /// The artifact or payload that a message signature covers.
    pub(crate) message: Option<&'a [u8]>,
    /// The operator's key.
    pub(crate) key: Option<&'a PublicKey>,
    /// Algorithm of the key that signed.
    pub(crate) algorithm: KeyAlgorithm,
    /// Certificates that may stand between leaf and authority.
    pub(crate) chain: &'a [Vec<u8>],
    /// Whether exactly one certificate timestamp was found good.
    pub(crate) has_one_sct: bool,
    /// Whether log entries are asked for.
    pub(crate) needs_log: bool,
    /// The last time that a source of the trust root vouches for.
    pub(crate) last: Option<Timestamp>,
}

/// What the crate says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Answer {
    /// It verifies.
    Agrees,
    /// It refuses because a signed time is later than the clock of this host.
    ClockIsEarly(String),
    /// It refuses.
    Refuses(String),
    /// It does not know this kind of evidence.
    CannotTell,
}

impl Witness {
    /// Prepares the crate for `root`.
    pub(crate) fn new(root: &TrustRoot) -> Result<Self, String> {
        provider::install()?;
        let authorities = root.authorities().iter().map(|authority| (authority.window.start, authority.chain.len())).collect();
        let timestamp_authorities = root.timestamp_authorities().iter().map(|authority| authority.window.start).collect();
        let root = typed::trusted_root(root)?;
        Ok(Self { verifier: Verifier::new(&root).map_err(|e| e.to_string())?, root, authorities, timestamp_authorities })
    }

    /// Puts the question to the crate.
    ///
    /// Left out: entries and timestamps that our steps did not count, timestamps
    /// over an envelope instead of its signature, the SCT when there are several,
    /// and everything when a kind is unknown to the crate.
    pub(crate) fn examine(&self, memo: &Arc<Memo>, question: &Question<'_>) -> Answer {
        let Some(bundle) = typed::bundle(question) else { return Answer::CannotTell };
        let work = || match question.key {
            Some(key) => {
                let policy = PublicKeyVerificationPolicy::new(typed::public_key(key));
                let policy = if question.needs_log { policy } else { policy.skip_tlog_unsafe() };
                self.verifier.verify(artifact(question), &bundle, &policy)
            }
            None => {
                let policy = VerificationPolicy::any_identity();
                let policy = if question.needs_log { policy } else { policy.skip_tlog_unsafe() };
                let policy = if question.has_one_sct { policy } else { policy.skip_sct() };
                self.verifier.verify(artifact(question), &bundle, &policy)
            }
        };
        let result = Memo::scope(memo, || match question.message {
            Some(message) => provider::with_preimage(message, work),
            None => work(),
        });
        match result {
            Ok(_) => Answer::Agrees,
            Err(error) => {
                let text = error.to_string();
                let early = text.contains("is in the future") || text.contains("No matching Rekor key found");
                if early || self.lacks_authorities(question.last) { Answer::ClockIsEarly(text) } else { Answer::Refuses(text) }
            }
        }
    }
}

impl Witness {
    /// Whether the crate leaves an authority out that had begun at `last`. It asks the
    /// clock of the host which ones have begun, so that clock is before `last`.
    fn lacks_authorities(&self, last: Option<Timestamp>) -> bool {
        let begun = |start: Option<Timestamp>| start.is_none_or(|start| last.is_some_and(|last| start <= last));
        let certificates: usize = self.authorities.iter().filter(|(start, _)| begun(*start)).map(|(_, count)| count).sum();
        let timestamps = self.timestamp_authorities.iter().filter(|start| begun(**start)).count();
        self.root.fulcio_certs().len() < certificates || self.root.tsa_authorities().len() < timestamps
    }
}

/// Makes ring the provider of those crates, for a process that uses one of them
/// beside a [`crate::Verifier`]. Doing it twice does no harm.
///
/// # Errors
///
/// Returns [`VerifierError::Backend`] when another provider was installed before.
pub fn install_crypto_provider() -> Result<(), VerifierError> {
    provider::install().map_err(VerifierError::Backend)
}

/// Whether the crate can be asked about this form at all, and at this size.
pub(crate) fn knows(signed: &Signed<'_>) -> bool {
    // Its envelopes have one signature.
    !matches!(signed.form, Form::BareEnvelope) && signed.further.is_empty() && signed.stored.len() <= budget::SECOND_VERIFIER
}

fn artifact<'q>(question: &'q Question<'_>) -> Artifact<'q> {
    match (&question.signed.content, question.message) {
        (Content::Envelope { .. }, _) | (_, None) => Artifact::from(Sha256Hash::new(question.subject)),
        (_, Some(message)) => Artifact::from(message),
    }
}
