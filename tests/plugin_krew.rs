//! The krew manifest passes krew's own rules, and what it installs works.
//!
//! `plugin/krew.rs` says where the rules are from.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "plugin/installed.rs"]
mod installed;
#[path = "plugin/krew.rs"]
mod krew;

use std::{collections::BTreeSet, fs, os::unix::fs::symlink, path::Path, process::Command};

use installed::{Ended, Installed, copy};
use serde_json::Value;

const TAG: &str = "v1.2.3";

/// The template as a release fills it in.
fn manifest() -> String {
    let template = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.krew.yaml")).unwrap();
    let mut lines = Vec::new();
    for line in template.lines() {
        let filled = match line.trim().strip_prefix("{{addURIAndSha \"") {
            Some(call) => {
                let (uri, rest) = call.split_once('"').unwrap();
                assert_eq!(rest, " .TagName }}");
                let indent = &line[..line.len() - line.trim_start().len()];
                let sha256 = hex::encode(ring::digest::digest(&ring::digest::SHA256, uri.as_bytes()));
                format!("{indent}uri: {uri}\n{indent}sha256: {sha256}")
            }
            None => line.to_owned(),
        };
        lines.push(filled.replace("{{ .TagName }}", TAG));
    }
    let text = lines.join("\n") + "\n";
    assert!(!text.lines().any(|line| !line.starts_with('#') && line.contains("{{")), "{text}");
    text
}

fn parsed() -> Value {
    serde_yaml::from_str(&manifest()).unwrap()
}

#[test]
fn the_manifest_passes_krews_rules() {
    assert_eq!(krew::broken("carnet", &parsed()), None);
}

#[test]
fn each_rule_is_one_that_a_manifest_can_break() {
    type Change = fn(&mut Value);
    let cases: &[(&str, Change)] = &[
        ("apiVersion", |plugin| plugin["apiVersion"] = "krew.googlecontainertools.github.com/v1alpha1".into()),
        ("kind", |plugin| plugin["kind"] = "plugin".into()),
        ("name", |plugin| plugin["metadata"]["name"] = "kubectl-carnet".into()),
        ("short description", |plugin| plugin["spec"]["shortDescription"] = "two\nlines".into()),
        ("length of the short description", |plugin| plugin["spec"]["shortDescription"] = "x".repeat(51).into()),
        ("platforms", |plugin| plugin["spec"]["platforms"] = Vec::<Value>::new().into()),
        ("version", |plugin| plugin["spec"]["version"] = "1.2.3".into()),
        ("version", |plugin| plugin["spec"]["version"] = "v1.02.3".into()),
        ("version", |plugin| plugin["spec"]["version"] = "v1.2".into()),
        ("homepage", |plugin| plugin["spec"]["homepage"] = "carnet".into()),
        ("line length", |plugin| plugin["spec"]["caveats"] = "word ".repeat(20).into()),
        ("uri", |plugin| plugin["spec"]["platforms"][1]["uri"] = "https://example.com/a.tar.xz".into()),
        ("uri", |plugin| plugin["spec"]["platforms"][1]["uri"] = Value::Null),
        ("sha256", |plugin| plugin["spec"]["platforms"][1]["sha256"] = "A".repeat(64).into()),
        ("bin", |plugin| plugin["spec"]["platforms"][1]["bin"] = "".into()),
        ("files", |plugin| plugin["spec"]["platforms"][1]["files"] = Vec::<Value>::new().into()),
        ("from and to", |plugin| plugin["spec"]["platforms"][1]["files"][0]["to"] = "".into()),
        ("licence", |plugin| plugin["spec"]["platforms"][1]["files"][2]["from"] = "README.md".into()),
        ("selector", |plugin| plugin["spec"]["platforms"][1]["selector"] = Value::Null),
        ("selector keys", |plugin| plugin["spec"]["platforms"][1]["selector"]["matchLabels"]["libc"] = "musl".into()),
        ("supported platform", |plugin| plugin["spec"]["platforms"][1]["selector"]["matchLabels"]["os"] = "plan9".into()),
        ("overlapping selectors", |plugin| plugin["spec"]["platforms"][1]["selector"]["matchLabels"]["arch"] = "amd64".into()),
    ];
    for (rule, change) in cases {
        let mut plugin = parsed();
        change(&mut plugin);
        assert_eq!(krew::broken("carnet", &plugin), Some(*rule));
    }
    for name in ["kubectl carnet", "", "con", "../carnet"] {
        assert_eq!(krew::broken(name, &parsed()), Some("safe name"));
    }
}

#[test]
fn assets_are_named_for_what_they_are() {
    let plugin = parsed();
    let platforms = plugin["spec"]["platforms"].as_array().unwrap();
    let uris: BTreeSet<_> = platforms.iter().map(|platform| platform["uri"].as_str().unwrap()).collect();
    assert_eq!(uris.len(), platforms.len(), "one asset for two platforms");
    for platform in platforms {
        let labels = &platform["selector"]["matchLabels"];
        let (os, arch) = (labels["os"].as_str().unwrap(), labels["arch"].as_str().unwrap());
        let end = format!("/releases/download/{TAG}/carnet-{TAG}-{os}-{arch}.tar.gz");
        assert!(platform["uri"].as_str().unwrap().ends_with(&end), "{platform}");
    }
}

/// krew moves `files` into a folder of the version and links `bin` as the plugin
/// (`internal/installation/install.go`).
#[test]
fn what_is_installed_is_a_plugin_with_its_verifier() {
    let release = Installed::with_willing_verifier();
    fs::write(release.path("LICENSE"), "").unwrap();
    let krew = tempfile::tempdir().unwrap();
    let (store, bin) = (krew.path().join("store/carnet").join(TAG), krew.path().join("bin"));
    fs::create_dir_all(&store).unwrap();
    fs::create_dir(&bin).unwrap();
    for platform in parsed()["spec"]["platforms"].as_array().unwrap() {
        for file in platform["files"].as_array().unwrap() {
            assert_eq!(file["to"], ".");
            let name = file["from"].as_str().unwrap();
            copy(&release.path(name), &store.join(name));
        }
        let plugin = bin.join("kubectl-carnet");
        symlink(store.join(platform["bin"].as_str().unwrap()), &plugin).unwrap();
        let run = |words: &[&str]| {
            let output = Command::new(&plugin).env_clear().env("PATH", &bin).current_dir(&bin).args(words).output();
            Ended::of(&output.unwrap())
        };
        assert_eq!(run(&["verify", "a"]).good(), "started: a\n");
        // What the caveats say.
        let said = run(&["plugin", "install", "--for", "kubectl", "--dir", "."]).good();
        assert!(
            said.contains("there already: ./kubectl-carnet\n") && said.contains("linked ./kubectl_complete-carnet"),
            "{said}"
        );
        let said = run(&["plugin", "check", "--for", "kubectl"]);
        assert_eq!(said.status, Some(0), "{said:?}");
        for name in ["kubectl-carnet", "kubectl_complete-carnet"] {
            fs::remove_file(bin.join(name)).unwrap();
        }
        fs::remove_dir_all(&store).unwrap();
        fs::create_dir(&store).unwrap();
    }
}
