//! A visitor: a small HTTP/1.1 client that chooses the address it comes from.
//!
//! It never tries again. A connection that ends where an answer was due is an error that the test
//! sees, since that is what a visitor would have seen.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};

use socket2::{Domain, Protocol, Socket, Type};

use crate::server::SITE;
use crate::wait::LONG;

/// Most bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its head, as it came.
    pub head: String,
    /// Its body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The value of the first field `name`.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        let fields = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        fields.into_iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.trim())
    }

    /// Its body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// One client with at most one connection.
#[derive(Debug)]
pub struct Visitor {
    source: IpAddr,
    to: SocketAddr,
    stream: Option<TcpStream>,
    held: Vec<u8>,
}

/// A GET for [`SITE`] that keeps the connection.
#[must_use]
pub fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {SITE}\r\n\r\n")
}

impl Visitor {
    /// From `source`, which must be an address of this machine: all of `127.0.0.0/8` is.
    #[must_use]
    pub fn new(source: &str, to: SocketAddr) -> Self {
        Self { source: source.parse().unwrap(), to, stream: None, held: Vec::new() }
    }

    /// Connects, unless connected.
    ///
    /// # Errors
    /// Nobody listens, or it is refused.
    pub fn connect(&mut self) -> io::Result<&mut TcpStream> {
        if self.stream.is_none() {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
            socket.bind(&SocketAddr::new(self.source, 0).into())?;
            socket.connect_timeout(&self.to.into(), LONG)?;
            let stream = TcpStream::from(socket);
            stream.set_read_timeout(Some(LONG))?;
            stream.set_write_timeout(Some(LONG))?;
            stream.set_nodelay(true)?;
            self.held.clear();
            self.stream = Some(stream);
        }
        self.stream.as_mut().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// Ends the connection.
    pub fn leave(&mut self) {
        self.stream = None;
    }

    /// Sends bytes.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.connect()?.write_all(bytes.as_ref())
    }

    /// Asks for `path` and reads the answer.
    ///
    /// # Errors
    /// There is no whole answer.
    pub fn get(&mut self, path: &str) -> io::Result<Answer> {
        self.ask(get(path))
    }

    /// Sends a request and reads its answer; that of a HEAD has no body.
    ///
    /// # Errors
    /// There is no whole answer.
    pub fn ask(&mut self, request: impl AsRef<[u8]>) -> io::Result<Answer> {
        let request = request.as_ref();
        self.send(request)?;
        let answer = self.read_answer(request.starts_with(b"HEAD "));
        if !matches!(&answer, Ok(a) if a.field("connection") != Some("close")) {
            self.leave();
        }
        answer
    }

    /// The status of the answer to a GET, which must come.
    #[track_caller]
    pub fn status(&mut self, path: &str) -> u16 {
        match self.get(path) {
            Ok(answer) => answer.status,
            Err(error) => panic!("no answer to {path}: {error}"),
        }
    }

    /// Reads one answer.
    ///
    /// # Errors
    /// It does not come whole.
    pub fn read_answer(&mut self, is_to_head: bool) -> io::Result<Answer> {
        let end = loop {
            if let Some(end) = self.held.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            self.more()?;
        };
        let head = String::from_utf8_lossy(&self.held[..end]).into_owned();
        self.held.drain(..end);
        let bad = || io::Error::from(io::ErrorKind::InvalidData);
        let status = head.get(9..12).and_then(|s| s.parse().ok()).ok_or_else(bad)?;
        let mut answer = Answer { status, head, body: Vec::new() };
        if is_to_head || status == 204 || status == 304 {
            return Ok(answer);
        }
        let length = answer.field("content-length").and_then(|n| n.parse::<usize>().ok());
        let length = length.ok_or_else(bad)?;
        while self.held.len() < length {
            self.more()?;
        }
        answer.body = self.held.drain(..length).collect();
        Ok(answer)
    }

    fn more(&mut self) -> io::Result<()> {
        let mut room = [0; 4096];
        let n = self.connect()?.read(&mut room)?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if self.held.len() + n > ANSWER_BYTES_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        self.held.extend_from_slice(&room[..n]);
        Ok(())
    }

    /// Reads until the other side ends the connection, however it does; what came before counts.
    pub fn read_until_end(&mut self) -> Vec<u8> {
        while self.more().is_ok() {}
        std::mem::take(&mut self.held)
    }

    /// Reads until the other side ends the connection, and says how that was.
    ///
    /// # Errors
    /// It ended with a reset, or did not end.
    pub fn read_rest(&mut self) -> io::Result<Vec<u8>> {
        loop {
            match self.more() {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Ok(std::mem::take(&mut self.held));
                }
                Err(error) => return Err(error),
            }
        }
    }
}
