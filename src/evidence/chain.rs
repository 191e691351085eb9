//! Certification paths: does a certificate lead to an authority of the trust
//! root, and was every certificate on the way valid at the verified time?
//!
//! Path building is webpki's (RFC 5280 §6, time as an argument). What webpki
//! leaves open is checked here: the window of the authority, the validity of the
//! anchor itself (CVE-2026-24122 and its kin), key usage of issuers, and that
//! only the last certificate of a configured chain is an anchor.

use std::borrow::Cow;

use jiff::Timestamp;
use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, KeyUsage, VerifiedPath, anchor_from_trusted_cert};

use crate::{certificate::Certificate, der, signature::CERTIFICATE_ALGORITHMS, trust_root::Window};

/// An extended key usage (RFC 5280 §4.2.1.12).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// The object identifier as DER content.
    der: &'static [u8],
    /// The same as text.
    pub(crate) oid: &'static str,
}

/// `codeSigning`.
pub(crate) const CODE_SIGNING: Usage = Usage { der: &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x03], oid: "1.3.6.1.5.5.7.3.3" };
/// `timeStamping`.
pub(crate) const TIME_STAMPING: Usage =
    Usage { der: &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x08], oid: "1.3.6.1.5.5.7.3.8" };

/// An authority of the trust root.
#[derive(Clone, Debug)]
pub(crate) struct Authority {
    /// Name for messages: its URI, else its subject.
    pub(crate) name: String,
    /// Leaf-most first, anchor last.
    pub(crate) chain: Vec<Certificate>,
    /// When the trust root trusts it.
    pub(crate) window: Window,
}

/// A verified path.
#[derive(Clone, Debug)]
pub(crate) struct Path {
    /// SubjectPublicKeyInfo of the certificate that signed the leaf.
    pub(crate) issuer_spki: Vec<u8>,
    /// The authority that the path ends in.
    pub(crate) authority: String,
}

/// Why there is no path.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum NoPath {
    /// A certificate above the leaf, or the trust in it, does not cover the time.
    AuthorityTime(String),
    /// The leaf does not cover the time.
    LeafTime(String),
    /// A certificate is signed by an algorithm that carnet does not accept.
    Unsupported(String),
    /// The leaf leads to no authority of the trust root, or may not sign.
    Untrusted(String),
}

/// Finds a path from `leaf` to one of `authorities` that holds at `time`.
///
/// `extra` are certificates that came with the evidence: they may stand between
/// leaf and authority, they are never anchors.
pub(crate) fn find_path(
    leaf: &Certificate,
    extra: &[Vec<u8>],
    authorities: &[Authority],
    usage: Usage,
    time: Timestamp,
) -> Result<Path, NoPath> {
    if !leaf.is_valid_at(time) {
        let (from, to) = (leaf.not_before(), leaf.not_after());
        return Err(NoPath::LeafTime(format!("signed at {time}, the certificate is valid from {from} to {to}")));
    }
    if !leaf.is_signer() {
        return Err(NoPath::Untrusted(
            "the certificate may not sign data: it is an authority or its key usage forbids it".into(),
        ));
    }
    if !leaf.is_for(usage.der) {
        return Err(NoPath::Untrusted(format!("the certificate is not for usage {}", usage.oid)));
    }
    let leaf_der = CertificateDer::from(leaf.as_der());
    let end_entity = EndEntityCert::try_from(&leaf_der).map_err(|e| NoPath::Untrusted(e.to_string()))?;
    let mut reason = NoPath::Untrusted("the trust root lists no certificate authority".to_owned());
    for authority in authorities {
        match path_to((leaf, &end_entity), extra, authority, usage, time) {
            Ok(path) if authority.window.contains(time) => return Ok(path),
            Ok(_) => {
                let (name, window) = (&authority.name, authority.window);
                reason = NoPath::AuthorityTime(format!("signed at {time}, authority {name} is trusted {window}"));
            }
            Err(found) if matches!(reason, NoPath::Untrusted(_)) => reason = found,
            Err(_) => {}
        }
    }
    Err(reason)
}

fn path_to(
    (leaf, end_entity): (&Certificate, &EndEntityCert<'_>),
    extra: &[Vec<u8>],
    authority: &Authority,
    usage: Usage,
    time: Timestamp,
) -> Result<Path, NoPath> {
    let untrusted = |reason: String| NoPath::Untrusted(format!("authority {}: {reason}", authority.name));
    let Some((anchor, between)) = authority.chain.split_last() else {
        return Err(untrusted("no certificate".to_owned()));
    };
    if !anchor.is_valid_at(time) {
        let (from, to) = (anchor.not_before(), anchor.not_after());
        return Err(NoPath::AuthorityTime(format!(
            "signed at {time}, the root of {} is valid from {from} to {to}",
            authority.name
        )));
    }
    let anchor_der = CertificateDer::from(anchor.as_der());
    let trust_anchor = anchor_from_trusted_cert(&anchor_der).map_err(|e| untrusted(e.to_string()))?;
    let configured = between.iter().filter(|cert| cert.as_der() != leaf.as_der()).map(Certificate::as_der);
    let intermediates: Vec<_> = configured.chain(extra.iter().map(Vec::as_slice)).map(CertificateDer::from).collect();
    let seconds = u64::try_from(time.as_second()).map_err(|_| untrusted("time before 1970".to_owned()))?;
    let path = end_entity
        .verify_for_usage(
            CERTIFICATE_ALGORITHMS,
            std::slice::from_ref(&trust_anchor),
            &intermediates,
            UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds)),
            // The leaf must have it; an authority that names usages must name it too.
            KeyUsage::required_if_present(usage.der),
            None,
            None,
        )
        .map_err(|e| describe(e, &authority.name, time))?;
    check_issuers(&path, authority, time).map_err(untrusted)?;
    Ok(Path { issuer_spki: issuer_spki(&path), authority: authority.name.clone() })
}

/// What webpki does not look at in the certificates between leaf and anchor.
fn check_issuers(path: &VerifiedPath<'_>, authority: &Authority, time: Timestamp) -> Result<(), String> {
    for cert in path.intermediate_certificates() {
        let der = cert.der();
        let issuer = match authority.chain.iter().find(|configured| configured.as_der() == der.as_ref()) {
            Some(configured) => Cow::Borrowed(configured),
            None => Cow::Owned(Certificate::parse(der.as_ref()).map_err(|e| e.to_string())?),
        };
        if !issuer.is_authority() {
            return Err(format!("{} may not issue certificates", issuer.subject()));
        }
        if !issuer.is_valid_at(time) {
            return Err(format!("{} is not valid at {time}", issuer.subject()));
        }
    }
    Ok(())
}

fn issuer_spki(path: &VerifiedPath<'_>) -> Vec<u8> {
    match path.intermediate_certificates().next() {
        Some(issuer) => issuer.subject_public_key_info().as_ref().to_vec(),
        // webpki holds the content of the anchor's SEQUENCE only.
        None => der::write(der::SEQUENCE, path.anchor().subject_public_key_info.as_ref()),
    }
}

fn describe(error: webpki::Error, authority: &str, time: Timestamp) -> NoPath {
    match error {
        // The leaf covers the time, so it is one of the certificates above.
        webpki::Error::CertExpired { .. } | webpki::Error::CertNotValidYet { .. } => {
            NoPath::AuthorityTime(format!("signed at {time}, a certificate of authority {authority} is not valid then"))
        }
        webpki::Error::UnsupportedSignatureAlgorithmContext(_)
        | webpki::Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => {
            NoPath::Unsupported(format!("authority {authority}: a certificate is signed by an algorithm that is not accepted"))
        }
        error => NoPath::Untrusted(format!("authority {authority}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    macro_rules! p384_authority {
        ($file:literal) => {
            Certificate::parse(include_bytes!(concat!("../../testdata/evidence/p384-authority/", $file))).unwrap()
        };
    }

    /// The hash is that of the certificate's own algorithm identifier, which the
    /// authority signed: RFC 5758 §3.2 pairs no curve with one hash.
    #[test]
    fn an_authority_with_a_p384_key_signs_sha256_or_sha384() {
        let chain = vec![p384_authority!("authority.der")];
        let authority = Authority { name: "P-384".to_owned(), chain: chain.clone(), window: Window::OPEN };
        let path = |leaf: &Certificate| {
            let time = "2027-01-01T00:00:00Z".parse().unwrap();
            find_path(leaf, &[], std::slice::from_ref(&authority), CODE_SIGNING, time).map(|path| path.authority)
        };
        for leaf in [p384_authority!("leaf-sha256.der"), p384_authority!("leaf-sha384.der")] {
            assert_eq!(path(&leaf), Ok("P-384".to_owned()));
            assert!(leaf.is_issued_by(&chain[0]));
        }
        let leaf = p384_authority!("leaf-sha512.der");
        assert!(matches!(path(&leaf), Err(NoPath::Unsupported(_))), "{:?}", path(&leaf));
        assert!(!leaf.is_issued_by(&chain[0]));
    }
}
