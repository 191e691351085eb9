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
use carnet_evidence::{Claim, Evidence, Verified, Verifier, classify, from_loose_file, from_manifest};
use carnet_policy::checks::{self, Judged, Options, Refused};

use crate::{codes, matching::Matched};

/// Everything that was verified about the images of a bundle.
#[derive(Default)]
pub(crate) struct Judgement {
    images: BTreeMap<Digest, Image>,
}

/// The evidence about one image.
#[derive(Default)]
struct Image {
    claims: Vec<Verified<Claim>>,
    refused: Vec<Refused>,
    findings: Vec<Finding>,
}

impl Judgement {
    /// Verifies all evidence about `images`, on up to `threads` threads.
    pub(crate) fn new(bundle: &Bundle, images: &BTreeSet<Digest>, verifier: &Verifier, threads: usize) -> Self {
        let images: Vec<Digest> = images.iter().copied().collect();
        let pieces: Vec<(usize, Vec<Evidence<'_>>, Vec<Finding>)> =
            images.iter().enumerate().map(|(at, image)| collect(bundle, at, image)).collect();
        let jobs: Vec<(usize, &Evidence<'_>)> =
            pieces.iter().flat_map(|(at, items, _)| items.iter().map(move |item| (*at, item))).collect();
        let results = in_parallel(threads, &jobs, |(at, item)| verify(bundle, &images[*at], item, verifier));

        let mut judged: Vec<Image> = images.iter().map(|_| Image::default()).collect();
        for ((at, item), result) in jobs.iter().zip(results) {
            match result {
                Ok(claim) => judged[*at].claims.push(claim),
                Err(findings) => judged[*at].refused.push(Refused { form: item.kind(), findings }),
            }
        }
        for (at, _, findings) in pieces {
            judged[at].findings.extend(findings);
        }
        Self { images: images.into_iter().zip(judged).collect() }
    }

    /// The outcome of the built-in checks for one component.
    pub(crate) fn check(&self, matched: &Matched, options: &Options) -> Judged {
        let component = &matched.component;
        let Some(digest) = &matched.digest else {
            return checks::not_carried(component, &format!("{} is not in the bundle", component.container_image), options);
        };
        let empty = Image::default();
        let image = self.images.get(digest).unwrap_or(&empty);
        let evidence = checks::Evidence { verified: &image.claims, refused: &image.refused };
        checks::evaluate(component, digest, evidence, options)
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
                    findings.push(Finding::new(&carnet_evidence::codes::EVIDENCE_MALFORMED, entry.digest, error.to_string()));
                }
            }
        }
    }
    (at, items, findings)
}

fn verify(bundle: &Bundle, image: &Digest, item: &Evidence<'_>, verifier: &Verifier) -> Result<Verified<Claim>, Vec<Finding>> {
    match bundle.blob(image) {
        Some(bytes) => verifier.verify(item, carnet_evidence::Subject::of_bytes(bytes)),
        None => verifier.verify(item, image),
    }
}

/// Runs `work` over all items on up to `threads` threads; results in the order of
/// the items.
fn in_parallel<T: Sync, R: Send>(threads: usize, items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    if threads < 2 || items.len() < 2 {
        return items.iter().map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(items.len()));
    thread::scope(|scope| {
        for _ in 0..threads.min(items.len()) {
            scope.spawn(|| {
                while let Some((at, item)) = take(&next, items) {
                    let result = work(item);
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((at, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}

fn take<'t, T>(next: &AtomicUsize, items: &'t [T]) -> Option<(usize, &'t T)> {
    let at = next.fetch_add(1, Ordering::Relaxed);
    items.get(at).map(|item| (at, item))
}
