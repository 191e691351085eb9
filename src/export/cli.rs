//! The command line of `carnet export`.

use std::{
    fmt,
    future::Future,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Args, ValueEnum};
use tokio::{
    runtime::Builder,
    signal::unix::{SignalKind, signal},
};

use crate::{
    error::ExportError,
    export::{Report, export, is_same_file},
    progress::{Progress, Verbosity},
    terminal::say,
};

/// No file was written: usage, refusal, nothing to reach.
const NO_FILE: u8 = 2;

/// Collects images with all their evidence into one archive.
///
/// Every store that evidence can be in is looked at, for every image and for
/// every platform of an index. When one could not be looked at, no file is
/// written.
///
/// Exit codes: 0 the archive was written, 2 it was not.
#[derive(Args, Clone, Debug)]
pub struct ExportArgs {
    /// References to export, such as ghcr.io/org/app:v1 or quay.io/app@sha256:…
    #[arg(value_name = "IMAGES")]
    pub references: Vec<String>,

    /// Export every component of this images.yaml (a Conforma snapshot) too, and carry it
    #[arg(long, value_name = "FILE")]
    pub images: Option<PathBuf>,

    /// Carry this policy.yaml
    #[arg(short, long, value_name = "FILE")]
    pub policy: Option<PathBuf>,

    /// Carry this Sigstore trusted_root.json; may be repeated
    #[arg(long, value_name = "FILE")]
    pub trusted_root: Vec<PathBuf>,

    /// Carry this public key; may be repeated
    #[arg(short = 'k', long, visible_alias = "key", value_name = "FILE")]
    pub public_key: Vec<PathBuf>,

    /// Write the archive to this file; it appears when it is complete
    #[arg(short, long, value_name = "FILE")]
    pub output_file: PathBuf,

    /// Ask this OCI layout instead of a registry: a directory, a tar of one, or what `cosign save`
    /// wrote; with REPOSITORY for that repository only; may be repeated
    #[arg(long, value_name = "[REPOSITORY=]oci:PATH")]
    pub from: Vec<String>,

    /// Which image layers to carry
    #[arg(long, value_enum, default_value_t = Layers::All)]
    pub layers: Layers,

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

    /// Ask every registry over plain http; hosts on loopback always are
    #[arg(long)]
    pub allow_http_registry: bool,

    /// Accept any TLS certificate of a registry
    #[arg(long)]
    pub allow_insecure_registry: bool,

    /// Print nothing but errors
    #[arg(short, long)]
    pub quiet: bool,

    /// Print plain lines instead of progress bars
    #[arg(long)]
    pub no_progress: bool,

    /// Only these platforms of an index (not supported yet)
    #[arg(long, value_name = "OS/ARCH", hide = true)]
    pub platform: Vec<String>,

    /// Look for evidence in this repository too (not supported yet)
    #[arg(long, value_name = "REPOSITORY", hide = true)]
    pub evidence_repository: Vec<String>,

    /// Carry this loose evidence file (not supported yet)
    #[arg(long, value_name = "FILE", hide = true)]
    pub evidence: Vec<PathBuf>,

    /// Fetch inclusion proofs for promises (not supported yet)
    #[arg(long, value_name = "fetch|require|skip", hide = true)]
    pub proofs: Option<String>,

    /// Require evidence of these kinds (not supported yet)
    #[arg(long, value_name = "KINDS", hide = true)]
    pub require: Vec<String>,

    /// Write images.yaml with every reference pinned (not supported yet)
    #[arg(long, value_name = "FILE", hide = true)]
    pub pin_images: Option<PathBuf>,
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
    let outcome = refuse(args).and_then(|()| block_on(export(args, &mut progress)));
    progress.finish();
    let outcome = outcome.and_then(|report| finish(args, report));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(format_args!("error: {error}"));
            if let Some(hint) = error.hint() {
                // Not from elsewhere, so nothing in it needs to be made visible.
                let _ = writeln!(io::stderr(), "hint: {hint}");
            }
            ExitCode::from(NO_FILE)
        }
    }
}

/// Flags whose work is not done yet must not be taken for granted.
fn refuse(args: &ExportArgs) -> Result<(), ExportError> {
    let used = [
        (!args.platform.is_empty(), "--platform"),
        (!args.evidence_repository.is_empty(), "--evidence-repository"),
        (!args.evidence.is_empty(), "--evidence"),
        (args.proofs.is_some(), "--proofs"),
        (!args.require.is_empty(), "--require"),
        (args.pin_images.is_some(), "--pin-images"),
    ];
    if let Some((_, flag)) = used.iter().find(|(used, _)| *used) {
        return Err(ExportError::NotYet(flag));
    }
    if args.id_file.as_ref().is_some_and(|path| is_same_file(path, &args.output_file)) {
        let source = io::Error::new(io::ErrorKind::AlreadyExists, "--id-file and --output-file are the same file");
        return Err(ExportError::Output { path: args.output_file.clone(), source });
    }
    Ok(())
}

/// Runs `work` until it is done or the process is told to stop. Abandoned work
/// removes its temporary file.
fn block_on<T>(work: impl Future<Output = Result<T, ExportError>>) -> Result<T, ExportError> {
    let runtime = Builder::new_multi_thread().enable_all().build().map_err(ExportError::Runtime)?;
    let outcome = runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).map_err(ExportError::Runtime)?;
        let mut hang_up = signal(SignalKind::hangup()).map_err(ExportError::Runtime)?;
        tokio::select! {
            outcome = work => outcome,
            _ = tokio::signal::ctrl_c() => Err(ExportError::Interrupted),
            _ = terminate.recv() => Err(ExportError::Interrupted),
            _ = hang_up.recv() => Err(ExportError::Interrupted),
        }
    });
    // A credential helper that does not answer must not hold up the end.
    runtime.shutdown_background();
    outcome
}

fn finish(args: &ExportArgs, report: Report) -> Result<(), ExportError> {
    let written = !report.names.is_empty();
    if !args.quiet {
        // Whoever closed the pipe wants no more lines; the file is there.
        let _ = write!(io::stdout(), "{}{}", report.summary, report.names);
    } else if !written {
        report.gaps.iter().for_each(|gap| say(format_args!("could not look: {}: {}", gap.question, gap.obstacle)));
    }
    if written { Ok(()) } else { Err(ExportError::Incomplete(report.gaps.len())) }
}
