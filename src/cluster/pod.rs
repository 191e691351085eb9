//! Containers of a pod: which image each asks for, and which it runs.
//!
//! Read from JSON members by name rather than into the full types of the API: a
//! manifest of tomorrow's Kubernetes, or of another kind that has pods in it, is read
//! for the few members that matter here.

use serde_json::Value;

use crate::image_id::ImageId;

/// An image that a pod uses.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Use {
    /// What the specification asks for, as written there.
    pub(crate) image: String,
    /// What the runtime says that it runs.
    pub(crate) id: ImageId,
    /// Which container, and of which sort.
    pub(crate) container: String,
    /// Why it does not run, when it does not.
    pub(crate) waiting: String,
    /// To whom the pod belongs.
    pub(crate) owner: Owner,
    /// Name of the pod; empty for a template.
    pub(crate) pod: String,
}

/// To whom a pod belongs: what a person would look for.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Owner {
    /// Namespace; empty when a manifest names none.
    pub(crate) namespace: String,
    /// Kind, such as `Deployment`.
    pub(crate) kind: String,
    /// Name.
    pub(crate) name: String,
}

/// Containers in a specification, their states, and what to call the sort.
const SORTS: [(&str, &str, &str); 3] = [
    ("containers", "containerStatuses", ""),
    ("initContainers", "initContainerStatuses", "init "),
    ("ephemeralContainers", "ephemeralContainerStatuses", "ephemeral "),
];

/// The uses of images in a specification of a pod with the state it is in, if any.
pub(crate) fn uses(spec: &Value, status: &Value, owner: &Owner, pod: &str) -> Vec<Use> {
    let mut uses = Vec::new();
    for (specs, statuses, sort) in SORTS {
        for container in list(spec, specs) {
            let name = text(container, "name");
            let state = list(status, statuses).find(|state| text(state, "name") == name);
            let state = state.unwrap_or(&Value::Null);
            // The image of a template may be left to whoever admits the pod.
            let image = [text(container, "image"), text(state, "image")].into_iter().find(|image| !image.is_empty());
            let Some(image) = image else { continue };
            uses.push(Use {
                image: image.to_owned(),
                id: ImageId::parse(text(state, "imageID")),
                container: format!("{sort}container {name}"),
                waiting: state.pointer("/state/waiting/reason").and_then(Value::as_str).unwrap_or_default().to_owned(),
                owner: owner.clone(),
                pod: pod.to_owned(),
            });
        }
    }
    for volume in list(spec, "volumes") {
        let Some(image) = volume.pointer("/image/reference").and_then(Value::as_str) else { continue };
        uses.push(Use {
            image: image.to_owned(),
            // What was mounted is not said in the status of a pod.
            id: ImageId::None,
            container: format!("volume {}", text(volume, "name")),
            waiting: String::new(),
            owner: owner.clone(),
            pod: pod.to_owned(),
        });
    }
    uses
}

impl Owner {
    /// The owner of a pod that runs: its controller, and the Deployment behind a
    /// ReplicaSet, whose name is known from the label that the Deployment sets.
    pub(crate) fn of_pod(metadata: &Value) -> Self {
        let namespace = text(metadata, "namespace").to_owned();
        let controller = list(metadata, "ownerReferences").find(|owner| owner["controller"] == true);
        let (kind, name) = match controller {
            // A static pod belongs to its node, which is not what people look for.
            Some(owner) if text(owner, "kind") != "Node" => (text(owner, "kind"), text(owner, "name")),
            _ => ("Pod", text(metadata, "name")),
        };
        let hash = metadata.pointer("/labels/pod-template-hash").and_then(Value::as_str).unwrap_or_default();
        let deployment = name.strip_suffix(hash).and_then(|name| name.strip_suffix('-'));
        match deployment.filter(|_| kind == "ReplicaSet" && !hash.is_empty()) {
            Some(deployment) => Self { namespace, kind: "Deployment".to_owned(), name: deployment.to_owned() },
            None => Self { namespace, kind: kind.to_owned(), name: name.to_owned() },
        }
    }
}

impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.namespace.as_str() {
            "" => write!(f, "{} {}", self.kind, self.name),
            namespace => write!(f, "{namespace}/{} {}", self.kind, self.name),
        }
    }
}

/// A text member; empty when there is none.
pub(crate) fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// A list member; empty when there is none.
pub(crate) fn list<'v>(value: &'v Value, key: &str) -> impl Iterator<Item = &'v Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_belongs_to_what_a_person_would_look_for() {
        let owned = |kind: &str, name: &str| json!([{ "kind": kind, "name": name, "controller": true }]);
        let labels = json!({ "pod-template-hash": "5d9c7b8f6d" });
        for (owners, labels, want) in [
            (owned("ReplicaSet", "web-5d9c7b8f6d"), labels.clone(), "n/Deployment web"),
            (owned("ReplicaSet", "web-5d9c7b8f6d"), json!({}), "n/ReplicaSet web-5d9c7b8f6d"),
            (owned("ReplicaSet", "web"), labels, "n/ReplicaSet web"),
            (owned("StatefulSet", "db"), json!({}), "n/StatefulSet db"),
            (owned("Node", "worker"), json!({}), "n/Pod p"),
            (json!([{ "kind": "Service", "name": "x" }]), json!({}), "n/Pod p"),
            (json!(null), json!(null), "n/Pod p"),
        ] {
            let metadata = json!({ "name": "p", "namespace": "n", "ownerReferences": owners, "labels": labels });
            assert_eq!(Owner::of_pod(&metadata).to_string(), want);
        }
    }
}
