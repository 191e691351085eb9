//! The inventory against the tree, and the receipts (`bundle-spec/verify.md` V4).

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    codes,
    digest::Digest,
    finding::{Code, Finding},
    inventory::{Absence, EvidenceEntry, LookResult, Method, Receipt, Role, Subject},
    manifest::{Body, Descriptor},
    media,
    open::Bundle,
    reference::Reference,
};

/// Derives again what the inventory says and compares.
pub(crate) fn inventory(bundle: &Bundle, roots: &[(Descriptor, String)], evidence: &[Descriptor]) -> Vec<Finding> {
    let mut findings: Vec<Finding> = order(bundle).into_iter().collect();
    findings.extend(subjects(bundle, roots));
    findings.extend(evidence_entries(bundle, evidence));
    findings.extend(absences(bundle));
    findings.extend(receipts(bundle));
    findings
}

/// Says how two versions of a document differ, without printing either.
pub(crate) fn difference(got: &[u8], want: &[u8]) -> String {
    format!("got {} ({} bytes), want {} ({} bytes)", Digest::of(got), got.len(), Digest::of(want), want.len())
}

fn mismatch(subject: impl ToString, message: impl Into<String>) -> Finding {
    Finding::new(&codes::INVENTORY_MISMATCH, subject, message)
}

fn order(bundle: &Bundle) -> Option<Finding> {
    (!bundle.inventory().is_sorted()).then(|| mismatch("inventory.json", "a list is not sorted, or an entry stands twice"))
}

/// V4.2: subjects are the image roots, with every child of an index.
fn subjects(bundle: &Bundle, roots: &[(Descriptor, String)]) -> Vec<Finding> {
    let listed = &bundle.inventory().subjects;
    if listed.len() != roots.len() {
        return vec![mismatch("subjects", format!("got {} subjects, want the {} image roots", listed.len(), roots.len()))];
    }
    let derive = |(root, reference): &(Descriptor, String)| {
        let manifest = bundle.manifest(&root.digest)?;
        Some(Subject::new(reference.clone(), root, manifest, |child| bundle.has(child)))
    };
    let pairs = roots.iter().zip(listed);
    pairs
        .filter(|(root, listed)| derive(root).is_some_and(|want| want != **listed))
        .map(|((root, reference), _)| mismatch(root.digest, format!("the entry of {reference} is not what its manifest gives")))
        .collect()
}

/// V4.2: every piece of evidence has an entry, and every entry is a piece of evidence.
fn evidence_entries(bundle: &Bundle, evidence: &[Descriptor]) -> Vec<Finding> {
    let buildkit = bundle.tree().buildkit().keys().filter(|digest| bundle.manifest(digest).is_some());
    let loose = bundle.documents().filter(|d| d.media_type == media::LOOSE_EVIDENCE).map(|d| d.digest);
    let mut want: BTreeSet<Digest> = buildkit.copied().chain(loose).collect();
    want.extend(evidence.iter().map(|d| d.digest));

    let listed: BTreeSet<Digest> = bundle.inventory().evidence.iter().map(|entry| entry.digest).collect();
    let missing = want.difference(&listed).map(|digest| mismatch(digest, "evidence without an entry in the inventory"));
    let surplus = listed.difference(&want).map(|digest| mismatch(digest, "an entry for evidence that the tree does not name"));
    let wrong = bundle.inventory().evidence.iter().filter_map(|entry| evidence_entry(bundle, entry));
    missing.chain(surplus).chain(wrong).collect()
}

fn evidence_entry(bundle: &Bundle, entry: &EvidenceEntry) -> Option<Finding> {
    let named = match bundle.tree().buildkit().get(&entry.digest) {
        Some(subject) => Some(*subject),
        None => bundle.manifest(&entry.digest)?.subject.as_ref().map(|subject| subject.digest),
    };
    match named {
        Some(subject) if subject != entry.subject => {
            Some(mismatch(entry.digest, format!("subject mismatch: got {}, want {subject} as the manifest says", entry.subject)))
        }
        None if bundle.manifest(&entry.subject).is_none() => {
            Some(mismatch(entry.digest, format!("its subject {} is not in the bundle", entry.subject)))
        }
        None if !entry.found_in.iter().any(|place| names_subject(place.method)) => {
            Some(mismatch(entry.digest, "nothing says what it is evidence about: no subject, no tag"))
        }
        _ => None,
    }
}

/// Whether a place names the subject of what is found there.
fn names_subject(method: Method) -> bool {
    matches!(method, Method::CosignAtt | Method::CosignSbom | Method::CosignSig | Method::LooseFile)
}

/// V4.3: absences are named by the tree; each is said.
fn absences(bundle: &Bundle) -> Vec<Finding> {
    let named = named_blobs(bundle);
    let mut findings = Vec::new();
    let mut by_owner: BTreeMap<(Digest, Role), Vec<&Absence>> = BTreeMap::new();
    for absence in &bundle.inventory().absent {
        match named.get(&(absence.digest, absence.role)) {
            Some((size, owner)) if *size == absence.size && !bundle.has(&absence.digest) => {
                by_owner.entry((*owner, absence.role)).or_default().push(absence);
            }
            _ => findings.push(Finding::new(
                &codes::ABSENCE_NOT_NAMED,
                absence.digest,
                "declared absent, but it is there, or the tree names no such blob of that size and role",
            )),
        }
    }
    findings.extend(by_owner.into_iter().map(|((owner, role), absences)| absence_finding(&owner, role, &absences)));
    findings
}

fn absence_finding(owner: &Digest, role: Role, absences: &[&Absence]) -> Finding {
    let list: Vec<String> = absences.iter().map(|a| format!("{} ({} bytes, {})", a.digest, a.size, a.reason)).collect();
    Finding::new(absence_code(role), owner, format!("not carried: {}", list.join(", ")))
}

fn absence_code(role: Role) -> &'static Code {
    match role {
        Role::Child => &codes::CHILD_NOT_CARRIED,
        Role::Config => &codes::CONFIG_NOT_CARRIED,
        Role::Evidence => &codes::EVIDENCE_NOT_CARRIED,
        Role::Layer => &codes::LAYERS_NOT_CARRIED,
    }
}

/// Every blob that a manifest of the tree names: size, and the manifest that names it.
fn named_blobs(bundle: &Bundle) -> BTreeMap<(Digest, Role), (u64, Digest)> {
    let mut named = BTreeMap::new();
    for (digest, manifest) in bundle.tree().manifests() {
        let image = bundle.tree().images().contains(digest);
        match &manifest.body {
            Body::Image { config, layers } => {
                let (config_role, layer_role) =
                    if image { (Role::Config, Role::Layer) } else { (Role::Evidence, Role::Evidence) };
                named.insert((config.digest, config_role), (config.size, *digest));
                named.extend(layers.iter().map(|layer| ((layer.digest, layer_role), (layer.size, *digest))));
            }
            Body::Index { manifests } => {
                named.extend(manifests.iter().map(|child| ((child.digest, Role::Child), (child.size, *digest))));
            }
        }
    }
    named
}

/// V4.4 and V4.5: a receipt for every image and method; gaps of the collection.
fn receipts(bundle: &Bundle) -> Vec<Finding> {
    let listed = &bundle.inventory().looked_for;
    let have: BTreeSet<(Digest, &str, Method)> = listed.iter().map(|r| (r.subject, r.repository.as_str(), r.method)).collect();
    let mut findings = Vec::new();
    for (subject, repository) in images_by_repository(bundle) {
        let lacks = |method: &&Method| !have.contains(&(subject, repository.as_str(), **method));
        let missing: Vec<String> = Method::PROFILE.iter().filter(lacks).map(ToString::to_string).collect();
        if !missing.is_empty() {
            let message = format!("no receipt in {repository} for {}", missing.join(", "));
            findings.push(Finding::new(&codes::RECEIPT_MISSING, subject, message));
        }
    }
    // A proof comes on top of a promise that travels; whether it is needed is the
    // trust policy's to say.
    let is_gap = |receipt: &&Receipt| receipt.result == LookResult::CouldNotLook && receipt.method != Method::LogProof;
    findings.extend(listed.iter().filter(is_gap).map(incomplete));
    findings
}

fn incomplete(receipt: &Receipt) -> Finding {
    let status = receipt.status.map_or_else(String::new, |status| format!(", HTTP status {status}"));
    let note = if receipt.note.is_empty() { String::new() } else { format!(", {}", receipt.note) };
    let message = format!("could not look by {} in {}{status}{note}", receipt.method, receipt.repository);
    Finding::new(&codes::COLLECTION_INCOMPLETE, receipt.subject, message)
}

fn images_by_repository(bundle: &Bundle) -> BTreeSet<(Digest, String)> {
    let mut images = BTreeSet::new();
    for subject in &bundle.inventory().subjects {
        let repository = subject.reference.parse::<Reference>().map_or_else(|_| subject.reference.clone(), |r| r.name());
        let mut waiting = vec![subject.digest];
        while let Some(digest) = waiting.pop() {
            if let Some(manifest) = bundle.manifest(&digest).filter(|_| bundle.tree().images().contains(&digest))
                && images.insert((digest, repository.clone()))
            {
                waiting.extend(manifest.children().iter().map(|child| child.digest));
            }
        }
    }
    images
}
