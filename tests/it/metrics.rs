//! What Prometheus reads: its form to the letter, what the manual says of it, and nobody's address.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use seawall_tests::{Origin, Server, Setup, get, wait_until};

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
        if !name.starts_with("seawall_") || !name.chars().all(known) || help.is_empty() {
            return Err(bad());
        }
        if !matches!(kind, "counter" | "gauge") || (kind == "counter") != name.ends_with("_total") {
            return Err(bad());
        }
        if page.kinds.insert(name.to_owned(), kind.to_owned()).is_some() {
            return Err(format!("twice: {name}"));
        }
        let before = page.samples.len();
        while let Some(line) = lines.next_if(|line| !line.starts_with('#')) {
            let bad = || format!("not understood: {line}");
            let (series, value) = line.rsplit_once(' ').ok_or_else(bad)?;
            let labels = series.strip_prefix(name).ok_or_else(bad)?;
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
    let quiet = Origin::nowhere();
    let server = Setup::new(origin.address, POLICY).site("quiet.example", quiet).start();
    for path in ["/", "/no", "/no", "/few", "/few"] {
        let _status = server.visitor("127.9.8.7").status(path);
    }
    server
}

#[test]
fn the_page_is_in_form_and_says_what_happened() {
    let origin = Origin::start();
    let server = start(&origin);
    wait_until("all is closed", || server.number("/edge/open") == 0);
    let (head, text) = scrape(&server);
    assert!(head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
    let page = read(&text).unwrap();
    for (series, value) in [
        ("seawall_generation", 1.0),
        ("seawall_rule_hits_total{rule=\"floor.no\"}", 2.0),
        ("seawall_edge_admitted_total", 2.0),
        ("seawall_edge_open", 0.0),
        ("seawall_site_requests_total{site=\"a.example\"}", 5.0),
        ("seawall_list_entries{list=\"bad\"}", 1.0),
        ("seawall_table_keys{counter=\"floor.few\"}", 1.0),
        ("seawall_level{site=\"\",level=\"normal\"}", 1.0),
        ("seawall_policy_error", 0.0),
        (&*format!("seawall_origin_up{{site=\"a.example\",origin=\"{}\"}}", origin.address), 1.0),
    ] {
        assert_eq!(page.samples.get(series), Some(&value), "{series} in\n{text}");
    }
    assert!(page.samples["seawall_process_open_fds"] > 5.0);
    assert!(page.samples["seawall_process_resident_memory_bytes"] > 1e6);
    assert!(!text.contains("requests_total{site=\"quiet.example"), "nobody was there");
    // No label is a visitor's: each is one of these, and what it says is ours or the operator's.
    let labels =
        ["site", "origin", "level", "rule", "counter", "list", "extern", "failure", "result"];
    let more = ["verdict", "class", "reason", "version", "state", "member"];
    let known: BTreeSet<&str> = labels.into_iter().chain(more).collect();
    for series in page.samples.keys().filter_map(|series| series.split_once('{')) {
        let named = series.1.split("\",").filter_map(|label| label.split("=\"").next());
        named.for_each(|label| assert!(known.contains(label), "{label} in {series:?}"));
    }
    assert!(!text.contains("127.9.8.7") && !text.contains("/few"));
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

#[test]
fn the_manual_lists_every_metric_and_no_other() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let manual = std::fs::read_to_string(root.join("docs/operating/metrics.md")).unwrap();
    let rows = manual.lines().filter(|line| line.starts_with("| `seawall_"));
    let rows = rows.filter(|row| row.contains("` | counter | ") || row.contains("` | gauge | "));
    let listed: BTreeSet<String> = rows
        .map(|row| {
            let (name, rest) = row.strip_prefix("| `").unwrap().split_once("` | ").unwrap();
            let (kind, says) = rest.strip_suffix(" |").unwrap().split_once(" | ").unwrap();
            format!("{} {kind} {says}", name.split('{').next().unwrap())
        })
        .collect();
    let edge = seawall_proxy::ProxyMetricsSnapshot::described().into_iter().map(|of| {
        let (kind, total) = if of.is_gauge { ("gauge", "") } else { ("counter", "_total") };
        format!("seawall_edge_{}{total} {kind} {}", of.name, of.says)
    });
    let families = seawall_control::FAMILIES.iter();
    let families = families.map(|of| format!("seawall_{} {} {}", of.name, of.kind.word(), of.help));
    let origin = Origin::start();
    let text = scrape(&start(&origin)).1;
    let page = read(&text).unwrap();
    let others = page.kinds.iter().map(|(name, kind)| {
        let help = text.lines().find_map(|l| l.strip_prefix(&format!("# HELP {name} "))).unwrap();
        format!("{name} {kind} {help}")
    });
    let all: BTreeSet<String> = edge.chain(families).chain(others).collect();
    let missing: Vec<_> = all.difference(&listed).collect();
    let invented: Vec<_> = listed.difference(&all).collect();
    assert!(missing.is_empty(), "the manual lacks {missing:#?}");
    assert!(invented.is_empty(), "the manual has too much: {invented:#?}");
}
