//! Runs the `test_…` rules of policy files, as `opa test` does.

use std::{rc::Rc, sync::Arc};

use jiff::Timestamp;
use regorus::Value;

use super::{
    data::Data,
    engine::{Prepared, QueryError, on_large_stack},
    error::{LoadError, Location},
    normalise::Passes,
    program::{self, File, Purpose},
    registry::NoRegistry,
    session::{Fatal, Limits, Session},
};

/// What became of a test.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum TestResult {
    /// The rule is true.
    Pass,
    /// The rule is undefined or false.
    Fail,
    /// The rule begins with `todo_`.
    Skipped,
    /// The rule could not be evaluated.
    Error(String),
}

/// A test.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Test {
    /// `package.test_name`.
    pub name: String,
    /// Where it stands.
    pub at: Location,
    /// What became of it.
    pub result: TestResult,
}

/// Runs all tests of `files` with `data`; `now` is the time that they see.
///
/// # Errors
///
/// Returns a [`LoadError`] when the files cannot be loaded.
pub fn run_tests(files: &[File<'_>], data: &Data, now: Timestamp) -> Result<Vec<Test>, LoadError> {
    run(files, data, now, Passes::ALL)
}

pub(super) fn run(files: &[File<'_>], data: &Data, now: Timestamp, passes: Passes) -> Result<Vec<Test>, LoadError> {
    let program = program::load(files, Purpose::Tests, passes)?;
    let tests = program.tests.clone();
    let prepared = Prepared::new(program, data.value.clone())?;
    let at = Location { file: Arc::from(""), line: 0, column: 0 };
    let panicked = LoadError::Engine { at, reason: "the engine panicked".to_owned() };
    on_large_stack(|| run_here(&prepared, tests, now)).ok_or(panicked)
}

fn run_here(prepared: &Prepared, tests: Vec<(String, Location)>, now: Timestamp) -> Vec<Test> {
    let limits = Limits::default();
    let run = |(name, at): (String, Location)| {
        let session = Rc::new(Session::new(Arc::new(NoRegistry), now, prepared.clone(), &limits));
        let skipped = name.rsplit('.').next().is_some_and(|name| name.starts_with("todo_"));
        let result = if skipped {
            TestResult::Skipped
        } else {
            match prepared.query(&session, &format!("data.{name}"), None, limits.time) {
                Ok(Value::Undefined | Value::Bool(false)) => TestResult::Fail,
                Ok(_) => TestResult::Pass,
                Err(QueryError::Fatal(Fatal::Lookup { source, .. })) => TestResult::Error(source.to_string()),
                Err(QueryError::Fatal(Fatal::Limit(what))) => TestResult::Error(format!("limit exceeded: {what}")),
                Err(QueryError::Fatal(Fatal::Rule { at, reason }) | QueryError::Failed { at, reason }) => {
                    TestResult::Error(format!("{at}: {reason}"))
                }
            }
        };
        Test { name, at, result }
    };
    tests.into_iter().map(run).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MERGE: [(&str, &str); 2] = [
        ("one_test.rego", include_str!("../../../testdata/rego/passes/merge_one_test.rego")),
        ("two_test.rego", include_str!("../../../testdata/rego/passes/merge_two_test.rego")),
    ];
    const RENAME: (&str, &str) = ("a_test.rego", include_str!("../../../testdata/rego/passes/rename_test.rego"));
    const WALK: (&str, &str) = ("a_test.rego", include_str!("../../../testdata/rego/passes/walk_test.rego"));
    const SEQUENCE: (&str, &str) = ("a_test.rego", include_str!("../../../testdata/rego/passes/sequence_test.rego"));
    const NEGATION: (&str, &str) = ("a_test.rego", include_str!("../../../testdata/rego/passes/negation_test.rego"));
    const OTHERWISE: (&str, &str) = ("a_test.rego", include_str!("../../../testdata/rego/passes/otherwise_test.rego"));
    const HOIST_WITH: (&str, &str) = ("a_test.rego", include_str!("../../../testdata/rego/passes/hoist_with_test.rego"));
    const OPERATORS: (&str, &str) = ("a_test.rego", include_str!("../../../testdata/rego/passes/operators_test.rego"));

    fn pass(files: &[(&str, &str)], passes: Passes) -> Result<(), String> {
        let files: Vec<File<'_>> = files.iter().map(|(path, text)| File { path, bytes: text.as_bytes() }).collect();
        let tests = run(&files, &Data::empty(), Timestamp::UNIX_EPOCH, passes).map_err(|e| e.to_string())?;
        match tests.iter().find(|test| test.result != TestResult::Pass) {
            Some(test) => Err(format!("{test:?}")),
            None => Ok(()),
        }
    }

    #[test]
    fn no_pass_can_be_left_out() {
        let all = Passes::ALL;
        for (name, files, without) in [
            ("rename", vec![RENAME], Passes { rename: false, ..all }),
            ("walk", vec![WALK], Passes { walk: false, ..all }),
            ("sequence", vec![SEQUENCE], Passes { sequence: false, ..all }),
            ("negation", vec![NEGATION], Passes { negation: false, ..all }),
            ("otherwise", vec![OTHERWISE], Passes { otherwise: false, ..all }),
            ("merge", MERGE.to_vec(), Passes { merge: false, ..all }),
            ("hoist_with", vec![HOIST_WITH], Passes { hoist_with: false, ..all }),
            ("operators", vec![OPERATORS], Passes { operators: false, ..all }),
        ] {
            assert_eq!(pass(&files, all), Ok(()), "{name}");
            assert!(pass(&files, without).is_err(), "{name} makes no difference");
        }
    }
}
