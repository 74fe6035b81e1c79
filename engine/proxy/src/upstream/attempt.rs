//! One request at one origin, from its place to its outcome.
//!
//! Whatever becomes of it, its place is given back; and who leaves without an outcome (the client
//! went away) has said nothing about the origin.

use std::net::SocketAddr;
use std::sync::Arc;

use seawall_model::Tick;
use seawall_state::{CircuitPermit, FailureKind};
use seawall_sys::SocketId;

use crate::upstream::origin::OriginServer;
use crate::upstream::slot_kind::SlotKind;
use crate::upstream::stats::OriginStats;

/// What one request has tried so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct AttemptHistory {
    count: usize,
    /// A bit for each origin that failed it.
    failed: u16,
}

impl AttemptHistory {
    pub(crate) fn note_begun(&mut self) {
        self.count = self.count.saturating_add(1);
    }

    /// It is not sent to the origin number `at` again.
    pub(crate) fn note_failed(&mut self, at: usize) {
        self.failed |= bit(at);
    }

    pub(super) const fn is_first(&self) -> bool {
        self.count == 0
    }

    pub(super) const fn count(&self) -> usize {
        self.count
    }

    pub(super) fn has_failed(&self, at: usize) -> bool {
        self.failed & bit(at) != 0
    }
}

/// The bit of an origin; there are at most 16.
fn bit(at: usize) -> u16 {
    u32::try_from(at).ok().and_then(|at| 1_u16.checked_shl(at)).unwrap_or(0)
}

/// What an attempt awaits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AwaitedEvent {
    /// The head of the origin's answer.
    Head,
    /// Nothing that says more about the origin.
    Nothing,
}

/// One request's place at one origin, given back when dropped.
#[derive(Debug)]
pub(crate) struct Attempt {
    /// Its number among the site's.
    at: usize,
    origin: Arc<OriginServer>,
    pulse: Arc<OriginStats>,
    stay: SlotKind,
    pass: Option<CircuitPermit>,
    began: Tick,
    awaited: AwaitedEvent,
    has_answered: bool,
    /// Whether the connection had served a request before.
    is_on_kept: bool,
    /// The connection, where a health check may end it.
    on: Option<SocketId>,
}

impl Attempt {
    pub(super) fn new(
        (at, origin): (usize, Arc<OriginServer>),
        pulse: Arc<OriginStats>,
        stay: SlotKind,
        pass: CircuitPermit,
        began: Tick,
    ) -> Self {
        let (pass, awaited) = (Some(pass), AwaitedEvent::Head);
        let (has_answered, is_on_kept) = (false, false);
        Self { at, origin, pulse, stay, pass, began, awaited, has_answered, is_on_kept, on: None }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.origin.address
    }

    /// Its number among the site's.
    pub(crate) const fn at(&self) -> usize {
        self.at
    }

    /// Whether nothing of an answer has come.
    pub(crate) fn awaits_head(&self) -> bool {
        self.awaited == AwaitedEvent::Head
    }

    pub(crate) const fn stay(&self) -> SlotKind {
        self.stay
    }

    /// When it began.
    pub(crate) const fn began(&self) -> Tick {
        self.began
    }

    /// Whether the head of the answer came.
    pub(crate) const fn has_answered(&self) -> bool {
        self.has_answered
    }

    /// Whether its connection had served a request before.
    pub(crate) const fn is_on_kept(&self) -> bool {
        self.is_on_kept
    }

    /// The request goes out on the connection `fd`, kept from another request or new.
    pub(crate) fn sent_on(&mut self, fd: i32, is_on_kept: bool) {
        self.is_on_kept = is_on_kept;
        self.on = self.origin.await_on(fd);
    }

    /// The head of the answer is here. Returns how long it took, where it was waited for.
    pub(crate) fn answered(&mut self, status: u16, now: Tick) -> Option<u64> {
        if self.awaited == AwaitedEvent::Nothing {
            return None;
        }
        self.ends();
        self.has_answered = true;
        self.origin.note_answered(now);
        let took_ms = now.since_ms(self.began);
        self.pulse.answered(took_ms, status >= 500);
        let change =
            self.pass.take().and_then(|pass| self.origin.breaker.record_success(pass, now));
        self.origin.note(change);
        Some(took_ms)
    }

    /// No connection could be made.
    pub(crate) fn unreached(&mut self, now: Tick) {
        self.failed(FailureKind::ConnectFailed, now);
    }

    /// The origin took the request and broke off. Only of one that was all here: who sends
    /// slowly, or more than is wanted, brings that about.
    pub(crate) fn unanswered(&mut self, now: Tick) {
        if self.stay == SlotKind::Request {
            self.failed(FailureKind::NoResponse, now);
        }
    }

    /// The origin kept silent for longer than is waited. One that has answered others meanwhile is at
    /// work: what it kept waiting was a long poll, or one slow page.
    pub(crate) fn late(&mut self, now: Tick) {
        if !self.origin.has_answered_since(self.began) {
            self.unanswered(now);
        }
        self.ends();
    }

    fn failed(&mut self, fault: FailureKind, now: Tick) {
        if self.awaited == AwaitedEvent::Nothing {
            return;
        }
        self.ends();
        self.origin.note_failed();
        self.pulse.failed();
        let change = self.pass.take().and_then(|pass| self.origin.breaker.fail(pass, fault, now));
        self.origin.note(change);
    }

    /// Whether a health check ended the connection. Then the origin has been found out already, and
    /// nothing more is to be learnt of it.
    pub(crate) fn was_cut(&mut self) -> bool {
        if !self.awaits_head() || self.on.take().is_none_or(|on| self.origin.await_no_more(on)) {
            return false;
        }
        self.awaited = AwaitedEvent::Nothing;
        true
    }

    /// Nothing more is learnt of the origin.
    fn ends(&mut self) {
        self.awaited = AwaitedEvent::Nothing;
        if let Some(on) = self.on.take() {
            self.origin.await_no_more(on);
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.ends();
        if let Some(pass) = self.pass.take() {
            self.origin.breaker.release(pass);
        }
        self.origin.leave(self.stay);
    }
}
