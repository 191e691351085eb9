//! `crypto.x509.parse_certificates`: certificates with the members that Go's
//! `x509.Certificate` has in JSON, as far as rules use them.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use regorus::Value;
use serde_json::{Map, Value as Json, json};
use x509_cert::{
    Certificate,
    der::{Decode, Encode, oid::ObjectIdentifier},
    ext::pkix::{ExtendedKeyUsage, KeyUsage, SubjectAltName, name::GeneralName},
    name::Name,
    time::Time,
};

use super::{Answer, undefined};

/// Purposes that Go numbers, in the order of its constants.
const PURPOSES: [&str; 14] = [
    "2.5.29.37.0",
    "1.3.6.1.5.5.7.3.1",
    "1.3.6.1.5.5.7.3.2",
    "1.3.6.1.5.5.7.3.3",
    "1.3.6.1.5.5.7.3.4",
    "1.3.6.1.5.5.7.3.5",
    "1.3.6.1.5.5.7.3.6",
    "1.3.6.1.5.5.7.3.7",
    "1.3.6.1.5.5.7.3.8",
    "1.3.6.1.5.5.7.3.9",
    "1.3.6.1.4.1.311.10.3.3",
    "2.16.840.1.113730.4.1",
    "1.3.6.1.4.1.311.2.1.22",
    "1.3.6.1.4.1.311.61.1.1",
];

/// One or more certificates: PEM, or base64 of DER or PEM.
pub(super) fn parse_certificates(args: &[Value]) -> Answer {
    let [Value::String(text)] = args else { return undefined("operand must be a string") };
    let ders = if text.trim_start().starts_with("-----BEGIN") {
        pem(text)
    } else {
        match STANDARD.decode(text.as_bytes()) {
            Ok(bytes) if bytes.starts_with(b"-----BEGIN") => pem(&String::from_utf8_lossy(&bytes)),
            Ok(bytes) => sequence(&bytes),
            Err(e) => return undefined(e.to_string()),
        }
    };
    let ders = match ders {
        Ok(ders) => ders,
        Err(reason) => return undefined(reason),
    };
    let mut certificates = Vec::new();
    for der in ders {
        match Certificate::from_der(&der).map_err(|e| e.to_string()).and_then(|certificate| json_of(&certificate, &der)) {
            Ok(certificate) => certificates.push(certificate),
            Err(reason) => return undefined(reason),
        }
    }
    Ok(Value::from(Json::Array(certificates)))
}

fn pem(text: &str) -> Result<Vec<Vec<u8>>, String> {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    const END: &str = "-----END CERTIFICATE-----";
    let mut ders = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once(BEGIN) {
        let (body, after) = after.split_once(END).ok_or("the certificate is not closed")?;
        let body: String = body.split_whitespace().collect();
        ders.push(STANDARD.decode(body).map_err(|e| e.to_string())?);
        rest = after;
    }
    if ders.is_empty() || !rest.trim().is_empty() {
        return Err("PEM data contains something other than certificates".to_owned());
    }
    Ok(ders)
}

/// Certificates in DER one behind the other.
fn sequence(bytes: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let mut ders = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let header = x509_cert::der::Header::from_der(rest.get(..rest.len().min(6)).unwrap_or(rest)).ok();
        let length = header.and_then(|header| {
            let body = usize::try_from(header.length).ok()?;
            body.checked_add(usize::try_from(header.encoded_len().ok()?).ok()?)
        });
        let length = length.filter(|length| *length <= rest.len()).ok_or("x509: malformed certificate")?;
        ders.push(rest[..length].to_vec());
        rest = &rest[length..];
    }
    Ok(ders)
}

fn json_of(certificate: &Certificate, der: &[u8]) -> Result<Json, String> {
    let tbs = &certificate.tbs_certificate;
    let mut extensions = Vec::new();
    let (mut usage, mut purposes, mut names) = (0u32, Vec::new(), Names::default());
    for extension in tbs.extensions.iter().flatten() {
        let value = extension.extn_value.as_bytes();
        extensions.push(json!({
            "Id": arcs(&extension.extn_id),
            "Critical": extension.critical,
            "Value": STANDARD.encode(value),
        }));
        let broken = |e: x509_cert::der::Error| e.to_string();
        match extension.extn_id.to_string().as_str() {
            "2.5.29.15" => usage = key_usage(&KeyUsage::from_der(value).map_err(broken)?),
            "2.5.29.37" => purposes = ExtendedKeyUsage::from_der(value).map_err(broken)?.0,
            "2.5.29.17" => names = Names::of(&SubjectAltName::from_der(value).map_err(broken)?),
            _ => {}
        }
    }
    let number = |purpose: &ObjectIdentifier| PURPOSES.iter().position(|known| *known == purpose.to_string());
    let known: Vec<usize> = purposes.iter().filter_map(number).collect();
    let unknown: Vec<Json> = purposes.iter().filter(|purpose| number(purpose).is_none()).map(arcs).collect();
    let optional = |list: Json| if list.as_array().is_some_and(Vec::is_empty) { Json::Null } else { list };
    Ok(json!({
        "Raw": STANDARD.encode(der),
        "Version": 3,
        "SerialNumber": serial(tbs.serial_number.as_bytes()),
        "Subject": name(&tbs.subject),
        "Issuer": name(&tbs.issuer),
        "NotBefore": time(&tbs.validity.not_before),
        "NotAfter": time(&tbs.validity.not_after),
        "KeyUsage": usage,
        "ExtKeyUsage": optional(json!(known)),
        "UnknownExtKeyUsage": optional(json!(unknown)),
        "Extensions": extensions,
        "DNSNames": optional(json!(names.dns)),
        "EmailAddresses": optional(json!(names.email)),
        "URIs": optional(json!(names.uri)),
        "URIStrings": optional(json!(names.uri)),
    }))
}

#[derive(Default)]
struct Names {
    dns: Vec<String>,
    email: Vec<String>,
    uri: Vec<String>,
}

impl Names {
    fn of(names: &SubjectAltName) -> Self {
        let mut found = Self::default();
        for name in &names.0 {
            match name {
                GeneralName::DnsName(name) => found.dns.push(name.to_string()),
                GeneralName::Rfc822Name(name) => found.email.push(name.to_string()),
                GeneralName::UniformResourceIdentifier(name) => found.uri.push(name.to_string()),
                _ => {}
            }
        }
        found
    }
}

fn arcs(id: &ObjectIdentifier) -> Json {
    id.arcs().map(Json::from).collect()
}

/// Go's bits are those of RFC 5280 in the order of their numbers.
fn key_usage(usage: &KeyUsage) -> u32 {
    let bits = [
        usage.digital_signature(),
        usage.non_repudiation(),
        usage.key_encipherment(),
        usage.data_encipherment(),
        usage.key_agreement(),
        usage.key_cert_sign(),
        usage.crl_sign(),
        usage.encipher_only(),
        usage.decipher_only(),
    ];
    bits.iter().enumerate().filter(|(_, set)| **set).map(|(bit, _)| 1u32 << bit).sum()
}

/// The number itself, as Go's `big.Int` is written.
fn serial(bytes: &[u8]) -> Json {
    let mut digits = vec![0u8];
    for byte in bytes {
        let mut carry = u32::from(*byte);
        for digit in digits.iter_mut() {
            let value = u32::from(*digit) * 256 + carry;
            *digit = u8::try_from(value % 10).unwrap_or(0);
            carry = value / 10;
        }
        while carry > 0 {
            digits.push(u8::try_from(carry % 10).unwrap_or(0));
            carry /= 10;
        }
    }
    let text: String = digits.iter().rev().map(|digit| char::from(b'0' + digit)).collect();
    serde_json::from_str(&text).unwrap_or(Json::String(text))
}

fn time(time: &Time) -> String {
    jiff::Timestamp::from_second(i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX))
        .map(|time| time.to_string())
        .unwrap_or_default()
}

/// The members of Go's `pkix.Name` that certificates of signers have.
fn name(name: &Name) -> Json {
    let mut members = Map::new();
    for (member, id) in [("Country", "2.5.4.6"), ("Organization", "2.5.4.10"), ("OrganizationalUnit", "2.5.4.11")] {
        let values = attributes(name, id);
        members.insert(member.to_owned(), if values.is_empty() { Json::Null } else { json!(values) });
    }
    members.insert("CommonName".to_owned(), attributes(name, "2.5.4.3").pop().unwrap_or_default().into());
    members.insert("SerialNumber".to_owned(), attributes(name, "2.5.4.5").pop().unwrap_or_default().into());
    Json::Object(members)
}

fn attributes(name: &Name, id: &str) -> Vec<String> {
    let attributes = name.0.iter().flat_map(|relative| relative.0.iter());
    let values = attributes.filter(|attribute| attribute.oid.to_string() == id);
    values.map(|attribute| String::from_utf8_lossy(attribute.value.value()).into_owned()).collect()
}
