//! An export that dies loses nothing: no partial output, and the next one fetches
//! only what is missing.
//!
//! `CARNET_KILLS=200 CARNET_KILL_MIB=200 cargo test --release -p carnet-export
//! --test collection_cache` is the long form.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "collection/image.rs"]
mod image;
#[path = "export_support.rs"]
mod support;

use std::{
    collections::BTreeMap,
    env, fs,
    io::Read as _,
    path::{Path, PathBuf},
    process::{Child, Command},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use carnet_bundle::Digest;
use carnet_registry::testing::{Behaviour, Content, Effect, Fault, Route, Served, TestingRegistry};
use image::Seeded;
use support::{command, export, finish, testdata};

const LAYERS: usize = 6;

struct Stage {
    folder: tempfile::TempDir,
    registry: TestingRegistry,
    layers: BTreeMap<Digest, u64>,
}

impl Stage {
    /// A registry with one image of so many MiB.
    fn new(mib: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let size = mib * (1 << 20) / LAYERS;
        let layout = image::simple(&folder.path().join("layout"), LAYERS, size);
        let mut content = Content::new();
        content.add_layout("demo/app", &layout.path).unwrap();
        // The same under another name tells the requests of one export from those of
        // a dead one, which may be answered late.
        content.add_layout("demo/again", &layout.path).unwrap();
        let registry = TestingRegistry::start(content, Behaviour::default()).unwrap();
        let blobs = fs::read_dir(layout.path.join("blobs/sha256")).unwrap().map(Result::unwrap);
        let layers = blobs.map(|blob| (hex_digest(&blob.path()), blob.metadata().unwrap().len()));
        let layers = layers.filter(|(_, length)| *length == u64::try_from(size).unwrap()).collect();
        Self { folder, registry, layers }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    fn command(&self, output: &str, cache: &str) -> Command {
        self.command_for("demo/app", output, cache)
    }

    fn command_for(&self, repository: &str, output: &str, cache: &str) -> Command {
        let reference = format!("{}/{repository}:v1", self.registry.host());
        command(&[&reference, "--reproducible", "--quiet", "--cache", &self.path(cache), "-o", &self.path(output)])
    }

    fn export(&self, output: &str, cache: &str) {
        self.export_from("demo/app", output, cache);
    }

    fn export_from(&self, repository: &str, output: &str, cache: &str) {
        let ended = finish(self.command_for(repository, output, cache).output().unwrap());
        assert_eq!(ended.code, 0, "{ended:?}");
    }

    fn digest(&self, output: &str) -> Digest {
        Digest::of(&fs::read(self.path(output)).unwrap())
    }

    /// Bytes that the cache holds of each layer.
    fn held(&self, cache: &str) -> BTreeMap<Digest, u64> {
        let Ok(files) = fs::read_dir(Path::new(&self.path(cache)).join("sha256")) else { return BTreeMap::new() };
        files.map(Result::unwrap).map(|file| (hex_digest(&file.path()), file.metadata().unwrap().len())).collect()
    }

    /// Fetches of layers since the first `before` requests.
    fn fetched(&self, before: usize) -> Vec<Served> {
        let is_layer = |served: &Served| self.layers.keys().any(|layer| served.path.ends_with(&layer.to_string()));
        self.registry.served().split_off(before).into_iter().filter(is_layer).collect()
    }
}

fn hex_digest(path: &Path) -> Digest {
    Digest::from_hex(path.file_name().unwrap().to_str().unwrap()).unwrap()
}

fn from_env(name: &str, default: usize) -> usize {
    env::var(name).map_or(default, |value| value.parse().unwrap())
}

#[test]
fn a_killed_export_leaves_nothing_and_the_next_one_fetches_the_rest() {
    let mib = from_env("CARNET_KILL_MIB", 24);
    let stage = Stage::new(mib);
    let started = Instant::now();
    stage.export("whole.tar", "cold");
    let duration = started.elapsed();
    stage.export_from("demo/again", "again.tar", "cold-again");
    let want = [stage.digest("whole.tar"), stage.digest("again.tar")];
    let mut random = Seeded(20_261_125);
    for n in 0..from_env("CARNET_KILLS", 20) {
        let (folder, cache) = (format!("out-{n}"), format!("cache-{n}"));
        fs::create_dir(stage.path(&folder)).unwrap();
        let output = format!("{folder}/app.tar");
        let signal = if n % 5 == 4 { "INT" } else { "KILL" };
        let command = stage.command(&output, &cache);
        if n % 2 == 0 {
            stop_at_byte(random.next() % (u64::try_from(mib).unwrap() << 20), signal, command, &stage, &cache);
            assert!(!Path::new(&stage.path(&output)).exists(), "run {n}");
            assert!(stage.held(&cache).values().any(|length| *length > 0), "run {n}");
        } else {
            let part = f64::from(u32::try_from(random.next() % 1100).unwrap()) / 1000.0;
            stop_at_time(duration.mul_f64(part), signal, command);
        }
        resumes(&stage, &folder, &cache, want);
        fs::remove_dir_all(stage.path(&folder)).unwrap();
        fs::remove_dir_all(stage.path(&cache)).unwrap();
    }
}

/// Whatever is there of the output is whole; the next export makes it so, leaves
/// nothing else, and fetches what the cache lacks and nothing else.
fn resumes(stage: &Stage, folder: &str, cache: &str, [want, want_again]: [Digest; 2]) {
    let output = format!("{folder}/app.tar");
    if Path::new(&stage.path(&output)).exists() {
        assert_eq!(stage.digest(&output), want, "{folder}");
    }
    let held = stage.held(cache);
    let before = stage.registry.served().len();
    stage.export_from("demo/again", &output, cache);
    assert_eq!(stage.digest(&output), want_again, "{folder}");
    let left: Vec<PathBuf> = fs::read_dir(stage.path(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(left, [PathBuf::from(stage.path(&output))], "{folder}");
    let mut fetched = stage.fetched(before);
    fetched.retain(|served| served.path.starts_with("/v2/demo/again/"));
    for (layer, size) in &stage.layers {
        let from: Vec<u64> =
            fetched.iter().filter(|served| served.path.ends_with(&layer.to_string())).map(|served| served.from).collect();
        match held.get(layer).copied().unwrap_or_default() {
            all if all == *size => assert!(from.is_empty(), "{folder}: {layer} was there, and was asked for from {from:?}"),
            part => assert_eq!(from, [part], "{folder}: {layer}"),
        }
    }
}

/// Sends `signal` when the registry has sent so many bytes of layers, and holds the
/// rest back until the export is dead.
fn stop_at_byte(byte: u64, signal: &str, mut command: Command, stage: &Stage, cache: &str) {
    let reached = stage.registry.hold_after(byte.max(1 << 20));
    let mut child = command.spawn().unwrap();
    reached.recv_timeout(Duration::from_secs(60)).unwrap();
    // What was sent is on its way still; some of it is to have arrived.
    let end = Instant::now() + Duration::from_secs(60);
    while stage.held(cache).values().all(|length| *length < 1000) && Instant::now() < end {
        thread::yield_now();
    }
    send(signal, &mut child);
    child.wait().unwrap();
    stage.registry.release();
}

/// Sends `signal` after `moment`, unless the export ends before.
fn stop_at_time(moment: Duration, signal: &str, mut command: Command) {
    let mut child = command.spawn().unwrap();
    let (ended, end) = mpsc::channel::<()>();
    let mut stderr = child.stderr.take().unwrap();
    let reader = thread::spawn(move || {
        let mut said = Vec::new();
        stderr.read_to_end(&mut said).unwrap();
        drop(ended);
    });
    if end.recv_timeout(moment) == Err(RecvTimeoutError::Timeout) {
        send(signal, &mut child);
    }
    child.wait().unwrap();
    reader.join().unwrap();
}

/// The export may have ended meanwhile.
fn send(signal: &str, child: &mut Child) {
    match signal {
        "KILL" => child.kill().unwrap(),
        signal => drop(Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).output().unwrap()),
    }
}

#[test]
fn what_came_once_does_not_come_again() {
    let stage = Stage::new(6);
    stage.export("first.tar", "cache");
    let before = stage.registry.served().len();
    stage.export("second.tar", "cache");
    assert_eq!(stage.fetched(before), []);
    let before = stage.registry.served().len();
    stage.export("cold.tar", "other");
    assert_eq!(stage.fetched(before).len(), LAYERS);
    assert_eq!([stage.digest("second.tar"), stage.digest("cold.tar")], [stage.digest("first.tar"); 2]);
}

#[test]
fn damage_in_the_cache_is_found_and_mended() {
    let stage = Stage::new(6);
    stage.export("first.tar", "cache");
    let (whole, part) = {
        let mut layers = stage.layers.keys();
        (layers.next().unwrap(), layers.next().unwrap())
    };
    let file = |layer: &Digest| Path::new(&stage.path("cache")).join("sha256").join(layer.to_hex());
    let damage = |layer: &Digest, length: usize| {
        let mut bytes = fs::read(file(layer)).unwrap();
        bytes[100] ^= 1;
        bytes.truncate(length);
        fs::write(file(layer), bytes).unwrap();
    };
    damage(whole, usize::MAX);
    damage(part, 5000);
    let before = stage.registry.served().len();
    stage.export("second.tar", "cache");
    assert_eq!(stage.digest("second.tar"), stage.digest("first.tar"));
    let mut fetched: Vec<_> = stage.fetched(before).into_iter().map(|served| (served.path, served.from)).collect();
    fetched.sort();
    let blob = |layer: &Digest| format!("/v2/demo/app/blobs/{layer}");
    let mut want = [(blob(whole), 0), (blob(part), 0), (blob(part), 5000)];
    want.sort();
    assert_eq!(fetched, want);
    for layer in [whole, part] {
        assert_eq!(Digest::of(&fs::read(file(layer)).unwrap()), *layer);
    }
}

#[test]
fn a_registry_without_ranges_sends_all_again() {
    for effect in [None, Some(Effect::Status(416))] {
        let stage = Stage::new(6);
        stage.export("first.tar", "cache");
        let layer = *stage.layers.keys().next().unwrap();
        let file = Path::new(&stage.path("cache")).join("sha256").join(layer.to_hex());
        fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(5000).unwrap();
        let mut content = Content::new();
        content.add_layout("demo/app", Path::new(&stage.path("layout"))).unwrap();
        let other = TestingRegistry::start(content, Behaviour { ranges: false, ..Behaviour::default() }).unwrap();
        if let Some(effect) = effect {
            other.inject(Fault::on(Route::Blob, effect).times(1));
        }
        let reference = format!("{}/demo/app:v1", other.host());
        let (cache, output) = (stage.path("cache"), stage.path("second.tar"));
        let ended = export(&[&reference, "--reproducible", "--cache", &cache, "-o", &output]);
        assert_eq!(ended.code, 0, "{ended:?}");
        assert_eq!(Digest::of(&fs::read(&file).unwrap()), layer);
    }
}

#[test]
fn exports_at_the_same_time_do_not_disturb_each_other() {
    let stage = Stage::new(12);
    stage.export("want.tar", "other");
    let outputs = ["a.tar", "b.tar", "a.tar", "c.tar"];
    let children: Vec<Child> = outputs.iter().map(|output| stage.command(output, "cache").spawn().unwrap()).collect();
    for child in children {
        let ended = finish(child.wait_with_output().unwrap());
        assert_eq!(ended.code, 0, "{ended:?}");
    }
    for output in outputs {
        assert_eq!(stage.digest(output), stage.digest("want.tar"), "{output}");
    }
    let parts = fs::read_dir(stage.folder.path())
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|extension| extension == "part"));
    assert_eq!(parts.count(), 0);
}

/// A cache on a file system of 64 KiB, in a mount namespace of its own.
#[test]
fn a_full_cache_is_said_and_stops_nothing() {
    let stage = Stage::new(6);
    let reference = format!("{}/demo/app:v1", stage.registry.host());
    let (cache, output) = (stage.path("cache"), stage.path("out.tar"));
    fs::create_dir(&cache).unwrap();
    let inner = command(&[&reference, "--cache", &cache, "-o", &output]);
    let mut outer = Command::new("unshare");
    outer.args(["-rm", "sh", "-c", r#"mount -t tmpfs -o size=64k tmpfs "$0" && "$@""#, &cache]);
    outer.arg(inner.get_program()).args(inner.get_args());
    outer.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let ended = finish(outer.output().unwrap());
    assert!(ended.code == 0 && ended.stderr.contains("warning: the cache was not used"), "{ended:?}");
}

#[test]
fn a_cache_that_cannot_be_used_is_an_error_when_it_was_asked_for() {
    let stage = Stage::new(1);
    fs::write(stage.path("file"), "").unwrap();
    let reference = format!("{}/demo/app:v1", stage.registry.host());
    let arguments = [reference.as_str(), "-q", "--cache", &stage.path("file"), "-o", &stage.path("out.tar")];
    let ended = export(&arguments);
    assert!(ended.code == 2 && ended.stderr.contains("cannot use the cache"), "{ended:?}");
    assert!(ended.stderr.contains("hint: name another folder with --cache"), "{ended:?}");
    // One that nobody asked for is said and left alone.
    let home = stage.path("file");
    let ended = finish(command(&[&reference, "-o", &stage.path("out.tar")]).env("HOME", &home).output().unwrap());
    assert!(ended.code == 0 && ended.stderr.contains("warning: the cache was not used: "), "{ended:?}");
}

#[test]
fn the_default_cache_is_where_the_desktop_keeps_such_things() {
    let stage = Stage::new(1);
    let reference = format!("{}/demo/app:v1", stage.registry.host());
    for (variable, folder) in [("HOME", "home/.cache/carnet/sha256"), ("XDG_CACHE_HOME", "home/carnet/sha256")] {
        let output = stage.path("out.tar");
        let mut run = command(&[&reference, "-o", &output]);
        let ended = finish(run.env(variable, stage.path("home")).output().unwrap());
        assert_eq!(ended.code, 0, "{ended:?}");
        assert!(fs::read_dir(stage.path(folder)).unwrap().count() >= LAYERS, "{variable}");
    }
    let ended = finish(
        command(&[&reference, "--no-cache", "-o", &stage.path("out.tar")]).env("HOME", stage.path("none")).output().unwrap(),
    );
    assert!(ended.code == 0 && !Path::new(&stage.path("none")).exists(), "{ended:?}");
}

#[test]
fn what_a_dead_export_left_is_removed_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for name in [".carnet-abcdef.part", ".carnet-x", "other.part"] {
        fs::write(path(name), "left over").unwrap();
    }
    // Somebody is at this one.
    let held = fs::File::create(path(".carnet-locked.part")).unwrap();
    held.lock().unwrap();
    let from = format!("oci:{}", testdata("layouts/local-sigstore/app").display());
    let ended = export(&["r.example/a:v1", "--from", &from, "-o", path("out.tar").to_str().unwrap()]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let mut left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, [".carnet-locked.part", ".carnet-x", "other.part", "out.tar"]);
}
