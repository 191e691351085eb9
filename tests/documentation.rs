//! The pages of `docs/` that are made from the programs: every flag of every
//! command, and every finding code of every room.
//!
//! With `CARNET_UPDATE_DOCS=1` the pages are written; without, they are compared.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use carnet::persona::Persona;
use carnet_bundle::{Code, Severity};
use carnet_verify::{VerifyArgs, cli::FlagError, codes};
use clap::Arg;

const UPDATE: &str = "CARNET_UPDATE_DOCS";

const FLAGS: &str = "\
# Flags

Every argument and flag of every command. `carnet verify` starts the program
`carnet-verify` with the same flags, and `carnet import` and `carnet serve` hand them
on to it.

The last column says whose the flag is: *as in ec* has the name and the meaning
that it has in `ec validate image`, *as in cosign* likewise. A *refused* flag is
known and never honoured; one of a *later release* says so when it is used. Both
end with status 2, so no flag is silently without effect. A value written `[=BOOL]`
may be left out; it needs the `=`.

| flag | short | value | default | command | meaning | whose |
|---|---|---|---|---|---|---|
";

const FINDINGS: &str = "\
# Finding codes

Everything that a report can say about a bundle, by the step of
[verify.md](../bundle-spec/verify.md) that says it. A name is stable: it is never
used again for another meaning. The severity is the one that a finding has when
nothing changes it: a *failure* fails the verdict; a *warning* about one piece of
evidence means that this piece does not count; a *note* is for the record.
";

#[test]
fn flags_are_those_of_the_programs() {
    let mut rows = Vec::new();
    for (name, command) in commands(&carnet::front::definition(Persona::Carnet), "") {
        rows.extend(match name.as_str() {
            // carnet-verify reads its own.
            "verify" => self::rows("verify", VerifyArgs::definition(), &verify_status),
            "export" => self::rows("export", command, &export_status),
            "import" | "serve" => self::rows(&name, own(command), &|_| None),
            name => self::rows(name, command, &|_| None),
        });
    }
    rows.sort();
    let table: Vec<_> = rows.into_iter().map(|(_, row)| row).collect();
    compare("docs/flags.md", &(FLAGS.to_owned() + &table.concat()));
}

/// A command without what it reads as carnet-verify does.
fn own(command: clap::Command) -> clap::Command {
    let verify = VerifyArgs::definition();
    let of_verify = |arg: &Arg| verify.get_arguments().any(|known| known.get_id() == arg.get_id());
    let name = command.get_name().to_owned();
    let own: Vec<_> = command.get_arguments().filter(|arg| !of_verify(arg)).cloned().collect();
    clap::Command::new(name).args(own)
}

/// Every command that is shown, by its words.
fn commands(command: &clap::Command, words: &str) -> Vec<(String, clap::Command)> {
    let mut found = vec![(words.to_owned(), command.clone().disable_help_subcommand(true))];
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        found.extend(commands(below, format!("{words} {}", below.get_name()).trim()));
    }
    found
}

#[test]
fn findings_are_those_of_the_rooms() {
    compare("docs/findings.md", &findings());
}

#[test]
fn finding_names_are_unique() {
    let mut seen: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    codes::all().for_each(|code| seen.entry(code.name).or_default().push(code.step));
    seen.retain(|_, steps| steps.len() > 1);
    assert!(seen.is_empty(), "names that stand for two codes: {seen:?}");
}

#[test]
fn finding_names_are_kebab_case() {
    let is_word = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let odd: Vec<_> = codes::all().filter(|code| !code.name.split('-').all(is_word)).map(|code| code.name).collect();
    assert!(odd.is_empty(), "{odd:?}");
}

#[test]
fn finding_steps_are_steps_of_the_specification() {
    let specified = specification();
    for code in codes::all() {
        let (gate, sub) = step(code);
        assert!((1..=16).contains(&gate), "{}: {}", code.name, code.step);
        let start = if sub == 0 { format!("## {} ", code.step) } else { format!("**{} ", code.step) };
        assert!(specified.lines().any(|line| line.starts_with(&start)), "{}: no step {} in verify.md", code.name, code.step);
    }
}

#[test]
fn findings_say_what_they_mean_and_what_to_do() {
    for code in codes::all() {
        assert!(code.summary.len() > 10, "{}: {:?}", code.name, code.summary);
        // A note is for the record; all else says what the reader can do.
        assert!(code.severity == Severity::Note || code.hint.len() > 5, "{}: no hint", code.name);
        assert!(code.summary.ends_with('.') && !code.hint.ends_with('.'), "{}: sentence, or hint with a stop", code.name);
    }
}

fn findings() -> String {
    let mut codes: Vec<_> = codes::all().collect();
    codes.sort_by_key(|code| (step(code), code.name));
    let specified = specification();
    let mut page = FINDINGS.to_owned();
    let mut last = 0;
    for code in codes {
        let (gate, _) = step(code);
        if gate != last {
            let start = format!("## V{gate} ");
            let heading = specified.lines().find(|line| line.starts_with(&start)).unwrap();
            page += &format!("\n{heading}\n\n| name | step | severity | means | what to do |\n|---|---|---|---|---|\n");
            last = gate;
        }
        let severity = match code.severity {
            Severity::Failure => "failure",
            Severity::Note => "note",
            Severity::Warning => "warning",
        };
        let (summary, hint) = (sentence(code.summary), sentence(code.hint));
        page += &format!("| `{}` | {} | {severity} | {summary} | {hint} |\n", code.name, code.step);
    }
    page
}

/// `V6.10` as (6, 10).
fn step(code: &Code) -> (u32, u32) {
    let number = |text: &str| text.parse().unwrap_or_else(|_| panic!("{}: {:?} is no step", code.name, code.step));
    let text = code.step.strip_prefix('V').unwrap_or_default();
    text.split_once('.').map_or_else(|| (number(text), 0), |(gate, sub)| (number(gate), number(sub)))
}

fn specification() -> String {
    fs::read_to_string(root().join("bundle-spec/verify.md")).unwrap()
}

/// One row for each argument of a command, with what sorts it.
fn rows(
    command: &str,
    definition: clap::Command,
    status: &dyn Fn(&Arg) -> Option<&'static str>,
) -> Vec<((bool, String), String)> {
    let mut definition = definition;
    definition.build();
    // Every command has it; the program alone says so.
    let arguments = definition.get_arguments().filter(|arg| command.is_empty() || arg.get_id() != "help");
    arguments.map(|arg| row(command, arg, status(arg))).collect()
}

fn row(command: &str, arg: &Arg, status: Option<&str>) -> ((bool, String), String) {
    let name = match arg.get_long() {
        Some(long) => format!("--{long}"),
        None => arg.get_value_names().unwrap()[0].to_string(),
    };
    let aliases: Vec<_> = arg.get_visible_aliases().unwrap_or_default().iter().map(|alias| format!("`--{alias}`")).collect();
    let names = [vec![format!("`{name}`")], aliases].concat().join(", ").replace('|', "\\|");
    let short = arg.get_short().map(|short| format!("`-{short}`")).unwrap_or_default();
    let default: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy().into_owned()).collect();
    let default = if default.is_empty() || value(arg).is_empty() { String::new() } else { format!("`{}`", default.join(",")) };
    let whose = match status {
        Some(status) => format!("{}; {status}", whose(command, arg)),
        None => whose(command, arg).to_owned(),
    };
    let program = match command {
        "" if arg.get_id() == "help" => "every command".to_owned(),
        "" => "carnet".to_owned(),
        "verify" => "carnet-verify".to_owned(),
        command => format!("carnet {command}"),
    };
    let row = format!("| {names} | {short} | {} | {default} | {program} | {} | {whose} |\n", value(arg), meaning(arg));
    ((name.starts_with("--"), format!("{name} {command}")), row)
}

/// How the value is written, with the values that there are.
fn value(arg: &Arg) -> String {
    if !arg.get_action().takes_values() || arg.get_long().is_none() {
        return String::new();
    }
    let possible: Vec<_> = arg.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
    let named = arg.get_value_names().unwrap_or_default().join(" ");
    // What clap makes up from the name says nothing, unless the name is a word for a value.
    let made_up = named.eq_ignore_ascii_case(arg.get_id().as_str()) && !["DIR", "FILE", "PLATFORM"].contains(&named.as_str());
    let named = if made_up { "VALUE".to_owned() } else { named };
    let text = if possible.is_empty() { named } else { possible.join("|") };
    let optional = arg.get_num_args().is_some_and(|range| range.min_values() == 0);
    let text = if optional { format!("[={text}]") } else { text };
    format!("`{}`", text.replace('|', "\\|"))
}

fn meaning(arg: &Arg) -> String {
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    assert!(!help.is_empty(), "{}: no help", arg.get_id());
    // The last column says it.
    sentence(help.replace(" (not supported yet)", "").trim_end_matches('.'))
}

/// Text for a cell: one line, no bar that would end it.
fn sentence(text: &str) -> String {
    let mut words = text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|");
    // Names that look like HTML would not be shown.
    words = words.replace('<', "&lt;");
    words.trim_end_matches('.').to_owned()
}

/// Flags of `ec validate image` with the same meaning, or with none here.
const EC: &[&str] = &[
    "allow-past-effective-time",
    "attestation-format",
    "attestation-output-dir",
    "certificate-identity",
    "certificate-identity-regexp",
    "certificate-oidc-issuer",
    "certificate-oidc-issuer-regexp",
    "color",
    "effective-time",
    "extra-rule-data",
    "file-path",
    "filter-type",
    "ignore-rekor",
    "image",
    "images",
    "info",
    "json-input",
    "no-color",
    "output",
    "output-file",
    "policy",
    "public-key",
    "quiet",
    "rekor-url",
    "retry-duration",
    "retry-factor",
    "retry-jitter",
    "retry-max-retry",
    "retry-max-wait",
    "show-policy-docs-link",
    "show-successes",
    "show-warnings",
    "skip-att-sig-check",
    "skip-image-sig-check",
    "snapshot",
    "strict",
    "timeout",
    "verbose",
    "vsa",
    "vsa-expiration",
    "vsa-public-key",
    "vsa-signing-key",
    "vsa-upload",
    "workers",
];
/// Flags of cosign with the same meaning: of `cosign verify`, and those of every
/// command that asks a registry.
const COSIGN: &[&str] = &["trusted-root"];
const COSIGN_REGISTRY: &[&str] =
    &["allow-http-registry", "allow-insecure-registry", "registry-cacert", "registry-client-cert", "registry-client-key"];

fn whose(command: &str, arg: &Arg) -> &'static str {
    let long = arg.get_long().unwrap_or_default();
    match command {
        "verify" if EC.contains(&long) => "as in ec",
        "verify" if COSIGN.contains(&long) => "as in cosign",
        _ if COSIGN_REGISTRY.contains(&long) => "as in cosign",
        _ => "carnet's own",
    }
}

#[test]
fn every_flag_that_is_named_as_anothers_exists() {
    let longs = |command: clap::Command| -> BTreeSet<String> {
        command.get_arguments().filter_map(|arg| arg.get_long().map(str::to_owned)).collect()
    };
    let verify = longs(VerifyArgs::definition());
    let export = longs(command(&carnet::front::definition(Persona::Carnet), "export"));
    let unknown: Vec<_> = EC.iter().chain(COSIGN).filter(|name| !verify.contains(**name)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    let unknown: Vec<_> = COSIGN_REGISTRY.iter().filter(|name| !export.contains(**name)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

/// What `carnet-verify` says when the flag is used.
fn verify_status(arg: &Arg) -> Option<&'static str> {
    let words = ["carnet-verify".to_owned(), "archive".to_owned()].into_iter().chain(used(arg)?);
    let args = VerifyArgs::read(words.map(Into::into)).unwrap();
    match args.validate() {
        Err(FlagError::Later { .. }) => Some("later release"),
        Err(FlagError::Refused { .. }) => Some("refused"),
        other => {
            other.unwrap();
            None
        }
    }
}

/// What `carnet export` says when the flag is used, in a place with no input.
fn export_status(arg: &Arg) -> Option<&'static str> {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_carnet"));
    command.args(["export", "-q", "--from", "oci:none"]).args(used(arg)?).current_dir(&folder);
    if arg.get_long() != Some("output-file") {
        command.args(["-o", "out.tar"]);
    }
    let said = String::from_utf8(command.output().unwrap().stderr).unwrap();
    said.contains(&format!("--{} is not supported yet", arg.get_long()?)).then_some("later release")
}

/// The flag as it stands on a command line; nothing for what asks for help.
fn used(arg: &Arg) -> Option<Vec<String>> {
    let long = arg.get_long().filter(|long| !matches!(*long, "help" | "version" | "quiet" | "from"))?;
    if !arg.get_action().takes_values() {
        return Some(vec![format!("--{long}")]);
    }
    let digest = format!("sha256:{}", "0".repeat(64));
    let possible = arg.get_possible_values();
    let text = match (possible.first(), arg.get_default_values().first(), long) {
        (Some(possible), _, _) => possible.get_name(),
        (_, _, "require") => "signature",
        (_, Some(default), _) if default != "false" => default.to_str().unwrap(),
        (_, Some(_), _) => "true",
        (_, _, "at") => "2026-01-01T00:00:00Z",
        (_, _, "bundle-id" | "trusted-root-digest") => &digest,
        (_, _, "extra-rule-data" | "policy-source") => "key=value",
        (_, _, "output") => "text",
        (_, _, "platform") => "linux/amd64",
        _ => "value",
    };
    Some(vec![format!("--{long}={text}")])
}

fn command(front: &clap::Command, name: &str) -> clap::Command {
    let found = name.split(' ').fold(front, |command, word| command.find_subcommand(word).unwrap());
    found.clone()
}

fn compare(page: &str, want: &str) {
    let path = root().join(page);
    if env::var_os(UPDATE).is_some_and(|value| value == "1") {
        fs::write(&path, want).unwrap();
    }
    let have = fs::read_to_string(&path).unwrap_or_default();
    let differs = have.lines().zip(want.lines()).find(|(have, want)| have != want);
    assert!(have == want, "{page} is not what the programs say; run the tests with {UPDATE}=1. First difference: {differs:?}");
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
