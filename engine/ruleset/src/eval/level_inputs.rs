//! What levels look at, and how often.

use seawall_model::OriginHealth;

/// How often [`RuleSet::tick`](crate::RuleSet::tick) is to be called.
pub const LEVEL_TICK_MS: u64 = 1_000;

/// What a level looks at besides counters.
#[derive(Debug, Clone, Copy, Default)]
pub struct LevelInputs {
    /// The origins, over the last ten seconds.
    pub origin: OriginHealth,
    /// Load of the machine, in percent of all processors.
    pub cpu_percent: Option<u8>,
}
