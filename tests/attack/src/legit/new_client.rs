//! A new client that comes at the moment when the last attacker has left.
//!
//! It tries again and again with a short timeout, as people press reload. The result is the time
//! until it is served: an attack that is over must not have an effect any more.

use super::visitor::{Kind, Outcome, Visitor};
use super::{Plan, Running};
use crate::addresses::{Sources, Spread, Who};
use crate::report::NewClientReport;
use anyhow::Result;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// Timeout of one try.
const PATIENCE: Duration = Duration::from_millis(500);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(50);
/// End of the tries.
const UNTIL: Duration = Duration::from_secs(30);
/// The protocols of new clients: each has an address of its own.
const KINDS: [Kind; 2] = [Kind::H1New, Kind::H1TlsNew];

impl Plan {
    /// New clients of each kind that there is a target for.
    fn new_clients(&self) -> Result<Vec<Visitor>> {
        let sources = Sources::new(Who::NewClient, KINDS.len(), Spread::Wide);
        let mut made = Vec::new();
        for (n, kind) in KINDS.into_iter().enumerate() {
            let target = if kind.tls() { self.target_tls } else { Some(self.target) };
            if let Some(target) = target {
                let source = sources.of(n, target.address().ip());
                made.push(Visitor::new(kind, target, source, self)?);
            }
        }
        Ok(made)
    }
}

impl Running {
    /// Returns how long new clients wait for their first response from `left` on, when the last
    /// attacker left.
    ///
    /// # Errors
    /// There can be no such visitor.
    pub(crate) async fn new_clients(plan: Plan, left: Instant) -> Result<NewClientReport> {
        let mut report = NewClientReport { first_answer_ms: Some(0), ..NewClientReport::default() };
        let mut trying = tokio::task::JoinSet::new();
        for visitor in plan.new_clients()? {
            trying.spawn(async move { served(&visitor, left).await });
        }
        while let Some(tried) = trying.join_next().await {
            let tried = tried?;
            report.tries = report.tries.saturating_add(tried.tries);
            let both = report.first_answer_ms.zip(tried.first_answer_ms);
            report.first_answer_ms = both.map(|(one, other)| one.max(other));
            for (how, count) in tried.failed {
                let failed = report.failed.entry(how).or_default();
                *failed = failed.saturating_add(count);
            }
        }
        Ok(report)
    }
}

async fn served(visitor: &Visitor, left: Instant) -> NewClientReport {
    let mut report = NewClientReport { failed: BTreeMap::new(), ..NewClientReport::default() };
    while left.elapsed() < UNTIL {
        report.tries = report.tries.saturating_add(1);
        let outcome = timeout(PATIENCE, visitor.ask()).await;
        let how = match outcome.unwrap_or_else(|_| Outcome::given_up()).status {
            Ok(status) if status < 400 => {
                let ms = u64::try_from(left.elapsed().as_millis()).unwrap_or(u64::MAX);
                report.first_answer_ms = Some(ms);
                return report;
            }
            Ok(status) => status.to_string(),
            Err(why) => why.to_owned(),
        };
        let failed = report.failed.entry(how).or_default();
        *failed = failed.saturating_add(1);
        sleep(PAUSE).await;
    }
    report
}
