//! The data that rules see: all files merged into one document, and what the
//! operator's policy adds.

use std::sync::Arc;

use jiff::Timestamp;
use regorus::Value;
use serde_json::{Map, Value as Json, json};

use super::{program::File, registry::SignerOptions};
use crate::yaml::{self, Reading, YamlError};

/// Data of one group of sources.
#[derive(Clone, Debug)]
pub struct Data {
    pub(super) value: Value,
}

/// Why the data cannot be used: no verdict.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// Not JSON.
    #[error("{file}: {reason}")]
    Json {
        /// The file.
        file: Arc<str>,
        /// What is the matter, with line and column.
        reason: String,
    },
    /// Two files give one member different meanings.
    #[error("load: load documents: 1 error occurred during loading: {file}: merge error at {path}")]
    Merge {
        /// The later file.
        file: Arc<str>,
        /// The member, with dots.
        path: String,
    },
    /// A file that is not an object.
    #[error("{file}: data must be an object")]
    NotAnObject {
        /// The file.
        file: Arc<str>,
    },
    /// Not YAML.
    #[error(transparent)]
    Yaml(#[from] YamlError),
}

/// What the rules see under `data.config` and `data.rule_data__configuration__`.
#[derive(Clone, Debug, Default)]
pub struct Configuration {
    /// Effective time.
    pub when: Timestamp,
    /// Who must have signed, for rules that verify other images.
    pub signer: SignerOptions,
    /// `ruleData` of the source group, with the operator's extra rule data.
    pub rule_data: Option<Json>,
}

impl Data {
    /// No data at all.
    pub fn empty() -> Self {
        Self { value: Value::new_object() }
    }

    /// Merges files in their order, and the configuration (conforma's order:
    /// nothing overrides anything).
    ///
    /// # Errors
    ///
    /// Returns a [`DataError`] for files that cannot be read or merged.
    pub fn merge(files: &[File<'_>], configuration: Option<&Configuration>) -> Result<Self, DataError> {
        let mut root = Map::new();
        for file in files {
            merge(&mut root, members(file)?, file.path, &mut Vec::new())?;
        }
        if let Some(configuration) = configuration {
            let Json::Object(members) = configuration.document() else { return Ok(Self::empty()) };
            merge(&mut root, members, "data/config/config.json", &mut Vec::new())?;
            if let Some(rule_data) = &configuration.rule_data {
                let members = Map::from_iter([("rule_data__configuration__".to_owned(), as_floats(rule_data))]);
                merge(&mut root, members, "rule_data.json", &mut Vec::new())?;
            }
        }
        Ok(Self { value: Value::from(Json::Object(root)) })
    }

    /// Merges files, each below the members that are named with it: OPA reads
    /// `a/b/c.yaml` of a directory as `data.a.b`.
    ///
    /// # Errors
    ///
    /// Returns a [`DataError`] for files that cannot be read or merged.
    pub fn placed(files: &[(&[String], File<'_>)]) -> Result<Self, DataError> {
        let mut root = Map::new();
        for (below, file) in files {
            let wrap = |members, name: &String| Map::from_iter([(name.clone(), Json::Object(members))]);
            let members = below.iter().rev().fold(members(file)?, wrap);
            merge(&mut root, members, file.path, &mut Vec::new())?;
        }
        Ok(Self { value: Value::from(Json::Object(root)) })
    }
}

impl Configuration {
    fn document(&self) -> Json {
        let signer = &self.signer;
        json!({
            "config": {
                "policy": { "when_ns": i64::try_from(self.when.as_nanosecond()).unwrap_or(i64::MAX) },
                "default_sigstore_opts": {
                    "certificate_identity": signer.certificate_identity,
                    "certificate_identity_regexp": signer.certificate_identity_regexp,
                    "certificate_oidc_issuer": signer.certificate_oidc_issuer,
                    "certificate_oidc_issuer_regexp": signer.certificate_oidc_issuer_regexp,
                    "ignore_rekor": signer.ignore_rekor,
                    "public_key": signer.public_key,
                    "rekor_url": signer.rekor_url,
                },
            },
        })
    }
}

fn members(file: &File<'_>) -> Result<Map<String, Json>, DataError> {
    match read(file)? {
        Json::Object(members) => Ok(members),
        _ => Err(DataError::NotAnObject { file: file.path.into() }),
    }
}

fn read(file: &File<'_>) -> Result<Json, DataError> {
    if file.path.to_ascii_lowercase().ends_with(".json") {
        let reason = |e: carnet_bundle::json::JsonError| DataError::Json { file: file.path.into(), reason: e.to_string() };
        return carnet_bundle::json::parse(file.bytes).map_err(reason);
    }
    match yaml::parse(file.bytes, file.path, Reading::Strict) {
        // A file with nothing in it adds nothing.
        Err(YamlError::Empty { .. }) => Ok(Json::Object(Map::new())),
        node => Ok(node?.to_json("data")?),
    }
}

/// `ruleData` has gone through Go's `float64` in Conforma: whole numbers beyond
/// 2^53 come out with as many digits as it takes to read them back, and zeros.
fn as_floats(value: &Json) -> Json {
    match value {
        Json::Number(number) => match number.as_u64().filter(|n| *n > 1 << 53) {
            Some(_) => number.as_f64().and_then(shortest).map_or_else(|| value.clone(), Json::from),
            None => value.clone(),
        },
        Json::Array(items) => items.iter().map(as_floats).collect(),
        Json::Object(members) => Json::Object(members.iter().map(|(key, value)| (key.clone(), as_floats(value))).collect()),
        other => other.clone(),
    }
}

fn shortest(float: f64) -> Option<u64> {
    let text = format!("{float:e}");
    let (mantissa, exponent) = text.split_once('e')?;
    let digits = mantissa.replace('.', "");
    let zeros = exponent.parse::<usize>().ok()?.checked_sub(digits.len() - 1)?;
    format!("{digits}{}", "0".repeat(zeros)).parse().ok()
}

/// Maps are merged; whatever else meets is a mistake.
fn merge(into: &mut Map<String, Json>, from: Map<String, Json>, file: &str, path: &mut Vec<String>) -> Result<(), DataError> {
    for (key, value) in from {
        path.push(key.clone());
        match (into.get_mut(&key), value) {
            (None, value) => drop(into.insert(key, value)),
            (Some(Json::Object(into)), Json::Object(from)) => merge(into, from, file, path)?,
            _ => return Err(DataError::Merge { file: file.into(), path: path.join(".") }),
        }
        path.pop();
    }
    Ok(())
}
