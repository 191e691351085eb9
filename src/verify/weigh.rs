//! What a flag excuses, and what it does not (V4.3, V4.5, V12.3, V16).

use std::collections::BTreeSet;

use carnet_bundle::{Bundle, Digest, Finding, Manifest, Platform, Severity, codes as bundle_codes, inventory::EvidenceKind};
use carnet_evidence::{Rules, classify};

use crate::{
    cli::{Layers, VerifyArgs},
    codes,
    report::Assumption,
};

/// Weighs the findings of gate 1 by the flags of the operator.
/// `rules` say whether statements of BuildKit count.
pub(crate) fn integrity(findings: Vec<Finding>, bundle: Option<&Bundle>, args: &VerifyArgs, rules: &Rules) -> Vec<Finding> {
    let counted =
        bundle.filter(|_| args.layers == Layers::None).map(|bundle| counted_payloads(bundle, rules)).unwrap_or_default();
    let weigh = |finding: Finding| match excused(&finding, bundle, args, &counted) {
        Some(severity) => finding.with_severity(severity),
        None => finding,
    };
    findings.into_iter().map(weigh).collect()
}

fn excused(finding: &Finding, bundle: Option<&Bundle>, args: &VerifyArgs, counted: &BTreeSet<Digest>) -> Option<Severity> {
    let is = |code: &carnet_bundle::Code| finding.code == code.name;
    let no_layers = args.layers == Layers::None;
    let of_image = is(&bundle_codes::LAYERS_NOT_CARRIED) || is(&bundle_codes::CONFIG_NOT_CARRIED);
    if no_layers && of_image && !lacks(finding, bundle?, counted) {
        return Some(Severity::Note);
    }
    if no_layers && is(&bundle_codes::EVIDENCE_NOT_CARRIED) && is_evidence(finding, bundle?) && !lacks(finding, bundle?, counted)
    {
        return Some(Severity::Warning);
    }
    if args.allow_incomplete.0 && is(&bundle_codes::COLLECTION_INCOMPLETE) {
        return Some(Severity::Warning);
    }
    if is(&bundle_codes::CHILD_NOT_CARRIED) && omits_only_others(finding, bundle?, &args.platform) {
        return Some(Severity::Note);
    }
    None
}

/// The payloads that a check could count: those of evidence that is verified. The
/// manifests decide; what the inventory calls them, and as whose layer they are
/// declared absent, is the exporter's to choose.
fn counted_payloads(bundle: &Bundle, rules: &Rules) -> BTreeSet<Digest> {
    let is_counted = |manifest: &&Manifest| {
        matches!(classify(manifest).kind, EvidenceKind::Dsse | EvidenceKind::SigstoreBundle | EvidenceKind::Simplesigning)
    };
    let verified = bundle.inventory().evidence.iter().filter_map(|entry| bundle.manifest(&entry.digest)).filter(is_counted);
    let of_buildkit = bundle.tree().buildkit().keys().filter(|_| rules.accept_buildkit);
    let manifests = verified.chain(of_buildkit.filter_map(|digest| bundle.manifest(digest)));
    manifests.flat_map(Manifest::layers).map(|layer| layer.digest).collect()
}

/// Whether one of `counted` is among what the owner of a finding names and lacks.
fn lacks(finding: &Finding, bundle: &Bundle, counted: &BTreeSet<Digest>) -> bool {
    let owner = finding.subject.parse::<Digest>().ok().and_then(|digest| bundle.manifest(&digest));
    owner.is_none_or(|owner| {
        let named = owner.config().into_iter().chain(owner.layers());
        named.map(|blob| blob.digest).any(|digest| !bundle.has(&digest) && counted.contains(&digest))
    })
}

/// Documents of carnet's own are no evidence, and nothing excuses them.
fn is_evidence(finding: &Finding, bundle: &Bundle) -> bool {
    let owner = finding.subject.parse::<Digest>().ok();
    owner.is_some_and(|owner| bundle.inventory().evidence.iter().any(|entry| entry.digest == owner))
}

/// Whether every child that the index lacks is of a platform that was not asked
/// for.
fn omits_only_others(finding: &Finding, bundle: &Bundle, asked: &[Platform]) -> bool {
    let Some(index) = finding.subject.parse::<Digest>().ok().and_then(|digest| bundle.manifest(&digest)) else { return false };
    let mut absent = index.children().iter().filter(|child| !bundle.has(&child.digest));
    let other = |platform: &Platform| !asked.iter().any(|asked| covers(asked, platform));
    !asked.is_empty() && absent.all(|child| child.platform.as_ref().is_some_and(other))
}

/// A platform without a variant asks for every variant.
pub(crate) fn covers(asked: &Platform, platform: &Platform) -> bool {
    asked.os == platform.os
        && asked.architecture == platform.architecture
        && (asked.variant.is_none() || asked.variant == platform.variant)
}

/// Carried images that nobody expects fail when there is a list of what is
/// expected; beside `--image` they are said.
pub(crate) fn unexpected(findings: Vec<Finding>, has_list: bool, args: &VerifyArgs) -> Vec<Finding> {
    let severity = match (has_list, args.allow_unexpected_images.0) {
        (true, false) => Severity::Failure,
        (true, true) => Severity::Warning,
        (false, _) => Severity::Note,
    };
    findings.into_iter().map(|finding| finding.with_severity(severity)).collect()
}

/// Lets the pinned id of this very bundle and its exporters `vouched` vouch for what
/// nobody can check offline, and fails what is left when the operator takes nobody's
/// word.
pub(crate) fn assumptions(
    assumptions: &mut [Assumption],
    bundle: Option<&Bundle>,
    vouched: &[String],
    args: &VerifyArgs,
) -> Vec<Finding> {
    let pinned = args.bundle_id.filter(|pin| bundle.is_some_and(|bundle| bundle.id() == *pin));
    let pinned = pinned.map(|id| format!("--bundle-id {id}"));
    let by: Vec<&str> = pinned.iter().chain(vouched).map(String::as_str).collect();
    for assumption in &mut *assumptions {
        assumption.vouched_by = by.join("; ");
    }
    if !args.no_assumptions.0 {
        return Vec::new();
    }
    let open = assumptions.iter().filter(|assumption| assumption.vouched_by.is_empty());
    open.map(|a| Finding::new(&codes::ASSUMPTION_NOT_VOUCHED, &a.subject, format!("{}: {}", a.code, a.message))).collect()
}
