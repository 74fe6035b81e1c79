//! The connection of one request to its origin, below the HTTP engine.
//!
//! Every byte to and from an origin passes here. So the limits on response headers are enforced
//! here ([`response_head`]). It is also known here, when a request is given up, whether its origin
//! still works on it ([`request`], [`given_up`]). The engine only sees a stream. Idle connections
//! are in our own pool ([`pool`](crate::upstream::pool)).
//!
//! After a response the engine tests with a read of one byte whether a connection can be kept. This
//! read passes the connection to our pool, and the engine sees a closed connection.

pub(crate) mod given_up;
pub(crate) mod request;
pub(crate) mod response_head;

use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};

use async_trait::async_trait;
use parking_lot::Mutex;
use pingora_core::connectors::L4Connect;
use pingora_core::protocols::l4::socket::SocketAddr as PeerAddr;
use pingora_core::protocols::l4::stream::Stream;
use pingora_core::protocols::l4::virt::{VirtualSockOpt, VirtualSocket, VirtualSocketStream};
use pingora_error::{Error, ErrorType, OrErr, Result};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};

use crate::ProxyLimits;
use crate::connection::Connection;
use crate::forward::response_header::ResponseError;
use crate::upstream::pool::{Pool, PoolKey};
use given_up::AbandonedResponse;
use request::Request;
use response_head::ResponseHeadReader;

/// Bytes per read of a header section that did not come in one piece.
const READ_BYTES: usize = 4096;

/// State that a request and its connection share.
#[derive(Debug)]
pub(crate) struct Link {
    me: Weak<Self>,
    pool: Arc<Pool>,
    line: PoolKey,
    limits: Arc<ProxyLimits>,
    /// The HTTP/2 connection whose forward window counts requests that wait for the origin.
    conn: Option<Arc<Connection>>,
    known: Mutex<Known>,
}

/// What is known of the connection.
#[derive(Debug, Default)]
struct Known {
    fd: Option<i32>,
    is_reused: bool,
    refused: Option<ResponseError>,
    /// The connection after the engine dropped it, if a response is owed.
    rest: Option<AbandonedResponse>,
}

impl Link {
    /// Creates a link, with the HTTP/2 connection that its request came on, if there is one.
    pub(crate) fn new(
        pool: &Arc<Pool>,
        line: PoolKey,
        limits: &Arc<ProxyLimits>,
        conn: Option<&Arc<Connection>>,
    ) -> Arc<Self> {
        let (pool, limits, conn) = (Arc::clone(pool), Arc::clone(limits), conn.cloned());
        let known = Mutex::default();
        Arc::new_cyclic(|me| Self { me: me.clone(), pool, line, limits, conn, known })
    }

    /// Returns the connection's descriptor.
    pub(crate) fn fd(&self) -> Option<i32> {
        self.known.lock().fd
    }

    /// Returns whether it had served a request before.
    pub(crate) fn is_reused(&self) -> bool {
        self.known.lock().is_reused
    }

    /// Returns why the origin's response was rejected.
    pub(crate) fn refused(&self) -> Option<ResponseError> {
        self.known.lock().refused
    }

    /// Takes the connection, if the engine dropped it while its origin was at work.
    pub(crate) fn take_rest(&self) -> Option<AbandonedResponse> {
        self.known.lock().rest.take()
    }
}

#[async_trait]
impl L4Connect for Link {
    async fn connect(&self, _: &PeerAddr) -> Result<Stream> {
        let link = self.me.upgrade();
        let link = link.ok_or_else(|| Error::explain(ErrorType::InternalError, "no exchange"))?;
        let kept = self.pool.take(&self.line);
        let is_reused = kept.is_some();
        let io = match kept {
            Some(io) => io,
            None => connect(self.line.1, &self.limits).await?,
        };
        {
            let mut known = self.known.lock();
            known.fd = Some(io.as_raw_fd());
            known.is_reused = is_reused;
        }
        Ok(VirtualSocketStream::new(Box::new(OriginStream::new(io, link))).into())
    }
}

/// Opens a new connection.
async fn connect(address: SocketAddr, limits: &ProxyLimits) -> Result<TcpStream> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    };
    let socket = socket.or_err(ErrorType::InternalError, "no socket")?;
    // A rejected option costs speed or memory, not the response.
    let receive_bytes =
        u32::try_from(limits.settings.origins.receive_buffer_bytes).unwrap_or(u32::MAX);
    let _ = socket.set_recv_buffer_size(receive_bytes);
    let _ = socket.set_nodelay(true);
    let failed = |error: io::Error| Error::because(kind_of(&error), "no connection", error);
    socket.connect(address).await.map_err(failed)
}

/// Returns the kind of a failed connect: a lack of local ports is not the origin's failure.
fn kind_of(error: &io::Error) -> ErrorType {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => ErrorType::ConnectRefused,
        io::ErrorKind::TimedOut => ErrorType::ConnectTimedout,
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            ErrorType::ConnectNoRoute
        }
        io::ErrorKind::AddrNotAvailable
        | io::ErrorKind::AddrInUse
        | io::ErrorKind::PermissionDenied => ErrorType::InternalError,
        _ => ErrorType::ConnectError,
    }
}

/// The connection while the engine has it, for one request.
#[derive(Debug)]
struct OriginStream {
    /// None once it was given to the pool, or to its link.
    io: Option<TcpStream>,
    link: Arc<Link>,
    request: Request,
    answer: ResponseHeadReader,
    /// Whether it ended or failed.
    is_over: bool,
    /// Whether its origin is waited for.
    is_waiting: bool,
}

impl OriginStream {
    fn new(io: TcpStream, link: Arc<Link>) -> Self {
        let (request, answer) = (Request::new(), ResponseHeadReader::new());
        Self { io: Some(io), link, request, answer, is_over: false, is_waiting: false }
    }

    /// Records whether the origin is waited for; only HTTP/2 connections use it.
    fn wait(&mut self, is_waiting: bool) {
        if let Some(conn) = self.link.conn.as_ref().filter(|_| self.is_waiting != is_waiting) {
            conn.turns.note_waiting(is_waiting);
            self.is_waiting = is_waiting;
        }
    }

    /// Reads, and records what came.
    fn poll_io(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Some(io) = &mut self.io else { return Poll::Ready(Ok(())) };
        let before = buf.filled().len();
        let polled = Pin::new(io).poll_read(cx, buf);
        self.wait(polled.is_pending());
        let read = ready!(polled);
        let came = buf.filled().get(before..).unwrap_or_default();
        self.is_over |= read.is_err() || came.is_empty();
        read?;
        Poll::Ready(self.note(came))
    }

    fn note(&mut self, came: &[u8]) -> io::Result<()> {
        let noted = self.answer.came(came, self.request.is_head(), &self.link.limits);
        noted.map_err(|why| {
            self.link.known.lock().refused = Some(why);
            self.is_over = true;
            io::ErrorKind::InvalidData.into()
        })
    }

    /// Reads more of a header section, and never much beyond its limit.
    fn poll_piece(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut room = [MaybeUninit::uninit(); READ_BYTES];
        let most = buf.remaining().min(READ_BYTES);
        let mut piece = ReadBuf::uninit(room.get_mut(..most).unwrap_or_default());
        ready!(self.poll_io(cx, &mut piece))?;
        buf.put_slice(piece.filled());
        Poll::Ready(Ok(()))
    }

    /// Passes a complete connection to the pool when the engine has finished.
    fn hand_back(&mut self) {
        if let Some(io) = self.io.take() {
            self.link.pool.keep(self.link.line, io);
        }
    }
}

impl AsyncRead for OriginStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if buf.remaining() == 1 && !self.answer.awaits_head() && !self.is_over {
            self.hand_back();
            return Poll::Ready(Ok(()));
        }
        if self.answer.is_in_head() { self.poll_piece(cx, buf) } else { self.poll_io(cx, buf) }
    }
}

impl AsyncWrite for OriginStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let Some(io) = &mut this.io else { return Poll::Ready(Err(gone())) };
        if this.request.is_whole() && !this.answer.is_tunnel() && !bytes.is_empty() {
            // It would precede the next request on the connection, which may be another client's.
            this.is_over = true;
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        this.request.goes(bytes, &this.link.limits);
        let wrote = ready!(Pin::new(io).poll_write(cx, bytes));
        match &wrote {
            Ok(wrote) => this.request.went(bytes.get(..*wrote).unwrap_or(bytes)),
            Err(_) => this.is_over = true,
        }
        Poll::Ready(wrote)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Some(io) => Pin::new(io).poll_flush(cx),
            None => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.is_over = true;
        match &mut self.io {
            Some(io) => Pin::new(io).poll_shutdown(cx),
            None => Poll::Ready(Ok(())),
        }
    }
}

fn gone() -> io::Error {
    io::ErrorKind::BrokenPipe.into()
}

impl VirtualSocket for OriginStream {
    /// All options are set before the connection is made.
    fn set_socket_option(&self, _: VirtualSockOpt) -> io::Result<()> {
        Ok(())
    }
}

/// If the origin is still at work, the link decides about the connection.
impl Drop for OriginStream {
    fn drop(&mut self) {
        self.wait(false);
        let is_at_work = !self.is_over && self.request.is_whole() && self.answer.is_owed();
        if let Some(io) = self.io.take().filter(|_| is_at_work) {
            let answer = std::mem::replace(&mut self.answer, ResponseHeadReader::new());
            let rest = AbandonedResponse { io, answer, is_to_head: self.request.is_head() };
            self.link.known.lock().rest = Some(rest);
        }
    }
}
