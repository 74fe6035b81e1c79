//! The testbed of a promise: a folder, a recording origin, and Seawall in front of it. All are new,
//! so that no attack inherits memory, bans or counts of the one before.

use crate::attack::child_process::ChildGuard;
use crate::demo::seawall::{LogOutput, Seawall};
use crate::pacing;
use anyhow::{Context, ensure};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The site that is attacked and visited; `seawall-attack` requests it by default.
const SITE: &str = "alice.example";
/// Another member's site, with the same origin.
const NEIGHBOUR: &str = "neighbour.example";
/// Time for the origin to report its address.
const ORIGIN_WITHIN: Duration = Duration::from_secs(10);

/// The policy: the least that an operator has. The limit is that of the shipped baseline.
pub(crate) const TEXT: &str = "policy 1 \"what the promises are tried with\"
floor {
  rule trap { when path == \"/trap\" then ban 10m }
  rule denied { when path == \"/denied\" then block 403 }
  limit flood { per client to 600/10s burst 200 then block 429 hold 1m keys 200k }
}
";

/// The two programs.
#[derive(Debug)]
pub(crate) struct Programs {
    /// The attacked program.
    pub(crate) seawall: PathBuf,
    /// The attacker, and the origin.
    pub(crate) attack: PathBuf,
}

/// From where it can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Open {
    /// This machine.
    Loopback,
    /// Over IPv4 from any address: the virtual link of a namespace has an address only once its
    /// attack has begun.
    EverywhereV4,
    /// The same over IPv6.
    EverywhereV6,
}

/// It, running. Everything ends when it is dropped, and the folder goes.
#[derive(Debug)]
pub(crate) struct Stage {
    // Dropped in this order: clients before servers, the folder last.
    seawall: Seawall,
    _origin: ChildGuard,
    folder: Folder,
    /// Where the origin is.
    pub(crate) origin: SocketAddr,
    /// Where Seawall listens in the clear.
    pub(crate) http: SocketAddr,
    /// Where it listens with TLS.
    pub(crate) https: SocketAddr,
}

/// A folder that goes when it is dropped.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// Creates a new folder. Its path is short: it contains a socket, whose path may have 107
    /// bytes.
    ///
    /// # Errors
    /// It cannot be created.
    pub(crate) fn new(name: &str) -> anyhow::Result<Self> {
        let dir = std::env::temp_dir().join(format!("seawall-{name}-{}", std::process::id()));
        if dir.exists() {
            std::fs::remove_dir_all(&dir).with_context(|| format!("clearing {}", dir.display()))?;
        }
        std::fs::create_dir(&dir).with_context(|| format!("making {}", dir.display()))?;
        Ok(Self(dir))
    }

    /// Returns a path in it.
    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Returns a new folder in it.
    ///
    /// # Errors
    /// It cannot be made.
    pub(crate) fn make(&self, name: &str) -> anyhow::Result<PathBuf> {
        let dir = self.join(name);
        std::fs::create_dir(&dir).with_context(|| format!("making {}", dir.display()))?;
        Ok(dir)
    }

    /// Writes a file in it.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn write(&self, name: &str, text: &str) -> anyhow::Result<PathBuf> {
        let path = self.join(name);
        std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        Ok(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is in the system's temporary folder.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Stage {
    /// Starts all of it.
    ///
    /// # Errors
    /// Something does not start.
    pub(crate) fn start(programs: &Programs, open: Open) -> anyhow::Result<Self> {
        let folder = Folder::new("attack")?;
        for part in ["run", "state", "log"] {
            folder.make(part)?;
        }
        let log = folder.join("origin.log");
        let (kept, origin) = start_origin(&mut Command::new(&programs.attack), &[], &log)?;
        folder.write("root.wall", TEXT)?;
        let config = folder.write("seawall.toml", &configuration(origin, open))?;
        let voice = LogOutput::File(folder.join("log/seawall.log"));
        let seawall = Seawall::start(&programs.seawall, &config, &voice)?;
        let at = |scheme| seawall.listens(scheme).context("seawall does not say where it listens");
        let (http, https) = (at("http")?, at("https")?);
        Ok(Self { seawall, _origin: kept, folder, origin, http, https })
    }

    /// Returns the process that is attacked.
    pub(crate) fn pid(&self) -> u32 {
        self.seawall.id()
    }

    /// Returns the folder of its log.
    pub(crate) fn logs(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// Returns its policy.
    pub(crate) fn policy(&self) -> PathBuf {
        self.folder.join("root.wall")
    }

    /// Returns a file for the attacker's output, and one for its result.
    pub(crate) fn papers(&self) -> (PathBuf, PathBuf) {
        (self.folder.join("attack.log"), self.folder.join("attack.json"))
    }

    /// Checks that it still runs.
    ///
    /// # Errors
    /// It does not; with its last lines.
    pub(crate) fn is_up(&mut self) -> anyhow::Result<()> {
        let ended = self.seawall.has_ended()?;
        ensure!(!ended, "seawall has ended by itself; it said:\n{}", self.seawall.last_words());
        Ok(())
    }
}

fn configuration(origin: SocketAddr, open: Open) -> String {
    let listen = match open {
        Open::Loopback => "127.0.0.1:0",
        Open::EverywhereV4 => "0.0.0.0:0",
        Open::EverywhereV6 => "[::]:0",
    };
    format!(
        "[listen]\nhttp = [\"{listen}\"]\nhttps = [\"{listen}\"]\n\n[tls]\nself_signed = true\n\n\
         [admin]\nsocket = \"run/admin.sock\"\n\n[policy]\nfile = \"root.wall\"\n\n\
         [state]\ndir = \"state\"\n\n[[site]]\nhosts = [\"{SITE}\"]\norigins = [\"http://{origin}\"]\n\n\
         [[site]]\nhosts = [\"{NEIGHBOUR}\"]\norigins = [\"http://{origin}\"]\n"
    )
}

/// Starts a recording origin by its program, with additional `words`, and returns its address.
///
/// # Errors
/// It does not start, or does not report its address.
pub(crate) fn start_origin(
    program: &mut Command,
    words: &[&str],
    log: &Path,
) -> anyhow::Result<(ChildGuard, SocketAddr)> {
    let command = program.args(["origin", "--listen", "127.0.0.1:0"]).args(words);
    let mut kept = ChildGuard::start(command, log)?;
    let found = pacing::poll(ORIGIN_WITHIN, || {
        let text = std::fs::read_to_string(log).unwrap_or_default();
        ensure!(kept.ended()?.is_none(), "the recording origin has ended: {}", text.trim());
        // Whole lines only: the rest may still be written.
        let line = text.split_inclusive('\n').find_map(|line| line.strip_suffix('\n'));
        Ok(line.and_then(|line| line.rsplit(' ').next()?.parse().ok()))
    })?;
    Ok((kept, found.context("the recording origin does not say where it listens")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_goes_with_what_is_in_it() {
        let folder = Folder::new("xtask-test").unwrap();
        folder.make("a").unwrap();
        let file = folder.write("a/b", "c").unwrap();
        assert!(file.exists());
        drop(folder);
        assert!(!file.exists());
    }
}
