//! Making connections: the one file that does, and only towards a [`Target`].

use crate::caps::OPEN_TIMEOUT_S;
use crate::guard::Target;
use crate::tally::Unopened;
use crate::tls::server_name;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustls::ClientConfig;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// A connection, in the clear or not.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// How a connection is made.
#[derive(Debug, Clone)]
pub(crate) struct Way {
    /// Where to.
    pub(crate) target: Target,
    /// The name that TLS asks for.
    pub(crate) host: String,
    /// TLS, if any.
    pub(crate) tls: Option<Arc<ClientConfig>>,
    /// The kernel's buffer for what arrives, where it is to be small.
    pub(crate) receive_buffer: Option<u32>,
}

/// Returns a TCP connection from `source`.
pub(crate) async fn tcp(way: &Way, source: IpAddr) -> Result<TcpStream, Unopened> {
    let made = async {
        let to = way.target.address();
        let socket = if to.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        if let Some(bytes) = way.receive_buffer {
            socket.set_recv_buffer_size(bytes)?;
        }
        socket.bind(SocketAddr::new(source, 0))?;
        let stream = socket.connect(to).await?;
        stream.set_nodelay(true)?;
        Ok::<_, io::Error>(stream)
    };
    match timeout(Duration::from_secs(OPEN_TIMEOUT_S), made).await {
        Err(_) => Err(Unopened::Late),
        Ok(Err(error)) => Err(kind_of(&error)),
        Ok(Ok(stream)) => Ok(stream),
    }
}

/// Returns a connection from `source`, with its TLS handshake if it has one.
pub(crate) async fn open(way: &Way, source: IpAddr) -> Result<Box<dyn Io>, Unopened> {
    secure(way, tcp(way, source).await?).await
}

/// `stream` with its TLS handshake, if it has one.
pub(crate) async fn secure(way: &Way, stream: TcpStream) -> Result<Box<dyn Io>, Unopened> {
    let Some(config) = &way.tls else { return Ok(Box::new(stream)) };
    let name = server_name(&way.host).map_err(|_| Unopened::Local)?;
    let handshake = TlsConnector::from(config.clone()).connect(name, stream);
    match timeout(Duration::from_secs(OPEN_TIMEOUT_S), handshake).await {
        Err(_) => Err(Unopened::Late),
        Ok(Err(_)) => Err(Unopened::NoHandshake),
        Ok(Ok(stream)) => Ok(Box::new(stream)),
    }
}

/// Detects that the server has ended a connection before the bytes it had sent are read.
#[derive(Debug)]
pub(crate) struct Watch(OwnedFd);

impl Watch {
    /// Of this connection; takes a descriptor.
    pub(crate) fn new(stream: &TcpStream) -> Option<Self> {
        rustix::io::dup(stream).ok().map(Self)
    }

    /// Returns whether the server has ended it, by RST or FIN.
    pub(crate) fn ended(&self) -> bool {
        let mut fds = [PollFd::new(&self.0, PollFlags::RDHUP)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        matches!(poll(&mut fds, Some(&now)), Ok(1..))
    }
}

fn kind_of(error: &io::Error) -> Unopened {
    match error.kind() {
        ErrorKind::ConnectionRefused => Unopened::Refused,
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted => Unopened::Reset,
        ErrorKind::TimedOut => Unopened::Late,
        _ => Unopened::Local,
    }
}
