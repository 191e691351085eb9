//! The arguments of `carnet-verify`, which an import passes on as they are.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use carnet_verify::VerifyArgs;
use clap::{ArgMatches, Args, Command, FromArgMatches, parser::ValueSource};

/// The words of a command line that are meant for `carnet-verify`.
///
/// They are read by its own definition, so that what it would refuse is refused
/// here, and are handed over as text.
#[derive(Clone, Debug, Default)]
pub struct VerifyWords {
    /// The archive.
    pub archive: PathBuf,
    /// Whether only errors are to be said.
    pub quiet: bool,
    /// Platforms that were asked for, as they were written.
    pub(crate) platforms: Vec<String>,
    flags: Vec<OsString>,
    says_output: bool,
}

impl VerifyWords {
    /// The same about another archive.
    pub(crate) fn about(&self, archive: &Path) -> Self {
        Self { archive: archive.to_owned(), ..self.clone() }
    }

    /// Whether a report goes to a file that the command line names.
    pub(crate) fn writes_files(&self) -> bool {
        let texts = self.flags.iter().map(|flag| flag.to_string_lossy());
        texts.into_iter().any(|flag| {
            flag.starts_with("--output-file=") || flag.strip_prefix("--output=").is_some_and(|targets| targets.contains('='))
        })
    }

    /// The command line for `carnet-verify`, with more report targets. What it
    /// would print without them it prints with them too.
    pub(crate) fn with_outputs(&self, targets: &[OsString]) -> Vec<OsString> {
        let mut words = self.flags.clone();
        let default = OsString::from("text");
        let printed = (!self.says_output).then_some(&default);
        words.extend(printed.into_iter().chain(targets).map(|target| flag("output", target)));
        words.extend(["--".into(), self.archive.clone().into()]);
        words
    }
}

fn flag(name: &str, value: &OsString) -> OsString {
    let mut word = OsString::from(format!("--{name}="));
    word.push(value);
    word
}

impl Args for VerifyWords {
    fn augment_args(command: Command) -> Command {
        VerifyArgs::definition().get_arguments().fold(command, |command, arg| command.arg(arg.clone()))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for VerifyWords {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut words = Self::default();
        words.update_from_arg_matches(matches)?;
        Ok(words)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        for arg in VerifyArgs::definition().get_arguments() {
            let id = arg.get_id().as_str();
            if matches.value_source(id) != Some(ValueSource::CommandLine) {
                continue;
            }
            let values: Vec<_> = matches.get_raw_occurrences(id).into_iter().flatten().flatten().map(OsString::from).collect();
            match arg.get_long() {
                None => self.archive = values.into_iter().next_back().map(PathBuf::from).unwrap_or_default(),
                Some(long) => {
                    self.says_output |= long == "output" || long == "output-file";
                    self.quiet |= long == "quiet" && values.iter().any(|value| value == "true");
                    if long == "platform" {
                        self.platforms.extend(values.iter().map(|value| value.to_string_lossy().into_owned()));
                    }
                    self.flags.extend(values.iter().map(|value| flag(long, value)));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        words: VerifyWords,
    }

    fn passed_on(words: &[&str]) -> Vec<String> {
        let cli = Cli::try_parse_from(["import"].iter().chain(words)).unwrap();
        let words = cli.words.with_outputs(&["json=r".into()]);
        words.into_iter().map(|word| word.into_string().unwrap()).collect()
    }

    #[test]
    fn what_is_meant_for_the_verifier_reaches_it() {
        assert_eq!(
            passed_on(&["a.tar", "-p", "p.yaml", "--images", "i.yaml", "--ignore-rekor", "--platform", "linux/amd64"]),
            [
                "--images=i.yaml",
                "--policy=p.yaml",
                "--ignore-rekor=true",
                "--platform=linux/amd64",
                "--output=text",
                "--output=json=r",
                "--",
                "a.tar"
            ]
        );
        assert_eq!(passed_on(&["--output", "junit=x", "--", "-a"]), ["--output=junit=x", "--output=json=r", "--", "-a"]);
        assert!(Cli::try_parse_from(["import", "a.tar", "--no-such-flag"]).is_err());
    }

    /// What the verifier gets means what was typed.
    #[test]
    fn the_verifier_reads_what_was_typed() {
        let typed = ["a.tar", "--strict=false", "--skip-image-sig-check", "--extra-rule-data", "a=b", "--extra-rule-data", "c=d"];
        let words = passed_on(&typed);
        let read = VerifyArgs::read(["v".into()].into_iter().chain(words.into_iter().map(OsString::from))).unwrap();
        assert!(!read.strict.0 && read.skip_image_sig_check.0);
        assert_eq!(read.extra_rule_data, ["a=b", "c=d"]);
        assert_eq!(read.archive, PathBuf::from("a.tar"));
    }
}
