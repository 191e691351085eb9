//! A registry of one image, of which one question at a time may have no answer.

use carnet_bundle::{Digest, Reference};
use serde_json::json;

use crate::rego::registry::{
    Answer, Head, LookupError, ManifestBytes, Referrer, Registry, SignerOptions, Verified, VerifiedAttestation, VerifiedSignature,
};

/// What the registry is asked, by the names of the trait.
pub(super) const QUESTIONS: [&str; 6] = ["blob", "head", "manifest", "referrers", "verify_attestation", "verify_image"];

const REPOSITORY: &str = "registry.example/app";
const TEXT: &[u8] = br#"{"a": 1}"#;
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";

pub(super) struct OneImage {
    /// The question that has no answer.
    silent: Option<&'static str>,
    layer: Vec<u8>,
    image: Vec<u8>,
    index: Vec<u8>,
}

impl OneImage {
    pub(super) fn without(silent: Option<&'static str>) -> Self {
        let layer = layer();
        let entry =
            |media_type: &str, bytes: &[u8]| json!({"mediaType": media_type, "digest": Digest::of(bytes), "size": bytes.len()});
        let config = entry("application/vnd.oci.image.config.v1+json", b"{}");
        let layers = [entry("application/vnd.oci.image.layer.v1.tar", &layer)];
        let image = json!({"schemaVersion": 2, "mediaType": IMAGE, "config": config, "layers": layers}).to_string().into_bytes();
        let mut child = entry(IMAGE, &image);
        child["platform"] = json!({"os": "linux", "architecture": "amd64"});
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [child]}).to_string().into_bytes();
        Self { silent, layer, image, index }
    }

    /// The data of the tests: references and digests.
    pub(super) fn data(&self) -> String {
        let digest = |bytes: &[u8]| Digest::of(bytes).to_string();
        let pinned = |bytes: &[u8]| format!("{REPOSITORY}@{}", digest(bytes));
        json!({
            "refs": {
                "image": pinned(&self.image),
                "index": pinned(&self.index),
                "layer": pinned(&self.layer),
                "signature": format!("{REPOSITORY}:{}", self.signature()),
                "tag": format!("{REPOSITORY}:v1"),
                "text": pinned(TEXT),
            },
            "digests": {"image": digest(&self.image), "index": digest(&self.index), "layer": digest(&self.layer)},
        })
        .to_string()
    }

    /// The tag under which the image's signature is found.
    fn signature(&self) -> String {
        format!("sha256-{}.sig", Digest::of(&self.image).to_hex())
    }

    fn answer<T>(&self, question: &str, found: Option<T>) -> Result<Answer<T>, LookupError> {
        let found = found.filter(|_| self.silent != Some(question));
        Ok(found.map_or(Answer::NotFound, Answer::Found))
    }

    fn verified(&self, question: &str, verified: Verified) -> Result<Verified, LookupError> {
        Ok(if self.silent == Some(question) { Verified::default() } else { verified })
    }
}

impl Registry for OneImage {
    fn head(&self, reference: &Reference) -> Result<Answer<Head>, LookupError> {
        let tags = ["v1".to_owned(), self.signature()];
        let known = tags.iter().any(|tag| reference.to_string() == format!("{REPOSITORY}:{tag}"));
        let size = u64::try_from(self.index.len()).unwrap();
        self.answer("head", known.then(|| Head { media_type: INDEX.to_owned(), digest: Digest::of(&self.index), size }))
    }

    fn manifest(&self, reference: &Reference) -> Result<Answer<ManifestBytes>, LookupError> {
        let mut all = [(INDEX, &self.index), (IMAGE, &self.image)].into_iter();
        let found = all.find(|(_, bytes)| reference.digest() == Some(&Digest::of(bytes)));
        self.answer(
            "manifest",
            found.map(|(media_type, bytes)| ManifestBytes { media_type: media_type.to_owned(), bytes: bytes.clone() }),
        )
    }

    fn blob(&self, reference: &Reference) -> Result<Answer<Vec<u8>>, LookupError> {
        let mut all = [TEXT, &self.layer].into_iter();
        self.answer("blob", all.find(|bytes| reference.digest() == Some(&Digest::of(bytes))).map(<[u8]>::to_vec))
    }

    fn referrers(&self, _: &Reference) -> Result<Answer<Vec<Referrer>>, LookupError> {
        let digest = Digest::of(TEXT).to_string();
        let referrer = Referrer { digest, artifact_type: "application/spdx+json".to_owned(), ..Referrer::default() };
        self.answer("referrers", Some(vec![referrer]))
    }

    fn verify_image(&self, _: &Reference, _: &SignerOptions) -> Result<Verified, LookupError> {
        let signature = VerifiedSignature { keyid: "of the image".to_owned(), ..VerifiedSignature::default() };
        self.verified("verify_image", Verified { signatures: vec![signature], ..Verified::default() })
    }

    fn verify_attestation(&self, _: &Reference, _: &SignerOptions) -> Result<Verified, LookupError> {
        let statement = json!({"predicateType": "https://example.com/predicate"});
        let attestation = VerifiedAttestation { statement, signatures: Vec::new() };
        self.verified("verify_attestation", Verified { attestations: vec![attestation], ..Verified::default() })
    }
}

/// A layer of one file.
fn layer() -> Vec<u8> {
    let content = br#"{"b": 2}"#;
    let mut header = tar::Header::new_ustar();
    header.set_size(u64::try_from(content.len()).unwrap());
    header.set_mode(0o644);
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_data(&mut header, "etc/b.json", content.as_slice()).unwrap();
    archive.into_inner().unwrap()
}
