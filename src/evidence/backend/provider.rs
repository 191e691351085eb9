//! ring as the crypto provider of the `sigstore-*` crates.

use std::{cell::RefCell, sync::OnceLock};

use ring::digest::{Context, SHA256, SHA384, SHA512};
use sigstore_crypto::{
    CryptoProvider, Error, HashContext, Result, SigningScheme, install_default_provider, try_default_provider,
};
use sigstore_types::HashAlgorithm;

use crate::signature::{DigestCheck, Hash, Scheme, verify_raw, verify_sha256};

#[derive(Debug)]
struct Ring;

static RING: Ring = Ring;
static INSTALLED: OnceLock<bool> = OnceLock::new();

thread_local! {
    static PREIMAGE: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

/// Makes ring the provider of this process.
pub(super) fn install() -> std::result::Result<(), String> {
    let ours = *INSTALLED.get_or_init(|| {
        let _ = install_default_provider(&RING);
        try_default_provider().is_some_and(|provider| format!("{provider:?}") == format!("{RING:?}"))
    });
    ours.then_some(()).ok_or_else(|| "another crypto provider was installed before".to_owned())
}

/// Runs `work` with the message that a digest will be asked about.
///
/// ring verifies messages and no digests. The bytes are hashed again and compared
/// before they are used: a wrong preimage can only refuse.
pub(super) fn with_preimage<T>(message: &[u8], work: impl FnOnce() -> T) -> T {
    struct Clear;
    impl Drop for Clear {
        fn drop(&mut self) {
            PREIMAGE.with(|preimage| preimage.replace(None));
        }
    }
    let _clear = Clear;
    PREIMAGE.with(|preimage| preimage.replace(Some(message.to_vec())));
    work()
}

struct RingHash(Context);

impl HashContext for RingHash {
    fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    fn finalize(self: Box<Self>) -> Vec<u8> {
        self.0.finish().as_ref().to_vec()
    }
}

impl CryptoProvider for Ring {
    fn hash(&self, algorithm: HashAlgorithm) -> Result<Box<dyn HashContext>> {
        let algorithm = match algorithm {
            HashAlgorithm::Sha2256 => &SHA256,
            HashAlgorithm::Sha2384 => &SHA384,
            HashAlgorithm::Sha2512 => &SHA512,
            other => return Err(Error::UnsupportedAlgorithm(format!("hash {other:?}"))),
        };
        Ok(Box::new(RingHash(Context::new(algorithm))))
    }

    fn verify_raw(&self, scheme: SigningScheme, key: &[u8], data: &[u8], signature: &[u8]) -> Result<()> {
        accept(scheme, verify_raw(ours(scheme)?, key, data, signature))
    }

    fn verify_prehashed(&self, scheme: SigningScheme, key: &[u8], digest: &[u8], signature: &[u8]) -> Result<()> {
        let own = ours(scheme)?;
        let preimage = PREIMAGE.with(|preimage| preimage.borrow().clone());
        if let Some(message) = preimage.filter(|message| hash_of(own).of(message) == digest) {
            return accept(scheme, verify_raw(own, key, &message, signature));
        }
        match <&[u8; 32]>::try_from(digest).map(|digest| verify_sha256(own, key, digest, signature)) {
            Ok(DigestCheck::Good) => Ok(()),
            Ok(DigestCheck::Bad) => accept(scheme, false),
            Ok(DigestCheck::NeedsBytes) | Err(_) => {
                Err(Error::UnsupportedAlgorithm(format!("{} over a digest alone", scheme.name())))
            }
        }
    }
}

fn accept(scheme: SigningScheme, good: bool) -> Result<()> {
    good.then_some(()).ok_or_else(|| Error::Verification(format!("{} signature invalid", scheme.name())))
}

fn ours(scheme: SigningScheme) -> Result<Scheme> {
    Ok(match scheme {
        SigningScheme::EcdsaP256Sha256 => Scheme::EcdsaP256Sha256,
        SigningScheme::EcdsaP256Sha384 => Scheme::EcdsaP256Sha384,
        SigningScheme::EcdsaP384Sha256 => Scheme::EcdsaP384Sha256,
        SigningScheme::EcdsaP384Sha384 => Scheme::EcdsaP384Sha384,
        SigningScheme::Ed25519 => Scheme::Ed25519,
        SigningScheme::RsaPkcs1Sha256 => Scheme::RsaPkcs1Sha256,
        SigningScheme::RsaPkcs1Sha384 => Scheme::RsaPkcs1Sha384,
        SigningScheme::RsaPkcs1Sha512 => Scheme::RsaPkcs1Sha512,
        other => return Err(Error::UnsupportedAlgorithm(other.name().to_owned())),
    })
}

fn hash_of(scheme: Scheme) -> Hash {
    match scheme {
        Scheme::EcdsaP256Sha384 | Scheme::EcdsaP384Sha384 | Scheme::RsaPkcs1Sha384 => Hash::Sha384,
        Scheme::RsaPkcs1Sha512 => Hash::Sha512,
        _ => Hash::Sha256,
    }
}
