//! Parses the first message of TLS before anything is decided: the site, and the client program.
//!
//! TLS libraries do not expose the order of the extensions, from which the fingerprint is made. So
//! this file has its own parser, which only reads lengths and numbers. Its result is only trusted
//! for the server name. The library parses the same bytes again and decides about the connection.
//!
//! Sources: RFC 8446 §4.1.2 (message), RFC 8446 §5.1 (records), RFC 6066 §3 (server name), RFC 8701
//! (values without meaning, GREASE).

/// Maximum size of a ClientHello. With post-quantum keys browsers send some 2 KB; OpenSSL and
/// others stop at 16 KiB too.
pub(crate) const CLIENT_HELLO_BYTES_MAX: usize = 16 << 10;

const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const RECORD_HEADER: usize = 5;
const EXT_SERVER_NAME: u16 = 0;
pub(super) const EXT_ALPN: u16 = 16;
const EXT_SIGNATURE_ALGORITHMS: u16 = 13;
const EXT_SUPPORTED_VERSIONS: u16 = 43;

/// The first message of a client.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ParsedClientHello {
    /// The version of the message itself; 0x0303 in all that is new.
    pub(super) legacy_version: u16,
    pub(crate) ciphers: Vec<u16>,
    /// The numbers of the extensions, in their order.
    pub(crate) extensions: Vec<u16>,
    pub(super) versions: Vec<u16>,
    pub(super) signatures: Vec<u16>,
    /// The first offered protocol of the application layer.
    pub(crate) alpn: Option<Vec<u8>>,
    /// The server name, in lower case.
    pub(crate) sni: Option<Box<str>>,
}

/// Progress of parsing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ParseProgress {
    /// The message is complete.
    Complete(ParsedClientHello),
    /// More bytes must come.
    Incomplete,
    /// The input is not a ClientHello, or exceeds the maximum.
    Not,
}

/// Parses the beginning of a connection, all of it at once.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn read(bytes: &[u8]) -> ParseProgress {
    Reader::default().read(bytes)
}

/// A parser that continues where it stopped. Each byte is read once, however the bytes are spread
/// over records and reads.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    /// Content of the records so far.
    message: Vec<u8>,
    /// Bytes of these records.
    seen: usize,
}

impl Reader {
    /// Continues; `bytes` is all that came since the connection began.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> ParseProgress {
        loop {
            let rest = bytes.get(self.seen..).unwrap_or_default();
            match record(rest) {
                Record::Whole(body, behind) => {
                    self.message.extend_from_slice(body);
                    self.seen = bytes.len().saturating_sub(behind.len());
                }
                Record::More if bytes.len() < CLIENT_HELLO_BYTES_MAX => {
                    return ParseProgress::Incomplete;
                }
                Record::More | Record::Not => return ParseProgress::Not,
            }
            match handshake(&self.message) {
                Some(Some(body)) => {
                    return hello(body).map_or(ParseProgress::Not, ParseProgress::Complete);
                }
                Some(None) => {}
                None => return ParseProgress::Not,
            }
        }
    }
}

enum Record<'b> {
    Whole(&'b [u8], &'b [u8]),
    More,
    Not,
}

fn record(bytes: &[u8]) -> Record<'_> {
    let Some((head, behind)) = bytes.split_at_checked(RECORD_HEADER) else {
        let is_one = bytes.first().is_none_or(|kind| *kind == HANDSHAKE)
            && bytes.get(1).is_none_or(|major| *major == 3);
        return if is_one { Record::More } else { Record::Not };
    };
    let &[HANDSHAKE, 3, _, high, low] = head else { return Record::Not };
    let len = usize::from(u16::from_be_bytes([high, low]));
    // An empty record has no content, and a client could send them without end.
    if len == 0 || len > CLIENT_HELLO_BYTES_MAX {
        return Record::Not;
    }
    behind.split_at_checked(len).map_or(Record::More, |(body, rest)| Record::Whole(body, rest))
}

/// Returns the body of the first handshake message once it is complete; none for another message.
#[expect(clippy::option_option, reason = "not there yet is no failure")]
fn handshake(message: &[u8]) -> Option<Option<&[u8]>> {
    let Some((head, body)) = message.split_at_checked(4) else { return Some(None) };
    let &[CLIENT_HELLO, a, b, c] = head else { return None };
    let len = usize::try_from(u32::from_be_bytes([0, a, b, c])).ok()?;
    (len <= CLIENT_HELLO_BYTES_MAX).then(|| body.get(..len))
}

fn hello(body: &[u8]) -> Option<ParsedClientHello> {
    let mut reader = Fields(body);
    let legacy_version = reader.u16()?;
    reader.take(32)?;
    let session = usize::from(reader.u8()?);
    reader.take(session)?;
    let ciphers = numbers(reader.list()?)?;
    let compressions = usize::from(reader.u8()?);
    reader.take(compressions)?;
    let mut hello = ParsedClientHello { legacy_version, ciphers, ..ParsedClientHello::default() };
    // Extensions may be missing altogether.
    if !reader.0.is_empty() {
        let mut extensions = Fields(reader.list()?);
        while !extensions.0.is_empty() {
            let kind = extensions.u16()?;
            let content = extensions.list()?;
            hello.extensions.push(kind);
            hello.extension(kind, content)?;
        }
    }
    reader.0.is_empty().then_some(hello)
}

impl ParsedClientHello {
    fn extension(&mut self, kind: u16, content: &[u8]) -> Option<()> {
        let mut reader = Fields(content);
        match kind {
            EXT_SERVER_NAME => {
                let mut names = Fields(reader.list()?);
                // There is one kind of name; another parser could read a second name as the server
                // name.
                let kind = names.u8()?;
                let name = std::str::from_utf8(names.list()?).ok()?;
                if kind != 0 || !names.0.is_empty() || self.sni.is_some() {
                    return None;
                }
                // An address is not a name (RFC 6066 §3) and names no site.
                let is_address = name.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok();
                self.sni = (!is_address).then(|| name.to_ascii_lowercase().into());
            }
            EXT_ALPN => {
                let mut names = Fields(reader.list()?);
                let len = usize::from(names.u8()?);
                self.alpn = Some(names.take(len)?.to_vec());
            }
            EXT_SIGNATURE_ALGORITHMS => self.signatures = numbers(reader.list()?)?,
            EXT_SUPPORTED_VERSIONS => {
                let len = usize::from(reader.u8()?);
                self.versions = numbers(reader.take(len)?)?;
            }
            _ => {}
        }
        Some(())
    }
}

/// Returns whether a number has no meaning: servers must learn to skip unknown numbers.
pub(super) const fn is_grease(number: u16) -> bool {
    number & 0x0f0f == 0x0a0a && number >> 8 == number & 0xff
}

fn numbers(bytes: &[u8]) -> Option<Vec<u16>> {
    let pairs = bytes.chunks_exact(2);
    pairs
        .remainder()
        .is_empty()
        .then(|| pairs.filter_map(|pair| Some(u16::from_be_bytes(pair.try_into().ok()?))).collect())
}

/// Takes fields from the front of the input; returns none if it is too short.
struct Fields<'b>(&'b [u8]);

impl<'b> Fields<'b> {
    fn take(&mut self, len: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    /// Returns the content after a length of two bytes.
    fn list(&mut self) -> Option<&'b [u8]> {
        let len = usize::from(self.u16()?);
        self.take(len)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;

    /// Returns the first bytes that rustls sends to `name`.
    pub(in super::super) fn said(name: &str, alpn: &[&str]) -> Vec<u8> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        let name = name.to_owned().try_into().unwrap();
        let mut client = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn a_librarys_hello_is_read_whole_and_no_sooner() {
        let bytes = said("Alice.Example", &["h2", "http/1.1"]);
        for len in 0..bytes.len() {
            assert_eq!(read(&bytes[..len]), ParseProgress::Incomplete, "{len}");
        }
        let ParseProgress::Complete(hello) = read(&bytes) else { panic!("{bytes:?}") };
        assert_eq!(hello.sni.as_deref(), Some("alice.example"));
        assert_eq!(hello.alpn.as_deref(), Some(&b"h2"[..]));
        assert!(hello.versions.contains(&0x0304) && hello.ciphers.contains(&0x1301));
        assert!(!hello.signatures.is_empty());
    }

    #[test]
    fn a_hello_in_many_records_is_the_same() {
        let bytes = said("alice.example", &[]);
        let pieces = bytes[RECORD_HEADER..]
            .chunks(7)
            .flat_map(|piece| [&[22, 3, 1, 0, u8::try_from(piece.len()).unwrap()], piece].concat());
        assert_eq!(read(&pieces.collect::<Vec<u8>>()), read(&bytes));
    }

    #[test]
    fn what_is_no_hello_is_known_by_its_first_bytes() {
        for bytes in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"\x16\x02\x01\x00\x05",
            b"\x15\x03\x01\x00\x02\x01\x00",
            b"\x16\x03\x01\x00\x00",
            b"\x16\x03\x01\xff\xff",
            b"\x16\x03\x01\x00\x04\x02\x00\x00\x00",
            b"PRI * HTTP/2.0",
        ] {
            assert_eq!(read(bytes), ParseProgress::Not, "{bytes:?}");
        }
        // A message without end, in permitted records.
        let piece = [&[22, 3, 1, 0x20, 0][..], &[1, 0, 0x3f, 0xff], &[0; 0x1ffc]].concat();
        assert_eq!(read(&piece.repeat(3)), ParseProgress::Not);
    }

    #[test]
    fn grease_is_what_rfc_8701_lists() {
        let all: Vec<u16> = (0..=u16::MAX).filter(|n| is_grease(*n)).collect();
        assert_eq!((all.len(), all[0], all[15]), (16, 0x0a0a, 0xfafa));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_and_more_is_only_asked_for_within_the_limit(
            bytes in prop::collection::vec(any::<u8>(), 0..600), at in 0_usize..400, to in any::<u8>(),
        ) {
            let mut bent = said("alice.example", &["h2"]);
            if let Some(byte) = bent.get_mut(at) {
                *byte = to;
            }
            for bytes in [&bytes, &bent] {
                let reading = read(bytes);
                prop_assert!(reading != ParseProgress::Incomplete || bytes.len() < CLIENT_HELLO_BYTES_MAX);
            }
        }
    }
}
