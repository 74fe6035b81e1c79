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
mod breaker;
mod by_hand;
mod concurrent;
#[cfg(test)]
mod crowd_tests;
mod distinct;
mod feed;
mod heavy;
mod key;
mod levels;
mod limit;
mod newest;
mod retries;
mod shares;
mod snapshot;
mod state;
mod table;
mod tally;
mod track;
mod window;

pub use bans::{
    Added, BANS_MAX, BANS_PER_MEMBER_MAX, BanHit, BanLimits, BanOrigin, BanScope, BanUnit, Bans,
    ListedBan,
};
pub use breaker::{Breaker, BreakerChange, BreakerFault, BreakerPass, BreakerPhase, BreakerTerms};
pub use by_hand::HeldLevel;
pub use concurrent::{CONCURRENT_KEY_BYTES, ConcurrentTable, Entered, Unit};
pub use distinct::{DISTINCT_KEY_BYTES, EXACT_MAX};
pub use feed::{BanEvent, Following};
pub use heavy::{HEAVY_BYTES, HEAVY_KEYS_MAX, SHARE_COUNTED_MIN};
pub use key::{Key, KeyBuilder, Seed};
pub use levels::{LEVEL_SITES_MAX, LevelChange, LevelTerms};
pub use limit::{Hold, LIMIT_KEY_BYTES, LimitTable, Outcome, Rate, TABLE_HOLD_MS_MAX, Terms};
pub use retries::{RETRIES_SAVED_MAX, RetryBudget, RetryTerms};
pub use shares::{
    Class, Holder, Line, NoPlace, Offer, Places, REGULAR_KEPT_S, REGULARS_MAX, Regulars, Sheet,
    Step, StepTerms, WEIGHT_MAX,
};
pub use snapshot::{
    Mark, REMEMBERED_MS_MAX, Reading, Restored, SNAPSHOT_BYTES_MAX, Snapshot, SnapshotError,
};
pub use state::{CarryReport, Counted, CounterShape, CounterSpec, State, StateLimits, TableFill};
pub use table::TABLE_KEYS_MAX;
pub use tally::Tally;
pub use track::{BYTES_KEY_BYTES, REQUESTS_KEY_BYTES, TrackTable};
pub use window::{TABLE_COUNT_MAX, TABLE_WINDOW_MS_MAX};
