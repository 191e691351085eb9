//! The command line of `carnet export`.

use std::{
    fmt,
    future::Future,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use carnet_bundle::Platform;
use carnet_registry::{NetworkArgs, run_until_stopped};
use clap::{Args, ValueEnum};

use crate::{
    error::ExportError,
    export::{Report, export, is_same_file},
    platforms,
    progress::{Progress, Verbosity},
    require::Requirement,
    terminal::say,
};

/// The file is there, and something about it is not as it should be.
const SHORTFALL: u8 = 1;
/// No file was written: usage, refusal, nothing to reach.
const NO_FILE: u8 = 2;

/// Collects images with all their evidence into one archive.
///
/// Every store that evidence can be in is looked at, for every image and for
/// every platform of an index. When one could not be looked at, no file is
/// written.
///
/// With a policy, the archive is judged as the far side will judge it.
///
/// Exit codes: 0 the archive was written; 1 it was written, but would be refused,
/// lacks what --require asks for, or a log denies what it promised; 2 it was not
/// written.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Exit status: 0 the archive was written; 1 it was written, but would be refused, lacks what \
    --require asks for, or a log denies what it promised; 2 it was not written.")]
pub struct ExportArgs {
    /// References to export, such as ghcr.io/org/app:v1 or quay.io/app@sha256:…
    #[arg(value_name = "IMAGES")]
    pub references: Vec<String>,

    /// Export every component of this images.yaml (a Conforma snapshot) too, and carry it
    #[arg(long, value_name = "FILE")]
    pub images: Option<PathBuf>,

    /// Carry this policy.yaml with everything under its `sources`; a file, or a git or https URL
    #[arg(short, long, value_name = "FILE")]
    pub policy: Option<PathBuf>,

    /// Carry this Sigstore trusted_root.json; may be repeated
    #[arg(long, value_name = "FILE")]
    pub trusted_root: Vec<PathBuf>,

    /// Carry the TUF chain in this folder, as `carnet trust fetch` keeps it or a mirror serves it, and
    /// the trusted_root.json that it delivers; whoever holds an earlier root.json can verify it
    #[arg(long, value_name = "DIR")]
    pub tuf_chain: Option<PathBuf>,

    /// Carry this public key; may be repeated
    #[arg(short = 'k', long, visible_alias = "key", value_name = "FILE")]
    pub public_key: Vec<PathBuf>,

    /// Write the archive to this file; it appears when it is complete
    #[arg(short, long, value_name = "FILE")]
    pub output_file: PathBuf,

    /// Ask this OCI layout instead of a registry: a directory, a tar of one, or what `cosign save`
    /// wrote; or docker-archive:PATH, what `docker save` wrote, which holds no evidence; with
    /// REPOSITORY for that repository only; may be repeated
    #[arg(long, value_name = "[REPOSITORY=]oci:PATH")]
    pub from: Vec<String>,

    /// Which image layers to carry
    #[arg(long, value_enum, default_value_t = Layers::All)]
    pub layers: Layers,

    /// Fetch layers that registries need not serve from the addresses in their descriptors too: over
    /// https, without credentials
    #[arg(long)]
    pub include_foreign: bool,

    /// Ask this place first for what a digest proves, such as docker.io=mirror.example/hub; tags and
    /// lists are asked of the registry itself. May be repeated
    #[arg(long, value_name = "PLACE=MIRROR")]
    pub mirror: Vec<String>,

    /// Write the archive although something could not be looked at; the verifier fails it, unless it
    /// gets the same switch
    #[arg(long)]
    pub allow_incomplete: bool,

    /// Leave out the record of when and how the bundle was collected: same input, same bytes
    #[arg(long)]
    pub reproducible: bool,

    /// Write the bundle id to this file
    #[arg(long, value_name = "FILE")]
    pub id_file: Option<PathBuf>,

    /// Write the policy lock to this file: which content each source of the policy was
    #[arg(long, value_name = "FILE", requires = "policy")]
    pub lock: Option<PathBuf>,

    /// How registries and logs are reached
    #[command(flatten)]
    pub network: NetworkArgs,

    /// Keep what registries send in this folder, and go on from there after an interruption; by
    /// default `carnet` in $XDG_CACHE_HOME or ~/.cache. What is not used for 30 days is removed
    #[arg(long, value_name = "DIR", conflicts_with = "no_cache")]
    pub cache: Option<PathBuf>,

    /// Keep nothing outside the archive
    #[arg(long)]
    pub no_cache: bool,

    /// Requests at the same time to one host
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=32))]
    pub parallel: u8,

    /// Give up after so many seconds, minutes or hours, such as 90s, 30m or 2h; the cache keeps what has come
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub deadline: Option<Duration>,

    /// Print nothing but errors
    #[arg(short, long)]
    pub quiet: bool,

    /// Print plain lines instead of progress bars
    #[arg(long)]
    pub no_progress: bool,

    /// Only these platforms of an index, os/arch[/variant]; the index itself and attestations beside
    /// the platforms always travel, and the verifier needs the same flag
    #[arg(long, value_name = "PLATFORM", value_parser = platforms::parse, value_delimiter = ',')]
    pub platform: Vec<Platform>,

    /// Look for evidence in this repository too, as COSIGN_REPOSITORY names one; may be repeated
    #[arg(long, value_name = "REPOSITORY")]
    pub evidence_repository: Vec<String>,

    /// Look for tags of cosign with this before them too; may be repeated
    #[arg(long, value_name = "PREFIX")]
    pub tag_prefix: Vec<String>,

    /// Carry this evidence: a Sigstore bundle, a DSSE envelope, or one of them on each line; its
    /// content says which image it is about. May be repeated
    #[arg(long, value_name = "FILE")]
    pub evidence: Vec<PathBuf>,

    /// Inclusion proofs for log entries that only have a promise: fetch them as far as they can be
    /// had (the default, unless --reproducible), require them, or skip
    #[arg(long, value_enum)]
    pub proofs: Option<Proofs>,

    /// Ask this Rekor server for proofs, instead of the logs of the trusted roots; may be repeated
    #[arg(long, value_name = "URL")]
    pub rekor_url: Vec<String>,

    /// Exit with 1 when an image has no signature, provenance, sbom or statement of a predicate type;
    /// looks at what is there, not whether it verifies
    #[arg(long, value_name = "KINDS", value_parser = Requirement::parse, value_delimiter = ',')]
    pub require: Vec<Requirement>,

    /// Write images.yaml with every image as repo:tag@digest to this file
    #[arg(long, value_name = "FILE")]
    pub pin_images: Option<PathBuf>,

    /// Do not judge the archive by the policy after it is written
    #[arg(long)]
    pub no_preflight: bool,
}

/// What is done about inclusion proofs.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Proofs {
    /// Fetch what can be had
    Fetch,
    /// Without all of them, no file
    Require,
    /// Ask no log
    Skip,
}

/// Which image layers are carried.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Layers {
    /// All of them
    All,
    /// None: evidence only
    None,
}

impl fmt::Display for Layers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::All => "all",
            Self::None => "none",
        })
    }
}

/// Runs `carnet export`.
pub fn run(args: &ExportArgs) -> ExitCode {
    let mut progress = Progress::new(Verbosity::new(args.quiet, args.no_progress));
    let outcome = refuse(args).and_then(|()| block_on(in_time(args, &mut progress)));
    progress.finish();
    let outcome = outcome.and_then(|report| finish(args, report));
    match outcome {
        Ok(false) => ExitCode::SUCCESS,
        Ok(true) => ExitCode::from(SHORTFALL),
        Err(error) => {
            say(format_args!("error: {error}"));
            // Not from elsewhere, so nothing in it needs to be made visible.
            let _ = writeln!(io::stderr(), "hint: {}", error.hint());
            ExitCode::from(NO_FILE)
        }
    }
}

/// Runs the export, up to the deadline.
async fn in_time(args: &ExportArgs, progress: &mut Progress) -> Result<Report, ExportError> {
    match args.deadline {
        None => export(args, progress).await,
        Some(deadline) => {
            tokio::time::timeout(deadline, export(args, progress)).await.unwrap_or(Err(ExportError::Deadline(deadline)))
        }
    }
}

/// Reads `90s`, `30m` or `2h`.
fn duration(text: &str) -> Result<Duration, String> {
    let units = [('s', 1), ('m', 60), ('h', 60 * 60)];
    let read = |(unit, seconds): (char, u64)| text.strip_suffix(unit)?.parse::<u32>().ok().map(|n| u64::from(n) * seconds);
    match units.into_iter().find_map(read) {
        Some(seconds) if seconds > 0 => Ok(Duration::from_secs(seconds)),
        _ => Err("want a number of seconds, minutes or hours, such as 90s, 30m or 2h".to_owned()),
    }
}

/// Flags that contradict each other.
fn refuse(args: &ExportArgs) -> Result<(), ExportError> {
    if args.reproducible && matches!(args.proofs, Some(Proofs::Fetch | Proofs::Require)) {
        return Err(ExportError::Flags("--reproducible and fetched proofs exclude each other: a log grows"));
    }
    // The archive says which log answered.
    if args.rekor_url.iter().any(|url| url.split(['/', '?']).nth(2).is_some_and(|host| host.contains('@'))) {
        return Err(ExportError::Secret("--rekor-url holds a user or password, and the archive names the log"));
    }
    for (path, message) in [
        (&args.id_file, "--id-file and --output-file are the same file"),
        (&args.lock, "--lock and --output-file are the same file"),
        (&args.pin_images, "--pin-images and --output-file are the same file"),
    ] {
        if path.as_ref().is_some_and(|path| is_same_file(path, &args.output_file)) {
            let source = io::Error::new(io::ErrorKind::AlreadyExists, message);
            return Err(ExportError::Output { path: args.output_file.clone(), source });
        }
    }
    Ok(())
}

/// Runs `work` until it is done or the process is told to stop. Abandoned work
/// removes its temporary file.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T, ExportError>>) -> Result<T, ExportError> {
    run_until_stopped(work).map_err(ExportError::Runtime)?.unwrap_or(Err(ExportError::Interrupted))
}

/// Says how it went. Returns whether something is not as it should be.
fn finish(args: &ExportArgs, report: Report) -> Result<bool, ExportError> {
    let written = !report.names.is_empty();
    if !args.quiet {
        // Whoever closed the pipe wants no more lines; the file is there.
        let _ = write!(io::stdout(), "{}{}", report.summary, report.names);
    } else if !written {
        report.gaps.iter().for_each(|gap| say(format_args!("could not look: {}: {}", gap.question, gap.obstacle)));
    }
    report.warnings.iter().filter(|_| !args.quiet).for_each(|warning| say(format_args!("warning: {warning}")));
    report.shortfalls.iter().for_each(|shortfall| say(format_args!("{shortfall}")));
    if written { Ok(!report.shortfalls.is_empty()) } else { Err(ExportError::Incomplete(report.gaps.len())) }
}
