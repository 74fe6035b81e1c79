//! What both ends of a connection's life share: our own loop before pingora, and pingora's hooks.
//!
//! Pingora hands a request's hooks nothing of ours but the connection's digest, so what must travel
//! (where we are in the exchange, the admission) travels in one `Arc` that the digest carries. The
//! registry of live connections holds it too, and ends a connection through it.

pub(crate) mod data_rate;
pub(crate) mod idle;
pub(crate) mod io;
pub(crate) mod open_guard;
pub(crate) mod pingora_stream;
pub(crate) mod rewind;
pub(crate) mod table;

use std::sync::atomic::{
    AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed,
};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use seawall_model::{Client, Tick};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::ProxyLimits;
use crate::connection::data_rate::later;
use crate::connection::idle::IdleRank;
use crate::fairness::accounting::SiteAccounting;
use crate::http2::forward_window::ForwardWindow;
use crate::limits::millis;
use crate::request::enforce::AdmittedRequest;
use crate::tls::TlsInfo;

/// Where an exchange is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum ConnectionPhase {
    /// The head of the next request is awaited or read, by us.
    ReadingHead,
    /// The request is with the origin, which has not answered.
    AwaitingResponse,
    /// The origin's answer is on its way.
    SendingResponse,
    /// The origin agreed to an upgrade: both sides talk freely.
    Tunnel,
}

/// In place of a time: it does not wait.
const NOT_IDLE: u64 = u64::MAX;

/// One client connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) client: Client,
    pub(crate) port: u16,
    pub(crate) accepted: Tick,
    /// How long it may wait for a request, where that is not as long as everybody's.
    idle_ms: Option<u64>,
    spoken: OnceLock<Arc<TlsInfo>>,
    /// Where it stands in the registry.
    pub(crate) place: AtomicUsize,
    phase: AtomicU8,
    born: Instant,
    /// Milliseconds from `born` to when it last began to wait for a request; [`NOT_IDLE`] while it
    /// has one.
    waits_from_ms: AtomicU64,
    /// The same for when its client last ceased to take what it is sent; [`NOT_IDLE`] while it takes
    /// it.
    stalled_from_ms: AtomicU64,
    /// The same for when its origin last said that an answer will come; 0 where it did not.
    interim_at_ms: AtomicU64,
    has_asked: AtomicBool,
    origin_late: AtomicBool,
    malformed_body: AtomicBool,
    /// For how long the head of its request's answer is waited for.
    answer_within_ms: AtomicU64,
    last: AtomicBool,
    admitted: Mutex<Option<AdmittedRequest>>,
    ended: AtomicBool,
    ending: Notify,
    /// Requests so far, in HTTP/2.
    requests: AtomicU32,
    retiring: Notify,
    /// Requests over HTTP/2 that were for nobody, while it served no site.
    astray: AtomicU32,
    going: Notify,
    pub(crate) turns: ForwardWindow,
    pub(crate) stake: SiteAccounting,
    /// Streams that are open now, those that were taken back unanswered, and frames that mean
    /// nothing.
    pub(crate) streams: AtomicU32,
    pub(crate) resets: AtomicU32,
    pub(crate) glitches: AtomicU32,
}

impl Connection {
    pub(crate) fn new(client: Client, port: u16, accepted: Tick) -> Self {
        Self {
            client,
            port,
            accepted,
            idle_ms: None,
            spoken: OnceLock::new(),
            place: AtomicUsize::new(usize::MAX),
            phase: AtomicU8::new(ConnectionPhase::ReadingHead as u8),
            born: Instant::now(),
            waits_from_ms: AtomicU64::new(0),
            stalled_from_ms: AtomicU64::new(NOT_IDLE),
            interim_at_ms: AtomicU64::new(0),
            has_asked: AtomicBool::new(false),
            origin_late: AtomicBool::new(false),
            malformed_body: AtomicBool::new(false),
            answer_within_ms: AtomicU64::new(0),
            last: AtomicBool::new(false),
            admitted: Mutex::new(None),
            ended: AtomicBool::new(false),
            ending: Notify::new(),
            requests: AtomicU32::new(0),
            retiring: Notify::new(),
            astray: AtomicU32::new(0),
            going: Notify::new(),
            turns: ForwardWindow::new(),
            stake: SiteAccounting::new(),
            streams: AtomicU32::new(0),
            resets: AtomicU32::new(0),
            glitches: AtomicU32::new(0),
        }
    }

    /// The same, with a time of its own to wait for a request, where it has one.
    pub(crate) const fn idle_for(mut self, idle_ms: Option<u64>) -> Self {
        self.idle_ms = idle_ms;
        self
    }

    /// What was agreed on below HTTP, where that is TLS.
    pub(crate) fn tls_info(&self) -> Option<&Arc<TlsInfo>> {
        self.spoken.get()
    }

    /// Whether HTTP/2 was agreed on.
    pub(crate) fn is_h2(&self) -> bool {
        self.tls_info().is_some_and(|spoken| spoken.is_h2)
    }

    /// Notes what was agreed on, once.
    pub(crate) fn set_tls_info(&self, spoken: TlsInfo) {
        let _first = self.spoken.set(Arc::new(spoken));
    }

    pub(crate) fn phase(&self) -> ConnectionPhase {
        match self.phase.load(Relaxed) {
            1 => ConnectionPhase::AwaitingResponse,
            2 => ConnectionPhase::SendingResponse,
            3 => ConnectionPhase::Tunnel,
            _ => ConnectionPhase::ReadingHead,
        }
    }

    /// Notes how far the exchange is.
    pub(crate) fn set_phase(&self, phase: ConnectionPhase) {
        self.phase.store(phase as u8, Relaxed);
        self.waits_from_ms.store(NOT_IDLE, Relaxed);
    }

    /// Notes that from `now` on a request is waited for.
    pub(crate) fn mark_idle(&self, now: Instant) {
        self.phase.store(ConnectionPhase::ReadingHead as u8, Relaxed);
        self.waits_from_ms.store(self.age_ms(now), Relaxed);
    }

    /// Notes over HTTP/2 how many streams are open; without any, a request is waited for.
    pub(crate) fn note_streams(&self, open: usize) {
        self.streams.store(u32::try_from(open).unwrap_or(u32::MAX), Relaxed);
        let is_waiting = self.waits_from_ms.load(Relaxed) != NOT_IDLE;
        if is_waiting != (open == 0) {
            let waits_from_ms = if open == 0 { self.age_ms(Instant::now()) } else { NOT_IDLE };
            self.waits_from_ms.store(waits_from_ms, Relaxed);
        }
    }

    fn age_ms(&self, now: Instant) -> u64 {
        let age = now.saturating_duration_since(self.born);
        u64::try_from(age.as_millis()).unwrap_or(NOT_IDLE - 1)
    }

    /// How little would be lost with the connection, while it only waits for a request.
    pub(crate) fn idleness(&self) -> Option<IdleRank> {
        let from_ms = self.waits_from_ms.load(Relaxed);
        if from_ms == NOT_IDLE {
            return None;
        }
        let waited_ms = self.age_ms(Instant::now()).saturating_sub(from_ms);
        Some(IdleRank { no_request_yet: !self.has_asked.load(Relaxed), idle_ms: waited_ms })
    }

    /// Notes that its client does not take what it is sent.
    pub(crate) fn mark_send_stalled(&self, now: Instant) {
        if self.stalled_from_ms.load(Relaxed) == NOT_IDLE {
            self.stalled_from_ms.store(self.age_ms(now), Relaxed);
        }
    }

    /// Notes that it does.
    pub(crate) fn mark_send_progress(&self) {
        self.stalled_from_ms.store(NOT_IDLE, Relaxed);
    }

    /// For how long its client has not taken what it is sent, in milliseconds.
    pub(crate) fn send_stalled_ms(&self) -> Option<u64> {
        let from_ms = self.stalled_from_ms.load(Relaxed);
        (from_ms != NOT_IDLE).then(|| self.age_ms(Instant::now()).saturating_sub(from_ms))
    }

    /// Notes that the origin said that an answer will come (RFC 9110 §15.2): it is at work.
    pub(crate) fn note_interim(&self) {
        self.interim_at_ms.store(self.age_ms(Instant::now()), Relaxed);
    }

    /// Notes for how long the head of the answer to its request is waited for.
    pub(crate) fn await_answer(&self, within_ms: u64) {
        self.answer_within_ms.store(within_ms, Relaxed);
    }

    /// When the head of the answer is due, to a request that was all sent at `asked_at`: so long
    /// after that, or after the origin last said that it is at work.
    pub(crate) fn answer_by(&self, asked_at: Instant) -> Instant {
        let interim = Duration::from_millis(self.interim_at_ms.load(Relaxed));
        let from = asked_at.max(self.born.checked_add(interim).unwrap_or(asked_at));
        later(from, Duration::from_millis(self.answer_within_ms.load(Relaxed)))
    }

    /// Whether a request ever came.
    pub(crate) fn has_received_request(&self) -> bool {
        self.has_asked.load(Relaxed)
    }

    /// How long it may wait for a request.
    pub(crate) fn idle_ms(&self, limits: &ProxyLimits) -> u64 {
        let usual_ms = self.idle_ms.unwrap_or(millis(limits.settings.timeouts.idle_timeout));
        self.stake.idle_ms(self, (usual_ms, limits.overload_idle_timeout_ms))
    }

    /// Notes that a request came.
    pub(crate) fn mark_request_received(&self) {
        self.has_asked.store(true, Relaxed);
    }

    /// Counts a request, and says the how-many-th it is; with the last that is taken the connection
    /// is to end.
    pub(crate) fn count_request(&self, most: u32) -> u32 {
        let nth = self.requests.fetch_add(1, Relaxed).saturating_add(1);
        if nth >= most {
            self.retiring.notify_one();
        }
        nth
    }

    /// Notes a request that was for nobody, on a connection that serves no site and is paid for by
    /// none: after the first it is to end, and with the next after `most` it is reset.
    pub(crate) fn count_unroutable_request(&self, most: u32) {
        let before = self.astray.fetch_add(1, Relaxed);
        if before == 0 {
            self.retiring.notify_one();
        } else if before >= most {
            self.abort();
        }
    }

    /// Tells those who wait for it that its stake is given up: nothing is left of it but requests that
    /// are stepped apart from it.
    pub(crate) fn notify_accounting_ended(&self) {
        self.going.notify_waiters();
    }

    /// Waits until its stake is given up.
    pub(crate) async fn accounting_ended(&self) {
        // Made before the look, so that what happens after it is heard.
        let going = self.going.notified();
        if !self.stake.is_given_up() {
            going.await;
        }
    }

    /// Waits until no more requests are to be taken.
    pub(crate) async fn retire_requested(&self) {
        self.retiring.notified().await;
    }

    /// Has the connection reset, whatever it does.
    pub(crate) fn abort(&self) {
        self.ended.store(true, Relaxed);
        // Kept until somebody waits.
        self.ending.notify_one();
    }

    pub(crate) fn is_aborted(&self) -> bool {
        self.ended.load(Relaxed)
    }

    /// Waits until the connection is to end.
    pub(crate) async fn aborted(&self) {
        self.ending.notified().await;
    }

    /// Notes that the request under way is the connection's last.
    pub(crate) fn mark_last_response(&self) {
        self.last.store(true, Relaxed);
    }

    pub(crate) fn is_last_response(&self) -> bool {
        self.last.load(Relaxed)
    }

    /// Notes that the origin did not answer in time.
    pub(crate) fn mark_origin_timeout(&self) {
        self.origin_late.store(true, Relaxed);
    }

    /// Whether it did not; asking forgets it.
    pub(crate) fn take_origin_timeout(&self) -> bool {
        self.origin_late.swap(false, Relaxed)
    }

    /// Notes that the body of the request cannot be read, and that its client was told nothing yet.
    pub(crate) fn note_malformed_body(&self) {
        self.malformed_body.store(true, Relaxed);
    }

    /// Whether it cannot; asking forgets it.
    pub(crate) fn take_malformed_body(&self) -> bool {
        self.malformed_body.swap(false, Relaxed)
    }

    /// Leaves an admission for the hooks.
    pub(crate) fn admit(&self, admitted: AdmittedRequest) {
        self.await_answer(admitted.timeouts().response_header_ms.into());
        *self.admitted.lock() = Some(admitted);
    }

    /// Takes the admission: each is good for one request.
    pub(crate) fn take_admitted(&self) -> Option<AdmittedRequest> {
        self.admitted.lock().take()
    }
}
