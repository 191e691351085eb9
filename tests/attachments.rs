//! Attachments: what is added to a bundle later, who vouches for it then, and what
//! does not count.

#![allow(clippy::unwrap_used, clippy::panic, clippy::as_conversions, reason = "a test may panic")]

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use carnet_bundle::{Attachment, Digest, json};
use serde_json::{Value, json};

#[allow(dead_code, reason = "a part of the forge is used")]
#[path = "forge/certificate.rs"]
mod certificate;
#[allow(dead_code, reason = "a part of the forge is used")]
#[path = "forge/der.rs"]
mod der;
#[allow(dead_code, reason = "a part of the forge is used")]
#[path = "forge/keys.rs"]
mod keys;
#[allow(dead_code, reason = "a part of the forge is used")]
#[path = "forge/log.rs"]
mod log;
#[path = "attachments/stage.rs"]
mod stage;
#[allow(dead_code, reason = "a part of the forge is used")]
#[path = "forge/timestamp.rs"]
mod timestamp;
#[allow(dead_code, reason = "a part of the forge is used")]
#[path = "forge/world.rs"]
mod world;

use keys::Key;
use stage::{Stage, carnet, envelope, members, opened, said, signature, statement, tar, testdata};
use world::{IDENTITY, IMAGE_SIGNATURE, ISSUER, T, World};

const SUMMARY: &str = "https://slsa.dev/verification_summary/v1";
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const TIMESTAMP: &str = "application/vnd.carnet.timestamp.v0";
const MIB: usize = 1024 * 1024;

fn exporter() -> Key {
    Key::p256("exporter")
}

/// As text, which begins with hyphens.
fn named(key: &Key) -> String {
    format!("--exporter-key={}", key.pem())
}

/// The flags of an operator who asks no log and names that key.
fn by_key(key: &Key) -> Vec<String> {
    vec!["--ignore-rekor".to_owned(), named(key)]
}

fn words<'a>(flags: &'a [String], more: &[&'a str]) -> Vec<&'a str> {
    flags.iter().map(String::as_str).chain(more.iter().copied()).collect()
}

#[test]
fn an_attachment_changes_neither_the_id_nor_another_member() {
    let stage = Stage::new();
    fs::set_permissions(&stage.archive, fs::Permissions::from_mode(0o640)).unwrap();
    let before = fs::read(&stage.archive).unwrap();
    let file = stage.file("exporter.json", signature(&exporter(), &stage.index()));
    stage.attached(&file);

    let after = fs::read(&stage.archive).unwrap();
    assert_eq!(opened(&stage.archive).id(), stage.id);
    assert_eq!(fs::metadata(&stage.archive).unwrap().permissions().mode() & 0o777, 0o640);
    let (old, new) = (members(&before), members(&after));
    assert_eq!(new.len(), old.len() + 2);
    assert!(old.iter().filter(|(name, _)| name != "index.json").all(|member| new.contains(member)));
    let left: Vec<_> = fs::read_dir(stage.path("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");

    // The same once more is the same archive; without it, the archive is the old one.
    stage.attached(&file);
    assert_eq!(fs::read(&stage.archive).unwrap(), after);
    assert_eq!(stage.with(&[]), before);
    let verdict = stage.judge(&["--ignore-rekor"]);
    assert_eq!((verdict.status, verdict.codes("failure")), (0, vec![]), "{}", verdict.said);
    assert_eq!(verdict.vouched_by(), ["", ""]);
    assert!(verdict.codes("note").contains(&"attachment-not-judged"));
}

#[test]
fn the_exporter_vouches_in_every_report() {
    let stage = Stage::new();
    let flags = by_key(&exporter());
    let strict = words(&flags, &["--no-assumptions"]);
    let verdict = stage.judge(&strict);
    let failures = vec!["assumption-not-vouched", "exporter-not-verified"];
    assert_eq!((verdict.status, verdict.codes("failure")), (1, failures), "{}", verdict.said);

    stage.attached(&stage.file("exporter.json", signature(&exporter(), &stage.index())));
    let verdict = stage.judge(&strict);
    assert_eq!((verdict.status, verdict.codes("failure")), (0, vec![]), "{}", verdict.said);
    let who = format!("public key {}", Digest::of(&exporter().spki()));
    assert!(verdict.vouched_by().iter().all(|by| by.contains(&who)), "{:?}", verdict.vouched_by());
    for form in [
        "text",
        "json",
        "yaml",
        "appstudio",
        "summary",
        "summary-markdown",
        "junit",
        "sarif",
        "vsa",
        "slsa-vsa",
        "html",
        "proof",
        "attestation",
        "policy-input",
    ] {
        assert!(stage.report(form, &strict).contains(&who), "{form}: {}", stage.report(form, &strict));
    }
}

#[test]
fn another_key_vouches_for_nothing() {
    let stage = Stage::new();
    stage.attached(&stage.file("other.json", signature(&Key::p256("other"), &stage.index())));
    let flags = by_key(&exporter());
    let verdict = stage.judge(&words(&flags, &["--no-assumptions"]));
    assert_eq!((verdict.status, verdict.codes("failure")), (1, vec!["assumption-not-vouched", "exporter-not-verified"]));
    assert_eq!(verdict.codes("warning"), ["key-mismatch"]);
    // Whoever is named has to have said something.
    let verdict = stage.judge(&words(&flags, &[]));
    assert_eq!((verdict.status, verdict.codes("failure")), (1, vec!["exporter-not-verified"]));
}

/// A signature that asks for a log is not taken without one.
#[test]
fn an_exporter_is_held_to_the_rules_of_evidence() {
    let stage = Stage::new();
    stage.attached(&stage.file("exporter.json", signature(&exporter(), &stage.index())));
    let policy = |keys: &[&str]| {
        let terms: Vec<_> = keys.iter().map(|key| json!({"digest": key, "logThreshold": 0})).collect();
        json!({"apiVersion": "carnet/v0", "kind": "TrustPolicy", "keys": terms}).to_string()
    };
    let (demo, own) = (demo(), Digest::of(&exporter().spki()).to_string());
    let named = named(&exporter());
    for (keys, status, warnings) in [(&[demo.as_str(), own.as_str()][..], 0, &[][..]), (&[demo.as_str()], 1, &["no-log-entry"])] {
        let policy = stage.file("trust-policy.json", policy(keys));
        let verdict = stage.judge(&["--trust-policy", &policy, &named, "--no-assumptions"]);
        assert_eq!((verdict.status, verdict.codes("warning")), (status, warnings.to_vec()), "{}", verdict.said);
    }
}

/// The digest of the key of the images.
fn demo() -> String {
    use base64::Engine as _;
    let pem = fs::read_to_string(testdata("trust/local-sigstore/demo.pub")).unwrap();
    let text: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    Digest::of(&base64::engine::general_purpose::STANDARD.decode(text).unwrap()).to_string()
}

#[test]
fn an_identity_vouches_when_it_is_the_one_that_is_named() {
    let (stage, world) = (Stage::new(), World::new());
    let payload = statement(&stage.id, IMAGE_SIGNATURE, &json!({}));
    let signed = world.keyless_by(&world.leaf_spec(), payload).bundle_v2(&world);
    stage.attached(&stage.file("exporter.json", signed.to_string()));
    let root = stage.file("trusted_root.json", world.trusted_root().to_string());
    let terms = json!([{"digest": demo(), "logThreshold": 0}]);
    let policy = json!({"apiVersion": "carnet/v0", "kind": "TrustPolicy", "keys": terms}).to_string();
    let policy = stage.file("trust-policy.json", policy);
    let judged = |identity: &str, issuer: &str| {
        let trust = ["--trusted-root", &root, "--trust-policy", &policy, "--no-assumptions"];
        let who = ["--exporter-identity", identity, "--exporter-issuer", issuer];
        stage.judge(&[&trust[..], &who[..]].concat())
    };
    let verdict = judged(IDENTITY, ISSUER);
    assert_eq!((verdict.status, verdict.codes("failure")), (0, vec![]), "{}", verdict.said);
    assert!(verdict.vouched_by().iter().all(|by| by.contains(IDENTITY) && by.contains("--exporter-identity")));
    for half in [["--exporter-identity", IDENTITY], ["--exporter-issuer", ISSUER]] {
        let verdict = stage.judge(&half);
        assert!(verdict.status == 2 && verdict.said.contains("must be provided"), "{}", verdict.said);
    }
    for (identity, issuer, code) in
        [("https://evil.example/", ISSUER, "identity-mismatch"), (IDENTITY, "https://evil.example", "issuer-mismatch")]
    {
        let verdict = judged(identity, issuer);
        assert_eq!((verdict.status, verdict.codes("failure")), (1, vec!["assumption-not-vouched", "exporter-not-verified"]));
        assert_eq!(verdict.codes("warning"), [code, "trust-root-aged"], "{}", verdict.said);
    }
}

/// The compiled-in root is no stand-in for a pinned one that is not there.
#[test]
fn an_identity_is_not_judged_by_another_root_than_the_pinned_one() {
    let stage = Stage::new();
    let (pin, terms) = (Digest::of(b"another root"), json!([{"digest": demo(), "logThreshold": 0}]));
    let policy = json!({"apiVersion": "carnet/v0", "kind": "TrustPolicy", "trustRoot": {"digest": pin}, "keys": terms});
    let policy = stage.file("trust-policy.json", policy.to_string());
    let who = ["--exporter-identity", IDENTITY, "--exporter-issuer", ISSUER];
    assert_eq!(stage.judge(&["--trust-policy", &policy]).status, 0);
    let verdict = stage.judge(&[&["--trust-policy", &policy][..], &who[..]].concat());
    assert_eq!(verdict.status, 2, "{}", verdict.said);
    assert!(verdict.said.contains("trust root mismatch"), "{}", verdict.said);
}

#[test]
fn what_an_exporter_says_otherwise_is_no_promise() {
    for (predicate_type, predicate, vouches) in [
        (IMAGE_SIGNATURE, json!({}), true),
        (SUMMARY, json!({"verificationResult": "PASSED"}), true),
        (SUMMARY, json!({"verificationResult": "FAILED"}), false),
        (SUMMARY, json!({}), false),
        ("https://spdx.dev/Document", json!({"verificationResult": "PASSED"}), false),
    ] {
        let stage = Stage::new();
        let signed = envelope(&exporter(), &statement(&stage.id, predicate_type, &predicate));
        stage.attached(&stage.file("statement.json", signed));
        let flags = by_key(&exporter());
        let verdict = stage.judge(&words(&flags, &["--no-assumptions"]));
        assert_eq!(verdict.status, i32::from(!vouches), "{predicate_type} {predicate}: {}", verdict.said);
        let message = verdict.message("attachment-verified");
        assert_eq!(message.contains("vouches for nothing"), !vouches, "{message}");
    }
}

#[test]
fn detached_says_the_same_as_attached() {
    let stage = Stage::new();
    let before = fs::read(&stage.archive).unwrap();
    let file = stage.file("exporter.json", signature(&exporter(), &stage.index()));
    let beside = stage.path("exporter.attachment.tar").display().to_string();
    let output = stage.attach(&file, &["--detached", &beside]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(fs::read(&stage.archive).unwrap(), before);

    let flags = by_key(&exporter());
    let detached = words(&flags, &["--no-assumptions", "--attachment", &beside]);
    let verdict = stage.judge(&detached);
    assert_eq!(verdict.status, 0, "{}", verdict.said);
    assert!(verdict.message("attachment-verified").contains(&beside));

    // A detached attachment can be attached; both together are one.
    stage.attached(&beside);
    let attached = fs::read(&stage.archive).unwrap();
    let verdict = stage.judge(&detached);
    assert_eq!(verdict.status, 0, "{}", verdict.said);
    assert!(verdict.message("attachment-verified").contains("in the archive"));
    fs::write(&stage.archive, &before).unwrap();
    stage.attached(&file);
    assert_eq!(fs::read(&stage.archive).unwrap(), attached);
}

/// Every byte of a detached attachment counts, and so does whose it is.
#[test]
fn a_detached_attachment_has_one_form() {
    let stage = Stage::new();
    let payload = signature(&exporter(), &stage.index());
    let attachment = Attachment::new(&stage.bundle().descriptor(), payload).unwrap();
    let bytes = attachment.to_detached().unwrap();
    let all = members(&bytes);
    let mut wrong = Vec::new();
    for at in 0..all.len() {
        let mut flipped = all.clone();
        flipped[at].1[0] ^= 1;
        let mut removed = all.clone();
        removed.remove(at);
        let mut swapped = all.clone();
        swapped.swap(at, (at + 1) % all.len());
        wrong.extend([tar(&flipped), tar(&removed), tar(&swapped)]);
    }
    let mut more = all.clone();
    more.push(all[2].clone());
    wrong.extend([tar(&more), bytes[..bytes.len() - 512].to_vec(), Vec::new(), fs::read(&stage.archive).unwrap()]);
    let flags = by_key(&exporter());
    for (at, bytes) in wrong.into_iter().enumerate() {
        let file = stage.file("wrong.tar", bytes);
        let verdict = stage.judge(&words(&flags, &["--attachment", &file]));
        let failures = vec!["attachment-malformed", "exporter-not-verified"];
        assert_eq!((verdict.status, verdict.codes("failure")), (1, failures), "{at}: {}", verdict.said);
        assert_eq!(verdict.vouched_by(), ["", ""], "{at}");
    }
    let missing = stage.judge(&words(&flags, &["--attachment", "missing.tar"]));
    assert_eq!(missing.status, 2);
}

#[test]
fn attachments_of_another_archive_are_refused() {
    let (stage, other) = (Stage::new(), Stage::of("key-legacy"));
    assert_ne!(stage.id, other.id);
    let theirs = signature(&exporter(), &other.index());
    let before = fs::read(&stage.archive).unwrap();
    let refuse = |file: &str| {
        let output = stage.attach(file, &[]);
        assert_eq!(output.status.code(), Some(2));
        assert!(said(&output).contains("attachment-subject-mismatch"), "{}", said(&output));
        assert_eq!(fs::read(&stage.archive).unwrap(), before);
    };
    refuse(&stage.file("theirs.json", &theirs));
    refuse(&stage.file("statement.json", envelope(&exporter(), &statement(&other.id, SUMMARY, &json!({})))));
    let attachment = Attachment::new(&other.bundle().descriptor(), theirs.clone()).unwrap();
    let detached = stage.file("theirs.tar", attachment.to_detached().unwrap());
    refuse(&detached);

    let flags = by_key(&exporter());
    let verdict = stage.judge(&words(&flags, &["--attachment", &detached]));
    assert_eq!((verdict.status, verdict.codes("failure")), (1, vec!["attachment-subject-mismatch", "exporter-not-verified"]));
    // In the archive itself, as its carrier could put it there.
    let verdict = stage.judge_bytes(&stage.with(&[attachment]), &words(&flags, &[]));
    assert_eq!(verdict.status, 1);
    assert!(verdict.codes("failure").contains(&"attachment-subject-mismatch"), "{:?}", verdict.codes("failure"));
    assert_eq!(verdict.vouched_by(), ["", ""]);
    // The right subject around a signature over another bundle.
    let dressed = Attachment::new(&stage.bundle().descriptor(), theirs).unwrap();
    let verdict = stage.judge_bytes(&stage.with(&[dressed]), &words(&flags, &["--no-assumptions"]));
    assert_eq!((verdict.status, verdict.codes("failure")), (1, vec!["assumption-not-vouched", "exporter-not-verified"]));
    assert_eq!(verdict.codes("warning"), ["attachment-subject-mismatch"]);
}

#[test]
fn a_changed_attachment_fails() {
    let stage = Stage::new();
    let before = members(&fs::read(&stage.archive).unwrap());
    stage.attached(&stage.file("exporter.json", signature(&exporter(), &stage.index())));
    let after = members(&fs::read(&stage.archive).unwrap());
    let flags = by_key(&exporter());
    for at in (0..after.len()).filter(|at| !before.contains(&after[*at])) {
        let blob = after[at].0.starts_with("blobs/");
        for byte in [0, after[at].1.len() / 2, after[at].1.len() - 1] {
            let mut changed = after.clone();
            changed[at].1[byte] ^= 1;
            let verdict = stage.judge_bytes(&tar(&changed), &words(&flags, &[]));
            let codes = verdict.codes("failure");
            assert!(verdict.status == if blob { 1 } else { verdict.status.max(1) }, "{at} {byte}: {}", verdict.said);
            assert!(!blob || codes.contains(&"blob-digest-mismatch"), "{at} {byte}: {codes:?}");
        }
        if blob {
            let mut removed = after.clone();
            removed.remove(at);
            let verdict = stage.judge_bytes(&tar(&removed), &words(&flags, &[]));
            assert!(verdict.status == 1 && verdict.codes("failure").contains(&"member-missing"), "{at}");
        }
    }
}

#[test]
fn only_the_one_form_is_an_attachment() {
    let stage = Stage::new();
    let payload = signature(&exporter(), &stage.index());
    let good = Attachment::new(&stage.bundle().descriptor(), payload.clone()).unwrap();
    let all = members(&good.to_detached().unwrap());
    let (manifest, empty) = (&all[2].1, all[3].1.clone());
    let flags = by_key(&exporter());
    type Change<'a> = &'a dyn Fn(&mut Value);
    let edit = |kind: &str, change: Change<'_>| {
        let mut value: Value = serde_json::from_slice(manifest).unwrap();
        change(&mut value);
        let bytes = json::canonical(&value).unwrap();
        stage.judge_bytes(&stage.forged(&[(kind.to_owned(), bytes)], std::slice::from_ref(&payload)), &words(&flags, &[]))
    };
    assert!(!edit(BUNDLE, &|_| {}).codes("failure").contains(&"attachment-malformed"), "the good one is refused");
    let sbom = "application/spdx+json";
    let wrong: &[(&str, &str, Change<'_>, &str)] = &[
        ("unlisted type", sbom, &|m| m["artifactType"] = json!(sbom), "attachment-malformed"),
        ("two types", TIMESTAMP, &|_| {}, "attachment-malformed"),
        ("no subject", BUNDLE, &|m| drop(m.as_object_mut().unwrap().remove("subject")), "attachment-malformed"),
        ("size of the subject", BUNDLE, &|m| m["subject"]["size"] = json!(1), "attachment-malformed"),
        ("no layer", BUNDLE, &|m| m["layers"] = json!([]), "attachment-malformed"),
        ("two layers", BUNDLE, &|m| m["layers"] = json!([m["layers"][0], m["layers"][0]]), "attachment-malformed"),
        ("layer type", BUNDLE, &|m| m["layers"][0]["mediaType"] = json!(sbom), "attachment-malformed"),
        ("config", BUNDLE, &|m| m["config"]["digest"] = m["layers"][0]["digest"].clone(), "attachment-malformed"),
        ("other subject", BUNDLE, &|m| m["subject"]["digest"] = m["config"]["digest"].clone(), "attachment-subject-mismatch"),
        ("too large", BUNDLE, &|m| m["layers"][0]["size"] = json!(17 * MIB), "attachment-limit-exceeded"),
    ];
    for (name, kind, change, code) in wrong {
        let verdict = edit(kind, *change);
        assert_eq!(verdict.status, 1, "{name}: {}", verdict.said);
        assert!(verdict.codes("failure").contains(code), "{name}: {:?}", verdict.codes("failure"));
        assert_eq!(verdict.vouched_by(), ["", ""], "{name}");
    }
    assert_eq!(empty, b"{}");
}

#[test]
fn at_most_64_attachments_of_16_mib_travel() {
    let stage = Stage::new();
    let subject = stage.bundle().descriptor();
    let sized = |length: usize| {
        let mut payload = envelope(&exporter(), &statement(&stage.id, SUMMARY, &json!({})));
        payload.resize(length, b' ');
        payload
    };
    let make = |length: usize| Attachment::new(&subject, sized(length)).unwrap();
    let many: Vec<_> = (0..64).map(|more| make(2_000 + more)).collect();
    let full = stage.with(&many);
    fs::write(&stage.archive, &full).unwrap();
    assert_eq!(stage.judge(&["--ignore-rekor"]).codes("failure"), Vec::<&str>::new());
    let output = stage.attach(&stage.file("one-more.json", sized(3_000)), &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("attachment-limit-exceeded"), "{}", said(&output));
    assert_eq!(fs::read(&stage.archive).unwrap(), full);

    let all = members(&make(3_000).to_detached().unwrap());
    let mut more = stage.forged(&[("application/vnd.in-toto+json".to_owned(), all[2].1.clone())], &[all[4].1.clone()]);
    let verdict = stage.judge_bytes(&more, &["--ignore-rekor"]);
    assert_eq!(verdict.status, 1);
    assert!(verdict.codes("failure").contains(&"attachment-limit-exceeded"), "{:?}", verdict.codes("failure"));

    let stage = Stage::new();
    let large = stage.file("large.json", sized(17 * MIB));
    for flags in [&[][..], &["--detached", "never.tar"]] {
        let output = stage.attach(&large, flags);
        assert_eq!(output.status.code(), Some(2));
        assert!(said(&output).contains("attachment-limit-exceeded"), "{}", said(&output));
    }
    more = make(16 * MIB).to_detached().unwrap();
    let output = stage.attach(&stage.file("as-large-as-may-be.tar", more), &[]);
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn a_timestamp_is_over_the_bundle_and_vouches_for_nothing() {
    let (stage, world) = (Stage::new(), World::new());
    let stamp = |message: &[u8]| world.tsa[0].stamp(message, T, &timestamp::Flaws::default());
    let output = stage.attach(&stage.file("other.tsr", stamp(b"another message")), &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("attachment-subject-mismatch"), "{}", said(&output));

    stage.attached(&stage.file("bundle.tsr", stamp(&stage.index())));
    let flags = by_key(&exporter());
    let root = stage.file("trusted_root.json", world.trusted_root().to_string());
    for (trust, code) in [(&[][..], "bundle-timestamp-not-trusted"), (&["--trusted-root", &root], "bundle-timestamp-verified")] {
        let verdict = stage.judge(&words(&flags, &[&["--no-assumptions"], trust].concat()));
        assert_eq!((verdict.status, verdict.codes("failure")), (1, vec!["assumption-not-vouched", "exporter-not-verified"]));
        assert!(verdict.message(code).contains("RFC 3161 timestamp"), "{}", verdict.said);
    }
}

#[test]
fn a_pinned_id_vouches_for_that_bundle_alone() {
    let stage = Stage::new();
    let id = stage.id.to_string();
    let verdict = stage.judge(&["--ignore-rekor", "--no-assumptions", "--bundle-id", &id]);
    assert_eq!((verdict.status, verdict.vouched_by()), (0, vec![format!("--bundle-id {id}").as_str(); 2]));
    let other = Digest::of(b"another bundle").to_string();
    let verdict = stage.judge(&["--ignore-rekor", "--no-assumptions", "--bundle-id", &other]);
    assert_eq!((verdict.status, verdict.vouched_by()), (1, vec!["", ""]));
    assert_eq!(verdict.codes("failure"), ["assumption-not-vouched", "bundle-id-mismatch"]);
}

#[test]
fn what_cannot_be_written_anew_is_refused() {
    let stage = Stage::new();
    let before = fs::read(&stage.archive).unwrap();
    let file = stage.file("exporter.json", signature(&exporter(), &stage.index()));
    let out = stage.path("out.carnet.tar").display().to_string();
    assert!(stage.attach(&file, &["-o", &out]).status.success());
    assert_eq!(fs::read(&stage.archive).unwrap(), before);
    assert_eq!(opened(Path::new(&out)).attachments().len(), 1);

    let directory = stage.path("directory");
    fs::create_dir(&directory).unwrap();
    assert!(Command::new("tar").arg("-xf").arg(&stage.archive).arg("-C").arg(&directory).status().unwrap().success());
    let compressed = stage.path("app.carnet.tar.gz");
    let bytes = Command::new("gzip").arg("-nc").arg(&stage.archive).output().unwrap().stdout;
    fs::write(&compressed, bytes).unwrap();
    let mut damaged = members(&before);
    let last = damaged.last_mut().unwrap();
    last.1[0] ^= 1;
    let damaged = stage.file("damaged.carnet.tar", tar(&damaged));
    let junk = stage.file("junk.json", "{}");
    let held = fs::File::open(&stage.archive).unwrap();
    held.lock().unwrap();
    let output = stage.attach(&file, &[]);
    assert!(output.status.code() == Some(2) && said(&output).contains("another carnet"), "{}", said(&output));
    drop(held);
    let archive = stage.archive.display().to_string();
    for (archive, file, why) in [
        (directory.to_str().unwrap(), file.as_str(), "no plain archive"),
        (compressed.to_str().unwrap(), &file, "no plain archive"),
        ("-", &file, "no plain archive"),
        (&damaged, &file, "blob-digest-mismatch"),
        (&junk, &file, "not a carnet archive"),
        (&archive, &junk, "attachment-malformed"),
        (&archive, "missing.json", "cannot read"),
        ("missing.tar", &file, "cannot read"),
    ] {
        let output = Command::new(carnet()).args(["attach", archive, file]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{archive} {file}");
        assert!(said(&output).contains(why), "{archive} {file}: {}", said(&output));
    }
    assert_eq!(fs::read(&stage.archive).unwrap(), before);
    // The directory form can hold attachments all the same.
    let verdict = stage.judge_file(&directory, &["--ignore-rekor"]);
    assert_eq!(verdict.status, 0, "{}", verdict.said);
}

/// Whatever an archive holds or leaves out stays where it was.
#[test]
fn archives_of_every_sort_take_attachments() {
    for (set, flags) in [
        ("multi", &[][..]),
        ("multi-fallback", &["--platform", "linux/amd64"]),
        ("extra-referrers", &["--layers=none"]),
        ("mixed", &["--trusted-root", &testdata("trust/local-sigstore/trusted_root.json").display().to_string()]),
    ] {
        let stage = Stage::exported(set, flags);
        let before = fs::read(&stage.archive).unwrap();
        for more in ["first", "second", "third"] {
            stage.attached(&stage.file(more, signature(&Key::p256(more), &stage.index())));
        }
        assert_eq!(stage.bundle().attachments().len(), 3, "{set}");
        assert_eq!(stage.with(&[]), before, "{set}");
        let found = stage.findings();
        assert!(found.iter().all(|code| code.ends_with("-not-carried")), "{set}: {found:?}");
    }
}

#[test]
fn attachments_are_never_imported() {
    let stage = Stage::new();
    let imported = |name: &str| {
        let place = stage.path(name);
        let key = testdata("trust/local-sigstore/demo.pub").display().to_string();
        let words = ["--image", "registry.example/org/app:v1", "--ignore-rekor", "--public-key", &key];
        let mut command = Command::new(carnet());
        command.arg("import").arg(&stage.archive).arg("--to").arg(format!("oci:{}", place.display()));
        let output = command.args(words).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        let blobs = fs::read_dir(place.join("blobs/sha256")).unwrap();
        blobs.map(|entry| entry.unwrap().file_name()).collect::<std::collections::BTreeSet<_>>()
    };
    let without = imported("without");
    stage.attached(&stage.file("exporter.json", signature(&exporter(), &stage.index())));
    assert_eq!(imported("with"), without);
}

#[test]
fn attachments_are_shown() {
    let stage = Stage::new();
    let file = stage.file("exporter.json", signature(&exporter(), &stage.index()));
    let beside = stage.path("exporter.tar").display().to_string();
    assert!(stage.attach(&file, &["--detached", &beside]).status.success());
    stage.attached(&file);
    let digest = opened(&stage.archive).attachments()[0].digest().to_string();
    let archive = stage.archive.display().to_string();
    for words in [
        &["inspect", archive.as_str()][..],
        &["inspect", &archive, "-o", "json"],
        &["tree", &archive],
        &["inspect", &beside],
        &["inspect", &beside, "-o", "yaml"],
    ] {
        let output = Command::new(carnet()).args(words).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", said(&output));
        assert!(said(&output).contains(&digest) && said(&output).contains(&stage.id.to_string()), "{words:?}: {}", said(&output));
    }
}

/// The commands of docs/attachments.md, with a key and without a network.
#[test]
fn cosign_signs_a_bundle() {
    let stage = Stage::new();
    let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools/bin/cosign");
    assert!(tool.is_file(), "{} is missing; `.ci/setup` installs what the tests need", tool.display());
    let cosign = |words: &[&str]| {
        let mut command = Command::new(&tool);
        command.current_dir(stage.path("")).env_clear().env("COSIGN_PASSWORD", "secret").env("HOME", stage.path(""));
        let output = command.args(words).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", said(&output));
    };
    let unlogged = ["--use-signing-config=false", "--tlog-upload=false", "--key", "exporter.key", "--yes"];
    cosign(&["generate-key-pair", "--output-key-prefix", "exporter"]);
    fs::write(stage.path("bundle-index.json"), stage.index()).unwrap();
    cosign(&[&["sign-blob"][..], &unlogged, &["--bundle", "signature.json", "bundle-index.json"]].concat());
    fs::write(stage.path("passed.json"), json!({"verificationResult": "PASSED"}).to_string()).unwrap();
    let summary = ["--type", SUMMARY, "--predicate", "passed.json", "--bundle", "summary.json", "bundle-index.json"];
    cosign(&[&["attest-blob"][..], &unlogged, &summary].concat());
    let key = stage.path("exporter.pub").display().to_string();
    for file in ["signature.json", "summary.json"] {
        let fresh = fs::read(&stage.archive).unwrap();
        stage.attached(stage.path(file).to_str().unwrap());
        let verdict = stage.judge(&["--ignore-rekor", "--no-assumptions", "--exporter-key", &key]);
        assert_eq!((verdict.status, verdict.codes("failure")), (0, vec![]), "{file}: {}", verdict.said);
        fs::write(&stage.archive, fresh).unwrap();
    }
}
