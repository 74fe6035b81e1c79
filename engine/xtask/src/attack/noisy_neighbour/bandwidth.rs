//! Egress bandwidth, shared: two members with large responses, and one without load. Only Seawall
//! shares it, so there is no comparison.

use super::constants::{ALICE, BOB};
use super::environment::Environment;
use super::evaluate::{Seen, attack, finding, nobody_failed};
use super::load::{ATTACK_S, Attack, AttackedSites, keep, play};
use super::server_configs::SeawallExtras;
use crate::attack::evaluate::{CheckResult, shown};
use crate::attack::results::each;
use crate::attack::runner::Runner;
use crate::attack::server::ServerKind;

/// Egress bandwidth of Seawall, in bytes per second.
const PIPE_BYTES_PER_S: u64 = 20_000_000;
/// Responses of 100,000 bytes: five times the bandwidth at either member.
const FLOOD: Attack<'_> = Attack {
    scenario: "get-flood",
    words: &[
        "--path",
        "/__large/100000",
        "--rate",
        "1000",
        "--connections",
        "200",
        "--addresses",
        "200",
    ],
    seconds: ATTACK_S,
};
/// Least use of the bandwidth while more is requested, in percent.
const USED_PERCENT: f64 = 85.0;
/// Alice's share is twice bob's, within a quarter.
const RATIO: std::ops::RangeInclusive<f64> = 1.5..=2.5;

/// What was sent while one or both were attacked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    /// The attacked members.
    pub(super) on: AttackedSites,
    /// Bytes per second from alice's site.
    pub(super) alice: Option<f64>,
    /// The same from bob's.
    pub(super) bob: Option<f64>,
}

/// One attack, and its result.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) sent: Sent,
    pub(super) findings: Vec<CheckResult>,
}

/// Floods.
///
/// # Errors
/// A program does not start or end, or the run is interrupted.
pub(super) fn share(runner: &Runner<'_>, on: AttackedSites) -> anyhow::Result<Shared> {
    let limits = format!("bandwidth.egress_bytes_per_second = {PIPE_BYTES_PER_S}\n");
    let told = SeawallExtras { limits: &limits, ..SeawallExtras::default() };
    let mut ground = Environment::start(&runner.programs, ServerKind::Seawall, told)?;
    let look = |ground: &Environment| {
        let of = |host| ground.sent(&runner.programs.seawall, host);
        anyhow::Ok((of(ALICE)?, of(BOB)?))
    };
    let before = look(&ground)?;
    let reports = play(runner, &ground, FLOOD, on)?;
    ground.is_up()?;
    let after = look(&ground)?;
    keep(runner, &format!("egress-{on:?}"), &reports)?;
    let seen = Seen::of(&reports);
    let seconds = seen.alice.number("/attacked_ms").map(|ms| ms / 1_000.0);
    let rate = |before: f64, after: f64| each((after - before).max(0.0), seconds?);
    let sent = Sent { on, alice: rate(before.0, after.0), bob: rate(before.1, after.1) };
    let mut findings = vec![attack(seen), nobody_failed(seen.alice)];
    findings.extend(judge(sent));
    Ok(Shared { sent, findings })
}

impl Sent {
    /// Returns the use of the bandwidth by both, in percent.
    pub(super) fn used_percent(self) -> Option<f64> {
        Some((self.alice? + self.bob?) * 100.0 / PIPE_BYTES_PER_S as f64)
    }
}

fn judge(sent: Sent) -> Vec<CheckResult> {
    let used = sent.used_percent().map(|used| {
        let text = format!("the pipe: {} of {USED_PERCENT} % used", shown(used));
        CheckResult { text, kept: used >= USED_PERCENT }
    });
    let mut found = vec![finding("the pipe", used)];
    if sent.on == AttackedSites::Both {
        let ratio = sent.alice.zip(sent.bob).and_then(|(alice, bob)| each(alice, bob));
        let ratio = ratio.map(|ratio| {
            let text = format!("alice {ratio:.2} × bob, of 2");
            CheckResult { text, kept: RATIO.contains(&ratio) }
        });
        found.push(finding("alice and bob", ratio));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(on: AttackedSites, alice: Option<f64>, bob: Option<f64>) -> bool {
        judge(Sent { on, alice, bob }).iter().all(|finding| finding.kept)
    }

    #[test]
    fn two_parts_and_one_of_a_full_pipe_are_kept() {
        let m = |figure: f64| Some(figure * 1e6);
        assert!(kept(AttackedSites::Both, m(12.0), m(6.0)));
        assert!(
            kept(AttackedSites::Both, m(12.0), m(8.0))
                && kept(AttackedSites::Both, m(12.5), m(5.0))
        );
        assert!(!kept(AttackedSites::Both, m(11.0), m(8.0)), "not twice");
        assert!(!kept(AttackedSites::Both, m(14.0), m(5.0)), "more than twice");
        assert!(!kept(AttackedSites::Both, m(11.0), m(5.5)), "a sixth of the pipe is idle");
    }

    #[test]
    fn one_alone_has_all_of_it() {
        assert!(kept(AttackedSites::Alice, Some(17e6), Some(0.0)));
        assert!(!kept(AttackedSites::Alice, Some(13e6), Some(0.0)));
    }

    #[test]
    fn bytes_that_nobody_counted_break_it() {
        for (alice, bob) in [(None, Some(6e6)), (Some(12e6), None), (Some(12e6), Some(0.0))] {
            assert!(!kept(AttackedSites::Both, alice, bob), "{alice:?} {bob:?}");
        }
        assert!(!kept(AttackedSites::Alice, None, Some(0.0)));
    }
}
