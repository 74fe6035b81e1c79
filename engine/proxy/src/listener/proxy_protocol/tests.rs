//! Each form of the header, each way to be invalid, and any bytes in any pieces.

use std::time::Duration;

use proptest::prelude::*;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::*;

const MAX: usize = 2_048;

/// Parses `bytes`; returns the header and its length.
fn read_all(bytes: &[u8]) -> Result<(usize, Option<ProxyHeader>), ProxyHeaderSyntaxError> {
    ProxyHeaderParser::new(MAX).feed(bytes)
}

/// Returns the same for bytes in pieces of these lengths. Bytes that were not taken are offered
/// again, as the kernel does.
fn read_pieces(
    bytes: &[u8],
    lengths: &[usize],
) -> Result<(usize, Option<ProxyHeader>), ProxyHeaderSyntaxError> {
    let mut header = ProxyHeaderParser::new(MAX);
    let (mut taken, mut here) = (0, 0);
    for length in lengths.iter().copied().chain([bytes.len()]) {
        here = bytes.len().min(here + length);
        let (more, said) = header.feed(&bytes[taken..here])?;
        taken += more;
        if said.is_some() {
            return Ok((taken, said));
        }
    }
    Ok((taken, None))
}

fn client(address: &str) -> Option<ProxyHeader> {
    Some(ProxyHeader::Client(address.parse().unwrap()))
}

/// Returns a version 2 header.
fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [BINARY_START, &[command, family], &length, rest].concat()
}

/// The addresses of a client `192.0.2.7:4711`.
const V4: [u8; 12] = [192, 0, 2, 7, 198, 51, 100, 1, 0x12, 0x67, 0, 80];

fn v6() -> Vec<u8> {
    let ip = |text: &str| text.parse::<Ipv6Addr>().unwrap().octets();
    [&ip("2001:db8::7")[..], &ip("2001:db8::1"), &[0x12, 0x67, 0, 80]].concat()
}

/// Returns a header with a valid or an invalid checksum.
fn with_checksum(wrong_by: u32) -> Vec<u8> {
    let mut bytes =
        binary(0x21, 0x11, &[&V4[..], &[4, 0, 1, 9], &[TYPE_CRC32C, 0, 4, 0, 0, 0, 0]].concat());
    let sum = crc32c(bytes.iter().copied()).wrapping_add(wrong_by);
    let at = bytes.len() - 4;
    bytes[at..].copy_from_slice(&sum.to_be_bytes());
    bytes
}

#[test]
fn the_checksum_is_the_one_of_the_specification() {
    // RFC 3720, appendix B.4: 32 bytes of zeroes.
    assert_eq!(crc32c([0; 32].into_iter()), 0x8a91_36aa);
}

#[test]
fn each_form_says_who_connected_and_takes_no_byte_more() {
    for (header, expected) in [
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 80\r\n".to_vec(), client("192.0.2.7:4711")),
        (b"PROXY TCP6 2001:db8::7 2001:db8::1 4711 0\r\n".to_vec(), client("[2001:db8::7]:4711")),
        (b"PROXY UNKNOWN\r\n".to_vec(), Some(ProxyHeader::Local)),
        (b"PROXY UNKNOWN ffff::1 whatever 1 2\r\n".to_vec(), Some(ProxyHeader::Local)),
        (binary(0x21, 0x11, &V4), client("192.0.2.7:4711")),
        (binary(0x21, 0x21, &v6()), client("[2001:db8::7]:4711")),
        (binary(0x21, 0x11, &[&V4[..], &[0xea, 0, 2, 1, 2]].concat()), client("192.0.2.7:4711")),
        (with_checksum(0), client("192.0.2.7:4711")),
        (binary(0x20, 0x00, &[]), Some(ProxyHeader::Local)),
        (binary(0x20, 0x11, &V4), Some(ProxyHeader::Local)),
        (binary(0x20, 0x77, b"anything"), Some(ProxyHeader::Local)),
        (binary(0x21, 0x00, &[]), Some(ProxyHeader::Local)),
        (binary(0x21, 0x12, &V4), Some(ProxyHeader::Local)),
        (binary(0x21, 0x31, &[0; 216]), Some(ProxyHeader::Local)),
    ] {
        let bytes = [&header[..], b"\r\nPROXY GET \x16\x03"].concat();
        let found = read_all(&bytes);
        assert_eq!(found, Ok((header.len(), expected)), "{}", header.escape_ascii());
        let single = vec![1; bytes.len()];
        assert_eq!(read_pieces(&bytes, &single), found, "{}", header.escape_ascii());
    }
}

#[test]
fn what_is_no_header_is_refused() {
    for bytes in [
        &b"GET / HTTP/1.1\r\n"[..],
        b"POST / HTTP/1.1\r\n",
        b"\x16\x03\x01",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 80\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 4711\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 80 1\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 80 \r\n",
        b"PROXY TCP4  192.0.2.7 198.51.100.1 4711 80\r\n",
        b"PROXY  TCP4 192.0.2.7 198.51.100.1 4711 80\r\n",
        b"PROXY TCP4 192.0.2.07 198.51.100.1 4711 80\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 04711 80\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 +4711 80\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 65536 80\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 65536\r\n",
        b"PROXY TCP4 2001:db8::7 2001:db8::1 4711 80\r\n",
        b"PROXY TCP6 192.0.2.7 198.51.100.1 4711 80\r\n",
        b"PROXY TCP5 192.0.2.7 198.51.100.1 4711 80\r\n",
        b"PROXY UNKNOWNX\r\n",
        b"PROXY \r\n",
        b"proxy TCP4 192.0.2.7 198.51.100.1 4711 80\r\n",
        b"PROXY TCP4 192.0.2.7\0 198.51.100.1 4711 80\r\n",
        b"\r\n\r\n\0\r\nQUIT\r",
        &binary(0x11, 0x11, &V4),
        &binary(0x22, 0x11, &V4),
        &binary(0x21, 0x13, &V4),
        &binary(0x21, 0x41, &V4),
        &binary(0x21, 0x11, &V4[..11]),
        &binary(0x21, 0x21, &v6()[..35]),
        &binary(0x21, 0x31, &[0; 215]),
        &binary(0x21, 0x11, &[&V4[..], &[4]].concat()),
        &binary(0x21, 0x11, &[&V4[..], &[4, 0, 2, 9]].concat()),
        &binary(0x21, 0x11, &[&V4[..], &[TYPE_CRC32C, 0, 3, 0, 0, 0]].concat()),
        &binary(0x21, 0x00, &[1, 2]),
        &with_checksum(1),
    ] {
        assert_eq!(read_all(bytes), Err(ProxyHeaderSyntaxError), "{}", bytes.escape_ascii());
        assert_eq!(read_pieces(bytes, &vec![1; bytes.len()]), Err(ProxyHeaderSyntaxError));
    }
}

#[test]
fn a_header_ends_at_its_limit() {
    let text = |bytes: usize| {
        let start = "PROXY UNKNOWN ";
        format!("{start}{}\r\n", "x".repeat(bytes - start.len() - 2))
    };
    assert_eq!(read_all(text(107).as_bytes()), Ok((107, Some(ProxyHeader::Local))));
    assert_eq!(read_all(text(108).as_bytes()), Err(ProxyHeaderSyntaxError));
    // Without a line end it is rejected as soon as it is too long.
    assert_eq!(read_all(&text(200).as_bytes()[..108]), Err(ProxyHeaderSyntaxError));
    let binary = |bytes: usize| binary(0x20, 0, &vec![0; bytes - BINARY_FIXED]);
    assert_eq!(read_all(&binary(MAX)), Ok((MAX, Some(ProxyHeader::Local))));
    assert_eq!(read_all(&binary(MAX + 1)), Err(ProxyHeaderSyntaxError));
    // The error comes once the length is there, and not after the whole header.
    assert_eq!(read_all(&binary(MAX + 1)[..BINARY_FIXED]), Err(ProxyHeaderSyntaxError));
}

/// Returns the bytes that are a header, almost one, or anything.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let anything = || prop::collection::vec(any::<u8>(), 0..300);
    let text = "PROXY (TCP4|TCP6|UNKNOWN|UDP) ?[0-9a-f:.]{0,20} [0-9a-f:.]{0,20} [0-9]{0,6} [0-9]{1,5}\r?\n";
    let sound = (any::<[u8; 4]>(), any::<u16>()).prop_map(|(ip, port)| {
        format!("PROXY TCP4 {} 192.0.2.1 {port} 80\r\n", Ipv4Addr::from(ip)).into_bytes()
    });
    let binary = (0x1f_u8..0x23, any::<u8>(), anything())
        .prop_map(|(command, family, rest)| binary(command, family & 0x33, &rest));
    let header = prop_oneof![anything(), sound, text.prop_map(String::into_bytes), binary];
    (header, anything()).prop_map(|(header, after)| [header, after].concat())
}

proptest! {
    /// For any bytes in any pieces: the same result, and the same number of bytes taken.
    #[test]
    fn pieces_change_nothing(
        bytes in bytes(),
        lengths in prop::collection::vec(0_usize..40, 0..60),
    ) {
        let at_once = read_all(&bytes);
        prop_assert_eq!(read_pieces(&bytes, &lengths), at_once);
        if let Ok((taken, Some(said))) = at_once {
            // The header has the same content without the bytes after it.
            prop_assert_eq!(read_all(&bytes[..taken]), Ok((taken, Some(said))));
            prop_assert!(matches!(read_all(&bytes[..taken - 1]), Ok((n, None)) if n == taken - 1));
        }
    }
}

/// Returns both ends of a connection.
async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (ours, theirs) = tokio::join!(TcpStream::connect(address), listener.accept());
    (ours.unwrap(), theirs.unwrap().0)
}

#[tokio::test]
async fn what_follows_the_header_stays_in_the_connection() {
    for header in [
        b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 80\r\n".to_vec(),
        binary(0x21, 0x11, &[&V4[..], &[4, 1, 0], &[0; 256]].concat()),
    ] {
        let (mut hop, mut edge) = pair().await;
        hop.write_all(&[&header[..], b"\x16\x03\x01 what is next"].concat()).await.unwrap();
        let found = read_proxy_header(&mut edge, &ProxyLimits::default()).await;
        assert_eq!(found.ok(), client("192.0.2.7:4711"));
        drop(hop);
        let mut rest = Vec::new();
        edge.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"\x16\x03\x01 what is next");
    }
}

#[tokio::test]
async fn half_a_header_is_waited_for_so_long_and_a_hop_that_leaves_is_told_apart() {
    let mut limits = ProxyLimits::default();
    limits.settings.timeouts.proxy_protocol_timeout = Duration::from_millis(50);
    let (mut hop, mut edge) = pair().await;
    hop.write_all(b"PROXY TCP4 192.0.2.7").await.unwrap();
    assert_eq!(read_proxy_header(&mut edge, &limits).await, Err(ProxyHeaderError::Timeout));
    let (mut hop, mut edge) = pair().await;
    hop.write_all(b"PROXY TCP4 192.0.2.7").await.unwrap();
    drop(hop);
    assert_eq!(
        read_proxy_header(&mut edge, &ProxyLimits::default()).await,
        Err(ProxyHeaderError::Closed)
    );
    let (mut hop, mut edge) = pair().await;
    hop.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    assert_eq!(read_proxy_header(&mut edge, &limits).await, Err(ProxyHeaderError::Malformed));
}
