//! The order in which components are compiled.
//!
//! Members take turns, one component each, however often they save. A member may have a few
//! components in the queue, and all members together have a maximum. When the queue is full, a
//! member with fewer waiting components displaces one of the member with the most. So no member can
//! keep another from the compiler with many components or frequent saves.

use std::collections::VecDeque;

pub(super) type Digest = [u8; 32];

/// Maximum of waiting components of one member; further ones are rejected for now.
pub const COMPILE_QUEUE_MEMBER_MAX: usize = 4;
/// Maximum of waiting components of all members, and of those of the operator; further ones are
/// rejected for now.
pub const COMPILE_QUEUE_MAX: usize = 64;

/// Result of a request for the queue.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place<J> {
    /// The component waits.
    Kept,
    /// It waits, and has displaced another one.
    InsteadOf(J),
    /// It was rejected.
    None,
}

/// Components of one owner, the first to be compiled in front.
struct Hers<J> {
    owner: Option<Box<str>>,
    jobs: VecDeque<J>,
}

/// The queue of one lane. The operator's lane has one owner.
pub(super) struct Turns<J> {
    owners: VecDeque<Hers<J>>,
    member_max: usize,
}

/// An entry of the queue.
pub(super) trait Waiting {
    /// Returns its digest.
    fn digest(&self) -> Digest;
}

impl<J: Waiting> Turns<J> {
    /// Returns a queue in which one owner may have so many components.
    pub(super) const fn new(member_max: usize) -> Self {
        Self { owners: VecDeque::new(), member_max }
    }

    pub(super) fn len(&self) -> usize {
        self.owners.iter().map(|hers| hers.jobs.len()).sum()
    }

    /// Puts a component behind those of its owner.
    pub(super) fn push(&mut self, owner: Option<&str>, job: J) -> Place<J> {
        let own = self.owners.iter().position(|hers| hers.owner.as_deref() == owner);
        let waits = own.and_then(|at| self.owners.get(at)).map_or(0, |hers| hers.jobs.len());
        if waits >= self.member_max {
            return Place::None;
        }
        let mut gone = Place::Kept;
        if self.len() >= COMPILE_QUEUE_MAX {
            let Some(most) = self.owners.iter_mut().max_by_key(|hers| hers.jobs.len()) else {
                return Place::None;
            };
            if most.jobs.len() <= waits.saturating_add(1) {
                return Place::None;
            }
            gone = most.jobs.pop_back().map_or(Place::None, Place::InsteadOf);
        }
        match own.and_then(|at| self.owners.get_mut(at)) {
            Some(hers) => hers.jobs.push_back(job),
            None => {
                let jobs = VecDeque::from([job]);
                self.owners.push_back(Hers { owner: owner.map(Box::from), jobs });
            }
        }
        gone
    }

    /// Takes the next one; its owner moves behind all others.
    pub(super) fn next(&mut self) -> Option<J> {
        let mut hers = self.owners.pop_front()?;
        let job = hers.jobs.pop_front();
        if !hers.jobs.is_empty() {
            self.owners.push_back(hers);
        }
        job
    }

    /// Removes a waiting component.
    pub(super) fn remove(&mut self, digest: &Digest) -> Option<J> {
        let mut found = None;
        for hers in &mut self.owners {
            if let Some(at) = hers.jobs.iter().position(|job| job.digest() == *digest) {
                found = hers.jobs.remove(at);
            }
        }
        self.owners.retain(|hers| !hers.jobs.is_empty());
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Waiting for u8 {
        fn digest(&self) -> Digest {
            [*self; 32]
        }
    }

    fn turns() -> Turns<u8> {
        Turns::new(COMPILE_QUEUE_MEMBER_MAX)
    }

    fn order(mut turns: Turns<u8>) -> Vec<u8> {
        std::iter::from_fn(|| turns.next()).collect()
    }

    #[test]
    fn members_take_turns_whoever_saved_first() {
        let mut turns = turns();
        for job in [1, 2, 3] {
            assert_eq!(turns.push(Some("ann"), job), Place::Kept);
        }
        turns.push(Some("bob"), 10);
        turns.push(Some("cy"), 20);
        assert_eq!(order(turns), [1, 10, 20, 2, 3]);
    }

    #[test]
    fn who_saves_again_and_again_stands_behind_everybody_each_time() {
        let mut turns = turns();
        for member in ["ann", "bob", "cy"] {
            turns.push(Some(member), member.as_bytes()[0]);
        }
        let mut first = Vec::new();
        for again in 0..3 {
            let job = turns.next().unwrap();
            first.push(job);
            turns.push(Some("ann"), again);
        }
        assert_eq!(first, [b'a', b'b', b'c']);
    }

    #[test]
    fn a_member_has_so_many_waiting_and_no_more() {
        let mut turns = turns();
        for job in 0..COMPILE_QUEUE_MEMBER_MAX {
            assert_eq!(turns.push(Some("ann"), job.try_into().unwrap()), Place::Kept);
        }
        assert_eq!(turns.push(Some("ann"), 100), Place::None);
        assert_eq!(turns.push(Some("bob"), 101), Place::Kept);
        turns.next();
        assert_eq!(turns.push(Some("ann"), 102), Place::Kept, "one of hers had its turn");
    }

    #[test]
    fn where_all_places_are_taken_who_has_fewer_takes_one_from_who_has_most() {
        let mut turns = turns();
        let full = COMPILE_QUEUE_MAX / COMPILE_QUEUE_MEMBER_MAX;
        for member in 0..full {
            for _ in 0..COMPILE_QUEUE_MEMBER_MAX {
                let job = u8::try_from(member).unwrap();
                assert_eq!(turns.push(Some(&format!("g{member}")), job), Place::Kept);
            }
        }
        assert_eq!(turns.len(), COMPILE_QUEUE_MAX);
        for newcomer in 0..40 {
            let place = turns.push(Some(&format!("n{newcomer}")), 200);
            assert!(matches!(place, Place::InsteadOf(job) if job < 200), "{newcomer}: {place:?}");
            assert_eq!(turns.len(), COMPILE_QUEUE_MAX);
        }
        assert_eq!(turns.push(Some("n0"), 201), Place::None, "no one has more than one beyond her");
    }

    #[test]
    fn the_hosts_lane_is_one_owners() {
        let mut turns = Turns::new(COMPILE_QUEUE_MAX);
        for job in 0..COMPILE_QUEUE_MAX {
            assert_eq!(turns.push(None, job.try_into().unwrap()), Place::Kept);
        }
        assert_eq!(turns.push(None, 100), Place::None);
        assert_eq!(order(turns).len(), COMPILE_QUEUE_MAX);
    }

    #[test]
    fn one_that_waits_can_be_taken_out() {
        let mut turns = turns();
        for job in [1, 2] {
            turns.push(Some("ann"), job);
        }
        turns.push(Some("bob"), 3);
        assert_eq!(turns.remove(&[2; 32]), Some(2));
        assert_eq!(turns.remove(&[3; 32]), Some(3));
        assert_eq!(turns.remove(&[9; 32]), None);
        assert_eq!(order(turns), [1]);
    }
}
