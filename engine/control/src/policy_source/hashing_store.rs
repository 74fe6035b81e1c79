//! The policy folder, with a cache of files.
//!
//! A file that was not written since is not read again: its time, size and inode show that, once it
//! has been unchanged for some seconds. The cache has a maximum, and the smallest files are cached
//! first. So a server with a thousand members reads what changed, and a list of a hundred megabytes
//! is not stored twice.
//!
//! Limitation: on a file system without a change time, a writer that resets a file's times is not
//! noticed until the size changes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use seawall_ruleset::{CachedList, Entry, ReadError, SourceStore};

use crate::policy_source::list_cache::ListCache;
use crate::policy_source::policy_dir::PolicyDir;
use crate::policy_source::read_file::{Mark, Read};
use crate::storage::digest::digest;

/// Maximum bytes of files that are cached between two readings.
pub(super) const HELD_BYTES_MAX: usize = 64 << 20;

/// A store that remembers each file as it was last read, and where good copies of lists lie.
pub(super) struct HashingStore {
    inner: PolicyDir,
    known: Mutex<BTreeMap<String, Known>>,
    seen: Mutex<Seen>,
    shelf: Option<ListCache>,
}

/// A file as it was last read.
struct Known {
    digest: Option<[u8; 32]>,
    bytes: Option<Arc<[u8]>>,
    /// The same if it is too large for the cache: available while the last reading is in use.
    lent: Weak<[u8]>,
    mark: Option<Mark>,
    /// It was used in the current reading.
    used: bool,
}

impl Known {
    fn bytes(&self) -> Option<Arc<[u8]>> {
        self.bytes.clone().or_else(|| self.lent.upgrade())
    }
}

/// The folders of a reading.
#[derive(Default)]
pub(super) struct Seen {
    /// Of the last completed reading.
    pub(super) folders: Vec<PathBuf>,
    now: Vec<PathBuf>,
    once: BTreeSet<PathBuf>,
    /// The folders as they are written.
    ways: BTreeSet<String>,
}

impl Seen {
    fn note(&mut self, folder: &Path) {
        if !self.once.contains(folder) {
            self.once.insert(folder.to_owned());
            self.now.push(folder.to_owned());
        }
    }
}

impl HashingStore {
    pub(super) fn new(inner: PolicyDir, shelf: Option<ListCache>) -> Self {
        Self { inner, known: Mutex::default(), seen: Mutex::default(), shelf }
    }

    pub(super) fn shelf(&self) -> Option<&ListCache> {
        self.shelf.as_ref()
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a reading.
    pub(super) fn begin(&self) {
        self.known().values_mut().for_each(|known| known.used = false);
        let mut seen = self.seen();
        seen.now.clear();
        seen.once.clear();
        seen.ways.clear();
    }

    /// Ends a reading: files that it did not use are forgotten, and the cache is reduced to its
    /// maximum.
    pub(super) fn end(&self) {
        let mut known = self.known();
        known.retain(|_, known| known.used);
        let size = |known: &Known| known.bytes.as_ref().map_or(0, |bytes| bytes.len());
        let mut held: Vec<&mut Known> = known.values_mut().collect();
        held.sort_by_key(|known| size(known));
        let mut left = Some(HELD_BYTES_MAX);
        for known in held {
            left = left.and_then(|left| left.checked_sub(size(known)));
            if left.is_none() {
                known.bytes = None;
            }
        }
        let mut seen = self.seen();
        seen.folders = std::mem::take(&mut seen.now);
    }

    /// Records the folders that lead to a path, without links that stand for the path itself.
    fn look(&self, path: &str) {
        let mut seen = self.seen();
        let mut at = path;
        while let Some((folder, _)) = at.rsplit_once('/') {
            if !seen.ways.insert(folder.to_owned()) {
                return;
            }
            if let Ok(real) = self.inner.resolve(folder, "") {
                seen.note(&real);
            }
            at = folder;
        }
        if let Ok(root) = self.inner.resolve(".", "") {
            seen.note(&root);
        }
    }
}

impl SourceStore for HashingStore {
    fn read(&self, path: &str, bytes_max: u64, within: &str) -> Result<Arc<[u8]>, ReadError> {
        self.look(path);
        let place = self.inner.resolve(path, within);
        if let Some(folder) = place.as_ref().ok().and_then(|place| place.parent()) {
            self.seen().note(folder);
        }
        let mut all = self.known();
        let held = all.get(path).and_then(|known| Some((known.mark?, known.bytes()?)));
        let mark = held.as_ref().map(|(mark, _)| *mark);
        match place.and_then(|place| PolicyDir::read_since(&place, bytes_max, mark)) {
            Ok(Read::Same) => {
                if let Some(known) = all.get_mut(path) {
                    known.used = true;
                }
                held.map(|(_, bytes)| bytes).ok_or(ReadError::Changing)
            }
            Ok(Read::New(bytes, mark)) => {
                let bytes: Arc<[u8]> = bytes.into();
                let before = all.get(path);
                // Comparing takes a tenth of the time of hashing.
                let is_same = before.is_some_and(|known| {
                    (mark.is_some() && known.mark == mark) || known.bytes().as_ref() == Some(&bytes)
                });
                let digest = before.filter(|_| is_same).and_then(|known| known.digest);
                let (lent, held) = (Arc::downgrade(&bytes), Some(Arc::clone(&bytes)));
                let known = Known { digest, bytes: held, lent, mark, used: true };
                all.insert(path.to_owned(), known);
                Ok(bytes)
            }
            Err(why) => {
                all.remove(path);
                Err(why)
            }
        }
    }

    fn digest(&self, path: &str, bytes: &Arc<[u8]>) -> [u8; 32] {
        let mut all = self.known();
        let Some(known) = all.get_mut(path) else { return digest(bytes) };
        if !known.bytes().is_some_and(|held| Arc::ptr_eq(&held, bytes)) {
            return digest(bytes);
        }
        *known.digest.get_or_insert_with(|| digest(bytes))
    }

    fn list(
        &self,
        folder: &str,
        within: &str,
        entries_max: usize,
    ) -> Result<Vec<Entry>, ReadError> {
        self.look(&format!("{folder}/."));
        self.inner.list(folder, within, entries_max)
    }

    fn is_file(&self, path: &str, within: &str) -> bool {
        self.look(path);
        self.inner.is_file(path, within)
    }

    fn real(&self, path: &str, within: &str) -> Result<String, ReadError> {
        self.inner.real(path, within)
    }

    fn kept_list(&self, name: &str, path: &str) -> Result<Option<CachedList>, String> {
        let Some(shelf) = &self.shelf else { return Ok(None) };
        let read = self.known().get(path).and_then(|known| known.digest);
        shelf.take(name, path, read)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use seawall_ruleset::Sources;

    use super::*;

    struct Bench {
        dir: tempfile::TempDir,
        store: HashingStore,
    }

    impl Bench {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let store = HashingStore::new(PolicyDir::new(dir.path()), None);
            Self { dir, store }
        }

        fn write(&self, text: &str) {
            fs::write(self.dir.path().join("a.wall"), text).unwrap();
        }

        fn gather(&self) -> Sources {
            self.store.begin();
            let sources = Sources::gather("a.wall", &self.store);
            self.store.end();
            sources
        }
    }

    #[track_caller]
    fn is_right(sources: &Sources, text: &str) {
        assert_eq!(sources.sha256("a.wall"), Some(digest(text.as_bytes())));
        assert_eq!(sources.text("a.wall"), text);
    }

    #[test]
    fn whatever_was_written_since_is_read_again() {
        let bench = Bench::new();
        bench.write("policy 1\n");
        is_right(&bench.gather(), "policy 1\n");
        is_right(&bench.gather(), "policy 1\n");
        // The same length and another content, within one tick of the file system's clock.
        for n in 0..50 {
            let text = format!("policy {}\n", n % 10);
            bench.write(&text);
            is_right(&bench.gather(), &text);
        }
        fs::remove_file(bench.dir.path().join("a.wall")).unwrap();
        assert_eq!(bench.gather().sha256("a.wall"), None);
        assert!(bench.store.known().is_empty());
    }

    #[test]
    fn a_file_that_was_left_alone_is_not_read_again() {
        let bench = Bench::new();
        bench.write("policy 1\n");
        let first = bench.gather();
        // Its times are recent, so they do not show a change yet.
        assert!(bench.store.known()["a.wall"].mark.is_none());
        let again = bench.gather();
        assert!(!Arc::ptr_eq(&first.held("a.wall").unwrap(), &again.held("a.wall").unwrap()));
        // As if time had passed: the mark as it would be taken then.
        let place = bench.dir.path().join("a.wall");
        let later = crate::policy_source::read_file::wall() + Duration::from_secs(60);
        let mark = crate::policy_source::read_file::mark_at(&place, later);
        assert!(mark.is_some());
        bench.store.known().get_mut("a.wall").unwrap().mark = mark;
        let (third, fourth) = (bench.gather(), bench.gather());
        assert!(Arc::ptr_eq(&again.held("a.wall").unwrap(), &third.held("a.wall").unwrap()));
        assert!(Arc::ptr_eq(&third.held("a.wall").unwrap(), &fourth.held("a.wall").unwrap()));
        bench.write("policy 2\n");
        is_right(&bench.gather(), "policy 2\n");
    }

    #[test]
    fn more_than_may_be_held_is_held_by_whoever_uses_it() {
        let bench = Bench::new();
        let large = vec![b'#'; HELD_BYTES_MAX + 1];
        fs::write(bench.dir.path().join("l.txt"), large).unwrap();
        bench.write("policy 1\nlist l: cidr = file \"l.txt\" max 9\n");
        let first = bench.gather();
        assert!(first.held("l.txt").is_some());
        let held = |path: &str| bench.store.known()[path].bytes.is_some();
        assert_eq!((held("a.wall"), held("l.txt")), (true, false));
        assert!(bench.store.known()["l.txt"].bytes().is_some());
        drop(first);
        assert!(bench.store.known()["l.txt"].bytes().is_none());
    }

    #[test]
    fn as_much_is_held_as_may_be_and_the_smallest_first() {
        let bench = Bench::new();
        let policy = "policy 1\nlist l: cidr = file \"l.txt\" max 9\n";
        bench.write(policy);
        let held = |path: &str| bench.store.known()[path].bytes.is_some();
        let list = |bytes: usize| {
            fs::write(bench.dir.path().join("l.txt"), vec![b'#'; bytes]).unwrap();
            drop(bench.gather());
            (held("a.wall"), held("l.txt"))
        };
        assert_eq!(list(HELD_BYTES_MAX - policy.len()), (true, true), "at it");
        assert_eq!(list(HELD_BYTES_MAX - policy.len() + 1), (true, false), "past it");
    }

    #[test]
    fn folders_are_told_with_those_that_lead_there() {
        let bench = Bench::new();
        let root = fs::canonicalize(bench.dir.path()).unwrap();
        fs::create_dir_all(root.join("v1/deep")).unwrap();
        std::os::unix::fs::symlink("v1", root.join("now")).unwrap();
        fs::write(root.join("v1/deep/b.wall"), "policy 1\n").unwrap();
        bench.write("policy 1\ninclude \"now/deep/*.wall\"\n");
        bench.gather();
        let folders = &bench.store.seen().folders;
        let wanted = [root.clone(), root.join("v1/deep"), root.join("v1")];
        assert_eq!(folders.iter().collect::<BTreeSet<_>>(), wanted.iter().collect());
    }
}
