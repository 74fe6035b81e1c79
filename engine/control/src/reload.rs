//! The reloader: read, assemble, rehearse, then publish or refuse.
//!
//! One thread does one reload at a time, whoever asked. The hard part is not reading a good file
//! but not believing a half-written one, so the content is read twice before it is believed, and a
//! policy that fails right after a change is read once more before anybody is told: an editor's
//! save in two steps makes no noise, and a policy that is wrong is reported within half a second.
//!
//! Where this does not protect: a writer that pauses for longer than the quiet time with a part of
//! a file on disk that happens to be a good policy has that part published, until it goes on.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use seawall_model::Now;

use crate::bell::{Bell, Call, Pause};
use crate::board::{Board, Publication};
use crate::outcome::{Carried, Cause, Complaint, FileMark, Outcome, Refusal};

/// Time between two looks that nobody asked for, in milliseconds: DESIGN §2's figure.
pub const POLL_MS: u64 = 30_000;
/// Time in which a policy that fails right after a change may still be being written, in
/// milliseconds. With the debounce and the check of a large policy it stays under 500.
pub const DOUBT_MS: u64 = 200;
/// Time between two reads of files that change while they are read, in milliseconds.
pub const AGAIN_MS: u64 = 50;
/// Most reads of files that keep changing before that is told: two seconds and a half.
pub const READS_MAX: u32 = 50;

/// The files changed while they were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unsettled;

/// A generation that was published.
#[derive(Debug)]
pub(crate) struct Published {
    pub(crate) generation: u64,
    pub(crate) carried: Carried,
    pub(crate) warnings: Vec<String>,
}

/// What makes and publishes generations. A trait, so that the reloader's manners are tested
/// without a policy language behind them.
pub(crate) trait Forge: Send {
    /// What was read.
    type Draft;
    /// What may be published.
    type Ready;
    /// Reads all that the root reaches.
    fn gather(&mut self) -> Result<Self::Draft, Unsettled>;
    /// What differs where the content does.
    fn digest(&self, draft: &Self::Draft) -> [u8; 32];
    /// The files of it.
    fn files(&self, draft: &Self::Draft) -> Vec<FileMark>;
    /// Checks, builds and rehearses it.
    fn assemble(&mut self, draft: &Self::Draft) -> Result<Self::Ready, Refusal>;
    /// Makes it what judges.
    fn publish(&mut self, ready: Self::Ready) -> Published;
    /// Does what can wait until the generation is on the board.
    fn afterwards(&mut self) {}
    /// The number of what judges.
    fn generation(&self) -> u64;
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
}

/// How one attempt ended.
enum Attempt {
    Done(Outcome),
    /// The same refusal as before, to which nothing is added.
    Stale(Outcome),
    Unsettled,
}

impl<F: Forge> Reloader<F> {
    /// A reloader for what runs already, whose content has the digest `running`.
    pub(crate) fn new(
        forge: F,
        bell: Arc<Bell>,
        board: Arc<Board>,
        now: Now,
        running: [u8; 32],
    ) -> Self {
        Self { forge, bell, board, now, running, refused: None }
    }

    /// Reloads when asked and looks every `poll`, until the bell is stopped. `before` runs ahead
    /// of each reload.
    pub(crate) fn run(mut self, poll: Duration, mut before: impl FnMut()) {
        while let Some(call) = self.bell.wait(poll) {
            let call = self.bell.settle(call, &self.now);
            before();
            let outcome = self.reload(&call);
            call.answer(&outcome);
        }
    }

    fn reload(&mut self, call: &Call) -> Outcome {
        let began = (self.now)();
        for _ in 0..READS_MAX {
            let took_ms = |this: &Self| (this.now)().since_ms(began);
            match self.attempt(call.cause) {
                Attempt::Done(mut outcome) => {
                    let took = took_ms(self);
                    if let Outcome::Published { took_ms, .. } = &mut outcome {
                        *took_ms = took;
                    }
                    self.tell(call.cause, took, &outcome);
                    return outcome;
                }
                Attempt::Stale(outcome) => return outcome,
                Attempt::Unsettled if self.bell.pause(AGAIN_MS) == Pause::Stopped => {
                    return Outcome::Unchanged { generation: self.forge.generation() };
                }
                Attempt::Unsettled => {}
            }
        }
        let outcome = self.refuse_with("the files keep changing while they are read");
        self.tell(call.cause, (self.now)().since_ms(began), &outcome);
        outcome
    }

    /// Reads and judges what is there. Nothing is believed that does not read the same twice.
    fn attempt(&mut self, cause: Cause) -> Attempt {
        let Ok(draft) = self.forge.gather() else { return Attempt::Unsettled };
        let digest = self.forge.digest(&draft);
        let generation = self.forge.generation();
        if digest == self.running {
            self.refused = None;
            return Attempt::Done(Outcome::Unchanged { generation });
        }
        if let Some((refused, refusal)) = &self.refused
            && *refused == digest
            && cause < Cause::Signal
        {
            let refusal = refusal.clone();
            return Attempt::Stale(Outcome::Refused { generation, refusal });
        }
        if !self.reads_as(&digest) {
            return Attempt::Unsettled;
        }
        match self.assemble(&draft) {
            Ok(ready) => Attempt::Done(self.publish(ready, cause, digest, &draft)),
            Err(refusal) => {
                if cause == Cause::Change
                    && (self.bell.pause(DOUBT_MS) == Pause::Stopped || !self.reads_as(&digest))
                {
                    return Attempt::Unsettled;
                }
                self.refused = Some((digest, refusal.clone()));
                Attempt::Done(Outcome::Refused { generation, refusal })
            }
        }
    }

    fn reads_as(&mut self, digest: &[u8; 32]) -> bool {
        self.forge.gather().is_ok_and(|draft| self.forge.digest(&draft) == *digest)
    }

    /// A panic while building is our fault and must not end the reloading for good.
    fn assemble(&mut self, draft: &F::Draft) -> Result<F::Ready, Refusal> {
        let forge = &mut self.forge;
        catch_unwind(AssertUnwindSafe(|| forge.assemble(draft))).unwrap_or_else(|_| {
            Err(own_refusal("building this policy failed inside Seawall; please report it"))
        })
    }

    fn publish(
        &mut self,
        ready: F::Ready,
        cause: Cause,
        digest: [u8; 32],
        draft: &F::Draft,
    ) -> Outcome {
        let Published { generation, carried, warnings } = self.forge.publish(ready);
        self.running = digest;
        self.refused = None;
        let (at, files) = ((self.now)(), self.forge.files(draft));
        self.board.published(Publication { generation, cause, at, files });
        self.forge.afterwards();
        Outcome::Published { generation, took_ms: 0, carried, warnings }
    }

    fn refuse_with(&self, message: &str) -> Outcome {
        Outcome::Refused { generation: self.forge.generation(), refusal: own_refusal(message) }
    }

    fn tell(&self, cause: Cause, took_ms: u64, outcome: &Outcome) {
        self.board.ended(cause, took_ms, outcome);
        match outcome {
            Outcome::Published { generation, took_ms, warnings, .. } => {
                log::info!("generation {generation} judges now ({took_ms} ms)");
                warnings.iter().for_each(|warning| log::warn!("{warning}"));
            }
            Outcome::Unchanged { generation } if cause >= Cause::Signal => {
                log::info!("nothing changed: generation {generation} goes on");
            }
            Outcome::Unchanged { .. } => {}
            Outcome::Refused { generation, refusal } => {
                for complaint in &refusal.complaints {
                    log::error!("{complaint}");
                }
                log::error!("the reload is refused: generation {generation} goes on");
            }
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
