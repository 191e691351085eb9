//! Gate 1: a bundle opens as it was written, and every change to it is found.

#![allow(clippy::unwrap_used, clippy::as_conversions, reason = "a test may panic")]

#[path = "support/members.rs"]
#[allow(dead_code, reason = "each suite uses a part")]
mod archive;

use std::{collections::BTreeMap, io::Read, io::Write};

use archive::tar;
use carnet_bundle::{
    Archive, Assembly, Content, Descriptor, Digest, Document, Limits, Manifest, OpenError, Opened, Plan,
    container::{BLOCK, header},
    inventory::{Absence, AbsenceReason, EvidenceEntry, EvidenceKind, LookResult, Method, Place, Receipt, Role, Subject},
    media, open,
};
use serde_json::json;

const REPOSITORY: &str = "registry.example/app";

/// A hand-made image: an index of one platform with a BuildKit child, a referrer
/// on the platform, a legacy signature on the index.
struct Fixture {
    assembly: Assembly,
    layers: BTreeMap<Digest, Vec<u8>>,
}

fn descriptor(media_type: &str, bytes: &[u8]) -> serde_json::Value {
    json!({ "mediaType": media_type, "digest": Digest::of(bytes), "size": bytes.len() })
}

fn bytes(value: &serde_json::Value) -> Vec<u8> {
    serde_json::to_vec(value).unwrap()
}

fn place(method: Method, tag: &str) -> Place {
    Place { repository: REPOSITORY.to_owned(), method, tag: tag.to_owned() }
}

fn fixture() -> Fixture {
    let layer = b"layer bytes".repeat(100);
    let config = bytes(&json!({ "architecture": "amd64", "os": "linux" }));
    let image = bytes(&json!({
        "schemaVersion": 2, "mediaType": media::OCI_MANIFEST,
        "config": descriptor(media::OCI_CONFIG, &config),
        "layers": [descriptor("application/vnd.oci.image.layer.v1.tar+gzip", &layer)],
    }));
    let statement = b"{\"_type\":\"https://in-toto.io/Statement/v1\"}".to_vec();
    let buildkit = bytes(&json!({
        "schemaVersion": 2, "mediaType": media::OCI_MANIFEST,
        "config": descriptor(media::OCI_CONFIG, b"{}"),
        "layers": [descriptor(media::IN_TOTO, &statement)],
    }));
    let index = bytes(&json!({
        "schemaVersion": 2, "mediaType": media::OCI_INDEX,
        "manifests": [
            with(descriptor(media::OCI_MANIFEST, &image), "platform", json!({ "os": "linux", "architecture": "amd64" })),
            with(descriptor(media::OCI_MANIFEST, &buildkit), "annotations", json!({
                "vnd.docker.reference.type": "attestation-manifest",
                "vnd.docker.reference.digest": Digest::of(&image),
            })),
        ],
    }));
    let payload = b"a Sigstore bundle".to_vec();
    let referrer = bytes(&json!({
        "schemaVersion": 2, "mediaType": media::OCI_MANIFEST,
        "artifactType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "config": descriptor(media::OCI_EMPTY, b"{}"),
        "layers": [descriptor("application/vnd.dev.sigstore.bundle.v0.3+json", &payload)],
        "subject": descriptor(media::OCI_MANIFEST, &image),
    }));
    let simple = b"a simple-signing payload".to_vec();
    let legacy = bytes(&json!({
        "schemaVersion": 2, "mediaType": media::OCI_MANIFEST,
        "config": descriptor(media::OCI_CONFIG, &config),
        "layers": [descriptor(media::SIMPLE_SIGNING, &simple)],
    }));
    let d = |bytes: &Vec<u8>| Digest::of(bytes);
    let parsed = Manifest::parse(&index, media::OCI_INDEX).unwrap();
    let subject = Subject::new(format!("{REPOSITORY}:v1"), &root(&index, media::OCI_INDEX), &parsed, |_| true);
    let entry =
        |digest, subject, kind, found_in| EvidenceEntry { digest, subject, kind, predicate_type: String::new(), found_in };
    let evidence = vec![
        entry(d(&buildkit), d(&image), EvidenceKind::BuildkitAttestation, vec![place(Method::IndexChildren, "")]),
        entry(d(&referrer), d(&image), EvidenceKind::SigstoreBundle, vec![place(Method::ReferrersApi, "")]),
        entry(d(&legacy), d(&index), EvidenceKind::Simplesigning, vec![place(Method::CosignSig, "sha256-x.sig")]),
    ];
    let receipt = |subject, method| Receipt {
        subject,
        repository: REPOSITORY.to_owned(),
        method,
        result: LookResult::None,
        found: 0,
        status: Some(404),
        answer: None,
        note: String::new(),
    };
    let images = [d(&index), d(&image)];
    let receipts = images.iter().flat_map(|s| Method::PROFILE.map(|method| receipt(*s, method))).collect();
    let document = |title: &str, bytes: &[u8]| Document {
        media_type: media::IMAGES_DOCUMENT.to_owned(),
        title: title.to_owned(),
        bytes: bytes.to_vec(),
    };
    let blobs = [config, image, statement, buildkit, index, payload, referrer.clone(), simple, legacy.clone()];
    let evidence_manifests = [&referrer, &legacy].map(|m| root(m, media::OCI_MANIFEST)).to_vec();
    Fixture {
        assembly: Assembly {
            subjects: vec![subject],
            evidence,
            evidence_manifests,
            receipts,
            documents: vec![document("images.yaml", b"components: []\n"), document("policy.yaml", b"{}\n")],
            policy_layers: vec![document("rule.rego", b"package x\n")],
            blobs: blobs.into_iter().map(|bytes| (Digest::of(&bytes), bytes)).collect(),
            ..Assembly::default()
        },
        layers: BTreeMap::from([(Digest::of(&layer), layer)]),
    }
}

fn with(mut value: serde_json::Value, key: &str, member: serde_json::Value) -> serde_json::Value {
    value[key] = member;
    value
}

fn root(bytes: &[u8], media_type: &str) -> Descriptor {
    let text = json!({ "schemaVersion": 2, "manifests": [descriptor(media_type, bytes)] }).to_string();
    Manifest::parse(text.as_bytes(), media::OCI_INDEX).unwrap().children()[0].clone()
}

/// Members in order, to be changed and put together again.
fn members(fixture: Fixture) -> Vec<(String, Vec<u8>)> {
    let plan = Plan::new(fixture.assembly).unwrap();
    plan.members()
        .iter()
        .map(|member| {
            let data = match &member.content {
                Content::Bytes(bytes) => bytes.to_vec(),
                Content::Stream(layer) => fixture.layers[&layer.digest].clone(),
            };
            (member.name.clone(), data)
        })
        .collect()
}

fn try_open(archive: impl Read) -> Result<Opened, OpenError> {
    let limits = Limits::default();
    open(&mut Archive::new(archive, &limits)?, &limits)
}

fn failures(members: &[(String, Vec<u8>)]) -> Vec<&'static str> {
    let opened = try_open(&tar(members)[..]).unwrap();
    let mut codes: Vec<_> = opened.findings.iter().filter(|f| f.is_failure()).map(|f| f.code).collect();
    codes.sort_unstable();
    codes.dedup();
    codes
}

#[test]
fn a_bundle_opens_as_it_was_written() {
    let plan = Plan::new(fixture().assembly).unwrap();
    let archive = tar(&members(fixture()));
    assert_eq!(archive.len() as u64, plan.total_size());
    for member in plan.members() {
        let at = usize::try_from(member.offset).unwrap();
        assert_eq!(archive[at..at + BLOCK], member.header());
    }
    let opened = try_open(&archive[..]).unwrap();
    assert_eq!(opened.findings, []);
    let bundle = opened.bundle.unwrap();
    assert_eq!((bundle.id(), bundle.content_id()), (plan.id(), plan.content_id()));
    assert_eq!(bundle.inventory(), plan.inventory());
    let titles: Vec<_> = bundle.documents().map(|d| (d.title.to_owned(), d.bytes.to_vec())).collect();
    assert_eq!(titles[0], ("images.yaml".to_owned(), b"components: []\n".to_vec()));
    assert_eq!(bundle.policy_documents().map(|d| d.title.to_owned()).collect::<Vec<_>>(), ["rule.rego"]);
    assert_eq!(bundle.tree().images().len(), 2);
}

#[test]
fn evidence_stands_before_image_layers() {
    let members = members(fixture());
    let layer = fixture().layers.into_values().next().unwrap();
    assert_eq!(members.last().unwrap().1, layer);
    assert_eq!(members[0].0, "oci-layout");
    assert_eq!(members[1].0, "index.json");
}

#[test]
fn gzip_of_the_one_form_opens_and_other_forms_do_not() {
    let archive = tar(&members(fixture()));
    let gzip = |builder: flate2::GzBuilder| {
        let mut encoder = builder.write(Vec::new(), flate2::Compression::default());
        encoder.write_all(&archive).unwrap();
        encoder.finish().unwrap()
    };
    let canonical = gzip(flate2::GzBuilder::new().operating_system(255));
    assert_eq!(try_open(&canonical[..]).unwrap().findings, []);

    let named = gzip(flate2::GzBuilder::new().operating_system(255).filename("x"));
    let twice = [canonical.clone(), canonical.clone()].concat();
    let cut = canonical[..canonical.len() - 9].to_vec();
    let mut bad_crc = canonical.clone();
    let at = bad_crc.len() - 8;
    bad_crc[at] ^= 1;
    for (what, archive) in [("file name", named), ("two members", twice), ("cut off", cut), ("crc", bad_crc)] {
        let error = try_open(&archive[..]).map(|o| o.findings).unwrap_err().to_string();
        assert!(error.starts_with("gzip") || error.contains("cut off"), "{what}: {error}");
    }
    let bomb = tar(&[(format!("blobs/sha256/{}", Digest::of(b"").to_hex()), vec![0; 64 << 20])]);
    let mut encoder = flate2::GzBuilder::new().operating_system(255).write(Vec::new(), flate2::Compression::best());
    encoder.write_all(&bomb).unwrap();
    let error = try_open(&encoder.finish().unwrap()[..]).unwrap_err().to_string();
    assert_eq!(error, "gzip ratio exceeds the limit of 100");
}

#[test]
fn one_flipped_byte_in_any_member_is_a_failure() {
    let original = members(fixture());
    for at in 0..original.len() {
        for byte in [0, original[at].1.len() / 2, original[at].1.len() - 1] {
            let mut changed = original.clone();
            changed[at].1[byte] ^= 1;
            match try_open(&tar(&changed)[..]) {
                Ok(opened) => assert!(opened.findings.iter().any(|f| f.is_failure()), "{} byte {byte}", original[at].0),
                Err(error) => assert!(matches!(error, OpenError::NoBundle(_)), "{}: {error}", original[at].0),
            }
        }
        if original[at].0.starts_with("blobs/") {
            let mut changed = original.clone();
            changed[at].1[0] ^= 1;
            assert!(failures(&changed).contains(&"blob-digest-mismatch"), "{}", original[at].0);
        }
    }
}

#[test]
fn one_flipped_byte_in_a_header_or_padding_gives_no_verdict() {
    let archive = tar(&members(fixture()));
    for at in (0..BLOCK).chain(archive.len() - 2 * BLOCK..archive.len()) {
        let mut changed = archive.clone();
        changed[at] ^= 0x80;
        assert!(try_open(&changed[..]).is_err(), "byte {at}");
    }
    let plan = Plan::new(fixture().assembly).unwrap();
    for member in plan.members().iter().filter(|m| m.size % 512 != 0) {
        let mut changed = archive.clone();
        changed[usize::try_from(member.data_offset() + member.size).unwrap()] = 1;
        let error = try_open(&changed[..]).unwrap_err().to_string();
        assert!(error.contains("padding"), "{}: {error}", member.name);
    }
}

#[test]
fn a_removed_member_is_missing_wherever_it_stood() {
    let original = members(fixture());
    for at in 2..original.len() {
        let mut changed = original.clone();
        let (name, _) = changed.remove(at);
        assert!(failures(&changed).contains(&"member-missing"), "{name}");
    }
    for at in 0..2 {
        let mut changed = original.clone();
        changed.remove(at);
        assert!(matches!(try_open(&tar(&changed)[..]), Err(OpenError::NoBundle(_))));
    }
}

#[test]
fn an_added_member_is_not_listed_wherever_it_stands() {
    let original = members(fixture());
    let smuggled = b"smuggled".to_vec();
    let name = format!("blobs/sha256/{}", Digest::of(&smuggled).to_hex());
    for at in 0..=original.len() {
        let mut changed = original.clone();
        changed.insert(at, (name.clone(), smuggled.clone()));
        assert_eq!(failures(&changed), ["member-not-listed"], "at {at}");
    }
}

#[test]
fn a_doubled_member_is_a_duplicate_wherever_it_stands() {
    let original = members(fixture());
    for at in 0..original.len() {
        for to in [at, original.len()] {
            let mut changed = original.clone();
            changed.insert(to, original[at].clone());
            assert_eq!(failures(&changed), ["member-duplicate"], "{} at {to}", original[at].0);
        }
    }
}

#[test]
fn members_out_of_order_are_not_canonical() {
    let original = members(fixture());
    for at in 0..original.len() - 1 {
        let mut changed = original.clone();
        changed.swap(at, at + 1);
        assert_eq!(failures(&changed), ["archive-not-canonical"], "{at}");
    }
}

#[test]
fn an_archive_cut_off_anywhere_gives_no_verdict() {
    let archive = tar(&members(fixture()));
    for end in (0..archive.len()).step_by(509) {
        let error = try_open(&archive[..end]).unwrap_err();
        assert!(matches!(error, OpenError::Container(_)), "{end}: {error}");
    }
}

#[test]
fn inputs_that_are_no_archive_say_so() {
    for (what, input) in [("empty", Vec::new()), ("text", b"hello".repeat(400)), ("zeros", vec![0; 4096])] {
        let error = try_open(&input[..]).unwrap_err().to_string();
        assert!(error.contains("not a carnet archive") || error.contains("oci-layout"), "{what}: {error}");
    }
    let plain = tar(&[("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec())]);
    assert!(matches!(try_open(&plain[..]), Err(OpenError::NoBundle(_))));
}

#[test]
fn a_member_larger_than_its_limit_is_refused_before_it_is_read() {
    let original = members(fixture());
    let (name, _) = &original[2];
    let mut archive = tar(&original[..2]);
    archive.truncate(archive.len() - 2 * BLOCK);
    archive.extend_from_slice(&header(name, 10 << 30));
    let error = try_open(archive.chain(std::io::repeat(0))).unwrap_err().to_string();
    assert!(error.contains("exceeds the limit of 8388608"), "{error}");
}

#[test]
fn too_many_members_exceed_the_limit() {
    let limits = Limits { members: 5, ..Limits::default() };
    let archive = tar(&members(fixture()));
    let error = open(&mut Archive::new(&archive[..], &limits).unwrap(), &limits).unwrap_err().to_string();
    assert_eq!(error, "members exceeds the limit of 5");
}

#[test]
fn a_declared_absence_is_said_and_an_undeclared_one_is_missing() {
    let mut fixture = fixture();
    let (layer, bytes) = fixture.layers.pop_first().unwrap();
    let (role, reason) = (Role::Layer, AbsenceReason::NotInSource);
    fixture.assembly.absent.push(Absence { digest: layer, size: bytes.len() as u64, role, reason });
    assert_eq!(failures(&members(fixture)), ["layers-not-carried"]);
}

#[test]
fn an_absence_that_the_tree_does_not_name_is_found() {
    let mut changed = fixture();
    let digest = Digest::of(b"nothing names this");
    changed.assembly.absent.push(Absence { digest, size: 1, role: Role::Layer, reason: AbsenceReason::Foreign });
    assert_eq!(failures(&members(changed)), ["absence-not-named"]);
}

#[test]
fn a_missing_receipt_and_a_gap_of_the_collection_are_failures() {
    let mut changed = fixture();
    changed.assembly.receipts.pop();
    assert_eq!(failures(&members(changed)), ["receipt-missing"]);

    let mut changed = fixture();
    changed.assembly.receipts[0].result = LookResult::CouldNotLook;
    changed.assembly.receipts[0].status = Some(403);
    assert_eq!(failures(&members(changed)), ["collection-incomplete"]);
}

#[test]
fn an_inventory_that_differs_from_the_tree_is_found() {
    type Change = fn(&mut Assembly);
    let changes: [(&str, Change); 5] = [
        ("another size", |a| a.subjects[0].children[0].size += 1),
        ("a child less", |a| drop(a.subjects[0].children.pop())),
        ("a child said to be omitted", |a| a.subjects[0].children[0].state = carnet_bundle::inventory::ChildState::Omitted),
        ("evidence about something else", |a| a.evidence[1].subject = a.evidence[2].subject),
        ("an entry less", |a| drop(a.evidence.pop())),
    ];
    for (what, change) in changes {
        let mut changed = fixture();
        change(&mut changed.assembly);
        assert!(failures(&members(changed)).contains(&"inventory-mismatch"), "{what}");
    }
}

#[test]
fn the_same_parts_in_another_order_make_the_same_bytes() {
    let mut other = fixture();
    other.assembly.evidence.reverse();
    other.assembly.evidence_manifests.reverse();
    other.assembly.receipts.reverse();
    assert_eq!(tar(&members(fixture())), tar(&members(other)));
}

#[test]
fn parts_that_lack_a_blob_make_no_bundle() {
    for digest in fixture().assembly.blobs.keys() {
        let mut less = fixture();
        less.assembly.blobs.remove(digest);
        assert!(Plan::new(less.assembly).is_err(), "{digest}");
    }
}

/// Changes one JSON member and lets everything above name the changed bytes, as
/// an attacker who writes the whole archive would.
fn rewrite(members: &mut [(String, Vec<u8>)], at: usize, change: impl Fn(&mut serde_json::Value)) {
    let old = (Digest::of(&members[at].1), members[at].1.len());
    let mut value: serde_json::Value = serde_json::from_slice(&members[at].1).unwrap();
    change(&mut value);
    replace(members, at, old, carnet_bundle::json::canonical(&value).unwrap());
}

fn replace(members: &mut [(String, Vec<u8>)], at: usize, old: (Digest, usize), new: Vec<u8>) {
    let digest = Digest::of(&new);
    members[at] = (format!("blobs/sha256/{}", digest.to_hex()), new.clone());
    for above in (1..at.min(4)).rev() {
        let text = String::from_utf8(members[above].1.clone()).unwrap();
        if !text.contains(&old.0.to_string()) {
            continue;
        }
        let was = (Digest::of(&members[above].1), members[above].1.len());
        let mut value: serde_json::Value = serde_json::from_slice(&members[above].1).unwrap();
        for list in ["manifests", "layers"] {
            let entries = value.get_mut(list).and_then(serde_json::Value::as_array_mut).into_iter().flatten();
            for entry in entries.filter(|e| e["digest"] == old.0.to_string()) {
                entry["digest"] = digest.to_string().into();
                entry["size"] = new.len().into();
            }
        }
        let bytes = carnet_bundle::json::canonical(&value).unwrap();
        if above == 1 {
            members[1].1 = bytes;
        } else {
            replace(members, above, was, bytes);
        }
    }
}

/// Places in the fixture's archive.
const BUNDLE_INDEX: usize = 2;
const CONTROL: usize = 3;
const INVENTORY: usize = 5;

#[test]
fn a_rewritten_archive_without_a_change_opens() {
    let mut members = members(fixture());
    for at in [BUNDLE_INDEX, CONTROL, INVENTORY] {
        rewrite(&mut members, at, |_| ());
    }
    assert_eq!(failures(&members), [""; 0]);
}

#[test]
fn documents_of_carnet_with_more_than_they_must_have_are_found() {
    let mut control = members(fixture());
    rewrite(&mut control, CONTROL, |value| value["annotations"] = json!({ "extra": "1" }));
    assert_eq!(failures(&control), ["document-not-canonical"]);

    let mut inventory = members(fixture());
    let old = (Digest::of(&inventory[INVENTORY].1), inventory[INVENTORY].1.len());
    let spaced = [inventory[INVENTORY].1.as_slice(), b"\n"].concat();
    replace(&mut inventory, INVENTORY, old, spaced);
    assert_eq!(failures(&inventory), ["document-not-canonical"]);
}

#[test]
fn a_bundle_index_of_another_form_is_malformed() {
    type Change = fn(&mut serde_json::Value);
    let changes: [(&str, Change); 4] = [
        ("evidence not sorted", |v| v["manifests"].as_array_mut().unwrap().swap(3, 4)),
        ("a member more", |v| v["annotations"] = json!({ "a": "b" })),
        ("no image", |v| drop(v["manifests"].as_array_mut().unwrap().remove(1))),
        ("nothing", |v| v["manifests"] = json!([])),
    ];
    for (what, change) in changes {
        let mut changed = members(fixture());
        rewrite(&mut changed, BUNDLE_INDEX, change);
        assert!(failures(&changed).contains(&"bundle-index-malformed"), "{what}: {:?}", failures(&changed));
    }
}

#[test]
fn bundles_of_a_kind_that_this_reader_does_not_judge_give_no_verdict() {
    type Change = fn(&mut serde_json::Value);
    let changes: [(&str, Change); 3] = [
        ("needs a newer carnet: unknown critical feature \"split\"", |v| v["critical"] = json!(["split"])),
        ("mode \"thin\" is reserved", |v| v["mode"] = "thin".into()),
        ("carnet-inventory 1", |v| v["schema"]["major"] = 1.into()),
    ];
    for (reason, change) in changes {
        let mut changed = members(fixture());
        rewrite(&mut changed, INVENTORY, change);
        let error = try_open(&tar(&changed)[..]).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn an_unknown_key_of_the_inventory_changes_nothing() {
    let mut changed = members(fixture());
    rewrite(&mut changed, INVENTORY, |value| value["later"] = json!({ "x": 1 }));
    assert_eq!(failures(&changed), [""; 0]);
}

/// A blob is visited once. One that is named as a document first must not escape
/// the checks of an image or of evidence.
#[test]
fn a_manifest_that_is_also_a_document_is_read_as_a_manifest() {
    let plain = fixture();
    for digest in plain.assembly.blobs.keys().filter(|d| Plan::new(fixture().assembly).unwrap().tree().manifest(d).is_some()) {
        for policy in [false, true] {
            let mut changed = fixture();
            let bytes = changed.assembly.blobs[digest].clone();
            let document = Document { media_type: "text/plain".to_owned(), title: "x".to_owned(), bytes };
            match policy {
                true => changed.assembly.policy_layers.push(document),
                false => changed.assembly.documents.push(document),
            }
            let opened = try_open(&tar(&members(changed))[..]).unwrap();
            assert_eq!(opened.findings, [], "{digest}");
            let bundle = opened.bundle.unwrap();
            assert!(bundle.manifest(digest).is_some(), "{digest}");
            assert_eq!((bundle.tree().images().len(), bundle.tree().layers().len()), (2, 1), "{digest}");
        }
    }
}
