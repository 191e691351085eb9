//! Files of `cosign sign-blob --bundle` and `attest-blob --bundle` in their old form:
//! from `--evidence` to the verdict of the far side, which the preflight is.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "export_support.rs"]
mod support;

use std::{fs, path::PathBuf};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use carnet_bundle::{
    Digest, Inventory, Limits,
    inventory::{EvidenceKind, LookResult, Method},
};
use carnet_verify::{Document, Inputs, TrustInputs, VerifyArgs, disk::open_container, report::Verdict, run};
use serde_json::{Value, json};
use support::{Ended, export, open_archive, receipt, testdata};

const APP: &str = "registry.example/demo/app:v1";
const KEYLESS: &str = "127.0.0.1:5156/demo/keyless-legacy:v1";
/// Whoever the certificates of the layouts are for.
const PIPELINE: &str =
    "identity:\n  issuer: https://gitlab.local\n  subject: https://gitlab.local/demo/app//.gitlab-ci.yml@refs/heads/main\n";

struct Stage {
    folder: tempfile::TempDir,
    layout: PathBuf,
    reference: &'static str,
}

impl Stage {
    /// The image alone of a layout of `testdata/layouts/local-sigstore`.
    fn new(layout: &str, reference: &'static str) -> Self {
        let (folder, source) = (tempfile::tempdir().unwrap(), testdata("layouts/local-sigstore").join(layout));
        let bare = folder.path().join("layout");
        fs::create_dir_all(bare.join("blobs/sha256")).unwrap();
        let copy = |digest: &Value| {
            let name = format!("blobs/sha256/{}", &digest.as_str().unwrap()[7..]);
            let bytes = fs::read(source.join(&name)).unwrap();
            fs::write(bare.join(&name), &bytes).unwrap();
            bytes
        };
        let mut index = read(&fs::read(source.join("index.json")).unwrap());
        let is_image = |entry: &&Value| entry["annotations"]["org.opencontainers.image.ref.name"] == "v1";
        let image = index["manifests"].as_array().unwrap().iter().find(is_image).unwrap().clone();
        let manifest = read(&copy(&image["digest"]));
        for blob in manifest["layers"].as_array().unwrap().iter().chain([&manifest["config"]]) {
            copy(&blob["digest"]);
        }
        index["manifests"] = json!([image]);
        fs::write(bare.join("index.json"), index.to_string()).unwrap();
        fs::write(bare.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        Self { folder, layout: bare, reference }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        fs::write(self.path(name), bytes).unwrap();
        self.path(name)
    }

    fn export(&self, extra: &[&str]) -> Ended {
        let from = format!("oci:{}", self.layout.display());
        let output = self.path("out.tar");
        export(&[&[self.reference, "--from", &from, "-o", &output, "--reproducible"], extra].concat())
    }

    /// The evidence in the archive; every gate before the signatures is content.
    fn inventory(&self) -> Inventory {
        let (inventory, findings) = open_archive(self.path("out.tar").as_ref());
        assert_eq!(findings, Vec::<&str>::new());
        inventory
    }

    /// Exports with these files and asks for the verdict.
    fn judged(&self, policy: &str, flags: &[&str], files: &[String]) -> Ended {
        let policy = self.write("policy.yaml", policy);
        let evidence = files.iter().flat_map(|file| ["--evidence", file.as_str()]);
        self.export(&[&["--policy", &policy], flags, &evidence.collect::<Vec<_>>()].concat())
    }

    /// Exports with these files and says what `carnet-verify` with a key and without a
    /// log says, which the preflight has no flag for.
    fn passes(&self, key: &str, files: &[String]) -> bool {
        let evidence: Vec<_> = files.iter().flat_map(|file| ["--evidence", file.as_str()]).collect();
        let ended = self.export(&evidence);
        assert_eq!(ended.code, 0, "{ended:?}");
        let output = self.path("out.tar");
        let words = ["carnet-verify", &output, "--image", self.reference, "--public-key", key, "--ignore-rekor"];
        let inputs = Inputs {
            images: Vec::<Document>::new(),
            policy: None,
            trusted_root: None,
            read: &|path| fs::read(path),
            trust: TrustInputs::default(),
            policy_lock: None,
            sources: &carnet_verify::disk::sources::Disk,
        };
        let args = VerifyArgs::read(words.iter().map(Into::into)).unwrap();
        let mut container = open_container(output.as_ref(), &Limits::default()).unwrap();
        let now = "2026-11-25T00:00:00Z".parse().unwrap();
        run(&args, &inputs, container.as_mut(), now, 1).unwrap().verdict() == Verdict::Pass
    }

    fn refused(&self, files: &[String], reason: &str) {
        let evidence: Vec<_> = files.iter().flat_map(|file| ["--evidence", file.as_str()]).collect();
        let ended = self.export(&[&["-q"], evidence.as_slice()].concat());
        assert!(ended.code == 2 && ended.stderr.contains(reason), "{reason}: {ended:?}");
        assert!(!PathBuf::from(self.path("out.tar")).exists());
    }
}

fn read(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

fn written(name: &str) -> String {
    testdata("cosign-blob").join(name).to_str().unwrap().to_owned()
}

fn kinds(inventory: &Inventory) -> Vec<EvidenceKind> {
    let mut kinds: Vec<_> = inventory.evidence.iter().map(|entry| entry.kind).collect();
    kinds.sort_unstable();
    kinds
}

/// As a stored signature or attestation of a layout would have been as a file: what
/// cosign wrote into the annotations, and the bytes that were signed.
fn stored(layout: &str, suffix: &str) -> (Value, Vec<u8>) {
    let source = testdata("layouts/local-sigstore").join(layout);
    let blob = |digest: &Value| fs::read(source.join("blobs/sha256").join(&digest.as_str().unwrap()[7..])).unwrap();
    let index = read(&fs::read(source.join("index.json")).unwrap());
    let is_it = |entry: &&Value| entry["annotations"]["org.opencontainers.image.ref.name"].as_str().unwrap().ends_with(suffix);
    let layer = read(&blob(&index["manifests"].as_array().unwrap().iter().find(is_it).unwrap()["digest"]))["layers"][0].clone();
    let annotation = |name: &str| layer["annotations"][name].as_str().unwrap_or_default().to_owned();
    let bytes = blob(&layer["digest"]);
    let signature = match annotation("dev.cosignproject.cosign/signature") {
        none if none.is_empty() => STANDARD.encode(&bytes),
        signature => signature,
    };
    let file = json!({
        "base64Signature": signature,
        "cert": STANDARD.encode(annotation("dev.sigstore.cosign/certificate")),
        "rekorBundle": read(annotation("dev.sigstore.cosign/bundle").as_bytes()),
    });
    (file, bytes)
}

#[test]
fn what_cosign_writes_with_a_key_passes() {
    let stage = Stage::new("app", APP);
    let key = written("cosign.pub");
    let files = [written("sign-blob.json"), written("attest-blob.json")];
    assert!(stage.passes(&key, &files));
    let inventory = stage.inventory();
    assert_eq!(kinds(&inventory), [EvidenceKind::Dsse, EvidenceKind::Simplesigning]);
    let image = &inventory.subjects[0].digest;
    for entry in &inventory.evidence {
        assert_eq!((entry.subject, entry.found_in.iter().map(|place| place.method).collect()), (*image, vec![Method::LooseFile]));
    }
    let receipt = receipt(&inventory, &image.to_string(), Method::LooseFile);
    assert_eq!((receipt.result, receipt.found), (LookResult::Found, 2));
    // Each alone is not both, and another key's word is nobody's.
    assert!(files.iter().all(|file| !stage.passes(&key, std::slice::from_ref(file))));
    let other = testdata("trust/local-sigstore/demo.pub");
    assert!(!stage.passes(other.to_str().unwrap(), &files));
}

#[test]
fn what_cosign_writes_with_a_certificate_passes() {
    let root = testdata("trust/local-sigstore/trusted_root.json");
    let flags = ["--trusted-root", root.to_str().unwrap()];
    let stage = Stage::new("keyless-legacy", KEYLESS);
    let ((signature, _), (attestation, _)) = (stored("keyless-legacy", ".sig"), stored("keyless-legacy", ".att"));
    let files = [stage.write("sign-blob.json", signature.to_string()), stage.write("attest-blob.json", attestation.to_string())];
    let ended = stage.judged(PIPELINE, &flags, &files);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(kinds(&stage.inventory()), [EvidenceKind::Dsse, EvidenceKind::Simplesigning]);
    let bytes = fs::read(stage.path("out.tar")).unwrap();
    // The same again is the same archive, in whatever order the files come.
    let ended = stage.judged(PIPELINE, &flags, &[files[1].clone(), files[0].clone(), files[1].clone()]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(Digest::of(&fs::read(stage.path("out.tar")).unwrap()), Digest::of(&bytes));

    // A certificate of somebody else vouches for nothing, whoever it is for.
    for (name, from) in [("sign-blob.json", &attestation), ("attest-blob.json", &signature)] {
        let mut swapped = if name == "sign-blob.json" { signature.clone() } else { attestation.clone() };
        swapped["cert"] = from["cert"].clone();
        let other = if name == "sign-blob.json" { &files[1] } else { &files[0] };
        let ended = stage.judged(PIPELINE, &flags, &[stage.write("swapped.json", swapped.to_string()), other.clone()]);
        assert!(ended.code == 1 && ended.stderr.contains("the verifier would refuse"), "{name}: {ended:?}");
    }
}

#[test]
fn a_payload_of_another_place_is_given_beside_the_signature() {
    let stage = Stage::new("app", APP);
    let key = written("cosign.pub");
    let (signature, payload) = (written("sign-blob-annotated.json"), written("payload-annotated.json"));
    let files = [payload.clone(), signature, written("attest-blob.json")];
    assert!(stage.passes(&key, &files));
    // Without it, what was guessed is not what was signed.
    assert!(!stage.passes(&key, &files[1..]));

    let stage = Stage::new("app", APP);
    stage.refused(&[payload.clone(), written("attest-blob.json")], "none of the signatures that were given is over");
    let second = stage.write("second.json", fs::read_to_string(&payload).unwrap().replace("team", "crew"));
    stage.refused(&[payload, second, written("sign-blob.json")], "which of several payloads");
}

#[test]
fn what_is_about_nothing_here_is_refused_with_its_reason() {
    // The right files beside another image.
    let other = Stage::new("key-legacy", "registry.example/demo/other:v1");
    other.refused(&[written("attest-blob.json")], "about none of the images");
    let (signature, payload) = stored("keyless-legacy", ".sig");
    let file = other.write("sign-blob.json", signature.to_string());
    other.refused(std::slice::from_ref(&file), &format!("bytes with the digest {}, which are no payload", Digest::of(&payload)));
    let payload = other.write("payload.json", payload);
    other.refused(&[file, payload], "about none of the images");

    // The right image under a name that the signer did not use, and no payload.
    let stage = Stage::new("keyless-legacy", "registry.example/moved:v1");
    let file = stage.write("sign-blob.json", signature.to_string());
    stage.refused(&[file], "give them as a file too");

    let stage = Stage::new("app", APP);
    let swap = |member: &str, value: Value| {
        let mut file = signature.clone();
        file[member] = value;
        stage.write(&format!("{member}.json"), file.to_string())
    };
    for (file, reason) in [
        (swap("base64Signature", json!("")), "not the base64 of a signature"),
        (swap("cert", json!("nothing")), "neither a certificate nor a public key"),
        (swap("rekorBundle", json!({})), "no log entry"),
        (swap("rfc3161timestamp", json!("")), "unknown member"),
        (
            stage.write("blob.json", json!({ "base64Signature": STANDARD.encode(r#"{"payload":"e30="}"#) }).to_string()),
            "nothing that it names",
        ),
    ] {
        stage.refused(&[file], reason);
    }
}
