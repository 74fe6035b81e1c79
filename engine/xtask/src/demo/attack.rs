//! The attack of the demo: a distributed flood of the members' searches.
//!
//! Every address stays under the shipped per-address limit, as botnets do, so the policy admits it
//! until a rule names the kind of request. It adapts once, as real attackers do: its headers become
//! those of a browser.

use crate::demo::counters::Tally;
use crate::demo::http_client::Client;
use crate::demo::legitimate_traffic::{BROWSER, LegitimateClients, SITES};
use crate::pacing::Pacer;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Connections, two from each of 24 addresses from 127.0.2.1 up.
const CONNECTIONS: u8 = 48;
/// Time between two requests of one connection: 400 in ten seconds per address, under the 600 of
/// the shipped floor, and 960 a second in all.
const INTERVAL: Duration = Duration::from_millis(50);
/// Requests of one connection in all, should the demo not end.
const REQUESTS_MAX: u32 = 4_000;

/// A tool that claims to be a browser and sends little of what one sends.
const TOOL: &str = "\
User-Agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
Chrome/140.0.0.0 Safari/537.36\r\n\
Accept: */*\r\n\
Connection: keep-alive\r\n";

/// A running attack.
#[derive(Debug)]
pub(crate) struct Attack {
    crowd: LegitimateClients,
    disguised: Arc<AtomicBool>,
}

impl Attack {
    /// Starts it against `target`.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub(crate) fn start(target: SocketAddr, tally: &Arc<Tally>) -> anyhow::Result<Self> {
        let tally = Arc::clone(tally);
        let disguised = Arc::new(AtomicBool::new(false));
        let disguise = Arc::clone(&disguised);
        let crowd = LegitimateClients::start(CONNECTIONS, move |number, stop| {
            let mut client = Client::new(Ipv4Addr::new(127, 0, 2, number / 2 + 1), target);
            let mut pace = Pacer::new(INTERVAL, Duration::from_millis(1) * u32::from(number));
            for turn in 0..REQUESTS_MAX {
                pace.wait();
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let headers = if disguise.load(Ordering::Relaxed) { BROWSER } else { TOOL };
                strike(&mut client, &search(number, turn, headers), &tally);
            }
        })?;
        Ok(Self { crowd, disguised })
    }

    /// From now on it looks like browsers.
    pub(crate) fn adapt(&self) {
        self.disguised.store(true, Ordering::Relaxed);
    }

    /// Ends it.
    ///
    /// # Errors
    /// One of its threads panicked.
    pub(crate) fn end(self) -> anyhow::Result<()> {
        self.crowd.end()
    }
}

/// Returns a search for something else each time, so that no cache can serve it.
fn search(number: u8, turn: u32, headers: &str) -> String {
    let site = SITES.iter().cycle().nth(usize::from(number)).copied().unwrap_or_default();
    // Knuth's multiplicative hash: looks random, is the same in every run.
    let word = (u32::from(number) * REQUESTS_MAX + turn).wrapping_mul(2_654_435_761);
    format!("GET /search?q={word:08x} HTTP/1.1\r\nHost: {site}.example\r\n{headers}\r\n")
}

fn strike(client: &mut Client, request: &str, tally: &Tally) {
    match client.ask(request.as_bytes()) {
        Ok(reply) if reply.status == 200 => tally.let_through(),
        Ok(reply) if reply.status == 403 || reply.status == 429 => tally.refused(),
        Ok(_) | Err(_) => tally.broken(),
    }
}
