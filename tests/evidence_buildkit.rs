//! Statements that BuildKit puts into an index: they count under a trust policy that
//! says so, where the index is signed, and nowhere else.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use carnet_bundle::Digest;
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair},
};
use serde_json::{Value, json};
use tempfile::TempDir;

const REFERENCE: &str = "registry.example/org/app:v1";
const PROVENANCE: &str = "https://example.com/provenance";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// What stands before the point of a P-256 key in DER (RFC 5480).
const P256: &str = "3059301306072a8648ce3d020106082a8648ce3d030107034200";
const ACCEPT: &str = "apiVersion: carnet/v0\nkind: TrustPolicy\nattestations: {buildkit: accept-when-index-signed}\n";

/// An OCI layout in the making.
struct Layout {
    folder: TempDir,
    key: EcdsaKeyPair,
    tags: Vec<Value>,
}

impl Layout {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("layout/blobs/sha256")).unwrap();
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, document.as_ref(), &random).unwrap();
        let der = [hex::decode(P256).unwrap().as_slice(), key.public_key().as_ref()].concat();
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", BASE64_STANDARD.encode(der));
        fs::write(folder.path().join("key.pub"), pem).unwrap();
        Self { folder, key, tags: Vec::new() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn blob(&self, media_type: &str, bytes: &[u8]) -> Value {
        let digest = Digest::of(bytes);
        fs::write(self.path("layout/blobs/sha256").join(digest.to_hex()), bytes).unwrap();
        json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
    }

    fn manifest(&self, layers: &[Value]) -> Value {
        let config = json!({
            "architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": []},
        });
        let config = self.blob("application/vnd.oci.image.config.v1+json", config.to_string().as_bytes());
        let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers});
        self.blob(MANIFEST, manifest.to_string().as_bytes())
    }

    fn tag(&mut self, descriptor: &Value, name: &str) {
        let mut entry = descriptor.clone();
        entry["annotations"] = json!({"org.opencontainers.image.ref.name": name});
        self.tags.push(entry);
    }

    /// Signs as cosign 2 does.
    fn sign(&mut self, descriptor: &Value) {
        let digest = descriptor["digest"].as_str().unwrap().to_owned();
        let payload = json!({"critical": {
            "identity": {"docker-reference": "registry.example/org/app"},
            "image": {"docker-manifest-digest": digest},
            "type": "cosign container image signature",
        }, "optional": null})
        .to_string();
        let signature = self.key.sign(&SystemRandom::new(), payload.as_bytes()).unwrap();
        let mut layer = self.blob("application/vnd.dev.cosign.simplesigning.v1+json", payload.as_bytes());
        layer["annotations"] = json!({"dev.cosignproject.cosign/signature": BASE64_STANDARD.encode(signature)});
        let manifest = self.manifest(&[layer]);
        self.tag(&manifest, &format!("{}.sig", digest.replace(':', "-")));
    }

    /// An index of one image and BuildKit's statement about `subject`.
    fn build(signed_index: bool, subject: impl Fn(&str) -> String) -> Self {
        Self::build_named("app", signed_index, subject)
    }

    /// The same where the statement calls its subject `name`.
    fn build_named(name: &str, signed_index: bool, subject: impl Fn(&str) -> String) -> Self {
        let mut layout = Self::new();
        let mut image = layout.manifest(&[]);
        image["platform"] = json!({"architecture": "amd64", "os": "linux"});
        let digest = image["digest"].as_str().unwrap().to_owned();
        let statement = json!({
            "_type": "https://in-toto.io/Statement/v0.1",
            "subject": [{"name": name, "digest": {"sha256": subject(digest.trim_start_matches("sha256:"))}}],
            "predicateType": PROVENANCE, "predicate": {"built": true},
        });
        let mut layer = layout.blob("application/vnd.in-toto+json", statement.to_string().as_bytes());
        layer["annotations"] = json!({"in-toto.io/predicate-type": PROVENANCE});
        let mut attestation = layout.manifest(&[layer]);
        attestation["platform"] = json!({"architecture": "unknown", "os": "unknown"});
        attestation["annotations"] =
            json!({"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": digest});
        let media_type = "application/vnd.oci.image.index.v1+json";
        let index = json!({"schemaVersion": 2, "mediaType": media_type, "manifests": [&image, attestation]});
        let index = layout.blob(media_type, index.to_string().as_bytes());
        layout.tag(&index, "v1");
        if signed_index {
            layout.sign(&index);
        }
        layout.sign(&image);
        let document = json!({"schemaVersion": 2, "mediaType": media_type, "manifests": layout.tags});
        fs::write(layout.path("layout/index.json"), document.to_string()).unwrap();
        fs::write(layout.path("layout/oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        layout
    }

    /// Whether the attestation check of the image in the index passes, and the report.
    fn is_attested(&self, policy: &str) -> (bool, Value) {
        let carnet = env!("CARGO_BIN_EXE_carnet");
        let archive = self.path("app.carnet.tar");
        let from = format!("oci:{}", self.path("layout").display());
        let mut export = Command::new(carnet);
        export.args(["export", REFERENCE, "--from", &from, "--quiet", "-o"]).arg(&archive);
        let export = export.output().unwrap();
        assert!(export.status.success(), "{}", String::from_utf8_lossy(&export.stderr));
        let trust = self.path("trust.yaml");
        fs::write(&trust, policy).unwrap();
        let mut verify = Command::new(Path::new(carnet).with_file_name("carnet-verify"));
        verify.arg(&archive).args(["--image", REFERENCE, "--ignore-rekor", "--output", "json", "--show-successes"]);
        verify.arg("--public-key").arg(self.path("key.pub")).arg("--trust-policy").arg(&trust);
        let verify = verify.output().unwrap();
        let report: Value =
            serde_json::from_slice(&verify.stdout).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&verify.stderr)));
        let components = report["components"].as_array().unwrap();
        let image = components.iter().find(|component| component["name"] != "Unnamed").unwrap();
        let passed = image["successes"].as_array().into_iter().flatten();
        let mut codes = passed.map(|result| result["metadata"]["code"].as_str().unwrap());
        (codes.any(|code| code == "builtin.attestation.signature_check"), report)
    }
}

fn codes(report: &Value) -> Vec<&str> {
    let findings = report["carnet"]["findings"].as_array().unwrap();
    findings.iter().map(|finding| finding["code"].as_str().unwrap()).collect()
}

#[test]
fn a_statement_counts_where_the_operator_says_so_and_the_index_is_signed() {
    let strict = "apiVersion: carnet/v0\nkind: TrustPolicy\n";
    let layout = Layout::build(true, str::to_owned);
    let (attested, report) = layout.is_attested(strict);
    assert!(!attested && codes(&report).contains(&"unsigned-statement"), "{report:#}");

    let (attested, report) = layout.is_attested(ACCEPT);
    assert!(attested, "{report:#}");
    let relaxed = report["carnet"]["relaxations"].as_array().unwrap();
    assert!(relaxed.iter().any(|r| r["effect"] == "attestations.buildkit: accept-when-index-signed"), "{relaxed:?}");
}

#[test]
fn a_statement_of_an_unsigned_index_or_about_another_image_does_not_count() {
    let unsigned = Layout::build(false, str::to_owned);
    let (attested, report) = unsigned.is_attested(ACCEPT);
    assert!(!attested && codes(&report).contains(&"unsigned-statement"), "{report:#}");

    let elsewhere = Layout::build(true, |_| Digest::of(b"another image").to_hex());
    let (attested, report) = elsewhere.is_attested(ACCEPT);
    assert!(!attested && codes(&report).contains(&"subject-mismatch"), "{report:#}");
}

#[test]
fn a_statement_names_the_repository_where_the_trust_policy_compares_names() {
    let compare = "apiVersion: carnet/v0\nkind: TrustPolicy\n\
                   attestations: {buildkit: accept-when-index-signed, subjectName: match}\n";
    for (name, want) in [
        ("pkg:docker/registry.example/org/app@v1?platform=linux%2Famd64", true),
        ("pkg:docker/registry.example/org/other@v1?platform=linux%2Famd64", false),
        ("pkg:docker/registry.example/org/app@v1?repository_url=elsewhere.example", false),
        ("app", false),
    ] {
        let (attested, report) = Layout::build_named(name, true, str::to_owned).is_attested(compare);
        assert_eq!(attested, want, "{name}: {report:#}");
        assert_eq!(codes(&report).contains(&"repository-mismatch"), !want, "{name}: {report:#}");
    }
}
