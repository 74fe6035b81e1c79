//! Since when a site, or the whole server, is congested.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use seawall_model::Tick;

/// The name under which clients are known to the server as a whole.
pub(crate) const WHOLE_SERVER: &str = "";

/// Since when a site, or the server, lacks resources for its requests.
#[derive(Debug, Default)]
pub(crate) struct CongestionState {
    since: AtomicU64,
    last: AtomicU64,
}

impl CongestionState {
    /// Records that a request had to wait or was rejected for lack of resources.
    pub(crate) fn note(&self, now: Tick, calm_after_ms: u64) {
        if self.has_cleared(now, calm_after_ms) {
            self.since.store(now.0, Relaxed);
        }
        self.last.fetch_max(now.0, Relaxed);
    }

    /// Returns whether that has not happened for a while.
    pub(crate) fn has_cleared(&self, now: Tick, calm_after_ms: u64) -> bool {
        now.0.saturating_sub(self.last.load(Relaxed)) >= calm_after_ms
    }

    /// Returns when the congestion began; `now` without congestion.
    pub(crate) fn since(&self, now: Tick, calm_after_ms: u64) -> Tick {
        if self.has_cleared(now, calm_after_ms) { now } else { Tick(self.since.load(Relaxed)) }
    }
}
