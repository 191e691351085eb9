//! Evidence about everything: images first, then evidence about evidence.

use std::sync::atomic::AtomicU64;

use carnet_bundle::{
    Digest,
    inventory::{LookResult, Method, Receipt, Role},
};
use futures_util::{StreamExt, TryStreamExt, stream};

use super::{
    Collector, PARALLEL,
    images::count,
    look::{Budget, Look, look},
};
use crate::{error::ExportError, source::Origin};

/// A manifest that evidence is looked for.
#[derive(Clone)]
pub(super) struct Subject {
    pub(super) digest: Digest,
    pub(super) origin: Origin,
}

impl Collector<'_> {
    /// Asks for evidence about a manifest, later and once per repository: its own,
    /// and the ones that the operator names.
    pub(super) fn subject(&mut self, digest: Digest, origin: &Origin) {
        self.subject_in(digest, origin);
        for elsewhere in self.wanted.evidence.clone() {
            self.subject_in(digest, &elsewhere);
        }
    }

    fn subject_in(&mut self, digest: Digest, origin: &Origin) {
        if self.seen.insert((digest, origin.reference.name())) {
            self.subjects.push(Subject { digest, origin: origin.clone() });
        }
    }

    /// Looks for evidence about every subject, level by level. What is found at
    /// the last level is carried, but nothing is looked for about it.
    pub(super) async fn all_evidence(&mut self) -> Result<(), ExportError> {
        for _ in 0..self.limits.referrer_depth {
            let level = std::mem::take(&mut self.subjects);
            if level.is_empty() {
                break;
            }
            self.progress.step(format_args!("looking for evidence about {} manifests", level.len()));
            let budget = Budget { limits: &self.limits, held: AtomicU64::new(self.held) };
            let prefixes = &self.wanted.tag_prefixes;
            let looks: Vec<Look> =
                stream::iter(level).map(|subject| look(subject, prefixes, &budget)).buffered(PARALLEL).try_collect().await?;
            for look in looks {
                self.take_in(look)?;
            }
        }
        Ok(())
    }

    fn take_in(&mut self, look: Look) -> Result<(), ExportError> {
        let Subject { digest: subject, origin } = look.subject;
        for item in look.items {
            for (digest, bytes) in item.manifests {
                self.hold(digest, bytes)?;
            }
            for blob in &item.payloads {
                self.want(blob, Role::Evidence, &origin);
            }
            for absent in item.absent {
                self.collection.assembly.absent.push(absent);
            }
            let is_buildkit = self.evidence.values().any(|known| {
                known.digest == item.entry.digest && known.found_in.iter().any(|place| place.method == Method::IndexChildren)
            });
            if !is_buildkit {
                self.evidence_manifests.insert(item.descriptor.digest, item.descriptor);
            }
            self.subject(item.entry.digest, &origin);
            self.note_evidence(item.entry);
        }
        let question = |method: Method| format!("{method} of {subject} in {}", origin.reference.name());
        for (method, obstacle) in look.obstacles {
            self.gap(question(method), obstacle);
        }
        let children = self.children_receipt(subject, &origin);
        self.collection.assembly.receipts.extend(look.receipts.into_iter().chain([children]));
        Ok(())
    }

    /// The receipt for the children of the index that holds `subject`: BuildKit
    /// attestations were found while the image was walked.
    fn children_receipt(&self, subject: Digest, origin: &Origin) -> Receipt {
        let repository = origin.reference.name();
        let here =
            |place: &carnet_bundle::inventory::Place| place.method == Method::IndexChildren && place.repository == repository;
        let found = self.evidence.values().filter(|entry| entry.subject == subject && entry.found_in.iter().any(here)).count();
        Receipt {
            subject,
            repository: repository.clone(),
            method: Method::IndexChildren,
            result: if found > 0 { LookResult::Found } else { LookResult::None },
            found: count(found),
            status: None,
            answer: None,
            note: String::new(),
        }
    }
}
