//! `seawall history`, `diff` and `rollback`: what was in force, what differs, and the way back.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use seawall_admin_api::{Back, FileDigest, HostChange, Past, ReloadOutcome, RollbackRequest};
use seawall_control::{AdminClientError, Client, GenerationEntry, past_sources, ranges};
use seawall_ruleset::{PolicyDiff, Sources};
use serde_json::json;

use super::common::ServerArgs;
use super::diff;
use super::reload::{print_outcome, told_json};
use crate::cli::exit::{ExitStatus, fail, print_out, say_json};

/// Members that are named as those whose files differ in a generation.
const CHANGED_TOLD: usize = 3;

/// List the last generations, or show one.
#[derive(Debug, Args)]
pub(crate) struct History {
    /// The generation to show
    generation: Option<u64>,
    /// Print all of it, as JSON
    #[arg(long)]
    json: bool,
    /// Write the generation's files into this folder, which must be new or empty
    #[arg(long, value_name = "FOLDER", requires = "generation")]
    write: Option<PathBuf>,
    #[command(flatten)]
    server: ServerArgs,
}

/// Say what two generations say differently.
#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// The older one
    from: u64,
    /// The newer one [default: the one in force]
    to: Option<u64>,
    /// Print it for tools
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

/// Put the host's files of an earlier generation in force again, in one step.
///
/// Members keep what they have, also what they saved since.
#[derive(Debug, Args)]
pub(crate) struct Rollback {
    /// Which [default: the newest before in which these files were other ones]
    generation: Option<u64>,
    /// Go back with this member's files instead, and with nothing else
    #[arg(long, value_name = "NAME", conflicts_with_all = ["all", "lift"])]
    member: Option<String>,
    /// Go back with the host's files and with those of all members
    #[arg(long)]
    all: bool,
    /// End the bans and holds that the later generations' rules set, too
    #[arg(long)]
    lift: bool,
    /// Print what came of it for tools, as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

impl History {
    pub(crate) fn obey(&self) -> ExitStatus {
        self.server.ask(|client| {
            let history = client.history()?;
            let Some(number) = self.generation else {
                if self.json {
                    say_json(format!("{:#}", json!(history)));
                } else {
                    history.iter().for_each(|past| print_out(line(past)));
                }
                return Ok(ExitStatus::Success);
            };
            let Some(past) = &client.generation(number)? else {
                return Ok(unknown(&history, number));
            };
            match &self.write {
                Some(folder) => write_out(client, past, folder),
                None => {
                    if self.json {
                        say_json(format!("{:#}", json!(past)));
                    } else {
                        whole(past).iter().for_each(print_out);
                    }
                    Ok(ExitStatus::Success)
                }
            }
        })
    }
}

impl Diff {
    pub(crate) fn obey(&self) -> ExitStatus {
        self.server.ask(|client| {
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
                say_json(format!("{:#}", diff::as_json(&difference)));
            } else if difference.is_empty() {
                print_out("nothing differs but how it is written");
            } else {
                diff::lines(&difference).iter().for_each(print_out);
            }
            Ok(ExitStatus::Success)
        })
    }
}

impl Rollback {
    pub(crate) fn obey(&self) -> ExitStatus {
        self.server.ask(|client| {
            let back = match (&self.member, self.all) {
                (Some(name), _) => Back::Member(name.as_str().into()),
                (None, true) => Back::All,
                (None, false) => Back::Host,
            };
            let order = RollbackRequest { to: self.generation, back, lift: self.lift };
            let outcome = client.roll_back(&order)?;
            if self.json {
                return Ok(told_json(&outcome));
            }
            let exit = print_outcome(&outcome);
            match (&outcome, &order.back) {
                (ReloadOutcome::Published { restored_from: Some(restored), .. }, back) => {
                    let whose = match back {
                        Back::Host => "the host's files on the disk stay",
                        Back::Member(_) => "the member's files on the disk stay",
                        Back::All => "the files on the disk stay",
                    };
                    print_out(format!(
                        "{whose} as they are: they come into force when they change, or with \
                         `seawall reload`; `seawall history {restored} --write FOLDER` writes \
                         those of generation {restored}"
                    ));
                }
                (ReloadOutcome::Unchanged { .. }, Back::Host) => print_out(
                    "the host's files of that generation are in force already; `--member NAME` \
                     goes back with a member's files, `--all` with everybody's",
                ),
                _ => {}
            }
            Ok(exit)
        })
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
    format!("the files of generation {number} are not kept any more")
}

/// All files of a generation, the host's first.
fn files(past: &Past) -> impl Iterator<Item = &FileDigest> {
    past.files.iter().chain(past.parts.values().flat_map(|marks| marks.iter()))
}

/// What a generation was made of.
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
fn line(of: &GenerationEntry) -> String {
    let GenerationEntry { past, files_kept, members, members_kept } = of;
    let restores = past.restored_from.map(|from| format!(" to {from}")).unwrap_or_default();
    let who = past.by_uid.map(|uid| format!(" by user {uid}")).unwrap_or_default();
    let kept = match (files_kept, members_kept) {
        (true, true) => "",
        (true, false) => ", members' files not kept",
        (false, _) => ", files not kept",
    };
    let tests = match past.tests.failed {
        0 => format!("{} tests passed", past.tests.passed),
        failed => format!("{} tests passed, {failed} of members failed", past.tests.passed),
    };
    let members = match members {
        0 => String::new(),
        1 => ", 1 member".to_owned(),
        many => format!(", {many} members"),
    };
    format!(
        "{:>6}  {}  {}{restores}{who}, {}{tests}, {} warnings, {} files{members}{kept}",
        past.generation,
        past.loaded_at,
        cause(past),
        changed(past),
        past.warnings,
        past.files.len(),
    )
}

fn cause(past: &Past) -> String {
    json!(past.cause).as_str().unwrap_or_default().to_owned()
}

/// Whose files differ from those of the generation before.
fn changed(past: &Past) -> String {
    let host = match past.changed.host {
        HostChange::None => None,
        HostChange::Data => Some("the host's lists or components".to_owned()),
        HostChange::Policy => Some("the host's policy".to_owned()),
    };
    let members = &past.changed.members;
    let rest = members.len().saturating_sub(CHANGED_TOLD);
    let told = members.iter().take(CHANGED_TOLD).map(|name| format!("member {name}"));
    let all = host.into_iter().chain(told).chain((rest > 0).then(|| format!("{rest} more")));
    let all: Vec<String> = all.collect();
    if all.is_empty() { String::new() } else { format!("changed: {}, ", all.join(" and ")) }
}

/// A generation with its report and its files.
fn whole(of: &GenerationEntry) -> Vec<String> {
    let mut lines = vec![line(of)];
    lines.extend(of.past.counters.lines().iter().map(|line| format!("        {line}")));
    let file = |file: &FileDigest| {
        format!("        {}  {}", file.sha256.get(..12).unwrap_or_default(), file.path)
    };
    lines.extend(files(&of.past).map(file));
    lines
}

/// Writes the files of a generation where nothing is in the way.
fn write_out(
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
        // Of two members in one folder each may have had another content of a list.
        let before = written.insert(&*file.path, &*file.sha256);
        if before.is_some_and(|before| before != file.sha256) {
            return wrong(format!(
                "{} has one content for one member and one for another",
                file.path
            ));
        }
        let Some(bytes) = client.content(&file.sha256)? else {
            return wrong(not_kept(of.past.generation));
        };
        // The server's word for it is not enough: what it names must lie below the folder.
        let relative = Path::new(&file.path);
        let below =
            |part: std::path::Component<'_>| matches!(part, std::path::Component::Normal(_));
        if !relative.components().all(below) {
            return wrong(format!("{} does not lie below the policy root", file.path));
        }
        let place = folder.join(relative);
        let made = place.parent().map_or(Ok(()), fs::create_dir_all);
        if let Err(error) = made.and_then(|()| fs::write(&place, bytes)) {
            return wrong(format!("{}: {error}", place.display()));
        }
    }
    print_out(format!("{} files written to {}", written.len(), folder.display()));
    Ok(ExitStatus::Success)
}
