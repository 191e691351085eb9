//! Advice on a command line that is none, to somebody who knows other tools.
//!
//! clap says what is wrong, and names what is spelt alike. What is meant alike it does
//! not know: `ec validate image`, `cosign copy`, `kubectl carnet get`.

use std::ffi::OsString;

use clap::{
    Command,
    error::{ContextKind, ContextValue, ErrorKind},
};

use crate::{documented, examples, persona::Persona};

/// Words of other tools, and what is meant by them here; `{}` is what the user typed
/// to get here.
const ELSEWHERE: &[(&[&str], &str)] = &[
    (&["validate"], "`ec validate image` is `{} verify ARCHIVE` with the same flags; `{} export` makes the archive"),
    (
        &["get", "list", "ls", "ps", "top"],
        "`{} images` lists what runs, `{} status` says what covers it, `{} inspect ARCHIVE` lists what an archive holds",
    ),
    (&["describe", "show", "explain"], "`{} inspect ARCHIVE` shows an archive, `{} why CODE` explains a finding"),
    (
        &["save", "pull", "download", "collect", "pack", "create", "bundle"],
        "`{} export` collects images and evidence into an archive",
    ),
    (
        &["load", "push", "copy", "cp", "promote", "upload", "unpack", "extract"],
        "`{} import` writes what passed to a registry or a file",
    ),
    (
        &["verify-attestation", "verify-blob", "verify-image", "check", "judge", "dockerfile", "manifest"],
        "`{} verify` judges an archive: signatures, attestations and rules in one verdict",
    ),
    (
        &["sign", "attest", "sign-blob", "attest-blob", "generate", "generate-key-pair"],
        "carnet makes no signatures: sign and attest with cosign, then `{} export` collects them",
    ),
    (&["triangulate"], "`{} tree ARCHIVE` shows the evidence of each image"),
    (
        &["initialize", "init", "fetch", "trusted-root"],
        "`{} trust fetch` fetches a trusted root; without one the public root that is built in is used",
    ),
    (&["pin", "lock", "track"], "`{} policy pin` writes down which rules a policy means today"),
    (&["test", "opa"], "`{} policy test` runs the tests of rules, `{} policy inspect` lists rules"),
    (&["install", "krew"], "`{} plugin install --for kubectl` makes the names that kubectl finds"),
    (&["compare", "diff", "coverage"], "`{} status` compares what runs with the bundles of a shelf"),
    (&["login", "logout"], "carnet uses the credentials of `docker login`, `podman login` or `cosign login`"),
    (&["version"], "`{} --version` says the version"),
];

/// Commands that are named for having a flag.
const SHOWN: usize = 3;

/// What is likely meant. `None` where clap's own tip says as much.
pub(crate) fn advice(error: &clap::Error, words: &[OsString], persona: Persona) -> Option<String> {
    let root = documented::definition(persona);
    let words: Vec<_> = words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let (path, command, rest) = asked(&root, &words);
    let called = [&[persona.called()][..], &path].concat().join(" ");
    match error.kind() {
        ErrorKind::InvalidSubcommand => unknown_command(command, rest, &called),
        ErrorKind::UnknownArgument => unknown_flag(error, &root, &path, persona),
        _ => None,
    }
}

/// What helps where nothing better is known: a line that would be understood.
pub(crate) fn fallback(words: &[OsString], persona: Persona) -> String {
    let root = documented::definition(persona);
    let words: Vec<_> = words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let (path, command, _) = asked(&root, &words);
    let called = [&[persona.called()][..], &path].concat().join(" ");
    let example = examples::first(&path, persona).map(|line| format!("for example `{line}`; ")).unwrap_or_default();
    match command.has_subcommands() {
        true => format!("`{called} --help` lists the commands"),
        false => format!("{example}`{called} --help` lists every flag"),
    }
}

/// The command that the words lead to, its path, and the words behind it.
fn asked<'a, 'b>(root: &'a Command, words: &'b [String]) -> (Vec<&'a str>, &'a Command, &'b [String]) {
    let (mut path, mut command, mut rest) = (Vec::new(), root, words);
    while let Some((below, behind)) = rest.split_first().and_then(|(word, behind)| Some((command.find_subcommand(word)?, behind)))
    {
        path.push(below.get_name());
        (command, rest) = (below, behind);
    }
    (path, command, rest)
}

fn unknown_command(command: &Command, rest: &[String], called: &str) -> Option<String> {
    let typed = rest.iter().find(|word| !word.starts_with('-'))?;
    let behind = rest.iter().skip_while(|word| *word != typed).nth(1);
    // `carnet image verify`, `kubectl carnet get status`: the word behind is the command.
    if let Some(behind) = behind.and_then(|word| command.find_subcommand(word)) {
        return Some(format!("`{called} {}` is a command by itself, without {typed:?}", behind.get_name()));
    }
    let is_top = command.find_subcommand("verify").is_some();
    let (_, advice) = ELSEWHERE.iter().filter(|_| is_top).find(|(words, _)| words.contains(&typed.as_str()))?;
    Some(advice.replace("{}", called))
}

/// A flag that another command has, or the value of a switch without its `=`.
fn unknown_flag(error: &clap::Error, root: &Command, path: &[&str], persona: Persona) -> Option<String> {
    let Some(ContextValue::String(flag)) = error.get(ContextKind::InvalidArg) else { return None };
    let called = |path: &[&str]| [&[persona.called()][..], path].concat().join(" ");
    if !flag.starts_with('-') {
        let asked = path.iter().try_fold(root, |command, name| command.find_subcommand(name))?;
        return Some(match flag.as_str() {
            _ if asked.get_positionals().next().is_none() => {
                format!("`{}` takes flags only; its --help lists them", called(path))
            }
            "true" | "false" => format!("a switch and its value are one word, such as --strict={flag}"),
            _ => format!("`{} --help` shows how many arguments there are; quote what has blanks in it", called(path)),
        });
    }
    let long = flag.strip_prefix("--")?.split('=').next()?;
    let mut having = Vec::new();
    walk(root, &mut Vec::new(), &mut |path, command| {
        if command.get_arguments().any(|arg| arg.get_long() == Some(long) && !arg.is_hide_set()) {
            having.push(format!("`{}`", called(path)));
        }
    });
    let known: Vec<_> = having.into_iter().take(SHOWN).collect();
    (!known.is_empty()).then(|| format!("--{long} is a flag of {}", known.join(", ")))
}

fn walk<'a>(command: &'a Command, path: &mut Vec<&'a str>, visit: &mut impl FnMut(&[&str], &Command)) {
    visit(path, command);
    for below in command.get_subcommands() {
        path.push(below.get_name());
        walk(below, path, visit);
        path.pop();
    }
}
