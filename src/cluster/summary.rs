//! Verification summaries (SLSA VSA): a verdict of another day that a key of the
//! operator vouches for.
//!
//! A summary without a signature is a loose verdict and is not read at all. No
//! transparency log is asked for: whoever holds the key is the operator.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use carnet_bundle::{Digest, json};
use carnet_evidence::{PublicKey, Rules, Signer, TrustRoot, Verifier, claimed_subjects, from_loose_file};
use jiff::Timestamp;
use serde_json::Value;

use crate::{error::ClusterError, judge::Relaxation};

/// Predicate type of verification summaries.
const PREDICATE: &str = "https://slsa.dev/verification_summary/v1";
/// The only verifier whose summaries count: a summary of another program may mean
/// less (SLSA, "How to verify a VSA": the verifier has to be the expected one).
const VERIFIER: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "#carnet-verify");
/// Member of the predicate with what only carnet says.
const EXTENSION: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "#carnet");
/// Largest file: far above what a summary takes.
const MAX_FILE: u64 = 8 * 1024 * 1024;

/// What a summary says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Statement {
    /// The manifest or index that it is about.
    pub(crate) subject: Digest,
    /// Whether that passed.
    pub(crate) passed: bool,
    /// Who says so.
    verifier: String,
    /// When it was judged.
    pub(crate) time: Timestamp,
    /// Which checks a flag relaxed then.
    pub(crate) relaxations: Vec<Relaxation>,
}

/// A summary whose signature was verified.
#[derive(Clone, Debug)]
pub(crate) struct Summary {
    /// Its file.
    pub(crate) path: PathBuf,
    /// What it says.
    pub(crate) statement: Statement,
}

/// Summaries whose signatures were verified: the newest for each digest.
#[derive(Clone, Debug, Default)]
pub(crate) struct Summaries {
    by_digest: BTreeMap<Digest, Summary>,
    /// Files that do not count, and why.
    pub(crate) refused: Vec<(PathBuf, String)>,
}

impl Summaries {
    /// Reads files and verifies each with the key.
    ///
    /// # Errors
    ///
    /// Returns a [`ClusterError`] for files that cannot be read and for those that are
    /// no signed statement at all.
    pub(crate) fn read(paths: &[PathBuf], key: &Path, now: Timestamp) -> Result<Self, ClusterError> {
        let pem = read(key)?;
        let key = PublicKey::from_pem(&pem).map_err(|source| ClusterError::Key { path: key.to_owned(), source })?;
        let verifier = Verifier::new(TrustRoot::none(), Rules::new(Signer::Key(key)).ignore_rekor(), now)?;
        let mut summaries = Self::default();
        for path in paths {
            let bytes = read(path)?;
            let wrong = |reason: &str| ClusterError::Summary { path: path.clone(), reason: reason.to_owned() };
            let subjects = claimed_subjects(&bytes);
            if subjects.is_empty() {
                return Err(wrong("not a signed verification summary: no DSSE envelope or Sigstore bundle with a statement"));
            }
            for subject in subjects {
                let evidence = from_loose_file(&subject, &bytes).map_err(|error| wrong(&error.to_string()))?;
                match verifier.verify(&evidence, subject) {
                    Ok(claim) => match claim.statement().as_ref().and_then(|statement| Statement::about(statement, subject)) {
                        Some(statement) => summaries.take(path, statement, now),
                        None => summaries.refuse(path, "it is signed, but no verification summary".to_owned()),
                    },
                    Err(findings) => {
                        let first = findings.first().map(|finding| format!("{}: {}", finding.code, finding.message));
                        summaries.refuse(path, first.unwrap_or_default());
                    }
                }
            }
        }
        Ok(summaries)
    }

    /// The newest summary about a digest.
    pub(crate) fn about(&self, digest: &Digest) -> Option<&Summary> {
        self.by_digest.get(digest)
    }

    fn take(&mut self, path: &Path, statement: Statement, now: Timestamp) {
        if statement.verifier != VERIFIER {
            return self.refuse(path, format!("it is of the verifier {:?}, want {VERIFIER:?}", statement.verifier));
        }
        if statement.time > now {
            return self.refuse(path, format!("it is of {}, which is in the future", statement.time));
        }
        let summary = Summary { path: path.to_owned(), statement };
        let known = self.by_digest.get(&summary.statement.subject).map(|known| &known.statement);
        // Of two that are equally old the one that failed counts.
        let rank = |one: &Statement| (one.time, !one.passed);
        if known.is_none_or(|known| rank(&summary.statement) > rank(known)) {
            self.by_digest.insert(summary.statement.subject, summary);
        }
    }

    fn refuse(&mut self, path: &Path, reason: String) {
        self.refused.push((path.to_owned(), reason));
    }
}

impl Statement {
    /// Reads the summary of its one subject.
    pub(crate) fn read(statement: &Value) -> Option<Self> {
        let subjects = statement.get("subject")?.as_array()?;
        let [subject] = subjects.as_slice() else { return None };
        let digest = Digest::from_hex(subject.pointer("/digest/sha256")?.as_str()?).ok()?;
        Self::about(statement, digest)
    }

    /// Reads the summary as one about `subject`.
    fn about(statement: &Value, subject: Digest) -> Option<Self> {
        let text = |pointer: &str| statement.pointer(pointer).and_then(Value::as_str);
        if text("/predicateType") != Some(PREDICATE) {
            return None;
        }
        Some(Self {
            subject,
            passed: text("/predicate/verificationResult")? == "PASSED",
            verifier: text("/predicate/verifier/id")?.to_owned(),
            time: text("/predicate/timeVerified")?.parse().ok()?,
            relaxations: match statement.pointer("/predicate").and_then(|predicate| predicate.get(EXTENSION)) {
                Some(own) => json::from_value(own.get("relaxations").cloned()?).ok()?,
                None => Vec::new(),
            },
        })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, ClusterError> {
    let error = |source| ClusterError::Read { path: path.to_owned(), source };
    if fs::metadata(path).map_err(error)?.len() > MAX_FILE {
        return Err(error(io::Error::new(io::ErrorKind::FileTooLarge, format!("larger than {MAX_FILE} bytes"))));
    }
    fs::read(path).map_err(error)
}
