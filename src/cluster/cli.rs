//! The command lines of `carnet images` and `carnet status`.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use carnet_policy::{
    Images, Reading,
    images::{Document, is_inline, read},
};
use carnet_verify::report::{escape_line, render_yaml};
use clap::{Args, ValueEnum};
use jiff::Timestamp;
use serde_json::Value;

use crate::{
    coverage::{Shelf, State, Status},
    error::ClusterError,
    flags::VerifyFlags,
    images_yaml,
    running::sum_up,
    shelf,
    source::{Looked, SourceArgs},
    summary::{MaxAge, Summaries},
    table,
};

const SHELF: &str = "What covers it";
/// Largest list of images that is read.
const MAX_IMAGES: u64 = 64 * 1024 * 1024;
/// Something that runs is not covered.
const UNCOVERED: u8 = 1;
/// Nobody could look.
const NOT_LOOKED: u8 = 2;

/// Writes images.yaml from what runs in a cluster, from manifests, or from the output
/// of `kubectl get pods -o json`.
///
/// Each image is named with the digest that runs, as the runtime says it. Where it says
/// only the digest of a configuration, which no registry knows, a comment and a line on
/// stderr say so.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Exit status: 0 done; 2 could not look, or nothing runs.")]
pub struct ImagesArgs {
    /// Where to look
    #[command(flatten)]
    source: SourceArgs,

    /// How to write it: yaml with comments, json, or the references alone
    #[arg(short, long, value_enum, default_value_t = ListForm::Yaml)]
    output: ListForm,
}

/// Compares what runs in a cluster with bundles on a shelf.
///
/// Every bundle that carries something that runs is judged again by carnet-verify, with
/// the policy and the trust given here. A running image is covered when its image passed;
/// failed when it did not; stale when a bundle of the same name carries another digest, or
/// a signed summary that covers it is too old; else unknown.
#[derive(Args, Clone, Debug)]
#[command(args_override_self = true)]
#[command(
    after_help = "covered: the image passed, in a bundle that carnet-verify judged just now or by a signed summary. failed: it did \
    not. stale: a bundle of the same name carries another digest, or the signed summary is older than --max-age. unknown: \
    nothing covers what runs.\n\nExit status: 0 everything that runs is covered; 1 something is not; 2 could not look, nothing \
    runs, or something is not covered and a bundle could not be judged."
)]
pub struct StatusArgs {
    /// Where to look
    #[command(flatten)]
    source: SourceArgs,

    /// Archives, unpacked archives, or directories that hold some; repeatable
    #[arg(long, value_name = "FILE|DIR", num_args = 1.., required_unless_present = "vsa", help_heading = SHELF)]
    bundles: Vec<PathBuf>,
    /// List of expected images, a file or the text itself; without it, what a bundle carries is judged
    /// without sources
    #[arg(long, value_name = "FILE|TEXT", help_heading = SHELF)]
    images: Option<String>,
    /// Signed verification summary that covers an image too, as `carnet import --attach-vsa` wrote
    /// it; repeatable
    #[arg(long, value_name = "FILE", num_args = 1.., requires = "vsa_key", help_heading = SHELF)]
    vsa: Vec<PathBuf>,
    /// Public key (PEM) that must have signed the summaries
    #[arg(long, value_name = "FILE", requires = "vsa", help_heading = SHELF)]
    vsa_key: Option<PathBuf>,
    /// How long ago a summary may have been given, in days or hours such as 12h; an older one makes
    /// its image stale. Bundles are judged now
    #[arg(long, value_name = "AGE", default_value_t, requires = "vsa", help_heading = SHELF)]
    max_age: MaxAge,

    /// How to write it
    #[arg(short, long, value_enum, default_value_t = StatusForm::Table)]
    output: StatusForm,

    /// What carnet-verify is told
    #[command(flatten)]
    flags: VerifyFlags,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum ListForm {
    /// images.yaml as JSON
    Json,
    /// References, one on a line
    Name,
    /// images.yaml
    Yaml,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum StatusForm {
    /// For programs
    Json,
    /// State and reference, one on a line
    Name,
    /// For people
    Table,
    /// For people, with owners and reasons in columns
    Wide,
    /// For programs
    Yaml,
}

/// Runs `carnet images`.
pub fn images(args: &ImagesArgs) -> ExitCode {
    conclude(write_images(args).map(|()| ExitCode::SUCCESS))
}

/// Runs `carnet status`.
pub fn status(args: &StatusArgs) -> ExitCode {
    conclude(write_status(args))
}

fn write_images(args: &ImagesArgs) -> Result<(), ClusterError> {
    let looked = look(&args.source)?;
    let components = images_yaml::components(&sum_up(looked.found.uses));
    print(&match args.output {
        ListForm::Json => pretty(&images_yaml::json(&components)),
        ListForm::Name => components.iter().map(|one| format!("{}\n", escape_line(&one.image))).collect(),
        ListForm::Yaml => images_yaml::yaml(&components, &looked.place),
    });
    for one in components.iter().filter(|one| one.is_open) {
        say(&format!("carnet: {} is not pinned: nothing says under which digest a registry has what runs", one.image));
    }
    Ok(())
}

fn write_status(args: &StatusArgs) -> Result<ExitCode, ClusterError> {
    let paths = shelf::paths(&args.bundles)?;
    let expected = args.images.as_deref().map(expected).transpose()?;
    let now = args.flags.at().unwrap_or_else(Timestamp::now);
    let summaries = match &args.vsa_key {
        Some(key) => Summaries::read(&args.vsa, key, now)?,
        None => Summaries::default(),
    };
    let refused: Vec<_> =
        summaries.refused.iter().map(|(path, reason)| format!("{} does not count: {reason}", path.display())).collect();
    let looked = look(&args.source)?;
    let shelf = Shelf { paths, images: expected, flags: &args.flags, summaries, max_age: args.max_age, now };
    let status = shelf.compare(sum_up(looked.found.uses))?;
    print(&match args.output {
        StatusForm::Json => pretty(&status.document(&looked.place)),
        StatusForm::Yaml => render_yaml(&status.document(&looked.place)),
        StatusForm::Name => table::names(&status),
        StatusForm::Table => table::render(&status, false),
        StatusForm::Wide => table::render(&status, true),
    });
    if args.output == StatusForm::Name {
        status
            .relaxations()
            .into_iter()
            .for_each(|relaxed| say(&format!("carnet: relaxed: {}: {}", relaxed.flag, relaxed.effect)));
    }
    refused.iter().chain(&status.problems).for_each(|problem| say(&format!("carnet: {problem}")));
    Ok(ExitCode::from(code(&status)))
}

fn code(status: &Status) -> u8 {
    match status.count(State::Covered) == status.rows.len() {
        true => 0,
        // What could not be looked at might have covered it.
        false if !status.problems.is_empty() => NOT_LOOKED,
        false => UNCOVERED,
    }
}

/// Looks, and says what was passed over.
fn look(source: &SourceArgs) -> Result<Looked, ClusterError> {
    let looked = source.look()?;
    let found = &looked.found;
    let mut passed_over = Vec::new();
    if found.ended > 0 {
        passed_over.push(format!("pods that have ended are left out: {}", found.ended));
    }
    if !found.others.is_empty() {
        let kinds: Vec<_> = found.others.iter().map(String::as_str).collect();
        passed_over.push(format!("no pods in: {}", kinds.join(", ")));
    }
    if found.uses.is_empty() {
        let place = std::iter::once(looked.place).chain(passed_over).collect::<Vec<_>>().join("; ");
        return Err(ClusterError::Nothing(place));
    }
    passed_over.iter().for_each(|line| say(&format!("carnet: {line}")));
    Ok(looked)
}

/// The list of images, read as carnet-verify reads it.
fn expected(value: &str) -> Result<Images, ClusterError> {
    let path = Path::new(value);
    if !path.is_file() && is_inline(value) {
        return Ok(read(&[Document { file: "--images", bytes: value.as_bytes() }], None, Reading::Strict)?);
    }
    let error = |source| ClusterError::Read { path: path.to_owned(), source };
    if fs::metadata(path).map_err(error)?.len() > MAX_IMAGES {
        return Err(error(io::Error::new(io::ErrorKind::FileTooLarge, format!("larger than {MAX_IMAGES} bytes"))));
    }
    let bytes = fs::read(path).map_err(error)?;
    Ok(read(&[Document { file: value, bytes: &bytes }], None, Reading::Strict)?)
}

fn conclude(outcome: Result<ExitCode, ClusterError>) -> ExitCode {
    outcome.unwrap_or_else(|error| {
        say(&format!("carnet: error: {error}"));
        say(&format!("hint: {}", error.hint()));
        ExitCode::from(NOT_LOOKED)
    })
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

/// Prints the answer. Whoever closed the pipe wants no more of it.
fn print(text: &str) {
    let _ = io::stdout().write_all(text.as_bytes());
}

/// Says a line on stderr, nothing in it able to steer a terminal. Nobody is left to be
/// told when that fails.
fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{}", escape_line(line));
}
