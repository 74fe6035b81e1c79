//! Exchanges between two sides that do what they are told.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::task::{Context, Poll, Waker};

use seawall_model::Scheme;

use super::*;
use crate::forward::request_header::{ForwardedFor, end_request_header, write_request_header};
use crate::http1::head::{RequestKind, header_slots, parse_head};

/// What a side does next when it is read from.
#[derive(Debug, Clone)]
enum Read {
    Bytes(Vec<u8>),
    /// Nothing is there for one poll.
    Nothing,
    End,
    Fails,
}

/// One side, which does what it was told to.
#[derive(Debug, Default)]
struct Side {
    reads: VecDeque<Read>,
    /// What it got.
    got: Vec<u8>,
    /// Bytes that it takes at once; `None` for all.
    takes: Option<usize>,
    /// Bytes that it takes before it fails.
    fails_after: Option<usize>,
    is_shut: bool,
    calls: usize,
}

impl Side {
    fn says(reads: impl IntoIterator<Item = Read>) -> Self {
        Self { reads: reads.into_iter().collect(), ..Self::default() }
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.got).unwrap()
    }
}

fn bytes(text: &str) -> Read {
    Read::Bytes(text.as_bytes().to_vec())
}

impl ByteStream for Side {
    fn poll_read(&mut self, _: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        assert!(!buffer.is_empty(), "an empty read looks like an end");
        self.calls += 1;
        match self.reads.pop_front() {
            Some(Read::Bytes(mut bytes)) => {
                let count = bytes.len().min(buffer.len());
                buffer[..count].copy_from_slice(&bytes[..count]);
                if count < bytes.len() {
                    self.reads.push_front(Read::Bytes(bytes.split_off(count)));
                }
                Poll::Ready(Ok(count))
            }
            Some(Read::End) => {
                self.reads.push_front(Read::End);
                Poll::Ready(Ok(0))
            }
            Some(Read::Fails) => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            Some(Read::Nothing) | None => Poll::Pending,
        }
    }

    fn poll_write(&mut self, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let left = self.fails_after.map_or(usize::MAX, |most| most.saturating_sub(self.got.len()));
        if left == 0 {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let count = bytes.len().min(self.takes.unwrap_or(usize::MAX)).min(left);
        if count == 0 {
            return Poll::Pending;
        }
        self.got.extend_from_slice(&bytes[..count]);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.is_shut = true;
        Poll::Ready(Ok(()))
    }
}

impl ClientStream for Side {
    /// What it sends is the next request, which nobody reads here.
    fn poll_closed(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.reads.front() {
            Some(Read::End) => Poll::Ready(Ok(())),
            Some(Read::Fails) => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            Some(Read::Nothing) => {
                self.reads.pop_front();
                Poll::Pending
            }
            Some(Read::Bytes(_)) | None => Poll::Pending,
        }
    }
}

/// An exchange for the request at the beginning of `came`.
fn begun(came: &str) -> Exchange {
    let limits = ProxyLimits::default();
    let mut request = Buffer::new(16 * 1_024);
    request.room()[..came.len()].copy_from_slice(came.as_bytes());
    request.came(came.len());
    let len = came.find("\r\n\r\n").unwrap() + 4;
    let (mut slots, mut header) = (header_slots(), Vec::new());
    let head = parse_head(&came.as_bytes()[..len], &mut slots, &limits).unwrap();
    let client = ForwardedFor { ip: IpAddr::V4(Ipv4Addr::LOCALHOST), scheme: Scheme::Http };
    write_request_header(&came.as_bytes()[..len], &head, client, &mut header);
    end_request_header(&head, &mut header);
    assert!(request.replace(len, &header));
    let to = ResponseTo {
        is_head: head.method == "HEAD",
        is_old: head.is_old,
        is_h2: false,
        is_websocket: head.kind == RequestKind::WebSocket,
        keep_alive: head.persistence == crate::http1::head::Persistence::Keep,
        closes_origin: false,
    };
    let body = Body::of_request(head.framing, &limits);
    Exchange::new(request, body, to).unwrap()
}

/// Polls once.
fn poll(exchange: &mut Exchange, client: &mut Side, origin: &mut Side) -> Poll<Outcome> {
    let limits = ProxyLimits::default();
    let terms = Terms { limits: &limits, origins: &[] };
    exchange.poll(&mut Context::from_waker(Waker::noop()), client, origin, terms)
}

/// Polls until it ends, or `None` if it waits although no side has anything more to do.
fn run(exchange: &mut Exchange, client: &mut Side, origin: &mut Side) -> Option<Outcome> {
    for _ in 0..10_000 {
        if let Poll::Ready(outcome) = poll(exchange, client, origin) {
            return Some(outcome);
        }
        if client.reads.is_empty() && origin.reads.is_empty() {
            return match poll(exchange, client, origin) {
                Poll::Ready(outcome) => Some(outcome),
                Poll::Pending => None,
            };
        }
    }
    None
}

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const KEPT: Option<Outcome> = Some(Outcome::Complete { origin_keeps: true, client_keeps: true });

/// A complete response, and whether the connections to origin and client are kept.
fn complete((origin_keeps, client_keeps): (bool, bool)) -> Option<Outcome> {
    Some(Outcome::Complete { origin_keeps, client_keeps })
}

/// What a GET gets of what an origin says, and how it ends.
fn answered(reads: impl IntoIterator<Item = Read>) -> (String, Option<Outcome>) {
    let (mut client, mut origin) = (Side::default(), Side::says(reads));
    let outcome = run(&mut begun(GET), &mut client, &mut origin);
    (client.text().to_owned(), outcome)
}

#[test]
fn a_request_and_its_response_pass_and_both_connections_stay() {
    let (mut client, mut origin) = (Side::default(), Side::says([bytes(OK)]));
    let mut exchange = begun(GET);
    assert_eq!(run(&mut exchange, &mut client, &mut origin), KEPT);
    assert_eq!(client.text(), OK);
    assert!(
        origin.text().starts_with("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 127.0.0.1\r\n")
    );
    assert_eq!((exchange.status(), exchange.body_bytes_down()), (200, 2));
    assert_eq!(origin.calls, 1, "the response is complete: nothing more is read");
}

#[test]
fn a_response_passes_the_same_however_it_arrives_and_leaves() {
    let chunked =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx: y\r\n\r\n";
    for response in [OK, chunked] {
        for piece in 1..=response.len() {
            for takes in [1, 7, 4_096] {
                let parts = response.as_bytes().chunks(piece);
                let mut origin =
                    Side::says(parts.flat_map(|p| [Read::Bytes(p.to_vec()), Read::Nothing]));
                let mut client = Side { takes: Some(takes), ..Side::default() };
                assert_eq!(run(&mut begun(GET), &mut client, &mut origin), KEPT, "{piece} {takes}");
                assert_eq!(client.text(), response);
            }
        }
    }
}

#[test]
fn a_request_body_passes_and_the_next_request_stays() {
    let came = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc";
    let mut client = Side::says([bytes("defGET /next HTTP/1.1\r\n")]);
    let mut origin = Side::says([Read::Nothing, Read::Nothing, bytes(OK)]);
    let mut exchange = begun(came);
    assert_eq!(run(&mut exchange, &mut client, &mut origin), KEPT);
    assert!(origin.text().ends_with("\r\n\r\nabcdef"), "{}", origin.text());
    assert_eq!(exchange.pipelined(), b"GET /next HTTP/1.1\r\n");
}

#[test]
fn nothing_is_read_from_an_origin_whose_client_has_no_room() {
    let long = format!("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n{}", "x".repeat(999_000));
    let (mut client, mut origin) =
        (Side { takes: Some(0), ..Side::default() }, Side::says([bytes(&long)]));
    let mut exchange = begun(GET);
    for _ in 0..5 {
        assert!(poll(&mut exchange, &mut client, &mut origin).is_pending());
    }
    assert_eq!(exchange.waits(), Waits::ClientRead);
    assert_eq!(origin.calls, 1);
}

#[test]
fn one_poll_moves_a_bounded_number_of_bytes() {
    let long =
        format!("HTTP/1.1 200 OK\r\nContent-Length: 4000000\r\n\r\n{}", "x".repeat(4_000_000));
    let (mut client, mut origin) = (Side::default(), Side::says([bytes(&long)]));
    let mut exchange = begun(GET);
    assert!(poll(&mut exchange, &mut client, &mut origin).is_pending());
    assert!(client.got.len() <= POLL_BYTES_MAX + 64 * 1_024, "{}", client.got.len());
    assert_eq!(run(&mut exchange, &mut client, &mut origin), KEPT);
    assert_eq!(client.got.len(), long.len());
}

#[test]
fn interim_responses_pass_and_the_final_one_may_come_with_them() {
    let interim = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
    let both = format!("HTTP/1.1 100 Continue\r\n\r\n{interim}{OK}");
    assert_eq!(answered([bytes(&both)]), (both.clone(), KEPT));
    let apart = [bytes(interim), Read::Nothing, bytes(OK)];
    assert_eq!(answered(apart), (format!("{interim}{OK}"), KEPT));
    let old = "GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n";
    let (mut client, mut origin) = (Side::default(), Side::says([bytes(&both)]));
    assert_eq!(run(&mut begun(old), &mut client, &mut origin), KEPT);
    assert_eq!(
        client.text(),
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok"
    );
    let endless = "HTTP/1.1 102 Processing\r\n\r\n".repeat(500);
    let (_, outcome) = answered([bytes(&endless)]);
    assert_eq!(outcome, Some(Outcome::Invalid(ResponseError::Interim)));
}

#[test]
fn a_failure_after_an_interim_response_is_still_an_error_response() {
    let interim = "HTTP/1.1 103 Early Hints\r\n\r\n";
    let (got, outcome) = answered([bytes(interim), Read::Nothing, Read::End]);
    assert_eq!((got.as_str(), outcome), (interim, Some(Outcome::Invalid(ResponseError::Syntax))));
}

#[test]
fn a_body_until_the_end_of_the_stream_is_sent_in_chunks() {
    let came = [bytes("HTTP/1.1 200 OK\r\n\r\nabc"), bytes("def"), Read::Nothing, Read::End];
    let (got, outcome) = answered(came.clone());
    let header = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(got, format!("{header}3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n"));
    assert_eq!(outcome, complete((false, true)));
    let old = "GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n";
    let (mut client, mut origin) = (Side::default(), Side::says(came));
    assert_eq!(run(&mut begun(old), &mut client, &mut origin), complete((false, false)));
    assert_eq!(client.text(), "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabcdef");
    // A body that breaks off is no complete body.
    let (got, outcome) =
        answered([bytes("HTTP/1.1 200 OK\r\n\r\nabc"), Read::Nothing, Read::Fails]);
    assert_eq!((got, outcome), (format!("{header}3\r\nabc\r\n"), Some(Outcome::Incomplete)));
}

#[test]
fn a_long_body_in_chunks_of_our_own_is_the_same_body() {
    let body = "x".repeat(100_000);
    let came = [bytes(&format!("HTTP/1.1 200 OK\r\n\r\n{body}")), Read::End];
    let (got, outcome) = answered(came);
    assert_eq!(outcome, complete((false, true)));
    let (_, chunks) = got.split_once("\r\n\r\n").unwrap();
    let mut chunks = chunks.as_bytes().to_vec();
    let mut reader =
        Body::of_request(crate::http1::head::Framing::Chunked, &ProxyLimits::default());
    let (taken, kept) = reader.take(&mut chunks, ChunkFilter::Data).unwrap();
    assert!(reader.is_done() && taken == chunks.len());
    assert!(chunks[..kept] == *body.as_bytes());
}

#[test]
fn a_response_that_ends_early_is_incomplete() {
    let short = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc";
    for end in [Read::End, Read::Fails] {
        assert_eq!(answered([bytes(short), Read::Nothing, end]).1, Some(Outcome::Incomplete));
    }
    let chunk = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab";
    assert_eq!(answered([bytes(chunk), Read::Nothing, Read::End]).1, Some(Outcome::Incomplete));
}

#[test]
fn a_broken_body_is_an_error_response_before_the_header_left_and_incomplete_after() {
    let header = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let (got, outcome) = answered([bytes(&format!("{header}xyz"))]);
    assert_eq!((got.as_str(), outcome), ("", Some(Outcome::Invalid(ResponseError::Framing))));
    let (got, outcome) = answered([bytes(header), Read::Nothing, bytes("ffffffffffffffffff\r\n")]);
    assert_eq!((got.as_str(), outcome), (header, Some(Outcome::Incomplete)));
}

#[test]
fn bytes_behind_a_response_poison_the_origins_connection_only() {
    let more = format!("{OK}HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
    assert_eq!(answered([bytes(&more)]), (OK.to_owned(), complete((false, true))));
    let head = "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n";
    let (mut client, mut origin) = (Side::default(), Side::says([bytes(OK)]));
    assert_eq!(run(&mut begun(head), &mut client, &mut origin), complete((false, true)));
    assert_eq!(client.text(), "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n");
}

#[test]
fn an_early_response_passes_and_ends_both_connections() {
    let came = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nabc";
    let reject = "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n";
    let (mut client, mut origin) = (Side::default(), Side::says([bytes(reject)]));
    assert_eq!(run(&mut begun(came), &mut client, &mut origin), complete((false, false)));
    assert_eq!(
        client.text(),
        "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    // An origin that takes nothing more has responded all the same.
    let mut client = Side::says([bytes("def")]);
    let mut origin = Side { fails_after: Some(40), ..Side::says([Read::Nothing, bytes(reject)]) };
    assert_eq!(run(&mut begun(came), &mut client, &mut origin), complete((false, false)));
    assert!(client.text().starts_with("HTTP/1.1 413"));
}

#[test]
fn a_request_without_a_response_can_be_sent_again_where_it_is_at_hand() {
    let (mut client, mut stale) = (Side::default(), Side::says([Read::End]));
    let mut exchange = begun(GET);
    assert_eq!(run(&mut exchange, &mut client, &mut stale), Some(Outcome::Unanswered));
    assert!(exchange.restart());
    let mut fresh = Side::says([bytes(OK)]);
    assert_eq!(run(&mut exchange, &mut client, &mut fresh), KEPT);
    assert_eq!(fresh.got, stale.got);
    let came = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc";
    let mut client = Side::says([bytes("def")]);
    let mut exchange = begun(came);
    let mut stale = Side::says([Read::Nothing, Read::Nothing, Read::End]);
    assert_eq!(run(&mut exchange, &mut client, &mut stale), Some(Outcome::Unanswered));
    assert!(!exchange.restart(), "its first part is gone");
}

#[test]
fn a_client_that_ended_its_direction_still_gets_its_response() {
    let mut client = Side::says([Read::End]);
    let mut origin = Side::says([Read::Nothing, Read::Nothing, bytes(OK)]);
    assert_eq!(run(&mut begun(GET), &mut client, &mut origin), complete((true, false)));
    assert_eq!(
        client.text(),
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
    );
    let came = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc";
    let mut client = Side::says([Read::End]);
    assert_eq!(run(&mut begun(came), &mut client, &mut Side::default()), Some(Outcome::ClientGone));
}

#[test]
fn a_malformed_request_body_is_told_apart() {
    let came = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
    let mut client = Side::says([bytes("zz\r\n")]);
    let mut origin = Side::says([Read::Nothing]);
    assert_eq!(run(&mut begun(came), &mut client, &mut origin), Some(Outcome::MalformedRequest));
    assert!(origin.text().ends_with("3\r\nabc\r\n"), "{}", origin.text());
}

#[test]
fn a_tunnel_ends_when_both_directions_have() {
    let came =
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nearly";
    let switch = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhello";
    let mut client = Side::says([Read::Nothing, Read::Nothing, bytes("to origin"), Read::End]);
    let mut origin = Side::says([
        bytes(switch),
        Read::Nothing,
        Read::Nothing,
        Read::Nothing,
        bytes("to client"),
        Read::End,
    ]);
    assert_eq!(run(&mut begun(came), &mut client, &mut origin), complete((false, false)));
    assert!(origin.text().ends_with("\r\n\r\nearlyto origin"), "{}", origin.text());
    assert!(client.text().ends_with("\r\n\r\nhelloto client"), "{}", client.text());
    assert!(client.is_shut && origin.is_shut);
}

#[test]
fn nonsense_of_an_origin_is_an_error_response_and_none_of_it_passes() {
    for nonsense in [
        "hello\r\n\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
    ] {
        let (got, outcome) = answered([bytes(nonsense)]);
        assert!(matches!(outcome, Some(Outcome::Invalid(_))), "{nonsense}: {outcome:?}");
        assert_eq!(got, "", "{nonsense}");
    }
    let endless = format!("HTTP/1.1 200 OK\r\na: {}", "b".repeat(70_000));
    assert_eq!(answered([bytes(&endless)]).1, Some(Outcome::Invalid(ResponseError::Bytes)));
    let dripped = "HTTP/1.1 200 OK\r\na: ".bytes().chain(std::iter::repeat_n(b'b', 200));
    let drip = dripped.flat_map(|byte| [Read::Bytes(vec![byte]), Read::Nothing]);
    assert_eq!(answered(drip).1, Some(Outcome::Invalid(ResponseError::Drip)));
    let long = format!("HTTP/1.1 103 E\r\nX: {}\r\n\r\n", "x".repeat(30_000));
    let together = [bytes(&long), bytes(&long), bytes(&long)];
    assert_eq!(answered(together).1, Some(Outcome::Invalid(ResponseError::Bytes)));
}

#[test]
fn a_large_header_passes_up_to_its_limit() {
    let header =
        format!("HTTP/1.1 200 OK\r\na: {}\r\nContent-Length: 2\r\n\r\n", "b".repeat(60_000));
    assert_eq!(answered([bytes(&format!("{header}ok"))]), (format!("{header}ok"), KEPT));
}

/// A response with this body, framed in one of three ways.
fn response_with(body: &[u8], framing: u8, pieces: &[usize]) -> Vec<u8> {
    let mut came = b"HTTP/1.1 200 OK\r\nServer: x\r\n".to_vec();
    if framing == 0 {
        came.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
        came.extend_from_slice(body);
        return came;
    }
    came.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
    let extension = if framing == 1 { "" } else { ";a=b" };
    let mut rest = body;
    for piece in pieces {
        let (chunk, after) = rest.split_at((*piece).min(rest.len()));
        rest = after;
        if !chunk.is_empty() {
            came.extend_from_slice(format!("{:x}{extension}\r\n", chunk.len()).as_bytes());
            came.extend_from_slice(chunk);
            came.extend_from_slice(b"\r\n");
        }
    }
    if !rest.is_empty() {
        came.extend_from_slice(format!("{:x}\r\n", rest.len()).as_bytes());
        came.extend_from_slice(rest);
        came.extend_from_slice(b"\r\n");
    }
    came.extend_from_slice(b"0\r\n\r\n");
    came
}

/// Cuts `bytes` into pieces of these sizes, in turn.
fn cut(mut bytes: &[u8], sizes: &[usize]) -> Vec<Read> {
    let mut reads = Vec::new();
    for size in sizes.iter().cycle() {
        if bytes.is_empty() {
            break;
        }
        let (piece, rest) = bytes.split_at((*size).min(bytes.len()));
        reads.extend([Read::Bytes(piece.to_vec()), Read::Nothing]);
        bytes = rest;
    }
    reads
}

/// The body that a client of HTTP/1.1 reads from what it got.
fn body_read(got: &[u8]) -> Vec<u8> {
    let head = got.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    let mut body = got[head..].to_vec();
    if String::from_utf8_lossy(&got[..head]).contains("chunked") {
        let framing = crate::http1::head::Framing::Chunked;
        let mut reader = Body::of_request(framing, &ProxyLimits::default());
        let (taken, kept) = reader.take(&mut body, ChunkFilter::Data).unwrap();
        assert!(reader.is_done() && taken == body.len(), "exactly one body");
        body.truncate(kept);
    }
    body
}

proptest::proptest! {
    /// However a response is framed and arrives, its client gets its body and not a byte of what
    /// follows, and that connection to the origin is not used again.
    #[test]
    fn one_response_and_nothing_of_the_next_reaches_its_client(
        body in proptest::collection::vec(b'a'..=b'z', 0..2_000),
        framing in 0_u8..3,
        chunks in proptest::collection::vec(1_usize..300, 1..6),
        sizes in proptest::collection::vec(1_usize..200, 1..6),
        takes in 1_usize..500,
        has_more in proptest::bool::ANY,
    ) {
        let mut came = response_with(&body, framing, &chunks);
        if has_more {
            came.extend_from_slice(b"HTTP/1.1 200 OK\r\nX-Next: NEXT\r\n\r\n");
        }
        let mut origin = Side::says(cut(&came, &sizes));
        let mut client = Side { takes: Some(takes), ..Side::default() };
        let outcome = run(&mut begun(GET), &mut client, &mut origin);
        let Some(Outcome::Complete { origin_keeps, client_keeps: true }) = outcome else {
            panic!("{outcome:?}")
        };
        proptest::prop_assert_eq!(body_read(&client.got), body);
        proptest::prop_assert!(!client.text().contains("NEXT"));
        // What was not read yet is found when the connection is taken from the pool.
        let is_unread = origin.reads.iter().any(|read| matches!(read, Read::Bytes(_)));
        proptest::prop_assert_eq!(origin_keeps, !has_more || is_unread && {
            let ended = came.len() - b"HTTP/1.1 200 OK\r\nX-Next: NEXT\r\n\r\n".len();
            let unread: usize = origin.reads.iter().map(|read| match read {
                Read::Bytes(bytes) => bytes.len(),
                _ => 0,
            }).sum();
            came.len() - unread == ended
        });
    }

    /// A header section with any byte changed is forwarded with one meaning, or not at all.
    #[test]
    fn a_damaged_header_section_has_one_meaning_or_none(
        at in 0_usize..90,
        byte in proptest::num::u8::ANY,
        framing in 0_u8..3,
        sizes in proptest::collection::vec(1_usize..200, 1..6),
    ) {
        let mut came = response_with(b"hello", framing, &[2]);
        let at = at % came.len();
        came[at] = byte;
        let mut reads = cut(&came, &sizes);
        reads.push(Read::End);
        let (mut client, mut origin) = (Side::default(), Side::says(reads));
        let outcome = run(&mut begun(GET), &mut client, &mut origin);
        proptest::prop_assert!(outcome.is_some());
        if let Some(end) = client.got.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&client.got[..end]).to_ascii_lowercase();
            proptest::prop_assert!(head.starts_with("http/1.1 "), "{}", head);
            let framings = head.matches("\r\ncontent-length:").count()
                + head.matches("\r\ntransfer-encoding:").count();
            proptest::prop_assert!(framings <= 1, "{}", head);
        } else {
            proptest::prop_assert!(client.got.is_empty());
        }
    }
}
