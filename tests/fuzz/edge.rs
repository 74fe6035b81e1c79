//! What must hold for any bytes that a stranger sends before there is a request: the oracles of the
//! edge's fuzz targets, and of the test that replays their seeds in every run.
//!
//! Each reader is held against one written here in another way, mostly a careless one: where ours
//! takes something, whoever reads it after us must find the same in it.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use seawall_proxy::ProxyLimits;
use seawall_proxy::fuzzing::{
    ClientHelloSummary, FrameMeter, FrameRead, HeadRead, ParseOutcome, chunked as chunks,
    client_hello, frames as frames_in, head as heads, proxy_header,
};

/// Bytes that come at a time: all, one, and some that lie across the borders inside.
const PIECES: [usize; 6] = [usize::MAX, 1, 2, 7, 13, 16];
/// Bytes of a PROXY header that are taken.
const PROXY_BYTES_MAX: usize = 2_048;

/// However a PROXY header arrives it says the same; cut anywhere it says nothing; and a second
/// reading of the bytes that were taken finds the same address.
pub(crate) fn proxy(bytes: &[u8]) {
    let (said, taken) = proxy_header(bytes, usize::MAX, PROXY_BYTES_MAX);
    for piece in PIECES {
        let (in_pieces, also) = proxy_header(bytes, piece, PROXY_BYTES_MAX);
        assert_eq!(in_pieces, said, "{piece} bytes at a time");
        assert!(also == taken || said == ParseOutcome::Invalid(()), "{piece} bytes at a time");
    }
    match said {
        ParseOutcome::Complete(address) => {
            for cut in 0..taken {
                assert_eq!(
                    proxy_header(&bytes[..cut], 64, PROXY_BYTES_MAX),
                    (ParseOutcome::Incomplete, cut)
                );
            }
            assert_eq!(introduced(&bytes[..taken]), address);
        }
        ParseOutcome::Incomplete => assert!(taken == bytes.len() && taken < PROXY_BYTES_MAX),
        ParseOutcome::Invalid(()) => {}
    }
}

/// Whom a sound header names.
fn introduced(header: &[u8]) -> Option<SocketAddr> {
    if header[0] == b'P' {
        let line = std::str::from_utf8(header).unwrap();
        let words: Vec<&str> = line.trim_ascii_end().split(' ').collect();
        if words[1] == "UNKNOWN" {
            return None;
        }
        let ips = [words[2], words[3]].map(|word| word.parse::<IpAddr>().unwrap());
        let ports = [words[4], words[5]].map(|word| word.parse::<u16>().unwrap());
        assert!(ips.iter().all(|ip| ip.is_ipv4() == (words[1] == "TCP4")), "{line}");
        if words[1] == "TCP4" {
            // There is one way to write it.
            let again = format!("PROXY TCP4 {} {} {} {}\r\n", ips[0], ips[1], ports[0], ports[1]);
            assert_eq!(again, line);
        }
        return Some((ips[0], ports[0]).into());
    }
    assert_eq!(header.len(), 16 + usize::from(u16::from_be_bytes([header[14], header[15]])));
    let port = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    match (header[12], header[13]) {
        (0x21, 0x11) => {
            let ip: [u8; 4] = header[16..20].try_into().unwrap();
            Some((Ipv4Addr::from(ip), port(24)).into())
        }
        (0x21, 0x21) => {
            let ip: [u8; 16] = header[16..32].try_into().unwrap();
            Some((Ipv6Addr::from(ip), port(48)).into())
        }
        _ => None,
    }
}

/// A ClientHello has an end; before it there is nothing, behind it all is one; however its message
/// is laid into records it is the same; and the TLS library finds the same name in it.
pub(crate) fn hello(bytes: &[u8]) {
    let said = client_hello(bytes);
    let step = bytes.len() / 300 + 1;
    for cut in (0..bytes.len()).step_by(step) {
        let sooner = client_hello(&bytes[..cut]);
        assert!(
            sooner == ParseOutcome::Incomplete || sooner == said,
            "{cut} of {} bytes",
            bytes.len()
        );
    }
    let ParseOutcome::Complete(heard) = &said else { return };
    assert!(is_print(&heard.ja4), "{}", heard.ja4);
    assert_eq!(client_hello(&[bytes, b"\x16\x03\x01\x00\x05more"].concat()), said);
    if let Some(message) = message(bytes) {
        for piece in [1, 100, 16_000] {
            let again: Vec<u8> = message.chunks(piece).flat_map(record).collect();
            // In records of a byte each it may be longer than what is waited for.
            if again.len() < 16 << 10 {
                assert_eq!(client_hello(&again), said, "records of {piece} bytes");
            }
        }
    }
    if let Some((sni, alpn)) = library(bytes) {
        assert_eq!((&sni, &alpn), (&heard.sni, &heard.alpn), "the library reads otherwise");
    }
}

/// Whether `text` has the form of a JA4: `t13d1516h2_8daaf6152771_e5627efa2ab1`.
fn is_print(text: &str) -> bool {
    let parts: Vec<&str> = text.split('_').collect();
    let is_hash = |part: &&str| part.len() == 12 && part.bytes().all(|b| b.is_ascii_hexdigit());
    let [head, of_ciphers, of_extensions] = parts[..] else { return false };
    head.len() == 10
        && head.starts_with('t')
        && head[4..8].bytes().all(|b| b.is_ascii_digit())
        && head.bytes().all(|b| b.is_ascii_alphanumeric())
        && [of_ciphers, of_extensions].iter().all(is_hash)
}

fn record(body: &[u8]) -> Vec<u8> {
    let len = u16::try_from(body.len()).unwrap().to_be_bytes();
    [&[22, 3, 1], &len[..], body].concat()
}

/// The first handshake message in the records of `bytes`.
fn message(mut bytes: &[u8]) -> Option<Vec<u8>> {
    let mut message: Vec<u8> = Vec::new();
    loop {
        let len = usize::from(u16::from_be_bytes([*bytes.get(3)?, *bytes.get(4)?]));
        message.extend(bytes.get(5..5 + len)?);
        bytes = &bytes[5 + len..];
        if let Some([a, b, c]) = message.get(1..4) {
            let len = 4 + u32::from_be_bytes([0, *a, *b, *c]) as usize;
            if message.len() >= len {
                message.truncate(len);
                return Some(message);
            }
        }
    }
}

/// Name and first protocol as the library reads them that answers, where it takes them.
fn library(bytes: &[u8]) -> Option<(Option<String>, Option<Vec<u8>>)> {
    let mut acceptor = rustls::server::Acceptor::default();
    let mut left = bytes;
    loop {
        let read = acceptor.read_tls(&mut left).ok()?;
        if let Some(accepted) = acceptor.accept().ok()? {
            let hello = accepted.client_hello();
            let sni = hello.server_name().map(str::to_ascii_lowercase);
            let alpn = hello.alpn().and_then(|mut all| all.next()).map(<[u8]>::to_vec);
            return Some((sni, alpn));
        }
        if read == 0 {
            return None;
        }
    }
}

/// Pairs of bytes are cipher suites and, behind a NUL pair, extensions of no content. A client that
/// says them in another order, with values among them that mean nothing, has the same fingerprint;
/// one that says one more has another.
pub(crate) fn print(bytes: &[u8]) {
    let numbers: Vec<u16> =
        bytes.chunks_exact(2).map(|two| u16::from_be_bytes([two[0], two[1]])).take(90).collect();
    let split = numbers.iter().position(|n| *n == 0).unwrap_or(numbers.len());
    let ciphers = numbers[..split].to_vec();
    // Those whose content is read have one; and each stands there once.
    let read = [0, 13, 16, 43];
    let mut extensions = numbers[split..].to_vec();
    extensions.retain(|n| !read.contains(n));
    let heard = |ciphers: &[u16], extensions: &[u16]| -> ClientHelloSummary {
        match client_hello(&made(ciphers, extensions)) {
            ParseOutcome::Complete(heard) => heard,
            other => panic!("{other:?} of {ciphers:?} {extensions:?}"),
        }
    };
    let plain = heard(&ciphers, &extensions);
    assert_eq!((&plain.ciphers, &plain.extensions), (&ciphers, &extensions));
    let turned = |numbers: &[u16], grease: u16| -> Vec<u16> {
        numbers.iter().rev().copied().chain([grease]).collect()
    };
    let other = heard(&turned(&ciphers, 0x1a1a), &turned(&extensions, 0xfafa));
    assert_eq!(other.ja4, plain.ja4);
    let more = heard(&[&ciphers[..], &[0x1301]].concat(), &extensions);
    assert_ne!(more.ja4, plain.ja4);
}

/// A ClientHello of these, each extension without a content.
fn made(ciphers: &[u16], extensions: &[u16]) -> Vec<u8> {
    let pairs = |numbers: &[u16]| numbers.iter().flat_map(|n| n.to_be_bytes()).collect::<Vec<_>>();
    let listed = |bytes: Vec<u8>| {
        let len = u16::try_from(bytes.len()).unwrap().to_be_bytes();
        [&len[..], &bytes].concat()
    };
    let extensions = extensions.iter().flat_map(|n| [&n.to_be_bytes()[..], &[0, 0]].concat());
    let body = [
        &[3, 3][..],
        &[7; 32],
        &[0],
        &listed(pairs(ciphers)),
        &[1, 0],
        &listed(extensions.collect()),
    ]
    .concat();
    let len = u32::try_from(body.len()).unwrap().to_be_bytes();
    record(&[&[1], &len[1..], &body].concat())
}

/// However a head arrives it is the same, and one that is taken has one reading: cut anywhere it is
/// none; written anew from what was read it is read so again; a careless reader finds the same
/// host and length; and the engine takes it.
pub(crate) fn head(bytes: &[u8]) {
    let limits = ProxyLimits::default();
    let said = heads(bytes, usize::MAX, &limits);
    for piece in PIECES {
        let in_pieces = heads(bytes, piece, &limits);
        let both_bad =
            matches!((&in_pieces, &said), (ParseOutcome::Invalid(_), ParseOutcome::Invalid(_)));
        assert!(both_bad || in_pieces == said, "{piece} bytes at a time: {in_pieces:?}, {said:?}");
    }
    let ParseOutcome::Complete(read) = said else { return };
    let own = &bytes[..read.bytes];
    for cut in 0..own.len() {
        assert_eq!(
            heads(&own[..cut], usize::MAX, &limits),
            ParseOutcome::Incomplete,
            "cut at {cut}"
        );
    }
    let again = written(&read, own);
    let ParseOutcome::Complete(same) = heads(&again, usize::MAX, &limits) else {
        panic!("not taken again: {}", again.escape_ascii())
    };
    assert_eq!(HeadRead { bytes: read.bytes, ..same }, read);
    let found = Careless::read(own);
    assert_eq!(found.lengths, Vec::from_iter(read.length.filter(|_| !found.lengths.is_empty())));
    assert!(found.encodings.len() == usize::from(read.length.is_none()), "{found:?}");
    assert!(found.lengths.is_empty() || found.encodings.is_empty(), "{found:?}");
    assert_eq!(found.hosts, Vec::from_iter(read.host.clone()), "{found:?}");
    assert_eq!(found.fields, read.fields.len());
}

/// A head that says what was read.
fn written(read: &HeadRead, own: &[u8]) -> Vec<u8> {
    let line = own.split(|byte| *byte == b'\r').next().unwrap();
    let version = line.rsplit(|byte| *byte == b' ').next().unwrap();
    let query = read.query.as_ref().map(|query| [b"?", &query[..]].concat()).unwrap_or_default();
    let start = [read.method.as_bytes(), b" ", &read.path, &query, b" ", version, b"\r\n"].concat();
    let fields = read
        .fields
        .iter()
        .flat_map(|(name, value)| [name.as_bytes(), b":", value, b"\r\n"].concat());
    start.into_iter().chain(fields).chain(*b"\r\n").collect()
}

/// What somebody finds in a head who ends a line at any line end or control character, passes over
/// any white space, and takes `_` for `-`.
#[derive(Debug, Default)]
struct Careless {
    lengths: Vec<u64>,
    encodings: Vec<Vec<u8>>,
    hosts: Vec<Vec<u8>>,
    fields: usize,
}

impl Careless {
    fn read(head: &[u8]) -> Self {
        let mut found = Self::default();
        let is_end = |byte: &u8| *byte < b' ' && *byte != b'\t';
        for line in head.split(is_end).filter(|line| !line.is_empty()).skip(1) {
            let colon = line.iter().position(|byte| *byte == b':');
            let (name, value) = line.split_at(colon.unwrap_or(line.len()));
            let value = value.get(1..).unwrap_or_default().trim_ascii().to_vec();
            let name = name.trim_ascii().to_ascii_lowercase();
            let name = String::from_utf8_lossy(&name).replace('_', "-");
            found.fields += 1;
            match &*name {
                "content-length" => found.lengths.push(careless_number(&value)),
                "transfer-encoding" => found.encodings.push(value),
                "host" => found.hosts.push(value),
                _ => {}
            }
        }
        found
    }
}

/// As C's `strtoull` reads it.
fn careless_number(value: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(value);
    let text = text.trim().trim_start_matches('+');
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    text[..digits].parse().unwrap_or(u64::MAX)
}

/// A chunked body ends at one place however it arrives, not before, and where a careless reader
/// sees its end too.
pub(crate) fn chunked(bytes: &[u8]) {
    let limits = ProxyLimits::default();
    let said = chunks(bytes, usize::MAX, &limits);
    for piece in PIECES {
        assert_eq!(chunks(bytes, piece, &limits), said, "{piece} bytes at a time");
    }
    let ParseOutcome::Complete(len) = said else { return };
    for cut in 0..len {
        assert_eq!(
            chunks(&bytes[..cut], usize::MAX, &limits),
            ParseOutcome::Incomplete,
            "cut at {cut}"
        );
    }
    assert_eq!(careless_end(bytes), Some(len), "{}", bytes.escape_ascii());
}

/// Where somebody sees a chunked body end who takes any line end and any sizes with anything around.
fn careless_end(bytes: &[u8]) -> Option<usize> {
    let line = |at: usize| -> Option<(&[u8], usize)> {
        let rest = bytes.get(at..)?;
        let end = rest.iter().position(|byte| *byte == b'\n')?;
        Some((rest[..end].trim_ascii(), at + end + 1))
    };
    let mut at = 0;
    loop {
        let (size, behind) = line(at)?;
        let size = size.strip_prefix(b"0x").unwrap_or(size);
        let digits = size.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let size = std::str::from_utf8(&size[..digits]).ok()?;
        let size = usize::from_str_radix(size, 16).ok()?;
        at = behind;
        if size == 0 {
            break;
        }
        at = line(at.checked_add(size)?)?.1;
    }
    loop {
        let (trailer, behind) = line(at)?;
        at = behind;
        if trailer.is_empty() {
            return Some(at);
        }
    }
}

/// Bytes that a client says before its first frame.
const PREFACE: usize = 24;

/// Each frame whose beginning has come is told once, as it stands there, however it arrives.
pub(crate) fn frames(bytes: &[u8]) {
    for client in [true, false] {
        let said = frames_in(bytes, usize::MAX, client);
        for piece in PIECES {
            assert_eq!(frames_in(bytes, piece, client), said, "{piece} bytes at a time");
        }
        let skipped = if client { PREFACE } else { 0 };
        let told = told(bytes.get(skipped..).unwrap_or_default());
        assert_eq!(said.0, told.iter().map(|(_, frame)| *frame).collect::<Vec<_>>());
    }
}

/// The frames of which the head and what stands behind it have come, with their kinds.
fn told(bytes: &[u8]) -> Vec<(u8, FrameRead)> {
    let (mut at, mut found) = (0, Vec::new());
    while let Some([a, b, c, kind, flags, s0, s1, s2, s3]) = bytes.get(at..at + 9) {
        let len = u32::from_be_bytes([0, *a, *b, *c]);
        let looked = (len as usize).min(4);
        let Some(payload) = bytes.get(at + 9..at + 9 + looked) else { break };
        let mut begins = [0; 4];
        begins[..looked].copy_from_slice(payload);
        let frame = FrameRead {
            stream: u32::from_be_bytes([*s0, *s1, *s2, *s3]) & 0x7fff_ffff,
            len,
            ends_stream: flags & 1 == 1,
            ends_headers: flags & 4 == 4,
            begins: u32::from_be_bytes(begins),
        };
        found.push((*kind, frame));
        at += 9 + len as usize;
    }
    found
}

/// Limits that some bytes can reach.
fn small() -> ProxyLimits {
    let mut limits = ProxyLimits {
        h2_max_concurrent_streams: 3,
        h2_max_client_resets: 2,
        h2_max_server_resets: 2,
        h2_max_oversized_headers: 2,
        h2_max_pings_per_second: 3,
        h2_max_settings_per_second: 3,
        h2_max_priority_per_second: 3,
        h2_max_window_updates_per_second: 3,
        h2_max_glitches_per_second: 3,
        h2_max_continuation_frames: 2,
        ..ProxyLimits::default()
    };
    limits.settings.connections.max_requests_per_connection = 8;
    limits
}

/// Streams that the meter remembers beside those that may be open.
const SPARE: usize = 64;

/// A byte says how many bytes follow (four for each of its upper bits) and in which direction they
/// go (its lowest). A tenth of a second lies between two such pieces. The meter says the same
/// however they arrive, remembers no more than it may, and raises an alarm where somebody who only
/// counts sees a limit broken, and nowhere else.
pub(crate) fn meter(bytes: &[u8]) {
    let (mut whole, mut single) = (FrameMeter::new(small()), FrameMeter::new(small()));
    let (mut from, mut to) = (Vec::new(), Vec::new());
    let mut spans = Vec::new();
    let mut rest = bytes;
    for step in 0_u64.. {
        let Some((control, behind)) = rest.split_first() else { break };
        let len = (usize::from(control >> 1) * 4).min(behind.len());
        let (piece, behind) = behind.split_at(len);
        rest = behind;
        let now_ms = step * 100;
        let is_inbound = control & 1 == 0;
        let send = |meter: &mut FrameMeter, piece: &[u8]| {
            if is_inbound { meter.came(piece, now_ms) } else { meter.went(piece) }
        };
        let fault = send(&mut whole, piece);
        let also = piece.chunks(1).find_map(|byte| send(&mut single, byte));
        assert_eq!(fault, also, "at once and byte by byte");
        if is_inbound {
            let before = frames_in(&from, usize::MAX, true).0.len();
            from.extend_from_slice(piece);
            let frames = told(from.get(PREFACE..).unwrap_or_default());
            spans.extend(frames[before..].iter().map(|frame| (now_ms / 1_000, *frame)));
        } else {
            to.extend_from_slice(piece);
        }
        if let Some(fault) = fault {
            assert!(is_broken(&fault, &spans, &told(&to)), "{fault} of {spans:?}");
            return;
        }
        for certain in ["Flood", "Pieces"] {
            assert!(!is_broken(certain, &spans, &[]), "no {certain} of {spans:?}");
        }
        assert_eq!(whole.says(), single.says(), "at once and byte by byte");
        let says = whole.says();
        assert!(
            says.awaited <= says.open
                && says.open <= small().h2_max_concurrent_streams as usize + SPARE
        );
        assert!(says.resets <= small().h2_max_client_resets);
    }
}

/// A frame of the client, with the second in which it came.
type Dated = (u64, (u8, FrameRead));

/// Whether somebody who only counts sees this limit broken.
fn is_broken(fault: &str, inbound: &[Dated], outbound: &[(u8, FrameRead)]) -> bool {
    let limits = small();
    let count = |kind: u8| inbound.iter().filter(|(_, (k, _))| *k == kind).count();
    let above = |count: usize, most: u32| count > most as usize;
    match fault {
        "Resets" => above(count(3), limits.h2_max_client_resets),
        "MadeToReset" => {
            let made = outbound.iter().filter(|(kind, _)| *kind == 3).count();
            above(made, limits.h2_max_server_resets)
        }
        "OversizedHeaders" => {
            let sent = outbound.iter().filter(|(kind, _)| matches!(kind, 0 | 1)).count();
            above(sent, limits.h2_max_oversized_headers)
        }
        "TooMany" => above(count(1), limits.settings.connections.max_requests_per_connection * 2),
        "Pieces" => {
            let block = |frames: &[Dated]| {
                let pieces = frames.iter().filter(|(_, (kind, _))| *kind == 9).count();
                above(pieces, limits.h2_max_continuation_frames)
            };
            inbound.split(|(_, (kind, _))| *kind == 1).any(block)
        }
        "Flood" => {
            let mut seconds: HashMap<(u64, u8), usize> = HashMap::new();
            for (second, (kind, frame)) in inbound {
                let group = match *kind {
                    0 if frame.len == 0 && !frame.ends_stream => u8::MAX,
                    6 if frame.ends_stream => continue,
                    0 | 1 | 3 | 9 => continue,
                    2 | 4 | 6 | 8 => *kind,
                    _ => u8::MAX,
                };
                *seconds.entry((*second, group)).or_default() += 1;
            }
            // One figure for all kinds.
            seconds.values().any(|count| above(*count, limits.h2_max_pings_per_second))
        }
        other => panic!("{other} is no limit"),
    }
}
