//! What came of a reload, in words that an operator's tool can read.
//!
//! These are the wire forms of the admin socket: the CLI, a dashboard and a test read the same
//! values, so they are plain data and know nothing of rulesets.

use seawall_model::shown;
use serde::{Deserialize, Serialize};

use crate::reload::counter_report::Carried;

/// Why a reload was tried; a later one wins where several came together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
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
#[serde(rename_all = "snake_case", tag = "upgrade")]
pub enum Upgraded {
    /// It serves.
    Done {
        /// Its process.
        pid: u32,
        /// Milliseconds from its start until it served.
        took_ms: u64,
        /// Milliseconds of these in which newcomers waited.
        shut_ms: u64,
    },
    /// It does not, and nothing has changed.
    Refused {
        /// Why.
        why: String,
    },
}

/// One complaint about a policy, with its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Complaint {
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

impl std::fmt::Display for Complaint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { file, line, column, code, message } = self;
        let text = format!("{file}:{line}:{column}: {code}: {message}");
        f.write_str(&shown::one_line(&text))
    }
}

/// Why nothing was published. `complaints` is never empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The errors, the first one first.
    pub complaints: Vec<Complaint>,
    /// The same as a person reads it, with the lines of the policy.
    pub rendered: String,
}

/// How the tests of a policy ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tests {
    /// As they should.
    pub passed: usize,
    /// Otherwise: tests of members that the host's rules break.
    pub failed: usize,
}

/// What was ended because an edit was wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Lifted {
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
pub enum Outcome {
    /// A new generation judges.
    Published {
        /// Its number.
        generation: u64,
        /// Milliseconds from the first look at the files.
        took_ms: u64,
        /// What became of the counters.
        carried: Carried,
        /// What is probably not what was meant, as text.
        warnings: Vec<String>,
        /// The generation whose files it is made of, where somebody went back to it.
        restores: Option<u64>,
        /// What was ended with it, where that was asked for.
        lifted: Option<Lifted>,
    },
    /// The files hold what is running.
    Unchanged {
        /// The number of what is running.
        generation: u64,
        /// What was ended all the same, where that was asked for.
        lifted: Option<Lifted>,
        /// The members whose files are not in force all the same.
        #[serde(default)]
        members: MembersRefused,
    },
    /// The old generation goes on.
    Refused {
        /// Its number.
        generation: u64,
        /// Why.
        refusal: Refusal,
    },
}

/// One file that a generation was made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileMark {
    /// Below the policy root.
    pub path: String,
    /// SHA-256 of its content, in hexadecimal digits.
    pub sha256: String,
}
