//! What runs, one entry for each image: the uses of it together.

use std::collections::{BTreeMap, BTreeSet};

use carnet_bundle::{Digest, Reference};

use crate::{
    image_id::ImageId,
    pod::{Owner, Use},
};

/// An image that runs.
#[derive(Clone, Debug)]
pub(crate) struct Running {
    /// What was asked for, in its full form where it is a reference.
    pub(crate) image: String,
    /// The same as a reference.
    pub(crate) reference: Option<Reference>,
    /// What the runtime says that it runs.
    pub(crate) id: ImageId,
    /// Everything that uses it.
    pub(crate) uses: Vec<Use>,
}

/// Sums up uses, by image and by what the runtime says of it.
pub(crate) fn sum_up(uses: Vec<Use>) -> Vec<Running> {
    let mut running: BTreeMap<(String, ImageId), Running> = BTreeMap::new();
    for one in uses {
        let reference: Option<Reference> = one.image.parse().ok();
        let image = reference.as_ref().map_or_else(|| one.image.clone(), ToString::to_string);
        let entry = running.entry((image.clone(), one.id.clone()));
        entry.or_insert_with(|| Running { image, reference, id: one.id.clone(), uses: Vec::new() }).uses.push(one);
    }
    running.into_values().collect()
}

impl Running {
    /// The digest that runs; of a container that has not been started, the one that
    /// it asks for.
    pub(crate) fn digest(&self) -> Option<&Digest> {
        match self.id {
            ImageId::None => self.reference.as_ref().and_then(Reference::digest),
            _ => self.id.digest(),
        }
    }

    /// Name, tag and digest of what runs, as far as they are known: the name under
    /// which the runtime knows the digest, with the tag that was asked for if that was
    /// under the same name.
    pub(crate) fn named(&self) -> String {
        let ImageId::Pinned(pinned) = &self.id else { return self.image.clone() };
        let tag = self.reference.as_ref().filter(|asked| asked.name() == pinned.name()).and_then(Reference::tag);
        match (tag, pinned.digest()) {
            (Some(tag), Some(digest)) => format!("{}:{tag}@{digest}", pinned.name()),
            (None, Some(digest)) => format!("{}@{digest}", pinned.name()),
            (_, None) => pinned.to_string(),
        }
    }

    /// Whether a registry knows what runs under a digest.
    pub(crate) fn is_pinned(&self) -> bool {
        match &self.id {
            ImageId::Pinned(_) => true,
            ImageId::None => self.digest().is_some(),
            ImageId::Config(_) | ImageId::Unknown(_) => false,
        }
    }

    /// The names under which the image may lie in bundles: what was asked for, and
    /// what the runtime calls it.
    pub(crate) fn names(&self) -> impl Iterator<Item = &Reference> {
        let pinned = match &self.id {
            ImageId::Pinned(reference) => Some(reference),
            _ => None,
        };
        self.reference.iter().chain(pinned)
    }

    /// To whom the pods belong, and which of their containers use the image.
    pub(crate) fn owners(&self) -> BTreeMap<&Owner, BTreeSet<&str>> {
        let mut owners: BTreeMap<&Owner, BTreeSet<&str>> = BTreeMap::new();
        for one in &self.uses {
            owners.entry(&one.owner).or_default().insert(&one.container);
        }
        owners
    }

    /// How many pods use it, of one owner or of all.
    pub(crate) fn pods(&self, owner: Option<&Owner>) -> usize {
        let uses = self.uses.iter().filter(|one| !one.pod.is_empty() && owner.is_none_or(|owner| one.owner == *owner));
        uses.map(|one| (&one.owner.namespace, &one.pod)).collect::<BTreeSet<_>>().len()
    }

    /// Why containers of it wait, if they do.
    pub(crate) fn waiting(&self) -> Option<&str> {
        self.uses.iter().map(|one| one.waiting.as_str()).find(|reason| !reason.is_empty())
    }
}
