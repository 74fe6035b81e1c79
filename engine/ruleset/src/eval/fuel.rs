//! Limits on the cost of one request.
//!
//! There are two amounts of fuel: the operator's, and that of the member whose site is requested. A
//! member's rules use only the member's fuel. If it is exhausted, the member's part is skipped for
//! this request. If this happens often, the part is in quarantine for a time. If the operator's
//! fuel is exhausted, the response is 503.

mod part_status;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use seawall_model::Tick;
use seawall_policy::program::Program;
use seawall_wasm::{Quarantine, SandboxLimits};

/// Limits on the cost of one request. One unit of fuel is about one nanosecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FuelLimits {
    /// Fuel of the operator's rules.
    pub decision: u64,
    /// Fuel of a member's rules, in addition.
    pub member: u64,
    /// Fuel of all calls of externs by the operator's rules. A member's rules have half of it, in
    /// addition.
    pub externs: u64,
    /// Milliseconds of those calls, as a last limit. A member's rules have half of them.
    pub externs_ms: u64,
}

impl Default for FuelLimits {
    /// 1,000,000; 500,000; 5,000,000; 10 ms.
    fn default() -> Self {
        Self { decision: 1_000_000, member: 500_000, externs: 5_000_000, externs_ms: 10 }
    }
}

impl FuelLimits {
    /// Practically unlimited, for reference evaluations.
    pub(crate) const UNBOUNDED: Self =
        Self { decision: u64::MAX, member: u64::MAX, externs: u64::MAX, externs_ms: u64::MAX };
}

/// The state of a member's part beyond one request.
#[derive(Debug)]
pub(crate) struct Part {
    name: Box<str>,
    breaker: Quarantine,
    passed_over: AtomicU64,
}

/// The counts of a member's part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartSummary {
    /// The member.
    pub name: Box<str>,
    /// Requests for which the member's rules were skipped because the fuel was exhausted.
    pub passed_over: u64,
    /// Number of quarantines.
    pub quarantines: u64,
    /// The end of the last quarantine, past or future.
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

/// The members' parts, and the count of requests for which the operator's fuel was exhausted.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    /// By the number of the site. The sites of one member share one part.
    by_site: Vec<Option<Arc<Part>>>,
    /// Requests with the response 503.
    refused: Arc<AtomicU64>,
}

impl Parts {
    pub(crate) fn new(program: &Program) -> Self {
        let mut parts = Self::default();
        parts.extend(program);
        parts
    }

    /// Adds the sites at the end of the program, which all belong to one member.
    pub(crate) fn extend(&mut self, program: &Program) {
        let mut parts: HashMap<&str, Arc<Part>> = HashMap::new();
        let new = program.sites.iter().skip(self.by_site.len()).map(|site| {
            let name = site.member.as_deref()?;
            Some(Arc::clone(parts.entry(name).or_insert_with(|| Arc::new(Part::new(name)))))
        });
        let new: Vec<_> = new.collect();
        self.by_site.extend(new);
    }

    /// Keeps the first `sites` sites only.
    pub(crate) fn truncate(&mut self, sites: usize) {
        self.by_site.truncate(sites);
    }

    pub(crate) fn of_site(&self, site: usize) -> Option<&Part> {
        self.by_site.get(site)?.as_deref()
    }

    pub(crate) fn note_refused(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    /// Returns each member once, by name.
    fn each(&self) -> Vec<&Arc<Part>> {
        let mut all: Vec<_> = self.by_site.iter().flatten().collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all.dedup_by(|a, b| Arc::ptr_eq(a, b));
        all
    }
}
