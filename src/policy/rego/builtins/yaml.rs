//! YAML as Conforma's reader has it (YAML 1.1 scalars).

use regorus::Value;

use super::{Answer, undefined};
use crate::yaml::{self, Reading};

pub(super) fn unmarshal(args: &[Value]) -> Answer {
    let [Value::String(text)] = args else { return undefined("operand must be a string") };
    parse(text.as_bytes()).map_or_else(undefined, Ok)
}

pub(super) fn is_valid(args: &[Value]) -> Answer {
    let valid = matches!(args, [Value::String(text)] if parse(text.as_bytes()).is_ok());
    Ok(Value::Bool(valid))
}

/// Parses the first document.
pub(super) fn parse(bytes: &[u8]) -> Result<Value, String> {
    let node = yaml::parse(bytes, "", Reading::Conforma).map_err(|e| e.to_string())?;
    node.to_json("the document").map(Value::from).map_err(|e| e.to_string())
}
