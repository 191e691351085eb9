//! A reader of DER that keeps the bytes: nothing is written again before it is
//! hashed.

/// Tag of a SEQUENCE.
pub(crate) const SEQUENCE: u8 = 0x30;
/// Tag of an OBJECT IDENTIFIER.
pub(crate) const OID: u8 = 0x06;
/// Tag of an OCTET STRING.
pub(crate) const OCTET_STRING: u8 = 0x04;
/// Tag of an INTEGER.
pub(crate) const INTEGER: u8 = 0x02;
/// Tag of a BOOLEAN.
pub(crate) const BOOLEAN: u8 = 0x01;
/// Tag of a UTF8String.
pub(crate) const UTF8_STRING: u8 = 0x0c;
/// Tag of a GeneralizedTime.
pub(crate) const GENERALIZED_TIME: u8 = 0x18;

/// One element: its tag, its content, and all of its bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Element<'a> {
    pub(crate) tag: u8,
    pub(crate) content: &'a [u8],
    pub(crate) whole: &'a [u8],
}

/// Reads elements one after the other; `None` means that the bytes are not DER.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Starts at the first of `bytes`.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Whether everything was read.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads the next element.
    pub(crate) fn next(&mut self) -> Option<Element<'a>> {
        let (element, rest) = split(self.0)?;
        self.0 = rest;
        Some(element)
    }

    /// Reads the next element if it has this tag.
    pub(crate) fn expect(&mut self, tag: u8) -> Option<Element<'a>> {
        self.next().filter(|element| element.tag == tag)
    }

    /// Reads the next element if it is there and has this tag, else stays.
    pub(crate) fn optional(&mut self, tag: u8) -> Option<Element<'a>> {
        if self.0.first() != Some(&tag) {
            return None;
        }
        self.next()
    }
}

/// Takes `bytes` as exactly one element with this tag.
pub(crate) fn single(bytes: &[u8], tag: u8) -> Option<Element<'_>> {
    let (element, rest) = split(bytes)?;
    (element.tag == tag && rest.is_empty()).then_some(element)
}

/// Writes an element.
pub(crate) fn write(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    let length = content.len();
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => out.push(short),
        _ => {
            let bytes = length.to_be_bytes();
            let first = bytes.iter().position(|b| *b != 0).unwrap_or(0);
            let digits = bytes.get(first..).unwrap_or_default();
            out.push(0x80 | u8::try_from(digits.len()).unwrap_or(8));
            out.extend_from_slice(digits);
        }
    }
    out.extend_from_slice(content);
    out
}

/// X.690 §8.1 and §10.1: low tag numbers, definite length in its shortest form.
fn split(bytes: &[u8]) -> Option<(Element<'_>, &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    if tag & 0x1f == 0x1f {
        return None;
    }
    let (&first, mut rest) = rest.split_first()?;
    let length = if first < 0x80 {
        usize::from(first)
    } else {
        let count = usize::from(first & 0x7f);
        if count == 0 || count > 4 {
            return None;
        }
        let (digits, tail) = rest.split_at_checked(count)?;
        rest = tail;
        let length = digits.iter().fold(0_usize, |value, digit| (value << 8) | usize::from(*digit));
        if digits.first() == Some(&0) || length < 0x80 {
            return None;
        }
        length
    };
    let (content, tail) = rest.split_at_checked(length)?;
    let whole = bytes.get(..bytes.len() - tail.len())?;
    Some((Element { tag, content, whole }, tail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_read_as_they_are_written() {
        for length in [0, 1, 127, 128, 255, 256, 70_000] {
            let content = vec![9; length];
            let bytes = write(OCTET_STRING, &content);
            assert_eq!(single(&bytes, OCTET_STRING).unwrap().content, content);
            assert_eq!(single(&bytes, SEQUENCE), None);
        }
    }

    #[test]
    fn other_encodings_of_the_same_value_are_refused() {
        for bytes in [
            &[0x04, 0x81, 0x01, 0x00][..],
            &[0x04, 0x82, 0x00, 0x80],
            &[0x04, 0x80, 0, 0],
            &[0x1f, 0x01, 0x00],
            &[0x04, 0x02, 0x00],
        ] {
            assert_eq!(Reader::new(bytes).next(), None, "{bytes:?}");
        }
    }
}
