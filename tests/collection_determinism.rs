//! The same content gives the same bytes, whatever the order of answers, the
//! parallelism, the cache or the faults on the way; and every blob is asked for
//! once.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "collection/image.rs"]
mod image;
#[path = "export_support.rs"]
mod support;

use std::{collections::BTreeMap, fs};

use carnet_bundle::{Digest, Inventory, inventory::Method};
use carnet_registry::testing::{Behaviour, Content, Effect, Fault, Route, TestingRegistry};
use image::{Layout, Seeded, graph};
use serde_json::json;
use support::{export, open_archive, without_places};

struct Stage {
    folder: tempfile::TempDir,
    registry: TestingRegistry,
    pieces: BTreeMap<Digest, usize>,
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
    let mut about: BTreeMap<Digest, usize> = BTreeMap::new();
    api.evidence.iter().for_each(|entry| *about.entry(entry.subject).or_default() += 1);
    assert_eq!((api.evidence.len(), about), (15, stage.pieces.clone()));
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
    // Connections are kept: a few for all of them.
    assert!(registry.connections() <= 12, "{}", registry.connections());
}

/// Where things lie on the exporter's machine is nobody else's business, and does
/// not show.
#[test]
fn folders_of_the_exporter_do_not_show() {
    let epoch = [("SOURCE_DATE_EPOCH", "1764000000")];
    let mut archives = Vec::new();
    let name = "a-name-that-nothing-else-has";
    for n in 0..2 {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join(format!("{name}-{n}"));
        let (mut layout, _) = graph(&home.join("layout"));
        let image = layout.image(&[b"another".to_vec()]);
        layout.tag("other", &image);
        fs::write(home.join("images.yaml"), "components: [{ name: a, containerImage: 'r.example/demo/app:other' }]").unwrap();
        let path = |name: &str| home.join(name).to_str().unwrap().to_owned();
        let (from, output, images) = (format!("oci:{}", path("layout")), path("out.tar"), path("images.yaml"));
        let arguments = ["r.example/demo/app:v1", "--from", &from, "--images", &images, "-q", "-o", &output];
        let ended = support::export_with(&arguments, &epoch);
        assert_eq!(ended.code, 0, "{ended:?}");
        let bytes = fs::read(&output).unwrap();
        assert!(!bytes.windows(name.len()).any(|window| window == name.as_bytes()));
        let has = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
        assert!(has(br#""source":"oci-layout""#) && has(b"carnet-collection"));
        archives.push(Digest::of(&bytes));
    }
    assert_eq!(archives[0], archives[1]);
}
