//! How long a connection may be idle, and the order of eviction.

/// Kinds of idle connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IdleKind {
    /// No request has come on it yet.
    NoRequestYet,
    /// Its site holds no more connections than its fair share.
    WithinShare,
    /// Its site holds more.
    OverShare,
}

/// Rank of an idle connection for eviction: the greatest is evicted first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct IdleRank {
    /// A connection that has had a request is more likely a legitimate visitor's.
    pub(crate) no_request_yet: bool,
    pub(crate) idle_ms: u64,
}
