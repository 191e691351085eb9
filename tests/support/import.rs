//! Archives that pass or do not, judged by the real `carnet-verify`, and a registry
//! on loopback to import them into.

#![allow(dead_code, reason = "every suite uses a part of it")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

use carnet_bundle::{Archive, Bundle, Digest, Limits, open};
use carnet_import::{ImportArgs, ImportError, Judged, Receipt, Shipment};
use carnet_registry::{
    Backoff, CredentialFiles, Options,
    testing::{Behaviour, Content, TestingRegistry},
};
use clap::Parser;
use serde_json::{Value, json};

/// Repository that images are imported to.
pub(crate) const REPOSITORY: &str = "mirror/app";
/// Flags by which images of the key `demo` pass.
pub(crate) const BY_KEY: &[&str] = &["--ignore-rekor"];

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: ImportArgs,
}

/// The arguments of an import, as a user would type them.
pub(crate) fn args(words: &[&str]) -> ImportArgs {
    Cli::parse_from(["import"].iter().chain(words)).args
}

/// An archive with one image of `testdata/layouts/local-sigstore`.
pub(crate) fn exported(dir: &Path, set: &str) -> PathBuf {
    exported_from(dir, &[(set, &layout(set))], &[])
}

/// An archive with an image for each name, from its layout.
pub(crate) fn exported_from(dir: &Path, images: &[(&str, &Path)], flags: &[&str]) -> PathBuf {
    let archive = dir.join(format!("{}.carnet.tar", images.iter().map(|(name, _)| *name).collect::<Vec<_>>().join("+")));
    let mut command = Command::new(carnet());
    command.args(["export", "--proofs=skip", "--no-cache", "--no-preflight", "--quiet", "-o"]).arg(&archive).args(flags);
    for (name, layout) in images {
        command.arg(reference(name)).arg("--from").arg(format!("registry.example/org/{name}=oci:{}", layout.display()));
    }
    success(&command.output().unwrap());
    archive
}

/// An archive with the image of a layout under that name.
pub(crate) fn exported_as(dir: &Path, layout: &Path, reference: &str) -> PathBuf {
    let archive = dir.join(format!("{}.carnet.tar", reference.replace(['/', ':'], "-")));
    let mut command = Command::new(carnet());
    command.args(["export", "--proofs=skip", "--no-cache", "--no-preflight", "--quiet", reference, "-o"]).arg(&archive);
    command.arg("--from").arg(format!("oci:{}", layout.display()));
    success(&command.output().unwrap());
    archive
}

/// The reference of an image in an archive.
pub(crate) fn reference(name: &str) -> String {
    format!("registry.example/org/{name}:v1")
}

pub(crate) fn layout(set: &str) -> PathBuf {
    testdata(&format!("layouts/local-sigstore/{set}"))
}

pub(crate) fn testdata(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata").join(path)
}

pub(crate) fn carnet() -> PathBuf {
    env!("CARGO_BIN_EXE_carnet").into()
}

/// What `carnet-verify` says of an archive when each named image is expected and
/// signed with the key `demo`.
pub(crate) fn judged(archive: &Path, names: &[&str]) -> Judged {
    judged_as(archive, &names.iter().map(|name| (*name, reference(name))).collect::<Vec<_>>())
}

/// The same, each image under the reference that is given.
pub(crate) fn judged_as(archive: &Path, components: &[(&str, String)]) -> Judged {
    let components: Vec<Value> =
        components.iter().map(|(name, image)| json!({ "name": name, "containerImage": image })).collect();
    let images = json!({ "components": components }).to_string();
    let key = testdata("trust/local-sigstore/demo.pub").display().to_string();
    let (report, summaries) = report(archive, &[&["--images", &images, "--public-key", &key][..], BY_KEY].concat());
    Judged::from_report(&report, &summaries).unwrap()
}

/// The report of `carnet-verify` in JSON, and its summaries.
pub(crate) fn report(archive: &Path, flags: &[&str]) -> (Vec<u8>, Vec<u8>) {
    let dir = tempfile::tempdir().unwrap();
    let (report, summaries) = (dir.path().join("r.json"), dir.path().join("v.jsonl"));
    let mut command = Command::new(carnet().with_file_name("carnet-verify"));
    command.arg(archive).args(flags).arg(format!("--output=json={},slsa-vsa={}", report.display(), summaries.display()));
    let output = command.output().unwrap();
    assert!(matches!(output.status.code(), Some(0 | 1)), "{}", String::from_utf8_lossy(&output.stderr));
    (fs::read(report).unwrap(), fs::read(summaries).unwrap())
}

/// A verdict on images that nobody signed, for tests of everything but the verdict.
pub(crate) fn passed(archive: &Path) -> Judged {
    let bundle = opened(archive);
    let images: Vec<Value> = bundle
        .inventory()
        .subjects
        .iter()
        .map(|subject| json!({ "reference": subject.reference, "digest": subject.digest, "components": [subject.reference] }))
        .collect();
    let components: Vec<Value> = bundle
        .inventory()
        .subjects
        .iter()
        .map(|s| json!({ "name": s.reference, "containerImage": format!("{}@{}", s.reference, s.digest), "success": true }))
        .collect();
    // What gate 1 says of it was weighed by the operator's flags.
    let findings: Vec<Value> = findings(archive)
        .into_iter()
        .map(|(code, subject)| json!({ "code": code, "severity": "note", "subject": subject }))
        .collect();
    let report = json!({
        "components": components,
        "carnet": { "verdict": "pass", "bundle": { "id": bundle.id() }, "images": images, "findings": findings },
    });
    Judged::from_report(report.to_string().as_bytes(), b"").unwrap()
}

pub(crate) fn opened(archive: &Path) -> Bundle {
    let limits = Limits::default();
    open(&mut Archive::new(fs::File::open(archive).unwrap(), &limits).unwrap(), &limits).unwrap().bundle.unwrap()
}

fn findings(archive: &Path) -> Vec<(String, String)> {
    let limits = Limits::default();
    let opened = open(&mut Archive::new(fs::File::open(archive).unwrap(), &limits).unwrap(), &limits).unwrap();
    opened.findings.iter().map(|finding| (finding.code.to_owned(), finding.subject.clone())).collect()
}

/// An empty registry on loopback.
pub(crate) fn registry(behaviour: Behaviour) -> TestingRegistry {
    TestingRegistry::start(Content::new(), behaviour).unwrap()
}

/// What was written to a registry, as `METHOD path`, in order.
pub(crate) fn writes(registry: &TestingRegistry) -> Vec<String> {
    let served = registry.served();
    let writes = served.iter().filter(|one| !matches!(one.method.as_str(), "GET" | "HEAD"));
    writes.map(|one| format!("{} {} {}", one.method, one.path, one.status)).collect()
}

/// The digest that a tag of the repository stands for.
pub(crate) fn tagged(registry: &TestingRegistry, tag: &str) -> Option<Digest> {
    let mut found = None;
    registry.change(|content| found = content.manifest(REPOSITORY, tag).map(|(digest, _)| digest));
    found
}

/// Whether the repository has the blob.
pub(crate) fn has_blob(registry: &TestingRegistry, digest: &Digest) -> bool {
    let mut found = false;
    registry.change(|content| found = content.has_blob(REPOSITORY, digest));
    found
}

/// How registries are asked in tests: no credentials, no pauses.
pub(crate) fn options() -> Options {
    let backoff = Backoff { attempts: 3, first: Duration::from_millis(1), longest: Duration::from_millis(2) };
    Options { credentials: CredentialFiles::none(), backoff, ..Options::default() }
}

/// Opens and writes. The receipt says what became of it.
pub(crate) fn import(args: &ImportArgs, judged: Judged) -> (Result<(), ImportError>, Value) {
    match Shipment::open(args, judged) {
        Ok(shipment) => write(args, &shipment, options()),
        Err(error) => (Err(error), Value::Null),
    }
}

/// Writes what was opened.
pub(crate) fn write(args: &ImportArgs, shipment: &Shipment, options: Options) -> (Result<(), ImportError>, Value) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut receipt = Receipt::new("2026-11-25T00:00:00Z".parse().unwrap());
    let key = match args.key() {
        Ok(key) => key,
        Err(error) => return (Err(error), Value::Null),
    };
    let outcome = runtime.block_on(shipment.write(args, key.as_ref(), options, &mut receipt));
    (outcome, serde_json::from_slice(&receipt.to_json().unwrap()).unwrap())
}

/// How many things of a receipt came about in this way.
pub(crate) fn count(receipt: &Value, how: &str) -> usize {
    receipt["written"].as_array().unwrap().iter().filter(|written| written["how"] == how).count()
}

pub(crate) fn success(output: &Output) {
    assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
}

/// Writes a layout with one unsigned image of one layer.
pub(crate) fn image_layout(dir: &Path, layer: &[u8]) -> Digest {
    let blobs = dir.join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    let put = |bytes: &[u8]| {
        let digest = Digest::of(bytes);
        fs::write(blobs.join(digest.to_hex()), bytes).unwrap();
        json!({ "digest": digest, "size": bytes.len() })
    };
    let with = |mut descriptor: Value, media_type: &str| {
        descriptor["mediaType"] = media_type.into();
        descriptor
    };
    let config = with(
        put(br#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#),
        "application/vnd.oci.image.config.v1+json",
    );
    let layer_at = with(put(layer), "application/vnd.oci.image.layer.v1.tar");
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let manifest = json!({ "schemaVersion": 2, "mediaType": media_type, "config": config, "layers": [layer_at] }).to_string();
    let mut entry = with(put(manifest.as_bytes()), media_type);
    entry["annotations"] = json!({ "org.opencontainers.image.ref.name": "v1" });
    fs::write(dir.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    fs::write(dir.join("index.json"), json!({ "schemaVersion": 2, "manifests": [entry] }).to_string()).unwrap();
    Digest::of(manifest.as_bytes())
}

/// Flips one bit of a blob where it lies in the archive.
pub(crate) fn flip(archive: &Path, digest: &Digest) {
    let mut bytes = fs::read(archive).unwrap();
    let at = data_of(&bytes, digest);
    bytes[at] ^= 1;
    fs::write(archive, bytes).unwrap();
}

/// Where the data of a blob begins in an archive.
pub(crate) fn data_of(archive: &[u8], digest: &Digest) -> usize {
    let name = format!("blobs/sha256/{}", digest.to_hex());
    archive.chunks(512).position(|block| block.starts_with(name.as_bytes())).map(|block| (block + 1) * 512).unwrap()
}
