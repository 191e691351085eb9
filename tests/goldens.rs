//! Every recorded run of the real `ec` in `testdata/goldens`, taken over the whole
//! crossing: exported from its layouts, judged from the archive, compared.
//!
//! Exit status 0 is 0, 1 with a report is 1, 1 without a report is 2. Reports are
//! equal by value and order of members, texts by bytes; what changes from run to
//! run, and what carnet adds, stands aside. Where carnet means to differ,
//! `differences.json` says how and why, and `--compat ec` gives the recorded outcome.

#![allow(clippy::print_stderr, clippy::unwrap_used, reason = "a test may panic, and says what it leaves out")]

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
};

use libtest_mimic::{Arguments, Failed, Trial};
use serde::Deserialize;
use serde_json::Value;

#[path = "support/golden_layouts.rs"]
mod golden_layouts;
#[path = "support/golden_reports.rs"]
mod golden_reports;
#[path = "support/golden_runs.rs"]
mod golden_runs;

use golden_layouts::verifier;
use golden_reports::compare;
use golden_runs::{Case, Outcome};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    differences: BTreeMap<String, Difference>,
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
    /// How carnet's report differs from the recorded one: operations of a JSON patch.
    #[serde(default)]
    report: Vec<Change>,
    /// The same for reports that were written to a file: the text there, and here.
    #[serde(default)]
    files: BTreeMap<String, Vec<(String, String)>>,
    /// The case whose recorded report is carnet's here.
    #[serde(default)]
    report_of: Option<String>,
    /// The folder in which the recording had its git repositories, where a file in
    /// one of them names it.
    #[serde(default)]
    git: Option<String>,
    /// What is said: a finding's code, or words of the message.
    #[serde(default)]
    says: Vec<String>,
    /// Whether `--compat ec` gives the recorded outcome.
    #[serde(default)]
    compat: bool,
}

/// One operation on a report; `path` is a JSON pointer, and a new member stands
/// after the one that is named.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "lowercase", tag = "op")]
enum Change {
    Add { path: String, after: Option<String>, value: Value },
    Remove { path: String },
    Replace { path: String, value: Value },
}

fn main() {
    let table: Table = serde_json::from_slice(&fs::read(root().join("differences.json")).unwrap()).unwrap();
    verifier();
    let names = cases();
    let mut trials: Vec<Trial> = names.iter().map(|name| trial(name, &table)).collect();
    let (listed, names) = (table.differences.into_keys().collect(), names);
    trials.extend(release_rules());
    trials.push(Trial::test("every_difference_has_a_case", move || known(listed, &names)));
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

fn trial(name: &str, table: &Table) -> Trial {
    let difference = table.differences.get(name).cloned();
    let mut case = Case::read(&root(), name, difference.as_ref().and_then(|difference| difference.git.as_deref()));
    match difference {
        None => Trial::test(name, move || compare(&case, &case.run(&[])).map_err(Failed::from)),
        Some(difference) => {
            case.exports.clone_from(&difference.exports);
            Trial::test(name, move || differs(&case, &difference))
        }
    }
}

/// The recorded runs of Conforma's own release rules, with a checkout of them.
fn release_rules() -> Vec<Trial> {
    let Some(checkout) = env::var_os("CARNET_CONFORMA_POLICY").map(PathBuf::from) else {
        eprintln!("SKIPPED: set CARNET_CONFORMA_POLICY to a checkout of conforma/policy");
        return Vec::new();
    };
    let trial = |name: &str| {
        let mut case = Case::read(&root(), &format!("release-policy/{name}"), None);
        case.beside = Some(("conforma-policy", checkout.clone()));
        case.empty = Some("registry.localhost:5055/golden/tasks");
        let compat = case.clone();
        [
            Trial::test(name, move || compare(&case, &case.run(&[])).map_err(Failed::from)),
            Trial::test(format!("{name} --compat ec"), move || Ok(compare(&compat, &compat.run(&["--compat", "ec"]))?)),
        ]
    };
    ["01-default-app", "02-slsa3-app", "03-chosen-pass-app", "04-v1-appb-and-worker"].into_iter().flat_map(trial).collect()
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
    match report(case, difference) {
        Some(report) => {
            let mut own = case.clone();
            (own.exit, own.stdout) = (outcome.exit, report);
            for (name, changes) in &difference.files {
                let recorded = own.files.get_mut(name).ok_or("no such file was recorded")?;
                for (there, here) in changes {
                    expect(recorded.contains(there), || format!("{name} has no {there:?}"))?;
                    *recorded = recorded.replace(there, here);
                }
            }
            compare(&own, &outcome)?;
        }
        // Neither has a report to be held against one.
        None => expect(!difference.says.is_empty(), || "nothing is compared".to_owned())?,
    }
    let with_compat = compare(case, &case.run(&["--compat", "ec"]));
    match (difference.compat, with_compat) {
        (true, Err(reason)) => Err(format!("--compat ec: {reason}").into()),
        (false, Ok(())) => Err("--compat ec gives the recorded outcome, and the table denies it".into()),
        _ => Ok(()),
    }
}

/// carnet's report: the recorded one of this or another case, changed.
fn report(case: &Case, difference: &Difference) -> Option<String> {
    let recorded = match &difference.report_of {
        Some(other) => Case::read(&root(), other, None).stdout,
        None => case.stdout.clone(),
    };
    let mut report: Value = serde_json::from_str(&recorded).ok()?;
    for change in &difference.report {
        change.apply(&mut report)?;
    }
    Some(report.to_string())
}

impl Change {
    fn apply(&self, report: &mut Value) -> Option<()> {
        let (Self::Add { path, .. } | Self::Remove { path } | Self::Replace { path, .. }) = self;
        let (parent, name) = path.rsplit_once('/')?;
        match (self, report.pointer_mut(parent)?) {
            (Self::Replace { value, .. }, parent) => *parent.pointer_mut(&format!("/{name}"))? = value.clone(),
            (Self::Add { value, .. }, Value::Array(items)) => items.insert(name.parse().ok()?, value.clone()),
            (Self::Add { after, value, .. }, Value::Object(members)) => {
                let at = members.keys().position(|member| Some(member) == after.as_ref())? + 1;
                members.shift_insert(at, name.to_owned(), value.clone());
            }
            (Self::Remove { .. }, Value::Array(items)) => drop(items.remove(name.parse().ok()?)),
            (Self::Remove { .. }, Value::Object(members)) => drop(members.shift_remove(name)?),
            _ => return None,
        }
        Some(())
    }
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
