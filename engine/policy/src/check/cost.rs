//! The cost of rules: which of them are evaluated for every request, and their approximate time.
//!
//! The times are rough figures for one value of usual length. They serve only to compare rules. The
//! index reports which rules it covers. `worst` computes the maximum in fuel.

use seawall_model::RuleId;

use super::build::Builder;
use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::index::{Cover, SUBSTRING_BYTES_MIN, cover, must_contain};
use crate::program::{Atom, Check, CondId, Op, Operand, OperandId, Program, Read, Step};
use crate::schema::{FieldSpec, Form, Presence, Schema, Type};
use crate::syntax::ast::Rule;

/// Nanoseconds for each kind of work, for a value of a hundred bytes.
mod ns {
    pub(super) const COMPARE: u32 = 5;
    pub(super) const SET: u32 = 20;
    pub(super) const SUBSTRING: u32 = 20;
    pub(super) const SEARCH: u32 = 200;
    pub(super) const REGEX: u32 = 90;
    pub(super) const LIST: u32 = 20;
    pub(super) const NAMED: u32 = 20;
    pub(super) const DERIVED: u32 = 15;
    pub(super) const SAMPLE: u32 = 20;
    pub(super) const COUNTER: u32 = 60;
    pub(super) const EXTERN: u32 = 300;
}

/// The cost of a rule or limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// The rule.
    pub rule: RuleId,
    /// Whether the index covers the rule. Other rules are evaluated for every request that reaches
    /// them.
    pub indexed: bool,
    /// Approximate time if no earlier rule decides.
    pub ns: u32,
    /// Maximum fuel for any request.
    pub fuel_max: u64,
}

/// The cost of reading a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldCost {
    /// A number or a word that is already known.
    Scalar,
    /// Bytes that are already known; the client controls their number.
    Text,
    /// A field that is searched by name.
    Named,
    /// A value from an address table of the operator.
    Table,
}

impl FieldCost {
    /// Returns the displayed form.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Text => "text",
            Self::Named => "named",
            Self::Table => "table",
        }
    }
}

/// Returns the cost of reading a field.
#[must_use]
pub fn field_cost(spec: &FieldSpec) -> FieldCost {
    match (spec.form, spec.presence, spec.ty) {
        (Form::Named, ..) | (.., Type::Headers) => FieldCost::Named,
        (_, Presence::Source(source), _) if source.starts_with("geo.") => FieldCost::Table,
        (.., Type::Str) => FieldCost::Text,
        _ => FieldCost::Scalar,
    }
}

/// Returns the cost of every rule and limit, ordered by [`RuleId`].
#[must_use]
pub fn costs(program: &Program, schema: &Schema) -> Vec<Cost> {
    let layers = [&program.guarantee, &program.floor, &program.defaults];
    let sites = program.sites.iter().map(|site| &site.steps);
    let steps = layers.into_iter().chain(sites).flatten();
    let mut all: Vec<Cost> = steps.map(|step| cost(program, schema, step)).collect();
    all.sort_by_key(|cost| cost.rule);
    all
}

fn cost(program: &Program, schema: &Schema, step: &Step) -> Cost {
    let conditions = [step.when, step.unless].into_iter().flatten();
    let asked = conditions.fold(0, |ns: u32, id| ns.saturating_add(condition_ns(program, id)));
    let counted = if step.limit.is_some() { ns::COUNTER } else { 0 };
    let indexed = is_indexed(program, schema, step);
    let fuel_max = super::worst::worst(program, schema, step);
    Cost { rule: step.rule, indexed, ns: asked.saturating_add(counted), fuel_max }
}

/// Returns whether the index covers a step, so that only some requests need it.
fn is_indexed(program: &Program, schema: &Schema, step: &Step) -> bool {
    cover(program, schema, step.when) != Cover::Always
}

fn condition_ns(program: &Program, id: CondId) -> u32 {
    let ops = program.conditions.get(id.0 as usize).map(|ops| &**ops).unwrap_or_default();
    ops.iter().fold(0, |sum: u32, op| match op {
        Op::Test(atom) => {
            let atom = program.atoms.get(atom.0 as usize);
            sum.saturating_add(atom.map_or(0, |atom| atom_ns(program, atom)))
        }
        _ => sum,
    })
}

fn atom_ns(program: &Program, atom: &Atom) -> u32 {
    let test = match &atom.check {
        Check::SameAs(other) | Check::OrderedTo(_, other) => {
            ns::COMPARE.saturating_add(operand_ns(program, *other))
        }
        Check::InSet(_) => ns::SET,
        Check::InList(_) => ns::LIST,
        Check::Contains(_) => ns::SUBSTRING,
        Check::HasOne(_) | Check::HasListed(..) => ns::SEARCH,
        Check::Matches(_) => ns::REGEX,
        _ => ns::COMPARE,
    };
    test.saturating_add(operand_ns(program, atom.operand))
}

fn operand_ns(program: &Program, id: OperandId) -> u32 {
    let of = |id: OperandId| operand_ns(program, id);
    match program.operands.get(id.0 as usize) {
        None | Some(Operand::Const(_) | Operand::Field(_)) => 0,
        Some(Operand::Values(..)) => ns::NAMED,
        Some(Operand::Tagged(_)) => ns::COMPARE,
        Some(
            Operand::CountOf(inner)
            | Operand::Len(inner)
            | Operand::Lower(inner)
            | Operand::Segment(inner, _)
            | Operand::Net(inner, ..),
        ) => ns::DERIVED.saturating_add(of(*inner)),
        Some(Operand::Sample(_, inner)) => ns::SAMPLE.saturating_add(of(*inner)),
        Some(Operand::Counter(read, counter)) => {
            let counter = program.counters.get(counter.0 as usize);
            let key = counter.into_iter().flat_map(|counter| &counter.per);
            let reads = if matches!(read, Read::Share | Read::Top(_)) { 2 } else { 1 };
            key.fold(ns::COUNTER.saturating_mul(reads), |sum, part| sum.saturating_add(of(*part)))
        }
        Some(Operand::Extern(_, args)) => {
            args.iter().fold(ns::EXTERN, |sum, arg| sum.saturating_add(of(*arg)))
        }
        Some(Operand::Condition(condition)) => condition_ns(program, *condition),
    }
}

/// Returns whether a test searches in text. Other tests are not reported: comparing a whole value
/// is cheap, and numbers, words, counters and externs are evaluated for every request by their
/// nature.
fn looks_into_text(program: &Program, atom: &Atom) -> bool {
    let computed =
        matches!(program.operands.get(atom.operand.0 as usize), Some(Operand::Extern(..)));
    let inside = matches!(
        &atom.check,
        Check::StartsWith(_)
            | Check::EndsWith(_)
            | Check::Contains(_)
            | Check::HasOne(_)
            | Check::HasListed(..)
            | Check::Matches(_)
    );
    inside && !computed
}

impl Builder<'_> {
    /// Reports a rule that searches the text of every request.
    pub(super) fn note_cost(&mut self, rule: &Rule, step: &Step) {
        let (Some(written), Some(when)) = (&rule.when, step.when) else { return };
        if is_indexed(&self.program, self.given.schema, step) {
            return;
        }
        let ops = self.program.conditions.get(when.0 as usize).map(|ops| &**ops);
        let tests: Vec<&Atom> = ops
            .unwrap_or_default()
            .iter()
            .filter_map(|op| match op {
                Op::Test(atom) => self.program.atoms.get(atom.0 as usize),
                _ => None,
            })
            .filter(|atom| looks_into_text(&self.program, atom))
            .collect();
        let Some(first) = tests.first() else { return };
        let vague = tests.iter().find(|atom| match &atom.check {
            Check::Matches(regex) => must_contain(regex.as_str()).is_none(),
            _ => false,
        });
        let name = &rule.name.node;
        let message = match vague {
            Some(atom) => format!(
                "`{}` has no run of {SUBSTRING_BYTES_MIN} letters for the index, so `{name}` is \
                 evaluated for every request",
                atom.text
            ),
            None => format!(
                "`{name}` is evaluated for every request: no indexed test precedes `{}`",
                first.text
            ),
        };
        let help = "add a test that the index covers: a path, a host, the text of a header";
        let said = Diagnostic::error(Code::EveryRequest, self.file, written.span, message);
        self.complain(said.note().help(help));
    }
}
