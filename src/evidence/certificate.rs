//! X.509 certificates as Fulcio and timestamp authorities issue them.
//!
//! Follows RFC 5280 and the Fulcio extensions (arc 1.3.6.1.4.1.57264.1,
//! `fulcio/docs/oid-info.md`).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::Timestamp;
use x509_cert::der::{Decode as _, Encode as _, asn1::ObjectIdentifier};

use crate::{
    budget,
    der::{self, Reader},
    encoding,
    public_key::{KeyError, PublicKey},
    signature::{Scheme, verify_raw},
};

const SUBJECT_KEY_ID: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.14");
const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");
const SUBJECT_ALT_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");
const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
const EXTENDED_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37");
/// The list of signed certificate timestamps (RFC 6962 §3.3), as DER content.
pub(crate) const SCT_LIST: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0xd6, 0x79, 0x02, 0x04, 0x02];
/// 1.3.6.1.4.1.57264.1, as DER content.
const FULCIO_ARC: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0x83, 0xbf, 0x30, 0x01];
/// otherName type of Fulcio's username identities, as DER content.
const FULCIO_USERNAME: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0x83, 0xbf, 0x30, 0x01, 0x07];

/// Bit `keyCertSign` and bit `digitalSignature` of the first key usage byte.
const KEY_CERT_SIGN: u8 = 0x04;
const DIGITAL_SIGNATURE: u8 = 0x80;

/// Why bytes are not a certificate that carnet reads.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum CertificateError {
    /// More than one subject alternative name, or one extension twice: two
    /// readers could see two signers.
    #[error("ambiguous certificate: {0}")]
    Ambiguous(String),
    /// The key in the certificate is not one that carnet can use.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Not DER, not X.509, or an extension that is not of its shape.
    #[error("malformed certificate: {0}")]
    Malformed(String),
}

/// A parsed certificate with the bytes it was read from; a copy shares them.
#[derive(Clone, Debug)]
pub(crate) struct Certificate(Arc<Parsed>);

#[derive(Debug)]
struct Parsed {
    der: Vec<u8>,
    tbs: Vec<u8>,
    view: x509_cert::Certificate,
    key: PublicKey,
    not_before: Timestamp,
    not_after: Timestamp,
    fulcio: Result<BTreeMap<u32, String>, CertificateError>,
}

/// Who a Fulcio certificate speaks of.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct SubjectName {
    pub(crate) kind: NameKind,
    pub(crate) value: String,
}

/// Sorts of subject alternative names that Fulcio issues.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum NameKind {
    Email,
    Other,
    Uri,
}

impl Certificate {
    /// Parses a DER certificate of version 3.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, CertificateError> {
        let malformed = |reason: &str| CertificateError::Malformed(reason.to_owned());
        if bytes.len() > budget::CERTIFICATE {
            return Err(malformed("too long"));
        }
        let outer = der::single(bytes, der::SEQUENCE).ok_or_else(|| malformed("not one DER sequence"))?;
        let tbs = Reader::new(outer.content).expect(der::SEQUENCE).ok_or_else(|| malformed("no certificate body"))?;
        let view = x509_cert::Certificate::from_der(bytes).map_err(|e| CertificateError::Malformed(e.to_string()))?;
        let body = &view.tbs_certificate;
        let spki = body.subject_public_key_info.to_der().map_err(|e| CertificateError::Malformed(e.to_string()))?;
        let key = PublicKey::from_der(&spki)?;
        let not_before = timestamp(&body.validity.not_before).ok_or_else(|| malformed("notBefore out of range"))?;
        let not_after = timestamp(&body.validity.not_after).ok_or_else(|| malformed("notAfter out of range"))?;
        let mut seen = BTreeSet::new();
        for extension in body.extensions.iter().flatten() {
            if !seen.insert(extension.extn_id) {
                return Err(CertificateError::Ambiguous(format!("extension {} stands in it twice", extension.extn_id)));
            }
        }
        let fulcio = fulcio_extensions(body.extensions.iter().flatten());
        Ok(Self(Arc::new(Parsed { der: bytes.to_vec(), tbs: tbs.whole.to_vec(), key, not_before, not_after, fulcio, view })))
    }

    /// The bytes it was read from.
    pub(crate) fn as_der(&self) -> &[u8] {
        &self.0.der
    }

    /// The signed part, as read.
    pub(crate) fn tbs(&self) -> &[u8] {
        &self.0.tbs
    }

    /// The key that the certificate vouches for.
    pub(crate) fn key(&self) -> &PublicKey {
        &self.0.key
    }

    /// First moment of validity.
    pub(crate) fn not_before(&self) -> Timestamp {
        self.0.not_before
    }

    /// Last moment of validity.
    pub(crate) fn not_after(&self) -> Timestamp {
        self.0.not_after
    }

    /// Whether it is valid at `time`, ends included.
    pub(crate) fn is_valid_at(&self, time: Timestamp) -> bool {
        self.0.not_before <= time && time <= self.0.not_after
    }

    /// Issuer and subject are the same name.
    pub(crate) fn is_self_issued(&self) -> bool {
        self.0.view.tbs_certificate.issuer == self.0.view.tbs_certificate.subject
    }

    /// Subject as RFC 4514 text, such as `CN=sigstore,O=sigstore.dev`.
    pub(crate) fn subject(&self) -> String {
        name_text(&self.0.view.tbs_certificate.subject)
    }

    /// Issuer as RFC 4514 text.
    pub(crate) fn issuer(&self) -> String {
        name_text(&self.0.view.tbs_certificate.issuer)
    }

    /// The issuer name and the serial number, for the signer of a CMS message.
    pub(crate) fn issuer_and_serial(&self) -> (&x509_cert::name::Name, &x509_cert::serial_number::SerialNumber) {
        (&self.0.view.tbs_certificate.issuer, &self.0.view.tbs_certificate.serial_number)
    }

    /// Serial number as lower-case hex without leading zeros.
    pub(crate) fn serial(&self) -> String {
        let text = hex::encode(self.0.view.tbs_certificate.serial_number.as_bytes());
        let digits = text.trim_start_matches('0');
        if digits.is_empty() { "0".to_owned() } else { digits.to_owned() }
    }

    /// Whether `issuer` signed this certificate under its own name.
    pub(crate) fn is_issued_by(&self, issuer: &Self) -> bool {
        let body = &self.0.view.tbs_certificate;
        let algorithm = self.0.view.signature_algorithm.oid.to_string();
        let scheme = match algorithm.as_str() {
            "1.2.840.10045.4.3.2" => Scheme::with_hash(issuer.key(), crate::signature::Hash::Sha256),
            "1.2.840.10045.4.3.3" => Scheme::with_hash(issuer.key(), crate::signature::Hash::Sha384),
            "1.2.840.113549.1.1.11" => Some(Scheme::RsaPkcs1Sha256),
            "1.2.840.113549.1.1.12" => Some(Scheme::RsaPkcs1Sha384),
            "1.2.840.113549.1.1.13" => Some(Scheme::RsaPkcs1Sha512),
            "1.3.101.112" => Some(Scheme::Ed25519),
            _ => None,
        };
        let signature = self.0.view.signature.as_bytes().unwrap_or_default();
        body.issuer == issuer.0.view.tbs_certificate.subject
            && body.signature == self.0.view.signature_algorithm
            && scheme.is_some_and(|scheme| verify_raw(scheme, issuer.key().raw(), self.tbs(), signature))
    }

    /// Whether it may issue certificates: basic constraints and key usage
    /// (RFC 5280 §4.2.1.3, §4.2.1.9).
    pub(crate) fn is_authority(&self) -> bool {
        let constraints = self.extension(BASIC_CONSTRAINTS).and_then(|value| der::single(value, der::SEQUENCE));
        let is_ca = constraints
            .and_then(|value| Reader::new(value.content).optional(der::BOOLEAN))
            .is_some_and(|value| value.content == [0xff]);
        is_ca && self.key_usage_allows(KEY_CERT_SIGN)
    }

    /// Whether it may sign data: no authority, and key usage says so if present.
    pub(crate) fn is_signer(&self) -> bool {
        !self.is_authority() && self.key_usage_allows(DIGITAL_SIGNATURE)
    }

    /// The extended key usage as object identifiers, and whether it is critical.
    pub(crate) fn extended_key_usage(&self) -> (Vec<String>, bool) {
        let found = self.0.view.tbs_certificate.extensions.iter().flatten();
        let Some(extension) = found.into_iter().find(|e| e.extn_id == EXTENDED_KEY_USAGE) else {
            return (Vec::new(), false);
        };
        let usages = x509_cert::ext::pkix::ExtendedKeyUsage::from_der(extension.extn_value.as_bytes());
        (usages.map(|list| list.0.iter().map(ToString::to_string).collect()).unwrap_or_default(), extension.critical)
    }

    /// Whether the extended key usage names this one, given as DER content.
    pub(crate) fn is_for(&self, usage: &[u8]) -> bool {
        let names = |value: &[u8]| {
            let mut usages = Reader::new(der::single(value, der::SEQUENCE)?.content);
            let mut found = false;
            // One that cannot be read makes the list unreadable.
            while !usages.is_empty() {
                found |= usages.expect(der::OID)?.content == usage;
            }
            Some(found)
        };
        self.extension(EXTENDED_KEY_USAGE).and_then(names).unwrap_or(false)
    }

    /// SubjectKeyIdentifier as hex; empty when absent.
    pub(crate) fn subject_key_id(&self) -> Vec<u8> {
        let value = self.extension(SUBJECT_KEY_ID).and_then(|value| der::single(value, der::OCTET_STRING));
        value.map(|element| element.content.to_vec()).unwrap_or_default()
    }

    /// The one subject alternative name.
    ///
    /// Exactly one is wanted: clients that take the first, the last or any of
    /// several would judge two signers.
    pub(crate) fn subject_name(&self) -> Result<SubjectName, CertificateError> {
        let malformed = || CertificateError::Malformed("subject alternative name is not of its shape".to_owned());
        let Some(value) = self.extension(SUBJECT_ALT_NAME) else {
            return Err(CertificateError::Malformed("no subject alternative name".to_owned()));
        };
        let mut names = Reader::new(der::single(value, der::SEQUENCE).ok_or_else(malformed)?.content);
        let name = names.next().ok_or_else(malformed)?;
        if !names.is_empty() {
            return Err(CertificateError::Ambiguous("more than one subject alternative name".to_owned()));
        }
        let (kind, bytes) = match name.tag {
            0x81 => (NameKind::Email, name.content),
            0x86 => (NameKind::Uri, name.content),
            0xa0 => (NameKind::Other, fulcio_username(name.content).ok_or_else(malformed)?),
            tag => return Err(CertificateError::Malformed(format!("subject alternative name of sort {}", tag & 0x1f))),
        };
        let value = std::str::from_utf8(bytes).map_err(|_| malformed())?.to_owned();
        if value.is_empty() {
            return Err(malformed());
        }
        Ok(SubjectName { kind, value })
    }

    /// The Fulcio extensions by their last number, 1 to 24.
    pub(crate) fn fulcio_extensions(&self) -> Result<&BTreeMap<u32, String>, CertificateError> {
        self.0.fulcio.as_ref().map_err(Clone::clone)
    }

    /// Who vouched for the identity: extension 8, or 1 in old certificates.
    pub(crate) fn oidc_issuer(&self) -> Result<Option<String>, CertificateError> {
        let extensions = self.fulcio_extensions()?;
        match (extensions.get(&8), extensions.get(&1)) {
            (Some(new), Some(old)) if new != old => Err(CertificateError::Ambiguous(format!("two issuers, {new:?} and {old:?}"))),
            (new, old) => Ok(new.or(old).cloned()),
        }
    }

    /// The certificate as PEM text.
    pub(crate) fn to_pem(&self) -> String {
        encoding::to_pem("CERTIFICATE", &self.0.der)
    }

    /// What Conforma reports of a certificate, under its names, without empty
    /// values.
    pub(crate) fn metadata(&self) -> Result<Vec<(String, String)>, CertificateError> {
        let name = self.subject_name()?;
        let group = match name.kind {
            NameKind::Email => "Email Addresses:",
            NameKind::Other => "OtherName:",
            NameKind::Uri => "URIs:",
        };
        let mut rows = vec![
            ("Subject".to_owned(), self.subject()),
            ("Subject Alternative Name".to_owned(), format!("{group}{}", name.value)),
            ("Issuer".to_owned(), self.issuer()),
            ("Serial Number".to_owned(), self.serial()),
            ("Not Before".to_owned(), self.0.not_before.to_string()),
            ("Not After".to_owned(), self.0.not_after.to_string()),
        ];
        for (number, value) in self.fulcio_extensions()? {
            rows.extend(metadata_name(*number).map(|name| (name.to_owned(), value.clone())));
        }
        rows.retain(|(_, value)| !value.is_empty());
        Ok(rows)
    }

    fn key_usage_allows(&self, bit: u8) -> bool {
        // BIT STRING: the first byte counts unused bits.
        let usage = self.extension(KEY_USAGE).map(|value| der::single(value, 0x03));
        match usage {
            None => true,
            Some(element) => element.and_then(|e| e.content.get(1).copied()).is_some_and(|byte| byte & bit != 0),
        }
    }

    fn extension(&self, oid: ObjectIdentifier) -> Option<&[u8]> {
        let mut extensions = self.0.view.tbs_certificate.extensions.iter().flatten();
        extensions.find(|extension| extension.extn_id == oid).map(|extension| extension.extn_value.as_bytes())
    }
}

fn fulcio_extensions<'x>(
    extensions: impl Iterator<Item = &'x x509_cert::ext::Extension>,
) -> Result<BTreeMap<u32, String>, CertificateError> {
    let mut found = BTreeMap::new();
    for extension in extensions {
        let Some(number) = fulcio_number(&extension.extn_id) else { continue };
        let bytes = extension.extn_value.as_bytes();
        let malformed = || CertificateError::Malformed(format!("extension {} is not a UTF8String", extension.extn_id));
        let text = match number {
            1..=6 => bytes,
            8.. => der::single(bytes, der::UTF8_STRING).ok_or_else(malformed)?.content,
            _ => continue,
        };
        found.insert(number, std::str::from_utf8(text).map_err(|_| malformed())?.to_owned());
    }
    Ok(found)
}

/// The last number of an extension directly below Fulcio's arc: one number, in the one
/// way to write it (X.690 §8.19.2).
fn fulcio_number(oid: &ObjectIdentifier) -> Option<u32> {
    match oid.as_bytes().strip_prefix(FULCIO_ARC)? {
        [number @ 0..0x80] => Some(u32::from(*number)),
        [0x81..=0xff, middle @ .., 0..0x80] if middle.iter().all(|byte| *byte >= 0x80) => oid.arcs().last(),
        _ => None,
    }
}

/// OtherName ::= SEQUENCE { type-id OID, value [0] EXPLICIT UTF8String }, implicit tag read off.
fn fulcio_username(content: &[u8]) -> Option<&[u8]> {
    let mut reader = Reader::new(content);
    let oid = reader.expect(der::OID)?;
    let value = reader.expect(0xa0)?;
    let text = der::single(value.content, der::UTF8_STRING)?;
    (oid.content == FULCIO_USERNAME && reader.is_empty()).then_some(text.content)
}

fn timestamp(time: &x509_cert::time::Time) -> Option<Timestamp> {
    Timestamp::from_second(i64::try_from(time.to_unix_duration().as_secs()).ok()?).ok()
}

/// A name as Go's `pkix.Name` prints it: RFC 2253, last element first.
fn name_text(name: &x509_cert::name::Name) -> String {
    let element = |value: &x509_cert::attr::AttributeTypeAndValue| {
        let oid = value.oid.to_string();
        let text = std::str::from_utf8(value.value.value());
        match (attribute_name(&oid), text) {
            (Some(name), Ok(text)) => format!("{name}={}", escape(text)),
            _ => format!("{oid}=#{}", hex::encode(value.value.to_der().unwrap_or_default())),
        }
    };
    let joined = |set: &x509_cert::name::RelativeDistinguishedName| set.0.iter().map(element).collect::<Vec<_>>().join("+");
    name.0.iter().rev().map(joined).collect::<Vec<_>>().join(",")
}

fn attribute_name(oid: &str) -> Option<&'static str> {
    Some(match oid {
        "2.5.4.3" => "CN",
        "2.5.4.5" => "SERIALNUMBER",
        "2.5.4.6" => "C",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.9" => "STREET",
        "2.5.4.10" => "O",
        "2.5.4.11" => "OU",
        "2.5.4.17" => "POSTALCODE",
        _ => return None,
    })
}

/// RFC 2253 §2.4.
fn escape(text: &str) -> String {
    let last = text.chars().count().saturating_sub(1);
    let mut out = String::new();
    for (index, c) in text.chars().enumerate() {
        let edge_space = c == ' ' && (index == 0 || index == last);
        if matches!(c, ',' | '+' | '"' | '\\' | '<' | '>' | ';') || edge_space || (c == '#' && index == 0) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// Conforma's names of the Fulcio extensions.
fn metadata_name(number: u32) -> Option<&'static str> {
    Some(match number {
        1 => "Fulcio Issuer",
        2 => "Fulcio GitHub Workflow Trigger",
        3 => "Fulcio GitHub Workflow SHA",
        4 => "Fulcio GitHub Workflow Name",
        5 => "Fulcio GitHub Workflow Repository",
        6 => "Fulcio GitHub Workflow Ref",
        8 => "Fulcio Issuer (V2)",
        9 => "Fulcio Build Signer URI",
        10 => "Fulcio Build Signer Digest",
        11 => "Fulcio Runner Environment",
        12 => "Fulcio Source Repository URI",
        13 => "Fulcio Source Repository Digest",
        14 => "Fulcio Source Repository Ref",
        15 => "Fulcio Source Repository Identifier",
        16 => "Fulcio Source Repository Owner URI",
        17 => "Fulcio Source Repository Owner Identifier",
        18 => "Fulcio Build Config URI",
        19 => "Fulcio Build Config Digest",
        20 => "Fulcio Build Trigger",
        21 => "Fulcio Run Invocation URI",
        _ => return None,
    })
}
