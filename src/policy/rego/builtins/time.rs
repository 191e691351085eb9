//! Times as Go reads and writes them: strict layouts, and dates that run over
//! into the next month.

mod layout;

use jiff::{Timestamp, tz::Offset};
use regorus::Value;

use super::{Answer, Session, engine, undefined};

const SECOND: i128 = 1_000_000_000;
const DAY: i128 = 86_400 * SECOND;

/// The time of the run: a rule has no other clock.
pub(super) fn now_ns(_: &[Value], session: &Session) -> Answer {
    nanoseconds(session.now.as_nanosecond())
}

pub(super) fn parse_ns(args: &[Value]) -> Answer {
    let [Value::String(layout), Value::String(text)] = args else { return undefined("operands must be strings") };
    parsed(layout::named(layout), text)
}

pub(super) fn parse_rfc3339_ns(args: &[Value]) -> Answer {
    let [Value::String(text)] = args else { return undefined("operand must be a string") };
    parsed(layout::RFC3339, text)
}

/// Whether a text is a time in this layout.
pub(super) fn has_layout(layout: &str, text: &str) -> bool {
    layout::parse(layout, text).is_some()
}

fn parsed(layout: &str, text: &str) -> Answer {
    match layout::parse(layout, text) {
        Some(time) => nanoseconds(time),
        None => undefined(format!("parsing time {text:?} as {layout:?}: cannot parse")),
    }
}

/// OPA has times that fit into 64 bits only.
fn nanoseconds(time: i128) -> Answer {
    i64::try_from(time).map(Value::from).or_else(|_| undefined("time outside of valid range"))
}

pub(super) fn add_date(args: &[Value]) -> Answer {
    let ints: Option<Vec<i128>> = args.iter().map(|arg| arg.as_number().ok()?.as_i128()).collect();
    let Some([time, years, months, days]) = ints.as_deref() else { return undefined("operands must be integers") };
    let (date, clock) = (time.div_euclid(DAY), time.rem_euclid(DAY));
    let Some((year, month, day)) = civil(date) else { return undefined("time outside of valid range") };
    let small = |n: &i128| n.unsigned_abs() < 1_000_000;
    if !small(years) || !small(months) || !small(days) {
        return undefined("time outside of valid range");
    }
    let months = year * 12 + (month - 1) + years * 12 + months;
    let first = days_of(months.div_euclid(12), months.rem_euclid(12) + 1);
    nanoseconds((first + day - 1 + days) * DAY + clock)
}

/// `time.format(ns)`, `([ns, zone])` or `([ns, zone, layout])`.
pub(super) fn format(args: &[Value]) -> Answer {
    let (time, zone, layout) = match args {
        [Value::Array(parts)] => match parts.as_slice() {
            [time, Value::String(zone)] => (time, &**zone, layout::RFC3339_NANO),
            [time, Value::String(zone), Value::String(layout)] => (time, &**zone, layout::named(layout)),
            _ => return undefined("operand must be an array of time, zone and layout"),
        },
        [time] => (time, "UTC", layout::RFC3339_NANO),
        _ => return undefined("one operand"),
    };
    let Some(ns) = time.as_number().ok().and_then(|time| time.as_i64()) else { return undefined("time must be an integer") };
    if !matches!(zone, "" | "UTC") {
        return in_zone(ns, zone, layout);
    }
    match Timestamp::from_nanosecond(i128::from(ns)) {
        Ok(time) => Ok(Value::from(layout::format(layout, time, Offset::UTC, "UTC"))),
        Err(e) => undefined(e.to_string()),
    }
}

/// The engine knows the time zones; its text tells their offset.
fn in_zone(ns: i64, zone: &str, layout: &str) -> Answer {
    let args = [Value::from(vec![Value::from(ns), Value::from(zone)])];
    let Value::String(text) = engine("time.format", &args)? else { return undefined("no such zone") };
    let offset = text.len().checked_sub(6).and_then(|at| text.get(at..)).and_then(layout::offset);
    match (offset, Timestamp::from_nanosecond(i128::from(ns))) {
        (Some(offset), Ok(time)) => Ok(Value::from(layout::format(layout, time, offset, zone))),
        _ => undefined("time outside of valid range"),
    }
}

/// Year, month and day of a number of days since 1970.
fn civil(days: i128) -> Option<(i128, i128, i128)> {
    let time = Timestamp::from_second(i64::try_from(days.checked_mul(86_400)?).ok()?).ok()?;
    let date = Offset::UTC.to_datetime(time).date();
    Some((date.year().into(), date.month().into(), date.day().into()))
}

/// Days from 1970 to the first day of a month, in the proleptic Gregorian
/// calendar.
fn days_of(year: i128, month: i128) -> i128 {
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + (153 * month + 2) / 5 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rfc3339(text: &str) -> Option<i64> {
        parse_rfc3339_ns(&[Value::from(text)]).ok().and_then(|ns| ns.as_i64().ok())
    }

    /// Expectations are Go's.
    #[test]
    fn reading_is_strict() {
        assert_eq!(rfc3339("2024-05-06T07:08:09Z"), Some(1_714_979_289_000_000_000));
        assert_eq!(rfc3339("2024-05-06T07:08:09.5+02:00"), Some(1_714_972_089_500_000_000));
        for text in [
            "2024-5-6T07:08:09Z",
            "2024-05-06 07:08:09Z",
            "2024-05-06t07:08:09z",
            "2024-05-06T07:08:60Z",
            "2024-05-06T07:08:09Z x",
            "2024-02-30T07:08:09Z",
            "2024-05-06T07:08:09",
            "2024-05-06",
        ] {
            assert_eq!(rfc3339(text), None, "{text}");
        }
        for (layout, text, want) in [
            ("2006-01-02", "2024-05-06", Some(1_714_953_600_000_000_000)),
            ("2006-01-02", "2024-5-6", None),
            ("2006-1-2", "2024-5-6", Some(1_714_953_600_000_000_000)),
            ("Jan _2 15:04:05 2006", "May  6 07:08:09 2024", Some(1_714_979_289_000_000_000)),
            ("2006-01-02T15:04:05Z", "2024-05-06T07:08:09Z", Some(1_714_979_289_000_000_000)),
            ("2006-01-02T15:04:05Z07:00", "2024-05-06T07:08:09-01:00", Some(1_714_982_889_000_000_000)),
            ("RFC1123Z", "Mon, 06 May 2024 07:08:09 +0000", Some(1_714_979_289_000_000_000)),
            ("02 Jan 06 03:04 PM", "06 May 24 07:08 PM", Some(1_715_022_480_000_000_000)),
        ] {
            let got = parse_ns(&[Value::from(layout), Value::from(text)]).ok().and_then(|ns| ns.as_i64().ok());
            assert_eq!(got, want, "{layout} {text}");
        }
    }

    #[test]
    fn dates_run_over_into_the_next_month() {
        let day = |text: &str| Value::from(rfc3339(&format!("{text}T12:00:00Z")).unwrap());
        for (from, (years, months, days), want) in [
            ("2024-01-31", (0, 1, 0), "2024-03-02"),
            ("2023-01-31", (0, 1, 0), "2023-03-03"),
            ("2024-02-29", (1, 0, 0), "2025-03-01"),
            ("2024-03-31", (0, -1, 0), "2024-03-02"),
            ("2024-12-31", (0, 0, 1), "2025-01-01"),
            ("2024-01-01", (0, -13, -1), "2022-11-30"),
        ] {
            let args = [day(from), Value::from(i64::from(years)), Value::from(i64::from(months)), Value::from(i64::from(days))];
            assert_eq!(add_date(&args).unwrap(), day(want), "{from}");
        }
    }

    #[test]
    fn writing_leaves_out_what_is_zero() {
        let ns = |text: &str| Value::from(rfc3339(text).unwrap());
        let array = |items: Vec<Value>| Value::from(items);
        for (arg, want) in [
            (ns("2024-05-06T07:08:09.12Z"), "2024-05-06T07:08:09.12Z"),
            (ns("2024-05-06T07:08:09Z"), "2024-05-06T07:08:09Z"),
            (array(vec![ns("2024-05-06T07:08:09Z"), "UTC".into(), "RFC1123".into()]), "Mon, 06 May 2024 07:08:09 UTC"),
            (array(vec![ns("2024-05-06T07:08:09Z"), "Europe/Berlin".into()]), "2024-05-06T09:08:09+02:00"),
            (array(vec![ns("2024-05-06T17:08:09Z"), "UTC".into(), "3:04PM 2/1/06 .000".into()]), "5:08PM 6/5/24 .000"),
        ] {
            assert_eq!(format(&[arg]).unwrap(), Value::from(want));
        }
    }
}
