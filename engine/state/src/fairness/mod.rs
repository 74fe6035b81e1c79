//! Fair shares: the division of scarce resources among sites.
//!
//! Every site has a weight. One site can use what no other site needs, and a site gets its share at
//! once when it needs it. There are two kinds of resources. **Slots** (connections, requests at
//! origins) cannot be revoked, so some are always kept free: [`shared_pool`]. **Rates** (bytes to
//! clients, CPU time) are divided anew at each moment: [`token_buckets`]. Requests without a slot
//! wait in a bounded [`priority_queue`], and [`known_clients`] come first.
//!
//! All functions are pure: time and amounts are arguments.

mod known_clients;
mod overload_stage;
mod priority_queue;
mod shared_pool;
mod token_buckets;

pub use known_clients::{KnownClients, REGULAR_KEPT_S, REGULARS_MAX};
pub use overload_stage::{OverloadThresholds, Step};
pub use priority_queue::{Line, Priority, PushResult};
pub use shared_pool::{PoolExhausted, PoolMember, SharedPool};
pub use token_buckets::TokenBuckets;

/// Largest weight of a site; the default is 1.
pub const WEIGHT_MAX: u32 = 1_000;
