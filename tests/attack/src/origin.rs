//! The recording origin: the requests as the server forwards them.
//!
//! It parses HTTP/1.1 strictly, responds to everything with a few bytes, and records the target of
//! each request on each connection. `GET /__record` returns the record, in JSON; `/__large/BYTES`
//! and `/__slow/MS` are for clients that read slowly or must wait.
//!
//! The targets in [`HEADS`] get header sections that are larger than any limit.
//!
//! `/__websocket` accepts an upgrade, and `/__fault/…` makes it fail for a while. It only listens
//! on loopback.

mod fault;
mod named;

use crate::caps::{HEAD_BYTES_MAX, RECORDED_MAX};
use crate::connect::{Way, open};
use crate::guard::Target;
use crate::h1::{Answer, Reader, head};
use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum;
use fault::Order;
#[cfg(test)]
pub(crate) use fault::failing;
pub(crate) use fault::{Fault, serve};
use named::{Named, Says};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};

/// A header of each of its responses: it distinguishes them from the server's own.
pub(crate) const MARK: &str = "X-Recorded: yes";
/// Path of the record.
const RECORD: &str = "/__record";
/// The path of visitors' requests where they must be distinguished from attackers.
const VISIT: &str = "/__visit";
/// Longest `/__slow`, in milliseconds, and largest `/__large`, in bytes.
pub(crate) const SLOW_MS_MAX: u64 = 60_000;
const LARGE_BYTES_MAX: u64 = 64 << 20;
/// What has answers whose heads are one field of 1 MB, 250 fields of 4,000 bytes, and fields
/// without end.
pub(crate) const HEADS: [&str; 3] = ["/__head/one", "/__head/many", "/__head/endless"];
/// Bytes of the one field, and of each of many.
const FIELD_BYTES: usize = 1_000_000;
const FIELDS_BYTES: usize = 4_000;
const FIELDS: usize = 250;

/// Its record since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Connections accepted.
    pub(crate) connections: u64,
    /// Heads of requests, those for the record apart.
    pub(crate) requests: u64,
    /// Those of them that ask for [`VISIT`].
    pub(crate) visits: u64,
    /// Requests under way at once, at most.
    pub(crate) at_once_max: u64,
    /// Heads that were not HTTP/1.1.
    pub(crate) malformed: u64,
    /// The targets of requests that came whole and have `/__case/` in them.
    pub(crate) cases: Vec<String>,
    /// The clients that their forwarding headers name.
    pub(crate) named: Named,
}

#[derive(Debug, Default)]
struct Seen {
    record: Record,
    at_once: u64,
}

/// How an origin parses contradictory lengths: as other origins do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Reads {
    /// It rejects them.
    Strict,
    /// Content-Length counts, whatever else there is; the first of several.
    Length,
    /// Whatever has `chunked` in it is chunked; else the last Content-Length counts.
    Chunked,
    /// GET, HEAD, OPTIONS and DELETE have no body, whatever their headers.
    NoBody,
}

/// The cost of a response at the origin: a member's site is a script, of which so many run at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Work {
    /// How many at once; the next wait for them, in the order in which they came.
    pub(crate) at_once: usize,
    /// How long each takes, in milliseconds.
    pub(crate) ms: u64,
}

/// Its responses, and their cost.
#[derive(Debug, Clone)]
pub(crate) struct Manner {
    reads: Reads,
    work_ms: u64,
    workers: Arc<Semaphore>,
}

impl Manner {
    /// Returns an origin with this parsing and this cost.
    pub(crate) fn new(reads: Reads, work: Work) -> Self {
        Self { reads, work_ms: work.ms, workers: Arc::new(Semaphore::new(work.at_once)) }
    }

    async fn work(&self) {
        if self.work_ms > 0 {
            let _worker = self.workers.acquire().await;
            tokio::time::sleep(Duration::from_millis(self.work_ms)).await;
        }
    }
}

/// Where a recording origin is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Recorder(Target);

impl Recorder {
    /// Returns the recorder at this address.
    pub(crate) fn new(target: Target) -> Self {
        Self(target)
    }

    /// Returns the record until now.
    ///
    /// # Errors
    /// No recording origin listens there.
    pub(crate) async fn record(self) -> Result<Record> {
        let answer = self.ask(RECORD).await?;
        let body = answer.bytes.get(answer.head_bytes..).unwrap_or_default();
        serde_json::from_slice(body).context("that is no recording origin")
    }

    /// Makes it fail for so long, from now on.
    ///
    /// # Errors
    /// No recording origin listens there.
    pub(crate) async fn fault(self, fault: Fault, time: Duration) -> Result<()> {
        let answer = self.ask(&fault.target(time)).await?;
        ensure!(answer.status == 200, "that is no recording origin");
        Ok(())
    }

    async fn ask(self, path: &str) -> Result<Answer> {
        let target = self.0;
        let way = Way { target, host: "origin".to_owned(), tls: None, receive_buffer: None };
        let source = match target.address().ip() {
            std::net::IpAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            std::net::IpAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        };
        let io = open(&way, source).await;
        let mut io = io.map_err(|how| anyhow::anyhow!("no recording origin there: {how:?}"))?;
        io.write_all(head("GET", path, "origin", "").as_bytes()).await?;
        Ok(Reader::new().answer(&mut io, false).await?)
    }
}

/// One request, once its header section is complete.
struct Asked {
    target: String,
    head_bytes: usize,
    body: Body,
    /// The method is HEAD, whose response has no body.
    head: bool,
    close: bool,
    says: Says,
}

enum Body {
    Bytes(u64),
    Chunked,
}

async fn connection(
    mut stream: TcpStream,
    (seen, orders): (&Mutex<Seen>, &mpsc::Sender<Order>),
    manner: &Manner,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut held = Vec::new();
    let mut first = true;
    loop {
        let asked = match next(&mut stream, &mut held, manner.reads).await {
            Ok(Some(asked)) => asked,
            Ok(None) => return Ok(()),
            Err(error) => {
                if error.kind() == io::ErrorKind::InvalidData {
                    let mut seen = seen.lock();
                    seen.record.malformed = seen.record.malformed.saturating_add(1);
                }
                return Err(error);
            }
        };
        if asked.target == RECORD {
            let body = serde_json::to_vec(&seen.lock().record).unwrap_or_default();
            return answer(&mut stream, &body, &asked).await;
        }
        if let Some(order) = fault::order(&asked.target) {
            answer(&mut stream, b"so it shall be\n", &asked).await?;
            let _serves: Result<(), _> = orders.send(order).await;
            return Ok(());
        }
        begin(seen, first, &asked);
        first = false;
        let done = match skip_body(&mut stream, &mut held, &asked.body).await {
            Ok(()) => {
                whole(seen, &asked);
                manner.work().await;
                respond(&mut stream, &asked).await
            }
            Err(error) => Err(error),
        };
        let mut after = seen.lock();
        after.at_once = after.at_once.saturating_sub(1);
        drop(after);
        done?;
        if asked.close {
            return Ok(());
        }
    }
}

fn begin(seen: &Mutex<Seen>, first: bool, asked: &Asked) {
    let mut seen = seen.lock();
    seen.at_once = seen.at_once.saturating_add(1);
    let at_once = seen.at_once;
    let record = &mut seen.record;
    record.connections = record.connections.saturating_add(u64::from(first));
    record.requests = record.requests.saturating_add(1);
    record.visits = record.visits.saturating_add(u64::from(asked.target.starts_with(VISIT)));
    record.named.note(&asked.says);
    record.at_once_max = record.at_once_max.max(at_once);
}

/// The request has been read to its end.
fn whole(seen: &Mutex<Seen>, asked: &Asked) {
    let record = &mut seen.lock().record;
    if asked.target.contains("/__case/") && record.cases.len() < RECORDED_MAX {
        record.cases.push(asked.target.clone());
    }
}

/// Returns the next request; `None` when the connection ended between two requests.
async fn next(
    stream: &mut TcpStream,
    held: &mut Vec<u8>,
    reads: Reads,
) -> io::Result<Option<Asked>> {
    loop {
        if let Some(asked) = parse(held, reads)? {
            held.drain(..asked.head_bytes);
            return Ok(Some(asked));
        }
        if held.len() > HEAD_BYTES_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        if stream.read_buf(held).await? == 0 {
            return if held.is_empty() { Ok(None) } else { Err(io::ErrorKind::InvalidData.into()) };
        }
    }
}

fn parse(bytes: &[u8], reads: Reads) -> io::Result<Option<Asked>> {
    let mut fields = [httparse::EMPTY_HEADER; 300];
    let mut request = httparse::Request::new(&mut fields);
    let parsed = request.parse(bytes).map_err(|_| io::ErrorKind::InvalidData)?;
    let httparse::Status::Complete(head_bytes) = parsed else { return Ok(None) };
    let values = |name: &str| {
        let named = request.headers.iter().filter(|field| field.name.eq_ignore_ascii_case(name));
        named
            .map(|field| String::from_utf8_lossy(field.value).trim().to_lowercase())
            .collect::<Vec<_>>()
    };
    let bodiless = matches!(request.method, Some("GET" | "HEAD" | "OPTIONS" | "DELETE"));
    let body = if reads == Reads::NoBody && bodiless {
        Body::Bytes(0)
    } else {
        body(&values("content-length"), &values("transfer-encoding"), reads)?
    };
    let close = request.version == Some(0)
        || values("connection").iter().any(|value| value.contains("close"));
    let target = request.path.unwrap_or_default().to_owned();
    let head = request.method == Some("HEAD");
    let says = Says::of(values);
    Ok(Some(Asked { target, head_bytes, body, head, close, says }))
}

fn body(lengths: &[String], codings: &[String], reads: Reads) -> io::Result<Body> {
    let length = |text: &String| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let length = text.parse().ok().filter(|_| digits);
        length.map(Body::Bytes).ok_or(io::ErrorKind::InvalidData.into())
    };
    match (reads, lengths, codings) {
        (_, [], []) => Ok(Body::Bytes(0)),
        (Reads::Length, [one, ..], _) => length(one),
        (Reads::Chunked, _, [..]) if codings.iter().any(|coding| coding.contains("chunked")) => {
            Ok(Body::Chunked)
        }
        (Reads::Chunked, [.., last], _) => length(last),
        (_, [], [coding]) if coding == "chunked" => Ok(Body::Chunked),
        (_, [one, more @ ..], []) if more.iter().all(|other| other == one) => length(one),
        // Both, or anything else: a strict origin rejects it.
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

async fn skip_body(stream: &mut TcpStream, held: &mut Vec<u8>, body: &Body) -> io::Result<()> {
    match body {
        Body::Bytes(length) => skip(stream, held, *length).await,
        Body::Chunked => skip_chunks(stream, held).await,
    }
}

async fn respond(stream: &mut TcpStream, asked: &Asked) -> io::Result<()> {
    let figure = |prefix: &str| {
        let rest = asked.target.split(prefix).nth(1)?;
        rest.split(|c: char| !c.is_ascii_digit()).next()?.parse::<u64>().ok()
    };
    if let Some(ms) = figure("/__slow/") {
        tokio::time::sleep(Duration::from_millis(ms.min(SLOW_MS_MAX))).await;
    }
    if asked.target.contains("/__websocket") {
        return upgrade(stream).await;
    }
    if let Some(kind) = HEADS.iter().position(|kind| asked.target.contains(kind)) {
        return endless_head(stream, kind).await;
    }
    if let Some(bytes) = figure("/__large/") {
        return large(stream, bytes.min(LARGE_BYTES_MAX)).await;
    }
    answer(stream, b"recorded\n", asked).await
}

async fn answer(stream: &mut TcpStream, body: &[u8], asked: &Asked) -> io::Result<()> {
    let ends = if asked.close { "Connection: close\r\n" } else { "" };
    let length = body.len();
    let mut out = format!("HTTP/1.1 200 OK\r\n{MARK}\r\nContent-Length: {length}\r\n{ends}\r\n");
    if !asked.head {
        out.push_str(&String::from_utf8_lossy(body));
    }
    stream.write_all(out.as_bytes()).await
}

/// Accepts the upgrade and reads, without sending, until the peer closes. The key is that of the
/// example in RFC 6455, which this program sends.
async fn upgrade(stream: &mut TcpStream) -> io::Result<()> {
    let head = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    stream.write_all(head.as_bytes()).await?;
    tokio::io::copy(stream, &mut tokio::io::sink()).await?;
    Err(io::ErrorKind::UnexpectedEof.into())
}

/// Sends a header section of one of [`HEADS`], by its index there.
async fn endless_head(stream: &mut TcpStream, kind: usize) -> io::Result<()> {
    let (bytes, mut fields) = match kind {
        0 => (FIELD_BYTES, 1),
        1 => (FIELDS_BYTES, FIELDS),
        _ => (FIELDS_BYTES, usize::MAX),
    };
    let line = format!("X-Long: {}\r\n", "y".repeat(bytes));
    stream.write_all(b"HTTP/1.1 200 OK\r\n").await?;
    while fields > 0 {
        stream.write_all(line.as_bytes()).await?;
        fields = fields.saturating_sub(1);
    }
    stream.write_all(b"Content-Length: 0\r\n\r\n").await
}

async fn large(stream: &mut TcpStream, bytes: u64) -> io::Result<()> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {bytes}\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    let chunk = [b'x'; 8_192];
    let mut left = bytes;
    while left > 0 {
        let now = usize::try_from(left).unwrap_or(usize::MAX).min(chunk.len());
        stream.write_all(chunk.get(..now).unwrap_or_default()).await?;
        left = left.saturating_sub(now as u64);
    }
    Ok(())
}

async fn skip(stream: &mut TcpStream, held: &mut Vec<u8>, mut length: u64) -> io::Result<()> {
    loop {
        let here = usize::try_from(length).unwrap_or(usize::MAX).min(held.len());
        held.drain(..here);
        length = length.saturating_sub(here as u64);
        if length == 0 {
            return Ok(());
        }
        if stream.read_buf(held).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

async fn skip_chunks(stream: &mut TcpStream, held: &mut Vec<u8>) -> io::Result<()> {
    let mut last = false;
    loop {
        let Some(end) = held.windows(2).position(|pair| pair == b"\r\n") else {
            if stream.read_buf(held).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            continue;
        };
        let line: Vec<u8> = held.drain(..end.saturating_add(2)).take(end).collect();
        if last {
            // Trailers, up to the empty line.
            if line.is_empty() {
                return Ok(());
            }
            continue;
        }
        let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
        let strict = !digits.is_empty() && digits.iter().all(u8::is_ascii_hexdigit);
        let text = std::str::from_utf8(digits).ok().filter(|_| strict);
        let size = text.and_then(|text| u64::from_str_radix(text, 16).ok());
        let size = size.ok_or(io::ErrorKind::InvalidData)?;
        last = size == 0;
        if !last {
            skip(stream, held, size.saturating_add(2)).await?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::Ground;
    use tokio::net::TcpListener;

    async fn started_as(reads: Reads) -> (std::net::SocketAddr, Recorder) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(listener, Manner::new(reads, Work { at_once: 1, ms: 0 })));
        (address, Recorder::new(Target::new(address, Ground::Loopback).unwrap()))
    }

    async fn send(address: std::net::SocketAddr, text: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut back = String::new();
        let _reset = stream.read_to_string(&mut back).await;
        back
    }

    #[tokio::test]
    async fn it_sees_each_request_of_a_pipeline() {
        let (address, recorder) = started_as(Reads::Strict).await;
        let back = send(
            address,
            "POST /a HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.1\r\nContent-Length: 3\r\n\r\nabc\
             POST /__case/2 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n\
             GET /__visit HTTP/1.1\r\nHost: x\r\n\r\n\
             GET /__large/10 HTTP/1.1\r\nHost: x\r\nX-Real-IP: 192.0.2.2\r\n\r\n",
        )
        .await;
        assert_eq!(back.matches("HTTP/1.1 200").count(), 4);
        assert!(back.ends_with("xxxxxxxxxx"), "{back}");
        let record = recorder.record().await.unwrap();
        assert_eq!((record.connections, record.requests, record.malformed), (1, 4, 0));
        assert_eq!(record.visits, 1);
        assert_eq!((record.at_once_max, record.cases), (1, vec!["/__case/2".to_owned()]));
        assert_eq!((record.named.once, record.named.otherwise), (1, 1));
    }

    #[tokio::test]
    async fn what_is_not_sure_is_malformed() {
        let (address, recorder) = started_as(Reads::Strict).await;
        for fields in [
            "Content-Length: 1\r\nTransfer-Encoding: chunked",
            "Content-Length: 1\r\nContent-Length: 2",
            "Content-Length: +1",
            "Transfer-Encoding: xchunked",
        ] {
            let back =
                send(address, &format!("POST /__case/x HTTP/1.1\r\n{fields}\r\n\r\na")).await;
            assert_eq!(back, "", "{fields}");
        }
        let record = recorder.record().await.unwrap();
        assert_eq!((record.requests, record.malformed), (0, 4));
    }

    /// The request that a strict origin rejects is one or two for other parsers.
    #[tokio::test]
    async fn origins_differ_where_lengths_do() {
        let text = "GET /__case/1 HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n\
                    0\r\n\r\nGET /__case/2 HTTP/1.1\r\n\r\n";
        let short = text.replace("Transfer-Encoding: chunked\r\n", "").replace(": 5", ": 31");
        for (reads, text, requests) in [
            (Reads::Strict, text, 0),
            (Reads::Length, text, 2),
            (Reads::Chunked, text, 2),
            (Reads::Length, &short, 1),
            (Reads::NoBody, text, 1),
        ] {
            let (address, recorder) = started_as(reads).await;
            send(address, text).await;
            let record = recorder.record().await.unwrap();
            assert_eq!(record.cases.len(), requests, "{reads:?}: {record:?}");
        }
    }
}
