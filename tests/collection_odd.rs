//! Registries and images that are not as the specification has them.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "collection/image.rs"]
mod image;
#[path = "export_support.rs"]
mod support;

use std::fs;

use carnet_bundle::{
    Digest, Inventory,
    inventory::{AbsenceReason, EvidenceKind, LookResult, Method, Role},
    media,
};
use carnet_registry::testing::{Behaviour, Content, Effect, Fault, Route, TestingRegistry};
use image::{Layout, digest, on};
use serde_json::{Value, json};
use support::{Ended, export, export_with, open_archive, receipt, serve, testdata, without_places};

const APP: &str = "sha256:e24e57b9645a7eac5eaf31f65e6e69114010b59c067830c3784da2f941d76c71";

fn run(registry: &TestingRegistry, output: &std::path::Path) -> Ended {
    export(&[&format!("{}/demo/app:v1", registry.host()), "--reproducible", "-q", "-o", output.to_str().unwrap()])
}

fn collect(registry: &TestingRegistry) -> (Inventory, Vec<&'static str>) {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out.tar");
    let ended = run(registry, &output);
    assert_eq!(ended.code, 0, "{ended:?}");
    open_archive(&output)
}

fn serve_layout(layout: &Layout) -> TestingRegistry {
    let mut content = Content::new();
    content.add_layout("demo/app", &layout.path).unwrap();
    TestingRegistry::start(content, Behaviour::default()).unwrap()
}

/// GHCR has no referrers API, and lists bundles under the type of their config.
#[test]
fn a_list_with_wrong_types_is_followed_all_the_same() {
    let registry = serve("local-sigstore/app-fallback", Behaviour { referrers_api: false, ..Behaviour::default() });
    let (want, _) = collect(&registry);
    let folder = testdata("layouts/local-sigstore/app-fallback/blobs/sha256");
    let tag = APP.replace(':', "-");
    let index = want
        .looked_for
        .iter()
        .find(|receipt| receipt.method == Method::FallbackTag && receipt.subject.to_string() == APP)
        .unwrap();
    let mut list: Value = serde_json::from_slice(&fs::read(folder.join(index.answer.unwrap().to_hex())).unwrap()).unwrap();
    for entry in list["manifests"].as_array_mut().unwrap() {
        entry["artifactType"] = media::OCI_EMPTY.into();
        entry.as_object_mut().unwrap().remove("annotations");
    }
    registry.change(|content| {
        content.add_manifest("demo/app", Some(&tag), media::OCI_INDEX, list.to_string().as_bytes());
    });
    let (found, _) = collect(&registry);
    assert_eq!(found.evidence.iter().filter(|entry| entry.kind == EvidenceKind::SigstoreBundle).count(), 3);
    assert_eq!(without_places(found), without_places(want));
}

/// Many registries have `Docker-Content-Digest` wrong; ECR sends `OCI-Subject`
/// without having the API.
#[test]
fn headers_of_the_registry_decide_nothing() {
    let registry = serve("local-sigstore/multi", Behaviour::default());
    let (want, _) = collect(&registry);
    registry.inject(Fault::on(Route::Manifest, Effect::Header("docker-content-digest", Digest::of(b"wrong").to_string())));
    assert_eq!(collect(&registry).0, want);
    registry.heal();
    registry.inject(Fault::on(Route::Any, Effect::Header("oci-subject", Digest::of(b"wrong").to_string())));
    assert_eq!(collect(&registry).0, want);
}

#[test]
fn a_token_that_expires_midway_is_renewed() {
    let credentials = Some(("user".to_owned(), "secret".to_owned()));
    let registry = serve("local-sigstore/multi", Behaviour { credentials, token_uses: 7, ..Behaviour::default() });
    let folder = tempfile::tempdir().unwrap();
    let (output, auth) = (folder.path().join("out.tar"), folder.path().join("auth.json"));
    fs::write(&auth, json!({ "auths": { registry.host(): { "auth": "dXNlcjpzZWNyZXQ=" } } }).to_string()).unwrap();
    let reference = format!("{}/demo/app:v1", registry.host());
    let arguments = [reference.as_str(), "-q", "-o", output.to_str().unwrap()];
    let ended = export_with(&arguments, &[("REGISTRY_AUTH_FILE", auth.to_str().unwrap())]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(open_archive(&output).0.evidence.len(), 9);
    let tokens = registry.served().iter().filter(|served| served.path.starts_with("/token")).count();
    assert!(tokens > 3, "{tokens}");
}

/// A time that has passed long ago asks for no pause; one without meaning neither.
#[test]
fn retry_after_may_be_a_time() {
    for value in ["Sun, 06 Nov 1994 08:49:37 GMT", "soon"] {
        let registry = serve("local-sigstore/app", Behaviour::default());
        let (want, _) = collect(&registry);
        let effect = Effect::Answer(429, "application/json".to_owned(), b"{}".to_vec());
        registry.inject(Fault::on(Route::Any, effect).times(1).ending("/v1"));
        registry.inject(Fault::on(Route::Any, Effect::Header("retry-after", value.to_owned())));
        assert_eq!(collect(&registry).0, want);
    }
}

#[test]
fn docker_manifests_and_lists_are_carried_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let mut layout = Layout::new(folder.path());
    let config = layout.blob("application/vnd.docker.container.image.v1+json", b"{}");
    let layer = layout.blob("application/vnd.docker.image.rootfs.diff.tar.gzip", b"layer");
    let image = json!({ "schemaVersion": 2, "mediaType": media::DOCKER_MANIFEST, "config": config, "layers": [layer] });
    let image = layout.blob(media::DOCKER_MANIFEST, image.to_string().as_bytes());
    let list = json!({ "schemaVersion": 2, "mediaType": media::DOCKER_LIST, "manifests": [on(&image, "linux/amd64")] });
    let list = layout.blob(media::DOCKER_LIST, list.to_string().as_bytes());
    layout.tag("v1", &list);
    let (inventory, findings) = collect(&serve_layout(&layout));
    assert_eq!((inventory.subjects[0].media_type.as_str(), findings), (media::DOCKER_LIST, vec![]));
    assert_eq!(inventory.subjects[0].children[0].digest, digest(&image));
}

/// Layers elsewhere are neither fetched from there nor asked of the registry.
#[test]
fn foreign_layers_are_absent_and_nobody_is_asked_for_them() {
    let elsewhere = TestingRegistry::start(Content::new(), Behaviour::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut layout = Layout::new(folder.path());
    let config = layout.blob(media::OCI_CONFIG, b"{}");
    let mut foreign = layout.blob("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", b"licensed");
    foreign["urls"] = json!([format!("http://{}/layer", elsewhere.host())]);
    let image = layout.manifest(json!({ "config": config, "layers": [foreign] }));
    layout.tag("v1", &image);
    let registry = serve_layout(&layout);
    let (inventory, findings) = collect(&registry);
    assert_eq!(findings, ["layers-not-carried"]);
    let absent: Vec<_> = inventory.absent.iter().map(|a| (a.digest, a.role, a.reason)).collect();
    assert_eq!(absent, [(digest(&foreign), Role::Layer, AbsenceReason::Foreign)]);
    assert_eq!(elsewhere.served(), []);
    assert!(!registry.served().iter().any(|served| served.path.contains(&digest(&foreign).to_hex())));
}

#[test]
fn documents_that_two_readers_would_read_differently_are_refused() {
    let config = format!(r#"{{"mediaType":"{}","digest":"{}","size":2}}"#, media::OCI_CONFIG, Digest::of(b"{}"));
    for (name, text, message) in [
        ("confused", format!(r#"{{"schemaVersion":2,"config":{config},"layers":[],"manifests":[]}}"#), "type confusion"),
        ("twice", format!(r#"{{"schemaVersion":2,"config":{config},"layers":[],"layers":[]}}"#), "duplicate key"),
        ("old", r#"{"schemaVersion":1,"fsLayers":[],"history":[]}"#.to_owned(), "cannot read the manifest"),
        (
            "sha512",
            format!(
                r#"{{"schemaVersion":2,"config":{},"layers":[]}}"#,
                config.replace("sha256:", &format!("sha512:{}", "0".repeat(64)))
            ),
            "sha512",
        ),
        (
            "case",
            format!(r#"{{"schemaVersion":2,"config":{},"layers":[]}}"#, config.replace("44136f", "44136F")),
            "cannot read the manifest",
        ),
    ] {
        let mut content = Content::new();
        content.add_manifest("demo/app", Some("v1"), media::OCI_MANIFEST, text.as_bytes());
        let registry = TestingRegistry::start(content, Behaviour::default()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let ended = run(&registry, &folder.path().join("out.tar"));
        assert!(ended.code == 2 && ended.stderr.contains(message), "{name}: {ended:?}");
        assert!(!folder.path().join("out.tar").exists());
    }
}

#[test]
fn evidence_on_the_platforms_alone_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let mut layout = Layout::new(folder.path());
    let images: Vec<_> = (1..=2).map(|n| layout.image(&[vec![n; 9]])).collect();
    let config = layout.blob(media::OCI_EMPTY, b"{}");
    for image in &images {
        let payload = layout.blob("application/spdx+json", image["digest"].to_string().as_bytes());
        layout.manifest(
            json!({ "artifactType": "application/spdx+json", "config": config, "layers": [payload], "subject": image }),
        );
    }
    let index = layout.index(&[on(&images[0], "linux/amd64"), on(&images[1], "linux/arm64")]);
    layout.tag("v1", &index);
    let (inventory, findings) = collect(&serve_layout(&layout));
    assert_eq!((inventory.evidence.len(), findings), (2, vec![]));
    assert!(inventory.evidence.iter().all(|entry| images.iter().any(|image| digest(image) == entry.subject)));
    assert_eq!(receipt(&inventory, &digest(&index).to_string(), Method::ReferrersApi).result, LookResult::None);
}

/// Registries without the API answer the question with the page of their front end,
/// with an error of another sort, or with another list.
#[test]
fn an_index_that_lists_its_own_subject_is_no_evidence() {
    let registry = serve("local-sigstore/app", Behaviour { referrers_api: false, ..Behaviour::default() });
    let size = fs::metadata(testdata("layouts/local-sigstore/app/blobs/sha256").join(&APP[7..])).unwrap().len();
    let list = json!({ "schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": [
        { "mediaType": media::OCI_MANIFEST, "digest": APP, "size": size },
    ] });
    registry.change(|content| {
        content.add_manifest("demo/app", Some(&APP.replace(':', "-")), media::OCI_INDEX, list.to_string().as_bytes());
    });
    let (inventory, _) = collect(&registry);
    let receipt = receipt(&inventory, APP, Method::FallbackTag);
    assert_eq!(
        (receipt.result, receipt.note.as_str(), inventory.evidence.len()),
        (LookResult::None, "listed-manifest-of-other-subject", 0)
    );
}

/// The digest of a reference decides; where its tag is by now is told.
#[test]
fn a_tag_that_is_elsewhere_by_now_is_told() {
    let registry = serve("local-sigstore/app", Behaviour::default());
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out.tar");
    let reference = format!("{}/demo/app:v1@{APP}", registry.host());
    let run = || export(&[&reference, "--no-progress", "-o", output.to_str().unwrap()]);
    let ended = run();
    assert!(ended.code == 0 && !ended.stderr.contains("the tag v1 is"), "{ended:?}");
    let mut other = Digest::of(b"");
    registry.change(|content| {
        let text = format!(r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[]}}"#, media::OCI_INDEX);
        other = content.add_manifest("demo/app", Some("v1"), media::OCI_INDEX, text.as_bytes());
    });
    let ended = run();
    assert!(ended.code == 0 && ended.stderr.contains(&format!("the tag v1 is {other} now")), "{ended:?}");
    assert_eq!(open_archive(&output).0.subjects[0].digest.to_string(), APP);
}

/// A repository that does not exist answers "none" to every question.
#[test]
fn a_place_without_any_evidence_is_told() {
    let registry = serve("local-sigstore/app", Behaviour::default());
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out.tar");
    let (reference, other) = (format!("{}/demo/app:v1", registry.host()), format!("{}/demo/ap", registry.host()));
    let ended = export(&[&reference, "--evidence-repository", &other, "--no-progress", "-o", output.to_str().unwrap()]);
    assert!(ended.code == 0 && ended.stderr.contains(&format!("there is no evidence in {other}; check")), "{ended:?}");
}

/// A mirror is asked for what a digest proves and for nothing else; whatever it
/// lacks or gets wrong comes from the registry.
#[test]
fn a_mirror_is_asked_by_digest_and_believed_in_nothing() {
    let registry = serve("local-sigstore/multi", Behaviour::default());
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out.tar");
    let collect_with = |extra: &[&str]| {
        let reference = format!("{}/demo/app:v1", registry.host());
        let base = [reference.as_str(), "--reproducible", "-q", "-o", output.to_str().unwrap()];
        let ended = export(&[base.as_slice(), extra].concat());
        assert_eq!(ended.code, 0, "{ended:?}");
        fs::read(&output).unwrap()
    };
    let want = collect_with(&[]);
    let serve_mirror = || {
        let mut content = Content::new();
        content.add_layout("mirrored/app", &testdata("layouts/local-sigstore/multi")).unwrap();
        TestingRegistry::start(content, Behaviour::default()).unwrap()
    };
    for (effect, whole) in [
        (None, true),
        (Some(Effect::Status(404)), false),
        (Some(Effect::Status(503)), false),
        (Some(Effect::Corrupt), false),
        (Some(Effect::Longer), false),
    ] {
        let mirror = serve_mirror();
        if let Some(effect) = effect.clone() {
            mirror.inject(Fault::on(Route::Any, effect));
        }
        let before = registry.served().len();
        let flag = format!("{}/demo={}/mirrored", registry.host(), mirror.host());
        assert!(collect_with(&["--mirror", &flag]) == want, "{effect:?}");
        let by_digest = |path: &str| path.rsplit('/').next().is_some_and(|name| name.starts_with("sha256:"));
        for served in mirror.served() {
            assert!(by_digest(&served.path) && !served.path.contains("/referrers/"), "{effect:?}: {served:?}");
        }
        let asked: Vec<_> = registry.served().split_off(before);
        let asked: Vec<_> =
            asked.iter().filter(|served| by_digest(&served.path) && !served.path.contains("/referrers/")).collect();
        assert_eq!(asked.is_empty(), whole, "{effect:?}: {asked:?}");
    }
}
