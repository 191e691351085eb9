//! Registries that refuse, lie or stall, disks that are full, Ctrl-C.

use std::{fs, path::Path};

use carnet_bundle::{Digest, media};
use carnet_registry::testing::{Content, Effect, Fault, Route};
use serde_json::{Value, json};

use crate::{
    Case, Ends,
    archives::deep,
    stage::{REFERENCE, Run, Stage, testdata},
};

const REPOSITORY: &str = "demo/app";
const GIB: u64 = 1 << 30;

pub(crate) const CASES: &[Case] = &[
    Case { name: "registry/closed_port", arrange: closed_port, ends: Ends::NoResult("refused") },
    Case { name: "registry/401", arrange: |stage| every_manifest(stage, Effect::Status(401)), ends: Ends::NoResult("401") },
    Case { name: "registry/403", arrange: |stage| every_manifest(stage, Effect::Status(403)), ends: Ends::NoResult("403") },
    Case {
        name: "registry/404",
        arrange: |stage| every_manifest(stage, Effect::Status(404)),
        ends: Ends::NoResult("does not exist"),
    },
    Case { name: "registry/503", arrange: |stage| every_manifest(stage, Effect::Status(503)), ends: Ends::NoResult("503") },
    Case {
        name: "registry/401_for_evidence",
        arrange: |stage| faulty(stage, Fault::on(Route::Manifest, Effect::Status(401)).ending(".att")),
        ends: Ends::NoResult("could not look"),
    },
    Case {
        name: "registry/503_for_referrers",
        arrange: |stage| faulty(stage, Fault::on(Route::Referrers, Effect::Status(503))),
        ends: Ends::NoResult("could not look"),
    },
    Case {
        name: "registry/connections_that_break",
        arrange: |stage| faulty(stage, Fault::on(Route::Any, Effect::CutAfter(3))),
        ends: Ends::NoResult("cannot export"),
    },
    Case {
        name: "registry/a_page_instead_of_a_manifest",
        arrange: |stage| every_manifest(stage, Effect::Answer(200, "text/html".to_owned(), b"<html>".to_vec())),
        ends: Ends::NoResult("cannot export"),
    },
    Case {
        name: "registry/other_bytes",
        arrange: |stage| faulty(stage, Fault::on(Route::Blob, Effect::Corrupt)),
        ends: Ends::NoResult("mismatch"),
    },
    Case {
        name: "registry/more_bytes",
        arrange: |stage| faulty(stage, Fault::on(Route::Blob, Effect::Longer)),
        ends: Ends::NoResult("mismatch"),
    },
    Case {
        name: "registry/deep_manifest",
        arrange: |stage| image(stage, deep("[", "]").as_bytes()),
        ends: Ends::NoResult("manifest"),
    },
    Case {
        name: "registry/manifest_with_a_duplicate_key",
        arrange: |stage| image(stage, b"{\"schemaVersion\":2,\"schemaVersion\":2,\"config\":{},\"layers\":[]}"),
        ends: Ends::NoResult("duplicate key"),
    },
    Case {
        name: "registry/manifest_that_is_no_utf8",
        arrange: |stage| image(stage, b"{\"a\":\"\xff\"}"),
        ends: Ends::NoResult("manifest"),
    },
    Case { name: "registry/ten_gib_of_evidence", arrange: large_referrer, ends: Ends::Fail("evidence-not-carried") },
    Case { name: "registry/ten_gib_of_layer_that_are_not_there", arrange: large_layer, ends: Ends::NoResult("mismatch") },
    Case {
        name: "evidence/deep_json",
        arrange: |stage| evidence(stage, deep("[", "]").as_bytes()),
        ends: Ends::Fail("evidence-malformed"),
    },
    Case {
        name: "evidence/duplicate_keys",
        arrange: |stage| {
            evidence(stage, b"{\"mediaType\":\"application/vnd.dev.sigstore.bundle.v0.3+json\",\"mediaType\":\"x\"}")
        },
        ends: Ends::Fail("ambiguous-json"),
    },
    Case {
        name: "evidence/not_utf8",
        arrange: |stage| evidence(stage, b"{\"a\":\"\xff\"}"),
        ends: Ends::Fail("evidence-malformed"),
    },
    Case { name: "evidence/empty", arrange: |stage| evidence(stage, b""), ends: Ends::Fail("evidence-malformed") },
    Case {
        name: "output/folder_that_is_missing",
        arrange: |stage| stage.export().with("--id-file", "nowhere/id"),
        ends: Ends::NoResult("nowhere/id"),
    },
    Case {
        name: "output/archive_into_a_missing_folder",
        arrange: |_| {
            let layout = format!("oci:{}", testdata("layouts/local-sigstore/app").display());
            Run::bare("carnet", &["export", REFERENCE, "-q", "--from", &layout, "-o", "nowhere/app.tar"])
        },
        ends: Ends::NoResult("nowhere/app.tar"),
    },
    Case {
        name: "output/report_into_a_missing_folder",
        arrange: |stage| stage.verify_unreported().with("--output", "json=nowhere/report.json"),
        ends: Ends::NoResult("nowhere/report.json"),
    },
    Case {
        name: "full_disk/archive",
        arrange: |stage| stage.export().with_small_files(),
        ends: Ends::NoResult("cannot write out/app.carnet.tar"),
    },
    Case {
        name: "full_disk/report_to_a_file",
        arrange: |stage| {
            let images = (0..400).map(|n| format!("- name: c{n}\n  containerImage: registry.example/missing:{n}\n"));
            fs::write(stage.path("images.yaml"), format!("components:\n{}", images.collect::<String>())).unwrap();
            stage.verify_good().with_small_files()
        },
        ends: Ends::NoResult("cannot write the report to out/report.json"),
    },
    Case {
        name: "full_disk/report_to_a_device",
        arrange: |stage| stage.verify_unreported().with("--output", "json=/dev/full"),
        ends: Ends::NoResult("cannot write the report to /dev/full"),
    },
    Case {
        name: "full_disk/report_to_standard_output",
        arrange: |stage| stage.verify_unreported().writing_to("/dev/full"),
        ends: Ends::NoResult("cannot write the report to standard output"),
    },
    Case {
        name: "full_disk/report_as_json_to_standard_output",
        arrange: |stage| stage.verify_unreported().with("--output", "json").writing_to("/dev/full"),
        ends: Ends::NoResult("cannot write the report to standard output"),
    },
    Case {
        name: "full_disk/help",
        arrange: |_| Run::bare("carnet-verify", &["--help"]).writing_to("/dev/full"),
        ends: Ends::NoResult("standard output"),
    },
    Case {
        name: "interrupt/while_evidence_arrives",
        arrange: |stage| faulty(stage, Fault::on(Route::Blob, Effect::Stall)).interrupted_at(" is sha256:"),
        ends: Ends::NoResult("interrupted"),
    },
    Case {
        name: "interrupt/while_a_layer_arrives",
        arrange: |stage| faulty(stage, Fault::on(Route::Blob, Effect::Stall).ending(layer())).interrupted_at("fetching "),
        ends: Ends::NoResult("interrupted"),
    },
];

fn layout() -> std::path::PathBuf {
    testdata("layouts/local-sigstore/app")
}

fn content(layout: &Path) -> Content {
    let mut content = Content::new();
    content.add_layout(REPOSITORY, layout).unwrap();
    content
}

fn faulty(stage: &Stage, fault: Fault) -> Run {
    stage.export_registry(content(&layout()), vec![fault])
}

fn every_manifest(stage: &Stage, effect: Effect) -> Run {
    faulty(stage, Fault::on(Route::Manifest, effect))
}

/// A port where nobody listens any more.
fn closed_port(stage: &Stage) -> Run {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let reference = format!("{}/demo/app:v1", listener.local_addr().unwrap());
    drop(listener);
    Run::bare("carnet", &["export", &reference, "-q", "-o"]).word(stage.path("out/app.carnet.tar"))
}

/// An image whose manifest is these bytes.
fn image(stage: &Stage, manifest: &[u8]) -> Run {
    let mut content = content(&layout());
    content.add_manifest(REPOSITORY, Some("v1"), media::OCI_MANIFEST, manifest);
    stage.export_registry(content, Vec::new())
}

/// The image with one more piece of evidence, which claims 10 GiB: it is left out, and
/// the archive says so.
fn large_referrer(stage: &Stage) -> Run {
    let mut content = content(&layout());
    let payload = content.add_blob(REPOSITORY, b"large");
    let claimed = json!({ "mediaType": SIGSTORE, "digest": payload, "size": 10 * GIB });
    add_referrer(&mut content, &layout(), &claimed);
    cross(stage, content, &layout())
}

/// An image with one layer of five bytes, which claims 10 GiB.
fn large_layer(stage: &Stage) -> Run {
    let mut content = content(&layout());
    let config = content.add_blob(REPOSITORY, b"{}");
    let layer = content.add_blob(REPOSITORY, b"large");
    let manifest = json!({
        "schemaVersion": 2, "mediaType": media::OCI_MANIFEST,
        "config": { "mediaType": media::OCI_CONFIG, "digest": config, "size": 2 },
        "layers": [{ "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": layer, "size": 10 * GIB }],
    });
    content.add_manifest(REPOSITORY, Some("v1"), media::OCI_MANIFEST, manifest.to_string().as_bytes());
    stage.export_registry(content, Vec::new())
}

const SIGSTORE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// The first image of a layout.
fn subject(layout: &Path) -> Value {
    let index: Value = serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
    index["manifests"][0].clone()
}

fn add_referrer(content: &mut Content, layout: &Path, payload: &Value) {
    content.add_blob(REPOSITORY, b"{}");
    let subject = subject(layout);
    let manifest = json!({
        "schemaVersion": 2, "mediaType": media::OCI_MANIFEST, "artifactType": SIGSTORE,
        "config": { "mediaType": "application/vnd.oci.empty.v1+json", "digest": Digest::of(b"{}"), "size": 2 },
        "layers": [payload],
        "subject": { "mediaType": subject["mediaType"], "digest": subject["digest"], "size": subject["size"] },
    });
    content.add_manifest(REPOSITORY, None, media::OCI_MANIFEST, manifest.to_string().as_bytes());
}

/// Exports an unsigned image with these bytes as its one signature, and judges it.
fn evidence(stage: &Stage, payload: &[u8]) -> Run {
    let layout = testdata("layouts/local-sigstore/unsigned");
    let mut content = content(&layout);
    let digest = content.add_blob(REPOSITORY, payload);
    add_referrer(&mut content, &layout, &json!({ "mediaType": SIGSTORE, "digest": digest, "size": payload.len() }));
    cross(stage, content, &layout)
}

/// Exports what a registry holds, and judges it by digest.
fn cross(stage: &Stage, content: Content, layout: &Path) -> Run {
    let near = Stage::new();
    let ended = near.run(near.export_registry(content, Vec::new()));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    fs::rename(near.path("out/app.carnet.tar"), stage.path("app.carnet.tar")).unwrap();
    let images = format!(
        "components:\n- name: app\n  containerImage: registry.example/app@{}\n",
        subject(layout)["digest"].as_str().unwrap()
    );
    fs::write(stage.path("images.yaml"), images).unwrap();
    stage.verify("app.carnet.tar")
}

/// The one layer of the image.
fn layer() -> String {
    let digest: Digest = subject(&layout())["digest"].as_str().unwrap().parse().unwrap();
    let manifest = fs::read(layout().join("blobs/sha256").join(digest.to_hex())).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    manifest["layers"][0]["digest"].as_str().unwrap().to_owned()
}
