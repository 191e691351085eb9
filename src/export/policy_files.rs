//! Files of policy sources for the commands that look at rules: fetched as an
//! export fetches them, from the disk where they lie there.

use std::{fs, io, path::PathBuf};

use carnet_policy::{
    Policy, PolicyError,
    document::SourceGroup,
    sources::{Operator, ResolvedSource, SourcesError, resolve},
};
use carnet_registry::{CredentialFiles, NetworkArgs, Options};
use carnet_verify::disk::sources::Disk;
use clap::Args;

use crate::{
    documents,
    error::ExportError,
    source::Sources,
    sources::{FetchError, document, fetch},
};

/// Why there is nothing to look at.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum FilesError {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error(transparent)]
    Network(#[from] ExportError),
    #[error(transparent)]
    Policy(#[from] PolicyError),
    #[error("cannot read {path}: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot start: {0}")]
    Runtime(io::Error),
    #[error(transparent)]
    Unusable(#[from] SourcesError),
}

/// How sources are fetched.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct FetchArgs {
    #[command(flatten)]
    network: NetworkArgs,
}

impl FetchArgs {
    /// Fetches sources of rules, each of which must have some.
    pub(crate) fn rules(&self, urls: &[String]) -> Result<Vec<ResolvedSource>, FilesError> {
        self.group(SourceGroup { policy: urls.to_vec(), ..SourceGroup::default() })
    }

    /// Fetches sources of whatever files.
    pub(crate) fn files(&self, urls: &[String]) -> Result<Vec<ResolvedSource>, FilesError> {
        self.group(SourceGroup { data: urls.to_vec(), ..SourceGroup::default() })
    }

    fn group(&self, group: SourceGroup) -> Result<Vec<ResolvedSource>, FilesError> {
        let policy = Policy { sources: vec![group], ..Policy::default() };
        let options = Options { credentials: CredentialFiles::from_env(), ..self.network.options(documents::read)? };
        let sources = Sources::open(Vec::new(), options, None)?;
        let fetched = runtime()?.block_on(fetch(&policy, &sources))?;
        let operator = Operator { lock: Some(&fetched.lock), overrides: &[], bundle_pinned: false, accept: false, local: &Disk };
        let resolved = resolve(&policy, &fetched, &operator)?;
        Ok(resolved.groups.into_iter().flat_map(|group| group.policy.into_iter().chain(group.data)).collect())
    }
}

/// The URLs of rules in the policy at `place`, a path or a URL.
pub(crate) fn urls_of_policy(place: &str) -> Result<Vec<String>, FilesError> {
    let bytes = match runtime()?.block_on(document(place))? {
        Some(bytes) => bytes,
        None => fs::read(place).map_err(|source| FilesError::Read { path: PathBuf::from(place), source })?,
    };
    let policy = Policy::parse(&bytes, place)?;
    Ok(policy.sources.into_iter().flat_map(|group| group.policy).collect())
}

fn runtime() -> Result<tokio::runtime::Runtime, FilesError> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(FilesError::Runtime)
}
