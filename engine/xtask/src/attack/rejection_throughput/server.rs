//! The compared servers: each with one worker on one core, no log, and one rule about one path.
//!
//! Seawall's connection rate limit is removed: `wrk` is one client, and the others have no such
//! limit.

use crate::attack::cpu_time;
use crate::attack::server::{Files, Server, ServerKind, free};
use crate::attack::testbed::Folder;
use crate::demo::http_client::Client;
use anyhow::{Context, bail};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

/// The denied path.
pub(super) const DENIED: &str = "/denied";

/// A server that runs, and where it listens.
#[derive(Debug)]
pub(super) struct Running(Server, SocketAddr);

/// Returns the files to write before it starts.
fn files(who: ServerKind, at: SocketAddr, dir: &Path) -> Files {
    let dir = dir.display();
    match who {
        ServerKind::Seawall => vec![
            (
                "seawall.toml".to_owned(),
                format!(
                    "[listen]\nhttp = [\"{at}\"]\n\n[admin]\nsocket = \"run/admin.sock\"\n\n\
                     [policy]\nfile = \"root.wall\"\n\n[state]\ndir = \"state\"\n\n\
                     [connections]\nconnection_rate_per_client = 1000000\n\n\
                     [[site]]\nhosts = [\"*.example\"]\norigins = [\"http://127.0.0.1:9\"]\n"
                ),
            ),
            (
                "root.wall".to_owned(),
                format!(
                    "policy 1\nfloor {{ rule denied {{ when path == \"{DENIED}\" \
                     then block 403 }} }}\n"
                ),
            ),
        ],
        ServerKind::Nginx => vec![(
            "nginx.conf".to_owned(),
            format!(
                "daemon off;\nuser root;\nworker_processes 1;\npid {dir}/nginx.pid;\n\
                 error_log {dir}/nginx.log crit;\nevents {{ worker_connections 4096; }}\n\
                 http {{\n  access_log off;\n  client_body_temp_path {dir}/body;\n  \
                 proxy_temp_path {dir}/proxy;\n  fastcgi_temp_path {dir}/fastcgi;\n  \
                 uwsgi_temp_path {dir}/uwsgi;\n  scgi_temp_path {dir}/scgi;\n  \
                 server {{ listen {at} backlog=4096; location = {DENIED} {{ return 403; }} }}\n}}\n"
            ),
        )],
        ServerKind::Haproxy => vec![(
            "haproxy.cfg".to_owned(),
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

impl Running {
    /// Starts one, and waits until it rejects.
    ///
    /// # Errors
    /// It does not start, or does not respond with 403.
    pub(super) fn start(who: ServerKind, seawall: &Path, folder: &Folder) -> anyhow::Result<Self> {
        let [at] = free()?;
        let mut server = Server::start(who, seawall, folder, |dir| files(who, at, dir))?;
        match server.until(|| refuses(at))? {
            403 => Ok(Self(server, at)),
            other => bail!("{} answered {other} to what it should refuse with 403", who.word()),
        }
    }

    /// Returns its address.
    pub(super) fn address(&self) -> SocketAddr {
        self.1
    }

    /// Returns its name in the table.
    pub(super) fn name(&self) -> String {
        self.0.who().name()
    }

    /// Returns the CPU time of the server and its workers.
    ///
    /// # Errors
    /// The process has ended.
    pub(super) fn cpu_ms(&self) -> anyhow::Result<u64> {
        cpu_time::of_group_ms(self.0.id())
            .with_context(|| format!("{} is gone", self.0.who().word()))
    }
}

/// Returns the status of a request for the denied path, if there is a response.
fn refuses(at: SocketAddr) -> Option<u16> {
    let request = format!("GET {DENIED} HTTP/1.1\r\nHost: a.example\r\n\r\n");
    let mut client = Client::new(Ipv4Addr::LOCALHOST, at);
    client.ask(request.as_bytes()).ok().map(|reply| reply.status)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attack::server::WHO;

    #[test]
    fn every_server_denies_the_same_path_at_its_address() {
        let at: SocketAddr = "127.0.0.1:4711".parse().unwrap();
        for who in WHO {
            let files = files(who, at, Path::new("/d"));
            let all: String = files.iter().map(|(_, text)| text.as_str()).collect();
            assert!(all.contains("127.0.0.1:4711") && all.contains(DENIED), "{all}");
            assert!(all.contains("403"), "{all}");
        }
    }
}
