//! `carnet verify` starts the verifier that belongs to it, and no other program.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "plugin/installed.rs"]
mod installed;

use std::{os::unix::fs::symlink, path::Path};

use installed::{Ended, Installed, program, willing};

const ARGUMENTS: [&str; 5] = ["verify", "a.tar", "--no-color", "-o", "x"];

fn run(installed: &Installed, path: &Path) -> Ended {
    installed.run_with("carnet", &ARGUMENTS, &[("PATH", path)])
}

#[test]
fn the_verifier_beside_it_gets_the_arguments_as_they_are() {
    let installed = Installed::with_willing_verifier();
    assert_eq!(run(&installed, installed.dir()).good(), "started: a.tar --no-color -o x\n");
}

#[test]
fn a_verifier_in_the_path_is_never_started() {
    let elsewhere = Installed::with_willing_verifier();
    let said = run(&Installed::without_verifier(), elsewhere.dir()).refused();
    assert!(said.contains("is not there"), "{said}");
}

#[test]
fn a_link_to_carnet_starts_the_verifier_beside_the_real_file() {
    let installed = Installed::with_willing_verifier();
    for name in ["carnet", "cosign-carnet", "docker-carnet", "kubectl-carnet"] {
        let links = Installed::with_script("echo wrong");
        std::fs::remove_file(links.path("carnet")).unwrap();
        symlink(installed.path("carnet"), links.path(name)).unwrap();
        let ended = links.run(name, &["verify", "a.tar", "--no-color", "-o", "x.json"]);
        assert_eq!(ended.good(), "started: a.tar --no-color -o x.json\n", "{name}");
    }
}

#[test]
fn a_verifier_of_another_version_is_not_started() {
    let installed = Installed::with_script("echo carnet-verify 9.9.9");
    let said = run(&installed, installed.dir()).refused();
    assert!(said.contains("9.9.9"), "{said}");
}

#[test]
fn what_a_verifier_says_of_itself_cannot_steer_the_terminal() {
    let installed = Installed::with_script("printf 'carnet-verify \\033[2J\\n'");
    let said = run(&installed, installed.dir()).refused();
    assert!(!said.contains('\u{1b}') && said.contains("u{1b}"), "{said:?}");
}

#[test]
fn a_verifier_that_a_signal_ends_gives_no_verdict() {
    let installed = Installed::with_script(&format!("{}\n[ \"$1\" = --version ] || kill -9 $$", willing()));
    assert_eq!(run(&installed, installed.dir()).status, Some(2));
    // And one that ends by itself gives its own.
    for status in [0, 1, 2] {
        let installed = Installed::with_script(&format!("{}\n[ \"$1\" = --version ] || exit {status}", willing()));
        assert_eq!(run(&installed, installed.dir()).status, Some(status));
    }
    program(&installed.path("carnet-verify"), &willing());
    assert_eq!(run(&installed, installed.dir()).status, Some(0));
}
