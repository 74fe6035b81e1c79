//! All that counts or remembers: bounded, keyed, with time as an argument.
//!
//! Every table has a fixed number of slots that is chosen when it is made, so a stranger can fill
//! it but not grow it; what finds no room reads 0, so that nobody is condemned for being counted
//! badly. Counters belong to names and not to generations: [`State::carry`] hands the same tables
//! to the next generation of a policy, so an edit during an attack forgets nothing.
//!
//! Nothing here reads a clock. A `now` that lies before an earlier one is taken for the earlier
//! one.

// A wrapped sum in a counter is a way past it, so sums here saturate. Tests add as they like: in
// them a sum that wraps panics.
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

pub use bans::subscription::{BanEvent, Following};
pub use bans::target::{BanScope, BanUnit};
pub use bans::{
    Added, BANS_MAX, BANS_PER_MEMBER_MAX, BanHit, BanLimits, BanOrigin, Bans, ListedBan,
};
pub use counters::concurrent::{CONCURRENT_KEY_BYTES, ConcurrentTable, Entered, Unit};
pub use counters::distinct::{DISTINCT_KEY_BYTES, EXACT_MAX};
pub use counters::heavy_hitters::{HEAVY_BYTES, HEAVY_KEYS_MAX, SHARE_COUNTED_MIN};
pub use counters::rate_limit::{
    Hold, LIMIT_KEY_BYTES, LimitTable, Outcome, Rate, TABLE_HOLD_MS_MAX, Terms,
};
pub use counters::sliding_window::{TABLE_COUNT_MAX, TABLE_WINDOW_MS_MAX};
pub use counters::table::TABLE_KEYS_MAX;
pub use counters::track::{BYTES_KEY_BYTES, Counted, REQUESTS_KEY_BYTES, TrackTable};
pub use decisions::counters::Tally;
pub use fairness::{
    Class, Holder, Line, NoPlace, Offer, Places, REGULAR_KEPT_S, REGULARS_MAX, Regulars, Sheet,
    Step, StepTerms, WEIGHT_MAX,
};
pub use key::{Key, KeyBuilder, Seed};
pub use levels::manual::HeldLevel;
pub use levels::{LEVEL_SITES_MAX, LevelChange, LevelTerms};
pub use resilience::circuit_breaker::{
    Breaker, BreakerChange, BreakerFault, BreakerPass, BreakerPhase, BreakerTerms,
};
pub use resilience::retry_budget::{RETRIES_SAVED_MAX, RetryBudget, RetryTerms};
pub use snapshot::{
    Mark, REMEMBERED_MS_MAX, Reading, Restored, SNAPSHOT_BYTES_MAX, Snapshot, SnapshotError,
};
pub use state::{CarryReport, CounterShape, CounterSpec, State, StateLimits, TableFill};
