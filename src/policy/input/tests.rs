//! Recorded documents (testdata/policy/report, see testdata/policy/NOTICE) are
//! made again from their parts.

use std::collections::BTreeMap;

use super::*;
use crate::{
    Reading,
    images::{self, Git, Source},
};

const RECORDED: [&str; 2] = [
    include_str!("../../../testdata/policy/report/039-olm-bundle-and-parents/policy-input.jsonl"),
    include_str!("../../../testdata/policy/report/118-outputs-all-three-components/policy-input.jsonl"),
];

#[test]
fn recorded_documents_are_made_again() {
    let mut compared = 0;
    for line in RECORDED.iter().flat_map(|text| text.lines()).filter(|line| !line.is_empty()) {
        let recorded: Value = serde_json::from_str(line).unwrap();
        let components = components(&recorded["snapshot"]);
        let name = recorded["component_name"].as_str().unwrap_or_default();
        let component = components.iter().find(|component| component.name == name).unwrap();
        let (reference, digest) = recorded["image"]["ref"].as_str().unwrap().split_once('@').unwrap();
        assert_eq!(pinned_name(&component.reference, &digest.parse().unwrap()), format!("{reference}@{digest}"));
        let facts = facts(&recorded["image"]);
        let parts = Parts {
            component,
            reference: format!("{reference}@{digest}"),
            signatures: signatures(&recorded["image"]["signatures"]),
            attestations: list(&recorded["attestations"])
                .map(|item| (item["statement"].clone(), signatures(&item["signatures"])))
                .collect(),
            facts: &facts,
        };
        let snapshot = snapshot(&Images::default(), components.iter().rev());
        assert_eq!(parts.document(&snapshot, &recorded["policy_spec"]).to_string(), recorded.to_string());
        compared += 1;
    }
    assert_eq!(compared, 5);
}

#[test]
fn what_is_empty_is_left_out() {
    let mut component = Component::from_reference("r.example/app:v1").unwrap();
    component.name = String::new();
    component.source = Source { git: Some(Git { url: "https://git.example/app".into(), ..Git::default() }) };
    let images = Images { application: "a".into(), display_name: "A".into(), ..Images::default() };
    let digest = Digest::of(b"");
    let facts = ImageFacts::default();
    let subject = Subject { component: &component, digest: &digest, signatures: &[], attestations: &[], facts: &facts };
    let got = document(&subject, &snapshot(&images, [&component]), &json!({}));
    let source = json!({"git": {"url": "https://git.example/app"}});
    let want = json!({
        "attestations": [],
        "image": {"ref": format!("r.example/app@{digest}"), "source": source},
        "snapshot": {
            "application": "a",
            "displayName": "A",
            "components": [{"name": "", "containerImage": "r.example/app:v1", "source": source}],
            "artifacts": {},
        },
        "policy_spec": {},
    });
    assert_eq!(got.to_string(), want.to_string());
}

fn components(snapshot: &Value) -> Vec<Component> {
    let list = json!({ "components": snapshot["components"] }).to_string();
    let document = images::Document { file: "recorded", bytes: list.as_bytes() };
    images::read(&[document], None, Reading::Strict).unwrap().components
}

fn facts(image: &Value) -> ImageFacts {
    let files: BTreeMap<String, Value> =
        image["files"].as_object().into_iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect();
    let parent = image
        .get("parent")
        .map(|parent| Parent { reference: parent["ref"].as_str().unwrap().to_owned(), config: parent.get("config").cloned() });
    ImageFacts { config: image.get("config").cloned(), parent, files, gaps: Vec::new() }
}

fn signatures(value: &Value) -> Vec<Signature> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    list(value).map(|item| Signature { keyid: text(&item["keyid"]), sig: text(&item["sig"]), ..Signature::default() }).collect()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
