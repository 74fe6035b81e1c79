//! Every key is accepted and changes the effective configuration.

use super::*;
use crate::setting::Kind;

const KEY: &str = "RWRDJtN4tIDwSSb67Yp5VuUx+6y5vPbQ+kYdV3wurGdro5Dq/G6wPD+z";

/// A file with every section and every required key.
const BASE: &str = r#"[listen]
http = ["127.0.0.1:8080"]
https = ["127.0.0.1:8443"]
[tls]
[[tls.certificate]]
cert = "a.pem"
key = "a.key"
[admin]
[policy]
file = "a.wall"
[state]
dir = "state"
[rules]
[log]
[client]
[trusted_proxies]
networks = ["192.0.2.7"]
proxy_protocol = true
header = "forwarded"
[connections]
[bans]
[timeouts]
[requests]
[origins]
[retries]
[circuit_breaker]
[health_check]
[queue]
[bandwidth]
[overload]
[evaluation]
[[site]]
hosts = ["a.example"]
origins = ["http://127.0.0.1:9001"]
[[site.route]]
path_prefix = "/a/"
read_timeout = "5s"
"#;

/// Returns a value of `key` that is neither its default nor the one in [`BASE`].
fn another(key: &Key) -> String {
    match (key.section, key.name, key.kind) {
        ("listen", "http", _) => "[\"127.0.0.2:8080\"]".into(),
        ("listen", "https", _) => "[\"127.0.0.2:8443\"]".into(),
        ("rules", ..) => format!("[\"{KEY}\"]"),
        ("site", "hosts", _) => "[\"b.example\"]".into(),
        ("site", "origins", _) => "[\"http://127.0.0.2:9001\"]".into(),
        ("site", "health_check_path" | "member", _) => "\"/up\"".into(),
        ("site", "scripts", _) => "[\"php\"]".into(),
        ("site.route", "path_prefix", _) => "\"/b/\"".into(),
        ("tls", "self_signed", _) => "true".into(),
        ("trusted_proxies", "proxy_protocol", _) => "false".into(),
        ("overload", "shedding_percent", _) => "91".into(),
        ("overload", "critical_percent", _) => "96".into(),
        (_, _, Kind::Number(of)) if of.default != Some(of.min) => of.toml(of.min),
        (_, _, Kind::Number(of)) => of.toml(of.max),
        (_, _, Kind::Texts) => "[\"198.51.100.0/24\"]".into(),
        (_, _, Kind::Word(words)) => format!("\"{}\"", words[0]),
        _ => "\"other\"".into(),
    }
}

/// Returns [`BASE`] with `key` set to `value`.
fn with(key: &Key, value: &str) -> String {
    let line = format!("{} = {value}", key.name);
    let section = if key.section.contains('.') || key.section == "site" {
        format!("[[{}]]\n", key.section)
    } else {
        format!("[{}]\n", key.section)
    };
    let mut base = BASE.to_owned();
    if key.name == "self_signed" {
        base = base.replace("[[tls.certificate]]\ncert = \"a.pem\"\nkey = \"a.key\"\n", "");
    }
    let (before, after) = base.split_once(&section).unwrap();
    // An empty section begins with the next header.
    let (own, rest) = match after.strip_prefix('[') {
        Some(rest) => ("", rest),
        None => after.split_once("\n[").unwrap_or((after, "")),
    };
    let own: Vec<&str> =
        own.lines().filter(|line| !line.starts_with(&format!("{} =", key.name))).collect();
    let rest = if rest.is_empty() { String::new() } else { format!("[{rest}") };
    format!("{before}{section}{line}\n{}\n{rest}", own.join("\n"))
}

fn entry(config: &EffectiveConfig, key: &Key) -> EffectiveValue {
    let section = config.sections.iter().find(|section| section.name == key.section).unwrap();
    section.values.iter().find(|one| one.key == key.name).unwrap().clone()
}

#[test]
fn each_key_is_accepted_and_changes_the_effective_configuration() {
    let path = Path::new("/etc/seawall/seawall.toml");
    let usual = parse(path, BASE.as_bytes()).unwrap();
    let shown = effective(path, BASE.as_bytes()).unwrap();
    let mut seen = 0;
    for key in keys().filter(|key| !matches!(key.kind, Kind::Sections(_))) {
        let text = with(key, &another(key));
        let changed = parse(path, text.as_bytes());
        let changed = changed.unwrap_or_else(|error| panic!("{}: {error}\n{text}", key.name));
        assert_ne!(changed, usual, "[{}] {} is accepted and ignored", key.section, key.name);
        let one = entry(&effective(path, text.as_bytes()).unwrap(), key);
        assert_ne!(one.value, entry(&shown, key).value, "[{}] {}", key.section, key.name);
        let Source::Line(line) = one.source else { panic!("{one:?}") };
        let line = text.lines().nth(line as usize - 1).unwrap();
        assert!(line.starts_with(&format!("{} =", key.name)), "{}: {line}", key.name);
        seen += 1;
    }
    assert!(seen > 90, "{seen}");
}

#[test]
fn every_limit_stands_in_a_section_and_every_key_is_described() {
    assert_eq!(keys().count(), LIMITS.len() + crate::keys::OTHER_KEYS.len());
    for key in keys() {
        assert!(key.doc.trim().ends_with('.'), "{}: {}", key.name, key.doc);
    }
    for section in SECTIONS {
        assert!(section.doc().ends_with('.'), "{}", section.name);
    }
}

#[test]
fn what_is_shown_loads_as_the_same_configuration() {
    let path = Path::new("/etc/seawall/seawall.toml");
    for text in [SMALLEST, BASE] {
        let shown = effective(path, text.as_bytes()).unwrap();
        let again = shown.to_string();
        let loaded = parse(Path::new("/elsewhere/s.toml"), again.as_bytes());
        let loaded = loaded.unwrap_or_else(|error| panic!("{error}\n{again}"));
        let mut usual = parse(path, text.as_bytes()).unwrap();
        // Every site has the inherited values spelled out.
        for (site, shown) in usual.sites.iter_mut().zip(&loaded.sites) {
            site.max_requests_per_origin = shown.max_requests_per_origin;
            site.timeouts = shown.timeouts.clone();
        }
        assert_eq!(loaded, usual, "{again}");
    }
}

#[test]
fn what_is_shown_tells_defaults_from_lines() {
    let path = Path::new("/etc/seawall/seawall.toml");
    let shown = effective(path, SMALLEST.as_bytes()).unwrap();
    let text = shown.to_string();
    for line in [
        "http = [\"127.0.0.1:8080\"]  # line 2",
        "socket = \"/etc/seawall/run/admin.sock\"  # line 5",
        "max_connections = 10_000  # default",
        "idle_timeout = \"15s\"  # default",
        "# max_memory_bytes is not set",
        "max_requests_per_origin = 1_024  # default",
        "weight = 1  # line 17",
    ] {
        assert!(text.lines().any(|one| one == line), "{line}\n{text}");
    }
    let json = shown.json();
    let all: Vec<_> = json.as_array().unwrap().iter().collect();
    let site = all.iter().find(|section| section["section"] == "site").unwrap();
    let weight = site["values"].as_array().unwrap().iter().find(|one| one["key"] == "weight");
    let expected =
        serde_json::json!({"key": "weight", "value": 1, "is_default": false, "line": 17});
    assert_eq!(weight, Some(&expected));
}
