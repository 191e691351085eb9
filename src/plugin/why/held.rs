//! What an archive holds about a digest.

use std::collections::BTreeSet;

use carnet_bundle::{
    Bundle, Digest, Opened,
    derive::{FallbackIndex, fallback_indexes},
    inventory::Place,
};

use super::{code::section, role::roles};

/// An archive that can be asked about digests.
pub(super) struct Held<'a> {
    pub(super) opened: &'a Opened,
    /// What follows from the tree and is named by nothing in it.
    pub(super) fallbacks: Vec<FallbackIndex>,
}

impl<'a> Held<'a> {
    pub(super) fn new(opened: &'a Opened) -> Self {
        // A tree that was read from bytes can be written, so there is no error here.
        let fallbacks = opened.bundle.as_ref().and_then(|bundle| fallback_indexes(bundle.tree()).ok());
        Self { opened, fallbacks: fallbacks.unwrap_or_default() }
    }

    /// Every digest that can be asked for.
    pub(super) fn digests(&self) -> BTreeSet<Digest> {
        let mut digests = BTreeSet::from([self.opened.id]);
        let Some(bundle) = &self.opened.bundle else { return digests };
        let (inventory, tree) = (bundle.inventory(), bundle.tree());
        digests.insert(bundle.content_id());
        for (digest, manifest) in tree.manifests() {
            let named = manifest.children().iter().chain(manifest.layers()).chain(manifest.config()).chain(&manifest.subject);
            digests.extend(named.map(|descriptor| descriptor.digest).chain([*digest]));
        }
        digests.extend(inventory.subjects.iter().map(|subject| subject.digest));
        digests.extend(inventory.evidence.iter().flat_map(|entry| [entry.digest, entry.subject]));
        digests.extend(inventory.proofs.iter().flat_map(|proof| [proof.leaf, proof.digest]));
        digests.extend(inventory.absent.iter().map(|absence| absence.digest));
        digests.extend(inventory.looked_for.iter().flat_map(|receipt| [Some(receipt.subject), receipt.answer]).flatten());
        digests.extend(bundle.documents().chain(bundle.policy_documents()).map(|document| document.digest));
        digests.extend(bundle.attachments().iter().flat_map(|one| [one.digest(), Digest::of(one.payload())]));
        digests.extend(self.fallbacks.iter().map(|index| index.digest));
        digests
    }

    /// What was found wrong, and every digest with what it is.
    pub(super) fn list(&self) -> Vec<String> {
        let findings = self.opened.findings.iter();
        let findings = findings.map(|finding| format!("{}  {}: {}", finding.code, finding.subject, finding.message));
        let digests = self.digests().into_iter().map(|digest| {
            let roles: Vec<_> = roles(self, &digest).into_iter().map(|role| role.is).collect();
            format!("{digest}  {}", roles.join(" "))
        });
        findings.chain(digests).collect()
    }

    /// What, where, why it matters, what to do.
    pub(super) fn explain(&self, digest: &Digest) -> Vec<String> {
        let roles = roles(self, digest);
        let mut lines = vec![digest.to_string(), String::new()];
        section(&mut lines, "What", &roles.iter().map(|role| role.is.clone()).collect::<Vec<_>>());
        let mut places = self.opened.bundle.as_ref().map(|bundle| places(bundle, digest)).unwrap_or_default();
        let about = digest.to_string();
        let wrong: Vec<_> = self.opened.findings.iter().filter(|finding| finding.subject.contains(&about)).collect();
        places.extend(wrong.iter().map(|finding| format!("Wrong: {}: {}", finding.code, finding.message)));
        if places.is_empty() {
            places.push("In no list of the archive but its own.".to_owned());
        }
        section(&mut lines, "Where", &places);
        let reasons: BTreeSet<_> = roles.iter().map(|role| role.why).collect();
        section(&mut lines, "Why", &reasons.into_iter().map(str::to_owned).collect::<Vec<_>>());
        let to_do = match wrong.first() {
            Some(finding) => format!("`carnet why {}` explains what is wrong.", finding.code),
            None => {
                "`carnet tree ARCHIVE` shows what is around it; `carnet verify ARCHIVE` with your files judges it.".to_owned()
            }
        };
        section(&mut lines, "To do", &[to_do]);
        lines.pop();
        lines
    }
}

/// Where it was found, what is about it, where that was looked for.
fn places(bundle: &Bundle, digest: &Digest) -> Vec<String> {
    let inventory = bundle.inventory();
    let mut lines = Vec::new();
    if bundle.has(digest) {
        lines.push(format!("In the archive as blobs/sha256/{}, its bytes as named.", digest.to_hex()));
    }
    for entry in inventory.evidence.iter().filter(|entry| entry.digest == *digest) {
        lines.extend(entry.found_in.iter().map(|place| format!("Found by {}.", found_by(place))));
    }
    for entry in inventory.evidence.iter().filter(|entry| entry.subject == *digest) {
        let predicate = if entry.predicate_type.is_empty() { String::new() } else { format!(" of {}", entry.predicate_type) };
        lines.push(format!("Evidence about it: {}{predicate} {}.", entry.kind, entry.digest));
    }
    for attachment in bundle.attachments().iter().filter(|attachment| attachment.digest() == *digest) {
        lines.push(format!("Attached to the bundle {}, in index.json.", attachment.subject()));
    }
    for receipt in inventory.looked_for.iter().filter(|receipt| receipt.subject == *digest) {
        let note = if receipt.note.is_empty() { String::new() } else { format!(" ({})", receipt.note) };
        lines.push(format!("Looked for evidence by {} in {}: {}{note}.", receipt.method, receipt.repository, receipt.result));
    }
    lines
}

fn found_by(place: &Place) -> String {
    let tag = if place.tag.is_empty() { String::new() } else { format!(", tag {}", place.tag) };
    format!("{} in {}{tag}", place.method, place.repository)
}
