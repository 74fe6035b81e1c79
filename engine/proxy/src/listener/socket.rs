//! Listening sockets: bound here or inherited, and their options.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use socket2::{Domain, Protocol, Socket, Type};

use crate::ProxyLimits;

/// Applies our limits to a socket that listens already.
pub(crate) fn inherit_socket_options(
    handed: &ListeningSocket,
    limits: &ProxyLimits,
) -> io::Result<ListeningSocket> {
    let socket = socket2::SockRef::from(&*handed.socket);
    socket.set_nonblocking(true)?;
    configure_socket(&socket, limits);
    socket.listen(i32::try_from(limits.accept_backlog).unwrap_or(i32::MAX))?;
    Ok(handed.clone())
}

pub(crate) fn listen(address: SocketAddr, limits: &ProxyLimits) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart must not wait for old connections in TIME_WAIT; on Linux this never shares a port.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // Each configured address only means itself, so that `0.0.0.0` and `[::]` can both be
        // bound.
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    configure_socket(&(&socket).into(), limits);
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(limits.accept_backlog).unwrap_or(i32::MAX))?;
    Ok(socket.into())
}

/// Sets the options that every accepted connection inherits from its listener (Linux copies them).
/// An option that the system rejects is skipped.
fn configure_socket(listener: &socket2::SockRef<'_>, limits: &ProxyLimits) {
    // Header section and body leave in one write, so waiting to fill a packet only adds delay.
    let _ = listener.set_tcp_nodelay(true);
    let _ = listener.set_tcp_notsent_lowat(limits.socket_send_low_watermark_bytes);
}

/// A listening socket, and its configured address: the kernel may have chosen the port.
#[derive(Debug, Clone)]
pub struct ListeningSocket {
    /// As configured.
    pub address: SocketAddr,
    /// The socket.
    pub socket: Arc<TcpListener>,
}
