//! Rules with every name resolved: what the checks and the normaliser work on.

use std::sync::Arc;

/// A name of a local variable, unique within its rule.
pub(super) type Name = Arc<str>;

/// An expression and the line on which it begins.
#[derive(Clone, Debug)]
pub(super) struct Expr {
    pub(super) line: u32,
    pub(super) kind: ExprKind,
}

#[derive(Clone, Debug)]
pub(super) enum ExprKind {
    /// A number, string, raw string, boolean or null, as written.
    Scalar(String),
    /// A local variable.
    Local(Name),
    /// `_`.
    Wildcard,
    /// A reference: a root and at least one step, or `data` or `input` alone.
    Ref {
        root: Root,
        steps: Vec<Step>,
    },
    Array(Vec<Expr>),
    Set(Vec<Expr>),
    Object(Vec<(Expr, Expr)>),
    Comprehension(Box<Comprehension>),
    Call(Call),
    Infix {
        op: Infix,
        left: Box<Expr>,
        right: Box<Expr>,
    },
    Member {
        key: Option<Box<Expr>>,
        value: Box<Expr>,
        collection: Box<Expr>,
    },
}

/// Where a reference begins.
#[derive(Clone, Debug)]
pub(super) enum Root {
    Data,
    Input,
    Local(Name),
    /// A term, such as an array or a call.
    Term(Box<Expr>),
}

/// One step of a reference.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// A constant key.
    Field(String),
    /// Anything in brackets but a string.
    Index(Expr),
}

#[derive(Clone, Debug)]
pub(super) struct Comprehension {
    pub(super) kind: Collection,
    /// Key of an object.
    pub(super) key: Option<Expr>,
    pub(super) value: Expr,
    pub(super) body: Vec<Stmt>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Collection {
    Array,
    Set,
    Object,
}

#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) target: Target,
    pub(super) args: Vec<Expr>,
}

/// What is called.
#[derive(Clone, Debug)]
pub(super) enum Target {
    /// A function of OPA, of Conforma, or of our own.
    Builtin(&'static super::functions::Function),
    /// A function rule, by path without `data`.
    Rule(Vec<String>),
    /// `rego.metadata.chain()` or `rego.metadata.rule()`, by number.
    Metadata(usize),
    /// Nothing known under this name.
    Unknown(String),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Infix {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    And,
    Or,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

/// A statement of a body.
#[derive(Clone, Debug)]
pub(super) struct Stmt {
    pub(super) line: u32,
    pub(super) negated: bool,
    pub(super) kind: StmtKind,
    pub(super) with: Vec<With>,
}

#[derive(Clone, Debug)]
pub(super) enum StmtKind {
    Expr(Expr),
    /// `left := right`, and `left = right` when not `declares`.
    Unify {
        declares: bool,
        left: Expr,
        right: Expr,
    },
    Some(Vec<Name>),
    SomeIn {
        key: Option<Expr>,
        value: Expr,
        collection: Expr,
    },
    Every {
        key: Option<Name>,
        value: Name,
        domain: Expr,
        body: Vec<Stmt>,
    },
}

#[derive(Clone, Debug)]
pub(super) struct With {
    pub(super) target: WithTarget,
    pub(super) value: Expr,
}

#[derive(Clone, Debug)]
pub(super) enum WithTarget {
    Data(Vec<String>),
    Input(Vec<String>),
    Builtin(&'static super::functions::Function),
    Unknown(String),
}

/// A rule.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) file: usize,
    pub(super) line: u32,
    pub(super) column: u32,
    /// Constant part of the path, package included, without `data`.
    pub(super) path: Vec<String>,
    /// How many of `path` are the package.
    pub(super) package: usize,
    /// Variable part of the head reference.
    pub(super) tail: Vec<Step>,
    pub(super) kind: RuleKind,
    pub(super) clauses: Vec<Clause>,
}

#[derive(Clone, Debug)]
pub(super) enum RuleKind {
    /// `default name := value`, with the number of arguments of a function.
    Default {
        args: Option<usize>,
        value: Expr,
    },
    /// One value, or one member of an object when the path has variables.
    Value,
    /// `name contains key`.
    Set {
        key: Expr,
    },
    Function {
        args: Vec<Expr>,
    },
}

/// A body with the value it gives; the second and later ones are `else`.
#[derive(Clone, Debug)]
pub(super) struct Clause {
    pub(super) line: u32,
    pub(super) value: Option<Expr>,
    pub(super) body: Vec<Stmt>,
    /// Whether there was a body at all.
    pub(super) has_body: bool,
}

/// The walk over the parts of an expression, once to read and once to change them.
macro_rules! parts {
    ($(#[$doc:meta])* $name:ident $($mut:tt)?) => {
        $(#[$doc])*
        pub(super) fn $name<'a>(&'a $($mut)? self, visit: &mut dyn FnMut(&'a $($mut)? Expr)) {
            match &$($mut)? self.kind {
                ExprKind::Scalar(_) | ExprKind::Local(_) | ExprKind::Wildcard | ExprKind::Comprehension(_) => {}
                ExprKind::Ref { root, steps } => {
                    if let Root::Term(term) = root {
                        visit(term);
                    }
                    for step in steps {
                        if let Step::Index(index) = step {
                            visit(index);
                        }
                    }
                }
                ExprKind::Array(items) | ExprKind::Set(items) => items.into_iter().for_each(visit),
                ExprKind::Object(fields) => fields.into_iter().for_each(|(key, value)| {
                    visit(key);
                    visit(value);
                }),
                ExprKind::Call(call) => for arg in &$($mut)? call.args {
                    visit(arg);
                },
                ExprKind::Infix { left, right, .. } => {
                    visit(left);
                    visit(right);
                }
                ExprKind::Member { key, value, collection } => {
                    if let Some(key) = key {
                        visit(key);
                    }
                    visit(value);
                    visit(collection);
                }
            }
        }
    };
}

impl Expr {
    pub(super) fn new(line: u32, kind: ExprKind) -> Self {
        Self { line, kind }
    }

    pub(super) fn local(line: u32, name: &Name) -> Self {
        Self { line, kind: ExprKind::Local(name.clone()) }
    }

    parts!(
        /// Calls `visit` with every direct part that is evaluated in the same body.
        parts
    );
    parts!(
        /// As [`Expr::parts`], for changing them.
        parts_mut mut
    );

    /// The path of a constant reference into `data`.
    pub(super) fn data_path(&self) -> Option<Vec<String>> {
        let ExprKind::Ref { root: Root::Data, steps } = &self.kind else { return None };
        let field = |step: &Step| match step {
            Step::Field(name) => Some(name.clone()),
            Step::Index(_) => None,
        };
        steps.iter().map(field).collect()
    }

    /// Whether evaluating it calls something.
    pub(super) fn is_call(&self) -> bool {
        matches!(self.kind, ExprKind::Call(_) | ExprKind::Member { .. } | ExprKind::Infix { .. })
    }
}

impl Rule {
    /// The name in its package, such as `deny`.
    pub(super) fn name(&self) -> String {
        self.path[self.package..].join(".")
    }

    /// The full path with dots, without `data`.
    pub(super) fn dotted(&self) -> String {
        self.path.join(".")
    }

    /// Calls `visit` with every expression that stands directly in the rule and
    /// with every body, head first.
    pub(super) fn visit<'a>(&'a self, visitor: &mut dyn Visitor<'a>) {
        for step in &self.tail {
            if let Step::Index(index) = step {
                visitor.expr(index);
            }
        }
        match &self.kind {
            RuleKind::Default { value, .. } => visitor.expr(value),
            RuleKind::Value => {}
            RuleKind::Set { key } => visitor.expr(key),
            RuleKind::Function { args } => args.iter().for_each(|arg| visitor.expr(arg)),
        }
        for clause in &self.clauses {
            if let Some(value) = &clause.value {
                visitor.expr(value);
            }
            clause.body.iter().for_each(|stmt| visitor.stmt(stmt));
        }
    }
}

/// Walks over everything in a rule, closures included.
pub(super) trait Visitor<'a> {
    fn expr(&mut self, expr: &'a Expr) {
        walk_expr(self, expr);
    }

    fn stmt(&mut self, stmt: &'a Stmt) {
        walk_stmt(self, stmt);
    }
}

pub(super) fn walk_expr<'a, V: Visitor<'a> + ?Sized>(visitor: &mut V, expr: &'a Expr) {
    if let ExprKind::Comprehension(comprehension) = &expr.kind {
        if let Some(key) = &comprehension.key {
            visitor.expr(key);
        }
        visitor.expr(&comprehension.value);
        comprehension.body.iter().for_each(|stmt| visitor.stmt(stmt));
    }
    expr.parts(&mut |part| visitor.expr(part));
}

pub(super) fn walk_stmt<'a, V: Visitor<'a> + ?Sized>(visitor: &mut V, stmt: &'a Stmt) {
    match &stmt.kind {
        StmtKind::Expr(expr) => visitor.expr(expr),
        StmtKind::Unify { left, right, .. } => {
            visitor.expr(left);
            visitor.expr(right);
        }
        StmtKind::Some(_) => {}
        StmtKind::SomeIn { key, value, collection } => {
            if let Some(key) = key {
                visitor.expr(key);
            }
            visitor.expr(value);
            visitor.expr(collection);
        }
        StmtKind::Every { domain, body, .. } => {
            visitor.expr(domain);
            body.iter().for_each(|stmt| visitor.stmt(stmt));
        }
    }
    for with in &stmt.with {
        visitor.expr(&with.value);
    }
}
