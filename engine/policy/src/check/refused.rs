//! Finds the lists whose clients a rule rejects, so that a list with protected addresses is
//! reported when it is loaded.

use super::build::Builder;
use crate::program::{
    Atom, Check, CondId, Final, ListId, Op, Operand as Built, Program, Refused, Spared, Step,
};
use crate::schema::Type;
use crate::set::Set;
use crate::span::{Span, Spanned};
use crate::syntax::ast::{Expr, OpKind, Operand, Rule};

/// Most rules stored for one list, in addition to one rule without exemptions.
pub const REFUSED_RULES_MAX: usize = 64;
/// Most ranges in a set of exempted clients.
pub const SPARED_RANGES_MAX: usize = 64;

impl Builder<'_> {
    /// Records the lists whose clients a rule rejects.
    pub(super) fn note_refused(&mut self, rule: &Rule, step: &Step) {
        let refuses = matches!(
            step.then.last,
            Some(Final::Block { .. } | Final::Drop | Final::Ban { .. } | Final::Tarpit { .. })
        );
        let Some(when) = rule.when.as_ref().filter(|_| refuses && !step.shadow) else { return };
        let mut named = Vec::new();
        self.lists_of(&when.node, true, &mut named);
        if let Some(unless) = &rule.unless {
            self.lists_of(&unless.node, false, &mut named);
        }
        if named.is_empty() {
            return;
        }
        let spares = spares(&self.program, step);
        let name = format!("{}.{}", self.prefix, rule.name.node);
        for (list, span) in named {
            // A member cannot change lists of the operator.
            let own = (list.0 as usize) >= self.host.lists;
            let Some(list) = self.program.lists.get_mut(list.0 as usize).filter(|_| own) else {
                continue;
            };
            let sparing = list.refused.iter().filter(|refused| !refused.spares.is_empty()).count();
            let is_known = list.refused.len() > sparing && spares.is_empty();
            if !is_known && (spares.is_empty() || sparing < REFUSED_RULES_MAX) {
                let (rule, spares) = (name.as_str().into(), spares.clone());
                list.refused.push(Refused { rule, file: self.file, span, spares });
            }
        }
    }

    /// Collects the lists of networks that must contain the client if the condition has this
    /// result.
    fn lists_of(&self, expr: &Expr, truth: bool, found: &mut Vec<(ListId, Span)>) {
        match expr {
            Expr::And(parts) | Expr::Or(parts) => {
                parts.iter().for_each(|part| self.lists_of(&part.node, truth, found));
            }
            Expr::Not(inner) => self.lists_of(&inner.node, !truth, found),
            Expr::Bare(Operand::Group(inner)) => self.lists_of(&inner.node, truth, found),
            Expr::Compare { left, op, right } if op.node.kind == OpKind::In => {
                let Operand::ListRef(name) = &right.node else { return };
                if truth != op.node.negated && self.is_of_client(left) {
                    found.extend(self.list_of_nets(name).map(|list| (list, right.span)));
                }
            }
            Expr::Compare { .. } | Expr::Is { .. } | Expr::Bare(_) | Expr::Error => {}
        }
    }

    /// Returns whether a value is the client's address, or a network around it.
    fn is_of_client(&self, operand: &Spanned<Operand>) -> bool {
        match &operand.node {
            Operand::Word(word) => {
                let nets = |ty| matches!(ty, Type::Ip | Type::Cidr);
                self.given.schema.field(word).is_some_and(|(_, spec)| nets(spec.ty))
            }
            Operand::Call { name, args } => {
                &*name.node == "net" && args.first().is_some_and(|first| self.is_of_client(first))
            }
            _ => false,
        }
    }

    fn list_of_nets(&self, name: &str) -> Option<ListId> {
        let full = self.resolve(&self.names.lists, name)?;
        let (list, element) = self.names.lists.get(&full).copied()?;
        matches!(element, Type::Ip | Type::Cidr).then_some(list)
    }
}

/// Returns the clients that a rule exempts by an address test: in `unless`, or negated in `when`.
fn spares(program: &Program, step: &Step) -> Vec<Spared> {
    let when = joined(program, step.when, Op::JumpIfFalse);
    let unless = joined(program, step.unless, Op::JumpIfTrue);
    let when = when.into_iter().filter(|atom| atom.negated);
    let unless = unless.into_iter().filter(|atom| !atom.negated);
    when.chain(unless).filter_map(|atom| spared(program, atom)).collect()
}

/// Returns the tests of a condition that consists only of tests joined by one operator. Returns no
/// tests for any other condition.
fn joined(program: &Program, condition: Option<CondId>, jump: fn(u32) -> Op) -> Vec<&Atom> {
    let ops = condition.and_then(|id| program.conditions.get(id.0 as usize));
    let ops = ops.map(|ops| &**ops).unwrap_or_default();
    let jump = jump(u32::try_from(ops.len()).unwrap_or(u32::MAX));
    let plain = |op: &Op| matches!(op, Op::Test(_)) || *op == jump;
    if !ops.iter().all(plain) {
        return Vec::new();
    }
    let test = |op: &Op| match op {
        Op::Test(atom) => program.atoms.get(atom.0 as usize),
        _ => None,
    };
    ops.iter().filter_map(test).collect()
}

fn spared(program: &Program, atom: &Atom) -> Option<Spared> {
    let Built::Field(_) = program.operands.get(atom.operand.0 as usize)? else { return None };
    match &atom.check {
        Check::InList(list) => Some(Spared::List(*list)),
        // A set with more ranges is ignored here, because it would be copied for each list.
        Check::InSet(Set::Nets(nets)) if nets.ranges() <= SPARED_RANGES_MAX => {
            Some(Spared::Nets(nets.clone()))
        }
        Check::InNet(net) => Some(Spared::Nets([*net].into_iter().collect())),
        _ => None,
    }
}
