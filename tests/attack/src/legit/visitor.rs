//! One legitimate visitor: an address, a protocol, and connections that are kept.

use super::Plan;
use crate::connect::{Io, Way, open};
use crate::guard::Target;
use crate::h1::{BROWSER, Reader, head};
use crate::tally::Unopened;
use crate::tls::{Alpn, client};
use anyhow::Result;
use bytes::Bytes;
use clap::ValueEnum;
use h2::client::SendRequest;
use parking_lot::Mutex;
use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead as _, AsyncWriteExt as _, ReadBuf};

/// What a visitor speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// HTTP/1.1 in the clear, connections kept.
    H1,
    /// HTTP/1.1 in the clear, a connection for each request.
    H1New,
    /// HTTP/1.1 over TLS, connections kept.
    H1Tls,
    /// HTTP/1.1 over TLS, a connection and a whole handshake for each request.
    H1TlsNew,
    /// HTTP/2 in the clear, by prior knowledge.
    H2,
    /// HTTP/2 over TLS.
    H2Tls,
}

impl Kind {
    /// Returns its name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::H1 => "h1",
            Self::H1New => "h1-new",
            Self::H1Tls => "h1-tls",
            Self::H1TlsNew => "h1-tls-new",
            Self::H2 => "h2",
            Self::H2Tls => "h2-tls",
        }
    }

    /// Returns whether it needs the port with TLS.
    pub(crate) fn tls(self) -> bool {
        matches!(self, Self::H1Tls | Self::H1TlsNew | Self::H2Tls)
    }

    fn h2(self) -> bool {
        matches!(self, Self::H2 | Self::H2Tls)
    }

    fn keeps(self) -> bool {
        matches!(self, Self::H1 | Self::H1Tls)
    }
}

/// How one request ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outcome {
    /// The status, or why there is none.
    pub(crate) status: Result<u16, &'static str>,
    /// The failure took its time, which then counts as latency.
    pub(crate) waited: bool,
    /// A kept connection had gone, and it was sent once more.
    pub(crate) sent_again: bool,
}

impl Outcome {
    /// A failure without a meaningful duration.
    pub(crate) fn failed(why: &'static str) -> Self {
        Self { status: Err(why), waited: false, sent_again: false }
    }

    /// No response in time.
    pub(crate) fn given_up() -> Self {
        Self { status: Err("timeout"), waited: true, sent_again: false }
    }
}

struct Kept {
    io: Box<dyn Io>,
    reader: Reader,
}

/// One visitor.
pub(crate) struct Visitor {
    kind: Kind,
    way: Way,
    source: IpAddr,
    h1: Vec<u8>,
    h2: http::Request<()>,
    kept: Mutex<Vec<Kept>>,
    streams: tokio::sync::Mutex<Option<SendRequest<Bytes>>>,
}

impl Visitor {
    /// Returns a visitor at `source`, for `target`.
    pub(crate) fn new(kind: Kind, target: Target, source: IpAddr, plan: &Plan) -> Result<Self> {
        let alpn = if kind.h2() { Alpn::H2 } else { Alpn::H1 };
        let tls = kind.tls().then(|| client(alpn, kind.keeps())).transpose()?;
        let fields = if kind.keeps() { "" } else { "Connection: close\r\n" };
        let scheme = if kind.tls() { "https" } else { "http" };
        let mut request = http::Request::get(format!("{scheme}://{}{}", plan.host, plan.path));
        for line in BROWSER.split("\r\n") {
            if let Some((name, value)) = line.split_once(": ") {
                request = request.header(name, value);
            }
        }
        Ok(Self {
            kind,
            way: Way { target, host: plan.host.clone(), tls, receive_buffer: None },
            source,
            h1: head("GET", &plan.path, &plan.host, fields).into_bytes(),
            h2: request.body(())?,
            kept: Mutex::new(Vec::new()),
            streams: tokio::sync::Mutex::new(None),
        })
    }

    /// Sends one request and reads its whole response.
    pub(crate) async fn ask(&self) -> Outcome {
        if self.kind.h2() { self.ask_h2().await } else { self.ask_h1().await }
    }

    async fn ask_h1(&self) -> Outcome {
        let mut sent_again = false;
        loop {
            let kept = self.take();
            let fresh = kept.is_none();
            let mut connection = match kept {
                Some(kept) => kept,
                None => match open(&self.way, self.source).await {
                    Ok(io) => Kept { io, reader: Reader::new() },
                    Err(how) => return Outcome { sent_again, ..Outcome::failed(unopened(how)) },
                },
            };
            match self.exchange(&mut connection).await {
                Ok((status, close)) => {
                    if self.kind.keeps() && !close {
                        self.kept.lock().push(connection);
                    }
                    return Outcome { status: Ok(status), waited: false, sent_again };
                }
                // RFC 9112 §9.3.1: a request that may be repeated is, once, when a kept connection
                // ends before any of the answer.
                Err(_) if !fresh && !sent_again && !connection.reader.began() => sent_again = true,
                Err(error) => {
                    return Outcome { sent_again, ..Outcome::failed(broken(&error)) };
                }
            }
        }
    }

    async fn exchange(&self, connection: &mut Kept) -> io::Result<(u16, bool)> {
        connection.io.write_all(&self.h1).await?;
        connection.io.flush().await?;
        let answer = connection.reader.answer(&mut connection.io, false).await?;
        Ok((answer.status, answer.close))
    }

    /// Returns a kept connection that the server has not closed meanwhile.
    fn take(&self) -> Option<Kept> {
        loop {
            let mut kept = self.kept.lock().pop()?;
            let mut byte = [0; 1];
            let mut cx = Context::from_waker(Waker::noop());
            let polled = Pin::new(&mut kept.io).poll_read(&mut cx, &mut ReadBuf::new(&mut byte));
            if matches!(polled, Poll::Pending) {
                return Some(kept);
            }
        }
    }

    async fn ask_h2(&self) -> Outcome {
        let mut sent_again = false;
        loop {
            let streams = match self.streams().await {
                Ok(streams) => streams,
                Err(outcome) => return Outcome { sent_again, ..outcome },
            };
            match self.stream(streams).await {
                Ok(status) => return Outcome { status: Ok(status), waited: false, sent_again },
                Err(error) => {
                    *self.streams.lock().await = None;
                    // Only a request that the server reports as not processed is retried.
                    let untouched = error.is_go_away()
                        && error.reason() == Some(h2::Reason::NO_ERROR)
                        || error.reason() == Some(h2::Reason::REFUSED_STREAM);
                    if sent_again || !untouched {
                        return Outcome { sent_again, ..Outcome::failed(broken_h2(&error)) };
                    }
                    sent_again = true;
                }
            }
        }
    }

    async fn streams(&self) -> Result<SendRequest<Bytes>, Outcome> {
        let mut streams = self.streams.lock().await;
        if let Some(known) = streams.as_ref()
            && let Ok(ready) = known.clone().ready().await
        {
            return Ok(ready);
        }
        let io =
            open(&self.way, self.source).await.map_err(|how| Outcome::failed(unopened(how)))?;
        let made = h2::client::Builder::new().initial_window_size(1 << 20).handshake(io).await;
        let (known, connection) = made.map_err(|error| Outcome::failed(broken_h2(&error)))?;
        tokio::spawn(connection);
        let ready = known.clone().ready().await;
        let ready = ready.map_err(|error| Outcome::failed(broken_h2(&error)))?;
        *streams = Some(known);
        Ok(ready)
    }

    async fn stream(&self, mut streams: SendRequest<Bytes>) -> Result<u16, h2::Error> {
        let (answer, _) = streams.send_request(self.h2.clone(), true)?;
        let answer = answer.await?;
        let status = answer.status().as_u16();
        let mut body = answer.into_body();
        while let Some(data) = poll_fn(|cx| body.poll_data(cx)).await {
            let length = data?.len();
            body.flow_control().release_capacity(length)?;
        }
        Ok(status)
    }
}

fn unopened(how: Unopened) -> &'static str {
    match how {
        Unopened::Refused => "connect: refused",
        Unopened::Reset => "connect: reset",
        Unopened::Late => "connect: timeout",
        Unopened::NoHandshake => "connect: no handshake",
        Unopened::Local => "connect: this side's fault",
    }
}

fn broken(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "closed before the answer",
        io::ErrorKind::InvalidData => "not an answer",
        _ => "reset before the answer",
    }
}

fn broken_h2(error: &h2::Error) -> &'static str {
    if error.is_go_away() {
        "h2: goaway"
    } else if error.is_reset() {
        "h2: stream reset"
    } else if error.is_io() {
        "h2: connection lost"
    } else {
        "h2: other"
    }
}
