//! Signed certificate timestamps (RFC 6962 §3): was the signer's certificate
//! logged when it was issued?

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::{
    certificate::{Certificate, SCT_LIST},
    codes,
    der::{self, Reader},
    encoding::to_base64,
    public_key::KeyAlgorithm,
    signature,
    signed::Refusal,
    trust_root::Log,
};

/// TBSCertificate.extensions.
const EXTENSIONS: u8 = 0xa3;

/// One verified timestamp.
#[derive(Clone, Debug)]
pub(crate) struct Logged {
    pub(crate) log: String,
    pub(crate) time: Timestamp,
}

struct Sct<'a> {
    log_id: [u8; 32],
    milliseconds: u64,
    extensions: &'a [u8],
    algorithm: [u8; 2],
    signature: &'a [u8],
}

/// Verifies the timestamps in `certificate`, which the holder of `issuer_spki`
/// signed in the verified path, and asks for `threshold` distinct logs. Says which
/// logs hold it, and how many timestamps there are.
///
/// Timestamps of unknown logs are passed over; one of a known log that does not
/// verify is fatal.
pub(crate) fn verify(
    certificate: &Certificate,
    issuer_spki: &[u8],
    logs: &[Log],
    threshold: usize,
) -> Result<(Vec<Logged>, usize), Refusal> {
    let malformed = || Refusal::new(&codes::SCT_INVALID, "the list of certificate timestamps is not of its shape");
    let (tbs, list) = without_scts(certificate.tbs()).ok_or_else(malformed)?;
    let Some(list) = list else {
        return Err(Refusal::new(&codes::SCT_MISSING, "the certificate has no signed certificate timestamp"));
    };
    let scts = parse_list(&list).ok_or_else(malformed)?;
    let mut found: Vec<Logged> = Vec::new();
    let mut unknown = Vec::new();
    let mut keys = BTreeSet::new();
    for sct in &scts {
        let time =
            i64::try_from(sct.milliseconds).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok()).ok_or_else(malformed)?;
        match logs.iter().find(|log| log.id == sct.log_id && log.window.contains(time)) {
            None => unknown.push(format!("{} at {time}", to_base64(&sct.log_id))),
            Some(log) => {
                verify_one(sct, log, &tbs, issuer_spki)?;
                // Two timestamps of one log count once.
                if keys.insert(log.key.fingerprint()) {
                    found.push(Logged { log: log.name(), time });
                }
            }
        }
    }
    if found.len() < threshold {
        let message = match unknown.is_empty() {
            true => format!("{} CT logs hold the certificate, {threshold} are wanted", found.len()),
            false => format!("CT log not in the trust root for that time: {}", unknown.join(", ")),
        };
        let code = if unknown.is_empty() { &codes::SCT_MISSING } else { &codes::SCT_LOG_UNKNOWN };
        return Err(Refusal::new(code, message));
    }
    Ok((found, scts.len()))
}

fn verify_one(sct: &Sct<'_>, log: &Log, tbs: &[u8], issuer_spki: &[u8]) -> Result<(), Refusal> {
    let invalid = |reason: &str| Refusal::new(&codes::SCT_INVALID, format!("certificate timestamp of {}: {reason}", log.name()));
    // RFC 5246 §7.4.1.4.1: SHA-256 with ECDSA or RSA; said by the key, compared here.
    let want = match log.key.algorithm() {
        KeyAlgorithm::EcdsaP256 => [4, 3],
        KeyAlgorithm::Rsa => [4, 1],
        other => return Err(invalid(&format!("unsupported key algorithm {}", other.name()))),
    };
    if sct.algorithm != want {
        return Err(invalid("its algorithm is not that of the log's key"));
    }
    let message = signed_data(sct, tbs, issuer_spki).ok_or_else(|| invalid("too long"))?;
    signature::verify(&log.key, &message, sct.signature).then_some(()).ok_or_else(|| invalid("the signature does not verify"))
}

/// RFC 6962 §3.2: version, type, time, entry type, issuer key hash, TBS, extensions.
fn signed_data(sct: &Sct<'_>, tbs: &[u8], issuer_spki: &[u8]) -> Option<Vec<u8>> {
    let mut data = vec![0, 0];
    data.extend_from_slice(&sct.milliseconds.to_be_bytes());
    data.extend_from_slice(&[0, 1]);
    data.extend_from_slice(&signature::Hash::Sha256.of(issuer_spki));
    let [0, length @ ..] = u32::try_from(tbs.len()).ok()?.to_be_bytes() else { return None };
    data.extend_from_slice(&length);
    data.extend_from_slice(tbs);
    data.extend_from_slice(&u16::try_from(sct.extensions.len()).ok()?.to_be_bytes());
    data.extend_from_slice(sct.extensions);
    Some(data)
}

/// The signed part of the certificate as it was before the timestamps were put
/// in, and the TLS list of timestamps. All other bytes stay as they are.
fn without_scts(tbs: &[u8]) -> Option<(Vec<u8>, Option<Vec<u8>>)> {
    let mut reader = Reader::new(der::single(tbs, der::SEQUENCE)?.content);
    let mut kept = Vec::new();
    let mut list = None;
    while !reader.is_empty() {
        let element = reader.next()?;
        if element.tag != EXTENSIONS {
            kept.extend_from_slice(element.whole);
            continue;
        }
        let mut extensions = Reader::new(der::single(element.content, der::SEQUENCE)?.content);
        let mut others = Vec::new();
        while !extensions.is_empty() {
            let extension = extensions.expect(der::SEQUENCE)?;
            let mut parts = Reader::new(extension.content);
            if parts.expect(der::OID)?.content == SCT_LIST {
                parts.optional(der::BOOLEAN);
                let value = parts.expect(der::OCTET_STRING)?;
                list = Some(der::single(value.content, der::OCTET_STRING)?.content.to_vec());
            } else {
                others.extend_from_slice(extension.whole);
            }
        }
        if !others.is_empty() {
            kept.extend(der::write(EXTENSIONS, &der::write(der::SEQUENCE, &others)));
        }
    }
    Some((der::write(der::SEQUENCE, &kept), list))
}

/// SignedCertificateTimestampList (RFC 6962 §3.3), all of it.
fn parse_list(list: &[u8]) -> Option<Vec<Sct<'_>>> {
    let (mut rest, tail) = take_vector(list)?;
    if !tail.is_empty() {
        return None;
    }
    let mut scts = Vec::new();
    while !rest.is_empty() {
        let (sct, tail) = take_vector(rest)?;
        rest = tail;
        scts.push(parse_sct(sct)?);
    }
    Some(scts)
}

fn parse_sct(bytes: &[u8]) -> Option<Sct<'_>> {
    let (version, rest) = bytes.split_first()?;
    let (log_id, rest) = rest.split_first_chunk::<32>()?;
    let (milliseconds, rest) = rest.split_first_chunk::<8>()?;
    let (extensions, rest) = take_vector(rest)?;
    let (algorithm, rest) = rest.split_first_chunk::<2>()?;
    let (signature, rest) = take_vector(rest)?;
    (*version == 0 && rest.is_empty()).then_some(Sct {
        log_id: *log_id,
        milliseconds: u64::from_be_bytes(*milliseconds),
        extensions,
        algorithm: *algorithm,
        signature,
    })
}

/// A TLS vector with a length of two bytes, and what stands behind it.
fn take_vector(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}
