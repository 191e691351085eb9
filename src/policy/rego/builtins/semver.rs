//! `semver.*` as OPA 1.15 has them: three numbers, an optional pre-release and
//! optional metadata, with or without a `v` before them. Leading zeros are read as
//! numbers.

use std::cmp::Ordering;

use regorus::Value;

use super::{Answer, undefined};

struct Version<'a> {
    numbers: [i64; 3],
    pre_release: &'a str,
}

pub(super) fn is_valid(args: &[Value]) -> Answer {
    Ok(Value::Bool(matches!(args, [Value::String(text)] if parse(text).is_some())))
}

pub(super) fn compare(args: &[Value]) -> Answer {
    let [Value::String(left), Value::String(right)] = args else { return undefined("operands must be strings") };
    let (Some(a), Some(b)) = (parse(left), parse(right)) else {
        return undefined(format!("{left:?} or {right:?} is not a valid SemVer"));
    };
    let order = a.numbers.cmp(&b.numbers).then_with(|| pre_releases(a.pre_release, b.pre_release));
    Ok(Value::from(match order {
        Ordering::Less => -1i64,
        Ordering::Equal => 0,
        Ordering::Greater => 1,
    }))
}

fn parse(text: &str) -> Option<Version<'_>> {
    let text = text.strip_prefix('v').unwrap_or(text);
    let (rest, metadata) = text.split_once('+').unwrap_or((text, ""));
    let (rest, pre_release) = rest.split_once('-').unwrap_or((rest, ""));
    let identifier = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let known = |text: &str| text.is_empty() || text.split('.').all(identifier);
    if !known(metadata) || !known(pre_release) {
        return None;
    }
    let mut parts = rest.splitn(3, '.').map(|part| part.parse::<i64>().ok().filter(|_| part.bytes().all(|b| b.is_ascii_digit())));
    let numbers = [parts.next()??, parts.next()??, parts.next()??];
    Some(Version { numbers, pre_release })
}

fn pre_releases(a: &str, b: &str) -> Ordering {
    match (a.is_empty(), b.is_empty()) {
        (true, true) => return Ordering::Equal,
        (true, false) => return Ordering::Greater,
        (false, true) => return Ordering::Less,
        (false, false) => {}
    }
    let (mut a, mut b) = (a.split('.'), b.split('.'));
    loop {
        match (a.next(), b.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(a), Some(b)) => {
                let order = match (a.parse::<i64>(), b.parse::<i64>()) {
                    (Ok(a), Ok(b)) => a.cmp(&b),
                    (Ok(_), Err(_)) => Ordering::Less,
                    (Err(_), Ok(_)) => Ordering::Greater,
                    (Err(_), Err(_)) => a.cmp(b),
                };
                if order != Ordering::Equal {
                    return order;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_semver_has_it() {
        for (left, right, want) in [
            ("1.2.3", "1.2.3+x", Some(0)),
            ("1.2.3", "1.10.0", Some(-1)),
            ("1.0.0-alpha", "1.0.0", Some(-1)),
            ("1.0.0-alpha.1", "1.0.0-alpha.beta", Some(-1)),
            ("1.0.0-alpha.10", "1.0.0-alpha.9", Some(1)),
            ("01.2.3", "1.2.3", Some(0)),
            ("v1.2.3", "1.2.3", Some(0)),
            ("vv1.2.3", "1.2.3", None),
            ("1.2.3-a..b", "1.2.3", None),
            ("1.2", "1.2.3", None),
            ("1.2.3-a_b", "1.2.3", None),
        ] {
            let got = compare(&[Value::from(left), Value::from(right)]).ok();
            assert_eq!(got, want.map(|want: i64| Value::from(want)), "{left} {right}");
        }
    }
}
