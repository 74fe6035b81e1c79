//! What an attack notes about itself: counts, and how long connections were held.

use crate::caps::EVENT_NAMES_MAX;
use crate::report::{AttackReport, OutageReport, Spread};
use hdrhistogram::Histogram;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// Longest time kept apart: longer than any run.
const HELD_MS_MAX: u64 = 3_600_000;

/// One number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    /// Adds one.
    pub(crate) fn one(&self) {
        self.add(1);
    }

    /// Adds `n`.
    pub(crate) fn add(&self, n: usize) {
        self.0.fetch_add(n as u64, Ordering::Relaxed);
    }

    /// Returns the present count.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How a connection could not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unopened {
    /// Connection refused, or a full backlog resets.
    Refused,
    /// A reset before the connection could be used.
    Reset,
    /// The timeout expired.
    Late,
    /// TLS or HTTP/2 was not agreed on, or the connection ended meanwhile.
    NoHandshake,
    /// An error on this side: no descriptor, no port, no such address.
    Local,
}

/// How old connections were when they ended, or how long responses took.
#[derive(Debug, Default)]
struct Ages(Option<Histogram<u64>>);

fn as_ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl Outage {
    fn note(&mut self, status: u16, now: Instant) {
        if now < self.over {
            let count = self.report.answers.entry(status.to_string()).or_default();
            *count = count.saturating_add(1);
        } else if status < 400 && self.report.back_ms.is_none() {
            self.report.back_ms = Some(as_ms(now.duration_since(self.over)));
        }
    }
}

impl Ages {
    fn note(&mut self, age: Duration) {
        let ms = as_ms(age);
        if self.0.is_none() {
            self.0 = Histogram::new_with_bounds(1, HELD_MS_MAX, 3).ok();
        }
        if let Some(histogram) = self.0.as_mut() {
            histogram.saturating_record(ms);
        }
    }

    fn report(&self) -> Option<Spread> {
        self.0.as_ref().map(Spread::of)
    }
}

/// Everything counted in one attack.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) opened: Count,
    pub(crate) refused: Count,
    pub(crate) reset_at_open: Count,
    pub(crate) late: Count,
    pub(crate) no_handshake: Count,
    pub(crate) local: Count,
    pub(crate) closed: Count,
    pub(crate) reset: Count,
    pub(crate) left: Count,
    pub(crate) sent: Count,
    pub(crate) received: Count,
    pub(crate) requests: Count,
    open: Mutex<(u64, u64)>,
    answers: Mutex<BTreeMap<u16, u64>>,
    events: Mutex<BTreeMap<String, u64>>,
    held_ms: Mutex<Ages>,
    left_ms: Mutex<Ages>,
    answer_ms: Mutex<Ages>,
    outage: Mutex<Option<Outage>>,
}

/// A fault of the origin, and the responses since its start.
#[derive(Debug)]
struct Outage {
    over: Instant,
    report: OutageReport,
}

impl Tally {
    /// Records a failed connection.
    pub(crate) fn unopened(&self, how: Unopened) {
        match how {
            Unopened::Refused => &self.refused,
            Unopened::Reset => &self.reset_at_open,
            Unopened::Late => &self.late,
            Unopened::NoHandshake => &self.no_handshake,
            Unopened::Local => &self.local,
        }
        .one();
    }

    /// Records an opened connection.
    pub(crate) fn opens(&self) {
        self.opened.one();
        let mut open = self.open.lock();
        open.0 = open.0.saturating_add(1);
        open.1 = open.1.max(open.0);
    }

    /// Records the end of a connection.
    pub(crate) fn ends(&self) {
        let mut open = self.open.lock();
        open.0 = open.0.saturating_sub(1);
    }

    /// Records that the server ended a connection after this time.
    pub(crate) fn held(&self, time: Duration) {
        self.held_ms.lock().note(time);
    }

    /// Records that this program left a connection of this age.
    pub(crate) fn leaves(&self, age: Duration) {
        self.left.one();
        self.left_ms.lock().note(age);
    }

    /// Records a response with this status.
    pub(crate) fn answer(&self, status: u16) {
        let mut answers = self.answers.lock();
        let count = answers.entry(status).or_default();
        *count = count.saturating_add(1);
    }

    /// Records a response with this status, and its duration.
    pub(crate) fn answer_after(&self, status: u16, time: Duration) {
        self.answer(status);
        self.answer_ms.lock().note(time);
        if let Some(outage) = self.outage.lock().as_mut() {
            outage.note(status, Instant::now());
        }
    }

    /// Records that the origin fails from now on, for this time.
    pub(crate) fn begin_outage(&self, time: Duration) {
        let report = OutageReport { fault_ms: as_ms(time), ..OutageReport::default() };
        *self.outage.lock() = Some(Outage { over: Instant::now() + time, report });
    }

    /// Counts a named event. Names beyond [`EVENT_NAMES_MAX`] count together.
    pub(crate) fn event(&self, name: &str) {
        let mut events = self.events.lock();
        let name = if events.contains_key(name) || events.len() < EVENT_NAMES_MAX {
            name
        } else {
            "other"
        };
        let count = events.entry(name.to_owned()).or_default();
        *count = count.saturating_add(1);
    }

    /// Returns the report.
    pub(crate) fn report(&self) -> AttackReport {
        AttackReport {
            opened: self.opened.get(),
            open_at_most: self.open.lock().1,
            refused: self.refused.get(),
            reset_at_open: self.reset_at_open.get(),
            open_timed_out: self.late.get(),
            handshake_failed: self.no_handshake.get(),
            failed_here: self.local.get(),
            closed_by_server: self.closed.get(),
            reset_by_server: self.reset.get(),
            held_ms: self.held_ms.lock().report(),
            left_by_us: self.left.get(),
            left_ms: self.left_ms.lock().report(),
            answer_ms: self.answer_ms.lock().report(),
            outage: self.outage.lock().as_ref().map(|outage| outage.report.clone()),
            bytes_sent: self.sent.get(),
            bytes_received: self.received.get(),
            requests: self.requests.get(),
            answers: self.answers.lock().iter().map(|(k, v)| (k.to_string(), *v)).collect(),
            events: self.events.lock().clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_events_are_bounded() {
        let tally = Tally::default();
        for n in 0..EVENT_NAMES_MAX + 50 {
            tally.event(&format!("event {n}"));
        }
        tally.event("event 3");
        let events = tally.report().events;
        assert_eq!(events.len(), EVENT_NAMES_MAX + 1);
        assert_eq!((events["other"], events["event 3"]), (50, 2));
    }

    #[test]
    fn the_peak_of_open_connections_stays() {
        let tally = Tally::default();
        tally.opens();
        tally.opens();
        tally.ends();
        tally.opens();
        let report = tally.report();
        assert_eq!((report.opened, report.open_at_most), (3, 2));
    }

    #[test]
    fn an_outage_is_over_with_the_first_good_answer_after_it() {
        let tally = Tally::default();
        tally.answer_after(200, Duration::from_millis(5));
        tally.begin_outage(Duration::from_secs(3_600));
        tally.answer_after(503, Duration::from_millis(40));
        tally.answer_after(200, Duration::ZERO);
        let during = tally.report().outage.unwrap();
        assert_eq!((during.fault_ms, during.back_ms), (3_600_000, None));
        assert_eq!((during.answers["503"], during.answers["200"]), (1, 1));
        tally.begin_outage(Duration::ZERO);
        tally.answer_after(503, Duration::ZERO);
        assert_eq!(tally.report().outage.unwrap().back_ms, None);
        tally.answer_after(200, Duration::ZERO);
        let after = tally.report();
        assert!(after.outage.unwrap().back_ms.is_some());
        let answers = after.answer_ms.unwrap();
        assert_eq!((answers.count, answers.max), (5, 40));
    }

    #[test]
    fn held_times_are_within_a_thousandth() {
        let tally = Tally::default();
        tally.held(Duration::from_millis(10_000));
        let held = tally.report().held_ms.unwrap();
        assert_eq!(held.count, 1);
        assert!((9_990..=10_010).contains(&held.max), "{held:?}");
    }
}
