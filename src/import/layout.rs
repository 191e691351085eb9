//! OCI layouts, as a directory or a tar: images with their evidence, without the
//! bundle around them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::Write,
    path::Path,
};

use carnet_bundle::{
    Descriptor, Digest,
    container::{INDEX_MEMBER, LAYOUT_MEMBER, blob_name, header, padding},
    derive::{self, OCI_LAYOUT},
    json, media,
};
use serde_json::{Value, json};

use crate::{
    belongings::Belongings,
    cli::ImportArgs,
    destination,
    error::ImportError,
    files::{Pending, PendingDirectory, copy, write_error},
    receipt::{How, Receipt, What},
    shipment::Shipment,
};

/// Writes `oci:DIR`.
pub(crate) fn write_directory(
    shipment: &Shipment,
    args: &ImportArgs,
    path: &Path,
    receipt: &mut Receipt,
) -> Result<(), ImportError> {
    let content = Content::of(shipment, args)?;
    if args.dry_run {
        return content.note(shipment, path, How::Planned, receipt);
    }
    let pending = PendingDirectory::new(path, args.force)?;
    let root = pending.path();
    let error = |source| write_error(path, source);
    fs::create_dir_all(root.join("blobs/sha256")).map_err(error)?;
    for (name, bytes) in content.documents(shipment)? {
        fs::write(root.join(name), bytes).map_err(error)?;
    }
    for blob in &content.all.blobs {
        let mut file = File::create(root.join(blob_name(&blob.digest))).map_err(error)?;
        copy(&shipment.members, blob, &mut file, path)?;
    }
    pending.finish()?;
    content.note(shipment, path, How::Sent, receipt)
}

/// Writes `oci-archive:FILE`, its members in the order of their names, `oci-layout`
/// and `index.json` first.
pub(crate) fn write_archive(
    shipment: &Shipment,
    args: &ImportArgs,
    path: &Path,
    receipt: &mut Receipt,
) -> Result<(), ImportError> {
    let content = Content::of(shipment, args)?;
    if args.dry_run {
        return content.note(shipment, path, How::Planned, receipt);
    }
    let mut pending = Pending::new(path, args.force)?;
    let zeros = |length: u64| vec![0; usize::try_from(length).unwrap_or_default()];
    let error = |source| write_error(path, source);
    for (name, bytes) in content.documents(shipment)? {
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        for part in [&header(&name, size)[..], &bytes, &zeros(padding(size))] {
            pending.write_all(part).map_err(error)?;
        }
    }
    let blobs: BTreeMap<Digest, &Descriptor> = content.all.blobs.iter().map(|blob| (blob.digest, blob)).collect();
    for blob in blobs.values() {
        pending.write_all(&header(&blob_name(&blob.digest), blob.size)).map_err(error)?;
        copy(&shipment.members, blob, &mut pending, path)?;
        pending.write_all(&zeros(padding(blob.size))).map_err(error)?;
    }
    pending.write_all(&[0; 1024]).map_err(error)?;
    pending.finish()?;
    content.note(shipment, path, How::Sent, receipt)
}

/// What goes into a layout.
struct Content {
    all: Belongings,
    names: Vec<(String, Digest)>,
    fallback: Vec<derive::FallbackIndex>,
}

impl Content {
    fn of(shipment: &Shipment, args: &ImportArgs) -> Result<Self, ImportError> {
        let mut content = Self { all: Belongings::default(), names: Vec::new(), fallback: Vec::new() };
        let sources: BTreeSet<String> =
            shipment.passed().map(|image| Ok(destination::source(image)?.name())).collect::<Result<_, ImportError>>()?;
        let mut taken: BTreeMap<String, Digest> = BTreeMap::new();
        for image in shipment.passed() {
            let source = destination::source(image)?;
            if sources.len() > 1 {
                destination::must_be_named(image)?;
            }
            for tag in destination::tags(args, None, image, &source) {
                // One repository is told by its tags, several by full names.
                let name = if sources.len() == 1 { tag } else { format!("{}:{tag}", source.name()) };
                let one = *taken.entry(name.clone()).or_insert(image.subject.digest);
                if one != image.subject.digest {
                    return Err(ImportError::TagTwice { tag: name, one, other: image.subject.digest });
                }
            }
            if destination::tags(args, None, image, &source).is_empty() {
                taken.insert(image.subject.digest.to_hex(), image.subject.digest);
            }
            content.all.merge(image.belongings.clone());
        }
        content.names = taken.into_iter().collect();
        let listed: BTreeSet<&Digest> = content.all.manifests.iter().chain(&content.all.evidence).collect();
        let all = derive::fallback_indexes(shipment.bundle.tree())?;
        content.fallback = all.into_iter().filter(|index| listed.contains(&index.subject)).collect();
        Ok(content)
    }

    /// Everything but the blobs, by name.
    fn documents(&self, shipment: &Shipment) -> Result<Vec<(String, Vec<u8>)>, ImportError> {
        let mut documents =
            vec![(LAYOUT_MEMBER.to_owned(), OCI_LAYOUT.to_vec()), (INDEX_MEMBER.to_owned(), self.index(shipment)?)];
        let blobs: BTreeSet<&Digest> = self.all.blobs.iter().map(|blob| &blob.digest).collect();
        for digest in self.all.manifests.iter().chain(&self.all.evidence).filter(|digest| !blobs.contains(digest)) {
            let bytes = shipment.bundle.blob(digest).ok_or_else(|| ImportError::Changed(format!("{digest} is not held")))?;
            documents.push((blob_name(digest), bytes.to_vec()));
        }
        documents.extend(self.fallback.iter().map(|index| (blob_name(&index.digest), index.bytes.clone())));
        documents[2..].sort();
        documents.dedup();
        Ok(documents)
    }

    fn index(&self, shipment: &Shipment) -> Result<Vec<u8>, ImportError> {
        let entry = |digest: &Digest, name: Option<&str>| {
            let media_type = shipment.bundle.manifest(digest).map_or(media::OCI_MANIFEST, |manifest| &manifest.media_type);
            let mut entry =
                json!({ "mediaType": media_type, "digest": digest, "size": shipment.bundle.tree().manifest_size(digest) });
            if let Some(name) = name {
                entry["annotations"] = json!({ media::REF_NAME: name });
            }
            entry
        };
        let mut manifests: Vec<Value> = self.names.iter().map(|(name, digest)| entry(digest, Some(name))).collect();
        manifests.extend(self.all.tags.iter().map(|(tag, digest)| entry(digest, Some(tag))));
        let tagged: BTreeSet<&Digest> = self.all.tags.values().collect();
        manifests.extend(self.all.evidence.iter().filter(|digest| !tagged.contains(digest)).map(|digest| entry(digest, None)));
        manifests.extend(self.fallback.iter().map(|index| {
            json!({
                "mediaType": media::OCI_INDEX,
                "digest": index.digest,
                "size": index.bytes.len(),
                "annotations": { media::REF_NAME: format!("sha256-{}", index.subject.to_hex()) },
            })
        }));
        Ok(json::canonical(&json!({ "schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": manifests }))?)
    }

    fn note(&self, _shipment: &Shipment, path: &Path, how: How, receipt: &mut Receipt) -> Result<(), ImportError> {
        let place = path.display().to_string();
        self.all.blobs.iter().for_each(|blob| receipt.write(What::Blob, &place, blob.digest, how));
        self.all.manifests.iter().for_each(|digest| receipt.write(What::Manifest, &place, *digest, how));
        self.all.evidence.iter().for_each(|digest| receipt.write(What::Evidence, &place, *digest, how));
        for (tag, digest) in &self.all.tags {
            receipt.write(What::LegacyTag, format!("{place}:{tag}"), *digest, how);
        }
        for index in &self.fallback {
            receipt.write(What::FallbackTag, format!("{place}:sha256-{}", index.subject.to_hex()), index.digest, how);
        }
        for (name, digest) in &self.names {
            receipt.write(What::Tag, format!("{place}:{name}"), *digest, how);
        }
        for absent in &self.all.absent {
            receipt.leave_behind(absent.descriptor.digest.to_string(), "it is not in the archive");
        }
        Ok(())
    }
}
