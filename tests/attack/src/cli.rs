//! The command line, checked against the guard and the limits.

use crate::attack::Extra;
use crate::caps::{
    ADDRESSES_MAX, CONNECTIONS_MAX, LEGIT_RATE_MAX, RATE_MAX, SECONDS_MAX, VISITORS_MAX, within,
};
use crate::guard::{Ground, Target};
use crate::legit::{Kind, Plan};
use crate::origin::{self, Manner, Reads, Recorder, SLOW_MS_MAX, Work};
use crate::report::{Bounds, Report};
use crate::run::Run;
use crate::scenario::{self, Scenario};
use anyhow::{Context as _, Result};
use clap::{Args, Parser, Subcommand};
use std::io::Write as _;
use std::path::PathBuf;

/// Attack a server on loopback, with legitimate load beside it, and report the results of both.
#[derive(Debug, Parser)]
#[command(name = "seawall-attack", version)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    word: Word,
}

#[derive(Debug, Subcommand)]
enum Word {
    /// List the scenarios.
    List,
    /// Run a scenario: quiet, attack, recovery.
    Run(Box<Attacked>),
    /// Measure the legitimate load alone.
    Baseline(Box<Baseline>),
    /// Serve as the recording origin behind the server, on loopback, until stopped.
    Origin {
        /// Where to listen, on loopback; port 0 takes a free one.
        #[arg(long)]
        listen: String,
        /// How contradictory lengths are parsed.
        #[arg(long, value_enum, default_value_t = Reads::Strict)]
        reads: Reads,
        /// Milliseconds that each response takes.
        #[arg(long, default_value_t = 0)]
        work_ms: u64,
        /// Maximum of concurrent requests.
        #[arg(long, default_value_t = 1_000)]
        at_once: u16,
    },
}

#[derive(Debug, Args)]
struct Common {
    /// The server: ADDRESS:PORT on loopback. Names are not resolved.
    #[arg(long)]
    target: String,
    /// The requested site.
    #[arg(long, default_value = "alice.example")]
    host: String,
    /// Legitimate requests per second; 0 is none.
    #[arg(long, default_value_t = 100)]
    legit: u32,
    /// Where the legitimate load goes, if not to the target.
    #[arg(long)]
    legit_target: Option<String>,
    /// Target of its kinds with TLS.
    #[arg(long)]
    legit_tls: Option<String>,
    /// Its site, if another.
    #[arg(long)]
    legit_host: Option<String>,
    /// Its path.
    #[arg(long, default_value = "/")]
    legit_path: String,
    /// How many visitors, each with an address of its own.
    #[arg(long, default_value_t = 100)]
    visitors: usize,
    /// Their protocols, in turn.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "h1,h1-new")]
    legit_kinds: Vec<Kind>,
    /// The server's process, to record its memory, CPU time, threads and descriptors.
    #[arg(long)]
    pid: Option<u32>,
    /// A file or folder whose size is recorded: the server's logs. Needs --pid.
    #[arg(long, requires = "pid")]
    watch: Option<PathBuf>,
    /// Seconds before the attack.
    #[arg(long, default_value_t = 3)]
    quiet: u64,
    /// Seconds after it.
    #[arg(long, default_value_t = 3)]
    recovery: u64,
    /// Write the result here, in JSON; `-` is standard output.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Put this program into a network namespace of its own first, with many addresses and a wire
    /// to 192.0.2.1 and 2001:db8:5ea0::1, where the server must listen. Needs root.
    #[arg(long)]
    namespace: bool,
}

#[derive(Debug, Args)]
struct Attacked {
    /// Which: see `seawall-attack list`.
    scenario: String,
    #[command(flatten)]
    common: Common,
    /// Attack over TLS.
    #[arg(long)]
    tls: bool,
    /// Connections at once, if not the scenario's own.
    #[arg(long)]
    connections: Option<usize>,
    /// Beginnings per second, if not the scenario's own.
    #[arg(long)]
    rate: Option<u32>,
    /// Source addresses, if not the scenario's own.
    #[arg(long)]
    addresses: Option<usize>,
    /// Seconds of attack.
    #[arg(long = "for", default_value_t = 10)]
    seconds: u64,
    /// The path attacked, if not the scenario's own.
    #[arg(long)]
    path: Option<String>,
    /// Text that no response may contain (origin-leak); may be repeated.
    #[arg(long)]
    secret: Vec<String>,
    /// The policy file that is saved again and again (reload-storm); gets its old text back.
    #[arg(long)]
    rewrite: Option<PathBuf>,
    /// The recording origin behind the server.
    #[arg(long)]
    origin: Option<String>,
    /// The file with the header section to send (request-file).
    #[arg(long)]
    request: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Baseline {
    #[command(flatten)]
    common: Common,
}

/// How it ended.
pub(crate) enum Ended {
    /// As it should.
    Well,
    /// By a signal.
    Interrupted,
}

impl Arguments {
    /// Runs the command.
    ///
    /// # Errors
    /// An argument exceeds a limit or is rejected by the guard, or the command fails.
    pub(crate) fn obey(self) -> Result<Ended> {
        match self.word {
            Word::List => list(),
            Word::Run(attacked) => {
                let scenario = scenario::find(&attacked.scenario)
                    .with_context(|| format!("no scenario is called `{}`", attacked.scenario))?;
                attacked.common.start(Some((scenario, &attacked)))
            }
            Word::Baseline(baseline) => baseline.common.start(None),
            Word::Origin { listen, reads, work_ms, at_once } => {
                let work = Work { at_once: at_once.max(1).into(), ms: work_ms.min(SLOW_MS_MAX) };
                record(&listen, Manner::new(reads, work))
            }
        }
    }
}

fn list() -> Result<Ended> {
    let mut out = std::io::stdout().lock();
    for scenario in scenario::all() {
        let Scenario { name, vector, what, needs, connections, rate, .. } = scenario;
        let needs = needs.word();
        writeln!(out, "{name:22} {vector:4} {needs:4} {connections:6} {rate:6}/s  {what}")?;
    }
    Ok(Ended::Well)
}

fn record(listen: &str, manner: Manner) -> Result<Ended> {
    let address = Target::listens(listen)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    crate::fds::raise(1_000)?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(address).await;
        let listener = listener.with_context(|| format!("cannot listen on {listen}"))?;
        writeln!(std::io::stderr(), "recording origin on {}", listener.local_addr()?)?;
        origin::serve(listener, manner).await
    })?;
    Ok(Ended::Well)
}

impl Common {
    fn start(&self, attacked: Option<(&'static Scenario, &Attacked)>) -> Result<Ended> {
        if self.namespace && crate::namespace::outside() {
            return crate::namespace::enter();
        }
        let ground = if self.namespace { crate::namespace::inside()? } else { Ground::Loopback };
        let report = self.plan(ground, attacked)?.go()?;
        if let Some(path) = &self.json {
            write(path, &report)?;
        }
        if self.json.as_ref().is_none_or(|path| path.as_os_str() != "-") {
            crate::table::print(&report)?;
        }
        Ok(if report.interrupted { Ended::Interrupted } else { Ended::Well })
    }

    fn plan(
        &self,
        ground: Ground,
        attacked: Option<(&'static Scenario, &Attacked)>,
    ) -> Result<Run> {
        within("--quiet", self.quiet, SECONDS_MAX)?;
        within("--recovery", self.recovery, SECONDS_MAX)?;
        let mut bounds = Bounds {
            connections: 0,
            rate: 0,
            addresses: 0,
            quiet_s: self.quiet,
            attack_s: 0,
            recovery_s: self.recovery,
        };
        let mut extra = Extra::default();
        if let Some((scenario, attacked)) = attacked {
            attacked.bound(scenario, &mut bounds)?;
            extra = attacked.extra(ground)?;
        }
        Ok(Run {
            scenario: attacked.map(|(scenario, _)| scenario),
            target: Target::parse(&self.target, ground)?,
            host: self.host.clone(),
            tls: attacked.is_some_and(|(_, attacked)| attacked.tls),
            bounds,
            legit: self.legit_plan(ground)?,
            pid: self.pid,
            watch: self.watch.clone(),
            extra,
        })
    }

    fn legit_plan(&self, ground: Ground) -> Result<Option<Plan>> {
        if self.legit == 0 {
            return Ok(None);
        }
        within("--legit", self.legit.into(), LEGIT_RATE_MAX.into())?;
        within("--visitors", self.visitors as u64, VISITORS_MAX as u64)?;
        let target = self.legit_target.as_ref().unwrap_or(&self.target);
        let tls = self.legit_tls.as_ref();
        Ok(Some(Plan {
            target: Target::parse(target, ground)?,
            target_tls: tls.map(|tls| Target::parse(tls, ground)).transpose()?,
            host: self.legit_host.as_ref().unwrap_or(&self.host).clone(),
            path: self.legit_path.clone(),
            rate: self.legit,
            visitors: self.visitors,
            kinds: self.legit_kinds.clone(),
        }))
    }
}

impl Attacked {
    fn bound(&self, scenario: &Scenario, bounds: &mut Bounds) -> Result<()> {
        bounds.connections = self.connections.unwrap_or(scenario.connections);
        bounds.rate = self.rate.unwrap_or(scenario.rate);
        bounds.addresses = self.addresses.unwrap_or(scenario.addresses(bounds.connections));
        bounds.attack_s = self.seconds;
        within("--connections", bounds.connections as u64, CONNECTIONS_MAX as u64)?;
        within("--rate", bounds.rate.into(), RATE_MAX.into())?;
        within("--addresses", bounds.addresses as u64, ADDRESSES_MAX as u64)?;
        within("--for", bounds.attack_s, SECONDS_MAX)
    }

    fn extra(&self, ground: Ground) -> Result<Extra> {
        let recorder = self.origin.as_ref().map(|at| Target::parse(at, ground)).transpose()?;
        Ok(Extra {
            path: self.path.clone(),
            secrets: self.secret.clone(),
            rewrite: self.rewrite.clone(),
            recorder: recorder.map(Recorder::new),
            request: self.request.clone(),
        })
    }
}

fn write(path: &PathBuf, report: &Report) -> Result<()> {
    let mut text = serde_json::to_vec_pretty(report)?;
    text.push(b'\n');
    if path.as_os_str() == "-" {
        return Ok(std::io::stdout().lock().write_all(&text)?);
    }
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
