//! Images pushed to real registry programs and exported from there: the inventory
//! is that of the layout they came from, but for the places.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use carnet_bundle::{Archive, Bundle, Digest, Inventory, Limits, inventory::Method, open};
use serde_json::{Value, json};

#[path = "collection/image.rs"]
mod image;
#[path = "support/registries.rs"]
mod registries;

use registries::{Distribution, Ferro};

/// Sets without fallback tags go to the registry with the referrers API, their
/// twins with fallback tags to the one without.
const SETS: &[&str] = &["app", "multi", "keyless-legacy", "multi-legacy"];

#[test]
fn a_registry_with_the_referrers_api_gives_what_the_layout_holds() {
    let registry = Ferro::start();
    for set in SETS.iter().chain(&["extra-referrers"]) {
        crossing(registry.address(), set, Method::ReferrersApi);
    }
}

#[test]
fn a_registry_without_the_referrers_api_gives_what_the_layout_holds() {
    let registry = Distribution::start();
    for set in SETS {
        crossing(registry.address(), &format!("{set}-fallback"), Method::FallbackTag);
    }
}

/// Evidence on an index, on a nested one, on each platform and on evidence: what is
/// in the archive is what was pushed, piece by piece, whatever it came from.
#[test]
fn the_inventory_is_the_graph_that_was_pushed() {
    let dir = tempfile::tempdir().unwrap();
    let (mut layout, pieces) = image::graph(&dir.path().join("layout"));
    let (ferro, distribution) = (Ferro::start(), Distribution::start());
    push(&format!("http://{}/v2/org/graph", ferro.address()), &layout.path);
    let from = format!("oci:{}", layout.path.display());
    let read = collected(&dir.path().join("read.tar"), &["r.example/org/graph:v1", "--from", &from]);
    let referrers = collected(&dir.path().join("api.tar"), &[&format!("{}/org/graph:v1", ferro.address())]);
    write_fallback_tags(&mut layout);
    push(&format!("http://{}/v2/org/graph", distribution.address()), &layout.path);
    let tags = collected(&dir.path().join("tags.tar"), &[&format!("{}/org/graph:v1", distribution.address())]);
    for (place, method, inventory) in [
        ("layout", Method::ReferrersApi, &read),
        ("ferro", Method::ReferrersApi, &referrers),
        ("distribution", Method::FallbackTag, &tags),
    ] {
        let mut about: BTreeMap<Digest, usize> = BTreeMap::new();
        inventory.evidence.iter().for_each(|entry| *about.entry(entry.subject).or_default() += 1);
        assert_eq!((inventory.evidence.len(), &about), (15, &pieces), "{place}");
        assert!(inventory.evidence.iter().all(|entry| entry.found_in.iter().any(|found| found.method == method)), "{place}");
        for receipt in inventory.looked_for.iter().filter(|receipt| receipt.method == method) {
            let want = pieces.get(&receipt.subject).copied().unwrap_or_default();
            assert_eq!(usize::try_from(receipt.found).unwrap(), want, "{place}: {receipt:?}");
        }
    }
    let digests = |inventory: &Inventory| inventory.evidence.iter().map(|entry| entry.digest).collect::<Vec<_>>();
    assert_eq!([digests(&referrers), digests(&tags)], [digests(&read), digests(&read)]);
}

fn collected(archive: &Path, arguments: &[&str]) -> Inventory {
    export(arguments, archive);
    opened(archive).inventory().clone()
}

/// What clients of a registry without the API write: an index of the referrers of
/// each subject, under its tag.
fn write_fallback_tags(layout: &mut image::Layout) {
    let mut lists: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for (digest, media_type, document) in manifests(&layout.path) {
        if let Some(subject) = document["subject"]["digest"].as_str() {
            let size = fs::metadata(layout.path.join("blobs/sha256").join(&digest[7..])).unwrap().len();
            let entry = json!({ "mediaType": media_type, "digest": digest, "size": size });
            lists.entry(subject.replace(':', "-")).or_default().push(entry);
        }
    }
    for (tag, list) in lists {
        let index = layout.index(&list);
        layout.tag(&tag, &index);
    }
}

/// Every manifest among the blobs: digest, media type, document.
fn manifests(layout: &Path) -> Vec<(String, String, Value)> {
    let mut manifests = Vec::new();
    for file in fs::read_dir(layout.join("blobs/sha256")).unwrap() {
        let file = file.unwrap();
        let Ok(document) = serde_json::from_slice::<Value>(&fs::read(file.path()).unwrap()) else { continue };
        if document["schemaVersion"] == 2 {
            let media_type = document["mediaType"].as_str().unwrap().to_owned();
            manifests.push((format!("sha256:{}", file.file_name().to_str().unwrap()), media_type, document));
        }
    }
    manifests
}

fn crossing(address: &str, set: &str, method: Method) {
    let layout = testdata(&format!("layouts/local-sigstore/{set}"));
    push(&format!("http://{address}/v2/org/{set}"), &layout);
    let reference = format!("{address}/org/{set}:v1");
    let dir = tempfile::tempdir().unwrap();
    let (pulled, read) = (dir.path().join("pulled.tar"), dir.path().join("read.tar"));
    export(&[&reference], &pulled);
    export(&[&reference, "--from", &format!("{address}/org/{set}=oci:{}", layout.display())], &read);

    let (pulled_bundle, read_bundle) = (opened(&pulled), opened(&read));
    assert_eq!(pulled_bundle.content_id(), read_bundle.content_id(), "{set}");
    let (mut ours, mut theirs) = (pulled_bundle.inventory().clone(), read_bundle.inventory().clone());
    let by_method = |entry: &carnet_bundle::inventory::EvidenceEntry| entry.found_in.iter().any(|place| place.method == method);
    let bundles = ours.evidence.iter().filter(|e| e.kind == carnet_bundle::inventory::EvidenceKind::SigstoreBundle);
    assert!(bundles.clone().all(by_method), "{set}: {:?}", ours.evidence);
    for inventory in [&mut ours, &mut theirs] {
        inventory.looked_for.clear();
        inventory.evidence.iter_mut().for_each(|entry| entry.found_in.clear());
    }
    assert_eq!(ours, theirs, "{set}");
    assert!(!ours.evidence.is_empty(), "{set}");
}

fn export(arguments: &[&str], archive: &Path) {
    let output =
        Command::new(env!("CARGO_BIN_EXE_carnet")).arg("export").args(arguments).arg("-o").arg(archive).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

fn opened(archive: &Path) -> Bundle {
    let limits = Limits::default();
    let opened = open(&mut Archive::new(File::open(archive).unwrap(), &limits).unwrap(), &limits).unwrap();
    assert_eq!(opened.findings, []);
    opened.bundle.unwrap()
}

/// Pushes every blob, then manifests until each has what it names.
fn push(repository: &str, layout: &Path) {
    let index: Value = serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
    let found = manifests(layout).into_iter().map(|(digest, media_type, _)| (digest, (media_type, None)));
    let mut manifests: BTreeMap<String, (String, Option<String>)> = found.collect();
    for entry in index["manifests"].as_array().unwrap() {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let tag = text(&entry["annotations"]["org.opencontainers.image.ref.name"]);
        manifests.insert(text(&entry["digest"]).unwrap(), (text(&entry["mediaType"]).unwrap(), tag));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        // The registry room chooses the provider of TLS, which reqwest asks for.
        let _room = carnet_registry::Registry::new(carnet_registry::Options::default()).unwrap();
        let client = reqwest::Client::new();
        for file in fs::read_dir(layout.join("blobs/sha256")).unwrap() {
            let file = file.unwrap();
            push_blob(&client, repository, file.file_name().to_str().unwrap(), fs::read(file.path()).unwrap()).await;
        }
        let mut waiting: Vec<_> = manifests.into_iter().collect();
        while !waiting.is_empty() {
            let before = waiting.len();
            let mut refused = Vec::new();
            for (digest, (media_type, tag)) in waiting {
                let bytes = fs::read(layout.join("blobs/sha256").join(digest.trim_start_matches("sha256:"))).unwrap();
                let name = tag.as_deref().unwrap_or(&digest);
                let request =
                    client.put(format!("{repository}/manifests/{name}")).header("Content-Type", &media_type).body(bytes);
                if !request.send().await.unwrap().status().is_success() {
                    refused.push((digest, (media_type, tag)));
                }
            }
            waiting = refused;
            assert!(waiting.len() < before, "the registry refuses {waiting:?}");
        }
    });
}

async fn push_blob(client: &reqwest::Client, repository: &str, hex: &str, bytes: Vec<u8>) {
    let begun = client.post(format!("{repository}/blobs/uploads/")).body("").send().await.unwrap();
    assert!(begun.status().is_success(), "{}", begun.status());
    let location = begun.headers()["location"].to_str().unwrap().to_owned();
    let base: reqwest::Url = repository.parse().unwrap();
    let mut url = base.join(&location).unwrap();
    url.query_pairs_mut().append_pair("digest", &format!("sha256:{hex}"));
    let put = client.put(url).header("Content-Type", "application/octet-stream").body(bytes).send().await.unwrap();
    assert!(put.status().is_success(), "{hex}: {}", put.status());
}

fn testdata(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata").join(path)
}
