//! Every recorded run of the real `ec` in `testdata/goldens`, taken over the whole
//! crossing: exported from its layouts, judged from the archive, compared.
//!
//! Exit status 0 is 0, 1 with a report is 1, 1 without a report is 2. Reports are
//! equal by value and order of members, texts by bytes; what changes from run to
//! run, and what carnet adds, stands aside. Where carnet means to differ,
//! `differences.json` says how and why, and `--compat ec` gives the recorded outcome.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use libtest_mimic::{Arguments, Failed, Trial};
use serde::Deserialize;

#[path = "support/golden_reports.rs"]
mod golden_reports;
#[path = "support/golden_runs.rs"]
mod golden_runs;

use golden_reports::compare;
use golden_runs::{Case, Outcome, verifier};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    differences: BTreeMap<String, Difference>,
    open: BTreeMap<String, Open>,
}

/// An outcome that is meant to be another one.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Difference {
    /// Why.
    reason: String,
    /// Flags that the crossing needs and `ec` does not; with them the outcome is
    /// the recorded one.
    #[serde(default)]
    flags: Vec<String>,
    /// What is exported where the case itself names nothing.
    #[serde(default)]
    exports: Option<String>,
    /// Exit status of carnet.
    #[serde(default)]
    exit: Option<i32>,
    /// What is said: a finding's code, or words of the message.
    #[serde(default)]
    says: Vec<String>,
    /// Whether `--compat ec` gives the recorded outcome.
    #[serde(default)]
    compat: bool,
}

/// An outcome that is not yet what it should be.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Open {
    /// What is missing.
    missing: String,
    /// Exit status of carnet today.
    exit: i32,
}

fn main() {
    let table: Table = serde_json::from_slice(&fs::read(root().join("differences.json")).unwrap()).unwrap();
    verifier();
    let names = cases();
    let mut trials: Vec<Trial> = names.iter().map(|name| trial(name, &table)).collect();
    let (listed, names) = (table.differences.into_keys().chain(table.open.into_keys()).collect(), names);
    trials.push(Trial::test("every_difference_has_a_case", move || known(listed, &names)));
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

fn trial(name: &str, table: &Table) -> Trial {
    let mut case = Case::read(&root(), name);
    case.exports = table.differences.get(name).and_then(|difference| difference.exports.clone());
    match (table.differences.get(name).cloned(), table.open.get(name).cloned()) {
        (None, None) => Trial::test(name, move || compare(&case, &case.run(&[])).map_err(Failed::from)),
        (Some(difference), None) => Trial::test(name, move || differs(&case, &difference)),
        (None, Some(open)) => Trial::test(name, move || is_open(&case, &open)),
        (Some(_), Some(_)) => panic!("{name} stands in both lists"),
    }
}

fn differs(case: &Case, difference: &Difference) -> Result<(), Failed> {
    expect(!difference.reason.is_empty(), || "a difference without a reason".to_owned())?;
    if !difference.flags.is_empty() {
        let flags: Vec<&str> = difference.flags.iter().map(String::as_str).collect();
        return Ok(compare(case, &case.run(&flags))?);
    }
    let outcome = case.run(&[]);
    expect(compare(case, &outcome).is_err(), || "equals the recorded outcome: take it off the list".to_owned())?;
    expect(Some(outcome.exit) == difference.exit, || format!("{outcome:#?}"))?;
    for text in &difference.says {
        expect(says(&outcome, text), || format!("nothing says {text:?}: {outcome:#?}"))?;
    }
    let with_compat = compare(case, &case.run(&["--compat", "ec"]));
    match (difference.compat, with_compat) {
        (true, Err(reason)) => Err(format!("--compat ec: {reason}").into()),
        (false, Ok(())) => Err("--compat ec gives the recorded outcome, and the table denies it".into()),
        _ => Ok(()),
    }
}

/// Today's outcome is held, so that a change of it is noticed.
fn is_open(case: &Case, open: &Open) -> Result<(), Failed> {
    expect(!open.missing.is_empty(), || "nothing is missing?".to_owned())?;
    let outcome = case.run(&[]);
    expect(compare(case, &outcome).is_err(), || "equals the recorded outcome: take it off the list".to_owned())?;
    expect(outcome.exit == open.exit, || format!("{outcome:#?}"))
}

fn says(outcome: &Outcome, text: &str) -> bool {
    let files = outcome.files.values().map(String::as_str);
    files.chain([outcome.stdout.as_str(), outcome.stderr.as_str()]).any(|said| said.contains(text))
}

fn known(listed: Vec<String>, names: &[String]) -> Result<(), Failed> {
    let unknown: Vec<_> = listed.into_iter().filter(|name| !names.contains(name)).collect();
    expect(unknown.is_empty(), || format!("no such cases: {unknown:?}"))
}

fn cases() -> Vec<String> {
    let entries = fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path());
    let cases = entries.filter(|path| path.join("cmd.json").exists());
    let mut names: Vec<_> = cases.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/goldens").canonicalize().unwrap()
}

fn expect(holds: bool, why: impl FnOnce() -> String) -> Result<(), Failed> {
    if holds { Ok(()) } else { Err(why().into()) }
}
