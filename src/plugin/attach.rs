//! `carnet attach`: adds evidence about a bundle to it, without changing its id.
//!
//! The archive is written anew beside itself and takes the old one's name when it is
//! whole and on the disk. Nothing is judged here: carnet-verify says whose word an
//! attachment is.

use std::{
    fs::{self, File, Permissions},
    io::{self, Read, Write},
    os::unix::fs::{FileExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::ExitCode,
};

use carnet_bundle::{
    Archive, Attachment, AttachmentError, Bundle, Content, Digester, Finding, Limits, OpenError, Plan, PlanError,
    attachment::MAX_ATTACHMENT_SIZE, codes, open, plan::PlannedMember,
};
use carnet_verify::{attachment::check_subject, disk::open_container};
use clap::Args;
use tempfile::NamedTempFile;

use crate::usage;

/// Names of files that are being written, as an export names them.
const PREFIX: &str = ".carnet-";
const SUFFIX: &str = ".part";
/// Bytes copied at a time.
const CHUNK: usize = 256 * 1024;
/// What a detached attachment has besides its payload.
const ENVELOPE: u64 = 1024 * 1024;
/// Readable by whom the umask lets read, as other archivers do.
const MODE: u32 = 0o666;

/// Arguments of `carnet attach`.
#[derive(Args, Debug)]
pub(crate) struct AttachArgs {
    /// Archive (.carnet.tar); a directory, .carnet.tar.gz or - only with --detached
    #[arg(value_name = "ARCHIVE")]
    archive: PathBuf,

    /// What to attach: a Sigstore bundle or a timestamp over the bundle index, a signed statement
    /// about it (DSSE), or a detached attachment
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Write to this file, instead of in place of the archive
    #[arg(short, long, value_name = "FILE")]
    output_file: Option<PathBuf>,

    /// Write the attachment alone to this file and leave the archive as it is, for media that can be
    /// written once
    #[arg(long, value_name = "FILE", conflicts_with = "output_file")]
    detached: Option<PathBuf>,
}

/// Why nothing was attached.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
enum AttachError {
    #[error("{}: {}: {source}", source.code().name, path.display())]
    Attachment { path: PathBuf, source: AttachmentError },
    #[error("{} is being written by another carnet", .0.display())]
    Busy(PathBuf),
    #[error("{} changed while it was read", .0.display())]
    Changed(PathBuf),
    #[error("{}: {}: {}: {}", path.display(), finding.code, finding.subject, finding.message)]
    Damaged { path: PathBuf, finding: Box<Finding> },
    #[error("{} is no plain archive, so nothing can be added to it", .0.display())]
    NotPlain(PathBuf),
    #[error("{}: {source}", path.display())]
    Open { path: PathBuf, source: OpenError },
    #[error("{}: {source}", path.display())]
    Plan { path: PathBuf, source: PlanError },
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
}

impl AttachError {
    fn hint(&self) -> &'static str {
        match self {
            Self::Attachment { source, .. } => source.code().hint,
            Self::Busy(_) => "try again when it has ended",
            Self::Changed(_) => "try again; nothing was written",
            Self::Damaged { .. } => "copy or export the archive again",
            Self::NotPlain(_) => "write a detached attachment with --detached FILE, or unpack a .gz first",
            Self::Open { .. } => "give an archive that `carnet export` wrote",
            Self::Plan { .. } => codes::ATTACHMENT_LIMIT_EXCEEDED.hint,
            Self::Read { .. } => "check the path and that it can be read",
            Self::Write { .. } => "check the path and the free space",
        }
    }
}

/// Runs `carnet attach`. Status 0 when the attachment is in place, else 2.
pub(crate) fn run(args: &AttachArgs) -> ExitCode {
    match attach(args) {
        Ok(said) => usage::print(&format!("{said}\n")),
        Err(error) => usage::fail(&error.to_string(), error.hint()),
    }
}

fn attach(args: &AttachArgs) -> Result<String, AttachError> {
    let file = read_file(&args.file)?;
    if let Some(output) = &args.detached {
        let bundle = whole(&args.archive)?;
        let attachment = attachment(&args.file, file, &bundle)?;
        let bytes = attachment.to_detached().map_err(|source| AttachError::Attachment { path: args.file.clone(), source })?;
        write_beside(output, MODE, |file| file.write_all(&bytes))?;
        return Ok(format!("attachment {} of bundle {}: {}", attachment.digest(), bundle.id(), output.display()));
    }
    let source = Source::open(&args.archive, args.output_file.is_none())?;
    let bundle = whole(&source.path)?;
    let attachment = attachment(&args.file, file, &bundle)?;
    let output = args.output_file.as_ref().unwrap_or(&source.path);
    let said = format!("attachment {} of bundle {}: {}", attachment.digest(), bundle.id(), output.display());
    source.write_with(&bundle, attachment, output)?;
    Ok(said)
}

/// Opens the archive and requires that every byte is the one that was exported; what
/// does not travel by the exporter's own word stands in nobody's way.
fn whole(path: &Path) -> Result<Bundle, AttachError> {
    let failed = |source| AttachError::Open { path: path.to_owned(), source };
    let limits = Limits::default();
    let mut container = open_container(path, &limits).map_err(|error| failed(error.into()))?;
    let opened = open(container.as_mut(), &limits).map_err(failed)?;
    let declared = [
        &codes::CHILD_NOT_CARRIED,
        &codes::CONFIG_NOT_CARRIED,
        &codes::EVIDENCE_NOT_CARRIED,
        &codes::LAYERS_NOT_CARRIED,
        &codes::RECEIPT_MISSING,
        &codes::COLLECTION_INCOMPLETE,
    ];
    let damage = |finding: &Finding| finding.is_failure() && !declared.iter().any(|code| code.name == finding.code);
    match (opened.findings.into_iter().find(damage), opened.bundle) {
        (None, Some(bundle)) => Ok(bundle),
        (Some(finding), _) => Err(AttachError::Damaged { path: path.to_owned(), finding: Box::new(finding) }),
        (None, None) => Err(failed(OpenError::NoBundle("its index cannot be relied on".to_owned()))),
    }
}

/// Makes the attachment of a file, or takes a detached one as it is.
fn attachment(path: &Path, bytes: Vec<u8>, bundle: &Bundle) -> Result<Attachment, AttachError> {
    let subject = bundle.descriptor();
    let made = match bytes.starts_with(b"oci-layout\0") {
        true => Archive::new(bytes.as_slice(), &Limits::default())
            .map_err(AttachmentError::from)
            .and_then(|mut container| Attachment::from_detached(&mut container, Some(&subject))),
        false => Attachment::new(&subject, bytes),
    };
    let checked = made.and_then(|attachment| check_subject(&attachment, bundle).map(|()| attachment));
    checked.map_err(|source| AttachError::Attachment { path: path.to_owned(), source })
}

fn read_file(path: &Path) -> Result<Vec<u8>, AttachError> {
    let failed = |source| AttachError::Read { path: path.to_owned(), source };
    let bound = MAX_ATTACHMENT_SIZE + ENVELOPE;
    let mut bytes = Vec::new();
    // One byte more than may be, so that a longer file is seen to be too long.
    File::open(path).and_then(|file| file.take(bound + 1).read_to_end(&mut bytes)).map_err(failed)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > bound {
        let source = AttachmentError::Limit { what: "bytes of an attachment", bound: MAX_ATTACHMENT_SIZE };
        return Err(AttachError::Attachment { path: path.to_owned(), source });
    }
    Ok(bytes)
}

/// An archive whose layers lie at the offsets that its plan gives.
struct Source {
    path: PathBuf,
    file: File,
    mode: u32,
}

impl Source {
    /// `in_place` keeps other carnets from replacing the same archive meanwhile.
    fn open(path: &Path, in_place: bool) -> Result<Self, AttachError> {
        let failed = |source| AttachError::Read { path: path.to_owned(), source };
        if path == Path::new("-") {
            return Err(AttachError::NotPlain(path.to_owned()));
        }
        // Renaming would replace a link, not what it leads to.
        let path = fs::canonicalize(path).map_err(failed)?;
        let file = File::open(&path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        let mut magic = [0; 2];
        if !metadata.is_file() || file.read_at(&mut magic, 0).map_err(failed)? < 2 || magic == [0x1f, 0x8b] {
            return Err(AttachError::NotPlain(path));
        }
        if in_place && file.try_lock().is_err() {
            return Err(AttachError::Busy(path));
        }
        // Between opening and locking another may have put a new file there.
        if fs::metadata(&path).map_err(failed)?.ino() != metadata.ino() {
            return Err(AttachError::Changed(path));
        }
        Ok(Self { path, file, mode: metadata.permissions().mode() })
    }

    fn write_with(&self, bundle: &Bundle, attachment: Attachment, output: &Path) -> Result<(), AttachError> {
        let failed = |source| AttachError::Plan { path: self.path.clone(), source };
        let mut attachments = bundle.attachments().to_vec();
        let old = Plan::of_bundle(bundle, &attachments).map_err(failed)?;
        if attachments.iter().all(|other| other.digest() != attachment.digest()) {
            attachments.push(attachment);
        }
        let new = Plan::of_bundle(bundle, &attachments).map_err(|source| match source {
            PlanError::Limit { what, bound } => {
                AttachError::Attachment { path: self.path.clone(), source: AttachmentError::Limit { what, bound } }
            }
            source => failed(source),
        })?;
        let mut changed = false;
        let written = write_beside(output, self.mode, |file| {
            for member in new.members() {
                file.write_all(&member.header())?;
                let data = match &member.content {
                    Content::Bytes(bytes) => file.write_all(bytes).map(|()| true),
                    Content::Stream(_) => self.copy(member, &old, file),
                };
                if !data? {
                    changed = true;
                    return Err(io::Error::other("a layer of the archive changed"));
                }
                let end = member.data_offset() + member.size;
                file.write_all(&vec![0; usize::try_from(end.next_multiple_of(512) - end).unwrap_or_default()])?;
            }
            file.write_all(&[0; 1024])
        });
        if changed { Err(AttachError::Changed(self.path.clone())) } else { written }
    }

    /// Copies a layer from its old place, and says whether it has the digest that
    /// names it.
    fn copy(&self, member: &PlannedMember, old: &Plan, to: &mut File) -> io::Result<bool> {
        let Some(place) = old.members().iter().find(|other| other.digest == member.digest) else { return Ok(false) };
        let (mut at, end) = (place.data_offset(), place.data_offset() + place.size);
        let mut digester = Digester::new();
        let mut buffer = vec![0; CHUNK];
        while at < end {
            let want = usize::try_from(end - at).unwrap_or(CHUNK).min(CHUNK);
            let got = self.file.read_at(&mut buffer[..want], at)?;
            if got == 0 {
                return Ok(false);
            }
            digester.update(&buffer[..got]);
            to.write_all(&buffer[..got])?;
            at += u64::try_from(got).unwrap_or_default();
        }
        Ok(digester.finish() == member.digest)
    }
}

/// Writes a file beside `output`, which takes its name when it is on the disk.
fn write_beside(output: &Path, mode: u32, write: impl FnOnce(&mut File) -> io::Result<()>) -> Result<(), AttachError> {
    let failed = |source| AttachError::Write { path: output.to_owned(), source };
    // Renaming would replace a device or a pipe by a file.
    if fs::metadata(output).is_ok_and(|metadata| !metadata.is_file()) {
        return Err(failed(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")));
    }
    let folder = match output.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    remove_left_over(folder);
    let mut builder = tempfile::Builder::new();
    builder.prefix(PREFIX).suffix(SUFFIX).permissions(Permissions::from_mode(mode & 0o7777));
    let mut temporary: NamedTempFile = builder.tempfile_in(folder).map_err(|error| failed(io::Error::from(error.kind())))?;
    // An export in this folder removes what nobody locks.
    temporary.as_file().try_lock().map_err(|error| failed(error.into()))?;
    write(temporary.as_file_mut()).and_then(|()| temporary.as_file().sync_all()).map_err(failed)?;
    temporary.persist(output).map_err(|error| failed(error.error))?;
    // The name has to survive a power cut too; not every file system can say so.
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
    Ok(())
}

/// Removes what was being written when its carnet was killed: nobody locks it.
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
