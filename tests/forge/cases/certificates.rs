//! Wrong certificates, chains and certificate timestamps.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{
    super::{
        case::Case,
        certificate::{CtLog, Spec},
        der,
        keys::Key,
        world::{IDENTITY, INTERMEDIATE, ISSUER, PROVENANCE, Signed, T, World, statement},
    },
    bundle,
};

const DAY: i64 = 86_400;

pub(super) fn cases(world: &World) -> Vec<Case> {
    let by = |spec: &Spec| world.keyless_by(spec, statement(PROVENANCE)).bundle_v2(world);
    let plain = || Spec::leaf(INTERMEDIATE, T - 60, T + 540).fulcio(8, ISSUER);
    let good = || world.leaf_spec();
    let name: (u8, &[u8]) = (0x86, IDENTITY.as_bytes());
    let rules = |subject: &str, issuer: &str| json!({"identity": {"subject": subject, "issuer": issuer}});
    let mut cases = vec![
        bundle("two-names", &by(&plain().names(&[name, (0x81, b"a@example.com")])), "certificate-malformed"),
        bundle("no-name", &by(&plain()), "certificate-malformed"),
        bundle("host-name", &by(&plain().names(&[(0x82, b"example.com")])), "certificate-malformed"),
        bundle("issuers-disagree", &by(&plain().names(&[name]).fulcio(1, "https://other.example")), "certificate-malformed"),
        bundle("extension-twice", &by(&good().fulcio(8, ISSUER)), "certificate-malformed"),
        bundle(
            "issuer-with-bytes-behind-it",
            &by(&good().without("1.3.6.1.4.1.57264.1.8").with(
                "1.3.6.1.4.1.57264.1.8",
                false,
                [der::text(ISSUER), vec![0]].concat(),
            )),
            "certificate-malformed",
        ),
        bundle("certificate-is-an-authority", &by(&authority_leaf()), "certificate-chain-untrusted"),
        bundle("certificate-is-not-for-code", &by(&good().without("2.5.29.37")), "certificate-chain-untrusted"),
        bundle(
            "certificate-for-servers",
            &by(&good().without("2.5.29.37").with("2.5.29.37", false, der::sequence(&[der::oid("1.3.6.1.5.5.7.3.1")]))),
            "certificate-chain-untrusted",
        ),
        bundle(
            "certificate-may-not-sign-data",
            &by(&good().without("2.5.29.15").with("2.5.29.15", true, der::element(0x03, &[5, 0x20]))),
            "certificate-chain-untrusted",
        ),
        bundle("unknown-critical-extension", &by(&good().with("1.2.3.4", true, der::null())), "certificate-chain-untrusted"),
        bundle("another-identity", &by(&good()), "identity-mismatch")
            .with_rules(rules("https://gitlab.example/team/other", ISSUER)),
        bundle("another-issuer", &by(&good()), "issuer-mismatch").with_rules(rules(IDENTITY, "https://evil.example")),
        bundle("identity-in-other-letter-case", &by(&good()), "identity-mismatch")
            .with_rules(rules(&IDENTITY.to_uppercase(), ISSUER)),
        bundle("two-half-matching-identities", &by(&good()), "issuer-mismatch").with_rules(json!({"identities": [
            {"subject": IDENTITY, "issuer": "https://evil.example"}, {"subject": "https://other.example", "issuer": ISSUER},
        ]})),
        bundle("certificate-extension-of-another-branch", &by(&good()), "certificate-extension-mismatch")
            .with_rules(json!({"identity": {"subject": IDENTITY, "issuer": ISSUER}, "extensions": {"14": "refs/heads/dev"}})),
        bundle("certificate-extension-absent", &by(&good()), "certificate-extension-mismatch")
            .with_rules(json!({"identity": {"subject": IDENTITY, "issuer": ISSUER}, "extensions": {"13": "abc"}})),
        bundle("certificate-where-a-key-is-asked-for", &by(&good()), "signer-kind-mismatch")
            .with_rules(json!({"key": Key::p256("signer").pem()})),
    ];
    cases.extend(chains(world));
    cases.extend(timestamps(world));
    cases
}

/// A certificate that says of itself that it may issue others.
fn authority_leaf() -> Spec {
    Spec::leaf(INTERMEDIATE, T - 60, T + 540)
        .without("2.5.29.15")
        .with("2.5.29.15", true, der::element(0x03, &[2, 0x84]))
        .with("2.5.29.19", true, der::sequence(&[der::boolean(true)]))
        .names(&[(0x86, IDENTITY.as_bytes())])
        .fulcio(8, ISSUER)
}

fn chains(world: &World) -> Vec<Case> {
    let good = world.keyless(PROVENANCE).bundle_v2(world);
    let authority = |from: i64, to: i64| Spec::authority(INTERMEDIATE, "forge root", from, to, Some(0));
    let with_chain = |chain: &[Vec<u8>]| {
        let mut root = world.trusted_root();
        let certificates: Vec<_> = chain.iter().map(|der| json!({"rawBytes": STANDARD.encode(der)})).collect();
        root["certificateAuthorities"][1]["certChain"]["certificates"] = json!(certificates);
        root
    };
    // CVE-2026-24122: the issuing authority had ended when the leaf was issued.
    let ended = world.intermediate_from(0, &authority(T - 50 * DAY, T - DAY));
    let root_ended =
        Spec::authority("forge root", "forge root", T - 50 * DAY, T - DAY, None).sign(&world.root.spki(), &world.root, &[]);
    let mut closed = world.trusted_root();
    closed["certificateAuthorities"][1]["validFor"]["end"] = json!(jiff::Timestamp::from_second(T - DAY).unwrap().to_string());
    let mut missing = world.trusted_root();
    missing["certificateAuthorities"].as_array_mut().unwrap().remove(1);
    let below = |spec: &Spec| below_intermediate(world, spec);
    let no_sign = Spec::authority("sub", INTERMEDIATE, T - DAY, T + DAY, None).without("2.5.29.15").with(
        "2.5.29.15",
        true,
        der::element(0x03, &[7, 0x80]),
    );
    vec![
        bundle("intermediate-had-ended", &good, "certificate-authority-not-valid-at-signing")
            .with_root(with_chain(&[ended, world.root_certificate()])),
        bundle("root-had-ended", &good, "certificate-authority-not-valid-at-signing")
            .with_root(with_chain(&[world.intermediate_certificate(0), root_ended])),
        bundle("authority-no-longer-trusted", &good, "certificate-authority-not-valid-at-signing").with_root(closed),
        bundle("other-intermediate-of-the-same-name", &good, "certificate-chain-untrusted").with_root(missing),
        bundle("self-made-root", &self_made(world), "certificate-chain-untrusted"),
        bundle(
            "path-longer-than-allowed",
            &below(&Spec::authority("sub", INTERMEDIATE, T - DAY, T + DAY, None)),
            "certificate-chain-untrusted",
        ),
        bundle("issuer-may-not-issue", &below(&no_sign), "certificate-chain-untrusted"),
    ]
}

/// The signer's certificate is issued by one more authority, which came along.
fn below_intermediate(world: &World, spec: &Spec) -> Value {
    let (sub, key) = (Key::p256("sub"), Key::p256("signer"));
    let sub_certificate = spec.sign(&sub.spki(), &world.intermediates[0], &[]);
    let leaf = Spec { issuer: "sub".to_owned(), ..world.leaf_spec() };
    let log = CtLog { issuer_spki: sub.spki(), ..world.ct_log() };
    let certificate = leaf.sign(&key.spki(), &sub, &[log]);
    with_carried(
        world,
        &Signed::envelope(&key, Some(certificate.clone()), statement(PROVENANCE)),
        &[certificate, sub_certificate],
    )
}

/// Everything the attacker's own, under the right names.
fn self_made(world: &World) -> Value {
    let (root, intermediate, key) = (Key::p256("attacker root"), Key::p256("attacker intermediate"), Key::p256("signer"));
    let root_certificate = Spec::authority("forge root", "forge root", T - DAY, T + DAY, None).sign(&root.spki(), &root, &[]);
    let spec = Spec::authority(INTERMEDIATE, "forge root", T - DAY, T + DAY, Some(0));
    let intermediate_certificate = spec.sign(&intermediate.spki(), &root, &[]);
    let log = CtLog { issuer_spki: intermediate.spki(), ..world.ct_log() };
    let certificate = world.leaf_spec().sign(&key.spki(), &intermediate, &[log]);
    let signed = Signed::envelope(&key, Some(certificate.clone()), statement(PROVENANCE));
    with_carried(world, &signed, &[certificate, intermediate_certificate, root_certificate])
}

fn with_carried(world: &World, signed: &Signed, chain: &[Vec<u8>]) -> Value {
    let mut bundle = signed.bundle_v2(world);
    bundle["mediaType"] = json!("application/vnd.dev.sigstore.bundle+json;version=0.2");
    let material = bundle["verificationMaterial"].as_object_mut().unwrap();
    material.remove("certificate");
    let certificates: Vec<_> = chain.iter().map(|der| json!({"rawBytes": STANDARD.encode(der)})).collect();
    material.insert("x509CertificateChain".to_owned(), json!({"certificates": certificates}));
    bundle
}

fn timestamps(world: &World) -> Vec<Case> {
    let key = Key::p256("signer");
    let other = Key::p256("unlisted ct");
    let with = |logs: &[CtLog<'_>]| {
        let certificate = world.leaf_spec().sign(&key.spki(), &world.intermediates[0], logs);
        Signed::envelope(&key, Some(certificate), statement(PROVENANCE)).bundle_v2(world)
    };
    let early = CtLog { milliseconds: u64::try_from(T - 200 * DAY).unwrap() * 1_000, ..world.ct_log() };
    // sigstore-rust#154: the issuer is the one in the path, not one of its name.
    let wrong_issuer = CtLog { issuer_spki: world.intermediates[1].spki(), ..world.ct_log() };
    vec![
        bundle("no-certificate-timestamp", &with(&[]), "sct-missing"),
        bundle("certificate-timestamp-of-an-unlisted-log", &with(&[CtLog { key: &other, ..world.ct_log() }]), "sct-log-unknown"),
        bundle("certificate-timestamp-before-the-log", &with(&[early]), "sct-log-unknown"),
        bundle("certificate-timestamp-for-the-other-intermediate", &with(&[wrong_issuer]), "sct-invalid"),
    ]
}
