//! A39: requests whose clients leave before the response. The origin does not notice and continues,
//! as a script does that reads nothing more; the figure is its number of concurrent requests.

use super::{EACH, Needs, Scenario};
use crate::addresses::Spread;
use crate::attack::{Attack, at_rate};
use crate::connect::{secure, tcp};
use crate::h1::head;
use crate::wire::Wire;
use rustix::net::sockopt::set_socket_linger;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::time::sleep;

/// What is asked for: the recording origin takes so many milliseconds for it.
const SLOW: &str = "/__slow/2000";
/// How long each client waits.
const PATIENCE: Duration = Duration::from_millis(60);
/// How long one stays that has only closed its own half.
const HALF_CLOSED: Duration = Duration::from_millis(500);

/// How a client leaves.
#[derive(Debug, Clone, Copy)]
enum Leaves {
    /// By a reset.
    Reset,
    /// By an end in both directions.
    Closed,
    /// By an end in its own direction.
    HalfClosed,
}

const LEAVES: [Leaves; 3] = [Leaves::Reset, Leaves::Closed, Leaves::HalfClosed];

/// The scenarios of this family.
pub(super) const ALL: &[Scenario] = &[Scenario {
    name: "given-up",
    vector: "A39",
    what: "slow GETs whose clients reset, close or half-close after 60 ms",
    needs: Needs::H1,
    connections: 1_000,
    rate: 400,
    addresses: EACH,
    spread: Spread::Wide,
    run: |attack| Box::pin(at_rate(attack, given_up)),
}];

async fn given_up(attack: Arc<Attack>, n: usize) {
    let stream = match tcp(&attack.way, attack.source(n)).await {
        Ok(stream) => stream,
        Err(how) => return attack.tally.unopened(how),
    };
    let how = LEAVES.get(n % LEAVES.len()).copied().unwrap_or(Leaves::Reset);
    if matches!(how, Leaves::Reset) && set_socket_linger(&stream, Some(Duration::ZERO)).is_err() {
        attack.tally.event("no reset to be had");
    }
    let io = match secure(&attack.way, stream).await {
        Ok(io) => io,
        Err(how) => return attack.tally.unopened(how),
    };
    let mut wire = Wire::new(io, attack.tally.clone());
    let request = head("GET", attack.path_or(SLOW), attack.host(), "");
    if wire.write_all(request.as_bytes()).await.is_err() || wire.flush().await.is_err() {
        return;
    }
    attack.tally.requests.one();
    sleep(PATIENCE).await;
    if matches!(how, Leaves::HalfClosed) {
        let _ended = wire.shutdown().await;
        sleep(HALF_CLOSED).await;
    }
}
