//! A TUF chain that is to travel (`carnet export --tuf-chain`): what `carnet trust
//! fetch` kept, a mirror, or the cache of another client.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use carnet_bundle::{Document, Limits, media};
use carnet_evidence::{
    trust_policy::TufVersions,
    tuf::{self, Repository},
};

use crate::{documents, error::ExportError};

/// Where a folder may hold earlier roots, and targets.
const HISTORY: &str = "root_history";
const TARGETS: &str = "targets";

/// Reads the folder and makes the documents of it: the metadata under its names in a
/// repository, and the trusted root that it delivers, unless `given` has it already.
///
/// The chain is followed here too, from its oldest root, so that no archive is written
/// whose chain leads nowhere. What has expired does not matter yet.
pub(crate) fn read(folder: &Path, given: &[&[u8]]) -> Result<Vec<Document>, ExportError> {
    let material = |reason: String| ExportError::TrustMaterial { path: folder.to_owned(), reason };
    let metadata = files(folder, &["", HISTORY], is_metadata)?;
    let targets = files(folder, &["", TARGETS], |name| name.ends_with(tuf::TARGET))?;
    let mut repository = Repository::default();
    let mut named = Vec::new();
    for bytes in &metadata {
        let name = repository.add_metadata(bytes).map_err(|error| material(error.to_string()))?;
        // A mirror serves its newest root under two names.
        if named.iter().all(|(other, _)| *other != name) {
            named.push((name, bytes));
        }
    }
    given.iter().copied().chain(targets.iter().map(Vec::as_slice)).for_each(|bytes| repository.add_target(bytes));
    let oldest = repository.oldest_root().ok_or_else(|| material("no TUF root.json is in it".to_owned()))?;
    let (chain, target) = repository.deliver(oldest, &TufVersions::default()).map_err(|error| material(error.to_string()))?;
    // Of the other roles a mirror may hold many versions; those at the end will do.
    let ends: Vec<_> = chain.links().iter().map(tuf::Link::name).collect();
    named.retain(|(name, _)| name.ends_with("root.json") || ends.contains(name));
    let documents = named.into_iter().map(|(name, bytes)| Document {
        media_type: tuf::MEDIA_TYPE.to_owned(),
        title: format!("tuf/{name}"),
        bytes: bytes.clone(),
    });
    let delivered = (!given.contains(&target)).then(|| Document {
        media_type: media::TRUSTED_ROOT.to_owned(),
        title: documents::numbered("trusted_root", given.len(), "json"),
        bytes: target.to_vec(),
    });
    Ok(delivered.into_iter().chain(documents).collect())
}

/// `root.json`, `3.root.json` and their likes. Delegated roles, such as npm's, do not
/// travel.
fn is_metadata(name: &str) -> bool {
    let role = match name.split_once('.') {
        Some((version, role)) if version.bytes().all(|byte| byte.is_ascii_digit()) => role,
        _ => name,
    };
    ["root.json", "snapshot.json", "targets.json", "timestamp.json"].contains(&role)
}

/// The files of some folders below `folder`, by name; a folder that is not there has
/// none.
fn files(folder: &Path, below: &[&str], wanted: impl Fn(&str) -> bool) -> Result<Vec<Vec<u8>>, ExportError> {
    let mut paths: Vec<PathBuf> = Vec::new();
    for name in below {
        let place = folder.join(name);
        let unreadable = |source| ExportError::Document { path: place.clone(), source };
        let entries = match fs::read_dir(&place) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !name.is_empty() => continue,
            entries => entries.map_err(unreadable)?,
        };
        for entry in entries {
            let path = entry.map_err(unreadable)?.path();
            if path.file_name().and_then(|name| name.to_str()).is_some_and(&wanted) && path.is_file() {
                paths.push(path);
            }
        }
    }
    paths.sort();
    paths.iter().map(|path| documents::read_up_to(path, Limits::default().manifest_size)).collect()
}
