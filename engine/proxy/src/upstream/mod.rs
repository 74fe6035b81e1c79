//! The origins of a site, and the choice among them.
//!
//! Origins are resolved once, at start: with a lookup per request a slow resolver would slow every
//! site. A request goes to the origin with the fewest requests among those that are up and have a
//! free slot. The circuit breaker ([`CircuitBreaker`](seawall_state::CircuitBreaker)) of a failing
//! origin opens for a while, then passes a few requests. The retry budget ([`RetryBudget`]) limits
//! retries, so that an outage does not double the load.
//!
//! Limitation: a client that can make an origin fail can make it look down. Therefore failures to
//! connect, which no request causes, open at five in a row. Requests without a response only open
//! at half of all.

pub(crate) mod attempt;
pub(crate) mod health_check;
pub(crate) mod origin;
pub(crate) mod pool;
pub(crate) mod queue;
pub(crate) mod slot_kind;
pub(crate) mod stats;

use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use seawall_admin_api::OriginStatus;
use seawall_config::SiteConfig;
use seawall_model::{OriginHealth, Tick};
use seawall_state::{RetryBudget, RetryBudgetConfig};

pub(crate) use attempt::{Attempt, AttemptHistory};
pub(crate) use health_check::HealthChecker;
use origin::OriginServer;
use stats::OriginStats;
pub(crate) use stats::Sums;

use crate::upstream::slot_kind::SlotKind;
use crate::{BindError, ProxyLimits};

/// The origins of a site; at least one.
#[derive(Debug)]
pub(crate) struct OriginSet {
    all: Box<[Arc<OriginServer>]>,
    addresses: Box<[SocketAddr]>,
    next: AtomicUsize,
    retries: RetryBudget,
    pulse: Arc<OriginStats>,
    /// The request of the health check, if there is one.
    question: Option<Arc<str>>,
}

impl OriginSet {
    /// Resolves every origin of `site`.
    ///
    /// # Errors
    /// Returns the first that cannot be resolved, or that none is configured.
    pub(crate) fn resolve(site: &SiteConfig, limits: &ProxyLimits) -> Result<Self, BindError> {
        let mut addresses = Vec::with_capacity(site.origins.len());
        for origin in &site.origins {
            let place = (&*origin.host, origin.port);
            let found = place.to_socket_addrs().map_err(|error| BindError::Origin {
                site: site.name.clone(),
                origin: origin.to_string().into(),
                why: error.to_string(),
            })?;
            addresses.extend(found.take(1));
        }
        if addresses.is_empty() {
            return Err(BindError::NoOrigin { site: site.name.clone() });
        }
        let question = site
            .health_check_path
            .as_deref()
            .map(|path| health_check::check_request(path, &site.hosts));
        let one = |address: &SocketAddr| Arc::new(OriginServer::new(*address, site, limits));
        let terms = RetryBudgetConfig {
            percent: limits.settings.retries.budget_percent,
            per_s: limits.settings.retries.min_retries_per_second,
            saved_max: limits.settings.retries.max_saved_retries,
        };
        Ok(Self {
            all: addresses.iter().map(one).collect(),
            addresses: addresses.into(),
            next: AtomicUsize::new(0),
            retries: RetryBudget::new(terms, Tick(0)),
            pulse: Arc::default(),
            question,
        })
    }

    /// Returns every origin's address, in the order of the configuration.
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Returns the number of request slots: all slots of origins with a closed circuit breaker, and
    /// the used slots of the others. If all are open, it returns all slots.
    pub(crate) fn places(&self) -> u32 {
        let of = |origin: &Arc<OriginServer>| origin.most(SlotKind::Request);
        if !self.all.iter().any(|origin| origin.breaker.is_closed()) {
            return self.all.iter().map(of).fold(0, u32::saturating_add);
        }
        let usable = |origin: &Arc<OriginServer>| match origin.breaker.is_closed() {
            true => of(origin),
            false => origin.in_flight().min(of(origin)),
        };
        self.all.iter().map(usable).fold(0, u32::saturating_add)
    }

    /// Takes a slot at the origin with the fewest requests, among those that have not failed this
    /// request and have a free slot. Equal ones take turns.
    pub(crate) fn choose(
        &self,
        stay: SlotKind,
        tries: &AttemptHistory,
        now: Tick,
    ) -> Option<Attempt> {
        if tries.is_first() {
            self.retries.deposit();
        }
        let mut left = tries.clone();
        // Two requests may see the same last slot; the second one searches again.
        for _ in 0..self.all.len() {
            let at = self.least(stay, &left, now)?;
            let origin = self.all.get(at)?;
            if let Some(pass) = origin.enter(stay, now) {
                let pulse = Arc::clone(&self.pulse);
                return Some(Attempt::new((at, Arc::clone(origin)), pulse, stay, pass, now));
            }
            left.note_failed(at);
        }
        None
    }

    fn least(&self, stay: SlotKind, tries: &AttemptHistory, now: Tick) -> Option<usize> {
        let count = self.all.len();
        if count == 1 {
            let origin = self.all.first()?;
            return (!tries.has_failed(0) && origin.room(stay, now) > 0).then_some(0);
        }
        let turn = self.next.fetch_add(1, Relaxed);
        let mut best: Option<(u32, usize)> = None;
        for step in 0..count {
            let at = turn.wrapping_add(step).checked_rem(count)?;
            let origin = self.all.get(at)?;
            let load = origin.in_flight();
            if tries.has_failed(at)
                || best.is_some_and(|(least, _)| least <= load)
                || origin.room(stay, now) == 0
            {
                continue;
            }
            best = Some((load, at));
        }
        best.map(|(_, at)| at)
    }

    /// Returns whether a request may be retried: another origin is available, and the retry budget
    /// permits it. A permitted retry is withdrawn from the budget.
    pub(crate) fn may_retry(
        &self,
        stay: SlotKind,
        tries: &AttemptHistory,
        limits: &ProxyLimits,
        now: Tick,
    ) -> RetryDecision {
        if tries.count() >= limits.settings.retries.max_attempts {
            return RetryDecision::NoCandidate;
        }
        let has_room = |(at, origin): (usize, &Arc<OriginServer>)| {
            !tries.has_failed(at) && origin.room(stay, now) > 0
        };
        if !self.all.iter().enumerate().any(has_room) {
            return RetryDecision::NoCandidate;
        }
        if self.retries.withdraw(now) {
            RetryDecision::Allowed
        } else {
            RetryDecision::BudgetExhausted
        }
    }

    /// Returns whether all origins are down.
    pub(crate) fn is_down(&self, now: Tick) -> bool {
        self.all.iter().all(|origin| origin.breaker.room(now) == 0)
    }

    /// Returns their health over the last ten seconds.
    pub(crate) fn health(&self, in_flight: u32) -> OriginHealth {
        self.pulse.health(in_flight)
    }

    /// Returns the sums behind it, to add up several sites.
    pub(crate) fn sums(&self) -> Sums {
        self.pulse.sums()
    }

    /// Returns a snapshot of each origin.
    pub(crate) fn snapshot(&self, site: &str, now: Tick) -> Vec<OriginStatus> {
        self.all.iter().map(|origin| origin.snapshot(site, now)).collect()
    }
}

/// Whether a request is retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RetryDecision {
    /// Yes.
    Allowed,
    /// No: the retry budget is exhausted.
    BudgetExhausted,
    /// No: it had the maximum of attempts, or no other origin is available.
    NoCandidate,
}

#[cfg(test)]
mod tests;
