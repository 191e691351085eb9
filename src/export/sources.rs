//! Fetches the sources of a policy, and writes down which content each one was.
//!
//! Input is a policy; output is the layers of the policy manifest with the lock
//! that maps URLs to them. The forms are those of `carnet_policy::sources`, which
//! reads them on the far side; so what is written here has been read once by the
//! same code.
//!
//! Follows `bundle-spec/policy.md` §5.

pub(crate) mod artifact;
mod chooser;
pub(crate) mod git;
pub(crate) mod https;
mod pin;

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use carnet_bundle::{Digest, Document, json::JsonError, media};
use carnet_policy::{
    Policy,
    sources::{
        Carried, Location, Lock, LockedContent, LockedSource, Operator, Revision, SourceUrl, SourcesError, UrlError, archive,
        codes, resolve, url::GitLocation,
    },
};
use carnet_verify::disk::sources::{Disk, read as read_directory};
use tokio::task;

use artifact::PullError;
use git::{Git, GitError};
use https::HttpsError;

use crate::{error::ExportError, source::Sources};

pub use pin::{PinArgs, run as pin};

/// The sources of one policy.
pub(crate) struct Fetched {
    /// Layers of the policy manifest, in the order of the lock.
    pub(crate) layers: Vec<Document>,
    /// Which of them stand for which URL.
    pub(crate) lock: Lock,
    lock_bytes: Vec<u8>,
    /// What could not be carried and need not be: copies of local directories.
    pub(crate) warnings: Vec<String>,
    by_digest: BTreeMap<Digest, usize>,
}

/// Why a source cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum FetchError {
    #[error("{url}: {source}")]
    Git { url: String, source: GitError },
    #[error("{url}: {source}")]
    Https { url: String, source: HttpsError },
    #[error(transparent)]
    Elsewhere(Box<ExportError>),
    #[error("cannot write the policy lock: {0}")]
    Lock(#[from] JsonError),
    #[error("no suitable config file found at {0}")]
    NoPolicyDocument(String),
    #[error("{url}: {source}")]
    Pull { url: String, source: PullError },
    #[error("{url}: the task that fetches it ended: {reason}")]
    Task { url: String, reason: String },
    #[error(transparent)]
    Unusable(SourcesError),
    #[error(transparent)]
    Url(#[from] UrlError),
    #[error("{0} names another sort of place than a policy document can be at")]
    NotADocument(String),
}

impl From<ExportError> for FetchError {
    fn from(error: ExportError) -> Self {
        Self::Elsewhere(Box::new(error))
    }
}

/// Fetches every source of `policy`, each URL once; artifacts come from `sources`.
pub(crate) async fn fetch(policy: &Policy, sources: &Sources) -> Result<Fetched, FetchError> {
    let urls = policy.sources.iter().flat_map(|group| group.policy.iter().chain(&group.data));
    let mut fetcher = Fetcher { sources, git: Arc::default(), https: None, content: BTreeMap::new(), warnings: Vec::new() };
    let mut locked: BTreeMap<&str, LockedSource> = BTreeMap::new();
    for text in urls {
        if !locked.contains_key(text.as_str())
            && let Some(source) = fetcher.source(&SourceUrl::parse(text)?).await?
        {
            locked.insert(text, source);
        }
    }
    let lock = Lock::new(locked.into_values().collect());
    let lock_bytes = lock.to_bytes()?;
    let (layers, by_digest) = layers(&lock, fetcher.content);
    let fetched = Fetched { layers, lock, lock_bytes, warnings: fetcher.warnings, by_digest };
    read_back(policy, &fetched)?;
    Ok(fetched)
}

/// Reads what was fetched as the verifier will. Local directories that are not
/// here may be there.
fn read_back(policy: &Policy, fetched: &Fetched) -> Result<(), FetchError> {
    let operator = Operator { lock: Some(&fetched.lock), overrides: &[], bundle_pinned: false, accept: false, local: &Disk };
    match resolve(policy, fetched, &operator) {
        Err(error) if error.findings().iter().any(|finding| finding.code != codes::SOURCE_UNREADABLE.name) => {
            Err(FetchError::Unusable(error))
        }
        _ => Ok(()),
    }
}

/// The policy document at a URL, with the name that it has there; `None` when
/// `text` is the path of a file, or no URL at all.
pub(crate) async fn document(text: &str) -> Result<Option<Vec<u8>>, FetchError> {
    if fs::exists(Path::new(text)).unwrap_or(true) {
        return Ok(None);
    }
    let url = match SourceUrl::parse(text) {
        Ok(url) => url,
        Err(error) if text.contains("://") => return Err(error.into()),
        Err(_) => return Ok(None),
    };
    let files = match url.location() {
        Location::Git(location) => git_files(&url, location, &Arc::default()).await?.files,
        Location::Https { url: address, name } => {
            let bytes = over_https(&url, address, &mut None).await?;
            vec![carnet_policy::sources::SourceFile { path: name.clone(), bytes: bytes.into() }]
        }
        Location::Local { .. } => return Ok(None),
        _ => return Err(FetchError::NotADocument(text.to_owned())),
    };
    match chooser::choose(&files) {
        Some(file) => Ok(Some(file.bytes.to_vec())),
        None => Err(FetchError::NoPolicyDocument(text.to_owned())),
    }
}

impl Fetched {
    /// The bytes of the lock.
    pub(crate) fn lock_bytes(&self) -> &[u8] {
        &self.lock_bytes
    }

    /// The lock as a control document; none for a policy without sources.
    pub(crate) fn lock_document(&self) -> Option<Document> {
        let title = "policy-lock.json".to_owned();
        let document = Document { media_type: media::POLICY_LOCK.to_owned(), title, bytes: self.lock_bytes.clone() };
        (!self.lock.sources().is_empty()).then_some(document)
    }
}

impl Carried for Fetched {
    fn lock(&self) -> Option<&[u8]> {
        Some(&self.lock_bytes)
    }

    fn layer(&self, digest: &Digest) -> Option<&[u8]> {
        let layer = self.by_digest.get(digest).and_then(|at| self.layers.get(*at))?;
        Some(&layer.bytes)
    }
}

/// Content by digest, with the media type of its layer.
type Content = BTreeMap<Digest, (&'static str, Vec<u8>)>;

struct Fetcher<'r> {
    sources: &'r Sources,
    git: Arc<Git>,
    https: Option<reqwest::Client>,
    content: Content,
    warnings: Vec<String>,
}

impl Fetcher<'_> {
    async fn source(&mut self, url: &SourceUrl) -> Result<Option<LockedSource>, FetchError> {
        let (revision, content) = match url.location() {
            Location::Git(location) => {
                let fetched = git_files(url, location, &self.git).await?;
                let content = self.keep(media::GIT_OBJECTS, fetched.objects);
                let locked = LockedContent::Git { commit: fetched.commit, path: location.path.clone(), content };
                (Some(Revision::Commit(fetched.commit)), locked)
            }
            Location::Oci { reference } => {
                let fetched = artifact::fetch(self.sources.elsewhere(reference)?.as_ref(), reference).await;
                let fetched = fetched.map_err(|source| FetchError::Pull { url: url.to_string(), source })?;
                let manifest = self.keep(media::OPAQUE, fetched.manifest);
                let mut layers = Vec::new();
                for (digest, bytes) in fetched.layers {
                    self.keep(media::OPAQUE, bytes);
                    layers.push(digest);
                }
                (Some(Revision::Manifest(manifest)), LockedContent::Oci { manifest, layers })
            }
            Location::Https { url: address, .. } => {
                let bytes = over_https(url, address, &mut self.https).await?;
                (None, LockedContent::Https { content: self.keep(media::OPAQUE, bytes) })
            }
            Location::Local { path } => match self.copy(path) {
                Some(content) => (None, LockedContent::File { content }),
                None => return Ok(None),
            },
        };
        Ok(Some(LockedSource { url: url.to_string(), pinned: url.conforma_form(revision.as_ref()), content }))
    }

    /// Carries a copy of a local directory, for the record: the verifier reads its
    /// operator's own. So what cannot be carried is said and left out.
    fn copy(&mut self, path: &str) -> Option<Digest> {
        let files = read_directory(Path::new(path)).map_err(|error| error.to_string());
        match files.and_then(|files| archive::write(&files).map_err(|error| error.to_string())) {
            Ok(bytes) => Some(self.keep(media::FILES_TAR, bytes)),
            Err(reason) => {
                self.warnings.push(format!("no copy of the local source {path} is carried: {reason}"));
                None
            }
        }
    }

    fn keep(&mut self, media_type: &'static str, bytes: Vec<u8>) -> Digest {
        let digest = Digest::of(&bytes);
        self.content.entry(digest).or_insert((media_type, bytes));
        digest
    }
}

async fn git_files(url: &SourceUrl, location: &GitLocation, git: &Arc<Git>) -> Result<git::Fetched, FetchError> {
    let (location, git) = (location.clone(), Arc::clone(git));
    let joined = task::spawn_blocking(move || git.fetch(&location)).await;
    let fetched = joined.map_err(|error| FetchError::Task { url: url.to_string(), reason: error.to_string() })?;
    fetched.map_err(|source| FetchError::Git { url: url.to_string(), source })
}

async fn over_https(url: &SourceUrl, address: &str, client: &mut Option<reqwest::Client>) -> Result<Vec<u8>, FetchError> {
    let failed = |source| FetchError::Https { url: url.to_string(), source };
    let client = match client {
        Some(client) => client,
        None => client.insert(https::client().map_err(failed)?),
    };
    https::fetch(client, address).await.map_err(failed)
}

/// The layers in the order in which the lock names them, each once.
fn layers(lock: &Lock, mut content: Content) -> (Vec<Document>, BTreeMap<Digest, usize>) {
    let mut layers = Vec::new();
    let mut by_digest = BTreeMap::new();
    for (number, source) in lock.sources().iter().enumerate() {
        let named = match &source.content {
            LockedContent::Git { content, .. } => vec![(*content, "git-objects".to_owned())],
            LockedContent::Https { content } => vec![(*content, "body".to_owned())],
            LockedContent::File { content } => vec![(*content, "tar".to_owned())],
            LockedContent::Oci { manifest, layers } => {
                let layers = layers.iter().enumerate().map(|(at, digest)| (*digest, format!("layer-{}", at + 1)));
                [(*manifest, "manifest.json".to_owned())].into_iter().chain(layers).collect()
            }
        };
        for (digest, suffix) in named {
            if let Some((media_type, bytes)) = content.remove(&digest) {
                by_digest.insert(digest, layers.len());
                let title = format!("source-{}.{suffix}", number + 1);
                layers.push(Document { media_type: media_type.to_owned(), title, bytes });
            }
        }
    }
    (layers, by_digest)
}

#[cfg(test)]
mod tests;
