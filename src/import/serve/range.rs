//! `Range` (RFC 9110, section 14) as far as clients of registries use it: one range
//! of bytes.

use std::ops::Range;

/// Which bytes are wanted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Wanted {
    /// No range, or one that a server may ignore: another unit, several, malformed.
    Whole,
    /// These.
    Part(Range<u64>),
    /// None of the bytes that there are.
    Nothing,
}

/// Reads the value of the header for a blob of `size` bytes.
pub(crate) fn wanted(header: &str, size: u64) -> Wanted {
    let Some((first, last)) = header.trim().strip_prefix("bytes=").and_then(|spec| spec.split_once('-')) else {
        return Wanted::Whole;
    };
    match (number(first), number(last)) {
        (Some(None), Some(Some(0))) => Wanted::Nothing,
        (Some(None), Some(Some(_))) if size == 0 => Wanted::Nothing,
        (Some(None), Some(Some(suffix))) => Wanted::Part(size.saturating_sub(suffix)..size),
        (Some(Some(first)), Some(last)) => {
            let end = last.map_or(size, |last| last.saturating_add(1).min(size));
            match last.is_some_and(|last| last < first) {
                true => Wanted::Whole,
                false if first >= size => Wanted::Nothing,
                false => Wanted::Part(first..end),
            }
        }
        _ => Wanted::Whole,
    }
}

/// `None` for what is no number, `Some(None)` for nothing at all. A number that no
/// file is long enough for is the largest.
fn number(text: &str) -> Option<Option<u64>> {
    match text.bytes().all(|byte| byte.is_ascii_digit()) {
        false => None,
        true if text.is_empty() => Some(None),
        true => Some(Some(text.parse().unwrap_or(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_is_read_as_rfc_9110_says() {
        for (header, want) in [
            ("bytes=0-", Wanted::Part(0..10)),
            ("bytes=3-", Wanted::Part(3..10)),
            ("bytes=3-3", Wanted::Part(3..4)),
            ("bytes=0-99", Wanted::Part(0..10)),
            ("bytes=9-18446744073709551615", Wanted::Part(9..10)),
            ("bytes=9-99999999999999999999999", Wanted::Part(9..10)),
            ("bytes=-4", Wanted::Part(6..10)),
            ("bytes=-99", Wanted::Part(0..10)),
            ("bytes=10-", Wanted::Nothing),
            ("bytes=99999999999999999999999-", Wanted::Nothing),
            ("bytes=-0", Wanted::Nothing),
            ("bytes=4-3", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
            ("bytes=+1-2", Wanted::Whole),
            ("bytes=1-2,4-5", Wanted::Whole),
            ("bytes 1-2", Wanted::Whole),
            ("items=1-2", Wanted::Whole),
            ("", Wanted::Whole),
        ] {
            assert_eq!(wanted(header, 10), want, "{header}");
        }
        assert_eq!(wanted("bytes=0-", 0), Wanted::Nothing);
        assert_eq!(wanted("bytes=-1", 0), Wanted::Nothing);
    }
}
