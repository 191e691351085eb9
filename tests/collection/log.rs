//! A transparency log with a key of its own: it promises entries, includes them,
//! and signs what it has.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use carnet_bundle::Digest;
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use serde_json::{Value, json};

/// SubjectPublicKeyInfo of a P-256 key, before the point.
const SPKI: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03,
    0x01, 0x07, 0x03, 0x42, 0x00,
];
const TIME: i64 = 1_780_000_000;
/// Global index of the first entry: logs count over all their trees.
const FIRST: u64 = 4_163_431;

pub(crate) struct Log {
    key: EcdsaKeyPair,
    /// Host of its address in the trusted root: what it calls itself in checkpoints.
    pub(crate) origin: String,
    pub(crate) leaves: Vec<Vec<u8>>,
}

impl Log {
    pub(crate) fn new(leaves: Vec<Vec<u8>>) -> Self {
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, document.as_ref(), &random).unwrap();
        Self { key, origin: String::new(), leaves }
    }

    fn spki(&self) -> Vec<u8> {
        [SPKI, self.key.public_key().as_ref()].concat()
    }

    fn id(&self) -> Digest {
        Digest::of(&self.spki())
    }

    pub(crate) fn pem(&self) -> String {
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(self.spki()))
    }

    fn sign(&self, message: &[u8]) -> String {
        STANDARD.encode(self.raw_signature(message))
    }

    fn raw_signature(&self, message: &[u8]) -> Vec<u8> {
        self.key.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec()
    }

    /// A trusted root with this log alone, at `url`.
    pub(crate) fn trusted_root(&self, url: &str) -> String {
        let log = json!({
            "baseUrl": url,
            "hashAlgorithm": "SHA2_256",
            "publicKey": {
                "rawBytes": STANDARD.encode(self.spki()),
                "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                "validFor": { "start": "2020-01-01T00:00:00Z" },
            },
            "logId": { "keyId": STANDARD.encode(self.id().as_bytes()) },
        });
        json!({
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [log], "certificateAuthorities": [], "ctlogs": [], "timestampAuthorities": [],
        })
        .to_string()
    }

    /// The annotation of cosign's legacy layers: a promise for leaf `n`.
    pub(crate) fn annotation(&self, n: usize) -> String {
        let body = STANDARD.encode(&self.leaves[n]);
        let index = FIRST + u64::try_from(n).unwrap();
        let id = self.id().to_hex();
        let text = format!(r#"{{"body":"{body}","integratedTime":{TIME},"logID":"{id}","logIndex":{index}}}"#);
        let payload = json!({ "body": body, "integratedTime": TIME, "logIndex": index, "logID": id });
        json!({ "SignedEntryTimestamp": self.sign(text.as_bytes()), "Payload": payload }).to_string()
    }

    /// Leaf hash of leaf `n`: where it is asked for.
    pub(crate) fn leaf(&self, n: usize) -> Digest {
        Digest::of(&[&[0], self.leaves[n].as_slice()].concat())
    }

    /// The answer about leaf `n`.
    pub(crate) fn answer(&self, n: usize) -> Value {
        let hashes: Vec<[u8; 32]> = (0..self.leaves.len()).map(|n| *self.leaf(n).as_bytes()).collect();
        let root = root(&hashes);
        let size = self.leaves.len();
        let text = format!("{} - 42\n{size}\n{}\n", self.origin, STANDARD.encode(root));
        let signature = [&self.id().as_bytes()[..4], &self.raw_signature(text.as_bytes())].concat();
        let checkpoint = format!("{text}\n\u{2014} {} {}\n", self.origin, STANDARD.encode(signature));
        let entry = json!({
            "body": STANDARD.encode(&self.leaves[n]),
            "integratedTime": TIME,
            "logIndex": FIRST + u64::try_from(n).unwrap(),
            "logID": self.id().to_hex(),
            "verification": {
                "signedEntryTimestamp": "AAAA",
                "inclusionProof": {
                    "logIndex": n,
                    "treeSize": size,
                    "rootHash": hex(&root),
                    "hashes": path(n, &hashes).iter().map(hex).collect::<Vec<_>>(),
                    "checkpoint": checkpoint,
                },
            },
        });
        json!({ format!("24296fb24b8ad77a{}", self.leaf(n).to_hex()): entry })
    }
}

fn hex(hash: &[u8; 32]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn above(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    *Digest::of(&[&[1], left.as_slice(), right].concat()).as_bytes()
}

/// RFC 6962 §2.1, by its recursive definition.
fn root(hashes: &[[u8; 32]]) -> [u8; 32] {
    match hashes {
        [one] => *one,
        _ => {
            let (left, right) = hashes.split_at(hashes.len().next_power_of_two() / 2);
            above(&root(left), &root(right))
        }
    }
}

fn path(n: usize, hashes: &[[u8; 32]]) -> Vec<[u8; 32]> {
    if hashes.len() == 1 {
        return Vec::new();
    }
    let split = hashes.len().next_power_of_two() / 2;
    let (left, right) = hashes.split_at(split);
    let (mut below, sibling) = if n < split { (path(n, left), root(right)) } else { (path(n - split, right), root(left)) };
    below.push(sibling);
    below
}
