//! Egress bandwidth, shared fairly among sites.
//!
//! The pipe out of the house is the scarcest thing of all: in 2014 it was what took half of the
//! members down. How wide it is only the host knows, so this is off until `egress_bytes_per_second`
//! says it. What sites send is then dealt out moment by moment; a connection whose site has used up
//! its share waits to send, its origin with it, and while others are quiet a site has the whole pipe.
//!
//! Bytes are counted as they are handed to TCP or TLS. Lower headers add some 3 % with full
//! packets, and retransmissions are not counted: set the limit a tenth below the bandwidth of the
//! link.
//!
//! Limitation: incoming traffic can fill the link too; a proxy cannot prevent that.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use seawall_state::TokenBuckets;

use crate::ProxyLimits;
use crate::connection::Connection;
use crate::fairness::scheduler::FairScheduler;
use crate::metrics::count;

/// Maximum bytes of one write: a single write must not delay all others.
pub(crate) const WRITE_BYTES_MAX: usize = 16 << 10;

/// Interval of the ticks of a worker that was not woken.
const LOOK: Duration = Duration::from_millis(100);

/// Shares the egress bandwidth.
#[derive(Debug)]
pub(crate) struct EgressScheduler {
    dealer: FairScheduler,
    tick_ms: u64,
}

impl EgressScheduler {
    /// Returns none if the limit is 0.
    pub(super) fn new(limits: &ProxyLimits, weights: impl Iterator<Item = u32>) -> Option<Self> {
        let per_s = limits.settings.bandwidth.egress_bytes_per_second;
        if per_s == 0 {
            return None;
        }
        let weights: Vec<u32> = weights.collect();
        let sheet = TokenBuckets::new(per_s, limits.egress_burst_us, weights.iter().copied());
        let dealer = FairScheduler::new(sheet, weights.len(), WRITE_BYTES_MAX as u64);
        Some(Self { dealer, tick_ms: limits.egress_refill_interval_ms.max(1) })
    }

    /// Returns whether a connection may send now.
    pub(crate) fn poll(&self, conn: &Connection, cx: &Context<'_>) -> Poll<()> {
        let site = conn.stake.site().filter(|_| !conn.is_aborted());
        let Some(site) = site else { return Poll::Ready(()) };
        let was_waiting = conn.stake.egress.is_waiting();
        let polled = self.dealer.poll(site, (&conn.stake.egress, || conn.stake.class()), cx);
        if polled.is_pending() && !was_waiting {
            conn.stake.count(|counts| count(&counts.egress_throttled_total));
        }
        polled
    }

    /// Records what a connection sent.
    pub(crate) fn spend(&self, conn: &Connection, bytes: usize) {
        if let Some(site) = conn.stake.site() {
            self.dealer.spend(site, bytes as u64);
        }
    }

    /// Distributes bandwidth for as long as its worker lives. One worker is woken when a connection
    /// waits; the others also tick at intervals, in case that worker has ended.
    pub(crate) async fn run(shares: Arc<crate::fairness::FairSharing>) {
        let Some(egress) = &shares.egress else { return };
        loop {
            let _unheard = tokio::time::timeout(LOOK, egress.dealer.wake_due()).await;
            while egress.dealer.tick() {
                tokio::time::sleep(Duration::from_millis(egress.tick_ms)).await;
            }
        }
    }
}
