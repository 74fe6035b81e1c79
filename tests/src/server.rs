//! The real `seawall run`, with its own folder and port.
//!
//! The kernel chooses the port and the program logs it, so two tests never use the same port. The
//! server counts as started when it logs that it is ready.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use seawall_admin_api::{PolicyError, ProxyStatus, StatusReport};
use tempfile::TempDir;

use crate::address_leaks::{Written, by_hand_below, trace_of, written_below};
use crate::binary::{Ran, program_with, seawall};
use crate::http_client::Visitor;
use crate::wait::{LONG, wait_for, wait_until};

/// The host of the site that every setup has.
pub const SITE: &str = "a.example";
/// The name of the root policy.
pub const ROOT: &str = "root.wall";
/// The limit that tests would reach, because they connect faster than people.
const RATE: &str = "connections.connection_rate_per_client";
/// Maximum of log lines that are stored.
const LINES_MAX: usize = 50_000;

/// Time to read the last line of a program that has ended.
const LAST_WORDS_WITHIN: Duration = Duration::from_secs(2);
/// Addresses that are not a client's: the program listens there and has its origins there.
const NOBODY: [&str; 1] = ["127.0.0.1"];

/// Milliseconds of one tick of CPU time: `USER_HZ` is 100 on every Linux.
const MS_PER_TICK: u64 = 10;

/// A folder with a configuration and a policy.
#[derive(Debug, Clone)]
pub struct Setup {
    dir: Arc<TempDir>,
    listen: String,
    sites: Vec<(String, SocketAddr)>,
    more_origins: Vec<SocketAddr>,
    site_lines: String,
    limits: String,
    log_level: String,
    trusted_key: Option<String>,
    section: String,
    tls: Option<String>,
    open_files: Option<u32>,
    program: Option<PathBuf>,
    through: Vec<String>,
    env: Vec<(String, String)>,
}

impl Setup {
    /// Creates a setup with [`SITE`] at `origin` and the policy `policy`.
    #[must_use]
    pub fn new(origin: SocketAddr, policy: &str) -> Self {
        let setup = Self {
            dir: Arc::new(tempfile::tempdir().unwrap()),
            listen: "127.0.0.1:0".to_owned(),
            sites: vec![(SITE.to_owned(), origin)],
            more_origins: Vec::new(),
            site_lines: String::new(),
            limits: String::new(),
            log_level: "info".to_owned(),
            trusted_key: None,
            section: String::new(),
            tls: None,
            open_files: None,
            program: None,
            through: Vec::new(),
            env: Vec::new(),
        };
        std::fs::create_dir(setup.path("policies")).unwrap();
        setup.write(ROOT, policy);
        setup
    }

    /// Returns a path in the folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Returns a path in the policy folder.
    #[must_use]
    pub fn policy(&self, name: &str) -> PathBuf {
        self.dir.path().join("policies").join(name)
    }

    /// Writes a file in the policy folder.
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.policy(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    /// Adds a site.
    #[must_use]
    pub fn site(mut self, host: &str, origin: SocketAddr) -> Self {
        self.sites.push((host.to_owned(), origin));
        self
    }

    /// Adds an origin of [`SITE`].
    #[must_use]
    pub fn origin(mut self, address: SocketAddr) -> Self {
        self.more_origins.push(address);
        self
    }

    /// Sets the path of health checks of [`SITE`].
    #[must_use]
    pub fn health(self, path: &str) -> Self {
        self.site_lines(&format!("health_check_path = \"{path}\""))
    }

    /// Adds lines to the section of [`SITE`].
    #[must_use]
    pub fn site_lines(mut self, lines: &str) -> Self {
        self.site_lines.push_str(lines);
        self.site_lines.push('\n');
        self
    }

    /// Adds settings as dotted keys, such as `queue.timeout = "2s"`.
    #[must_use]
    pub fn limits(mut self, lines: &str) -> Self {
        self.limits = lines.to_owned();
        self
    }

    /// Sets the listening address.
    #[must_use]
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = address.to_string();
        self
    }

    /// Sets the log level.
    #[must_use]
    pub fn log_level(mut self, level: &str) -> Self {
        self.log_level = level.to_owned();
        self
    }

    /// Sets the key that must have signed all components.
    #[must_use]
    pub fn trusted_key(mut self, key: &str) -> Self {
        self.trusted_key = Some(key.to_owned());
        self
    }

    /// Adds a section of the configuration, with its header.
    #[must_use]
    pub fn section(mut self, text: &str) -> Self {
        self.section = text.to_owned();
        self
    }

    /// Adds TLS, with these lines of `[tls]`.
    #[must_use]
    pub fn tls(mut self, lines: &str) -> Self {
        self.tls = Some(lines.to_owned());
        self
    }

    /// Sets the maximum of open files.
    #[must_use]
    pub fn open_files(mut self, most: u32) -> Self {
        self.open_files = Some(most);
        self
    }

    /// Sets the path of the program, which a test may replace before the start.
    #[must_use]
    pub fn program(mut self, path: &Path) -> Self {
        self.program = Some(path.to_owned());
        self
    }

    /// Starts the program through another one, with these arguments before its own.
    #[must_use]
    pub fn through(mut self, words: &[&str]) -> Self {
        self.through = words.iter().map(ToString::to_string).collect();
        self
    }

    /// Sets a variable of the environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Writes `seawall.toml` and returns its text.
    pub fn write_config(&self) -> String {
        let Self { listen, log_level, .. } = self;
        let mut limits = self.limits.clone();
        if !limits.contains(RATE) {
            let newline = if limits.is_empty() { "" } else { "\n" };
            limits.push_str(&format!("{newline}{RATE} = 1_000_000"));
        }
        let https = self.tls.as_ref().map_or("", |_| "https = [\"127.0.0.1:0\"]\n");
        let mut text = format!(
            "{limits}\n\n[listen]\nhttp = [\"{listen}\"]\n{https}\n[admin]\nsocket = \"run/admin.sock\"\n\n\
             [policy]\nfile = \"policies/{ROOT}\"\n\n[state]\ndir = \"state\"\n\n\
             [log]\nlevel = \"{log_level}\"\n"
        );
        if let Some(tls) = &self.tls {
            text.push_str(&format!("\n[tls]\n{tls}\n"));
        }
        if let Some(key) = &self.trusted_key {
            text.push_str(&format!("\n[rules]\ntrusted_keys = [\"{key}\"]\n"));
        }
        text.push_str(&format!("\n{}\n", self.section));
        for (host, origin) in &self.sites {
            let more = if host == SITE { self.more_origins.as_slice() } else { &[] };
            let all: Vec<_> =
                [origin].into_iter().chain(more).map(|at| format!("\"http://{at}\"")).collect();
            let all = all.join(", ");
            text.push_str(&format!("\n[[site]]\nhosts = [\"{host}\"]\norigins = [{all}]\n"));
            if host == SITE {
                text.push_str(&self.site_lines);
            }
        }
        std::fs::write(self.path("seawall.toml"), &text).unwrap();
        text
    }

    /// Runs a command of the program in the folder.
    #[must_use]
    pub fn run(&self, words: &[&str]) -> Ran {
        seawall(self.dir.path(), words)
    }

    /// Returns the command of the program, through the other one if there is any.
    fn wrapped(&self, program: Command) -> Command {
        let Some((first, others)) = self.through.split_first() else { return program };
        let mut wrapped = Command::new(first);
        wrapped.args(others).arg(program.get_program()).args(program.get_args());
        wrapped.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
        wrapped
    }

    /// Starts the server and waits until it is ready.
    #[must_use]
    #[track_caller]
    pub fn start(&self) -> Server {
        let mut server = self.begin();
        server.wait_ready();
        server
    }

    /// Starts the server without waiting.
    #[must_use]
    pub fn begin(&self) -> Server {
        self.write_config();
        let program = program_with(self.program.as_deref(), self.open_files);
        let mut child = self
            .wrapped(program)
            .args(["run", "-c", "seawall.toml"])
            .envs(self.env.clone())
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = Arc::new(Said::default());
        let stderr = child.stderr.take().unwrap();
        let listener = Arc::clone(&said);
        std::thread::spawn(move || listener.hear(stderr));
        // If it does not become ready, its drop kills it.
        let unready = SocketAddr::from(([127, 0, 0, 1], 0));
        Server {
            child,
            setup: self.clone(),
            said,
            clients: Mutex::default(),
            address: unready,
            address_tls: unready,
        }
    }
}

/// The output of the program so far.
#[derive(Debug, Default)]
struct Said {
    lines: Mutex<(Vec<String>, Talk)>,
    more: Condvar,
}

/// Whether more output can come.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Talk {
    #[default]
    Talking,
    Silent,
}

impl Said {
    fn hear(&self, stderr: ChildStderr) {
        for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            let mut said = self.lines.lock().unwrap();
            if said.0.len() < LINES_MAX {
                said.0.push(line);
            }
            drop(said);
            self.more.notify_all();
        }
        self.lines.lock().unwrap().1 = Talk::Silent;
        self.more.notify_all();
    }

    fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().0.clone()
    }

    /// Waits a short time for its last line: a child process may still have the pipe open.
    fn wait_end(&self) {
        let lines = self.lines.lock().unwrap();
        let talks = |said: &mut (Vec<String>, Talk)| said.1 == Talk::Talking;
        drop(self.more.wait_timeout_while(lines, LAST_WORDS_WITHIN, talks));
    }

    #[track_caller]
    fn wait_for(&self, part: &str, within: Duration) -> String {
        let found = |lines: &[String]| lines.iter().find(|line| line.contains(part)).cloned();
        let missing =
            |said: &mut (Vec<String>, Talk)| said.1 == Talk::Talking && found(&said.0).is_none();
        let lines = self.lines.lock().unwrap();
        let (said, _) = self.more.wait_timeout_while(lines, within, missing).unwrap();
        let (line, all) = (found(&said.0), said.0.join("\n"));
        // Unlocked before a panic, because the drop of the server reads the lines too.
        drop(said);
        line.unwrap_or_else(|| panic!("seawall did not say `{part}`; it said:\n{all}"))
    }
}

/// A signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Reload.
    HangUp,
    /// Stop.
    Terminate,
    /// Stop, from a terminal.
    Interrupt,
    /// Upgrade to the program on the disk.
    Upgrade,
    /// Kill: the process cannot handle it.
    Kill,
}

impl Signal {
    const fn name(self) -> &'static str {
        match self {
            Self::HangUp => "HUP",
            Self::Terminate => "TERM",
            Self::Interrupt => "INT",
            Self::Upgrade => "USR2",
            Self::Kill => "KILL",
        }
    }

    /// Sends it to a process; returns false if there is none.
    pub fn send(self, pid: u32) -> bool {
        // `kill` is a builtin of the shell, so this needs no package and no unsafe code.
        let kill = format!("kill -{} {pid}", self.name());
        let mut shell = Command::new("sh");
        shell.args(["-c", &kill]).stderr(Stdio::null()).status().unwrap().success()
    }
}

/// A running server. It is killed when dropped.
///
/// In every test, the drop checks that no output of the program contains the address of a client.
#[derive(Debug)]
pub struct Server {
    child: Child,
    said: Arc<Said>,
    /// Addresses of the clients.
    clients: Mutex<BTreeSet<IpAddr>>,
    /// The setup of the server.
    pub setup: Setup,
    /// The listening address.
    pub address: SocketAddr,
    /// The listening address for TLS, if the setup has TLS.
    pub address_tls: SocketAddr,
}

impl Server {
    /// Returns a client with the address `source`.
    #[must_use]
    pub fn visitor(&self, source: &str) -> Visitor {
        self.note_client(source);
        Visitor::new(source, self.address)
    }

    /// Adds the address of a client, real or forwarded. No output may contain it.
    pub fn note_client(&self, source: &str) {
        self.clients.lock().unwrap().insert(source.parse().unwrap());
    }

    /// Returns the status of the response to a GET request of a new client at `127.1.1.1`.
    #[must_use]
    #[track_caller]
    pub fn answers(&self, path: &str) -> u16 {
        self.visitor("127.1.1.1").status(path)
    }

    /// Returns the output of `seawall status --json`.
    #[must_use]
    #[track_caller]
    pub fn status(&self) -> StatusReport {
        let ran = self.setup.run(&["status", "--json", "-c", "seawall.toml"]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        serde_json::from_str(&ran.out).unwrap()
    }

    /// Returns the proxy's part of the status.
    #[must_use]
    #[track_caller]
    pub fn proxy(&self) -> ProxyStatus {
        self.status().proxy
    }

    /// Waits until this generation is active, and returns the status.
    #[track_caller]
    pub fn wait_generation(&self, generation: u64) -> StatusReport {
        wait_for(&format!("generation {generation}; it says {:#?}", self.lines()), || {
            let status = self.status();
            let now = status.policy.generation;
            assert!(now <= generation, "generation {now} came, {generation} was awaited");
            (now == generation).then_some(status)
        })
    }

    /// Waits until the status has an error of the last reload, and returns it.
    #[track_caller]
    pub fn wait_error(&self) -> PolicyError {
        wait_for("an error in the status", || self.status().policy.last_error)
    }

    /// Waits until the status has no error of the files.
    #[track_caller]
    pub fn wait_no_error(&self) {
        wait_until("no error in the status", || self.status().policy.last_error.is_none());
    }

    /// Waits for a log line that contains `part`.
    #[track_caller]
    pub fn wait_line(&self, part: &str) -> String {
        self.wait_line_within(part, LONG)
    }

    /// The same with another timeout, for lines that take longer than [`LONG`] on a busy machine.
    #[track_caller]
    pub fn wait_line_within(&self, part: &str, within: Duration) -> String {
        self.said.wait_for(part, within)
    }

    /// Returns the log lines so far.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.said.lines()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        assert!(signal.send(self.pid()));
    }

    /// Waits until it is ready.
    #[track_caller]
    pub fn wait_ready(&mut self) {
        self.wait_line("seawall: ready, generation ");
        let line = self.wait_line("seawall: listening on http://");
        self.address = line.rsplit('/').next().unwrap().parse().unwrap();
        if self.setup.tls.is_some() {
            let line = self.wait_line("seawall: listening on https://");
            self.address_tls = line.rsplit('/').next().unwrap().parse().unwrap();
        }
    }

    /// Returns whether it has a thread of this name.
    #[must_use]
    pub fn has_thread(&self, name: &str) -> bool {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.pid())).into_iter().flatten();
        let names = tasks.flatten().map(|task| std::fs::read_to_string(task.path().join("comm")));
        names.flatten().any(|comm| comm.trim_end() == name)
    }

    /// Returns the process id of the serving process: the last child of an upgrade, else the first.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.heirs().last().copied().unwrap_or(self.child.id())
    }

    /// Returns the child processes of upgrades, in order.
    fn heirs(&self) -> Vec<u32> {
        let said = self.lines();
        let serves =
            said.iter().filter_map(|line| line.strip_prefix("seawall: upgraded: process "));
        serves.filter_map(|line| line.split(' ').next()?.parse().ok()).collect()
    }

    /// Returns whether this process exists.
    #[must_use]
    pub fn lives(pid: u32) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // A zombie counts as ended.
        stat.rsplit(')')
            .next()
            .is_some_and(|rest| !matches!(rest.trim().chars().next(), None | Some('Z')))
    }

    /// Returns its resident memory in bytes (Linux).
    #[must_use]
    #[track_caller]
    pub fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// Returns its CPU time so far in milliseconds, in user and kernel mode (Linux).
    #[must_use]
    #[track_caller]
    pub fn cpu_ms(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
        // The name in parentheses may contain spaces. utime and stime are fields 14 and 15.
        let fields = stat.rsplit(')').next().unwrap().split_whitespace();
        let ticks: u64 = fields.skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum();
        ticks * MS_PER_TICK
    }

    /// Waits for the end of the first process, also after an upgrade.
    #[track_caller]
    pub fn wait_exit(&mut self) -> ExitStatus {
        let child = &mut self.child;
        wait_for("the end of seawall", || child.try_wait().unwrap())
    }

    /// Waits for its end and its last line.
    #[track_caller]
    pub fn wait_end(&mut self) -> ExitStatus {
        let status = self.wait_exit();
        let silent = || self.said.lines.lock().unwrap().1 == Talk::Silent;
        wait_until("its last line", silent);
        status
    }

    /// Returns whether it still runs.
    #[must_use]
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Returns its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.setup.dir.path()
    }
}

impl Server {
    /// Returns the traces of clients in its output. Addresses in the files of the test are omitted,
    /// because messages about policies contain them.
    fn traces(&self) -> Vec<String> {
        self.said.wait_end();
        let mut all = written_below(self.folder());
        // Encrypted files contain any bytes; a test of their own checks them.
        all.retain(|written| !written.name.contains("/state/snapshot"));
        all.push(Written::new("standard error", self.lines().join("\n")));
        let by_hand = by_hand_below(self.folder());
        let clients = self.clients.lock().unwrap();
        let strangers = clients.iter().filter(|ip| !NOBODY.contains(&ip.to_string().as_str()));
        strangers
            .filter(|ip| trace_of(**ip, &by_hand).is_none())
            .filter_map(|ip| trace_of(*ip, &all))
            .collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail if the process has ended already, which is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let took_over = |pid: &u32| {
            let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            words.ends_with(b"--upgrade-child\0")
        };
        self.heirs().into_iter().filter(took_over).for_each(|pid| _ = Signal::Kill.send(pid));
        // A failed test has its own message.
        if !std::thread::panicking() {
            let traces = self.traces();
            assert!(traces.is_empty(), "addresses of visitors were written: {traces:#?}");
        }
    }
}
