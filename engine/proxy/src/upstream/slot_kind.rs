//! What a slot at an origin is taken for.

/// How long a request may stay at its origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SlotKind {
    /// As long as the origin takes: all of the request is here.
    Request,
    /// As long as its client takes to send the rest.
    Upload,
    /// As long as either side likes.
    Tunnel,
}
