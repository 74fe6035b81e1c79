//! One request at one origin, from its slot to its result.
//!
//! The slot is always released. An attempt that ends without a result (the client left) shows
//! nothing about the origin.

use std::net::SocketAddr;
use std::sync::Arc;

use seawall_model::Tick;
use seawall_state::{CircuitPermit, FailureKind};
use seawall_sys::SocketId;

use crate::upstream::origin::OriginServer;
use crate::upstream::slot_kind::SlotKind;
use crate::upstream::stats::OriginStats;

/// The earlier attempts of one request.
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

    /// Excludes the origin number `at` from further attempts.
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

/// Returns the bit of an origin; there are at most 16.
fn bit(at: usize) -> u16 {
    u32::try_from(at).ok().and_then(|at| 1_u16.checked_shl(at)).unwrap_or(0)
}

/// What an attempt waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AwaitedEvent {
    /// The header section of the origin's response.
    Head,
    /// Nothing that shows more about the origin.
    Nothing,
}

/// The slot of one request at one origin, released when dropped.
#[derive(Debug)]
pub(crate) struct Attempt {
    /// The number of the origin.
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
    /// The connection, if a health check may end it.
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

    /// Returns the number of the origin.
    pub(crate) const fn at(&self) -> usize {
        self.at
    }

    /// Returns whether no part of a response has come.
    pub(crate) fn awaits_head(&self) -> bool {
        self.awaited == AwaitedEvent::Head
    }

    pub(crate) const fn stay(&self) -> SlotKind {
        self.stay
    }

    /// Returns when it began.
    pub(crate) const fn began(&self) -> Tick {
        self.began
    }

    /// Returns whether the header section of the response came.
    pub(crate) const fn has_answered(&self) -> bool {
        self.has_answered
    }

    /// Returns whether its connection had served a request before.
    pub(crate) const fn is_on_kept(&self) -> bool {
        self.is_on_kept
    }

    /// Records that the request is sent on the connection `fd`, which is new or was kept.
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

    /// Records that no connection could be made.
    pub(crate) fn unreached(&mut self, now: Tick) {
        self.failed(FailureKind::ConnectFailed, now);
    }

    /// Records that the origin closed without a response. This only counts for a request that was
    /// complete: a client that sends slowly, or too much, can cause it otherwise.
    pub(crate) fn unanswered(&mut self, now: Tick) {
        if self.stay == SlotKind::Request {
            self.failed(FailureKind::NoResponse, now);
        }
    }

    /// Records a timeout of the origin. If the origin has responded to others meanwhile, it works:
    /// this request was a long poll, or one slow page.
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

    /// Returns whether a health check ended the connection. The origin's failure is recorded then,
    /// and this attempt adds nothing.
    pub(crate) fn was_cut(&mut self) -> bool {
        if !self.awaits_head() || self.on.take().is_none_or(|on| self.origin.await_no_more(on)) {
            return false;
        }
        self.awaited = AwaitedEvent::Nothing;
        true
    }

    /// Marks that this attempt shows nothing more about the origin.
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
