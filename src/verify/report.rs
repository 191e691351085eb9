//! The report: one value, rendered in every form that `--output` knows.
//!
//! Its outer shape is Conforma's (`ec validate image`), so that whatever reads
//! those reports reads these. What carnet has to say beyond it stands under one
//! extra member, `carnet`: the verdict, the bundle, the trust, every finding,
//! what was taken on the exporter's word and what a flag relaxed. `docs/reports.md`
//! says where that stands in the other forms.
//!
//! Text that comes from evidence is escaped before it reaches a terminal
//! (`bundle-spec/verify.md` V16.4 stops a *terminal escape*).

mod alike;
mod appstudio;
mod causes;
mod escape;
mod html;
mod json;
mod junit;
mod lines;
pub mod proof;
mod sarif;
mod summary;
mod target;
mod text;
mod totals;
mod vsa;
mod wrap;
mod yaml;

use carnet_bundle::{Digest, Finding};
use carnet_evidence::tuf::{Chain, Link};
use carnet_policy::{ComponentOutcome, sources::UsedSource};
use jiff::Timestamp;
use serde::Serialize;

pub use escape::escape_line;
pub(crate) use json::render as render_json;
pub use target::{Format, Need, Target, TargetError, TextOptions, parse_targets};
pub(crate) use target::{parse_bool, split_csv};
pub use yaml::render as render_yaml;

/// Everything that a run found out.
#[derive(Clone, Debug)]
pub struct Report {
    /// Value of `--snapshot`; left out when empty.
    pub snapshot: String,
    /// Outcome per component, in any order.
    pub components: Vec<ComponentOutcome>,
    /// What few forms ask for, per component in the order of `components`; a
    /// component without one has nothing of the kind. See [`Format::needs`].
    pub materials: Vec<Material>,
    /// The public key in PEM; empty when identities are asked for.
    pub key: String,
    /// The effective policy, in Conforma's member order.
    pub policy: serde_json::Value,
    /// What `ec-version` says.
    pub ec_version: String,
    /// As of when rules were applied.
    pub effective_time: Timestamp,
    /// When the run was: `--at`, else the clock. Forms that say when they were
    /// made say this.
    pub time: Timestamp,
    /// What carnet says beyond Conforma's report.
    pub carnet: Carnet,
}

/// What a component was judged by, for the forms that hand it on.
#[derive(Clone, Debug, Default)]
pub struct Material {
    /// The verified statements as they were signed, in store order.
    pub statements: Vec<String>,
    /// The `input` that rules saw; `None` when no rule could be evaluated.
    pub policy_input: Option<serde_json::Value>,
}

/// What carnet says beyond Conforma's report.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Carnet {
    /// Version of carnet.
    pub version: String,
    /// How it was called, for what is kept.
    #[serde(skip)]
    pub arguments: Vec<String>,
    /// The bundle that was judged.
    pub bundle: Bundle,
    /// What was trusted.
    pub trust: Trust,
    /// What was used for each source of rules and data, and why it may be.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<UsedSource>,
    /// Since when the bundle exists, by authorities that the operator trusts; the
    /// earliest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub timestamps: Vec<BundleTimestamp>,
    /// The images that the bundle carries.
    pub images: Vec<Image>,
    /// Every finding of every gate.
    pub findings: Vec<Finding>,
    /// What the verdict took on the exporter's word.
    pub assumptions: Vec<Assumption>,
    /// Which checks a flag relaxed.
    pub relaxations: Vec<Relaxation>,
    /// What only a proof shows; empty unless a form asks for it.
    #[serde(skip)]
    pub ledger: proof::Ledger,
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

/// A verified timestamp over the bundle (V16.5): it existed then. It vouches for
/// nothing else.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BundleTimestamp {
    /// When, by the authority's clock.
    pub time: Timestamp,
    /// The authority.
    pub authority: String,
    /// Through what of the operator's it is trusted: a file, or the trust root.
    pub through: String,
    /// The attachment that holds it.
    pub attachment: Digest,
}

impl BundleTimestamp {
    pub(crate) fn sentence(&self) -> String {
        format!("the bundle existed at {}, by {} ({})", self.time, self.authority, self.through)
    }
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
    /// The time that freshness was judged at: `--at`, else the clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub as_of: Option<Timestamp>,
    /// The TUF chain that delivered the trust root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tuf: Option<Tuf>,
    /// What ends after that time, soonest first: parts of the trust root (what is
    /// signed after that verifies by a newer one only), and what freshness rules
    /// allow.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub forecast: Vec<Ending>,
}

/// A carried TUF chain.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tuf {
    /// Digest of the `root.json` that the operator holds.
    pub root: Digest,
    /// The files at its end, by role.
    pub links: Vec<TufLink>,
}

/// One file of a TUF chain.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TufLink {
    /// `root`, `timestamp`, `snapshot` or `targets`.
    pub role: &'static str,
    /// Its version.
    pub version: u64,
    /// When it expires.
    pub expires: Timestamp,
}

impl From<&Chain> for Tuf {
    fn from(chain: &Chain) -> Self {
        let link = |link: &Link| TufLink { role: link.role.as_str(), version: link.version, expires: link.expires };
        Self { root: *chain.held(), links: chain.links().iter().map(link).collect() }
    }
}

/// When something stops to vouch for what is new.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ending {
    /// A log, an authority, an age, a file of a TUF chain.
    pub what: String,
    /// Its last moment.
    pub until: Timestamp,
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

static NO_MATERIAL: Material = Material { statements: Vec::new(), policy_input: None };

impl Report {
    /// The verdict: pass when no component has a violation and no finding is a
    /// failure.
    pub fn verdict(&self) -> Verdict {
        let components = self.components.iter().all(ComponentOutcome::success);
        let findings = !self.carnet.findings.iter().any(Finding::is_failure);
        if components && findings { Verdict::Pass } else { Verdict::Fail }
    }

    /// Renders the report for `target`. `show_successes` is the flag of the run
    /// (text has its own too, in the target, and shows them when both agree, as in
    /// Conforma), `colour` puts colours into text.
    pub fn render(&self, target: &Target, show_successes: bool, colour: bool) -> String {
        let mut options = target.options;
        options.show_successes &= show_successes;
        let mut text = match target.format {
            Format::Appstudio => json::render(&appstudio::document(self)),
            Format::Attestation => lines::attestations(self),
            Format::Html => html::render(self),
            Format::Json => json::render(&json::document(self, show_successes)),
            Format::Junit => junit::render(self, show_successes),
            Format::PolicyInput => lines::inputs(self),
            Format::Proof => json::render(&proof::document(self)),
            Format::Sarif => json::render(&sarif::document(self, show_successes)),
            Format::SlsaVsa => vsa::slsa(self).iter().map(json::render).collect::<Vec<_>>().join("\n"),
            Format::Summary => json::render(&summary::document(self, show_successes)),
            Format::SummaryMarkdown => summary::markdown(self),
            Format::Text => text::render(self, &options, colour),
            Format::Vsa => json::render(&vsa::conforma(self, show_successes)),
            Format::Yaml => yaml::render(&json::document(self, show_successes)),
        };
        if !text.ends_with('\n') {
            text.push('\n');
        }
        text
    }

    /// What to do about a verdict that is fail: codes with their hints, the first
    /// steps first. They belong on standard error, behind the report.
    pub fn remedies(&self) -> Vec<String> {
        causes::remedies(self)
    }

    /// The components as every format shows them: by reference, the last first;
    /// equal ones by name.
    fn ordered(&self) -> Vec<&ComponentOutcome> {
        self.order().into_iter().map(|(_, component)| component).collect()
    }

    /// The materials in that order.
    fn ordered_materials(&self) -> Vec<&Material> {
        self.order().into_iter().map(|(at, _)| self.materials.get(at).unwrap_or(&NO_MATERIAL)).collect()
    }

    fn order(&self) -> Vec<(usize, &ComponentOutcome)> {
        let mut order: Vec<_> = self.components.iter().enumerate().collect();
        order.sort_by(|(_, a), (_, b)| b.container_image.cmp(&a.container_image).then_with(|| a.name.cmp(&b.name)));
        order
    }

    /// Who vouches for assumptions, each once.
    fn vouchers(&self) -> std::collections::BTreeSet<&str> {
        let by = self.carnet.assumptions.iter().map(|assumption| assumption.vouched_by.as_str());
        by.filter(|by| !by.is_empty()).collect()
    }

    /// What the forms among `targets` that have no place for it leave out: which
    /// checks were relaxed, who vouches, and since when the bundle exists. It belongs on
    /// standard error.
    pub fn remarks(&self, targets: &[Target]) -> Vec<String> {
        if targets.iter().all(|target| target.format.has_room()) {
            return Vec::new();
        }
        let relaxed = self.carnet.relaxations.iter().map(|r| format!("relaxed by {}: {}", r.flag, r.effect));
        let vouched = self.vouchers().into_iter().map(|by| format!("assumptions vouched for by {by}"));
        relaxed.chain(vouched).chain(self.carnet.timestamps.iter().map(BundleTimestamp::sentence)).collect()
    }
}
