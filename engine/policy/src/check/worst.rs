//! The maximum cost of a rule in fuel: for a hostile request header of [`HEAD_BYTES`], with no
//! earlier decision. INVARIANT: the fuel taken at run time is never more. A test of `ruleset`
//! compares both.

use crate::expression::Expression;
use crate::fuel::price;
use crate::program::{
    Atom, Check, CondId, Const, Counter, Op, Operand, OperandId, Program, Read, Step,
};
use crate::schema::{Schema, Type};

/// Bytes of the head that is reckoned with: what `max_request_header_bytes` is by default.
pub const HEAD_BYTES: usize = 32 << 10;
/// Bytes of a value that is not a word of its enumeration: the default of `method_bytes_max`.
const WORD_BYTES: usize = 32;
/// Header fields in it.
const FIELDS: u64 = 100;
/// Pairs of a query or of cookies in it: one byte and one separator each.
const PAIRS: u64 = HEAD_BYTES as u64 / 2;

/// A value in the worst case.
#[derive(Debug, Clone, Copy, Default)]
struct Value {
    /// The fuel to read it.
    fuel: u64,
    /// Its bytes.
    len: usize,
    /// The most values of it.
    count: u64,
}

impl Value {
    const fn scalar(fuel: u64) -> Self {
        Self { fuel, len: 0, count: 1 }
    }
}

/// Returns the maximum fuel of a step.
pub(super) fn worst(program: &Program, schema: &Schema, step: &Step) -> u64 {
    let reckoner = Reckoner { program, schema };
    let conditions = [step.when, step.unless].into_iter().flatten();
    let asked = conditions.map(|id| reckoner.condition(id));
    let limit = step.limit.as_ref().map(|limit| reckoner.counter(limit.counter.0, price::COUNTER));
    let effects = (step.then.effects.len() as u64).saturating_mul(price::TEST);
    asked.chain(limit).fold(price::STEP.saturating_add(effects), u64::saturating_add)
}

struct Reckoner<'p> {
    program: &'p Program,
    schema: &'p Schema,
}

impl Reckoner<'_> {
    fn condition(&self, id: CondId) -> u64 {
        let ops = self.program.conditions.get(id.0 as usize).map(|ops| &**ops).unwrap_or_default();
        let cost = |op: &Op| match op {
            Op::Test(atom) => {
                let atom = self.program.atoms.get(atom.0 as usize);
                price::TEST.saturating_add(atom.map_or(0, |atom| self.atom(atom)))
            }
            Op::Set(_) => price::TEST,
            Op::Not | Op::JumpIfTrue(_) | Op::JumpIfFalse(_) => 0,
        };
        ops.iter().map(cost).fold(0, u64::saturating_add)
    }

    fn atom(&self, atom: &Atom) -> u64 {
        let value = self.value(atom.operand);
        let other = match &atom.check {
            Check::SameAs(other) | Check::OrderedTo(_, other) => {
                let other = self.first(*other);
                other.fuel.saturating_add(price::bytes(other.len))
            }
            _ => 0,
        };
        // The bytes of all values together are those of one header.
        let each = check(&atom.check, 0).saturating_add(other);
        let all = check(&atom.check, value.len).saturating_add(other);
        value
            .fuel
            .saturating_add(each.saturating_mul(value.count.saturating_sub(1)))
            .saturating_add(all)
    }

    /// Returns the value if one is needed: the first of several, which is copied.
    fn first(&self, id: OperandId) -> Value {
        let value = self.value(id);
        let copied = if value.count > 1 { price::bytes(value.len) } else { 0 };
        Value { fuel: value.fuel.saturating_add(copied), count: 1, ..value }
    }

    fn value(&self, id: OperandId) -> Value {
        let len = HEAD_BYTES;
        let made = |of: &OperandId, per_byte: fn(usize) -> u64, len: usize| {
            let of = self.first(*of);
            let fuel = price::MADE.saturating_add(of.fuel).saturating_add(per_byte(of.len));
            Value { fuel, len: of.len.min(len), count: 1 }
        };
        match self.program.operands.get(id.0 as usize) {
            None | Some(Operand::Const(_)) => Value::scalar(0),
            Some(Operand::Field(field)) => match self.schema.spec(*field).map(|spec| spec.ty) {
                // It is searched by name among the fields, or read to its end.
                Some(Type::Str | Type::Size) => {
                    let read = named(16).max(len as u64);
                    Value { fuel: read, len, count: 1 }
                }
                // A value that is not a word is read in full.
                Some(Type::Enum(id))
                    if self.schema.words(id).is_some_and(|of| of.others.is_some()) =>
                {
                    Value { fuel: 0, len: WORD_BYTES, count: 1 }
                }
                _ => Value::scalar(0),
            },
            Some(Operand::Values(field, name)) => self.values(field.0, name),
            Some(Operand::Tagged(_)) => Value::scalar(self.program.rules.len() as u64),
            Some(Operand::CountOf(of)) => {
                let of = self.value(*of);
                let counted = of.count.saturating_mul(price::TEST);
                Value::scalar(price::MADE.saturating_add(of.fuel).saturating_add(counted))
            }
            Some(Operand::Len(of) | Operand::Net(of, ..)) => made(of, |_| 0, 0),
            Some(Operand::Lower(of)) => made(of, price::bytes, len),
            Some(Operand::Segment(of, _)) => made(of, |len| len as u64, len),
            Some(Operand::Sample(_, of)) => made(of, hashing, 0),
            Some(Operand::Counter(read, counter)) => {
                let price = match read {
                    Read::Count | Read::Bytes => price::COUNTER,
                    Read::Distinct | Read::Share | Read::Top(_) => price::COUNTER_HEAVY,
                };
                Value::scalar(self.counter(counter.0, price))
            }
            Some(Operand::Extern(_, args)) => self.call(args),
            Some(Operand::Condition(condition)) => Value::scalar(self.condition(*condition)),
        }
    }

    fn values(&self, field: u16, name: &str) -> Value {
        let spec = self.schema.fields.get(usize::from(field));
        if spec.is_some_and(|spec| spec.name == "header") {
            return Value { fuel: named(name.len()), len: HEAD_BYTES, count: FIELDS };
        }
        let apart = PAIRS
            .saturating_mul(price::PAIR)
            .saturating_add((HEAD_BYTES as u64).saturating_mul(price::PAIR_BYTE))
            .saturating_add(FIELDS.saturating_mul(price::NAMED_EACH));
        let each = price::NAMED.saturating_add(price::bytes(name.len()));
        let looked = price::NAMED.saturating_add(PAIRS / 2);
        let found = PAIRS.saturating_mul(each);
        let fuel = apart.saturating_add(looked).saturating_add(found);
        Value { fuel, len: HEAD_BYTES, count: PAIRS }
    }

    fn counter(&self, counter: u32, price: u64) -> u64 {
        let counter = self.program.counters.get(counter as usize);
        // The key is searched among those of all counters.
        let others = self.program.counters.len() as u64;
        let key = counter.map_or(0, |counter| self.key(counter));
        price.saturating_add(others).saturating_add(key)
    }

    fn key(&self, counter: &Counter) -> u64 {
        let part = |id: &OperandId| {
            let value = self.first(*id);
            value.fuel.saturating_add(hashing(value.len.max(32)))
        };
        counter.per.iter().map(part).fold(0, u64::saturating_add)
    }

    fn call(&self, args: &[OperandId]) -> Value {
        let packed = (HEAD_BYTES as u64)
            .saturating_mul(2)
            .saturating_add(FIELDS.saturating_mul(price::PAIR))
            .saturating_add(price::MADE);
        let arg = |id: &OperandId| {
            let value = self.first(*id);
            value.fuel.saturating_add(hashing(value.len.max(32))).saturating_add(packed)
        };
        let fuel = args.iter().map(arg).fold(price::CALL, u64::saturating_add);
        // The size of its result is limited by the sandbox.
        Value { fuel, len: 4 << 10, count: 1 }
    }
}

/// Returns the fuel to find a field by a name of this length.
fn named(name: usize) -> u64 {
    let each = price::NAMED_EACH.saturating_add(name as u64 / 8);
    price::NAMED.saturating_add(FIELDS.saturating_mul(each))
}

fn hashing(len: usize) -> u64 {
    price::MADE.saturating_add(len as u64)
}

/// Returns the fuel to compare a value of this length.
fn check(check: &Check, len: usize) -> u64 {
    match check {
        Check::Equal(Const::Bytes(constant)) => price::bytes(constant.len().min(len)),
        Check::InSet(_) => price::LOOKUP.saturating_add(price::bytes(len)),
        Check::InList(_) => price::NETS.saturating_add(price::bytes(len)),
        Check::Contains(needle) => {
            price::LOOKUP.saturating_add(len.saturating_add(needle.bytes.len()) as u64)
        }
        Check::StartsWith(needle) | Check::EndsWith(needle) => {
            price::bytes(needle.bytes.len().min(len))
        }
        Check::HasOne(_) | Check::HasListed(..) => price::search(len),
        Check::Matches(expression) => Expression::price(expression, len),
        _ => 0,
    }
}
