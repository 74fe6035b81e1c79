//! The demo's origin: a small HTTP/1.1 server that serves every member's site by Host.
//!
//! It uses one thread per connection and a fixed number of connections: it stands for the members'
//! own machines, which are easily overloaded, and it needs no dependency. It is not a production
//! server, and only listens on loopback.

use crate::demo::site::{Answer, Asked, Sites};
use crate::pacing;
use anyhow::Context;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Connections served at once; further ones wait in the listener's queue until one is closed.
const CONNECTIONS_MAX: usize = 256;
/// Bytes of request line and headers.
const HEAD_BYTES_MAX: u64 = 16 * 1024;
/// Bytes of a form.
const BODY_BYTES_MAX: u64 = 8 * 1024;
/// Time a kept-alive connection may say nothing. Longer than a proxy's pool keeps it, so that it
/// is the proxy that closes first.
const IDLE: Duration = Duration::from_secs(75);

/// The running origin; it ends with the process.
#[derive(Debug)]
pub(crate) struct Origin {
    addr: SocketAddr,
}

impl Origin {
    /// Serves the sites in `folder` on loopback, on `port` if that is free.
    ///
    /// # Errors
    /// The sites cannot be read, or no port is free.
    pub(crate) fn start(folder: &Path, port: u16) -> anyhow::Result<Self> {
        let sites = Arc::new(Sites::read(folder)?);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .or_else(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
            .context("no port of 127.0.0.1 is free for the demo origin")?;
        let addr = listener.local_addr().context("the demo origin has no address")?;
        std::thread::Builder::new()
            .name("origin".into())
            .spawn(move || accept(&listener, &sites))
            .context("starting the demo origin")?;
        Ok(Self { addr })
    }

    /// Returns its address.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }
}

/// Counts a connection for as long as it lives.
struct Open(Arc<AtomicUsize>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn accept(listener: &TcpListener, sites: &Arc<Sites>) {
    let open = Arc::new(AtomicUsize::new(0));
    loop {
        while open.load(Ordering::Relaxed) >= CONNECTIONS_MAX {
            pacing::pause(Duration::from_millis(5));
        }
        let Ok((stream, _)) = listener.accept() else {
            // Out of descriptors, most likely; trying again at once would only spin.
            pacing::pause(Duration::from_millis(5));
            continue;
        };
        open.fetch_add(1, Ordering::Relaxed);
        let guard = Open(Arc::clone(&open));
        let sites = Arc::clone(sites);
        let started = std::thread::Builder::new()
            .name("origin-connection".into())
            .stack_size(256 * 1024)
            .spawn(move || {
                let _guard = guard;
                // Only its client is affected by a broken connection.
                let _ = serve(&stream, &sites);
            });
        if started.is_err() {
            pacing::pause(Duration::from_millis(5));
        }
    }
}

/// Answers requests until the client closes.
fn serve(stream: &TcpStream, sites: &Sites) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(IDLE))?;
    stream.set_write_timeout(Some(Duration::from_secs(10)))?;
    let mut reader = BufReader::new(stream);
    loop {
        let request = match read_request(&mut reader)? {
            Ok(Some(request)) => request,
            Ok(None) => return Ok(()),
            Err(status) => return write(stream, &Answer::plain(status), &Framing::LAST),
        };
        let asked = Asked {
            method: &request.method,
            host: &request.host,
            target: &request.target,
            body: &request.body,
        };
        let answer = sites.answer(&asked);
        if let Some(delay) = answer.delay {
            pacing::pause(delay);
        }
        let framing = Framing { head_only: request.method == "HEAD", close: request.close };
        write(stream, &answer, &framing)?;
        if request.close {
            return Ok(());
        }
    }
}

/// A request as the origin reads it.
struct Request {
    method: String,
    target: String,
    host: String,
    close: bool,
    body: Vec<u8>,
}

/// How an answer ends.
struct Framing {
    head_only: bool,
    close: bool,
}

impl Framing {
    /// The connection ends after this answer.
    const LAST: Self = Self { head_only: false, close: true };
}

/// Returns the next request; `None` when the client has closed, a status when it is not acceptable.
fn read_request(reader: &mut impl BufRead) -> std::io::Result<Result<Option<Request>, u16>> {
    let mut head = reader.by_ref().take(HEAD_BYTES_MAX);
    let mut line = String::new();
    if head.read_line(&mut line)? == 0 {
        return Ok(Ok(None));
    }
    let mut words = line.split_whitespace();
    let (Some(method), Some(target), Some(version)) = (words.next(), words.next(), words.next())
    else {
        return Ok(Err(400));
    };
    let mut request = Request {
        method: method.to_owned(),
        target: target.to_owned(),
        host: String::new(),
        close: version != "HTTP/1.1",
        body: Vec::new(),
    };
    let mut length = 0;
    loop {
        let mut field = String::new();
        if head.read_line(&mut field)? == 0 {
            return Ok(Err(431));
        }
        let Some((name, value)) = field.trim_end().split_once(':') else {
            break;
        };
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "host" => request.host = value.to_owned(),
            "connection" => request.close |= value.eq_ignore_ascii_case("close"),
            "content-length" => match value.parse::<u64>() {
                Ok(bytes) if bytes <= BODY_BYTES_MAX => length = bytes,
                _ => return Ok(Err(413)),
            },
            // The demo's forms have a length; anything else is refused rather than guessed at.
            "transfer-encoding" => return Ok(Err(411)),
            _ => {}
        }
    }
    reader.by_ref().take(length).read_to_end(&mut request.body)?;
    Ok(Ok(Some(request)))
}

fn write(mut stream: &TcpStream, answer: &Answer<'_>, framing: &Framing) -> std::io::Result<()> {
    let mut out = format!(
        "HTTP/1.1 {} {}\r\ncontent-type: {}\r\ncontent-length: {}\r\ncache-control: no-store\r\n{}\r\n",
        answer.status,
        reason(answer.status),
        answer.content_type,
        answer.body.len(),
        if framing.close { "connection: close\r\n" } else { "" },
    )
    .into_bytes();
    if !framing.head_only {
        out.extend_from_slice(&answer.body);
    }
    stream.write_all(&out)
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        404 => "Not Found",
        405 => "Method Not Allowed",
        411 => "Length Required",
        413 => "Content Too Large",
        421 => "Misdirected Request",
        431 => "Request Header Fields Too Large",
        _ => "Answer",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Option<Request>, u16> {
        read_request(&mut text.as_bytes()).unwrap()
    }

    #[test]
    fn a_form_is_read_whole_and_no_further() {
        let text = "POST /login HTTP/1.1\r\nHost: a.example\r\nContent-Length: 3\r\n\r\nabcGET";
        let request = parse(text).unwrap().unwrap();
        assert_eq!((request.method.as_str(), request.target.as_str()), ("POST", "/login"));
        assert_eq!((request.host.as_str(), request.close), ("a.example", false));
        assert_eq!(request.body, b"abc");
    }

    #[test]
    fn what_is_too_large_or_no_request_is_refused() {
        assert!(matches!(parse(""), Ok(None)));
        assert!(matches!(parse("GET\r\n\r\n"), Err(400)));
        let at = format!("POST / HTTP/1.1\r\ncontent-length: {BODY_BYTES_MAX}\r\n\r\n");
        assert!(parse(&at).is_ok());
        let past = format!("POST / HTTP/1.1\r\ncontent-length: {}\r\n\r\n", BODY_BYTES_MAX + 1);
        assert!(matches!(parse(&past), Err(413)));
        let long = format!("GET / HTTP/1.1\r\nx: {}", "y".repeat(20_000));
        assert!(matches!(parse(&long), Err(431)));
        assert!(matches!(parse("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"), Err(411)));
    }
}
