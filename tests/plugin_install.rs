//! `carnet plugin install` and `carnet plugin check`: names are made where hosts
//! look, nothing of anybody else is touched, and what is wrong is said.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "plugin/installed.rs"]
mod installed;

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use installed::{Installed, copy, program};
use serde_json::Value;

const INSTALL: [&str; 2] = ["plugin", "install"];

/// Installs for kubectl into a directory of its own.
fn install(installed: &Installed, more: &[&str]) -> installed::Ended {
    installed.run("carnet", &[&INSTALL[..], &["--for", "kubectl", "--dir", "names"], more].concat())
}

fn names(installed: &Installed) -> Vec<String> {
    let entries = fs::read_dir(installed.path("names")).into_iter().flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn leads_to(path: &Path) -> PathBuf {
    fs::read_link(path).unwrap()
}

#[test]
fn names_are_links_to_the_program() {
    let installed = Installed::with_willing_verifier();
    let said = install(&installed, &["--dry-run"]).good();
    assert!(said.starts_with("would link names/kubectl-carnet -> ") && names(&installed).is_empty(), "{said}");
    let said = install(&installed, &[]).good();
    assert!(said.contains("linked names/kubectl-carnet -> ") && said.contains("note: PATH does not name names"), "{said}");
    assert_eq!(names(&installed), ["kubectl-carnet", "kubectl_complete-carnet"]);
    for name in names(&installed) {
        assert_eq!(leads_to(&installed.path("names").join(name)), installed.path("carnet"));
    }
    let again = install(&installed, &[]).good();
    assert_eq!(again.matches("there already: ").count(), 2, "{again}");
}

#[test]
fn a_link_to_a_link_leads_to_the_real_file() {
    let installed = Installed::with_willing_verifier();
    let elsewhere = tempfile::tempdir().unwrap();
    symlink(installed.path("carnet"), elsewhere.path().join("carnet")).unwrap();
    let ended = std::process::Command::new(elsewhere.path().join("carnet"))
        .args(["plugin", "install", "--for", "cosign", "--dir"])
        .arg(elsewhere.path())
        .output()
        .unwrap();
    assert!(ended.status.success(), "{ended:?}");
    assert_eq!(leads_to(&elsewhere.path().join("cosign-carnet")), installed.path("carnet"));
}

#[test]
fn nothing_of_somebody_else_is_touched() {
    type Make = fn(&Path);
    let cases: [(&str, Make); 3] = [
        ("a file", |path| fs::write(path, "mine").unwrap()),
        ("a directory", |path| fs::create_dir(path).unwrap()),
        ("an empty file", |path| fs::write(path, "").unwrap()),
    ];
    for (what, make) in cases {
        let installed = Installed::with_willing_verifier();
        fs::create_dir(installed.path("names")).unwrap();
        // The second name: the first is not made either.
        let place = installed.path("names/kubectl_complete-carnet");
        make(&place);
        let before = fs::read(&place).ok();
        for more in [&[][..], &["--force"], &["--copy"], &["--copy", "--force"], &["--dry-run"]] {
            let said = install(&installed, more).refused();
            assert!(said.contains("is a file of somebody else"), "{what} {more:?}: {said}");
            assert_eq!((names(&installed).len(), fs::read(&place).ok()), (1, before.clone()), "{what} {more:?}");
        }
    }
}

#[test]
fn a_link_elsewhere_is_replaced_only_by_force() {
    for target in ["/bin/sh", "/nowhere/carnet"] {
        let installed = Installed::with_willing_verifier();
        fs::create_dir(installed.path("names")).unwrap();
        let place = installed.path("names/kubectl-carnet");
        symlink(target, &place).unwrap();
        for more in [&[][..], &["--copy", "--force"]] {
            let said = install(&installed, more).refused();
            assert!(said.contains(&format!("leads to {target}")) && said.contains("--force"), "{said}");
            assert_eq!(leads_to(&place), Path::new(target));
        }
        install(&installed, &["--force"]).good();
        assert_eq!(leads_to(&place), installed.path("carnet"));
    }
}

#[test]
fn copies_take_the_verifier_along() {
    let installed = Installed::with_willing_verifier();
    install(&installed, &["--copy"]).good();
    assert_eq!(names(&installed), ["carnet-verify", "kubectl-carnet", "kubectl_complete-carnet"]);
    let said = installed.run("names/kubectl-carnet", &["verify", "a"]).good();
    assert_eq!(said, "started: a\n");
    assert_eq!(install(&installed, &["--copy"]).good().matches("there already: ").count(), 3);
    // A verifier of somebody else is not replaced, and not trusted.
    fs::remove_file(installed.path("names/kubectl-carnet")).unwrap();
    program(&installed.path("names/carnet-verify"), "echo pass");
    let said = install(&installed, &["--copy", "--force"]).refused();
    assert!(said.contains("carnet-verify is a file of somebody else"), "{said}");
}

#[test]
fn without_its_verifier_nothing_is_installed() {
    for installed in [Installed::without_verifier(), Installed::with_script("echo carnet-verify 9.9.9")] {
        let said = install(&installed, &[]).refused();
        assert!(said.contains("carnet-verify") && names(&installed).is_empty(), "{said}");
    }
}

#[test]
fn a_directory_that_cannot_be_written_is_an_error() {
    let installed = Installed::with_willing_verifier();
    fs::write(installed.path("names"), "a file").unwrap();
    let said = install(&installed, &[]).refused();
    assert!(said.contains("cannot write names/kubectl-carnet"), "{said}");
}

#[test]
fn each_host_has_its_own_place() {
    let installed = Installed::with_willing_verifier();
    let config = installed.path("docker");
    let said =
        installed.run_with("carnet", &["plugin", "install", "--for", "docker,kubectl"], &[("DOCKER_CONFIG", &config)]).good();
    assert!(!said.contains("note: "), "{said}");
    assert_eq!(leads_to(&config.join("cli-plugins/docker-carnet")), installed.path("carnet"));
    assert_eq!(leads_to(&installed.path("kubectl-carnet")), installed.path("carnet"));
    let said = installed.run("carnet", &["plugin", "install", "--for", "docker,cosign"]).good();
    assert!(said.contains("home/.docker/cli-plugins/docker-carnet") && said.contains("cosign starts no plugins"), "{said}");
}

/// `plugin check` for programs: its status and what it says of each name.
fn check(installed: &Installed, more: &[&str], path: &[&Path]) -> (i32, Value) {
    let path = std::env::join_paths(path).unwrap();
    let arguments = [&["plugin", "check", "-o", "json"], more].concat();
    let ended = installed.run_with("carnet", &arguments, &[("PATH", Path::new(&path))]);
    (ended.status.unwrap(), serde_json::from_str(&ended.out).unwrap())
}

fn state<'a>(survey: &'a Value, name: &str) -> &'a Value {
    let names = survey["hosts"].as_array().unwrap().iter().flat_map(|host| host["names"].as_array().unwrap());
    names.into_iter().find(|have| have["name"] == name).map_or(&Value::Null, |have| &have["state"])
}

#[test]
fn a_check_says_what_each_host_finds() {
    let installed = Installed::with_willing_verifier();
    let own = installed.path("");
    // Nothing is installed: nothing is wrong, unless somebody counts on it.
    let (status, survey) = check(&installed, &[], &[&own]);
    assert_eq!((status, state(&survey, "kubectl-carnet")), (0, &"missing".into()));
    assert_eq!(check(&installed, &["--for", "kubectl"], &[&own]).0, 1);
    for name in ["kubectl-carnet", "kubectl_complete-carnet", "cosign-carnet"] {
        installed.link(name);
    }
    let (status, survey) = check(&installed, &["--for", "kubectl,cosign"], &[&own]);
    assert_eq!(status, 0, "{survey}");
    assert_eq!(survey["verifier"]["found"], installed.path("carnet-verify").to_str().unwrap());
    assert!(
        ["kubectl-carnet", "kubectl_complete-carnet", "cosign-carnet"].iter().all(|name| state(&survey, name) == "ok"),
        "{survey}"
    );
    // Not on PATH: not found.
    assert_eq!(check(&installed, &["--for", "kubectl"], &[Path::new("/nowhere")]).0, 1);
}

#[test]
fn a_check_finds_who_stands_in_the_way() {
    let installed = Installed::with_willing_verifier();
    installed.link("kubectl-carnet").link("kubectl_complete-carnet");
    let (own, first) = (installed.path(""), installed.path("first"));
    let path: [&Path; 2] = [&first, &own];
    fs::create_dir(&first).unwrap();
    program(&first.join("kubectl-carnet"), "echo pass");
    let (status, survey) = check(&installed, &[], &path);
    assert_eq!((status, state(&survey, "kubectl-carnet")), (1, &"other".into()), "{survey}");
    fs::remove_file(first.join("kubectl-carnet")).unwrap();

    // What cannot be started is not found, so the next one is.
    fs::write(first.join("kubectl-carnet"), "").unwrap();
    assert_eq!(state(&check(&installed, &[], &path).1, "kubectl-carnet"), "ok");
    assert_eq!(state(&check(&installed, &[], &[&first]).1, "kubectl-carnet"), "not-executable");
    fs::remove_file(first.join("kubectl-carnet")).unwrap();

    // The longest name wins, wherever on PATH.
    program(&own.join("kubectl-carnet-verify"), "echo pass");
    let (status, survey) = check(&installed, &[], &path);
    assert_eq!((status, state(&survey, "kubectl-carnet-verify")), (1, &"other".into()), "{survey}");
    fs::remove_file(own.join("kubectl-carnet-verify")).unwrap();
    for target in ["carnet-verify", "carnet"] {
        symlink(own.join(target), own.join("kubectl-carnet-verify")).unwrap();
        let (status, survey) = check(&installed, &[], &path);
        assert_eq!((status, state(&survey, "kubectl-carnet-verify")), (0, &"ok".into()), "{survey}");
        fs::remove_file(own.join("kubectl-carnet-verify")).unwrap();
    }

    // A copy judges with the verifier beside it.
    copy(&own.join("carnet"), &first.join("kubectl-carnet"));
    assert_eq!(state(&check(&installed, &[], &path).1, "kubectl-carnet"), "no-verifier");
    copy(&own.join("carnet-verify"), &first.join("carnet-verify"));
    assert_eq!(state(&check(&installed, &[], &path).1, "kubectl-carnet"), "ok");
}

#[test]
fn a_check_looks_where_docker_looks() {
    let installed = Installed::with_willing_verifier();
    let (config, extra) = (installed.path("docker"), installed.path("extra"));
    fs::create_dir_all(config.join("cli-plugins")).unwrap();
    fs::create_dir(&extra).unwrap();
    let check = || {
        let ended = installed.run_with("carnet", &["plugin", "check", "--for", "docker"], &[("DOCKER_CONFIG", &config)]);
        (ended.status.unwrap(), ended.out)
    };
    assert_eq!(check().0, 1);
    symlink(installed.path("carnet"), config.join("cli-plugins/docker-carnet")).unwrap();
    let (status, said) = check();
    assert!(status == 0 && said.contains("docker-carnet: ok"), "{said}");
    // The directories of docker's configuration come first.
    fs::write(config.join("config.json"), serde_json::json!({ "cliPluginsExtraDirs": [extra] }).to_string()).unwrap();
    program(&extra.join("docker-carnet"), "echo pass");
    let (status, said) = check();
    assert!(status == 1 && said.contains("docker-carnet: WRONG: another program: ") && said.contains("to do: "), "{said}");
}

#[test]
fn a_check_says_that_the_verifier_is_wrong() {
    for installed in [Installed::without_verifier(), Installed::with_script("echo carnet-verify 9.9.9")] {
        let ended = installed.run("carnet", &["plugin", "check"]);
        assert_eq!(ended.status, Some(1));
        assert!(
            ended.out.contains("carnet-verify: WRONG: ") && ended.out.ends_with("something is to be done\n"),
            "{}",
            ended.out
        );
    }
}

#[test]
fn kubectl_says_where_it_is() {
    let installed = Installed::with_willing_verifier();
    let kubectl = installed.path("elsewhere/kubectl");
    let ended = installed.run_with("carnet", &["plugin", "check"], &[("KUBECTL_PATH", &kubectl)]);
    assert!(ended.out.contains(&format!("kubectl: {}", kubectl.display())), "{}", ended.out);
    program(&installed.path("kubectl"), "exit 0");
    let ended = installed.run("carnet", &["plugin", "check"]);
    assert!(ended.out.contains(&format!("kubectl: {}", installed.path("kubectl").display())), "{}", ended.out);
}
