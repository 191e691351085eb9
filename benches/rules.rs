//! What loading a whole set of rules costs, against the bare parse of it by the
//! engine: `CARNET_CONFORMA_POLICY=DIR cargo bench -p carnet-policy --bench rules`,
//! where DIR is a checkout of conforma/policy.
//!
//! Both take turns and each is the best of all rounds, so that what else the machine
//! does falls on both. Exits 1 when the bound is missed, and says so when there is
//! no checkout.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement reads files and clock, and says so when something is missing"
)]

use std::{
    fs,
    hint::black_box,
    num::{NonZeroU32, NonZeroUsize},
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use carnet_policy::{
    Reading,
    document::SourceGroup,
    rego::{Data, File, Filter, Group, Limits, Settings},
};

const ROUNDS: usize = 20;
/// Loading may take so many times the bare parse.
const BOUND: f64 = 5.0;

fn main() -> ExitCode {
    let Some(checkout) = std::env::var_os("CARNET_CONFORMA_POLICY").map(PathBuf::from) else {
        println!("CARNET_CONFORMA_POLICY is not set: loading the release rules is not measured");
        return ExitCode::SUCCESS;
    };
    let mut texts = Vec::new();
    for folder in ["policy/lib", "policy/release"] {
        walk(&checkout.join(folder), &mut texts);
    }
    let files: Vec<File<'_>> = texts.iter().map(|(path, text)| File { path, bytes: text.as_bytes() }).collect();
    let bytes: usize = texts.iter().map(|(_, text)| text.len()).sum();
    let data = Data::empty();
    let source = SourceGroup::default();
    let settings = Settings {
        source: &source,
        configuration: None,
        effective_time: "2026-03-01T12:00:00Z".parse().unwrap(),
        now: "2026-03-01T12:00:00Z".parse().unwrap(),
        reading: Reading::Strict,
        filter: Filter::IncludeExclude,
        limits: Limits::default(),
    };
    let (mut parse, mut load) = (Duration::MAX, Duration::MAX);
    for _ in 0..ROUNDS {
        parse = parse.min(timed(|| bare(&texts)));
        load = load.min(timed(|| Group::load(&files, &data, &settings).unwrap()));
    }
    let ratio = load.as_secs_f64() / parse.as_secs_f64();
    println!("| what | time |\n|---|---|");
    println!("| the engine's parse of {} files, {} KiB | {parse:.1?} |", files.len(), bytes / 1024);
    println!("| loading them: parse, annotations, checks, rewriting, preparing | {load:.1?} |");
    println!("| ratio, at most {BOUND} | **{ratio:.2}** |");
    if ratio <= BOUND { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What the engine does when it is handed the files.
fn bare(texts: &[(String, String)]) -> regorus::Engine {
    let mut engine = regorus::Engine::new();
    let most = NonZeroUsize::new(1 << 28).unwrap();
    engine.set_policy_length_config(regorus::PolicyLengthConfig {
        max_col: NonZeroU32::new(u32::MAX / 2).unwrap(),
        max_file_bytes: most,
        max_lines: most,
    });
    for (path, text) in texts {
        engine.add_policy(path.clone(), text.clone()).unwrap();
    }
    engine
}

fn timed<T>(work: impl FnOnce() -> T) -> Duration {
    let begun = Instant::now();
    let made = black_box(work());
    let took = begun.elapsed();
    drop(made);
    took
}

/// The rules below a folder, tests left out: nobody carries those.
fn walk(folder: &Path, found: &mut Vec<(String, String)>) {
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        let name = path.to_string_lossy().into_owned();
        if path.is_dir() {
            walk(&path, found);
        } else if name.ends_with(".rego") && !name.ends_with("_test.rego") {
            found.push((name, fs::read_to_string(&path).unwrap()));
        }
    }
}
