//! The history in a real folder.

use seawall_admin_api::{FileDigest, Left, ReloadCause};

use super::*;

fn marks(files: &[(&str, &str)]) -> Marks {
    let mark = |(path, content): &(&str, &str)| FileDigest {
        path: (*path).to_owned(),
        sha256: hex(&digest(content.as_bytes())),
    };
    files.iter().map(mark).collect::<Vec<_>>().into()
}

fn past(generation: u64, files: &[(&str, &str)]) -> Arc<Past> {
    Arc::new(Past {
        files: marks(files),
        ..crate::generations::test_past(generation, ReloadCause::Change)
    })
}

/// Returns a generation of one file of the operator, and one of each member.
fn past_of(generation: u64, host: &str, members: &[(&str, &str)]) -> Arc<Past> {
    let part = |(name, content): &(&str, &str)| (Box::from(*name), marks(&[(name, content)]));
    let parts = members.iter().map(part).collect();
    Arc::new(Past { parts, ..Past::clone(&past(generation, &[("r", host)])) })
}

fn blob(content: &str) -> FileBlob {
    (hex(&digest(content.as_bytes())), Arc::from(content.as_bytes()))
}

fn archive() -> (tempfile::TempDir, GenerationStore) {
    let dir = tempfile::tempdir().unwrap();
    let archive = GenerationStore::new(&dir.path().join("state"));
    (dir, archive)
}

#[test]
fn generations_and_files_come_back_as_they_were() {
    let (_dir, archive) = archive();
    assert_eq!(archive.load(), GenerationIndex::default());
    let generations = vec![past(1, &[("a", "one")]), past(2, &[("a", "two"), ("b", "one")])];
    let left = Left { content: "00".into(), active_generation: 1 };
    let members = [("ann".into(), left.clone())].into();
    let aside = Some(RollbackPin { host: Some(left), members });
    archive.keep(generations.clone(), aside.clone(), &[blob("one"), blob("two")]);
    let index = archive.load();
    assert_eq!((&index.generations, &index.aside), (&generations, &aside));
    assert_eq!(archive.read(&blob("two").0).as_deref(), Some(&b"two"[..]));
    assert!(generations.iter().all(|past| archive.has(&past.files)));
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
        assert_eq!(archive.load(), GenerationIndex::default(), "cut at {cut}");
        assert!(!place.exists());
    }
    let text = String::from_utf8(whole).unwrap();
    fs::write(&place, text.replace("\"version\":2", "\"version\":3")).unwrap();
    assert_eq!(archive.load(), GenerationIndex::default());
}

#[test]
fn where_nothing_can_be_written_it_is_told_and_nothing_breaks() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("state"), "a file").unwrap();
    let archive = GenerationStore::new(&dir.path().join("state"));
    let generation = past(1, &[("a", "one")]);
    archive.keep(vec![generation.clone()], None, &[blob("one")]);
    assert!(!archive.has(&generation.files));
    assert_eq!(archive.load(), GenerationIndex::default());
}

/// Returns which contents are kept if each content of the generations has so many bytes.
fn kept(all: &[Arc<Past>], bytes: u64) -> Vec<u64> {
    let digests = all.iter().flat_map(|past| {
        past.files.iter().chain(past.parts.values().flat_map(|marks| marks.iter()))
    });
    let sizes = digests.map(|file| (file.sha256.clone(), bytes)).collect();
    let wanted = within(all, &sizes);
    let has = |marks: &Marks| marks.iter().all(|file| wanted.contains(&*file.sha256));
    let whole = |past: &&Arc<Past>| has(&past.files) && past.parts.values().all(has);
    all.iter().filter(whole).map(|past| past.generation).collect()
}

#[test]
fn the_oldest_of_the_host_lose_their_files_first_and_two_keep_theirs() {
    let all = [
        past(1, &[("a", "1")]),
        past(2, &[("a", "2"), ("b", "4")]),
        past(3, &[("a", "3")]),
        past(4, &[("a", "4")]),
    ];
    assert_eq!(kept(&all, HISTORY_BYTES_MAX / 4), [1, 2, 3, 4]);
    assert_eq!(kept(&all, HISTORY_BYTES_MAX / 4 + 1), [2, 3, 4]);
    assert_eq!(kept(&all, HISTORY_BYTES_MAX / 3), [2, 3, 4]);
    assert_eq!(kept(&all, HISTORY_BYTES_MAX / 3 + 1), [3, 4]);
    assert_eq!(
        kept(&all, HISTORY_BYTES_MAX * 2),
        [3, 4],
        "what is in force and what was before it"
    );
}

#[test]
fn what_a_member_saved_takes_no_room_of_the_hosts_files() {
    let hosts = ["one", "two", "two", "two"];
    let ann = ["a", "b", "c", "d"];
    let all: Vec<Arc<Past>> = (1..)
        .zip(hosts.iter().zip(ann))
        .map(|(number, (host, ann))| past_of(number, host, &[("ann", ann)]))
        .collect();
    let sizes = [
        ("one", 5),
        ("two", 5),
        ("a", 1),
        ("b", MEMBER_HISTORY_BYTES_MAX),
        ("c", 1),
        ("d", 1 << 40),
    ];
    let sizes = sizes.map(|(content, bytes)| (blob(content).0, bytes)).into();
    let wanted = within(&all, &sizes);
    let has = |content: &str| wanted.contains(&*blob(content).0);
    assert!(has("one") && has("two"), "before the generation in force, and three back");
    assert!(has("d"), "her part in force, however large");
    assert!(has("c") && !has("b") && has("a"), "hers of the past have a room of their own");
}

#[test]
fn one_member_and_all_members_have_a_room_at_it_and_past_it() {
    // One active content and one previous content of each member.
    let two = |members: u64, bytes: u64| {
        let names: Vec<String> = (0..members).map(|n| format!("m{n}")).collect();
        let of = |n: &str| -> Vec<(String, String)> {
            names.iter().map(|name| (name.clone(), format!("{name}{n}"))).collect()
        };
        let [old, new] = ["old", "new"].map(of);
        let refs = |all: &[(String, String)]| -> Vec<(&'static str, &'static str)> {
            let leak = |text: &String| -> &'static str { Box::leak(text.clone().into_boxed_str()) };
            all.iter().map(|(name, content)| (leak(name), leak(content))).collect()
        };
        let all = [past_of(1, "r", &refs(&old)), past_of(2, "r", &refs(&new))];
        let sizes: BTreeMap<String, u64> =
            old.iter().map(|(_, content)| (blob(content).0, bytes)).collect();
        let wanted: usize =
            within(&all, &sizes).iter().filter(|name| sizes.contains_key(**name)).count();
        wanted as u64
    };
    assert_eq!(two(1, MEMBER_HISTORY_BYTES_MAX), 1);
    assert_eq!(two(1, MEMBER_HISTORY_BYTES_MAX + 1), 0);
    let fit = MEMBERS_HISTORY_BYTES_MAX / MEMBER_HISTORY_BYTES_MAX;
    assert_eq!(two(fit, MEMBER_HISTORY_BYTES_MAX), fit);
    assert_eq!(two(fit + 3, MEMBER_HISTORY_BYTES_MAX), fit);
}

#[test]
fn rows_are_written_once_however_many_generations_have_them() {
    let (_dir, archive) = archive();
    let first = past_of(1, "one", &[("ann", "a"), ("bob", "b")]);
    let again = |generation| Arc::new(Past { generation, ..Past::clone(&first) });
    let one = written(std::slice::from_ref(&first), None).unwrap().len();
    let ten: Vec<Arc<Past>> = (1..=10).map(again).collect();
    let text = String::from_utf8(written(&ten, None).unwrap()).unwrap();
    assert_eq!(text.matches(&*blob("a").0).count(), 1);
    assert!(text.len() > one);
    archive.keep(ten, None, &[blob("one"), blob("a"), blob("b")]);
    let index = archive.load();
    let addresses: HashSet<usize> =
        index.generations.iter().map(|past| past.parts["ann"].address()).collect();
    assert_eq!(addresses.len(), 1, "and are one row again");
}

#[test]
fn a_list_that_would_be_too_large_to_be_read_is_written_without_members_files() {
    let (_dir, archive) = archive();
    // Members choose the length of their file names.
    let long = "p".repeat(usize::try_from(INDEX_BYTES_MAX).unwrap());
    let row: Marks = vec![FileDigest { path: long, sha256: blob("a").0 }].into();
    let parts = [("ann".into(), row)].into();
    let past = Arc::new(Past { parts, ..Past::clone(&past(1, &[("r", "one")])) });
    archive.keep(vec![past], None, &[blob("one")]);
    let index = archive.load();
    assert_eq!(index.generations[0].files, marks(&[("r", "one")]));
    assert_eq!((index.generations[0].parts.len(), index.generations[0].parts_gone), (0, 1));
}
