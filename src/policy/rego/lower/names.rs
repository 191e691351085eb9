//! What the parser's tree says about names, before any is resolved: heads of
//! rules, and the variables that bodies and patterns declare.

use std::collections::BTreeSet;

use regorus::unstable as ast;

use crate::rego::syntax;

/// The head reference of a rule, and the number of arguments of a function.
pub(super) fn head_of(rule: &ast::Rule) -> (&ast::Ref<ast::Expr>, Option<usize>) {
    match rule {
        ast::Rule::Default { refr, args, .. } => (refr, (!args.is_empty()).then_some(args.len())),
        ast::Rule::Spec { head, .. } => match head {
            ast::RuleHead::Compr { refr, .. } | ast::RuleHead::Set { refr, .. } => (refr, None),
            ast::RuleHead::Func { refr, args, .. } => (refr, Some(args.len())),
        },
    }
}

/// The constant part of the path of a rule, without its package.
pub(in crate::rego) fn constant_path(rule: &ast::Rule) -> Vec<String> {
    split_head(head_of(rule).0).0
}

/// Splits a head reference into its constant part and the rest.
pub(super) fn split_head(refr: &ast::Ref<ast::Expr>) -> (Vec<String>, Vec<&ast::Expr>) {
    let mut links = Vec::new();
    let mut at: &ast::Expr = refr;
    while let ast::Expr::RefDot { refr, .. } | ast::Expr::RefBrack { refr, .. } = at {
        links.push(at);
        at = refr;
    }
    let mut path: Vec<String> = syntax::path_of(at).unwrap_or_default();
    let mut rest = Vec::new();
    for link in links.into_iter().rev() {
        let constant = match link {
            ast::Expr::RefDot { field, .. } => Some(field.0.text().to_owned()),
            ast::Expr::RefBrack { index, .. } => syntax::string_value(index),
            _ => None,
        };
        match constant {
            Some(name) if rest.is_empty() => path.push(name),
            _ => rest.push(link),
        }
    }
    (path, rest)
}

/// A span, ordered by where it begins.
#[derive(Clone)]
pub(super) struct ByStart(pub(super) ast::Span);

impl PartialEq for ByStart {
    fn eq(&self, other: &Self) -> bool {
        self.0.start == other.0.start
    }
}

impl Eq for ByStart {}

impl PartialOrd for ByStart {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ByStart {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.start.cmp(&other.0.start)
    }
}

/// The variables that a body declares, closures apart: by `some`, `:=`.
pub(super) fn declared_vars(stmts: &[ast::LiteralStmt], declared: &mut BTreeSet<(String, ByStart)>) {
    for stmt in stmts {
        match &stmt.literal {
            ast::Literal::SomeVars { vars, .. } => {
                declared.extend(vars.iter().map(|var| (var.text().to_owned(), ByStart(var.clone()))));
            }
            ast::Literal::SomeIn { key, value, .. } => {
                if let Some(key) = key {
                    collect_vars(key, declared);
                }
                collect_vars(value, declared);
            }
            ast::Literal::Expr { expr, .. } => {
                if let ast::Expr::AssignExpr { op: ast::AssignOp::ColEq, lhs, .. } = expr.as_ref() {
                    collect_vars(lhs, declared);
                }
            }
            ast::Literal::NotExpr { .. } | ast::Literal::Every { .. } => {}
        }
    }
}

/// The variables of a pattern.
pub(super) fn collect_vars(expr: &ast::Ref<ast::Expr>, found: &mut BTreeSet<(String, ByStart)>) {
    match expr.as_ref() {
        ast::Expr::Var { span, .. } if span.text() != "_" => {
            found.insert((span.text().to_owned(), ByStart(span.clone())));
        }
        ast::Expr::Array { items, .. } | ast::Expr::Set { items, .. } => items.iter().for_each(|item| collect_vars(item, found)),
        ast::Expr::Object { fields, .. } => fields.iter().for_each(|(_, _, value)| collect_vars(value, found)),
        _ => {}
    }
}

pub(super) fn contains_object(expr: &ast::Ref<ast::Expr>) -> bool {
    match expr.as_ref() {
        ast::Expr::Object { .. } => true,
        ast::Expr::Array { items, .. } => items.iter().any(contains_object),
        _ => false,
    }
}
