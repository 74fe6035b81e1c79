//! The periodic sign of life of each worker.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// Milliseconds between two heartbeats of a worker.
pub(crate) const BEAT_MS: u64 = 250;

/// A count that one worker increments while it makes progress.
pub(crate) type Heartbeat = Arc<AtomicU64>;
