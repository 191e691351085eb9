//! `--extra-rule-data`: text over the data of every source group.

use std::path::Path;

use carnet_policy::sources::{Location, SourceUrl, UrlError};
use serde_json::Value;

use super::is_data;
use crate::{
    cli::{FlagError, VerifyArgs},
    error::VerifyError,
    inputs::Inputs,
};

/// Why a value of `--extra-rule-data` is not taken.
const FETCHED: &str = "ec downloads a value that is a URL, and nothing is downloaded here: give a file with that text";

/// The pairs of `--extra-rule-data`. A value that names a YAML or JSON file stands
/// for the text of that file, as in Conforma.
pub(super) fn extra_rule_data(args: &VerifyArgs, inputs: &Inputs<'_>) -> Result<Vec<(String, String)>, VerifyError> {
    let text = |(key, value): (String, String)| {
        if is_fetched(&value) {
            return Err(VerifyError::Flag(FlagError::Refused { flag: "--extra-rule-data", reason: FETCHED }));
        }
        if !is_data(&value) {
            return Ok((key, value));
        }
        match (inputs.read)(Path::new(&value)) {
            Ok(bytes) => Ok((key, String::from_utf8_lossy(&bytes).into_owned())),
            Err(source) => Err(VerifyError::Read { path: value, source }),
        }
    };
    args.extra_rule_data()?.into_iter().map(text).collect()
}

/// Conforma reads the data anew to add to it, and writes it again: members by
/// name, and of a number what a float keeps.
pub(super) fn written_anew(value: Value) -> Value {
    match value {
        Value::Number(number) => match number.as_f64().map(|float| float.to_string().parse()) {
            Some(Ok(kept)) => Value::Number(kept),
            _ => Value::Number(number),
        },
        Value::Array(items) => items.into_iter().map(written_anew).collect(),
        Value::Object(mut members) => {
            members.sort_keys();
            members.into_iter().map(|(key, value)| (key, written_anew(value))).collect()
        }
        other => other,
    }
}

/// Whether Conforma would download the value.
fn is_fetched(value: &str) -> bool {
    match SourceUrl::parse(value) {
        Ok(url) => matches!(url.location(), Location::Git(_) | Location::Https { .. }),
        Err(error) => matches!(error, UrlError::Insecure(_)) || value.contains("://"),
    }
}
