//! Rules that can never act.
//!
//! A rule is unreachable where an earlier final rule of the same layer, which always acts, takes
//! every request that it would take. What is recognised is what people write by accident: the same
//! condition, a narrower set, a network inside another, an exact path under a prefix, a higher
//! threshold behind a lower one. A rule that is unreachable for a deeper reason is not found; a
//! rule that is called unreachable is.

use super::build::Builder;
use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::program::{Atom, AtomId, Check, CondId, Const, Final, Op, Order, Program, Step};
use crate::set::Set;

impl Builder<'_> {
    /// Complains about every rule that an earlier one hides.
    pub(super) fn find_unreachable(&mut self) {
        let program = &self.program;
        let layers = [&program.guarantee, &program.floor, &program.defaults];
        let sites = program.sites.iter().map(|site| &site.steps);
        let mut hidden = Vec::new();
        for steps in layers.into_iter().chain(sites) {
            // Read once: every pair of ten thousand rules is looked at.
            let mut before: Vec<(&Step, Vec<AtomId>)> = Vec::new();
            for step in steps {
                let Some(narrow) = conjuncts(program, step.when) else { continue };
                let hides = |(earlier, wide): &&(&Step, Vec<AtomId>)| {
                    earlier.level <= step.level && implies_all(program, &narrow, wide)
                };
                if let Some((hiding, _)) = before.iter().rev().find(hides) {
                    hidden.push((step.rule, hiding.rule));
                }
                if always_ends(step) {
                    before.push((step, narrow));
                }
            }
        }
        for (rule, by) in hidden {
            let info = |id: seawall_model::RuleId| self.program.rules.get(id.0 as usize).cloned();
            let (Some(rule), Some(by)) = (info(rule), info(by)) else { continue };
            self.complain(
                Diagnostic::error(
                    Code::Unreachable,
                    rule.file,
                    rule.span,
                    format!(
                        "`{}` never acts: `{}` takes every request before it",
                        rule.name, by.name
                    ),
                )
                .label("this is never reached")
                .related(by.file, by.span, "this one always acts first")
                .help("put the narrower rule first, or remove one of them"),
            );
        }
    }
}

/// Whether a step ends the walk for whatever its condition holds for.
fn always_ends(step: &Step) -> bool {
    let ends = matches!(
        step.then.last,
        Some(
            Final::Allow
                | Final::Block { .. }
                | Final::Drop
                | Final::Ban { .. }
                | Final::Tarpit { .. }
        )
    );
    ends && step.limit.is_none() && !step.shadow && step.expires.is_none() && step.unless.is_none()
}

fn implies_all(program: &Program, narrow: &[AtomId], wide: &[AtomId]) -> bool {
    wide.iter().all(|wide| narrow.iter().any(|narrow| implies(program, *narrow, *wide)))
}

/// The tests of a condition that is nothing but tests joined by `and`; none for `true`.
fn conjuncts(program: &Program, condition: Option<CondId>) -> Option<Vec<AtomId>> {
    let Some(id) = condition else { return Some(Vec::new()) };
    let ops = program.conditions.get(id.0 as usize)?;
    if matches!(**ops, [Op::Set(true)]) {
        return Some(Vec::new());
    }
    let end = u32::try_from(ops.len()).ok()?;
    let mut atoms = Vec::new();
    for op in ops {
        match op {
            Op::Test(atom) => atoms.push(*atom),
            Op::JumpIfFalse(to) if *to == end => {}
            _ => return None,
        }
    }
    Some(atoms)
}

/// Whether the wide test holds wherever the narrow one does.
fn implies(program: &Program, narrow: AtomId, wide: AtomId) -> bool {
    if narrow == wide {
        return true;
    }
    let atom = |id: AtomId| program.atoms.get(id.0 as usize);
    let (Some(narrow), Some(wide)) = (atom(narrow), atom(wide)) else { return false };
    narrow.operand == wide.operand
        && !narrow.negated
        && !wide.negated
        && !is_multi(program, narrow)
        && check_implies(&narrow.check, &wide.check)
}

/// Two tests of a header may be satisfied by two different values of it.
fn is_multi(program: &Program, atom: &Atom) -> bool {
    matches!(
        program.operands.get(atom.operand.0 as usize),
        Some(crate::program::Operand::Values(..))
    )
}

fn check_implies(narrow: &Check, wide: &Check) -> bool {
    match (narrow, wide) {
        (_, Check::Present) => true,
        (Check::Equal(value), wide) => constant_passes(value, wide),
        (Check::InSet(Set::Strings(few)), wide) => {
            few.iter().all(|bytes| constant_passes(&Const::Bytes(bytes.clone()), wide))
        }
        (Check::InSet(Set::Ints(few)), wide) => {
            few.iter().all(|n| constant_passes(&Const::Int(*n), wide))
        }
        (Check::InSet(Set::Nets(few)), Check::InSet(Set::Nets(many))) => few.within(many),
        (Check::InNet(inner), Check::InNet(outer)) => outer.covers(inner),
        (Check::InNet(inner), Check::InSet(outer)) => outer.has_net(inner),
        (Check::StartsWith(long), Check::StartsWith(short)) => {
            !long.nocase && !short.nocase && long.bytes.starts_with(&short.bytes)
        }
        (Check::EndsWith(long), Check::EndsWith(short)) => {
            !long.nocase && !short.nocase && long.bytes.ends_with(&short.bytes)
        }
        (Check::Ordered(a, n), Check::Ordered(b, m)) => order_implies((*a, *n), (*b, *m)),
        _ => false,
    }
}

/// Whether a value that is known passes a test.
fn constant_passes(value: &Const, check: &Check) -> bool {
    match (value, check) {
        (value, Check::Equal(other)) => value == other,
        (Const::Int(n), Check::Ordered(order, m)) => order.holds(*n, *m),
        (Const::Int(n), Check::InSet(set)) => set.has_int(*n),
        (Const::Bytes(bytes), Check::InSet(set)) => set.has_bytes(bytes),
        (Const::Bytes(bytes), Check::StartsWith(n)) => !n.nocase && bytes.starts_with(&n.bytes),
        (Const::Bytes(bytes), Check::EndsWith(n)) => !n.nocase && bytes.ends_with(&n.bytes),
        (Const::Bytes(bytes), Check::Contains(n)) => {
            !n.nocase && memchr::memmem::find(bytes, &n.bytes).is_some()
        }
        (Const::Bytes(bytes), Check::Matches(regex)) => regex.is_match(bytes),
        (Const::Ip(ip), Check::InNet(net)) => net.contains(*ip),
        (Const::Ip(ip), Check::InSet(set)) => set.has_net(&seawall_model::Prefix::host(*ip)),
        (Const::Net(inner), Check::InNet(net)) => net.covers(inner),
        (Const::Net(inner), Check::InSet(set)) => set.has_net(inner),
        _ => false,
    }
}

/// Whether every number that stands so to one bound stands so to the other.
fn order_implies((a, n): (Order, i64), (b, m): (Order, i64)) -> bool {
    let least = |order, n: i64| match order {
        Order::Greater => Some(n.saturating_add(1)),
        Order::GreaterEq => Some(n),
        _ => None,
    };
    let most = |order, n: i64| match order {
        Order::Less => Some(n.saturating_sub(1)),
        Order::LessEq => Some(n),
        _ => None,
    };
    match (least(a, n), least(b, m)) {
        (Some(narrow), Some(wide)) => return narrow >= wide,
        (None, None) => {}
        _ => return false,
    }
    most(a, n).zip(most(b, m)).is_some_and(|(narrow, wide)| narrow <= wide)
}
