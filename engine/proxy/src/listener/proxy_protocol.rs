//! The PROXY header: whom a trusted hop forwards a connection for.
//!
//! A hop that forwards bytes and not requests says in front of the first byte who connected to it
//! (HAProxy's `proxy-protocol.txt`, versions 1 and 2). Only hops that the host lists are asked, and
//! each must say it: the specification forbids guessing, and a hop that could leave the header out
//! would let whoever reaches it write one.
//!
//! Nothing behind the header is touched, because what follows may be TLS: the bytes are looked at
//! where they lie in the kernel, and those that certainly belong to the header are taken. So it is
//! a function over the bare connection, to be called before anything else reads from it.
//!
//! Where this does not protect you: a listed hop can name any address it likes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::ProxyLimits;

/// The longest header of version 1, its CRLF included.
const TEXT_BYTES_MAX: usize = 107;
/// How a header of version 1 begins.
const TEXT_START: &[u8] = b"PROXY ";
/// How a header of version 2 begins.
const BINARY_START: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Bytes before the addresses in version 2.
const BINARY_FIXED: usize = 16;
/// Bytes looked at in one go.
const PEEK_BYTES: usize = 256;
/// The type of the checksum among what a hop adds in version 2.
const TYPE_CRC32C: u8 = 3;

/// Whom a connection comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProxyHeader {
    /// From this client.
    Client(SocketAddr),
    /// From the hop itself (a health check), or from what has no address of the internet.
    Local,
}

/// Why nobody was introduced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProxyHeaderError {
    /// No whole header came in time.
    Timeout,
    /// What came is no PROXY header.
    Malformed,
    /// The hop left.
    Closed,
}

/// What is no PROXY header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProxyHeaderSyntaxError;

/// Reads exactly the PROXY header with which `stream` must begin.
///
/// # Errors
/// There is none; the connection is of no use then.
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

/// A header while it arrives.
#[derive(Debug)]
pub(crate) struct ProxyHeaderParser {
    bytes: Vec<u8>,
    bytes_max: usize,
}

impl ProxyHeaderParser {
    pub(crate) const fn new(bytes_max: usize) -> Self {
        Self { bytes: Vec::new(), bytes_max }
    }

    /// Takes what belongs to the header from `next`, the bytes behind those it has, and says how
    /// many they are; with the last of them comes what the header says.
    ///
    /// # Errors
    /// A byte that cannot stand where it stands.
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

/// Whether `bytes` begins like `start`, as far as it goes.
fn begins(bytes: &[u8], start: &[u8]) -> bool {
    bytes.iter().zip(start).all(|(byte, expected)| byte == expected)
}

/// `N` bytes from `at`.
fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

/// Version 1: `PROXY TCP4 192.0.2.1 192.0.2.2 4711 80` and CRLF.
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

/// Version 2: 16 bytes, the addresses, and what the hop adds as type, length and value.
fn read_binary(bytes: &[u8]) -> Result<ProxyHeader, ProxyHeaderSyntaxError> {
    let Some([command, family]) = array(bytes, 12) else { return Err(ProxyHeaderSyntaxError) };
    match command {
        // What a LOCAL header says besides is to be ignored.
        0x20 => return Ok(ProxyHeader::Local),
        0x21 => {}
        _ => return Err(ProxyHeaderSyntaxError),
    }
    let (introduced, addresses) = match family {
        0x11 => (ProxyHeader::Client(v4_from(bytes)?), 12),
        0x21 => (ProxyHeader::Client(v6_from(bytes)?), 36),
        // Datagrams did not bring this connection, and a Unix socket has no address of use here.
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

/// Walks over what the hop added from `at` on, and holds the bytes against a checksum among it.
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

/// CRC-32C (RFC 3720, appendix B.4), bit by bit: a header is short, and no table is kept for it.
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
