//! The command line of `carnet`.

use std::{
    ffi::OsString,
    io::{self, Write},
    process::ExitCode,
};

use clap::{CommandFactory, Parser, Subcommand, error::ErrorKind};

use crate::{
    demo::{self, DemoArgs},
    inspect::{self, InspectArgs, TreeArgs},
    verifier,
};

/// Makes the evidence of container images travel to places without a network.
#[derive(Debug, Parser)]
#[command(name = "carnet", version, arg_required_else_help = true)]
struct Front {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Collects images, evidence, trust material and policy into one archive.
    Export(Box<carnet_export::ExportArgs>),
    /// Judges an archive: starts the program carnet-verify.
    #[command(disable_help_flag = true)]
    Verify {
        /// Arguments of carnet-verify; `carnet verify --help` lists them.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
        arguments: Vec<OsString>,
    },
    /// Shows what an archive holds, without judging it.
    Inspect(InspectArgs),
    /// Shows the images of an archive with everything about them, as a tree.
    Tree(TreeArgs),
    /// Makes, fetches and shows trusted_root.json files.
    Trust(carnet_export::TrustArgs),
    /// Works on policy.yaml.
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Shows a whole crossing on this machine: serve, export, verify, tamper.
    Demo(DemoArgs),
}

#[derive(Debug, Subcommand)]
enum PolicyCommand {
    /// Writes policy.yaml with the commit ids and digests that its sources have now.
    Pin(carnet_export::PinArgs),
}

/// Runs `carnet` with the arguments of the process.
///
/// Status 0: done, and nothing failed. 1: a verdict, and it is fail. 2: neither.
pub fn main() -> ExitCode {
    match Front::try_parse().map(|front| front.command) {
        Ok(Command::Export(args)) => carnet_export::run(&args),
        Ok(Command::Verify { arguments }) => verifier::run(&arguments),
        Ok(Command::Policy(PolicyCommand::Pin(args))) => carnet_export::pin(&args),
        Ok(Command::Inspect(args)) => inspect::inspect(&args),
        Ok(Command::Tree(args)) => inspect::tree(&args),
        Ok(Command::Trust(args)) => carnet_export::trust(&args),
        Ok(Command::Demo(args)) => demo::run(&args),
        Err(error) => usage(&error),
    }
}

/// The command line as clap sees it; documentation is made from it.
pub fn definition() -> clap::Command {
    Front::command()
}

/// Says a line on stderr. Nobody is left to be told when that fails.
pub(crate) fn complain(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// `--help` and `--version` are no errors; of an error, what is wrong and clap's
/// tip are said, the rest is in `--help`.
fn usage(error: &clap::Error) -> ExitCode {
    let text = error.to_string();
    if !error.use_stderr() {
        // Whoever closed the pipe wants no more of it.
        let _ = io::stdout().write_all(text.as_bytes());
        return ExitCode::SUCCESS;
    }
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        complain(text.trim_end());
        return ExitCode::from(2);
    }
    let mut paragraphs = text.split("\n\n").map(|part| part.split_whitespace().collect::<Vec<_>>().join(" "));
    let first = paragraphs.next().unwrap_or_default();
    let tip = paragraphs.find_map(|part| part.strip_prefix("tip: ").map(str::to_owned));
    complain(&format!("carnet: error: {}", printable(first.strip_prefix("error: ").unwrap_or(&first))));
    complain(&format!(
        "hint: {}",
        printable(tip.as_deref().unwrap_or("`carnet --help` and `carnet export --help` list every flag"))
    ));
    ExitCode::from(2)
}

/// Arguments may come from elsewhere, and must not steer the terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() }).collect()
}
