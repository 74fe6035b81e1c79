//! The only place in xtask that reads a clock or waits.
//!
//! The demo measures real time and paces real traffic, so it needs both; keeping them here lets
//! every other file stay under the workspace's ban on clocks and sleeps.

use std::time::{Duration, Instant};

/// Returns the monotonic clock.
#[expect(clippy::disallowed_methods, reason = "the demo measures time from save to enforced")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Waits for `time`.
#[expect(clippy::disallowed_methods, reason = "paces the demo's traffic; no test waits here")]
pub(crate) fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// Asks `probe` every 10 ms until it has an answer; `None` when `limit` has passed without one.
///
/// # Errors
/// What `probe` fails with.
pub(crate) fn poll<T>(
    limit: Duration,
    mut probe: impl FnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<Option<T>> {
    let start = now();
    loop {
        if let Some(found) = probe()? {
            return Ok(Some(found));
        }
        if start.elapsed() >= limit {
            return Ok(None);
        }
        pause(Duration::from_millis(10));
    }
}

/// Keeps a steady pace without catching up: after a stall it continues, without a burst.
#[derive(Debug)]
pub(crate) struct Pacer {
    interval: Duration,
    next: Instant,
}

impl Pacer {
    /// One beat every `interval`, the first after `delay`.
    pub(crate) fn new(interval: Duration, delay: Duration) -> Self {
        Self { interval, next: now() + delay }
    }

    /// Waits for the next beat.
    pub(crate) fn wait(&mut self) {
        let ahead = self.next.saturating_duration_since(now());
        if !ahead.is_zero() {
            pause(ahead);
        }
        self.next = now().max(self.next) + self.interval;
    }
}
