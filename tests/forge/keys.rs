//! Keys from seeds, and signatures that come out the same every time: ECDSA by
//! RFC 6979, Ed25519 as it is.

use p256::ecdsa::{DerSignature, SigningKey, signature::Signer as _};
use ring::{
    digest::{SHA256, digest},
    signature::{Ed25519KeyPair, KeyPair as _},
};

use super::der;

pub(crate) enum Key {
    Ed25519(Ed25519KeyPair),
    P256(SigningKey),
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    digest(&SHA256, bytes).as_ref().try_into().unwrap()
}

impl Key {
    pub(crate) fn p256(seed: &str) -> Self {
        Self::P256(SigningKey::from_slice(&sha256(seed.as_bytes())).unwrap())
    }

    pub(crate) fn ed25519(seed: &str) -> Self {
        Self::Ed25519(Ed25519KeyPair::from_seed_unchecked(&sha256(seed.as_bytes())).unwrap())
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            Self::P256(key) => {
                let signature: DerSignature = key.sign(message);
                signature.as_bytes().to_vec()
            }
        }
    }

    /// The bytes inside the BIT STRING.
    pub(crate) fn raw(&self) -> Vec<u8> {
        match self {
            Self::Ed25519(pair) => pair.public_key().as_ref().to_vec(),
            Self::P256(key) => key.verifying_key().to_encoded_point(false).as_bytes().to_vec(),
        }
    }

    pub(crate) fn spki(&self) -> Vec<u8> {
        let algorithm = match self {
            Self::Ed25519(_) => vec![der::oid("1.3.101.112")],
            Self::P256(_) => vec![der::oid("1.2.840.10045.2.1"), der::oid("1.2.840.10045.3.1.7")],
        };
        der::sequence(&[der::sequence(&algorithm), der::bits(&self.raw())])
    }

    pub(crate) fn details(&self) -> &'static str {
        match self {
            Self::Ed25519(_) => "PKIX_ED25519",
            Self::P256(_) => "PKIX_ECDSA_P256_SHA_256",
        }
    }

    pub(crate) fn pem(&self) -> String {
        pem("PUBLIC KEY", &self.spki())
    }
}

pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}
