//! An exported archive, what can be attached to it, and how it is judged.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use carnet_bundle::{Archive, Attachment, Bundle, Content, Digest, Limits, Plan, json, open};
use serde_json::{Value, json};

use super::{keys::Key, world::pae};

#[path = "../support/members.rs"]
mod archive;
pub(crate) use archive::{members, tar};

const REFERENCE: &str = "registry.example/org/app:v1";

pub(crate) struct Stage {
    dir: tempfile::TempDir,
    pub(crate) archive: PathBuf,
    pub(crate) id: Digest,
}

/// How a run of `carnet-verify` ended.
pub(crate) struct Verdict {
    pub(crate) status: i32,
    pub(crate) report: Value,
    pub(crate) said: String,
}

impl Stage {
    /// Exports an image that the key `demo` signed.
    pub(crate) fn new() -> Self {
        Self::of("key-notlog")
    }

    pub(crate) fn of(set: &str) -> Self {
        Self::exported(set, &[])
    }

    pub(crate) fn exported(set: &str, flags: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let archive = dir.path().join("app.carnet.tar");
        let layout = format!("oci:{}", testdata(&format!("layouts/local-sigstore/{set}")).display());
        let words = ["export", REFERENCE, "--reproducible", "--no-preflight", "--quiet", "--from", &layout, "-o"];
        let output = Command::new(carnet()).args(words).arg(&archive).args(flags).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let id = opened(&archive).id();
        Self { dir, archive, id }
    }

    pub(crate) fn bundle(&self) -> Bundle {
        opened(&self.archive)
    }

    /// Codes of what gate 1 finds.
    pub(crate) fn findings(&self) -> Vec<&'static str> {
        let limits = Limits::default();
        let mut container = Archive::new(fs::File::open(&self.archive).unwrap(), &limits).unwrap();
        open(&mut container, &limits).unwrap().findings.iter().map(|finding| finding.code).collect()
    }

    /// The bytes that a signature over the bundle is over.
    pub(crate) fn index(&self) -> Vec<u8> {
        self.bundle().blob(&self.id).unwrap().to_vec()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        path.display().to_string()
    }

    /// Runs `carnet attach` on the archive.
    pub(crate) fn attach(&self, file: &str, flags: &[&str]) -> Output {
        Command::new(carnet()).arg("attach").arg(&self.archive).arg(file).args(flags).stdin(Stdio::null()).output().unwrap()
    }

    pub(crate) fn attached(&self, file: &str) {
        let output = self.attach(file, &[]);
        assert!(output.status.success(), "{}", said(&output));
    }

    /// The archive with these attachments, whoever they are about.
    pub(crate) fn with(&self, attachments: &[Attachment]) -> Vec<u8> {
        let plan = Plan::of_bundle(&self.bundle(), attachments).unwrap();
        let old = members(&fs::read(&self.archive).unwrap());
        let data = |name: &str| old.iter().find(|(other, _)| other == name).unwrap().1.clone();
        let made = plan.members().iter().map(|member| {
            let bytes = match &member.content {
                Content::Bytes(bytes) => bytes.to_vec(),
                Content::Stream(_) => data(&member.name),
            };
            (member.name.clone(), bytes)
        });
        tar(&made.collect::<Vec<_>>())
    }

    /// The archive with blobs added, and an entry of index.json for each manifest
    /// of `attachments`, which is given with its artifactType.
    pub(crate) fn forged(&self, attachments: &[(String, Vec<u8>)], blobs: &[Vec<u8>]) -> Vec<u8> {
        let mut all = members(&fs::read(&self.archive).unwrap());
        let mut index: Value = serde_json::from_slice(&all[1].1).unwrap();
        let entries = index["manifests"].as_array_mut().unwrap();
        let bundle = entries.pop().unwrap();
        let mut sorted: Vec<_> = attachments.iter().map(|(kind, bytes)| (Digest::of(bytes), kind, bytes)).collect();
        sorted.sort();
        for (digest, kind, bytes) in &sorted {
            let media_type = "application/vnd.oci.image.manifest.v1+json";
            entries.push(json!({"artifactType": kind, "digest": digest, "mediaType": media_type, "size": bytes.len()}));
        }
        entries.push(bundle);
        all[1].1 = json::canonical(&index).unwrap();
        for bytes in sorted.into_iter().map(|(_, _, bytes)| bytes).chain(blobs) {
            all.push((format!("blobs/sha256/{}", Digest::of(bytes).to_hex()), bytes.clone()));
        }
        tar(&all)
    }

    /// Judges the archive by the key of its image, as an operator would.
    pub(crate) fn judge(&self, flags: &[&str]) -> Verdict {
        self.judge_file(&self.archive, flags)
    }

    pub(crate) fn judge_bytes(&self, archive: &[u8], flags: &[&str]) -> Verdict {
        self.judge_file(Path::new(&self.file("judged.carnet.tar", archive)), flags)
    }

    pub(crate) fn judge_file(&self, archive: &Path, flags: &[&str]) -> Verdict {
        let words = ["--image", REFERENCE, "--output", "json", "--public-key"];
        let mut command = Command::new(verifier());
        command.arg(archive).args(words).arg(testdata("trust/local-sigstore/demo.pub")).args(flags);
        let output = command.output().unwrap();
        let report = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
        Verdict { status: output.status.code().unwrap(), report, said: said(&output) }
    }

    /// What a form of report says.
    pub(crate) fn report(&self, form: &str, flags: &[&str]) -> String {
        let key = testdata("trust/local-sigstore/demo.pub");
        let mut command = Command::new(verifier());
        command.arg(&self.archive).args(["--image", REFERENCE, "--output", form, "--public-key"]).arg(key).args(flags);
        said(&command.output().unwrap())
    }
}

impl Verdict {
    fn list(&self, name: &str) -> &[Value] {
        self.report["carnet"][name].as_array().map(Vec::as_slice).unwrap_or_default()
    }

    /// Codes of findings of that severity, each once.
    pub(crate) fn codes(&self, severity: &str) -> Vec<&str> {
        let found = self.list("findings").iter().filter(|finding| finding["severity"] == severity);
        let mut codes: Vec<_> = found.map(|finding| finding["code"].as_str().unwrap()).collect();
        codes.sort_unstable();
        codes.dedup();
        codes
    }

    pub(crate) fn message(&self, code: &str) -> String {
        let found = self.list("findings").iter().find(|finding| finding["code"] == code);
        found.unwrap_or_else(|| panic!("no {code}: {:#}", self.report["carnet"]))["message"].as_str().unwrap().to_owned()
    }

    /// Who vouches for each assumption.
    pub(crate) fn vouched_by(&self) -> Vec<&str> {
        let assumptions = self.list("assumptions");
        assert!(!assumptions.is_empty(), "{:#} {}", self.report["carnet"], self.said);
        assumptions.iter().map(|one| one["vouchedBy"].as_str().unwrap_or_default()).collect()
    }
}

/// A message signature by a key, without a log, as a Sigstore bundle.
pub(crate) fn signature(key: &Key, message: &[u8]) -> Vec<u8> {
    let value = json!({
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {"publicKey": {"hint": "aGludA=="}},
        "messageSignature": {
            "messageDigest": {"algorithm": "SHA2_256", "digest": STANDARD.encode(Digest::of(message).as_bytes())},
            "signature": STANDARD.encode(key.sign(message)),
        },
    });
    value.to_string().into_bytes()
}

/// A statement about a digest.
pub(crate) fn statement(about: &Digest, predicate_type: &str, predicate: &Value) -> Vec<u8> {
    let value = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "bundle", "digest": {"sha256": about.to_hex()}}],
        "predicateType": predicate_type,
        "predicate": predicate,
    });
    value.to_string().into_bytes()
}

/// A DSSE envelope by a key.
pub(crate) fn envelope(key: &Key, payload: &[u8]) -> Vec<u8> {
    let value = json!({
        "payload": STANDARD.encode(payload),
        "payloadType": "application/vnd.in-toto+json",
        "signatures": [{"keyid": "", "sig": STANDARD.encode(key.sign(&pae(payload)))}],
    });
    value.to_string().into_bytes()
}

pub(crate) fn opened(archive: &Path) -> Bundle {
    let limits = Limits::default();
    let mut container = Archive::new(fs::File::open(archive).unwrap(), &limits).unwrap();
    open(&mut container, &limits).unwrap().bundle.unwrap()
}

pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stderr[..], &output.stdout[..]].concat()).into_owned()
}

pub(crate) fn carnet() -> &'static str {
    env!("CARGO_BIN_EXE_carnet")
}

pub(crate) fn verifier() -> PathBuf {
    let path = Path::new(carnet()).with_file_name("carnet-verify");
    assert!(path.exists(), "{} is missing: build the workspace first (cargo build --workspace)", path.display());
    path
}

pub(crate) fn testdata(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata").join(path)
}
