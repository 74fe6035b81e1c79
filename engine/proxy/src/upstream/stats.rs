//! The health of a site's origins over the last ten seconds, as policies read it.
//!
//! Ten buckets of a second each: results are added to the newest. Once a second the oldest is
//! removed and the sum is taken, so a request that needs it reads two numbers.

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicUsize, Ordering::Relaxed};

use parking_lot::Mutex;
use seawall_model::OriginHealth;

/// Buckets of a second.
const SLOTS: usize = 10;
/// Buckets of the time to first byte, by a factor of √2, up to half a minute.
const CLASSES: usize = 32;
/// No percentage.
const UNKNOWN: u8 = u8::MAX;

#[derive(Debug, Default)]
struct StatsBucket {
    failed: AtomicU32,
    answered: [AtomicU32; CLASSES],
}

/// The requests of ten seconds, of a site's origins or of several sites'.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sums {
    /// By the time to first byte.
    classes: [u32; CLASSES],
    failed: u64,
}

impl Sums {
    /// Adds those of another site.
    pub(crate) fn add(&mut self, other: &Self) {
        self.failed = self.failed.saturating_add(other.failed);
        for (sum, class) in self.classes.iter_mut().zip(other.classes) {
            *sum = sum.saturating_add(class);
        }
    }

    fn all(&self) -> u64 {
        self.classes.iter().fold(0, |sum, class| sum.saturating_add((*class).into()))
    }

    fn errors_percent(&self) -> Option<u8> {
        let percent = self.failed.saturating_mul(100).checked_div(self.all())?;
        u8::try_from(percent.min(100)).ok()
    }

    fn latency_ms(&self) -> Option<u32> {
        median(&self.classes, self.all())
    }

    /// Returns the values that policies read.
    pub(crate) fn health(&self, in_flight: u32) -> OriginHealth {
        OriginHealth {
            latency_ms: self.latency_ms().map(u64::from),
            errors_percent: self.errors_percent(),
            inflight: Some(in_flight),
        }
    }
}

/// The results of the requests of the last ten seconds.
#[derive(Debug)]
pub(super) struct OriginStats {
    newest: AtomicUsize,
    slots: [StatsBucket; SLOTS],
    /// The median in milliseconds plus one; 0 for none.
    latency_ms: AtomicU32,
    errors_percent: AtomicU8,
    /// The sums that both were computed from.
    sums: Mutex<Sums>,
}

impl Default for OriginStats {
    fn default() -> Self {
        Self {
            newest: AtomicUsize::new(0),
            slots: std::array::from_fn(|_| StatsBucket::default()),
            latency_ms: AtomicU32::new(0),
            errors_percent: AtomicU8::new(UNKNOWN),
            sums: Mutex::default(),
        }
    }
}

impl OriginStats {
    fn newest(&self) -> Option<&StatsBucket> {
        self.slots.get(self.newest.load(Relaxed))
    }

    /// Records that a response's header section came after so many milliseconds.
    pub(super) fn answered(&self, ms: u64, is_error: bool) {
        let Some(slot) = self.newest() else { return };
        if let Some(class) = slot.answered.get(class_of(ms)) {
            class.fetch_add(1, Relaxed);
        }
        if is_error {
            slot.failed.fetch_add(1, Relaxed);
        }
    }

    /// Records that no response came.
    pub(super) fn failed(&self) {
        let Some(slot) = self.newest() else { return };
        slot.failed.fetch_add(1, Relaxed);
        // A failed request has no time to first byte: it counts as one that took the longest.
        if let Some(class) = slot.answered.last() {
            class.fetch_add(1, Relaxed);
        }
    }

    /// Takes the sum and begins a new bucket; called once a second.
    pub(super) fn turn(&self) {
        let mut sums = Sums::default();
        for slot in &self.slots {
            let mut second = [0_u32; CLASSES];
            for (sum, class) in second.iter_mut().zip(&slot.answered) {
                *sum = class.load(Relaxed);
            }
            sums.add(&Sums { classes: second, failed: slot.failed.load(Relaxed).into() });
        }
        self.errors_percent.store(sums.errors_percent().unwrap_or(UNKNOWN), Relaxed);
        self.latency_ms.store(sums.latency_ms().map_or(0, |ms| ms.saturating_add(1)), Relaxed);
        *self.sums.lock() = sums;
        let next = self.newest.load(Relaxed).saturating_add(1).checked_rem(SLOTS).unwrap_or(0);
        if let Some(slot) = self.slots.get(next) {
            slot.failed.store(0, Relaxed);
            slot.answered.iter().for_each(|class| class.store(0, Relaxed));
        }
        self.newest.store(next, Relaxed);
    }

    /// Returns the sums of the last turn, to add up several sites.
    pub(super) fn sums(&self) -> Sums {
        *self.sums.lock()
    }

    /// Returns the values of the last turn.
    pub(super) fn health(&self, in_flight: u32) -> OriginHealth {
        let percent = Some(self.errors_percent.load(Relaxed)).filter(|percent| *percent != UNKNOWN);
        OriginHealth {
            latency_ms: self.latency_ms.load(Relaxed).checked_sub(1).map(u64::from),
            errors_percent: percent,
            inflight: Some(in_flight),
        }
    }
}

/// Returns the bucket of a duration: two for each doubling.
fn class_of(ms: u64) -> usize {
    let Some(log) = ms.checked_ilog2() else { return 0 };
    let upper = ms >= lower_of(log, 1);
    let class = log.saturating_mul(2).saturating_add(1).saturating_add(u32::from(upper));
    usize::try_from(class).unwrap_or(CLASSES).min(CLASSES.saturating_sub(1))
}

/// Returns the start of the lower (0) or upper (1) half of the doubling `log`: 2^log, or times √2.
fn lower_of(log: u32, half: u32) -> u64 {
    let whole = 1_u64.checked_shl(log).unwrap_or(u64::MAX);
    if half == 0 { whole } else { whole.saturating_mul(1_414).div_ceil(1_000) }
}

/// Returns the lower end of the bucket with the median.
fn median(classes: &[u32; CLASSES], all: u64) -> Option<u32> {
    let middle = all.div_ceil(2);
    let mut seen: u64 = 0;
    for (class, count) in classes.iter().enumerate() {
        seen = seen.saturating_add((*count).into());
        if all > 0 && seen >= middle {
            let Some(step) = u32::try_from(class).ok()?.checked_sub(1) else { return Some(0) };
            return u32::try_from(lower_of(step / 2, step % 2)).ok();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn health(pulse: &OriginStats) -> (Option<u64>, Option<u8>) {
        let health = pulse.health(7);
        assert_eq!(health.inflight, Some(7));
        (health.latency_ms, health.errors_percent)
    }

    #[test]
    fn the_median_and_the_share_of_failures_are_over_ten_seconds() {
        let pulse = OriginStats::default();
        pulse.turn();
        assert_eq!(health(&pulse), (None, None), "nobody asked");
        for ms in [8, 8, 8, 900] {
            pulse.answered(ms, ms > 100);
        }
        pulse.turn();
        assert_eq!(health(&pulse), (Some(8), Some(25)));
        for _ in 0..8 {
            pulse.turn();
        }
        assert_eq!(health(&pulse), (Some(8), Some(25)), "nine seconds later");
        pulse.turn();
        pulse.turn();
        assert_eq!(health(&pulse), (None, None), "it is forgotten");
        pulse.failed();
        pulse.turn();
        assert_eq!(health(&pulse).1, Some(100));
    }

    #[test]
    fn a_time_is_told_to_within_a_factor_of_a_half() {
        for ms in (0..70_000_u64).step_by(7).chain([0, 1, 2, 3, 4, 5]) {
            let pulse = OriginStats::default();
            pulse.answered(ms, false);
            pulse.turn();
            let said = health(&pulse).0.unwrap();
            let is_near = said <= ms && (ms * 2 <= said * 3 || ms >= 32_768 || ms - said <= 1);
            assert!(is_near, "{ms} is told as {said}");
        }
    }
}
