//! Evidence from everywhere: files, other repositories, tags behind a prefix; and
//! images that can have none.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "collection/image.rs"]
mod image;
#[path = "export_support.rs"]
mod support;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use carnet_bundle::{
    Digest, Inventory,
    inventory::{EvidenceKind, LookResult, Method},
    media,
};
use carnet_registry::testing::{Behaviour, Content, Effect, Fault, Route, TestingRegistry};
use image::digest;
use serde_json::{Value, json};
use support::{Ended, export, export_with, open_archive, receipt, testdata};

const APP: &str = "sha256:e24e57b9645a7eac5eaf31f65e6e69114010b59c067830c3784da2f941d76c71";

fn app() -> PathBuf {
    testdata("layouts/local-sigstore/app")
}

fn blob(layout: &Path, digest: &str) -> Vec<u8> {
    fs::read(layout.join("blobs/sha256").join(&digest[7..])).unwrap()
}

/// The Sigstore bundles of a layout.
fn bundles(layout: &Path) -> Vec<Vec<u8>> {
    let mut files: Vec<_> = fs::read_dir(layout.join("blobs/sha256")).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let is_bundle = |bytes: &Vec<u8>| {
        let document: Option<Value> = serde_json::from_slice(bytes).ok();
        document.is_some_and(|document| {
            document["mediaType"].as_str().is_some_and(|text| text.starts_with("application/vnd.dev.sigstore.bundle"))
        })
    };
    files.iter().map(|path| fs::read(path).unwrap()).filter(is_bundle).collect()
}

/// A registry with the image of the layout `app` and nothing about it.
fn bare() -> TestingRegistry {
    let mut content = Content::new();
    add_bare(&mut content, "demo/app");
    TestingRegistry::start(content, Behaviour::default()).unwrap()
}

fn add_bare(content: &mut Content, repository: &str) {
    let manifest = blob(&app(), APP);
    let parsed: Value = serde_json::from_slice(&manifest).unwrap();
    let layers = parsed["layers"].as_array().unwrap().iter().chain([&parsed["config"]]);
    for layer in layers {
        content.add_blob(repository, &blob(&app(), layer["digest"].as_str().unwrap()));
    }
    content.add_manifest(repository, Some("v1"), media::OCI_MANIFEST, &manifest);
}

struct Run {
    folder: tempfile::TempDir,
    registry: TestingRegistry,
}

impl Run {
    fn new(registry: TestingRegistry) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), registry }
    }

    fn write(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn export(&self, extra: &[&str]) -> Ended {
        let reference = format!("{}/demo/app:v1", self.registry.host());
        let output = self.output();
        export(&[&[reference.as_str(), "-o", output.to_str().unwrap()], extra].concat())
    }

    fn output(&self) -> PathBuf {
        self.folder.path().join("out.tar")
    }

    fn collect(&self, extra: &[&str]) -> Inventory {
        let ended = self.export(extra);
        assert_eq!(ended.code, 0, "{ended:?}");
        let (inventory, findings) = open_archive(&self.output());
        assert_eq!(findings, Vec::<&str>::new(), "{extra:?}");
        inventory
    }
}

#[test]
fn files_are_filed_under_what_their_content_names() {
    let run = Run::new(bare());
    let bundles = bundles(&app());
    let single = run.write("one.sigstore.json", &bundles[0]);
    // What `gh attestation download` writes, with the one that was given already.
    let lines = run.write("sha256:abc.jsonl", &bundles.join(&b'\n'));
    let inventory = run.collect(&["--evidence", &single, "--evidence", &lines]);
    let want: BTreeSet<_> = bundles.iter().map(|bundle| Digest::of(bundle)).collect();
    assert_eq!((bundles.len(), inventory.evidence.iter().map(|entry| entry.digest).collect::<BTreeSet<_>>()), (3, want));
    let mut types: Vec<_> = inventory.evidence.iter().map(|entry| entry.predicate_type.as_str()).collect();
    types.sort_unstable();
    assert_eq!(types, ["https://sigstore.dev/cosign/sign/v1", "https://slsa.dev/provenance/v1", "https://spdx.dev/Document"]);
    for entry in &inventory.evidence {
        assert_eq!((entry.subject.to_string().as_str(), entry.kind), (APP, EvidenceKind::SigstoreBundle));
        let [place] = entry.found_in.as_slice() else { panic!("{entry:?}") };
        assert_eq!((place.method, place.repository.clone()), (Method::LooseFile, format!("{}/demo/app", run.registry.host())));
    }
    let receipt = receipt(&inventory, APP, Method::LooseFile);
    assert_eq!((receipt.result, receipt.found), (LookResult::Found, 3));
}

#[test]
fn an_envelope_is_loose_evidence_too() {
    let run = Run::new(bare());
    let bundle: Value = serde_json::from_slice(&bundles(&app())[0]).unwrap();
    let envelope = run.write("envelope.json", bundle["dsseEnvelope"].to_string().as_bytes());
    let inventory = run.collect(&["--evidence", &envelope]);
    assert_eq!((inventory.evidence.len(), inventory.evidence[0].kind), (1, EvidenceKind::Dsse));
}

#[test]
fn files_about_nothing_that_is_exported_are_refused() {
    let run = Run::new(bare());
    let other = &bundles(&testdata("layouts/local-sigstore/multi"))[0];
    for (name, bytes, message) in [
        ("other.json", other.as_slice(), "about none of the images"),
        ("sbom.json", br#"{"bomFormat":"CycloneDX"}"#.as_slice(), "neither a Sigstore bundle nor a DSSE envelope"),
        ("empty.json", b"", "neither a Sigstore bundle nor a DSSE envelope"),
        ("twice.json", br#"{"payload":"","payload":"","signatures":[]}"#, "duplicate key"),
    ] {
        let path = run.write(name, bytes);
        let ended = run.export(&["-q", "--evidence", &path]);
        assert!(ended.code == 2 && ended.stderr.contains(message) && ended.stderr.contains("hint: give a"), "{name}: {ended:?}");
        assert!(!run.output().exists());
    }
}

/// A registry with the bare image, and all evidence in another repository, as
/// `COSIGN_REPOSITORY` puts it there.
fn elsewhere() -> TestingRegistry {
    let mut content = Content::new();
    add_bare(&mut content, "demo/app");
    content.add_layout("other/evidence", &app()).unwrap();
    content.add_layout("legacy/evidence", &testdata("layouts/local-sigstore/key-legacy")).unwrap();
    TestingRegistry::start(content, Behaviour::default()).unwrap()
}

#[test]
fn other_repositories_are_looked_at_as_well() {
    let run = Run::new(elsewhere());
    assert_eq!(run.collect(&[]).evidence.len(), 0);
    let other = format!("{}/other/evidence", run.registry.host());
    let inventory = run.collect(&["--evidence-repository", &other]);
    assert_eq!(inventory.evidence.len(), 3);
    assert!(inventory.evidence.iter().all(|entry| entry.found_in.iter().all(|place| place.repository == other)));
    // Each place has its receipts: the image's own repository has none of it.
    let own = format!("{}/demo/app", run.registry.host());
    for (repository, result, found) in [(&own, LookResult::None, 0), (&other, LookResult::Found, 3)] {
        let is_it = |r: &&carnet_bundle::inventory::Receipt| {
            r.subject.to_string() == APP && r.repository == *repository && r.method == Method::ReferrersApi
        };
        let receipts: Vec<_> = inventory.looked_for.iter().filter(is_it).collect();
        assert_eq!(receipts.len(), 1, "{repository}");
        assert_eq!((receipts[0].result, receipts[0].found), (result, found), "{repository}");
    }
    // The variable of cosign is one more.
    let reference = format!("{}/demo/app:v1", run.registry.host());
    let output = run.output();
    let ended = export_with(&[&reference, "-o", output.to_str().unwrap()], &[("COSIGN_REPOSITORY", &other)]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(open_archive(&output).0.evidence.len(), 3);
}

#[test]
fn a_repository_that_refuses_leaves_the_collection_incomplete() {
    let run = Run::new(elsewhere());
    let other = format!("{}/other/evidence", run.registry.host());
    run.registry.inject(Fault::on(Route::Referrers, Effect::Status(403)).after(1));
    let ended = run.export(&["--evidence-repository", &other]);
    assert!(ended.code == 2 && ended.stdout.contains("referrers-api"), "{ended:?}");
}

#[test]
fn tags_behind_a_prefix_are_looked_at_beside_those_without() {
    let key_legacy = testdata("layouts/local-sigstore/key-legacy");
    let index: Value = serde_json::from_slice(&fs::read(key_legacy.join("index.json")).unwrap()).unwrap();
    let mut content = Content::new();
    content.add_layout("demo/app", &key_legacy).unwrap();
    let mut tags = Vec::new();
    for entry in index["manifests"].as_array().unwrap() {
        if let Some(tag) = entry["annotations"][media::REF_NAME].as_str().filter(|tag| tag.ends_with(".att")) {
            content.tag("demo/app", &format!("team-{tag}"), digest(entry));
            tags.push(tag.to_owned());
        }
    }
    let run = Run::new(TestingRegistry::start(content, Behaviour::default()).unwrap());
    run.registry.inject(Fault::on(Route::Manifest, Effect::Status(404)).ending(format!("/{}", tags[0])));
    assert_eq!(run.collect(&[]).evidence.len(), 1);
    let inventory = run.collect(&["--tag-prefix", "team-"]);
    assert_eq!(inventory.evidence.len(), 2);
    let subject = inventory.subjects[0].digest.to_string();
    let att = receipt(&inventory, &subject, Method::CosignAtt);
    assert_eq!((att.result, att.found, att.status), (LookResult::Found, 1, Some(200)));
    let places: Vec<_> = inventory.evidence.iter().flat_map(|entry| &entry.found_in).map(|place| place.tag.as_str()).collect();
    assert!(places.contains(&format!("team-{}", tags[0]).as_str()), "{places:?}");
    // One of the tags that is refused leaves the method unknown.
    run.registry.inject(Fault::on(Route::Manifest, Effect::Status(403)).ending(format!("/team-{}", tags[0])));
    assert_eq!(run.export(&["--tag-prefix", "team-"]).code, 2);
}

/// What `docker save` writes: no manifest, unpacked layers.
fn docker_archive(path: &Path) {
    let mut builder = tar::Builder::new(fs::File::create(path).unwrap());
    let mut add = |name: &str, bytes: &[u8]| {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len().try_into().unwrap());
        header.set_mode(0o644);
        header.set_cksum();
        builder.append_data(&mut header, name, bytes).unwrap();
    };
    add("config.json", br#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#);
    add("a/layer.tar", b"first layer");
    add("b/layer.tar", b"second layer");
    let list = json!([{ "Config": "config.json", "RepoTags": ["alpine:3"], "Layers": ["a/layer.tar", "b/layer.tar"] }]);
    add("manifest.json", list.to_string().as_bytes());
    builder.finish().unwrap();
}

#[test]
fn a_docker_archive_has_no_evidence_and_that_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("saved.tar");
    docker_archive(&path);
    let output = folder.path().join("out.tar");
    let from = format!("docker-archive:{}", path.display());
    let mut digests = Vec::new();
    for reference in ["docker.io/library/alpine:3", "r.example/other:v1"] {
        let ended = export(&[reference, "--from", &from, "--reproducible", "-o", output.to_str().unwrap()]);
        assert_eq!(ended.code, 0, "{ended:?}");
        assert!(ended.stderr.contains("no evidence can be about it"), "{ended:?}");
        let (inventory, findings) = open_archive(&output);
        assert_eq!((findings, inventory.evidence.len()), (vec![], 0));
        let subject = &inventory.subjects[0];
        digests.push(subject.digest);
        for method in [Method::CosignSig, Method::CosignAtt, Method::FallbackTag, Method::ReferrersApi] {
            assert_eq!(receipt(&inventory, &subject.digest.to_string(), method).result, LookResult::NotLooked);
        }
    }
    assert_eq!(digests, [digests[0]; 2], "the digest is that of the content");
    assert!(fs::read(&output).unwrap().windows(12).any(|window| window == b"second layer"));
    for (path, message) in [(app(), "it has no manifest.json"), (folder.path().join("none"), "cannot read the layout")] {
        let from = format!("docker-archive:{}", path.display());
        let ended = export(&["alpine:3", "--from", &from, "-q", "-o", output.to_str().unwrap()]);
        assert!(ended.code == 2 && ended.stderr.contains(message), "{ended:?}");
    }
}
