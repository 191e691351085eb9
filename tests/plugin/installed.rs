//! A directory as an installation makes it: `carnet`, and `carnet-verify` beside it.

#![allow(dead_code, reason = "each suite uses what it needs")]

use std::{
    io::Write,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

pub(crate) struct Installed(tempfile::TempDir);

/// What a program said, and its status.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Installed {
    /// Both programs. The workspace has to be built: a test of this package knows
    /// where its own program is, and the verifier lies beside it.
    pub(crate) fn whole() -> Self {
        let verifier = Path::new(env!("CARGO_BIN_EXE_carnet")).with_file_name("carnet-verify");
        assert!(verifier.is_file(), "{} is missing: build the whole workspace", verifier.display());
        let installed = Self::without_verifier();
        copy(&verifier, &installed.path("carnet-verify"));
        installed
    }

    /// In the verifier's place a script that says which version it is, how it was
    /// called, and passes everything.
    pub(crate) fn with_willing_verifier() -> Self {
        Self::with_script(&willing())
    }

    pub(crate) fn with_script(script: &str) -> Self {
        let installed = Self::without_verifier();
        program(&installed.path("carnet-verify"), script);
        installed
    }

    pub(crate) fn without_verifier() -> Self {
        let installed = Self(tempfile::tempdir().unwrap());
        copy(Path::new(env!("CARGO_BIN_EXE_carnet")), &installed.path("carnet"));
        installed
    }

    pub(crate) fn dir(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        // As the programs see it: the temporary directory may be behind a link.
        self.0.path().canonicalize().unwrap().join(name)
    }

    /// Makes `name` a link to carnet.
    pub(crate) fn link(&self, name: &str) -> &Self {
        symlink(self.path("carnet"), self.path(name)).unwrap();
        self
    }

    /// Runs a program of the directory, with nothing else on PATH.
    pub(crate) fn run(&self, name: &str, arguments: &[&str]) -> Ended {
        self.run_with(name, arguments, &[])
    }

    pub(crate) fn run_with(&self, name: &str, arguments: &[&str], environment: &[(&str, &Path)]) -> Ended {
        let mut command = Command::new(self.path(name));
        command.env_clear().env("PATH", self.path("")).env("HOME", self.path("home")).args(arguments).current_dir(self.dir());
        command.envs(environment.iter().copied());
        Ended::of(&command.output().unwrap())
    }
}

impl Ended {
    pub(crate) fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Self { status: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// What it printed; it must have ended well and said nothing else.
    #[track_caller]
    pub(crate) fn good(self) -> String {
        assert_eq!((self.status, self.err.as_str()), (Some(0), ""), "{}", self.out);
        self.out
    }

    /// What it complained of; it must have printed nothing and ended with 2.
    #[track_caller]
    pub(crate) fn refused(self) -> String {
        assert_eq!((self.status, self.out.as_str()), (Some(2), ""), "{}", self.err);
        let mut lines = self.err.lines();
        assert!(lines.next().is_some_and(|line| line.starts_with("carnet: error: ")), "{}", self.err);
        assert!(lines.next().is_some_and(|line| line.starts_with("hint: ") && line.len() > 10), "{}", self.err);
        self.err
    }
}

/// Writes an executable script.
pub(crate) fn program(path: &Path, script: &str) {
    let mut child = Command::new("install").args(["-m", "755", "/dev/stdin"]).arg(path).stdin(Stdio::piped()).spawn().unwrap();
    write!(child.stdin.take().unwrap(), "#!/bin/sh\n{script}\n").unwrap();
    assert!(child.wait().unwrap().success());
}

/// Copies a program. By another process: a file that this one has open for writing
/// while another test forks could not be started for a moment.
pub(crate) fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg(from).arg(to).status().unwrap().success());
}

pub(crate) fn willing() -> String {
    let version = env!("CARGO_PKG_VERSION");
    format!("if [ \"$1\" = --version ]; then echo carnet-verify {version}; else echo \"started: $*\"; fi")
}
