//! Evaluates whether a promise was kept, from the figures of a run.
//!
//! Counts and our own deadlines decide. A latency only decides if the promise has a generous limit
//! for it; others are shown. A missing figure breaks the promise: a run without a measurement shows
//! nothing.

use crate::attack::expectation::{Assertion, Expectation};
use crate::attack::results::{Results, each};
use serde_json::Value;

/// Maximum time from the end of the last attacker to the first response for a new client.
pub(crate) const NEW_CLIENT_MS: f64 = 2_000.0;

/// One thing that had to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CheckResult {
    /// What was measured, and what was allowed.
    pub(crate) text: String,
    /// Whether it held.
    pub(crate) kept: bool,
}

/// Result of the evaluation of a promise.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Verdict {
    /// The checks of the promise.
    pub(crate) findings: Vec<CheckResult>,
    /// The checks of every run that failed.
    pub(crate) broken: Vec<String>,
}

impl Verdict {
    /// Returns whether everything held.
    pub(crate) fn passed(&self) -> bool {
        self.broken.is_empty() && self.findings.iter().all(|finding| finding.kept)
    }
}

/// Cost of an honest connection for the server, in milliseconds of CPU time: TCP, a TLS handshake
/// without resumption, one forwarded request, its response.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BaselineCost(pub(crate) f64);

impl BaselineCost {
    /// Returns the cost from a run of honest connections only.
    pub(crate) fn of(report: &Value) -> Option<Self> {
        let figures = Results::of(report);
        let answered = figures.number("/attack/answers/200")?;
        // Rejected or failed requests would make honest connections look cheap. Some are still in
        // progress when the attack ends.
        let whole = answered >= figures.opened()? * 0.9;
        let cpu = figures.number("/server/attack/cpu_ms")?;
        each(cpu, answered).filter(|cost| whole && *cost > 0.0).map(Self)
    }
}

/// Evaluates a run.
pub(crate) fn judge(
    promise: &Expectation,
    report: &Value,
    honest: Option<BaselineCost>,
) -> Verdict {
    let figures = Results::of(report);
    let findings = promise.must.iter().map(|must| must.judge(figures, honest)).collect();
    Verdict { findings, broken: of_every_run(figures) }
}

/// Checks every run: visitors came, none failed, and there was an attack.
fn of_every_run(figures: Results<'_>) -> Vec<String> {
    let mut broken = Vec::new();
    match (figures.failed(), figures.asked()) {
        (Some(failed), Some(_)) if failed > 0.0 => broken.push("visitors failed".to_owned()),
        (Some(_), Some(asked)) if asked > 0.0 => {}
        _ => broken.push("no visitors".to_owned()),
    }
    broken.extend(new_client(figures));
    if figures.tried().is_none_or(|tried| tried < 1.0) {
        broken.push("no attack".to_owned());
    }
    if figures.number("/attack/failed_here").is_none_or(|failed| failed > 0.0) {
        broken.push("the attacker lacked ports or descriptors".to_owned());
    }
    broken
}

/// Returns what is wrong with the first response for a new client after the attack.
fn new_client(figures: Results<'_>) -> Option<String> {
    match figures.new_client_ms() {
        Some(ms) if ms <= NEW_CLIENT_MS => None,
        Some(ms) => {
            let (waited, most) = (shown(ms), shown(NEW_CLIENT_MS));
            Some(format!("a new client was served after {waited} of {most} ms"))
        }
        None => Some("no new client was served".to_owned()),
    }
}

/// Returns the same, as a check.
pub(crate) fn new_client_served(figures: Results<'_>) -> CheckResult {
    match (new_client(figures), figures.new_client_ms()) {
        (None, Some(ms)) => {
            let (waited, most) = (shown(ms), shown(NEW_CLIENT_MS));
            CheckResult { text: format!("a new client after {waited} of {most} ms"), kept: true }
        }
        (why, _) => CheckResult { text: why.unwrap_or_default(), kept: false },
    }
}

impl Assertion {
    fn judge(self, figures: Results<'_>, honest: Option<BaselineCost>) -> CheckResult {
        self.find(figures, honest).unwrap_or_else(|| CheckResult {
            text: format!("{}: no figure", self.what()),
            kept: false,
        })
    }

    fn what(self) -> &'static str {
        match self {
            Self::ClosedWithinMs(_) => "gone",
            Self::KibEach(_) => "memory each",
            Self::MibInAll(_) => "memory",
            Self::CpuMsEach(_) | Self::HonestEach(_) => "processor each",
            Self::OriginEach(_) => "requests at the origin, each",
            Self::OriginInAll(_) => "requests at the origin",
            Self::LogKibPerMinute(_) => "log",
            Self::Answers(_) => "answers",
            Self::Served(_) => "served",
            Self::RefusalsRead(_) => "refusals read",
            Self::OneClient => "clients named to the origin",
            Self::Never(_) => "events",
            Self::P99Ms(_) | Self::P99Times(_) => "visitors' p99",
        }
    }

    fn find(self, figures: Results<'_>, honest: Option<BaselineCost>) -> Option<CheckResult> {
        let what = self.what();
        let at_most = |figure: f64, unit: &str, most: u64| {
            let text = format!("{what} {} of {}{unit}", shown(figure), thousands(most));
            CheckResult { text, kept: figure <= most as f64 }
        };
        match self {
            Self::ClosedWithinMs(most) => gone(figures, most),
            Self::KibEach(most) => {
                let figure = each(figures.gained_kib()?, figures.at_once()?)?;
                Some(at_most(figure, " KiB", most))
            }
            Self::MibInAll(most) => Some(at_most(figures.gained_kib()? / 1_024.0, " MiB", most)),
            Self::CpuMsEach(most) => {
                Some(at_most(each(figures.cpu_ms()?, figures.tried()?)?, " ms", most))
            }
            Self::HonestEach(most) => {
                let cost = each(figures.cpu_ms()?, figures.opened()?)?;
                Some(at_most(each(cost, honest?.0)?, " ×", most))
            }
            Self::OriginEach(most) => {
                Some(at_most(each(figures.reached()?, figures.opened()?)?, "", most))
            }
            Self::OriginInAll(most) => Some(at_most(figures.reached()?, "", most)),
            Self::LogKibPerMinute(most) => {
                Some(at_most(figures.log_kib_per_minute()?, " KiB/min", most))
            }
            Self::Answers(most) => {
                Some(at_most(figures.sum("/attack/answers", |_| true)?, "", most))
            }
            Self::Served(most) => {
                Some(at_most(figures.sum("/attack/answers", |name| name == "200")?, "", most))
            }
            Self::RefusalsRead(least) => read(figures, least),
            Self::OneClient => one_client(figures),
            Self::Never(start) => {
                let seen = figures.sum("/attack/events", |name| name.starts_with(start))?;
                let text = format!("{start}: {}", shown(seen));
                Some(CheckResult { text, kept: seen < 1.0 })
            }
            Self::P99Ms(most) => p99(figures, (most as f64).max(figures.p99_ms("quiet")? * 3.0)),
            Self::P99Times(times) => {
                let quiet = figures.p99_ms("quiet")?;
                p99(figures, (quiet * times as f64).max(quiet + 20.0))
            }
        }
    }
}

fn p99(figures: Results<'_>, allowed: f64) -> Option<CheckResult> {
    let figure = figures.p99_ms("attack")?;
    // A visitor that was started late waited for this program, not for the server.
    let allowed = allowed + figures.late_ms()?;
    let text = format!("visitors' p99 {} of {} ms", shown(figure), shown(allowed));
    Some(CheckResult { text, kept: figure <= allowed })
}

fn gone(figures: Results<'_>, most: u64) -> Option<CheckResult> {
    // An attack that is over before its time would keep every such promise.
    let long_enough = figures.number("/attacked_ms")? >= most as f64;
    let longest = figures.longest_ms().filter(|_| long_enough)?;
    let (was, allowed) = (longest / 1_000.0, most as f64 / 1_000.0);
    let text = format!("gone after {} of {} s", shown(was), shown(allowed));
    Some(CheckResult { text, kept: longest <= most as f64 })
}

fn read(figures: Results<'_>, least: u64) -> Option<CheckResult> {
    let read = figures.number("/attack/events/answer read")?;
    let lost = figures.sum("/attack/events", |name| name == "no answer read")?;
    let share = each(read * 100.0, read + lost)?;
    let text = format!("refusals read {} of {least} %", shown(share));
    Some(CheckResult { text, kept: share >= least as f64 })
}

fn one_client(figures: Results<'_>) -> Option<CheckResult> {
    let (once, otherwise) =
        (figures.number("/origin/named_once")?, figures.number("/origin/named_otherwise")?);
    // The attack has one address, each visitor one.
    let (clients, visitors) =
        (figures.number("/origin/clients")?, figures.number("/legit/visitors")?);
    let requests = figures.number("/origin/requests")?;
    let text = format!(
        "{} of {} requests named one client, {} several; {} clients in all",
        shown(once),
        shown(requests),
        shown(otherwise),
        shown(clients)
    );
    let all = requests > 0.0 && once >= requests && otherwise < 1.0;
    let kept = all && clients > 0.0 && clients <= visitors + 1.0;
    Some(CheckResult { text, kept })
}

/// Returns a figure with a suitable number of digits.
pub(crate) fn shown(figure: f64) -> String {
    let whole = figure.fract().abs() < 0.001;
    if figure >= 1_000.0 {
        return thousands(figure.round().max(0.0) as u64);
    }
    match figure {
        _ if whole || figure >= 100.0 => format!("{figure:.0}"),
        _ if figure >= 1.0 => format!("{figure:.1}"),
        _ => format!("{figure:.2}"),
    }
}

/// Returns a number with separators: 12,345.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len().saturating_sub(place)).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests;
