//! What is bound from outside: BuildKit statements by a signed index, log proofs by
//! the hash of their entry.

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
#[path = "evidence/layout.rs"]
mod layout;
#[path = "forge/log.rs"]
#[allow(dead_code, reason = "each suite uses a part")]
mod log;
#[path = "forge/timestamp.rs"]
#[allow(dead_code, reason = "each suite uses a part")]
mod timestamp;
#[path = "forge/world.rs"]
#[allow(dead_code, reason = "each suite uses a part")]
mod world;

use carnet_bundle::{Digest, Manifest, media};
use carnet_evidence::{
    Claim, ClaimKind, Evidence, LogProofs, PublicKey, Rules, SignedBy, Signer, TrustRoot, TrustSource, Verified, Verifier,
    from_loose_file, from_manifest,
};
use layout::{NOW, identity};
use log::Entry;
use serde_json::{Value, json};
use world::{IDENTITY, IMAGE, ISSUER, PROVENANCE, Signed, T, World, statement, statement_about};

/// An index with one image and BuildKit's attestation manifest for it.
struct Buildkit {
    index: Vec<u8>,
    manifest: Vec<u8>,
    statement: Vec<u8>,
}

impl Buildkit {
    fn new(statement: Vec<u8>, reference: &str) -> Self {
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": media::OCI_MANIFEST,
            "config": {"mediaType": media::OCI_CONFIG, "digest": Digest::of(b"{}"), "size": 2},
            "layers": [{
                "mediaType": media::IN_TOTO, "digest": Digest::of(&statement), "size": statement.len(),
                "annotations": {"in-toto.io/predicate-type": PROVENANCE},
            }],
        });
        let manifest = manifest.to_string().into_bytes();
        let index = json!({
            "schemaVersion": 2,
            "mediaType": media::OCI_INDEX,
            "manifests": [
                {"mediaType": media::OCI_MANIFEST, "digest": Digest::of(IMAGE), "size": IMAGE.len()},
                {
                    "mediaType": media::OCI_MANIFEST, "digest": Digest::of(&manifest), "size": manifest.len(),
                    "annotations": {
                        "vnd.docker.reference.type": "attestation-manifest",
                        "vnd.docker.reference.digest": reference,
                    },
                },
            ],
        });
        Self { index: index.to_string().into_bytes(), manifest, statement }
    }

    /// The statement as evidence about the image.
    fn evidence(&self) -> Vec<Evidence<'_>> {
        let parsed = Manifest::parse(&self.manifest, media::OCI_MANIFEST).unwrap();
        from_manifest(&Digest::of(IMAGE), &Digest::of(&self.manifest), &parsed, &|_| Some(&self.statement)).0
    }

    /// The index, signed by a key.
    fn signature(&self, verifier: &Verifier, predicate_type: &str) -> Verified<Claim> {
        let subject = Digest::of(&self.index);
        let payload = statement_about(predicate_type, &[subject.to_hex()]);
        let bundle = Signed::envelope(&keys::Key::p256("managed"), None, payload).bundle(&[], &[]).to_string();
        verifier.verify(&from_loose_file(&subject, bundle.as_bytes()).unwrap(), subject).unwrap()
    }
}

fn by_key(accept: bool) -> Verifier {
    let key = PublicKey::from_pem(keys::Key::p256("managed").pem().as_bytes()).unwrap();
    let mut rules = Rules::new(Signer::Key(key)).ignore_rekor();
    rules.accept_buildkit = accept;
    Verifier::new(TrustRoot::none(), rules, NOW.parse().unwrap()).unwrap()
}

fn image() -> String {
    Digest::of(IMAGE).to_string()
}

#[test]
fn a_buildkit_statement_counts_by_the_signature_of_its_index() {
    let made = Buildkit::new(statement(PROVENANCE), &image());
    let verifier = by_key(true);
    let index = made.signature(&verifier, world::IMAGE_SIGNATURE);
    let evidence = made.evidence();
    let claim = verifier.verify_under_index(&evidence[0], Digest::of(IMAGE), &index, &made.index).unwrap();
    assert_eq!(claim.kind, ClaimKind::Attestation);
    assert!(matches!(claim.signed_by, SignedBy::Index(digest) if digest == Digest::of(&made.index)));
    assert_eq!(claim.predicate_type.as_deref(), Some(PROVENANCE));
    // By itself it is never a claim.
    assert_eq!(verifier.verify(&evidence[0], Digest::of(IMAGE)).unwrap_err()[0].code, "unsigned-statement");
}

#[test]
fn a_buildkit_statement_needs_every_link_to_a_signed_index() {
    let good = Buildkit::new(statement(PROVENANCE), &image());
    let judge = |made: &Buildkit, verifier: &Verifier, predicate_type: &str, index_bytes: &[u8]| {
        let index = made.signature(verifier, predicate_type);
        let outcome = verifier.verify_under_index(&made.evidence()[0], Digest::of(IMAGE), &index, index_bytes);
        outcome.unwrap_err().remove(0)
    };
    let signature = world::IMAGE_SIGNATURE;
    let elsewhere = Buildkit::new(statement(PROVENANCE), &Digest::of(b"x").to_string());
    let other = Buildkit::new(statement_about(PROVENANCE, &[Digest::of(b"x").to_hex()]), &image());
    let pretender = Buildkit::new(statement(signature), &image());
    for (finding, code, reason) in [
        (judge(&good, &by_key(false), signature, &good.index), "unsigned-statement", "does not accept"),
        (judge(&good, &by_key(true), PROVENANCE, &good.index), "unsigned-statement", "not signed"),
        (judge(&good, &by_key(true), signature, b"{}"), "unsigned-statement", "not signed"),
        (judge(&elsewhere, &by_key(true), signature, &elsewhere.index), "unsigned-statement", "files it under"),
        (judge(&other, &by_key(true), signature, &other.index), "subject-mismatch", "speaks of"),
        (judge(&pretender, &by_key(true), signature, &pretender.index), "unsigned-statement", "no image signature"),
    ] {
        assert_eq!(finding.code, code, "{finding:?}");
        assert!(finding.message.contains(reason), "{finding:?}");
    }
    // A statement of another index.
    let stranger = Buildkit::new(statement("https://spdx.dev/Document"), &image());
    let index = good.signature(&by_key(true), signature);
    let outcome = by_key(true).verify_under_index(&stranger.evidence()[0], Digest::of(IMAGE), &index, &good.index);
    assert!(outcome.unwrap_err()[0].message.contains("does not list it"));
}

/// A legacy attestation has a promise only; the entry that was fetched has a proof.
#[test]
fn a_fetched_proof_upgrades_a_promise_and_nothing_else() {
    let world = World::new();
    let signed = world.keyless(PROVENANCE);
    let body = signed.dsse_v1();
    let envelope = signed.envelope_bytes();
    let annotations = signed.annotations(Some(world.rekor1.annotation(&Entry::new(body.clone(), T))));
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": media::OCI_MANIFEST,
        "config": {"mediaType": media::OCI_CONFIG, "digest": Digest::of(b"{}"), "size": 2},
        "layers": [{"mediaType": media::DSSE_ENVELOPE, "digest": Digest::of(&envelope), "size": envelope.len(), "annotations": annotations}],
    });
    let manifest = manifest.to_string().into_bytes();
    let parsed = Manifest::parse(&manifest, media::OCI_MANIFEST).unwrap();
    let subject = Digest::of(IMAGE);
    let (items, _) = from_manifest(&subject, &Digest::of(&manifest), &parsed, &|_| Some(&envelope));
    let judge = |document: Option<&Value>| {
        let root = TrustRoot::parse(world.trusted_root().to_string().as_bytes(), TrustSource::None).unwrap();
        let mut rules = Rules::new(identity(IDENTITY, ISSUER));
        rules.require_inclusion_proof = true;
        let mut proofs = LogProofs::default();
        if let Some(document) = document {
            proofs.add(document.to_string().as_bytes()).unwrap();
        }
        let verifier = Verifier::new(root, rules, NOW.parse().unwrap()).unwrap().with_proofs(proofs);
        verifier.verify(&items[0], subject).map(|claim| claim.log_records.clone()).map_err(|findings| findings[0].code)
    };
    let fetched = world.rekor1.log(&Entry::new(body, T));
    let records = judge(Some(&fetched)).unwrap();
    assert!(records[0].has_promise && records[0].has_proof);

    assert_eq!(judge(None).unwrap_err(), "log-evidence-missing");
    // Of another entry: dead weight.
    let other = world.rekor1.log(&Entry::new(world.keyless("x").dsse_v1(), T));
    assert_eq!(judge(Some(&other)).unwrap_err(), "log-evidence-missing");
    // Of the same body at another time: not the same entry.
    let mut later = fetched.clone();
    later["integratedTime"] = json!((T + 1).to_string());
    assert_eq!(judge(Some(&later)).unwrap_err(), "log-evidence-missing");
    // A proof that does not hold is tampering, also when it came along.
    let mut broken = fetched;
    broken["inclusionProof"]["hashes"] = json!([]);
    assert_eq!(judge(Some(&broken)).unwrap_err(), "inclusion-proof-invalid");
}
