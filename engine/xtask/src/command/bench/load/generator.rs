//! The load generators: their commands, and what their output says.

use super::testbed::{HOST, Proxy, Testbed, generator};
use super::work::{DENIED, Load, Wrk};
use crate::attack::child_process::ChildGuard;
use crate::wrk::WrkReport;
use anyhow::{Context, ensure};
use std::process::Command;
use std::time::Duration;

/// Time that a generator may take beyond its seconds.
const GRACE: Duration = Duration::from_secs(30);
/// Where each request has its own connection, one request in so many may fail: wrk counts it as a
/// failed read when the proxy closes first.
const FAILED_PARTS: u64 = 100;

/// Parts of a second in which h2load opens the connections of a fixed rate.
const PERIODS: u32 = 50;

/// What a generator counted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Count {
    /// Responses.
    pub(super) requests: u64,
    /// Responses per second.
    pub(super) rate: f64,
    /// Responses whose status is not 2xx (or 3xx, which wrk does not tell apart).
    not_2xx: u64,
    /// Requests and connections that failed.
    failed: u64,
}

/// Runs the load for `seconds`, and returns its count.
///
/// # Errors
/// The generator fails, or a response has another status than the load expects.
pub(super) fn run(
    load: &Load,
    proxy: &Proxy,
    seconds: u64,
    testbed: &Testbed<'_>,
) -> anyhow::Result<Count> {
    let mut command = match load {
        Load::Wrk(wrk) => wrk_command(wrk, proxy, seconds, testbed),
        Load::H2load { path, connections, streams } => {
            let mut command = generator("h2load", testbed.scene);
            command.args(["-D", &seconds.to_string(), "-c", &connections.to_string()]);
            command.args(["-m", &streams.to_string()]);
            command.arg(format!("--connect-to={}", proxy.https));
            command.arg(format!("https://{HOST}{path}"));
            command
        }
        Load::Handshakes { per_second } => {
            let all = u64::from(*per_second).saturating_mul(seconds).to_string();
            let mut command = generator("h2load", testbed.scene);
            let at_once = (per_second / PERIODS).max(1).to_string();
            command.args(["--h1", "-n", &all, "-c", &all, "-r", &at_once]);
            command.arg(format!("--rate-period={}ms", 1_000 / PERIODS));
            command.arg(format!("--connect-to={}", proxy.https)).arg(format!("https://{HOST}/"));
            command
        }
    };
    let text = output(&mut command, seconds, testbed)?;
    let count = match load {
        Load::Wrk(_) => read_wrk(&text),
        Load::H2load { .. } | Load::Handshakes { .. } => read_h2load(&text),
    };
    let count =
        count.with_context(|| format!("cannot read the load generator's output:\n{text}"))?;
    check(load, proxy.kind.name(), count)?;
    Ok(count)
}

/// Checks with a script of wrk that every response to a rejected load has the status 403. wrk's own
/// output does not tell 403 from 429.
///
/// # Errors
/// One has another status, or wrk fails.
pub(super) fn verify_rejections(
    wrk: &Wrk,
    proxy: &Proxy,
    testbed: &Testbed<'_>,
) -> anyhow::Result<()> {
    let scripted = Wrk { script: Some("status.lua"), ..*wrk };
    let mut command = wrk_command(&scripted, proxy, 1, testbed);
    let text = output(command.args(["--", "403"]), 1, testbed)?;
    let unexpected: Option<u64> = number_after(&text, "Unexpected:");
    let unexpected = unexpected.with_context(|| format!("wrk reports no statuses:\n{text}"))?;
    let name = proxy.kind.name();
    ensure!(unexpected == 0, "{name}: {unexpected} responses to `{DENIED}` were not 403");
    Ok(())
}

fn wrk_command(wrk: &Wrk, proxy: &Proxy, seconds: u64, testbed: &Testbed<'_>) -> Command {
    let mut command = generator("wrk", testbed.scene);
    command.args(["-t1", "-c", &wrk.connections.to_string(), "-d", &format!("{seconds}s")]);
    if wrk.fresh {
        command.args(["-H", "Connection: close"]);
    }
    if let Some(script) = wrk.script {
        command.arg("-s").arg(testbed.environment.templates.join(script));
    }
    let (scheme, at) = if wrk.tls { ("https", proxy.https) } else { ("http", proxy.http) };
    command.arg(format!("{scheme}://{HOST}:{}{}", at.port(), wrk.path));
    if wrk.script == Some("sites.lua") {
        command.arg("--").arg(testbed.folder.join("hosts.txt"));
    }
    command
}

fn output(command: &mut Command, seconds: u64, testbed: &Testbed<'_>) -> anyhow::Result<String> {
    let log = testbed.folder.join("generator.log");
    let limit = GRACE.saturating_add(Duration::from_secs(seconds));
    let status = ChildGuard::start(command, &log)?.wait(limit, testbed.environment.interrupts)?;
    let text = std::fs::read_to_string(&log).context("reading the load generator's output")?;
    let line = crate::shell::line_of(command);
    ensure!(status.success(), "`{line}` failed ({status}): {}", text.trim());
    Ok(text)
}

/// Checks that every response has the status that the load expects: a run that measures rejections
/// as forwarded requests is worthless.
fn check(load: &Load, name: &str, count: Count) -> anyhow::Result<()> {
    let Count { requests, not_2xx, failed, .. } = count;
    ensure!(requests > 0, "{name}: no response");
    if load.is_rejected() {
        let others = requests.abs_diff(not_2xx);
        ensure!(others == 0, "{name}: {others} of {requests} responses were not 403");
    } else {
        ensure!(not_2xx == 0, "{name}: {not_2xx} of {requests} responses were not 2xx");
    }
    let may_fail = match load {
        Load::Wrk(Wrk { fresh: true, .. }) => requests / FAILED_PARTS,
        Load::Wrk(_) | Load::H2load { .. } | Load::Handshakes { .. } => 0,
    };
    ensure!(failed <= may_fail, "{name}: {failed} requests failed beside {requests} responses");
    Ok(())
}

/// Returns the number that follows `start` at the beginning of a line.
fn number_after<T: std::str::FromStr>(text: &str, start: &str) -> Option<T> {
    let rest = text.lines().find_map(|line| line.trim().strip_prefix(start))?;
    rest.split_whitespace().next()?.parse().ok()
}

/// Reads the output of wrk.
fn read_wrk(text: &str) -> Option<Count> {
    let WrkReport { requests, rate, not_2xx, lost, broken } = WrkReport::read(text)?;
    Some(Count { requests, rate, not_2xx, failed: lost + broken })
}

/// Reads the output of h2load.
fn read_h2load(text: &str) -> Option<Count> {
    let counts = |start: &str| -> Option<Vec<(u64, String)>> {
        let rest = text.lines().find_map(|line| line.strip_prefix(start))?;
        let part = |part: &str| {
            let (count, name) = part.trim().split_once(' ')?;
            Some((count.parse().ok()?, name.to_owned()))
        };
        rest.split(',').map(part).collect()
    };
    let of = |counts: &[(u64, String)], name: &str| {
        counts.iter().find(|(_, known)| known == name).map(|(count, _)| *count)
    };
    let (requests, statuses) = (counts("requests:")?, counts("status codes:")?);
    let all: u64 = statuses.iter().map(|(count, _)| count).sum();
    let failed = of(&requests, "failed")?;
    let rate = text.lines().find_map(|line| line.strip_prefix("finished in "))?;
    let rate = rate.split(',').nth(1)?.trim().strip_suffix(" req/s")?.parse().ok()?;
    let fine = of(&statuses, "2xx")?;
    Some(Count {
        requests: of(&requests, "succeeded")?,
        rate,
        not_2xx: all.checked_sub(fine)?,
        failed,
    })
}

#[cfg(test)]
mod tests {
    use super::super::work::SMALL;
    use super::*;

    const WRK: &str = "Running 2s test @ http://localhost:1/denied
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   304.12us  100.00us   5.00ms   90.00%
    Req/Sec   101.10k     2.00k  105.00k    70.00%
  202200 requests in 2.00s, 60.00MB read
  Socket errors: connect 1, read 7, write 0, timeout 2
  Non-2xx or 3xx responses: 202100
Requests/sec: 101100.50
Transfer/sec:     30.00MB
";

    const H2LOAD: &str = "starting benchmark...
Application protocol: h2

finished in 1.00s, 30437.00 req/s, 3.13MB/s
requests: 30597 total, 30597 started, 30437 done, 30430 succeeded, 7 failed, 7 errored, 0 timeout
status codes: 30431 2xx, 0 3xx, 5 4xx, 1 5xx
traffic: 3.13MB (3284923) total, 357.42KB (366003) headers, 1.86MB (1946880) data
";

    #[test]
    fn the_output_of_wrk_is_read() {
        let count = Count { requests: 202_200, rate: 101_100.5, not_2xx: 202_100, failed: 10 };
        assert_eq!(read_wrk(WRK), Some(count));
        let quiet: String =
            WRK.lines().filter(|line| !line.contains(": con")).fold(String::new(), |text, line| {
                if line.contains("Non-2xx") { text } else { text + line + "\n" }
            });
        let count = read_wrk(&quiet).unwrap();
        assert_eq!((count.not_2xx, count.failed), (0, 0));
        for (was, is) in [
            ("Requests/sec: 101100.50\n", ""),
            ("202200 requests in", "many requests in"),
            ("timeout 2", "timeout two"),
        ] {
            assert_eq!(read_wrk(&WRK.replace(was, is)), None, "{was}");
        }
    }

    #[test]
    fn the_output_of_h2load_is_read() {
        let count = Count { requests: 30_430, rate: 30_437.0, not_2xx: 6, failed: 7 };
        assert_eq!(read_h2load(H2LOAD), Some(count));
        for part in ["requests:", "status codes:", "finished in", " 2xx"] {
            assert_eq!(read_h2load(&H2LOAD.replace(part, "")), None, "{part}");
        }
    }

    #[test]
    fn an_unexpected_status_is_an_error_with_proxy_and_count() {
        let count = |not_2xx, failed| Count { requests: 1_000, rate: 1.0, not_2xx, failed };
        let forwarded = Load::Wrk(SMALL);
        let rejected = Load::Wrk(Wrk { path: DENIED, ..SMALL });
        let fresh = Load::Wrk(Wrk { fresh: true, ..SMALL });
        let h2 = Load::H2load { path: "/", connections: 1, streams: 1 };
        for (load, fine) in
            [(forwarded, count(0, 0)), (rejected, count(1_000, 0)), (fresh, count(0, 10))]
        {
            assert!(check(&load, "nginx", fine).is_ok(), "{load:?}");
        }
        for (load, wrong, text) in [
            (forwarded, count(3, 0), "nginx: 3 of 1000 responses were not 2xx"),
            (rejected, count(997, 0), "nginx: 3 of 1000 responses were not 403"),
            (h2, count(1, 0), "nginx: 1 of 1000 responses were not 2xx"),
            (forwarded, count(0, 1), "nginx: 1 requests failed beside 1000 responses"),
            (fresh, count(0, 11), "nginx: 11 requests failed beside 1000 responses"),
            (h2, Count { requests: 0, ..count(0, 0) }, "nginx: no response"),
        ] {
            assert_eq!(check(&load, "nginx", wrong).unwrap_err().to_string(), text);
        }
    }
}
