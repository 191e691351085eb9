//! Trust material is made, fetched and shown as the far side will read it.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use carnet_bundle::Digest;
use carnet_evidence::{TrustRoot, TrustSource};
use carnet_registry::testing::{Behaviour, Content, Effect, Fault, Route, TestingRegistry};
use clap::Parser as _;
use serde_json::Value;

const ARGUMENTS: &str = "CARNET_TRUST_TEST_ARGUMENTS";

#[derive(clap::Parser)]
struct Cli {
    #[command(flatten)]
    args: carnet_export::TrustArgs,
}

/// The process that [`trust`] starts: this very test, told by its environment.
#[test]
fn child() {
    let Ok(arguments) = env::var(ARGUMENTS) else { return };
    let cli = Cli::parse_from(["trust"].into_iter().chain(arguments.split('\u{1f}')));
    let code = format!("{:?}", carnet_export::trust(&cli.args));
    std::process::exit(code.chars().filter(char::is_ascii_digit).collect::<String>().parse().unwrap());
}

fn trust(arguments: &[&str]) -> Output {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["child", "--exact", "--nocapture", "--quiet"]);
    command.env_clear().env(ARGUMENTS, arguments.join("\u{1f}")).output().unwrap()
}

fn refused(arguments: &[&str], message: &str) {
    let output = trust(arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && said.contains(message), "{arguments:?}: {said}");
    assert!(said.lines().last().unwrap().starts_with("hint: "), "{said}");
}

fn testdata(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata").join(path)
}

fn local(name: &str) -> String {
    testdata("trust/local-sigstore").join(name).to_str().unwrap().to_owned()
}

/// The flags with which cosign made the trusted root of the local Sigstore.
fn services() -> Vec<String> {
    vec![
        "--fulcio".to_owned(),
        format!("url=https://fulcio.local,certificate-chain={}", local("fulcio-chain.pem")),
        "--rekor".to_owned(),
        format!(
            "url=https://rekor.local,public-key={},start-time=2026-11-24T00:00:00Z,origin=rekor.local",
            local("rekor-v2.pub")
        ),
        "--rekor".to_owned(),
        format!("url=https://rekor-v1.local,public-key={},start-time=2026-11-24T00:00:00Z", local("rekor-v1.pub")),
        "--ctfe".to_owned(),
        format!("url=https://ctfe.local,public-key={},start-time=2026-11-24T00:00:00Z", local("ctfe.pub")),
        "--tsa".to_owned(),
        format!("url=https://tsa.local/api/v1/timestamp,certificate-chain={}", local("tsa-chain.pem")),
    ]
}

#[test]
fn what_is_made_of_pem_files_is_what_cosign_makes() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("root.json");
    let services = services();
    let mut arguments: Vec<_> = ["create", "--out", output.to_str().unwrap()].into();
    arguments.extend(services.iter().map(String::as_str));
    let ended = trust(&arguments);
    assert!(ended.status.success(), "{ended:?}");
    let made: Value = serde_json::from_slice(&fs::read(&output).unwrap()).unwrap();
    let cosign: Value = serde_json::from_slice(&fs::read(local("trusted_root.json")).unwrap()).unwrap();
    assert_eq!(made, cosign);
}

#[test]
fn the_public_services_can_come_along() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("root.json");
    let services = services();
    let mut arguments: Vec<_> = ["create", "--with-default-services", "-o", output.to_str().unwrap()].into();
    arguments.extend(services[..2].iter().map(String::as_str));
    assert!(trust(&arguments).status.success());
    let made: Value = serde_json::from_slice(&fs::read(&output).unwrap()).unwrap();
    let count = |list: &str| made[list].as_array().unwrap().len();
    assert_eq!(["certificateAuthorities", "tlogs", "ctlogs", "timestampAuthorities"].map(count), [3, 2, 2, 1]);
}

#[test]
fn services_that_say_too_little_are_refused() {
    let key = format!("public-key={}", local("rekor-v1.pub"));
    let chain = format!("certificate-chain={}", local("fulcio-chain.pem"));
    refused(&["create"], "no service was named");
    refused(&["create", "--rekor", &format!("url=https://r.example,{key}")], "start-time is missing");
    refused(&["create", "--rekor", &format!("{key},start-time=2026-11-24T00:00:00Z")], "url is missing");
    refused(&["create", "--rekor", "url=https://r.example,start-time=2026-11-24T00:00:00Z"], "public-key is missing");
    refused(&["create", "--fulcio", &format!("url=https://f.example,{chain},start-time=yesterday")], "yesterday");
    refused(
        &["create", "--fulcio", &format!("url=https://f.example,certificate-chain={}", local("rekor-v1.pub"))],
        "no certificate",
    );
    refused(
        &[
            "create",
            "--rekor",
            &format!("url=https://r.example,start-time=2026-11-24T00:00:00Z,public-key={}", local("tsa-chain.pem")),
        ],
        "cannot make a service",
    );
    refused(&["create", "--tsa", "url=https://t.example,certificate-chain=/nowhere.pem"], "cannot read /nowhere.pem");
}

#[test]
fn a_root_is_shown_with_its_windows_age_and_forecast() {
    let root = local("trusted_root.json");
    let ended = trust(&["show", &root]);
    let text = String::from_utf8(ended.stdout).unwrap();
    for part in [
        "sha256:6541b71a013bd913d7d1df9b6a3b9bd8ac86874acd79897a0affc9e732ea8959",
        "transparency log: https://rekor-v1.local (PKIX_ECDSA_P256_SHA_256), from 2026-11-24T00:00:00Z, open",
        "certificate authority: https://fulcio.local (demo-fulcio), from 2026-11-24T03:00:50Z, open",
        "2036-10-02T03:00:51Z: timestamp authority https://tsa.local/api/v1/timestamp: its first certificate ends",
        "days ago",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let ended = trust(&["show", &root, "-o", "json"]);
    let text = String::from_utf8(ended.stdout).unwrap();
    let shown: Value = serde_json::from_str(&text[text.find('{').unwrap()..=text.rfind('}').unwrap()]).unwrap();
    assert_eq!((shown["services"].as_array().unwrap().len(), shown["newestEntry"].as_str()), (5, Some("2026-11-24T03:00:51Z")));
    let ended = trust(&["show"]);
    assert!(String::from_utf8(ended.stdout).unwrap().contains("https://rekor.sigstore.dev"));
    let folder = tempfile::tempdir().unwrap();
    let odd = folder.path().join("odd.json");
    let text = fs::read_to_string(&root).unwrap();
    fs::write(&odd, text.replace("https://fulcio.local", "https://f\\u001b[2J")).unwrap();
    let ended = trust(&["show", odd.to_str().unwrap()]);
    assert!(ended.status.success() && !ended.stdout.contains(&0x1b), "{ended:?}");
    fs::write(&odd, text.replace("X/NoHXEi", "X/NoHXEj")).unwrap();
    refused(&["show", odd.to_str().unwrap()], "key id mismatch");
}

/// A mirror of the TUF repository in `testdata/tuf`.
struct Mirror {
    folder: tempfile::TempDir,
    server: TestingRegistry,
}

impl Mirror {
    fn new() -> Self {
        let mirror = Self {
            folder: tempfile::tempdir().unwrap(),
            server: TestingRegistry::start(Content::new(), Behaviour::default()).unwrap(),
        };
        for path in files() {
            mirror.serve(&path, fs::read(testdata("tuf").join(&path)).unwrap());
        }
        mirror
    }

    fn serve(&self, path: &str, bytes: Vec<u8>) {
        self.server
            .inject(Fault::on(Route::Any, Effect::Answer(200, "application/json".to_owned(), bytes)).ending(format!("/{path}")));
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    fn fetch(&self, root: &Path, extra: &[&str]) -> Output {
        let (url, output) = (format!("http://{}", self.server.host()), self.path("trusted_root.json"));
        trust(&[&["fetch", "--mirror", &url, "--root", root.to_str().unwrap(), "-o", &output], extra].concat())
    }

    fn refuses(&self, root: &Path, extra: &[&str], message: &str) {
        let ended = self.fetch(root, extra);
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.code() == Some(2) && said.contains(message), "{said}");
        assert!(!Path::new(&self.path("trusted_root.json")).exists());
    }
}

fn files() -> [String; 5] {
    let target = "targets/6541b71a013bd913d7d1df9b6a3b9bd8ac86874acd79897a0affc9e732ea8959.trusted_root.json";
    ["1.root.json", "timestamp.json", "1.snapshot.json", "1.targets.json", target].map(str::to_owned)
}

fn initial() -> PathBuf {
    testdata("tuf/root.json")
}

#[test]
fn a_root_is_fetched_by_tuf_and_its_chain_is_kept() {
    let mirror = Mirror::new();
    let ended = mirror.fetch(&initial(), &[]);
    assert!(ended.status.success(), "{ended:?}");
    let bytes = fs::read(mirror.path("trusted_root.json")).unwrap();
    assert_eq!(bytes, fs::read(local("trusted_root.json")).unwrap());
    TrustRoot::parse(&bytes, TrustSource::File(String::new())).unwrap();
    for (kept, original) in [
        ("root_history/1.root.json", "root.json"),
        ("timestamp.json", "timestamp.json"),
        ("snapshot.json", "1.snapshot.json"),
        ("targets.json", "1.targets.json"),
    ] {
        let kept = fs::read(Path::new(&mirror.path("trusted_root.json.tuf")).join(kept)).unwrap();
        assert_eq!(kept, fs::read(testdata("tuf").join(original)).unwrap(), "{original}");
    }
    // A second time, over the kept chain.
    assert!(mirror.fetch(&initial(), &["--chain", &mirror.path("trusted_root.json.tuf")]).status.success());
}

#[test]
fn the_initial_root_decides() {
    let mirror = Mirror::new();
    let digest = Digest::of(&fs::read(initial()).unwrap()).to_string();
    mirror.refuses(
        &initial(),
        &["--root-checksum", &format!("sha256:{}", "0".repeat(64))],
        "digest mismatch of the initial root",
    );
    // The root of another repository.
    mirror.refuses(&testdata("trust/conforma-testimage/tuf/1.root.json"), &[], "cannot fetch the trusted root");
    assert!(mirror.fetch(&initial(), &["--root-checksum", &digest]).status.success());
}

#[test]
fn a_mirror_that_changes_anything_is_refused() {
    for (n, message) in [(1, "timestamp"), (2, "snapshot"), (3, "targets"), (4, "integrity check failed")] {
        let mirror = Mirror::new();
        let path = &files()[n];
        let text = fs::read_to_string(testdata("tuf").join(path)).unwrap();
        let changed = if n == 4 { text.replace("rekor.local", "rekor.other") } else { text.replace("2036", "2046") };
        assert_ne!(changed, text, "{path}");
        mirror.server.heal();
        mirror.serve(path, changed.into_bytes());
        for other in files().iter().filter(|other| *other != path) {
            mirror.serve(other, fs::read(testdata("tuf").join(other)).unwrap());
        }
        mirror.refuses(&initial(), &[], message);
    }
    let mirror = Mirror::new();
    mirror.server.heal();
    mirror.server.inject(Fault::on(Route::Any, Effect::Status(503)));
    mirror.refuses(&initial(), &[], "503");
}

#[test]
fn plain_http_is_for_loopback() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("root.json");
    let root = initial();
    let arguments = ["fetch", "--mirror", "http://tuf.example", "--root", root.to_str().unwrap(), "-o", output.to_str().unwrap()];
    refused(&arguments, "neither https, nor http on loopback");
}
