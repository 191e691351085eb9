//! The real kubectl starts carnet and asks it what could come next, and the real
//! krew installs it. `.ci/setup` installs both programs.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "plugin/installed.rs"]
mod installed;
#[path = "plugin/krew.rs"]
mod krew;

use std::{fs, io::Write, path::Path, process::Command};

use installed::{Ended, Installed, program};
use krew::tool;

/// Runs kubectl with the directory of an installation on PATH, and no cluster.
fn kubectl(installed: &Installed, words: &[&str]) -> Ended {
    let mut command = Command::new(tool("kubectl"));
    command.env_clear().env("PATH", installed.dir()).env("HOME", installed.path("home")).args(words);
    Ended::of(&command.output().unwrap())
}

/// The two names, as `carnet plugin install` makes them.
fn plugin(installed: &Installed) -> &Installed {
    installed.run("carnet", &["plugin", "install", "--for", "kubectl"]).good();
    installed
}

#[test]
fn kubectl_starts_carnet_with_the_words_behind_its_name() {
    let installed = Installed::whole();
    plugin(&installed);
    let page = kubectl(&installed, &["carnet", "verify", "--help"]).good();
    assert!(page.contains("Usage: kubectl carnet verify [OPTIONS] <ARCHIVE>"), "{page}");
    let page = kubectl(&installed, &["carnet", "why", "blob-digest-mismatch"]).good();
    assert!(page.starts_with("blob-digest-mismatch (failure, step V3.1)\n"), "{page}");
    // The status is the plugin's own.
    let said = kubectl(&installed, &["carnet", "inspect", "nothing.tar"]);
    assert_eq!(said.status, Some(2), "{said:?}");
    let list = kubectl(&installed, &["plugin", "list"]);
    assert!(list.out.contains(installed.path("kubectl-carnet").to_str().unwrap()), "{list:?}");
    assert!(!format!("{list:?}").contains("warning"), "{list:?}");
}

#[test]
fn flags_stand_behind_the_name() {
    let installed = Installed::with_willing_verifier();
    plugin(&installed);
    let said = kubectl(&installed, &["carnet", "verify", "a", "-o", "json", "--image", "x"]).good();
    assert_eq!(said, "started: a --output=json --image x\n");
    let said = kubectl(&installed, &["--namespace", "x", "carnet", "verify", "a"]);
    assert!(said.status == Some(1) && said.err.contains("flags cannot be placed before plugin name"), "{said:?}");
}

#[test]
fn the_longest_name_wins() {
    let installed = Installed::with_willing_verifier();
    plugin(&installed);
    installed.link("kubectl-carnet-trust");
    let page = kubectl(&installed, &["carnet", "trust", "show", "--help"]).good();
    assert!(page.contains("Usage: kubectl carnet trust show"), "{page}");
    // That is why a check looks at longer names, too.
    program(&installed.path("kubectl-carnet-verify"), "echo pass");
    assert_eq!(kubectl(&installed, &["carnet", "verify", "a"]).good(), "pass\n");
    let check = installed.run("carnet", &["plugin", "check"]);
    assert!(check.status == Some(1) && check.out.contains("kubectl-carnet-verify: WRONG: another program"), "{check:?}");
}

#[test]
fn kubectl_says_to_plugins_where_it_is() {
    let installed = Installed::with_willing_verifier();
    plugin(&installed);
    let check = kubectl(&installed, &["carnet", "plugin", "check", "--for", "kubectl"]).good();
    assert!(check.contains("kubectl-carnet: ok: ") && check.ends_with("all is right\n"), "{check}");
}

#[test]
fn kubectl_completes_carnet() {
    let installed = Installed::without_verifier();
    installed.link("kubectl-carnet").link("kubectl_complete-carnet");
    for (words, want, directive) in [
        (&[""][..], vec!["export", "inspect", "plugin", "verify", "why"], "ShellCompDirectiveNoFileComp"),
        (&["ver"], vec!["verify"], "ShellCompDirectiveNoFileComp"),
        (&["verify", "a.tar", "--layers", ""], vec!["all", "none"], "ShellCompDirectiveNoFileComp"),
        (&["verify", "a.tar", "--layers=n"], vec!["none"], "ShellCompDirectiveNoFileComp"),
        (&["verify", "--certificate-o"], vec!["--certificate-oidc-issuer"], "ShellCompDirectiveNoFileComp"),
        (&["verify", ""], vec![], "ShellCompDirectiveDefault"),
        (&["export", "--cache", ""], vec![], "ShellCompDirectiveFilterDirs"),
    ] {
        let ended = kubectl(&installed, &[&["__complete", "carnet"], words].concat());
        assert_eq!(ended.status, Some(0), "{ended:?}");
        let choices: Vec<_> = ended.out.lines().map(|line| line.split('\t').next().unwrap()).collect();
        assert!(want.iter().all(|want| choices.contains(want)), "{words:?}: {choices:?}");
        assert!(!want.is_empty() || choices.len() == 1, "{words:?}: {choices:?}");
        assert!(ended.err.contains(&format!("Completion ended with directive: {directive}")), "{ended:?}");
    }
}

#[test]
fn krew_installs_the_manifest_for_every_platform() {
    let release = Installed::with_willing_verifier();
    fs::write(release.path("LICENSE"), "").unwrap();
    let archive = release.path("carnet.tar.gz");
    let mut tar = Command::new("tar");
    tar.arg("-czf").arg(&archive).arg("-C").arg(release.dir()).args(["carnet", "carnet-verify", "LICENSE"]);
    assert!(tar.status().unwrap().success());
    let sha256 = hex::encode(ring::digest::digest(&ring::digest::SHA256, &fs::read(&archive).unwrap()));
    let template = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.krew.yaml")).unwrap();
    let manifest = release.path("carnet.yaml");
    let mut file = fs::File::create(&manifest).unwrap();
    for line in template.lines() {
        let uri = format!("    uri: https://example.com/carnet.tar.gz\n    sha256: {sha256}");
        let line = if line.contains("addURIAndSha \"") { uri } else { line.replace("{{ .TagName }}", "v1.2.3") };
        writeln!(file, "{line}").unwrap();
    }
    for (os, arch) in [("linux", "amd64"), ("linux", "arm64"), ("darwin", "amd64"), ("darwin", "arm64")] {
        let root = tempfile::tempdir().unwrap();
        let ended = krew::install(root.path(), &manifest, &archive, &[("KREW_OS", os), ("KREW_ARCH", arch)]);
        assert_eq!(ended.status, Some(0), "{os} {arch}: {}", ended.err);
        let plugin = root.path().join("bin/kubectl-carnet");
        let run = |words: &[&str]| Ended::of(&Command::new(&plugin).env_clear().args(words).output().unwrap());
        assert_eq!(run(&["verify", "a"]).good(), "started: a\n", "{os} {arch}");
    }
}
