//! What came of one attack on one server, and what must hold of it.

use super::bandwidth::Shared;
use super::evaluate::{Seen, judge};
use super::load::{Attack, AttackedSites, Reports};
use crate::attack::evaluate::CheckResult;
use crate::attack::server::ServerKind;

/// One attack.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) vector: &'static str,
    pub(super) attack: Attack<'static>,
    /// The attack requests more than alice's origin can serve, and no rule identifies it.
    pub(super) exceeds: bool,
}

/// Result of one attack on one server.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) case: &'static Case,
    pub(super) who: ServerKind,
    /// The reports, or why there are none.
    pub(super) reports: Result<Reports, String>,
}

/// Result of one way of filling the pipe, or why nothing did.
pub(super) type BandwidthRun = (AttackedSites, Result<Shared, String>);

impl Row {
    /// Returns the checks; only for Seawall.
    pub(super) fn findings(&self) -> Vec<CheckResult> {
        match &self.reports {
            _ if self.who != ServerKind::Seawall => Vec::new(),
            Ok(reports) => judge(Seen::of(reports), self.case.exceeds),
            Err(why) => vec![could_not(why)],
        }
    }
}

/// Returns a failed check for something that could not be run.
pub(crate) fn could_not(why: &str) -> CheckResult {
    CheckResult { text: format!("could not be run: {why}"), kept: false }
}

/// Returns whether everything held.
pub(crate) fn all_kept(findings: &[CheckResult]) -> bool {
    findings.iter().all(|finding| finding.kept)
}

pub(super) fn findings_of((_, shared): &BandwidthRun) -> Vec<CheckResult> {
    match shared {
        Ok(shared) => shared.findings.clone(),
        Err(why) => vec![could_not(why)],
    }
}
