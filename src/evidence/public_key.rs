//! Public keys: of signers, logs and authorities.

use std::fmt;

use carnet_bundle::Digest;

use crate::{
    der::{self, Reader},
    encoding::{self, PemKind},
};

const BIT_STRING: u8 = 0x03;
const NULL: u8 = 0x05;

const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
const P521: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x23];
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
/// 2.16.840.1.101.3.4.3.17 to .19, without the last arc.
const ML_DSA: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x03];

/// A public key with its algorithm.
#[derive(Clone, Eq, PartialEq)]
pub struct PublicKey {
    spki: Vec<u8>,
    raw: Vec<u8>,
    algorithm: KeyAlgorithm,
}

/// The algorithms that carnet accepts. What is signed with a key is always
/// hashed by the rule of its algorithm, never as the message says.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum KeyAlgorithm {
    /// ECDSA on P-256, signs SHA-256.
    EcdsaP256,
    /// ECDSA on P-384, signs SHA-384.
    EcdsaP384,
    /// Ed25519 (RFC 8032, pure).
    Ed25519,
    /// RSA of 2048 to 8192 bits, PKCS #1 v1.5 with SHA-256.
    Rsa,
}

/// Why bytes are not a key that carnet can use.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Not a SubjectPublicKeyInfo, or a key that its algorithm does not allow.
    #[error("not a public key: {0}")]
    Malformed(&'static str),
    /// Not exactly one PEM section `PUBLIC KEY`.
    #[error("not a PEM public key: want exactly one `PUBLIC KEY` section")]
    Pem,
    /// A well-formed key of an algorithm that carnet does not accept.
    #[error("unsupported key algorithm {0}")]
    Unsupported(String),
}

impl PublicKey {
    /// Reads a key from PEM text: one section `PUBLIC KEY` (RFC 7468 §13).
    ///
    /// # Errors
    ///
    /// Returns a [`KeyError`] for anything else.
    pub fn from_pem(text: &[u8]) -> Result<Self, KeyError> {
        match encoding::pem_single(text) {
            Some((PemKind::PublicKey, der)) => Self::from_der(&der),
            _ => Err(KeyError::Pem),
        }
    }

    /// Reads a key from a DER SubjectPublicKeyInfo (RFC 5280 §4.1).
    ///
    /// # Errors
    ///
    /// Returns a [`KeyError`] for other bytes and for algorithms that are not
    /// accepted.
    pub fn from_der(spki: &[u8]) -> Result<Self, KeyError> {
        let malformed = || KeyError::Malformed("not a SubjectPublicKeyInfo");
        let mut reader = Reader::new(der::single(spki, der::SEQUENCE).ok_or_else(malformed)?.content);
        let mut identifier = Reader::new(reader.expect(der::SEQUENCE).ok_or_else(malformed)?.content);
        let bits = reader.expect(BIT_STRING).ok_or_else(malformed)?.content;
        let oid = identifier.expect(der::OID).ok_or_else(malformed)?.content;
        let parameters = if identifier.is_empty() { None } else { Some(identifier.next().ok_or_else(malformed)?) };
        if !reader.is_empty() || !identifier.is_empty() {
            return Err(malformed());
        }
        // The first byte counts unused bits of the last one.
        let Some((0, raw)) = bits.split_first() else { return Err(malformed()) };
        let algorithm = algorithm(oid, parameters)?;
        check_point(algorithm, raw)?;
        Ok(Self { spki: spki.to_vec(), raw: raw.to_vec(), algorithm })
    }

    /// Reads an RSA key from a bare PKCS #1 `RSAPublicKey`, as trust roots have
    /// it under `PKCS1_RSA_PKCS1V5`.
    pub(crate) fn from_pkcs1(key: &[u8]) -> Result<Self, KeyError> {
        let identifier = [der::write(der::OID, RSA), der::write(NULL, &[])].concat();
        let mut bits = vec![0];
        bits.extend_from_slice(key);
        let content = [der::write(der::SEQUENCE, &identifier), der::write(BIT_STRING, &bits)].concat();
        Self::from_der(&der::write(der::SEQUENCE, &content))
    }

    /// The SubjectPublicKeyInfo, as read.
    pub fn as_der(&self) -> &[u8] {
        &self.spki
    }

    /// The key as PEM text.
    pub fn to_pem(&self) -> String {
        encoding::to_pem("PUBLIC KEY", &self.spki)
    }

    /// SHA-256 of the SubjectPublicKeyInfo: the name of the key in reports.
    pub fn fingerprint(&self) -> Digest {
        Digest::of(&self.spki)
    }

    /// The algorithm of the key.
    pub fn algorithm(&self) -> KeyAlgorithm {
        self.algorithm
    }

    /// Content of the BIT STRING: point, Ed25519 key or `RSAPublicKey`.
    pub(crate) fn raw(&self) -> &[u8] {
        &self.raw
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({:?} {})", self.algorithm, self.fingerprint())
    }
}

impl KeyAlgorithm {
    /// Name as people write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::EcdsaP256 => "ECDSA P-256",
            Self::EcdsaP384 => "ECDSA P-384",
            Self::Ed25519 => "Ed25519",
            Self::Rsa => "RSA",
        }
    }
}

fn algorithm(oid: &[u8], parameters: Option<der::Element<'_>>) -> Result<KeyAlgorithm, KeyError> {
    let curve = parameters.filter(|element| element.tag == der::OID).map(|element| element.content);
    match (oid, curve) {
        (EC_PUBLIC_KEY, Some(P256)) => Ok(KeyAlgorithm::EcdsaP256),
        (EC_PUBLIC_KEY, Some(P384)) => Ok(KeyAlgorithm::EcdsaP384),
        (EC_PUBLIC_KEY, Some(P521)) => Err(KeyError::Unsupported("ECDSA P-521".to_owned())),
        (EC_PUBLIC_KEY, Some(curve)) => Err(KeyError::Unsupported(format!("ECDSA on curve {}", hex::encode(curve)))),
        (EC_PUBLIC_KEY, None) => Err(KeyError::Malformed("an EC key must name its curve")),
        (RSA, _) if parameters.is_none_or(|element| element.tag == NULL) => Ok(KeyAlgorithm::Rsa),
        (RSA, _) => Err(KeyError::Malformed("RSA parameters must be NULL or absent")),
        (ED25519, _) if parameters.is_none() => Ok(KeyAlgorithm::Ed25519),
        (ED25519, _) => Err(KeyError::Malformed("Ed25519 has no parameters")),
        (oid, _) if oid.starts_with(ML_DSA) => Err(KeyError::Unsupported("ML-DSA".to_owned())),
        (oid, _) => Err(KeyError::Unsupported(format!("with object identifier {}", hex::encode(oid)))),
    }
}

/// Refuses what the verifier would refuse later, so that the reason is said once.
fn check_point(algorithm: KeyAlgorithm, raw: &[u8]) -> Result<(), KeyError> {
    let uncompressed = |length: usize| raw.len() == length && raw.first() == Some(&4);
    match algorithm {
        KeyAlgorithm::EcdsaP256 if !uncompressed(65) => Err(KeyError::Malformed("want an uncompressed point on P-256")),
        KeyAlgorithm::EcdsaP256 if p256::ecdsa::VerifyingKey::from_sec1_bytes(raw).is_err() => {
            Err(KeyError::Malformed("the point does not lie on P-256"))
        }
        KeyAlgorithm::EcdsaP384 if !uncompressed(97) => Err(KeyError::Malformed("want an uncompressed point on P-384")),
        KeyAlgorithm::EcdsaP384 if p384::PublicKey::from_sec1_bytes(raw).is_err() => {
            Err(KeyError::Malformed("the point does not lie on P-384"))
        }
        KeyAlgorithm::Ed25519 if raw.len() != 32 => Err(KeyError::Malformed("an Ed25519 key has 32 bytes")),
        KeyAlgorithm::Rsa => check_modulus(raw),
        _ => Ok(()),
    }
}

fn check_modulus(raw: &[u8]) -> Result<(), KeyError> {
    let malformed = || KeyError::Malformed("not an RSAPublicKey");
    let mut reader = Reader::new(der::single(raw, der::SEQUENCE).ok_or_else(malformed)?.content);
    let modulus = reader.expect(der::INTEGER).ok_or_else(malformed)?.content;
    reader.expect(der::INTEGER).ok_or_else(malformed)?;
    let digits = modulus.strip_prefix(&[0]).unwrap_or(modulus);
    let leading = digits.first().map_or(8, |first| first.leading_zeros());
    let bits = digits.len() * 8 - usize::try_from(leading).unwrap_or(8).min(digits.len() * 8);
    if !(2048..=8192).contains(&bits) {
        return Err(KeyError::Unsupported(format!("RSA of {bits} bits, want 2048 to 8192")));
    }
    if !reader.is_empty() {
        return Err(malformed());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const P256: &[u8] = include_bytes!("../../testdata/trust/local-sigstore/demo.pub");
    const P384: &[u8] = include_bytes!("../../testdata/trust/local-sigstore/key-p384.pub");

    #[test]
    fn a_point_off_the_curve_is_no_key() {
        for (pem, algorithm, curve) in [(P256, KeyAlgorithm::EcdsaP256, "P-256"), (P384, KeyAlgorithm::EcdsaP384, "P-384")] {
            let key = PublicKey::from_pem(pem).unwrap();
            assert_eq!(key.algorithm(), algorithm);
            let refused = |spki: &[u8]| PublicKey::from_der(spki).unwrap_err().to_string();
            let mut off = key.as_der().to_vec();
            *off.last_mut().unwrap() ^= 1;
            assert_eq!(refused(&off), format!("not a public key: the point does not lie on {curve}"));
            // Neither does a point with a coordinate above the modulus.
            let y = off.len() - (key.raw().len() - 1) / 2;
            off[y..].fill(0xff);
            assert_eq!(refused(&off), format!("not a public key: the point does not lie on {curve}"));
            // The same point in its short form is another way to write the key.
            let mut short = key.as_der().to_vec();
            let point = short.len() - key.raw().len();
            short[point] = 2;
            assert_eq!(refused(&short), format!("not a public key: want an uncompressed point on {curve}"));
        }
    }
}
