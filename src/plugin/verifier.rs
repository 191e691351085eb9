//! Starts `carnet-verify`, the one program whose verdicts count.
//!
//! It is taken from the directory of this program's own resolved executable and
//! from nowhere else: a program of that name earlier in `PATH` could say "pass"
//! to everything. It has to be of the same version.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

pub use carnet_import::verifier::StartError;
use carnet_import::verifier::Verifier;

use crate::{persona::Persona, usage};

/// Runs `carnet-verify` with `arguments` and returns its status; 2 when it cannot
/// be started.
pub fn run(arguments: &[OsString], persona: Persona) -> ExitCode {
    match located().and_then(|path| start(&path, arguments, persona)) {
        Ok(code) => code,
        Err(error) => usage::fail(&error.to_string(), error.hint()),
    }
}

/// Returns the path of the verifier that belongs to this program.
///
/// # Errors
///
/// Returns a [`StartError`] when it is not there or of another version.
pub fn located() -> Result<PathBuf, StartError> {
    Verifier::located()?;
    Ok(beside(&own()?))
}

/// Returns the file that this program was read from, every link resolved.
///
/// # Errors
///
/// Returns [`StartError::Unlocated`] when the system does not say.
pub fn own() -> Result<PathBuf, StartError> {
    env::current_exe().and_then(|path| path.canonicalize()).map_err(StartError::Unlocated)
}

/// The place of the verifier of the program at `path`.
pub fn beside(path: &Path) -> PathBuf {
    path.with_file_name(format!("carnet-verify{}", env::consts::EXE_SUFFIX))
}

/// Its usage lines begin with what the user typed.
fn start(path: &Path, arguments: &[OsString], persona: Persona) -> Result<ExitCode, StartError> {
    let mut command = Command::new(path);
    #[cfg(unix)]
    std::os::unix::process::CommandExt::arg0(&mut command, format!("{} verify", persona.called()));
    let status = command.args(arguments).status();
    let status = status.map_err(|source| StartError::Start { path: path.to_owned(), source })?;
    // A verifier that a signal ended has given no verdict.
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::from(2), ExitCode::from))
}
