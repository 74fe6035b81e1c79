//! The inputs of levels, and how often levels are evaluated.

use seawall_model::OriginHealth;

/// Interval at which [`RuleSet::tick`](crate::RuleSet::tick) must be called.
pub const LEVEL_TICK_MS: u64 = 1_000;

/// The inputs of a level besides counters.
#[derive(Debug, Clone, Copy, Default)]
pub struct LevelInputs {
    /// State of the origins over the last ten seconds.
    pub origin: OriginHealth,
    /// CPU load of the machine, in percent of all processors.
    pub cpu_percent: Option<u8>,
}
