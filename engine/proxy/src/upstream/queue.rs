//! Origin slots, and the queue for them.
//!
//! The slots of a site are limited, and those of all sites together. A request without a slot waits
//! in the queue of its site, up to the queue timeout. A free slot goes to the waiting site with the
//! fewest slots for its weight, and there to the first in the queue. A new request joins the queue
//! for as long as another request of its site waits.
//!
//! Uploads and tunnels do not wait: their slots may stay taken for an hour.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicUsize, fence};

use parking_lot::Mutex;
use seawall_model::SiteId;
use seawall_state::{Line, Priority, PushResult};
use tokio::sync::oneshot;

use crate::fairness::FairSharing;
use crate::fairness::site_client::SiteClient;
use crate::metrics::count;
use crate::routing::Site;
use crate::upstream::slot_kind::SlotKind;

/// The slot of one request in flight to a site, released when dropped.
#[derive(Debug)]
pub(crate) struct OriginSlot {
    shares: Arc<FairSharing>,
    route: Arc<Site>,
    stay: SlotKind,
    /// Whether its release wakes waiting requests.
    is_told: bool,
}

/// No slot is free, and none became free in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoOriginSlot;

/// A request in the queue; uploads and tunnels never are.
#[derive(Debug)]
struct QueuedRequest {
    give: oneshot::Sender<OriginSlot>,
}

#[derive(Debug)]
struct OriginQueue {
    route: Arc<Site>,
    line: Line<QueuedRequest>,
}

/// The queues by site; only sites with waiting requests have one.
#[derive(Debug, Default)]
pub(crate) struct WaitQueues {
    queues: Mutex<BTreeMap<SiteId, OriginQueue>>,
    /// Number of sites with waiting requests; read without the lock.
    sites: AtomicUsize,
    /// Whether a request waits for one of the slots of all sites, and not of its own origins.
    is_tight: AtomicBool,
}

impl WaitQueues {
    /// Removes empty queues.
    fn settle(&self, queues: &mut BTreeMap<SiteId, OriginQueue>) {
        queues.retain(|_, queue| !queue.line.is_empty());
        self.sites.store(queues.len(), SeqCst);
    }
}

impl OriginSlot {
    pub(crate) fn route(&self) -> &Arc<Site> {
        &self.route
    }

    pub(crate) const fn stay(&self) -> SlotKind {
        self.stay
    }
}

impl Drop for OriginSlot {
    fn drop(&mut self) {
        self.route.leave(self.stay);
        self.shares.forwards.give_back(&self.route.part.forwards);
        if self.is_told {
            self.shares.wake_waiters(&self.route);
        }
    }
}

/// Counts a request while it waits.
struct QueueGuard<'w>(&'w Site);

impl<'w> QueueGuard<'w> {
    fn new(route: &'w Site) -> Self {
        route.part.queued.fetch_add(1, Relaxed);
        Self(route)
    }
}

impl Drop for QueueGuard<'_> {
    fn drop(&mut self) {
        self.0.part.queued.fetch_sub(1, Relaxed);
    }
}

impl FairSharing {
    /// Acquires a slot for a request of `visit`, and waits in the queue if necessary. `under_way`
    /// counts the client's concurrent requests.
    ///
    /// # Errors
    /// No slot became free in time; the site's counters show the reason.
    pub(crate) async fn acquire(
        self: &Arc<Self>,
        visit: &SiteClient<'_>,
        (stay, under_way): (SlotKind, impl FnOnce() -> u32),
    ) -> Result<OriginSlot, NoOriginSlot> {
        let (route, counts, limits) = (visit.route, &visit.route.part.counts, &self.limits);
        // No request overtakes the queue; uploads and tunnels have none before them.
        let is_first = stay != SlotKind::Request || route.part.queued.load(Relaxed) == 0;
        if is_first && let Some(seat) = self.take(route, stay) {
            return Ok(seat);
        }
        route.part.note_trouble(visit.now, limits);
        if stay != SlotKind::Request {
            count(&counts.rejected.upload_tunnel_limit);
            return Err(NoOriginSlot);
        }
        let class = visit.queue_priority(under_way(), limits);
        let (give, given) = oneshot::channel();
        let waiter = QueuedRequest { give };
        let _waiting = QueueGuard::new(route);
        if !self.offer(route, class, waiter) {
            count(&counts.rejected.queue_full);
            return Err(NoOriginSlot);
        }
        // A slot that became free in between woke no request in this queue.
        self.wake_waiters(route);
        let within = limits.settings.queue.timeout;
        match tokio::time::timeout(within, given).await {
            Ok(Ok(seat)) => {
                count(&counts.queued_total);
                Ok(seat)
            }
            Ok(Err(_)) => {
                count(&counts.rejected.queue_preempted);
                Err(NoOriginSlot)
            }
            Err(_) => {
                count(&counts.rejected.queue_timeout);
                Err(NoOriginSlot)
            }
        }
    }

    /// Takes a slot, if one is free.
    fn take(self: &Arc<Self>, route: &Arc<Site>, stay: SlotKind) -> Option<OriginSlot> {
        if !route.enter(stay) {
            return None;
        }
        if self.forwards.take(&route.part.forwards).is_err() {
            self.lines.is_tight.store(true, SeqCst);
            route.leave(stay);
            return None;
        }
        let (shares, route) = (Arc::clone(self), Arc::clone(route));
        Some(OriginSlot { shares, route, stay, is_told: true })
    }

    /// Puts a request into its site's queue, and returns whether it was accepted.
    fn offer(&self, route: &Arc<Site>, class: Priority, waiter: QueuedRequest) -> bool {
        let mut queues = self.lines.queues.lock();
        let queue = queues.entry(route.id).or_insert_with(|| OriginQueue {
            route: Arc::clone(route),
            line: Line::new(self.limits.settings.queue.max_requests_per_site),
        });
        if queue.line.is_full() {
            // Some requests may have left; they are only removed when their room is needed.
            queue.line.retain(|waiter| !waiter.give.is_closed());
        }
        let offer = queue.line.offer(class, waiter);
        // A displaced request learns of it by its closed channel.
        let is_in = !matches!(offer, PushResult::Rejected(_));
        self.lines.settle(&mut queues);
        is_in
    }

    /// Gives free slots to waiting requests. If only the site's own origins are short of slots, the
    /// next in its queue gets `route`'s. If the slots of all sites are, the site with the fewest
    /// slots for its weight goes first.
    pub(crate) fn wake_waiters(self: &Arc<Self>, route: &Site) {
        fence(SeqCst);
        if self.lines.sites.load(SeqCst) == 0 {
            return;
        }
        let mut queues = self.lines.queues.lock();
        if self.lines.is_tight.swap(false, SeqCst) {
            while self.wake_least_loaded(&mut queues) {}
        } else if let Some(queue) = queues.get_mut(&route.id) {
            while self.wake_site(queue) {}
        }
        self.lines.settle(&mut queues);
    }

    /// Gives one slot to the site with the fewest for its weight; returns whether one was free.
    fn wake_least_loaded(self: &Arc<Self>, queues: &mut BTreeMap<SiteId, OriginQueue>) -> bool {
        let mut waiting: Vec<&mut OriginQueue> = queues.values_mut().collect();
        waiting.sort_by_cached_key(|queue| queue.route.part.forwards.load());
        waiting.into_iter().any(|queue| self.wake_site(queue))
    }

    /// Gives one slot to a site's next request; returns whether one was given.
    fn wake_site(self: &Arc<Self>, queue: &mut OriginQueue) -> bool {
        if queue.line.is_empty() {
            return false;
        }
        let Some(mut seat) = self.take(&queue.route, SlotKind::Request) else { return false };
        while let Some(waiter) = queue.line.pop() {
            seat.is_told = true;
            match waiter.give.send(seat) {
                Ok(()) => return true,
                Err(back) => seat = back,
            }
        }
        // The lock is held, so the release of this unused slot must not wake others.
        seat.is_told = false;
        false
    }
}
