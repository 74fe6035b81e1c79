//! The compared servers: Seawall, nginx and HAProxy, each on one core: start, check, end.
//!
//! Their configuration belongs to the comparisons.

use crate::attack::child_process::ChildGuard;
use crate::attack::testbed::Folder;
use crate::pacing;
use crate::shell;
use anyhow::{Context, ensure};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The core that servers run on.
const SERVER_CORE: &str = "0";
/// The core of all others: clients and origins.
const OTHER_CORE: &str = "1";
/// How many that are.
const CORES: usize = 2;
/// Time from start until it serves.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// A server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ServerKind {
    /// Ours.
    Seawall,
    /// As it is installed.
    Nginx,
    /// As it is installed.
    Haproxy,
}

/// All of them, in the order of the tables.
pub(crate) const WHO: [ServerKind; 3] =
    [ServerKind::Seawall, ServerKind::Nginx, ServerKind::Haproxy];

/// What is written before a server starts, by name: its configuration first.
pub(crate) type Files = Vec<(String, String)>;

/// A server that runs, until it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    who: ServerKind,
    kept: ChildGuard,
    config: PathBuf,
    log: PathBuf,
}

impl ServerKind {
    /// Returns its program, and its folder.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Seawall => "seawall",
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
        }
    }

    /// Returns its name, with the version of what is installed.
    pub(crate) fn name(self) -> String {
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
        let mut command = pinned(SERVER_CORE, &program);
        match self {
            Self::Seawall => command.args(["run", "-c"]),
            Self::Nginx => command.arg("-c"),
            // In the foreground.
            Self::Haproxy => command.args(["-db", "-f"]),
        };
        command.arg(config);
        command
    }
}

fn is_version(word: &str) -> bool {
    word.contains('.') && word.chars().all(|c| c.is_ascii_digit() || c == '.')
}

fn pinned(core: &str, program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", core]).arg(program);
    command
}

/// Returns a command on the core that is not the servers'.
pub(crate) fn aside(program: impl AsRef<Path>) -> Command {
    pinned(OTHER_CORE, program.as_ref())
}

impl Server {
    /// Starts one in a folder of its own, with what `files` writes for that folder.
    ///
    /// # Errors
    /// It does not start.
    pub(crate) fn start(
        who: ServerKind,
        seawall: &Path,
        folder: &Folder,
        files: impl FnOnce(&Path) -> Files,
    ) -> anyhow::Result<Self> {
        let word = who.word();
        let dir = folder.make(word)?;
        for part in ["run", "state"] {
            folder.make(&format!("{word}/{part}"))?;
        }
        let mut config = None;
        for (name, text) in files(&dir) {
            let name = format!("{word}/{name}");
            if let Some(parent) = folder.join(&name).parent() {
                std::fs::create_dir_all(parent).context("a folder of a server")?;
            }
            let path = folder.write(&name, &text)?;
            config.get_or_insert(path);
        }
        let config = config.context("a server without configuration")?;
        let log = dir.join("said.log");
        let kept = ChildGuard::start(&mut who.command(seawall, &config), &log)?;
        Ok(Self { who, kept, config, log })
    }

    /// Calls `ask` until it returns a value.
    ///
    /// # Errors
    /// The server ends, or there is no value in time.
    pub(crate) fn until<T>(&mut self, mut ask: impl FnMut() -> Option<T>) -> anyhow::Result<T> {
        let answer = pacing::poll(READY_WITHIN, || {
            self.is_up()?;
            Ok(ask())
        })?;
        answer.with_context(|| format!("{} does not answer", self.who.word()))
    }

    /// Checks that it still runs.
    ///
    /// # Errors
    /// It does not run; the error contains its output.
    pub(crate) fn is_up(&mut self) -> anyhow::Result<()> {
        let ended = self.kept.ended()?.is_some();
        let said = || std::fs::read_to_string(&self.log).unwrap_or_default();
        ensure!(!ended, "{} has ended: {}", self.who.word(), said().trim());
        Ok(())
    }

    /// Returns its kind.
    pub(crate) fn who(&self) -> ServerKind {
        self.who
    }

    /// Returns its process, and the group of its workers.
    pub(crate) fn id(&self) -> u32 {
        self.kept.id()
    }

    /// Returns its configuration.
    pub(crate) fn config(&self) -> &Path {
        &self.config
    }
}

/// Returns unused addresses: nginx and HAProxy cannot report the ones that the kernel chose.
///
/// # Errors
/// There are none.
pub(crate) fn free<const N: usize>() -> anyhow::Result<[SocketAddr; N]> {
    // All are held until the last is found; otherwise it could be the first again.
    let held: io::Result<Vec<_>> =
        (0..N).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).collect();
    let held = held.context("no port of 127.0.0.1 is free")?;
    let found: io::Result<Vec<_>> = held.iter().map(TcpListener::local_addr).collect();
    found?.try_into().ok().context("a listener without an address")
}

/// Returns what this machine lacks of `tools`, each with the Debian package that has it, or of
/// cores.
pub(crate) fn lacks(tools: &[(&str, &str)]) -> Option<String> {
    let missing = tools.iter().filter(|(tool, _)| shell::find(tool).is_none());
    let packages: Vec<_> = missing.map(|(_, package)| *package).collect();
    if !packages.is_empty() {
        return Some(format!("not installed; `apt-get install {}`", packages.join(" ")));
    }
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    (cores < CORES).then(|| "one core is too few: server and load would share it".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn free_addresses_are_different() {
        let [one, other] = free().unwrap();
        assert!(one != other && one.ip().is_loopback());
    }

    #[test]
    fn what_is_missing_is_named_by_its_package() {
        let lack = lacks(&[("sh", "dash"), ("no-such-program-here", "its-package")]).unwrap();
        assert_eq!(lack, "not installed; `apt-get install its-package`");
    }
}
