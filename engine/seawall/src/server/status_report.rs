//! What the data plane adds to the status.

use seawall_admin_api::{Live, LogStatus, ProxyReport};
use seawall_control::ProxyReportFn;
use seawall_proxy::DataPlane;
use std::sync::Arc;

use crate::logger;

/// Reports on the data plane while it lives, and on the log.
pub(super) fn proxy_report(data: &DataPlane) -> ProxyReportFn {
    let (counters, sites, origins) = (data.live_counters(), data.sites(), data.origins());
    Arc::new(move || ProxyReport {
        proxy: counters.report(),
        sites: sites.report(),
        origins: origins(),
        log: log_status(),
    })
}

fn log_status() -> LogStatus {
    let lines = logger::swallowed().into_iter();
    LogStatus { suppressed_lines: lines.map(|(class, n)| (class.to_owned(), n)).collect() }
}
