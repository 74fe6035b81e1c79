//! What is written is read again, or it is moved aside.

use std::os::unix::fs::PermissionsExt;

use seawall_ruleset::{Sources, Stored};

use super::*;

fn good(text: &str, generation: u64) -> Good {
    let host = "policy 1\nmember ann { hosts { \"a.example\" } file \"m/a.wall\" }\n";
    let files = [("r", host), ("m/a.wall", text)];
    let files =
        files.into_iter().map(|(path, text)| (path.to_owned(), text.as_bytes().into())).collect();
    let sources = Sources::gather("r", &Stored::new(&files, &|_, _| Ok(None)));
    let sources = sources.member("ann").unwrap().clone();
    let since = Since { generation, content: hex(&sources.content()) };
    Good { sources, since }
}

fn named(names: &[&str]) -> BTreeSet<Box<str>> {
    names.iter().map(|name| Box::from(*name)).collect()
}

fn write(copies: &LastGood, text: &str, generation: u64) {
    copies.note(vec![good(text, generation)], named(&["ann"]), true);
    copies.write();
}

#[test]
fn what_is_written_is_read_by_another_process_with_its_generation() {
    let dir = tempfile::tempdir().unwrap();
    let copies = LastGood::open(dir.path());
    write(&copies, "policy 1\n", 7);
    let again = LastGood::open(dir.path());
    assert_eq!(again.since("ann"), Some(good("policy 1\n", 7).since));
    assert_eq!(&*again.read("ann").unwrap()["m/a.wall"], b"policy 1\n");
    assert!(again.read("bob").is_none());
    let mode = fs::metadata(again.place("ann")).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
}

#[test]
fn a_copy_that_is_damaged_anywhere_is_set_aside() {
    let dir = tempfile::tempdir().unwrap();
    write(&LastGood::open(dir.path()), "policy 1\n", 7);
    let place = LastGood::open(dir.path()).place("ann");
    let whole = fs::read(&place).unwrap();
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        fs::write(&place, &bytes).unwrap();
        assert!(LastGood::open(dir.path()).read("ann").is_none(), "byte {at}");
        assert!(!place.exists(), "byte {at}");
    }
    for cut in [0, 1, whole.len() / 2, whole.len() - 1] {
        fs::write(&place, &whole[..cut]).unwrap();
        assert!(LastGood::open(dir.path()).since("ann").is_none(), "cut at {cut}");
    }
    fs::write(&place, &whole).unwrap();
    assert!(LastGood::open(dir.path()).read("ann").is_some());
}

#[test]
fn a_copy_goes_when_nothing_is_left_out_and_nobody_names_the_member() {
    let dir = tempfile::tempdir().unwrap();
    let copies = LastGood::open(dir.path());
    write(&copies, "policy 1\n", 1);
    copies.note(Vec::new(), named(&[]), false);
    copies.write();
    assert!(copies.since("ann").is_some(), "something was left out");
    copies.note(Vec::new(), named(&[]), true);
    copies.write();
    assert!(copies.since("ann").is_none() && !copies.place("ann").exists());
}

#[test]
fn there_is_no_room_past_the_limit_and_what_nobody_names_makes_room() {
    let dir = tempfile::tempdir().unwrap();
    let copies = LastGood::open(dir.path());
    let since = Since { generation: 1, content: String::new() };
    let fill = |bytes| Kept { since: since.clone(), bytes };
    copies.book().kept.insert("bob".into(), fill(LAST_GOOD_BYTES_MAX));
    copies.note(vec![good("policy 1\n", 2)], named(&["ann", "bob"]), false);
    copies.write();
    assert!(copies.since("ann").is_none(), "past the limit");
    copies.book().kept.insert("bob".into(), fill(LAST_GOOD_BYTES_MAX - BLOCK_BYTES));
    write(&copies, "policy 1\n", 2);
    assert!(copies.since("ann").is_some(), "at the limit");

    let copies = LastGood::open(&dir.path().join("other"));
    copies.book().kept.insert("gone".into(), fill(LAST_GOOD_BYTES_MAX));
    copies.note(vec![good("policy 1\n", 2)], named(&["ann"]), false);
    copies.write();
    assert!(copies.since("ann").is_some() && copies.since("gone").is_none());
}
