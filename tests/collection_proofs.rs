//! Promises of a log are upgraded to proofs, and what a log denies is an alarm.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "collection/image.rs"]
mod image;
#[path = "collection/log.rs"]
mod log;
#[path = "export_support.rs"]
mod support;

use std::{fs, path::PathBuf};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use carnet_bundle::{
    Bundle, Digest, Limits,
    archive::Archive,
    inventory::{LookResult, Method},
    media, open,
};
use carnet_registry::testing::{Behaviour, Content, Effect, Fault, Route, TestingRegistry};
use image::Layout;
use log::Log;
use serde_json::{Value, json};
use support::{Ended, export, testdata};

struct Stage {
    folder: tempfile::TempDir,
    log: Log,
    server: TestingRegistry,
}

impl Stage {
    /// An image with a legacy signature whose entry is the last of five in a log.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut layout = Layout::new(&folder.path().join("layout"));
        let image = layout.image(&[vec![1; 9]]);
        let leaf = |n: u8| format!(r#"{{"apiVersion":"0.0.1","kind":"hashedrekord","spec":{{"n":{n}}}}}"#).into_bytes();
        let log = Log::new((0..5).map(leaf).collect());
        let mut layer = layout.blob(media::SIMPLE_SIGNING, b"{}");
        layer["annotations"] =
            json!({ "dev.cosignproject.cosign/signature": "AAAA", "dev.sigstore.cosign/bundle": log.annotation(4) });
        let config = layout.blob(media::OCI_CONFIG, b"{}");
        let signature = layout.manifest(json!({ "config": config, "layers": [layer] }));
        layout.tag("v1", &image);
        layout.tag(&format!("sha256-{}.sig", image::digest(&image).to_hex()), &signature);
        let server = TestingRegistry::start(Content::new(), Behaviour::default()).unwrap();
        let mut stage = Self { folder, log, server };
        stage.log.origin = stage.server.host();
        fs::write(stage.path("root.json"), stage.log.trusted_root(&stage.url())).unwrap();
        stage
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn url(&self) -> String {
        format!("http://{}", self.server.host())
    }

    /// Lets the log answer about the entry.
    fn answer(&self, answer: &Value) {
        self.answer_at(&self.log.leaf(4).to_hex(), answer);
    }

    fn answer_at(&self, path: &str, answer: &Value) {
        let effect = Effect::Answer(200, "application/json".to_owned(), answer.to_string().into_bytes());
        self.server.inject(Fault::on(Route::Any, effect).ending(path));
    }

    fn export(&self, extra: &[&str]) -> Ended {
        let from = format!("oci:{}", self.path("layout").display());
        let root = self.path("root.json");
        let output = self.path("out.tar");
        let own = ["r.example/a:v1", "--from", &from, "--trusted-root", root.to_str().unwrap(), "-o", output.to_str().unwrap()];
        export(&[own.as_slice(), extra].concat())
    }

    fn bundle(&self) -> Bundle {
        let limits = Limits::default();
        let mut archive = Archive::new(fs::File::open(self.path("out.tar")).unwrap(), &limits).unwrap();
        let opened = open::open(&mut archive, &limits).unwrap();
        assert_eq!(opened.findings, []);
        opened.bundle.unwrap()
    }

    /// The receipts of what logs were asked: where, the answer, the status, the note.
    fn receipts(&self) -> Vec<(String, LookResult, Option<u16>, String)> {
        let inventory = self.bundle().inventory().clone();
        let receipts = inventory.looked_for.into_iter().filter(|receipt| receipt.method == Method::LogProof);
        receipts
            .map(|receipt| {
                assert_eq!((receipt.subject, receipt.found), (self.log.leaf(4), u64::from(receipt.result == LookResult::Found)));
                (receipt.repository, receipt.result, receipt.status, receipt.note)
            })
            .collect()
    }
}

#[test]
fn a_promise_becomes_a_proof_beside_the_original() {
    let stage = Stage::new();
    stage.answer(&stage.log.answer(4));
    let ended = stage.export(&["--proofs=require"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let bundle = stage.bundle();
    let [proof] = bundle.inventory().proofs.as_slice() else { panic!("{:?}", bundle.inventory().proofs) };
    assert_eq!((proof.leaf, proof.log.clone()), (stage.log.leaf(4), stage.url()));
    let document = bundle.documents().find(|document| document.digest == proof.digest).unwrap();
    assert_eq!((document.media_type, document.title), (media::LOG_PROOF, format!("{}.json", proof.leaf.to_hex()).as_str()));
    let stored: Value = serde_json::from_slice(document.bytes).unwrap();
    assert_eq!(STANDARD.decode(stored["canonicalizedBody"].as_str().unwrap()).unwrap(), stage.log.leaves[4]);
    assert_eq!(stored["kindVersion"], json!({ "kind": "hashedrekord", "version": "0.0.1" }));
    assert_eq!((stored["logIndex"].as_str(), stored["inclusionProof"]["logIndex"].as_str()), (Some("4163435"), Some("4")));
    assert_eq!(stored["inclusionProof"]["treeSize"], "5");
    let record = bundle.documents().find(|document| document.media_type == media::COLLECTION_RECORD).unwrap();
    let record: Value = serde_json::from_slice(record.bytes).unwrap();
    assert_eq!(record["proofs"], json!({ "fetched": 1, "unproved": [] }));
    assert_eq!(stage.receipts(), [(stage.url(), LookResult::Found, Some(200), String::new())]);
}

#[test]
fn the_index_is_asked_for_when_the_leaf_is_not_found() {
    let stage = Stage::new();
    stage.answer_at("/api/v1/log/entries", &stage.log.answer(4));
    assert_eq!(stage.export(&["--proofs=require"]).code, 0);
    let asked: Vec<_> = stage.server.served().into_iter().map(|served| served.path).collect();
    assert_eq!(
        asked,
        [format!("/api/v1/log/entries/{}", stage.log.leaf(4).to_hex()), "/api/v1/log/entries?logIndex=4163435".to_owned()]
    );
}

#[test]
fn an_entry_that_the_log_denies_is_an_alarm() {
    let stage = Stage::new();
    let ended = stage.export(&["--proofs=fetch"]);
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(
        ended.stderr.contains("alarm: log entry sha256:") && ended.stderr.contains("although the log promised it"),
        "{ended:?}"
    );
    assert!(stage.bundle().inventory().proofs.is_empty());
    assert_eq!(stage.receipts(), [(stage.url(), LookResult::None, Some(404), "promise-not-kept".to_owned())]);
    fs::remove_file(stage.path("out.tar")).unwrap();
    let ended = stage.export(&["--proofs=require", "-q"]);
    assert!(ended.code == 2 && ended.stderr.contains("1 log entries have no proof"), "{ended:?}");
    assert!(!stage.path("out.tar").exists());
}

/// Another entry in the place of the promised one.
#[test]
fn an_entry_of_another_body_log_index_or_time_is_an_alarm() {
    for (member, value) in [
        ("body", json!(STANDARD.encode("other"))),
        ("logIndex", json!(4_163_434)),
        ("integratedTime", json!(1_780_000_001)),
        ("logID", json!(Digest::of(b"other").to_hex())),
    ] {
        let stage = Stage::new();
        let mut answer = stage.log.answer(4);
        answer.as_object_mut().unwrap().values_mut().next().unwrap()[member] = value;
        stage.answer(&answer);
        let ended = stage.export(&["--proofs=fetch"]);
        assert!(ended.code == 1 && ended.stderr.contains("with an entry of another"), "{member}: {ended:?}");
        assert_eq!(stage.receipts(), [(stage.url(), LookResult::None, None, "promise-not-kept".to_owned())], "{member}");
        assert!(stage.bundle().inventory().proofs.is_empty());
    }
}

#[test]
fn a_proof_that_does_not_hold_is_not_stored() {
    type Change = fn(&mut Value);
    let cases: [(&str, Change, &str); 6] = [
        ("root", |proof| proof["rootHash"] = json!("00".repeat(32)), "tree head mismatch"),
        ("size", |proof| proof["treeSize"] = json!(6), "tree head mismatch"),
        ("index", |proof| proof["logIndex"] = json!(3), "inclusion proof: "),
        ("hashes", |proof| proof["hashes"] = json!([]), "inclusion proof: "),
        ("checkpoint", |proof| proof["checkpoint"] = json!(""), "no inclusion proof with a checkpoint"),
        (
            "signature",
            |proof| proof["checkpoint"] = json!(proof["checkpoint"].as_str().unwrap().replace("42", "43")),
            "does not verify",
        ),
    ];
    for (name, change, message) in cases {
        let stage = Stage::new();
        let mut answer = stage.log.answer(4);
        let entry = answer.as_object_mut().unwrap().values_mut().next().unwrap();
        change(&mut entry["verification"]["inclusionProof"]);
        stage.answer(&answer);
        let ended = stage.export(&["--proofs=fetch"]);
        assert!(ended.code == 0 && ended.stderr.contains(message), "{name}: {ended:?}");
        assert_eq!(stage.receipts(), [(stage.url(), LookResult::CouldNotLook, None, "malformed".to_owned())], "{name}");
        assert!(stage.bundle().inventory().proofs.is_empty(), "{name}");
    }
}

#[test]
fn a_log_that_does_not_answer_costs_nothing_but_the_proof() {
    for (effect, message, status, note) in [
        (Effect::Status(503), "503", Some(503), "unreachable"),
        (Effect::Status(403), "403", Some(403), "denied"),
        (Effect::Answer(200, "text/html".to_owned(), b"<html>".to_vec()), "without a proof", None, "malformed"),
        (Effect::Answer(200, "application/json".to_owned(), b"{}".to_vec()), "not one entry", None, "malformed"),
    ] {
        let stage = Stage::new();
        stage.server.inject(Fault::on(Route::Any, effect));
        let ended = stage.export(&["--proofs=fetch"]);
        assert!(
            ended.code == 0 && ended.stderr.contains("warning: 1 log entries") && ended.stderr.contains(message),
            "{ended:?}"
        );
        // That is said in a receipt, and the verifier does not hold it against the bundle.
        assert_eq!(stage.receipts(), [(stage.url(), LookResult::CouldNotLook, status, note.to_owned())]);
    }
}

#[test]
fn a_promise_that_does_not_verify_is_not_asked_for() {
    let stage = Stage::new();
    let other = Log::new(vec![Vec::new()]);
    // The same id in the file would be refused, so the log is simply another one.
    fs::write(stage.path("root.json"), other.trusted_root(&stage.url())).unwrap();
    let ended = stage.export(&["--proofs=fetch"]);
    assert!(ended.code == 0 && ended.stderr.contains("is in no trusted root"), "{ended:?}");
    let [(_, LookResult::NotLooked, None, note)] = &stage.receipts()[..] else { panic!("{:?}", stage.receipts()) };
    assert_eq!(note, "log-unknown");
    assert_eq!(stage.server.served(), []);
}

#[test]
fn nothing_is_asked_when_it_is_not_wanted() {
    for flags in [["--proofs=skip"].as_slice(), &["--reproducible"]] {
        let stage = Stage::new();
        assert_eq!(stage.export(flags).code, 0);
        assert_eq!(stage.server.served(), []);
    }
}

#[test]
fn another_server_is_the_log_only_when_it_shows_the_key() {
    let stage = Stage::new();
    let other = TestingRegistry::start(Content::new(), Behaviour::default()).unwrap();
    let url = format!("http://{}", other.host());
    // A log that knows nothing of the entry, and is another one.
    let ended = stage.export(&["--proofs=fetch", "--rekor-url", &url]);
    assert!(ended.code == 0 && ended.stderr.contains("and is another log"), "{ended:?}");
    assert_eq!(stage.receipts(), [(url.clone(), LookResult::NotLooked, Some(404), "other-log".to_owned())]);
    // The archive names the log, so the name holds no secret.
    let ended = stage.export(&["--rekor-url", "https://user:secret@log.example"]);
    assert!(ended.code == 2 && ended.stderr.contains("--rekor-url holds a user or password"), "{ended:?}");
    // The same log under another address.
    let key = Effect::Answer(200, "application/x-pem-file".to_owned(), stage.log.pem().into_bytes());
    other.inject(Fault::on(Route::Any, key).ending("/publicKey"));
    let ended = stage.export(&["--proofs=fetch", "--rekor-url", &url]);
    assert!(ended.code == 1 && ended.stderr.contains("alarm: "), "{ended:?}");
    let effect = Effect::Answer(200, "application/json".to_owned(), stage.log.answer(4).to_string().into_bytes());
    other.inject(Fault::on(Route::Any, effect).ending(stage.log.leaf(4).to_hex()));
    assert_eq!(stage.export(&["--proofs=require", "--rekor-url", &url]).code, 0);
    assert_eq!(stage.bundle().inventory().proofs[0].log, url);
    assert_eq!(stage.server.served(), []);
}

/// Entries of a real log, made by cosign: the bundles have proofs of their own, and
/// lose them on their way here.
#[test]
fn real_entries_of_rekor_are_proved() {
    let stage = Stage::new();
    let layout = testdata("layouts/local-sigstore/keyless-rekor1");
    let mut flags = vec!["--proofs=require".to_owned(), "--rekor-url".to_owned(), stage.url()];
    let mut leaves = Vec::new();
    for file in fs::read_dir(layout.join("blobs/sha256")).unwrap() {
        let Ok(mut bundle) = serde_json::from_slice::<Value>(&fs::read(file.unwrap().path()).unwrap()) else { continue };
        let Some(entry) = bundle.pointer_mut("/verificationMaterial/tlogEntries/0") else { continue };
        let body = STANDARD.decode(entry["canonicalizedBody"].as_str().unwrap()).unwrap();
        let leaf = Digest::of(&[&[0], body.as_slice()].concat());
        // Protobuf's JSON leaves zero out.
        let number = |value: &Value| value.as_str().map_or(0, |text| text.parse::<u64>().unwrap());
        let bytes = |value: &Value| STANDARD.decode(value.as_str().unwrap()).unwrap();
        let hex = |value: &Value| bytes(value).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let proof = entry.as_object_mut().unwrap().remove("inclusionProof").unwrap();
        let answer = json!({
            "body": entry["canonicalizedBody"], "integratedTime": number(&entry["integratedTime"]),
            "logIndex": number(&entry["logIndex"]), "logID": hex(&entry["logId"]["keyId"]),
            "verification": { "inclusionProof": {
                "logIndex": number(&proof["logIndex"]), "treeSize": number(&proof["treeSize"]), "rootHash": hex(&proof["rootHash"]),
                "hashes": proof["hashes"].as_array().map_or_else(Vec::new, |hashes| hashes.iter().map(hex).collect()),
                "checkpoint": proof["checkpoint"]["envelope"],
            } },
        });
        stage.answer_at(&leaf.to_hex(), &json!({ leaf.to_hex(): answer }));
        // Only the oldest form of bundles may do with a promise.
        bundle["mediaType"] = "application/vnd.dev.sigstore.bundle+json;version=0.1".into();
        let material = bundle["verificationMaterial"].as_object_mut().unwrap();
        let certificate = material.remove("certificate").unwrap();
        material.insert("x509CertificateChain".to_owned(), json!({ "certificates": [certificate] }));
        let path = stage.path(&format!("{}.json", leaf.to_hex()));
        fs::write(&path, bundle.to_string()).unwrap();
        flags.extend(["--evidence".to_owned(), path.to_str().unwrap().to_owned()]);
        leaves.push(leaf);
    }
    let from = format!("oci:{}", layout.display());
    let root = testdata("trust/local-sigstore/trusted_root.json");
    let output = stage.path("out.tar");
    let own =
        ["r.example/demo/app:v1", "--from", &from, "--trusted-root", root.to_str().unwrap(), "-o", output.to_str().unwrap()];
    let flags: Vec<_> = flags.iter().map(String::as_str).collect();
    let ended = export(&[own.as_slice(), &flags].concat());
    assert_eq!(ended.code, 0, "{ended:?}");
    let mut proved: Vec<_> = stage.bundle().inventory().proofs.iter().map(|proof| proof.leaf).collect();
    leaves.sort_unstable();
    proved.sort_unstable();
    assert_eq!((proved.len(), proved), (3, leaves));
}
