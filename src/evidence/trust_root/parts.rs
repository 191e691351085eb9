//! A trust root of single keys and certificates.
//!
//! cosign and ec take them from `SIGSTORE_ROOT_FILE`, `SIGSTORE_REKOR_PUBLIC_KEY`,
//! `SIGSTORE_CT_LOG_PUBLIC_KEY_FILE` and `SIGSTORE_TSA_CERTIFICATE_FILE`. Such
//! material has no windows: it is trusted for all times, which is why a
//! trusted_root.json is the better form.

use std::sync::Arc;

use carnet_bundle::{Digest, Digester};
use ring::digest::{SHA256, digest};

use super::{
    Log, TrustRoot, TrustRootError, TrustSource, Window,
    read::{Unusable, authority},
};
use crate::{
    certificate::Certificate,
    chain::Authority,
    encoding::{PemKind, pem_sections},
    public_key::PublicKey,
};

/// PEM files by their use; an absent use is not trusted for anything.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct TrustParts {
    /// Root certificates of the certificate authority, and intermediates.
    pub certificate_authority: Option<Vec<u8>>,
    /// Public keys of Rekor version 1 logs.
    pub log_keys: Option<Vec<u8>>,
    /// Public keys of CT logs.
    pub ct_log_keys: Option<Vec<u8>>,
    /// Certificate chain of a timestamp authority, leaf first.
    pub timestamp_authority: Option<Vec<u8>>,
}

pub(super) fn assemble(parts: &TrustParts, source: TrustSource) -> Result<TrustRoot, TrustRootError> {
    Ok(TrustRoot {
        source,
        digest: digest_of(parts),
        media_type: "application/x-pem-file".to_owned(),
        logs: keys(parts.log_keys.as_deref(), "log keys")?,
        ct_logs: keys(parts.ct_log_keys.as_deref(), "CT log keys")?,
        authorities: chains(parts.certificate_authority.as_deref(), "certificate authority")?,
        timestamp_authorities: chains(parts.timestamp_authority.as_deref(), "timestamp authority")?,
        skipped: Vec::new(),
        memo: Arc::default(),
    })
}

/// One name for the whole set: the digest of the parts one after the other.
fn digest_of(parts: &TrustParts) -> Digest {
    let mut digester = Digester::new();
    for part in [&parts.certificate_authority, &parts.log_keys, &parts.ct_log_keys, &parts.timestamp_authority] {
        let bytes = part.as_deref().unwrap_or_default();
        digester.update(&bytes.len().to_be_bytes());
        digester.update(bytes);
    }
    digester.finish()
}

fn keys(pem: Option<&[u8]>, at: &str) -> Result<Vec<Log>, TrustRootError> {
    let mut logs = Vec::new();
    for (kind, der) in sections(pem, at)? {
        let error = |reason: String| TrustRootError::Key { at: at.to_owned(), reason };
        if kind != PemKind::PublicKey {
            return Err(error("not a public key".to_owned()));
        }
        let key = PublicKey::from_der(&der).map_err(|e| error(e.to_string()))?;
        let mut id = [0; 32];
        id.copy_from_slice(digest(&SHA256, key.as_der()).as_ref());
        logs.push(Log { base_url: String::new(), id, key, window: Window::OPEN });
    }
    Ok(logs)
}

/// Every self-signed certificate of the file is an anchor; the others stand
/// between, in their order.
fn chains(pem: Option<&[u8]>, at: &str) -> Result<Vec<Authority>, TrustRootError> {
    let error = |reason: String| TrustRootError::Authority { at: at.to_owned(), reason };
    let mut below = Vec::new();
    let mut anchors = Vec::new();
    for (kind, der) in sections(pem, at)? {
        if kind != PemKind::Certificate {
            return Err(error("not a certificate".to_owned()));
        }
        let certificate = Certificate::parse(&der).map_err(|e| error(e.to_string()))?;
        if certificate.is_self_issued() { anchors.push(der) } else { below.push(der) }
    }
    if anchors.is_empty() && !below.is_empty() {
        return Err(error("no self-signed root certificate: an intermediate is no anchor".to_owned()));
    }
    let mut authorities = Vec::new();
    for anchor in anchors {
        let chain = below.iter().cloned().chain([anchor.clone()]).collect::<Vec<_>>();
        // Intermediates of another anchor in the same file do not belong to this one.
        let made = authority("", &chain, Window::OPEN).or_else(|_| authority("", &[anchor], Window::OPEN));
        authorities.push(made.map_err(|e| match e {
            Unusable::Algorithm(reason) | Unusable::Unsound(reason) => error(reason),
        })?);
    }
    Ok(authorities)
}

fn sections(pem: Option<&[u8]>, at: &str) -> Result<Vec<(PemKind, Vec<u8>)>, TrustRootError> {
    let Some(pem) = pem else { return Ok(Vec::new()) };
    match pem_sections(pem) {
        Some(sections) if !sections.is_empty() => Ok(sections),
        _ => Err(TrustRootError::Key { at: at.to_owned(), reason: "no readable PEM section".to_owned() }),
    }
}
