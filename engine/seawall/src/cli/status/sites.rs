//! Who uses what share of what, and who is shed and why: a row for each site that is busy.
//!
//! Connections and requests are those of this moment. Processor and bytes sent are parts of what all
//! sites took since the start, since a moment of them says nothing.

use serde_json::Value;

/// Rows that are shown without being asked for all.
const ROWS_USUALLY: usize = 20;
/// Names of columns, in order.
const HEAD: [&str; 7] = ["site", "connections", "at origin", "waiting", "cpu", "sent", "shed"];
/// What is counted where somebody was turned away, and why that was.
const SHED: [(&str, &str); 6] = [
    ("queue_full", "queue full"),
    ("queue_displaced", "gave way to known clients"),
    ("queue_late", "waited too long"),
    ("stays_full", "uploads or tunnels full"),
    ("connections_shed", "connections beyond its share"),
    ("overload_shed", "new clients while the host had too little"),
];

/// The table, with the busiest first; without anything to show, nothing.
pub(super) fn lines(status: &Value, all: bool) -> Vec<String> {
    let sites = status.pointer("/edge/sites").and_then(Value::as_array).map(Vec::as_slice);
    let sites = sites.unwrap_or_default();
    let sum = |field| sites.iter().map(|site| number(site, field)).sum::<u64>();
    let (cpu_us, bytes) = (sum("cpu_us"), sum("egress_bytes"));
    let mut shown: Vec<&Value> = sites.iter().filter(|site| all || is_busy(site)).collect();
    shown.sort_by_key(|site| std::cmp::Reverse(weight(site)));
    let more = if all { 0 } else { shown.len().saturating_sub(ROWS_USUALLY) };
    shown.truncate(shown.len().saturating_sub(more));
    let rows = shown.into_iter().map(|site| row(site, cpu_us, bytes));
    let mut lines = table(rows.collect());
    if more > 0 {
        lines.push(format!("and {more} more that are busy: `seawall status --all`"));
    }
    lines
}

fn number(site: &Value, field: &str) -> u64 {
    site.get(field).and_then(Value::as_u64).unwrap_or(0)
}

/// Whether anything happens there now, or somebody was turned away a moment ago.
fn is_busy(site: &Value) -> bool {
    let is_calm = site.get("is_calm").and_then(Value::as_bool).unwrap_or(true);
    !is_calm || weight(site) > 0
}

fn weight(site: &Value) -> u64 {
    let now = ["connections", "in_flight", "queued", "uploads", "tunnels"];
    now.iter().map(|field| number(site, field)).sum()
}

fn row(site: &Value, cpu_us: u64, bytes: u64) -> [String; 7] {
    let of = |field| number(site, field);
    let percent = |part: u64, of: u64| match of {
        0 => "-".to_owned(),
        _ => format!("{} %", part.saturating_mul(100) / of),
    };
    let shed = SHED.iter().map(|(field, why)| (of(field), why)).filter(|(n, _)| *n > 0);
    let shed: Vec<String> = shed.map(|(n, why)| format!("{n} {why}")).collect();
    [
        site.get("name").and_then(Value::as_str).unwrap_or("?").to_owned(),
        format!("{} of {}", of("connections"), of("connections_share")),
        format!("{} of {}", of("in_flight"), of("in_flight_max")),
        of("queued").to_string(),
        percent(of("cpu_us"), cpu_us),
        percent(of("egress_bytes"), bytes),
        if shed.is_empty() { "-".to_owned() } else { shed.join(", ") },
    ]
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
    use serde_json::json;

    use super::*;

    #[test]
    fn the_busiest_come_first_and_the_quiet_only_when_asked_for() {
        let status = json!({ "edge": { "sites": [
            { "name": "quiet.example", "is_calm": true, "connections_share": 100, "cpu_us": 0 },
            { "name": "shed.example", "is_calm": false, "connections_share": 100, "queue_late": 3,
              "queue_full": 12, "cpu_us": 250, "egress_bytes": 30, "in_flight_max": 8 },
            { "name": "busy.example", "is_calm": true, "connections": 34, "connections_share": 100,
              "in_flight": 8, "in_flight_max": 8, "queued": 4, "cpu_us": 750, "egress_bytes": 970 },
        ] } });
        assert_eq!(
            lines(&status, false),
            [
                "site          connections  at origin  waiting   cpu  sent  shed",
                "busy.example    34 of 100     8 of 8        4  75 %  97 %  -",
                "shed.example     0 of 100     0 of 8        0  25 %   3 %  12 queue full, 3 waited \
                 too long",
            ]
        );
        assert_eq!(lines(&status, true).len(), 4);
        assert!(lines(&json!({}), true).is_empty());
    }

    #[test]
    fn many_busy_sites_are_shown_when_asked_for() {
        let site = |n: usize| json!({ "name": format!("s{n}.example"), "connections": n });
        let sites: Vec<_> = (1..=50).map(site).collect();
        let status = json!({ "edge": { "sites": sites } });
        let shown = lines(&status, false);
        assert_eq!(shown.len(), 1 + ROWS_USUALLY + 1);
        assert!(shown[1].starts_with("s50.example"));
        assert_eq!(shown[ROWS_USUALLY + 1], "and 30 more that are busy: `seawall status --all`");
        assert_eq!(lines(&status, true).len(), 51);
    }
}
