//! What one request may cost, and what is done where it would cost more.
//!
//! There are two tanks: the host's, and one for the member whose site is asked for. What a member
//! wrote can empty hers only. Then her part is passed over for this request, as if she had none; who
//! empties it again and again is passed over for a while without being asked. The host's own empty
//! tank is a 503.

mod part_status;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use seawall_model::Tick;
use seawall_policy::program::Program;
use seawall_wasm::{Quarantine, SandboxLimits};

/// What one request may cost. One unit of fuel is about a nanosecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FuelLimits {
    /// Fuel of the host's rules.
    pub decision: u64,
    /// Fuel of a member's rules, beside it.
    pub member: u64,
    /// Fuel of all calls of externs that the host's rules make; a member's rules have half as much,
    /// beside it.
    pub externs: u64,
    /// Milliseconds of those calls, the backstop; a member's rules have half as many.
    pub externs_ms: u64,
}

impl Default for FuelLimits {
    /// 1,000,000; 500,000; 5,000,000; 10 ms.
    fn default() -> Self {
        Self { decision: 1_000_000, member: 500_000, externs: 5_000_000, externs_ms: 10 }
    }
}

impl FuelLimits {
    /// As much as anybody could want, for walks that are held against others.
    pub(crate) const UNBOUNDED: Self =
        Self { decision: u64::MAX, member: u64::MAX, externs: u64::MAX, externs_ms: u64::MAX };
}

/// A member's part, as far as it outlives a request.
#[derive(Debug)]
pub(crate) struct Part {
    name: Box<str>,
    breaker: Quarantine,
    passed_over: AtomicU64,
}

/// A member's part, in numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartSummary {
    /// The member.
    pub name: Box<str>,
    /// Requests for which her rules were passed over since their fuel was empty.
    pub passed_over: u64,
    /// How often they were put into quarantine.
    pub quarantines: u64,
    /// The end of the last quarantine, past or not.
    pub quarantined_until: Option<Tick>,
}

impl Part {
    fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            breaker: Quarantine::new(&SandboxLimits::default()),
            passed_over: AtomicU64::new(0),
        }
    }

    pub(crate) fn is_heard(&self, now: Tick) -> bool {
        self.breaker.allows(now)
    }

    pub(crate) fn note_empty(&self, now: Tick) {
        self.passed_over.fetch_add(1, Relaxed);
        self.breaker.note_failure(now, 0);
    }

    fn summary(&self) -> PartSummary {
        PartSummary {
            name: self.name.clone(),
            passed_over: self.passed_over.load(Relaxed),
            quarantines: self.breaker.quarantines(),
            quarantined_until: self.breaker.until(),
        }
    }
}

/// The members' parts, and how often the host's own fuel was empty.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    /// By the number of the site; one member's sites share one.
    by_site: Vec<Option<Arc<Part>>>,
    /// Requests that were answered 503.
    refused: Arc<AtomicU64>,
}

impl Parts {
    pub(crate) fn new(program: &Program) -> Self {
        let mut parts = Self::default();
        parts.extend(program);
        parts
    }

    /// With the sites that were put behind those it knows, which are all of one member.
    pub(crate) fn extend(&mut self, program: &Program) {
        let mut parts: HashMap<&str, Arc<Part>> = HashMap::new();
        let new = program.sites.iter().skip(self.by_site.len()).map(|site| {
            let name = site.member.as_deref()?;
            Some(Arc::clone(parts.entry(name).or_insert_with(|| Arc::new(Part::new(name)))))
        });
        let new: Vec<_> = new.collect();
        self.by_site.extend(new);
    }

    /// Forgets all but the first sites.
    pub(crate) fn truncate(&mut self, sites: usize) {
        self.by_site.truncate(sites);
    }

    pub(crate) fn of_site(&self, site: usize) -> Option<&Part> {
        self.by_site.get(site)?.as_deref()
    }

    pub(crate) fn note_refused(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    /// Each member once, in the order of the names.
    fn each(&self) -> Vec<&Arc<Part>> {
        let mut all: Vec<_> = self.by_site.iter().flatten().collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all.dedup_by(|a, b| Arc::ptr_eq(a, b));
        all
    }
}
