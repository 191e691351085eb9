//! `carnet policy inspect`: what the rules of a source say about themselves.

use std::{
    collections::BTreeMap,
    io::{self, Write as _},
    process::ExitCode,
};

use carnet_policy::rego::{
    File, LoadError,
    listing::{self, Listed, Listing},
};
use clap::{Args, ValueEnum};

use crate::{
    policy_files::{FetchArgs, FilesError, urls_of_policy},
    terminal::{Printable, say},
};

const NOT_DONE: u8 = 2;

/// Lists the rules of policy sources: codes, titles, collections, effective dates,
/// dependencies.
///
/// The forms are those of `ec inspect policy`. Sources are looked at one by one and
/// are not compiled, so a library that they need can be left out.
#[derive(Args, Clone, Debug)]
pub struct InspectPolicyArgs {
    /// Look at this source: a directory, git, OCI or https URL; may be repeated
    #[arg(short, long, value_name = "URL", required_unless_present = "policy")]
    source: Vec<String>,

    /// Look at the sources of this policy.yaml, a file or a URL
    #[arg(short, long, value_name = "POLICY", conflicts_with = "source")]
    policy: Option<String>,

    /// Form of the list; `json` and `yaml` have every annotation
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Form,

    /// Only the rule of this code or short name
    #[arg(long, value_name = "RULE")]
    rule: Option<String>,

    /// Only rules of this package
    #[arg(long, value_name = "PACKAGE")]
    package: Option<String>,

    /// Only rules of this collection
    #[arg(long, value_name = "COLLECTION")]
    collection: Option<String>,

    #[command(flatten)]
    fetch: FetchArgs,
}

/// Form of the list.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
enum Form {
    /// Code, page, title, description and collections of each rule.
    #[default]
    Text,
    /// Codes, one a line.
    Names,
    /// The same, by Conforma's name for it.
    ShortNames,
    /// All annotations, on one line.
    Json,
    /// All annotations.
    Yaml,
}

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
enum InspectFailure {
    #[error(transparent)]
    Files(#[from] FilesError),
    #[error("{pinned}: {error}")]
    Load { pinned: String, error: LoadError },
    #[error("cannot write the list: {0}")]
    Write(#[from] io::Error),
}

/// Runs `carnet policy inspect`. Status 0: listed, 2: not.
pub fn run(args: &InspectPolicyArgs) -> ExitCode {
    match listing(args).and_then(|listing| print(&listing, args.output)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(format_args!("error: {error}"));
            ExitCode::from(NOT_DONE)
        }
    }
}

fn listing(args: &InspectPolicyArgs) -> Result<Listing, InspectFailure> {
    let urls = match &args.policy {
        Some(policy) => urls_of_policy(policy)?,
        None => args.source.clone(),
    };
    let mut listing = BTreeMap::new();
    for source in args.fetch.rules(&urls)? {
        // Directory by directory, as Conforma walks.
        let mut files: Vec<_> = source.files.iter().filter(|file| is_rego(&file.path)).collect();
        files.sort_by(|a, b| a.path.split('/').cmp(b.path.split('/')));
        let files: Vec<File<'_>> = files.iter().map(|file| File { path: &file.path, bytes: &file.bytes }).collect();
        let pinned = source.pinned.clone();
        let mut rules = listing::list(&files).map_err(|error| InspectFailure::Load { pinned, error })?;
        rules.retain(|listed| args.wants(listed));
        listing.insert(source.pinned, rules);
    }
    Ok(listing)
}

impl InspectPolicyArgs {
    /// Conforma lists what any of the three filters names.
    fn wants(&self, listed: &Listed) -> bool {
        let filters = [&self.rule, &self.package, &self.collection];
        filters.iter().all(|filter| filter.is_none())
            || self.rule.as_ref().is_some_and(|rule| listed.is_rule(rule))
            || self.package.as_ref().is_some_and(|package| listed.package() == *package)
            || self.collection.as_ref().is_some_and(|collection| listed.is_in_collection(collection))
    }
}

fn print(listing: &Listing, form: Form) -> Result<(), InspectFailure> {
    let text = match form {
        Form::Text => listing::text(listing),
        Form::Names | Form::ShortNames => listing::names(listing),
        Form::Json => listing::json(listing),
        Form::Yaml => carnet_verify::report::render_yaml(&listing::document(listing)),
    };
    let lines: String = text.lines().map(|line| format!("{}\n", visible(line))).collect();
    written(io::stdout().write_all(lines.as_bytes())).map_err(InspectFailure::Write)
}

/// A line without what steers a terminal; tabs do not.
fn visible(line: &str) -> String {
    line.split('\t').map(|part| Printable(part).to_string()).collect::<Vec<_>>().join("\t")
}

/// Whoever closed the pipe wants no more of it.
pub(crate) fn written(result: io::Result<()>) -> io::Result<()> {
    result.or_else(|error| if error.kind() == io::ErrorKind::BrokenPipe { Ok(()) } else { Err(error) })
}

pub(crate) fn is_rego(path: &str) -> bool {
    path.to_ascii_lowercase().ends_with(".rego")
}
