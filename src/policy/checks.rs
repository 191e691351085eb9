//! The built-in checks: image signature, attestation signature, attestation
//! syntax.
//!
//! Input is what the evidence room has verified about one image, and why the
//! rest did not verify; output is the component's outcome, in Conforma's words
//! where others read them, and a finding for each check that failed.
//!
//! carnet reads "signed" as signed: only a signature of the image itself passes
//! the image check, never an attestation (`bundle-spec/verify.md` V14.2 stops
//! *provenance passed off as a signature*). All stores are looked at, so that one
//! foreign bundle cannot hide the signatures beside it. [`Reading::Conforma`]
//! restores Conforma's reading of both.

mod asked;
mod message;
#[cfg(test)]
mod tests;

use carnet_bundle::{Code, Digest, Finding, Severity, inventory::EvidenceKind};
use carnet_evidence::{Claim, ClaimKind, Provenance as Compared, Requirements, SignedBy, Verified, trust_policy::Weight};
use serde_json::Value;

use crate::{
    codes,
    images::{Component, pinned_name},
    outcome::{Attestation, ComponentOutcome, RuleResult, STATEMENT_TYPE, Signature},
    slsa::{Provenance, SchemaError},
    yaml::Reading,
};

/// All evidence about one image, judged.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// What verified, in store order.
    pub verified: &'a [Verified<Claim>],
    /// What did not, in store order.
    pub refused: &'a [Refused],
}

/// A piece of evidence that did not verify.
#[derive(Clone, Debug)]
pub struct Refused {
    /// The form it was stored in.
    pub form: EvidenceKind,
    /// Why it did not verify, the decisive reason first.
    pub findings: Vec<Finding>,
}

/// How the checks are run.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Options {
    /// carnet's reading or Conforma's.
    pub reading: Reading,
    /// A public key is asked for, not an identity; it selects the wording.
    pub key_mode: bool,
    /// Leaves the image signature out (`--skip-image-sig-check`); the caller
    /// records the relaxation.
    pub skip_image_signature: bool,
    /// Keeps titles and descriptions (`--info`).
    pub info: bool,
    /// What the trust policy asks of all evidence about one image together.
    pub requirements: Requirements,
}

/// The outcome of the built-in checks for one component.
#[derive(Clone, Debug, Default)]
pub struct Judged {
    /// Violations and successes, and the evidence that counted.
    pub outcome: ComponentOutcome,
    /// One finding per failed check.
    pub findings: Vec<Finding>,
    /// Whether rules may be evaluated: not after a failed attestation check.
    pub goes_on: bool,
}

/// Runs the built-in checks on the image `digest` that `component` stands for.
pub fn evaluate(component: &Component, digest: &Digest, evidence: Evidence<'_>, options: &Options) -> Judged {
    let items: Vec<_> = evidence.verified.iter().filter_map(Item::of).collect();
    judge(component, digest, &items, evidence.refused, options)
}

fn judge(component: &Component, digest: &Digest, items: &[Item], refused: &[Refused], options: &Options) -> Judged {
    let evidence = Selected::from(items, refused, options.reading);
    let mut judge = Judge { options, judged: blank(component, pinned_name(&component.reference, digest)) };
    judge.image_signature(&evidence);
    judge.name(&component.reference, &evidence.signatures);
    judge.notation(refused);
    let goes_on = judge.attestations(&evidence);
    judge.finish(goes_on)
}

/// Why no signature of the image counts, in cosign's words; `None` when one does.
/// Rules ask this, of one signer each: how many have to sign is asked by
/// [`evaluate`] alone.
pub fn image_signature_error(evidence: Evidence<'_>, options: &Options) -> Option<String> {
    let items: Vec<_> = evidence.verified.iter().filter_map(Item::of).collect();
    let selected = Selected::from(&items, evidence.refused, options.reading);
    (!selected.is_signed(options.reading)).then(|| message::no_signature(&selected, options.key_mode))
}

/// Why no attestation counts, in cosign's words; `None` when one does. One that its
/// own certificate contradicts makes the whole answer an error, as it fails an image.
pub fn attestation_error(evidence: Evidence<'_>, options: &Options) -> Option<String> {
    let items: Vec<_> = evidence.verified.iter().filter_map(Item::of).collect();
    let selected = Selected::from(&items, evidence.refused, options.reading);
    if !selected.is_attested() {
        return Some(message::no_attestation(&selected, options.key_mode));
    }
    asked::contradiction(&selected.attestations, &options.requirements)
}

/// The outcome for a component whose image is not in the bundle.
pub fn not_carried(component: &Component, reason: &str, options: &Options) -> Judged {
    let mut judge = Judge { options, judged: blank(component, component.container_image.clone()) };
    judge.fail(&message::ACCESSIBLE, &codes::IMAGE_NOT_ACCESSIBLE, format!("Image URL is not accessible: {reason}"));
    judge.finish(false)
}

fn blank(component: &Component, container_image: String) -> Judged {
    let outcome = ComponentOutcome {
        name: component.name.clone(),
        container_image,
        source: component.source.clone(),
        ..ComponentOutcome::default()
    };
    Judged { outcome, ..Judged::default() }
}

/// Where a piece of evidence was kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Store {
    /// A Sigstore bundle, as a referrer of the image.
    Bundle,
    /// cosign's tags: `.sig` and `.att`.
    Legacy,
}

impl Store {
    /// None for forms that are carried and not verified.
    fn of(form: EvidenceKind) -> Option<Self> {
        match form {
            EvidenceKind::SigstoreBundle => Some(Self::Bundle),
            EvidenceKind::Dsse | EvidenceKind::Simplesigning => Some(Self::Legacy),
            _ => None,
        }
    }
}

/// A verified piece of evidence, reduced to what the checks ask.
struct Item {
    store: Store,
    kind: ClaimKind,
    predicate_type: String,
    /// The statement, for predicate types that have a schema.
    provenance: Option<(Provenance, Value)>,
    signature: Signature,
    /// Who signed; none for statements that a signed index binds.
    signer: Option<String>,
    /// How findings name the piece of evidence.
    evidence: String,
    /// Certificate against provenance.
    compared: Option<Compared>,
    /// What a simple-signing payload calls the image.
    docker_reference: Option<String>,
}

impl Item {
    fn of(claim: &Verified<Claim>) -> Option<Self> {
        let predicate_type = claim.predicate_type.clone().unwrap_or_default();
        // A statement is parsed only when it is asked about: bills of materials
        // are large.
        let provenance = Provenance::of(&predicate_type).map(|of| (of, claim.statement().unwrap_or_default()));
        let signature = Signature::from(&claim.signature);
        // A statement of a signed index lies beside the image, as cosign's do.
        let of_index = matches!(claim.signed_by, SignedBy::Index(_)).then_some(Store::Legacy);
        Some(Self {
            store: Store::of(claim.form).or(of_index)?,
            kind: claim.kind,
            predicate_type,
            provenance,
            signature,
            signer: claim.signer(),
            evidence: claim.evidence.clone(),
            compared: claim.provenance.clone(),
            docker_reference: claim.docker_reference.clone(),
        })
    }

    /// As the report shows an attestation.
    fn shown(&self) -> Attestation {
        let legacy = self.provenance.as_ref().filter(|_| self.store == Store::Legacy);
        let build_type = legacy.and_then(|(provenance, statement)| provenance.build_type(statement));
        Attestation {
            statement_type: STATEMENT_TYPE.to_owned(),
            predicate_type: self.predicate_type.clone(),
            predicate_build_type: build_type.map(str::to_owned),
            signatures: vec![self.signature.clone()],
        }
    }

    fn violations(&self) -> Vec<SchemaError> {
        self.provenance.as_ref().map(|(provenance, statement)| provenance.validate(statement)).unwrap_or_default()
    }
}

/// The evidence that a reading looks at.
struct Selected<'e> {
    signatures: Vec<&'e Item>,
    attestations: Vec<&'e Item>,
    refused: Vec<(Store, &'e Refused)>,
}

impl<'e> Selected<'e> {
    fn from(items: &'e [Item], refused: &'e [Refused], reading: Reading) -> Self {
        let refused = refused.iter().filter_map(|refused| Some((Store::of(refused.form)?, refused)));
        let all = Self {
            signatures: items.iter().filter(|item| item.kind == ClaimKind::ImageSignature).collect(),
            attestations: items.iter().filter(|item| item.kind == ClaimKind::Attestation).collect(),
            refused: refused.collect(),
        };
        // Conforma looks at no tag once there is a bundle.
        if reading == Reading::Conforma && all.has(Store::Bundle) { all.bundles_only() } else { all }
    }

    fn has(&self, store: Store) -> bool {
        self.verified(store) || self.refused.iter().any(|(of, _)| *of == store)
    }

    /// Whether anything of this store verifies.
    fn verified(&self, store: Store) -> bool {
        self.signatures.iter().chain(&self.attestations).any(|item| item.store == store)
    }

    /// Conforma takes any bundle for a signature of the image.
    fn is_signed(&self, reading: Reading) -> bool {
        !self.signatures.is_empty() || reading == Reading::Conforma && self.verified(Store::Bundle)
    }

    /// What counts as a signature of the image.
    fn signing(&self, reading: Reading) -> Vec<&'e Item> {
        let bundles = self.attestations.iter().filter(|item| reading == Reading::Conforma && item.store == Store::Bundle);
        self.signatures.iter().chain(bundles).copied().collect()
    }

    fn is_attested(&self) -> bool {
        !self.attestations.is_empty() || self.verified(Store::Bundle)
    }

    fn bundles_only(mut self) -> Self {
        self.signatures.retain(|item| item.store == Store::Bundle);
        self.attestations.retain(|item| item.store == Store::Bundle);
        self.refused.retain(|(store, _)| *store == Store::Bundle);
        self
    }
}

struct Judge<'o> {
    options: &'o Options,
    judged: Judged,
}

impl Judge<'_> {
    /// Step V14.2. A failure does not end the component.
    fn image_signature(&mut self, evidence: &Selected<'_>) {
        if self.options.skip_image_signature {
            return;
        }
        if !evidence.is_signed(self.options.reading) {
            let text = message::image_signature(evidence, self.options.key_mode);
            self.fail(&message::IMAGE_SIGNATURE, &codes::IMAGE_SIGNATURE_NOT_VERIFIED, text);
            return;
        }
        if let Some(text) = asked::too_few(&evidence.signing(self.options.reading), self.options.requirements.signers) {
            let text = format!("Image signature check failed: {text}");
            return self.fail(&message::IMAGE_SIGNATURE, &codes::IMAGE_SIGNERS_TOO_FEW, text);
        }
        if evidence.signatures.is_empty() {
            let text = "No signature of the image itself: an attestation in a bundle was counted as one";
            self.say(Finding::new(&codes::ATTESTATION_COUNTED_AS_SIGNATURE, self.image(), text));
        }
        self.judged.outcome.signatures = evidence.signatures.iter().map(|item| item.signature.clone()).collect();
        self.pass(&message::IMAGE_SIGNATURE);
    }

    /// Steps V14.3 and V14.4. Returns whether rules may follow.
    fn attestations(&mut self, evidence: &Selected<'_>) -> bool {
        if !evidence.is_attested() {
            let text = message::attestation_signature(evidence, self.options.key_mode);
            return self.end(&codes::ATTESTATION_NOT_VERIFIED, text, String::new());
        }
        if let Some(text) = asked::too_few(&evidence.attestations, self.options.requirements.attesters) {
            let text = format!("Image attestation check failed: {text}");
            return self.end(&codes::ATTESTATION_SIGNERS_TOO_FEW, text, String::new());
        }
        self.compare(&evidence.attestations);
        let (mut legacy, bundles) = violations(evidence);
        let lowered = self.options.requirements.slsa_schema != Weight::Fail;
        if lowered && !(legacy.is_empty() && bundles.is_empty()) {
            legacy.extend(bundles.iter().cloned());
            let text = format!("Attestation syntax check: {}", legacy.join("\n"));
            self.warn(&message::ATTESTATION_SYNTAX, &codes::ATTESTATION_SYNTAX, text);
            self.hint(hint(&evidence.attestations));
        } else if !legacy.is_empty() {
            let text = format!("Image attestation check failed: {}", legacy.join("\n"));
            return self.end(&codes::ATTESTATION_SYNTAX, text, hint(&evidence.attestations));
        }
        self.judged.outcome.attestations = evidence.attestations.iter().map(|item| item.shown()).collect();
        self.pass(&message::ATTESTATION_SIGNATURE);
        if evidence.attestations.is_empty() {
            self.fail(
                &message::ATTESTATION_SYNTAX,
                &codes::NO_ATTESTATION,
                "Attestation syntax check failed: no attestation data".into(),
            );
            let msg = "No attestations contain a subject that match the given image.".to_owned();
            self.judged.outcome.violations.push(RuleResult { msg, ..RuleResult::default() });
            return false;
        }
        if bundles.is_empty() && legacy.is_empty() {
            self.pass(&message::ATTESTATION_SYNTAX);
        } else if !lowered {
            let text = format!("Attestation syntax check failed: attestation syntax validation failed: {}", bundles.join("\n"));
            self.fail(&message::ATTESTATION_SYNTAX, &codes::ATTESTATION_SYNTAX, text);
            self.hint(hint(&evidence.attestations));
        }
        true
    }

    /// Fails the attestation check; what was verified before is not shown, as in
    /// Conforma.
    fn end(&mut self, code: &'static Code, text: String, hint: String) -> bool {
        self.fail(&message::ATTESTATION_SIGNATURE, code, text);
        self.hint(hint);
        self.judged.outcome.signatures.clear();
        false
    }

    fn image(&self) -> String {
        self.judged.outcome.container_image.clone()
    }

    fn say(&mut self, finding: Finding) {
        self.judged.findings.push(finding);
    }

    fn pass(&mut self, check: &message::Check) {
        self.judged.outcome.successes.push(check.result("Pass".to_owned()));
    }

    fn fail(&mut self, check: &message::Check, code: &'static Code, text: String) {
        self.judged.findings.push(Finding::new(code, &self.judged.outcome.container_image, text.clone()));
        self.judged.outcome.violations.push(check.result(text));
    }

    /// As [`Self::fail`], where the operator lowered it to a warning.
    fn warn(&mut self, check: &message::Check, code: &'static Code, text: String) {
        self.say(Finding::new(code, self.image(), text.clone()).with_severity(Severity::Warning));
        self.judged.outcome.warnings.push(check.result(text));
    }

    /// Gives the last finding a hint of its own.
    fn hint(&mut self, hint: String) {
        if let Some(finding) = self.judged.findings.last_mut().filter(|_| !hint.is_empty()) {
            finding.hint = hint;
        }
    }

    fn finish(mut self, goes_on: bool) -> Judged {
        self.judged.goes_on = goes_on;
        self.judged.outcome.sort();
        if !self.options.info {
            self.judged.outcome.reduce();
        }
        self.judged
    }
}

/// Schema violations of legacy attestations, each with Conforma's prefix, and of
/// bundles.
fn violations(evidence: &Selected<'_>) -> (Vec<String>, Vec<String>) {
    let (mut legacy, mut bundles) = (Vec::new(), Vec::new());
    for item in &evidence.attestations {
        let errors: Vec<_> = item.violations().iter().map(ToString::to_string).collect();
        match (&item.provenance, item.store) {
            (Some((provenance, _)), Store::Legacy) if !errors.is_empty() => {
                legacy.push(format!("{}{}", provenance.legacy_prefix(), errors.join("\n")));
            }
            _ => bundles.extend(errors),
        }
    }
    (legacy, bundles)
}

/// Names the members that a predicate lacks or has wrong.
fn hint(attestations: &[&Item]) -> String {
    let errors = attestations.iter().flat_map(|item| item.violations());
    let mut members: Vec<_> = errors.flat_map(|error| error.members()).map(|pointer| dotted(&pointer)).collect();
    members.sort();
    members.dedup();
    format!("write these members of the statement as its predicateType requires: {}", members.join(", "))
}

fn dotted(pointer: &str) -> String {
    let path = pointer.trim_start_matches('/').replace('/', ".");
    match path.as_str() {
        "predicate.runDetails.builder.id" | "predicate.builder.id" => format!("{path} (an absolute URI)"),
        "predicate.buildDefinition.externalParameters" => format!("{path} (an object)"),
        _ => path,
    }
}
