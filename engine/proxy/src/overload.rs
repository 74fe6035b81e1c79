//! Overload of the whole server: memory, connections and CPU.
//!
//! Ten times a second, and fifty times when memory runs short, each resource is measured in
//! percent. The highest decides the stage ([`Step`]). *Warning*: idle connections are closed after
//! two seconds if they have had no request or their site is over its fair share. *Shedding*: new
//! clients are reset at accept, and their requests on open connections get a 503 before a body is
//! read. *Critical*: idle connections are closed at once, and so are those whose clients do not
//! take their responses, the longest stall first.
//!
//! **Memory.** Freed memory stays with the allocator of its thread and counts as used. So from
//! *warning* on every worker returns unused memory once a second. No request is shed for lack of
//! memory before all workers have done so.
//!
//! Connections alone lead to *warning* at most: beyond it they are evicted one by one. CPU never
//! leads to *critical*.
//!
//! Where this does not protect you: from a limit that nobody told us. Without a limit on the
//! process's memory (a control group's, or `max_memory_bytes`) there is nothing to hold it against,
//! and the kernel ends what it finds largest.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;
use seawall_model::{Client, Tick};
use seawall_state::{KnownClients, OverloadThresholds, State, Step};

use crate::ProxyLimits;
use crate::connection::Connection;
use crate::connection::idle::IdleKind;
use crate::connection::table::ConnectionTable;
use crate::context::SharedContext;
use crate::fairness::congestion::CongestionState;
use crate::fairness::congestion::WHOLE_SERVER;
use crate::limits::millis;
use crate::metrics::count;

/// Returns the used memory and its limit; none without a limit.
pub type MemoryReader = Arc<dyn Fn() -> Option<MemoryUsage> + Send + Sync>;

/// Result of a [`MemoryReader`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryUsage {
    /// Bytes that cannot be reclaimed.
    pub bytes: u64,
    /// Bytes at which the process is killed, or too large for its server.
    pub limit_bytes: u64,
}

/// The CPU use of the process, over a second or more.
#[derive(Debug, Default)]
struct CpuUse {
    /// When it was measured last, and the CPU time then.
    last: Mutex<Option<(Tick, u64)>>,
    percent: AtomicU8,
}

/// Interval over which the CPU use is measured.
const CPU_USE_MS: u64 = 1_000;

impl CpuUse {
    /// Measures, if the last time is long enough ago. A worker uses one CPU at most.
    fn measure(&self, used_us: impl FnOnce() -> u64, now: Tick, workers: usize) {
        let mut last = self.last.lock();
        let since = last.map(|(at, used)| (now.since_ms(at), used));
        if since.is_some_and(|(ms, _)| ms < CPU_USE_MS) {
            return;
        }
        let used_us = used_us();
        if let Some((ms, before)) = since {
            let most = ms.saturating_mul(1_000).saturating_mul(workers as u64);
            self.percent.store(percent(used_us.saturating_sub(before), most), Relaxed);
        }
        *last = Some((now, used_us));
    }
}

/// Lateness of a worker, in microseconds, that counts as 100 % CPU: people notice a tenth of a
/// second.
const LATE_US_ALL: u64 = 100_000;

/// Distance of memory to *warning*, in percentage points, from which on it is checked more often.
/// Thousands of handshakes per second use a fifth of a small server's memory between two checks.
const CLOSE_PERCENT: u8 = 20;
const CLOSE_TIMES: u64 = 5;

/// The overload stage and its inputs.
#[derive(Default)]
pub(crate) struct OverloadManager {
    gauge: Option<MemoryReader>,
    step: AtomicU8,
    /// Since when not all new connections are accepted.
    trouble: CongestionState,
    /// When the next check is due; one of all workers does it.
    next_look: AtomicU64,
    /// The highest lateness that a worker reported since the last check.
    late_us: AtomicU64,
    /// The same in percent, the highest of the last seconds.
    late_percent: AtomicU8,
    cpu_use: CpuUse,
    returns: Returns,
}

/// Minimum interval between two returns of unused memory, in milliseconds.
const RETURN_EVERY_MS: u64 = 1_000;
/// Milliseconds after which a worker that has not returned memory is not waited for.
const RETURN_WITHIN_MS: u64 = 200;

/// The requests to all workers to return unused memory.
#[derive(Debug, Default)]
struct Returns {
    /// Number of requests.
    asked: AtomicU64,
    /// Time of the last request.
    asked_at: AtomicU64,
    /// Number of workers that have done it since.
    done: AtomicU64,
}

impl Returns {
    /// Asks all workers, unless the last request is recent.
    fn ask(&self, now: Tick) {
        if now.0.saturating_sub(self.asked_at.load(Relaxed)) >= RETURN_EVERY_MS {
            self.asked_at.store(now.0, Relaxed);
            self.done.store(0, Relaxed);
            self.asked.fetch_add(1, Relaxed);
        }
    }

    /// Returns whether all workers have done it, or had the time to.
    fn are_done(&self, workers: usize, now: Tick) -> bool {
        self.done.load(Relaxed) >= workers as u64
            || now.0.saturating_sub(self.asked_at.load(Relaxed)) >= RETURN_WITHIN_MS
    }

    /// Returns the memory of the current worker, which has done so `answered` times.
    fn answer(&self, answered: &mut u64) {
        let asked = self.asked.load(Relaxed);
        if asked != *answered {
            *answered = asked;
            seawall_sys::give_back_memory();
            self.done.fetch_add(1, Relaxed);
        }
    }
}

impl std::fmt::Debug for OverloadManager {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OverloadManager").field("step", &self.step()).finish_non_exhaustive()
    }
}

impl OverloadManager {
    pub(crate) fn new(gauge: Option<MemoryReader>) -> Self {
        Self { gauge, ..Self::default() }
    }

    /// Returns the CPU load in percent: the share of its workers' time that the process uses, or
    /// their lateness, whichever is higher. Lateness shows CPUs that other programs use.
    pub(crate) fn cpu_percent(&self) -> u8 {
        self.cpu_use.percent.load(Relaxed).max(self.late_percent.load(Relaxed))
    }

    pub(crate) fn step(&self) -> Step {
        Step::of(self.step.load(Relaxed))
    }

    /// Records the lateness of a worker.
    pub(crate) fn note_late(&self, late_us: u64) {
        self.late_us.fetch_max(late_us, Relaxed);
    }

    /// Returns the idle timeout, from the usual one and the one under overload. A first request
    /// must have the time to come. In *warning*, connections of sites within their share keep the
    /// usual timeout, because closing one can meet its client's next request.
    pub(crate) fn idle_ms(&self, of: IdleKind, (usual_ms, tight_ms): (u64, u64)) -> u64 {
        match (self.step(), of) {
            (Step::Calm, _) | (Step::Tight, IdleKind::WithinShare) => usual_ms,
            (Step::Last, IdleKind::WithinShare | IdleKind::OverShare) => 0,
            _ => usual_ms.min(tight_ms),
        }
    }

    /// Returns whether new clients are rejected at the moment.
    pub(crate) fn is_shedding(&self) -> bool {
        self.step() >= Step::Scarce
    }

    /// Records that not all new connections can be accepted.
    pub(crate) fn note_trouble(&self, now: Tick, limits: &ProxyLimits) {
        self.trouble.note(now, millis(limits.settings.queue.congestion_cooldown));
    }

    /// Returns whether all new connections have been accepted for a while.
    pub(crate) fn is_uncongested(&self, now: Tick, limits: &ProxyLimits) -> bool {
        self.trouble.has_cleared(now, millis(limits.settings.queue.congestion_cooldown))
    }

    /// Returns whether a site served the client a while before the overload.
    pub(crate) fn is_known_client(
        &self,
        (state, client): (&State, &Client),
        now: Tick,
        limits: &ProxyLimits,
    ) -> bool {
        let key = KnownClients::key(state.key(), WHOLE_SERVER, &client.key);
        let cooldown_ms = millis(limits.settings.queue.congestion_cooldown);
        let min_age_ms = millis(limits.settings.queue.known_client_min_age);
        let since = self.trouble.since(now, cooldown_ms).min(now);
        state.regulars().is_known_before(key, since, min_age_ms)
    }

    /// Returns whether a check is due and belongs to this worker.
    fn is_due(&self, now: Tick, pause_ms: u64) -> bool {
        let (next, after) = (self.next_look.load(Relaxed), now.0.saturating_add(pause_ms));
        // A clock that was put back must not stop the checks.
        let is_due = next <= now.0 || next > after;
        is_due && self.next_look.compare_exchange(next, after, Relaxed, Relaxed).is_ok()
    }

    /// Monitors the server for as long as its worker lives; one of all workers does each check.
    pub(crate) async fn watch(edge: Arc<SharedContext>, registries: Arc<[Arc<ConnectionTable>]>) {
        let mut pause_ms = edge.limits.overload_check_interval_ms;
        let mut returned = 0;
        loop {
            tokio::time::sleep(Duration::from_millis(pause_ms.max(1))).await;
            edge.overload.returns.answer(&mut returned);
            if !edge.overload.is_due((edge.now)(), pause_ms) {
                continue;
            }
            let (step, memory) = edge.overload.sample(&edge, registries.len());
            let is_close = memory.saturating_add(CLOSE_PERCENT)
                >= edge.limits.settings.overload.warning_percent;
            pause_ms =
                edge.limits.overload_check_interval_ms / if is_close { CLOSE_TIMES } else { 1 };
            if step > Step::Calm {
                let idle_ms = |conn: &Connection| conn.idle_ms(&edge.limits);
                for registry in registries.iter() {
                    let (idle, stalled) = registry.shed(step, idle_ms, &edge.limits);
                    edge.counters.connections.closed.overload_idle.fetch_add(idle, Relaxed);
                    edge.counters.connections.closed.overload_stalled.fetch_add(stalled, Relaxed);
                }
            }
        }
    }

    /// Does one check; returns the stage and the memory use in percent.
    fn sample(&self, edge: &SharedContext, workers: usize) -> (Step, u8) {
        let limits = &edge.limits;
        let terms = OverloadThresholds {
            warning: limits.settings.overload.warning_percent,
            shedding: limits.settings.overload.shedding_percent,
            critical: limits.settings.overload.critical_percent,
        };
        let used = self.gauge.as_ref().and_then(|gauge| gauge());
        let memory = used.map_or(0, |used| percent(used.bytes, used.limit_bytes));
        let memory_counts = self.memory_counts(memory, (edge.now)(), (workers, &terms));
        // Ending connections frees no CPU time, and their clients repeat the handshakes.
        let below = |percent: u8| percent.saturating_sub(1);
        let late = percent(self.late_us.swap(0, Relaxed), LATE_US_ALL);
        // A single late tick fades within a second.
        let fading = self.late_percent.load(Relaxed);
        self.late_percent.store(late.max(fading.saturating_sub(fading.div_ceil(4))), Relaxed);
        self.cpu_use.measure(seawall_sys::cpu_time_us, (edge.now)(), workers);
        let cpu = late.min(below(terms.critical));
        let open = edge.counters.connections.active.load(Relaxed);
        let places = percent(open, limits.settings.connections.max_connections as u64)
            .min(below(terms.shedding));
        let before = self.step();
        let step = before.next(memory_counts.max(cpu).max(places), &terms);
        self.step.store(step as u8, Relaxed);
        if step >= Step::Scarce {
            self.note_trouble((edge.now)(), limits);
        }
        if before.max(step) >= Step::Scarce && before != step {
            let word = step.word();
            log::warn!(
                "overload stage changed: stage={word} memory_percent={memory} \
                 connections_percent={places} cpu_percent={cpu}"
            );
        }
        let counters = &edge.counters;
        counters.overload.stage.store(step as u64, Relaxed);
        counters.overload.pressure.memory.set_percent(memory.into());
        counters.overload.pressure.worker_delay.set_percent(cpu.into());
        (step, memory)
    }
}

impl OverloadManager {
    /// Returns the memory percentage that decides the stage: the use after the workers have
    /// returned unused memory. Until then it leads to *warning* at most.
    fn memory_counts(
        &self,
        memory: u8,
        now: Tick,
        (workers, terms): (usize, &OverloadThresholds),
    ) -> u8 {
        if memory < terms.warning {
            return memory;
        }
        self.returns.ask(now);
        if self.is_shedding() || self.returns.are_done(workers, now) {
            return memory;
        }
        memory.min(terms.shedding.saturating_sub(1))
    }
}

/// Returns whether a new connection of this client is accepted: while shedding, only a known
/// client's is.
pub(crate) fn should_accept(
    edge: &SharedContext,
    state: &State,
    client: &Client,
    now: Tick,
) -> bool {
    if !edge.overload.is_shedding() {
        return true;
    }
    let is_known = edge.overload.is_known_client((state, client), now, &edge.limits);
    if !is_known {
        count(&edge.counters.connections.rejected.overload);
    }
    is_known
}

fn percent(part: u64, of: u64) -> u8 {
    let percent = part.saturating_mul(100).checked_div(of).unwrap_or_default();
    u8::try_from(percent.min(100)).unwrap_or(100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_nothing_is_nothing_and_more_than_all_is_all() {
        assert_eq!([percent(1, 0), percent(1, 3), percent(9, 3)], [0, 33, 100]);
    }

    #[test]
    fn the_use_of_processors_is_measured_over_a_second() {
        let (cpu_use, start) = (CpuUse::default(), Tick::TEST_START);
        let mut percents = Vec::new();
        for (ms, used_us) in
            [(0, 5_000_000), (500, 5_900_000), (1_000, 6_000_000), (3_000, 6_100_000)]
        {
            cpu_use.measure(|| used_us, start.plus_ms(ms), 2);
            percents.push(cpu_use.percent.load(Relaxed));
        }
        assert_eq!(percents, [0, 0, 50, 2], "the first is no span, the second no second");
        cpu_use.measure(|| 0, start.plus_ms(9_000), 2);
        assert_eq!(cpu_use.percent.load(Relaxed), 0, "a count that fell");
    }

    #[test]
    fn nobody_is_refused_for_memory_before_the_workers_gave_back_theirs() {
        let overload = OverloadManager::default();
        let terms = OverloadThresholds { warning: 80, shedding: 90, critical: 95 };
        let start = Tick::TEST_START;
        let counts = |memory, now| overload.memory_counts(memory, now, (2, &terms));
        assert_eq!((counts(79, start), overload.returns.asked.load(Relaxed)), (79, 0));
        assert_eq!(counts(99, start), 89, "they were asked just now");
        let (mut one, mut two) = (0, 0);
        overload.returns.answer(&mut one);
        overload.returns.answer(&mut one);
        assert_eq!(counts(99, start), 89, "one of them has");
        overload.returns.answer(&mut two);
        assert_eq!(counts(99, start), 99);
        assert_eq!(counts(99, start.plus_ms(999)), 99);
        assert_eq!(overload.returns.asked.load(Relaxed), 1, "once a second");
        assert_eq!(counts(99, start.plus_ms(1_000)), 89);
        assert_eq!(counts(99, start.plus_ms(1_200)), 99, "one is too busy to");
    }

    #[test]
    fn waiting_is_cut_short_as_it_becomes_tight() {
        let (overload, limits) = (OverloadManager::default(), ProxyLimits::default());
        let idle = |step: Step| {
            overload.step.store(step as u8, Relaxed);
            [IdleKind::NoRequestYet, IdleKind::WithinShare, IdleKind::OverShare].map(|of| {
                overload.idle_ms(
                    of,
                    (
                        millis(limits.settings.timeouts.idle_timeout),
                        limits.overload_idle_timeout_ms,
                    ),
                )
            })
        };
        let [calm, tight, scarce, last] = Step::ALL.map(idle);
        assert_eq!((calm, tight), ([15_000; 3], [2_000, 15_000, 2_000]));
        assert_eq!((scarce, last), ([2_000; 3], [2_000, 0, 0]));
    }
}
