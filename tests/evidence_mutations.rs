//! Evidence that was changed in one place, and trust roots that were.
//!
//! `mutations-expect.tsv` sets carnet's answer beside the exit code of real cosign
//! on the same file, with a reason wherever the two differ.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    clippy::unwrap_used,
    reason = "a test reads its data, and says so when it is not there"
)]

#[path = "evidence/layout.rs"]
mod layout;

use std::collections::BTreeMap;

use base64::Engine as _;
use carnet_bundle::{Digest, Manifest, media};
use carnet_evidence::{Rules, Signer, TrustRoot, TrustSource, Verifier, from_manifest};
use layout::{Layout, identity, key, read, testdata, trust_root, verifier};
use serde_json::json;

const MAIN: &str = "https://gitlab.local/demo/app//.gitlab-ci.yml@refs/heads/main";

fn signer(set: &str) -> Signer {
    if set.starts_with("key-") { key("trust/local-sigstore/demo.pub") } else { identity(MAIN, "https://gitlab.local") }
}

/// `ok` or the code of the decisive finding, for each layer.
fn judge(file: &str, image: &Digest, verifier: &Verifier) -> Vec<String> {
    let bytes = read(&format!("evidence/mutations/{file}"));
    let (manifest, blobs) = if file.ends_with(".sigstore.json") { referrer(image, bytes) } else { legacy(&bytes) };
    let parsed = Manifest::parse(&manifest, media::OCI_MANIFEST).unwrap();
    let (items, findings) = from_manifest(image, &Digest::of(&manifest), &parsed, &|digest| blobs.get(digest).map(Vec::as_slice));
    assert!(findings.is_empty(), "{findings:?}");
    let outcome = |item| verifier.verify(item, image).map_or_else(|findings| findings[0].code.to_owned(), |_| "ok".to_owned());
    items.iter().map(outcome).collect()
}

/// A bundle in a referrer manifest, as registries hold it.
fn referrer(image: &Digest, bundle: Vec<u8>) -> (Vec<u8>, BTreeMap<Digest, Vec<u8>>) {
    let digest = Digest::of(&bundle);
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": media::OCI_MANIFEST,
        "artifactType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "config": {"mediaType": media::OCI_EMPTY, "digest": Digest::of(media::EMPTY_JSON), "size": 2},
        "layers": [{"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json", "digest": digest, "size": bundle.len()}],
        "subject": {"mediaType": media::OCI_MANIFEST, "digest": image, "size": 1},
    });
    (serde_json::to_vec(&manifest).unwrap(), BTreeMap::from([(digest, bundle)]))
}

/// A manifest with its layers in base64.
fn legacy(file: &[u8]) -> (Vec<u8>, BTreeMap<Digest, Vec<u8>>) {
    let value: serde_json::Value = serde_json::from_slice(file).unwrap();
    let decode = |text: &serde_json::Value| base64::engine::general_purpose::STANDARD.decode(text.as_str().unwrap()).unwrap();
    let layers = &value["layers"];
    let blobs: Vec<_> = match layers.as_object() {
        Some(named) => named.values().map(decode).collect(),
        None => layers.as_array().unwrap().iter().map(decode).collect(),
    };
    let blobs = blobs.into_iter().map(|bytes| (Digest::of(&bytes), bytes)).collect();
    (serde_json::to_vec(&value["manifest"]).unwrap(), blobs)
}

#[test]
fn every_changed_file_is_answered_as_the_table_says() {
    let root = trust_root("local-sigstore/trusted_root.json");
    let table = String::from_utf8(read("evidence/mutations-expect.tsv")).unwrap();
    let mut wrong = Vec::new();
    let mut rows = 0;
    for line in table.lines().skip(1) {
        let [file, cosign, want, remark] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let set = file.split("--").next().unwrap();
        let image = Layout::open(&format!("layouts/local-sigstore/{set}")).image();
        let got = judge(file, &image, &verifier(&root, Rules::new(signer(set)))).join(",");
        if got != want {
            wrong.push(format!("{file}: got {got}, want {want}"));
        }
        let accepted = want.split(',').any(|code| code == "ok");
        let attestation_of_this_type = !file.ends_with(".att.json");
        if attestation_of_this_type && accepted != (cosign == "0") && remark.is_empty() {
            wrong.push(format!("{file}: cosign says {cosign} and the table does not say why carnet differs"));
        }
        rows += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let files = std::fs::read_dir(testdata().join("evidence/mutations")).unwrap().count();
    assert_eq!(rows, files, "a row for each file");
}

#[test]
fn every_changed_trust_root_is_answered_as_the_table_says() {
    let table = String::from_utf8(read("evidence/trust-variants.tsv")).unwrap();
    let mut lines = table.lines();
    let sets: Vec<_> = lines.next().unwrap().split('\t').skip(1).collect();
    let mut wrong = Vec::new();
    for line in lines {
        let mut cells = line.split('\t');
        let variant = cells.next().unwrap();
        let bytes = read(&format!("trust/local-sigstore/variants/{variant}.json"));
        let root = TrustRoot::parse(&bytes, TrustSource::File(variant.to_owned())).unwrap();
        for (set, want) in sets.iter().zip(cells) {
            let open = Layout::open(&format!("layouts/local-sigstore/{set}"));
            let outcomes = open.judge(&open.image(), &verifier(&root, Rules::new(signer(set))));
            let codes = layout::codes(&outcomes);
            let got = if codes.is_empty() && !outcomes.is_empty() { "ok".to_owned() } else { codes.join(",") };
            if got != want {
                wrong.push(format!("{variant} {set}: got {got}, want {want}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// An intermediate alone is no anchor, although real cosign takes it for one.
#[test]
fn a_trust_root_whose_chain_ends_in_an_intermediate_is_refused() {
    let mut value: serde_json::Value = serde_json::from_slice(&read("trust/local-sigstore/trusted_root.json")).unwrap();
    value["certificateAuthorities"][0]["certChain"]["certificates"].as_array_mut().unwrap().pop();
    let error = TrustRoot::parse(value.to_string().as_bytes(), TrustSource::None).unwrap_err();
    assert!(error.to_string().contains("an intermediate is no anchor"), "{error}");
}
