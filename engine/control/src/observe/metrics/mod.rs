//! `GET /metrics`: everything that the status has as a number, as Prometheus reads it.
//!
//! One table (`families.rs`) has every name with its labels, its sentence and where its samples come
//! from; the manual is held against it. The form is Prometheus' text 0.0.4. Labels are names that
//! the operator wrote (sites, rules, lists) or words of Seawall: nothing of a client's, and never
//! more of them than the configuration and the policy have.
//!
//! A site has series from its first connection or request on. They stay until the process ends.

mod busiest;
mod families;
mod process;
mod samples;

use std::fmt::Write;

pub(crate) use busiest::BusiestSites;
pub use busiest::HISTOGRAM_SITES_MAX;
use busiest::Latency;
pub use families::FAMILIES;
pub(crate) use process::ProcessSample;
use samples::Samples;
use seawall_admin_api::{SiteStatus, StatusReport};

/// What Prometheus is told that this is.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
/// Bytes that the page may have; what is past them is omitted, from a family's beginning on.
pub const METRICS_BYTES_MAX: usize = 32 << 20;

/// What a metric can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// It only rises, until the process ends.
    Counter,
    /// It rises and falls.
    Gauge,
    /// Counters of durations by size.
    Histogram,
}

impl MetricKind {
    /// Prometheus' word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// What adds a family's samples.
type CollectFn = fn(&Scrape<'_>, &mut Samples<'_>);

/// One metric.
#[derive(Debug, Clone, Copy)]
pub struct MetricFamily {
    /// Its name.
    pub name: &'static str,
    /// What it can do.
    pub kind: MetricKind,
    /// Its labels.
    pub labels: &'static [&'static str],
    /// What it says, in one sentence.
    pub help: &'static str,
    collect: CollectFn,
}

/// What the samples of one page come from.
#[derive(Debug)]
pub(crate) struct Scrape<'s> {
    status: &'s StatusReport,
    latencies: &'s [(&'s str, Latency)],
    process: ProcessSample,
    /// Families that were omitted so far.
    omitted: u32,
}

impl<'s> Scrape<'s> {
    pub(crate) const fn new(
        status: &'s StatusReport,
        latencies: &'s [(&'s str, Latency)],
        process: ProcessSample,
    ) -> Self {
        Self { status, latencies, process, omitted: 0 }
    }

    /// The sites at which something has happened.
    fn sites(&self) -> impl Iterator<Item = &'s SiteStatus> {
        self.status.sites.iter().filter(|site| site.is_visited())
    }

    /// When something was that is so old, in seconds since 1970.
    fn seconds_ago(&self, age_ms: u64) -> f64 {
        ms(self.status.time_ms.saturating_sub(age_ms))
    }
}

/// Milliseconds in seconds.
fn ms(ms: u64) -> f64 {
    ms as f64 / 1e3
}

/// The page.
pub(crate) fn page(mut scrape: Scrape<'_>) -> String {
    let mut page = String::with_capacity(64 << 10);
    for family in FAMILIES {
        let mut out = Samples { text: String::new(), family };
        (family.collect)(&scrape, &mut out);
        if out.text.is_empty() {
            continue;
        }
        if page.len().saturating_add(out.text.len()) > METRICS_BYTES_MAX {
            scrape.omitted = scrape.omitted.saturating_add(1);
            continue;
        }
        let MetricFamily { name, kind, help, .. } = family;
        let help = help.replace('\\', "\\\\");
        let _never = write!(page, "# HELP {name} {help}\n# TYPE {name} {}\n", kind.word());
        page.push_str(&out.text);
    }
    page
}

#[cfg(test)]
mod tests {
    use seawall_admin_api::{PolicyStatus, RuleStatus, SnapshotStatus};

    use super::*;

    fn text_of(status: &StatusReport) -> String {
        let latencies = BusiestSites::default().scrape(&status.sites, 0);
        page(Scrape::new(status, &latencies, ProcessSample::default()))
    }

    fn rule(name: &str) -> RuleStatus {
        RuleStatus { name: name.to_owned(), hits: 3, shadow_hits: 0 }
    }

    #[test]
    fn what_is_written_is_escaped_scaled_and_of_visited_sites_only() {
        let site = |name: &str, requests: u64| {
            let mut site = SiteStatus { name: name.into(), ..SiteStatus::default() };
            let counts = &mut site.traffic.counts;
            (counts.requests_total, counts.cpu_us) = (requests, 2_500_000);
            counts.request_duration.buckets = [0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1];
            counts.request_duration.sum_ms = 12_007;
            site
        };
        let mut status = StatusReport {
            time_ms: 11_000,
            policy: PolicyStatus { generation: 7, ..PolicyStatus::default() },
            snapshot: SnapshotStatus { age_ms: Some(1_500), ..SnapshotStatus::default() },
            rules: vec![rule("odd \"one\\\n")],
            sites: vec![site("a.example", 2), site("b.example", 0)],
            ..StatusReport::default()
        };
        status.proxy.connections.active = 4;
        let page = text_of(&status);
        let has = |line: &str| assert!(page.lines().any(|l| l == line), "{line} not in\n{page}");
        has("seawall_policy_generation 7");
        has("seawall_snapshot_last_success_timestamp_seconds 9.5");
        has("seawall_policy_last_reload_successful 1");
        has("seawall_rule_hits_total{rule=\"odd \\\"one\\\\\\n\"} 3");
        has("seawall_site_cpu_seconds_total{site=\"a.example\"} 2.5");
        has("seawall_connections_active 4");
        has("seawall_connections_rejected_total{reason=\"banned\"} 0");
        let bucket = "seawall_http_request_duration_seconds_bucket{site=\"a.example\",le=";
        has(&format!("{bucket}\"0.005\"}} 0"));
        has(&format!("{bucket}\"0.01\"}} 1"));
        has(&format!("{bucket}\"10\"}} 1"));
        has(&format!("{bucket}\"+Inf\"}} 2"));
        has("seawall_http_request_duration_seconds_sum{site=\"a.example\"} 12.007");
        assert!(!page.contains("b.example"));
        assert!(!page.contains("seawall_extern"), "what has no sample has no head");
    }

    #[test]
    fn a_page_has_an_end() {
        let name = "x".repeat(1 << 20);
        let rules = (0..40).map(|n| rule(&format!("{name}{n}"))).collect();
        let page = text_of(&StatusReport { rules, ..StatusReport::default() });
        assert!(page.len() < METRICS_BYTES_MAX);
        assert!(page.contains("seawall_metrics_families_omitted 2\n"));
    }
}
