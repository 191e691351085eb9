//! Rules of the trust policy through the programs: which images of an index need
//! evidence of their own, names of subjects, schemas, Notary Project signatures.

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
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// What stands before the point of a P-256 key in DER (RFC 5480).
const P256: &str = "3059301306072a8648ce3d020106082a8648ce3d030107034200";

/// An OCI layout of an index of two platforms, in the making.
struct Layout {
    folder: TempDir,
    key: EcdsaKeyPair,
    tags: Vec<Value>,
    index: Value,
    children: Vec<Value>,
}

/// A statement that cosign's `.att` holds about an image.
struct Attested<'a> {
    name: &'a str,
    predicate_type: &'a str,
    predicate: Value,
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
        let mut layout = Self { folder, key, tags: Vec::new(), index: Value::Null, children: Vec::new() };
        for architecture in ["amd64", "arm64"] {
            let mut child = layout.manifest(architecture, &[]);
            child["platform"] = json!({"architecture": architecture, "os": "linux"});
            layout.children.push(child);
        }
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": layout.children});
        layout.index = layout.blob(INDEX, index.to_string().as_bytes());
        let index = layout.index.clone();
        layout.tag(&index, "v1");
        layout
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn blob(&self, media_type: &str, bytes: &[u8]) -> Value {
        let digest = Digest::of(bytes);
        fs::write(self.path("layout/blobs/sha256").join(digest.to_hex()), bytes).unwrap();
        json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
    }

    fn manifest(&self, architecture: &str, layers: &[Value]) -> Value {
        let config = json!({
            "architecture": architecture, "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": []},
        });
        let config = self.blob(CONFIG, config.to_string().as_bytes());
        let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers});
        self.blob(MANIFEST, manifest.to_string().as_bytes())
    }

    fn tag(&mut self, descriptor: &Value, name: &str) {
        let mut entry = descriptor.clone();
        entry.as_object_mut().unwrap().remove("platform");
        entry["annotations"] = json!({"org.opencontainers.image.ref.name": name});
        self.tags.push(entry);
    }

    fn evidence(&mut self, about: &Value, suffix: &str, layer: Value) {
        let manifest = self.manifest("amd64", &[layer]);
        let digest = about["digest"].as_str().unwrap().replace(':', "-");
        self.tag(&manifest, &format!("{digest}.{suffix}"));
    }

    /// Signs as cosign 2 does.
    fn sign(&mut self, descriptor: &Value) {
        let payload = json!({"critical": {
            "identity": {"docker-reference": "registry.example/org/app"},
            "image": {"docker-manifest-digest": descriptor["digest"]},
            "type": "cosign container image signature",
        }, "optional": null})
        .to_string();
        let signature = self.key.sign(&SystemRandom::new(), payload.as_bytes()).unwrap();
        let mut layer = self.blob("application/vnd.dev.cosign.simplesigning.v1+json", payload.as_bytes());
        layer["annotations"] = json!({"dev.cosignproject.cosign/signature": BASE64_STANDARD.encode(signature)});
        self.evidence(descriptor, "sig", layer);
    }

    /// Attests as cosign 2 does.
    fn attest(&mut self, descriptor: &Value, attested: &Attested<'_>) {
        const TYPE: &str = "application/vnd.in-toto+json";
        let hex = descriptor["digest"].as_str().unwrap().trim_start_matches("sha256:").to_owned();
        let payload = json!({
            "_type": "https://in-toto.io/Statement/v0.1",
            "subject": [{"name": attested.name, "digest": {"sha256": hex}}],
            "predicateType": attested.predicate_type, "predicate": attested.predicate,
        })
        .to_string();
        let encoded = format!("DSSEv1 {} {TYPE} {} {payload}", TYPE.len(), payload.len());
        let signature = self.key.sign(&SystemRandom::new(), encoded.as_bytes()).unwrap();
        let envelope = json!({
            "payloadType": TYPE, "payload": BASE64_STANDARD.encode(payload),
            "signatures": [{"keyid": "", "sig": BASE64_STANDARD.encode(signature)}],
        });
        let mut layer = self.blob("application/vnd.dsse.envelope.v1+json", envelope.to_string().as_bytes());
        layer["annotations"] = json!({"dev.cosignproject.cosign/signature": "", "predicateType": attested.predicate_type});
        self.evidence(descriptor, "att", layer);
    }

    /// Signs and attests in a way that nothing objects to.
    fn sign_well(&mut self, descriptor: &Value) {
        self.sign(descriptor);
        let attested =
            Attested { name: "registry.example/org/app", predicate_type: "https://example.com/x", predicate: json!({}) };
        self.attest(descriptor, &attested);
    }

    /// Exports and judges by a trust policy with these members.
    fn judge(&self, policy: &str, flags: &[&str]) -> Report {
        self.judge_as(REFERENCE, policy, flags)
    }

    /// The same for an index that the operator names by digest.
    fn judge_pinned(&self, policy: &str) -> Report {
        self.judge_as(&format!("{REFERENCE}@{}", self.index["digest"].as_str().unwrap()), policy, &[])
    }

    fn judge_as(&self, image: &str, policy: &str, flags: &[&str]) -> Report {
        let carnet = env!("CARGO_BIN_EXE_carnet");
        let document = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": self.tags});
        fs::write(self.path("layout/index.json"), document.to_string()).unwrap();
        fs::write(self.path("layout/oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        let archive = self.path("app.carnet.tar");
        let from = format!("oci:{}", self.path("layout").display());
        let mut export = Command::new(carnet);
        export.args(["export", REFERENCE, "--from", &from, "--quiet", "-o"]).arg(&archive);
        let export = export.output().unwrap();
        assert!(export.status.success(), "{}", String::from_utf8_lossy(&export.stderr));
        let trust = self.path("trust.yaml");
        fs::write(&trust, format!("apiVersion: carnet/v0\nkind: TrustPolicy\n{policy}")).unwrap();
        let mut verify = Command::new(Path::new(carnet).with_file_name("carnet-verify"));
        verify.arg(&archive).args(["--image", image, "--ignore-rekor", "--output", "json", "--show-successes"]);
        verify.arg("--public-key").arg(self.path("key.pub")).arg("--trust-policy").arg(&trust).args(flags);
        let verify = verify.output().unwrap();
        let error = String::from_utf8_lossy(&verify.stderr);
        let value = serde_json::from_slice(&verify.stdout).unwrap_or_else(|e| panic!("{e}: {error}"));
        Report { value, code: verify.status.code().unwrap() }
    }
}

#[derive(Debug)]
struct Report {
    value: Value,
    code: i32,
}

impl Report {
    /// Digests of the images that were judged as components.
    fn judged(&self) -> Vec<&str> {
        let components = self.value["components"].as_array().unwrap();
        let mut digests: Vec<_> =
            components.iter().map(|c| c["containerImage"].as_str().unwrap().split_once('@').unwrap().1).collect();
        digests.sort_unstable();
        digests
    }

    fn failures(&self) -> Vec<&str> {
        let findings = self.value["carnet"]["findings"].as_array().unwrap();
        findings.iter().filter(|f| f["severity"] == "failure").map(|f| f["code"].as_str().unwrap()).collect()
    }
}

fn digests<'a>(descriptors: &[&'a Value]) -> Vec<&'a str> {
    let mut digests: Vec<_> = descriptors.iter().map(|d| d["digest"].as_str().unwrap()).collect();
    digests.sort_unstable();
    digests
}

#[test]
fn a_scope_says_which_images_need_evidence_of_their_own() {
    let mut layout = Layout::new();
    let index = layout.index.clone();
    let [amd64, arm64] = [0, 1].map(|n| layout.children[n].clone());
    layout.sign_well(&index);
    layout.sign_well(&amd64);
    // arm64 has no evidence.
    let all = layout.judge("signatures: {scope: as-conforma}\n", &[]);
    assert_eq!((all.code, all.judged()), (1, digests(&[&index, &amd64, &arm64])), "{all:?}");

    let root = layout.judge("signatures: {scope: root}\n", &[]);
    assert_eq!((root.code, root.judged()), (0, digests(&[&index])), "{root:?}");
    let relaxed = root.value["carnet"]["relaxations"].as_array().unwrap();
    assert!(relaxed.iter().any(|relaxation| relaxation["effect"] == "signatures.scope"), "{relaxed:?}");

    let selected = layout.judge("signatures: {scope: selected-platform}\n", &["--platform", "linux/amd64"]);
    assert_eq!((selected.code, selected.judged()), (0, digests(&[&index, &amd64])), "{selected:?}");
    let other = layout.judge("signatures: {scope: selected-platform}\n", &["--platform", "linux/arm64"]);
    assert_eq!((other.code, other.judged()), (1, digests(&[&index, &arm64])), "{other:?}");
    // Where none is named, every platform is selected.
    let none = layout.judge("signatures: {scope: selected-platform}\n", &[]);
    assert_eq!((none.code, none.judged()), (1, digests(&[&index, &amd64, &arm64])), "{none:?}");

    let every = layout.judge_pinned(EVERY);
    assert_eq!((every.code, every.judged()), (1, digests(&[&amd64, &arm64])), "{every:?}");
    layout.sign_well(&arm64);
    let every = layout.judge_pinned(EVERY);
    assert_eq!((every.code, every.judged()), (0, digests(&[&amd64, &arm64])), "{every:?}");
}

#[test]
fn children_do_not_speak_for_their_index() {
    let mut layout = Layout::new();
    for child in layout.children.clone() {
        layout.sign_well(&child);
    }
    for scope in ["as-conforma", "root", "selected-platform"] {
        let report = layout.judge(&format!("signatures: {{scope: {scope}}}\n"), &[]);
        assert!(report.code == 1 && report.failures().contains(&"image-signature-not-verified"), "{scope}: {report:?}");
    }
    assert_eq!(layout.judge_pinned(EVERY).code, 0);
    // Behind a tag the exporter would choose the index.
    let tagged = layout.judge(EVERY, &[]);
    assert!(tagged.code == 1 && tagged.failures().contains(&"image-signature-not-verified"), "{tagged:?}");
}

const EVERY: &str = "signatures: {scope: every-platform}\n";
const ROOT: &str = "signatures: {scope: root}\n";

#[test]
fn names_of_subjects_are_compared_where_the_operator_says_so() {
    for (name, codes) in [
        ("registry.example/org/app", &[][..]),
        ("registry.example/org/app:v1", &[]),
        ("registry.example/org/other", &["attestation-not-verified"]),
    ] {
        let mut layout = Layout::new();
        let index = layout.index.clone();
        layout.sign(&index);
        layout.attest(&index, &Attested { name, predicate_type: "https://example.com/x", predicate: json!({}) });
        assert_eq!(layout.judge(ROOT, &[]).code, 0, "{name}");
        let report = layout.judge(&format!("{ROOT}attestations: {{subjectName: match}}\n"), &[]);
        assert_eq!(report.failures(), codes, "{name}: {report:?}");
    }
}

#[test]
fn a_violation_of_the_schema_is_lowered_where_the_operator_says_so() {
    let mut layout = Layout::new();
    let index = layout.index.clone();
    layout.sign(&index);
    let predicate = json!({"buildDefinition": {"buildType": "x"}, "runDetails": {"builder": {"id": "12270807"}}});
    layout.attest(&index, &Attested { name: "app", predicate_type: "https://slsa.dev/provenance/v1", predicate });
    let strict = layout.judge(ROOT, &[]);
    assert_eq!((strict.code, strict.failures()), (1, vec!["attestation-syntax"]), "{strict:?}");
    let warned = layout.judge(&format!("{ROOT}attestations: {{slsaSchema: warn}}\n"), &[]);
    assert_eq!((warned.code, warned.failures()), (0, vec![]), "{warned:?}");
    assert_eq!(warned.value["components"][0]["warnings"][0]["metadata"]["code"], "builtin.attestation.syntax_check");
}

/// A key is one signer, however often it signs.
#[test]
fn one_key_is_one_signer() {
    let mut layout = Layout::new();
    let index = layout.index.clone();
    layout.sign_well(&index);
    let report = layout.judge("signatures: {scope: root, threshold: 2}\nattestations: {threshold: 2}\n", &[]);
    assert_eq!(report.failures(), ["attestation-signers-too-few", "image-signers-too-few"], "{report:?}");
}

#[test]
fn a_notary_project_signature_is_looked_for() {
    let mut layout = Layout::new();
    let index = layout.index.clone();
    layout.sign_well(&index);
    let require = format!("{ROOT}attestations: {{notation: require}}\n");
    let forbid = format!("{ROOT}attestations: {{notation: forbid}}\n");
    assert_eq!(layout.judge(&require, &[]).failures(), ["notation-signature-missing"]);
    assert_eq!(layout.judge(&forbid, &[]).code, 0);
    let mut subject = index.clone();
    subject.as_object_mut().unwrap().remove("annotations");
    let (config, layer) =
        (layout.blob("application/vnd.oci.empty.v1+json", b"{}"), layout.blob("application/jose+json", b"{\"payload\":\"\"}"));
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": "application/vnd.cncf.notary.signature",
        "config": config, "layers": [layer], "subject": subject,
    });
    let manifest = layout.blob(MANIFEST, manifest.to_string().as_bytes());
    layout.tags.push(manifest);
    let present = layout.judge(&require, &[]);
    assert_eq!(present.code, 0, "{present:?}");
    let findings = present.value["carnet"]["findings"].as_array().unwrap();
    assert!(findings.iter().any(|finding| finding["code"] == "not-verified-kind"), "{findings:?}");
    assert_eq!(layout.judge(&forbid, &[]).failures(), ["notation-signature-forbidden"]);
}
