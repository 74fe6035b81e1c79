//! The reasons why a file that a policy names is not available.

use super::limits::MemberLimit;

/// Why a file could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadError {
    /// The file does not exist.
    Missing,
    /// The file cannot be read; the text is that of the system.
    Unreadable(String),
    /// The file is too large.
    TooLarge {
        /// The limit in bytes.
        bytes_max: u64,
    },
    /// The real path is outside the policy root.
    Outside,
    /// A member's file names it, and it, or its real path, is outside the member's folder.
    OutsideFolder {
        /// The member's folder, relative to the policy root; empty for the root.
        folder: Box<str>,
    },
    /// A member's file or entry names it, and it belongs to another owner.
    Owned {
        /// The owner; `None` for the operator.
        by: Option<Box<str>>,
    },
    /// A member's file names it with a keyword that the member's entry does not grant.
    NotGranted {
        /// `list` or `extern`.
        word: &'static str,
    },
    /// A member's file names it, and it exceeds a limit of the member.
    OverBudget(MemberLimit),
    /// It is a folder, a pipe or a device.
    NotAFile,
    /// It changed while it was read.
    Changing,
}

impl std::fmt::Display for ReadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing => f.write_str("the file does not exist"),
            Self::Unreadable(why) => write!(f, "the file cannot be read: {why}"),
            Self::TooLarge { bytes_max } => write!(f, "the file has more than {bytes_max} bytes"),
            Self::Outside => f.write_str("the file is outside the policy root"),
            Self::OutsideFolder { folder } if folder.is_empty() => {
                f.write_str("the file is outside the member's folder, the policy root")
            }
            Self::OutsideFolder { folder } => {
                write!(f, "the file is outside the member's folder `{folder}/`")
            }
            Self::Owned { by: None } => f.write_str("the file belongs to the operator"),
            Self::Owned { by: Some(member) } => write!(
                f,
                "the file belongs to the member \
                `{member}`"
            ),
            Self::NotGranted { word } => write!(f, "the member's entry does not grant `{word}`"),
            Self::OverBudget(limit) => write!(f, "{limit}"),
            Self::NotAFile => f.write_str("the file is not a regular file"),
            Self::Changing => f.write_str("the file is being written"),
        }
    }
}
