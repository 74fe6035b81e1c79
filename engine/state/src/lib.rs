//! Counters, bans and other state: bounded, keyed, with time as an argument.
//!
//! Every table has a fixed number of slots, so clients can fill it but not make it grow. A key
//! without a slot reads 0, so that no client is rejected because of an inexact count. Counters
//! belong to names and not to generations: [`State::carry`] passes the same tables to the next
//! generation of a policy. An edit during an attack therefore resets nothing.
//!
//! Nothing here reads a clock. A `now` before an earlier one counts as the earlier one.

// A wrapped sum in a counter would be a bypass, so sums here saturate. In tests, a sum that wraps
// panics.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

mod bans;
mod counters;
mod decisions;
mod fairness;
mod key;
mod levels;
mod resilience;
mod snapshot;
mod state;

pub use bans::subscription::{BanEvent, BanSubscription};
pub use bans::target::{BanScope, BanTarget};
pub use bans::{
    AddBanResult, BANS_MAX, BANS_PER_MEMBER_MAX, BanHit, BanLimits, BanOrigin, Bans, ListedBan,
};
pub use counters::concurrent::{CONCURRENT_KEY_BYTES, ConcurrentTable, Entered, Unit};
pub use counters::distinct::{DISTINCT_KEY_BYTES, EXACT_MAX};
pub use counters::heavy_hitters::{HEAVY_BYTES, HEAVY_KEYS_MAX, SHARE_COUNTED_MIN};
pub use counters::rate_limit::{
    LIMIT_KEY_BYTES, Penalty, Rate, RateLimitConfig, RateLimitOutcome, RateLimitTable,
    TABLE_HOLD_MS_MAX,
};
pub use counters::sliding_window::{TABLE_COUNT_MAX, TABLE_WINDOW_MS_MAX};
pub use counters::table::TABLE_KEYS_MAX;
pub use counters::track::{BYTES_KEY_BYTES, REQUESTS_KEY_BYTES, TrackKind, TrackTable};
pub use decisions::counters::DecisionCounters;
pub use fairness::{
    KnownClients, Line, OverloadThresholds, PoolExhausted, PoolMember, Priority, PushResult,
    REGULAR_KEPT_S, REGULARS_MAX, SharedPool, Step, TokenBuckets, WEIGHT_MAX,
};
pub use key::{Key, KeyBuilder, Seed};
pub use levels::manual::ManualLevel;
pub use levels::{LEVEL_SITES_MAX, LevelChange, LevelTiming};
pub use resilience::circuit_breaker::{
    CircuitBreaker, CircuitBreakerConfig, CircuitPermit, CircuitState, CircuitTransition,
    FailureKind,
};
pub use resilience::retry_budget::{RETRIES_SAVED_MAX, RetryBudget, RetryBudgetConfig};
pub use snapshot::{
    ChangeMark, REMEMBERED_MS_MAX, RestoreClock, RestoreReport, SNAPSHOT_BYTES_MAX, Snapshot,
    SnapshotError,
};
pub use state::{CarryOverReport, CounterShape, CounterSpec, State, StateLimits, TableStats};
