//! A test origin. The path of a request determines the response, and the origin records requests.
//!
//! `/gate` waits until the test opens the [`Gate`]. `/close` closes the connection and `/reset`
//! resets it. `/half` closes it within the response. `/echo` returns the request header, and
//! `/large` a large body. `/away` redirects to the origin's own address. Everything else is `200
//! ok`.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use socket2::SockRef;

use crate::wait::LONG;

/// Maximum of connections at the same time; the next one is closed.
const CONNECTIONS_MAX: usize = 512;
/// Maximum of recorded request headers.
const HEADS_MAX: usize = 1_000;
/// Bytes of the response to `/large`: more than all buffers on the way.
const LARGE_BYTES: usize = 8 << 20;
/// Maximum bytes of a request.
const REQUEST_BYTES_MAX: usize = 1 << 20;

/// Makes requests to `/gate` wait until the test opens it.
#[derive(Debug, Default)]
pub struct Gate {
    open: Mutex<bool>,
    opened: Condvar,
    waiting: AtomicUsize,
}

impl Gate {
    /// Lets all requests pass from now on.
    pub fn open(&self) {
        *self.open.lock().unwrap() = true;
        self.opened.notify_all();
    }

    /// Returns the number of requests to the gate so far.
    #[must_use]
    pub fn came(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }

    fn pass(&self) {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let open = self.open.lock().unwrap();
        drop(self.opened.wait_timeout_while(open, LONG, |open| !*open));
    }
}

#[derive(Debug, Default)]
struct Seen {
    gate: Gate,
    stopped: AtomicBool,
    connections: AtomicUsize,
    requests: AtomicUsize,
    heads: Mutex<Vec<String>>,
}

/// A running origin. It stops when dropped.
#[derive(Debug)]
pub struct Origin {
    /// The address of the origin.
    pub address: SocketAddr,
    seen: Arc<Seen>,
}

impl Origin {
    /// Starts an origin on a free port.
    #[must_use]
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Seen::default());
        let shared = Arc::clone(&seen);
        std::thread::spawn(move || accept(&listener, &shared));
        Self { address, seen }
    }

    /// Returns the number of open connections.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    /// Returns the number of received requests, whatever their result.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.seen.requests.load(Ordering::SeqCst)
    }

    /// Returns the headers of the first requests.
    #[must_use]
    pub fn heads(&self) -> Vec<String> {
        self.seen.heads.lock().unwrap().clone()
    }

    /// Returns the gate of `/gate`.
    #[must_use]
    pub fn gate(&self) -> &Gate {
        &self.seen.gate
    }

    /// Returns an address at which no program listens.
    #[must_use]
    pub fn nowhere() -> SocketAddr {
        TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.seen.stopped.store(true, Ordering::SeqCst);
        self.seen.gate.open();
        // Wakes the accepting thread, so that it sees the flag.
        drop(TcpStream::connect(self.address));
    }
}

fn accept(listener: &TcpListener, seen: &Arc<Seen>) {
    for stream in listener.incoming() {
        if seen.stopped.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        if seen.connections.fetch_add(1, Ordering::SeqCst) >= CONNECTIONS_MAX {
            seen.connections.fetch_sub(1, Ordering::SeqCst);
            continue;
        }
        let seen = Arc::clone(seen);
        std::thread::spawn(move || {
            let address = stream.local_addr().unwrap();
            // The test sees the result at the other end of the connection.
            let _ended = serve(stream, address, &seen);
            seen.connections.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

fn serve(mut stream: TcpStream, address: SocketAddr, seen: &Seen) -> std::io::Result<()> {
    stream.set_read_timeout(Some(LONG))?;
    stream.set_nodelay(true)?;
    let mut held = Vec::new();
    loop {
        let Some(head) = read_request(&mut stream, &mut held)? else { return Ok(()) };
        seen.requests.fetch_add(1, Ordering::SeqCst);
        let mut heads = seen.heads.lock().unwrap();
        if heads.len() < HEADS_MAX {
            heads.push(head.clone());
        }
        drop(heads);
        let path = head.split(' ').nth(1).unwrap_or_default();
        let fields = match path {
            "/close" => return Ok(()),
            "/reset" => return SockRef::from(&stream).set_linger(Some(std::time::Duration::ZERO)),
            "/half" => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")?;
                return Ok(());
            }
            "/away" => format!("Location: http://{address}/elsewhere\r\n"),
            _ => String::new(),
        };
        if path == "/gate" {
            seen.gate.pass();
        }
        let large = if path == "/large" { "x".repeat(LARGE_BYTES) } else { String::new() };
        let body = match path {
            "/echo" => head.as_str(),
            "/large" => &large,
            _ => "ok",
        };
        let status = if path == "/away" { "302 Found" } else { "200 OK" };
        let length = body.len();
        let body = if head.starts_with("HEAD ") { "" } else { body };
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{fields}\r\n{body}");
        stream.write_all(answer.as_bytes())?;
    }
}

/// Reads a request and returns its header; `None` at the end of the connection.
fn read_request(stream: &mut TcpStream, held: &mut Vec<u8>) -> std::io::Result<Option<String>> {
    let mut end = None;
    loop {
        if end.is_none() {
            end = held.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4);
        }
        if let Some(end) = end
            && let Some(whole) = whole_bytes(held, end)
        {
            let head = String::from_utf8_lossy(&held[..end]).into_owned();
            held.drain(..whole);
            return Ok(Some(head));
        }
        let mut room = [0; 4096];
        let n = stream.read(&mut room)?;
        if n == 0 || held.len() + n > REQUEST_BYTES_MAX {
            return Ok(None);
        }
        held.extend_from_slice(&room[..n]);
    }
}

/// Returns the length of the request, if it is complete.
fn whole_bytes(held: &[u8], end: usize) -> Option<usize> {
    let head = String::from_utf8_lossy(&held[..end]).to_ascii_lowercase();
    if head.contains("\r\ntransfer-encoding: chunked\r\n") {
        let last = held[end..].windows(5).position(|five| five == b"0\r\n\r\n")?;
        return Some(end + last + 5);
    }
    let field = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let body: usize = field.map_or(0, |n| n.trim().parse().unwrap());
    (held.len() >= end + body).then_some(end + body)
}
