//! Reads OCI layouts and judges everything in them: what the tests of the
//! evidence room share.

#![allow(dead_code, reason = "each suite uses a part")]

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use carnet_bundle::{Digest, Finding, Manifest, manifest::Body, media};
use carnet_evidence::{
    Claim, Evidence, Identity, PublicKey, Rules, Signer, TrustRoot, TrustSource, Verified, Verifier, from_manifest,
};

/// A fixed "now" later than all evidence: the verdict must not hang on it.
pub(crate) const NOW: &str = "2026-11-25T12:00:00Z";

/// The root of the test data.
pub(crate) fn testdata() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata")
}

/// Reads a file of the test data.
pub(crate) fn read(path: &str) -> Vec<u8> {
    std::fs::read(testdata().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Reads a trust root of `testdata/trust`.
pub(crate) fn trust_root(path: &str) -> TrustRoot {
    TrustRoot::parse(&read(&format!("trust/{path}")), TrustSource::File(path.to_owned())).unwrap()
}

/// Reads a public key in PEM.
pub(crate) fn key(path: &str) -> Signer {
    Signer::Key(PublicKey::from_pem(&read(path)).unwrap())
}

/// An exact identity.
pub(crate) fn identity(subject: &str, issuer: &str) -> Signer {
    Signer::Identities(vec![Identity::exact(subject, issuer).unwrap()])
}

/// A verifier at [`NOW`].
pub(crate) fn verifier(root: &TrustRoot, rules: Rules) -> Verifier {
    Verifier::new(root.clone(), rules, NOW.parse().unwrap()).unwrap()
}

/// What came of one piece of evidence.
pub(crate) type Outcome = Result<Verified<Claim>, Vec<Finding>>;

/// An OCI layout directory.
pub(crate) struct Layout {
    blobs: BTreeMap<Digest, Vec<u8>>,
    /// Manifests with their tags, or with the kinds that `cosign save` writes.
    pub(crate) entries: Vec<(Digest, Option<String>)>,
}

impl Layout {
    /// Reads every blob, under the digest of its bytes.
    pub(crate) fn open(path: &str) -> Self {
        let root = testdata().join(path);
        let blobs = std::fs::read_dir(root.join("blobs/sha256")).unwrap_or_else(|e| panic!("{path}: {e}"));
        let blobs = blobs.map(|entry| std::fs::read(entry.unwrap().path()).unwrap()).map(|bytes| (Digest::of(&bytes), bytes));
        let index: serde_json::Value = serde_json::from_slice(&std::fs::read(root.join("index.json")).unwrap()).unwrap();
        let entries = index["manifests"].as_array().unwrap().iter().map(|entry| {
            let tag = entry["annotations"]["org.opencontainers.image.ref.name"].as_str();
            let kind = entry["annotations"]["kind"].as_str();
            (entry["digest"].as_str().unwrap().parse().unwrap(), tag.or(kind).map(str::to_owned))
        });
        Self { entries: entries.collect(), blobs: blobs.collect() }
    }

    /// The image: what is tagged `v1`, or the one entry that is no evidence.
    pub(crate) fn image(&self) -> Digest {
        let tagged = self.entries.iter().find(|(_, tag)| tag.as_deref() == Some("v1"));
        let plain = || {
            let evidence = |tag: &str| tag.starts_with("sha256-") || tag.ends_with("/sigs") || tag.ends_with("/atts");
            self.entries.iter().find(|(_, tag)| !tag.as_deref().is_some_and(evidence))
        };
        tagged.or_else(plain).unwrap().0
    }

    /// The bytes of a blob.
    pub(crate) fn blob(&self, digest: &Digest) -> Option<&[u8]> {
        self.blobs.get(digest).map(Vec::as_slice)
    }

    /// A blob as a manifest, if it is one.
    pub(crate) fn manifest(&self, digest: &Digest) -> Option<Manifest> {
        let bytes = self.blob(digest)?;
        let value: serde_json::Value = serde_json::from_slice(bytes).ok()?;
        let media_type = value.get("mediaType").and_then(|v| v.as_str()).unwrap_or(media::OCI_MANIFEST);
        Manifest::parse(bytes, media_type).ok()
    }

    /// The children of an index; nothing for an image.
    pub(crate) fn children(&self, digest: &Digest) -> Vec<Digest> {
        match self.manifest(digest).map(|manifest| manifest.body) {
            Some(Body::Index { manifests }) => manifests.iter().map(|child| child.digest).collect(),
            _ => Vec::new(),
        }
    }

    /// Every piece of evidence that is filed under `subject`, by tag or by the
    /// manifest's own subject.
    pub(crate) fn evidence(&self, subject: &Digest) -> Vec<Evidence<'_>> {
        let mut found = Vec::new();
        for digest in self.blobs.keys() {
            let tag = self.entries.iter().find(|(entry, _)| entry == digest).and_then(|(_, tag)| tag.as_deref());
            let hex = subject.to_hex();
            let tags = ["sig", "att", "sbom"].map(|kind| format!("sha256-{hex}.{kind}"));
            let saved = tag.is_some_and(|tag| tag.ends_with("/sigs") || tag.ends_with("/atts")) && *subject == self.image();
            let tagged = saved || tag.is_some_and(|tag| tags.iter().any(|other| other == tag));
            let Some(manifest) = self.manifest(digest) else { continue };
            let refers = manifest.subject.as_ref().is_some_and(|descriptor| descriptor.digest == *subject);
            if tagged || refers {
                let (items, findings) = from_manifest(subject, digest, &manifest, &|digest| self.blob(digest));
                assert!(findings.is_empty(), "{findings:?}");
                found.extend(items);
            }
        }
        found
    }

    /// Verifies everything about `subject`.
    pub(crate) fn judge(&self, subject: &Digest, verifier: &Verifier) -> Vec<Outcome> {
        self.evidence(subject).iter().map(|item| verifier.verify(item, subject)).collect()
    }
}

/// The code of the decisive finding of each piece that was refused.
pub(crate) fn codes(outcomes: &[Outcome]) -> Vec<&'static str> {
    let mut codes: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).map(|f| f[0].code).collect();
    codes.sort_unstable();
    codes.dedup();
    codes
}
