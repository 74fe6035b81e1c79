//! Why a file is not there for the policy that names it.

use super::limits::MemberLimit;

/// Why a file could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadError {
    /// It is not there.
    Missing,
    /// It is there and cannot be read; in the system's words.
    Unreadable(String),
    /// It is larger than it may be.
    TooLarge {
        /// The most it may have.
        bytes_max: u64,
    },
    /// Its real place is outside the policy root.
    Outside,
    /// A member's file names it, and it, or its real place, lies outside her own folder.
    OutsideFolder {
        /// Her folder, from the policy root; empty where it is the root.
        folder: Box<str>,
    },
    /// A member's file or entry names it, and it is somebody else's.
    Owned {
        /// The member whose it is; nobody where it is the host's.
        by: Option<Box<str>>,
    },
    /// A member's file names it, and her entry does not grant the word that it is named by.
    NotGranted {
        /// `list` or `extern`.
        word: &'static str,
    },
    /// A member's file names it, and with it she would have more than she may.
    OverBudget(MemberLimit),
    /// A folder, a pipe or a device.
    NotAFile,
    /// It changed while it was read.
    Changing,
}

impl std::fmt::Display for ReadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing => f.write_str("there is no such file"),
            Self::Unreadable(why) => write!(f, "it cannot be read: {why}"),
            Self::TooLarge { bytes_max } => write!(f, "it has more than {bytes_max} bytes"),
            Self::Outside => f.write_str("it lies outside the policy root"),
            Self::OutsideFolder { folder } if folder.is_empty() => {
                f.write_str("it lies outside the member's own folder, the policy root")
            }
            Self::OutsideFolder { folder } => {
                write!(f, "it lies outside the member's own folder, `{folder}/`")
            }
            Self::Owned { by: None } => f.write_str("it is a file of the host"),
            Self::Owned { by: Some(member) } => write!(f, "it is a file of the member `{member}`"),
            Self::NotGranted { word } => write!(f, "the member's entry does not grant `{word}`"),
            Self::OverBudget(limit) => write!(f, "{limit}"),
            Self::NotAFile => f.write_str("it is not a regular file"),
            Self::Changing => f.write_str("it is being written"),
        }
    }
}
