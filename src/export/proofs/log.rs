//! The logs that trust roots name, and what they sign.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use carnet_bundle::{Digest, json};
use carnet_evidence::{KeyAlgorithm, PublicKey, TrustRoot, TrustSource};
use ring::signature::{ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ED25519, UnparsedPublicKey, VerificationAlgorithm};
use serde_json::Value;

use super::promise::Promise;
use crate::trust::PUBLIC_GOOD;

/// Transparency logs by the id of their keys.
#[derive(Default)]
pub(crate) struct Logs(Vec<Log>);

/// One log.
pub(super) struct Log {
    pub(super) url: String,
    /// What the trusted root calls it, in hex; not the digest of the key for logs of
    /// Rekor version 2.
    name: String,
    id: Digest,
    key: PublicKey,
}

impl Logs {
    /// The logs of these trusted roots; of the public Sigstore instance when none is
    /// given. A file that is not sound has no logs; whoever verifies says why.
    pub(crate) fn new<'a>(roots: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut roots: Vec<&[u8]> = roots.into_iter().collect();
        if roots.is_empty() {
            roots.push(PUBLIC_GOOD);
        }
        Self(roots.into_iter().flat_map(logs).collect())
    }

    pub(super) fn find(&self, id: &str) -> Option<&Log> {
        self.0.iter().find(|log| log.name == id)
    }
}

fn logs(root: &[u8]) -> Vec<Log> {
    if TrustRoot::parse(root, TrustSource::File(String::new())).is_err() {
        return Vec::new();
    }
    let document = json::parse(root).unwrap_or_default();
    let logs = document.get("tlogs").and_then(Value::as_array).into_iter().flatten();
    logs.filter_map(|log| {
        let der = STANDARD.decode(log.pointer("/publicKey/rawBytes")?.as_str()?).ok()?;
        let key = PublicKey::from_der(&der).ok()?;
        let url = log.get("baseUrl").and_then(Value::as_str).unwrap_or_default().to_owned();
        let id = STANDARD.decode(log.pointer("/logId/keyId")?.as_str()?).ok()?;
        let name = id.iter().map(|byte| format!("{byte:02x}")).collect();
        Some(Log { url, name, id: Digest::of(key.as_der()), key })
    })
    .collect()
}

impl Log {
    pub(super) fn has_key(&self, key: &PublicKey) -> bool {
        self.id == Digest::of(key.as_der())
    }

    /// Verifies the signed entry timestamp (RFC 8785 text of its four members).
    pub(super) fn verify_promise(&self, promise: &Promise) -> Result<(), String> {
        let text = format!(
            r#"{{"body":"{}","integratedTime":{},"logID":"{}","logIndex":{}}}"#,
            STANDARD.encode(&promise.body),
            promise.integrated_time,
            promise.log_id,
            promise.log_index
        );
        match self.verify(text.as_bytes(), &promise.signature) {
            true => Ok(()),
            false => Err(format!("the promise of {} does not verify", self.url)),
        }
    }

    /// Verifies a checkpoint (c2sp.org/signed-note) and returns size and root.
    pub(super) fn verify_checkpoint(&self, note: &str) -> Result<(u64, [u8; 32]), String> {
        let (text, signatures) = note.split_once("\n\n").ok_or("the checkpoint has no signatures")?;
        let mut lines = text.split('\n').skip(1);
        let size = lines.next().and_then(|line| line.parse().ok()).ok_or("the checkpoint has no tree size")?;
        let root = lines.next().and_then(|line| STANDARD.decode(line).ok()?.try_into().ok());
        let root = root.ok_or("the checkpoint has no root hash")?;
        let text = format!("{text}\n");
        let is_own = |line: &str| {
            let (_, encoded) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
            let bytes = STANDARD.decode(encoded).ok()?;
            let (hint, signature) = bytes.split_at_checked(4)?;
            (self.id.as_bytes().starts_with(hint) && self.verify(text.as_bytes(), signature)).then_some(())
        };
        match signatures.lines().find_map(is_own) {
            Some(()) => Ok((size, root)),
            None => Err(format!("{} did not sign the checkpoint", self.url)),
        }
    }

    fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        let (algorithm, length): (&dyn VerificationAlgorithm, usize) = match self.key.algorithm() {
            KeyAlgorithm::EcdsaP256 => (&ECDSA_P256_SHA256_ASN1, 65),
            KeyAlgorithm::EcdsaP384 => (&ECDSA_P384_SHA384_ASN1, 97),
            KeyAlgorithm::Ed25519 => (&ED25519, 32),
            _ => return false,
        };
        // The key is the end of its SubjectPublicKeyInfo (RFC 5280 §4.1).
        let der = self.key.as_der();
        let Some(raw) = der.len().checked_sub(length).map(|start| &der[start..]) else { return false };
        UnparsedPublicKey::new(algorithm, raw).verify(message, signature).is_ok()
    }
}
