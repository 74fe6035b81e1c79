//! The encoders, checked with the `h2` crate's server and the examples of RFC 7541.

use super::frame::*;
use super::hpack::{Block, COOKIE, NEWEST, status};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

#[test]
fn frames_come_back_as_they_went() {
    let out = [
        settings(&[(HEADER_TABLE_SIZE, 0), (INITIAL_WINDOW_SIZE, 7)]),
        ping(9),
        window_update(3, 5),
        data(u32::MAX, b"abc", true),
        frame(200, 0xff, 0, &vec![7; 70_000]),
    ]
    .concat();
    let mut back = Vec::new();
    let mut frames = Frames::default();
    for byte in &out {
        assert!(frames.feed(&[*byte], &mut |frame| {
            back.push((frame.kind, frame.flags, frame.stream, frame.payload.to_vec()));
        }));
    }
    let short: Vec<_> = back.iter().map(|f| (f.0, f.1, f.2, f.3.len())).collect();
    let expected = [
        (SETTINGS, 0, 0, 12),
        (PING, 0, 0, 8),
        (WINDOW_UPDATE, 0, 3, 4),
        // The reserved bit is not part of the number.
        (DATA, END_STREAM, u32::MAX >> 1, 3),
        (200, 0xff, 0, 70_000),
    ];
    assert_eq!(short, expected);
    assert_eq!(back[0].3, [0, 1, 0, 0, 0, 0, 0, 4, 0, 0, 0, 7]);
    assert_eq!(Frame { kind: 8, flags: 0, stream: 3, payload: &back[2].3 }.number(0), Some(5));
}

#[test]
fn http_1_is_not_taken_for_frames() {
    assert!(!Frames::default().feed(b"HTTP/1.1 400 Bad Request\r\n\r\n", &mut |_| {}));
}

#[test]
fn integers_are_written_as_in_rfc_7541_c_1() {
    let bytes = |write: fn(&mut Block)| {
        let mut block = Block::default();
        write(&mut block);
        block.bytes().to_vec()
    };
    // C.1.1 and C.1.2 have prefixes of five bits: 10, 1337.
    assert_eq!(bytes(|block| block.table_size(10)), [0x20 | 10]);
    assert_eq!(bytes(|block| block.table_size(1_337)), [0x3f, 0x9a, 0x0a]);
    // C.2.4: an indexed field.
    assert_eq!(bytes(|block| block.indexed(2)), [0x82]);
    // C.2.1: a literal with an entry in the dynamic table.
    let literal = bytes(|block| block.remembered(b"custom-key", b"custom-header"));
    assert_eq!(literal, b"\x40\x0acustom-key\x0dcustom-header");
    // C.2.2: a literal with a known name, without an entry in the dynamic table.
    assert_eq!(bytes(|block| block.named(4, b"/sample/path")), b"\x04\x0c/sample/path");
}

#[test]
fn statuses_are_read_in_every_form() {
    assert_eq!(status(&[0x20, 0x88]), Some(200));
    assert_eq!(status(&[0x8d, 1, 2]), Some(404));
    assert_eq!(status(b"\x48\x03429"), Some(429));
    // RFC 7541 C.6.1: 302 with Huffman.
    assert_eq!(status(&[0x48, 0x82, 0x64, 0x02]), Some(302));
    assert_eq!(status(&[0xbe]), None);
    assert_eq!(status(&[0x48, 0x03, b'4']), None);
}

/// Returns the requests as the `h2` crate parses them; each is rejected.
async fn serve(stream: tokio::io::DuplexStream) -> Vec<http::Request<()>> {
    let mut server = h2::server::handshake(stream).await.unwrap();
    let mut requests = Vec::new();
    while let Some(Ok((request, mut answer))) = server.accept().await {
        requests.push(request.map(drop));
        let response = http::Response::builder().status(403).body(()).unwrap();
        let _gone = answer.send_response(response, true);
    }
    requests
}

/// Sends `out` to the `h2` crate's server and waits until it has responded, reset or closed;
/// returns the parsed requests and the server's frames.
async fn understood(out: Vec<u8>) -> (Vec<http::Request<()>>, Vec<(u8, Vec<u8>)>) {
    let (mut ours, theirs) = tokio::io::duplex(1 << 20);
    let serving = tokio::spawn(serve(theirs));
    let mut all = PREFACE.to_vec();
    all.extend(settings(&[]));
    all.extend(out);
    ours.write_all(&all).await.unwrap();
    let mut back = Vec::new();
    let mut frames = Frames::default();
    let said = |back: &[(u8, Vec<u8>)]| {
        back.iter().any(|(kind, _)| [HEADERS, RST_STREAM, GOAWAY].contains(kind))
    };
    while !said(&back) {
        let mut some = Vec::new();
        if ours.read_buf(&mut some).await.unwrap() == 0 {
            break;
        }
        frames.feed(&some, &mut |frame| back.push((frame.kind, frame.payload.to_vec())));
    }
    drop(ours);
    (serving.await.unwrap(), back)
}

#[tokio::test]
async fn a_library_reads_our_requests_and_we_its_answers() {
    let mut block = Block::browser(true, "/a?b", "alice.example");
    block.remembered(b"x-large", &[b'v'; 3_000]);
    block.indexed(NEWEST);
    block.indexed(NEWEST);
    block.named(COOKIE, b"a=1");
    let (requests, back) = understood(headers(stream_id(0), block.bytes(), true)).await;
    assert_eq!(requests.len(), 1, "{back:?}");
    let request = &requests[0];
    assert_eq!((request.method(), request.uri().path()), (&http::Method::POST, "/a"));
    assert_eq!(request.uri().host(), Some("alice.example"));
    assert!(request.headers()["user-agent"].to_str().unwrap().starts_with("Mozilla/5.0"));
    let large: Vec<_> = request.headers().get_all("x-large").iter().map(|v| v.len()).collect();
    assert_eq!(large, [3_000, 3_000, 3_000]);
    assert_eq!(request.headers()["cookie"], "a=1");
    let answers = back.iter().filter(|(kind, _)| *kind == HEADERS);
    let statuses: Vec<_> = answers.map(|(_, block)| status(block)).collect();
    assert_eq!(statuses, [Some(403)]);
}

#[tokio::test]
async fn a_library_sees_the_mistakes_that_we_make_on_purpose() {
    let block = Block::request(false, "/", "alice.example");
    let open = headers(1, block.bytes(), false);
    for (name, wrong, kind, code) in [
        ("window of 0", window_update(1, 0), GOAWAY, 1),
        ("PRIORITY of 4 bytes", frame(PRIORITY, 0, 1, &[0; 4]), GOAWAY, 1),
        ("CONTINUATION alone", frame(CONTINUATION, 0, 1, &[]), GOAWAY, 1),
        ("window past 2^31", window_update(1, 0x7fff_ffff).repeat(2), RST_STREAM, 3),
        ("connection's window of 0", window_update(0, 0), GOAWAY, 1),
    ] {
        let (_, back) = understood([open.clone(), wrong].concat()).await;
        let seen = back.iter().find(|(k, _)| *k == kind);
        let (kind, payload) = seen.unwrap_or_else(|| panic!("{name}: {back:?}"));
        let at = if *kind == GOAWAY { 4 } else { 0 };
        let got = Frame { kind: *kind, flags: 0, stream: 0, payload }.number(at).unwrap();
        assert_eq!(code_name(got), code_name(code), "{name}");
    }
}
