//! `carnet policy test`: runs the tests of a source, as `opa test` does.

use std::{
    collections::BTreeMap,
    fs, io,
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use carnet_policy::rego::{Data, DataError, File, Limits, LoadError, TestResult, TestRule, Tests};
use clap::{Args, ValueEnum};
use jiff::Timestamp;
use regex::Regex;
use serde_json::{Value, json};

use crate::{
    policy_files::{FetchArgs, FilesError},
    policy_inspect::{is_rego, written},
    terminal::{Printable, say},
};

const FAILED: u8 = 1;
const NOT_DONE: u8 = 2;

/// Runs the tests of policy sources: the rules named `test_…`, as `opa test` does.
///
/// Rules see the data of all .json, .yaml and .yml files, those below a directory
/// under the names of the directories between. A question to a registry has no
/// answer here: a test replaces the function that asks.
///
/// Status 0: all pass. 1: a test fails. 2: a file or a test cannot be evaluated.
#[derive(Args, Clone, Debug)]
pub struct TestPolicyArgs {
    /// Directories, files, git, OCI or https URLs
    #[arg(value_name = "SOURCE", required = true)]
    sources: Vec<String>,

    /// Run only tests whose full name (`data.package.test_name`) matches this
    /// regular expression
    #[arg(short, long, value_name = "REGEX")]
    run: Option<Regex>,

    /// Form of the result
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Form,

    /// Name the tests that pass, too
    #[arg(short, long)]
    verbose: bool,

    #[command(flatten)]
    fetch: FetchArgs,
}

/// Form of the result.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
enum Form {
    /// For people: what failed, and a summary.
    #[default]
    Pretty,
    /// Every test, as `opa test --format=json` has it.
    Json,
}

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
enum TestFailure {
    #[error(transparent)]
    Data(#[from] DataError),
    #[error(transparent)]
    Files(#[from] FilesError),
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("no test was found: rules named test_… are tests")]
    NoTests,
    #[error("no test matches {0}")]
    NothingMatches(String),
    #[error("cannot read {path}: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write the result: {0}")]
    Write(#[from] io::Error),
}

/// A file with its name in messages and the directories above it.
struct Found {
    path: String,
    below: Vec<String>,
    bytes: Vec<u8>,
}

/// A test that was run.
struct Done<'t> {
    rule: &'t TestRule,
    result: TestResult,
    took: Duration,
}

/// Runs `carnet policy test`. Status 0: all pass, 1: a test fails, 2: neither.
pub fn run(args: &TestPolicyArgs) -> ExitCode {
    match test(args) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            say(format_args!("error: {error}"));
            ExitCode::from(NOT_DONE)
        }
    }
}

fn test(args: &TestPolicyArgs) -> Result<u8, TestFailure> {
    let found = args.found()?;
    let rules = found.iter().filter(|file| is_rego(&file.path));
    let rules: Vec<File<'_>> = rules.map(|file| File { path: &file.path, bytes: &file.bytes }).collect();
    let data = found.iter().filter(|file| is_data(&file.path));
    let data: Vec<_> = data.map(|file| (file.below.as_slice(), File { path: &file.path, bytes: &file.bytes })).collect();
    let tests = Tests::load(&rules, &Data::placed(&data)?, Timestamp::now(), Limits::default())?;
    if tests.rules().is_empty() {
        return Err(TestFailure::NoTests);
    }
    let wanted = |rule: &&TestRule| args.run.as_ref().is_none_or(|wanted| wanted.is_match(&full_name(rule)));
    let mut done: Vec<Done<'_>> = tests.rules().iter().filter(wanted).map(|rule| timed(&tests, rule)).collect();
    done.sort_by(|a, b| a.rule.at.cmp(&b.rule.at));
    if done.is_empty() {
        return Err(TestFailure::NothingMatches(args.run.as_ref().map(Regex::to_string).unwrap_or_default()));
    }
    let mut text = Vec::new();
    match args.output {
        Form::Pretty => pretty(&done, args.verbose, &mut text)?,
        Form::Json => writeln!(text, "{:#}", done.iter().map(document).collect::<Value>())?,
    }
    written(io::stdout().write_all(&text))?;
    Ok(match () {
        () if done.iter().any(|done| matches!(done.result, TestResult::Error(_))) => NOT_DONE,
        () if done.iter().any(|done| done.result == TestResult::Fail) => FAILED,
        () => 0,
    })
}

fn timed<'t>(tests: &Tests, rule: &'t TestRule) -> Done<'t> {
    let begun = Instant::now();
    let result = tests.run(rule);
    Done { rule, result, took: begun.elapsed() }
}

impl TestPolicyArgs {
    /// The files of all sources; a file of this disk as it is.
    fn found(&self) -> Result<Vec<Found>, TestFailure> {
        let mut found = Vec::new();
        let (files, sources): (Vec<_>, Vec<_>) = self.sources.iter().cloned().partition(|source| Path::new(source).is_file());
        for path in files {
            let bytes = fs::read(&path).map_err(|source| TestFailure::Read { path: PathBuf::from(&path), source })?;
            found.push(Found { path, below: Vec::new(), bytes });
        }
        let fetched = if sources.is_empty() { Vec::new() } else { self.fetch.files(&sources)? };
        for (source, fetched) in sources.iter().zip(&fetched) {
            for file in fetched.files.iter() {
                let mut below: Vec<String> = file.path.split('/').map(str::to_owned).collect();
                below.pop();
                let path = match source.trim_end_matches('/') {
                    "." | "" => file.path.clone(),
                    source => format!("{}/{}", source.strip_prefix("./").unwrap_or(source), file.path),
                };
                found.push(Found { path, below, bytes: file.bytes.to_vec() });
            }
        }
        Ok(found)
    }
}

fn full_name(rule: &TestRule) -> String {
    format!("data.{}.{}", rule.package, rule.name)
}

fn pretty(done: &[Done<'_>], verbose: bool, out: &mut impl io::Write) -> io::Result<()> {
    let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
    let mut last = "";
    for Done { rule, result, took } in done {
        *counts.entry(outcome(result).0).or_default() += 1;
        if *result == TestResult::Pass && !verbose {
            continue;
        }
        let file: &str = &rule.at.file;
        if !last.is_empty() && last != file {
            writeln!(out)?;
        }
        last = file;
        writeln!(out, "{}:{}:", Printable(file), rule.at.line)?;
        match result {
            TestResult::Skipped => writeln!(out, "{}: SKIPPED", full_name(rule))?,
            result => writeln!(out, "{}: {} ({took:?})", full_name(rule), outcome(result).1)?,
        }
        if let TestResult::Error(reason) = result {
            writeln!(out, "  {}", Printable(reason))?;
        }
    }
    if !last.is_empty() {
        writeln!(out, "{}", "-".repeat(80))?;
    }
    for (kind, count) in counts {
        writeln!(out, "{}: {count}/{}", OUTCOMES.get(kind).unwrap_or(&""), done.len())?;
    }
    Ok(())
}

const OUTCOMES: [&str; 4] = ["PASS", "FAIL", "SKIPPED", "ERROR"];

/// Place and name among the outcomes.
fn outcome(result: &TestResult) -> (usize, &'static str) {
    let kind = match result {
        TestResult::Pass => 0,
        TestResult::Fail => 1,
        TestResult::Skipped => 2,
        TestResult::Error(_) => 3,
    };
    (kind, OUTCOMES[kind])
}

fn document(done: &Done<'_>) -> Value {
    let Done { rule, result, took } = done;
    let mut document = json!({
        "location": { "file": &*rule.at.file, "row": rule.at.line, "col": rule.at.column },
        "package": format!("data.{}", rule.package),
        "name": rule.name,
    });
    match result {
        TestResult::Pass => {}
        TestResult::Fail => document["fail"] = true.into(),
        TestResult::Skipped => document["skip"] = true.into(),
        TestResult::Error(reason) => document["error"] = json!({ "message": reason }),
    }
    document["duration"] = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX).into();
    document
}

fn is_data(path: &str) -> bool {
    let path = path.to_ascii_lowercase();
    [".json", ".yaml", ".yml"].iter().any(|end| path.ends_with(end))
}
