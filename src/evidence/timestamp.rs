//! RFC 3161 timestamps: when did the signature exist?
//!
//! The signer is one of the authorities of the trust root, found by issuer and
//! serial number and verified with the key of the configured certificate;
//! certificates inside a token never choose whom to trust (CVE-2026-39984).
//! [`authorities`] asks the same of a token over any bytes, such as a bundle index.
//! Follows RFC 3161 and RFC 5652 (CMS).

mod authorities;

use carnet_bundle::Digest;
use cms::{
    content_info::ContentInfo,
    signed_data::{SignedData, SignerIdentifier, SignerInfo},
};
use jiff::Timestamp;
use x509_cert::der::{
    Decode as _, Encode as _,
    asn1::{ObjectIdentifier, SetOfVec},
};

use crate::{
    certificate::Certificate,
    chain::{Authority, NoPath, TIME_STAMPING, find_path},
    codes,
    der::{self, Reader},
    signature::{self, Hash, Scheme},
    signed::Refusal,
};

pub use authorities::{TimestampAuthorities, TimestampError, TimestampVerified, check_imprint};

const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
const TST_INFO: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.1.4");
const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
const SIGNING_CERTIFICATE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.12");
const SIGNING_CERTIFICATE_V2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.47");

/// A verified timestamp.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Stamped {
    pub(crate) time: Timestamp,
    pub(crate) authority: String,
    /// The key that signed it: what authorities are told apart by.
    pub(crate) key: Digest,
}

/// TSTInfo, the part that is signed.
struct Info {
    /// `None` for an algorithm that proves nothing, such as SHA-1.
    imprint_hash: Option<Hash>,
    imprint: Vec<u8>,
    time: Timestamp,
}

/// Verifies that a trusted authority saw `message` and when.
///
/// `timestamp-not-trusted` and `timestamp-outside-validity` mean that the token is
/// of no configured authority, or of one that was not trusted then: it is not
/// counted. Every other refusal is about a token that names a configured authority
/// and does not hold: that is tampering.
pub(crate) fn verify(token: &[u8], message: &[u8], authorities: &[Authority]) -> Result<Stamped, Refusal> {
    let data = signed_data(token)?;
    let [signer] = data.signer_infos.0.as_slice() else {
        return Err(invalid("exactly one signer is wanted"));
    };
    let named: Vec<_> = authorities.iter().filter(|authority| names(signer, authority)).collect();
    if named.is_empty() {
        return Err(Refusal::new(&codes::TIMESTAMP_NOT_TRUSTED, "timestamp of an authority that the trust root does not list"));
    }
    let mut last = invalid("no authority verified it");
    for authority in named {
        let Some(leaf) = authority.chain.first() else { continue };
        match verify_by(&data, signer, message, leaf, authority) {
            Ok(stamped) => return Ok(stamped),
            Err(refusal) => last = refusal,
        }
    }
    Err(last)
}

fn verify_by(
    data: &SignedData,
    signer: &SignerInfo,
    message: &[u8],
    leaf: &Certificate,
    authority: &Authority,
) -> Result<Stamped, Refusal> {
    let content = content(data)?;
    let info = Info::parse(content).ok_or_else(|| invalid("TSTInfo is not of its shape"))?;
    let imprint = info.hash()?.of(message);
    if info.imprint != imprint {
        let (token, have) = (hex::encode(&info.imprint), hex::encode(imprint));
        return Err(invalid(format!("imprint mismatch: the token is over {token}, this signature is {have}")));
    }
    verify_signer(signer, content, leaf)?;
    verify_authority(leaf, authority, info.time)?;
    Ok(Stamped { time: info.time, authority: authority.name.clone(), key: leaf.key().fingerprint() })
}

/// The TSTInfo, as it is signed.
fn content(data: &SignedData) -> Result<&[u8], Refusal> {
    let content = data.encap_content_info.econtent.as_ref().ok_or_else(|| invalid("no TSTInfo"))?;
    match data.encap_content_info.econtent_type == TST_INFO {
        true => Ok(content.value()),
        false => Err(invalid("its content is no TSTInfo")),
    }
}

/// RFC 5652 §5.4: the signature is over the signed attributes, and these hold the
/// type and the digest of the content.
fn verify_signer(signer: &SignerInfo, content: &[u8], leaf: &Certificate) -> Result<(), Refusal> {
    let hash = hash_of_der(signer.digest_alg.oid.as_bytes()).ok_or_else(|| unsupported("digest algorithm of the signer"))?;
    let attributes = signer.signed_attrs.as_ref().ok_or_else(|| invalid("no signed attributes"))?;
    let value = |oid: ObjectIdentifier| -> Result<Option<Vec<u8>>, Refusal> {
        let mut found = attributes.iter().filter(|attribute| attribute.oid == oid);
        match (found.next(), found.next()) {
            (None, _) => Ok(None),
            (Some(one), None) if one.values.len() == 1 => Ok(one.values.get(0).and_then(|any| any.to_der().ok())),
            _ => Err(invalid("a signed attribute stands there twice")),
        }
    };
    let content_type = value(CONTENT_TYPE)?.and_then(|der| ObjectIdentifier::from_der(&der).ok());
    if content_type != Some(TST_INFO) {
        return Err(invalid("the signed content type is no TSTInfo"));
    }
    let digest = value(MESSAGE_DIGEST)?;
    let digest = digest.as_deref().and_then(|der| der::single(der, der::OCTET_STRING)).map(|element| element.content);
    if digest != Some(hash.of(content).as_slice()) {
        return Err(invalid("the signed digest is not that of the TSTInfo"));
    }
    check_certificate_id(value(SIGNING_CERTIFICATE_V2)?, value(SIGNING_CERTIFICATE)?, leaf)?;
    let scheme = Scheme::with_hash(leaf.key(), hash).ok_or_else(|| unsupported("key of the authority"))?;
    let set = SetOfVec::try_from(attributes.iter().cloned().collect::<Vec<_>>()).and_then(|set| set.to_der());
    let message = set.map_err(|e| invalid(e.to_string()))?;
    if !signature::verify_raw(scheme, leaf.key().raw(), &message, signer.signature.as_bytes()) {
        return Err(invalid("the signature of the authority does not verify"));
    }
    Ok(())
}

/// RFC 5035: if the token says which certificate signed it, it is the configured
/// one. The first identifier of the list is the signer's.
fn check_certificate_id(v2: Option<Vec<u8>>, v1: Option<Vec<u8>>, leaf: &Certificate) -> Result<(), Refusal> {
    let mismatch = || invalid("the certificate it names is not the configured one");
    if let Some(attribute) = v2 {
        let (hash, want) = certificate_hash(&attribute).ok_or_else(mismatch)?;
        if hash.of(leaf.as_der()) != want {
            return Err(mismatch());
        }
    } else if let Some(attribute) = v1 {
        // ESSCertID of version 1 is SHA-1: too weak to prove, enough to refuse.
        let (_, want) = certificate_hash(&attribute).ok_or_else(mismatch)?;
        let sha1 = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, leaf.as_der());
        if sha1.as_ref() != want {
            return Err(mismatch());
        }
    }
    Ok(())
}

/// SigningCertificate ::= SEQUENCE { certs SEQUENCE OF SEQUENCE { [hashAlgorithm], certHash, … } … }.
fn certificate_hash(attribute: &[u8]) -> Option<(Hash, Vec<u8>)> {
    let mut outer = Reader::new(der::single(attribute, der::SEQUENCE)?.content);
    let mut list = Reader::new(outer.expect(der::SEQUENCE)?.content);
    let mut id = Reader::new(list.expect(der::SEQUENCE)?.content);
    let hash = match id.optional(der::SEQUENCE) {
        None => Hash::Sha256,
        Some(algorithm) => hash_of_der(Reader::new(algorithm.content).expect(der::OID)?.content)?,
    };
    Some((hash, id.expect(der::OCTET_STRING)?.content.to_vec()))
}

/// The authority's certificate is for timestamps alone, leads to its root, and all
/// of them and the trust in them cover the time.
fn verify_authority(leaf: &Certificate, authority: &Authority, time: Timestamp) -> Result<(), Refusal> {
    let (usages, critical) = leaf.extended_key_usage();
    if usages != [TIME_STAMPING.oid] || !critical {
        return Err(invalid("the certificate of the authority is not for timestamps alone"));
    }
    find_path(leaf, &[], std::slice::from_ref(authority), TIME_STAMPING, time).map(|_| ()).map_err(|reason| match reason {
        NoPath::AuthorityTime(reason) | NoPath::LeafTime(reason) => {
            Refusal::new(&codes::TIMESTAMP_OUTSIDE_VALIDITY, format!("timestamp: {reason}"))
        }
        NoPath::Unsupported(reason) => Refusal::new(&codes::UNSUPPORTED_ALGORITHM, format!("timestamp: {reason}")),
        NoPath::Untrusted(reason) => invalid(reason),
    })
}

fn names(signer: &SignerInfo, authority: &Authority) -> bool {
    authority.chain.first().is_some_and(|leaf| names_certificate(signer, leaf))
}

fn names_certificate(signer: &SignerInfo, certificate: &Certificate) -> bool {
    match &signer.sid {
        SignerIdentifier::IssuerAndSerialNumber(id) => certificate.issuer_and_serial() == (&id.issuer, &id.serial_number),
        SignerIdentifier::SubjectKeyIdentifier(id) => {
            !id.0.as_bytes().is_empty() && certificate.subject_key_id() == id.0.as_bytes()
        }
    }
}

/// Takes the CMS message out of a TimeStampResp, or takes it as it is.
fn signed_data(token: &[u8]) -> Result<SignedData, Refusal> {
    let malformed = || invalid("not of the shape of a timestamp");
    let outer = der::single(token, der::SEQUENCE).ok_or_else(malformed)?;
    let mut reader = Reader::new(outer.content);
    let info = match reader.optional(der::SEQUENCE) {
        // ContentInfo starts with an object identifier.
        None => token,
        Some(status) => {
            let status = Reader::new(status.content).expect(der::INTEGER).ok_or_else(malformed)?;
            if !matches!(status.content, [0 | 1]) {
                return Err(invalid("the authority did not grant it"));
            }
            let info = reader.expect(der::SEQUENCE).ok_or_else(malformed)?;
            if !reader.is_empty() {
                return Err(malformed());
            }
            info.whole
        }
    };
    let info = ContentInfo::from_der(info).map_err(|_| malformed())?;
    if info.content_type != SIGNED_DATA {
        return Err(invalid("no signed CMS message"));
    }
    let content = info.content.to_der().map_err(|_| malformed())?;
    SignedData::from_der(&content).map_err(|_| malformed())
}

impl Info {
    /// RFC 3161 §2.4.2; what stands after the time is not needed.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(der::single(bytes, der::SEQUENCE)?.content);
        let version = reader.expect(der::INTEGER)?;
        reader.expect(der::OID)?;
        let mut imprint = Reader::new(reader.expect(der::SEQUENCE)?.content);
        let mut algorithm = Reader::new(imprint.expect(der::SEQUENCE)?.content);
        let imprint_hash = hash_of_der(algorithm.expect(der::OID)?.content);
        let digest = imprint.expect(der::OCTET_STRING)?.content.to_vec();
        reader.expect(der::INTEGER)?;
        let time = generalized_time(reader.expect(der::GENERALIZED_TIME)?.content)?;
        (version.content == [1] && imprint.is_empty()).then_some(Self { imprint_hash, imprint: digest, time })
    }

    fn hash(&self) -> Result<Hash, Refusal> {
        self.imprint_hash.ok_or_else(|| unsupported("its imprint is not by SHA-256, SHA-384 or SHA-512"))
    }
}

/// `YYYYMMDDhhmmss[.f…]Z`, the one form that RFC 3161 allows.
fn generalized_time(content: &[u8]) -> Option<Timestamp> {
    let text = std::str::from_utf8(content).ok()?.strip_suffix('Z')?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let has_fraction = text.contains('.');
    if whole.len() != 14
        || !digits(whole)
        || !digits(fraction)
        || has_fraction && (fraction.is_empty() || fraction.ends_with('0'))
    {
        return None;
    }
    let part = |from: usize, to: usize| whole.get(from..to).unwrap_or_default();
    let fraction = fraction.get(..fraction.len().min(9)).unwrap_or_default();
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{}-{}-{}T{}:{}:{}{point}{fraction}Z", part(0, 4), part(4, 6), part(6, 8), part(8, 10), part(10, 12), part(12, 14))
        .parse()
        .ok()
}

fn hash_of_der(oid: &[u8]) -> Option<Hash> {
    match oid {
        [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 1] => Some(Hash::Sha256),
        [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 2] => Some(Hash::Sha384),
        [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 3] => Some(Hash::Sha512),
        _ => None,
    }
}

fn invalid(reason: impl Into<String>) -> Refusal {
    Refusal::new(&codes::TIMESTAMP_INVALID, format!("timestamp: {}", reason.into()))
}

fn unsupported(what: &str) -> Refusal {
    Refusal::new(&codes::UNSUPPORTED_ALGORITHM, format!("timestamp: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_one_form() {
        let read = |text: &str| generalized_time(text.as_bytes()).map(|time| time.to_string());
        assert_eq!(read("20261124030609Z").as_deref(), Some("2026-11-24T03:06:09Z"));
        assert_eq!(read("20261124030609.25Z").as_deref(), Some("2026-11-24T03:06:09.25Z"));
        for text in [
            "20261124030609",
            "202611240306Z",
            "20261124030609.Z",
            "20261124030609.0Z",
            "20261324030609Z",
            "20261124030609+0100",
            "2026112403060xZ",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
