//! What the operator gives: documents, keys and trust, read before the bundle is.

use std::{io, path::Path};

use carnet_bundle::{Bundle, CarriedDocument, Finding, media};
use carnet_evidence::{Identity, PublicKey, Rules, Signer, TrustParts};
use carnet_policy::{
    Images, Policy,
    document::{Authority, Effective, KeySource},
    images,
    sources::LocalFiles,
};

use crate::{cli::VerifyArgs, error::VerifyError, trust::Trust};

/// A document of the operator with the name that errors give it.
#[derive(Clone, Debug)]
pub struct Document {
    /// A path, or the flag that held the text.
    pub name: String,
    /// The bytes as given.
    pub bytes: Vec<u8>,
}

/// Everything that the operator gives, besides flags: the documents that flags and
/// variables name, already read (`bundle-spec/verify.md`, "Inputs").
pub struct Inputs<'a> {
    /// Lists of expected images, in the order of their flags.
    pub images: Vec<Document>,
    /// policy.yaml. Without it the policy is empty, or the bundle's own where
    /// `--accept-bundled-policy` says so.
    pub policy: Option<Document>,
    /// The `trusted_root.json` of `--trusted-root`. Without it, trust comes from
    /// [`Self::trust`], from a copy in the bundle that a pin selects, or is the one
    /// compiled in (V5.1).
    pub trusted_root: Option<Document>,
    /// The trust policy, a TUF root, single keys and certificates.
    pub trust: TrustInputs,
    /// The lock of `--policy-lock`: which content stands for which source of the
    /// policy (`bundle-spec/policy.md` §5).
    pub policy_lock: Option<Document>,
    /// Directories of rules and data on the operator's disk.
    pub sources: &'a dyn LocalFiles,
    /// Reads a file of the operator that the policy names, such as a public key.
    pub read: &'a dyn Fn(&Path) -> io::Result<Vec<u8>>,
}

/// What says who is trusted, besides a trusted root.
#[derive(Clone, Debug, Default)]
pub struct TrustInputs {
    /// The trust policy.
    pub policy: Option<Document>,
    /// The TUF root.json from which a carried chain is verified.
    pub tuf_root: Option<Document>,
    /// Single keys and certificates, and the text that says where they came from.
    pub parts: Option<(TrustParts, String)>,
}

/// What is asked of the bundle.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) images: Images,
    /// Whether a document lists the images, rather than `--image` alone.
    pub(crate) has_list: bool,
    pub(crate) effective: Effective,
    /// The key, when one is asked for.
    pub(crate) key: Option<PublicKey>,
    pub(crate) trust: Trust,
}

impl Question {
    /// Reads the documents of the operator; where one is missing and the operator
    /// accepts it, the copy of the bundle serves.
    pub(crate) fn read(args: &VerifyArgs, inputs: &Inputs<'_>, bundle: Option<&Bundle>) -> Result<Self, VerifyError> {
        let carried = |media_type: &str| bundle.and_then(|b| b.documents().find(|d| d.media_type == media_type)).map(copy);
        let mut lists = inputs.images.clone();
        if lists.is_empty() && args.image.is_none() {
            lists.extend(carried(media::IMAGES_DOCUMENT));
        }
        let is_carried = inputs.policy.is_none();
        let policy = inputs.policy.clone().or_else(|| carried(media::POLICY_DOCUMENT));
        // Whoever strips the policy from an archive must not get an empty one.
        let relies_on_copy = args.accept_bundled_policy.0 && bundle.is_some();
        if policy.is_none() && (args.policy_is_remote() || relies_on_copy) {
            return Err(VerifyError::PolicyNotCarried);
        }

        let documents: Vec<_> = lists.iter().map(|d| images::Document { file: &d.name, bytes: &d.bytes }).collect();
        let images = images::read(&documents, args.image.as_deref(), args.reading())?;
        let policy = match &policy {
            Some(document) => Policy::parse(&document.bytes, &document.name)?,
            None => Policy::default(),
        };
        let effective = policy.settle(&args.overrides())?;
        if let (true, None, Authority::Key(KeySource::File(path))) = (is_carried, &args.public_key, &effective.authority) {
            return Err(VerifyError::CarriedPath(path.clone()));
        }
        let (signer, key) = signer(&effective.authority, inputs)?;
        let trust = Trust::read(inputs.trust.policy.as_ref(), &signer)?;
        Ok(Self { images, has_list: !lists.is_empty(), effective, key, trust })
    }

    /// The evidence rules that the flags and the policies make.
    pub(crate) fn rules(&self, args: &VerifyArgs) -> Rules {
        let rules = self.trust.rules.for_signer(self.trust.signer.clone());
        if args.ignore_rekor.0 { rules.ignore_rekor() } else { rules }
    }

    /// Findings of the operator's own documents.
    pub(crate) fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.images.findings.iter()
    }
}

fn copy(document: CarriedDocument<'_>) -> Document {
    Document { name: format!("{} of the bundle", document.title), bytes: document.bytes.to_vec() }
}

fn signer(authority: &Authority, inputs: &Inputs<'_>) -> Result<(Signer, Option<PublicKey>), VerifyError> {
    match authority {
        Authority::Identity(identity) => {
            let text = |field: &String| (!field.is_empty()).then(|| field.clone());
            let [subject, subject_pattern, issuer, issuer_pattern] =
                [&identity.subject, &identity.subject_reg_exp, &identity.issuer, &identity.issuer_reg_exp].map(text);
            let identity =
                Identity::new(subject.as_deref(), subject_pattern.as_deref(), issuer.as_deref(), issuer_pattern.as_deref())?;
            Ok((Signer::Identities(vec![identity]), None))
        }
        Authority::Key(source) => {
            let (name, pem) = match source {
                KeySource::Inline(pem) => ("the given text".to_owned(), pem.clone().into_bytes()),
                KeySource::File(path) => (path.clone(), read_file(path, inputs)?),
            };
            let key = PublicKey::from_pem(&pem).map_err(|source| VerifyError::Key { name, source })?;
            Ok((Signer::Key(key.clone()), Some(key)))
        }
    }
}

fn read_file(path: &str, inputs: &Inputs<'_>) -> Result<Vec<u8>, VerifyError> {
    (inputs.read)(Path::new(path)).map_err(|source| VerifyError::Read { path: path.to_owned(), source })
}
