//! `carnet policy pin`: policy.yaml with every source fixed to its content of now.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use carnet_policy::{
    Policy, PolicyError,
    sources::{Location, SourceUrl, rewrite},
};
use carnet_registry::{CredentialFiles, Options};
use clap::Args;

use super::{FetchError, Fetched, fetch};
use crate::source::Sources;
use crate::terminal::say;

const NOT_DONE: u8 = 2;

/// Writes policy.yaml with the commit ids and digests that its sources have now.
///
/// The file stays one that Conforma reads; comments and layout stay. A source over
/// https has no form that fixes its content: for those, keep the lock.
#[derive(Args, Clone, Debug)]
pub struct PinArgs {
    /// The policy
    #[arg(value_name = "POLICY")]
    policy: PathBuf,

    /// Write the pinned policy to this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output_file: Option<PathBuf>,

    /// Write the policy lock to this file too
    #[arg(long, value_name = "FILE")]
    lock: Option<PathBuf>,

    /// Ask every registry over plain http; hosts on loopback always are
    #[arg(long)]
    allow_http_registry: bool,
}

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
enum PinFailure {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error(transparent)]
    Pin(#[from] carnet_policy::sources::PinError),
    #[error(transparent)]
    Policy(#[from] PolicyError),
    #[error("cannot read {path}: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot start: {0}")]
    Runtime(io::Error),
    #[error("cannot write {path}: {source}")]
    Write { path: PathBuf, source: io::Error },
}

/// Runs `carnet policy pin`. Status 0: written, 2: not.
pub fn run(args: &PinArgs) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(PinFailure::Runtime);
    match runtime.and_then(|runtime| runtime.block_on(pin(args))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(format_args!("error: {error}"));
            ExitCode::from(NOT_DONE)
        }
    }
}

async fn pin(args: &PinArgs) -> Result<(), PinFailure> {
    let bytes = fs::read(&args.policy).map_err(|source| PinFailure::Read { path: args.policy.clone(), source })?;
    let file = args.policy.display().to_string();
    let policy = Policy::parse(&bytes, &file)?;
    let credentials = CredentialFiles::from_env();
    let options = Options { allow_http: args.allow_http_registry, credentials, ..Options::default() };
    let fetched = fetch(&policy, &Sources::open(Vec::new(), options, None).map_err(FetchError::from)?).await?;
    let pinned = rewrite(&bytes, &file, |url| line(&fetched, url))?;
    for url in policy.sources.iter().flat_map(|group| group.policy.iter().chain(&group.data)) {
        if SourceUrl::parse(url).is_ok_and(|url| matches!(url.location(), Location::Https { .. })) {
            say(format_args!("warning: {url} has no form that fixes its content; keep the policy lock (--lock FILE)"));
        }
    }
    if let Some(path) = &args.lock {
        write(path, fetched.lock_bytes())?;
    }
    match &args.output_file {
        Some(path) => write(path, &pinned),
        None => {
            let path = PathBuf::from("standard output");
            io::stdout().write_all(&pinned).map_err(|source| PinFailure::Write { path, source })
        }
    }
}

/// The line to write for a URL that is not pinned yet.
fn line(fetched: &Fetched, url: &str) -> Option<String> {
    let source = SourceUrl::parse(url).ok().filter(|source| source.pin().is_none())?;
    let revision = fetched.lock.entry(url)?.revision()?;
    source.pinned_line(&revision)
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), PinFailure> {
    fs::write(path, bytes).map_err(|source| PinFailure::Write { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_pinned_policy_reads_as_before_and_is_pinned() {
        let folder = tempfile::tempdir().unwrap();
        let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/policy-sources/rules.git.tar");
        tar::Archive::new(fs::File::open(archive).unwrap()).unpack(folder.path()).unwrap();
        let repository = folder.path().join("rules.git").display().to_string();
        let text = format!("# mine\nname: x\nsources:\n- policy:\n  - git::file://{repository}?ref=main//policy # rules\n");
        let path = |name: &str| folder.path().join(name);
        fs::write(path("policy.yaml"), text).unwrap();
        let args = |policy: &str, output: &str| PinArgs {
            policy: path(policy),
            output_file: Some(path(output)),
            lock: Some(path("lock.json")),
            allow_http_registry: false,
        };
        pin(&args("policy.yaml", "pinned.yaml")).await.unwrap();
        let id = "4d9c329f66bd963b6bc0732adff5d816f596ef85";
        let want = format!("# mine\nname: x\nsources:\n- policy:\n  - git::file://{repository}//policy?ref={id} # rules\n");
        assert_eq!(fs::read_to_string(path("pinned.yaml")).unwrap(), want);
        pin(&args("pinned.yaml", "again.yaml")).await.unwrap();
        assert_eq!(fs::read_to_string(path("again.yaml")).unwrap(), want);
        let lock = carnet_policy::sources::Lock::parse(&fs::read(path("lock.json")).unwrap()).unwrap();
        assert_eq!(lock.sources().len(), 1);
    }
}
