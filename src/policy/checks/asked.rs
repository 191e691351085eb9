//! What the trust policy asks of all evidence about one image together: how many
//! signers, whether provenance agrees with its certificate, whether a Notary Project
//! signature is there (V11.6, V11.7, V14.2, V14.3).

use std::collections::BTreeSet;

use carnet_bundle::{Finding, Reference, Severity, inventory::EvidenceKind};
use carnet_evidence::{
    Comparison, Requirements, codes as evidence_codes,
    trust_policy::{Notation, Weight},
};

use super::{Item, Judge, Refused, message};
use crate::codes;

/// Why `items` have too few signers; `None` when there are enough. A statement that
/// only a signed index binds has no signer of its own.
pub(super) fn too_few(items: &[&Item], wanted: usize) -> Option<String> {
    let signers: BTreeSet<&str> = items.iter().filter_map(|item| item.signer.as_deref()).collect();
    if wanted < 2 || signers.len() >= wanted {
        return None;
    }
    let names: Vec<_> = signers.iter().copied().collect();
    Some(format!("{} distinct signers, {wanted} wanted: {}", names.len(), names.join(", ")))
}

/// The first contradiction that weighs a failure.
pub(super) fn contradiction(attestations: &[&Item], requirements: &Requirements) -> Option<String> {
    let contradicted = |item: &&&Item| contradictions(item, requirements).into_iter().find(|found| found.weight == Weight::Fail);
    attestations.iter().find_map(|item| contradicted(&item)).map(|found| found.text)
}

impl Judge<'_> {
    /// V11.6, V11.7: provenance against the certificate that signed it.
    pub(super) fn compare(&mut self, attestations: &[&Item]) {
        for item in attestations {
            for found in contradictions(item, &self.options.requirements) {
                let finding = Finding::new(found.code, &item.evidence, found.text.clone());
                self.say(finding.with_severity(severity(found.weight)));
                let result = message::ATTESTATION_SOURCE.result(format!("Attestation source check failed: {}", found.text));
                match found.weight {
                    Weight::Fail => self.judged.outcome.violations.push(result),
                    Weight::Warn => self.judged.outcome.warnings.push(result),
                    Weight::Note => {}
                }
            }
            let open = item.compared.iter().flat_map(|compared| compared.source());
            let open: Vec<_> = open.filter_map(|(what, comparison)| not_comparable(what, comparison)).collect();
            if !open.is_empty() {
                self.say(Finding::new(&evidence_codes::SOURCE_NOT_COMPARABLE, &item.evidence, open.join("; ")));
            }
        }
    }

    /// V7.6: says where a signer called the image otherwise than it is called here.
    pub(super) fn name(&mut self, asked: &Reference, signatures: &[&Item]) {
        for item in signatures {
            let Some(named) = item.docker_reference.as_deref().filter(|named| !named.is_empty()) else { continue };
            if named.parse::<Reference>().is_ok_and(|named| named.name() == asked.name()) {
                continue;
            }
            let text = format!("it was signed as {named:?}, the image is asked for in {}", asked.name());
            self.say(Finding::new(&evidence_codes::SIGNED_UNDER_ANOTHER_NAME, &item.evidence, text));
        }
    }

    /// Whether a signature of the Notary Project lies beside the image. It is not
    /// verified: that it is there is all that is said.
    pub(super) fn notation(&mut self, refused: &[Refused]) {
        let is_there = refused.iter().any(|refused| refused.form == EvidenceKind::Notation);
        let (code, text) = match (self.options.requirements.notation, is_there) {
            (Notation::Require, false) => {
                (&codes::NOTATION_SIGNATURE_MISSING, "no Notary Project signature lies beside the image, one is wanted")
            }
            (Notation::Forbid, true) => {
                (&codes::NOTATION_SIGNATURE_FORBIDDEN, "a Notary Project signature lies beside the image, none is wanted")
            }
            _ => return,
        };
        self.fail(&message::NOTATION, code, format!("Notation presence check failed: {text}"));
    }
}

struct Contradiction {
    code: &'static carnet_bundle::Code,
    weight: Weight,
    text: String,
}

fn contradictions(item: &Item, requirements: &Requirements) -> Vec<Contradiction> {
    let Some(compared) = &item.compared else { return Vec::new() };
    let source = compared.source().map(|row| (row, &evidence_codes::SOURCE_CONTRADICTION, requirements.source_contradiction));
    let build = compared.build().map(|row| (row, &evidence_codes::BUILDER_CONTRADICTION, requirements.builder_contradiction));
    let all = source.into_iter().chain(build);
    all.filter_map(|((what, comparison), code, weight)| match comparison {
        Comparison::Contradicts(text) => Some(Contradiction { code, weight, text: format!("{what} mismatch: {text}") }),
        _ => None,
    })
    .collect()
}

fn not_comparable(what: &str, comparison: &Comparison) -> Option<String> {
    match comparison {
        Comparison::NotComparable(reason) => Some(format!("{what} not comparable: {reason}")),
        _ => None,
    }
}

fn severity(weight: Weight) -> Severity {
    match weight {
        Weight::Fail => Severity::Failure,
        Weight::Note => Severity::Note,
        Weight::Warn => Severity::Warning,
    }
}
