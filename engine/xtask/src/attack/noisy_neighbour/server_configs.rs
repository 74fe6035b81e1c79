//! The configuration of each server: the same sites, the same origins with the same number of
//! concurrent requests, and the advice of its own makers against floods.
//!
//! * Seawall: default limits, and the flood limit of the shipped baseline (600 requests in 10 s for
//!   each client, and 200 more). A client counts as known after 3 s instead of a minute, since the
//!   quiet phase has seven.
//! * nginx: "Mitigating DDoS Attacks with NGINX and NGINX Plus" and "Rate Limiting with NGINX":
//!   `limit_req` (10 requests a second for each address, 20 more at once), `limit_conn` (10), short
//!   timeouts for header sections and bodies, `max_conns` at the origins. The queue in front of an
//!   origin (`queue`) is in NGINX Plus only.
//! * HAProxy: a stick table by address, 429 above 100 requests in 10 s, no more than 20
//!   connections, `maxconn` at the origins with a queue of a second in front of them.
//!
//! None has a cache, writes a log, or knows the attackers.

use super::constants::{ALICE, AT_ONCE, BOB, CAROL};
use crate::attack::server::{Files, ServerKind};
use crate::attack::testbed::TEXT;
use std::net::SocketAddr;
use std::path::Path;

/// Sites beside the three.
const OTHERS: usize = 847;
/// Files beside the server's own folder.
pub(super) const KEY: &str = "key.pem";
/// The certificate alone.
pub(super) const CERTIFICATE: &str = "certificate.pem";
/// Certificate and key.
pub(super) const BOTH: &str = "both.pem";
/// Maximum of visitors' connections in HAProxy, which needs two files for each. Seawall computes
/// the same from the 20,000 files that some systems permit.
const CONNECTIONS: u64 = 9_600;
/// nginx counts connections to origins too.
const NGINX_CONNECTIONS: u64 = 2 * CONNECTIONS;

/// Where a server listens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Addresses {
    /// In the clear.
    pub(crate) http: SocketAddr,
    /// With TLS, and HTTP/2 in it.
    pub(crate) https: SocketAddr,
}

/// The addresses of the origins.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origins {
    pub(crate) alice: SocketAddr,
    pub(crate) bob: SocketAddr,
    /// Carol's, and that of all others.
    pub(crate) others: SocketAddr,
}

/// Additional configuration of Seawall.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SeawallExtras<'t> {
    /// More limits, as dotted keys.
    pub(crate) limits: &'t str,
    /// More for alice's site.
    pub(crate) alice: &'t str,
    /// More for the policy.
    pub(crate) policy: &'t str,
    /// Files beside the policy, with their contents.
    pub(crate) members: &'t [(String, String)],
}

/// Returns the hosts of all sites.
pub(crate) fn hosts() -> impl Iterator<Item = String> {
    [ALICE, BOB, CAROL].map(str::to_owned).into_iter().chain((0..OTHERS).map(other))
}

/// Returns the name of one of the rest.
pub(super) fn other(n: usize) -> String {
    format!("member-{n}.example")
}

/// Returns the files of `who`, for a folder and with additional configuration.
pub(super) fn files(
    who: ServerKind,
    at: Addresses,
    origins: Origins,
    (dir, told): (&Path, SeawallExtras<'_>),
) -> Files {
    match who {
        ServerKind::Seawall => {
            let policy = format!("{TEXT}{}", told.policy);
            let own = [("seawall.toml", seawall(at, origins, told)), ("root.wall", policy)];
            let own = own.map(|(name, text)| (name.to_owned(), text));
            own.into_iter().chain(told.members.iter().cloned()).collect()
        }
        ServerKind::Nginx => vec![("nginx.conf".to_owned(), nginx(at, origins, dir))],
        ServerKind::Haproxy => vec![
            ("haproxy.cfg".to_owned(), haproxy(at, origins, dir)),
            (
                "hosts.map".to_owned(),
                format!("{ALICE} alice\n{BOB} bob\n{}", all_others("", " others\n")),
            ),
        ],
    }
}

/// Carol and all the rest.
fn all_others(before: &str, after: &str) -> String {
    let rest = (0..OTHERS).map(other);
    let all = std::iter::once(CAROL.to_owned()).chain(rest);
    all.map(|host| format!("{before}{host}{after}")).collect()
}

fn seawall(at: Addresses, origins: Origins, told: SeawallExtras<'_>) -> String {
    let Addresses { http, https } = at;
    let SeawallExtras { limits, alice, .. } = told;
    let site = |host: &str, origin: SocketAddr, more: &str| {
        format!(
            "[[site]]\nhosts = [\"{host}\"]\norigins = [\"http://{origin}\"]\n\
             {more}\nmax_requests_per_origin = {AT_ONCE}\n\n"
        )
    };
    let others = all_others(
        "[[site]]\nhosts = [\"",
        &format!(
            "\"]\norigins = [\"http://{}\"]\nmax_requests_per_origin = {AT_ONCE}\n\n",
            origins.others
        ),
    );
    format!(
        "queue.known_client_min_age = \"3s\"\n{limits}\n\
         [listen]\nhttp = [\"{http}\"]\nhttps = [\"{https}\"]\n\n[tls]\nself_signed = true\n\n\
         [admin]\nsocket = \"run/admin.sock\"\n\n[policy]\nfile = \"root.wall\"\n\n\
         [state]\ndir = \"state\"\n\n{}{}{others}",
        site(ALICE, origins.alice, &format!("weight = 2\n{alice}")),
        site(BOB, origins.bob, "weight = 1"),
    )
}

fn nginx(at: Addresses, origins: Origins, dir: &Path) -> String {
    let Addresses { http, https } = at;
    let dir = dir.display();
    let Origins { alice, bob, others } = origins;
    let upstream = |name: &str, origin: SocketAddr| {
        format!(
            "  upstream {name} {{ server {origin} max_conns={AT_ONCE}; keepalive {AT_ONCE}; }}\n"
        )
    };
    let server = |names: &str, upstream: &str, backlog: &str| {
        format!(
            "  server {{\n    listen {http}{backlog};\n    listen {https} ssl http2{backlog};\n    \
             server_name {names};\n    location / {{ proxy_pass http://{upstream}; }}\n  }}\n"
        )
    };
    let upstreams = [upstream("alice", alice), upstream("bob", bob), upstream("others", others)];
    let servers = [
        server(ALICE, "alice", " backlog=4096"),
        server(BOB, "bob", ""),
        server(&all_others(" ", ""), "others", ""),
    ];
    format!(
        "daemon off;\nuser root;\nworker_processes 1;\n\
         pid {dir}/nginx.pid;\nerror_log {dir}/nginx.log crit;\n\
         events {{ worker_connections {NGINX_CONNECTIONS}; }}\nhttp {{\n  access_log off;\n  \
         client_body_temp_path {dir}/body;\n  proxy_temp_path {dir}/proxy;\n  \
         fastcgi_temp_path {dir}/fastcgi;\n  uwsgi_temp_path {dir}/uwsgi;\n  \
         scgi_temp_path {dir}/scgi;\n  \
         server_names_hash_max_size 8192;\n  server_names_hash_bucket_size 128;\n  \
         limit_req_zone $binary_remote_addr zone=requests:10m rate=10r/s;\n  \
         limit_conn_zone $binary_remote_addr zone=connections:10m;\n  \
         limit_req zone=requests burst=20 nodelay;\n  limit_conn connections 10;\n  \
         client_body_timeout 5s;\n  client_header_timeout 5s;\n  \
         proxy_http_version 1.1;\n  proxy_set_header Connection \"\";\n  \
         proxy_set_header Host $host;\n  \
         ssl_certificate {dir}/../{CERTIFICATE};\n  ssl_certificate_key {dir}/../{KEY};\n{}{}}}\n",
        upstreams.concat(),
        servers.concat(),
    )
}

fn haproxy(at: Addresses, origins: Origins, dir: &Path) -> String {
    let Addresses { http, https } = at;
    let dir = dir.display();
    let Origins { alice, bob, others } = origins;
    let backend = |name: &str, origin: SocketAddr| {
        format!("backend {name}\n  server origin {origin} maxconn {AT_ONCE}\n")
    };
    let backends = [backend("alice", alice), backend("bob", bob), backend("others", others)];
    format!(
        "global\n  nbthread 1\n  maxconn {CONNECTIONS}\ndefaults\n  mode http\n  \
         timeout connect 5s\n  timeout client 30s\n  timeout server 30s\n  \
         timeout http-request 5s\n  timeout queue 1s\n\
         frontend all\n  bind {http}\n  bind {https} ssl crt {dir}/../{BOTH} alpn h2,http/1.1\n  \
         stick-table type ip size 1m expire 30s store http_req_rate(10s),conn_cur\n  \
         tcp-request connection track-sc0 src\n  \
         tcp-request connection reject if {{ sc_conn_cur(0) gt 20 }}\n  \
         http-request deny deny_status 429 if {{ sc_http_req_rate(0) gt 100 }}\n  \
         use_backend %[req.hdr(host),field(1,:),lower,map({dir}/hosts.map)]\n{}",
        backends.concat(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attack::server::WHO;

    const MORE: SeawallExtras<'_> =
        SeawallExtras { limits: "more = 9", alice: "her = 8", policy: "# seven", members: &[] };

    fn text(who: ServerKind) -> String {
        let at = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        let addresses = Addresses { http: at(1), https: at(2) };
        let origins = Origins { alice: at(3), bob: at(4), others: at(5) };
        let files = files(who, addresses, origins, (Path::new("/d"), MORE));
        files.into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn every_server_has_850_sites_and_three_origins_that_do_as_much_at_once() {
        for who in WHO {
            let text = text(who);
            for host in [ALICE, BOB, CAROL] {
                assert!(text.contains(host), "{who:?} {host}");
            }
            assert_eq!(text.matches("member-").count(), OTHERS, "{who:?}");
            for port in 1..=5 {
                assert!(text.contains(&format!("127.0.0.1:{port}")), "{who:?} {port}");
            }
        }
        assert_eq!(OTHERS + 3, 850);
        assert_eq!(
            text(ServerKind::Seawall).matches("max_requests_per_origin = 32\n").count(),
            850
        );
        assert_eq!(text(ServerKind::Nginx).matches("max_conns=32").count(), 3);
        assert_eq!(text(ServerKind::Haproxy).matches("maxconn 32\n").count(), 3);
    }

    #[test]
    fn what_seawall_is_told_besides_is_in_its_place_and_nobody_elses() {
        let told = text(ServerKind::Seawall);
        assert!(told.contains("queue.known_client_min_age = \"3s\"\nmore = 9\n"));
        assert!(told.contains("weight = 2\nher = 8\nmax_requests_per_origin = 32\n"));
        assert!(told.ends_with("# seven"));
        for more in [MORE.limits, MORE.alice, MORE.policy] {
            assert!(
                !text(ServerKind::Nginx).contains(more)
                    && !text(ServerKind::Haproxy).contains(more)
            );
        }
    }
}
