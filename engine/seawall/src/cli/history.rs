//! `seawall history`, `diff` and `rollback`: lists, compares and restores generations.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use seawall_admin_api::{Back, FileDigest, HostChange, Past, ReloadOutcome, RollbackRequest};
use seawall_control::{AdminClientError, Client, GenerationEntry, past_sources, ranges};
use seawall_ruleset::{PolicyDiff, Sources};
use serde_json::json;

use super::common::{ServerArgs, count};
use super::diff;
use super::reload::{print_outcome, print_outcome_json};
use crate::cli::exit::{ExitStatus, fail, print_json, print_out};

/// The most members that the line of a generation names as changed: 3.
const CHANGED_MEMBERS_MAX: usize = 3;

/// List the kept generations, or show or export one.
#[derive(Debug, Args)]
pub(crate) struct History {
    /// Show this generation [default: list all]
    generation: Option<u64>,
    /// Print the generations as JSON
    #[arg(long)]
    json: bool,
    /// Write the files of the generation to the new or empty directory DIR
    #[arg(long, value_name = "DIR", requires = "generation", conflicts_with = "json")]
    export: Option<PathBuf>,
    #[command(flatten)]
    server: ServerArgs,
}

/// Compare two generations.
#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// Older generation
    from: u64,
    /// Newer generation [default: the active one]
    to: Option<u64>,
    /// Print the differences as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

/// Roll back to an earlier generation.
#[derive(Debug, Args)]
pub(crate) struct Rollback {
    /// Generation to restore [default: the newest earlier one whose files differ]
    generation: Option<u64>,
    /// Restore only the files of this member
    #[arg(long, value_name = "NAME", conflicts_with_all = ["all", "clear_penalties"])]
    member: Option<String>,
    /// Restore the files of the operator and of all members
    #[arg(long)]
    all: bool,
    /// Also clear the bans and holds of the generations after the restored one
    #[arg(long)]
    clear_penalties: bool,
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

impl History {
    pub(crate) fn run(&self) -> ExitStatus {
        self.server.with_client(|client| {
            let history = client.history()?;
            let Some(number) = self.generation else {
                if self.json {
                    print_json(format!("{:#}", json!(history)));
                } else {
                    history.iter().for_each(|past| print_out(summary(past)));
                }
                return Ok(ExitStatus::Success);
            };
            let Some(past) = &client.generation(number)? else {
                return Ok(unknown(&history, number));
            };
            if let Some(folder) = &self.export {
                return export(client, past, folder);
            }
            if self.json {
                print_json(format!("{:#}", json!(past)));
            } else {
                details(past).iter().for_each(print_out);
            }
            Ok(ExitStatus::Success)
        })
    }
}

impl Diff {
    pub(crate) fn run(&self) -> ExitStatus {
        self.server.with_client(|client| {
            let history = client.history()?;
            let newest = history.last().map_or(0, |past| past.past.generation);
            let mut sides = Vec::new();
            for number in [self.from, self.to.unwrap_or(newest)] {
                let Some(past) = client.generation(number)? else {
                    return Ok(unknown(&history, number));
                };
                if !(past.files_kept && past.members_kept) {
                    return Ok(fail(ExitStatus::Failure, not_kept(number)));
                }
                sides.push(sources(client, &past.past)?);
            }
            let [old, new] = sides.as_slice() else { return Ok(ExitStatus::InternalError) };
            let difference = PolicyDiff::between(old, new);
            if self.json {
                print_json(format!("{:#}", diff::as_json(&difference)));
            } else if difference.is_empty() {
                print_out("no differences apart from formatting");
            } else {
                diff::lines(&difference).iter().for_each(print_out);
            }
            Ok(ExitStatus::Success)
        })
    }
}

impl Rollback {
    pub(crate) fn run(&self) -> ExitStatus {
        self.server.with_client(|client| {
            let back = match (&self.member, self.all) {
                (Some(name), _) => Back::Member(name.as_str().into()),
                (None, true) => Back::All,
                (None, false) => Back::Host,
            };
            let request = RollbackRequest { to: self.generation, back, lift: self.clear_penalties };
            let outcome = client.roll_back(&request)?;
            if self.json {
                return Ok(print_outcome_json(&outcome));
            }
            let exit = print_outcome(&outcome);
            advice(&outcome, &request.back).iter().for_each(print_out);
            Ok(exit)
        })
    }
}

/// What the operator has to know after a rollback.
fn advice(outcome: &ReloadOutcome, back: &Back) -> Option<String> {
    match (outcome, back) {
        (ReloadOutcome::Published { restored_from: Some(restored), .. }, back) => {
            let files = match back {
                Back::Host => "files on disk".to_owned(),
                Back::Member(name) => format!("files of member {name} on disk"),
                Back::All => "files on disk, also those of members,".to_owned(),
            };
            Some(format!(
                "{files} are ignored until they change or `seawall reload`; `seawall history \
                 {restored} --export DIR` writes the restored files to DIR"
            ))
        }
        (ReloadOutcome::Unchanged { .. }, Back::Host) => Some(
            "the operator's files of that generation are already active; `--member NAME` restores \
             the files of a member, `--all` those of all members"
                .to_owned(),
        ),
        _ => None,
    }
}

fn unknown(history: &[GenerationEntry], number: u64) -> ExitStatus {
    let known = match history {
        [] => String::new(),
        all => {
            format!("; history goes from {}", ranges(all.iter().map(|past| past.past.generation)))
        }
    };
    fail(ExitStatus::Failure, format!("there is no generation {number}{known}"))
}

fn not_kept(number: u64) -> String {
    format!("the files of generation {number} are no longer kept")
}

/// All files of a generation, the operator's first.
fn files(past: &Past) -> impl Iterator<Item = &FileDigest> {
    past.files.iter().chain(past.parts.values().flat_map(|marks| marks.iter()))
}

/// Fetches the files of a generation.
pub(super) fn sources(client: &Client, past: &Past) -> Result<Sources, AdminClientError> {
    let mut contents = std::collections::BTreeMap::new();
    for file in files(past) {
        if !contents.contains_key(&file.sha256)
            && let Some(bytes) = client.content(&file.sha256)?
        {
            contents.insert(file.sha256.clone(), bytes);
        }
    }
    Ok(past_sources(past, &|sha256| contents.get(sha256).cloned()))
}

/// A generation on one line.
fn summary(of: &GenerationEntry) -> String {
    let GenerationEntry { past, files_kept, members, members_kept } = of;
    let restores = past.restored_from.map(|from| format!(" to {from}")).unwrap_or_default();
    let user = past.by_uid.map(|uid| format!(" by user {uid}")).unwrap_or_default();
    let kept = match (files_kept, members_kept) {
        (true, true) => "",
        (true, false) => ", files of members not kept",
        (false, _) => ", files not kept",
    };
    let tests = match past.tests.failed {
        0 => format!("{} passed", count(past.tests.passed, "test")),
        failed => {
            format!("{} passed, {failed} of members failed", count(past.tests.passed, "test"))
        }
    };
    let members = match members {
        0 => String::new(),
        number => format!(", {}", count(*number, "member")),
    };
    format!(
        "{:>6}  {}  {}{restores}{user}, {}{tests}, {}, {}{members}{kept}",
        past.generation,
        past.loaded_at,
        cause(past),
        changed(past),
        count(past.warnings, "warning"),
        count(past.files.len(), "file"),
    )
}

fn cause(past: &Past) -> String {
    json!(past.cause).as_str().unwrap_or_default().to_owned()
}

/// The owners whose files differ from those of the generation before.
fn changed(past: &Past) -> String {
    let host = match past.changed.host {
        HostChange::None => None,
        HostChange::Data => Some("lists or components".to_owned()),
        HostChange::Policy => Some("policy".to_owned()),
    };
    let members = &past.changed.members;
    let rest = members.len().saturating_sub(CHANGED_MEMBERS_MAX);
    let named = members.iter().take(CHANGED_MEMBERS_MAX).map(|name| format!("member {name}"));
    let all = host.into_iter().chain(named).chain((rest > 0).then(|| format!("{rest} more")));
    let all: Vec<String> = all.collect();
    if all.is_empty() { String::new() } else { format!("changed: {}, ", all.join(" and ")) }
}

/// A generation with its report and its files.
fn details(of: &GenerationEntry) -> Vec<String> {
    let mut lines = vec![summary(of)];
    lines.extend(of.past.counters.lines().iter().map(|line| format!("        {line}")));
    let file = |file: &FileDigest| {
        format!("        {}  {}", file.sha256.get(..12).unwrap_or_default(), file.path)
    };
    lines.extend(files(&of.past).map(file));
    lines
}

/// Writes the files of a generation to a new or empty directory.
fn export(
    client: &Client,
    of: &GenerationEntry,
    folder: &Path,
) -> Result<ExitStatus, AdminClientError> {
    let wrong = |why: String| Ok(fail(ExitStatus::Failure, why));
    if !(of.files_kept && of.members_kept) {
        return wrong(not_kept(of.past.generation));
    }
    if fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
        return wrong(format!("{} is not empty", folder.display()));
    }
    let mut written = std::collections::BTreeMap::new();
    for file in files(&of.past) {
        // Two members may share a directory and still have different contents of one list.
        let before = written.insert(&*file.path, &*file.sha256);
        if before.is_some_and(|before| before != file.sha256) {
            return wrong(format!("{} has different contents for different members", file.path));
        }
        let Some(bytes) = client.content(&file.sha256)? else {
            return wrong(not_kept(of.past.generation));
        };
        // The names come from the server: each must stay below the directory.
        let relative = Path::new(&file.path);
        let below =
            |part: std::path::Component<'_>| matches!(part, std::path::Component::Normal(_));
        if !relative.components().all(below) {
            return wrong(format!("{} is outside the policy root", file.path));
        }
        let place = folder.join(relative);
        let made = place.parent().map_or(Ok(()), fs::create_dir_all);
        if let Err(error) = made.and_then(|()| fs::write(&place, bytes)) {
            return wrong(format!("{}: {error}", place.display()));
        }
    }
    print_out(format!("{} written to {}", count(written.len(), "file"), folder.display()));
    Ok(ExitStatus::Success)
}
