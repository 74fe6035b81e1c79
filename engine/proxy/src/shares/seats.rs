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
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;
use seawall_model::SiteId;
use seawall_state::{Line, Offer};
use tokio::sync::oneshot;

use super::{Shares, Visit};
use crate::EdgeLimits;
use crate::counters::count;
use crate::sites::Route;

/// How long a request may stay at its origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stay {
    /// As long as the origin takes: all of the request is here.
    Exchange,
    /// As long as its client takes to send the rest.
    Upload,
    /// As long as either side likes.
    Tunnel,
}

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

#[derive(Debug)]
struct Waiter {
    stay: Stay,
    give: oneshot::Sender<Seat>,
}

#[derive(Debug)]
struct Queue {
    route: Arc<Route>,
    line: Line<Waiter>,
}

/// Those who wait, by site; only sites of whom somebody waits are in it.
#[derive(Debug, Default)]
pub(super) struct Lines {
    queues: Mutex<BTreeMap<SiteId, Queue>>,
    /// Sites of whom somebody waits; looked at without the lock.
    sites: AtomicUsize,
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
            self.shares.pass_on();
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
        limits: &EdgeLimits,
    ) -> Result<Seat, NoSeat> {
        let (route, counts) = (visit.route, &visit.route.part.counts);
        if !self.somebody_waits(route)
            && let Some(seat) = self.take(route, stay)
        {
            return Ok(seat);
        }
        route.part.note_trouble(visit.now, limits);
        if stay != Stay::Exchange {
            count(&counts.stays_full);
            return Err(NoSeat);
        }
        let class = visit.class(under_way(), limits);
        let (give, given) = oneshot::channel();
        let waiter = Waiter { stay, give };
        let _waiting = Waiting::new(route);
        if !self.offer(route, class, waiter, limits) {
            count(&counts.queue_full);
            return Err(NoSeat);
        }
        // What came free in between was not told to us.
        self.pass_on();
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

    fn somebody_waits(&self, route: &Route) -> bool {
        self.lines.sites.load(Relaxed) > 0 && self.lines.queues.lock().contains_key(&route.id)
    }

    /// Takes a place, if there is one.
    fn take(self: &Arc<Self>, route: &Arc<Route>, stay: Stay) -> Option<Seat> {
        if !route.enter(stay) {
            return None;
        }
        if self.forwards.take(&route.part.forwards).is_err() {
            route.leave(stay);
            return None;
        }
        let (shares, route) = (Arc::clone(self), Arc::clone(route));
        Some(Seat { shares, route, stay, is_told: true })
    }

    /// Puts one into its site's line, and says whether there was room.
    fn offer(
        &self,
        route: &Arc<Route>,
        class: seawall_state::Class,
        waiter: Waiter,
        limits: &EdgeLimits,
    ) -> bool {
        let mut queues = self.lines.queues.lock();
        let queue = queues.entry(route.id).or_insert_with(|| Queue {
            route: Arc::clone(route),
            line: Line::new(limits.queue_max),
        });
        let offer = match queue.line.offer(class, waiter) {
            Offer::Full(waiter) => {
                // Some may have gone; they are not told apart until somebody needs their room.
                queue.line.retain(|waiter| !waiter.give.is_closed());
                queue.line.offer(class, waiter)
            }
            offer => offer,
        };
        // One that lost its place is told by its end of the channel.
        let is_in = !matches!(offer, Offer::Full(_));
        queues.retain(|_, queue| !queue.line.is_empty());
        self.lines.sites.store(queues.len(), Relaxed);
        is_in
    }

    /// Gives the places that are free to those who wait for them.
    pub(crate) fn pass_on(self: &Arc<Self>) {
        if self.lines.sites.load(Relaxed) == 0 {
            return;
        }
        let mut queues = self.lines.queues.lock();
        while self.pass_one_on(&mut queues) {}
        queues.retain(|_, queue| !queue.line.is_empty());
        self.lines.sites.store(queues.len(), Relaxed);
    }

    /// Gives one place to the site that holds the least for its weight; says whether there was one.
    fn pass_one_on(self: &Arc<Self>, queues: &mut BTreeMap<SiteId, Queue>) -> bool {
        let mut waiting: Vec<&mut Queue> =
            queues.values_mut().filter(|queue| !queue.line.is_empty()).collect();
        waiting.sort_by_cached_key(|queue| queue.route.part.forwards.load());
        for queue in waiting {
            let Some(mut seat) = self.take(&queue.route, Stay::Exchange) else { continue };
            // The lock is held: a place that nobody takes is not told of again.
            seat.is_told = false;
            while let Some(waiter) = queue.line.call() {
                seat.stay = waiter.stay;
                seat.is_told = true;
                match waiter.give.send(seat) {
                    Ok(()) => return true,
                    Err(back) => seat = back,
                }
                seat.is_told = false;
            }
        }
        false
    }
}
