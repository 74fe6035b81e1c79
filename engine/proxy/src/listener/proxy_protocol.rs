//! The PROXY header, in which a trusted proxy names the client of a connection.
//!
//! A proxy that forwards bytes sends this header before the first byte (HAProxy's
//! `proxy-protocol.txt`, versions 1 and 2). Only trusted proxies are read, and each connection of
//! theirs must have it. The specification forbids guessing: if the header were optional, a client
//! could write one through the proxy.
//!
//! No byte after the header is consumed, because it may be TLS. The bytes are peeked in the kernel,
//! and those that certainly belong to the header are taken. So this is a function on the bare
//! connection that runs before any other read.
//!
//! Limitation: a trusted proxy can name any address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::ProxyLimits;

/// Longest header of version 1, with its CRLF.
const TEXT_BYTES_MAX: usize = 107;
/// Start of a version 1 header.
const TEXT_START: &[u8] = b"PROXY ";
/// Start of a version 2 header.
const BINARY_START: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Bytes before the addresses in version 2.
const BINARY_FIXED: usize = 16;
/// Bytes per peek.
const PEEK_BYTES: usize = 256;
/// Type of the checksum among the additions in version 2.
const TYPE_CRC32C: u8 = 3;

/// The client of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProxyHeader {
    /// This client.
    Client(SocketAddr),
    /// The trusted proxy itself (a health check), or a peer without an internet address.
    Local,
}

/// Why no client was named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProxyHeaderError {
    /// No complete header came in time.
    Timeout,
    /// The input is not a PROXY header.
    Malformed,
    /// The peer closed.
    Closed,
}

/// The input is not a PROXY header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProxyHeaderSyntaxError;

/// Reads exactly the PROXY header with which `stream` must begin.
///
/// # Errors
/// No valid header came. The connection cannot be used then.
pub(crate) async fn read_proxy_header(
    stream: &mut TcpStream,
    limits: &ProxyLimits,
) -> Result<ProxyHeader, ProxyHeaderError> {
    let within = limits.settings.timeouts.proxy_protocol_timeout;
    let read = read(stream, limits.settings.connections.max_proxy_protocol_header_bytes);
    tokio::time::timeout(within, read).await.unwrap_or(Err(ProxyHeaderError::Timeout))
}

async fn read(stream: &mut TcpStream, bytes_max: usize) -> Result<ProxyHeader, ProxyHeaderError> {
    let mut header = ProxyHeaderParser::new(bytes_max);
    let mut room = [0; PEEK_BYTES];
    loop {
        let seen = stream.peek(&mut room).await.map_err(|_| ProxyHeaderError::Closed)?;
        if seen == 0 {
            return Err(ProxyHeaderError::Closed);
        }
        let next = room.get(..seen).unwrap_or_default();
        let (taken, whole) = header.feed(next).map_err(|_| ProxyHeaderError::Malformed)?;
        let taken = room.get_mut(..taken).unwrap_or_default();
        stream.read_exact(taken).await.map_err(|_| ProxyHeaderError::Closed)?;
        if let Some(introduced) = whole {
            return Ok(introduced);
        }
    }
}

/// Parses a header while it arrives.
#[derive(Debug)]
pub(crate) struct ProxyHeaderParser {
    bytes: Vec<u8>,
    bytes_max: usize,
}

impl ProxyHeaderParser {
    pub(crate) const fn new(bytes_max: usize) -> Self {
        Self { bytes: Vec::new(), bytes_max }
    }

    /// Takes what belongs to the header from `next`, the bytes after those it has. Returns their
    /// number, and the content of the header once it is complete.
    ///
    /// # Errors
    /// A byte is not valid at its position.
    pub(crate) fn feed(
        &mut self,
        next: &[u8],
    ) -> Result<(usize, Option<ProxyHeader>), ProxyHeaderSyntaxError> {
        match self.bytes.first().or(next.first()) {
            Some(b'P') => self.offer_text(next),
            Some(b'\r') => self.offer_binary(next),
            Some(_) => Err(ProxyHeaderSyntaxError),
            None => Ok((0, None)),
        }
    }

    fn offer_text(
        &mut self,
        next: &[u8],
    ) -> Result<(usize, Option<ProxyHeader>), ProxyHeaderSyntaxError> {
        let end = next.iter().position(|byte| *byte == b'\n');
        let taken = self.take(next, end.map_or(next.len(), |at| at + 1));
        if self.bytes.len() > TEXT_BYTES_MAX || !begins(&self.bytes, TEXT_START) {
            return Err(ProxyHeaderSyntaxError);
        }
        let said = end.map(|_| read_text(&self.bytes)).transpose()?;
        Ok((taken, said))
    }

    fn offer_binary(
        &mut self,
        next: &[u8],
    ) -> Result<(usize, Option<ProxyHeader>), ProxyHeaderSyntaxError> {
        let mut taken = self.take(next, BINARY_FIXED.saturating_sub(self.bytes.len()));
        if !begins(&self.bytes, BINARY_START) {
            return Err(ProxyHeaderSyntaxError);
        }
        let Some([high, low]) = array(&self.bytes, 14) else { return Ok((taken, None)) };
        let whole = BINARY_FIXED + usize::from(u16::from_be_bytes([high, low]));
        if whole > self.bytes_max {
            return Err(ProxyHeaderSyntaxError);
        }
        let rest = next.get(taken..).unwrap_or_default();
        taken += self.take(rest, whole.saturating_sub(self.bytes.len()));
        let said = (self.bytes.len() == whole).then(|| read_binary(&self.bytes)).transpose()?;
        Ok((taken, said))
    }

    fn take(&mut self, next: &[u8], most: usize) -> usize {
        let taken = next.get(..most).unwrap_or(next);
        self.bytes.extend_from_slice(taken);
        taken.len()
    }
}

/// Returns whether `bytes` and `start` agree on their common length.
fn begins(bytes: &[u8], start: &[u8]) -> bool {
    bytes.iter().zip(start).all(|(byte, expected)| byte == expected)
}

/// Returns `N` bytes from `at`.
fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

/// Parses version 1: `PROXY TCP4 192.0.2.1 192.0.2.2 4711 80` and CRLF.
fn read_text(bytes: &[u8]) -> Result<ProxyHeader, ProxyHeaderSyntaxError> {
    let line = bytes.strip_suffix(b"\r\n").ok_or(ProxyHeaderSyntaxError)?;
    let line = std::str::from_utf8(line).map_err(|_| ProxyHeaderSyntaxError)?;
    let rest = line.strip_prefix("PROXY ").ok_or(ProxyHeaderSyntaxError)?;
    if rest == "UNKNOWN" || rest.starts_with("UNKNOWN ") {
        return Ok(ProxyHeader::Local);
    }
    let mut words = rest.split(' ');
    let mut word = || words.next().ok_or(ProxyHeaderSyntaxError);
    let family = word()?;
    let (from, to) = (text_ip(family, word()?)?, text_ip(family, word()?)?);
    let (from, _to) = ((from, text_port(word()?)?), (to, text_port(word()?)?));
    if words.next().is_some() {
        return Err(ProxyHeaderSyntaxError);
    }
    Ok(ProxyHeader::Client(from.into()))
}

fn text_ip(family: &str, word: &str) -> Result<IpAddr, ProxyHeaderSyntaxError> {
    match family {
        "TCP4" => word.parse::<Ipv4Addr>().map(IpAddr::from).map_err(|_| ProxyHeaderSyntaxError),
        "TCP6" => word.parse::<Ipv6Addr>().map(IpAddr::from).map_err(|_| ProxyHeaderSyntaxError),
        _ => Err(ProxyHeaderSyntaxError),
    }
}

fn text_port(word: &str) -> Result<u16, ProxyHeaderSyntaxError> {
    let is_plain =
        word.bytes().all(|byte| byte.is_ascii_digit()) && (word == "0" || !word.starts_with('0'));
    if is_plain {
        word.parse().map_err(|_| ProxyHeaderSyntaxError)
    } else {
        Err(ProxyHeaderSyntaxError)
    }
}

/// Parses version 2: 16 bytes, the addresses, and additions as type, length and value.
fn read_binary(bytes: &[u8]) -> Result<ProxyHeader, ProxyHeaderSyntaxError> {
    let Some([command, family]) = array(bytes, 12) else { return Err(ProxyHeaderSyntaxError) };
    match command {
        // The rest of a LOCAL header is to be ignored.
        0x20 => return Ok(ProxyHeader::Local),
        0x21 => {}
        _ => return Err(ProxyHeaderSyntaxError),
    }
    let (introduced, addresses) = match family {
        0x11 => (ProxyHeader::Client(v4_from(bytes)?), 12),
        0x21 => (ProxyHeader::Client(v6_from(bytes)?), 36),
        // Datagrams cannot have brought this connection, and a Unix socket has no address of use
        // here.
        0x00 => (ProxyHeader::Local, 0),
        0x12 => (ProxyHeader::Local, 12),
        0x22 => (ProxyHeader::Local, 36),
        0x31 | 0x32 => (ProxyHeader::Local, 216),
        _ => return Err(ProxyHeaderSyntaxError),
    };
    check_additions(bytes, BINARY_FIXED + addresses)?;
    Ok(introduced)
}

fn v4_from(bytes: &[u8]) -> Result<SocketAddr, ProxyHeaderSyntaxError> {
    let ip: [u8; 4] = array(bytes, 16).ok_or(ProxyHeaderSyntaxError)?;
    let port = array(bytes, 24).ok_or(ProxyHeaderSyntaxError)?;
    Ok((Ipv4Addr::from(ip), u16::from_be_bytes(port)).into())
}

fn v6_from(bytes: &[u8]) -> Result<SocketAddr, ProxyHeaderSyntaxError> {
    let ip: [u8; 16] = array(bytes, 16).ok_or(ProxyHeaderSyntaxError)?;
    let port = array(bytes, 48).ok_or(ProxyHeaderSyntaxError)?;
    Ok((Ipv6Addr::from(ip), u16::from_be_bytes(port)).into())
}

/// Parses the additions from `at` on, and verifies a checksum among them.
fn check_additions(bytes: &[u8], mut at: usize) -> Result<(), ProxyHeaderSyntaxError> {
    let mut checksum_at = None;
    while at != bytes.len() {
        let [kind, high, low] = array(bytes, at).ok_or(ProxyHeaderSyntaxError)?;
        let length = usize::from(u16::from_be_bytes([high, low]));
        at += 3;
        if kind == TYPE_CRC32C && (length != 4 || checksum_at.replace(at).is_some()) {
            return Err(ProxyHeaderSyntaxError);
        }
        at += length;
        if at > bytes.len() {
            return Err(ProxyHeaderSyntaxError);
        }
    }
    let Some(at) = checksum_at else { return Ok(()) };
    let said = array(bytes, at).map(u32::from_be_bytes).ok_or(ProxyHeaderSyntaxError)?;
    let blank = |(n, byte): (usize, &u8)| if (at..at + 4).contains(&n) { 0 } else { *byte };
    let found = crc32c(bytes.iter().enumerate().map(blank));
    if found == said { Ok(()) } else { Err(ProxyHeaderSyntaxError) }
}

/// CRC-32C (RFC 3720, appendix B.4), bit by bit: a header is too short for a table to pay off.
fn crc32c(bytes: impl Iterator<Item = u8>) -> u32 {
    let crc = bytes.fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 }
        })
    });
    !crc
}

#[cfg(test)]
mod tests;
