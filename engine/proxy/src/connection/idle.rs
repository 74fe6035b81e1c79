//! How long a connection may be idle, and which goes first when places are short.

/// Who waits for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waits {
    /// Somebody who never asked.
    Unheard,
    /// Somebody of a site that holds no more connections than its share.
    WithinShare,
    /// Somebody of one that holds more.
    BeyondShare,
}

/// How little would be lost with a connection that waits for a request: the most idle is the
/// greatest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Idleness {
    /// Whoever asked before is likelier to be somebody.
    pub(crate) never_asked: bool,
    pub(crate) waited_ms: u64,
}
