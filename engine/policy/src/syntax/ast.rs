//! The tree of a policy file, as LANGUAGE §3 writes it, with the place of everything.
//!
//! The tree holds what was written, complete or not: a clause that is missing is `None`, a part
//! that could not be read is an `Error` node that later stages pass over in silence, since the
//! parser has spoken about it already.

use std::net::IpAddr;

use seawall_model::{PassKind, Prefix};

use crate::span::{Span, Spanned};

/// A name where it stands. Lower and upper case differ.
pub type Name = Spanned<Box<str>>;

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct File {
    /// The language version of the first line.
    pub version: Option<Spanned<i64>>,
    /// The free text behind it.
    pub revision: Option<Spanned<Box<str>>>,
    /// What follows.
    pub items: Vec<Item>,
}

/// What stands at the top of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// `include "glob"`
    Include(Spanned<Box<str>>),
    /// `member name { … }`
    Member(Member),
    /// `level name { … }`
    Level(Level),
    /// `extern name(…) -> type { … }`
    Extern(Extern),
    /// `guarantee`, `floor` or `defaults` with its block.
    Layer(Layer),
    /// `site "host", … { … }`
    Site(Site),
    /// `test "…" { … }`
    Test(Test),
    /// `let`, `list` or `track` outside a layer.
    Decl(Decl),
}

/// A declaration that may stand inside or outside a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decl {
    /// `let name = value`
    Let(Let),
    /// `list name: type = …`
    List(List),
    /// `track name { … }`
    Track(Box<Track>),
}

/// The layers that a host file may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LayerKind {
    /// Never refused.
    Guarantee,
    /// Never let in.
    Floor,
    /// What every site gets.
    Defaults,
}

impl LayerKind {
    /// The word of the language.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Guarantee => "guarantee",
            Self::Floor => "floor",
            Self::Defaults => "defaults",
        }
    }
}

/// A layer block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// Which.
    pub kind: LayerKind,
    /// The keyword.
    pub span: Span,
    /// The statements, in page order.
    pub stmts: Vec<Stmt>,
}

/// A member's block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// The hosts that it is for.
    pub hosts: Vec<Spanned<Box<str>>>,
    /// The keyword.
    pub span: Span,
    /// The statements, in page order.
    pub stmts: Vec<Stmt>,
}

/// A statement of a layer or a site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stmt {
    /// A declaration.
    Decl(Decl),
    /// `rule name { … }`
    Rule(Rule),
    /// `limit name { … }`
    Limit(Limit),
    /// `under level { … }`
    Under(Under),
    /// `decide { … }`
    Decide(Decide),
    /// `adjust name { … }`
    Adjust(Adjust),
    /// `disable name`
    Disable(Disable),
}

impl Stmt {
    /// Where it says what it is: its name, where it has one.
    #[must_use]
    pub const fn span(&self) -> Span {
        match self {
            Self::Decl(decl) => decl.name().span,
            Self::Rule(rule) => rule.name.span,
            Self::Limit(limit) => limit.name.span,
            Self::Under(under) => under.level.span,
            Self::Decide(decide) => decide.span,
            Self::Adjust(adjust) => adjust.name.span,
            Self::Disable(disable) => disable.name.span,
        }
    }
}

impl Decl {
    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &Name {
        match self {
            Self::Let(item) => &item.name,
            Self::List(list) => &list.name,
            Self::Track(track) => &track.name,
        }
    }
}

/// `let name = value`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Let {
    /// The name.
    pub name: Name,
    /// A literal or a set.
    pub value: Spanned<Operand>,
}

/// `list name: type = …`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    /// The name, without `@`.
    pub name: Name,
    /// The word of the elements' type.
    pub element: &'static str,
    /// Where its elements come from.
    pub source: ListSource,
    /// `allow wide`
    pub allow_wide: Option<Span>,
}

/// Where a list's elements come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListSource {
    /// Written out.
    Set(Spanned<Vec<Spanned<Literal>>>),
    /// In a file, one element a line.
    File {
        /// The path, relative to this file.
        path: Spanned<Box<str>>,
        /// The most elements it may hold.
        max: Option<Spanned<i64>>,
        /// How often it is looked at beside file events.
        reload: Option<Spanned<Duration>>,
        /// What a failure to read it does.
        on_error: Option<Spanned<OnListError>>,
    },
    /// Could not be read; said already.
    Error,
}

/// Microseconds: the finest unit that the language writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Duration {
    /// Microseconds.
    pub us: u64,
}

impl Duration {
    /// In milliseconds, rounded up, so that a positive duration never becomes none.
    #[must_use]
    pub const fn ms(self) -> u64 {
        self.us.div_ceil(1_000)
    }
}

/// `10/1m`: so many in each window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub n: u64,
    /// In which window.
    pub window: Duration,
}

/// A calendar date, with a time of day where one was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    /// Seconds since 1970-01-01T00:00:00Z.
    pub unix_s: i64,
}

/// What a track counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Counted {
    /// `count requests`
    Requests,
    /// `count bytes field`
    Bytes(Name),
    /// `count distinct operand`
    Distinct(Box<Spanned<Operand>>),
}

/// `track name { … }`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Track {
    /// The name.
    pub name: Name,
    /// `count …`
    pub count: Option<Spanned<Counted>>,
    /// `on request` (false) or `on response` (true).
    pub on_response: Option<Spanned<bool>>,
    /// `where …`
    pub condition: Option<Spanned<Expr>>,
    /// `per …`
    pub per: Vec<Spanned<Operand>>,
    /// `over …`
    pub over: Option<Spanned<Duration>>,
    /// `keys …`
    pub keys: Option<Spanned<i64>>,
    /// `note`, `expires`
    pub meta: Meta,
}

/// `note` and `expires`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Meta {
    /// The last `note`.
    pub note: Option<Spanned<Box<str>>>,
    /// `expires`
    pub expires: Option<Spanned<Date>>,
    /// A clause of the block could not be read; said already, so nothing is missing here.
    pub broken: bool,
}

/// `shadow [until date]` before a rule or limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shadow {
    /// The keyword.
    pub span: Span,
    /// The date.
    pub until: Option<Spanned<Date>>,
}

/// `rule name { … }`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Evaluates but does not act.
    pub shadow: Option<Shadow>,
    /// The name.
    pub name: Name,
    /// `when …`
    pub when: Option<Spanned<Expr>>,
    /// `unless …`
    pub unless: Option<Spanned<Expr>>,
    /// `then …`
    pub then: Option<Spanned<Vec<Spanned<Action>>>>,
    /// `note`, `expires`
    pub meta: Meta,
}

/// `10/1m`, or the name of a `let`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RateOrName {
    /// Written out.
    Rate(Rate),
    /// By name.
    Name(Box<str>),
}

/// `to rate burst n`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct To {
    /// The rate.
    pub rate: Spanned<RateOrName>,
    /// The reserve.
    pub burst: Option<Spanned<i64>>,
}

/// `hold d doubling to m`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// How long.
    pub duration: Spanned<Duration>,
    /// Up to how long it doubles.
    pub doubling_to: Option<Spanned<Duration>>,
}

/// `limit name { … }`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// Evaluates but does not act.
    pub shadow: Option<Shadow>,
    /// The name.
    pub name: Name,
    /// `where …`
    pub condition: Option<Spanned<Expr>>,
    /// `unless …`
    pub unless: Option<Spanned<Expr>>,
    /// `per …`; empty where it is missing.
    pub per: Vec<Spanned<Operand>>,
    /// `to …`
    pub to: Option<Spanned<To>>,
    /// `concurrent …`
    pub concurrent: Option<Spanned<i64>>,
    /// `then …`
    pub then: Option<Spanned<Vec<Spanned<Action>>>>,
    /// `hold …`
    pub hold: Option<Spanned<Hold>>,
    /// `keys …`
    pub keys: Option<Spanned<i64>>,
    /// `note`, `expires`
    pub meta: Meta,
}

/// `under level { … }`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Under {
    /// The level.
    pub level: Name,
    /// What holds at that level or a worse one.
    pub stmts: Vec<Stmt>,
}

/// `decide { when … then … otherwise … }`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decide {
    /// The keyword.
    pub span: Span,
    /// The thresholds, in page order.
    pub thresholds: Vec<Threshold>,
    /// What holds where none does.
    pub otherwise: Option<Spanned<Action>>,
    /// A line could not be read; said already, so nothing is missing here.
    pub broken: bool,
}

/// One line of a decision table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Threshold {
    /// `when …`
    pub when: Spanned<Expr>,
    /// `then …`
    pub then: Spanned<Action>,
}

/// `adjust name { … }`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adjust {
    /// The rule or limit of `defaults`.
    pub name: Name,
    /// `to …`
    pub to: Option<Spanned<To>>,
    /// `concurrent …`
    pub concurrent: Option<Spanned<i64>>,
    /// `then …`
    pub then: Option<Spanned<Vec<Spanned<Action>>>>,
    /// `hold …`
    pub hold: Option<Spanned<Hold>>,
    /// `unless …`
    pub unless: Option<Spanned<Expr>>,
    /// `note`, `expires`
    pub meta: Meta,
}

/// `disable name note "…"`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disable {
    /// The rule or limit of `defaults`.
    pub name: Name,
    /// Why.
    pub note: Option<Spanned<Box<str>>>,
}

/// `level name { … }`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Level {
    /// The name.
    pub name: Name,
    /// One for each site.
    pub per_site: bool,
    /// `enter when …`
    pub enter: Option<Spanned<Expr>>,
    /// `sustained …`
    pub sustained: Option<Spanned<Duration>>,
    /// `leave after …`
    pub leave_after: Option<Spanned<Duration>>,
    /// `note`, `expires`
    pub meta: Meta,
}

/// `member name { … }`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The name.
    pub name: Name,
    /// `hosts { … }`
    pub hosts: Option<Spanned<Vec<Spanned<Literal>>>>,
    /// `may { … }`
    pub may: Option<Spanned<Vec<Spanned<Literal>>>>,
    /// `rules n`
    pub rules: Option<Spanned<i64>>,
    /// `keys n`
    pub keys: Option<Spanned<i64>>,
    /// `cpu d`
    pub cpu: Option<Spanned<Duration>>,
    /// `file "…"`
    pub file: Option<Spanned<Box<str>>>,
    /// `note`, `expires`
    pub meta: Meta,
}

/// One parameter of an extern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Param {
    /// The name.
    pub name: Name,
    /// The type as written.
    pub ty: Name,
}

/// `extern name(…) -> type { … }`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extern {
    /// The name.
    pub name: Name,
    /// The parameters.
    pub params: Vec<Param>,
    /// The result type as written.
    pub result: Name,
    /// `module "…"`
    pub module: Option<Spanned<Box<str>>>,
    /// `sha256 "…"`
    pub sha256: Option<Spanned<Box<str>>>,
    /// `function "…"`
    pub function: Option<Spanned<Box<str>>>,
    /// `fuel n`
    pub fuel: Option<Spanned<i64>>,
    /// `time d`
    pub time: Option<Spanned<Duration>>,
    /// `memory size`
    pub memory: Option<Spanned<u64>>,
    /// `on_failure return literal`
    pub on_failure: Option<Spanned<Literal>>,
    /// `isolate per_call`
    pub isolate: Option<Span>,
    /// A clause could not be read; said already, so nothing is missing here.
    pub broken: bool,
}

/// What a rule, a limit or a threshold does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// `allow`
    Allow,
    /// `block [status] [page "…"]`
    Block {
        /// The status.
        status: Option<Spanned<i64>>,
        /// The page.
        page: Option<Spanned<Box<str>>>,
    },
    /// `drop`
    Drop,
    /// `ban d [per unit]`
    Ban {
        /// How long.
        duration: Spanned<Duration>,
        /// Whom.
        per: Option<Spanned<BanUnit>>,
    },
    /// `challenge [kind] [for d]`
    Challenge {
        /// The least proof that satisfies.
        kind: Option<Spanned<PassKind>>,
        /// How long the pass is valid.
        valid: Option<Spanned<Duration>>,
    },
    /// `throttle to rate [per keys]`
    Throttle {
        /// The rate.
        rate: Spanned<Rate>,
        /// The key.
        per: Vec<Spanned<Operand>>,
    },
    /// `tarpit d`
    Tarpit(Spanned<Duration>),
    /// `tag "…"`
    Tag(Spanned<Box<str>>),
    /// `score += n` or `score -= n`; the number carries the sign.
    Score(Spanned<i64>),
    /// `log ["…"]`
    Log(Option<Spanned<Box<str>>>),
    /// Could not be read; said already.
    Error,
}

/// A condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expr {
    /// All of them.
    And(Vec<Spanned<Expr>>),
    /// Any of them.
    Or(Vec<Spanned<Expr>>),
    /// The opposite.
    Not(Box<Spanned<Expr>>),
    /// A comparison.
    Compare {
        /// What is looked at.
        left: Spanned<Operand>,
        /// How.
        op: Spanned<CompareOp>,
        /// What it is held against.
        right: Spanned<Operand>,
    },
    /// `x is present` (true) or `x is absent` (false).
    Is {
        /// What is looked at.
        operand: Spanned<Operand>,
        /// `present`
        present: bool,
    },
    /// A boolean operand by itself.
    Bare(Operand),
    /// Could not be read; said already.
    Error,
}

/// A comparison word with its `not` and `nocase`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompareOp {
    /// The word.
    pub kind: OpKind,
    /// `!=`, `not in`, `not contains` …
    pub negated: bool,
    /// `nocase`
    pub nocase: bool,
}

/// The comparison words; `!=` is a negated `Eq`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OpKind {
    /// `==`
    Eq,
    /// `<`
    Less,
    /// `<=`
    LessEq,
    /// `>`
    Greater,
    /// `>=`
    GreaterEq,
    /// `in`
    In,
    /// `contains`
    Contains,
    /// `starts_with`
    StartsWith,
    /// `ends_with`
    EndsWith,
    /// `like`
    Like,
    /// `matches`
    Matches,
}

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operand {
    /// Written out, a bare word apart.
    Literal(Literal),
    /// A bare word: a field, a `let` or a word of an enumeration. Which one, `check` finds.
    Word(Box<str>),
    /// `@name`
    ListRef(Box<str>),
    /// `{ … }`
    Set(Vec<Spanned<Literal>>),
    /// `name(…)`
    Call {
        /// The function.
        name: Name,
        /// The arguments.
        args: Vec<Spanned<Operand>>,
    },
    /// `( … )`
    Group(Box<Spanned<Expr>>),
    /// Could not be read; said already.
    Error,
}

/// A value written out. Sets may hold words; elsewhere a word is an [`Operand::Word`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Literal {
    /// `"…"` or `r"…"`: bytes, since what requests carry are bytes.
    Str(Box<[u8]>),
    /// `10`, `20k`
    Int(i64),
    /// `30%`
    Percent(i64),
    /// `1h30m`
    Duration(Duration),
    /// `10/1m`
    Rate(Rate),
    /// `1MiB`, in bytes.
    Size(u64),
    /// `AS64496`
    Asn(u32),
    /// An address.
    Ip(IpAddr),
    /// A network, and the address as written where it has bits behind the prefix.
    Cidr(Prefix, Option<IpAddr>),
    /// A date.
    Date(Date),
    /// `true`, `false`
    Bool(bool),
    /// A word inside a set.
    Word(Box<str>),
    /// Could not be read; said already.
    Error,
}

/// `test "…" { … }`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Test {
    /// What it says.
    pub name: Spanned<Box<str>>,
    /// Its lines.
    pub steps: Vec<Spanned<Step>>,
}

/// A line of a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// `given level name`
    GivenLevel(Name),
    /// `given client ip { … }`
    GivenClient {
        /// Whose.
        ip: Spanned<IpAddr>,
        /// What is known of them.
        props: Vec<Spanned<Prop>>,
    },
    /// `given @list = { … }`
    GivenList {
        /// The list.
        name: Name,
        /// Its elements for this test.
        elements: Spanned<Vec<Spanned<Literal>>>,
    },
    /// `request METHOD "url" …`
    Request(Box<Request>),
    /// `wait d`
    Wait(Spanned<Duration>),
    /// `expect …`
    Expect {
        /// `None` for `expect pass`.
        action: Option<Spanned<Action>>,
        /// `by name`
        by: Option<Name>,
    },
}

/// `request METHOD "url" from ip { … } times n over d`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The method: a word, or in quotes.
    pub method: Spanned<Literal>,
    /// The URL, sent as it is written.
    pub url: Spanned<Box<str>>,
    /// The client.
    pub from: Option<Spanned<IpAddr>>,
    /// What it carries.
    pub props: Vec<Spanned<Prop>>,
    /// How often.
    pub times: Option<Spanned<i64>>,
    /// Spread over how long.
    pub over: Option<Spanned<Duration>>,
}

/// A property of a test's request or client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prop {
    /// `header "name" "value"`
    Header(Spanned<Box<str>>, Spanned<Box<[u8]>>),
    /// `cookie "name" "value"`
    Cookie(Spanned<Box<str>>, Spanned<Box<[u8]>>),
    /// `asn AS64496`
    Asn(u32),
    /// `country FR`
    Country(Name),
    /// `crawler google`
    Crawler(Name),
    /// `ja4 "…"`
    Ja4(Box<str>),
    /// `proto h2`
    Proto(Name),
    /// `connections 30`
    Connections(Spanned<i64>),
    /// `in_flight 8`
    InFlight(Spanned<i64>),
    /// `pass valid`
    PassValid,
    /// `pass none`
    PassNone,
    /// `pass age d`
    PassAge(Duration),
    /// `answered status [after d]`
    Answered {
        /// The origin's status.
        status: Spanned<i64>,
        /// How long it took.
        after: Option<Spanned<Duration>>,
    },
    /// `bytes n`: the size of the origin's answer.
    Bytes(i64),
}

/// Whom a ban refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BanUnit {
    /// `client`
    Client,
    /// `client.ip`
    Ip,
    /// `client.net`
    Net,
    /// `client.asn`
    Asn,
}

/// What a failure to read a list does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnListError {
    /// The last good copy stays.
    Keep,
    /// The policy is refused.
    Reject,
    /// The list is empty.
    Empty,
}
