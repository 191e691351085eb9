//! Archives by an exporter who lies, judged by the real `carnet-verify`: what is whole
//! by every digest and means something else to the next tool, or hides what a check
//! would have counted.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{collections::VecDeque, fs};

use carnet_bundle::{
    Assembly, Digest,
    container::{BLOCK, header},
    inventory::{Absence, AbsenceReason, EvidenceKind, Role},
    media,
};
use serde_json::{Value, json};

#[path = "hostile/stage.rs"]
mod stage;

use stage::{MANIFEST, Stage, digest, opened, statement};

const APP: &str = "registry.example/org/app:v1";
const DB: &str = "registry.example/org/db:v1";

fn pinned(reference: &str, digest: &Digest) -> String {
    format!("{}@{digest}", reference.rsplit_once(':').unwrap().0)
}

/// Go's decoder ignores letter case, so what runs images would read the second member
/// where carnet read the first (V3.4). An honest exporter refuses such an image.
#[test]
fn a_manifest_that_letter_case_gives_two_meanings_fails() {
    let stage = Stage::new();
    let evil = json!({ "mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": Digest::of(b"evil"), "size": 4 });
    // Each stands in the manifest under a name of the same length, and is renamed.
    for (honest, name, value) in [
        ("xxxxxx", "Layers", json!([evil])),
        ("xxxxxxx", "layer\u{17f}", json!([evil])),
        ("xxxxxx", "LAYERS", json!([])),
        ("xxxxxx", "Config", evil.clone()),
        ("xxxxxxxxx", "MediaType", json!(media::OCI_INDEX)),
        ("xxxxxxxxx", "Manifests", json!([])),
        ("xxxxxxx", "Subject", evil.clone()),
    ] {
        let mut layout = stage.layout(name);
        let image = layout.image(b"good", json!({ honest: value }));
        layout.tag(&image, "v1");
        layout.finish();
        let archive = stage.export("app.tar", &[(APP, name)]);
        fs::write(&archive, rewritten(&fs::read(&archive).unwrap(), honest, name)).unwrap();
        stage.verify(&archive, &["--image", APP]).fails("manifest-malformed", name);
    }
    // The members of a descriptor are read as those of the manifest are.
    let mut layout = stage.layout("index");
    let mut child = layout.image(b"good", json!({}));
    child["platform"] = json!({ "os": "linux", "architecture": "amd64" });
    child["xxxxxx"] = evil["digest"].clone();
    let index = layout.index(&[child]);
    layout.tag(&index, "v1");
    layout.finish();
    let archive = stage.export("app.tar", &[(APP, "index")]);
    fs::write(&archive, rewritten(&fs::read(&archive).unwrap(), "xxxxxx", "Digest")).unwrap();
    stage.verify(&archive, &["--image", APP]).fails("manifest-malformed", "Digest");

    // Keys of annotations are nobody's members.
    let mut layout = stage.layout("annotated");
    let image = layout.image(b"good", json!({ "annotations": { "Layers": "a", "layers": "b" } }));
    layout.tag(&image, "v1");
    layout.vouch(&image);
    layout.finish();
    let archive = stage.export("app.tar", &[(APP, "annotated")]);
    stage.verify(&archive, &["--image", APP]).passes("annotations");
}

/// Replaces a word in the documents of an archive, and every digest that follows from
/// it, as an exporter of one's own would write them.
fn rewritten(archive: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len(), "sizes stand in descriptors");
    let mut members: Vec<(String, Vec<u8>)> = Vec::new();
    for entry in tar::Archive::new(archive).entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().to_str().unwrap().to_owned();
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
        members.push((name, bytes));
    }
    let mut words = VecDeque::from([(format!("\"{from}\""), format!("\"{to}\""))]);
    while let Some((from, to)) = words.pop_front() {
        for (name, bytes) in &mut members {
            let Ok(text) = String::from_utf8(bytes.clone()) else { continue };
            let replaced = text.replace(&from, &to).into_bytes();
            if replaced == *bytes {
                continue;
            }
            let (before, after) = (Digest::of(bytes).to_hex(), Digest::of(&replaced).to_hex());
            *bytes = replaced;
            if name.ends_with(&before) {
                *name = format!("blobs/sha256/{after}");
                words.push_back((before, after));
            }
        }
    }
    let mut out = Vec::new();
    for (name, bytes) in members {
        out.extend_from_slice(&header(&name, u64::try_from(bytes.len()).unwrap()));
        out.extend_from_slice(&bytes);
        out.resize(out.len().next_multiple_of(BLOCK), 0);
    }
    out.resize(out.len() + 2 * BLOCK, 0);
    out
}

/// The exporter swaps the names of two images that the operator wants by digest: every
/// byte is the right one, and who loads the archive runs each as the other (V12.3).
#[test]
fn a_name_that_the_list_gives_to_another_image_is_no_mirror() {
    let stage = Stage::new();
    let (app, db) = (stage.image("app"), stage.image("db"));
    let swapped = stage.export("swapped.tar", &[(APP, "db"), (DB, "app")]);
    for (one, other) in [("app", "db"), ("", "")] {
        let list = stage.list(&[(one, &pinned(APP, &app)), (other, &pinned(DB, &db))]);
        let ended = stage.verify(&swapped, &["--images", &list]);
        ended.fails("image-not-expected", one);
        assert_eq!(ended.codes("failure").len(), 2, "{:?}", ended.codes("failure"));
        stage.verify(&swapped, &["--images", &list, "--allow-unexpected-images"]).passes("a relaxation");
        let honest = stage.export("honest.tar", &[(APP, "app"), (DB, "db")]);
        stage.verify(&honest, &["--images", &list]).passes("as it was asked for");
    }
    // From elsewhere is legal: nobody asks for anything else by that name.
    let mirror = stage.export("mirror.tar", &[("mirror.example/a/b:v1", "app"), (DB, "db")]);
    let list = stage.list(&[("app", &pinned(APP, &app)), ("db", &pinned(DB, &db))]);
    let ended = stage.verify(&mirror, &["--images", &list]);
    ended.passes("a mirror");
    assert_eq!(ended.codes("note").iter().filter(|code| **code == "image-under-another-name").count(), 1);
}

/// The same within one repository, where the operator says what the tags stand for.
#[test]
fn a_tag_that_the_list_gives_to_another_image_is_not_expected() {
    let stage = Stage::new();
    let mut layout = stage.layout("app");
    let (one, other) = (layout.image(b"one", json!({})), layout.image(b"other", json!({})));
    [(&one, "v1"), (&other, "v2")].into_iter().for_each(|(image, tag)| layout.tag(image, tag));
    [&one, &other].into_iter().for_each(|image| layout.vouch(image));
    layout.finish();
    let (v1, v2) = ("registry.example/org/app:v1", "registry.example/org/app:v2");
    let archive = stage.export("app.tar", &[(v1, "app"), (v2, "app")]);
    let list = |v1: &str, v2: &str| stage.list(&[("", v1), ("", v2)]);
    let (one, other) = (digest(&one), digest(&other));
    let said = list(&format!("{v1}@{one}"), &format!("{v2}@{other}"));
    stage.verify(&archive, &["--images", &said]).passes("as it was asked for");
    let said = list(&format!("{v1}@{other}"), &format!("{v2}@{one}"));
    let ended = stage.verify(&archive, &["--images", &said]);
    ended.fails("image-not-expected", "tags the other way round");
    assert_eq!(ended.codes("failure").len(), 2, "{:?}", ended.codes("failure"));
    // A tag that has moved between two lists stands for both.
    let moved = stage.list(&[("", &format!("{v1}@{one}")), ("", &format!("{v1}@{other}")), ("", &pinned(v2, &other))]);
    stage.verify(&archive, &["--images", &moved]).passes("a tag that has moved");
}

/// The same by way of a child: it is judged with its index, and carried once more
/// under the name of another image.
#[test]
fn a_child_under_the_name_of_another_image_is_not_expected() {
    let stage = Stage::new();
    let mut layout = stage.layout("index");
    let mut child = layout.image(b"app", json!({}));
    child["platform"] = json!({ "os": "linux", "architecture": "amd64" });
    let index = layout.index(std::slice::from_ref(&child));
    layout.tag(&index, "v1");
    layout.tag(&child, "amd64");
    [&index, &child].into_iter().for_each(|image| layout.vouch(image));
    layout.finish();
    let db = stage.image("db");
    let list = stage.list(&[("app", &pinned(APP, &digest(&index))), ("db", &pinned(DB, &db))]);
    let (amd64, of_db) = ("registry.example/org/app:amd64", "registry.example/org/db:amd64");
    let archive = stage.export("own.tar", &[(APP, "index"), (amd64, "index"), (DB, "db")]);
    stage.verify(&archive, &["--images", &list]).passes("under its own name");
    stage.change(&archive, |assembly, _| {
        let child = assembly.subjects.iter_mut().find(|subject| subject.reference == amd64).unwrap();
        child.reference = of_db.to_owned();
        let receipts: Vec<_> = assembly.receipts.iter().filter(|receipt| receipt.subject == child.digest).cloned().collect();
        let elsewhere = receipts
            .into_iter()
            .map(|receipt| carnet_bundle::inventory::Receipt { repository: "registry.example/org/db".to_owned(), ..receipt });
        assembly.receipts.extend(elsewhere.collect::<Vec<_>>());
    });
    stage.verify(&archive, &["--images", &list]).fails("image-not-expected", "under the name of another");
}

/// `--layers=none` excuses what no check could have counted. Which that is follows
/// from the manifests, whatever the exporter calls it (V4.3).
#[test]
fn a_payload_that_a_check_could_count_is_excused_by_no_name() {
    const SBOM: &str = "application/spdx+json";
    let stage = Stage::new();
    let mut layout = stage.layout("app");
    let image = layout.image(b"app", json!({}));
    layout.tag(&image, "v1");
    layout.vouch(&image);
    let bundle = layout.refer(&image, "application/vnd.dev.sigstore.bundle.v0.3+json", b"a bundle");
    layout.refer(&image, SBOM, b"a bill of materials");
    layout.finish();
    let words = ["--image", APP, "--layers=none"];
    let export = || stage.export("app.tar", &[(APP, "app")]);
    let (counted, other) = (Digest::of(b"a bundle"), Digest::of(b"a bill of materials"));

    let archive = export();
    stage.verify(&archive, &words).passes("everything is there");
    stage.change(&archive, |assembly, _| leave_out(assembly, other, 19, Role::Evidence));
    stage.verify(&archive, &words).passes("a bill of materials is not verified");

    let archive = export();
    stage.change(&archive, |assembly, _| leave_out(assembly, counted, 8, Role::Evidence));
    stage.verify(&archive, &words).fails("evidence-not-carried", "by its own name");

    let archive = export();
    stage.change(&archive, |assembly, _| {
        leave_out(assembly, counted, 8, Role::Evidence);
        let entry = assembly.evidence.iter_mut().find(|entry| entry.digest == digest(&bundle)).unwrap();
        entry.kind = EvidenceKind::Sbom;
    });
    stage.verify(&archive, &words).fails("evidence-not-carried", "called a bill of materials");

    // A bill of materials that names the same payload: as whose it is absent is open.
    let mut layout = stage.layout("both");
    let image = layout.image(b"app", json!({}));
    layout.tag(&image, "v1");
    layout.vouch(&image);
    layout.refer(&image, "application/vnd.dev.sigstore.bundle.v0.3+json", b"a bundle");
    (0..8).for_each(|number| drop(layout.refer(&image, SBOM, format!("padding {number}").as_bytes())));
    for number in 0..8 {
        let more = json!({ "annotations": { "number": number.to_string() }, "subject": image, "artifactType": SBOM });
        let layer = json!({ "mediaType": SBOM, "digest": counted, "size": 8 });
        let manifest = layout.manifest(layout.blob(media::OCI_EMPTY, "{}"), &[layer], more);
        layout.tag(&manifest, &format!("sbom{number}"));
    }
    layout.finish();
    let archive = stage.export("both.tar", &[(APP, "both")]);
    stage.change(&archive, |assembly, _| leave_out(assembly, counted, 8, Role::Evidence));
    stage.verify(&archive, &words).fails("evidence-not-carried", "named by a bill of materials as well");

    // An image whose layer is that payload, beside the one that is asked for.
    let mut layout = stage.layout("beside");
    let image = layout.image(b"a bundle", json!({}));
    layout.tag(&image, "v1");
    layout.finish();
    let archive = stage.export("beside.tar", &[(APP, "app"), (DB, "beside")]);
    stage.change(&archive, |assembly, _| leave_out(assembly, counted, 8, Role::Layer));
    stage.verify(&archive, &words).fails("layers-not-carried", "as the layer of another image");
}

/// A statement of BuildKit counts where the operator says so, and only there (V4.3).
#[test]
fn a_statement_that_counts_is_not_excused() {
    let stage = Stage::new();
    let index = with_buildkit(&stage, "good");
    let words = ["--image", &pinned(APP, &digest(&index)), "--layers=none"];
    stage.write("trust.yaml", TRUST_BUILDKIT);
    let archive = stage.export("app.tar", &[(APP, "app")]);
    stage.verify(&archive, &[&words[..], &["--trust-policy", "trust.yaml"]].concat()).passes("everything is there");
    let statement = buildkit_statement(&stage, "good");
    stage.change(&archive, |assembly, _| {
        leave_out(assembly, Digest::of(statement.as_bytes()), statement.len().try_into().unwrap(), Role::Evidence);
    });
    assert!(stage.verify(&archive, &words).codes("warning").contains(&"evidence-not-carried"), "no check counts it");
    let ended = stage.verify(&archive, &[&words[..], &["--trust-policy", "trust.yaml"]].concat());
    ended.fails("evidence-not-carried", "the trust policy counts it");
}

/// Where the root alone is judged, rules see one image of an index, or it fails: a rule
/// that denies by a label would pass what it cannot see (V15.3).
#[test]
fn an_index_whose_image_rules_cannot_see_fails() {
    let stage = Stage::new();
    stage.write("policy.yaml", "publicKey: key.pub\nsources: [{policy: [./rules]}]\n");
    stage.write("rules/a.rego", denying("input.image.config.Labels.evil"));
    stage.write("trust.yaml", "apiVersion: carnet/v0\nkind: TrustPolicy\nsignatures: {scope: root}\n");
    for (architecture, is_seen) in [("amd64", true), ("arm64", false)] {
        let mut layout = stage.layout(architecture);
        let mut child = layout.image(b"app", json!({}));
        layout.vouch(&child);
        child["platform"] = json!({ "os": "linux", "architecture": architecture });
        let index = layout.index(&[child]);
        layout.tag(&index, "v1");
        layout.vouch(&index);
        layout.finish();
        let archive = stage.export(&format!("{architecture}.tar"), &[(APP, architecture)]);
        let words = ["--image", APP, "--policy", "policy.yaml"];
        stage.verify(&archive, &words).passes("every image is judged");
        let ended = stage.verify(&archive, &[&words[..], &["--trust-policy", "trust.yaml"]].concat());
        match is_seen {
            true => ended.passes(architecture),
            false => ended.fails("policy-input-incomplete", architecture),
        }
    }
}

fn leave_out(assembly: &mut Assembly, digest: Digest, size: u64, role: Role) {
    assembly.blobs.remove(&digest);
    assembly.absent.push(Absence { digest, size, role, reason: AbsenceReason::NotInSource });
}

/// Everything that some reader of tar would take for another archive.
#[test]
fn another_reader_of_tar_sees_no_other_archive() {
    let stage = Stage::new();
    stage.image("app");
    let archive = stage.export("app.tar", &[(APP, "app")]);
    let good = fs::read(&archive).unwrap();
    let body = &good[..good.len() - 2 * BLOCK];
    let end = [0; 2 * BLOCK];
    let name = format!("blobs/sha256/{}", "a".repeat(64));
    let typed = |name: &str, kind: u8, link: &str| {
        let mut block = tar::Header::new_ustar();
        block.set_path(name).unwrap();
        block.set_entry_type(tar::EntryType::new(kind));
        block.set_mode(0o644);
        block.set_size(0);
        if !link.is_empty() {
            block.set_link_name(link).unwrap();
        }
        block.set_cksum();
        block.as_bytes().to_vec()
    };
    let with_first = |offset: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[offset] = byte;
        bytes
    };
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("two archives", [&good[..], &good].concat(), "bytes after the two zero blocks"),
        ("a third zero block", [&good[..], &[0; BLOCK]].concat(), "bytes after the two zero blocks"),
        ("one byte more", [&good[..], b"x"].concat(), "bytes after the two zero blocks"),
        ("one zero block", good[..good.len() - BLOCK].to_vec(), "cut off"),
        ("a pax record", [&typed("pax", b'x', "")[..], &good].concat(), "not a name that a member may have"),
        ("a global pax record", [&typed("oci-layout", b'g', "")[..], &good].concat(), "the one canonical header"),
        ("a long name", [&typed("LongLink", b'L', "")[..], &good].concat(), "not a name that a member may have"),
        ("a hard link", [body, &typed(&name, b'1', "oci-layout"), &end].concat(), "the one canonical header"),
        ("a symbolic link", [body, &typed(&name, b'2', "/etc/passwd"), &end].concat(), "the one canonical header"),
        ("a sparse file", [body, &typed(&name, b'S', ""), &end].concat(), "the one canonical header"),
        ("an old regular file", with_first(156, 0), "the one canonical header"),
        ("a size in another form", with_first(124, 0x80), "the one canonical header"),
        ("a size beyond any file", [body, &header(&name, u64::MAX), &end].concat(), "cut off"),
        ("a size beyond any file, first", [&header(&name, u64::MAX)[..], &good].concat(), "cut off"),
        ("a size beyond memory", [&header("oci-layout", u64::MAX)[..], &good[BLOCK..]].concat(), "exceeds the limit"),
    ];
    for (what, bytes, reason) in cases {
        fs::write(&archive, bytes).unwrap();
        stage.verify(&archive, &["--image", APP]).is_open(reason, what);
    }
    fs::write(&archive, [body, &good].concat()).unwrap();
    stage.verify(&archive, &["--image", APP]).fails("member-duplicate", "two archives in one");
    fs::write(&archive, good).unwrap();
    stage.verify(&archive, &["--image", APP]).passes("unchanged");
}

/// References in an archive are the exporter's text.
#[test]
fn a_reference_that_says_two_things_decides_nothing() {
    let stage = Stage::new();
    let app = stage.image("app");
    let archive = stage.export("app.tar", &[(APP, "app")]);
    let rename = |reference: String| {
        let archive = stage.export("app.tar", &[(APP, "app")]);
        stage.change(&archive, |assembly, _| {
            assembly.subjects[0].reference.clone_from(&reference);
            assembly.receipts.iter_mut().for_each(|receipt| {
                let parsed = reference.parse::<carnet_bundle::Reference>();
                receipt.repository = parsed.map_or_else(|_| reference.clone(), |parsed| parsed.name());
            });
        });
        assert_eq!(opened(&archive).inventory().subjects[0].reference, reference);
    };
    stage.verify(&archive, &["--image", APP]).passes("as it was exported");
    rename("no reference at all".to_owned());
    stage.verify(&archive, &["--image", APP]).fails("image-not-carried", "by its tag");
    let ended = stage.verify(&archive, &["--image", &pinned(APP, &app)]);
    ended.passes("by its digest");
    assert!(ended.codes("note").contains(&"image-under-another-name"), "{:?}", ended.codes("note"));
    rename(format!("{APP}@{}", Digest::of(b"another image")));
    stage.verify(&archive, &["--image", APP]).fails("image-not-carried", "a tag beside another digest");
}

/// Rules that select nothing, texts that YAML takes for something else, a signer who
/// is anybody: none of it is a pass.
#[test]
fn an_empty_question_is_not_answered() {
    let stage = Stage::new();
    stage.image("app");
    let archive = stage.export("app.tar", &[(APP, "app")]);
    let rule = |condition: &str| {
        format!(
            "package a\n\nimport rego.v1\n\n# METADATA\n# title: x\n# custom:\n#   short_name: x\ndeny contains result if \
             {{\n\t{condition}\n\tresult := {{\"code\": \"a.x\", \"msg\": \"denied\"}}\n}}\n"
        )
    };
    stage.write("rules/a.rego", rule("true"));
    stage.write("silent/a.rego", rule("false"));
    let key = "publicKey: key.pub\n";
    let judge = |text: &str| {
        stage.write("policy.yaml", text);
        stage.verify(&archive, &["--image", APP, "--policy", "policy.yaml"])
    };
    judge(&format!("{key}sources: [{{policy: [./silent]}}]\n")).passes("a rule that is content");
    let denied = judge(&format!("{key}sources: [{{policy: [./rules]}}]\n"));
    assert_eq!(denied.status, Some(1), "{}", denied.said);
    for (text, reason) in [
        ("sources: [{policy: [./rules], config: {exclude: ['*']}}]", "no successes, warnings, or failures"),
        ("sources: [{policy: [./rules], config: {exclude: [a]}}]", "no successes, warnings, or failures"),
        ("sources: [{policy: [./rules], config: {include: [b]}}]", "no successes, warnings, or failures"),
        ("sources: [{policy: [./rules], config: {exclude: [on]}}]", "must be a text"),
        ("sources: [{policy: [./rules], Config: {exclude: ['*']}}]", "did you mean \"config\""),
        ("sources: [{policy: []}]", "no rego files found"),
        ("sources: [{data: [./rules]}]", "no rego files found"),
        ("sources: null", "sources must be a list"),
        ("source: [{policy: [./rules]}]", "did you mean \"sources\""),
    ] {
        judge(&format!("{key}{text}\n")).is_open(reason, text);
    }
    for (text, reason) in [
        ("identity: {subject: '', issuer: ''}", "certificate identity must be provided"),
        ("identity: {subjectRegExp: '.*'}", "certificate OIDC issuer must be provided"),
        ("identity: {subject: a, issuer: n}", "identity.issuer must be a text"),
        ("spec: {publicKey: key.pub}", "without `apiVersion`"),
        ("publicKey: key.pub\npublicKey: other.pub", "duplicate key"),
    ] {
        judge(&format!("{text}\n")).is_open(reason, text);
    }
}

/// What a check counts as an attestation is what rules see: a statement of BuildKit
/// that the signature on its index vouches for is not hidden from them (V14.3).
#[test]
fn a_statement_that_counts_is_shown_to_rules() {
    let stage = Stage::new();
    with_buildkit(&stage, "evil");
    let archive = stage.export("app.tar", &[(APP, "app")]);
    stage.write("trust.yaml", TRUST_BUILDKIT);
    stage.write("policy.yaml", "publicKey: key.pub\nsources: [{policy: [./rules]}]\n");
    let judge = |builder: &str| {
        let condition = format!("some att in input.attestations\n\tatt.statement.predicate.builder == \"{builder}\"");
        stage.write("rules/a.rego", denying(&condition));
        stage.verify(&archive, &["--image", APP, "--policy", "policy.yaml", "--trust-policy", "trust.yaml"])
    };
    judge("good").passes("the statement counts");
    assert_eq!(judge("evil").status, Some(1));
}

const TRUST_BUILDKIT: &str = "apiVersion: carnet/v0\nkind: TrustPolicy\nattestations: {buildkit: accept-when-index-signed}\n";

/// A layout with an index of one image and what BuildKit states of it. The image is
/// signed, the statement is not.
fn with_buildkit(stage: &Stage, builder: &str) -> Value {
    let mut layout = stage.layout("app");
    let mut child = layout.image(b"app", json!({}));
    let built = layout.blob("application/vnd.in-toto+json", buildkit_statement(stage, builder));
    let config = layout.blob("application/vnd.oci.image.config.v1+json", r#"{"architecture":"unknown","os":"unknown"}"#);
    let mut unsigned = layout.manifest(config, &[built], json!({}));
    unsigned["platform"] = json!({ "os": "unknown", "architecture": "unknown" });
    unsigned["annotations"] =
        json!({ "vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": child["digest"] });
    layout.sign(&child);
    child["platform"] = json!({ "os": "linux", "architecture": "amd64" });
    let index = layout.index(&[child, unsigned]);
    layout.tag(&index, "v1");
    layout.vouch(&index);
    layout.finish();
    index
}

fn buildkit_statement(stage: &Stage, builder: &str) -> String {
    let child = stage.layout("app").image(b"app", json!({}));
    statement(&child, "https://example.com/built", &json!({ "builder": builder }))
}

/// Of a child without a platform containerd asks the config, whatever an annotation
/// calls it (images.md §5).
#[test]
fn a_child_in_the_dress_of_an_attestation_is_judged() {
    let stage = Stage::new();
    for platform in [Value::Null, json!({ "os": "linux", "architecture": "arm64" })] {
        let mut layout = stage.layout("app");
        let (mut good, mut other) = (layout.image(b"good", json!({})), layout.image(b"evil", json!({})));
        layout.vouch(&good);
        good["platform"] = json!({ "os": "linux", "architecture": "amd64" });
        other["annotations"] =
            json!({ "vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": good["digest"] });
        if !platform.is_null() {
            other["platform"] = platform.clone();
        }
        let index = layout.index(&[good, other]);
        layout.tag(&index, "v1");
        layout.finish();
        let archive = stage.export("app.tar", &[(APP, "app")]);
        stage.write("trust.yaml", "apiVersion: carnet/v0\nkind: TrustPolicy\nsignatures: {scope: every-platform}\n");
        let ended = stage.verify(&archive, &["--image", &pinned(APP, &digest(&index)), "--trust-policy", "trust.yaml"]);
        ended.fails("image-signature-not-verified", &platform.to_string());
    }
}

/// The engine sees no packages behind `data[…]`: a rule that denies by one would never
/// fire, and is refused.
#[test]
fn a_rule_that_would_see_no_packages_is_refused() {
    let stage = Stage::new();
    stage.image("app");
    let archive = stage.export("app.tar", &[(APP, "app")]);
    stage.write("rules/util.rego", "package lib.util\n\nimport rego.v1\n\ny := true\n");
    stage.write("policy.yaml", "publicKey: key.pub\nsources: [{policy: [./rules]}]\n");
    let judge = |condition: &str| {
        stage.write("rules/a.rego", denying(condition));
        stage.verify(&archive, &["--image", APP, "--policy", "policy.yaml"])
    };
    for condition in ["data[_].util.y", "data[p].util.y\n\tp == \"lib\"", "some p\n\tdata[p].util.y"] {
        judge(condition).is_open("what stands directly behind data must be a name", condition);
    }
    for condition in ["data.lib.util.y", "data.lib[_].y", "some p\n\tdata.lib[p].y", "data[\"lib\"].util.y"] {
        assert_eq!(judge(condition).status, Some(1), "{condition}");
    }
}

/// A failure of policy or trust is every image's, though another image of the archive
/// holds a blob of that digest.
#[test]
fn a_failure_of_the_whole_is_nobody_elses() {
    let stage = Stage::new();
    let app = stage.image("app");
    let mut layout = stage.layout("policy");
    let rules = layout.blob("application/vnd.cncf.openpolicyagent.policy.layer.v1+rego", denying("true"));
    let config = layout.blob("application/vnd.oci.image.config.v1+json", "{}");
    let policy = layout.manifest(config, &[rules], json!({}));
    layout.tag(&policy, "v1");
    layout.finish();
    let archive = stage.export("app.tar", &[(APP, "app"), ("quay.io/org/policy:v1", "policy")]);
    let source = format!("quay.io/org/policy@{}", digest(&policy));
    stage.write("policy.yaml", format!("publicKey: key.pub\nsources: [{{policy: ['{source}']}}]\n"));
    let list = stage.list(&[("app", &pinned(APP, &app))]);
    let words = ["--images", &list, "--policy", "policy.yaml"];
    stage.verify(&archive, &words).fails("policy-source-not-carried", "the rules did not come");
    import(&stage, &archive, &[&words[..], &["--only-passed"]].concat());
    assert!(!stage.path("out").exists(), "imported without its rules");
}

/// Two components without names are two components.
#[test]
fn a_tag_is_not_given_by_another_component() {
    let stage = Stage::new();
    let (app, db) = (stage.image("app"), stage.image("db"));
    let archive = stage.export("swapped.tar", &[(APP, "db"), (DB, "app")]);
    let list = json!({ "components": [{ "containerImage": pinned(APP, &app) }, { "containerImage": pinned(DB, &db) }] });
    import(&stage, &archive, &["--images", &list.to_string(), "--public-key", "key.pub", "--allow-unexpected-images"]);
    assert!(!stage.path("out").exists(), "imported under the names of each other");
}

fn import(stage: &Stage, archive: &std::path::Path, words: &[&str]) {
    let mut import = std::process::Command::new(stage::carnet());
    import.current_dir(stage.path("")).arg("import").arg(archive).args(["--ignore-rekor", "--to", "docker-archive:out"]);
    import.args(words).output().unwrap();
}

/// A rule that denies under a condition.
fn denying(condition: &str) -> String {
    format!(
        "package a\n\nimport rego.v1\n\n# METADATA\n# title: x\n# custom:\n#   short_name: x\ndeny contains result if \
         {{\n\t{condition}\n\tresult := {{\"code\": \"a.x\", \"msg\": \"denied\"}}\n}}\n"
    )
}

/// What holds `MANIFEST` in the stage is what registries call an image.
#[test]
fn the_stage_is_honest() {
    let stage = Stage::new();
    let app = stage.image("app");
    let archive = stage.export("app.tar", &[(APP, "app")]);
    let bundle = opened(&archive);
    assert_eq!(bundle.manifest(&app).map(|manifest| manifest.media_type.as_str()), Some(MANIFEST));
    let ended = stage.verify(&archive, &["--image", APP]);
    ended.passes("honest");
    assert_eq!(ended.report["components"][0]["success"], Value::Bool(true));
}
