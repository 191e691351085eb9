//! Statements without a signature of their own: BuildKit puts them beside an image
//! into its index, and whoever signs the index signs its bytes.

use carnet_bundle::{Digest, Finding, Manifest, manifest::Body, media};

use super::{Subject, Verifier};
use crate::{
    codes,
    evidence::Evidence,
    rules::Rules,
    signed::Refusal,
    statement::{self, IMAGE_SIGNATURE},
    subject_name,
    verified::{Claim, ClaimKind, SignatureObject, SignedBy, Verified},
};

impl Verifier {
    /// Takes an unsigned BuildKit statement about `child` on the word of whoever
    /// signed the index that binds it (V6.9).
    ///
    /// Asked for by the trust policy only ([`crate::Rules::accept_buildkit`]). The
    /// signature is that of the index: `index` is a verified image signature of it
    /// and `index_bytes` are its bytes.
    ///
    /// # Errors
    ///
    /// Returns the finding that says which link is missing.
    pub fn verify_under_index<'s>(
        &self,
        evidence: &Evidence<'_>,
        child: impl Into<Subject<'s>>,
        index: &Verified<Claim>,
        index_bytes: &[u8],
    ) -> Result<Verified<Claim>, Vec<Finding>> {
        let child = child.into();
        let about = evidence.describe();
        let link = if self.rules().accept_buildkit {
            bind(evidence, child.digest(), index, index_bytes)
        } else {
            Err("the trust policy does not accept BuildKit statements".to_owned())
        };
        let bound = link.map_err(|reason| Refusal::new(&codes::UNSIGNED_STATEMENT, reason));
        let claim = bound.and_then(|payload| claim(evidence, &about, child, index, payload, self.rules()));
        claim.map(Verified::new).map_err(|refusal| vec![refusal.into_finding(&about)])
    }
}

/// Follows index, attestation manifest and child by their digests.
fn bind<'e>(evidence: &'e Evidence<'_>, child: &Digest, index: &Claim, index_bytes: &[u8]) -> Result<&'e [u8], String> {
    let payload = evidence.unsigned_statement().ok_or("not a statement without a signature")?;
    if index.kind != ClaimKind::ImageSignature || Digest::of(index_bytes) != index.subject {
        return Err("the index is not signed".to_owned());
    }
    let own_type = serde_json::from_slice::<serde_json::Value>(index_bytes).ok();
    let own_type = own_type.as_ref().and_then(|value| value.get("mediaType")).and_then(serde_json::Value::as_str);
    let manifest = Manifest::parse(index_bytes, own_type.unwrap_or(media::OCI_INDEX)).map_err(|e| e.to_string())?;
    let Body::Index { manifests } = &manifest.body else { return Err("what is signed is no index".to_owned()) };
    let entry = manifests.iter().find(|entry| Some(&entry.digest) == evidence.manifest() && entry.is_buildkit_attestation());
    let entry = entry.ok_or("the index does not list it as an attestation")?;
    let named = entry.annotations.get(media::DOCKER_REFERENCE_DIGEST);
    if named != Some(&child.to_string()) || !manifests.iter().any(|entry| entry.digest == *child) {
        return Err(format!("the index files it under {}, this is {child}", named.map_or("nothing", String::as_str)));
    }
    Ok(payload)
}

/// Who vouches for a statement that nobody signed.
fn vouched(index: &Claim) -> String {
    let signer = index.signer().unwrap_or_default();
    format!("unsigned statement, bound by the index {}; the index is signed by {signer}", index.subject)
}

fn claim(
    evidence: &Evidence<'_>,
    about: &str,
    child: Subject<'_>,
    index: &Claim,
    payload: &[u8],
    rules: &Rules,
) -> Result<Claim, Refusal> {
    let parsed = statement::parse(payload)?;
    if parsed.predicate_type == IMAGE_SIGNATURE {
        return Err(Refusal::new(&codes::UNSIGNED_STATEMENT, "an unsigned statement is no image signature"));
    }
    let place = subject_name::find(&parsed, child, rules)?;
    Ok(Claim {
        kind: ClaimKind::Attestation,
        form: evidence.kind(),
        evidence: about.to_owned(),
        subject: *child.digest(),
        subject_index: Some(place),
        payload: payload.to_vec(),
        statement_type: Some(parsed.statement_type),
        predicate_type: Some(parsed.predicate_type),
        docker_reference: None,
        signed_by: SignedBy::Index(index.subject),
        signature: SignatureObject::default(),
        times: index.times.clone(),
        log_records: Vec::new(),
        certificate_logs: Vec::new(),
        provenance: None,
        notes: vec![Finding::new(&codes::UNSIGNED_STATEMENT, about, vouched(index))],
    })
}
