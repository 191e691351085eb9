//! Sources of a policy from the command line into the archive and out again.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "export_support.rs"]
mod support;

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use carnet_bundle::{Bundle, Limits, archive::Archive, media, open};
use carnet_policy::{
    Policy,
    sources::{Anchor, LocalFiles, Lock, Operator, SourceFile, SourcesError, codes, resolve},
};
use support::{export, testdata};

const MAIN: &str = "4d9c329f66bd963b6bc0732adff5d816f596ef85";

struct NoDisk;

impl LocalFiles for NoDisk {
    fn read(&self, path: &str) -> Result<Vec<SourceFile>, String> {
        Err(format!("{path}: not here"))
    }
}

const NOTHING: Operator<'static> = Operator { lock: None, overrides: &[], bundle_pinned: false, accept: false, local: &NoDisk };

/// The repository of the tests below `folder`.
fn repository(folder: &Path) -> PathBuf {
    let mut archive = tar::Archive::new(File::open(testdata("policy-sources/rules.git.tar")).unwrap());
    archive.unpack(folder).unwrap();
    folder.join("rules.git")
}

fn bundle(path: &Path) -> Bundle {
    let limits = Limits::default();
    let mut archive = Archive::new(File::open(path).unwrap(), &limits).unwrap();
    let opened = open::open(&mut archive, &limits).unwrap();
    assert_eq!(opened.findings, []);
    opened.bundle.unwrap()
}

#[test]
fn sources_travel_with_their_lock_and_are_judged_by_the_operator() {
    let folder = tempfile::tempdir().unwrap();
    let repository = repository(folder.path());
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let text = format!(
        "publicKey: a.pub\nsources:\n- policy: ['git::file://{0}//policy?ref=main']\n  data: ['git::file://{0}//data?ref=v1']\n",
        repository.display()
    );
    fs::write(path("policy.yaml"), &text).unwrap();
    let from = format!("oci:{}", testdata("layouts/local-sigstore/key-legacy").display());
    let arguments = ["r.example/app:v1", "--from", &from, "--policy", &path("policy.yaml"), "--lock", &path("lock.json")];
    let ended = export(&[&arguments[..], &["--reproducible", "-o", &path("a.tar")]].concat());
    assert_eq!(ended.code, 0, "{ended:?}");

    let carried = bundle(Path::new(&path("a.tar")));
    let types: Vec<_> = carried.policy_documents().map(|layer| layer.media_type.to_owned()).collect();
    assert_eq!(types, [media::GIT_OBJECTS; 2]);
    let policy = Policy::parse(text.as_bytes(), "policy.yaml").unwrap();
    let Err(SourcesError::NoVerdict(findings)) = resolve(&policy, &carried, &NOTHING) else { panic!("the archive chose") };
    assert_eq!(findings[0].code, codes::SOURCE_NOT_ANCHORED.name);

    let lock = Lock::parse(&fs::read(path("lock.json")).unwrap()).unwrap();
    let resolved = resolve(&policy, &carried, &Operator { lock: Some(&lock), ..NOTHING }).unwrap();
    assert_eq!(resolved.used.iter().map(|used| used.anchor).collect::<Vec<_>>(), [Anchor::Lock; 2]);
    assert!(resolved.policy.sources[0].policy[0].ends_with(&format!("//policy?ref={MAIN}")));

    // Two exports of the same thing are the same file, sources included.
    let ended = export(&[&arguments[..], &["--reproducible", "-o", &path("b.tar")]].concat());
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(fs::read(path("a.tar")).unwrap() == fs::read(path("b.tar")).unwrap());
}

#[test]
fn a_policy_in_git_is_fetched_with_what_it_names() {
    let folder = tempfile::tempdir().unwrap();
    let repository = repository(folder.path());
    let output = folder.path().join("a.tar");
    let from = format!("oci:{}", testdata("layouts/local-sigstore/key-legacy").display());
    // Its own sources are on a machine that is not this one.
    let url = format!("git::file://{}//configs/prod?ref=v1", repository.display());
    let ended = export(&["r.example/app:v1", "--from", &from, "--policy", &url, "-o", output.to_str().unwrap()]);
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(ended.stderr.contains("cannot fetch a source of the policy: git::file://"), "{ended:?}");
    assert!(!output.exists());
    let url = format!("git::file://{}//data?ref=v1", repository.display());
    let ended = export(&["r.example/app:v1", "--from", &from, "--policy", &url, "-o", output.to_str().unwrap()]);
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(ended.stderr.contains("no suitable config file found at git::file://"), "{ended:?}");
}

#[test]
fn a_source_that_cannot_be_had_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let repository = repository(folder.path());
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let from = format!("oci:{}", testdata("layouts/local-sigstore/key-legacy").display());
    for (source, reason) in [
        (format!("git::file://{}//policy?ref=absent", repository.display()), "there is no branch, tag or commit \"absent\""),
        (format!("git::file://{}//polici?ref=main", repository.display()), "there is no directory \"polici\""),
        ("http://127.0.0.1:5055/x".to_owned(), "attempting to download from insecure source: http://127.0.0.1:5055/x"),
        ("oci::127.0.0.1:1/rules:v1".to_owned(), "oci::127.0.0.1:1/rules:v1"),
    ] {
        fs::write(path("policy.yaml"), format!("publicKey: a.pub\nsources:\n- policy: ['{source}']\n")).unwrap();
        let ended = export(&["r.example/app:v1", "--from", &from, "--policy", &path("policy.yaml"), "-o", &path("a.tar")]);
        assert_eq!(ended.code, 2, "{ended:?}");
        assert!(ended.stderr.contains(reason), "{source}: {ended:?}");
        assert!(!Path::new(&path("a.tar")).exists());
    }
}
