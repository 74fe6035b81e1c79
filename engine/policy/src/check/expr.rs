//! Conditions: from a tree of `and`, `or`, `not` and comparisons to a list of operations.

use super::build::{Builder, number};
use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::program::{Atom, Check, CondId, Const, Op};
use crate::schema::Type;
use crate::span::{Span, Spanned};
use crate::syntax::ast::{Expr, Operand};

impl Builder<'_> {
    /// Builds a condition. Returns `None` if a part of it was reported.
    pub(super) fn condition(&mut self, expr: &Spanned<Expr>) -> Option<CondId> {
        let mut ops = Vec::new();
        let good = self.emit(expr, &mut ops) && self.is_of_bounded_breadth(&ops, expr.span);
        good.then(|| self.condition_id(ops))
    }

    /// Emits the operations. Returns whether every part could be built; all parts are examined in
    /// any case.
    fn emit(&mut self, expr: &Spanned<Expr>, ops: &mut Vec<Op>) -> bool {
        match &expr.node {
            Expr::And(parts) => self.emit_all(parts, ops, Op::JumpIfFalse),
            Expr::Or(parts) => self.emit_all(parts, ops, Op::JumpIfTrue),
            Expr::Not(inner) => {
                let good = self.emit(inner, ops);
                ops.push(Op::Not);
                good
            }
            Expr::Compare { left, op, right } => {
                let atom = self.compare(left, op, right, expr.span);
                ops.extend(atom.map(Op::Test));
                atom.is_some()
            }
            Expr::Is { operand, present } => {
                let Some(typed) = self.operand(operand) else { return false };
                let text = self.text(expr.span).into();
                let check = Check::Present;
                self.emit_atom(Atom { operand: typed.id, check, negated: !present, text }, ops);
                true
            }
            Expr::Bare(operand) => self.emit_bare(operand, expr.span, ops),
            Expr::Error => false,
        }
    }

    /// Emits all parts with a jump to the end between them. Parts that call a WASM rule come last,
    /// because they are the most expensive. Parts have no side effects, so the order does not
    /// change the result.
    fn emit_all(
        &mut self,
        parts: &[Spanned<Expr>],
        ops: &mut Vec<Op>,
        jump: fn(u32) -> Op,
    ) -> bool {
        let (dear, cheap): (Vec<_>, Vec<_>) =
            parts.iter().partition(|part| self.calls_extern(&part.node));
        let mut jumps = Vec::new();
        let mut good = true;
        for (at, part) in cheap.into_iter().chain(dear).enumerate() {
            if at > 0 {
                jumps.push(ops.len());
                ops.push(jump(0));
            }
            good &= self.emit(part, ops);
        }
        let end = number(ops.len());
        for at in jumps {
            if let Some(op) = ops.get_mut(at) {
                *op = jump(end);
            }
        }
        good
    }

    fn emit_bare(&mut self, operand: &Operand, span: Span, ops: &mut Vec<Op>) -> bool {
        if let Operand::Group(inner) = operand {
            return self.emit(inner, ops);
        }
        if let Operand::Literal(crate::syntax::ast::Literal::Bool(value)) = operand {
            ops.push(Op::Set(*value));
            return true;
        }
        let Some(typed) = self.operand(&Spanned::new(operand.clone(), span)) else { return false };
        if typed.ty == Type::Bool {
            let text = self.text(span).into();
            let atom = Atom { operand: typed.id, check: Check::True, negated: false, text };
            self.emit_atom(atom, ops);
            return true;
        }
        let is = self.given.schema.type_name(typed.ty);
        let text = self.text(span);
        self.complain(
            Diagnostic::error(
                Code::NotBool,
                self.file,
                span,
                format!("`{text}` is {is}, but a condition must be true or false"),
            )
            .help("compare the value, or use `is present`"),
        );
        false
    }

    fn emit_atom(&mut self, atom: Atom, ops: &mut Vec<Op>) {
        let key = format!("{:?}", atom.check);
        let id = self.atom(atom, key);
        ops.push(Op::Test(id));
    }

    fn calls_extern(&self, expr: &Expr) -> bool {
        match expr {
            Expr::And(parts) | Expr::Or(parts) => {
                parts.iter().any(|part| self.calls_extern(&part.node))
            }
            Expr::Not(inner) => self.calls_extern(&inner.node),
            Expr::Compare { left, right, .. } => {
                self.operand_calls(&left.node) || self.operand_calls(&right.node)
            }
            Expr::Is { operand, .. } => self.operand_calls(&operand.node),
            Expr::Bare(operand) => self.operand_calls(operand),
            Expr::Error => false,
        }
    }

    fn operand_calls(&self, operand: &Operand) -> bool {
        match operand {
            Operand::Call { name, args } => {
                self.resolve(&self.names.externs, &name.node).is_some()
                    || args.iter().any(|arg| self.operand_calls(&arg.node))
            }
            Operand::Group(inner) => self.calls_extern(&inner.node),
            _ => false,
        }
    }
}

/// Returns a constant as the key of an atom: equal constants give equal keys.
pub(super) fn constant_key(constant: &Const) -> String {
    format!("{constant:?}")
}
