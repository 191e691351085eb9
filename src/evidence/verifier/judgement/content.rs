//! V7: what the evidence speaks of, and the signature over it.

use super::{Binding, Judgement};
use crate::{
    codes, entry_body,
    public_key::{KeyAlgorithm, PublicKey},
    signature::{self, DigestCheck, Hash, Scheme},
    signed::{Content, LogEntry, Material, Refusal},
    simple_signing, statement, subject_name,
};

impl Judgement<'_> {
    /// V7.5: the evidence speaks of this artifact.
    pub(super) fn bind(&mut self) {
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
        let asked = self.subject.repository();
        if !self.verifier.rules.repository.accepts(&payload.docker_reference, asked) {
            let (named, asked) = (&payload.docker_reference, asked.unwrap_or("not known"));
            let message = format!("repository mismatch: it was signed as {named:?}, the repository asked for is {asked}");
            return Err(Refusal::new(&codes::REPOSITORY_MISMATCH, message));
        }
        Ok(Binding::SimpleSigning(payload.docker_reference))
    }

    fn bind_statement(&self, payload_type: &str, payload: &[u8]) -> Result<Binding, Refusal> {
        if payload_type != statement::PAYLOAD_TYPE {
            // `application/vnd.in-toto.<predicate>+json` too: bundle-spec/evidence.md §3.2.
            let message = format!("payload type {payload_type:?}, want {:?}", statement::PAYLOAD_TYPE);
            return Err(Refusal::new(&codes::UNSUPPORTED_STATEMENT_TYPE, message));
        }
        let statement = statement::parse(payload)?;
        let index = subject_name::find(&statement, self.subject, &self.verifier.rules)?;
        Ok(Binding::Statement { index, statement })
    }

    fn other_subject(&self, named: &str) -> Refusal {
        let message = format!("subject mismatch: it speaks of {named}, this is {}", self.subject.digest());
        Refusal::new(&codes::SUBJECT_MISMATCH, message)
    }

    /// V7.1: the signature itself. Of several, one by this key is enough: a key counts
    /// once, however often it signed, and other keys say nothing against it.
    pub(super) fn check_signature(&mut self, key: &PublicKey) {
        let scheme = match self.scheme(key) {
            Ok(scheme) => scheme,
            Err(refusal) => return self.refuse(refusal),
        };
        let signed = self.signed;
        let (mut good, mut refusals) = (Vec::new(), Vec::new());
        for signature in signed.signatures() {
            match self.verify_signature(key, scheme, &signature.bytes) {
                Ok(()) => good.push(signature),
                Err(refusal) => refusals.push(refusal),
            }
        }
        let Some(first) = good.first() else { return self.refusals.extend(refusals.into_iter().take(1)) };
        self.signature = first;
        if !signed.further.is_empty() {
            let (by, all) = (good.len(), good.len() + refusals.len());
            let message = format!("{by} of {all} signatures of the envelope are by {}, which counts once", key.fingerprint());
            self.notes.push(Refusal::new(&codes::SIGNATURE_NOT_COUNTED, message));
        }
    }

    /// By the rule of the key's algorithm, or as the operator chose for it.
    fn scheme(&self, key: &PublicKey) -> Result<Scheme, Refusal> {
        let choice = self.verifier.rules.key_scheme.filter(|_| self.leaf.is_none());
        let Some(choice) = choice else { return Ok(Scheme::of(key)) };
        Scheme::chosen(key, choice).ok_or_else(|| {
            let message = format!("the rules ask for {choice:?}, the key is {}", key.algorithm().name());
            Refusal::new(&codes::UNSUPPORTED_ALGORITHM, message)
        })
    }

    fn verify_signature(&self, key: &PublicKey, scheme: Scheme, signature: &[u8]) -> Result<(), Refusal> {
        if let Some(message) = &self.signed_bytes {
            return self.verify_message(key, scheme, message, signature);
        }
        let digest = self.subject.digest().as_bytes();
        match signature::verify_sha256(scheme, key.raw(), digest, signature) {
            DigestCheck::Good => Ok(()),
            DigestCheck::Bad => Err(self.bad_signature(key)),
            DigestCheck::NeedsBytes => {
                let message = format!("a signature by {} over an artifact needs its bytes", key.algorithm().name());
                Err(Refusal::new(&codes::UNSUPPORTED_ALGORITHM, message))
            }
        }
    }

    fn verify_message(&self, key: &PublicKey, scheme: Scheme, message: &[u8], signature: &[u8]) -> Result<(), Refusal> {
        if signature::verify_raw(scheme, key.raw(), message, signature) {
            return Ok(());
        }
        let p384_sha256 = key.algorithm() == KeyAlgorithm::EcdsaP384
            && signature::verify_raw(Scheme::EcdsaP384Sha256, key.raw(), message, signature);
        if p384_sha256 {
            // cosign before 3.0 did. Only for a key of the operator it can be allowed.
            let message = "signed by a P-384 key over SHA-256, want SHA-384";
            return Err(Refusal::new(&codes::UNSUPPORTED_ALGORITHM, message));
        }
        Err(self.bad_signature(key))
    }

    /// A signature that does not verify under the operator's key was made by
    /// another key, unless something says that it was this one.
    fn bad_signature(&self, key: &PublicKey) -> Refusal {
        let prehashed = key.algorithm() == KeyAlgorithm::Ed25519
            && self.signed.entries.iter().filter_map(read_body).any(|body| body.is_prehashed);
        if prehashed {
            let message = "an Ed25519 signature over a digest (Ed25519ph), want one over the bytes";
            return Refusal::new(&codes::UNSUPPORTED_ALGORITHM, message);
        }
        let Material::Key { hint } = &self.signed.material else {
            return Refusal::new(&codes::SIGNATURE_INVALID, "the signature does not verify under the key of its certificate");
        };
        let fingerprint = key.fingerprint();
        let says_so = *hint == crate::encoding::to_base64(fingerprint.as_bytes())
            || self
                .signed
                .entries
                .iter()
                .filter_map(read_body)
                .any(|body| body.signers.iter().any(|signer| signer.verifier == key.as_der()));
        let (code, what) = match says_so {
            true => (&codes::SIGNATURE_INVALID, "the signature does not verify under the key it names"),
            false => (&codes::KEY_MISMATCH, "the signature was not made by this key, or what it signs was changed"),
        };
        Refusal::new(code, format!("{what}: {} {fingerprint}", key.algorithm().name()))
    }
}

fn read_body(entry: &LogEntry) -> Option<entry_body::EntryBody> {
    entry_body::parse(&entry.body, &entry.kind, &entry.version).ok()
}
