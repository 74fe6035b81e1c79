//! What each site uses of the shared resources, and what was rejected: a row for each busy site.
//!
//! Connections and requests are those of this moment. CPU time and bytes sent are parts of what all
//! sites took since the start.

use seawall_admin_api::{SiteRejections, SiteStatus, SiteTraffic, StatusReport};

/// Rows that are shown without being asked for all.
const ROWS_USUALLY: usize = 20;
/// Names of columns, in order.
const HEAD: [&str; 7] = ["site", "connections", "at origin", "queue", "cpu", "sent", "rejected"];

/// The table, with the busiest first; without anything to show, nothing.
pub(super) fn lines(status: &StatusReport, all: bool) -> Vec<String> {
    let counts = || status.sites.iter().map(|site| &site.traffic.counts);
    let cpu_us = counts().map(|counts| counts.cpu_us).sum();
    let bytes = counts().map(|counts| counts.egress_bytes_total).sum();
    let mut shown: Vec<&SiteStatus> =
        status.sites.iter().filter(|site| all || is_busy(&site.traffic)).collect();
    shown.sort_by_key(|site| std::cmp::Reverse(weight(&site.traffic)));
    let more = if all { 0 } else { shown.len().saturating_sub(ROWS_USUALLY) };
    shown.truncate(shown.len().saturating_sub(more));
    let rows = shown.into_iter().map(|site| row(site, cpu_us, bytes));
    let mut lines = table(rows.collect());
    if more > 0 {
        lines.push(format!("and {more} more that are busy: `seawall status --all`"));
    }
    lines
}

/// Whether anything happens there now, or was rejected a moment ago.
fn is_busy(of: &SiteTraffic) -> bool {
    of.congested || weight(of) > 0
}

fn weight(of: &SiteTraffic) -> u64 {
    let busy = of.requests_active + of.uploads_active + of.tunnels_active;
    of.connections_active + of.queue_length + busy
}

fn row(site: &SiteStatus, cpu_us: u64, bytes: u64) -> [String; 7] {
    let (of, counts) = (&site.traffic, &site.traffic.counts);
    let percent = |part: u64, of: u64| match of {
        0 => "-".to_owned(),
        _ => format!("{} %", part.saturating_mul(100) / of),
    };
    [
        site.name.clone(),
        format!("{} of {}", of.connections_active, of.connections_fair_share),
        format!("{} of {}", of.requests_active, of.requests_limit),
        of.queue_length.to_string(),
        percent(counts.cpu_us, cpu_us),
        percent(counts.egress_bytes_total, bytes),
        rejected(of),
    ]
}

/// What was rejected, and why.
fn rejected(of: &SiteTraffic) -> String {
    let SiteRejections {
        queue_full,
        queue_preempted,
        queue_timeout,
        upload_tunnel_limit,
        overload,
    } = of.counts.rejected;
    let reasons = [
        (queue_full, "queue full"),
        (queue_preempted, "preempted by known clients"),
        (queue_timeout, "queue timeout"),
        (upload_tunnel_limit, "uploads or tunnels full"),
        (of.counts.connections_closed.over_share, "connections over fair share"),
        (overload, "new clients during overload"),
    ];
    let told = reasons.iter().filter(|(n, _)| *n > 0).map(|(n, why)| format!("{n} {why}"));
    let told: Vec<String> = told.collect();
    if told.is_empty() { "-".to_owned() } else { told.join(", ") }
}

/// Columns under each other, the first and the last to the left.
fn table(rows: Vec<[String; 7]>) -> Vec<String> {
    if rows.is_empty() {
        return Vec::new();
    }
    let all: Vec<[String; 7]> = std::iter::once(HEAD.map(str::to_owned)).chain(rows).collect();
    let width = |place: usize| {
        let cells = all.iter().filter_map(|row| row.get(place));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let line = |row: &[String; 7]| {
        let cells = row.iter().enumerate().map(|(place, cell)| match place {
            0 => format!("{cell:<0$}", width(0)),
            6 => cell.clone(),
            _ => format!("{cell:>0$}", width(place)),
        });
        cells.collect::<Vec<_>>().join("  ")
    };
    all.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(name: &str, traffic: SiteTraffic) -> SiteStatus {
        SiteStatus { name: name.to_owned(), traffic, ..SiteStatus::default() }
    }

    fn of(sites: Vec<SiteStatus>) -> StatusReport {
        StatusReport { sites, ..StatusReport::default() }
    }

    fn some_sites() -> StatusReport {
        let calm = || SiteTraffic { connections_fair_share: 100, ..SiteTraffic::default() };
        let mut shed = SiteTraffic { congested: true, requests_limit: 8, ..calm() };
        (shed.counts.rejected.queue_full, shed.counts.rejected.queue_timeout) = (12, 3);
        (shed.counts.cpu_us, shed.counts.egress_bytes_total) = (250, 30);
        let mut busy = SiteTraffic { connections_active: 34, requests_limit: 8, ..calm() };
        (busy.requests_active, busy.queue_length) = (8, 4);
        (busy.counts.cpu_us, busy.counts.egress_bytes_total) = (750, 970);
        of(vec![
            site("quiet.example", calm()),
            site("shed.example", shed),
            site("busy.example", busy),
        ])
    }

    #[test]
    fn the_busiest_come_first_and_the_quiet_only_when_asked_for() {
        let status = some_sites();
        assert_eq!(
            lines(&status, false),
            [
                "site          connections  at origin  queue   cpu  sent  rejected",
                "busy.example    34 of 100     8 of 8      4  75 %  97 %  -",
                "shed.example     0 of 100     0 of 8      0  25 %   3 %  12 queue full, 3 queue \
                 timeout",
            ]
        );
        assert_eq!(lines(&status, true).len(), 4);
        assert!(lines(&StatusReport::default(), true).is_empty());
    }

    #[test]
    fn many_busy_sites_are_shown_when_asked_for() {
        let busy =
            |connections_active| SiteTraffic { connections_active, ..SiteTraffic::default() };
        let status = of((1..=50).map(|n| site(&format!("s{n}.example"), busy(n))).collect());
        let shown = lines(&status, false);
        assert_eq!(shown.len(), 1 + ROWS_USUALLY + 1);
        assert!(shown[1].starts_with("s50.example"));
        assert_eq!(shown[ROWS_USUALLY + 1], "and 30 more that are busy: `seawall status --all`");
        assert_eq!(lines(&status, true).len(), 51);
    }
}
