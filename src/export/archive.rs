//! Writes the archive: every member to its place, layers in parallel.
//!
//! The file has a temporary name in the target folder until it is complete and on
//! the disk. The plan knows all offsets, so layers are written where they belong
//! while they arrive, in whatever order, and hashed once on the way.

use std::{
    collections::BTreeMap,
    fs::{self, File, Permissions, TryLockError},
    io,
    os::unix::fs::{FileExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use carnet_bundle::{Content, Descriptor, Digest, Plan, inventory::AbsenceReason, plan::PlannedMember};
use carnet_registry::{Answer, BlobError, BlobStream, Obstacle};
use futures_util::{StreamExt, stream};
use indicatif::ProgressBar;
use tempfile::TempPath;

use crate::{cli::ExportArgs, error::ExportError, progress::Progress, sink::Sink, source::Origin};

const PREFIX: &str = ".carnet-";
const SUFFIX: &str = ".part";
/// Readable by whom the umask lets read, as other archivers do.
const MODE: u32 = 0o666;

/// What became of a plan.
pub(crate) enum Outcome {
    /// The archive is complete, under its temporary name.
    Complete(Temporary),
    /// Layers that no source has: the plan must be made anew without them.
    Missing(Vec<Missing>),
}

/// A layer that no source has.
pub(crate) struct Missing {
    pub(crate) layer: Descriptor,
    pub(crate) reason: AbsenceReason,
    /// What stood in the way, unless the source said that it has no such blob.
    pub(crate) obstacle: Option<Obstacle>,
}

/// A file under a temporary name, which disappears unless it is published. Its
/// lock says that an export is at it.
pub(crate) struct Temporary {
    pub(crate) file: File,
    path: TempPath,
}

/// Creates a file beside `output`, and removes what exports have left there that
/// were killed.
pub(crate) fn temporary(output: &Path) -> Result<Temporary, ExportError> {
    let failed = |source| ExportError::Output { path: output.to_owned(), source };
    // Renaming would replace a device or a pipe by a file.
    if fs::metadata(output).is_ok_and(|metadata| !metadata.is_file()) || output == Path::new("-") {
        return Err(failed(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")));
    }
    let folder = match output.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    remove_left_over(folder);
    let mut builder = tempfile::Builder::new();
    builder.prefix(PREFIX).suffix(SUFFIX).permissions(Permissions::from_mode(MODE));
    loop {
        let made = builder.tempfile_in(folder).map_err(|error| failed(io::Error::from(error.kind())))?;
        let (file, path) = made.into_parts();
        // Between the two steps another export may have taken it for left over.
        let locked = file.try_lock();
        if matches!(locked, Err(TryLockError::Error(_))) || (locked.is_ok() && path.exists()) {
            return Ok(Temporary { file, path });
        }
    }
}

/// Removes the temporary files that nobody locks: their exports are dead.
fn remove_left_over(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let is_ours = |name: &str| name.starts_with(PREFIX) && name.ends_with(SUFFIX);
    for entry in entries.flatten().filter(|entry| entry.file_name().to_str().is_some_and(is_ours)) {
        let is_file = entry.metadata().is_ok_and(|metadata| metadata.is_file());
        let file = if is_file { File::open(entry.path()).ok() } else { None };
        if file.is_some_and(|file| file.try_lock().is_ok()) {
            // What cannot be removed is in nobody's way.
            let _ = fs::remove_file(entry.path());
        }
    }
}

impl Temporary {
    /// Gives a complete file its name.
    pub(crate) fn publish(self, output: &Path) -> Result<(), ExportError> {
        let failed = |source| ExportError::Output { path: output.to_owned(), source };
        self.path.persist(output).map_err(|error| failed(error.error))?;
        if let Some(folder) = output.parent().filter(|parent| *parent != Path::new("")) {
            // The name has to survive a power cut too; not every file system can say so.
            let _ = File::open(folder).and_then(|folder| folder.sync_all());
        }
        Ok(())
    }
}

/// Writes all members of `plan`.
pub(crate) async fn write(
    plan: &Plan,
    origins: &BTreeMap<Digest, Origin>,
    args: &ExportArgs,
    progress: &mut Progress,
) -> Result<Outcome, ExportError> {
    let output = &args.output_file;
    let failed = |source| ExportError::Output { path: output.to_owned(), source };
    let Temporary { file, path } = temporary(output)?;
    let sink = Sink::new(file.try_clone().map_err(failed)?, &path, plan.total_size()).map_err(failed)?;
    let mut layers = Vec::new();
    for member in plan.members() {
        file.write_all_at(&member.header(), member.offset).map_err(failed)?;
        match &member.content {
            Content::Bytes(bytes) => file.write_all_at(bytes, member.data_offset()).map_err(failed)?,
            Content::Stream(layer) => layers.push((layer.clone(), member)),
        }
    }
    let missing = write_layers(&sink, layers, origins, args, progress).await?;
    if !missing.is_empty() {
        return Ok(Outcome::Missing(missing));
    }
    progress.step("writing to the disk");
    sink.sync().await.map_err(failed)?;
    Ok(Outcome::Complete(Temporary { file, path }))
}

async fn write_layers(
    sink: &Arc<Sink>,
    layers: Vec<(Descriptor, &PlannedMember)>,
    origins: &BTreeMap<Digest, Origin>,
    args: &ExportArgs,
    progress: &mut Progress,
) -> Result<Vec<Missing>, ExportError> {
    let output = &args.output_file;
    let count = layers.len();
    progress.layers(count, layers.iter().map(|(layer, _)| layer.size).sum());
    let given_up = Arc::new(AtomicBool::new(false));
    let task = |(layer, member): (Descriptor, &PlannedMember)| Task {
        sink: Arc::clone(sink),
        output: output.to_owned(),
        origin: origins.get(&layer.digest).cloned(),
        layer,
        offset: member.data_offset(),
        bar: progress.layer(),
        given_up: Arc::clone(&given_up),
    };
    // Tasks of their own, so that hashing uses more than one core; they end with
    // the set when the export is abandoned.
    let mut running = stream::iter(layers.into_iter().map(task))
        .map(|task| {
            let mut set = tokio::task::JoinSet::new();
            set.spawn(task.run());
            async move { set.join_next().await }
        })
        .buffer_unordered(args.parallel.into());
    let mut missing = Vec::new();
    let mut done = 0;
    while let Some(joined) = running.next().await {
        match joined {
            Some(Ok(Ok(Done::Written(layer)))) => {
                done += 1;
                progress.layer_done(&layer, done, count);
            }
            Some(Ok(Ok(Done::GivenUp))) | None => {}
            Some(Ok(Ok(Done::Missing(layer)))) => missing.push(layer),
            Some(Ok(Err(error))) => return Err(error),
            Some(Err(error)) => {
                return Err(ExportError::Output { path: output.to_owned(), source: io::Error::other(error) });
            }
        }
    }
    Ok(missing)
}

/// The way of one layer into the file.
struct Task {
    sink: Arc<Sink>,
    output: PathBuf,
    origin: Option<Origin>,
    layer: Descriptor,
    offset: u64,
    bar: ProgressBar,
    given_up: Arc<AtomicBool>,
}

enum Done {
    /// Another layer is missing, so this file will not be kept.
    GivenUp,
    Missing(Missing),
    Written(Descriptor),
}

impl Task {
    async fn run(self) -> Result<Done, ExportError> {
        let Some(origin) = self.origin.clone() else { return Ok(self.missing(AbsenceReason::NotInSource, None)) };
        loop {
            let stream = match origin.source.blob(&origin.reference, &self.layer).await {
                Answer::Found(stream) => stream,
                Answer::None { .. } | Answer::NotOffered { .. } => return Ok(self.missing(AbsenceReason::NotInSource, None)),
                Answer::CouldNotLook(obstacle) => return Ok(self.missing(AbsenceReason::Unreachable, Some(obstacle))),
            };
            match self.copy(stream).await? {
                Ok(true) => return Ok(Done::Written(self.layer)),
                Ok(false) => return Ok(Done::GivenUp),
                Err(BlobError::Obstacle(obstacle)) => return Ok(self.missing(AbsenceReason::Unreachable, Some(obstacle))),
                // What was kept of it earlier was damaged; the next bytes are new.
                Err(_) if origin.source.forget(&self.layer.digest) => {}
                Err(source) => return Err(ExportError::Blob { what: origin.reference.name(), source }),
            }
        }
    }

    /// Writes the bytes of the layer to their place. Says whether all are there;
    /// not all are wanted when another layer is missing.
    async fn copy(&self, mut stream: BlobStream) -> Result<Result<bool, BlobError>, ExportError> {
        let failed = |source| ExportError::Output { path: self.output.clone(), source };
        let mut lane = self.sink.lane(self.offset);
        let mut written = 0;
        loop {
            if self.given_up.load(Ordering::Relaxed) {
                return Ok(Ok(false));
            }
            let chunk = match stream.next().await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => break,
                Err(error) => {
                    // What comes instead goes to the same place.
                    lane.settle().await.map_err(failed)?;
                    self.bar.dec(written);
                    return Ok(Err(error));
                }
            };
            lane.write(&chunk).await.map_err(failed)?;
            let length = u64::try_from(chunk.len()).unwrap_or_default();
            written += length;
            self.bar.inc(length);
        }
        lane.finish().await.map_err(failed)?;
        Ok(Ok(true))
    }

    fn missing(self, reason: AbsenceReason, obstacle: Option<Obstacle>) -> Done {
        self.given_up.store(true, Ordering::Relaxed);
        Done::Missing(Missing { layer: self.layer, reason, obstacle })
    }
}
