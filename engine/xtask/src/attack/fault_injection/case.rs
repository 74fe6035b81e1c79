//! What comes of one case, and the figures that it is held against.

use crate::attack::evaluate::{CheckResult, shown};
use crate::attack::noisy_neighbour::evaluate::finding;

/// Result of one that could be begun.
#[derive(Debug)]
pub(super) enum CaseOutcome {
    Judged(Vec<CheckResult>),
    /// This machine lacks something.
    Skipped(String),
}

/// Returns the check that a figure is at most `most`.
pub(super) fn at_most(what: &str, figure: Option<f64>, (most, unit): (f64, &str)) -> CheckResult {
    let found = figure.map(|figure| {
        let text = format!("{what}: {} of {}{unit}", shown(figure), shown(most));
        CheckResult { text, kept: figure <= most }
    });
    finding(what, found)
}

/// Returns the check that a figure is at least `least`.
pub(super) fn at_least(what: &str, figure: Option<f64>, least: f64) -> CheckResult {
    let found = figure.map(|figure| CheckResult {
        text: format!("{} {what}", shown(figure)),
        kept: figure >= least,
    });
    finding(what, found)
}
