//! Keys of TUF metadata (§4.2.2).

use serde::Deserialize;

use crate::{
    public_key::PublicKey,
    rules::KeyScheme,
    signature::{Scheme, verify_raw},
};

/// A key as a root declares it. Its id is a name that the repository chose, and
/// says nothing about the key (GitHub's ids are no digests of their keys).
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Key {
    scheme: String,
    keyval: KeyValue,
}

#[derive(Clone, Debug, Deserialize)]
struct KeyValue {
    public: String,
}

/// A key that can verify.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct RawKey(Vec<u8>);

impl Key {
    /// Whether `signature` is this key's over `message`, and the key itself, by which
    /// signers are told apart. `None` also for a key of an unknown scheme: it counts
    /// for nothing.
    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> Option<RawKey> {
        let (scheme, raw) = self.usable()?;
        verify_raw(scheme, &raw, message, signature).then_some(RawKey(raw))
    }

    fn usable(&self) -> Option<(Scheme, Vec<u8>)> {
        let public = self.keyval.public.trim();
        let choice = match self.scheme.as_str() {
            "ecdsa-sha2-nistp256" => KeyScheme::EcdsaP256Sha256,
            "ecdsa-sha2-nistp384" => KeyScheme::EcdsaP384Sha384,
            "ed25519" => KeyScheme::Ed25519,
            "rsassa-pss-sha256" => KeyScheme::RsaPssSha256,
            _ => return None,
        };
        if public.starts_with("-----BEGIN") {
            let key = PublicKey::from_pem(public.as_bytes()).ok()?;
            return Some((Scheme::chosen(&key, choice)?, key.raw().to_vec()));
        }
        // Ed25519 keys, and ECDSA keys of repositories before 2023.
        let raw = hex::decode(public).ok()?;
        match (choice, raw.len(), raw.first()) {
            (KeyScheme::Ed25519, 32, _) => Some((Scheme::Ed25519, raw)),
            (KeyScheme::EcdsaP256Sha256, 65, Some(4)) => Some((Scheme::EcdsaP256Sha256, raw)),
            _ => None,
        }
    }
}
