//! Tests of list files: the elements in force after an error.

use seawall_model::{Tick, Verdict};
use seawall_state::{Seed, State};

use super::{assemble_all, get};
use crate::{CachedList, MemoryStore, Purpose, RuleSet, Severity};

#[test]
fn a_list_file_keeps_its_last_good_copy() {
    let root = "policy 1\nlist bad: ip = file \"bad.txt\" max 2 on_error keep\n\
                floor { rule a { when client.ip in @bad then drop } }";
    let store =
        MemoryStore::default().with("root.wall", root).with("bad.txt", "192.0.2.7\n# why\nx\n");
    let first = assemble_all(&store, Purpose::Run, None);
    assert_eq!((first.diagnostics[0].code, first.diagnostics[0].line), ("S004", 3));
    let first = first.rules.unwrap();
    let verdict = |rules: &RuleSet| {
        let state = State::new(Seed([1; 16]), rules.counter_specs());
        rules.decide(&get("192.0.2.7", "x", "/"), &state, Tick(1)).verdict
    };
    assert_eq!(verdict(&first), Verdict::Drop);

    let long = store.clone().with("bad.txt", "192.0.2.1\n192.0.2.2\n192.0.2.3\n");
    let second = assemble_all(&long, Purpose::Run, Some(&first));
    assert_eq!(
        (second.diagnostics[0].code, second.diagnostics[0].severity),
        ("S005", Severity::Warning)
    );
    assert_eq!(verdict(&second.rules.unwrap()), Verdict::Drop);

    let never = assemble_all(&long, Purpose::Run, None);
    assert!(never.rules.is_none(), "a list that was never loaded is an error");
    // At the path, which has to change.
    assert_eq!((never.diagnostics[0].line, never.diagnostics[0].column), (2, 21));
}

#[test]
fn a_list_that_fails_at_start_is_taken_from_the_kept_copy() {
    let root = |on_error: &str| {
        format!(
            "policy 1\nlist bad: ip = file \"bad.txt\" max 2 on_error {on_error}\n\
             floor {{ rule a {{ when client.ip in @bad then drop }} }}"
        )
    };
    let kept = |text: &str| Ok(CachedList { bytes: text.as_bytes().into(), age_ms: 7_200_000 });
    let start = |on_error: &str, file: Option<&str>, kept| {
        let store = MemoryStore::default().with("root.wall", root(on_error)).keeping("bad", kept);
        let store = file.map_or(store.clone(), |file| store.with("bad.txt", file));
        assemble_all(&store, Purpose::Run, None)
    };
    let missing_long_and_html = [None, Some("192.0.2.1\n192.0.2.2\n192.0.2.3"), Some("<html>\n")];
    for (file, code) in missing_long_and_html.into_iter().zip(["S001", "S005", "S004"]) {
        let made = start("keep", file, kept("192.0.2.7\nx"));
        let told = &made.diagnostics[0];
        assert_eq!((told.code, told.severity, told.column), (code, Severity::Warning, 21));
        let help = told.help.as_deref().unwrap_or_default();
        assert!(help.starts_with("the last good copy is in force, 2 hours old"), "{help}");
        let rules = made.rules.unwrap();
        let state = State::new(Seed([1; 16]), rules.counter_specs());
        let decision = rules.decide(&get("192.0.2.7", "x", "/"), &state, Tick(1));
        assert_eq!(decision.verdict, Verdict::Drop);
        assert!(start("reject", file, kept("192.0.2.7")).rules.is_none());
        let useless = [
            (kept("192.0.2.1\n192.0.2.2\n192.0.2.3"), "the copy has 3 elements"),
            (kept("<html>"), "has no element"),
            (Err("it is damaged".to_owned()), "it is damaged"),
        ];
        for (useless, why) in useless {
            let refused = start("keep", file, useless);
            assert!(refused.rules.is_none());
            let help = refused.diagnostics[0].help.clone().unwrap();
            assert!(help.starts_with("the last good copy cannot be used") && help.contains(why));
        }
    }
    let good = start("keep", Some("192.0.2.9\n"), kept("192.0.2.7"));
    assert!(good.diagnostics.is_empty(), "{:?}", good.diagnostics);
}

#[test]
fn what_was_no_file_before_is_no_good_copy() {
    for before in ["{ 192.0.2.1 }", "file \"bad.txt\" max 2 on_error empty"] {
        let policy = |list: &str| {
            MemoryStore::default().with("root.wall", format!(
            "policy 1\nlist bad: ip = {list}\nfloor {{ rule a {{ when client.ip in @bad then drop }} }}"
        ))
        };
        let first = assemble_all(&policy(before), Purpose::Run, None).rules.unwrap();
        let second = assemble_all(&policy("file \"bad.txt\" max 2"), Purpose::Run, Some(&first));
        assert!(second.rules.is_none(), "{before}");
    }
}

#[test]
fn a_lowered_max_holds_for_a_list_that_has_not_changed() {
    let policy = |max: u32| {
        let root = format!(
            "policy 1\nlist bad: cidr = file \"bad.txt\" max {max} on_error reject\n\
             floor {{ rule a {{ when client.ip in @bad then drop }} }}"
        );
        let store = MemoryStore::default().with("root.wall", root);
        store.with("bad.txt", "192.0.2.0/25\n192.0.2.128/25\nx\n")
    };
    let first = assemble_all(&policy(2), Purpose::Run, None).rules.unwrap();
    assert!(assemble_all(&policy(2), Purpose::Run, Some(&first)).rules.is_some());
    assert!(assemble_all(&policy(1), Purpose::Run, Some(&first)).rules.is_none());
}

/// Returns the diagnostics of a policy with these files, as `file:line:column code`, without notes.
fn said(files: &[(&str, &str)], previous: Option<&RuleSet>) -> (Option<RuleSet>, Vec<String>) {
    let store = files
        .iter()
        .fold(MemoryStore::default(), |store, (path, text)| store.with(path, text.as_bytes()));
    let made = assemble_all(&store, Purpose::Run, previous);
    let all = made.everything();
    let loud = all.iter().filter(|said| said.severity != Severity::Note);
    let place = |d: &crate::Diagnostic| format!("{}:{}:{} {}", d.file, d.line, d.column, d.code);
    (made.rules, loud.map(place).collect())
}

fn refusing(list: &str) -> String {
    format!(
        "policy 1\nlist bad: cidr = {list}\nfloor {{ rule bad {{ when client.ip in @bad then drop }} }}\n"
    )
}

/// Returns the rejected ones of these addresses.
fn dropped<'i>(rules: &RuleSet, ips: &[&'i str]) -> Vec<&'i str> {
    let state = State::new(Seed([1; 16]), rules.counter_specs());
    let is_dropped = |ip: &&&str| {
        rules.decide(&get(ip, "x.example", "/"), &state, Tick(1)).verdict == Verdict::Drop
    };
    ips.iter().filter(is_dropped).copied().collect()
}

#[test]
fn a_list_that_was_cut_off_refuses_nobody_whom_the_whole_one_would_not() {
    for (text, said_of_it) in [
        ("198.51.100.0/24\n203.0.113.0/2", &["lists/l.txt:2:1 S012", "lists/l.txt:2:1 S013"][..]),
        ("198.51.100.0/24\n2001:db8:1::/4", &["lists/l.txt:2:1 S012", "lists/l.txt:2:1 S013"]),
        ("198.51.100.0/24\n0.0.0.0/0\n", &["lists/l.txt:2:1 S012"]),
        ("198.51.100.0/24\n192.88.99.77/24\n", &["lists/l.txt:2:1 C018"]),
        ("198.51.100.0/24\n192.88.99.77", &["lists/l.txt:2:1 S013"]),
    ] {
        let root = refusing("file \"lists/l.txt\" max 10");
        let (rules, loud) = said(&[("root.wall", &root), ("lists/l.txt", text)], None);
        assert_eq!(loud, said_of_it, "{text}");
        let probes = ["198.51.100.7", "192.88.99.1", "203.0.113.1", "2001:db8:1::1"];
        assert_eq!(dropped(&rules.unwrap(), &probes), ["198.51.100.7"], "{text}");
    }
    for (list, place) in [
        ("{ 198.51.100.0/24, 203.0.113.0/2 }", "root.wall:2:37 S012"),
        ("{ 198.51.100.0/24, 192.88.99.77/24 }", "root.wall:2:37 C018"),
    ] {
        let (rules, loud) = said(&[("root.wall", &refusing(list))], None);
        assert_eq!(loud, [place]);
        let probes = ["198.51.100.7", "192.88.99.1", "192.88.99.77", "203.0.113.1"];
        let is = dropped(&rules.unwrap(), &probes);
        assert!(is.contains(&"198.51.100.7") && !is.contains(&"192.88.99.1"), "{is:?}");
    }
}

#[test]
fn a_list_that_allows_wide_networks_has_them() {
    let wide = "file \"lists/l.txt\" max 10 allow wide";
    for list in [wide, "{ 128.0.0.0/1 } allow wide"] {
        let files = [("root.wall", &*refusing(list)), ("lists/l.txt", "128.0.0.0/1\n")];
        let (rules, loud) = said(&files, None);
        // Half of all addresses contains private ones.
        assert!(loud.len() == 1 && loud[0].ends_with("S015"), "{loud:?}");
        assert_eq!(dropped(&rules.unwrap(), &["192.88.99.1", "9.9.9.9"]), ["192.88.99.1"]);
    }
    let refused = super::complaints("list a: string = { \"x\" } allow wide\n");
    assert_eq!(refused, ["2:26 T002"]);
    // After removing the keyword, the same file is read again.
    let before =
        said(&[("root.wall", &refusing(wide)), ("lists/l.txt", "128.0.0.0/1\n9.9.9.9\n")], None);
    let narrow = refusing("file \"lists/l.txt\" max 10");
    let after = said(
        &[("root.wall", &narrow), ("lists/l.txt", "128.0.0.0/1\n9.9.9.9\n")],
        before.0.as_ref(),
    );
    assert_eq!(after.1, ["lists/l.txt:1:1 S012"]);
    assert_eq!(dropped(&after.0.unwrap(), &["192.88.99.1", "9.9.9.9"]), ["9.9.9.9"]);
}

#[test]
fn what_a_test_puts_in_the_place_of_a_list_obeys_what_the_list_says() {
    let test = "test \"t\" { given @bad = { 128.0.0.0/1, 9.9.9.9/8 } \
                request GET \"https://a.example/\" from 192.88.99.1 expect pass \
                request GET \"https://a.example/\" from 9.9.9.8 expect pass \
                request GET \"https://a.example/\" from 9.9.9.9 expect drop }\n";
    let root = refusing("{ 192.0.2.1 }") + test;
    let (rules, loud) = said(&[("root.wall", &root)], None);
    assert_eq!(loud, ["root.wall:4:27 S012", "root.wall:4:40 C018"]);
    let outcomes = rules.unwrap().run_tests();
    assert!(outcomes[0].passed, "{}", outcomes[0].says);
}

#[test]
fn a_file_that_lost_more_than_half_of_its_elements_is_told() {
    let root = refusing("file \"lists/l.txt\" max 10");
    let lines = |n: u32| (0..n).map(|n| format!("192.0.2.{n}\n")).collect::<String>();
    let reload = |previous: Option<&RuleSet>, n| {
        said(&[("root.wall", &root), ("lists/l.txt", &lines(n))], previous)
    };
    let first = reload(None, 5).0.unwrap();
    for (n, shrank) in [(6, None), (3, None), (2, Some(5)), (0, Some(5))] {
        let (rules, loud) = reload(Some(&first), n);
        let rules = rules.unwrap();
        let told: &[String] =
            if shrank.is_some() { &["root.wall:2:23 S014".to_owned()] } else { &[] };
        assert_eq!(loud, told, "{n}");
        assert_eq!(rules.summary().lists[0].shrank_from, shrank, "{n}");
        // Reported once, and known as long as the file is unchanged.
        let (again, loud) = reload(Some(&rules), n);
        assert!(loud.is_empty(), "{loud:?}");
        assert_eq!(again.unwrap().summary().lists[0].shrank_from, shrank, "{n}");
    }
    // A start has the last valid copy.
    let kept = Ok(CachedList { bytes: lines(5).into_bytes().into(), age_ms: 1 });
    let store = MemoryStore::default().with("root.wall", &*root).keeping("bad", kept);
    let made = assemble_all(&store.with("lists/l.txt", lines(1)), Purpose::Run, None);
    assert_eq!(made.diagnostics[0].code, "S014");
    assert!(
        made.diagnostics[0].message.contains("1 elements, before it had 5"),
        "{:?}",
        made.diagnostics
    );
}

#[test]
fn a_list_that_locks_out_whom_it_should_not_is_told_with_the_rule_that_does() {
    let with = |rule: &str, list: &str| {
        let root = format!(
            "policy 1\nlist bad: cidr = file \"lists/l.txt\" max 10\nlist own: cidr = {{ 10.0.0.0/8 }}\n\
             floor {{ rule bad {{ {rule} }} }}\n"
        );
        let guarded = crate::Guarded {
            proxies: vec![seawall_model::Prefix::new([203, 0, 113, 9].into(), 32)],
            own: vec![seawall_model::Prefix::new([198, 51, 100, 0].into(), 24)],
            server: vec![seawall_model::Prefix::new([192, 0, 2, 1].into(), 32)],
        };
        let settings = crate::ServerSettings { guarded, ..crate::ServerSettings::default() };
        let sandbox = crate::Sandbox::new(crate::SandboxLimits::default());
        let store = MemoryStore::default().with("root.wall", root).with("lists/l.txt", list);
        let sources = crate::Sources::gather("root.wall", &store);
        let builder = crate::RuleSetBuilder::new(settings, sandbox);
        let made = builder.build(&sources, Purpose::Run, None);
        made.diagnostics.into_iter().filter(|said| said.code == "S015").collect::<Vec<_>>()
    };
    let drop = "when client.ip in @bad then drop";
    for (entry, what) in [
        ("10.1.2.0/24", "10.0.0.0/8 (private, RFC 1918)"),
        ("172.31.0.1", "172.16.0.0/12"),
        ("192.168.1.1", "192.168.0.0/16"),
        ("100.64.0.0/10", "100.64.0.0/10 (shared"),
        ("127.0.0.1", "127.0.0.0/8 (loopback)"),
        ("169.254.0.0/16", "169.254.0.0/16 (link-local)"),
        ("fd00:1::/32", "fc00::/7 (private, RFC 4193)"),
        ("fe80::/16", "fe80::/10"),
        ("::1", "::1/128 (loopback)"),
        ("203.0.113.0/24", "203.0.113.9/32 ([trusted_proxies])"),
        ("198.51.0.0/16", "198.51.100.0/24 (`[bans] exempt`"),
        ("192.0.2.0/24", "192.0.2.1/32 (an address of this server)"),
    ] {
        let told = with(drop, &format!("8.8.8.8\n{entry}\n"));
        let [told] = &told[..] else { panic!("{entry}: {told:?}") };
        assert_eq!((told.severity, told.line, told.column), (Severity::Warning, 2, 23));
        assert!(told.message.contains(what) && told.message.contains("`floor.bad`"), "{told:?}");
        assert!(told.help.as_ref().unwrap().contains("unless client.ip in { "), "{told:?}");
    }
    assert!(with(drop, "8.8.8.8\n203.0.113.8\n2001:db8::/32\n").is_empty());
    for (rule, list, is_told) in [
        ("when path == \"/x\" and client.ip in @bad then block", "10.1.0.0/16\n", true),
        ("when not (client.ip not in @bad) then block", "10.1.0.0/16\n", true),
        ("when client.ip not in @bad or client in @bad then drop", "10.1.0.0/16\n", true),
        ("when true unless client.ip not in @bad then drop", "10.1.0.0/16\n", true),
        ("when client.ip not in @bad then drop", "10.1.0.0/16\n", false),
        ("when path == \"/x\" unless client.ip in @bad then drop", "10.1.0.0/16\n", false),
        ("when client.ip in @bad then score += 5", "10.1.0.0/16\n", false),
        ("when client.ip in @bad unless client.ip in 10.0.0.0/8 then drop", "10.1.0.0/16\n", false),
        (
            "when client.ip in @bad and client.ip not in { 10.0.0.0/8 } then drop",
            "10.1.0.0/16\n",
            false,
        ),
        ("when client.ip in @bad unless client.ip in @own then drop", "10.1.0.0/16\n", false),
        (
            "when client.ip in @bad unless client.ip in @own then drop",
            "10.1.0.0/16\n127.0.0.1\n",
            true,
        ),
        ("when client.ip in @bad unless client.ip in 10.1.0.0/16 then drop", "10.1.0.0/16\n", true),
        (
            "when client.ip in @bad unless path == \"/\" and client.ip in @own then drop",
            "10.1.0.0/16\n",
            true,
        ),
    ] {
        let told = with(rule, list);
        assert_eq!(!told.is_empty(), is_told, "{rule}: {told:?}");
    }
}

#[test]
fn lists_are_read_as_they_are_published() {
    let spamhaus = "; Spamhaus DROP List 2026/11/01 - (c) 2026 The Spamhaus Project SLU\r\n\
                    192.0.2.0/24 ; SBL000001\r\n203.0.113.0/24 ; SBL000002\r\n; EOF\r\n";
    let lines = "{\"cidr\":\"192.0.2.0/24\",\"sblid\":\"SBL000001\",\"rir\":\"ripencc\"}\n\
                 {\"cidr\":\"203.0.113.0/24\",\"sblid\":\"SBL000002\",\"rir\":\"apnic\"}\n\
                 {\"type\":\"metadata\",\"timestamp\":1761998400,\"size\":171,\"records\":2}\n";
    let mixed = "  192.0.2.0/24  \r\n\r\n# comment\r\n203.0.113.0-203.0.113.255 # behind\r\n";
    for text in [spamhaus, lines, mixed] {
        let root = refusing("file \"lists/l.txt\" max 10");
        let (rules, loud) = said(&[("root.wall", &root), ("lists/l.txt", text)], None);
        assert!(loud.is_empty(), "{loud:?}");
        let probes = ["192.0.2.9", "203.0.113.9", "198.51.100.9"];
        assert_eq!(dropped(&rules.unwrap(), &probes), probes[..2]);
    }
    let document = "{\n  \"prefixes\": [\n    {\"ipv4Prefix\": \"192.0.2.0/24\"}\n  ]\n}\n";
    let root = refusing("file \"lists/l.txt\" max 10");
    let store = MemoryStore::default().with("root.wall", root).with("lists/l.txt", document);
    let made = assemble_all(&store, Purpose::Run, None);
    let told = &made.diagnostics[0];
    assert!(
        made.rules.is_none() && told.code == "S004" && told.message.contains("JSON"),
        "{told:?}"
    );
    assert!(told.help.as_ref().is_some_and(|help| help.contains("jq -r")), "{told:?}");
}
