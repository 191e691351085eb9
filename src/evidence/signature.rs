//! Signature verification: the one place where a signature meets a key.
//!
//! The primitives are ring's. What a key signs is hashed by the rule of the
//! key's algorithm, never by what a message says (TOB-SIGSTORE-6).

use std::{cell::RefCell, collections::HashSet, sync::Mutex};

use p256::ecdsa::signature::hazmat::PrehashVerifier as _;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA384_ASN1, ECDSA_P384_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ED25519,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    UnparsedPublicKey, VerificationAlgorithm,
};
use rustls_pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm, alg_id};

use crate::{
    public_key::{KeyAlgorithm, PublicKey},
    rules::KeyScheme,
};

/// A key algorithm together with the hash it signs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Scheme {
    EcdsaP256Sha256,
    EcdsaP256Sha384,
    EcdsaP384Sha256,
    EcdsaP384Sha384,
    Ed25519,
    RsaPkcs1Sha256,
    RsaPkcs1Sha384,
    RsaPkcs1Sha512,
    RsaPssSha256,
}

/// Hash functions of signatures and timestamps.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

/// The other outcome of a check over a digest.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum DigestCheck {
    /// The signature is good.
    Good,
    /// The signature is bad.
    Bad,
    /// Only the bytes themselves would tell.
    NeedsBytes,
}

impl Hash {
    /// Hashes `bytes`.
    pub(crate) fn of(self, bytes: &[u8]) -> Vec<u8> {
        let algorithm = match self {
            Self::Sha256 => &ring::digest::SHA256,
            Self::Sha384 => &ring::digest::SHA384,
            Self::Sha512 => &ring::digest::SHA512,
        };
        ring::digest::digest(algorithm, bytes).as_ref().to_vec()
    }
}

impl Scheme {
    /// The scheme of a key that signs artifacts, log heads or promises.
    pub(crate) fn of(key: &PublicKey) -> Self {
        match key.algorithm() {
            KeyAlgorithm::EcdsaP256 => Self::EcdsaP256Sha256,
            KeyAlgorithm::EcdsaP384 => Self::EcdsaP384Sha384,
            KeyAlgorithm::Ed25519 => Self::Ed25519,
            KeyAlgorithm::Rsa => Self::RsaPkcs1Sha256,
        }
    }

    /// The scheme that the operator chose for a key; `None` when the key cannot.
    pub(crate) fn chosen(key: &PublicKey, choice: KeyScheme) -> Option<Self> {
        match (choice, key.algorithm()) {
            (KeyScheme::EcdsaP256Sha256, KeyAlgorithm::EcdsaP256) => Some(Self::EcdsaP256Sha256),
            (KeyScheme::EcdsaP384Sha256, KeyAlgorithm::EcdsaP384) => Some(Self::EcdsaP384Sha256),
            (KeyScheme::EcdsaP384Sha384, KeyAlgorithm::EcdsaP384) => Some(Self::EcdsaP384Sha384),
            (KeyScheme::Ed25519, KeyAlgorithm::Ed25519) => Some(Self::Ed25519),
            (KeyScheme::RsaPkcs1Sha256, KeyAlgorithm::Rsa) => Some(Self::RsaPkcs1Sha256),
            (KeyScheme::RsaPssSha256, KeyAlgorithm::Rsa) => Some(Self::RsaPssSha256),
            _ => None,
        }
    }

    /// The scheme of a key where the protocol names the hash beside it (CMS).
    pub(crate) fn with_hash(key: &PublicKey, hash: Hash) -> Option<Self> {
        match (key.algorithm(), hash) {
            (KeyAlgorithm::EcdsaP256, Hash::Sha256) => Some(Self::EcdsaP256Sha256),
            (KeyAlgorithm::EcdsaP256, Hash::Sha384) => Some(Self::EcdsaP256Sha384),
            (KeyAlgorithm::EcdsaP384, Hash::Sha256) => Some(Self::EcdsaP384Sha256),
            (KeyAlgorithm::EcdsaP384, Hash::Sha384) => Some(Self::EcdsaP384Sha384),
            (KeyAlgorithm::Rsa, Hash::Sha256) => Some(Self::RsaPkcs1Sha256),
            (KeyAlgorithm::Rsa, Hash::Sha384) => Some(Self::RsaPkcs1Sha384),
            (KeyAlgorithm::Rsa, Hash::Sha512) => Some(Self::RsaPkcs1Sha512),
            _ => None,
        }
    }

    fn algorithm(self) -> &'static dyn VerificationAlgorithm {
        match self {
            Self::EcdsaP256Sha256 => &ECDSA_P256_SHA256_ASN1,
            Self::EcdsaP256Sha384 => &ECDSA_P256_SHA384_ASN1,
            Self::EcdsaP384Sha256 => &ECDSA_P384_SHA256_ASN1,
            Self::EcdsaP384Sha384 => &ECDSA_P384_SHA384_ASN1,
            Self::Ed25519 => &ED25519,
            Self::RsaPkcs1Sha256 => &RSA_PKCS1_2048_8192_SHA256,
            Self::RsaPkcs1Sha384 => &RSA_PKCS1_2048_8192_SHA384,
            Self::RsaPkcs1Sha512 => &RSA_PKCS1_2048_8192_SHA512,
            Self::RsaPssSha256 => &RSA_PSS_2048_8192_SHA256,
        }
    }

    fn tag(self) -> u8 {
        match self {
            Self::EcdsaP256Sha256 => 1,
            Self::EcdsaP256Sha384 => 2,
            Self::EcdsaP384Sha256 => 3,
            Self::EcdsaP384Sha384 => 4,
            Self::Ed25519 => 5,
            Self::RsaPkcs1Sha256 => 6,
            Self::RsaPkcs1Sha384 => 7,
            Self::RsaPkcs1Sha512 => 8,
            Self::RsaPssSha256 => 9,
        }
    }
}

/// Whether `signature` is `key`'s over `message`.
pub(crate) fn verify(key: &PublicKey, message: &[u8], signature: &[u8]) -> bool {
    verify_raw(Scheme::of(key), key.raw(), message, signature)
}

/// Whether `signature` is that of the raw key over `message`.
pub(crate) fn verify_raw(scheme: Scheme, raw_key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let name = Memo::name(scheme, raw_key, message, signature);
    if name.is_some_and(|name| Memo::knows(&name)) {
        return true;
    }
    let good = UnparsedPublicKey::new(scheme.algorithm(), raw_key).verify(message, signature).is_ok();
    if let (true, Some(name)) = (good, name) {
        Memo::learn(name);
    }
    good
}

/// Whether `signature` is that of the raw key over bytes with this SHA-256.
///
/// ring checks signatures over messages only, so this one runs on RustCrypto's
/// P-256; other keys would sign another hash or need the bytes.
pub(crate) fn verify_sha256(scheme: Scheme, raw_key: &[u8], digest: &[u8; 32], signature: &[u8]) -> DigestCheck {
    if scheme != Scheme::EcdsaP256Sha256 {
        return DigestCheck::NeedsBytes;
    }
    let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(raw_key);
    let signature = p256::ecdsa::DerSignature::try_from(signature);
    match (key, signature) {
        (Ok(key), Ok(signature)) if key.verify_prehash(digest, &signature).is_ok() => DigestCheck::Good,
        _ => DigestCheck::Bad,
    }
}

/// Remembers which signatures were found good, so that the certificates of an
/// authority are verified once and not for each of a thousand attestations.
///
/// A name is the SHA-256 of scheme, key, message and signature together: what is
/// remembered is exactly what was verified.
#[derive(Debug, Default)]
pub(crate) struct Memo(Mutex<HashSet<[u8; 32]>>);

thread_local! {
    static CURRENT: RefCell<Option<std::sync::Arc<Memo>>> = const { RefCell::new(None) };
}

impl Memo {
    /// 32 bytes each; beyond it nothing more is remembered.
    const CAPACITY: usize = 16 * 1024;
    /// Longer messages cost as much to name as to verify.
    const MESSAGE: usize = 64 * 1024;

    /// Runs `work` with this memory.
    pub(crate) fn scope<T>(memo: &std::sync::Arc<Self>, work: impl FnOnce() -> T) -> T {
        struct Restore(Option<std::sync::Arc<Memo>>);
        impl Drop for Restore {
            fn drop(&mut self) {
                CURRENT.with(|current| current.replace(self.0.take()));
            }
        }
        let _restore = Restore(CURRENT.with(|current| current.replace(Some(memo.clone()))));
        work()
    }

    fn name(scheme: Scheme, raw_key: &[u8], message: &[u8], signature: &[u8]) -> Option<[u8; 32]> {
        if message.len() > Self::MESSAGE || CURRENT.with(|current| current.borrow().is_none()) {
            return None;
        }
        let mut context = ring::digest::Context::new(&ring::digest::SHA256);
        context.update(&[scheme.tag()]);
        for part in [raw_key, message, signature] {
            context.update(&part.len().to_be_bytes());
            context.update(part);
        }
        context.finish().as_ref().try_into().ok()
    }

    fn knows(name: &[u8; 32]) -> bool {
        Self::with(|names| names.contains(name)).unwrap_or(false)
    }

    fn learn(name: [u8; 32]) {
        Self::with(|names| {
            if names.len() < Self::CAPACITY {
                names.insert(name);
            }
        });
    }

    fn with<T>(work: impl FnOnce(&mut HashSet<[u8; 32]>) -> T) -> Option<T> {
        CURRENT.with(|current| {
            let current = current.borrow();
            let mut names = current.as_ref()?.0.lock().ok()?;
            Some(work(&mut names))
        })
    }
}

/// The signature algorithms that a certification path may use.
pub(crate) static CERTIFICATE_ALGORITHMS: &[&dyn SignatureVerificationAlgorithm] = &[
    &CertificateAlgorithm { key: alg_id::ECDSA_P256, signature: alg_id::ECDSA_SHA256, scheme: Scheme::EcdsaP256Sha256 },
    &CertificateAlgorithm { key: alg_id::ECDSA_P256, signature: alg_id::ECDSA_SHA384, scheme: Scheme::EcdsaP256Sha384 },
    &CertificateAlgorithm { key: alg_id::ECDSA_P384, signature: alg_id::ECDSA_SHA256, scheme: Scheme::EcdsaP384Sha256 },
    &CertificateAlgorithm { key: alg_id::ECDSA_P384, signature: alg_id::ECDSA_SHA384, scheme: Scheme::EcdsaP384Sha384 },
    &CertificateAlgorithm { key: alg_id::ED25519, signature: alg_id::ED25519, scheme: Scheme::Ed25519 },
    &CertificateAlgorithm { key: alg_id::RSA_ENCRYPTION, signature: alg_id::RSA_PKCS1_SHA256, scheme: Scheme::RsaPkcs1Sha256 },
    &CertificateAlgorithm { key: alg_id::RSA_ENCRYPTION, signature: alg_id::RSA_PKCS1_SHA384, scheme: Scheme::RsaPkcs1Sha384 },
    &CertificateAlgorithm { key: alg_id::RSA_ENCRYPTION, signature: alg_id::RSA_PKCS1_SHA512, scheme: Scheme::RsaPkcs1Sha512 },
];

#[derive(Debug)]
struct CertificateAlgorithm {
    key: AlgorithmIdentifier,
    signature: AlgorithmIdentifier,
    scheme: Scheme,
}

impl SignatureVerificationAlgorithm for CertificateAlgorithm {
    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        self.key
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.signature
    }

    fn verify_signature(&self, key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        verify_raw(self.scheme, key, message, signature).then_some(()).ok_or(InvalidSignature)
    }
}
