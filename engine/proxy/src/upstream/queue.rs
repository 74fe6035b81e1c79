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
use std::time::Duration;

use parking_lot::Mutex;
use seawall_model::SiteId;
use seawall_state::{Class, Line, Offer};
use tokio::sync::oneshot;

use crate::fairness::Shares;
use crate::fairness::site_client::Visit;
use crate::metrics::count;
use crate::routing::Route;
use crate::upstream::slot_kind::Stay;

/// One request's place among those in flight to a site, given back when dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    shares: Arc<Shares>,
    route: Arc<Route>,
    stay: Stay,
    /// Whether others are told that it is free.
    is_told: bool,
}

/// There is no place, nor will there be one in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoSeat;

/// An exchange: nothing else waits.
#[derive(Debug)]
struct Waiter {
    give: oneshot::Sender<Seat>,
}

#[derive(Debug)]
struct Queue {
    route: Arc<Route>,
    line: Line<Waiter>,
}

/// Those who wait, by site; only sites of whom somebody waits are in it.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    queues: Mutex<BTreeMap<SiteId, Queue>>,
    /// Sites of whom somebody waits; looked at without the lock.
    sites: AtomicUsize,
    /// Whether somebody waits for a place among those of all sites, and not at its own origins.
    is_tight: AtomicBool,
}

impl Lines {
    /// Forgets the lines of which nobody is left.
    fn settle(&self, queues: &mut BTreeMap<SiteId, Queue>) {
        queues.retain(|_, queue| !queue.line.is_empty());
        self.sites.store(queues.len(), SeqCst);
    }
}

impl Seat {
    pub(crate) fn route(&self) -> &Arc<Route> {
        &self.route
    }

    pub(crate) const fn stay(&self) -> Stay {
        self.stay
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.route.leave(self.stay);
        self.shares.forwards.give_back(&self.route.part.forwards);
        if self.is_told {
            self.shares.pass_on(&self.route);
        }
    }
}

/// A request in a line, counted while it waits.
struct Waiting<'w>(&'w Route);

impl<'w> Waiting<'w> {
    fn new(route: &'w Route) -> Self {
        route.part.counts.queued.fetch_add(1, Relaxed);
        Self(route)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.part.counts.queued.fetch_sub(1, Relaxed);
    }
}

impl Shares {
    /// A place for a request of `visit`, whose client has so many under way, now or in a while.
    ///
    /// # Errors
    /// There is none in time; the site's counts say why.
    pub(crate) async fn seat(
        self: &Arc<Self>,
        visit: &Visit<'_>,
        (stay, under_way): (Stay, impl FnOnce() -> u32),
    ) -> Result<Seat, NoSeat> {
        let (route, counts, limits) = (visit.route, &visit.route.part.counts, &self.limits);
        // Nobody overtakes; those who do not wait have nobody before them.
        let is_first = stay != Stay::Exchange || counts.queued.load(Relaxed) == 0;
        if is_first && let Some(seat) = self.take(route, stay) {
            return Ok(seat);
        }
        route.part.note_trouble(visit.now, limits);
        if stay != Stay::Exchange {
            count(&counts.stays_full);
            return Err(NoSeat);
        }
        let class = visit.class(under_way(), limits);
        let (give, given) = oneshot::channel();
        let waiter = Waiter { give };
        let _waiting = Waiting::new(route);
        if !self.offer(route, class, waiter) {
            count(&counts.queue_full);
            return Err(NoSeat);
        }
        // What came free in between was not told to us.
        self.pass_on(route);
        let within = Duration::from_millis(limits.queue_ms);
        match tokio::time::timeout(within, given).await {
            Ok(Ok(seat)) => {
                count(&counts.waited);
                Ok(seat)
            }
            Ok(Err(_)) => {
                count(&counts.queue_displaced);
                Err(NoSeat)
            }
            Err(_) => {
                count(&counts.queue_late);
                Err(NoSeat)
            }
        }
    }

    /// Takes a place, if there is one.
    fn take(self: &Arc<Self>, route: &Arc<Route>, stay: Stay) -> Option<Seat> {
        if !route.enter(stay) {
            return None;
        }
        if self.forwards.take(&route.part.forwards).is_err() {
            self.lines.is_tight.store(true, SeqCst);
            route.leave(stay);
            return None;
        }
        let (shares, route) = (Arc::clone(self), Arc::clone(route));
        Some(Seat { shares, route, stay, is_told: true })
    }

    /// Puts one into its site's line, and says whether there was room.
    fn offer(&self, route: &Arc<Route>, class: Class, waiter: Waiter) -> bool {
        let mut queues = self.lines.queues.lock();
        let queue = queues.entry(route.id).or_insert_with(|| Queue {
            route: Arc::clone(route),
            line: Line::new(self.limits.queue_max),
        });
        if queue.line.is_full() {
            // Some may have gone; they are not told apart until somebody needs their room.
            queue.line.retain(|waiter| !waiter.give.is_closed());
        }
        let offer = queue.line.offer(class, waiter);
        // One that lost its place is told by its end of the channel.
        let is_in = !matches!(offer, Offer::Full(_));
        self.lines.settle(&mut queues);
        is_in
    }

    /// Gives the places that are free to those who wait for them. While only a site's own origins are
    /// short of places, the next in its line is all that can have one of `route`'s; where the host is
    /// short of them, the site that holds the least for its weight goes first.
    pub(crate) fn pass_on(self: &Arc<Self>, route: &Route) {
        fence(SeqCst);
        if self.lines.sites.load(SeqCst) == 0 {
            return;
        }
        let mut queues = self.lines.queues.lock();
        if self.lines.is_tight.swap(false, SeqCst) {
            while self.pass_to_least(&mut queues) {}
        } else if let Some(queue) = queues.get_mut(&route.id) {
            while self.pass_to(queue) {}
        }
        self.lines.settle(&mut queues);
    }

    /// Gives one place to the site that holds the least for its weight; says whether there was one.
    fn pass_to_least(self: &Arc<Self>, queues: &mut BTreeMap<SiteId, Queue>) -> bool {
        let mut waiting: Vec<&mut Queue> = queues.values_mut().collect();
        waiting.sort_by_cached_key(|queue| queue.route.part.forwards.load());
        waiting.into_iter().any(|queue| self.pass_to(queue))
    }

    /// Gives one place to a site's next; says whether there was one for somebody.
    fn pass_to(self: &Arc<Self>, queue: &mut Queue) -> bool {
        if queue.line.is_empty() {
            return false;
        }
        let Some(mut seat) = self.take(&queue.route, Stay::Exchange) else { return false };
        while let Some(waiter) = queue.line.call() {
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
