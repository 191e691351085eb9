//! `carnet trust fetch`: the trusted_root.json of a TUF repository, from a pinned
//! initial root, with the whole chain kept beside it.
//!
//! The client is `sigstore-tuf` without its HTTP part: unlike `tough` it takes the
//! ids of keys as they are declared, which GitHub's repository needs. The requests
//! are ours, with the rules that hold for everything else.

use std::{
    fs,
    path::{Path, PathBuf},
};

use carnet_bundle::{Digest, Limits};
use carnet_evidence::install_crypto_provider;
use carnet_registry::{Answer, NetworkArgs, Registry};
use clap::{Args, ValueEnum};
use futures_util::FutureExt as _;
use jiff::Timestamp;
use sigstore_tuf::{Error, Repository, cache::FileStore, client::Updater, transport::FetchFuture};

use crate::{
    cli::block_on,
    documents,
    error::ExportError,
    terminal::say,
    trust::{validate, write},
};

/// Fetches a trusted_root.json by TUF, from a pinned initial root.
#[derive(Args, Clone, Debug)]
pub(super) struct FetchArgs {
    /// Sigstore instance
    #[arg(long, value_enum, default_value_t = Instance::PublicGood, conflicts_with_all = ["mirror", "root"])]
    instance: Instance,

    /// URL of a TUF repository, such as a mirror of one's own
    #[arg(long, value_name = "URL", requires = "root")]
    mirror: Option<String>,

    /// Initial root of that repository, which came by another way
    #[arg(long, value_name = "FILE", requires = "mirror")]
    root: Option<PathBuf>,

    /// Digest that the initial root must have
    #[arg(long, value_name = "DIGEST", requires = "root")]
    root_checksum: Option<Digest>,

    /// Name of the target
    #[arg(long, value_name = "NAME", default_value = "trusted_root.json")]
    target: String,

    /// Write the trusted root to this file
    #[arg(short, long, value_name = "FILE")]
    output_file: PathBuf,

    /// Keep the chain of metadata in this folder; by default beside the file, under its name with
    /// `.tuf`. A later fetch goes on from there and accepts nothing older
    #[arg(long, value_name = "DIR")]
    chain: Option<PathBuf>,

    #[command(flatten)]
    network: NetworkArgs,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Instance {
    /// GitHub's own, for private repositories
    Github,
    /// The public Sigstore instance
    PublicGood,
    /// Its staging
    Staging,
}

impl Instance {
    /// Address and initial root.
    fn repository(self) -> (&'static str, &'static [u8]) {
        match self {
            Self::Github => ("https://tuf-repo.github.com", include_bytes!("roots/github.root.json")),
            Self::PublicGood => ("https://tuf-repo-cdn.sigstore.dev", include_bytes!("roots/public-good.root.json")),
            Self::Staging => ("https://tuf-repo-cdn.sigstage.dev", include_bytes!("roots/staging.root.json")),
        }
    }
}

pub(super) fn run(args: &FetchArgs) -> Result<(), ExportError> {
    let (url, root) = match (&args.mirror, &args.root) {
        (Some(url), Some(path)) => (url.as_str(), documents::read_up_to(path, Limits::default().manifest_size)?),
        _ => {
            let (url, root) = args.instance.repository();
            (url, root.to_vec())
        }
    };
    let failed = |reason: String| ExportError::Tuf { url: url.to_owned(), reason };
    let got = Digest::of(&root);
    if let Some(want) = args.root_checksum.filter(|want| *want != got) {
        return Err(failed(format!("digest mismatch of the initial root: got {got}, want {want}")));
    }
    install_crypto_provider().map_err(|error| failed(error.to_string()))?;
    let client = Registry::new(args.network.options(documents::read)?)?;
    let chain = args.chain.clone().unwrap_or_else(|| beside(&args.output_file));
    fs::create_dir_all(&chain).map_err(|source| ExportError::Output { path: chain.clone(), source })?;
    let bytes = block_on(async {
        let mirror = Mirror { client, url: url.trim_end_matches('/').to_owned() };
        let mut updater = Updater::new(mirror, &root).map_err(|e| failed(reasons(&e)))?.with_store(FileStore::new(&chain));
        let now = Timestamp::now();
        updater.refresh(now).await.map_err(|e| failed(reasons(&e)))?;
        updater.get_target(&args.target, now).await.map_err(|e| failed(reasons(&e)))
    })?;
    let trusted = validate(&args.output_file, &bytes)?;
    write(Some(&args.output_file), &bytes)?;
    say(format_args!("{} is {}; chain in {}", args.output_file.display(), trusted.digest(), chain.display()));
    Ok(())
}

fn beside(output: &Path) -> PathBuf {
    let mut name = output.file_name().unwrap_or_default().to_owned();
    name.push(".tuf");
    output.with_file_name(name)
}

/// The whole chain of an error: the crate prints one link at a time.
fn reasons(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(source) = cause {
        text = format!("{text}: {source}");
        cause = source.source();
    }
    text
}

/// A TUF repository behind HTTP.
struct Mirror {
    client: Registry,
    url: String,
}

impl Repository for Mirror {
    fn fetch_metadata<'a>(&'a self, name: &'a str, max_length: u64) -> FetchFuture<'a> {
        self.fetch(format!("{}/{name}", self.url), max_length).boxed()
    }

    fn fetch_target<'a>(&'a self, path: &'a str, max_length: u64) -> FetchFuture<'a> {
        self.fetch(format!("{}/targets/{path}", self.url), max_length).boxed()
    }
}

impl Mirror {
    /// Stores of objects say 403 of what they do not hold.
    async fn fetch(&self, url: String, limit: u64) -> sigstore_tuf::Result<Option<Vec<u8>>> {
        match self.client.document(&url, limit).await {
            Answer::Found(bytes) => Ok(Some(bytes.to_vec())),
            Answer::None { .. } | Answer::NotOffered { .. } => Ok(None),
            Answer::CouldNotLook(obstacle) if obstacle.status == Some(403) => Ok(None),
            Answer::CouldNotLook(obstacle) => Err(Error::transport(obstacle.to_string())),
        }
    }
}
