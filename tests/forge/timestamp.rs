//! A timestamp authority (RFC 3161, RFC 5652).

use super::{
    certificate::{Spec, name},
    der,
    keys::{Key, sha256},
};

const SHA256: &str = "2.16.840.1.101.3.4.2.1";
const TST_INFO: &str = "1.2.840.113549.1.9.16.1.4";

pub(crate) struct Authority {
    pub(crate) name: &'static str,
    pub(crate) key: Key,
    pub(crate) leaf: Vec<u8>,
    pub(crate) root: Vec<u8>,
}

/// What is to be wrong with a token.
#[derive(Clone, Default)]
pub(crate) struct Flaws {
    /// A certificate that stands first in the token.
    pub(crate) first_certificate: Option<Vec<u8>>,
    /// The token is signed by this key instead.
    pub(crate) key_seed: Option<&'static str>,
    /// The signed attribute names this certificate instead.
    pub(crate) certificate_id: Option<Vec<u8>>,
    /// PKIStatus 2, rejection.
    pub(crate) rejected: bool,
    /// The message digest attribute is over other bytes.
    pub(crate) digest_of_other: bool,
}

impl Authority {
    /// `usage` is the extended key usage of its certificate.
    pub(crate) fn new(name: &'static str, from: i64, to: i64, usage: &str) -> Self {
        Self::with_key(name, Key::p256(name), from, to, usage)
    }

    /// The same for a key that another authority may have too.
    pub(crate) fn with_key(name: &'static str, key: Key, from: i64, to: i64, usage: &str) -> Self {
        let root_key = Key::p256(&format!("{name} root"));
        let root_name = format!("{name} root");
        let root = Spec::authority(&root_name, &root_name, from, to, None).sign(&root_key.spki(), &root_key, &[]);
        let leaf = Spec {
            subject: name.to_owned(),
            issuer: root_name,
            serial: 5,
            from,
            to,
            extensions: vec![
                ("2.5.29.15".to_owned(), true, der::element(0x03, &[7, 0x80])),
                ("2.5.29.37".to_owned(), true, der::sequence(&[der::oid(usage)])),
            ],
        };
        Self { name, leaf: leaf.sign(&key.spki(), &root_key, &[]), root, key }
    }

    /// A TimeStampResp over `message`.
    pub(crate) fn stamp(&self, message: &[u8], time: i64, flaws: &Flaws) -> Vec<u8> {
        let info = der::sequence(&[
            der::integer(1),
            der::oid("1.3.6.1.4.1.57264.2"),
            der::sequence(&[der::sequence(&[der::oid(SHA256)]), der::octets(&sha256(message))]),
            der::integer(42),
            der::time(time),
        ]);
        let attribute = |oid: &str, value: Vec<u8>| der::sequence(&[der::oid(oid), der::set(&[value])]);
        let digested = if flaws.digest_of_other { &b"other"[..] } else { &info };
        let certificate = flaws.certificate_id.as_ref().unwrap_or(&self.leaf);
        let id = der::sequence(&[der::sequence(&[der::sequence(&[der::octets(&sha256(certificate))])])]);
        let attributes = [
            attribute("1.2.840.113549.1.9.3", der::oid(TST_INFO)),
            attribute("1.2.840.113549.1.9.4", der::octets(&sha256(digested))),
            attribute("1.2.840.113549.1.9.16.2.47", id),
        ];
        let signed = der::set(&attributes);
        let other = flaws.key_seed.map(Key::p256);
        let signature = other.as_ref().unwrap_or(&self.key).sign(&signed);
        let signer = der::sequence(&[
            der::integer(1),
            der::sequence(&[name(&format!("{} root", self.name)), der::integer(5)]),
            der::sequence(&[der::oid(SHA256)]),
            der::element(0xa0, &signed[header(&signed)..]),
            der::sequence(&[der::oid("1.2.840.10045.4.3.2")]),
            der::octets(&signature),
        ]);
        let certificates =
            flaws.first_certificate.as_ref().map(|first| der::context(0, &[first.clone(), self.leaf.clone()].concat()));
        let data = der::sequence(&[
            der::integer(3),
            der::set(&[der::sequence(&[der::oid(SHA256)])]),
            der::sequence(&[der::oid(TST_INFO), der::context(0, &der::octets(&info))]),
            certificates.unwrap_or_default(),
            der::set(&[signer]),
        ]);
        let token = der::sequence(&[der::oid("1.2.840.113549.1.7.2"), der::context(0, &data)]);
        der::sequence(&[der::sequence(&[der::integer(if flaws.rejected { 2 } else { 0 })]), token])
    }
}

/// Bytes of tag and length.
fn header(element: &[u8]) -> usize {
    if element[1] < 0x80 { 2 } else { 2 + usize::from(element[1] & 0x7f) }
}
