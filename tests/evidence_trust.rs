//! Whom the operator trusts, end to end: trust policy, single keys and certificates,
//! times without a log.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;
use tempfile::TempDir;

const REFERENCE: &str = "registry.example/org/app:v1";
const MAIN: [&str; 2] = ["https://gitlab.local/demo/app//.gitlab-ci.yml@refs/heads/main", "https://gitlab.local"];
const CLUSTER: [&str; 2] =
    ["https://kubernetes.io/namespaces/default/serviceaccounts/default", "https://kubernetes.default.svc.cluster.local"];
const LOCAL_ROOT: &str = "trust/local-sigstore/trusted_root.json";

/// An exported image and the command line that judges it.
struct Stage {
    folder: TempDir,
    command: Command,
}

impl Stage {
    fn of(layout: &str, [identity, issuer]: [&str; 2]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let archive = folder.path().join("app.carnet.tar");
        let from = format!("oci:{}", testdata("layouts").join(layout).display());
        let carnet = env!("CARGO_BIN_EXE_carnet");
        let export = Command::new(carnet)
            .args(["export", REFERENCE, "--from", &from, "--trusted-root"])
            .arg(testdata(LOCAL_ROOT))
            .args(["--quiet", "-o"])
            .arg(&archive)
            .output()
            .unwrap();
        assert_eq!(export.status.code(), Some(0), "{}", text(&export.stderr));
        let mut command = Command::new(Path::new(carnet).with_file_name("carnet-verify"));
        command.arg(archive).args(["--image", REFERENCE, "--output", "json", "--show-successes"]);
        command.args(["--certificate-identity", identity, "--certificate-oidc-issuer", issuer]);
        Self { folder, command }
    }

    fn root(mut self, path: &str) -> Self {
        self.command.arg("--trusted-root").arg(testdata(path));
        self
    }

    fn word(mut self, word: &str) -> Self {
        self.command.arg(word);
        self
    }

    fn policy(mut self, members: &str) -> Self {
        let path = self.folder.path().join("trust.yaml");
        fs::write(&path, format!("apiVersion: carnet/v0\nkind: TrustPolicy\n{members}")).unwrap();
        self.command.arg("--trust-policy").arg(path);
        self
    }

    fn variable(mut self, name: &str, path: &str) -> Self {
        self.command.env(name, testdata(path));
        self
    }

    fn judge(mut self) -> Ended {
        let Output { status, stdout, stderr } = self.command.output().unwrap();
        let report: Value = serde_json::from_slice(&stdout).unwrap_or_default();
        let mut codes: Vec<String> = report["carnet"]["findings"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|finding| finding["code"].as_str().unwrap().to_owned())
            .collect();
        codes.dedup();
        Ended { status: status.code(), codes, report, said: text(&stderr) }
    }
}

struct Ended {
    status: Option<i32>,
    codes: Vec<String>,
    report: Value,
    said: String,
}

impl Ended {
    fn assert(&self, status: i32, code: &str) {
        let found = code.is_empty() || self.codes.iter().any(|found| found == code);
        assert!(self.status == Some(status) && found, "{:?} {:?} {}", self.status, self.codes, self.said);
    }

    fn relaxations(&self) -> Vec<&str> {
        let list = self.report["carnet"]["relaxations"].as_array().into_iter().flatten();
        list.map(|relaxation| relaxation["effect"].as_str().unwrap()).collect()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn testdata(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata").join(path)
}

/// SHA-256 of a file of the test data, as a trust policy writes it.
fn digest(path: &str) -> String {
    carnet_bundle::Digest::of(&fs::read(testdata(path)).unwrap()).to_string()
}

#[test]
fn without_a_log_only_a_timestamp_says_when_a_certificate_signed() {
    for (layout, status, code) in [
        ("local-sigstore/keyless-legacy", 1, "no-verified-time"),
        ("local-sigstore/keyless-rekor1", 1, "no-verified-time"),
        ("local-sigstore/app", 0, ""),
        ("local-sigstore/multi", 0, ""),
    ] {
        let ended = Stage::of(layout, MAIN).root(LOCAL_ROOT).word("--ignore-rekor").judge();
        ended.assert(status, code);
        assert_eq!(ended.codes.iter().any(|code| code == "no-verified-time"), status == 1, "{layout}");
        Stage::of(layout, MAIN).root(LOCAL_ROOT).judge().assert(0, "");
    }
}

#[test]
fn a_trust_policy_asks_for_more() {
    let legacy = || Stage::of("local-sigstore/keyless-legacy", MAIN).root(LOCAL_ROOT);
    legacy().policy("").judge().assert(0, "");
    for (members, code) in [
        ("log: {proof: inclusion}\n", "log-evidence-missing"),
        ("log: {threshold: 2}\n", "no-log-entry"),
        ("time: {sources: [timestamp-authority]}\n", "no-verified-time"),
        ("certificates: {extensions: {sourceRepositoryURI: https://gitlab.local/other/app}}\n", "certificate-extension-mismatch"),
        ("signatures: {repositoryMatch: exact}\n", "repository-mismatch"),
        ("trustRoot: {maxAge: {warn: 1h, fail: 2h}}\n", "trust-root-aged"),
    ] {
        let ended = legacy().policy(members).word("--at=2027-06-01T00:00:00Z").judge();
        ended.assert(1, code);
        assert!(ended.relaxations().is_empty(), "{:?}", ended.relaxations());
    }
}

#[test]
fn a_repository_is_compared_as_the_trust_policy_says() {
    for (members, status) in [
        ("signatures: {repositoryMatch: prefix, repositoryPrefix: \"127.0.0.1:5156/demo\"}\n", 0),
        ("signatures: {repositoryMatch: prefix, repositoryPrefix: \"127.0.0.1:5156/dem\"}\n", 1),
        (
            "signatures:\n  repositoryMatch: remap\n  repositoryRemap:\n  - {from: registry.example/org/app, to: \"127.0.0.1:5156/demo/keyless-legacy\"}\n",
            0,
        ),
        ("signatures: {repositoryMatch: remap, repositoryRemap: [{from: registry.example/org, to: elsewhere.example}]}\n", 1),
    ] {
        let ended = Stage::of("local-sigstore/keyless-legacy", MAIN).root(LOCAL_ROOT).policy(members).judge();
        ended.assert(status, if status == 1 { "repository-mismatch" } else { "" });
    }
}

#[test]
fn what_a_trust_policy_relaxes_stands_in_the_report() {
    let pin = digest(LOCAL_ROOT);
    let members = format!("trustRoot: {{digest: {pin}}}\nlog: {{threshold: 0}}\n");
    let ended = Stage::of("local-sigstore/app", MAIN).root(LOCAL_ROOT).policy(&members).judge();
    ended.assert(0, "");
    assert_eq!(ended.relaxations(), ["log.threshold: 0: no log entry is asked for"]);
    // The time of a log that is not asked for does not count, here as with the flag.
    let legacy = Stage::of("local-sigstore/keyless-legacy", MAIN).root(LOCAL_ROOT).policy(&members);
    legacy.judge().assert(1, "no-verified-time");
}

#[test]
fn a_pin_selects_the_carried_trust_root_and_no_other() {
    let pinned = |pin: &str| Stage::of("local-sigstore/app", MAIN).policy(&format!("trustRoot: {{digest: \"{pin}\"}}\n"));
    let ended = pinned(&digest(LOCAL_ROOT)).judge();
    ended.assert(0, "");
    assert!(
        ended.report["carnet"]["trust"]["source"].as_str().unwrap().contains("pinned"),
        "{}",
        ended.report["carnet"]["trust"]
    );
    let other = digest("trust/conforma-testimage/trusted_root.json");
    for stage in [pinned(&other), pinned(&other).root(LOCAL_ROOT)] {
        let ended = stage.judge();
        ended.assert(2, "");
        assert!(ended.said.contains("trust root mismatch"), "{}", ended.said);
    }
}

#[test]
fn a_wrong_trust_policy_is_named_with_its_place() {
    for (members, reason) in [
        ("log: {treshold: 1}\n", "trust.yaml:3:7: trust policy: log.treshold: unknown field"),
        ("logs: {}\n", "trust.yaml:3:1: trust policy: logs: the value is empty"),
        ("log: {threshold: \"1\"}\n", "trust.yaml:3:7: trust policy: log.threshold: invalid type"),
        ("log: {threshold: 1}\nlog: {threshold: 1}\n", "trust.yaml:4:1: duplicate key"),
        ("log: {threshold: 0}\n", "need trustRoot.digest"),
        ("signatures:\n  threshold: 2\n", "trust.yaml:4:3: trust policy: signatures.threshold is not part of this release"),
        ("attestations: {notation: require}\n", "attestations.notation is not part of this release"),
    ] {
        let ended = Stage::of("local-sigstore/app", MAIN).root(LOCAL_ROOT).policy(members).judge();
        ended.assert(2, "");
        assert!(ended.said.contains(reason), "{members}: {}", ended.said);
    }
}

#[test]
fn single_keys_and_certificates_of_the_environment_are_a_trust_root() {
    const TRUST: &str = "trust/conforma-testimage";
    let variables = [
        ("SIGSTORE_ROOT_FILE", "fulcio_v1.crt.pem"),
        ("SIGSTORE_REKOR_PUBLIC_KEY", "rekor.pub"),
        ("SIGSTORE_CT_LOG_PUBLIC_KEY_FILE", "ctfe.pub"),
    ];
    let stage = |names: &[&str]| {
        let mut stage = Stage::of("conforma-acceptance/layout", CLUSTER).word("--layers=none");
        for (name, file) in variables.iter().filter(|(name, _)| names.contains(name)) {
            stage = stage.variable(name, &format!("{TRUST}/{file}"));
        }
        stage
    };
    let all = variables.map(|(name, _)| name);
    let ended = stage(&all).judge();
    ended.assert(0, "");
    let source = ended.report["carnet"]["trust"]["source"].as_str().unwrap();
    assert!(all.iter().all(|name| source.contains(name)), "{source}");
    // What is not named is trusted for nothing.
    stage(&all[..2]).judge().assert(1, "sct-log-unknown");
    stage(&[all[0], all[2]]).judge().assert(1, "log-not-trusted");
    stage(&all[1..]).judge().assert(1, "certificate-chain-untrusted");
    // The flag wins, and nothing is read then.
    let flag = stage(&[]).variable("SIGSTORE_ROOT_FILE", "absent.pem").root(&format!("{TRUST}/trusted_root.json")).judge();
    flag.assert(0, "");
    assert!(!flag.report["carnet"]["trust"]["source"].as_str().unwrap().contains("SIGSTORE"));
    let absent = stage(&[]).variable("SIGSTORE_ROOT_FILE", "absent.pem").judge();
    absent.assert(2, "");
    assert!(absent.said.contains("absent.pem"), "{}", absent.said);
}

#[test]
fn the_report_says_what_of_the_trust_ends_when() {
    let ended = Stage::of("local-sigstore/app", MAIN).root(LOCAL_ROOT).judge();
    let forecast = ended.report["carnet"]["trust"]["forecast"].as_array().unwrap();
    let times: Vec<_> = forecast.iter().map(|ending| ending["until"].as_str().unwrap()).collect();
    assert!(!times.is_empty() && times.is_sorted(), "{forecast:?}");
}
