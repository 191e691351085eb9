//! What is made from the command line: completion scripts, answers to hosts that
//! ask what could come next, man pages.

use std::{fs, io, path::PathBuf, process::ExitCode};

use carnet_verify::VerifyArgs;
use clap::Args;
use clap_complete::Shell;

use crate::{front, persona::Persona, usage};

/// Arguments of `carnet completion`.
#[derive(Args, Debug)]
pub struct CompletionArgs {
    /// Shell that the script is for
    #[arg(value_enum, value_name = "SHELL")]
    shell: Shell,

    /// Script for the program carnet-verify
    #[arg(long)]
    verifier: bool,
}

/// Arguments of `carnet man`.
#[derive(Args, Debug)]
pub struct ManArgs {
    /// Directory that the pages are written to; it is made if it is not there
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

/// The whole command line: `verify` has the flags of carnet-verify, which reads
/// them itself.
pub fn definition(persona: Persona) -> clap::Command {
    let mut front = front::definition(persona);
    let place = front.get_subcommands().take_while(|command| command.get_name() != "verify").count();
    if let Some(verify) = front.find_subcommand_mut("verify") {
        let about = verify.get_about().cloned().unwrap_or_default();
        let examples = verify.get_after_help().cloned().unwrap_or_default();
        let whole = VerifyArgs::definition();
        let status = whole.get_after_help().cloned().unwrap_or_default();
        let whole = whole.name("verify").about(about).display_order(place);
        *verify = whole.after_help(format!("{examples}\n\n{status}"));
    }
    front
}

/// Runs `carnet completion`: prints the script for the program by whose name it was
/// asked.
pub fn completion(args: &CompletionArgs, persona: Persona) -> ExitCode {
    let (mut command, program) =
        if args.verifier { (VerifyArgs::definition(), "carnet-verify") } else { (definition(persona), persona.program()) };
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, program, &mut script);
    usage::print(&String::from_utf8_lossy(&script))
}

/// Runs `carnet man`: one page for each command, and carnet-verify's own.
///
/// `carnet verify` and the program carnet-verify share the page carnet-verify(1).
pub fn man(args: &ManArgs) -> ExitCode {
    match write_pages(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => usage::fail(
            &format!("cannot write man pages to {}: {error}", args.dir.display()),
            "name a directory that can be written, such as ~/.local/share/man/man1",
        ),
    }
}

fn write_pages(args: &ManArgs) -> io::Result<()> {
    fs::create_dir_all(&args.dir)?;
    clap_mangen::generate_to(front::definition(Persona::Carnet), &args.dir)?;
    // In place of the page of the subcommand, which knows no flag.
    clap_mangen::Man::new(VerifyArgs::definition()).generate_to(&args.dir)?;
    Ok(())
}
