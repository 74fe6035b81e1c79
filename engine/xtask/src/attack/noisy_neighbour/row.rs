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
    /// It asks alice's origin for more than that can do, and no rule says who it is.
    pub(super) exceeds: bool,
}

/// What came of one attack on one server.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) case: &'static Case,
    pub(super) who: ServerKind,
    /// Or why there is nothing.
    pub(super) reports: Result<Reports, String>,
}

/// What came of one way of filling the pipe, or why nothing did.
pub(super) type BandwidthRun = (AttackedSites, Result<Shared, String>);

impl Row {
    /// What must hold: for Seawall.
    pub(super) fn findings(&self) -> Vec<CheckResult> {
        match &self.reports {
            _ if self.who != ServerKind::Seawall => Vec::new(),
            Ok(reports) => judge(Seen::of(reports), self.case.exceeds),
            Err(why) => vec![could_not(why)],
        }
    }
}

/// That something could not be run to its end.
pub(crate) fn could_not(why: &str) -> CheckResult {
    CheckResult { text: format!("could not be run: {why}"), kept: false }
}

/// Whether everything held.
pub(crate) fn all_kept(findings: &[CheckResult]) -> bool {
    findings.iter().all(|finding| finding.kept)
}

pub(super) fn findings_of((_, shared): &BandwidthRun) -> Vec<CheckResult> {
    match shared {
        Ok(shared) => shared.findings.clone(),
        Err(why) => vec![could_not(why)],
    }
}
