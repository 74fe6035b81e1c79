//! The load: four kinds of request for the same denied path, by `wrk`.

use super::server::DENIED;
use crate::attack::child_process::ChildGuard;
use crate::attack::server::aside;
use crate::attack::testbed::Folder;
use crate::wrk::WrkReport;
use anyhow::{Context, ensure};
use std::net::SocketAddr;
use std::sync::mpsc::Receiver;
use std::time::Duration;

/// Connections at once, below what Seawall allows one client.
const CONNECTIONS: &str = "32";
/// One turn.
const TURN: &str = "2s";
/// Timeout of it.
const TURN_LIMIT: Duration = Duration::from_secs(60);
/// Requests of one write in the case that pipelines.
const PIPELINED: usize = 16;

/// One connection in so many responses may fail. Failed reads and writes are not counted: a server
/// closes each connection after a thousand requests, and pipelined requests then fail.
const FAILED_PARTS: u64 = 100;

/// One kind of request.
#[derive(Debug)]
pub(super) struct Case {
    /// In the table.
    pub(super) name: &'static str,
    /// Fields beside Host.
    fields: &'static [(&'static str, &'static str)],
    /// Requests of one write.
    at_once: usize,
}

/// What Firefox sends, ten fields with Host.
const BROWSER: &[(&str, &str)] = &[
    ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    ("Accept-Language", "en-GB,en;q=0.5"),
    ("Accept-Encoding", "gzip, deflate"),
    ("Upgrade-Insecure-Requests", "1"),
    ("Sec-Fetch-Dest", "document"),
    ("Sec-Fetch-Mode", "navigate"),
    ("Sec-Fetch-Site", "none"),
    ("Priority", "u=0, i"),
];

/// All kinds.
pub(super) const CASES: [Case; 4] = [
    Case { name: "one field, connections kept", fields: &[], at_once: 1 },
    Case { name: "ten fields of a browser, kept", fields: BROWSER, at_once: 1 },
    Case { name: "ten fields, 16 in a write", fields: BROWSER, at_once: PIPELINED },
    Case { name: "a connection for each", fields: &[("Connection", "close")], at_once: 1 },
];

/// The output of `wrk`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Said {
    /// Answers a second.
    pub(super) rate: f64,
    /// Answers.
    pub(super) requests: u64,
}

impl Case {
    /// Returns the script for `wrk`: the bytes are made once.
    fn script(&self) -> String {
        let fields: String = self
            .fields
            .iter()
            .map(|(name, value)| format!("wrk.headers[\"{name}\"] = \"{value}\"\n"))
            .collect();
        format!(
            "wrk.headers[\"Host\"] = \"a.example\"\n{fields}local out\n\
             function init(args)\n  local all = {{}}\n  \
             for i = 1, {} do all[i] = wrk.format(\"GET\", \"{DENIED}\") end\n  \
             out = table.concat(all)\nend\nfunction request() return out end\n",
            self.at_once
        )
    }
}

/// Runs one turn of `case` against `server`.
///
/// # Errors
/// It does not run, or not every request was rejected.
pub(super) fn ask(
    case: &Case,
    server: SocketAddr,
    folder: &Folder,
    interrupts: &Receiver<()>,
) -> anyhow::Result<Said> {
    let script = folder.write("case.lua", &case.script())?;
    let log = folder.join("wrk.log");
    let mut command = aside("wrk");
    command.args(["-t1", "-c", CONNECTIONS, "-d", TURN, "-s"]).arg(script);
    command.arg(format!("http://{server}{DENIED}"));
    let status = ChildGuard::start(&mut command, &log)?.wait(TURN_LIMIT, interrupts)?;
    let text = std::fs::read_to_string(&log).context("what wrk said")?;
    ensure!(status.success(), "wrk failed ({status}): {}", text.trim());
    read(&text).with_context(|| format!("in `{}` wrk said:\n{}", case.name, text.trim()))
}

/// Reads the output of `wrk`. All requests must have been rejected: otherwise the comparison has no
/// meaning.
fn read(text: &str) -> anyhow::Result<Said> {
    let report = WrkReport::read(text).context("no counts")?;
    let WrkReport { requests, rate, not_2xx: refused, lost, .. } = report;
    ensure!(requests > 0, "nothing was answered");
    ensure!(refused == requests, "{refused} of {requests} answers were refusals");
    ensure!(lost <= requests / FAILED_PARTS, "{lost} connections failed");
    Ok(Said { rate, requests })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "Running 2s test @ http://127.0.0.1:1/denied
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   304.12us  100.00us   5.00ms   90.00%
    Req/Sec   101.10k     2.00k  105.00k    70.00%
  202200 requests in 2.00s, 60.00MB read
  Socket errors: connect 0, read 7, write 0, timeout 0
  Non-2xx or 3xx responses: 202200
Requests/sec: 101100.50
Transfer/sec:     30.00MB
";

    #[test]
    fn what_wrk_says_is_read() {
        assert_eq!(read(SAID).unwrap(), Said { rate: 101_100.5, requests: 202_200 });
    }

    #[test]
    fn a_turn_in_which_not_all_were_refused_is_none() {
        for (was, is) in [
            ("responses: 202200", "responses: 202199"),
            ("  Non-2xx or 3xx responses: 202200\n", ""),
            ("connect 0", "connect 2023"),
            ("timeout 0", "timeout none"),
            ("Requests/sec: 101100.50\n", ""),
            ("202200 requests in", "0 requests in"),
        ] {
            assert!(SAID.contains(was), "{was}");
            assert!(read(&SAID.replace(was, is)).is_err(), "{was} -> {is}");
        }
    }

    #[test]
    fn scripts_have_what_the_case_says() {
        for case in &CASES {
            let script = case.script();
            let fields = script.matches("wrk.headers[").count();
            assert_eq!(fields, case.fields.len() + 1);
            assert!(script.contains(&format!("for i = 1, {} do", case.at_once)));
        }
        assert_eq!(BROWSER.len() + 1, 10);
    }
}
