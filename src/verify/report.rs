//! The report: one value, rendered as text, JSON or YAML.
//!
//! Its outer shape is Conforma's (`ec validate image`), so that whatever reads
//! those reports reads these. What carnet has to say beyond it stands under one
//! extra member, `carnet`: the verdict, the bundle, the trust, every finding,
//! what was taken on the exporter's word and what a flag relaxed.
//!
//! Text that comes from evidence is escaped before it reaches a terminal
//! (`bundle-spec/verify.md` V16.4 stops a *terminal escape*).

mod escape;
mod json;
mod target;
mod text;
mod wrap;
mod yaml;

use carnet_bundle::{Digest, Finding};
use carnet_policy::ComponentOutcome;
use jiff::Timestamp;
use serde::Serialize;

pub use escape::escape_line;
pub use target::{Format, Target, TargetError, TextOptions, parse_targets};
pub(crate) use target::{parse_bool, split_csv};

/// Everything that a run found out.
#[derive(Clone, Debug)]
pub struct Report {
    /// Value of `--snapshot`; left out when empty.
    pub snapshot: String,
    /// Outcome per component, in any order.
    pub components: Vec<ComponentOutcome>,
    /// The public key in PEM; empty when identities are asked for.
    pub key: String,
    /// The effective policy, in Conforma's member order.
    pub policy: serde_json::Value,
    /// What `ec-version` says.
    pub ec_version: String,
    /// As of when rules were applied.
    pub effective_time: Timestamp,
    /// What carnet says beyond Conforma's report.
    pub carnet: Carnet,
}

/// What carnet says beyond Conforma's report.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Carnet {
    /// Version of carnet.
    pub version: String,
    /// The bundle that was judged.
    pub bundle: Bundle,
    /// What was trusted.
    pub trust: Trust,
    /// The images that the bundle carries.
    pub images: Vec<Image>,
    /// Every finding of every gate.
    pub findings: Vec<Finding>,
    /// What the verdict took on the exporter's word.
    pub assumptions: Vec<Assumption>,
    /// Which checks a flag relaxed.
    pub relaxations: Vec<Relaxation>,
}

/// The bundle that was judged.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Bundle {
    /// Digest of the bundle index.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<Digest>,
    /// Digest of the list of what is carried, whoever exported it and when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_id: Option<Digest>,
}

/// What was trusted, and where it came from.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Trust {
    /// Where the trust came from, such as `built-in (public-good)` or a path.
    pub source: String,
    /// Digest of the trust root or key file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Date of a trust root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub date: Option<Timestamp>,
    /// Whole days from that date to the time of the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age_days: Option<i64>,
}

/// An image that the bundle carries.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Image {
    /// The reference as requested at export.
    pub reference: String,
    /// Its digest.
    pub digest: Digest,
    /// Names of the components that it was judged for.
    pub components: Vec<String>,
}

/// Something that nobody can check offline, and what relied on it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Assumption {
    /// Stable kebab-case name of the kind, such as `tag-resolution`.
    pub code: String,
    /// What it is about.
    pub subject: String,
    /// What is assumed.
    pub message: String,
    /// The checks and rules that relied on it.
    pub used_by: Vec<String>,
    /// Who vouches for it; empty when nobody does.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub vouched_by: String,
}

/// A check that a flag relaxed.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Relaxation {
    /// The flag as the user would write it.
    pub flag: String,
    /// What is not asked any more, and what still is.
    pub effect: String,
}

/// Whether everything is as the operator asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// At least one check failed.
    Fail,
    /// Every check passed.
    Pass,
}

impl Report {
    /// The verdict: pass when no component has a violation and no finding is a
    /// failure.
    pub fn verdict(&self) -> Verdict {
        let components = self.components.iter().all(ComponentOutcome::success);
        let findings = !self.carnet.findings.iter().any(Finding::is_failure);
        if components && findings { Verdict::Pass } else { Verdict::Fail }
    }

    /// Renders the report for `target`. `show_successes` is the flag of the run
    /// (text has its own, in the target), `colour` puts colours into text.
    pub fn render(&self, target: &Target, show_successes: bool, colour: bool) -> String {
        let mut text = match target.format {
            Format::Json => json::render(&json::document(self, show_successes)),
            Format::Text => text::render(self, &target.options, colour),
            Format::Yaml => yaml::render(&json::document(self, show_successes)),
        };
        if !text.ends_with('\n') {
            text.push('\n');
        }
        text
    }

    /// The components as every format shows them: by reference, the last first;
    /// equal ones by name.
    fn ordered(&self) -> Vec<&ComponentOutcome> {
        let mut ordered: Vec<_> = self.components.iter().collect();
        ordered.sort_by(|a, b| b.container_image.cmp(&a.container_image).then_with(|| a.name.cmp(&b.name)));
        ordered
    }
}
