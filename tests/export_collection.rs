//! Whatever the place, the same things are collected, and every place looked at
//! leaves a receipt.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "export_support.rs"]
mod support;

use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt, path::Path};

use carnet_bundle::{
    Digest, Inventory,
    inventory::{AbsenceReason, EvidenceKind, LookResult, Method, Role},
};
use carnet_registry::testing::Behaviour;
use support::{Ended, export, export_with, open_archive, receipt, serve, testdata, without_places};

/// Set, pieces of evidence, findings of gate 1.
const SETS: &[(&str, usize, &[&str])] = &[
    ("busybox-keyless-email", 1, &["config-not-carried", "layers-not-carried"]),
    ("conforma-testimage", 2, &["layers-not-carried"]),
    ("cosign-bundle-referrer", 1, &[]),
    ("ghgen-v1.10.0", 2, &["evidence-not-carried", "layers-not-carried"]),
    ("ghgen-v1.4.0", 1, &["layers-not-carried"]),
    ("ghgen-v2.1.0", 2, &["evidence-not-carried", "layers-not-carried"]),
    ("key-only", 1, &["config-not-carried", "layers-not-carried"]),
    ("local-sigstore/app", 3, &[]),
    ("local-sigstore/app-fallback", 3, &[]),
    ("local-sigstore/extra-referrers", 5, &[]),
    ("local-sigstore/key-legacy", 2, &[]),
    ("local-sigstore/mixed", 5, &[]),
    ("local-sigstore/multi", 9, &[]),
    ("local-sigstore/multi-fallback", 9, &[]),
    ("local-sigstore/multi-legacy", 4, &[]),
    ("local-sigstore/multi-top", 3, &[]),
    ("local-sigstore/unsigned", 0, &[]),
    ("local-sigstore/wrong-subject", 3, &[]),
    ("local-sigstore/wrong-subject-legacy-fallback", 2, &[]),
];

fn collect(folder: &Path, arguments: &[&str]) -> (Inventory, Vec<&'static str>) {
    let output = folder.join("out.carnet.tar");
    let ended = export(&[arguments, &["-o", output.to_str().unwrap()]].concat());
    assert_eq!(ended.code, 0, "{ended:?}");
    open_archive(&output)
}

fn from_layout(folder: &Path, layout: &str) -> (Inventory, Vec<&'static str>) {
    let from = format!("oci:{}", testdata("layouts").join(layout).display());
    collect(folder, &["registry.example/demo/app:v1", "--from", &from, "--reproducible"])
}

#[test]
fn a_layout_and_a_registry_with_or_without_referrers_api_give_the_same_inventory() {
    let folder = tempfile::tempdir().unwrap();
    for (set, evidence, codes) in SETS {
        let (layout, findings) = from_layout(folder.path(), set);
        assert_eq!(layout.evidence.len(), *evidence, "{set}");
        let mut sorted = findings.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, *codes, "{set}");
        every_method_has_a_receipt(set, &layout);

        for referrers_api in [true, false] {
            let registry = serve(set, Behaviour { referrers_api, page_size: 2, ..Behaviour::default() });
            registry.change(|content| content.write_fallback_tags("demo/app"));
            let reference = format!("{}/demo/app:v1", registry.host());
            let (served, findings) = collect(folder.path(), &[&reference, "--reproducible"]);
            assert_eq!(findings.len(), codes.len(), "{set} served: {findings:?}");
            every_method_has_a_receipt(set, &served);
            assert_eq!(without_places(served), without_places(layout.clone()), "{set} served, API {referrers_api}");
        }
    }
}

fn every_method_has_a_receipt(set: &str, inventory: &Inventory) {
    let mut subjects: BTreeSet<Digest> = inventory.subjects.iter().map(|subject| subject.digest).collect();
    subjects.extend(inventory.subjects.iter().flat_map(|subject| &subject.children).map(|child| child.digest));
    subjects.extend(inventory.evidence.iter().map(|entry| entry.digest));
    for subject in subjects {
        for method in Method::PROFILE {
            let receipt = receipt(inventory, &subject.to_string(), method);
            assert_ne!(receipt.result, LookResult::CouldNotLook, "{set}");
            let places = |entry: &&carnet_bundle::inventory::EvidenceEntry| {
                entry.subject == subject && entry.found_in.iter().any(|place| place.method == method)
            };
            let found = inventory.evidence.iter().filter(places).count();
            assert_eq!(receipt.found, u64::try_from(found).unwrap(), "{set} {subject} {method}");
        }
    }
}

#[test]
fn evidence_about_evidence_is_collected() {
    let folder = tempfile::tempdir().unwrap();
    let (inventory, _) = from_layout(folder.path(), "local-sigstore/extra-referrers");
    let image = inventory.subjects[0].digest;
    let sbom = inventory.evidence.iter().find(|entry| entry.kind == EvidenceKind::Sbom).unwrap();
    let signature = inventory.evidence.iter().find(|entry| entry.subject == sbom.digest).unwrap();
    assert_eq!((sbom.subject, signature.kind), (image, EvidenceKind::SigstoreBundle));
}

#[test]
fn buildkit_children_are_evidence_about_their_sibling() {
    let folder = tempfile::tempdir().unwrap();
    let (inventory, _) = from_layout(folder.path(), "ghgen-v2.1.0");
    let children = &inventory.subjects[0].children;
    let attestation = inventory.evidence.iter().find(|entry| entry.kind == EvidenceKind::BuildkitAttestation).unwrap();
    assert_eq!(attestation.digest, children[1].digest);
    assert_eq!(attestation.subject, children[0].digest);
    let absent: BTreeSet<(Role, AbsenceReason)> = inventory.absent.iter().map(|a| (a.role, a.reason)).collect();
    let want = [(Role::Evidence, AbsenceReason::NotInSource), (Role::Layer, AbsenceReason::NotInSource)];
    assert_eq!(absent, want.into());
}

#[test]
fn what_cosign_save_does_not_list_is_found() {
    let folder = tempfile::tempdir().unwrap();
    for (set, evidence, kind) in [
        ("app-referrers", 3, EvidenceKind::SigstoreBundle),
        ("keyless-legacy-referrers", 2, EvidenceKind::Dsse),
        ("multi-legacy-referrers", 2, EvidenceKind::Simplesigning),
        ("multi-referrers", 3, EvidenceKind::SigstoreBundle),
    ] {
        let (inventory, findings) = from_layout(folder.path(), &format!("local-sigstore/cosign-save/{set}"));
        assert_eq!((inventory.evidence.len(), findings.as_slice()), (evidence, [].as_slice()), "{set}");
        assert!(inventory.evidence.iter().any(|entry| entry.kind == kind), "{set}");
        assert!(inventory.evidence.iter().all(|entry| entry.subject == inventory.subjects[0].digest), "{set}");
    }
    let from = format!("oci:{}", testdata("layouts/conforma-acceptance/layout").display());
    let digest = "sha256:bb2863eb5a15ce3551748cd6aecd40db02c96c0276ae062354b415ad37330fee";
    let reference = format!("registry.example/acceptance/image@{digest}");
    let (inventory, findings) = collect(folder.path(), &[&reference, "--from", &from]);
    assert_eq!((inventory.evidence.len(), findings.as_slice()), (2, [].as_slice()));
    assert_eq!(inventory.subjects[0].reference, reference);
}

/// The legacy manifests of a layout lose their names and their place in
/// `index.json`, as when `cosign save` runs twice into one directory.
#[test]
fn unlisted_legacy_evidence_is_bound_by_its_content() {
    let folder = tempfile::tempdir().unwrap();
    let layout = folder.path().join("layout");
    copy(&testdata("layouts/local-sigstore/multi-legacy"), &layout);
    let index = fs::read_to_string(layout.join("index.json")).unwrap();
    let index: serde_json::Value = serde_json::from_str(&index).unwrap();
    let root = serde_json::json!({ "schemaVersion": 2, "manifests": [index["manifests"][0]] });
    fs::write(layout.join("index.json"), root.to_string()).unwrap();
    let from = format!("oci:{}", layout.display());
    let (inventory, _) = collect(folder.path(), &["r.example/app:v1", "--from", &from]);
    let (listed, _) = from_layout(folder.path(), "local-sigstore/multi-legacy");
    assert_eq!(without_places(inventory), without_places(listed));
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.join("blobs/sha256")).unwrap();
    for file in ["index.json", "oci-layout"] {
        fs::copy(from.join(file), to.join(file)).unwrap();
    }
    for file in fs::read_dir(from.join("blobs/sha256")).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), to.join("blobs/sha256").join(file.file_name())).unwrap();
    }
}

#[test]
fn a_tar_of_a_layout_and_an_archive_of_ours_are_layouts_too() {
    let folder = tempfile::tempdir().unwrap();
    let (layout, _) = from_layout(folder.path(), "local-sigstore/multi");
    let tar = folder.path().join("layout.tar");
    let mut builder = tar::Builder::new(fs::File::create(&tar).unwrap());
    builder.append_dir_all(".", testdata("layouts/local-sigstore/multi")).unwrap();
    builder.finish().unwrap();
    let ours = folder.path().join("ours.carnet.tar");
    fs::rename(folder.path().join("out.carnet.tar"), &ours).unwrap();
    for path in [tar, ours] {
        let from = format!("registry.example/demo/app=oci:{}", path.display());
        let (again, findings) = collect(folder.path(), &["registry.example/demo/app:v1", "--from", &from]);
        assert!(findings.is_empty(), "{path:?}: {findings:?}");
        assert_eq!(without_places(again), without_places(layout.clone()), "{path:?}");
    }
}

#[test]
fn reproducible_exports_are_byte_identical_and_all_have_one_content_id() {
    let folder = tempfile::tempdir().unwrap();
    let from = format!("oci:{}", testdata("layouts/local-sigstore/multi").display());
    let run = |name: &str, extra: &[&str], environment: &[(&str, &str)]| {
        let output = folder.path().join(name);
        let base = ["registry.example/demo/app:v1", "--from", &from, "-o", output.to_str().unwrap()];
        let ended = export_with(&[base.as_slice(), extra].concat(), environment);
        assert_eq!(ended.code, 0, "{ended:?}");
        (Digest::of(&fs::read(output).unwrap()), content_id(&ended))
    };
    let (first, content) = run("1.tar", &["--reproducible"], &[]);
    assert_eq!(run("2.tar", &["--reproducible"], &[]), (first, content.clone()));
    let epoch = [("SOURCE_DATE_EPOCH", "1764000000")];
    let dated = run("3.tar", &[], &epoch);
    assert_eq!(run("4.tar", &[], &epoch), dated);
    assert_ne!(dated.0, first);
    assert_eq!((dated.1, run("5.tar", &[], &[]).1), (content.clone(), content));
}

fn content_id(ended: &Ended) -> String {
    ended.stdout.lines().find_map(|line| line.strip_prefix("content id: ")).unwrap().to_owned()
}

#[test]
fn layers_can_be_left_behind() {
    let folder = tempfile::tempdir().unwrap();
    let from = format!("oci:{}", testdata("layouts/local-sigstore/app").display());
    let (inventory, findings) = collect(folder.path(), &["r.example/app:v1", "--from", &from, "--layers=none"]);
    assert_eq!(findings, ["layers-not-carried"]);
    let reasons: BTreeSet<_> = inventory.absent.iter().map(|absence| absence.reason).collect();
    assert_eq!(reasons, [AbsenceReason::LayersNotRequested].into());
}

#[test]
fn documents_are_carried_as_given_and_images_yaml_is_exported() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let yaml = "components:\n  - name: app\n    containerImage: r.example/app:v1\n  - name: other\n    containerImage: r.example/other:v1\n";
    let images = file("i.yaml", yaml);
    let policy = file("p.yaml", "# as given\nname: x\n");
    let root = file("t.json", "{ }");
    let key = file("k.pub", "-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----\n");
    let id_file = folder.path().join("id");
    let app = format!("r.example/app=oci:{}", testdata("layouts/local-sigstore/app").display());
    let other = format!("r.example/other=oci:{}", testdata("layouts/local-sigstore/key-legacy").display());
    let output = folder.path().join("out.tar");
    let ended = export(&[
        "--images",
        &images,
        "--policy",
        &policy,
        "--trusted-root",
        &root,
        "--key",
        &key,
        "--from",
        &app,
        "--from",
        &other,
        "--id-file",
        id_file.to_str().unwrap(),
        "-o",
        output.to_str().unwrap(),
        "r.example/app:v1",
    ]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let (inventory, findings) = open_archive(&output);
    assert!(findings.is_empty(), "{findings:?}");
    let references: Vec<&str> = inventory.subjects.iter().map(|subject| subject.reference.as_str()).collect();
    assert_eq!(references, ["r.example/app:v1", "r.example/other:v1"]);
    let id = fs::read_to_string(id_file).unwrap();
    assert!(ended.stdout.contains(&format!("bundle id:  {}", id.trim())), "{}", ended.stdout);
    let bytes = fs::read(&output).unwrap();
    for text in [yaml, "# as given\nname: x\n", "{ }"] {
        assert!(bytes.windows(text.len()).any(|window| window == text.as_bytes()));
    }
}

/// The helper is a program on PATH; it is asked for the host and its answer opens
/// the registry. A helper that knows nothing means anonymous.
#[test]
fn credential_files_and_helpers_of_docker_and_podman_work() {
    let folder = tempfile::tempdir().unwrap();
    let credentials = Some(("user".to_owned(), "pw".to_owned()));
    let registry = serve("local-sigstore/app", Behaviour { credentials, ..Behaviour::default() });
    let host = registry.host();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let helper = |name: &str, script: &str| {
        let path = write(&format!("docker-credential-{name}"), &format!("#!/bin/sh\n{script}\n"));
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    };
    helper("good", r#"read host; echo "{\"ServerURL\":\"$host\",\"Username\":\"user\",\"Secret\":\"pw\"}""#);
    helper("empty", "echo credentials not found in native keychain; exit 1");
    // base64 of user:pw
    let auths = write("auth.json", &format!(r#"{{"auths":{{"{host}/demo":{{"auth":"dXNlcjpwdw=="}}}}}}"#));
    let path = format!("{}:/usr/bin:/bin", folder.path().display());
    let docker = folder.path().to_str().unwrap();
    let output = folder.path().join("out.tar");
    let reference = format!("{host}/demo/app:v1");
    for (config, variables, code) in [
        (String::new(), vec![("REGISTRY_AUTH_FILE", auths.as_str())], 0),
        (format!(r#"{{"credHelpers":{{"{host}":"good"}}}}"#), vec![("DOCKER_CONFIG", docker)], 0),
        (r#"{"credsStore":"good"}"#.to_owned(), vec![("DOCKER_CONFIG", docker)], 0),
        (r#"{"credsStore":"empty"}"#.to_owned(), vec![("DOCKER_CONFIG", docker)], 2),
        (r#"{"credsStore":"missing"}"#.to_owned(), vec![("DOCKER_CONFIG", docker)], 2),
        (r#"{"credsStore":"../bin/sh"}"#.to_owned(), vec![("DOCKER_CONFIG", docker)], 2),
        (String::new(), vec![], 2),
    ] {
        write("config.json", &config);
        let environment = [variables, vec![("PATH", path.as_str())]].concat();
        let ended = export_with(&[&reference, "-q", "-o", output.to_str().unwrap()], &environment);
        assert_eq!(ended.code, code, "{config}: {ended:?}");
    }
}
