//! `carnet why`: explains a finding code, or what an archive holds about a digest.
//!
//! Four questions, always in this order: what, where, why it matters, what to do.
//! The words are the codes' own and those of `bundle-spec/verify.md`; what an
//! archive holds is read as `carnet inspect` reads it. Nothing here judges: of the
//! findings, those of gate 1 are shown, which need no file of the operator.

mod code;
mod held;
mod role;

use std::{
    ffi::{OsStr, OsString},
    path::Path,
    process::ExitCode,
};

use carnet_bundle::{Code, Digest, Limits, OpenError, Opened, open};
use carnet_verify::{codes, disk::open_container, report::escape_line};
use clap::Args;

use self::held::Held;
use crate::usage;

/// Arguments of `carnet why`.
#[derive(Args, Debug)]
pub(crate) struct WhyArgs {
    /// [ARCHIVE] CODE|DIGEST: a finding code, or a digest in the archive, of which the first digits are
    /// enough; with --list the archive alone, or nothing
    #[arg(value_name = "ARCHIVE|CODE|DIGEST", num_args = 0..=2)]
    words: Vec<OsString>,

    /// List what can be asked: every finding code, or what was found in the archive and its digests
    #[arg(long)]
    list: bool,
}

/// Why there is no explanation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
enum WhyError {
    #[error("{begin} begins {count} digests of the archive")]
    Ambiguous { begin: String, count: usize },
    #[error("{0} names no archive: a digest is asked of one")]
    DigestAlone(String),
    #[error("nothing in the archive has or names the digest {0}")]
    NotHeld(String),
    #[error("{path}: {source}")]
    Open { path: String, source: OpenError },
    #[error("{0} is no finding code and no digest")]
    Unknown(String),
    #[error("want a finding code, an archive and a finding code or digest, or --list")]
    Words,
}

impl WhyError {
    fn hint(&self) -> &'static str {
        match self {
            Self::Ambiguous { .. } => "give more digits",
            Self::DigestAlone(_) => "`carnet why ARCHIVE DIGEST`",
            Self::NotHeld(_) => "`carnet why ARCHIVE --list` lists its digests",
            Self::Open { .. } => "give an archive that `carnet export` wrote, or the directory it was unpacked to",
            Self::Unknown(_) => "`carnet why --list` lists every finding code, `carnet why ARCHIVE --list` the digests",
            Self::Words => "`carnet why --help` shows the forms",
        }
    }
}

/// What is asked about.
enum Question {
    Code(&'static Code),
    /// Hexadecimal digits that a digest begins with.
    Digest(String),
}

/// Runs `carnet why`. Status 0 when there is an explanation, else 2.
pub(crate) fn run(args: &WhyArgs) -> ExitCode {
    match explain(args) {
        Ok(lines) => usage::print(&lines.iter().map(|line| format!("{}\n", escape_line(line))).collect::<String>()),
        Err(error) => usage::fail(&error.to_string(), error.hint()),
    }
}

fn explain(args: &WhyArgs) -> Result<Vec<String>, WhyError> {
    match (args.words.as_slice(), args.list) {
        ([], true) => Ok(codes::all().map(code::line).collect()),
        ([archive], true) => Ok(Held::new(&read(archive)?).list()),
        ([word], false) => match Question::read(word)? {
            Question::Code(code) => Ok(code::explain(code, None)),
            Question::Digest(begin) => Err(WhyError::DigestAlone(begin)),
        },
        ([archive, word], false) => {
            // A word that is no question costs no pass over the archive.
            let question = Question::read(word)?;
            let opened = read(archive)?;
            match question {
                Question::Code(code) => Ok(code::explain(code, Some(&opened.findings))),
                Question::Digest(begin) => {
                    let held = Held::new(&opened);
                    Ok(held.explain(&find(&held, &begin)?))
                }
            }
        }
        _ => Err(WhyError::Words),
    }
}

impl Question {
    /// Fewest digits that stand for a digest.
    const LEAST: usize = 6;

    fn read(word: &OsStr) -> Result<Self, WhyError> {
        let text = word.to_string_lossy();
        if let Some(code) = codes::all().find(|code| code.name == text) {
            return Ok(Self::Code(code));
        }
        let digits = text.strip_prefix("sha256:").unwrap_or(&text);
        let is_digest =
            (Self::LEAST..=64).contains(&digits.len()) && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if is_digest { Ok(Self::Digest(digits.to_owned())) } else { Err(WhyError::Unknown(text.into_owned())) }
    }
}

fn read(archive: &OsStr) -> Result<Opened, WhyError> {
    let limits = Limits::default();
    let opened = open_container(Path::new(archive), &limits).map_err(Into::into);
    let opened = opened.and_then(|mut container| open(container.as_mut(), &limits));
    opened.map_err(|source| WhyError::Open { path: archive.to_string_lossy().into_owned(), source })
}

/// The one digest that begins so.
fn find(held: &Held<'_>, begin: &str) -> Result<Digest, WhyError> {
    let mut digests = held.digests();
    digests.retain(|digest| digest.to_hex().starts_with(begin));
    match digests.len() {
        0 => Err(WhyError::NotHeld(begin.to_owned())),
        1 => digests.pop_first().ok_or_else(|| WhyError::NotHeld(begin.to_owned())),
        count => Err(WhyError::Ambiguous { begin: begin.to_owned(), count }),
    }
}
