//! One piece of evidence, step by step.

use std::{borrow::Cow, collections::BTreeSet};

mod content;
mod logged;
mod signer;

use carnet_bundle::Digest;

use super::{Subject, Verifier};
use crate::{
    backend::{self, Answer, Question},
    certificate::Certificate,
    chain::Path,
    codes,
    envelope::pre_authentication_encoding,
    public_key::PublicKey,
    rules::{KeyScheme, Signer},
    sct,
    signed::{Content, Refusal, Signature, Signed},
    statement,
    trust_root::Log,
    verified::{LogRecord, VerifiedTime},
};

pub(super) use logged::is_passed_over;

/// Everything that the steps found out, good and bad.
pub(super) struct Judgement<'a> {
    pub(super) verifier: &'a Verifier,
    pub(super) signed: &'a Signed<'a>,
    /// The signature that is judged: of several, one that the key made.
    pub(super) signature: &'a Signature,
    pub(super) subject: Subject<'a>,
    /// What the signature covers: borrowed where it is stored that way. Absent for
    /// a signature over an artifact whose bytes are not at hand.
    signed_bytes: Option<Cow<'a, [u8]>>,
    pub(super) refusals: Vec<Refusal>,
    pub(super) notes: Vec<Refusal>,
    pub(super) binding: Option<Binding>,
    pub(super) leaf: Option<Certificate>,
    pub(super) path: Option<Path>,
    pub(super) times: Vec<VerifiedTime>,
    /// The keys that signed these times: one key is one source, whatever it is called.
    time_keys: BTreeSet<Digest>,
    pub(super) records: Vec<LogRecord>,
    pub(super) certificate_logs: Vec<sct::Logged>,
    /// Certificate timestamps in the certificate, good or passed over.
    scts: usize,
    /// Logs whose entry says nothing about the time.
    timeless_logs: Vec<&'a Log>,
    /// Places of the log entries that count.
    entries: Vec<usize>,
    /// Places of the timestamps that count.
    timestamps: Vec<usize>,
    /// Certificates that may stand between leaf and authority.
    chain: Vec<Vec<u8>>,
}

/// How the evidence names its subject.
#[derive(Clone, Debug)]
pub(super) enum Binding {
    /// The signature is over the artifact itself.
    Artifact,
    /// A simple-signing payload, with the name that the signer used.
    SimpleSigning(String),
    /// The subject of a statement at this place.
    Statement { index: usize, statement: statement::Statement },
}

impl<'a> Judgement<'a> {
    /// Runs all steps. Later steps run although earlier ones failed, as far as
    /// they can: the reader gets every reason at once.
    pub(super) fn of(verifier: &'a Verifier, signed: &'a Signed<'a>, subject: Subject<'a>) -> Self {
        let mut judgement = Self {
            verifier,
            signed,
            signature: &signed.signature,
            subject,
            signed_bytes: signed_bytes(signed, subject),
            refusals: Vec::new(),
            notes: Vec::new(),
            binding: None,
            leaf: None,
            path: None,
            times: Vec::new(),
            time_keys: BTreeSet::new(),
            records: Vec::new(),
            certificate_logs: Vec::new(),
            scts: 0,
            timeless_logs: Vec::new(),
            entries: Vec::new(),
            timestamps: Vec::new(),
            chain: Vec::new(),
        };
        judgement.bind();
        if let Some(key) = judgement.signing_key() {
            judgement.check_signature(&key);
            judgement.check_log(&key);
        }
        judgement.check_timestamps();
        judgement.check_key_window();
        judgement.check_certificate();
        judgement.check_identity();
        if judgement.refusals.is_empty() {
            judgement.ask_witness();
        }
        judgement
    }

    /// V7.7: the second verifier, asked about what was counted.
    fn ask_witness(&mut self) {
        let rules = &self.verifier.rules;
        let unusual = matches!(rules.key_scheme, Some(KeyScheme::EcdsaP384Sha256 | KeyScheme::RsaPssSha256));
        if !backend::knows(self.signed) || unusual {
            return;
        }
        let message = match &self.signed.content {
            Content::SimpleSigning { payload } => Some(payload.as_ref()),
            Content::Artifact { .. } => self.subject.bytes(),
            Content::Envelope { .. } => None,
        };
        let key = match &self.verifier.rules.signer {
            Signer::Key(key) => Some(key),
            Signer::Identities(_) => None,
        };
        let Some(algorithm) = key.or(self.leaf.as_ref().map(Certificate::key)).map(PublicKey::algorithm) else { return };
        let question = Question {
            signed: self.signed,
            entries: &self.entries,
            timestamps: &self.timestamps,
            subject: *self.subject.digest().as_bytes(),
            message,
            key,
            algorithm,
            chain: &self.chain,
            has_one_sct: self.verifier.rules.sct_threshold > 0 && self.scts == 1,
            needs_log: self.verifier.rules.log_threshold > 0,
            last: self.times.iter().map(|time| time.time).max(),
        };
        match self.verifier.witness.examine(self.verifier.root.memo(), &question) {
            Answer::Agrees | Answer::CannotTell => {}
            Answer::ClockIsEarly(reason) => {
                let message = format!("the clock of this host is before a time that was signed: {reason}");
                self.refuse(Refusal::new(&codes::HOST_CLOCK_IMPLAUSIBLE, message));
            }
            Answer::Refuses(reason) => self.refuse(Refusal::new(&codes::VERIFIERS_DISAGREE, reason)),
        }
    }

    /// Counts a time that the holder of `key` signed.
    fn count_time(&mut self, time: VerifiedTime, key: Digest) {
        self.times.push(time);
        self.time_keys.insert(key);
    }

    fn refuse(&mut self, refusal: Refusal) {
        self.refusals.push(refusal);
    }
}

fn signed_bytes<'a>(signed: &'a Signed<'a>, subject: Subject<'a>) -> Option<Cow<'a, [u8]>> {
    match &signed.content {
        Content::Envelope { payload_type, payload } => Some(pre_authentication_encoding(payload_type, payload).into()),
        Content::SimpleSigning { payload } => Some(Cow::Borrowed(payload.as_ref())),
        Content::Artifact { .. } => subject.bytes().map(Cow::Borrowed),
    }
}
