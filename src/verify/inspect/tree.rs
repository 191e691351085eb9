//! The images with their platforms, and under each thing the evidence about it.

use std::collections::BTreeSet;

use carnet_bundle::{Bundle, Digest, inventory::EvidenceEntry};

use super::{
    Attached,
    text::{Page, described, human_size},
};

/// How deep evidence about evidence is followed; collection ends earlier.
const DEPTH: usize = 8;

pub(super) fn render(bundle: &Bundle) -> String {
    let mut tree = Tree { bundle, page: Page(String::new()) };
    for subject in &bundle.inventory().subjects {
        tree.page.line(format_args!("{} {}", subject.reference, subject.digest));
        tree.below(&subject.digest, "", 0);
    }
    let attached: Vec<_> = bundle.attachments().iter().map(Attached::new).collect();
    if !attached.is_empty() {
        tree.page.line(format_args!("bundle {}", bundle.id()));
    }
    for (n, one) in attached.iter().enumerate() {
        let branch = if n + 1 == attached.len() { "└── " } else { "├── " };
        tree.page.line(format_args!("{branch}{}", described(one)));
    }
    tree.page.0
}

struct Tree<'a> {
    bundle: &'a Bundle,
    page: Page,
}

/// What stands under a thing: its children, then the evidence about it.
enum Twig<'a> {
    Child { label: String, digest: Digest },
    Evidence(&'a EvidenceEntry),
}

impl<'a> Tree<'a> {
    fn below(&mut self, digest: &Digest, indent: &str, depth: usize) {
        if depth > DEPTH {
            self.page.line(format_args!("{indent}└── …"));
            return;
        }
        let twigs = self.twigs(digest);
        let count = twigs.len();
        for (n, twig) in twigs.into_iter().enumerate() {
            let (branch, more) = if n + 1 == count { ("└── ", "    ") } else { ("├── ", "│   ") };
            let (label, below) = match twig {
                Twig::Child { label, digest } => (label, digest),
                Twig::Evidence(entry) => (self.evidence(entry), entry.digest),
            };
            self.page.line(format_args!("{indent}{branch}{label}"));
            self.below(&below, &format!("{indent}{more}"), depth + 1);
        }
    }

    fn twigs(&self, digest: &Digest) -> Vec<Twig<'a>> {
        let bundle = self.bundle;
        let buildkit = bundle.tree().buildkit();
        let is_image = bundle.tree().images().contains(digest);
        let manifest = bundle.manifest(digest).filter(|_| is_image);
        let mut seen = BTreeSet::new();
        let children = manifest.into_iter().flat_map(|manifest| manifest.children());
        let children = children.filter(|child| !buildkit.contains_key(&child.digest) && seen.insert(child.digest));
        let child = |child: &carnet_bundle::Descriptor| {
            let platform = child.platform.as_ref().map_or_else(|| "no platform".to_owned(), ToString::to_string);
            let state = if bundle.has(&child.digest) { "" } else { " (left out)" };
            Twig::Child { label: format!("{platform} {}{state}", child.digest), digest: child.digest }
        };
        let evidence = bundle.inventory().evidence.iter().filter(|entry| entry.subject == *digest);
        children.map(child).chain(evidence.map(Twig::Evidence)).collect()
    }

    fn evidence(&self, entry: &EvidenceEntry) -> String {
        let bytes = self
            .bundle
            .manifest(&entry.digest)
            .map_or(0, |manifest| manifest.layers().iter().map(|layer| layer.size).fold(0, u64::saturating_add));
        let bytes = match self.bundle.blob(&entry.digest) {
            Some(loose) if bytes == 0 => u64::try_from(loose.len()).unwrap_or(u64::MAX),
            _ => bytes,
        };
        let predicate_type = if entry.predicate_type.is_empty() { String::new() } else { format!(" {}", entry.predicate_type) };
        let methods: BTreeSet<_> = entry.found_in.iter().map(|place| place.method.to_string()).collect();
        let methods: Vec<_> = methods.into_iter().collect();
        format!("{}{predicate_type} {} ({}, by {})", entry.kind, entry.digest, human_size(bytes), methods.join(", "))
    }
}
