//! `carnet attach` dies at any moment, and the archive is the old one or the new one.
//!
//! `CARNET_KILLS=200 cargo test -p carnet --test attachment_kills -- --nocapture` is
//! the long form.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use carnet_bundle::{Archive, Digest, Limits, media, open};
use serde_json::json;

#[path = "collection/image.rs"]
mod image;

use image::{Layout, Seeded};

const KILLS: u64 = 20;
const LAYER: usize = 8 * 1024 * 1024;

#[test]
fn a_killed_attach_leaves_the_old_archive_or_the_new_one() {
    let dir = tempfile::tempdir().unwrap();
    let (kept, archive) = (dir.path().join("kept.carnet.tar"), dir.path().join("run/app.carnet.tar"));
    fs::create_dir(dir.path().join("run")).unwrap();
    export(dir.path(), &kept);
    let old = fs::read(&kept).unwrap();
    let file = dir.path().join("statement.json");
    fs::write(&file, envelope(&kept)).unwrap();
    let fresh = || {
        fs::write(&archive, &old).unwrap();
    };
    let attach = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_carnet"));
        command.arg("attach").arg(&archive).arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    fresh();
    let started = Instant::now();
    assert!(attach().status().unwrap().success());
    let duration = started.elapsed();
    let new = fs::read(&archive).unwrap();
    assert_ne!(old, new);

    let mut random = Seeded(20_261_125);
    let (mut olds, mut news, mut interrupted) = (0, 0, 0);
    for kill in 0..env::var("CARNET_KILLS").map_or(KILLS, |text| text.parse().unwrap()) {
        fresh();
        let mut child = attach().spawn().unwrap();
        // Half of them when there is something to interrupt, half at any moment.
        let began = Instant::now();
        if kill % 2 == 0 {
            while parts(&archive).is_empty() && child.try_wait().unwrap().is_none() {
                thread::yield_now();
            }
        }
        let left = duration.saturating_sub(began.elapsed());
        let wait = left.mul_f64(f64::from(u32::try_from(random.next() % 1_100).unwrap()) / 1_000.0);
        let until = Instant::now() + if kill % 2 == 0 { wait.min(Duration::from_millis(random.next() % 40)) } else { wait };
        while Instant::now() < until && child.try_wait().unwrap().is_none() {
            thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        interrupted += usize::from(!parts(&archive).is_empty());
        match fs::read(&archive).unwrap() {
            bytes if bytes == old => olds += 1,
            bytes if bytes == new => news += 1,
            _ => panic!("kill {kill}: neither the old archive nor the new one"),
        }
        // The next one ends what this one began, and clears up behind it.
        assert!(attach().status().unwrap().success(), "kill {kill}");
        assert_eq!(fs::read(&archive).unwrap(), new, "kill {kill}");
        assert_eq!(parts(&archive), Vec::<PathBuf>::new(), "kill {kill}");
    }
    println!("{} kills: the old archive {olds} times, the new one {news} times; {interrupted} while it was written", olds + news);
    assert!(olds > 0 && interrupted > 0, "no kill came in time");
}

/// What stands beside the archive.
fn parts(archive: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(archive.parent().unwrap()).unwrap();
    entries.map(|entry| entry.unwrap().path()).filter(|path| path != archive).collect()
}

fn export(dir: &Path, output: &Path) {
    let mut layout = Layout::new(&dir.join("layout"));
    let image = layout.image(&[Seeded(1).bytes(LAYER)]);
    layout.tag("v1", &image);
    let from = format!("oci:{}", dir.join("layout").display());
    let words = ["export", "registry.example/org/app:v1", "--reproducible", "--no-preflight", "--quiet", "--from", &from, "-o"];
    let done = Command::new(env!("CARGO_BIN_EXE_carnet")).args(words).arg(output).output().unwrap();
    assert!(done.status.success(), "{done:?}");
}

/// A statement about the bundle that nobody signed; attaching asks no signature.
fn envelope(archive: &Path) -> Vec<u8> {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let limits = Limits::default();
    let mut container = Archive::new(fs::File::open(archive).unwrap(), &limits).unwrap();
    let id: Digest = open(&mut container, &limits).unwrap().id;
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "bundle", "digest": {"sha256": id.to_hex()}}],
        "predicateType": "https://example.com/note",
        "predicate": {},
    });
    let payload = STANDARD.encode(statement.to_string());
    json!({"payload": payload, "payloadType": media::IN_TOTO, "signatures": [{"sig": "AA=="}]}).to_string().into_bytes()
}
