//! What must verify.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{
    super::{
        case::Case,
        certificate::{CtLog, Spec},
        der,
        keys::{Key, sha256},
        log::{Entry, witness_key},
        timestamp::Flaws,
        world::{
            IDENTITY, IMAGE, IMAGE_SIGNATURE, INTERMEDIATE, ISSUER, PROVENANCE, Signed, T, World, simple_signing, statement,
            statement_about,
        },
    },
    attestation_layer, bundle, keyless_without_log, signature_layer,
};

pub(super) fn cases(world: &World) -> Vec<Case> {
    let mut cases = vec![
        bundle("rekor-v2-image-signature", &world.keyless(IMAGE_SIGNATURE).bundle_v2(world), "image-signature"),
        // An attestation is no image signature, whatever cosign's verify says.
        bundle("attestation-alone-is-no-signature", &world.keyless("https://spdx.dev/Document").bundle_v2(world), "attestation"),
        bundle("rekor-v1-promise-and-proof", &world.keyless(PROVENANCE).bundle_v1(world), "attestation"),
        bundle("rekor-v1-proof-and-timestamp", &proof_and_timestamp(world), "attestation"),
        bundle("witnessed-checkpoint", &witnessed(world), "attestation"),
        bundle("witnessed-by-one-that-is-asked-for", &witnessed(world), "attestation").with_rules(json!({
            "identity": {"subject": IDENTITY, "issuer": ISSUER},
            "witnesses": {"threshold": 1, "keys": [witness_key("witness-b.example"), witness_key("witness-c.example")]},
        })),
        bundle("certificate-extension-as-asked", &world.keyless(PROVENANCE).bundle_v2(world), "attestation").with_rules(json!({
            "identity": {"subject": IDENTITY, "issuer": ISSUER}, "extensions": {"14": "refs/heads/main"},
        })),
        bundle("two-timestamp-authorities", &two_authorities(world), "attestation"),
        bundle("second-subject-matches", &second_subject(world), "attestation"),
        bundle("subject-name-that-looks-like-a-path", &path_name(world), "attestation"),
        bundle("two-logs", &two_logs(world), "attestation")
            .with_rules(json!({"identity": {"subject": IDENTITY, "issuer": ISSUER}, "logThreshold": 2})),
    ];
    cases.extend(legacy(world));
    cases.extend(identities(world));
    cases.extend(chains(world));
    cases
}

fn legacy(world: &World) -> Vec<Case> {
    let attestation = world.keyless(PROVENANCE);
    let signature = keyless_message(world);
    let tekton_key = Key::p256("tekton");
    let tekton = Signed::envelope(&tekton_key, None, statement(PROVENANCE));
    let entry = |body: Value| Some(world.rekor1.annotation(&Entry::new(body, T)));
    let token = |over: &[u8]| {
        json!({"SignedRFC3161Timestamp": STANDARD.encode(world.tsa[0].stamp(over, T, &Flaws::default()))}).to_string()
    };
    const TIMESTAMP: &str = "dev.sigstore.cosign/rfc3161timestamp";
    vec![
        signature_layer("repository-as-asked", &signature, entry(signature.hashedrekord_v1()), "image-signature").with_rules(
            json!({
                "identity": {"subject": IDENTITY, "issuer": ISSUER}, "repository": "registry.example/team/app",
            }),
        ),
        signature_layer("legacy-signature", &signature, entry(signature.hashedrekord_v1()), "image-signature"),
        attestation_layer("legacy-attestation-dsse-entry", &attestation, entry(attestation.dsse_v1()), "attestation"),
        attestation_layer("legacy-attestation-intoto-entry", &attestation, entry(attestation.intoto_v001()), "attestation"),
        attestation_layer("tekton-chains-intoto-entry-by-key", &tekton, entry(tekton.intoto_v001()), "attestation")
            .with_rules(json!({"key": tekton_key.pem()})),
        attestation_layer("legacy-attestation-timestamp-over-envelope", &attestation, None, "attestation")
            .with_annotation(TIMESTAMP, token(&attestation.envelope_bytes()))
            .with_rules(keyless_without_log()),
        signature_layer("legacy-signature-timestamp-over-signature", &signature, None, "image-signature")
            .with_annotation(TIMESTAMP, token(&signature.signature))
            .with_rules(keyless_without_log()),
    ]
}

fn keyless_message(world: &World) -> Signed {
    let key = Key::p256("signer");
    let certificate = world.issue(&world.leaf_spec(), &key);
    Signed::message(&key, Some(certificate), simple_signing())
}

fn identities(world: &World) -> Vec<Case> {
    let by = |spec: &Spec| world.keyless_by(spec, statement(PROVENANCE)).bundle_v2(world);
    let plain = || Spec::leaf(INTERMEDIATE, T - 60, T + 540);
    let rules = |subject: &str| json!({"identity": {"subject": subject, "issuer": ISSUER}});
    let username = [der::oid("1.3.6.1.4.1.57264.1.7"), der::context(0, &der::text("alice!example.com"))].concat();
    vec![
        bundle("e-mail-identity", &by(&plain().names(&[(0x81, b"alice@example.com")]).fulcio(8, ISSUER)), "attestation")
            .with_rules(rules("alice@example.com")),
        bundle("username-identity", &by(&plain().names(&[(0xa0, &username)]).fulcio(8, ISSUER)), "attestation")
            .with_rules(rules("alice!example.com")),
        bundle(
            "issuer-in-the-old-extension",
            &by(&plain().names(&[(0x86, IDENTITY.as_bytes())]).fulcio(1, ISSUER)),
            "attestation",
        ),
        bundle("identity-by-patterns", &by(&world.leaf_spec()), "attestation").with_rules(json!({"identity": {
            "subjectRegExp": r"^https://gitlab\.example/team/.+$", "issuerRegExp": r"^https://gitlab\.example$",
        }})),
    ]
}

fn chains(world: &World) -> Vec<Case> {
    let key = Key::p256("signer");
    let with_logs = |logs: &[CtLog<'_>]| {
        let certificate = world.leaf_spec().sign(&key.spki(), &world.intermediates[0], logs);
        Signed::envelope(&key, Some(certificate), statement(PROVENANCE)).bundle_v2(world)
    };
    let extended = CtLog { extensions: vec![0, 0, 5, 0, 0, 0, 0, 7], ..world.ct_log() };
    let later = CtLog { milliseconds: world.ct_log().milliseconds + 1, ..world.ct_log() };
    // The root alone is configured; the intermediate came with the evidence.
    let mut root_only = world.trusted_root();
    for number in 0..2 {
        let chain = &mut root_only["certificateAuthorities"][number]["certChain"]["certificates"];
        chain.as_array_mut().unwrap().remove(0);
    }
    let signed = world.keyless(PROVENANCE);
    let mut carried = signed.bundle_v2(world);
    carried["mediaType"] = json!("application/vnd.dev.sigstore.bundle+json;version=0.2");
    let material = carried["verificationMaterial"].as_object_mut().unwrap();
    material.remove("certificate");
    let chain = [signed.certificate.clone().unwrap(), world.intermediate_certificate(0), world.root_certificate()];
    let chain: Vec<_> = chain.iter().map(|der| json!({"rawBytes": STANDARD.encode(der)})).collect();
    material.insert("x509CertificateChain".to_owned(), json!({"certificates": chain}));
    vec![
        bundle("certificate-timestamp-with-extensions", &with_logs(&[extended]), "attestation"),
        bundle("two-certificate-timestamps-of-one-log", &with_logs(&[world.ct_log(), later]), "attestation"),
        bundle("intermediate-and-root-came-along", &carried, "attestation").with_root(root_only),
    ]
}

fn proof_and_timestamp(world: &World) -> Value {
    let signed = world.keyless(PROVENANCE);
    let entry = Entry { with_promise: false, ..Entry::new(signed.dsse_v1(), T) };
    signed.bundle(&[world.rekor1.log(&entry)], &[signed.stamp(world)])
}

fn witnessed(world: &World) -> Value {
    let signed = world.keyless(PROVENANCE);
    let entry = Entry { witnesses: &["witness-a.example", "witness-b.example"], ..Entry::new(signed.hashedrekord_v2(), T) };
    signed.bundle(&[world.rekor2.log(&entry)], &[signed.stamp(world)])
}

fn two_authorities(world: &World) -> Value {
    let signed = world.keyless(PROVENANCE);
    let second = world.tsa[1].stamp(&signed.signature, T + 5, &Flaws::default());
    signed.bundle(&[world.rekor2.log(&Entry::new(signed.hashedrekord_v2(), T))], &[signed.stamp(world), second])
}

fn second_subject(world: &World) -> Value {
    let digests = [hex::encode(sha256(b"another")), hex::encode(sha256(IMAGE))];
    world.keyless_by(&world.leaf_spec(), statement_about(PROVENANCE, &digests)).bundle_v2(world)
}

fn path_name(world: &World) -> Value {
    let mut value: Value = serde_json::from_slice(&statement(PROVENANCE)).unwrap();
    value["subject"][0]["name"] = json!("../../etc/passwd");
    world.keyless_by(&world.leaf_spec(), value.to_string().into_bytes()).bundle_v2(world)
}

fn two_logs(world: &World) -> Value {
    let signed = world.keyless(PROVENANCE);
    let entries =
        [world.rekor1.log(&Entry::new(signed.dsse_v1(), T)), world.rekor2.log(&Entry::new(signed.hashedrekord_v2(), T))];
    signed.bundle(&entries, &[signed.stamp(world)])
}
