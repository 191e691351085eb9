//! Timestamps over bytes of the operator's choosing, and the authorities whose
//! word counts for them: those of a trust root, and chains that the operator names.
//!
//! A chain in PEM may leave out the certificate that signs (cosign's
//! `--timestamp-certificate-chain`): the token then has to carry it, and it has to be
//! issued by the last certificate of the chain that is there. Intermediates come from
//! the operator alone.

use cms::{
    cert::CertificateChoices,
    signed_data::{SignedData, SignerIdentifier, SignerInfo},
};
use jiff::Timestamp;
use x509_cert::der::Encode as _;

use super::{
    Info, SIGNING_CERTIFICATE, SIGNING_CERTIFICATE_V2, Stamped, content, invalid, names, names_certificate, signed_data,
    verify_by,
};
use crate::{
    certificate::Certificate,
    chain::Authority,
    codes,
    encoding::{PemKind, pem_sections},
    signed::Refusal,
    trust_root::{TrustRoot, TrustRootError, Window},
};

/// Whose timestamps count.
#[derive(Clone, Debug, Default)]
pub struct TimestampAuthorities(Vec<Listed>);

#[derive(Clone, Debug)]
struct Listed {
    authority: Authority,
    /// Through what of the operator's it is trusted.
    through: String,
    /// Whether the operator named it for this.
    is_named: bool,
}

/// What a trusted authority has signed: the bytes existed at that time.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TimestampVerified {
    /// The time (genTime of RFC 3161 §2.4.2).
    pub time: Timestamp,
    /// The authority: its URI in the trust root, else the subject of its root.
    pub authority: String,
    /// Through what of the operator's it is trusted.
    pub through: String,
    /// Whether [`TimestampAuthorities::add_chain`] named it.
    pub is_named: bool,
}

/// Why a timestamp does not show that bytes existed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TimestampError {
    /// An algorithm that proves nothing, or that is not known.
    #[error("{0}")]
    Algorithm(String),
    /// It is over other bytes.
    #[error("it is over {got}, want {want}")]
    Imprint {
        /// The digest that it is over.
        got: String,
        /// The digest of the bytes.
        want: String,
    },
    /// It does not hold.
    #[error("{0}")]
    Invalid(String),
    /// Nobody who is trusted signed it.
    #[error("it is of an authority that is not trusted here: {0}")]
    UnknownAuthority(String),
}

impl TimestampAuthorities {
    /// Adds the chains of a PEM file that the operator gave as `name`: root
    /// certificates, what stands between, and the certificates that sign or none. Such
    /// an authority is trusted for all times.
    ///
    /// # Errors
    ///
    /// Returns a [`TrustRootError`] for a file that holds anything else, or a
    /// certificate that leads to none of its roots.
    pub fn add_chain(&mut self, pem: &[u8], name: &str) -> Result<(), TrustRootError> {
        let error = |reason: &str| TrustRootError::Authority { at: name.to_owned(), reason: reason.to_owned() };
        let sections = pem_sections(pem).filter(|sections| !sections.is_empty());
        let mut certificates = Vec::new();
        for (kind, der) in sections.ok_or_else(|| error("no readable PEM section"))? {
            if kind != PemKind::Certificate {
                return Err(error("not a certificate"));
            }
            certificates.push(Certificate::parse(&der).map_err(|e| error(&e.to_string()))?);
        }
        let issues_another = |issuer: &Certificate| {
            certificates.iter().any(|other| other.as_der() != issuer.as_der() && other.is_issued_by(issuer))
        };
        for last in certificates.iter().filter(|certificate| !issues_another(certificate)) {
            let chain =
                climb(last, &certificates).ok_or_else(|| error("a certificate leads to no self-signed root of the file"))?;
            let authority =
                Authority { name: chain.last().map(Certificate::subject).unwrap_or_default(), chain, window: Window::OPEN };
            self.0.push(Listed { authority, through: name.to_owned(), is_named: true });
        }
        Ok(())
    }

    /// Adds the authorities of a trust root, each for the time that it says.
    pub fn add_root(&mut self, root: &TrustRoot) {
        let listed = |authority: &Authority| Listed {
            authority: authority.clone(),
            through: format!("trust root: {}", root.source()),
            is_named: false,
        };
        self.0.extend(root.timestamp_authorities().iter().map(listed));
    }

    /// Verifies that one of the authorities saw `message`, and when. The nonce is not
    /// looked at: nobody here has asked.
    ///
    /// # Errors
    ///
    /// Returns a [`TimestampError`] when `reply`, a TimeStampResp, does not show it.
    pub fn verify(&self, reply: &[u8], message: &[u8]) -> Result<TimestampVerified, TimestampError> {
        check_imprint(reply, message)?;
        let data = signed_data(reply)?;
        let [signer] = data.signer_infos.0.as_slice() else { return Err(invalid("exactly one signer is wanted").into()) };
        let carried = carried(&data, signer);
        let mut last = None;
        for listed in &self.0 {
            let Some(leaf) = leaf(listed, signer, &carried) else { continue };
            match require_certificate_id(signer).and_then(|()| verify_by(&data, signer, message, leaf, &listed.authority)) {
                Ok(Stamped { time, authority, .. }) => {
                    let (through, is_named) = (listed.through.clone(), listed.is_named);
                    return Ok(TimestampVerified { time, authority, through, is_named });
                }
                Err(refusal) => last = Some(refusal),
            }
        }
        Err(last.map_or_else(|| TimestampError::UnknownAuthority(describe(signer)), Into::into))
    }
}

/// Says whether `reply`, a TimeStampResp, is over `message`, without asking who made
/// it.
///
/// # Errors
///
/// Returns a [`TimestampError`] when it is over other bytes, by an algorithm that
/// proves nothing, or of no such shape.
pub fn check_imprint(reply: &[u8], message: &[u8]) -> Result<(), TimestampError> {
    let data = signed_data(reply)?;
    let info = Info::parse(content(&data)?).ok_or_else(|| invalid("TSTInfo is not of its shape"))?;
    let (got, want) = (hex::encode(&info.imprint), hex::encode(info.hash()?.of(message)));
    if got == want { Ok(()) } else { Err(TimestampError::Imprint { got, want }) }
}

impl From<Refusal> for TimestampError {
    fn from(refusal: Refusal) -> Self {
        match refusal.code.name == codes::UNSUPPORTED_ALGORITHM.name {
            true => Self::Algorithm(refusal.message),
            false => Self::Invalid(refusal.message),
        }
    }
}

/// From a certificate to a root: each is issued by the next one.
fn climb(from: &Certificate, certificates: &[Certificate]) -> Option<Vec<Certificate>> {
    let mut chain = vec![from.clone()];
    // Certificates that issue each other in a circle end at the number of all.
    for _ in 0..=certificates.len() {
        let last = chain.last()?;
        if last.is_self_issued() && last.is_issued_by(last) {
            return last.is_authority().then_some(chain);
        }
        let issuer = certificates.iter().find(|issuer| issuer.is_authority() && last.is_issued_by(issuer))?;
        chain.push(issuer.clone());
    }
    None
}

/// The certificates of a token that its signer names.
fn carried(data: &SignedData, signer: &SignerInfo) -> Vec<Certificate> {
    let choices = data.certificates.iter().flat_map(|set| set.0.iter());
    let parsed = choices.filter_map(|choice| match choice {
        CertificateChoices::Certificate(certificate) => Certificate::parse(&certificate.to_der().ok()?).ok(),
        CertificateChoices::Other(_) => None,
    });
    parsed.filter(|certificate| names_certificate(signer, certificate)).collect()
}

/// The certificate that signed, if it is of this authority: the configured one, or
/// where the operator configured none, a carried one that the chain issued.
fn leaf<'a>(listed: &'a Listed, signer: &SignerInfo, carried: &'a [Certificate]) -> Option<&'a Certificate> {
    let first = listed.authority.chain.first()?;
    if !first.is_authority() {
        return names(signer, &listed.authority).then_some(first);
    }
    carried.iter().find(|certificate| certificate.is_issued_by(first))
}

/// RFC 3161 §2.4.1: a token says which certificate signed it.
fn require_certificate_id(signer: &SignerInfo) -> Result<(), Refusal> {
    let mut attributes = signer.signed_attrs.iter().flat_map(|attributes| attributes.iter());
    match attributes.any(|attribute| [SIGNING_CERTIFICATE, SIGNING_CERTIFICATE_V2].contains(&attribute.oid)) {
        true => Ok(()),
        false => Err(invalid("it does not say which certificate signed it")),
    }
}

fn describe(signer: &SignerInfo) -> String {
    match &signer.sid {
        SignerIdentifier::IssuerAndSerialNumber(id) => format!("a certificate issued by {:?}", id.issuer.to_string()),
        SignerIdentifier::SubjectKeyIdentifier(id) => format!("key id {}", hex::encode(id.0.as_bytes())),
    }
}
