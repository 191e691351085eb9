//! The arguments of `carnet-verify`, with several archives in place of one.

use std::path::PathBuf;

use carnet_verify::VerifyArgs;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use super::error::ServeError;
use crate::arguments::VerifyWords;

/// The words of a command line that are meant for `carnet-verify`, which is started
/// once for each archive.
#[derive(Clone, Debug, Default)]
pub(crate) struct ServeWords {
    archives: Vec<PathBuf>,
    words: VerifyWords,
}

impl ServeWords {
    /// What `carnet-verify` is told of each archive.
    pub(crate) fn each(&self) -> impl Iterator<Item = VerifyWords> {
        self.archives.iter().map(|archive| self.words.about(archive))
    }

    /// What makes no sense here.
    pub(crate) fn refuse(&self) -> Result<(), ServeError> {
        if self.archives.iter().any(|archive| archive.as_os_str() == "-") {
            return Err(ServeError::StandardInput);
        }
        if self.archives.len() > 1 && self.words.writes_files() {
            return Err(ServeError::Reports);
        }
        Ok(())
    }
}

/// The argument of the definition that is the archive, and stands for several.
fn several(arg: &Arg) -> Arg {
    match arg.is_positional() {
        true => arg.clone().num_args(1..).action(ArgAction::Append),
        false => arg.clone(),
    }
}

impl Args for ServeWords {
    fn augment_args(command: Command) -> Command {
        VerifyArgs::definition().get_arguments().fold(command, |command, arg| command.arg(several(arg)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for ServeWords {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut words = Self::default();
        words.update_from_arg_matches(matches)?;
        Ok(words)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.words.update_from_arg_matches(matches)?;
        for arg in VerifyArgs::definition().get_positionals() {
            self.archives.extend(matches.get_raw(arg.get_id().as_str()).into_iter().flatten().map(PathBuf::from));
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
        words: ServeWords,
    }

    #[test]
    fn each_archive_is_judged_with_the_same_flags() {
        let typed = ["serve", "a.tar", "-p", "p.yaml", "b.tar", "--images", "i.yaml", "--", "-c.tar"];
        let words = Cli::try_parse_from(typed).unwrap().words;
        let told: Vec<_> = words.each().map(|words| words.with_outputs(&["json=r".into()])).collect();
        let flags = ["--images=i.yaml", "--policy=p.yaml", "--output=text", "--output=json=r", "--"];
        for (told, archive) in told.iter().zip(["a.tar", "b.tar", "-c.tar"]) {
            assert_eq!(told[..5], flags, "{archive}");
            assert_eq!(told[5..], [archive]);
        }
        assert_eq!(told.len(), 3);
        assert!(Cli::try_parse_from(["serve"]).is_err());
    }

    #[test]
    fn one_report_file_is_for_one_archive() {
        let refused = |words: &[&str]| Cli::parse_from(["serve"].iter().chain(words)).words.refuse();
        for words in
            [&["a", "b", "--output", "json=r"][..], &["a", "b", "--output-file", "r"], &["a", "b", "--output", "text,json=r"]]
        {
            assert!(matches!(refused(words), Err(ServeError::Reports)), "{words:?}");
        }
        assert!(matches!(refused(&["a", "-"]), Err(ServeError::StandardInput)));
        for words in [&["a", "--output", "json=r"][..], &["a", "b", "--output", "json"], &["a", "b"]] {
            refused(words).unwrap();
        }
    }
}
