//! Certificates as Fulcio issues them, with every part free to be wrong.

use super::{
    der,
    keys::{Key, sha256},
};

const ECDSA_SHA256: &str = "1.2.840.10045.4.3.2";
const SCT_LIST: &str = "1.3.6.1.4.1.11129.2.4.2";

/// What is to stand in a certificate.
#[derive(Clone)]
pub(crate) struct Spec {
    pub(crate) subject: String,
    pub(crate) issuer: String,
    pub(crate) serial: u64,
    pub(crate) from: i64,
    pub(crate) to: i64,
    /// Object identifier, critical, value.
    pub(crate) extensions: Vec<(String, bool, Vec<u8>)>,
}

/// A CT log that writes a timestamp into a certificate.
pub(crate) struct CtLog<'a> {
    pub(crate) key: &'a Key,
    pub(crate) milliseconds: u64,
    pub(crate) extensions: Vec<u8>,
    /// Who is said to have issued the certificate.
    pub(crate) issuer_spki: Vec<u8>,
}

impl Spec {
    pub(crate) fn authority(subject: &str, issuer: &str, from: i64, to: i64, path_length: Option<u64>) -> Self {
        let constraints = [vec![der::boolean(true)], path_length.map(|n| vec![der::integer(n)]).unwrap_or_default()].concat();
        Self {
            subject: subject.to_owned(),
            issuer: issuer.to_owned(),
            serial: 7,
            from,
            to,
            extensions: vec![
                // keyCertSign and cRLSign
                ("2.5.29.15".to_owned(), true, der::element(0x03, &[1, 0x06])),
                ("2.5.29.19".to_owned(), true, der::sequence(&constraints)),
            ],
        }
    }

    /// A signer's certificate without a name.
    pub(crate) fn leaf(issuer: &str, from: i64, to: i64) -> Self {
        let mut spec = Self { issuer: issuer.to_owned(), from, to, serial: 99, subject: String::new(), extensions: Vec::new() };
        // digitalSignature, codeSigning
        spec.extensions.push(("2.5.29.15".to_owned(), true, der::element(0x03, &[7, 0x80])));
        spec.extensions.push(("2.5.29.37".to_owned(), false, der::sequence(&[der::oid("1.3.6.1.5.5.7.3.3")])));
        spec
    }

    pub(crate) fn with(mut self, oid: &str, critical: bool, value: Vec<u8>) -> Self {
        self.extensions.push((oid.to_owned(), critical, value));
        self
    }

    pub(crate) fn without(mut self, oid: &str) -> Self {
        self.extensions.retain(|(other, ..)| other != oid);
        self
    }

    /// General names, such as `(0x86, b"https://…")` for a URI.
    pub(crate) fn names(self, names: &[(u8, &[u8])]) -> Self {
        let names: Vec<_> = names.iter().map(|(tag, value)| der::element(*tag, value)).collect();
        self.with("2.5.29.17", true, der::sequence(&names))
    }

    /// A Fulcio extension: DER text from 8 on, raw bytes below.
    pub(crate) fn fulcio(self, number: u32, value: &str) -> Self {
        let bytes = if number < 8 { value.as_bytes().to_vec() } else { der::text(value) };
        self.with(&format!("1.3.6.1.4.1.57264.1.{number}"), false, bytes)
    }

    /// Signs it, with timestamps of these logs.
    pub(crate) fn sign(&self, spki: &[u8], issuer: &Key, logs: &[CtLog<'_>]) -> Vec<u8> {
        let mut spec = self.clone();
        if !logs.is_empty() {
            let tbs = self.tbs(spki);
            let list: Vec<u8> = logs.iter().flat_map(|log| vector(&log.timestamp(&tbs))).collect();
            spec = spec.with(SCT_LIST, false, der::octets(&vector(&list)));
        }
        let tbs = spec.tbs(spki);
        let signature = issuer.sign(&tbs);
        der::sequence(&[tbs, der::sequence(&[der::oid(ECDSA_SHA256)]), der::bits(&signature)])
    }

    fn tbs(&self, spki: &[u8]) -> Vec<u8> {
        let extensions = self.extensions.iter().map(|(oid, critical, value)| {
            let critical = if *critical { der::boolean(true) } else { Vec::new() };
            der::sequence(&[der::oid(oid), critical, der::octets(value)])
        });
        let extensions = der::sequence(&extensions.collect::<Vec<_>>());
        der::sequence(&[
            der::context(0, &der::integer(2)),
            der::integer(self.serial),
            der::sequence(&[der::oid(ECDSA_SHA256)]),
            name(&self.issuer),
            der::sequence(&[der::time(self.from), der::time(self.to)]),
            name(&self.subject),
            spki.to_vec(),
            der::context(3, &extensions),
        ])
    }
}

impl CtLog<'_> {
    /// RFC 6962 §3.2, §3.3.
    fn timestamp(&self, tbs: &[u8]) -> Vec<u8> {
        let extensions = vector(&self.extensions);
        let mut signed = vec![0, 0];
        signed.extend(self.milliseconds.to_be_bytes());
        signed.extend([0, 1]);
        signed.extend(sha256(&self.issuer_spki));
        signed.extend(&u32::try_from(tbs.len()).unwrap().to_be_bytes()[1..]);
        signed.extend(tbs);
        signed.extend(&extensions);
        let mut out = vec![0];
        out.extend(sha256(&self.key.spki()));
        out.extend(self.milliseconds.to_be_bytes());
        out.extend(extensions);
        out.extend([4, 3]);
        out.extend(vector(&self.key.sign(&signed)));
        out
    }
}

/// A TLS vector with two bytes of length.
fn vector(content: &[u8]) -> Vec<u8> {
    [&u16::try_from(content.len()).unwrap().to_be_bytes()[..], content].concat()
}

/// A name of one common name, or of nothing.
pub(crate) fn name(common_name: &str) -> Vec<u8> {
    if common_name.is_empty() {
        return der::sequence(&[]);
    }
    der::sequence(&[der::set(&[der::sequence(&[der::oid("2.5.4.3"), der::text(common_name)])])])
}
