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
    registry::{NoRegistry, Registry},
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

/// A test and what became of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Test {
    /// `package.test_name`.
    pub name: String,
    /// Where it stands.
    pub at: Location,
    /// What became of it.
    pub result: TestResult,
}

/// Policy files with their tests, ready to be run.
pub struct Tests {
    prepared: Prepared,
    now: Timestamp,
    limits: Limits,
    registry: Arc<dyn Registry>,
}

/// A test rule.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct TestRule {
    /// Package with dots, without `data`.
    pub package: String,
    /// Name of the rule.
    pub name: String,
    /// Where it stands.
    pub at: Location,
    /// Whether it has one value for each of several cases.
    pub(super) has_cases: bool,
    pub(super) path: Vec<String>,
}

impl std::fmt::Debug for Tests {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tests").field("rules", &self.rules().len()).finish_non_exhaustive()
    }
}

impl Tests {
    /// Loads `files` with `data`; `now` is the time that the tests see.
    ///
    /// # Errors
    ///
    /// Returns a [`LoadError`] when the files cannot be loaded.
    pub fn load(files: &[File<'_>], data: &Data, now: Timestamp, limits: Limits) -> Result<Self, LoadError> {
        Self::with(files, data, now, limits, Passes::ALL)
    }

    fn with(files: &[File<'_>], data: &Data, now: Timestamp, limits: Limits, passes: Passes) -> Result<Self, LoadError> {
        let program = program::load(files, Purpose::Tests, passes)?;
        let prepared = Prepared::new(program, data.value.clone())?;
        Ok(Self { prepared, now, limits, registry: Arc::new(NoRegistry) })
    }

    /// The `test_…` and `todo_test_…` rules, by name.
    pub fn rules(&self) -> &[TestRule] {
        &self.prepared.program.tests
    }

    /// Runs one of them.
    pub fn run(&self, rule: &TestRule) -> TestResult {
        if rule.name.starts_with("todo_") {
            return TestResult::Skipped;
        }
        // A case that fails has no value at all, and would not be missed.
        if rule.has_cases {
            return TestResult::Error(format!("{}: tests with cases, {}[…], are not supported", rule.at, rule.name));
        }
        let (prepared, now, limits, query) = (self.prepared.clone(), self.now, self.limits.clone(), program::query(&rule.path));
        let registry = self.registry.clone();
        let outcome = on_large_stack(self.limits.time, move |abandoned| {
            let session = Rc::new(Session::new(registry, now, prepared.clone(), &limits, abandoned));
            prepared
                .query(&session, &query, None, limits.time)
                .map(|value| !matches!(value, Value::Undefined | Value::Bool(false)))
        });
        match outcome.unwrap_or_else(|error| Err(error.into())) {
            Ok(true) => TestResult::Pass,
            Ok(false) => TestResult::Fail,
            Err(QueryError::Fatal(Fatal::Lookup { source, .. })) => TestResult::Error(source.to_string()),
            Err(QueryError::Fatal(Fatal::Limit(what))) => TestResult::Error(format!("limit exceeded: {what}")),
            Err(QueryError::Fatal(Fatal::Rule { at, reason }) | QueryError::Failed { at, reason }) if at.file.is_empty() => {
                TestResult::Error(reason)
            }
            Err(QueryError::Fatal(Fatal::Rule { at, reason }) | QueryError::Failed { at, reason }) => {
                TestResult::Error(format!("{at}: {reason}"))
            }
        }
    }
}

/// Runs all tests of `files` with `data`; `now` is the time that they see.
///
/// # Errors
///
/// Returns a [`LoadError`] when the files cannot be loaded.
pub fn run_tests(files: &[File<'_>], data: &Data, now: Timestamp) -> Result<Vec<Test>, LoadError> {
    Ok(Tests::load(files, data, now, Limits::default())?.run_all())
}

impl Tests {
    fn run_all(&self) -> Vec<Test> {
        let run = |rule: &TestRule| Test {
            name: format!("{}.{}", rule.package, rule.name),
            at: rule.at.clone(),
            result: self.run(rule),
        };
        self.rules().iter().map(run).collect()
    }
}

#[cfg(test)]
mod ablation;
