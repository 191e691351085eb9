//! The real kubectl: it starts `carnet images` and `carnet status`, and what it prints
//! of pods is read. `.ci/setup` installs it.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "cluster/api.rs"]
mod api;
#[path = "plugin/installed.rs"]
mod installed;
#[path = "cluster/pods.rs"]
mod pods;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use api::{Api, page};
use installed::{Ended, Installed};
use pods::{listed, pod};
use serde_json::json;

fn kubectl(installed: &Installed, config: &Path, words: &[&str]) -> Ended {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools/bin/kubectl");
    assert!(program.is_file(), "{} is missing: run .ci/setup tests", program.display());
    let mut command = Command::new(program);
    command.env_clear().env("PATH", installed.dir()).env("HOME", installed.path("home")).env("KUBECONFIG", config);
    Ended::of(&command.args(words).output().unwrap())
}

/// An API with what kubectl asks for before it lists pods.
fn api() -> Api {
    let id = |digit: &str| format!("r.example/a@sha256:{}", digit.repeat(64));
    let pods = vec![
        pod("shop", "a", "r.example/a:1", &id("1")),
        pod("shop", "b", "r.example/b:1", &format!("docker://sha256:{}", "2".repeat(64))),
        pod("shop", "c", "r.example/a:3", &id("3")),
    ];
    Api::start(move |asked| {
        let path = asked.target.split('?').next().unwrap_or_default();
        Some(match path {
            "/api" => (200, json!({ "kind": "APIVersions", "versions": ["v1"] }).to_string()),
            "/apis" => (200, json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": [] }).to_string()),
            "/api/v1" => {
                let pods = json!({ "name": "pods", "singularName": "pod", "namespaced": true, "kind": "Pod", "verbs": ["get", "list"], "shortNames": ["po"] });
                (200, json!({ "kind": "APIResourceList", "groupVersion": "v1", "resources": [pods] }).to_string())
            }
            path if path.ends_with("/pods") => page(&pods, &asked.target),
            _ => (404, "{}".to_owned()),
        })
    })
}

fn stage() -> (Installed, Api, PathBuf) {
    let installed = Installed::whole();
    installed.link("kubectl-carnet");
    let api = api();
    let config = api.kubeconfig(installed.dir());
    (installed, api, config)
}

#[test]
fn kubectl_carnet_sees_the_pods_that_kubectl_prints() {
    let (installed, _api, config) = stage();
    let printed = kubectl(&installed, &config, &["get", "pods", "-o", "json"]).good();
    let path = installed.path("pods.json");
    fs::write(&path, printed).unwrap();
    let of_file = kubectl(&installed, &config, &["carnet", "images", "-f", path.to_str().unwrap()]);
    let of_api = kubectl(&installed, &config, &["carnet", "images", "-n", "shop"]);
    assert_eq!((of_file.status, of_api.status), (Some(0), Some(0)), "{of_file:?} {of_api:?}");
    assert_eq!(listed(&of_file.out), listed(&of_api.out));
    assert_eq!(of_api.out.lines().next(), Some("# What runs in namespace shop, as `carnet images` saw it."));
    let pinned = |name: &str| format!("r.example/a:{name}@sha256:{}", name.repeat(64));
    let want: Vec<_> =
        [("a", pinned("1")), ("c", pinned("3")), ("b", "r.example/b:1".to_owned())].map(|(n, i)| (n.to_owned(), i)).into();
    assert_eq!(listed(&of_api.out), want);
}

#[test]
fn kubectl_carnet_status_ends_with_the_status_of_carnet() {
    let (installed, _api, config) = stage();
    let shelf = installed.path("shelf");
    fs::create_dir(&shelf).unwrap();
    let words = ["carnet", "status", "-A", "--bundles", shelf.to_str().unwrap()];
    let said = kubectl(&installed, &config, &words).refused();
    assert!(said.contains("no bundle in "), "{said}");
    let layout = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/layouts/local-sigstore/key-legacy");
    let archive = shelf.join("a.carnet.tar");
    let from = format!("r.example/a=oci:{}", layout.display());
    let export = ["export", "--proofs=skip", "--no-cache", "--no-preflight", "--quiet", "r.example/a:v1", "--from", &from, "-o"];
    installed.run("carnet", &[&export[..], &[archive.to_str().unwrap()]].concat());
    let said = kubectl(&installed, &config, &[&words[..], &["-o", "name"]].concat());
    assert_eq!(said.status, Some(1), "{said:?}");
    assert_eq!(said.out.lines().count(), 3, "{said:?}");
    let page = kubectl(&installed, &config, &["carnet", "status", "--help"]).good();
    assert!(page.contains("Usage: kubectl carnet status [OPTIONS]"), "{page}");
    let said = kubectl(&installed, &config, &["carnet", "status", "--context", "nowhere", "--bundles", shelf.to_str().unwrap()])
        .refused();
    assert!(said.contains("nowhere"), "{said}");
}
