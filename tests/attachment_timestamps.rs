//! Timestamps over a bundle: what a trusted authority has signed stands in every
//! report with its time, and nothing else is taken for it.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, clippy::as_conversions, reason = "a test may panic")]

use std::fs;

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
#[path = "attachments/openssl.rs"]
mod openssl;
#[allow(dead_code, reason = "a part of the stage is used")]
#[path = "attachments/stage.rs"]
mod stage;
#[allow(dead_code, reason = "a part of the forge is used")]
#[path = "forge/timestamp.rs"]
mod timestamp;
#[allow(dead_code, reason = "a part of the forge is used")]
#[path = "forge/world.rs"]
mod world;

use carnet_bundle::Attachment;
use keys::pem;
use openssl::{Made, Tsa};
use stage::{Stage, Verdict, said};
use timestamp::{Authority, Flaws};
use world::{T, World};

const DAY: i64 = 86_400;
const TIME_STAMPING: &str = "1.3.6.1.5.5.7.3.8";
const FORMS: [&str; 14] = [
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
];

/// What there is to say of an attached timestamp: code and severity of each finding.
fn told(verdict: &Verdict) -> Vec<(String, String)> {
    let findings = verdict.report["carnet"]["findings"].as_array().unwrap_or_else(|| panic!("{}", verdict.said));
    let text = |finding: &Value, member: &str| finding[member].as_str().unwrap().to_owned();
    let about = findings.iter().filter(|finding| {
        let code = finding["code"].as_str().unwrap();
        code.contains("timestamp") || code.starts_with("attachment") || code == "unsupported-algorithm"
    });
    about.map(|finding| (text(finding, "code"), text(finding, "severity"))).collect()
}

fn stamps(verdict: &Verdict) -> Vec<Value> {
    verdict.report["carnet"]["timestamps"].as_array().cloned().unwrap_or_default()
}

/// The archive with a timestamp in it, whatever it is worth.
fn carrying(stage: &Stage, reply: Vec<u8>) -> Vec<u8> {
    stage.with(&[Attachment::new(&stage.bundle().descriptor(), reply).unwrap()])
}

fn judged(stage: &Stage, reply: Vec<u8>, flags: &[&str]) -> Verdict {
    stage.judge_bytes(&carrying(stage, reply), &[&["--ignore-rekor"][..], flags].concat())
}

/// By keys of every sort, by the certificates in every form that cosign takes.
#[test]
fn a_timestamp_of_openssl_stands_in_every_report() {
    let stage = Stage::new();
    let p384 = ["ec", "-pkeyopt", "ec_paramgen_curve:P-384"];
    let sorts = [
        ("p256", Made::default(), "-sha256"),
        ("p384", Made { key: &p384, digest: "sha384", id: "sha384", ..Made::default() }, "-sha512"),
        ("rsa", Made { key: &["rsa:2048"], digest: "sha512", id: "sha1", ..Made::default() }, "-sha384"),
    ];
    for (name, made, digest) in sorts {
        let tsa = Tsa::new(&stage.path(name), name, made);
        let reply = tsa.stamp(&stage.index(), digest, &["-cert"]);
        let file = stage.file("bundle.tsr", &reply);
        let before = fs::read(&stage.archive).unwrap();
        stage.attached(&file);
        let time = tsa.time(&reply).to_string();
        for chain in [tsa.chain(true), tsa.chain(false)] {
            let flags = ["--ignore-rekor", "--timestamp-certificate-chain", &chain];
            let verdict = stage.judge(&flags);
            assert_eq!((verdict.status, verdict.codes("failure")), (0, vec![]), "{name}: {}", verdict.said);
            assert_eq!(told(&verdict), [("bundle-timestamp-verified".to_owned(), "note".to_owned())], "{name}");
            let [stamp] = stamps(&verdict).try_into().unwrap();
            assert_eq!((&stamp["time"], &stamp["through"]), (&json!(time), &json!(chain)), "{name}");
            assert_eq!(stamp["attachment"], json!(stage.bundle().attachments()[0].digest()), "{name}");
            assert!(stamp["authority"].as_str().unwrap().contains(&format!("{name} root")), "{stamp}");
            // It vouches for nothing.
            assert_eq!(verdict.vouched_by(), ["", ""], "{name}");
            for form in FORMS {
                let report = stage.report(form, &flags);
                assert!(report.contains(&time) && report.contains(&format!("{name} root")), "{name}: {form}: {report}");
            }
        }
        assert!(tsa.verifies(&reply, &stage.index()), "{name}: the tool has another opinion");
        fs::write(&stage.archive, before).unwrap();
    }
}

/// A nonce is for whoever asked, and so are the certificates: the operator's file has
/// them.
#[test]
fn a_timestamp_may_leave_its_certificate_out() {
    let stage = Stage::new();
    let tsa = Tsa::new(&stage.path("tsa"), "tsa", Made::default());
    for query in [&["-no_nonce"][..], &[]] {
        let reply = tsa.stamp(&stage.index(), "-sha256", query);
        let verdict = judged(&stage, reply.clone(), &["--timestamp-certificate-chain", &tsa.chain(true)]);
        assert_eq!((verdict.status, stamps(&verdict).len()), (0, 1), "{}", verdict.said);
        // With the root alone nobody knows whose key it is.
        let verdict = judged(&stage, reply, &["--timestamp-certificate-chain", &tsa.chain(false)]);
        assert_eq!((verdict.status, verdict.codes("failure")), (1, vec!["bundle-timestamp-missing"]));
        assert!(verdict.codes("note").contains(&"bundle-timestamp-not-trusted") && stamps(&verdict).is_empty());
    }
}

#[test]
fn a_timestamp_over_something_else_shows_nothing() {
    let stage = Stage::new();
    let tsa = Tsa::new(&stage.path("tsa"), "tsa", Made::default());
    let index = stage.index();
    let other = tsa.stamp(b"another index", "-sha256", &["-cert"]);
    let sha1 = tsa.stamp(&index, "-sha1", &["-cert"]);
    assert!(!tsa.verifies(&other, &index) && tsa.verifies(&sha1, &index));
    for (reply, code, refused) in [
        (other, "attachment-subject-mismatch", "attachment-subject-mismatch"),
        (sha1, "unsupported-algorithm", "attachment-malformed"),
    ] {
        let output = stage.attach(&stage.file("reply.tsr", &reply), &[]);
        assert!(output.status.code() == Some(2) && said(&output).contains(refused), "{}", said(&output));
        let verdict = judged(&stage, reply.clone(), &["--timestamp-certificate-chain", &tsa.chain(true)]);
        let want = [("bundle-timestamp-missing", "failure"), (code, "warning")];
        assert_eq!(told(&verdict), want.map(|(code, severity)| (code.to_owned(), severity.to_owned())));
        assert_eq!((verdict.status, stamps(&verdict)), (1, vec![]));
        // Whoever asks for no timestamp is told, and gets the verdict that the images deserve.
        let verdict = judged(&stage, reply, &[]);
        assert_eq!((verdict.status, told(&verdict)), (0, vec![(code.to_owned(), "warning".to_owned())]));
    }
}

#[test]
fn a_timestamp_of_another_authority_is_not_trusted() {
    let stage = Stage::new();
    let [tsa, other] = ["tsa", "other"].map(|name| Tsa::new(&stage.path(name), name, Made::default()));
    // The names of the one, the keys of another.
    let twin = Tsa::new(&stage.path("twin"), "tsa", Made::default());
    let reply = tsa.stamp(&stage.index(), "-sha256", &["-cert"]);
    let told = |verdict: &Verdict| told(verdict).into_iter().map(|(code, _)| code).collect::<Vec<_>>();
    let without = judged(&stage, reply.clone(), &[]);
    assert_eq!((without.status, told(&without)), (0, vec!["bundle-timestamp-not-trusted".to_owned()]));
    for chain in [other.chain(true), other.chain(false), twin.chain(false), twin.chain(true)] {
        let verdict = judged(&stage, reply.clone(), &["--timestamp-certificate-chain", &chain]);
        assert_eq!((verdict.status, stamps(&verdict)), (1, vec![]), "{chain}");
        assert_eq!(verdict.codes("failure"), ["bundle-timestamp-missing"]);
        // That the certificate is said to be another one is a claim about a known authority.
        let code = if chain == twin.chain(true) { "bundle-timestamp-invalid" } else { "bundle-timestamp-not-trusted" };
        assert!(told(&verdict).contains(&code.to_owned()), "{chain}: {:?}", told(&verdict));
    }
    // Of several authorities one is enough.
    let both = ["--timestamp-certificate-chain", &other.chain(true), "--timestamp-certificate-chain", &tsa.chain(false)];
    assert_eq!(judged(&stage, reply, &both).status, 0);
}

/// genTime is now, and the certificate ended years ago.
#[test]
fn an_authority_whose_certificate_had_ended_shows_nothing() {
    let stage = Stage::new();
    let ended = Made { valid: ["20190101000000Z", "20210101000000Z"], ..Made::default() };
    let tsa = Tsa::new(&stage.path("tsa"), "tsa", ended);
    let reply = tsa.stamp(&stage.index(), "-sha256", &["-cert"]);
    assert!(!tsa.verifies(&reply, &stage.index()));
    for chain in [tsa.chain(true), tsa.chain(false)] {
        let verdict = judged(&stage, reply.clone(), &["--timestamp-certificate-chain", &chain]);
        assert_eq!((verdict.status, stamps(&verdict)), (1, vec![]));
        let message = verdict.message("bundle-timestamp-invalid");
        assert!(message.contains("the certificate is valid from 2019-01-01T00:00:00Z to 2021-01-01T00:00:00Z"), "{message}");
    }
}

/// What no honest tool makes.
#[test]
fn a_token_that_does_not_hold_is_said_to_be_invalid() {
    let stage = Stage::new();
    let index = stage.index();
    let authority = |name, usage| Authority::new(name, T - 100 * DAY, T + 10_000 * DAY, usage);
    let good = authority("good.example", TIME_STAMPING);
    let signing = authority("code.example", "1.3.6.1.5.5.7.3.3");
    let chain = |authority: &Authority| {
        let text = pem("CERTIFICATE", &authority.leaf) + &pem("CERTIFICATE", &authority.root);
        stage.file(&format!("{}.pem", authority.name), text)
    };
    let flaw = |flaws: Flaws| good.stamp(&index, T, &flaws);
    let mut changed = flaw(Flaws::default());
    let last = changed.len() - 1;
    changed[last] ^= 1;
    let cases = [
        ("another usage", signing.stamp(&index, T, &Flaws::default()), &signing, "not for timestamps alone"),
        ("before the authority", good.stamp(&index, T - 200 * DAY, &Flaws::default()), &good, "signed at 2025-08-13T12:00:00Z"),
        ("signed by another key", flaw(Flaws { key_seed: Some("other"), ..Flaws::default() }), &good, "does not verify"),
        ("changed", changed, &good, "does not verify"),
        ("names another certificate", flaw(Flaws { certificate_id: Some(b"x".to_vec()), ..Flaws::default() }), &good, "names"),
        ("digest of other bytes", flaw(Flaws { digest_of_other: true, ..Flaws::default() }), &good, "signed digest"),
        ("rejected", flaw(Flaws { rejected: true, ..Flaws::default() }), &good, "did not grant"),
    ];
    for (name, reply, authority, why) in cases {
        let verdict = judged(&stage, reply, &["--timestamp-certificate-chain", &chain(authority)]);
        let want = [("bundle-timestamp-missing", "failure"), ("bundle-timestamp-invalid", "warning")];
        assert_eq!(told(&verdict), want.map(|(code, severity)| (code.to_owned(), severity.to_owned())), "{name}");
        assert_eq!((verdict.status, stamps(&verdict)), (1, vec![]), "{name}");
        let message = verdict.message("bundle-timestamp-invalid");
        assert!(message.contains(why), "{name}: {message}");
    }
    let verdict = judged(&stage, flaw(Flaws::default()), &["--timestamp-certificate-chain", &chain(&good)]);
    assert_eq!((verdict.status, stamps(&verdict).len()), (0, 1), "{}", verdict.said);
}

/// The authorities of the trust root in use count without a flag, for the time that it
/// says.
#[test]
fn authorities_of_the_trust_root_count() {
    let (stage, world) = (Stage::new(), World::new());
    let root = stage.file("trusted_root.json", world.trusted_root().to_string());
    let reply = |number: usize, time: i64| world.tsa[number].stamp(&stage.index(), time, &Flaws::default());
    let verdict = judged(&stage, reply(0, T), &["--trusted-root", &root]);
    let [stamp] = stamps(&verdict).try_into().unwrap();
    assert_eq!((&stamp["time"], verdict.status), (&json!("2026-03-01T12:00:00Z"), 0), "{}", verdict.said);
    assert!(stamp["through"].as_str().unwrap().contains(&root), "{stamp}");
    let verdict = judged(&stage, reply(0, T - 200 * DAY), &["--trusted-root", &root]);
    assert_eq!(stamps(&verdict), Vec::<Value>::new());
    assert!(verdict.codes("warning").contains(&"bundle-timestamp-invalid"), "{:?}", verdict.codes("warning"));

    // Two: the earliest stands first, in the archive and beside it.
    let attachments: Vec<_> = [reply(1, T + 60), reply(0, T)]
        .into_iter()
        .map(|reply| Attachment::new(&stage.bundle().descriptor(), reply).unwrap())
        .collect();
    let verdict = stage.judge_bytes(&stage.with(&attachments), &["--ignore-rekor", "--trusted-root", &root]);
    let times: Vec<_> = stamps(&verdict).into_iter().map(|stamp| stamp["time"].clone()).collect();
    assert_eq!(times, [json!("2026-03-01T12:00:00Z"), json!("2026-03-01T12:01:00Z")]);
    let beside = stage.file("beside.tar", attachments[0].to_detached().unwrap());
    let verdict = stage.judge(&["--ignore-rekor", "--trusted-root", &root, "--attachment", &beside]);
    assert_eq!(stamps(&verdict).len(), 1, "{}", verdict.said);
    // A word from the future is a word about this host's clock.
    let verdict = judged(&stage, reply(0, T), &["--trusted-root", &root, "--at", "2026-02-01T00:00:00Z"]);
    assert!(verdict.codes("warning").contains(&"host-clock-implausible"), "{:?}", verdict.codes("warning"));
}

#[test]
fn a_chain_that_is_none_gives_no_verdict() {
    let stage = Stage::new();
    let tsa = Tsa::new(&stage.path("tsa"), "tsa", Made::default());
    let [signer, key] = ["signer.crt", "signer.key"].map(|name| stage.path("tsa").join(name).display().to_string());
    let public = stage.file("public.pem", keys::Key::p256("any").pem());
    let junk = stage.file("junk.pem", "junk");
    let twice = stage.file("twice.pem", [tsa.chain(true), junk.clone()].map(|file| fs::read_to_string(file).unwrap()).concat());
    for (file, why) in [
        (signer.as_str(), "leads to no self-signed root"),
        (&key, "no readable PEM section"),
        (&public, "not a certificate"),
        (&junk, "no readable PEM section"),
        ("missing.pem", "cannot read"),
    ] {
        let verdict = stage.judge(&["--ignore-rekor", "--timestamp-certificate-chain", file]);
        assert!(verdict.status == 2 && verdict.said.contains(why), "{file}: {}", verdict.said);
        assert!(
            why == "cannot read" || verdict.said.contains("hint: give the certificates of the authority"),
            "{}",
            verdict.said
        );
    }
    // Text around the sections is no part of them.
    let reply = tsa.stamp(&stage.index(), "-sha256", &[]);
    let verdict = judged(&stage, reply, &["--timestamp-certificate-chain", &twice]);
    assert_eq!(verdict.status, 0, "{}", verdict.said);
}
