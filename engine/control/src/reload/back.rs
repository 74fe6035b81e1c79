//! Going back to an earlier generation.
//!
//! What is published is a new generation made of old files, by the same way as every other: counts
//! go on, bans stay. The files on the disk are not touched, since they are somebody's work in hand;
//! they are put aside, and come into force when they change or when somebody asks for a reload.

use std::collections::VecDeque;

use seawall_model::Tick;

use super::{AGAIN_MS, Forge, Lift, Occasion, Patience, READS_MAX, Reloader};
use crate::bell::{Pause, Wish};
use crate::board::Past;
use crate::history::Aside;
use crate::outcome::{Cause, Outcome};
use crate::shelf::hexadecimal;

impl<F: Forge> Reloader<F> {
    /// Puts the files of an earlier generation in force.
    pub(super) fn roll_back(&mut self, wish: &Wish, by_uid: Option<u32>) -> Outcome {
        let &Wish::RollBack { to, lift } = wish else { return self.unchanged() };
        let began = (self.now)();
        let history = self.board.read().history;
        let outcome = match chosen(&history, to) {
            Err(why) => self.refuse_with(&why),
            Ok(past) => {
                let restores = Some(past.generation);
                let occasion = Occasion { cause: Cause::Rollback, by_uid, restores, began };
                let outcome = self.restore(past, occasion);
                match mistakes(&history, past).filter(|_| lift) {
                    Some(mistakes) => self.lift_with(outcome, &mistakes),
                    None => outcome,
                }
            }
        };
        match &outcome {
            // The files on the disk are no worse for it: what is said of them stays.
            Outcome::Refused { refusal, .. } => {
                refusal.complaints.iter().for_each(|complaint| log::error!("{complaint}"));
                log::error!("the rollback is refused");
            }
            outcome => {
                let restores = None;
                self.tell(Occasion { cause: Cause::Rollback, by_uid, restores, began }, outcome);
            }
        }
        outcome
    }

    fn restore(&mut self, past: &Past, occasion: Occasion) -> Outcome {
        let draft = match self.forge.recall(past) {
            Ok(draft) => draft,
            Err(refusal) => {
                return Outcome::Refused { generation: self.forge.generation(), refusal };
            }
        };
        let digests = self.digests(&draft);
        let on_disk = self.on_disk();
        if digests.running == self.running {
            return self.unchanged();
        }
        let ready = match self.assemble(&draft) {
            Ok(ready) => ready,
            Err(refusal) => {
                return Outcome::Refused { generation: self.forge.generation(), refusal };
            }
        };
        let other = on_disk.filter(|content| *content != digests.content);
        let aside =
            other.map(|content| Aside { content: hexadecimal(&content), serves: past.generation });
        self.publish((ready, &draft), occasion, digests, aside)
    }

    /// What the files on the disk hold at the moment, as far as they come to rest.
    fn on_disk(&mut self) -> Option<[u8; 32]> {
        for read in 0..READS_MAX {
            if let Ok(draft) = self.forge.gather(Patience::of(read)) {
                return Some(self.forge.content(&draft));
            }
            if self.bell.pause(AGAIN_MS) == Pause::Stopped {
                break;
            }
        }
        log::warn!("the files keep changing: what they hold is loaded when they come to rest");
        None
    }
}

/// The generation that is meant: the one with this number, or the newest before what is in force
/// that was made of other files. Going back twice goes back two steps, never forth again.
fn chosen(history: &VecDeque<Past>, to: Option<u64>) -> Result<&Past, String> {
    let running = history.back().ok_or("there is no history yet")?;
    match to {
        Some(number) => history.iter().find(|past| past.generation == number).ok_or_else(|| {
            let oldest = history.front().map_or(0, |past| past.generation);
            format!(
                "there is no generation {number}; history goes from {oldest} to {}",
                running.generation
            )
        }),
        None => {
            let from = running.restores.unwrap_or(running.generation);
            let earlier = |past: &&Past| past.generation < from && past.content != running.content;
            history
                .iter()
                .rev()
                .find(earlier)
                .ok_or_else(|| "there is no generation of other files to go back to".to_owned())
        }
    }
}

/// The generations after `past` that were made of other files.
fn mistakes(history: &VecDeque<Past>, past: &Past) -> Option<Lift> {
    let later = |of: &&Past| of.generation > past.generation && of.content != past.content;
    let since = history.iter().filter(later).map(|of| of.loaded_ms).min()?;
    let numbers = history.iter().filter(later).map(|of| of.generation).collect();
    Some(Lift::Generations(numbers, Tick(since)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(of: &[(u64, &str, Option<u64>)]) -> VecDeque<Past> {
        let past = |(generation, content, restores): &(u64, &str, Option<u64>)| Past {
            content: (*content).to_owned(),
            restores: *restores,
            loaded_ms: *generation * 1_000,
            ..Past::test(*generation, Cause::Change)
        };
        of.iter().map(past).collect()
    }

    #[test]
    fn going_back_twice_goes_back_two_steps() {
        let mut all = vec![(1, "a", None), (2, "b", None), (3, "c", None)];
        let to = |all: &[(u64, &str, Option<u64>)]| {
            chosen(&history(all), None).map(|past| past.generation)
        };
        assert_eq!(to(&all), Ok(2));
        all.push((4, "b", Some(2)));
        assert_eq!(to(&all), Ok(1));
        all.push((5, "a", Some(1)));
        assert!(to(&all).unwrap_err().contains("no generation of other files"));
        // A restart changes nothing, so it is no step.
        assert_eq!(to(&[(1, "a", None), (2, "b", None), (3, "b", None)]), Ok(1));
        assert!(to(&[]).is_err());
    }

    #[test]
    fn a_number_that_is_not_there_is_told_with_those_that_are() {
        let all = history(&[(7, "a", None), (8, "b", None)]);
        assert_eq!(chosen(&all, Some(7)).unwrap().generation, 7);
        let why = chosen(&all, Some(6)).unwrap_err();
        assert_eq!(why, "there is no generation 6; history goes from 7 to 8");
    }

    #[test]
    fn only_what_other_files_set_since_was_a_mistake() {
        let all = history(&[(1, "a", None), (2, "a", None), (3, "b", None), (4, "c", None)]);
        let lift = mistakes(&all, all.front().unwrap());
        assert_eq!(lift, Some(Lift::Generations([3, 4].into(), Tick(3_000))));
        assert_eq!(mistakes(&all, all.back().unwrap()), None);
    }
}
