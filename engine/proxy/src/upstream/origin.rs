//! One origin: its slots, its circuit breaker, and the connections that wait for it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;
use seawall_admin_api::{OriginState, OriginStatus};
use seawall_config::SiteConfig;
use seawall_model::Tick;
use seawall_state::{
    CircuitBreaker, CircuitBreakerConfig, CircuitPermit, CircuitState, CircuitTransition,
};
use seawall_sys::SocketId;

use crate::ProxyLimits;
use crate::limits::millis;
use crate::upstream::slot_kind::SlotKind;

/// One origin of a site.
#[derive(Debug)]
pub(super) struct OriginServer {
    pub(super) address: SocketAddr,
    pub(super) breaker: CircuitBreaker,
    counts: [AtomicU32; 3],
    /// Maximum of slots of each kind.
    places: [u32; 3],
    /// Requests that were sent, and those that the origin failed.
    sent: AtomicU64,
    failed: AtomicU64,
    /// Times that it came up again.
    up_transitions: AtomicU64,
    /// When it last responded.
    answered: AtomicU64,
    /// Connections on which a response's header section is awaited, by descriptor. Only kept if a
    /// health check may have to end them.
    waiting: Option<Mutex<HashMap<i32, SocketId>>>,
}

impl OriginServer {
    pub(super) fn new(address: SocketAddr, site: &SiteConfig, limits: &ProxyLimits) -> Self {
        let exchanges =
            site.max_requests_per_origin.unwrap_or(limits.settings.origins.max_requests_per_origin);
        let breaker = CircuitBreaker::new(CircuitBreakerConfig {
            failures_max: limits.settings.circuit_breaker.consecutive_failures,
            failures_percent: limits.settings.circuit_breaker.failure_percent,
            results_min: limits.settings.circuit_breaker.min_requests,
            window_ms: millis(limits.settings.circuit_breaker.window),
            open_ms: millis(limits.settings.circuit_breaker.open_time),
            open_ms_max: millis(limits.settings.circuit_breaker.max_open_time),
            trials_max: limits.settings.circuit_breaker.half_open_requests,
        });
        Self {
            address,
            breaker,
            counts: [const { AtomicU32::new(0) }; 3],
            places: [
                exchanges,
                limits.settings.origins.max_uploads_per_origin,
                limits.settings.origins.max_tunnels_per_origin,
            ],
            sent: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            up_transitions: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            waiting: site.health_check_path.as_ref().map(|_| Mutex::default()),
        }
    }

    const fn count(&self, stay: SlotKind) -> &AtomicU32 {
        let [exchanges, uploads, tunnels] = &self.counts;
        match stay {
            SlotKind::Request => exchanges,
            SlotKind::Upload => uploads,
            SlotKind::Tunnel => tunnels,
        }
    }

    /// Returns the maximum of slots of this kind.
    pub(super) const fn most(&self, stay: SlotKind) -> u32 {
        let [exchanges, uploads, tunnels] = self.places;
        match stay {
            SlotKind::Request => exchanges,
            SlotKind::Upload => uploads,
            SlotKind::Tunnel => tunnels,
        }
    }

    /// Returns all its requests in flight.
    pub(super) fn in_flight(&self) -> u32 {
        self.counts.iter().fold(0, |sum, count| sum.saturating_add(count.load(Relaxed)))
    }

    /// Returns how many more requests of this kind could be sent now.
    pub(super) fn room(&self, stay: SlotKind, now: Tick) -> u32 {
        let places = self.most(stay).saturating_sub(self.count(stay).load(Relaxed));
        if places == 0 { 0 } else { places.min(self.breaker.room(now)) }
    }

    /// Takes a slot, if one is free and the circuit breaker permits it.
    pub(super) fn enter(&self, stay: SlotKind, now: Tick) -> Option<CircuitPermit> {
        let max = self.most(stay);
        let more = |n: u32| if n < max { n.checked_add(1) } else { None };
        self.count(stay).fetch_update(Relaxed, Relaxed, more).ok()?;
        let pass = self.breaker.try_acquire(now);
        if pass.is_none() {
            self.leave(stay);
        } else {
            self.sent.fetch_add(1, Relaxed);
        }
        pass
    }

    pub(super) fn leave(&self, stay: SlotKind) {
        self.count(stay).fetch_sub(1, Relaxed);
    }

    pub(super) fn note_failed(&self) {
        self.failed.fetch_add(1, Relaxed);
    }

    pub(super) fn note_answered(&self, now: Tick) {
        self.answered.store(now.0, Relaxed);
    }

    /// Returns whether it has responded to any request since `then`.
    pub(super) fn has_answered_since(&self, then: Tick) -> bool {
        self.answered.load(Relaxed) >= then.0
    }

    /// Returns whether it has an active health check.
    pub(super) fn is_checked(&self) -> bool {
        self.waiting.is_some()
    }

    /// Records that the connection `fd` waits for the header section of its response.
    pub(super) fn await_on(&self, fd: i32) -> Option<SocketId> {
        let waiting = self.waiting.as_ref()?;
        let name = SocketId::of(fd)?;
        waiting.lock().insert(fd, name);
        Some(name)
    }

    /// Ends that record; returns whether it was still there, or a health check ended the
    /// connection.
    pub(super) fn await_no_more(&self, name: SocketId) -> bool {
        let Some(waiting) = &self.waiting else { return true };
        let mut waiting = waiting.lock();
        let is_there = waiting.get(&name.fd()) == Some(&name);
        if is_there {
            waiting.remove(&name.fd());
        }
        is_there
    }

    /// Marks the origin as down for `ms` after a failed health check, and ends the requests that
    /// wait.
    pub(super) fn fall(&self, now: Tick, ms: u64) -> Option<CircuitTransition> {
        let change = self.breaker.force_open(now, ms);
        if let Some(waiting) = &self.waiting {
            let ended = std::mem::take(&mut *waiting.lock());
            // A connection that was closed in the meantime needs no end.
            for name in ended.values() {
                let _was_there = name.shutdown();
            }
        }
        change
    }

    pub(super) fn state(&self, now: Tick) -> OriginState {
        match self.breaker.phase(now).0 {
            CircuitState::Closed => OriginState::Up,
            CircuitState::Open => OriginState::Down,
            CircuitState::HalfOpen => OriginState::HalfOpen,
        }
    }

    /// Counts that it is up again; that it went down its circuit breaker counts.
    pub(super) fn note(&self, change: Option<CircuitTransition>) {
        if change == Some(CircuitTransition::Closed) {
            self.up_transitions.fetch_add(1, Relaxed);
        }
    }

    pub(super) fn snapshot(&self, site: &str, now: Tick) -> OriginStatus {
        let (_, changed, falls) = self.breaker.phase(now);
        OriginStatus {
            site: site.into(),
            address: self.address,
            state: self.state(now),
            since_ms: (falls > 0).then(|| now.since_ms(changed)),
            requests_active: self.in_flight().into(),
            requests: self.sent.load(Relaxed),
            failures: self.failed.load(Relaxed),
            down_transitions: falls,
            up_transitions: self.up_transitions.load(Relaxed),
        }
    }
}
