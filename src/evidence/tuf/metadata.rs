//! Signed metadata of the four top-level roles (§4.2 to §4.6).

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use carnet_bundle::json;
use jiff::Timestamp;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use super::{TufError, key::Key, name};
use crate::{budget, signature::Hash};

/// The roles of a repository.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Role {
    /// Which keys sign what.
    Root,
    /// Which versions belong together.
    Snapshot,
    /// Which files there are.
    Targets,
    /// Which snapshot is the newest.
    Timestamp,
}

/// One file, taken apart. What it says counts only after [`Self::check`].
#[derive(Clone, Debug)]
pub(super) struct Metadata {
    signatures: Vec<Signature>,
    /// The bytes that signatures cover.
    message: Vec<u8>,
    pub(super) expires: Timestamp,
    version: u64,
    pub(super) signed: Signed,
}

/// The part of a file that its role has for itself.
#[derive(Clone, Debug)]
pub(super) enum Signed {
    Root(Root),
    Snapshot(FileList),
    Targets(TargetList),
    Timestamp(FileList),
}

/// What root.json says (§4.3).
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Root {
    version: u64,
    keys: BTreeMap<String, Key>,
    roles: BTreeMap<String, RoleKeys>,
}

#[derive(Clone, Debug, Deserialize)]
struct RoleKeys {
    keyids: BTreeSet<String>,
    threshold: u64,
}

/// What timestamp.json (§4.6) and snapshot.json (§4.4) say.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct FileList {
    pub(super) meta: BTreeMap<String, VersionPin>,
}

/// What targets.json says (§4.5).
#[derive(Clone, Debug, Deserialize)]
pub(super) struct TargetList {
    pub(super) targets: BTreeMap<String, FilePin>,
}

/// A metadata file that another one vouches for.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct VersionPin {
    pub(super) version: u64,
    #[serde(flatten)]
    pub(super) file: FilePin,
}

/// The bytes that a file has to have.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct FilePin {
    length: Option<u64>,
    pub(super) hashes: Option<BTreeMap<String, String>>,
}

#[derive(Clone, Debug, Deserialize)]
struct Envelope {
    signatures: Vec<Signature>,
    signed: Value,
}

#[derive(Clone, Debug, Deserialize)]
struct Signature {
    keyid: String,
    sig: String,
}

/// What all roles say (§4.3).
#[derive(Deserialize)]
struct Header {
    #[serde(rename = "_type")]
    role: String,
    spec_version: String,
    version: u64,
    expires: Timestamp,
}

impl Metadata {
    /// Takes a file apart.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, TufError> {
        let malformed = |reason: String| TufError::Malformed {
            name: "TUF metadata".to_owned(),
            reason: format!("not TUF metadata: {reason}"),
        };
        if bytes.len() > budget::TUF_METADATA {
            return Err(malformed(format!("longer than {} bytes", budget::TUF_METADATA)));
        }
        let envelope: Envelope = json::parse_as(bytes).map_err(|e| malformed(e.to_string()))?;
        if envelope.signatures.len() > budget::TUF_SIGNATURES {
            return Err(malformed(format!("more than {} signatures", budget::TUF_SIGNATURES)));
        }
        let mut message = Vec::new();
        write(&envelope.signed, &mut message).ok_or_else(|| malformed("a number that is no integer".to_owned()))?;
        let header: Header = read(&envelope.signed).map_err(malformed)?;
        let role = Role::named(&header.role).ok_or_else(|| malformed(format!("unknown role {:?}", header.role)))?;
        let name = name(role, header.version);
        let malformed = |reason: String| TufError::Malformed { name: name.clone(), reason };
        if header.spec_version.split('.').next() != Some("1") {
            return Err(malformed(format!("unsupported TUF specification {:?}", header.spec_version)));
        }
        if header.version == 0 {
            return Err(malformed("its version is 0".to_owned()));
        }
        let signed = match role {
            Role::Root => Signed::Root(read(&envelope.signed).map_err(malformed)?),
            Role::Snapshot => Signed::Snapshot(read(&envelope.signed).map_err(malformed)?),
            Role::Targets => Signed::Targets(read(&envelope.signed).map_err(malformed)?),
            Role::Timestamp => Signed::Timestamp(read(&envelope.signed).map_err(malformed)?),
        };
        Ok(Self { signatures: envelope.signatures, message, expires: header.expires, version: header.version, signed })
    }

    pub(super) fn role(&self) -> Role {
        match self.signed {
            Signed::Root(_) => Role::Root,
            Signed::Snapshot(_) => Role::Snapshot,
            Signed::Targets(_) => Role::Targets,
            Signed::Timestamp(_) => Role::Timestamp,
        }
    }

    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// Whether both were made to be signed alike, whoever signed them.
    pub(super) fn says_the_same(&self, other: &Self) -> bool {
        self.message == other.message
    }

    /// §5.3.4 and its likes: a threshold of the keys that `root` names for `role`
    /// signed this.
    ///
    /// A key counts once, however often it signed (CVE-2020-15093) and whatever
    /// names it has.
    pub(super) fn check(&self, root: &Root, role: Role) -> Result<(), TufError> {
        let name = || name(self.role(), self.version);
        let malformed =
            |reason: &str| TufError::Malformed { name: self::name(Role::Root, root.version), reason: reason.to_owned() };
        let rule = root.roles.get(role.as_str()).ok_or_else(|| malformed("a role has no keys"))?;
        if rule.threshold == 0 {
            return Err(malformed("a role has the threshold 0"));
        }
        let of_role = self.signatures.iter().filter(|signature| rule.keyids.contains(&signature.keyid));
        let signers = of_role.filter_map(|signature| {
            let bytes = hex::decode(&signature.sig).ok()?;
            root.keys.get(&signature.keyid)?.verify(&self.message, &bytes)
        });
        let good = signers.collect::<BTreeSet<_>>().len();
        let met = u64::try_from(good).is_ok_and(|good| good >= rule.threshold);
        met.then_some(()).ok_or_else(|| TufError::Threshold { name: name(), root: root.version, good, threshold: rule.threshold })
    }
}

impl FilePin {
    /// §5.5.2: length and every digest that is listed agree with the bytes.
    pub(super) fn check(&self, name: &str, bytes: &[u8]) -> Result<(), TufError> {
        let mismatch = |algorithm: &str, got: String, want: String| TufError::Digest {
            name: name.to_owned(),
            algorithm: algorithm.to_owned(),
            got,
            want,
        };
        if let Some(want) = self.length.filter(|want| u64::try_from(bytes.len()) != Ok(*want)) {
            return Err(mismatch("length", bytes.len().to_string(), want.to_string()));
        }
        for (algorithm, want) in self.hashes.iter().flatten() {
            let hash = match algorithm.as_str() {
                "sha256" => Hash::Sha256,
                "sha384" => Hash::Sha384,
                "sha512" => Hash::Sha512,
                other => {
                    let reason = format!("pinned by the unknown digest algorithm {other:?}");
                    return Err(TufError::Malformed { name: name.to_owned(), reason });
                }
            };
            let got = hex::encode(hash.of(bytes));
            if got != *want {
                return Err(mismatch(algorithm, got, want.clone()));
            }
        }
        Ok(())
    }
}

impl Role {
    /// The name that the role has in metadata.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Snapshot => "snapshot",
            Self::Targets => "targets",
            Self::Timestamp => "timestamp",
        }
    }

    fn named(name: &str) -> Option<Self> {
        [Self::Root, Self::Snapshot, Self::Targets, Self::Timestamp].into_iter().find(|role| role.as_str() == name)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn read<T: DeserializeOwned>(value: &Value) -> Result<T, String> {
    json::from_value(value.clone()).map_err(|e| e.to_string())
}

/// Writes the canonical form that signatures cover (§4.1): OLPC's, which escapes
/// quotes and backslashes only. It is not RFC 8785. `None` for numbers with a
/// fraction or an exponent, which it does not know.
fn write(value: &Value, out: &mut Vec<u8>) -> Option<()> {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(value) => out.extend_from_slice(value.to_string().as_bytes()),
        Value::Number(number) if number.is_f64() => return None,
        Value::Number(number) => out.extend_from_slice(number.to_string().as_bytes()),
        Value::String(text) => write_text(text, out),
        Value::Array(items) => {
            out.push(b'[');
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    out.push(b',');
                }
                write(item, out)?;
            }
            out.push(b']');
        }
        Value::Object(members) => {
            out.push(b'{');
            let sorted: BTreeMap<_, _> = members.iter().collect();
            for (place, (key, member)) in sorted.into_iter().enumerate() {
                if place > 0 {
                    out.push(b',');
                }
                write_text(key, out);
                out.push(b':');
                write(member, out)?;
            }
            out.push(b'}');
        }
    }
    Some(())
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text.bytes() {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_canonical_form_sorts_and_escapes_two_characters() {
        for (text, want) in [
            (r#"{"b": [1, -2, true, null], "a": "x\ny\"\\"}"#, Some("{\"a\":\"x\ny\\\"\\\\\",\"b\":[1,-2,true,null]}")),
            (r#"{"a": 1.5}"#, None),
            (r#"{"a": 1e3}"#, None),
        ] {
            let mut out = Vec::new();
            let written = write(&json::parse(text.as_bytes()).unwrap(), &mut out);
            assert_eq!(written.map(|()| String::from_utf8(out).unwrap()).as_deref(), want);
        }
    }
}
