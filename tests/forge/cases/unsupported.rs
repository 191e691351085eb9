//! Algorithms and versions that carnet does not accept, and evidence above its
//! limits: told apart from what is invalid.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{
    super::{
        case::Case,
        der,
        keys::Key,
        log::Entry,
        world::{IMAGE_SIGNATURE, PROVENANCE, Signed, T, World, statement},
    },
    attestation_layer, bundle, signature_layer,
};

const CHAIN: &str = "dev.sigstore.cosign/chain";
const CERTIFICATE: &str = "dev.sigstore.cosign/certificate";
const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
const TIMESTAMP: &str = "dev.sigstore.cosign/rfc3161timestamp";

pub(super) fn cases(world: &World) -> Vec<Case> {
    let good = world.keyless(PROVENANCE).bundle_v2(world);
    let with = |pointer: &str, new: Value| {
        let mut value = good.clone();
        *value.pointer_mut(pointer).unwrap() = new;
        value
    };
    let entry = "/verificationMaterial/tlogEntries/0/kindVersion";
    let mut cases = vec![
        bundle(
            "bundle-of-version-0.4",
            &with("/mediaType", json!("application/vnd.dev.sigstore.bundle.v0.4+json")),
            "unsupported-bundle-version",
        ),
        bundle("log-entry-of-a-later-version", &later_entry(world), "unsupported-entry-kind"),
        bundle(
            "log-entry-that-calls-itself-another-version",
            &with(entry, json!({"kind": "hashedrekord", "version": "0.0.9"})),
            "log-entry-mismatch",
        ),
    ];
    cases.extend(keys(world));
    cases.extend(limits(world));
    cases
}

fn keys(world: &World) -> Vec<Case> {
    let by = |spki: Vec<u8>| {
        let certificate = world.leaf_spec().sign(&spki, &world.intermediates[0], &[world.ct_log()]);
        let key = Key::p256("signer");
        let signed = Signed::envelope(&key, Some(certificate), statement(PROVENANCE));
        signed.bundle_v2(world)
    };
    let curve = |oid: &str, length: usize| {
        let point = [vec![4], vec![7; 2 * length]].concat();
        der::sequence(&[der::sequence(&[der::oid("1.2.840.10045.2.1"), der::oid(oid)]), der::bits(&point)])
    };
    let ml_dsa = der::sequence(&[der::sequence(&[der::oid("2.16.840.1.101.3.4.3.17")]), der::bits(&[7; 1312])]);
    let key = Key::ed25519("prehashed");
    let certificate = world.issue(&world.leaf_spec(), &key);
    // The signature is not one over the bytes; the log says that it is one over their digest.
    let prehashed = Signed { signature: vec![9; 64], ..Signed::envelope(&key, Some(certificate), statement(PROVENANCE)) };
    let called = |details: &str| {
        let mut body = prehashed.hashedrekord_v2();
        body["spec"]["hashedRekordV002"]["signature"]["verifier"]["keyDetails"] = json!(details);
        body
    };
    let prehashed_bundle = |body: Value| {
        let entry = world.rekor2.log(&Entry::new(body, T));
        prehashed.bundle(&[entry], &[prehashed.stamp(world)])
    };
    vec![
        bundle("certificate-of-a-p521-key", &by(curve("1.3.132.0.35", 66)), "unsupported-algorithm"),
        bundle("certificate-of-a-p224-key", &by(curve("1.3.132.0.33", 28)), "unsupported-algorithm"),
        bundle("certificate-of-an-ml-dsa-key", &by(ml_dsa), "unsupported-algorithm"),
        bundle("ed25519-signature-over-a-digest", &prehashed_bundle(called("PKIX_ED25519_PH")), "unsupported-algorithm"),
        // The algorithm is that of the key, whatever the log calls it.
        bundle("log-entry-names-another-algorithm", &named_otherwise(world), "log-entry-mismatch"),
        // The same signature, called a plain one, is a wrong one.
        bundle("ed25519-signature-that-is-wrong", &prehashed_bundle(called("PKIX_ED25519")), "signature-invalid"),
    ]
}

fn named_otherwise(world: &World) -> Value {
    let signed = world.keyless(PROVENANCE);
    let mut body = signed.hashedrekord_v2();
    body["spec"]["hashedRekordV002"]["signature"]["verifier"]["keyDetails"] = json!("PKIX_RSA_PKCS1V15_2048_SHA256");
    signed.bundle(&[world.rekor2.log(&Entry::new(body, T))], &[signed.stamp(world)])
}

/// More of something than one piece of evidence may have.
fn limits(world: &World) -> Vec<Case> {
    let signed = world.keyless(IMAGE_SIGNATURE);
    let layer = |name: &str| attestation_layer(name, &signed, None, "evidence-limit-exceeded");
    let long = |bytes: usize| STANDARD.encode(vec![7; bytes]);
    let pem = |bytes: usize| super::super::keys::pem("CERTIFICATE", &vec![7; bytes]);
    let key = Key::p256("signer");
    let message = Signed::message(&key, Some(world.issue(&world.leaf_spec(), &key)), super::super::world::simple_signing());
    let many_lines = {
        let witnesses: Vec<_> = (0..33).map(|n| format!("\u{2014} w{n}.example AAAAAAA=\n")).collect();
        let mut value = signed.bundle_v2(world);
        let note = value.pointer_mut("/verificationMaterial/tlogEntries/0/inclusionProof/checkpoint/envelope").unwrap();
        *note = json!(format!("{}{}", note.as_str().unwrap(), witnesses.concat()));
        value
    };
    let mut long_proof = signed.bundle_v2(world);
    long_proof["verificationMaterial"]["tlogEntries"][0]["inclusionProof"]["hashes"] = json!(vec![STANDARD.encode([7; 32]); 65]);
    vec![
        layer("eleven-certificates").with_annotation(CHAIN, pem(1_000).repeat(11)),
        layer("certificate-of-65-kib").with_annotation(CERTIFICATE, pem(65 * 1024)),
        layer("chain-certificate-of-65-kib").with_annotation(CHAIN, pem(65 * 1024)),
        layer("timestamp-of-65-kib").with_annotation(TIMESTAMP, json!({"SignedRFC3161Timestamp": long(65 * 1024)}).to_string()),
        signature_layer("signature-of-9-kib", &message, None, "evidence-limit-exceeded")
            .with_annotation(SIGNATURE, long(9 * 1024)),
        bundle("checkpoint-with-more-than-32-lines", &many_lines, "evidence-limit-exceeded"),
        bundle("proof-with-65-hashes", &long_proof, "evidence-limit-exceeded"),
    ]
}

/// A kind that is known, in a version that is not.
fn later_entry(world: &World) -> Value {
    let signed = world.keyless(PROVENANCE);
    let mut body = signed.hashedrekord_v2();
    body["apiVersion"] = json!("0.0.3");
    signed.bundle(&[world.rekor2.log(&Entry::new(body, T))], &[signed.stamp(world)])
}
