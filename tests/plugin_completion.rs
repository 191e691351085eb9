//! Completion scripts and man pages are made from the command line itself, so they
//! know every command and every flag.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "plugin/installed.rs"]
mod installed;

use std::{
    collections::BTreeSet,
    fs,
    io::Write,
    process::{Command, Stdio},
};

use carnet::{documented, persona::Persona};
use carnet_verify::VerifyArgs;
use installed::{Ended, Installed};

/// Every command with its words, and the flags that are shown.
fn commands() -> Vec<(Vec<String>, BTreeSet<String>)> {
    fn walk(command: &clap::Command, words: &[String], all: &mut Vec<(Vec<String>, BTreeSet<String>)>) {
        let shown = command.get_arguments().filter(|arg| !arg.is_hide_set());
        all.push((words.to_vec(), shown.filter_map(|arg| arg.get_long().map(str::to_owned)).collect()));
        for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
            walk(below, &[words, &[below.get_name().to_owned()]].concat(), all);
        }
    }
    let mut all = Vec::new();
    let mut root = documented::definition(Persona::Carnet);
    root.build();
    walk(&root, &[], &mut all);
    all
}

#[test]
fn every_shell_learns_every_command_and_flag() {
    let installed = Installed::without_verifier();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = installed.run("carnet", &["completion", shell]).good();
        for (words, flags) in commands() {
            let last = words.last().map_or("carnet", String::as_str);
            assert!(script.contains(last), "{shell}: {words:?}");
            // fish writes `-l flag`.
            let lacking: Vec<_> = flags
                .iter()
                .filter(|flag| !script.contains(&format!("--{flag}")) && !script.contains(&format!("-l {flag}")))
                .collect();
            assert!(lacking.is_empty(), "{shell}: {words:?}: {lacking:?}");
        }
        let script = installed.run("carnet", &["completion", shell, "--verifier"]).good();
        assert!(script.contains("carnet-verify") && script.contains("trusted-root-digest"), "{shell}");
    }
    let said = installed.run("carnet", &["completion", "tcsh"]).refused();
    assert!(said.contains("tcsh"), "{said}");
}

#[test]
fn scripts_are_for_the_name_that_was_typed() {
    let installed = Installed::without_verifier();
    for name in ["cosign-carnet", "kubectl-carnet"] {
        let script = installed.link(name).run(name, &["completion", "bash"]).good();
        assert!(
            script.lines().any(|line| line.starts_with("complete ") || line.trim_start().starts_with("complete -F")),
            "{script}"
        );
        assert!(script.contains(&format!("-o default {name}\n")), "{name}");
    }
}

/// What bash offers, by the script itself.
fn bash(script: &str, words: &[&str]) -> Vec<String> {
    let typed: Vec<_> = words.iter().map(|word| format!("'{word}'")).collect();
    let ask = format!(
        "{script}\nCOMP_WORDS=(carnet {})\nCOMP_CWORD={}\n_carnet carnet \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD-1]}}\"\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"\n",
        typed.join(" "),
        words.len()
    );
    let mut bash = Command::new("bash");
    bash.args(["--norc", "-s"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = bash.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(ask.as_bytes()).unwrap());
    let ended = Ended::of(&child.wait_with_output().unwrap());
    writer.join().unwrap();
    ended.good().lines().map(str::to_owned).collect()
}

#[test]
fn bash_offers_what_could_come_next() {
    let script = Installed::without_verifier().run("carnet", &["completion", "bash"]).good();
    for (words, want) in [
        (&["ver"][..], vec!["verify"]),
        (&["trust", "sh"], vec!["show"]),
        (&["verify", "--trusted-root-"], vec!["--trusted-root-digest"]),
        (&["plugin", "install", "--for", "ku"], vec!["kubectl"]),
    ] {
        assert_eq!(bash(&script, words), want, "{words:?}");
    }
}

#[test]
fn there_is_a_page_for_every_command() {
    let installed = Installed::without_verifier();
    installed.run("carnet", &["man", "share/man1"]).good();
    let mut pages = BTreeSet::new();
    for (words, flags) in commands() {
        let name = [&["carnet".to_owned()], words.as_slice()].concat().join("-");
        let page = fs::read_to_string(installed.path("share/man1").join(format!("{name}.1"))).unwrap();
        assert!(page.contains(&format!(".TH {name} ")), "{name}: {page}");
        let plain = page.replace("\\-", "-").replace("\\fB", "").replace("\\fR", "");
        let lacking: Vec<_> = flags.iter().filter(|flag| !plain.contains(&format!("--{flag}"))).collect();
        assert!(lacking.is_empty(), "{name}: {lacking:?}");
        pages.insert(format!("{name}.1"));
    }
    let written =
        fs::read_dir(installed.path("share/man1")).unwrap().map(|page| page.unwrap().file_name().into_string().unwrap());
    assert_eq!(written.collect::<BTreeSet<_>>(), pages);
    let page = fs::read_to_string(installed.path("share/man1/carnet-verify.1")).unwrap().replace("\\-", "-");
    for arg in VerifyArgs::definition().get_arguments().filter(|arg| !arg.is_hide_set()) {
        assert!(arg.get_long().is_none_or(|long| page.contains(&format!("--{long}"))), "{arg}");
    }
    let said = installed.run("carnet", &["man", "carnet"]).refused();
    assert!(said.contains("cannot write man pages to carnet"), "{said}");
}

#[test]
fn every_command_has_help() {
    let installed = Installed::whole();
    installed.link("kubectl-carnet");
    for (words, _) in commands() {
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        for (name, typed) in [("carnet", "carnet"), ("kubectl-carnet", "kubectl carnet")] {
            let page = installed.run(name, &[words.as_slice(), &["--help"]].concat()).good();
            let usage = format!("Usage: {}", [&[typed], words.as_slice()].concat().join(" "));
            assert!(page.lines().any(|line| line.starts_with(&usage)), "{usage}: {page}");
        }
    }
}
