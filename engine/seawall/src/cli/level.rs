//! `seawall level`: puts a level in force by hand, for a while.

use clap::Args;
use seawall_admin_api::{LevelRequest, LevelResponse};

use super::common::ServerArgs;
use super::duration::duration_ms;
use crate::cli::exit::{ExitStatus, fail, print_out};

/// Put a level in force by hand, for a while; `normal` is one too.
#[derive(Debug, Args)]
pub(crate) struct Level {
    /// The level, as the policy names it
    #[arg(required_unless_present = "end", conflicts_with = "end")]
    name: Option<String>,
    /// For how long, as `90s`, `1h30m` or `2d`; at most 7d
    #[arg(
        long = "for",
        value_name = "DURATION",
        value_parser = duration_ms,
        required_unless_present = "end",
        conflicts_with = "end"
    )]
    for_ms: Option<u64>,
    /// End what was set; from then on the conditions decide
    #[arg(long)]
    end: bool,
    /// For this site alone, by its first host
    #[arg(long, value_name = "HOST")]
    site: Option<String>,
    #[command(flatten)]
    server: ServerArgs,
}

impl Level {
    pub(crate) fn obey(&self) -> ExitStatus {
        let order = LevelRequest {
            level: self.name.clone(),
            for_ms: self.for_ms.unwrap_or_default(),
            site: self.site.clone(),
        };
        let whose = self.site.as_ref().map(|site| format!(" of {site}")).unwrap_or_default();
        self.server.ask(|client| {
            Ok(match client.order_level(&order)? {
                LevelResponse::Set => {
                    let name = self.name.as_deref().unwrap_or_default();
                    let span = seawall_ruleset::duration_text(order.for_ms);
                    print_out(format!("level{whose}: {name} for {span}"));
                    ExitStatus::Success
                }
                LevelResponse::Cleared => {
                    print_out(format!("level{whose}: the conditions decide"));
                    ExitStatus::Success
                }
                LevelResponse::Rejected { reason } => fail(ExitStatus::Failure, reason),
            })
        })
    }
}
