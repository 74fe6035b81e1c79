//! One value of the request, and the index of all tests on it.

use std::collections::BTreeMap;

use hashbrown::HashMap;
use seawall_model::Prefix;
use smallvec::SmallVec;

use super::grams::Grams;
use super::literals::must_contain;
use super::nets::Nets;
use super::postings::{Found, Posting, Postings};
use super::strings::Strings;
use crate::eval::{Context, Value};
use crate::fuel::{Fuel, price};
use crate::program::{Atom, Check, Const, LevelId, ListId, Needle, Operand, OperandId, Program};
use crate::schema::FieldId;
use crate::set::Set;
use crate::texts::{Position, Search, TextSet};

/// The source of a value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Origin {
    /// A plain field; the most frequent source.
    Field(FieldId),
    /// A single value.
    One(OperandId),
    /// Each value of a named field.
    Each(FieldId, Box<str>),
}

/// A value, and the steps indexed by it.
#[derive(Debug)]
pub(super) struct FieldIndex {
    /// The first step that it can return.
    pub(super) first: u32,
    /// The lowest level at which it returns a step.
    pub(super) level: LevelId,
    /// Whether its results are worth caching.
    pub(super) remembers: bool,
    origin: Origin,
    plain: Strings,
    /// Compared in ASCII lower case, as is the value.
    folded: Strings,
    grams: Grams,
    numbers: HashMap<i64, Posting>,
    nets: Nets,
    lists: Box<[(Listed, Posting)]>,
}

/// A list that the value is tested against: whether the value is an element, or whether it contains
/// an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Listed {
    list: ListId,
    search: Option<Search>,
    /// Whether the value is compared in lower case.
    folded: bool,
}

/// Steps by string.
type FieldIndexEntry = BTreeMap<Box<[u8]>, Vec<u32>>;

/// The entries before the index is built.
#[derive(Debug, Default)]
pub(super) struct Draft {
    plain: [FieldIndexEntry; 3],
    folded: [FieldIndexEntry; 3],
    needles: FieldIndexEntry,
    numbers: BTreeMap<i64, Vec<u32>>,
    nets: BTreeMap<Prefix, Vec<u32>>,
    lists: BTreeMap<Listed, Vec<u32>>,
}

/// Numbers of the three maps: the whole value, its beginning, its end.
const WHOLE: usize = 0;
const BEGINNING: usize = 1;
const END: usize = 2;

/// Returns the source of the value of a test, and whether the value is lower-cased.
pub(super) fn origin(program: &Program, operand: OperandId) -> Option<(Origin, bool)> {
    Some(match program.operands.get(operand.0 as usize)? {
        Operand::Values(field, name) => (Origin::Each(*field, name.clone()), false),
        Operand::Lower(of) => {
            // The index covers all values of the field: more candidates, but none is missed.
            let (origin, _) = origin(program, *of)?;
            (origin, true)
        }
        Operand::Field(field) => (Origin::Field(*field), false),
        _ => (Origin::One(operand), false),
    })
}

impl Draft {
    /// Adds a step under a test. Returns the number of entries and of bytes added.
    pub(super) fn file(&mut self, atom: &Atom, folded: bool, step: u32) -> (usize, usize) {
        match &atom.check {
            Check::Equal(Const::Bytes(bytes)) => self.string(WHOLE, folded, bytes, step),
            Check::Equal(Const::Int(n)) => self.number(*n, step),
            Check::Equal(Const::Ip(ip)) => self.net(Prefix::host(*ip), step),
            Check::Equal(Const::Net(net)) | Check::InNet(net) => self.net(*net, step),
            Check::InSet(set) => self.set(set, folded, step),
            Check::InList(list) => self.list(Listed { list: *list, search: None, folded }, step),
            Check::HasListed(list, search) => {
                self.list(Listed { list: *list, search: Some(*search), folded }, step)
            }
            Check::HasOne(set) => self.texts(set, folded, step),
            Check::StartsWith(needle) => self.needle(BEGINNING, folded, needle, step),
            Check::EndsWith(needle) => self.needle(END, folded, needle, step),
            Check::Contains(needle) => self.substring(&needle.bytes, step),
            Check::Matches(expression) => {
                let all = must_contain(expression.as_str()).unwrap_or_default();
                all.iter().map(|one| self.substring(one, step)).fold((0, 0), add)
            }
            _ => (0, 0),
        }
    }

    fn list(&mut self, listed: Listed, step: u32) -> (usize, usize) {
        self.lists.entry(listed).or_default().push(step);
        (1, size_of::<Listed>())
    }

    fn texts(&mut self, set: &TextSet, folded: bool, step: u32) -> (usize, usize) {
        let Search { position, nocase } = set.texts().search();
        let folded = folded || nocase;
        let one = |text| match position {
            Position::Anywhere => self.substring(text, step),
            Position::Beginning => self.string(BEGINNING, folded, text, step),
            Position::End => self.string(END, folded, text, step),
        };
        set.all().map(one).fold((0, 0), add)
    }

    fn set(&mut self, set: &Set, folded: bool, step: u32) -> (usize, usize) {
        match set {
            Set::Strings(all) => {
                all.iter().map(|one| self.string(WHOLE, folded, one, step)).fold((0, 0), add)
            }
            Set::Ints(all) => all.iter().map(|n| self.number(*n, step)).fold((0, 0), add),
            Set::Nets(all) => all.prefixes().map(|net| self.net(net, step)).fold((0, 0), add),
            Set::Words(words, others) => {
                let known = words.iter().map(|n| self.number(*n, step)).fold((0, 0), add);
                let others = others.iter().map(|one| self.string(WHOLE, folded, one, step));
                others.fold(known, add)
            }
        }
    }

    fn needle(&mut self, at: usize, folded: bool, needle: &Needle, step: u32) -> (usize, usize) {
        self.string(at, folded || needle.nocase, &needle.bytes, step)
    }

    fn string(&mut self, at: usize, folded: bool, bytes: &[u8], step: u32) -> (usize, usize) {
        let maps = if folded { &mut self.folded } else { &mut self.plain };
        let Some(map) = maps.get_mut(at) else { return (0, 0) };
        let key = if folded { bytes.to_ascii_lowercase().into() } else { bytes.into() };
        map.entry(key).or_default().push(step);
        (1, bytes.len())
    }

    fn substring(&mut self, bytes: &[u8], step: u32) -> (usize, usize) {
        self.needles.entry(bytes.to_ascii_lowercase().into()).or_default().push(step);
        (1, bytes.len())
    }

    fn number(&mut self, n: i64, step: u32) -> (usize, usize) {
        self.numbers.entry(n).or_default().push(step);
        (1, 8)
    }

    fn net(&mut self, net: Prefix, step: u32) -> (usize, usize) {
        self.nets.entry(net).or_default().push(step);
        (1, 32)
    }

    /// Builds the index.
    pub(super) fn finish(
        self,
        origin: Origin,
        levels: &[LevelId],
        postings: &mut Postings,
    ) -> FieldIndex {
        let (mut first, mut level) = (u32::MAX, LevelId(u16::MAX));
        let mut file = |steps: Vec<u32>| {
            for step in &steps {
                first = first.min(*step);
                level = level.min(levels.get(*step as usize).copied().unwrap_or_default());
            }
            postings.file(steps)
        };
        let mut strings = |maps: [FieldIndexEntry; 3]| {
            let [exact, beginnings, ends] = maps.map(|map| {
                map.into_iter().map(|(key, steps)| (key, file(steps))).collect::<Vec<_>>()
            });
            Strings::new(exact, beginnings, ends)
        };
        let (plain, folded) = (strings(self.plain), strings(self.folded));
        let needles = self.needles.into_iter().map(|(key, steps)| (key, file(steps)));
        let grams = Grams::new(needles.collect());
        let numbers = self.numbers.into_iter().map(|(n, steps)| (n, file(steps))).collect();
        let nets = self.nets.into_iter().map(|(net, steps)| (net, file(steps)));
        let nets = Nets::new(nets.collect());
        let lists = self.lists.into_iter().map(|(list, steps)| (list, file(steps))).collect();
        FieldIndex {
            first,
            level,
            remembers: false,
            origin,
            plain,
            folded,
            grams,
            numbers,
            nets,
            lists,
        }
    }
}

/// Adds found steps, as far as the fuel allows.
#[inline]
fn add_found(found: &mut Found, steps: &[u32], fuel: &Fuel) {
    if fuel.take((steps.len() as u64).saturating_mul(price::FOUND)) {
        found.extend_from_slice(steps);
    }
}

fn add(a: (usize, usize), b: (usize, usize)) -> (usize, usize) {
    (a.0.saturating_add(b.0), a.1.saturating_add(b.1))
}

impl Listed {
    /// Returns whether the value matches, as far as the fuel allows.
    fn has<C: Context>(self, value: &Value<'_>, ctx: &C) -> bool {
        let bytes = if let Value::Bytes(bytes) = value { &**bytes } else { &[] };
        let len = price::bytes(bytes.len());
        if self.folded {
            let mut low: SmallVec<[u8; 256]> = SmallVec::new();
            return ctx.fuel().take(len) && {
                low.extend_from_slice(bytes);
                low.make_ascii_lowercase();
                Self { folded: false, ..self }.has(&Value::bytes(&low), ctx)
            };
        }
        match self.search {
            None => {
                ctx.fuel().take(price::NETS.saturating_add(len)) && ctx.list_holds(self.list, value)
            }
            Some(search) => ctx.list_stands_in(self.list, search, bytes),
        }
    }
}

impl FieldIndex {
    /// Calls `visit` with each value of this request.
    #[inline]
    pub(super) fn values<C: Context>(
        &self,
        program: &Program,
        ctx: &C,
        mut visit: impl FnMut(&Value<'_>),
    ) {
        match &self.origin {
            Origin::Field(field) => match ctx.field(*field) {
                Value::Absent => {}
                value => visit(&value),
            },
            Origin::One(operand) => match program.value(*operand, ctx) {
                Value::Absent => {}
                value => visit(&value),
            },
            Origin::Each(field, name) => {
                ctx.any_value(*field, name, &mut |bytes| {
                    visit(&Value::Bytes(bytes.into()));
                    false
                });
            }
        }
    }

    /// Adds the steps under lists that contain a value. Never cached, because a policy test may
    /// replace a list.
    #[inline]
    pub(super) fn find_in_lists<C: Context>(
        &self,
        value: &Value<'_>,
        ctx: &C,
        postings: &Postings,
        found: &mut Found,
    ) {
        if self.lists.is_empty() {
            return;
        }
        for (listed, posting) in &self.lists {
            if listed.has(value, ctx) {
                add_found(found, postings.get(*posting), ctx.fuel());
            }
        }
    }

    /// Adds the steps under a value.
    pub(super) fn find(
        &self,
        value: &Value<'_>,
        postings: &Postings,
        (found, fuel): (&mut Found, &Fuel),
    ) {
        let mut add = |posting: Posting| add_found(found, postings.get(posting), fuel);
        match value {
            Value::Bytes(bytes) => self.find_bytes(bytes, fuel, add),
            Value::Int(n) => self.numbers.get(n).copied().into_iter().for_each(add),
            Value::Ip(ip) if fuel.take(price::NETS) => self.nets.each(*ip, add),
            Value::Net(net) if fuel.take(price::NETS) => self.nets.each(net.addr(), &mut add),
            _ => {}
        }
    }

    fn find_bytes(&self, bytes: &[u8], fuel: &Fuel, mut add: impl FnMut(Posting)) {
        self.plain.each(bytes, fuel, &mut add);
        let folds = !self.folded.is_empty() || !self.grams.is_empty();
        if !folds || !fuel.take(price::bytes(bytes.len())) {
            return;
        }
        let mut low: SmallVec<[u8; 256]> = SmallVec::from_slice(bytes);
        low.make_ascii_lowercase();
        self.folded.each(&low, fuel, &mut add);
        self.grams.each(&low, fuel, &mut add);
    }

    /// Returns whether the index has a substring search, the expensive part.
    pub(super) fn searches(&self) -> bool {
        !self.grams.is_empty()
    }

    /// Returns the field that it reads.
    pub(super) fn field(&self) -> Option<(FieldId, &str)> {
        match &self.origin {
            Origin::Field(field) => Some((*field, "")),
            Origin::Each(field, name) => Some((*field, name)),
            Origin::One(_) => None,
        }
    }

    /// Returns the approximate memory in bytes.
    pub(super) fn bytes(&self) -> usize {
        [
            self.plain.bytes(),
            self.folded.bytes(),
            self.grams.bytes(),
            self.numbers.capacity().saturating_mul(17),
            self.nets.bytes(),
            size_of_val(&*self.lists),
        ]
        .into_iter()
        .fold(0, usize::saturating_add)
    }
}
