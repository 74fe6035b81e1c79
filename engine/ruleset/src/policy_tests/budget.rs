//! Selection of the tests to run, and their limits.
//!
//! The number of requests in one owner's tests is known when the policy is checked, and has a limit
//! there. The number of level evaluations during waits is not known before, and is counted here.
//! This module reads no clock. The caller decides between two requests whether to continue.

use std::cell::Cell;

/// Most level evaluations during the waits of all tests of one member. One evaluation is for the
/// server or for one site.
pub const MEMBER_TEST_LOOKS_MAX: u64 = 100_000;

/// Number of evaluations between two calls of `go_on`.
const LOOKS_UNASKED: u64 = 64;

/// The owners whose tests are run.
#[derive(Clone, Copy)]
pub struct Whose<'w> {
    /// The operator.
    pub host: bool,
    /// The members for which it returns true.
    pub member: &'w dyn Fn(&str) -> bool,
}

impl Whose<'_> {
    /// All owners.
    pub const EVERYBODY: Whose<'static> = Whose { host: true, member: &|_| true };
    /// The operator only.
    pub const HOST: Whose<'static> = Whose { host: true, member: &|_| false };

    /// Returns whether the tests of this member are selected; `None` is the operator.
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
    /// The result is no longer needed.
    Unwanted,
    /// Too many level evaluations.
    Looks,
}

/// The remaining limits for the tests of one owner.
pub(crate) struct Budget<'b> {
    go_on: &'b dyn Fn() -> bool,
    /// `None` for the operator.
    looks_left: Cell<Option<u64>>,
    unasked: Cell<u64>,
    stopped: Cell<Option<Stop>>,
}

impl<'b> Budget<'b> {
    /// Returns the limits of the operator's tests.
    pub(crate) fn host(go_on: &'b dyn Fn() -> bool) -> Self {
        let (looks_left, unasked) = (Cell::new(None), Cell::new(0));
        Self { go_on, looks_left, unasked, stopped: Cell::new(None) }
    }

    /// Returns the limits of a member's tests.
    pub(crate) fn member(go_on: &'b dyn Fn() -> bool) -> Self {
        let budget = Self::host(go_on);
        budget.looks_left.set(Some(MEMBER_TEST_LOOKS_MAX));
        budget
    }

    /// Returns whether one more request can be sent.
    pub(crate) fn request(&self) -> bool {
        if self.stopped.get().is_none() && !(self.go_on)() {
            self.stopped.set(Some(Stop::Unwanted));
        }
        self.stopped.get().is_none()
    }

    /// Returns whether `times` more level evaluations are allowed.
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

    /// Returns why the tests were stopped, if they were.
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
