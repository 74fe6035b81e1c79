//! A TLS client that accepts every certificate and records the one of the server.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};

use crate::wait::LONG;

/// Accepts every certificate.
#[derive(Debug)]
struct Credulous(Arc<CryptoProvider>);

impl ServerCertVerifier for Credulous {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Returns the TLS configuration of a test client.
#[must_use]
pub fn credulous(alpn: &[&str]) -> ClientConfig {
    let mut config = of_versions(rustls::DEFAULT_VERSIONS);
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    config
}

/// Returns the TLS configuration of a test client with TLS 1.2 at most.
#[must_use]
pub fn credulous_1_2() -> ClientConfig {
    of_versions(&[&rustls::version::TLS12])
}

fn of_versions(versions: &[&'static rustls::SupportedProtocolVersion]) -> ClientConfig {
    let provider = Arc::new(ring::default_provider());
    ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Credulous(provider)))
        .with_no_client_auth()
}

/// A connection over TLS.
#[derive(Debug)]
pub struct Secret(StreamOwned<ClientConnection, TcpStream>);

impl Secret {
    /// Connects with the server name `name`.
    ///
    /// # Errors
    /// The connection or the handshake is rejected.
    pub fn connect(to: SocketAddr, name: &str, config: ClientConfig) -> io::Result<Self> {
        Self::over(TcpStream::connect_timeout(&to, LONG)?, name, config)
    }

    /// Does the handshake with the server name `name`, on a connection that may have been used for
    /// a PROXY header before.
    ///
    /// # Errors
    /// The handshake is rejected.
    pub fn over(stream: TcpStream, name: &str, config: ClientConfig) -> io::Result<Self> {
        stream.set_read_timeout(Some(LONG))?;
        let name = name.to_owned().try_into().map_err(io::Error::other)?;
        let session = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
        let mut secret = Self(StreamOwned::new(session, stream));
        while secret.0.conn.is_handshaking() {
            secret.0.conn.complete_io(&mut secret.0.sock)?;
        }
        Ok(secret)
    }

    /// Returns the certificate of the server.
    #[must_use]
    pub fn certificate(&self) -> Vec<u8> {
        self.0.conn.peer_certificates().unwrap()[0].to_vec()
    }

    /// Sends a request without reading the response.
    ///
    /// # Errors
    /// The connection is closed.
    pub fn send(&mut self, request: &str) -> io::Result<()> {
        self.0.write_all(request.as_bytes())?;
        self.0.flush()
    }

    /// Sends a request and reads its response, header and body as one text. The response must have
    /// a `Content-Length`. A response to HEAD has no body.
    ///
    /// # Errors
    /// The response is incomplete.
    pub fn ask(&mut self, request: &str) -> io::Result<String> {
        self.send(request)?;
        let is_to_head = request.starts_with("HEAD ");
        let mut heard = Vec::new();
        let mut room = [0; 4_096];
        loop {
            let text = String::from_utf8_lossy(&heard).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let lower = head.to_ascii_lowercase();
                let length = lower.split("content-length: ").nth(1);
                let length = length.and_then(|rest| rest.lines().next()?.parse::<usize>().ok());
                if is_to_head || length.is_none_or(|length| body.len() >= length) {
                    return Ok(text);
                }
            }
            match self.0.read(&mut room)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => heard.extend_from_slice(&room[..n]),
            }
        }
    }
}
