//! Starts `carnet-verify`, the one program whose verdicts count.
//!
//! It is taken from the directory of this program's own resolved executable and
//! from nowhere else: a program of that name earlier in `PATH` could say "pass"
//! to everything. It has to be of the same version.

use std::{
    env,
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

use crate::front::complain;

/// Name of the program, as Cargo installs it.
const PROGRAM: &str = "carnet-verify";
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Why the verifier cannot be started.
#[derive(Debug)]
enum StartError {
    Missing { path: PathBuf },
    OtherVersion { path: PathBuf, found: String },
    Start { path: PathBuf, source: io::Error },
    Unlocated(io::Error),
}

/// Runs `carnet-verify` with `arguments` and returns its status; 2 when it cannot
/// be started.
pub fn run(arguments: &[OsString]) -> ExitCode {
    match located().and_then(|path| start(&path, arguments)) {
        Ok(code) => code,
        Err(error) => {
            report(&error);
            ExitCode::from(2)
        }
    }
}

/// Returns the path of the verifier that belongs to this program.
fn located() -> Result<PathBuf, StartError> {
    let own = env::current_exe().and_then(|path| path.canonicalize()).map_err(StartError::Unlocated)?;
    let path = own.with_file_name(format!("{PROGRAM}{}", env::consts::EXE_SUFFIX));
    if !path.is_file() {
        return Err(StartError::Missing { path });
    }
    let found = version_of(&path)?;
    if found == format!("{PROGRAM} {VERSION}") { Ok(path) } else { Err(StartError::OtherVersion { path, found }) }
}

fn version_of(path: &Path) -> Result<String, StartError> {
    let output = Command::new(path).arg("--version").stdin(Stdio::null()).output();
    let output = output.map_err(|source| StartError::Start { path: path.to_owned(), source })?;
    let first = String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned();
    Ok(first.escape_debug().to_string())
}

fn start(path: &Path, arguments: &[OsString]) -> Result<ExitCode, StartError> {
    let status = Command::new(path).args(arguments).status();
    let status = status.map_err(|source| StartError::Start { path: path.to_owned(), source })?;
    // A verifier that a signal ended has given no verdict.
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::from(2), ExitCode::from))
}

fn report(error: &StartError) {
    let (message, hint) = match error {
        StartError::Missing { path } => {
            (format!("{} is not there", path.display()), "install carnet and carnet-verify into one directory")
        }
        StartError::OtherVersion { path, found } => (
            format!("{} is {found:?}, want \"{PROGRAM} {VERSION}\"", path.display()),
            "install carnet and carnet-verify of one release",
        ),
        StartError::Start { path, source } => {
            (format!("cannot start {}: {source}", path.display()), "check that the file is executable on this machine")
        }
        StartError::Unlocated(source) => {
            (format!("cannot find the directory of this program: {source}"), "start carnet-verify directly")
        }
    };
    complain(&format!("carnet: error: {message}"));
    complain(&format!("hint: {hint}"));
}
