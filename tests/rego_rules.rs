//! Rules that the engine alone would evaluate differently from OPA: every test
//! rule under `testdata/rego` passes.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "reads testdata")]

use std::{fs, path::Path};

use carnet_policy::rego::{Data, File, Test, TestResult, run_tests};

fn folder(name: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/rego").join(name);
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(path).unwrap())).collect()
}

fn run(name: &str) -> Vec<Test> {
    let files = folder(name);
    let of = |extension: &str| -> Vec<File<'_>> {
        files.iter().filter(|(path, _)| path.ends_with(extension)).map(|(path, bytes)| File { path, bytes }).collect()
    };
    let data = Data::merge(&of(".yaml"), None).unwrap();
    run_tests(&of(".rego"), &data, "2026-03-01T12:00:00Z".parse().unwrap()).unwrap()
}

fn all_pass(name: &str, least: usize) {
    let tests = run(name);
    let others: Vec<_> = tests.iter().filter(|test| test.result != TestResult::Pass).collect();
    assert!(others.is_empty(), "{others:#?}");
    assert!(tests.len() >= least, "{}", tests.len());
}

#[test]
fn rules_mean_what_they_mean_in_opa() {
    all_pass("passes", 45);
}

#[test]
fn functions_answer_as_in_opa_and_conforma() {
    all_pass("functions", 20);
}
