//! Wrong transparency-log evidence.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{
    super::{
        case::Case,
        keys::Key,
        log::{Entry, canonical, witness_key},
        world::{IDENTITY, ISSUER, PROVENANCE, Signed, T, World, simple_signing, statement},
    },
    attestation_layer, bundle, signature_layer,
};

const ENTRY: &str = "/verificationMaterial/tlogEntries/0";

pub(super) fn cases(world: &World) -> Vec<Case> {
    let signed = world.keyless(PROVENANCE);
    let (v1, v2) = (signed.bundle_v1(world), signed.bundle_v2(world));
    let with = |bundle: &Value, pointer: &str, value: Value| {
        let mut out = bundle.clone();
        *out.pointer_mut(&format!("{ENTRY}{pointer}")).unwrap() = value;
        out
    };
    let entry = v1.pointer(ENTRY).unwrap().clone();
    let two = json!({"identity": {"subject": IDENTITY, "issuer": ISSUER}, "logThreshold": 2});
    let mut twice = v1.clone();
    twice["verificationMaterial"]["tlogEntries"] = json!([entry, second_entry(world, &signed)]);
    let mut repeated = v1.clone();
    repeated["verificationMaterial"]["tlogEntries"] = json!([entry, entry]);
    let mut many = v1.clone();
    many["verificationMaterial"]["tlogEntries"] = json!(vec![entry.clone(); 33]);
    vec![
        // GHSA-9vcr-p3rj-q5q6: a threshold is met by distinct logs.
        bundle("two-entries-of-one-log", &twice, "no-log-entry").with_rules(two),
        bundle("one-entry-twice", &repeated, "duplicate-log-entry"),
        bundle("33-log-entries", &many, "evidence-limit-exceeded"),
        bundle("promise-over-another-time", &with(&v1, "/integratedTime", json!((T + 60).to_string())), "set-invalid"),
        // A time that no promise covers is nobody's word (sigstore-python#1247).
        bundle("time-without-promise", &time_without_promise(world, &signed), "no-verified-time"),
        bundle("checkpoint-of-another-log", &checkpoint_of_other_log(world, &v1), "checkpoint-invalid"),
        bundle("tree-sizes-disagree", &with(&v2, "/inclusionProof/treeSize", json!("4")), "inclusion-proof-invalid"),
        bundle("indexes-disagree", &with(&v2, "/logIndex", json!("2")), "inclusion-proof-invalid"),
        bundle("proof-at-another-index", &with(&v1, "/inclusionProof/logIndex", json!("0")), "inclusion-proof-invalid"),
        bundle("proof-cut-short", &with(&v2, "/inclusionProof/hashes", json!([])), "inclusion-proof-invalid"),
        bundle("entry-of-an-unlisted-log", &v2, "log-not-trusted").with_root(without_logs(world)),
        bundle("entry-of-a-retired-log", &v2, "log-not-valid-at-time").with_root(retired(world)),
        bundle("promise-without-time-of-a-retired-log", &promise_of_retired(world, &signed), "log-not-valid-at-time")
            .with_root(retired(world)),
        bundle(
            "version-2-entry-without-timestamp",
            &signed.bundle(&[v2.pointer(ENTRY).unwrap().clone()], &[]),
            "no-verified-time",
        ),
        bundle("entry-kind-of-another-sort", &other_kind(world, &signed), "unsupported-entry-kind"),
        bundle("entry-that-points-to-a-url", &url_body(world, &signed), "unsupported-entry-kind"),
        bundle("intoto-0.0.1-entry-in-a-bundle", &intoto_in_bundle(world, &signed), "unsupported-entry-kind"),
        bundle("checkpoint-without-the-witnesses-asked-for", &v2, "checkpoint-not-witnessed").with_rules(json!({
            "identity": {"subject": IDENTITY, "issuer": ISSUER},
            "witnesses": {"threshold": 1, "keys": [witness_key("witness-a.example")]},
        })),
        bundle("one-witness-under-two-names", &one_witness(world, &signed), "checkpoint-not-witnessed").with_rules(json!({
            "identity": {"subject": IDENTITY, "issuer": ISSUER},
            "witnesses": {"threshold": 2, "keys": [witness_key("witness-a.example"), witness_key("witness-b.example")]},
        })),
        bundle("promise-where-a-proof-is-asked-for", &promise_only(world, &signed), "log-evidence-missing, no-verified-time")
            .with_rules(json!({
                "identity": {"subject": IDENTITY, "issuer": ISSUER}, "requireInclusionProof": true,
            })),
        bundle("no-log-entry", &signed.bundle(&[], &[signed.stamp(world)]), "no-log-entry"),
        attestation_layer(
            "intoto-entry-of-another-envelope",
            &signed,
            Some(world.rekor1.annotation(&Entry::new(world.keyless("x").intoto_v001(), T))),
            "log-entry-mismatch",
        ),
        promise_from_the_future(world),
        intoto_by_other_key(world),
        legacy_of_version_2(world),
    ]
}

/// One good cosignature, and the same one again.
fn one_witness(world: &World, signed: &Signed) -> Value {
    let entry = Entry { witnesses: &["witness-a.example", "witness-a.example"], ..Entry::new(signed.hashedrekord_v2(), T) };
    signed.bundle(&[world.rekor2.log(&entry)], &[signed.stamp(world)])
}

/// Version 0.1 may come without a proof.
fn promise_only(world: &World, signed: &Signed) -> Value {
    let entry = Entry { with_proof: false, ..Entry::new(signed.dsse_v1(), T) };
    let mut bundle = signed.bundle(&[world.rekor1.log(&entry)], &[]);
    bundle["mediaType"] = json!("application/vnd.dev.sigstore.bundle+json;version=0.1");
    bundle
}

/// Another index of the same log: the promise is good, the log is the same.
fn second_entry(world: &World, signed: &Signed) -> Value {
    let body = canonical(&signed.dsse_v1());
    json!({
        "logIndex": "77",
        "logId": {"keyId": STANDARD.encode(world.rekor1.id())},
        "kindVersion": {"kind": "dsse", "version": "0.0.1"},
        "integratedTime": T.to_string(),
        "inclusionPromise": {"signedEntryTimestamp": STANDARD.encode(world.rekor1.promise(&body, T, 77))},
        "inclusionProof": world.rekor1.log(&Entry::new(signed.dsse_v1(), T))["inclusionProof"],
        "canonicalizedBody": STANDARD.encode(body),
    })
}

fn time_without_promise(world: &World, signed: &Signed) -> Value {
    let mut entry = world.rekor1.log(&Entry { with_promise: false, ..Entry::new(signed.dsse_v1(), T) });
    entry["integratedTime"] = json!(T.to_string());
    signed.bundle(&[entry], &[])
}

/// A true tree head, signed by a log of the trust root, but not by this one.
fn checkpoint_of_other_log(world: &World, bundle: &Value) -> Value {
    let mut out = bundle.clone();
    let proof = out.pointer_mut(&format!("{ENTRY}/inclusionProof")).unwrap();
    let root: [u8; 32] = STANDARD.decode(proof["rootHash"].as_str().unwrap()).unwrap().try_into().unwrap();
    proof["checkpoint"]["envelope"] = json!(world.rekor2.checkpoint(3, &root));
    out
}

fn without_logs(world: &World) -> Value {
    let mut root = world.trusted_root();
    root["tlogs"].as_array_mut().unwrap().truncate(1);
    root
}

fn retired(world: &World) -> Value {
    let mut root = world.trusted_root();
    let end = jiff::Timestamp::from_second(T - 86_400).unwrap().to_string();
    root["tlogs"][1]["publicKey"]["validFor"]["end"] = json!(end);
    root
}

/// The key of a retired log signs a promise that names no time.
fn promise_of_retired(world: &World, signed: &Signed) -> Value {
    let mut bundle = signed.bundle_v2(world);
    let body = canonical(&signed.hashedrekord_v2());
    let promise = world.rekor2.promise(&body, 0, 1);
    bundle.pointer_mut(ENTRY).unwrap()["inclusionPromise"] = json!({"signedEntryTimestamp": STANDARD.encode(promise)});
    bundle
}

fn other_kind(world: &World, signed: &Signed) -> Value {
    let body = json!({"apiVersion": "0.0.1", "kind": "jar", "spec": {}});
    signed.bundle(&[world.rekor1.log(&Entry::new(body, T))], &[])
}

fn url_body(world: &World, signed: &Signed) -> Value {
    let body = json!({"apiVersion": "0.0.1", "kind": "rekord", "spec": {"data": {"url": "http://169.254.169.254/"}}});
    signed.bundle(&[world.rekor1.log(&Entry::new(body, T))], &[])
}

fn intoto_in_bundle(world: &World, signed: &Signed) -> Value {
    signed.bundle(&[world.rekor1.log(&Entry::new(signed.intoto_v001(), T))], &[])
}

/// Good in itself, but signed after any clock that reads it: the clock is wrong, or
/// the log is.
fn promise_from_the_future(world: &World) -> Case {
    const YEAR_2090: i64 = 3_786_912_000;
    let key = Key::p256("managed");
    let signed = Signed::envelope(&key, None, statement(PROVENANCE));
    let entry = world.rekor1.log(&Entry::new(signed.dsse_v1(), YEAR_2090));
    let case = bundle("promise-from-the-future", &signed.bundle(&[entry], &[]), "host-clock-implausible");
    case.with_rules(json!({"key": key.pem()}))
}

/// The entry names another key than the one that the operator gave.
fn intoto_by_other_key(world: &World) -> Case {
    let (key, other) = (Key::p256("tekton"), Key::p256("other"));
    let signed = Signed::envelope(&key, None, statement(PROVENANCE));
    let mut body = signed.intoto_v001();
    body["spec"]["publicKey"] = json!(STANDARD.encode(other.pem()));
    let entry = world.rekor1.annotation(&Entry::new(body, T));
    let case = attestation_layer("intoto-entry-by-another-key", &signed, Some(entry), "log-entry-mismatch");
    case.with_rules(json!({"key": key.pem()}))
}

/// cosign writes this annotation with a version 2 log: without promise and proof.
fn legacy_of_version_2(world: &World) -> Case {
    let key = Key::p256("signer");
    let signed = Signed::message(&key, Some(world.issue(&world.leaf_spec(), &key)), simple_signing());
    let body = signed.hashedrekord_v2();
    let value = json!({
        "SignedEntryTimestamp": null,
        "Payload": {
            "body": STANDARD.encode(canonical(&body)), "integratedTime": 0, "logIndex": 1, "logID": hex::encode(world.rekor2.id()),
        },
    });
    signature_layer("legacy-annotation-of-a-version-2-log", &signed, Some(value.to_string()), "log-entry-mismatch")
}
