//! Those who refuse: each with one worker on one core, no log, and one rule about one path.
//!
//! Seawall's limit on a client's connections a second is taken away: `wrk` is one client, and the
//! others have no such limit.

use crate::attack::process::Kept;
use crate::attack::stage::Folder;
use crate::clock;
use crate::demo::client::Client;
use anyhow::{Context, bail, ensure};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The core that servers run on.
const CORE: &str = "0";
/// Time from start to the first refusal.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// What is refused.
pub(super) const DENIED: &str = "/denied";

/// A server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    Seawall,
    Nginx,
    Haproxy,
}

/// All of them, in the order of the table.
pub(super) const WHO: [Who; 3] = [Who::Seawall, Who::Nginx, Who::Haproxy];

/// A server that runs, until it is dropped.
#[derive(Debug)]
pub(super) struct Running {
    who: Who,
    kept: Kept,
    address: SocketAddr,
}

impl Who {
    fn word(self) -> &'static str {
        match self {
            Self::Seawall => "seawall",
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
        }
    }

    /// Its name, with the version of what is installed.
    fn name(self) -> String {
        let mut command = Command::new(self.word());
        let said = match self {
            Self::Seawall => return "Seawall, this tree".to_owned(),
            Self::Nginx | Self::Haproxy => command.arg("-v").output(),
        };
        let said = said.map(|said| [said.stdout, said.stderr].concat()).unwrap_or_default();
        let said = String::from_utf8_lossy(&said).into_owned();
        let number = said.split([' ', '/', '-', '\n']).find(|word| is_version(word));
        format!("{} {}", self.word(), number.unwrap_or("of unknown version"))
    }

    fn command(self, seawall: &Path, config: &Path) -> Command {
        let program = match self {
            Self::Seawall => seawall.to_path_buf(),
            Self::Nginx | Self::Haproxy => PathBuf::from(self.word()),
        };
        let mut command = Command::new("taskset");
        command.args(["-c", CORE]).arg(program);
        match self {
            Self::Seawall => command.args(["run", "-c"]),
            Self::Nginx => command.arg("-c"),
            // In the foreground.
            Self::Haproxy => command.args(["-db", "-f"]),
        };
        command.arg(config);
        command
    }

    /// What is written before it starts: configuration first.
    fn files(self, at: SocketAddr, dir: &Path) -> Vec<(&'static str, String)> {
        let dir = dir.display();
        match self {
            Self::Seawall => vec![
                (
                    "seawall.toml",
                    format!(
                        "[listen]\nhttp = [\"{at}\"]\n\n[admin]\nsocket = \"run/admin.sock\"\n\n\
                         [policy]\nroot = \"root.wall\"\n\n[state]\ndir = \"state\"\n\n\
                         [limits]\nconnections_per_client_per_s_max = 1000000\n\n\
                         [[site]]\nhosts = [\"*.example\"]\norigin = [\"http://127.0.0.1:9\"]\n"
                    ),
                ),
                (
                    "root.wall",
                    format!(
                        "policy 1\nfloor {{ rule denied {{ when path == \"{DENIED}\" \
                         then block 403 }} }}\n"
                    ),
                ),
            ],
            Self::Nginx => vec![(
                "nginx.conf",
                format!(
                    "daemon off;\nuser root;\nworker_processes 1;\npid {dir}/nginx.pid;\n\
                     error_log {dir}/nginx.log crit;\nevents {{ worker_connections 4096; }}\n\
                     http {{\n  access_log off;\n  client_body_temp_path {dir}/body;\n  \
                     proxy_temp_path {dir}/proxy;\n  fastcgi_temp_path {dir}/fastcgi;\n  \
                     uwsgi_temp_path {dir}/uwsgi;\n  scgi_temp_path {dir}/scgi;\n  \
                     server {{ listen {at} backlog=4096; location = {DENIED} {{ return 403; }} }}\n}}\n"
                ),
            )],
            Self::Haproxy => vec![(
                "haproxy.cfg",
                format!(
                    "global\n  nbthread 1\n  maxconn 4096\ndefaults\n  mode http\n  \
                     timeout client 15s\n  timeout server 15s\n  timeout connect 1s\n\
                     frontend all\n  bind {at}\n  \
                     http-request deny deny_status 403 if {{ path {DENIED} }}\n  \
                     http-request return status 200\n"
                ),
            )],
        }
    }
}

fn is_version(word: &str) -> bool {
    word.contains('.') && word.chars().all(|c| c.is_ascii_digit() || c == '.')
}

impl Running {
    /// Starts one, and waits until it refuses.
    ///
    /// # Errors
    /// It does not start, or does not refuse with 403.
    pub(super) fn start(who: Who, seawall: &Path, folder: &Folder) -> anyhow::Result<Self> {
        let word = who.word();
        let address = free().context("no port of 127.0.0.1 is free")?;
        let dir = folder.make(word)?;
        for part in ["run", "state"] {
            folder.make(&format!("{word}/{part}"))?;
        }
        let mut config = None;
        for (name, text) in who.files(address, &dir) {
            let path = folder.write(&format!("{word}/{name}"), &text)?;
            config.get_or_insert(path);
        }
        let config = config.context("a server without configuration")?;
        let log = dir.join("said.log");
        let kept = Kept::start(&mut who.command(seawall, &config), &log)?;
        let mut running = Self { who, kept, address };
        let status = clock::poll(READY_WITHIN, || {
            let said = || std::fs::read_to_string(&log).unwrap_or_default();
            ensure!(running.kept.ended()?.is_none(), "{word} has ended: {}", said().trim());
            Ok(running.refuses())
        })?;
        match status {
            Some(403) => Ok(running),
            other => bail!("{word} answered {other:?} to what it should refuse with 403"),
        }
    }

    /// The status with which it answers what is denied, if it answers.
    fn refuses(&self) -> Option<u16> {
        let request = format!("GET {DENIED} HTTP/1.1\r\nHost: a.example\r\n\r\n");
        let mut client = Client::new(Ipv4Addr::LOCALHOST, self.address);
        client.ask(request.as_bytes()).ok().map(|reply| reply.status)
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its name in the table.
    pub(super) fn name(&self) -> String {
        self.who.name()
    }

    /// Processor time that it and its workers have taken.
    ///
    /// # Errors
    /// There is no such process any more.
    pub(super) fn cpu_ms(&self) -> anyhow::Result<u64> {
        let group = self.kept.id();
        let mut found = None;
        for entry in std::fs::read_dir("/proc").context("no /proc")?.flatten() {
            let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
            if let Some(cpu) = cpu_ms_in(&stat, group) {
                found = Some(cpu + found.unwrap_or(0));
            }
        }
        found.with_context(|| format!("{} is gone", self.who.word()))
    }
}

/// User and system time in a line of `/proc/PID/stat`, if it is of this process group. Ticks are
/// hundredths of a second on every Linux that Rust runs on.
fn cpu_ms_in(stat: &str, group: u32) -> Option<u64> {
    // The name may hold anything, so count from its closing bracket.
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let number = |place: usize| fields.get(place)?.parse::<u64>().ok();
    if number(2)? != u64::from(group) {
        return None;
    }
    Some(number(11)?.saturating_add(number(12)?).saturating_mul(10))
}

/// An address that nobody has: nginx and HAProxy cannot say which one the kernel chose.
fn free() -> std::io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

/// The program that asks, on a core of its own.
pub(super) fn wrk() -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", "1", "wrk"]);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_server_denies_the_same_path_at_its_address() {
        let at: SocketAddr = "127.0.0.1:4711".parse().unwrap();
        for who in WHO {
            let files = who.files(at, Path::new("/d"));
            let all: String = files.iter().map(|(_, text)| text.as_str()).collect();
            assert!(all.contains("127.0.0.1:4711") && all.contains(DENIED), "{all}");
            assert!(all.contains("403"), "{all}");
        }
    }

    #[test]
    fn processor_time_is_that_of_the_group() {
        let stat = "9 (a) b (c) S 1 7 7 0 -1 4194560 9 0 0 0 12 34 0 0 20 0 1 0 5";
        assert_eq!(cpu_ms_in(stat, 7), Some(460));
        assert_eq!(cpu_ms_in(stat, 9), None);
        assert_eq!(cpu_ms_in("", 7), None);
    }

    #[test]
    fn versions_are_found_in_what_programs_say() {
        for (said, version) in [
            ("nginx version: nginx/1.22.1\n", "1.22.1"),
            ("HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/", "2.6.12"),
        ] {
            let found = said.split([' ', '/', '-', '\n']).find(|word| is_version(word));
            assert_eq!(found, Some(version));
        }
    }
}
