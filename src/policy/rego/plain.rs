//! What a plain scalar means to go-yaml v3, which reads annotations.

use jiff::{
    Timestamp,
    civil::{Date, DateTime, Time},
    tz::{Offset, TimeZone},
};
use serde_json::{Number, Value as Json};

/// Resolves a plain scalar as YAML 1.2 does, with the timestamps, octal numbers
/// and merge of YAML 1.1 that version 3 keeps; times are written as Go writes
/// them in JSON.
pub(super) fn version_3(text: &str) -> Json {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Json::Null,
        "true" | "True" | "TRUE" => return true.into(),
        "false" | "False" | "FALSE" => return false.into(),
        _ => {}
    }
    if !text.starts_with(['+', '-', '.', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9']) {
        return text.into();
    }
    if let Some(time) = timestamp(text) {
        return time.into();
    }
    integer(&text.replace('_', "")).or_else(|| float(&text.replace('_', ""))).unwrap_or_else(|| text.into())
}

fn integer(text: &str) -> Option<Json> {
    let (sign, digits) = match text.strip_prefix(['-', '+']) {
        Some(digits) => (if text.starts_with('-') { -1 } else { 1 }, digits),
        None => (1, text),
    };
    let (radix, digits) = match digits.get(..2) {
        Some("0x" | "0X") => (16, &digits[2..]),
        Some("0o" | "0O") => (8, &digits[2..]),
        Some("0b" | "0B") => (2, &digits[2..]),
        _ if digits.len() > 1 && digits.starts_with('0') => (8, &digits[1..]),
        _ => (10, digits),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let value = i128::from(u64::from_str_radix(digits, radix).ok()?) * sign;
    match (i64::try_from(value), u64::try_from(value)) {
        (Ok(value), _) => Some(value.into()),
        (_, Ok(value)) => Some(value.into()),
        _ => None,
    }
}

fn float(text: &str) -> Option<Json> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let shaped = unsigned.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'));
    let digits = unsigned.bytes().any(|b| b.is_ascii_digit()) && unsigned.starts_with(|c: char| c == '.' || c.is_ascii_digit());
    if !shaped || !digits {
        return None;
    }
    Number::from_f64(text.parse().ok()?).map(Json::Number)
}

/// The layouts of go-yaml: `2006-1-2T15:4:5.999999999Z07:00`, the same with `t`,
/// `2006-1-2 15:4:5.999999999` and `2006-1-2`.
fn timestamp(text: &str) -> Option<String> {
    let (year, rest) = text.split_once('-')?;
    if year.len() != 4 || !year.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (month, rest) = rest.split_once('-')?;
    let (day, rest) = rest.split_at(rest.bytes().take_while(u8::is_ascii_digit).count());
    let date = Date::new(number(year, 4)?, i8::try_from(number(month, 2)?).ok()?, i8::try_from(number(day, 2)?).ok()?).ok()?;
    if rest.is_empty() {
        return Some(format!("{date}T00:00:00Z"));
    }
    let zoned = rest.starts_with(['T', 't']);
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let (time, zone) = split_zone(rest);
    let (time, nanosecond) = clock(time)?;
    let (hour, minute, second) = time;
    let time = Time::new(hour, minute, second, nanosecond).ok()?;
    let civil = DateTime::from_parts(date, time);
    match (zoned, zone) {
        (false, "") => Some(written(civil, Offset::UTC)),
        (true, "Z") => Some(written(civil, Offset::UTC)),
        (true, zone) => Some(written(civil, offset(zone)?)),
        (false, _) => None,
    }
}

fn number(text: &str, most: usize) -> Option<i16> {
    let digits = !text.is_empty() && text.len() <= most && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

fn split_zone(text: &str) -> (&str, &str) {
    match text.find(['Z', '+', '-']) {
        Some(at) => text.split_at(at),
        None => (text, ""),
    }
}

type Clock = ((i8, i8, i8), i32);

fn clock(text: &str) -> Option<Clock> {
    let mut parts = text.splitn(3, ':');
    let mut small = || i8::try_from(number(parts.next()?.split('.').next()?, 2)?).ok();
    let time = (small()?, small()?, small()?);
    let fraction = text.split_once('.').map_or("", |(_, fraction)| fraction);
    if !fraction.bytes().all(|b| b.is_ascii_digit()) || fraction.len() > 9 {
        return None;
    }
    Some((time, format!("{fraction:0<9}").parse().ok()?))
}

fn offset(text: &str) -> Option<Offset> {
    let (hours, minutes) = text.get(1..)?.split_once(':')?;
    if hours.len() != 2 || minutes.len() != 2 {
        return None;
    }
    let seconds = i32::from(number(hours, 2)?) * 3600 + i32::from(number(minutes, 2)?) * 60;
    Offset::from_seconds(if text.starts_with('-') { -seconds } else { seconds }).ok()
}

/// RFC 3339 with as many digits of the fraction as needed.
fn written(civil: DateTime, offset: Offset) -> String {
    if offset == Offset::UTC {
        return format!("{civil}Z");
    }
    let zoned: Option<Timestamp> = offset.to_timestamp(civil).ok();
    zoned.map_or_else(String::new, |time| {
        let zoned = time.to_zoned(TimeZone::fixed(offset));
        format!("{}{}", zoned.datetime(), zoned.strftime("%:z"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_are_what_version_3_takes_them_for() {
        for (text, want) in [
            ("yes", Json::from("yes")),
            ("True", true.into()),
            ("~", Json::Null),
            ("0123", 83.into()),
            ("0o17", 15.into()),
            ("12e2", 1200.0.into()),
            ("1.5", 1.5.into()),
            ("1.2.3", "1.2.3".into()),
            ("2025-07-01", "2025-07-01T00:00:00Z".into()),
            ("2025-5-01T00:00:00Z", "2025-05-01T00:00:00Z".into()),
            ("2025-05-01T01:02:03.5+02:00", "2025-05-01T01:02:03.5+02:00".into()),
            ("2025-05-01 01:02:03", "2025-05-01T01:02:03Z".into()),
            ("2025-13-01", "2025-13-01".into()),
            ("2025-05-01T01:02:03", "2025-05-01T01:02:03".into()),
            ("-", "-".into()),
            ("1-2", "1-2".into()),
        ] {
            assert_eq!(version_3(text), want, "{text}");
        }
    }
}
