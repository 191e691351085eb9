//! The failures of other verifiers, T1 to T52, each with what shows that it is not
//! repeated here: `test_numbers.tsv`.
//!
//! A place is a test (`file::function`), a fuzz target, a case of a suite that has its
//! cases in a table (`suite::case`), or a vector of `testdata`. Each is looked up in the
//! sources, so that a test that is renamed or removed is missed here.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    clippy::unwrap_used,
    reason = "a test reads its data, and says so when it is not there"
)]

use std::{
    fs,
    path::{Path, PathBuf},
};

use carnet_policy::{
    Reading,
    document::SourceGroup,
    rego::{Data, File, Filter, Group, Limits, Settings},
};

const NUMBERS: std::ops::RangeInclusive<u32> = 1..=52;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn every_number_is_shown_by_something_that_is_there() {
    let table = fs::read_to_string(root().join("tests/test_numbers.tsv")).unwrap();
    let mut numbers = Vec::new();
    let mut missing = Vec::new();
    for line in table.lines().skip(1) {
        let [number, _, places] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        numbers.push(number.parse::<u32>().unwrap());
        missing.extend(places.split("; ").filter(|place| !is_there(place)).map(|place| format!("T{number}: {place}")));
    }
    assert!(missing.is_empty(), "not there:\n{}", missing.join("\n"));
    assert_eq!(numbers, NUMBERS.collect::<Vec<_>>());
}

fn is_there(place: &str) -> bool {
    if let Some((file, name)) = place.split_once("::") {
        return is_test(file, name) || is_case(file, name);
    }
    let (sort, name) = place.split_once(':').unwrap();
    let testdata = root().join("testdata");
    match sort {
        "ci" => fs::read_to_string(root().join(".ci/run")).unwrap().contains(&format!("check \"{name}\"")),
        "conformance" => testdata.join("sigstore-conformance/bundle-verify").join(name).is_dir(),
        "forge" => testdata.join("forge").join(name).join("expect.json").is_file(),
        "golden" => testdata.join("goldens").join(name).is_dir(),
        "mutation" => testdata.join("evidence/mutations").join(name).is_file(),
        _ => false,
    }
}

/// A function with `#[test]` above it, or a fuzz target.
fn is_test(file: &str, name: &str) -> bool {
    let text = fs::read_to_string(root().join(file)).unwrap_or_default();
    let function = format!("fn {name}(");
    let declared = |(at, line): (usize, &str)| {
        line.contains(&function) && text.lines().take(at).skip(at.saturating_sub(4)).any(|above| above.contains("test]"))
    };
    text.lines().enumerate().any(declared) || text.contains(&format!("target!({name},"))
}

/// A row of a suite that has its cases in tables, beside the file of the suite.
fn is_case(file: &str, name: &str) -> bool {
    let folder = root().join(file.trim_end_matches(".rs"));
    let parts = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    let texts = parts.chain([root().join(file)]).map(|path| fs::read_to_string(path).unwrap_or_default());
    texts.into_iter().any(|text| text.contains(&format!("name: \"{name}\"")))
}

/// T35: a function that is banned is not to be had under the name of an allowed one.
#[test]
fn with_brings_no_banned_function_back() {
    for (rule, want) in [
        ("deny contains \"x\" if count({}) == 0 with count as http.send", "http"),
        ("deny contains \"x\" if { f({}) with f as http.send }\nf(_) := 1", "http"),
        ("deny contains \"x\" if count([]) == 0 with count as opa.runtime", "opa"),
        ("deny contains \"x\" if { true with http.send as 1 }", "http"),
        ("deny contains \"x\" if { true with http as {\"send\": 1} }", "http"),
    ] {
        let text = format!("package p\n\nimport rego.v1\n\n{rule}\n");
        let (data, group) = (Data::empty(), SourceGroup::default());
        let now = "2026-11-25T00:00:00Z".parse().unwrap();
        let settings = Settings {
            source: &group,
            configuration: None,
            effective_time: now,
            now,
            reading: Reading::Strict,
            filter: Filter::IncludeExclude,
            limits: Limits::default(),
        };
        let error = Group::load(&[File { path: "p.rego", bytes: text.as_bytes() }], &data, &settings).unwrap_err();
        assert!(error.to_string().contains(want) && error.to_string().starts_with("p.rego:5"), "{rule}: {error}");
    }
}
