//! The operator's key that signs verification summaries.

use std::path::Path;

use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair},
};
use rustls_pki_types::{PrivatePkcs8KeyDer, pem::PemObject};

use crate::{document::read, error::ImportError};

/// A private key: ECDSA over P-256, or Ed25519.
pub(crate) enum SigningKey {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl SigningKey {
    /// Reads a PKCS#8 key in PEM (RFC 5958, RFC 7468 §10) that is not encrypted.
    pub(crate) fn open(path: &Path) -> Result<Self, ImportError> {
        Self::from_pem(&read(path)?).map_err(|reason| ImportError::Key { path: path.to_owned(), reason: reason.to_owned() })
    }

    fn from_pem(pem: &[u8]) -> Result<Self, &'static str> {
        let text = String::from_utf8_lossy(pem);
        // cosign's own form is a secretbox under a key that scrypt makes of a
        // password: two more algorithms, for keys that openssl makes as well.
        if text.contains("-----BEGIN ENCRYPTED ") {
            return Err("it is encrypted, and keys that cosign or a password encrypted are not read");
        }
        if text.contains("-----BEGIN EC PRIVATE KEY-----") {
            return Err("it is no PKCS#8; `openssl pkcs8 -topk8 -nocrypt -in KEY` makes it one");
        }
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem).map_err(|_| "it has no section PRIVATE KEY")?;
        let bytes = der.secret_pkcs8_der();
        if let Ok(key) = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, bytes, &SystemRandom::new()) {
            return Ok(Self::Ecdsa(key));
        }
        // openssl writes the private half alone.
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(bytes).map(Self::Ed25519).map_err(|_| "it is neither P-256 nor Ed25519")
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, &'static str> {
        match self {
            Self::Ecdsa(key) => {
                let signature = key.sign(&SystemRandom::new(), message).map_err(|_| "the system has no random numbers")?;
                Ok(signature.as_ref().to_vec())
            }
            Self::Ed25519(key) => Ok(key.sign(message).as_ref().to_vec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_cannot_be_used_are_refused_with_a_reason() {
        for (pem, reason) in [
            ("-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED SIGSTORE PRIVATE KEY-----\n", "encrypted"),
            ("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n", "encrypted"),
            ("-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n", "openssl pkcs8"),
            ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "neither"),
            ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "no section"),
            ("", "no section"),
        ] {
            let got = SigningKey::from_pem(pem.as_bytes()).err().unwrap_or_default();
            assert!(got.contains(reason), "{pem}: {got}");
        }
    }
}
