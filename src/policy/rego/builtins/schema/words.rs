//! What gojsonschema calls a mistake and says about it.

use regorus::Value;

/// A mistake in a document.
#[derive(Clone, Debug)]
pub(in crate::rego::builtins) struct Mistake {
    /// Keys from the root on.
    pub(super) path: Vec<String>,
    pub(super) what: What,
}

#[derive(Clone, Debug)]
pub(super) enum What {
    AllOf,
    AnyOf,
    Additional(String),
    AdditionalItems,
    Const(String),
    Contains,
    Dependency(String),
    Else,
    Enum(String),
    Format(String),
    LengthLeast(String),
    LengthMost(String),
    ItemsLeast(String),
    ItemsMost(String),
    MultipleOf(String),
    Never,
    Not,
    NumberAbove(String),
    NumberBelow(String),
    NumberLeast(String),
    NumberMost(String),
    OneOf,
    Pattern(String),
    PropertiesLeast(String),
    PropertiesMost(String),
    PropertyName(String),
    Required(String),
    Then,
    Type { expected: String, given: &'static str },
    Unique(usize, usize),
}

impl Mistake {
    pub(in crate::rego::builtins) fn field(&self) -> String {
        if self.path.is_empty() { "(Root)".to_owned() } else { self.path.join(".") }
    }

    pub(in crate::rego::builtins) fn kind(&self) -> &'static str {
        match &self.what {
            What::AllOf => "number_all_of",
            What::AnyOf => "number_any_of",
            What::Additional(_) => "additional_property_not_allowed",
            What::AdditionalItems => "array_no_additional_items",
            What::Const(_) => "const",
            What::Contains => "contains",
            What::Dependency(_) => "missing_dependency",
            What::Else => "condition_else",
            What::Enum(_) => "enum",
            What::Format(_) => "format",
            What::LengthLeast(_) => "string_gte",
            What::LengthMost(_) => "string_lte",
            What::ItemsLeast(_) => "array_min_items",
            What::ItemsMost(_) => "array_max_items",
            What::MultipleOf(_) => "multiple_of",
            What::Never => "false",
            What::Not => "number_not",
            What::NumberAbove(_) => "number_gt",
            What::NumberBelow(_) => "number_lt",
            What::NumberLeast(_) => "number_gte",
            What::NumberMost(_) => "number_lte",
            What::OneOf => "number_one_of",
            What::Pattern(_) => "pattern",
            What::PropertiesLeast(_) => "array_min_properties",
            What::PropertiesMost(_) => "array_max_properties",
            What::PropertyName(_) => "invalid_property_name",
            What::Required(_) => "required",
            What::Then => "condition_then",
            What::Type { .. } => "invalid_type",
            What::Unique(..) => "unique",
        }
    }

    pub(in crate::rego::builtins) fn description(&self) -> String {
        match &self.what {
            What::AllOf => "Must validate all the schemas (allOf)".to_owned(),
            What::AnyOf => "Must validate at least one schema (anyOf)".to_owned(),
            What::Additional(name) => format!("Additional property {name} is not allowed"),
            What::AdditionalItems => "No additional items allowed on array".to_owned(),
            What::Const(allowed) => format!("{} does not match: {allowed}", self.field()),
            What::Contains => "At least one of the items must match".to_owned(),
            What::Dependency(name) => format!("Has a dependency on {name}"),
            What::Else => "Must validate \"else\" as \"if\" was not valid".to_owned(),
            What::Enum(allowed) => format!("{} must be one of the following: {allowed}", self.field()),
            What::Format(name) => format!("Does not match format '{name}'"),
            What::LengthLeast(least) => format!("String length must be greater than or equal to {least}"),
            What::LengthMost(most) => format!("String length must be less than or equal to {most}"),
            What::ItemsLeast(least) => format!("Array must have at least {least} items"),
            What::ItemsMost(most) => format!("Array must have at most {most} items"),
            What::MultipleOf(factor) => format!("Must be a multiple of {factor}"),
            What::Never => "False always fails validation".to_owned(),
            What::Not => "Must not validate the schema (not)".to_owned(),
            What::NumberAbove(bound) => format!("Must be greater than {bound}"),
            What::NumberBelow(bound) => format!("Must be less than {bound}"),
            What::NumberLeast(bound) => format!("Must be greater than or equal to {bound}"),
            What::NumberMost(bound) => format!("Must be less than or equal to {bound}"),
            What::OneOf => "Must validate one and only one schema (oneOf)".to_owned(),
            What::Pattern(pattern) => format!("Does not match pattern '{pattern}'"),
            What::PropertiesLeast(least) => format!("Must have at least {least} properties"),
            What::PropertiesMost(most) => format!("Must have at most {most} properties"),
            What::PropertyName(name) => format!("Property name of \"{name}\" does not match"),
            What::Required(name) => format!("{name} is required"),
            What::Then => "Must validate \"then\" as \"if\" was valid".to_owned(),
            What::Type { expected, given } => format!("Invalid type. Expected: {expected}, given: {given}"),
            What::Unique(first, second) => format!("array items[{first},{second}] must be unique"),
        }
    }
}

/// What gojsonschema calls the type of a value.
pub(super) fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null | Value::Undefined => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_integer() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) | Value::Set(_) => "array",
        Value::Object(_) => "object",
    }
}
