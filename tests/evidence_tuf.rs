//! The carried TUF chain: real repositories lead to their trust root, and forged
//! ones lead nowhere, each for its own reason.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test reads its data, and says so when it is not there")]

#[allow(dead_code, reason = "the forge has more than this suite needs")]
#[path = "forge/der.rs"]
mod der;
#[allow(dead_code, reason = "the forge has more than this suite needs")]
#[path = "forge/keys.rs"]
mod keys;

use std::{fs, path::Path};

use carnet_bundle::{Digest, Severity, json};
use carnet_evidence::{
    trust_policy::{Expired, TufVersions},
    tuf::{Chain, Repository, TufError},
};
use jiff::{Timestamp, ToSpan as _};
use serde_json::{Value, json};

use keys::Key;

const TODAY: &str = "2026-11-25T12:00:00Z";
const LATER: &str = "2027-06-01T00:00:00Z";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn testdata(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata").join(path)
}

/// A repository as files: metadata, and what may be the target.
#[derive(Clone)]
struct Files {
    held: Vec<u8>,
    metadata: Vec<Vec<u8>>,
    targets: Vec<Vec<u8>>,
}

impl Files {
    fn read(folder: &str, target: &str, held: &str) -> Self {
        let held = fs::read(testdata(held)).unwrap();
        let files = fs::read_dir(testdata(folder)).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
        let metadata = files.filter(|path| path.extension().is_some_and(|e| e == "json")).map(|path| fs::read(path).unwrap());
        Self { held, metadata: metadata.collect(), targets: vec![b"another".to_vec(), fs::read(testdata(target)).unwrap()] }
    }

    fn deliver(&self, floors: &TufVersions) -> Result<(Chain, Vec<u8>), TufError> {
        let mut repository = Repository::default();
        for bytes in &self.metadata {
            repository.add_metadata(bytes)?;
        }
        self.targets.iter().for_each(|bytes| repository.add_target(bytes));
        let (chain, target) = repository.deliver(&self.held, floors)?;
        Ok((chain, target.to_vec()))
    }

    fn code(&self) -> &'static str {
        self.deliver(&TufVersions::default()).map_or_else(|error| error.code().name, |_| "delivers")
    }
}

fn versions(chain: &Chain) -> [u64; 4] {
    let versions: Vec<_> = chain.links().iter().map(|link| link.version).collect();
    versions.try_into().unwrap()
}

#[test]
fn real_chains_lead_to_the_trust_root() {
    let public = |n: u8| format!("trust/public-good/tuf/{n}.root.json");
    let root = "trust/public-good/trusted_root.json";
    for (folder, target, held, want) in [
        ("trust/public-good/tuf", root, public(1), [15, 762, 165, 14]),
        ("trust/public-good/tuf", root, public(5), [15, 762, 165, 14]),
        ("trust/public-good/tuf", root, public(15), [15, 762, 165, 14]),
        ("tuf", "trust/local-sigstore/trusted_root.json", "tuf/root.json".to_owned(), [1, 1, 1, 1]),
        (
            "trust/conforma-testimage/tuf",
            "trust/conforma-testimage/trusted_root.json",
            "trust/conforma-testimage/tuf/1.root.json".to_owned(),
            [1, 1, 1, 1],
        ),
        (
            "trust/ec-cli-testimage/tuf",
            "trust/ec-cli-testimage/trusted_root.json",
            "trust/ec-cli-testimage/tuf/1.root.json".to_owned(),
            [1, 1, 1, 1],
        ),
    ] {
        let (chain, bytes) = Files::read(folder, target, &held).deliver(&TufVersions::default()).unwrap();
        assert_eq!(bytes, fs::read(testdata(target)).unwrap(), "{held}");
        assert_eq!(versions(&chain), want, "{held}");
        assert_eq!(*chain.held(), Digest::of(&fs::read(testdata(&held)).unwrap()));
    }
}

#[test]
fn ids_of_keys_are_names_and_no_digests() {
    // GitHub's ids cover members that clients do not know. Its root verifies; the
    // rest of the chain is not here.
    let held = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../export/trust/roots/github.root.json")).unwrap();
    let files = Files { held, metadata: Vec::new(), targets: Vec::new() };
    assert_eq!(files.code(), "tuf-metadata-missing");
}

#[test]
fn the_chain_of_one_repository_does_not_begin_at_the_root_of_another() {
    let foreign = Files::read("trust/conforma-testimage/tuf", "trust/conforma-testimage/trusted_root.json", "tuf/root.json");
    assert_eq!(foreign.code(), "tuf-threshold-not-met");
}

#[test]
fn what_has_expired_is_weighed_as_the_policy_says() {
    let files = Files::read("trust/public-good/tuf", "trust/public-good/trusted_root.json", "trust/public-good/tuf/12.root.json");
    let (chain, _) = files.deliver(&TufVersions::default()).unwrap();
    let (fail, warn) = (Severity::Failure, Severity::Warning);
    // The last root expires on 2026-11-20, the timestamp on 2026-08-28; roots in
    // between long before, which makes no difference.
    for (time, rule, want) in [
        ("2026-08-28T19:25:55Z", Expired::Fail, vec![]),
        ("2026-08-28T19:25:56Z", Expired::Fail, vec![fail]),
        (TODAY, Expired::Fail, vec![fail, fail]),
        (TODAY, Expired::Warn, vec![warn, warn]),
        (TODAY, Expired::For(24 * 30), vec![warn, fail]),
        (TODAY, Expired::For(24 * 90), vec![warn, warn]),
        ("2046-01-01T00:00:00Z", Expired::Fail, vec![fail; 4]),
    ] {
        let findings = chain.findings(at(time), rule);
        assert!(findings.iter().all(|finding| finding.code == "tuf-metadata-expired" && finding.step == "V5.9"));
        assert_eq!(findings.iter().map(|finding| finding.severity).collect::<Vec<_>>(), want, "{time} {rule:?}");
    }
    let said = &chain.findings(at(TODAY), Expired::Fail)[1].message;
    assert_eq!(said, "timestamp.json of version 762 expired at 2026-08-28T19:25:56Z, 88 days ago");
}

/// Metadata to be forged: every part can be changed before it is signed.
struct Forge {
    held: Value,
    root: Value,
    timestamp: Value,
    snapshot: Value,
    targets: Value,
    target: Vec<u8>,
    signers: Signers,
}

/// Whose signatures a file gets: ids, each with the seed of its key.
struct Signers {
    held: Vec<(&'static str, &'static str)>,
    root: Vec<(&'static str, &'static str)>,
    timestamp: Vec<(&'static str, &'static str)>,
    snapshot: Vec<(&'static str, &'static str)>,
    targets: Vec<(&'static str, &'static str)>,
}

const A: (&str, &str) = ("a", "tuf root a");
const B: (&str, &str) = ("b", "tuf root b");
const C: (&str, &str) = ("c", "tuf root c");
const T: (&str, &str) = ("t", "tuf timestamp");
const S: (&str, &str) = ("s", "tuf snapshot");
const G: (&str, &str) = ("g", "tuf targets");

/// Every second seed an ECDSA key, written as the repositories of both times did.
fn key(seed: &str) -> Key {
    if seed.len().is_multiple_of(2) { Key::ed25519(seed) } else { Key::p256(seed) }
}

fn declared(seed: &str) -> Value {
    let key = key(seed);
    let scheme = if matches!(key, Key::Ed25519(_)) { "ed25519" } else { "ecdsa-sha2-nistp256" };
    json!({"keytype": scheme, "scheme": scheme, "keyval": {"public": hex(&key.raw())}, "x-owner": "@someone"})
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn header(role: &str, version: u64) -> Value {
    json!({"_type": role, "spec_version": "1.0.31", "version": version, "expires": LATER})
}

fn with(mut value: Value, members: Value) -> Value {
    value.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    value
}

/// Two of `signers` sign roots.
fn root(version: u64, signers: &[(&str, &str)]) -> Value {
    let all = signers.iter().chain(&[T, S, G]);
    let keys: serde_json::Map<_, _> = all.map(|(id, seed)| ((*id).to_owned(), declared(seed))).collect();
    let ids: Vec<_> = signers.iter().map(|(id, _)| *id).collect();
    let one = |id: &str| json!({"keyids": [id], "threshold": 1});
    with(
        header("root", version),
        json!({
            "consistent_snapshot": true,
            "keys": keys,
            "roles": {
                "root": {"keyids": ids, "threshold": 2},
                "timestamp": one("t"), "snapshot": one("s"), "targets": one("g"),
            },
        }),
    )
}

/// The canonical form of TUF and RFC 8785 agree on texts without control characters.
fn signed(value: &Value, signers: &[(&str, &str)]) -> Vec<u8> {
    let message = json::canonical(value).unwrap();
    let signature = |(id, seed): &(&str, &str)| json!({"keyid": id, "sig": hex(&key(seed).sign(&message))});
    let signatures: Vec<_> = signers.iter().map(signature).collect();
    serde_json::to_vec_pretty(&json!({"signed": value, "signatures": signatures})).unwrap()
}

fn pin(version: u64, bytes: &[u8]) -> Value {
    json!({"version": version, "length": bytes.len(), "hashes": {"sha256": hex(&keys::sha256(bytes))}})
}

impl Forge {
    fn new() -> Self {
        let target = fs::read(testdata("trust/local-sigstore/trusted_root.json")).unwrap();
        let listed = json!({"length": target.len(), "hashes": {"sha256": hex(&keys::sha256(&target))}});
        Self {
            held: root(1, &[A, B]),
            root: root(2, &[B, C]),
            timestamp: with(header("timestamp", 5), json!({"meta": {}})),
            snapshot: with(header("snapshot", 6), json!({"meta": {"other.json": {"version": 9}}})),
            targets: with(header("targets", 7), json!({"targets": {"trusted_root.json": listed}})),
            target,
            signers: Signers { held: vec![A, B], root: vec![A, B, C], timestamp: vec![T], snapshot: vec![S], targets: vec![G] },
        }
    }

    /// Signs from the end: what a file names is signed before it. What was changed
    /// before stays.
    fn files(mut self) -> Files {
        let targets = signed(&self.targets, &self.signers.targets);
        name(&mut self.snapshot, "targets.json", pin(7, &targets));
        let snapshot = signed(&self.snapshot, &self.signers.snapshot);
        name(&mut self.timestamp, "snapshot.json", pin(6, &snapshot));
        let timestamp = signed(&self.timestamp, &self.signers.timestamp);
        let root = signed(&self.root, &self.signers.root);
        Files {
            held: signed(&self.held, &self.signers.held),
            metadata: vec![root, timestamp, snapshot, targets],
            targets: vec![self.target],
        }
    }
}

fn name(list: &mut Value, file: &str, pin: Value) {
    let entry = &mut list["meta"][file];
    if entry.is_null() {
        *entry = pin;
    }
}

fn forged(change: impl FnOnce(&mut Forge)) -> Files {
    let mut forge = Forge::new();
    change(&mut forge);
    forge.files()
}

fn changed(change: impl FnOnce(&mut Files)) -> Files {
    let mut files = Forge::new().files();
    change(&mut files);
    files
}

#[test]
fn the_forged_chain_is_good_before_it_is_changed() {
    let (chain, _) = forged(|_| {}).deliver(&TufVersions::default()).unwrap();
    assert_eq!(versions(&chain), [2, 5, 6, 7]);
}

#[test]
fn a_chain_that_is_not_signed_as_it_has_to_be_is_refused() {
    let cases: [(&str, Files); 12] = [
        ("a signature over something else", changed(|files| edit(&mut files.metadata[1], "2027-06-01", "2028-06-01"))),
        ("the new root lacks the old threshold", forged(|forge| forge.signers.root = vec![B, C])),
        ("the new root lacks its own threshold", forged(|forge| forge.signers.root = vec![A, B])),
        ("one key id twice", forged(|forge| forge.signers.root = vec![B, B, C])),
        (
            "one key under two ids",
            forged(|forge| {
                forge.root = root(2, &[B, ("b again", B.1)]);
                forge.signers.root = vec![A, B, ("b again", B.1)];
            }),
        ),
        ("the key of another role", forged(|forge| forge.signers.timestamp = vec![("t", S.1)])),
        ("the id of another role", forged(|forge| forge.signers.timestamp = vec![S])),
        ("a snapshot without signatures", forged(|forge| forge.signers.snapshot = Vec::new())),
        ("targets signed by the snapshot's key", forged(|forge| forge.signers.targets = vec![S])),
        ("a key of an unknown scheme", forged(|forge| forge.root["keys"]["t"]["scheme"] = "ecdsa-sha2-nistp521".into())),
        (
            "a self-appointed root of the held version",
            forged(|forge| {
                forge.root = root(2, &[("x", "tuf x"), ("y", "tuf y")]);
                forge.signers.root = vec![("x", "tuf x"), ("y", "tuf y")];
            }),
        ),
        ("the held root is not whole", changed(|files| edit(&mut files.held, "2027-06-01", "2028-06-01"))),
    ];
    for (name, files) in cases {
        assert_eq!(files.code(), "tuf-threshold-not-met", "{name}");
    }
}

#[test]
fn a_repository_of_ones_own_does_not_continue_the_held_root() {
    // Sound in itself, under the same ids, with keys of its own.
    let own = forged(|forge| {
        let (x, y) = ("tuf x", "tuf y");
        for (list, ids) in [(&mut forge.held, ["a", "b"]), (&mut forge.root, ["b", "c"])] {
            ids.into_iter().zip([x, y]).for_each(|(id, seed)| list["keys"][id] = declared(seed));
        }
        forge.signers.held = vec![("a", x), ("b", y)];
        // Signed by both roots' keys under each id that either gives them.
        forge.signers.root = vec![("a", x), ("b", y), ("b", x), ("c", y)];
    });
    assert_eq!(own.code(), "delivers");
    let held = Forge::new().files().held;
    let mut metadata = own.metadata.clone();
    metadata.push(own.held);
    assert_eq!(Files { held, metadata, targets: own.targets }.code(), "tuf-threshold-not-met");
}

#[test]
fn versions_follow_each_other() {
    let cases: [(&str, Files); 5] = [
        ("a skipped root", forged(|forge| forge.root = root(3, &[B, C]))),
        ("a gap behind the first step", changed(|files| files.metadata.push(signed(&root(4, &[B, C]), &[B, C])))),
        (
            "another snapshot than the timestamp names",
            forged(|forge| forge.timestamp["meta"]["snapshot.json"] = json!({"version": 8})),
        ),
        (
            "another targets than the snapshot names",
            forged(|forge| forge.snapshot["meta"]["targets.json"] = json!({"version": 6})),
        ),
        (
            "an older snapshot beside a newer timestamp",
            changed(|files| files.metadata[2] = signed(&with(header("snapshot", 4), json!({"meta": {}})), &[S])),
        ),
    ];
    for (name, files) in cases {
        assert_eq!(files.code(), "tuf-version-mismatch", "{name}");
    }
}

#[test]
fn nothing_is_older_than_the_operator_knows_it() {
    let files = forged(|_| {});
    let floors = |role: &str, version: u32| -> TufVersions { serde_json::from_value(json!({role: version})).unwrap() };
    for (role, version) in [("root", 2), ("timestamp", 5), ("snapshot", 6), ("targets", 7)] {
        assert!(files.deliver(&floors(role, version)).is_ok(), "{role}");
        let error = files.deliver(&floors(role, version + 1)).unwrap_err();
        assert_eq!(error.code().name, "tuf-rollback", "{role}");
        assert!(error.to_string().starts_with(role), "{error}");
    }
}

#[test]
fn other_bytes_than_the_signed_ones_are_refused() {
    let wrong = |file: &str, member: &str, value: Value| {
        forged(|forge| {
            let (list, version) = if file == "snapshot.json" { (&mut forge.timestamp, 6) } else { (&mut forge.snapshot, 7) };
            list["meta"][file] = with(json!({"version": version}), json!({member: value}));
        })
    };
    let cases: [(&str, Files); 6] = [
        ("digest of the snapshot", wrong("snapshot.json", "hashes", json!({"sha256": "00".repeat(32)}))),
        ("length of the snapshot", wrong("snapshot.json", "length", json!(1))),
        ("digest of the targets", wrong("targets.json", "hashes", json!({"sha512": "00".repeat(64)}))),
        ("length of the targets", wrong("targets.json", "length", json!(1))),
        ("the target", forged(|forge| forge.target[100] ^= 1)),
        ("length of the target", forged(|forge| forge.target.push(b'\n'))),
    ];
    for (name, files) in cases {
        assert_eq!(files.code(), "tuf-digest-mismatch", "{name}");
    }
}

#[test]
fn a_chain_with_a_hole_is_refused() {
    for (place, name) in [(1, "timestamp.json"), (2, "6.snapshot.json"), (3, "7.targets.json")] {
        let files = changed(|files| drop(files.metadata.remove(place)));
        assert_eq!(files.code(), "tuf-metadata-missing", "{name}");
        let error = files.deliver(&TufVersions::default()).unwrap_err();
        assert_eq!(error.to_string(), format!("{name} is not carried"));
    }
    assert_eq!(changed(|files| files.targets.clear()).code(), "tuf-metadata-missing");
    assert_eq!(
        forged(|forge| forge.targets["targets"] = json!({"other.json": {"length": 1, "hashes": {}}})).code(),
        "tuf-metadata-missing"
    );
}

/// Names of targets are compared, and nothing else: no file is opened by one.
#[test]
fn a_target_that_is_named_like_a_path_is_only_a_name() {
    const PATH: &str = "../../trusted_root.json";
    let beside = json!({"length": 1, "hashes": {"sha256": "00".repeat(32)}});
    assert_eq!(forged(|forge| forge.targets["targets"][PATH] = beside).code(), "delivers");
    let instead = forged(|forge| {
        let targets = forge.targets["targets"].as_object_mut().unwrap();
        let target = targets.remove("trusted_root.json").unwrap();
        targets.insert(PATH.to_owned(), target);
    });
    assert_eq!(instead.code(), "tuf-metadata-missing");
}

#[test]
fn metadata_that_is_not_sound_is_refused() {
    let cases: [(&str, Files); 12] = [
        ("a duplicate key", changed(|files| edit(&mut files.metadata[1], "\"version\": 5", "\"version\": 5, \"version\": 5"))),
        ("bytes after the end", changed(|files| files.metadata[1].extend(b"{}"))),
        ("a fraction", changed(|files| edit(&mut files.metadata[1], "\"version\": 5", "\"version\": 5.0"))),
        ("a version of 0", forged(|forge| forge.timestamp["version"] = 0.into())),
        ("a negative version", forged(|forge| forge.timestamp["version"] = (-1).into())),
        ("another specification", forged(|forge| forge.timestamp["spec_version"] = "2.0".into())),
        ("an unknown role", forged(|forge| forge.timestamp["_type"] = "mirrors".into())),
        ("a threshold of 0", forged(|forge| forge.root["roles"]["timestamp"]["threshold"] = 0.into())),
        ("a role without keys", forged(|forge| drop(forge.root["roles"].as_object_mut().unwrap().remove("timestamp")))),
        (
            "a digest of an unknown algorithm",
            forged(|forge| forge.timestamp["meta"]["snapshot.json"] = json!({"version": 6, "hashes": {"md5": "00"}})),
        ),
        (
            "a target without a digest",
            forged(|forge| drop(forge.targets["targets"]["trusted_root.json"].as_object_mut().unwrap().remove("hashes"))),
        ),
        (
            "two timestamps",
            changed(|files| files.metadata.push(signed(&with(header("timestamp", 4), json!({"meta": {}})), &[T]))),
        ),
    ];
    for (name, files) in cases {
        assert_eq!(files.code(), "tuf-metadata-malformed", "{name}");
    }
}

#[test]
fn every_changed_byte_of_a_chain_is_noticed() {
    // No byte of what is carried can be changed so that another root is delivered.
    let good = Forge::new().files();
    let (chain, target) = good.deliver(&TufVersions::default()).unwrap();
    for file in 0..good.metadata.len() {
        for place in (0..good.metadata[file].len()).step_by(7) {
            let mut files = good.clone();
            files.metadata[file][place] ^= 1;
            if let Ok((other, bytes)) = files.deliver(&TufVersions::default()) {
                assert!(other == chain && bytes == target, "{file}: {place}");
            }
        }
    }
    let end = at(LATER).checked_sub(1.second()).unwrap();
    assert_eq!(chain.findings(end, Expired::Fail), []);
}

fn edit(bytes: &mut Vec<u8>, from: &str, to: &str) {
    let text = String::from_utf8(std::mem::take(bytes)).unwrap();
    assert!(text.contains(from), "{from}: {text}");
    *bytes = text.replace(from, to).into_bytes();
}
