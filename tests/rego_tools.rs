//! `carnet policy inspect` and `carnet policy test`, as programs.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "starts the program and reads testdata")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

fn testdata(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata").join(name)
}

fn carnet(folder: &Path, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_carnet")).current_dir(folder).arg("policy").args(words).output().unwrap()
}

/// Status, standard output and standard error.
fn run(folder: &Path, words: &[&str]) -> (i32, String, String) {
    let output = carnet(folder, words);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

#[test]
fn every_form_of_inspect_is_that_of_conforma() {
    let here = testdata("rego/inspect");
    for form in ["text", "names", "short-names", "json"] {
        let (status, out, err) = run(&here, &["inspect", "--source", "./annotated", "-o", form]);
        assert_eq!((status, err.as_str()), (0, ""));
        assert_eq!(out, fs::read_to_string(here.join(format!("expect-annotated-{form}"))).unwrap(), "{form}");
    }
    let (status, yaml, _) = run(&here, &["inspect", "-s", "./annotated", "-o", "yaml"]);
    let json = fs::read_to_string(here.join("expect-annotated-json")).unwrap();
    let read: serde_json::Value = serde_yaml::from_str(&yaml).unwrap();
    assert_eq!((status, read), (0, serde_json::from_str(&json).unwrap()));
}

#[test]
fn inspect_reads_the_sources_of_a_policy_and_filters() {
    let here = testdata("rego/inspect");
    let policy = folder(&[("policy.yaml", "sources:\n- policy: [./annotated]\n- policy: [./rules/lib]\n  data: [./absent]\n")]);
    let policy = policy.path().join("policy.yaml").display().to_string();
    let (status, out, _) = run(&here, &["inspect", "--policy", &policy, "-o", "names"]);
    assert_eq!((status, out.lines().last()), (0, Some("lib.odd.a-b.odd")));
    let any = ["inspect", "-p", &policy, "-o", "names", "--collection", "minimal", "--rule", "odd"];
    assert_eq!(run(&here, &any).1, "release.signed\nlib.odd.a-b.odd\n");
}

#[test]
fn a_git_source_is_fetched_and_named_by_its_commit() {
    let folder = tempfile::tempdir().unwrap();
    let archive = fs::File::open(testdata("policy-sources/rules.git.tar")).unwrap();
    tar::Archive::new(archive).unpack(folder.path()).unwrap();
    let url = format!("git::file://{}/rules.git//policy?ref=main", folder.path().display());
    let (status, out, err) = run(folder.path(), &["inspect", "--source", &url, "-o", "text"]);
    assert_eq!(status, 0, "{err}");
    let first = out.lines().next().unwrap();
    assert!(first.ends_with("?ref=4d9c329f66bd963b6bc0732adff5d816f596ef85"), "{first}");
}

#[test]
fn inspect_says_what_it_cannot_read() {
    let bad = folder(&[("p/a.rego", "package a\ndeny[x] { x := 1 }\n"), ("q/a_test.rego", "package a\n"), ("r/x.txt", "")]);
    for (words, want) in [
        (vec!["inspect", "--source", "./p"], "carnet: error: file::./p: a.rego:2:"),
        (vec!["inspect", "--source", "./q"], "carnet: error: file::./q: no rego files found in policy subdirectory"),
        (vec!["inspect", "--source", "./r"], "carnet: error: "),
        (vec!["inspect", "--source", "./absent"], "carnet: error: "),
        (vec!["inspect", "--source", "http://example.test/x"], "carnet: error: attempting to download from insecure source"),
        (vec!["inspect", "--policy", "./absent.yaml"], "carnet: error: cannot read ./absent.yaml"),
        (vec!["inspect"], "carnet: error: the following required arguments were not provided"),
        (vec!["inspect", "--source", "./p", "-o", "spam"], "carnet: error: invalid value 'spam'"),
    ] {
        let (status, out, err) = run(bad.path(), &words);
        assert!(status == 2 && out.is_empty() && err.starts_with(want), "{words:?}: {status} {out} {err}");
    }
}

const TESTS: &str = "package a_test

test_good if data.numbers.one == 1

test_bad if 1 == 2

todo_test_later if false
";

#[test]
fn tests_are_run_and_those_that_fail_are_named_with_their_place() {
    let folder = folder(&[("a_test.rego", TESTS), ("numbers/n.yaml", "one: 1\n")]);
    let (status, out, err) = run(folder.path(), &["test", "."]);
    assert_eq!((status, err.as_str()), (1, ""));
    let lines: Vec<&str> = out.lines().map(|line| line.split(" (").next().unwrap()).collect();
    let rule = "-".repeat(80);
    assert_eq!(
        lines,
        [
            "a_test.rego:5:",
            "data.a_test.test_bad: FAIL",
            "a_test.rego:7:",
            "data.a_test.todo_test_later: SKIPPED",
            &rule,
            "PASS: 1/3",
            "FAIL: 1/3",
            "SKIPPED: 1/3",
        ]
    );
    assert_eq!(run(folder.path(), &["test", ".", "--run", "good$"]), (0, "PASS: 1/1\n".to_owned(), String::new()));
    let (status, out, _) = run(folder.path(), &["test", "a_test.rego", "-o", "json", "-r", "test_(good|bad)"]);
    let mut tests: serde_json::Value = serde_json::from_str(&out).unwrap();
    for test in tests.as_array_mut().unwrap() {
        assert!(test["duration"].take().is_u64());
    }
    let bad = |name: &str, row: u32| {
        serde_json::json!({
            "location": {"file": "a_test.rego", "row": row, "col": 1}, "package": "data.a_test", "name": name, "fail": true,
            "duration": null,
        })
    };
    // The file alone has no data.
    assert_eq!((status, tests), (1, serde_json::json!([bad("test_good", 3), bad("test_bad", 5)])));
}

#[test]
fn what_cannot_be_tested_is_no_pass() {
    let cases = "package a_test\n\ntest_case[name] if {\n\tsome name, n in {\"a\": 1, \"b\": 2}\n\tn == 1\n}\n";
    let asks = "package a_test\n\ntest_ask if ec.oci.blob(\"registry.test/a@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\")\n";
    for (text, words, want) in [
        (cases, vec!["test", "."], "a_test.rego:3:1: tests with cases, test_case[…], are not supported"),
        (asks, vec!["test", "."], "lookup not recorded: blob registry.test/a@sha256:e3b0"),
        ("package a\n", vec!["test", "."], "carnet: error: no test was found"),
        (TESTS, vec!["test", ".", "--run", "nothing"], "carnet: error: no test matches nothing"),
        ("package a\ntest_x if nope(1)\n", vec!["test", "."], "carnet: error: a_test.rego:2"),
        ("package a\ntest_x if {\n", vec!["test", "."], "carnet: error: a_test.rego:3:1: expecting expression"),
        (TESTS, vec!["test", "./absent"], "carnet: error: "),
        (TESTS, vec!["test", ".", "--run", "("], "carnet: error: invalid value '('"),
    ] {
        let folder = folder(&[("a_test.rego", text)]);
        let (status, out, err) = run(folder.path(), &words);
        assert!(status == 2 && format!("{out}{err}").contains(want), "{words:?}: {status} {out} {err}");
    }
}
