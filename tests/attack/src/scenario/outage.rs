//! A37: the origin fails during a flood. The figures: when clients get errors, how many requests
//! still go to the origin, and when it is back.

use super::flood::get_flood;
use super::{EACH, Needs, Scenario};
use crate::addresses::Spread;
use crate::attack::{Attack, hold};
use crate::origin::Fault;
use anyhow::{Context as _, Result};
use std::sync::Arc;
use tokio::time::{Instant, sleep};

/// The part of the attack before the fault, and again after it: one in so many.
const BEFORE: u32 = 4;
/// The part in which the fault lasts.
const FAULT: u32 = 2;

/// The scenarios of this family.
pub(super) const ALL: &[Scenario] = &[
    Scenario {
        name: "origin-stopped",
        what: "GETs, while --origin hangs for half of the attack",
        run: |attack| Box::pin(outage(attack, Fault::Stopped)),
        ..USUAL
    },
    Scenario {
        name: "origin-killed",
        what: "the same while it is gone and refuses connections",
        run: |attack| Box::pin(outage(attack, Fault::Killed)),
        ..USUAL
    },
    Scenario {
        name: "origin-flapping",
        what: "the same while it is up and down, 200 ms each",
        run: |attack| Box::pin(outage(attack, Fault::Flapping)),
        ..USUAL
    },
];

const USUAL: Scenario = Scenario {
    name: "",
    vector: "A37",
    what: "",
    needs: Needs::H1,
    connections: 200,
    rate: 800,
    addresses: EACH,
    spread: Spread::Wide,
    run: |_| Box::pin(std::future::ready(Ok(()))),
};

async fn outage(attack: Arc<Attack>, fault: Fault) -> Result<()> {
    let recorder = attack.extra.recorder.context("this needs --origin ADDRESS:PORT")?;
    let all = attack.until.saturating_duration_since(Instant::now());
    let flood = tokio::spawn(hold(attack.clone(), get_flood));
    sleep(all / BEFORE).await;
    let time = all / FAULT;
    recorder.fault(fault, time).await?;
    attack.tally.begin_outage(time);
    flood.await?
}
