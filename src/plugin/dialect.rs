//! Short forms of kubectl and cosign, in the words of carnet-verify.
//!
//! carnet-verify reads `-o` as `ec` does: a file. Users of kubectl and cosign mean
//! the form of the output by it, so under these names a value that is a form is one.
//! cosign's flags for what carnet-verify always does are taken away; those that ask
//! for less than it does are refused, because they would not be honoured.

use std::ffi::{OsStr, OsString};

use carnet_verify::report::{TextOptions, parse_targets};

use crate::persona::Persona;

/// A flag that asks for less than a verdict needs.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{flag} is not honoured: {reason}")]
pub(crate) struct NotHonoured {
    flag: String,
    reason: &'static str,
}

/// Flags of `cosign verify` for what always holds here, and why they cannot be off.
const ALWAYS: &[(&str, &str)] = &[
    ("--check-claims", "evidence always has to be about the image"),
    ("--local-image", "carnet-verify judges archives and asks no registry"),
    ("--offline", "carnet-verify has no network"),
];

/// The commands that carnet-verify gets the words of.
const JUDGING: [&str; 2] = ["import", "verify"];

/// Translates a command line, the command first.
///
/// # Errors
///
/// Returns [`NotHonoured`] for a flag of cosign that switches a check off.
pub(crate) fn translate(persona: Persona, words: Vec<OsString>) -> Result<Vec<OsString>, NotHonoured> {
    let judges = words.first().is_some_and(|command| JUDGING.iter().any(|name| command == name));
    if !judges || !matches!(persona, Persona::Cosign | Persona::Kubectl) {
        return Ok(words);
    }
    let mut words = words.iter().peekable();
    let mut translated = Vec::new();
    while let Some(word) = words.next() {
        if word == "--" {
            translated.push(word.clone());
            translated.extend(words.cloned());
            break;
        }
        match output(word, words.peek().copied()) {
            Some(Output::Here(target)) => translated.push(target),
            Some(Output::Next(target)) => {
                translated.push(target);
                words.next();
            }
            None if persona == Persona::Cosign => translated.extend(of_cosign(word)?),
            None => translated.push(word.clone()),
        }
    }
    Ok(translated)
}

enum Output {
    Here(OsString),
    Next(OsString),
}

/// `-o json`, `-ojson` and `-o=json` as `--output=json`, when the value is a form
/// of the report.
fn output(word: &OsStr, next: Option<&OsString>) -> Option<Output> {
    let attached = word.to_str()?.strip_prefix("-o")?;
    let flag = |value: &str| OsString::from(format!("--output={value}"));
    if attached.is_empty() {
        let value = next?.to_str().filter(|value| is_form(value))?;
        return Some(Output::Next(flag(value)));
    }
    let value = attached.strip_prefix('=').unwrap_or(attached);
    is_form(value).then(|| Output::Here(flag(value)))
}

fn is_form(value: &str) -> bool {
    let options = TextOptions { show_successes: false, show_warnings: true, show_policy_docs_link: false };
    !value.is_empty() && parse_targets(&[value.to_owned()], None, options).is_ok()
}

fn of_cosign(word: &OsString) -> Result<Option<OsString>, NotHonoured> {
    let text = word.to_string_lossy();
    let (name, value) = text.split_once('=').map_or((text.as_ref(), None), |(name, value)| (name, Some(value)));
    if name == "--insecure-ignore-tlog" {
        let value = value.map(|value| format!("={value}")).unwrap_or_default();
        return Ok(Some(format!("--ignore-rekor{value}").into()));
    }
    let Some((_, reason)) = ALWAYS.iter().find(|(always, _)| *always == name) else { return Ok(Some(word.clone())) };
    match value {
        None | Some("true" | "t" | "T" | "TRUE" | "True" | "1") => Ok(None),
        Some(_) => Err(NotHonoured { flag: text.into_owned(), reason }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        ["verify"].into_iter().chain(line.split_whitespace()).map(OsString::from).collect()
    }

    #[test]
    fn other_commands_have_their_own_short_forms() {
        let words: Vec<_> = ["inspect", "-o", "json"].map(OsString::from).into();
        assert_eq!(translate(Persona::Kubectl, words.clone()), Ok(words));
    }

    #[test]
    fn short_forms_say_what_the_host_means_by_them() {
        use Persona::{Carnet, Cosign, Docker, Kubectl};
        for (persona, line, want) in [
            (Carnet, "a -o json --offline", "a -o json --offline"),
            (Docker, "a -o json", "a -o json"),
            (Kubectl, "a -o json", "a --output=json"),
            (Kubectl, "a -ojson", "a --output=json"),
            (Kubectl, "a -o=yaml -o json=r.json?show-successes=true", "a --output=yaml --output=json=r.json?show-successes=true"),
            // A file, as ec has it.
            (Kubectl, "a -o report.json", "a -o report.json"),
            (Kubectl, "a -o", "a -o"),
            (Kubectl, "a -- -o json", "a -- -o json"),
            (Kubectl, "a --offline", "a --offline"),
            (Cosign, "a -o json --key k --insecure-ignore-tlog", "a --output=json --key k --ignore-rekor"),
            (Cosign, "a --insecure-ignore-tlog=false", "a --ignore-rekor=false"),
            (Cosign, "a --offline --check-claims=true --local-image", "a"),
            (Cosign, "a -- --offline", "a -- --offline"),
        ] {
            assert_eq!(translate(persona, words(line)), Ok(words(want)), "{persona:?} {line}");
        }
    }

    #[test]
    fn what_would_switch_a_check_off_is_refused() {
        for line in ["--check-claims=false", "--offline=0", "--local-image=false"] {
            let error = translate(Persona::Cosign, words(line)).unwrap_err();
            assert!(error.to_string().starts_with(line), "{error}");
        }
    }
}
