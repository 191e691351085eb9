//! The same content gives the same bytes, whatever the order of answers, the
//! parallelism, the cache or the faults on the way; and every blob is asked for
//! once.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "collection/image.rs"]
mod image;
#[path = "export_support.rs"]
mod support;

use std::{collections::BTreeMap, fs, path::Path};

use carnet_bundle::{Digest, Inventory, inventory::Method, media};
use carnet_registry::testing::{Behaviour, Content, Effect, Fault, Route, TestingRegistry};
use image::{Layout, Seeded, on};
use serde_json::{Value, json};
use support::{export, open_archive, without_places};

/// An index of three platforms with evidence about the index, about each platform
/// and about evidence, layers that are shared, and a nested index.
fn graph(path: &Path) -> (Layout, usize) {
    let mut random = Seeded(3);
    let mut layout = Layout::new(path);
    let shared = random.bytes(70_000);
    let images: Vec<_> = (0..3).map(|_| layout.image(&[shared.clone(), random.bytes(150_000), random.bytes(9)])).collect();
    let inner = layout.index(&[on(&images[2], "linux/arm/v7")]);
    let index = layout.index(&[on(&images[0], "linux/amd64"), on(&images[1], "linux/arm64"), inner.clone()]);
    let mut pieces = 0;
    let mut refer = |subject: &Value, n: usize| {
        let payload = layout.blob("application/spdx+json", format!("{{\"n\":{pieces}}}").as_bytes());
        let config = layout.blob(media::OCI_EMPTY, b"{}");
        pieces += 1;
        layout.manifest(json!({
            "artifactType": format!("application/x-{n}"), "config": config, "layers": [payload], "subject": plain(subject),
        }))
    };
    for subject in images.iter().chain([&inner, &index]) {
        let about = [refer(subject, 1), refer(subject, 2)];
        refer(&about[0], 3);
    }
    layout.tag("v1", &index);
    (layout, pieces)
}

fn plain(descriptor: &Value) -> Value {
    json!({ "mediaType": descriptor["mediaType"], "digest": descriptor["digest"], "size": descriptor["size"] })
}

struct Stage {
    folder: tempfile::TempDir,
    registry: TestingRegistry,
    pieces: usize,
}

impl Stage {
    fn new(behaviour: Behaviour) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (layout, pieces) = graph(&folder.path().join("layout"));
        let mut content = Content::new();
        content.add_layout("demo/app", &layout.path).unwrap();
        content.write_fallback_tags("demo/app");
        Self { folder, registry: TestingRegistry::start(content, behaviour).unwrap(), pieces }
    }

    fn output(&self) -> String {
        self.folder.path().join("out.tar").to_str().unwrap().to_owned()
    }

    fn archive(&self, extra: &[&str]) -> Digest {
        let (reference, output) = (format!("{}/demo/app:v1", self.registry.host()), self.output());
        let ended = export(&[[reference.as_str(), "--reproducible", "-q", "-o", &output].as_slice(), extra].concat());
        assert_eq!(ended.code, 0, "{extra:?}: {ended:?}");
        Digest::of(&fs::read(&output).unwrap())
    }

    fn inventory(&self) -> Inventory {
        let (inventory, findings) = open_archive(self.output().as_ref());
        assert_eq!(findings, Vec::<&str>::new());
        inventory
    }
}

#[test]
fn parallelism_cache_and_faults_do_not_show() {
    let stage = Stage::new(Behaviour { page_size: 1, ..Behaviour::default() });
    let want = stage.archive(&[]);
    let cache = stage.folder.path().join("cache");
    let cache = cache.to_str().unwrap();
    for extra in [
        ["--parallel", "1"].as_slice(),
        &["--parallel", "8"],
        &["--cache", cache],
        &["--cache", cache],
        &["--cache", cache, "--parallel", "8"],
        &["--no-cache"],
    ] {
        assert_eq!(stage.archive(extra), want, "{extra:?}");
    }
    for (every, effect) in
        [(3, Effect::Status(503)), (4, Effect::Status(429)), (5, Effect::CutAfter(7)), (1, Effect::CutAfter(60_000))]
    {
        for extra in [["--parallel", "1"], ["--parallel", "8"]] {
            stage.registry.inject(Fault::on(Route::Any, effect.clone()).every(every).once_for_each_path());
            assert_eq!(stage.archive(&extra), want, "{effect:?} at every request of {every}, {extra:?}");
            stage.registry.heal();
        }
    }
}

/// Registries with and without the API, and the layout itself, hold the same graph.
#[test]
fn the_inventory_is_the_graph_that_was_pushed() {
    let stage = Stage::new(Behaviour::default());
    stage.archive(&[]);
    let api = stage.inventory();
    assert_eq!((api.evidence.len(), stage.pieces), (15, 15));
    let mut about: BTreeMap<Digest, usize> = BTreeMap::new();
    api.evidence.iter().for_each(|entry| *about.entry(entry.subject).or_default() += 1);
    let mut counts: Vec<_> = about.values().copied().collect();
    counts.sort_unstable();
    assert_eq!(counts, [1, 1, 1, 1, 1, 2, 2, 2, 2, 2]);
    let fallback = Stage::new(Behaviour { referrers_api: false, ..Behaviour::default() });
    fallback.archive(&[]);
    assert_eq!(without_places(fallback.inventory()), without_places(api.clone()));
    let from = format!("oci:{}", stage.folder.path().join("layout").display());
    let output = stage.output();
    let ended = export(&["r.example/demo/app:v1", "--from", &from, "--reproducible", "-o", &output]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(without_places(stage.inventory()), without_places(api));
}

/// Images that share layers: each blob and manifest once, and each place looked at
/// once.
#[test]
fn nothing_is_asked_for_twice() {
    let folder = tempfile::tempdir().unwrap();
    let mut random = Seeded(5);
    let mut layout = Layout::new(&folder.path().join("layout"));
    let shared: Vec<_> = (0..4).map(|_| random.bytes(5_000)).collect();
    let count = 100;
    for n in 0..count {
        let image = layout.image(&[shared.clone(), vec![random.bytes(100)]].concat());
        layout.tag(&format!("v{n}"), &image);
    }
    let mut content = Content::new();
    content.add_layout("demo/app", &layout.path).unwrap();
    let credentials = Some(("user".to_owned(), "secret".to_owned()));
    let registry = TestingRegistry::start(content, Behaviour { credentials, ..Behaviour::default() }).unwrap();
    let auth = folder.path().join("auth.json");
    let config = json!({ "auths": { registry.host(): { "auth": "dXNlcjpzZWNyZXQ=" } } });
    fs::write(&auth, config.to_string()).unwrap();
    let references: Vec<_> = (0..count).map(|n| format!("{}/demo/app:v{n}", registry.host())).collect();
    let output = folder.path().join("out.tar");
    let mut arguments: Vec<_> = references.iter().map(String::as_str).collect();
    arguments.extend(["-q", "-o", output.to_str().unwrap()]);
    let ended = support::export_with(&arguments, &[("REGISTRY_AUTH_FILE", auth.to_str().unwrap())]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let served = registry.served();
    let mut paths: BTreeMap<&str, usize> = BTreeMap::new();
    served.iter().filter(|served| served.status != 401).for_each(|served| *paths.entry(&served.path).or_default() += 1);
    let twice: Vec<_> =
        paths.iter().filter(|(path, times)| **times > 1 && !path.starts_with("/token") && **path != "/v2/").collect();
    assert!(twice.is_empty(), "{twice:?}");
    // Manifests, configs (one is shared), distinct layers, places; and authentication.
    let places = count * (Method::PROFILE.len() - 1);
    let authentication = served.iter().filter(|served| served.status == 401 || served.path.starts_with("/token")).count();
    assert!(authentication < 10, "{authentication}");
    assert_eq!(served.len(), count + 1 + (4 + count) + places + authentication);
}
