//! Wrong timestamps.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{
    super::{
        case::Case,
        certificate::Spec,
        keys::Key,
        log::Entry,
        timestamp::{Authority, Flaws},
        world::{IDENTITY, ISSUER, PROVENANCE, Signed, T, World, statement},
    },
    attestation_layer, bundle, keyless_without_log,
};

pub(super) fn cases(world: &World) -> Vec<Case> {
    let signed = world.keyless(PROVENANCE);
    let stamped = |time: i64, flaws: &Flaws| with_tokens(world, &signed, &[world.tsa[0].stamp(&signed.signature, time, flaws)]);
    let second = |time: i64| world.tsa[1].stamp(&signed.signature, time, &Flaws::default());
    let attacker = Key::p256("attacker");
    let name = "tsa0.example root";
    let first_certificate = Some(Spec::authority(name, name, T - 1, T + 1, None).sign(&attacker.spki(), &attacker, &[]));
    let other = Authority::new("unlisted.example", T - 86_400, T + 86_400, "1.3.6.1.5.5.7.3.8");
    let many = vec![signed.stamp(world); 33];
    vec![
        bundle(
            "timestamp-over-other-bytes",
            &with_tokens(world, &signed, &[world.tsa[0].stamp(b"x", T, &Flaws::default())]),
            "timestamp-invalid",
        ),
        // CVE-2026-39984: the first certificate of the token chose whom to trust.
        bundle(
            "attacker-signs-and-comes-first",
            &stamped(T, &Flaws { first_certificate, key_seed: Some("attacker"), ..Flaws::default() }),
            "timestamp-invalid",
        ),
        bundle(
            "timestamp-names-another-certificate",
            &stamped(T, &Flaws { certificate_id: Some(b"x".to_vec()), ..Flaws::default() }),
            "timestamp-invalid",
        ),
        bundle(
            "timestamp-over-another-digest",
            &stamped(T, &Flaws { digest_of_other: true, ..Flaws::default() }),
            "timestamp-invalid",
        ),
        bundle("timestamp-not-granted", &stamped(T, &Flaws { rejected: true, ..Flaws::default() }), "timestamp-invalid"),
        bundle(
            "timestamp-of-an-unlisted-authority",
            &with_tokens(world, &signed, &[other.stamp(&signed.signature, T, &Flaws::default())]),
            "timestamp-not-trusted, no-verified-time",
        ),
        bundle("timestamp-after-the-certificate", &stamped(T + 3_600, &Flaws::default()), "certificate-expired-at-signing"),
        bundle("timestamp-before-the-certificate", &stamped(T - 3_600, &Flaws::default()), "certificate-expired-at-signing"),
        bundle(
            "timestamp-before-the-authority",
            &stamped(T - 200 * 86_400, &Flaws::default()),
            "timestamp-outside-validity, no-verified-time",
        ),
        // TOB-SIGSTORE: one good time must not hide another one.
        bundle(
            "two-authorities-one-back-dated",
            &with_tokens(world, &signed, &[signed.stamp(world), second(T - 3_600)]),
            "certificate-expired-at-signing",
        ),
        one_key_under_two_names(world, &signed),
        bundle(
            "two-authorities-where-two-times-are-asked-for",
            &with_tokens(world, &signed, &[signed.stamp(world), second(T + 5)]),
            "attestation",
        )
        .with_rules(two_times()),
        bundle("33-timestamps", &with_tokens(world, &signed, &many), "evidence-limit-exceeded"),
        bundle("authority-is-not-for-timestamps", &wrong_usage(world, &signed), "timestamp-invalid")
            .with_root(wrong_usage_root(world)),
        bundle("no-time-at-all", &signed.bundle(&[], &[]), "no-verified-time").with_rules(keyless_without_log()),
        bundle("time-of-a-source-that-does-not-count", &signed.bundle_v2(world), "no-verified-time").with_rules(json!({
            "identity": {"subject": IDENTITY, "issuer": ISSUER}, "timeSources": ["log"],
        })),
        legacy_over_signature(world),
        key_after_its_window(world),
        key_without_time(),
    ]
}

fn two_times() -> Value {
    json!({"identity": {"subject": IDENTITY, "issuer": ISSUER}, "timeThreshold": 2})
}

/// Times are counted by the key that signed them, not by what it is called.
fn one_key_under_two_names(world: &World, signed: &Signed) -> Case {
    let [first, _] = &world.tsa;
    let twin = Authority::with_key("tsa3.example", Key::p256(first.name), T - 86_400, T + 86_400, "1.3.6.1.5.5.7.3.8");
    let mut root = world.trusted_root();
    let certificates: Vec<_> = [&twin.leaf, &twin.root].map(|der| json!({"rawBytes": STANDARD.encode(der)})).into();
    root["timestampAuthorities"][1]["uri"] = json!("https://tsa3.example");
    root["timestampAuthorities"][1]["certChain"]["certificates"] = json!(certificates);
    let tokens = [signed.stamp(world), twin.stamp(&signed.signature, T + 5, &Flaws::default())];
    bundle("two-times-of-one-key-under-two-names", &with_tokens(world, signed, &tokens), "no-verified-time")
        .with_root(root)
        .with_rules(two_times())
}

fn with_tokens(world: &World, signed: &Signed, tokens: &[Vec<u8>]) -> Value {
    signed.bundle(&[world.rekor2.log(&Entry::new(signed.hashedrekord_v2(), T))], tokens)
}

fn authority_for_servers() -> Authority {
    Authority::new("tsa2.example", T - 86_400, T + 86_400, "1.3.6.1.5.5.7.3.1")
}

fn wrong_usage(world: &World, signed: &Signed) -> Value {
    with_tokens(world, signed, &[authority_for_servers().stamp(&signed.signature, T, &Flaws::default())])
}

fn wrong_usage_root(world: &World) -> Value {
    let authority = authority_for_servers();
    let mut root = world.trusted_root();
    let certificates: Vec<_> = [&authority.leaf, &authority.root].map(|der| json!({"rawBytes": STANDARD.encode(der)})).into();
    root["timestampAuthorities"][0]["certChain"]["certificates"] = json!(certificates);
    root
}

/// Of a legacy attestation the whole envelope is stamped, not the signature.
fn legacy_over_signature(world: &World) -> Case {
    let signed = world.keyless(PROVENANCE);
    let token = json!({"SignedRFC3161Timestamp": STANDARD.encode(signed.stamp(world))}).to_string();
    attestation_layer("legacy-attestation-timestamp-over-signature", &signed, None, "timestamp-invalid")
        .with_annotation("dev.sigstore.cosign/rfc3161timestamp", token)
        .with_rules(keyless_without_log())
}

/// GHSA-wqqc-jjcq-vfxm: a key counts for its window, at the signed time.
fn key_after_its_window(world: &World) -> Case {
    let key = Key::p256("managed");
    let signed = Signed::envelope(&key, None, statement(PROVENANCE));
    let end = jiff::Timestamp::from_second(T - 60).unwrap().to_string();
    bundle("key-after-its-window", &signed.bundle_v2(world), "key-not-valid-at-signing")
        .with_rules(json!({"key": key.pem(), "keyEnd": end}))
}

fn key_without_time() -> Case {
    let key = Key::p256("managed");
    let signed = Signed::envelope(&key, None, statement(PROVENANCE));
    let end = jiff::Timestamp::from_second(T + 60).unwrap().to_string();
    bundle("key-with-a-window-and-no-time", &signed.bundle(&[], &[]), "key-not-valid-at-signing")
        .with_rules(json!({"key": key.pem(), "keyEnd": end, "ignoreRekor": true}))
}
