//! The checked program: flat, immutable, and with a known maximum number of steps.
//!
//! Everything is a table or an index into a table. A condition is a list of operations with forward
//! jumps only, so its evaluation takes at most as many steps as it has operations. Each distinct
//! test occurs once ([`Atom`]), even if many rules use it; the index depends on this.

use std::net::IpAddr;
use std::sync::Arc;

use seawall_model::{ChallengeKind, CounterId, HostPattern, Prefix, RuleId, Tick};

pub use crate::ids::{AtomId, CondId, ExternId, LevelId, ListId, OperandId};
pub use crate::syntax::ast::{BanUnit, OnListError};

use crate::diagnostic::FileId;
use crate::expression::Expression;
use crate::schema::{FieldId, Schema, Type};
use crate::set::{NetSet, Set};
use crate::span::Span;
use crate::texts::{Search, TextSet};

/// One operation of a condition. The machine has one Boolean register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// Sets the register to the result of the test.
    Test(AtomId),
    /// Sets the register to this value.
    Set(bool),
    /// Negates the register.
    Not,
    /// Jumps to the given later operation if the register is true.
    JumpIfTrue(u32),
    /// Jumps to the given later operation if the register is false.
    JumpIfFalse(u32),
}

/// A primitive test: a value compared with a constant of the policy.
#[derive(Debug, Clone)]
pub struct Atom {
    /// The value.
    pub operand: OperandId,
    /// The comparison.
    pub check: Check,
    /// Whether the test is negated. An absent value makes a plain test false and a negated test
    /// true.
    pub negated: bool,
    /// The text as the author wrote it, for `explain`.
    pub text: Box<str>,
}

/// An ordering of two values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Order {
    /// `<`
    Less,
    /// `<=`
    LessEq,
    /// `>`
    Greater,
    /// `>=`
    GreaterEq,
}

impl Order {
    /// Returns whether `a` and `b` have this order.
    #[must_use]
    pub const fn holds(self, a: i64, b: i64) -> bool {
        match self {
            Self::Less => a < b,
            Self::LessEq => a <= b,
            Self::Greater => a > b,
            Self::GreaterEq => a >= b,
        }
    }
}

/// A comparison of a value.
#[derive(Debug, Clone)]
pub enum Check {
    /// The value is true.
    True,
    /// The value is present.
    Present,
    /// The value equals the constant.
    Equal(Const),
    /// The value has this order relative to the number.
    Ordered(Order, i64),
    /// The value equals another value of the request.
    SameAs(OperandId),
    /// The value has this order relative to another value of the request.
    OrderedTo(Order, OperandId),
    /// The value is in a set in the policy.
    InSet(Set),
    /// The value is in a list.
    InList(ListId),
    /// The value is in a network.
    InNet(Prefix),
    /// The value contains these bytes.
    Contains(Needle),
    /// The value begins with these bytes.
    StartsWith(Needle),
    /// The value ends with these bytes.
    EndsWith(Needle),
    /// The value contains, begins with or ends with one of several texts in the policy.
    HasOne(Arc<TextSet>),
    /// The same for the elements of a list.
    HasListed(ListId, Search),
    /// `like` (anchored) and `matches`: linear in the length of the value.
    Matches(Expression),
}

/// Bytes to search for.
#[derive(Debug, Clone)]
pub struct Needle {
    /// The bytes; in lower case if case does not matter.
    pub bytes: Box<[u8]>,
    /// ASCII letters match in either case.
    pub nocase: bool,
}

/// A constant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Const {
    /// True or false.
    Bool(bool),
    /// Any number: whole numbers, percentages, microseconds, bytes, AS numbers, words.
    Int(i64),
    /// Bytes.
    Bytes(Box<[u8]>),
    /// An address.
    Ip(IpAddr),
    /// A network.
    Net(Prefix),
}

/// What a test reads from a counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Read {
    /// `rate(t)` and `count(t)`: the number in the window.
    Count,
    /// `bytes(t)`
    Bytes,
    /// `distinct(t)`
    Distinct,
    /// `share(t)`: the percentage of this key among all.
    Share,
    /// `top(t, n)`: whether the key is among the `n` heavy hitters.
    Top(u32),
}

/// A value that is read or computed. Operands refer to earlier operands only.
#[derive(Debug, Clone)]
pub enum Operand {
    /// A constant.
    Const(Const),
    /// A field.
    Field(FieldId),
    /// All values of a named field. A use that needs one value takes the first.
    Values(FieldId, Box<str>),
    /// Whether an earlier step has set this tag.
    Tagged(Box<str>),
    /// `count_of(x)`
    CountOf(OperandId),
    /// `len(x)`
    Len(OperandId),
    /// `lower(x)`: ASCII letters.
    Lower(OperandId),
    /// `segment(path, n)`, from 1.
    Segment(OperandId, u32),
    /// `net(ip, v4, v6)`
    Net(OperandId, u8, u8),
    /// `sample(p, key)`: the same result for the same key.
    Sample(u8, OperandId),
    /// A counter, read for the key of this request.
    Counter(Read, CounterId),
    /// A call of a WASM rule.
    Extern(ExternId, Box<[OperandId]>),
    /// A condition in parentheses.
    Condition(CondId),
}

/// A final action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Final {
    /// `allow`
    Allow,
    /// `block`
    Block {
        /// The status.
        status: u16,
        /// The page, if one is named.
        page: Option<Box<str>>,
    },
    /// `drop`
    Drop,
    /// `ban`
    Ban {
        /// Milliseconds of the ban.
        for_ms: u64,
        /// The unit that is banned.
        unit: BanUnit,
    },
    /// `challenge`
    Challenge {
        /// The weakest kind of proof that is accepted.
        kind: ChallengeKind,
        /// Milliseconds for which the pass is valid.
        valid_ms: u64,
    },
    /// `throttle`
    Throttle {
        /// Its counter.
        counter: CounterId,
        /// The number of requests in a window.
        n: u64,
        /// The window in milliseconds.
        window_ms: u64,
    },
    /// `tarpit`
    Tarpit {
        /// Milliseconds of delay.
        hold_ms: u64,
    },
}

/// An action after which the evaluation continues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// `tag`
    Tag(Box<str>),
    /// `score`
    Score(i64),
    /// `log`
    Log(Option<Box<str>>),
}

/// The actions of a step that applies.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RuleEffect {
    /// The effects, in source order.
    pub effects: Box<[Effect]>,
    /// The final action, if there is one.
    pub last: Option<Final>,
}

/// A rule, limit or threshold of a layer.
#[derive(Debug, Clone)]
pub struct Step {
    /// Its number, and thus its name.
    pub rule: RuleId,
    /// The level below which the step is skipped.
    pub level: LevelId,
    /// Whether the step is a shadow rule: it is evaluated and counted, but does not act.
    pub shadow: bool,
    /// The time until which the step acts.
    pub expires: Option<Tick>,
    /// `when` of a rule, `where` of a limit.
    pub when: Option<CondId>,
    /// `unless`
    pub unless: Option<CondId>,
    /// The counter of a limit.
    pub limit: Option<LimitStep>,
    /// The actions.
    pub then: RuleEffect,
}

/// The counter of a limit, and its maximum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitStep {
    /// The counter.
    pub counter: CounterId,
    /// The numbers. They can differ between sites that share the counter.
    pub terms: LimitTerms,
}

/// The numbers of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitTerms {
    /// `to N/W burst B hold D`
    Rate(RateTerms),
    /// `concurrent N`: a maximum of requests in flight.
    Concurrent {
        /// The maximum.
        n: u64,
    },
}

/// The numbers of a rate limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateTerms {
    /// Requests in a window.
    pub n: u64,
    /// The window in milliseconds.
    pub window_ms: u64,
    /// The reserve.
    pub burst: u64,
    /// Milliseconds of the hold.
    pub hold_ms: Option<u64>,
    /// The maximum in milliseconds up to which the hold doubles.
    pub doubling_to_ms: Option<u64>,
}

/// The requests that a counter counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Requests to all sites.
    Host,
    /// Requests to each site, separately.
    PerSite,
    /// Requests to one member layer.
    SiteBlock(u32),
    /// Requests to all layers of one member, by its number among the `member` entries.
    Member(u32),
}

/// The values that a counter counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Counts {
    /// The requests of a rate limit.
    Limit,
    /// The requests of a limit that are in flight.
    Concurrent,
    /// The requests of a track.
    Requests,
    /// The bytes of a track.
    Bytes(FieldId),
    /// The distinct values of a track.
    Distinct(OperandId),
}

/// A counter.
#[derive(Debug, Clone)]
pub struct Counter {
    /// The full name.
    pub name: Box<str>,
    /// Name, key and counted value as text. Equal texts mean the same counter after a reload.
    pub identity: Box<str>,
    /// The values that it counts.
    pub counts: Counts,
    /// The requests that it counts.
    pub scope: Scope,
    /// The key; empty means one count for all requests.
    pub per: Box<[OperandId]>,
    /// The window.
    pub window_ms: u64,
    /// Maximum number of keys.
    pub keys: usize,
    /// Whether `share` or `top` reads it.
    pub heavy: bool,
}

/// A rule for adding to a track.
#[derive(Debug, Clone, Copy)]
pub struct Feed {
    /// The counter of the track.
    pub counter: CounterId,
    /// The requests for which it counts.
    pub condition: Option<CondId>,
    /// Whether it counts at the end of the response, or before the layers.
    pub on_response: bool,
}

/// The displayed facts of a rule, limit or decision table.
#[derive(Debug, Clone)]
pub struct RuleInfo {
    /// The full name: `floor.drop-list`.
    pub name: Box<str>,
    /// The member whose file contains it.
    pub member: Option<Box<str>>,
    /// The file that contains it.
    pub file: FileId,
    /// The position of its name.
    pub span: Span,
    /// The author's explanation.
    pub note: Option<Box<str>>,
}

/// A member's layer.
#[derive(Debug, Clone)]
pub struct SiteLayer {
    /// The member, if the layer belongs to a `member` entry.
    pub member: Option<Box<str>>,
    /// The number of the member among the `member` entries.
    pub number: Option<u32>,
    /// The prefix of its names and the scope of its bans: the member, or the first host.
    pub space: Box<str>,
    /// The hosts of the layer.
    pub hosts: Vec<HostPattern>,
    /// The steps, in source order.
    pub steps: Vec<Step>,
    /// The changes of this member to `defaults`; `None` without changes.
    pub defaults: Option<Adjusted>,
    /// Feeds of the member's tracks: for requests to these hosts only.
    pub feeds: Vec<Feed>,
}

/// The changes of a site to `defaults`. Unchanged steps are shared, so that a thousand `site`
/// blocks with an `adjust` each do not hold a thousand copies.
#[derive(Debug, Clone, Default)]
pub struct Adjusted {
    /// By position in `defaults`, strictly ascending. `None` is a disabled step.
    changed: Vec<(u32, Option<Step>)>,
}

impl Adjusted {
    /// Changes the step at a position; `None` disables it.
    pub fn set(&mut self, at: u32, step: Option<Step>) {
        match self.changed.binary_search_by_key(&at, |(place, _)| *place) {
            Ok(found) => {
                if let Some(entry) = self.changed.get_mut(found) {
                    entry.1 = step;
                }
            }
            Err(before) => self.changed.insert(before, (at, step)),
        }
    }

    /// Returns the step of the site at a position of `defaults`; `None` if it is disabled.
    #[must_use]
    pub fn step<'s>(&'s self, defaults: &'s [Step], at: usize) -> Option<&'s Step> {
        let place = u32::try_from(at).unwrap_or(u32::MAX);
        match self.changed.binary_search_by_key(&place, |(place, _)| *place) {
            Ok(found) => self.changed.get(found)?.1.as_ref(),
            Err(_) => defaults.get(at),
        }
    }

    /// Returns the change of the site at a position: no change, disabled, or another step.
    #[must_use]
    pub fn own(&self, at: usize) -> Option<Option<&Step>> {
        let place = u32::try_from(at).unwrap_or(u32::MAX);
        let found = self.changed.binary_search_by_key(&place, |(place, _)| *place).ok()?;
        Some(self.changed.get(found)?.1.as_ref())
    }

    /// Returns all steps, in source order.
    pub fn steps<'s>(&'s self, defaults: &'s [Step]) -> impl Iterator<Item = &'s Step> {
        (0..defaults.len()).filter_map(|at| self.step(defaults, at))
    }

    /// Returns a copy in which each changed step is replaced by the result of `each`.
    #[must_use]
    pub fn map(&self, each: impl Fn(&Step) -> Step) -> Self {
        let changed = self.changed.iter();
        let changed = changed.map(|(at, step)| (*at, step.as_ref().map(&each)));
        Self { changed: changed.collect() }
    }

    /// Returns the changed steps.
    pub fn changed(&self) -> impl Iterator<Item = &Step> {
        self.changed.iter().filter_map(|(_, step)| step.as_ref())
    }

    /// Returns the number of changed steps, with disabled ones.
    #[must_use]
    pub fn len(&self) -> usize {
        self.changed.len()
    }

    /// Returns whether nothing is changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changed.is_empty()
    }
}

/// The decision table.
#[derive(Debug, Clone)]
pub struct Decide {
    /// Its number, and thus its name.
    pub rule: RuleId,
    /// The thresholds, in source order.
    pub thresholds: Vec<(CondId, Final)>,
    /// The action if no threshold applies.
    pub otherwise: Final,
}

/// A level and its conditions.
#[derive(Debug, Clone)]
pub struct Level {
    /// The name.
    pub name: Box<str>,
    /// Whether each site has its own state of the level.
    pub per_site: bool,
    /// The condition to enter the level.
    pub enter: CondId,
    /// Milliseconds for which the condition must hold.
    pub sustained_ms: u64,
    /// Milliseconds without the condition until the level is left.
    pub leave_after_ms: u64,
}

/// The source of the elements of a list.
#[derive(Debug, Clone)]
pub enum ListSource {
    /// In the policy.
    Inline(Set),
    /// A file.
    File {
        /// Its path, as written.
        path: Box<str>,
        /// Maximum number of elements.
        max: usize,
        /// The behaviour after an error.
        on_error: OnListError,
    },
}

/// A list.
#[derive(Debug, Clone)]
pub struct List {
    /// The full name, without `@`.
    pub name: Box<str>,
    /// The type of an element.
    pub element: Type,
    /// The source of its elements.
    pub source: ListSource,
    /// Whether networks wider than one owner can have are valid elements.
    pub allows_wide: bool,
    /// The file that declares it.
    pub file: FileId,
    /// The position for diagnostics: the path of its file, if it has one.
    pub span: Span,
    /// The rules that reject the clients in it.
    pub refused: Vec<Refused>,
}

/// A rule that rejects the clients in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The rule.
    pub rule: Box<str>,
    /// The file that contains the rule.
    pub file: FileId,
    /// The position at which the rule names the list.
    pub span: Span,
    /// The clients that the rule exempts.
    pub spares: Vec<Spared>,
}

/// Clients that a rule exempts from its rejection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spared {
    /// Clients in these networks.
    Nets(NetSet),
    /// Clients in a list.
    List(ListId),
}

/// A type of an argument or result of a WASM rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExternType {
    /// `bool`
    Bool,
    /// `int`
    Int,
    /// `string`
    Str,
    /// `ip`
    Ip,
    /// `headers`
    Headers,
}

/// A function of a component.
#[derive(Debug, Clone)]
pub struct Extern {
    /// The full name.
    pub name: Box<str>,
    /// The types of its arguments.
    pub params: Vec<ExternType>,
    /// The type of its result.
    pub result: ExternType,
    /// The path of the component, as written.
    pub module: Box<str>,
    /// The digest that the component must have, in lower-case hex.
    pub sha256: Option<Box<str>>,
    /// The name of the export.
    pub function: Box<str>,
    /// Fuel for one call.
    pub fuel: u64,
    /// Wall time for one call.
    pub time_ms: u64,
    /// Memory of one instance in bytes.
    pub memory_bytes: u64,
    /// The result if the call fails.
    pub on_failure: Const,
    /// Whether each call gets a new instance.
    pub isolated: bool,
    /// The file that declares it.
    pub file: FileId,
    /// The position for diagnostics.
    pub span: Span,
}

/// A checked policy.
#[derive(Debug, Clone, Default)]
pub struct Program {
    /// Conditions, by [`CondId`].
    pub conditions: Vec<Box<[Op]>>,
    /// Primitive tests, by [`AtomId`].
    pub atoms: Vec<Atom>,
    /// Values, by [`OperandId`].
    pub operands: Vec<Operand>,
    /// Lists, by [`ListId`].
    pub lists: Vec<List>,
    /// Externs, by [`ExternId`].
    pub externs: Vec<Extern>,
    /// Counters, by [`CounterId`].
    pub counters: Vec<Counter>,
    /// Names, by [`RuleId`].
    pub rules: Vec<RuleInfo>,
    /// The feeds of the operator's tracks, in source order.
    pub feeds: Vec<Feed>,
    /// Levels in ascending order; [`LevelId`] is the position plus one.
    pub levels: Vec<Level>,
    /// The steps of `guarantee`: requests that are never rejected.
    pub guarantee: Vec<Step>,
    /// The steps of `floor`: requests that are always rejected.
    pub floor: Vec<Step>,
    /// The layers of members.
    pub sites: Vec<SiteLayer>,
    /// The steps for every site.
    pub defaults: Vec<Step>,
    /// The decision table.
    pub decide: Option<Decide>,
    /// The policy tests.
    pub cases: Vec<crate::policy_test::PolicyTest>,
}

impl Program {
    /// Returns the kinds of search for the elements of a list, each once. Examines the tests from
    /// `first` on.
    pub fn searches(&self, list: ListId, first: usize) -> impl Iterator<Item = Search> {
        let atoms = self.atoms.get(first..).unwrap_or_default();
        let asked = atoms.iter().filter_map(move |atom| match atom.check {
            Check::HasListed(of, search) if of == list => Some(search),
            _ => None,
        });
        asked.collect::<std::collections::BTreeSet<_>>().into_iter()
    }

    /// Returns whether a value is constant during a request. Scores, tags, counters and results of
    /// WASM rules are not.
    #[must_use]
    pub fn is_lasting(&self, id: OperandId, schema: &Schema) -> bool {
        match self.operands.get(id.0 as usize) {
            Some(Operand::Field(field)) => *field != schema.score_field,
            Some(Operand::Const(_) | Operand::Values(..)) => true,
            Some(
                Operand::CountOf(of)
                | Operand::Len(of)
                | Operand::Lower(of)
                | Operand::Segment(of, _)
                | Operand::Net(of, ..),
            ) => self.is_lasting(*of, schema),
            _ => false,
        }
    }
}
