//! How much is done for members in one assembly.
//!
//! What one member saves is bounded by her own budgets; what all of them save together is not, and
//! the host's edit must not wait for it. So an assembly compiles and tests members' changed files up
//! to a bound that is counted in bytes and requests, not in time, and the others keep their part in
//! force until the next assembly, which begins with them.

use crate::sources::MemberSources;

/// The most bytes of members' changed policy files that one assembly compiles: 2 MiB, which take
/// about half a second.
pub const MEMBERS_COMPILE_BYTES_MAX: u64 = 2 << 20;

/// The most requests of members' tests that one assembly sends: 200,000, which take about half a
/// second.
pub const MEMBERS_TEST_REQUESTS_MAX: u64 = 200_000;

/// How many times as much is done where nothing serves yet: a start waits longer, since what is not
/// looked at then is not in force.
pub const START_EFFORTS: u64 = 32;

/// How much may be done for members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// A server that serves: [`MEMBERS_COMPILE_BYTES_MAX`] and [`MEMBERS_TEST_REQUESTS_MAX`].
    Reload,
    /// A server that starts: [`START_EFFORTS`] times as much.
    Start,
    /// All that there is to do: somebody waits for the answer.
    Unbounded,
}

/// What is left of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Left {
    bytes: u64,
    requests: u64,
}

impl Left {
    pub(crate) fn new(effort: Effort) -> Self {
        let times = |n: u64| match effort {
            Effort::Reload => n,
            Effort::Start => n.saturating_mul(START_EFFORTS),
            Effort::Unbounded => u64::MAX,
        };
        Self { bytes: times(MEMBERS_COMPILE_BYTES_MAX), requests: times(MEMBERS_TEST_REQUESTS_MAX) }
    }

    /// Takes the bytes of a member's policy files, where any are left. The last one may take more
    /// than are left, so that each gets on.
    pub(crate) fn compile(&mut self, sources: &MemberSources) -> bool {
        let there = self.bytes > 0 && self.requests > 0;
        if there {
            let texts = sources.reached().policies().filter_map(|(_, bytes)| bytes.as_ref().ok());
            let bytes = texts.map(|bytes| bytes.len() as u64).sum();
            self.bytes = self.bytes.saturating_sub(bytes);
        }
        there
    }

    /// Whether there is anything left for tests that decide nothing.
    pub(crate) fn may_test(&self) -> bool {
        self.requests > 0
    }

    /// Takes requests of a member's tests.
    pub(crate) fn test(&mut self, requests: u64) {
        self.requests = self.requests.saturating_sub(requests);
    }
}
