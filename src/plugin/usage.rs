//! What is said about a command line that is none.

use std::{
    ffi::OsString,
    io::{self, Write},
    process::ExitCode,
};

use carnet_verify::report::escape_line;
use clap::error::ErrorKind;

use crate::{mistake, persona::Persona};

/// Says a line on stderr. Nobody is left to be told when that fails.
pub(crate) fn complain(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Says what is wrong and what to do, nothing in it able to steer a terminal.
/// Status 2: no verdict.
pub(crate) fn fail(message: &str, hint: &str) -> ExitCode {
    complain(&format!("carnet: error: {}", escape_line(message)));
    complain(&format!("hint: {}", escape_line(hint)));
    ExitCode::from(2)
}

/// Prints text for programs and people. Whoever closed the pipe wants no more of it.
pub(crate) fn print(text: &str) -> ExitCode {
    let _ = io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

/// `--help` and `--version` are no errors; of an error, what is wrong is said, and what
/// is likely meant. The rest is in `--help`.
pub(crate) fn refuse(error: &clap::Error, words: &[OsString], persona: Persona) -> ExitCode {
    let text = error.to_string();
    if !error.use_stderr() {
        return print(&format!("{}\n", text.trim_end()));
    }
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        complain(text.trim_end());
        return ExitCode::from(2);
    }
    let mut paragraphs = text.split("\n\n").map(|part| part.split_whitespace().collect::<Vec<_>>().join(" "));
    let first = paragraphs.next().unwrap_or_default();
    let tip = || paragraphs.find_map(|part| part.strip_prefix("tip: ").map(str::to_owned));
    let hint = mistake::advice(error, words, persona).or_else(tip);
    let hint = hint.unwrap_or_else(|| mistake::fallback(words, persona));
    fail(first.strip_prefix("error: ").unwrap_or(&first), &hint)
}
