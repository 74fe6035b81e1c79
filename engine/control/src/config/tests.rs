//! Each refusal with its place, and the smallest configuration of DESIGN §7.

use std::path::Path;

use super::limits::RANGES;
use super::*;

const SMALLEST: &str = r#"[listen]
http = ["127.0.0.1:8080"]

[admin]
socket = "run/admin.sock"

[policy]
root = "policies/baseline.wall"

[state]
dir = "state"

[[site]]
hosts = ["alice.example", "*.alice.example"]
origin = ["http://127.0.0.1:9001"]
member = "alice"
share = 1
"#;

fn load(text: impl AsRef<[u8]>) -> Result<Config, ConfigError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("seawall.toml");
    std::fs::write(&path, text).unwrap();
    load_config(&path)
}

/// `line:column: message` of each complaint.
fn refused(text: impl AsRef<[u8]>) -> Vec<String> {
    let error = load(text).unwrap_err();
    error.faults.iter().map(|f| format!("{}:{}: {}", f.line, f.column, f.message)).collect()
}

fn help(text: &str) -> Option<String> {
    load(text).unwrap_err().faults.into_iter().next().unwrap().help
}

#[test]
fn the_smallest_configuration_is_read_and_its_paths_are_relative_to_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("seawall.toml");
    std::fs::write(&path, SMALLEST).unwrap();
    let config = load_config(&path).unwrap();
    assert_eq!(config.listen, vec!["127.0.0.1:8080".parse().unwrap()]);
    assert_eq!(config.socket, dir.path().join("run/admin.sock"));
    assert_eq!(config.root, dir.path().join("policies/baseline.wall"));
    assert_eq!(config.state_dir, dir.path().join("state"));
    let site = &config.sites[0];
    assert_eq!(&*site.name, "alice.example");
    assert_eq!(site.hosts.len(), 2);
    assert_eq!(site.origins, [Origin { host: "127.0.0.1".into(), port: 9001 }]);
    assert_eq!(site.health, None);
    assert_eq!(site.member.as_deref(), Some("alice"));
    assert_eq!(config.log_level, log::LevelFilter::Info);
}

#[test]
fn an_absolute_path_stays_absolute() {
    let config = load(SMALLEST.replace("\"state\"", "\"/var/lib/seawall\"")).unwrap();
    assert_eq!(config.state_dir, Path::new("/var/lib/seawall"));
}

#[test]
fn a_mistyped_key_is_placed_and_the_near_one_offered() {
    let text = SMALLEST.replace("root =", "rot =");
    assert_eq!(refused(&text), ["8:1: unknown key `rot`"]);
    assert_eq!(help(&text).unwrap(), "did you mean `root`?");
    let text = SMALLEST.replace("[listen]", "[listne]");
    assert_eq!(refused(&text), ["1:2: unknown key `listne`"]);
    assert_eq!(help(&text).unwrap(), "did you mean `listen`?");
    let text = SMALLEST.replace("share", "weighting");
    let known = "known here: hosts, origin, health, member, share, inflight_max, \
                 response_header_timeout, read_timeout, scripts, route";
    assert_eq!(help(&text).unwrap(), known);
}

#[test]
fn networks_that_are_never_banned_are_read() {
    let with = |text: &str| format!("{SMALLEST}\n[limits]\nnever_ban = {text}\n");
    let nets = load(with("[\"192.0.2.7\", \"2001:db8::/48\"]")).unwrap().never_ban;
    let shown: Vec<String> = nets.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["192.0.2.7/32", "2001:db8::/48"]);
    let found = refused(with("[\"192.0.2.7/24\", \"here\"]"));
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].contains("bits behind") && found[1].contains("no address"), "{found:?}");
    let many = |n: usize| with(&format!("[{}]", "\"192.0.2.7\",".repeat(n)));
    assert!(load(many(1_000)).is_ok());
    assert!(refused(many(1_001))[0].contains("at most 1000"));
}

#[test]
fn trusted_proxies_are_read_and_each_mistake_is_placed() {
    let with = |lines: &str| format!("{SMALLEST}\n[trusted_proxies]\n{lines}\n");
    assert_eq!(load(SMALLEST).unwrap().trusted_proxies, TrustedProxies::default());
    let nets = "nets = [\"10.0.0.0/8\", \"2001:db8::1\"]";
    let read = |lines: &str| load(with(&format!("{nets}\n{lines}"))).unwrap().trusted_proxies;
    let found = read("proxy_protocol = true");
    assert_eq!((found.proxy_protocol, found.header, found.nets.len()), (true, None, 2));
    for (word, header) in [
        ("x-forwarded-for", ClientHeader::XForwardedFor),
        ("Forwarded", ClientHeader::Forwarded),
        ("X-Real-IP", ClientHeader::XRealIp),
    ] {
        let found = read(&format!("header = \"{word}\""));
        assert_eq!((found.proxy_protocol, found.header), (false, Some(header)));
    }
    for (lines, expected) in [
        (nets, "19:1: [trusted_proxies] does not say how the hops name the client"),
        ("proxy_protocol = true", "19:1: `nets` is missing in [trusted_proxies]"),
        ("proxy_protocol = true\nnets = []", "21:8: `nets` holds 1 to 256 networks"),
        (
            "proxy_protocol = true\nnets = [\"10.1.0.0/8\"]",
            "21:9: this network has bits behind its length",
        ),
        (
            "proxy_protocol = true\nnets = [\"0.0.0.0/0\"]",
            "21:9: `0.0.0.0/0` is wider than any network of one owner",
        ),
        (
            "proxy_protocol = true\nnets = [\"::/15\"]",
            "21:9: `::/15` is wider than any network of one owner",
        ),
        ("proxy_protocol = true\nnets = [\"lb\"]", "21:9: this is no address and no network"),
        (
            &format!("{nets}\nheader = \"cf-connecting-ip\""),
            "21:10: `cf-connecting-ip` is no header that is believed",
        ),
        (&format!("{nets}\nlist = 1"), "21:1: unknown key `list`"),
    ] {
        let found = refused(with(lines));
        assert_eq!(found.first().map(String::as_str), Some(expected), "{found:?}");
    }
    let many = |n: usize| {
        with(&format!("header = \"forwarded\"\nnets = [{}]", "\"192.0.2.7\",".repeat(n)))
    };
    assert!(load(many(256)).is_ok());
    assert!(refused(many(257))[0].contains("1 to 256"));
}

#[test]
fn keys_are_read_and_what_is_none_is_placed() {
    const KEY: &str = "RWRDJtN4tIDwSSb67Yp5VuUx+6y5vPbQ+kYdV3wurGdro5Dq/G6wPD+z";
    let with = |keys: &str| format!("{SMALLEST}\n[rules]\ntrusted_keys = {keys}\n");
    assert!(load(SMALLEST).unwrap().trusted_keys.is_empty());
    let keys = load(with(&format!("[\"{KEY}\"]"))).unwrap().trusted_keys;
    assert_eq!(keys.iter().map(seawall_ruleset::TrustedKey::text).collect::<Vec<_>>(), [KEY]);
    let found = refused(with(&format!("[\"{KEY}\", \"RWx\"]")));
    assert!(found.len() == 1 && found[0].ends_with("this is no public key"), "{found:?}");
    for none in ["[]", &format!("[{}]", format!("\"{KEY}\",").repeat(65))] {
        assert!(refused(with(none))[0].contains("holds 1 to 64 keys"), "{none}");
    }
    assert!(load(with(&format!("[{}]", format!("\"{KEY}\",").repeat(64)))).is_ok());
}

#[test]
fn what_is_not_built_is_refused_by_name_and_place() {
    for (addition, expected) in [
        ("[geo]\nasn = \"a.mmdb\"\n", "[geo] is not built yet"),
        ("[pages]\ndir = \"p\"\n", "[pages] is not built yet"),
        ("[fleet]\n", "[fleet] is not built yet"),
    ] {
        let found = refused(format!("{SMALLEST}\n{addition}"));
        assert_eq!(found.len(), 1, "{found:?}");
        let (place, message) = found[0].split_once(": ").unwrap();
        assert!(place == "19:1" || place == "19:2" || place == "19:3", "{place}");
        assert_eq!(message, expected);
    }
    for (from, to, expected) in [
        ("[admin]", "[admin]\nhttp = \"127.0.0.1:1\"", "5:8: `http` in [admin] is not built yet"),
        ("[admin]", "[admin]\ntoken_file = 3", "5:14: `token_file` in [admin] is not built yet"),
        (
            "http://127.0.0.1:9001",
            "https://a.example",
            "15:11: an origin over https is not built yet",
        ),
    ] {
        assert_eq!(refused(SMALLEST.replace(from, to)), [expected]);
    }
}

#[test]
fn each_wrong_value_is_refused_in_its_place() {
    for (from, to, expected) in [
        ("[\"127.0.0.1:8080\"]", "[]", "2:8: `http` holds 1 to 64 addresses"),
        ("127.0.0.1:8080", "localhost", "2:9: `localhost` is no address to listen on"),
        (
            "0.1:8080\"",
            "0.1:8080\", \"127.0.0.1:8080\"",
            "2:27: `127.0.0.1:8080` is listened on twice, first at line 2, column 9",
        ),
        ("\"state\"", "\"\"", "11:7: `dir` in [state] is no path"),
        ("\"state\"", "\"a\\u0000\"", "11:7: `dir` in [state] is no path"),
        ("dir = \"state\"", "", "10:1: `dir` is missing in [state]"),
        ("share = 1", "share = 0", "17:9: `share` is a whole number from 1 to 1000"),
        ("share = 1", "share = -1", "17:9: `share` is a whole number from 1 to 1000"),
        (
            "share = 1",
            "share = 1.5",
            "17:9: wrong kind of value: floating point `1.5`, expected a whole number",
        ),
        ("member = \"alice\"", "member = \"\"", "16:10: `member` is empty"),
        ("[\"http://127.0.0.1:9001\"]", "[]", "15:10: `origin` is empty"),
        (
            "9001\"]",
            "9001\", \"http://b.example\", \"http://127.0.0.1:9001/\"]",
            "15:56: `http://127.0.0.1:9001/` is there twice, first at line 15, column 11",
        ),
        (
            "share = 1",
            "health = \"health\"",
            "17:10: `health` is a path of at most 256 plain characters",
        ),
        (
            "share = 1",
            "health = \"/a b\"",
            "17:10: `health` is a path of at most 256 plain characters",
        ),
        (
            "[\"alice.example\", \"*.alice.example\"]",
            "[]",
            "14:9: `hosts` is empty: no request would reach the site",
        ),
        (
            "*.alice",
            "a*.alice",
            "14:27: `a*.alice.example`: `*` is valid only as the whole first label, as in `*.example.org`",
        ),
        (
            "*.alice.example",
            "ALICE.example",
            "14:27: the host `alice.example` is taken at line 14, column 10",
        ),
        (
            "[\"127.0.0.1:8080\"]",
            "8080",
            "2:8: wrong kind of value: integer `8080`, expected an array",
        ),
    ] {
        let text = SMALLEST.replace(from, to);
        assert_ne!(text, SMALLEST, "{from}");
        assert_eq!(refused(text), [expected]);
    }
}

#[test]
fn a_site_has_up_to_16_origins_and_a_path_that_says_whether_they_live() {
    let listed = |count: usize| {
        let all: Vec<_> =
            (0..count).map(|n| format!("\"http://127.0.0.1:{}\"", 9001 + n)).collect();
        SMALLEST.replace("\"http://127.0.0.1:9001\"", &all.join(", "))
    };
    let config = load(listed(16).replace("share = 1", "health = \"/up?x=1\"")).unwrap();
    let site = &config.sites[0];
    let ports: Vec<_> = site.origins.iter().map(|origin| origin.port).collect();
    assert_eq!(ports, (9001..9017).collect::<Vec<_>>());
    assert_eq!(site.health.as_deref(), Some("/up?x=1"));
    let found = refused(listed(17));
    assert!(found.len() == 1 && found[0].ends_with("more than 16 origins"), "{found:?}");
    for (bytes, fits) in [(256, true), (257, false)] {
        let path = format!("health = \"/{}\"", "x".repeat(bytes - 1));
        assert_eq!(load(SMALLEST.replace("share = 1", &path)).is_ok(), fits, "{bytes}");
    }
}

#[test]
fn origins_are_a_host_and_a_port() {
    for (origin, host, port) in [
        ("http://b.example", "b.example", 80),
        ("http://b.example:8080/", "b.example", 8080),
        ("http://[::1]:81", "::1", 81),
        ("http://[::1]", "::1", 80),
    ] {
        let config = load(SMALLEST.replace("http://127.0.0.1:9001", origin)).unwrap();
        assert_eq!(config.sites[0].origins, [Origin { host: host.into(), port }], "{origin}");
    }
    for origin in [
        "",
        "127.0.0.1:9001",
        "http://",
        "http://a/b",
        "http://u@a",
        "http://a:0",
        "http://a:+1",
        "http://a:65536",
        "http://[::1",
        "http://[a]",
        "http://*.a",
        "http://a:",
        "http://::1",
        "http://[::1]81",
    ] {
        let found = refused(SMALLEST.replace("http://127.0.0.1:9001", origin));
        assert!(found[0].starts_with("15:11: `"), "{origin}: {found:?}");
    }
}

#[test]
fn a_host_of_two_sites_is_refused_with_both_places() {
    let second =
        "[[site]]\nhosts = [\"bob.example\", \"Alice.example\"]\norigin = [\"http://b\"]\n";
    let found = refused(format!("{SMALLEST}{second}"));
    assert_eq!(found, ["19:25: the host `alice.example` is taken at line 14, column 10"]);
}

#[test]
fn an_exact_host_below_a_wildcard_of_another_site_is_no_overlap() {
    let second = "[[site]]\nhosts = [\"shop.alice.example\"]\norigin = [\"http://b\"]\n";
    assert_eq!(load(format!("{SMALLEST}{second}")).unwrap().sites.len(), 2);
}

#[test]
fn all_mistakes_are_told_at_once_and_what_follows_from_them_is_not() {
    let text = SMALLEST
        .replace("[listen]", "[lisen]")
        .replace("dir = \"state\"", "dir = 5")
        .replace("share = 1", "share = 0")
        .replace("127.0.0.1:9001", "a/b");
    let found = refused(text);
    assert_eq!(
        found,
        [
            "1:2: unknown key `lisen`",
            "11:7: wrong kind of value: integer `5`, expected a string",
            "15:11: `http://a/b` is no origin: it is a host and a port, nothing before or behind",
            "17:9: `share` is a whole number from 1 to 1000",
        ]
    );
}

#[test]
fn an_empty_file_is_told_what_it_lacks() {
    let found = refused("");
    assert_eq!(found.len(), 4, "{found:?}");
    assert!(found.iter().all(|f| f.starts_with("1:1: ") && f.ends_with("is missing")));
}

#[test]
fn what_is_no_toml_is_placed() {
    assert!(refused("[listen\nhttp = 1")[0].starts_with("1:8: "));
    assert!(refused("a = 1\na = 2")[0].starts_with("2:1: duplicate key"));
    assert_eq!(refused(b"# \xc3\xa9\n# \xff"), ["2:3: a byte here is not UTF-8"]);
}

#[test]
fn columns_count_characters() {
    let text = SMALLEST.replace("member = \"alice\"", "\"m\u{e9}\u{e9}\" = 1");
    assert_eq!(refused(&text), ["16:1: unknown key `m\u{e9}\u{e9}`"]);
    let text = SMALLEST.replace("\"alice.example\", ", "\"\u{e9}\u{e9}.example\", \"??\", ");
    assert!(refused(&text)[0].starts_with("14:24: "), "{:?}", refused(&text));
}

#[test]
fn more_mistakes_than_are_shown_are_counted() {
    let many: String = (0..30).map(|n| format!("k{n} = 1\n")).collect();
    let error = load(format!("{many}{SMALLEST}")).unwrap_err();
    assert_eq!((error.faults.len(), error.left_off), (FAULTS_MAX, 10));
    assert!(error.to_string().ends_with("and 10 more"));
    let endless: String = (0..3_000).map(|n| format!("k{n} = 1\n")).collect();
    assert_eq!(load(endless).unwrap_err().faults.len(), FAULTS_MAX);
}

#[test]
fn the_file_has_a_largest_size() {
    let mut text = SMALLEST.to_owned();
    let room = usize::try_from(CONFIG_BYTES_MAX).unwrap() - text.len();
    text.push_str(&"#".repeat(room));
    load(&text).unwrap();
    text.push('#');
    assert_eq!(refused(text), ["1:1: cannot be read: it is larger than 1048576 bytes"]);
}

#[test]
fn a_file_that_is_not_there_says_so() {
    let error = load_config(Path::new("/nowhere/seawall.toml")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "/nowhere/seawall.toml:1:1: cannot be read: there is no such file"
    );
}

#[test]
fn each_limit_is_taken_at_its_ends_and_refused_past_them() {
    for (name, least, most) in RANGES {
        for number in [least, most] {
            load(format!("{SMALLEST}[limits]\n{name} = {number}\n")).unwrap();
        }
        for number in [i128::from(*least) - 1, i128::from(*most) + 1] {
            let found = refused(format!("{SMALLEST}[limits]\n{name} = {number}\n"));
            let expected =
                format!("19:{}: `{name}` is a whole number from {least} to {most}", name.len() + 4);
            assert_eq!(found, [expected]);
        }
    }
}

#[test]
fn units_are_taken_in_their_ranges() {
    let config = load(format!("{SMALLEST}[client]\nv4_net = 32\nv6_client = 64\nv6_net = 48\n"));
    let units = config.unwrap().units;
    assert_eq!((units.v4_net_bits, units.v6_client_bits, units.v6_net_bits), (32, 64, 48));
    for line in ["v4_net = 33", "v4_net = 0", "v6_client = 129", "v6_net = -1"] {
        assert!(refused(format!("{SMALLEST}[client]\n{line}"))[0].starts_with("19:"), "{line}");
    }
}

#[test]
fn the_log_level_is_one_of_six() {
    let config = load(format!("{SMALLEST}[log]\nlevel = \"debug\"\n")).unwrap();
    assert_eq!(config.log_level, log::LevelFilter::Debug);
    let found = refused(format!("{SMALLEST}[log]\nlevel = \"loud\"\n"));
    assert_eq!(found, ["19:9: `loud` is no log level"]);
}

#[test]
fn tls_is_read_whole_and_says_what_is_missing() {
    let https = |tls: &str| {
        let listen = SMALLEST.replacen("\n\n[admin]", "\nhttps = [\"127.0.0.1:8443\"]\n[admin]", 1);
        format!("{listen}\n{tls}\n")
    };
    let config = load(https("[[tls.certificate]]\ncert = \"c.pem\"\nkey = \"/k.pem\"")).unwrap();
    assert_eq!(config.listen_tls, ["127.0.0.1:8443".parse().unwrap()]);
    let CertificateSource::Files(files) = &config.certificates else { panic!("{config:?}") };
    assert!(files[0].cert.ends_with("c.pem") && files[0].key.is_absolute());
    let config = load(https("[tls]\nself_signed = true")).unwrap();
    assert_eq!(config.certificates, CertificateSource::SelfSigned);
    assert_eq!(load(SMALLEST).unwrap().certificates, CertificateSource::None);
    for (text, expected) in [
        (https(""), "[tls] is missing"),
        (https("[tls]"), "[tls] has no certificate"),
        (https("[tls]\nself_signed = false"), "[tls] has no certificate"),
        (https("[[tls.certificate]]\ncert = \"c\""), "`key` is missing in [tls.certificate]"),
        (https("[[tls.certificate]]\ncert = \"\"\nkey = \"k\""), "is no path"),
        (
            https("[tls]\nself_signed = true\n[[tls.certificate]]\ncert = \"c\"\nkey = \"k\""),
            "exclude each other",
        ),
        (format!("{SMALLEST}\n[tls]\nself_signed = true\n"), "nobody is shown these"),
        (https("[tls]\nself_signed = true").replace("8443", "8080"), "is listened on twice"),
        (
            https("[tls]\nself_signed = true").replace("[\"127.0.0.1:8443\"]", "[]"),
            "`https` holds 1 to 64 addresses",
        ),
    ] {
        let found = refused(&text);
        assert!(found.len() == 1 && found[0].contains(expected), "{expected}: {found:?}");
    }
}

#[test]
fn time_outs_of_sites_and_their_routes_are_read() {
    let with = |lines: &str| format!("{SMALLEST}\n{lines}\n");
    let text = "response_header_timeout = \"20s\"\n\
                [[site.route]]\npath_prefix = \"/poll/\"\nread_timeout = \"5m\"";
    let site = load(with(text)).unwrap().sites.remove(0);
    let read: Vec<_> =
        site.timeouts.iter().map(|of| (&*of.path_prefix, of.response_header, of.read)).collect();
    let seconds = |n| Some(std::time::Duration::from_secs(n));
    assert_eq!(read, [("", seconds(20), None), ("/poll/", None, seconds(300))]);
    let route = |lines: &str| refused(with(&format!("[[site.route]]\n{lines}")));
    for (lines, said) in [
        ("path_prefix = \"/a\"\nread_timeout = \"0s\"", "`read_timeout` is a time from 10ms to 1h"),
        ("path_prefix = \"/a\"\nread_timeout = \"2h\"", "`read_timeout` is a time from 10ms to 1h"),
        (
            "path_prefix = \"/a\"\nread_timeout = \"soon\"",
            "`read_timeout` is a time from 10ms to 1h",
        ),
        ("path_prefix = \"a\"\nread_timeout = \"1s\"", "`path_prefix` is the beginning of a path"),
        (
            "path_prefix = \"/a?b\"\nread_timeout = \"1s\"",
            "`path_prefix` is the beginning of a path",
        ),
        ("read_timeout = \"1s\"", "`path_prefix` is missing"),
        ("path_prefix = \"/a\"", "this [[site.route]] changes nothing"),
    ] {
        let found = route(lines);
        assert!(found.len() == 1 && found[0].contains(said), "{lines}: {found:?}");
    }
    let twice = "path_prefix = \"/a\"\nread_timeout = \"1s\"\n";
    assert!(route(&format!("{twice}[[site.route]]\n{twice}"))[0].contains("is there twice"));
    let many: String = (0..33)
        .map(|n| format!("[[site.route]]\npath_prefix = \"/{n}\"\nread_timeout = \"1s\"\n"))
        .collect();
    assert!(refused(with(&many))[0].contains("more than 32 routes"));
}

#[test]
fn scripts_are_extensions_without_a_dot() {
    let with = |list: &str| format!("{SMALLEST}\nscripts = {list}\n");
    let site = load(with("[\"php\", \"cgi\"]")).unwrap().sites.remove(0);
    assert_eq!(site.scripts, ["php".into(), "cgi".into()]);
    for list in ["[\".php\"]", "[\"\"]", "[\"p/p\"]"] {
        assert!(refused(with(list))[0].contains("is no extension"), "{list}");
    }
    let many = format!("[{}]", "\"php\",".repeat(9));
    assert!(refused(with(&many))[0].contains("more than 8 extensions"));
}

#[test]
fn networks_that_many_share_are_read_and_are_somebodys() {
    let with = |list: &str| format!("{SMALLEST}\n[connections]\nexempt = {list}\n");
    let config = load(with("[\"192.0.2.7\", \"2001:db8::/48\"]")).unwrap();
    assert_eq!(config.exempt.len(), 2);
    assert!(refused(with("[\"0.0.0.0/0\"]"))[0].contains("wider than any network of one owner"));
    let many = format!("[{}]", "\"192.0.2.7\",".repeat(257));
    assert!(refused(with(&many))[0].contains("at most 256"));
}

#[test]
fn listed_proxies_have_an_idle_time() {
    let with = |line: &str| {
        format!(
            "{SMALLEST}\n[trusted_proxies]\nnets = [\"192.0.2.7\"]\nproxy_protocol = true\n{line}\n"
        )
    };
    let idle = |line: &str| load(with(line)).unwrap().trusted_proxies.idle;
    let two_minutes = std::time::Duration::from_secs(120);
    assert_eq!((idle(""), idle("idle_timeout = \"2m\"")), (None, Some(two_minutes)));
    let said = "`idle_timeout` is a time from 100ms to 1h";
    assert!(refused(with("idle_timeout = \"1ms\""))[0].contains(said));
}

#[test]
fn hosts_are_kept_as_dns_and_requests_have_them() {
    let with = |hosts: &str| SMALLEST.replace("\"alice.example\", \"*.alice.example\"", hosts);
    let config =
        load(with("\"m\u{fc}ller.example\", \"*.M\u{dc}LLER.example\", \"[2001:DB8:0::1]\""));
    let hosts = config.unwrap().sites.remove(0).hosts;
    let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
    let name = "xn--mller-kva.example";
    assert_eq!(hosts, [name.to_owned(), format!("*.{name}"), "[2001:db8::1]".to_owned()]);
    for (host, said) in [
        ("\"[2001:db8::g]\"", "an IPv6 address"),
        ("\"a\u{2028}b.example\"", "no name that DNS can have"),
    ] {
        assert!(refused(with(host))[0].contains(said), "{host}");
    }
}
