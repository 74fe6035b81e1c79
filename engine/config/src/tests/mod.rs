//! Every error has its place, tested with the smallest configuration.

use std::path::Path;

use super::*;

mod every_key;
mod reference;
mod wrong_settings;

const SMALLEST: &str = r#"[listen]
http = ["127.0.0.1:8080"]

[admin]
socket = "run/admin.sock"

[policy]
file = "policies/baseline.wall"

[state]
dir = "state"

[[site]]
hosts = ["alice.example", "*.alice.example"]
origins = ["http://127.0.0.1:9001"]
member = "alice"
weight = 1
"#;

fn load(text: impl AsRef<[u8]>) -> Result<Config, ConfigError> {
    parse(Path::new("/etc/seawall/seawall.toml"), text.as_ref())
}

/// Returns `line:column: message` of each diagnostic.
fn errors(text: impl AsRef<[u8]>) -> Vec<String> {
    let error = load(text).unwrap_err();
    error.diagnostics.iter().map(|f| format!("{}:{}: {}", f.line, f.column, f.message)).collect()
}

fn help(text: &str) -> Option<String> {
    load(text).unwrap_err().diagnostics.into_iter().next().unwrap().help
}

#[test]
fn the_smallest_configuration_is_read_and_its_paths_are_relative_to_it() {
    let config = load(SMALLEST).unwrap();
    let dir = Path::new("/etc/seawall");
    assert_eq!(config.listen, vec!["127.0.0.1:8080".parse().unwrap()]);
    assert_eq!(config.socket, dir.join("run/admin.sock"));
    assert_eq!(config.policy_file, dir.join("policies/baseline.wall"));
    assert_eq!(config.state_dir, dir.join("state"));
    let site = &config.sites[0];
    assert_eq!(&*site.name, "alice.example");
    assert_eq!(site.hosts.len(), 2);
    assert_eq!(site.origins, [Origin { host: "127.0.0.1".into(), port: 9001 }]);
    assert_eq!(site.health_check_path, None);
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
    let text = SMALLEST.replace("file =", "fil =");
    assert_eq!(errors(&text), ["8:1: unknown key `fil` in [policy]"]);
    assert_eq!(help(&text).unwrap(), "did you mean `file`?");
    let text = SMALLEST.replace("[listen]", "[listne]");
    assert_eq!(errors(&text), ["1:2: unknown section `listne`"]);
    assert_eq!(help(&text).unwrap(), "did you mean `listen`?");
    let text = SMALLEST.replace("weight", "part");
    let known = "known here: hosts, origins, health_check_path, member, weight, max_requests_per_origin, \
                 response_header_timeout, read_timeout, scripts, route";
    assert_eq!(help(&text).unwrap(), known);
}

#[test]
fn networks_that_are_never_banned_are_read() {
    let with = |text: &str| format!("{SMALLEST}\n[bans]\nexempt = {text}\n");
    let nets = load(with("[\"192.0.2.7\", \"2001:db8::/48\"]")).unwrap().ban_exempt;
    let shown: Vec<String> = nets.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["192.0.2.7/32", "2001:db8::/48"]);
    let found = errors(with("[\"192.0.2.7/24\", \"here\"]"));
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        found[0].contains("bits behind") && found[1].contains("neither an IP address"),
        "{found:?}"
    );
    let many = |n: usize| with(&format!("[{}]", "\"192.0.2.7\",".repeat(n)));
    assert!(load(many(1_000)).is_ok());
    assert!(errors(many(1_001))[0].contains("at most 1000"));
}

#[test]
fn trusted_proxies_are_read_and_each_mistake_is_placed() {
    let with = |lines: &str| format!("{SMALLEST}\n[trusted_proxies]\n{lines}\n");
    assert_eq!(load(SMALLEST).unwrap().trusted_proxies, TrustedProxies::default());
    let nets = "networks = [\"10.0.0.0/8\", \"2001:db8::1\"]";
    let read = |lines: &str| load(with(&format!("{nets}\n{lines}"))).unwrap().trusted_proxies;
    let found = read("proxy_protocol = true");
    assert_eq!((found.proxy_protocol, found.header, found.networks.len()), (true, None, 2));
    for (word, header) in [
        ("x-forwarded-for", ClientHeader::XForwardedFor),
        ("Forwarded", ClientHeader::Forwarded),
        ("X-Real-IP", ClientHeader::XRealIp),
    ] {
        let found = read(&format!("header = \"{word}\""));
        assert_eq!((found.proxy_protocol, found.header), (false, Some(header)));
    }
    for (lines, expected) in [
        (nets, "19:1: [trusted_proxies] does not say how the proxies name the client"),
        ("proxy_protocol = true", "19:1: `networks` is missing in [trusted_proxies]"),
        ("proxy_protocol = true\nnetworks = []", "21:12: `networks` must have 1 to 256 networks"),
        (
            "proxy_protocol = true\nnetworks = [\"10.1.0.0/8\"]",
            "21:13: `10.1.0.0/8` has bits behind its prefix length",
        ),
        (
            "proxy_protocol = true\nnetworks = [\"0.0.0.0/0\"]",
            "21:13: `0.0.0.0/0` is wider than any network of one owner",
        ),
        (
            "proxy_protocol = true\nnetworks = [\"::/15\"]",
            "21:13: `::/15` is wider than any network of one owner",
        ),
        (
            "proxy_protocol = true\nnetworks = [\"lb\"]",
            "21:13: `lb` is neither an IP address nor a network in CIDR notation",
        ),
        (
            &format!("{nets}\nheader = \"cf-connecting-ip\""),
            "21:10: `cf-connecting-ip` cannot name the client",
        ),
        (&format!("{nets}\nlist = 1"), "21:1: unknown key `list` in [trusted_proxies]"),
    ] {
        let found = errors(with(lines));
        assert_eq!(found.first().map(String::as_str), Some(expected), "{found:?}");
    }
    let many = |n: usize| {
        with(&format!("header = \"forwarded\"\nnetworks = [{}]", "\"192.0.2.7\",".repeat(n)))
    };
    assert!(load(many(256)).is_ok());
    assert!(errors(many(257))[0].contains("1 to 256"));
}

#[test]
fn keys_are_read_and_what_is_none_is_placed() {
    const KEY: &str = "RWRDJtN4tIDwSSb67Yp5VuUx+6y5vPbQ+kYdV3wurGdro5Dq/G6wPD+z";
    let with = |keys: &str| format!("{SMALLEST}\n[rules]\ntrusted_keys = {keys}\n");
    assert!(load(SMALLEST).unwrap().trusted_keys.is_empty());
    let keys = load(with(&format!("[\"{KEY}\"]"))).unwrap().trusted_keys;
    assert_eq!(keys.iter().map(|key| &**key).collect::<Vec<_>>(), [KEY]);
    let found = errors(with(&format!("[\"{KEY}\", \"RWx\"]")));
    assert!(found.len() == 1 && found[0].ends_with("is not a minisign public key"), "{found:?}");
    for none in ["[]", &format!("[{}]", format!("\"{KEY}\",").repeat(65))] {
        assert!(errors(with(none))[0].contains("must have 1 to 64 keys"), "{none}");
    }
    assert!(load(with(&format!("[{}]", format!("\"{KEY}\",").repeat(64)))).is_ok());
}

#[test]
fn what_is_not_built_is_refused_by_name_and_place() {
    for (addition, expected) in [
        ("[geo]\nasn = \"a.mmdb\"\n", "[geo] is not supported yet"),
        ("[pages]\ndir = \"p\"\n", "[pages] is not supported yet"),
        ("[fleet]\n", "[fleet] is not supported yet"),
    ] {
        let found = errors(format!("{SMALLEST}\n{addition}"));
        assert_eq!(found.len(), 1, "{found:?}");
        let (place, message) = found[0].split_once(": ").unwrap();
        assert!(place == "19:1" || place == "19:2" || place == "19:3", "{place}");
        assert_eq!(message, expected);
    }
    for (from, to, expected) in [
        (
            "[admin]",
            "[admin]\nhttp = \"127.0.0.1:1\"",
            "5:1: `http` in [admin] is not supported yet",
        ),
        ("[admin]", "[admin]\ntoken_file = 3", "5:1: `token_file` in [admin] is not supported yet"),
        (
            "http://127.0.0.1:9001",
            "https://a.example",
            "15:12: an origin over https is not supported yet",
        ),
    ] {
        assert_eq!(errors(SMALLEST.replace(from, to)), [expected]);
    }
}

#[test]
fn each_wrong_value_is_refused_in_its_place() {
    for (from, to, expected) in [
        ("[\"127.0.0.1:8080\"]", "[]", "2:8: `http` must have 1 to 64 addresses"),
        ("127.0.0.1:8080", "localhost", "2:9: `localhost` is not an address and a port"),
        ("0.1:8080\"", "0.1:8080\", \"127.0.0.1:8080\"", "2:27: `127.0.0.1:8080` is there twice"),
        ("\"state\"", "\"\"", "11:7: `dir` must be a path"),
        ("\"state\"", "\"a\\u0000\"", "11:7: `dir` must be a path"),
        ("dir = \"state\"", "", "10:1: `dir` is missing in [state]"),
        ("weight = 1", "weight = 0", "17:10: `weight` must be from 1 to 1_000"),
        ("weight = 1", "weight = -1", "17:10: `weight` must be from 1 to 1_000"),
        (
            "weight = 1",
            "weight = 1.5",
            "17:10: `weight` must be a whole number, not a number with a fraction",
        ),
        ("member = \"alice\"", "member = \"\"", "16:10: `member` is empty"),
        ("[\"http://127.0.0.1:9001\"]", "[]", "15:11: `origins` is empty"),
        (
            "9001\"]",
            "9001\", \"http://b.example\", \"http://127.0.0.1:9001/\"]",
            "15:57: `http://127.0.0.1:9001/` is there twice",
        ),
        (
            "weight = 1",
            "health_check_path = \"health\"",
            "17:21: `health_check_path` must be a path of at most 256 plain characters",
        ),
        (
            "weight = 1",
            "health_check_path = \"/a b\"",
            "17:21: `health_check_path` must be a path of at most 256 plain characters",
        ),
        (
            "[\"alice.example\", \"*.alice.example\"]",
            "[]",
            "14:9: `hosts` is empty: no request reaches the site",
        ),
        (
            "*.alice",
            "a*.alice",
            "14:27: `a*.alice.example`: `*` is valid only as the whole first label, as in `*.example.org`",
        ),
        ("*.alice.example", "ALICE.example", "14:27: the host `alice.example` is there twice"),
        (
            "[\"127.0.0.1:8080\"]",
            "8080",
            "2:8: `http` must be a list of strings, not a whole number",
        ),
    ] {
        let text = SMALLEST.replace(from, to);
        assert_ne!(text, SMALLEST, "{from}");
        assert_eq!(errors(text), [expected]);
    }
}

#[test]
fn a_site_has_up_to_16_origins_and_a_path_that_says_whether_they_live() {
    let listed = |count: usize| {
        let all: Vec<_> =
            (0..count).map(|n| format!("\"http://127.0.0.1:{}\"", 9001 + n)).collect();
        SMALLEST.replace("\"http://127.0.0.1:9001\"", &all.join(", "))
    };
    let config = load(listed(16).replace("weight = 1", "health_check_path = \"/up?x=1\"")).unwrap();
    let site = &config.sites[0];
    let ports: Vec<_> = site.origins.iter().map(|origin| origin.port).collect();
    assert_eq!(ports, (9001..9017).collect::<Vec<_>>());
    assert_eq!(site.health_check_path.as_deref(), Some("/up?x=1"));
    let found = errors(listed(17));
    assert!(found.len() == 1 && found[0].ends_with("more than 16 origins"), "{found:?}");
    for (bytes, fits) in [(256, true), (257, false)] {
        let path = format!("health_check_path = \"/{}\"", "x".repeat(bytes - 1));
        assert_eq!(load(SMALLEST.replace("weight = 1", &path)).is_ok(), fits, "{bytes}");
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
        let found = errors(SMALLEST.replace("http://127.0.0.1:9001", origin));
        assert!(found[0].starts_with("15:12: `"), "{origin}: {found:?}");
    }
}

#[test]
fn a_host_of_two_sites_is_refused_with_both_places() {
    let second =
        "[[site]]\nhosts = [\"bob.example\", \"Alice.example\"]\norigins = [\"http://b\"]\n";
    let found = errors(format!("{SMALLEST}{second}"));
    assert_eq!(found, ["19:25: the host `alice.example` is there twice"]);
}

#[test]
fn an_exact_host_below_a_wildcard_of_another_site_is_no_overlap() {
    let second = "[[site]]\nhosts = [\"shop.alice.example\"]\norigins = [\"http://b\"]\n";
    assert_eq!(load(format!("{SMALLEST}{second}")).unwrap().sites.len(), 2);
}

#[test]
fn all_mistakes_are_told_at_once_and_what_follows_from_them_is_not() {
    let text = SMALLEST
        .replace("[listen]", "[lisen]")
        .replace("dir = \"state\"", "dir = 5")
        .replace("weight = 1", "weight = 0")
        .replace("127.0.0.1:9001", "a/b");
    let found = errors(text);
    assert_eq!(
        found,
        [
            "1:2: unknown section `lisen`",
            "11:7: `dir` must be a string, not a whole number",
            "15:12: `http://a/b` is not an origin: it must be a host and a port only",
            "17:10: `weight` must be from 1 to 1_000",
        ]
    );
}

#[test]
fn an_empty_file_is_told_what_it_lacks() {
    let found = errors("");
    assert_eq!(found.len(), 4, "{found:?}");
    assert!(found.iter().all(|f| f.starts_with("1:1: ") && f.ends_with("is missing")));
}

#[test]
fn what_is_no_toml_is_placed() {
    assert!(errors("[listen\nhttp = 1")[0].starts_with("1:8: "));
    assert!(errors("a = 1\na = 2")[0].starts_with("2:1: the key `a` is there twice"));
    assert_eq!(errors(b"# \xc3\xa9\n# \xff"), ["2:3: a byte here is not UTF-8"]);
}

#[test]
fn columns_count_characters() {
    let text = SMALLEST.replace("member = \"alice\"", "\"m\u{e9}\u{e9}\" = 1");
    assert_eq!(errors(&text), ["16:1: unknown key `m\u{e9}\u{e9}` in [[site]]"]);
    let text = SMALLEST.replace("\"alice.example\", ", "\"\u{e9}\u{e9}.example\", \"??\", ");
    assert!(errors(&text)[0].starts_with("14:24: "), "{:?}", errors(&text));
}

#[test]
fn more_mistakes_than_are_shown_are_counted() {
    let many: String = (0..30).map(|n| format!("k{n} = 1\n")).collect();
    let error = load(format!("{many}{SMALLEST}")).unwrap_err();
    assert_eq!((error.diagnostics.len(), error.omitted), (CONFIG_DIAGNOSTICS_MAX, 10));
    assert!(error.to_string().ends_with("and 10 more"));
    let endless: String = (0..3_000).map(|n| format!("k{n} = 1\n")).collect();
    assert_eq!(load(endless).unwrap_err().diagnostics.len(), CONFIG_DIAGNOSTICS_MAX);
}

#[test]
fn the_log_level_is_one_of_six() {
    let config = load(format!("{SMALLEST}[log]\nlevel = \"debug\"\n")).unwrap();
    assert_eq!(config.log_level, log::LevelFilter::Debug);
    let found = errors(format!("{SMALLEST}[log]\nlevel = \"loud\"\n"));
    assert_eq!(found, ["19:9: `loud` is not a log level"]);
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
        (https(""), "but [tls] is missing"),
        (https("[tls]"), "[tls] has no certificate"),
        (https("[tls]\nself_signed = false"), "[tls] has no certificate"),
        (https("[[tls.certificate]]\ncert = \"c\""), "`key` is missing in [[tls.certificate]]"),
        (https("[[tls.certificate]]\ncert = \"\"\nkey = \"k\""), "must be a path"),
        (
            https("[tls]\nself_signed = true\n[[tls.certificate]]\ncert = \"c\"\nkey = \"k\""),
            "exclude each other",
        ),
        (format!("{SMALLEST}\n[tls]\nself_signed = true\n"), "but [listen] has no `https` address"),
        (https("[tls]\nself_signed = true").replace("8443", "8080"), "is there twice"),
        (
            https("[tls]\nself_signed = true").replace("[\"127.0.0.1:8443\"]", "[]"),
            "`https` must have 1 to 64 addresses",
        ),
    ] {
        let found = errors(&text);
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
    let route = |lines: &str| errors(with(&format!("[[site.route]]\n{lines}")));
    for (lines, said) in [
        ("path_prefix = \"/a\"\nread_timeout = \"0s\"", "`read_timeout` must be from 10ms to 1h"),
        ("path_prefix = \"/a\"\nread_timeout = \"2h\"", "`read_timeout` must be from 10ms to 1h"),
        ("path_prefix = \"/a\"\nread_timeout = \"soon\"", "`soon` is not a duration"),
        (
            "path_prefix = \"a\"\nread_timeout = \"1s\"",
            "`path_prefix` must be the beginning of a path",
        ),
        (
            "path_prefix = \"/a?b\"\nread_timeout = \"1s\"",
            "`path_prefix` must be the beginning of a path",
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
    assert!(errors(with(&many))[0].contains("more than 32 routes"));
}

#[test]
fn scripts_are_extensions_without_a_dot() {
    let with = |list: &str| format!("{SMALLEST}\nscripts = {list}\n");
    let site = load(with("[\"php\", \"cgi\"]")).unwrap().sites.remove(0);
    assert_eq!(site.scripts, ["php".into(), "cgi".into()]);
    for list in ["[\".php\"]", "[\"\"]", "[\"p/p\"]"] {
        assert!(errors(with(list))[0].contains("is not an extension"), "{list}");
    }
    let many = format!("[{}]", "\"php\",".repeat(9));
    assert!(errors(with(&many))[0].contains("more than 8 extensions"));
}

#[test]
fn networks_that_many_share_are_read_and_are_somebodys() {
    let with = |list: &str| format!("{SMALLEST}\n[connections]\nexempt = {list}\n");
    let config = load(with("[\"192.0.2.7\", \"2001:db8::/48\"]")).unwrap();
    assert_eq!(config.exempt.len(), 2);
    assert!(errors(with("[\"0.0.0.0/0\"]"))[0].contains("wider than any network of one owner"));
    let many = format!("[{}]", "\"192.0.2.7\",".repeat(257));
    assert!(errors(with(&many))[0].contains("at most 256"));
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
        ("\"a\u{2028}b.example\"", "cannot be a name in DNS"),
    ] {
        assert!(errors(with(host))[0].contains(said), "{host}");
    }
}

/// The cost of a file is bounded, whatever the number of its errors.
#[test]
fn a_file_full_of_errors_is_read_to_its_end() {
    let most = usize::try_from(CONFIG_BYTES_MAX).unwrap();
    for line in ["a{} = 1\n", "[a{}]\n", "[timeouts.a{}]\n", "[[site]]\nx = {}\n", "a = {}\n"] {
        let mut text = String::new();
        for n in 0.. {
            let next = line.replace("{}", &n.to_string());
            if text.len() + next.len() > most {
                break;
            }
            text.push_str(&next);
        }
        let error = load(&text).unwrap_err();
        assert_eq!(error.diagnostics.len(), CONFIG_DIAGNOSTICS_MAX, "{line}");
        assert!(error.omitted >= 80, "{line}: {}", error.omitted);
    }
}

#[test]
fn no_beginning_of_a_file_ends_the_program() {
    let text = format!("{SMALLEST}[limits]\nidle_ms = 5\n[tls]\nself_signed = \"\u{e9}\"\n");
    for end in 0..text.len() {
        drop(load(&text.as_bytes()[..end]));
    }
}
