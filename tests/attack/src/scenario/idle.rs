//! A8 and A9: connections that do nothing, or hardly anything, and are many.

use super::{EACH, Needs, Scenario};
use crate::addresses::Spread;
use crate::attack::{Attack, hold};
use crate::h1::{Reader, head};
use crate::h2::frame::PREFACE;
use crate::h2::session::Session;
use crate::scenario::flood::ask;
use std::sync::Arc;
use tokio::io::AsyncWriteExt as _;

/// What `fd-exhaustion` asks for: an answer that takes long holds a descriptor to the origin too.
const LONG: &str = "/__slow/30000";

/// The scenarios of this family.
pub(super) const ALL: &[Scenario] = &[
    Scenario {
        name: "idle-many",
        vector: "A8",
        what: "connections from as many addresses, without a byte",
        needs: Needs::H1,
        connections: 15_000,
        rate: 3_000,
        addresses: EACH,
        spread: Spread::Wide,
        run: |attack| Box::pin(hold(attack, silent)),
    },
    Scenario {
        name: "idle-one",
        vector: "A8",
        what: "the same from one address",
        needs: Needs::H1,
        connections: 5_000,
        rate: 2_000,
        addresses: 1,
        spread: Spread::Wide,
        run: |attack| Box::pin(hold(attack, silent)),
    },
    Scenario {
        name: "idle-kept",
        vector: "A8",
        what: "connections that are idle after one request",
        needs: Needs::H1,
        connections: 8_000,
        rate: 1_000,
        addresses: EACH,
        spread: Spread::Wide,
        run: |attack| Box::pin(hold(attack, kept)),
    },
    Scenario {
        name: "h2-idle",
        vector: "A8",
        what: "HTTP/2 connections that are idle after SETTINGS",
        needs: Needs::H2,
        connections: 4_000,
        rate: 1_000,
        addresses: EACH,
        spread: Spread::Wide,
        run: |attack| Box::pin(hold(attack, h2_idle)),
    },
    Scenario {
        name: "h2-preface",
        vector: "A8",
        what: "half of HTTP/2's preface, and silence",
        needs: Needs::H2,
        connections: 2_000,
        rate: 500,
        addresses: EACH,
        spread: Spread::Wide,
        run: |attack| Box::pin(hold(attack, half_preface)),
    },
    Scenario {
        name: "fd-exhaustion",
        vector: "A9",
        what: "requests with slow responses: two descriptors each, until there are none",
        needs: Needs::H1,
        connections: 2_000,
        rate: 1_000,
        addresses: EACH,
        spread: Spread::Wide,
        run: |attack| Box::pin(hold(attack, long)),
    },
];

async fn silent(attack: Arc<Attack>, n: usize) {
    if let Some(mut wire) = attack.open(n).await {
        wire.until_closed().await;
    }
}

async fn kept(attack: Arc<Attack>, n: usize) {
    let Some(mut wire) = attack.open(n).await else { return };
    let request = head("GET", attack.path_or("/"), attack.host(), "").into_bytes();
    let answered = ask(&attack, &mut wire, &mut Reader::new(), &request).await;
    if answered.is_ok() {
        wire.until_closed().await;
    }
}

async fn h2_idle(attack: Arc<Attack>, n: usize) {
    if let Some(mut session) = Session::start(&attack, n, 1 << 16).await {
        session.until_closed().await;
    }
}

async fn half_preface(attack: Arc<Attack>, n: usize) {
    let Some(mut wire) = attack.open(n).await else { return };
    let half = PREFACE.get(..12).unwrap_or_default();
    if wire.write_all(half).await.is_ok() && wire.flush().await.is_ok() {
        wire.until_closed().await;
    }
}

async fn long(attack: Arc<Attack>, n: usize) {
    let Some(mut wire) = attack.open(n).await else { return };
    let request = head("GET", attack.path_or(LONG), attack.host(), "").into_bytes();
    let _answer = ask(&attack, &mut wire, &mut Reader::new(), &request).await;
}
