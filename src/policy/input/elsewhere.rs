//! What rules see of an image and the bundle's tree does not hold: its parent, and
//! files of its layers. A registry answers, as for the questions of rules.

use carnet_bundle::{Manifest, Reference};

use super::{
    config,
    image::{Gap, ImageFacts, linux_amd64},
};
use crate::rego::{Answer, LookupError, Registry, files_below};

impl ImageFacts {
    /// Fills the gaps that answers of `registry` can fill. What nothing is known
    /// about stays a gap; what is answered not to be there is none.
    ///
    /// # Errors
    ///
    /// Returns [`LookupError::Tampered`] when an answer is belied by its bytes.
    pub fn complete(&mut self, image: &Reference, registry: &dyn Registry) -> Result<(), LookupError> {
        for gap in std::mem::take(&mut self.gaps) {
            let filled = match &gap {
                Gap::ParentNotCarried { reference } => self.ask_parent(reference, registry),
                Gap::FilesNotRead { of, directory } => self.ask_files(&image.pinned(*of), directory, registry),
                _ => Ok(false),
            };
            match filled {
                Ok(true) => {}
                Err(error @ LookupError::Tampered { .. }) => return Err(error),
                Ok(false) | Err(_) => self.gaps.push(gap),
            }
        }
        Ok(())
    }

    fn ask_parent(&mut self, reference: &str, registry: &dyn Registry) -> Result<bool, LookupError> {
        let Ok(reference) = reference.parse::<Reference>() else { return Ok(false) };
        let Some(manifest) = manifest(&reference, registry)? else { return Ok(true) };
        let manifest = match linux_amd64(&manifest) {
            Some(child) => self::manifest(&reference.pinned(child), registry)?,
            None => Some(manifest),
        };
        let Some(config) = manifest.as_ref().and_then(Manifest::config) else { return Ok(true) };
        let Answer::Found(bytes) = registry.blob(&reference.pinned(config.digest))? else { return Ok(true) };
        let read = config::read(&bytes);
        if let (Some(parent), Ok(config)) = (&mut self.parent, read) {
            parent.config = Some(config);
            return Ok(true);
        }
        Ok(false)
    }

    fn ask_files(&mut self, image: &Reference, directory: &str, registry: &dyn Registry) -> Result<bool, LookupError> {
        let Some(manifest) = manifest(image, registry)? else { return Ok(false) };
        let mut layers = Vec::new();
        for layer in manifest.layers() {
            let Answer::Found(bytes) = registry.blob(&image.pinned(layer.digest))? else { return Ok(false) };
            layers.push(bytes);
        }
        let Some(files) = files_below(directory, image, &layers) else { return Ok(false) };
        self.files.extend(files);
        Ok(true)
    }
}

/// The manifest under a digest; `None` when there is none to be had.
fn manifest(pinned: &Reference, registry: &dyn Registry) -> Result<Option<Manifest>, LookupError> {
    match registry.manifest(pinned)? {
        Answer::Found(found) => Ok(Manifest::parse(&found.bytes, &found.media_type).ok()),
        Answer::NotFound | Answer::Refused(_) => Ok(None),
    }
}
