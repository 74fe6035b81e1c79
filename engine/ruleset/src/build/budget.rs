//! Limits on the work for members in one assembly.
//!
//! Each member's work is limited by the member's own quotas, but the work for all members is not,
//! and the operator's edit must not wait for it. An assembly therefore compiles and tests changed
//! files of members up to a limit. The limit counts bytes and requests, not time. The other members
//! keep their active part, and the next assembly begins with them.

use crate::build::sources::MemberSources;

/// Most bytes of changed policy files of members that one assembly compiles: 2 MiB, which take
/// about half a second.
pub const MEMBERS_COMPILE_BYTES_MAX: u64 = 2 << 20;

/// Most requests of members' tests that one assembly sends: 200,000, which take about half a
/// second.
pub const MEMBERS_TEST_REQUESTS_MAX: u64 = 200_000;

/// Most bytes of unchanged policy files of members that one assembly compiles, because the
/// operator's files changed or because they are the last valid files: 16 MiB, which take about four
/// seconds. The smallest come first, so that a member with large files does not delay the others.
pub const MEMBERS_REBUILD_BYTES_MAX: u64 = 16 << 20;

/// Most milliseconds of all component tests of one member, by the time that each extern grants.
pub const MEMBER_CASES_MS_MAX: u64 = 1_000;

/// Factor on the limits at start, when no policy is active yet: members whose files are not
/// compiled then have no part in force.
pub const START_EFFORTS: u64 = 32;

/// The amount of work for members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// A running server: [`MEMBERS_COMPILE_BYTES_MAX`] and [`MEMBERS_TEST_REQUESTS_MAX`].
    Reload,
    /// A starting server: [`START_EFFORTS`] times as much for new files.
    Start,
    /// All work, because the caller waits for the complete result.
    Unbounded,
}

/// Returns the bytes of a member's policy files.
pub(crate) fn policy_bytes(sources: &MemberSources) -> u64 {
    let texts = sources.reached().policies().filter_map(|(_, bytes)| bytes.as_ref().ok());
    texts.map(|bytes| bytes.len() as u64).sum()
}

/// The remaining amounts.
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

    /// Takes the bytes of a member's policy files if any bytes remain. The last member can take
    /// more than remains, so that every member is compiled at some time.
    pub(crate) fn compile(&mut self, sources: &MemberSources) -> bool {
        let there = self.bytes > 0 && self.requests > 0;
        if there {
            self.bytes = self.bytes.saturating_sub(policy_bytes(sources));
        }
        there
    }

    /// Takes the bytes of unchanged files if any bytes remain.
    pub(crate) fn rebuild(&mut self, sources: &MemberSources) -> bool {
        let there = self.rebuild_bytes > 0;
        self.rebuild_bytes = self.rebuild_bytes.saturating_sub(policy_bytes(sources));
        there
    }

    /// Returns whether tests that do not decide about a part can run.
    pub(crate) fn may_test(&self) -> bool {
        self.requests > 0
    }

    /// Takes the requests of a member's tests.
    pub(crate) fn test(&mut self, requests: u64) {
        self.requests = self.requests.saturating_sub(requests);
    }
}
