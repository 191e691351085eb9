//! `carnet inspect` and `carnet tree`: what an archive holds, for people and
//! programs, without anything that could steer a terminal.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;

fn testdata(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata").join(path)
}

fn carnet(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_carnet")).env_clear().args(arguments).output().unwrap()
}

fn text(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

struct Stage(tempfile::TempDir);

impl Stage {
    /// An archive of a layout of `testdata/layouts/local-sigstore`.
    fn new(layout: &str, extra: &[&str]) -> Self {
        let stage = Self(tempfile::tempdir().unwrap());
        let from = format!("oci:{}", testdata("layouts/local-sigstore").join(layout).display());
        let archive = stage.archive();
        let own = ["export", "r.example/demo/app:v1", "--from", &from, "--reproducible", "-q", "-o", &archive];
        let ended = carnet(&[own.as_slice(), extra].concat());
        assert_eq!(ended.status.code(), Some(0), "{ended:?}");
        stage
    }

    fn archive(&self) -> String {
        self.0.path().join("app.carnet.tar").to_str().unwrap().to_owned()
    }
}

#[test]
fn the_overview_is_the_same_in_every_form() {
    let root = testdata("trust/local-sigstore/trusted_root.json");
    let stage = Stage::new("multi", &["--trusted-root", root.to_str().unwrap(), "--platform", "linux/amd64"]);
    let json = text(&carnet(&["inspect", &stage.archive(), "-o", "json"]));
    let overview: Value = serde_json::from_str(&json).unwrap();
    let count = |list: &str| overview[list].as_array().unwrap().len();
    assert_eq!(["images", "evidence", "trustMaterial", "documents", "policySources", "absent"].map(count), [1, 6, 1, 0, 0, 1]);
    assert_eq!(overview["findings"][0]["code"], "platform-not-carried");
    assert_eq!(overview["images"][0]["platforms"][1]["held"], false);
    let yaml = text(&carnet(&["inspect", &stage.archive(), "--output", "yaml"]));
    let same: Value = serde_yaml::from_str(&yaml).unwrap();
    assert_eq!(same, overview);
    let page = text(&carnet(&["inspect", &stage.archive()]));
    for part in [
        format!("bundle id:  {}", overview["id"].as_str().unwrap()),
        format!("content id: {}", overview["contentId"].as_str().unwrap()),
        "image r.example/demo/app:v1".to_owned(),
        "  linux/amd64: sha256:195937159d1c32febcfd5832f57c7b8e21c4c52e697822cfefa223536522aa37".to_owned(),
        "07aff090562c8c5980769394749274076ed89f8a3962f601fc609cb835b30316, left out".to_owned(),
        "evidence: 6 pieces, unverified here".to_owned(),
        "  2 sigstore-bundle https://slsa.dev/provenance/v1".to_owned(),
        "absent: 1 child (555 B), platform-not-requested".to_owned(),
        "  trusted_root.json (4.9 KiB) sha256:6541b71a".to_owned(),
    ] {
        assert!(page.contains(&part), "{part}: {page}");
    }
}

#[test]
fn the_tree_shows_evidence_where_it_belongs() {
    let stage = Stage::new("extra-referrers", &[]);
    let tree = text(&carnet(&["tree", &stage.archive()]));
    let lines: Vec<_> = tree.lines().collect();
    assert!(lines[0].starts_with("r.example/demo/app:v1 sha256:"), "{tree}");
    assert_eq!(lines.len(), 6, "{tree}");
    let sbom = lines.iter().position(|line| line.contains(" sbom sha256:")).unwrap();
    assert!(lines[sbom + 1].contains("└── sigstore-bundle"), "{tree}");
    let depth = |line: &str| line.chars().take_while(|c| !c.is_ascii_alphabetic()).count();
    assert!(depth(lines[sbom + 1]) > depth(lines[sbom]), "{tree}");

    let stage = Stage::new("multi", &[]);
    let tree = text(&carnet(&["tree", &stage.archive()]));
    assert_eq!((tree.matches("linux/").count(), tree.matches("sigstore-bundle").count()), (2, 9), "{tree}");
}

#[test]
fn a_damaged_archive_is_shown_with_what_is_wrong() {
    let stage = Stage::new("app", &[]);
    let mut bytes = fs::read(stage.archive()).unwrap();
    let end = bytes.len() - 1024;
    let last = (0..end).rev().find(|at| bytes[*at] != 0).unwrap();
    bytes[last] ^= 1;
    fs::write(stage.archive(), bytes).unwrap();
    let page = text(&carnet(&["inspect", &stage.archive()]));
    assert!(page.contains("blob-digest-mismatch"), "{page}");
    assert!(page.contains("1 of them here"), "{page}");
    fs::write(stage.archive(), b"no archive").unwrap();
    for command in ["inspect", "tree"] {
        let ended = carnet(&[command, &stage.archive()]);
        assert_eq!(ended.status.code(), Some(2), "{ended:?}");
        let said = String::from_utf8(ended.stderr).unwrap();
        assert!(said.starts_with("carnet: error: ") && said.lines().last().unwrap().starts_with("hint: "), "{said}");
    }
}

#[test]
fn control_characters_never_reach_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let odd = folder.path().join("evil\u{1b}]0;owned\u{7}\u{202e}.json");
    let layout = testdata("layouts/local-sigstore/app");
    let bundle = fs::read_dir(layout.join("blobs/sha256")).unwrap().map(|file| fs::read(file.unwrap().path()).unwrap());
    let bundle =
        bundle.into_iter().find(|bytes| bytes.starts_with(b"{\"mediaType\":\"application/vnd.dev.sigstore.bundle")).unwrap();
    fs::write(&odd, bundle).unwrap();
    let stage = Stage::new("app", &["--evidence", odd.to_str().unwrap()]);
    for arguments in [&["inspect"][..], &["inspect", "-o", "json"], &["inspect", "-o", "yaml"], &["tree"]] {
        let page = text(&carnet(&[arguments, &[&stage.archive()]].concat()));
        let is_steering = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!page.contains(is_steering), "{arguments:?}: {page:?}");
        assert!(arguments[0] == "tree" || page.contains("evil"), "{page}");
    }
}
