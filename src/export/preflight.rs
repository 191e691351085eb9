//! The preflight: the judgement that the far side will make, made now, over the
//! archive that was written.
//!
//! It says early what would fail; it does not replace the verdict. Nothing here
//! loosens what the far side asks, and what only the far side knows (an identity
//! given by flag, a later trust root) may still change its mind.

use std::{
    fs, io,
    path::{Path, PathBuf},
    thread,
};

use carnet_bundle::{Limits, Severity, media};
use carnet_verify::{Document, Inputs, Report, VerifyArgs, disk::open_container, report::Verdict, run};
use jiff::Timestamp;
use serde_json::json;

use crate::{
    cli::{ExportArgs, Layers},
    trust,
};

/// Lines of findings that are shown; the verifier has the others.
const SHOWN: usize = 10;

/// What the preflight found out.
pub(crate) enum Preflight {
    /// The far side would say no, for these reasons.
    Fail(Vec<String>),
    /// Nothing here can say what the far side will say, for this reason.
    NoVerdict(String),
    Pass,
    /// The far side needs more than these files, as this reason says; with the
    /// rules as they were fetched it would say no, for the reasons that follow.
    Unbound(String, Vec<String>),
}

/// Judges the archive by the documents that were given to the export; `policy` is
/// the document that `--policy` named, wherever it was.
pub(crate) fn preflight(args: &ExportArgs, references: &[String], policy: Vec<u8>) -> Preflight {
    match judge(args, references, policy.clone(), &[]) {
        Ok(report) if report.verdict() == Verdict::Pass => Preflight::Pass,
        Ok(report) => Preflight::Fail(reasons(&report)),
        // Who signed is known, whatever binds the rules later.
        Err(reason) => match judge(args, references, policy, &["--accept-bundled-sources"]) {
            Ok(report) => Preflight::Unbound(reason, reasons(&report)),
            Err(_) => Preflight::NoVerdict(reason),
        },
    }
}

fn judge(args: &ExportArgs, references: &[String], policy: Vec<u8>, more: &[&str]) -> Result<Report, String> {
    let flags = flags(args, more)?;
    let images = match &args.images {
        Some(path) => document(path)?,
        None => {
            let components: Vec<_> =
                references.iter().map(|reference| json!({ "name": reference, "containerImage": reference })).collect();
            let text = json!({ "components": components }).to_string();
            Document { name: "the references of the command line".to_owned(), bytes: text.into_bytes() }
        }
    };
    let read = |path: &Path| fs::read(path);
    let inputs = Inputs {
        images: vec![images],
        policy: Some(Document { name: "policy.yaml".to_owned(), bytes: policy }),
        trusted_root: trusted_root(args)?,
        read: &read,
        trust: carnet_verify::TrustInputs::default(),
        // Written beside the archive, so the operator means to carry it.
        policy_lock: args.lock.as_ref().map(document).transpose()?,
        sources: &carnet_verify::disk::sources::Disk,
    };
    let mut container = open_container(&args.output_file, &Limits::default()).map_err(|error| error.to_string())?;
    let cores = thread::available_parallelism().map_or(1, usize::from);
    run(&flags, &inputs, container.as_mut(), Timestamp::now(), cores).map_err(|error| error.to_string())
}

/// The first root that was given, else the one that the TUF chain delivers.
fn trusted_root(args: &ExportArgs) -> Result<Option<Document>, String> {
    let Some(folder) = args.tuf_chain.as_ref().filter(|_| args.trusted_root.is_empty()) else {
        return args.trusted_root.first().map(document).transpose();
    };
    let documents = trust::chain::read(folder, &[]).map_err(|error| error.to_string())?;
    let root = documents.into_iter().find(|document| document.media_type == media::TRUSTED_ROOT);
    Ok(root.map(|root| Document { name: root.title, bytes: root.bytes }))
}

/// What the export was told to leave out is not held against it here.
fn flags(args: &ExportArgs, more: &[&str]) -> Result<VerifyArgs, String> {
    let mut words: Vec<std::ffi::OsString> = vec!["carnet-verify".into(), args.output_file.clone().into()];
    words.extend(more.iter().map(Into::into));
    if args.layers == Layers::None {
        words.push("--layers=none".into());
    }
    if args.allow_incomplete {
        words.push("--allow-incomplete".into());
    }
    words.extend(args.platform.iter().map(|platform| format!("--platform={platform}").into()));
    if let Some(key) = args.public_key.first() {
        words.extend(["--public-key".into(), key.clone().into()]);
    }
    VerifyArgs::read(words).map_err(|error| error.to_string())
}

fn document(path: &PathBuf) -> Result<Document, String> {
    let name = path.display().to_string();
    let bytes = fs::read(path).map_err(|error: io::Error| format!("{name}: {error}"))?;
    Ok(Document { name, bytes })
}

/// Why the verdict is fail: findings of the bundle, violations of the images.
fn reasons(report: &Report) -> Vec<String> {
    let failures = report.carnet.findings.iter().filter(|finding| finding.severity == Severity::Failure);
    let mut reasons: Vec<String> = failures.map(|f| format!("{} {}: {}", f.code, f.subject, f.message)).collect();
    for component in &report.components {
        reasons.extend(component.violations.iter().map(|violation| format!("{}: {}", component.name, violation.msg)));
    }
    let more = reasons.len().saturating_sub(SHOWN);
    reasons.truncate(SHOWN);
    if more > 0 {
        reasons.push(format!("and {more} more"));
    }
    reasons
}
