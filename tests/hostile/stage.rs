//! Images signed with a key of their own, archives of them by the real `carnet`, and
//! what somebody else makes of these archives.

#![allow(dead_code, reason = "every suite uses a part of it")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use carnet_bundle::{
    Archive, Assembly, Bundle, Content, Descriptor, Digest, Document, Limits, Manifest, Plan, container::BLOCK, media, open,
};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair},
};
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) const MANIFEST: &str = media::OCI_MANIFEST;
pub(crate) const INDEX: &str = media::OCI_INDEX;
const CONFIG: &str = media::OCI_CONFIG;
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const STATEMENT: &str = "application/vnd.in-toto+json";
/// What stands before the point of a P-256 key in DER (RFC 5480).
const P256: &str = "3059301306072a8648ce3d020106082a8648ce3d030107034200";

/// A folder, and the key of the signer whom the operator trusts.
pub(crate) struct Stage {
    folder: TempDir,
    key: EcdsaKeyPair,
}

/// An OCI layout in the making.
pub(crate) struct Layout<'s> {
    stage: &'s Stage,
    folder: PathBuf,
    tags: Vec<Value>,
}

/// A run of `carnet-verify`.
pub(crate) struct Ended {
    pub(crate) status: Option<i32>,
    pub(crate) report: Value,
    pub(crate) said: String,
}

impl Stage {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, document.as_ref(), &random).unwrap();
        let der = [hex::decode(P256).unwrap().as_slice(), key.public_key().as_ref()].concat();
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", BASE64_STANDARD.encode(der));
        fs::write(folder.path().join("key.pub"), pem).unwrap();
        Self { folder, key }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    pub(crate) fn layout(&self, name: &str) -> Layout<'_> {
        let folder = self.path(name);
        fs::create_dir_all(folder.join("blobs/sha256")).unwrap();
        Layout { stage: self, folder, tags: Vec::new() }
    }

    /// A layout with one signed and attested image, and its digest.
    pub(crate) fn image(&self, name: &str) -> Digest {
        let mut layout = self.layout(name);
        let image = layout.image(name.as_bytes(), json!({}));
        layout.tag(&image, "v1");
        layout.vouch(&image);
        layout.finish();
        digest(&image)
    }

    /// An archive of these images, each from its layout.
    pub(crate) fn export(&self, archive: &str, images: &[(&str, &str)]) -> PathBuf {
        let path = self.path(archive);
        let mut export = Command::new(carnet());
        export.args(["export", "--proofs=skip", "--no-cache", "--no-preflight", "--quiet", "-o"]).arg(&path);
        for (reference, layout) in images {
            let repository = reference.rsplit_once(':').unwrap().0;
            export.arg(reference).arg("--from").arg(format!("{repository}=oci:{}", self.path(layout).display()));
        }
        let ended = export.output().unwrap();
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
        path
    }

    /// Takes an archive apart, has it changed, and puts it together as exporters do.
    pub(crate) fn change(&self, archive: &Path, change: impl FnOnce(&mut Assembly, &Bundle)) {
        let members = members(&fs::read(archive).unwrap());
        let bundle = opened(archive);
        let mut assembly = taken_apart(&bundle, &members);
        change(&mut assembly, &bundle);
        fs::write(archive, put_together(assembly, &members)).unwrap();
    }

    pub(crate) fn verify(&self, archive: &Path, words: &[&str]) -> Ended {
        let mut verify = Command::new(carnet().with_file_name("carnet-verify"));
        verify.current_dir(self.folder.path()).arg(archive).args(["--ignore-rekor", "--output=json", "--quiet"]).args(words);
        if !words.iter().any(|word| word.starts_with("--policy")) {
            verify.args(["--public-key", "key.pub"]);
        }
        let output: Output = verify.output().unwrap();
        Ended {
            status: output.status.code(),
            report: serde_json::from_slice(&output.stdout).unwrap_or_default(),
            said: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// `images.yaml` with these names and references.
    pub(crate) fn list(&self, components: &[(&str, &str)]) -> String {
        let components: Vec<Value> =
            components.iter().map(|(name, image)| json!({ "name": name, "containerImage": image })).collect();
        json!({ "components": components }).to_string()
    }
}

impl Layout<'_> {
    pub(crate) fn blob(&self, media_type: &str, bytes: impl AsRef<[u8]>) -> Value {
        let digest = Digest::of(bytes.as_ref());
        fs::write(self.folder.join("blobs/sha256").join(digest.to_hex()), bytes.as_ref()).unwrap();
        json!({ "mediaType": media_type, "digest": digest, "size": bytes.as_ref().len() })
    }

    /// An image of one layer; `more` are further members of its manifest.
    pub(crate) fn image(&self, layer: &[u8], more: Value) -> Value {
        let config = json!({ "architecture": "amd64", "os": "linux", "rootfs": { "type": "layers", "diff_ids": [] } });
        let layers = [self.blob(LAYER, layer)];
        self.manifest(self.blob(CONFIG, config.to_string()), &layers, more)
    }

    pub(crate) fn manifest(&self, config: Value, layers: &[Value], more: Value) -> Value {
        let mut manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers });
        manifest.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.blob(MANIFEST, manifest.to_string())
    }

    pub(crate) fn index(&self, children: &[Value]) -> Value {
        self.blob(INDEX, json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": children }).to_string())
    }

    pub(crate) fn tag(&mut self, descriptor: &Value, name: &str) {
        let entry = json!({
            "mediaType": descriptor["mediaType"], "digest": descriptor["digest"], "size": descriptor["size"],
            "annotations": { "org.opencontainers.image.ref.name": name },
        });
        self.tags.push(entry);
    }

    /// Signs and attests as cosign 2 does.
    pub(crate) fn vouch(&mut self, image: &Value) {
        self.sign(image);
        self.attest(image, "https://example.com/built", &json!({}));
    }

    pub(crate) fn sign(&mut self, image: &Value) {
        let payload = json!({
            "critical": {
                "identity": { "docker-reference": "registry.example/org/app" },
                "image": { "docker-manifest-digest": image["digest"] },
                "type": "cosign container image signature",
            },
            "optional": null,
        })
        .to_string();
        let mut layer = self.blob(media::SIMPLE_SIGNING, &payload);
        layer["annotations"] = json!({ "dev.cosignproject.cosign/signature": self.signature(payload.as_bytes()) });
        self.legacy(image, layer, "sig");
    }

    pub(crate) fn attest(&mut self, image: &Value, predicate_type: &str, predicate: &Value) {
        let payload = statement(image, predicate_type, predicate);
        let signed = format!("DSSEv1 {} {STATEMENT} {} {payload}", STATEMENT.len(), payload.len());
        let envelope = json!({
            "payloadType": STATEMENT,
            "payload": BASE64_STANDARD.encode(&payload),
            "signatures": [{ "keyid": "", "sig": self.signature(signed.as_bytes()) }],
        });
        let layer = self.blob(media::DSSE_ENVELOPE, envelope.to_string());
        self.legacy(image, layer, "att");
    }

    /// A manifest that refers to an image, unsigned.
    pub(crate) fn refer(&mut self, image: &Value, media_type: &str, payload: &[u8]) -> Value {
        let subject = json!({ "mediaType": image["mediaType"], "digest": image["digest"], "size": image["size"] });
        let config = self.blob(media::OCI_EMPTY, "{}");
        let manifest =
            self.manifest(config, &[self.blob(media_type, payload)], json!({ "subject": subject, "artifactType": media_type }));
        self.tags.push(manifest.clone());
        manifest
    }

    pub(crate) fn finish(self) {
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": self.tags });
        fs::write(self.folder.join("index.json"), index.to_string()).unwrap();
        fs::write(self.folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    }

    fn legacy(&mut self, image: &Value, layer: Value, suffix: &str) {
        let manifest = self.manifest(self.blob(CONFIG, "{}"), &[layer], json!({}));
        let tag = image["digest"].as_str().unwrap().replace(':', "-");
        self.tag(&manifest, &format!("{tag}.{suffix}"));
    }

    fn signature(&self, bytes: &[u8]) -> String {
        BASE64_STANDARD.encode(self.stage.key.sign(&SystemRandom::new(), bytes).unwrap())
    }
}

impl Ended {
    /// Codes of the findings of one severity.
    pub(crate) fn codes(&self, severity: &str) -> Vec<&str> {
        let findings = self.report["carnet"]["findings"].as_array().into_iter().flatten();
        findings.filter(|finding| finding["severity"] == severity).filter_map(|finding| finding["code"].as_str()).collect()
    }

    pub(crate) fn passes(&self, what: &str) {
        assert_eq!(self.status, Some(0), "{what}: {} {:#}", self.said, self.report["carnet"]["findings"]);
    }

    /// A verdict, and it is fail for this reason.
    pub(crate) fn fails(&self, code: &str, what: &str) {
        assert_eq!(self.status, Some(1), "{what}: {} {:#}", self.said, self.report["carnet"]["findings"]);
        assert!(self.codes("failure").contains(&code), "{what}: {:?}", self.codes("failure"));
    }

    /// No verdict, and the words that say why.
    pub(crate) fn is_open(&self, reason: &str, what: &str) {
        assert_eq!(self.status, Some(2), "{what}: {} {:#}", self.said, self.report["carnet"]["findings"]);
        assert!(self.said.contains(reason), "{what}: {}", self.said);
    }
}

pub(crate) fn statement(image: &Value, predicate_type: &str, predicate: &Value) -> String {
    let hex = image["digest"].as_str().unwrap().trim_start_matches("sha256:");
    let subject = json!([{ "name": "app", "digest": { "sha256": hex } }]);
    json!({
        "_type": "https://in-toto.io/Statement/v0.1", "subject": subject,
        "predicateType": predicate_type, "predicate": predicate,
    })
    .to_string()
}

pub(crate) fn digest(descriptor: &Value) -> Digest {
    descriptor["digest"].as_str().unwrap().parse().unwrap()
}

pub(crate) fn carnet() -> PathBuf {
    env!("CARGO_BIN_EXE_carnet").into()
}

pub(crate) fn opened(archive: &Path) -> Bundle {
    let limits = Limits::default();
    open(&mut Archive::new(fs::File::open(archive).unwrap(), &limits).unwrap(), &limits).unwrap().bundle.unwrap()
}

fn taken_apart(bundle: &Bundle, members: &BTreeMap<Digest, Vec<u8>>) -> Assembly {
    let inventory = bundle.inventory().clone();
    let document = |carried: carnet_bundle::CarriedDocument<'_>| Document {
        media_type: carried.media_type.to_owned(),
        title: carried.title.to_owned(),
        bytes: carried.bytes.to_vec(),
    };
    let listed: BTreeMap<Digest, Descriptor> =
        inventory.evidence.iter().map(|entry| (entry.digest, descriptor(bundle.blob(&entry.digest).unwrap()))).collect();
    Assembly {
        evidence_manifests: listed.into_values().collect(),
        documents: bundle.documents().map(document).collect(),
        policy_layers: bundle.policy_documents().map(document).collect(),
        blobs: members.iter().filter(|(digest, _)| bundle.blob(digest).is_some()).map(|(d, b)| (*d, b.clone())).collect(),
        subjects: inventory.subjects,
        evidence: inventory.evidence,
        proofs: inventory.proofs,
        receipts: inventory.looked_for,
        absent: inventory.absent,
    }
}

/// The descriptor of a manifest.
pub(crate) fn descriptor(manifest: &[u8]) -> Descriptor {
    let entry = json!({ "mediaType": MANIFEST, "digest": Digest::of(manifest), "size": manifest.len() });
    let index = json!({ "schemaVersion": 2, "manifests": [entry] }).to_string();
    Manifest::parse(index.as_bytes(), INDEX).unwrap().children()[0].clone()
}

/// The blobs of an archive.
fn members(archive: &[u8]) -> BTreeMap<Digest, Vec<u8>> {
    let mut members = BTreeMap::new();
    for entry in tar::Archive::new(archive).entries().unwrap() {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut entry.unwrap(), &mut bytes).unwrap();
        members.insert(Digest::of(&bytes), bytes);
    }
    members
}

fn put_together(assembly: Assembly, members: &BTreeMap<Digest, Vec<u8>>) -> Vec<u8> {
    let mut archive = Vec::new();
    for member in Plan::new(assembly).unwrap().members() {
        archive.extend_from_slice(&member.header());
        match &member.content {
            Content::Bytes(bytes) => archive.extend_from_slice(bytes),
            Content::Stream(_) => archive.extend_from_slice(&members[&member.digest]),
        }
        archive.resize(archive.len().next_multiple_of(BLOCK), 0);
    }
    archive.resize(archive.len() + 2 * BLOCK, 0);
    archive
}
