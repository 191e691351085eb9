//! The signatures and attestations of an image, looked for in every store and
//! verified (`ec.sigstore.*`).

use std::collections::{BTreeMap, BTreeSet};

use carnet_bundle::{Digest, Limits, Manifest, Reference, inventory::EvidenceKind};
use carnet_evidence::{Claim, ClaimKind, Signer, Subject, Verified as Proven, Verifier, classify, from_manifest};
use carnet_policy::{
    Reading,
    checks::{self, Options, Refused},
    rego::{Answer, LookupError, Question, Verified, VerifiedAttestation, VerifiedSignature},
};

use super::inquiry::{Inquiry, Transport};

/// What a rule wants to know of an image.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Wanted {
    Attestations,
    Signatures,
}

impl Wanted {
    /// Suffix of cosign's legacy tag.
    fn suffix(self) -> &'static str {
        match self {
            Self::Attestations => "att",
            Self::Signatures => "sig",
        }
    }

    /// The form in which cosign's legacy tag keeps it.
    fn legacy(self) -> EvidenceKind {
        match self {
            Self::Attestations => EvidenceKind::Dsse,
            Self::Signatures => EvidenceKind::Simplesigning,
        }
    }
}

/// Evidence manifests about one image, with the bytes below them.
struct Evidence {
    image: Digest,
    repository: String,
    /// Tags first, then referrers by digest.
    manifests: Vec<(Digest, Manifest)>,
    blobs: BTreeMap<Digest, Vec<u8>>,
    /// The manifest of the image: some signatures are over its bytes.
    bytes: Option<Vec<u8>>,
    /// What could not be looked at.
    obstacles: Vec<String>,
}

/// Looks for evidence about `image`, which has a digest, and verifies it.
///
/// carnet's reading looks at every store; Conforma's at no tag once there is a
/// bundle (`Reading::Conforma`).
pub(super) fn verify<T: Transport>(
    inquiry: &mut Inquiry<'_, T>,
    image: &Reference,
    wanted: Wanted,
    verifier: &Verifier,
    reading: Reading,
) -> Result<Verified, LookupError> {
    let Some(digest) = image.digest() else { return Ok(failed(format!("new digest: {image} has no digest"))) };
    let evidence = Evidence::look(inquiry, image, digest, wanted, reading)?;
    let (claims, refused) = evidence.judge(verifier);
    let key_mode = matches!(verifier.rules().signer, Signer::Key(_));
    let options = Options { reading, key_mode, requirements: verifier.rules().requirements, ..Options::default() };
    let judged = checks::Evidence { verified: &claims, refused: &refused };
    let (error, what) = match wanted {
        Wanted::Attestations => (checks::attestation_error(judged, &options), "verify image attestation signature"),
        Wanted::Signatures => (checks::image_signature_error(judged, &options), "verify image signature"),
    };
    if let Some(error) = error {
        let obstacles: String = evidence.obstacles.iter().map(|obstacle| format!("; could not look: {obstacle}")).collect();
        return Ok(failed(format!("{what}: {error}{obstacles}")));
    }
    let bundles = claims.iter().any(|claim| claim.form == EvidenceKind::SigstoreBundle);
    let bundles = bundles || refused.iter().any(|refused| refused.form == EvidenceKind::SigstoreBundle);
    let counted: Vec<&Claim> = claims
        .iter()
        .map(|claim| &**claim)
        .filter(|claim| reading == Reading::Strict || !bundles || claim.form == EvidenceKind::SigstoreBundle)
        .collect();
    Ok(match wanted {
        Wanted::Attestations => Verified { attestations: attestations(&counted, reading), ..Verified::default() },
        Wanted::Signatures => Verified { signatures: signatures(&counted, reading), ..Verified::default() },
    })
}

/// A result without success never lists anything: rules forget to ask.
pub(super) fn failed(error: String) -> Verified {
    Verified { errors: vec![error], ..Verified::default() }
}

impl Evidence {
    fn look<T: Transport>(
        inquiry: &mut Inquiry<'_, T>,
        image: &Reference,
        digest: &Digest,
        wanted: Wanted,
        reading: Reading,
    ) -> Result<Self, LookupError> {
        let mut evidence = Self {
            image: *digest,
            repository: image.name(),
            manifests: Vec::new(),
            blobs: BTreeMap::new(),
            bytes: None,
            obstacles: Vec::new(),
        };
        let tag = image.tagged(format!("sha256-{}.{}", digest.to_hex(), wanted.suffix()));
        match inquiry.resolve(&tag)? {
            Answer::Found(head) => evidence.take(inquiry, &image.pinned(head.digest), false, &[wanted.legacy()])?,
            Answer::NotFound => {}
            Answer::Refused(reason) => evidence.obstacle(&Question::Head(tag), &reason),
        }
        let kinds: &[EvidenceKind] = match reading {
            Reading::Conforma => &[EvidenceKind::SigstoreBundle],
            Reading::Strict => &[EvidenceKind::SigstoreBundle, wanted.legacy()],
        };
        match inquiry.referrers(image)? {
            Answer::Found(listed) => {
                let listed: BTreeSet<Digest> = listed.iter().filter_map(|entry| entry.digest.parse().ok()).collect();
                let bound = Limits::default().evidence_per_subject;
                if listed.len() > bound {
                    let reason = format!("{} entries, at most {bound} are read", listed.len());
                    evidence.obstacle(&Question::Referrers(image.clone()), &reason);
                }
                for digest in listed.iter().take(bound) {
                    evidence.take(inquiry, &image.pinned(*digest), true, kinds)?;
                }
            }
            Answer::NotFound => {}
            Answer::Refused(reason) => evidence.obstacle(&Question::Referrers(image.clone()), &reason),
        }
        if !evidence.manifests.is_empty()
            && let Answer::Found(manifest) = inquiry.manifest(image)?
        {
            evidence.bytes = Some(manifest.bytes);
        }
        Ok(evidence)
    }

    /// Takes an evidence manifest with its layers, if it is of one of `kinds`. A
    /// list is a hint: what it lists must itself name the image.
    fn take<T: Transport>(
        &mut self,
        inquiry: &mut Inquiry<'_, T>,
        reference: &Reference,
        listed: bool,
        kinds: &[EvidenceKind],
    ) -> Result<(), LookupError> {
        let question = Question::Manifest(reference.clone());
        let found = match inquiry.manifest(reference)? {
            Answer::Found(found) => found,
            Answer::NotFound => return Ok(()),
            Answer::Refused(reason) => {
                self.obstacle(&question, &reason);
                return Ok(());
            }
        };
        let digest = Digest::of(&found.bytes);
        let Ok(manifest) = Manifest::parse(&found.bytes, &found.media_type) else { return Ok(()) };
        let names_it = manifest.subject.as_ref().is_some_and(|subject| subject.digest == self.image);
        let known = self.manifests.iter().any(|(known, _)| *known == digest);
        if known || listed && !names_it || !kinds.contains(&classify(&manifest).kind) {
            return Ok(());
        }
        for layer in manifest.layers().iter().take(Limits::default().evidence_per_subject) {
            if self.blobs.contains_key(&layer.digest) || layer.size > Limits::default().evidence_size {
                continue;
            }
            let blob = reference.pinned(layer.digest);
            match inquiry.blob(&blob)? {
                Answer::Found(bytes) => drop(self.blobs.insert(layer.digest, bytes)),
                Answer::NotFound => {}
                Answer::Refused(reason) => self.obstacle(&Question::Blob(blob), &reason),
            }
        }
        self.manifests.push((digest, manifest));
        Ok(())
    }

    fn judge(&self, verifier: &Verifier) -> (Vec<Proven<Claim>>, Vec<Refused>) {
        let (mut claims, mut refused) = (Vec::new(), Vec::new());
        let blob = |digest: &Digest| self.blobs.get(digest).map(Vec::as_slice);
        let subject = self.bytes.as_deref().map_or_else(|| Subject::from(self.image), Subject::of_bytes);
        for (digest, manifest) in &self.manifests {
            let (items, missing) = from_manifest(&self.image, digest, manifest, &blob);
            if !missing.is_empty() {
                refused.push(Refused { form: classify(manifest).kind, findings: missing });
            }
            for item in &items {
                match verifier.verify(item, subject.in_repository(&self.repository)) {
                    Ok(claim) => claims.push(claim),
                    Err(findings) => refused.push(Refused { form: item.kind(), findings }),
                }
            }
        }
        (claims, refused)
    }

    fn obstacle(&mut self, question: &Question, reason: &str) {
        self.obstacles.push(format!("{question}: {reason}"));
    }
}

/// Conforma lists one entry for every bundle, whatever it says, and no signature
/// in it.
fn signatures(claims: &[&Claim], reading: Reading) -> Vec<VerifiedSignature> {
    let entry = |claim: &&Claim| match (claim.form, claim.kind) {
        (EvidenceKind::SigstoreBundle, ClaimKind::ImageSignature) => {
            Some(VerifiedSignature { signature: String::new(), ..signature(claim, reading) })
        }
        (EvidenceKind::SigstoreBundle, _) => Some(VerifiedSignature::default()),
        (_, ClaimKind::ImageSignature) => Some(signature(claim, reading)),
        _ => None,
    };
    claims.iter().filter_map(entry).collect()
}

/// Everything that is a statement, image signatures in bundles included.
fn attestations(claims: &[&Claim], reading: Reading) -> Vec<VerifiedAttestation> {
    let entry = |claim: &&Claim| {
        let statement = claim.statement()?;
        Some(VerifiedAttestation { statement, signatures: vec![signature(claim, reading)] })
    };
    claims.iter().filter_map(entry).collect()
}

/// Conforma reads no certificate out of a bundle.
fn signature(claim: &Claim, reading: Reading) -> VerifiedSignature {
    let object = &claim.signature;
    let signature = VerifiedSignature { signature: object.sig.clone(), ..VerifiedSignature::default() };
    if reading == Reading::Conforma && claim.form == EvidenceKind::SigstoreBundle && object.certificate.is_some() {
        return signature;
    }
    VerifiedSignature {
        keyid: object.keyid.clone(),
        certificate: object.certificate.clone().unwrap_or_default(),
        chain: object.chain.clone(),
        metadata: object.metadata.iter().cloned().collect(),
        ..signature
    }
}
