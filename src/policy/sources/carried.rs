//! Carried content, hashed up to what it is fixed to.

use std::sync::Arc;

use carnet_bundle::{Bundle, Code, Digest, Finding, media};

use super::{
    Carried, Location, LockedContent, LockedSource, SourceFile, SourceUrl,
    artifact::{self, ArtifactError},
    codes,
    objects::{self, ObjectsError},
    tree::TreeError,
};

impl Carried for Bundle {
    fn lock(&self) -> Option<&[u8]> {
        self.documents().find(|document| document.media_type == media::POLICY_LOCK).map(|document| document.bytes)
    }

    fn layer(&self, digest: &Digest) -> Option<&[u8]> {
        let layer = self.policy_documents().find(|layer| layer.digest == *digest)?;
        self.has(digest).then_some(layer.bytes)
    }
}

/// Reads the files that `entry` names for `url` from the archive.
pub(super) fn files(url: &SourceUrl, entry: &LockedSource, carried: &dyn Carried) -> Result<Vec<SourceFile>, Finding> {
    match (&entry.content, url.location()) {
        (LockedContent::Git { commit, path, content }, Location::Git(git)) if *path == git.path => {
            let bytes = layer(url, content, carried)?;
            objects::read(bytes, *commit, path)
                .map_err(|error| Finding::new(code(&error), url, format!("{url} at commit {commit}: {error}")))
        }
        (LockedContent::Oci { manifest, .. }, Location::Oci { .. }) => {
            let bytes = layer(url, manifest, carried)?;
            artifact::read(bytes, |digest| carried.layer(digest))
                .map_err(|error| Finding::new(artifact_code(&error), url, format!("{url} at {manifest}: {error}")))
        }
        (LockedContent::Https { content }, Location::Https { name, .. }) => {
            let bytes = layer(url, content, carried)?;
            Ok(vec![SourceFile { path: name.clone(), bytes: Arc::from(bytes) }])
        }
        _ => {
            let message = format!("{url}: the policy lock names content of another kind or directory for it");
            Err(Finding::new(&codes::SOURCE_MALFORMED, url, message))
        }
    }
}

fn layer<'c>(url: &SourceUrl, digest: &Digest, carried: &'c dyn Carried) -> Result<&'c [u8], Finding> {
    let missing = || Finding::new(&codes::SOURCE_NOT_CARRIED, url, format!("{url}: the archive does not hold {digest}"));
    carried.layer(digest).ok_or_else(missing)
}

fn code(error: &ObjectsError) -> &'static Code {
    match error {
        ObjectsError::Collision { .. } => &codes::SOURCE_COLLISION,
        ObjectsError::Commit { .. } => &codes::SOURCE_PIN_MISMATCH,
        ObjectsError::Missing { .. } => &codes::SOURCE_OBJECT_MISSING,
        ObjectsError::Replaced { .. } => &codes::SOURCE_OBJECT_REPLACED,
        ObjectsError::Tree(TreeError::TooLarge { .. }) => &codes::SOURCE_TOO_LARGE,
        ObjectsError::Tree(TreeError::Unsafe { .. }) => &codes::SOURCE_UNSAFE_TREE,
        ObjectsError::Grammar { .. } | ObjectsError::Order { .. } | ObjectsError::Tree(_) | ObjectsError::Unreached(_) => {
            &codes::SOURCE_MALFORMED
        }
    }
}

fn artifact_code(error: &ArtifactError) -> &'static Code {
    match error {
        ArtifactError::Missing { .. } => &codes::SOURCE_OBJECT_MISSING,
        ArtifactError::Duplicate(_) | ArtifactError::Title { .. } => &codes::SOURCE_UNSAFE_TREE,
        _ => &codes::SOURCE_MALFORMED,
    }
}
