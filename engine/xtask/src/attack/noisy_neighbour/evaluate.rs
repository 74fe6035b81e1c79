//! Evaluates whether the other member was affected, whether the attacked members kept their known
//! visitors, and whether idle resources were used.
//!
//! Counts decide, and one latency: carol's 99th percentile, compared with that of the quiet phase. A
//! missing figure breaks the promise.

use super::environment::CAPACITY_PER_S;
use super::load::Reports;
use crate::attack::evaluate::{CheckResult, shown};
use crate::attack::results::{Results, each};

/// Maximum of carol's p99 under attack: a multiple of that of the quiet phase, or so many
/// milliseconds more, for shared machines.
const P99_TIMES: f64 = 1.5;
const P99_MORE_MS: f64 = 10.0;
/// Per cent of the returning visitors' requests that are served.
const SERVED_PERCENT: f64 = 95.0;
/// Least use of an origin's capacity while more is requested, in percent.
const USED_PERCENT: f64 = 85.0;

/// The figures of one case; each is `None` where it is missing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen<'r> {
    /// The attack on alice, and carol's visitors.
    pub(crate) alice: Results<'r>,
    /// The attack on bob, and alice's visitors.
    pub(crate) bob: Option<Results<'r>>,
}

impl<'r> Seen<'r> {
    /// Of these results.
    pub(crate) fn of(reports: &'r Reports) -> Self {
        let bob = reports.bob.as_ref().map(Results::of);
        Self { alice: Results::of(&reports.alice), bob }
    }

    /// Returns the percentage of successful requests of alice's visitors in the attack.
    pub(crate) fn served_percent(self) -> Option<f64> {
        let bob = self.bob?;
        each(bob.number("/legit/attack/ok")? * 100.0, bob.asked()?)
    }

    /// Returns a figure of the attack, of both attackers together.
    fn of_both(self, of: impl Fn(Results<'r>) -> Option<f64>) -> Option<f64> {
        let bob = self.bob.map(&of).map_or(Some(0.0), |figure| figure)?;
        Some(of(self.alice)? + bob)
    }

    /// Returns the requests of the attack.
    pub(crate) fn attacked(self) -> Option<f64> {
        self.of_both(|figures| figures.number("/attack/requests"))
    }

    /// Returns the responses with 200. An attack without any response has none.
    pub(crate) fn answered(self) -> Option<f64> {
        self.of_both(|figures| figures.sum("/attack/answers", |name| name == "200"))
    }

    /// Returns the use of alice's origin in percent, by attackers and visitors.
    fn used_percent(self) -> Option<f64> {
        let attack = self.alice.sum("/attack/answers", |name| name == "200")?;
        let visitors = self.bob?.number("/legit/attack/ok")?;
        let seconds = self.alice.number("/attacked_ms")? / 1_000.0;
        each((attack + visitors) * 100.0, CAPACITY_PER_S as f64 * seconds)
    }
}

/// Returns all checks; `exceeds` means that the attack requests more than alice's origin can serve.
pub(crate) fn judge(seen: Seen<'_>, exceeds: bool) -> Vec<CheckResult> {
    let mut found = vec![attack(seen), nobody_failed(seen.alice), p99(seen.alice), served(seen)];
    if exceeds {
        found.push(used(seen));
    }
    found
}

/// Returns a check from a figure that may be missing.
pub(crate) fn finding(what: &str, found: Option<CheckResult>) -> CheckResult {
    found.unwrap_or_else(|| CheckResult { text: format!("{what}: no figure"), kept: false })
}

/// Checks that both were attacked, and that this side had all it needed.
pub(crate) fn attack(seen: Seen<'_>) -> CheckResult {
    let asked = seen.attacked();
    let here = seen.of_both(|figures| figures.number("/attack/failed_here"));
    let began = asked.zip(here).filter(|(asked, here)| *asked > 0.0 && *here < 1.0);
    let each = [Some(seen.alice), seen.bob].into_iter().flatten();
    let all = each.map(Results::tried).all(|tried| tried.is_some_and(|tried| tried >= 1.0));
    match began {
        Some((asked, _)) if all => {
            CheckResult { text: format!("{} attacking requests", shown(asked)), kept: true }
        }
        _ => CheckResult {
            text: "no attack, or no ports or descriptors for it".to_owned(),
            kept: false,
        },
    }
}

/// Checks that none of carol's visitors failed, in any phase, and that some came.
pub(crate) fn nobody_failed(carol: Results<'_>) -> CheckResult {
    let found = carol.failed().zip(carol.asked()).map(|(failed, asked)| {
        let text = format!("carol: {} of {} failed", shown(failed), shown(asked));
        CheckResult { text, kept: failed < 1.0 && asked > 0.0 }
    });
    finding("carol's visitors", found)
}

/// Checks carol's p99 in the attack against that of the quiet phase.
pub(crate) fn p99(carol: Results<'_>) -> CheckResult {
    let found = carol.p99_ms("quiet").zip(carol.p99_ms("attack")).map(|(quiet, attack)| {
        let times = if quiet > 0.0 { attack / quiet } else { f64::INFINITY };
        let by_times = times <= P99_TIMES;
        let by_more = attack <= quiet + P99_MORE_MS;
        let how = match (by_times, by_more) {
            (true, _) => format!("of {P99_TIMES}"),
            (false, true) => format!("over {P99_TIMES}, by less than {P99_MORE_MS} ms"),
            (false, false) => format!("over {P99_TIMES}, and by more than {P99_MORE_MS} ms"),
        };
        CheckResult { text: format!("p99 {times:.2} × {how}"), kept: by_times || by_more }
    });
    finding("carol's p99", found)
}

fn served(seen: Seen<'_>) -> CheckResult {
    let found = seen.served_percent().map(|served| {
        let text = format!("alice's visitors: {} of {SERVED_PERCENT} % served", shown(served));
        CheckResult { text, kept: served >= SERVED_PERCENT }
    });
    finding("alice's visitors", found)
}

fn used(seen: Seen<'_>) -> CheckResult {
    let found = seen.used_percent().map(|used| {
        let text = format!("alice's origin: {} of {USED_PERCENT} % used", shown(used));
        CheckResult { text, kept: used >= USED_PERCENT }
    });
    finding("alice's origin", found)
}

#[cfg(test)]
mod tests;
