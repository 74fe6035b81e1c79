//! A38: an origin whose header sections are too large. A proxy that reads the header section to its
//! end before it forwards it stores that much for each visitor, and forever if it has no end.

use super::flood::ask;
use super::{EACH, Needs, Scenario};
use crate::addresses::Spread;
use crate::attack::{Attack, hold};
use crate::h1::{Reader, head};
use crate::origin::HEADS;
use std::sync::Arc;
use tokio::io::AsyncWriteExt as _;
use tokio::time::sleep_until;

/// The scenarios of this family.
pub(super) const ALL: &[Scenario] = &[Scenario {
    name: "origin-heads",
    vector: "A38",
    what: "GETs with response headers of 1 MB or without end; every second client reads nothing",
    needs: Needs::H1,
    connections: 400,
    rate: 400,
    addresses: EACH,
    spread: Spread::Wide,
    run: |attack| Box::pin(hold(attack, one)),
}];

/// One request, and off again; or on for ever, without reading.
async fn one(attack: Arc<Attack>, n: usize) {
    let Some(mut wire) = attack.open(n).await else { return };
    let kind = HEADS.get(n / 2 % HEADS.len()).copied().unwrap_or_default();
    let request = head("GET", attack.path_or(kind), attack.host(), "Connection: close\r\n");
    if n.is_multiple_of(2) {
        let _answer = ask(&attack, &mut wire, &mut Reader::new(), request.as_bytes()).await;
        return;
    }
    if wire.write_all(request.as_bytes()).await.is_ok() && wire.flush().await.is_ok() {
        attack.tally.requests.one();
        sleep_until(attack.until).await;
    }
}
