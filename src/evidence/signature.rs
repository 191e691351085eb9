//! Signature verification: the one place where a signature meets a key.
//!
//! The primitives are ring's. What a key signs is hashed by the rule of the
//! key's algorithm, never by what a message says (TOB-SIGSTORE-6).

use std::{
    cell::RefCell,
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock},
};

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
    let verify = || UnparsedPublicKey::new(scheme.algorithm(), raw_key).verify(message, signature).is_ok();
    match Memo::slot(scheme, raw_key, message, signature) {
        Some(answer) => *answer.get_or_init(verify),
        None => verify(),
    }
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

/// Remembers what came of a signature, so that it is verified once: not by each of
/// our two verifiers, not by each of a thousand attestations with one authority, and
/// not by each thread.
///
/// A name is the SHA-256 of scheme, key, message and signature together: what is
/// remembered is the answer of ring to exactly this question, and says nothing of
/// whether the key is to be trusted. The two verifiers stay independent in
/// everything but this answer, which both would ask of ring.
#[derive(Debug, Default)]
pub(crate) struct Memo(Mutex<HashMap<Name, Answer>>);

type Name = [u8; 32];
/// Threads that ask the same question wait for the one that asked first.
type Answer = Arc<OnceLock<bool>>;

thread_local! {
    static CURRENT: RefCell<Option<Current>> = const { RefCell::new(None) };
}

/// The memory that a thread works with.
struct Current {
    memo: Arc<Memo>,
    /// What was asked last. The second verifier asks it all again, and to compare
    /// bytes takes a tenth of what it takes to name them.
    asked: Vec<Asked>,
}

/// A question to the last byte, and where its answer stands.
struct Asked {
    scheme: Scheme,
    raw_key: Vec<u8>,
    message: Vec<u8>,
    signature: Vec<u8>,
    answer: Answer,
}

impl Asked {
    fn is(&self, scheme: Scheme, raw_key: &[u8], message: &[u8], signature: &[u8]) -> bool {
        self.scheme == scheme && self.signature == signature && self.raw_key == raw_key && self.message == message
    }
}

impl Memo {
    /// Answers, some 100 bytes each. A full memory is emptied: an attacker who fills
    /// it makes others ask again, and no more.
    const CAPACITY: usize = 16 * 1024;
    /// Longer messages cost as much to name as to verify.
    const MESSAGE: usize = 64 * 1024;
    /// Questions that are kept to the last byte: more than one bundle asks.
    const ASKED: usize = 16;

    /// Runs `work` with this memory.
    pub(crate) fn scope<T>(memo: &Arc<Self>, work: impl FnOnce() -> T) -> T {
        struct Restore(Option<Current>);
        impl Drop for Restore {
            fn drop(&mut self) {
                CURRENT.with(|current| current.replace(self.0.take()));
            }
        }
        if CURRENT.with(|current| current.borrow().as_ref().is_some_and(|current| Arc::ptr_eq(&current.memo, memo))) {
            return work();
        }
        let current = Current { memo: memo.clone(), asked: Vec::new() };
        let _restore = Restore(CURRENT.with(|outer| outer.replace(Some(current))));
        work()
    }

    /// Where the answer to this question stands, or will.
    fn slot(scheme: Scheme, raw_key: &[u8], message: &[u8], signature: &[u8]) -> Option<Answer> {
        if message.len() > Self::MESSAGE {
            return None;
        }
        CURRENT.with(|current| {
            let mut current = current.borrow_mut();
            let Current { memo, asked } = current.as_mut()?;
            if let Some(known) = asked.iter().find(|asked| asked.is(scheme, raw_key, message, signature)) {
                return Some(known.answer.clone());
            }
            let answer = memo.answer(Self::name(scheme, raw_key, message, signature)?)?;
            if asked.len() < Self::ASKED {
                let (raw_key, message, signature) = (raw_key.to_vec(), message.to_vec(), signature.to_vec());
                asked.push(Asked { scheme, raw_key, message, signature, answer: answer.clone() });
            }
            Some(answer)
        })
    }

    fn answer(&self, name: Name) -> Option<Answer> {
        let mut answers = self.0.lock().ok()?;
        if answers.len() >= Self::CAPACITY {
            answers.clear();
        }
        Some(answers.entry(name).or_default().clone())
    }

    fn name(scheme: Scheme, raw_key: &[u8], message: &[u8], signature: &[u8]) -> Option<Name> {
        let mut context = ring::digest::Context::new(&ring::digest::SHA256);
        let lengths = [raw_key.len(), message.len(), signature.len()].map(usize::to_be_bytes);
        for part in [&[scheme.tag()], lengths.as_flattened(), raw_key, message, signature] {
            context.update(part);
        }
        context.finish().as_ref().try_into().ok()
    }

    /// How many questions were asked.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap().len()
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

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Barrier,
            atomic::{AtomicUsize, Ordering},
        },
        thread,
    };

    use super::*;

    const QUESTION: (Scheme, &[u8], &[u8], &[u8]) = (Scheme::Ed25519, b"key", b"message", b"signature");

    fn slot((scheme, key, message, signature): (Scheme, &[u8], &[u8], &[u8])) -> Answer {
        Memo::slot(scheme, key, message, signature).unwrap()
    }

    #[test]
    fn threads_that_ask_the_same_ask_once() {
        let (memo, asked, together) = (Arc::new(Memo::default()), AtomicUsize::new(0), Barrier::new(8));
        let ask = || {
            asked.fetch_add(1, Ordering::Relaxed);
            true
        };
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    together.wait();
                    assert!(Memo::scope(&memo, || *slot(QUESTION).get_or_init(ask)));
                });
            }
        });
        assert_eq!((asked.into_inner(), memo.len()), (1, 1));
    }

    #[test]
    fn what_differs_in_anything_is_another_question() {
        let memo = Arc::new(Memo::default());
        let (scheme, key, message, signature) = QUESTION;
        Memo::scope(&memo, || {
            slot(QUESTION).set(true).unwrap();
            for other in [
                (Scheme::EcdsaP256Sha256, key, message, signature),
                (scheme, b"kez".as_slice(), message, signature),
                (scheme, key, b"massage".as_slice(), signature),
                (scheme, key, message, b"signaturf".as_slice()),
                // The same bytes, parted elsewhere.
                (scheme, b"keym".as_slice(), b"essage".as_slice(), signature),
                (scheme, key, b"messages".as_slice(), b"ignature".as_slice()),
            ] {
                assert_eq!(slot(other).get(), None, "{other:?}");
            }
            assert_eq!(slot(QUESTION).get(), Some(&true));
        });
    }

    #[test]
    fn a_bad_signature_stays_bad() {
        let memo = Arc::new(Memo::default());
        for _ in 0..2 {
            assert!(!Memo::scope(&memo, || verify_raw(Scheme::Ed25519, &[0; 32], b"message", &[0; 64])));
        }
        assert_eq!(memo.len(), 1);
    }

    #[test]
    fn a_full_memory_starts_anew() {
        let memo = Arc::new(Memo::default());
        Memo::scope(&memo, || {
            for number in 0..=Memo::CAPACITY {
                slot((Scheme::Ed25519, b"key", &number.to_be_bytes(), b"signature"));
            }
        });
        assert_eq!(memo.len(), 1);
    }
}
