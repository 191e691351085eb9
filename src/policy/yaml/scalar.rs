//! What a plain scalar means in YAML 1.1, as Conforma's parser (go-yaml v2)
//! resolves it.
//!
//! policy.yaml needs it to refuse a `y` where a text belongs; images.yaml keeps
//! the text and needs it for `--compat ec` only.

use serde_json::{Map, Number, Value as Json};

use super::{Node, Scalar, Value, YamlError};

/// The type of a scalar.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Resolved {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Float(f64),
    Text,
}

impl Resolved {
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "a boolean",
            Self::Int(_) | Self::Uint(_) | Self::Float(_) => "a number",
            Self::Text => "a text",
        }
    }
}

impl Scalar {
    pub(crate) fn resolve(&self) -> Resolved {
        if self.plain { resolve(&self.text) } else { Resolved::Text }
    }

    /// The text that Conforma makes of this scalar where a component's name is
    /// wanted: numbers and booleans are printed anew.
    pub(crate) fn as_conforma_text(&self) -> String {
        match self.resolve() {
            Resolved::Null => String::new(),
            Resolved::Bool(value) => value.to_string(),
            Resolved::Int(value) => value.to_string(),
            Resolved::Uint(value) => value.to_string(),
            Resolved::Float(value) => go_float(value),
            Resolved::Text => self.text.clone(),
        }
    }
}

impl Node {
    /// The value as JSON, keys sorted, as Conforma shows rule data.
    pub(crate) fn to_json(&self, field: &str) -> Result<Json, YamlError> {
        match &self.value {
            Value::Scalar(scalar) => json_scalar(scalar).ok_or_else(|| self.wrong_type(field, "a value that JSON has")),
            Value::Sequence(items) => items.iter().map(|item| item.to_json(field)).collect(),
            Value::Mapping(entries) => {
                let mut sorted: Vec<_> = entries.iter().collect();
                sorted.sort_by(|(a, _), (b, _)| a.text.cmp(&b.text));
                let members = sorted.into_iter().map(|(key, node)| Ok((key.text.clone(), node.to_json(field)?)));
                Ok(Json::Object(members.collect::<Result<Map<_, _>, YamlError>>()?))
            }
        }
    }
}

fn json_scalar(scalar: &Scalar) -> Option<Json> {
    Some(match scalar.resolve() {
        Resolved::Null => Json::Null,
        Resolved::Bool(value) => value.into(),
        Resolved::Int(value) => value.into(),
        Resolved::Uint(value) => value.into(),
        Resolved::Float(value) => Json::Number(json_float(value)?),
        Resolved::Text => scalar.text.as_str().into(),
    })
}

/// Whole numbers without a fraction, as Go writes them.
fn json_float(value: f64) -> Option<Number> {
    let whole = value.fract() == 0.0 && value.abs() < 9e15;
    match format!("{value}").parse::<i64>() {
        Ok(int) if whole => Some(int.into()),
        _ => Number::from_f64(value),
    }
}

fn resolve(text: &str) -> Resolved {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Resolved::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => return Resolved::Bool(true),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => return Resolved::Bool(false),
        ".nan" | ".NaN" | ".NAN" => return Resolved::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Resolved::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Resolved::Float(f64::NEG_INFINITY),
        _ => {}
    }
    // Only these can begin a number; a timestamp stays a text.
    if !text.starts_with(['+', '-', '.', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9']) {
        return Resolved::Text;
    }
    let digits = text.replace('_', "");
    integer(&digits).or_else(|| float(&digits)).unwrap_or(Resolved::Text)
}

/// An integer with Go's prefixes: `0x`, `0o`, `0b`, and `0` for octal.
fn integer(text: &str) -> Option<Resolved> {
    let (negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = match lower.get(..2) {
        Some("0x") => (16, &lower[2..]),
        Some("0o") => (8, &lower[2..]),
        Some("0b") => (2, &lower[2..]),
        _ if lower.len() > 1 && lower.starts_with('0') => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    if digits.is_empty() || digits.starts_with(['+', '-']) {
        return None;
    }
    let value = i128::from(u64::from_str_radix(digits, radix).ok()?);
    let value = if negative { -value } else { value };
    match (i64::try_from(value), u64::try_from(value)) {
        (Ok(value), _) => Some(Resolved::Int(value)),
        (_, Ok(value)) => Some(Resolved::Uint(value)),
        _ => None,
    }
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn float(text: &str) -> Option<Resolved> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent))),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let shaped = digits(whole) && digits(fraction) && !(whole.is_empty() && fraction.is_empty());
    let scaled = exponent.is_none_or(|exponent| !exponent.is_empty() && digits(exponent));
    let value = (shaped && scaled).then(|| text.parse::<f64>().ok()).flatten()?;
    // Go reports an overflow as an error, and the scalar stays a text.
    value.is_finite().then_some(Resolved::Float(value))
}

/// Go's `%g` with the shortest digits: an exponent below -4 and from 6 on.
fn go_float(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf".to_owned() } else { "-Inf".to_owned() };
    }
    let scientific = format!("{value:e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if value == 0.0 || (-4..6).contains(&exponent) {
        return value.to_string();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_are_what_yaml_1_1_takes_them_for() {
        for (text, want) in [
            ("y", Resolved::Bool(true)),
            ("Off", Resolved::Bool(false)),
            ("~", Resolved::Null),
            ("0123", Resolved::Int(83)),
            ("0128", Resolved::Float(128.0)),
            ("0x1F", Resolved::Int(31)),
            ("-0b11", Resolved::Int(-3)),
            ("1_000", Resolved::Int(1000)),
            ("12345678901234567890", Resolved::Uint(12_345_678_901_234_567_890)),
            ("12e4", Resolved::Float(120_000.0)),
            (".5", Resolved::Float(0.5)),
            ("12e4567", Resolved::Text),
            ("2026-01-02", Resolved::Text),
            ("2026-01-02T03:04:05Z", Resolved::Text),
            ("1a2b3c4d", Resolved::Text),
            ("0x", Resolved::Text),
            ("+-1", Resolved::Text),
            (".", Resolved::Text),
            ("1:20", Resolved::Text),
            ("yess", Resolved::Text),
        ] {
            assert_eq!(resolve(text), want, "{text}");
        }
        assert_eq!(Scalar { text: "y".into(), plain: false }.resolve(), Resolved::Text);
    }

    /// Recorded: `033-yaml-scalar-names` (testdata/policy/NOTICE).
    #[test]
    fn conforma_prints_numbers_anew() {
        for (text, want) in [
            ("0123", "83"),
            ("12e4", "120000"),
            ("2026-01-02", "2026-01-02"),
            ("yes", "true"),
            ("1.50", "1.5"),
            ("~", ""),
            ("0x1F", "31"),
            (".inf", "+Inf"),
        ] {
            assert_eq!(Scalar { text: text.into(), plain: true }.as_conforma_text(), want, "{text}");
        }
    }
}
