//! `carnet status`: what runs against what lies on a shelf, judged by the real
//! `carnet-verify`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

#[path = "cluster/api.rs"]
mod api;
#[path = "plugin/installed.rs"]
mod installed;
#[path = "cluster/pods.rs"]
mod pods;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use api::{Api, status as refusal};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use installed::{Ended, Installed};
use p256::ecdsa::{Signature, SigningKey, signature::Signer as _};
use pods::{pod, testdata};
use serde_json::{Value, json};

const IDENTITY: &str = "https://gitlab.local/demo/app//.gitlab-ci.yml@refs/heads/main";
const SUMMARY: &str = "application/vnd.in-toto+json";

/// A shelf, and the pods of a cluster beside it.
struct Stage {
    dir: tempfile::TempDir,
    pods: Vec<Value>,
}

impl Stage {
    /// A shelf with a bundle for each image of `testdata/layouts/local-sigstore`.
    fn with(sets: &[&str]) -> Self {
        let stage = Self { dir: tempfile::tempdir().unwrap(), pods: Vec::new() };
        fs::create_dir(stage.shelf()).unwrap();
        sets.iter().for_each(|set| stage.export(set));
        stage
    }

    fn shelf(&self) -> PathBuf {
        self.dir.path().join("shelf")
    }

    fn bundle(&self, set: &str) -> PathBuf {
        self.shelf().join(format!("{set}.carnet.tar"))
    }

    fn export(&self, set: &str) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_carnet"));
        command.args(["export", "--proofs=skip", "--no-cache", "--no-preflight", "--quiet", "-o"]).arg(self.bundle(set));
        command.arg(format!("{}:v1", name(set))).arg("--from");
        let layout = testdata(&format!("layouts/local-sigstore/{set}"));
        command.arg(format!("{}=oci:{}", name(set), layout.display()));
        let ended = command.output().unwrap();
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    }

    /// Another pod that asks for `image` and runs `image_id`.
    fn runs(mut self, image: &str, image_id: &str) -> Self {
        let pod_name = format!("app{}", self.pods.len());
        self.pods.push(pod("shop", &pod_name, image, image_id));
        self
    }

    /// Asks the API of the cluster, with the shelf.
    fn status(&self, words: &[&str]) -> Ended {
        let shelf = self.shelf();
        self.asked(&[&["--bundles", shelf.to_str().unwrap()], words].concat())
    }

    fn asked(&self, words: &[&str]) -> Ended {
        let api = Api::with_pods(self.pods.clone());
        let config = api.kubeconfig(self.dir.path());
        let mut command = Command::new(env!("CARGO_BIN_EXE_carnet"));
        command.arg("status").arg("--kubeconfig").arg(config).args(words).current_dir(self.dir.path());
        Ended::of(&command.output().unwrap())
    }

    /// The state of each running image, and why.
    fn states(&self, words: &[&str]) -> (Option<i32>, Vec<(String, String)>) {
        let said = self.status(&[words, &["-o", "json"]].concat());
        let document: Value = serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said:?}"));
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let images = document["images"].as_array().unwrap().iter();
        (said.status, images.map(|image| (text(&image["status"]), text(&image["reason"]))).collect())
    }
}

fn name(set: &str) -> String {
    format!("registry.example/org/{set}")
}

fn key() -> Vec<String> {
    ["--ignore-rekor", "-k", testdata("trust/local-sigstore/demo.pub").to_str().unwrap()].map(str::to_owned).into()
}

fn keyless() -> Vec<String> {
    let root = testdata("trust/local-sigstore/trusted_root.json");
    let words = ["--certificate-identity", IDENTITY, "--certificate-oidc-issuer", "https://gitlab.local", "--trusted-root"];
    words.into_iter().chain([root.to_str().unwrap()]).map(str::to_owned).collect()
}

fn words(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

/// The digest of an image, of its configuration, and of what is below an index.
struct Digests {
    root: String,
    config: String,
    children: Vec<String>,
}

fn digests(set: &str) -> Digests {
    let layout = testdata(&format!("layouts/local-sigstore/{set}"));
    let read = |path: &Path| -> Value { serde_json::from_slice(&fs::read(path).unwrap()).unwrap() };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let index = read(&layout.join("index.json"));
    let tagged = |entry: &&Value| entry["annotations"]["org.opencontainers.image.ref.name"] == "v1";
    let root = text(&index["manifests"].as_array().unwrap().iter().find(tagged).unwrap()["digest"]);
    let manifest = read(&layout.join("blobs").join(root.replace(':', "/")));
    let children = manifest["manifests"].as_array().into_iter().flatten().map(|child| text(&child["digest"])).collect();
    Digests { root, config: text(&manifest["config"]["digest"]), children }
}

#[test]
fn what_passed_is_covered_by_manifest_and_by_configuration() {
    let own = digests("key-legacy");
    let image = format!("{}:v1", name("key-legacy"));
    let stage = Stage::with(&["key-legacy"])
        .runs(&image, &format!("{}@{}", name("key-legacy"), own.root))
        .runs(&image, &format!("docker-pullable://mirror.example/x@{}", own.root))
        .runs(&image, &format!("docker://{}", own.config));
    let said = stage.status(&[&words(&key())[..], &["-o", "json"]].concat());
    assert_eq!(said.status, Some(0), "{said:?}");
    let document: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(document["summary"], json!({ "covered": 3, "failed": 0, "stale": 0, "unknown": 0 }));
    let parts: Vec<_> = document["images"].as_array().unwrap().iter().map(|image| image["digestOf"].as_str().unwrap()).collect();
    assert_eq!(parts.iter().filter(|part| **part == "manifest").count(), 2, "{parts:?}");
    assert_eq!(parts.iter().filter(|part| **part == "config").count(), 1, "{parts:?}");
    assert_eq!(document["images"][0]["bundle"], document["bundles"][0]["id"]);
    assert_eq!(document["bundles"][0]["verdict"], "pass");
    assert_eq!(document["relaxations"][0]["flag"], "--ignore-rekor");
}

#[test]
fn what_passed_is_covered_by_index_and_by_platform() {
    let own = digests("multi");
    let at = |digest: &str| format!("{}@{digest}", name("multi"));
    let stage = Stage::with(&["multi"])
        .runs(&format!("{}:v1", name("multi")), &at(&own.root))
        .runs(&at(&own.root), &at(&own.children[0]))
        .runs(&at(&own.children[1]), "");
    let (code, states) = stage.states(&words(&keyless()));
    assert_eq!((code, states.len()), (Some(0), 3), "{states:?}");
    // Another identity signed.
    let mut other = keyless();
    other[1] = IDENTITY.replace("main", "nobody");
    let (code, states) = stage.states(&words(&other));
    assert!(code == Some(1) && states.iter().all(|(state, reason)| state == "failed" && !reason.is_empty()), "{states:?}");
}

/// A platform that passes alone is not covered by an index whose other platform fails.
#[test]
fn an_image_is_covered_as_a_whole() {
    let own = digests("multi-legacy");
    let at = |digest: &str| format!("{}@{digest}", name("multi-legacy"));
    let stage = Stage::with(&["multi-legacy"]).runs("x:1", &at(&own.root)).runs("x:2", &at(&own.children[0]));
    let (code, states) = stage.states(&words(&keyless()));
    assert!(code == Some(1) && states.iter().all(|(state, _)| state == "failed"), "{states:?}");
    assert!(states[0].1.starts_with("attestation-not-verified: "), "{states:?}");
}

#[test]
fn every_state_has_its_reason_and_its_place() {
    let (good, bad) = (digests("key-legacy"), digests("unsigned"));
    let stage = Stage::with(&["key-legacy", "unsigned", "key-bundle"])
        .runs(&format!("{}:v1", name("key-legacy")), &format!("{}@{}", name("key-legacy"), good.root))
        .runs(&format!("{}:v1", name("unsigned")), &format!("{}@{}", name("unsigned"), bad.root))
        .runs(&format!("{}:v1", name("key-bundle")), &format!("{}@sha256:{}", name("key-bundle"), "1".repeat(64)))
        .runs(&format!("{}:v2", name("key-bundle")), &format!("sha256:{}", "2".repeat(64)))
        .runs("r.example/nothing:1", "")
        .runs("r.example/odd:1", "md5:00");
    let (code, states) = stage.states(&words(&key()));
    assert_eq!(code, Some(1));
    let (states, reasons): (Vec<_>, Vec<_>) = states.into_iter().unzip();
    assert_eq!(states, ["failed", "stale", "unknown", "unknown", "unknown", "covered"]);
    for (reason, want) in reasons.iter().zip([
        "attestation-not-verified: No image attestations found",
        &format!("the bundle carries {}", digests("key-bundle").root),
        "no digest: ",
        "the runtime calls it \"md5:00\", which is no digest",
        "no bundle carries it",
        "",
    ]) {
        assert!(reason.starts_with(want), "{want}: {reasons:?}");
    }
}

#[test]
fn every_form_says_the_states_and_what_was_relaxed() {
    let own = digests("key-legacy");
    let stage = Stage::with(&["key-legacy"])
        .runs(&format!("{}:v1", name("key-legacy")), &format!("{}@{}", name("key-legacy"), own.root))
        .runs("r.example/a:1", "");
    let said = |form: &str| stage.status(&[&words(&key())[..], &["-o", form]].concat());
    let table = said("table");
    let lines: Vec<Vec<&str>> = table.out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["STATUS", "IMAGE", "DIGEST", "PODS", "BY"]);
    assert_eq!(lines[1], ["unknown", "r.example/a:1", "-", "1", "-"]);
    assert_eq!(lines[2], ["covered", "registry.example/org/key-legacy:v1", &own.root[7..19], "1", "key-legacy.carnet.tar"]);
    assert!(table.out.contains("\n2 images: 1 covered, 0 failed, 0 stale, 1 unknown\n"), "{}", table.out);
    let wide = said("wide");
    assert!(wide.out.contains(&own.root) && wide.out.contains("shop/Deployment app0"), "{}", wide.out);
    let yaml = said("yaml");
    let (json, yaml): (Value, Value) =
        (serde_json::from_str(&said("json").out).unwrap(), serde_yaml::from_str(&yaml.out).unwrap());
    assert_eq!(json, yaml);
    let names = said("name");
    let want = format!("unknown/r.example/a:1\ncovered/registry.example/org/key-legacy:v1@{}\n", own.root);
    assert_eq!(names.out, want);
    for (form, text) in [("table", table.out), ("wide", wide.out), ("json", json.to_string()), ("name", names.err)] {
        assert!(text.contains("--ignore-rekor"), "{form}: {text}");
    }
}

#[test]
fn a_list_of_images_says_what_is_expected() {
    let (legacy, bundle) = (digests("key-legacy"), digests("key-bundle"));
    let stage = Stage::with(&["key-legacy", "key-bundle"])
        .runs("a:1", &format!("{}@{}", name("key-legacy"), legacy.root))
        .runs("b:1", &format!("{}@{}", name("key-bundle"), bundle.root));
    let list = |images: &[String]| {
        let components: Vec<_> = images.iter().map(|image| json!({ "name": "n", "containerImage": image })).collect();
        json!({ "components": components }).to_string()
    };
    let both = list(&[format!("{}@{}", name("key-legacy"), legacy.root), format!("{}:v1", name("key-bundle"))]);
    let (code, states) = stage.states(&[&words(&key())[..], &["--images", &both]].concat());
    assert_eq!(code, Some(0), "{states:?}");
    // What nobody expects is not covered, whatever is signed.
    let one = list(&[format!("{}@{}", name("key-legacy"), legacy.root)]);
    let (code, states) = stage.states(&[&words(&key())[..], &["--images", &one]].concat());
    assert_eq!(code, Some(1), "{states:?}");
    assert_eq!(states.iter().filter(|(state, _)| state == "covered").count(), 1, "{states:?}");
    // A typo is no list.
    let said = stage.status(&[&words(&key())[..], &["--images", "component: []\n"]].concat());
    assert!(said.clone_refused().contains("component"), "{said:?}");
}

/// The verification summary of an image, as carnet-verify makes it, changed.
fn summary(stage: &Stage, set: &str, change: impl Fn(&mut Value)) -> String {
    let path = stage.dir.path().join("vsa.jsonl");
    let mut command = Command::new(Path::new(env!("CARGO_BIN_EXE_carnet")).with_file_name("carnet-verify"));
    command.arg(stage.bundle(set)).args(key()).arg("--image").arg(format!("{}:v1", name(set)));
    command.arg(format!("--output=slsa-vsa={}", path.display())).arg("--quiet");
    command.output().unwrap();
    let mut statement: Value = serde_json::from_str(fs::read_to_string(path).unwrap().lines().next().unwrap()).unwrap();
    change(&mut statement);
    statement.to_string()
}

fn signing_key(seed: u8) -> SigningKey {
    SigningKey::from_slice(&[seed; 32]).unwrap()
}

/// Signs a statement as `carnet import --attach-vsa` does.
fn signed(statement: &str, key: &SigningKey) -> String {
    let encoding = format!("DSSEv1 {} {SUMMARY} {} {statement}", SUMMARY.len(), statement.len());
    let signature: Signature = key.sign(encoding.as_bytes());
    let signature = STANDARD.encode(signature.to_der().as_bytes());
    json!({ "payload": STANDARD.encode(statement), "payloadType": SUMMARY, "signatures": [{ "keyid": "", "sig": signature }] })
        .to_string()
}

fn public_pem(key: &SigningKey) -> String {
    // SubjectPublicKeyInfo of P-256, up to the point.
    let mut der = hex::decode("3059301306072a8648ce3d020106082a8648ce3d030107034200").unwrap();
    der.extend_from_slice(key.verifying_key().to_encoded_point(false).as_bytes());
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der))
}

/// States with these summaries and the key of seed 7.
fn with_summaries(stage: &Stage, texts: &[String], more: &[&str]) -> Ended {
    fs::write(stage.dir.path().join("key.pub"), public_pem(&signing_key(7))).unwrap();
    let mut words = vec!["-o".to_owned(), "json".to_owned(), "--vsa-key".to_owned(), "key.pub".to_owned()];
    for (at, text) in texts.iter().enumerate() {
        fs::write(stage.dir.path().join(format!("{at}.json")), text).unwrap();
        words.extend(["--vsa".to_owned(), format!("{at}.json")]);
    }
    words.extend(more.iter().map(|word| (*word).to_owned()));
    stage.asked(&words.iter().map(String::as_str).collect::<Vec<_>>())
}

#[track_caller]
fn stands(said: &Ended, code: i32, state: &str, reason: &str) {
    assert_eq!(said.status, Some(code), "{said:?}");
    let document: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(document["images"][0]["status"], state, "{said:?}");
    assert!(document["images"][0]["reason"].as_str().unwrap().starts_with(reason), "{said:?}");
}

#[test]
fn a_signed_summary_covers_what_it_is_about() {
    let own = digests("key-legacy");
    let stage = Stage::with(&["key-legacy"]).runs("a:1", &format!("{}@{}", name("key-legacy"), own.root));
    let good = signed(&summary(&stage, "key-legacy", |_| {}), &signing_key(7));
    let said = with_summaries(&stage, std::slice::from_ref(&good), &[]);
    stands(&said, 0, "covered", "as of 20");
    let document: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(document["images"][0]["vsa"]["subject"], own.root.as_str());
    // It was relaxed when it was given.
    assert_eq!(document["relaxations"][0]["flag"], "--ignore-rekor");
    // A configuration is covered by its manifest, which a bundle names.
    let stage = Stage { pods: vec![pod("shop", "a", "a:1", &own.config)], ..stage };
    let other_key = testdata("trust/local-sigstore/other.pub");
    stands(&with_summaries(&stage, std::slice::from_ref(&good), &[]), 1, "unknown", "no bundle carries it");
    let none = json!({ "components": [] }).to_string();
    let shelf = ["--bundles", "shelf", "--ignore-rekor", "-k", other_key.to_str().unwrap()];
    let said = with_summaries(&stage, std::slice::from_ref(&good), &[&shelf[..], &["--images", &none]].concat());
    stands(&said, 0, "covered", "as of 20");
    // Today's verdict weighs more.
    stands(&with_summaries(&stage, &[good], &shelf), 1, "failed", "");
}

#[test]
fn no_other_summary_covers_anything() {
    let own = digests("key-legacy");
    let stage = Stage::with(&["key-legacy"]).runs("a:1", &format!("{}@{}", name("key-legacy"), own.root));
    let made = |change: &dyn Fn(&mut Value)| summary(&stage, "key-legacy", change);
    let key = signing_key(7);
    for (what, text, why) in [
        ("another key", signed(&made(&|_| {}), &signing_key(8)), "does not count"),
        (
            "another verifier",
            signed(&made(&|v| v["predicate"]["verifier"]["id"] = "https://x.example".into()), &key),
            "of the verifier",
        ),
        ("the future", signed(&made(&|v| v["predicate"]["timeVerified"] = "2999-01-01T00:00:00Z".into()), &key), "in the future"),
        (
            "another predicate",
            signed(&made(&|v| v["predicateType"] = "https://x.example".into()), &key),
            "no verification summary",
        ),
        ("no result", signed(&made(&|v| v["predicate"]["verificationResult"] = Value::Null), &key), "no verification summary"),
    ] {
        let said = with_summaries(&stage, &[text], &[]);
        stands(&said, 1, "unknown", "no bundle carries it");
        assert!(said.err.contains(why), "{what}: {said:?}");
    }
    for word in ["passed", "PASS", "FAILED", "true"] {
        let text = signed(&made(&|v| v["predicate"]["verificationResult"] = word.into()), &key);
        stands(&with_summaries(&stage, &[text], &[]), 1, "failed", "it failed as of 20");
    }
    let of_another = made(&|v| v["subject"][0]["digest"]["sha256"] = "1".repeat(64).into());
    stands(&with_summaries(&stage, &[signed(&of_another, &key)], &[]), 1, "unknown", "no bundle");
    // Of two the newer one counts, whatever the order.
    let old = signed(&made(&|v| v["predicate"]["timeVerified"] = "2020-01-01T00:00:00Z".into()), &key);
    let failed = signed(&made(&|v| v["predicate"]["verificationResult"] = "FAILED".into()), &key);
    stands(&with_summaries(&stage, &[old.clone(), failed.clone()], &[]), 1, "failed", "");
    stands(&with_summaries(&stage, &[failed, old], &[]), 1, "failed", "");
}

/// A summary says what was so on a day; the policy or the key may have been revoked since.
#[test]
fn a_summary_covers_for_as_long_as_the_operator_says() {
    let own = digests("key-legacy");
    let stage = Stage::with(&["key-legacy"]).runs("a:1", &format!("{}@{}", name("key-legacy"), own.root));
    let of = |time: &str, result: &str| {
        let text = summary(&stage, "key-legacy", |statement| {
            statement["predicate"]["timeVerified"] = time.into();
            statement["predicate"]["verificationResult"] = result.into();
        });
        [signed(&text, &signing_key(7))]
    };
    let passed = of("2026-03-01T00:00:00Z", "PASSED");
    let at = |time: &'static str| ["--at", time];
    // Thirty days without a flag, measured at --at as everything that is about freshness.
    stands(&with_summaries(&stage, &passed, &at("2026-03-31T00:00:00Z")), 0, "covered", "as of 2026-03-01");
    let said = with_summaries(&stage, &passed, &at("2026-03-31T00:00:01Z"));
    stands(&said, 1, "stale", "it passed as of 2026-03-01T00:00:00Z, longer ago than 30d (--max-age)");
    let document: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(document["images"][0]["vsa"]["maxAge"], "30d");
    for (age, code, state) in [("1h", 1, "stale"), ("31d", 0, "covered"), ("745h", 0, "covered"), ("743h", 1, "stale")] {
        stands(
            &with_summaries(&stage, &passed, &[&at("2026-04-01T00:00:00Z")[..], &["--max-age", age]].concat()),
            code,
            state,
            "",
        );
    }
    // By the clock, too.
    stands(&with_summaries(&stage, &of("2020-01-01T00:00:00Z", "PASSED"), &[]), 1, "stale", "it passed as of 2020-01-01");
    // What had not been said by then does not count.
    let said = with_summaries(&stage, &passed, &at("2026-02-28T00:00:00Z"));
    stands(&said, 1, "unknown", "no bundle carries it");
    assert!(said.err.contains("in the future: now is 2026-02-28"), "{said:?}");
    // A failure does not grow old, and a bundle is judged now.
    stands(&with_summaries(&stage, &of("2020-01-01T00:00:00Z", "FAILED"), &[]), 1, "failed", "it failed as of 2020-01-01");
    let key = key();
    let shelf = [&["--bundles", "shelf"][..], &words(&key), &["--max-age", "1h"]].concat();
    stands(&with_summaries(&stage, &of("2020-01-01T00:00:00Z", "PASSED"), &shelf), 0, "covered", "");
    for words in [&["--max-age", "0d"][..], &["--max-age", "never"], &["--max-age", "30"]] {
        assert!(with_summaries(&stage, &passed, words).refused().contains("want a number of days or hours"), "{words:?}");
    }
    stage.status(&["--max-age", "1d"]).refused();
}

/// What merely says "pass" is not read.
#[test]
fn a_loose_verdict_is_refused() {
    let stage = Stage::with(&["key-legacy"]).runs("a:1", "");
    for text in [summary(&stage, "key-legacy", |_| {}), "{\"carnet\":{\"verdict\":\"pass\"}}".to_owned(), String::new()] {
        let said = with_summaries(&stage, &[text], &[]);
        assert!(said.clone_refused().contains("not a signed verification summary"), "{said:?}");
    }
    for words in [&["--vsa", "x"][..], &["--vsa-key", "x", "--bundles", "shelf"], &[], &["--bundles", "nowhere"]] {
        stage.asked(words).refused();
    }
}

#[test]
fn without_a_verdict_nothing_is_covered() {
    let own = digests("key-legacy");
    let stage = Stage::with(&["key-legacy"]).runs("a:1", &format!("{}@{}", name("key-legacy"), own.root));
    // No signer is named, so there is no verdict.
    let said = stage.status(&["-o", "json"]);
    stands(&said, 2, "unknown", "there is no verdict on the bundle");
    assert!(said.err.contains("carnet-verify: error: ") && said.err.contains("no verdict on"), "{said:?}");
    // A file that is no archive may be one that covers.
    fs::write(stage.shelf().join("x.carnet.tar"), "junk").unwrap();
    fs::remove_file(stage.bundle("key-legacy")).unwrap();
    let said = stage.status(&[&words(&key())[..], &["-o", "json"]].concat());
    stands(&said, 2, "unknown", "no bundle carries it");
    assert!(said.err.contains("x.carnet.tar: "), "{said:?}");
    fs::remove_file(stage.shelf().join("x.carnet.tar")).unwrap();
    assert!(stage.status(&[]).refused().contains("no bundle in "));
}

#[test]
fn a_damaged_bundle_covers_nothing() {
    let own = digests("key-legacy");
    let stage = Stage::with(&["key-legacy"]).runs("a:1", &format!("{}@{}", name("key-legacy"), own.root));
    let whole = fs::read(stage.bundle("key-legacy")).unwrap();
    // A bit in the data of some member; headers are every other block of 512 bytes.
    let mut states = std::collections::BTreeSet::new();
    for at in (0..whole.len()).step_by(whole.len() / 12) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        fs::write(stage.bundle("key-legacy"), bytes).unwrap();
        let (code, found) = stage.states(&words(&key()));
        assert!(matches!(code, Some(1 | 2)) && found[0].0 != "covered", "{at}: {found:?}");
        states.insert(found[0].0.clone());
    }
    assert!(states.contains("failed"), "{states:?}");
}

#[test]
fn what_one_bundle_says_against_an_image_is_not_hidden_by_another() {
    let own = digests("key-legacy");
    let stage = Stage::with(&["key-legacy"]).runs("a:1", &format!("{}@{}", name("key-legacy"), own.root));
    let whole = fs::read(stage.bundle("key-legacy")).unwrap();
    // A bit in the last layer of the archive: everything before it is read.
    let layer = whole.chunks(512).rposition(|block| block.iter().any(|byte| *byte != 0)).unwrap();
    let damaged = [&whole[..layer * 512], &[whole[layer * 512] ^ 1], &whole[layer * 512 + 1..]].concat();
    for order in [["a", "b"], ["b", "a"]] {
        let place = |name: &str| stage.shelf().join(format!("{name}.carnet.tar"));
        fs::remove_dir_all(stage.shelf()).unwrap();
        fs::create_dir(stage.shelf()).unwrap();
        fs::write(place(order[0]), &damaged).unwrap();
        let alone = stage.states(&words(&key()));
        assert_eq!(alone.1[0].0, "failed", "{alone:?}");
        fs::write(place(order[1]), &whole).unwrap();
        assert_eq!(stage.states(&words(&key())), alone);
        fs::remove_file(place(order[0])).unwrap();
        assert_eq!(stage.states(&words(&key())).1[0].0, "covered");
    }
}

#[test]
fn only_the_verifier_of_the_same_bundle_is_believed() {
    let own = digests("key-legacy");
    let stage = Stage::with(&["key-legacy"]).runs("a:1", &format!("{}@{}", name("key-legacy"), own.root));
    fs::write(stage.dir.path().join("pods.json"), json!({ "kind": "PodList", "items": stage.pods }).to_string()).unwrap();
    let report =
        |verdict: &str| json!({ "carnet": { "verdict": verdict, "bundle": { "id": format!("sha256:{}", "0".repeat(64)) } } });
    for (script, want) in [
        (String::new(), "cannot use the report on"),
        ("exit 2".to_owned(), "no verdict on"),
        ("kill -9 $$".to_owned(), "no verdict on"),
        (says(&report("pass"), 0), "has changed while it was judged"),
        (says(&report("fail"), 0), "its verdict is Fail, and it ended with"),
        (says(&report("pass"), 1), "its verdict is Pass, and it ended with"),
        (says(&json!({}), 0), "cannot use the report on"),
    ] {
        let version = env!("CARGO_PKG_VERSION");
        let installed =
            Installed::with_script(&format!("[ \"$1\" = --version ] && echo carnet-verify {version} && exit 0\n{script}"));
        let words = ["status", "-f", "pods.json", "--bundles", "shelf", "-o", "json"];
        let mut command = Command::new(installed.path("carnet"));
        command.args(words).current_dir(stage.dir.path());
        let said = Ended::of(&command.output().unwrap());
        if script.is_empty() {
            assert_eq!(said.status, Some(2), "{said:?}");
            continue;
        }
        stands(&said, 2, "unknown", "there is no verdict on the bundle");
        assert!(said.err.contains(want), "{want}: {said:?}");
    }
    let installed = Installed::without_verifier();
    let mut command = Command::new(installed.path("carnet"));
    command.args(["status", "-f", "pods.json", "--bundles", "shelf"]).current_dir(stage.dir.path());
    assert!(Ended::of(&command.output().unwrap()).refused().contains("carnet-verify is not there"));
}

/// A verifier that writes this report and ends so.
fn says(report: &Value, status: i32) -> String {
    format!(
        "for word in \"$@\"; do case $word in --output=json=*) echo '{report}' >\"${{word#--output=json=}}\";; \
         --output=slsa-vsa=*) : >\"${{word#--output=slsa-vsa=}}\";; esac; done\nexit {status}"
    )
}

#[test]
fn who_cannot_look_says_so() {
    let stage = Stage::with(&["key-legacy"]);
    assert!(stage.status(&["-A"]).refused().contains("no image runs in all namespaces"));
    let api = Api::start(|_| refusal(403, "Forbidden", "pods is forbidden"));
    let config = api.kubeconfig(stage.dir.path());
    let mut command = Command::new(env!("CARGO_BIN_EXE_carnet"));
    command.args(["status", "-A", "--bundles"]).arg(stage.shelf()).arg("--kubeconfig").arg(config);
    let said = Ended::of(&command.output().unwrap()).refused();
    assert!(said.contains("not allowed to list pods in all namespaces (403): pods is forbidden"), "{said}");
}

/// The unpacked form lies on a shelf as well, and bundles without anything that runs are
/// not judged.
#[test]
fn directories_lie_on_a_shelf_too() {
    let own = digests("key-legacy");
    let stage = Stage::with(&["key-legacy", "unsigned"]).runs("a:1", &format!("{}@{}", name("key-legacy"), own.root));
    let unpacked = stage.shelf().join("unpacked");
    fs::create_dir(&unpacked).unwrap();
    let mut tar = Command::new("tar");
    assert!(tar.arg("-xf").arg(stage.bundle("key-legacy")).arg("-C").arg(&unpacked).status().unwrap().success());
    fs::remove_file(stage.bundle("key-legacy")).unwrap();
    let said = stage.status(&[&words(&key())[..], &["-o", "json"]].concat());
    stands(&said, 0, "covered", "");
    let document: Value = serde_json::from_str(&said.out).unwrap();
    let verdict = |name: &str| {
        let of = |bundle: &&Value| bundle["path"].as_str().unwrap().ends_with(name);
        document["bundles"].as_array().unwrap().iter().find(of).unwrap()["verdict"].clone()
    };
    assert_eq!((verdict("unpacked"), verdict("unsigned.carnet.tar")), (json!("pass"), Value::Null));
    let said = stage.asked(&[&words(&key())[..], &["--bundles", "shelf/unpacked", "-o", "name"]].concat());
    assert_eq!(said.status, Some(0), "{said:?}");
}

impl Ended {
    /// As [`Ended::refused`], for what is looked at again.
    fn clone_refused(&self) -> String {
        Self { status: self.status, out: self.out.clone(), err: self.err.clone() }.refused()
    }
}
