//! What the admin socket is asked and what it answers, in words that an operator's tool can read.
//!
//! These are the wire forms of the admin socket: the CLI, a dashboard and a test read the same
//! values, so they are plain data and know nothing of rulesets.

use seawall_model::shown;
use serde::{Deserialize, Serialize};

use crate::CounterReport;

/// Why a reload was tried; a later one wins where several came together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReloadCause {
    /// The regular look, behind everything that notifies.
    Poll,
    /// Files changed.
    Change,
    /// SIGHUP.
    Signal,
    /// `seawall reload`.
    Command,
    /// `seawall rollback`.
    Rollback,
    /// The process started.
    Start,
    /// The process took over from one that ran.
    Upgrade,
}

/// What came of having a successor started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "result")]
pub enum UpgradeOutcome {
    /// It serves.
    Done {
        /// Its process.
        pid: u32,
        /// Milliseconds from its start until it served.
        duration_ms: u64,
        /// Milliseconds of these in which newcomers waited.
        accept_paused_ms: u64,
    },
    /// It does not, and nothing has changed.
    Rejected {
        /// Why.
        reason: String,
    },
}

/// One complaint about a policy, with its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyError {
    /// Below the policy root.
    pub file: String,
    /// Counted from 1.
    pub line: u32,
    /// Counted from 1.
    pub column: u32,
    /// The diagnostic's code.
    pub code: String,
    /// What is wrong.
    pub message: String,
}

impl std::fmt::Display for PolicyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { file, line, column, code, message } = self;
        let text = format!("{file}:{line}:{column}: {code}: {message}");
        f.write_str(&shown::one_line(&text))
    }
}

/// Why nothing was published. `complaints` is never empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyRejection {
    /// The errors, the first one first.
    pub errors: Vec<PolicyError>,
    /// The same as a person reads it, with the lines of the policy.
    pub rendered: String,
}

/// How the tests of a policy ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TestCounts {
    /// As they should.
    pub passed: usize,
    /// Otherwise: tests of members that the host's rules break.
    pub failed: usize,
}

/// What was ended because an edit was wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ClearedPenalties {
    /// Bans.
    pub bans: usize,
    /// Holds of limits.
    pub holds: usize,
}

/// Members whose files are not in force.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MembersRefused {
    /// How many members' files are refused.
    pub refused: usize,
    /// How many members' files are yet to be looked at.
    pub waiting: usize,
    /// The first member whose files are refused, with what is wrong and what serves instead, on one
    /// line.
    pub first: Option<String>,
}

impl MembersRefused {
    /// What is to be told: the first of them, and how many there are.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let files = |n: usize| if n == 1 { "1 member".to_owned() } else { format!("{n} members") };
        let mut lines: Vec<String> = self.first.iter().cloned().collect();
        if self.refused > 0 {
            let whose = files(self.refused);
            lines.push(format!("the files of {whose} are refused: see `seawall status`"));
        }
        if self.waiting > 0 {
            let whose = files(self.waiting);
            lines.push(format!("the files of {whose} are looked at as soon as the others are"));
        }
        lines
    }
}

/// How a reload ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum ReloadOutcome {
    /// A new generation judges.
    Published {
        /// Its number.
        generation: u64,
        /// Milliseconds from the first look at the files.
        duration_ms: u64,
        /// What became of the counters.
        counters: CounterReport,
        /// What is probably not what was meant, as text.
        warnings: Vec<String>,
        /// The generation whose files it is made of, where somebody went back to it.
        restored_from: Option<u64>,
        /// What was ended with it, where that was asked for.
        cleared: Option<ClearedPenalties>,
    },
    /// The files hold what is running.
    Unchanged {
        /// The number of what is running.
        generation: u64,
        /// What was ended all the same, where that was asked for.
        cleared: Option<ClearedPenalties>,
        /// The members whose files are not in force all the same.
        #[serde(default)]
        members: MembersRefused,
    },
    /// The old generation goes on.
    Rejected {
        /// Its number.
        generation: u64,
        /// Why.
        rejection: PolicyRejection,
    },
}

/// One file that a generation was made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileDigest {
    /// Below the policy root.
    pub path: String,
    /// SHA-256 of its content, in hexadecimal digits.
    pub sha256: String,
}

/// What `POST /reload` may be sent with.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReloadRequest {
    /// The rule whose bans and holds are to end with it.
    pub lift: Option<String>,
}

/// What `POST /rollback` is sent with.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RollbackRequest {
    /// The generation; without it the newest before that was made of other files.
    pub to: Option<u64>,
    /// Whose files go back.
    #[serde(default)]
    pub back: Back,
    /// Whether what later generations set is to end.
    #[serde(default)]
    pub lift: bool,
}

/// Whose files somebody goes back with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Back {
    /// The host's; members keep what they have.
    #[default]
    Host,
    /// This member's alone.
    Member(Box<str>),
    /// The host's, and of each member the part that was in force.
    All,
}

/// What set a ban.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BanSource {
    /// A rule or limit.
    Rule,
    /// An operator.
    Manual,
}

/// A ban, as it is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BanEntry {
    /// An address, a network or `AS64500`.
    pub target: String,
    /// The member on whose sites it holds; everywhere if absent.
    pub member: Option<String>,
    /// Milliseconds until it ends.
    pub remaining_ms: u64,
    /// What set it.
    pub source: BanSource,
    /// The rule or limit that set it; none where an operator did.
    pub rule: Option<String>,
    /// The generation that the rule belongs to.
    pub generation: u64,
}

/// The bans that run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BanList {
    /// At most 10,000, those that end first first.
    pub bans: Vec<BanEntry>,
    /// How many there are in all.
    pub total: usize,
    /// How many were rejected since the start because the table was full.
    pub rejected: u64,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, tag = "do", rename_all = "snake_case")]
pub enum BanRequest {
    /// Set one.
    Add {
        /// An address, which stands for its client, a network or `AS64500`.
        target: String,
        /// How long.
        for_ms: u64,
    },
    /// End one of the host's, or of a member's.
    Remove {
        /// As listed.
        target: String,
        /// Whose.
        member: Option<String>,
    },
    /// End all, or those that a rule or a generation set.
    Clear {
        /// The rule's full name.
        rule: Option<String>,
        /// The generation's number.
        generation: Option<u64>,
    },
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum BanResponse {
    /// It is active.
    Set {
        /// What is banned.
        target: String,
        /// For how long.
        remaining_ms: u64,
    },
    /// So many were ended.
    Cleared {
        /// How many.
        bans: usize,
    },
    /// Nothing was done.
    Rejected {
        /// Why.
        reason: String,
    },
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LevelRequest {
    /// The level; none ends what was set.
    pub level: Option<String>,
    /// For how long.
    pub for_ms: u64,
    /// The site, by its first host; the whole host if absent.
    pub site: Option<String>,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum LevelResponse {
    /// It is in force.
    Set,
    /// What was set is ended; the conditions decide.
    Cleared,
    /// Nothing was done.
    Rejected {
        /// Why.
        reason: String,
    },
}
