//! Property test: whatever a member writes, the files of the operator and of other members stay the
//! same.

use proptest::prelude::*;

use super::tests::Noting;
use super::*;
use crate::build::memory_store::MemoryStore;

const ROOT: &str = "policy 1\ninclude \"floor.wall\"\n\
    member alice { hosts { \"a.example\" } may { list, extern } file \"m/alice.wall\" }\n\
    member bob { hosts { \"b.example\" } may { list, extern } file \"m/bob.wall\" }\n\
    member carol { hosts { \"c.example\" } may { list } file \"c/carol.wall\" }\n";

fn store(texts: &[String]) -> MemoryStore {
    let list = "policy 1\nlist l: cidr = file \"l.txt\" max 9\ninclude \"own*.wall\"\n";
    let store = MemoryStore::default()
        .with("root.wall", ROOT)
        .with("floor.wall", "policy 1\nlist d: cidr = file \"lists/d.txt\" max 9\n")
        .with("lists/d.txt", "192.0.2.0/24\n")
        .with("m/bob.wall", list)
        .with("m/own1.wall", "policy 1\n")
        .with("m/l.txt", "192.0.2.1\n")
        .with("c/carol.wall", list)
        .with("c/own1.wall", "policy 1\n")
        .with("c/l.txt", "192.0.2.1\n")
        .linking("m/link.wall", Some("floor.wall"))
        .linking("m/peer.wall", Some("m/bob.wall"));
    match texts {
        [first, second] => store.with("m/alice.wall", &**first).with("m/mine.wall", &**second),
        _ => store.with("m/alice.wall", "policy 1\n"),
    }
}

fn path() -> impl Strategy<Value = String> {
    let part = prop::sample::select(vec![
        "..",
        ".",
        "m",
        "c",
        "lists",
        "floor.wall",
        "root.wall",
        "bob.wall",
        "carol.wall",
        "alice.wall",
        "mine.wall",
        "d.txt",
        "l.txt",
        "link.wall",
        "peer.wall",
        "*",
        "*.wall",
        "?",
        "",
        "own*",
        "\u{e9}",
    ]);
    let start = prop::sample::select(vec!["", "", "", "/", "../", "../../"]);
    (start, prop::collection::vec(part, 1..4))
        .prop_map(|(start, parts)| format!("{start}{}", parts.join("/")))
}

fn text() -> impl Strategy<Value = String> {
    let item = (0..4, path()).prop_map(|(kind, path)| match kind {
        0 => format!("include \"{path}\"\n"),
        1 => format!("list l: cidr = file \"{path}\" max 9\n"),
        2 => format!("extern f() -> int {{ module \"{path}\" on_failure return 1 }}\n"),
        _ => format!("member x {{ hosts {{ \"x\" }} may {{ list }} file \"{path}\" }}\n"),
    });
    let whole = prop::collection::vec(item, 0..12)
        .prop_map(|items| format!("policy 1\n{}", items.concat()));
    prop_oneof![8 => whole, 1 => ".*"]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn nothing_that_a_member_writes_changes_what_others_have(first in text(), second in text()) {
        let good = Sources::gather("root.wall", &store(&[]));
        let store = store(&[first, second]);
        let noting = Noting::of(&store);
        let sources = Sources::gather("root.wall", &noting);
        prop_assert_eq!(sources.host_digest(), good.host_digest());
        let names = |of: &Sources| of.members().iter().map(|m| m.name().to_owned()).collect::<Vec<_>>();
        prop_assert_eq!(names(&sources), names(&good));
        prop_assert_eq!(sources.member("carol").unwrap().digest(), good.member("carol").unwrap().digest());
        // bob shares the folder with alice. His pattern matches files that alice can create, and no
        // others.
        prop_assert_eq!(sources.member("bob").unwrap().digest(), good.member("bob").unwrap().digest());
        for path in ["root.wall", "floor.wall"] {
            prop_assert_eq!(sources.owner(path), None);
        }
        prop_assert_eq!(sources.owner("m/bob.wall"), Some("bob"));
        let alice = sources.member("alice").unwrap().reached();
        for (path, read) in &alice.files {
            if read.is_ok() {
                prop_assert!(path.starts_with("m/") && path != "m/bob.wall", "{}", path);
            }
        }
        for (path, within) in &*noting.1.borrow() {
            let is_hers = within != "m" || path.starts_with("m/");
            prop_assert!(is_hers, "asked for {} within {}", path, within);
        }
        let asked_twice = |path: &str| {
            noting.1.borrow().iter().filter(|(asked, within)| asked == path && !within.is_empty()).count() > 1
        };
        prop_assert!(!asked_twice("m/bob.wall"), "bob's file is opened for bob alone");
    }
}
