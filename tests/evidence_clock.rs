//! The clock of the host takes no part in the validity of a signature: the same
//! verdict in 2026 and 2036, and a clock before the signature is said to be wrong.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[allow(dead_code, reason = "the stage of two suites")]
#[path = "evidence/stage.rs"]
mod stage;

use std::{fs, path::Path, process::Command};

use carnet_bundle::Limits;
use carnet_verify::{Inputs, TrustInputs, VerifyArgs, disk, report::Verdict, run};
use jiff::Timestamp;
use serde_json::Value;

use stage::{Ended, LOCAL_ROOT, MAIN, REFERENCE, Stage, digest};

const SIGNED: &str = "2026-11-24";
const LAYOUTS: [&str; 4] =
    ["local-sigstore/app", "local-sigstore/keyless-rekor1", "local-sigstore/keyless-legacy", "local-sigstore/rekor1-tsa"];
/// What speaks of freshness, and so of the time of verification.
const FRESHNESS: [&str; 3] = ["V5.3", "V5.4", "V5.9"];

/// What a wrong clock must not be taken for.
const INVALID: [&str; 4] = ["signature-invalid", "verifiers-disagree", "set-invalid", "timestamp-invalid"];

/// Judges below the command line, where the clock is a parameter.
fn judge(archive: &Path, words: &[&str], now: &str) -> (Verdict, String) {
    let archive = archive.to_str().unwrap();
    let pin = digest(LOCAL_ROOT);
    let fixed = [
        "carnet-verify",
        archive,
        "--image",
        REFERENCE,
        "--certificate-identity",
        MAIN[0],
        "--certificate-oidc-issuer",
        MAIN[1],
        "--trusted-root-digest",
        &pin,
        "--output",
        "json",
    ];
    let args = VerifyArgs::read(fixed.iter().chain(words).map(Into::into)).unwrap();
    let inputs = Inputs {
        images: Vec::new(),
        policy: None,
        trusted_root: None,
        trust: TrustInputs::default(),
        policy_lock: None,
        sources: &disk::sources::Disk,
        read: &|path| fs::read(path),
    };
    let mut container = disk::open_container(Path::new(archive), &Limits::default()).unwrap();
    let report = run(&args, &inputs, container.as_mut(), now.parse().unwrap(), 1).unwrap();
    (report.verdict(), report.render(&args.targets().unwrap()[0], true, false))
}

/// The report without what depends on the time of verification by its nature.
fn timeless(report: &str) -> String {
    let mut report: Value = serde_json::from_str(report).unwrap();
    report.as_object_mut().unwrap().remove("effective-time").unwrap();
    let trust = report["carnet"]["trust"].as_object_mut().unwrap();
    for member in ["asOf", "ageDays", "forecast"] {
        trust.remove(member);
    }
    let findings = report["carnet"]["findings"].as_array_mut().unwrap();
    findings.retain(|finding| !FRESHNESS.contains(&finding["step"].as_str().unwrap()));
    report.to_string()
}

fn codes(report: &str) -> Vec<String> {
    let report: Value = serde_json::from_str(report).unwrap();
    let findings = report["carnet"]["findings"].as_array().unwrap();
    findings.iter().map(|finding| finding["code"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_pinned_root_gives_the_same_report_in_ten_years() {
    for layout in LAYOUTS {
        let stage = Stage::of(layout, MAIN);
        let archive = stage.archive();
        let (today, then) = (judge(&archive, &[], "2026-11-25T12:00:00Z"), judge(&archive, &[], "2036-11-25T12:00:00Z"));
        assert_eq!((today.0, then.0), (Verdict::Pass, Verdict::Pass), "{layout}: {}", then.1);
        assert!(timeless(&today.1) == timeless(&then.1), "{layout}");
        assert!(
            !codes(&today.1).contains(&"trust-root-aged".to_owned()) && codes(&then.1).contains(&"trust-root-aged".to_owned())
        );
        // With both times given, not a byte depends on the clock.
        let times = ["--at=2026-11-25T00:00:00Z", "--effective-time=2126-01-01"];
        let replay = |now: &str| judge(&archive, &times, now).1;
        assert!(replay("2026-11-25T12:00:00Z") == replay("2036-11-25T12:00:00Z"), "{layout}");
    }
}

#[test]
fn a_time_of_verification_before_the_signature_is_said() {
    for layout in LAYOUTS {
        let archive = Stage::of(layout, MAIN);
        let archive = archive.archive();
        for (words, now) in [(&[][..], "2020-01-01T00:00:00Z"), (&["--at=2020-01-01T00:00:00Z"], "2026-11-25T12:00:00Z")] {
            let (verdict, report) = judge(&archive, words, now);
            let found = codes(&report);
            assert!(verdict == Verdict::Pass && found.contains(&"host-clock-implausible".to_owned()), "{layout}: {found:?}");
            assert!(!found.iter().any(|code| INVALID.contains(&code.as_str())), "{layout}: {found:?}");
            assert!(report.contains(&format!("signed at {SIGNED}")), "{report}");
        }
        // A time in the past is a relaxation: freshness rules see less.
        let (_, report) = judge(&archive, &["--at=2020-01-01T00:00:00Z"], "2026-11-25T12:00:00Z");
        assert!(report.contains(r#""flag":"--at=2020-01-01T00:00:00Z""#), "{report}");
    }
}

/// Judges by the program, on a host with this clock.
fn on_a_host(layout: &str, library: &Path, now: &str) -> Ended {
    let seconds = now.parse::<Timestamp>().unwrap().as_second().to_string();
    let mut stage = Stage::of(layout, MAIN).word("--trusted-root-digest").word(&digest(LOCAL_ROOT));
    stage.command.env("LD_PRELOAD", library).env("CARNET_TEST_CLOCK", seconds);
    let ended = stage.judge();
    assert_eq!(ended.trust()["asOf"], now, "the clock was not set: {}", ended.said);
    ended
}

/// Builds the library that gives a program another clock; the C compiler is the one
/// that links Rust.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn library(folder: &Path) -> std::path::PathBuf {
    let library = folder.join("clock.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/evidence/clock.c");
    let built = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(source).output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    library
}

#[test]
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn the_program_on_a_host_with_a_wrong_clock() {
    let folder = tempfile::tempdir().unwrap();
    let library = library(folder.path());
    for layout in LAYOUTS {
        let today = on_a_host(layout, &library, "2026-11-25T12:00:00Z");
        let then = on_a_host(layout, &library, "2036-11-25T12:00:00Z");
        today.assert(0, "");
        then.assert(0, "trust-root-aged");
        assert!(timeless(&today.report.to_string()) == timeless(&then.report.to_string()), "{layout}");
        // The second verifier asks this clock itself, and refuses; nobody is told
        // that a signature is bad.
        let early = on_a_host(layout, &library, "2020-01-01T00:00:00Z");
        early.assert(1, "host-clock-implausible");
        assert!(!INVALID.iter().any(|code| early.has(code)), "{layout}: {:?}", early.codes);
    }
}
