//! The reloader: read, assemble, rehearse, then publish or refuse.
//!
//! One thread does one reload at a time, whoever asked. The hard part is not reading a good file
//! but not believing a half-written one, so the content is read twice before it is believed, and a
//! policy that fails right after a change is read once more before anybody is told: an editor's
//! save in two steps makes no noise, and a policy that is wrong is reported within half a second.
//!
//! Where this does not protect: a writer that pauses for longer than the quiet time with a part of
//! a file on disk that happens to be a good policy has that part published, until it goes on.

pub(crate) mod backend;
pub(crate) mod counter_report;
mod rollback;
pub(crate) mod status;
pub(crate) mod trigger;
pub(crate) mod watcher;

pub use rollback::ranges;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use seawall_model::{Now, Tick};

use crate::admin::api::{Cause, Complaint, Lifted, MembersRefused, Outcome, Refusal, Tests};
use crate::generations::{Aside, Made, Occasion};
use crate::policy_source::loader::Back;
use crate::reload::counter_report::Carried;
use crate::reload::status::{Board, Past, Posted};
use crate::reload::trigger::{Bell, Call, Pause, Waiter, Wish};
use crate::upgrade::{Closed, Still};

/// Time between two looks that nobody asked for, in milliseconds, which is what a `reload` of a list
/// may ask for.
pub const POLL_MS: u64 = seawall_ruleset::LIST_RELOAD_MS_MIN;
/// Time in which a policy that fails right after a change may still be being written, in
/// milliseconds. With the debounce and the check of a large policy it stays under 500.
pub const DOUBT_MS: u64 = 200;
/// Time between two reads of files that change while they are read, in milliseconds.
pub const AGAIN_MS: u64 = 50;
/// Most reads of files that keep changing before that is told: two seconds and a half.
pub const READS_MAX: u32 = 50;

/// Reads in which a member's files that change are waited for like the host's; after them her last
/// good part serves, and the rest goes on.
pub(crate) const PATIENT_READS: u32 = 1;

/// Why there is no draft.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NotRead {
    /// The files changed while they were read.
    Unsettled,
    /// What a rollback put in their place is not kept any more.
    Refused(Refusal),
}

/// What was left on the disk by a rollback, and the generation that serves instead of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Beside<'a> {
    pub(crate) aside: &'a Aside,
    pub(crate) serves: &'a Past,
}

/// Whether a member's files that change while they are read are waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    Some,
    None,
}

impl Patience {
    /// That of a read, counted from nought.
    pub(crate) const fn of(read: u32) -> Self {
        if read < PATIENT_READS { Self::Some } else { Self::None }
    }
}

/// A generation that was published.
#[derive(Debug)]
pub(crate) struct Published {
    pub(crate) generation: u64,
    pub(crate) carried: Carried,
    pub(crate) warnings: Vec<String>,
    pub(crate) tests: Tests,
    /// What it is made of.
    pub(crate) made: Made,
}

/// What is to be ended since it was wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Lift {
    /// Whatever this rule set.
    Rule(String),
    /// Whatever rules of these generations set, the first of which was published then.
    Generations(BTreeSet<u64>, Tick),
}

/// What makes and publishes generations. A trait, so that the reloader's manners are tested
/// without a policy language behind them.
pub(crate) trait Forge: Send {
    /// What was read.
    type Draft;
    /// What may be published.
    type Ready;
    /// Reads all that the root reaches, but for what is aside. Without patience a member's files
    /// that change are left out of it.
    fn gather(
        &mut self,
        patience: Patience,
        beside: Option<Beside<'_>>,
    ) -> Result<Self::Draft, NotRead>;
    /// What of the disk this draft leaves out of force.
    fn aside(&self, draft: &Self::Draft) -> Option<Aside>;
    /// Reads again and says whether the same was there. Without patience a member whose files
    /// read otherwise is left out of the draft instead.
    fn reads_as(
        &mut self,
        draft: &mut Self::Draft,
        patience: Patience,
        beside: Option<Beside<'_>>,
    ) -> bool {
        self.gather(patience, beside).is_ok_and(|again| self.digest(&again) == self.digest(draft))
    }
    /// Whether something was left out since it changes, so that another look is due soon.
    fn is_restless(&self, _draft: &Self::Draft) -> bool {
        false
    }
    /// Whether what judges was made without all of the files, since there was too much to do at
    /// once, so that another reload is due soon.
    fn is_unfinished(&self) -> bool {
        false
    }
    /// Lets what the machine was to blame for be tried again with the same files, since somebody
    /// asks or since it is a while ago.
    fn try_again(&mut self, _is_asked: bool) {}
    /// Reads what is to be in force where somebody goes back to an earlier generation, with
    /// whatever of the disk that leaves out. The files on the disk may be found changing.
    fn recall(
        &mut self,
        past: &Past,
        back: &Back,
        beside: Beside<'_>,
    ) -> Result<Self::Draft, Refusal>;
    /// Whether files changed while this was read.
    fn is_changing(&self, _draft: &Self::Draft) -> bool {
        false
    }
    /// What differs where a reload could come out otherwise.
    fn digest(&self, draft: &Self::Draft) -> [u8; 32];
    /// Checks, builds and rehearses it.
    fn assemble(&mut self, draft: &Self::Draft) -> Result<Self::Ready, Refusal>;
    /// Makes what was assembled of a draft what judges.
    fn publish(&mut self, ready: Self::Ready, draft: &Self::Draft) -> Published;
    /// Ends what was set by mistake.
    fn lift(&mut self, lift: &Lift) -> Lifted;
    /// Does what can wait until the generation is on the board.
    fn afterwards(&mut self, _posted: Posted) {}
    /// The number of what judges.
    fn generation(&self) -> u64;
    /// The members whose files are not in force.
    fn members_refused(&self) -> MembersRefused {
        MembersRefused::default()
    }
}

/// The one that reloads.
pub(crate) struct Reloader<F: Forge> {
    forge: F,
    bell: Arc<Bell>,
    board: Arc<Board>,
    now: Now,
    /// Digest of what is running.
    running: [u8; 32],
    /// Digest of what was refused last, and why.
    refused: Option<([u8; 32], Refusal)>,
    /// What a rollback left on the disk, which is not taken again by itself.
    aside: Option<Aside>,
    /// Entered to change what is in force, and only for that: whatever takes long is done outside.
    still: Arc<Still>,
}

/// How one attempt ended.
enum Attempt {
    Done(Outcome),
    /// The same as before, to which nothing is added.
    Stale(Outcome),
    Unsettled,
}

impl<F: Forge> Reloader<F> {
    /// A reloader for what runs already, whose content has the digest `running`, while what lies on
    /// the disk may be `aside`.
    pub(crate) fn new(
        forge: F,
        (bell, board): (Arc<Bell>, Arc<Board>),
        still: Arc<Still>,
        now: Now,
        (running, aside): ([u8; 32], Option<Aside>),
    ) -> Self {
        Self { forge, bell, board, now, running, refused: None, aside, still }
    }

    /// Reloads when asked and looks every `poll`, until the bell is stopped. `before` runs ahead
    /// of each reload; where all was given away to a successor, whoever asks is told so.
    pub(crate) fn run(mut self, poll: Duration, mut before: impl FnMut()) {
        while let Some(call) = self.bell.wait(poll) {
            let call = self.bell.settle(call, &self.now);
            if self.still.is_gone() {
                let gone = self.refuse_with(&Closed::Gone.to_string());
                call.waiters.into_iter().for_each(|waiter| waiter.answer(gone.clone()));
                continue;
            }
            before();
            self.serve(call);
        }
    }

    /// One reload for whoever wants one, then each rollback by itself. What was saved at the moment
    /// of a rollback is what it goes back from.
    fn serve(&mut self, call: Call) {
        let is_reload = |waiter: &Waiter| matches!(waiter.wish, Wish::Reload { .. });
        let (reloads, backs): (Vec<_>, Vec<_>) = call.waiters.into_iter().partition(is_reload);
        if backs.is_empty() || !reloads.is_empty() {
            let cause = if backs.is_empty() { call.cause } else { Cause::Command };
            let by_uid = reloads.first().and_then(|waiter| waiter.by_uid);
            let outcome = self.reload(cause, by_uid);
            for waiter in reloads {
                let outcome = self.lifting(outcome.clone(), &waiter.wish);
                waiter.answer(outcome);
            }
        }
        for waiter in backs {
            let outcome = self.roll_back(&waiter.wish, waiter.by_uid);
            waiter.answer(outcome);
        }
    }

    /// Ends what a rule set, where that was wanted and the reload was not refused.
    fn lifting(&mut self, outcome: Outcome, wish: &Wish) -> Outcome {
        let Wish::Reload { lift: Some(rule) } = wish else { return outcome };
        self.lift_with(outcome, &Lift::Rule(rule.clone()))
    }

    fn lift_with(&mut self, mut outcome: Outcome, lift: &Lift) -> Outcome {
        if let Outcome::Published { lifted, .. } | Outcome::Unchanged { lifted, .. } = &mut outcome
            && let Ok(_changing) = self.still.enter()
        {
            let ended = self.forge.lift(lift);
            log::info!(
                target: "seawall::policy",
                "ended {} bans and {} holds",
                ended.bans, ended.holds,
            );
            *lifted = Some(ended);
        }
        outcome
    }

    fn reload(&mut self, cause: Cause, by_uid: Option<u32>) -> Outcome {
        let began = (self.now)();
        let occasion = Occasion { cause, by_uid, restores: None, host_since: None, began };
        // Files that changed are another try by themselves.
        if cause != Cause::Change {
            self.forge.try_again(cause >= Cause::Signal);
        }
        for read in 0..READS_MAX {
            match self.attempt(occasion, Patience::of(read)) {
                Attempt::Done(outcome) => {
                    self.tell(occasion, &outcome);
                    return outcome;
                }
                Attempt::Stale(outcome) => return outcome,
                Attempt::Unsettled if self.bell.pause(AGAIN_MS) == Pause::Stopped => {
                    return self.unchanged();
                }
                Attempt::Unsettled => {}
            }
        }
        let outcome = self.refuse_with("the files keep changing while they are read");
        self.tell(occasion, &outcome);
        outcome
    }

    /// Reads and judges what is there. Nothing is believed that does not read the same twice.
    fn attempt(&mut self, occasion: Occasion, patience: Patience) -> Attempt {
        let cause = occasion.cause;
        // Whoever asks has what is on the disk.
        let aside = self.aside.clone().filter(|_| cause < Cause::Signal);
        let serves = self.board.newest();
        let beside = aside.as_ref().zip(serves.as_deref());
        let beside = beside.map(|(aside, serves)| Beside { aside, serves });
        let mut draft = match self.forge.gather(patience, beside) {
            Ok(draft) => draft,
            Err(NotRead::Unsettled) => return Attempt::Unsettled,
            Err(NotRead::Refused(refusal)) => return self.not_kept(refusal),
        };
        if self.bell.is_stopped() {
            return Attempt::Stale(self.unchanged());
        }
        if let Some(known) = self.known(&draft, cause) {
            return known;
        }
        let before = self.forge.digest(&draft);
        if !self.forge.reads_as(&mut draft, patience, beside) {
            return Attempt::Unsettled;
        }
        let running = self.forge.digest(&draft);
        // What was left out at the second look may be all that differed.
        if running != before
            && let Some(known) = self.known(&draft, cause)
        {
            return known;
        }
        match self.assemble(&draft) {
            Ok(ready) => Attempt::Done(self.publish((ready, &draft), occasion, running)),
            Err(refusal) => {
                if cause == Cause::Change
                    && (self.bell.pause(DOUBT_MS) == Pause::Stopped
                        || !self.forge.reads_as(&mut draft, patience, beside))
                {
                    return Attempt::Unsettled;
                }
                self.refused = Some((running, refusal.clone()));
                let generation = self.forge.generation();
                Attempt::Done(Outcome::Refused { generation, refusal })
            }
        }
    }

    /// How it ends where what a rollback put in force cannot be read again: what is on the disk is
    /// not taken instead of it. That is told once.
    fn not_kept(&mut self, refusal: Refusal) -> Attempt {
        let outcome = Outcome::Refused { generation: self.forge.generation(), refusal };
        let Outcome::Refused { refusal, .. } = &outcome else { return Attempt::Unsettled };
        if self.refused.as_ref().is_some_and(|(_, before)| before == refusal) {
            return Attempt::Stale(outcome);
        }
        self.refused = Some((self.running, refusal.clone()));
        Attempt::Done(outcome)
    }

    /// How it ends where nothing is to be done for this draft.
    fn known(&mut self, draft: &F::Draft, cause: Cause) -> Option<Attempt> {
        if self.forge.is_restless(draft) {
            self.bell.look_soon();
        }
        let running = self.forge.digest(draft);
        if running == self.running {
            self.refused = None;
            self.put_aside(self.forge.aside(draft));
            return Some(Attempt::Done(self.unchanged()));
        }
        self.stale(running).filter(|_| cause < Cause::Signal).map(Attempt::Stale)
    }

    /// What was said of this content before, where it was refused.
    fn stale(&self, running: [u8; 32]) -> Option<Outcome> {
        let (refused, refusal) = self.refused.as_ref()?;
        let generation = self.forge.generation();
        (*refused == running).then(|| Outcome::Refused { generation, refusal: refusal.clone() })
    }

    fn put_aside(&mut self, aside: Option<Aside>) {
        self.board.aside(aside.clone());
        self.aside = aside;
    }

    fn unchanged(&self) -> Outcome {
        let members = self.forge.members_refused();
        Outcome::Unchanged { generation: self.forge.generation(), lifted: None, members }
    }

    /// A panic while building is our fault and must not end the reloading for good.
    fn assemble(&mut self, draft: &F::Draft) -> Result<F::Ready, Refusal> {
        if self.bell.is_stopped() {
            return Err(own_refusal("the server is stopping"));
        }
        let forge = &mut self.forge;
        catch_unwind(AssertUnwindSafe(|| forge.assemble(draft))).unwrap_or_else(|_| {
            Err(own_refusal("building this policy failed inside Seawall; please report it"))
        })
    }

    /// Puts in force what was assembled, unless that was too long ago: this process may have handed
    /// over since, or be about to end. `running` is the draft's digest from before it was assembled:
    /// what was left for another reload shows in a later one.
    fn publish(
        &mut self,
        (ready, draft): (F::Ready, &F::Draft),
        occasion: Occasion,
        running: [u8; 32],
    ) -> Outcome {
        let still = self.still.clone();
        let _changing = match still.enter() {
            Ok(changing) => changing,
            Err(closed) => return self.refuse_with(&closed.to_string()),
        };
        if self.bell.is_stopped() {
            return self.refuse_with("the server is stopping");
        }
        self.put_aside(self.forge.aside(draft));
        let Published { generation, carried, warnings, tests, made } =
            self.forge.publish(ready, draft);
        self.running = running;
        self.refused = None;
        let before = self.board.newest();
        let past = made.past((generation, (self.now)()), occasion, before.as_deref());
        let (took_ms, restores) = (past.took_ms, past.restores);
        let report = carried.clone();
        self.board.published(Past { report, tests, warnings: warnings.len(), ..past });
        Outcome::Published { generation, took_ms, carried, warnings, restores, lifted: None }
    }

    fn refuse_with(&self, message: &str) -> Outcome {
        Outcome::Refused { generation: self.forge.generation(), refusal: own_refusal(message) }
    }

    /// Tells how it ended, and then does what could wait until that was known.
    fn tell(&mut self, occasion: Occasion, outcome: &Outcome) {
        let Occasion { cause, began, .. } = occasion;
        self.board.ended(cause, (self.now)().since_ms(began), outcome);
        log_outcome(cause, outcome);
        if matches!(outcome, Outcome::Published { .. }) {
            self.forge.afterwards(self.board.read());
            if self.forge.is_unfinished() {
                self.bell.look_soon();
            }
        }
    }
}

fn log_outcome(cause: Cause, outcome: &Outcome) {
    match outcome {
        Outcome::Published { generation, took_ms, carried, warnings, restores, .. } => {
            let from = restores.map(|past| format!(", made of the files of generation {past}"));
            let from = from.unwrap_or_default();
            log::info!(
                target: "seawall::policy",
                "generation {generation} judges now ({took_ms} ms){from}",
            );
            carried.lines().iter().for_each(|line| log::info!(target: "seawall::policy", "{line}"));
            warnings.iter().for_each(|warning| log::warn!(target: "seawall::policy", "{warning}"));
        }
        Outcome::Unchanged { generation, .. } if cause >= Cause::Signal => {
            log::info!(
                target: "seawall::policy",
                "nothing changed: generation {generation} goes on",
            );
        }
        Outcome::Unchanged { .. } => {}
        Outcome::Refused { generation, refusal } => {
            for complaint in &refusal.complaints {
                log::error!(target: "seawall::policy", "{complaint}");
            }
            log::error!(
                target: "seawall::policy",
                "the reload is refused: generation {generation} goes on",
            );
        }
    }
}

/// A refusal that no line of the policy is to blame for.
pub(crate) fn own_refusal(message: &str) -> Refusal {
    let complaint = Complaint {
        file: String::new(),
        line: 1,
        column: 1,
        code: "reload".into(),
        message: message.into(),
    };
    Refusal { complaints: vec![complaint], rendered: format!("error: {message}\n") }
}

#[cfg(test)]
mod tests;
