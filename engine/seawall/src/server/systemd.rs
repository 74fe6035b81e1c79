//! Reports to the service manager: ready, reloading, stopping, and the watchdog.
//!
//! The watchdog covers more than the process: a worker that hangs serves no client, and a stuck
//! control plane accepts no policy. So every thread that visitors or operators depend on counts its
//! rounds. The manager only gets a sign of life while all of them count; otherwise it restarts the
//! server (`WatchdogSec=`).
//!
//! Without a service manager nothing is sent.

use std::time::Duration;

use sd_notify::NotifyState;
use seawall_admin_api::UpgradeOutcome;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use crate::cli::exit::print_err;

/// Interval of the checks if the watchdog needs no shorter one.
const LOOK: Duration = Duration::from_millis(1_000);
/// Checks per interval of the watchdog.
const LOOKS_PER_INTERVAL: u32 = 4;

/// Sends the reports.
pub(super) struct SystemdNotifier {
    looks: Interval,
    /// Maximum time without progress of a thread; `None` without a watchdog.
    patience: Option<Duration>,
    pulses: Vec<ThreadProgress>,
    headline: String,
    is_stuck: bool,
}

/// The count of one thread, and when it last increased.
struct ThreadProgress {
    beats: u64,
    since: Instant,
}

impl SystemdNotifier {
    /// Reads the environment.
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

    /// Waits until the next check.
    pub(super) async fn turn(&mut self) {
        let _now = self.looks.tick().await;
    }

    /// Sends the sign of life if all threads make progress, and the status line.
    pub(super) fn look(&mut self, beats: &[u64], headline: String) {
        if self.headline != headline {
            self.headline = headline;
            say(&[NotifyState::Status(&self.headline)]);
        }
        let Some(patience) = self.patience else { return };
        let stuck = self.stuck(beats, patience);
        if let (Some(thread), false) = (stuck, self.is_stuck) {
            print_err(format!(
                "thread {thread} is stuck for {patience:?}: watchdog notifications stopped"
            ));
        }
        self.is_stuck = stuck.is_some();
        if !self.is_stuck {
            say(&[NotifyState::Watchdog]);
        }
    }

    /// Returns the first thread without progress for that long.
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

/// Reports that the server serves.
pub(super) fn ready() {
    say(&[NotifyState::Ready]);
}

/// Reports that a reload or an upgrade has begun.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => say(&[NotifyState::Reloading, now]),
        Err(_) => say(&[NotifyState::Reloading]),
    }
}

/// Reports the result of an upgrade. From here on the manager listens to the child process.
pub(super) fn upgraded(upgraded: &UpgradeOutcome) {
    match upgraded {
        UpgradeOutcome::Done { pid, .. } => say(&[NotifyState::MainPid(*pid), NotifyState::Ready]),
        UpgradeOutcome::Rejected { .. } => say(&[NotifyState::Ready]),
    }
}

/// Reports that the server stops.
pub(super) fn stopping() {
    say(&[NotifyState::Stopping]);
}

fn say(what: &[NotifyState<'_>]) {
    // A manager that does not listen must not prevent serving.
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
