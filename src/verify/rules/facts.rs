//! What rules see of an image itself, and what answers for it.

use std::sync::Arc;

use carnet_bundle::{Bundle, Finding};
use carnet_evidence::{Rules as EvidenceRules, TrustRoot, trust_policy::Scope};
use carnet_policy::input::{Gap, ImageFacts};
use jiff::Timestamp;

use crate::{
    cli::VerifyArgs,
    codes,
    matching::Matched,
    replay::{Answers, Operator, Transport},
};

/// What answers questions about images, by what the operator trusts.
pub(crate) fn answers<T: Transport>(
    args: &VerifyArgs,
    (root, rules): (&TrustRoot, EvidenceRules),
    now: Timestamp,
    transport: T,
) -> Arc<Answers<T>> {
    Arc::new(Answers::new(transport, Operator { root: root.clone(), rules, now, reading: args.reading() }))
}

/// What rules see of an image itself, with what `answers` say of it.
pub(crate) fn facts<T: Transport + 'static>(
    answers: &Arc<Answers<T>>,
    matched: &Matched,
    bundle: &Bundle,
) -> Result<ImageFacts, Finding> {
    let Some(digest) = &matched.digest else { return Ok(ImageFacts::default()) };
    let mut facts = ImageFacts::read(bundle, digest);
    let registry = answers.for_asker(format!("component {}, input", matched.component.name));
    let image = matched.component.reference.pinned(*digest);
    match facts.complete(&image, registry.as_ref()) {
        Ok(()) => Ok(facts),
        Err(error) => Err(Finding::new(&codes::LOOKUP_TAMPERED, &matched.component.container_image, error.to_string())),
    }
}

/// What the input of an image lacks. For rules it fails: one that denies what it
/// sees would pass what it cannot see, and how a rule reaches its input cannot be
/// told from its text.
pub(crate) fn gaps(matched: &Matched, facts: &ImageFacts, scope: Scope) -> Vec<Finding> {
    let image = &matched.component.container_image;
    let finding = |gap: &Gap| Finding::new(&codes::POLICY_INPUT_INCOMPLETE, image, gap.to_string());
    // The children of an index show what it does not, where they are judged.
    let is_seen_below = |gap: &&Gap| matches!(gap, Gap::PlatformNotCarried { .. }) && scope != Scope::Root;
    facts.gaps.iter().filter(|gap| !is_seen_below(gap)).map(finding).collect()
}
