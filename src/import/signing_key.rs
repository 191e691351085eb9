//! The operator's key that signs verification summaries.

use std::{env, fmt, path::Path};

use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair},
};
use rustls_pki_types::{PrivatePkcs8KeyDer, pem::PemObject};

use crate::{document::read, encrypted_key::EncryptedKey, error::ImportError};

/// Where cosign takes the password from, too.
const PASSWORD: &str = "COSIGN_PASSWORD";

/// A private key that signs verification summaries: ECDSA over P-256, or Ed25519.
pub struct SigningKey(Pair);

enum Pair {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

impl SigningKey {
    /// Reads a key in PEM: PKCS#8 (RFC 5958, RFC 7468 §10 and §11), or as cosign
    /// writes it. The password of an encrypted one is that of `COSIGN_PASSWORD`, else
    /// it is asked for at the terminal.
    ///
    /// # Errors
    ///
    /// Returns [`ImportError::Read`] or [`ImportError::Key`].
    pub fn open(path: &Path) -> Result<Self, ImportError> {
        let ask = || {
            if let Some(password) = env::var_os(PASSWORD) {
                return Ok(password.into_encoded_bytes());
            }
            let prompt = format!("Password of {}: ", path.display());
            rpassword::prompt_password(prompt).map(String::into_bytes).map_err(|_| NO_PASSWORD)
        };
        Self::from_pem(&read(path)?, ask).map_err(|reason| ImportError::Key { path: path.to_owned(), reason: reason.to_owned() })
    }

    fn from_pem(pem: &[u8], password: impl FnOnce() -> Result<Vec<u8>, &'static str>) -> Result<Self, &'static str> {
        if let Some(encrypted) = EncryptedKey::from_pem(pem)? {
            return Self::from_pkcs8(&encrypted.open(&password()?)?);
        }
        if String::from_utf8_lossy(pem).contains("-----BEGIN EC PRIVATE KEY-----") {
            return Err("it is no PKCS#8; `openssl pkcs8 -topk8 -nocrypt -in KEY` makes it one");
        }
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem).map_err(|_| "it has no section PRIVATE KEY")?;
        Self::from_pkcs8(der.secret_pkcs8_der())
    }

    fn from_pkcs8(bytes: &[u8]) -> Result<Self, &'static str> {
        if let Ok(key) = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, bytes, &SystemRandom::new()) {
            return Ok(Self(Pair::Ecdsa(key)));
        }
        // openssl writes the private half alone.
        let key = Ed25519KeyPair::from_pkcs8_maybe_unchecked(bytes).map(Pair::Ed25519);
        key.map(Self).map_err(|_| "it is neither P-256 nor Ed25519")
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, &'static str> {
        match &self.0 {
            Pair::Ecdsa(key) => {
                let signature = key.sign(&SystemRandom::new(), message).map_err(|_| "the system has no random numbers")?;
                Ok(signature.as_ref().to_vec())
            }
            Pair::Ed25519(key) => Ok(key.sign(message).as_ref().to_vec()),
        }
    }
}

const NO_PASSWORD: &str = "it is encrypted, COSIGN_PASSWORD is not set, and there is no terminal to ask for the password";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_opens_keys_of_cosign_and_openssl() {
        let cosign = include_str!("../../testdata/signing-keys/cosign.key");
        for (name, pem) in [
            ("cosign", cosign),
            ("cosign 1", cosign.replace("SIGSTORE", "COSIGN").as_str()),
            ("pbkdf2", include_str!("../../testdata/signing-keys/pkcs8-pbkdf2.pem")),
            ("scrypt", include_str!("../../testdata/signing-keys/pkcs8-scrypt.pem")),
        ] {
            let open = |password: &str| SigningKey::from_pem(pem.as_bytes(), || Ok(password.as_bytes().to_vec()));
            assert!(open("correct horse").is_ok_and(|key| key.sign(b"x").is_ok()), "{name}");
            for wrong in ["", "Correct horse", "correct horse "] {
                assert_eq!(open(wrong).err(), Some("the password is wrong"), "{name}");
            }
            let nobody = SigningKey::from_pem(pem.as_bytes(), || Err(NO_PASSWORD));
            assert_eq!(nobody.err(), Some(NO_PASSWORD), "{name}");
        }
    }

    #[test]
    fn keys_that_cannot_be_used_are_refused_with_a_reason() {
        for (pem, reason) in [
            ("-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n", "openssl pkcs8"),
            ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "neither"),
            ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "no section"),
            ("", "no section"),
        ] {
            let got = SigningKey::from_pem(pem.as_bytes(), || Err("nobody asks")).err().unwrap_or_default();
            assert!(got.contains(reason), "{pem}: {got}");
        }
    }
}
