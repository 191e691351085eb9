//! One image: its evidence, verified, and the checks over it (V6 to V14).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use carnet_bundle::{Bundle, Digest, Finding, inventory::EvidenceKind, media};
use carnet_evidence::{
    Claim, ClaimKind, Evidence, RepositoryRule, Subject, Verified, Verifier, classify, codes as evidence_codes, from_loose_file,
    from_manifest,
};
use carnet_policy::{
    checks::{self, Judged, Options, Refused},
    codes as policy_codes, input,
};
use jiff::Timestamp;
use serde_json::Value;

use crate::{codes, matching::Matched};

/// Everything that was verified about the images of a bundle.
#[derive(Default)]
pub(crate) struct Judgement {
    images: BTreeMap<Asked, Image>,
    by_repository: bool,
}

/// An image, and the repository it is asked for in where that makes a difference.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Asked {
    image: Digest,
    repository: Option<String>,
}

/// The evidence about one image.
#[derive(Default)]
struct Image {
    claims: Vec<Verified<Claim>>,
    refused: Vec<Refused>,
    findings: Vec<Finding>,
}

impl Image {
    fn evidence(&self) -> checks::Evidence<'_> {
        checks::Evidence { verified: &self.claims, refused: &self.refused }
    }
}

impl Judgement {
    /// Verifies all evidence about the images of `matched`, on up to `threads` threads.
    pub(crate) fn new(bundle: &Bundle, matched: &[Matched], verifier: &Verifier, threads: usize) -> Self {
        let by_repository = verifier.rules().repository != RepositoryRule::Ignore || verifier.rules().compare_subject_name;
        let asked: BTreeSet<Asked> = matched.iter().filter_map(|matched| Asked::of(matched, by_repository)).collect();
        let asked: Vec<Asked> = asked.into_iter().collect();
        let pieces: Vec<(usize, Vec<Evidence<'_>>, Vec<Finding>)> =
            asked.iter().enumerate().map(|(at, asked)| collect(bundle, at, &asked.image)).collect();
        let jobs: Vec<(usize, &Evidence<'_>)> =
            pieces.iter().flat_map(|(at, items, _)| items.iter().map(move |item| (*at, item))).collect();
        let results = in_parallel(threads, &jobs, |(at, item)| verify(bundle, &asked[*at], item, verifier));

        let mut judged: Vec<Image> = asked.iter().map(|_| Image::default()).collect();
        let mut unsigned = Vec::new();
        for ((at, item), result) in jobs.iter().zip(results) {
            match result {
                Ok(claim) => judged[*at].claims.push(claim),
                Err(_) if verifier.rules().accept_buildkit && item.kind() == EvidenceKind::BuildkitAttestation => {
                    unsigned.push((*at, *item));
                }
                Err(findings) => judged[*at].refused.push(Refused { form: item.kind(), findings }),
            }
        }
        let indexes: Vec<(&Digest, &Verified<Claim>)> = asked.iter().zip(&judged).flat_map(signatures).collect();
        let bound: Vec<_> =
            unsigned.iter().map(|(at, item)| under_index(bundle, &asked[*at], item, &indexes, verifier)).collect();
        for ((at, item), result) in unsigned.iter().zip(bound) {
            match result {
                Ok(claim) => judged[*at].claims.push(claim),
                Err(findings) => judged[*at].refused.push(Refused { form: item.kind(), findings }),
            }
        }
        for (at, _, findings) in pieces {
            judged[at].findings.extend(findings);
        }
        Self { images: asked.into_iter().zip(judged).collect(), by_repository }
    }

    fn image(&self, matched: &Matched) -> Option<&Image> {
        self.images.get(&Asked::of(matched, self.by_repository)?)
    }

    /// What was verified and refused about the image of a component.
    pub(crate) fn evidence(&self, matched: &Matched) -> Option<checks::Evidence<'_>> {
        self.image(matched).map(Image::evidence)
    }

    /// The outcome of the built-in checks for one component.
    pub(crate) fn check(&self, matched: &Matched, options: &Options) -> Judged {
        let component = &matched.component;
        let Some(digest) = &matched.digest else {
            return checks::not_carried(component, &format!("{} is not in the bundle", component.container_image), options);
        };
        let empty = Image::default();
        let image = self.image(matched).unwrap_or(&empty);
        never_by_nothing(checks::evaluate(component, digest, image.evidence(), options), &image.claims)
    }

    /// The `input` of the rules for one component whose checks let rules follow.
    pub(crate) fn policy_input(
        &self,
        facts: &input::ImageFacts,
        matched: &Matched,
        options: &Options,
        snapshot: &Value,
        policy: &Value,
    ) -> Option<Value> {
        let digest = matched.digest.as_ref()?;
        let evidence = self.image(matched)?.evidence();
        let signatures = match options.skip_image_signature {
            true => Vec::new(),
            false => input::counted(&evidence, ClaimKind::ImageSignature, options.reading),
        };
        let subject = input::Subject {
            component: &matched.component,
            digest,
            signatures: &signatures,
            attestations: &input::counted(&evidence, ClaimKind::Attestation, options.reading),
            facts,
        };
        Some(input::document(&subject, snapshot, policy))
    }

    /// The statements that the outcome of a component shows as attestations.
    pub(crate) fn statements(&self, matched: &Matched, judged: &Judged, options: &Options) -> Vec<String> {
        let image = self.image(matched);
        let Some(image) = image.filter(|_| !judged.outcome.attestations.is_empty()) else { return Vec::new() };
        let claims = input::counted(&image.evidence(), ClaimKind::Attestation, options.reading);
        claims.into_iter().filter_map(|claim| String::from_utf8(claim.payload.clone()).ok()).collect()
    }

    /// The last verified time at which an image was signed, and the image.
    pub(crate) fn last_signed(&self) -> Option<(Timestamp, Digest)> {
        let claims = self.images.iter().flat_map(|(asked, image)| image.claims.iter().map(|claim| (asked.image, claim)));
        claims.flat_map(|(image, claim)| claim.times.iter().map(move |time| (time.time, image))).max()
    }

    /// What is to be said about single pieces of evidence.
    pub(crate) fn findings(&self) -> Vec<Finding> {
        let mut all = Vec::new();
        for image in self.images.values() {
            all.extend(image.findings.iter().cloned());
            all.extend(image.refused.iter().flat_map(|refused| refused.findings.iter().cloned()));
            all.extend(image.claims.iter().flat_map(|claim| claim.notes.iter().cloned()));
        }
        all
    }
}

/// Takes the evidence filed under `image` apart, in the order of the inventory.
fn collect<'b>(bundle: &'b Bundle, at: usize, image: &Digest) -> (usize, Vec<Evidence<'b>>, Vec<Finding>) {
    let (mut items, mut findings) = (Vec::new(), Vec::new());
    for entry in bundle.inventory().evidence.iter().filter(|entry| entry.subject == *image) {
        if let Some(manifest) = bundle.manifest(&entry.digest) {
            let classified = classify(manifest).kind;
            let kind =
                if bundle.tree().buildkit().contains_key(&entry.digest) { EvidenceKind::BuildkitAttestation } else { classified };
            if kind != entry.kind {
                let message = format!("the inventory says {}, the manifest is {kind}", entry.kind);
                findings.push(Finding::new(&codes::INVENTORY_KIND_MISMATCH, entry.digest, message));
            }
            let (pieces, notes) = from_manifest(image, &entry.digest, manifest, &|digest| bundle.blob(digest));
            items.extend(pieces);
            findings.extend(notes);
        } else if let Some(file) = bundle.documents().find(|d| d.media_type == media::LOOSE_EVIDENCE && d.digest == entry.digest)
        {
            match from_loose_file(image, file.bytes) {
                Ok(item) => items.push(item),
                Err(error) => {
                    findings.push(Finding::new(&evidence_codes::EVIDENCE_MALFORMED, entry.digest, error.to_string()));
                }
            }
        }
    }
    (at, items, findings)
}

impl Asked {
    fn of(matched: &Matched, by_repository: bool) -> Option<Self> {
        let repository = by_repository.then(|| matched.component.reference.name().to_string());
        Some(Self { image: matched.digest?, repository })
    }

    /// The image, asked for where that makes a difference.
    fn within<'s>(&'s self, subject: Subject<'s>) -> Subject<'s> {
        match &self.repository {
            Some(repository) => subject.in_repository(repository),
            None => subject,
        }
    }
}

fn verify(bundle: &Bundle, asked: &Asked, item: &Evidence<'_>, verifier: &Verifier) -> Result<Verified<Claim>, Vec<Finding>> {
    let subject = match bundle.blob(&asked.image) {
        Some(bytes) => Subject::of_bytes(bytes),
        None => Subject::from(&asked.image),
    };
    verifier.verify(item, asked.within(subject))
}

/// Nothing is not a pass: an image about which no piece of evidence was verified
/// fails, whatever the checks were told to leave out.
fn never_by_nothing(mut judged: Judged, claims: &[Verified<Claim>]) -> Judged {
    if claims.is_empty() && judged.outcome.success() {
        let message = "no piece of evidence about the image was verified";
        let image = judged.outcome.container_image.as_str();
        judged.findings.push(Finding::new(&policy_codes::ATTESTATION_NOT_VERIFIED, image, message));
        judged.goes_on = false;
    }
    judged
}

/// The verified signatures of an image.
fn signatures<'j>((asked, image): (&'j Asked, &'j Image)) -> impl Iterator<Item = (&'j Digest, &'j Verified<Claim>)> {
    let signatures = image.claims.iter().filter(|claim| claim.kind == ClaimKind::ImageSignature);
    signatures.map(|claim| (&asked.image, claim))
}

/// V6.9: a statement without a signature, on the word of whoever signed an index
/// that lists the image.
fn under_index(
    bundle: &Bundle,
    asked: &Asked,
    item: &Evidence<'_>,
    signed: &[(&Digest, &Verified<Claim>)],
    verifier: &Verifier,
) -> Result<Verified<Claim>, Vec<Finding>> {
    let lists_it = |index: &Digest| bundle.manifest(index).is_some_and(|m| m.children().iter().any(|c| c.digest == asked.image));
    let child = asked.within(Subject::from(&asked.image));
    let mut refused = vec![Finding::new(&evidence_codes::UNSIGNED_STATEMENT, item.describe(), "no signed index lists the image")];
    for (index, signature) in signed.iter().filter(|(index, _)| lists_it(index)) {
        let Some(bytes) = bundle.blob(index) else { continue };
        match verifier.verify_under_index(item, child, signature, bytes) {
            Ok(claim) => return Ok(claim),
            Err(findings) => refused = findings,
        }
    }
    Err(refused)
}

/// Runs `work` over all items on up to `threads` threads; results in the order of
/// the items.
pub(crate) fn in_parallel<T: Sync, R: Send>(threads: usize, items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    if threads < 2 || items.len() < 2 {
        return items.iter().map(work).collect();
    }
    let next = AtomicUsize::new(0);
    // A place for each result: they are large, and to sort them would move them often.
    let done = Mutex::new(items.iter().map(|_| None).collect::<Vec<Option<R>>>());
    thread::scope(|scope| {
        for _ in 0..threads.min(items.len()) {
            scope.spawn(|| {
                while let Some((at, item)) = take(&next, items) {
                    let result = work(item);
                    if let Some(place) = done.lock().unwrap_or_else(PoisonError::into_inner).get_mut(at) {
                        *place = Some(result);
                    }
                }
            });
        }
    });
    done.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().flatten().collect()
}

fn take<'t, T>(next: &AtomicUsize, items: &'t [T]) -> Option<(usize, &'t T)> {
    let at = next.fetch_add(1, Ordering::Relaxed);
    items.get(at).map(|item| (at, item))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_that_asked_for_nothing_passes_nothing() {
        let judged = Judged { goes_on: true, ..Judged::default() };
        assert!(judged.outcome.success());
        let judged = never_by_nothing(judged, &[]);
        assert!(!judged.goes_on && judged.findings.iter().any(Finding::is_failure), "{judged:?}");
    }
}
