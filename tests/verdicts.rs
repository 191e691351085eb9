//! The table of all signed images in `testdata/layouts`: each is exported from
//! its layout and judged, and every check must end as `expect.json` says.
//!
//! The expectations come from how each image was signed (`ORIGIN.md` and the
//! table's own case names), not from what carnet printed.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use libtest_mimic::{Arguments, Failed, Trial};
use serde::Deserialize;
use serde_json::Value;

const REFERENCE: &str = "registry.example/org/app:v1";

#[derive(Deserialize)]
struct Table {
    cases: Vec<Case>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    layout: String,
    signer: Signer,
    trusted_root: String,
    exit: i32,
    index_or_image: Checks,
    #[serde(default)]
    children: Option<Checks>,
    /// Finding codes that must stand in the report.
    #[serde(default)]
    codes: Vec<String>,
    #[serde(default)]
    layers: Option<String>,
    /// Members of a trust policy.
    #[serde(default)]
    trust_policy: Option<String>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Signer {
    identity: Option<String>,
    issuer: Option<String>,
    public_key: Option<String>,
    #[serde(default)]
    ignore_rekor: bool,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
struct Checks {
    image: String,
    attestation: String,
}

fn main() {
    let table: Table = serde_json::from_slice(&fs::read(testdata("layouts/expect.json")).unwrap()).unwrap();
    let trials = table.cases.into_iter().map(|case| Trial::test(case.name.clone(), move || judge(&case))).collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

fn judge(case: &Case) -> Result<(), Failed> {
    let dir = tempfile::tempdir().unwrap();
    let archive = dir.path().join("app.carnet.tar");
    export(case, &archive)?;
    let (exit, report) = verify(case, &archive)?;
    let text = || serde_json::to_string_pretty(&report).unwrap();

    let components = report["components"].as_array().ok_or("no components")?;
    let (first, rest): (Vec<&Value>, Vec<&Value>) = components.iter().partition(|c| c["name"] == "Unnamed");
    assert_eq!(first.len(), 1, "{}", text());
    expect(checks(first[0]) == case.index_or_image, || format!("{:?}\n{}", checks(first[0]), text()))?;
    expect(case.children.is_some() != rest.is_empty(), || format!("{} children\n{}", rest.len(), text()))?;
    for child in rest {
        expect(Some(checks(child)) == case.children, || format!("{}: {:?}\n{}", child["name"], checks(child), text()))?;
    }
    let found: Vec<&str> =
        report["carnet"]["findings"].as_array().into_iter().flatten().filter_map(|f| f["code"].as_str()).collect();
    for code in &case.codes {
        expect(found.contains(&code.as_str()), || format!("{code} is not among {found:?}\n{}", text()))?;
    }
    expect(exit == case.exit, || format!("exit status {exit}, want {}\n{}", case.exit, text()))
}

/// How the two checks of a component ended.
fn checks(component: &Value) -> Checks {
    let codes = |list: &str| -> Vec<String> {
        let results = component[list].as_array().into_iter().flatten();
        results.map(|r| r["metadata"]["code"].as_str().unwrap_or_default().to_owned()).collect()
    };
    let (violations, successes) = (codes("violations"), codes("successes"));
    let image = "builtin.image.signature_check".to_owned();
    let attestation = "builtin.attestation.signature_check".to_owned();
    let ended = |passed: bool| if passed { "ok" } else { "fail" }.to_owned();
    Checks {
        image: ended(successes.contains(&image) && !violations.contains(&image)),
        attestation: ended(successes.contains(&attestation) && violations.iter().all(|code| *code == image)),
    }
}

fn export(case: &Case, archive: &Path) -> Result<(), Failed> {
    let layout = format!("oci:{}", testdata("layouts").join(&case.layout).display());
    let output = Command::new(env!("CARGO_BIN_EXE_carnet"))
        .args(["export", REFERENCE, "--from", &layout, "--quiet", "-o"])
        .arg(archive)
        .output()
        .unwrap();
    expect(output.status.code() == Some(0), || format!("export: {}", String::from_utf8_lossy(&output.stderr)))
}

fn verify(case: &Case, archive: &Path) -> Result<(i32, Value), Failed> {
    let trust = |name: &str| testdata("trust").join(name);
    let mut command = Command::new(verifier());
    command.arg(archive).args(["--image", REFERENCE, "--output", "json", "--show-successes"]);
    command.arg("--trusted-root").arg(trust(&case.trusted_root));
    if let (Some(identity), Some(issuer)) = (&case.signer.identity, &case.signer.issuer) {
        command.args(["--certificate-identity", identity, "--certificate-oidc-issuer", issuer]);
    }
    if let Some(members) = &case.trust_policy {
        let file = archive.with_extension("trust.yaml");
        std::fs::write(&file, format!("apiVersion: carnet/v0\nkind: TrustPolicy\n{members}\n")).unwrap();
        command.arg("--trust-policy").arg(file);
    }
    if let Some(key) = &case.signer.public_key {
        command.arg("--public-key").arg(trust(key));
    }
    if case.signer.ignore_rekor {
        command.arg("--ignore-rekor");
    }
    if let Some(layers) = &case.layers {
        command.arg(format!("--layers={layers}"));
    }
    let output = command.output().unwrap();
    let report = serde_json::from_slice(&output.stdout)
        .map_err(|e| format!("no report: {e}\n{}", String::from_utf8_lossy(&output.stderr)))?;
    Ok((output.status.code().unwrap_or(-1), report))
}

/// The verifier that was built beside `carnet`.
fn verifier() -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_carnet")).with_file_name("carnet-verify");
    assert!(path.exists(), "{} is missing: build the workspace first (cargo build --workspace)", path.display());
    path
}

fn expect(holds: bool, why: impl FnOnce() -> String) -> Result<(), Failed> {
    if holds { Ok(()) } else { Err(why().into()) }
}

fn testdata(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata").join(path)
}
