//! images.yaml from what runs: the list of expected images that Conforma and carnet
//! read, with comments that say where each runs.
//!
//! Comments and not keys: Conforma passes over keys that it does not know, carnet
//! warns of them, and neither is to be taught new ones.

use std::collections::BTreeMap;

use carnet_verify::report::{escape_line, render_yaml};
use serde_json::{Value, json};

use crate::{image_id::ImageId, running::Running};

/// One component of the list.
pub(crate) struct Component {
    name: String,
    pub(crate) image: String,
    comments: Vec<String>,
    /// Whether the digest is not known in a registry.
    pub(crate) is_open: bool,
}

/// Makes a component for each image, named for the first that uses it.
pub(crate) fn components(running: &[Running]) -> Vec<Component> {
    let mut by_image: BTreeMap<String, Vec<&Running>> = BTreeMap::new();
    for one in running {
        by_image.entry(one.named()).or_default().push(one);
    }
    let mut taken: BTreeMap<String, usize> = BTreeMap::new();
    let mut component = |(image, all): (String, Vec<&Running>)| {
        let wanted = all.first().map(|one| name(one)).unwrap_or_default();
        let count = taken.entry(wanted.clone()).or_default();
        *count += 1;
        let name = if *count == 1 { wanted } else { format!("{wanted}-{count}") };
        let comments = all.iter().flat_map(|one| comments(one)).collect();
        Component { name, image, comments, is_open: all.iter().any(|one| !one.is_pinned()) }
    };
    by_image.into_iter().map(&mut component).collect()
}

/// The list as YAML.
pub(crate) fn yaml(components: &[Component], place: &str) -> String {
    let mut text = format!("# What runs {}, as `carnet images` saw it.\ncomponents:\n", escape_line(place));
    for component in components {
        component.comments.iter().for_each(|comment| text.push_str(&format!("# {}\n", escape_line(comment))));
        let one = render_yaml(&json!({ "components": [component.document()] }));
        text.push_str(one.strip_prefix("components:\n").unwrap_or(&one));
    }
    text
}

/// The list as JSON.
pub(crate) fn json(components: &[Component]) -> Value {
    json!({ "components": components.iter().map(Component::document).collect::<Vec<_>>() })
}

impl Component {
    fn document(&self) -> Value {
        json!({ "name": self.name, "containerImage": self.image })
    }
}

/// `owner-container`, or the owner alone when its container has the same name.
fn name(running: &Running) -> String {
    let Some(first) = running.uses.iter().min_by_key(|one| (&one.owner, &one.container)) else { return String::new() };
    let container = first.container.rsplit(' ').next().unwrap_or_default();
    match first.owner.name.as_str() {
        owner if owner == container || container.is_empty() => owner.to_owned(),
        owner => format!("{owner}-{container}"),
    }
}

fn comments(running: &Running) -> Vec<String> {
    let mut comments = Vec::new();
    for (owner, containers) in running.owners() {
        let containers = containers.into_iter().collect::<Vec<_>>().join(", ");
        comments.push(match running.pods(Some(owner)) {
            0 => format!("{owner}: {containers}"),
            1 => format!("{owner}: {containers} (1 pod)"),
            pods => format!("{owner}: {containers} ({pods} pods)"),
        });
    }
    match &running.id {
        ImageId::Pinned(pinned) if running.reference.as_ref().is_none_or(|asked| asked.name() != pinned.name()) => {
            comments.push(format!("asked for as {}", running.image));
        }
        ImageId::Config(digest) => comments.push(format!(
            "no registry knows what runs: the runtime says only that its configuration is {digest}; the tag may stand for another image"
        )),
        ImageId::Unknown(text) => comments.push(format!("the runtime calls it {text:?}, which is no digest")),
        ImageId::None if running.digest().is_none() && running.pods(None) > 0 => {
            comments.push("what runs is not known: no status names a digest".to_owned());
        }
        ImageId::None | ImageId::Pinned(_) => {}
    }
    comments
}
