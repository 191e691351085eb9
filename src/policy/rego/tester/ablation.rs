//! Every pass of the normaliser and every function of ours is needed: with one of
//! them left out, a test of `testdata/rego` fails.

mod registry;

use super::*;
use crate::rego::{
    builtins::{self, Failure, Implementation},
    functions::{self, By, Function},
    print,
};

use registry::{OneImage, QUESTIONS};

macro_rules! testdata {
    ($($name:literal)*) => {
        [$(($name, include_str!(concat!("../../../../testdata/rego/", $name)))),*]
    };
}

const PASSES: [(&str, &str); 12] = testdata!(
    "passes/helper.rego" "passes/hoist_with_test.rego" "passes/imports_test.rego"
    "passes/merge_one_test.rego" "passes/merge_two_test.rego" "passes/metadata_test.rego" "passes/negation_test.rego"
    "passes/operators_test.rego" "passes/otherwise_test.rego" "passes/rename_test.rego" "passes/sequence_test.rego"
    "passes/walk_test.rego"
);
const BOUNDED: &str = testdata!("bounded/bounded_test.rego")[0].1;
const FUNCTIONS: [(&str, &str); 1] = testdata!("functions/functions_test.rego");
const DATA: (&str, &str) = testdata!("functions/data.yaml")[0];

/// What ours refuses and the engine's own would make: true without ours.
const REFUSED: [(&str, &str); 2] = [
    ("numbers.range", "count(numbers.range(1, 1000001)) == 1000001"),
    ("numbers.range_step", "count(numbers.range_step(1, 2000001, 2)) == 1000001"),
];

/// What asks the registry, with a registry of one image.
const ASKING: [(&str, &str); 1] = testdata!("registry/registry_test.rego");

fn files<'a>(texts: &[(&'a str, &'a str)]) -> Vec<File<'a>> {
    texts.iter().map(|(path, text)| File { path, bytes: text.as_bytes() }).collect()
}

fn limits() -> Limits {
    Limits { memory: 4 * 1024 * 1024, ..Limits::default() }
}

/// The first test that does not pass, if there is one.
fn failing(tests: Result<Tests, LoadError>) -> Option<String> {
    match tests {
        Ok(tests) => {
            let fits = |test: &Test| matches!(test.result, TestResult::Pass | TestResult::Skipped);
            tests.run_all().into_iter().find(|test| !fits(test)).map(|test| format!("{test:?}"))
        }
        Err(error) => Some(error.to_string()),
    }
}

#[test]
fn no_pass_can_be_left_out() {
    let with = |texts: &[(&str, &str)], passes| {
        failing(Tests::with(&files(texts), &Data::empty(), Timestamp::UNIX_EPOCH, limits(), passes))
    };
    for (name, passes) in Passes::BUT_ONE.iter().copied() {
        match name {
            // It changes no value; what is kept stands in the program.
            "keep" => {
                let text = "package p\nsum := t if t := count([x | some x in data.list])\n\
                            times[x] := time.now_ns() if some x in data.list\n\
                            deny contains \"x\" if times[\"a\"] == sum\n";
                let kept = |passes| program::load(&files(&[("p.rego", text)]), Purpose::Verdict, passes).unwrap().memos.len();
                assert_eq!(kept(Passes::ALL), 3);
                assert_eq!(kept(passes), 0);
            }
            "recall" => {
                let text = "package p\nf(x) := count([y | some y in x])\ndeny contains \"x\" if f([1]) == f(input.x)\n";
                let printed = |passes| {
                    let program = program::load(&files(&[("p.rego", text)]), Purpose::Verdict, passes).unwrap();
                    program.modules.iter().any(|module| module.text.contains(print::RECALL))
                };
                assert!(printed(Passes::ALL));
                assert!(!printed(passes));
            }
            // Here the tests fail when the pass is there.
            "bounded" => {
                for number in 1..=5 {
                    let text = BOUNDED.replace(&format!("todo_test_{number}"), "test_");
                    let one = [("one_test.rego", text.as_str())];
                    let found = failing(Tests::with(&files(&one), &Data::empty(), Timestamp::UNIX_EPOCH, limits(), Passes::ALL));
                    assert!(
                        found.as_ref().is_some_and(|found| found.contains("limit exceeded: number of elements")),
                        "{number} {found:?}"
                    );
                    let tests = Tests::with(&files(&one), &Data::empty(), Timestamp::UNIX_EPOCH, limits(), passes).unwrap();
                    let result = tests.run(tests.rules().iter().find(|rule| rule.name == "test_").unwrap());
                    assert_eq!(result, TestResult::Pass, "{number}");
                }
            }
            name => {
                let stem = format!("passes/{name}");
                let own: Vec<_> =
                    PASSES.iter().copied().filter(|(path, _)| path.starts_with(&stem) || path.ends_with("helper.rego")).collect();
                assert!(own.len() > 1, "pass {name} has no case");
                assert_eq!(with(&own, Passes::ALL), None, "{name}");
                assert!(with(&own, passes).is_some(), "{name} makes no difference");
            }
        }
    }
}

/// What stands in for a function that is left out: the engine's own, or nothing.
fn stand_in(function: &'static Function) -> Implementation {
    match regorus::unstable::BUILTINS.contains_key(function.name) {
        true => Implementation::Engine(function.name),
        false => Implementation::Pure(|_| Err(Failure::Undefined("left out".to_owned()))),
    }
}

#[test]
fn no_function_can_be_left_out() {
    let data = Data::merge(&[File { path: DATA.0, bytes: DATA.1.as_bytes() }], None).unwrap();
    let now = "2026-03-01T12:00:00Z".parse().unwrap();
    let cases: Vec<_> = FUNCTIONS.into_iter().chain(PASSES).collect();
    let load = |cases: &[(&str, &str)], left_out: Option<&'static Function>| {
        let program = program::load(&files(cases), Purpose::Tests, Passes::ALL)?;
        let prepared = Prepared::with(program, data.value.clone(), |function| match left_out == Some(function) {
            true => Some(stand_in(function)),
            false => builtins::implementation(function),
        })?;
        Ok(Tests { prepared, now, limits: Limits::default(), registry: Arc::new(NoRegistry) })
    };
    let refused = |function: &'static Function| {
        let (_, call) = REFUSED.iter().find(|(name, _)| *name == function.name)?;
        let text = format!("package refused_test\ntest_ if {call}\n");
        let case = [("refused_test.rego", text.as_str())];
        Some(failing(load(&case, None)).is_some() && failing(load(&case, Some(function))).is_none())
    };
    assert_eq!(failing(load(&cases, None)), None);
    let ours = functions::all().chain(functions::OWN).filter(|function| function.by == By::Carnet);
    let unproved: Vec<&str> = ours
        .filter(|function| !asks(function))
        .filter(|function| !refused(function).unwrap_or_else(|| failing(load(&cases, Some(function))).is_some()))
        .map(|function| function.name)
        .collect();
    assert!(unproved.is_empty(), "no case needs {unproved:?}");
}

fn asks(function: &Function) -> bool {
    function.name.starts_with("ec.oci.") || function.name.starts_with("ec.sigstore.")
}

/// The tests that ask the registry, without a function or without an answer.
fn asking(left_out: Option<&'static Function>, silent: Option<&'static str>) -> Result<Tests, LoadError> {
    let registry = OneImage::without(silent);
    let data = Data::merge(&[File { path: "data.json", bytes: registry.data().as_bytes() }], None).unwrap();
    let program = program::load(&files(&ASKING), Purpose::Tests, Passes::ALL)?;
    let prepared = Prepared::with(program, data.value.clone(), |function| match left_out == Some(function) {
        true => Some(stand_in(function)),
        false => builtins::implementation(function),
    })?;
    Ok(Tests { prepared, now: Timestamp::UNIX_EPOCH, limits: Limits::default(), registry: Arc::new(registry) })
}

#[test]
fn no_function_that_asks_the_registry_can_be_left_out() {
    assert_eq!(failing(asking(None, None)), None);
    let unproved: Vec<&str> = functions::all()
        .filter(|function| asks(function) && failing(asking(Some(function), None)).is_none())
        .map(|function| function.name)
        .collect();
    assert!(unproved.is_empty(), "no case needs {unproved:?}");
}

#[test]
fn no_answer_of_the_registry_can_be_left_out() {
    let unproved: Vec<&str> = QUESTIONS.into_iter().filter(|question| failing(asking(None, Some(question))).is_none()).collect();
    assert!(unproved.is_empty(), "no case needs {unproved:?}");
}
