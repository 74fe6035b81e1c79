//! How long a connection may be idle, and which goes first when places are short.

/// Who waits for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IdleKind {
    /// Somebody who never asked.
    NoRequestYet,
    /// Somebody of a site that holds no more connections than its share.
    WithinShare,
    /// Somebody of one that holds more.
    OverShare,
}

/// How little would be lost with a connection that waits for a request: the most idle is the
/// greatest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct IdleRank {
    /// Whoever asked before is likelier to be somebody.
    pub(crate) no_request_yet: bool,
    pub(crate) idle_ms: u64,
}
