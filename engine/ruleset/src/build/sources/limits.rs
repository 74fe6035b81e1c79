//! Limits on files: for the operator, for each member, and for all members together.
//!
//! Files of a member never reduce what the operator or another member can read. The total of all
//! members has a limit too. When it is exhausted, the members with later entries get the error.

/// Most files of the operator's policy.
pub const FILES_MAX: usize = 2_000;
/// Most bytes of a policy file.
pub const POLICY_BYTES_MAX: u64 = 1 << 20;
/// Most bytes of a list file: 10 million addresses.
pub const LIST_BYTES_MAX: u64 = 256 << 20;
/// Most bytes of a component; a large one contains a language runtime.
pub const COMPONENT_BYTES_MAX: u64 = 32 << 20;
/// Most bytes of all files of the operator's policy.
pub const TOTAL_BYTES_MAX: u64 = 1 << 30;
/// Most entries of one folder that a pattern of the operator examines, and most matches of a
/// pattern.
pub const GLOB_ENTRIES_MAX: usize = 10_000;

/// Most files that one member's files can name.
pub const MEMBER_FILES_MAX: usize = 100;
/// Most bytes of one member's policy files together.
pub const MEMBER_POLICY_BYTES_MAX: u64 = 1 << 20;
/// Most bytes of one member's list files together.
pub const MEMBER_LIST_BYTES_MAX: u64 = 16 << 20;
/// Most bytes of one member's components together, with their signatures.
pub const MEMBER_COMPONENT_BYTES_MAX: u64 = 32 << 20;
/// Most folder entries that all patterns of one member examine.
pub const MEMBER_ENTRIES_MAX: usize = 2_000;
/// Most folders with files of one member. All of them are watched.
pub const MEMBER_FOLDERS_MAX: usize = 32;
/// Most steps of matching names with all patterns of one member: about 50 ms of work. A compared
/// character is one step; a match is its path and [`STEPS_OF_MATCH`] more.
pub const MEMBER_MATCH_STEPS_MAX: u64 = 10_000_000;
/// Most bytes of all members' files together.
pub const MEMBERS_BYTES_MAX: u64 = 512 << 20;

/// Steps to store a match, in addition to its path.
pub(super) const STEPS_OF_MATCH: u64 = 64;

/// A limit that a member exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberLimit {
    /// [`MEMBER_FILES_MAX`]
    Files,
    /// [`MEMBER_POLICY_BYTES_MAX`]
    PolicyBytes,
    /// [`MEMBER_LIST_BYTES_MAX`]
    ListBytes,
    /// [`MEMBER_COMPONENT_BYTES_MAX`]
    ComponentBytes,
    /// [`MEMBER_ENTRIES_MAX`]
    Entries,
    /// [`MEMBER_FOLDERS_MAX`]
    Folders,
    /// [`MEMBER_MATCH_STEPS_MAX`]
    MatchSteps,
    /// [`MEMBERS_BYTES_MAX`]
    AllMembersBytes,
}

impl std::fmt::Display for MemberLimit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Files => write!(f, "a member can use at most {MEMBER_FILES_MAX} files"),
            Self::PolicyBytes => {
                write!(
                    f,
                    "the policy files of a member can have at most {MEMBER_POLICY_BYTES_MAX} \
                    bytes"
                )
            }
            Self::ListBytes => {
                write!(
                    f,
                    "the list files of a member can have at most {MEMBER_LIST_BYTES_MAX} \
                    bytes"
                )
            }
            Self::ComponentBytes => {
                write!(
                    f,
                    "the components of a member can have at most \
                    {MEMBER_COMPONENT_BYTES_MAX} bytes"
                )
            }
            Self::Entries => write!(
                f,
                "the patterns of a member can examine at most {MEMBER_ENTRIES_MAX} folder entries"
            ),
            Self::Folders => {
                write!(f, "the files of a member can be in at most {MEMBER_FOLDERS_MAX} folders")
            }
            Self::MatchSteps => f.write_str("the patterns of the member take too long to match"),
            Self::AllMembersBytes => write!(
                f,
                "the files of all members can have at most {MEMBERS_BYTES_MAX} bytes, and earlier \
                 members use them"
            ),
        }
    }
}

/// The remaining amounts for one owner.
#[derive(Debug)]
pub(super) struct Budget {
    pub(super) files: usize,
    pub(super) policy_bytes: u64,
    pub(super) list_bytes: u64,
    pub(super) component_bytes: u64,
    /// Bytes of stored copies of lists.
    pub(super) kept_bytes: u64,
    pub(super) total_bytes: u64,
    pub(super) entries: usize,
    pub(super) folders: usize,
    pub(super) match_steps: u64,
}

impl Budget {
    /// Creates the budget of the operator. The size of one listing is limited separately.
    pub(super) const fn host() -> Self {
        Self {
            files: FILES_MAX,
            policy_bytes: TOTAL_BYTES_MAX,
            list_bytes: TOTAL_BYTES_MAX,
            component_bytes: TOTAL_BYTES_MAX,
            kept_bytes: TOTAL_BYTES_MAX,
            total_bytes: TOTAL_BYTES_MAX,
            entries: usize::MAX,
            folders: usize::MAX,
            match_steps: u64::MAX,
        }
    }

    /// Creates the budget of a member, if all members together have `total_bytes` remaining.
    pub(super) const fn member(total_bytes: u64) -> Self {
        Self {
            files: MEMBER_FILES_MAX,
            policy_bytes: MEMBER_POLICY_BYTES_MAX,
            list_bytes: MEMBER_LIST_BYTES_MAX,
            component_bytes: MEMBER_COMPONENT_BYTES_MAX,
            kept_bytes: MEMBER_LIST_BYTES_MAX,
            total_bytes,
            entries: MEMBER_ENTRIES_MAX,
            folders: MEMBER_FOLDERS_MAX,
            match_steps: MEMBER_MATCH_STEPS_MAX,
        }
    }
}
