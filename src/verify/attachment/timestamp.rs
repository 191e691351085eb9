//! Timestamps over the bundle: since when it exists, by whose word (V16.5).
//!
//! Such a timestamp vouches for nothing: it says when, not what.

use carnet_bundle::{Attachment, AttachmentError, Bundle, Digest, Finding, Severity, codes as bundle_codes};
use carnet_evidence::{TimestampAuthorities, TimestampError, TrustRoot, check_imprint, codes as evidence_codes};
use jiff::Timestamp;

use super::read;
use crate::{cli::VerifyArgs, codes, error::VerifyError, inputs::Inputs, report::BundleTimestamp, trust::clock};

/// The authorities that the operator names for the bundle, besides those of the
/// trust root.
#[derive(Debug)]
pub(super) struct Named {
    authorities: TimestampAuthorities,
    files: Vec<String>,
}

/// What came of the timestamps.
pub(super) struct Stamps<'n> {
    named: &'n Named,
    authorities: TimestampAuthorities,
    verified: Vec<BundleTimestamp>,
    /// Whether one is by an authority that the operator named.
    is_named: bool,
}

impl Named {
    /// Reads the chains, before the archive is read.
    pub(super) fn read(args: &VerifyArgs, inputs: &Inputs<'_>) -> Result<Self, VerifyError> {
        let mut named = Self { authorities: TimestampAuthorities::default(), files: Vec::new() };
        for path in &args.timestamp_certificate_chain {
            let name = path.display().to_string();
            named.authorities.add_chain(&read(&name, inputs)?, &name).map_err(VerifyError::TimestampChain)?;
            named.files.push(name);
        }
        Ok(named)
    }

    /// Begins to judge, with those of the trust root in use.
    pub(super) fn stamps(&self, root: &TrustRoot) -> Stamps<'_> {
        let mut authorities = self.authorities.clone();
        authorities.add_root(root);
        Stamps { named: self, authorities, verified: Vec::new(), is_named: false }
    }
}

impl Stamps<'_> {
    /// Judges one attachment; `what` says which.
    pub(super) fn judge(&mut self, attachment: &Attachment, what: &str, index: &[u8]) -> Finding {
        let digest = attachment.digest();
        match self.authorities.verify(attachment.payload(), index) {
            Ok(stamp) => {
                self.is_named |= stamp.is_named;
                let stamp =
                    BundleTimestamp { time: stamp.time, authority: stamp.authority, through: stamp.through, attachment: digest };
                let message = format!("{what}: {}; it vouches for nothing else", stamp.sentence());
                self.verified.push(stamp);
                Finding::new(&codes::BUNDLE_TIMESTAMP_VERIFIED, digest, message)
            }
            Err(error) => refused(error, digest, what),
        }
    }

    /// What was verified, the earliest first, and what there is to say of all of them.
    pub(super) fn finish(mut self, bundle: &Bundle, at: Timestamp) -> (Vec<BundleTimestamp>, Vec<Finding>) {
        self.verified.sort_by(|a, b| (a.time, &a.authority, a.attachment).cmp(&(b.time, &b.authority, b.attachment)));
        let mut findings: Vec<_> =
            clock(self.verified.last().map(|stamp| (stamp.time, stamp.attachment)), at).into_iter().collect();
        if !self.named.files.is_empty() && !self.is_named {
            let message =
                format!("no attachment is a timestamp over this bundle by an authority of {}", self.named.files.join(" or "));
            findings.push(Finding::new(&codes::BUNDLE_TIMESTAMP_MISSING, bundle.id(), message));
        }
        (self.verified, findings)
    }
}

/// Whether a timestamp is over the bundle, as far as that shows without verifying it.
pub(super) fn check(payload: &[u8], bundle: &Bundle) -> Result<(), AttachmentError> {
    let id = bundle.id();
    check_imprint(payload, bundle.blob(&id).unwrap_or_default()).map_err(|error| match error {
        TimestampError::Imprint { got, .. } => {
            AttachmentError::Subject { got: format!("a message with the digest {got}"), want: id }
        }
        other => AttachmentError::Malformed(other.to_string()),
    })
}

/// A timestamp that shows nothing fails nothing: whoever carries the archive could
/// have put it there. Nobody must take it for one that does.
fn refused(error: TimestampError, digest: Digest, what: &str) -> Finding {
    let code = match error {
        TimestampError::Algorithm(_) => &evidence_codes::UNSUPPORTED_ALGORITHM,
        TimestampError::Imprint { .. } => &bundle_codes::ATTACHMENT_SUBJECT_MISMATCH,
        TimestampError::UnknownAuthority(_) => &codes::BUNDLE_TIMESTAMP_NOT_TRUSTED,
        _ => &codes::BUNDLE_TIMESTAMP_INVALID,
    };
    let finding = Finding::new(code, digest, format!("{what}: {error}"));
    if finding.is_failure() { finding.with_severity(Severity::Warning) } else { finding }
}
