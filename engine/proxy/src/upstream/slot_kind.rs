//! Kinds of origin slots.

/// How long a request may use a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SlotKind {
    /// As long as the origin takes: the request is complete.
    Request,
    /// As long as its client takes to send the rest.
    Upload,
    /// As long as either side keeps it open.
    Tunnel,
}
