//! What was decided about a request, and why.

use crate::RuleId;

/// What kind of proof a challenge asks for.
pub type ChallengeKind = crate::PassKind;

/// What is to happen to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Goes to the origin.
    Allow,
    /// Is answered with this status.
    Block {
        /// 400 to 599.
        status: u16,
        /// Milliseconds after which trying again makes sense: the `Retry-After` of a 429 or 503.
        retry_after_ms: Option<u64>,
    },
    /// Is asked for a proof first.
    Challenge {
        /// The least proof that satisfies.
        kind: ChallengeKind,
        /// How long the pass will be valid.
        valid_ms: u64,
    },
    /// Asks faster than its throttle lets through: a 429.
    Throttle {
        /// Milliseconds after which the next request is let through.
        retry_after_ms: u64,
    },
    /// Is held for this long, then closed.
    Tarpit {
        /// Milliseconds to hold.
        hold_ms: u64,
    },
    /// The connection is closed without an answer.
    Drop,
    /// The client is refused everywhere for this long.
    Ban {
        /// Milliseconds to refuse.
        for_ms: u64,
    },
}

/// A verdict without its arguments; later ones are stricter (LANGUAGE §8).
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
    /// All, mildest first.
    pub const ALL: [Self; 7] = [
        Self::Allow,
        Self::Throttle,
        Self::Tarpit,
        Self::Challenge,
        Self::Block,
        Self::Drop,
        Self::Ban,
    ];

    /// The word of the language.
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
    /// The verdict without its arguments.
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

/// What led to a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// A rule, a limit, or a threshold of the decision table.
    Rule(RuleId),
    /// A ban that is in force.
    Banned,
    /// The request cannot be read in one way only, and is refused before any rule.
    Malformed,
    /// Nothing refused it, and the policy has no decision table.
    Unopposed,
    /// Judging it would cost more than the host's rules may spend on one request.
    OutOfFuel,
}

/// A verdict with its reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// What is to happen.
    pub verdict: Verdict,
    /// Why.
    pub reason: Reason,
}
