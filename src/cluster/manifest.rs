//! Objects of Kubernetes in files and answers, and the pods in them.

use carnet_bundle::json;
use serde_json::Value;

use crate::pod::{Owner, Use, list, text, uses};

/// Where objects keep the specification of their pods: a pod itself, what makes pods
/// (Deployment, StatefulSet, DaemonSet, ReplicaSet, Job), CronJob, PodTemplate. Kinds
/// that the API server does not come with are found by the same places.
const PLACES: [&str; 4] = ["/spec/jobTemplate/spec/template", "/spec/template", "/template", ""];
/// Deepest nesting of lists in lists.
const MAX_NESTING: usize = 4;

/// What a file or an answer holds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Found {
    /// Every use of an image.
    pub(crate) uses: Vec<Use>,
    /// Pods that have ended.
    pub(crate) ended: usize,
    /// Kinds of objects without pods.
    pub(crate) others: std::collections::BTreeSet<String>,
}

/// Reads one or more documents: JSON, or YAML.
///
/// # Errors
///
/// Returns why it is neither.
pub(crate) fn documents(bytes: &[u8]) -> Result<Vec<Value>, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim_start().starts_with('{')
        && let Ok(value) = json::parse(text.as_bytes())
    {
        return Ok(vec![value]);
    }
    serde_saphyr::from_multiple(text).map_err(|error| error.to_string().lines().next().unwrap_or_default().to_owned())
}

impl Found {
    /// Adds what an object holds, or each object of a list.
    pub(crate) fn add(&mut self, object: &Value) {
        self.add_nested(object, "", MAX_NESTING);
    }

    /// Takes everything that `other` holds.
    pub(crate) fn extend(&mut self, other: Self) {
        self.uses.extend(other.uses);
        self.others.extend(other.others);
        self.ended += other.ended;
    }

    fn add_nested(&mut self, object: &Value, kind_of_list: &str, depth: usize) {
        let kind = match text(object, "kind") {
            // Items of a list of one kind do not name it again.
            "" => kind_of_list,
            kind => kind,
        };
        if let Some(kind) = kind.strip_suffix("List").filter(|_| object.get("items").is_some()) {
            match depth {
                // What is not read is named, or an image would be missing in silence.
                0 => _ = self.others.insert(format!("{kind}List in lists too deep")),
                _ => list(object, "items").for_each(|item| self.add_nested(item, kind, depth - 1)),
            }
            return;
        }
        let Some(template) = PLACES.iter().filter_map(|place| object.pointer(place)).find(|at| has_pod(at)) else {
            // An empty document of a YAML file is nothing.
            if !object.is_null() {
                self.others.insert(if kind.is_empty() { "an object without a kind".to_owned() } else { kind.to_owned() });
            }
            return;
        };
        let metadata = object.get("metadata").unwrap_or(&Value::Null);
        let is_pod = kind == "Pod";
        let status = object.get("status").filter(|_| is_pod).unwrap_or(&Value::Null);
        if matches!(text(status, "phase"), "Succeeded" | "Failed") {
            self.ended += 1;
            return;
        }
        let name = text(metadata, "name");
        let owner = match is_pod {
            true => Owner::of_pod(metadata),
            false => Owner { namespace: text(metadata, "namespace").to_owned(), kind: kind.to_owned(), name: name.to_owned() },
        };
        self.uses.extend(uses(&template["spec"], status, &owner, if is_pod { name } else { "" }));
    }
}

fn has_pod(template: &Value) -> bool {
    template.pointer("/spec/containers").is_some_and(Value::is_array)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Found {
        let mut found = Found::default();
        documents(text.as_bytes()).unwrap().iter().for_each(|object| found.add(object));
        found
    }

    #[test]
    fn what_is_nested_too_deep_is_named() {
        let pod = r#"{"kind":"Pod","spec":{"containers":[{"image":"a:1"}]}}"#.to_owned();
        let nested = |depth| (0..depth).fold(pod.clone(), |inner, _| format!(r#"{{"kind":"List","items":[{inner}]}}"#));
        let seen = |text: &str| (found(text).uses.len(), found(text).others.into_iter().collect::<Vec<_>>());
        assert_eq!(seen(&nested(2)), (1, vec![]));
        assert_eq!(seen(&nested(9)), (0, vec!["List in lists too deep".to_owned()]));
    }

    #[test]
    fn json_and_documents_of_yaml_are_read() {
        let pod = |name: &str| format!("kind: Pod\nmetadata:\n  name: {name}\nspec:\n  containers:\n  - image: {name}:1\n");
        let yaml = format!("# first\n---\n{}---\n{}---\nkind: Service\n---\n", pod("a"), pod("b"));
        let images = |found: &Found| found.uses.iter().map(|one| one.image.clone()).collect::<Vec<_>>();
        assert_eq!(images(&found(&yaml)), ["a:1", "b:1"]);
        assert_eq!(found(&yaml).others.into_iter().collect::<Vec<_>>(), ["Service"]);
        let json = r#"{"kind":"PodList","items":[{"spec":{"containers":[{"image":"c"}]}},{"kind":"List","items":[]}]}"#;
        assert_eq!(images(&found(json)), ["c"]);
    }

    #[test]
    fn what_is_no_document_is_refused() {
        for text in ["a: [", "\u{0}", "a: &a [*a]", "{\"a\": "] {
            assert!(documents(text.as_bytes()).is_err(), "{text:?}");
        }
        assert!(documents(&[0xff]).is_err());
        let nine: String = (1..9).map(|i| format!("a{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 9].join(","))).collect();
        assert!(documents(format!("a0: &a0 [x,x,x,x,x,x,x,x,x]\n{nine}").as_bytes()).is_err(), "a bomb of aliases");
    }

    #[test]
    fn lists_in_lists_end() {
        let mut text = r#"{"kind":"Pod","spec":{"containers":[{"image":"x"}]}}"#.to_owned();
        for _ in 0..8 {
            text = format!(r#"{{"kind":"List","items":[{text}]}}"#);
        }
        assert!(found(&text).uses.is_empty());
    }
}
