//! How many past generations are kept.
//!
//! A generation belongs to the owners whose files differ in it. Generations of the operator's
//! policies have their own maximum, so that no member can displace one by frequent saves. So have
//! those in which only the operator's lists or components differ, since a script may renew these
//! every minute. The others belong to members: each member has a few, with a maximum for all, where
//! the member with the most loses first.
//!
//! Equal parts of members are stored once. Those beside the active ones have a maximum too: each
//! member's newest parts take precedence over older ones of any member.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use seawall_admin_api::Past;
use seawall_admin_api::{HostChange, Marks};

/// Maximum of generations in which the operator's policies changed.
pub const HISTORY_MAX: usize = 50;
/// Maximum of generations in which only lists or components of the operator changed.
pub const DATA_HISTORY_MAX: usize = 50;
/// Maximum of generations of one member, in which the operator's files are the same.
pub const MEMBER_HISTORY_MAX: usize = 5;
/// The same for all members together.
pub const MEMBERS_HISTORY_MAX: usize = 50;
/// Maximum of files of members' past parts, beside those of the active parts.
pub const MEMBERS_HISTORY_FILES_MAX: usize = 20_000;

/// Removes generations beyond the maximum. The newest one is active and stays.
pub(crate) fn trim(history: &mut VecDeque<Arc<Past>>) {
    let out = too_many(history);
    let mut nth = 0_usize..;
    history.retain(|_| nth.next().is_none_or(|nth| !out.contains(&nth)));
    forget_parts(history);
}

/// Returns the indexes of the generations beyond the maximum.
fn too_many(history: &VecDeque<Arc<Past>>) -> HashSet<usize> {
    let mut out = HashSet::new();
    let (mut policy, mut data) = (0_usize, 0_usize);
    let mut counts: HashMap<&str, usize> = HashMap::new();
    // Members' generations, by the least number of newer ones that any of their members has.
    let mut members = Vec::new();
    for (nth, past) in history.iter().enumerate().rev() {
        let (count, most) = match past.changed.host {
            HostChange::Policy => (&mut policy, HISTORY_MAX),
            HostChange::Data => (&mut data, DATA_HISTORY_MAX),
            HostChange::None => {
                members.push((rank(past, &mut counts), nth));
                continue;
            }
        };
        *count = count.saturating_add(1);
        if *count > most {
            out.insert(nth);
        }
    }
    members.sort_by_key(|(rank, nth)| (*rank, std::cmp::Reverse(*nth)));
    let stays =
        |place: usize, rank: usize| place < MEMBERS_HISTORY_MAX && rank <= MEMBER_HISTORY_MAX;
    let gone = members.iter().enumerate().filter(|(place, (rank, _))| !stays(*place, *rank));
    out.extend(gone.map(|(_, (_, nth))| *nth));
    out.remove(&history.len().saturating_sub(1));
    out
}

/// Returns the least number of this generation among those of its members, counted from the newest.
/// A generation without a changed part, such as after a restart, counts like one of another member.
fn rank<'p>(past: &'p Past, counts: &mut HashMap<&'p str, usize>) -> usize {
    let mut next = |name: &'p str| {
        let count = counts.entry(name).or_default();
        *count = count.saturating_add(1);
        *count
    };
    match past.changed.members.iter().map(|name| next(name)).min() {
        Some(rank) => rank,
        None => next(""),
    }
}

/// The files of a member's part, in one or more generations.
#[derive(Debug)]
pub(super) struct Version<'p> {
    pub(super) member: &'p str,
    pub(super) marks: &'p Marks,
    /// Its number among this member's versions, counted from the newest.
    rank: usize,
    pub(super) in_force: bool,
}

/// Returns all versions of all members' parts: first the active ones, then each member's newest,
/// and so on. Among equals the newest comes first.
pub(super) fn versions<'p>(history: impl DoubleEndedIterator<Item = &'p Past>) -> Vec<Version<'p>> {
    let mut seen = HashSet::new();
    let mut ranks: HashMap<&str, usize> = HashMap::new();
    let mut all = Vec::new();
    for (nth, past) in history.rev().enumerate() {
        for (member, marks) in &past.parts {
            if seen.insert(marks.address()) {
                let rank = ranks.entry(member).or_default();
                *rank = rank.saturating_add(1);
                all.push(Version { member, marks, rank: *rank, in_force: nth == 0 });
            }
        }
    }
    all.sort_by_key(|version| (!version.in_force, version.rank));
    all
}

/// Removes parts of past generations if they contain too many files.
fn forget_parts(history: &mut VecDeque<Arc<Past>>) {
    let mut left = MEMBERS_HISTORY_FILES_MAX;
    let all = versions(history.iter().map(|past| &**past));
    let past = all.iter().filter(|version| !version.in_force);
    let gone: HashSet<usize> = past
        .filter(|version| match left.checked_sub(version.marks.len()) {
            Some(less) => {
                left = less;
                false
            }
            None => true,
        })
        .map(|version| version.marks.address())
        .collect();
    if gone.is_empty() {
        return;
    }
    for past in history.iter_mut() {
        let lost = past.parts.values().filter(|marks| gone.contains(&marks.address())).count();
        if lost > 0 {
            let past = Arc::make_mut(past);
            past.parts.retain(|_, marks| !gone.contains(&marks.address()));
            past.parts_gone = past.parts_gone.saturating_add(lost);
        }
    }
}

#[cfg(test)]
mod tests;
