//! The programs whose users type carnet's other names, and where each looks.

use std::{
    env,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

use clap::ValueEnum;
use serde::Serialize;

use crate::persona::{COMPLETION, Persona};

/// A program that carnet can be called through or beside.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Host {
    /// Has no plugins: cosign-carnet is called by its own name
    Cosign,
    /// Starts docker-carnet for `docker carnet`
    Docker,
    /// Starts kubectl-carnet for `kubectl carnet`
    Kubectl,
}

impl Host {
    /// Every host.
    pub(crate) const ALL: [Self; 3] = [Self::Cosign, Self::Docker, Self::Kubectl];

    /// Name of the program.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Cosign => "cosign",
            Self::Docker => "docker",
            Self::Kubectl => "kubectl",
        }
    }

    /// The file names that it starts, the one for people first.
    pub(crate) fn names(self) -> &'static [&'static str] {
        match self {
            Self::Cosign => const { &[Persona::Cosign.program()] },
            Self::Docker => const { &[Persona::Docker.program()] },
            Self::Kubectl => const { &[Persona::Kubectl.program(), COMPLETION] },
        }
    }

    /// Whether the directory is one that the host looks into.
    pub(crate) fn looks_into(self, dir: &Path) -> bool {
        let is_it = |place: &PathBuf| same_place(place, dir);
        self.places().iter().any(is_it)
    }

    /// The directories that it looks into, the first match counts.
    pub(crate) fn places(self) -> Vec<PathBuf> {
        match self {
            Self::Cosign | Self::Kubectl => path_of_commands(),
            Self::Docker => docker_places(),
        }
    }

    /// The program itself. kubectl says where it is when it starts a plugin.
    pub(crate) fn program(self) -> Option<PathBuf> {
        let said = env::var_os("KUBECTL_PATH").filter(|path| self == Self::Kubectl && !path.is_empty());
        said.map(PathBuf::from)
            .or_else(|| path_of_commands().iter().map(|dir| dir.join(file(self.name()))).find(|path| runs(path)))
    }

    /// Where a link is made when no directory is given: where docker looks first of
    /// a user's own places, else beside the program.
    pub(crate) fn default_dir(self, program: &Path) -> Option<PathBuf> {
        match self {
            Self::Docker => docker_home().map(|home| home.join("cli-plugins")),
            Self::Cosign | Self::Kubectl => program.parent().map(Path::to_owned),
        }
    }
}

/// A program's name as a file name of this system.
pub(crate) fn file(name: &str) -> String {
    format!("{name}{}", env::consts::EXE_SUFFIX)
}

/// Whether it is a file that can be started.
pub(crate) fn runs(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && executable(&metadata))
}

#[cfg(unix)]
fn executable(metadata: &fs::Metadata) -> bool {
    std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o111 != 0
}

#[cfg(not(unix))]
fn executable(_: &fs::Metadata) -> bool {
    true
}

/// The directories of PATH. An empty one would be the working directory, in which
/// neither host looks.
fn path_of_commands() -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).filter(|dir| dir.as_os_str() != OsStr::new("")).collect()
}

fn docker_home() -> Option<PathBuf> {
    let set = env::var_os("DOCKER_CONFIG").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    set.or_else(|| env::home_dir().map(|home| home.join(".docker")))
}

/// docker's order: directories of its configuration, the user's, the system's.
fn docker_places() -> Vec<PathBuf> {
    let home = docker_home();
    let config = home.as_ref().and_then(|home| fs::read(home.join("config.json")).ok());
    let config: serde_json::Value = config.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
    let extra = config["cliPluginsExtraDirs"].as_array().into_iter().flatten();
    let extra = extra.filter_map(|dir| dir.as_str().map(PathBuf::from));
    let own = home.map(|home| home.join("cli-plugins"));
    let system = ["/usr/local/lib", "/usr/local/libexec", "/usr/lib", "/usr/libexec"];
    let system = system.map(|dir| Path::new(dir).join("docker/cli-plugins"));
    extra.chain(own).chain(system).collect()
}

fn same_place(a: &Path, b: &Path) -> bool {
    match (a.canonicalize(), b.canonicalize()) {
        (Ok(a), Ok(b)) => a == b,
        _ => a == b,
    }
}
