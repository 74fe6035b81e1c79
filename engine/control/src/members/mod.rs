//! Members' parts: which are active, since which generation, and whose files are rejected.
//!
//! Invalid files of a member only reject themselves, so they would go unnoticed. The status names
//! each such member with the errors, and the metrics count them. The log reports the first error,
//! each other error, and the end. A reload with another cause only reports their number: of 850
//! members some are always wrong.

mod last_good;
mod rejected_since;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

pub use last_good::LAST_GOOD_BYTES_MAX;
use last_good::{Good, LastGood, Since};
use seawall_admin_api::{MemberParts, MemberStatus, MembersRefused, PartInForce, PolicyError};
use seawall_model::{Tick, shown};
use seawall_ruleset::{
    Diagnostic, MemberPart, MemberSources, MemberState, Memo, RuleSet, Sources, Stored,
};

use crate::policy_source::loader::PolicyLoader;
use crate::storage::digest::hex;
use crate::util::clock::rfc3339;
use rejected_since::RefusedSince;

/// Maximum of diagnostics per member in the status; for the rest it contains the number.
pub const MEMBER_PROBLEMS_TOLD_MAX: usize = 10;
/// Maximum of members with more than the first diagnostic, and with a metric of their own.
pub const MEMBERS_TOLD_MAX: usize = 100;
/// Maximum of lines about members in the response to a reload; the log has all.
pub const MEMBER_LINES_MAX: usize = 20;
/// Maximum characters of one diagnostic.
const PROBLEM_CHARS_MAX: usize = 400;

/// The state of members' parts, and the copies of the good ones.
#[derive(Debug)]
pub(crate) struct Members {
    last_good: LastGood,
    since: RefusedSince,
    roster: Mutex<Roster>,
}

#[derive(Debug, Default)]
struct Roster {
    /// Active parts by the member's name.
    in_force: BTreeMap<Box<str>, InForce>,
    /// Members whose files are rejected, or not evaluated yet.
    refused: BTreeMap<Box<str>, Refused>,
    /// How many have a file.
    total: usize,
}

#[derive(Debug, Clone)]
struct InForce {
    digest: [u8; 32],
    since: Since,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Refused {
    part: MemberPart,
    /// Since when they are rejected, or wait.
    since: Tick,
    /// Since when they are rejected without interruption, also while they wait.
    refused: Option<Tick>,
    /// The member's files are not rejected: there was no time to build them yet.
    waits: bool,
    problems: Vec<PolicyError>,
    more: usize,
}

/// A policy that becomes active.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Coming<'c> {
    pub(crate) rules: &'c RuleSet,
    pub(crate) sources: &'c Sources,
    /// Members with invalid files.
    pub(crate) states: &'c [MemberState],
    pub(crate) generation: u64,
    pub(crate) now: Tick,
}

impl Members {
    /// Opens the copies in `state_dir`.
    pub(crate) fn open(state_dir: &Path) -> Self {
        Self {
            last_good: LastGood::open(state_dir),
            since: RefusedSince::open(state_dir),
            roster: Mutex::default(),
        }
    }

    fn roster(&self) -> MutexGuard<'_, Roster> {
        self.roster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a function that finds a member's last good part, for the operator's files in
    /// `sources`.
    pub(crate) fn good(
        &self,
        loader: &PolicyLoader,
        sources: &Sources,
    ) -> impl Fn(&str) -> Option<MemberSources> {
        let memo = RefCell::new(Memo::default());
        move |name| {
            let files = self.last_good.read(name)?;
            let kept = |name: &str, path: &str| loader.kept_list(name, path);
            sources.member_of(name, &Stored::new(&files, &kept), &mut memo.borrow_mut())
        }
    }

    /// Records what becomes active, and returns the lines to log about it.
    pub(crate) fn came(&self, coming: Coming<'_>) -> Vec<String> {
        let mut roster = self.roster();
        let before = std::mem::take(&mut *roster);
        let (in_force, good) = self.in_force(coming, before.in_force);
        let refused: BTreeMap<Box<str>, Refused> = coming
            .states
            .iter()
            .map(|state| {
                let before = before.refused.get(&state.name);
                // Before the first reload of a process: the state of an earlier one.
                let known = match before {
                    Some(before) => before.refused,
                    None => self.since.of(&state.name),
                };
                (state.name.clone(), refused(state, coming, (before, known)))
            })
            .collect();
        let since = refused.iter().filter_map(|(name, of)| Some((name.clone(), of.refused?)));
        self.since.note(since.collect());
        let members = coming.sources.members();
        *roster = Roster { in_force, refused, total: members.len() };
        let lines = roster.news(&before.refused);
        drop(roster);
        let named = members.iter().map(|member| member.name().into()).collect();
        self.last_good.note(good, named, coming.states.is_empty());
        lines
    }

    /// Returns since when each part is active, and the parts to store.
    fn in_force(
        &self,
        coming: Coming<'_>,
        mut before: BTreeMap<Box<str>, InForce>,
    ) -> (BTreeMap<Box<str>, InForce>, Vec<Good>) {
        let is_wrong = |name: &str| coming.states.iter().any(|state| *state.name == *name);
        let (mut in_force, mut good) = (BTreeMap::new(), Vec::new());
        for member in coming.rules.members() {
            let (name, digest) = (member.name(), member.digest());
            let known = before.remove(name);
            let is_first = known.is_none();
            if let Some(known) = known.filter(|known| known.digest == digest) {
                in_force.insert(name.into(), known);
                continue;
            }
            let content = hex(&member.sources().content());
            // The part of a copy was active before this process, and did not change.
            let earlier = self.last_good.since(name);
            let earlier =
                earlier.filter(|since| since.content == content || (is_first && is_wrong(name)));
            let since = earlier.unwrap_or_else(|| {
                let since = Since { generation: coming.generation, content };
                good.push(Good { sources: member.sources().clone(), since: since.clone() });
                since
            });
            in_force.insert(name.into(), InForce { digest, since });
        }
        (in_force, good)
    }

    /// Records that generation `from` is generation `to`.
    pub(crate) fn renumber(&self, from: u64, to: u64) {
        let mut roster = self.roster();
        let all = roster.in_force.values_mut().filter(|part| part.since.generation == from);
        all.for_each(|part| part.since.generation = to);
        self.last_good.renumber(from, to);
    }

    /// Writes copies of new parts; called when no client waits.
    pub(crate) fn write(&self) {
        self.last_good.write();
        self.since.write();
    }

    /// Returns how many members' files are not active, and the first that are rejected.
    pub(crate) fn refused(&self) -> MembersRefused {
        self.roster().sum()
    }

    /// Returns, for the status, the members whose active part is not that of their files.
    pub(crate) fn status(&self) -> Vec<MemberStatus> {
        let roster = self.roster();
        let told = roster.refused.iter().enumerate().map(|(nth, (name, refused))| {
            let most = if nth < MEMBERS_TOLD_MAX { MEMBER_PROBLEMS_TOLD_MAX } else { 1 };
            let problems: Vec<PolicyError> = refused.problems.iter().take(most).cloned().collect();
            let left = refused.problems.len().saturating_sub(problems.len());
            MemberStatus {
                name: name.to_string(),
                part: match refused.part {
                    MemberPart::Kept => PartInForce::Kept,
                    MemberPart::Absent => PartInForce::Absent,
                },
                since_generation: roster.since(name),
                rejected_since: rfc3339(refused.since),
                waiting: refused.waits,
                more: refused.more.saturating_add(left),
                problems,
            }
        });
        told.collect()
    }

    /// Returns how many members have which part active.
    pub(crate) fn counts(&self) -> MemberParts {
        let roster = self.roster();
        let of = |part| roster.refused.values().filter(|refused| refused.part == part).count();
        let (kept, absent) = (of(MemberPart::Kept), of(MemberPart::Absent));
        let current = roster.total.saturating_sub(kept).saturating_sub(absent);
        MemberParts { current, kept, absent }
    }
}

impl Roster {
    fn since(&self, name: &str) -> Option<u64> {
        self.in_force.get(name).map(|part| part.since.generation)
    }

    /// Returns the lines to log after `before` were rejected: the differences, and the number.
    fn news(&self, before: &BTreeMap<Box<str>, Refused>) -> Vec<String> {
        let known = |name: &str, of: &Refused| {
            before.get(name).is_some_and(|was| {
                (&was.problems, was.more, was.part) == (&of.problems, of.more, of.part)
            })
        };
        let begun = self.refused.iter().filter(|(name, of)| !of.waits && !known(name, of));
        let mut lines: Vec<String> = begun.map(|(name, of)| self.line(name, of)).collect();
        for (name, _) in before.iter().filter(|(_, was)| !was.waits) {
            if !self.refused.contains_key(name) && self.in_force.contains_key(name) {
                let name = shown::one_line(name);
                lines.push(format!("member {name}: the files are valid again and active"));
            }
        }
        lines.extend(MembersRefused { first: None, ..self.sum() }.lines());
        lines
    }

    /// Returns their number, and the first.
    fn sum(&self) -> MembersRefused {
        let first = self.refused.iter().find(|(_, of)| !of.waits);
        let waiting = self.refused.values().filter(|of| of.waits).count();
        MembersRefused {
            refused: self.refused.len().saturating_sub(waiting),
            waiting,
            first: first.map(|(name, of)| self.line(name, of)),
        }
    }

    fn line(&self, name: &str, of: &Refused) -> String {
        let problem = of.problems.first().map(ToString::to_string).unwrap_or_default();
        let more = of.more.saturating_add(of.problems.len().saturating_sub(1));
        let more = if more > 0 { format!(" (and {more} more)") } else { String::new() };
        let instead = match self.since(name) {
            Some(generation) if of.part == MemberPart::Kept => {
                format!("the member's part of generation {generation} stays active")
            }
            _ => "only the operator's layers are active".to_owned(),
        };
        format!("member {}: refused: {problem}{more}; {instead}", shown::one_line(name))
    }
}

/// Returns as many lines as fit into a response; the others are logged here.
pub(crate) fn bounded(mut lines: Vec<String>) -> Vec<String> {
    if lines.len() > MEMBER_LINES_MAX {
        // The last line is the sum.
        let sum = lines.pop();
        let rest = lines.split_off(MEMBER_LINES_MAX.saturating_sub(1));
        rest.iter().for_each(|line| log::warn!(target: "seawall::server", "{line}"));
        lines.extend(sum);
    }
    lines
}

fn refused(
    state: &MemberState,
    coming: Coming<'_>,
    (was, known): (Option<&Refused>, Option<Tick>),
) -> Refused {
    let waits = coming.rules.postponed().contains(&state.name);
    let known = known.map(|known| known.min(coming.now));
    let refused = if waits { known } else { Some(known.unwrap_or(coming.now)) };
    let since = match (waits, refused) {
        (false, Some(refused)) => refused,
        _ => was.filter(|was| was.waits).map_or(coming.now, |was| was.since),
    };
    let problems = state.diagnostics.iter().take(MEMBER_PROBLEMS_TOLD_MAX).map(problem).collect();
    Refused {
        part: state.part,
        since,
        refused,
        waits,
        problems,
        more: state.diagnostics.len().saturating_sub(MEMBER_PROBLEMS_TOLD_MAX),
    }
}

fn problem(of: &Diagnostic) -> PolicyError {
    let text = shown::one_line(&of.message);
    let mut message: String = text.chars().take(PROBLEM_CHARS_MAX).collect();
    if message.len() < text.len() {
        message.push('…');
    }
    PolicyError {
        file: of.file.to_string(),
        line: of.line,
        column: of.column,
        code: of.code.to_owned(),
        message,
    }
}

#[cfg(test)]
mod tests;
