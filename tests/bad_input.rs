//! Bad input, through the real programs: one clear error line with a hint, the
//! right exit status, nothing half-written, no panic.
//!
//! Every case runs in a folder of its own, and what the program leaves behind in
//! the output folder and in `TMPDIR` is looked at. `carnet-verify` gets 1 GiB of
//! address space, so that an input that makes it allocate what the input claims
//! ends the case.

#![allow(clippy::unwrap_used, clippy::as_conversions, reason = "a test may panic")]

#[path = "bad_input/archives.rs"]
mod archives;
#[path = "bad_input/documents.rs"]
mod documents;
#[path = "bad_input/places.rs"]
mod places;
#[path = "bad_input/stage.rs"]
mod stage;

use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::Value;
use stage::{Ended, Run, Stage};

/// One kind of bad input.
struct Case {
    /// What it shows.
    name: &'static str,
    /// Makes the input and says how the program is run on it.
    arrange: fn(&Stage) -> Run,
    ends: Ends,
}

/// How the program has to end.
enum Ends {
    /// Status 2, an error line with this text, and a hint; no file.
    NoResult(&'static str),
    /// Status 1 and a whole report with this finding, hint included.
    Fail(&'static str),
    /// Status 0 and the file. The inputs of the other cases differ from this one in
    /// what their names say.
    Pass,
}

fn main() {
    let arguments = Arguments::from_args();
    let cases = [archives::CASES, documents::CASES, places::CASES].into_iter().flatten();
    let trials = cases.map(|case| Trial::test(case.name, move || judge(case))).collect();
    libtest_mimic::run(&arguments, trials).exit();
}

fn judge(case: &Case) -> Result<(), Failed> {
    let stage = Stage::new();
    let run = (case.arrange)(&stage);
    let ended = stage.run(run);
    let (report, left) = (stage.report(), stage.left_behind());
    let complain = |what: &str| Err(Failed::from(format!("{what}\nleft behind: {left:?}\n{ended:#?}")));
    if ended.stderr.contains("panicked") || ended.stderr.contains("RUST_BACKTRACE") {
        return complain("the program panicked");
    }
    match case.ends {
        Ends::NoResult(message) => match no_result(&ended, message) {
            Err(what) => complain(&what),
            Ok(()) if !left.is_empty() || report.is_some() => complain("a file was left behind"),
            Ok(()) => Ok(()),
        },
        Ends::Fail(code) => match report {
            _ if ended.code != Some(1) => complain("want status 1"),
            _ if ended.errors() != ["carnet-verify: error: success criteria not met"] => complain("want one error line"),
            Some(report) if has_finding(&report, code) => Ok(()),
            Some(report) => complain(&format!("no finding {code} with a hint in {}", report["carnet"]["findings"])),
            None => complain("no report"),
        },
        Ends::Pass if ended.code == Some(0) && left.is_empty() => Ok(()),
        Ends::Pass => complain("want status 0"),
    }
}

fn no_result(ended: &Ended, message: &str) -> Result<(), String> {
    let errors = ended.errors();
    let hint = ended.stderr.lines().last().unwrap_or_default();
    if ended.code != Some(2) {
        return Err("want status 2".to_owned());
    }
    if !ended.stdout.is_empty() {
        return Err("something was printed as if it were a result".to_owned());
    }
    match errors[..] {
        [error] if !error.contains(message) => Err(format!("want {message:?} in the error line")),
        [_] if !hint.starts_with("hint: ") || hint.len() < 12 => Err("no hint".to_owned()),
        [_] if ended.is_quiet && ended.stderr.lines().filter(is_of_the_error).count() != 2 => {
            Err("more than an error line and a hint".to_owned())
        }
        [_] => Ok(()),
        _ => Err("want one error line".to_owned()),
    }
}

fn has_finding(report: &Value, code: &str) -> bool {
    let findings = report["carnet"]["findings"].as_array().into_iter().flatten();
    findings.clone().any(|f| f["code"] == code && f["hint"].as_str().is_some_and(|hint| !hint.is_empty()))
}

/// What could not be looked at is listed before the error.
fn is_of_the_error(line: &&str) -> bool {
    !line.starts_with("carnet: could not look: ")
}
