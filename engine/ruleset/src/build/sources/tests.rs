//! Tests of ownership, limits, and files that a member cannot reach.

use std::cell::RefCell;
use std::sync::Arc;

use super::*;
use crate::build::memory_store::MemoryStore;

/// A store that records the requests.
pub(super) struct Noting<'s>(
    pub(super) &'s dyn SourceStore,
    pub(super) RefCell<Vec<(String, String)>>,
);

impl<'s> Noting<'s> {
    pub(super) fn of(store: &'s dyn SourceStore) -> Self {
        Self(store, RefCell::default())
    }

    fn note(&self, path: &str, within: &str) {
        self.1.borrow_mut().push((path.to_owned(), within.to_owned()));
    }
}

impl SourceStore for Noting<'_> {
    fn read(&self, path: &str, bytes_max: u64, within: &str) -> Result<Arc<[u8]>, ReadError> {
        self.note(path, within);
        self.0.read(path, bytes_max, within)
    }
    fn list(&self, folder: &str, within: &str, max: usize) -> Result<Vec<Entry>, ReadError> {
        self.note(&format!("{folder}/"), within);
        self.0.list(folder, within, max)
    }
    // A test of existence opens nothing.
    fn is_file(&self, path: &str, within: &str) -> bool {
        self.note(&format!("{path}?"), within);
        self.0.is_file(path, within)
    }
    fn real(&self, path: &str, within: &str) -> Result<String, ReadError> {
        self.0.real(path, within)
    }
}

fn root(entries: &[(&str, &str)]) -> String {
    let entry = |(name, file): &(&str, &str)| {
        format!(
            "member {name} {{ hosts {{ \"{name}.example\" }} may {{ list, extern, block }} file \
             \"{file}\" }}\n"
        )
    };
    let entries: String = entries.iter().map(entry).collect();
    format!("policy 1\ninclude \"floor.wall\"\n{entries}")
}

const FLOOR: &str = "policy 1\nlist drop: cidr = file \"lists/drop.txt\" max 10\n";

/// Returns a store in which alice and bob share `m`, and carol has `m/carol`.
fn host() -> MemoryStore {
    let entries = [("alice", "m/alice.wall"), ("bob", "m/bob.wall"), ("carol", "m/carol/c.wall")];
    MemoryStore::default()
        .with("root.wall", root(&entries))
        .with("floor.wall", FLOOR)
        .with("lists/drop.txt", "192.0.2.0/24\n")
        .with("m/alice.wall", "policy 1\n")
        .with("m/bob.wall", "policy 1\n")
        .with("m/carol/c.wall", "policy 1\n")
        .with("m/carol/own.txt", "192.0.2.1\n")
        .with("m/common.wall", "policy 1\n")
}

fn alice(text: &str) -> (Sources, Vec<(String, String)>) {
    let store = host().with("m/alice.wall", format!("policy 1\n{text}"));
    let noting = Noting::of(&store);
    let sources = Sources::gather("root.wall", &noting);
    (sources, noting.1.into_inner())
}

fn reached<'s>(sources: &'s Sources, name: &str) -> &'s Reached {
    sources.member(name).unwrap().reached()
}

#[test]
fn what_a_member_names_elsewhere_is_neither_opened_nor_hers() {
    let good = Sources::gather("root.wall", &host());
    let outside = ReadError::OutsideFolder { folder: "m".into() };
    let of = |by: &str| ReadError::Owned { by: Some(by.into()) };
    for (path, why) in [
        ("../floor.wall", outside.clone()),
        ("../root.wall", outside.clone()),
        ("../lists/drop.txt", outside),
        ("bob.wall", of("bob")),
        ("./x/../bob.wall", of("bob")),
        ("carol/c.wall", of("carol")),
        ("carol/own.txt", of("carol")),
    ] {
        for text in [
            format!("include \"{path}\""),
            format!("list x: cidr = file \"{path}\" max 9"),
            format!("extern f() -> int {{ module \"{path}\" on_failure return 1 }}"),
        ] {
            let (sources, asked) = alice(&text);
            let full = resolve("m/alice.wall", path).unwrap();
            if text.starts_with("include \"../") {
                let found = reached(&sources, "alice").included("m/alice.wall", path);
                assert_eq!(found, Err(why.clone()), "{text}");
            } else {
                assert_eq!(
                    reached(&sources, "alice").bytes(&full),
                    Some(&Err(why.clone())),
                    "{text}"
                );
            }
            assert_eq!(sources.host_digest(), good.host_digest(), "{text}");
            for other in ["bob", "carol"] {
                let digest = |of: &Sources| of.member(other).unwrap().digest();
                assert_eq!(digest(&sources), digest(&good), "{text}");
            }
            for path in ["floor.wall", "root.wall"] {
                assert_eq!(sources.owner(path), None, "{text}");
            }
            assert_eq!(sources.owner("m/bob.wall"), Some("bob"), "{text}");
            let once = asked.iter().filter(|(asked, _)| *asked == full).count();
            assert!(once <= 1, "{text}: {asked:?}");
        }
    }
}

#[test]
fn patterns_do_not_leave_the_folder_either() {
    for pattern in ["../*.wall", "../*", "/*", "../m2/*"] {
        let (sources, asked) = alice(&format!("include \"{pattern}\""));
        let found = reached(&sources, "alice").included("m/alice.wall", pattern);
        assert!(matches!(found, Err(ReadError::OutsideFolder { .. })), "{pattern}: {found:?}");
        assert!(asked.iter().all(|(path, _)| !path.ends_with('/')), "{asked:?}");
    }
    let (sources, _) = alice("include \"*.wall\"");
    let found = reached(&sources, "alice").included("m/alice.wall", "*.wall").unwrap();
    assert_eq!(found, ["m/alice.wall", "m/bob.wall", "m/common.wall"]);
    let bob = reached(&sources, "alice").bytes("m/bob.wall").unwrap();
    assert_eq!(bob, &Err(ReadError::Owned { by: Some("bob".into()) }));
    assert!(reached(&sources, "alice").held("m/common.wall").is_some());
    assert_eq!(sources.owner("m/bob.wall"), Some("bob"));
}

#[test]
fn links_lead_no_further_than_names_do() {
    let text = "policy 1\ninclude \"l.wall\"\nlist x: cidr = file \"l.txt\" max 9\n";
    let store = host()
        .with("m/alice.wall", text)
        .linking("m/l.wall", Some("m/bob.wall"))
        .linking("m/l.txt", Some("lists/drop.txt"));
    let sources = Sources::gather("root.wall", &store);
    let alice = reached(&sources, "alice");
    assert_eq!(alice.bytes("m/l.wall"), Some(&Err(ReadError::Owned { by: Some("bob".into()) })));
    let outside = ReadError::OutsideFolder { folder: "m".into() };
    assert_eq!(alice.bytes("m/l.txt"), Some(&Err(outside)));
    // Her own file can be such a link as well; a link inside her folder is valid.
    let store = host().linking("m/alice.wall", Some("m/bob.wall"));
    let sources = Sources::gather("root.wall", &store);
    assert!(reached(&sources, "alice").held("m/alice.wall").is_none());
    assert!(reached(&sources, "bob").held("m/bob.wall").is_some());
    let store = host().with("m/carol/..1/c", "policy 1\n");
    let store = store.linking("m/carol/c.wall", Some("m/carol/..1/c"));
    let sources = Sources::gather("root.wall", &store);
    assert!(reached(&sources, "carol").held("m/carol/c.wall").is_some());
}

#[test]
fn an_entry_does_not_take_what_is_somebodys() {
    let entries = [
        ("alice", "m/alice.wall"),
        ("bob", "m/alice.wall"),
        ("carol", "floor.wall"),
        ("dora", "../x.wall"),
    ];
    let store = host().with("root.wall", root(&entries));
    let sources = Sources::gather("root.wall", &store);
    let file = |name: &str| sources.member(name).unwrap().file();
    assert_eq!(file("alice"), Ok("m/alice.wall"));
    assert_eq!(file("bob"), Err(&ReadError::Owned { by: Some("alice".into()) }));
    assert_eq!(file("carol"), Err(&ReadError::Owned { by: None }));
    assert_eq!(file("dora"), Err(&ReadError::Outside));
    assert_eq!(sources.owner("m/alice.wall"), Some("alice"));
    // An entry in a member's own file has no effect.
    let store = host().with("m/alice.wall", root(&[("eve", "eve.wall")]));
    assert!(Sources::gather("root.wall", &store).member("eve").is_none());
}

#[test]
fn what_is_not_granted_is_not_opened() {
    let text = root(&[("alice", "m/alice.wall")]).replace("list, extern, ", "");
    let names = "policy 1\nlist x: cidr = file \"x.txt\" max 9\n\
                 extern f() -> int { module \"f.wasm\" on_failure return 1 }\n";
    let store = host().with("root.wall", text).with("m/alice.wall", names);
    let store = store.with("m/x.txt", "192.0.2.1\n").with("m/f.wasm", "x");
    let noting = Noting::of(&store);
    let sources = Sources::gather("root.wall", &noting);
    for (path, word) in [("m/x.txt", "list"), ("m/f.wasm", "extern")] {
        let why = Err(ReadError::NotGranted { word });
        assert_eq!(reached(&sources, "alice").bytes(path), Some(&why));
        assert!(noting.1.borrow().iter().all(|(asked, _)| asked != path));
    }
}

/// Checks that alice has no error at a limit, and this error beyond it.
#[track_caller]
fn past(limit: MemberLimit, store: impl Fn(usize) -> MemoryStore, most: usize) {
    let good = Sources::gather("root.wall", &host());
    let over = |n: usize| {
        let sources = Sources::gather("root.wall", &store(n));
        assert_eq!(sources.host_digest(), good.host_digest());
        assert!(sources.host().held("lists/drop.txt").is_some());
        assert!(reached(&sources, "bob").held("m/bob.wall").is_some());
        let alice = reached(&sources, "alice");
        let is = |why: Option<&ReadError>| why == Some(&ReadError::OverBudget(limit));
        alice.files.values().filter(|read| is(read.as_ref().err())).count()
            + alice.included.values().filter(|found| is(found.as_ref().err())).count()
    };
    assert_eq!(over(most), 0, "at the limit");
    assert_ne!(over(most + 1), 0, "past the limit");
}

fn lines(n: usize, line: impl Fn(usize) -> String) -> String {
    (0..n).map(line).collect()
}

#[test]
fn files_folders_and_entries_have_limits_of_her_own() {
    let files = |n: usize| {
        let text = lines(n - 1, |n| format!("include \"x{n}.wall\"\n"));
        host().with("m/alice.wall", format!("policy 1\n{text}"))
    };
    past(MemberLimit::Files, files, MEMBER_FILES_MAX);
    let folders = |n: usize| {
        let text = lines(n - 1, |n| format!("include \"x{n}/a.wall\"\n"));
        host().with("m/alice.wall", format!("policy 1\n{text}"))
    };
    past(MemberLimit::Folders, folders, MEMBER_FOLDERS_MAX);
    let entries = |n: usize| {
        // Two hundred patterns over one folder list it once.
        let text = lines(200, |n| format!("include \"d/y{n}*.wall\"\n"));
        let store = host().with("m/alice.wall", format!("policy 1\n{text}"));
        (0..n).fold(store, |store, n| store.with(&format!("m/d/{n}"), ""))
    };
    past(MemberLimit::Entries, entries, MEMBER_ENTRIES_MAX);
}

#[test]
fn bytes_have_limits_of_her_own() {
    let policy = |n: usize| {
        let text = "policy 1\ninclude \"x.wall\"\n";
        host().with("m/alice.wall", text).with("m/x.wall", vec![b'#'; n - text.len()])
    };
    past(MemberLimit::PolicyBytes, policy, MEMBER_POLICY_BYTES_MAX as usize);
    let list = |n: usize| {
        let text = "policy 1\nlist x: cidr = file \"x\" max 9\nlist y: cidr = file \"y\" max 9\n";
        let store = host().with("m/alice.wall", text).with("m/x", vec![b'#'; n / 2]);
        store.with("m/y", vec![b'#'; n - n / 2])
    };
    past(MemberLimit::ListBytes, list, MEMBER_LIST_BYTES_MAX as usize);
    let component = |n: usize| {
        let module =
            |f: &str| format!("extern {f}() -> int {{ module \"{f}\" on_failure return 1 }}\n");
        let store =
            host().with("m/alice.wall", format!("policy 1\n{}{}", module("x"), module("y")));
        store.with("m/x", vec![0; n / 2]).with("m/y", vec![0; n - n / 2])
    };
    past(MemberLimit::ComponentBytes, component, MEMBER_COMPONENT_BYTES_MAX as usize);
}

#[test]
fn comparing_names_with_patterns_ends() {
    let hard = |n: usize| format!("include \"*{}b{n}\"\n", "a".repeat(120));
    let store =
        (0..20).fold(host(), |store, n| store.with(&format!("m/{}{n}", "a".repeat(250)), ""));
    let store = store.with("m/alice.wall", format!("policy 1\n{}", lines(400, hard)));
    let sources = Sources::gather("root.wall", &store);
    let over = Err(ReadError::OverBudget(MemberLimit::MatchSteps));
    assert!(reached(&sources, "alice").included.values().any(|found| *found == over));
    assert!(reached(&sources, "alice").included.values().any(Result::is_ok));
}

#[test]
fn all_members_together_have_a_limit_that_the_host_has_no_part_in() {
    let names: Vec<String> = (0..40).map(|n| format!("n{n:02}")).collect();
    let files: Vec<String> = names.iter().map(|name| format!("m/{name}/a.wall")).collect();
    let entries: Vec<(&str, &str)> =
        names.iter().zip(&files).map(|(name, file)| (&**name, &**file)).collect();
    let text = "policy 1\nlist x: cidr = file \"x\" max 9\n";
    let store = host().with("root.wall", root(&entries));
    let list: Vec<u8> = vec![b'#'; MEMBER_LIST_BYTES_MAX as usize];
    let store = names.iter().zip(&files).fold(store, |store, (name, file)| {
        store.with(file, text).with(&format!("m/{name}/x"), list.clone())
    });
    let sources = Sources::gather("root.wall", &store);
    let over = |name: &String| {
        let read = reached(&sources, name).bytes(&format!("m/{name}/x")).unwrap();
        *read == Err(ReadError::OverBudget(MemberLimit::AllMembersBytes))
    };
    // Their texts take the size of one list.
    let first = names.iter().position(over).unwrap();
    assert_eq!(first as u64, MEMBERS_BYTES_MAX / MEMBER_LIST_BYTES_MAX - 1);
    assert!(names.iter().skip(first).all(over), "those that come later, in order");
    assert!(sources.host().held("lists/drop.txt").is_some());
}

#[test]
fn a_file_that_is_list_and_policy_is_followed() {
    let text = "policy 1\nlist x: cidr = file \"x.wall\" max 9\ninclude \"x.wall\"\n";
    let store = MemoryStore::default().with("root.wall", text);
    let store = store.with("x.wall", "policy 1\ninclude \"y.wall\"\n").with("y.wall", "policy 1\n");
    assert!(Sources::gather("root.wall", &store).is_policy("y.wall"));
}

#[test]
fn other_files_of_a_member_take_the_place_of_hers() {
    let good = Sources::gather("root.wall", &host());
    let (mut sources, _) = alice("include \"common.wall\"");
    assert_ne!(sources.digest(), good.digest());
    assert_eq!(sources.host_digest(), good.host_digest());
    sources.fill_members(|name| good.member(name).filter(|_| name == "alice"));
    assert_eq!(sources.digest(), good.digest());
    let mut sources = sources.host_policies();
    assert!(sources.held("root.wall").is_some());
    sources.fill_members(|name| good.member(name).filter(|_| name == "bob"));
    assert!(sources.member("alice").unwrap().is_absent());
    assert_eq!(
        (sources.held("m/alice.wall"), sources.owner("m/alice.wall")),
        (None, Some("alice"))
    );
}

#[test]
fn members_that_change_are_told_from_the_host() {
    let first = Sources::gather("root.wall", &host());
    let (second, _) = alice("include \"common.wall\"");
    let (third, _) = alice("include \"bob.wall\"");
    let mut settled = first.clone();
    assert!(settled.unsettle_differing(&second));
    assert_eq!(settled.unsettled().collect::<Vec<_>>(), ["alice"]);
    // The digest does not depend on the content that was read.
    let mut other = second.clone();
    assert!(other.unsettle_differing(&third));
    assert_eq!(settled.digest(), other.digest());
    let changed = Sources::gather("root.wall", &host().with("floor.wall", "policy 1\n"));
    assert!(!first.clone().unsettle_differing(&changed));
}

#[test]
fn paths_are_relative_to_their_file_and_stay_inside() {
    for (file, path, resolved) in [
        ("baseline.wall", "lists/drop.txt", Some("lists/drop.txt")),
        ("members/alice.wall", "keys.txt", Some("members/keys.txt")),
        ("members/alice.wall", "../lists/x", Some("lists/x")),
        ("members/alice.wall", "../../etc/passwd", None),
        ("baseline.wall", "/etc/passwd", None),
        ("baseline.wall", "a/../..", None),
        ("baseline.wall", "./a//b", Some("a/b")),
        ("baseline.wall", "", None),
    ] {
        assert_eq!(resolve(file, path).as_deref(), resolved, "{file} {path}");
    }
}
