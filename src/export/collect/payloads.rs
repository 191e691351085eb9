//! Configs and evidence payloads: small enough to be held, each fetched once.

use carnet_bundle::{
    Descriptor, Digest,
    inventory::{Absence, AbsenceReason, Role},
    media,
};
use carnet_registry::{Answer, BlobError};
use futures_util::{StreamExt, stream};

use super::{Collector, PARALLEL};
use crate::{error::ExportError, source::Origin};

/// A blob that is wanted in memory, and who may have it.
pub(super) struct Payload {
    descriptor: Descriptor,
    role: Role,
    origins: Vec<Origin>,
}

impl Collector<'_> {
    /// Asks for a config or payload, later.
    pub(super) fn want(&mut self, descriptor: &Descriptor, role: Role, origin: &Origin) {
        let payload = self.payloads.entry(descriptor.digest).or_insert_with(|| Payload {
            descriptor: descriptor.clone(),
            role,
            origins: Vec::new(),
        });
        let known = |have: &Origin| have.reference.name() == origin.reference.name();
        if !payload.origins.iter().any(known) {
            payload.origins.push(origin.clone());
        }
    }

    /// Fetches everything that was asked for.
    pub(super) async fn all_payloads(&mut self) -> Result<(), ExportError> {
        let payloads: Vec<Payload> = std::mem::take(&mut self.payloads).into_values().collect();
        self.progress.step(format_args!("fetching {} configs and payloads", payloads.len()));
        let limit = self.limits.evidence_size;
        // Sizes are declared and held to, so this is known before the first byte.
        let sizes = payloads.iter().map(|payload| payload.descriptor.size).filter(|size| *size <= limit);
        let announced = sizes.fold(self.held, u64::saturating_add);
        self.bound("bytes of manifests and evidence", announced, self.limits.memory)?;
        let mut fetched = stream::iter(payloads)
            .map(|payload| async move {
                let answer = fetch(&payload, limit).await;
                (payload, answer)
            })
            .buffered(PARALLEL);
        while let Some((payload, answer)) = fetched.next().await {
            match answer? {
                Fetched::Bytes(bytes) => self.hold(payload.descriptor.digest, bytes)?,
                Fetched::Absent(reason) => self.absent(&payload, reason),
                Fetched::Gap(obstacle) => {
                    self.gap(format!("blob {}", payload.descriptor.digest), obstacle);
                    self.absent(&payload, AbsenceReason::Unreachable);
                }
            }
        }
        Ok(())
    }

    fn absent(&mut self, payload: &Payload, reason: AbsenceReason) {
        let Descriptor { digest, size, .. } = payload.descriptor;
        self.collection.assembly.absent.push(Absence { digest, size, role: payload.role, reason });
    }
}

enum Fetched {
    Absent(AbsenceReason),
    Bytes(Vec<u8>),
    Gap(carnet_registry::Obstacle),
}

async fn fetch(payload: &Payload, limit: u64) -> Result<Fetched, ExportError> {
    let descriptor = &payload.descriptor;
    // Everybody knows its content, and many sources do not keep it.
    if descriptor.digest == Digest::of(media::EMPTY_JSON) {
        return Ok(Fetched::Bytes(media::EMPTY_JSON.to_vec()));
    }
    if descriptor.size > limit {
        return Ok(Fetched::Absent(AbsenceReason::TooLarge));
    }
    let mut outcome = Fetched::Absent(AbsenceReason::NotInSource);
    for origin in &payload.origins {
        match read(origin, descriptor).await {
            Answer::Found(Ok(bytes)) => return Ok(Fetched::Bytes(bytes)),
            Answer::Found(Err(BlobError::Obstacle(obstacle))) => outcome = Fetched::Gap(obstacle),
            Answer::Found(Err(source)) => return Err(ExportError::Blob { what: origin.reference.name(), source }),
            Answer::None { .. } | Answer::NotOffered { .. } => {}
            Answer::CouldNotLook(obstacle) => outcome = Fetched::Gap(obstacle),
        }
    }
    Ok(outcome)
}

/// Reads a blob; once more when what was kept of it earlier was damaged.
async fn read(origin: &Origin, descriptor: &Descriptor) -> Answer<Result<Vec<u8>, BlobError>> {
    loop {
        let read = match origin.source.blob(&origin.reference, descriptor).await {
            Answer::Found(stream) => stream.read().await,
            other => return other.map(|_| Ok(Vec::new())),
        };
        let is_wrong = matches!(read, Err(BlobError::Digest { .. } | BlobError::Size { .. }));
        if !(is_wrong && origin.source.forget(&descriptor.digest)) {
            return Answer::Found(read);
        }
    }
}
