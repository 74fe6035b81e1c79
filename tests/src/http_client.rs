//! A small HTTP/1.1 client with a source address of its choice.
//!
//! It never retries. A connection that ends without a response is an error that the test sees, as a
//! real client would.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};

use socket2::{Domain, Protocol, Socket, Type};

use crate::server::SITE;
use crate::wait::LONG;

/// Maximum bytes of a response.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// A response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The response header, as received.
    pub head: String,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// Returns the value of the first header `name`.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        let fields = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        fields.into_iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.trim())
    }

    /// Returns the body as text.
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

/// Returns a GET request for [`SITE`] that keeps the connection open.
#[must_use]
pub fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {SITE}\r\n\r\n")
}

impl Visitor {
    /// Creates a client with the address `source`, which must belong to this machine, such as one
    /// of `127.0.0.0/8`.
    #[must_use]
    pub fn new(source: &str, to: SocketAddr) -> Self {
        Self { source: source.parse().unwrap(), to, stream: None, held: Vec::new() }
    }

    /// Connects, unless connected.
    ///
    /// # Errors
    /// No program listens, or the connection is rejected.
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

    /// Closes the connection.
    pub fn leave(&mut self) {
        self.stream = None;
    }

    /// Sends bytes.
    ///
    /// # Errors
    /// The connection is closed.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.connect()?.write_all(bytes.as_ref())
    }

    /// Sends a GET request for `path` and reads the response.
    ///
    /// # Errors
    /// The response is incomplete.
    pub fn get(&mut self, path: &str) -> io::Result<Answer> {
        self.ask(get(path))
    }

    /// Sends a request and reads its response. A response to HEAD has no body.
    ///
    /// # Errors
    /// The response is incomplete.
    pub fn ask(&mut self, request: impl AsRef<[u8]>) -> io::Result<Answer> {
        let request = request.as_ref();
        self.send(request)?;
        let answer = self.read_answer(request.starts_with(b"HEAD "));
        if !matches!(&answer, Ok(a) if a.field("connection") != Some("close")) {
            self.leave();
        }
        answer
    }

    /// Returns the status of the response to a GET request.
    #[track_caller]
    pub fn status(&mut self, path: &str) -> u16 {
        match self.get(path) {
            Ok(answer) => answer.status,
            Err(error) => panic!("no answer to {path}: {error}"),
        }
    }

    /// Reads one response.
    ///
    /// # Errors
    /// The response is incomplete.
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

    /// Reads until the other side closes or resets the connection; returns the bytes before that.
    pub fn read_until_end(&mut self) -> Vec<u8> {
        while self.more().is_ok() {}
        std::mem::take(&mut self.held)
    }

    /// Reads until the other side closes the connection.
    ///
    /// # Errors
    /// The connection was reset, or not closed.
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
