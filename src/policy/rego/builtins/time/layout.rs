//! Go's layouts: a time is written as the reference time `Mon Jan 2 15:04:05
//! MST 2006` would be.

use jiff::{
    Timestamp,
    civil::{Date, DateTime, Time},
    tz::Offset,
};

pub(super) const RFC3339: &str = "2006-01-02T15:04:05Z07:00";
pub(super) const RFC3339_NANO: &str = "2006-01-02T15:04:05.999999999Z07:00";

const MONTHS: [&str; 12] =
    ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];
const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// The layout that OPA knows under a name.
pub(super) fn named(layout: &str) -> &str {
    match layout {
        "ANSIC" => "Mon Jan _2 15:04:05 2006",
        "UnixDate" => "Mon Jan _2 15:04:05 MST 2006",
        "RubyDate" => "Mon Jan 02 15:04:05 -0700 2006",
        "RFC822" => "02 Jan 06 15:04 MST",
        "RFC822Z" => "02 Jan 06 15:04 -0700",
        "RFC850" => "Monday, 02-Jan-06 15:04:05 MST",
        "RFC1123" => "Mon, 02 Jan 2006 15:04:05 MST",
        "RFC1123Z" => "Mon, 02 Jan 2006 15:04:05 -0700",
        "RFC3339" => RFC3339,
        "RFC3339Nano" => RFC3339_NANO,
        other => other,
    }
}

/// A part of a layout.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Part<'a> {
    Literal(&'a str),
    LongYear,
    Year,
    LongMonth,
    Month,
    ZeroMonth,
    NumMonth,
    LongWeekday,
    Weekday,
    Day,
    SpaceDay,
    ZeroDay,
    Hour,
    Hour12,
    ZeroHour12,
    Minute,
    ZeroMinute,
    Second,
    ZeroSecond,
    /// A separator, a number of digits, and whether zeros at the end stay.
    Fraction(char, usize, bool),
    Pm(bool),
    ZoneName,
    /// `Z` for UTC, a colon, seconds, minutes.
    Zone {
        z: bool,
        colon: bool,
        minutes: bool,
    },
}

const FIXED: &[(&str, Part<'static>)] = &[
    ("January", Part::LongMonth),
    ("Jan", Part::Month),
    ("Monday", Part::LongWeekday),
    ("Mon", Part::Weekday),
    ("MST", Part::ZoneName),
    ("2006", Part::LongYear),
    ("01", Part::ZeroMonth),
    ("02", Part::ZeroDay),
    ("03", Part::ZeroHour12),
    ("04", Part::ZeroMinute),
    ("05", Part::ZeroSecond),
    ("06", Part::Year),
    ("15", Part::Hour),
    ("_2", Part::SpaceDay),
    ("1", Part::NumMonth),
    ("2", Part::Day),
    ("3", Part::Hour12),
    ("4", Part::Minute),
    ("5", Part::Second),
    ("PM", Part::Pm(true)),
    ("pm", Part::Pm(false)),
    ("Z07:00", Part::Zone { z: true, colon: true, minutes: true }),
    ("Z0700", Part::Zone { z: true, colon: false, minutes: true }),
    ("Z07", Part::Zone { z: true, colon: false, minutes: false }),
    ("-07:00", Part::Zone { z: false, colon: true, minutes: true }),
    ("-0700", Part::Zone { z: false, colon: false, minutes: true }),
    ("-07", Part::Zone { z: false, colon: false, minutes: false }),
];

fn parts(layout: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let (mut from, mut at) = (0, 0);
    while at < layout.len() {
        let rest = &layout[at..];
        let found = match fraction(rest) {
            Some(found) => Some(found),
            // `_2006` is a literal underscore and a year.
            None if rest.starts_with("_2006") => None,
            None => FIXED.iter().find(|(text, _)| rest.starts_with(text)).map(|(text, part)| (text.len(), *part)),
        };
        match found {
            Some((length, part)) => {
                if from < at {
                    parts.push(Part::Literal(&layout[from..at]));
                }
                parts.push(part);
                at += length;
                from = at;
            }
            None => at += rest.chars().next().map_or(1, char::len_utf8),
        }
    }
    if from < at {
        parts.push(Part::Literal(&layout[from..]));
    }
    parts
}

/// `.000`, `,999`: digits up to the end or something that is no digit.
fn fraction(rest: &str) -> Option<(usize, Part<'static>)> {
    let separator = rest.chars().next().filter(|c| matches!(c, '.' | ','))?;
    let digit = rest.as_bytes().get(1).copied().filter(|b| matches!(b, b'0' | b'9'))?;
    let digits = rest.bytes().skip(1).take_while(|b| *b == digit).count();
    let ends = rest.as_bytes().get(1 + digits).is_none_or(|b| !b.is_ascii_digit());
    ends.then_some((1 + digits, Part::Fraction(separator, digits, digit == b'0')))
}

/// Parses `text`; returns nanoseconds since 1970.
pub(super) fn parse(layout: &str, text: &str) -> Option<i128> {
    let mut reader = Reader { rest: text, ..Reader::default() };
    let parts = parts(layout);
    for (at, part) in parts.iter().enumerate() {
        reader.part(*part, parts.get(at + 1))?;
    }
    reader.rest.is_empty().then(|| reader.time()).flatten()
}

#[derive(Default)]
struct Reader<'a> {
    rest: &'a str,
    year: Option<i16>,
    month: Option<i8>,
    day: Option<i8>,
    hour: i8,
    minute: i8,
    second: i8,
    nanosecond: i32,
    pm: Option<bool>,
    offset: Option<Offset>,
}

impl<'a> Reader<'a> {
    fn part(&mut self, part: Part<'_>, next: Option<&Part<'_>>) -> Option<()> {
        match part {
            Part::Literal(text) => self.rest = self.rest.strip_prefix(text)?,
            Part::LongYear => self.year = Some(self.digits(4, 4)?),
            Part::Year => {
                let year = self.digits(2, 2)?;
                self.year = Some(if year >= 69 { year + 1900 } else { year + 2000 });
            }
            Part::LongMonth => self.month = Some(self.name(&MONTHS, None)?),
            Part::Month => self.month = Some(self.name(&MONTHS, Some(3))?),
            Part::ZeroMonth => self.month = Some(self.small(2, 2)?),
            Part::NumMonth => self.month = Some(self.small(1, 2)?),
            Part::LongWeekday => drop(self.name(&DAYS, None)?),
            Part::Weekday => drop(self.name(&DAYS, Some(3))?),
            Part::SpaceDay => {
                self.rest = self.rest.strip_prefix(' ').unwrap_or(self.rest);
                self.day = Some(self.small(1, 2)?);
            }
            Part::Day => self.day = Some(self.small(1, 2)?),
            Part::ZeroDay => self.day = Some(self.small(2, 2)?),
            Part::Hour => self.hour = self.small(2, 2)?,
            Part::Hour12 => self.hour = self.small(1, 2).filter(|hour| *hour <= 12)?,
            Part::ZeroHour12 => self.hour = self.small(2, 2).filter(|hour| *hour <= 12)?,
            Part::Minute => self.minute = self.small(1, 2)?,
            Part::ZeroMinute => self.minute = self.small(2, 2)?,
            Part::Second | Part::ZeroSecond => {
                self.second = self.small(if part == Part::Second { 1 } else { 2 }, 2)?;
                // A fraction is accepted even where the layout has none.
                if !matches!(next, Some(Part::Fraction(..))) {
                    self.fraction(None)?;
                }
            }
            Part::Fraction(_, digits, fixed) => self.fraction(fixed.then_some(digits))?,
            Part::Pm(upper) => {
                let (am, pm) = if upper { ("AM", "PM") } else { ("am", "pm") };
                self.pm = Some(self.rest.starts_with(pm));
                self.rest = self.rest.strip_prefix(pm).or_else(|| self.rest.strip_prefix(am))?;
            }
            Part::ZoneName => self.zone_name()?,
            Part::Zone { z, colon, minutes } => self.zone(z, colon, minutes)?,
        }
        Some(())
    }

    fn digits(&mut self, least: usize, most: usize) -> Option<i16> {
        let count = self.rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
        if count < least {
            return None;
        }
        let (digits, rest) = self.rest.split_at(count);
        self.rest = rest;
        digits.parse().ok()
    }

    fn small(&mut self, least: usize, most: usize) -> Option<i8> {
        i8::try_from(self.digits(least, most)?).ok()
    }

    /// A name or its first letters, in any case; returns its number from 1.
    fn name(&mut self, names: &[&str], length: Option<usize>) -> Option<i8> {
        for (at, name) in names.iter().enumerate() {
            let wanted = &name[..length.unwrap_or(name.len())];
            if self.rest.get(..wanted.len()).is_some_and(|start| start.eq_ignore_ascii_case(wanted)) {
                self.rest = &self.rest[wanted.len()..];
                return i8::try_from(at + 1).ok();
            }
        }
        None
    }

    fn fraction(&mut self, fixed: Option<usize>) -> Option<()> {
        let Some(digits) = self.rest.strip_prefix(['.', ',']) else {
            return fixed.is_none().then_some(());
        };
        let count = digits.bytes().take_while(u8::is_ascii_digit).count();
        let wanted = fixed.unwrap_or(count);
        if count == 0 {
            return fixed.is_none().then_some(());
        }
        if count < wanted {
            return None;
        }
        let (digits, rest) = digits.split_at(wanted);
        self.nanosecond = format!("{:0<9}", &digits[..wanted.min(9)]).parse().ok()?;
        self.rest = rest;
        Some(())
    }

    /// An abbreviation names no offset; only UTC and GMT are known.
    fn zone_name(&mut self) -> Option<()> {
        let count = self.rest.bytes().take_while(u8::is_ascii_uppercase).count();
        if !(3..=5).contains(&count) {
            return None;
        }
        self.rest = &self.rest[count..];
        self.offset = Some(Offset::UTC);
        Some(())
    }

    fn zone(&mut self, z: bool, colon: bool, minutes: bool) -> Option<()> {
        if z && let Some(rest) = self.rest.strip_prefix('Z') {
            self.rest = rest;
            self.offset = Some(Offset::UTC);
            return Some(());
        }
        let negative = self.rest.starts_with('-');
        self.rest = self.rest.strip_prefix(['+', '-'])?;
        let hours = i32::from(self.small(2, 2)?);
        if colon {
            self.rest = self.rest.strip_prefix(':')?;
        }
        let minutes = if minutes { i32::from(self.small(2, 2)?) } else { 0 };
        if hours > 24 || minutes > 60 {
            return None;
        }
        let seconds = hours * 3600 + minutes * 60;
        self.offset = Offset::from_seconds(if negative { -seconds } else { seconds }).ok();
        self.offset.map(|_| ())
    }

    fn time(&self) -> Option<i128> {
        let hour = match self.pm {
            Some(true) if self.hour < 12 => self.hour + 12,
            Some(false) if self.hour == 12 => 0,
            _ => self.hour,
        };
        let date = Date::new(self.year.unwrap_or(0), self.month.unwrap_or(1), self.day.unwrap_or(1)).ok()?;
        let time = Time::new(hour, self.minute, self.second, self.nanosecond).ok()?;
        let offset = self.offset.unwrap_or(Offset::UTC);
        offset.to_timestamp(DateTime::from_parts(date, time)).ok().map(|time| time.as_nanosecond())
    }
}

/// Reads `+02:00`.
pub(super) fn offset(text: &str) -> Option<Offset> {
    let mut reader = Reader { rest: text, ..Reader::default() };
    reader.zone(true, true, true)?;
    reader.offset.filter(|_| reader.rest.is_empty())
}

/// Writes a time.
pub(super) fn format(layout: &str, time: Timestamp, offset: Offset, zone: &str) -> String {
    let time = offset.to_datetime(time);
    parts(layout).into_iter().map(|part| written(part, time, offset, zone)).collect()
}

fn written(part: Part<'_>, time: DateTime, offset: Offset, zone: &str) -> String {
    let month = usize::try_from(time.month() - 1).unwrap_or(0);
    let weekday = usize::try_from(time.weekday().to_monday_zero_offset()).unwrap_or(0);
    let hour12 = if time.hour() % 12 == 0 { 12 } else { time.hour() % 12 };
    match part {
        Part::Literal(text) => text.to_owned(),
        Part::LongYear => format!("{:04}", time.year()),
        Part::Year => format!("{:02}", time.year().rem_euclid(100)),
        Part::LongMonth => MONTHS[month].to_owned(),
        Part::Month => MONTHS[month][..3].to_owned(),
        Part::ZeroMonth => format!("{:02}", time.month()),
        Part::NumMonth => time.month().to_string(),
        Part::LongWeekday => DAYS[weekday].to_owned(),
        Part::Weekday => DAYS[weekday][..3].to_owned(),
        Part::Day => time.day().to_string(),
        Part::SpaceDay => format!("{:2}", time.day()),
        Part::ZeroDay => format!("{:02}", time.day()),
        Part::Hour => format!("{:02}", time.hour()),
        Part::Hour12 => hour12.to_string(),
        Part::ZeroHour12 => format!("{hour12:02}"),
        Part::Minute => time.minute().to_string(),
        Part::ZeroMinute => format!("{:02}", time.minute()),
        Part::Second => time.second().to_string(),
        Part::ZeroSecond => format!("{:02}", time.second()),
        Part::Fraction(separator, digits, fixed) => written_fraction(time, separator, digits, fixed),
        Part::Pm(true) => (if time.hour() < 12 { "AM" } else { "PM" }).to_owned(),
        Part::Pm(false) => (if time.hour() < 12 { "am" } else { "pm" }).to_owned(),
        Part::ZoneName => zone.to_owned(),
        Part::Zone { z, colon, minutes } => written_zone(offset, z, colon, minutes),
    }
}

fn written_fraction(time: DateTime, separator: char, digits: usize, fixed: bool) -> String {
    let nanoseconds = format!("{:09}", time.subsec_nanosecond());
    let shown = &nanoseconds[..digits.min(9)];
    let shown = if fixed { shown } else { shown.trim_end_matches('0') };
    if shown.is_empty() { String::new() } else { format!("{separator}{shown}") }
}

fn written_zone(offset: Offset, z: bool, colon: bool, minutes: bool) -> String {
    let seconds = offset.seconds();
    if z && seconds == 0 {
        return "Z".to_owned();
    }
    let sign = if seconds < 0 { '-' } else { '+' };
    let total = seconds.abs() / 60;
    let separator = if colon { ":" } else { "" };
    let rest = if minutes { format!("{separator}{:02}", total % 60) } else { String::new() };
    format!("{sign}{:02}{rest}", total / 60)
}
