//! Rollback to an earlier generation.
//!
//! A new generation is published, made of old files: counts continue, and bans stay. The files on
//! the disk are not changed, since they may be work in progress. They are pinned, and become active
//! when they change or when an operator requests a reload.
//!
//! A rollback names the owner of the files: the operator, one member, or all. Files of others stay,
//! also those that they saved since.

use std::collections::VecDeque;
use std::sync::Arc;

use seawall_admin_api::{Back, Past, ReloadCause, ReloadOutcome, RollbackPin};
use seawall_model::Tick;

use super::Reloader;
use super::backend::{Beside, ClearPenalties, PolicyBackend};
use crate::generations::contents::PublishContext;
use crate::policy_source::loader::{AGAIN_MS, READS_MAX};
use crate::reload::trigger::{ReloadKind, WaitResult};

impl<F: PolicyBackend> Reloader<F> {
    /// Activates the files of an earlier generation.
    pub(super) fn rollback_to(&mut self, wish: &ReloadKind, by_uid: Option<u32>) -> ReloadOutcome {
        let ReloadKind::RollBack { to, back, lift } = wish else { return self.unchanged() };
        let began = (self.now)();
        let posted = self.board.read();
        let history = &posted.history;
        let cause = ReloadCause::Rollback;
        let outcome = match select_generation(history, posted.aside.as_ref(), (*to, back)) {
            Err(why) => self.refuse_with(&why),
            Ok(_) if *lift && matches!(back, Back::Member(_)) => self.refuse_with(
                "the penalties of a member's rules cannot be distinguished from others: \
                 `seawall reload --clear-penalties RULE` clears those of one rule",
            ),
            Ok(past) => {
                let restored_from = Some(past.generation);
                let is_host = !matches!(back, Back::Member(_));
                let host_since = is_host.then_some(past.host_since);
                let occasion = PublishContext { cause, by_uid, restored_from, host_since, began };
                let outcome = self.restore((past, back), occasion);
                match generations_to_undo(history, past).filter(|_| *lift) {
                    Some(mistakes) => self.clear_penalties(outcome, &mistakes),
                    None => outcome,
                }
            }
        };
        match &outcome {
            // The rollback did not change the files on the disk: their errors stay in the status.
            ReloadOutcome::Rejected { rejection, .. } => {
                rejection.errors.iter().for_each(|error| {
                    log::error!(
                        target: "seawall::policy",
                        "{error}",
                    )
                });
                log::error!(target: "seawall::policy", "the rollback is rejected");
            }
            outcome => {
                let (restored_from, host_since) = (None, None);
                self.tell(
                    PublishContext { cause, by_uid, restored_from, host_since, began },
                    outcome,
                );
            }
        }
        outcome
    }

    fn restore(&mut self, (past, back): (&Past, &Back), occasion: PublishContext) -> ReloadOutcome {
        let assembled = self.recalled(past, back).and_then(|draft| {
            let running = self.forge.digest(&draft);
            if running == self.running {
                return Ok((draft, None));
            }
            let ready = self.assemble(&draft)?;
            Ok((draft, Some((ready, running))))
        });
        match assembled {
            Ok((draft, Some((ready, running)))) => self.publish((ready, &draft), occasion, running),
            Ok((_, None)) => self.unchanged(),
            Err(rejection) => {
                ReloadOutcome::Rejected { generation: self.forge.generation(), rejection }
            }
        }
    }

    /// Returns the draft of a rollback. The files on the disk are read when they are complete, as
    /// far as possible.
    fn recalled(
        &mut self,
        past: &Past,
        back: &Back,
    ) -> Result<F::Draft, seawall_admin_api::PolicyRejection> {
        let aside = self.aside.clone().unwrap_or_default();
        let serves = self.board.newest();
        let beside = Beside { aside: &aside, serves: serves.as_deref().unwrap_or(past) };
        let mut draft = self.forge.recall(past, back, beside)?;
        for _ in 1..READS_MAX {
            if !self.forge.is_changing(&draft) {
                return Ok(draft);
            }
            if self.trigger.pause(AGAIN_MS) == WaitResult::Stopped {
                break;
            }
            draft = self.forge.recall(past, back, beside)?;
        }
        log::warn!(
            target: "seawall::policy",
            "the files keep changing: they are loaded when they stop changing",
        );
        Ok(draft)
    }
}

/// Returns the generation with this number, or the newest one before the active files of the owner
/// that has other files of that owner. Two rollbacks in a row go back two steps.
fn select_generation<'h>(
    history: &'h VecDeque<Arc<Past>>,
    aside: Option<&RollbackPin>,
    (to, back): (Option<u64>, &Back),
) -> Result<&'h Past, String> {
    let running = history.back().ok_or("there is no history yet")?;
    let found = match (to, back) {
        (Some(number), _) => {
            let found = history.iter().find(|past| past.generation == number);
            return found.map(|past| &**past).ok_or_else(|| {
                let numbers = ranges(history.iter().map(|past| past.generation));
                format!("there is no generation {number}; history goes from {numbers}")
            });
        }
        (None, Back::Host | Back::All) => history
            .iter()
            .rev()
            .find(|past| past.generation < running.host_since && past.host != running.host),
        (None, Back::Member(name)) => {
            let left = aside.and_then(|aside| aside.members.get(name));
            let from = left.map_or(running.generation, |left| left.active_generation);
            history.iter().rev().find(|past| {
                let hers = past.parts.get(name);
                past.generation < from && hers.is_some() && hers != running.parts.get(name)
            })
        }
    };
    let whose = match back {
        Back::Member(name) => format!("of member {name}"),
        Back::Host | Back::All => "of the operator".to_owned(),
    };
    found
        .map(|past| &**past)
        .ok_or_else(|| format!("there is no earlier generation with other files {whose}"))
}

/// Returns the existing numbers, with consecutive ones as a range: `1 to 4, 9, 12 to 60`.
pub fn ranges(numbers: impl Iterator<Item = u64>) -> String {
    let mut rows: Vec<(u64, u64)> = Vec::new();
    for number in numbers {
        match rows.last_mut() {
            Some((_, last)) if number == last.saturating_add(1) => *last = number,
            _ => rows.push((number, number)),
        }
    }
    let row = |(first, last): &(u64, u64)| match first == last {
        true => first.to_string(),
        false => format!("{first} to {last}"),
    };
    rows.iter().map(row).collect::<Vec<_>>().join(", ")
}

/// Returns the generations after `past` that have other files of the operator.
fn generations_to_undo(history: &VecDeque<Arc<Past>>, past: &Past) -> Option<ClearPenalties> {
    let is_later = |of: &&Arc<Past>| of.generation > past.generation && of.host != past.host;
    let since = history.iter().filter(is_later).map(|of| of.loaded_ms).min()?;
    let numbers = history.iter().filter(is_later).map(|of| of.generation).collect();
    Some(ClearPenalties::Generations(numbers, Tick(since)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use seawall_admin_api::FileDigest;
    use seawall_admin_api::{Left, Marks, MarksOfParts};

    /// Returns generations, each with its number, the operator's files, the generation that
    /// introduced them, and the files of member ann.
    fn history(of: &[(u64, &str, u64, &str)]) -> VecDeque<Arc<Past>> {
        let past = |(generation, host, host_since, ann): &(u64, &str, u64, &str)| {
            let marks: Marks = vec![FileDigest { path: "m".into(), sha256: (*ann).into() }].into();
            let parts: MarksOfParts =
                (!ann.is_empty()).then(|| (Box::from("ann"), marks)).into_iter().collect();
            Arc::new(Past {
                host: (*host).to_owned(),
                host_since: *host_since,
                parts,
                loaded_ms: *generation * 1_000,
                ..crate::generations::test_past(*generation, ReloadCause::Change)
            })
        };
        of.iter().map(past).collect()
    }

    fn host(all: &[(u64, &str, u64, &str)]) -> Result<u64, String> {
        select_generation(&history(all), None, (None, &Back::Host)).map(|past| past.generation)
    }

    #[test]
    fn going_back_twice_goes_back_two_steps() {
        let mut all = vec![(1, "a", 1, ""), (2, "b", 2, ""), (3, "c", 3, "")];
        assert_eq!(host(&all), Ok(2));
        all.push((4, "b", 2, ""));
        assert_eq!(host(&all), Ok(1));
        all.push((5, "a", 1, ""));
        assert!(host(&all).unwrap_err().contains("no earlier generation with other files"));
        // A restart changes nothing, so it is not a step.
        assert_eq!(host(&[(1, "a", 1, ""), (2, "b", 2, ""), (3, "b", 2, "")]), Ok(1));
        assert!(host(&[]).is_err());
    }

    #[test]
    fn what_a_member_saved_is_no_step_of_the_hosts() {
        let all = [(1, "a", 1, "x"), (2, "b", 2, "x"), (3, "b", 2, "y"), (4, "b", 2, "z")];
        assert_eq!(host(&all), Ok(1));
        // A rollback, and then the member saves: the next rollback goes one step further back.
        let all =
            [(1, "a", 1, ""), (2, "b", 2, ""), (3, "c", 3, ""), (4, "b", 2, "x"), (5, "b", 2, "y")];
        assert_eq!(host(&all), Ok(1));
        assert!(host(&[(1, "a", 1, "x"), (2, "a", 1, "y")]).is_err());
    }

    #[test]
    fn a_member_goes_back_by_her_own_files() {
        let all = history(&[(1, "a", 1, ""), (2, "a", 1, "x"), (3, "a", 1, "y"), (4, "b", 4, "y")]);
        let ann = Back::Member("ann".into());
        let to = |all: &VecDeque<Arc<Past>>, aside: Option<&RollbackPin>| {
            select_generation(all, aside, (None, &ann)).map(|past| past.generation)
        };
        assert_eq!(to(&all, None), Ok(2));
        let left = Left { content: String::new(), active_generation: 2 };
        let aside = RollbackPin { host: None, members: BTreeMap::from([("ann".into(), left)]) };
        let back = history(&[(2, "a", 1, "x"), (3, "a", 1, "y"), (4, "b", 4, "x")]);
        assert!(to(&back, Some(&aside)).is_err(), "not forth again");
        let bob = Back::Member("bob".into());
        assert!(select_generation(&all, None, (None, &bob)).unwrap_err().contains("of member bob"));
    }

    #[test]
    fn a_number_that_is_not_there_is_told_with_those_that_are() {
        let all = history(&[(7, "a", 7, ""), (8, "b", 8, ""), (11, "b", 8, "")]);
        let to = |number| select_generation(&all, None, (Some(number), &Back::Host));
        assert_eq!(to(7).unwrap().generation, 7);
        let why = to(9).unwrap_err();
        assert_eq!(why, "there is no generation 9; history goes from 7 to 8, 11");
        assert_eq!(ranges([1, 2, 3, 5, 8, 9].into_iter()), "1 to 3, 5, 8 to 9");
    }

    #[test]
    fn only_what_other_files_of_the_host_set_since_was_a_mistake() {
        let all = [(1, "a", 1, ""), (2, "a", 1, "x"), (3, "b", 3, "x"), (4, "c", 4, "x")];
        let all = history(&all);
        let lift = generations_to_undo(&all, all.front().unwrap());
        assert_eq!(lift, Some(ClearPenalties::Generations([3, 4].into(), Tick(3_000))));
        assert_eq!(generations_to_undo(&all, all.back().unwrap()), None);
    }
}
