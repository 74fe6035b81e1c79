//! Minimum data rates, without a clock of their own.
//!
//! Time that the proxy spends elsewhere must not count against a client. So both rules count only
//! the time in which the proxy waits for the client: [`MinBodyRate`] while it expects bytes,
//! [`WriteStallTimer`] while it has bytes that the client does not take. Each returns the deadline
//! at which it is violated if no byte moves until then. The stream sets its timer to it.

use std::time::Duration;

use tokio::time::Instant;

use crate::ProxyLimits;

/// Minimum data rate of a request body, over the time in which the proxy waited for it.
#[derive(Debug)]
pub(crate) struct MinBodyRate {
    waiting_since: Option<Instant>,
    waited: Duration,
    bytes: u64,
}

impl MinBodyRate {
    pub(crate) const fn new() -> Self {
        Self { waiting_since: None, waited: Duration::ZERO, bytes: 0 }
    }

    /// Records received bytes.
    pub(crate) fn moved(&mut self, bytes: usize, now: Instant) {
        if let Some(since) = self.waiting_since.take() {
            self.waited += now.saturating_duration_since(since);
        }
        self.bytes = self.bytes.saturating_add(bytes as u64);
    }

    /// Records that no byte came; returns the deadline.
    pub(crate) fn waits(&mut self, now: Instant, limits: &ProxyLimits) -> Instant {
        let since = *self.waiting_since.get_or_insert(now);
        let earned_ms = self.bytes.saturating_mul(1_000)
            / limits.settings.requests.min_request_body_rate.max(1);
        let grace = limits.settings.requests.min_request_body_rate_grace;
        let allowed = Duration::from_millis(earned_ms).max(grace);
        later(since, allowed.saturating_sub(self.waited))
    }
}

/// Minimum data rate of a response, over the time in which writes were blocked.
#[derive(Debug)]
pub(crate) struct WriteStallTimer {
    blocked_since: Option<Instant>,
    blocked: Duration,
    bytes: u64,
}

impl WriteStallTimer {
    pub(crate) const fn new() -> Self {
        Self { blocked_since: None, blocked: Duration::ZERO, bytes: 0 }
    }

    /// Records sent bytes.
    pub(crate) fn moved(&mut self, bytes: usize, now: Instant, limits: &ProxyLimits) {
        if let Some(since) = self.blocked_since.take() {
            self.blocked += now.saturating_duration_since(since);
        }
        self.bytes = self.bytes.saturating_add(bytes as u64);
        if self.bytes >= limits.send_timeout_min_bytes {
            *self = Self::new();
        }
    }

    /// Returns whether a write was blocked and too few bytes were sent since. If not, there is no
    /// need to record anything.
    pub(crate) fn is_running(&self) -> bool {
        self.blocked_since.is_some() || !self.blocked.is_zero()
    }

    /// Records that the proxy does not send at the moment, for its own reasons.
    pub(crate) fn pause(&mut self, now: Instant) {
        if let Some(since) = self.blocked_since.take() {
            self.blocked += now.saturating_duration_since(since);
        }
    }

    /// Records that a write is blocked; returns the deadline.
    pub(crate) fn waits(&mut self, now: Instant, limits: &ProxyLimits) -> Instant {
        let since = *self.blocked_since.get_or_insert(now);
        later(since, limits.settings.timeouts.send_timeout.saturating_sub(self.blocked))
    }
}

/// Returns `at` plus `more`, or one day after `at` if the sum overflows.
pub(crate) fn later(at: Instant, more: Duration) -> Instant {
    at.checked_add(more).unwrap_or(at + Duration::from_secs(86_400))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn a_body_has_its_grace_and_then_its_rate() {
        let limits = ProxyLimits::default();
        let start = Instant::now();
        let mut pace = MinBodyRate::new();
        assert_eq!(pace.waits(start, &limits), start + ms(5_000));
        // 100 bytes after two seconds add nothing to the grace time.
        pace.moved(100, start + ms(2_000));
        assert_eq!(pace.waits(start + ms(2_000), &limits), start + ms(5_000));
        // 3,000 bytes in all pay for six seconds.
        pace.moved(2_900, start + ms(4_000));
        assert_eq!(pace.waits(start + ms(4_000), &limits), start + ms(6_000));
    }

    #[test]
    fn time_spent_elsewhere_does_not_count_against_a_body() {
        let limits = ProxyLimits::default();
        let start = Instant::now();
        let mut pace = MinBodyRate::new();
        pace.waits(start, &limits);
        pace.moved(10, start + ms(1_000));
        // A minute later the proxy waits again: four seconds of grace remain.
        let again = start + ms(61_000);
        assert_eq!(pace.waits(again, &limits), again + ms(4_000));
    }

    #[test]
    fn a_drip_does_not_refresh_a_stalled_write() {
        let limits = ProxyLimits::default();
        let start = Instant::now();
        let mut pace = WriteStallTimer::new();
        assert_eq!(pace.waits(start, &limits), start + ms(20_000));
        pace.moved(100, start + ms(19_000), &limits);
        assert_eq!(pace.waits(start + ms(19_000), &limits), start + ms(20_000));
        // Enough bytes end the stall.
        let enough = usize::try_from(limits.send_timeout_min_bytes).unwrap();
        pace.moved(enough, start + ms(19_500), &limits);
        assert_eq!(pace.waits(start + ms(19_500), &limits), start + ms(39_500));
    }

    #[test]
    fn time_in_which_we_send_nothing_does_not_count_against_a_client() {
        let limits = ProxyLimits::default();
        let start = Instant::now();
        let mut pace = WriteStallTimer::new();
        pace.waits(start, &limits);
        pace.pause(start + ms(5_000));
        let again = start + ms(60_000);
        assert_eq!(pace.waits(again, &limits), again + ms(15_000));
    }

    #[test]
    fn small_writes_that_go_at_once_never_add_up_to_a_stall() {
        let limits = ProxyLimits::default();
        let start = Instant::now();
        let mut pace = WriteStallTimer::new();
        pace.waits(start, &limits);
        for second in 1..=100 {
            pace.moved(1, start + ms(second * 1_000), &limits);
        }
        let end = start + ms(101_000);
        // Only the first second was blocked.
        assert_eq!(pace.waits(end, &limits), end + ms(19_000));
    }
}
