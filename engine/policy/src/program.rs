//! The checked program: flat, immutable, and with a known worst number of steps.
//!
//! Everything is a table and an index into one. A condition is a run of operations with forward
//! jumps only, so evaluating it takes at most as many steps as it is long. Every distinct primitive
//! test stands once ([`Atom`]) however many rules make it: that is what an index can be built on.

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

/// One step of a condition. The machine holds one truth value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// The truth value becomes that of the test.
    Test(AtomId),
    /// The truth value becomes this.
    Set(bool),
    /// The truth value becomes its opposite.
    Not,
    /// Goes on at the given step, which lies ahead, if the truth value is true.
    JumpIfTrue(u32),
    /// Goes on at the given step, which lies ahead, if the truth value is false.
    JumpIfFalse(u32),
}

/// A primitive test: a value held against something known at load.
#[derive(Debug, Clone)]
pub struct Atom {
    /// What is looked at.
    pub operand: OperandId,
    /// What it is held against.
    pub check: Check,
    /// The opposite is asked. Being absent makes a plain test false and so this one true.
    pub negated: bool,
    /// As the author wrote it, for `explain`.
    pub text: Box<str>,
}

/// How two values are ordered.
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
    /// Whether `a` stands so to `b`.
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

/// What a value is held against.
#[derive(Debug, Clone)]
pub enum Check {
    /// Is true.
    True,
    /// Has a value.
    Present,
    /// Equals it.
    Equal(Const),
    /// Stands so to it.
    Ordered(Order, i64),
    /// Equals another value of the request.
    SameAs(OperandId),
    /// Stands so to another value of the request.
    OrderedTo(Order, OperandId),
    /// Is in a set written out.
    InSet(Set),
    /// Is in a list.
    InList(ListId),
    /// Lies in a network.
    InNet(Prefix),
    /// Holds these bytes.
    Contains(Needle),
    /// Begins with these bytes.
    StartsWith(Needle),
    /// Ends with these bytes.
    EndsWith(Needle),
    /// Holds, begins with or ends with one of several texts that are written out.
    HasOne(Arc<TextSet>),
    /// The same with the elements of a list.
    HasListed(ListId, Search),
    /// `like` (anchored) and `matches`: linear in the length of the value.
    Matches(Expression),
}

/// Bytes to look for.
#[derive(Debug, Clone)]
pub struct Needle {
    /// The bytes; lower case where case does not matter.
    pub bytes: Box<[u8]>,
    /// Letters of ASCII match in either case.
    pub nocase: bool,
}

/// A value known at load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Const {
    /// True or false.
    Bool(bool),
    /// Whatever counts: whole numbers, percentages, microseconds, bytes, AS numbers, words.
    Int(i64),
    /// Bytes.
    Bytes(Box<[u8]>),
    /// An address.
    Ip(IpAddr),
    /// A network.
    Net(Prefix),
}

/// What is read of a counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Read {
    /// `rate(t)` and `count(t)`: how many in the window.
    Count,
    /// `bytes(t)`
    Bytes,
    /// `distinct(t)`
    Distinct,
    /// `share(t)`: this key's part of all, in percent.
    Share,
    /// `top(t, n)`: whether the key is among the n heaviest.
    Top(u32),
}

/// A value to be looked up or computed. Operands refer to earlier ones only.
#[derive(Debug, Clone)]
pub enum Operand {
    /// Known at load.
    Const(Const),
    /// A field.
    Field(FieldId),
    /// All values of a named field; where one value is wanted, the first.
    Values(FieldId, Box<str>),
    /// Whether the walk has given this tag.
    Tagged(Box<str>),
    /// `count_of(x)`
    CountOf(OperandId),
    /// `len(x)`
    Len(OperandId),
    /// `lower(x)`: letters of ASCII.
    Lower(OperandId),
    /// `segment(path, n)`, from 1.
    Segment(OperandId, u32),
    /// `net(ip, v4, v6)`
    Net(OperandId, u8, u8),
    /// `sample(p, key)`: the same answer for the same key.
    Sample(u8, OperandId),
    /// A counter, for the key of this request.
    Counter(Read, CounterId),
    /// A rule's function.
    Extern(ExternId, Box<[OperandId]>),
    /// A condition in parentheses.
    Condition(CondId),
}

/// How a verdict is reached by a final action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Final {
    /// `allow`
    Allow,
    /// `block`
    Block {
        /// The status.
        status: u16,
        /// The page, where one is named.
        page: Option<Box<str>>,
    },
    /// `drop`
    Drop,
    /// `ban`
    Ban {
        /// How long.
        for_ms: u64,
        /// Whom.
        unit: BanUnit,
    },
    /// `challenge`
    Challenge {
        /// The least proof that satisfies.
        kind: ChallengeKind,
        /// How long the pass is valid.
        valid_ms: u64,
    },
    /// `throttle`
    Throttle {
        /// The counter that it counts with.
        counter: CounterId,
        /// How many.
        n: u64,
        /// In which window.
        window_ms: u64,
    },
    /// `tarpit`
    Tarpit {
        /// How long.
        hold_ms: u64,
    },
}

/// What lets the walk go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// `tag`
    Tag(Box<str>),
    /// `score`
    Score(i64),
    /// `log`
    Log(Option<Box<str>>),
}

/// What happens where a step applies.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RuleEffect {
    /// In page order.
    pub effects: Box<[Effect]>,
    /// The end, where there is one.
    pub last: Option<Final>,
}

/// A rule, limit or threshold of a layer.
#[derive(Debug, Clone)]
pub struct Step {
    /// Its number and so its name.
    pub rule: RuleId,
    /// Skipped below this level.
    pub level: LevelId,
    /// Evaluates, counts, does not act.
    pub shadow: bool,
    /// Acts until this moment.
    pub expires: Option<Tick>,
    /// `when` of a rule, `where` of a limit.
    pub when: Option<CondId>,
    /// `unless`
    pub unless: Option<CondId>,
    /// The counter of a limit.
    pub limit: Option<LimitStep>,
    /// What it does.
    pub then: RuleEffect,
}

/// A limit's counter, and what it may count up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitStep {
    /// The counter.
    pub counter: CounterId,
    /// The numbers; they may differ between sites that share the counter.
    pub terms: LimitTerms,
}

/// The numbers of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitTerms {
    /// `to N/W burst B hold D`
    Rate(RateTerms),
    /// `concurrent N`: at most so many requests under way.
    Concurrent {
        /// How many.
        n: u64,
    },
}

/// The numbers of a limit on a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateTerms {
    /// How many in a window.
    pub n: u64,
    /// In which window.
    pub window_ms: u64,
    /// The reserve.
    pub burst: u64,
    /// How long the action is held, in milliseconds.
    pub hold_ms: Option<u64>,
    /// Up to how long it doubles, in milliseconds.
    pub doubling_to_ms: Option<u64>,
}

/// Whose requests a counter counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// All.
    Host,
    /// Those of each site apart.
    PerSite,
    /// Those of one member layer.
    SiteBlock(u32),
    /// Those of all layers of one member, by her number among the `member` entries.
    Member(u32),
}

/// What a counter counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Counts {
    /// A limit's requests.
    Limit,
    /// The requests of a limit that are under way.
    Concurrent,
    /// A track's requests.
    Requests,
    /// A track's bytes.
    Bytes(FieldId),
    /// A track's different values.
    Distinct(OperandId),
}

/// A counter.
#[derive(Debug, Clone)]
pub struct Counter {
    /// The full name.
    pub name: Box<str>,
    /// The same text means the same counter across reloads: name, key and what is counted.
    pub identity: Box<str>,
    /// What is counted.
    pub counts: Counts,
    /// Whose.
    pub scope: Scope,
    /// The key; empty counts all together.
    pub per: Box<[OperandId]>,
    /// The window.
    pub window_ms: u64,
    /// Slots.
    pub keys: usize,
    /// Whether `share` or `top` is asked of it.
    pub heavy: bool,
}

/// When a track is fed.
#[derive(Debug, Clone, Copy)]
pub struct Feed {
    /// Which.
    pub counter: CounterId,
    /// For which requests.
    pub condition: Option<CondId>,
    /// When the answer has ended, or before the layers run.
    pub on_response: bool,
}

/// A rule, limit or decision table as people know it.
#[derive(Debug, Clone)]
pub struct RuleInfo {
    /// The full name: `floor.drop-list`.
    pub name: Box<str>,
    /// The member in whose files it stands.
    pub member: Option<Box<str>>,
    /// The file where it stands.
    pub file: FileId,
    /// Its name there.
    pub span: Span,
    /// Why it is there.
    pub note: Option<Box<str>>,
}

/// A member's layer.
#[derive(Debug, Clone)]
pub struct SiteLayer {
    /// The member, where it is reached through a `member` entry.
    pub member: Option<Box<str>>,
    /// Her number among the `member` entries.
    pub number: Option<u32>,
    /// What its names begin with, and the space of its bans: the member, or the first host.
    pub space: Box<str>,
    /// The hosts that it is for.
    pub hosts: Vec<HostPattern>,
    /// In page order.
    pub steps: Vec<Step>,
    /// What this member has changed of `defaults`; `None` where they are as the host wrote them.
    pub defaults: Option<Adjusted>,
    /// When her tracks are fed: by requests to these hosts, and by no others.
    pub feeds: Vec<Feed>,
}

/// What a site has changed of `defaults`. All that it has not is the host's and is shared, so that
/// a thousand `site` blocks with an `adjust` each do not hold a thousand copies.
#[derive(Debug, Clone, Default)]
pub struct Adjusted {
    /// By place in `defaults`, in rising order, no place twice. A step that is disabled is none.
    changed: Vec<(u32, Option<Step>)>,
}

impl Adjusted {
    /// Changes the step at a place: `None` disables it.
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

    /// The step at a place of `defaults`, as the site has it; none where it is disabled.
    #[must_use]
    pub fn step<'s>(&'s self, defaults: &'s [Step], at: usize) -> Option<&'s Step> {
        let place = u32::try_from(at).unwrap_or(u32::MAX);
        match self.changed.binary_search_by_key(&place, |(place, _)| *place) {
            Ok(found) => self.changed.get(found)?.1.as_ref(),
            Err(_) => defaults.get(at),
        }
    }

    /// What the site makes of the step at a place: nothing, or it is disabled, or another step.
    #[must_use]
    pub fn own(&self, at: usize) -> Option<Option<&Step>> {
        let place = u32::try_from(at).unwrap_or(u32::MAX);
        let found = self.changed.binary_search_by_key(&place, |(place, _)| *place).ok()?;
        Some(self.changed.get(found)?.1.as_ref())
    }

    /// All steps, in page order.
    pub fn steps<'s>(&'s self, defaults: &'s [Step]) -> impl Iterator<Item = &'s Step> {
        (0..defaults.len()).filter_map(|at| self.step(defaults, at))
    }

    /// The same with each step that the site has of its own made another.
    #[must_use]
    pub fn map(&self, each: impl Fn(&Step) -> Step) -> Self {
        let changed = self.changed.iter();
        let changed = changed.map(|(at, step)| (*at, step.as_ref().map(&each)));
        Self { changed: changed.collect() }
    }

    /// The steps that the site has of its own.
    pub fn changed(&self) -> impl Iterator<Item = &Step> {
        self.changed.iter().filter_map(|(_, step)| step.as_ref())
    }

    /// How many steps differ, disabled ones too.
    #[must_use]
    pub fn len(&self) -> usize {
        self.changed.len()
    }

    /// Whether nothing is changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changed.is_empty()
    }
}

/// The decision table.
#[derive(Debug, Clone)]
pub struct Decide {
    /// Its number and so its name.
    pub rule: RuleId,
    /// In page order.
    pub thresholds: Vec<(CondId, Final)>,
    /// Where none holds.
    pub otherwise: Final,
}

/// What a level watches.
#[derive(Debug, Clone)]
pub struct Level {
    /// The name.
    pub name: Box<str>,
    /// One for each site.
    pub per_site: bool,
    /// Enters when.
    pub enter: CondId,
    /// For how long it must hold.
    pub sustained_ms: u64,
    /// How long it must be calm before it is left.
    pub leave_after_ms: u64,
}

/// Where a list's elements come from.
#[derive(Debug, Clone)]
pub enum ListSource {
    /// Written out.
    Inline(Set),
    /// A file.
    File {
        /// Its path, as written.
        path: Box<str>,
        /// The most elements it may hold.
        max: usize,
        /// What a failure does.
        on_error: OnListError,
    },
}

/// A list.
#[derive(Debug, Clone)]
pub struct List {
    /// The full name, without `@`.
    pub name: Box<str>,
    /// The element's type.
    pub element: Type,
    /// Where its elements come from.
    pub source: ListSource,
    /// Networks without a single owner are elements, too.
    pub allows_wide: bool,
    /// The file that declares it.
    pub file: FileId,
    /// The place to complain at: its path, where it has one.
    pub span: Span,
    /// Rules that refuse the clients in it.
    pub refused: Vec<Refused>,
}

/// A rule that refuses the clients in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The rule.
    pub rule: Box<str>,
    /// The file where it stands.
    pub file: FileId,
    /// Where it names the list.
    pub span: Span,
    /// Whom it lets through all the same.
    pub spares: Vec<Spared>,
}

/// Clients whom a rule lets through though it would refuse them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spared {
    /// Those in these networks.
    Nets(NetSet),
    /// Those in a list.
    List(ListId),
}

/// A type that crosses into a rule.
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
    /// What it takes.
    pub params: Vec<ExternType>,
    /// What it gives.
    pub result: ExternType,
    /// The component's path, as written.
    pub module: Box<str>,
    /// The digest that the component must have, lower-case hex.
    pub sha256: Option<Box<str>>,
    /// The export's name.
    pub function: Box<str>,
    /// Fuel for one call.
    pub fuel: u64,
    /// Wall time for one call.
    pub time_ms: u64,
    /// Memory of one instance.
    pub memory_bytes: u64,
    /// The answer where the call fails.
    pub on_failure: Const,
    /// A fresh instance for each call.
    pub isolated: bool,
    /// The file that declares it.
    pub file: FileId,
    /// The place to complain at.
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
    /// When the host's tracks are fed, in page order.
    pub feeds: Vec<Feed>,
    /// Levels in ascending order; [`LevelId`] is the place in it plus one.
    pub levels: Vec<Level>,
    /// Never refused.
    pub guarantee: Vec<Step>,
    /// Never let in.
    pub floor: Vec<Step>,
    /// Members' layers.
    pub sites: Vec<SiteLayer>,
    /// What every site gets.
    pub defaults: Vec<Step>,
    /// The decision table.
    pub decide: Option<Decide>,
    /// The tests of the policy.
    pub cases: Vec<crate::policy_test::PolicyTest>,
}

impl Program {
    /// In which ways tests look for the elements of a list, each once. The tests are those from the
    /// `first` on.
    pub fn searches(&self, list: ListId, first: usize) -> impl Iterator<Item = Search> {
        let atoms = self.atoms.get(first..).unwrap_or_default();
        let asked = atoms.iter().filter_map(move |atom| match atom.check {
            Check::HasListed(of, search) if of == list => Some(search),
            _ => None,
        });
        asked.collect::<std::collections::BTreeSet<_>>().into_iter()
    }

    /// Whether a value stays what it is from the first rule to the last: no score, no tag, no count,
    /// no answer of a rule.
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
