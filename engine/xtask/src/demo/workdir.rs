//! The writable copy of configuration and policies that the demo runs on.
//!
//! A copy, so that the policies can be edited, and broken, without touching what is shipped.
//! `run` keeps the edits of last time; `run --once` starts from what is shipped.

use crate::repo::Repo;
use anyhow::Context;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

/// The ports in `demo/seawall.toml`, used when they are free.
pub(crate) const PORT: u16 = 8080;
pub(crate) const TLS_PORT: u16 = 8443;
pub(crate) const ORIGIN_PORT: u16 = 9001;

/// What to do with the policies of an earlier run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Earlier {
    /// Keep them: they may contain a user's edits.
    Keep,
    /// Start from what is shipped.
    Discard,
}

/// The copy.
#[derive(Debug)]
pub(crate) struct Folder {
    dir: PathBuf,
    ports: Ports,
}

/// Where everything of this run is.
#[derive(Debug, Clone, Copy)]
struct Ports {
    listen: SocketAddr,
    listen_tls: SocketAddr,
    origin: SocketAddr,
}

impl Folder {
    /// Makes the copy in `dir`, with `origin` and free ports in its configuration.
    ///
    /// # Errors
    /// A file cannot be read or written, or no port is free.
    pub(crate) fn prepare(
        repo: &Repo,
        dir: PathBuf,
        origin: SocketAddr,
        earlier: Earlier,
    ) -> anyhow::Result<Self> {
        if earlier == Earlier::Discard && dir.exists() {
            std::fs::remove_dir_all(&dir).with_context(|| format!("clearing {}", dir.display()))?;
        }
        for part in ["run", "state"] {
            std::fs::create_dir_all(dir.join(part))
                .with_context(|| format!("making {}", dir.join(part).display()))?;
        }
        let policies = dir.join("policies");
        if policies.exists() {
            println!("run: keeping the policies in {} as you left them", policies.display());
        } else {
            copy(&repo.join("policies"), &policies)?;
        }
        copy(&repo.join("policies/wasm"), &policies.join("wasm"))?;
        let local = |port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let (listen, listen_tls) = (local(free_port(PORT)?), local(free_port(TLS_PORT)?));
        let ports = Ports { listen, listen_tls, origin };
        configure(&repo.join("demo/seawall.toml"), &dir.join("seawall.toml"), ports)?;
        Ok(Self { dir, ports })
    }

    /// Returns the configuration file.
    pub(crate) fn config(&self) -> PathBuf {
        self.dir.join("seawall.toml")
    }

    /// Returns the root policy.
    pub(crate) fn policy(&self) -> PathBuf {
        self.dir.join("policies/baseline.wall")
    }

    /// Returns the component of the shipped rule.
    pub(crate) fn component(&self) -> PathBuf {
        self.dir.join("policies/wasm/header-oddness.wasm")
    }

    /// Returns the log file.
    pub(crate) fn log(&self) -> PathBuf {
        self.dir.join("seawall.log")
    }

    /// Returns the address for HTTP.
    pub(crate) fn listen(&self) -> SocketAddr {
        self.ports.listen
    }

    /// Returns the address for TLS.
    pub(crate) fn listen_tls(&self) -> SocketAddr {
        self.ports.listen_tls
    }
}

/// Returns `wanted` if it is free, otherwise any free port.
fn free_port(wanted: u16) -> anyhow::Result<u16> {
    if TcpListener::bind((Ipv4Addr::LOCALHOST, wanted)).is_ok() {
        return Ok(wanted);
    }
    let any =
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port of 127.0.0.1 is free")?;
    let port = any.local_addr().context("a listener without an address")?.port();
    println!("run: port {wanted} is in use, taking {port}");
    Ok(port)
}

/// Writes the configuration with this run's ports.
fn configure(template: &Path, to: &Path, ports: Ports) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(template)
        .with_context(|| format!("reading {}", template.display()))?;
    let text = text
        .replace(&format!("127.0.0.1:{PORT}"), &ports.listen.to_string())
        .replace(&format!("127.0.0.1:{TLS_PORT}"), &ports.listen_tls.to_string())
        .replace(&format!("127.0.0.1:{ORIGIN_PORT}"), &ports.origin.to_string());
    std::fs::write(to, text).with_context(|| format!("writing {}", to.display()))
}

/// Copies a folder and what is in it.
fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(to).with_context(|| format!("making {}", to.display()))?;
    let entries = from.read_dir().with_context(|| format!("reading {}", from.display()))?;
    for entry in entries {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            copy(&source, &target)?;
        } else {
            std::fs::copy(&source, &target)
                .with_context(|| format!("copying {}", source.display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_port_gives_way_to_a_free_one() {
        let busy = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = busy.local_addr().unwrap().port();
        assert_ne!(free_port(port).unwrap(), port);
    }

    #[test]
    fn the_shipped_configuration_takes_this_runs_ports() {
        let repo = Repo::find().unwrap();
        let to = std::env::temp_dir().join(format!("seawall-xtask-{}.toml", std::process::id()));
        let [listen, listen_tls, origin] =
            ["127.0.0.1:1", "127.0.0.1:3", "127.0.0.1:2"].map(|at| at.parse().unwrap());
        let ports = Ports { listen, listen_tls, origin };
        configure(&repo.join("demo/seawall.toml"), &to, ports).unwrap();
        let text = std::fs::read_to_string(&to).unwrap();
        std::fs::remove_file(&to).unwrap();
        assert!(text.contains("\"127.0.0.1:1\"") && text.contains("\"http://127.0.0.1:2\""));
        assert!(text.contains("https = [\"127.0.0.1:3\"]"));
        assert!(["8080\"", "8443\"", "9001\""].iter().all(|port| !text.contains(port)));
    }
}
