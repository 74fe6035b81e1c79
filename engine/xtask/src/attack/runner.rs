//! Runs the promises one after the other: start, measure, evaluate.

use crate::attack::child_process::{ChildGuard, Interrupted};
use crate::attack::evaluate::{BaselineCost, Verdict, judge};
use crate::attack::expectation::{Assertion, AttackTarget, Expectation, ORIGIN, POLICY};
use crate::attack::testbed::{Open, Programs, Stage};
use crate::shell;
use anyhow::{Context, bail};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::Receiver;
use std::time::Duration;

/// Seconds before an attack, whose visitors are what those in it are compared with, and after it.
const QUIET_S: u64 = 2;
const RECOVERY_S: u64 = 1;
/// Visitors' requests per second, and visitors.
const VISITS: &str = "100";
/// The path of visitors' requests: the origin distinguishes them by it.
const VISIT: &str = "/__visit";
/// Timeout beyond an attack's own time, for its connections to be opened and closed.
const GRACE_S: u64 = 60;
/// The run of honest connections.
const HONEST_S: u64 = 3;
/// Address of Seawall from a namespace (see `tests/attack/README.md`).
const WIRE_V4: &str = "192.0.2.1";
const WIRE_V6: &str = "[2001:db8:5ea0::1]";
/// Tools for a namespace, beside root.
const NAMESPACE_TOOLS: [&str; 3] = ["ip", "unshare", "nsenter"];

/// Result of one promise.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It was run.
    Judged(Verdict, Box<Value>),
    /// This machine lacks something.
    Skipped(String),
    /// It could not be run to its end.
    Failed(String),
}

impl Outcome {
    /// Returns whether the promise was not kept.
    pub(crate) fn is_broken(&self) -> bool {
        match self {
            Self::Judged(verdict, _) => !verdict.passed(),
            Self::Skipped(_) => false,
            Self::Failed(_) => true,
        }
    }
}

/// Runs the promises.
#[derive(Debug)]
pub(crate) struct Runner<'a> {
    /// The two programs.
    pub(crate) programs: Programs,
    /// One message per interrupt.
    pub(crate) interrupts: &'a Receiver<()>,
    /// Seconds of each attack, if longer than it needs.
    pub(crate) seconds: Option<u64>,
    /// Where results are kept.
    pub(crate) keep: Option<PathBuf>,
}

impl Runner<'_> {
    /// Tries one promise.
    ///
    /// # Errors
    /// The run is interrupted.
    pub(crate) fn try_one(
        &self,
        promise: &Expectation,
        honest: Option<BaselineCost>,
    ) -> anyhow::Result<Outcome> {
        match self.play(promise, honest) {
            Err(error) if !error.is::<Interrupted>() => Ok(Outcome::Failed(format!("{error:#}"))),
            played => played,
        }
    }

    fn play(&self, promise: &Expectation, honest: Option<BaselineCost>) -> anyhow::Result<Outcome> {
        let open = match promise.at {
            AttackTarget::Plain | AttackTarget::Tls => Open::Loopback,
            AttackTarget::Namespace4 => Open::EverywhereV4,
            AttackTarget::Namespace6 => Open::EverywhereV6,
        };
        if open != Open::Loopback
            && let Some(lack) = namespace_lacks()
        {
            return Ok(Outcome::Skipped(lack));
        }
        let mut stage = Stage::start(&self.programs, open)?;
        let mut command = Command::new(&self.programs.attack);
        command.args(["run", promise.scenario]);
        command.args(words(promise, &stage));
        let seconds = self.seconds.unwrap_or(0).max(promise.seconds);
        command.args(["--visitors", VISITS, "--legit", VISITS, "--legit-kinds", promise.visitors]);
        command.args(["--legit-path", VISIT]);
        let report = self.measure(&mut command, &mut stage, seconds)?;
        self.keep(promise.scenario, &report)?;
        Ok(Outcome::Judged(judge(promise, &report, honest), Box::new(report)))
    }

    /// Returns the cost of an honest connection, on this machine and today.
    ///
    /// # Errors
    /// A program does not start or end, or too few responses came for a result.
    pub(crate) fn honest(&self) -> anyhow::Result<BaselineCost> {
        let mut stage = Stage::start(&self.programs, Open::Loopback)?;
        let mut command = Command::new(&self.programs.attack);
        // One connection with one request, from so many addresses that no limit applies.
        command.args(["run", "banned-connects", "--tls", "--legit", "0"]);
        command.args(["--target", &stage.https.to_string()]);
        command.args(["--connections", "200", "--rate", "300", "--addresses", "2000"]);
        let report = self.measure(&mut command, &mut stage, HONEST_S)?;
        self.keep("honest-connections", &report)?;
        BaselineCost::of(&report).context("honest connections were not all answered")
    }

    fn measure(
        &self,
        command: &mut Command,
        stage: &mut Stage,
        seconds: u64,
    ) -> anyhow::Result<Value> {
        let (log, json) = stage.papers();
        command
            .args(["--quiet", &QUIET_S.to_string(), "--recovery", &RECOVERY_S.to_string()])
            .args(["--for", &seconds.to_string(), "--pid", &stage.pid().to_string()])
            .arg("--watch")
            .arg(stage.logs());
        let limit = QUIET_S.saturating_add(RECOVERY_S).saturating_add(seconds);
        let limit = Duration::from_secs(limit.saturating_add(GRACE_S));
        let report = Attacking::start(command, (log, json))?.end(limit, self.interrupts)?;
        stage.is_up()?;
        Ok(report)
    }

    /// Keeps a result, where results are kept.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn keep(&self, name: &str, report: &Value) -> anyhow::Result<()> {
        let Some(dir) = &self.keep else { return Ok(()) };
        let path = dir.join(format!("{name}.json"));
        write(&path, &serde_json::to_string_pretty(report)?)
    }
}

/// A current run of `seawall-attack`.
pub(crate) struct Attacking {
    kept: ChildGuard,
    line: String,
    log: PathBuf,
    json: PathBuf,
}

impl Attacking {
    /// Starts it; its output goes to `log`, its result to `json`.
    ///
    /// # Errors
    /// It does not start.
    pub(crate) fn start(
        command: &mut Command,
        (log, json): (PathBuf, PathBuf),
    ) -> anyhow::Result<Self> {
        command.arg("--json").arg(&json);
        let line = shell::line_of(command);
        let kept = ChildGuard::start(command, &log)?;
        Ok(Self { kept, line, log, json })
    }

    /// Waits for its end, and returns its result.
    ///
    /// # Errors
    /// It fails, does not end in time, or the run is interrupted.
    pub(crate) fn end(
        mut self,
        limit: Duration,
        interrupts: &Receiver<()>,
    ) -> anyhow::Result<Value> {
        let status = self.kept.wait(limit, interrupts)?;
        let line = &self.line;
        if !status.success() {
            let said = std::fs::read_to_string(&self.log).unwrap_or_default();
            bail!("`{line}` failed ({status})\n{}", said.trim());
        }
        let text = std::fs::read_to_string(&self.json).with_context(|| format!("`{line}`"))?;
        serde_json::from_str(&text).with_context(|| format!("the result of `{line}` is no JSON"))
    }
}

/// Writes a file for the user.
///
/// # Errors
/// It cannot be written.
pub(crate) fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, format!("{text}\n")).with_context(|| format!("writing {}", path.display()))
}

/// Returns the arguments of the attack, the visitors and the promise.
fn words(promise: &Expectation, stage: &Stage) -> Vec<String> {
    let seen = |address: &str, port: u16| format!("{address}:{port}");
    let (http, https) = match promise.at {
        AttackTarget::Plain | AttackTarget::Tls => {
            (stage.http.to_string(), stage.https.to_string())
        }
        AttackTarget::Namespace4 => {
            (seen(WIRE_V4, stage.http.port()), seen(WIRE_V4, stage.https.port()))
        }
        AttackTarget::Namespace6 => {
            (seen(WIRE_V6, stage.http.port()), seen(WIRE_V6, stage.https.port()))
        }
    };
    let origin = stage.origin.to_string();
    let target = if promise.at == AttackTarget::Tls { &https } else { &http };
    let mut words: Vec<&str> = vec!["--target", target, "--legit-target", &http];
    words.extend(["--legit-tls", &https]);
    match promise.at {
        AttackTarget::Plain => words.extend(["--origin", &origin]),
        AttackTarget::Tls => words.extend(["--tls", "--origin", &origin]),
        // The origin is on loopback, and that of a namespace is another.
        AttackTarget::Namespace4 | AttackTarget::Namespace6 => words.push("--namespace"),
    }
    let policy = stage.policy().display().to_string();
    let filled = promise.arguments.iter().map(|word| match *word {
        ORIGIN => origin.clone(),
        POLICY => policy.clone(),
        other => other.to_owned(),
    });
    words.iter().map(|word| (*word).to_owned()).chain(filled).collect()
}

/// Returns what this machine lacks for a namespace.
fn namespace_lacks() -> Option<String> {
    let root = shell::quiet(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    if !root {
        return Some("only root may make a network namespace".to_owned());
    }
    let missing = NAMESPACE_TOOLS.iter().find(|tool| shell::find(tool).is_none())?;
    Some(format!("`{missing}` is not installed (Debian: iproute2, util-linux)"))
}

/// Returns whether the promise needs to know what an honest connection costs.
pub(crate) fn compares(promise: &Expectation) -> bool {
    promise.must.iter().any(|must| matches!(must, Assertion::HonestEach(_)))
}
