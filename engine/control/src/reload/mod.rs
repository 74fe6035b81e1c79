//! The reloader: reads, builds and tests a policy, then publishes or rejects it.
//!
//! One thread does one reload at a time, for all causes. It must not use a partly written file, so
//! the content is read twice before it is used. A policy that fails right after a change is read
//! once more before the error is reported. So an editor's save in two steps causes no error, and an
//! invalid policy is reported within half a second.
//!
//! Limitation: if a writer pauses for longer than the debounce, and the part on the disk is a valid
//! policy, that part is published until the writer continues.

pub(crate) mod backend;
pub(crate) mod counter_report;
mod rollback;
pub(crate) mod status;
pub(crate) mod trigger;
pub(crate) mod watcher;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use backend::{Beside, ClearPenalties, NotRead, Patience, PolicyBackend, Published};
pub use rollback::ranges;
use seawall_admin_api::{Past, PolicyRejection, ReloadCause, ReloadOutcome, RollbackPin};
use seawall_model::Now;

use crate::admin::rejection::own_refusal;
use crate::generations::contents::PublishContext;
use crate::policy_source::loader::{AGAIN_MS, READS_MAX};
use crate::reload::status::ReloadStatus;
use crate::reload::trigger::{PendingReload, ReloadKind, ReloadTrigger, WaitResult, Waiter};
use crate::storage::write_gate::{Closed, WriteGate};

/// Interval of automatic reloads, in milliseconds: the shortest that a list's `reload` may request.
pub const POLL_MS: u64 = seawall_ruleset::LIST_RELOAD_MS_MIN;
/// Milliseconds after a change in which a failing policy may still be incomplete. With the debounce
/// and the check of a large policy the sum stays under 500.
pub const DOUBT_MS: u64 = 200;

/// Does the reloads.
pub(crate) struct Reloader<F: PolicyBackend> {
    forge: F,
    trigger: Arc<ReloadTrigger>,
    board: Arc<ReloadStatus>,
    now: Now,
    /// Digest of the active sources.
    running: [u8; 32],
    /// Digest of the last rejected sources, and the reason.
    refused: Option<([u8; 32], PolicyRejection)>,
    /// The rollback pin.
    aside: Option<RollbackPin>,
    /// Entered to change what is active, and only for that: long operations run outside.
    still: Arc<WriteGate>,
}

/// Result of one attempt.
enum ReloadAttempt {
    Done(ReloadOutcome),
    /// The same as before: there is nothing to report.
    Stale(ReloadOutcome),
    FilesChanging,
}

impl<F: PolicyBackend> Reloader<F> {
    /// Returns a reloader for active sources with the digest `running`; `aside` is the rollback
    /// pin.
    pub(crate) fn new(
        forge: F,
        (trigger, board): (Arc<ReloadTrigger>, Arc<ReloadStatus>),
        still: Arc<WriteGate>,
        now: Now,
        (running, aside): ([u8; 32], Option<RollbackPin>),
    ) -> Self {
        Self { forge, trigger, board, now, running, refused: None, aside, still }
    }

    /// Reloads on request and every `poll`, until the trigger is stopped. `before` runs before each
    /// reload. After the state was transferred to a child process, requests get an error.
    pub(crate) fn run(mut self, poll: Duration, mut before: impl FnMut()) {
        while let Some(call) = self.trigger.wait(poll) {
            let call = self.trigger.settle(call, &self.now);
            if self.still.is_gone() {
                let gone = self.refuse_with(&Closed::Gone.to_string());
                call.waiters.into_iter().for_each(|waiter| waiter.answer(gone.clone()));
                continue;
            }
            before();
            self.serve(call);
        }
    }

    /// Does one reload for all that request one, then each rollback by itself. Files that were
    /// saved at the time of a rollback are reloaded before it.
    fn serve(&mut self, call: PendingReload) {
        let is_reload = |waiter: &Waiter| matches!(waiter.wish, ReloadKind::Reload { .. });
        let (reloads, backs): (Vec<_>, Vec<_>) = call.waiters.into_iter().partition(is_reload);
        if backs.is_empty() || !reloads.is_empty() {
            let cause = if backs.is_empty() { call.cause } else { ReloadCause::Command };
            let by_uid = reloads.first().and_then(|waiter| waiter.by_uid);
            let outcome = self.reload(cause, by_uid);
            for waiter in reloads {
                let outcome = self.lifting(outcome.clone(), &waiter.wish);
                waiter.answer(outcome);
            }
        }
        for waiter in backs {
            let outcome = self.rollback_to(&waiter.wish, waiter.by_uid);
            waiter.answer(outcome);
        }
    }

    /// Ends what a rule set, if that was requested and the reload was not rejected.
    fn lifting(&mut self, outcome: ReloadOutcome, wish: &ReloadKind) -> ReloadOutcome {
        let ReloadKind::Reload { lift: Some(rule) } = wish else { return outcome };
        self.clear_penalties(outcome, &ClearPenalties::Rule(rule.clone()))
    }

    fn clear_penalties(
        &mut self,
        mut outcome: ReloadOutcome,
        lift: &ClearPenalties,
    ) -> ReloadOutcome {
        if let ReloadOutcome::Published { cleared, .. } | ReloadOutcome::Unchanged { cleared, .. } =
            &mut outcome
            && let Ok(_changing) = self.still.enter()
        {
            let ended = self.forge.lift(lift);
            log::info!(
                target: "seawall::policy",
                "cleared {} bans and {} holds",
                ended.bans, ended.holds,
            );
            *cleared = Some(ended);
        }
        outcome
    }

    fn reload(&mut self, cause: ReloadCause, by_uid: Option<u32>) -> ReloadOutcome {
        let began = (self.now)();
        let occasion =
            PublishContext { cause, by_uid, restored_from: None, host_since: None, began };
        // Changed files are a retry by themselves.
        if cause != ReloadCause::Change {
            self.forge.try_again(cause >= ReloadCause::Signal);
        }
        for read in 0..READS_MAX {
            match self.attempt(occasion, Patience::of(read)) {
                ReloadAttempt::Done(outcome) => {
                    self.tell(occasion, &outcome);
                    return outcome;
                }
                ReloadAttempt::Stale(outcome) => return outcome,
                ReloadAttempt::FilesChanging
                    if self.trigger.pause(AGAIN_MS) == WaitResult::Stopped =>
                {
                    return self.unchanged();
                }
                ReloadAttempt::FilesChanging => {}
            }
        }
        let outcome = self.refuse_with("the files keep changing while they are read");
        self.tell(occasion, &outcome);
        outcome
    }

    /// Reads and builds the policy. Sources are only used if two reads are the same.
    fn attempt(&mut self, occasion: PublishContext, patience: Patience) -> ReloadAttempt {
        let cause = occasion.cause;
        // A request activates the files on the disk.
        let aside = self.aside.clone().filter(|_| cause < ReloadCause::Signal);
        let serves = self.board.newest();
        let beside = aside.as_ref().zip(serves.as_deref());
        let beside = beside.map(|(aside, serves)| Beside { aside, serves });
        let mut draft = match self.forge.gather(patience, beside) {
            Ok(draft) => draft,
            Err(NotRead::Unsettled) => return ReloadAttempt::FilesChanging,
            Err(NotRead::Refused(rejection)) => return self.not_kept(rejection),
        };
        if self.trigger.is_stopped() {
            return ReloadAttempt::Stale(self.unchanged());
        }
        if let Some(known) = self.known(&draft, cause) {
            return known;
        }
        let before = self.forge.digest(&draft);
        if !self.forge.reads_as(&mut draft, patience, beside) {
            return ReloadAttempt::FilesChanging;
        }
        let running = self.forge.digest(&draft);
        // The part that was left out in the second read may be the only difference.
        if running != before
            && let Some(known) = self.known(&draft, cause)
        {
            return known;
        }
        match self.assemble(&draft) {
            Ok(ready) => ReloadAttempt::Done(self.publish((ready, &draft), occasion, running)),
            Err(rejection) => {
                if cause == ReloadCause::Change
                    && (self.trigger.pause(DOUBT_MS) == WaitResult::Stopped
                        || !self.forge.reads_as(&mut draft, patience, beside))
                {
                    return ReloadAttempt::FilesChanging;
                }
                self.refused = Some((running, rejection.clone()));
                let generation = self.forge.generation();
                ReloadAttempt::Done(ReloadOutcome::Rejected { generation, rejection })
            }
        }
    }

    /// Returns the result if the files of a rollback cannot be read again. The files on the disk
    /// are not used instead, and the error is reported once.
    fn not_kept(&mut self, rejection: PolicyRejection) -> ReloadAttempt {
        let outcome = ReloadOutcome::Rejected { generation: self.forge.generation(), rejection };
        let ReloadOutcome::Rejected { rejection, .. } = &outcome else {
            return ReloadAttempt::FilesChanging;
        };
        if self.refused.as_ref().is_some_and(|(_, before)| before == rejection) {
            return ReloadAttempt::Stale(outcome);
        }
        self.refused = Some((self.running, rejection.clone()));
        ReloadAttempt::Done(outcome)
    }

    /// Returns the result if there is nothing to do for this draft.
    fn known(&mut self, draft: &F::Draft, cause: ReloadCause) -> Option<ReloadAttempt> {
        if self.forge.is_restless(draft) {
            self.trigger.look_soon();
        }
        let running = self.forge.digest(draft);
        if running == self.running {
            self.refused = None;
            self.pin_rollback(self.forge.aside(draft));
            return Some(ReloadAttempt::Done(self.unchanged()));
        }
        self.previous_outcome(running)
            .filter(|_| cause < ReloadCause::Signal)
            .map(ReloadAttempt::Stale)
    }

    /// Returns the earlier rejection of this content, if there was one.
    fn previous_outcome(&self, running: [u8; 32]) -> Option<ReloadOutcome> {
        let (refused, rejection) = self.refused.as_ref()?;
        let generation = self.forge.generation();
        (*refused == running)
            .then(|| ReloadOutcome::Rejected { generation, rejection: rejection.clone() })
    }

    fn pin_rollback(&mut self, aside: Option<RollbackPin>) {
        self.board.set_rollback_pin(aside.clone());
        self.aside = aside;
    }

    fn unchanged(&self) -> ReloadOutcome {
        let members = self.forge.members_refused();
        ReloadOutcome::Unchanged { generation: self.forge.generation(), cleared: None, members }
    }

    /// Builds a draft. A panic is an error of Seawall and must not end the reloading for good.
    fn assemble(&mut self, draft: &F::Draft) -> Result<F::Ready, PolicyRejection> {
        if self.trigger.is_stopped() {
            return Err(own_refusal("the server is stopping"));
        }
        let forge = &mut self.forge;
        catch_unwind(AssertUnwindSafe(|| forge.assemble(draft))).unwrap_or_else(|_| {
            Err(own_refusal("building this policy failed inside Seawall; please report it"))
        })
    }

    /// Publishes a built draft, unless this process has handed over since, or is about to end.
    /// `running` is the draft's digest from before the build: postponed files change the digest of
    /// a later one.
    fn publish(
        &mut self,
        (ready, draft): (F::Ready, &F::Draft),
        occasion: PublishContext,
        running: [u8; 32],
    ) -> ReloadOutcome {
        let still = self.still.clone();
        let _changing = match still.enter() {
            Ok(changing) => changing,
            Err(closed) => return self.refuse_with(&closed.to_string()),
        };
        if self.trigger.is_stopped() {
            return self.refuse_with("the server is stopping");
        }
        self.pin_rollback(self.forge.aside(draft));
        let Published { generation, counters, warnings, tests, made } =
            self.forge.publish(ready, draft);
        self.running = running;
        self.refused = None;
        let before = self.board.newest();
        let past = made.past((generation, (self.now)()), occasion, before.as_deref());
        let (duration_ms, restored_from) = (past.duration_ms, past.restored_from);
        let warned = warnings.len();
        self.board.published(Past { counters: counters.clone(), tests, warnings: warned, ..past });
        let cleared = None;
        ReloadOutcome::Published {
            generation,
            duration_ms,
            counters,
            warnings,
            restored_from,
            cleared,
        }
    }

    fn refuse_with(&self, message: &str) -> ReloadOutcome {
        ReloadOutcome::Rejected {
            generation: self.forge.generation(),
            rejection: own_refusal(message),
        }
    }

    /// Records and logs the result, and then does what could wait for that.
    fn tell(&mut self, occasion: PublishContext, outcome: &ReloadOutcome) {
        let PublishContext { cause, began, .. } = occasion;
        self.board.record_outcome(cause, (self.now)().since_ms(began), outcome);
        log_outcome(cause, outcome);
        if matches!(outcome, ReloadOutcome::Published { .. }) {
            self.forge.afterwards(self.board.read());
            if self.forge.is_unfinished() {
                self.trigger.look_soon();
            }
        }
    }
}

fn log_outcome(cause: ReloadCause, outcome: &ReloadOutcome) {
    let summary = outcome.summary();
    match outcome {
        ReloadOutcome::Published { counters, warnings, .. } => {
            log::info!(target: "seawall::policy", "{summary}");
            for line in counters.lines() {
                log::info!(target: "seawall::policy", "{line}");
            }
            for warning in warnings {
                log::warn!(target: "seawall::policy", "{warning}");
            }
        }
        ReloadOutcome::Unchanged { .. } if cause >= ReloadCause::Signal => {
            log::info!(target: "seawall::policy", "{summary}");
        }
        ReloadOutcome::Unchanged { .. } => {}
        ReloadOutcome::Rejected { rejection, .. } => {
            for error in &rejection.errors {
                log::error!(target: "seawall::policy", "{error}");
            }
            log::error!(target: "seawall::policy", "the reload is {summary}");
        }
    }
}

#[cfg(test)]
mod tests;
