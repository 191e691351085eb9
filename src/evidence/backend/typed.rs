//! Our values as the types of the `sigstore-*` crates.

use jiff::Timestamp;
use serde_json::{Value, json};
use sigstore_trust_root::TrustedRoot;
use sigstore_types::{
    Bundle, CanonicalizedBody, DerCertificate, DerPublicKey, DsseEnvelope, DsseSignature, KeyId, KindVersion, LogId, LogIndex,
    LogKeyId, MediaType, MessageSignature, PayloadBytes, PublicKeyIdentifier, Sha256Hash, SignatureBytes, SignatureContent,
    SignedTimestamp, TimestampToken, TransparencyLogEntry, VerificationMaterial, VerificationMaterialContent,
    bundle::{
        CertificateContent, CheckpointData, InclusionPromise, InclusionProof, Rfc3161Timestamp, TimestampVerificationData,
        X509Certificate,
    },
};

use super::Question;
use crate::{
    chain::Authority,
    encoding::to_base64,
    public_key::{KeyAlgorithm, PublicKey},
    signed::{Content, Form, LogEntry, Material},
    trust_root::{Log, TrustRoot, Window},
};

/// The trust root as the crate reads it. Its types have no constructors, so this
/// one goes through JSON that is written here.
pub(super) fn trusted_root(root: &TrustRoot) -> Result<TrustedRoot, String> {
    let value = json!({
        "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
        "tlogs": root.logs().iter().map(log).collect::<Vec<_>>(),
        "ctlogs": root.ct_logs().iter().map(log).collect::<Vec<_>>(),
        "certificateAuthorities": root.authorities().iter().map(authority).collect::<Vec<_>>(),
        "timestampAuthorities": root.timestamp_authorities().iter().map(authority).collect::<Vec<_>>(),
    });
    TrustedRoot::from_json(&value.to_string()).map_err(|e| e.to_string())
}

/// The evidence as the crate reads it; `None` when it has no such type.
pub(super) fn bundle(question: &Question<'_>) -> Option<Bundle> {
    let signed = question.signed;
    let entries = question.entries.iter().map(|place| {
        let entry = signed.entries.get(*place)?;
        // The crate reads bodies of this kind by P-256 keys over SHA-256 only.
        let known = entry.kind != "hashedrekord" || question.algorithm == KeyAlgorithm::EcdsaP256;
        log_entry(entry).filter(|_| known)
    });
    let entries = entries.collect::<Option<Vec<_>>>()?;
    let timestamps = question.timestamps.iter().filter_map(|place| signed.timestamps.get(*place));
    let timestamps: Vec<_> = match signed.form {
        Form::LegacyAttestation | Form::BareEnvelope => Vec::new(),
        _ => timestamps.map(|token| Rfc3161Timestamp::new(TimestampToken::new(token.clone()))).collect(),
    };
    if entries.is_empty() && timestamps.is_empty() {
        return None;
    }
    let certificates = |leaf: &[u8]| {
        let chain = [leaf].into_iter().chain(question.chain.iter().map(Vec::as_slice));
        chain.map(|der| X509Certificate::new(DerCertificate::from_bytes(der))).collect()
    };
    let (media_type, material) = match &signed.material {
        Material::Key { hint } => (media_type(question), VerificationMaterialContent::PublicKey(PublicKeyIdentifier::new(hint))),
        Material::Certificate { leaf, .. } if media_type(question) == MediaType::Bundle0_3 => {
            let leaf = CertificateContent::new(DerCertificate::from_bytes(leaf));
            (MediaType::Bundle0_3, VerificationMaterialContent::Certificate(leaf))
        }
        Material::Certificate { leaf, .. } => {
            (media_type(question), VerificationMaterialContent::X509CertificateChain { certificates: certificates(leaf) })
        }
    };
    let material = VerificationMaterial::new(material)
        .with_tlog_entries(entries)
        .with_timestamp_verification_data(TimestampVerificationData::new(timestamps));
    Some(Bundle::new(media_type, material, content(question)?))
}

/// A key as the crate reads it.
pub(super) fn public_key(key: &PublicKey) -> DerPublicKey {
    DerPublicKey::from_bytes(key.as_der())
}

/// Legacy items and bundles with a promise but no proof are of version 0.1.
fn media_type(question: &Question<'_>) -> MediaType {
    let entries = || question.entries.iter().filter_map(|place| question.signed.entries.get(*place));
    let proved = entries().all(|entry| entry.proof.as_ref().is_some_and(|proof| !proof.checkpoint.is_empty()));
    match question.signed.form {
        Form::Bundle(3) => MediaType::Bundle0_3,
        Form::Bundle(2) => MediaType::Bundle0_2,
        // Version 0.1 demands a promise.
        _ if proved && !entries().any(|entry| entry.promise.is_some()) => MediaType::Bundle0_2,
        _ => MediaType::Bundle0_1,
    }
}

fn content(question: &Question<'_>) -> Option<SignatureContent> {
    let signature = SignatureBytes::from_bytes(&question.signed.signature.bytes);
    Some(match &question.signed.content {
        Content::Artifact { .. } | Content::SimpleSigning { .. } => {
            SignatureContent::MessageSignature(MessageSignature::new(signature))
        }
        Content::Envelope { payload_type, payload } => SignatureContent::DsseEnvelope(DsseEnvelope::new(
            payload_type,
            PayloadBytes::from_bytes(payload),
            DsseSignature::new(signature, KeyId::new(&question.signed.signature.keyid)),
        )),
    })
}

fn log_entry(entry: &LogEntry) -> Option<TransparencyLogEntry> {
    let kind = match (entry.kind.as_str(), entry.version.as_str()) {
        ("hashedrekord", "0.0.1") => KindVersion::HashedRekordV001,
        ("hashedrekord", "0.0.2") => KindVersion::HashedRekordV002,
        ("dsse", "0.0.1") => KindVersion::DsseV001,
        ("intoto", "0.0.2") => KindVersion::IntotoV002,
        _ => return None,
    };
    let mut out = TransparencyLogEntry::new(
        LogIndex::new(entry.log_index).ok()?,
        LogId::new(LogKeyId::from_bytes(&entry.log_id)),
        kind,
        CanonicalizedBody::from_bytes(&entry.body),
    );
    if let Some(time) = entry.integrated_time.filter(|time| *time != 0) {
        out = out.with_integrated_time(Timestamp::from_second(time).ok()?);
    }
    if let Some(promise) = &entry.promise {
        out = out.with_inclusion_promise(InclusionPromise::new(SignedTimestamp::from_bytes(promise)));
    }
    // A proof without its checkpoint proves nothing and was not counted.
    if let Some(proof) = entry.proof.as_ref().filter(|proof| !proof.checkpoint.is_empty()) {
        let checkpoint = CheckpointData::new(proof.checkpoint.clone()).ok()?;
        out = out.with_inclusion_proof(InclusionProof::new(
            LogIndex::new(proof.log_index).ok()?,
            Sha256Hash::new(proof.root_hash),
            proof.tree_size,
            proof.hashes.iter().map(|hash| Sha256Hash::new(*hash)).collect(),
            checkpoint,
        ));
    }
    Some(out)
}

fn log(log: &Log) -> Value {
    let details = match log.key.algorithm() {
        KeyAlgorithm::EcdsaP256 => "PKIX_ECDSA_P256_SHA_256",
        KeyAlgorithm::EcdsaP384 => "PKIX_ECDSA_P384_SHA_384",
        KeyAlgorithm::Ed25519 => "PKIX_ED25519",
        KeyAlgorithm::Rsa => "PKIX_RSA_PKCS1V15_2048_SHA256",
    };
    json!({
        "baseUrl": log.base_url,
        "hashAlgorithm": "SHA2_256",
        "publicKey": {
            "rawBytes": to_base64(log.key.as_der()),
            "keyDetails": details,
            "validFor": window(log.window),
        },
        "logId": {"keyId": to_base64(&log.id)},
    })
}

fn authority(authority: &Authority) -> Value {
    let certificates = authority.chain.iter().map(|cert| json!({"rawBytes": to_base64(cert.as_der())}));
    json!({
        "subject": {},
        "uri": authority.name,
        "certChain": {"certificates": certificates.collect::<Vec<_>>()},
        "validFor": window(authority.window),
    })
}

/// The crate wants a start; the year 1 is as good as none.
fn window(window: Window) -> Value {
    match (window.start, window.end) {
        (None, None) => Value::Null,
        (start, end) => json!({
            "start": start.unwrap_or(Timestamp::UNIX_EPOCH).to_string(),
            "end": end.map(|end| end.to_string()),
        }),
    }
}
