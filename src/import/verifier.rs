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
    process::{Command, ExitStatus, Stdio},
};

/// Name of the program, as Cargo installs it.
const PROGRAM: &str = "carnet-verify";
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The verifier that belongs to this program.
#[derive(Clone, Debug)]
pub struct Verifier {
    path: PathBuf,
}

/// Why the verifier cannot be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// It is not beside this program.
    #[error("{} is not there", path.display())]
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
    /// It is of another release.
    #[error("{} is {found:?}, want \"{PROGRAM} {VERSION}\"", path.display())]
    OtherVersion {
        /// Where it is.
        path: PathBuf,
        /// What it says that it is.
        found: String,
    },
    /// The system does not start it.
    #[error("cannot start {}: {source}", path.display())]
    Start {
        /// Where it is.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Nobody knows where this program is.
    #[error("cannot find the directory of this program: {0}")]
    Unlocated(io::Error),
}

impl Verifier {
    /// Finds the verifier beside this program.
    ///
    /// # Errors
    ///
    /// Returns a [`StartError`] when it is not there, or not of this version.
    pub fn located() -> Result<Self, StartError> {
        let own = env::current_exe().and_then(|path| path.canonicalize()).map_err(StartError::Unlocated)?;
        let path = own.with_file_name(format!("{PROGRAM}{}", env::consts::EXE_SUFFIX));
        if !path.is_file() {
            return Err(StartError::Missing { path });
        }
        let found = version_of(&path)?;
        if found == format!("{PROGRAM} {VERSION}") { Ok(Self { path }) } else { Err(StartError::OtherVersion { path, found }) }
    }

    /// Runs it with `arguments`, on the streams of this process, to its end.
    ///
    /// # Errors
    ///
    /// Returns [`StartError::Start`] when the system does not start it.
    pub fn run(&self, arguments: &[OsString]) -> Result<ExitStatus, StartError> {
        let status = Command::new(&self.path).args(arguments).status();
        status.map_err(|source| StartError::Start { path: self.path.clone(), source })
    }
}

impl StartError {
    /// What the operator can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "install carnet and carnet-verify into one directory",
            Self::OtherVersion { .. } => "install carnet and carnet-verify of one release",
            Self::Start { .. } => "check that the file is executable on this machine",
            Self::Unlocated(_) => "start carnet-verify directly",
        }
    }
}

fn version_of(path: &Path) -> Result<String, StartError> {
    let output = Command::new(path).arg("--version").stdin(Stdio::null()).output();
    let output = output.map_err(|source| StartError::Start { path: path.to_owned(), source })?;
    let first = String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned();
    Ok(first.escape_debug().to_string())
}
