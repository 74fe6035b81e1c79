//! The environment of an attack on two members: 850 sites behind one server, with an origin for
//! each member that matters, all new for every case.
//!
//! An origin works like a member's script, with a number of concurrent requests and a duration of
//! each. Further requests wait or are rejected at the server, or they wait at the origin.

use super::constants::{ALICE, AT_ONCE, BOB, CAROL, VISIT};
use super::server_configs::{self, Addresses, Origins, SeawallExtras};
use crate::attack::child_process::ChildGuard;
use crate::attack::server::{Server, ServerKind, aside, free};
use crate::attack::testbed::{Folder, Programs, start_origin};
use crate::demo::http_client::Client;
use crate::shell;
use anyhow::{Context, bail};
use seawall_admin_api::StatusReport;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Milliseconds that each takes it.
const WORK_MS: u64 = 20;
/// Responses of an origin per second.
pub(crate) const CAPACITY_PER_S: u64 = AT_ONCE * 1_000 / WORK_MS;

/// It, running. Everything ends when it is dropped, and the folder goes.
#[derive(Debug)]
pub(crate) struct Environment {
    // Dropped in this order: clients before servers, the folder last.
    server: Server,
    _origins: Vec<ChildGuard>,
    folder: Folder,
    /// Where the server listens.
    pub(crate) at: Addresses,
    origins: Origins,
}

impl Environment {
    /// Starts all of it.
    ///
    /// # Errors
    /// Something does not start, or does not serve what it should.
    pub(crate) fn start(
        programs: &Programs,
        who: ServerKind,
        told: SeawallExtras<'_>,
    ) -> anyhow::Result<Self> {
        let folder = Folder::new("neighbours")?;
        let mut kept = Vec::new();
        let mut origin = |name: &str| {
            let log = folder.join(&format!("{name}.log"));
            let (work, at_once) = (WORK_MS.to_string(), AT_ONCE.to_string());
            let words = ["--work-ms", &work, "--at-once", &at_once];
            let (origin, at) = start_origin(&mut aside(&programs.attack), &words, &log)?;
            kept.push(origin);
            anyhow::Ok(at)
        };
        let origins =
            Origins { alice: origin("alice")?, bob: origin("bob")?, others: origin("others")? };
        let [http, https] = free()?;
        let at = Addresses { http, https };
        if who != ServerKind::Seawall {
            certificate(&folder)?;
        }
        let files = |dir: &Path| server_configs::files(who, at, origins, (dir, told));
        let server = Server::start(who, &programs.seawall, &folder, files)?;
        let mut ground = Self { server, _origins: kept, folder, at, origins };
        for host in [ALICE, BOB, CAROL, &server_configs::other(0)] {
            match ground.server.until(|| answer(http, host))? {
                200 => {}
                status => bail!("{} answered {status} for {host}", who.word()),
            }
        }
        ground.server.until(|| TcpStream::connect(https).ok())?;
        Ok(ground)
    }

    /// Returns the origin of a member.
    pub(crate) fn origin(&self, host: &str) -> SocketAddr {
        match host {
            ALICE => self.origins.alice,
            BOB => self.origins.bob,
            _ => self.origins.others,
        }
    }

    /// Returns the server's configuration.
    pub(crate) fn config(&self) -> &Path {
        self.server.config()
    }

    /// Returns a file in its folder.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Returns the most memory that the server has had so far, in KiB.
    pub(crate) fn memory_kib_at_most(&self) -> Option<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.server.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.split_whitespace().next()?.parse().ok()
    }

    /// That the server still runs.
    ///
    /// # Errors
    /// It does not run; the error contains its output.
    pub(crate) fn is_up(&mut self) -> anyhow::Result<()> {
        self.server.is_up()
    }

    /// Returns the bytes that Seawall has sent to visitors of `host`.
    ///
    /// # Errors
    /// It does not respond, or has no such figure.
    pub(crate) fn sent(&self, seawall: &Path, host: &str) -> anyhow::Result<f64> {
        let mut command = Command::new(seawall);
        command.args(["status", "--json", "-c"]).arg(self.server.config());
        let status = serde_json::from_str(&shell::quiet(&mut command)?).context("its status")?;
        sent_in(&status, host).with_context(|| format!("the status has no bytes of {host}"))
    }

    /// Returns Seawall's admin socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.file("seawall/run/admin.sock")
    }
}

fn sent_in(status: &StatusReport, host: &str) -> Option<f64> {
    Some(status.site(host)?.traffic.counts.egress_bytes_total as f64)
}

/// Returns the status of a request for `host`, if there is a response.
fn answer(at: SocketAddr, host: &str) -> Option<u16> {
    let request = format!("GET {VISIT} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let mut client = Client::new(Ipv4Addr::LOCALHOST, at);
    client.ask(request.as_bytes()).ok().map(|reply| reply.status)
}

/// A certificate for all sites, of the kind that Seawall makes for itself; its key with it, as
/// HAProxy wants it.
fn certificate(folder: &Folder) -> anyhow::Result<()> {
    let (key, cert) = (folder.join(server_configs::KEY), folder.join(server_configs::CERTIFICATE));
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]);
    openssl.args(["-nodes", "-days", "2", "-subj", "/CN=neighbours"]);
    openssl.args(["-addext", "subjectAltName=DNS:*.example"]);
    shell::quiet(openssl.arg("-keyout").arg(&key).arg("-out").arg(&cert))?;
    let read = |path| std::fs::read_to_string(path).context("what openssl wrote");
    folder.write(server_configs::BOTH, &format!("{}{}", read(&cert)?, read(&key)?))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use seawall_admin_api::SiteStatus;

    #[test]
    fn bytes_are_those_of_the_site() {
        let site = |name: &str, bytes: u64| {
            let mut site = SiteStatus { name: name.to_owned(), ..SiteStatus::default() };
            site.traffic.counts.egress_bytes_total = bytes;
            site
        };
        let sites = vec![site("bob.example", 1), site(ALICE, 5)];
        let status = StatusReport { sites, ..StatusReport::default() };
        assert_eq!(sent_in(&status, ALICE), Some(5.0));
        assert_eq!(sent_in(&status, CAROL), None);
    }
}
