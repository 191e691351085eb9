//! What a rule sees: the rego `input` of one component.
//!
//! Input is a component, what was verified about its image, and what the bundle
//! carries of the image itself; output is the document of
//! `bundle-spec/policy-input.md`, members in Conforma's order. The rule engine
//! and the `policy-input` report take the same value, so that what a report shows
//! is what the rules saw.
//!
//! Claims come in as [`Verified`] only: no rule sees an unchecked statement.

mod config;
mod elsewhere;
mod image;

use carnet_bundle::{Digest, inventory::EvidenceKind};
use carnet_evidence::{Claim, ClaimKind, SignedBy, Verified};
use serde_json::{Map, Value, json};

use crate::{
    checks::Evidence,
    images::{Component, Images, pinned_name},
    outcome::Signature,
    yaml::Reading,
};

pub use image::{Gap, ImageFacts, Parent};

/// One component as rules see it.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The component; the children of an index are components of their own.
    pub component: &'a Component,
    /// The image that it stands for.
    pub digest: &'a Digest,
    /// The signatures that count; none when the check is left out.
    pub signatures: &'a [&'a Verified<Claim>],
    /// The attestations that count, in store order.
    pub attestations: &'a [&'a Verified<Claim>],
    /// What the bundle carries of the image.
    pub facts: &'a ImageFacts,
}

/// The `input` of the rules for `subject`. `snapshot` is the value of
/// [`snapshot`], `policy` the effective policy as the report shows it.
pub fn document(subject: &Subject<'_>, snapshot: &Value, policy: &Value) -> Value {
    let signatures = subject.signatures.iter().map(|claim| Signature::from(&claim.signature)).collect::<Vec<_>>();
    let attestations = subject.attestations.iter().filter_map(|claim| {
        let statement = claim.statement()?;
        Some((statement, vec![Signature::from(&claim.signature)]))
    });
    let parts = Parts {
        component: subject.component,
        reference: pinned_name(&subject.component.reference, subject.digest),
        signatures,
        attestations: attestations.collect(),
        facts: subject.facts,
    };
    parts.document(snapshot, policy)
}

/// The claims of `kind` that count, in store order. In Conforma's reading one
/// bundle hides everything that is kept under tags.
pub fn counted<'e>(evidence: &Evidence<'e>, kind: ClaimKind, reading: Reading) -> Vec<&'e Verified<Claim>> {
    let in_bundle = |form: EvidenceKind| form == EvidenceKind::SigstoreBundle;
    let has_bundle = evidence.verified.iter().any(|claim| in_bundle(claim.form))
        || evidence.refused.iter().any(|refused| in_bundle(refused.form));
    let bundles_only = reading == Reading::Conforma && has_bundle;
    let stored = |claim: &Claim| match claim.form {
        EvidenceKind::SigstoreBundle => true,
        EvidenceKind::Dsse | EvidenceKind::Simplesigning => !bundles_only,
        // A statement of a signed index lies beside the image, as cosign's do; what
        // counts as an attestation (V14.3) is what rules see.
        _ => matches!(claim.signed_by, SignedBy::Index(_)) && !bundles_only,
    };
    evidence.verified.iter().filter(|claim| claim.kind == kind && stored(claim)).collect()
}

/// The snapshot as every component's rules see it: all `components`, children of
/// indexes included, by their references as written.
pub fn snapshot<'a>(images: &Images, components: impl IntoIterator<Item = &'a Component>) -> Value {
    let mut sorted: Vec<_> = components.into_iter().collect();
    sorted.sort_by(|a, b| a.container_image.cmp(&b.container_image).then_with(|| a.name.cmp(&b.name)));
    let shown = |c: &&Component| json!({"name": c.name, "containerImage": c.container_image, "source": c.source});
    let mut members = Map::new();
    members.insert("application".to_owned(), images.application.as_str().into());
    for (name, text) in [("displayName", &images.display_name), ("displayDescription", &images.display_description)] {
        if !text.is_empty() {
            members.insert(name.to_owned(), text.as_str().into());
        }
    }
    members.insert("components".to_owned(), sorted.iter().map(shown).collect());
    members.insert("artifacts".to_owned(), json!({}));
    Value::Object(members)
}

struct Parts<'a> {
    component: &'a Component,
    reference: String,
    signatures: Vec<Signature>,
    attestations: Vec<(Value, Vec<Signature>)>,
    facts: &'a ImageFacts,
}

impl Parts<'_> {
    fn document(self, snapshot: &Value, policy: &Value) -> Value {
        let mut members = Map::new();
        let mut put = |name: &str, value: Value| drop(members.insert(name.to_owned(), value));
        let image = self.image();
        put("attestations", self.attestations.into_iter().map(attestation).collect());
        put("image", image);
        put("snapshot", snapshot.clone());
        if !self.component.name.is_empty() {
            put("component_name", self.component.name.as_str().into());
        }
        put("policy_spec", policy.clone());
        Value::Object(members)
    }

    fn image(&self) -> Value {
        let mut members = Map::new();
        let mut put = |name: &str, value: Value| drop(members.insert(name.to_owned(), value));
        put("ref", self.reference.as_str().into());
        if !self.signatures.is_empty() {
            put("signatures", json!(self.signatures));
        }
        if let Some(config) = &self.facts.config {
            put("config", config.clone());
        }
        if let Some(parent) = &self.facts.parent {
            put("parent", parent.to_json());
        }
        if !self.facts.files.is_empty() {
            put("files", json!(self.facts.files));
        }
        put("source", json!(self.component.source));
        Value::Object(members)
    }
}

fn attestation((statement, signatures): (Value, Vec<Signature>)) -> Value {
    if signatures.is_empty() {
        json!({ "statement": statement })
    } else {
        json!({"statement": statement, "signatures": signatures})
    }
}

#[cfg(test)]
mod tests;
