//! Binds a log entry to the signature at hand.
//!
//! A log vouches for its own entry, not for what stands beside it: without these
//! comparisons any valid entry would do for any signature (CVE-2022-23649,
//! CVE-2022-36056, CVE-2026-22703). Keys and certificates are compared as DER.

use crate::{
    codes,
    entry_body::{EntryBody, Hashed, Signer},
    signature::Hash,
    signed::{Content, Form, LogEntry, Refusal, Signature, Signed},
};

/// Verifies that `body` describes `signed`, whose `signature` is over
/// `signed_bytes` and verifies under the certificate or key `verifier` (DER).
pub(crate) fn verify(
    entry: &LogEntry,
    body: &EntryBody,
    signed: &Signed<'_>,
    signature: &Signature,
    signed_bytes: Option<&[u8]>,
    signed_sha256: Option<[u8; 32]>,
    verifier: &[u8],
) -> Result<(), Refusal> {
    check_kind(entry, signed)?;
    for hash in &body.hashes {
        let covered = match hash.of {
            Hashed::SignedBytes => signed_bytes,
            Hashed::Payload => payload(signed),
            // Bundles hold the members of an envelope, not its bytes: what was
            // logged cannot be told from them (spaces, order, empty keyid).
            Hashed::Envelope if matches!(signed.form, Form::Bundle(_)) => continue,
            Hashed::Envelope => Some(signed.stored),
        };
        let want = match (covered, hash.algorithm.as_str()) {
            (Some(bytes), "sha256") => Hash::Sha256.of(bytes),
            (Some(bytes), "sha384") => Hash::Sha384.of(bytes),
            (Some(bytes), "sha512") => Hash::Sha512.of(bytes),
            (None, "sha256") => signed_sha256.map(|digest| digest.to_vec()).unwrap_or_default(),
            (_, other) => {
                return Err(Refusal::new(
                    &codes::UNSUPPORTED_ALGORITHM,
                    format!("log entry: hash {other:?} of the signed bytes"),
                ));
            }
        };
        if hash.value != want {
            let (of, logged, have) = (name(hash.of), hex::encode(&hash.value), hex::encode(want));
            return Err(mismatch(format!("{of} hash mismatch: the log entry has {logged}, this is {have}")));
        }
    }
    let (logged, stored) = (body.signers.len(), signed.signatures().count());
    if logged > stored {
        return Err(mismatch(format!("the log entry holds {logged} signatures, the envelope {stored}")));
    }
    let own = |signer: &&Signer| signer.signature.as_ref().is_none_or(|logged| *logged == signature.bytes);
    let mut own = body.signers.iter().filter(own).peekable();
    if own.peek().is_none() {
        return Err(mismatch("the log entry holds another signature".to_owned()));
    }
    if !own.any(|signer| signer.verifier == verifier) {
        return Err(mismatch("the log entry holds another certificate or key".to_owned()));
    }
    Ok(())
}

/// Which kinds can describe which signature.
fn check_kind(entry: &LogEntry, signed: &Signed<'_>) -> Result<(), Refusal> {
    let fits = match (&signed.content, entry.kind.as_str(), entry.version.as_str()) {
        (Content::Artifact { .. } | Content::SimpleSigning { .. }, "hashedrekord", _) => true,
        (Content::Envelope { .. }, "hashedrekord", "0.0.2") => true,
        (Content::Envelope { .. }, "dsse", _) | (Content::Envelope { .. }, "intoto", "0.0.2") => true,
        // Its only link is the hash of the stored envelope.
        (Content::Envelope { .. }, "intoto", "0.0.1") => !matches!(signed.form, Form::Bundle(_)),
        _ => false,
    };
    if fits {
        return Ok(());
    }
    let what = match signed.content {
        Content::Artifact { .. } | Content::SimpleSigning { .. } => "a message signature",
        Content::Envelope { .. } => "a DSSE envelope here",
    };
    Err(Refusal::new(&codes::UNSUPPORTED_ENTRY_KIND, format!("log entry of kind {} cannot describe {what}", entry.format())))
}

fn payload<'s>(signed: &'s Signed<'_>) -> Option<&'s [u8]> {
    match &signed.content {
        Content::Envelope { payload, .. } => Some(payload),
        Content::SimpleSigning { payload } => Some(payload),
        Content::Artifact { .. } => None,
    }
}

fn name(hashed: Hashed) -> &'static str {
    match hashed {
        Hashed::Envelope => "envelope",
        Hashed::Payload => "payload",
        Hashed::SignedBytes => "message",
    }
}

fn mismatch(message: String) -> Refusal {
    Refusal::new(&codes::LOG_ENTRY_MISMATCH, message)
}
