//! One admitted request, from the choice of its origin to the end of its response.
//!
//! A request is only sent twice if it cannot have had an effect: no connection was made; a kept
//! connection ended before a response, and the method is idempotent (RFC 9110 §9.2.2); or a health
//! check found the origin down, and the method is safe. A retry goes to an origin that has not
//! failed the request, and only within the retry budget ([`crate::upstream`]).
//!
//! Deadlines only count while something is waited for. A future that drives a request can be
//! dropped at any time: [`given_up`](super::given_up) then decides about the origin's part.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::Instant;

use crate::connection::data_rate::later;
use crate::context::SharedContext;
use crate::forward::ClientStream;
use crate::forward::exchange::{Exchange, Outcome, Terms, Waits};
use crate::forward::given_up;
use crate::forward::origin_connection::{ConnectError, OriginConnection};
use crate::forward::outgoing::RetrySafety;
use crate::forward::response_error::ResponseError;
use crate::http1::timer::DeadlineTimer;
use crate::metrics::count;
use crate::request::enforce::AdmittedRequest;
use crate::routing::Site;
use crate::shutdown::ShutdownSignal;
use crate::upstream::pool::Pool;
use crate::upstream::{Attempt, AttemptHistory, RetryDecision};

/// A limit that a client has violated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Violation {
    MinBodyRate,
    RequestTimeout,
    SendTimeout,
    TunnelIdle,
}

/// The client's side of a request, with its deadlines.
pub(crate) trait Downstream: ClientStream {
    /// Returns until when a wait that began at `since` may last for the client's part, where the
    /// streams below do not enforce that.
    fn client_deadline(&mut self, waits: Waits, since: Instant) -> Option<(Instant, Violation)>;

    /// Returns the timer for all deadlines of the request.
    fn alarm(&mut self) -> &mut DeadlineTimer;

    /// Counts the violation and ends the request, or the connection with a reset.
    fn violated(&mut self, violation: Violation);

    /// Records that the final header section of the response came.
    fn note_answered(&mut self, _status: u16) {}

    /// Records whether the origin is waited for.
    fn note_waiting(&mut self, _is_waiting: bool) {}
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The response was forwarded.
    Forwarded { keeps_client: bool },
    /// Nothing of a final response was sent: the client gets this status from us.
    Failed(u16),
    /// The response ends before its end.
    Incomplete {
        /// The client can tell so by the framing of the response.
        is_visible: bool,
    },
    /// The client is gone, or was reset.
    ClientGone,
}

/// Why the exchange stopped.
enum Stop {
    Ended(Outcome),
    /// The origin exceeded a deadline.
    OriginLate,
    /// The client did, and is reset.
    ClientLate,
}

/// What is waited for, and since when.
#[derive(Debug)]
struct Wait {
    what: Waits,
    /// What has to change for the time to begin again.
    mark: u64,
    since: Instant,
}

/// The parts of a request that its origin works on.
#[derive(Debug)]
pub(crate) struct InFlight {
    // In this order: the connection ends before the slot at the origin is free, and that is free
    // before the site's slot is passed on.
    pub(super) origin: Option<OriginConnection>,
    pub(super) attempt: Option<Attempt>,
    pub(super) admitted: Option<AdmittedRequest>,
    pub(super) exchange: Option<Exchange>,
    retry: RetrySafety,
    tries: AttemptHistory,
    edge: Arc<SharedContext>,
    route: Arc<Site>,
    pool: Arc<Pool>,
    wait: Option<Wait>,
    is_answer_noted: bool,
    is_end_noted: bool,
}

/// A request without an end was aborted with its client.
impl Drop for InFlight {
    fn drop(&mut self) {
        given_up::settle(self);
    }
}

impl InFlight {
    pub(crate) fn new(
        admitted: AdmittedRequest,
        (exchange, retry): (Exchange, RetrySafety),
        pool: &Arc<Pool>,
    ) -> Self {
        let (edge, route) = (Arc::clone(admitted.edge()), Arc::clone(admitted.route()));
        Self {
            origin: None,
            attempt: None,
            admitted: Some(admitted),
            exchange: Some(exchange),
            retry,
            tries: AttemptHistory::default(),
            edge,
            route,
            pool: Arc::clone(pool),
            wait: None,
            is_answer_noted: false,
            is_end_noted: false,
        }
    }

    /// Forwards the request and its response.
    pub(crate) async fn run<D: Downstream>(
        &mut self,
        client: &mut D,
        stop: &ShutdownSignal,
    ) -> Ended {
        loop {
            if let Err(status) = self.connect().await {
                return self.fail(status);
            }
            let stopped = poll_fn(|cx| self.poll(cx, client, stop)).await;
            client.note_waiting(false);
            if let Some(ended) = self.settle(stopped) {
                return ended;
            }
        }
    }

    /// Returns what is read of the next request.
    pub(crate) fn pipelined(&self) -> &[u8] {
        self.exchange.as_ref().map_or(&[], Exchange::pipelined)
    }

    /// Returns bytes of interim responses that were not sent yet.
    pub(crate) fn unsent(&self) -> &[u8] {
        self.exchange.as_ref().map_or(&[], Exchange::unsent)
    }

    /// Counts the request as one whose client left, once.
    pub(super) fn note_canceled(&mut self) {
        if !std::mem::replace(&mut self.is_end_noted, true) {
            count(&self.edge.counters.requests.canceled);
            count(&self.route.part.counts.requests_canceled_total);
        }
    }

    /// Connects to an origin, and to further ones where none was reached.
    async fn connect(&mut self) -> Result<(), u16> {
        loop {
            let Some(admitted) = &self.admitted else { return Err(500) };
            // The slot of the last attempt is free for this one.
            (self.origin, self.attempt) = (None, None);
            let now = (self.edge.now)();
            let attempt = self.route.origins.choose(admitted.stay(), &self.tries, now);
            self.tries.note_begun();
            let Some(attempt) = attempt else {
                count(match self.route.origins.is_down(now) {
                    true => &self.edge.counters.requests.rejected.no_healthy_origin,
                    false => &self.edge.counters.requests.rejected.origin_busy,
                });
                return Err(503);
            };
            let address = attempt.address();
            let attempt = self.attempt.insert(attempt);
            if let Some(io) = self.pool.take(&(self.route.id, address)) {
                let origin = OriginConnection::of(io, &self.edge.limits);
                attempt.sent_on(origin.fd(), true);
                self.origin = Some(origin);
                return Ok(());
            }
            // Boxed: few requests need it, and all would reserve its memory.
            match Box::pin(OriginConnection::open(address, &self.edge.limits)).await {
                Ok(origin) => {
                    attempt.sent_on(origin.fd(), false);
                    self.origin = Some(origin);
                    return Ok(());
                }
                Err(why) => {
                    if why != ConnectError::Local {
                        attempt.unreached((self.edge.now)());
                    }
                    self.tries.note_failed(attempt.at());
                    self.attempt = None;
                    if !self.may_retry() {
                        return Err(self.origin_failed(why == ConnectError::Timeout));
                    }
                }
            }
        }
    }

    fn poll<D: Downstream>(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut D,
        stop: &ShutdownSignal,
    ) -> Poll<Stop> {
        let (Some(exchange), Some(origin)) = (&mut self.exchange, &mut self.origin) else {
            return Poll::Ready(Stop::Ended(Outcome::ClientGone));
        };
        if stop.is_asked() && !exchange.has_answered() {
            exchange.end_keep_alive();
        }
        let terms = Terms { limits: &self.edge.limits, origins: self.route.origins.addresses() };
        let polled = exchange.poll(cx, client, origin, terms);
        self.note_progress(client);
        if let Poll::Ready(outcome) = polled {
            return Poll::Ready(Stop::Ended(outcome));
        }
        self.poll_deadline(cx, client)
    }

    /// Records the header section of the response, and a client that ended its direction.
    fn note_progress(&mut self, client: &mut impl Downstream) {
        if self.exchange.as_ref().is_some_and(Exchange::has_client_ended) {
            self.note_canceled();
        }
        let Some(exchange) = &self.exchange else { return };
        if let Some(origin) = &mut self.origin {
            origin.grow(exchange.body_bytes_down(), &self.edge.limits);
        }
        if self.is_answer_noted || !exchange.has_answered() {
            return;
        }
        self.is_answer_noted = true;
        let status = exchange.status();
        if status == 101 {
            count(&self.edge.counters.requests.websocket_upgrades);
        }
        client.note_answered(status);
        let answered = |attempt: &mut Attempt| attempt.answered(status, (self.edge.now)());
        if let Some(took_ms) = self.attempt.as_mut().and_then(answered) {
            self.route.part.counts.origin_response.observe_ms(took_ms);
        }
    }

    /// Ready when what is waited for did not come in time.
    fn poll_deadline<D: Downstream>(&mut self, cx: &mut Context<'_>, client: &mut D) -> Poll<Stop> {
        let (Some(exchange), Some(admitted)) = (&self.exchange, &self.admitted) else {
            return Poll::Pending;
        };
        let now = Instant::now();
        let waits = exchange.waits();
        client.note_waiting(matches!(waits, Waits::ResponseHeader | Waits::ResponseBody));
        let mark = mark(exchange, waits);
        let is_same = |wait: &Wait| (wait.what, wait.mark) == (waits, mark);
        let since = match &self.wait {
            Some(wait) if is_same(wait) => wait.since,
            _ => self.wait.insert(Wait { what: waits, mark, since: now }).since,
        };
        let timeouts = admitted.timeouts();
        let of_origin = match waits {
            Waits::OriginRead => Some(self.edge.limits.settings.origins.write_timeout),
            Waits::ResponseHeader => Some(short(timeouts.response_header_ms)),
            Waits::ResponseBody => Some(short(timeouts.read_ms)),
            Waits::RequestBody | Waits::ClientRead | Waits::Tunnel => None,
        };
        let of_origin = of_origin.map(|time| later(since, time));
        let of_client = client.client_deadline(waits, since);
        let first = of_client.map(|(at, _)| at).into_iter().chain(of_origin).min();
        let Some(at) = first else { return Poll::Pending };
        ready!(client.alarm().poll(cx, at, now));
        // Before a response, the client did nothing wrong and can still get one.
        let is_origins =
            of_origin.is_some_and(|of_origin| of_origin <= at || waits != Waits::ResponseBody);
        match of_client {
            Some((_, violation)) if !is_origins => {
                client.violated(violation);
                Poll::Ready(Stop::ClientLate)
            }
            _ => Poll::Ready(Stop::OriginLate),
        }
    }

    /// Returns how the request ended, or `None` if it is sent again.
    fn settle(&mut self, stopped: Stop) -> Option<Ended> {
        match stopped {
            Stop::Ended(Outcome::Complete { origin_keeps, client_keeps }) => {
                self.keep_origin(origin_keeps);
                let status = self.exchange.as_ref().map_or(0, Exchange::status);
                self.release(status);
                Some(Ended::Forwarded { keeps_client: client_keeps })
            }
            Stop::Ended(Outcome::Unanswered) => self.unanswered(),
            Stop::Ended(Outcome::Invalid(why)) => self.invalid(why),
            Stop::Ended(Outcome::MalformedRequest) => {
                count(&self.edge.counters.connections.closed.invalid_chunked_body);
                Some(self.fail(400))
            }
            Stop::Ended(Outcome::Incomplete) => Some(self.incomplete()),
            Stop::OriginLate => {
                let is_committed = self.exchange.as_ref().is_some_and(Exchange::is_committed);
                if let Some(attempt) = &mut self.attempt {
                    attempt.late((self.edge.now)());
                }
                if self.is_end_noted && !is_committed {
                    count(&self.edge.counters.requests.canceled_timeouts);
                    return Some(self.fail(504));
                }
                let status = self.origin_failed(true);
                Some(if is_committed { self.incomplete() } else { self.fail(status) })
            }
            Stop::Ended(Outcome::ClientGone) | Stop::ClientLate => {
                let exchange = self.exchange.as_ref()?;
                let status = if exchange.is_committed() { exchange.status() } else { 0 };
                let bytes = exchange.body_bytes_down();
                if let Some(admitted) = &mut self.admitted {
                    admitted.record_response(status, bytes);
                }
                given_up::settle(self);
                Some(Ended::ClientGone)
            }
        }
    }

    /// The connection ended before a response.
    fn unanswered(&mut self) -> Option<Ended> {
        let attempt = self.attempt.as_mut()?;
        let is_reused = attempt.is_on_kept();
        if attempt.was_cut() {
            return self.cut();
        }
        if !is_reused {
            attempt.unanswered((self.edge.now)());
        }
        if is_reused && self.retry != RetrySafety::Never && self.restart() {
            return None;
        }
        let status = self.origin_failed(false);
        Some(self.fail(status))
    }

    /// A health check found the origin down and ended the connection.
    fn cut(&mut self) -> Option<Ended> {
        if let Some(attempt) = &self.attempt {
            self.tries.note_failed(attempt.at());
        }
        if self.retry == RetrySafety::Safe && self.restart() {
            return None;
        }
        count(&self.edge.counters.requests.rejected.health_check_failed);
        Some(self.fail(503))
    }

    /// Makes the request ready to be sent again, if all of it is buffered and the budget permits it.
    fn restart(&mut self) -> bool {
        let is_ready = self.exchange.as_mut().is_some_and(Exchange::restart);
        (self.origin, self.attempt) = (None, None);
        self.wait = None;
        is_ready && self.may_retry()
    }

    /// The response cannot be forwarded.
    fn invalid(&mut self, why: ResponseError) -> Option<Ended> {
        self.edge.counters.requests.origin_response_errors.count(why as usize);
        let now = (self.edge.now)();
        if let Some(attempt) = &mut self.attempt {
            if why.is_limit() {
                // It did respond: a client that causes too large a response must not make it look
                // down.
                let _in_time = attempt.answered(502, now);
            } else if attempt.was_cut() {
                return self.cut();
            } else {
                attempt.unanswered(now);
            }
        }
        let status = self.origin_failed(false);
        Some(self.fail(status))
    }

    fn incomplete(&mut self) -> Ended {
        let (is_visible, status) = self
            .exchange
            .as_ref()
            .map_or((true, 0), |exchange| (!exchange.ends_with_connection(), exchange.status()));
        self.release(status);
        Ended::Incomplete { is_visible }
    }

    /// Releases the origin. The result is recorded when the response is sent.
    fn fail(&mut self, status: u16) -> Ended {
        (self.origin, self.attempt) = (None, None);
        Ended::Failed(status)
    }

    /// Releases everything but the buffers, and records the response.
    pub(crate) fn release(&mut self, status: u16) {
        (self.origin, self.attempt) = (None, None);
        let bytes = self.exchange.as_ref().map_or(0, Exchange::body_bytes_down);
        if let Some(mut admitted) = self.admitted.take() {
            admitted.record_response(status, bytes);
        }
    }

    /// Keeps the connection for the next request, if it can have one.
    fn keep_origin(&mut self, origin_keeps: bool) {
        let (Some(origin), Some(attempt)) = (self.origin.take(), &self.attempt) else { return };
        if let Some(io) = origin.into_kept().filter(|_| origin_keeps) {
            self.pool.keep((self.route.id, attempt.address()), io);
        }
    }

    /// Withdraws a retry of the request from the budget.
    fn may_retry(&self) -> bool {
        let Some(admitted) = &self.admitted else { return false };
        let edge = &self.edge;
        let (origins, now) = (&self.route.origins, (edge.now)());
        match origins.may_retry(admitted.stay(), &self.tries, &edge.limits, now) {
            RetryDecision::Allowed => {
                count(&edge.counters.retries.total);
                true
            }
            RetryDecision::BudgetExhausted => {
                count(&edge.counters.retries.denied);
                false
            }
            RetryDecision::NoCandidate => false,
        }
    }

    /// Counts a failure of an origin and returns the status for the client.
    fn origin_failed(&self, is_timeout: bool) -> u16 {
        if is_timeout {
            count(&self.edge.counters.requests.upstream_errors.timeout);
            504
        } else {
            count(&self.edge.counters.requests.upstream_errors.connect_or_reset);
            502
        }
    }
}

fn short(ms: u32) -> Duration {
    Duration::from_millis(ms.into())
}

/// Returns the mark whose change begins the time of a wait again.
fn mark(exchange: &Exchange, waits: Waits) -> u64 {
    match waits {
        Waits::RequestBody | Waits::ClientRead => 0,
        // An interim response shows that the origin works on the request (RFC 2518 §10.1).
        Waits::ResponseHeader => exchange.interims().into(),
        Waits::OriginRead | Waits::ResponseBody | Waits::Tunnel => exchange.bytes_moved(),
    }
}
