//! Requests and responses of the admin socket, apart from the status.
//!
//! The CLI, a dashboard and tests read the same values. They are plain data and do not depend on
//! rulesets.

use seawall_model::shown;
use serde::{Deserialize, Serialize};

use crate::CounterReport;

/// The cause of a reload. If several come together, the last in this list counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReloadCause {
    /// The regular poll, in case no notification comes.
    Poll,
    /// Files changed.
    Change,
    /// SIGHUP.
    Signal,
    /// `seawall reload`.
    Command,
    /// `seawall rollback`.
    Rollback,
    /// A start of the process.
    Start,
    /// An upgrade: the process replaced its parent.
    Upgrade,
}

/// The result of an upgrade.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "result")]
pub enum UpgradeOutcome {
    /// The child process serves.
    Done {
        /// The process id of the child.
        pid: u32,
        /// Milliseconds from the start of the child until it served.
        duration_ms: u64,
        /// Milliseconds of these in which accepting was paused.
        accept_paused_ms: u64,
    },
    /// The parent process serves, and nothing has changed.
    Rejected {
        /// The reason.
        reason: String,
    },
}

/// One diagnostic about a policy, with its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyError {
    /// The file, as a path below the policy folder.
    pub file: String,
    /// The line, counted from 1.
    pub line: u32,
    /// The column, counted from 1.
    pub column: u32,
    /// The diagnostic's code.
    pub code: String,
    /// The message.
    pub message: String,
}

impl std::fmt::Display for PolicyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { file, line, column, code, message } = self;
        let text = format!("{file}:{line}:{column}: {code}: {message}");
        f.write_str(&shown::one_line(&text))
    }
}

/// The errors because of which nothing was published. `errors` is never empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyRejection {
    /// The errors, the first one first.
    pub errors: Vec<PolicyError>,
    /// The same as text, with the lines of the policy.
    pub rendered: String,
}

/// The results of a policy's tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TestCounts {
    /// Passed tests.
    pub passed: usize,
    /// Failed tests. Only tests of members can fail in a published generation, because of the
    /// operator's rules.
    pub failed: usize,
}

/// Numbers of penalties that were ended because an edit was wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ClearedPenalties {
    /// Bans.
    pub bans: usize,
    /// Holds of limits.
    pub holds: usize,
}

/// Members whose files are not active.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MembersRefused {
    /// Number of members whose files are rejected.
    pub refused: usize,
    /// Number of members whose files have not been read yet.
    pub waiting: usize,
    /// One line about the first member with rejected files: the error, and the part that is active
    /// instead.
    pub first: Option<String>,
}

impl MembersRefused {
    /// Returns a text with the first member and the number of members.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let files = |n: usize| if n == 1 { "1 member".to_owned() } else { format!("{n} members") };
        let mut lines: Vec<String> = self.first.iter().cloned().collect();
        if self.refused > 0 {
            let whose = files(self.refused);
            lines.push(format!("the files of {whose} are rejected: see `seawall status`"));
        }
        if self.waiting > 0 {
            let whose = files(self.waiting);
            lines.push(format!("the files of {whose} are checked next"));
        }
        lines
    }
}

/// The result of a reload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum ReloadOutcome {
    /// A new generation is active.
    Published {
        /// The number of the generation.
        generation: u64,
        /// Milliseconds since the first read of the files.
        duration_ms: u64,
        /// The changes of the counters.
        counters: CounterReport,
        /// Warnings, as text.
        warnings: Vec<String>,
        /// For a rollback, the generation whose files it consists of.
        restored_from: Option<u64>,
        /// The penalties that were ended, if the request asked for it.
        cleared: Option<ClearedPenalties>,
    },
    /// The files are those of the active generation.
    Unchanged {
        /// The number of the active generation.
        generation: u64,
        /// The penalties that were ended, if the request asked for it. This also works without a
        /// change.
        cleared: Option<ClearedPenalties>,
        /// The members whose files are not active.
        #[serde(default)]
        members: MembersRefused,
    },
    /// The files have errors. The earlier generation stays active.
    Rejected {
        /// The number of the active generation.
        generation: u64,
        /// The errors.
        rejection: PolicyRejection,
    },
}

impl ReloadOutcome {
    /// Returns the outcome in one line, for the log and the command line.
    #[must_use]
    pub fn summary(&self) -> String {
        match self {
            Self::Published { generation, duration_ms, restored_from, .. } => {
                let from =
                    restored_from.map(|past| format!(", made of the files of generation {past}"));
                let from = from.unwrap_or_default();
                format!("generation {generation} is active ({duration_ms} ms){from}")
            }
            Self::Unchanged { generation, .. } => {
                format!("no change: generation {generation} stays active")
            }
            Self::Rejected { generation, .. } => {
                format!("rejected: generation {generation} stays active")
            }
        }
    }
}

/// One file of a generation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileDigest {
    /// The path below the policy folder.
    pub path: String,
    /// SHA-256 of the content, in hexadecimal digits.
    pub sha256: String,
}

/// The body of `POST /reload`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReloadRequest {
    /// The rule whose bans and holds the reload ends.
    pub lift: Option<String>,
}

/// The body of `POST /rollback`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RollbackRequest {
    /// The generation; by default the newest earlier one with other files.
    pub to: Option<u64>,
    /// The owner of the files that are rolled back.
    #[serde(default)]
    pub back: Back,
    /// Whether the bans and holds of later generations end.
    #[serde(default)]
    pub lift: bool,
}

/// The owner of the files that are rolled back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Back {
    /// The operator's files. The members' parts stay.
    #[default]
    Host,
    /// The files of one member.
    Member(Box<str>),
    /// The operator's files, and the part of each member that was active then.
    All,
}

/// The origin of a ban.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BanSource {
    /// A rule or limit.
    Rule,
    /// The operator.
    Manual,
}

/// An active ban.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BanEntry {
    /// An address, a network or `AS64500`.
    pub target: String,
    /// The member on whose sites the ban applies; without it, on all sites.
    pub member: Option<String>,
    /// Milliseconds until the ban ends.
    pub remaining_ms: u64,
    /// The origin of the ban.
    pub source: BanSource,
    /// The rule or limit that set the ban; none if the operator did.
    pub rule: Option<String>,
    /// The generation of the rule.
    pub generation: u64,
}

/// The active bans.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BanList {
    /// At most 10,000, in the order in which they end.
    pub bans: Vec<BanEntry>,
    /// The number of active bans.
    pub total: usize,
    /// Bans that were rejected since the start because the table was full.
    pub rejected: u64,
}

/// A change of bans.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, tag = "do", rename_all = "snake_case")]
pub enum BanRequest {
    /// Sets a ban.
    Add {
        /// An address (which means its client), a network or `AS64500`.
        target: String,
        /// The duration in milliseconds.
        for_ms: u64,
    },
    /// Ends a ban of the operator's rules or of a member's.
    Remove {
        /// The target, as listed.
        target: String,
        /// The member whose rules set the ban; none for the operator's.
        member: Option<String>,
    },
    /// Ends all bans, or those of a rule or a generation.
    Clear {
        /// The full name of the rule.
        rule: Option<String>,
        /// The number of the generation.
        generation: Option<u64>,
    },
}

/// The result of a [`BanRequest`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum BanResponse {
    /// The ban is active.
    Set {
        /// The banned target.
        target: String,
        /// Milliseconds until the ban ends.
        remaining_ms: u64,
    },
    /// Bans were ended.
    Cleared {
        /// The number of ended bans.
        bans: usize,
    },
    /// Nothing was changed.
    Rejected {
        /// The reason.
        reason: String,
    },
}

/// A change of a level.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LevelRequest {
    /// The level; none ends the manual level.
    pub level: Option<String>,
    /// The duration in milliseconds.
    pub for_ms: u64,
    /// The site, by its first host; without it, the whole server.
    pub site: Option<String>,
}

/// The result of a [`LevelRequest`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum LevelResponse {
    /// The level is active.
    Set,
    /// The manual level is ended. The conditions of the levels decide again.
    Cleared,
    /// Nothing was changed.
    Rejected {
        /// The reason.
        reason: String,
    },
}
