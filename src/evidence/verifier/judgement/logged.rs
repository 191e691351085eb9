//! V8, V9: transparency logs and timestamps.

use std::collections::BTreeSet;

use super::Judgement;
use crate::{
    binding,
    checkpoint::Checkpoint,
    codes, entry_body, log,
    public_key::PublicKey,
    signed::{Content, Form, LogEntry, Refusal},
    timestamp,
    trust_root::Log,
    verified::{LogRecord, TimeSource, VerifiedTime},
};

impl<'a> Judgement<'a> {
    /// V8: trusted logs that hold exactly this signature.
    pub(super) fn check_log(&mut self, key: &PublicKey) {
        let verifier = match &self.leaf {
            Some(leaf) => leaf.as_der().to_vec(),
            None => key.as_der().to_vec(),
        };
        let required = self.verifier.rules.log_threshold > 0;
        let mut problems = Vec::new();
        let mut keys = BTreeSet::new();
        for (place, entry) in self.signed.entries.iter().enumerate() {
            let twin = |other: &LogEntry| other.log_id == entry.log_id && other.log_index == entry.log_index;
            let result = match self.signed.entries.iter().take(place).any(twin) {
                true => {
                    Err(Refusal::new(&codes::DUPLICATE_LOG_ENTRY, format!("log entry {} stands there twice", entry.log_index)))
                }
                false => self.check_entry(entry, key, &verifier),
            };
            match result {
                Ok((record, time, log)) => {
                    self.records.push(record);
                    let key = log.key.fingerprint();
                    match time {
                        None => self.timeless_logs.push(log),
                        Some(time) if self.counts_log_times() => self.count_time(time, key),
                        Some(_) => {}
                    }
                    keys.insert(key);
                    self.entries.push(place);
                }
                Err(refusal) => problems.push(refusal),
            }
        }
        // One log counts once, whatever it is called (GHSA-9vcr-p3rj-q5q6).
        if !required {
            // Not asked for: what does not verify is not counted, and said.
            self.notes.append(&mut problems);
        } else if keys.len() < self.verifier.rules.log_threshold {
            if problems.is_empty() || !keys.is_empty() {
                let (have, want) = (keys.len(), self.verifier.rules.log_threshold);
                problems.push(Refusal::new(&codes::NO_LOG_ENTRY, format!("{have} logs hold this signature, {want} wanted")));
            }
            self.refusals.append(&mut problems);
        } else {
            // Enough logs: an entry of a log that nobody trusts is passed over, one
            // of a trusted log that does not hold is tampering.
            for refusal in problems {
                let unknown = refusal.code == &codes::LOG_NOT_TRUSTED;
                if unknown { self.notes.push(refusal) } else { self.refusals.push(refusal) }
            }
        }
    }

    fn check_entry(
        &self,
        entry: &LogEntry,
        key: &PublicKey,
        verifier: &[u8],
    ) -> Result<(LogRecord, Option<VerifiedTime>, &'a Log), Refusal> {
        let Some(trusted) = self.verifier.root.logs().iter().find(|log| log.id == entry.log_id) else {
            let message = format!("log {} is not in the trust root", crate::encoding::to_base64(&entry.log_id));
            return Err(Refusal::new(&codes::LOG_NOT_TRUSTED, message));
        };
        let body = entry_body::parse(&entry.body, &entry.kind, &entry.version)?;
        let digest = matches!(self.signed.content, Content::Artifact { .. }).then(|| *self.subject.digest().as_bytes());
        binding::verify(entry, &body, self.signed, self.signature, self.signed_bytes.as_deref(), digest, verifier)?;
        if let Some(details) = body.misnames(verifier, key.algorithm()) {
            let message = format!("the log entry calls the key {details:?}, it is {}", key.algorithm().name());
            return Err(Refusal::new(&codes::LOG_ENTRY_MISMATCH, message));
        }
        let with_proof = if entry.proof.is_none() { self.verifier.proofs.proof_of(entry) } else { None };
        let with_proof = with_proof.map(|proof| LogEntry { proof: Some(proof.clone()), ..entry.clone() });
        let entry = with_proof.as_ref().unwrap_or(entry);
        let logged = log::verify(entry, trusted)?;
        if self.verifier.rules.require_inclusion_proof && !logged.has_proof {
            let message = format!("log entry {} has a promise only, an inclusion proof is wanted", entry.log_index);
            return Err(Refusal::new(&codes::LOG_EVIDENCE_MISSING, message));
        }
        self.check_witnesses(entry)?;
        let name = trusted.name();
        let time = logged.time.map(|time| VerifiedTime { time, source: TimeSource::IntegratedTime(name.clone()) });
        let record = LogRecord {
            log: name,
            log_id: hex::encode(entry.log_id),
            log_index: entry.log_index,
            format: entry.format(),
            has_promise: logged.has_promise,
            has_proof: logged.has_proof,
            leaf: hex::encode(logged.leaf),
        };
        Ok((record, time, trusted))
    }

    /// V9.5: whether a promise says when it was signed. A log that is not asked for
    /// does not: the validity of a certificate must not hang on it.
    fn counts_log_times(&self) -> bool {
        let rules = &self.verifier.rules;
        rules.time_sources.log && (self.leaf.is_none() || rules.log_threshold > 0)
    }

    /// V8.10: enough of the operator's witnesses cosigned the tree head.
    fn check_witnesses(&self, entry: &LogEntry) -> Result<(), Refusal> {
        let rules = &self.verifier.rules;
        if rules.witness_threshold == 0 {
            return Ok(());
        }
        let checkpoint = entry.proof.as_ref().map(|proof| Checkpoint::parse(&proof.checkpoint)).transpose()?;
        let have = checkpoint.map_or(0, |checkpoint| checkpoint.witnessed_by(&rules.witnesses));
        if have < rules.witness_threshold {
            let message = format!("{have} of the operator's witnesses cosigned, {} wanted", rules.witness_threshold);
            return Err(Refusal::new(&codes::CHECKPOINT_NOT_WITNESSED, message));
        }
        Ok(())
    }

    /// V9: trusted timestamps, and then the logs' windows at every known time.
    pub(super) fn check_timestamps(&mut self) {
        let over = match self.signed.form {
            // cosign stamps the whole envelope of a legacy attestation.
            Form::LegacyAttestation => self.signed.stored,
            _ => &self.signature.bytes,
        };
        let mut seen: Vec<&[u8]> = Vec::new();
        for (place, token) in self.signed.timestamps.iter().enumerate() {
            if seen.contains(&token.as_slice()) {
                self.notes.push(Refusal::new(&codes::TIMESTAMP_REPEATED, format!("timestamp {place} repeats an earlier one")));
                continue;
            }
            seen.push(token);
            match timestamp::verify(token, over, self.verifier.root.timestamp_authorities()) {
                Ok(stamped) => {
                    self.timestamps.push(place);
                    if !self.verifier.rules.time_sources.timestamp_authority {
                        continue;
                    }
                    let source = TimeSource::Timestamp(stamped.authority);
                    self.count_time(VerifiedTime { time: stamped.time, source }, stamped.key);
                }
                // A token that nobody trusts, or no longer, is as good as none.
                Err(refusal) if is_passed_over(&refusal) => self.notes.push(refusal),
                Err(refusal) => self.refusals.push(refusal),
            }
        }
        self.check_log_windows();
    }

    /// V8.8: a log's key counts for the time for which the trust root trusts it.
    /// A promise fixes its own time; where there is none, or one without a time,
    /// every verified time has to lie in the window.
    fn check_log_windows(&mut self) {
        for log in &self.timeless_logs {
            let outside = self.times.iter().find(|time| !log.window.contains(time.time));
            let message = match outside {
                Some(time) => format!("signed at {}, log {} is trusted {}", time.time, log.name(), log.window),
                // Nothing says when: only a log that is still trusted will do.
                None if self.times.is_empty() && log.window.end.is_some() => {
                    format!("no verified time, and log {} is trusted only {}", log.name(), log.window)
                }
                None => continue,
            };
            let refusal = Refusal::new(&codes::LOG_NOT_VALID_AT_TIME, message);
            // As with every other defect of an entry that is not asked for.
            let required = self.verifier.rules.log_threshold > 0;
            if required { self.refusals.push(refusal) } else { self.notes.push(refusal) }
        }
    }
}

/// Whether a timestamp is not counted instead of held against the evidence.
pub(in crate::verifier) fn is_passed_over(refusal: &Refusal) -> bool {
    refusal.code == &codes::TIMESTAMP_NOT_TRUSTED || refusal.code == &codes::TIMESTAMP_OUTSIDE_VALIDITY
}
