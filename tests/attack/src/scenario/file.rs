//! A40: one request out of a file, again and again: the worst that a search has found for a policy.

use super::flood::paced;
use super::{EACH, Needs, Scenario};
use crate::addresses::Spread;
use crate::attack::{Attack, hold};
use anyhow::{Context as _, Result};
use std::sync::Arc;

/// The scenarios of this family.
pub(super) const ALL: &[Scenario] = &[Scenario {
    name: "request-file",
    vector: "A40",
    what: "the request in --request FILE, unchanged, on kept connections",
    needs: Needs::H1,
    connections: 40,
    rate: 100,
    addresses: EACH,
    spread: Spread::Wide,
    run: |attack| Box::pin(again(attack)),
}];

async fn again(attack: Arc<Attack>) -> Result<()> {
    let file = attack.extra.request.as_ref().context("this needs --request FILE")?;
    let bytes = std::fs::read(file).with_context(|| format!("reading {}", file.display()))?;
    let bytes = Arc::new(bytes);
    hold(attack, move |attack, n| {
        let bytes = bytes.clone();
        async move { paced(attack, n, |_, _| bytes.to_vec()).await }
    })
    .await
}
