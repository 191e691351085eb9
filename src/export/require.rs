//! Requirements at the near side (`--require`): is evidence of these sorts there?
//!
//! Unverified: this tells what travels and what does not, before it is carried.
//! Whether it verifies is what the policy is for.

use std::collections::BTreeSet;

use carnet_bundle::{
    Assembly, Digest, Manifest,
    inventory::{EvidenceEntry, EvidenceKind, Subject},
    json, media,
};
use serde_json::Value;

use crate::claims;

const COSIGN_SIGN: &str = "https://sigstore.dev/cosign/sign/v1";
const PROVENANCE: &[&str] = &["https://slsa.dev/provenance/", "https://in-toto.io/Provenance/"];
const SBOM: &[&str] = &["https://spdx.dev/Document", "https://cyclonedx.org/bom", "https://in-toto.io/attestation/sbom"];

/// A sort of evidence that must be there.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Requirement {
    /// A statement of this predicate type.
    Predicate(String),
    /// SLSA provenance, of any version.
    Provenance,
    /// A bill of materials, signed or not.
    Sbom,
    /// A signature of the image itself.
    Signature,
}

impl Requirement {
    /// Reads a word of `--require`, or a predicate type, which is a URI.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        match text {
            "provenance" => Ok(Self::Provenance),
            "sbom" => Ok(Self::Sbom),
            "signature" => Ok(Self::Signature),
            uri if uri.contains(':') => Ok(Self::Predicate(uri.to_owned())),
            _ => Err("want signature, provenance, sbom or a predicate type, which is a URI".to_owned()),
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Predicate(uri) => uri,
            Self::Provenance => "provenance",
            Self::Sbom => "sbom",
            Self::Signature => "signature",
        }
    }
}

/// Says for which images which requirement is not met. An image meets it by
/// evidence about itself, an index also when each of its platforms that travel does.
pub(crate) fn unmet(requirements: &[Requirement], assembly: &Assembly) -> Vec<String> {
    let mut unmet = Vec::new();
    for subject in &assembly.subjects {
        for requirement in requirements {
            if !is_met(requirement, subject, assembly) {
                unmet.push(format!("{} has no {}", subject.reference, requirement.name()));
            }
        }
    }
    unmet
}

fn is_met(requirement: &Requirement, subject: &Subject, assembly: &Assembly) -> bool {
    let has =
        |digest: &Digest| assembly.evidence.iter().any(|entry| entry.subject == *digest && fulfils(requirement, entry, assembly));
    if has(&subject.digest) {
        return true;
    }
    let absent: BTreeSet<_> = assembly.absent.iter().map(|absence| absence.digest).collect();
    let attestations: BTreeSet<_> = assembly.evidence.iter().map(|entry| entry.digest).collect();
    let mut children = subject.children.iter().map(|child| child.digest);
    let mut platforms = children.by_ref().filter(|child| !absent.contains(child) && !attestations.contains(child)).peekable();
    platforms.peek().is_some() && platforms.all(|child| has(&child))
}

fn fulfils(requirement: &Requirement, entry: &EvidenceEntry, assembly: &Assembly) -> bool {
    let types = predicate_types(entry, assembly);
    let starts = |prefixes: &[&str]| types.iter().any(|uri| prefixes.iter().any(|prefix| uri.starts_with(prefix)));
    match requirement {
        Requirement::Signature => entry.kind == EvidenceKind::Simplesigning || types.contains(COSIGN_SIGN),
        Requirement::Provenance => starts(PROVENANCE),
        Requirement::Sbom => entry.kind == EvidenceKind::Sbom || starts(SBOM),
        Requirement::Predicate(uri) => types.contains(uri.as_str()),
    }
}

/// The predicate types in the payloads of a piece of evidence: what the manifest
/// hints may be missing.
fn predicate_types(entry: &EvidenceEntry, assembly: &Assembly) -> BTreeSet<String> {
    let mut types = BTreeSet::new();
    if let Some(document) =
        assembly.documents.iter().find(|d| d.media_type == media::LOOSE_EVIDENCE && Digest::of(&d.bytes) == entry.digest)
    {
        types.extend(claims::predicate_type(&document.bytes));
    }
    let Some(bytes) = assembly.blobs.get(&entry.digest) else { return types };
    let document = json::parse(bytes).unwrap_or_default();
    let media_type = document.get("mediaType").and_then(Value::as_str).unwrap_or(media::OCI_MANIFEST);
    let Ok(manifest) = Manifest::parse(bytes, media_type) else { return types };
    let payloads = manifest.layers().iter().filter_map(|layer| assembly.blobs.get(&layer.digest));
    types.extend(payloads.filter_map(|payload| claims::predicate_type(payload)));
    types
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_uris_are_requirements() {
        assert_eq!(Requirement::parse("sbom"), Ok(Requirement::Sbom));
        let uri = "https://slsa.dev/provenance/v1";
        assert_eq!(Requirement::parse(uri), Ok(Requirement::Predicate(uri.to_owned())));
        for text in ["", "signed", "sboms"] {
            assert!(Requirement::parse(text).is_err(), "{text}");
        }
    }
}
