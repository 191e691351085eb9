//! Real clients against `carnet serve`: they pull, list and verify as at any registry;
//! and many at once take no more memory than a few.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::Barrier,
    thread,
};

use carnet_bundle::Digest;
use serde_json::Value;

#[path = "support/registries.rs"]
mod registries;
#[path = "serve/served.rs"]
mod served;
#[path = "support/import.rs"]
mod support;

use served::{Large, Served, by_key, words};
use support::{exported, exported_from, layout, opened, testdata};

/// `main` of the pipeline that signed most sets.
const IDENTITY: &str = "https://gitlab.local/demo/app//.gitlab-ci.yml@refs/heads/main";
const PULLS: usize = 64;
/// Memory of one pull, and of the program with all of its threads.
const OF_A_PULL: u64 = 1 << 20;
const OF_THE_PROGRAM: u64 = 48 << 20;

/// A program that `.ci/setup` installed, or one of the machine.
fn tool(name: &str) -> Command {
    let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools/bin").join(name);
    Command::new(if installed.is_file() { installed } else { PathBuf::from(name) })
}

/// Runs a tool to its end, in an empty home.
fn run(name: &str, arguments: &[&str], more: &[(&str, &str)]) -> Output {
    let home = tempfile::tempdir().unwrap();
    let mut command = tool(name);
    command.args(arguments).env("HOME", home.path()).env("XDG_RUNTIME_DIR", home.path()).envs(more.iter().copied());
    let output = command.output().unwrap_or_else(|error| panic!("{name}: {error}; `.ci/setup` installs it"));
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    assert!(output.status.success(), "{name} {arguments:?}: {}", String::from_utf8_lossy(&said));
    output
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Both images of the key, from one archive.
fn both(dir: &Path) -> (Served, PathBuf) {
    let names = ["key-bundle", "key-legacy"];
    let layouts = names.map(layout);
    let images = [(names[0], layouts[0].as_path()), (names[1], layouts[1].as_path())];
    let archive = exported_from(dir, &images, &[]);
    (Served::start(&[&archive], &words(&by_key(&names))), archive)
}

fn digest_of(archive: &Path, name: &str) -> Digest {
    let reference = support::reference(name);
    opened(archive).inventory().subjects.iter().find(|subject| subject.reference == reference).unwrap().digest
}

#[test]
fn cosign_verifies_what_is_served() {
    let dir = tempfile::tempdir().unwrap();
    let (served, _) = both(dir.path());
    let key = testdata("trust/local-sigstore/demo.pub").display().to_string();
    let with_key = ["--key", &key, "--insecure-ignore-tlog", "--allow-http-registry"];
    for set in ["key-bundle", "key-legacy"] {
        let image = format!("{}/org/{set}:v1", served.address);
        run("cosign", &[&["verify"][..], &with_key, &[&image]].concat(), &[]);
        run("cosign", &[&["verify-attestation", "--type", "slsaprovenance1"][..], &with_key, &[&image]].concat(), &[]);
    }
    // And without a key.
    let root = testdata("trust/local-sigstore/trusted_root.json").display().to_string();
    let identity = ["--certificate-identity", IDENTITY, "--certificate-oidc-issuer", "https://gitlab.local"];
    let trust = ["--trusted-root", root.as_str()];
    let expected = support::reference("multi");
    let judged_by = [&["--image", expected.as_str()][..], &identity, &trust].concat();
    let served = Served::start(&[&exported(dir.path(), "multi")], &judged_by);
    let image = format!("{}/org/multi:v1", served.address);
    let words = [&["verify", "--use-signed-timestamps", "--allow-http-registry"][..], &identity, &trust, &[&image]].concat();
    run("cosign", &words, &[]);
}

#[test]
fn oras_finds_the_evidence_and_copies_all_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let (served, archive) = both(dir.path());
    let image = format!("{}/org/key-bundle:v1", served.address);
    let found = run("oras", &["discover", "--plain-http", "--format", "json", &image], &[]);
    let found: Value = serde_json::from_slice(&found.stdout).unwrap();
    let root = digest_of(&archive, "key-bundle");
    let referrers = found["referrers"].as_array().or(found["manifests"].as_array()).unwrap();
    assert_eq!(referrers.len(), opened(&archive).tree().referrers(&root).count(), "{found}");

    let copied = dir.path().join("copied");
    run(
        "oras",
        &["cp", "-r", "--no-tty", "--from-plain-http", "--to-oci-layout", &image, &format!("{}:v1", copied.display())],
        &[],
    );
    let bundle = opened(&archive);
    let evidence = bundle.inventory().evidence.iter().filter(|entry| entry.subject == root).map(|entry| entry.digest);
    for digest in evidence.chain([root]) {
        let bytes = fs::read(copied.join("blobs/sha256").join(digest.to_hex())).unwrap();
        assert_eq!(Digest::of(&bytes), digest);
    }
    let tags = text(&run("oras", &["repo", "tags", "--plain-http", &format!("{}/org/key-bundle", served.address)], &[]));
    assert!(tags.lines().any(|tag| tag == "v1"), "{tags}");
    let names = text(&run("oras", &["repo", "ls", "--plain-http", &served.address], &[]));
    assert_eq!(names.lines().collect::<Vec<_>>(), ["org/key-bundle", "org/key-legacy"]);
}

#[test]
fn crane_pulls_lists_and_validates() {
    let dir = tempfile::tempdir().unwrap();
    let (served, archive) = both(dir.path());
    let image = format!("{}/org/key-legacy:v1", served.address);
    let root = digest_of(&archive, "key-legacy");
    assert_eq!(text(&run("crane", &["digest", "--insecure", &image], &[])).trim(), root.to_string());
    run("crane", &["validate", "--insecure", "--remote", &image], &[]);
    let names = text(&run("crane", &["catalog", "--insecure", &served.address], &[]));
    assert_eq!(names.lines().collect::<Vec<_>>(), ["org/key-bundle", "org/key-legacy"]);
    let tags = text(&run("crane", &["ls", "--insecure", &format!("{}/org/key-legacy", served.address)], &[]));
    assert!(tags.contains(&format!("sha256-{}.sig", root.to_hex())), "{tags}");
    let to = dir.path().join("pulled");
    run("crane", &["pull", "--insecure", "--format", "oci", &image, to.to_str().unwrap()], &[]);
    assert!(to.join("blobs/sha256").join(root.to_hex()).is_file());
}

#[test]
fn skopeo_copies_by_tag_and_by_digest() {
    let dir = tempfile::tempdir().unwrap();
    let (served, archive) = both(dir.path());
    let root = digest_of(&archive, "key-bundle");
    let name = format!("docker://{}/org/key-bundle", served.address);
    for (image, to) in [(format!("{name}:v1"), "tag"), (format!("{name}@{root}"), "digest")] {
        let to = dir.path().join(to);
        let target = format!("dir:{}", to.display());
        run("skopeo", &["copy", "--quiet", "--insecure-policy", "--all", "--src-tls-verify=false", &image, &target], &[]);
        assert_eq!(Digest::of(&fs::read(to.join("manifest.json")).unwrap()), root);
    }
    let inspected = run("skopeo", &["inspect", "--raw", "--tls-verify=false", &format!("{name}:v1")], &[]);
    assert_eq!(Digest::of(&inspected.stdout), root);
}

#[test]
fn regctl_lists_referrers() {
    let dir = tempfile::tempdir().unwrap();
    let (served, archive) = both(dir.path());
    let host = format!("reg={},tls=disabled", served.address);
    let image = format!("{}/org/key-bundle:v1", served.address);
    let root = digest_of(&archive, "key-bundle").to_string();
    assert_eq!(text(&run("regctl", &["--host", &host, "image", "digest", &image], &[])).trim(), root);
    let found = text(&run("regctl", &["--host", &host, "artifact", "list", "--format", "{{json .}}", &image], &[]));
    let found: Value = serde_json::from_str(&found).unwrap();
    let count = opened(&archive).tree().referrers(&root.parse().unwrap()).count();
    assert_eq!(found["descriptors"].as_array().unwrap().len(), count, "{found}");
}

/// https with a certificate in files, as a real client sees it.
#[test]
fn a_certificate_in_files_makes_it_https() {
    let dir = tempfile::tempdir().unwrap();
    let archive = exported(dir.path(), "key-bundle");
    let rcgen::CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let (certificate, key) = (dir.path().join("tls.pem"), dir.path().join("tls.key"));
    fs::write(&certificate, cert.pem()).unwrap();
    fs::write(&key, signing_key.serialize_pem()).unwrap();
    let flags = by_key(&["key-bundle"]);
    let tls = ["--tls-cert", certificate.to_str().unwrap(), "--tls-key", key.to_str().unwrap()];
    let served = Served::start(&[&archive], &[words(&flags), tls.to_vec()].concat());
    let image = format!("{}/org/key-bundle:v1", served.address);
    let authority = certificate.to_str().unwrap();
    let manifest = run("oras", &["manifest", "fetch", "--ca-file", authority, &image], &[]);
    assert_eq!(Digest::of(&manifest.stdout), digest_of(&archive, "key-bundle"));
    // Plain http is answered by nothing of use, and holds up nobody.
    assert!(served.send(b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n").is_none_or(|got| got.status == 400));
    run("oras", &["manifest", "fetch", "--ca-file", authority, &image], &[]);
}

#[test]
fn many_pulls_at_once_take_no_memory_of_their_size() {
    let dir = tempfile::tempdir().unwrap();
    let large = Large::new(dir.path(), 24 << 20);
    let served = large.serve();
    let Large { layer, digest, .. } = large;
    let path = Served::blob("large", &digest);
    let barrier = Barrier::new(PULLS);
    thread::scope(|scope| {
        for _ in 0..PULLS {
            scope.spawn(|| {
                barrier.wait();
                // Hashed, so that the test holds no 64 copies at once for long.
                assert_eq!(Digest::of(&served.get(&path).body), digest);
            });
        }
    });
    let (peak, pulls) = (served.peak(), u64::try_from(PULLS).unwrap());
    let limit = OF_THE_PROGRAM + pulls * OF_A_PULL;
    assert!(peak < limit, "{} MiB, at most {} MiB", peak >> 20, limit >> 20);
    // Far below what was under way.
    assert!(limit < pulls * u64::try_from(layer.len()).unwrap() / 8);
    assert_eq!(served.end("TERM").0, Some(0));
}
