//! `carnet verify` starts the verifier that belongs to it, and no other program.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
};

/// A directory with a copy of `carnet` and, if given, a script in the verifier's
/// place.
fn installed(verifier: Option<&str>) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let carnet = dir.path().join("carnet");
    fs::copy(env!("CARGO_BIN_EXE_carnet"), &carnet).unwrap();
    if let Some(script) = verifier {
        program(&dir.path().join("carnet-verify"), script);
    }
    (dir, carnet)
}

fn program(path: &Path, script: &str) {
    fs::write(path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A verifier of this version that says how it was called and passes everything.
fn willing() -> String {
    let version = env!("CARGO_PKG_VERSION");
    format!("if [ \"$1\" = --version ]; then echo carnet-verify {version}; else echo \"started: $*\"; fi")
}

fn run(carnet: &Path, path: &Path) -> (Option<i32>, String, String) {
    let output = Command::new(carnet).args(["verify", "a.tar", "--help", "-o", "x"]).env("PATH", path).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn the_verifier_beside_it_gets_the_arguments_as_they_are() {
    let (dir, carnet) = installed(Some(&willing()));
    let (status, out, _) = run(&carnet, dir.path());
    assert_eq!((status, out.as_str()), (Some(0), "started: a.tar --help -o x\n"));
}

#[test]
fn a_verifier_in_the_path_is_never_started() {
    let (elsewhere, _) = installed(Some(&willing()));
    let (_dir, carnet) = installed(None);
    let (status, out, err) = run(&carnet, elsewhere.path());
    assert_eq!((status, out.as_str()), (Some(2), ""));
    assert!(err.contains("is not there") && err.contains("hint: "), "{err}");
}

#[test]
fn a_link_to_carnet_starts_the_verifier_beside_the_real_file() {
    let (_dir, carnet) = installed(Some(&willing()));
    let links = tempfile::tempdir().unwrap();
    program(&links.path().join("carnet-verify"), "echo wrong");
    symlink(&carnet, links.path().join("carnet")).unwrap();
    let (status, out, _) = run(&links.path().join("carnet"), links.path());
    assert_eq!((status, out.as_str()), (Some(0), "started: a.tar --help -o x\n"));
}

#[test]
fn a_verifier_of_another_version_is_not_started() {
    let (dir, carnet) = installed(Some("echo carnet-verify 9.9.9"));
    let (status, out, err) = run(&carnet, dir.path());
    assert_eq!((status, out.as_str()), (Some(2), ""));
    assert!(err.contains("9.9.9") && err.contains("hint: "), "{err}");
}

#[test]
fn a_verifier_that_a_signal_ends_gives_no_verdict() {
    let (dir, carnet) = installed(Some(&format!("{}\n[ \"$1\" = --version ] || kill -9 $$", willing())));
    assert_eq!(run(&carnet, dir.path()).0, Some(2));
}
