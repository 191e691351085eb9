//! Imports into files: an OCI layout, a tar of one, an archive for `docker load`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use carnet_bundle::Digest;
use carnet_import::{ImportError, Shipment};
use serde_json::Value;

#[path = "support/import.rs"]
mod support;

use support::{
    args, carnet, exported, exported_from, flip, image_layout, import, judged, judged_as, layout, opened, options, passed,
    success, write,
};

/// Exports again from what was imported.
fn exported_again(dir: &Path, from: &str, name: &str) -> carnet_bundle::Bundle {
    let archive = dir.join("again.carnet.tar");
    let mut command = Command::new(carnet());
    command.args(["export", "--proofs=skip", "--no-cache", "--no-preflight", "--quiet", "-o"]).arg(&archive);
    command.args([&support::reference(name), "--from", from]);
    success(&command.output().unwrap());
    opened(&archive)
}

#[test]
fn a_layout_holds_what_the_archive_holds() {
    let dir = tempfile::tempdir().unwrap();
    for set in ["multi", "multi-legacy", "extra-referrers", "mixed"] {
        let archive = exported(dir.path(), set);
        for form in ["oci", "oci-archive"] {
            let place = format!("{form}:{}", dir.path().join(format!("{form}-{set}")).display());
            let (outcome, receipt) = import(&args(&[archive.to_str().unwrap(), "--to", &place]), passed(&archive));
            outcome.unwrap();
            assert_eq!(receipt["complete"], true);
            let again = exported_again(dir.path(), &place.replace("oci-archive:", "oci:"), set);
            assert_eq!(again.content_id(), opened(&archive).content_id(), "{set} {form}");
            let (mut ours, mut theirs) = (again.inventory().clone(), opened(&archive).inventory().clone());
            for inventory in [&mut ours, &mut theirs] {
                inventory.looked_for.clear();
                inventory.evidence.iter_mut().for_each(|entry| entry.found_in.clear());
            }
            assert_eq!(ours, theirs, "{set} {form}");
        }
    }
}

/// Bytes that passed under one name do not go where another name says.
#[test]
fn a_name_that_only_the_exporter_knows_decides_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (app, image) = ("key-legacy", layout("key-legacy"));
    let expected = |archive: &Path| {
        let digest = opened(archive).inventory().subjects[0].digest;
        judged_as(archive, &[(app, format!("registry.example/org/{app}@{digest}"))])
    };
    let both = exported_from(dir.path(), &[(app, &image), ("payments", &image)], &[]);
    assert!(!expected(&both).passes(), "the second name was expected by nobody");

    // Alone it is a mirror, and the operator says where it goes.
    let mirror = exported_from(dir.path(), &[("payments", &image)], &[]);
    let target = |form: &str| format!("{form}:{}", dir.path().join(form).display());
    for place in [["--map", "registry.example=registry.test"], ["--to", &target("docker-archive")]] {
        let (outcome, receipt) = import(&args(&[&[mirror.to_str().unwrap()], &place[..]].concat()), expected(&mirror));
        assert!(matches!(outcome, Err(ImportError::NameNotExpected { .. })), "{place:?}: {outcome:?}");
        assert_eq!(receipt["complete"], false);
    }
    import(&args(&[mirror.to_str().unwrap(), "--to", &target("oci")]), expected(&mirror)).0.unwrap();
    let index: Value = serde_json::from_slice(&fs::read(dir.path().join("oci/index.json")).unwrap()).unwrap();
    assert!(!index.to_string().contains("\"v1\""), "the tag of the exporter: {index}");
}

#[test]
fn the_same_archive_gives_the_same_layout_archive() {
    let dir = tempfile::tempdir().unwrap();
    let archive = exported(dir.path(), "multi");
    let bytes = |name: &str| {
        let path = dir.path().join(name);
        import(&args(&[archive.to_str().unwrap(), "--to", &format!("oci-archive:{}", path.display())]), passed(&archive))
            .0
            .unwrap();
        fs::read(path).unwrap()
    };
    assert!(bytes("one.tar") == bytes("two.tar"));
}

#[test]
fn what_is_there_is_replaced_by_force_only() {
    let dir = tempfile::tempdir().unwrap();
    let archive = exported(dir.path(), "key-legacy");
    let (folder, file) = (dir.path().join("layout"), dir.path().join("file.tar"));
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("own"), "precious").unwrap();
    fs::write(&file, "precious").unwrap();
    for (place, forced) in [
        (format!("oci:{}", folder.display()), false),
        (format!("oci-archive:{}", file.display()), true),
        (format!("docker-archive:{}", file.display()), true),
    ] {
        let words = [archive.to_str().unwrap(), "--to", &place];
        let (outcome, _) = import(&args(&words), passed(&archive));
        assert!(matches!(outcome, Err(ImportError::Exists(_))), "{place}: {outcome:?}");
        let (outcome, _) = import(&args(&[&words[..], &["--force"]].concat()), passed(&archive));
        // A folder that is no layout is nobody's to remove.
        assert_eq!(outcome.is_ok(), forced, "{place}: {outcome:?}");
        fs::write(&file, "precious").unwrap();
    }
    assert_eq!(fs::read(folder.join("own")).unwrap(), b"precious");
    let layout = format!("oci:{}", dir.path().join("fresh").display());
    for force in [&[][..], &["--force"]] {
        let words = [&[archive.to_str().unwrap(), "--to", &layout][..], force].concat();
        import(&args(&words), passed(&archive)).0.unwrap();
    }
}

#[test]
fn a_docker_archive_says_what_it_cannot_hold() {
    let dir = tempfile::tempdir().unwrap();
    let archive = exported(dir.path(), "key-legacy");
    let bundle = opened(&archive);
    let path = dir.path().join("docker.tar");
    let place = format!("docker-archive:{}", path.display());
    let (outcome, receipt) = import(&args(&[archive.to_str().unwrap(), "--to", &place, "--tag", "loaded"]), passed(&archive));
    outcome.unwrap();
    let left: BTreeSet<&str> =
        receipt["left_behind"].as_array().unwrap().iter().map(|left| left["what"].as_str().unwrap()).collect();
    let mut want: BTreeSet<String> = bundle.inventory().evidence.iter().map(|entry| entry.digest.to_string()).collect();
    want.insert(bundle.inventory().subjects[0].digest.to_string());
    assert_eq!(left, want.iter().map(String::as_str).collect());

    let unpacked = dir.path().join("unpacked");
    fs::create_dir(&unpacked).unwrap();
    success(&Command::new("tar").arg("-xf").arg(&path).arg("-C").arg(&unpacked).output().unwrap());
    let manifest: Value = serde_json::from_slice(&fs::read(unpacked.join("manifest.json")).unwrap()).unwrap();
    assert_eq!(manifest[0]["RepoTags"][0], "registry.example/org/key-legacy:loaded");
    let image = bundle.manifest(&bundle.inventory().subjects[0].digest).unwrap();
    let files = [&manifest[0]["Config"]].into_iter().chain(manifest[0]["Layers"].as_array().unwrap());
    let wanted = image.config().into_iter().chain(image.layers());
    for (file, blob) in files.zip(wanted) {
        assert_eq!(Digest::of(&fs::read(unpacked.join(file.as_str().unwrap())).unwrap()), blob.digest);
    }
}

#[test]
fn a_docker_archive_holds_one_platform() {
    let dir = tempfile::tempdir().unwrap();
    let archive = exported(dir.path(), "multi");
    let place = format!("docker-archive:{}", dir.path().join("docker.tar").display());
    let words = [archive.to_str().unwrap(), "--to", &place];
    let (outcome, _) = import(&args(&words), passed(&archive));
    assert!(matches!(outcome, Err(ImportError::DockerArchive(ref why)) if why.contains("2 platforms")), "{outcome:?}");
    assert!(!dir.path().join("docker.tar").exists());
    let (outcome, receipt) = import(&args(&[&words[..], &["--platform", "linux/arm64"]].concat()), passed(&archive));
    outcome.unwrap();
    assert_eq!(receipt["written"].as_array().unwrap().last().unwrap()["digest"], child(&archive, "arm64"));
}

/// `docker load` would take the last of two.
#[test]
fn a_docker_archive_has_one_image_under_a_tag() {
    let dir = tempfile::tempdir().unwrap();
    let both = dir.path().join("layout");
    let entries = ["v1", "v2"].map(|tag| {
        image_layout(&both, tag.as_bytes());
        let index: Value = serde_json::from_slice(&fs::read(both.join("index.json")).unwrap()).unwrap();
        let mut entry = index["manifests"][0].clone();
        entry["annotations"]["org.opencontainers.image.ref.name"] = tag.into();
        entry
    });
    let index = serde_json::json!({ "schemaVersion": 2, "manifests": entries });
    fs::write(both.join("index.json"), index.to_string()).unwrap();
    let archive = dir.path().join("two.carnet.tar");
    let mut command = Command::new(carnet());
    command.args(["export", "--proofs=skip", "--no-cache", "--no-preflight", "--quiet", "-o"]).arg(&archive);
    command.args([support::reference("app"), "registry.example/org/app:v2".to_owned(), "--from".to_owned()]);
    command.arg(format!("registry.example/org/app=oci:{}", both.display()));
    success(&command.output().unwrap());
    let file = dir.path().join("docker.tar");
    let place = format!("docker-archive:{}", file.display());
    let words = [archive.to_str().unwrap(), "--to", &place];
    let (outcome, _) = import(&args(&[&words[..], &["--tag", "latest"]].concat()), passed(&archive));
    assert!(matches!(outcome, Err(ImportError::TagTwice { .. })), "{outcome:?}");
    assert!(!file.exists());
    import(&args(&words), passed(&archive)).0.unwrap();
}

fn child(archive: &Path, architecture: &str) -> String {
    let bundle = opened(archive);
    let index = bundle.manifest(&bundle.inventory().subjects[0].digest).unwrap();
    let is_wanted = |child: &&carnet_bundle::Descriptor| child.platform.as_ref().is_some_and(|p| p.architecture == architecture);
    index.children().iter().find(is_wanted).unwrap().digest.to_string()
}

/// No file appears, and none is left over, when the archive changes meanwhile.
#[test]
fn a_changed_archive_leaves_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let layer: Vec<u8> = (0..1_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    image_layout(&dir.path().join("layout"), &layer);
    let original = exported_from(dir.path(), &[("large", &dir.path().join("layout"))], &[]);
    let target = dir.path().join("target");
    fs::create_dir(&target).unwrap();
    for form in ["oci", "oci-archive", "docker-archive"] {
        for opened_first in [false, true] {
            let archive = dir.path().join("copy.tar");
            fs::copy(&original, &archive).unwrap();
            let args = args(&[archive.to_str().unwrap(), "--to", &format!("{form}:{}", target.join("out").display())]);
            let verdict = passed(&archive);
            let meddle = || flip(&archive, &Digest::of(&layer));
            if !opened_first {
                meddle();
            }
            let shipment = Shipment::open(&args, verdict).unwrap();
            if opened_first {
                meddle();
            }
            let (outcome, _) = write(&args, &shipment, options());
            assert!(matches!(outcome, Err(ImportError::Changed(_))), "{form}: {outcome:?}");
            assert_eq!(fs::read_dir(&target).unwrap().count(), 0, "{form}");
        }
    }
}

#[test]
fn what_did_not_pass_is_in_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let (good, bad) = (layout("key-bundle"), layout("unsigned"));
    let archive = exported_from(dir.path(), &[("key-bundle", &good), ("unsigned", &bad)], &[]);
    let place = dir.path().join("out");
    let words = [archive.to_str().unwrap(), "--only-passed", "--to", &format!("oci:{}", place.display())];
    let (outcome, _) = import(&args(&words), judged(&archive, &["key-bundle", "unsigned"]));
    outcome.unwrap();
    let bad = opened(&archive).inventory().subjects[1].digest;
    assert!(!place.join("blobs/sha256").join(bad.to_hex()).exists());
    let index = fs::read_to_string(place.join("index.json")).unwrap();
    assert!(!index.contains(&bad.to_hex()) && index.contains(r#""org.opencontainers.image.ref.name":"v1""#), "{index}");
}

#[test]
fn archives_that_cannot_be_read_twice_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let archive = exported(dir.path(), "key-legacy");
    let zipped = dir.path().join("a.carnet.tar.gz");
    fs::write(&zipped, [0x1f, 0x8b, 8, 0]).unwrap();
    let open = |path: &str| Shipment::open(&args(&[path, "--to", "oci:x"]), passed(&archive)).err().unwrap();
    assert!(matches!(open("-"), ImportError::StandardInput));
    assert!(matches!(open(zipped.to_str().unwrap()), ImportError::Compressed(_)));
    assert!(matches!(open("/nowhere/a.tar"), ImportError::Read { .. }));
}
