//! Wrong content: what is signed, and its frame.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{
    super::{
        case::{Case, Stored},
        keys::{Key, sha256},
        log::Entry,
        world::{
            IDENTITY, IMAGE, IMAGE_SIGNATURE, ISSUER, PROVENANCE, Signed, T, World, simple_signing, statement, statement_about,
        },
    },
    bundle, signature_layer,
};

pub(super) fn cases(world: &World) -> Vec<Case> {
    let signed_as = |payload: Vec<u8>| world.keyless_by(&world.leaf_spec(), payload).bundle_v2(world);
    let hex = hex::encode(sha256(IMAGE));
    let text = |text: String| signed_as(text.into_bytes());
    let good = String::from_utf8(statement(PROVENANCE)).unwrap();
    let mut cases = vec![
        bundle("signed-payload-is-no-json", &signed_as(b"{\"_type\"".to_vec()), "evidence-malformed"),
        bundle(
            "signed-statement-of-another-type",
            &text(good.replace("Statement/v1", "Statement/v9")),
            "unsupported-statement-type",
        ),
        bundle("statement-without-subject", &signed_as(statement_about(PROVENANCE, &[])), "evidence-malformed"),
        bundle(
            "statement-about-another-image",
            &signed_as(statement_about(PROVENANCE, &[hex::encode(sha256(b"x"))])),
            "subject-mismatch",
        ),
        bundle("subject-bound-by-sha1-only", &text(good.replace("sha256", "sha1")), "subject-mismatch"),
        bundle("subject-digest-in-upper-case", &text(good.replace(&hex, &hex.to_uppercase())), "evidence-malformed"),
        bundle(
            "statement-with-1025-subjects",
            &signed_as(statement_about(PROVENANCE, &vec![hex.clone(); 1025])),
            "evidence-limit-exceeded",
        ),
        // in-toto/specification#74: one signature, two readings.
        bundle(
            "signed-duplicate-key",
            &text(good.replace(r#""predicate":{}"#, r#""predicate":{},"predicate":{"a":1}"#)),
            "ambiguous-json",
        ),
        bundle(
            "signed-duplicate-key-in-the-predicate",
            &text(good.replace(r#""predicate":{}"#, r#""predicate":{"a":1,"a":2}"#)),
            "ambiguous-json",
        ),
        bundle(
            "signed-key-in-another-letter-case",
            &text(good.replace(r#""predicate":{}"#, r#""predicate":{},"Subject":[]"#)),
            "ambiguous-json",
        ),
        bundle(
            "payload-type-of-another-sort",
            &other_payload_type(world),
            "unsupported-statement-type, signature-invalid, log-entry-mismatch",
        ),
        bundle(
            "payload-type-with-a-predicate",
            &signed_payload_type(world, "application/vnd.in-toto.provenance+json"),
            "unsupported-statement-type",
        ),
        bundle(
            "payload-type-with-a-parameter",
            &signed_payload_type(world, "application/vnd.in-toto+json;v=1"),
            "unsupported-statement-type",
        ),
        // Predicate types are compared whole: an attestation of another type never
        // passes for an image signature (CVE-2022-35929).
        bundle(
            "signature-type-with-a-slash-behind",
            &world.keyless("https://sigstore.dev/cosign/sign/v1/").bundle_v2(world),
            "attestation",
        ),
        bundle(
            "signature-type-of-a-later-version",
            &world.keyless("https://sigstore.dev/cosign/sign/v10").bundle_v2(world),
            "attestation",
        ),
        bundle(
            "signature-type-in-upper-case",
            &world.keyless("HTTPS://SIGSTORE.DEV/COSIGN/SIGN/V1").bundle_v2(world),
            "attestation",
        ),
    ];
    cases.extend(signatures(world));
    cases.extend(payloads(world));
    cases
}

/// Parts of two good pieces put together (CVE-2022-36056).
fn signatures(world: &World) -> Vec<Case> {
    let signed = world.keyless(IMAGE_SIGNATURE);
    let other = world.keyless(PROVENANCE);
    let (good, other) = (signed.bundle_v2(world), other.bundle_v2(world));
    let with = |pointer: &str, from: &Value| {
        let mut value = good.clone();
        *value.pointer_mut(pointer).unwrap() = from.pointer(pointer).unwrap().clone();
        value
    };
    let key = Key::p256("someone else");
    let certificate = world.issue(&world.leaf_spec(), &key);
    let foreign = Signed::envelope(&key, Some(certificate), statement(IMAGE_SIGNATURE)).bundle_v2(world);
    let signatures = |list: Value| {
        let mut value = good.clone();
        value["dsseEnvelope"]["signatures"] = list;
        value
    };
    let sig = good["dsseEnvelope"]["signatures"][0].clone();
    vec![
        bundle(
            "signature-of-another-bundle",
            &with("/dsseEnvelope/signatures", &other),
            "signature-invalid, log-entry-mismatch, timestamp-invalid",
        ),
        bundle("payload-of-another-bundle", &with("/dsseEnvelope/payload", &other), "signature-invalid, log-entry-mismatch"),
        bundle("log-entry-of-another-bundle", &with("/verificationMaterial/tlogEntries", &other), "log-entry-mismatch"),
        bundle(
            "certificate-of-another-key",
            &with("/verificationMaterial/certificate", &foreign),
            "signature-invalid, log-entry-mismatch",
        ),
        bundle("no-signature", &signatures(json!([])), "evidence-malformed"),
        bundle("empty-signature", &signatures(json!([{"sig": ""}])), "evidence-malformed"),
        bundle("two-signatures", &signatures(json!([sig, sig])), "evidence-malformed"),
    ]
}

fn payloads(world: &World) -> Vec<Case> {
    let key = Key::p256("signer");
    let signed = |payload: Vec<u8>| {
        let certificate = world.issue(&world.leaf_spec(), &key);
        Signed::message(&key, Some(certificate), payload)
    };
    let entry = |signed: &Signed| Some(world.rekor1.annotation(&Entry::new(signed.hashedrekord_v1(), T)));
    let good = String::from_utf8(simple_signing()).unwrap();
    let case = |name: &str, from: &str, to: &str, outcome| {
        let text = good.replacen(from, to, 1);
        assert_ne!(text, good, "{name}");
        let signed = signed(text.into_bytes());
        signature_layer(name, &signed, entry(&signed), outcome)
    };
    let (first, second) = (signed(simple_signing()), signed(good.replace("null", r#"{"creator":"x"}"#).into_bytes()));
    let hex = hex::encode(sha256(IMAGE));
    vec![
        case("simple-signing-of-another-type", "cosign container", "atomic container", "evidence-malformed"),
        case("simple-signing-of-another-image", &hex, &hex::encode(sha256(b"x")), "subject-mismatch"),
        case("simple-signing-with-an-unknown-member", r#""type""#, r#""extra":1,"type""#, "evidence-malformed"),
        case("simple-signing-with-a-duplicate-key", r#""optional":null"#, r#""optional":null,"optional":{}"#, "ambiguous-json"),
        // CVE-2022-23649: a valid log entry, of another signature by the same key.
        signature_layer("log-entry-of-another-signature", &first, entry(&second), "log-entry-mismatch"),
        no_signature_layer(world),
        signature_layer("signed-for-another-repository", &first, entry(&first), "repository-mismatch")
            .with_rules(json!({"identity": {"subject": IDENTITY, "issuer": ISSUER}, "repository": "registry.example/prod/app"})),
    ]
}

/// An envelope whose list of signatures is empty (GHSA-72c7-4g63-hpw5).
fn no_signature_layer(world: &World) -> Case {
    let signed = world.keyless(PROVENANCE);
    let mut value: Value = serde_json::from_slice(&signed.envelope_bytes()).unwrap();
    value["signatures"] = json!([]);
    let stored = Stored::Layer {
        media_type: "application/vnd.dsse.envelope.v1+json",
        annotations: signed.annotations(None),
        blob: value.to_string().into_bytes(),
    };
    Case {
        name: "legacy-attestation-without-signature".into(),
        stored,
        root: None,
        rules: super::keyless(),
        outcome: "evidence-malformed",
        compared: None,
    }
}

/// A good signature over a payload of this type, logged and stamped.
fn signed_payload_type(world: &World, payload_type: &str) -> Value {
    let key = Key::p256("signer");
    let payload = statement(PROVENANCE);
    let mut message = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    message.extend_from_slice(&payload);
    let signed = Signed { signature: key.sign(&message), ..world.keyless(PROVENANCE) };
    let mut body = signed.hashedrekord_v2();
    body["spec"]["hashedRekordV002"]["data"]["digest"] = json!(STANDARD.encode(sha256(&message)));
    let mut value = signed.bundle(&[world.rekor2.log(&Entry::new(body, T))], &[signed.stamp(world)]);
    value["dsseEnvelope"]["payloadType"] = json!(payload_type);
    value
}

fn other_payload_type(world: &World) -> Value {
    let mut value = world.keyless(PROVENANCE).bundle_v2(world);
    value["dsseEnvelope"]["payloadType"] = json!("text/plain");
    value
}
