//! A strict origin that records everything.
//!
//! It parses requests strictly and records them. So a test can prove that exactly these requests
//! reached the origin, with these bodies. An ambiguous request is recorded as *unsound*, and an
//! incomplete one as *broken off*.
//!
//! The body of a response is the method and target of its request, so a test sees a response to the
//! wrong request. The origin accepts a WebSocket under `/ws` and sends all its bytes back.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::wait::LONG;

/// Maximum bytes of a request.
const REQUEST_BYTES_MAX: usize = 4 << 20;

/// One request as received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// Method and target, with a space between.
    pub line: String,
    /// The request header.
    pub head: String,
    /// The body, without the framing of chunks.
    pub body: Vec<u8>,
    /// Bytes of trailers.
    pub trailer_bytes: usize,
}

impl Recorded {
    /// Returns the values of the headers `name`.
    #[must_use]
    pub fn values(&self, name: &str) -> Vec<&str> {
        let fields = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        fields.filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.trim()).collect()
    }
}

#[derive(Debug, Default)]
struct Book {
    requests: Vec<Recorded>,
    unsound: Vec<String>,
    broken_off: usize,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Shared {
    book: Mutex<Book>,
    stopped: AtomicBool,
}

/// A running origin. It stops when dropped.
#[derive(Debug)]
pub struct Recorder {
    /// The address of the origin.
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

/// The result of reading a request.
enum Ending {
    Whole(Recorded),
    /// The connection was closed between requests.
    Over,
    BrokenOff,
    Unsound(String),
}

impl Recorder {
    /// Starts an origin on a free port.
    #[must_use]
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let ours = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if ours.stopped.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let shared = Arc::clone(&ours);
                // The test sees the result at the other end of the connection.
                std::thread::spawn(move || drop(Line::new(stream, shared).serve()));
            }
        });
        Self { address, shared }
    }

    /// Returns the complete requests so far.
    #[must_use]
    pub fn requests(&self) -> Vec<Recorded> {
        self.shared.book.lock().unwrap().requests.clone()
    }

    /// Returns method and target of each complete request so far.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.requests().into_iter().map(|request| request.line).collect()
    }

    /// Returns the ambiguous requests.
    #[must_use]
    pub fn unsound(&self) -> Vec<String> {
        self.shared.book.lock().unwrap().unsound.clone()
    }

    /// Returns the number of incomplete requests.
    #[must_use]
    pub fn broken_off(&self) -> usize {
        self.shared.book.lock().unwrap().broken_off
    }

    /// Returns the number of received bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.shared.book.lock().unwrap().bytes
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Wakes the accepting thread, so that it sees the flag.
        drop(TcpStream::connect(self.address));
    }
}

/// One connection.
struct Line {
    stream: TcpStream,
    shared: Arc<Shared>,
    held: Vec<u8>,
}

impl Line {
    fn new(stream: TcpStream, shared: Arc<Shared>) -> Self {
        Self { stream, shared, held: Vec::new() }
    }

    fn serve(mut self) -> io::Result<()> {
        self.stream.set_read_timeout(Some(LONG * 2))?;
        self.stream.set_nodelay(true)?;
        loop {
            let request = match self.read_request()? {
                Ending::Whole(request) => request,
                Ending::Over => return Ok(()),
                Ending::BrokenOff => {
                    self.shared.book.lock().unwrap().broken_off += 1;
                    return Ok(());
                }
                Ending::Unsound(why) => {
                    self.shared.book.lock().unwrap().unsound.push(why);
                    return Ok(());
                }
            };
            self.shared.book.lock().unwrap().requests.push(request.clone());
            let is_upgrade = request.values("upgrade") == ["websocket"];
            if is_upgrade && request.line.starts_with("GET /ws") {
                return self.tunnel();
            }
            let body = if request.line.starts_with("HEAD ") { "" } else { &request.line };
            let length = request.line.len();
            let is_last = request.values("connection").contains(&"close");
            let close = if is_last { "Connection: close\r\n" } else { "" };
            let answer =
                format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n{close}\r\n{body}");
            self.stream.write_all(answer.as_bytes())?;
            if is_last {
                return Ok(());
            }
        }
    }

    fn tunnel(mut self) -> io::Result<()> {
        let agreed = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
                      Upgrade: websocket\r\n\r\n";
        self.stream.write_all(agreed.as_bytes())?;
        loop {
            let held = std::mem::take(&mut self.held);
            self.stream.write_all(&held)?;
            if !self.more()? {
                return Ok(());
            }
        }
    }

    /// Reads available bytes; returns false at the end of the connection.
    fn more(&mut self) -> io::Result<bool> {
        let mut room = [0; 16 * 1024];
        let n = self.stream.read(&mut room)?;
        if self.held.len() + n > REQUEST_BYTES_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        self.held.extend_from_slice(&room[..n]);
        self.shared.book.lock().unwrap().bytes += n;
        Ok(n > 0)
    }

    fn read_request(&mut self) -> io::Result<Ending> {
        let end = loop {
            if let Some(end) = self.held.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            // A reset counts as a close.
            if !self.more().unwrap_or(false) {
                let is_between = self.held.is_empty();
                return Ok(if is_between { Ending::Over } else { Ending::BrokenOff });
            }
        };
        let head = self.held.drain(..end).collect::<Vec<_>>();
        let unsound = |why: &str| Ok(Ending::Unsound(format!("{why}: {}", head.escape_ascii())));
        let Some(text) = sound_head(&head) else { return unsound("head") };
        let request =
            Recorded { line: line_of(&text), head: text, body: Vec::new(), trailer_bytes: 0 };
        if request.values("expect") == ["100-continue"] {
            self.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let lengths = request.values("content-length");
        let encodings = request.values("transfer-encoding");
        let body = match (lengths.as_slice(), encodings.as_slice()) {
            ([], []) => Some(Ok((Vec::new(), 0))),
            ([length], []) => match length.parse() {
                Ok(length) => self.read_exactly(length).map(|body| Ok((body, 0))),
                Err(_) => return unsound("length"),
            },
            ([], ["chunked"]) => self.read_chunks(),
            _ => return unsound("framing"),
        };
        match body {
            None => Ok(Ending::BrokenOff),
            Some(Err(why)) => unsound(why),
            Some(Ok((body, trailer_bytes))) => {
                Ok(Ending::Whole(Recorded { body, trailer_bytes, ..request }))
            }
        }
    }

    /// Reads `length` bytes; returns `None` if the connection ends before.
    fn read_exactly(&mut self, length: usize) -> Option<Vec<u8>> {
        while self.held.len() < length {
            if !self.more().unwrap_or(false) {
                return None;
            }
        }
        Some(self.held.drain(..length).collect())
    }

    /// Reads a line up to LF, and returns it without the LF.
    fn read_line(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(at) = self.held.iter().position(|byte| *byte == b'\n') {
                let mut line: Vec<u8> = self.held.drain(..=at).collect();
                line.pop();
                return Some(line);
            }
            if !self.more().unwrap_or(false) {
                return None;
            }
        }
    }

    /// Reads a chunked body strictly; returns it with the number of bytes of its trailers.
    fn read_chunks(&mut self) -> Option<Result<(Vec<u8>, usize), &'static str>> {
        let mut body = Vec::new();
        loop {
            let line = self.read_line()?;
            let Some(size) = line.strip_suffix(b"\r") else { return Some(Err("a bare LF")) };
            let is_plain = !size.is_empty() && size.iter().all(u8::is_ascii_hexdigit);
            let size = String::from_utf8_lossy(size).into_owned();
            let Some(size) = usize::from_str_radix(&size, 16).ok().filter(|_| is_plain) else {
                return Some(Err("a chunk's size"));
            };
            if size == 0 {
                break;
            }
            body.extend(self.read_exactly(size)?);
            if self.read_exactly(2)? != b"\r\n" {
                return Some(Err("a chunk's end"));
            }
        }
        let mut trailer_bytes = 0;
        loop {
            let line = self.read_line()?;
            if line == b"\r" {
                return Some(Ok((body, trailer_bytes)));
            }
            trailer_bytes += line.len();
        }
    }
}

fn line_of(head: &str) -> String {
    let line = head.lines().next().unwrap_or_default();
    line.rsplit_once(' ').map_or(line, |(line, _)| line).to_owned()
}

/// Returns the header as text, if it is not ambiguous.
fn sound_head(head: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(head).ok()?;
    let mut lines = text.strip_suffix("\r\n\r\n")?.split("\r\n");
    let first: Vec<&str> = lines.next()?.split(' ').collect();
    let is_token = |text: &str| {
        !text.is_empty()
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^`|~".contains(&b))
    };
    let has_control = |text: &str| text.bytes().any(|b| (b < b' ' && b != b'\t') || b == 0x7f);
    let is_request = first.len() == 3
        && is_token(first[0])
        && (first[1].starts_with('/') || first[1] == "*")
        && matches!(first[2], "HTTP/1.1" | "HTTP/1.0")
        && !has_control(first[1]);
    let mut hosts = 0;
    for line in lines {
        let (name, value) = line.split_once(':')?;
        if !is_token(name) || has_control(value) {
            return None;
        }
        hosts += usize::from(name.eq_ignore_ascii_case("host"));
    }
    (is_request && hosts == 1).then(|| text.to_owned())
}
