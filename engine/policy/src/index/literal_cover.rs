//! Computes a set of tests of which at least one must hold if a condition holds.
//!
//! A rule is indexed by such a *cover*: while none of its tests holds, the condition is false and
//! the rule is not evaluated. A cover is necessary, never sufficient. A rule found through it is
//! still evaluated in full, so a wide cover costs time and a narrow cover misses nothing.

use crate::program::{Atom, AtomId, Check, CondId, Const, Op, Operand, Program};
use crate::schema::{Schema, Type};
use crate::set::Set;
use crate::texts::{Position, TextSet};

use super::literals::{SUBSTRING_BYTES_MIN, must_contain};

/// Most tests of one cover. A condition that needs more is evaluated for every request.
pub const COVER_TESTS_MAX: usize = 256;

/// Deepest nesting of conditions that is analysed.
const NESTING_MAX: u32 = 64;

/// The requests for which a condition can hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cover {
    /// Any request.
    Always,
    /// No request.
    Never,
    /// Only requests for which one of these tests holds, without its `not`.
    Tests {
        /// The tests, each once, in ascending order.
        tests: Vec<AtomId>,
        /// How often a test is expected to hold, and its cost. Lower is better.
        weight: u32,
    },
}

impl Cover {
    /// Returns the cover of `self or other`.
    fn either(self, other: Self) -> Self {
        match (self, other) {
            (Self::Always, _) | (_, Self::Always) => Self::Always,
            (Self::Never, cover) | (cover, Self::Never) => cover,
            (Self::Tests { mut tests, weight }, Self::Tests { tests: more, weight: heavier }) => {
                if tests == more {
                    return Self::Tests { tests, weight };
                }
                tests.extend(more);
                tests.sort_unstable();
                tests.dedup();
                match tests.len() {
                    0..=COVER_TESTS_MAX => {
                        Self::Tests { tests, weight: weight.saturating_add(heavier) }
                    }
                    _ => Self::Always,
                }
            }
        }
    }

    /// Returns the cover of `self and other`: the narrower one is sufficient.
    fn both(self, other: Self) -> Self {
        match (self, other) {
            (Self::Never, _) | (_, Self::Never) => Self::Never,
            (Self::Always, cover) | (cover, Self::Always) => cover,
            (Self::Tests { tests, weight }, Self::Tests { tests: more, weight: other }) => {
                if (weight, tests.len()) <= (other, more.len()) {
                    Self::Tests { tests, weight }
                } else {
                    Self::Tests { tests: more, weight: other }
                }
            }
        }
    }
}

/// Returns the cover of a condition; `Always` for `None`.
#[must_use]
pub fn cover(program: &Program, schema: &Schema, condition: Option<CondId>) -> Cover {
    match condition {
        Some(id) => Finder { program, schema }.condition(id, NESTING_MAX),
        None => Cover::Always,
    }
}

struct Finder<'p> {
    program: &'p Program,
    schema: &'p Schema,
}

impl Finder<'_> {
    /// Goes from the last operation to the first. Computes for each operation and each truth value
    /// which tests must hold so that the program ends with true.
    fn condition(&self, id: CondId, depth: u32) -> Cover {
        let Some(ops) = self.program.conditions.get(id.0 as usize) else { return Cover::Never };
        // One pair for each operation and one for the end: with false, with true.
        let mut known = vec![(Cover::Never, Cover::Always); ops.len().saturating_add(1)];
        let at =
            |known: &[(Cover, Cover)], to: usize, truth: bool| {
                known.get(to).map_or(Cover::Always, |pair| {
                    if truth { pair.1.clone() } else { pair.0.clone() }
                })
            };
        for (here, op) in ops.iter().enumerate().rev() {
            let next = here.saturating_add(1);
            let pair = match *op {
                Op::Test(atom) => {
                    let yes = self.test(atom, true, depth).both(at(&known, next, true));
                    let no = self.test(atom, false, depth).both(at(&known, next, false));
                    let cover = yes.either(no);
                    (cover.clone(), cover)
                }
                Op::Set(value) => (at(&known, next, value), at(&known, next, value)),
                Op::Not => (at(&known, next, true), at(&known, next, false)),
                Op::JumpIfTrue(to) => (at(&known, next, false), at(&known, to as usize, true)),
                Op::JumpIfFalse(to) => (at(&known, to as usize, false), at(&known, next, true)),
            };
            if let Some(slot) = known.get_mut(here) {
                *slot = pair;
            }
        }
        at(&known, 0, false)
    }

    /// Returns the cover of the event that a test has this result.
    fn test(&self, id: AtomId, truth: bool, depth: u32) -> Cover {
        let Some(atom) = self.program.atoms.get(id.0 as usize) else { return Cover::Always };
        if truth == atom.negated {
            // The plain test is false, which it is for most requests.
            return Cover::Always;
        }
        if let (Some(Operand::Condition(inner)), Check::True) =
            (self.program.operands.get(atom.operand.0 as usize), &atom.check)
        {
            let Some(depth) = depth.checked_sub(1) else { return Cover::Always };
            return self.condition(*inner, depth);
        }
        match self.weight(atom) {
            Some(weight) => Cover::Tests { tests: vec![id], weight },
            None => Cover::Always,
        }
    }

    /// Returns the width of a test; `None` if no index can find it.
    fn weight(&self, atom: &Atom) -> Option<u32> {
        let ty = self.indexed_type(atom)?;
        let bytes = |least: usize, len: usize, weight: u32| (len >= least).then_some(weight);
        match &atom.check {
            Check::Equal(Const::Bytes(_)) => Some(10),
            Check::Equal(Const::Int(_)) => numbers(ty),
            Check::Equal(Const::Ip(_) | Const::Net(_)) => Some(10),
            Check::InSet(Set::Ints(all)) => Some(numbers(ty)?.saturating_add(small(all.len()))),
            Check::InSet(set @ Set::Words(..)) => {
                Some(numbers(ty)?.saturating_add(small(set.len())))
            }
            Check::InSet(Set::Strings(all)) => Some(small(all.len()).saturating_add(11)),
            Check::InSet(Set::Nets(all)) => {
                Some(small(all.ranges()).saturating_add(16)).filter(|_| !all.is_everything())
            }
            Check::InNet(net) => match net.len() {
                0 => None,
                1..16 => Some(25),
                _ => Some(15),
            },
            Check::InList(_) => Some(20),
            Check::StartsWith(needle) => bytes(2, needle.bytes.len(), 30),
            Check::EndsWith(needle) => bytes(2, needle.bytes.len(), 40),
            Check::Contains(needle) => bytes(SUBSTRING_BYTES_MIN, needle.bytes.len(), 50),
            Check::HasOne(set) => weight_of_texts(set),
            Check::HasListed(..) => Some(55),
            Check::Matches(regex) => {
                must_contain(regex.as_str()).map(|all| small(all.len()).saturating_add(60))
            }
            _ => None,
        }
    }

    /// Returns the type of the tested value if the value is constant during a request and a lookup
    /// is not more expensive than a test.
    fn indexed_type(&self, atom: &Atom) -> Option<Type> {
        let operand = self.program.operands.get(atom.operand.0 as usize)?;
        match operand {
            Operand::Field(field) if *field == self.schema.score_field => None,
            Operand::Field(field) => self.schema.spec(*field).map(|spec| spec.ty),
            Operand::Values(..) | Operand::Segment(..) => Some(Type::Str),
            Operand::Net(..) => Some(Type::Cidr),
            Operand::Lower(of) => {
                let of = self.program.operands.get(of.0 as usize)?;
                matches!(of, Operand::Field(_) | Operand::Values(..)).then_some(Type::Str)
            }
            _ => None,
        }
    }
}

/// Returns the width for numeric types: there are many AS numbers, few countries and methods.
const fn numbers(ty: Type) -> Option<u32> {
    match ty {
        Type::Asn => Some(12),
        Type::Int | Type::Size | Type::Duration => Some(45),
        Type::Enum(_) => Some(90),
        _ => None,
    }
}

/// Returns the width of a test for several texts, each counted as a single test.
fn weight_of_texts(set: &TextSet) -> Option<u32> {
    let (least, weight) = match set.texts().search().position {
        Position::Anywhere => (SUBSTRING_BYTES_MIN, 50),
        Position::Beginning => (2, 30),
        Position::End => (2, 40),
    };
    let all_long = set.all().all(|text| text.len() >= least);
    all_long.then(|| small(set.len()).saturating_add(weight))
}

/// Returns a small addition for larger sets, because they match more requests.
fn small(len: usize) -> u32 {
    len.checked_ilog2().unwrap_or(0)
}
