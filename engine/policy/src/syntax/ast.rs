//! The syntax tree of a policy file, with the position of every part.
//!
//! The tree can be incomplete. A missing clause is `None`. A part that the parser could not read is
//! an `Error` node, and later stages ignore it because the parser has reported it.

use std::net::IpAddr;

use seawall_model::{PassKind, Prefix};

use crate::span::{Span, Spanned};

/// A name with its position. Case matters.
pub type Name = Spanned<Box<str>>;

/// A policy file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct File {
    /// The language version of the first line.
    pub version: Option<Spanned<i64>>,
    /// The free text after it.
    pub revision: Option<Spanned<Box<str>>>,
    /// The items after the first line.
    pub items: Vec<Item>,
}

/// An item at the top level of a file.
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
    /// A `guarantee`, `floor` or `defaults` block.
    Layer(Layer),
    /// `site "host", … { … }`
    Site(Site),
    /// `test "…" { … }`
    Test(Test),
    /// `let`, `list` or `track` outside a layer.
    Decl(Decl),
}

/// A declaration that is valid inside and outside a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decl {
    /// `let name = value`
    Let(Let),
    /// `list name: type = …`
    List(List),
    /// `track name { … }`
    Track(Box<Track>),
}

/// The layers in a file of the operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LayerKind {
    /// Requests that are never rejected.
    Guarantee,
    /// Requests that are always rejected.
    Floor,
    /// Rules for every site.
    Defaults,
}

impl LayerKind {
    /// Returns the keyword.
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
    /// The layer.
    pub kind: LayerKind,
    /// The position of the keyword.
    pub span: Span,
    /// The statements, in source order.
    pub stmts: Vec<Stmt>,
}

/// A `site` block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// The hosts of the block.
    pub hosts: Vec<Spanned<Box<str>>>,
    /// The position of the keyword.
    pub span: Span,
    /// The statements, in source order.
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
    /// Returns the position of its name, or of its keyword if it has no name.
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
    /// Returns the name.
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
    /// The keyword of the element type.
    pub element: &'static str,
    /// The source of its elements.
    pub source: ListSource,
    /// `allow wide`
    pub allow_wide: Option<Span>,
}

/// The source of the elements of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListSource {
    /// In the policy.
    Set(Spanned<Vec<Spanned<Literal>>>),
    /// In a file, one element in each line.
    File {
        /// The path, relative to this file.
        path: Spanned<Box<str>>,
        /// Maximum number of elements.
        max: Option<Spanned<i64>>,
        /// The polling interval, in addition to file events.
        reload: Option<Spanned<Duration>>,
        /// The behaviour after a read error.
        on_error: Option<Spanned<OnListError>>,
    },
    /// Not readable; already reported.
    Error,
}

/// A duration in microseconds, the smallest unit of the language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Duration {
    /// Microseconds.
    pub us: u64,
}

impl Duration {
    /// Returns milliseconds, rounded up so that a positive duration never becomes 0.
    #[must_use]
    pub const fn ms(self) -> u64 {
        self.us.div_ceil(1_000)
    }
}

/// `10/1m`: a number for each window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// The number.
    pub n: u64,
    /// The window.
    pub window: Duration,
}

/// A calendar date with an optional time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    /// Seconds since 1970-01-01T00:00:00Z.
    pub unix_s: i64,
}

/// The value that a track counts.
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
    /// Whether a clause of the block was not readable; if so, no missing clause is reported.
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
    /// Set for a shadow rule: it is evaluated but does not act.
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
    /// As a rate.
    Rate(Rate),
    /// As the name of a `let`.
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
    /// The duration of the hold.
    pub duration: Spanned<Duration>,
    /// The maximum up to which it doubles.
    pub doubling_to: Option<Spanned<Duration>>,
}

/// `limit name { … }`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// Set for a shadow limit: it is evaluated but does not act.
    pub shadow: Option<Shadow>,
    /// The name.
    pub name: Name,
    /// `where …`
    pub condition: Option<Spanned<Expr>>,
    /// `unless …`
    pub unless: Option<Spanned<Expr>>,
    /// `per …`; empty if missing.
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
    /// The statements for this level and higher levels.
    pub stmts: Vec<Stmt>,
}

/// `decide { when … then … otherwise … }`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decide {
    /// The position of the keyword.
    pub span: Span,
    /// The thresholds, in source order.
    pub thresholds: Vec<Threshold>,
    /// The action if no threshold applies.
    pub otherwise: Option<Spanned<Action>>,
    /// Whether a line was not readable; if so, no missing line is reported.
    pub broken: bool,
}

/// A line of a decision table.
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
    /// The author's explanation.
    pub note: Option<Spanned<Box<str>>>,
}

/// `level name { … }`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Level {
    /// The name.
    pub name: Name,
    /// Whether each site has its own state of the level.
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

/// A parameter of an extern.
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
    /// Whether a clause was not readable; if so, no missing clause is reported.
    pub broken: bool,
}

/// An action of a rule, a limit or a threshold.
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
        /// The duration of the ban.
        duration: Spanned<Duration>,
        /// The unit that is banned.
        per: Option<Spanned<BanUnit>>,
    },
    /// `challenge [kind] [for d]`
    Challenge {
        /// The weakest kind of proof that is accepted.
        kind: Option<Spanned<PassKind>>,
        /// The validity of the pass.
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
    /// `score += n` or `score -= n`; the number has the sign.
    Score(Spanned<i64>),
    /// `log ["…"]`
    Log(Option<Spanned<Box<str>>>),
    /// Not readable; already reported.
    Error,
}

/// A condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expr {
    /// All terms must hold.
    And(Vec<Spanned<Expr>>),
    /// At least one term must hold.
    Or(Vec<Spanned<Expr>>),
    /// A negation.
    Not(Box<Spanned<Expr>>),
    /// A comparison.
    Compare {
        /// The left side.
        left: Spanned<Operand>,
        /// The operator.
        op: Spanned<CompareOp>,
        /// The right side.
        right: Spanned<Operand>,
    },
    /// `x is present` (true) or `x is absent` (false).
    Is {
        /// The value.
        operand: Spanned<Operand>,
        /// Whether it is `present`.
        present: bool,
    },
    /// A Boolean operand without a comparison.
    Bare(Operand),
    /// Not readable; already reported.
    Error,
}

/// A comparison operator with its `not` and `nocase`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompareOp {
    /// The operator.
    pub kind: OpKind,
    /// `!=`, `not in`, `not contains` …
    pub negated: bool,
    /// `nocase`
    pub nocase: bool,
}

/// The comparison operators; `!=` is a negated `Eq`.
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
    /// A literal, except a bare word.
    Literal(Literal),
    /// A bare word: a field, a `let` or a word of an enumeration. `check` resolves it.
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
    /// Not readable; already reported.
    Error,
}

/// A literal value. Sets can contain words; elsewhere a word is an [`Operand::Word`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Literal {
    /// `"…"` or `r"…"`: bytes, because requests contain bytes.
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
    /// A network, and the address as written if it has bits behind the prefix.
    Cidr(Prefix, Option<IpAddr>),
    /// A date.
    Date(Date),
    /// `true`, `false`
    Bool(bool),
    /// A word inside a set.
    Word(Box<str>),
    /// Not readable; already reported.
    Error,
}

/// `test "…" { … }`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Test {
    /// The name of the test.
    pub name: Spanned<Box<str>>,
    /// Its lines.
    pub steps: Vec<Spanned<Step>>,
}

/// A line in a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// `given level name`
    GivenLevel(Name),
    /// `given client ip { … }`
    GivenClient {
        /// The client.
        ip: Spanned<IpAddr>,
        /// Facts about it.
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
    /// The method: a word, or a quoted string.
    pub method: Spanned<Literal>,
    /// The URL, sent unchanged.
    pub url: Spanned<Box<str>>,
    /// The client.
    pub from: Option<Spanned<IpAddr>>,
    /// Its properties.
    pub props: Vec<Spanned<Prop>>,
    /// The number of requests.
    pub times: Option<Spanned<i64>>,
    /// The duration over which they are spread.
    pub over: Option<Spanned<Duration>>,
}

/// A property of a request or client in a test.
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
        /// The status of the origin.
        status: Spanned<i64>,
        /// The duration until the response.
        after: Option<Spanned<Duration>>,
    },
    /// `bytes n`: the size of the origin's response.
    Bytes(i64),
}

/// The unit that a ban rejects.
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

/// The behaviour after a list cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnListError {
    /// The last valid copy stays in force.
    Keep,
    /// The policy is rejected.
    Reject,
    /// The list is empty.
    Empty,
}
