//! `carnet plugin install`: gives the program the names that hosts start.
//!
//! A name is a link to the program, or a copy of it where links cannot be. Every
//! verdict is given by the carnet-verify beside the resolved file, so it has to be
//! there before a name is made, and a copy takes it along. What stands in the way
//! is looked at before anything is written, and a file is never replaced.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use carnet_verify::report::escape_line;
use clap::Args;

use crate::{
    hosts::{self, Host},
    usage,
    verifier::{self, StartError},
};

/// Arguments of `carnet plugin install`.
#[derive(Args, Debug)]
pub(crate) struct InstallArgs {
    /// Program whose users shall find carnet; repeatable
    #[arg(long = "for", value_enum, value_name = "HOST", required = true, value_delimiter = ',')]
    hosts: Vec<Host>,

    /// Directory for the names; by default the program's own, and for docker the user's directory of
    /// plugins
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,

    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,

    /// Replace links that lead elsewhere; a file is never replaced
    #[arg(long)]
    force: bool,

    /// Copy the program, and carnet-verify beside it, instead of linking
    #[arg(long)]
    copy: bool,
}

/// Why a name was not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
enum InstallError {
    #[error("{} is a file of somebody else", .0.display())]
    Foreign(PathBuf),
    #[error("{} leads to {}", link.display(), to.display())]
    LeadsElsewhere { link: PathBuf, to: PathBuf },
    #[error("no home directory is known")]
    NoHome,
    #[error(transparent)]
    Verifier(#[from] StartError),
    #[error("cannot write {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
}

impl InstallError {
    fn hint(&self) -> &'static str {
        match self {
            Self::Foreign(_) => "move it away yourself, or give another directory with --dir",
            Self::LeadsElsewhere { .. } => "replace the link with --force, or give another directory with --dir",
            Self::NoHome => "give a directory with --dir",
            Self::Verifier(error) => error.hint(),
            Self::Write { .. } => "give a directory that you may write with --dir",
        }
    }
}

/// One name to be made.
struct Step {
    place: PathBuf,
    target: PathBuf,
    action: Action,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Action {
    Copy,
    Keep,
    Link,
    Relink,
}

/// Runs `carnet plugin install`. Status 0 when every name is there, else 2.
pub(crate) fn run(args: &InstallArgs) -> ExitCode {
    match install(args) {
        Ok(text) => usage::print(&text),
        Err(error) => usage::fail(&error.to_string(), error.hint()),
    }
}

fn install(args: &InstallArgs) -> Result<String, InstallError> {
    let verifier = verifier::located()?;
    let program = verifier::own()?;
    let mut steps = Vec::new();
    let mut remarks = Vec::new();
    for host in &args.hosts {
        let dir = args.dir.clone().or_else(|| host.default_dir(&program)).ok_or(InstallError::NoHome)?;
        for name in host.names() {
            steps.push(plan(args, dir.join(hosts::file(name)), &program)?);
        }
        if copies(args) {
            steps.push(plan(args, verifier::beside(&dir.join("carnet")), &verifier)?);
        }
        remarks.extend(remark(*host, &dir));
    }
    if !args.dry_run {
        steps
            .iter()
            .try_for_each(|step| step.run().map_err(|source| InstallError::Write { path: step.place.clone(), source }))?;
    }
    let lines: Vec<_> = steps.iter().map(|step| step.line(args.dry_run)).chain(remarks).collect();
    Ok(lines.iter().map(|line| format!("{}\n", escape_line(line))).collect())
}

fn copies(args: &InstallArgs) -> bool {
    args.copy || cfg!(not(unix))
}

/// Looks at what stands in the place of a name.
fn plan(args: &InstallArgs, place: PathBuf, target: &Path) -> Result<Step, InstallError> {
    let make = if copies(args) { Action::Copy } else { Action::Link };
    let action = match fs::symlink_metadata(&place) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => make,
        Err(source) => return Err(InstallError::Write { path: place, source }),
        Ok(_) if leads_to(&place, target) => Action::Keep,
        Ok(metadata) if metadata.is_symlink() && args.force && make == Action::Link => Action::Relink,
        Ok(metadata) if metadata.is_symlink() => {
            let to = fs::read_link(&place).unwrap_or_default();
            return Err(InstallError::LeadsElsewhere { link: place, to });
        }
        Ok(metadata) if metadata.is_file() && same_bytes(&place, target) => Action::Keep,
        Ok(_) => return Err(InstallError::Foreign(place)),
    };
    Ok(Step { place, target: target.to_owned(), action })
}

fn leads_to(place: &Path, target: &Path) -> bool {
    place.canonicalize().is_ok_and(|path| path == target)
}

/// Whether two files are one program.
pub(crate) fn same_bytes(a: &Path, b: &Path) -> bool {
    let size = |path: &Path| fs::metadata(path).map(|metadata| metadata.len()).ok();
    size(a).is_some() && size(a) == size(b) && fs::read(a).ok() == fs::read(b).ok()
}

impl Step {
    fn run(&self) -> io::Result<()> {
        if self.action == Action::Keep {
            return Ok(());
        }
        if let Some(dir) = self.place.parent() {
            fs::create_dir_all(dir)?;
        }
        match self.action {
            Action::Copy => copy(&self.target, &self.place),
            Action::Relink => {
                fs::remove_file(&self.place)?;
                link(&self.target, &self.place)
            }
            Action::Keep | Action::Link => link(&self.target, &self.place),
        }
    }

    fn line(&self, dry_run: bool) -> String {
        let (place, target) = (self.place.display(), self.target.display());
        match self.action {
            Action::Keep => format!("there already: {place}"),
            Action::Copy if dry_run => format!("would copy {target} to {place}"),
            Action::Copy => format!("copied {target} to {place}"),
            Action::Link | Action::Relink if dry_run => format!("would link {place} -> {target}"),
            Action::Link | Action::Relink => format!("linked {place} -> {target}"),
        }
    }
}

/// Fails where something is: what came there since the look is not replaced.
#[cfg(unix)]
fn link(target: &Path, place: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, place)
}

#[cfg(not(unix))]
fn link(target: &Path, place: &Path) -> io::Result<()> {
    copy(target, place)
}

/// Likewise; half a copy is taken away again.
fn copy(target: &Path, place: &Path) -> io::Result<()> {
    let mut from = fs::File::open(target)?;
    let mut to = fs::File::create_new(place)?;
    let copied = io::copy(&mut from, &mut to).and_then(|_| to.set_permissions(from.metadata()?.permissions()));
    copied.inspect_err(|_| drop(fs::remove_file(place)))
}

fn remark(host: Host, dir: &Path) -> Option<String> {
    let where_it_looks = if host == Host::Docker { "docker does not look into" } else { "PATH does not name" };
    match host {
        _ if !host.looks_into(dir) => Some(format!("note: {where_it_looks} {}", dir.display())),
        Host::Cosign => Some("note: cosign starts no plugins; call cosign-carnet by its own name".to_owned()),
        Host::Docker | Host::Kubectl => None,
    }
}
