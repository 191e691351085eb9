//! Ids of git objects, computed from their bytes.

use std::{fmt, str::FromStr};

use carnet_bundle::Digester;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha1_checked::Sha1;

/// The full id of a git object, in a repository of SHA-1 or of SHA-256.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum ObjectId {
    /// 40 hexadecimal digits.
    Sha1([u8; 20]),
    /// 64 hexadecimal digits.
    Sha256([u8; 32]),
}

/// The hash function of a repository.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HashKind {
    /// SHA-1, with detection of collision attacks.
    Sha1,
    /// SHA-256.
    Sha256,
}

/// Sorts of git objects that rules can be in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ObjectKind {
    /// The content of a file.
    Blob,
    /// A commit.
    Commit,
    /// A directory.
    Tree,
}

/// The text is not a full object id.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0:?} is not a full object id: want 40 or 64 hexadecimal digits")]
pub struct NotAnObjectId(String);

/// The bytes were made to collide with others under SHA-1 (shattered.io): an id
/// that they share with others names nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the bytes are part of a SHA-1 collision attack")]
pub struct Collision;

impl ObjectId {
    /// Computes the id of an object (gitformat-pack, "object id").
    ///
    /// # Errors
    ///
    /// Returns [`Collision`] for bytes that are half of a known SHA-1 collision.
    pub fn of(hash: HashKind, kind: ObjectKind, content: &[u8]) -> Result<Self, Collision> {
        let header = format!("{} {}\0", kind.word(), content.len());
        match hash {
            HashKind::Sha1 => sha1(&[header.as_bytes(), content]).map(Self::Sha1),
            HashKind::Sha256 => {
                let mut hasher = Digester::new();
                hasher.update(header.as_bytes());
                hasher.update(content);
                Ok(Self::Sha256(*hasher.finish().as_bytes()))
            }
        }
    }

    /// Takes 20 or 32 bytes as they are.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        match bytes.len() {
            20 => bytes.try_into().ok().map(Self::Sha1),
            32 => bytes.try_into().ok().map(Self::Sha256),
            _ => None,
        }
    }

    /// The bytes of the id.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Sha1(bytes) => bytes,
            Self::Sha256(bytes) => bytes,
        }
    }

    /// Which hash function made it.
    pub fn hash(&self) -> HashKind {
        match self {
            Self::Sha1(_) => HashKind::Sha1,
            Self::Sha256(_) => HashKind::Sha256,
        }
    }
}

fn sha1(parts: &[&[u8]]) -> Result<[u8; 20], Collision> {
    let mut hasher = Sha1::new();
    parts.iter().for_each(|part| sha1_checked::Digest::update(&mut hasher, part));
    let result = hasher.try_finalize();
    if result.has_collision() { Err(Collision) } else { Ok((*result.hash()).into()) }
}

impl HashKind {
    /// Bytes of an id.
    pub(super) fn len(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }
}

impl ObjectKind {
    /// The word in the header of an object.
    pub fn word(self) -> &'static str {
        match self {
            Self::Blob => "blob",
            Self::Commit => "commit",
            Self::Tree => "tree",
        }
    }
}

impl FromStr for ObjectId {
    type Err = NotAnObjectId;

    /// Reads digits of either case, as git does.
    fn from_str(text: &str) -> Result<Self, NotAnObjectId> {
        let nibble = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
        let byte = |pair: &[u8]| Some(nibble(*pair.first()?)? << 4 | nibble(*pair.get(1)?)?);
        let bytes: Option<Vec<u8>> = text.as_bytes().chunks(2).map(byte).collect();
        bytes.and_then(|bytes| Self::from_bytes(&bytes)).ok_or_else(|| NotAnObjectId(text.chars().take(80).collect()))
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Display for ObjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl Serialize for ObjectId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ObjectId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ids that `git hash-object` prints.
    #[test]
    fn ids_are_those_of_git() {
        for (hash, kind, content, want) in [
            (HashKind::Sha1, ObjectKind::Blob, "", "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"),
            (HashKind::Sha1, ObjectKind::Tree, "", "4b825dc642cb6eb9a060e54bf8d69288fbee4904"),
            (HashKind::Sha1, ObjectKind::Blob, "hello\n", "ce013625030ba8dba906f756967f9e9ca394464a"),
            (HashKind::Sha256, ObjectKind::Blob, "", "473a0f4c3be8a93681a267e3b1e9a7dcda1185436fe141f7749120a303721813"),
            (HashKind::Sha256, ObjectKind::Tree, "", "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321"),
        ] {
            assert_eq!(ObjectId::of(hash, kind, content.as_bytes()).unwrap().to_string(), want);
        }
    }

    #[test]
    fn bytes_of_a_collision_attack_have_no_id() {
        let shattered = [
            include_bytes!("../../../testdata/policy-sources/shattered-1.bin"),
            include_bytes!("../../../testdata/policy-sources/shattered-2.bin"),
        ];
        assert_ne!(shattered[0], shattered[1]);
        for bytes in shattered {
            assert_eq!(sha1(&[bytes]), Err(Collision));
            assert!(sha1(&[&bytes[..192]]).is_ok());
        }
    }

    #[test]
    fn only_full_ids_are_ids() {
        assert!("E69DE29BB2D1D6434B8B29AE775AD8C2E48C5391".parse::<ObjectId>().is_ok());
        for text in ["", "e69de29", "main", &"g".repeat(40), &"é".repeat(20), &"a".repeat(41), &"a".repeat(42)] {
            assert!(text.parse::<ObjectId>().is_err(), "{text}");
        }
    }
}
