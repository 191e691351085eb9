//! Archives of real signed images, changed in every way that a carrier could
//! change them: none ever passes, and each says why.

#![allow(clippy::unwrap_used, clippy::as_conversions, reason = "a test may panic")]

#[path = "support/members.rs"]
mod members;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use carnet_bundle::{
    Archive, Limits, OpenError,
    container::{BLOCK, ContainerError, padding},
};
use carnet_verify::{Document, Inputs, VerifyArgs, VerifyError, report::Verdict, run};
use members::{members, tar};

const REFERENCE: &str = "registry.example/org/app:v1";
const IDENTITY: &str = "https://gitlab.local/demo/app//.gitlab-ci.yml@refs/heads/main";
const SETS: &[&str] =
    &["app", "multi-fallback", "keyless-legacy", "keyless-rekor1-fallback", "rekor1-tsa", "extra-referrers", "mixed"];

/// How a run ended: the exit status and every code or message that says why.
#[derive(Debug, PartialEq)]
struct Ended {
    status: u8,
    why: Vec<String>,
}

impl Ended {
    fn says(&self, code: &str) -> bool {
        self.why.iter().any(|why| why == code)
    }
}

#[test]
fn what_was_exported_passes() {
    for set in SETS {
        assert_eq!(judged(&exported(set)).status, 0, "{set}");
    }
}

#[test]
fn one_flipped_byte_in_any_member_never_passes() {
    for set in SETS {
        let original = members(&exported(set));
        for at in 0..original.len() {
            let (name, data) = &original[at];
            for byte in [0, data.len() / 2, data.len() - 1] {
                let mut changed = original.clone();
                changed[at].1[byte] ^= 1;
                let ended = judged(&tar(&changed));
                assert!(ended.status != 0 && !ended.why.is_empty(), "{set}: {name} byte {byte}");
                let blob = name.starts_with("blobs/");
                assert!(!blob || ended.says("blob-digest-mismatch"), "{set}: {name} byte {byte}: {ended:?}");
                assert_eq!(
                    ended.status,
                    if blob || ended.says("index-json-mismatch") { 1 } else { 2 },
                    "{set}: {name}: {ended:?}"
                );
            }
        }
    }
}

#[test]
fn a_removed_member_never_passes() {
    for set in SETS {
        let original = members(&exported(set));
        for at in 2..original.len() {
            let mut changed = original.clone();
            let (name, _) = changed.remove(at);
            let ended = judged(&tar(&changed));
            assert!(ended.status == 1 && ended.says("member-missing"), "{set}: {name}: {ended:?}");
        }
    }
}

#[test]
fn an_added_member_never_passes() {
    let smuggled = b"smuggled".to_vec();
    let name = format!("blobs/sha256/{}", carnet_bundle::Digest::of(&smuggled).to_hex());
    for set in SETS {
        let original = members(&exported(set));
        for at in 0..=original.len() {
            let mut changed = original.clone();
            changed.insert(at, (name.clone(), smuggled.clone()));
            let ended = judged(&tar(&changed));
            assert!(ended.status == 1 && ended.says("member-not-listed"), "{set}: at {at}: {ended:?}");
        }
    }
}

#[test]
fn a_doubled_member_never_passes() {
    for set in SETS {
        let original = members(&exported(set));
        for at in 0..original.len() {
            let mut changed = original.clone();
            changed.insert(at, original[at].clone());
            let ended = judged(&tar(&changed));
            assert!(ended.status == 1 && ended.says("member-duplicate"), "{set}: {}: {ended:?}", original[at].0);
        }
    }
}

#[test]
fn members_in_another_order_never_pass() {
    for set in SETS {
        let original = members(&exported(set));
        for at in 0..original.len() - 1 {
            let mut changed = original.clone();
            changed.swap(at, at + 1);
            let ended = judged(&tar(&changed));
            assert!(ended.status == 1 && ended.says("archive-not-canonical"), "{set}: {at}: {ended:?}");
        }
    }
}

#[test]
fn an_archive_that_is_cut_off_gives_no_verdict() {
    for set in SETS {
        let archive = exported(set);
        let mut offset = 0;
        for (name, data) in members(&archive) {
            let data_at = offset + BLOCK;
            offset = data_at + data.len() + padding(data.len() as u64) as usize;
            for end in [(data_at - BLOCK / 2).max(BLOCK), data_at + data.len() / 2, offset] {
                let ended = judged(&archive[..end]);
                assert!(ended.status == 2 && ended.says("truncated"), "{set}: {name} cut at {end}: {ended:?}");
            }
        }
    }
}

/// The carrier puts the evidence of another signed image in place of this one's.
#[test]
fn evidence_of_another_archive_never_passes() {
    for (set, other) in [("app", "app-fallback"), ("keyless-legacy", "keyless-legacy-fallback"), ("app", "key-bundle")] {
        let (original, foreign) = (members(&exported(set)), members(&exported(other)));
        for at in 5..original.len().min(foreign.len()) {
            if original[at] == foreign[at] {
                continue;
            }
            let mut renamed = original.clone();
            renamed[at] = foreign[at].clone();
            let mut swapped = original.clone();
            swapped[at].1 = foreign[at].1.clone();
            for changed in [renamed, swapped] {
                let ended = judged(&tar(&changed));
                assert!(ended.status == 1 && !ended.why.is_empty(), "{set} with {other} at {at}: {ended:?}");
            }
        }
    }
}

#[test]
fn the_unpacked_directory_is_judged_like_the_archive() {
    let dir = tempfile::tempdir().unwrap();
    unpack(&exported("app"), dir.path());
    assert_eq!(judged_directory(dir.path()).status, 0);

    fs::write(dir.path().join("README"), "smuggled").unwrap();
    let ended = judged_directory(dir.path());
    assert!(ended.status == 1 && ended.says("member-not-listed"), "{ended:?}");
    fs::remove_file(dir.path().join("README")).unwrap();

    for blob in fs::read_dir(dir.path().join("blobs/sha256")).unwrap() {
        let blob = blob.unwrap().path();
        let bytes = fs::read(&blob).unwrap();
        let mut changed = bytes.clone();
        changed[0] ^= 1;
        fs::write(&blob, changed).unwrap();
        let ended = judged_directory(dir.path());
        assert!(ended.status == 1 && ended.says("blob-digest-mismatch"), "{}: {ended:?}", blob.display());
        fs::remove_file(&blob).unwrap();
        let ended = judged_directory(dir.path());
        assert!(ended.status == 1 && ended.says("member-missing"), "{}: {ended:?}", blob.display());
        fs::write(&blob, bytes).unwrap();
    }
    assert_eq!(judged_directory(dir.path()).status, 0);
}

/// Who accepts the carried policy must not get an empty one when it was stripped.
#[test]
fn a_carried_policy_that_is_not_there_gives_no_verdict() {
    let archive = exported("app");
    let mut container = Archive::new(archive.as_slice(), &Limits::default()).unwrap();
    let ended = judge_with(&mut container, &["--accept-bundled-policy"]);
    assert!(ended.status == 2 && ended.why[1].contains("policy"), "{ended:?}");
}

/// The archive is not to say which files of this host are read.
#[test]
fn a_carried_policy_that_names_paths_gives_no_verdict() {
    let dir = tempfile::tempdir().unwrap();
    let key = testdata("trust/local-sigstore/demo.pub").display().to_string();
    let layout = format!("oci:{}", testdata("layouts/local-sigstore/key-legacy").display());
    let rules = dir.path().join("rules");
    fs::create_dir(&rules).unwrap();
    fs::write(rules.join("a.rego"), "package a\n\nwarn contains \"seen\"\n").unwrap();
    let judged = |policy: &str, flags: &[&str]| {
        let (policy_file, archive) = (dir.path().join("policy.yaml"), dir.path().join("app.carnet.tar"));
        fs::write(&policy_file, policy).unwrap();
        let mut export = Command::new(env!("CARGO_BIN_EXE_carnet"));
        export.args(["export", REFERENCE, "--from", &layout, "--no-preflight", "--policy"]).arg(policy_file);
        let export = export.arg("-o").arg(&archive).output().unwrap();
        assert_eq!(export.status.code(), Some(0), "{}", String::from_utf8_lossy(&export.stderr));
        let mut verify = Command::new(Path::new(env!("CARGO_BIN_EXE_carnet")).with_file_name("carnet-verify"));
        verify.arg(archive).args(["--image", REFERENCE, "--ignore-rekor", "--accept-bundled-policy"]).args(flags);
        let ended = verify.output().unwrap();
        (ended.status.code(), String::from_utf8_lossy(&ended.stderr).into_owned())
    };
    let by_path = format!("publicKey: {key}\n");
    let (status, said) = judged(&by_path, &[]);
    assert!(status == Some(2) && said.contains(&format!("names {key:?}, a path on the disk of this host")), "{said}");
    assert_eq!(judged(&by_path, &["--public-key", &key]).0, Some(0));
    let with_rules = format!("{by_path}sources: [{{policy: [{rules:?}]}}]\n");
    let (status, said) = judged(&with_rules, &["--public-key", &key]);
    assert!(status == Some(2) && said.contains("a path on the disk of this host"), "{said}");
    let own = format!("{0}={0}", rules.display());
    let (status, said) = judged(&with_rules, &["--public-key", &key, "--policy-source", &own]);
    assert_eq!(status, Some(0), "{said}");
}

#[test]
fn a_link_in_the_directory_gives_no_verdict() {
    let dir = tempfile::tempdir().unwrap();
    unpack(&exported("app"), dir.path());
    let index = dir.path().join("index.json");
    fs::rename(&index, dir.path().with_extension("elsewhere")).unwrap();
    std::os::unix::fs::symlink(dir.path().with_extension("elsewhere"), &index).unwrap();
    let ended = judged_directory(dir.path());
    fs::remove_file(dir.path().with_extension("elsewhere")).unwrap();
    assert!(ended.status == 2 && ended.says("not-canonical"), "{ended:?}");
}

#[test]
fn an_archive_packed_anew_by_tar_gives_no_verdict_and_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    unpack(&exported("app"), dir.path());
    let packed = tempfile::NamedTempFile::new().unwrap();
    let status = Command::new("tar")
        .arg("-cf")
        .arg(packed.path())
        .arg("-C")
        .arg(dir.path())
        .args(["oci-layout", "index.json", "blobs"])
        .status();
    assert!(status.unwrap().success());
    let ended = judged(&fs::read(packed.path()).unwrap());
    assert!(ended.status == 2 && ended.says("not-canonical"), "{ended:?}");
    assert!(ended.why.iter().any(|why| why.contains("unpack it with tar and verify the directory")), "{ended:?}");
}

/// Unpacks with `tar`, as anybody would.
fn unpack(archive: &[u8], to: &Path) {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), archive).unwrap();
    assert!(Command::new("tar").arg("-xf").arg(file.path()).arg("-C").arg(to).status().unwrap().success());
}

/// The archive of a set, exported once by the real program.
fn exported(set: &str) -> Vec<u8> {
    static DIR: OnceLock<tempfile::TempDir> = OnceLock::new();
    let dir = DIR.get_or_init(|| tempfile::tempdir().unwrap());
    let archive = dir.path().join(format!("{set}-{:?}.tar", std::thread::current().id()));
    if !archive.exists() {
        let layout = format!("oci:{}", testdata(&format!("layouts/local-sigstore/{set}")).display());
        let mut command = Command::new(env!("CARGO_BIN_EXE_carnet"));
        let output =
            command.args(["export", REFERENCE, "--reproducible", "--from", &layout, "-o"]).arg(&archive).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{set}: {}", String::from_utf8_lossy(&output.stderr));
    }
    fs::read(archive).unwrap()
}

fn judged(archive: &[u8]) -> Ended {
    let limits = Limits::default();
    match Archive::new(archive, &limits) {
        Ok(mut container) => judge(&mut container),
        Err(error) => no_verdict(&VerifyError::Open(OpenError::Container(error))),
    }
}

fn judged_directory(path: &Path) -> Ended {
    match carnet_verify::disk::open_container(path, &Limits::default()) {
        Ok(mut container) => judge(container.as_mut()),
        Err(error) => no_verdict(&VerifyError::Open(OpenError::Container(error))),
    }
}

fn judge(container: &mut dyn carnet_bundle::container::Container) -> Ended {
    judge_with(container, &[])
}

fn judge_with(container: &mut dyn carnet_bundle::container::Container, more: &[&str]) -> Ended {
    let words = [
        "carnet-verify",
        "-",
        "--image",
        REFERENCE,
        "--certificate-identity",
        IDENTITY,
        "--certificate-oidc-issuer",
        "https://gitlab.local",
    ];
    let args = VerifyArgs::read(words.iter().chain(more).map(Into::into)).unwrap();
    let root = testdata("trust/local-sigstore/trusted_root.json");
    let inputs = Inputs {
        images: Vec::new(),
        policy: None,
        trusted_root: Some(Document { name: "trusted_root.json".to_owned(), bytes: fs::read(root).unwrap() }),
        trust: carnet_verify::TrustInputs::default(),
        policy_lock: None,
        sources: &carnet_verify::disk::sources::Disk,
        read: &|path| fs::read(path),
    };
    match run(&args, &inputs, container, "2026-11-25T00:00:00Z".parse().unwrap(), 1) {
        Ok(report) => {
            let failures = report.carnet.findings.iter().filter(|finding| finding.is_failure());
            let why = failures.map(|finding| finding.code.to_owned()).collect();
            Ended { status: u8::from(report.verdict() == Verdict::Fail), why }
        }
        Err(error) => no_verdict(&error),
    }
}

fn no_verdict(error: &VerifyError) -> Ended {
    let kind = match error {
        VerifyError::Open(OpenError::Container(ContainerError::Truncated { .. })) => "truncated",
        VerifyError::Open(OpenError::Container(ContainerError::NotCanonical { .. })) => "not-canonical",
        _ => "other",
    };
    Ended { status: 2, why: vec![kind.to_owned(), error.to_string(), error.hint().to_owned()] }
}

fn testdata(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata").join(path)
}
