//! The real `seawall run`, in a folder of its own, on a port of its own.
//!
//! The kernel chooses the port and the program says which one it is, so no two tests can want the
//! same. It counts as started once it has said that it is ready.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};

use serde_json::Value;
use tempfile::TempDir;

use crate::binary::{Ran, program, seawall};
use crate::visitor::Visitor;
use crate::wait::{LONG, wait_for, wait_until};

/// The host of the site that every setup has.
pub const SITE: &str = "a.example";
/// The root policy's name.
pub const ROOT: &str = "root.wall";
/// The limit that tests would meet, since they come faster than people.
const RATE: &str = "connections_per_client_per_s_max";
/// Most lines of the program that are kept.
const LINES_MAX: usize = 50_000;

/// A folder with a configuration and a policy in it.
#[derive(Debug, Clone)]
pub struct Setup {
    dir: Arc<TempDir>,
    listen: String,
    sites: Vec<(String, SocketAddr)>,
    limits: String,
    log_level: String,
    trusted_key: Option<String>,
    section: String,
    tls: Option<String>,
}

impl Setup {
    /// [`SITE`] at `origin`, under the policy `policy`.
    #[must_use]
    pub fn new(origin: SocketAddr, policy: &str) -> Self {
        let setup = Self {
            dir: Arc::new(tempfile::tempdir().unwrap()),
            listen: "127.0.0.1:0".to_owned(),
            sites: vec![(SITE.to_owned(), origin)],
            limits: String::new(),
            log_level: "info".to_owned(),
            trusted_key: None,
            section: String::new(),
            tls: None,
        };
        std::fs::create_dir(setup.path("policies")).unwrap();
        setup.write(ROOT, policy);
        setup
    }

    /// A path in the folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A path in the policy root.
    #[must_use]
    pub fn policy(&self, name: &str) -> PathBuf {
        self.dir.path().join("policies").join(name)
    }

    /// Writes a file in the policy root.
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.policy(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    /// Another site.
    #[must_use]
    pub fn site(mut self, host: &str, origin: SocketAddr) -> Self {
        self.sites.push((host.to_owned(), origin));
        self
    }

    /// Lines of `[limits]`.
    #[must_use]
    pub fn limits(mut self, lines: &str) -> Self {
        self.limits = lines.to_owned();
        self
    }

    /// Where to listen.
    #[must_use]
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = address.to_string();
        self
    }

    /// What is logged.
    #[must_use]
    pub fn log_level(mut self, level: &str) -> Self {
        self.log_level = level.to_owned();
        self
    }

    /// The key whose holder alone may bring components.
    #[must_use]
    pub fn trusted_key(mut self, key: &str) -> Self {
        self.trusted_key = Some(key.to_owned());
        self
    }

    /// A section of the configuration, with its head.
    #[must_use]
    pub fn section(mut self, text: &str) -> Self {
        self.section = text.to_owned();
        self
    }

    /// Over TLS too, with these lines of `[tls]`.
    #[must_use]
    pub fn tls(mut self, lines: &str) -> Self {
        self.tls = Some(lines.to_owned());
        self
    }

    /// Writes `seawall.toml` and hands back its text.
    pub fn write_config(&self) -> String {
        let Self { listen, log_level, .. } = self;
        let mut limits = self.limits.clone();
        if !limits.contains(RATE) {
            let newline = if limits.is_empty() { "" } else { "\n" };
            limits.push_str(&format!("{newline}{RATE} = 1_000_000"));
        }
        let https = self.tls.as_ref().map_or("", |_| "https = [\"127.0.0.1:0\"]\n");
        let mut text = format!(
            "[listen]\nhttp = [\"{listen}\"]\n{https}\n[admin]\nsocket = \"run/admin.sock\"\n\n\
             [policy]\nroot = \"policies/{ROOT}\"\n\n[state]\ndir = \"state\"\n\n\
             [limits]\n{limits}\n\n[log]\nlevel = \"{log_level}\"\n"
        );
        if let Some(tls) = &self.tls {
            text.push_str(&format!("\n[tls]\n{tls}\n"));
        }
        if let Some(key) = &self.trusted_key {
            text.push_str(&format!("\n[rules]\ntrusted_keys = [\"{key}\"]\n"));
        }
        text.push_str(&format!("\n{}\n", self.section));
        for (host, origin) in &self.sites {
            text.push_str(&format!(
                "\n[[site]]\nhosts = [\"{host}\"]\norigin = [\"http://{origin}\"]\n"
            ));
        }
        std::fs::write(self.path("seawall.toml"), &text).unwrap();
        text
    }

    /// Runs another word of the program in the folder.
    #[must_use]
    pub fn run(&self, words: &[&str]) -> Ran {
        seawall(self.dir.path(), words)
    }

    /// Starts the server and waits until it is ready.
    #[must_use]
    #[track_caller]
    pub fn start(&self) -> Server {
        self.write_config();
        let mut child = program()
            .args(["run", "-c", "seawall.toml"])
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
        // Killed by its drop where it does not become ready.
        let unready = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut server =
            Server { child, setup: self.clone(), said, address: unready, address_tls: unready };
        server.wait_line("seawall: ready, generation ");
        let line = server.wait_line("seawall: listening on http://");
        server.address = line.rsplit('/').next().unwrap().parse().unwrap();
        if self.tls.is_some() {
            let line = server.wait_line("seawall: listening on https://");
            server.address_tls = line.rsplit('/').next().unwrap().parse().unwrap();
        }
        server
    }
}

/// What the program has said so far.
#[derive(Debug, Default)]
struct Said {
    lines: Mutex<(Vec<String>, Talk)>,
    more: Condvar,
}

/// Whether more may come.
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

    #[track_caller]
    fn wait_for(&self, part: &str) -> String {
        let found = |lines: &[String]| lines.iter().find(|line| line.contains(part)).cloned();
        let missing =
            |said: &mut (Vec<String>, Talk)| said.1 == Talk::Talking && found(&said.0).is_none();
        let lines = self.lines.lock().unwrap();
        let (said, _) = self.more.wait_timeout_while(lines, LONG, missing).unwrap();
        let Some(line) = found(&said.0) else {
            panic!("seawall did not say `{part}`; it said:\n{}", said.0.join("\n"));
        };
        line
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
}

/// A running server; killed when dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    said: Arc<Said>,
    /// What it was started from.
    pub setup: Setup,
    /// Where it listens.
    pub address: SocketAddr,
    /// Where it listens for TLS, if it does.
    pub address_tls: SocketAddr,
}

impl Server {
    /// A visitor from `source`.
    #[must_use]
    pub fn visitor(&self, source: &str) -> Visitor {
        Visitor::new(source, self.address)
    }

    /// The status of the answer to a GET by a new visitor from `127.1.1.1`.
    #[must_use]
    #[track_caller]
    pub fn answers(&self, path: &str) -> u16 {
        self.visitor("127.1.1.1").status(path)
    }

    /// What `seawall status --json` says.
    #[must_use]
    #[track_caller]
    pub fn status(&self) -> Value {
        let ran = self.setup.run(&["status", "--json", "-c", "seawall.toml"]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        serde_json::from_str(&ran.out).unwrap()
    }

    /// A number in the status, by its JSON pointer.
    #[must_use]
    #[track_caller]
    pub fn number(&self, pointer: &str) -> u64 {
        let status = self.status();
        let number = status.pointer(pointer).and_then(Value::as_u64);
        let Some(number) = number else { panic!("no number at {pointer} in {status:#}") };
        number
    }

    /// Waits until this generation judges, and hands back the status.
    #[track_caller]
    pub fn wait_generation(&self, generation: u64) -> Value {
        wait_for(&format!("generation {generation}; it says {:#?}", self.lines()), || {
            let status = self.status();
            let now = status["generation"].as_u64().unwrap();
            assert!(now <= generation, "generation {now} came, {generation} was awaited");
            (now == generation).then_some(status)
        })
    }

    /// Waits until the last reload was refused, and hands back why.
    #[track_caller]
    pub fn wait_error(&self) -> Value {
        wait_for("an error in the status", || {
            Some(self.status()["last_error"].clone()).filter(|error| !error.is_null())
        })
    }

    /// Waits until nothing is wrong with the files.
    #[track_caller]
    pub fn wait_no_error(&self) {
        wait_until("no error in the status", || self.status()["last_error"].is_null());
    }

    /// Waits for a line that holds `part`.
    #[track_caller]
    pub fn wait_line(&self, part: &str) -> String {
        self.said.wait_for(part)
    }

    /// What it has said so far.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.said.lines()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let name = match signal {
            Signal::HangUp => "HUP",
            Signal::Terminate => "TERM",
            Signal::Interrupt => "INT",
        };
        // The shell has `kill` built in, so this needs no package and no unsafe code.
        let kill = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// Bytes of memory that it has now (Linux).
    #[must_use]
    #[track_caller]
    pub fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait_end(&mut self) -> ExitStatus {
        let child = &mut self.child;
        let status = wait_for("the end of seawall", || child.try_wait().unwrap());
        let silent = || self.said.lines.lock().unwrap().1 == Talk::Silent;
        wait_until("its last line", silent);
        status
    }

    /// Whether it still runs.
    #[must_use]
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// The folder it runs in.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.setup.dir.path()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail when it has ended already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
