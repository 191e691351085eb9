//! Text encodings of keys, signatures and certificates.

use base64::{
    Engine as _,
    alphabet::{STANDARD, URL_SAFE},
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use rustls_pki_types::pem::{SectionKind, from_buf};

/// Padding may be left out, stray bits may not be set: one value, few texts.
const LENIENT_PADDING: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD_LENIENT: GeneralPurpose = GeneralPurpose::new(&STANDARD, LENIENT_PADDING);
const URL_LENIENT: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, LENIENT_PADDING);

/// Characters of a line of PEM (RFC 7468 §2).
const LINE: usize = 64;

/// What a PEM section holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum PemKind {
    /// `CERTIFICATE`.
    Certificate,
    /// `PUBLIC KEY`: a SubjectPublicKeyInfo.
    PublicKey,
}

/// Decodes standard base64 with its padding, as Go's `StdEncoding` writes it.
pub(crate) fn base64_standard(text: &str) -> Option<Vec<u8>> {
    base64::engine::general_purpose::STANDARD.decode(text).ok()
}

/// Decodes base64 as protobuf JSON writes bytes: standard or URL-safe alphabet,
/// with or without padding, no white space.
pub(crate) fn base64_protojson(text: &str) -> Option<Vec<u8>> {
    STANDARD_LENIENT.decode(text).or_else(|_| URL_LENIENT.decode(text)).ok()
}

/// Writes standard base64.
pub(crate) fn to_base64(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// Writes one PEM section with lines of 64 characters.
pub(crate) fn to_pem(label: &str, der: &[u8]) -> String {
    let text = to_base64(der);
    let mut pem = format!("-----BEGIN {label}-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, tail) = rest.split_at(rest.len().min(LINE));
        pem.push_str(line);
        pem.push('\n');
        rest = tail;
    }
    pem.push_str(&format!("-----END {label}-----\n"));
    pem
}

/// Reads every PEM section of `text`; `None` when one is broken or of another sort.
pub(crate) fn pem_sections(text: &[u8]) -> Option<Vec<(PemKind, Vec<u8>)>> {
    let mut rest = text;
    let mut sections = Vec::new();
    while let Some((kind, der)) = from_buf(&mut rest).ok()? {
        let kind = match kind {
            SectionKind::Certificate => PemKind::Certificate,
            SectionKind::PublicKey => PemKind::PublicKey,
            _ => return None,
        };
        sections.push((kind, der));
    }
    Some(sections)
}

/// Reads exactly one PEM section.
pub(crate) fn pem_single(text: &[u8]) -> Option<(PemKind, Vec<u8>)> {
    if let Some(section) = pem_as_written(text) {
        return Some(section);
    }
    let mut sections = pem_sections(text)?;
    let section = sections.pop()?;
    sections.is_empty().then_some(section)
}

/// Reads a section in the one form that [`to_pem`] and everybody else writes, many times
/// as fast as any other. `None` says nothing: the text may be PEM in another form.
fn pem_as_written(text: &[u8]) -> Option<(PemKind, Vec<u8>)> {
    let inner = |label: &str| {
        let rest = text.strip_prefix(b"-----BEGIN ")?.strip_prefix(label.as_bytes())?.strip_prefix(b"-----\n")?;
        let rest = rest.strip_suffix(b"\n")?.strip_suffix(b"-----")?.strip_suffix(label.as_bytes())?;
        rest.strip_suffix(b"-----END ")
    };
    let (kind, inner) = match (inner("CERTIFICATE"), inner("PUBLIC KEY")) {
        (Some(inner), _) => (PemKind::Certificate, inner),
        (_, inner) => (PemKind::PublicKey, inner?),
    };
    let mut joined = Vec::with_capacity(inner.len());
    for line in inner.chunks(LINE + 1) {
        let (line, end) = line.split_at_checked(line.len() - 1)?;
        if end != b"\n" {
            return None;
        }
        joined.extend_from_slice(line);
    }
    // A line break elsewhere is no base64; padding ends the last line.
    let der = base64::engine::general_purpose::STANDARD.decode(joined).ok()?;
    (!der.is_empty()).then_some((kind, der))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protojson_bytes_have_two_alphabets_and_no_white_space() {
        for text in ["+/8=", "+/8", "-_8=", "-_8"] {
            assert_eq!(base64_protojson(text).unwrap(), [0xfb, 0xff], "{text}");
        }
        for text in ["+/8=\n", "+_8=", "+/9=", "+/8==", "a", " +/8="] {
            assert_eq!(base64_protojson(text), None, "{text:?}");
        }
    }

    #[test]
    fn pem_is_read_as_it_is_written() {
        let der = vec![7; 100];
        let pem = to_pem("CERTIFICATE", &der);
        assert_eq!(pem_single(pem.as_bytes()), Some((PemKind::Certificate, der)));
        assert_eq!(pem_single(format!("{pem}{pem}").as_bytes()), None);
        assert_eq!(pem_single(b"-----BEGIN CERTIFICATE-----\n"), None);
    }

    /// The short way reads what the long way reads, and the same of it.
    #[test]
    fn the_short_way_through_pem_ends_where_the_long_way_does() {
        let mut read_in_short = 0;
        for (length, label) in
            [(1, "CERTIFICATE"), (48, "CERTIFICATE"), (100, "PUBLIC KEY"), (144, "PUBLIC KEY"), (700, "CERTIFICATE")]
        {
            let pem = to_pem(label, &vec![7; length]);
            assert!(pem_as_written(pem.as_bytes()).is_some(), "{pem}");
            // Every change of one character, and every one left out.
            for at in 0..pem.len() {
                for other in [b"".as_slice(), b"\n", b"=", b"B", b"-", b" "] {
                    let changed = [&pem.as_bytes()[..at], other, &pem.as_bytes()[at + 1..]].concat();
                    if let Some(short) = pem_as_written(&changed) {
                        read_in_short += 1;
                        assert_eq!(pem_sections(&changed), Some(vec![short]), "{}", String::from_utf8_lossy(&changed));
                    }
                }
            }
        }
        assert!(read_in_short > 100, "{read_in_short}");
        assert_eq!(pem_as_written(b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"), None);
    }
}
