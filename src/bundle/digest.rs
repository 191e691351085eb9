//! SHA-256 digests, the only names that a bundle gives to its blobs.

use std::{fmt, str::FromStr};

use ring::digest::{Context, SHA256, digest};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A SHA-256 digest, written `sha256:<64 lower-case hex digits>`.
///
/// The text form is checked before the value exists, so a digest is always safe
/// to use in a member name (stops CVE-2024-3727: a digest used as a path).
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Digest([u8; 32]);

/// Why a text is not a digest that version 0 bundles can carry.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DigestError {
    /// The text is not `sha256:` and 64 lower-case hex digits.
    #[error("{0:?} is not a sha256 digest: want `sha256:` and 64 lower-case hex digits")]
    Malformed(String),
    /// The text names an algorithm that version 0 does not carry.
    #[error("unsupported digest algorithm {0:?}: version 0 bundles carry sha256 only")]
    UnsupportedAlgorithm(String),
}

impl Digest {
    /// Length in bytes.
    pub const LEN: usize = 32;

    /// Returns the digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self::from_ring(&digest(&SHA256, bytes))
    }

    /// Takes 32 digest bytes as they are.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the 32 digest bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Returns the 64 hex digits without the algorithm.
    pub fn to_hex(&self) -> String {
        self.with_hex(str::to_owned)
    }

    /// The digits on the stack: digests are printed by the thousand.
    fn with_hex<T>(&self, use_it: impl FnOnce(&str) -> T) -> T {
        let mut digits = [0; 2 * Self::LEN];
        // Neither fails: the length is right, and digits are UTF-8.
        let written = hex::encode_to_slice(self.0, &mut digits).is_ok();
        use_it(std::str::from_utf8(&digits).ok().filter(|_| written).unwrap_or_default())
    }

    /// Parses 64 lower-case hex digits without the algorithm.
    ///
    /// # Errors
    ///
    /// Returns [`DigestError::Malformed`] for any other text.
    pub fn from_hex(text: &str) -> Result<Self, DigestError> {
        let malformed = || DigestError::Malformed(shorten(text));
        let digits: &[u8; 2 * Self::LEN] = text.as_bytes().try_into().map_err(|_| malformed())?;
        let mut bytes = [0; Self::LEN];
        for (byte, [high, low]) in bytes.iter_mut().zip(digits.as_chunks().0) {
            let (high, low) = (digit(*high).ok_or_else(malformed)?, digit(*low).ok_or_else(malformed)?);
            *byte = high << 4 | low;
        }
        Ok(Self(bytes))
    }

    fn from_ring(value: &ring::digest::Digest) -> Self {
        let mut bytes = [0; Self::LEN];
        bytes.copy_from_slice(value.as_ref());
        Self(bytes)
    }
}

/// Hashes a stream piece by piece.
#[derive(Clone)]
pub struct Digester(Context);

impl Default for Digester {
    fn default() -> Self {
        Self::new()
    }
}

impl Digester {
    /// Starts a SHA-256 computation.
    pub fn new() -> Self {
        Self(Context::new(&SHA256))
    }

    /// Adds the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Returns the digest of everything added.
    pub fn finish(self) -> Digest {
        Digest::from_ring(&self.0.finish())
    }
}

impl fmt::Debug for Digester {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digester(..)")
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.with_hex(|digits| f.write_str(digits))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        match text.split_once(':') {
            Some(("sha256", hex)) => Self::from_hex(hex),
            Some((algorithm @ ("sha384" | "sha512" | "blake3"), _)) => {
                Err(DigestError::UnsupportedAlgorithm(algorithm.to_owned()))
            }
            _ => Err(DigestError::Malformed(shorten(text))),
        }
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The value of a lower-case hex digit.
fn digit(letter: u8) -> Option<u8> {
    match letter {
        b'0'..=b'9' => Some(letter - b'0'),
        b'a'..=b'f' => Some(letter - b'a' + 10),
        _ => None,
    }
}

/// Cuts hostile text to what fits in one line of an error.
fn shorten(text: &str) -> String {
    text.chars().take(96).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_input_has_the_digest_of_fips_180() {
        let want = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Digest::of(b"").to_string(), want);
        assert_eq!(want.parse::<Digest>().unwrap(), Digest::of(b""));
    }

    #[test]
    fn digester_equals_one_shot() {
        let mut digester = Digester::new();
        digester.update(b"ab");
        digester.update(b"c");
        assert_eq!(digester.finish(), Digest::of(b"abc"));
    }

    #[test]
    fn texts_that_are_no_sha256_digest_are_refused() {
        let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        for text in [
            String::new(),
            hex.to_owned(),
            format!("sha256:{}", hex.to_uppercase()),
            format!("sha256:{}", &hex[1..]),
            format!("sha256:{hex}0"),
            "sha256:../../etc/passwd".to_owned(),
            format!("SHA256:{hex}"),
            format!("md5:{hex}"),
        ] {
            assert!(matches!(text.parse::<Digest>(), Err(DigestError::Malformed(_))), "{text}");
        }
        let sha512 = format!("sha512:{hex}{hex}");
        assert_eq!(sha512.parse::<Digest>(), Err(DigestError::UnsupportedAlgorithm("sha512".to_owned())));
    }
}
