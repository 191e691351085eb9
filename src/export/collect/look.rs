//! One subject in one repository: every store is asked, every list is followed.
//!
//! Lists are hints. Each manifest in one is fetched and must itself name the
//! subject; descriptor fields decide nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicU64, Ordering},
};

use carnet_bundle::{
    Descriptor, Digest, Limits, Manifest, ManifestError,
    inventory::{Absence, AbsenceReason, EvidenceEntry, LookResult, Method, Receipt, Role},
    manifest::Body,
};
use carnet_registry::{Answer, Obstacle, ObstacleKind, RemoteManifest};
use futures_util::{StreamExt, stream};

use super::{
    PARALLEL,
    evidence::Subject,
    images::{count, described},
    place,
};
use crate::{
    error::ExportError,
    source::{fallback_tag, legacy_tag},
};

/// The fallback tag answers with the image itself (GitLab, oras-project/oras#2148)
/// or with another image.
const NOT_AN_INDEX: &str = "fallback-tag-not-an-index";
/// A list names a manifest that is not there: a list that was not kept up.
const LISTED_MISSING: &str = "listed-manifest-missing";
/// A list names a manifest that is about something else, or about nothing.
const LISTED_FOREIGN: &str = "listed-manifest-of-other-subject";
/// A manifest of a type that version 0 does not carry.
const UNSUPPORTED: &str = "unsupported-manifest";

/// What one look brought.
pub(super) struct Look {
    pub(super) subject: Subject,
    pub(super) items: Vec<Item>,
    pub(super) receipts: Vec<Receipt>,
    pub(super) obstacles: Vec<(Method, Obstacle)>,
}

/// A piece of evidence with all of its manifests.
#[derive(Clone)]
pub(super) struct Item {
    pub(super) entry: EvidenceEntry,
    pub(super) descriptor: Descriptor,
    pub(super) manifests: Vec<(Digest, Vec<u8>)>,
    pub(super) payloads: Vec<Descriptor>,
    pub(super) absent: Vec<Absence>,
}

/// A manifest that a list or tag led to.
enum Lead {
    Item(Box<Item>),
    Note(&'static str),
    Obstacle(Obstacle),
}

/// What one store answered, with the leads it gave.
#[derive(Clone)]
struct Asked {
    method: Method,
    tag: String,
    answer: Answer<Option<Digest>>,
    status: Option<u16>,
    note: &'static str,
    listed: Vec<Listed>,
}

#[derive(Clone)]
enum Listed {
    /// What a tag names.
    Fetched(String, RemoteManifest),
    ToFetch(Descriptor),
}

/// Bytes of evidence manifests that all looks together may hold: whoever can push
/// can add to the lists.
pub(super) struct Budget<'a> {
    pub(super) limits: &'a Limits,
    pub(super) held: AtomicU64,
}

impl Budget<'_> {
    fn spend(&self, bytes: &[u8]) -> Result<(), ExportError> {
        let length = count(bytes.len());
        match self.held.fetch_add(length, Ordering::Relaxed).saturating_add(length) > self.limits.memory {
            true => Err(ExportError::Limit {
                subject: "the bundle".to_owned(),
                what: "bytes of manifests and evidence",
                bound: self.limits.memory,
            }),
            false => Ok(()),
        }
    }
}

/// Asks all stores for evidence about `subject`.
pub(super) async fn look(subject: Subject, prefixes: &[String], budget: &Budget<'_>) -> Result<Look, ExportError> {
    let origin = &subject.origin;
    let legacy = |method| ask_legacy(&subject, method, prefixes);
    let (att, sbom, sig, fallback, api) = futures_util::join!(
        legacy(Method::CosignAtt),
        legacy(Method::CosignSbom),
        legacy(Method::CosignSig),
        ask_fallback(&subject),
        ask_referrers(&subject),
    );
    let asked = [att, sbom, sig, fallback, api];
    let leads = follow(&subject, &asked, budget).await?;
    let mut items: BTreeMap<Digest, Item> = BTreeMap::new();
    let mut receipts = Vec::new();
    let mut obstacles = Vec::new();
    for asked in asked {
        let mut receipt = Receipt {
            subject: subject.digest,
            repository: origin.reference.name(),
            method: asked.method,
            result: LookResult::None,
            found: 0,
            status: asked.status,
            answer: None,
            note: asked.note.to_owned(),
        };
        match &asked.answer {
            Answer::Found(digest) => receipt.answer = *digest,
            Answer::None { .. } => {}
            Answer::NotOffered { .. } => receipt.result = LookResult::NotLooked,
            Answer::CouldNotLook(obstacle) => stop(&mut receipt, &mut obstacles, obstacle),
        }
        for digest in asked.listed.iter().map(Listed::digest).collect::<BTreeSet<Digest>>() {
            let tags = asked.listed.iter().filter(|listed| listed.digest() == digest).map(|listed| listed.tag(&asked.tag));
            match leads.get(&(asked.method, digest)) {
                Some(Lead::Item(item)) => {
                    receipt.found += 1;
                    receipt.result = LookResult::Found;
                    let known = items.entry(digest).or_insert_with(|| (**item).clone());
                    known.entry.found_in.extend(tags.map(|tag| place(&origin.reference, asked.method, tag)));
                }
                Some(Lead::Note(note)) => receipt.note = (*note).to_owned(),
                Some(Lead::Obstacle(obstacle)) => stop(&mut receipt, &mut obstacles, obstacle),
                None => {}
            }
        }
        // What is unknown stays unknown, whatever else was found.
        if obstacles.iter().any(|(method, _)| *method == asked.method) {
            receipt.result = LookResult::CouldNotLook;
        }
        receipts.push(receipt);
    }
    Ok(Look { items: items.into_values().collect(), receipts, obstacles, subject })
}

fn stop(receipt: &mut Receipt, obstacles: &mut Vec<(Method, Obstacle)>, obstacle: &Obstacle) {
    receipt.result = LookResult::CouldNotLook;
    receipt.status = obstacle.status.or(receipt.status);
    receipt.note = obstacle.kind.word().to_owned();
    obstacles.push((receipt.method, obstacle.clone()));
}

/// Asks for the legacy tag, and for the same tag behind each prefix. What one of
/// them answers does not hide another.
async fn ask_legacy(subject: &Subject, method: Method, prefixes: &[String]) -> Asked {
    let Subject { digest, origin } = subject;
    let mut asked: Option<Asked> = None;
    for prefix in [String::new()].iter().chain(prefixes) {
        let answer = origin.source.legacy(&origin.reference, digest, method, prefix).await;
        let tag = legacy_tag(digest, method).map(|tag| format!("{prefix}{tag}")).unwrap_or_default();
        let mut one = Asked::new(method, tag.clone());
        one.take(answer, |one, manifests| {
            one.status = manifests.first().and_then(|manifest| manifest.status);
            one.listed = manifests.into_iter().map(|manifest| Listed::Fetched(tag.clone(), manifest)).collect();
            match one.listed.as_slice() {
                [listed] => Some(listed.digest()),
                _ => None,
            }
        });
        asked = Some(asked.map_or_else(|| one.clone(), |asked| asked.join(one.clone())));
    }
    asked.unwrap_or_else(|| Asked::new(method, String::new()))
}

async fn ask_fallback(subject: &Subject) -> Asked {
    let Subject { digest, origin } = subject;
    let tag = fallback_tag(digest);
    let answer = origin.source.manifest(&origin.reference.tagged(tag.clone())).await;
    let mut asked = Asked::new(Method::FallbackTag, tag);
    asked.take(answer, |asked, manifest| {
        asked.status = manifest.status;
        // An index that is the subject itself lists platforms, not referrers.
        match Manifest::parse(&manifest.bytes, &manifest.media_type) {
            Ok(index) if index.is_index() && manifest.digest != *digest => {
                asked.listed = index.children().iter().cloned().map(Listed::ToFetch).collect();
            }
            _ => asked.note = NOT_AN_INDEX,
        }
        Some(manifest.digest)
    });
    asked
}

async fn ask_referrers(subject: &Subject) -> Asked {
    let Subject { digest, origin } = subject;
    let answer = origin.source.referrers(&origin.reference, digest).await;
    let mut asked = Asked::new(Method::ReferrersApi, String::new());
    asked.take(answer, |asked, list| {
        asked.status = list.status;
        asked.listed = list.manifests.into_iter().map(Listed::ToFetch).collect();
        list.answer
    });
    asked
}

impl Asked {
    fn new(method: Method, tag: String) -> Self {
        Self { method, tag, answer: Answer::None { status: None }, status: None, note: "", listed: Vec::new() }
    }

    /// Two tags of one method as one answer: what is unknown stays unknown, and
    /// what was found is found.
    fn join(mut self, other: Self) -> Self {
        let rank = |answer: &Answer<Option<Digest>>| match answer {
            Answer::CouldNotLook(_) => 3,
            Answer::Found(_) => 2,
            Answer::None { .. } => 1,
            Answer::NotOffered { .. } => 0,
        };
        // One digest does not stand for two answers.
        let both = matches!((&self.answer, &other.answer), (Answer::Found(_), Answer::Found(_)));
        if rank(&other.answer) > rank(&self.answer) {
            self.answer = other.answer;
            self.status = other.status;
        }
        if both {
            self.answer = Answer::Found(None);
        }
        self.listed.extend(other.listed);
        self
    }

    fn take<T>(&mut self, answer: Answer<T>, found: impl FnOnce(&mut Self, T) -> Option<Digest>) {
        self.answer = match answer {
            Answer::Found(value) => Answer::Found(found(self, value)),
            Answer::None { status } | Answer::NotOffered { status } => {
                self.status = status;
                answer.map(|_| None)
            }
            Answer::CouldNotLook(obstacle) => Answer::CouldNotLook(obstacle),
        };
    }
}

impl Listed {
    fn digest(&self) -> Digest {
        match self {
            Self::Fetched(_, manifest) => manifest.digest,
            Self::ToFetch(descriptor) => descriptor.digest,
        }
    }

    /// The tag it was found under: its own, or that of the list.
    fn tag<'a>(&'a self, list: &'a str) -> &'a str {
        match self {
            Self::Fetched(tag, _) => tag,
            Self::ToFetch(_) => list,
        }
    }
}

/// Fetches what was listed, each manifest once, and reads it.
async fn follow(
    subject: &Subject,
    asked: &[Asked],
    budget: &Budget<'_>,
) -> Result<BTreeMap<(Method, Digest), Lead>, ExportError> {
    let mut to_fetch = BTreeSet::new();
    for asked in asked {
        to_fetch.extend(asked.listed.iter().filter_map(|listed| match listed {
            Listed::Fetched(..) => None,
            Listed::ToFetch(descriptor) => Some(descriptor.digest),
        }));
    }
    // Found out before the first request; a list is never followed in part.
    if to_fetch.len() > budget.limits.evidence_per_subject {
        let bound = count(budget.limits.evidence_per_subject);
        return Err(ExportError::Limit { subject: subject.digest.to_string(), what: "pieces of evidence", bound });
    }
    let Subject { origin, .. } = subject;
    let mut fetching = stream::iter(to_fetch)
        .map(|digest| async move { (digest, origin.source.manifest(&origin.reference.pinned(digest)).await) })
        .buffered(PARALLEL);
    let mut fetched = BTreeMap::new();
    while let Some((digest, answer)) = fetching.next().await {
        if let Answer::Found(manifest) = &answer {
            budget.spend(&manifest.bytes)?;
        }
        fetched.insert(digest, answer);
    }
    let mut leads = BTreeMap::new();
    for asked in asked {
        for listed in &asked.listed {
            let digest = listed.digest();
            let lead = match listed {
                Listed::Fetched(_, manifest) => lead(subject, manifest, Binding::Tag, budget).await?,
                Listed::ToFetch(_) => match fetched.get(&digest) {
                    Some(Answer::Found(manifest)) => lead(subject, manifest, Binding::Subject, budget).await?,
                    Some(Answer::None { .. } | Answer::NotOffered { .. }) => Lead::Note(LISTED_MISSING),
                    Some(Answer::CouldNotLook(obstacle)) => Lead::Obstacle(obstacle.clone()),
                    None => continue,
                },
            };
            leads.insert((asked.method, digest), lead);
        }
    }
    Ok(leads)
}

/// What says that a manifest is about the subject.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Binding {
    /// Its `subject` must.
    Subject,
    /// The tag does, unless its `subject` says otherwise.
    Tag,
}

async fn lead(subject: &Subject, fetched: &RemoteManifest, binding: Binding, budget: &Budget<'_>) -> Result<Lead, ExportError> {
    let manifest = match Manifest::parse(&fetched.bytes, &fetched.media_type) {
        Ok(manifest) => manifest,
        Err(error) => return Ok(unreadable(subject, fetched, &error)),
    };
    let named = manifest.subject.as_ref().map(|named| named.digest);
    if named != Some(subject.digest) && (binding == Binding::Subject || named.is_some()) {
        return Ok(Lead::Note(LISTED_FOREIGN));
    }
    let class = carnet_evidence::classify(&manifest);
    let item = Item {
        entry: EvidenceEntry {
            digest: fetched.digest,
            subject: subject.digest,
            kind: class.kind,
            predicate_type: class.predicate_type,
            found_in: Vec::new(),
        },
        descriptor: described(fetched),
        manifests: vec![(fetched.digest, fetched.bytes.to_vec())],
        payloads: Vec::new(),
        absent: Vec::new(),
    };
    below(subject, item, manifest, budget).await
}

/// Types that version 0 does not carry are said and left; what claims to be a
/// manifest and is none is an answer that nobody can use.
fn unreadable(subject: &Subject, fetched: &RemoteManifest, error: &ManifestError) -> Lead {
    match error {
        ManifestError::Unsupported(_) | ManifestError::Digest(_) => Lead::Note(UNSUPPORTED),
        _ => {
            let place = subject.origin.reference.pinned(fetched.digest).to_string();
            Lead::Obstacle(Obstacle::new(ObstacleKind::Malformed, fetched.status, place, error.to_string()))
        }
    }
}

/// Gathers the payloads of an evidence manifest, and the manifests below an
/// evidence index.
async fn below(subject: &Subject, mut item: Item, top: Manifest, budget: &Budget<'_>) -> Result<Lead, ExportError> {
    let origin = &subject.origin;
    let mut waiting = vec![(top, 0)];
    let mut visited = BTreeSet::from([item.entry.digest]);
    while let Some((manifest, depth)) = waiting.pop() {
        let children = match manifest.body {
            Body::Image { config, layers } => {
                item.payloads.push(*config);
                item.payloads.extend(layers);
                continue;
            }
            Body::Index { manifests } => manifests,
        };
        let Limits { index_depth, evidence_per_subject, .. } = budget.limits;
        if depth >= *index_depth || visited.len() + children.len() > *evidence_per_subject {
            return Ok(Lead::Note(UNSUPPORTED));
        }
        for child in children {
            if !visited.insert(child.digest) {
                continue;
            }
            let reason = match origin.source.manifest(&origin.reference.pinned(child.digest)).await {
                Answer::Found(fetched) => match Manifest::parse(&fetched.bytes, &child.media_type) {
                    Ok(parsed) => {
                        budget.spend(&fetched.bytes)?;
                        item.manifests.push((child.digest, fetched.bytes.to_vec()));
                        waiting.push((parsed, depth + 1));
                        continue;
                    }
                    Err(error) => return Ok(unreadable(subject, &fetched, &error)),
                },
                Answer::None { .. } | Answer::NotOffered { .. } => AbsenceReason::NotInSource,
                Answer::CouldNotLook(obstacle) => return Ok(Lead::Obstacle(obstacle)),
            };
            item.absent.push(Absence { digest: child.digest, size: child.size, role: Role::Child, reason });
        }
    }
    Ok(Lead::Item(Box::new(item)))
}
