//! A1 to A3: as many valid requests as possible.

use super::{EACH, Needs, Scenario};
use crate::addresses::Spread;
use crate::attack::{Attack, at_rate, due, hold};
use crate::dice::roll;
use crate::h1::{Answer, Reader, head};
use crate::wire::Wire;
use std::io;
use std::sync::Arc;
use tokio::io::AsyncWriteExt as _;
use tokio::time::{Instant, sleep_until};

/// Requests written at once by `pipeline`.
const PIPELINED: usize = 100;
/// Length of a body of `post-flood`.
const BODY_BYTES: usize = 1 << 20;

/// The scenarios of this family.
pub(super) const ALL: &[Scenario] = &[
    Scenario {
        name: "get-flood",
        vector: "A1",
        what: "GETs from one address on kept connections",
        needs: Needs::H1,
        connections: 50,
        rate: 5_000,
        addresses: 1,
        spread: Spread::Wide,
        run: |attack| Box::pin(hold(attack, get_flood)),
    },
    Scenario {
        name: "banned-connects",
        vector: "A1",
        what: "connects at a rate from a few addresses that a policy has banned, one GET each",
        needs: Needs::H1,
        connections: 2_000,
        rate: 5_000,
        addresses: 50,
        spread: Spread::Wide,
        run: |attack| Box::pin(at_rate(attack, connect_and_get)),
    },
    Scenario {
        name: "post-flood",
        vector: "A2",
        what: "POSTs with bodies of 1 MiB, as fast as they are taken",
        needs: Needs::H1,
        connections: 20,
        rate: 200,
        addresses: EACH,
        spread: Spread::Wide,
        run: |attack| Box::pin(hold(attack, post_flood)),
    },
    Scenario {
        name: "cache-bust",
        vector: "A3",
        what: "GETs of which no two have the same query",
        needs: Needs::H1,
        connections: 200,
        rate: 2_000,
        addresses: EACH,
        spread: Spread::Wide,
        run: |attack| Box::pin(hold(attack, cache_bust)),
    },
    Scenario {
        name: "pipeline",
        vector: "A1",
        what: "100 GETs in one write, again and again on each connection",
        needs: Needs::H1,
        connections: 20,
        rate: 100,
        addresses: EACH,
        spread: Spread::Wide,
        run: |attack| Box::pin(hold(attack, pipeline)),
    },
];

/// Sends one request and reads its response, counted.
pub(super) async fn ask(
    attack: &Attack,
    wire: &mut Wire,
    reader: &mut Reader,
    request: &[u8],
) -> io::Result<Answer> {
    wire.write_all(request).await?;
    wire.flush().await?;
    attack.tally.requests.one();
    let asked = Instant::now();
    let answer = reader.answer(wire, false).await;
    match &answer {
        Ok(answer) => attack.tally.answer_after(answer.status, asked.elapsed()),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            attack.tally.event("answered with something else");
        }
        Err(_) => attack.tally.event("ended before the answer"),
    }
    answer
}

/// Requests on one kept connection, at this slot's part of the rate.
pub(super) async fn paced<F>(attack: Arc<Attack>, n: usize, make: F)
where
    F: Fn(&Attack, u64) -> Vec<u8>,
{
    let Some(mut wire) = attack.open(n).await else { return };
    let mut reader = Reader::new();
    let (start, slots) = (Instant::now(), attack.connections as u64);
    let mut asked = 0u64;
    while attack.goes_on() {
        // Request k of a slot is number k * slots of all.
        sleep_until(due(start, asked.saturating_mul(slots), attack.rate)).await;
        let unique = roll((n as u64) << 32 | asked);
        let request = make(&attack, unique);
        match ask(&attack, &mut wire, &mut reader, &request).await {
            Ok(answer) if !answer.close => {}
            _ => return,
        }
        asked = asked.saturating_add(1);
    }
}

pub(super) async fn get_flood(attack: Arc<Attack>, n: usize) {
    let get = |attack: &Attack, _| head("GET", attack.path_or("/"), attack.host(), "").into_bytes();
    paced(attack, n, get).await;
}

async fn cache_bust(attack: Arc<Attack>, n: usize) {
    let get = |attack: &Attack, unique| {
        let path = format!("{}?r={unique:016x}", attack.path_or("/"));
        head("GET", &path, attack.host(), "").into_bytes()
    };
    paced(attack, n, get).await;
}

/// One connection, one GET, and off again.
pub(super) async fn connect_and_get(attack: Arc<Attack>, n: usize) {
    let Some(mut wire) = attack.open(n).await else { return };
    let fields = "Connection: close\r\n";
    let request = head("GET", attack.path_or("/"), attack.host(), fields).into_bytes();
    let _answer = ask(&attack, &mut wire, &mut Reader::new(), &request).await;
}

async fn post_flood(attack: Arc<Attack>, n: usize) {
    let post = |attack: &Attack, _| {
        let fields = format!("Content-Length: {BODY_BYTES}\r\n");
        let mut request = head("POST", attack.path_or("/"), attack.host(), &fields).into_bytes();
        request.resize(request.len().saturating_add(BODY_BYTES), b'x');
        request
    };
    paced(attack, n, post).await;
}

async fn pipeline(attack: Arc<Attack>, n: usize) {
    let Some(mut wire) = attack.open(n).await else { return };
    let get = head("GET", attack.path_or("/"), attack.host(), "");
    let out = get.repeat(PIPELINED).into_bytes();
    while attack.goes_on() {
        let mut reader = Reader::new();
        let mut back = Vec::new();
        let sent = wire.exchange(&out, &mut |bytes| back.extend_from_slice(bytes)).await;
        attack.tally.requests.add(PIPELINED);
        let mut came = tokio::io::AsyncReadExt::chain(back.as_slice(), &mut wire);
        for _ in 0..PIPELINED {
            match reader.answer(&mut came, false).await {
                Ok(answer) => attack.tally.answer(answer.status),
                Err(_) => {
                    attack.tally.event("pipeline cut short");
                    return;
                }
            }
        }
        if sent.is_err() {
            return;
        }
    }
}
