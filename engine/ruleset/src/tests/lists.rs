//! List files: what is in force when one of them fails.

use seawall_model::{Tick, Verdict};
use seawall_state::{Seed, State};

use super::{assemble_all, get};
use crate::{KeptList, MemoryStore, Purpose, RuleSet, Severity};

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
    // At the path, which is what has to change.
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
    let kept = |text: &str| Ok(KeptList { bytes: text.as_bytes().into(), age_ms: 7_200_000 });
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
        assert_eq!(told.help.as_deref(), Some("the last good copy is in force, 2 hours old"));
        let rules = made.rules.unwrap();
        let state = State::new(Seed([1; 16]), rules.counter_specs());
        let decision = rules.decide(&get("192.0.2.7", "x", "/"), &state, Tick(1));
        assert_eq!(decision.verdict, Verdict::Drop);
        assert!(start("reject", file, kept("192.0.2.7")).rules.is_none());
        let useless = [
            (kept("192.0.2.1\n192.0.2.2\n192.0.2.3"), "it has 3 elements"),
            (kept("<html>"), "it holds no element"),
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
