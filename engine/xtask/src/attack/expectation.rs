//! A promise: an attack, and what must hold during and after it.

/// Kinds of visitors beside an attack, as `seawall-attack` calls them. HTTP/2 is spoken over TLS.
pub(crate) const ALL_KINDS: &str = "h1,h1-new,h1-tls,h1-tls-new,h2-tls";
/// Those of which each request is a connection, and a whole handshake.
pub(crate) const NEW_OVER_TLS: &str = "h1-tls-new";

/// One promise. Each includes that no visitor fails, in any phase, and that a new client is served
/// within two seconds after the end of the last attacker.
#[derive(Debug)]
pub(crate) struct Expectation {
    /// The scenario, as `seawall-attack list` has it. One promise for each.
    pub(crate) scenario: &'static str,
    /// Which attack of the catalogue in `tests/attack/README.md`.
    pub(crate) vector: &'static str,
    /// What is attacked.
    pub(crate) at: AttackTarget,
    /// Seconds of attack that it takes to show it: more than any time in `must`.
    pub(crate) seconds: u64,
    /// More for `seawall-attack run`; see [`ORIGIN`] and [`POLICY`].
    pub(crate) arguments: &'static [&'static str],
    /// Which visitors come meanwhile.
    pub(crate) visitors: &'static str,
    /// What must hold.
    pub(crate) must: &'static [Assertion],
}

/// Stands for the origin's address in [`Expectation::arguments`].
pub(crate) const ORIGIN: &str = "{origin}";
/// Stands for the policy's file.
pub(crate) const POLICY: &str = "{policy}";

/// Where an attack goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AttackTarget {
    /// The port in the clear.
    Plain,
    /// The port with TLS, over TLS.
    Tls,
    /// The port in the clear, from a network namespace over IPv4: loopback is never banned.
    Namespace4,
    /// The same over IPv6.
    Namespace6,
}

/// What must hold, besides the visitors. Each has a figure of its own in the result; a missing
/// figure breaks the promise.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Assertion {
    /// No connection of the attack lives longer, whether the server or the attacker ended it; and
    /// the server ended some.
    ClosedWithinMs(u64),
    /// Memory that the server gains, for each connection that was open at once at most.
    KibEach(u64),
    /// Memory that it gains in all.
    MibInAll(u64),
    /// Its processor time for each connection, beyond that for the visitors.
    CpuMsEach(u64),
    /// The same in honest connections: TLS without resumption, one request, one answer.
    HonestEach(u64),
    /// The attack's requests that reach the origin, for each connection.
    OriginEach(u64),
    /// And in all.
    OriginInAll(u64),
    /// How fast its log grows.
    LogKibPerMinute(u64),
    /// Responses that the attack gets.
    Answers(u64),
    /// Answers of 200.
    Served(u64),
    /// Percentage of rejections that are read, and not lost to a reset.
    RefusalsRead(u64),
    /// Every request names exactly one client to the origin.
    OneClient,
    /// No event of the attack begins so.
    Never(&'static str),
    /// The visitors' p99 in the attack: at most this, or three times what it was before.
    P99Ms(u64),
    /// The visitors' p99 in the attack: at most so many times what it was before, or 20 ms more.
    P99Times(u64),
}
