//! The reload trigger, which collects the causes of reloads.
//!
//! A thousand saves, three signals and an operator's command are one reload. Causes are flags, not
//! a queue that grows, and one reload serves all requests before it. Only callers that wait for the
//! result use memory, and their number is limited.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use seawall_admin_api::{Back, ReloadCause, ReloadOutcome};
use seawall_model::Now;
use tokio::sync::oneshot;

use crate::util::stop_flag::StopFlag;

/// Debounce in milliseconds: the quiet time after a change. An editor's save is a few events within
/// two milliseconds. The rest is for slow disks, and people do not notice it.
pub const DEBOUNCE_MS: u64 = 50;
/// The same while a writer still has a file open, in milliseconds.
pub const WRITING_QUIET_MS: u64 = 250;
/// Maximum by which changes may delay a reload, in milliseconds: a storm of saves causes at most
/// three reloads per second. Among hundreds of members there are saves all the time, and the
/// operator's edit must become active within a second.
pub const SETTLE_MS_MAX: u64 = 300;
/// Time to the next automatic reload after files kept changing during the read, in milliseconds.
pub(crate) const LOOK_SOON_MS: u64 = 1_000;
/// Maximum of callers that wait for the result of one reload.
pub const WAITERS_MAX: usize = 64;

/// What the watcher saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileChange {
    /// Every written file was closed, or is not known to be open.
    Closed,
    /// A writer still has a file open.
    StillOpen,
}

/// Why a caller cannot wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TooManyWaiters {
    /// There are [`WAITERS_MAX`] callers already.
    #[error("too many callers wait for a reload already")]
    Waiters,
    /// No reload takes place any more.
    #[error("the server is stopping")]
    Stopping,
}

/// Collects requests for reloads.
#[derive(Debug, Default)]
pub struct ReloadTrigger {
    pending: Mutex<Pending>,
    rung: Condvar,
    stop: StopFlag,
}

#[derive(Debug, Default)]
struct Pending {
    cause: Option<ReloadCause>,
    change: Option<FileChange>,
    waiters: Vec<Waiter>,
    /// Another reload is due after [`LOOK_SOON_MS`].
    soon: bool,
    stopped: bool,
}

/// One reload to do, and its waiting callers.
#[derive(Debug)]
pub(crate) struct PendingReload {
    /// The strongest cause.
    pub(crate) cause: ReloadCause,
    /// The waiting callers.
    pub(crate) waiters: Vec<Waiter>,
}

/// What is requested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReloadKind {
    /// A reload; `lift` also ends what this rule set.
    Reload {
        /// The rule's full name.
        lift: Option<String>,
    },
    /// A rollback.
    RollBack {
        /// The generation; without it the previous one.
        to: Option<u64>,
        /// The owner of the files.
        back: Back,
        /// Whether to end what later generations set.
        lift: bool,
    },
}

impl ReloadKind {
    /// A plain reload.
    pub const RELOAD: Self = Self::Reload { lift: None };
}

/// A caller that waits for the result.
#[derive(Debug)]
pub(crate) struct Waiter {
    pub(crate) wish: ReloadKind,
    /// The user id.
    pub(crate) by_uid: Option<u32>,
    sender: oneshot::Sender<ReloadOutcome>,
}

impl Waiter {
    /// Sends the result. A caller that has left is ignored.
    pub(crate) fn answer(self, outcome: ReloadOutcome) {
        drop(self.sender.send(outcome));
    }
}

/// Whether to continue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WaitResult {
    Over,
    Stopped,
}

impl ReloadTrigger {
    /// Returns a trigger that sets `stop` when the reloading is to end.
    pub(crate) fn stopping_with(stop: StopFlag) -> Self {
        Self { stop, ..Self::default() }
    }

    /// Records that files may have changed.
    pub fn on_file_change(&self, change: FileChange) {
        let mut pending = self.lock();
        pending.cause = pending.cause.max(Some(ReloadCause::Change));
        pending.change = Some(change);
        self.rung.notify_all();
    }

    /// Requests a reload without waiting for it, as SIGHUP does.
    pub fn on_sighup(&self) {
        let mut pending = self.lock();
        pending.cause = pending.cause.max(Some(ReloadCause::Signal));
        self.rung.notify_all();
    }

    /// Does the same, and returns the receiver of the result.
    ///
    /// # Errors
    /// Too many callers wait; the reload is requested all the same.
    pub fn on_sighup_with_result(
        &self,
    ) -> Result<oneshot::Receiver<ReloadOutcome>, TooManyWaiters> {
        let waiting = self.wait_for(ReloadKind::RELOAD, None, ReloadCause::Signal);
        waiting.inspect_err(|_| self.on_sighup())
    }

    /// Requests a reload or a rollback, and returns the receiver of the result.
    ///
    /// # Errors
    /// Too many callers wait.
    pub fn request(
        &self,
        wish: ReloadKind,
        by_uid: Option<u32>,
    ) -> Result<oneshot::Receiver<ReloadOutcome>, TooManyWaiters> {
        let cause = match wish {
            ReloadKind::Reload { .. } => ReloadCause::Command,
            ReloadKind::RollBack { .. } => ReloadCause::Rollback,
        };
        self.wait_for(wish, by_uid, cause)
    }

    fn wait_for(
        &self,
        wish: ReloadKind,
        by_uid: Option<u32>,
        cause: ReloadCause,
    ) -> Result<oneshot::Receiver<ReloadOutcome>, TooManyWaiters> {
        let mut pending = self.lock();
        if pending.stopped {
            return Err(TooManyWaiters::Stopping);
        }
        if pending.waiters.len() >= WAITERS_MAX {
            return Err(TooManyWaiters::Waiters);
        }
        let (sender, receiver) = oneshot::channel();
        pending.waiters.push(Waiter { wish, by_uid, sender });
        pending.cause = pending.cause.max(Some(cause));
        self.rung.notify_all();
        Ok(receiver)
    }

    /// Makes the next automatic reload come soon.
    pub(crate) fn look_soon(&self) {
        self.lock().soon = true;
    }

    /// Ends the reloading: a current reload ends at its next step and publishes nothing. Waiting
    /// callers get no result.
    pub fn stop(&self) {
        let mut pending = self.lock();
        pending.stopped = true;
        let waiters = std::mem::take(&mut pending.waiters);
        drop(pending);
        self.stop.stop();
        drop(waiters);
        self.rung.notify_all();
    }

    /// Returns whether the reloading is to end.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.is_stopped()
    }

    /// Waits for a request for at most `poll`, after which an automatic reload is due. Returns none
    /// once it is stopped.
    pub(crate) fn wait(&self, poll: Duration) -> Option<PendingReload> {
        let idle = |p: &mut Pending| p.cause.is_none() && !p.stopped;
        let mut pending = self.lock();
        let poll = patience(poll, std::mem::take(&mut pending.soon));
        let (mut pending, _) = self
            .rung
            .wait_timeout_while(pending, poll, idle)
            .unwrap_or_else(PoisonError::into_inner);
        (!pending.stopped).then(|| pending.take(ReloadCause::Poll))
    }

    /// Debounces changes, and adds requests that arrive meanwhile to `call`. Callers that wait, and
    /// signals, are not delayed.
    pub(crate) fn settle(&self, mut call: PendingReload, now: &Now) -> PendingReload {
        let began = now();
        while call.cause == ReloadCause::Change && now().since_ms(began) < SETTLE_MS_MAX {
            let mut pending = self.lock();
            let quiet_ms = match pending.change {
                Some(FileChange::StillOpen) => WRITING_QUIET_MS,
                Some(FileChange::Closed) | None => DEBOUNCE_MS,
            };
            let idle = |p: &mut Pending| p.cause.is_none() && !p.stopped;
            pending.change = None;
            let (mut pending, timeout) = self
                .rung
                .wait_timeout_while(pending, Duration::from_millis(quiet_ms), idle)
                .unwrap_or_else(PoisonError::into_inner);
            if timeout.timed_out() || pending.stopped {
                return call;
            }
            let more = pending.take(ReloadCause::Change);
            call.cause = call.cause.max(more.cause);
            call.waiters.extend(more.waiters);
        }
        call
    }

    /// Waits for `ms`, or less when stopped.
    pub(crate) fn pause(&self, ms: u64) -> WaitResult {
        let (pending, _) = self
            .rung
            .wait_timeout_while(self.lock(), Duration::from_millis(ms), |p| !p.stopped)
            .unwrap_or_else(PoisonError::into_inner);
        if pending.stopped { WaitResult::Stopped } else { WaitResult::Over }
    }

    /// A poisoned lock is used on: it holds flags that are valid one by one.
    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the time to the next automatic reload.
fn patience(poll: Duration, soon: bool) -> Duration {
    if soon { poll.min(Duration::from_millis(LOOK_SOON_MS)) } else { poll }
}

impl Pending {
    /// Takes what is pending as one reload. The kind of the last change stays for
    /// [`ReloadTrigger::settle`].
    fn take(&mut self, otherwise: ReloadCause) -> PendingReload {
        PendingReload {
            cause: self.cause.take().unwrap_or(otherwise),
            waiters: std::mem::take(&mut self.waiters),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::util::clock::clock;

    const SHORT: Duration = Duration::from_millis(1);

    #[test]
    fn whatever_asks_before_a_reload_is_one_call_with_the_strongest_cause() {
        let trigger = ReloadTrigger::default();
        (0..1_000).for_each(|_| trigger.on_file_change(FileChange::Closed));
        trigger.on_sighup();
        trigger.on_file_change(FileChange::Closed);
        assert_eq!(trigger.wait(SHORT).unwrap().cause, ReloadCause::Signal);
        assert_eq!(trigger.wait(SHORT).unwrap().cause, ReloadCause::Poll);
    }

    #[test]
    fn waiters_are_taken_up_to_their_limit_and_refused_past_it() {
        let trigger = ReloadTrigger::default();
        let mut waiting: Vec<_> =
            (0..WAITERS_MAX).map(|_| trigger.request(ReloadKind::RELOAD, None).unwrap()).collect();
        assert_eq!(trigger.request(ReloadKind::RELOAD, None).unwrap_err(), TooManyWaiters::Waiters);
        let call = trigger.wait(SHORT).unwrap();
        assert_eq!(call.cause, ReloadCause::Command);
        trigger.request(ReloadKind::RELOAD, None).unwrap();
        let unchanged =
            ReloadOutcome::Unchanged { generation: 7, cleared: None, members: Default::default() };
        call.waiters.into_iter().for_each(|waiter| waiter.answer(unchanged.clone()));
        for receiver in &mut waiting {
            assert_eq!(receiver.try_recv().unwrap(), unchanged);
        }
    }

    #[test]
    fn a_command_is_not_made_to_wait_for_quiet() {
        let trigger = ReloadTrigger::default();
        trigger.on_file_change(FileChange::StillOpen);
        let _receiver = trigger.request(ReloadKind::RELOAD, None).unwrap();
        let call = trigger.wait(SHORT).unwrap();
        let stuck: Now = std::sync::Arc::new(|| seawall_model::Tick(0));
        assert_eq!(trigger.settle(call, &stuck).cause, ReloadCause::Command);
    }

    #[test]
    fn settling_ends_even_if_changes_do_not() {
        let trigger = std::sync::Arc::new(ReloadTrigger::default());
        trigger.on_file_change(FileChange::Closed);
        let call = trigger.wait(SHORT).unwrap();
        let done = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let (ringer, stop) = (trigger.clone(), done.clone());
        let thread = std::thread::spawn(move || {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                ringer.on_file_change(FileChange::StillOpen);
                std::thread::yield_now();
            }
        });
        assert_eq!(trigger.settle(call, &clock()).cause, ReloadCause::Change);
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        thread.join().unwrap();
    }

    #[test]
    fn a_look_that_is_wanted_soon_comes_then_and_once() {
        let soon = Duration::from_millis(LOOK_SOON_MS);
        let second = Duration::from_millis(1);
        assert_eq!(patience(soon + second, true), soon, "past it");
        assert_eq!(patience(soon, true), soon, "at it");
        assert_eq!(patience(soon - second, true), soon - second, "what comes by itself is sooner");
        assert_eq!(patience(soon + second, false), soon + second);
        let trigger = ReloadTrigger::default();
        trigger.look_soon();
        assert!(trigger.lock().soon);
        // Far from any poll: the test is that it comes at all.
        assert_eq!(trigger.wait(Duration::from_secs(3_600)).unwrap().cause, ReloadCause::Poll);
        assert!(!trigger.lock().soon, "once");
    }

    #[test]
    fn a_stopped_bell_ends_every_wait() {
        let stop = StopFlag::default();
        let trigger = ReloadTrigger::stopping_with(stop.clone());
        trigger.stop();
        trigger.on_file_change(FileChange::Closed);
        assert!(trigger.wait(Duration::from_secs(600)).is_none());
        assert_eq!(trigger.pause(600_000), WaitResult::Stopped);
        assert!(trigger.is_stopped() && stop.is_stopped());
    }

    #[test]
    fn who_waits_for_a_bell_that_is_stopped_hears_that_nothing_comes() {
        let trigger = ReloadTrigger::default();
        let waiting = trigger.request(ReloadKind::RELOAD, None).unwrap();
        trigger.stop();
        assert!(waiting.blocking_recv().is_err());
        assert_eq!(
            trigger.request(ReloadKind::RELOAD, None).unwrap_err(),
            TooManyWaiters::Stopping
        );
        assert!(trigger.on_sighup_with_result().is_err());
    }
}
