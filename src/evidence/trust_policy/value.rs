//! Values of the trust policy: durations, times, bounds, defaults.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::Value;

use super::{
    AttestationRules, Buildkit, CertificateRules, LogRules, MaxAge, Notation, PatternReading, Proof, RepositoryMatch, Scope,
    SignatureRules, Source, SubjectName, TimeRules, TrustPolicy, TrustPolicyError, Weight, shape,
};
use crate::trust_root::Window;

/// The largest threshold: evidence has at most as many entries.
const MAX_THRESHOLD: usize = 32;

/// An age limit; ordered, `never` last.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum Age {
    /// Hours.
    Hours(u32),
    /// No limit.
    #[default]
    Never,
}

/// `trustRoot.tuf.expiredMetadata`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Expired {
    /// Accepted for so many hours after its expiry, with a warning.
    For(u32),
    /// Refused.
    #[default]
    Fail,
    /// Accepted with a warning.
    Warn,
}

/// `keys[].validFor`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValidFor {
    #[serde(deserialize_with = "time")]
    start: Timestamp,
    #[serde(default, deserialize_with = "some_time")]
    end: Option<Timestamp>,
}

/// Reads header and body of the document.
pub(super) fn document(value: Value) -> Result<TrustPolicy, TrustPolicyError> {
    let Value::Object(mut members) = value else {
        return Err(shape("", "not an object"));
    };
    let header = (members.shift_remove("apiVersion"), members.shift_remove("kind"));
    if header != (Some("carnet/v0".into()), Some("TrustPolicy".into())) {
        let text = |value: Option<Value>| value.map_or("nothing".to_owned(), |value| value.to_string());
        return Err(TrustPolicyError::Header(format!("{} and {}", text(header.0), text(header.1))));
    }
    let members = Value::Object(members);
    if let Some(at) = first_empty(&members, "") {
        return Err(shape(&at, "the value is empty"));
    }
    serde_path_to_error::deserialize(members).map_err(|e| shape(&e.path().to_string(), &e.inner().to_string()))
}

/// The path of a key without a value: it says nothing, and nobody would see it.
fn first_empty(value: &Value, at: &str) -> Option<String> {
    let empty = match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(members) => members.is_empty() && !at.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    };
    if empty {
        return Some(at.to_owned());
    }
    match value {
        Value::Array(list) => list.iter().enumerate().find_map(|(place, item)| first_empty(item, &format!("{at}[{place}]"))),
        Value::Object(members) => members.iter().find_map(|(key, member)| {
            let at = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
            first_empty(member, &at)
        }),
        _ => None,
    }
}

/// Thresholds lie between their least value and [`MAX_THRESHOLD`].
pub(super) fn check_bounds(policy: &TrustPolicy) -> Result<(), TrustPolicyError> {
    let least_one = [
        ("signatures.threshold", policy.signatures.threshold),
        ("attestations.threshold", policy.attestations.threshold),
        ("time.threshold", policy.time.threshold),
    ];
    let any = [("log.threshold", policy.log.threshold), ("certificates.sctThreshold", policy.certificates.sct_threshold)];
    let keys = policy.keys.iter().filter_map(|key| Some(("keys", key.log_threshold?)));
    for (name, value) in least_one {
        if value == 0 {
            return Err(shape(name, &format!("is 0, want 1 to {MAX_THRESHOLD}")));
        }
    }
    for (name, value) in least_one.into_iter().chain(any).chain(keys) {
        if value > MAX_THRESHOLD {
            return Err(shape(name, &format!("is {value}, at most {MAX_THRESHOLD}")));
        }
    }
    let windows = policy.keys.iter().filter_map(|key| key.valid_for);
    match windows.into_iter().find(|window| window.end.is_some_and(|end| end < window.start)) {
        Some(window) => Err(shape("keys", &format!("a validFor ends before it starts at {}", window.start))),
        None => Ok(()),
    }
}

/// The last number of a Fulcio extension by its name in evidence.md.
pub(super) fn extension_number(name: &str) -> Option<u32> {
    Some(match name {
        "buildSignerURI" => 9,
        "buildSignerDigest" => 10,
        "runnerEnvironment" => 11,
        "sourceRepositoryURI" => 12,
        "sourceRepositoryDigest" => 13,
        "sourceRepositoryRef" => 14,
        "sourceRepositoryIdentifier" => 15,
        "sourceRepositoryOwnerURI" => 16,
        "sourceRepositoryOwnerIdentifier" => 17,
        "buildConfigURI" => 18,
        "buildConfigDigest" => 19,
        "buildTrigger" => 20,
        "runInvocationURI" => 21,
        "sourceRepositoryVisibilityAtSigning" => 22,
        "deploymentEnvironment" => 23,
        "tokenSubject" => 24,
        _ => return None,
    })
}

pub(super) fn one() -> usize {
    1
}

pub(super) fn all_sources() -> Vec<Source> {
    vec![Source::Log, Source::TimestampAuthority]
}

impl Age {
    pub(super) fn half_a_year() -> Self {
        Self::Hours(180 * 24)
    }

    /// The limit; `None` for none.
    pub fn duration(self) -> Option<SignedDuration> {
        match self {
            Self::Hours(hours) => Some(SignedDuration::from_hours(i64::from(hours))),
            Self::Never => None,
        }
    }
}

impl Expired {
    pub(super) fn is_loose(self) -> bool {
        self != Self::Fail
    }
}

impl ValidFor {
    pub(super) fn window(self) -> Window {
        Window { start: Some(self.start), end: self.end }
    }
}

impl Weight {
    pub(super) fn fail() -> Self {
        Self::Fail
    }

    pub(super) fn note() -> Self {
        Self::Note
    }
}

/// `90d` or `12h`: a number without leading zero and a unit.
fn hours(text: &str) -> Option<u32> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number = crate::fields::decimal(number).filter(|number| (1..1_000_000).contains(number))?;
    let number = u32::try_from(number).ok()?;
    match unit {
        "d" => number.checked_mul(24),
        "h" => Some(number),
        _ => None,
    }
}

impl<'de> Deserialize<'de> for Age {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.as_str() {
            "never" => Ok(Self::Never),
            text => hours(text)
                .map(Self::Hours)
                .ok_or_else(|| D::Error::custom(format!("{text:?} is no duration such as 90d or 12h"))),
        }
    }
}

impl<'de> Deserialize<'de> for Expired {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.as_str() {
            "fail" => Ok(Self::Fail),
            "warn" => Ok(Self::Warn),
            text => {
                hours(text).map(Self::For).ok_or_else(|| D::Error::custom(format!("{text:?}: want fail, warn or a duration")))
            }
        }
    }
}

/// RFC 3339 in UTC with whole seconds, the one form.
fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    let text = String::deserialize(deserializer)?;
    let parsed: Option<Timestamp> = text.parse().ok();
    parsed
        .filter(|time| time.to_string() == text)
        .ok_or_else(|| D::Error::custom(format!("{text:?} is no time such as 2026-01-31T00:00:00Z")))
}

fn some_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    time(deserializer).map(Some)
}

impl Default for MaxAge {
    fn default() -> Self {
        Self { warn: Age::half_a_year(), fail: Age::Never }
    }
}

impl Default for SignatureRules {
    fn default() -> Self {
        Self {
            scope: Scope::default(),
            threshold: one(),
            repository_match: RepositoryMatch::default(),
            repository_prefix: None,
            repository_remap: Vec::new(),
        }
    }
}

impl Default for AttestationRules {
    fn default() -> Self {
        Self {
            threshold: one(),
            subject_name: SubjectName::default(),
            slsa_schema: Weight::Fail,
            source_contradiction: Weight::Fail,
            builder_contradiction: Weight::Note,
            buildkit: Buildkit::default(),
            notation: Notation::default(),
        }
    }
}

impl Default for LogRules {
    fn default() -> Self {
        Self { threshold: one(), proof: Proof::default(), witnesses: None }
    }
}

impl Default for TimeRules {
    fn default() -> Self {
        Self { threshold: one(), sources: all_sources() }
    }
}

impl Default for CertificateRules {
    fn default() -> Self {
        Self {
            sct_threshold: one(),
            reg_exp: PatternReading::default(),
            issuer_where_absent: None,
            extensions: std::collections::BTreeMap::new(),
        }
    }
}
