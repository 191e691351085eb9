//! Effective time: as of when the rules are applied.

use jiff::{Timestamp, civil::Date, tz::Offset};

/// How far in the past an effective time may lie without being asked for twice:
/// the time between typing a command and running it, as in Conforma.
const TOLERANCE_SECONDS: i64 = 2;

/// As of when the rules are applied.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EffectiveTime {
    /// The time at which the build of a component ended, by its attestation;
    /// `now` for a component without one.
    Attestation {
        /// The time of the run.
        now: Timestamp,
    },
    /// This instant.
    Instant(Timestamp),
}

/// Why a text is not an effective time.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TimeError {
    /// None of the four forms.
    #[error("invalid policy time argument: {text:?} is neither `now`, `attestation`, an RFC 3339 time nor a date (YYYY-MM-DD)")]
    Malformed {
        /// The text.
        text: String,
    },
    /// A past time that was not asked for openly.
    #[error("effective time {time} is in the past; use --allow-past-effective-time to override")]
    Past {
        /// The time.
        time: Timestamp,
    },
}

impl EffectiveTime {
    /// Parses the value of `--effective-time` (step V13.3): `now`,
    /// `attestation`, an RFC 3339 time, or a date, which means midnight UTC.
    ///
    /// # Errors
    ///
    /// Returns a [`TimeError`] for any other text, and for a time more than two
    /// seconds before `now` unless `allow_past`.
    pub fn parse(text: &str, now: Timestamp, allow_past: bool) -> Result<Self, TimeError> {
        match text.to_ascii_lowercase().as_str() {
            "now" => return Ok(Self::Instant(now)),
            "attestation" => return Ok(Self::Attestation { now }),
            _ => {}
        }
        let malformed = || TimeError::Malformed { text: text.to_owned() };
        let time = rfc3339(text).or_else(|| midnight(text)).ok_or_else(malformed)?;
        if !allow_past && now.as_second().saturating_sub(time.as_second()) > TOLERANCE_SECONDS {
            return Err(TimeError::Past { time });
        }
        Ok(Self::Instant(time))
    }

    /// The instant that stands in the report.
    pub fn instant(&self) -> Timestamp {
        match self {
            Self::Attestation { now } => *now,
            Self::Instant(time) => *time,
        }
    }
}

/// Parses an RFC 3339 time strictly: `T`, seconds and an offset are required, as
/// in Go and in JSON Schema's `date-time`.
pub fn rfc3339(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    let shape = |at: usize, want: u8| bytes.get(at) == Some(&want);
    let dated = shape(4, b'-') && shape(7, b'-') && shape(10, b'T') && shape(13, b':') && shape(16, b':');
    // Behind the seconds: an optional fraction, then `Z` or ±hh:mm.
    let rest = text.get(19..)?;
    let digits = rest.strip_prefix('.').map_or(0, |fraction| fraction.bytes().take_while(u8::is_ascii_digit).count());
    let offset = rest.get(if digits > 0 { digits + 1 } else { 0 }..)?;
    let zoned = offset == "Z" || (offset.len() == 6 && offset.starts_with(['+', '-']) && offset.as_bytes().get(3) == Some(&b':'));
    (dated && zoned).then(|| text.parse().ok()).flatten()
}

/// Midnight UTC of a date `YYYY-MM-DD`.
fn midnight(text: &str) -> Option<Timestamp> {
    if text.len() != 10 {
        return None;
    }
    let date: Date = text.parse().ok()?;
    Offset::UTC.to_timestamp(date.at(0, 0, 0, 0)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_forms_are_understood() {
        let now: Timestamp = "2026-03-01T12:00:00.5Z".parse().unwrap();
        for (text, want) in [
            ("now", "2026-03-01T12:00:00.5Z"),
            ("NOW", "2026-03-01T12:00:00.5Z"),
            ("2027-01-02T03:04:05Z", "2027-01-02T03:04:05Z"),
            ("2027-01-02T03:04:05.678901234Z", "2027-01-02T03:04:05.678901234Z"),
            ("2027-01-02T03:04:05+02:00", "2027-01-02T01:04:05Z"),
            ("2027-01-02", "2027-01-02T00:00:00Z"),
            ("2026-03-01T11:59:58Z", "2026-03-01T11:59:58Z"),
        ] {
            assert_eq!(EffectiveTime::parse(text, now, false).unwrap().instant().to_string(), want, "{text}");
        }
        assert_eq!(EffectiveTime::parse("Attestation", now, false), Ok(EffectiveTime::Attestation { now }));
    }

    #[test]
    fn other_texts_are_refused() {
        let now: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        for text in [
            "",
            "tomorrow",
            "2027-01-02T03:04Z",
            "2027-01-02 03:04:05Z",
            "2027-01-02T03:04:05",
            "2027-01-02t03:04:05z",
            "2027-13-02",
            "20270102",
            "2027-1-2",
            "2027-01-02T03:04:05.Z",
            "2027-01-02T25:04:05Z",
        ] {
            assert!(matches!(EffectiveTime::parse(text, now, true), Err(TimeError::Malformed { .. })), "{text}");
        }
    }

    #[test]
    fn the_past_must_be_asked_for() {
        let now: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        let error = EffectiveTime::parse("2025-01-01", now, false).unwrap_err();
        assert_eq!(
            error.to_string(),
            "effective time 2025-01-01T00:00:00Z is in the past; use --allow-past-effective-time to override"
        );
        assert_eq!(EffectiveTime::parse("2025-01-01", now, true).unwrap().instant().to_string(), "2025-01-01T00:00:00Z");
    }
}
