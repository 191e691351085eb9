//! Expressions: variables, references, calls, comprehensions, operators.

use std::sync::Arc;

use regorus::unstable as ast;

use super::{Lower, index};
use crate::rego::{error::CheckKind, functions, ir::*, syntax};

impl Lower<'_, '_> {
    fn exprs(&mut self, exprs: &[ast::Ref<ast::Expr>]) -> Vec<Expr> {
        exprs.iter().map(|expr| self.expr(expr)).collect()
    }

    pub(super) fn expr(&mut self, expr: &ast::Ref<ast::Expr>) -> Expr {
        let line = expr.span().line;
        let kind = match expr.as_ref() {
            ast::Expr::String { span, .. } => ExprKind::Scalar(format!("\"{}\"", span.text())),
            ast::Expr::RawString { span, .. } => ExprKind::Scalar(format!("`{}`", span.text())),
            ast::Expr::Number { span, .. } => ExprKind::Scalar(span.text().to_owned()),
            ast::Expr::Bool { span, .. } | ast::Expr::Null { span, .. } => ExprKind::Scalar(span.text().to_owned()),
            ast::Expr::Var { span, .. } => self.var(span),
            ast::Expr::Array { items, .. } => ExprKind::Array(self.exprs(items)),
            ast::Expr::Set { items, .. } => ExprKind::Set(self.exprs(items)),
            ast::Expr::Object { fields, .. } => {
                ExprKind::Object(fields.iter().map(|(_, key, value)| (self.expr(key), self.expr(value))).collect())
            }
            ast::Expr::ArrayCompr { term, query, .. } => self.comprehension(Collection::Array, None, term, query),
            ast::Expr::SetCompr { term, query, .. } => self.comprehension(Collection::Set, None, term, query),
            ast::Expr::ObjectCompr { key, value, query, .. } => self.comprehension(Collection::Object, Some(key), value, query),
            ast::Expr::Call { fcn, params, .. } => self.call(expr, fcn, params),
            ast::Expr::UnaryExpr { span, .. } => {
                self.error(span, CheckKind::Compile, "unary minus is not supported: write 0 - x");
                ExprKind::Scalar("null".to_owned())
            }
            ast::Expr::RefDot { .. } | ast::Expr::RefBrack { .. } => self.reference(expr),
            ast::Expr::BinExpr { op, lhs, rhs, .. } => {
                let op = if *op == ast::BinOp::Union { Infix::Or } else { Infix::And };
                self.infix(op, lhs, rhs)
            }
            ast::Expr::BoolExpr { op, lhs, rhs, .. } => self.infix(comparison(op), lhs, rhs),
            ast::Expr::ArithExpr { op, lhs, rhs, .. } => self.infix(arithmetic(op), lhs, rhs),
            ast::Expr::AssignExpr { span, .. } => {
                self.error(span, CheckKind::Compile, "an assignment is not a value");
                ExprKind::Scalar("null".to_owned())
            }
            ast::Expr::Membership { key, value, collection, .. } => ExprKind::Member {
                key: key.as_ref().map(|key| Box::new(self.expr(key))),
                value: Box::new(self.expr(value)),
                collection: Box::new(self.expr(collection)),
            },
        };
        Expr { line, kind }
    }

    fn infix(&mut self, op: Infix, left: &ast::Ref<ast::Expr>, right: &ast::Ref<ast::Expr>) -> ExprKind {
        ExprKind::Infix { op, left: Box::new(self.expr(left)), right: Box::new(self.expr(right)) }
    }

    fn var(&mut self, span: &ast::Span) -> ExprKind {
        let name = span.text();
        if name == "_" {
            return ExprKind::Wildcard;
        }
        if let Some(local) = self.local(name) {
            return ExprKind::Local(local);
        }
        if let Some((root, steps)) = self.resolve(&[name.to_owned()]) {
            return ExprKind::Ref { root, steps: steps.into_iter().map(Step::Field).collect() };
        }
        // Neither declared nor global: a variable of the body it stands in.
        self.check_name(span, name);
        self.used.insert(name.to_owned());
        ExprKind::Local(Arc::from(name))
    }

    fn comprehension(
        &mut self,
        kind: Collection,
        key: Option<&ast::Ref<ast::Expr>>,
        value: &ast::Ref<ast::Expr>,
        query: &ast::Query,
    ) -> ExprKind {
        self.enter(&query.stmts);
        let key = key.map(|key| self.expr(key));
        let value = self.expr(value);
        let body = self.stmts(&query.stmts);
        self.scopes.pop();
        ExprKind::Comprehension(Box::new(Comprehension { kind, key, value, body }))
    }

    fn reference(&mut self, expr: &ast::Ref<ast::Expr>) -> ExprKind {
        let mut links: Vec<&ast::Expr> = Vec::new();
        let mut at = expr;
        while let ast::Expr::RefDot { refr, .. } | ast::Expr::RefBrack { refr, .. } = at.as_ref() {
            links.push(at);
            at = refr;
        }
        let root = self.expr(at);
        let steps = links.into_iter().rev().map(|link| self.step(link));
        let steps: Vec<Step> = steps.collect();
        match root.kind {
            ExprKind::Ref { root, steps: mut path } => {
                path.extend(steps);
                ExprKind::Ref { root, steps: path }
            }
            ExprKind::Local(name) => ExprKind::Ref { root: Root::Local(name), steps },
            _ => ExprKind::Ref { root: Root::Term(Box::new(root)), steps },
        }
    }

    pub(super) fn step(&mut self, link: &ast::Expr) -> Step {
        match link {
            ast::Expr::RefDot { field, .. } => Step::Field(field.0.text().to_owned()),
            ast::Expr::RefBrack { index, .. } => match syntax::string_value(index) {
                Some(key) => Step::Field(key),
                None => Step::Index(self.expr(index)),
            },
            other => Step::Field(other.span().text().to_owned()),
        }
    }

    fn call(&mut self, expr: &ast::Ref<ast::Expr>, fcn: &ast::Ref<ast::Expr>, params: &[ast::Ref<ast::Expr>]) -> ExprKind {
        // `x (y)` and, worse, `x` and `(y)` on two lines: the parser takes both
        // for a call, OPA does not.
        if !self.parsed.text.get(index(fcn.span().end)..).unwrap_or_default().starts_with('(') {
            self.error(expr.span(), CheckKind::Compile, "`(` of a call must follow the name at once");
        }
        let args = self.exprs(params);
        ExprKind::Call(Call { target: self.target(fcn), args })
    }

    fn target(&mut self, fcn: &ast::Ref<ast::Expr>) -> Target {
        let Some(path) = syntax::path_of(fcn) else { return Target::Unknown(fcn.span().text().to_owned()) };
        let dotted = path.join(".");
        if path.first().is_some_and(|first| self.local(first).is_some()) {
            return Target::Unknown(dotted);
        }
        if let Some((Root::Data, steps)) = self.resolve(&path) {
            return if self.globals.functions.contains_key(&steps) { Target::Rule(steps) } else { Target::Unknown(dotted) };
        }
        match dotted.as_str() {
            "rego.metadata.chain" => return Target::Metadata((self.metadata)(self.rule, true)),
            "rego.metadata.rule" => return Target::Metadata((self.metadata)(self.rule, false)),
            _ => {}
        }
        functions::find(&dotted).map_or(Target::Unknown(dotted), Target::Builtin)
    }
}

fn comparison(op: &ast::BoolOp) -> Infix {
    match op {
        ast::BoolOp::Lt => Infix::Lt,
        ast::BoolOp::Le => Infix::Le,
        ast::BoolOp::Eq => Infix::Eq,
        ast::BoolOp::Ge => Infix::Ge,
        ast::BoolOp::Gt => Infix::Gt,
        ast::BoolOp::Ne => Infix::Ne,
    }
}

fn arithmetic(op: &ast::ArithOp) -> Infix {
    match op {
        ast::ArithOp::Add => Infix::Add,
        ast::ArithOp::Sub => Infix::Sub,
        ast::ArithOp::Mul => Infix::Mul,
        ast::ArithOp::Div => Infix::Div,
        ast::ArithOp::Mod => Infix::Mod,
    }
}
