//! Counters that are declared once, for the proxy and for reports.
//!
//! Each event costs one relaxed add, without a lock or a lookup by name. The name of a field is its
//! name in JSON. In a group of reasons it is also the value of the label `reason`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde::{Deserialize, Serialize};

/// A counter or a group of counters of the proxy.
pub trait Live {
    /// The values at one moment.
    type Report;

    /// Returns the values so far.
    fn report(&self) -> Self::Report;
}

impl Live for AtomicU64 {
    type Report = u64;

    fn report(&self) -> u64 {
        self.load(Relaxed)
    }
}

/// Declares a group of counters twice, for the proxy and for a report.
macro_rules! counters {
    (
        $(#[doc = $about:literal])+
        $live:ident => $report:ident { $($(#[doc = $doc:literal])+ $name:ident: $kind:ty,)+ }
    ) => {
        $(#[doc = $about])+
        #[derive(Debug, Default)]
        pub struct $live { $($(#[doc = $doc])+ pub $name: $kind,)+ }

        $(#[doc = $about])+
        #[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(default)]
        pub struct $report {
            $($(#[doc = $doc])+ pub $name: <$kind as $crate::Live>::Report,)+
        }

        impl $crate::Live for $live {
            type Report = $report;

            fn report(&self) -> $report {
                $report { $($name: $crate::Live::report(&self.$name),)+ }
            }
        }
    };
}

/// Declares a group of counters of one kind of event. Each counter is for a reason or a result.
macro_rules! reasons {
    (
        $(#[doc = $about:literal])+
        $live:ident => $report:ident { $($(#[doc = $doc:literal])+ $name:ident,)+ }
    ) => {
        counters! {
            $(#[doc = $about])+
            $live => $report { $($(#[doc = $doc])+ $name: std::sync::atomic::AtomicU64,)+ }
        }

        impl $report {
            /// The values of the label, each with its meaning.
            pub const REASONS: &'static [(&'static str, &'static str)] =
                &[$((stringify!($name), concat!($($doc),+)),)+];

            /// Returns the counters with their names.
            pub fn named(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name),)+].into_iter()
            }

            /// Returns the sum of all counters.
            #[must_use]
            pub fn sum(&self) -> u64 {
                self.named().fold(0, |sum, (_, count)| sum.saturating_add(count))
            }
        }
    };
}

/// Counters by word. The words are known at the start and keep their order.
#[derive(Debug, Default)]
pub struct WordCounters(Box<[(&'static str, AtomicU64)]>);

impl WordCounters {
    /// Creates one counter for each word.
    pub fn new(words: impl Iterator<Item = &'static str>) -> Self {
        Self(words.map(|word| (word, AtomicU64::new(0))).collect())
    }

    /// Adds one to the counter of the word number `nth`.
    pub fn count(&self, nth: usize) {
        if let Some((_, counter)) = self.0.get(nth) {
            counter.fetch_add(1, Relaxed);
        }
    }
}

impl Live for WordCounters {
    type Report = BTreeMap<String, u64>;

    fn report(&self) -> Self::Report {
        self.0.iter().map(|(word, count)| ((*word).to_owned(), count.load(Relaxed))).collect()
    }
}

/// The use of a resource, stored in percent and reported as a ratio: 1 is all of it.
#[derive(Debug, Default)]
pub struct PercentGauge(AtomicU64);

impl PercentGauge {
    /// Sets the use.
    pub fn set_percent(&self, percent: u64) {
        self.0.store(percent, Relaxed);
    }
}

impl Live for PercentGauge {
    type Report = f64;

    fn report(&self) -> f64 {
        self.0.load(Relaxed) as f64 / 100.0
    }
}

/// Responses by the class of their status code.
#[derive(Debug, Default)]
pub struct ResponseCounters([AtomicU64; 5]);

/// Responses by the class of their status code.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ResponseCounts {
    /// Connections that were upgraded to another protocol.
    #[serde(rename = "1xx")]
    pub informational: u64,
    /// Successful responses.
    #[serde(rename = "2xx")]
    pub successful: u64,
    /// Redirections.
    #[serde(rename = "3xx")]
    pub redirection: u64,
    /// Errors of the client.
    #[serde(rename = "4xx")]
    pub client_error: u64,
    /// Errors of the server.
    #[serde(rename = "5xx")]
    pub server_error: u64,
}

impl ResponseCounters {
    /// Counts a response with this status. 0 means no response and is not counted.
    pub fn count(&self, status: u16) {
        let class = usize::from(status / 100).checked_sub(1);
        if let Some(counter) = class.and_then(|class| self.0.get(class)) {
            counter.fetch_add(1, Relaxed);
        }
    }
}

impl Live for ResponseCounters {
    type Report = ResponseCounts;

    fn report(&self) -> ResponseCounts {
        let [informational, successful, redirection, client_error, server_error] =
            self.0.each_ref().map(|count| count.load(Relaxed));
        ResponseCounts { informational, successful, redirection, client_error, server_error }
    }
}

impl ResponseCounts {
    /// Returns the counters with their classes.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, u64)> {
        [
            ("1xx", self.informational),
            ("2xx", self.successful),
            ("3xx", self.redirection),
            ("4xx", self.client_error),
            ("5xx", self.server_error),
        ]
        .into_iter()
    }
}

/// The upper bounds of the buckets of a histogram, in milliseconds. The last bucket has none.
pub const LATENCY_BOUNDS_MS: [u64; 10] = [5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 10_000];
/// Number of buckets, with the one without a bound.
const BUCKETS: usize = LATENCY_BOUNDS_MS.len() + 1;

/// A histogram of durations.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    sum_ms: AtomicU64,
}

/// A histogram of durations at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HistogramReport {
    /// Durations by bucket, each in one bucket only: at most 5, 10, 25, 50, 100, 250, 500, 1,000,
    /// 2,500 and 10,000 ms, and more.
    pub buckets: [u64; BUCKETS],
    /// The sum of all durations, in milliseconds.
    pub sum_ms: u64,
}

impl Histogram {
    /// Adds a duration.
    pub fn observe_ms(&self, ms: u64) {
        let nth = LATENCY_BOUNDS_MS.iter().position(|bound| ms <= *bound);
        if let Some(bucket) = self.buckets.get(nth.unwrap_or(BUCKETS - 1)) {
            bucket.fetch_add(1, Relaxed);
            self.sum_ms.fetch_add(ms, Relaxed);
        }
    }
}

impl Live for Histogram {
    type Report = HistogramReport;

    fn report(&self) -> HistogramReport {
        let buckets = self.buckets.each_ref().map(|count| count.load(Relaxed));
        HistogramReport { buckets, sum_ms: self.sum_ms.load(Relaxed) }
    }
}

impl HistogramReport {
    /// Returns the number of durations.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// Returns the sum of both.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        self.with(other, u64::saturating_add)
    }

    /// Returns the difference since `earlier`.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        self.with(earlier, u64::saturating_sub)
    }

    fn with(self, other: Self, combine: fn(u64, u64) -> u64) -> Self {
        let mut buckets = self.buckets;
        for (bucket, more) in buckets.iter_mut().zip(other.buckets) {
            *bucket = combine(*bucket, more);
        }
        Self { buckets, sum_ms: combine(self.sum_ms, other.sum_ms) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_in_the_bucket_of_its_bound() {
        let histogram = Histogram::default();
        for ms in [0, 5, 6, 1_000, 1_001, 10_000, 10_001, 20_000] {
            histogram.observe_ms(ms);
        }
        let report = histogram.report();
        assert_eq!(report.buckets, [2, 1, 0, 0, 0, 0, 0, 1, 1, 1, 2]);
        assert_eq!(report.count(), 8);
        assert_eq!(report.plus(report).since(report), report);
    }

    #[test]
    fn a_response_is_counted_by_its_class() {
        let responses = ResponseCounters::default();
        for status in [0, 99, 101, 200, 204, 301, 404, 503, 600, u16::MAX] {
            responses.count(status);
        }
        let counts: Vec<u64> = responses.report().named().map(|(_, count)| count).collect();
        assert_eq!(counts, [1, 2, 1, 1, 1]);
    }

    #[test]
    fn words_are_counted_by_their_place() {
        let words = WordCounters::new(["a", "b"].into_iter());
        words.count(1);
        words.count(1);
        words.count(2);
        assert_eq!(words.report(), BTreeMap::from([("a".to_owned(), 0), ("b".to_owned(), 2)]));
    }
}
