//! A33: requests whose boundaries two servers in a row may see differently.
//!
//! Every case carries its number in its targets. The origin must not have read more whole requests
//! of a case than the client got responses of the origin: one more is a request that the server in
//! front has not evaluated. So this needs the recording origin (`seawall-attack origin`, in each of
//! its parsing modes) behind the server; without it only the responses are reported.

use super::cases::{Came, Case, run};
use super::corpus::{H2, h1};
use super::{EACH, Needs, Scenario};
use crate::addresses::Spread;
use crate::attack::Attack;
use crate::h2::frame::{data, headers, stream_id};
use crate::h2::hpack::Block;
use crate::h2::session::Session;
use crate::origin::MARK;
use crate::tally::Tally;
use anyhow::Result;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout_at};

/// Timeout of the last responses.
const LAST: Duration = Duration::from_secs(1);

/// The scenarios of this family.
pub(super) const ALL: &[Scenario] = &[
    Scenario {
        name: "smuggling",
        vector: "A33",
        what: "some 200 requests with two possible readings, once each; --origin shows what came through",
        needs: Needs::H1,
        connections: 20,
        rate: 100,
        addresses: EACH,
        spread: Spread::Wide,
        run: |attack| Box::pin(h1_corpus(attack)),
    },
    Scenario {
        name: "h2-smuggling",
        vector: "A33",
        what: "HTTP/2 requests that become two when they are written as HTTP/1.1",
        needs: Needs::H2,
        connections: 20,
        rate: 100,
        addresses: EACH,
        spread: Spread::Wide,
        run: |attack| Box::pin(h2_corpus(attack)),
    },
];

/// Returns the number of the origin's responses in `bytes`.
fn recorded(bytes: &[u8]) -> usize {
    let mark = MARK.as_bytes();
    bytes.windows(mark.len()).filter(|window| window.eq_ignore_ascii_case(mark)).count()
}

/// Returns the number in `/__case/NUMBER/…`.
fn number(target: &str) -> Option<usize> {
    target.split("/__case/").nth(1)?.split('/').next()?.parse().ok()
}

async fn h1_corpus(attack: Arc<Attack>) -> Result<()> {
    let before = cases_seen(&attack).await?;
    let cases = h1(attack.host());
    let numbers: BTreeMap<String, usize> =
        cases.iter().enumerate().map(|(n, case)| (case.name.clone(), n)).collect();
    let came = run(&attack, cases).await;
    sleep(LAST).await;
    let after = cases_seen(&attack).await?;
    for came in &came {
        attack.tally.event(&format!("{}: {}", came.case.name, came.word()));
    }
    if let (Some(before), Some(after)) = (before, after) {
        judge(&attack.tally, &came, &numbers, &difference(&before, &after));
    }
    Ok(())
}

type Seen = BTreeMap<usize, usize>;

fn difference(before: &Seen, after: &Seen) -> Seen {
    let new = |(n, count): (&usize, &usize)| {
        (*n, count.saturating_sub(before.get(n).copied().unwrap_or_default()))
    };
    after.iter().map(new).collect()
}

fn judge(tally: &Tally, came: &[Came], numbers: &BTreeMap<String, usize>, seen: &Seen) {
    let mut desyncs = 0u32;
    for came in came {
        let number = numbers.get(&came.case.name).copied().unwrap_or(usize::MAX);
        let requests = seen.get(&number).copied().unwrap_or_default();
        let answers = recorded(&came.bytes);
        if requests > answers {
            desyncs = desyncs.saturating_add(1);
            let name = &came.case.name;
            tally.event(&format!("DESYNC {name}: {requests} requests, {answers} answers"));
        }
    }
    if desyncs == 0 {
        tally.event("desyncs: none");
    }
}

/// Returns how many requests of each case the origin has seen.
async fn cases_seen(attack: &Attack) -> Result<Option<Seen>> {
    let Some(recorder) = attack.extra.recorder else { return Ok(None) };
    let mut seen = Seen::new();
    for target in recorder.record().await?.cases {
        if let Some(number) = number(&target) {
            let count = seen.entry(number).or_default();
            *count = count.saturating_add(1);
        }
    }
    Ok(Some(seen))
}

async fn h2_corpus(attack: Arc<Attack>) -> Result<()> {
    let before = cases_seen(&attack).await?.unwrap_or_default();
    let mut running = JoinSet::new();
    for (n, case) in H2.iter().enumerate() {
        let attack = attack.clone();
        running.spawn(async move {
            if timeout_at(attack.until, h2_case(&attack, n, case)).await.is_err() {
                attack.tally.event("case not run");
            }
        });
    }
    while running.join_next().await.is_some() {}
    sleep(LAST).await;
    if let Some(after) = cases_seen(&attack).await? {
        let seen = difference(&before, &after);
        for (n, case) in H2.iter().enumerate() {
            let requests = seen.get(&n).copied().unwrap_or_default();
            // One stream each: a second request is one too many.
            let name = if requests > 1 { "DESYNC" } else { "forwarded" };
            if requests > 0 {
                attack.tally.event(&format!("{name} {}: {requests} requests", case.name));
            }
        }
    }
    Ok(())
}

async fn h2_case(attack: &Attack, n: usize, case: &super::corpus::H2Case) {
    let Some(mut session) = Session::start(attack, n, 1 << 16).await else { return };
    let mut block = Block::browser(true, &format!("/__case/{n:03}/first"), attack.host());
    let numbered = |text: &str| text.replace("{n}", &format!("{n:03}"));
    for (name, value) in case.fields {
        block.literal(name.as_bytes(), numbered(value).as_bytes());
    }
    let body = numbered(case.body);
    let out = [
        headers(stream_id(0), block.bytes(), body.is_empty()),
        if body.is_empty() { Vec::new() } else { data(stream_id(0), body.as_bytes(), true) },
    ]
    .concat();
    attack.tally.requests.one();
    if session.push(&out).await.is_ok() {
        let _silence = tokio::time::timeout(LAST, session.until_closed()).await;
    }
}

/// Returns all cases of both kinds, for scenarios that only read responses.
pub(super) fn every_case(host: &str) -> Vec<Case> {
    h1(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_tell_their_case() {
        assert_eq!(number("/__case/017/first"), Some(17));
        assert_eq!(number("http://x/__case/3/y"), Some(3));
        assert_eq!(number("/"), None);
        assert_eq!(recorded(b"X-Recorded: yes\r\n\r\nHTTP/1.1 200\r\nx-recorded: yes"), 2);
    }

    #[test]
    fn only_what_is_new_counts() {
        let before = Seen::from([(1, 2)]);
        let after = Seen::from([(1, 3), (2, 1)]);
        assert_eq!(difference(&before, &after), Seen::from([(1, 1), (2, 1)]));
    }

    #[test]
    fn a_request_that_nobody_in_front_answered_is_a_desync() {
        let tally = Tally::default();
        let came = |name: &str, answers: usize| Came {
            case: Case { name: name.to_owned(), bytes: Vec::new() },
            bytes: format!("{MARK}\r\n").repeat(answers).into_bytes(),
            statuses: Vec::new(),
        };
        let numbers = [("a", 0), ("b", 1)].map(|(name, n)| (name.to_owned(), n)).into();
        judge(&tally, &[came("a", 1), came("b", 2)], &numbers, &Seen::from([(0, 2), (1, 2)]));
        let events: Vec<_> = tally.report().events.into_keys().collect();
        assert_eq!(events, ["DESYNC a: 2 requests, 1 answers"]);
        judge(&tally, &[came("b", 2)], &numbers, &Seen::from([(1, 2)]));
        assert_eq!(tally.report().events.get("desyncs: none"), Some(&1));
    }
}
