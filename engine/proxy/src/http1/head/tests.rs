//! Header sections: their meaning, or why they are rejected.

use super::*;

/// Returns the meaning of a header section, or the error; neither may depend on how its bytes
/// arrive.
fn read(bytes: &[u8]) -> Result<(Framing, Persistence, RequestKind), HeadError> {
    let limits = ProxyLimits::default();
    let whole = HeadScanner::default().advance(bytes, &limits);
    let mut dripped = HeadScanner::default();
    let mut found = Ok(None);
    for end in 1..=bytes.len() {
        found = dripped.advance(&bytes[..end], &limits);
        if found != Ok(None) {
            break;
        }
    }
    assert_eq!(whole, found, "{}", bytes.escape_ascii());
    let len = whole?.expect("a whole head");
    let mut room = header_slots();
    let head = parse_head(&bytes[..len], &mut room, &limits)?;
    Ok((head.framing, head.persistence, head.kind))
}

/// Returns a request with these headers besides `Host`.
fn with(fields: &str) -> String {
    format!("GET /a HTTP/1.1\r\nHost: a.example\r\n{fields}\r\n")
}

const NONE: Framing = Framing::Length(0);

#[test]
fn what_means_one_thing_is_read() {
    use Persistence::{Close, Keep};
    use RequestKind::{Plain, WebSocket};
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    for (head, meant) in [
        (with(""), (NONE, Keep, Plain)),
        (with("Content-Length: 0\r\n"), (NONE, Keep, Plain)),
        (with("Content-Length: 5\r\n"), (Framing::Length(5), Keep, Plain)),
        (with("content-length:70\r\n"), (Framing::Length(70), Keep, Plain)),
        (with("Content-Length: \t5 \r\n"), (Framing::Length(5), Keep, Plain)),
        (with("Transfer-Encoding: chunked\r\n"), (Framing::Chunked, Keep, Plain)),
        (with("transfer-encoding: Chunked\r\n"), (Framing::Chunked, Keep, Plain)),
        (with("Connection: close\r\n"), (NONE, Close, Plain)),
        (with("Connection: keep-alive, Close\r\n"), (NONE, Close, Plain)),
        (with("Connection: x-a\r\nConnection: close\r\n"), (NONE, Close, Plain)),
        (with(upgrade), (NONE, Keep, WebSocket)),
        (with("Upgrade: websocket\r\n"), (NONE, Keep, Plain)),
        (with("Connection: Upgrade\r\nUpgrade: h2c\r\n"), (NONE, Keep, Plain)),
        (with("X-Empty:\r\nX-Odd: \x7e!#$%&'*+-.^`|~\r\nX_a: b\r\n"), (NONE, Keep, Plain)),
        ("GET / HTTP/1.0\r\n\r\n".into(), (NONE, Close, Plain)),
        ("GET / HTTP/1.0\r\nHost: a\r\nConnection: Keep-Alive\r\n\r\n".into(), (NONE, Keep, Plain)),
        ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n".into(), (NONE, Keep, Plain)),
        ("GET http://a.example/x HTTP/1.1\r\nHost: A.example\r\n\r\n".into(), (NONE, Keep, Plain)),
        ("GET HTTP://a:80?q HTTP/1.1\r\nHost: a:80\r\n\r\n".into(), (NONE, Keep, Plain)),
        ("GET http://a:80/ HTTP/1.1\r\nHost: A\r\n\r\n".into(), (NONE, Keep, Plain)),
        ("GET http://a/ HTTP/1.1\r\nHost: a:\r\n\r\n".into(), (NONE, Keep, Plain)),
        ("GET HTTPS://a:/ HTTP/1.1\r\nHost: a:443\r\n\r\n".into(), (NONE, Keep, Plain)),
        ("GET http://[::1]:80/ HTTP/1.1\r\nHost: [::1]\r\n\r\n".into(), (NONE, Keep, Plain)),
        ("PURGE /%41?a=b?c HTTP/1.1\r\nHost: a\r\n\r\n".into(), (NONE, Keep, Plain)),
    ] {
        assert_eq!(read(head.as_bytes()), Ok(meant), "{}", head.escape_debug());
    }
}

/// Checks that each request is rejected, for its reason.
fn check_refused(cases: &[(String, HeadError)]) {
    for (head, why) in cases {
        assert_eq!(read(head.as_bytes()), Err(*why), "{}", head.escape_debug());
        assert_eq!(why.status(), 400);
    }
}

#[test]
fn two_lengths_are_refused() {
    use HeadError::*;
    check_refused(&[
        // Two lengths, or one that parsers disagree on.
        (with("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), LengthAndEncoding),
        (with("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n"), LengthAndEncoding),
        (with("Content-Length: 5\r\nContent-Length: 6\r\n"), LengthRepeated),
        (with("Content-Length: 5\r\ncontent-length: 5\r\n"), LengthRepeated),
        (with("Content-Length: +5\r\n"), Length),
        (with("Content-Length: -5\r\n"), Length),
        (with("Content-Length: 05\r\n"), Length),
        (with("Content-Length: 00\r\n"), Length),
        (with("Content-Length: 5,5\r\n"), Length),
        (with("Content-Length: 5, 6\r\n"), Length),
        (with("Content-Length: 0x5\r\n"), Length),
        (with("Content-Length: 5a\r\n"), Length),
        (with("Content-Length: 5 5\r\n"), Length),
        (with("Content-Length:\r\n"), Length),
        (with("Content-Length: 1_0\r\n"), Length),
        (with("Content-Length: 1000000000000000000\r\n"), Length),
        // Encodings that are not exactly `chunked`.
        (with("Transfer-Encoding: gzip, chunked\r\n"), Encoding),
        (with("Transfer-Encoding: chunked, gzip\r\n"), Encoding),
        (with("Transfer-Encoding: identity\r\n"), Encoding),
        (with("Transfer-Encoding: chunked;q=1\r\n"), Encoding),
        (with("Transfer-Encoding: \"chunked\"\r\n"), Encoding),
        (with("Transfer-Encoding: xchunked\r\n"), Encoding),
        (with("Transfer-Encoding:\r\n"), Encoding),
        (with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), Encoding),
        (with("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"), Encoding),
        ("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n".into(), Encoding),
    ]);
}

#[test]
fn lines_and_names_that_readers_mend_are_refused() {
    use HeadError::*;
    check_refused(&[
        // Line ends and folded lines.
        ("GET / HTTP/1.1\nHost: a\n\n".into(), LineEnd),
        ("GET / HTTP/1.1\r\nHost: a\n\r\n".into(), LineEnd),
        ("GET / HTTP/1.1\r\nHost: a\r\r\n\r\n".into(), LineEnd),
        ("GET / HTTP/1.1\rHost: a\r\n\r\n".into(), LineEnd),
        (with("X: a\rb\r\n"), LineEnd),
        (with("X: a\n b\r\n"), LineEnd),
        (with("X: a\r\n b\r\n"), Fold),
        (with("X: a\r\n\tTransfer-Encoding: chunked\r\n"), Fold),
        ("GET / HTTP/1.1\r\n Host: a\r\n\r\n".into(), Fold),
        // Names.
        (with("Content-Length : 5\r\n"), Name),
        (with("Transfer-Encoding\t: chunked\r\n"), Name),
        (with("Content_Length: 5\r\n"), Name),
        (with("transfer-Encoding_: 5\r\nTransfer_encoding: chunked\r\n"), Name),
        (with("X(a): b\r\n"), Name),
        (with("X\u{e9}: b\r\n"), Name),
        (with(": b\r\n"), Name),
        (with("X\0: b\r\n"), Name),
        (with("no colon\r\n"), Syntax),
        (with("X: a\0b\r\n"), Syntax),
        (with("X: a\x01b\r\n"), Syntax),
    ]);
}

#[test]
fn two_hosts_are_refused() {
    use HeadError::*;
    check_refused(&[
        // Hosts.
        ("GET / HTTP/1.1\r\n\r\n".into(), Host),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n".into(), Host),
        ("GET / HTTP/1.1\r\nX: y\r\n\r\n".into(), Host),
        (with("Host: a.example\r\n"), HostRepeated),
        (with("host: b.example\r\n"), HostRepeated),
        ("GET http://b.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n".into(), HostMismatch),
        ("GET http://a.example:81/ HTTP/1.1\r\nHost: a.example\r\n\r\n".into(), HostMismatch),
        ("GET http://a.example:443/ HTTP/1.1\r\nHost: a.example\r\n\r\n".into(), HostMismatch),
        ("GET http://a.example/ HTTP/1.1\r\nHost: a.example:080\r\n\r\n".into(), HostMismatch),
        ("GET http://u@a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n".into(), HostMismatch),
        ("GET http:///x HTTP/1.1\r\nHost: a.example\r\n\r\n".into(), HostMismatch),
        ("GET http://a/ HTTP/1.0\r\n\r\n".into(), HostMismatch),
        // Targets.
        ("CONNECT a.example:443 HTTP/1.1\r\nHost: a.example\r\n\r\n".into(), Connect),
        ("CONNECT / HTTP/1.1\r\nHost: a.example\r\n\r\n".into(), Connect),
        ("GET * HTTP/1.1\r\nHost: a\r\n\r\n".into(), Target),
        ("GET a.example HTTP/1.1\r\nHost: a\r\n\r\n".into(), Target),
        ("GET ?q HTTP/1.1\r\nHost: a\r\n\r\n".into(), Target),
        ("GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n".into(), Target),
        ("GET httpss://a/ HTTP/1.1\r\nHost: a\r\n\r\n".into(), Target),
        ("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n".into(), Target),
    ]);
}

#[test]
fn what_is_no_request_and_what_would_become_another_is_refused() {
    use HeadError::*;
    check_refused(&[
        // Request lines.
        ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n".into(), Syntax),
        ("GET / HTTP/1.1 \r\nHost: a\r\n\r\n".into(), Syntax),
        (" GET / HTTP/1.1\r\nHost: a\r\n\r\n".into(), Syntax),
        ("GET /\tx HTTP/1.1\r\nHost: a\r\n\r\n".into(), Syntax),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n".into(), Syntax),
        ("GET / HTTP/1.2\r\nHost: a\r\n\r\n".into(), Syntax),
        ("GET / http/1.1\r\nHost: a\r\n\r\n".into(), Syntax),
        (format!("{} / HTTP/1.1\r\nHost: a\r\n\r\n", "M".repeat(33)), Method),
        ("GET /\r\nHost: a\r\n\r\n".into(), Syntax),
        ("PRI * HTTP/2.0\r\n\r\n".into(), Syntax),
        ("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n".into(), Syntax),
        // What a `Connection` header must not remove, and upgrades that would.
        (with("Connection: content-length\r\nContent-Length: 5\r\n"), Nominated),
        (with("Connection: close, Host\r\n"), Nominated),
        (with("Connection: x\r\nConnection: Transfer-Encoding\r\n"), Nominated),
        (with("Connection: cookie\r\n"), Nominated),
        (with("Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 4\r\n"), Upgrade),
        (
            with("Connection: Upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n"),
            Upgrade,
        ),
        (with("Upgrade: websocket\r\nUpgrade: h2c\r\n"), Upgrade),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
                .into(),
            Upgrade,
        ),
        (
            "GET / HTTP/1.0\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n".into(),
            Upgrade,
        ),
    ]);
}

#[test]
fn a_head_has_its_bytes_and_not_one_more() {
    let limits = ProxyLimits::default();
    let of_len = |len: usize| {
        let bare = with("X: \r\n").len();
        with(&format!("X: {}\r\n", "a".repeat(len - bare)))
    };
    let at = of_len(limits.settings.requests.max_request_header_bytes);
    assert_eq!(at.len(), limits.settings.requests.max_request_header_bytes);
    assert!(read(at.as_bytes()).is_ok());
    assert_eq!(
        read(of_len(limits.settings.requests.max_request_header_bytes + 1).as_bytes()),
        Err(HeadError::Bytes)
    );
    // A header section without end is rejected as soon as it is too long.
    let endless =
        "GET /".to_owned() + &"a".repeat(limits.settings.requests.max_request_header_bytes);
    assert_eq!(HeadScanner::default().advance(endless.as_bytes(), &limits), Err(HeadError::Bytes));
    assert_eq!(HeadError::Bytes.status(), 431);
}

#[test]
fn a_head_has_its_fields_and_not_one_more() {
    let most = ProxyLimits::default().settings.requests.max_request_headers;
    // `Host` is one of them.
    assert!(read(with(&"X: y\r\n".repeat(most - 1)).as_bytes()).is_ok());
    assert_eq!(read(with(&"X: y\r\n".repeat(most)).as_bytes()), Err(HeadError::Fields));
    assert_eq!(HeadError::Fields.status(), 431);
}

#[test]
fn what_follows_a_head_is_not_looked_at() {
    let limits = ProxyLimits::default();
    let mut bytes = with("").into_bytes();
    let len = bytes.len();
    bytes.extend_from_slice(b"\n\n\0\0");
    assert_eq!(HeadScanner::default().advance(&bytes, &limits), Ok(Some(len)));
}

#[test]
fn a_target_is_split_where_its_parts_meet() {
    let limits = ProxyLimits::default();
    for (target, path, query) in [
        ("/a/b?c=d", "/a/b", Some("c=d")),
        ("/", "/", None),
        ("/?", "/", Some("")),
        ("http://a.example", "/", None),
        ("http://a.example?x", "/", Some("x")),
        ("http://a.example/y?x", "/y", Some("x")),
        ("//evil.example/", "//evil.example/", None),
    ] {
        let bytes = format!("GET {target} HTTP/1.1\r\nHost: a.example\r\n\r\n");
        let mut room = header_slots();
        let head = parse_head(bytes.as_bytes(), &mut room, &limits).unwrap();
        assert_eq!(
            (head.path, head.query),
            (path.as_bytes(), query.map(str::as_bytes)),
            "{target}"
        );
    }
}

proptest::proptest! {
    /// The check of lines names why the parser failed; it must not find anything in accepted input.
    #[test]
    fn what_is_taken_has_no_line_that_the_check_of_lines_refuses(
        lines in proptest::collection::vec("[ \t]?[a-cA-C_: \r\n;,-]{0,6}:? ?[a-c:_ \t]{0,4}", 0..4),
    ) {
        let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", lines.iter().fold(
            String::new(), |all, line| all + line + "\r\n",
        ));
        let mut room = header_slots();
        if parse_head(head.as_bytes(), &mut room, &ProxyLimits::default()).is_ok() {
            proptest::prop_assert_eq!(classify_syntax_error(head.as_bytes()), Ok(()));
        }
    }

    /// However the bytes arrive.
    #[test]
    fn a_head_in_pieces_is_scanned_as_at_once(
        bytes in "[a-c:\r\n]{0,30}", cut in 0_usize..30,
    ) {
        let limits = ProxyLimits::default();
        let whole = HeadScanner::default().advance(bytes.as_bytes(), &limits);
        let mut scan = HeadScanner::default();
        let first = scan.advance(bytes.as_bytes().get(..cut).unwrap_or_default(), &limits);
        let pieces = match first {
            Ok(None) => scan.advance(bytes.as_bytes(), &limits),
            over => over,
        };
        proptest::prop_assert_eq!(pieces, whole);
    }
}
