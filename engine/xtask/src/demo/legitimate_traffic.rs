//! The visitors of the demo: they request the members' sites all the time.
//!
//! Each has an address of its own, sends what a browser sends, keeps its connection, and checks
//! every page: status 200, and of the right site. It stays well inside the shipped policy's limits.

use crate::demo::counters::Tally;
use crate::demo::http_client::Client;
use crate::pacing::Pacer;
use anyhow::Context;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Visitors, at 127.0.1.1 and up.
const VISITORS: u8 = 8;
/// Time between two requests of one visitor: 200 in ten seconds, a third of the floor's limit.
const INTERVAL: Duration = Duration::from_millis(50);
/// Requests of one visitor in all, should the demo not end.
const REQUESTS_MAX: u32 = 4_000;
/// One request in this many is a search: three or four in ten seconds.
const SEARCH_EVERY: u32 = 60;

/// The members' sites that the demo serves.
pub(crate) const SITES: [&str; 3] = ["alice", "garden", "radio"];

const PAGES: [&str; 5] = ["/", "/about", "/events", "/login", "/style.css"];

/// What a current browser sends with a page.
pub(crate) const BROWSER: &str = "\
User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\
Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
Accept-Language: en-GB,en;q=0.5\r\n\
Accept-Encoding: gzip, deflate\r\n\
Connection: keep-alive\r\n\
Upgrade-Insecure-Requests: 1\r\n\
Sec-Fetch-Dest: document\r\n\
Sec-Fetch-Mode: navigate\r\n\
Sec-Fetch-Site: none\r\n\
Sec-Fetch-User: ?1\r\n";

/// Threads that run until they are stopped.
#[derive(Debug)]
pub(crate) struct LegitimateClients {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl LegitimateClients {
    /// Starts one thread for each of `members`; each is called with its number and the stop sign.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub(crate) fn start(
        members: u8,
        work: impl Fn(u8, &AtomicBool) + Send + Sync + 'static,
    ) -> anyhow::Result<Self> {
        let mut crowd = Self { stop: Arc::new(AtomicBool::new(false)), threads: Vec::new() };
        let work = Arc::new(work);
        for number in 0..members {
            let (work, stop) = (Arc::clone(&work), Arc::clone(&crowd.stop));
            let thread = std::thread::Builder::new()
                .stack_size(256 * 1024)
                .spawn(move || work(number, &stop))
                .context("starting a thread of the demo")?;
            crowd.threads.push(thread);
        }
        Ok(crowd)
    }

    /// Tells all to stop, and waits until they have.
    ///
    /// # Errors
    /// One of them panicked.
    pub(crate) fn end(mut self) -> anyhow::Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                anyhow::bail!("a thread of the demo panicked");
            }
        }
        Ok(())
    }
}

impl Drop for LegitimateClients {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Lets visitors come to `target` until the crowd is ended.
///
/// # Errors
/// A thread cannot be started.
pub(crate) fn start(target: SocketAddr, tally: &Arc<Tally>) -> anyhow::Result<LegitimateClients> {
    let tally = Arc::clone(tally);
    LegitimateClients::start(VISITORS, move |number, stop| {
        let mut client = Client::new(Ipv4Addr::new(127, 0, 1, number + 1), target);
        let mut pace = Pacer::new(INTERVAL, Duration::from_millis(6) * u32::from(number));
        for turn in 0..REQUESTS_MAX {
            pace.wait();
            if stop.load(Ordering::Relaxed) {
                return;
            }
            match visit(&mut client, u32::from(number) * 7 + turn) {
                Ok(()) => tally.served(),
                Err(error) => tally.failed(format!("{error:#}")),
            }
        }
    })
}

/// One request: the sites in turn, and their pages in turn.
fn visit(client: &mut Client, turn: u32) -> anyhow::Result<()> {
    let site = pick(&SITES, turn);
    let path = if turn % SEARCH_EVERY == SEARCH_EVERY - 1 {
        "/search?q=open"
    } else {
        pick(&PAGES, turn / 3)
    };
    let about = format!("GET {path} of {site}");
    let request = format!("GET {path} HTTP/1.1\r\nHost: {site}.example\r\n{BROWSER}\r\n");
    let reply = client.ask(request.as_bytes()).context(about.clone())?;
    anyhow::ensure!(reply.status == 200, "{about}: answered {}", reply.status);
    let mark = format!("site: {site} ");
    let right = reply.body.windows(mark.len()).any(|part| part == mark.as_bytes());
    anyhow::ensure!(right, "{about}: not that site's page");
    Ok(())
}

fn pick<'a>(from: &[&'a str], turn: u32) -> &'a str {
    from.iter().cycle().nth(turn as usize % from.len()).copied().unwrap_or_default()
}
