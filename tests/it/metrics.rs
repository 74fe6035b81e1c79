//! The page of metrics: its exact format, its agreement with the manual, and no address of a
//! client.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};

use seawall_admin_api::{
    ConnectionCloses, ConnectionRejections, Handshakes, HealthChecks, ProxyStatus,
    RequestRejections, SiteCloses, SiteCounts, SiteRejections, StatusReport, UpstreamErrors,
};
use seawall_control::{FAMILIES, MetricFamily, MetricKind};
use seawall_tests::{Origin, Recorder, Server, Setup, get, wait_until};
use serde_json::{Value, json};

const POLICY: &str = "policy 1
list bad: cidr = { 192.0.2.0/24 }
floor {
  rule no { when path == \"/no\" then block 403 }
  rule bad { when client.ip in @bad then block 403 }
  limit few { per client where path == \"/few\" to 1/7d then block 429 }
}
";

/// The head and the body of the answer to `GET /metrics`.
fn scrape(server: &Server) -> (String, String) {
    let mut stream = UnixStream::connect(server.folder().join("run/admin.sock")).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_ascii_lowercase(), body.to_owned())
}

/// The samples of a page by name and labels, each name with its kind.
#[derive(Debug, Default)]
struct Page {
    kinds: BTreeMap<String, String>,
    samples: BTreeMap<String, f64>,
}

/// Reads text of version 0.0.4, and refuses everything that is allowed but not done: each family has
/// one head, all its samples follow it, and none comes twice.
fn read(text: &str) -> Result<Page, String> {
    let mut page = Page::default();
    let mut lines = text.lines().peekable();
    if !text.ends_with('\n') {
        return Err("the last line has no end".into());
    }
    while let Some(line) = lines.next() {
        let bad = || format!("not understood: {line}");
        let (name, help) =
            line.strip_prefix("# HELP ").and_then(|l| l.split_once(' ')).ok_or_else(bad)?;
        let kind_line = lines.next().ok_or_else(bad)?;
        let kind = kind_line.strip_prefix(&format!("# TYPE {name} ")).ok_or_else(bad)?;
        let known = |c: char| c.is_ascii_lowercase() || c == '_' || c.is_ascii_digit();
        let ours = ["seawall_", "process_"].iter().any(|prefix| name.starts_with(prefix));
        if !ours || !name.chars().all(known) || help.is_empty() {
            return Err(bad());
        }
        let is_kind = matches!(kind, "counter" | "gauge" | "histogram");
        if !is_kind || (kind == "counter") != name.ends_with("_total") {
            return Err(bad());
        }
        if page.kinds.insert(name.to_owned(), kind.to_owned()).is_some() {
            return Err(format!("twice: {name}"));
        }
        let before = page.samples.len();
        while let Some(line) = lines.next_if(|line| !line.starts_with('#')) {
            let bad = || format!("not understood: {line}");
            let (series, value) = line.rsplit_once(' ').ok_or_else(bad)?;
            let mut labels = series.strip_prefix(name).ok_or_else(bad)?;
            if kind == "histogram" {
                let parts = ["_bucket", "_sum", "_count"].iter();
                labels =
                    parts.filter_map(|part| labels.strip_prefix(part)).next().ok_or_else(bad)?;
            }
            if !labels.is_empty() {
                read_labels(labels).ok_or_else(bad)?;
            }
            let value: f64 = value.parse().map_err(|_| bad())?;
            if !value.is_finite() || value < 0.0 {
                return Err(bad());
            }
            if page.samples.insert(series.to_owned(), value).is_some() {
                return Err(format!("twice: {series}"));
            }
        }
        if page.samples.len() == before {
            return Err(format!("no sample: {name}"));
        }
    }
    Ok(page)
}

/// `{name="text",…}`, the text with its escapes.
fn read_labels(labels: &str) -> Option<()> {
    let mut rest = labels.strip_prefix('{')?;
    loop {
        let (name, after) = rest.split_once("=\"")?;
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_lowercase() || c == '_') {
            return None;
        }
        let mut chars = after.char_indices();
        let end = loop {
            match chars.next()? {
                (_, '\\') => _ = chars.next().filter(|(_, c)| matches!(c, '\\' | '"' | 'n'))?,
                (at, '"') => break at,
                (_, '\n') => return None,
                _ => {}
            }
        };
        rest = after.get(end + 1..)?;
        match rest {
            "}" => return Some(()),
            _ => rest = rest.strip_prefix(',')?,
        }
    }
}

#[test]
fn the_reader_refuses_what_is_wrong() {
    let head = "# HELP seawall_a_total A.\n# TYPE seawall_a_total counter\n";
    assert!(read(&format!("{head}seawall_a_total{{a=\"b\\\"c\",d=\"\"}} 1\n")).is_ok());
    for wrong in [
        "seawall_a_total 1",
        "seawall_b_total 1\n",
        "seawall_a_total{a=b} 1\n",
        "seawall_a_total{a=\"b} 1\n",
        "seawall_a_total{a=\"b\",} 1\n",
        "seawall_a_total one\n",
        "seawall_a_total -1\n",
        "seawall_a_total NaN\n",
        "seawall_a_total 1\nseawall_a_total 1\n",
        "",
    ] {
        assert!(read(&format!("{head}{wrong}")).is_err(), "{wrong}");
    }
    assert!(read(&format!("{head}seawall_a_total 1\n{head}seawall_a_total 1\n")).is_err());
    assert!(read("# HELP seawall_a A.\n# TYPE seawall_a counter\nseawall_a 1\n").is_err());
}

fn start(origin: &Origin) -> Server {
    // A site that nobody asks for.
    let quiet = Origin::nowhere();
    let server = Setup::new(origin.address, POLICY).site("quiet.example", quiet).start();
    for path in ["/", "/no", "/no", "/few", "/few"] {
        let _status = server.visitor("127.9.8.7").status(path);
    }
    server
}

/// The labels of a series.
fn labels_of(series: &str) -> Vec<&str> {
    let Some((_, labels)) = series.split_once('{') else { return Vec::new() };
    labels.split("\",").filter_map(|label| label.split("=\"").next()).collect()
}

#[test]
fn the_page_is_in_form_and_says_what_happened() {
    let origin = Origin::start();
    let server = start(&origin);
    wait_until("all is closed", || server.proxy().connections.active == 0);
    let (head, text) = scrape(&server);
    assert!(head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
    let page = read(&text).unwrap();
    let responses =
        |code| format!("seawall_http_responses_total{{site=\"a.example\",code=\"{code}\"}}");
    for (series, value) in [
        ("seawall_policy_generation", 1.0),
        ("seawall_rule_hits_total{rule=\"floor.no\"}", 2.0),
        ("seawall_http_requests_forwarded_total", 2.0),
        ("seawall_connections_active", 0.0),
        ("seawall_connections_rejected_total{reason=\"banned\"}", 0.0),
        ("seawall_site_requests_total{site=\"a.example\"}", 5.0),
        (&*responses("2xx"), 2.0),
        (&*responses("4xx"), 3.0),
        (&*responses("5xx"), 0.0),
        ("seawall_http_request_duration_seconds_count{site=\"a.example\"}", 5.0),
        ("seawall_origin_response_seconds_count{site=\"a.example\"}", 2.0),
        ("seawall_list_entries{list=\"bad\"}", 1.0),
        ("seawall_table_keys{counter=\"floor.few\"}", 1.0),
        ("seawall_policy_level{site=\"\",level=\"normal\"}", 1.0),
        ("seawall_policy_last_reload_successful", 1.0),
        (&*format!("seawall_origin_up{{site=\"a.example\",origin=\"{}\"}}", origin.address), 1.0),
    ] {
        assert_eq!(page.samples.get(series), Some(&value), "{series} in\n{text}");
    }
    assert!(page.samples["process_open_fds"] > 5.0);
    assert!(page.samples["process_resident_memory_bytes"] > 1e6);
    let published = page.samples["seawall_policy_published_timestamp_seconds"];
    let started = page.samples["process_start_time_seconds"];
    assert!((-2.0..600.0).contains(&(published - started)), "{started} {published}");
    assert!(!text.contains("seawall_site_requests_total{site=\"quiet.example"), "nobody was there");
    // No label is a visitor's: each is one that its family has.
    for series in page.samples.keys() {
        let name = series.split('{').next().unwrap();
        let family = family_of(name).unwrap_or_else(|| panic!("{series}"));
        let labels = labels_of(series).into_iter().filter(|label| *label != "le");
        assert_eq!(labels.collect::<Vec<_>>(), family.labels, "{series}");
    }
    assert!(!text.contains("127.9.8.7") && !text.contains("/few"));
}

/// The family that a series with this name belongs to.
pub(crate) fn family_of(name: &str) -> Option<&'static MetricFamily> {
    let is = |family: &&MetricFamily| {
        let part = name.strip_prefix(family.name);
        match family.kind {
            MetricKind::Histogram => matches!(part, Some("_bucket" | "_sum" | "_count")),
            MetricKind::Counter | MetricKind::Gauge => part == Some(""),
        }
    };
    FAMILIES.iter().find(is)
}

#[test]
fn both_versions_and_answers_of_our_own_are_responses_with_a_duration() {
    let origin = Origin::start();
    let setup = Setup::new(origin.address, POLICY).tls("self_signed = true");
    let server = setup.start();
    let statuses = crate::h2::within(async {
        let mut client = crate::h2::client(&server).await;
        let mut statuses = Vec::new();
        for path in ["/", "/no", "/page"] {
            statuses.push(crate::h2::status(&mut client, path).await);
        }
        statuses
    });
    assert_eq!(statuses, [200, 403, 200]);
    assert_eq!(server.answers("/no"), 403);
    let mut new_client = server.visitor("127.9.8.6");
    let elsewhere = "GET / HTTP/1.1\r\nHost: b.example\r\nConnection: close\r\n\r\n";
    assert_eq!(new_client.ask(elsewhere).unwrap().status, 421);
    wait_until("all are counted", || {
        let status = server.status();
        let counts = &status.sites[0].traffic.counts;
        let responses = &counts.responses;
        (responses.successful, responses.client_error, responses.server_error) == (2, 2, 0)
            && counts.request_duration.count() == 4
            && counts.origin_response.count() == 2
            && status.proxy.requests.responses_without_site.client_error == 1
    });
}

#[test]
fn prometheus_own_tool_finds_nothing_wrong() {
    let origin = Origin::start();
    let server = start(&origin);
    let mut visitor = server.visitor("127.9.8.7");
    visitor.send(get("/")).unwrap();
    let Ok(mut tool) = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
    else {
        println!("not looked at: there is no promtool here");
        return;
    };
    tool.stdin.take().unwrap().write_all(scrape(&server).1.as_bytes()).unwrap();
    let said = tool.wait_with_output().unwrap();
    let text = [said.stdout, said.stderr].concat();
    assert!(said.status.success() && text.is_empty(), "{}", String::from_utf8_lossy(&text));
}

/// Where the repository lies.
pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The manual's page about metrics.
pub(crate) fn manual() -> String {
    std::fs::read_to_string(repository().join("docs/operating/metrics.md")).unwrap()
}

/// What differs between what the manual lists and what there is.
fn assert_same(listed: &BTreeSet<String>, all: &BTreeSet<String>) {
    let missing: Vec<_> = all.difference(listed).collect();
    let invented: Vec<_> = listed.difference(all).collect();
    assert!(missing.is_empty(), "the manual lacks {missing:#?}");
    assert!(invented.is_empty(), "the manual has too much: {invented:#?}");
}

#[test]
fn the_manual_lists_every_metric_and_no_other() {
    let manual = manual();
    let kinds = ["` | counter | ", "` | gauge | ", "` | histogram | "];
    let is_row = |row: &&str| kinds.iter().any(|kind| row.contains(kind));
    let listed = manual.lines().filter(is_row).map(str::to_owned).collect();
    let row = |of: &MetricFamily| {
        let labels = of.labels.join(",");
        let labels = if labels.is_empty() { labels } else { format!("{{{labels}}}") };
        format!("| `{}{labels}` | {} | {} |", of.name, of.kind.word(), of.help)
    };
    assert_same(&listed, &FAMILIES.iter().map(row).collect());
}

/// The values of a label, by the metric, where they are known from the start.
pub(crate) const REASONS: [(&str, &[(&str, &str)]); 8] = [
    ("seawall_connections_rejected_total", ConnectionRejections::REASONS),
    ("seawall_connections_closed_total", ConnectionCloses::REASONS),
    ("seawall_tls_handshakes_total", Handshakes::REASONS),
    ("seawall_http_requests_rejected_total", RequestRejections::REASONS),
    ("seawall_http_upstream_errors_total", UpstreamErrors::REASONS),
    ("seawall_health_checks_total", HealthChecks::REASONS),
    ("seawall_site_requests_rejected_total", SiteRejections::REASONS),
    ("seawall_site_connections_closed_total", SiteCloses::REASONS),
];

#[test]
fn the_manual_lists_every_reason_and_no_other() {
    let manual = manual();
    for (metric, reasons) in REASONS {
        let section = manual.split(&format!("### `{metric}`\n")).nth(1);
        let section = section.unwrap_or_else(|| panic!("the manual has no section {metric}"));
        let section = section.split("\n#").next().unwrap();
        let listed = section.lines().filter(|line| line.starts_with("| `")).map(str::to_owned);
        let row = |(reason, says): &(&str, &str)| format!("| `{reason}` | {} |", says.trim());
        assert_same(&listed.collect(), &reasons.iter().map(row).collect());
    }
}

/// The paths of all numbers in a report; a map by words is one, and so is what is counted by class or
/// size.
fn paths(of: &Value, at: &str, found: &mut BTreeSet<String>) {
    let fields = of.as_object().filter(|fields| {
        let counts_by_number = fields.contains_key("2xx") || fields.contains_key("buckets");
        !fields.is_empty() && !counts_by_number
    });
    let Some(fields) = fields else {
        found.insert(at.to_owned());
        return;
    };
    for (name, value) in fields {
        paths(value, &format!("{at}.{name}"), found);
    }
}

/// All sources of the proxy, without its tests.
fn sources(folder: &Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, text);
        } else if path.file_name().is_some_and(|name| name != "tests.rs") {
            text.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
}

/// A counter that nothing adds to would be told as 0 for ever.
#[test]
fn the_proxy_adds_to_each_of_its_counters() {
    let mut text = String::new();
    sources(&repository().join("engine/proxy/src"), &mut text);
    let text: String = text.split_whitespace().collect();
    let mut found = BTreeSet::new();
    paths(&json!(ProxyStatus::default()), "counters", &mut found);
    paths(&json!(SiteCounts::default()), "counts", &mut found);
    assert!(found.len() > 60, "{found:?}");
    let is_written = |path: &&String| {
        let mut parts = path.rsplit('.');
        let (name, group) = (parts.next().unwrap(), parts.next().unwrap());
        let at = format!("{group}.{name}");
        let uses = text.match_indices(&at).map(|(start, _)| &text[start + at.len()..]);
        let mut uses = uses.filter_map(|rest| rest.chars().next());
        // Behind the name of a counter comes its end or what is done to it, and never more name.
        uses.any(|next| !next.is_alphanumeric() && next != '_')
    };
    let never: Vec<_> = found.iter().filter(|path| !is_written(path)).collect();
    assert!(never.is_empty(), "nothing adds to {never:#?}");
}

/// Metrics that may stay 0 in the test below, each with what it would take.
const MAY_BE_ZERO: &[(&str, &str)] = &[
    ("seawall_policy_rolled_back", "a rollback: history.rs"),
    ("seawall_bans_rejected_total", "a million bans"),
    ("seawall_table_evictions_total", "more keys than a counter has: limits.rs"),
    ("seawall_table_rejected_total", "a full table of recent keys"),
    ("seawall_list_invalid_lines", "a list with errors: lists.rs"),
    ("seawall_extern_cache_hits_total", "a component that is called again: rules.rs"),
    ("seawall_extern_deadline_extensions_total", "a thread that waits for a processor"),
    ("seawall_extern_fuel_max", "a component whose calls end: scripts.rs"),
    ("seawall_wasm_instances", "a component whose instances are kept: compile.rs"),
    ("seawall_snapshot_omitted_keys", "more keys than fit into a snapshot"),
    ("seawall_accept_errors_total", "no file descriptors"),
    ("seawall_http_requests_canceled_timeouts_total", "an origin that never answers: given_up.rs"),
    ("seawall_origin_response_errors_total", "an invalid response of an origin: answers.rs"),
    ("seawall_retries_denied_total", "more failures than the retry budget has: outage.rs"),
    ("seawall_tarpits_rejected_total", "more clients than are held: tests of the proxy"),
    ("seawall_overload_stage", "overload: fair_sharing.rs"),
    ("seawall_overload_pressure_ratio", "a worker that is late, or little memory: fair_sharing.rs"),
    ("seawall_panics_total", "an error in Seawall"),
    ("seawall_site_congested", "a queue: fair_sharing.rs"),
    ("seawall_site_connections_closed_total", "more connections than a share: fair_sharing.rs"),
    ("seawall_site_requests_rejected_total", "a full queue: fair_sharing.rs"),
    ("seawall_site_queue_length", "a queue: given_up.rs"),
    ("seawall_site_queued_total", "a queue: fair_sharing.rs"),
    ("seawall_site_cpu_throttled_total", "more work than a processor does: fair_sharing.rs"),
    ("seawall_site_egress_throttled_total", "a bandwidth that is shared: fair_sharing.rs"),
    ("seawall_origin_down_transitions_total", "an origin that fails often: outage.rs"),
    ("seawall_origin_up_transitions_total", "an origin that comes back: outage.rs"),
    ("seawall_metrics_families_omitted", "more than 32 MiB of metrics"),
];

/// The families of which something is there that is not 0.
fn with_value(server: &Server) -> BTreeSet<&'static str> {
    let page = read(&scrape(server).1).unwrap();
    let positive = page.samples.iter().filter(|(_, value)| **value > 0.0);
    let names = positive.filter_map(|(series, _)| series.split('{').next());
    names.filter_map(|name| Some(family_of(name)?.name)).collect()
}

/// A server with a member whose files are wrong, and with much under way.
fn busy(origin: &Origin, sockets: &Recorder, act: impl FnOnce(&Server)) {
    let policy = "policy 1
member bob { hosts { \"b.example\" } may { block } file \"members/bob.wall\" }
floor {
  shadow rule seen { when path == \"/seen\" then block 403 }
  rule slow { when path == \"/hold\" then tarpit 30s }
}
test \"anybody is let in\" {
  request GET \"https://a.example/\" from 203.0.113.7
  expect allow
}
";
    let setup = Setup::new(origin.address, policy).site("b.example", sockets.address).health("/");
    setup.write("members/bob.wall", "policy 1\nsite \"b.example\" { rule }\n");
    let server = setup.start();
    assert_eq!(server.answers("/seen"), 200);
    let odd = "GET / HTTP/1.1\r\nHost: a.example\r\nx_y: 1\r\nConnection: close\r\n\r\n";
    assert_eq!(server.visitor("127.9.6.1").ask(odd).unwrap().status, 200);
    let upgrade = "GET /ws HTTP/1.1\r\nHost: b.example\r\nConnection: Upgrade\r\n\
                   Upgrade: websocket\r\n\r\n";
    let upload = format!(
        "POST /up HTTP/1.1\r\nHost: a.example\r\nContent-Length: 900000\r\n\r\n{}",
        "x".repeat(200_000)
    );
    let begin = |source: &str, request: &str| {
        let mut visitor = server.visitor(source);
        visitor.send(request).unwrap();
        visitor
    };
    let _held = [
        begin("127.9.6.2", &get("/gate")),
        begin("127.9.6.3", &get("/hold")),
        begin("127.9.6.4", upgrade),
        begin("127.9.6.5", &upload),
    ];
    wait_until("all are under way", || {
        let StatusReport { proxy, sites, snapshot, .. } = server.status();
        let of = |at: usize| sites[at].traffic.clone();
        proxy.tarpits.active == 1
            && (of(0).requests_active, of(0).uploads_active, of(1).tunnels_active) == (1, 1, 1)
            && proxy.health_checks.success > 0
            && snapshot.bytes.is_some()
    });
    act(&server);
}

/// What can never change says nothing, so each metric changes here or is changed by another test.
#[test]
fn every_metric_can_have_a_value() {
    let (origin, sockets) = (Origin::start(), Recorder::start());
    let attacked = crate::privacy::setup(&origin, &sockets).start();
    crate::privacy::afternoon(&attacked);
    let mut found = with_value(&attacked);
    let costly = crate::fuel::start(&origin);
    for field in std::iter::repeat_n("x-hers", crate::fuel::OFTEN).chain(["x-host"]) {
        crate::fuel::costly(&costly, "/", field);
    }
    found.extend(with_value(&costly));
    busy(&origin, &sockets, |server| found.extend(with_value(server)));
    let is_excused = |name: &str| MAY_BE_ZERO.iter().any(|(excused, _)| *excused == name);
    let names = FAMILIES.iter().map(|family| family.name);
    let never: Vec<_> = names.filter(|name| !found.contains(name) && !is_excused(name)).collect();
    assert!(never.is_empty(), "they had no value: {never:#?}");
    let unknown = MAY_BE_ZERO.iter().filter(|(name, _)| FAMILIES.iter().all(|f| f.name != *name));
    assert_eq!(unknown.count(), 0, "an excuse for what is no metric");
}
