//! Outlines of small policies, and their differences.

use proptest::prelude::*;

use super::*;
use crate::diagnostic::FileId;
use crate::syntax::parse::parse;

/// Returns the outline of the operator's files and of one file of alice.
fn outline_of(host: &[&str], alice: &str) -> Outline {
    let mut files = Files::default();
    let mut pages = Vec::new();
    let texts = host.iter().map(|text| (None, *text)).chain([(Some("alice"), alice)]);
    for (member, text) in texts {
        let file: FileId = files.add("x.wall", text);
        let (tree, said) = parse(file, text.as_bytes());
        assert!(said.is_empty(), "{said:?}");
        let member: Option<Box<str>> = member.map(Box::from);
        pages.extend(tree.items.into_iter().map(|item| Page {
            file,
            member: member.clone(),
            item,
        }));
    }
    Outline::of(&pages, &files)
}

fn outline(text: &str) -> Outline {
    outline_of(&[&format!("policy 1\n{text}")], "policy 1\n")
}

fn changes(old: &str, new: &str) -> Vec<Change> {
    outline(old).changes(&outline(new))
}

/// Returns the changes as short texts.
fn told(changes: &[Change]) -> Vec<String> {
    let line = |Change { kind, name, how }: &Change| match how {
        How::Added(text) => format!("+ {kind} {name}: {text}"),
        How::Removed(text) => format!("- {kind} {name}: {text}"),
        How::Moved(behind) => format!("> {kind} {name} {behind:?}"),
        How::Changed(clauses) => {
            let clause = |of: &ClauseChange| {
                format!("{}: {:?} -> {:?}", of.word, of.before.as_deref(), of.after.as_deref())
            };
            let clauses: Vec<String> = clauses.iter().map(clause).collect();
            format!("~ {kind} {name} {}", clauses.join("; "))
        }
    };
    changes.iter().map(line).collect()
}

const POLICY: &str = r#"
let old = 60s
let bad = { "curl", "wget" }
list drop: cidr = { 192.0.2.0/24 }
track seen { count requests where path == "/a" per client over 1m keys 1k }
level attack { enter when rate(seen, client) > 10/1m leave after 10m }
floor {
  rule one { when ua in bad then block }
  rule two { when client.ip in @drop and count(seen) > 5 then ban 1h }
  under attack { rule three { when path == "/b" then block 429 } }
}
defaults { limit search { where path == "/s" per client to 10/60s burst 5 then block 429 hold 60s } }
"#;

#[test]
fn layout_spelling_and_files_make_no_difference() {
    let other = r#"
# Another hand.
let old = 1m
let bad = { "curl" "w\x67et" }
list drop: cidr = {192.0.2.0/24,}
track seen { keys 1000 count requests per client where path == r"/a" over 60s }
level attack { enter when rate(seen,client) > 10/60s   leave after 600s }
floor { rule one {
    when ua in bad # why
    then block }
  rule two { when client.ip in @drop and count(seen)>5 then ban 3600s }
  under attack { rule three { when path == "/b" then block 429 } } }
"#;
    let (top, rest) = other.split_at(other.find("floor").unwrap());
    let rest = format!(
        "policy 1\n{rest}\ndefaults {{ limit search {{ where path == \"/s\" per client \
         to 10/1m burst 5 then block 429 hold 1m }} }}"
    );
    let parts = [&*format!("policy 1\n{top}"), &rest];
    let other = outline_of(&parts, "policy 1\n");
    assert_eq!(told(&outline(POLICY).changes(&other)), Vec::<String>::new());
}

#[test]
fn what_differs_is_told_by_clause() {
    for (from, to, expected) in [
        (
            "then block }\n  rule two",
            "then drop }\n  rule two",
            vec![r#"~ rule floor.one then: Some("block") -> Some("drop")"#],
        ),
        ("ban 1h", "ban 2h", vec![r#"~ rule floor.two then: Some("ban 1h") -> Some("ban 2h")"#]),
        (
            "10/60s burst 5",
            "20/60s",
            vec![r#"~ limit defaults.search to: Some("10/60s burst 5") -> Some("20/60s")"#],
        ),
        ("hold 60s", "", vec![r#"~ limit defaults.search hold: Some("60s") -> None"#]),
        ("rule one", "shadow rule one", vec![r#"~ rule floor.one : None -> Some("shadow")"#]),
        (
            "{ 192.0.2.0/24 }",
            "{ 192.0.2.7/24 }",
            vec![r#"~ list drop =: Some("{ 192.0.2.0/24 }") -> Some("{ 192.0.2.7/24 }")"#],
        ),
        (
            "{ 192.0.2.0/24 }",
            "{ 192.0.2.0/24 } allow wide",
            vec![r#"~ list drop : None -> Some("allow wide")"#],
        ),
        (
            "\"wget\" }",
            "\"lynx\" }",
            vec![
                r#"~ let bad =: Some("{ \"curl\", \"wget\" }") -> Some("{ \"curl\", \"lynx\" }")"#,
                r#"~ rule floor.one when: Some("ua in bad") -> Some("ua in bad")"#,
            ],
        ),
        (
            "under attack { rule three { when path == \"/b\" then block 429 } }",
            "rule three { when path == \"/b\" then block 429 }",
            vec![r#"~ rule floor.three under: Some("attack") -> None"#],
        ),
        (
            "  rule two { when client.ip in @drop and count(seen) > 5 then ban 1h }\n",
            "",
            vec!["- rule floor.two: when client.ip in @drop and count(seen) > 5 then ban 1h"],
        ),
        (
            "rule two",
            "rule deux",
            vec![
                "- rule floor.two: when client.ip in @drop and count(seen) > 5 then ban 1h",
                "+ rule floor.deux: when client.ip in @drop and count(seen) > 5 then ban 1h",
            ],
        ),
    ] {
        assert!(POLICY.contains(from), "{from}");
        assert_eq!(told(&changes(POLICY, &POLICY.replace(from, to))), expected, "{from}");
    }
}

#[test]
fn only_what_left_its_place_has_moved() {
    let rules = |order: &str| {
        let rule = |name| format!("rule {name} {{ when path == \"/{name}\" then block }}\n");
        format!("floor {{\n{}}}", order.chars().map(rule).collect::<String>())
    };
    for (old, new, expected) in [
        ("abcd", "bcda", vec!["> rule floor.a Some(\"floor.d\")"]),
        ("abcd", "dabc", vec!["> rule floor.d None"]),
        ("abcd", "abcd", vec![]),
        ("abcd", "bcd", vec!["- rule floor.a: when path == \"/a\" then block"]),
        ("ab", "ba", vec!["> rule floor.a Some(\"floor.b\")"]),
    ] {
        let said = told(&changes(&rules(old), &rules(new)));
        // If two entries swapped, either of them may be reported as moved.
        let either = (old, new) == ("ab", "ba") && said == ["> rule floor.b None"];
        assert!(either || said == expected, "{old} {new}: {said:?}");
    }
}

#[test]
fn a_members_names_are_her_own_before_they_are_the_hosts() {
    let alice = |page: &str| {
        let text = format!(
            "policy 1\nlet page = \"{page}\"\nsite \"a.example\" {{ rule r {{ when path == page \
             then block }} }}"
        );
        outline_of(&["policy 1\nlet page = \"/host\""], &text)
    };
    assert_eq!(
        told(&alice("/a").changes(&alice("/b"))),
        [
            r#"~ let alice.page =: Some("\"/a\"") -> Some("\"/b\"")"#,
            r#"~ rule alice.r when: Some("path == page") -> Some("path == page")"#,
        ]
    );
}

#[test]
fn counters_know_who_asks_them_and_whether_their_condition_changed() {
    let old = outline(POLICY);
    assert_eq!(old.watchers("seen"), ["attack", "floor.two"]);
    assert_eq!(old.watchers("drop"), Vec::<&str>::new());
    let differs = |from: &str, to: &str, name: &str| {
        assert!(POLICY.contains(from));
        old.condition_differs(&outline(&POLICY.replace(from, to)), name)
    };
    assert!(differs("where path == \"/a\"", "where path == \"/c\"", "seen"));
    assert!(differs("where path == \"/a\" ", "", "seen"));
    assert!(differs("where path == \"/s\"", "unless path == \"/s\"", "defaults.search"));
    assert!(!differs("over 1m", "over 2m", "seen"));
    assert!(!differs("10/60s burst 5", "20/60s", "defaults.search"));
    assert!(!differs("where path == \"/a\"", "where path == \"/c\"", "defaults.search"));
}

proptest! {
    #[test]
    fn whatever_can_be_read_equals_itself_and_swaps_tell_both_ways(
        left in prop::collection::vec(0_usize..6, 0..8),
        right in prop::collection::vec(0_usize..6, 0..8),
    ) {
        let policy = |order: &[usize]| {
            let mut seen = Vec::new();
            let rule = |n: &usize| {
                let new = !seen.contains(n);
                seen.push(*n);
                let text = format!("rule r{n} {{ when path == \"/{n}\" then block }}\n");
                new.then_some(text)
            };
            outline(&format!("floor {{ {} }}", order.iter().filter_map(rule).collect::<String>()))
        };
        let (old, new) = (policy(&left), policy(&right));
        prop_assert_eq!(old.changes(&old), vec![]);
        let (there, back) = (old.changes(&new), new.changes(&old));
        let count = |all: &[Change], of: fn(&How) -> bool| {
            all.iter().filter(|change| of(&change.how)).count()
        };
        let added: fn(&How) -> bool = |how| matches!(how, How::Added(_));
        let removed: fn(&How) -> bool = |how| matches!(how, How::Removed(_));
        prop_assert_eq!(count(&there, added), count(&back, removed));
        prop_assert_eq!(count(&there, removed), count(&back, added));
        // Without changes, the rules and their order are the same.
        if there.is_empty() {
            let names = |of: &Outline| {
                of.entries().map(|entry| entry.name.clone()).collect::<Vec<_>>()
            };
            prop_assert_eq!(names(&old), names(&new));
        }
    }
}
