//! Log proofs that were fetched when the archive was made: they count when they hold,
//! and one that was changed on the way is refused, with the archive made anew around it.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    clippy::unwrap_used,
    reason = "a test reads its data, and says so when it is not there"
)]

#[path = "forge/certificate.rs"]
#[allow(dead_code, reason = "each suite uses a part")]
mod certificate;
#[path = "forge/der.rs"]
#[allow(dead_code, reason = "each suite uses a part")]
mod der;
#[path = "forge/keys.rs"]
mod keys;
#[path = "forge/log.rs"]
#[allow(dead_code, reason = "each suite uses a part")]
mod log;
#[path = "forge/timestamp.rs"]
#[allow(dead_code, reason = "each suite uses a part")]
mod timestamp;
#[path = "forge/world.rs"]
#[allow(dead_code, reason = "each suite uses a part")]
mod world;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use carnet_bundle::{
    Archive, Assembly, Content, Descriptor, Digest, Limits, Manifest, Plan,
    container::{BLOCK, header},
    inventory::{EvidenceEntry, EvidenceKind, LookResult, Method, Place, ProofEntry, Receipt, Subject},
    media,
};
use carnet_verify::{Document, Inputs, TrustInputs, VerifyArgs, report::Verdict, run};
use log::{Entry, canonical};
use serde_json::{Value, json};
use world::{IDENTITY, ISSUER, Signed, T, World, statement};

const RESULT: &str = "https://cosign.sigstore.dev/attestation/v1";
const REPOSITORY: &str = "registry.example/team/app";
/// A promise alone is not enough.
const WANTS_PROOF: &str = "apiVersion: carnet/v0\nkind: TrustPolicy\nlog: {proof: inclusion}\n";

/// An attested image whose log entry has a promise only, and the entry that was fetched.
struct Attestation {
    world: World,
    image: Vec<u8>,
    signed: Signed,
    entry: Entry,
}

impl Attestation {
    fn new() -> Self {
        let world = World::new();
        let config = descriptor(media::OCI_CONFIG, b"{}");
        let image = json!({ "schemaVersion": 2, "mediaType": media::OCI_MANIFEST, "config": config, "layers": [] });
        let image = image.to_string().into_bytes();
        let mut payload: Value = serde_json::from_slice(&statement(RESULT)).unwrap();
        payload["subject"] = json!([{ "digest": { "sha256": Digest::of(&image).to_hex() } }]);
        let signed = world.keyless_by(&world.leaf_spec(), payload.to_string().into_bytes());
        let entry = Entry::new(signed.dsse_v1(), T);
        Self { world, image, signed, entry }
    }

    /// What the log answers about the entry.
    fn fetched(&self) -> Value {
        self.world.rekor1.log(&self.entry)
    }

    /// An archive that carries `proof`, with every digest as it has to be.
    fn archive(&self, proof: Option<&Value>) -> Vec<u8> {
        let envelope = self.signed.envelope_bytes();
        let mut layer = descriptor(media::DSSE_ENVELOPE, &envelope);
        layer["annotations"] = json!(self.signed.annotations(Some(self.world.rekor1.annotation(&self.entry))));
        let config = descriptor(media::OCI_CONFIG, b"{}");
        let evidence = json!({ "schemaVersion": 2, "mediaType": media::OCI_MANIFEST, "config": config, "layers": [layer] });
        let evidence = evidence.to_string().into_bytes();
        let (image, parsed) = (Digest::of(&self.image), Manifest::parse(&self.image, media::OCI_MANIFEST).unwrap());
        let proof = proof.map(|proof| proof.to_string().into_bytes());
        // The one binding to the evidence: the hash of the entry's body, as RFC 6962 has it.
        let leaf = Digest::of(&[&[0], canonical(&self.entry.body).as_slice()].concat());
        let receipt = |method| Receipt {
            subject: image,
            repository: REPOSITORY.to_owned(),
            method,
            result: LookResult::None,
            found: 0,
            status: Some(404),
            answer: None,
            note: String::new(),
        };
        let found_in =
            vec![Place { repository: REPOSITORY.to_owned(), method: Method::CosignAtt, tag: "sha256-x.att".to_owned() }];
        let entry = EvidenceEntry {
            digest: Digest::of(&evidence),
            subject: image,
            kind: EvidenceKind::Dsse,
            predicate_type: String::new(),
            found_in,
        };
        let assembly = Assembly {
            subjects: vec![Subject::new(format!("{REPOSITORY}:v1"), &root(&self.image), &parsed, |_| true)],
            evidence: vec![entry],
            evidence_manifests: vec![root(&evidence)],
            receipts: Method::PROFILE.map(receipt).to_vec(),
            proofs: proof
                .iter()
                .map(|bytes| ProofEntry { leaf, digest: Digest::of(bytes), log: "https://rekor-v1.example".to_owned() })
                .collect(),
            documents: proof
                .into_iter()
                .map(|bytes| carnet_bundle::Document {
                    media_type: media::LOG_PROOF.to_owned(),
                    title: format!("{}.tle.json", leaf.to_hex()),
                    bytes,
                })
                .collect(),
            blobs: [self.image.clone(), b"{}".to_vec(), evidence, envelope]
                .into_iter()
                .map(|bytes| (Digest::of(&bytes), bytes))
                .collect(),
            ..Assembly::default()
        };
        pack(&Plan::new(assembly).unwrap())
    }

    /// The verdict on an archive, and the codes of the findings that are not ok.
    fn judge(&self, archive: &[u8], trust_policy: Option<&str>) -> (Verdict, Vec<String>) {
        let words = ["carnet-verify", "-", "--certificate-identity", IDENTITY, "--certificate-oidc-issuer", ISSUER, "--image"];
        let image = format!("{REPOSITORY}:v1");
        let args = VerifyArgs::read(
            words.into_iter().chain([image.as_str(), "--skip-image-sig-check", "--layers=none"]).map(Into::into),
        )
        .unwrap();
        let document = |name: &str, bytes: Vec<u8>| Some(Document { name: name.to_owned(), bytes });
        let policy = trust_policy.and_then(|text| document("trust.yaml", text.as_bytes().to_vec()));
        let inputs = Inputs {
            images: Vec::new(),
            policy: None,
            trusted_root: document("trusted_root.json", self.world.trusted_root().to_string().into_bytes()),
            trust: TrustInputs { policy, ..TrustInputs::default() },
            policy_lock: None,
            sources: &carnet_verify::disk::sources::Disk,
            read: &|path| std::fs::read(path),
        };
        let mut container = Archive::new(archive, &Limits::default()).unwrap();
        let report = run(&args, &inputs, &mut container, "2026-04-01T00:00:00Z".parse().unwrap(), 2).unwrap();
        (report.verdict(), report.carnet.findings.iter().map(|finding| finding.code.to_owned()).collect())
    }
}

fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({ "mediaType": media_type, "digest": Digest::of(bytes), "size": bytes.len() })
}

fn root(bytes: &[u8]) -> Descriptor {
    let index = json!({ "schemaVersion": 2, "manifests": [descriptor(media::OCI_MANIFEST, bytes)] }).to_string();
    Manifest::parse(index.as_bytes(), media::OCI_INDEX).unwrap().children()[0].clone()
}

fn pack(plan: &Plan) -> Vec<u8> {
    let mut archive = Vec::new();
    for member in plan.members() {
        let Content::Bytes(bytes) = &member.content else { panic!("{} is streamed", member.name) };
        archive.extend_from_slice(&header(&member.name, u64::try_from(bytes.len()).unwrap()));
        archive.extend_from_slice(bytes);
        archive.resize(archive.len().next_multiple_of(BLOCK), 0);
    }
    archive.resize(archive.len() + 2 * BLOCK, 0);
    archive
}

#[test]
fn a_carried_proof_counts() {
    let attestation = Attestation::new();
    let carried = attestation.archive(Some(&attestation.fetched()));
    for trust_policy in [None, Some(WANTS_PROOF)] {
        let (verdict, codes) = attestation.judge(&carried, trust_policy);
        assert!(verdict != Verdict::Fail && codes.is_empty(), "{trust_policy:?}: {verdict:?} {codes:?}");
    }
}

#[test]
fn without_it_a_promise_is_a_promise() {
    let attestation = Attestation::new();
    let archive = attestation.archive(None);
    assert_eq!(attestation.judge(&archive, None), (Verdict::Pass, Vec::new()));
    let (verdict, codes) = attestation.judge(&archive, Some(WANTS_PROOF));
    assert!(verdict == Verdict::Fail && codes.contains(&"log-evidence-missing".to_owned()), "{verdict:?} {codes:?}");
}

/// Nobody asks for the proof here: one that is there and does not hold is tampering.
#[test]
fn a_carried_proof_that_was_changed_is_refused() {
    let attestation = Attestation::new();
    let proof = |change: &dyn Fn(&mut Value)| {
        let mut entry = attestation.fetched();
        change(&mut entry);
        entry
    };
    let flipped = |text: &Value| {
        let mut bytes = STANDARD.decode(text.as_str().unwrap()).unwrap();
        bytes[0] ^= 1;
        json!(STANDARD.encode(bytes))
    };
    let other_note = |entry: &mut Value| {
        let note = attestation.world.rekor1.checkpoint(4, &[7; 32]);
        entry["inclusionProof"]["checkpoint"]["envelope"] = json!(note);
    };
    for (what, changed, code) in [
        (
            "a hash",
            proof(&|e| e["inclusionProof"]["hashes"][0] = flipped(&e["inclusionProof"]["hashes"][0])),
            "inclusion-proof-invalid",
        ),
        ("no hashes", proof(&|e| e["inclusionProof"]["hashes"] = json!([])), "inclusion-proof-invalid"),
        ("another place", proof(&|e| e["inclusionProof"]["logIndex"] = json!("0")), "inclusion-proof-invalid"),
        (
            "another root",
            proof(&|e| e["inclusionProof"]["rootHash"] = flipped(&e["inclusionProof"]["rootHash"])),
            "inclusion-proof-invalid",
        ),
        ("the note of another tree", proof(&other_note), "inclusion-proof-invalid"),
        (
            "a note that the log did not sign",
            proof(&|e| {
                let note = e["inclusionProof"]["checkpoint"]["envelope"].as_str().unwrap();
                let (body, _) = note.split_once("\n\n").unwrap();
                let line = attestation.world.rekor2.checkpoint(3, &[0; 32]);
                let (_, line) = line.split_once("\n\n").unwrap();
                e["inclusionProof"]["checkpoint"]["envelope"] = json!(format!("{body}\n\n{line}"));
            }),
            "checkpoint-invalid",
        ),
        ("no note", proof(&|e| e["inclusionProof"]["checkpoint"] = json!({ "envelope": "" })), "evidence-malformed"),
    ] {
        let (verdict, codes) = attestation.judge(&attestation.archive(Some(&changed)), None);
        assert!(codes.contains(&code.to_owned()), "{what}: {verdict:?} {codes:?}");
        // What cannot be read proves nothing; the promise is still one.
        let want = if code == "evidence-malformed" { Verdict::Pass } else { Verdict::Fail };
        assert_eq!(verdict, want, "{what}: {codes:?}");
    }
}

/// A proof of something else is dead weight.
#[test]
fn a_carried_proof_of_another_entry_changes_nothing() {
    let attestation = Attestation::new();
    let later = Entry::new(attestation.entry.body.clone(), T + 1);
    let other = Entry::new(attestation.world.keyless("https://spdx.dev/Document").dsse_v1(), T);
    for entry in [later, other] {
        let archive = attestation.archive(Some(&attestation.world.rekor1.log(&entry)));
        assert_eq!(attestation.judge(&archive, None).0, Verdict::Pass);
        let (verdict, codes) = attestation.judge(&archive, Some(WANTS_PROOF));
        assert!(verdict == Verdict::Fail && codes.contains(&"log-evidence-missing".to_owned()), "{codes:?}");
    }
}
