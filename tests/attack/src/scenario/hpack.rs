//! A16: header blocks that are small on the wire and large in memory.

use super::{EACH, Needs, Scenario};
use crate::addresses::Spread;
use crate::attack::{Attack, hold};
use crate::h2::frame::{headers, stream_id};
use crate::h2::hpack::{Block, COOKIE, NEWEST};
use crate::h2::session::flood;
use std::sync::Arc;

/// The value that is put into the table once; with its name and 32 bytes it just fits into 4,096.
const VALUE_BYTES: usize = 4_000;
/// How often it is then named, at a byte each: 4 MB out of 1 KB.
const REFERENCES: usize = 1_000;
/// Crumbs of a cookie in one request.
const CRUMBS: usize = 5_000;
/// Changes of the table's size in one block.
const RESIZES: usize = 2_000;

const fn scenario(
    name: &'static str,
    what: &'static str,
    run: fn(Arc<Attack>) -> super::Attacking,
) -> Scenario {
    Scenario {
        name,
        vector: "A16",
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
    scenario("hpack-bomb", "a field of 4,000 bytes, remembered once and named 1,000 times", |a| {
        Box::pin(hold(a, |attack, n| blocks(attack, n, bomb)))
    }),
    scenario("hpack-cookies", "a cookie in 5,000 crumbs", |a| {
        Box::pin(hold(a, |attack, n| blocks(attack, n, cookies)))
    }),
    scenario("hpack-resize", "a block that changes the table's size 2,000 times", |a| {
        Box::pin(hold(a, |attack, n| blocks(attack, n, resizes)))
    }),
];

/// Returns what the request of `attack` says that it fetches.
fn request(attack: &Attack) -> Block {
    Block::browser(false, attack.path_or("/"), attack.host())
}

/// Returns the block of a bomb; the field goes into the table anew with each request.
pub(super) fn bomb(attack: &Attack) -> Block {
    let mut block = request(attack);
    block.remembered(b"x-bomb", &[b'b'; VALUE_BYTES]);
    for _ in 0..REFERENCES {
        block.indexed(NEWEST);
    }
    block
}

fn cookies(attack: &Attack) -> Block {
    let mut block = request(attack);
    for _ in 0..CRUMBS {
        block.named(COOKIE, b"");
    }
    block
}

fn resizes(attack: &Attack) -> Block {
    let mut block = Block::default();
    for n in 0..RESIZES {
        block.table_size(if n % 2 == 0 { 0 } else { 4_096 });
    }
    let mut whole = block.bytes().to_vec();
    whole.extend(request(attack).bytes());
    Block::raw(whole)
}

async fn blocks(attack: Arc<Attack>, n: usize, make: fn(&Attack) -> Block) {
    let block = make(&attack);
    flood(&attack, n, 1 << 16, |round| {
        attack.tally.requests.one();
        std::future::ready(headers(stream_id(round), block.bytes(), true))
    })
    .await;
}
