//! Private keys under a password: as cosign writes them (`cosign generate-key-pair`),
//! and PKCS#8 (RFC 5958 §3, with the algorithms of RFC 8018).
//!
//! cosign's form is JSON in PEM (the `encrypted` package of secure-systems-lab's
//! go-securesystemslib): scrypt makes a key of the password, and under it a NaCl
//! secretbox holds the key as PKCS#8. What the file asks for is bounded before it is
//! done.

use crypto_secretbox::{
    XSalsa20Poly1305,
    aead::{Aead, KeyInit},
};
use pkcs8::{EncryptedPrivateKeyInfo, der::pem, pkcs5::pbes2::Kdf};
use serde::Deserialize;

/// Labels that cosign has used for its own form, the older one last.
const OF_COSIGN: [&str; 2] = ["ENCRYPTED SIGSTORE PRIVATE KEY", "ENCRYPTED COSIGN PRIVATE KEY"];
const PKCS8: &str = "ENCRYPTED PRIVATE KEY";
/// Memory that scrypt may take (128·N·r, RFC 7914 §5). cosign asks for 64 MiB.
const MEMORY: u64 = 512 << 20;
/// How often scrypt may go over it. cosign asks for 1.
const PASSES: u32 = 16;
/// Rounds of PBKDF2. openssl asks for 2048, what people are advised to is 600 000.
const ROUNDS: u32 = 10_000_000;

const MALFORMED: &str = "it is encrypted in a form that is not known";
const TOO_COSTLY: &str = "its password would take more memory or time than any tool asks for";
const WRONG: &str = "the password is wrong";

/// A key that a password opens.
pub(crate) enum EncryptedKey {
    Cosign(Secretbox),
    Pkcs8(Vec<u8>),
}

/// What is under the password, in cosign's form.
#[derive(Deserialize)]
pub(crate) struct Secretbox {
    kdf: DerivedBy,
    cipher: Cipher,
    ciphertext: String,
}

#[derive(Deserialize)]
struct DerivedBy {
    name: String,
    params: Parameters,
    salt: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
struct Parameters {
    #[serde(rename = "N")]
    n: u64,
    r: u32,
    p: u32,
}

#[derive(Deserialize)]
struct Cipher {
    name: String,
    nonce: String,
}

impl EncryptedKey {
    /// Reads the first section of `text`. `None` when it is not encrypted.
    pub(crate) fn from_pem(text: &[u8]) -> Result<Option<Self>, &'static str> {
        if !text.windows(BEGIN.len()).any(|window| window == BEGIN) {
            return Ok(None);
        }
        let (label, bytes) = pem::decode_vec(text).map_err(|_| "it is not a PEM file")?;
        match label {
            PKCS8 => Ok(Some(Self::Pkcs8(bytes))),
            label if OF_COSIGN.contains(&label) => {
                let held = carnet_bundle::json::parse_as(&bytes).map_err(|_| MALFORMED)?;
                Ok(Some(Self::Cosign(held)))
            }
            _ => Err(MALFORMED),
        }
    }

    /// The key as PKCS#8.
    pub(crate) fn open(&self, password: &[u8]) -> Result<Vec<u8>, &'static str> {
        match self {
            Self::Cosign(held) => held.open(password),
            Self::Pkcs8(bytes) => open_pkcs8(bytes, password),
        }
    }
}

const BEGIN: &[u8] = b"-----BEGIN ENCRYPTED ";

impl Secretbox {
    fn open(&self, password: &[u8]) -> Result<Vec<u8>, &'static str> {
        if (self.kdf.name.as_str(), self.cipher.name.as_str()) != ("scrypt", "nacl/secretbox") {
            return Err(MALFORMED);
        }
        let Parameters { n, r, p } = self.kdf.params;
        let parameters = parameters(n, r, p)?;
        let (salt, nonce, sealed) = (decoded(&self.kdf.salt)?, decoded(&self.cipher.nonce)?, decoded(&self.ciphertext)?);
        let nonce: [u8; XSalsa20Poly1305::NONCE_SIZE] = nonce.try_into().map_err(|_| MALFORMED)?;
        let mut key = [0; XSalsa20Poly1305::KEY_SIZE];
        scrypt::scrypt(password, &salt, &parameters, &mut key).map_err(|_| MALFORMED)?;
        XSalsa20Poly1305::new(&key.into()).decrypt(&nonce.into(), sealed.as_slice()).map_err(|_| WRONG)
    }
}

fn open_pkcs8(bytes: &[u8], password: &[u8]) -> Result<Vec<u8>, &'static str> {
    let sealed = EncryptedPrivateKeyInfo::try_from(bytes).map_err(|_| MALFORMED)?;
    match sealed.encryption_algorithm.pbes2().map(|scheme| &scheme.kdf) {
        Some(Kdf::Pbkdf2(asked)) if asked.iteration_count > ROUNDS => return Err(TOO_COSTLY),
        Some(Kdf::Pbkdf2(_)) => {}
        Some(Kdf::Scrypt(asked)) => {
            parameters(asked.cost_parameter, asked.block_size.into(), asked.parallelization.into())?;
        }
        _ => return Err(MALFORMED),
    }
    sealed.decrypt(password).map(|key| key.as_bytes().to_vec()).map_err(|_| WRONG)
}

/// Parameters of scrypt within the bounds.
fn parameters(n: u64, r: u32, p: u32) -> Result<scrypt::Params, &'static str> {
    let memory = u64::from(r).checked_mul(128).and_then(|block| block.checked_mul(n));
    if p > PASSES || memory.is_none_or(|memory| memory > MEMORY) {
        return Err(TOO_COSTLY);
    }
    if n < 2 || !n.is_power_of_two() {
        return Err(MALFORMED);
    }
    let log_n = u8::try_from(n.trailing_zeros()).map_err(|_| MALFORMED)?;
    scrypt::Params::new(log_n, r, p, XSalsa20Poly1305::KEY_SIZE).map_err(|_| MALFORMED)
}

fn decoded(text: &str) -> Result<Vec<u8>, &'static str> {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    STANDARD.decode(text).map_err(|_| MALFORMED)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cosign(n: u64, r: u32, p: u32, cipher: &str) -> Secretbox {
        let (zeros, nonce) = ("A".repeat(43) + "=", "A".repeat(32));
        let json = format!(
            r#"{{"kdf":{{"name":"scrypt","params":{{"N":{n},"r":{r},"p":{p}}},"salt":"{zeros}"}},"cipher":{{"name":"{cipher}","nonce":"{nonce}"}},"ciphertext":"{zeros}"}}"#
        );
        carnet_bundle::json::parse_as(json.as_bytes()).unwrap()
    }

    #[test]
    fn what_a_file_asks_for_is_bounded() {
        let box_ = "nacl/secretbox";
        for (n, r, p, cipher, reason) in [
            (1024, 8, 1, box_, WRONG),
            (1 << 20, 8, 1, box_, TOO_COSTLY),
            (1 << 62, 8, 1, box_, TOO_COSTLY),
            (u64::MAX, u32::MAX, 1, box_, TOO_COSTLY),
            (1024, u32::MAX, 1, box_, TOO_COSTLY),
            (1024, 8, 17, box_, TOO_COSTLY),
            (1024, 8, 0, box_, MALFORMED),
            (1024, 0, 1, box_, MALFORMED),
            (1000, 8, 1, box_, MALFORMED),
            (0, 8, 1, box_, MALFORMED),
            (1, 8, 1, box_, MALFORMED),
            (1024, 8, 1, "aes", MALFORMED),
        ] {
            assert_eq!(cosign(n, r, p, cipher).open(b""), Err(reason), "{n} {r} {p} {cipher}");
        }
    }

    #[test]
    fn a_form_that_is_not_known_is_said() {
        for label in [PKCS8, OF_COSIGN[0], OF_COSIGN[1], "ENCRYPTED EC KEY"] {
            let text = format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n");
            let opened = EncryptedKey::from_pem(text.as_bytes()).and_then(|key| key.map(|key| key.open(b"")).transpose());
            assert_eq!(opened.err(), Some(MALFORMED), "{label}");
        }
        assert!(EncryptedKey::from_pem(b"-----BEGIN PRIVATE KEY-----").is_ok_and(|key| key.is_none()));
        assert!(EncryptedKey::from_pem(b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n").is_err());
    }
}
