//! Some platforms of an index: its bytes and signatures stay, and what is left out
//! is declared.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "collection/image.rs"]
mod image;
#[path = "export_support.rs"]
mod support;

use std::{collections::BTreeSet, path::Path};

use carnet_bundle::{
    Digest, Inventory,
    inventory::{AbsenceReason, ChildState, EvidenceKind, Role},
    media,
};
use carnet_registry::testing::Behaviour;
use image::{Layout, digest, on};
use serde_json::json;
use support::{Ended, export, open_archive, serve, testdata};

fn run(from: &Path, platforms: &str, output: &Path) -> Ended {
    let from = format!("oci:{}", from.display());
    export(&["r.example/demo/app:v1", "--from", &from, "--reproducible", "--platform", platforms, "-o", output.to_str().unwrap()])
}

fn collect(from: &Path, platforms: &str) -> (Inventory, Vec<&'static str>) {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out.tar");
    let ended = run(from, platforms, &output);
    assert_eq!(ended.code, 0, "{ended:?}");
    open_archive(&output)
}

fn omitted(inventory: &Inventory) -> BTreeSet<Digest> {
    let reasons: BTreeSet<_> = inventory.absent.iter().map(|absence| (absence.role, absence.reason)).collect();
    assert!(reasons.is_empty() || reasons == [(Role::Child, AbsenceReason::PlatformNotRequested)].into(), "{reasons:?}");
    inventory.absent.iter().map(|absence| absence.digest).collect()
}

#[test]
fn the_index_and_its_evidence_travel_with_one_of_its_platforms() {
    for (set, all, some) in [("multi", 9, 6), ("multi-legacy", 4, 3)] {
        let from = testdata("layouts/local-sigstore").join(set);
        let (whole, _) = collect(&from, "linux/amd64,linux/arm64");
        assert_eq!((whole.evidence.len(), omitted(&whole)), (all, BTreeSet::new()), "{set}");
        let (part, findings) = collect(&from, "linux/amd64");
        assert_eq!(findings, ["platform-not-carried"], "{set}");
        let [amd64, arm64] = part.subjects[0].children.as_slice() else { panic!("{set}: {part:?}") };
        assert_eq!([amd64.state, arm64.state], [ChildState::Included, ChildState::Omitted]);
        assert_eq!(omitted(&part), [arm64.digest].into());
        assert_eq!(part.subjects[0].digest, whole.subjects[0].digest);
        let about =
            |inventory: &Inventory, digest: Digest| inventory.evidence.iter().filter(|entry| entry.subject == digest).count();
        assert_eq!(about(&part, part.subjects[0].digest), about(&whole, part.subjects[0].digest));
        assert_eq!((part.evidence.len(), about(&part, arm64.digest)), (some, 0), "{set}");
        assert!(!part.looked_for.iter().any(|receipt| receipt.subject == arm64.digest));
    }
}

#[test]
fn a_registry_is_not_asked_for_what_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let registry = serve("local-sigstore/multi", Behaviour::default());
    let reference = format!("{}/demo/app:v1", registry.host());
    let output = folder.path().join("out.tar");
    let ended = export(&[&reference, "--platform", "linux/amd64", "-o", output.to_str().unwrap()]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let omitted = omitted(&open_archive(&output).0);
    assert_eq!(omitted.len(), 1);
    for digest in omitted {
        assert!(!registry.served().iter().any(|served| served.path.contains(&digest.to_hex())));
    }
}

#[test]
fn attestations_beside_the_platforms_always_travel() {
    let folder = tempfile::tempdir().unwrap();
    let mut layout = Layout::new(folder.path());
    let [amd64, arm64] = [vec![vec![1; 9]], vec![vec![2; 9]]].map(|layers| layout.image(&layers));
    let attestation = |layout: &Layout, image: &serde_json::Value| {
        let statement = layout.blob(
            media::IN_TOTO,
            format!(r#"{{"predicateType":"https://spdx.dev/Document","n":"{}"}}"#, image["digest"]).as_bytes(),
        );
        let config = layout.blob(media::OCI_CONFIG, b"{\"architecture\":\"unknown\",\"os\":\"unknown\"}");
        let mut entry = on(&layout.manifest(json!({ "config": config, "layers": [statement] })), "unknown/unknown");
        entry["annotations"] = json!({
            media::DOCKER_REFERENCE_TYPE: "attestation-manifest",
            media::DOCKER_REFERENCE_DIGEST: image["digest"],
        });
        entry
    };
    let attestations = [attestation(&layout, &amd64), attestation(&layout, &arm64)];
    let [first, second] = attestations.clone();
    let index = layout.index(&[on(&amd64, "linux/amd64"), on(&arm64, "linux/arm64/v8"), first, second]);
    layout.tag("v1", &index);
    let (inventory, findings) = collect(folder.path(), "linux/amd64");
    assert_eq!((omitted(&inventory), findings), ([digest(&arm64)].into(), vec!["platform-not-carried"]));
    let carried: BTreeSet<_> = inventory.evidence.iter().map(|entry| (entry.kind, entry.digest, entry.subject)).collect();
    let want = |attestation, image| (EvidenceKind::BuildkitAttestation, digest(attestation), digest(image));
    assert_eq!(carried, [want(&attestations[0], &amd64), want(&attestations[1], &arm64)].into());
}

#[test]
fn indexes_in_an_index_are_looked_into() {
    let folder = tempfile::tempdir().unwrap();
    let mut layout = Layout::new(folder.path());
    let images: Vec<_> = (1..=5).map(|n| layout.image(&[vec![n; 9]])).collect();
    let inner = layout.index(&[on(&images[0], "linux/amd64"), on(&images[1], "linux/arm/v7")]);
    let windows = layout.index(&[on(&images[2], "windows/amd64")]);
    let index = layout.index(&[inner, on(&windows, "windows/amd64"), on(&images[3], "linux/arm/v6"), images[4].clone()]);
    layout.tag("v1", &index);
    for (platforms, absent) in
        [("linux/amd64", vec![1, 3]), ("linux/arm", vec![0]), ("linux/arm/v7", vec![0, 3]), ("linux/amd64,linux/arm/v6", vec![1])]
    {
        let (inventory, _) = collect(folder.path(), platforms);
        let mut want: BTreeSet<_> = absent.into_iter().map(|n: usize| digest(&images[n])).collect();
        want.insert(digest(&windows));
        assert_eq!(omitted(&inventory), want, "{platforms}");
    }
    let (inventory, _) = collect(folder.path(), "windows/amd64");
    assert!(!omitted(&inventory).contains(&digest(&windows)));
}

/// A manifest that stands for two platforms travels when one of them is wanted.
#[test]
fn one_manifest_for_two_platforms_is_not_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let mut layout = Layout::new(folder.path());
    let image = layout.image(&[vec![1; 9]]);
    let index = layout.index(&[on(&image, "linux/386"), on(&image, "linux/amd64")]);
    layout.tag("v1", &index);
    assert_eq!(omitted(&collect(folder.path(), "linux/amd64").0), BTreeSet::new());
}

#[test]
fn a_platform_that_there_is_not_is_one_clear_line() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out.tar");
    let mut layout = Layout::new(&folder.path().join("layout"));
    let index = layout.index(&[on(&layout.image(&[vec![1; 9]]), "linux/amd64")]);
    layout.tag("v1", &index);
    let ended = run(&layout.path, "linux/s390x,plan9/386", &output);
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(ended.stderr.contains("r.example/demo/app:v1 has none of the platforms linux/s390x, plan9/386"), "{ended:?}");
    assert!(!output.exists());
}
