//! What the reader of a report is told about an answer that is none.

use carnet_bundle::Finding;
use carnet_policy::rego::LookupError;

use crate::codes;

/// The finding for a question that has no trustworthy answer (V15.2).
///
/// Only [`LookupError::Tampered`] is a verdict, and it is fail; every other one
/// leaves the question open: no verdict.
pub fn finding(error: &LookupError) -> Finding {
    let (code, question) = match error {
        LookupError::NotRecorded { question } => (&codes::LOOKUP_NOT_RECORDED, question.to_string()),
        LookupError::Unreachable { question, .. } => (&codes::LOOKUP_OUT_OF_REACH, question.to_string()),
        LookupError::Tampered { question, .. } => (&codes::LOOKUP_TAMPERED, question.to_string()),
        _ => (&codes::LOOKUP_TAMPERED, String::new()),
    };
    Finding::new(code, question, error.to_string())
}
