//! Verification summaries (SLSA VSA): a verdict of another day that a key of the
//! operator vouches for.
//!
//! A summary without a signature is a loose verdict and is not read at all. No
//! transparency log is asked for: whoever holds the key is the operator.

use std::{
    collections::BTreeMap,
    fmt, fs, io,
    path::{Path, PathBuf},
    str::FromStr,
};

use carnet_bundle::{Digest, json};
use carnet_evidence::{PublicKey, Rules, Signer, TrustRoot, Verifier, claimed_subjects, from_loose_file};
use jiff::{SignedDuration, Timestamp};
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

/// How long ago a summary may have been given, in hours.
///
/// The policy, the keys and what is known of an image move on, and a summary does not:
/// without a limit it would cover for as long as its key is given.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct MaxAge(u32);

/// Why a text is no age.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("want a number of days or hours above 0, such as 30d or 12h")]
pub(crate) struct AgeError;

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
            return self.refuse(path, format!("it is of {}, which is in the future: now is {now}", statement.time));
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

impl MaxAge {
    /// Whether a summary of `time` is older.
    pub(crate) fn is_exceeded(self, time: Timestamp, now: Timestamp) -> bool {
        now.duration_since(time) > SignedDuration::from_hours(i64::from(self.0))
    }
}

impl Default for MaxAge {
    /// Thirty days: an image that nobody judges once a month is one that nobody looks at.
    fn default() -> Self {
        Self(30 * 24)
    }
}

impl fmt::Display for MaxAge {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 % 24 {
            0 => write!(formatter, "{}d", self.0 / 24),
            _ => write!(formatter, "{}h", self.0),
        }
    }
}

impl FromStr for MaxAge {
    type Err = AgeError;

    /// As the trust policy writes ages: a number and `d` (24 hours) or `h`.
    fn from_str(text: &str) -> Result<Self, AgeError> {
        let (number, hours) = match (text.strip_suffix('d'), text.strip_suffix('h')) {
            (Some(number), _) => (number, 24),
            (None, Some(number)) => (number, 1),
            (None, None) => return Err(AgeError),
        };
        let number: u32 = number.parse().map_err(|_| AgeError)?;
        number.checked_mul(hours).filter(|hours| *hours > 0).map(Self).ok_or(AgeError)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_those_of_the_trust_policy() {
        for (text, hours, again) in [("30d", 720, "30d"), ("1h", 1, "1h"), ("48h", 48, "2d"), ("36h", 36, "36h")] {
            let age: MaxAge = text.parse().unwrap();
            assert_eq!((age, age.to_string().as_str()), (MaxAge(hours), again), "{text}");
        }
        for text in ["", "d", "0d", "0h", "7", "-1d", "1.5d", "1w", "1m", "30 d", "4294967295d", "never"] {
            assert_eq!(text.parse::<MaxAge>(), Err(AgeError), "{text}");
        }
    }

    #[test]
    fn an_age_is_exceeded_after_it_and_not_at_it() {
        let now: Timestamp = "2026-11-25T12:00:00Z".parse().unwrap();
        let is_old = |time: &str| MaxAge(24).is_exceeded(time.parse().unwrap(), now);
        assert!(!is_old("2026-11-24T12:00:00Z") && !is_old("2026-11-25T12:00:00Z"));
        assert!(is_old("2026-11-24T11:59:59.999Z") && is_old("1970-01-01T00:00:00Z"));
    }
}
