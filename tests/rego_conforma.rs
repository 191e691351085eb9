//! The unit tests of Conforma's own rules, when a checkout is at hand: name it
//! with `CARNET_CONFORMA_POLICY=DIR` (conforma/policy, or the older
//! enterprise-contract/ec-policies).
#![allow(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "reads a checkout and says when there is none"
)]

use std::{
    fs,
    path::{Path, PathBuf},
};

use carnet_policy::rego::{Data, File, Test, TestResult, run_tests};

fn checkout() -> Option<PathBuf> {
    let folder = std::env::var_os("CARNET_CONFORMA_POLICY").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("SKIPPED: set CARNET_CONFORMA_POLICY to a checkout of conforma/policy to run its unit tests");
    }
    folder
}

fn walk(folder: &Path, found: &mut Vec<(String, Vec<u8>)>) {
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for entry in entries {
        if entry.is_dir() {
            walk(&entry, found);
        } else if entry.extension().is_some_and(|extension| extension == "rego") {
            found.push((entry.to_string_lossy().into_owned(), fs::read(&entry).unwrap()));
        }
    }
}

/// As the project itself runs them: `opa test example/data/rule_data.yml policy checks`.
fn run(folder: &Path) -> Vec<Test> {
    let mut files = Vec::new();
    walk(&folder.join("policy"), &mut files);
    walk(&folder.join("checks"), &mut files);
    let files: Vec<File<'_>> = files.iter().map(|(path, bytes)| File { path, bytes }).collect();
    let yaml = fs::read(folder.join("example/data/rule_data.yml")).unwrap();
    let data = Data::merge(&[File { path: "rule_data.yml", bytes: &yaml }], None).unwrap();
    run_tests(&files, &data, "2026-03-01T12:00:00Z".parse().unwrap()).unwrap()
}

#[test]
fn every_unit_test_of_the_checkout_passes() {
    let Some(folder) = checkout() else { return };
    let tests = run(&folder);
    let others: Vec<_> = tests.iter().filter(|test| test.result != TestResult::Pass).collect();
    assert!(others.is_empty(), "{} of {}: {others:#?}", others.len(), tests.len());
    assert!(tests.len() >= 500, "{} tests", tests.len());
}
