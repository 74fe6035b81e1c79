//! Tests of `limit … concurrent N`: requests in flight, from the limit to the end of the request.

use seawall_state::State;

use super::*;
use crate::{Judged, Units};

/// Sends one request. Returns the verdict, and its counts in flight.
fn judge(rules: &RuleSet, state: &State, ip: &str, path: &str) -> (Verdict, Units) {
    let facts = get(ip, "a.example", path);
    let Judged { decision, units } = rules.judge(&facts, state, Tick(1), &());
    (decision.verdict, units)
}

const FULL: Verdict = Verdict::Block { status: 429, retry_after_ms: Some(1_000) };

#[test]
fn so_many_are_under_way_in_tests_too() {
    let text = r#"
floor {
  rule health { when path == "/healthz" then tag "health" }
  limit many { where path != "/healthz" per client concurrent 2 then block 429 }
}
defaults {
  rule closed { when path == "/closed" then block 403 }
}
test "two at once" {
  request GET "http://a.example/" { answered 200 after 10s } times 2
  expect pass
  request GET "http://a.example/"
  expect block 429 by many
  request GET "http://a.example/" from 192.0.2.9
  expect pass
  request GET "http://a.example/healthz"
  expect pass
  wait 11s
  request GET "http://a.example/" { answered 200 after 10s } times 2
  expect pass
}
test "what is refused further on is under way no longer" {
  request GET "http://a.example/closed" { answered 200 after 10s } times 9
  expect block 403
  request GET "http://a.example/"
  expect pass
}
test "who is refused does not count" {
  request GET "http://a.example/" { answered 200 after 10s } times 50
  expect block 429
  wait 10050ms
  request GET "http://a.example/"
  expect pass
}
"#;
    assert_eq!(failures(text), Vec::<String>::new());
}

#[test]
fn it_counts_from_its_place_to_the_end() {
    let rules = rules(
        "floor {
           rule home { when path == \"/home\" then tag \"home\" }
           limit many { per client concurrent 1 then block 429 }
           rule out { when path == \"/out\" then drop }
         }",
    );
    let state = State::new(Seed([1; 16]), rules.counter_specs());
    let (verdict, first) = judge(&rules, &state, "192.0.2.1", "/");
    assert_eq!((verdict, first.len()), (Verdict::Allow, 1));
    let (verdict, none) = judge(&rules, &state, "192.0.2.1", "/");
    assert_eq!((verdict, none.len()), (FULL, 0));
    let (verdict, other) = judge(&rules, &state, "192.0.2.2", "/out");
    assert_eq!((verdict, other.len()), (Verdict::Drop, 0), "refused behind the limit");
    let (verdict, _other) = judge(&rules, &state, "192.0.2.2", "/");
    assert_eq!(verdict, Verdict::Allow);
    drop(first);
    assert_eq!(judge(&rules, &state, "192.0.2.1", "/").0, Verdict::Allow);
}

#[test]
fn an_edit_forgets_nobody_and_a_limit_is_another_by_its_key_and_kind() {
    let text = |limit: &str| format!("floor {{ limit many {{ {limit} then block 429 keys 9 }} }}");
    let load = |limit: &str| rules(&text(limit));
    let old = load("per client concurrent 1");
    let state = State::new(Seed([1; 16]), old.counter_specs());
    let (_, held) = judge(&old, &state, "192.0.2.1", "/");
    for (limit, expected, name) in [
        ("per client concurrent 1", FULL, "the same"),
        ("where path != \"/x\" per client concurrent 1", FULL, "another condition"),
        ("per client concurrent 1 keys 8", FULL, "another size"),
        ("per client concurrent 2", Verdict::Allow, "one more"),
        ("per client, path concurrent 1", Verdict::Allow, "another key"),
        ("per client to 1/1m", Verdict::Allow, "another kind"),
    ] {
        let text = text(limit).replace("keys 8 then block 429 keys 9", "keys 8 then block 429");
        let new = rules(&text);
        let (next, _) = state.carry(new.counter_specs());
        assert_eq!(judge(&new, &next, "192.0.2.1", "/").0, expected, "{name}");
    }
    drop(held);
    assert_eq!(judge(&old, &state, "192.0.2.1", "/").0, Verdict::Allow);
}

#[test]
fn in_shadow_it_counts_and_does_not_act() {
    let rules = rules("floor { shadow limit many { per client concurrent 1 then block 429 } }");
    let state = State::new(Seed([1; 16]), rules.counter_specs());
    let (_, first) = judge(&rules, &state, "192.0.2.1", "/");
    let (verdict, second) = judge(&rules, &state, "192.0.2.1", "/");
    assert_eq!((first.len(), verdict, second.len()), (1, Verdict::Allow, 0));
}

#[test]
fn of_a_default_each_site_has_its_own_and_may_adjust_it() {
    let text = r#"
defaults { limit many { concurrent 2 then block 503 } }
site "b.example" { adjust many { concurrent 3 } }
test "of each site" {
  request GET "http://a.example/" { answered 200 after 10s } times 3
  expect block 503 by defaults.many
  request GET "http://b.example/" { answered 200 after 10s } times 3
  expect pass
  request GET "http://b.example/"
  expect block 503 by defaults.many
}
"#;
    assert_eq!(failures(text), Vec::<String>::new());
}

#[test]
fn what_does_not_go_together_is_refused_where_it_stands() {
    for (text, expected) in [
        ("floor { limit a { per client concurrent 0 then drop } }", "2:41 T012"),
        ("floor { limit a { per client concurrent 9 hold 1m then drop } }", "2:48 C002"),
        ("floor { limit a { per client to 1/1s concurrent 9 then drop } }", "2:49 C002"),
        ("floor { limit a { per client concurrent 9 burst 3 then drop } }", "2:43 P001"),
        ("floor { limit a { per client concurrent 9/1m then drop } }", "2:41 P001"),
        (
            "defaults { limit a { concurrent 9 then drop } } site \"x\" { adjust a { to 1/1m } }",
            "2:74 C002",
        ),
        (
            "defaults { limit a { concurrent 9 then drop } } site \"x\" { adjust a { hold 1m } }",
            "2:76 C002",
        ),
        (
            "defaults { limit a { to 1/1m then drop } } site \"x\" { adjust a { concurrent 1 } }",
            "2:77 C002",
        ),
        (
            "defaults { rule a { when true then drop } } site \"x\" { adjust a { concurrent 1 } }",
            "2:78 C002",
        ),
    ] {
        assert_eq!(complaints(text), [expected], "{text}");
    }
}
