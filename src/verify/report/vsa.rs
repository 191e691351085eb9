//! Verification summaries: Conforma's, and the one of SLSA.

use carnet_bundle::{Digest, json};
use carnet_policy::ComponentOutcome;
use serde_json::{Map, Value, json};

use super::{
    Report, Verdict,
    json::carnet,
    totals::{Totals, unsaid_failures},
};

const STATEMENT: &str = "https://in-toto.io/Statement/v1";
const PREDICATE: &str = "https://slsa.dev/verification_summary/v1";
/// Who says so. Names of extension fields are URIs too.
const VERIFIER: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "#carnet-verify");
const EXTENSION: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "#carnet");

/// Conforma's summary of a whole run.
pub(super) fn conforma(report: &Report, show_successes: bool) -> Value {
    let components = report.ordered();
    let totals = Totals::of(report);
    let success = report.verdict() == Verdict::Pass;
    let detail = |c: &&ComponentOutcome| {
        json!({
            "name": c.name,
            "containerImage": c.container_image,
            "success": c.success(),
            "violations": c.violations.len(),
            "warnings": c.warnings.len(),
            "successes": if show_successes { c.successes.len() } else { 0 },
        })
    };
    json!({
        "policy": report.policy,
        "imageRefs": components.iter().map(|c| c.container_image.as_str()).collect::<Vec<_>>(),
        "timestamp": report.time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "status": if success { "passed" } else { "failed" },
        "verifier": "conforma",
        "summary": {
            "snapshot": report.snapshot,
            "components": components.len(),
            "success": success,
            "key": report.key,
            "ec_version": report.ec_version,
            "component_details": components.iter().map(detail).collect::<Vec<_>>(),
            "Violations": totals.violations + unsaid_failures(report),
            "Warnings": totals.warnings,
        },
        "carnet": carnet(report),
    })
}

/// SLSA's summary of one image, as an in-toto statement that is ready to be
/// signed: one per line, one line per component whose image has a digest.
///
/// An image has passed when it and its children have no violation and nothing about
/// the bundle as a whole failed; carnet asks for no SLSA level, so it says that none was
/// evaluated.
pub(super) fn slsa(report: &Report) -> Vec<Value> {
    let whole = unsaid_failures(report) == 0;
    report.ordered().into_iter().filter_map(|component| statement(report, component, whole)).collect()
}

/// What SLSA's summary has no field for.
fn extension(report: &Report) -> Value {
    let carnet = &report.carnet;
    let mut members = json!({"bundle": carnet.bundle, "trust": carnet.trust, "relaxations": carnet.relaxations});
    let vouchers = report.vouchers();
    if !vouchers.is_empty() {
        members["assumptionsVouchedBy"] = json!(vouchers);
    }
    if !carnet.timestamps.is_empty() {
        members["timestamps"] = json!(carnet.timestamps);
    }
    members
}

fn statement(report: &Report, component: &ComponentOutcome, whole: bool) -> Option<Value> {
    let (name, digest) = component.container_image.rsplit_once('@')?;
    let digest: Digest = digest.parse().ok()?;
    let passed = whole && component.success() && children(report, component).all(ComponentOutcome::success);
    let mut predicate = Map::new();
    let mut put = |name: &str, value: Value| drop(predicate.insert(name.to_owned(), value));
    put("verifier", json!({"id": VERIFIER, "version": {"carnet-verify": report.carnet.version}}));
    put("timeVerified", report.time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into());
    put("resourceUri", package_url(name, &digest).into());
    put("policy", policy(&report.policy));
    if let Some(id) = &report.carnet.bundle.id {
        // The bundle holds every attestation that was used.
        put("inputAttestations", json!([{"name": "bundle", "digest": {"sha256": id.to_hex()}}]));
    }
    put("verificationResult", if passed { "PASSED" } else { "FAILED" }.into());
    put("verifiedLevels", json!([if passed { "SLSA_BUILD_LEVEL_UNEVALUATED" } else { "FAILED" }]));
    put("slsaVersion", "1.1".into());
    put(EXTENSION, extension(report));
    Some(json!({
        "_type": STATEMENT,
        "subject": [{"name": name, "digest": {"sha256": digest.to_hex()}}],
        "predicateType": PREDICATE,
        "predicate": predicate,
    }))
}

/// The components that an index was expanded to: a runtime runs one of them when it
/// is told the digest of the index.
fn children<'r>(report: &'r Report, index: &'r ComponentOutcome) -> impl Iterator<Item = &'r ComponentOutcome> {
    let is_child = |name: &str| name.strip_prefix(&index.name).is_some_and(|rest| rest.starts_with("-sha256:"));
    report.components.iter().filter(move |component| is_child(&component.name))
}

/// The effective policy by the digest of its RFC 8785 bytes; the URI is of
/// RFC 6920 §7.
fn policy(policy: &Value) -> Value {
    let digest = json::canonical(policy).map(|bytes| Digest::of(&bytes).to_hex()).unwrap_or_default();
    json!({"uri": format!("nih:sha-256;{digest}"), "digest": {"sha256": digest}})
}

/// The image as a package URL of type `oci`.
fn package_url(repository: &str, digest: &Digest) -> String {
    let last = repository.rsplit('/').next().unwrap_or(repository);
    format!("pkg:oci/{}@sha256%3A{}?repository_url={}", encode(last, ""), digest.to_hex(), encode(repository, "/"))
}

/// Percent-encodes everything but unreserved characters and those in `kept`.
pub(super) fn encode(text: &str, kept: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        let c = char::from(byte);
        if c.is_ascii_alphanumeric() || "-._~".contains(c) || (c.is_ascii() && kept.contains(c)) {
            out.push(c);
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_named_by_its_package_url() {
        let want = format!("pkg:oci/app@sha256%3A{}?repository_url=r.example%3A5000/golden/app", Digest::of(b"").to_hex());
        assert_eq!(package_url("r.example:5000/golden/app", &Digest::of(b"")), want);
        assert_eq!(encode("a b/é?#\u{1b}", "/"), "a%20b/%C3%A9%3F%23%1B");
    }
}
