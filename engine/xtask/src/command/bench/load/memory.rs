//! Memory of idle connections: the resident memory of a proxy with many of them, less that of the
//! same proxy before.

use super::testbed::{Environment, HOST, Proxy};
use crate::attack::cpu_time::{fields_of_group, sum_of_group};
use crate::demo::http_client::Client;
use crate::pacing;
use anyhow::{Context, ensure};
use std::net::Ipv4Addr;
use std::time::Duration;

/// Connections that are idle at the same time.
const CONNECTIONS: usize = 1_000;
/// Connections before these: the first ones make tables and threads that stay.
const FIRST: usize = 16;
/// Time after the last request, in which a proxy may return memory.
const SETTLE: Duration = Duration::from_millis(300);
/// Of all machines that Seawall runs on.
const PAGE_KIB: u64 = 4;

/// Returns the memory of one idle connection that had a request, in KiB.
///
/// # Errors
/// A request fails, or is not answered with 2xx.
pub(super) fn per_connection(proxy: &Proxy, environment: &Environment<'_>) -> anyhow::Result<f64> {
    let first = open(proxy, FIRST, environment)?;
    pacing::pause(SETTLE);
    let before = resident_kib(proxy.group())?;
    let all = open(proxy, CONNECTIONS, environment)?;
    pacing::pause(SETTLE);
    let after = resident_kib(proxy.group())?;
    drop((first, all));
    Ok(after.saturating_sub(before) as f64 / CONNECTIONS as f64)
}

fn open(proxy: &Proxy, count: usize, environment: &Environment<'_>) -> anyhow::Result<Vec<Client>> {
    let request = format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
    let name = proxy.kind.name();
    let one = |number: usize| {
        environment.check()?;
        let mut client = Client::new(Ipv4Addr::LOCALHOST, proxy.http);
        let reply = client.ask(request.as_bytes());
        let reply = reply.with_context(|| format!("{name}: idle connection {number}"))?;
        ensure!(reply.status / 100 == 2, "{name}: 1 response was {} instead of 2xx", reply.status);
        Ok(client)
    };
    (0..count).map(one).collect()
}

/// Returns the resident memory of a process group.
fn resident_kib(group: u32) -> anyhow::Result<u64> {
    Ok(sum_of_group(group, resident_pages)?.saturating_mul(PAGE_KIB))
}

/// Resident pages in a line of `/proc/PID/stat`, if it is of this process group.
fn resident_pages(stat: &str, group: u32) -> Option<u64> {
    fields_of_group(stat, group)?.get(21)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_pages_are_those_of_the_group() {
        let stat = "9 (a) b) S 1 7 7 0 -1 0 9 0 0 0 12 34 0 0 20 0 1 0 5 99999 4321 1844";
        assert_eq!(resident_pages(stat, 7), Some(4_321));
        assert_eq!(resident_pages(stat, 8), None);
        assert_eq!(resident_pages("", 7), None);
    }

    #[test]
    fn a_process_that_runs_has_memory() {
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
        let group = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(2).unwrap();
        assert!(resident_kib(group.parse().unwrap()).unwrap() > 0);
    }
}
