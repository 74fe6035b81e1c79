//! Small servers for the tests of this program: HTTP/1.1 and HTTP/2, in the clear and over TLS.

use crate::connect::Io;
use crate::guard::{Ground, Target};
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// Returns a listener on a free port, and the target that it is.
pub(crate) async fn listener() -> (TcpListener, Target) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = Target::new(listener.local_addr().unwrap(), Ground::Loopback).unwrap();
    (listener, target)
}

/// Accepts any name, with a certificate made for the occasion.
pub(crate) fn acceptor() -> TlsAcceptor {
    let made = rcgen::generate_simple_self_signed(["alice.example".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

/// Serves HTTP/2; every response has this status.
pub(crate) async fn serve_h2<S: Io>(stream: S, status: u16) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((_, mut answer))) = connection.accept().await {
        let response = http::Response::builder().status(status).body(()).unwrap();
        let _gone = answer.send_response(response, true);
    }
}

/// Serves HTTP/1.1; every request gets a 200.
pub(crate) async fn serve_h1<S: Io>(mut stream: S) {
    let mut held = Vec::new();
    while let Ok(1..) = stream.read_buf(&mut held).await {
        while let Some(end) = held.windows(4).position(|four| four == b"\r\n\r\n") {
            held.drain(..end + 4);
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
            if stream.write_all(answer).await.is_err() || stream.flush().await.is_err() {
                return;
            }
        }
    }
}

/// Serves either, by the negotiated protocol.
pub(crate) async fn serve_tls(stream: TcpStream, acceptor: TlsAcceptor, status: u16) {
    let Ok(tls) = acceptor.accept(stream).await else { return };
    if tls.get_ref().1.alpn_protocol() == Some(b"h2") {
        serve_h2(tls, status).await;
    } else {
        serve_h1(tls).await;
    }
}

/// Serves either, by the first bytes of the client.
pub(crate) async fn serve_plain(stream: TcpStream, status: u16) {
    let mut first = [0; 3];
    if let Ok(1..) = stream.peek(&mut first).await {
        if first == *b"PRI" {
            serve_h2(stream, status).await;
        } else {
            serve_h1(stream).await;
        }
    }
}
