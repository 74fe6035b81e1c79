//! The evaluation of a condition: the only loop that runs a program.
//!
//! A condition is true or false, never an error. An absent value makes every plain test false and
//! every negated test true. The loop takes at most as many steps as the condition has operations,
//! and reads facts through [`Context`] only. Fuel for each operation is taken first. If the fuel is
//! exhausted, the test is false and the condition ends. The caller must check the fuel before it
//! uses the result.

use std::borrow::Cow;
use std::net::IpAddr;

use seawall_model::{CounterId, Prefix};
use smallvec::SmallVec;

use crate::fuel::{Fuel, price};
use crate::program::{
    Atom, AtomId, Check, CondId, Const, ExternId, ListId, Needle, Op, Operand, OperandId, Program,
    Read,
};
use crate::schema::FieldId;
use crate::texts::Search;

/// A value of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value<'v> {
    /// None.
    Absent,
    /// True or false.
    Bool(bool),
    /// A number of any numeric type.
    Int(i64),
    /// Bytes.
    Bytes(Cow<'v, [u8]>),
    /// An address.
    Ip(IpAddr),
    /// A network.
    Net(Prefix),
    /// All header fields, as an argument of an extern.
    Headers,
}

impl<'v> Value<'v> {
    /// Returns bytes that live as long as the request.
    #[must_use]
    pub fn bytes(bytes: &'v [u8]) -> Self {
        Self::Bytes(Cow::Borrowed(bytes))
    }

    /// Returns a text or `Absent`.
    #[must_use]
    pub fn text(text: Option<&'v str>) -> Self {
        text.map_or(Self::Absent, |text| Self::bytes(text.as_bytes()))
    }

    /// Returns a number or `Absent`.
    #[must_use]
    pub fn number(number: Option<u64>) -> Self {
        number.map_or(Self::Absent, |n| Self::Int(i64::try_from(n).unwrap_or(i64::MAX)))
    }
}

/// The access of a running program to the facts.
pub trait Context {
    /// Returns the fuel that the running part of the policy has.
    fn fuel(&self) -> &Fuel;

    /// Returns the value of a plain field.
    fn field(&self, field: FieldId) -> Value<'_>;

    /// Calls `visit` with each value of a named field until it returns true. Returns whether it
    /// did.
    fn any_value(&self, field: FieldId, name: &str, visit: &mut dyn FnMut(&[u8]) -> bool) -> bool;

    /// Returns whether an earlier step has set this tag.
    fn tagged(&self, tag: &str) -> bool;

    /// Returns whether a list holds the value.
    fn list_holds(&self, list: ListId, value: &Value<'_>) -> bool;

    /// Returns whether the text contains an element of the list, for this kind of search. Takes
    /// fuel.
    fn list_stands_in(&self, list: ListId, search: Search, text: &[u8]) -> bool;

    /// Returns the value of a counter for the key of this request.
    fn counter(&self, read: Read, counter: CounterId) -> i64;

    /// Returns whether this key belongs to `percent` of all keys. The result is the same for the
    /// same key.
    fn sample(&self, percent: u8, key: &Value<'_>) -> bool;

    /// Returns the result of a WASM rule.
    fn call(&self, function: ExternId, args: &[Value<'_>]) -> Value<'static>;

    /// Reports the result of each test to `explain`.
    fn made(&self, _atom: AtomId, _holds: bool) {}
}

impl Program {
    /// Returns whether a condition holds. `None` always holds.
    pub fn holds<C: Context>(&self, condition: Option<CondId>, ctx: &C) -> bool {
        let Some(id) = condition else { return true };
        let Some(ops) = self.conditions.get(id.0 as usize) else { return false };
        let mut truth = false;
        let mut at = 0_usize;
        // INVARIANT: jumps go forward, so the loop ends after at most `ops.len()` steps.
        while let Some(op) = ops.get(at) {
            at = at.saturating_add(1);
            match *op {
                Op::Test(atom) if ctx.fuel().take(price::TEST) => truth = self.test(atom, ctx),
                Op::Set(value) if ctx.fuel().take(price::TEST) => truth = value,
                Op::Test(_) | Op::Set(_) => return false,
                Op::Not => truth = !truth,
                Op::JumpIfTrue(to) if truth => at = at.max(to as usize),
                Op::JumpIfFalse(to) if !truth => at = at.max(to as usize),
                Op::JumpIfTrue(_) | Op::JumpIfFalse(_) => {}
            }
        }
        truth
    }

    fn test<C: Context>(&self, id: AtomId, ctx: &C) -> bool {
        let Some(atom) = self.atoms.get(id.0 as usize) else { return false };
        let holds = self.plain_test(atom, ctx) != atom.negated;
        ctx.made(id, holds);
        holds
    }

    fn plain_test<C: Context>(&self, atom: &Atom, ctx: &C) -> bool {
        if let Some(Operand::Values(field, name)) = self.operand_at(atom.operand) {
            return ctx.any_value(*field, name, &mut |bytes| {
                self.passes(&atom.check, &Value::bytes(bytes), ctx)
            });
        }
        match self.value(atom.operand, ctx) {
            Value::Absent => false,
            value => self.passes(&atom.check, &value, ctx),
        }
    }

    fn passes<C: Context>(&self, check: &Check, value: &Value<'_>, ctx: &C) -> bool {
        let fuel = ctx.fuel();
        match check {
            Check::True => *value == Value::Bool(true),
            Check::Present => true,
            Check::Equal(Const::Bytes(constant)) => with_bytes(value, |bytes| {
                bytes.len() == constant.len()
                    && fuel.take(price::bytes(bytes.len()))
                    && *bytes == **constant
            }),
            Check::Equal(constant) => equal_const(value, constant),
            Check::Ordered(order, n) => matches!(value, Value::Int(x) if order.holds(*x, *n)),
            Check::SameAs(other) => match self.value(*other, ctx) {
                Value::Absent => false,
                other => fuel.take(price::bytes(len(&other))) && equal(value, &other),
            },
            Check::OrderedTo(order, other) => match (value, self.value(*other, ctx)) {
                (Value::Int(a), Value::Int(b)) => order.holds(*a, b),
                _ => false,
            },
            Check::InSet(set) => {
                fuel.take(price::LOOKUP.saturating_add(price::bytes(len(value))))
                    && in_set(set, value)
            }
            Check::InList(list) => {
                fuel.take(price::NETS.saturating_add(price::bytes(len(value))))
                    && ctx.list_holds(*list, value)
            }
            Check::InNet(net) => in_net(net, value),
            Check::Contains(needle) => with_bytes(value, |bytes| {
                // The search prepares its needle each time, so the needle costs fuel too.
                let all = bytes.len().saturating_add(needle.bytes.len()) as u64;
                fuel.take(price::LOOKUP.saturating_add(all)) && contains(bytes, needle)
            }),
            Check::StartsWith(needle) => with_bytes(value, |bytes| {
                let head = bytes.get(..needle.bytes.len());
                head.is_some_and(|head| compares(head, fuel) && same_bytes(head, needle))
            }),
            Check::EndsWith(needle) => with_bytes(value, |bytes| {
                let from = bytes.len().checked_sub(needle.bytes.len());
                let tail = from.and_then(|from| bytes.get(from..));
                tail.is_some_and(|tail| compares(tail, fuel) && same_bytes(tail, needle))
            }),
            Check::HasOne(set) => with_bytes(value, |bytes| set.texts().found_in(bytes, fuel)),
            Check::HasListed(list, search) => {
                with_bytes(value, |bytes| ctx.list_stands_in(*list, *search, bytes))
            }
            Check::Matches(expression) => {
                with_bytes(value, |bytes| expression.is_match_within(bytes, fuel))
            }
        }
    }

    fn operand_at(&self, id: OperandId) -> Option<&Operand> {
        self.operands.get(id.0 as usize)
    }

    /// Returns the value of an operand. Operands refer to earlier operands only, and the parser
    /// limits their nesting, so the recursion ends.
    pub fn value<'c, C: Context>(&'c self, id: OperandId, ctx: &'c C) -> Value<'c> {
        match self.operand_at(id) {
            None => Value::Absent,
            Some(Operand::Const(constant)) => match constant {
                Const::Bool(value) => Value::Bool(*value),
                Const::Int(n) => Value::Int(*n),
                Const::Bytes(bytes) => Value::bytes(bytes),
                Const::Ip(ip) => Value::Ip(*ip),
                Const::Net(net) => Value::Net(*net),
            },
            Some(Operand::Field(field)) => ctx.field(*field),
            Some(Operand::Values(field, name)) => first_value(ctx, *field, name),
            Some(Operand::Tagged(tag)) => Value::Bool(ctx.tagged(tag)),
            Some(Operand::Counter(read, counter)) => match read {
                Read::Top(_) => Value::Bool(ctx.counter(*read, *counter) != 0),
                _ => Value::Int(ctx.counter(*read, *counter)),
            },
            Some(Operand::Condition(condition)) => Value::Bool(self.holds(Some(*condition), ctx)),
            Some(Operand::Extern(function, args)) => {
                let args: SmallVec<[Value<'_>; 4]> =
                    args.iter().map(|arg| self.value(*arg, ctx)).collect();
                ctx.call(*function, &args)
            }
            Some(computed) => self.computed(computed, ctx),
        }
    }

    fn computed<'c, C: Context>(&'c self, operand: &'c Operand, ctx: &'c C) -> Value<'c> {
        if !ctx.fuel().take(price::MADE) {
            return Value::Absent;
        }
        match operand {
            Operand::CountOf(of) => Value::Int(self.count_of(*of, ctx)),
            Operand::Len(of) => match self.value(*of, ctx) {
                Value::Bytes(bytes) => Value::number(Some(bytes.len() as u64)),
                _ => Value::Absent,
            },
            Operand::Lower(of) => match self.value(*of, ctx) {
                Value::Bytes(bytes) if ctx.fuel().take(price::bytes(bytes.len())) => {
                    Value::Bytes(bytes.to_ascii_lowercase().into())
                }
                _ => Value::Absent,
            },
            Operand::Segment(of, n) => match self.value(*of, ctx) {
                Value::Bytes(bytes) if ctx.fuel().take(bytes.len() as u64) => segment(&bytes, *n)
                    .map_or(Value::Absent, |part| Value::Bytes(part.to_vec().into())),
                _ => Value::Absent,
            },
            Operand::Net(of, v4, v6) => match self.value(*of, ctx) {
                Value::Ip(ip) => Value::Net(Prefix::new(ip, if ip.is_ipv4() { *v4 } else { *v6 })),
                _ => Value::Absent,
            },
            Operand::Sample(percent, of) => match self.value(*of, ctx) {
                Value::Absent => Value::Absent,
                key => Value::Bool(ctx.sample(*percent, &key)),
            },
            _ => Value::Absent,
        }
    }

    fn count_of<C: Context>(&self, id: OperandId, ctx: &C) -> i64 {
        if let Some(Operand::Values(field, name)) = self.operand_at(id) {
            let mut count = 0_i64;
            ctx.any_value(*field, name, &mut |_| {
                count = count.saturating_add(1);
                !ctx.fuel().take(price::TEST)
            });
            return count;
        }
        i64::from(self.value(id, ctx) != Value::Absent)
    }
}

fn first_value<'c, C: Context>(ctx: &C, field: FieldId, name: &str) -> Value<'c> {
    let mut first = None;
    ctx.any_value(field, name, &mut |bytes| {
        first = ctx.fuel().take(price::bytes(bytes.len())).then(|| bytes.to_vec());
        true
    });
    first.map_or(Value::Absent, |bytes| Value::Bytes(bytes.into()))
}

/// Returns the number of bytes of a value; 0 for other types.
fn len(value: &Value<'_>) -> usize {
    match value {
        Value::Bytes(bytes) => bytes.len(),
        _ => 0,
    }
}

/// Takes the fuel for a comparison. Returns whether there was enough.
fn compares(bytes: &[u8], fuel: &Fuel) -> bool {
    fuel.take(price::bytes(bytes.len()))
}

fn with_bytes(value: &Value<'_>, test: impl FnOnce(&[u8]) -> bool) -> bool {
    matches!(value, Value::Bytes(bytes) if test(bytes))
}

fn same_bytes(bytes: &[u8], needle: &Needle) -> bool {
    if needle.nocase { bytes.eq_ignore_ascii_case(&needle.bytes) } else { *bytes == *needle.bytes }
}

/// Returns whether the bytes contain the needle. The time is linear for every text: the letters are
/// lower-cased once, before the comparison.
fn contains(bytes: &[u8], needle: &Needle) -> bool {
    if !needle.nocase {
        return memchr::memmem::find(bytes, &needle.bytes).is_some();
    }
    let mut low: SmallVec<[u8; 256]> = SmallVec::from_slice(bytes);
    low.make_ascii_lowercase();
    memchr::memmem::find(&low, &needle.bytes).is_some()
}

/// Returns segment `n` of a path, from 1.
fn segment(path: &[u8], n: u32) -> Option<&[u8]> {
    let rest = path.strip_prefix(b"/").unwrap_or(path);
    let at = n.checked_sub(1)? as usize;
    rest.split(|b| *b == b'/').nth(at).filter(|part| !part.is_empty())
}

fn equal_const(value: &Value<'_>, constant: &Const) -> bool {
    match (value, constant) {
        (Value::Bool(a), Const::Bool(b)) => a == b,
        (Value::Int(a), Const::Int(b)) => a == b,
        (Value::Bytes(a), Const::Bytes(b)) => **a == **b,
        (Value::Ip(a), Const::Ip(b)) => a == b,
        (Value::Net(a), Const::Net(b)) => a == b,
        (Value::Net(a), Const::Ip(b)) => *a == Prefix::host(*b),
        _ => false,
    }
}

fn equal(a: &Value<'_>, b: &Value<'_>) -> bool {
    match (a, b) {
        (Value::Net(net), Value::Ip(ip)) | (Value::Ip(ip), Value::Net(net)) => {
            *net == Prefix::host(*ip)
        }
        _ => a == b,
    }
}

/// Returns whether a set contains a value.
#[must_use]
pub fn in_set(set: &crate::set::Set, value: &Value<'_>) -> bool {
    match value {
        Value::Bytes(bytes) => set.has_bytes(bytes),
        Value::Int(n) => set.has_int(*n),
        Value::Ip(ip) => set.has_net(&Prefix::host(*ip)),
        Value::Net(net) => set.has_net(net),
        Value::Absent | Value::Bool(_) | Value::Headers => false,
    }
}

fn in_net(net: &Prefix, value: &Value<'_>) -> bool {
    match value {
        Value::Ip(ip) => net.contains(*ip),
        Value::Net(inner) => net.covers(inner),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_count_from_one_and_may_be_absent() {
        assert_eq!(segment(b"/a/b", 1), Some(&b"a"[..]));
        assert_eq!(segment(b"/a/b", 2), Some(&b"b"[..]));
        assert_eq!(segment(b"/a/b", 3), None);
        assert_eq!(segment(b"/a//", 2), None);
        assert_eq!(segment(b"/", 1), None);
        assert_eq!(segment(b"/a", 0), None);
    }

    #[test]
    fn an_empty_needle_is_in_everything_in_either_case() {
        for nocase in [false, true] {
            let needle = Needle { bytes: Box::default(), nocase };
            assert!(contains(b"", &needle) && contains(b"x", &needle));
        }
    }

    #[test]
    fn a_needle_is_found_in_either_case_up_to_the_last_byte() {
        let needle = Needle { bytes: (*b"bot").into(), nocase: true };
        assert!(contains(b"b bBOT", &needle) && contains(b"Bot", &needle));
        assert!(!contains(b"bo", &needle) && !contains(b"b o t bo", &needle));
    }
}
