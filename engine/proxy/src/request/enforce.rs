//! From a decision to what happens: one arm per verdict.
//!
//! A [`Granted`] comes out of the admit arm and nowhere else, an [`Admitted`] out of that (their
//! fields are private to this file), and forwarding takes one, so what was not admitted has nothing
//! to be forwarded with. A verdict that this version cannot carry out is refused at load; should one
//! come all the same, it is our fault, and the request is refused rather than let in.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use seawall_model::Verdict;
use seawall_ruleset::Units;

use crate::admission::concurrency_limit::{Permit, Room};
use crate::admission::trusted_proxies::{Asker, Line};
use crate::context::Edge;
use crate::fairness::site_client::Visit;
use crate::http1::head::{Persistence, Purpose};
use crate::http1::stream::Here;
use crate::metrics::count;
use crate::request::local_response::{Answer, BodyWanted, Code};
use crate::request::record::Case;
use crate::routing::{Route, Timeouts};
use crate::upstream::queue::Seat;
use crate::upstream::slot_kind::Stay;

/// A request that the policy lets in, before there is a place for it at its origin.
#[derive(Debug)]
pub(crate) struct Granted {
    case: Case,
    route: Arc<Route>,
    manner: Manner,
}

impl Granted {
    pub(crate) fn edge(&self) -> &Arc<Edge> {
        self.case.edge()
    }

    /// Its connection's other requests took all the time that it could wait.
    pub(crate) fn turn_late(self) -> Answer {
        count(&self.edge().counters.h2_turns_late);
        answer(self.case, self.manner, 503, Some(1_000))
    }

    /// Takes its places: one of its client's, and one of its site's, for which it may have to wait.
    /// A larger body is still to come where not all of the request is `here`.
    ///
    /// # Errors
    /// There is none; the answer says so.
    pub(crate) async fn take_place(self, here: Here) -> Result<Admitted, Answer> {
        let Self { mut case, route, manner } = self;
        let edge = Arc::clone(case.edge());
        let second = Some(1_000);
        let client = manner.asker.client;
        let Ok(permit) = edge.forwarding.enter(Some(&client), Room::Free) else {
            count(&edge.counters.forwards_refused);
            return Err(answer(case, manner, 429, second));
        };
        let stay = match (manner.purpose, here) {
            (Purpose::WebSocket, _) => Stay::Tunnel,
            (Purpose::Exchange, Here::Begun) => Stay::Upload,
            (Purpose::Exchange, Here::Whole) => Stay::Exchange,
        };
        let now = (edge.now)();
        if route.origins.is_down(now) {
            // Said here, it costs neither the connection nor a way through the engine.
            count(&edge.counters.origin_down);
            return Err(answer(case, manner, 503, second));
        }
        let visit = Visit { route: &route, client: &client, state: &case.live.state, now };
        let under_way = || edge.forwarding.held(&client);
        let Ok(seat) = edge.shares.seat(&visit, (stay, under_way)).await else {
            count(&edge.counters.origin_full);
            // A second from now some of those in flight will be done.
            return Err(answer(case, manner, 503, second));
        };
        count(&edge.counters.admitted);
        count(&route.part.counts.admitted);
        let units = std::mem::take(&mut case.units);
        let stand = Stand::new(seat, (permit, units), edge);
        let Manner { purpose, asker, is_noted, timeouts, is_normal, .. } = manner;
        Ok(Admitted { case, stand, purpose, asker, is_noted, timeouts, is_normal })
    }
}

/// A request that may go to its origin. Good for one.
#[derive(Debug)]
pub(crate) struct Admitted {
    case: Case,
    stand: Stand,
    purpose: Purpose,
    asker: Asker,
    is_noted: bool,
    timeouts: Timeouts,
    is_normal: bool,
}

/// The places of a request at an origin: one of its site's, one of its client's, and what it counts as
/// under way in the limits of the policy. Given back when dropped.
#[derive(Debug)]
pub(crate) struct Stand {
    seat: Seat,
    _counted: (Permit, Units),
    edge: Arc<Edge>,
}

impl Stand {
    fn new(seat: Seat, counted: (Permit, Units), edge: Arc<Edge>) -> Self {
        count(&edge.counters.in_flight);
        Self { seat, _counted: counted, edge }
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        self.edge.counters.in_flight.fetch_sub(1, Relaxed);
    }
}

impl Admitted {
    pub(crate) fn route(&self) -> &Arc<Route> {
        self.stand.seat.route()
    }

    pub(crate) const fn stay(&self) -> Stay {
        self.stand.seat.stay()
    }

    pub(crate) const fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// Whether its head is forwarded as it came.
    pub(crate) const fn is_normal(&self) -> bool {
        self.is_normal
    }

    /// How long its origin is waited for.
    pub(crate) const fn timeouts(&self) -> Timeouts {
        self.timeouts
    }

    pub(crate) const fn asker(&self) -> &Asker {
        &self.asker
    }

    pub(crate) fn edge(&self) -> &Arc<Edge> {
        self.case.edge()
    }

    /// Its places, for as long as its origin is at work for it. The decision is remembered now.
    pub(crate) fn into_stand(self) -> Stand {
        self.stand
    }

    /// Notes what was answered in the end; a client that was served is known to the site.
    pub(crate) fn note(&mut self, status: u16, bytes_out: u64) {
        if self.is_noted && (200..400).contains(&status) {
            let now = (self.edge().now)();
            let (route, state) = (self.route(), &self.case.live.state);
            let visit = Visit { route, client: &self.asker.client, state, now };
            self.edge().shares.note_served(&visit);
        }
        self.case.status = status;
        self.case.bytes_out = bytes_out;
    }
}

/// How a refused request is to be answered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manner {
    pub(crate) body: BodyWanted,
    pub(crate) persistence: Persistence,
    pub(crate) purpose: Purpose,
    pub(crate) asker: Asker,
    /// Whether its client counts as known once it is served: asked of some requests of a connection
    /// only, since the answer is the same.
    pub(crate) is_noted: bool,
    pub(crate) timeouts: Timeouts,
    /// Whether its head is forwarded as it came.
    pub(crate) is_normal: bool,
}

/// What happens next.
#[derive(Debug)]
pub(crate) enum Next {
    /// The request goes to its origin, if there is a place for it.
    Admit(Granted),
    /// It is answered here.
    Answer(Answer),
    /// The connection is reset.
    Reset,
    /// The connection is held, then reset.
    Hold(Held),
}

/// A place among those that are held, given back when dropped.
#[derive(Debug)]
pub(crate) struct Held {
    case: Case,
    pub(crate) hold_ms: u64,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.case.edge().counters.tarpits.fetch_sub(1, Relaxed);
    }
}

/// Carries out a decision.
pub(crate) fn enforce(case: Case, route: &Arc<Route>, manner: Manner) -> Next {
    match case.decision.verdict {
        Verdict::Allow if is_shed(&case, route, &manner) => refuse(case, manner, 503, Some(1_000)),
        Verdict::Allow => Next::Admit(Granted { case, route: Arc::clone(route), manner }),
        Verdict::Block { status, retry_after_ms } => refuse(case, manner, status, retry_after_ms),
        Verdict::Throttle { retry_after_ms } => refuse(case, manner, 429, Some(retry_after_ms)),
        Verdict::Drop => {
            count(&case.edge().counters.dropped);
            cut(case, manner)
        }
        Verdict::Tarpit { hold_ms } => match manner.asker.line {
            Line::Own => hold(case, hold_ms),
            // Held would be the hop, and with it everybody whom it would have sent next.
            Line::Shared => cut(case, manner),
        },
        // The ban itself is in the state already, and meets the client's next connections.
        Verdict::Ban { .. } => {
            count(&case.edge().counters.banned);
            cut(case, manner)
        }
        Verdict::Challenge { .. } => {
            count(&case.edge().counters.unenforceable);
            refuse(case, manner, 503, None)
        }
    }
}

/// Whether the host has too little of something to serve a client whom the site does not know.
fn is_shed(case: &Case, route: &Arc<Route>, manner: &Manner) -> bool {
    let edge = case.edge();
    if !edge.overload.is_scarce() {
        return false;
    }
    let (client, state, now) = (&manner.asker.client, &case.live.state, (edge.now)());
    let is_shed = !Visit { route, client, state, now }.is_known(&edge.limits);
    if is_shed {
        count(&edge.counters.overload_shed);
        count(&route.part.counts.overload_shed);
        route.part.note_trouble(now, &edge.limits);
    }
    is_shed
}

/// Resets the client's connection. One that a hop shares among clients is not the client's: a
/// reset would cost others their places in it and let a stranger make the hop believe that we are
/// down, so it is told 403 instead.
fn cut(case: Case, manner: Manner) -> Next {
    match manner.asker.line {
        Line::Own => Next::Reset,
        Line::Shared => refuse(case, manner, 403, None),
    }
}

/// Holding costs us a descriptor and the client its connection; so only so many are held, and who
/// comes then is not worth more than a reset.
fn hold(case: Case, hold_ms: u64) -> Next {
    let edge = Arc::clone(case.edge());
    if edge.counters.tarpits.fetch_add(1, Relaxed) >= edge.limits.tarpits_max {
        edge.counters.tarpits.fetch_sub(1, Relaxed);
        count(&edge.counters.tarpits_full);
        return Next::Reset;
    }
    count(&edge.counters.tarpitted);
    Next::Hold(Held { case, hold_ms })
}

fn refuse(mut case: Case, manner: Manner, status: u16, retry_after_ms: Option<u64>) -> Next {
    case.is_over = true;
    Next::Answer(answer(case, manner, status, retry_after_ms))
}

fn answer(mut case: Case, manner: Manner, status: u16, retry_after_ms: Option<u64>) -> Answer {
    count(&case.edge().counters.refused);
    let code = Some(Code::of(case.live.generation, case.decision.reason));
    let Manner { body, persistence, .. } = manner;
    let answer = Answer { status, retry_after_ms, code, body, persistence };
    case.status = status;
    case.bytes_out = answer.bytes_out();
    answer
}
