//! Pods for tests, in the shape that the API gives them.

#![allow(dead_code, reason = "every suite uses a part of it")]

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// A running pod of a Deployment with one container.
pub(crate) fn pod(namespace: &str, name: &str, image: &str, image_id: &str) -> Value {
    json!({
        "metadata": {
            "name": format!("{name}-5d9c7b8f6d-x2x4x"),
            "namespace": namespace,
            "labels": { "app": name, "pod-template-hash": "5d9c7b8f6d" },
            "ownerReferences": [{ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": format!("{name}-5d9c7b8f6d"), "uid": "u", "controller": true }],
        },
        "spec": { "containers": [{ "name": name, "image": image }] },
        "status": {
            "phase": "Running",
            "containerStatuses": [{ "name": name, "image": image, "imageID": image_id, "ready": true, "restartCount": 0, "state": { "running": {} } }],
        },
    })
}

pub(crate) fn testdata(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata").join(path)
}

/// The references of images.yaml, by their names.
pub(crate) fn listed(yaml: &str) -> Vec<(String, String)> {
    let document: serde_yaml::Value = serde_yaml::from_str(yaml).unwrap();
    let text = |value: &serde_yaml::Value| value.as_str().unwrap().to_owned();
    let components = document["components"].as_sequence().unwrap().iter();
    components.map(|one| (text(&one["name"]), text(&one["containerImage"]))).collect()
}
