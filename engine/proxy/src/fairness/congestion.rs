//! Since when a site, or the whole server, has too little of something.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use seawall_model::Tick;

/// Under this name clients are known to the host as a whole.
pub(crate) const WHOLE_SERVER: &str = "";

/// Since when a site, or the host, does not have what its visitors ask for.
#[derive(Debug, Default)]
pub(crate) struct CongestionState {
    since: AtomicU64,
    last: AtomicU64,
}

impl CongestionState {
    /// Notes that somebody had to wait, or was refused, for want of something.
    pub(crate) fn note(&self, now: Tick, calm_after_ms: u64) {
        if self.has_cleared(now, calm_after_ms) {
            self.since.store(now.0, Relaxed);
        }
        self.last.fetch_max(now.0, Relaxed);
    }

    /// Whether nobody had to for a while.
    pub(crate) fn has_cleared(&self, now: Tick, calm_after_ms: u64) -> bool {
        now.0.saturating_sub(self.last.load(Relaxed)) >= calm_after_ms
    }

    /// When it began; `now` where all is calm.
    pub(crate) fn since(&self, now: Tick, calm_after_ms: u64) -> Tick {
        if self.has_cleared(now, calm_after_ms) { now } else { Tick(self.since.load(Relaxed)) }
    }
}
