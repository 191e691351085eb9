//! What the rules say about themselves: codes, titles, collections, dates.

use std::collections::BTreeMap;

use regorus::unstable as ast;
use serde_json::{Map, Value as Json};

use super::{
    annotations::{Annotations, Chains, FileAnnotations},
    error::{LoadError, Location},
    ir::Rule,
    program::{is_failure, is_test, is_warning},
    syntax::Parsed,
};

/// What becomes of the elements of a rule.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum RuleKind {
    /// Violations: `deny`, `violation` and their suffixed forms.
    Deny,
    /// Warnings: `warn` and its suffixed forms.
    Warn,
    /// Nothing: an annotated helper.
    Other,
}

/// One annotated rule, or a `deny` or `warn` without annotations.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RuleInfo {
    /// Package with dots, without `data`.
    pub package: String,
    /// Name of the rule.
    pub name: String,
    /// What becomes of its elements.
    pub kind: RuleKind,
    /// `package.short_name`; without annotations what Conforma guesses.
    pub code: String,
    /// `custom.short_name`; empty without annotations.
    pub short_name: String,
    /// `title`.
    pub title: String,
    /// `description`, cross references replaced by their labels.
    pub description: String,
    /// `custom.solution`, cross references replaced by links.
    pub solution: String,
    /// `custom.collections`.
    pub collections: Vec<String>,
    /// `custom.depends_on`.
    pub depends_on: Vec<String>,
    /// `custom.effective_on`.
    pub effective_on: String,
    /// `custom.pipeline_intention`.
    pub pipeline_intention: Vec<String>,
    /// Where the rule stands.
    pub at: Location,
}

impl RuleInfo {
    /// Whether the rule has an annotation with a short name: only such rules
    /// make successes.
    pub fn is_annotated(&self) -> bool {
        !self.short_name.is_empty()
    }
}

/// Describes all rules outside tests.
pub(super) fn rules(
    parsed: &[Parsed<'_>],
    found: &[FileAnnotations],
    rules: &[Rule],
    positions: &[(usize, usize)],
) -> Result<Vec<RuleInfo>, LoadError> {
    let mut described: Vec<RuleInfo> = Vec::new();
    let mut codes: BTreeMap<String, Location> = BTreeMap::new();
    for (rule, (file, number)) in rules.iter().zip(positions) {
        let parsed_file = &parsed[*file];
        if is_test(&parsed_file.file) {
            continue;
        }
        // As in Conforma, only the file itself is looked at.
        let own = Chains::of(std::slice::from_ref(parsed_file), std::slice::from_ref(&found[*file]));
        let blocks = own.blocks(0, *number, &rule.path);
        let at = Location { file: parsed_file.file.clone(), line: rule.line, column: rule.column };
        let Some(source) = parsed_file.module.policy.get(*number) else { continue };
        let entry = kind(&rule.name()) != RuleKind::Other;
        let own_block = blocks.iter().any(|block| block.scope <= super::annotations::Scope::Document);
        if entry || own_block {
            supported(source, &at)?;
        }
        let mut annotated = false;
        for block in blocks {
            let Some(info) = describe(rule, block, &at) else { continue };
            annotated = true;
            if let Some(first) = codes.insert(info.code.clone(), at.clone()) {
                return Err(LoadError::DuplicateCode { code: info.code, first, second: at });
            }
            described.push(info);
        }
        if entry && !annotated {
            described.push(unannotated(rule, source, &at));
        }
    }
    Ok(described)
}

pub(super) fn kind(name: &str) -> RuleKind {
    match name {
        name if is_failure(name) => RuleKind::Deny,
        name if is_warning(name) => RuleKind::Warn,
        _ => RuleKind::Other,
    }
}

/// Refuses rules whose elements cannot be messages: a text, an object, a
/// variable or a call can.
pub(super) fn supported(rule: &ast::Rule, at: &Location) -> Result<(), LoadError> {
    let value = match rule {
        ast::Rule::Default { value, .. } => Some(value),
        ast::Rule::Spec { head, .. } => match head {
            ast::RuleHead::Set { key, .. } => key.as_ref(),
            ast::RuleHead::Compr { assign, .. } | ast::RuleHead::Func { assign, .. } => {
                assign.as_ref().map(|assign| &assign.value)
            }
        },
    };
    let fits = value.is_some_and(|value| match value.as_ref() {
        ast::Expr::String { .. } | ast::Expr::RawString { .. } | ast::Expr::Object { .. } | ast::Expr::Call { .. } => true,
        ast::Expr::Var { span, .. } => span.text() != "_",
        // Operators are calls in OPA.
        ast::Expr::BinExpr { .. } | ast::Expr::BoolExpr { .. } | ast::Expr::ArithExpr { .. } | ast::Expr::Membership { .. } => {
            true
        }
        _ => false,
    });
    if fits {
        return Ok(());
    }
    let text: Vec<_> = rule.span().text().split_whitespace().collect();
    Err(LoadError::UnsupportedRule { rule: text.join(" "), at: Location { column: 0, ..at.clone() } })
}

/// A rule and its block, when the block has a short name: Conforma looks at no
/// others.
fn describe(rule: &Rule, block: &Annotations, at: &Location) -> Option<RuleInfo> {
    Some(info(&rule.path, rule.package, block, at)).filter(RuleInfo::is_annotated)
}

/// What a block says about the rule with the full path `path`, of which the first
/// `package` names are its package.
pub(super) fn info(path: &[String], package: usize, block: &Annotations, at: &Location) -> RuleInfo {
    let empty = Map::new();
    let custom = match block.value.get("custom") {
        Some(Json::Object(custom)) => custom,
        _ => &empty,
    };
    let short_name = custom.get("short_name").map(printed).unwrap_or_default();
    let (package, name) = (path[..package].join("."), path[package..].join("."));
    RuleInfo {
        code: format!("{package}.{short_name}"),
        kind: kind(&name),
        name,
        short_name,
        title: text(block.value.get("title")),
        description: super::xref::labels(&text(block.value.get("description"))),
        solution: super::xref::links(&text(custom.get("solution"))),
        collections: texts(custom.get("collections")),
        depends_on: match custom.get("depends_on") {
            None => Vec::new(),
            Some(Json::Array(items)) => items.iter().map(printed).collect(),
            Some(one) => vec![printed(one)],
        },
        effective_on: text(custom.get("effective_on")),
        pipeline_intention: texts(custom.get("pipeline_intention")),
        package,
        at: at.clone(),
    }
}

fn text(value: Option<&Json>) -> String {
    value.and_then(Json::as_str).unwrap_or_default().to_owned()
}

/// The texts of a list.
fn texts(value: Option<&Json>) -> Vec<String> {
    let items = value.and_then(Json::as_array).into_iter().flatten();
    items.filter_map(|item| item.as_str().map(str::to_owned)).collect()
}

/// A scalar as Go prints it.
fn printed(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Null => "<nil>".to_owned(),
        other => other.to_string(),
    }
}

/// The code that Conforma guesses for a rule without annotations: a literal
/// `code` in an object that the body assigns, or package and name.
fn unannotated(rule: &Rule, source: &ast::Rule, at: &Location) -> RuleInfo {
    let package = rule.path[..rule.package].join(".");
    let guessed = format!("{}.{}", rule.path.first().map(String::as_str).unwrap_or_default(), rule.name());
    RuleInfo {
        code: literal_code(source).unwrap_or(guessed),
        name: rule.name(),
        kind: kind(&rule.name()),
        short_name: String::new(),
        title: String::new(),
        description: String::new(),
        solution: String::new(),
        collections: Vec::new(),
        depends_on: Vec::new(),
        effective_on: String::new(),
        pipeline_intention: Vec::new(),
        package,
        at: at.clone(),
    }
}

fn literal_code(rule: &ast::Rule) -> Option<String> {
    let ast::Rule::Spec { bodies, .. } = rule else { return None };
    let stmts = bodies.iter().flat_map(|body| &body.query.stmts);
    let values = stmts.filter_map(|stmt| match &stmt.literal {
        ast::Literal::Expr { expr, .. } => match expr.as_ref() {
            ast::Expr::AssignExpr { rhs, .. } => Some(rhs),
            _ => None,
        },
        _ => None,
    });
    values
        .filter_map(|value| match value.as_ref() {
            ast::Expr::Object { fields, .. } => {
                fields.iter().find(|(_, key, _)| super::syntax::string_value(key).as_deref() == Some("code"))
            }
            _ => None,
        })
        .find_map(|(_, _, value)| super::syntax::string_value(value))
}
