//! Which number of the status is which metric.
//!
//! Prometheus counts in seconds and bytes, so milliseconds are divided here and nowhere else.

use serde_json::Value;

/// Where the sites stand in a status.
pub(super) const SITES: &str = "/edge/sites";

/// Where the members stand whose files are not in force.
pub(super) const MEMBERS: &str = "/members";

/// Where their origins stand.
pub(super) const ORIGINS: &str = "/edge/origins";

/// Whether a number can fall.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// It only rises, until the process ends.
    Counter,
    /// It rises and falls.
    Gauge,
}

impl MetricKind {
    /// Prometheus' word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
        }
    }
}

/// What a number of the status is multiplied by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UnitScale {
    AsItIs,
    /// 1 where there is anything.
    IsThere,
    Milliseconds,
    Microseconds,
    /// 1 where the word is `up`.
    IsUp,
}

/// Where in the status the samples of a family stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StatusPath {
    /// One number.
    One(&'static str),
    /// An object of numbers, whose keys are this label.
    Map(&'static str, &'static str),
    /// A list, the name of each entry being this label, and the field with the number.
    List(&'static str, &'static str, &'static str),
    /// The same where the field is an object of numbers, whose keys are the second label.
    ListMap(&'static str, (&'static str, &'static str), &'static str),
    /// The list of origins, of which each has a site and an address, and the field with the number.
    Origins(&'static str),
    /// 1, with these fields of an object as labels.
    Word(&'static str, &'static [&'static str]),
    /// The levels in force.
    Levels,
}

/// One metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetricFamily {
    /// Its name without the prefix.
    pub name: &'static str,
    /// Whether it can fall.
    pub kind: MetricKind,
    /// What it says, in one sentence.
    pub help: &'static str,
    pub(super) source: StatusPath,
    pub(super) scale: UnitScale,
}

/// Whether anything has happened at a site.
pub(super) fn is_visited(site: &Value) -> bool {
    ["requests", "connections", "connections_shed"]
        .iter()
        .any(|field| site.get(field).and_then(Value::as_u64) > Some(0))
}

const fn family(
    name: &'static str,
    kind: MetricKind,
    help: &'static str,
    (source, scale): (StatusPath, UnitScale),
) -> MetricFamily {
    MetricFamily { name, kind, help, source, scale }
}

/// Every metric but those of the data plane and of the process, in the order of the page.
pub const FAMILIES: &[MetricFamily] = &[
    family(
        "build_info",
        MetricKind::Gauge,
        "Always 1; the version that serves is a label.",
        (StatusPath::Word("/process", &["version"]), UnitScale::AsItIs),
    ),
    family(
        "generation",
        MetricKind::Gauge,
        "The generation that judges.",
        (StatusPath::One("/generation"), UnitScale::AsItIs),
    ),
    family(
        "generation_age_seconds",
        MetricKind::Gauge,
        "How long it has judged.",
        (StatusPath::One("/age_ms"), UnitScale::Milliseconds),
    ),
    family(
        "policy_error",
        MetricKind::Gauge,
        "1 while the files on the disk are refused and an older generation judges.",
        (StatusPath::One("/last_error"), UnitScale::IsThere),
    ),
    family(
        "policy_aside",
        MetricKind::Gauge,
        "1 while the files on the disk are not in force since somebody went back.",
        (StatusPath::One("/aside"), UnitScale::IsThere),
    ),
    family(
        "member_parts",
        MetricKind::Gauge,
        "Members by the part that is in force: that of their files (`current`), their last good one (`kept`), or none (`absent`).",
        (StatusPath::Map("/member_parts", "state"), UnitScale::AsItIs),
    ),
    family(
        "member_problem",
        MetricKind::Gauge,
        "Always 1; a member whose files are not in force, of at most 100 such members.",
        (StatusPath::List(MEMBERS, "member", "problems"), UnitScale::IsThere),
    ),
    family(
        "reloads_total",
        MetricKind::Counter,
        "Reloads, by how they ended.",
        (StatusPath::Map("/reloads", "result"), UnitScale::AsItIs),
    ),
    family(
        "level",
        MetricKind::Gauge,
        "Always 1; the level in force is a label. The empty site is the host; a site stands here where its level is another.",
        (StatusPath::Levels, UnitScale::AsItIs),
    ),
    family(
        "policy_tests",
        MetricKind::Gauge,
        "Tests that the policy holds.",
        (StatusPath::One("/tests"), UnitScale::AsItIs),
    ),
    family(
        "bans",
        MetricKind::Gauge,
        "Bans that run.",
        (StatusPath::One("/bans/running"), UnitScale::AsItIs),
    ),
    family(
        "bans_refused_total",
        MetricKind::Counter,
        "Bans that found no room in their table.",
        (StatusPath::One("/bans/refused"), UnitScale::AsItIs),
    ),
    family(
        "decisions_total",
        MetricKind::Counter,
        "Requests that were judged, by verdict.",
        (StatusPath::Map("/decisions", "verdict"), UnitScale::AsItIs),
    ),
    family(
        "rule_hits_total",
        MetricKind::Counter,
        "How often a rule or limit of this generation applied.",
        (StatusPath::List("/rules", "rule", "hits"), UnitScale::AsItIs),
    ),
    family(
        "rule_shadow_hits_total",
        MetricKind::Counter,
        "How often one in shadow would have applied.",
        (StatusPath::List("/rules", "rule", "shadow_hits"), UnitScale::AsItIs),
    ),
    family(
        "table_keys",
        MetricKind::Gauge,
        "Keys that a counter of the policy holds.",
        (StatusPath::List("/counters", "counter", "keys"), UnitScale::AsItIs),
    ),
    family(
        "table_capacity",
        MetricKind::Gauge,
        "Keys that it can hold.",
        (StatusPath::List("/counters", "counter", "capacity"), UnitScale::AsItIs),
    ),
    family(
        "table_evictions_total",
        MetricKind::Counter,
        "Idle keys that made room in it for others.",
        (StatusPath::List("/counters", "counter", "evictions"), UnitScale::AsItIs),
    ),
    family(
        "table_refused_total",
        MetricKind::Counter,
        "Keys that found no room in it.",
        (StatusPath::List("/counters", "counter", "refused"), UnitScale::AsItIs),
    ),
    family(
        "list_entries",
        MetricKind::Gauge,
        "Entries of a list.",
        (StatusPath::List("/lists", "list", "entries"), UnitScale::AsItIs),
    ),
    family(
        "list_bad_lines",
        MetricKind::Gauge,
        "Lines of its file that could not be read.",
        (StatusPath::List("/lists", "list", "bad_lines"), UnitScale::AsItIs),
    ),
    family(
        "list_age_seconds",
        MetricKind::Gauge,
        "How old it is.",
        (StatusPath::List("/lists", "list", "age_ms"), UnitScale::Milliseconds),
    ),
    family(
        "extern_calls_total",
        MetricKind::Counter,
        "Calls of a rule in WebAssembly.",
        (StatusPath::List("/externs", "extern", "calls"), UnitScale::AsItIs),
    ),
    family(
        "extern_memo_hits_total",
        MetricKind::Counter,
        "Answers of it that were remembered.",
        (StatusPath::List("/externs", "extern", "memo_hits"), UnitScale::AsItIs),
    ),
    family(
        "extern_extended_total",
        MetricKind::Counter,
        "Calls of it that got their time once more.",
        (StatusPath::List("/externs", "extern", "extended"), UnitScale::AsItIs),
    ),
    family(
        "extern_failures_total",
        MetricKind::Counter,
        "Calls of it that failed, by how.",
        (StatusPath::ListMap("/externs", ("extern", "failure"), "failures"), UnitScale::AsItIs),
    ),
    family(
        "extern_fuel_peak",
        MetricKind::Gauge,
        "The most fuel that one call of it took.",
        (StatusPath::List("/externs", "extern", "fuel_peak"), UnitScale::AsItIs),
    ),
    family(
        "extern_quarantines_total",
        MetricKind::Counter,
        "How often it went into quarantine.",
        (StatusPath::List("/externs", "extern", "quarantines"), UnitScale::AsItIs),
    ),
    family(
        "extern_quarantine_left_seconds",
        MetricKind::Gauge,
        "How long it stays there; 0 where it is not.",
        (StatusPath::List("/externs", "extern", "quarantine_left_ms"), UnitScale::Milliseconds),
    ),
    family(
        "out_of_fuel_total",
        MetricKind::Counter,
        "How often the fuel of the host's rules was empty; a request is answered 503 then.",
        (StatusPath::One("/fuel/out"), UnitScale::AsItIs),
    ),
    family(
        "member_passed_over_total",
        MetricKind::Counter,
        "Requests for which a member's rules were passed over since their fuel was empty.",
        (StatusPath::List("/fuel/members", "member", "passed_over"), UnitScale::AsItIs),
    ),
    family(
        "member_quarantines_total",
        MetricKind::Counter,
        "How often her rules went into quarantine for that.",
        (StatusPath::List("/fuel/members", "member", "quarantines"), UnitScale::AsItIs),
    ),
    family(
        "member_quarantine_left_seconds",
        MetricKind::Gauge,
        "How long they stay there; 0 where they are not.",
        (
            StatusPath::List("/fuel/members", "member", "quarantine_left_ms"),
            UnitScale::Milliseconds,
        ),
    ),
    family(
        "sandbox_components",
        MetricKind::Gauge,
        "Components that are alive.",
        (StatusPath::One("/sandbox/components"), UnitScale::AsItIs),
    ),
    family(
        "sandbox_functions",
        MetricKind::Gauge,
        "Functions of them that are bound.",
        (StatusPath::One("/sandbox/functions"), UnitScale::AsItIs),
    ),
    family(
        "sandbox_instances",
        MetricKind::Gauge,
        "Instances that are alive.",
        (StatusPath::One("/sandbox/instances"), UnitScale::AsItIs),
    ),
    family(
        "snapshot_age_seconds",
        MetricKind::Gauge,
        "How old the last good snapshot of the state is.",
        (StatusPath::One("/snapshot/age_ms"), UnitScale::Milliseconds),
    ),
    family(
        "snapshot_bytes",
        MetricKind::Gauge,
        "Its bytes.",
        (StatusPath::One("/snapshot/bytes"), UnitScale::AsItIs),
    ),
    family(
        "snapshot_took_seconds",
        MetricKind::Gauge,
        "How long it took.",
        (StatusPath::One("/snapshot/took_ms"), UnitScale::Milliseconds),
    ),
    family(
        "snapshot_left_out",
        MetricKind::Gauge,
        "Keys that did not fit into it.",
        (StatusPath::One("/snapshot/left_out"), UnitScale::AsItIs),
    ),
    family(
        "snapshot_error",
        MetricKind::Gauge,
        "1 while no snapshot can be written.",
        (StatusPath::One("/snapshot/last_error"), UnitScale::IsThere),
    ),
    family(
        "log_lines_left_out_total",
        MetricKind::Counter,
        "Log lines that were not written, by class.",
        (StatusPath::Map("/edge/log_lines_left_out", "class"), UnitScale::AsItIs),
    ),
    family(
        "heads_refused_total",
        MetricKind::Counter,
        "Requests whose head was refused, by why.",
        (StatusPath::Map("/edge/heads_refused", "reason"), UnitScale::AsItIs),
    ),
    family(
        "answers_refused_total",
        MetricKind::Counter,
        "Answers of origins that were not passed on for their heads, by why.",
        (StatusPath::Map("/edge/answers_refused", "reason"), UnitScale::AsItIs),
    ),
    family(
        "site_share",
        MetricKind::Gauge,
        "What a site weighs.",
        (StatusPath::List(SITES, "site", "share"), UnitScale::AsItIs),
    ),
    family(
        "site_calm",
        MetricKind::Gauge,
        "1 while nobody has waited or was refused there for a while for want of something.",
        (StatusPath::List(SITES, "site", "is_calm"), UnitScale::AsItIs),
    ),
    family(
        "site_connections",
        MetricKind::Gauge,
        "Connections that a site has.",
        (StatusPath::List(SITES, "site", "connections"), UnitScale::AsItIs),
    ),
    family(
        "site_connections_share",
        MetricKind::Gauge,
        "Connections that are its share where all want theirs.",
        (StatusPath::List(SITES, "site", "connections_share"), UnitScale::AsItIs),
    ),
    family(
        "site_in_flight",
        MetricKind::Gauge,
        "Requests of it that are at its origin.",
        (StatusPath::List(SITES, "site", "in_flight"), UnitScale::AsItIs),
    ),
    family(
        "site_in_flight_max",
        MetricKind::Gauge,
        "Requests of it that may be there.",
        (StatusPath::List(SITES, "site", "in_flight_max"), UnitScale::AsItIs),
    ),
    family(
        "site_uploads",
        MetricKind::Gauge,
        "Uploads to it that are under way.",
        (StatusPath::List(SITES, "site", "uploads"), UnitScale::AsItIs),
    ),
    family(
        "site_tunnels",
        MetricKind::Gauge,
        "WebSockets to it that are open.",
        (StatusPath::List(SITES, "site", "tunnels"), UnitScale::AsItIs),
    ),
    family(
        "site_queued",
        MetricKind::Gauge,
        "Requests that wait for a place at its origin.",
        (StatusPath::List(SITES, "site", "queued"), UnitScale::AsItIs),
    ),
    family(
        "site_requests_total",
        MetricKind::Counter,
        "Requests to it that were judged.",
        (StatusPath::List(SITES, "site", "requests"), UnitScale::AsItIs),
    ),
    family(
        "site_admitted_total",
        MetricKind::Counter,
        "Requests that went to its origin.",
        (StatusPath::List(SITES, "site", "admitted"), UnitScale::AsItIs),
    ),
    family(
        "site_waited_total",
        MetricKind::Counter,
        "Requests that waited for a place there and got one.",
        (StatusPath::List(SITES, "site", "waited"), UnitScale::AsItIs),
    ),
    family(
        "site_queue_full_total",
        MetricKind::Counter,
        "Requests answered 503 since its queue was full.",
        (StatusPath::List(SITES, "site", "queue_full"), UnitScale::AsItIs),
    ),
    family(
        "site_queue_displaced_total",
        MetricKind::Counter,
        "Requests answered 503 since a known client took their place in it.",
        (StatusPath::List(SITES, "site", "queue_displaced"), UnitScale::AsItIs),
    ),
    family(
        "site_queue_late_total",
        MetricKind::Counter,
        "Requests answered 503 since they waited too long.",
        (StatusPath::List(SITES, "site", "queue_late"), UnitScale::AsItIs),
    ),
    family(
        "site_stays_full_total",
        MetricKind::Counter,
        "Uploads and WebSockets answered 503 since their places were taken.",
        (StatusPath::List(SITES, "site", "stays_full"), UnitScale::AsItIs),
    ),
    family(
        "site_given_up_total",
        MetricKind::Counter,
        "Requests whose client left while an origin was at work for them.",
        (StatusPath::List(SITES, "site", "given_up"), UnitScale::AsItIs),
    ),
    family(
        "site_connections_shed_total",
        MetricKind::Counter,
        "Connections that ended since it had more than its share.",
        (StatusPath::List(SITES, "site", "connections_shed"), UnitScale::AsItIs),
    ),
    family(
        "site_overload_shed_total",
        MetricKind::Counter,
        "Requests of new clients answered 503 since the host had too little of something.",
        (StatusPath::List(SITES, "site", "overload_shed"), UnitScale::AsItIs),
    ),
    family(
        "site_cpu_seconds_total",
        MetricKind::Counter,
        "Processor time that its connections took.",
        (StatusPath::List(SITES, "site", "cpu_us"), UnitScale::Microseconds),
    ),
    family(
        "site_cpu_waits_total",
        MetricKind::Counter,
        "Times that one of them waited for the processor.",
        (StatusPath::List(SITES, "site", "cpu_waits"), UnitScale::AsItIs),
    ),
    family(
        "site_egress_bytes_total",
        MetricKind::Counter,
        "Bytes sent to its visitors.",
        (StatusPath::List(SITES, "site", "egress_bytes"), UnitScale::AsItIs),
    ),
    family(
        "site_egress_waits_total",
        MetricKind::Counter,
        "Times that sending waited for its share of the pipe.",
        (StatusPath::List(SITES, "site", "egress_waits"), UnitScale::AsItIs),
    ),
    family(
        "origin_up",
        MetricKind::Gauge,
        "1 while requests are sent to an origin; 0 while it is left alone, or tried.",
        (StatusPath::Origins("state"), UnitScale::IsUp),
    ),
    family(
        "origin_in_flight",
        MetricKind::Gauge,
        "Requests that are at it.",
        (StatusPath::Origins("in_flight"), UnitScale::AsItIs),
    ),
    family(
        "origin_sent_total",
        MetricKind::Counter,
        "Requests that were sent to it, each attempt for itself.",
        (StatusPath::Origins("sent"), UnitScale::AsItIs),
    ),
    family(
        "origin_failed_total",
        MetricKind::Counter,
        "Those that came to nothing by its fault.",
        (StatusPath::Origins("failed"), UnitScale::AsItIs),
    ),
    family(
        "origin_falls_total",
        MetricKind::Counter,
        "How often it went down.",
        (StatusPath::Origins("falls"), UnitScale::AsItIs),
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_as_prometheus_wants_them() {
        for family in FAMILIES {
            let name = family.name;
            let known = |c: char| c.is_ascii_lowercase() || c == '_';
            assert!(name.chars().all(known), "{name}");
            assert_eq!(name.ends_with("_total"), family.kind == MetricKind::Counter, "{name}");
            assert!(family.help.ends_with('.'), "{name}");
            let same = FAMILIES.iter().filter(|other| other.name == name).count();
            assert_eq!(same, 1, "{name}");
        }
    }
}
