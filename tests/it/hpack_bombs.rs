//! HTTP/2 header blocks that are small on the wire and large after decompression.
//!
//! Each is rejected or costs nothing. The next client is served, and no memory stays in use.

use std::io;

use seawall_tests::{Origin, SITE, Server, Setup, wait_until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::h2::{SELF_SIGNED, client, frame, raw, status, within};

/// How often each is sent, on a connection of its own each time.
const TIMES: usize = 20;
/// Memory that all of them together may leave behind.
const LEFT_BYTES_MAX: u64 = 24 << 20;

/// Kinds of frames.
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const GO_AWAY: u8 = 7;

/// A GET of `/` for [`SITE`], without what makes it a bomb (RFC 7541).
fn start() -> Vec<u8> {
    let authority = [&[0x01, u8::try_from(SITE.len()).unwrap()], SITE.as_bytes()].concat();
    [&[0x82, 0x87, 0x84][..], &authority].concat()
}

/// A number behind a prefix of seven bits (RFC 7541 §5.1).
fn length(n: usize) -> Vec<u8> {
    if n < 127 {
        return vec![u8::try_from(n).unwrap()];
    }
    let (mut rest, mut bytes) = (n - 127, vec![127]);
    while rest >= 128 {
        bytes.push(u8::try_from(rest % 128).unwrap() | 128);
        rest /= 128;
    }
    bytes.push(u8::try_from(rest).unwrap());
    bytes
}

/// A field that is put into the table, and named again `times`.
fn named_again(name: &str, value: &[u8], times: usize) -> Vec<u8> {
    let field = [&[0x40][..], &length(name.len()), name.as_bytes(), &length(value.len()), value];
    // The newest entry of the table has the number 62.
    [field.concat(), vec![0xbe; times]].concat()
}

/// The first frame on a stream, or the one that ends the connection: its kind, and the first byte
/// of its payload. None where the connection just ended.
async fn answer(io: &mut (impl AsyncReadExt + Unpin)) -> Option<(u8, u8)> {
    loop {
        let mut head = [0; 9];
        io.read_exact(&mut head).await.ok()?;
        let len = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let mut payload = vec![0; len];
        io.read_exact(&mut payload).await.ok()?;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        if stream == 1 && head[3] != 8 || head[3] == GO_AWAY {
            return Some((head[3], payload.first().copied().unwrap_or_default()));
        }
    }
}

/// Sends the block, and says what came of it.
fn send(server: &Server, block: &[u8]) -> Option<(u8, u8)> {
    assert!(block.len() <= 16_384, "it fits into a frame: {}", block.len());
    within(async {
        let mut io = raw(server).await;
        let sent: io::Result<()> = io.write_all(&frame(HEADERS, 5, 1, block)).await;
        sent.ok()?;
        answer(&mut io).await
    })
}

/// Whether it was refused: told so, or ended. `0x88` is the status 200 in a header block.
fn is_refused(answer: Option<(u8, u8)>) -> bool {
    matches!(answer, None | Some((RESET | GO_AWAY, _)))
        || matches!(answer, Some((HEADERS, first)) if first != 0x88)
}

fn server() -> (Origin, Server) {
    let origin = Origin::start();
    let server = Setup::new(origin.address, "policy 1\n").tls(SELF_SIGNED).start();
    (origin, server)
}

#[test]
fn what_is_large_once_unpacked_is_refused_and_leaves_nothing_behind() {
    let (origin, server) = server();
    within(async { assert_eq!(status(&mut client(&server).await, "/").await, 200) });
    let before = (server.resident_bytes(), origin.requests());
    for (name, fields) in [
        ("4 MB of one field", named_again("x-field", &[b'x'; 4_000], 1_000)),
        ("5,000 crumbs of a cookie", named_again("cookie", b"a", 5_000)),
        ("as many fields as a head may have, and more", named_again("x", b"", 150)),
        ("a value that is longer than a head", {
            let long = vec![b'x'; 16_000];
            [named_again("x", &long, 0), vec![0xbe; 3]].concat()
        }),
    ] {
        for _ in 0..TIMES {
            let answer = send(&server, &[start(), fields.clone()].concat());
            assert!(is_refused(answer), "{name}: {answer:?}");
        }
        within(async { assert_eq!(status(&mut client(&server).await, "/").await, 200, "{name}") });
    }
    assert_eq!(origin.requests(), before.1 + 4, "none of them reached the origin");
    wait_until("nobody is left", || server.proxy().connections.active == 0);
    let left = server.resident_bytes().saturating_sub(before.0);
    assert!(left <= LEFT_BYTES_MAX, "{left} bytes");
}

#[test]
fn resizing_the_table_all_the_time_costs_nobody_anything() {
    let (origin, server) = server();
    within(async { assert_eq!(status(&mut client(&server).await, "/").await, 200) });
    let before = (server.resident_bytes(), server.cpu_ms());
    // To nothing, and to all of the 4,096 bytes that it may have.
    let resized = [&[0x20][..], &[0x3f, 0xe1, 0x1f]].concat().repeat(1_000);
    // One byte more than it may have.
    let past = [&[0x3f, 0xe2, 0x1f][..]].concat();
    for _ in 0..TIMES {
        // Taken or not: RFC 7541 §4.2 does not say how often is too often.
        let _answer = send(&server, &[resized.clone(), start()].concat());
        let answer = send(&server, &[past.clone(), start()].concat());
        assert!(is_refused(answer), "{answer:?}");
    }
    within(async { assert_eq!(status(&mut client(&server).await, "/").await, 200) });
    assert!(origin.requests() <= 2 + TIMES);
    wait_until("nobody is left", || server.proxy().connections.active == 0);
    let left = server.resident_bytes().saturating_sub(before.0);
    assert!(left <= LEFT_BYTES_MAX, "{left} bytes");
}
