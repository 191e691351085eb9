//! The words of the built-in checks, which consumers of Conforma's reports match.

use carnet_bundle::{Digest, inventory::EvidenceKind};
use serde_json::Value;

use super::{Refused, Selected, Store};
use crate::outcome::RuleResult;

/// A built-in check as a result names it.
pub(super) struct Check {
    code: &'static str,
    title: &'static str,
    description: &'static str,
}

pub(super) static ACCESSIBLE: Check = Check {
    code: "builtin.image.accessible",
    title: "Image URL is accessible",
    description: "The image URL is available and accessible.",
};

pub(super) static IMAGE_SIGNATURE: Check = Check {
    code: "builtin.image.signature_check",
    title: "Image signature check passed",
    description: "The image signature matches available signing materials.",
};

pub(super) static ATTESTATION_SIGNATURE: Check = Check {
    code: "builtin.attestation.signature_check",
    title: "Attestation signature check passed",
    description: "The attestation signature matches available signing materials.",
};

pub(super) static ATTESTATION_SYNTAX: Check = Check {
    code: "builtin.attestation.syntax_check",
    title: "Attestation syntax check passed",
    description: "The attestation has correct syntax.",
};

pub(super) static ATTESTATION_SOURCE: Check = Check {
    code: "builtin.attestation.source_check",
    title: "Attestation source check passed",
    description: "The provenance names the source that its signing certificate states.",
};

pub(super) static NOTATION: Check = Check {
    code: "builtin.image.notation_check",
    title: "Notation presence check passed",
    description: "A Notary Project signature is there or not, as the trust policy asks.",
};

impl Check {
    pub(super) fn result(&self, msg: String) -> RuleResult {
        let members = [("code", self.code), ("title", self.title), ("description", self.description)];
        RuleResult { msg, metadata: members.into_iter().map(|(name, text)| (name.to_owned(), Value::from(text))).collect() }
    }
}

/// Why the image counts as unsigned, as the built-in check says it.
pub(super) fn image_signature(evidence: &Selected<'_>, key_mode: bool) -> String {
    let error = no_signature(evidence, key_mode);
    match error.split_once(": ").map_or("", |(start, _)| start) {
        // Conforma asks its attestation check about bundles, and words it so.
        "no matching attestations" => wrong("signature", "attestations", key_mode, &error),
        "no matching signatures" => wrong("signature", "signatures", key_mode, &error),
        _ => format!("Image signature check failed: {error}"),
    }
}

/// Why there is no attestation, as the built-in check says it.
pub(super) fn attestation_signature(evidence: &Selected<'_>, key_mode: bool) -> String {
    wrong("attestation", "attestations", key_mode, &no_attestation(evidence, key_mode))
}

/// Why there is no signature, as cosign says it.
pub(super) fn no_signature(evidence: &Selected<'_>, key_mode: bool) -> String {
    let legacy = reasons(evidence, EvidenceKind::Simplesigning, key_mode);
    let bundles = reasons(evidence, EvidenceKind::SigstoreBundle, key_mode);
    match (legacy.is_empty(), bundles.is_empty()) {
        (true, true) if evidence.verified(Store::Bundle) => {
            "no signatures found: an attestation is not a signature of the image".to_owned()
        }
        (true, true) => "no signatures found".to_owned(),
        (true, false) if !evidence.has(Store::Legacy) => no_matching("attestations", &bundles, "\n"),
        _ => no_matching("signatures", &[legacy, bundles].concat(), "\n "),
    }
}

/// Why there is no attestation, as cosign says it.
pub(super) fn no_attestation(evidence: &Selected<'_>, key_mode: bool) -> String {
    let legacy = reasons(evidence, EvidenceKind::Dsse, key_mode);
    let bundles = reasons(evidence, EvidenceKind::SigstoreBundle, key_mode);
    let between = if legacy.is_empty() { "\n" } else { "\n " };
    no_matching("attestations", &[legacy, bundles].concat(), between)
}

fn reasons(evidence: &Selected<'_>, form: EvidenceKind, key_mode: bool) -> Vec<String> {
    evidence.refused.iter().filter(|(_, refused)| refused.form == form).map(|(_, refused)| reason(refused, key_mode)).collect()
}

/// The decisive reason in cosign's words where reports are known to be searched
/// for them, else in our own.
fn reason(refused: &Refused, key_mode: bool) -> String {
    const ONLINE: &str = "rekor client not provided for online verification";
    const ENVELOPE: &str = "accepted signatures do not match threshold, Found: 0, Expected 1";
    let Some(finding) = refused.findings.first() else { return "not verified".to_owned() };
    let message = finding.message.as_str();
    match (finding.code, refused.form) {
        ("key-mismatch" | "signature-invalid", EvidenceKind::Simplesigning) => {
            "invalid signature when validating ASN.1 encoded signature".to_owned()
        }
        ("key-mismatch" | "signature-invalid", EvidenceKind::Dsse) => ENVELOPE.to_owned(),
        ("key-mismatch" | "signature-invalid", _) => {
            format!("failed to verify signature: could not verify envelope: {ENVELOPE}")
        }
        ("subject-mismatch", EvidenceKind::Simplesigning) => match named_digest(message) {
            Some(digest) => format!("invalid or missing digest in claim: {digest}"),
            None => message.to_owned(),
        },
        ("subject-mismatch", EvidenceKind::Dsse) => "no matching subject digest found".to_owned(),
        ("identity-mismatch" | "issuer-mismatch", EvidenceKind::SigstoreBundle) => {
            format!("failed to verify certificate identity: {message}")
        }
        // What was wanted stands in the finding; cosign says only what it got.
        ("identity-mismatch" | "issuer-mismatch", _) => message.split_once("; want ").map_or(message, |(got, _)| got).to_owned(),
        // cosign looks for the log entry first, and a key signature of an image
        // that was to be signed by an identity has none.
        ("signer-kind-mismatch", EvidenceKind::Dsse | EvidenceKind::Simplesigning) if !key_mode => ONLINE.to_owned(),
        ("no-log-entry", EvidenceKind::Dsse | EvidenceKind::Simplesigning) => ONLINE.to_owned(),
        ("no-verified-time", EvidenceKind::Dsse | EvidenceKind::Simplesigning) => {
            "expected a signed timestamp to verify an expired certificate".to_owned()
        }
        _ => message.to_owned(),
    }
}

/// The digest that a signature made for another image speaks of.
fn named_digest(message: &str) -> Option<Digest> {
    message.split([' ', ',']).find_map(|word| word.parse().ok())
}

fn no_matching(what: &str, reasons: &[String], between: &str) -> String {
    format!("no matching {what}: {}", reasons.join(between))
}

fn wrong(check: &str, kind: &str, key_mode: bool, error: &str) -> String {
    let created = match kind {
        "signatures" => "a signature was created",
        _ => "one or more attestations were created",
    };
    match key_mode {
        true => format!(
            "No image {kind} found matching the given public key. Verify the correct public key was provided, and {created}. Error: {error}"
        ),
        false => format!("Image {check} check failed: {error}"),
    }
}
