//! Envelopes with several signatures, as DSSE allows them and legacy layers may hold
//! them.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{
    super::{
        case::{Case, Stored},
        keys::{Key, sha256},
        log::Entry,
        world::{PROVENANCE, Signed, T, World, statement},
    },
    keyless,
};

pub(super) fn cases(world: &World) -> Vec<Case> {
    let by = |seed: &str| Signed::envelope(&Key::p256(seed), None, statement(PROVENANCE));
    let (asked, other, third) = (by("asked for"), by("another signer"), by("a third signer"));
    // Nobody made it.
    let bad = Signed { signature: asked.signature.iter().rev().copied().collect(), ..by("nobody") };
    let pipeline = world.keyless(PROVENANCE);
    let rules = json!({"key": Key::p256("asked for").pem()});
    let case = |name: &str, signed: &[&Signed], body: Value, outcome| layer(world, name, signed, body, rules.clone(), outcome);
    let many: Vec<_> = std::iter::repeat_n(&other, 16).chain([&asked]).collect();
    let sixteen: Vec<_> = std::iter::repeat_n(&other, 15).chain([&asked]).collect();
    vec![
        case("two-signatures-one-by-the-key", &[&other, &asked], dsse(&[&other, &asked], 2), "attestation"),
        case("two-signatures-of-which-one-is-bad", &[&bad, &asked], intoto(&[&bad, &asked], &asked), "attestation"),
        case("one-signature-stands-there-twice", &[&asked, &asked], dsse(&[&asked, &asked], 2), "attestation"),
        case("sixteen-signatures-the-last-by-the-key", &sixteen, intoto(&sixteen, &asked), "attestation"),
        layer(
            world,
            "two-signatures-one-by-the-certificate",
            &[&other, &pipeline],
            dsse(&[&other, &pipeline], 2),
            keyless(),
            "attestation",
        ),
        case("two-signatures-none-by-the-key", &[&other, &third], dsse(&[&other, &third], 2), "key-mismatch, log-entry-mismatch"),
        case("two-signatures-both-bad", &[&bad, &bad], intoto(&[&bad, &bad], &asked), "signature-invalid"),
        // The log speaks of the other one only.
        case("two-signatures-the-other-is-logged", &[&other, &asked], dsse(&[&other, &asked], 1), "log-entry-mismatch"),
        case("two-signatures-logged-one-stored", &[&asked], dsse_over(&[&asked], &[&asked, &other]), "log-entry-mismatch"),
        case("two-signatures-one-put-in-after-logging", &[&other, &asked], dsse_over(&[&asked], &[&asked]), "log-entry-mismatch"),
        case("seventeen-signatures", &many, intoto(&many, &asked), "evidence-limit-exceeded"),
    ]
}

fn layer(world: &World, name: &str, signed: &[&Signed], body: Value, rules: Value, outcome: &'static str) -> Case {
    // What stands beside it is that of the one with a certificate.
    let vouched = signed.iter().find(|signed| signed.certificate.is_some()).unwrap_or(&signed[0]);
    let stored = Stored::Layer {
        media_type: "application/vnd.dsse.envelope.v1+json",
        annotations: vouched.annotations(Some(world.rekor1.annotation(&Entry::new(body, T)))),
        blob: envelope(signed),
    };
    Case { name: name.to_owned(), stored, root: None, rules, outcome, compared: None }
}

fn envelope(signed: &[&Signed]) -> Vec<u8> {
    let signatures = signed.iter().map(|signed| json!({"keyid": "", "sig": STANDARD.encode(&signed.signature)}));
    let value = json!({
        "payloadType": "application/vnd.in-toto+json",
        "payload": STANDARD.encode(&signed[0].payload),
        "signatures": signatures.collect::<Vec<_>>(),
    });
    value.to_string().into_bytes()
}

/// The entry of the envelope, with the first `logged` of its signatures.
fn dsse(signed: &[&Signed], logged: usize) -> Value {
    dsse_over(signed, &signed[..logged])
}

fn dsse_over(stored: &[&Signed], logged: &[&Signed]) -> Value {
    let signatures = logged.iter().map(
        |signed| json!({"signature": STANDARD.encode(&signed.signature), "verifier": STANDARD.encode(&signed.verifier_pem)}),
    );
    json!({"apiVersion": "0.0.1", "kind": "dsse", "spec": {
        "envelopeHash": {"algorithm": "sha256", "value": hex::encode(sha256(&envelope(stored)))},
        "payloadHash": {"algorithm": "sha256", "value": hex::encode(sha256(&stored[0].payload))},
        "signatures": signatures.collect::<Vec<_>>(),
    }})
}

/// An entry that holds no signature, by the key of one.
fn intoto(stored: &[&Signed], by: &Signed) -> Value {
    let mut body = by.intoto_v001();
    body["spec"]["content"]["hash"]["value"] = json!(hex::encode(sha256(&envelope(stored))));
    body
}
