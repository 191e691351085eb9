//! `--pin-images`: images.yaml with every image as `repo:tag@digest`, so that the
//! far side need not take anybody's word for what a tag was.

use std::fmt::Write as _;

use carnet_bundle::{Inventory, Reference};
use carnet_policy::{Images, images::Source};

/// The components of images.yaml in their order, then what was asked for on the
/// command line. Names, references and sources are written as JSON, which YAML
/// reads as it stands.
pub(crate) fn render(images: &Images, inventory: &Inventory) -> String {
    let mut text = "components:\n".to_owned();
    let mut done = Vec::new();
    let mut line = |name: &str, image: String, source: &Source| {
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  - name: {}\n    containerImage: {}", quoted(name), quoted(&image));
        if let Some(git) = source.git.as_ref().and_then(|git| serde_json::to_string(git).ok()) {
            let _ = writeln!(text, "    source: {{\"git\": {git}}}");
        }
    };
    for component in &images.components {
        let asked = component.reference.to_string();
        if let Some(subject) = inventory.subjects.iter().find(|subject| subject.reference == asked) {
            line(&component.name, pinned(&asked, subject.digest), &component.source);
            done.push(asked);
        }
    }
    for subject in inventory.subjects.iter().filter(|subject| !done.contains(&subject.reference)) {
        let name = subject.reference.parse::<Reference>().map_or_else(|_| String::new(), |r| r.repository().to_owned());
        let name = name.rsplit('/').next().unwrap_or_default().to_owned();
        line(&name, pinned(&subject.reference, subject.digest), &Source::default());
    }
    text
}

/// The reference with its tag, if one was asked for, and its digest.
fn pinned(reference: &str, digest: carnet_bundle::Digest) -> String {
    let tagged = reference.split_once('@').map_or(reference, |(before, _)| before);
    format!("{tagged}@{digest}")
}
