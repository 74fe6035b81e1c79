//! Distributes a rate resource among sites.
//!
//! [`TokenBuckets`] hold what each site may still use. Connections of a site with an empty bucket
//! wait in the site's queue, known clients first (in seven of eight releases). Each tick refills
//! the buckets and releases as many as the refill covers. A tick is a millisecond or a few: for at
//! most so long a site with a small load waits behind sites with a large one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;
use seawall_state::{Line, Priority, TokenBuckets};
use tokio::sync::Notify;
use tokio::time::Instant;

/// Weight of the last step in the mean cost of a step: one part in so many.
const SMOOTHED: u64 = 8;

/// One release in so many is for the lowest priority: a long download of a known client must not
/// block all others until it ends.
const WORST_EVERY: u64 = 8;

/// State of one user of the resource.
#[derive(Debug, Default)]
pub(crate) struct Ticket(AtomicU8);

impl Ticket {
    pub(super) fn is_waiting(&self) -> bool {
        self.0.load(Relaxed) == WAITS
    }
}

const FREE: u8 = 0;
const WAITS: u8 = 1;
const MAY: u8 = 2;

#[derive(Debug)]
struct WaitingTicket {
    pass: Arc<Ticket>,
    waker: Waker,
}

#[derive(Debug)]
struct SiteQueue {
    line: Line<WaitingTicket>,
    /// Mean cost of the site's last steps.
    step: u64,
    calls: u64,
}

#[derive(Debug)]
struct SchedulerState {
    sheet: TokenBuckets,
    queues: Vec<SiteQueue>,
    /// Sites with a queue that is not empty.
    waiting: Vec<usize>,
    dealt: Instant,
}

/// Distributes one resource.
#[derive(Debug)]
pub(crate) struct FairScheduler {
    table: Mutex<SchedulerState>,
    /// Notified when a connection begins to wait.
    notified: Notify,
    /// Rate in percent of the configured amount.
    rate: AtomicU8,
}

impl FairScheduler {
    /// Distributes from `sheet`; a step is assumed to cost `step` until one was measured.
    pub(crate) fn new(sheet: TokenBuckets, sites: usize, step: u64) -> Self {
        let queue = || SiteQueue { line: Line::new(usize::MAX), step, calls: 0 };
        let queues = std::iter::repeat_with(queue).take(sites).collect();
        let table = SchedulerState { sheet, queues, waiting: Vec::new(), dealt: Instant::now() };
        Self { table: Mutex::new(table), notified: Notify::new(), rate: AtomicU8::new(100) }
    }

    /// Returns ready if one of `site` may proceed; otherwise it is woken when it may.
    pub(crate) fn poll(
        &self,
        site: usize,
        (pass, class): (&Arc<Ticket>, impl FnOnce() -> Priority),
        cx: &Context<'_>,
    ) -> Poll<()> {
        let was = pass.0.load(Relaxed);
        if was == WAITS {
            return Poll::Pending;
        }
        let mut table = self.table.lock();
        // Others that were released in the same tick may have used up the refill.
        if table.try_acquire(site, was == MAY) {
            pass.0.store(FREE, Relaxed);
            return Poll::Ready(());
        }
        pass.0.store(WAITS, Relaxed);
        let waiter = WaitingTicket { pass: Arc::clone(pass), waker: cx.waker().clone() };
        table.wait(site, (class(), was == MAY), waiter);
        drop(table);
        self.notified.notify_one();
        Poll::Pending
    }

    /// Records what one of `site` used.
    pub(crate) fn spend(&self, site: usize, units: u64) {
        let mut table = self.table.lock();
        table.sheet.consume(site, units);
        if let Some(queue) = table.queues.get_mut(site) {
            let sum = queue.step.saturating_mul(SMOOTHED - 1).saturating_add(units);
            queue.step = sum.div_ceil(SMOOTHED);
        }
    }

    /// Distributes what became available since the last tick, and releases those that it covers;
    /// returns whether any still wait.
    pub(crate) fn tick(&self) -> bool {
        let mut table = self.table.lock();
        table.refill(self.rate.load(Relaxed));
        table.release();
        !table.waiting.is_empty()
    }

    /// Sets the rate, in percent of the configured amount.
    pub(crate) fn set_rate(&self, percent: u8) {
        self.rate.store(percent, Relaxed);
    }

    /// Waits until a connection begins to wait.
    pub(crate) async fn wake_due(&self) {
        self.notified.notified().await;
    }
}

impl SchedulerState {
    /// Returns whether one of `site` may proceed. A new one is queued behind those that wait.
    fn try_acquire(&self, site: usize, was_called: bool) -> bool {
        let Some(queue) = self.queues.get(site) else { return true };
        (was_called || queue.line.is_empty()) && self.sheet.has_left(site)
    }

    fn refill(&mut self, percent: u8) {
        let now = Instant::now();
        let elapsed = now.saturating_duration_since(self.dealt);
        let elapsed_us = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        if elapsed_us == 0 {
            return;
        }
        self.dealt = now;
        self.sheet.refill(elapsed_us.saturating_mul(u64::from(percent)) / 100);
    }

    /// Queues one, at the front if it was released before. None is rejected: their number is
    /// bounded by that of connections and streams.
    fn wait(&mut self, site: usize, (class, was_called): (Priority, bool), waiter: WaitingTicket) {
        let Some(queue) = self.queues.get_mut(site) else { return };
        if queue.line.is_empty() {
            self.waiting.push(site);
        }
        if was_called {
            queue.line.requeue_front(class, waiter);
        } else {
            queue.line.offer(class, waiter);
        }
    }

    fn release(&mut self) {
        let Self { sheet, queues, waiting, .. } = self;
        for site in waiting.iter() {
            let Some(queue) = queues.get_mut(*site) else { continue };
            let steps = sheet.left(*site).div_ceil(queue.step.max(1));
            for _ in 0..steps {
                queue.calls = queue.calls.wrapping_add(1);
                let next = match queue.calls % WORST_EVERY {
                    0 => queue.line.pop_lowest(),
                    _ => queue.line.pop(),
                };
                let Some(WaitingTicket { pass, waker }) = next else { break };
                pass.0.store(MAY, Relaxed);
                waker.wake();
            }
        }
        waiting.retain(|site| queues.get(*site).is_some_and(|queue| !queue.line.is_empty()));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn context() -> Context<'static> {
        Context::from_waker(Waker::noop())
    }

    fn dealer() -> FairScheduler {
        // A unit per microsecond, and a burst of one millisecond.
        FairScheduler::new(TokenBuckets::new(1_000_000, 1_000, [1, 1]), 2, 100)
    }

    fn first() -> Priority {
        Priority::High
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_something_left_goes_on_and_who_has_not_waits_for_a_tick() {
        let (dealer, cx) = (dealer(), context());
        let [one, two, other] = std::array::from_fn(|_| Arc::new(Ticket::default()));
        assert!(dealer.poll(0, (&one, first), &cx).is_ready());
        dealer.spend(0, 1_500);
        assert!(dealer.poll(0, (&one, first), &cx).is_pending());
        assert!(dealer.poll(0, (&two, first), &cx).is_pending());
        assert!(dealer.poll(1, (&other, first), &cx).is_ready(), "its neighbour does not wait");
        dealer.wake_due().await;
        assert!(dealer.tick());
        assert!(dealer.poll(0, (&one, first), &cx).is_pending(), "nothing was dealt out yet");
        tokio::time::advance(Duration::from_micros(600)).await;
        // The rest covers one mean step.
        assert!(dealer.tick());
        assert!(dealer.poll(0, (&one, first), &cx).is_ready());
        assert!(dealer.poll(0, (&two, first), &cx).is_pending());
        tokio::time::advance(Duration::from_millis(5)).await;
        assert!(!dealer.tick());
        assert!(dealer.poll(0, (&two, first), &cx).is_ready());
    }

    #[tokio::test(start_paused = true)]
    async fn a_newcomer_does_not_overtake_and_a_known_one_does() {
        let (dealer, cx) = (dealer(), context());
        let [flood, known, late] = std::array::from_fn(|_| Arc::new(Ticket::default()));
        dealer.spend(0, 1_100);
        assert!(dealer.poll(0, (&flood, || Priority::Low), &cx).is_pending());
        tokio::time::advance(Duration::from_micros(200)).await;
        // The bucket has units again, but another one waits for them.
        assert!(dealer.poll(0, (&late, || Priority::Low), &cx).is_pending());
        assert!(dealer.poll(0, (&known, first), &cx).is_pending());
        dealer.tick();
        assert!(dealer.poll(0, (&known, first), &cx).is_ready());
        assert!(dealer.poll(0, (&flood, || Priority::Low), &cx).is_pending());
    }

    #[tokio::test(start_paused = true)]
    async fn who_belongs_to_no_site_never_waits() {
        let (dealer, cx) = (dealer(), context());
        dealer.spend(7, 1_000_000);
        assert!(dealer.poll(7, (&Arc::default(), first), &cx).is_ready());
    }

    #[tokio::test(start_paused = true)]
    async fn half_the_rate_is_half_of_what_there_is() {
        let (dealer, cx) = (dealer(), context());
        dealer.set_rate(50);
        dealer.spend(0, 2_000);
        let one = Arc::new(Ticket::default());
        assert!(dealer.poll(0, (&one, first), &cx).is_pending());
        tokio::time::advance(Duration::from_micros(1_900)).await;
        assert!(dealer.tick());
        tokio::time::advance(Duration::from_micros(400)).await;
        assert!(!dealer.tick());
        assert!(dealer.poll(0, (&one, first), &cx).is_ready());
    }
}
