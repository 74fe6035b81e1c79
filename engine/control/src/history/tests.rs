//! The history over a real folder.

use super::*;
use crate::outcome::{Cause, FileMark};

fn past(generation: u64, files: &[(&str, &str)]) -> Past {
    let mark = |(path, content): &(&str, &str)| FileMark {
        path: (*path).to_owned(),
        sha256: hexadecimal(&digest(content.as_bytes())),
    };
    Past { files: files.iter().map(mark).collect(), ..Past::test(generation, Cause::Change) }
}

fn blob(content: &str) -> Blob {
    (hexadecimal(&digest(content.as_bytes())), Arc::from(content.as_bytes()))
}

fn archive() -> (tempfile::TempDir, Archive) {
    let dir = tempfile::tempdir().unwrap();
    let archive = Archive::new(&dir.path().join("state"));
    (dir, archive)
}

#[test]
fn generations_and_files_come_back_as_they_were() {
    let (_dir, archive) = archive();
    assert_eq!(archive.load(), Index::default());
    let generations = vec![past(1, &[("a", "one")]), past(2, &[("a", "two"), ("b", "one")])];
    let aside = Some(Aside { content: "00".into(), serves: 1 });
    archive.keep(generations.clone(), aside.clone(), &[blob("one"), blob("two")]);
    let index = archive.load();
    assert_eq!((&index.generations, &index.aside), (&generations, &aside));
    assert_eq!(archive.read(&blob("two").0).as_deref(), Some(&b"two"[..]));
    assert!(generations.iter().all(|past| archive.has(past)));
}

#[test]
fn what_no_generation_names_is_removed() {
    let (_dir, archive) = archive();
    archive.keep(vec![past(1, &[("a", "one")])], None, &[blob("one")]);
    archive.keep(vec![past(2, &[("a", "two")])], None, &[blob("two")]);
    assert_eq!(archive.read(&blob("one").0), None);
    assert_eq!(archive.sizes().unwrap().len(), 1);
}

#[test]
fn a_content_that_is_not_what_it_was_is_none() {
    let (_dir, archive) = archive();
    archive.keep(vec![past(1, &[("a", "one")])], None, &[blob("one")]);
    fs::write(archive.folder.join(blob("one").0), "oned").unwrap();
    assert_eq!(archive.read(&blob("one").0), None);
    for name in ["", "../../etc/passwd", &"A".repeat(64), &"z".repeat(64)] {
        assert_eq!(archive.read(name), None, "{name}");
    }
}

#[test]
fn a_damaged_list_of_generations_is_set_aside() {
    let (_dir, archive) = archive();
    archive.keep(vec![past(1, &[("a", "one")])], None, &[blob("one")]);
    let place = archive.folder.join(INDEX);
    let whole = fs::read(&place).unwrap();
    for cut in 0..whole.len() {
        fs::write(&place, &whole[..cut]).unwrap();
        assert_eq!(archive.load(), Index::default(), "cut at {cut}");
        assert!(!place.exists());
    }
    let text = String::from_utf8(whole).unwrap();
    fs::write(&place, text.replace("\"version\":1", "\"version\":2")).unwrap();
    assert_eq!(archive.load(), Index::default());
}

#[test]
fn where_nothing_can_be_written_it_is_told_and_nothing_breaks() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("state"), "a file").unwrap();
    let archive = Archive::new(&dir.path().join("state"));
    let generation = past(1, &[("a", "one")]);
    archive.keep(vec![generation.clone()], None, &[blob("one")]);
    assert!(!archive.has(&generation));
    assert_eq!(archive.load(), Index::default());
}

#[test]
fn the_oldest_lose_their_files_first_and_two_keep_theirs() {
    let all = [
        past(1, &[("a", "1")]),
        past(2, &[("a", "2"), ("b", "4")]),
        past(3, &[("a", "3")]),
        past(4, &[("a", "4")]),
    ];
    let sizes: BTreeMap<String, u64> =
        ["1", "2", "3", "4"].iter().map(|content| (blob(content).0, 10)).collect();
    let kept = |bytes_max| {
        let wanted = within(&all, &sizes, bytes_max);
        let has = |past: &&Past| past.files.iter().all(|file| wanted.contains(&*file.sha256));
        all.iter().filter(has).map(|past| past.generation).collect::<Vec<_>>()
    };
    assert_eq!(kept(40), [1, 2, 3, 4]);
    assert_eq!(kept(39), [2, 3, 4]);
    assert_eq!(kept(30), [2, 3, 4]);
    assert_eq!(kept(29), [3, 4]);
    assert_eq!(kept(0), [3, 4], "what is in force and what was before it");
}
