//! Sources of a policy: what is bound to the operator's word is used, and what an
//! attacker changes is refused, each change under a code of its own.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "a test may panic and reads its data"
)]

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use carnet_bundle::{Digest, Finding};
use carnet_policy::{
    Policy,
    sources::{
        Anchor, Carried, LocalFiles, Lock, LockedContent, LockedSource, Operator, Resolved, SourceFile, SourcesError, codes,
        id::{HashKind, ObjectId, ObjectKind},
        resolve,
    },
};

const MAIN: &str = "4d9c329f66bd963b6bc0732adff5d816f596ef85";
const V1: &str = "c8f273846e1ad9a0ef3415fda1f56a86db2bef02";
const RULES: &str = "git::git.example/org/rules.git//policy?ref=main";
const DATA: &str = "git::git.example/org/rules.git//data?ref=v1";

/// An archive: a lock and layers by digest.
#[derive(Clone, Default)]
struct Archive {
    lock: Option<Vec<u8>>,
    layers: BTreeMap<Digest, Vec<u8>>,
}

impl Carried for Archive {
    fn lock(&self) -> Option<&[u8]> {
        self.lock.as_deref()
    }

    fn layer(&self, digest: &Digest) -> Option<&[u8]> {
        self.layers.get(digest).map(Vec::as_slice)
    }
}

impl Archive {
    fn keep(&mut self, bytes: &[u8]) -> Digest {
        let digest = Digest::of(bytes);
        self.layers.insert(digest, bytes.to_vec());
        digest
    }

    fn locked(mut self, sources: Vec<LockedSource>) -> Self {
        self.lock = Some(Lock::new(sources).to_bytes().unwrap());
        self
    }
}

/// A disk on which one directory exists.
struct Disk;

impl LocalFiles for Disk {
    fn read(&self, path: &str) -> Result<Vec<SourceFile>, String> {
        match path {
            "./own" => Ok(vec![SourceFile { path: "own.rego".to_owned(), bytes: Arc::from(b"package own".as_slice()) }]),
            _ => Err(format!("{path}: no such directory")),
        }
    }
}

const NOTHING: Operator<'static> = Operator { lock: None, overrides: &[], bundle_pinned: false, accept: false, local: &Disk };

fn testdata(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/policy-sources").join(name)).unwrap()
}

fn policy(rules: &[&str], data: &[&str]) -> Policy {
    let text = serde_json::json!({ "publicKey": "a.pub", "sources": [{ "policy": rules, "data": data }] }).to_string();
    Policy::parse(text.as_bytes(), "policy.yaml").unwrap()
}

fn git(url: &str, commit: &str, path: &str, content: Digest) -> LockedSource {
    let content = LockedContent::Git { commit: commit.parse().unwrap(), path: path.to_owned(), content };
    let pinned = format!("{}?ref={commit}", url.split('?').next().unwrap());
    LockedSource { url: url.to_owned(), pinned, content }
}

/// The archive of an honest export of the two sources.
fn honest() -> Archive {
    with_rules(&testdata("policy-at-main.objects"))
}

/// The same with other bytes where the rules should be.
fn with_rules(objects: &[u8]) -> Archive {
    let mut archive = Archive::default();
    let rules = archive.keep(objects);
    let data = archive.keep(&testdata("data-at-v1.objects"));
    archive.locked(vec![git(RULES, MAIN, "policy", rules), git(DATA, V1, "data", data)])
}

fn pinned(url: &str, commit: &str) -> String {
    format!("{}?ref={commit}", url.split('?').next().unwrap())
}

fn anchors(resolved: &Resolved) -> Vec<Anchor> {
    resolved.used.iter().map(|used| used.anchor).collect()
}

fn codes_of(findings: &[Finding]) -> Vec<&str> {
    findings.iter().map(|finding| finding.code).collect()
}

fn failed(outcome: Result<Resolved, SourcesError>) -> Vec<Finding> {
    match outcome {
        Err(SourcesError::Failed(findings)) => findings,
        other => panic!("want a failed verdict, got {other:?}"),
    }
}

fn no_verdict(outcome: Result<Resolved, SourcesError>) -> Vec<Finding> {
    match outcome {
        Err(SourcesError::NoVerdict(findings)) => findings,
        other => panic!("want no verdict, got {other:?}"),
    }
}

#[test]
fn pinned_sources_are_used_as_git_has_them() {
    let policy = policy(&[&pinned(RULES, MAIN)], &[&pinned(DATA, V1)]);
    let resolved = resolve(&policy, &honest(), &NOTHING).unwrap();
    assert_eq!(anchors(&resolved), [Anchor::Pin, Anchor::Pin]);
    let names = |files: &[SourceFile]| files.iter().map(|file| file.path.clone()).collect::<Vec<_>>();
    assert_eq!(names(&resolved.groups[0].policy[0].files), ["g.rego", "h.rego"]);
    assert_eq!(names(&resolved.groups[0].data[0].files), ["v.yaml"]);
    assert_eq!(*resolved.groups[0].policy[0].files[0].bytes, *cut(&testdata("policy-at-main.objects"), 3));
    assert_eq!(resolved.policy, policy);
}

#[test]
fn a_moving_source_needs_an_anchor_and_the_message_gives_the_line() {
    let policy = policy(&[RULES], &[DATA]);
    let findings = no_verdict(resolve(&policy, &honest(), &NOTHING));
    assert_eq!(codes_of(&findings), [codes::SOURCE_NOT_ANCHORED.name; 2]);
    assert!(findings[0].hint.contains(&pinned(RULES, MAIN)), "{}", findings[0].hint);

    let lock = Lock::parse(honest().lock().unwrap()).unwrap();
    let overrides = [(RULES.to_owned(), "./own".to_owned())];
    for (operator, want) in [
        (Operator { lock: Some(&lock), ..NOTHING }, [Anchor::Lock; 2]),
        (Operator { bundle_pinned: true, ..NOTHING }, [Anchor::BundleId; 2]),
        (Operator { accept: true, ..NOTHING }, [Anchor::Accepted; 2]),
        (Operator { accept: true, overrides: &overrides, ..NOTHING }, [Anchor::Directory, Anchor::Accepted]),
    ] {
        let resolved = resolve(&policy, &honest(), &operator).unwrap();
        assert_eq!(anchors(&resolved), want);
        assert_eq!(resolved.policy.sources[0].data, [pinned(DATA, V1)]);
    }
}

#[test]
fn short_ids_and_branches_that_look_like_ids_are_not_pins() {
    for revision in ["4d9c329", &format!("refs/heads/{MAIN}"), &MAIN[..39]] {
        let policy = policy(&[&format!("git::git.example/org/rules.git//policy?ref={revision}")], &[]);
        assert_eq!(codes_of(&no_verdict(resolve(&policy, &honest(), &NOTHING))), [codes::SOURCE_NOT_ANCHORED.name]);
    }
    // The exporter found a branch of that name: the archive holds another commit.
    let url = format!("git::git.example/org/rules.git//policy?ref={}", "ab".repeat(20));
    let mut archive = Archive::default();
    let rules = archive.keep(&testdata("policy-at-main.objects"));
    let archive = archive.locked(vec![git(&url, MAIN, "policy", rules)]);
    let findings = failed(resolve(&policy(&[&url], &[]), &archive, &NOTHING));
    assert_eq!(codes_of(&findings), [codes::SOURCE_PIN_MISMATCH.name]);
    assert!(findings[0].message.contains(MAIN) && findings[0].message.contains(&"ab".repeat(20)), "{}", findings[0].message);
}

/// Offsets of the objects of a stream.
fn offsets(stream: &[u8]) -> Vec<usize> {
    let mut offsets = vec![0];
    while let Some(rest) = stream.get(*offsets.last().unwrap()..).filter(|rest| !rest.is_empty()) {
        let end = rest.iter().position(|byte| *byte == 0).unwrap();
        let size: usize = std::str::from_utf8(&rest[..end]).unwrap().split_once(' ').unwrap().1.parse().unwrap();
        offsets.push(offsets.last().unwrap() + end + 1 + size);
    }
    offsets
}

/// One object of a stream, with its header.
fn object(stream: &[u8], number: usize) -> Vec<u8> {
    let offsets = offsets(stream);
    stream[offsets[number]..offsets[number + 1]].to_vec()
}

/// The content of one object of a stream.
fn cut(stream: &[u8], number: usize) -> Vec<u8> {
    let object = object(stream, number);
    object[object.iter().position(|byte| *byte == 0).unwrap() + 1..].to_vec()
}

fn loose(kind: &str, content: &[u8]) -> Vec<u8> {
    [format!("{kind} {}\0", content.len()).as_bytes(), content].concat()
}

#[test]
fn every_change_to_carried_objects_has_its_own_code() {
    let stream = testdata("policy-at-main.objects");
    let parts: Vec<_> = (0..5).map(|number| object(&stream, number)).collect();
    let changed = |number: usize, bytes: Vec<u8>| {
        let mut parts = parts.clone();
        parts[number] = bytes;
        parts.concat()
    };
    let allow_all = loose("blob", b"package gitrule\n");
    let mut forged_commit = cut(&stream, 0);
    forged_commit.extend_from_slice(b"\n");
    for (what, stream, want) in [
        ("one changed file", changed(3, allow_all.clone()), &codes::SOURCE_OBJECT_REPLACED),
        ("a changed directory", changed(2, loose("tree", b"")), &codes::SOURCE_OBJECT_REPLACED),
        ("a forged commit", changed(0, loose("commit", &forged_commit)), &codes::SOURCE_PIN_MISMATCH),
        ("the commit of another tag", testdata("data-at-v1.objects"), &codes::SOURCE_PIN_MISMATCH),
        ("a missing file", changed(4, Vec::new()), &codes::SOURCE_OBJECT_MISSING),
        ("a missing first file", changed(3, Vec::new()), &codes::SOURCE_OBJECT_MISSING),
        ("nothing", Vec::new(), &codes::SOURCE_OBJECT_MISSING),
        ("an object more", [stream.clone(), allow_all].concat(), &codes::SOURCE_MALFORMED),
        ("an object twice", [stream.clone(), parts[4].clone()].concat(), &codes::SOURCE_MALFORMED),
        ("another order", [&parts[..3], &[parts[4].clone(), parts[3].clone()]].concat().concat(), &codes::SOURCE_MALFORMED),
        ("bytes after the end", [stream.as_slice(), b"x"].concat(), &codes::SOURCE_MALFORMED),
        ("a size in another form", [b"commit 0".as_slice(), &stream[7..]].concat(), &codes::SOURCE_MALFORMED),
        ("cut off", stream[..stream.len() - 1].to_vec(), &codes::SOURCE_MALFORMED),
    ] {
        let policy = policy(&[&pinned(RULES, MAIN)], &[&pinned(DATA, V1)]);
        let findings = failed(resolve(&policy, &with_rules(&stream), &NOTHING));
        assert_eq!(codes_of(&findings), [want.name], "{what}: {findings:?}");
        assert_eq!(findings[0].step, "V13.4");
    }
}

#[test]
fn a_lock_of_the_operator_is_held_against_the_archive() {
    let moving = policy(&[RULES], &[DATA]);
    let rules = Digest::of(&testdata("policy-at-main.objects"));
    let data = Digest::of(&testdata("data-at-v1.objects"));
    let other_commit = Lock::new(vec![git(RULES, V1, "policy", rules), git(DATA, V1, "data", data)]);
    let findings = failed(resolve(&moving, &honest(), &Operator { lock: Some(&other_commit), ..NOTHING }));
    assert_eq!(codes_of(&findings), [codes::LOCK_MISMATCH.name]);
    assert!(findings[0].message.contains(MAIN) && findings[0].message.contains(V1), "{}", findings[0].message);

    let other_digest = Lock::new(vec![git(RULES, MAIN, "policy", Digest::of(b"other")), git(DATA, V1, "data", data)]);
    let findings = failed(resolve(&moving, &honest(), &Operator { lock: Some(&other_digest), ..NOTHING }));
    assert_eq!(codes_of(&findings), [codes::LOCK_MISMATCH.name]);

    // The lock says nothing about one source: that one is still not anchored.
    let partial = Lock::new(vec![git(RULES, MAIN, "policy", rules)]);
    let findings = no_verdict(resolve(&moving, &honest(), &Operator { lock: Some(&partial), ..NOTHING }));
    assert_eq!(codes_of(&findings), [codes::SOURCE_NOT_ANCHORED.name]);

    // The lock names what the archive does not have at all.
    let lock = Lock::parse(honest().lock().unwrap()).unwrap();
    let findings = failed(resolve(&moving, &Archive::default(), &Operator { lock: Some(&lock), ..NOTHING }));
    assert_eq!(codes_of(&findings), [codes::SOURCE_NOT_CARRIED.name; 2]);

    // A lock cannot overrule the commit in policy.yaml.
    let contradiction = policy(&[&pinned(RULES, MAIN)], &[]);
    let lock = Lock::new(vec![git(&pinned(RULES, MAIN), V1, "policy", rules)]);
    let findings = failed(resolve(&contradiction, &honest(), &Operator { lock: Some(&lock), ..NOTHING }));
    assert_eq!(codes_of(&findings), [codes::LOCK_MISMATCH.name]);
}

#[test]
fn a_map_that_cannot_be_read_or_lacks_the_source_is_said() {
    let pinned = policy(&[&pinned(RULES, MAIN)], &[]);
    let broken = Archive { lock: Some(b"{}".to_vec()), ..honest() };
    assert_eq!(codes_of(&failed(resolve(&pinned, &broken, &NOTHING))), [codes::LOCK_UNREADABLE.name]);
    let without = Archive { lock: None, ..honest() };
    assert_eq!(codes_of(&failed(resolve(&pinned, &without, &NOTHING))), [codes::SOURCE_NOT_CARRIED.name]);
    // Same commit, other directory.
    let other = policy(&[&format!("git::git.example/org/rules.git//configs?ref={MAIN}")], &[]);
    assert_eq!(codes_of(&failed(resolve(&other, &honest(), &NOTHING))), [codes::SOURCE_NOT_CARRIED.name]);
}

#[test]
fn local_paths_come_from_the_disk_and_never_from_the_archive() {
    let mut archive = Archive::default();
    let content = archive.keep(b"a tar that says something else");
    let entry = |url: &str| LockedSource {
        url: url.to_owned(),
        pinned: format!("file::{url}"),
        content: LockedContent::File { content },
    };
    let archive = archive.locked(vec![entry("./own"), entry("./absent")]);
    let resolved = resolve(&policy(&["./own"], &[]), &archive, &Operator { accept: true, ..NOTHING }).unwrap();
    assert_eq!(*resolved.groups[0].policy[0].files[0].bytes, *b"package own");
    assert_eq!(resolved.policy.sources[0].policy, ["file::./own"]);
    let findings = no_verdict(resolve(&policy(&["./absent"], &[]), &archive, &Operator { accept: true, ..NOTHING }));
    assert_eq!(codes_of(&findings), [codes::SOURCE_UNREADABLE.name]);
}

#[test]
fn a_file_over_https_always_needs_an_anchor() {
    let url = "https://example.com/data/rule_data.yml";
    let mut archive = Archive::default();
    let content = archive.keep(b"a: 1");
    let entry = |content| LockedSource {
        url: url.to_owned(),
        pinned: "http::example.com/data/rule_data.yml".to_owned(),
        content: LockedContent::Https { content },
    };
    let lock = Lock::new(vec![entry(content)]);
    let archive = archive.locked(vec![entry(content)]);
    let policy = policy(&["./own"], &[url]);
    assert_eq!(codes_of(&no_verdict(resolve(&policy, &archive, &NOTHING))), [codes::SOURCE_NOT_ANCHORED.name]);
    let resolved = resolve(&policy, &archive, &Operator { lock: Some(&lock), ..NOTHING }).unwrap();
    assert_eq!(resolved.groups[0].data[0].files[0].path, "rule_data.yml");
    assert_eq!(resolved.policy.sources[0].data, ["http::example.com/data/rule_data.yml"]);
    let other = Lock::new(vec![entry(Digest::of(b"a: 2"))]);
    let findings = failed(resolve(&policy, &archive, &Operator { lock: Some(&other), ..NOTHING }));
    assert_eq!(codes_of(&findings), [codes::LOCK_MISMATCH.name]);
}

fn manifest(layers: &[(&str, &[u8])]) -> Vec<u8> {
    let layer = |(title, bytes): &(&str, &[u8])| {
        serde_json::json!({
            "mediaType": "application/vnd.cncf.openpolicyagent.policy.layer.v1+rego",
            "digest": Digest::of(bytes),
            "size": bytes.len(),
            "annotations": { "org.opencontainers.image.title": title },
        })
    };
    serde_json::json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": { "mediaType": "application/vnd.oci.empty.v1+json", "digest": Digest::of(b"{}"), "size": 2 },
        "layers": layers.iter().map(layer).collect::<Vec<_>>(),
    })
    .to_string()
    .into_bytes()
}

#[test]
fn artifacts_are_read_by_the_digest_of_their_manifest() {
    let rules: &[u8] = b"package g";
    let good = manifest(&[("policy/g.rego", rules)]);
    let digest = Digest::of(&good);
    let url = format!("oci::quay.io/org/rules:v1@{digest}");
    let archive = |manifest: &[u8], layers: &[&[u8]]| {
        let mut archive = Archive::default();
        let kept = archive.keep(manifest);
        let layers = layers.iter().map(|layer| archive.keep(layer)).collect();
        let content = LockedContent::Oci { manifest: kept, layers };
        archive.locked(vec![LockedSource { url: url.clone(), pinned: url.clone(), content }])
    };
    let by_digest = policy(&[&url], &[]);
    let resolved = resolve(&by_digest, &archive(&good, &[rules]), &NOTHING).unwrap();
    assert_eq!(resolved.groups[0].policy[0].files[0].path, "policy/g.rego");
    assert_eq!(anchors(&resolved), [Anchor::Pin]);
    let findings = failed(resolve(&by_digest, &archive(&manifest(&[("g.rego", b"package x")]), &[b"package x"]), &NOTHING));
    assert_eq!(codes_of(&findings), [codes::SOURCE_PIN_MISMATCH.name]);
    let findings = failed(resolve(&by_digest, &archive(&good, &[]), &NOTHING));
    assert_eq!(codes_of(&findings), [codes::SOURCE_OBJECT_MISSING.name]);

    let moving = policy(&["oci::quay.io/org/rules:v1"], &[]);
    let accept = Operator { accept: true, ..NOTHING };
    for (titles, want) in [
        (["../g.rego", "b.rego"], &codes::SOURCE_UNSAFE_TREE),
        (["/g.rego", "b.rego"], &codes::SOURCE_UNSAFE_TREE),
        (["g.rego", "G.rego"], &codes::SOURCE_UNSAFE_TREE),
    ] {
        let odd = manifest(&[(titles[0], rules), (titles[1], rules)]);
        let mut archive = Archive::default();
        let content = LockedContent::Oci { manifest: archive.keep(&odd), layers: vec![archive.keep(rules)] };
        let entry = LockedSource { url: "oci::quay.io/org/rules:v1".to_owned(), pinned: url.clone(), content };
        let findings = failed(resolve(&moving, &archive.locked(vec![entry]), &accept));
        assert_eq!(codes_of(&findings), [want.name], "{titles:?}");
    }
}

/// A commit with one directory `policy` that holds `entries` (mode, name, id).
fn commit_of(entries: &[(&str, &str, ObjectId)], below: &[Vec<u8>]) -> (ObjectId, Vec<u8>) {
    let tree = |entries: &[(&str, &str, ObjectId)]| -> Vec<u8> {
        let entry = |(mode, name, id): &(&str, &str, ObjectId)| [format!("{mode} {name}\0").as_bytes(), id.as_bytes()].concat();
        entries.iter().flat_map(entry).collect()
    };
    let id = |kind, content: &[u8]| ObjectId::of(HashKind::Sha1, kind, content).unwrap();
    let policy = tree(entries);
    let root = tree(&[("40000", "policy", id(ObjectKind::Tree, &policy))]);
    let commit = format!("tree {}\n\nx\n", id(ObjectKind::Tree, &root)).into_bytes();
    let mut stream = [loose("commit", &commit), loose("tree", &root), loose("tree", &policy)].concat();
    below.iter().for_each(|object| stream.extend_from_slice(object));
    (id(ObjectKind::Commit, &commit), stream)
}

#[test]
fn trees_that_two_systems_unpack_in_two_ways_are_refused() {
    let rules = b"package g";
    let blob = ObjectId::of(HashKind::Sha1, ObjectKind::Blob, rules).unwrap();
    let file = loose("blob", rules);
    for (entries, want) in [
        (vec![("120000", "g.rego", blob)], codes::SOURCE_UNSAFE_TREE.name),
        (vec![("160000", "sub", blob)], codes::SOURCE_UNSAFE_TREE.name),
        (vec![("100644", "..", blob)], codes::SOURCE_UNSAFE_TREE.name),
        (vec![("100644", ".GIT", blob)], codes::SOURCE_UNSAFE_TREE.name),
        (vec![("100644", "a\\b.rego", blob)], codes::SOURCE_UNSAFE_TREE.name),
        (vec![("100644", "a/b.rego", blob)], codes::SOURCE_UNSAFE_TREE.name),
        (vec![("100644", "", blob)], codes::SOURCE_UNSAFE_TREE.name),
        (vec![("100644", "G.rego", blob), ("100644", "g.rego", blob)], codes::SOURCE_UNSAFE_TREE.name),
        (vec![("100644", "g.rego", blob), ("100644", "g.rego", blob)], codes::SOURCE_MALFORMED.name),
        (vec![("100600", "g.rego", blob)], codes::SOURCE_MALFORMED.name),
        (vec![("100644", "g.rego", blob), ("100755", "h.rego", blob)], ""),
    ] {
        let (commit, stream) = commit_of(&entries, std::slice::from_ref(&file));
        let url = format!("git::git.example/org/rules.git//policy?ref={commit}");
        let mut archive = Archive::default();
        let content = archive.keep(&stream);
        let archive = archive.locked(vec![git(&url, &commit.to_string(), "policy", content)]);
        match resolve(&policy(&[&url], &[]), &archive, &NOTHING) {
            Ok(resolved) => {
                assert_eq!(want, "", "{entries:?}");
                assert_eq!(resolved.groups[0].policy[0].files.len(), 2);
            }
            Err(error) => assert_eq!(codes_of(error.findings()), [want], "{entries:?}"),
        }
    }
}

#[test]
fn a_tree_that_names_itself_a_million_times_over_is_cut_short() {
    let id = |kind, content: &[u8]| ObjectId::of(HashKind::Sha1, kind, content).unwrap();
    let rules = b"package g";
    let mut below = (id(ObjectKind::Blob, rules), "100644");
    let mut objects = vec![loose("blob", rules)];
    let mut entries = Vec::new();
    for _ in 0..8 {
        let names: Vec<String> = (0..10).map(|n| format!("d{n}")).collect();
        let tree: Vec<u8> =
            names.iter().flat_map(|name| [format!("{} {name}\0", below.1).as_bytes(), below.0.as_bytes()].concat()).collect();
        below = (id(ObjectKind::Tree, &tree), "40000");
        objects.insert(0, loose("tree", &tree));
        entries = vec![("40000", "deep", below.0)];
    }
    let (commit, stream) = commit_of(&entries, &objects);
    let url = format!("git::git.example/org/rules.git//policy?ref={commit}");
    let mut archive = Archive::default();
    let content = archive.keep(&stream);
    let archive = archive.locked(vec![git(&url, &commit.to_string(), "policy", content)]);
    let findings = no_verdict(resolve(&policy(&[&url], &[]), &archive, &NOTHING));
    assert_eq!(codes_of(&findings), [codes::SOURCE_TOO_LARGE.name]);
}

#[test]
fn sources_that_cannot_be_fetched_or_hold_no_rules_give_no_verdict() {
    for (rules, want) in [
        ("http://127.0.0.1:5055/x", &codes::SOURCE_INSECURE),
        ("git::http://git.example/org/rules", &codes::SOURCE_INSECURE),
        ("s3::https://bucket/x", &codes::SOURCE_UNSUPPORTED),
        ("oci::alpine", &codes::SOURCE_UNSUPPORTED),
    ] {
        let findings = no_verdict(resolve(&policy(&[rules], &[]), &honest(), &Operator { accept: true, ..NOTHING }));
        assert_eq!(codes_of(&findings), [want.name], "{rules}");
    }
    // The data directory holds no rules; as data it is fine.
    let as_rules = policy(&[DATA], &[DATA]);
    let findings = no_verdict(resolve(&as_rules, &honest(), &Operator { accept: true, ..NOTHING }));
    assert_eq!(codes_of(&findings), [codes::SOURCE_WITHOUT_RULES.name]);
}
