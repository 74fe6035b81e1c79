//! F18: of 850 members, a tenth have broken files at any time and save them once a second. The
//! operator's edit is active within a second all the same, by a save and by `seawall reload`, and
//! carol's visitors are not affected.

use super::admin_client;
use super::case::{CaseOutcome, at_least, at_most};
use crate::attack::evaluate::CheckResult;
use crate::attack::noisy_neighbour::constants::CAROL;
use crate::attack::noisy_neighbour::environment::Environment;
use crate::attack::noisy_neighbour::evaluate::{Seen, nobody_failed, p99};
use crate::attack::noisy_neighbour::load::{Attack, AttackedSites, play};
use crate::attack::noisy_neighbour::server_configs::{SeawallExtras, hosts};
use crate::attack::runner::{Runner, write};
use crate::attack::server::ServerKind;
use crate::attack::testbed::TEXT;
use crate::demo::http_client::Client;
use crate::pacing::{self, Pacer};
use crate::shell;
use anyhow::{Context, anyhow};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

/// Members whose files are broken at any time.
const BROKEN: usize = 85;
/// Of those, how many repair their files per second, while as many others break theirs.
const MENDED_PER_S: usize = 8;
/// Seconds of it, and until it begins: carol's quiet phase is over by then.
const SAVING_S: u64 = 30;
const BEFORE: Duration = Duration::from_secs(8);
/// Almost no requests go to alice's site: the comparison is with and without saves.
const CALM: Attack<'_> = Attack {
    scenario: "get-flood",
    words: &["--rate", "10", "--connections", "1", "--addresses", "1"],
    seconds: SAVING_S + 2,
};
/// Interval of the operator's edits.
const EDIT_PAUSE: Duration = Duration::from_millis(1_500);
const IN_FORCE_MS: f64 = 1_000.0;
const IN_FORCE_WITHIN: Duration = Duration::from_secs(20);
/// Edits of each way below which nothing is shown.
const EDITS: f64 = 5.0;
/// Per cent of the saves that were due, and of the broken members that the server knows of.
const SAVED_PERCENT: f64 = 90.0;

/// Returns the members' names: the first labels of their hosts.
fn names() -> impl Iterator<Item = String> {
    hosts().map(|host| host.trim_end_matches(".example").to_owned())
}

fn file(name: &str) -> String {
    format!("members/{name}.wall")
}

/// Returns the entries of all of them.
fn entries() -> String {
    let entry = |name: String| {
        format!(
            "member {name} {{ hosts {{ \"{name}.example\" }} may {{ block, limit, list, test }} \
             file \"{}\" }}\n",
            file(&name)
        )
    };
    names().map(entry).collect()
}

/// Returns the files of a member without an error; no two editions are equal.
fn whole(name: &str, edition: u64) -> String {
    format!(
        "policy 1 \"{name}, edition {edition}\"\n\
         list office: ip = {{ 192.0.2.1, 192.0.2.2 }}\n\
         site \"{name}.example\" {{\n  \
         rule old {{ when path starts_with \"/old/\" then block 404 }}\n  \
         rule wiki {{ when path == \"/wiki\" and not client.ip in @office then block 403 }}\n  \
         limit login {{ where method == POST and path == \"/login\" per client to 5/1m \
         then block 429 keys 100 }}\n}}\n\
         test \"old pages\" {{\n  request GET \"http://{name}.example/old/a\"\n  \
         expect block 404 by old\n}}\n"
    )
}

/// Returns the files of a member with an error: in the text, in a word, in a host, or in a test.
fn broken(name: &str, edition: u64) -> String {
    let text = whole(name, edition);
    match edition % 4 {
        0 => format!("{text}site \"{name}.example\" {{\n"),
        1 => text.replace("path starts_with", "pfad starts_with"),
        2 => text.replace(&format!("site \"{name}.example\""), "site \"x.example\""),
        _ => text.replace("block 404 by old", "block 403 by old"),
    }
}

/// Result of the saves.
#[derive(Debug, Default)]
struct Saved {
    saves: u64,
    /// The server's report on members' parts at the end.
    kept: Option<f64>,
    absent: Option<f64>,
    /// Milliseconds from the operator's edit until it was in force.
    by_saving: Vec<f64>,
    by_reload: Vec<f64>,
}

/// Runs the case and evaluates it.
///
/// # Errors
/// A program does not start or end, or the run is interrupted.
pub(super) fn judged(runner: &Runner<'_>) -> anyhow::Result<CaseOutcome> {
    let all: Vec<String> = names().collect();
    let files: Vec<_> = all.iter().map(|name| (file(name), whole(name, 0))).collect();
    let entries = entries();
    let told = SeawallExtras { policy: &entries, members: &files, ..SeawallExtras::default() };
    let mut ground = Environment::start(&runner.programs, ServerKind::Seawall, told)?;
    let host = Host {
        folder: ground.file("seawall"),
        seawall: runner.programs.seawall.clone(),
        config: ground.config().to_path_buf(),
        socket: ground.socket(),
        http: ground.at.http,
        entries: &entries,
        members: &all,
    };
    let over = AtomicBool::new(false);
    let (played, saved, edited) = std::thread::scope(|scope| {
        let saving = scope.spawn(|| host.save_all(&over));
        let editing = scope.spawn(|| host.edit_all(&over));
        let played = play(runner, &ground, CALM, AttackedSites::Alice);
        over.store(true, Relaxed);
        (played, saving.join(), editing.join())
    });
    let saved = saved.map_err(|_| anyhow!("the saving thread panicked"))?;
    let edited = edited.map_err(|_| anyhow!("the editing thread panicked"))?;
    let (reports, saved, edited) = (played?, saved?, edited?);
    ground.is_up()?;
    runner.keep("operations-members-save", &reports.alice)?;
    let (by_saving, by_reload) = edited;
    Ok(CaseOutcome::Judged(judge(Seen::of(&reports), &Saved { by_saving, by_reload, ..saved })))
}

/// The server, as its operator and its members reach it.
struct Host<'h> {
    folder: PathBuf,
    seawall: PathBuf,
    config: PathBuf,
    socket: PathBuf,
    http: SocketAddr,
    entries: &'h str,
    members: &'h [String],
}

impl Host<'_> {
    /// Writes a file as editors do: to a temporary file first.
    fn save(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let (path, beside) = (self.folder.join(name), self.folder.join(format!("{name}~")));
        write(&beside, text)?;
        std::fs::rename(&beside, &path).with_context(|| format!("saving {}", path.display()))
    }

    fn member(&self, at: usize) -> &str {
        let at = at.checked_rem(self.members.len()).unwrap_or(0);
        self.members.get(at).map_or("", |name| name)
    }

    /// Makes members save until the time is over, then reads the server's report.
    fn save_all(&self, over: &AtomicBool) -> anyhow::Result<Saved> {
        pacing::pause(BEFORE);
        let per_s = u64::try_from(BROKEN.saturating_add(MENDED_PER_S))?;
        let mut pace = Pacer::new(Duration::from_micros(1_000_000 / per_s), Duration::ZERO);
        let mut saved = Saved::default();
        let mut first = 0_usize;
        for edition in 1..=SAVING_S {
            if over.load(Relaxed) {
                break;
            }
            for at in first..first.saturating_add(BROKEN) {
                let name = self.member(at);
                self.save(&file(name), &broken(name, edition.saturating_add(at as u64)))?;
                pace.wait();
                saved.saves = saved.saves.saturating_add(1);
            }
            // Before the next round: these members repair their files, and the next round breaks as
            // many others.
            for at in first..first.saturating_add(MENDED_PER_S) {
                let name = self.member(at);
                self.save(&file(name), &whole(name, edition))?;
                pace.wait();
            }
            first = first.saturating_add(MENDED_PER_S);
        }
        let status = admin_client::status(&self.socket)?;
        saved.kept = Some(status.member_parts.kept as f64);
        saved.absent = Some(status.member_parts.absent as f64);
        Ok(saved)
    }

    /// Makes the operator edit the policy meanwhile; returns how long each edit took to become
    /// active, by a save and by `seawall reload`.
    fn edit_all(&self, over: &AtomicBool) -> anyhow::Result<(Vec<f64>, Vec<f64>)> {
        pacing::pause(BEFORE.saturating_add(EDIT_PAUSE));
        let (mut by_saving, mut by_reload) = (Vec::new(), Vec::new());
        let ends = pacing::now() + Duration::from_secs(SAVING_S).saturating_sub(2 * EDIT_PAUSE);
        for edit in 0_u64.. {
            if over.load(Relaxed) || pacing::now() >= ends {
                break;
            }
            let by_command = edit % 2 == 1;
            let ms = self.edit(edit, by_command)?;
            if by_command {
                by_reload.push(ms)
            } else {
                by_saving.push(ms)
            }
            pacing::pause(EDIT_PAUSE);
        }
        Ok((by_saving, by_reload))
    }

    fn edit(&self, edit: u64, by_command: bool) -> anyhow::Result<f64> {
        let rule =
            format!("floor {{ rule edit {{ when path == \"/edit-{edit}\" then block 418 }} }}\n");
        let text = format!("{TEXT}{rule}{}", self.entries);
        let began = pacing::now();
        self.save("root.wall", &text)?;
        if by_command {
            let mut command = Command::new(&self.seawall);
            shell::quiet(command.arg("reload").arg("-c").arg(&self.config))?;
        }
        let mut tries = 0_u8;
        let in_force = pacing::poll(IN_FORCE_WITHIN, || {
            tries = tries.wrapping_add(1);
            Ok((self.asked(tries, edit)? == 418).then_some(()))
        })?;
        in_force.with_context(|| format!("edit {edit} is not in force"))?;
        Ok(began.elapsed().as_secs_f64() * 1_000.0)
    }

    /// Returns the status of a request that the edit rejects, from one of many addresses.
    fn asked(&self, from: u8, edit: u64) -> anyhow::Result<u16> {
        let request =
            format!("GET /edit-{edit} HTTP/1.1\r\nHost: {CAROL}\r\nConnection: close\r\n\r\n");
        let source = Ipv4Addr::new(127, 22, from, 1);
        let reply = Client::new(source, self.http).ask(request.as_bytes());
        Ok(reply.context("looking for the edit")?.status)
    }
}

fn judge(seen: Seen<'_>, saved: &Saved) -> Vec<CheckResult> {
    let due = SAVED_PERCENT / 100.0 * BROKEN as f64;
    let most = |all: &[f64]| all.iter().copied().reduce(f64::max);
    let (by_saving, by_reload) = (&saved.by_saving, &saved.by_reload);
    vec![
        at_least("saves of broken files", Some(saved.saves as f64), due * SAVING_S as f64),
        at_least("members whose last good part serves", saved.kept, due),
        at_most("members without a part", saved.absent, (0.0, "")),
        nobody_failed(seen.alice),
        p99(seen.alice),
        at_least("edits by saving", Some(by_saving.len() as f64), EDITS),
        at_most("the slowest in force after", most(by_saving), (IN_FORCE_MS, " ms")),
        at_least("edits by `seawall reload`", Some(by_reload.len() as f64), EDITS),
        at_most("the slowest in force after", most(by_reload), (IN_FORCE_MS, " ms")),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attack::noisy_neighbour::load::Reports;
    use serde_json::json;

    fn report() -> serde_json::Value {
        let phase = |due: u64| {
            json!({"due": due, "ok": due, "bad": 0,
            "latency_us": {"p99": 20_000}, "late_us": {"p99": 100}})
        };
        json!({"legit": {"quiet": phase(350), "attack": phase(400), "recovery": phase(100)}})
    }

    fn fine() -> Saved {
        Saved {
            saves: 2_550,
            kept: Some(85.0),
            absent: Some(0.0),
            by_saving: vec![300.0; 5],
            by_reload: vec![1_000.0; 5],
        }
    }

    fn kept(saved: &Saved) -> bool {
        let reports = Reports { alice: report(), bob: None };
        judge(Seen::of(&reports), saved).iter().all(|finding| finding.kept)
    }

    #[test]
    fn every_figure_breaks_the_promise_by_itself() {
        assert!(kept(&fine()));
        let slow = || vec![300.0, 300.0, 1_001.0, 300.0, 300.0];
        for saved in [
            Saved { saves: 1_000, ..fine() },
            Saved { kept: None, ..fine() },
            Saved { kept: Some(50.0), ..fine() },
            Saved { absent: Some(1.0), ..fine() },
            Saved { by_saving: slow(), ..fine() },
            Saved { by_reload: slow(), ..fine() },
            Saved { by_reload: vec![1.0; 4], ..fine() },
        ] {
            assert!(!kept(&saved), "{saved:?}");
        }
    }

    #[test]
    fn there_are_850_of_them_and_what_is_broken_differs_from_what_is_whole() {
        assert_eq!(names().count(), 850);
        let entries = entries();
        assert_eq!(entries.matches("member ").count(), 850);
        assert!(entries.contains("file \"members/member-7.wall\""), "{entries}");
        let all: Vec<String> = (0..4).map(|edition| broken("bob", edition)).collect();
        for (edition, text) in (0..).zip(&all) {
            assert_ne!(*text, whole("bob", edition));
        }
    }
}
