//! One export from the arguments to the file.

use std::{collections::BTreeMap, fs, io::Write as _, path::Path};

use carnet_bundle::{
    Assembly, Content, Digest, Inventory, Plan, Reference,
    inventory::{Absence, Role},
};
use carnet_registry::Options;

use crate::{
    archive::{self, Outcome},
    cli::{ExportArgs, Layers},
    collect::{Collection, Collector, Gap},
    documents::{self, Given},
    error::ExportError,
    progress::Progress,
    source::{Origin, Sources},
    summary,
};

/// What an export has to say at its end.
pub(crate) struct Report {
    /// The closing table with everything that is not as one would wish.
    pub(crate) summary: String,
    /// Names of the file; empty when there is none.
    pub(crate) names: String,
    /// What was not looked at: an error unless it was accepted.
    pub(crate) gaps: Vec<Gap>,
}

/// Runs an export. A report without names means that no file was written, for
/// the gaps it lists.
pub(crate) async fn export(args: &ExportArgs, progress: &mut Progress) -> Result<Report, ExportError> {
    let given = Given::read(args)?;
    for finding in &given.images.findings {
        let place = if finding.subject.is_empty() { "images.yaml" } else { &finding.subject };
        progress.line(format_args!("warning: {place}: {}", finding.message));
    }
    let references = given.references(&args.references)?;
    // Found out now rather than after gigabytes.
    drop(archive::temporary(&args.output_file)?);
    let origins = origins(args, &references)?;
    let collector = Collector::new(args.layers == Layers::All, progress);
    let mut collection = collector.collect(&origins).await?;
    collection.assembly.documents = given.documents;
    collection.assembly.documents.extend(documents::record(args, &origins)?);
    if !collection.gaps.is_empty() && !args.allow_incomplete {
        return Ok(incomplete(collection));
    }
    write(args, collection, progress).await
}

fn origins(args: &ExportArgs, references: &[Reference]) -> Result<Vec<Origin>, ExportError> {
    let options =
        Options { allow_http: args.allow_http_registry, allow_insecure: args.allow_insecure_registry, ..Options::default() };
    let from = args.from.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
    Sources::open(from, options)?.origins(references)
}

/// The report of a collection that is not written.
fn incomplete(collection: Collection) -> Report {
    let Assembly { subjects, evidence, receipts, absent, .. } = collection.assembly;
    let mut inventory = Inventory { subjects, evidence, looked_for: receipts, absent, ..Inventory::new() };
    inventory.sort();
    Report { summary: summary::render(&inventory, &collection.gaps), names: String::new(), gaps: collection.gaps }
}

async fn write(args: &ExportArgs, collection: Collection, progress: &mut Progress) -> Result<Report, ExportError> {
    let Collection { mut assembly, layers, mut gaps } = collection;
    loop {
        // Payloads are held once: the plan takes them, and gives them back when it
        // has to be made anew.
        let blobs = std::mem::take(&mut assembly.blobs);
        let plan = Plan::new(Assembly { blobs, ..assembly.clone() })?;
        let missing = match archive::write(&plan, &layers, &args.output_file, progress).await? {
            Outcome::Complete(file) => {
                write_id(args, &plan)?;
                archive::publish(file, &args.output_file)?;
                let names = summary::render_names(&plan, &args.output_file);
                return Ok(Report { summary: summary::render(plan.inventory(), &gaps), names, gaps });
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
    let Some(path) = &args.id_file else { return Ok(()) };
    let failed = |source| ExportError::Output { path: path.to_owned(), source };
    let mut file = archive::temporary(path)?;
    writeln!(file, "{}", plan.id()).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    archive::publish(file.into_temp_path(), path)
}

/// Whether two paths are one file; the id would overwrite the archive.
pub(crate) fn is_same_file(a: &Path, b: &Path) -> bool {
    let resolve = |path: &Path| {
        let folder = path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
        fs::canonicalize(folder).ok().zip(path.file_name().map(ToOwned::to_owned))
    };
    a == b || resolve(a).is_some_and(|a| Some(a) == resolve(b))
}
