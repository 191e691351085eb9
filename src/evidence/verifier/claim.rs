//! From a judgement to a claim, or to the findings that say why not.

use carnet_bundle::{Finding, inventory::EvidenceKind};
use serde_json::Value;

use super::judgement::{Binding, Judgement, is_passed_over};
use crate::{
    certificate::{Certificate, CertificateError},
    codes,
    encoding::to_base64,
    provenance::Provenance,
    rules::Signer,
    signed::{Content, Material, Refusal},
    statement::IMAGE_SIGNATURE,
    verified::{CertificateFacts, Claim, ClaimKind, SignatureObject, SignedBy, Verified},
};

/// Closes the case: nothing may have been refused, and everything that a claim
/// consists of must be there.
pub(super) fn conclude(judgement: Judgement<'_>, form: EvidenceKind, about: &str) -> Result<Verified<Claim>, Vec<Finding>> {
    let findings = |refusals: Vec<Refusal>| refusals.into_iter().map(|refusal| refusal.into_finding(about)).collect::<Vec<_>>();
    if !judgement.refusals.is_empty() {
        // A timestamp that was passed over explains a time that is missing.
        let timeless = judgement.refusals.iter().any(|refusal| refusal.code == &codes::NO_VERIFIED_TIME);
        let passed_over = judgement.notes.into_iter().filter(|note| timeless && is_passed_over(note));
        return Err(findings(passed_over.chain(judgement.refusals).collect()));
    }
    let claim = claim(&judgement, form, about);
    let claim = claim.map_err(|e| vec![Finding::new(&codes::CERTIFICATE_MALFORMED, about, e.to_string())])?;
    let Some(mut claim) = claim else {
        return Err(vec![Finding::new(&codes::EVIDENCE_MALFORMED, about, "a step did not run")]);
    };
    claim.notes = findings(judgement.notes);
    Ok(Verified::new(claim))
}

/// `None` when a step that had to run did not.
fn claim(judgement: &Judgement<'_>, form: EvidenceKind, about: &str) -> Result<Option<Claim>, CertificateError> {
    let Some(binding) = &judgement.binding else { return Ok(None) };
    let Some(signed_by) = signed_by(judgement)? else { return Ok(None) };
    let mut claim = Claim {
        kind: ClaimKind::ImageSignature,
        form,
        evidence: about.to_owned(),
        subject: *judgement.subject.digest(),
        subject_index: None,
        payload: payload(&judgement.signed.content),
        statement_type: None,
        predicate_type: None,
        docker_reference: None,
        signed_by,
        signature: signature_object(judgement)?,
        times: judgement.times.clone(),
        log_records: judgement.records.clone(),
        certificate_logs: judgement.certificate_logs.iter().map(|logged| (logged.log.clone(), logged.time)).collect(),
        provenance: None,
        notes: Vec::new(),
    };
    match binding {
        Binding::Artifact => {}
        Binding::SimpleSigning(reference) => claim.docker_reference = Some(reference.clone()),
        Binding::Statement { index, statement } => {
            if statement.predicate_type != IMAGE_SIGNATURE {
                claim.kind = ClaimKind::Attestation;
            }
            claim.subject_index = Some(*index);
            claim.statement_type = Some(statement.statement_type.clone());
            claim.predicate_type = Some(statement.predicate_type.clone());
        }
    }
    claim.provenance = provenance(&claim, binding);
    Ok(Some(claim))
}

/// V11.6: the certificate against the provenance.
fn provenance(claim: &Claim, binding: &Binding) -> Option<Provenance> {
    let predicate_type = claim.predicate_type.as_deref().filter(|name| Provenance::is_read_from(name))?;
    let SignedBy::Certificate(facts) = &claim.signed_by else { return None };
    match binding {
        Binding::Statement { statement, .. } if statement.predicate.is_some() => {
            Provenance::compare(facts, predicate_type, statement.predicate.as_ref()?)
        }
        _ => Provenance::compare(facts, predicate_type, claim.statement()?.get("predicate").unwrap_or(&Value::Null)),
    }
}

fn signed_by(judgement: &Judgement<'_>) -> Result<Option<SignedBy>, CertificateError> {
    Ok(match (&judgement.verifier.rules.signer, &judgement.leaf, &judgement.path) {
        (Signer::Key(key), None, _) => Some(SignedBy::Key(key.fingerprint())),
        (Signer::Identities(_), Some(leaf), Some(path)) => Some(SignedBy::Certificate(Box::new(CertificateFacts {
            subject: leaf.subject_name()?.value,
            issuer: leaf.oidc_issuer()?.unwrap_or_default(),
            extensions: leaf.fulcio_extensions()?.clone(),
            not_before: leaf.not_before(),
            not_after: leaf.not_after(),
            authority: path.authority.clone(),
        }))),
        _ => None,
    })
}

fn signature_object(judgement: &Judgement<'_>) -> Result<SignatureObject, CertificateError> {
    let mut object = SignatureObject {
        keyid: judgement.signature.keyid.clone(),
        sig: to_base64(&judgement.signature.bytes),
        ..SignatureObject::default()
    };
    if let (Some(leaf), Material::Certificate { chain, .. }) = (&judgement.leaf, &judgement.signed.material) {
        let chain = chain.iter().map(|der| Certificate::parse(der).map(|cert| cert.to_pem()));
        object.keyid = hex::encode(leaf.subject_key_id());
        object.certificate = Some(leaf.to_pem());
        object.chain = chain.collect::<Result<_, _>>()?;
        object.metadata = leaf.metadata()?;
    }
    Ok(object)
}

fn payload(content: &Content<'_>) -> Vec<u8> {
    match content {
        Content::Artifact { .. } => Vec::new(),
        Content::Envelope { payload, .. } => payload.clone(),
        Content::SimpleSigning { payload } => payload.to_vec(),
    }
}
