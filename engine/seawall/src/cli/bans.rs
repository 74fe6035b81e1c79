//! `seawall bans`: lists, adds and removes bans of the running server.

use clap::{Args, Subcommand};
use seawall_admin_api::{BanEntry, BanList, BanRequest, BanResponse};

use super::common::{ServerArgs, count};
use super::duration::duration_ms;
use super::help;
use crate::cli::exit::{ExitStatus, fail, print_json, print_out};

/// List, add and remove bans.
#[derive(Debug, Subcommand)]
pub(crate) enum Bans {
    /// List the active bans, the first to expire first
    #[command(after_long_help = help::BANS_LIST)]
    List(List),
    /// Ban an address, a network or an autonomous system on all sites
    #[command(after_long_help = help::BANS_ADD)]
    Add(Add),
    /// Remove one ban
    #[command(after_long_help = help::BANS_REMOVE)]
    Remove(Remove),
    /// Remove all bans, or those of one rule or one generation
    #[command(after_long_help = help::BANS_CLEAR)]
    Clear(Clear),
}

/// List the active bans.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Print the bans as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

/// Add a ban.
#[derive(Debug, Args)]
pub(crate) struct Add {
    /// 192.0.2.7, 192.0.2.0/24 or AS64500; an IPv6 address bans its whole /56
    target: String,
    /// Ban it for this time, such as 90s, 1h30m or 7d; at most 30d
    #[arg(long = "for", value_name = "DURATION", value_parser = duration_ms)]
    for_ms: u64,
    #[command(flatten)]
    server: ServerArgs,
}

/// Remove a ban.
#[derive(Debug, Args)]
pub(crate) struct Remove {
    /// Target as `seawall bans list` shows it
    target: String,
    /// Remove the ban on the sites of this member [default: the ban on all sites]
    #[arg(long, value_name = "NAME")]
    member: Option<String>,
    #[command(flatten)]
    server: ServerArgs,
}

/// Remove many bans.
#[derive(Debug, Args)]
pub(crate) struct Clear {
    /// Remove only the bans that this rule has set
    #[arg(long, value_name = "NAME")]
    rule: Option<String>,
    /// Remove only the bans that rules of this generation have set
    #[arg(long, value_name = "NUMBER")]
    generation: Option<u64>,
    #[command(flatten)]
    server: ServerArgs,
}

impl Bans {
    pub(crate) fn run(&self) -> ExitStatus {
        match self {
            Self::List(list) => list.run(),
            Self::Add(Add { target, for_ms, server }) => {
                send(server, BanRequest::Add { target: target.clone(), for_ms: *for_ms })
            }
            Self::Remove(Remove { target, member, server }) => {
                send(server, BanRequest::Remove { target: target.clone(), member: member.clone() })
            }
            Self::Clear(Clear { rule, generation, server }) => {
                send(server, BanRequest::Clear { rule: rule.clone(), generation: *generation })
            }
        }
    }
}

impl List {
    fn run(&self) -> ExitStatus {
        self.server.with_client(|client| {
            let bans = client.bans()?;
            if self.json {
                print_json(format!("{:#}", serde_json::json!(bans)));
            } else {
                lines(&bans).iter().for_each(print_out);
            }
            Ok(ExitStatus::Success)
        })
    }
}

/// Sends a request and prints the response.
fn send(server: &ServerArgs, request: BanRequest) -> ExitStatus {
    server.with_client(|client| {
        Ok(match client.order_ban(&request)? {
            BanResponse::Set { target, remaining_ms } => {
                print_out(format!("{target} is banned for {}", span(remaining_ms)));
                ExitStatus::Success
            }
            BanResponse::Cleared { bans } => {
                print_out(format!("removed {}", count(bans, "ban")));
                ExitStatus::Success
            }
            BanResponse::Rejected { reason } => fail(ExitStatus::Failure, reason),
        })
    })
}

/// One line for each ban, and one with their number.
fn lines(list: &BanList) -> Vec<String> {
    let line = |ban: &BanEntry| {
        let sites = ban.member.as_ref().map(|member| format!(" on sites of {member}"));
        let by = match &ban.rule {
            Some(rule) => format!("by {rule} of generation {}", ban.generation),
            None => "set manually".to_owned(),
        };
        let (left, sites) = (span(ban.remaining_ms), sites.unwrap_or_default());
        format!("{:<24} {left:>8} remaining{sites}  {by}", ban.target)
    };
    let mut lines: Vec<String> = list.bans.iter().map(line).collect();
    let more = list.total.saturating_sub(list.bans.len());
    lines.push(match more {
        0 => count(list.total, "ban"),
        _ => format!("{}, {more} of them not shown", count(list.total, "ban")),
    });
    if list.rejected > 0 {
        lines.push(format!("{} more were rejected (table full): ban networks", list.rejected));
    }
    lines
}

/// Milliseconds as a duration, rounded up to a second.
fn span(ms: u64) -> String {
    seawall_ruleset::duration_text(ms.div_ceil(1_000).saturating_mul(1_000))
}

#[cfg(test)]
mod tests {
    use seawall_admin_api::BanSource;

    use super::*;

    #[test]
    fn bans_are_listed_with_what_set_them() {
        let ban = |unit: &str, member: Option<&str>| BanEntry {
            target: unit.into(),
            member: member.map(str::to_owned),
            remaining_ms: 59_001,
            source: if member.is_some() { BanSource::Manual } else { BanSource::Rule },
            rule: member.is_none().then(|| "floor.trap".into()),
            generation: 7,
        };
        let bans = vec![ban("192.0.2.7", None), ban("AS64500", Some("alice"))];
        assert_eq!(
            lines(&BanList { bans, total: 3, rejected: 2 }),
            [
                "192.0.2.7                      1m remaining  by floor.trap of generation 7",
                "AS64500                        1m remaining on sites of alice  set manually",
                "3 bans, 1 of them not shown",
                "2 more were rejected (table full): ban networks",
            ]
        );
    }
}
