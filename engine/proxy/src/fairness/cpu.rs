//! CPU time, shared fairly among sites.
//!
//! Each worker is one thread that runs all its connections. A site that needs more CPU time than
//! its share delays all other sites on the worker. So each poll of a connection is measured, with
//! reading, evaluation, rules, handshakes and forwarding, and is charged to the connection's site.
//! A site that has used its share is throttled until the next millisecond. A site may use all CPU
//! time that others do not need. HTTP/2 requests run as tasks of their own, which are measured in
//! the same way (`http2::request_task`). Unroutable connections share the budget of one site.
//!
//! The kernel and other programs use CPU time too, so the amount to share is not known. It is
//! found as TCP finds its rate: while the worker's ticks are late, each tick distributes a tenth
//! less, else one percent more.
//!
//! Limitation: work before the site is known (an accept, a ClientHello, one header section) is not
//! throttled and is charged later. The connection limits bound it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use seawall_state::TokenBuckets;
use tokio::time::Instant;

use crate::ProxyLimits;
use crate::connection::Connection;
use crate::context::SharedContext;
use crate::fairness::scheduler::{FairScheduler, Ticket};
use crate::metrics::count;

/// Nanoseconds in a second.
const PER_S: u64 = 1_000_000_000;
/// Weight of all unroutable connections together: that of one site.
const ASTRAY_WEIGHT: u32 = 1;
/// Assumed nanoseconds of a poll before one was measured.
const STEP_NS: u64 = 20_000;
/// Minimum to distribute, in percent: where other programs use the CPU, late ticks must not reduce
/// it further.
const RATE_MIN: u8 = 25;
/// Maximum to distribute, in percent: the rest is for work that belongs to no site.
const RATE_MAX: u8 = 98;
/// Maximum lateness of a worker, in microseconds.
const LATE_US_MAX: u64 = 100_000;
/// Milliseconds of waiting for the CPU from which on a site counts as congested.
const TROUBLE_MS: u128 = 20;
/// Milliseconds between ticks while the worker has little to do.
const CALM_TICK_MS: u64 = 10;

/// Shares the CPU time of one worker.
#[derive(Debug)]
pub(crate) struct CpuScheduler {
    dealer: FairScheduler,
    /// In place of a site's number: connections with unroutable requests.
    astray: usize,
    /// Nanoseconds of measured polls since the last tick.
    busy_ns: AtomicU64,
    /// Mean lateness of the last ticks, in microseconds.
    late_us: AtomicU64,
}

impl CpuScheduler {
    pub(crate) fn new(limits: &ProxyLimits, weights: &[u32]) -> Self {
        let all = weights.iter().copied().chain([ASTRAY_WEIGHT]);
        let sheet = TokenBuckets::new(PER_S, limits.cpu_burst_us, all);
        let dealer = FairScheduler::new(sheet, weights.len().saturating_add(1), STEP_NS);
        dealer.set_rate(RATE_MAX);
        let astray = weights.len();
        Self { dealer, astray, busy_ns: AtomicU64::new(0), late_us: AtomicU64::new(0) }
    }

    /// Returns the lateness of the worker's ticks, in microseconds.
    pub(crate) fn late_us(&self) -> u64 {
        self.late_us.load(Relaxed)
    }

    /// Distributes CPU time for as long as the worker lives.
    pub(crate) async fn run(self: Arc<Self>, edge: Arc<SharedContext>) {
        let tick_ms = edge.limits.cpu_refill_interval_ms.max(1);
        let mut rate = RATE_MAX;
        let mut pause_ms = CALM_TICK_MS;
        loop {
            let began = Instant::now();
            tokio::select! {
                biased;
                () = tokio::time::sleep(Duration::from_millis(pause_ms)) => {}
                () = self.dealer.wake_due(), if pause_ms > tick_ms => {}
            }
            let took = began.elapsed();
            edge.overload.note_late(self.late_us());
            rate = self.adjust(rate, took, pause_ms, &edge.limits);
            let waits = self.dealer.tick();
            let busy = Duration::from_nanos(self.busy_ns.swap(0, Relaxed));
            let is_busy = waits || busy.as_micros() * 2 > took.as_micros();
            pause_ms = if is_busy { tick_ms } else { CALM_TICK_MS };
        }
    }

    /// Returns the next rate, from the lateness of this tick.
    fn adjust(&self, rate: u8, took: Duration, pause_ms: u64, limits: &ProxyLimits) -> u8 {
        // The timer itself has a resolution of one millisecond.
        let due = Duration::from_millis(pause_ms.saturating_add(1));
        let late = took.saturating_sub(due);
        // A pause of a second counts as the maximum lateness, not as ten times that.
        let late_us = u64::try_from(late.as_micros()).unwrap_or(u64::MAX).min(LATE_US_MAX);
        let mean = self.late_us.load(Relaxed);
        self.late_us.store(mean - mean / 8 + late_us / 8, Relaxed);
        let rate = if late_us > limits.cpu_max_scheduling_delay_us {
            (rate - rate / 10).max(RATE_MIN)
        } else {
            rate.saturating_add(1).min(RATE_MAX)
        };
        self.dealer.set_rate(rate);
        rate
    }

    /// Charges a site for a poll of a connection; without a site the time is charged later.
    fn charge(&self, conn: &Connection, site: Option<usize>, ns: u64) {
        self.busy_ns.fetch_add(ns, Relaxed);
        let Some(site) = site else { return conn.stake.defer_cpu(ns) };
        let ns = ns.saturating_add(conn.stake.take_owed());
        self.dealer.spend(site, ns);
        conn.stake.count_for(site, |counts| {
            counts.cpu_us.fetch_add(ns / 1_000, Relaxed);
        });
    }
}

/// The future of a connection, or of an HTTP/2 request with its own task. Each poll is measured and
/// may be throttled.
pub(crate) struct CpuAccounted<F> {
    life: F,
    conn: Arc<Connection>,
    processor: Arc<CpuScheduler>,
    pass: Arc<Ticket>,
    /// The site that it is for, where that differs from the connection's.
    site: Option<usize>,
    has_begun: bool,
    /// Since when it is throttled.
    waits_since: Option<Instant>,
}

impl<F: Future + Unpin> CpuAccounted<F> {
    pub(crate) fn new(life: F, conn: Arc<Connection>, processor: Arc<CpuScheduler>) -> Self {
        let pass = Arc::default();
        Self { life, conn, processor, pass, site: None, has_begun: false, waits_since: None }
    }

    /// Sets the site, for a connection that has none or many.
    pub(crate) fn for_site(self, site: Option<usize>) -> Self {
        Self { site, ..self }
    }

    /// Returns whether it was polled once.
    pub(crate) const fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// Returns the site that its polls are charged to.
    fn active_site(&self) -> Option<usize> {
        let stake = &self.conn.stake;
        let astray = || stake.is_astray().then_some(self.processor.astray);
        self.site.or_else(|| stake.site()).or_else(astray)
    }

    fn poll_ticket(&mut self, cx: &Context<'_>) -> Poll<()> {
        let stake = &self.conn.stake;
        let site = self.active_site().filter(|_| !self.conn.is_aborted());
        let Some(site) = site else { return Poll::Ready(()) };
        let polled = self.processor.dealer.poll(site, (&self.pass, || stake.class()), cx);
        match (polled, self.waits_since) {
            (Poll::Pending, None) => {
                stake.count_for(site, |counts| count(&counts.cpu_throttled_total));
                self.waits_since = Some(Instant::now());
            }
            (Poll::Ready(()), Some(since)) => {
                self.waits_since = None;
                if since.elapsed().as_millis() >= TROUBLE_MS {
                    stake.note_trouble(site);
                }
            }
            _ => {}
        }
        polled
    }
}

impl<F: Future + Unpin> Future for CpuAccounted<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        ready!(self.poll_ticket(cx));
        self.has_begun = true;
        let began = Instant::now();
        let polled = Pin::new(&mut self.life).poll(cx);
        let took = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        // The site may have become known in this poll.
        self.processor.charge(&self.conn, self.active_site(), took);
        polled
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use seawall_model::{Client, ClientPrefixes, SiteId, Tick};

    fn conn(site: u32) -> Arc<Connection> {
        let client = Client::of([192, 0, 2, 1].into(), &ClientPrefixes::default());
        let conn = Arc::new(Connection::new(client, 1, Tick::TEST_START));
        conn.stake.set_active_site(SiteId(site));
        conn
    }

    #[tokio::test(start_paused = true)]
    async fn requests_of_one_connection_wait_each_for_a_turn_of_their_own() {
        let processor = Arc::new(CpuScheduler::new(&ProxyLimits::default(), &[1, 1]));
        let (busy, quiet) = (conn(0), conn(1));
        processor.dealer.spend(0, 20_000_000);
        let request = |of: &Arc<Connection>| {
            let life = std::future::ready(());
            tokio::spawn(CpuAccounted::new(life, Arc::clone(of), Arc::clone(&processor)))
        };
        let requests = [request(&busy), request(&busy), request(&busy)];
        request(&quiet).await.unwrap();
        tokio::task::yield_now().await;
        assert!(requests.iter().all(|request| !request.is_finished()));
        for _ in 0..100 {
            tokio::time::advance(Duration::from_millis(1)).await;
            processor.dealer.tick();
            tokio::task::yield_now().await;
        }
        assert!(requests.iter().all(tokio::task::JoinHandle::is_finished));
    }

    #[tokio::test]
    async fn whoever_came_for_nobody_waits_for_a_turn_and_takes_none_of_a_sites() {
        let processor = Arc::new(CpuScheduler::new(&ProxyLimits::default(), &[1]));
        let client = Client::of([192, 0, 2, 1].into(), &ClientPrefixes::default());
        let lost = Arc::new(Connection::new(client, 1, Tick::TEST_START));
        let step =
            || CpuAccounted::new(std::future::ready(()), Arc::clone(&lost), Arc::clone(&processor));
        let mut cx = Context::from_waker(std::task::Waker::noop());
        processor.dealer.spend(processor.astray, 20_000_000);
        assert!(Pin::new(&mut step()).poll(&mut cx).is_ready(), "before it has asked for anybody");
        lost.stake.note_astray();
        assert!(Pin::new(&mut step()).poll(&mut cx).is_pending());
        let visitor = conn(0);
        let mut asks =
            CpuAccounted::new(std::future::ready(()), Arc::clone(&visitor), Arc::clone(&processor));
        assert!(Pin::new(&mut asks).poll(&mut cx).is_ready());
    }

    #[tokio::test]
    async fn what_a_request_does_is_what_its_site_has_less() {
        let processor = Arc::new(CpuScheduler::new(&ProxyLimits::default(), &[1, 1]));
        let conn = conn(0);
        let began = Instant::now();
        // More than the 2 ms that an idle site may use at once.
        let works = std::future::poll_fn(|_| {
            while began.elapsed().as_millis() < 5 {}
            Poll::Ready(7)
        });
        let life = CpuAccounted::new(works, Arc::clone(&conn), Arc::clone(&processor));
        assert_eq!(life.await, 7);
        assert!(processor.busy_ns.load(Relaxed) >= 1_000_000);
        let cx = Context::from_waker(std::task::Waker::noop());
        let poll =
            |site| processor.dealer.poll(site, (&Arc::default(), || conn.stake.class()), &cx);
        assert!(poll(0).is_pending() && poll(1).is_ready());
    }
}
