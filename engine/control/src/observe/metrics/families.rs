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
pub enum Kind {
    /// It only rises, until the process ends.
    Counter,
    /// It rises and falls.
    Gauge,
}

impl Kind {
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
pub(super) enum Scale {
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
pub(super) enum Source {
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
pub struct Family {
    /// Its name without the prefix.
    pub name: &'static str,
    /// Whether it can fall.
    pub kind: Kind,
    /// What it says, in one sentence.
    pub help: &'static str,
    pub(super) source: Source,
    pub(super) scale: Scale,
}

/// Whether anything has happened at a site.
pub(super) fn is_visited(site: &Value) -> bool {
    ["requests", "connections", "connections_shed"]
        .iter()
        .any(|field| site.get(field).and_then(Value::as_u64) > Some(0))
}

const fn family(
    name: &'static str,
    kind: Kind,
    help: &'static str,
    (source, scale): (Source, Scale),
) -> Family {
    Family { name, kind, help, source, scale }
}

/// Every metric but those of the data plane and of the process, in the order of the page.
pub const FAMILIES: &[Family] = &[
    family(
        "build_info",
        Kind::Gauge,
        "Always 1; the version that serves is a label.",
        (Source::Word("/process", &["version"]), Scale::AsItIs),
    ),
    family(
        "generation",
        Kind::Gauge,
        "The generation that judges.",
        (Source::One("/generation"), Scale::AsItIs),
    ),
    family(
        "generation_age_seconds",
        Kind::Gauge,
        "How long it has judged.",
        (Source::One("/age_ms"), Scale::Milliseconds),
    ),
    family(
        "policy_error",
        Kind::Gauge,
        "1 while the files on the disk are refused and an older generation judges.",
        (Source::One("/last_error"), Scale::IsThere),
    ),
    family(
        "policy_aside",
        Kind::Gauge,
        "1 while the files on the disk are not in force since somebody went back.",
        (Source::One("/aside"), Scale::IsThere),
    ),
    family(
        "member_parts",
        Kind::Gauge,
        "Members by the part that is in force: that of their files (`current`), their last good one (`kept`), or none (`absent`).",
        (Source::Map("/member_parts", "state"), Scale::AsItIs),
    ),
    family(
        "member_problem",
        Kind::Gauge,
        "Always 1; a member whose files are not in force, of at most 100 such members.",
        (Source::List(MEMBERS, "member", "problems"), Scale::IsThere),
    ),
    family(
        "reloads_total",
        Kind::Counter,
        "Reloads, by how they ended.",
        (Source::Map("/reloads", "result"), Scale::AsItIs),
    ),
    family(
        "level",
        Kind::Gauge,
        "Always 1; the level in force is a label. The empty site is the host; a site stands here where its level is another.",
        (Source::Levels, Scale::AsItIs),
    ),
    family(
        "policy_tests",
        Kind::Gauge,
        "Tests that the policy holds.",
        (Source::One("/tests"), Scale::AsItIs),
    ),
    family("bans", Kind::Gauge, "Bans that run.", (Source::One("/bans/running"), Scale::AsItIs)),
    family(
        "bans_refused_total",
        Kind::Counter,
        "Bans that found no room in their table.",
        (Source::One("/bans/refused"), Scale::AsItIs),
    ),
    family(
        "decisions_total",
        Kind::Counter,
        "Requests that were judged, by verdict.",
        (Source::Map("/decisions", "verdict"), Scale::AsItIs),
    ),
    family(
        "rule_hits_total",
        Kind::Counter,
        "How often a rule or limit of this generation applied.",
        (Source::List("/rules", "rule", "hits"), Scale::AsItIs),
    ),
    family(
        "rule_shadow_hits_total",
        Kind::Counter,
        "How often one in shadow would have applied.",
        (Source::List("/rules", "rule", "shadow_hits"), Scale::AsItIs),
    ),
    family(
        "table_keys",
        Kind::Gauge,
        "Keys that a counter of the policy holds.",
        (Source::List("/counters", "counter", "keys"), Scale::AsItIs),
    ),
    family(
        "table_capacity",
        Kind::Gauge,
        "Keys that it can hold.",
        (Source::List("/counters", "counter", "capacity"), Scale::AsItIs),
    ),
    family(
        "table_evictions_total",
        Kind::Counter,
        "Idle keys that made room in it for others.",
        (Source::List("/counters", "counter", "evictions"), Scale::AsItIs),
    ),
    family(
        "table_refused_total",
        Kind::Counter,
        "Keys that found no room in it.",
        (Source::List("/counters", "counter", "refused"), Scale::AsItIs),
    ),
    family(
        "list_entries",
        Kind::Gauge,
        "Entries of a list.",
        (Source::List("/lists", "list", "entries"), Scale::AsItIs),
    ),
    family(
        "list_bad_lines",
        Kind::Gauge,
        "Lines of its file that could not be read.",
        (Source::List("/lists", "list", "bad_lines"), Scale::AsItIs),
    ),
    family(
        "list_age_seconds",
        Kind::Gauge,
        "How old it is.",
        (Source::List("/lists", "list", "age_ms"), Scale::Milliseconds),
    ),
    family(
        "extern_calls_total",
        Kind::Counter,
        "Calls of a rule in WebAssembly.",
        (Source::List("/externs", "extern", "calls"), Scale::AsItIs),
    ),
    family(
        "extern_memo_hits_total",
        Kind::Counter,
        "Answers of it that were remembered.",
        (Source::List("/externs", "extern", "memo_hits"), Scale::AsItIs),
    ),
    family(
        "extern_extended_total",
        Kind::Counter,
        "Calls of it that got their time once more.",
        (Source::List("/externs", "extern", "extended"), Scale::AsItIs),
    ),
    family(
        "extern_failures_total",
        Kind::Counter,
        "Calls of it that failed, by how.",
        (Source::ListMap("/externs", ("extern", "failure"), "failures"), Scale::AsItIs),
    ),
    family(
        "extern_fuel_peak",
        Kind::Gauge,
        "The most fuel that one call of it took.",
        (Source::List("/externs", "extern", "fuel_peak"), Scale::AsItIs),
    ),
    family(
        "extern_quarantines_total",
        Kind::Counter,
        "How often it went into quarantine.",
        (Source::List("/externs", "extern", "quarantines"), Scale::AsItIs),
    ),
    family(
        "extern_quarantine_left_seconds",
        Kind::Gauge,
        "How long it stays there; 0 where it is not.",
        (Source::List("/externs", "extern", "quarantine_left_ms"), Scale::Milliseconds),
    ),
    family(
        "out_of_fuel_total",
        Kind::Counter,
        "How often the fuel of the host's rules was empty; a request is answered 503 then.",
        (Source::One("/fuel/out"), Scale::AsItIs),
    ),
    family(
        "member_passed_over_total",
        Kind::Counter,
        "Requests for which a member's rules were passed over since their fuel was empty.",
        (Source::List("/fuel/members", "member", "passed_over"), Scale::AsItIs),
    ),
    family(
        "member_quarantines_total",
        Kind::Counter,
        "How often her rules went into quarantine for that.",
        (Source::List("/fuel/members", "member", "quarantines"), Scale::AsItIs),
    ),
    family(
        "member_quarantine_left_seconds",
        Kind::Gauge,
        "How long they stay there; 0 where they are not.",
        (Source::List("/fuel/members", "member", "quarantine_left_ms"), Scale::Milliseconds),
    ),
    family(
        "sandbox_components",
        Kind::Gauge,
        "Components that are alive.",
        (Source::One("/sandbox/components"), Scale::AsItIs),
    ),
    family(
        "sandbox_functions",
        Kind::Gauge,
        "Functions of them that are bound.",
        (Source::One("/sandbox/functions"), Scale::AsItIs),
    ),
    family(
        "sandbox_instances",
        Kind::Gauge,
        "Instances that are alive.",
        (Source::One("/sandbox/instances"), Scale::AsItIs),
    ),
    family(
        "snapshot_age_seconds",
        Kind::Gauge,
        "How old the last good snapshot of the state is.",
        (Source::One("/snapshot/age_ms"), Scale::Milliseconds),
    ),
    family(
        "snapshot_bytes",
        Kind::Gauge,
        "Its bytes.",
        (Source::One("/snapshot/bytes"), Scale::AsItIs),
    ),
    family(
        "snapshot_took_seconds",
        Kind::Gauge,
        "How long it took.",
        (Source::One("/snapshot/took_ms"), Scale::Milliseconds),
    ),
    family(
        "snapshot_left_out",
        Kind::Gauge,
        "Keys that did not fit into it.",
        (Source::One("/snapshot/left_out"), Scale::AsItIs),
    ),
    family(
        "snapshot_error",
        Kind::Gauge,
        "1 while no snapshot can be written.",
        (Source::One("/snapshot/last_error"), Scale::IsThere),
    ),
    family(
        "log_lines_left_out_total",
        Kind::Counter,
        "Log lines that were not written, by class.",
        (Source::Map("/edge/log_lines_left_out", "class"), Scale::AsItIs),
    ),
    family(
        "heads_refused_total",
        Kind::Counter,
        "Requests whose head was refused, by why.",
        (Source::Map("/edge/heads_refused", "reason"), Scale::AsItIs),
    ),
    family(
        "answers_refused_total",
        Kind::Counter,
        "Answers of origins that were not passed on for their heads, by why.",
        (Source::Map("/edge/answers_refused", "reason"), Scale::AsItIs),
    ),
    family(
        "site_share",
        Kind::Gauge,
        "What a site weighs.",
        (Source::List(SITES, "site", "share"), Scale::AsItIs),
    ),
    family(
        "site_calm",
        Kind::Gauge,
        "1 while nobody has waited or was refused there for a while for want of something.",
        (Source::List(SITES, "site", "is_calm"), Scale::AsItIs),
    ),
    family(
        "site_connections",
        Kind::Gauge,
        "Connections that a site has.",
        (Source::List(SITES, "site", "connections"), Scale::AsItIs),
    ),
    family(
        "site_connections_share",
        Kind::Gauge,
        "Connections that are its share where all want theirs.",
        (Source::List(SITES, "site", "connections_share"), Scale::AsItIs),
    ),
    family(
        "site_in_flight",
        Kind::Gauge,
        "Requests of it that are at its origin.",
        (Source::List(SITES, "site", "in_flight"), Scale::AsItIs),
    ),
    family(
        "site_in_flight_max",
        Kind::Gauge,
        "Requests of it that may be there.",
        (Source::List(SITES, "site", "in_flight_max"), Scale::AsItIs),
    ),
    family(
        "site_uploads",
        Kind::Gauge,
        "Uploads to it that are under way.",
        (Source::List(SITES, "site", "uploads"), Scale::AsItIs),
    ),
    family(
        "site_tunnels",
        Kind::Gauge,
        "WebSockets to it that are open.",
        (Source::List(SITES, "site", "tunnels"), Scale::AsItIs),
    ),
    family(
        "site_queued",
        Kind::Gauge,
        "Requests that wait for a place at its origin.",
        (Source::List(SITES, "site", "queued"), Scale::AsItIs),
    ),
    family(
        "site_requests_total",
        Kind::Counter,
        "Requests to it that were judged.",
        (Source::List(SITES, "site", "requests"), Scale::AsItIs),
    ),
    family(
        "site_admitted_total",
        Kind::Counter,
        "Requests that went to its origin.",
        (Source::List(SITES, "site", "admitted"), Scale::AsItIs),
    ),
    family(
        "site_waited_total",
        Kind::Counter,
        "Requests that waited for a place there and got one.",
        (Source::List(SITES, "site", "waited"), Scale::AsItIs),
    ),
    family(
        "site_queue_full_total",
        Kind::Counter,
        "Requests answered 503 since its queue was full.",
        (Source::List(SITES, "site", "queue_full"), Scale::AsItIs),
    ),
    family(
        "site_queue_displaced_total",
        Kind::Counter,
        "Requests answered 503 since a known client took their place in it.",
        (Source::List(SITES, "site", "queue_displaced"), Scale::AsItIs),
    ),
    family(
        "site_queue_late_total",
        Kind::Counter,
        "Requests answered 503 since they waited too long.",
        (Source::List(SITES, "site", "queue_late"), Scale::AsItIs),
    ),
    family(
        "site_stays_full_total",
        Kind::Counter,
        "Uploads and WebSockets answered 503 since their places were taken.",
        (Source::List(SITES, "site", "stays_full"), Scale::AsItIs),
    ),
    family(
        "site_given_up_total",
        Kind::Counter,
        "Requests whose client left while an origin was at work for them.",
        (Source::List(SITES, "site", "given_up"), Scale::AsItIs),
    ),
    family(
        "site_connections_shed_total",
        Kind::Counter,
        "Connections that ended since it had more than its share.",
        (Source::List(SITES, "site", "connections_shed"), Scale::AsItIs),
    ),
    family(
        "site_overload_shed_total",
        Kind::Counter,
        "Requests of new clients answered 503 since the host had too little of something.",
        (Source::List(SITES, "site", "overload_shed"), Scale::AsItIs),
    ),
    family(
        "site_cpu_seconds_total",
        Kind::Counter,
        "Processor time that its connections took.",
        (Source::List(SITES, "site", "cpu_us"), Scale::Microseconds),
    ),
    family(
        "site_cpu_waits_total",
        Kind::Counter,
        "Times that one of them waited for the processor.",
        (Source::List(SITES, "site", "cpu_waits"), Scale::AsItIs),
    ),
    family(
        "site_egress_bytes_total",
        Kind::Counter,
        "Bytes sent to its visitors.",
        (Source::List(SITES, "site", "egress_bytes"), Scale::AsItIs),
    ),
    family(
        "site_egress_waits_total",
        Kind::Counter,
        "Times that sending waited for its share of the pipe.",
        (Source::List(SITES, "site", "egress_waits"), Scale::AsItIs),
    ),
    family(
        "origin_up",
        Kind::Gauge,
        "1 while requests are sent to an origin; 0 while it is left alone, or tried.",
        (Source::Origins("state"), Scale::IsUp),
    ),
    family(
        "origin_in_flight",
        Kind::Gauge,
        "Requests that are at it.",
        (Source::Origins("in_flight"), Scale::AsItIs),
    ),
    family(
        "origin_sent_total",
        Kind::Counter,
        "Requests that were sent to it, each attempt for itself.",
        (Source::Origins("sent"), Scale::AsItIs),
    ),
    family(
        "origin_failed_total",
        Kind::Counter,
        "Those that came to nothing by its fault.",
        (Source::Origins("failed"), Scale::AsItIs),
    ),
    family(
        "origin_falls_total",
        Kind::Counter,
        "How often it went down.",
        (Source::Origins("falls"), Scale::AsItIs),
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
            assert_eq!(name.ends_with("_total"), family.kind == Kind::Counter, "{name}");
            assert!(family.help.ends_with('.'), "{name}");
            let same = FAMILIES.iter().filter(|other| other.name == name).count();
            assert_eq!(same, 1, "{name}");
        }
    }
}
