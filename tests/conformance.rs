//! The program as a client of Sigstore's conformance suite: every committed case,
//! by the artifact and by its digest alone.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "a test reads its data, starts the program, and says so when something is missing"
)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use carnet_bundle::Digest;
use libtest_mimic::{Arguments, Failed, Trial};

const IDENTITY: &str = "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main";
const ISSUER: &str = "https://token.actions.githubusercontent.com";
/// Its trust root is unsound as a whole: no verdict, which is not a pass.
const UNUSABLE_ROOT: &str = "trust-root-tlog-missing-validity-start_fail";
/// Its key is no point of its curve.
const UNUSABLE_KEY: &str = "managed-key-wrong-key_fail";
/// Cases that upstream has.
const CASES: usize = 70;

fn main() {
    let mut trials = Vec::new();
    let entries = fs::read_dir(data("bundle-verify")).unwrap().map(|entry| entry.unwrap().path());
    let folders: Vec<_> = entries.filter(|path| path.is_dir()).collect();
    let count = folders.len();
    for folder in folders {
        for by in ["artifact", "digest"] {
            let (name, folder) = (folder.file_name().unwrap().to_string_lossy().into_owned(), folder.clone());
            trials.push(Trial::test(format!("{name} by {by}"), move || judge(&folder, by)));
        }
    }
    trials.push(Trial::test("all upstream cases are here", move || {
        if count == CASES { Ok(()) } else { Err(format!("{count} cases, want {CASES}").into()) }
    }));
    trials.push(Trial::test("what is no command line of the protocol has no answer", misuse));
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

/// The name of a case says whether it is a good one.
fn judge(folder: &Path, by: &str) -> Result<(), Failed> {
    let name = folder.file_name().unwrap().to_string_lossy();
    let own = folder.join("artifact");
    let artifact = if own.exists() { own } else { data("a.txt") };
    let mut command = client();
    command.arg("--bundle").arg(folder.join("bundle.sigstore.json"));
    let key = folder.join("key.pub");
    if key.exists() {
        command.arg("--key").arg(key);
    } else {
        let text = |file: &str, default: &str| fs::read_to_string(folder.join(file)).unwrap_or_else(|_| default.to_owned());
        command.args(["--certificate-identity", text("identity", IDENTITY).trim()]);
        command.args(["--certificate-oidc-issuer", text("issuer", ISSUER).trim()]);
    }
    let root = folder.join("trusted_root.json");
    if root.exists() {
        command.arg("--trusted-root").arg(root);
    }
    match by {
        "digest" => command.arg(Digest::of(&fs::read(&artifact).unwrap()).to_string()),
        _ => command.arg(artifact),
    };
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let want = if [UNUSABLE_ROOT, UNUSABLE_KEY].contains(&&*name) { 2 } else { i32::from(name.ends_with("_fail")) };
    match output.status.code() {
        Some(status) if status == want && said.is_empty() == (want == 0) => Ok(()),
        status => Err(format!("status {status:?}, want {want}: {said}").into()),
    }
}

fn misuse() -> Result<(), Failed> {
    let bundle = data("bundle-verify/happy-path-v0.3/bundle.sigstore.json");
    let artifact = data("a.txt");
    let (bundle, artifact) = (bundle.to_str().unwrap(), artifact.to_str().unwrap());
    let who = ["--certificate-identity", IDENTITY, "--certificate-oidc-issuer", ISSUER];
    for (words, reason) in [
        (vec!["--bundle", bundle, artifact], "required"),
        (vec!["--bundle", bundle, who[0], who[1], artifact], "--certificate-oidc-issuer"),
        ([&["--staging", "--bundle", bundle][..], &who, &[artifact]].concat(), "--trusted-root"),
        ([&["--bundle", "absent.json"][..], &who, &[artifact]].concat(), "cannot read absent.json"),
    ] {
        let output: Output = client().args(&words).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.code() != Some(2) || !said.contains(reason) {
            return Err(format!("{words:?}: {:?} {said}", output.status.code()).into());
        }
    }
    Ok(())
}

fn client() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_carnet-verify"));
    command.args(["conformance", "verify-bundle"]);
    command
}

fn data(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/sigstore-conformance").join(path)
}
