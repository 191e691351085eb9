//! One export from the arguments to the file.

use std::{collections::BTreeMap, env, fs, io::Write as _, path::Path, sync::Arc};

use carnet_bundle::{
    Assembly, Content, Digest, Inventory, Plan, Reference,
    inventory::{Absence, Role},
    media,
};
use carnet_policy::Images;
use carnet_registry::{Options, Registry};

use crate::{
    archive::{self, Outcome},
    cache::{self, Cache},
    cli::{ExportArgs, Layers, Proofs},
    collect::{Collection, Collector, Gap, Wanted},
    documents::{self, Given},
    error::ExportError,
    loose, pinned,
    platforms::Platforms,
    preflight::{Preflight, preflight},
    progress::Progress,
    proofs::{self, Logs, Unproved, Upgrade},
    rehearsal, require,
    source::Sources,
    sources, summary,
};

const COSIGN_REPOSITORY: &str = "COSIGN_REPOSITORY";

/// What an export has to say at its end.
pub(crate) struct Report {
    /// The closing table with everything that is not as one would wish.
    pub(crate) summary: String,
    /// Names of the file; empty when there is none.
    pub(crate) names: String,
    /// What was not looked at: an error unless it was accepted.
    pub(crate) gaps: Vec<Gap>,
    /// What the operator should know.
    pub(crate) warnings: Vec<String>,
    /// What is not as it should be although the file is there.
    pub(crate) shortfalls: Vec<String>,
}

/// Runs an export. A report without names means that no file was written, for
/// the gaps it lists.
pub(crate) async fn export(args: &ExportArgs, progress: &mut Progress) -> Result<Report, ExportError> {
    let given = Given::read(args).await?;
    for finding in &given.images.findings {
        let place = if finding.subject.is_empty() { "images.yaml" } else { &finding.subject };
        progress.line(format_args!("warning: {place}: {}", finding.message));
    }
    let references = given.references(&args.references)?;
    let loose = loose::read(&args.evidence)?;
    // Found out now rather than after gigabytes.
    drop(archive::temporary(&args.output_file)?);
    let cache = cache(args)?;
    let places = places(args, cache.clone())?;
    let fetched = match &given.policy {
        Some(policy) => Some(sources::fetch(policy, &places).await?),
        None => None,
    };
    let origins = places.origins(&references)?;
    let wanted = Wanted {
        layers: args.layers == Layers::All,
        foreign: args.include_foreign,
        platforms: Platforms::new(args.platform.clone()),
        evidence: places.origins(&evidence_repositories(args)?)?,
        tag_prefixes: args.tag_prefix.clone(),
    };
    let elsewhere: Vec<_> = wanted.evidence.iter().map(|origin| origin.reference.name()).collect();
    let mut collection = Collector::new(wanted, progress).collect(&origins).await?;
    let assembly = &mut collection.assembly;
    for place in elsewhere.iter().filter(|place| is_bare(assembly, place)) {
        progress.line(format_args!("warning: there is no evidence in {place}; check its spelling"));
    }
    loose::bind(loose, assembly)?;
    let logs = Logs::new(given.trusted_roots());
    let unknown = proofs::unknown_logs(assembly, &logs);
    let upgrade = upgrade(args, &logs, assembly, progress).await?;
    let shortfalls = require::unmet(&args.require, assembly);
    let policy = given.documents.iter().find(|document| document.media_type == media::POLICY_DOCUMENT);
    let policy = policy.map(|document| document.bytes.clone()).filter(|_| !args.no_preflight);
    let mut documents = given.documents;
    if let Some(fetched) = fetched {
        for warning in &fetched.warnings {
            progress.line(format_args!("warning: {warning}"));
        }
        write_lock(args, &fetched)?;
        documents.extend(fetched.lock_document());
        assembly.policy_layers.extend(fetched.layers);
        progress.step("running the policy");
        let given = rehearsal::Given {
            documents: documents.clone(),
            references: args.references.clone(),
            public_key: args.public_key.first().cloned(),
        };
        for problem in rehearsal::record(given, Arc::new(places), &origins, &mut collection).await? {
            progress.line(format_args!("warning: not all that the policy asks for is recorded: {problem}"));
        }
    }
    let assembly = &mut collection.assembly;
    documents.extend(documents::record(args, &origins, upgrade.as_ref())?);
    documents.append(&mut assembly.documents);
    assembly.documents = documents;
    let mut report = match !collection.gaps.is_empty() && !args.allow_incomplete {
        true => incomplete(collection),
        false => write(args, &given.images, collection, progress).await?,
    };
    if !report.names.is_empty() {
        report.shortfalls.extend(shortfalls);
        if let Some(policy) = policy {
            judge(args, &references, policy, &mut report, progress).await;
        }
    }
    let alarms = upgrade.into_iter().flat_map(|upgrade| upgrade.unproved);
    report.unproved(alarms.collect());
    let needs = |(id, count): (String, usize)| {
        format!("the verifier needs a trusted root with the log {id} ({count} entries); `carnet trust` fetches or makes one")
    };
    report.warnings.extend(unknown.into_iter().map(needs));
    report.warnings.extend(cache.as_ref().and_then(Cache::problem).map(|problem| format!("the cache was not used: {problem}")));
    Ok(report)
}

/// The cache, unless there is to be none. One that was named must work; one that
/// nobody asked for may fail.
fn cache(args: &ExportArgs) -> Result<Option<Cache>, ExportError> {
    match (&args.cache, args.no_cache) {
        (_, true) => Ok(None),
        (Some(folder), _) => {
            let cache = Cache::new(folder);
            cache.open().map_err(|source| ExportError::Cache { path: folder.clone(), source })?;
            Ok(Some(cache))
        }
        (None, _) => Ok(cache::default_folder().map(|folder| Cache::new(&folder))),
    }
}

/// Whether every question to a repository was answered with "none": one that does
/// not exist answers so too.
fn is_bare(assembly: &Assembly, repository: &str) -> bool {
    assembly.receipts.iter().filter(|receipt| receipt.repository == repository).all(|receipt| receipt.found == 0)
}

/// Everybody who may be asked.
fn places(args: &ExportArgs, cache: Option<Cache>) -> Result<Sources, ExportError> {
    let from = args.from.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
    let mirrors = args.mirror.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
    let options = Options { requests_per_host: args.parallel.into(), ..args.network.options(documents::read)? };
    Ok(Sources::open(from, options, cache)?.with_mirrors(mirrors).with_foreign(args.include_foreign))
}

/// What cosign calls `COSIGN_REPOSITORY` is one more place to look.
fn evidence_repositories(args: &ExportArgs) -> Result<Vec<Reference>, ExportError> {
    let named = env::var(COSIGN_REPOSITORY).ok().filter(|name| !name.is_empty());
    let mut repositories: Vec<Reference> = Vec::new();
    for name in args.evidence_repository.iter().chain(&named) {
        let repository: Reference = name.parse()?;
        if !repositories.contains(&repository) {
            repositories.push(repository);
        }
    }
    Ok(repositories)
}

/// Fetches inclusion proofs, as far as they are wanted.
async fn upgrade(
    args: &ExportArgs,
    logs: &Logs,
    assembly: &mut Assembly,
    progress: &Progress,
) -> Result<Option<Upgrade>, ExportError> {
    let default = if args.reproducible { Proofs::Skip } else { Proofs::Fetch };
    let mode = args.proofs.unwrap_or(default);
    if mode == Proofs::Skip {
        return Ok(None);
    }
    let client = Registry::new(args.network.options(documents::read)?);
    let upgrade = proofs::upgrade(assembly, logs, &args.rekor_url, client, progress).await;
    match upgrade.unproved.first() {
        Some(first) if mode == Proofs::Require => {
            Err(ExportError::Proofs { count: upgrade.unproved.len(), first: format!("{}: {}", first.leaf, first.reason) })
        }
        _ => Ok(Some(upgrade)),
    }
}

/// Judges the archive as the far side will.
async fn judge(args: &ExportArgs, references: &[Reference], policy: Vec<u8>, report: &mut Report, progress: &Progress) {
    progress.step("judging the archive");
    let (args, references) = (args.clone(), references.iter().map(ToString::to_string).collect::<Vec<_>>());
    // A panic in there has been printed, and the file is there.
    let Ok(outcome) = tokio::task::spawn_blocking(move || preflight(&args, &references, policy)).await else { return };
    match outcome {
        Preflight::Pass => {}
        Preflight::NoVerdict(reason) => {
            report.warnings.push(format!("preflight: nothing here can say how the verifier will judge: {reason}"))
        }
        Preflight::Unbound(reason, reasons) => {
            report.warnings.push(format!("preflight: the verifier will ask for more than these files: {reason}"));
            report.refused(reasons);
        }
        Preflight::Fail(reasons) => report.refused(reasons),
    }
}

impl Report {
    fn refused(&mut self, reasons: Vec<String>) {
        self.shortfalls.extend(reasons.into_iter().map(|reason| format!("preflight: the verifier would refuse: {reason}")));
    }

    /// Says which log entries have no proof: one line for what is missing, one for
    /// each that should not be.
    fn unproved(&mut self, unproved: Vec<Unproved>) {
        let (alarms, missing): (Vec<_>, Vec<_>) = unproved.into_iter().partition(|entry| entry.is_alarm);
        if let Some(first) = missing.first() {
            let count = missing.len();
            self.warnings.push(format!("{count} log entries travel without a proof, such as {}: {}", first.leaf, first.reason));
        }
        self.shortfalls.extend(alarms.into_iter().map(|entry| format!("alarm: log entry {}: {}", entry.leaf, entry.reason)));
    }
}

/// The report of a collection that is not written.
fn incomplete(collection: Collection) -> Report {
    let Assembly { subjects, evidence, receipts, absent, .. } = collection.assembly;
    let mut inventory = Inventory { subjects, evidence, looked_for: receipts, absent, ..Inventory::new() };
    inventory.sort();
    let summary = summary::render(&inventory, &collection.gaps);
    Report { summary, names: String::new(), gaps: collection.gaps, warnings: Vec::new(), shortfalls: Vec::new() }
}

async fn write(
    args: &ExportArgs,
    images: &Images,
    collection: Collection,
    progress: &mut Progress,
) -> Result<Report, ExportError> {
    let Collection { mut assembly, layers, mut gaps } = collection;
    loop {
        // Payloads are held once: the plan takes them, and gives them back when it
        // has to be made anew.
        let blobs = std::mem::take(&mut assembly.blobs);
        let plan = Plan::new(Assembly { blobs, ..assembly.clone() })?;
        let missing = match archive::write(&plan, &layers, args, progress).await? {
            Outcome::Complete(file) => {
                write_id(args, &plan)?;
                if let Some(path) = &args.pin_images {
                    write_beside(path, pinned::render(images, plan.inventory()).as_bytes())?;
                }
                file.publish(&args.output_file)?;
                let names = summary::render_names(&plan, &args.output_file);
                let summary = summary::render(plan.inventory(), &gaps);
                return Ok(Report { summary, names, gaps, warnings: Vec::new(), shortfalls: Vec::new() });
            }
            Outcome::Missing(missing) => missing,
        };
        for gone in missing {
            let question = format!("layer {}", gone.layer.digest);
            progress.line(format_args!("{question} is {}; starting again without it", gone.reason));
            gaps.extend(gone.obstacle.map(|obstacle| Gap { question, obstacle }));
            let (digest, size) = (gone.layer.digest, gone.layer.size);
            assembly.absent.push(Absence { digest, size, role: Role::Layer, reason: gone.reason });
        }
        assembly.blobs = held(&plan);
        if !gaps.is_empty() && !args.allow_incomplete {
            return Ok(incomplete(Collection { assembly, layers, gaps }));
        }
    }
}

/// What a plan holds in memory.
fn held(plan: &Plan) -> BTreeMap<Digest, Vec<u8>> {
    let bytes = plan.members().iter().filter_map(|member| match &member.content {
        Content::Bytes(bytes) => Some((member.digest, bytes.to_vec())),
        Content::Stream(_) => None,
    });
    bytes.collect()
}

fn write_id(args: &ExportArgs, plan: &Plan) -> Result<(), ExportError> {
    args.id_file.as_ref().map_or(Ok(()), |path| write_beside(path, format!("{}\n", plan.id()).as_bytes()))
}

fn write_lock(args: &ExportArgs, fetched: &sources::Fetched) -> Result<(), ExportError> {
    args.lock.as_ref().map_or(Ok(()), |path| write_beside(path, fetched.lock_bytes()))
}

/// Writes a small file that appears when it is complete.
pub(crate) fn write_beside(path: &Path, bytes: &[u8]) -> Result<(), ExportError> {
    let failed = |source| ExportError::Output { path: path.to_owned(), source };
    let mut temporary = archive::temporary(path)?;
    temporary.file.write_all(bytes).map_err(failed)?;
    temporary.file.sync_all().map_err(failed)?;
    temporary.publish(path)
}

/// Whether two paths are one file; the id would overwrite the archive.
pub(crate) fn is_same_file(a: &Path, b: &Path) -> bool {
    let resolve = |path: &Path| {
        let folder = path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
        fs::canonicalize(folder).ok().zip(path.file_name().map(ToOwned::to_owned))
    };
    a == b || resolve(a).is_some_and(|a| Some(a) == resolve(b))
}
