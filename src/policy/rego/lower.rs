//! From the parser's tree to [`ir`](super::ir): resolves every name.
//!
//! Two differences between the engine and OPA end here. An import is replaced by
//! the full path it stands for (pass A): the engine would evaluate the whole
//! imported package. A local variable gets a name that nothing else in the rule
//! or package has (pass R): the engine takes `some i` for the rule `i` of the
//! package, and then silently iterates over nothing.

mod expressions;
mod names;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use regorus::unstable as ast;

use super::{
    check::Arities,
    error::{CheckError, CheckKind, Location},
    functions,
    ir::*,
    normalise::Passes,
    syntax::{self, Parsed},
};

pub(super) use names::constant_path;
use names::{ByStart, collect_vars, contains_object, declared_vars, head_of, split_head};

/// Prefix of every name that the normaliser makes.
pub(super) const OWN_PREFIX: &str = "carnet__";

/// Most statements of a body: putting them in order takes the square of it.
/// Conforma's own rules stay below 30.
const MAX_STATEMENTS: usize = 2_000;

/// What lowering needs to know about all files.
pub(super) struct Globals {
    /// First words of the rules of each package.
    pub(super) rules: HashMap<Vec<String>, HashSet<String>>,
    /// Number of arguments of each function, by path.
    pub(super) functions: Arities,
}

impl Globals {
    pub(super) fn of(files: &[Parsed<'_>]) -> Self {
        let mut globals = Self { rules: HashMap::new(), functions: Arities::new() };
        for parsed in files {
            let names = globals.rules.entry(parsed.package.clone()).or_default();
            for rule in &parsed.module.policy {
                let (refr, args) = head_of(rule);
                let (path, _) = split_head(refr);
                names.extend(path.first().cloned());
                if let Some(args) = args {
                    globals.functions.insert(parsed.package.iter().cloned().chain(path).collect(), args);
                }
            }
        }
        globals
    }
}

/// Lowers one file; `metadata(rule, whole chain)` numbers what
/// `rego.metadata.chain()` and `rego.metadata.rule()` return in a rule.
pub(super) fn lower(
    number: usize,
    parsed: &Parsed<'_>,
    globals: &Globals,
    passes: Passes,
    metadata: &mut dyn FnMut(usize, bool) -> usize,
    errors: &mut Vec<CheckError>,
) -> Vec<Rule> {
    let empty = HashSet::new();
    let names = globals.rules.get(&parsed.package).unwrap_or(&empty);
    let mut lower = Lower {
        number,
        parsed,
        globals,
        names,
        passes,
        imports: BTreeMap::new(),
        used: HashSet::new(),
        scopes: Vec::new(),
        fresh: 0,
        rule: 0,
        metadata,
        errors,
    };
    lower.read_imports();
    parsed.module.policy.iter().enumerate().map(|(at, rule)| lower.rule(at, rule)).collect()
}

struct Lower<'a, 'p> {
    number: usize,
    parsed: &'a Parsed<'p>,
    globals: &'a Globals,
    /// First words of the rules of this package.
    names: &'a HashSet<String>,
    passes: Passes,
    imports: BTreeMap<String, Vec<String>>,
    /// Names that variables of the current rule have taken.
    used: HashSet<String>,
    scopes: Vec<HashMap<String, Name>>,
    fresh: u32,
    rule: usize,
    metadata: &'a mut dyn FnMut(usize, bool) -> usize,
    errors: &'a mut Vec<CheckError>,
}

impl Lower<'_, '_> {
    fn error(&mut self, span: &ast::Span, kind: CheckKind, reason: impl Into<String>) {
        let at = Location { file: self.parsed.file.clone(), line: span.line, column: span.col };
        self.errors.push(CheckError { at, kind, reason: reason.into() });
    }

    fn read_imports(&mut self) {
        for import in &self.parsed.module.imports {
            let Some(path) = syntax::path_of(&import.refr) else {
                self.error(&import.span, CheckKind::Compile, "the path of an import must be constant");
                continue;
            };
            match path.first().map(String::as_str) {
                Some("data" | "input") => {}
                Some("rego") if path.len() == 2 && path.get(1).is_some_and(|name| name == "v1") => continue,
                Some("future") if path.get(1).is_some_and(|name| name == "keywords") => continue,
                _ => {
                    self.error(&import.span, CheckKind::Compile, format!("unexpected import path {}", path.join(".")));
                    continue;
                }
            }
            let alias = import.r#as.as_ref().map(|span| span.text().to_owned()).or_else(|| path.last().cloned());
            let Some(alias) = alias else { continue };
            if self.imports.insert(alias.clone(), path).is_some() {
                self.error(&import.span, CheckKind::Compile, format!("import must not shadow import {alias}"));
            }
        }
    }

    fn rule(&mut self, at: usize, rule: &ast::Rule) -> Rule {
        self.used.clear();
        self.scopes.clear();
        self.fresh = 0;
        self.rule = at;
        let (refr, _) = head_of(rule);
        let (name, rest) = split_head(refr);
        self.check_name(refr.span(), name.first().map(String::as_str).unwrap_or_default());
        let path: Vec<String> = self.parsed.package.iter().cloned().chain(name).collect();
        let span = rule.span();
        let mut lowered = Rule {
            file: self.number,
            line: span.line,
            column: span.col,
            path,
            package: self.parsed.package.len(),
            tail: Vec::new(),
            kind: RuleKind::Value,
            clauses: Vec::new(),
        };
        match rule {
            ast::Rule::Default { args, value, .. } => {
                let args = (!args.is_empty()).then_some(args.len());
                lowered.kind = RuleKind::Default { args, value: self.expr(value) };
                if !rest.is_empty() {
                    self.error(span, CheckKind::Compile, "default rules must have a constant head");
                }
            }
            ast::Rule::Spec { head, bodies, .. } => self.spec(&mut lowered, head, bodies, &rest),
        }
        lowered
    }

    fn spec(&mut self, rule: &mut Rule, head: &ast::RuleHead, bodies: &[ast::RuleBody], rest: &[&ast::Expr]) {
        let (args, assign, key) = match head {
            ast::RuleHead::Compr { assign, .. } => (None, assign.as_ref(), None),
            ast::RuleHead::Set { span, refr, key } => {
                let between = self.parsed.text.get(index(refr.span().end)..).unwrap_or_default();
                // The parser ends a reference before its last bracket.
                let between = between.trim_start_matches([']', ' ', '\t', '\r', '\n']);
                match key {
                    Some(key) if between.starts_with("contains") => (None, None, Some(key)),
                    _ => {
                        self.error(span, CheckKind::Compile, "`contains` keyword is required for partial set rules");
                        return;
                    }
                }
            }
            ast::RuleHead::Func { args, assign, .. } => (Some(args), assign.as_ref(), None),
        };
        let args = args.map(|args| self.arguments(args));
        let none = [];
        let first: &[ast::LiteralStmt] = bodies.first().map_or(&none, |body| &body.query.stmts);
        self.enter(first);
        rule.tail = rest.iter().map(|link| self.step(link)).collect();
        rule.kind = match (args, key) {
            (Some(args), _) => RuleKind::Function { args },
            (None, Some(key)) => RuleKind::Set { key: self.expr(key) },
            (None, None) => RuleKind::Value,
        };
        let value = assign.map(|assign| self.expr(&assign.value));
        let body = self.stmts(first);
        self.scopes.pop();
        rule.clauses.push(Clause { line: rule.line, value, body, has_body: !bodies.is_empty() });
        for body in bodies.iter().skip(1) {
            if !body.is_else {
                self.error(&body.span, CheckKind::Compile, "`if` keyword is required before rule body");
            }
            self.enter(&body.query.stmts);
            let value = body.assign.as_ref().map(|assign| self.expr(&assign.value));
            let stmts = self.stmts(&body.query.stmts);
            self.scopes.pop();
            let has_body = !stmts.is_empty();
            rule.clauses.push(Clause { line: body.span.line, value, body: stmts, has_body });
        }
    }

    fn arguments(&mut self, args: &[ast::Ref<ast::Expr>]) -> Vec<Expr> {
        let mut declared = BTreeSet::new();
        for arg in args {
            if contains_object(arg) {
                self.error(arg.span(), CheckKind::Compile, "object patterns as arguments of a function are not supported");
            }
            collect_vars(arg, &mut declared);
        }
        // An import or a global in a pattern is no variable in OPA either.
        self.declare(&declared);
        args.iter().map(|arg| self.expr(arg)).collect()
    }

    /// Opens the scope of a body: all variables that it declares anywhere.
    fn enter(&mut self, stmts: &[ast::LiteralStmt]) {
        let mut declared = BTreeSet::new();
        declared_vars(stmts, &mut declared);
        self.declare(&declared);
    }

    fn declare(&mut self, declared: &BTreeSet<(String, ByStart)>) {
        let mut scope = HashMap::new();
        for (name, ByStart(span)) in declared {
            if scope.contains_key(name) {
                continue;
            }
            if matches!(name.as_str(), "data" | "input") {
                self.error(span, CheckKind::Compile, format!("variables must not shadow {name}"));
            }
            self.check_name(span, name);
            let taken = self.names.contains(name) || functions::is_root(name) || self.imports.contains_key(name);
            let fresh = self.used.insert(name.clone()) && !taken;
            let unique = if fresh || !self.passes.rename { name.clone() } else { self.fresh_name(name) };
            scope.insert(name.clone(), Arc::from(unique));
        }
        self.scopes.push(scope);
    }

    fn fresh_name(&mut self, name: &str) -> String {
        self.fresh += 1;
        format!("{name}_{OWN_PREFIX}{}", self.fresh)
    }

    fn check_name(&mut self, span: &ast::Span, name: &str) {
        if name.contains(OWN_PREFIX) {
            self.error(span, CheckKind::Compile, format!("names with {OWN_PREFIX} are reserved"));
        }
    }

    fn local(&self, name: &str) -> Option<Name> {
        self.scopes.iter().rev().find_map(|scope| scope.get(name).cloned())
    }

    fn stmts(&mut self, stmts: &[ast::LiteralStmt]) -> Vec<Stmt> {
        if let Some(stmt) = stmts.get(MAX_STATEMENTS) {
            let reason = format!("limit exceeded: more than {MAX_STATEMENTS} statements in a body");
            self.error(&stmt.span, CheckKind::Compile, reason);
            return Vec::new();
        }
        stmts.iter().map(|stmt| self.stmt(stmt)).collect()
    }

    fn stmt(&mut self, stmt: &ast::LiteralStmt) -> Stmt {
        let line = stmt.span.line;
        let (negated, kind) = match &stmt.literal {
            ast::Literal::SomeVars { vars, .. } => {
                let names = vars.iter().filter_map(|var| self.local(var.text())).collect();
                (false, StmtKind::Some(names))
            }
            ast::Literal::SomeIn { key, value, collection, .. } => {
                let key = key.as_ref().map(|key| self.expr(key));
                (false, StmtKind::SomeIn { key, value: self.expr(value), collection: self.expr(collection) })
            }
            ast::Literal::Expr { expr, .. } => (false, self.literal(expr)),
            ast::Literal::NotExpr { expr, .. } => {
                if let ast::Expr::AssignExpr { op: ast::AssignOp::ColEq, .. } = expr.as_ref() {
                    self.error(expr.span(), CheckKind::Compile, "cannot assign vars inside negated expression");
                }
                (true, self.literal(expr))
            }
            ast::Literal::Every { key, value, domain, query, .. } => (false, self.every(key.as_ref(), value, domain, query)),
        };
        let with = stmt.with_mods.iter().map(|with| self.with(with)).collect();
        Stmt { line, negated, kind, with }
    }

    fn literal(&mut self, expr: &ast::Ref<ast::Expr>) -> StmtKind {
        match expr.as_ref() {
            ast::Expr::AssignExpr { op, lhs, rhs, .. } => {
                let declares = *op == ast::AssignOp::ColEq;
                StmtKind::Unify { declares, left: self.expr(lhs), right: self.expr(rhs) }
            }
            _ => {
                let mut kind = StmtKind::Expr(self.expr(expr));
                self.output(&mut kind);
                kind
            }
        }
    }

    /// `f(x, y)` of a function with one argument is `y = f(x)`.
    fn output(&self, kind: &mut StmtKind) {
        let StmtKind::Expr(expr) = kind else { return };
        let ExprKind::Call(call) = &mut expr.kind else { return };
        let args = match &call.target {
            Target::Builtin(f) if matches!(f.by, functions::By::Relation | functions::By::Nobody) => None,
            Target::Builtin(f) => Some(usize::from(f.args)),
            Target::Metadata(_) => Some(0),
            Target::Rule(path) => self.globals.functions.get(path).copied(),
            Target::Unknown(_) => None,
        };
        if args.is_none_or(|args| call.args.len() != args + 1) {
            return;
        }
        if let Some(left) = call.args.pop() {
            let right = Expr::new(expr.line, std::mem::replace(&mut expr.kind, ExprKind::Wildcard));
            *kind = StmtKind::Unify { declares: false, left, right };
        }
    }

    fn every(
        &mut self,
        key: Option<&ast::Span>,
        value: &ast::Span,
        domain: &ast::Ref<ast::Expr>,
        query: &ast::Query,
    ) -> StmtKind {
        let domain = self.expr(domain);
        let mut declared = BTreeSet::new();
        let wildcard = |span: &&ast::Span| span.text() != "_";
        declared.extend(
            key.iter().copied().chain([value]).filter(wildcard).map(|span| (span.text().to_owned(), ByStart(span.clone()))),
        );
        self.declare(&declared);
        let mut name = |span: &ast::Span| {
            let fresh = self.local(span.text());
            fresh.unwrap_or_else(|| Arc::from(self.fresh_name("every")))
        };
        let (key, value) = (key.map(&mut name), name(value));
        self.enter(&query.stmts);
        let body = self.stmts(&query.stmts);
        self.scopes.pop();
        self.scopes.pop();
        StmtKind::Every { key, value, domain, body }
    }

    fn with(&mut self, with: &ast::WithModifier) -> With {
        let value = self.expr(&with.r#as);
        let path = syntax::path_of(&with.refr).unwrap_or_default();
        let dotted = path.join(".");
        let target = match self.resolve(&path) {
            Some((Root::Data, steps)) => WithTarget::Data(steps),
            Some((Root::Input, steps)) => WithTarget::Input(steps),
            _ => functions::find(&dotted).map_or(WithTarget::Unknown(dotted), WithTarget::Builtin),
        };
        if let WithTarget::Unknown(name) = &target {
            self.error(
                &with.span,
                CheckKind::Type,
                format!("with keyword target must reference existing function, data or input: {name}"),
            );
        }
        With { target, value }
    }

    /// Resolves the first word of a path that is no local variable.
    fn resolve(&self, path: &[String]) -> Option<(Root, Vec<String>)> {
        let (first, rest) = path.split_first()?;
        let (root, mut steps) = match self.imports.get(first) {
            Some(import) => {
                let (root, steps) = import.split_first()?;
                (root.as_str(), steps.to_vec())
            }
            None if first == "data" || first == "input" => (first.as_str(), Vec::new()),
            None if self.names.contains(first) => {
                let mut steps = self.parsed.package.clone();
                steps.push(first.clone());
                ("data", steps)
            }
            None => return None,
        };
        steps.extend(rest.iter().cloned());
        Some((if root == "data" { Root::Data } else { Root::Input }, steps))
    }
}

fn index(offset: u32) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}
