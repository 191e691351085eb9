//! `carnet plugin check`: what each host would find, and what to do about it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use carnet_verify::report::escape_line;
use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::{
    hosts::{self, Host},
    install::same_bytes,
    persona::Persona,
    usage, verifier,
};

/// Arguments of `carnet plugin check`.
#[derive(Args, Debug)]
pub(crate) struct CheckArgs {
    /// Program that must find carnet; repeatable. Without it, what is installed must be right
    #[arg(long = "for", value_enum, value_name = "HOST", value_delimiter = ',')]
    hosts: Vec<Host>,

    /// How to write it
    #[arg(short, long, value_enum, default_value_t = Form::Text)]
    output: Form,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Form {
    /// For programs
    Json,
    /// For people
    Text,
}

/// What was found.
#[derive(Debug, Serialize)]
struct Survey {
    /// Whether everything that must be right is.
    ok: bool,
    version: &'static str,
    program: PathBuf,
    verifier: Verifier,
    hosts: Vec<Surroundings>,
}

/// The program whose verdicts count.
#[derive(Debug, Serialize)]
struct Verifier {
    ok: bool,
    /// Where it is, or what is wrong with it.
    found: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    hint: &'static str,
}

/// A host, and the names that it would find.
#[derive(Debug, Serialize)]
struct Surroundings {
    host: Host,
    /// The host itself, where it is installed.
    #[serde(skip_serializing_if = "Option::is_none")]
    program: Option<PathBuf>,
    names: Vec<Name>,
}

#[derive(Debug, Serialize)]
struct Name {
    name: String,
    state: State,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<PathBuf>,
    #[serde(skip_serializing_if = "String::is_empty")]
    hint: String,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    /// Not where the host looks.
    Missing,
    /// A copy without carnet-verify beside it.
    NoVerifier,
    /// There, but not to be started.
    NotExecutable,
    /// This program.
    Ok,
    /// Another program is what the host starts.
    Other,
}

/// Runs `carnet plugin check`. Status 0 when all is right, 1 when something is to be
/// done, 2 when this program does not know where it is.
pub(crate) fn run(args: &CheckArgs) -> ExitCode {
    let program = match verifier::own() {
        Ok(program) => program,
        Err(error) => return usage::fail(&error.to_string(), error.hint()),
    };
    let survey = Survey::new(program, &args.hosts);
    let text = match args.output {
        Form::Json => serde_json::to_string_pretty(&survey).unwrap_or_default() + "\n",
        Form::Text => survey.lines().iter().map(|line| format!("{}\n", escape_line(line))).collect(),
    };
    usage::print(&text);
    if survey.ok { ExitCode::SUCCESS } else { ExitCode::from(1) }
}

impl Survey {
    fn new(program: PathBuf, asked: &[Host]) -> Self {
        let verifier = match verifier::located() {
            Ok(path) => Verifier { ok: true, found: path.display().to_string(), hint: "" },
            Err(error) => Verifier { ok: false, found: error.to_string(), hint: error.hint() },
        };
        let chosen: Vec<_> = Host::ALL.into_iter().filter(|host| asked.is_empty() || asked.contains(host)).collect();
        let hosts: Vec<_> = chosen.into_iter().map(|host| Surroundings::new(host, &program)).collect();
        let right = |name: &Name| name.state == State::Ok || (name.state == State::Missing && asked.is_empty());
        let ok = verifier.ok && hosts.iter().flat_map(|host| &host.names).all(right);
        Self { ok, version: env!("CARGO_PKG_VERSION"), program, verifier, hosts }
    }

    fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("carnet {}: {}", self.version, self.program.display())];
        let state = if self.verifier.ok { format!("ok, version {}", self.version) } else { "WRONG".to_owned() };
        lines.push(format!("carnet-verify: {state}: {}", self.verifier.found));
        if !self.verifier.hint.is_empty() {
            lines.push(format!("  to do: {}", self.verifier.hint));
        }
        for host in &self.hosts {
            let place = host.program.as_ref().map_or_else(|| "not on PATH".to_owned(), |path| path.display().to_string());
            lines.push(format!("{}: {place}", host.host.name()));
            if host.host == Host::Cosign {
                lines.push("  cosign starts no plugins; call cosign-carnet by its own name".to_owned());
            }
            for name in &host.names {
                lines.push(name.line());
                if !name.hint.is_empty() {
                    lines.push(format!("    to do: {}", name.hint));
                }
            }
        }
        lines.push(if self.ok { "all is right" } else { "something is to be done" }.to_owned());
        lines
    }
}

impl Surroundings {
    fn new(host: Host, program: &Path) -> Self {
        let places = host.places();
        let mut names: Vec<_> = host.names().iter().map(|name| Name::look(host, name, &places, program)).collect();
        if host == Host::Kubectl {
            names.extend(longer_names(&places, program));
        }
        Self { host, program: host.program(), names }
    }
}

impl Name {
    /// Looks for the file that the host would start.
    fn look(host: Host, name: &str, places: &[PathBuf], program: &Path) -> Self {
        let files = || places.iter().map(|dir| dir.join(hosts::file(name)));
        let install = format!("carnet plugin install --for {}", host.name());
        let (state, path, hint) = match files().find(|path| hosts::runs(path)) {
            Some(path) => match whose(&path, program) {
                State::Ok => (State::Ok, Some(path), String::new()),
                State::NoVerifier => (State::NoVerifier, Some(path), "copy carnet-verify beside it".to_owned()),
                state => {
                    let hint = format!("another program is started under this name; remove it, then `{install}`");
                    (state, Some(path), hint)
                }
            },
            None => match files().find(|path| fs::symlink_metadata(path).is_ok()) {
                Some(path) => (State::NotExecutable, Some(path), format!("remove it, then `{install}`")),
                None => (State::Missing, None, format!("`{install}` makes it")),
            },
        };
        Self { name: name.to_owned(), state, path, hint }
    }

    fn line(&self) -> String {
        let state = match self.state {
            State::Missing => "not there",
            State::NoVerifier => "WRONG: a copy without carnet-verify",
            State::NotExecutable => "WRONG: not a file that can be started",
            State::Ok => "ok",
            State::Other => "WRONG: another program",
        };
        let path = self.path.as_ref().map(|path| format!(": {}", path.display())).unwrap_or_default();
        format!("  {}: {state}{path}", self.name)
    }
}

/// kubectl starts the longest name that it finds: a program named
/// kubectl-carnet-verify answers for `kubectl carnet verify`, whoever made it.
fn longer_names(places: &[PathBuf], program: &Path) -> Vec<Name> {
    let prefix = format!("{}-", Persona::Kubectl.program());
    let mut names: Vec<Name> = Vec::new();
    for entry in places.iter().filter_map(|dir| fs::read_dir(dir).ok()).flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let seen = names.iter().any(|known| known.name == name);
        if !name.starts_with(&prefix) || seen || !hosts::runs(&entry.path()) {
            continue;
        }
        let is_verifier = name == hosts::file(&format!("{prefix}verify")) && same_file(&entry.path(), &verifier::beside(program));
        let state = if is_verifier { State::Ok } else { whose(&entry.path(), program) };
        let hint = if state == State::Ok { "" } else { "kubectl starts this in place of carnet; remove it" };
        names.push(Name { name, state, path: Some(entry.path()), hint: hint.to_owned() });
    }
    names.sort_by(|a, b| a.name.cmp(&b.name));
    names
}

fn same_file(path: &Path, target: &Path) -> bool {
    path.canonicalize().ok() == target.canonicalize().ok()
}

/// Whether a file is this program, by link or as a copy.
fn whose(path: &Path, program: &Path) -> State {
    match path.canonicalize() {
        Ok(resolved) if resolved == program => State::Ok,
        Ok(resolved) if same_bytes(&resolved, program) => {
            if verifier::beside(&resolved).is_file() {
                State::Ok
            } else {
                State::NoVerifier
            }
        }
        _ => State::Other,
    }
}
