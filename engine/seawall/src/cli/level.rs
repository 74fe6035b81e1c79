//! `seawall level`: sets or clears a policy level manually.

use clap::{Args, Subcommand};
use seawall_admin_api::{LevelRequest, LevelResponse};

use super::common::ServerArgs;
use super::duration::duration_ms;
use super::help;
use crate::cli::exit::{ExitStatus, fail, print_out};

/// Set or clear a policy level manually.
#[derive(Debug, Subcommand)]
pub(crate) enum Level {
    /// Set a level for a limited time, ignoring its conditions in the policy
    #[command(after_long_help = help::LEVEL_SET)]
    Set(Set),
    /// Clear the level that was set manually; the conditions of the policy apply again
    #[command(after_long_help = help::LEVEL_CLEAR)]
    Clear(Clear),
}

/// Set a level.
#[derive(Debug, Args)]
pub(crate) struct Set {
    /// Level of the policy, or `normal` for none
    name: String,
    /// Keep it for this time, such as 90s, 1h30m or 2d; at most 7d
    #[arg(long = "for", value_name = "DURATION", value_parser = duration_ms)]
    for_ms: u64,
    #[command(flatten)]
    scope: Scope,
}

/// Clear a level.
#[derive(Debug, Args)]
pub(crate) struct Clear {
    #[command(flatten)]
    scope: Scope,
}

/// The server and the sites of a level.
#[derive(Debug, Args)]
struct Scope {
    /// Limit it to the site whose `hosts` begin with HOST [default: all sites]
    #[arg(long, value_name = "HOST")]
    site: Option<String>,
    #[command(flatten)]
    server: ServerArgs,
}

impl Level {
    pub(crate) fn run(&self) -> ExitStatus {
        match self {
            Self::Set(Set { name, for_ms, scope }) => scope.send(Some(name), *for_ms),
            Self::Clear(Clear { scope }) => scope.send(None, 0),
        }
    }
}

impl Scope {
    /// Sets the level for so long; without a level, clears it.
    fn send(&self, level: Option<&String>, for_ms: u64) -> ExitStatus {
        let request = LevelRequest { level: level.cloned(), for_ms, site: self.site.clone() };
        let site = self.site.as_ref().map(|site| format!(" of {site}")).unwrap_or_default();
        self.server.with_client(|client| {
            Ok(match client.order_level(&request)? {
                LevelResponse::Set => {
                    let name = level.map(String::as_str).unwrap_or_default();
                    let span = seawall_ruleset::duration_text(for_ms);
                    print_out(format!("level{site}: {name} for {span}"));
                    ExitStatus::Success
                }
                LevelResponse::Cleared => {
                    print_out(format!("level{site}: automatic"));
                    ExitStatus::Success
                }
                LevelResponse::Rejected { reason } => fail(ExitStatus::Failure, reason),
            })
        })
    }
}
