//! The program `carnet import` against real registries: what it ends with, what
//! other tools say of what arrived, and what is left when it is killed.
//!
//! `CARNET_KILLS=200 cargo test -p carnet --test import_real killed -- --nocapture`
//! kills it 200 times.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::Path,
    process::{Command, Output, Stdio},
    thread,
};

use carnet_bundle::{Bundle, Digest, Inventory, inventory::Method};
use carnet_registry::{
    Answer, CredentialFiles, Options, Registry,
    testing::{Behaviour, Effect, Fault, Route},
};
use serde_json::Value;

#[path = "support/registries.rs"]
mod registries;
#[path = "support/import.rs"]
mod support;

use registries::{Distribution, Ferro};
use support::{carnet, exported, opened, registry, success, testdata};

const PASSWORD: &str = "correct horse";
const KILLS: u64 = 20;
const SEED: u64 = 20_261_125;
/// `main` of the pipeline that signed most sets.
const IDENTITY: &str = "https://gitlab.local/demo/app//.gitlab-ci.yml@refs/heads/main";

fn import(archive: &Path, to: &str, flags: &[&str]) -> Output {
    command(archive, to, flags).output().unwrap()
}

fn command(archive: &Path, to: &str, flags: &[&str]) -> Command {
    let mut command = Command::new(carnet());
    command.arg("import").arg(archive).args(["--to", to]).args(flags).stdin(Stdio::null());
    command
}

fn by_key(name: &str) -> Vec<String> {
    let key = testdata("trust/local-sigstore/demo.pub").display().to_string();
    ["--image", &support::reference(name), "--public-key", &key, "--ignore-rekor"].map(str::to_owned).to_vec()
}

fn by_identity(name: &str) -> Vec<String> {
    let root = testdata("trust/local-sigstore/trusted_root.json").display().to_string();
    let image = support::reference(name);
    let words = ["--image", &image, "--certificate-identity", IDENTITY, "--certificate-oidc-issuer", "https://gitlab.local"];
    words.into_iter().chain(["--trusted-root", &root]).map(str::to_owned).collect()
}

fn words(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Exports from a registry, without places.
fn exported_again(dir: &Path, reference: &str) -> (Bundle, Inventory) {
    let archive = dir.join("again.carnet.tar");
    let mut command = Command::new(carnet());
    command.args(["export", "--proofs=skip", "--no-cache", "--no-preflight", "--quiet", reference, "-o"]).arg(&archive);
    success(&command.output().unwrap());
    let bundle = opened(&archive);
    let inventory = without_places(bundle.inventory().clone());
    (bundle, inventory)
}

fn without_places(mut inventory: Inventory) -> Inventory {
    inventory.looked_for.clear();
    inventory.subjects.iter_mut().for_each(|subject| subject.reference.clear());
    inventory.evidence.iter_mut().for_each(|entry| entry.found_in.clear());
    inventory
}

/// From a layout through an archive into a registry and out again: the same images,
/// the same evidence, byte for byte.
fn round_trip(address: &str, set: &str, judged_by: &[String]) {
    let dir = tempfile::tempdir().unwrap();
    let archive = exported(dir.path(), set);
    let to = format!("{address}/mirror/{set}");
    let output = import(&archive, &to, &words(judged_by));
    success(&output);
    let (bundle, again) = exported_again(dir.path(), &format!("{to}:v1"));
    assert_eq!(bundle.content_id(), opened(&archive).content_id(), "{set}");
    assert_eq!(again, without_places(opened(&archive).inventory().clone()), "{set}");
}

#[test]
fn a_registry_with_the_referrers_api_holds_what_the_source_held() {
    let registry = Ferro::start();
    for set in ["app", "multi", "extra-referrers", "keyless-legacy"] {
        round_trip(registry.address(), set, &by_identity(set));
    }
    for set in ["key-bundle", "key-legacy"] {
        round_trip(registry.address(), set, &by_key(set));
    }
}

#[test]
fn a_registry_without_the_referrers_api_holds_what_the_source_held() {
    let registry = Distribution::start();
    for set in ["app", "multi", "extra-referrers", "keyless-legacy"] {
        round_trip(registry.address(), set, &by_identity(set));
    }
    for set in ["key-bundle", "key-legacy"] {
        round_trip(registry.address(), set, &by_key(set));
    }
}

/// cosign itself verifies what was imported, as it verified it at the source.
#[test]
fn cosign_verifies_what_was_imported() {
    let (distribution, ferro) = (Distribution::start(), Ferro::start());
    let key = testdata("trust/local-sigstore/demo.pub").display().to_string();
    let root = testdata("trust/local-sigstore/trusted_root.json").display().to_string();
    let dir = tempfile::tempdir().unwrap();
    for address in [distribution.address(), ferro.address()] {
        for set in ["key-bundle", "key-legacy"] {
            let to = format!("{address}/mirror/{set}");
            success(&import(&exported(dir.path(), set), &format!("{to}:latest"), &words(&by_key(set))));
            let reference = format!("{to}:latest");
            cosign(&["verify", "--key", &key, "--insecure-ignore-tlog", &reference]);
            cosign(&["verify-attestation", "--key", &key, "--insecure-ignore-tlog", "--type", "slsaprovenance1", &reference]);
        }
        let to = format!("{address}/mirror/multi");
        success(&import(&exported(dir.path(), "multi"), &to, &words(&by_identity("multi"))));
        let identity = ["--certificate-identity", IDENTITY, "--certificate-oidc-issuer", "https://gitlab.local"];
        let trust = ["--trusted-root", root.as_str(), "--use-signed-timestamps"];
        cosign(&[&["verify"][..], &identity, &trust, &[&format!("{to}:v1")]].concat());
    }
}

fn cosign(arguments: &[&str]) {
    let home = tempfile::tempdir().unwrap();
    cosign_in(home.path(), &[arguments, &["--allow-http-registry"]].concat());
}

fn cosign_in(dir: &Path, arguments: &[&str]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools/bin/cosign");
    let mut command = Command::new(path.canonicalize().unwrap());
    command.args(arguments).current_dir(dir).env_clear().env("HOME", dir).env("COSIGN_PASSWORD", PASSWORD).stdin(Stdio::null());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", said(&output));
}

/// The operator has a key that cosign made; what it signs, cosign verifies.
#[test]
fn cosign_verifies_a_summary_that_its_own_key_signed() {
    let (dir, registry) = (tempfile::tempdir().unwrap(), Distribution::start());
    cosign_in(dir.path(), &["generate-key-pair"]);
    let (key, public) = (dir.path().join("cosign.key"), dir.path().join("cosign.pub").display().to_string());
    let archive = exported(dir.path(), "key-legacy");
    let receipt = dir.path().join("receipt.json");
    let to = format!("{}/mirror/app", registry.address());
    let with = ["--attach-vsa", "--vsa-key", key.to_str().unwrap(), "--receipt", receipt.to_str().unwrap()];
    let flags = by_key("key-legacy");
    let run = |password: &str| {
        let mut command = command(&archive, &to, &[words(&flags), with.to_vec()].concat());
        command.env("COSIGN_PASSWORD", password).output().unwrap()
    };
    let wrong = run("wrong");
    assert_eq!(wrong.status.code(), Some(2));
    assert!(said(&wrong).contains("cosign.key: the password is wrong"), "{}", said(&wrong));
    assert_eq!(fs::read(&receipt).map(|text| String::from_utf8(text).unwrap().contains(r#""verdict":"none""#)).ok(), Some(true));
    success(&run(PASSWORD));

    let receipt: Value = serde_json::from_slice(&fs::read(&receipt).unwrap()).unwrap();
    let summary = receipt["written"].as_array().unwrap().iter().find(|one| one["what"] == "summary").unwrap();
    let get = |path: String| -> Vec<u8> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let url = format!("http://{}/v2/mirror/app/{path}", registry.address());
        let accept = "application/vnd.oci.image.manifest.v1+json, */*";
        let answer =
            async { reqwest::Client::new().get(url).header("accept", accept).send().await.unwrap().bytes().await.unwrap() };
        runtime.block_on(answer).to_vec()
    };
    let manifest: Value = serde_json::from_slice(&get(format!("manifests/{}", summary["digest"].as_str().unwrap()))).unwrap();
    let envelope = dir.path().join("envelope.json");
    fs::write(&envelope, get(format!("blobs/{}", manifest["layers"][0]["digest"].as_str().unwrap()))).unwrap();
    // Where cosign looks, in another repository: in that of the image it would hide nothing, but add.
    let other = format!("{}/other/app:v1", registry.address());
    success(&import(&exported(dir.path(), "key-legacy"), &other, &words(&flags)));
    cosign(&["attach", "attestation", "--attestation", envelope.to_str().unwrap(), &other]);
    let kind = "https://slsa.dev/verification_summary/v1";
    cosign(&["verify-attestation", "--key", &public, "--insecure-ignore-tlog", "--type", kind, &other]);
}

#[test]
fn the_status_says_what_happened() {
    let dir = tempfile::tempdir().unwrap();
    let registry = registry(Behaviour::default());
    let place = |name: &str| format!("{}/mirror/{name}", registry.host());
    let good = exported(dir.path(), "key-bundle");
    let receipt = dir.path().join("receipt.json");
    let flags = by_key("key-bundle");
    let with =
        |more: &[&'static str]| -> Vec<String> { flags.iter().cloned().chain(more.iter().map(|s| (*s).to_owned())).collect() };
    let with_receipt: Vec<String> =
        with(&["--tag", "latest", "--receipt"]).into_iter().chain([receipt.display().to_string()]).collect();

    let output = import(&good, &place("good"), &words(&with_receipt));
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let written: Value = serde_json::from_slice(&fs::read(&receipt).unwrap()).unwrap();
    assert_eq!((&written["verdict"], &written["complete"]), (&"pass".into(), &true.into()));
    assert_eq!(written["bundle_id"], opened(&good).id().to_string());
    assert_eq!(members(&written), members(&documented()), "docs/import.md");
    keeps_to_its_schema(&written);

    // A verdict, and it is fail.
    let before = support::writes(&registry).len();
    let other = testdata("trust/local-sigstore/other.pub").display().to_string();
    let image = support::reference("key-bundle");
    let wrong = ["--image", &image, "--public-key", &other, "--ignore-rekor", "--receipt", receipt.to_str().unwrap()];
    for more in [&[][..], &["--only-passed"]] {
        let output = import(&good, &place("bad"), &[&wrong[..], more].concat());
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(said(&output).contains("nothing was imported"), "{}", said(&output));
        assert_eq!(support::writes(&registry).len(), before);
        let written: Value = serde_json::from_slice(&fs::read(&receipt).unwrap()).unwrap();
        assert_eq!((&written["verdict"], written["written"].as_array().unwrap().len()), (&"fail".into(), 0));
        keeps_to_its_schema(&written);
    }

    // No verdict, or not everything written.
    let no_archive = import(&dir.path().join("none.tar"), &place("x"), &words(&flags));
    let no_flag = import(&good, &place("x"), &["--no-such-flag"]);
    let no_place = import(&good, "r.example/UPPER", &words(&flags));
    let no_map = import(&good, "oci:x", &words(&with(&["--map", "a/b=c/d"])));
    let stdin = import(Path::new("-"), &place("x"), &words(&flags));
    registry.inject(Fault::on(Route::Upload, Effect::Status(403)));
    let refused = import(&good, &place("x"), &[words(&flags), vec!["--receipt", receipt.to_str().unwrap()]].concat());
    registry.heal();
    let written: Value = serde_json::from_slice(&fs::read(&receipt).unwrap()).unwrap();
    assert!(written["error"].as_str().is_some_and(|error| error.contains("403")), "{written}");
    keeps_to_its_schema(&written);
    let nobody = import(&good, "127.0.0.1:1/mirror/x", &words(&flags));
    for output in [no_archive, no_flag, no_place, no_map, stdin, refused, nobody] {
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        assert!(said(&output).contains("error: ") && said(&output).contains("hint: "), "{}", said(&output));
    }
    assert_eq!(support::writes(&registry).iter().filter(|write| write.contains("/manifests/v1")).count(), 0);

    // The tag is taken by something else.
    let other = exported(dir.path(), "key-legacy");
    let taken = with(&["--tag", "latest"]);
    let taken: Vec<String> = taken.into_iter().map(|word| word.replace("key-bundle", "key-legacy")).collect();
    let output = import(&other, &place("good"), &words(&taken));
    assert!(output.status.code() == Some(2) && said(&output).contains("--force"), "{}", said(&output));
}

/// `bundle-spec/schema/import-receipt.json`.
fn keeps_to_its_schema(receipt: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../bundle-spec/schema/import-receipt.json");
    let schema = jsonschema::draft202012::new(&serde_json::from_slice(&fs::read(path).unwrap()).unwrap()).unwrap();
    let errors: Vec<String> = schema.iter_errors(receipt).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:#?}: {receipt:#}");
}

/// The receipt that the documentation shows.
fn documented() -> Value {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/import.md")).unwrap();
    let example = page.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
    serde_json::from_str(example).unwrap()
}

/// Names of its members, and of those of the first entry of each list.
fn members(receipt: &Value) -> BTreeSet<String> {
    let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let lists = ["images", "written"]
        .into_iter()
        .flat_map(|list| names(&receipt[list][0]).into_iter().map(move |name| format!("{list}.{name}")));
    names(receipt).into_iter().chain(lists).collect()
}

/// Whatever the moment, the tag stands for an image whose evidence is all there, or
/// is not there; the next run completes. A moment is a number of requests.
#[test]
fn a_killed_import_leaves_no_tag_without_its_evidence() {
    let kills = env::var("CARNET_KILLS").map_or(KILLS, |text| text.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let archive = exported(dir.path(), "multi");
    let want = evidence(&opened(&archive));
    let flags = by_identity("multi");
    let (mut tagged, mut untagged) = (0, 0);
    for referrers_api in [false, true] {
        let registry = registry(Behaviour { referrers_api, complete_only: true, ..Behaviour::default() });
        success(&import(&archive, &format!("{}/killed/first", registry.host()), &words(&flags)));
        let whole = registry.served().len();
        for kill in 0..kills.div_ceil(2) {
            let to = format!("{}/killed/n{kill}", registry.host());
            let until = registry.served().len() + usize::from(random(kill)) * whole / usize::from(u16::MAX);
            let mut child = command(&archive, &to, &words(&flags)).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            while registry.served().len() < until && child.try_wait().unwrap().is_none() {
                thread::yield_now();
            }
            child.kill().unwrap();
            child.wait().unwrap();
            match evidence_behind_tag(&to) {
                Some(found) => {
                    assert_eq!(found, want, "kill {kill} after {until} requests");
                    tagged += 1;
                }
                None => untagged += 1,
            }
            success(&import(&archive, &to, &words(&flags)));
            assert_eq!(evidence_behind_tag(&to).as_ref(), Some(&want), "kill {kill}");
        }
    }
    println!("{} kills: {untagged} without the tag, {tagged} with it and all evidence", untagged + tagged);
    assert!(untagged > 0, "no kill came before the tag");
}

/// A number that only the seed and `n` decide (splitmix64).
fn random(n: u64) -> u16 {
    let mut z = SEED.wrapping_add(n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    u16::try_from((z ^ (z >> 31)) >> 48).unwrap()
}

fn evidence(bundle: &Bundle) -> BTreeMap<Digest, BTreeSet<Digest>> {
    let mut all: BTreeMap<Digest, BTreeSet<Digest>> = BTreeMap::new();
    for entry in &bundle.inventory().evidence {
        all.entry(entry.subject).or_default().insert(entry.digest);
    }
    all
}

/// The evidence that the registry gives for the image under the tag.
fn evidence_behind_tag(to: &str) -> Option<BTreeMap<Digest, BTreeSet<Digest>>> {
    let reference = format!("{to}:v1").parse().unwrap();
    let client = Registry::new(Options { credentials: CredentialFiles::none(), ..Options::default() }).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    match runtime.block_on(client.manifest(&reference)) {
        Answer::Found(_) => {}
        Answer::None { .. } => return None,
        answer => panic!("{answer:?}"),
    }
    let dir = tempfile::tempdir().unwrap();
    let (bundle, _) = exported_again(dir.path(), &format!("{to}:v1"));
    assert!(bundle.inventory().absent.is_empty());
    assert!(bundle.inventory().evidence.iter().all(|entry| entry.found_in.iter().all(|place| place.method != Method::LooseFile)));
    Some(evidence(&bundle))
}
