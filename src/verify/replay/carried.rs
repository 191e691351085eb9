//! The transport of the verifier: the bundle, and nothing else.

use std::sync::Arc;

use carnet_bundle::{
    Bundle, Digest, Lookup, Lookups, LookupsError, Reference,
    inventory::{EvidenceEntry, Method, Place, Subject},
    lookups::{Ask, LookupResult, Places},
    media,
};
use carnet_policy::rego::{Answer, Head, LookupError, ManifestBytes, Referrer};

use super::{
    inquiry::{Assumed, Told, Transport},
    record,
};

/// Answers from the lookups document of a bundle and the bytes that the bundle
/// holds.
#[derive(Debug)]
pub struct Carried {
    bundle: Arc<Bundle>,
    lookups: Lookups,
    places: Places,
}

/// Why the recorded lookups of a bundle cannot be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CarriedError {
    /// The document cannot be read.
    #[error(transparent)]
    Lookups(#[from] LookupsError),
    /// Two documents: two readers could take two.
    #[error("the bundle carries {0} documents of recorded lookups, want at most one")]
    Several(usize),
}

impl Carried {
    /// Takes the recorded lookups of `bundle`; without any, only what the bundle
    /// holds by digest has an answer.
    ///
    /// # Errors
    ///
    /// Returns a [`CarriedError`] when the document is not the one form that
    /// exporters write.
    pub fn new(bundle: Arc<Bundle>) -> Result<Self, CarriedError> {
        let documents: Vec<_> = bundle.documents().filter(|document| document.media_type == media::LOOKUPS).collect();
        let lookups = match documents.as_slice() {
            [] => Lookups::default(),
            [one] => Lookups::read(one.bytes)?,
            several => return Err(CarriedError::Several(several.len())),
        };
        let inventory = bundle.inventory();
        let places = Places::new(&inventory.subjects, &inventory.evidence, &|digest| bundle.manifest(digest).cloned());
        Ok(Self { bundle, lookups, places })
    }

    /// The manifest of a digest, whoever asks.
    fn held_manifest(&self, digest: &Digest) -> Option<ManifestBytes> {
        let bytes = self.bundle.blob(digest)?;
        let listed = self.bundle.manifest(digest).map(|manifest| manifest.media_type.clone());
        let media_type = listed.or_else(|| record::own_media_type(bytes))?;
        Some(ManifestBytes { media_type, bytes: bytes.to_vec() })
    }

    /// A blob of a digest that is no manifest: whether a repository hands out a
    /// manifest as a blob is known only where it was asked.
    fn held_blob(&self, digest: &Digest) -> Option<Vec<u8>> {
        let bytes = self.bundle.blob(digest).filter(|_| self.bundle.manifest(digest).is_none())?;
        Some(bytes.to_vec())
    }

    /// A record cannot take back what the bundle carries from the same place: a rule
    /// that denies what it sees would pass it.
    fn not_belied<T>(&self, answer: &Answer<T>, ask: Ask, pinned: &Reference, is_held: bool) -> Result<(), LookupError> {
        let collected = pinned.digest().is_some_and(|digest| self.places.has(pinned, digest));
        if matches!(answer, Answer::Found(_)) || !is_held || !collected {
            return Ok(());
        }
        let reason = format!("recorded as not to be had, and the bundle carries it from {}", pinned.name());
        Err(record::tampered(record::question(ask, pinned), reason))
    }

    /// Whether an image or evidence was found under this tag.
    fn stood_for_something(&self, tag: &Reference) -> bool {
        let inventory = self.bundle.inventory();
        let is_subject = |subject: &Subject| {
            let reference = subject.reference.parse::<Reference>().ok();
            reference.is_some_and(|reference| reference.name() == tag.name() && reference.tag() == tag.tag())
        };
        let was_there = |place: &Place| place.repository == tag.name() && Some(place.tag.as_str()) == tag.tag();
        inventory.subjects.iter().any(is_subject) || inventory.evidence.iter().flat_map(|entry| &entry.found_in).any(was_there)
    }

    /// What was collected as a referrer of this content in its repository.
    fn referrers_of<'s>(&'s self, pinned: &'s Reference) -> impl Iterator<Item = &'s EvidenceEntry> {
        let listed = |place: &Place| {
            place.repository == pinned.name() && matches!(place.method, Method::ReferrersApi | Method::FallbackTag)
        };
        let about = |entry: &&EvidenceEntry| Some(&entry.subject) == pinned.digest();
        self.bundle.inventory().evidence.iter().filter(about).filter(move |entry| entry.found_in.iter().any(listed))
    }

    /// Content that nobody asked for when the bundle was made proves itself; that
    /// it is in this repository is known only of what was collected there.
    fn unasked<T>(&self, pinned: &Reference, digest: &Digest, content: T) -> Told<T> {
        let assumed = (!self.places.has(pinned, digest)).then(|| Assumed {
            code: "content-place",
            subject: pinned.to_string(),
            message: format!("{} holds {digest}, which the bundle carries from elsewhere", pinned.name()),
        });
        Told { answer: Answer::Found(content), assumed }
    }
}

impl Transport for Carried {
    fn resolve(&self, tag: &Reference) -> Result<Told<Head>, LookupError> {
        let lookup = self.lookups.get(Ask::Resolve, tag).ok_or_else(|| not_recorded(Ask::Resolve, tag))?;
        let answer = record::resolve(lookup, tag)?;
        if let Answer::Found(head) = &answer {
            match self.manifest(&tag.pinned(head.digest)).map(|told| told.answer) {
                Ok(Answer::Found(manifest)) => record::agree(tag, head, &manifest)?,
                Ok(Answer::NotFound | Answer::Refused(_)) | Err(LookupError::NotRecorded { .. }) => {
                    let reason = format!("recorded as {}, and that manifest is not carried", head.digest);
                    return Err(record::tampered(record::question(Ask::Resolve, tag), reason));
                }
                Err(error) => return Err(error),
            }
        }
        if !matches!(answer, Answer::Found(_)) && self.stood_for_something(tag) {
            let reason = "recorded as not to be had, and the bundle carries what was found under it".to_owned();
            return Err(record::tampered(record::question(Ask::Resolve, tag), reason));
        }
        Ok(Told { assumed: on_record(lookup), answer })
    }

    fn manifest(&self, pinned: &Reference) -> Result<Told<ManifestBytes>, LookupError> {
        let digest = pinned.digest().ok_or_else(|| not_recorded(Ask::Manifest, pinned))?;
        if let Some(lookup) = self.lookups.get(Ask::Manifest, pinned) {
            let answer = record::manifest(lookup, pinned, self.bundle.blob(digest))?;
            self.not_belied(&answer, Ask::Manifest, pinned, self.bundle.manifest(digest).is_some())?;
            return Ok(Told { answer, assumed: on_record(lookup) });
        }
        let held = self.held_manifest(digest).ok_or_else(|| not_recorded(Ask::Manifest, pinned))?;
        Ok(self.unasked(pinned, digest, held))
    }

    fn blob(&self, pinned: &Reference) -> Result<Told<Vec<u8>>, LookupError> {
        let digest = pinned.digest().ok_or_else(|| not_recorded(Ask::Blob, pinned))?;
        if let Some(lookup) = self.lookups.get(Ask::Blob, pinned) {
            let answer = record::blob(lookup, pinned, self.bundle.blob(digest))?;
            self.not_belied(&answer, Ask::Blob, pinned, self.bundle.has(digest) && self.bundle.manifest(digest).is_none())?;
            return Ok(Told { answer, assumed: on_record(lookup) });
        }
        let held = self.held_blob(digest).ok_or_else(|| not_recorded(Ask::Blob, pinned))?;
        Ok(self.unasked(pinned, digest, held))
    }

    fn referrers(&self, pinned: &Reference) -> Result<Told<Vec<Referrer>>, LookupError> {
        let lookup = self.lookups.get(Ask::Referrers, pinned).ok_or_else(|| not_recorded(Ask::Referrers, pinned))?;
        let bytes = lookup.digest.as_ref().and_then(|digest| self.bundle.blob(digest));
        let answer = record::referrers(lookup, pinned, bytes)?;
        let listed: &[Referrer] = if let Answer::Found(list) = &answer { list } else { &[] };
        if let Some(entry) =
            self.referrers_of(pinned).find(|entry| !listed.iter().any(|one| one.digest == entry.digest.to_string()))
        {
            let reason = format!("{} is not among them, and the bundle carries it from {}", entry.digest, pinned.name());
            return Err(record::tampered(record::question(Ask::Referrers, pinned), reason));
        }
        Ok(Told { answer, assumed: on_record(lookup) })
    }
}

fn not_recorded(ask: Ask, reference: &Reference) -> LookupError {
    LookupError::NotRecorded { question: Box::new(record::question(ask, reference)) }
}

/// What is the exporter's word in a recorded answer (V16.1).
fn on_record(lookup: &Lookup) -> Option<Assumed> {
    let subject = lookup.reference.clone();
    let status = lookup.status.map_or_else(String::new, |status| format!(" (HTTP status {status})"));
    let (code, message) = match (lookup.result, lookup.ask, lookup.digest) {
        (LookupResult::Answered, Ask::Resolve, Some(digest)) => ("tag-resolution", format!("the tag stood for {digest}")),
        (LookupResult::Answered, Ask::Referrers, _) => ("list-complete", "nothing else referred to it".to_owned()),
        (LookupResult::Answered, ..) => return None,
        (LookupResult::None, Ask::Referrers, _) => ("list-complete", format!("nothing referred to it{status}")),
        (LookupResult::None, ask, _) => ("lookup-not-found", format!("there was no such {}{status}", noun(ask))),
        (LookupResult::CouldNotLook, ask, _) => {
            ("lookup-refused", format!("the registry would not show this {}{status}", noun(ask)))
        }
    };
    Some(Assumed { code, subject, message: format!("{message} when the bundle was made") })
}

fn noun(ask: Ask) -> &'static str {
    match ask {
        Ask::Blob => "blob",
        Ask::Manifest => "manifest",
        Ask::Referrers => "list",
        Ask::Resolve => "tag",
    }
}
