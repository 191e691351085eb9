//! What OPA refuses at compile time and the engine would find at run time, if
//! ever: `false; nope(1)` would pass.

use std::{collections::HashMap, sync::Arc};

use super::{
    error::{CheckError, CheckKind, Location},
    functions::{self, By},
    graph::Graph,
    ir::*,
    program::{is_failure, is_warning},
    safety,
};

/// Longest chain of rules, of which each needs the next: the engine evaluates
/// them one inside the other. Conforma's own rules stay below 20.
const MAX_DEPTH: usize = 200;

/// Number of arguments of each function rule.
pub(super) type Arities = HashMap<Vec<String>, usize>;

/// A file, as far as checks need to know it.
pub(super) struct FileInfo {
    pub(super) name: Arc<str>,
    /// Its name ends in `_test.rego`.
    pub(super) is_test: bool,
}

/// Checks all rules and orders their bodies.
pub(super) fn check(rules: &mut [Rule], files: &[FileInfo], arities: &Arities, graph: &Graph, errors: &mut Vec<CheckError>) {
    for rule in rules.iter_mut() {
        let file = &files[rule.file];
        if is_old_set(rule) {
            let reason = format!("rule {} is using 'if' keyword without 'contains' keyword", rule.dotted());
            errors.push(CheckError { at: location(rule, files), kind: CheckKind::Compile, reason });
        }
        let mut calls = Calls { file, arities, rule: rule.line, errors };
        rule.visit(&mut calls);
        let mut found = Vec::new();
        safety::check(rule, &mut found);
        errors.extend(found.into_iter().map(|unsafe_| CheckError {
            at: Location { file: file.name.clone(), line: unsafe_.line, column: 0 },
            kind: CheckKind::UnsafeVar,
            reason: format!("var {} is unsafe", unsafe_.name),
        }));
    }
    conflicts(rules, files, graph, errors);
    let cycles = graph.cycles();
    if cycles.is_empty() && graph.depth() > MAX_DEPTH {
        let at = Location { file: Arc::from(""), line: 0, column: 0 };
        let reason = format!("limit exceeded: more than {MAX_DEPTH} rules that need each other in a row");
        errors.push(CheckError { at, kind: CheckKind::Compile, reason });
    }
    for cycle in cycles {
        let Some(first) = cycle.first() else { continue };
        let rule = &rules[graph.nodes[*first].rules[0]];
        let names: Vec<_> = cycle.iter().map(|at| format!("data.{}", graph.nodes[*at].path.join("."))).collect();
        let reason = format!("rule {} is recursive: {}", names[0], names.join(" -> "));
        errors.push(CheckError { at: location(rule, files), kind: CheckKind::Recursion, reason });
    }
}

/// `deny["x"] if …`: an object in Rego v1, and a set to whoever wrote it.
fn is_old_set(rule: &Rule) -> bool {
    let entry = rule.path.get(rule.package).is_some_and(|name| is_failure(name) || is_warning(name));
    let longer = rule.path.len() > rule.package + 1 || !rule.tail.is_empty();
    entry && longer && matches!(rule.kind, RuleKind::Value)
}

fn location(rule: &Rule, files: &[FileInfo]) -> Location {
    Location { file: files[rule.file].name.clone(), line: rule.line, column: rule.column }
}

struct Calls<'a> {
    file: &'a FileInfo,
    arities: &'a Arities,
    rule: u32,
    errors: &'a mut Vec<CheckError>,
}

impl Calls<'_> {
    fn error(&mut self, line: u32, reason: String) {
        let at = Location { file: self.file.name.clone(), line, column: 0 };
        self.errors.push(CheckError { at, kind: CheckKind::Type, reason });
    }

    fn call(&mut self, call: &Call, line: u32, is_stmt: bool) {
        let (name, want) = match &call.target {
            Target::Unknown(name) => {
                let why = functions::refused(name).map(|reason| format!(": {reason}")).unwrap_or_default();
                return self.error(line, format!("undefined function {name}{why}"));
            }
            Target::Builtin(function) if function.by == By::Nobody => return,
            Target::Builtin(function) => (function.name.to_owned(), usize::from(function.args)),
            Target::Metadata(_) => ("rego.metadata".to_owned(), 0),
            Target::Rule(path) => match self.arities.get(path) {
                Some(args) => (format!("data.{}", path.join(".")), *args),
                None => return self.error(line, format!("undefined function data.{}", path.join("."))),
            },
        };
        if let Target::Builtin(function) = &call.target {
            self.types(function.name, call, line);
        }
        let got = call.args.len();
        let walks = is_stmt && name == "walk" && got == 2;
        if got != want && !walks {
            self.error(line, format!("{name}: arity mismatch: have {got} arguments, want {want}"));
        }
    }
}

impl Calls<'_> {
    /// Conforma declares these lists as lists of exactly one text, so that a
    /// literal with more or fewer does not compile there.
    fn types(&mut self, name: &str, call: &Call, line: u32) {
        if !matches!(name, "ec.oci.blob_files" | "ec.oci.image_files") {
            return;
        }
        if let Some(Expr { kind: ExprKind::Array(items), .. }) = call.args.get(1)
            && items.len() != 1
        {
            self.error(line, format!("{name}: invalid argument(s): have a list of {}, want a list of one text", items.len()));
        }
    }
}

impl<'a> Visitor<'a> for Calls<'_> {
    fn expr(&mut self, expr: &'a Expr) {
        // The engine finds no packages when the first step is not bound yet: a rule
        // that denies by them would see nothing.
        if let ExprKind::Ref { root: Root::Data, steps } = &expr.kind
            && matches!(steps.first(), Some(Step::Index(_)))
        {
            let reason = "data[…]: what stands directly behind data must be a name; packages are not iterated".to_owned();
            self.error(expr.line.max(self.rule), reason);
        }
        if let ExprKind::Call(call) = &expr.kind {
            self.call(call, expr.line.max(self.rule), false);
        }
        walk_expr(self, expr);
    }

    fn stmt(&mut self, stmt: &'a Stmt) {
        for with in &stmt.with {
            if let WithTarget::Builtin(function) = &with.target
                && function.name.starts_with("ec.")
                && !self.file.is_test
            {
                self.error(stmt.line, format!("{} cannot be replaced outside tests", function.name));
            }
        }
        match &stmt.kind {
            StmtKind::Expr(Expr { kind: ExprKind::Call(call), .. }) => {
                self.call(call, stmt.line, true);
                call.args.iter().for_each(|arg| self.expr(arg));
                stmt.with.iter().for_each(|with| self.expr(&with.value));
            }
            _ => walk_stmt(self, stmt),
        }
    }
}

/// What one path may be.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Shape {
    Value,
    Set,
    Function(usize),
    Members,
}

fn shape(rule: &Rule) -> Shape {
    match &rule.kind {
        RuleKind::Function { args } => Shape::Function(args.len()),
        RuleKind::Default { args: Some(args), .. } => Shape::Function(*args),
        _ if !rule.tail.is_empty() => Shape::Members,
        RuleKind::Set { .. } => Shape::Set,
        RuleKind::Default { args: None, .. } | RuleKind::Value => Shape::Value,
    }
}

fn conflicts(rules: &[Rule], files: &[FileInfo], graph: &Graph, errors: &mut Vec<CheckError>) {
    let mut whole: Option<(&Vec<String>, usize)> = None;
    for node in &graph.nodes {
        let first = &rules[node.rules[0]];
        let name = format!("data.{}", node.path.join("."));
        let mut error = |rule: &Rule, reason: String| {
            errors.push(CheckError { at: location(rule, files), kind: CheckKind::Type, reason });
        };
        if let Some(other) = node.rules.iter().map(|at| &rules[*at]).find(|rule| shape(rule) != shape(first)) {
            error(other, format!("conflicting rules {name} found"));
        }
        let defaults = || node.rules.iter().map(|at| &rules[*at]).filter(|rule| matches!(rule.kind, RuleKind::Default { .. }));
        if let Some(second) = defaults().nth(1) {
            error(second, format!("multiple default rules {name} found"));
        }
        // Paths are sorted, so what lies below a rule follows it at once.
        if let Some((path, at)) = whole
            && node.path.starts_with(path)
        {
            error(&rules[at], format!("rule data.{} conflicts with {name}", path.join(".")));
        } else {
            whole = (shape(first) != Shape::Members).then_some((&node.path, node.rules[0]));
        }
    }
}
