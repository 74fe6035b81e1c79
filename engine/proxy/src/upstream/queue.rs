//! A place at an origin, and waiting for it.
//!
//! A site may have so many requests at its origins, and all sites together so many. Who finds no
//! place waits in its site's line, for a bounded time; a place that comes free goes to the waiting
//! site that holds the least for its weight, and there to whoever's turn it is. Nobody overtakes: as
//! long as somebody of its site waits, a newcomer joins the line.
//!
//! Uploads and WebSockets do not wait: what they wait for may not come free for an hour.

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

/// One request's place among those in flight to a site, given back when dropped.
#[derive(Debug)]
pub(crate) struct OriginSlot {
    shares: Arc<FairSharing>,
    route: Arc<Site>,
    stay: SlotKind,
    /// Whether others are told that it is free.
    is_told: bool,
}

/// There is no place, nor will there be one in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoOriginSlot;

/// An exchange: nothing else waits.
#[derive(Debug)]
struct QueuedRequest {
    give: oneshot::Sender<OriginSlot>,
}

#[derive(Debug)]
struct OriginQueue {
    route: Arc<Site>,
    line: Line<QueuedRequest>,
}

/// Those who wait, by site; only sites of whom somebody waits are in it.
#[derive(Debug, Default)]
pub(crate) struct WaitQueues {
    queues: Mutex<BTreeMap<SiteId, OriginQueue>>,
    /// Sites of whom somebody waits; looked at without the lock.
    sites: AtomicUsize,
    /// Whether somebody waits for a place among those of all sites, and not at its own origins.
    is_tight: AtomicBool,
}

impl WaitQueues {
    /// Forgets the lines of which nobody is left.
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

/// A request in a line, counted while it waits.
struct QueueGuard<'w>(&'w Site);

impl<'w> QueueGuard<'w> {
    fn new(route: &'w Site) -> Self {
        route.part.counts.queued.fetch_add(1, Relaxed);
        Self(route)
    }
}

impl Drop for QueueGuard<'_> {
    fn drop(&mut self) {
        self.0.part.counts.queued.fetch_sub(1, Relaxed);
    }
}

impl FairSharing {
    /// A place for a request of `visit`, whose client has so many under way, now or in a while.
    ///
    /// # Errors
    /// There is none in time; the site's counts say why.
    pub(crate) async fn acquire(
        self: &Arc<Self>,
        visit: &SiteClient<'_>,
        (stay, under_way): (SlotKind, impl FnOnce() -> u32),
    ) -> Result<OriginSlot, NoOriginSlot> {
        let (route, counts, limits) = (visit.route, &visit.route.part.counts, &self.limits);
        // Nobody overtakes; those who do not wait have nobody before them.
        let is_first = stay != SlotKind::Request || counts.queued.load(Relaxed) == 0;
        if is_first && let Some(seat) = self.take(route, stay) {
            return Ok(seat);
        }
        route.part.note_trouble(visit.now, limits);
        if stay != SlotKind::Request {
            count(&counts.stays_full);
            return Err(NoOriginSlot);
        }
        let class = visit.queue_priority(under_way(), limits);
        let (give, given) = oneshot::channel();
        let waiter = QueuedRequest { give };
        let _waiting = QueueGuard::new(route);
        if !self.offer(route, class, waiter) {
            count(&counts.queue_full);
            return Err(NoOriginSlot);
        }
        // What came free in between was not told to us.
        self.wake_waiters(route);
        let within = limits.settings.queue.timeout;
        match tokio::time::timeout(within, given).await {
            Ok(Ok(seat)) => {
                count(&counts.waited);
                Ok(seat)
            }
            Ok(Err(_)) => {
                count(&counts.queue_displaced);
                Err(NoOriginSlot)
            }
            Err(_) => {
                count(&counts.queue_late);
                Err(NoOriginSlot)
            }
        }
    }

    /// Takes a place, if there is one.
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

    /// Puts one into its site's line, and says whether there was room.
    fn offer(&self, route: &Arc<Site>, class: Priority, waiter: QueuedRequest) -> bool {
        let mut queues = self.lines.queues.lock();
        let queue = queues.entry(route.id).or_insert_with(|| OriginQueue {
            route: Arc::clone(route),
            line: Line::new(self.limits.settings.queue.max_requests_per_site),
        });
        if queue.line.is_full() {
            // Some may have gone; they are not told apart until somebody needs their room.
            queue.line.retain(|waiter| !waiter.give.is_closed());
        }
        let offer = queue.line.offer(class, waiter);
        // One that lost its place is told by its end of the channel.
        let is_in = !matches!(offer, PushResult::Rejected(_));
        self.lines.settle(&mut queues);
        is_in
    }

    /// Gives the places that are free to those who wait for them. While only a site's own origins are
    /// short of places, the next in its line is all that can have one of `route`'s; where the host is
    /// short of them, the site that holds the least for its weight goes first.
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

    /// Gives one place to the site that holds the least for its weight; says whether there was one.
    fn wake_least_loaded(self: &Arc<Self>, queues: &mut BTreeMap<SiteId, OriginQueue>) -> bool {
        let mut waiting: Vec<&mut OriginQueue> = queues.values_mut().collect();
        waiting.sort_by_cached_key(|queue| queue.route.part.forwards.load());
        waiting.into_iter().any(|queue| self.wake_site(queue))
    }

    /// Gives one place to a site's next; says whether there was one for somebody.
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
        // The lock is held: a place that nobody takes is not told of again.
        seat.is_told = false;
        false
    }
}
