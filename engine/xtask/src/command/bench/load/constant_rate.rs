//! A client with a constant rate of requests, for latencies.
//!
//! Each request has a time at which it is due, and its latency counts from there. A proxy that
//! stalls therefore delays all requests that are due during the stall, and all of them count. A
//! client that waits for one response before the next request would count one (coordinated
//! omission).

use super::statistics::percentile;
use super::testbed::HOST;
use crate::pacing;
use anyhow::{Context, ensure};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Connections, a thread for each.
pub(super) const CONNECTIONS: u32 = 64;
/// Time in which all connections are opened, before the first request is due.
const LEAD: Duration = Duration::from_millis(300);
/// Size of a response with its header: many times what the origin sends.
const RESPONSE_BYTES_MAX: usize = 8 * 1024;
/// Time in which a response must arrive.
const RESPONSE_WITHIN: Duration = Duration::from_secs(10);
/// Slack of the kernel's timers for these threads. The usual 50 µs would be a part of each latency.
const TIMER_SLACK_NS: &str = "1000";

/// What is sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    /// The proxy.
    pub(super) at: SocketAddr,
    /// Requests per second, on all connections together.
    pub(super) rate: f64,
    /// For so long.
    pub(super) duration: Duration,
}

/// The percentiles of the latencies, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Latencies {
    pub(super) p50: f64,
    pub(super) p99: f64,
    pub(super) p999: f64,
    /// The 99th percentile of the time from the due time of a request until the client sends it.
    /// It is a part of the latency: the machine was busy, or the connection still had a request.
    pub(super) send_delay_p99: f64,
}

/// One request, in nanoseconds since it was due.
#[derive(Debug, Clone, Copy)]
struct Timing {
    sent: u64,
    answered: u64,
}

/// Sends the requests, and calls `check` now and then while it waits.
///
/// # Errors
/// A response is missing or is not 2xx, or `check` fails.
pub(super) fn run(
    plan: Plan,
    mut check: impl FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<Latencies> {
    let stop = AtomicBool::new(false);
    let start = pacing::now() + LEAD;
    let all = std::thread::scope(|scope| {
        let stop = &stop;
        let threads: Vec<_> = (0..CONNECTIONS)
            .map(|number| scope.spawn(move || send(plan, number, start, stop)))
            .collect();
        let ended = pacing::poll(plan.duration.saturating_mul(4).saturating_add(LEAD), || {
            check()?;
            Ok(threads.iter().all(std::thread::ScopedJoinHandle::is_finished).then_some(()))
        });
        // The threads see it at their next request.
        stop.store(true, Ordering::Relaxed);
        ended?;
        let mut all = Vec::new();
        for thread in threads {
            let timings = thread.join().ok().context("a client thread has ended")?;
            all.extend(timings?);
        }
        anyhow::Ok(all)
    })?;
    let expected = plan.rate * plan.duration.as_secs_f64();
    ensure!(all.len() as f64 > 0.9 * expected, "only {} of {expected:.0} requests", all.len());
    latencies(&all)
}

fn latencies(all: &[Timing]) -> anyhow::Result<Latencies> {
    let sorted = |time: fn(&Timing) -> u64| {
        let mut times: Vec<u64> = all.iter().map(time).collect();
        times.sort_unstable();
        times
    };
    let (answered, sent) = (sorted(|timing| timing.answered), sorted(|timing| timing.sent));
    let micros = |times: &[u64], part| {
        let value = percentile(times, part).context("no response")?;
        anyhow::Ok(value as f64 / 1_000.0)
    };
    Ok(Latencies {
        p50: micros(&answered, 0.5)?,
        p99: micros(&answered, 0.99)?,
        p999: micros(&answered, 0.999)?,
        send_delay_p99: micros(&sent, 0.99)?,
    })
}

/// Returns the nanoseconds since `due`.
fn since(due: Instant) -> u64 {
    let time = pacing::now().saturating_duration_since(due);
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Returns when the request `turn` of connection `number` is due: the connections take turns.
fn due(plan: &Plan, number: u32, turn: u32) -> Duration {
    let place = f64::from(turn) * f64::from(CONNECTIONS) + f64::from(number);
    Duration::from_secs_f64(place / plan.rate)
}

/// Sends the requests of one connection, and returns their times.
fn send(plan: Plan, number: u32, start: Instant, stop: &AtomicBool) -> anyhow::Result<Vec<Timing>> {
    reduce_timer_slack();
    let request = format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
    let mut connection = Connection::open(plan.at)?;
    connection.ask(request.as_bytes())?;
    let mut timings = Vec::new();
    for turn in 0.. {
        let due = due(&plan, number, turn);
        if due >= plan.duration || stop.load(Ordering::Relaxed) {
            break;
        }
        let due = start + due;
        let ahead = due.saturating_duration_since(pacing::now());
        if !ahead.is_zero() {
            pacing::pause(ahead);
        }
        let sent = since(due);
        let status = connection.ask(request.as_bytes())?;
        let answered = since(due);
        ensure!(status / 100 == 2, "1 response was {status} instead of 2xx");
        timings.push(Timing { sent, answered });
    }
    Ok(timings)
}

/// A kept connection. The demo's client does the same for all kinds of responses; this one costs a
/// fraction of that, on the core that it shares with the origin.
#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    fn open(at: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect_timeout(&at, RESPONSE_WITHIN).context("connecting")?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(RESPONSE_WITHIN))?;
        stream.set_write_timeout(Some(RESPONSE_WITHIN))?;
        Ok(Self { stream, buffer: vec![0; RESPONSE_BYTES_MAX] })
    }

    /// Sends a request, and returns the status of its response once all of it has arrived.
    fn ask(&mut self, request: &[u8]) -> anyhow::Result<u16> {
        self.stream.write_all(request).context("sending a request")?;
        let mut filled = 0usize;
        loop {
            let free = self.buffer.get_mut(filled..).unwrap_or_default();
            ensure!(!free.is_empty(), "a response has more than {RESPONSE_BYTES_MAX} bytes");
            let bytes = self.stream.read(free).context("reading a response")?;
            ensure!(bytes > 0, "the connection was closed within a response");
            filled = filled.saturating_add(bytes);
            let response = self.buffer.get(..filled).unwrap_or_default();
            if let Some((status, length)) = header(response)?
                && filled >= length
            {
                return Ok(status);
            }
        }
    }
}

/// Returns the status and the whole length of the response that `bytes` begin with; `None` before
/// the end of its header.
fn header(bytes: &[u8]) -> anyhow::Result<Option<(u16, usize)>> {
    let text = String::from_utf8_lossy(bytes);
    let Some((head, _)) = text.split_once("\r\n\r\n") else { return Ok(None) };
    let lower = head.to_ascii_lowercase();
    let status = lower.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.context("a response without a status line")?;
    let length = lower.split_once("\r\ncontent-length:");
    let length = length.and_then(|(_, rest)| rest.lines().next()?.trim().parse().ok());
    let length: usize = length.context("a response without `Content-Length`")?;
    Ok(Some((status, head.len().saturating_add(4).saturating_add(length))))
}

/// Where the kernel does not permit it, latencies are longer by the same time for every proxy.
fn reduce_timer_slack() {
    let thread = std::fs::read_link("/proc/thread-self").unwrap_or_default();
    if let Some(id) = thread.file_name() {
        let file = std::path::Path::new("/proc").join(id).join("timerslack_ns");
        let _ = std::fs::write(file, TIMER_SLACK_NS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::net::{Ipv4Addr, TcpListener};

    #[test]
    fn requests_are_due_at_the_rate() {
        let at = SocketAddr::from(([127, 0, 0, 1], 1));
        let plan = Plan { at, rate: 6_400.0, duration: Duration::from_secs(1) };
        assert_eq!(due(&plan, 0, 0), Duration::ZERO);
        assert_eq!(due(&plan, 0, 1), Duration::from_millis(10));
        assert_eq!(due(&plan, 32, 1), Duration::from_millis(15));
    }

    #[test]
    fn percentiles_are_in_microseconds() {
        let timing = |n: u64| Timing { sent: n * 100, answered: n * 1_000 };
        let timings: Vec<Timing> = (1..=1_000).map(timing).rev().collect();
        let expected = Latencies { p50: 500.0, p99: 990.0, p999: 999.0, send_delay_p99: 99.0 };
        assert_eq!(latencies(&timings).unwrap(), expected);
        assert!(latencies(&[]).is_err());
    }

    /// Answers every request on `listener` with this status, one thread per connection.
    fn serve(listener: TcpListener, status: &'static str) {
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                std::thread::spawn(move || {
                    let mut out = stream.try_clone().unwrap();
                    for line in BufReader::new(stream).lines().map_while(Result::ok) {
                        if line.is_empty() {
                            let head = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
                            out.write_all(head.as_bytes()).unwrap();
                        }
                    }
                });
            }
        });
    }

    #[test]
    fn every_due_request_is_sent_and_its_status_counts() {
        for (status, is_fine) in [("200 OK", true), ("429 Too Many Requests", false)] {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let at = listener.local_addr().unwrap();
            serve(listener, status);
            let plan = Plan { at, rate: 640.0, duration: Duration::from_millis(300) };
            assert_eq!(run(plan, || Ok(())).is_ok(), is_fine, "{status}");
        }
    }

    #[test]
    fn the_length_of_a_response_is_that_of_header_and_body() {
        let response = b"HTTP/1.1 403 Forbidden\r\nDate: now\r\ncontent-length: 7\r\n\r\nno";
        assert_eq!(header(response).unwrap(), Some((403, response.len() + 5)));
        assert_eq!(header(b"HTTP/1.1 200 OK\r\nContent-Len").unwrap(), None);
        assert!(header(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").is_err());
        assert!(header(b"SSH\r\n\r\n").is_err());
    }

    #[test]
    fn an_interrupt_ends_it() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let at = listener.local_addr().unwrap();
        serve(listener, "200 OK");
        let plan = Plan { at, rate: 640.0, duration: Duration::from_secs(600) };
        let error = run(plan, || anyhow::bail!("interrupted")).unwrap_err();
        assert_eq!(error.to_string(), "interrupted");
    }
}
