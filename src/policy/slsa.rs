//! Does a provenance statement have the form that its predicate type promises?
//!
//! The two schemas are those that Conforma enforces (conforma/cli, `pkg/schema`,
//! Apache-2.0), so that one predicate passes or fails in both places; unknown
//! members are allowed. The messages follow the validator behind Conforma.

mod schema;

use serde_json::Value;

pub use schema::SchemaError;

/// `predicateType` of SLSA provenance v0.2.
pub const PROVENANCE_V0_2: &str = "https://slsa.dev/provenance/v0.2";
/// `predicateType` of SLSA provenance v1.
pub const PROVENANCE_V1: &str = "https://slsa.dev/provenance/v1";

static SCHEMA_V0_2: &str = include_str!("slsa/provenance_v0.2.json");
static SCHEMA_V1: &str = include_str!("slsa/provenance_v1.json");

/// A predicate type with a schema.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Provenance {
    /// SLSA provenance v0.2.
    V02,
    /// SLSA provenance v1.
    V1,
}

impl Provenance {
    /// The schema for a `predicateType`; none for types that are taken as they are.
    pub fn of(predicate_type: &str) -> Option<Self> {
        match predicate_type {
            PROVENANCE_V0_2 => Some(Self::V02),
            PROVENANCE_V1 => Some(Self::V1),
            _ => None,
        }
    }

    /// Validates a whole statement; returns every violation, in the order of the
    /// schema. Empty means valid.
    pub fn validate(self, statement: &Value) -> Vec<SchemaError> {
        schema::validate(self.schema(), statement)
    }

    /// How Conforma introduces a violation in a legacy store.
    pub(crate) fn legacy_prefix(self) -> &'static str {
        match self {
            Self::V02 => "unable to parse as SLSA v0.2: attestation does not conform to SLSA v0.2 schema: ",
            Self::V1 => "unable to parse as SLSA v1: attestation does not conform to SLSA v1.0 schema: ",
        }
    }

    /// The `buildType` of a statement.
    pub fn build_type(self, statement: &Value) -> Option<&str> {
        let path = match self {
            Self::V02 => "/predicate/buildType",
            Self::V1 => "/predicate/buildDefinition/buildType",
        };
        statement.pointer(path).and_then(Value::as_str)
    }

    fn schema(self) -> &'static str {
        match self {
            Self::V02 => SCHEMA_V0_2,
            Self::V1 => SCHEMA_V1,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn v02() -> Value {
        json!({
            "_type": "https://in-toto.io/Statement/v0.1",
            "subject": [{"name": "app", "digest": {"sha512": "abcdef0123456789"}}],
            "predicateType": PROVENANCE_V0_2,
            "predicate": {"builder": {"id": "uri:val"}, "buildType": "uri:val"},
        })
    }

    fn v1() -> Value {
        json!({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"name": "app", "digest": {"sha256": "abcdef0123456789", "gitCommit": "00"}}],
            "predicateType": PROVENANCE_V1,
            "predicate": {
                "buildDefinition": {"buildType": "not_uri", "externalParameters": {}},
                "runDetails": {"builder": {"id": "uri:val"}},
                "unknown": 1,
            },
        })
    }

    /// Sets (or, with null, removes) the value at a JSON pointer whose parent is
    /// an object, making objects on the way.
    fn patched(mut statement: Value, pointer: &str, value: Value) -> Value {
        let (parents, name) = pointer.rsplit_once('/').unwrap();
        let mut place = &mut statement;
        for part in parents.split('/').skip(1) {
            place = match part.parse::<usize>() {
                Ok(index) => &mut place[index],
                Err(_) => {
                    if place.get(part).is_none() {
                        place[part] = json!({});
                    }
                    &mut place[part]
                }
            };
        }
        match value {
            Value::Null => drop(place.as_object_mut().unwrap().shift_remove(name)),
            value => place[name] = value,
        }
        statement
    }

    /// The messages are those that conforma/cli records for its schemas.
    #[test]
    fn violations_are_named_as_in_conforma() {
        let digests = "value must be one of \"sha256\", \"sha224\",";
        for (provenance, pointer, value, want) in [
            (
                Provenance::V02,
                "/_type",
                json!("https://in-toto.io/Statement/v1"),
                "value must be \"https://in-toto.io/Statement/v0.1\"",
            ),
            (Provenance::V02, "/_type", Value::Null, "missing properties: '_type'"),
            (Provenance::V02, "/predicate/builder/id", json!("not_uri"), "'not_uri' is not valid 'uri'"),
            (Provenance::V02, "/predicate/builder/id", Value::Null, "missing properties: 'id'"),
            (Provenance::V02, "/predicate/buildType", Value::Null, "missing properties: 'buildType'"),
            (Provenance::V02, "/predicate/invocation/configSource/entryPoint", json!(""), "length must be >= 1, but got 0"),
            (Provenance::V02, "/predicate/invocation/configSource/digest", json!({"foo": "ab"}), digests),
            (Provenance::V02, "/predicate/invocation/parameters", json!(1), "expected object, but got number"),
            (
                Provenance::V02,
                "/predicate/metadata/buildFinishedOn",
                json!("1937-01-01T12:00:27.87+00:20"),
                "does not match pattern 'Z$'",
            ),
            (Provenance::V02, "/predicate/metadata/completeness/materials", json!("yes"), "expected boolean, but got string"),
            (Provenance::V02, "/predicate/materials", json!({}), "expected array, but got object"),
            (Provenance::V02, "/subject/0/digest/gitCommit", json!("00"), digests),
            (
                Provenance::V1,
                "/_type",
                json!("x"),
                "value must be one of \"https://in-toto.io/Statement/v1\", \"https://in-toto.io/Statement/v0.1\"",
            ),
            (Provenance::V1, "/subject", json!([]), "minimum 1 items required, but found 0 items"),
            (Provenance::V1, "/subject", json!([{}]), "missing properties: 'name', 'digest'"),
            (Provenance::V1, "/subject/0/digest/sha256", json!("g%-A"), "does not match pattern '^[a-f0-9]+$'"),
            (Provenance::V1, "/predicateType", json!("x"), "value must be \"https://slsa.dev/provenance/v1\""),
            (Provenance::V1, "/predicate/buildDefinition/externalParameters", json!(1), "expected object, but got number"),
            (
                Provenance::V1,
                "/predicate/buildDefinition/resolvedDependencies",
                json!([{"uri": 1}]),
                "expected string, but got number",
            ),
            (Provenance::V1, "/predicate/runDetails/builder", Value::Null, "missing properties: 'builder'"),
            (
                Provenance::V1,
                "/predicate/runDetails/metadata/startedOn",
                json!("2026-01-05Z"),
                "'2026-01-05Z' is not valid 'date-time'",
            ),
            (Provenance::V1, "/predicate/runDetails/byproducts", json!([1]), "expected object, but got number"),
        ] {
            let statement = patched(if provenance == Provenance::V1 { v1() } else { v02() }, pointer, value);
            let errors: Vec<_> = provenance.validate(&statement).iter().map(ToString::to_string).collect();
            assert!(matches!(&errors[..], [error] if error.contains(want)), "{pointer}: {errors:?}, want {want}");
        }
    }

    #[test]
    fn conforming_statements_have_no_violations() {
        for statement in [
            v1(),
            patched(v1(), "/_type", json!("https://in-toto.io/Statement/v0.1")),
            patched(v1(), "/predicate/runDetails/metadata/finishedOn", json!("1985-04-12T23:20:50.52Z")),
        ] {
            assert_eq!(Provenance::V1.validate(&statement), []);
        }
        for statement in [v02(), patched(v02(), "/predicate/invocation/configSource/uri", json!("not_uri"))] {
            assert_eq!(Provenance::V02.validate(&statement), []);
        }
        assert_eq!(Provenance::of("https://spdx.dev/Document"), None);
    }

    #[test]
    fn the_place_in_the_schema_is_named_with_its_reference() {
        let statement = patched(v1(), "/subject/0/digest/sha256", json!("G"));
        let errors = Provenance::V1.validate(&statement);
        let want = "jsonschema: '/subject/0/digest/sha256' does not validate with https://slsa.dev/provenance/v1#/properties/subject/items/properties/digest/$ref/additionalProperties/pattern: does not match pattern '^[a-f0-9]+$'";
        assert_eq!(errors[0].to_string(), want);
        assert_eq!(errors[0].members(), ["/subject/0/digest/sha256"]);
    }
}
