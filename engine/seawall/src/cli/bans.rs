//! `seawall bans`: who is refused everywhere, and until when.

use clap::{Args, Subcommand};
use seawall_admin_api::{BanEntry, BanList, BanRequest, BanResponse};

use super::common::ServerArgs;
use super::duration::duration_ms;
use crate::cli::exit::{ExitStatus, fail, print_out, say_json};

/// List, set and end bans of the running server.
#[derive(Debug, Subcommand)]
pub(crate) enum Bans {
    /// List the bans that run, those that end first first
    List(List),
    /// Ban an address, a network or an autonomous system, everywhere and at once
    Add(Add),
    /// End a ban
    Remove(Remove),
    /// End all bans, or those that a rule or a generation set
    Clear(Clear),
}

/// List the bans that run.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Print them for tools
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

/// Ban somebody.
#[derive(Debug, Args)]
pub(crate) struct Add {
    /// 192.0.2.7 (its client; a /56 in IPv6), 192.0.2.0/24, or AS64500
    unit: String,
    /// For how long, as `90s`, `1h30m` or `7d`
    #[arg(long = "for", value_name = "DURATION", value_parser = duration_ms)]
    for_ms: u64,
    #[command(flatten)]
    server: ServerArgs,
}

/// End a ban.
#[derive(Debug, Args)]
pub(crate) struct Remove {
    /// As `seawall bans list` shows it
    unit: String,
    /// The member on whose sites it holds
    #[arg(long)]
    member: Option<String>,
    #[command(flatten)]
    server: ServerArgs,
}

/// End many bans.
#[derive(Debug, Args)]
pub(crate) struct Clear {
    /// Only those that this rule set
    #[arg(long, value_name = "NAME")]
    rule: Option<String>,
    /// Only those that this generation's rules set
    #[arg(long, value_name = "NUMBER")]
    generation: Option<u64>,
    #[command(flatten)]
    server: ServerArgs,
}

impl Bans {
    pub(crate) fn obey(&self) -> ExitStatus {
        match self {
            Self::List(list) => list.server.ask(|client| {
                let bans = client.bans()?;
                if list.json {
                    say_json(format!("{:#}", serde_json::json!(bans)));
                } else {
                    human(&bans).iter().for_each(print_out);
                }
                Ok(ExitStatus::Success)
            }),
            Self::Add(Add { unit, for_ms, server }) => {
                order(server, BanRequest::Add { target: unit.clone(), for_ms: *for_ms })
            }
            Self::Remove(Remove { unit, member, server }) => {
                order(server, BanRequest::Remove { target: unit.clone(), member: member.clone() })
            }
            Self::Clear(Clear { rule, generation, server }) => {
                order(server, BanRequest::Clear { rule: rule.clone(), generation: *generation })
            }
        }
    }
}

fn order(server: &ServerArgs, order: BanRequest) -> ExitStatus {
    server.ask(|client| {
        Ok(match client.order_ban(&order)? {
            BanResponse::Set { target, remaining_ms } => {
                print_out(format!("{target} is banned for {}", span(remaining_ms)));
                ExitStatus::Success
            }
            BanResponse::Cleared { bans } => {
                print_out(format!("ended: {bans}"));
                ExitStatus::Success
            }
            BanResponse::Rejected { reason } => fail(ExitStatus::Failure, reason),
        })
    })
}

fn human(list: &BanList) -> Vec<String> {
    let line = |ban: &BanEntry| {
        let whose = ban.member.as_ref().map(|member| format!(" on {member}'s sites"));
        let by = match &ban.rule {
            Some(rule) => format!("by {rule} of generation {}", ban.generation),
            None => "set manually".to_owned(),
        };
        let (left, whose) = (span(ban.remaining_ms), whose.unwrap_or_default());
        format!("{:<24} {left:>8} left{whose}  {by}", ban.target)
    };
    let mut lines: Vec<String> = list.bans.iter().map(line).collect();
    let more = list.total.saturating_sub(list.bans.len());
    lines.push(match more {
        0 => format!("{} bans", list.total),
        _ => format!("{} bans, {more} of them not shown", list.total),
    });
    if list.rejected > 0 {
        lines.push(format!("{} more found no room: ban networks", list.rejected));
    }
    lines
}

/// Milliseconds to the second.
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
            human(&BanList { bans, total: 3, rejected: 2 }),
            [
                "192.0.2.7                      1m left  by floor.trap of generation 7",
                "AS64500                        1m left on alice's sites  set manually",
                "3 bans, 1 of them not shown",
                "2 more found no room: ban networks",
            ]
        );
    }
}
