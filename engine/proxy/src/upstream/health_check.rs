//! Health checks of origins.
//!
//! An origin of a site with a `health` path is requested at an interval. Any other origin is only
//! checked while it is down, and only for a connection, so that it comes back without a visitor's
//! request. One task checks all origins, spread over the interval. It has its own thread: on a
//! worker an attack would delay it, and a delay would count as down.
//!
//! Two results do not count against an origin: a timeout while it responds to visitors (it is
//! busy), and an error of our own (no descriptor, no CPU time).

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use seawall_admin_api::OriginState;
use seawall_model::{HostPattern, Tick};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::ProxyLimits;
use crate::context::SharedContext;
use crate::limits::millis;
use crate::metrics::count;
use crate::routing::Site;
use crate::shutdown::ShutdownSignal;
use crate::upstream::origin::OriginServer;

/// Parts of the interval over which checks are spread.
const PARTS: usize = 10;
/// Maximum delay after the deadline within which a timeout counts. A longer delay means that our
/// own machine was busy.
const LATE_MS: u64 = 100;
/// Additional time for which an origin is held down beyond the end of its next check, so that it
/// does not come up in between.
const HOLD_SLACK_MS: u64 = 250;
/// Maximum of logged lines about the changes of one second.
const LINES_MAX: usize = 8;
/// Time for the rest of a response whose status is known.
const REST_WITHIN: Duration = Duration::from_millis(50);
/// Bytes per read.
const READ_BYTES: usize = 1_024;
/// `HTTP/1.1 200`: the part that contains the status.
const STATUS_BYTES: usize = 12;

/// Returns the request for `path`, for the site's first host that is not a pattern.
pub(super) fn check_request(path: &str, hosts: &[HostPattern]) -> Arc<str> {
    let names: Vec<String> = hosts.iter().map(ToString::to_string).collect();
    let name = names.iter().find(|name| !name.starts_with('*')).or(names.first());
    let host = name.map_or("", |name| name.trim_start_matches("*."));
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: seawall-health\r\nAccept: */*\r\n\
         Connection: close\r\n\r\n"
    )
    .into()
}

/// Result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CheckResult {
    /// The origin responds.
    Healthy,
    /// It rejects, closes, or reports an error itself.
    Unhealthy,
    /// It does not respond.
    Timeout,
    /// Unknown: the check itself failed.
    Inconclusive,
}

/// One checked origin.
#[derive(Debug)]
struct CheckTarget {
    route: Arc<Site>,
    origin: Arc<OriginServer>,
    question: Option<Arc<str>>,
    is_asked: bool,
    misses: u32,
    hits: u32,
    told: OriginState,
}

/// All checked origins.
pub(crate) struct HealthChecker {
    edge: Arc<SharedContext>,
    all: Vec<CheckTarget>,
    asked: JoinSet<(usize, Tick, CheckResult)>,
    parts: usize,
    stop: ShutdownSignal,
}

impl HealthChecker {
    /// Checks the origins of all sites until the data plane stops.
    pub(crate) fn work(self) {
        // Without a runtime (no free descriptors) circuit breakers still open and half-open by
        // time.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let Ok(runtime) = runtime else {
            return count(&self.edge.counters.health_checks.inconclusive);
        };
        runtime.block_on(self.run());
    }

    pub(crate) fn new(edge: &Arc<SharedContext>, stop: &ShutdownSignal) -> Self {
        let mut all = Vec::new();
        for route in edge.sites.all() {
            for origin in &route.origins.all {
                all.push(CheckTarget {
                    route: Arc::clone(route),
                    origin: Arc::clone(origin),
                    question: route.origins.question.clone(),
                    is_asked: false,
                    misses: 0,
                    hits: 0,
                    told: OriginState::Up,
                });
            }
        }
        let (edge, stop) = (Arc::clone(edge), stop.clone());
        Self { edge, all, asked: JoinSet::new(), parts: 0, stop }
    }

    async fn run(mut self) {
        let mut stop = self.stop.clone();
        let part_ms = millis(self.edge.limits.settings.health_check.interval) / PARTS as u64;
        let mut parts = interval(Duration::from_millis(part_ms.max(1)));
        let mut seconds = interval(Duration::from_secs(1));
        parts.set_missed_tick_behavior(MissedTickBehavior::Delay);
        seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = stop.asked() => return,
                Some(found) = self.asked.join_next(), if !self.asked.is_empty() => {
                    // A check that panicked has no result.
                    if let Ok((at, began, found)) = found {
                        self.apply_result(at, began, found);
                    }
                }
                _ = parts.tick() => self.part(),
                _ = seconds.tick() => self.second(),
            }
        }
    }

    /// Checks the origins of this part of the interval. The first one changes each time, so that
    /// all are checked in the end even if timeouts use up the concurrent checks.
    fn part(&mut self) {
        let (part, round) = (self.parts % PARTS, self.parts / PARTS);
        self.parts = self.parts.wrapping_add(1);
        let members = self.all.len().saturating_sub(part).div_ceil(PARTS);
        for step in 0..members {
            let nth = step.wrapping_add(round).checked_rem(members).unwrap_or(0);
            self.ask(nth.saturating_mul(PARTS).saturating_add(part));
        }
    }

    fn ask(&mut self, at: usize) {
        let Some(watched) = self.all.get_mut(at) else { return };
        if watched.is_asked || watched.question.is_none() && watched.origin.breaker.is_closed() {
            return;
        }
        let limits = &self.edge.limits;
        if self.asked.len() >= limits.settings.health_check.max_concurrent {
            return count(&self.edge.counters.health_checks.inconclusive);
        }
        watched.is_asked = true;
        let (address, question) = (watched.origin.address, watched.question.clone());
        let (began, limits) = ((self.edge.now)(), Arc::clone(limits));
        self.asked.spawn(async move { (at, began, check(address, question, &limits).await) });
    }

    /// Applies the result of a check of the origin number `at`.
    fn apply_result(&mut self, at: usize, began: Tick, found: CheckResult) {
        let Some(watched) = self.all.get_mut(at) else { return };
        watched.is_asked = false;
        let (limits, counters) = (&self.edge.limits, &self.edge.counters);
        match found {
            CheckResult::Healthy => {
                watched.misses = 0;
                watched.hits = watched.hits.saturating_add(1);
                if watched.hits >= limits.settings.health_check.rise {
                    watched.origin.breaker.end_force_open();
                }
                return count(&counters.health_checks.success);
            }
            // It has answered others meanwhile.
            CheckResult::Timeout if watched.origin.has_answered_since(began) => {
                return count(&counters.health_checks.inconclusive);
            }
            CheckResult::Inconclusive => return count(&counters.health_checks.inconclusive),
            CheckResult::Timeout | CheckResult::Unhealthy => {}
        }
        count(&counters.health_checks.failure);
        watched.hits = 0;
        watched.misses = watched.misses.saturating_add(1);
        // A visitor's request may have shown meanwhile that an origin without a `health` path is
        // back.
        let is_back = !watched.origin.is_checked() && watched.origin.breaker.is_closed();
        if is_back {
            return;
        }
        if watched.origin.is_checked() && watched.misses < limits.settings.health_check.fall {
            return self.ask(at);
        }
        let next_ms = millis(limits.settings.health_check.interval)
            .saturating_add(millis(limits.settings.health_check.timeout));
        let change = watched.origin.fall((self.edge.now)(), next_ms.saturating_add(HOLD_SLACK_MS));
        watched.origin.note(change);
    }

    /// Updates each site's statistics, and logs changes.
    fn second(&mut self) {
        self.edge.sites.all().iter().for_each(|route| route.origins.pulse.turn());
        let now = (self.edge.now)();
        let mut lines: usize = 0;
        for watched in &mut self.all {
            if watched.told == OriginState::Up && watched.origin.breaker.is_closed() {
                continue;
            }
            let state = watched.origin.state(now);
            let was = std::mem::replace(&mut watched.told, state);
            let (address, site) = (watched.origin.address, &watched.route.name);
            let says = match (was, state) {
                (OriginState::Up, OriginState::Down | OriginState::HalfOpen) => "down",
                (OriginState::Down | OriginState::HalfOpen, OriginState::Up) => "up",
                _ => continue,
            };
            lines = lines.saturating_add(1);
            if lines <= LINES_MAX {
                log::warn!("origin is {says}: site={site} address={address}");
            }
        }
        if let Some(more) = lines.checked_sub(LINES_MAX).filter(|more| *more > 0) {
            log::warn!(
                "{more} more origins changed their state; run `seawall status` to list them"
            );
        }
    }
}

/// Checks one origin.
async fn check(
    address: SocketAddr,
    question: Option<Arc<str>>,
    limits: &ProxyLimits,
) -> CheckResult {
    let within = limits.settings.health_check.timeout;
    let began = Instant::now();
    let asked = ask(address, question.as_deref());
    match timeout(within, asked).await {
        Ok(Ok((found, _))) if question.is_none() => found,
        Ok(Ok((found, mut stream))) => {
            // The rest is read, up to a limit, so that the origin logs no broken connection. An
            // origin that keeps the connection open has answered all the same.
            let most = limits.settings.health_check.max_response_bytes;
            let _still_open = timeout(REST_WITHIN, read_rest(&mut stream, most)).await;
            found
        }
        Ok(Err(error)) => classify_failure(&error),
        Err(_) if began.elapsed() > within + Duration::from_millis(LATE_MS) => {
            CheckResult::Inconclusive
        }
        Err(_) => CheckResult::Timeout,
    }
}

/// Returns whether an error is the origin's or our own.
fn classify_failure(error: &io::Error) -> CheckResult {
    match error.kind() {
        ErrorKind::ConnectionRefused
        | ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe
        | ErrorKind::UnexpectedEof
        | ErrorKind::HostUnreachable
        | ErrorKind::NetworkUnreachable
        | ErrorKind::TimedOut => CheckResult::Unhealthy,
        _ => CheckResult::Inconclusive,
    }
}

async fn ask(address: SocketAddr, question: Option<&str>) -> io::Result<(CheckResult, TcpStream)> {
    let mut stream = TcpStream::connect(address).await?;
    let Some(question) = question else {
        return Ok((CheckResult::Healthy, stream));
    };
    stream.write_all(question.as_bytes()).await?;
    let mut head = [0; STATUS_BYTES];
    stream.read_exact(&mut head).await?;
    Ok((read(&head), stream))
}

/// Reads what is left of a response, at most `most` bytes.
async fn read_rest(stream: &mut TcpStream, most: usize) {
    let mut left = most;
    let mut room = [0; READ_BYTES];
    while left > 0 {
        match stream.read(&mut room).await {
            Ok(0) | Err(_) => break,
            Ok(bytes) => left = left.saturating_sub(bytes),
        }
    }
}

/// Returns the result from the first bytes of a response.
fn read(head: &[u8; STATUS_BYTES]) -> CheckResult {
    let text = std::str::from_utf8(head).unwrap_or_default();
    let is_http = text.starts_with("HTTP/1.") && text.get(8..9) == Some(" ");
    match text.get(9..12).and_then(|digits| digits.parse::<u16>().ok()) {
        Some(100..=499) if is_http => CheckResult::Healthy,
        _ => CheckResult::Unhealthy,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn below_500_is_alive() {
        for (head, found) in [
            (b"HTTP/1.1 200", CheckResult::Healthy),
            (b"HTTP/1.0 404", CheckResult::Healthy),
            (b"HTTP/1.1 499", CheckResult::Healthy),
            (b"HTTP/1.1 500", CheckResult::Unhealthy),
            (b"HTTP/1.1 503", CheckResult::Unhealthy),
            (b"HTTP/1.1 099", CheckResult::Unhealthy),
            (b"HTTP/1.1-200", CheckResult::Unhealthy),
            (b"SSH-2.0-Open", CheckResult::Unhealthy),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", CheckResult::Unhealthy),
        ] {
            assert_eq!(read(head), found, "{head:?}");
        }
    }

    #[test]
    fn a_check_names_the_site_and_nobody_else() {
        let hosts = |names: &[&str]| -> Vec<HostPattern> {
            names.iter().map(|name| HostPattern::parse(name).unwrap()).collect()
        };
        let asked = check_request("/up?a=b", &hosts(&["*.a.example", "a.example"]));
        assert!(asked.starts_with("GET /up?a=b HTTP/1.1\r\nHost: a.example\r\n"), "{asked}");
        assert!(asked.contains("\r\nUser-Agent: seawall-health\r\n"), "{asked}");
        assert!(asked.ends_with("\r\n\r\n") && asked.matches("\r\n\r\n").count() == 1, "{asked}");
        assert!(check_request("/", &hosts(&["*.b.example"])).contains("\r\nHost: b.example\r\n"));
    }

    #[test]
    fn what_is_our_own_fault_is_not_held_against_it() {
        assert_eq!(classify_failure(&ErrorKind::ConnectionRefused.into()), CheckResult::Unhealthy);
        // EMFILE: no descriptor is free.
        assert_eq!(classify_failure(&io::Error::from_raw_os_error(24)), CheckResult::Inconclusive);
        assert_eq!(
            classify_failure(&ErrorKind::AddrNotAvailable.into()),
            CheckResult::Inconclusive
        );
    }
}
