//! The proof as one page that an auditor files: nothing beside it is loaded, no
//! script runs, and it prints.
//!
//! Made from [`super::proof`] by a template (`html/page.html`) whose every
//! expression is escaped by [`visible::Visible`].

pub(crate) mod visible;
mod words;

use std::collections::BTreeSet;

use askama::Template;
use carnet_bundle::Finding;
use serde_json::Value;

use words::Show;

use super::{
    Report, Verdict,
    alike::{Alike, alike},
    proof::{self, Conclusion, EvidenceProof, Held, ImageProof, Proof, Signer},
};

/// The page, ready to be printed.
#[derive(Template)]
#[template(path = "page.html")]
struct Page<'r> {
    proof: Proof<'r>,
}

/// The whole page. A template that cannot be written to memory is not met; it
/// would leave a page that says so and no verdict.
pub(super) fn render(report: &Report) -> String {
    let page = Page { proof: proof::of(report) };
    page.render().unwrap_or_else(|error| format!("<!doctype html>\n<title>No report</title>\n<p>No report: {error}</p>\n"))
}

impl Page<'_> {
    fn passed(&self) -> bool {
        self.proof.verdict == Verdict::Pass
    }

    /// The verdict as a sentence.
    fn sentence(&self) -> String {
        let totals = &self.proof.totals;
        let count = |n: usize, what: &str| if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") };
        match (self.passed(), totals.images, totals.failed) {
            (true, 0, _) => "No image was judged, and nothing failed.".to_owned(),
            (true, 1, _) => "The image passed every check and every rule that was asked.".to_owned(),
            (true, n, _) => format!("All {n} images passed every check and every rule that was asked."),
            (false, 0, _) => "No image could be judged.".to_owned(),
            (false, _, 0) => "No image failed by itself, but what carries them did.".to_owned(),
            (false, 1, _) => format!("The image failed: {}.", count(totals.violations, "violation")),
            (false, n, failed) => {
                let verb = if failed == 1 { "fails" } else { "fail" };
                format!("{failed} of {} {verb}, with {}.", count(n, "image"), count(totals.violations, "violation"))
            }
        }
    }

    /// Whether a conclusion or a piece of evidence says the same already: it stands
    /// once then, where it belongs.
    fn said(&self, finding: &Finding) -> bool {
        let conclusions = self.proof.images.iter().flat_map(|image| &image.conclusions);
        let pieces = self.proof.images.iter().flat_map(|image| &image.evidence);
        conclusions.into_iter().any(|conclusion| conclusion.result != Held::Passed && conclusion.says == finding.message)
            || pieces.into_iter().any(|evidence| evidence.piece.findings.contains(finding))
    }

    /// The findings, those that say the same together.
    fn findings(&self) -> Vec<Alike<'_>> {
        alike(self.proof.findings, |finding| self.said(finding))
    }

    /// The codes of those findings, each once.
    fn failing_codes(&self) -> BTreeSet<&'static str> {
        self.proof.findings.iter().filter(|finding| finding.is_failure()).map(|finding| finding.code).collect()
    }

    /// How many findings fail the verdict.
    fn failures(&self) -> usize {
        self.proof.findings.iter().filter(|finding| finding.is_failure()).count()
    }
}

impl ImageProof<'_> {
    fn with(&self, held: &[Held]) -> Vec<&Conclusion> {
        self.conclusions.iter().filter(|conclusion| held.contains(&conclusion.result)).collect()
    }

    fn attention(&self) -> Vec<&Conclusion> {
        self.with(&[Held::Contradicted, Held::Failed, Held::NotComparable, Held::NotCounted, Held::Warning])
    }

    fn held(&self) -> Vec<&Conclusion> {
        self.with(&[Held::Passed])
    }

    fn count(&self, held: Held) -> usize {
        self.with(&[held]).len()
    }

    /// Where in the list of evidence a piece stands, from 1.
    fn place(&self, name: &str) -> Option<usize> {
        self.evidence.iter().position(|evidence| evidence.piece.evidence == name).map(|at| at + 1)
    }
}

impl EvidenceProof<'_> {
    /// What it is, in words.
    fn what(&self) -> &'static str {
        match self.piece.facts.as_ref().map(|facts| facts.kind) {
            Some("image-signature") => "Signature of the image",
            Some(_) => "Attestation",
            None => "Evidence that does not count",
        }
    }

    /// Who signed, on one line.
    fn by(&self) -> String {
        match self.piece.facts.as_ref().map(|facts| &facts.signer) {
            Some(Signer::Certificate { subject, .. }) => subject.clone(),
            Some(Signer::Key { .. }) => "the operator's key".to_owned(),
            Some(Signer::Index { .. }) => "nobody; bound by a signed index".to_owned(),
            Some(Signer::Other) => "a signer of another kind".to_owned(),
            None => self.piece.findings.first().map(|finding| finding.code.to_owned()).unwrap_or_default(),
        }
    }
}

/// The subject of one finding, where it has any.
fn subject(finding: &Finding) -> Vec<&str> {
    Some(finding.subject.as_str()).filter(|subject| !subject.is_empty()).into_iter().collect()
}

/// The members of a document, each on a line of its own: where it stands and what it
/// is.
fn rows(value: &Value) -> Vec<(String, String)> {
    let mut rows = Vec::new();
    flatten(value, String::new(), &mut rows);
    rows
}

fn flatten(value: &Value, place: String, rows: &mut Vec<(String, String)>) {
    let below = |name: &str| if place.is_empty() { name.to_owned() } else { format!("{place} › {name}") };
    match value {
        Value::Object(members) if !members.is_empty() => {
            members.iter().for_each(|(name, value)| flatten(value, below(name), rows));
        }
        Value::Array(items) if !items.is_empty() => {
            items.iter().enumerate().for_each(|(at, value)| flatten(value, below(&(at + 1).to_string()), rows));
        }
        Value::String(text) => rows.push((place, text.clone())),
        Value::Object(_) | Value::Array(_) => rows.push((place, "none".to_owned())),
        other => rows.push((place, other.to_string())),
    }
}
