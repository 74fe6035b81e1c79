//! Which tests are run, and how much they may take.
//!
//! How many requests the tests of one file's owner send is known when the policy is checked and is
//! held to a quota there. What is not known there is counted here: how often levels are looked at
//! while a test waits. Nothing here reads a clock: whoever has one says between two requests whether
//! to go on.

use std::cell::Cell;

/// The most often that all tests of one member may look at levels while they wait. One look at the
/// host, or at one site, is one.
pub const MEMBER_TEST_LOOKS_MAX: u64 = 100_000;

/// So many looks go by between two questions whether to go on.
const LOOKS_UNASKED: u64 = 64;

/// Whose tests are run.
#[derive(Clone, Copy)]
pub struct Whose<'w> {
    /// Those in the host's own files.
    pub host: bool,
    /// Those of the members of whom this says so.
    pub member: &'w dyn Fn(&str) -> bool,
}

impl Whose<'_> {
    /// Everybody's.
    pub const EVERYBODY: Whose<'static> = Whose { host: true, member: &|_| true };
    /// The host's own.
    pub const HOST: Whose<'static> = Whose { host: true, member: &|_| false };

    /// Whether the tests of this member are meant; the host is none.
    #[must_use]
    pub fn means(&self, member: Option<&str>) -> bool {
        member.map_or(self.host, |member| (self.member)(member))
    }
}

impl std::fmt::Debug for Whose<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Whose").field("host", &self.host).finish_non_exhaustive()
    }
}

/// Why a test ends before its last line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Whoever asked for the tests no longer wants them.
    Unwanted,
    /// Levels were looked at too often.
    Looks,
}

/// What one owner's tests may still take.
pub(crate) struct Budget<'b> {
    go_on: &'b dyn Fn() -> bool,
    /// None for the host.
    looks_left: Cell<Option<u64>>,
    unasked: Cell<u64>,
    stopped: Cell<Option<Stop>>,
}

impl<'b> Budget<'b> {
    /// What the host's tests may take.
    pub(crate) fn host(go_on: &'b dyn Fn() -> bool) -> Self {
        let (looks_left, unasked) = (Cell::new(None), Cell::new(0));
        Self { go_on, looks_left, unasked, stopped: Cell::new(None) }
    }

    /// What a member's tests may take.
    pub(crate) fn member(go_on: &'b dyn Fn() -> bool) -> Self {
        let budget = Self::host(go_on);
        budget.looks_left.set(Some(MEMBER_TEST_LOOKS_MAX));
        budget
    }

    /// Whether one more request may be sent.
    pub(crate) fn request(&self) -> bool {
        if self.stopped.get().is_none() && !(self.go_on)() {
            self.stopped.set(Some(Stop::Unwanted));
        }
        self.stopped.get().is_none()
    }

    /// Whether levels may be looked at so often again.
    pub(crate) fn look(&self, times: u64) -> bool {
        if let Some(left) = self.looks_left.get() {
            match left.checked_sub(times) {
                Some(left) => self.looks_left.set(Some(left)),
                None => self.stopped.set(self.stopped.get().or(Some(Stop::Looks))),
            }
        }
        let unasked = self.unasked.get().saturating_add(1);
        self.unasked.set(unasked % LOOKS_UNASKED);
        if unasked < LOOKS_UNASKED { self.stopped.get().is_none() } else { self.request() }
    }

    /// Why there is no more, where there is none.
    pub(crate) fn stopped(&self) -> Option<Stop> {
        self.stopped.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_may_look_so_often_and_no_more() {
        let budget = Budget::member(&|| true);
        assert!(budget.look(MEMBER_TEST_LOOKS_MAX));
        assert_eq!(budget.stopped(), None);
        assert!(!budget.look(1));
        assert_eq!(budget.stopped(), Some(Stop::Looks));
        assert!(!budget.request());
        let host = Budget::host(&|| true);
        assert!(host.look(MEMBER_TEST_LOOKS_MAX) && host.look(1), "the host's have no such bound");
    }

    #[test]
    fn waiting_too_asks_whether_to_go_on() {
        let budget = Budget::host(&|| false);
        let looks = (0..=LOOKS_UNASKED).take_while(|_| budget.look(1)).count() as u64;
        assert_eq!(looks, LOOKS_UNASKED - 1);
        assert_eq!(budget.stopped(), Some(Stop::Unwanted));
    }
}
