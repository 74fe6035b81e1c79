//! What is stored is read again, or it is rejected.

use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

struct Bench {
    dir: tempfile::TempDir,
    clock: Arc<AtomicU64>,
    shelf: ListCache,
}

fn bench() -> Bench {
    let (dir, clock) = (tempfile::tempdir().unwrap(), Arc::new(AtomicU64::new(1_000)));
    let shelf = shelf(&dir, &clock);
    Bench { dir, clock, shelf }
}

/// Returns a cache as another start of the program has it.
fn shelf(dir: &tempfile::TempDir, clock: &Arc<AtomicU64>) -> ListCache {
    let clock = clock.clone();
    ListCache::new(&dir.path().join("state"), Arc::new(move || Tick(clock.load(Ordering::Relaxed))))
}

fn good(name: &str, bytes: &str) -> Good {
    let digest = digest(bytes.as_bytes());
    Good { name: name.into(), path: "l.txt".into(), digest, bytes: Some(bytes.as_bytes().into()) }
}

fn stock(lists: Vec<Good>) -> PublishedLists {
    PublishedLists { lists, whole: true }
}

impl Bench {
    fn files(&self) -> Vec<PathBuf> {
        let folder = fs::read_dir(self.dir.path().join("state/lists")).into_iter().flatten();
        folder.map(|entry| entry.unwrap().path()).collect()
    }

    fn taken(&self, name: &str) -> Result<Option<(Vec<u8>, u64)>, String> {
        let taken = self.shelf.take(name, "l.txt", None)?;
        Ok(taken.map(|kept| (kept.bytes.to_vec(), kept.age_ms)))
    }
}

#[test]
fn what_is_put_away_is_taken_with_its_age() {
    let bench = bench();
    assert_eq!(bench.taken("a"), Ok(None));
    bench.shelf.put_away(&stock(vec![good("a", "one\n")]));
    bench.clock.store(5_000, Ordering::Relaxed);
    assert_eq!(bench.taken("a"), Ok(Some((b"one\n".to_vec(), 4_000))));
    assert_eq!(bench.taken("b"), Ok(None), "another list");
    assert_eq!(bench.shelf.take("a", "m.txt", None), Ok(None), "another file");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&bench.files()[0]), 0o600);
    assert_eq!(mode(&bench.dir.path().join("state/lists")), 0o700);
}

#[test]
fn the_same_content_keeps_its_age_over_a_restart_and_another_starts_anew() {
    let mut bench = bench();
    bench.shelf.put_away(&stock(vec![good("a", "one")]));
    bench.clock.store(3_000, Ordering::Relaxed);
    bench.shelf = shelf(&bench.dir, &bench.clock);
    bench.shelf.put_away(&stock(vec![good("a", "one")]));
    let from = ListSource::File;
    assert_eq!(bench.shelf.age("a", "l.txt"), Some(ListAge { age_ms: 2_000, from }));
    bench.shelf.put_away(&stock(vec![good("a", "two")]));
    assert_eq!(bench.shelf.age("a", "l.txt"), Some(ListAge { age_ms: 0, from }));
    assert_eq!(bench.taken("a"), Ok(Some((b"two".to_vec(), 0))));
    assert_eq!(bench.files().len(), 1);
}

#[test]
fn a_list_in_trouble_is_told_and_leaves_all_copies() {
    let bench = bench();
    bench.shelf.put_away(&stock(vec![good("a", "one"), good("b", "one")]));
    bench.clock.store(2_000, Ordering::Relaxed);
    bench.shelf.put_away(&stock(vec![Good { bytes: None, ..good("a", "one") }]));
    let from = ListSource::Cached;
    assert_eq!(bench.shelf.age("a", "l.txt"), Some(ListAge { age_ms: 1_000, from }));
    assert_eq!(bench.files().len(), 2);
    let nothing = Good { digest: [0; 32], bytes: None, ..good("a", "") };
    bench.shelf.put_away(&stock(vec![nothing]));
    assert_eq!(bench.shelf.age("a", "l.txt").unwrap().from, ListSource::Empty);
}

#[test]
fn copies_of_lists_that_are_named_no_more_go() {
    let bench = bench();
    bench.shelf.put_away(&stock(vec![good("a", "one"), good("b", "two")]));
    let other = bench.dir.path().join("state/lists/README");
    fs::write(&other, "mine").unwrap();
    fs::write(bench.files()[0].with_extension("new"), "half").unwrap();
    bench.shelf.put_away(&PublishedLists { lists: vec![good("a", "one")], whole: false });
    assert_eq!(bench.files().len(), 4, "where a member is left out, all stays");
    bench.shelf.put_away(&stock(vec![good("a", "one")]));
    assert_eq!(bench.files().len(), 2);
    assert!(other.exists());
    assert!(bench.taken("a").unwrap().is_some());
}

#[test]
fn a_damaged_copy_is_refused_and_written_anew() {
    let mut bench = bench();
    bench.shelf.put_away(&stock(vec![good("a", "one\n")]));
    let path = bench.files().remove(0);
    let whole = fs::read(&path).unwrap();
    let changed = |from: &str, to: &str| {
        String::from_utf8(whole.clone()).unwrap().replace(from, to).into_bytes()
    };
    let damaged = [
        changed("one", "two"),
        changed("list 1", "list 2"),
        whole[..whole.len() - 1].to_vec(),
        whole[..40].to_vec(),
        Vec::new(),
    ];
    for bytes in damaged {
        fs::write(&path, &bytes).unwrap();
        assert!(bench.taken("a").unwrap_err().contains("damaged"));
        bench.shelf = shelf(&bench.dir, &bench.clock);
        bench.shelf.put_away(&stock(vec![good("a", "one\n")]));
        assert_eq!(fs::read(&path).unwrap(), whole);
    }
}

#[test]
fn a_copy_of_what_was_read_is_not_taken() {
    let bench = bench();
    bench.shelf.put_away(&stock(vec![good("a", "one")]));
    let take = |read: &str| bench.shelf.take("a", "l.txt", Some(digest(read.as_bytes())));
    assert_eq!(take("one"), Ok(None));
    assert!(take("two").unwrap().is_some());
}

#[test]
fn what_cannot_be_written_is_tried_again() {
    let bench = bench();
    // A file at the folder's path.
    let state = bench.dir.path().join("state");
    fs::write(&state, "").unwrap();
    bench.shelf.put_away(&stock(vec![good("a", "one")]));
    assert_eq!(bench.shelf.age("a", "l.txt").unwrap().from, ListSource::File);
    fs::remove_file(&state).unwrap();
    bench.shelf.put_away(&stock(vec![good("a", "one")]));
    assert!(bench.taken("a").unwrap().is_some());
}
