//! Shares: how what is scarce is divided among sites.
//!
//! Every site has a weight. What nobody else needs, one site may use; what others need, they get at
//! once. Two kinds of scarce things need two rules. **Places** (connections, requests at origins)
//! are held for as long as their holder likes and cannot be taken back, so some are always kept
//! free: [`shared_pool`]. **Flow** (bytes to visitors, processor time) is used up by the moment, so it is
//! dealt out anew each moment: [`token_buckets`]. Who finds neither waits in a bounded [`priority_queue`], and those
//! whom a site knew before it was in trouble go first: [`known_clients`].
//!
//! Pure, as all of this crate: time and amounts come in.

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

/// The most that a site can weigh, where the usual is 1.
pub const WEIGHT_MAX: u32 = 1_000;
