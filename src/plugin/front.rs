//! The command line of `carnet`.
//!
//! A new command is a variant of `Command` with its arguments, and a line in
//! `run`; usage lines, completion, man pages and `docs/flags.md` follow from it.

use std::{env, ffi::OsString, iter, process::ExitCode};

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand, error::ErrorKind};

use crate::{
    answer,
    attach::{self, AttachArgs},
    check::{self, CheckArgs},
    demo::{self, DemoArgs},
    dialect, docker,
    documented::{self, CompletionArgs, ManArgs},
    examples,
    inspect::{self, InspectArgs, TreeArgs},
    install::{self, InstallArgs},
    persona::{Call, Persona},
    usage, verifier,
    why::{self, WhyArgs},
};

const OF_COSIGN: &str = "cosign starts no plugins: `cosign carnet` is no command. Call cosign-carnet by this name. Its \
    `verify` reads flags of `cosign verify` that mean the same here: --key, --certificate-identity, \
    --certificate-oidc-issuer, their -regexp forms, --trusted-root, -o, --insecure-ignore-tlog, --offline.";

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
    /// Judges an archive and writes what passed to a registry or a file.
    Import(Box<carnet_import::ImportArgs>),
    /// Judges archives and serves what passed as a read-only registry.
    Serve(Box<carnet_import::ServeArgs>),
    /// Adds evidence about a bundle to its archive; the bundle id stays the same.
    Attach(AttachArgs),
    /// Writes images.yaml from what runs in a cluster or stands in manifests.
    Images(Box<carnet_cluster::ImagesArgs>),
    /// Compares what runs in a cluster with bundles.
    Status(Box<carnet_cluster::StatusArgs>),
    /// Shows what an archive holds, without judging it.
    Inspect(InspectArgs),
    /// Shows the images of an archive with everything about them, as a tree.
    Tree(TreeArgs),
    /// Explains a finding code, or what an archive holds about a digest.
    Why(WhyArgs),
    /// Makes, fetches and shows trusted_root.json files.
    Trust(carnet_export::TrustArgs),
    /// Works on policy.yaml.
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Shows a whole crossing on this machine: serve, export, verify, tamper.
    Demo(DemoArgs),
    /// Gives carnet the names that users of kubectl, docker and cosign type.
    #[command(subcommand)]
    Plugin(PluginCommand),
    /// Prints a completion script for a shell.
    Completion(CompletionArgs),
    /// Writes man pages.
    Man(ManArgs),
}

#[derive(Debug, Subcommand)]
enum PluginCommand {
    /// Makes the names, as links to this program.
    Install(InstallArgs),
    /// Says what each program would find under the names, and what to do.
    Check(CheckArgs),
}

#[derive(Debug, Subcommand)]
enum PolicyCommand {
    /// Writes policy.yaml with the commit ids and digests that its sources have now.
    Pin(carnet_export::PinArgs),
    /// Lists the rules of policy sources, as `ec inspect policy` does.
    Inspect(carnet_export::InspectPolicyArgs),
    /// Runs the tests of policy sources, as `opa test` does.
    Test(carnet_export::TestPolicyArgs),
}

/// Runs `carnet` with the arguments of the process.
///
/// Status 0: done, and nothing failed. 1: a verdict, and it is fail. 2: neither.
pub fn main() -> ExitCode {
    match Call::read(env::args_os()) {
        Call::Command(persona, words) => command(persona, words),
        Call::Complete(persona, words) => answer::complete(persona, &words),
        Call::DockerMetadata => docker::metadata(),
        Call::Refused(reason) => usage::fail(&reason, "call carnet by its own name for what docker does not pass on"),
    }
}

fn command(persona: Persona, words: Vec<OsString>) -> ExitCode {
    let words = match dialect::translate(persona, words) {
        Ok(words) => words,
        Err(error) => return usage::fail(&error.to_string(), "leave the flag out"),
    };
    let line = || iter::once(persona.called().into()).chain(words.iter().cloned());
    // With the flags of carnet-verify, whose command line this one hands on: what it
    // would refuse is refused under the name that was typed, and help is shown.
    let whole = documented::definition(persona).try_get_matches_from(line());
    let parsed = match whole {
        // Which version it is, the verifier says itself.
        Err(error) if error.kind() != ErrorKind::DisplayVersion && !is_conformance(&words) => Err(error),
        _ => definition(persona).try_get_matches_from(line()).and_then(|matches| Front::from_arg_matches(&matches)),
    };
    match parsed {
        Ok(front) => run(front.command, persona),
        Err(error) => usage::refuse(&error, &words, persona),
    }
}

/// Whether it is the protocol of Sigstore's conformance suite, which carnet-verify
/// speaks beside its own command line.
fn is_conformance(words: &[OsString]) -> bool {
    matches!(words, [verify, conformance, ..] if verify == "verify" && conformance == "conformance")
}

fn run(command: Command, persona: Persona) -> ExitCode {
    match command {
        Command::Export(args) => carnet_export::run(&args),
        Command::Verify { arguments } => verifier::run(&arguments, persona),
        Command::Policy(PolicyCommand::Pin(args)) => carnet_export::pin(&args),
        Command::Policy(PolicyCommand::Inspect(args)) => carnet_export::inspect_policy(&args),
        Command::Policy(PolicyCommand::Test(args)) => carnet_export::test_policy(&args),
        Command::Import(args) => carnet_import::import(&args),
        Command::Serve(args) => carnet_import::serve(&args),
        Command::Attach(args) => attach::run(&args),
        Command::Images(args) => carnet_cluster::images(&args),
        Command::Status(args) => carnet_cluster::status(&args),
        Command::Inspect(args) => inspect::inspect(&args),
        Command::Tree(args) => inspect::tree(&args),
        Command::Trust(args) => carnet_export::trust(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Why(args) => why::run(&args),
        Command::Plugin(PluginCommand::Install(args)) => install::run(&args),
        Command::Plugin(PluginCommand::Check(args)) => check::run(&args),
        Command::Completion(args) => documented::completion(&args, persona),
        Command::Man(args) => documented::man(&args),
    }
}

/// The command line as clap sees it, under the name that the user typed.
pub fn definition(persona: Persona) -> clap::Command {
    let command = Front::command().bin_name(persona.called());
    let command = match persona {
        Persona::Cosign => command.after_help(OF_COSIGN),
        Persona::Carnet | Persona::Docker | Persona::Kubectl => command,
    };
    examples::shown(command, persona)
}
