//! Rewrites rules so that the engine gives them the meaning that OPA gives them.
//!
//! | pass | the engine without it |
//! |---|---|
//! | `walk` (W) | `walk(x)` as a value is silently undefined |
//! | `sequence` (S) | `some x in 1` is an error, not an empty iteration |
//! | `negation` (N) | `not f(x)` is true when `x` is undefined, where OPA fails the body |
//! | `otherwise` (E) | a clause whose value is undefined ends the `else` chain |
//! | `hoist_with` (H) | rules evaluated for the value of a `with` lose their own values |
//! | `bounded` | what rules collect takes all memory there is |
//! | `operators` | `x in undefined` is false, `1 + "a"` an error; both are undefined |
//!
//! Passes A and R (imports, variable names) are part of lowering, pass M (one
//! module per package) of printing.

use std::sync::Arc;

use super::{check::Arities, functions, ir::*, lower::OWN_PREFIX};

macro_rules! passes {
    ($($(#[$doc:meta])* $name:ident)*) => {
        /// Which passes run; tests switch one off to prove that it is needed.
        #[derive(Clone, Copy, Debug)]
        pub(super) struct Passes {
            $($(#[$doc])* pub(super) $name: bool,)*
        }

        impl Passes {
            pub(super) const ALL: Self = Self { $($name: true,)* };

            /// All passes but one, by its name.
            #[cfg(test)]
            pub(super) const BUT_ONE: &[(&str, Self)] = &[$((stringify!($name), Self { $name: false, ..Self::ALL }),)*];
        }
    };
}

passes! {
    /// What rules collect is counted.
    bounded
    hoist_with
    /// Rules that depend on data alone are evaluated once per run.
    keep
    merge
    negation
    operators
    otherwise
    /// Functions are evaluated once for the same operands.
    recall
    rename
    sequence
    walk
}

/// Normalises a rule; afterwards no closure, body or head is left as it was.
pub(super) fn normalise(rule: &mut Rule, functions: &Arities, passes: Passes) {
    let mut normaliser = Normaliser { functions, passes, fresh: 0 };
    normaliser.rule(rule);
}

struct Normaliser<'a> {
    /// Number of arguments of each function rule.
    functions: &'a Arities,
    passes: Passes,
    fresh: u32,
}

impl Normaliser<'_> {
    fn fresh(&mut self) -> Name {
        self.fresh += 1;
        Arc::from(format!("{OWN_PREFIX}{}", self.fresh))
    }

    fn rule(&mut self, rule: &mut Rule) {
        for step in &mut rule.tail {
            self.step(step);
        }
        match &mut rule.kind {
            RuleKind::Default { value, .. } => self.expr(value),
            RuleKind::Value => {}
            RuleKind::Set { key } => {
                self.expr(key);
                if self.passes.bounded && rule.clauses.iter().any(|clause| generators(&clause.body) > 0) {
                    wrap(key, "carnet.element");
                }
            }
            RuleKind::Function { args } => args.iter_mut().for_each(|arg| self.expr(arg)),
        }
        let chain = rule.clauses.len() > 1;
        let grows = self.passes.bounded && !rule.tail.is_empty() && matches!(rule.kind, RuleKind::Value);
        for clause in &mut rule.clauses {
            if let Some(value) = &mut clause.value {
                self.expr(value);
                if grows && generators(&clause.body) > 0 {
                    wrap(value, "carnet.element");
                }
            }
            self.body(&mut clause.body);
            if chain && self.passes.otherwise {
                self.value_into_body(clause);
            }
        }
    }

    /// Pass E: an undefined value makes the body fail, and the next clause runs.
    fn value_into_body(&mut self, clause: &mut Clause) {
        let Some(value) = &mut clause.value else { return };
        if matches!(value.kind, ExprKind::Scalar(_) | ExprKind::Local(_)) {
            return;
        }
        let (line, name) = (value.line, self.fresh());
        let moved = std::mem::replace(value, Expr::local(line, &name));
        clause.body.push(bind(line, &name, moved, Vec::new()));
        clause.has_body = true;
    }

    fn body(&mut self, body: &mut Vec<Stmt>) {
        let mut out = Vec::with_capacity(body.len());
        for stmt in std::mem::take(body) {
            self.stmt(stmt, &mut out);
        }
        *body = out;
    }

    fn stmt(&mut self, mut stmt: Stmt, out: &mut Vec<Stmt>) {
        if is_dropped(&stmt) {
            let kind = StmtKind::Expr(Expr::new(stmt.line, ExprKind::Scalar("true".to_owned())));
            out.push(Stmt { kind, negated: false, with: Vec::new(), ..stmt });
            return;
        }
        match &mut stmt.kind {
            StmtKind::Expr(Expr { kind: ExprKind::Call(call), .. }) if is_walk(call, 2) => {
                call.args.iter_mut().for_each(|arg| self.expr(arg));
                if let Some(document) = call.args.first_mut().filter(|_| self.passes.bounded) {
                    wrap(document, "carnet.walkable");
                }
            }
            StmtKind::Expr(expr) => self.expr(expr),
            StmtKind::Unify { left, right, .. } => {
                self.expr(left);
                self.expr(right);
            }
            StmtKind::Some(_) => {}
            StmtKind::SomeIn { key, value, collection } => {
                if let Some(key) = key {
                    self.expr(key);
                }
                self.expr(value);
                self.expr(collection);
                if self.passes.sequence && !is_collection(collection) {
                    wrap(collection, "carnet.sequence");
                }
            }
            StmtKind::Every { domain, body, .. } => {
                self.expr(domain);
                self.body(body);
            }
        }
        for with in &mut stmt.with {
            self.expr(&mut with.value);
        }
        if self.passes.hoist_with {
            self.hoist_with(&mut stmt, out);
        }
        if stmt.negated && self.passes.negation {
            self.hoist_operands(&mut stmt, out);
        }
        out.push(stmt);
    }

    /// Pass H.
    fn hoist_with(&mut self, stmt: &mut Stmt, out: &mut Vec<Stmt>) {
        for with in &mut stmt.with {
            let plain = matches!(with.value.kind, ExprKind::Scalar(_) | ExprKind::Local(_));
            let mock = with.value.data_path().is_some_and(|path| self.functions.contains_key(&path));
            if !plain && !mock {
                let (line, name) = (with.value.line, self.fresh());
                let value = std::mem::replace(&mut with.value, Expr::local(line, &name));
                out.push(bind(line, &name, value, Vec::new()));
            }
        }
    }

    /// Pass N: OPA evaluates the operands of a negated call before the `not`.
    fn hoist_operands(&mut self, stmt: &mut Stmt, out: &mut Vec<Stmt>) {
        let with = stmt.with.clone();
        match &mut stmt.kind {
            StmtKind::Expr(expr) => match &mut expr.kind {
                ExprKind::Call(call) => call.args.iter_mut().for_each(|arg| self.hoist(arg, &with, out)),
                ExprKind::Infix { op: Infix::Eq, left, right } => {
                    self.hoist_calls(left, &with, out);
                    self.hoist_calls(right, &with, out);
                }
                ExprKind::Infix { left, right, .. } => {
                    self.hoist(left, &with, out);
                    self.hoist(right, &with, out);
                }
                ExprKind::Member { key, value, collection } => {
                    if let Some(key) = key {
                        self.hoist(key, &with, out);
                    }
                    self.hoist(value, &with, out);
                    self.hoist(collection, &with, out);
                }
                _ => self.hoist_calls(expr, &with, out),
            },
            StmtKind::Unify { left, right, .. } => {
                self.hoist_calls(left, &with, out);
                self.hoist_calls(right, &with, out);
            }
            StmtKind::Some(_) | StmtKind::SomeIn { .. } | StmtKind::Every { .. } => {}
        }
    }

    /// Binds a whole operand to a variable before the statement.
    fn hoist(&mut self, operand: &mut Expr, with: &[With], out: &mut Vec<Stmt>) {
        if matches!(operand.kind, ExprKind::Scalar(_) | ExprKind::Local(_) | ExprKind::Wildcard | ExprKind::Comprehension(_)) {
            return;
        }
        let (line, name) = (operand.line, self.fresh());
        let value = std::mem::replace(operand, Expr::local(line, &name));
        out.push(bind(line, &name, value, with.to_vec()));
    }

    /// Binds only the calls inside an operand: what a reference refers to stays
    /// part of the negated expression.
    fn hoist_calls(&mut self, operand: &mut Expr, with: &[With], out: &mut Vec<Stmt>) {
        if operand.is_call() {
            return self.hoist(operand, with, out);
        }
        match &mut operand.kind {
            ExprKind::Ref { root, steps } => {
                if let Root::Term(term) = root {
                    self.hoist_calls(term, with, out);
                }
                for step in steps {
                    if let Step::Index(index) = step {
                        self.hoist(index, with, out);
                    }
                }
            }
            ExprKind::Array(items) | ExprKind::Set(items) => items.iter_mut().for_each(|item| self.hoist(item, with, out)),
            ExprKind::Object(fields) => fields.iter_mut().for_each(|(key, value)| {
                self.hoist(key, with, out);
                self.hoist(value, with, out);
            }),
            _ => {}
        }
    }

    fn step(&mut self, step: &mut Step) {
        if let Step::Index(index) = step {
            self.expr(index);
        }
    }

    fn expr(&mut self, expr: &mut Expr) {
        match &mut expr.kind {
            ExprKind::Scalar(_) | ExprKind::Local(_) | ExprKind::Wildcard => {}
            ExprKind::Ref { root, steps } => {
                if let Root::Term(term) = root {
                    self.expr(term);
                }
                steps.iter_mut().for_each(|step| self.step(step));
            }
            ExprKind::Array(items) | ExprKind::Set(items) => items.iter_mut().for_each(|item| self.expr(item)),
            ExprKind::Object(fields) => fields.iter_mut().for_each(|(key, value)| {
                self.expr(key);
                self.expr(value);
            }),
            ExprKind::Comprehension(comprehension) => {
                if let Some(key) = &mut comprehension.key {
                    self.expr(key);
                }
                let product = self.passes.bounded && generators(&comprehension.body) > 1;
                self.expr(&mut comprehension.value);
                self.body(&mut comprehension.body);
                if product {
                    wrap(&mut comprehension.value, "carnet.element");
                }
            }
            ExprKind::Call(call) => call.args.iter_mut().for_each(|arg| self.expr(arg)),
            ExprKind::Infix { left, right, .. } => {
                self.expr(left);
                self.expr(right);
            }
            ExprKind::Member { key, value, collection } => {
                if let Some(key) = key {
                    self.expr(key);
                }
                self.expr(value);
                self.expr(collection);
            }
        }
        self.replace(expr);
    }

    /// Replaces an expression whose parts are normalised.
    fn replace(&mut self, expr: &mut Expr) {
        match &mut expr.kind {
            ExprKind::Comprehension(_) if self.passes.bounded => wrap(expr, "carnet.made"),
            ExprKind::Call(call) if self.passes.walk && is_walk(call, 1) => {
                let args = std::mem::take(&mut call.args);
                let walk = own_call("carnet.walk", args, expr.line);
                let any = Step::Index(Expr::new(expr.line, ExprKind::Wildcard));
                expr.kind = ExprKind::Ref { root: Root::Term(Box::new(walk)), steps: vec![any] };
            }
            ExprKind::Infix { op, left, right } if self.passes.operators => {
                let Some(name) = operator(*op) else { return };
                let args = vec![take(left), take(right)];
                *expr = own_call(name, args, expr.line);
            }
            ExprKind::Member { key, value, collection } if self.passes.operators => {
                let name = if key.is_some() { "carnet.member_of" } else { "carnet.member" };
                let args = key.iter_mut().map(take).chain([take(value), take(collection)]).collect();
                *expr = own_call(name, args, expr.line);
            }
            _ => {}
        }
    }
}

/// `print(…)`: OPA drops the statement unless it is asked to print.
fn is_dropped(stmt: &Stmt) -> bool {
    let StmtKind::Expr(Expr { kind: ExprKind::Call(call), .. }) = &stmt.kind else { return false };
    matches!(call.target, Target::Builtin(f) if f.by == functions::By::Nobody)
}

/// How many statements of a body iterate.
fn generators(body: &[Stmt]) -> usize {
    body.iter()
        .filter(|stmt| !stmt.negated)
        .map(|stmt| match &stmt.kind {
            StmtKind::SomeIn { .. } => 1,
            StmtKind::Expr(expr) => iterations(expr),
            StmtKind::Unify { left, right, .. } => iterations(left) + iterations(right),
            StmtKind::Some(_) | StmtKind::Every { .. } => 0,
        })
        .sum()
}

/// How many brackets of an expression may iterate.
fn iterations(expr: &Expr) -> usize {
    let mut count = match &expr.kind {
        ExprKind::Ref { steps, .. } => {
            let open = |step: &&Step| {
                matches!(step, Step::Index(Expr { kind: ExprKind::Wildcard | ExprKind::Local(_) | ExprKind::Array(_), .. }))
            };
            steps.iter().filter(open).count()
        }
        ExprKind::Call(call) => usize::from(is_walk(call, 1) || is_walk(call, 2)),
        _ => 0,
    };
    expr.parts(&mut |part| count += iterations(part));
    count
}

fn is_walk(call: &Call, args: usize) -> bool {
    matches!(call.target, Target::Builtin(f) if f.by == functions::By::Relation) && call.args.len() == args
}

fn is_collection(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Array(_) | ExprKind::Set(_) | ExprKind::Object(_) | ExprKind::Comprehension(_) => true,
        ExprKind::Call(Call { target: Target::Builtin(function), .. }) => function.name == "carnet.made",
        _ => false,
    }
}

fn operator(op: Infix) -> Option<&'static str> {
    Some(match op {
        Infix::Add => "carnet.plus",
        Infix::Sub => "carnet.minus",
        Infix::Mul => "carnet.times",
        Infix::Div => "carnet.div",
        Infix::Mod => "carnet.rem",
        Infix::And => "carnet.intersection",
        Infix::Or => "carnet.union",
        Infix::Eq | Infix::Ne | Infix::Lt | Infix::Le | Infix::Gt | Infix::Ge => return None,
    })
}

fn own_call(name: &str, args: Vec<Expr>, line: u32) -> Expr {
    let target = functions::own(name).map_or_else(|| Target::Unknown(name.to_owned()), Target::Builtin);
    Expr::new(line, ExprKind::Call(Call { target, args }))
}

fn wrap(expr: &mut Expr, name: &str) {
    let line = expr.line;
    let inner = std::mem::replace(expr, Expr::new(line, ExprKind::Wildcard));
    *expr = own_call(name, vec![inner], line);
}

fn take(expr: &mut Box<Expr>) -> Expr {
    let line = expr.line;
    std::mem::replace(expr, Expr::new(line, ExprKind::Wildcard))
}

/// `name := value`.
fn bind(line: u32, name: &Name, value: Expr, with: Vec<With>) -> Stmt {
    let kind = StmtKind::Unify { declares: true, left: Expr::local(line, name), right: value };
    Stmt { line, negated: false, kind, with }
}
