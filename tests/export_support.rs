//! Runs `carnet export` in a process of its own and opens what it wrote.

#![allow(dead_code, reason = "every suite uses a part of it")]

use std::{
    env,
    fs::File,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use carnet_bundle::{
    Inventory, Limits,
    archive::Archive,
    inventory::{Method, Receipt},
    open,
};
use carnet_registry::testing::{Behaviour, Content, TestingRegistry};
use clap::Parser as _;

const ARGUMENTS: &str = "CARNET_EXPORT_TEST_ARGUMENTS";
const SEPARATOR: &str = "\u{1f}";

/// How an export ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

#[derive(clap::Parser)]
struct Cli {
    #[command(flatten)]
    args: carnet_export::ExportArgs,
}

/// The process that [`spawn`] starts: this very test, told by its environment.
#[test]
fn child() {
    let Ok(arguments) = env::var(ARGUMENTS) else { return };
    let cli = Cli::parse_from(["export"].into_iter().chain(arguments.split(SEPARATOR)));
    let code = format!("{:?}", carnet_export::run(&cli.args));
    std::process::exit(code.chars().filter(char::is_ascii_digit).collect::<String>().parse().unwrap());
}

/// The command that runs an export, without the environment of this process.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["support::child", "--exact", "--nocapture", "--quiet"]);
    // The logs of real evidence are not on loopback.
    let is_said = arguments.iter().any(|argument| argument.starts_with("--proofs") || *argument == "--reproducible");
    let skip: &[&str] = if is_said { &[] } else { &["--proofs=skip"] };
    command.env_clear().env(ARGUMENTS, [arguments, skip].concat().join(SEPARATOR));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs an export to its end.
pub(crate) fn export(arguments: &[&str]) -> Ended {
    export_with(arguments, &[])
}

/// Runs an export with environment variables.
pub(crate) fn export_with(arguments: &[&str], environment: &[(&str, &str)]) -> Ended {
    finish(command(arguments).envs(environment.iter().copied()).output().unwrap())
}

/// Reads how an export ended.
pub(crate) fn finish(output: Output) -> Ended {
    Ended {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Opens an archive and returns its inventory with the codes of gate 1.
pub(crate) fn open_archive(path: &Path) -> (Inventory, Vec<&'static str>) {
    let limits = Limits::default();
    let mut archive = Archive::new(File::open(path).unwrap(), &limits).unwrap();
    let opened = open::open(&mut archive, &limits).unwrap();
    let codes = opened.findings.iter().map(|finding| finding.code).collect();
    (opened.bundle.unwrap().inventory().clone(), codes)
}

/// A folder of `testdata`.
pub(crate) fn testdata(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata").join(path)
}

/// Serves a layout of `testdata/layouts` as `demo/app`.
pub(crate) fn serve(layout: &str, behaviour: Behaviour) -> TestingRegistry {
    let mut content = Content::new();
    content.add_layout("demo/app", &testdata("layouts").join(layout)).unwrap();
    TestingRegistry::start(content, behaviour).unwrap()
}

/// The inventory without what depends on the place: names, places, receipts.
pub(crate) fn without_places(mut inventory: Inventory) -> Inventory {
    for subject in &mut inventory.subjects {
        subject.reference.clear();
    }
    for entry in &mut inventory.evidence {
        entry.found_in.clear();
    }
    inventory.looked_for.clear();
    inventory
}

/// The one receipt for a subject and method.
pub(crate) fn receipt(inventory: &Inventory, subject: &str, method: Method) -> Receipt {
    let about = |receipt: &&Receipt| receipt.subject.to_string().starts_with(subject) && receipt.method == method;
    let found: Vec<_> = inventory.looked_for.iter().filter(about).collect();
    assert_eq!(found.len(), 1, "{subject} {method}: {found:?}");
    found[0].clone()
}
