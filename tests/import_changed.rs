//! Between verdict and writing, somebody swaps the archive or overwrites it in
//! place: nothing that did not pass is written, and no tag.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use std::{
    fs,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::Command,
};

use carnet_bundle::Digest;
use carnet_import::{ImportError, Shipment};
use carnet_registry::{
    BlobError, PushError,
    testing::{Behaviour, TestingRegistry},
};

#[path = "support/import.rs"]
mod support;

use support::{
    REPOSITORY, args, data_of, exported, exported_from, flip, has_blob, image_layout, judged, layout, opened, options, passed,
    registry, success, write, writes,
};

/// Opens and writes with what `meddle` does after the verdict, or between the two.
fn meddled(archive: &Path, at: Moment, meddle: impl Fn(&Path)) -> (Result<(), ImportError>, TestingRegistry) {
    let registry = registry(Behaviour::default());
    let args = args(&[archive.to_str().unwrap(), "--to", &format!("{}/{REPOSITORY}", registry.host())]);
    let verdict = judged_or_passed(archive);
    if at == Moment::AfterVerdict {
        meddle(archive);
    }
    let shipment = match Shipment::open(&args, verdict) {
        Ok(shipment) => shipment,
        Err(error) => return (Err(error), registry),
    };
    if at == Moment::AfterOpening {
        meddle(archive);
    }
    (write(&args, &shipment, options()).0, registry)
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Moment {
    AfterVerdict,
    AfterOpening,
}

const MOMENTS: [Moment; 2] = [Moment::AfterVerdict, Moment::AfterOpening];

fn judged_or_passed(archive: &Path) -> carnet_import::Judged {
    if archive.is_dir() || archive.to_string_lossy().contains("large") {
        let tar = archive.with_extension("original");
        return passed(if tar.exists() { &tar } else { archive });
    }
    judged(archive, &["key-bundle"])
}

fn no_tag(registry: &TestingRegistry) {
    let mut tags = Vec::new();
    registry.change(|content| tags = content.tags(REPOSITORY));
    assert_eq!(tags, Vec::<String>::new());
}

#[test]
fn another_archive_under_the_same_name_is_not_imported() {
    let dir = tempfile::tempdir().unwrap();
    let other = exported(dir.path(), "unsigned");
    let archive = exported(dir.path(), "key-bundle");
    let (outcome, registry) = meddled(&archive, Moment::AfterVerdict, |archive| {
        fs::copy(&other, archive).unwrap();
    });
    assert!(matches!(outcome, Err(ImportError::Changed(ref why)) if why.starts_with("bundle id mismatch")), "{outcome:?}");
    assert_eq!(writes(&registry), Vec::<String>::new());

    // Once it is open, the name does not matter any more.
    let archive = exported(dir.path(), "key-bundle");
    let root = opened(&archive).inventory().subjects[0].digest;
    let (outcome, registry) = meddled(&archive, Moment::AfterOpening, |archive| fs::rename(&other, archive).unwrap());
    outcome.unwrap();
    assert_eq!(support::tagged(&registry, "v1"), Some(root));
}

/// Every blob of the bundle in turn is overwritten by as many other bytes.
#[test]
fn a_blob_that_is_overwritten_in_place_is_never_written() {
    let dir = tempfile::tempdir().unwrap();
    let original = exported(dir.path(), "key-bundle");
    let bundle = opened(&original);
    let root = bundle.inventory().subjects[0].digest;
    let layers: Vec<Digest> = bundle.tree().layers().iter().map(|layer| layer.digest).collect();
    let mut blobs: Vec<Digest> = bundle.tree().manifests().map(|(digest, _)| *digest).collect();
    for (_, manifest) in bundle.tree().manifests() {
        blobs.extend(manifest.config().into_iter().chain(manifest.layers()).map(|blob| blob.digest));
    }
    blobs.sort_unstable();
    blobs.dedup();
    let archive = dir.path().join("key-bundle.copy.tar");
    for blob in blobs {
        for at in MOMENTS {
            fs::copy(&original, &archive).unwrap();
            let (outcome, registry) = meddled(&archive, at, |archive| flip(archive, &blob));
            let is_layer = layers.contains(&blob);
            match (at, &outcome) {
                (Moment::AfterVerdict, Err(ImportError::Changed(_))) if !is_layer => {}
                (_, Err(ImportError::Write { source: PushError::Source(BlobError::Digest { want, .. }), .. }))
                    if *want == blob => {}
                // What is held in memory since it was hashed is written as it was.
                (Moment::AfterOpening, Ok(())) if !is_layer && support::tagged(&registry, "v1") == Some(root) => continue,
                (_, outcome) => panic!("{blob} {at:?}: {outcome:?}"),
            }
            no_tag(&registry);
            assert!(!has_blob(&registry, &blob), "{blob} {at:?}");
        }
    }
}

/// The last byte of a large layer changes: all but the last piece has been sent by
/// the time that it shows.
#[test]
fn the_last_byte_of_a_large_layer_matters() {
    let dir = tempfile::tempdir().unwrap();
    let layer: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    image_layout(&dir.path().join("layout"), &layer);
    let original = exported_from(dir.path(), &[("large", &dir.path().join("layout"))], &[]);
    let digest = Digest::of(&layer);
    let archive = dir.path().join("large.copy.tar");
    for at in MOMENTS {
        fs::copy(&original, &archive).unwrap();
        let (outcome, registry) = meddled(&archive, at, |archive| {
            let place = data_of(&fs::read(archive).unwrap(), &digest) + layer.len() - 1;
            fs::OpenOptions::new().write(true).open(archive).unwrap().write_all_at(b"!", place.try_into().unwrap()).unwrap();
        });
        assert!(
            matches!(outcome, Err(ImportError::Write { source: PushError::Source(BlobError::Digest { want, .. }), .. }) if want == digest),
            "{outcome:?}"
        );
        no_tag(&registry);
        assert!(!has_blob(&registry, &digest));
    }
}

#[test]
fn an_archive_that_is_cut_off_meanwhile_is_not_imported() {
    let dir = tempfile::tempdir().unwrap();
    let original = exported(dir.path(), "key-bundle");
    let archive = dir.path().join("key-bundle.copy.tar");
    for at in MOMENTS {
        fs::copy(&original, &archive).unwrap();
        let (outcome, registry) = meddled(&archive, at, |archive| {
            let length = fs::metadata(archive).unwrap().len();
            fs::OpenOptions::new().write(true).open(archive).unwrap().set_len(length - 4096).unwrap();
        });
        assert!(outcome.is_err(), "{at:?}");
        no_tag(&registry);
    }
}

#[test]
fn a_member_that_is_added_meanwhile_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let archive = exported(dir.path(), "key-bundle");
    let (outcome, registry) = meddled(&archive, Moment::AfterVerdict, |archive| {
        let smuggled = b"smuggled".to_vec();
        let name = format!("blobs/sha256/{}", Digest::of(&smuggled).to_hex());
        let mut bytes = fs::read(archive).unwrap();
        bytes.truncate(bytes.len() - 1024);
        bytes.extend_from_slice(&carnet_bundle::container::header(&name, 8));
        bytes.extend_from_slice(&smuggled);
        bytes.extend_from_slice(&[0; 504 + 1024]);
        fs::write(archive, bytes).unwrap();
    });
    assert!(matches!(outcome, Err(ImportError::Changed(ref why)) if why.starts_with("member-not-listed")), "{outcome:?}");
    assert_eq!(writes(&registry), Vec::<String>::new());
}

/// The directory form, whose files can be replaced one by one.
#[test]
fn a_file_of_the_directory_that_is_swapped_is_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let archive = exported(dir.path(), "key-bundle");
    let layer = opened(&archive).tree().layers()[0].digest;
    let manifest = opened(&archive).inventory().subjects[0].digest;
    for (blob, at) in [(layer, Moment::AfterVerdict), (layer, Moment::AfterOpening), (manifest, Moment::AfterVerdict)] {
        let unpacked = unpack(&archive, dir.path());
        let (outcome, registry) = meddled(&unpacked, at, |root| {
            fs::write(root.join("blobs/sha256").join(blob.to_hex()), "another file").unwrap();
        });
        assert!(outcome.is_err(), "{blob} {at:?}");
        no_tag(&registry);
        assert!(!has_blob(&registry, &blob) && support::tagged(&registry, &blob.to_string()).is_none());
    }
    let unpacked = unpack(&archive, dir.path());
    let (outcome, registry) = meddled(&unpacked, Moment::AfterOpening, |_| {});
    outcome.unwrap();
    assert_eq!(support::tagged(&registry, "v1"), Some(manifest));
}

/// A verdict about one archive says nothing about another with the same image.
#[test]
fn a_verdict_on_other_evidence_does_not_count() {
    let dir = tempfile::tempdir().unwrap();
    let archive = exported(dir.path(), "key-bundle");
    let verdict = judged(&archive, &["key-bundle"]);
    let stripped = exported_from(&dir.path().join("."), &[("key-bundle", &layout("key-legacy"))], &[]);
    let registry = registry(Behaviour::default());
    let words = [stripped.to_str().unwrap(), "--to", &format!("{}/{REPOSITORY}", registry.host())];
    assert!(matches!(Shipment::open(&args(&words), verdict), Err(ImportError::Changed(_))));
}

fn unpack(archive: &Path, dir: &Path) -> PathBuf {
    let to = dir.join("unpacked");
    let _ = fs::remove_dir_all(&to);
    fs::create_dir(&to).unwrap();
    fs::copy(archive, to.with_extension("original")).unwrap();
    success(&Command::new("tar").arg("-xf").arg(archive).arg("-C").arg(&to).output().unwrap());
    to
}
