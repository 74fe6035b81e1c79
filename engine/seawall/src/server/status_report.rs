//! The report of the data plane for the status and the metrics.

use seawall_control::{MetricKind, ProxyMetric};
use seawall_proxy::{
    BadAnswer, HeadError, MetricDescription, OriginSnapshot, ProxyMetricsSnapshot, SiteSnapshot,
};
use serde_json::{Value, json};

use crate::logger;

/// Returns the data plane's counters and its origins, for the status.
pub(super) fn edge_report(
    counters: &ProxyMetricsSnapshot,
    sites: &[SiteSnapshot],
    origins: &[OriginSnapshot],
) -> Value {
    let refused = HeadError::ALL.iter().zip(counters.heads_refused);
    let refused: Value = refused.map(|(why, count)| (why.word(), count)).collect();
    let answers = BadAnswer::ALL.iter().zip(counters.answers_refused);
    let answers: Value = answers.map(|(why, count)| (why.word(), count)).collect();
    let named = counters.named().into_iter().map(|(name, count)| (name, Value::from(count)));
    let sites: Value = sites.iter().map(site_report).collect();
    let origins: Value = origins.iter().map(origin).collect();
    let left_out: Value = logger::swallowed().into_iter().collect();
    let more = [("sites", sites), ("origins", origins), ("log_lines_left_out", left_out)];
    named.chain([("heads_refused", refused), ("answers_refused", answers)]).chain(more).collect()
}

/// Describes the data plane's counters, for the metrics.
pub(super) fn described() -> Vec<ProxyMetric> {
    let kind = |is_gauge| if is_gauge { MetricKind::Gauge } else { MetricKind::Counter };
    let metric = |of: MetricDescription| ProxyMetric {
        name: of.name,
        help: of.says,
        kind: kind(of.is_gauge),
    };
    ProxyMetricsSnapshot::described().into_iter().map(metric).collect()
}

fn origin(of: &OriginSnapshot) -> Value {
    json!({
        "site": of.site,
        "address": of.address.to_string(),
        "state": of.state.word(),
        "since_ms": of.since_ms,
        "in_flight": of.in_flight,
        "sent": of.sent,
        "failed": of.failed,
        "falls": of.falls,
    })
}

/// Returns the use of shared resources by one site.
fn site_report(of: &SiteSnapshot) -> Value {
    let numbers =
        of.now.iter().chain(&of.total).map(|(name, number)| (*name, Value::from(*number)));
    let told = [
        ("name", Value::from(&*of.name)),
        ("share", Value::from(of.share)),
        ("is_calm", Value::from(of.is_calm)),
    ];
    told.into_iter().chain(numbers).collect()
}
