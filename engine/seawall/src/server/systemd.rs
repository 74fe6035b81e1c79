//! What the service manager is told: that we serve, reload, stop, and are alive.
//!
//! Alive is more than that the process is there: a worker that is stuck in a loop serves nobody, and
//! a policy that cannot be changed defends nobody. So every thread that visitors or operators depend
//! on counts its own rounds, and only while all of them count does the manager hear of it; when it
//! does not, it starts us anew (`WatchdogSec=`).
//!
//! Where there is no service manager nothing is said, and nothing here costs anything.

use std::time::Duration;

use sd_notify::NotifyState;
use seawall_admin_api::UpgradeOutcome;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use crate::cli::exit::print_err;

/// Between two looks, where no watchdog asks for more of them.
const LOOK: Duration = Duration::from_millis(1_000);
/// Looks for each interval of the watchdog.
const LOOKS_PER_INTERVAL: u32 = 4;

/// Our end of the conversation.
pub(super) struct SystemdNotifier {
    looks: Interval,
    /// How long a thread may count nothing; `None` where nobody asks.
    patience: Option<Duration>,
    pulses: Vec<ThreadProgress>,
    headline: String,
    is_stuck: bool,
}

/// What one thread counted, and when that was last more than before.
struct ThreadProgress {
    beats: u64,
    since: Instant,
}

impl SystemdNotifier {
    /// As the environment says.
    pub(super) fn new() -> Self {
        let watchdog = sd_notify::watchdog_enabled();
        let look = watchdog.map_or(LOOK, |within| LOOK.min(within / LOOKS_PER_INTERVAL));
        Self::with(look.max(Duration::from_millis(10)), watchdog.map(|within| within / 2))
    }

    fn with(look: Duration, patience: Option<Duration>) -> Self {
        let mut looks = interval(look);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (pulses, headline) = (Vec::new(), String::new());
        Self { looks, patience, pulses, headline, is_stuck: false }
    }

    /// Waits until it is time to look.
    pub(super) async fn turn(&mut self) {
        let _now = self.looks.tick().await;
    }

    /// Says that we live, where all threads do, and what there is to say in one line.
    pub(super) fn look(&mut self, beats: &[u64], headline: String) {
        if self.headline != headline {
            self.headline = headline;
            say(&[NotifyState::Status(&self.headline)]);
        }
        let Some(patience) = self.patience else { return };
        let stuck = self.stuck(beats, patience);
        if let (Some(thread), false) = (stuck, self.is_stuck) {
            print_err(format!(
                "thread {thread} has not moved for {patience:?}: the watchdog is not fed"
            ));
        }
        self.is_stuck = stuck.is_some();
        if !self.is_stuck {
            say(&[NotifyState::Watchdog]);
        }
    }

    /// The first thread that has counted nothing for so long.
    fn stuck(&mut self, beats: &[u64], patience: Duration) -> Option<usize> {
        let now = Instant::now();
        self.pulses.resize_with(beats.len(), || ThreadProgress { beats: u64::MAX, since: now });
        for (pulse, beats) in self.pulses.iter_mut().zip(beats) {
            if pulse.beats != *beats {
                *pulse = ThreadProgress { beats: *beats, since: now };
            }
        }
        self.pulses.iter().position(|pulse| now.duration_since(pulse.since) > patience)
    }
}

/// We serve.
pub(super) fn ready() {
    say(&[NotifyState::Ready]);
}

/// We are about to be another: other rules, or another process.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => say(&[NotifyState::Reloading, now]),
        Err(_) => say(&[NotifyState::Reloading]),
    }
}

/// What came of that. From here on the manager hears the successor, and not us.
pub(super) fn upgraded(upgraded: &UpgradeOutcome) {
    match upgraded {
        UpgradeOutcome::Done { pid, .. } => say(&[NotifyState::MainPid(*pid), NotifyState::Ready]),
        UpgradeOutcome::Rejected { .. } => say(&[NotifyState::Ready]),
    }
}

/// We end.
pub(super) fn stopping() {
    say(&[NotifyState::Stopping]);
}

fn say(what: &[NotifyState<'_>]) {
    // A manager that does not listen is no reason not to serve.
    let _unheard = sd_notify::notify(what);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_thread_that_counts_nothing_is_found_and_forgiven_when_it_counts_again() {
        let second = Duration::from_secs(1);
        let mut service = SystemdNotifier::with(second, Some(5 * second));
        assert_eq!(service.stuck(&[1, 1], 5 * second), None);
        for round in 2..8 {
            tokio::time::advance(second).await;
            let found = service.stuck(&[round, 1], 5 * second);
            assert_eq!(found, (round == 7).then_some(1), "{round}");
        }
        service.look(&[8, 1], String::new());
        assert!(service.is_stuck);
        service.look(&[9, 2], String::new());
        assert!(!service.is_stuck);
    }
}
