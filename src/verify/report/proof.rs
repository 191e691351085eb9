//! The proof: why the verdict is what it is, for whoever keeps it.
//!
//! Where the other forms say what was found out, this one says what each
//! conclusion stands on: which evidence, whose signature, which log, which time,
//! and through which material of the operator all of that is trusted. Its shape is
//! `bundle-spec/proof.md`; the page for people (`--output html`) is made from the
//! same value, so neither can know more than the other.

mod conclusion;
mod ledger;
mod uncovered;

use std::collections::BTreeMap;

use carnet_bundle::{Digest, Finding, inventory::Receipt, json};
use carnet_policy::sources::UsedSource;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::{Assumption, Bundle, BundleTimestamp, Image, Relaxation, Report, Trust, Verdict, totals::Totals};

pub use conclusion::{Anchor, AnchorKind, Conclusion, Held};
pub use ledger::{CertificateLog, Compared, Facts, Ledger, LogEntry, Omitted, Piece, Signer, Time, TimeVoucher};
pub use uncovered::Uncovered;

/// Name of the document.
const SCHEMA: &str = "carnet-proof";

/// The whole document.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Proof<'r> {
    pub(super) schema: Schema,
    pub(super) verdict: Verdict,
    pub(super) totals: Counts,
    pub(super) verifier: Verifier<'r>,
    /// When the run was: `--at`, else the clock.
    pub(super) time: Timestamp,
    /// As of when rules were applied.
    pub(super) effective_time: Timestamp,
    pub(super) bundle: &'r Bundle,
    /// Since when the bundle exists.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(super) timestamps: &'r [BundleTimestamp],
    pub(super) trust: &'r Trust,
    pub(super) policy: Policy<'r>,
    pub(super) images: Vec<ImageProof<'r>>,
    pub(super) carried: &'r [Image],
    pub(super) findings: &'r [Finding],
    pub(super) relaxations: &'r [Relaxation],
    pub(super) assumptions: &'r [Assumption],
    pub(super) not_covered: Vec<Uncovered>,
    pub(super) receipts: &'r [Receipt],
}

/// Name and version of the document.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Schema {
    pub(super) name: &'static str,
    pub(super) major: u32,
    pub(super) minor: u32,
}

/// How many, of all images together.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Counts {
    pub(super) images: usize,
    pub(super) passed: usize,
    pub(super) failed: usize,
    pub(super) violations: usize,
    pub(super) warnings: usize,
    pub(super) successes: usize,
}

/// The program that judged.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Verifier<'r> {
    pub(super) name: &'static str,
    pub(super) version: &'r str,
    /// The arguments that it was given.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(super) arguments: &'r [String],
}

/// What was asked for.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Policy<'r> {
    /// Of the RFC 8785 bytes of `document`.
    pub(super) digest: Digest,
    /// The operator's key in PEM.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) key: &'r str,
    /// Who must have signed, by policy or flag, where it is no key.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) identity: &'r BTreeMap<&'static str, String>,
    pub(super) document: &'r Value,
    pub(super) sources: &'r [UsedSource],
}

/// One image that was judged.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ImageProof<'r> {
    pub(super) component: &'r str,
    pub(super) reference: &'r str,
    /// Absent when the image is not in the bundle.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) digest: Option<Digest>,
    pub(super) verdict: Verdict,
    /// Where the component says it was built from.
    pub(super) source: Value,
    /// The checks and rules of gate 3.
    pub(super) conclusions: Vec<Conclusion>,
    /// The evidence that they stand on, and what was not counted.
    pub(super) evidence: Vec<EvidenceProof<'r>>,
}

/// One piece of evidence, with what follows from it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct EvidenceProof<'r> {
    #[serde(flatten)]
    pub(super) piece: &'r Piece,
    pub(super) conclusions: Vec<Conclusion>,
}

/// The proof of a report.
pub(super) fn of(report: &Report) -> Proof<'_> {
    let carnet = &report.carnet;
    let digest = json::canonical(&report.policy).map(|bytes| Digest::of(&bytes)).unwrap_or_else(|_| Digest::of(b""));
    let images: Vec<_> = report.order().into_iter().map(|(at, component)| image(report, at, component, digest)).collect();
    let passed = images.iter().filter(|image| image.verdict == Verdict::Pass).count();
    let Totals { violations, warnings, successes } = Totals::of(report);
    Proof {
        schema: Schema { name: SCHEMA, major: 0, minor: 1 },
        verdict: report.verdict(),
        totals: Counts { images: images.len(), passed, failed: images.len() - passed, violations, warnings, successes },
        verifier: Verifier { name: "carnet-verify", version: &carnet.version, arguments: &carnet.arguments },
        time: report.time,
        effective_time: report.effective_time,
        bundle: &carnet.bundle,
        timestamps: &carnet.timestamps,
        trust: &carnet.trust,
        policy: Policy {
            digest,
            key: &report.key,
            identity: &carnet.ledger.identity,
            document: &report.policy,
            sources: &carnet.sources,
        },
        images,
        carried: &carnet.images,
        findings: &carnet.findings,
        relaxations: &carnet.relaxations,
        assumptions: &carnet.assumptions,
        not_covered: uncovered::of(report),
        receipts: &carnet.ledger.receipts,
    }
}

/// The document as a value, its members in the order of the specification.
pub(super) fn document(report: &Report) -> Value {
    serde_json::to_value(of(report)).unwrap_or_default()
}

fn image<'r>(report: &'r Report, at: usize, component: &'r carnet_policy::ComponentOutcome, policy: Digest) -> ImageProof<'r> {
    let pieces = report.carnet.ledger.evidence.get(at).map(Vec::as_slice).unwrap_or_default();
    let digest = component.container_image.rsplit_once('@').and_then(|(_, digest)| digest.parse().ok());
    let evidence =
        pieces.iter().map(|piece| EvidenceProof { piece, conclusions: piece.conclusions(&report.carnet.trust, policy) });
    ImageProof {
        component: &component.name,
        reference: &component.container_image,
        digest,
        verdict: if component.success() { Verdict::Pass } else { Verdict::Fail },
        source: serde_json::to_value(&component.source).unwrap_or_default(),
        conclusions: conclusion::of(component, digest, pieces, policy),
        evidence: evidence.collect(),
    }
}
