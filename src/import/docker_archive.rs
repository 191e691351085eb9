//! What `docker load` reads: configs, layers and names, and nothing of what the
//! images are verified by.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    path::Path,
};

use carnet_bundle::{Descriptor, Digest, json, manifest::Manifest};
use serde_json::{Value, json};

use crate::{
    cli::ImportArgs,
    destination,
    error::ImportError,
    files::{Pending, copy, write_error},
    receipt::{How, Receipt, What},
    shipment::{Image, Shipment},
};

/// Writes `docker-archive:FILE`.
pub(crate) fn write(shipment: &Shipment, args: &ImportArgs, path: &Path, receipt: &mut Receipt) -> Result<(), ImportError> {
    let (mut images, mut tags) = (Vec::new(), BTreeMap::new());
    for image in shipment.passed() {
        let (digest, manifest) = one_platform(shipment, args, image)?;
        for tag in names(args, image)? {
            // `docker load` would take the last of them.
            match tags.insert(tag.clone(), digest) {
                Some(one) if one != digest => return Err(ImportError::TagTwice { tag, one, other: digest }),
                _ => {}
            }
        }
        images.push((image, digest, manifest));
    }
    let how = if args.dry_run { How::Planned } else { How::Sent };
    let mut archive = Archive { pending: None, path };
    let mut written = BTreeSet::new();
    if !args.dry_run {
        archive.pending = Some(Pending::new(path, args.force)?);
    }
    let mut entries = Vec::new();
    for (image, _, manifest) in &images {
        let config = manifest.config().ok_or_else(|| ImportError::DockerArchive("an image has no config".to_owned()))?;
        for blob in std::iter::once(config).chain(manifest.layers()).filter(|blob| written.insert(blob.digest)) {
            archive.blob(shipment, blob)?;
            receipt.write(What::Blob, path.display().to_string(), blob.digest, how);
        }
        entries.push(entry(args, image, manifest, config)?);
    }
    archive.bytes("manifest.json", &json::canonical(&Value::Array(entries))?)?;
    archive.finish()?;
    for (image, digest, _) in &images {
        for tag in names(args, image)? {
            receipt.write(What::Tag, tag, *digest, how);
        }
        leave_behind(image, digest, receipt);
    }
    Ok(())
}

/// The image manifest of an image: its own, or that of the one platform.
fn one_platform<'a>(shipment: &'a Shipment, args: &ImportArgs, image: &Image) -> Result<(Digest, &'a Manifest), ImportError> {
    let refused = |reason: String| ImportError::DockerArchive(format!("{}: {reason}", image.subject.reference));
    let held = |digest: &Digest| {
        shipment
            .bundle
            .manifest(digest)
            .map(|manifest| (*digest, manifest))
            .ok_or_else(|| refused(format!("{digest} is not held")))
    };
    let (digest, manifest) = held(&image.subject.digest)?;
    if !manifest.is_index() {
        return complete(shipment, digest, manifest).map_err(refused);
    }
    let wanted = |child: &&Descriptor| {
        let platform = child.platform.as_ref().map(ToString::to_string).unwrap_or_default();
        let covers = |asked: &String| platform == *asked || platform.starts_with(&format!("{asked}/"));
        args.verify.platforms.is_empty() || args.verify.platforms.iter().any(covers)
    };
    let carried = |child: &&Descriptor| !child.is_buildkit_attestation() && shipment.bundle.manifest(&child.digest).is_some();
    let children: Vec<&Descriptor> = manifest.children().iter().filter(carried).filter(wanted).collect();
    match children.as_slice() {
        [child] => {
            let (digest, manifest) = held(&child.digest)?;
            complete(shipment, digest, manifest).map_err(refused)
        }
        _ => Err(refused(format!("it has {} platforms, and a docker archive one", children.len()))),
    }
}

fn complete<'a>(shipment: &Shipment, digest: Digest, manifest: &'a Manifest) -> Result<(Digest, &'a Manifest), String> {
    if manifest.is_index() {
        return Err(format!("{digest} is an index within an index"));
    }
    for layer in manifest.layers() {
        if !shipment.bundle.has(&layer.digest) {
            return Err(format!("the layer {} is not in the archive", layer.digest));
        }
        if layer.media_type.ends_with("zstd") {
            return Err(format!("the layer {} is compressed with zstd, which `docker load` does not read", layer.digest));
        }
    }
    Ok((digest, manifest))
}

fn names(args: &ImportArgs, image: &Image) -> Result<Vec<String>, ImportError> {
    destination::must_be_named(image)?;
    let source = destination::source(image)?;
    Ok(destination::tags(args, None, image, &source).into_iter().map(|tag| format!("{}:{tag}", source.name())).collect())
}

fn entry(args: &ImportArgs, image: &Image, manifest: &Manifest, config: &Descriptor) -> Result<Value, ImportError> {
    let layers: Vec<String> = manifest.layers().iter().map(file_name).collect();
    Ok(json!({ "Config": file_name(config), "RepoTags": names(args, image)?, "Layers": layers }))
}

fn file_name(blob: &Descriptor) -> String {
    let suffix = match blob.media_type.as_str() {
        text if text.contains("config") || text.contains("container.image") => "json",
        text if text.contains("gzip") => "tar.gz",
        _ => "tar",
    };
    format!("{}.{suffix}", blob.digest.to_hex())
}

fn leave_behind(image: &Image, digest: &Digest, receipt: &mut Receipt) {
    let others = image.belongings.manifests.iter().filter(|other| *other != digest);
    for other in others {
        receipt.leave_behind(other.to_string(), "a docker archive holds one platform and no index");
    }
    receipt
        .leave_behind(digest.to_string(), "a docker archive holds no manifest: the image gets another digest when it is loaded");
    for evidence in &image.belongings.evidence {
        receipt.leave_behind(evidence.to_string(), "a docker archive holds no evidence");
    }
}

/// The tar file; without one, nothing is written.
struct Archive<'a> {
    pending: Option<Pending>,
    path: &'a Path,
}

impl Archive<'_> {
    fn blob(&mut self, shipment: &Shipment, blob: &Descriptor) -> Result<(), ImportError> {
        self.head(&file_name(blob), blob.size)?;
        if let Some(pending) = &mut self.pending {
            copy(&shipment.members, blob, pending, self.path)?;
        }
        self.pad(blob.size)
    }

    fn bytes(&mut self, name: &str, bytes: &[u8]) -> Result<(), ImportError> {
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.head(name, size)?;
        self.write(bytes)?;
        self.pad(size)
    }

    fn head(&mut self, name: &str, size: u64) -> Result<(), ImportError> {
        self.write(&carnet_bundle::container::header(name, size))
    }

    fn pad(&mut self, size: u64) -> Result<(), ImportError> {
        let length = usize::try_from(carnet_bundle::container::padding(size)).unwrap_or_default();
        self.write(&vec![0; length])
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), ImportError> {
        let Some(pending) = &mut self.pending else { return Ok(()) };
        pending.write_all(bytes).map_err(|source| write_error(self.path, source))
    }

    fn finish(mut self) -> Result<(), ImportError> {
        self.write(&[0; 1024])?;
        self.pending.map_or(Ok(()), Pending::finish)
    }
}
