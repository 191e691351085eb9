//! Every variable must be bound by something that can be iterated: OPA refuses
//! such rules, the engine evaluates some of them to true.
//!
//! The statements of a body are also put into an order in which each finds its
//! variables bound, so that the engine never has to guess one.

use std::collections::{BTreeSet, HashSet};

use super::{functions, ir::*};

/// A variable that nothing binds, and the line of the statement that needs it.
pub(super) struct Unsafe {
    pub(super) line: u32,
    pub(super) name: String,
}

/// Checks a rule and orders its bodies.
pub(super) fn check(rule: &mut Rule, found: &mut Vec<Unsafe>) {
    let mut bound = HashSet::new();
    if let RuleKind::Function { args } = &rule.kind {
        args.iter().for_each(|arg| pattern_vars(arg, &mut bound));
    }
    if let RuleKind::Default { value, .. } = &mut rule.kind {
        closures_of(value, &bound, &HashSet::new(), found);
    }
    let mut heads: Vec<&mut Expr> = Vec::new();
    heads.extend(rule.tail.iter_mut().filter_map(|step| match step {
        Step::Index(index) => Some(index),
        Step::Field(_) => None,
    }));
    if let RuleKind::Set { key } = &mut rule.kind {
        heads.push(key);
    }
    for (at, clause) in rule.clauses.iter_mut().enumerate() {
        let mut values: Vec<&mut Expr> = clause.value.iter_mut().collect();
        if at == 0 {
            values.append(&mut heads);
        }
        closure(&mut values, &mut clause.body, &bound, &HashSet::new(), clause.line, found);
    }
}

/// Checks a body and what is made of it; `visible` are the variables of the
/// bodies around it.
fn closure(
    values: &mut [&mut Expr],
    body: &mut Vec<Stmt>,
    bound: &HashSet<Name>,
    visible: &HashSet<Name>,
    line: u32,
    found: &mut Vec<Unsafe>,
) {
    let mut visible = visible.clone();
    body.iter().for_each(|stmt| own_vars_of_stmt(stmt, &mut visible));
    values.iter().for_each(|value| own_vars(value, &mut visible));
    visible.extend(bound.iter().cloned());
    let mut bound = bound.clone();
    let before = found.len();
    order(body, &mut bound, &visible, found);
    for value in values.iter_mut() {
        let mut needs = Needs::new(true);
        needs.expr(value, &visible);
        // What only the head iterates over is bound there.
        bound.extend(needs.gives.iter().cloned());
        if found.len() == before {
            report(&needs, &bound, line, found);
        }
        closures_of(value, &bound, &visible, found);
    }
    for stmt in body.iter_mut() {
        closures_of_stmt(stmt, &bound, &visible, found);
    }
}

/// Puts the statements into an order in which each is ready.
fn order(body: &mut Vec<Stmt>, bound: &mut HashSet<Name>, visible: &HashSet<Name>, found: &mut Vec<Unsafe>) {
    let mut waiting: Vec<Stmt> = std::mem::take(body);
    loop {
        let ready = waiting.iter().position(|stmt| run(stmt, bound, visible));
        let Some(at) = ready else { break };
        body.push(waiting.remove(at));
    }
    for stmt in &waiting {
        let mut needs = Needs::new(!stmt.negated);
        needs.stmt(stmt, visible);
        report(&needs, bound, stmt.line, found);
    }
    body.extend(waiting);
}

fn report(needs: &Needs, bound: &HashSet<Name>, line: u32, found: &mut Vec<Unsafe>) {
    let missing: BTreeSet<&Name> =
        needs.takes.iter().filter(|name| !bound.contains(*name) && !needs.gives.contains(*name)).collect();
    found.extend(missing.into_iter().map(|name| Unsafe { line, name: written(name).to_owned() }));
    if needs.wildcard {
        found.push(Unsafe { line, name: "_".to_owned() });
    }
}

/// The name as the author wrote it.
fn written(name: &str) -> &str {
    name.split_once("_carnet__").map_or(name, |(name, _)| name)
}

/// If a statement is ready, binds what it binds.
fn run(stmt: &Stmt, bound: &mut HashSet<Name>, visible: &HashSet<Name>) -> bool {
    let mut with = Needs::new(false);
    stmt.with.iter().for_each(|with_| with.expr(&with_.value, visible));
    if !with.met(bound) {
        return false;
    }
    match &stmt.kind {
        StmtKind::Unify { left, right, .. } if !stmt.negated => unify(left, right, bound, visible),
        StmtKind::Some(_) => true,
        StmtKind::SomeIn { key, value, collection } => {
            let mut needs = Needs::new(true);
            needs.expr(collection, visible);
            if !needs.met(bound) {
                return false;
            }
            bound.extend(needs.gives);
            key.iter().chain([value]).for_each(|pattern| pattern_vars(pattern, bound));
            true
        }
        StmtKind::Expr(Expr { kind: ExprKind::Call(call), .. }) if !stmt.negated && has_output(call) => {
            let Some((output, args)) = call.args.split_last() else { return false };
            let mut needs = Needs::new(true);
            args.iter().for_each(|arg| needs.expr(arg, visible));
            if !needs.met(bound) {
                return false;
            }
            bound.extend(needs.gives);
            pattern_vars(output, bound);
            true
        }
        _ => {
            let mut needs = Needs::new(!stmt.negated);
            needs.stmt(stmt, visible);
            let ready = needs.met(bound);
            if ready {
                bound.extend(needs.gives);
            }
            ready
        }
    }
}

/// `walk(x, [path, value])`.
fn has_output(call: &Call) -> bool {
    matches!(call.target, Target::Builtin(f) if f.by == functions::By::Relation) && call.args.len() == 2
}

fn unify(left: &Expr, right: &Expr, bound: &mut HashSet<Name>, visible: &HashSet<Name>) -> bool {
    if let (ExprKind::Array(left), ExprKind::Array(right)) = (&left.kind, &right.kind)
        && left.len() == right.len()
    {
        return left.iter().zip(right).all(|(left, right)| unify(left, right, bound, visible));
    }
    for (pattern, value) in [(left, right), (right, left)] {
        let mut needs = Needs::new(true);
        needs.expr(value, visible);
        if !needs.met(bound) {
            continue;
        }
        let mut given = bound.clone();
        given.extend(needs.gives);
        pattern_vars(pattern, &mut given);
        let mut rest = Needs::new(true);
        rest.expr(pattern, visible);
        rest.wildcard = false;
        if rest.met(&given) {
            given.extend(rest.gives);
            *bound = given;
            return true;
        }
    }
    false
}

/// The variables of a pattern: those that unification binds.
fn pattern_vars(pattern: &Expr, vars: &mut HashSet<Name>) {
    match &pattern.kind {
        ExprKind::Local(name) => {
            vars.insert(name.clone());
        }
        ExprKind::Array(items) | ExprKind::Set(items) => items.iter().for_each(|item| pattern_vars(item, vars)),
        ExprKind::Object(fields) => fields.iter().for_each(|(_, value)| pattern_vars(value, vars)),
        _ => {}
    }
}

/// What an expression needs to be bound, and what it binds itself.
struct Needs {
    takes: HashSet<Name>,
    gives: HashSet<Name>,
    wildcard: bool,
    positive: bool,
}

impl Needs {
    fn new(positive: bool) -> Self {
        Self { takes: HashSet::new(), gives: HashSet::new(), wildcard: false, positive }
    }

    fn met(&self, bound: &HashSet<Name>) -> bool {
        !self.wildcard && self.takes.iter().all(|name| bound.contains(name) || self.gives.contains(name))
    }

    fn stmt(&mut self, stmt: &Stmt, visible: &HashSet<Name>) {
        match &stmt.kind {
            StmtKind::Expr(expr) => self.expr(expr, visible),
            StmtKind::Unify { left, right, .. } => {
                self.expr(left, visible);
                self.expr(right, visible);
            }
            StmtKind::Some(_) => {}
            StmtKind::SomeIn { collection, .. } => self.expr(collection, visible),
            StmtKind::Every { key, value, domain, body } => {
                self.expr(domain, visible);
                let mut inner = HashSet::new();
                body.iter().for_each(|stmt| all_vars_of_stmt(stmt, &mut inner));
                key.iter().chain([value]).for_each(|name| {
                    inner.remove(name);
                });
                self.takes.extend(inner.into_iter().filter(|name| visible.contains(name)));
            }
        }
        stmt.with.iter().for_each(|with| self.expr(&with.value, visible));
    }

    fn expr(&mut self, expr: &Expr, visible: &HashSet<Name>) {
        match &expr.kind {
            ExprKind::Local(name) => {
                self.takes.insert(name.clone());
            }
            ExprKind::Wildcard => self.wildcard = true,
            ExprKind::Ref { root, steps } => {
                match root {
                    Root::Local(name) => {
                        self.takes.insert(name.clone());
                    }
                    Root::Term(term) => self.expr(term, visible),
                    Root::Data | Root::Input => {}
                }
                steps.iter().for_each(|step| self.step(step, visible));
            }
            ExprKind::Comprehension(_) => {
                let mut inner = HashSet::new();
                all_vars(expr, &mut inner);
                self.takes.extend(inner.into_iter().filter(|name| visible.contains(name)));
            }
            _ => expr.parts(&mut |part| self.expr(part, visible)),
        }
    }

    /// A free variable in brackets iterates, unless the statement is negated.
    fn step(&mut self, step: &Step, visible: &HashSet<Name>) {
        let Step::Index(index) = step else { return };
        if !self.positive {
            return self.expr(index, visible);
        }
        match &index.kind {
            ExprKind::Wildcard => {}
            ExprKind::Local(name) => {
                self.gives.insert(name.clone());
            }
            ExprKind::Array(items) => items.iter().for_each(|item| self.step(&Step::Index(item.clone()), visible)),
            _ => self.expr(index, visible),
        }
    }
}

/// Variables of an expression outside its closures.
fn own_vars(expr: &Expr, vars: &mut HashSet<Name>) {
    match &expr.kind {
        ExprKind::Local(name) | ExprKind::Ref { root: Root::Local(name), .. } => {
            vars.insert(name.clone());
        }
        _ => {}
    }
    expr.parts(&mut |part| own_vars(part, vars));
}

fn own_vars_of_stmt(stmt: &Stmt, vars: &mut HashSet<Name>) {
    match &stmt.kind {
        StmtKind::Expr(expr) => own_vars(expr, vars),
        StmtKind::Unify { left, right, .. } => {
            own_vars(left, vars);
            own_vars(right, vars);
        }
        StmtKind::Some(names) => vars.extend(names.iter().cloned()),
        StmtKind::SomeIn { key, value, collection } => {
            key.iter().for_each(|key| own_vars(key, vars));
            own_vars(value, vars);
            own_vars(collection, vars);
        }
        StmtKind::Every { domain, .. } => own_vars(domain, vars),
    }
    stmt.with.iter().for_each(|with| own_vars(&with.value, vars));
}

/// Variables of an expression with everything inside.
struct AllVars<'s>(&'s mut HashSet<Name>);

impl<'a> Visitor<'a> for AllVars<'_> {
    fn expr(&mut self, expr: &'a Expr) {
        match &expr.kind {
            ExprKind::Local(name) | ExprKind::Ref { root: Root::Local(name), .. } => {
                self.0.insert(name.clone());
            }
            _ => {}
        }
        walk_expr(self, expr);
    }
}

fn all_vars(expr: &Expr, vars: &mut HashSet<Name>) {
    AllVars(vars).expr(expr);
}

fn all_vars_of_stmt(stmt: &Stmt, vars: &mut HashSet<Name>) {
    AllVars(vars).stmt(stmt);
}

fn closures_of_stmt(stmt: &mut Stmt, bound: &HashSet<Name>, visible: &HashSet<Name>, found: &mut Vec<Unsafe>) {
    match &mut stmt.kind {
        StmtKind::Expr(expr) => closures_of(expr, bound, visible, found),
        StmtKind::Unify { left, right, .. } => {
            closures_of(left, bound, visible, found);
            closures_of(right, bound, visible, found);
        }
        StmtKind::Some(_) => {}
        StmtKind::SomeIn { key, value, collection } => {
            key.iter_mut().for_each(|key| closures_of(key, bound, visible, found));
            closures_of(value, bound, visible, found);
            closures_of(collection, bound, visible, found);
        }
        StmtKind::Every { key, value, domain, body } => {
            closures_of(domain, bound, visible, found);
            let mut bound = bound.clone();
            bound.extend(key.iter().cloned().chain([value.clone()]));
            closure(&mut [], body, &bound, visible, stmt.line, found);
        }
    }
    for with in &mut stmt.with {
        closures_of(&mut with.value, bound, visible, found);
    }
}

/// Checks the comprehensions inside an expression.
fn closures_of(expr: &mut Expr, bound: &HashSet<Name>, visible: &HashSet<Name>, found: &mut Vec<Unsafe>) {
    let line = expr.line;
    if let ExprKind::Comprehension(comprehension) = &mut expr.kind {
        let Comprehension { key, value, body, .. } = comprehension.as_mut();
        let mut values: Vec<&mut Expr> = key.iter_mut().chain([value]).collect();
        return closure(&mut values, body, bound, visible, line, found);
    }
    expr.parts_mut(&mut |part| closures_of(part, bound, visible, found));
}
