//! `seawall history`, `diff` and `rollback`: what was in force, what differs, and the way back.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use seawall_control::{Client, ClientError, Outcome, Past, PastLine, RollbackOrder, past_sources};
use seawall_ruleset::{Difference, Sources};
use serde_json::json;

use super::Server;
use super::difference;
use super::reload::told;
use crate::exit::{Exit, fail, say, say_json};

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
    server: Server,
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
    server: Server,
}

/// Put an earlier generation in force again, in one step.
#[derive(Debug, Args)]
pub(crate) struct Rollback {
    /// Which [default: the newest before that was made of other files]
    generation: Option<u64>,
    /// End the bans and holds that the later generations' rules set, too
    #[arg(long)]
    lift: bool,
    #[command(flatten)]
    server: Server,
}

impl History {
    pub(crate) fn obey(&self) -> Exit {
        self.server.ask(|client| {
            let history = client.history()?;
            let Some(number) = self.generation else {
                if self.json {
                    say_json(format!("{:#}", json!(history)));
                } else {
                    history.iter().for_each(|past| say(line(past)));
                }
                return Ok(Exit::Fine);
            };
            let Some(past) = find(&history, number) else { return Ok(unknown(&history, number)) };
            match &self.write {
                Some(folder) => write_out(client, past, folder),
                None => {
                    if self.json {
                        say_json(format!("{:#}", json!(past)));
                    } else {
                        whole(past).iter().for_each(say);
                    }
                    Ok(Exit::Fine)
                }
            }
        })
    }
}

impl Diff {
    pub(crate) fn obey(&self) -> Exit {
        self.server.ask(|client| {
            let history = client.history()?;
            let newest = history.last().map_or(0, |past| past.past.generation);
            let mut sides = Vec::new();
            for number in [self.from, self.to.unwrap_or(newest)] {
                let Some(past) = find(&history, number) else {
                    return Ok(unknown(&history, number));
                };
                if !past.files_kept {
                    return Ok(fail(Exit::Wrong, not_kept(number)));
                }
                sides.push(sources(client, &past.past)?);
            }
            let [old, new] = sides.as_slice() else { return Ok(Exit::Ours) };
            let difference = Difference::between(old, new);
            if self.json {
                say_json(format!("{:#}", difference::as_json(&difference)));
            } else if difference.is_empty() {
                say("nothing differs but how it is written");
            } else {
                difference::lines(&difference).iter().for_each(say);
            }
            Ok(Exit::Fine)
        })
    }
}

impl Rollback {
    pub(crate) fn obey(&self) -> Exit {
        self.server.ask(|client| {
            let order = RollbackOrder { to: self.generation, lift: self.lift };
            let outcome = client.roll_back(&order)?;
            let restored = match &outcome {
                Outcome::Published { restores, .. } => *restores,
                _ => None,
            };
            let exit = told(&outcome);
            if let Some(restored) = restored {
                say(format!(
                    "the files on the disk stay as they are: they come into force when they \
                     change, or with `seawall reload`; `seawall history {restored} --write FOLDER` \
                     writes those that are in force now"
                ));
            }
            Ok(exit)
        })
    }
}

fn find(history: &[PastLine], number: u64) -> Option<&PastLine> {
    history.iter().find(|past| past.past.generation == number)
}

fn unknown(history: &[PastLine], number: u64) -> Exit {
    let ends = (history.first(), history.last());
    let known = match ends {
        (Some(first), Some(last)) => {
            format!("; history goes from {} to {}", first.past.generation, last.past.generation)
        }
        _ => String::new(),
    };
    fail(Exit::Wrong, format!("there is no generation {number}{known}"))
}

fn not_kept(number: u64) -> String {
    format!("the files of generation {number} are not kept any more")
}

/// What a generation was made of.
pub(super) fn sources(client: &Client, past: &Past) -> Result<Sources, ClientError> {
    let mut contents = std::collections::BTreeMap::new();
    for file in &past.files {
        if !contents.contains_key(&file.sha256)
            && let Some(bytes) = client.content(&file.sha256)?
        {
            contents.insert(file.sha256.clone(), bytes);
        }
    }
    Ok(past_sources(&past.root, &past.files, &|sha256| contents.get(sha256).cloned()))
}

/// A generation on one line.
fn line(of: &PastLine) -> String {
    let PastLine { past, files_kept } = of;
    let restores = past.restores.map(|from| format!(" to {from}")).unwrap_or_default();
    let who = past.by_uid.map(|uid| format!(" by user {uid}")).unwrap_or_default();
    let kept = if *files_kept { "" } else { ", files not kept" };
    let tests = match past.tests.failed {
        0 => format!("{} tests passed", past.tests.passed),
        failed => format!("{} tests passed, {failed} of members failed", past.tests.passed),
    };
    format!(
        "{:>6}  {}  {}{restores}{who}, {tests}, {} warnings, {} files{kept}",
        past.generation,
        past.loaded_at,
        cause(past),
        past.warnings,
        past.files.len(),
    )
}

fn cause(past: &Past) -> String {
    json!(past.cause).as_str().unwrap_or_default().to_owned()
}

/// A generation with its report and its files.
fn whole(of: &PastLine) -> Vec<String> {
    let mut lines = vec![line(of)];
    lines.extend(of.past.report.lines().iter().map(|line| format!("        {line}")));
    let file = |file: &seawall_control::FileMark| {
        format!("        {}  {}", file.sha256.get(..12).unwrap_or_default(), file.path)
    };
    lines.extend(of.past.files.iter().map(file));
    lines
}

/// Writes the files of a generation where nothing is in the way.
fn write_out(client: &Client, of: &PastLine, folder: &Path) -> Result<Exit, ClientError> {
    let wrong = |why: String| Ok(fail(Exit::Wrong, why));
    if !of.files_kept {
        return wrong(not_kept(of.past.generation));
    }
    if fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
        return wrong(format!("{} is not empty", folder.display()));
    }
    for file in &of.past.files {
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
    say(format!("{} files written to {}", of.past.files.len(), folder.display()));
    Ok(Exit::Fine)
}
