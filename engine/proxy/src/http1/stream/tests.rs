//! What a guarded stream passes on, what it holds back, and how each deadline ends it.

use std::sync::atomic::Ordering::Relaxed;

use seawall_model::{Client, ClientPrefixes, Tick};
use tokio::io::{AsyncWriteExt, DuplexStream};

use super::*;
use crate::http1::body_buffer::BodyFailure;
use crate::http1::head::Framing;

impl ResettableIo for DuplexStream {
    fn reset_on_drop(&self) {}
}

const HEAD: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

struct Both {
    client: DuplexStream,
    guarded: Http1Stream<DuplexStream>,
    counters: Arc<ProxyMetrics>,
}

/// Returns a client and the proxy's end, with a buffer of so many bytes between them.
fn pipe(bytes: usize, limits: ProxyLimits) -> Both {
    let (client, server) = tokio::io::duplex(bytes);
    let who = Client::of([192, 0, 2, 1].into(), &ClientPrefixes::default());
    let conn = Arc::new(Connection::new(who, 1234, Tick(0)));
    let counters = Arc::new(ProxyMetrics::default());
    let guarded = Http1Stream::new(server, conn, Arc::new(limits), Arc::clone(&counters));
    Both { client, guarded, counters }
}

fn plain() -> Both {
    pipe(1 << 20, ProxyLimits::default())
}

/// Returns the milliseconds that `wait` takes on the paused clock.
async fn took_ms<T>(wait: impl Future<Output = T>) -> (T, u64) {
    let start = Instant::now();
    let done = wait.await;
    (done, u64::try_from(start.elapsed().as_millis()).unwrap())
}

#[tokio::test(start_paused = true)]
async fn silence_before_a_head_ends_quietly() {
    let mut both = plain();
    let (found, ms) = took_ms(both.guarded.next_head()).await;
    assert_eq!((found, ms), (NextRequest::Closed, 15_000));
    assert_eq!(both.counters.connections.closed.idle_timeout.load(Relaxed), 1);
    assert!(!both.guarded.aborted);
}

#[tokio::test(start_paused = true)]
async fn a_dripped_head_ends_ten_seconds_after_its_first_byte() {
    let mut both = plain();
    let drip = async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        for byte in HEAD {
            let _ = both.client.write_all(&[*byte]).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    let (_, (found, ms)) = tokio::join!(drip, took_ms(both.guarded.next_head()));
    assert_eq!((found, ms), (NextRequest::Closed, 13_000));
    assert_eq!(both.counters.connections.closed.request_header_timeout.load(Relaxed), 1);
    assert!(both.guarded.aborted);
}

#[tokio::test(start_paused = true)]
async fn a_head_may_take_its_reads_and_not_one_more() {
    for (pieces, expected) in
        [(100, NextRequest::Complete(126)), (101, NextRequest::Invalid(HeadError::Drip))]
    {
        let mut both = plain();
        let head = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(99));
        assert_eq!(head.len(), 126);
        let drip = async {
            let (slow, rest) = head.as_bytes().split_at(pieces - 1);
            for byte in slow {
                both.client.write_all(&[*byte]).await.unwrap();
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            both.client.write_all(rest).await.unwrap();
        };
        let (_, found) = tokio::join!(drip, both.guarded.next_head());
        assert_eq!(found, expected, "{pieces}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_empty_line_before_a_head_is_skipped_and_a_second_is_not() {
    let mut both = plain();
    both.client.write_all(&[b"\r\n", HEAD].concat()).await.unwrap();
    assert_eq!(both.guarded.next_head().await, NextRequest::Complete(HEAD.len()));
    let mut both = plain();
    both.client.write_all(&[b"\r\n\r\n", HEAD].concat()).await.unwrap();
    assert_eq!(both.guarded.next_head().await, NextRequest::Invalid(HeadError::Syntax));
}

/// Writes all of `bytes`.
async fn write(guarded: &mut Http1Stream<DuplexStream>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let count = poll_fn(|cx| guarded.poll_write(cx, bytes)).await?;
        bytes = &bytes[count..];
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn each_request_ends_where_its_framing_says() {
    for (framing, body) in [
        (Framing::Length(0), &b""[..]),
        (Framing::Length(5), b"hello"),
        (Framing::Length(10_000), &[b'x'; 10_000]),
        (Framing::Chunked, b"5\r\nhello\r\n0\r\n\r\n"),
    ] {
        for together in [true, false] {
            let mut both = plain();
            if together {
                both.client.write_all(&[HEAD, body, HEAD].concat()).await.unwrap();
            } else {
                both.client.write_all(HEAD).await.unwrap();
            }
            assert_eq!(both.guarded.next_head().await, NextRequest::Complete(HEAD.len()));
            both.guarded.start_request();
            if !together {
                both.client.write_all(&[body, HEAD].concat()).await.unwrap();
            }
            let here = both.guarded.buffer_body(HEAD.len(), framing).await.unwrap();
            assert_eq!(here, (BodyBuffered::Complete, body.len()), "{framing:?} {together}");
            assert!(both.guarded.ahead()[HEAD.len()..].starts_with(body));
            both.guarded.skip(HEAD.len() + body.len());
            assert_eq!(both.guarded.next_head().await, NextRequest::Complete(HEAD.len()));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_larger_body_is_partly_here() {
    let mut both = plain();
    both.client.write_all(&[HEAD, &[b'x'; 100_000]].concat()).await.unwrap();
    both.guarded.next_head().await;
    both.guarded.start_request();
    let here = both.guarded.buffer_body(HEAD.len(), Framing::Length(100_000)).await.unwrap();
    let most = ProxyLimits::default().settings.requests.request_buffer_bytes;
    assert!(here.0 == BodyBuffered::Partial && here.1 >= most && here.1 < 100_000, "{here:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_ahead_is_held_back_within_bounds() {
    let limits = ProxyLimits::default();
    let limit = limits.settings.requests.request_buffer_bytes + limits.max_pipelined_bytes;
    let mut both = plain();
    both.client.write_all(&vec![b'a'; 10 * limit]).await.unwrap();
    let closed = poll_fn(|cx| both.guarded.poll_closed(cx));
    assert!(tokio::time::timeout(Duration::from_secs(1), closed).await.is_err());
    let held = both.guarded.ahead().len();
    assert!(held >= limit && held < limit + READ_BYTES, "{held}");
}

#[tokio::test(start_paused = true)]
async fn what_was_read_of_the_next_request_comes_first_again() {
    let mut both = plain();
    both.client.write_all(b" / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let closed = poll_fn(|cx| both.guarded.poll_closed(cx));
    assert!(tokio::time::timeout(Duration::from_secs(1), closed).await.is_err());
    both.guarded.put_back(b"GET");
    assert_eq!(both.guarded.next_head().await, NextRequest::Complete(HEAD.len()));
}

#[tokio::test(start_paused = true)]
async fn a_malformed_chunk_is_told_apart_from_a_client_that_left() {
    let mut both = plain();
    both.client.write_all(&[HEAD, b"5\nhello"].concat()).await.unwrap();
    both.guarded.next_head().await;
    both.guarded.start_request();
    let failed = both.guarded.buffer_body(HEAD.len(), Framing::Chunked).await.unwrap_err();
    assert!(matches!(failed, BodyFailure::Malformed) && !both.guarded.aborted);
    let mut both = plain();
    both.client.write_all(&[HEAD, b"5\r\nhel"].concat()).await.unwrap();
    both.client.shutdown().await.unwrap();
    both.guarded.next_head().await;
    both.guarded.start_request();
    let failed = both.guarded.buffer_body(HEAD.len(), Framing::Chunked).await.unwrap_err();
    assert!(matches!(failed, BodyFailure::Closed));
}

#[tokio::test(start_paused = true)]
async fn a_body_below_its_rate_resets_and_one_at_it_does_not() {
    // One byte per second on either side of the limit.
    for (per_second, expected) in [(499, 1), (501, 0)] {
        let mut both = plain();
        both.client.write_all(HEAD).await.unwrap();
        both.guarded.next_head().await;
        both.guarded.start_request();
        let drip = async {
            for _ in 0..10_000 / per_second + 1 {
                let _ = both.client.write_all(&vec![b'x'; per_second]).await;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        let take = async {
            let framing = Framing::Length(10_000);
            let _ = both.guarded.buffer_body(HEAD.len(), framing).await;
        };
        tokio::join!(drip, take);
        assert_eq!(
            both.counters.connections.closed.min_body_rate.load(Relaxed),
            expected,
            "{per_second}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_reset() {
    let mut both = pipe(1_024, ProxyLimits::default());
    let (wrote, ms) = took_ms(write(&mut both.guarded, &[b'x'; 20_000])).await;
    assert!(wrote.is_err() && ms == 20_000, "{ms}");
    assert_eq!(both.counters.connections.closed.send_timeout.load(Relaxed), 1);
    assert!(write(&mut both.guarded, b"more").await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_is_served_as_long_as_enough_goes() {
    let mut both = pipe(1_024, ProxyLimits::default());
    let read = async {
        let mut room = [0; 500];
        let mut seen = 0;
        while seen < 20_000 {
            seen += both.client.read(&mut room).await.unwrap();
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    let sent = async {
        write(&mut both.guarded, &[b'x'; 20_000]).await?;
        both.guarded.flush().await
    };
    let (_, (wrote, ms)) = tokio::join!(read, took_ms(sent));
    assert!(wrote.is_ok() && ms > 30_000, "{ms}");
    assert_eq!(both.counters.connections.closed.send_timeout.load(Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn local_responses_leave_together_once_we_wait() {
    let mut both = plain();
    both.guarded.queue(b"head ");
    both.guarded.queue(b"body");
    let mut room = [0; 64];
    let early = tokio::time::timeout(Duration::from_secs(1), both.client.read(&mut room)).await;
    assert!(early.is_err(), "nothing leaves before a flush or a wait");
    let (_, read) = tokio::join!(both.guarded.next_head(), async {
        both.client.read(&mut room).await.unwrap()
    });
    assert_eq!(&room[..read], b"head body");
}

#[tokio::test(start_paused = true)]
async fn closing_lets_the_client_read_and_forgets_what_it_sends_within_limits() {
    let limits = ProxyLimits { lingering_close_max_bytes: 64 * 1024, ..ProxyLimits::default() };
    let mut both = pipe(256 * 1024, limits);
    both.client.write_all(&vec![b'x'; 200_000]).await.unwrap();
    both.guarded.queue(b"answer");
    let (_, ms) = took_ms(both.guarded.close()).await;
    assert_eq!(ms, 2_000, "what is left unread would make closing a reset");
    let mut room = vec![0; 200_000];
    assert_eq!(both.client.read(&mut room).await.unwrap(), 6);
    let left = both.guarded.io.read(&mut room).await.unwrap();
    assert!(left >= 200_000 - 64 * 1024 - READ_BYTES, "{left} bytes were not read");
    // A client that has closed is not waited for.
    let mut both = plain();
    both.client.write_all(&vec![b'x'; 200_000]).await.unwrap();
    both.client.shutdown().await.unwrap();
    let (_, ms) = took_ms(both.guarded.close()).await;
    assert_eq!(ms, 0);
    // A silent client is waited for, within the limit.
    let mut both = plain();
    let (_, ms) = took_ms(both.guarded.close()).await;
    assert_eq!(ms, 2_000);
}
