//! A toy origin: does what the path asks, and remembers what it was asked.
//!
//! `/gate` waits until the [`Gate`] is opened (or for ever, where nobody opens it), `/close` and
//! `/reset` end the connection, `/half` breaks off in its answer, `/echo` answers with the head it
//! received, `/away` redirects to its own address. Everything else is `200 ok`.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use socket2::SockRef;

use crate::wait::LONG;

/// Most connections at a time; the next is closed.
const CONNECTIONS_MAX: usize = 512;
/// Most heads that are remembered.
const HEADS_MAX: usize = 1_000;
/// Bytes of the answer to `/large`: more than all buffers on the way hold.
const LARGE_BYTES: usize = 8 << 20;
/// Most bytes of a request.
const REQUEST_BYTES_MAX: usize = 1 << 20;

/// Holds requests to `/gate` back until it is opened.
#[derive(Debug, Default)]
pub struct Gate {
    open: Mutex<bool>,
    opened: Condvar,
    waiting: AtomicUsize,
}

impl Gate {
    /// Lets everybody through from now on.
    pub fn open(&self) {
        *self.open.lock().unwrap() = true;
        self.opened.notify_all();
    }

    /// How many came to the gate so far.
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

/// The origin, until dropped.
#[derive(Debug)]
pub struct Origin {
    /// Where it listens.
    pub address: SocketAddr,
    seen: Arc<Seen>,
}

impl Origin {
    /// Listens on a free port.
    #[must_use]
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Seen::default());
        let shared = Arc::clone(&seen);
        std::thread::spawn(move || accept(&listener, &shared));
        Self { address, seen }
    }

    /// Connections that are open.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    /// Requests that came, whatever became of them.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.seen.requests.load(Ordering::SeqCst)
    }

    /// The heads of the first requests that came.
    #[must_use]
    pub fn heads(&self) -> Vec<String> {
        self.seen.heads.lock().unwrap().clone()
    }

    /// The gate before `/gate`.
    #[must_use]
    pub fn gate(&self) -> &Gate {
        &self.seen.gate
    }

    /// An address at which nobody listens.
    #[must_use]
    pub fn nowhere() -> SocketAddr {
        TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.seen.stopped.store(true, Ordering::SeqCst);
        self.seen.gate.open();
        // Wakes the accepting thread, which then looks.
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
            // However it ends, the other side has seen it.
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

/// The head of the next request, its body read and forgotten; nothing once the connection ended.
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

/// How many bytes the request has, once all of them are here.
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
