//! TLS: server name, fingerprint, and the handshake under a deadline.
//!
//! The ClientHello is read before the library gets it, so that a connection has a site and a
//! fingerprint from its first bytes. The library then gets the same bytes. We use rustls, since it
//! has no renegotiation and parses untrusted bytes without unsafe code. Clients keep the session
//! tickets, not the server. Nothing is accepted before the handshake is complete (no early data,
//! because an attacker can replay it).

pub(crate) mod certificates;
pub(crate) mod client_hello;
pub(crate) mod ja4;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::BytesMut;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, SupportedProtocolVersion};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

pub use certificates::{CertificateError, CertificateSet};

use crate::connection::io::DownstreamTls;
use crate::connection::rewind::Rewind;
use client_hello::{CLIENT_HELLO_BYTES_MAX, ParseProgress};

/// Supported versions; older ones are broken (RFC 8996).
const VERSIONS: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS13, &rustls::version::TLS12];
/// Tickets for a client of TLS 1.3: one for each connection of a browser's usual pair.
const TICKETS: usize = 2;
/// Bytes that a session buffers if its client does not read.
const UNSENT_BYTES_MAX: usize = 16 << 10;
/// Bytes per read.
const READ_BYTES: usize = 4_096;

/// What a TLS connection negotiated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TlsInfo {
    /// The server name, normalized like hosts.
    pub(crate) sni: Option<Box<str>>,
    /// The JA4 fingerprint.
    pub(crate) ja4: Box<str>,
    /// The negotiated version.
    pub(crate) version: &'static str,
    /// Whether HTTP/2 was negotiated.
    pub(crate) is_h2: bool,
}

/// Why there is no TLS connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HandshakeError {
    /// The input is not a ClientHello.
    NotTls,
    /// The client closed, or the library rejected the handshake.
    Handshake,
    /// The handshake exceeded its timeout.
    Timeout,
    /// The site has reached its share of connections.
    Rejected,
}

/// The active certificates; replaced in one step.
#[derive(Debug)]
pub struct CertificateStore(ArcSwap<CertificateSet>);

impl CertificateStore {
    /// Starts with these certificates.
    #[must_use]
    pub fn new(identities: CertificateSet) -> Self {
        Self(ArcSwap::from_pointee(identities))
    }

    /// Uses these certificates from the next handshake on.
    pub fn set_certificates(&self, identities: CertificateSet) {
        self.0.store(Arc::new(identities));
    }
}

impl ResolvesServerCert for CertificateStore {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.load().resolve(hello)
    }
}

/// Terminates TLS.
#[derive(Clone)]
pub(crate) struct TlsTerminator {
    acceptor: TlsAcceptor,
    within: Duration,
    reads_max: u32,
}

impl std::fmt::Debug for TlsTerminator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsTerminator").field("within", &self.within).finish_non_exhaustive()
    }
}

impl TlsTerminator {
    /// Uses the certificates in `shown`. A handshake has the timeout `within`, and a limit on the
    /// reads of its first message.
    ///
    /// # Errors
    /// The system provides no random bytes for the keys of tickets.
    pub(crate) fn new(
        shown: Arc<CertificateStore>,
        within: Duration,
        reads_max: u32,
    ) -> io::Result<Self> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&VERSIONS)
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_cert_resolver(shown);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config.ticketer = rustls::crypto::ring::Ticketer::new().map_err(io::Error::other)?;
        config.send_tls13_tickets = TICKETS;
        config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        config.max_early_data_size = 0;
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), within, reads_max })
    }

    /// Reads the ClientHello and completes the handshake if the connection to that name
    /// `is_welcome`: the limits are checked before the costly signature.
    pub(crate) async fn accept(
        &self,
        io: TcpStream,
        is_welcome: impl Fn(Option<&str>) -> bool,
    ) -> Result<(Box<DownstreamTls>, TlsInfo), HandshakeError> {
        let _ = io.set_zero_linger();
        match tokio::time::timeout(self.within, self.complete_handshake(io, is_welcome)).await {
            Ok(agreed) => agreed,
            Err(_) => Err(HandshakeError::Timeout),
        }
    }

    async fn complete_handshake(
        &self,
        mut io: TcpStream,
        is_welcome: impl Fn(Option<&str>) -> bool,
    ) -> Result<(Box<DownstreamTls>, TlsInfo), HandshakeError> {
        let (hello, heard) = read_client_hello(&mut io, self.reads_max).await?;
        if !is_welcome(hello.sni.as_deref()) {
            return Err(HandshakeError::Rejected);
        }
        // The signature is a step of its own, which may be throttled for its site.
        tokio::task::yield_now().await;
        let stream = Rewind::new(heard, io);
        let bounded = |session: &mut rustls::ServerConnection| {
            session.set_buffer_limit(Some(UNSENT_BYTES_MAX));
        };
        let agreed = self.acceptor.accept_with(stream, bounded).await;
        let agreed = agreed.map_err(|_| HandshakeError::Handshake)?;
        let (below, session) = agreed.get_ref();
        below.linger_politely();
        let spoken = TlsInfo {
            ja4: ja4::ja4(&hello).into(),
            sni: hello.sni,
            version: match session.protocol_version() {
                Some(rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3",
                _ => "TLSv1.2",
            },
            is_h2: session.alpn_protocol() == Some(b"h2"),
        };
        Ok((Box::new(agreed), spoken))
    }
}

/// Reads until a ClientHello is complete.
pub(crate) async fn read_client_hello(
    io: &mut (impl AsyncRead + Unpin),
    reads_max: u32,
) -> Result<(client_hello::ParsedClientHello, BytesMut), HandshakeError> {
    let mut heard = BytesMut::new();
    let mut reader = client_hello::Reader::default();
    let mut reads: u32 = 0;
    loop {
        match reader.read(&heard) {
            ParseProgress::Complete(hello) => return Ok((hello, heard)),
            ParseProgress::Not => return Err(HandshakeError::NotTls),
            ParseProgress::Incomplete => {}
        }
        if heard.len() >= CLIENT_HELLO_BYTES_MAX || reads >= reads_max {
            return Err(HandshakeError::NotTls);
        }
        heard.reserve(READ_BYTES);
        match io.read_buf(&mut heard).await {
            Ok(0) | Err(_) => return Err(HandshakeError::Handshake),
            Ok(_) => reads = reads.saturating_add(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;

    #[tokio::test]
    async fn a_hello_has_its_reads_and_not_one_more() {
        let message = client_hello::tests::said("alice.example", &["h2"]);
        let reads = u32::try_from(message.len()).unwrap();
        for (reads_max, is_heard) in [(reads, true), (reads - 1, false)] {
            // Through a pipe of one byte each byte is a read.
            let (mut client, mut server) = tokio::io::duplex(1);
            let bytes = message.clone();
            let says = tokio::spawn(async move { client.write_all(&bytes).await });
            assert_eq!(
                read_client_hello(&mut server, reads_max).await.is_ok(),
                is_heard,
                "{reads_max}"
            );
            says.abort();
        }
    }
}
