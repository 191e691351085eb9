//! Somebody writes to an archive while it is served: no body that is complete is
//! wrong, and the operator hears of it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use std::{
    collections::BTreeSet,
    fs,
    io::{Read as _, Write as _},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::Command,
};

use carnet_bundle::Digest;

#[path = "support/registries.rs"]
mod registries;
#[path = "serve/served.rs"]
mod served;
#[path = "support/import.rs"]
mod support;

use served::{Large, Served, by_key, read, words};
use support::{data_of, exported, flip, opened, success};

/// More than sockets take in on their way.
const LARGE: usize = 48 << 20;

/// Overwrites one byte in place: the same file, the same size.
fn overwrite(archive: &Path, digest: &Digest, at: usize) {
    let place = data_of(&fs::read(archive).unwrap(), digest) + at;
    let file = fs::OpenOptions::new().read(true).write(true).open(archive).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, place.try_into().unwrap()).unwrap();
    file.write_all_at(&[byte[0] ^ 1], place.try_into().unwrap()).unwrap();
}

/// Wherever the byte is, whether the blob was pulled before or not, and whichever
/// part is asked for.
#[test]
fn a_blob_that_is_overwritten_in_place_is_never_complete() {
    let dir = tempfile::tempdir().unwrap();
    let Large { archive: original, layer, digest, flags } = Large::new(dir.path(), 20_000_000);
    let archive = dir.path().join("copy.carnet.tar");
    let path = Served::blob("large", &digest);
    for (at, pulled_before, range) in [
        (layer.len() - 1, false, None),
        (layer.len() - 1, true, None),
        (0, true, None),
        (9_000_000, false, Some("bytes=9000000-9000000")),
        (9_000_000, true, Some("bytes=9000000-9000000")),
        (9_000_000, true, Some("bytes=8999999-")),
        (0, false, Some("bytes=1-1")),
    ] {
        fs::copy(&original, &archive).unwrap();
        let served = Served::start(&[&archive], &words(&flags));
        if pulled_before {
            assert!(served.get(&path).body == layer);
        }
        overwrite(&archive, &digest, at);
        let headers: Vec<_> = range.map(|range| ("Range", range)).into_iter().collect();
        let got = served.ask("GET", &path, &headers);
        // Cut off, or not there from the start when it showed in time.
        let is_cut = matches!(got.status, 200 | 206) && !got.is_complete();
        let is_refused = got.status == 404 && got.code() == "BLOB_UNKNOWN";
        assert!(is_cut || is_refused, "{at} {range:?}: {} {}", got.status, got.body.len());
        served.says("was written to since it was judged");
        let (line, _) = served.says(if pulled_before { "other bytes than were hashed" } else { "digest mismatch" });
        assert!(line.contains(&format!("org/large@{digest}")), "{line}");
        // From then on it is not there.
        for method in ["GET", "HEAD"] {
            assert_eq!(served.ask(method, &path, &[]).status, 404);
        }
        served.says("other bytes were found in its place");
        assert_eq!(served.end("TERM").0, Some(2));
    }
}

/// The client has a part already when it happens.
#[test]
fn a_pull_that_is_under_way_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let large = Large::new(dir.path(), LARGE);
    let served = large.serve();
    let Large { archive, layer, digest, .. } = large;
    let path = Served::blob("large", &digest);
    let mut stream = served.connect();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
    let mut begun = vec![0; 1 << 20];
    stream.read_exact(&mut begun).unwrap();
    overwrite(&archive, &digest, layer.len() - 1);
    let got = read(&mut stream, begun).unwrap();
    assert_eq!(got.header("content-length"), layer.len().to_string());
    assert!(got.body.len() > 1 << 19 && got.body.len() < layer.len() && layer.starts_with(&got.body));
    served.says("digest mismatch");
    assert_eq!(served.end("TERM").0, Some(2));
}

#[test]
fn a_file_that_is_cut_off_is_no_complete_body() {
    let dir = tempfile::tempdir().unwrap();
    let large = Large::new(dir.path(), 3_000_000);
    let served = large.serve();
    let Large { archive, layer, digest, .. } = large;
    let length = fs::metadata(&archive).unwrap().len();
    fs::OpenOptions::new().write(true).open(&archive).unwrap().set_len(length - 4096).unwrap();
    let got = served.get(&Served::blob("large", &digest));
    assert!(got.status == 404 || got.status == 200 && !got.is_complete() && got.body.len() < layer.len());
    served.says("has changed since it was judged");
    served.says("the file is cut off");
}

/// The file was opened once: its name does not matter any more.
#[test]
fn another_file_under_its_name_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let large = Large::new(dir.path(), 3_000_000);
    let served = large.serve();
    let Large { archive, layer, digest, .. } = large;
    let other = dir.path().join("other");
    fs::write(&other, "something else").unwrap();
    fs::rename(&other, &archive).unwrap();
    assert!(served.get(&Served::blob("large", &digest)).body == layer);
    served.says("is another file now; the one that was judged is served on");
    fs::remove_file(&archive).unwrap();
    assert!(served.get(&Served::blob("large", &digest)).body == layer);
    served.says("cannot be looked at any more");
    assert_eq!(served.end("TERM").0, Some(0));
}

/// Every manifest and blob of a signed image in turn. What is in memory since it was
/// hashed is served as it was.
#[test]
fn what_is_small_is_right_or_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let original = exported(dir.path(), "key-bundle");
    let bundle = opened(&original);
    let archive = dir.path().join("copy.carnet.tar");
    fs::copy(&original, &archive).unwrap();
    let served = Served::start(&[&archive], &words(&by_key(&["key-bundle"])));
    let subject = bundle.inventory().subjects[0].digest;
    let about = bundle.inventory().evidence.iter().filter(|entry| entry.subject == subject).map(|entry| entry.digest);
    let manifests: BTreeSet<Digest> = about.chain([subject]).collect();
    let named = manifests.iter().filter_map(|digest| bundle.manifest(digest));
    let blobs: BTreeSet<Digest> = named.flat_map(|m| m.config().into_iter().chain(m.layers())).map(|blob| blob.digest).collect();
    for digest in manifests.iter().chain(&blobs) {
        flip(&archive, digest);
    }
    for digest in &manifests {
        let got = served.get(&format!("/v2/org/key-bundle/manifests/{digest}"));
        assert_eq!((got.status, Digest::of(&got.body)), (200, *digest));
    }
    for digest in &blobs {
        let got = served.get(&Served::blob("key-bundle", digest));
        assert_eq!((got.status, got.code().as_str()), (404, "BLOB_UNKNOWN"), "{digest}");
    }
    assert!(!blobs.is_empty());
    assert_eq!(served.end("TERM").0, Some(2));
}

/// The directory form, whose files can be replaced one by one.
#[test]
fn a_file_of_the_directory_that_is_swapped_is_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let archive = exported(dir.path(), "key-bundle");
    let layer = opened(&archive).tree().layers()[0].digest;
    let subject = opened(&archive).inventory().subjects[0].digest;
    let flags = by_key(&["key-bundle"]);
    for other in [Some("another file"), None] {
        let unpacked = unpack(&archive, dir.path());
        let served = Served::start(&[&unpacked], &words(&flags));
        assert_eq!(Digest::of(&served.get(&Served::blob("key-bundle", &layer)).body), layer);
        let file = unpacked.join("blobs/sha256").join(layer.to_hex());
        match other {
            Some(text) => fs::write(file, text).unwrap(),
            None => fs::remove_file(file).unwrap(),
        }
        assert_eq!(served.get(&Served::blob("key-bundle", &layer)).code(), "BLOB_UNKNOWN");
        assert_eq!(Digest::of(&served.get("/v2/org/key-bundle/manifests/v1").body), subject);
        assert_eq!(served.end("TERM").0, Some(2));
    }
}

fn unpack(archive: &Path, dir: &Path) -> PathBuf {
    let to = dir.join("unpacked");
    let _ = fs::remove_dir_all(&to);
    fs::create_dir(&to).unwrap();
    success(&Command::new("tar").arg("-xf").arg(archive).arg("-C").arg(&to).output().unwrap());
    to
}
