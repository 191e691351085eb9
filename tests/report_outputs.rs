//! Every form of the report of one real run: an index whose children are signed
//! and attested, exported and judged by the programs.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;

const REFERENCE: &str = "registry.example/org/app:v1";
const FORMATS: [&str; 12] = [
    "appstudio",
    "attestation",
    "json",
    "junit",
    "policy-input",
    "sarif",
    "slsa-vsa",
    "summary",
    "summary-markdown",
    "text",
    "vsa",
    "yaml",
];

#[test]
fn forms_of_one_run_agree() {
    let dir = tempfile::tempdir().unwrap();
    let archive = dir.path().join("app.carnet.tar");
    export(&archive);
    let reports = reports(&archive, dir.path());
    let report: Value = serde_json::from_str(&reports["json"]).unwrap();
    let components = report["components"].as_array().unwrap();
    assert_eq!((&report["success"], components.len()), (&Value::Bool(true), 3), "{}", reports["text"]);

    let inputs = lines(&reports["policy-input"]);
    let references: Vec<_> = inputs.iter().map(|input| &input["image"]["ref"]).collect();
    assert_eq!(references, components.iter().map(|component| &component["containerImage"]).collect::<Vec<_>>());
    for (input, component) in inputs.iter().zip(components) {
        assert_eq!(input["component_name"], component["name"]);
        assert_eq!(input["policy_spec"], report["policy"]);
        assert_eq!(input["image"]["signatures"], component["signatures"]);
        assert_eq!(input["image"]["config"], config(text(&component["containerImage"])));
        assert_eq!(input["snapshot"]["components"].as_array().unwrap().len(), 3);
        assert_eq!(count(&input["attestations"]), count(&component["attestations"]));
    }

    // The statements that rules see are those that are handed on.
    let statements = lines(&reports["attestation"]);
    let seen: Vec<_> =
        inputs.iter().flat_map(|input| input["attestations"].as_array().unwrap()).map(|a| &a["statement"]).collect();
    assert_eq!(statements.iter().collect::<Vec<_>>(), seen);
    assert!(!statements.is_empty());

    for (statement, component) in lines(&reports["slsa-vsa"]).iter().zip(components) {
        let digest = text(&component["containerImage"]).rsplit_once(':').unwrap().1;
        assert_eq!(statement["subject"][0]["digest"]["sha256"], digest);
        assert_eq!(statement["predicate"]["verificationResult"], "PASSED");
        assert_eq!(statement["predicate"]["timeVerified"], "2026-11-25T00:00:00Z");
    }
    // A time of verification in the past is a relaxation, and the one test that is skipped.
    let junit = "<testsuites tests=\"10\" skipped=\"1\"><testsuite name=\"";
    assert!(reports["junit"].starts_with(junit), "{}", reports["junit"]);
    assert_eq!(serde_json::from_str::<Value>(&reports["appstudio"]).unwrap()["successes"], 9);

    // The same questions have the same answers, to the byte.
    assert_eq!(reports, self::reports(&archive, dir.path()));
}

#[test]
fn relaxations_are_said_where_a_form_has_no_place_for_them() {
    let dir = tempfile::tempdir().unwrap();
    let archive = dir.path().join("app.carnet.tar");
    export(&archive);
    let said = |format: &str| {
        let output = verify(&archive, &["--ignore-rekor", "--quiet", "--output", format]);
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(said("attestation").starts_with("carnet-verify: relaxed by --ignore-rekor: "), "{}", said("attestation"));
    assert_eq!(said("appstudio"), "");
}

fn export(archive: &Path) {
    let from = format!("oci:{}", layout().display());
    let mut command = Command::new(env!("CARGO_BIN_EXE_carnet"));
    let output = command.args(["export", REFERENCE, "--from", &from, "--quiet", "-o"]).arg(archive).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn reports(archive: &Path, dir: &Path) -> BTreeMap<&'static str, String> {
    let file = |format: &str| dir.join(format!("report.{format}"));
    let targets = FORMATS.map(|format| format!("{format}={}", file(format).display()));
    let mut words = vec!["--at=2026-11-25T00:00:00Z", "--effective-time=2126-01-01T00:00:00Z", "--show-successes"];
    words.extend(targets.iter().flat_map(|target| ["--output", target]));
    let output = verify(archive, &words);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    FORMATS.iter().map(|format| (*format, fs::read_to_string(file(format)).unwrap())).collect()
}

fn verify(archive: &Path, words: &[&str]) -> Output {
    let verifier = Path::new(env!("CARGO_BIN_EXE_carnet")).with_file_name("carnet-verify");
    assert!(verifier.exists(), "{} is missing: build the workspace first (cargo build --workspace)", verifier.display());
    let mut command = Command::new(verifier);
    command.arg(archive).args(["--image", REFERENCE, "--certificate-oidc-issuer", "https://gitlab.local"]);
    command.args(["--certificate-identity", "https://gitlab.local/demo/app//.gitlab-ci.yml@refs/heads/main"]);
    command.arg("--trusted-root").arg(testdata("trust/local-sigstore/trusted_root.json"));
    command.args(words).output().unwrap()
}

/// The `config` object of an image in the layout; of an index that of its child
/// for linux/amd64.
fn config(reference: &str) -> Value {
    let manifest = blob(reference.rsplit_once('@').unwrap().1);
    let children = manifest["manifests"].as_array().into_iter().flatten();
    let amd64 =
        children.filter(|child| child["platform"]["architecture"] == "amd64").map(|child| blob(text(&child["digest"]))).next();
    let manifest = amd64.unwrap_or(manifest);
    let config = &blob(text(&manifest["config"]["digest"]))["config"];
    if config.is_null() { serde_json::json!({}) } else { config.clone() }
}

fn blob(digest: &str) -> Value {
    serde_json::from_slice(&fs::read(layout().join("blobs").join(digest.replace(':', "/"))).unwrap()).unwrap()
}

fn lines(report: &str) -> Vec<Value> {
    report.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn count(list: &Value) -> usize {
    list.as_array().map_or(0, Vec::len)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn layout() -> PathBuf {
    testdata("layouts/local-sigstore/multi")
}

fn testdata(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata").join(path)
}
