//! Attachments judged: whether an exporter that the operator names signed this
//! bundle, and with it what nobody can check offline (V16.2), and since when it
//! exists (V16.5).
//!
//! An attachment is evidence like any other, with the bundle index as its subject.
//! What does not verify is reported and counts for nothing.

mod timestamp;

use std::{io, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use carnet_bundle::{
    Archive, Attachment, AttachmentError, AttachmentKind, Bundle, Digest, Finding, Limits, Severity, codes as bundle_codes, json,
};
use carnet_evidence::{
    Claim, ClaimKind, Identity, PublicKey, RepositoryRule, Rules, Signer, Subject, TrustRoot, TrustSource, Verifier,
    claimed_subjects, from_loose_file,
};
use jiff::Timestamp;
use serde_json::Value;

use crate::{
    cli::VerifyArgs,
    codes,
    error::VerifyError,
    inputs::{Inputs, Question},
    report::BundleTimestamp,
    trust::compiled_in,
};

use timestamp::{Named, Stamps};

const SUMMARY: &str = "https://slsa.dev/verification_summary/v1";

/// Says whether what `attachment` holds is about `bundle`, as far as that shows
/// without verifying it: an envelope names its subjects, a message signature mostly
/// names a digest, a timestamp its imprint.
///
/// # Errors
///
/// Returns [`AttachmentError::Subject`] when it is about something else, and
/// [`AttachmentError::Malformed`] for a timestamp that was not granted, is not of the
/// shape of one, or whose imprint proves nothing.
pub fn check_subject(attachment: &Attachment, bundle: &Bundle) -> Result<(), AttachmentError> {
    let id = &bundle.id();
    let payload = attachment.payload();
    let named = match attachment.kind() {
        AttachmentKind::Timestamp => return timestamp::check(payload, bundle),
        _ => match message_digest(payload) {
            Some(digest) => vec![digest],
            None if is_message_signature(payload) => return Ok(()),
            None => claimed_subjects(payload).iter().map(Digest::to_string).collect(),
        },
    };
    if named.contains(&id.to_string()) {
        return Ok(());
    }
    let got = if named.is_empty() { "nothing".to_owned() } else { named.join(", ") };
    Err(AttachmentError::Subject { got, want: *id })
}

fn is_message_signature(payload: &[u8]) -> bool {
    json::parse(payload).is_ok_and(|bundle| bundle.get("messageSignature").is_some())
}

/// The SHA-256 that a message signature names as what it signs.
fn message_digest(payload: &[u8]) -> Option<String> {
    let bundle = json::parse(payload).ok()?;
    let digest = bundle.pointer("/messageSignature/messageDigest")?;
    if digest.get("algorithm").and_then(Value::as_str) != Some("SHA2_256") {
        return None;
    }
    let bytes = STANDARD.decode(digest.get("digest")?.as_str()?).ok()?;
    Some(format!("sha256:{}", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()))
}

/// Whom the operator names as exporter, and whose timestamps count.
#[derive(Debug)]
pub(crate) struct Exporters {
    signers: Vec<(Signer, String)>,
    timestamps: Named,
}

/// What came of the attachments.
#[derive(Debug, Default)]
pub(crate) struct Vouched {
    /// Who vouches, with the evidence for it; empty when nobody does.
    pub(crate) by: Vec<String>,
    /// Since when the bundle exists; the earliest first.
    pub(crate) timestamps: Vec<BundleTimestamp>,
    pub(crate) findings: Vec<Finding>,
}

impl Exporters {
    /// Reads the flags, before the archive is read.
    pub(crate) fn read(args: &VerifyArgs, inputs: &Inputs<'_>) -> Result<Self, VerifyError> {
        let mut exporters = Vec::new();
        let (identity, issuer) = (args.exporter_identity.as_deref(), args.exporter_issuer.as_deref());
        if identity.or(issuer).is_some() {
            // One without the other is an error, as for the signer of images.
            let signer = Signer::Identities(vec![Identity::new(identity, None, issuer, None)?]);
            exporters.push((signer, "--exporter-identity".to_owned()));
        }
        if let Some(value) = &args.exporter_key {
            let (name, pem) = match value.trim_start().starts_with("-----BEGIN") {
                true => ("--exporter-key".to_owned(), value.clone().into_bytes()),
                false => (value.clone(), read(value, inputs)?),
            };
            let key = PublicKey::from_pem(&pem).map_err(|source| VerifyError::Key { name, source })?;
            exporters.push((Signer::Key(key), "--exporter-key".to_owned()));
        }
        Ok(Self { signers: exporters, timestamps: Named::read(args, inputs)? })
    }

    /// Judges what is attached, in the archive and beside it.
    pub(crate) fn judge(
        &self,
        args: &VerifyArgs,
        inputs: &Inputs<'_>,
        question: &Question,
        trust: &TrustRoot,
        bundle: &Bundle,
        at: Timestamp,
    ) -> Result<Vouched, VerifyError> {
        let mut vouched = Vouched::default();
        let attached = gather(args, inputs, bundle, &mut vouched.findings)?;
        let verifiers = self.verifiers(args, question, trust, at)?;
        let mut stamps = self.timestamps.stamps(trust);
        for (attachment, place) in &attached {
            judge_one(attachment, place, bundle, &verifiers, &mut stamps, &mut vouched);
        }
        let (timestamps, findings) = stamps.finish(bundle, at);
        vouched.timestamps = timestamps;
        vouched.findings.extend(findings);
        if !self.signers.is_empty() && vouched.by.is_empty() {
            let flags: Vec<_> = self.signers.iter().map(|(_, flag)| flag.as_str()).collect();
            let message = format!("none of {} attachments is the word of the exporter of {}", attached.len(), flags.join(" or "));
            vouched.findings.push(Finding::new(&codes::EXPORTER_NOT_VERIFIED, bundle.id(), message));
        }
        Ok(vouched)
    }

    fn verifiers(
        &self,
        args: &VerifyArgs,
        question: &Question,
        trust: &TrustRoot,
        at: Timestamp,
    ) -> Result<Vec<(Verifier, &str)>, VerifyError> {
        let make = |signer: &Signer| -> Result<Verifier, VerifyError> {
            let rules = rules(question, signer, args);
            // The key of the images may need no trust root; a certificate does.
            let needs_root = matches!(signer, Signer::Identities(_)) || rules.log_threshold > 0;
            let root = match trust.source() {
                TrustSource::None if needs_root => compiled_in(question)?,
                _ => trust.clone(),
            };
            Ok(Verifier::new(root, rules, at)?)
        };
        self.signers.iter().map(|exporter| Ok((make(&exporter.0)?, exporter.1.as_str()))).collect()
    }
}

/// The operator's rules of evidence. A bundle has no repository to compare.
fn rules(question: &Question, signer: &Signer, args: &VerifyArgs) -> Rules {
    let mut rules = question.trust.rules.for_signer(signer.clone());
    rules.repository = RepositoryRule::Ignore;
    rules.compare_subject_name = false;
    if args.ignore_rekor.0 { rules.ignore_rekor() } else { rules }
}

/// The attachments of the archive, then those beside it, each once.
fn gather(
    args: &VerifyArgs,
    inputs: &Inputs<'_>,
    bundle: &Bundle,
    findings: &mut Vec<Finding>,
) -> Result<Vec<(Attachment, String)>, VerifyError> {
    let mut attached: Vec<_> = bundle.attachments().iter().map(|one| (one.clone(), "in the archive".to_owned())).collect();
    for path in &args.attachment {
        let name = path.display().to_string();
        let bytes = read(&name, inputs)?;
        match detached(&bytes, bundle) {
            Err(error) => findings.push(error.finding(&name)),
            Ok(one) if attached.iter().any(|(other, _)| other.digest() == one.digest()) => {}
            Ok(one) => attached.push((one, format!("in {name}"))),
        }
    }
    Ok(attached)
}

fn detached(bytes: &[u8], bundle: &Bundle) -> Result<Attachment, AttachmentError> {
    Attachment::from_detached(&mut Archive::new(bytes, &Limits::default())?, Some(&bundle.descriptor()))
}

fn judge_one(
    attachment: &Attachment,
    place: &str,
    bundle: &Bundle,
    verifiers: &[(Verifier, &str)],
    stamps: &mut Stamps<'_>,
    vouched: &mut Vouched,
) {
    let digest = attachment.digest();
    let what = format!("{} {place}", attachment.kind());
    let index = bundle.blob(&bundle.id()).unwrap_or_default();
    if attachment.kind() == AttachmentKind::Timestamp {
        vouched.findings.push(stamps.judge(attachment, &what, index));
        return;
    }
    if let Err(error) = check_subject(attachment, bundle) {
        vouched.findings.push(error.finding(digest).with_severity(Severity::Warning));
        return;
    }
    if verifiers.is_empty() {
        let message = format!("{what}: no exporter is named, so nobody's word is asked");
        vouched.findings.push(Finding::new(&codes::ATTACHMENT_NOT_JUDGED, digest, message));
        return;
    }
    let evidence = match from_loose_file(&bundle.id(), attachment.payload()) {
        Ok(evidence) => evidence,
        Err(error) => {
            let finding = Finding::new(&bundle_codes::ATTACHMENT_MALFORMED, digest, error.to_string());
            vouched.findings.push(finding.with_severity(Severity::Warning));
            return;
        }
    };
    let mut refused = Vec::new();
    for (verifier, flag) in verifiers {
        match verifier.verify(&evidence, Subject::of_bytes(index)) {
            Ok(claim) => {
                let who = who(&claim);
                let message = match vouches(&claim) {
                    Ok(()) => {
                        vouched.by.push(format!("{flag} {who} by attachment {digest}"));
                        format!("{what}: {who} signed this bundle, and vouches for its assumptions")
                    }
                    Err(reason) => format!("{what}: signed by {who}, and vouches for nothing: {reason}"),
                };
                vouched.findings.push(Finding::new(&codes::ATTACHMENT_VERIFIED, digest, message));
                vouched.findings.extend(claim.notes.iter().cloned());
                return;
            }
            Err(findings) => refused.extend(findings),
        }
    }
    // A bad piece beside good ones is not counted; it fails nothing.
    vouched.findings.extend(refused.into_iter().map(|finding| match finding.severity {
        Severity::Failure => finding.with_severity(Severity::Warning),
        Severity::Note | Severity::Warning => finding,
    }));
}

fn who(claim: &Claim) -> String {
    match (&claim.signed_by, claim.signer()) {
        (carnet_evidence::SignedBy::Key(key), _) => format!("public key {key}"),
        (_, Some(signer)) => signer,
        (_, None) => "nobody".to_owned(),
    }
}

/// A signature of the bundle vouches, and a summary that says it passed. What else
/// an exporter may state about it is no promise.
fn vouches(claim: &Claim) -> Result<(), String> {
    if claim.kind == ClaimKind::ImageSignature {
        return Ok(());
    }
    let predicate_type = claim.predicate_type.as_deref().unwrap_or_default();
    if predicate_type != SUMMARY {
        return Err(format!("its predicate type is {predicate_type:?}"));
    }
    let statement = claim.statement();
    let result = statement.as_ref().and_then(|s| s.pointer("/predicate/verificationResult")).and_then(Value::as_str);
    match result {
        Some("PASSED") => Ok(()),
        other => Err(format!("its verificationResult is {:?}", other.unwrap_or_default())),
    }
}

fn read(path: &str, inputs: &Inputs<'_>) -> Result<Vec<u8>, VerifyError> {
    let read: io::Result<Vec<u8>> = (inputs.read)(Path::new(path));
    read.map_err(|source| VerifyError::Read { path: path.to_owned(), source })
}
