//! Tests: errors of a member do not affect the operator and other members.

use super::*;
use crate::{
    MEMBERS_COMPILE_BYTES_MAX, MEMBERS_REBUILD_BYTES_MAX, MEMBERS_TEST_REQUESTS_MAX, MemberPart,
    Terms,
};

const HOST: &str = r#"policy 1
include "floor.wall"
member alice { hosts { "alice.example" } may { block, test } file "m/alice.wall" }
member bob { hosts { "bob.example" } may { block, list, test } file "m/bob.wall" }
"#;
const FLOOR: &str = "policy 1\nfloor { rule env { when path == \"/.env\" then drop } }\n\
                     defaults { rule xmlrpc { when path == \"/xmlrpc.php\" then block 403 } }\n";

/// Returns a member's file with one rule and more text.
fn part(name: &str, word: &str, more: &str) -> String {
    format!(
        "policy 1\n{more}\nsite \"{name}.example\" {{ rule {word} {{ when path == \"/{word}\" \
         then block 451 }} }}\n"
    )
}

fn store(alice: &str, bob: &str) -> MemoryStore {
    MemoryStore::default()
        .with("root.wall", HOST)
        .with("floor.wall", FLOOR)
        .with("m/alice.wall", alice)
        .with("m/bob.wall", bob)
}

/// Returns the result of a reload on a server with `previous`.
fn reloaded(store: &MemoryStore, previous: Option<&RuleSet>) -> BuildOutput {
    let sources = Sources::gather("root.wall", store);
    workshop().assemble_within(&sources, Purpose::Run, Terms::new(previous, Effort::Reload))
}

fn good() -> RuleSet {
    let all = reloaded(&store(&part("alice", "own", ""), &part("bob", "own", "")), None);
    assert!(all.everything().is_empty(), "{:?}", all.everything());
    all.rules.unwrap()
}

/// Returns the name of the cause of a decision.
fn by(rules: &RuleSet, host: &str, path: &str) -> String {
    let state = State::new(Seed([7; 16]), rules.counter_specs());
    let decision = rules.decide(&get("192.0.2.1", host, path), &state, Tick(1_000));
    rules.name(decision.reason).to_owned()
}

/// Returns the members with invalid files, with their parts in force.
fn wrong(assembly: &BuildOutput) -> Vec<(&str, MemberPart)> {
    assembly.members.iter().map(|member| (&*member.name, member.part)).collect()
}

/// Checks that the operator's layers apply to all sites, and bob's part to bob's.
#[track_caller]
fn holds(rules: &RuleSet, what: &str) {
    for host in ["alice.example", "bob.example", "nobody.example"] {
        assert_eq!(by(rules, host, "/.env"), "floor.env", "{what}");
        assert_eq!(by(rules, host, "/xmlrpc.php"), "defaults.xmlrpc", "{what}");
    }
    assert!(by(rules, "bob.example", "/own").contains("own"), "{what}");
}

#[test]
fn a_member_who_names_files_of_others_changes_nothing_of_theirs() {
    let names = [
        "include \"../floor.wall\"",
        "include \"../root.wall\"",
        "include \"../*.wall\"",
        "include \"bob.wall\"",
        "include \"*.wall\"",
        "list x: cidr = file \"../floor.wall\" max 9",
        "extern f() -> int { module \"../floor.wall\" on_failure return 1 }",
    ];
    for name in names {
        let evil = store(&part("alice", "own", name), &part("bob", "own", ""));
        for before in [None, Some(good())] {
            let all = reloaded(&evil, before.as_ref());
            let kept = before.as_ref().map_or(MemberPart::Absent, |_| MemberPart::Kept);
            // A pattern without a readable match is not an error.
            let patterns = name.contains('*') && wrong(&all).is_empty();
            assert!(patterns || wrong(&all) == [("alice", kept)], "{name}: {:?}", wrong(&all));
            holds(&all.rules.expect(name), name);
        }
    }
}

#[test]
fn mistakes_of_two_members_refuse_nothing() {
    let list = "list gone: cidr = file \"none.txt\" max 9 on_error reject";
    let both = store("policy 1\nnonsense\n", &part("bob", "new", list));
    let before = good();
    let all = reloaded(&both, Some(&before));
    assert_eq!(wrong(&all), [("alice", MemberPart::Kept), ("bob", MemberPart::Kept)]);
    holds(&all.rules.unwrap(), "two mistakes");
    let start = reloaded(&both, None);
    assert_eq!(wrong(&start), [("alice", MemberPart::Absent), ("bob", MemberPart::Absent)]);
    assert_eq!(by(&start.rules.unwrap(), "alice.example", "/.env"), "floor.env");
}

#[test]
fn a_thousand_errors_of_one_member_hide_no_mistake_of_another() {
    let many: String = (0..1_100).map(|n| format!("rule r{n} {{ when pth == 1 }}\n")).collect();
    let many = format!("policy 1\nsite \"alice.example\" {{\n{many}}}\n");
    let all = reloaded(&store(&many, "policy 1\nnonsense\n"), Some(&good()));
    assert_eq!(wrong(&all), [("alice", MemberPart::Kept), ("bob", MemberPart::Kept)]);
    let bob = &all.members[1].diagnostics;
    assert!(bob.iter().any(|said| &*said.file == "m/bob.wall"), "{bob:?}");
    holds(&all.rules.unwrap(), "1,100 errors");
}

#[test]
fn two_thousand_files_of_a_member_are_her_mistake() {
    let include = "include \"x/*.wall\"";
    let mut evil = store(&part("alice", "own", include), &part("bob", "own", ""));
    for n in 0..2_000 {
        evil = evil.with(&format!("m/x/{n}.wall"), "policy 1\n");
    }
    let all = reloaded(&evil, Some(&good()));
    assert_eq!(wrong(&all), [("alice", MemberPart::Kept)]);
    holds(&all.rules.unwrap(), "2,000 files");
}

#[test]
fn large_lists_of_a_member_are_her_mistake() {
    let lists = "list a: cidr = file \"a.txt\" max 9\nlist b: cidr = file \"b.txt\" max 9";
    let large = vec![b'\n'; usize::try_from(crate::MEMBER_LIST_BYTES_MAX).unwrap() + 1];
    let evil = store(&part("alice", "own", ""), &part("bob", "new", lists));
    let evil = evil.with("m/a.txt", large.clone()).with("m/b.txt", large);
    let all = reloaded(&evil, Some(&good()));
    assert_eq!(wrong(&all), [("bob", MemberPart::Kept)]);
    holds(&all.rules.unwrap(), "large lists");
}

#[test]
fn a_failing_test_is_not_published_while_another_file_is_broken() {
    let test = "test \"open\" { request GET \"https://bob.example/new\" expect pass }";
    for alice in ["policy 1\nnonsense\n".to_owned(), part("alice", "own", "")] {
        let all = reloaded(&store(&alice, &part("bob", "new", test)), Some(&good()));
        assert!(wrong(&all).contains(&("bob", MemberPart::Kept)), "{:?}", wrong(&all));
        let rules = all.rules.unwrap();
        holds(&rules, "a failing test");
        assert!(!by(&rules, "bob.example", "/new").contains("new"));
    }
}

/// Returns members with comments of this size and tests with this many requests, and a rule `word`.
fn crowd(members: usize, word: &str, bytes: usize, requests: u64) -> MemoryStore {
    let mut root = "policy 1\nfloor { rule env { when path == \"/.env\" then drop } }\n".to_owned();
    let mut all = MemoryStore::default();
    for n in 0..members {
        root.push_str(&format!(
            "member m{n} {{ hosts {{ \"m{n}.example\" }} may {{ block, test }} file \"m{n}/a.wall\" }}\n"
        ));
        let test = match requests {
            0 => String::new(),
            n_of => format!(
                "test \"t\" {{ request GET \"https://m{n}.example/\" times {n_of} expect pass }}"
            ),
        };
        let more = format!("# {}\n{test}", "x".repeat(bytes));
        all = all.with(&format!("m{n}/a.wall"), part(&format!("m{n}"), word, &more));
    }
    all.with("root.wall", root)
}

/// Reloads until no member is postponed. Returns how many were postponed each time.
fn rounds(store: &MemoryStore, first: RuleSet) -> (Vec<usize>, RuleSet) {
    let (mut rules, mut waited) = (first, Vec::new());
    while waited.last() != Some(&0) {
        assert!(waited.len() < 20, "{waited:?}");
        let before: Vec<Box<str>> = rules.postponed().to_vec();
        let all = reloaded(store, Some(&rules));
        rules = all.rules.unwrap();
        assert_eq!(all.postponed, rules.postponed().len());
        // Postponed members come before the others.
        let again = before.iter().filter(|name| rules.postponed().contains(name)).count();
        assert!(again < before.len().max(1), "{before:?}");
        assert_eq!(by(&rules, "m0.example", "/.env"), "floor.env");
        waited.push(all.postponed);
    }
    (waited, rules)
}

#[test]
fn who_has_too_much_to_compile_before_her_has_her_turn_next() {
    // Each is a third of the limit: two fit, the third is started, the rest is postponed.
    let bytes = usize::try_from(MEMBERS_COMPILE_BYTES_MAX).unwrap() / 3;
    let start = |word| crowd(7, word, bytes, 0);
    let first = assemble_all(&start("old"), Purpose::Run, None).rules.unwrap();
    let after = reloaded(&start("new"), Some(&first));
    assert_eq!(after.postponed, 4);
    let rules = after.rules.unwrap();
    assert!(by(&rules, "m0.example", "/new").contains("new"));
    assert!(by(&rules, "m6.example", "/old").contains("old"), "the part before stays");
    let (waited, rules) = rounds(&start("new"), rules);
    assert_eq!(waited, [1, 0]);
    for n in 0..7 {
        assert!(by(&rules, &format!("m{n}.example"), "/new").contains("new"));
    }
}

#[test]
fn who_has_too_many_requests_before_her_has_her_turn_next() {
    let requests = seawall_policy::check::MEMBER_TEST_REQUESTS_MAX;
    let at_once = usize::try_from(MEMBERS_TEST_REQUESTS_MAX.div_ceil(requests)).unwrap();
    // All that fit are processed; one more is postponed.
    for (members, waits) in [(at_once, 0), (at_once + 1, 1)] {
        let first = assemble_all(&crowd(members, "old", 0, 0), Purpose::Run, None).rules.unwrap();
        let all = reloaded(&crowd(members, "new", 0, requests), Some(&first));
        assert_eq!(all.postponed, waits, "{members} members");
    }
}

#[test]
fn names_with_dots_are_nobody_elses() {
    let root = "policy 1\n\
        member a { hosts { \"a.example\" } may { block, limit, list, track } file \"a/a.wall\" }\n\
        member a.b { hosts { \"b.example\" } may { block, limit, list, track } file \"b/b.wall\" }\n";
    let of =
        |host: &str, inside: &str| format!("policy 1\nsite \"{host}.example\" {{ {inside} }}\n");
    let hers = |name: &str| {
        [
            format!("rule {name} {{ when path == \"/x\" then block }}"),
            format!("limit {name} {{ where path == \"/x\" per client to 5/1m then block 429 }}"),
            format!("track {name} {{ count requests over 1m per client keys 100 }}"),
            format!("list {name}: string = {{ \"x\" }}"),
            format!("let {name} = \"x\""),
        ]
    };
    let made = |a: &str, b: &str| {
        let store = MemoryStore::default().with("root.wall", root);
        let store = store.with("a/a.wall", of("a", a)).with("b/b.wall", of("b", b));
        reloaded(&store, None)
    };
    for ([a, plain], b) in
        hers("b.x").into_iter().zip(hers("c.x")).map(<[_; 2]>::from).zip(hers("x"))
    {
        let all = made(&a, &b);
        assert_eq!(wrong(&all), [("a", MemberPart::Absent)], "{a}: {:?}", all.everything());
        let said = &all.members[0].diagnostics[0];
        assert_eq!((said.code, &*said.file, said.line), ("N010", "a/a.wall", 2), "{said:?}");
        assert!(said.message.contains("`a.b.x` is a name of the member `a.b`"), "{}", said.message);
        assert!(said.help.iter().any(|help| help.contains("`b-x`")), "{:?}", said.help);
        let all = made(&plain, &b);
        assert!(wrong(&all).is_empty(), "a dot alone is no mistake: {:?}", all.everything());
    }
    for layer in ["floor", "guarantee", "defaults", "decide"] {
        let root = root.replace("member a.b", &format!("member {layer}"));
        let all = assemble_all(
            &MemoryStore::default().with("root.wall", root).with("a/a.wall", "policy 1\n"),
            Purpose::Check,
            None,
        );
        assert!(all.everything().iter().any(|said| said.code == "N011"), "{layer}");
    }
}

#[test]
fn an_assembly_that_nobody_wants_any_more_ends_at_its_next_step_and_gives_no_rules() {
    let members = 850;
    let first = assemble_all(&crowd(members, "old", 0, 3), Purpose::Run, None).rules.unwrap();
    let sources = Sources::gather("root.wall", &crowd(members, "new", 0, 3));
    let asked = std::cell::Cell::new(0_u64);
    let after = |most: u64| {
        asked.set(0);
        let go_on = || {
            asked.set(asked.get() + 1);
            asked.get() <= most
        };
        let terms = Terms { go_on: &go_on, ..Terms::new(Some(&first), Effort::Reload) };
        workshop().assemble_within(&sources, Purpose::Run, terms).rules
    };
    let whole = after(u64::MAX);
    assert!(whole.is_some_and(|rules| by(&rules, "m849.example", "/new").contains("new")));
    let all = asked.get();
    assert!(all > 850 * 4, "{all}: for each member and each request of hers");
    for most in [0, 1, 7, all / 2, all - 2, all - 1] {
        assert!(after(most).is_none(), "{most} of {all}");
        assert!(asked.get() <= most + 4, "{} of {most}", asked.get());
    }
    assert!(after(all).is_some());
}

/// Returns members with files of these sizes, with a limit each; the floor responds with `status`.
fn weights(bytes: &[usize], status: u16) -> MemoryStore {
    let mut root = format!(
        "policy 1\nfloor {{ rule env {{ when path == \"/.env\" then block {status} }} }}\n"
    );
    let mut all = MemoryStore::default();
    for (n, bytes) in bytes.iter().enumerate() {
        root.push_str(&format!(
            "member m{n} {{ hosts {{ \"m{n}.example\" }} may {{ block, limit }} file \"m{n}/a.wall\" }}\n"
        ));
        let text = format!(
            "policy 1\nsite \"m{n}.example\" {{ limit own {{ where path == \"/\" per client \
             to 1/1h then block 429 }} }}\n#"
        );
        let rest = "x".repeat(bytes.saturating_sub(text.len()));
        all = all.with(&format!("m{n}/a.wall"), text + &rest);
    }
    all.with("root.wall", root)
}

fn status(rules: &RuleSet, state: &State, host: &str, path: &str) -> Option<u16> {
    let decision = rules.decide(&get("192.0.2.1", host, path), state, Tick(1_000));
    match decision.verdict {
        seawall_model::Verdict::Block { status, .. } => Some(status),
        _ => None,
    }
}

#[test]
fn a_host_edit_waits_for_no_more_than_so_many_bytes_of_members_files() {
    let mib = 1 << 20;
    let most = usize::try_from(MEMBERS_REBUILD_BYTES_MAX).unwrap();
    // All but two fit; the last of them starts before the limit is reached. Then one file exceeds
    // the limit, and the smallest has the last entry.
    let bytes = [&vec![mib; most / mib + 1][..], &[1_000]].concat();
    let (large, small) = (bytes.len() - 1, bytes.len() - 1);
    let first = assemble_all(&weights(&bytes, 403), Purpose::Run, None).rules.unwrap();
    let state = State::new(Seed([7; 16]), first.counter_specs());
    for n in 0..bytes.len() {
        assert_eq!(status(&first, &state, &format!("m{n}.example"), "/"), None);
        assert_eq!(status(&first, &state, &format!("m{n}.example"), "/"), Some(429));
    }
    let edited = reloaded(&weights(&bytes, 410), Some(&first));
    let rules = edited.rules.unwrap();
    // The edit is in force for all members, also postponed ones, and no site is unprotected.
    let (during, _) = state.carry(rules.counter_specs());
    for n in 0..bytes.len() {
        assert_eq!(status(&rules, &during, &format!("m{n}.example"), "/.env"), Some(410));
    }
    let waits = |rules: &RuleSet| -> Vec<String> {
        rules.postponed().iter().map(|name| name.to_string()).collect()
    };
    assert_eq!(edited.postponed, 1);
    let absent: Vec<_> = edited.members.iter().map(|m| (&*m.name, m.part)).collect();
    assert_eq!(waits(&rules), [format!("m{}", large - 1)], "the last of the large ones");
    assert_eq!(absent, [(&*format!("m{}", large - 1), MemberPart::Absent)]);
    assert_eq!(status(&rules, &during, &format!("m{small}.example"), "/"), Some(429));
    assert_eq!(status(&rules, &during, &format!("m{}.example", large - 1), "/"), None);
    // The postponed member is processed next, and its earlier counts continue.
    let after = reloaded(&weights(&bytes, 410), Some(&rules));
    assert_eq!((after.postponed, after.members.len()), (0, 0));
    let rules = after.rules.unwrap();
    let (state, _) = during.carry(rules.counter_specs());
    for n in 0..bytes.len() {
        assert_eq!(status(&rules, &state, &format!("m{n}.example"), "/"), Some(429), "{n}");
    }
}

#[test]
fn at_the_bound_of_a_host_edit_nobody_waits_and_a_wrong_file_loses_no_last_good_part() {
    let mib = 1 << 20;
    let most = usize::try_from(MEMBERS_REBUILD_BYTES_MAX).unwrap();
    let bytes = vec![mib; most / mib];
    let first = assemble_all(&weights(&bytes, 403), Purpose::Run, None).rules.unwrap();
    let edited = reloaded(&weights(&bytes, 410), Some(&first));
    assert_eq!((edited.postponed, edited.members.len()), (0, 0), "at the bound");
    // A member with invalid files has a last valid part to compile in addition.
    let wrong = |status| weights(&bytes, status).with("m0/a.wall", "policy 1\nnonsense\n");
    let kept = reloaded(&wrong(410), edited.rules.as_ref()).rules.unwrap();
    let bytes = [&bytes[..], &[mib; 1]].concat();
    let more = |status| weights(&bytes, status).with("m0/a.wall", "policy 1\nnonsense\n");
    let kept = reloaded(&more(410), Some(&kept)).rules.unwrap();
    let edited = reloaded(&more(418), Some(&kept));
    assert_eq!(edited.postponed, 1);
    assert_eq!(wrong_names(&edited), [("m0".to_owned(), MemberPart::Absent)]);
    let after = reloaded(&more(418), edited.rules.as_ref());
    assert_eq!(after.postponed, 0);
    assert_eq!(wrong_names(&after), [("m0".to_owned(), MemberPart::Kept)]);
}

fn wrong_names(assembly: &BuildOutput) -> Vec<(String, MemberPart)> {
    wrong(assembly).into_iter().map(|(name, part)| (name.to_owned(), part)).collect()
}
