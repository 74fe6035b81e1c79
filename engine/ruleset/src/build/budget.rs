//! How much is done for members in one assembly.
//!
//! What one member saves is bounded by her own budgets; what all of them save together is not, and
//! the host's edit must not wait for it. So an assembly compiles and tests members' changed files up
//! to a bound that is counted in bytes and requests, not in time, and the others keep their part in
//! force until the next assembly, which begins with them.

use crate::build::sources::MemberSources;

/// The most bytes of members' changed policy files that one assembly compiles: 2 MiB, which take
/// about half a second.
pub const MEMBERS_COMPILE_BYTES_MAX: u64 = 2 << 20;

/// The most requests of members' tests that one assembly sends: 200,000, which take about half a
/// second.
pub const MEMBERS_TEST_REQUESTS_MAX: u64 = 200_000;

/// The most bytes of members' policy files that one assembly compiles though they have not changed:
/// because the host's have, or since they are a member's last good ones. 16 MiB, which take about
/// four seconds. The smallest come first, so that a member with much keeps nobody else waiting.
pub const MEMBERS_REBUILD_BYTES_MAX: u64 = 16 << 20;

/// The most milliseconds that the cases inside one member's components may take together, by what
/// their externs grant each.
pub const MEMBER_CASES_MS_MAX: u64 = 1_000;

/// How many times as much is done where nothing serves yet: a start waits longer, since what is not
/// looked at then is not in force.
pub const START_EFFORTS: u64 = 32;

/// How much may be done for members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// A server that serves: [`MEMBERS_COMPILE_BYTES_MAX`] and [`MEMBERS_TEST_REQUESTS_MAX`].
    Reload,
    /// A server that starts: [`START_EFFORTS`] times as much of what is new to it.
    Start,
    /// All that there is to do: somebody waits for the answer.
    Unbounded,
}

/// The bytes of a member's policy files.
pub(crate) fn policy_bytes(sources: &MemberSources) -> u64 {
    let texts = sources.reached().policies().filter_map(|(_, bytes)| bytes.as_ref().ok());
    texts.map(|bytes| bytes.len() as u64).sum()
}

/// What is left of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Left {
    bytes: u64,
    rebuild_bytes: u64,
    requests: u64,
}

impl Left {
    pub(crate) fn new(effort: Effort) -> Self {
        let times = |n: u64| match effort {
            Effort::Reload => n,
            Effort::Start => n.saturating_mul(START_EFFORTS),
            Effort::Unbounded => u64::MAX,
        };
        let rebuild_bytes = match effort {
            Effort::Reload | Effort::Start => MEMBERS_REBUILD_BYTES_MAX,
            Effort::Unbounded => u64::MAX,
        };
        let (bytes, requests) =
            (times(MEMBERS_COMPILE_BYTES_MAX), times(MEMBERS_TEST_REQUESTS_MAX));
        Self { bytes, rebuild_bytes, requests }
    }

    /// Takes the bytes of a member's policy files, where any are left. The last one may take more
    /// than are left, so that each gets on.
    pub(crate) fn compile(&mut self, sources: &MemberSources) -> bool {
        let there = self.bytes > 0 && self.requests > 0;
        if there {
            self.bytes = self.bytes.saturating_sub(policy_bytes(sources));
        }
        there
    }

    /// The same for files that have not changed.
    pub(crate) fn rebuild(&mut self, sources: &MemberSources) -> bool {
        let there = self.rebuild_bytes > 0;
        self.rebuild_bytes = self.rebuild_bytes.saturating_sub(policy_bytes(sources));
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
