//! The record of a policy's questions: asked of registries once, answered for
//! ever (`bundle-spec/policy.md` §6).
//!
//! While the policy runs at export, the [`Recorder`] is the transport under its
//! questions. What was collected for the images themselves answers without being
//! fetched again; everything else is asked of its registry or layout and written
//! down with all bytes, so that the verifier hears the same.
//!
//! An answer is read from the record also when it was heard just now: what the
//! policy sees here is what it will see there.

mod network;
mod parcel;
#[cfg(test)]
mod tests;

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
};

use carnet_bundle::{
    Assembly, Digest, Limits, Lookup, Lookups, Manifest, Reference,
    lookups::{Ask, LookupResult, Places, write_referrers},
    media,
};
use carnet_policy::rego::{Answer, Head, LookupError, ManifestBytes, Question, Referrer};
use carnet_registry::{Answer as Heard, Obstacle, RemoteManifest};
use carnet_verify::replay::{Told, Transport, record};
use tokio::runtime::Handle;

use crate::{
    collect::Gap,
    source::{Origin, Source, Sources},
};

/// The transport of an export: asks, and writes down what was answered.
pub(crate) struct Recorder {
    sources: Arc<Sources>,
    /// Who answers for the repositories of the images themselves.
    origins: BTreeMap<String, Arc<dyn Source>>,
    runtime: Handle,
    places: Places,
    /// What was collected as a manifest.
    manifests: BTreeSet<Digest>,
    limits: Limits,
    state: Mutex<State>,
}

struct State {
    assembly: Assembly,
    lookups: Lookups,
    /// Bytes of answers that were not collected anyway.
    bytes: BTreeMap<Digest, Vec<u8>>,
    held: u64,
    gaps: Vec<Gap>,
}

impl Recorder {
    /// Records on top of what was collected. Requests run on `runtime`, and the
    /// threads that ask wait for them: ask from threads that may block.
    pub(crate) fn new(sources: Arc<Sources>, origins: &[Origin], assembly: Assembly, runtime: Handle) -> Self {
        let manifests = RefCell::new(BTreeSet::new());
        let parse = |digest: &Digest| {
            let bytes = assembly.blobs.get(digest)?;
            let manifest = Manifest::parse(bytes, &media_type(bytes, "")).ok()?;
            manifests.borrow_mut().insert(*digest);
            Some(manifest)
        };
        let places = Places::new(&assembly.subjects, &assembly.evidence, &parse);
        let documents = assembly.documents.iter().chain(&assembly.policy_layers).map(|document| count(&document.bytes));
        let held = assembly.blobs.values().map(|bytes| count(bytes)).chain(documents).sum();
        Self {
            sources,
            origins: origins.iter().map(|origin| (origin.reference.name(), Arc::clone(&origin.source))).collect(),
            runtime,
            places,
            manifests: manifests.into_inner(),
            limits: Limits::default(),
            state: Mutex::new(State { assembly, lookups: Lookups::default(), bytes: BTreeMap::new(), held, gaps: Vec::new() }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn source(&self, question: &Question, reference: &Reference) -> Result<Arc<dyn Source>, LookupError> {
        if let Some(source) = self.origins.get(&reference.name()) {
            return Ok(Arc::clone(source));
        }
        self.sources.elsewhere(reference).map_err(|error| unreachable(question, error.to_string()))
    }

    /// Waits for a request.
    fn hear<T: Send + 'static>(
        &self,
        question: &Question,
        request: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, LookupError> {
        let (sender, receiver) = mpsc::channel();
        self.runtime.spawn(async move {
            // Whoever does not wait any more has given up.
            let _ = sender.send(request.await);
        });
        receiver.recv().map_err(|_| unreachable(question, "the export was interrupted".to_owned()))
    }

    /// Bytes that were collected from the very repository that is asked.
    fn collected(&self, pinned: &Reference, digest: &Digest, as_manifest: bool) -> Option<Vec<u8>> {
        let there = self.places.has(pinned, digest) && self.manifests.contains(digest) == as_manifest;
        self.state().assembly.blobs.get(digest).filter(|_| there).cloned()
    }

    /// Writes an answer down and returns what stands there then.
    fn note(&self, question: &Question, lookup: Lookup, bytes: Option<Vec<u8>>) -> Result<(), LookupError> {
        let mut state = self.state();
        if let (Some(digest), Some(bytes)) = (lookup.digest, bytes)
            && !state.assembly.blobs.contains_key(&digest)
            && !state.bytes.contains_key(&digest)
        {
            let held = state.held.saturating_add(count(&bytes));
            if held > self.limits.memory {
                let reason = format!("what the policy reads exceeds the limit of {} bytes", self.limits.memory);
                return Err(unreachable(question, reason));
            }
            state.held = held;
            state.bytes.insert(digest, bytes);
        }
        state.lookups.insert(lookup);
        Ok(())
    }

    /// Writes down that a question has no answer with content.
    fn note_without(
        &self,
        question: &Question,
        ask: Ask,
        reference: &Reference,
        heard: Heard<std::convert::Infallible>,
    ) -> Result<(), LookupError> {
        let (result, status) = match heard {
            Heard::Found(never) => match never {},
            Heard::None { status } | Heard::NotOffered { status } => (LookupResult::None, status),
            Heard::CouldNotLook(obstacle) => {
                // An answer that was not understood is none.
                let status = obstacle.status.filter(|status| *status >= 400);
                if record::is_out_of_reach(status) {
                    self.gap(question, obstacle);
                }
                (LookupResult::CouldNotLook, status)
            }
        };
        self.note(question, Lookup::without(ask, reference, result, status), None)
    }

    fn gap(&self, question: &Question, obstacle: Obstacle) {
        self.state().gaps.push(Gap { question: format!("{question}, which the policy asks for"), obstacle });
    }

    /// What is on record, read by `read` as the verifier will read it.
    fn on_record<T>(
        &self,
        ask: Ask,
        reference: &Reference,
        read: impl FnOnce(&Lookup, Option<&[u8]>) -> Result<Answer<T>, LookupError>,
    ) -> Option<Result<Told<T>, LookupError>> {
        let state = self.state();
        let lookup = state.lookups.get(ask, reference)?;
        let find = |digest| state.bytes.get(digest).or_else(|| state.assembly.blobs.get(digest));
        let bytes = lookup.digest.as_ref().and_then(find).map(Vec::as_slice);
        Some(read(lookup, bytes).map(Told::proven))
    }

    fn note_manifest(&self, question: &Question, pinned: &Reference, heard: Heard<RemoteManifest>) -> Result<(), LookupError> {
        match split(heard) {
            Ok(manifest) => {
                let media_type = media_type(&manifest.bytes, &manifest.media_type);
                let lookup = Lookup::answered(Ask::Manifest, pinned, manifest.status, Some(media_type), &manifest.bytes);
                self.note(question, lookup, Some(manifest.bytes.to_vec()))
            }
            Err(other) => self.note_without(question, Ask::Manifest, pinned, other),
        }
    }

    fn note_tag(&self, question: &Question, tag: &Reference, heard: Heard<RemoteManifest>) -> Result<(), LookupError> {
        match split(heard) {
            Ok(manifest) => {
                let media_type = media_type(&manifest.bytes, &manifest.media_type);
                let lookup = Lookup::answered(Ask::Resolve, tag, manifest.status, Some(media_type), &manifest.bytes);
                let pinned = tag.pinned(manifest.digest);
                if self.collected(&pinned, &manifest.digest, true).is_none() {
                    self.note_manifest(question, &pinned, Heard::Found(manifest))?;
                }
                self.note(question, lookup, None)
            }
            Err(other) => self.note_without(question, Ask::Resolve, tag, other),
        }
    }

    /// The tag that an image was asked for by was resolved when it was collected.
    fn requested(&self, tag: &Reference) -> Option<Lookup> {
        let name = tag.to_string();
        let state = self.state();
        let subject = state.assembly.subjects.iter().find(|subject| subject.reference == name)?;
        Some(Lookup {
            media_type: Some(subject.media_type.clone()),
            digest: Some(subject.digest),
            size: Some(subject.size),
            ..Lookup::without(Ask::Resolve, tag, LookupResult::Answered, None)
        })
    }
}

impl Transport for Recorder {
    fn resolve(&self, tag: &Reference) -> Result<Told<Head>, LookupError> {
        let question = Question::Head(tag.clone());
        let read = |lookup: &Lookup, _: Option<&[u8]>| record::resolve(lookup, tag);
        if let Some(told) = self.on_record(Ask::Resolve, tag, read) {
            return told;
        }
        match self.requested(tag) {
            Some(lookup) => self.note(&question, lookup, None)?,
            None => {
                let heard = self.hear(&question, network::resolve(self.source(&question, tag)?, tag.clone()))?;
                self.note_tag(&question, tag, heard)?;
            }
        }
        self.on_record(Ask::Resolve, tag, read).unwrap_or_else(|| Err(LookupError::NotRecorded { question: Box::new(question) }))
    }

    fn manifest(&self, pinned: &Reference) -> Result<Told<ManifestBytes>, LookupError> {
        let question = Question::Manifest(pinned.clone());
        let read = |lookup: &Lookup, bytes: Option<&[u8]>| record::manifest(lookup, pinned, bytes);
        if let Some(told) = self.on_record(Ask::Manifest, pinned, read) {
            return told;
        }
        if let Some(bytes) = pinned.digest().and_then(|digest| self.collected(pinned, digest, true)) {
            return Ok(Told::proven(Answer::Found(ManifestBytes { media_type: media_type(&bytes, ""), bytes })));
        }
        let heard = self.hear(&question, network::manifest(self.source(&question, pinned)?, pinned.clone()))?;
        self.note_manifest(&question, pinned, heard)?;
        self.on_record(Ask::Manifest, pinned, read)
            .unwrap_or_else(|| Err(LookupError::NotRecorded { question: Box::new(question) }))
    }

    fn blob(&self, pinned: &Reference) -> Result<Told<Vec<u8>>, LookupError> {
        let question = Question::Blob(pinned.clone());
        let not_recorded = || LookupError::NotRecorded { question: Box::new(question.clone()) };
        let digest = pinned.digest().ok_or_else(not_recorded)?;
        let read = |lookup: &Lookup, bytes: Option<&[u8]>| record::blob(lookup, pinned, bytes);
        if let Some(told) = self.on_record(Ask::Blob, pinned, read) {
            return told;
        }
        if let Some(bytes) = self.collected(pinned, digest, false) {
            return Ok(Told::proven(Answer::Found(bytes)));
        }
        let request = network::blob(self.source(&question, pinned)?, pinned.clone(), *digest, self.limits.evidence_size);
        match split(self.hear(&question, request)?) {
            Ok(bytes) => self.note(&question, Lookup::answered(Ask::Blob, pinned, None, None, &bytes), Some(bytes))?,
            Err(other) => self.note_without(&question, Ask::Blob, pinned, other)?,
        }
        self.on_record(Ask::Blob, pinned, read).unwrap_or_else(|| Err(not_recorded()))
    }

    fn referrers(&self, pinned: &Reference) -> Result<Told<Vec<Referrer>>, LookupError> {
        let question = Question::Referrers(pinned.clone());
        let not_recorded = || LookupError::NotRecorded { question: Box::new(question.clone()) };
        let digest = pinned.digest().ok_or_else(not_recorded)?;
        let read = |lookup: &Lookup, bytes: Option<&[u8]>| record::referrers(lookup, pinned, bytes);
        if let Some(told) = self.on_record(Ask::Referrers, pinned, read) {
            return told;
        }
        let request = network::referrers(self.source(&question, pinned)?, pinned.clone(), *digest);
        match split(self.hear(&question, request)?) {
            Ok((listed, status)) => {
                let bytes = write_referrers(&listed).map_err(|error| unreachable(&question, error.to_string()))?;
                self.note(&question, Lookup::answered(Ask::Referrers, pinned, status, None, &bytes), Some(bytes))?;
            }
            Err(other) => self.note_without(&question, Ask::Referrers, pinned, other)?,
        }
        self.on_record(Ask::Referrers, pinned, read).unwrap_or_else(|| Err(not_recorded()))
    }
}

/// What was found, or the answer without it.
fn split<T>(heard: Heard<T>) -> Result<T, Heard<std::convert::Infallible>> {
    match heard {
        Heard::Found(value) => Ok(value),
        Heard::None { status } => Err(Heard::None { status }),
        Heard::NotOffered { status } => Err(Heard::NotOffered { status }),
        Heard::CouldNotLook(obstacle) => Err(Heard::CouldNotLook(obstacle)),
    }
}

/// The document's own type, else what the registry called it, else its shape: OCI
/// manifests need not name their type, and some registries say `application/json`.
fn media_type(bytes: &[u8], called: &str) -> String {
    let document = carnet_bundle::json::parse(bytes).unwrap_or_default();
    let shape = if document.get("manifests").is_some() { media::OCI_INDEX } else { media::OCI_MANIFEST };
    match document.get("mediaType").and_then(serde_json::Value::as_str) {
        Some(own) => own.to_owned(),
        None if media::is_manifest(called) && media::is_index(called) == media::is_index(shape) => called.to_owned(),
        None => shape.to_owned(),
    }
}

fn unreachable(question: &Question, reason: String) -> LookupError {
    LookupError::Unreachable { question: Box::new(question.clone()), reason }
}

fn count(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}
