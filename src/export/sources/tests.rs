use std::path::PathBuf;

use carnet_policy::sources::{Anchor, Operator, codes, resolve};
use carnet_registry::{
    CredentialFiles, Options,
    testing::{Behaviour, Content as Served, TestingRegistry},
};
use tempfile::TempDir;

use super::*;

fn testdata(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/policy-sources").join(name)
}

fn rules() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut archive = tar::Archive::new(fs::File::open(testdata("rules.git.tar")).unwrap());
    archive.unpack(folder.path()).unwrap();
    folder
}

fn registry() -> Sources {
    Sources::open(Vec::new(), Options { credentials: CredentialFiles::none(), ..Options::default() }, None).unwrap()
}

fn policy(rules: &str, data: &str) -> Policy {
    let text = format!("publicKey: a.pub\nsources:\n- policy: [{rules:?}]\n  data: [{data:?}]\n");
    Policy::parse(text.as_bytes(), "policy.yaml").unwrap()
}

fn operator<'a>(lock: Option<&'a Lock>, accept: bool) -> Operator<'a> {
    Operator { lock, overrides: &[], bundle_pinned: false, accept, local: &Disk }
}

/// The URLs and pinned forms that the real program printed.
#[tokio::test]
async fn git_sources_are_fetched_locked_and_read_again() {
    let folder = rules();
    let at = |rest: &str| format!("git::file://{}/rules.git{rest}", folder.path().display());
    let policy = policy(&at("//policy?ref=main&depth=1"), &at("//data?ref=v1"));
    let fetched = fetch(&policy, &registry()).await.unwrap();
    let titles: Vec<_> = fetched.layers.iter().map(|layer| layer.title.as_str()).collect();
    assert_eq!(titles, ["source-1.git-objects", "source-2.git-objects"]);
    assert!(fetched.layers.iter().any(|layer| layer.bytes == fs::read(testdata("policy-at-main.objects")).unwrap()));

    let resolved = resolve(&policy, &fetched, &operator(Some(&fetched.lock), false)).unwrap();
    assert_eq!(resolved.policy.sources[0].policy, [at("//policy?ref=4d9c329f66bd963b6bc0732adff5d816f596ef85")]);
    assert_eq!(resolved.policy.sources[0].data, [at("//data?ref=c8f273846e1ad9a0ef3415fda1f56a86db2bef02")]);
    assert_eq!(resolved.groups[0].policy[0].files.len(), 2);
    assert!(resolved.used.iter().all(|used| used.anchor == Anchor::Lock));

    // Pinned, the archive speaks for itself; as written, it does not.
    let resolved = resolve(&resolved.policy, &fetched, &operator(None, false)).unwrap();
    assert!(resolved.used.iter().all(|used| used.anchor == Anchor::Pin));
    let refused = resolve(&policy, &fetched, &operator(None, false)).unwrap_err();
    let finding = &refused.findings()[0];
    assert_eq!(finding.code, codes::SOURCE_NOT_ANCHORED.name);
    assert!(finding.hint.contains(&at("//policy?ref=4d9c329f66bd963b6bc0732adff5d816f596ef85")), "{}", finding.hint);
    let accepted = resolve(&policy, &fetched, &operator(None, true)).unwrap();
    assert!(accepted.used.iter().all(|used| used.anchor == Anchor::Accepted));
}

#[tokio::test]
async fn artifacts_are_fetched_locked_and_read_again() {
    let mut content = Served::new();
    content.add_layout("golden/rules", &testdata("oci/rules")).unwrap();
    content.add_layout("golden/rules-data", &testdata("oci/rules-data")).unwrap();
    let server = TestingRegistry::start(content, Behaviour::default()).unwrap();
    let host = server.host();
    let policy = policy(&format!("oci::{host}/golden/rules:latest"), &format!("oci::{host}/golden/rules-data:v2"));
    let fetched = fetch(&policy, &registry()).await.unwrap();
    let resolved = resolve(&policy, &fetched, &operator(Some(&fetched.lock), false)).unwrap();
    let digest = "sha256:89a45562699f63a39bf8069280ecc6be548aab7b64d06000f244861f52d41464";
    assert_eq!(resolved.policy.sources[0].policy, [format!("oci::{host}/golden/rules:latest@{digest}")]);
    let files = &resolved.groups[0].policy[0].files;
    assert!(files.iter().any(|file| file.path.ends_with(".rego") && file.bytes.starts_with(b"package ")), "{files:?}");
    assert!(resolved.groups[0].data[0].files.iter().all(|file| file.path.ends_with(".yaml")));
    resolve(&resolved.policy, &fetched, &operator(None, false)).unwrap();

    let absent = self::policy(&format!("oci::{host}/golden/absent:latest"), &format!("oci::{host}/golden/rules-data:v2"));
    let error = fetch(&absent, &registry()).await.err().unwrap();
    assert!(matches!(error, FetchError::Pull { source: PullError::NotFound(_), .. }), "{error}");
}

#[tokio::test]
async fn local_directories_are_copied_and_read_from_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("g.rego"), "package g").unwrap();
    let path = folder.path().to_str().unwrap();
    let policy = policy(path, path);
    let fetched = fetch(&policy, &registry()).await.unwrap();
    assert_eq!(fetched.layers[0].media_type, media::FILES_TAR);
    fs::write(folder.path().join("g.rego"), "package other").unwrap();
    let resolved = resolve(&policy, &fetched, &operator(None, false)).unwrap();
    assert_eq!(resolved.used[0].anchor, Anchor::Directory);
    assert_eq!(resolved.policy.sources[0].policy, [format!("file::{path}")]);
    assert_eq!(*resolved.groups[0].policy[0].files[0].bytes, *b"package other");

    let absent = self::policy("/absent/rules", path);
    let fetched = fetch(&absent, &registry()).await.unwrap();
    assert_eq!(fetched.warnings.len(), 1);
    let refused = resolve(&absent, &fetched, &operator(None, true)).unwrap_err();
    assert_eq!(refused.findings()[0].code, codes::SOURCE_UNREADABLE.name);
}

#[tokio::test]
async fn a_policy_document_may_be_in_git() {
    let folder = rules();
    let at = |rest: &str| format!("git::file://{}/rules.git{rest}", folder.path().display());
    let bytes = document(&at("//configs/prod?ref=v1")).await.unwrap().unwrap();
    assert_eq!(Policy::parse(&bytes, "policy.yaml").unwrap().name, "from git v1");
    let error = document(&at("//data?ref=v1")).await.unwrap_err();
    assert!(error.to_string().starts_with("no suitable config file found at git::"), "{error}");
    assert_eq!(document("policy.yaml").await.unwrap(), None);
    assert_eq!(document(folder.path().to_str().unwrap()).await.unwrap(), None);
    assert!(matches!(document("http://h/policy.yaml").await, Err(FetchError::Url(UrlError::Insecure(_)))));
}

#[tokio::test]
async fn what_the_verifier_would_refuse_is_not_written() {
    let folder = rules();
    let at = |rest: &str| format!("git::file://{}/rules.git{rest}", folder.path().display());
    let error = fetch(&policy(&at("//data?ref=v1"), &at("//data?ref=v1")), &registry()).await.err().unwrap();
    assert!(error.to_string().starts_with("no rego files found in policy subdirectory: git::"), "{error}");
}
