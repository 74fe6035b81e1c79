//! One HTTP/1.1 connection from a chosen loopback address.
//!
//! Linux owns all of 127.0.0.0/8, so visitors and attackers can have addresses of their own without
//! any set-up. There are no retries: a connection that Seawall closes without an announcement
//! counts as a failed request, which the demo must show.

use anyhow::Context;
use socket2::{Domain, Socket, Type};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// Maximum duration of a request, connecting included in each of its parts.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of an answer's head and of its body.
const ANSWER_BYTES_MAX: u64 = 1024 * 1024;

/// A client that keeps its connection alive.
#[derive(Debug)]
pub(crate) struct Client {
    source: Ipv4Addr,
    target: SocketAddr,
    open: Option<BufReader<TcpStream>>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Client {
    /// A client at `source` that will talk to `target`.
    pub(crate) fn new(source: Ipv4Addr, target: SocketAddr) -> Self {
        Self { source, target, open: None }
    }

    /// Sends a request (its head, complete) and reads the answer.
    ///
    /// # Errors
    /// The connection fails or ends before the answer is whole. The next request opens a new one.
    pub(crate) fn ask(&mut self, request: &[u8]) -> anyhow::Result<Reply> {
        let mut stream = match self.open.take() {
            Some(stream) => stream,
            None => BufReader::new(self.connect().context("connecting")?),
        };
        stream.get_mut().write_all(request).context("sending")?;
        let (reply, keep) = read_reply(&mut stream).context("reading the answer")?;
        if keep {
            self.open = Some(stream);
        }
        Ok(reply)
    }

    fn connect(&self) -> std::io::Result<TcpStream> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.bind(&SocketAddr::from((self.source, 0)).into())?;
        socket.connect_timeout(&self.target.into(), PATIENCE)?;
        let stream = TcpStream::from(socket);
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(stream)
    }
}

/// Reads one answer; the second value says whether the connection may be used again.
fn read_reply(stream: &mut impl BufRead) -> anyhow::Result<(Reply, bool)> {
    let mut head = stream.by_ref().take(ANSWER_BYTES_MAX);
    let mut line = String::new();
    anyhow::ensure!(head.read_line(&mut line)? > 0, "the connection was closed");
    let status = line
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3))
        .and_then(|digits| digits.parse().ok())
        .with_context(|| format!("no status line: {:?}", line.trim_end()))?;
    let (mut length, mut keep) = (None, true);
    let mut chunked = false;
    loop {
        let mut field = String::new();
        anyhow::ensure!(head.read_line(&mut field)? > 0, "the answer's head is cut off");
        let Some((name, value)) = field.trim_end().split_once(':') else {
            break;
        };
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = Some(value.parse::<u64>().context("content-length")?),
            "connection" => keep = !value.eq_ignore_ascii_case("close"),
            "transfer-encoding" => chunked = true,
            _ => {}
        }
    }
    let body =
        if chunked { read_chunks(stream)? } else { read_sized(stream, length.unwrap_or(0))? };
    Ok((Reply { status, body }, keep))
}

fn read_sized(stream: &mut impl BufRead, length: u64) -> anyhow::Result<Vec<u8>> {
    anyhow::ensure!(length <= ANSWER_BYTES_MAX, "the answer has {length} bytes");
    let mut body = Vec::new();
    let bytes = stream.by_ref().take(length).read_to_end(&mut body)?;
    anyhow::ensure!(bytes as u64 == length, "the answer's body is cut off");
    Ok(body)
}

fn read_chunks(stream: &mut impl BufRead) -> anyhow::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        stream.by_ref().take(32).read_line(&mut line)?;
        let length = u64::from_str_radix(line.trim_end(), 16).context("chunk length")?;
        body.extend(read_sized(stream, length)?);
        anyhow::ensure!(body.len() as u64 <= ANSWER_BYTES_MAX, "the answer is too long");
        let mut end = String::new();
        stream.by_ref().take(32).read_line(&mut end)?;
        if length == 0 {
            return Ok(body);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> anyhow::Result<(Reply, bool)> {
        read_reply(&mut text.as_bytes())
    }

    #[test]
    fn answers_are_read_whole_or_refused() {
        let (reply, keep) = read("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi!").unwrap();
        assert_eq!((reply.status, reply.body.as_slice(), keep), (200, b"hi".as_slice(), true));
        let closing = "HTTP/1.1 403 Forbidden\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        assert!(!read(closing).unwrap().1);
        let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n";
        assert_eq!(read(chunked).unwrap().0.body, b"hi");
        for cut in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhi"] {
            assert!(read(cut).is_err(), "{cut:?}");
        }
    }
}
