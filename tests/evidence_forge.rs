//! A Sigstore instance made here, and what it signed: every store, and every
//! mistake that a verifier must not make, one folder each in `testdata/forge`.
//!
//! The vectors come out the same each time. `CARNET_FORGE_WRITE=1 cargo test -p
//! carnet-evidence --test evidence_forge` writes them anew.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    clippy::unwrap_used,
    reason = "a test reads its data, and says so when it is not there"
)]

#[path = "forge/case.rs"]
mod case;
#[path = "forge/cases.rs"]
mod cases;
#[path = "forge/certificate.rs"]
mod certificate;
#[path = "forge/der.rs"]
mod der;
#[path = "forge/keys.rs"]
mod keys;
#[path = "evidence/layout.rs"]
mod layout;
#[path = "forge/log.rs"]
mod log;
#[path = "forge/timestamp.rs"]
mod timestamp;
#[path = "forge/world.rs"]
mod world;

use std::{collections::BTreeMap, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use carnet_bundle::{Digest, Manifest, media};
use carnet_evidence::{
    ClaimKind, Comparison, Identity, Provenance, PublicKey, RepositoryRule, Rules, Signer, Subject, TimeSources, TrustRoot,
    TrustSource, Verifier, Witness, from_manifest,
};
use layout::{NOW, testdata};
use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::{Value, json};

fn main() {
    let arguments = Arguments::from_args();
    let world = world::World::new();
    let folder = testdata().join("forge");
    let mut made: BTreeMap<String, BTreeMap<String, Vec<u8>>> = BTreeMap::new();
    for case in cases::all(&world) {
        assert!(made.insert(case.folder(), case.files()).is_none(), "{} twice", case.name);
    }
    let root = (serde_json::to_string_pretty(&world.trusted_root()).unwrap() + "\n").into_bytes();
    if std::env::var_os("CARNET_FORGE_WRITE").is_some() {
        write(&folder, &made, &root);
    }
    let mut trials = vec![Trial::test("the folders are those that the forge makes", {
        let (folder, names) = (folder.clone(), made.keys().cloned().collect::<Vec<_>>());
        move || same_names(&folder, &names)
    })];
    trials.push(Trial::test("trusted_root.json is the one that the forge makes", {
        let file = folder.join("trusted_root.json");
        move || if std::fs::read(file).unwrap() == root { Ok(()) } else { Err("it differs".into()) }
    }));
    for (name, files) in made {
        let folder = folder.join(&name);
        trials.push(Trial::test(name, move || {
            for (file, bytes) in &files {
                let stored = std::fs::read(folder.join(file)).map_err(|e| format!("{file}: {e}"))?;
                if stored != *bytes {
                    return Err(format!("{file} differs from what the forge makes").into());
                }
            }
            judge(&folder)
        }));
    }
    libtest_mimic::run(&arguments, trials).exit();
}

fn write(folder: &Path, made: &BTreeMap<String, BTreeMap<String, Vec<u8>>>, root: &[u8]) {
    for (name, files) in made {
        case::write(&folder.join(name), files);
    }
    std::fs::write(folder.join("trusted_root.json"), root).unwrap();
}

fn same_names(folder: &Path, names: &[String]) -> Result<(), Failed> {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_dir());
    let mut found: Vec<_> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
    found.sort();
    if found == names { Ok(()) } else { Err(format!("{found:?}\n{names:?}").into()) }
}

/// Judges the files of a folder alone: what another implementation would have.
fn judge(folder: &Path) -> Result<(), Failed> {
    let read = |file: &str| std::fs::read(folder.join(file)).ok();
    let expect: Value = serde_json::from_slice(&read("expect.json").unwrap()).unwrap();
    let root = read("trusted_root.json").unwrap_or_else(|| std::fs::read(folder.join("../trusted_root.json")).unwrap());
    let root = TrustRoot::parse(&root, TrustSource::File("trusted_root.json".to_owned())).map_err(|e| e.to_string())?;
    let verifier = Verifier::new(root, rules(&expect["rules"]), NOW.parse().unwrap()).map_err(|e| e.to_string())?;
    let subject = Digest::of(world::IMAGE);
    let (manifest, blob) = stored(folder);
    let parsed = Manifest::parse(&manifest, media::OCI_MANIFEST).unwrap();
    let (items, findings) = from_manifest(&subject, &Digest::of(&manifest), &parsed, &|_| Some(&blob));
    let ([item], []) = (items.as_slice(), findings.as_slice()) else { return Err(format!("{items:?} {findings:?}").into()) };
    let artifact = Subject::of_bytes(world::IMAGE);
    let asked = expect["rules"]["repository"].as_str().or(expect["rules"]["subjectName"].as_str());
    let artifact = asked.map_or(artifact, |repository| artifact.in_repository(repository));
    let outcome = verifier.verify(item, artifact);
    let (got, findings) = match &outcome {
        Ok(claim) if claim.kind == ClaimKind::ImageSignature => ("image-signature".to_owned(), &[][..]),
        Ok(_) => ("attestation".to_owned(), &[][..]),
        Err(findings) => (findings.iter().map(|finding| finding.code).collect::<Vec<_>>().join(", "), findings.as_slice()),
    };
    let compared = outcome.as_ref().ok().and_then(|claim| claim.provenance.as_ref()).map(letters);
    if let Some(want) = expect["compared"].as_str().filter(|want| compared.as_deref() != Some(want)) {
        return Err(format!("compared as {compared:?}, want {want}: {outcome:#?}").into());
    }
    if got == expect["outcome"].as_str().unwrap() {
        Ok(())
    } else {
        Err(format!("got {got}, want {}: {findings:#?}", expect["outcome"]).into())
    }
}

/// `=` consistent, `!` contradicts, `?` not comparable.
fn letters(provenance: &Provenance) -> String {
    let rows = provenance.source().into_iter().chain(provenance.build());
    rows.map(|(_, comparison)| match comparison {
        Comparison::Consistent => '=',
        Comparison::Contradicts(_) => '!',
        Comparison::NotComparable(_) => '?',
    })
    .collect()
}

fn rules(value: &Value) -> Rules {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let identity = |value: &Value| {
        let field = |name: &str| text(&value[name]);
        let (subject, subject_regexp, issuer, issuer_regexp) =
            (field("subject"), field("subjectRegExp"), field("issuer"), field("issuerRegExp"));
        Identity::new(subject.as_deref(), subject_regexp.as_deref(), issuer.as_deref(), issuer_regexp.as_deref()).unwrap()
    };
    let signer = match (&value["key"], &value["identity"], &value["identities"]) {
        (Value::String(pem), ..) => Signer::Key(PublicKey::from_pem(pem.as_bytes()).unwrap()),
        (_, Value::Object(_), _) => Signer::Identities(vec![identity(&value["identity"])]),
        (.., list) => Signer::Identities(list.as_array().unwrap().iter().map(identity).collect()),
    };
    let mut rules = Rules::new(signer);
    if value["ignoreRekor"] == json!(true) {
        rules = rules.ignore_rekor();
    }
    if let Some(threshold) = value["logThreshold"].as_u64() {
        rules.log_threshold = usize::try_from(threshold).unwrap();
    }
    if let Some(threshold) = value["timeThreshold"].as_u64() {
        rules.time_threshold = usize::try_from(threshold).unwrap();
    }
    if value["requireInclusionProof"] == json!(true) {
        rules.require_inclusion_proof = true;
    }
    if let Some(keys) = value["witnesses"]["keys"].as_array() {
        rules.witness_threshold = usize::try_from(value["witnesses"]["threshold"].as_u64().unwrap()).unwrap();
        rules.witnesses = keys.iter().map(|key| Witness::parse(key.as_str().unwrap()).unwrap()).collect();
    }
    for (number, want) in value["extensions"].as_object().into_iter().flatten() {
        rules.extensions.insert(number.parse().unwrap(), want.as_str().unwrap().to_owned());
    }
    if value["repository"].is_string() {
        rules.repository = RepositoryRule::Exact;
    }
    rules.compare_subject_name = value["subjectName"].is_string();
    rules.issuer_where_absent = text(&value["issuerWhereAbsent"]);
    if let Some(sources) = value["timeSources"].as_array() {
        let has = |name: &str| sources.iter().any(|source| source == name);
        rules.time_sources = TimeSources { log: has("log"), timestamp_authority: has("timestamp-authority") };
    }
    if let Some(end) = text(&value["keyEnd"]) {
        rules.key_window.end = Some(end.parse().unwrap());
    }
    rules
}

/// The manifest that a registry would hold, and its one layer.
fn stored(folder: &Path) -> (Vec<u8>, Vec<u8>) {
    let layer = |media_type: &str, blob: &[u8], annotations: &Value| json!({"mediaType": media_type, "digest": Digest::of(blob), "size": blob.len(), "annotations": annotations});
    let (blob, layer, config) = match std::fs::read(folder.join("bundle.sigstore.json")) {
        Ok(blob) => {
            let layer = layer("application/vnd.dev.sigstore.bundle.v0.3+json", &blob, &json!({}));
            (blob, layer, media::OCI_EMPTY)
        }
        Err(_) => {
            let value: Value = serde_json::from_slice(&std::fs::read(folder.join("layer.json")).unwrap()).unwrap();
            let blob = STANDARD.decode(value["blob"].as_str().unwrap()).unwrap();
            let layer = layer(value["mediaType"].as_str().unwrap(), &blob, &value["annotations"]);
            (blob, layer, media::OCI_CONFIG)
        }
    };
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": media::OCI_MANIFEST,
        "config": {"mediaType": config, "digest": Digest::of(media::EMPTY_JSON), "size": 2},
        "layers": [layer],
    });
    (serde_json::to_vec(&manifest).unwrap(), blob)
}
