//! Finds rules that can never act.
//!
//! A rule is unreachable if an earlier final rule of the same layer always acts for every request
//! to which it would apply. The check recognises the usual mistakes: the same condition, a narrower
//! set, a network inside another, an exact path under a prefix, a higher threshold after a lower
//! one. Limitation: it does not find all unreachable rules. A reported rule is always unreachable.

use std::collections::HashMap;

use seawall_model::{Prefix, RuleId};

use super::build::Builder;
use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::fuel::Fuel;
use crate::program::{
    Atom, AtomId, Check, CondId, Const, Final, Op, OperandId, Order, Program, Step,
};
use crate::set::Set;

impl Builder<'_> {
    /// Reports every rule that an earlier rule hides.
    pub(super) fn find_unreachable(&mut self) {
        let program = &self.program;
        // The operator's layers were checked before those of the members.
        let (mine, sites_before) = (self.host.rules == 0, self.host.sites);
        let layers = [&program.guarantee, &program.floor, &program.defaults];
        let layers = layers.into_iter().filter(|_| mine);
        let sites = program.sites.iter().skip(sites_before).map(|site| &site.steps);
        let mut hidden = Vec::new();
        for steps in layers.chain(sites) {
            let mut earlier = Earlier::new(program);
            for step in steps {
                let tests = conjuncts(program, step.when);
                if let Some(hiding) = tests.as_ref().and_then(|tests| earlier.hiding(step, tests)) {
                    hidden.push((step.rule, hiding.rule));
                }
                earlier.file(step, tests);
            }
        }
        for (rule, by) in hidden {
            self.complain_hidden(rule, by);
        }
    }

    fn complain_hidden(&mut self, rule: RuleId, by: RuleId) {
        let info = |id: RuleId| self.program.rules.get(id.0 as usize).cloned();
        let (Some(rule), Some(by)) = (info(rule), info(by)) else { return };
        self.complain(
            Diagnostic::error(
                Code::Unreachable,
                rule.file,
                rule.span,
                format!("`{}` never acts: `{}` applies first to every request", rule.name, by.name),
            )
            .label("this is never reached")
            .related(by.file, by.span, "this rule always acts first")
            .help("move the narrower rule first, or remove one of them"),
        );
    }
}

/// A final rule that acts for all requests that pass its tests.
struct Termination<'p> {
    step: &'p Step,
    tests: Vec<AtomId>,
}

/// The earlier rules, indexed by the rarest of their tests, so that ten thousand rules are not
/// compared in pairs. A test that implies all tests of a rule implies that one.
struct Earlier<'p> {
    program: &'p Program,
    endings: Vec<Termination<'p>>,
    /// Rules that apply to every request.
    all: Vec<usize>,
    same: HashMap<AtomId, Vec<usize>>,
    beginnings: HashMap<OperandId, HashMap<&'p [u8], Vec<usize>>>,
    nets: HashMap<(OperandId, Prefix), Vec<usize>>,
    /// Tests that only an equal test or a set of one element implies.
    equals: HashMap<OperandId, Vec<usize>>,
    /// Tests that only a constant implies.
    of_values: HashMap<OperandId, Vec<usize>>,
    others: HashMap<OperandId, Vec<usize>>,
}

impl<'p> Earlier<'p> {
    fn new(program: &'p Program) -> Self {
        Self {
            program,
            endings: Vec::new(),
            all: Vec::new(),
            same: HashMap::new(),
            beginnings: HashMap::new(),
            nets: HashMap::new(),
            equals: HashMap::new(),
            of_values: HashMap::new(),
            others: HashMap::new(),
        }
    }

    fn file(&mut self, step: &'p Step, tests: Option<Vec<AtomId>>) {
        let Some(tests) = tests.filter(|_| always_ends(step)) else { return };
        let at = self.endings.len();
        let rarest = tests.iter().copied().min_by_key(|test| commonness(self.program, *test));
        self.endings.push(Termination { step, tests });
        let Some(rarest) = rarest else { return self.all.push(at) };
        self.same.entry(rarest).or_default().push(at);
        let Some(atom) = self.program.atoms.get(rarest.0 as usize) else { return };
        let operand = atom.operand;
        match &atom.check {
            Check::StartsWith(needle) if !needle.nocase => {
                let all = self.beginnings.entry(operand).or_default();
                all.entry(&needle.bytes).or_default().push(at);
            }
            Check::InNet(net) => self.nets.entry((operand, *net)).or_default().push(at),
            Check::Equal(_) => self.equals.entry(operand).or_default().push(at),
            Check::Contains(_) | Check::HasOne(_) | Check::Matches(_) => {
                self.of_values.entry(operand).or_default().push(at);
            }
            _ => self.others.entry(operand).or_default().push(at),
        }
    }

    /// Returns the last earlier rule that applies to all requests of this rule.
    fn hiding(&self, step: &Step, tests: &[AtomId]) -> Option<&'p Step> {
        let mut may = self.all.clone();
        for test in tests {
            may.extend(self.same.get(test).into_iter().flatten());
            if let Some(atom) = self.program.atoms.get(test.0 as usize) {
                self.implied_by(atom, &mut may);
            }
        }
        let may = may.into_iter().filter(|at| self.hides(*at, step, tests));
        may.max().and_then(|at| self.endings.get(at)).map(|ending| ending.step)
    }

    fn hides(&self, at: usize, step: &Step, tests: &[AtomId]) -> bool {
        self.endings.get(at).is_some_and(|earlier| {
            let implied = |wide: &AtomId| tests.iter().any(|t| implies(self.program, *t, *wide));
            earlier.step.level <= step.level && earlier.tests.iter().all(implied)
        })
    }

    /// Adds the rules that another test can imply.
    fn implied_by(&self, atom: &Atom, may: &mut Vec<usize>) {
        let operand = atom.operand;
        may.extend(self.others.get(&operand).into_iter().flatten());
        match &atom.check {
            Check::Equal(value) => self.implied_by_value(operand, value, may),
            Check::InSet(set) => {
                may.extend(self.of_values.get(&operand).into_iter().flatten());
                if set.len() == 1 {
                    may.extend(self.equals.get(&operand).into_iter().flatten());
                }
                // A rule that covers all elements of a set covers any one of them.
                match set {
                    Set::Strings(all) => all.iter().take(1).for_each(|one| {
                        self.beginnings_of(operand, one, may);
                    }),
                    Set::Nets(all) => all.prefixes().take(1).for_each(|net| {
                        self.nets_around(operand, &net, may);
                    }),
                    Set::Ints(_) | Set::Words(..) => {}
                }
            }
            Check::InNet(net) => self.nets_around(operand, net, may),
            Check::StartsWith(needle) => self.beginnings_of(operand, &needle.bytes, may),
            _ => {}
        }
    }

    fn implied_by_value(&self, operand: OperandId, value: &Const, may: &mut Vec<usize>) {
        may.extend(self.of_values.get(&operand).into_iter().flatten());
        match value {
            Const::Bytes(bytes) => self.beginnings_of(operand, bytes, may),
            Const::Ip(ip) => self.nets_around(operand, &Prefix::host(*ip), may),
            Const::Net(net) => self.nets_around(operand, net, may),
            Const::Bool(_) | Const::Int(_) => {}
        }
    }

    fn beginnings_of(&self, operand: OperandId, bytes: &[u8], may: &mut Vec<usize>) {
        let Some(known) = self.beginnings.get(&operand) else { return };
        for len in 0..=bytes.len() {
            let beginning = bytes.get(..len).and_then(|beginning| known.get(beginning));
            may.extend(beginning.into_iter().flatten());
        }
    }

    fn nets_around(&self, operand: OperandId, net: &Prefix, may: &mut Vec<usize>) {
        if self.nets.is_empty() {
            return;
        }
        for len in 0..=net.len() {
            let around = self.nets.get(&(operand, Prefix::new(net.addr(), len)));
            may.extend(around.into_iter().flatten());
        }
    }
}

/// Returns a rank: tests that fewer rules share come first.
fn commonness(program: &Program, test: AtomId) -> u8 {
    match program.atoms.get(test.0 as usize).map(|atom| (&atom.check, atom.negated)) {
        Some((Check::Equal(Const::Bytes(_) | Const::Ip(_) | Const::Net(_)), false)) => 0,
        Some((Check::StartsWith(_) | Check::InNet(_), false)) => 1,
        Some((Check::Contains(_) | Check::HasOne(_) | Check::Matches(_), false)) => 2,
        _ => 3,
    }
}

/// Returns whether a rule is final for every request that meets its condition.
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

/// Returns the tests of a condition that consists only of tests joined by `and`; no tests for
/// `true`.
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

/// Returns whether the wide test holds whenever the narrow one does.
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

/// Returns whether a test can be met by any of several values of a header.
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
        (Check::InSet(Set::Words(words, others)), wide) => {
            words.iter().all(|n| constant_passes(&Const::Int(*n), wide))
                && others.iter().all(|one| constant_passes(&Const::Bytes(one.clone()), wide))
        }
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

/// Returns whether a constant passes a test.
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
        (Const::Bytes(bytes), Check::HasOne(set)) => {
            // The search runs once, while the policy is checked.
            let texts = set.texts();
            !texts.search().nocase && texts.found_in(bytes, &Fuel::new(u64::MAX))
        }
        (Const::Bytes(bytes), Check::Matches(regex)) => regex.is_match(bytes),
        (Const::Ip(ip), Check::InNet(net)) => net.contains(*ip),
        (Const::Ip(ip), Check::InSet(set)) => set.has_net(&seawall_model::Prefix::host(*ip)),
        (Const::Net(inner), Check::InNet(net)) => net.covers(inner),
        (Const::Net(inner), Check::InSet(set)) => set.has_net(inner),
        _ => false,
    }
}

/// Returns whether every number within one bound is within the other.
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
