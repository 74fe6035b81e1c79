//! How much of the past is remembered, by whose files made it.
//!
//! A generation belongs to whoever's files differ in it. The host's generations have their own
//! number, so that no member can push one out, however often she saves; so have those in which only
//! the host's lists or components differ, since a script may renew these every minute. The rest are
//! members': each has a few, and all together have a bound, where whoever has the most loses first.
//!
//! A generation names what each member's part was made of. Equal parts are held once, and what is
//! held beside those in force has a bound too: each member's newest go before anybody's older ones.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use seawall_admin_api::Past;
use seawall_admin_api::{HostChange, Marks};

/// Generations of the host's policies that are remembered: DESIGN §2's figure.
pub const HISTORY_MAX: usize = 50;
/// Generations that are remembered in which of the host's files only lists or components differ.
pub const DATA_HISTORY_MAX: usize = 50;
/// Generations that are remembered of one member, where the host's files are the same.
pub const MEMBER_HISTORY_MAX: usize = 5;
/// The same of all members together.
pub const MEMBERS_HISTORY_MAX: usize = 50;
/// Files of members' parts that are remembered beside those of the parts in force.
pub const MEMBERS_HISTORY_FILES_MAX: usize = 20_000;

/// Forgets what is more than may be remembered. The newest generation is in force, and stays.
pub(crate) fn trim(history: &mut VecDeque<Arc<Past>>) {
    let out = too_many(history);
    let mut nth = 0_usize..;
    history.retain(|_| nth.next().is_none_or(|nth| !out.contains(&nth)));
    forget_parts(history);
}

/// The places of the generations that are too many.
fn too_many(history: &VecDeque<Arc<Past>>) -> HashSet<usize> {
    let mut out = HashSet::new();
    let (mut policy, mut data) = (0_usize, 0_usize);
    let mut counts: HashMap<&str, usize> = HashMap::new();
    // Members' generations, by how many newer ones whoever they matter to most has.
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

/// The least number that this generation is of any member's, counted from the newest. Where no
/// member's part differs, such as after a restart, it is nobody's, who has as many as a member.
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

/// What a member's part was made of, in one or more generations.
#[derive(Debug)]
pub(super) struct Version<'p> {
    pub(super) member: &'p str,
    pub(super) marks: &'p Marks,
    /// Of this member's versions, counted from the newest.
    rank: usize,
    pub(super) in_force: bool,
}

/// All versions of all members' parts: first those in force, then each member's newest, and so on;
/// of equals the newest first.
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

/// Forgets parts of past generations where there are too many files in them.
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
