//! From the record to the parts of a bundle.

use std::collections::{BTreeMap, BTreeSet};

use carnet_bundle::{
    Assembly, Digest, Document, Lookups, PlanError,
    inventory::Role,
    lookups::{self, Ask},
    media,
};
use carnet_registry::{Obstacle, ObstacleKind};

use super::{Recorder, State};
use crate::{collect::Gap, error::ExportError};

/// What a recorder leaves behind.
pub(crate) struct Recorded {
    /// The parts of the bundle, with the lookups among the documents and the bytes
    /// of the answers among the layers of the policy manifest.
    pub(crate) assembly: Assembly,
    /// Questions that were not answered.
    pub(crate) gaps: Vec<Gap>,
}

impl Recorder {
    /// Ends the record. A recorder that goes on being asked after that starts with
    /// nothing.
    pub(crate) fn finish(&self) -> Result<Recorded, ExportError> {
        let mut state = self.state();
        let empty = State {
            assembly: Assembly::default(),
            lookups: Lookups::default(),
            bytes: BTreeMap::new(),
            held: 0,
            gaps: Vec::new(),
        };
        let State { mut assembly, lookups, bytes, mut gaps, .. } = std::mem::replace(&mut *state, empty);
        drop(state);
        let mut listed: BTreeSet<Digest> = assembly.policy_layers.iter().map(|layer| Digest::of(&layer.bytes)).collect();
        let titles = titles(&lookups);
        for (digest, bytes) in bytes {
            let title = titles.get(&digest).cloned().unwrap_or_else(|| digest.to_string());
            match declared_absent(&assembly, &digest) {
                Some(Role::Child) => {
                    gaps.push(left_out(&title));
                    continue;
                }
                // The walk comes to these in the image or its evidence.
                Some(Role::Config | Role::Evidence) => drop(assembly.blobs.insert(digest, bytes)),
                Some(Role::Layer) | None if listed.insert(digest) => {
                    assembly.policy_layers.push(Document { media_type: media::OPAQUE.to_owned(), title, bytes });
                }
                Some(Role::Layer) | None => {}
            }
            assembly.absent.retain(|absence| absence.digest != digest);
        }
        if !lookups.is_empty() {
            let bytes = lookups.write().map_err(PlanError::from)?;
            let title = lookups::TITLE.to_owned();
            assembly.documents.push(Document { media_type: media::LOOKUPS.to_owned(), title, bytes });
        }
        Ok(Recorded { assembly, gaps })
    }
}

fn declared_absent(assembly: &Assembly, digest: &Digest) -> Option<Role> {
    assembly.absent.iter().find(|absence| absence.digest == *digest).map(|absence| absence.role)
}

/// What to call the bytes of an answer: the first question that they answer.
fn titles(lookups: &Lookups) -> BTreeMap<Digest, String> {
    let mut titles = BTreeMap::new();
    for lookup in lookups.iter() {
        let title = match lookup.ask {
            Ask::Referrers => format!("referrers of {}", lookup.reference),
            Ask::Blob | Ask::Manifest | Ask::Resolve => lookup.reference.clone(),
        };
        if let Some(digest) = lookup.digest {
            titles.entry(digest).or_insert(title);
        }
    }
    titles
}

/// A child that is declared absent cannot be carried at the same time.
fn left_out(reference: &str) -> Gap {
    let reason = "the policy reads this platform, and the export leaves it out";
    let obstacle = Obstacle::new(ObstacleKind::Malformed, None, reference, reason);
    Gap { question: format!("manifest of {reference}, which the policy asks for"), obstacle }
}
