//! The formats that gojsonschema knows; any other holds for every text.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::super::{regex, time};

/// Whether a text has a format.
pub(super) fn holds(format: &str, text: &str) -> bool {
    match format {
        "date" => time::has_layout("2006-01-02", text),
        "time" => ["15:04:05", "15:04:05Z07:00"].iter().any(|layout| time::has_layout(layout, text)),
        "date-time" => {
            let layouts = ["15:04:05", "15:04:05Z07:00", "2006-01-02", "2006-01-02T15:04:05Z07:00"];
            layouts.iter().any(|layout| time::has_layout(layout, text))
        }
        "hostname" => hostname(text),
        "email" | "idn-email" => email(text),
        "ipv4" => text.parse::<Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<Ipv6Addr>().is_ok(),
        "uri" | "iri" => url(text).is_some_and(|scheme| !scheme.is_empty()) && !text.contains('\\'),
        "uri-reference" | "iri-reference" => url(text).is_some() && !text.contains('\\'),
        "uri-template" => url(text).is_some() && !text.contains('\\') && balanced(text),
        "uuid" => uuid(text),
        "regex" => !text.is_empty() && regex::compile(text).is_ok(),
        "json-pointer" => text.is_empty() || text.starts_with('/'),
        "relative-json-pointer" => text.starts_with(|c: char| c.is_ascii_digit()),
        _ => true,
    }
}

fn hostname(text: &str) -> bool {
    let label = |label: &str| {
        let inner = label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        !label.is_empty() && label.len() <= 63 && inner && !label.starts_with('-') && !label.ends_with('-')
    };
    text.len() < 256 && text.split('.').all(label)
}

/// An address with or without a name before it.
fn email(text: &str) -> bool {
    let address = match text.split_once('<') {
        Some((_, address)) => match address.strip_suffix('>') {
            Some(address) => address,
            None => return false,
        },
        None => text,
    };
    match address.rsplit_once('@') {
        Some((local, domain)) => {
            let plain = |part: &str| !part.is_empty() && !part.contains([' ', '<', '>', '(', ')', ',', ';', ':']);
            plain(local) && plain(domain) && !local.starts_with('.') && !local.ends_with('.') && !local.contains("..")
        }
        None => false,
    }
}

/// As Go's `url.Parse`; returns the scheme.
fn url(text: &str) -> Option<&str> {
    if text.bytes().any(|b| b < b' ' || b == 0x7f) {
        return None;
    }
    let (text, fragment) = text.split_once('#').unwrap_or((text, ""));
    let colon = text.find(':').filter(|at| !text[..*at].contains(['/', '?', '#']));
    let scheme = match colon {
        Some(0) => return None,
        Some(at)
            if text.starts_with(|c: char| c.is_ascii_alphabetic())
                && text[..at].bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.')) =>
        {
            &text[..at]
        }
        Some(_) => return None,
        None => "",
    };
    let rest = if scheme.is_empty() { text } else { &text[scheme.len() + 1..] };
    let path = rest.split_once('?').map_or(rest, |(path, _)| path);
    if let Some(authority) = path.strip_prefix("//") {
        let authority = authority.split('/').next().unwrap_or_default();
        if authority.contains([' ', '<', '>', '"', '`', '{', '}']) {
            return None;
        }
    }
    (escapes(path) && escapes(fragment)).then_some(scheme)
}

fn escapes(text: &str) -> bool {
    text.match_indices('%')
        .all(|(at, _)| text.get(at + 1..at + 3).is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit())))
}

fn balanced(text: &str) -> bool {
    let mut open = false;
    for c in text.chars() {
        match c {
            '{' if open => return false,
            '}' if !open => return false,
            '{' => open = true,
            '}' => open = false,
            _ => {}
        }
    }
    !open
}

fn uuid(text: &str) -> bool {
    let text = text.strip_prefix("urn:uuid:").unwrap_or(text);
    text.len() == 36
        && text.bytes().enumerate().all(|(at, b)| match at {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_hexdigit(),
        })
}
