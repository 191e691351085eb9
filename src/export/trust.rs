//! Trust material for the far side: made of PEM files, fetched by TUF, looked at.
//!
//! What is made or fetched here has no authority by that: the operator of the far
//! side decides what to trust, by a file or a pin that came by another way
//! (`bundle-spec/evidence.md`, "Trust root").

pub(crate) mod chain;
mod create;
mod fetch;
mod show;

use std::{
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
};

use carnet_evidence::{TrustRoot, TrustSource};
use clap::{Args, Subcommand};

use crate::{error::ExportError, export::write_beside, terminal::say};

/// Makes, fetches and shows trusted_root.json files.
#[derive(Args, Clone, Debug)]
pub struct TrustArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Debug, Subcommand)]
enum Command {
    Create(create::CreateArgs),
    Fetch(fetch::FetchArgs),
    Show(show::ShowArgs),
}

/// Runs `carnet trust`. Status 0 when it was done, else 2.
pub fn run(args: &TrustArgs) -> ExitCode {
    let outcome = match &args.command {
        Command::Create(args) => create::run(args),
        Command::Fetch(args) => fetch::run(args),
        Command::Show(args) => show::run(args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(format_args!("error: {error}"));
            // Not from elsewhere, so nothing in it needs to be made visible.
            let _ = writeln!(io::stderr(), "hint: {}", error.hint());
            ExitCode::from(2)
        }
    }
}

/// Reads a root as the verifier does: what would not be accepted there is an error
/// here.
fn validate(path: &Path, bytes: &[u8]) -> Result<TrustRoot, ExportError> {
    let source = TrustSource::File(path.display().to_string());
    TrustRoot::parse(bytes, source)
        .map_err(|error| ExportError::TrustMaterial { path: path.to_owned(), reason: error.to_string() })
}

/// Writes a root to a file, or to standard output.
fn write(output: Option<&Path>, bytes: &[u8]) -> Result<(), ExportError> {
    match output {
        Some(path) => write_beside(path, bytes),
        None => {
            let failed = |source| ExportError::Output { path: "standard output".into(), source };
            io::stdout().write_all(bytes).map_err(failed)
        }
    }
}
