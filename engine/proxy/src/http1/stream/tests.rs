//! What a guarded stream passes on, what it holds back, and how each deadline ends it.

use std::sync::atomic::Ordering::Relaxed;

use seawall_model::{Client, ClientPrefixes, Tick};
use tokio::io::DuplexStream;

use super::*;

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

/// Reads the current request as pingora would, until nothing more comes for a while.
async fn read_request(guarded: &mut Http1Stream<DuplexStream>) -> Vec<u8> {
    let mut seen = Vec::new();
    let mut room = [0; 64];
    while let Ok(read) =
        tokio::time::timeout(Duration::from_millis(100), guarded.read(&mut room)).await
    {
        match read {
            Ok(0) | Err(_) => break,
            Ok(n) => seen.extend_from_slice(&room[..n]),
        }
    }
    seen
}

#[tokio::test(start_paused = true)]
async fn each_request_ends_where_its_framing_says() {
    for (framing, body) in [
        (Framing::Length(0), &b""[..]),
        (Framing::Length(5), b"hello"),
        (Framing::Length(100_000), &[b'x'; 100_000]),
        (Framing::Chunked, b"5\r\nhello\r\n0\r\n\r\n"),
    ] {
        for together in [true, false] {
            let mut both = plain();
            let first = [HEAD, body].concat();
            if together {
                both.client.write_all(&[&first[..], HEAD].concat()).await.unwrap();
            } else {
                both.client.write_all(HEAD).await.unwrap();
            }
            assert_eq!(both.guarded.next_head().await, NextRequest::Complete(HEAD.len()));
            both.guarded.start_request(HEAD.len(), framing);
            if !together {
                both.client.write_all(&[body, HEAD].concat()).await.unwrap();
            }
            assert!(read_request(&mut both.guarded).await == first, "{framing:?} {together}");
            assert!(both.guarded.is_handed_over());
            assert_eq!(both.guarded.next_head().await, NextRequest::Complete(HEAD.len()));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_ahead_is_held_back_within_bounds() {
    let limit = ProxyLimits::default().max_pipelined_bytes;
    let mut both = plain();
    both.client.write_all(HEAD).await.unwrap();
    both.client.write_all(&vec![b'a'; 10 * limit]).await.unwrap();
    both.guarded.next_head().await;
    both.guarded.start_request(HEAD.len(), Framing::Length(0));
    assert_eq!(read_request(&mut both.guarded).await, HEAD);
    let held = both.guarded.ahead().len();
    assert!(held >= limit && held < limit + READ_BYTES, "{held}");
}

#[tokio::test(start_paused = true)]
async fn a_malformed_chunk_can_be_answered_until_an_answer_has_begun() {
    for has_answered in [false, true] {
        let mut both = plain();
        both.client.write_all(&[HEAD, b"5\nhello"].concat()).await.unwrap();
        both.guarded.next_head().await;
        both.guarded.start_request(HEAD.len(), Framing::Chunked);
        if has_answered {
            both.guarded.conn.set_phase(ConnectionPhase::SendingResponse);
        }
        assert_eq!(read_request(&mut both.guarded).await, HEAD);
        assert_eq!(both.counters.connections.closed.invalid_chunked_body.load(Relaxed), 1);
        assert_eq!(both.guarded.conn.take_malformed_body(), !has_answered);
        assert_eq!(both.guarded.aborted, has_answered);
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_below_its_rate_resets_and_one_at_it_does_not() {
    // One byte per second on either side of the limit.
    for (per_second, expected) in [(499, 1), (501, 0)] {
        let mut both = plain();
        both.client.write_all(HEAD).await.unwrap();
        both.guarded.next_head().await;
        both.guarded.start_request(HEAD.len(), Framing::Length(10_000));
        let drip = async {
            for _ in 0..10_000 / per_second + 1 {
                let _ = both.client.write_all(&vec![b'x'; per_second]).await;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        let take = async {
            let mut left = HEAD.len() + 10_000;
            let mut room = [0; 4096];
            while left > 0 {
                match both.guarded.read(&mut room).await {
                    Ok(n) if n > 0 => left -= n,
                    _ => break,
                }
            }
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
async fn an_origin_that_says_nothing_is_told_apart_from_a_client_that_does() {
    let mut both = plain();
    both.client.write_all(HEAD).await.unwrap();
    both.guarded.next_head().await;
    both.guarded.start_request(HEAD.len(), Framing::Length(0));
    let mut room = [0; 64];
    assert_eq!(both.guarded.read(&mut room).await.unwrap(), HEAD.len());
    both.guarded.conn.await_answer(30_000);
    let (read, ms) = took_ms(both.guarded.read(&mut room)).await;
    assert!(read.is_err() && ms == 30_000, "{ms}");
    assert!(both.guarded.conn.take_origin_timeout() && !both.guarded.aborted);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_takes_too_long_in_all_resets() {
    let mut limits = ProxyLimits::default();
    limits.settings.timeouts.request_timeout = Duration::from_secs(60);
    let mut both = pipe(1 << 16, limits);
    both.client.write_all(HEAD).await.unwrap();
    both.guarded.next_head().await;
    both.guarded.start_request(HEAD.len(), Framing::Length(0));
    both.guarded.conn.set_phase(ConnectionPhase::SendingResponse);
    let mut room = [0; 64];
    assert_eq!(both.guarded.read(&mut room).await.unwrap(), HEAD.len());
    let (read, ms) = took_ms(both.guarded.read(&mut room)).await;
    assert!(read.is_err() && ms == 60_000, "{ms}");
    assert_eq!(both.counters.connections.closed.request_timeout.load(Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_reset() {
    let mut both = pipe(1_024, ProxyLimits::default());
    let (wrote, ms) = took_ms(both.guarded.write_all(&[b'x'; 20_000])).await;
    assert!(wrote.is_err() && ms == 20_000, "{ms}");
    assert_eq!(both.counters.connections.closed.send_timeout.load(Relaxed), 1);
    assert!(both.guarded.write_all(b"more").await.is_err());
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
    let write = async {
        both.guarded.write_all(&[b'x'; 20_000]).await?;
        both.guarded.flush().await
    };
    let (_, (wrote, ms)) = tokio::join!(read, took_ms(write));
    assert!(wrote.is_ok() && ms > 30_000, "{ms}");
    assert_eq!(both.counters.connections.closed.send_timeout.load(Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn small_writes_leave_together_once_we_wait() {
    let mut both = plain();
    both.guarded.write_all(b"head ").await.unwrap();
    both.guarded.write_all(b"body").await.unwrap();
    let mut room = [0; 64];
    let early = tokio::time::timeout(Duration::from_secs(1), both.client.read(&mut room)).await;
    assert!(early.is_err(), "nothing leaves before a flush or a wait");
    let (_, read) = tokio::join!(both.guarded.next_head(), async {
        both.client.read(&mut room).await.unwrap()
    });
    assert_eq!(&room[..read], b"head body");
}

#[tokio::test(start_paused = true)]
async fn a_tunnel_opens_only_when_the_origin_agreed() {
    let mut both = plain();
    both.client.write_all(&[HEAD, b"early"].concat()).await.unwrap();
    both.guarded.next_head().await;
    both.guarded.start_request(HEAD.len(), Framing::Length(0));
    assert_eq!(read_request(&mut both.guarded).await, HEAD);
    both.guarded.conn.set_phase(ConnectionPhase::Tunnel);
    assert_eq!(read_request(&mut both.guarded).await, b"early");
    let mut room = [0; 8];
    let (read, ms) = took_ms(both.guarded.read(&mut room)).await;
    assert!(read.is_err() && (599_000..=600_000).contains(&ms), "{ms}");
    assert_eq!(both.counters.connections.closed.tunnel_idle_timeout.load(Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn closing_lets_the_client_read_and_forgets_what_it_sends_within_limits() {
    let limits = ProxyLimits { lingering_close_max_bytes: 64 * 1024, ..ProxyLimits::default() };
    let mut both = pipe(256 * 1024, limits);
    both.client.write_all(&vec![b'x'; 200_000]).await.unwrap();
    both.guarded.write_all(b"answer").await.unwrap();
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
