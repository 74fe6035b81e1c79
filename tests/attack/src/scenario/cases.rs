//! Running a list of cases: each on a connection and from an address of its own, with its responses.

use crate::attack::Attack;
use crate::h1::Reader;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{timeout, timeout_at};

/// Timeout of the first byte of a response, and of further bytes.
const FIRST: Duration = Duration::from_secs(5);
const SILENCE: Duration = Duration::from_millis(700);
/// Maximum bytes of responses that are kept of one case.
const KEPT_BYTES: usize = 256 << 10;

/// Bytes to be sent as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Case {
    /// What it is, in a few words; unique.
    pub(super) name: String,
    /// What is sent.
    pub(super) bytes: Vec<u8>,
}

/// What became of one.
#[derive(Debug)]
pub(super) struct Came {
    /// Which.
    pub(super) case: Case,
    /// Everything that came back.
    pub(super) bytes: Vec<u8>,
    /// The statuses in it.
    pub(super) statuses: Vec<u16>,
}

impl Came {
    /// Returns the statuses as a text, or that there were none.
    pub(super) fn word(&self) -> String {
        if self.statuses.is_empty() {
            return if self.bytes.is_empty() { "no answer" } else { "no HTTP" }.to_owned();
        }
        let all: Vec<String> = self.statuses.iter().map(u16::to_string).collect();
        all.join("+")
    }
}

/// Runs all of them, as many at once as there are connections; `None` where there was none.
pub(super) async fn run(attack: &Arc<Attack>, cases: Vec<Case>) -> Vec<Came> {
    let places = Arc::new(Semaphore::new(attack.connections));
    let mut running = JoinSet::new();
    for (n, case) in cases.into_iter().enumerate() {
        let (attack, places) = (attack.clone(), places.clone());
        running.spawn(async move {
            let until = attack.until;
            let one = async {
                let _place = places.acquire().await.ok()?;
                one(&attack, n, case).await
            };
            timeout_at(until, one).await.ok().flatten()
        });
    }
    let mut all = Vec::new();
    while let Some(done) = running.join_next().await {
        match done {
            Ok(Some(came)) => all.push(came),
            _ => attack.tally.event("case not run"),
        }
    }
    all.sort_by(|a, b| a.case.name.cmp(&b.case.name));
    all
}

async fn one(attack: &Attack, n: usize, case: Case) -> Option<Came> {
    let mut wire = attack.open(n).await?;
    let mut bytes = Vec::new();
    attack.tally.requests.one();
    let sent = wire.exchange(&case.bytes, &mut |more| bytes.extend_from_slice(more)).await;
    while sent.is_ok() && bytes.len() < KEPT_BYTES {
        let patience = if bytes.is_empty() { FIRST } else { SILENCE };
        match timeout(patience, wire.read_buf(&mut bytes)).await {
            Ok(Ok(1..)) => {}
            _ => break,
        }
    }
    let statuses = statuses(&bytes, case.bytes.starts_with(b"HEAD ")).await;
    for status in &statuses {
        attack.tally.answer(*status);
    }
    Some(Came { case, bytes, statuses })
}

/// Returns the statuses of all complete responses in `bytes`, of which the first may be to a HEAD.
pub(super) async fn statuses(mut bytes: &[u8], to_head: bool) -> Vec<u16> {
    let mut reader = Reader::new();
    let mut found = Vec::new();
    while let Ok(answer) = reader.answer(&mut bytes, to_head && found.is_empty()).await {
        found.push(answer.status);
    }
    found
}
