//! The verdict as evidence: SLSA verification summaries that `carnet-verify` wrote,
//! signed with the operator's key, as referrers of the images that passed.
//!
//! They are DSSE envelopes and not Sigstore bundles: cosign looks at no `.sig` tag
//! of an image once a bundle refers to it, so a bundle would hide the signatures
//! that came along.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use carnet_bundle::{Descriptor, Digest, json, media};
use serde_json::{Value, json};

use crate::{cli::ImportArgs, error::ImportError, shipment::Shipment, signing_key::SigningKey};

const PREDICATE: &str = "https://slsa.dev/verification_summary/v1";
const PREDICATE_HINT: &str = "predicateType";

/// A signed verification summary, ready to be written.
pub(crate) struct Signed {
    /// The image that it is about.
    pub(crate) subject: Digest,
    /// Digest of [`Self::manifest`].
    pub(crate) digest: Digest,
    pub(crate) manifest: Bytes,
    envelope: Vec<u8>,
}

impl Signed {
    /// Signs the summaries of all images that passed, if there is a key.
    pub(crate) fn summaries(args: &ImportArgs, key: Option<&SigningKey>, shipment: &Shipment) -> Result<Vec<Self>, ImportError> {
        let Some((path, key)) = args.vsa_key.as_deref().zip(key) else { return Ok(Vec::new()) };
        let mut signed: Vec<Self> = Vec::new();
        for statement in &shipment.judged.summaries {
            let Some(subject) = passed_subject(statement, shipment)? else { continue };
            if signed.iter().any(|one| one.subject == subject) {
                continue;
            }
            let reason = |reason: &str| ImportError::Key { path: path.to_owned(), reason: reason.to_owned() };
            let signature = key.sign(&pre_authentication(statement)).map_err(reason)?;
            signed.push(Self::new(shipment, subject, statement, &signature)?);
        }
        Ok(signed)
    }

    fn new(shipment: &Shipment, subject: Digest, statement: &str, signature: &[u8]) -> Result<Self, ImportError> {
        let envelope = json::canonical(&json!({
            "payload": STANDARD.encode(statement),
            "payloadType": media::IN_TOTO,
            "signatures": [{ "keyid": "", "sig": STANDARD.encode(signature) }],
        }))?;
        let about = shipment.bundle.manifest(&subject).map_or(media::OCI_MANIFEST, |manifest| &manifest.media_type);
        let manifest = json::canonical(&json!({
            "schemaVersion": 2,
            "mediaType": media::OCI_MANIFEST,
            "artifactType": media::DSSE_ENVELOPE,
            "config": plain(&Descriptor::of(media::OCI_EMPTY, media::EMPTY_JSON)),
            "layers": [{
                "mediaType": media::DSSE_ENVELOPE,
                "digest": Digest::of(&envelope),
                "size": envelope.len(),
                "annotations": { PREDICATE_HINT: PREDICATE },
            }],
            "subject": { "mediaType": about, "digest": subject, "size": shipment.bundle.tree().manifest_size(&subject) },
            "annotations": { PREDICATE_HINT: PREDICATE },
        }))?;
        Ok(Self { subject, digest: Digest::of(&manifest), manifest: manifest.into(), envelope })
    }

    /// The blobs that the manifest names.
    pub(crate) fn blobs(&self) -> [(Descriptor, &[u8]); 2] {
        [
            (Descriptor::of(media::OCI_EMPTY, media::EMPTY_JSON), media::EMPTY_JSON),
            (Descriptor::of(media::DSSE_ENVELOPE, &self.envelope), &self.envelope),
        ]
    }

    /// The entry in a list of referrers.
    pub(crate) fn entry(&self) -> Value {
        json!({
            "mediaType": media::OCI_MANIFEST,
            "digest": self.digest,
            "size": self.manifest.len(),
            "artifactType": media::DSSE_ENVELOPE,
            "annotations": { PREDICATE_HINT: PREDICATE },
        })
    }
}

/// The image that a summary says has passed, if it is one that is written.
fn passed_subject(statement: &str, shipment: &Shipment) -> Result<Option<Digest>, ImportError> {
    let parsed = json::parse(statement.as_bytes())?;
    let text = |pointer: &str| parsed.pointer(pointer).and_then(Value::as_str);
    if text("/predicateType") != Some(PREDICATE) || text("/predicate/verificationResult") != Some("PASSED") {
        return Ok(None);
    }
    let subject = text("/subject/0/digest/sha256").and_then(|hex| Digest::from_hex(hex).ok());
    Ok(subject.filter(|subject| shipment.passed().any(|image| image.belongings.manifests.contains(subject))))
}

/// What DSSE signs (its protocol.md, "PAE").
fn pre_authentication(statement: &str) -> Vec<u8> {
    format!("DSSEv1 {} {} {} {statement}", media::IN_TOTO.len(), media::IN_TOTO, statement.len()).into_bytes()
}

fn plain(descriptor: &Descriptor) -> Value {
    json!({ "mediaType": descriptor.media_type, "digest": descriptor.digest, "size": descriptor.size })
}
