//! What could come next on a command line, in the protocol of Cobra.
//!
//! kubectl starts `kubectl_complete-carnet` with the words behind the plugin's
//! name, the one being typed last, and reads one candidate a line, a tab before its
//! description, then `:` and a directive for the shell:
//! <https://pkg.go.dev/github.com/spf13/cobra#ShellCompDirective>. docker passes on
//! what `docker-carnet __complete carnet` prints.

use std::{ffi::OsString, process::ExitCode};

use clap::{Arg, Command};

use crate::{documented, persona::Persona, usage};

/// What the shell shall do beside the candidates.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Directive {
    /// Offer files when there is no candidate.
    Files = 0,
    /// Offer nothing else.
    NoFiles = 4,
    /// Offer directories.
    Directories = 16,
}

/// The candidates, each with a description, and the directive.
type Answer = (Vec<(String, String)>, Directive);

/// Prints what could follow `words`, of which the last is being typed.
pub(crate) fn complete(persona: Persona, words: &[OsString]) -> ExitCode {
    let mut root = documented::definition(persona);
    root.build();
    let words: Vec<_> = words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let (typed, before) = words.split_last().map_or(("", [].as_slice()), |(typed, before)| (typed.as_str(), before));
    let (candidates, directive) = Line::read(&root, before).next(typed);
    let mut text = String::new();
    for (word, meaning) in candidates {
        text += &if meaning.is_empty() { format!("{word}\n") } else { format!("{word}\t{meaning}\n") };
    }
    text += &format!(":{}\n", directive.number());
    usage::print(&text)
}

impl Directive {
    fn number(self) -> u8 {
        match self {
            Self::Files => 0,
            Self::NoFiles => 4,
            Self::Directories => 16,
        }
    }
}

/// A command line up to the word that is being typed.
struct Line<'a> {
    command: &'a Command,
    /// The flag whose value comes next.
    open: Option<&'a Arg>,
    /// Words that are no flag, of the command.
    positionals: usize,
    /// `--` was there: no flags any more.
    ended: bool,
}

impl<'a> Line<'a> {
    fn read(root: &'a Command, before: &[String]) -> Self {
        let mut line = Self { command: root, open: None, positionals: 0, ended: false };
        before.iter().for_each(|word| line.take(word));
        line
    }

    fn take(&mut self, word: &str) {
        if self.open.take().is_some() {
            return;
        }
        if !self.ended && word == "--" {
            self.ended = true;
        } else if !self.ended && word.starts_with('-') && word.len() > 1 {
            self.open = self.flag(word).filter(|_| !word.contains('=')).filter(|arg| takes_next_word(arg));
        } else if let Some(command) = self.command.find_subcommand(word).filter(|_| self.positionals == 0) {
            self.command = command;
        } else {
            self.positionals += 1;
        }
    }

    /// The flag that a word names; of short ones together the last, unless an
    /// earlier one takes the rest as its value.
    fn flag(&self, word: &str) -> Option<&'a Arg> {
        let word = word.split('=').next().unwrap_or_default();
        let mut arguments = self.command.get_arguments();
        if let Some(long) = word.strip_prefix("--") {
            return arguments.find(|arg| {
                arg.get_long() == Some(long) || arg.get_all_aliases().is_some_and(|aliases| aliases.contains(&long))
            });
        }
        let short = |letter: char| self.command.get_arguments().find(|arg| arg.get_short() == Some(letter));
        let letters: Vec<_> = word.chars().skip(1).collect();
        let (last, earlier) = letters.split_last()?;
        let has_value = earlier.iter().filter_map(|letter| short(*letter)).any(takes_next_word);
        short(*last).filter(|_| !has_value)
    }

    fn next(&self, typed: &str) -> Answer {
        if let Some(open) = self.open {
            return values(open, typed);
        }
        if !self.ended && typed.starts_with('-') {
            return match typed.split_once('=').and_then(|(name, value)| Some((self.flag(name)?, value))) {
                Some((flag, value)) => values(flag, value),
                None => (self.flags(typed), Directive::NoFiles),
            };
        }
        let commands = if self.positionals == 0 && !self.ended { self.commands(typed) } else { Vec::new() };
        if !commands.is_empty() || self.command.has_subcommands() {
            return (commands, Directive::NoFiles);
        }
        // The last one may stand for all that follow.
        let positionals: Vec<_> = self.command.get_positionals().collect();
        let repeats = |arg: &&&Arg| arg.get_num_args().is_some_and(|range| range.max_values() > 1);
        let next = positionals.get(self.positionals).or_else(|| positionals.last().filter(repeats));
        next.map_or((Vec::new(), Directive::NoFiles), |arg| values(arg, typed))
    }

    fn flags(&self, typed: &str) -> Vec<(String, String)> {
        let arguments = self.command.get_arguments().filter(|arg| !arg.is_hide_set());
        let named = arguments.flat_map(|arg| {
            let aliases = arg.get_visible_aliases().unwrap_or_default();
            arg.get_long().into_iter().chain(aliases).map(move |name| (format!("--{name}"), arg))
        });
        named.filter(|(word, _)| word.starts_with(typed)).map(|(word, arg)| (word, meaning(arg.get_help()))).collect()
    }

    fn commands(&self, typed: &str) -> Vec<(String, String)> {
        let commands = self.command.get_subcommands().filter(|command| !command.is_hide_set());
        let named = commands.filter(|command| command.get_name().starts_with(typed));
        named.map(|command| (command.get_name().to_owned(), meaning(command.get_about()))).collect()
    }
}

fn takes_next_word(arg: &Arg) -> bool {
    arg.get_action().takes_values() && !arg.is_require_equals_set()
}

/// What the value of a flag or a positional can be.
fn values(arg: &Arg, typed: &str) -> Answer {
    let named = arg.get_value_names().unwrap_or_default().join(" ");
    let known: Vec<_> = match arg.get_possible_values() {
        _ if named == "BOOL" => ["true", "false"].map(|word| (word.to_owned(), String::new())).into(),
        known => known.iter().map(|value| (value.get_name().to_owned(), meaning(value.get_help()))).collect(),
    };
    if !known.is_empty() {
        return (known.into_iter().filter(|(word, _)| word.starts_with(typed)).collect(), Directive::NoFiles);
    }
    let is = |what: &[&str]| what.iter().any(|what| named.contains(what));
    let directive = match () {
        () if is(&["FILE", "PATH", "ARCHIVE"]) => Directive::Files,
        () if is(&["DIR"]) => Directive::Directories,
        () => Directive::NoFiles,
    };
    (Vec::new(), directive)
}

/// The first sentence, on one line.
fn meaning(text: Option<&clap::builder::StyledStr>) -> String {
    let text = text.map(ToString::to_string).unwrap_or_default();
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    words.split(". ").next().unwrap_or_default().trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(line: &str) -> (Vec<String>, Directive) {
        let mut root = documented::definition(Persona::Kubectl);
        root.build();
        let words: Vec<_> = line.split(' ').map(str::to_owned).collect();
        let (typed, before) = words.split_last().unwrap();
        let (candidates, directive) = Line::read(&root, before).next(typed);
        (candidates.into_iter().map(|(word, _)| word).collect(), directive)
    }

    #[test]
    fn what_follows_is_a_command_a_flag_a_value_or_a_file() {
        for (line, want, directive) in [
            ("ver", vec!["verify"], Directive::NoFiles),
            ("trust sh", vec!["show"], Directive::NoFiles),
            ("verify --certificate-identity-", vec!["--certificate-identity-regexp"], Directive::NoFiles),
            ("verify --ke", vec!["--key"], Directive::NoFiles),
            ("verify a.tar --layers ", vec!["all", "none"], Directive::NoFiles),
            ("verify a.tar --layers=n", vec!["none"], Directive::NoFiles),
            ("verify a.tar --strict=f", vec!["false"], Directive::NoFiles),
            // A switch takes no next word.
            ("verify --strict ", vec![], Directive::Files),
            ("verify --images ", vec![], Directive::Files),
            ("verify -p ", vec![], Directive::Files),
            ("verify --image ", vec![], Directive::NoFiles),
            ("verify a.tar ", vec![], Directive::NoFiles),
            ("verify ", vec![], Directive::Files),
            ("inspect -o ", vec!["json", "text", "yaml"], Directive::NoFiles),
            ("inspect -oj", vec![], Directive::NoFiles),
            ("export --cache ", vec![], Directive::Directories),
            ("export a b c", vec![], Directive::NoFiles),
            ("export -- --pol", vec![], Directive::NoFiles),
            ("nonsense x", vec![], Directive::NoFiles),
        ] {
            assert_eq!(answer(line), (want.into_iter().map(str::to_owned).collect(), directive), "{line}");
        }
        let (commands, _) = answer("");
        assert!(
            ["export", "verify", "plugin", "why"].iter().all(|name| commands.iter().any(|have| have == name)),
            "{commands:?}"
        );
    }
}
