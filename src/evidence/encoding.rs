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
    let engine = if text.contains(['-', '_']) { &URL_LENIENT } else { &STANDARD_LENIENT };
    engine.decode(text).ok()
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
        let (line, tail) = rest.split_at(rest.len().min(64));
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
    let mut sections = pem_sections(text)?;
    let section = sections.pop()?;
    sections.is_empty().then_some(section)
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
}
