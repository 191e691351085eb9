//! `input.image.config`: the `config` object of an image config, as Conforma's
//! registry client writes it again.

use carnet_bundle::json::{self, JsonError};
use serde_json::{Map, Value};

/// Members of the object in the order of the client's type; others are dropped.
const MEMBERS: [&str; 24] = [
    "AttachStderr",
    "AttachStdin",
    "AttachStdout",
    "Cmd",
    "Healthcheck",
    "Domainname",
    "Entrypoint",
    "Env",
    "Hostname",
    "Image",
    "Labels",
    "OnBuild",
    "OpenStdin",
    "StdinOnce",
    "Tty",
    "User",
    "Volumes",
    "WorkingDir",
    "ExposedPorts",
    "ArgsEscaped",
    "NetworkDisabled",
    "MacAddress",
    "StopSignal",
    "Shell",
];
const HEALTHCHECK: [&str; 5] = ["Test", "Interval", "Timeout", "StartPeriod", "Retries"];

/// The object inside the config blob `bytes`; empty when there is none.
///
/// # Errors
///
/// Returns a [`JsonError`] for what is no JSON, or JSON that two readers would
/// read differently.
pub(super) fn read(bytes: &[u8]) -> Result<Value, JsonError> {
    let blob = json::parse(bytes)?;
    let Some(config) = blob.get("config").and_then(Value::as_object) else { return Ok(Value::Object(Map::new())) };
    Ok(Value::Object(picked(config, &MEMBERS)))
}

/// The text of a label.
pub(super) fn label<'c>(config: &'c Value, name: &str) -> Option<&'c str> {
    config.get("Labels")?.get(name)?.as_str()
}

fn picked(object: &Map<String, Value>, names: &[&str]) -> Map<String, Value> {
    let present =
        |name: &&str| object.get(*name).filter(|value| !is_empty(value)).map(|value| ((*name).to_owned(), member(name, value)));
    names.iter().filter_map(present).collect()
}

fn member(name: &str, value: &Value) -> Value {
    match (name, value) {
        ("Healthcheck", Value::Object(members)) => Value::Object(picked(members, &HEALTHCHECK)),
        (_, Value::Object(members)) => {
            let mut sorted: Vec<_> = members.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
            sorted.sort_by(|(a, _), (b, _)| a.cmp(b));
            Value::Object(sorted.into_iter().collect())
        }
        _ => value.clone(),
    }
}

/// Go leaves out what has the zero value of its type.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_i64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_config_is_written_as_by_the_client() {
        let blob = r#"{"os":"linux","config":{"Labels":{"b":"2","a":"1"},"Env":["A=b"],"Cmd":null,"User":"","Tty":false,
            "Healthcheck":{"Retries":3,"Test":["x"],"Timeout":0},"Unknown":1,"Entrypoint":["/run"]}}"#;
        let want = r#"{"Healthcheck":{"Test":["x"],"Retries":3},"Entrypoint":["/run"],"Env":["A=b"],"Labels":{"a":"1","b":"2"}}"#;
        let config = read(blob.as_bytes()).unwrap();
        assert_eq!(config.to_string(), want);
        assert_eq!(label(&config, "b"), Some("2"));
        assert_eq!(label(&config, "c"), None);
        assert_eq!(read(b"{}").unwrap().to_string(), "{}");
        assert!(read(br#"{"config":{"Labels":{"a":"1","a":"2"}}}"#).unwrap_err().to_string().contains("duplicate key"));
    }
}
