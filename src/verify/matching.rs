//! Components against images, in both directions (`bundle-spec/verify.md` V12).

use std::collections::{BTreeMap, BTreeSet};

use carnet_bundle::{Bundle, Descriptor, Digest, Finding, Platform, Reference, inventory::Subject};
use carnet_evidence::trust_policy::Scope;
use carnet_policy::{Component, Reading, images};

use crate::{codes, report::Assumption, weigh::covers};

/// A component and the image that it stands for.
#[derive(Clone, Debug)]
pub(crate) struct Matched {
    pub(crate) component: Component,
    /// `None` when the bundle does not carry it.
    pub(crate) digest: Option<Digest>,
}

/// What matching has found out.
#[derive(Debug, Default)]
pub(crate) struct Matching {
    pub(crate) matched: Vec<Matched>,
    pub(crate) findings: Vec<Finding>,
    pub(crate) assumptions: Vec<Assumption>,
    /// The images that components name, whether they are judged or their children,
    /// and the repositories that they name them by.
    expected: BTreeMap<Digest, BTreeSet<String>>,
    /// What the operator says that a tag stands for: `app:v1@sha256:…`.
    said: BTreeMap<(String, String), BTreeSet<Digest>>,
}

impl Matching {
    /// Finds the image of every component; an index stands for its carried
    /// children too, at every depth.
    pub(crate) fn new(components: &[Component], bundle: &Bundle, reading: Reading) -> Self {
        Self::within(Scope::AsConforma, &[], components, bundle, reading)
    }

    /// The same for the images that `signatures.scope` of the trust policy wants
    /// evidence of: `platforms` are those that `--platform` names.
    pub(crate) fn within(
        scope: Scope,
        platforms: &[Platform],
        components: &[Component],
        bundle: &Bundle,
        reading: Reading,
    ) -> Self {
        let mut matching = Self::default();
        for component in components {
            let asked = &component.reference;
            if let (Some(tag), Some(digest)) = (asked.tag(), asked.digest()) {
                matching.said.entry((asked.name(), tag.to_owned())).or_default().insert(*digest);
            }
            let digest = matching.resolve(component, bundle);
            if let Some(digest) = digest {
                matching.expected.entry(digest).or_default().insert(component.reference.name());
            }
            let at = matching.matched.len();
            matching.matched.push(Matched { component: component.clone(), digest });
            let Some(digest) = digest.filter(|_| scope != Scope::Root) else { continue };
            let platforms = if scope == Scope::SelectedPlatform { platforms } else { &[] };
            matching.expand(component, &digest, bundle, reading, platforms);
            // An image that has no children stands for itself in every scope.
            // Children speak for an index that the operator named by digest: behind a
            // tag the exporter would choose which index lists them.
            let is_pinned = component.reference.digest().is_some();
            if scope == Scope::EveryPlatform && is_pinned && matching.matched.len() > at + 1 {
                matching.matched.remove(at);
            }
        }
        matching
    }

    fn resolve(&mut self, component: &Component, bundle: &Bundle) -> Option<Digest> {
        match component.reference.digest() {
            Some(digest) => self.by_digest(component, digest, bundle),
            None => self.by_tag(component, bundle),
        }
    }

    fn by_digest(&mut self, component: &Component, digest: &Digest, bundle: &Bundle) -> Option<Digest> {
        if !is_readable(bundle, digest) {
            return self.not_carried(component, "no image of the bundle has this digest");
        }
        let subjects = bundle.inventory().subjects.iter().filter(|subject| subject.digest == *digest);
        let exported: BTreeSet<_> = subjects.map(|s| reference(s).map_or_else(|| s.reference.clone(), |r| r.name())).collect();
        if !exported.is_empty() && !exported.contains(&component.reference.name()) {
            let names: Vec<_> = exported.into_iter().collect();
            let message = format!("{} was exported from {}", component.container_image, names.join(", "));
            self.findings.push(Finding::new(&codes::IMAGE_UNDER_ANOTHER_NAME, digest, message));
        }
        Some(*digest)
    }

    /// A tag proves nothing: which digest it had is the exporter's word.
    fn by_tag(&mut self, component: &Component, bundle: &Bundle) -> Option<Digest> {
        let asked = &component.reference;
        let same = |s: &&Subject| {
            let is_asked =
                |r: Reference| r.name() == asked.name() && r.tag() == asked.tag() && r.digest().is_none_or(|d| *d == s.digest);
            reference(s).is_some_and(is_asked)
        };
        let digests: BTreeSet<_> = bundle.inventory().subjects.iter().filter(same).map(|s| s.digest).collect();
        let mut digests = digests.into_iter();
        match (digests.next(), digests.next()) {
            (Some(digest), None) if is_readable(bundle, &digest) => {
                self.assumptions.push(tag_resolution(component, &digest));
                Some(digest)
            }
            (Some(one), Some(other)) => {
                let message = format!("{} stands for {one} and {other}", component.container_image);
                self.findings.push(Finding::new(&codes::IMAGE_AMBIGUOUS, &component.container_image, message));
                None
            }
            _ => self.not_carried(component, "no image was exported under this reference"),
        }
    }

    fn not_carried(&mut self, component: &Component, reason: &str) -> Option<Digest> {
        let message = format!("component {:?}: {reason}", component.name);
        self.findings.push(Finding::new(&codes::IMAGE_NOT_CARRIED, &component.container_image, message));
        None
    }

    /// Adds the carried children of an index; of `platforms` only, if any are named.
    fn expand(&mut self, component: &Component, digest: &Digest, bundle: &Bundle, reading: Reading, platforms: &[Platform]) {
        let Some(manifest) = bundle.manifest(digest) else { return };
        for child in images::expand(component, manifest.children(), reading) {
            let Some(digest) = child.reference.digest().copied().filter(|digest| bundle.has(digest)) else { continue };
            if !manifest.children().iter().any(|entry| entry.digest == digest && is_selected(entry, platforms)) {
                continue;
            }
            self.matched.push(Matched { component: child.clone(), digest: Some(digest) });
            self.expand(&child, &digest, bundle, reading, platforms);
        }
    }

    /// Images that were carried and that nobody expects, under this name or at all.
    pub(crate) fn unexpected(&self, bundle: &Bundle) -> Vec<Finding> {
        let subjects = &bundle.inventory().subjects;
        let is_expected = |subject: &Subject| match self.expected.get(&subject.digest) {
            _ if self.is_contradicted(subject) => false,
            Some(names) if is_named(subject, names) => true,
            Some(names) => {
                let is_same = |other: &Subject| other.digest == subject.digest && is_named(other, names);
                !self.is_of_another(subject) && !subjects.iter().any(is_same)
            }
            None => self.is_judged(subject),
        };
        let unexpected = subjects.iter().filter(|subject| !is_expected(subject));
        unexpected
            .map(|s| Finding::new(&codes::IMAGE_NOT_EXPECTED, s.digest, format!("no component expects {}", s.reference)))
            .collect()
    }

    /// Whether an image is judged as the child of one that a component names.
    fn is_judged(&self, subject: &Subject) -> bool {
        let name = reference(subject).map(|reference| reference.name());
        let mut judged = self.matched.iter().filter(|matched| matched.digest == Some(subject.digest)).peekable();
        judged.peek().is_some()
            && (judged.any(|matched| Some(matched.component.reference.name()) == name) || !self.is_of_another(subject))
    }

    /// Whether components say of this very tag that it stands for another image.
    fn is_contradicted(&self, subject: &Subject) -> bool {
        let name = reference(subject).and_then(|reference| Some((reference.name(), reference.tag()?.to_owned())));
        name.and_then(|name| self.said.get(&name)).is_some_and(|digests| !digests.contains(&subject.digest))
    }

    /// Whether a component names another image so. A mirror has a name of its own;
    /// under this one people would load other bytes than those that they named.
    fn is_of_another(&self, subject: &Subject) -> bool {
        let Some(name) = reference(subject).map(|reference| reference.name()) else { return false };
        self.expected.iter().any(|(digest, names)| *digest != subject.digest && names.contains(&name))
    }
}

/// Whether an image was exported from one of these repositories. One that was
/// exported from none of them alone is a mirror of it; beside one that was, it is the
/// same bytes under a name that nobody asked for.
fn is_named(subject: &Subject, names: &BTreeSet<String>) -> bool {
    reference(subject).is_some_and(|reference| names.contains(&reference.name()))
}

/// Whether an image is here with a manifest that could be read: without one, its
/// children and layers are unknown.
fn is_readable(bundle: &Bundle, digest: &Digest) -> bool {
    bundle.tree().images().contains(digest) && bundle.has(digest) && bundle.manifest(digest).is_some()
}

/// Whether a child is of one of `platforms`. One that says nothing of its platform,
/// a nested index for instance, is never left out.
fn is_selected(child: &Descriptor, platforms: &[Platform]) -> bool {
    let named = |platform: &Platform| platforms.iter().any(|asked| covers(asked, platform));
    platforms.is_empty() || child.platform.as_ref().is_none_or(named)
}

fn reference(subject: &Subject) -> Option<Reference> {
    subject.reference.parse().ok()
}

fn tag_resolution(component: &Component, digest: &Digest) -> Assumption {
    Assumption {
        code: "tag-resolution".to_owned(),
        subject: component.container_image.clone(),
        message: format!("the tag stood for {digest} when the image was exported"),
        used_by: vec![format!("component {}", component.name)],
        vouched_by: String::new(),
    }
}
