//! Every metric: its name, its labels, its sentence and where its samples come from.
//!
//! Prometheus counts in seconds and bytes, so milliseconds are divided here and nowhere else. One
//! kind of event is one counter, and a label says why or how; all reasons are there from the start,
//! with 0.

use seawall_admin_api::{MemberParts, OriginState, Pressure, ReloadCounts};

use super::samples::{by_word, each, origins, sites, some};
use super::{CollectFn, MetricFamily, MetricKind, ms};
use crate::members::MEMBERS_TOLD_MAX;

const fn counter(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
    collect: CollectFn,
) -> MetricFamily {
    MetricFamily { name, kind: MetricKind::Counter, labels, help, collect }
}

const fn gauge(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
    collect: CollectFn,
) -> MetricFamily {
    MetricFamily { name, kind: MetricKind::Gauge, labels, help, collect }
}

const fn histogram(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
    collect: CollectFn,
) -> MetricFamily {
    MetricFamily { name, kind: MetricKind::Histogram, labels, help, collect }
}

/// Every metric, in the order of the page. The last counts those that were omitted before it.
pub const FAMILIES: &[MetricFamily] = &[
    gauge(
        "seawall_build_info",
        &["version"],
        "Always 1; the label is the version of the running program.",
        |of, out| out.put(&[&of.status.process.version], true),
    ),
    gauge("seawall_policy_generation", &[], "Number of the active generation.", |of, out| {
        out.one(of.status.policy.generation)
    }),
    gauge(
        "seawall_policy_published_timestamp_seconds",
        &[],
        "Time at which the active generation was published, in seconds since 1970.",
        |of, out| out.one(of.seconds_ago(of.status.policy.age_ms)),
    ),
    gauge(
        "seawall_policy_last_reload_successful",
        &[],
        "1 if the policy files were accepted at the last reload, 0 if they were rejected.",
        |of, out| out.one(of.status.policy.last_error.is_none()),
    ),
    gauge(
        "seawall_policy_rolled_back",
        &[],
        "1 while the policy files are ignored after a rollback.",
        |of, out| out.one(of.status.policy.rollback.is_some()),
    ),
    counter(
        "seawall_policy_reloads_total",
        &["result"],
        "Reloads by result: `published`, `unchanged` or `rejected`.",
        |of, out| {
            let ReloadCounts { published, unchanged, rejected } = of.status.policy.reloads;
            let results =
                [("published", published), ("unchanged", unchanged), ("rejected", rejected)];
            out.words(&[], results);
        },
    ),
    gauge(
        "seawall_policy_level",
        &["site", "level"],
        "Always 1; the label `level` is the active level. The empty site is the server; a site is listed while its level differs.",
        |of, out| {
            let server = &*of.status.policy.level;
            out.put(&["", server], true);
            for site in of.sites().filter(|site| site.level != server) {
                out.put(&[&site.name, &site.level], true);
            }
        },
    ),
    gauge("seawall_policy_tests", &[], "Tests in the policy.", |of, out| {
        out.one(of.status.policy.tests)
    }),
    counter(
        "seawall_policy_log_lines_suppressed_total",
        &[],
        "Log lines of `log` actions that `policy_log_lines_per_second` suppressed.",
        |of, out| out.one(of.status.proxy.policy_log_suppressed),
    ),
    gauge(
        "seawall_member_parts",
        &["state"],
        "Members by the part that is active: that of their files (`current`), their last good one (`kept`) or none (`absent`).",
        |of, out| {
            let MemberParts { current, kept, absent } = of.status.member_parts;
            out.words(&[], [("current", current), ("kept", kept), ("absent", absent)]);
        },
    ),
    gauge(
        "seawall_member_problem",
        &["member"],
        "Always 1; the label is a member whose files are not active. At most 100 members are listed.",
        |of, out| {
            for member in of.status.members.iter().take(MEMBERS_TOLD_MAX) {
                out.put(&[&member.name], true);
            }
        },
    ),
    counter(
        "seawall_member_passed_over_total",
        &["member"],
        "Requests for which the rules of a member were passed over because they ran out of fuel.",
        |of, out| each(out, &of.status.fuel.members, |of| (&of.name, of.passed_over)),
    ),
    counter(
        "seawall_member_quarantines_total",
        &["member"],
        "Times that the rules of a member were quarantined.",
        |of, out| each(out, &of.status.fuel.members, |of| (&of.name, of.quarantines)),
    ),
    gauge(
        "seawall_member_quarantine_remaining_seconds",
        &["member"],
        "Time until the quarantine of a member's rules ends, in seconds; 0 without quarantine.",
        |of, out| {
            each(out, &of.status.fuel.members, |of| (&of.name, ms(of.quarantine_remaining_ms)));
        },
    ),
    counter(
        "seawall_out_of_fuel_total",
        &[],
        "Requests that were answered 503 because the server's rules ran out of fuel.",
        |of, out| out.one(of.status.fuel.out),
    ),
    counter("seawall_decisions_total", &["verdict"], "Decisions by verdict.", |of, out| {
        out.words(&[], by_word(&of.status.decisions))
    }),
    counter(
        "seawall_rule_hits_total",
        &["rule"],
        "Times that a rule or limit of the active generation applied.",
        |of, out| each(out, &of.status.rules, |of| (&of.name, of.hits)),
    ),
    counter(
        "seawall_rule_shadow_hits_total",
        &["rule"],
        "Times that a shadow rule or limit of the active generation would have applied.",
        |of, out| each(out, &of.status.rules, |of| (&of.name, of.shadow_hits)),
    ),
    gauge("seawall_bans_active", &[], "Active bans.", |of, out| out.one(of.status.bans.active)),
    counter(
        "seawall_bans_rejected_total",
        &[],
        "Bans that were rejected because the table of bans was full.",
        |of, out| out.one(of.status.bans.rejected),
    ),
    gauge("seawall_table_keys", &["counter"], "Keys in the table of a counter.", |of, out| {
        each(out, &of.status.counter_tables, |of| (&of.name, of.keys))
    }),
    gauge(
        "seawall_table_capacity",
        &["counter"],
        "Most keys that the table of a counter can hold.",
        |of, out| each(out, &of.status.counter_tables, |of| (&of.name, of.capacity)),
    ),
    counter(
        "seawall_table_evictions_total",
        &["counter"],
        "Keys that were removed from the table of a counter for other keys.",
        |of, out| each(out, &of.status.counter_tables, |of| (&of.name, of.evictions)),
    ),
    counter(
        "seawall_table_rejected_total",
        &["counter"],
        "Keys that were rejected because the table of a counter was full.",
        |of, out| each(out, &of.status.counter_tables, |of| (&of.name, of.rejected)),
    ),
    gauge("seawall_list_entries", &["list"], "Entries of a list.", |of, out| {
        each(out, &of.status.lists, |of| (&of.name, of.entries))
    }),
    gauge(
        "seawall_list_invalid_lines",
        &["list"],
        "Lines of a list's file that could not be read.",
        |of, out| each(out, &of.status.lists, |of| (&of.name, of.invalid_lines)),
    ),
    gauge(
        "seawall_list_loaded_timestamp_seconds",
        &["list"],
        "Time at which the content of a list became active, in seconds since 1970.",
        |of, out| each(out, &of.status.lists, |list| (&list.name, of.seconds_ago(list.age_ms))),
    ),
    counter("seawall_extern_calls_total", &["extern"], "Calls of a WASM rule.", |of, out| {
        each(out, &of.status.externs, |of| (&of.name, of.calls))
    }),
    counter(
        "seawall_extern_cache_hits_total",
        &["extern"],
        "Calls of a WASM rule that the result cache answered.",
        |of, out| each(out, &of.status.externs, |of| (&of.name, of.cache_hits)),
    ),
    counter(
        "seawall_extern_deadline_extensions_total",
        &["extern"],
        "Calls of a WASM rule whose deadline was extended.",
        |of, out| each(out, &of.status.externs, |of| (&of.name, of.deadline_extensions)),
    ),
    counter(
        "seawall_extern_failures_total",
        &["extern", "reason"],
        "Failed calls of a WASM rule, by reason.",
        |of, out| {
            for of in &of.status.externs {
                out.words(&[&of.name], by_word(&of.failures));
            }
        },
    ),
    gauge(
        "seawall_extern_fuel_max",
        &["extern"],
        "Most fuel that one call of a WASM rule used.",
        |of, out| each(out, &of.status.externs, |of| (&of.name, of.fuel_max)),
    ),
    counter(
        "seawall_extern_quarantines_total",
        &["extern"],
        "Times that a WASM rule was quarantined.",
        |of, out| each(out, &of.status.externs, |of| (&of.name, of.quarantines)),
    ),
    gauge(
        "seawall_extern_quarantine_remaining_seconds",
        &["extern"],
        "Time until the quarantine of a WASM rule ends, in seconds; 0 without quarantine.",
        |of, out| each(out, &of.status.externs, |of| (&of.name, ms(of.quarantine_remaining_ms))),
    ),
    gauge("seawall_wasm_components", &[], "WASM components in memory.", |of, out| {
        out.one(of.status.wasm.components)
    }),
    gauge(
        "seawall_wasm_functions",
        &[],
        "Functions of WASM components that are bound.",
        |of, out| out.one(of.status.wasm.functions),
    ),
    gauge("seawall_wasm_instances", &[], "WASM instances in memory.", |of, out| {
        out.one(of.status.wasm.instances)
    }),
    gauge(
        "seawall_snapshot_last_success_timestamp_seconds",
        &[],
        "Time of the last good snapshot of the state, in seconds since 1970.",
        |of, out| {
            if let Some(age_ms) = of.status.snapshot.age_ms {
                out.one(of.seconds_ago(age_ms));
            }
        },
    ),
    gauge(
        "seawall_snapshot_last_write_successful",
        &[],
        "1 unless the last snapshot could not be written.",
        |of, out| out.one(of.status.snapshot.last_error.is_none()),
    ),
    gauge(
        "seawall_snapshot_size_bytes",
        &[],
        "Size of the last good snapshot, in bytes.",
        |of, out| some(out, of.status.snapshot.bytes.map(|bytes| bytes as f64)),
    ),
    gauge(
        "seawall_snapshot_duration_seconds",
        &[],
        "Time that it took to write the last good snapshot, in seconds.",
        |of, out| some(out, of.status.snapshot.duration_ms.map(ms)),
    ),
    gauge(
        "seawall_snapshot_omitted_keys",
        &[],
        "Keys that did not fit into the last snapshot.",
        |of, out| out.one(of.status.snapshot.omitted_keys),
    ),
    counter(
        "seawall_log_lines_suppressed_total",
        &["class"],
        "Log lines that were not written because there were too many, by class.",
        |of, out| out.words(&[], by_word(&of.status.log.suppressed_lines)),
    ),
    counter(
        "seawall_connections_total",
        &[],
        "Accepted client connections, with those that were rejected at once.",
        |of, out| out.one(of.status.proxy.connections.total),
    ),
    gauge("seawall_connections_active", &[], "Open client connections.", |of, out| {
        out.one(of.status.proxy.connections.active)
    }),
    counter(
        "seawall_connections_rejected_total",
        &["reason"],
        "Connections that were reset before their first request was evaluated, by reason.",
        |of, out| out.words(&[], of.status.proxy.connections.rejected.named()),
    ),
    counter(
        "seawall_connections_closed_total",
        &["reason"],
        "Connections that Seawall closed, by reason.",
        |of, out| out.words(&[], of.status.proxy.connections.closed.named()),
    ),
    counter(
        "seawall_accept_errors_total",
        &[],
        "Failed calls of `accept`, for lack of file descriptors or memory.",
        |of, out| out.one(of.status.proxy.connections.accept_errors),
    ),
    counter("seawall_tls_handshakes_total", &["result"], "TLS handshakes by result.", |of, out| {
        out.words(&[], of.status.proxy.tls.handshakes.named())
    }),
    counter("seawall_http_requests_total", &[], "Requests with a valid header.", |of, out| {
        out.one(of.status.proxy.requests.total)
    }),
    gauge("seawall_http_requests_active", &[], "Requests that are at an origin.", |of, out| {
        out.one(of.status.proxy.requests.active)
    }),
    counter(
        "seawall_http_requests_forwarded_total",
        &[],
        "Requests that were allowed and got an origin slot.",
        |of, out| out.one(of.status.proxy.requests.forwarded),
    ),
    counter(
        "seawall_http_requests_rejected_total",
        &["reason"],
        "Requests that were rejected by another reason than a rule of the policy.",
        |of, out| out.words(&[], of.status.proxy.requests.rejected.named()),
    ),
    counter(
        "seawall_http_requests_canceled_total",
        &[],
        "Requests whose client left, or ended its direction of the connection, while an origin worked on them. They keep their origin slot.",
        |of, out| out.one(of.status.proxy.requests.canceled),
    ),
    counter(
        "seawall_http_requests_canceled_timeouts_total",
        &[],
        "Canceled requests to which the origin did not respond in time.",
        |of, out| out.one(of.status.proxy.requests.canceled_timeouts),
    ),
    counter(
        "seawall_http_request_header_errors_total",
        &["reason"],
        "Requests whose header was invalid, by reason.",
        |of, out| out.words(&[], by_word(&of.status.proxy.requests.header_errors)),
    ),
    counter(
        "seawall_http_request_headers_removed_total",
        &[],
        "Request headers that were removed because their name has a `_`.",
        |of, out| out.one(of.status.proxy.requests.headers_removed),
    ),
    counter(
        "seawall_http_responses_total",
        &["site", "code"],
        "Responses by class of their status code. The empty site is that of requests that belong to no site.",
        |of, out| {
            out.words(&[""], of.status.proxy.requests.responses_without_site.named());
            for site in of.sites() {
                out.words(&[&site.name], site.traffic.counts.responses.named());
            }
        },
    ),
    counter(
        "seawall_http_local_responses_total",
        &[],
        "Responses to evaluated requests that Seawall made itself.",
        |of, out| out.one(of.status.proxy.requests.local_responses),
    ),
    histogram(
        "seawall_http_request_duration_seconds",
        &["site"],
        "Time from a request's header to the end of its response, in seconds. The site `other` is all without histograms of their own.",
        |of, out| {
            for (site, latency) in of.latencies {
                out.histogram(&[site], &latency.request);
            }
        },
    ),
    histogram(
        "seawall_origin_response_seconds",
        &["site"],
        "Time from a request's origin slot to the header of the origin's response, in seconds. The site `other` is all without histograms of their own.",
        |of, out| {
            for (site, latency) in of.latencies {
                out.histogram(&[site], &latency.origin);
            }
        },
    ),
    counter(
        "seawall_http_upstream_errors_total",
        &["reason"],
        "Forwarded requests that got no response from an origin, by reason.",
        |of, out| out.words(&[], of.status.proxy.requests.upstream_errors.named()),
    ),
    counter(
        "seawall_origin_response_errors_total",
        &["reason"],
        "Responses of origins that were rejected because of their header or framing, by reason.",
        |of, out| out.words(&[], by_word(&of.status.proxy.requests.origin_response_errors)),
    ),
    counter("seawall_retries_total", &[], "Retries of requests.", |of, out| {
        out.one(of.status.proxy.retries.total)
    }),
    counter(
        "seawall_retries_denied_total",
        &[],
        "Retries that the retry budget did not allow.",
        |of, out| out.one(of.status.proxy.retries.denied),
    ),
    counter(
        "seawall_health_checks_total",
        &["result"],
        "Completed health checks by result.",
        |of, out| out.words(&[], of.status.proxy.health_checks.named()),
    ),
    counter(
        "seawall_websocket_upgrades_total",
        &[],
        "Connections that were upgraded to WebSocket.",
        |of, out| out.one(of.status.proxy.requests.websocket_upgrades),
    ),
    counter("seawall_tarpits_total", &[], "Requests that `tarpit` held.", |of, out| {
        out.one(of.status.proxy.tarpits.total)
    }),
    gauge("seawall_tarpits_active", &[], "Requests that `tarpit` holds.", |of, out| {
        out.one(of.status.proxy.tarpits.active)
    }),
    counter(
        "seawall_tarpits_rejected_total",
        &[],
        "Requests that were reset at once because the maximum was held.",
        |of, out| out.one(of.status.proxy.tarpits.rejected),
    ),
    gauge(
        "seawall_overload_stage",
        &[],
        "Overload stage of the server: 0 normal, 1 warning, 2 shedding, 3 critical.",
        |of, out| out.one(of.status.proxy.overload.stage),
    ),
    gauge(
        "seawall_overload_pressure_ratio",
        &["resource"],
        "Use of a resource as a ratio: `memory` of its limit, `worker_delay` of a tenth of a second.",
        |of, out| {
            let Pressure { memory, worker_delay } = of.status.proxy.overload.pressure;
            out.words(&[], [("memory", memory), ("worker_delay", worker_delay)]);
        },
    ),
    counter(
        "seawall_panics_total",
        &[],
        "Connections that ended in a panic of Seawall.",
        |of, out| out.one(of.status.proxy.panics),
    ),
    gauge("seawall_site_weight", &["site"], "Weight of a site's fair share.", |of, out| {
        sites(out, of, |of| of.weight)
    }),
    gauge("seawall_site_congested", &["site"], "1 while a site lacks resources.", |of, out| {
        sites(out, of, |of| of.congested)
    }),
    gauge(
        "seawall_site_connections_active",
        &["site"],
        "Open connections of a site.",
        |of, out| sites(out, of, |of| of.connections_active),
    ),
    gauge(
        "seawall_site_connections_fair_share",
        &["site"],
        "Fair share of connections that a site has.",
        |of, out| sites(out, of, |of| of.connections_fair_share),
    ),
    counter(
        "seawall_site_connections_closed_total",
        &["site", "reason"],
        "Connections of a site that Seawall closed, by reason.",
        |of, out| {
            for site in of.sites() {
                out.words(&[&site.name], site.traffic.counts.connections_closed.named());
            }
        },
    ),
    counter(
        "seawall_site_requests_total",
        &["site"],
        "Requests that belong to a site.",
        |of, out| sites(out, of, |of| of.counts.requests_total),
    ),
    gauge(
        "seawall_site_requests_active",
        &["site"],
        "Requests of a site that are at its origins.",
        |of, out| sites(out, of, |of| of.requests_active),
    ),
    gauge(
        "seawall_site_requests_limit",
        &["site"],
        "Most requests of a site that may be at its origins.",
        |of, out| sites(out, of, |of| of.requests_limit),
    ),
    counter(
        "seawall_site_requests_forwarded_total",
        &["site"],
        "Requests of a site that were allowed and got an origin slot.",
        |of, out| sites(out, of, |of| of.counts.requests_forwarded_total),
    ),
    counter(
        "seawall_site_requests_rejected_total",
        &["site", "reason"],
        "Requests of a site that were rejected for lack of a resource, by reason.",
        |of, out| {
            for site in of.sites() {
                out.words(&[&site.name], site.traffic.counts.rejected.named());
            }
        },
    ),
    counter(
        "seawall_site_requests_canceled_total",
        &["site"],
        "Requests of a site whose client left while an origin worked on them.",
        |of, out| sites(out, of, |of| of.counts.requests_canceled_total),
    ),
    gauge("seawall_site_uploads_active", &["site"], "Uploads to a site.", |of, out| {
        sites(out, of, |of| of.uploads_active)
    }),
    gauge("seawall_site_tunnels_active", &["site"], "Open WebSockets of a site.", |of, out| {
        sites(out, of, |of| of.tunnels_active)
    }),
    gauge(
        "seawall_site_queue_length",
        &["site"],
        "Requests of a site in the queue for an origin slot.",
        |of, out| sites(out, of, |of| of.queue_length),
    ),
    counter(
        "seawall_site_queued_total",
        &["site"],
        "Requests of a site that waited in the queue and got an origin slot.",
        |of, out| sites(out, of, |of| of.counts.queued_total),
    ),
    counter(
        "seawall_site_cpu_seconds_total",
        &["site"],
        "CPU time that the connections of a site took, in seconds.",
        |of, out| sites(out, of, |of| of.counts.cpu_us as f64 / 1e6),
    ),
    counter(
        "seawall_site_cpu_throttled_total",
        &["site"],
        "Times that a connection of a site waited for CPU time.",
        |of, out| sites(out, of, |of| of.counts.cpu_throttled_total),
    ),
    counter(
        "seawall_site_egress_bytes_total",
        &["site"],
        "Bytes that were sent to the clients of a site.",
        |of, out| sites(out, of, |of| of.counts.egress_bytes_total),
    ),
    counter(
        "seawall_site_egress_throttled_total",
        &["site"],
        "Times that a connection of a site waited for egress bandwidth.",
        |of, out| sites(out, of, |of| of.counts.egress_throttled_total),
    ),
    gauge(
        "seawall_origin_up",
        &["site", "origin"],
        "1 while an origin gets requests, 0 while its circuit breaker is open or half-open.",
        |of, out| origins(out, of, |of| u64::from(of.state == OriginState::Up)),
    ),
    gauge(
        "seawall_origin_requests_active",
        &["site", "origin"],
        "Requests that are at an origin.",
        |of, out| origins(out, of, |of| of.requests_active),
    ),
    counter(
        "seawall_origin_requests_total",
        &["site", "origin"],
        "Requests that were sent to an origin, with retries.",
        |of, out| origins(out, of, |of| of.requests),
    ),
    counter(
        "seawall_origin_failures_total",
        &["site", "origin"],
        "Requests that failed because of an origin.",
        |of, out| origins(out, of, |of| of.failures),
    ),
    counter(
        "seawall_origin_down_transitions_total",
        &["site", "origin"],
        "Times that an origin went down.",
        |of, out| origins(out, of, |of| of.down_transitions),
    ),
    counter(
        "seawall_origin_up_transitions_total",
        &["site", "origin"],
        "Times that an origin came up again.",
        |of, out| origins(out, of, |of| of.up_transitions),
    ),
    counter("process_cpu_seconds_total", &[], "CPU time of the process, in seconds.", |of, out| {
        some(out, of.process.cpu_seconds)
    }),
    gauge(
        "process_start_time_seconds",
        &[],
        "Time at which the process started, in seconds since 1970.",
        |of, out| some(out, of.process.start_seconds),
    ),
    gauge(
        "process_resident_memory_bytes",
        &[],
        "Resident memory of the process, in bytes.",
        |of, out| some(out, of.process.resident_bytes),
    ),
    gauge("process_threads", &[], "Threads of the process.", |of, out| {
        some(out, of.process.threads)
    }),
    gauge("process_open_fds", &[], "Open file descriptors of the process.", |of, out| {
        some(out, of.process.open_fds)
    }),
    gauge("process_max_fds", &[], "Most file descriptors that the process may open.", |of, out| {
        some(out, of.process.max_fds)
    }),
    gauge(
        "seawall_metrics_families_omitted",
        &[],
        "Metrics that are not on this page because it would be too large.",
        |of, out| out.one(of.omitted),
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
            assert!(name.starts_with("seawall_") || name.starts_with("process_"), "{name}");
            assert_eq!(name.ends_with("_total"), family.kind == MetricKind::Counter, "{name}");
            assert!(!name.contains("_total_"), "{name}");
            assert!(family.help.ends_with('.'), "{name}");
            assert!(family.labels.iter().all(|label| label.chars().all(known)), "{name}");
            let same = FAMILIES.iter().filter(|other| other.name == name).count();
            assert_eq!(same, 1, "{name}");
        }
    }
}
