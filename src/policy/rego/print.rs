//! Prints normalised rules as one module per package (pass M: the engine looks
//! up the functions of a package in one of its modules only), and remembers for
//! each line where it came from.

use std::{collections::BTreeSet, fmt::Write as _};

use super::{ir::*, lower::OWN_PREFIX};

/// Package of the stand-ins for functions that a test replaces.
const MOCK_PACKAGE: &str = "carnet__mock";
/// What the engine calls for `rego.metadata.chain()` and `rego.metadata.rule()`.
pub(super) const METADATA: &str = "carnet__metadata";
/// What the engine calls for a rule that depends on data alone.
pub(super) const MEMO: &str = "carnet__memo";
/// What the engine calls for a function that is evaluated once for its operands.
pub(super) const RECALL: &str = "carnet__recall";
pub(super) const UNKNOWN: &str = "carnet__unknown";
pub(super) const KEEP: &str = "carnet__keep";

/// A rule as it is printed.
pub(super) struct Item {
    pub(super) rule: Rule,
    /// The rule as messages call it.
    pub(super) name: String,
    pub(super) stand_in: Option<StandIn>,
}

/// What is printed in place of rules that stand elsewhere, under a name of ours.
pub(super) enum StandIn {
    /// A value that is made once per run, by its number.
    Value(usize),
    /// A function that is evaluated once for the same operands.
    Function { number: usize, operands: usize, raw: Vec<String> },
}

/// A call of a function, for records of what went wrong in it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Site {
    /// The rule that calls, as `package.name`.
    pub(super) rule: String,
    /// Number of its file.
    pub(super) file: usize,
    pub(super) line: u32,
    /// The function.
    pub(super) function: &'static str,
}

/// Where a printed line came from: number of the file, and line.
pub(super) type Origin = (usize, u32);

/// A printed module.
pub(super) struct Printed {
    pub(super) text: String,
    /// Origin of each line.
    pub(super) lines: Vec<Origin>,
}

/// Prints the rules of one package.
pub(super) fn module(package: &[String], items: &[Item], mocked: &BTreeSet<&'static str>, sites: &mut Vec<Site>) -> Printed {
    let mut printer =
        Printer { package, mocked, sites, text: String::new(), lines: vec![(0, 0)], file: 0, line: 0, rule: String::new() };
    printer.text.push_str("package ");
    printer.path(package);
    for item in items {
        printer.item(item);
    }
    printer.text.push('\n');
    Printed { text: printer.text, lines: printer.lines }
}

/// Prints the stand-ins: one module per package of functions.
pub(super) fn mocks(mocked: &BTreeSet<&'static str>, sites: &mut Vec<Site>) -> Vec<String> {
    mocked
        .iter()
        .filter_map(|name| super::functions::find(name))
        .map(|function| {
            let site = sites.len();
            sites.push(Site { rule: String::new(), file: 0, line: 0, function: function.name });
            let (package, name) = function.name.rsplit_once('.').unwrap_or(("builtin", function.name));
            let args: Vec<_> = (0..function.args).map(|n| format!("a{n}")).collect();
            let (args, inner) = (args.join(", "), args.iter().map(|arg| format!("{arg}, ")).collect::<String>());
            let engine = function.engine_name();
            format!("package {MOCK_PACKAGE}.{package}\n{name}({args}) := {engine}({inner}{site})\n")
        })
        .collect()
}

struct Printer<'a> {
    package: &'a [String],
    mocked: &'a BTreeSet<&'static str>,
    sites: &'a mut Vec<Site>,
    text: String,
    lines: Vec<Origin>,
    file: usize,
    line: u32,
    rule: String,
}

impl Printer<'_> {
    fn newline(&mut self, line: u32) {
        self.text.push('\n');
        self.line = line;
        self.lines.push((self.file, line));
    }

    /// Begins a new line if the origin is another one: only where the grammar
    /// does not care.
    fn at(&mut self, line: u32) {
        if line > self.line {
            self.newline(line);
        }
    }

    fn item(&mut self, Item { rule, name, stand_in }: &Item) {
        self.file = rule.file;
        self.rule.clone_from(name);
        self.newline(rule.line);
        match stand_in {
            None => self.rule(rule),
            Some(StandIn::Value(number)) => {
                self.path(&rule.path[rule.package..]);
                let _ = write!(self.text, " := {MEMO}({number})");
            }
            Some(StandIn::Function { number, operands, raw }) => {
                self.path(&rule.path[rule.package..]);
                self.recalled(*number, *operands, raw);
            }
        }
    }

    /// What is kept depends on nothing that the engine may evaluate in another order.
    fn recalled(&mut self, number: usize, operands: usize, raw: &[String]) {
        let operands = (0..operands).map(|n| format!("{OWN_PREFIX}a{n}")).collect::<Vec<_>>().join(", ");
        let [value, unknown] = ["v", "u"].map(|name| format!("{OWN_PREFIX}{name}"));
        let _ = write!(self.text, "({operands}) := {value} if {{ {value} := {RECALL}([{operands}], {number}) }} ");
        let _ = write!(self.text, "else := {value} if {{ {unknown} := {UNKNOWN}({number}); ");
        let _ = write!(self.text, "{value} := {KEEP}([{OWN_PREFIX}x | {unknown}; {OWN_PREFIX}x := ");
        self.root("data", raw);
        let _ = write!(self.text, "({operands})], [{operands}], {number}) }}");
    }

    fn rule(&mut self, rule: &Rule) {
        if let RuleKind::Default { args, value } = &rule.kind {
            self.text.push_str("default ");
            self.name(rule);
            if let Some(args) = args {
                let args: Vec<_> = (0..*args).map(|n| format!("{OWN_PREFIX}a{n}")).collect();
                let _ = write!(self.text, "({})", args.join(", "));
            }
            self.text.push_str(" := ");
            return self.expr(value, 6);
        }
        self.name(rule);
        match &rule.kind {
            RuleKind::Set { key } => {
                self.text.push_str(" contains ");
                self.expr(key, 0);
            }
            RuleKind::Function { args } => {
                self.text.push('(');
                self.list(args);
                self.text.push(')');
            }
            RuleKind::Value | RuleKind::Default { .. } => {}
        }
        for (at, clause) in rule.clauses.iter().enumerate() {
            if at > 0 {
                self.newline(clause.line);
                self.text.push_str("else");
            }
            if let Some(value) = &clause.value {
                self.text.push_str(" := ");
                self.expr(value, 0);
            } else if at > 0 {
                self.text.push_str(" := true");
            }
            if clause.has_body {
                self.text.push_str(" if {");
                self.body(&clause.body);
                self.text.push('}');
            }
        }
    }

    fn name(&mut self, rule: &Rule) {
        self.path(&rule.path[rule.package..]);
        self.steps(&rule.tail);
    }

    fn path(&mut self, path: &[String]) {
        let mut rest = path.iter();
        if let Some(first) = rest.next() {
            self.text.push_str(first);
        }
        rest.for_each(|name| self.field(name));
    }

    fn field(&mut self, name: &str) {
        if is_identifier(name) {
            self.text.push('.');
            self.text.push_str(name);
        } else {
            let _ = write!(self.text, "[{}]", serde_json::Value::from(name));
        }
    }

    fn steps(&mut self, steps: &[Step]) {
        for step in steps {
            match step {
                Step::Field(name) => self.field(name),
                Step::Index(index) => {
                    self.text.push('[');
                    self.expr(index, 0);
                    self.text.push(']');
                }
            }
        }
    }

    fn body(&mut self, body: &[Stmt]) {
        for (at, stmt) in body.iter().enumerate() {
            if at > 0 {
                self.text.push(';');
            }
            self.newline(stmt.line);
            self.stmt(stmt);
        }
        // A body with nothing but a union would be taken for a comprehension.
        if let [Stmt { kind: StmtKind::Expr(Expr { kind: ExprKind::Infix { op: Infix::Or, .. }, .. }), .. }] = body {
            self.text.push_str("; true");
        }
        self.text.push('\n');
        self.lines.push((self.file, self.line));
    }

    fn stmt(&mut self, stmt: &Stmt) {
        if stmt.negated {
            self.text.push_str("not ");
        }
        match &stmt.kind {
            StmtKind::Expr(expr) => self.expr(expr, 0),
            StmtKind::Unify { declares, left, right } => {
                self.expr(left, 6);
                self.text.push_str(if *declares { " := " } else { " = " });
                self.expr(right, 0);
            }
            StmtKind::Some(names) => {
                let _ = write!(self.text, "some {}", names.join(", "));
            }
            StmtKind::SomeIn { key, value, collection } => {
                self.text.push_str("some ");
                if let Some(key) = key {
                    self.expr(key, 6);
                    self.text.push_str(", ");
                }
                self.expr(value, 6);
                self.text.push_str(" in ");
                self.expr(collection, 1);
            }
            StmtKind::Every { key, value, domain, body } => {
                self.text.push_str("every ");
                if let Some(key) = key {
                    let _ = write!(self.text, "{key}, ");
                }
                let _ = write!(self.text, "{value} in ");
                self.expr(domain, 1);
                self.text.push_str(" {");
                self.body(body);
                self.text.push('}');
            }
        }
        for with in &stmt.with {
            self.text.push_str(" with ");
            match &with.target {
                WithTarget::Data(path) => self.root("data", path),
                WithTarget::Input(path) => self.root("input", path),
                WithTarget::Builtin(function) => self.function(function.name),
                WithTarget::Unknown(name) => self.text.push_str(name),
            }
            self.text.push_str(" as ");
            match with.value.data_path() {
                Some(path) => self.root("data", &path),
                None => self.expr(&with.value, 0),
            }
        }
    }

    fn root(&mut self, root: &str, path: &[String]) {
        self.text.push_str(root);
        path.iter().for_each(|name| self.field(name));
    }

    fn function(&mut self, name: &str) {
        if self.mocked.contains(name) {
            let package = if name.contains('.') { "" } else { "builtin." };
            let _ = write!(self.text, "data.{MOCK_PACKAGE}.{package}{name}");
        } else {
            self.text.push_str(name);
        }
    }

    fn list(&mut self, items: &[Expr]) {
        for (at, item) in items.iter().enumerate() {
            if at > 0 {
                self.text.push_str(", ");
            }
            self.at(item.line);
            self.expr(item, 0);
        }
    }

    fn expr(&mut self, expr: &Expr, least: u8) {
        if level(expr) < least {
            self.text.push('(');
            self.expr(expr, 0);
            self.text.push(')');
            return;
        }
        match &expr.kind {
            ExprKind::Scalar(text) => self.scalar(text),
            ExprKind::Local(name) => self.text.push_str(name),
            ExprKind::Wildcard => self.text.push('_'),
            ExprKind::Ref { root, steps } => self.reference(root, steps),
            ExprKind::Array(items) => {
                self.text.push('[');
                self.list(items);
                self.text.push(']');
            }
            ExprKind::Set(items) if items.is_empty() => self.text.push_str("set()"),
            ExprKind::Set(items) => {
                self.text.push('{');
                self.list(items);
                self.text.push('}');
            }
            ExprKind::Object(fields) => self.object(fields),
            ExprKind::Comprehension(comprehension) => self.comprehension(comprehension),
            ExprKind::Call(call) => self.call(call, expr.line),
            ExprKind::Infix { op, left, right } => {
                let own = level_of(*op);
                self.expr(left, own);
                let _ = write!(self.text, " {} ", symbol(*op));
                self.expr(right, own + 1);
            }
            ExprKind::Member { key, value, collection } => {
                // With a key only a parenthesised form is an expression anywhere.
                if let Some(key) = key {
                    self.text.push('(');
                    self.expr(key, 1);
                    self.text.push_str(", ");
                }
                self.expr(value, 1);
                self.text.push_str(" in ");
                self.expr(collection, 1);
                if key.is_some() {
                    self.text.push(')');
                }
            }
        }
    }

    /// A raw string may have several lines.
    fn scalar(&mut self, text: &str) {
        self.text.push_str(text);
        for _ in text.matches('\n') {
            self.line += 1;
            self.lines.push((self.file, self.line));
        }
    }

    fn reference(&mut self, root: &Root, steps: &[Step]) {
        match root {
            Root::Data => {
                if let Some((own, rest)) = self.own(steps) {
                    self.text.push_str(own);
                    return self.steps(rest);
                }
                self.text.push_str("data");
            }
            Root::Input => self.text.push_str("input"),
            Root::Local(name) => self.text.push_str(name),
            Root::Term(term) => self.expr(term, 6),
        }
        self.steps(steps);
    }

    /// A rule of this very package goes by its name.
    fn own<'s>(&self, steps: &'s [Step]) -> Option<(&'s String, &'s [Step])> {
        let prefix = steps.get(..self.package.len())?;
        let same = prefix.iter().zip(self.package).all(|(step, name)| matches!(step, Step::Field(field) if field == name));
        match steps.get(self.package.len()..)? {
            [Step::Field(name), rest @ ..] if same && is_identifier(name) => Some((name, rest)),
            _ => None,
        }
    }

    fn object(&mut self, fields: &[(Expr, Expr)]) {
        self.text.push('{');
        for (at, (key, value)) in fields.iter().enumerate() {
            if at > 0 {
                self.text.push_str(", ");
            }
            self.at(key.line);
            self.expr(key, 0);
            self.text.push_str(": ");
            self.expr(value, 0);
        }
        self.text.push('}');
    }

    fn comprehension(&mut self, comprehension: &Comprehension) {
        let (open, close) = if comprehension.kind == Collection::Array { ('[', ']') } else { ('{', '}') };
        self.text.push(open);
        if let Some(key) = &comprehension.key {
            self.expr(key, 0);
            self.text.push_str(": ");
        }
        self.expr(&comprehension.value, 6);
        self.text.push_str(" |");
        self.body(&comprehension.body);
        self.text.push(close);
    }

    fn call(&mut self, call: &Call, line: u32) {
        let site = match &call.target {
            Target::Builtin(function) if self.mocked.contains(function.name) => {
                self.function(function.name);
                None
            }
            Target::Builtin(function) if function.is_replaced() => {
                self.text.push_str(&function.engine_name());
                let site = self.sites.len();
                self.sites.push(Site { rule: self.rule.clone(), file: self.file, line, function: function.name });
                Some(site)
            }
            Target::Builtin(function) => {
                self.text.push_str(function.name);
                None
            }
            // By its full path: under a short name a `with` would not reach it.
            Target::Rule(path) => {
                self.root("data", path);
                None
            }
            Target::Metadata(number) => {
                self.text.push_str(METADATA);
                Some(*number)
            }
            Target::Unknown(name) => {
                self.text.push_str(name);
                None
            }
        };
        self.text.push('(');
        self.list(&call.args);
        if let Some(site) = site {
            let comma = if call.args.is_empty() { "" } else { ", " };
            let _ = write!(self.text, "{comma}{site}");
        }
        self.text.push(')');
    }
}

/// How tightly an expression binds, as the engine's grammar has it.
fn level(expr: &Expr) -> u8 {
    match &expr.kind {
        ExprKind::Member { key: None, .. } => 0,
        ExprKind::Infix { op, .. } => level_of(*op),
        _ => 6,
    }
}

fn level_of(op: Infix) -> u8 {
    match op {
        Infix::Eq | Infix::Ne | Infix::Lt | Infix::Le | Infix::Gt | Infix::Ge => 1,
        Infix::Or => 2,
        Infix::And => 3,
        Infix::Add | Infix::Sub => 4,
        Infix::Mul | Infix::Div | Infix::Mod => 5,
    }
}

fn symbol(op: Infix) -> &'static str {
    match op {
        Infix::Add => "+",
        Infix::Sub => "-",
        Infix::Mul => "*",
        Infix::Div => "/",
        Infix::Mod => "%",
        Infix::And => "&",
        Infix::Or => "|",
        Infix::Eq => "==",
        Infix::Ne => "!=",
        Infix::Lt => "<",
        Infix::Le => "<=",
        Infix::Gt => ">",
        Infix::Ge => ">=",
    }
}

pub(super) fn is_identifier(name: &str) -> bool {
    let mut bytes = name.bytes();
    let starts = bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    starts && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_') && !is_keyword(name)
}

fn is_keyword(name: &str) -> bool {
    matches!(
        name,
        "as" | "contains"
            | "data"
            | "default"
            | "else"
            | "every"
            | "false"
            | "if"
            | "import"
            | "in"
            | "input"
            | "not"
            | "null"
            | "package"
            | "set"
            | "some"
            | "true"
            | "with"
    )
}
