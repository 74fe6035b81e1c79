//! F16: fifty upgrades under load. No connection is rejected or reset, and no state is lost.

use super::admin_client;
use super::case::{CaseOutcome, at_least, at_most};
use crate::attack::evaluate::CheckResult;
use crate::attack::noisy_neighbour::constants::ALICE;
use crate::attack::noisy_neighbour::environment::Environment;
use crate::attack::noisy_neighbour::evaluate::{Seen, attack, nobody_failed};
use crate::attack::noisy_neighbour::load::{Attack, AttackedSites, play};
use crate::attack::noisy_neighbour::server_configs::SeawallExtras;
use crate::attack::runner::Runner;
use crate::attack::server::ServerKind;
use crate::demo::http_client::Client;
use crate::pacing;
use crate::shell;
use anyhow::{Context, anyhow};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

const UPGRADES: u64 = 50;
/// The flood meanwhile: twice as many requests as alice's origin can serve.
const FLOOD: Attack<'_> = Attack {
    scenario: "get-flood",
    words: &["--rate", "800", "--connections", "200", "--addresses", "200"],
    seconds: 100,
};
/// Seconds before the first: visitors are there by then.
const BEFORE: Duration = Duration::from_secs(9);
/// Between two: about as long as one takes.
const PAUSE: Duration = Duration::from_millis(300);
/// Address that is banned manually before the first.
const BANNED: &str = "203.0.113.77";
/// Address that sends a request per upgrade and is rejected with the next one.
const COUNTED: Ipv4Addr = Ipv4Addr::new(127, 21, 0, 1);

/// Result of them.
#[derive(Debug)]
struct Upgraded {
    done: u64,
    /// The longest pause of accepting.
    waited_ms: Option<f64>,
    /// Requests of the counted address before it was rejected.
    counted: u64,
    is_banned: bool,
}

/// Runs the case and evaluates it.
///
/// # Errors
/// A program does not start or end, or the run is interrupted.
pub(super) fn judged(runner: &Runner<'_>) -> anyhow::Result<CaseOutcome> {
    let policy = format!(
        "floor {{ limit few {{ per client where path == \"/few\" to {UPGRADES}/7d then block 429 }} }}\n"
    );
    let told = SeawallExtras { policy: &policy, ..SeawallExtras::default() };
    let ground = Environment::start(&runner.programs, ServerKind::Seawall, told)?;
    let town = ServerAddress {
        seawall: runner.programs.seawall.clone(),
        config: ground.config().to_path_buf(),
        http: ground.at.http,
    };
    town.word(&["bans", "add", BANNED, "--for", "1h"])?;
    let over = AtomicBool::new(false);
    let (played, upgraded) = std::thread::scope(|scope| {
        let upgrading = scope.spawn(|| town.upgrade_all(&over));
        let played = play(runner, &ground, FLOOD, AttackedSites::Alice);
        // Further ones are not upgrades under load.
        over.store(true, Relaxed);
        (played, upgrading.join())
    });
    let upgraded = upgraded.map_err(|_| anyhow!("the upgrading thread panicked"))?;
    let (reports, upgraded) = (played?, upgraded?);
    let status = admin_client::status(&ground.socket())?;
    runner.keep("operations-upgrades", &reports.alice)?;
    let generation = Some(status.policy.generation as f64);
    Ok(CaseOutcome::Judged(judge(Seen::of(&reports), &upgraded, generation)))
}

/// The server as it is reached from outside.
struct ServerAddress {
    seawall: PathBuf,
    config: PathBuf,
    http: SocketAddr,
}

impl ServerAddress {
    fn word(&self, words: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new(&self.seawall);
        shell::quiet(command.args(words).arg("-c").arg(&self.config))
    }

    fn few(&self) -> anyhow::Result<u16> {
        let request = format!("GET /few HTTP/1.1\r\nHost: {ALICE}\r\nConnection: close\r\n\r\n");
        let reply = Client::new(COUNTED, self.http).ask(request.as_bytes());
        Ok(reply.context("a new connection")?.status)
    }

    fn upgrade_all(&self, over: &AtomicBool) -> anyhow::Result<Upgraded> {
        pacing::pause(BEFORE);
        let (mut done, mut counted, mut waited_ms) = (0u64, 0u64, None::<f64>);
        while done < UPGRADES && !over.load(Relaxed) {
            let said = self.word(&["upgrade"])?;
            waited_ms = [waited_ms, waited(&said)].into_iter().flatten().reduce(f64::max);
            done = done.saturating_add(1);
            if self.few()? == 200 {
                counted = counted.saturating_add(1);
            }
            pacing::pause(PAUSE);
        }
        let is_over = self.few()? == 429;
        let is_banned = self.word(&["bans", "list"])?.contains(BANNED);
        Ok(Upgraded { done, waited_ms, counted: if is_over { counted } else { 0 }, is_banned })
    }
}

/// Returns the milliseconds for which accepting was paused, from the output of `seawall upgrade`.
fn waited(said: &str) -> Option<f64> {
    let (_, rest) = said.split_once("accepting paused ")?;
    rest.split(' ').next()?.parse().ok()
}

fn judge(seen: Seen<'_>, upgraded: &Upgraded, generation: Option<f64>) -> Vec<CheckResult> {
    let alice = seen.alice;
    let sum = |names: &[&str]| {
        names.iter().map(|name| alice.number(&format!("/attack/{name}"))).sum::<Option<f64>>()
    };
    let refused = sum(&["refused", "open_timed_out", "handshake_failed"]);
    let cut = alice.sum("/attack/events", |_| true);
    let reset = sum(&["reset_at_open", "reset_by_server"]).zip(cut).map(|(a, b)| a + b);
    let wrong = alice.sum("/attack/answers", |name| name != "200");
    let all = UPGRADES as f64;
    let waited = upgraded.waited_ms.map_or_else(String::new, |ms| format!(", {ms:.0} ms at most"));
    vec![
        attack(seen),
        nobody_failed(alice),
        at_least(&format!("upgrades; newcomers waited{waited}"), Some(upgraded.done as f64), all),
        at_most("refused", refused, (0.0, "")),
        at_most("reset", reset, (0.0, "")),
        at_most("other answers than 200", wrong, (0.0, "")),
        at_least(
            "requests of one client counted over all processes",
            Some(upgraded.counted as f64),
            all,
        ),
        at_least("generations since the start", generation.map(|last| last - 1.0), all),
        CheckResult {
            text: format!("the ban {}", if upgraded.is_banned { "holds" } else { "is gone" }),
            kept: upgraded.is_banned,
        },
    ]
}
