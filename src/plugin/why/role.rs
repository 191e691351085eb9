//! What a digest stands for in an archive, and what rests on it.

use carnet_bundle::{Bundle, Descriptor, Digest, Inventory, Manifest, Platform, media};

use super::held::Held;

const ANCHOR: &str =
    "Everything in the archive follows from it: an operator who gives it with --bundle-id accepts no other archive.";
const CONTENT: &str = "It is the same for two exports of the same things, whenever and by whomever they were made.";
const IMAGE: &str = "It is what runs, what signatures are about and what images.yaml expects. A tag can be moved; this cannot.";
const PART: &str = "It belongs to an image: one changed byte of it and the image is another one.";
const EVIDENCE: &str = "It is evidence. What it is worth, only a verdict says: nothing here has verified a signature.";
const MAP: &str =
    "It says what the archive holds and where it was looked for. It is checked against the content and decides nothing.";
const DERIVED: &str = "It follows from the rest, for tools that read OCI layouts; a verifier computes it again.";
const DOCUMENT: &str = "It travels along. It has no authority by being in the archive: the operator's own files count.";
const PROOF: &str = "It can show that a signature was logged, once carnet-verify has held it against a log of the trust root.";
const ATTACHED: &str = "It was added after the export and is about the bundle itself. It counts only by whom the operator names or \
                        trusts; without it the bundle is whole.";
const ABSENT: &str = "It is declared absent, so the verdict fails unless the operator accepts that it did not travel.";
const WORD: &str =
    "A receipt is the exporter's word on what a registry answered; it is the ground for saying that there was nothing.";
const NAMED: &str = "Something in the archive refers to it; it is no part of the archive itself.";

/// One thing that a digest is.
pub(super) struct Role {
    /// A sentence.
    pub(super) is: String,
    /// Why that matters.
    pub(super) why: &'static str,
}

/// Everything that a digest is in an archive; at least one thing.
pub(super) fn roles(held: &Held<'_>, digest: &Digest) -> Vec<Role> {
    let mut roles = Roles { digest: *digest, found: Vec::new() };
    if held.opened.id == *digest {
        roles.add("The bundle id: the digest of the bundle index.".to_owned(), ANCHOR);
    }
    if let Some(bundle) = &held.opened.bundle {
        if bundle.content_id() == *digest {
            roles.add("The content id: what two exports of the same things have in common.".to_owned(), CONTENT);
        }
        roles.of_inventory(bundle.inventory());
        roles.of_documents(bundle);
        roles.of_attachments(bundle);
        roles.of_manifest(bundle);
        bundle.tree().manifests().for_each(|(parent, manifest)| roles.below(bundle, parent, manifest));
    }
    for index in held.fallbacks.iter().filter(|index| index.digest == *digest) {
        roles.add(format!("The index of the evidence about {}, as the tag schema of OCI has it.", index.subject), DERIVED);
    }
    if roles.found.is_empty() {
        roles.add("Named by the archive.".to_owned(), NAMED);
    }
    roles.found
}

struct Roles {
    digest: Digest,
    found: Vec<Role>,
}

impl Roles {
    fn add(&mut self, is: String, why: &'static str) {
        self.found.push(Role { is, why });
    }

    fn of_inventory(&mut self, inventory: &Inventory) {
        let digest = self.digest;
        for subject in inventory.subjects.iter().filter(|subject| subject.digest == digest) {
            self.add(format!("The image {} ({}, {} bytes).", subject.reference, subject.media_type, subject.size), IMAGE);
        }
        for entry in inventory.evidence.iter().filter(|entry| entry.digest == digest) {
            let predicate = if entry.predicate_type.is_empty() { String::new() } else { format!(" of {}", entry.predicate_type) };
            self.add(format!("Evidence, unverified here: {}{predicate} about {}.", entry.kind, entry.subject), EVIDENCE);
        }
        for proof in &inventory.proofs {
            if proof.digest == digest {
                self.add(format!("A log entry fetched at export from {}, leaf {}.", proof.log, proof.leaf), PROOF);
            } else if proof.leaf == digest {
                self.add(format!("The leaf of a log entry of {}, stored as {}.", proof.log, proof.digest), PROOF);
            }
        }
        for absence in inventory.absent.iter().filter(|absence| absence.digest == digest) {
            self.add(format!("Not in the archive: {} ({} bytes), {}.", absence.role, absence.size, absence.reason), ABSENT);
        }
        for receipt in inventory.looked_for.iter().filter(|receipt| receipt.answer == Some(digest)) {
            let what = format!("The answer of {} to {} about {}.", receipt.repository, receipt.method, receipt.subject);
            self.add(what, WORD);
        }
    }

    fn of_documents(&mut self, bundle: &Bundle) {
        let digest = self.digest;
        for document in bundle.documents().filter(|document| document.digest == digest) {
            let is_trust = [media::TRUSTED_ROOT, media::PUBLIC_KEY].contains(&document.media_type);
            let kind = if is_trust { "Trust material" } else { "The document" };
            self.add(format!("{kind} {} ({}, {} bytes).", document.title, document.media_type, document.bytes.len()), DOCUMENT);
        }
        for document in bundle.policy_documents().filter(|document| document.digest == digest) {
            self.add(format!("A source of the policy, {} ({}).", document.title, document.media_type), DOCUMENT);
        }
    }

    fn of_attachments(&mut self, bundle: &Bundle) {
        for attachment in bundle.attachments() {
            let (digest, kind) = (attachment.digest(), attachment.kind());
            if digest == self.digest {
                self.add(format!("An attachment, unverified here: {kind}, {} bytes.", attachment.payload().len()), ATTACHED);
            } else if Digest::of(attachment.payload()) == self.digest {
                self.add(format!("The content of the attachment {digest}: {kind}."), ATTACHED);
            }
        }
    }

    /// What its own manifest says, and the one config that many share.
    fn of_manifest(&mut self, bundle: &Bundle) {
        match bundle.manifest(&self.digest).and_then(Manifest::effective_artifact_type) {
            Some(media::CONTROL) => self.add("The control manifest: it names the inventory and the documents.".to_owned(), MAP),
            Some(media::POLICY) => self.add("The policy manifest: it names the sources of rules.".to_owned(), MAP),
            _ => {}
        }
        if self.is_empty_config() {
            let config = |manifest: &Manifest| manifest.config().is_some_and(|config| config.digest == self.digest);
            let count = bundle.tree().manifests().filter(|(_, manifest)| config(manifest)).count();
            self.add(format!("The empty config of {count} manifests."), PART);
        }
    }

    fn is_empty_config(&self) -> bool {
        Digest::of(media::EMPTY_JSON) == self.digest
    }

    /// What a manifest that names it says.
    fn below(&mut self, bundle: &Bundle, parent: &Digest, manifest: &Manifest) {
        let tree = bundle.tree();
        let digest = self.digest;
        let is_it = |descriptor: &&Descriptor| descriptor.digest == digest;
        let is_image = tree.images().contains(parent);
        if let Some(child) = manifest.children().iter().find(is_it).filter(|_| is_image) {
            match tree.buildkit().contains_key(&digest) {
                true => self.add(format!("A BuildKit attestation manifest of the index {parent}."), EVIDENCE),
                false => self.add(format!("The image for {} of the index {parent}.", platform(child.platform.as_ref())), IMAGE),
            }
        }
        if let Some(layer) = manifest.layers().iter().find(is_it) {
            let form = format!("({}, {} bytes)", layer.media_type, layer.size);
            match manifest.effective_artifact_type() {
                _ if is_image => self.add(format!("A layer of the image {parent} {form}."), PART),
                Some(media::CONTROL) if layer.media_type == media::INVENTORY => self.add(format!("The inventory {form}."), MAP),
                // Said with its title.
                Some(media::CONTROL | media::POLICY) => {}
                _ => self.add(format!("A payload of the evidence {parent} {form}."), EVIDENCE),
            }
        }
        if let Some(config) = manifest.config().filter(is_it).filter(|_| !self.is_empty_config()) {
            let (what, why) = if is_image { ("image", PART) } else { ("evidence", EVIDENCE) };
            self.add(format!("The config of the {what} {parent} ({} bytes).", config.size), why);
        }
    }
}

fn platform(platform: Option<&Platform>) -> String {
    platform.map_or_else(|| "no platform".to_owned(), ToString::to_string)
}
