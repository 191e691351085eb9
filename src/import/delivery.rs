//! Writes to a registry: blobs, children, index, evidence, legacy tags, fallback
//! tags; then all of it is read back; then the tags of images.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
    sync::PoisonError,
};

use bytes::Bytes;
use carnet_bundle::{Descriptor, Digest, Reference};
use carnet_registry::{Answer, Options, Placed, PushError, Pusher, Upload};
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::{
    cli::ImportArgs,
    destination::Delivery,
    error::ImportError,
    fallback,
    receipt::{How, Receipt, What},
    shipment::Shipment,
    vsa::Signed,
};

/// Manifests that are looked for or read back at the same time.
const AT_ONCE: usize = 16;

/// Writes every delivery, and the tags of images when all of them are there.
pub(crate) async fn deliver(
    shipment: &Shipment,
    args: &ImportArgs,
    options: Options,
    deliveries: Vec<Delivery>,
    signed: &[Signed],
    receipt: &mut Receipt,
) -> Result<(), ImportError> {
    let parallel = options.requests_per_host.max(1);
    let pusher = Pusher::new(options)?;
    let mut writer = Writer { shipment, args, pusher: &pusher, parallel, held_by: BTreeMap::new(), receipt };
    for delivery in &deliveries {
        writer.tags_are_free(&delivery.repository, &delivery.all.tags).await?;
        writer.tags_are_free(&delivery.repository, &delivery.tags).await?;
        writer.nothing_is_missing(delivery).await?;
    }
    for delivery in &deliveries {
        writer.content(delivery, signed).await?;
    }
    for delivery in &deliveries {
        writer.tag(&delivery.repository, &delivery.tags, What::Tag).await?;
    }
    Ok(())
}

pub(crate) struct Writer<'a> {
    shipment: &'a Shipment,
    args: &'a ImportArgs,
    pub(crate) pusher: &'a Pusher,
    parallel: usize,
    /// Where blobs are already, by registry and digest: they can be mounted.
    held_by: BTreeMap<(String, Digest), String>,
    pub(crate) receipt: &'a mut Receipt,
}

impl Writer<'_> {
    /// A tag that stands for something else is left alone, unless it is to be moved.
    async fn tags_are_free(&self, repository: &Reference, tags: &BTreeMap<String, Digest>) -> Result<(), ImportError> {
        for (tag, want) in tags {
            let reference = repository.tagged(tag);
            match self.pusher.registry().manifest(&reference).await {
                Answer::Found(manifest) if manifest.digest != *want && !self.args.force => {
                    return Err(ImportError::TagTaken { tag: reference.to_string(), got: manifest.digest, want: *want });
                }
                Answer::Found(_) | Answer::None { .. } | Answer::NotOffered { .. } => {}
                Answer::CouldNotLook(obstacle) => return Err(ImportError::Look { what: reference.to_string(), obstacle }),
            }
        }
        Ok(())
    }

    /// What the archive does not hold has to be at the target.
    async fn nothing_is_missing(&self, delivery: &Delivery) -> Result<(), ImportError> {
        for absent in &delivery.all.absent {
            let digest = absent.descriptor.digest;
            let answer = match absent.is_manifest {
                true => self.pusher.has_manifest(&delivery.repository, &digest).await,
                false => self.pusher.has_blob(&delivery.repository, &digest).await,
            };
            if !found(answer, &digest)? {
                return Err(ImportError::Absent { digest, owner: absent.owner, target: delivery.repository.name() });
            }
        }
        Ok(())
    }

    /// Everything but the tags of images.
    async fn content(&mut self, delivery: &Delivery, signed: &[Signed]) -> Result<(), ImportError> {
        let repository = &delivery.repository;
        self.blobs(repository, &delivery.all.blobs).await?;
        self.manifests(repository, &delivery.all.manifests, What::Manifest).await?;
        self.manifests(repository, &delivery.all.evidence, What::Evidence).await?;
        let images: BTreeSet<&Digest> = delivery.all.manifests.iter().collect();
        let signed: Vec<&Signed> = signed.iter().filter(|signed| images.contains(&signed.subject)).collect();
        for summary in &signed {
            self.summary(repository, summary).await?;
        }
        self.tag(repository, &delivery.all.tags, What::LegacyTag).await?;
        let listed: BTreeSet<&Digest> = images.into_iter().chain(&delivery.all.evidence).collect();
        for list in fallback::lists(&self.shipment.bundle, &listed, &signed)? {
            fallback::maintain(self, repository, &list).await?;
        }
        if self.args.dry_run { Ok(()) } else { self.read_back(delivery).await }
    }

    async fn blobs(&mut self, repository: &Reference, blobs: &[Descriptor]) -> Result<(), ImportError> {
        let done: Mutex<Vec<(Digest, How)>> = Mutex::default();
        let this = &*self;
        let outcome = stream::iter(blobs)
            .map(Ok::<_, ImportError>)
            .try_for_each_concurrent(this.parallel, |blob| {
                let done = &done;
                async move {
                    let how = this.blob(repository, blob).await?;
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((blob.digest, how));
                    Ok(())
                }
            })
            .await;
        let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        done.sort_unstable_by_key(|(digest, _)| *digest);
        for (digest, how) in done {
            self.receipt.write(What::Blob, repository.name(), digest, how);
            self.held_by.insert((repository.registry().to_owned(), digest), repository.repository().to_owned());
        }
        outcome
    }

    async fn blob(&self, repository: &Reference, blob: &Descriptor) -> Result<How, ImportError> {
        if found(self.pusher.has_blob(repository, &blob.digest).await, &blob.digest)? {
            return Ok(How::Present);
        }
        if self.args.dry_run {
            return Ok(How::Planned);
        }
        let open = || self.shipment.members.chunks(&blob.digest);
        let mount = self.held_by.get(&(repository.registry().to_owned(), blob.digest)).map(String::as_str);
        let upload = Upload { descriptor: blob, open: &open, mount: mount.filter(|from| *from != repository.repository()) };
        match self.pusher.push_blob(repository, &upload).await {
            Ok(Placed::Mounted) => Ok(How::Mounted),
            Ok(Placed::Sent) => Ok(How::Sent),
            Err(source) => Err(ImportError::Write { what: repository.pinned(blob.digest).to_string(), source }),
        }
    }

    /// In their order: a registry may refuse what names something that it lacks.
    async fn manifests(&mut self, repository: &Reference, digests: &[Digest], what: What) -> Result<(), ImportError> {
        let this = &*self;
        let present: BTreeSet<Digest> = stream::iter(digests)
            .map(|digest| async move {
                found(this.pusher.has_manifest(repository, digest).await, digest).map(|found| found.then_some(*digest))
            })
            .buffer_unordered(AT_ONCE)
            .try_filter_map(|digest| async move { Ok(digest) })
            .try_collect()
            .await?;
        for digest in digests {
            let how = match (present.contains(digest), self.args.dry_run) {
                (true, _) => How::Present,
                (false, true) => How::Planned,
                (false, false) => {
                    self.put(&repository.pinned(*digest), digest).await?;
                    How::Sent
                }
            };
            self.receipt.write(what, repository.name(), *digest, how);
        }
        Ok(())
    }

    async fn summary(&mut self, repository: &Reference, signed: &Signed) -> Result<(), ImportError> {
        let how = if self.args.dry_run { How::Planned } else { How::Sent };
        if !self.args.dry_run {
            for (descriptor, bytes) in signed.blobs() {
                let open = || stream::iter([Ok(Bytes::copy_from_slice(bytes))]).boxed();
                let upload = Upload { descriptor: &descriptor, open: &open, mount: None };
                let pushed = self.pusher.push_blob(repository, &upload).await;
                pushed.map_err(|source| ImportError::Write { what: repository.pinned(descriptor.digest).to_string(), source })?;
            }
            let reference = repository.pinned(signed.digest);
            self.put_bytes(&reference, carnet_bundle::media::OCI_MANIFEST, signed.manifest.clone()).await?;
        }
        self.receipt.write(What::Summary, repository.name(), signed.digest, how);
        Ok(())
    }

    async fn tag(&mut self, repository: &Reference, tags: &BTreeMap<String, Digest>, what: What) -> Result<(), ImportError> {
        for (tag, digest) in tags {
            let reference = repository.tagged(tag);
            let how = match self.stands_for(&reference).await? {
                Some(got) if got == *digest => How::Present,
                // Somebody else has moved it since.
                Some(got) if !self.args.force => {
                    return Err(ImportError::TagTaken { tag: reference.to_string(), got, want: *digest });
                }
                _ if self.args.dry_run => How::Planned,
                _ => {
                    self.put(&reference, digest).await?;
                    let got = self.stands_for(&reference).await?;
                    if got != Some(*digest) {
                        let got = got.map_or_else(|| "nothing".to_owned(), |got| got.to_string());
                        return Err(ImportError::Recheck(format!("{reference} stands for {got}, want {digest}")));
                    }
                    How::Sent
                }
            };
            self.receipt.write(what, reference.to_string(), *digest, how);
        }
        Ok(())
    }

    async fn stands_for(&self, reference: &Reference) -> Result<Option<Digest>, ImportError> {
        match self.pusher.registry().manifest(reference).await {
            Answer::Found(manifest) => Ok(Some(manifest.digest)),
            Answer::None { .. } | Answer::NotOffered { .. } => Ok(None),
            Answer::CouldNotLook(obstacle) => Err(ImportError::Look { what: reference.to_string(), obstacle }),
        }
    }

    /// Writes a manifest of the archive, with the bytes that were hashed.
    async fn put(&self, reference: &Reference, digest: &Digest) -> Result<(), ImportError> {
        let bundle = &self.shipment.bundle;
        let held = bundle.manifest(digest).zip(bundle.blob(digest));
        let (manifest, bytes) = held.ok_or_else(|| ImportError::Changed(format!("{digest} is not held")))?;
        self.put_bytes(reference, &manifest.media_type, Bytes::copy_from_slice(bytes)).await
    }

    pub(crate) async fn put_bytes(&self, reference: &Reference, media_type: &str, bytes: Bytes) -> Result<(), ImportError> {
        let pushed = self.pusher.push_manifest(reference, media_type, bytes).await;
        pushed.map(drop).map_err(|source: PushError| ImportError::Write { what: reference.to_string(), source })
    }

    pub(crate) fn is_dry(&self) -> bool {
        self.args.dry_run
    }

    /// Reads every manifest back by its digest and asks for every blob.
    async fn read_back(&self, delivery: &Delivery) -> Result<(), ImportError> {
        let repository = &delivery.repository;
        let manifests = delivery.all.manifests.iter().chain(&delivery.all.evidence);
        stream::iter(manifests.map(Ok))
            .try_for_each_concurrent(AT_ONCE, |digest| async move {
                match self.stands_for(&repository.pinned(*digest)).await? {
                    Some(_) => Ok(()),
                    None => Err(ImportError::Recheck(format!("{} is not there", repository.pinned(*digest)))),
                }
            })
            .await?;
        stream::iter(delivery.all.blobs.iter().map(Ok))
            .try_for_each_concurrent(AT_ONCE, |blob| async move {
                match found(self.pusher.has_blob(repository, &blob.digest).await, &blob.digest)? {
                    true => Ok(()),
                    false => Err(ImportError::Recheck(format!("{} is not there", repository.pinned(blob.digest)))),
                }
            })
            .await
    }
}

fn found(answer: Answer<()>, digest: &Digest) -> Result<bool, ImportError> {
    match answer {
        Answer::Found(()) => Ok(true),
        Answer::None { .. } | Answer::NotOffered { .. } => Ok(false),
        Answer::CouldNotLook(obstacle) => Err(ImportError::Look { what: digest.to_string(), obstacle }),
    }
}
