//! State of a connection that several tasks share: its own, those of its HTTP/2 requests, and the
//! table of live connections, which ends a connection through it.

pub(crate) mod data_rate;
pub(crate) mod idle;
pub(crate) mod io;
pub(crate) mod open_guard;
pub(crate) mod rewind;
pub(crate) mod table;

use std::sync::atomic::{
    AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed,
};
use std::sync::{Arc, OnceLock};

use seawall_model::{Client, Tick};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::ProxyLimits;
use crate::connection::idle::IdleRank;
use crate::fairness::accounting::SiteAccounting;
use crate::http2::forward_window::ForwardWindow;
use crate::limits::millis;
use crate::tls::TlsInfo;

/// Phase of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum ConnectionPhase {
    /// Our loop waits for the header section of the next request, or reads it.
    ReadingHead,
    /// The origin has the request and has not responded.
    AwaitingResponse,
    /// The origin's response is being sent.
    SendingResponse,
    /// The origin agreed to an upgrade: both sides send at will.
    Tunnel,
}

/// In place of a time: the connection is not idle.
const NOT_IDLE: u64 = u64::MAX;

/// One client connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) client: Client,
    pub(crate) port: u16,
    pub(crate) accepted: Tick,
    /// Its own idle timeout, if it has one.
    idle_ms: Option<u64>,
    spoken: OnceLock<Arc<TlsInfo>>,
    /// Its index in the connection table.
    pub(crate) place: AtomicUsize,
    phase: AtomicU8,
    born: Instant,
    /// Milliseconds from `born` to when it last began to wait for a request; [`NOT_IDLE`] while it
    /// has one.
    waits_from_ms: AtomicU64,
    /// The same for when its client last ceased to take what it is sent; [`NOT_IDLE`] while it takes
    /// it.
    stalled_from_ms: AtomicU64,
    has_asked: AtomicBool,
    ended: AtomicBool,
    ending: Notify,
    /// Number of requests over HTTP/2.
    requests: AtomicU32,
    retiring: Notify,
    /// Number of unroutable HTTP/2 requests, while the connection belongs to no site.
    astray: AtomicU32,
    going: Notify,
    pub(crate) turns: ForwardWindow,
    pub(crate) stake: SiteAccounting,
    /// Open streams, streams that the client reset before a response, and frames without effect.
    pub(crate) streams: AtomicU32,
    pub(crate) resets: AtomicU32,
    /// Requests that the HTTP/2 library handed on.
    pub(crate) handed_on: AtomicU32,
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
            has_asked: AtomicBool::new(false),
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
            handed_on: AtomicU32::new(0),
            glitches: AtomicU32::new(0),
        }
    }

    /// Sets an idle timeout of its own, if there is one.
    pub(crate) const fn idle_for(mut self, idle_ms: Option<u64>) -> Self {
        self.idle_ms = idle_ms;
        self
    }

    /// Returns what was negotiated by TLS, if the connection uses it.
    pub(crate) fn tls_info(&self) -> Option<&Arc<TlsInfo>> {
        self.spoken.get()
    }

    /// Returns whether HTTP/2 was negotiated.
    pub(crate) fn is_h2(&self) -> bool {
        self.tls_info().is_some_and(|spoken| spoken.is_h2)
    }

    /// Records what was negotiated, once.
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

    /// Records the phase of the request.
    pub(crate) fn set_phase(&self, phase: ConnectionPhase) {
        self.phase.store(phase as u8, Relaxed);
        self.waits_from_ms.store(NOT_IDLE, Relaxed);
    }

    /// Records that the connection is idle from `now` on.
    pub(crate) fn mark_idle(&self, now: Instant) {
        self.phase.store(ConnectionPhase::ReadingHead as u8, Relaxed);
        self.waits_from_ms.store(self.age_ms(now), Relaxed);
    }

    /// Records the number of open HTTP/2 streams; without any, the connection is idle.
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

    /// Returns the rank for eviction while the connection is idle.
    pub(crate) fn idleness(&self) -> Option<IdleRank> {
        let from_ms = self.waits_from_ms.load(Relaxed);
        if from_ms == NOT_IDLE {
            return None;
        }
        let waited_ms = self.age_ms(Instant::now()).saturating_sub(from_ms);
        Some(IdleRank { no_request_yet: !self.has_asked.load(Relaxed), idle_ms: waited_ms })
    }

    /// Records that the client takes no bytes.
    pub(crate) fn mark_send_stalled(&self, now: Instant) {
        if self.stalled_from_ms.load(Relaxed) == NOT_IDLE {
            self.stalled_from_ms.store(self.age_ms(now), Relaxed);
        }
    }

    /// Records that the client takes bytes.
    pub(crate) fn mark_send_progress(&self) {
        self.stalled_from_ms.store(NOT_IDLE, Relaxed);
    }

    /// Returns for how many milliseconds the client has taken no bytes.
    pub(crate) fn send_stalled_ms(&self) -> Option<u64> {
        let from_ms = self.stalled_from_ms.load(Relaxed);
        (from_ms != NOT_IDLE).then(|| self.age_ms(Instant::now()).saturating_sub(from_ms))
    }

    /// Returns whether the connection has had a request.
    pub(crate) fn has_received_request(&self) -> bool {
        self.has_asked.load(Relaxed)
    }

    /// Returns the idle timeout.
    pub(crate) fn idle_ms(&self, limits: &ProxyLimits) -> u64 {
        let usual_ms = self.idle_ms.unwrap_or(millis(limits.settings.timeouts.idle_timeout));
        self.stake.idle_ms(self, (usual_ms, limits.overload_idle_timeout_ms))
    }

    /// Records that a request came.
    pub(crate) fn mark_request_received(&self) {
        self.has_asked.store(true, Relaxed);
    }

    /// Counts a request and returns its number. With the last permitted request the connection is
    /// retired.
    pub(crate) fn count_request(&self, most: u32) -> u32 {
        let nth = self.requests.fetch_add(1, Relaxed).saturating_add(1);
        if nth >= most {
            self.retiring.notify_one();
        }
        nth
    }

    /// Records an unroutable request on a connection that belongs to no site and is charged to
    /// none. After the first the connection is retired; the next after `most` resets it.
    pub(crate) fn count_unroutable_request(&self, most: u32) {
        let before = self.astray.fetch_add(1, Relaxed);
        if before == 0 {
            self.retiring.notify_one();
        } else if before >= most {
            self.abort();
        }
    }

    /// Reports that the connection's accounting ended: only requests that run as tasks of their own
    /// remain.
    pub(crate) fn notify_accounting_ended(&self) {
        self.going.notify_waiters();
    }

    /// Waits until the connection's accounting ends.
    pub(crate) async fn accounting_ended(&self) {
        // Created before the check, so that a later notification is not lost.
        let going = self.going.notified();
        if !self.stake.is_given_up() {
            going.await;
        }
    }

    /// Waits until the connection is to take no more requests.
    pub(crate) async fn retire_requested(&self) {
        self.retiring.notified().await;
    }

    /// Makes the connection reset, in any phase.
    pub(crate) fn abort(&self) {
        self.ended.store(true, Relaxed);
        // The notification is kept until a task waits for it.
        self.ending.notify_one();
    }

    pub(crate) fn is_aborted(&self) -> bool {
        self.ended.load(Relaxed)
    }

    /// Waits until the connection is to end.
    pub(crate) async fn aborted(&self) {
        self.ending.notified().await;
    }
}
