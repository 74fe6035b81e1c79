//! Parsed requests and their explanations.

use clap::Parser;

use super::*;
use crate::cli::{Cli, Command};

fn field<'a>(asked: &'a ParsedRequest, name: &str) -> Option<&'a str> {
    let found = asked.headers.iter().find(|(known, _)| known == name);
    found.map(|(_, value)| std::str::from_utf8(value).unwrap())
}

#[test]
fn urls_come_apart() {
    let asked = ParsedRequest::new("GET", "HTTPS://u:p@a.example:8443/x?y=1#z").unwrap();
    assert!(asked.encrypted);
    assert_eq!((asked.authority.as_str(), asked.target.as_str()), ("a.example:8443", "/x?y=1"));
    assert_eq!(ParsedRequest::new("GET", "a.example?q").unwrap().target, "/?q");
    assert_eq!(ParsedRequest::new("GET", "a.example").unwrap().target, "/");
    for (method, url) in [("GET", "ftp://a/"), ("GET", "http:///x"), ("G T", "a"), ("", "a")] {
        assert!(ParsedRequest::new(method, url).is_err(), "{method} {url}");
    }
}

#[test]
fn a_head_is_read_as_a_server_reads_it() {
    let asked =
        raw_request::read(b"POST /a?b HTTP/1.1\r\nHost: x.example\r\nX-A:  1 \r\n\r\nbody: no");
    let asked = asked.unwrap();
    assert_eq!((asked.method.as_str(), asked.authority.as_str()), ("POST", "x.example"));
    assert_eq!(asked.target, "/a?b");
    assert_eq!(asked.headers, [("x-a".to_owned(), b"1".to_vec())]);
    let lone = raw_request::read(b"GET http://y.example/ HTTP/1.1\nHost: x\n").unwrap();
    assert_eq!(lone.authority, "y.example");
    for (bytes, why) in [
        (&b""[..], "line 1:"),
        (b"GET /", "line 1:"),
        (b"GET  / HTTP/1.1\n", "line 1:"),
        (b"GET / HTTP/2\n", "line 1: the version"),
        (b"GET / HTTP/1.1\n\n", "has 0 Host headers"),
        (b"GET / HTTP/1.1\nHost: a\nHost: b\n", "has 2 Host headers"),
        (b"GET / HTTP/1.1\nHost: a\nfolded\n", "line 3:"),
        (b"GET / HTTP/1.1\nHost : a\n", "line 2:"),
        (b"\xff / HTTP/1.1\n", "line 1:"),
    ] {
        let said = raw_request::read(bytes).unwrap_err();
        assert!(said.contains(why), "{said}");
    }
}

#[test]
fn curl_commands_are_understood() {
    let asked = curl::read(
        "curl 'https://a.example/login?x=1' -XPUT \\\n -H 'X-A: b c' -H \"Host: b.example\" \
         -A agent -b a=1 --data-raw 'p=q' -d r=s -k --compressed",
    )
    .unwrap();
    assert_eq!((asked.method.as_str(), asked.authority.as_str()), ("PUT", "b.example"));
    assert!(asked.encrypted);
    assert_eq!(field(&asked, "x-a"), Some("b c"));
    assert_eq!(field(&asked, "user-agent"), Some("agent"));
    assert_eq!(field(&asked, "cookie"), Some("a=1"));
    assert_eq!(field(&asked, "content-length"), Some("7"));
    assert_eq!(field(&asked, "accept"), Some("*/*"));
}

#[test]
fn curl_chooses_the_method_and_its_own_fields() {
    let method = |command: &str| curl::read(command).unwrap().method;
    assert_eq!(method("curl a.example"), "GET");
    assert_eq!(method("curl -d x a.example"), "POST");
    assert_eq!(method("curl -skI a.example"), "HEAD");
    assert_eq!(method("curl -skXPURGE a.example"), "PURGE");
    let bare = curl::read("curl -H 'Accept:' -H 'X-Empty;' a.example").unwrap();
    assert_eq!((field(&bare, "accept"), field(&bare, "x-empty")), (None, Some("")));
    let dollar = curl::read(r"curl -H $'x: it\'s \u0021' a.example").unwrap();
    assert_eq!(field(&dollar, "x"), Some("it's !"));
}

#[test]
fn what_curl_says_and_we_do_not_know_is_named() {
    for (command, named) in [
        ("wget a", "`curl`"),
        ("curl", "has no URL"),
        ("curl a b", "only one URL"),
        ("curl --proxy x a", "`--proxy`"),
        ("curl -sx y a", "`-x`"),
        ("curl a -H", "`-H` needs a value"),
        ("curl -H nonsense a", "nonsense"),
        ("curl -b jar.txt a", "cookies from a file"),
        ("curl 'a", "not closed"),
        (r"curl $'\q' a", "\\q"),
    ] {
        let said = curl::read(command).unwrap_err();
        assert!(said.contains(named), "{command}: {said}");
    }
}

const POLICY: &str = r#"policy 1
list bad_nets: cidr = { 192.0.2.128/25 }
level attack { enter when cpu.load > 90% leave after 10m }
floor {
  rule drop-list { when client.ip in @bad_nets then drop }
  limit flood    { per client to 5/10s then block 429 }
}
defaults {
  rule tool { when method == POST and not (path == "/ok") then tag "tool", score += 50 }
  rule last { when tagged("tool") then block 418 }
  rule never { when path == "/never" then drop }
}
"#;

fn typed(args: &[&str]) -> Explain {
    match Cli::try_parse_from(["seawall", "explain"].iter().chain(args)).unwrap().command {
        Command::Explain(explain) => *explain,
        other => panic!("{other:?}"),
    }
}

fn explained(args: &[&str]) -> Explanation {
    explained_by(POLICY, args)
}

fn explained_by(text: &str, args: &[&str]) -> Explanation {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.wall");
    std::fs::write(&file, text).unwrap();
    let request = typed(args).request().unwrap();
    let loader =
        policy_loader::loader(&file, &policy_loader::PolicyHost::default(), clock()).unwrap();
    let built = loader.build(&loader.gather_settled(), Purpose::Check, None);
    built.rules.unwrap().explain(&request, seawall_model::Tick::TEST_START).unwrap()
}

#[test]
fn people_are_told_the_verdict_and_every_rule() {
    let told = explained(&["p", "POST", "http://x.example/a", "--from", "203.0.113.7"]);
    assert_eq!(
        lines(&told),
        [
            "block 418 by defaults.last",
            "",
            "floor.drop-list  no      client.ip in @bad_nets: 203.0.113.7 is not in it",
            "floor.flood      within  the limit is not exceeded",
            "defaults.tool    yes     method == POST: it is POST",
            "                         path == \"/ok\": it is \"/a\" (false)",
            "                         does tag \"tool\", score += 50; score 50",
            "defaults.last    yes     tagged(\"tool\"): it is true",
            "1 rule not reached",
            "tags: tool",
            "counters and bans are empty in this evaluation",
        ]
    );
}

#[test]
fn tools_are_told_the_same() {
    let json = as_json(&explained(&["p", "--curl", "curl -d x http://x.example/ok"]));
    assert_eq!((&json["verdict"], &json["by"]), (&json!("allow"), &json!("unopposed")));
    assert_eq!(json["rules"][2]["outcome"], "no");
    let test = json!({ "text": "path == \"/ok\"", "holds": true, "value": "it is \"/ok\"" });
    assert_eq!(json["rules"][2]["tests"][1], test);
    assert_eq!(json["not_reached"], 0);
}

#[test]
fn the_command_explains_and_says_what_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let (good, bad) = (dir.path().join("a.wall"), dir.path().join("b.wall"));
    std::fs::write(&good, POLICY).unwrap();
    std::fs::write(&bad, "policy 1\nfloor { rule x { when pth == \"a\" then drop } }").unwrap();
    let run = |file: &Path, rest: &[&str]| {
        let file = file.to_str().unwrap();
        typed(&[&[file], rest].concat()).run()
    };
    assert_eq!(run(&good, &["GET", "http://x.example/", "-H", "a: b"]), ExitStatus::Success);
    assert_eq!(run(&good, &["GET", "x.example", "--json"]), ExitStatus::Success);
    assert_eq!(run(&good, &["GET", "x.example", "--level", "attack"]), ExitStatus::Success);
    assert_eq!(run(&good, &["GET", "x.example", "--level", "panic"]), ExitStatus::Failure);
    assert_eq!(run(&good, &["GET", "x.example", "-H", "nonsense"]), ExitStatus::Failure);
    assert_eq!(run(&good, &["--curl", "curl --proxy p a"]), ExitStatus::Failure);
    assert_eq!(run(&good, &["--request", "/nonexistent/file"]), ExitStatus::Failure);
    assert_eq!(run(&bad, &["GET", "x.example"]), ExitStatus::Failure);
}

#[test]
fn a_request_file_has_a_limit() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("r.http");
    let most = usize::try_from(REQUEST_BYTES_MAX).unwrap();
    std::fs::write(&file, vec![b'a'; most]).unwrap();
    assert_eq!(bytes(&file).map(|all| all.len()), Ok(most));
    std::fs::write(&file, vec![b'a'; most + 1]).unwrap();
    assert!(bytes(&file).unwrap_err().contains("longer than"));
}

#[test]
fn one_way_to_give_a_request_at_a_time() {
    for args in [
        &["seawall", "explain", "p"][..],
        &["seawall", "explain", "p", "GET"],
        &["seawall", "explain", "p", "GET", "u", "--curl", "c"],
        &["seawall", "explain", "p", "--request", "f", "--curl", "c"],
    ] {
        assert_eq!(Cli::try_parse_from(args).unwrap_err().exit_code(), 2, "{args:?}");
    }
}

const KNOWING: &str = r#"policy 1
defaults {
  rule net     { when client.asn == AS64500 then tag "net" }
  rule country { when client.country == DE then tag "country" }
  rule tls     { when conn.ja4 == "t13d" then tag "tls" }
  rule proto   { when conn.proto == h2 then tag "proto" }
  rule pow     { when pass.kind == pow and pass.age >= 90s then tag "pow" }
}
"#;

fn tags(flags: &[&str]) -> Vec<String> {
    let told = explained_by(KNOWING, &[&["p", "GET", "http://x.example/"], flags].concat());
    told.tags.iter().map(ToString::to_string).collect()
}

#[test]
fn what_the_text_of_a_request_does_not_say_can_be_given() {
    assert!(tags(&[]).is_empty());
    for (flags, tag) in [
        (&["--asn", "64500"][..], "net"),
        (&["--asn", "AS64500"], "net"),
        (&["--country", "de"], "country"),
        (&["--ja4", "t13d"], "tls"),
        (&["--h2"], "proto"),
        (&["--pass", "pow:1m30s"], "pow"),
    ] {
        assert_eq!(tags(flags), [tag], "{flags:?}");
    }
    for other in [["--asn", "64501"], ["--country", "FR"], ["--pass", "pow"], ["--pass", "page:2m"]]
    {
        assert!(tags(&other).is_empty(), "{other:?}");
    }
}

#[test]
fn what_is_wrong_with_a_flag_is_said() {
    for (flag, value, says) in [
        ("--asn", "DE", "not an AS number"),
        ("--asn", "4294967296", "not an AS number"),
        ("--asn", "+1", "not an AS number"),
        ("--country", "XQ", "not a country code"),
        ("--country", "DEU", "not a country code"),
        ("--ja4", "", "not a fingerprint"),
        ("--pass", "captcha", "use cookie, pow or page"),
        ("--pass", "page:", "not a duration"),
        ("--pass", "page:soon", "not a duration"),
    ] {
        let said = typed(&["p", "GET", "http://x.example/", flag, value]).request().unwrap_err();
        assert!(said.contains(says), "{flag} {value}: {said}");
    }
}
