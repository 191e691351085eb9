//! One piece of evidence, step by step.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{Subject, Verifier};
use crate::{
    backend::{self, Answer, Question},
    binding,
    certificate::{Certificate, CertificateError},
    chain::{self, NoPath, Path},
    codes, entry_body,
    envelope::pre_authentication_encoding,
    log,
    public_key::{KeyAlgorithm, KeyError, PublicKey},
    rules::Signer,
    sct,
    signature::{self, DigestCheck, Hash, Scheme},
    signed::{Content, Form, LogEntry, Material, Refusal, Signed},
    simple_signing, statement, timestamp,
    trust_root::Log,
    verified::{LogRecord, TimeSource, VerifiedTime},
};

/// Everything that the steps found out, good and bad.
pub(super) struct Judgement<'a> {
    pub(super) verifier: &'a Verifier,
    pub(super) signed: &'a Signed<'a>,
    pub(super) subject: Subject<'a>,
    pub(super) refusals: Vec<Refusal>,
    pub(super) notes: Vec<Refusal>,
    pub(super) binding: Option<Binding>,
    pub(super) leaf: Option<Certificate>,
    pub(super) path: Option<Path>,
    pub(super) times: Vec<VerifiedTime>,
    pub(super) records: Vec<LogRecord>,
    pub(super) certificate_logs: Vec<sct::Logged>,
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
            subject,
            refusals: Vec::new(),
            notes: Vec::new(),
            binding: None,
            leaf: None,
            path: None,
            times: Vec::new(),
            records: Vec::new(),
            certificate_logs: Vec::new(),
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
        judgement.check_certificate();
        judgement.check_identity();
        if judgement.refusals.is_empty() {
            judgement.ask_witness();
        }
        judgement
    }

    /// V7.5: the evidence speaks of this artifact.
    fn bind(&mut self) {
        let bound = match &self.signed.content {
            Content::Artifact { digest } => self.bind_artifact(digest.as_ref()),
            Content::SimpleSigning { payload } => self.bind_simple_signing(payload),
            Content::Envelope { payload_type, payload } => self.bind_statement(payload_type, payload),
        };
        match bound {
            Ok(binding) => self.binding = Some(binding),
            Err(refusal) => self.refusals.push(refusal),
        }
    }

    /// The digest in a bundle is a hint; it must not lie.
    fn bind_artifact(&self, hint: Option<&(String, Vec<u8>)>) -> Result<Binding, Refusal> {
        let Some((algorithm, hint)) = hint else { return Ok(Binding::Artifact) };
        let have = match (algorithm.as_str(), self.subject.bytes()) {
            ("SHA2_256", _) => self.subject.digest().as_bytes().to_vec(),
            ("SHA2_384", Some(bytes)) => Hash::Sha384.of(bytes),
            ("SHA2_512", Some(bytes)) => Hash::Sha512.of(bytes),
            _ => {
                let message = format!("message digest of algorithm {algorithm:?} cannot be compared");
                return Err(Refusal::new(&codes::UNSUPPORTED_ALGORITHM, message));
            }
        };
        if have != *hint {
            return Err(self.other_subject(&format!("message digest {}", hex::encode(hint))));
        }
        Ok(Binding::Artifact)
    }

    fn bind_simple_signing(&self, payload: &[u8]) -> Result<Binding, Refusal> {
        let payload = simple_signing::parse(payload)?;
        if payload.digest != *self.subject.digest() {
            return Err(self.other_subject(&payload.digest.to_string()));
        }
        Ok(Binding::SimpleSigning(payload.docker_reference))
    }

    fn bind_statement(&self, payload_type: &str, payload: &[u8]) -> Result<Binding, Refusal> {
        if payload_type != statement::PAYLOAD_TYPE {
            let message = format!("payload type {payload_type:?}, want {:?}", statement::PAYLOAD_TYPE);
            return Err(Refusal::new(&codes::UNSUPPORTED_STATEMENT_TYPE, message));
        }
        let statement = statement::parse(payload)?;
        match statement.subject_of(self.subject.digest()) {
            Some(index) => Ok(Binding::Statement { index, statement }),
            None => Err(self.other_subject(&statement.subject_names())),
        }
    }

    fn other_subject(&self, named: &str) -> Refusal {
        let message = format!("subject mismatch: it speaks of {named}, this is {}", self.subject.digest());
        Refusal::new(&codes::SUBJECT_MISMATCH, message)
    }

    /// The key that the signature has to verify under: from the operator, or from
    /// a certificate that is judged later.
    fn signing_key(&mut self) -> Option<PublicKey> {
        match (&self.verifier.rules.signer, &self.signed.material) {
            (Signer::Key(key), Material::Key { .. }) => Some(key.clone()),
            (Signer::Key(_), Material::Certificate { .. }) => {
                self.refuse(Refusal::new(&codes::SIGNER_KIND_MISMATCH, "signed with a certificate, the rules ask for a key"));
                None
            }
            (Signer::Identities(_), Material::Key { .. }) => {
                self.refuse(Refusal::new(
                    &codes::SIGNER_KIND_MISMATCH,
                    "no certificate: signed with a key, the rules ask for an identity",
                ));
                None
            }
            (Signer::Identities(_), Material::Certificate { leaf, chain }) => {
                let (leaf, chain) = (leaf.clone(), chain.clone());
                self.read_certificates(&leaf, chain)
            }
        }
    }

    fn read_certificates(&mut self, leaf: &[u8], chain: Vec<Vec<u8>>) -> Option<PublicKey> {
        for der in chain {
            match Certificate::parse(&der) {
                Ok(cert) if cert.is_self_issued() => {
                    let message = format!("self-signed certificate {:?} left out of the path", cert.subject());
                    self.notes.push(Refusal::new(&codes::ROOT_CERTIFICATE_DROPPED, message));
                }
                Ok(_) => self.chain.push(der),
                Err(e) => self.refuse(certificate_refusal(&e)),
            }
        }
        match Certificate::parse(leaf) {
            Ok(leaf) => {
                let key = leaf.key().clone();
                self.leaf = Some(leaf);
                Some(key)
            }
            Err(e) => {
                self.refuse(certificate_refusal(&e));
                None
            }
        }
    }

    /// V7.1: the signature itself.
    fn check_signature(&mut self, key: &PublicKey) {
        let signature = &self.signed.signature;
        let good = match &self.signed.content {
            Content::Envelope { payload_type, payload } => {
                self.verify_message(key, &pre_authentication_encoding(payload_type, payload))
            }
            Content::SimpleSigning { payload } => self.verify_message(key, payload),
            Content::Artifact { .. } => match self.subject.bytes() {
                Some(bytes) => self.verify_message(key, bytes),
                None => {
                    let digest = self.subject.digest().as_bytes();
                    match signature::verify_sha256(Scheme::of(key), key.raw(), digest, signature) {
                        DigestCheck::Good => Ok(()),
                        DigestCheck::Bad => Err(self.bad_signature(key)),
                        DigestCheck::NeedsBytes => {
                            let message = format!("a signature by {} over an artifact needs its bytes", key.algorithm().name());
                            Err(Refusal::new(&codes::UNSUPPORTED_ALGORITHM, message))
                        }
                    }
                }
            },
        };
        if let Err(refusal) = good {
            self.refuse(refusal);
        }
    }

    fn verify_message(&self, key: &PublicKey, message: &[u8]) -> Result<(), Refusal> {
        let signature = &self.signed.signature;
        if signature::verify(key, message, signature) {
            return Ok(());
        }
        let p384_sha256 = key.algorithm() == KeyAlgorithm::EcdsaP384
            && signature::verify_raw(Scheme::EcdsaP384Sha256, key.raw(), message, signature);
        match p384_sha256 {
            true if self.verifier.rules.accept_p384_with_sha256 => Ok(()),
            true => {
                let message = "signed by a P-384 key over SHA-256, want SHA-384";
                Err(Refusal::new(&codes::UNSUPPORTED_ALGORITHM, message))
            }
            false => Err(self.bad_signature(key)),
        }
    }

    /// A signature that does not verify under the operator's key was made by
    /// another key, unless something says that it was this one.
    fn bad_signature(&self, key: &PublicKey) -> Refusal {
        let Material::Key { hint } = &self.signed.material else {
            return Refusal::new(&codes::SIGNATURE_INVALID, "the signature does not verify under the key of its certificate");
        };
        let fingerprint = key.fingerprint();
        let says_so = *hint == crate::encoding::to_base64(fingerprint.as_bytes())
            || self.signed.entries.iter().filter_map(read_body).any(|body| body.verifier == key.as_der());
        let (code, what) = match says_so {
            true => (&codes::SIGNATURE_INVALID, "the signature does not verify under the key it names"),
            false => (&codes::KEY_MISMATCH, "the signature was not made by this key, or what it signs was changed"),
        };
        Refusal::new(code, format!("{what}: {} {fingerprint}", key.algorithm().name()))
    }

    /// V8: trusted logs that hold exactly this signature.
    fn check_log(&mut self, key: &PublicKey) {
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
                false => self.check_entry(entry, &verifier),
            };
            match result {
                Ok((record, time, log)) => {
                    self.records.push(record);
                    if time.is_none() {
                        self.timeless_logs.push(log);
                    }
                    self.times.extend(time);
                    keys.insert(log.key.fingerprint());
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

    fn check_entry(&self, entry: &LogEntry, verifier: &[u8]) -> Result<(LogRecord, Option<VerifiedTime>, &'a Log), Refusal> {
        let Some(trusted) = self.verifier.root.logs().iter().find(|log| log.id == entry.log_id) else {
            let message = format!("log {} is not in the trust root", crate::encoding::to_base64(&entry.log_id));
            return Err(Refusal::new(&codes::LOG_NOT_TRUSTED, message));
        };
        let body = entry_body::parse(&entry.body, &entry.kind, &entry.version)?;
        let encoded;
        let signed_bytes = match &self.signed.content {
            Content::Envelope { payload_type, payload } => {
                encoded = pre_authentication_encoding(payload_type, payload);
                Some(encoded.as_slice())
            }
            Content::SimpleSigning { payload } => Some(payload.as_ref()),
            Content::Artifact { .. } => self.subject.bytes(),
        };
        let digest = matches!(self.signed.content, Content::Artifact { .. }).then(|| *self.subject.digest().as_bytes());
        binding::verify(entry, &body, self.signed, signed_bytes, digest, verifier)?;
        let logged = log::verify(entry, trusted)?;
        if self.verifier.rules.require_inclusion_proof && !logged.has_proof {
            let message = format!("log entry {} has a promise only, an inclusion proof is wanted", entry.log_index);
            return Err(Refusal::new(&codes::LOG_EVIDENCE_MISSING, message));
        }
        let name = trusted.name();
        let time = logged.time.map(|time| VerifiedTime { time, source: TimeSource::IntegratedTime(name.clone()) });
        let record = LogRecord {
            log: name,
            log_id: hex::encode(entry.log_id),
            log_index: entry.log_index,
            format: entry.format(),
            has_promise: logged.has_promise,
            has_proof: logged.has_proof,
            leaf: hex::encode(crate::merkle::leaf_hash(&entry.body)),
        };
        Ok((record, time, trusted))
    }

    /// V9: trusted timestamps, and then the logs' windows at every known time.
    fn check_timestamps(&mut self) {
        let over = match self.signed.form {
            // cosign stamps the whole envelope of a legacy attestation.
            Form::LegacyAttestation => self.signed.stored,
            _ => &self.signed.signature,
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
                    self.times.push(VerifiedTime { time: stamped.time, source: TimeSource::Timestamp(stamped.authority) });
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
            self.refusals.push(Refusal::new(&codes::LOG_NOT_VALID_AT_TIME, message));
        }
    }

    /// V9.5, V10: the path and the SCT, at every verified time.
    fn check_certificate(&mut self) {
        let Some(leaf) = self.leaf.clone() else { return };
        let sources: BTreeSet<_> = self.times.iter().map(|time| format!("{:?}", time.source)).collect();
        let wanted = self.verifier.rules.time_threshold;
        // A log entry or timestamp that was refused has said why there is no time.
        let explained =
            self.refusals.iter().any(|refusal| refusal.code.step.starts_with("V8") || refusal.code.step.starts_with("V9"));
        if sources.len() < wanted && !explained {
            let message = format!("{} sources say when it was signed, {wanted} wanted", sources.len());
            self.refuse(Refusal::new(&codes::NO_VERIFIED_TIME, message));
        }
        let times: Vec<Timestamp> = self.times.iter().map(|time| time.time).collect();
        for time in times {
            match chain::find_path(&leaf, &self.chain, self.verifier.root.authorities(), chain::CODE_SIGNING, time) {
                Ok(path) => self.path = Some(path),
                Err(reason) => {
                    self.refuse(path_refusal(reason));
                    return;
                }
            }
        }
        self.check_sct(&leaf);
    }

    fn check_sct(&mut self, leaf: &Certificate) {
        let threshold = self.verifier.rules.sct_threshold;
        let Some(path) = self.path.clone() else { return };
        match sct::verify(leaf, &path.issuer_spki, self.verifier.root.ct_logs(), threshold) {
            Ok(found) => self.certificate_logs = found,
            // Not asked for: an SCT that is there and wrong is only said.
            Err(refusal) if threshold == 0 => self.notes.push(refusal),
            Err(refusal) => self.refuse(refusal),
        }
    }

    /// V11: the certificate is that of a signer the operator asked for.
    fn check_identity(&mut self) {
        let (Some(leaf), Signer::Identities(identities)) = (&self.leaf, &self.verifier.rules.signer) else { return };
        let (subject, issuer) = match (leaf.subject_name(), leaf.oidc_issuer()) {
            (Ok(subject), Ok(issuer)) => (subject.value, issuer.unwrap_or_default()),
            (Err(e), _) | (_, Err(e)) => return self.refuse(certificate_refusal(&e)),
        };
        if identities.iter().any(|identity| identity.accepts_subject(&subject) && identity.accepts_issuer(&issuer)) {
            return;
        }
        let by_subject: Vec<_> = identities.iter().filter(|identity| identity.accepts_subject(&subject)).collect();
        let refusal = if by_subject.is_empty() {
            let wanted: Vec<_> = identities.iter().map(crate::identity::Identity::wanted_subject).collect();
            let message = format!("identity mismatch: the certificate names {subject:?}, want {}", wanted.join(" or "));
            Refusal::new(&codes::IDENTITY_MISMATCH, message)
        } else {
            let wanted: Vec<_> = by_subject.iter().map(|identity| identity.wanted_issuer()).collect();
            let message = format!("issuer mismatch: the certificate names {issuer:?}, want {}", wanted.join(" or "));
            Refusal::new(&codes::ISSUER_MISMATCH, message)
        };
        self.refuse(refusal);
    }

    /// V7.7: the second verifier, asked about what was counted.
    fn ask_witness(&mut self) {
        if !backend::knows(self.signed) || self.verifier.rules.accept_p384_with_sha256 {
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
            has_one_sct: self.verifier.rules.sct_threshold > 0 && self.certificate_logs.len() == 1,
            needs_log: self.verifier.rules.log_threshold > 0,
        };
        match self.verifier.witness.examine(&self.verifier.memo, &question) {
            Answer::Agrees | Answer::CannotTell => {}
            Answer::ClockIsEarly(reason) => {
                let message = format!("the clock of this host says {}: {reason}", self.verifier.now);
                self.refuse(Refusal::new(&codes::HOST_CLOCK_IMPLAUSIBLE, message));
            }
            Answer::Refuses(reason) => self.refuse(Refusal::new(&codes::VERIFIERS_DISAGREE, reason)),
        }
    }

    fn refuse(&mut self, refusal: Refusal) {
        self.refusals.push(refusal);
    }
}

/// Whether a timestamp is not counted instead of held against the evidence.
pub(super) fn is_passed_over(refusal: &Refusal) -> bool {
    refusal.code == &codes::TIMESTAMP_NOT_TRUSTED || refusal.code == &codes::TIMESTAMP_OUTSIDE_VALIDITY
}

fn read_body(entry: &LogEntry) -> Option<entry_body::EntryBody> {
    entry_body::parse(&entry.body, &entry.kind, &entry.version).ok()
}

fn certificate_refusal(error: &CertificateError) -> Refusal {
    let code = match error {
        CertificateError::Key(KeyError::Unsupported(_)) => &codes::UNSUPPORTED_ALGORITHM,
        _ => &codes::CERTIFICATE_MALFORMED,
    };
    Refusal::new(code, error.to_string())
}

fn path_refusal(reason: NoPath) -> Refusal {
    match reason {
        NoPath::AuthorityTime(reason) => Refusal::new(&codes::CERTIFICATE_AUTHORITY_NOT_VALID_AT_SIGNING, reason),
        NoPath::LeafTime(reason) => Refusal::new(&codes::CERTIFICATE_EXPIRED_AT_SIGNING, reason),
        NoPath::Untrusted(reason) => Refusal::new(&codes::CERTIFICATE_CHAIN_UNTRUSTED, reason),
    }
}
