//! Bodies of Rekor log entries (sigstore/rekor `pkg/types`, sigstore/rekor-tiles
//! `api/proto`).
//!
//! Kinds and versions are a closed list: a body that is not on it cannot describe
//! a signature over a container, and is refused as unsupported.

use carnet_bundle::json;
use serde_json::Value;

use crate::{
    budget, codes,
    encoding::{base64_standard, pem_single},
    fields::member_at,
    public_key::KeyAlgorithm,
    signed::Refusal,
};

/// What a log entry says was logged.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct EntryBody {
    /// Hash of what was signed: the payload, or the DSSE encoding of it.
    pub(crate) hashes: Vec<BodyHash>,
    /// The signatures, at least one. A log takes an envelope of several with a
    /// verifier for each.
    pub(crate) signers: Vec<Signer>,
    /// An Ed25519 signature of this entry is one over a digest (Ed25519ph).
    pub(crate) is_prehashed: bool,
}

/// One signature of a body.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Signer {
    /// The signature; intoto/0.0.1 does not hold it.
    pub(crate) signature: Option<Vec<u8>>,
    /// DER of the certificate or key that verifies it.
    pub(crate) verifier: Vec<u8>,
    /// What entries of version 0.0.2 call the key and its hash.
    details: Option<String>,
}

/// One hash of a body and what it is a hash of.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct BodyHash {
    pub(crate) of: Hashed,
    /// `sha256`, `sha384` or `sha512`.
    pub(crate) algorithm: String,
    pub(crate) value: Vec<u8>,
}

/// What a hash in a body covers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Hashed {
    /// The bytes of the envelope as they were logged.
    Envelope,
    /// The payload of the envelope.
    Payload,
    /// The bytes that the signature covers.
    SignedBytes,
}

impl EntryBody {
    /// What the body calls the key `verifier` (DER) when that is a name of another
    /// algorithm than its own. Nothing follows from the right name: the key decides.
    pub(crate) fn misnames(&self, verifier: &[u8], algorithm: KeyAlgorithm) -> Option<&str> {
        let fits = |details: &str| match algorithm {
            KeyAlgorithm::EcdsaP256 => details.starts_with("PKIX_ECDSA_P256_"),
            KeyAlgorithm::EcdsaP384 => details.starts_with("PKIX_ECDSA_P384_"),
            KeyAlgorithm::Ed25519 => matches!(details, "PKIX_ED25519" | "PKIX_ED25519_PH"),
            KeyAlgorithm::Rsa => details.starts_with("PKIX_RSA_") || details.starts_with("PKCS1_RSA_"),
        };
        let own = self.signers.iter().filter(|signer| signer.verifier == verifier);
        own.filter_map(|signer| signer.details.as_deref()).find(|details| !fits(details))
    }
}

/// Kind and version that a body gives itself; empty when it gives none.
pub(crate) fn kind_of(body: &[u8]) -> (String, String) {
    let value = json::parse(body).unwrap_or_default();
    let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    (text("kind"), text("apiVersion"))
}

/// Reads the body of an entry that calls itself `kind` and `version`.
pub(crate) fn parse(body: &[u8], kind: &str, version: &str) -> Result<EntryBody, Refusal> {
    let value = json::parse(body).map_err(|e| mismatch(format!("log entry body: {e}")))?;
    let own = (value.get("kind").and_then(Value::as_str), value.get("apiVersion").and_then(Value::as_str));
    if own != (Some(kind), Some(version)) {
        let (kind_in, version_in) = (own.0.unwrap_or_default(), own.1.unwrap_or_default());
        return Err(mismatch(format!("log entry: said to be {kind}/{version}, its body is {kind_in}/{version_in}")));
    }
    let spec = value.get("spec").ok_or_else(|| mismatch("log entry body: no spec".to_owned()))?;
    match (kind, version) {
        ("hashedrekord", "0.0.1") => hashedrekord_v001(spec),
        ("hashedrekord", "0.0.2") => hashedrekord_v002(spec),
        ("dsse", "0.0.1") => dsse_v001(spec),
        ("dsse", "0.0.2") => dsse_v002(spec),
        ("intoto", "0.0.1") => intoto_v001(spec),
        ("intoto", "0.0.2") => intoto_v002(spec),
        _ => Err(Refusal::new(&codes::UNSUPPORTED_ENTRY_KIND, format!("log entry of kind {kind}/{version}"))),
    }
}

fn hashedrekord_v001(spec: &Value) -> Result<EntryBody, Refusal> {
    let hash = hex_hash(spec, "/data/hash", Hashed::SignedBytes)?;
    Ok(EntryBody {
        // Rekor takes Ed25519 here over SHA-512 only, and then prehashed.
        is_prehashed: hash.algorithm == "sha512",
        hashes: vec![hash],
        signers: vec![Signer {
            signature: Some(base64(spec, "/signature/content")?),
            verifier: pem(spec, "/signature/publicKey/content")?,
            details: None,
        }],
    })
}

fn dsse_v001(spec: &Value) -> Result<EntryBody, Refusal> {
    Ok(EntryBody {
        hashes: vec![hex_hash(spec, "/payloadHash", Hashed::Payload)?, hex_hash(spec, "/envelopeHash", Hashed::Envelope)?],
        signers: signers(spec, "/signatures", |signer| {
            Ok(Signer { signature: Some(base64(signer, "/signature")?), verifier: pem(signer, "/verifier")?, details: None })
        })?,
        is_prehashed: false,
    })
}

/// The signature is not in the body: only the hash of the exact envelope binds it.
fn intoto_v001(spec: &Value) -> Result<EntryBody, Refusal> {
    let mut hashes = vec![hex_hash(spec, "/content/hash", Hashed::Envelope)?];
    // Entries of 2021 have none.
    if member_at(spec, "/content/payloadHash").is_some_and(|value| !value.is_null()) {
        hashes.push(hex_hash(spec, "/content/payloadHash", Hashed::Payload)?);
    }
    let signers = vec![Signer { signature: None, verifier: pem(spec, "/publicKey")?, details: None }];
    Ok(EntryBody { hashes, signers, is_prehashed: false })
}

/// The signature is base64 of base64, a known slip of this entry type.
fn intoto_v002(spec: &Value) -> Result<EntryBody, Refusal> {
    let payload_type = text(spec, "/content/envelope/payloadType")?;
    if payload_type != crate::statement::PAYLOAD_TYPE {
        return Err(mismatch(format!("log entry body: payload type {payload_type:?}")));
    }
    Ok(EntryBody {
        hashes: vec![hex_hash(spec, "/content/payloadHash", Hashed::Payload)?],
        signers: signers(spec, "/content/envelope/signatures", |signer| {
            let outer = base64(signer, "/sig")?;
            let inner = std::str::from_utf8(&outer).ok().and_then(base64_standard);
            let inner = inner.ok_or_else(|| mismatch("log entry body: signature is not base64 of base64".to_owned()))?;
            Ok(Signer { signature: Some(inner), verifier: pem(signer, "/publicKey")?, details: None })
        })?,
        is_prehashed: false,
    })
}

fn hashedrekord_v002(spec: &Value) -> Result<EntryBody, Refusal> {
    let spec = member(spec, "/hashedRekordV002")?;
    Ok(EntryBody {
        hashes: vec![named_hash(spec, "/data", Hashed::SignedBytes)?],
        signers: vec![raw_signer(spec, "/signature/content", "/signature/verifier")?],
        is_prehashed: member_at(spec, "/signature/verifier/keyDetails").and_then(Value::as_str) == Some("PKIX_ED25519_PH"),
    })
}

fn dsse_v002(spec: &Value) -> Result<EntryBody, Refusal> {
    let spec = member(spec, "/dsseV002")?;
    Ok(EntryBody {
        hashes: vec![named_hash(spec, "/payloadHash", Hashed::Payload)?],
        signers: signers(spec, "/signatures", |signer| raw_signer(signer, "/content", "/verifier"))?,
        is_prehashed: false,
    })
}

/// `{algorithm: "sha256", value: <hex>}`.
fn hex_hash(spec: &Value, pointer: &str, of: Hashed) -> Result<BodyHash, Refusal> {
    let value = text(spec, &format!("{pointer}/value"))?;
    let value = hex::decode(value).map_err(|_| mismatch(format!("log entry body: {pointer} is not hex")))?;
    Ok(BodyHash { of, algorithm: text(spec, &format!("{pointer}/algorithm"))?.to_owned(), value })
}

/// `{algorithm: "SHA2_256", digest: <base64>}`.
fn named_hash(spec: &Value, pointer: &str, of: Hashed) -> Result<BodyHash, Refusal> {
    let algorithm = match text(spec, &format!("{pointer}/algorithm"))? {
        "SHA2_256" => "sha256",
        "SHA2_384" => "sha384",
        "SHA2_512" => "sha512",
        other => return Err(Refusal::new(&codes::UNSUPPORTED_ALGORITHM, format!("log entry body: hash {other:?}"))),
    };
    Ok(BodyHash { of, algorithm: algorithm.to_owned(), value: base64(spec, &format!("{pointer}/digest"))? })
}

/// A signature, and `{x509Certificate | publicKey: {rawBytes}, keyDetails}`.
fn raw_signer(spec: &Value, signature: &str, verifier: &str) -> Result<Signer, Refusal> {
    let signature = Some(base64(spec, signature)?);
    let verifier = member(spec, verifier)?;
    let details = verifier.get("keyDetails").and_then(Value::as_str).map(str::to_owned);
    let verifier = match (verifier.get("x509Certificate"), verifier.get("publicKey")) {
        (Some(_), None) => base64(verifier, "/x509Certificate/rawBytes"),
        (None, Some(_)) => base64(verifier, "/publicKey/rawBytes"),
        _ => Err(mismatch("log entry body: want one of x509Certificate and publicKey".to_owned())),
    };
    Ok(Signer { signature, verifier: verifier?, details })
}

fn signers(spec: &Value, pointer: &str, read: impl Fn(&Value) -> Result<Signer, Refusal>) -> Result<Vec<Signer>, Refusal> {
    let list = member(spec, pointer)?.as_array().map(Vec::as_slice).unwrap_or_default();
    if !(1..=budget::SIGNATURES).contains(&list.len()) {
        let (have, most) = (list.len(), budget::SIGNATURES);
        return Err(mismatch(format!("log entry body: {have} signatures, want 1 to {most}")));
    }
    list.iter().map(read).collect()
}

fn member<'v>(spec: &'v Value, pointer: &str) -> Result<&'v Value, Refusal> {
    member_at(spec, pointer).ok_or_else(|| mismatch(format!("log entry body: no {pointer}")))
}

fn text<'v>(spec: &'v Value, pointer: &str) -> Result<&'v str, Refusal> {
    member(spec, pointer)?.as_str().ok_or_else(|| mismatch(format!("log entry body: {pointer} is not a text")))
}

fn base64(spec: &Value, pointer: &str) -> Result<Vec<u8>, Refusal> {
    base64_standard(text(spec, pointer)?).ok_or_else(|| mismatch(format!("log entry body: {pointer} is not base64")))
}

/// Base64 of one PEM certificate or public key.
fn pem(spec: &Value, pointer: &str) -> Result<Vec<u8>, Refusal> {
    let bytes = base64(spec, pointer)?;
    let section = pem_single(&bytes).map(|(_, der)| der);
    section.ok_or_else(|| mismatch(format!("log entry body: {pointer} is not one PEM certificate or key")))
}

fn mismatch(message: String) -> Refusal {
    Refusal::new(&codes::LOG_ENTRY_MISMATCH, message)
}
