//! The decision about a request, and its reason.

use crate::RuleId;

/// The kind of proof that a challenge requires.
pub type ChallengeKind = crate::PassKind;

/// The action that applies to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The request goes to the origin.
    Allow,
    /// The client gets a local response with this status.
    Block {
        /// 400 to 599.
        status: u16,
        /// Milliseconds until a new attempt can succeed: the `Retry-After` of a 429 or 503.
        retry_after_ms: Option<u64>,
    },
    /// The client must give a proof first.
    Challenge {
        /// The weakest kind of proof that is accepted.
        kind: ChallengeKind,
        /// Milliseconds for which the pass is valid.
        valid_ms: u64,
    },
    /// The client sends more requests than its throttle allows: a 429.
    Throttle {
        /// Milliseconds until the next request is allowed.
        retry_after_ms: u64,
    },
    /// The request is delayed, then the connection is closed.
    Tarpit {
        /// Milliseconds of delay.
        hold_ms: u64,
    },
    /// The connection is closed without a response.
    Drop,
    /// The client is rejected on all sites.
    Ban {
        /// Milliseconds of the ban.
        for_ms: u64,
    },
}

/// A verdict without its arguments. The variants are ordered from the mildest to the strictest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum VerdictKind {
    /// `allow`
    Allow,
    /// `throttle`
    Throttle,
    /// `tarpit`
    Tarpit,
    /// `challenge`
    Challenge,
    /// `block`
    Block,
    /// `drop`
    Drop,
    /// `ban`
    Ban,
}

impl VerdictKind {
    /// All kinds, the mildest first.
    pub const ALL: [Self; 7] = [
        Self::Allow,
        Self::Throttle,
        Self::Tarpit,
        Self::Challenge,
        Self::Block,
        Self::Drop,
        Self::Ban,
    ];

    /// Returns the keyword of the policy language.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Throttle => "throttle",
            Self::Tarpit => "tarpit",
            Self::Challenge => "challenge",
            Self::Block => "block",
            Self::Drop => "drop",
            Self::Ban => "ban",
        }
    }
}

impl Verdict {
    /// Returns the verdict without its arguments.
    #[must_use]
    pub const fn kind(&self) -> VerdictKind {
        match self {
            Self::Allow => VerdictKind::Allow,
            Self::Block { .. } => VerdictKind::Block,
            Self::Challenge { .. } => VerdictKind::Challenge,
            Self::Throttle { .. } => VerdictKind::Throttle,
            Self::Tarpit { .. } => VerdictKind::Tarpit,
            Self::Drop => VerdictKind::Drop,
            Self::Ban { .. } => VerdictKind::Ban,
        }
    }
}

/// The cause of a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// A rule, a limit, or a threshold of the decision table.
    Rule(RuleId),
    /// An active ban.
    Banned,
    /// The request has more than one possible reading; it is rejected before any rule.
    Malformed,
    /// No rule rejected the request, and the policy has no decision table.
    Unopposed,
    /// The evaluation would cost more fuel than one request may spend on the policy of the
    /// operator.
    OutOfFuel,
}

/// A verdict with its reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// The action.
    pub verdict: Verdict,
    /// The reason of the action.
    pub reason: Reason,
}
