//! What verifying evidence costs, against the bare operations of ring that it needs.
//!
//! `benches/run evidence` starts it; `cargo bench -p carnet-evidence --bench evidence`
//! prints its rows alone. Both sides of a ratio take turns, and each is the best of
//! all rounds: what else the machine does falls on both.
//!
//! `… -- layout FOLDER COUNT` writes an OCI layout with COUNT pieces of evidence about
//! one image, by the forge of the tests, for measurements of the whole program.
//!
//! `… -- around CASE ROUNDS` verifies one bundle again and again by one verifier. It
//! remembers what came of each signature, so what is left, and what a profiler sees,
//! is the work around the signatures.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement reads files and clock, and says so when something is missing"
)]

#[path = "../tests/forge/certificate.rs"]
#[allow(dead_code, reason = "a part is used")]
mod certificate;
#[path = "../tests/forge/der.rs"]
#[allow(dead_code, reason = "a part is used")]
mod der;
#[path = "../tests/forge/keys.rs"]
mod keys;
#[path = "../tests/evidence/layout.rs"]
mod layout;
#[path = "../tests/forge/log.rs"]
#[allow(dead_code, reason = "a part is used")]
mod log;
#[path = "../tests/forge/timestamp.rs"]
#[allow(dead_code, reason = "a part is used")]
mod timestamp;
#[path = "../tests/forge/world.rs"]
#[allow(dead_code, reason = "a part is used")]
mod world;

use std::{
    hint::black_box,
    path::Path,
    time::{Duration, Instant},
};

use carnet_bundle::{Digest, Manifest, media};
use carnet_evidence::{Rules, Signer, Subject, TrustRoot, TrustSource, Verifier, from_manifest};
use keys::{Key, sha256};
use layout::{NOW, identity, key, read};
use ring::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1, ECDSA_P384_SHA384_ASN1_SIGNING, ED25519,
        EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey, VerificationAlgorithm,
    },
};
use serde_json::{Value, json};
use world::{IMAGE_SIGNATURE, Signed, World, statement};

const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const ROUNDS: usize = 200;
const BEACON: &str = "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main";
const GITHUB: &str = "https://token.actions.githubusercontent.com";

/// A good bundle, and how many signatures of each sort it stands on when the chains of
/// the trust root were verified before: signature, promise, checkpoint, certificate
/// timestamp, certificate, timestamp.
struct Row {
    name: &'static str,
    case: &'static str,
    p256: usize,
    p384: usize,
    ed25519: usize,
}

const ROWS: &[Row] = &[
    Row { name: "keyless, Rekor version 1", case: "happy-path-v0.3", p256: 4, p384: 1, ed25519: 0 },
    Row { name: "keyless, Rekor version 1, DSSE", case: "happy-path-intoto-in-dsse-v3", p256: 4, p384: 1, ed25519: 0 },
    Row { name: "keyless, Rekor version 2 and timestamp", case: "rekor2-happy-path", p256: 2, p384: 2, ed25519: 1 },
    Row { name: "keyless, Rekor version 2 and timestamp, DSSE", case: "rekor2-dsse-happy-path", p256: 2, p384: 2, ed25519: 1 },
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match &arguments[..] {
        [] => ROWS.iter().for_each(measure),
        [word, case, rounds] if word == "around" => around(case, rounds.parse().unwrap()),
        [word, folder, count] if word == "layout" => write_layout(Path::new(folder), count.parse().unwrap()),
        other => panic!("unknown arguments {other:?}"),
    }
}

/// One line of JSON, in microseconds.
fn measure(row: &Row) {
    let (verify, ring) = (Bundle::open(row.case), Bare::new(row));
    let (mut best_verify, mut best_ring) = (Duration::MAX, Duration::MAX);
    for _ in 0..ROUNDS {
        best_verify = best_verify.min(verify.once());
        best_ring = best_ring.min(ring.once());
    }
    let micros = |time: Duration| (time.as_secs_f64() * 1e7).round() / 10.0;
    let ratio = (best_verify.as_secs_f64() / best_ring.as_secs_f64() * 100.0).round() / 100.0;
    println!("{}", json!({ "name": row.name, "verify": micros(best_verify), "ring": micros(best_ring), "ratio": ratio }));
}

/// The least time of one round in which no signature is verified, in microseconds.
fn around(case: &str, rounds: usize) {
    let bundle = Bundle::open(case);
    let verifier = bundle.verifier();
    bundle.timed(&verifier);
    let best = (0..rounds).map(|_| bundle.timed(&verifier)).min().unwrap();
    println!("{}", json!({ "name": case, "around": best.as_secs_f64() * 1e6 }));
}

struct Bundle {
    bundle: Vec<u8>,
    manifest: Manifest,
    manifest_digest: Digest,
    artifact: Vec<u8>,
    root: Option<Vec<u8>>,
    signer: Signer,
}

impl Bundle {
    fn open(case: &str) -> Self {
        let path = format!("sigstore-conformance/bundle-verify/{case}");
        let optional = |file: &str| std::fs::read(layout::testdata().join(&path).join(file)).ok();
        let bundle = read(&format!("{path}/bundle.sigstore.json"));
        let manifest = referrer(&bundle);
        Self {
            manifest_digest: Digest::of(&manifest),
            manifest: Manifest::parse(&manifest, media::OCI_MANIFEST).unwrap(),
            bundle,
            artifact: optional("artifact").unwrap_or_else(|| read("sigstore-conformance/a.txt")),
            root: optional("trusted_root.json"),
            signer: match optional("key.pub") {
                Some(_) => key(&format!("{path}/key.pub")),
                None => identity(BEACON, GITHUB),
            },
        }
    }

    /// From the bytes of the bundle to the claim, by a verifier that has seen none yet.
    fn once(&self) -> Duration {
        self.timed(&self.verifier())
    }

    fn verifier(&self) -> Verifier {
        let root = match &self.root {
            Some(bytes) => TrustRoot::parse(bytes, TrustSource::None),
            None => TrustRoot::public_good(),
        };
        Verifier::new(root.unwrap(), Rules::new(self.signer.clone()), NOW.parse().unwrap()).unwrap()
    }

    fn timed(&self, verifier: &Verifier) -> Duration {
        let subject = Subject::of_bytes(&self.artifact);
        let (items, _) = from_manifest(subject.digest(), &self.manifest_digest, &self.manifest, &|_| Some(&self.bundle));
        let begun = Instant::now();
        black_box(verifier.verify(&items[0], subject).unwrap());
        begun.elapsed()
    }
}

/// The manifest that a registry would hold the bundle by.
fn referrer(bundle: &[u8]) -> Vec<u8> {
    let layer = json!({ "mediaType": BUNDLE, "digest": Digest::of(bundle), "size": bundle.len() });
    let config = json!({ "mediaType": media::OCI_EMPTY, "digest": Digest::of(media::EMPTY_JSON), "size": 2 });
    let manifest = json!({ "schemaVersion": 2, "mediaType": media::OCI_MANIFEST, "artifactType": BUNDLE, "config": config, "layers": [layer] });
    manifest.to_string().into_bytes()
}

/// The same number of signatures of the same sorts, verified one after the other.
struct Bare(Vec<Question>);

/// Makes a question about this message.
type Make = fn(Vec<u8>) -> Question;

struct Question {
    algorithm: &'static dyn VerificationAlgorithm,
    key: Vec<u8>,
    message: Vec<u8>,
    signature: Vec<u8>,
}

impl Bare {
    fn new(row: &Row) -> Self {
        let mut questions = Vec::new();
        let sorts: [(usize, Make); 3] = [(row.p256, p256), (row.p384, p384), (row.ed25519, ed25519)];
        for (count, make) in sorts {
            // As long as a certificate without its signature.
            questions.extend((0..count).map(|number| make(vec![u8::try_from(number).unwrap(); 700])));
        }
        Self(questions)
    }

    fn once(&self) -> Duration {
        let begun = Instant::now();
        for question in &self.0 {
            UnparsedPublicKey::new(question.algorithm, &question.key).verify(&question.message, &question.signature).unwrap();
        }
        begun.elapsed()
    }
}

fn p256(message: Vec<u8>) -> Question {
    ecdsa(&ECDSA_P256_SHA256_ASN1_SIGNING, &ECDSA_P256_SHA256_ASN1, message)
}

fn p384(message: Vec<u8>) -> Question {
    ecdsa(&ECDSA_P384_SHA384_ASN1_SIGNING, &ECDSA_P384_SHA384_ASN1, message)
}

fn ecdsa(
    signing: &'static ring::signature::EcdsaSigningAlgorithm,
    algorithm: &'static dyn VerificationAlgorithm,
    message: Vec<u8>,
) -> Question {
    let random = SystemRandom::new();
    let document = EcdsaKeyPair::generate_pkcs8(signing, &random).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(signing, document.as_ref(), &random).unwrap();
    let signature = pair.sign(&random, &message).unwrap().as_ref().to_vec();
    Question { algorithm, key: pair.public_key().as_ref().to_vec(), message, signature }
}

fn ed25519(message: Vec<u8>) -> Question {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    let signature = pair.sign(&message).as_ref().to_vec();
    Question { algorithm: &ED25519, key: pair.public_key().as_ref().to_vec(), message, signature }
}

/// One image, a signature of it and attestations about it: each by a key and a
/// certificate of its own, in Rekor version 1 with promise and proof.
fn write_layout(folder: &Path, count: usize) {
    let world = World::new();
    let blobs = folder.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).unwrap();
    let store = |media_type: &str, bytes: &[u8]| write_blob(&blobs, media_type, bytes);
    let config = store(media::OCI_CONFIG, br#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#);
    let image = json!({ "schemaVersion": 2, "mediaType": media::OCI_MANIFEST, "config": config, "layers": [] });
    let image_bytes = image.to_string().into_bytes();
    let mut image = store(media::OCI_MANIFEST, &image_bytes);
    let empty = store(media::OCI_EMPTY, media::EMPTY_JSON);
    let mut referrers = Vec::new();
    for number in 0..count {
        let bundle = signed(&world, number, &image_bytes).bundle_v1(&world).to_string();
        let layer = store(BUNDLE, bundle.as_bytes());
        let manifest = json!({
            "schemaVersion": 2, "mediaType": media::OCI_MANIFEST, "artifactType": BUNDLE,
            "config": empty, "layers": [layer], "subject": image,
        });
        let mut entry = store(media::OCI_MANIFEST, manifest.to_string().as_bytes());
        entry["artifactType"] = json!(BUNDLE);
        referrers.push(entry);
    }
    image["annotations"] = json!({ media::REF_NAME: "v1" });
    let index: Vec<Value> = [image].into_iter().chain(referrers).collect();
    std::fs::write(folder.join("index.json"), json!({ "schemaVersion": 2, "manifests": index }).to_string()).unwrap();
    std::fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    std::fs::write(folder.join("trusted_root.json"), world.trusted_root().to_string()).unwrap();
    println!("{}", json!({ "identity": world::IDENTITY, "issuer": world::ISSUER, "image": Digest::of(&image_bytes) }));
}

fn write_blob(blobs: &Path, media_type: &str, bytes: &[u8]) -> Value {
    let digest = Digest::of(bytes);
    std::fs::write(blobs.join(digest.to_hex()), bytes).unwrap();
    json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() })
}

fn signed(world: &World, number: usize, image: &[u8]) -> Signed {
    let key = Key::p256(&format!("signer {number}"));
    let certificate = world.issue(&world.leaf_spec(), &key);
    let predicate_type = if number == 0 { IMAGE_SIGNATURE } else { "https://cosign.sigstore.dev/attestation/v1" };
    let mut payload: Value = serde_json::from_slice(&statement(predicate_type)).unwrap();
    payload["subject"] = json!([{ "digest": { "sha256": hex::encode(sha256(image)) } }]);
    payload["predicate"] = json!({ "Data": format!("result {number}") });
    Signed::envelope(&key, Some(certificate), payload.to_string().into_bytes())
}
