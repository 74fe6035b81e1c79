//! The policy root on the disk, from which `ruleset` reads its sources.
//!
//! No path leaves the root, and no path of a member leaves the member's folder. A path is resolved
//! with all its links, and the resolved path is opened without following a link that replaced the
//! file since. Links inside the root are permitted, because Kubernetes mounts consist of them.
//!
//! Limitation: a user that swaps whole directories inside the root during a read can race the
//! resolution. Such a user can write the policy anyway.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use seawall_ruleset::{CachedList, Entry, ReadError, SourceStore};

use crate::policy_source::read_file::{self, FileReadError, Mark, Read};
use crate::util::stop_flag::StopFlag;

/// A folder as a store of policies.
#[derive(Debug)]
pub struct PolicyDir {
    root: PathBuf,
}

impl PolicyDir {
    /// Returns the store below `root`. It is resolved at each read, so the folder may be swapped.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        let root = if root.as_os_str().is_empty() { Path::new(".") } else { root };
        Self { root: root.to_owned() }
    }

    /// Returns the real path of `path`. It must lie inside the real path of the folder `within`,
    /// and that inside the root.
    pub(crate) fn resolve(&self, path: &str, within: &str) -> Result<PathBuf, ReadError> {
        self.resolve_below(path, within).map(|(_, place)| place)
    }

    /// Returns the real paths of the root, and of `path` in it.
    fn resolve_below(&self, path: &str, within: &str) -> Result<(PathBuf, PathBuf), ReadError> {
        let (path, within) = (Path::new(path), Path::new(within));
        if path.is_absolute() || within.is_absolute() {
            return Err(ReadError::Outside);
        }
        let real =
            |path: &Path| fs::canonicalize(path).map_err(|error| describe_error(error.into()));
        let root = real(&self.root)?;
        let inside = |path: &Path, folder: &Path| {
            let place = real(&root.join(path))?;
            if place.starts_with(folder) { Ok(place) } else { Err(ReadError::Outside) }
        };
        let place = match within.as_os_str().is_empty() {
            true => inside(path, &root)?,
            false => inside(path, &inside(within, &root)?)?,
        };
        Ok((root, place))
    }

    /// Returns the bytes of the file at a resolved path with its mark, or that it is unchanged
    /// since `before`.
    pub(crate) fn read_since(
        place: &Path,
        bytes_max: u64,
        before: Option<Mark>,
    ) -> Result<Read, ReadError> {
        read_file::read_since(place, bytes_max, before).map_err(describe_error)
    }
}

impl SourceStore for PolicyDir {
    fn read(&self, path: &str, bytes_max: u64, within: &str) -> Result<Arc<[u8]>, ReadError> {
        let real = self.resolve(path, within)?;
        read_file::read_resolved(&real, bytes_max).map(Into::into).map_err(describe_error)
    }

    fn list(
        &self,
        folder: &str,
        within: &str,
        entries_max: usize,
    ) -> Result<Vec<Entry>, ReadError> {
        let place = match self.resolve(if folder.is_empty() { "." } else { folder }, within) {
            Ok(place) if place.is_dir() => place,
            Ok(_) | Err(ReadError::Missing) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let entries = fs::read_dir(place).map_err(|error| describe_error(error.into()))?;
        let mut found = Vec::new();
        for entry in entries.take(entries_max.saturating_add(1)) {
            let entry = entry.map_err(|error| describe_error(error.into()))?;
            let may_be_folder =
                entry.file_type().is_ok_and(|kind| kind.is_dir() || kind.is_symlink());
            // A name that is not UTF-8 cannot be written in a policy, but it counts in the listing.
            let name = entry.file_name().to_string_lossy().into_owned();
            found.push(Entry { name, may_be_folder });
        }
        Ok(found)
    }

    fn is_file(&self, path: &str, within: &str) -> bool {
        self.resolve(path, within).is_ok_and(|real| real.is_file())
    }

    fn real(&self, path: &str, within: &str) -> Result<String, ReadError> {
        let (root, real) = self.resolve_below(path, within)?;
        let below = real.strip_prefix(&root).map_err(|_| ReadError::Outside)?;
        Ok(below.to_string_lossy().into_owned())
    }
}

/// A store that reports all files as changing once a flag is set: so a reading of many thousand
/// files ends, and its result is not used.
pub(crate) struct Stoppable<'s, S> {
    pub(crate) inner: &'s S,
    pub(crate) stop: &'s StopFlag,
}

impl<S> Stoppable<'_, S> {
    fn wanted(&self) -> Result<&S, ReadError> {
        if self.stop.is_stopped() { Err(ReadError::Changing) } else { Ok(self.inner) }
    }
}

impl<S: SourceStore> SourceStore for Stoppable<'_, S> {
    fn read(&self, path: &str, bytes_max: u64, within: &str) -> Result<Arc<[u8]>, ReadError> {
        self.wanted()?.read(path, bytes_max, within)
    }

    fn list(
        &self,
        folder: &str,
        within: &str,
        entries_max: usize,
    ) -> Result<Vec<Entry>, ReadError> {
        self.wanted()?.list(folder, within, entries_max)
    }

    fn is_file(&self, path: &str, within: &str) -> bool {
        self.wanted().is_ok_and(|inner| inner.is_file(path, within))
    }

    fn real(&self, path: &str, within: &str) -> Result<String, ReadError> {
        self.wanted()?.real(path, within)
    }

    fn digest(&self, path: &str, bytes: &Arc<[u8]>) -> [u8; 32] {
        self.inner.digest(path, bytes)
    }

    fn kept_list(&self, name: &str, path: &str) -> Result<Option<CachedList>, String> {
        self.inner.kept_list(name, path)
    }
}

fn describe_error(error: FileReadError) -> ReadError {
    match error {
        FileReadError::Missing => ReadError::Missing,
        FileReadError::Unreadable(why) => ReadError::Unreadable(why),
        FileReadError::TooLarge { bytes_max } => ReadError::TooLarge { bytes_max },
        FileReadError::NotAFile => ReadError::NotAFile,
        FileReadError::Changing => ReadError::Changing,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use seawall_ruleset::{GLOB_ENTRIES_MAX, Sources};

    use super::*;

    fn folder() -> (tempfile::TempDir, PolicyDir) {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        fs::create_dir_all(root.join("lists")).unwrap();
        fs::write(root.join("a.wall"), "policy").unwrap();
        fs::write(dir.path().join("secret"), "outside").unwrap();
        let store = PolicyDir::new(&root);
        (dir, store)
    }

    #[test]
    fn a_file_is_read_up_to_its_limit() {
        let (_dir, store) = folder();
        assert_eq!(&*store.read("a.wall", 6, "").unwrap(), b"policy");
        assert!(matches!(store.read("a.wall", 5, ""), Err(ReadError::TooLarge { bytes_max: 5 })));
    }

    #[test]
    fn whatever_leads_out_of_the_root_is_refused() {
        let (dir, store) = folder();
        let root = dir.path().join("root");
        symlink("../secret", root.join("link")).unwrap();
        symlink("..", root.join("up")).unwrap();
        symlink(dir.path().join("secret"), root.join("absolute")).unwrap();
        symlink("link", root.join("chain")).unwrap();
        fs::create_dir(dir.path().join("root-but-longer")).unwrap();
        fs::write(dir.path().join("root-but-longer/x"), "").unwrap();
        symlink("../root-but-longer/x", root.join("prefix")).unwrap();
        let absolute = dir.path().join("root/a.wall");
        for path in [
            "link",
            "up/secret",
            "absolute",
            "chain",
            "prefix",
            "../secret",
            "lists/../../secret",
            absolute.to_str().unwrap(),
        ] {
            assert!(matches!(store.read(path, 99, ""), Err(ReadError::Outside)), "{path}");
        }
        symlink("lists/../a.wall", root.join("inside")).unwrap();
        assert_eq!(&*store.read("inside", 99, "").unwrap(), b"policy");
    }

    #[test]
    fn a_link_that_turns_outward_is_refused_from_then_on() {
        let (dir, store) = folder();
        let link = dir.path().join("root/current");
        symlink("a.wall", &link).unwrap();
        assert_eq!(&*store.read("current", 99, "").unwrap(), b"policy");
        symlink("../secret", dir.path().join("root/next")).unwrap();
        fs::rename(dir.path().join("root/next"), &link).unwrap();
        assert!(matches!(store.read("current", 99, ""), Err(ReadError::Outside)));
    }

    #[test]
    fn a_swapped_root_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["one", "two"] {
            fs::create_dir(dir.path().join(name)).unwrap();
            fs::write(dir.path().join(name).join("a"), name).unwrap();
        }
        symlink("one", dir.path().join("root")).unwrap();
        let store = PolicyDir::new(&dir.path().join("root"));
        assert_eq!(&*store.read("a", 99, "").unwrap(), b"one");
        symlink("two", dir.path().join("next")).unwrap();
        fs::rename(dir.path().join("next"), dir.path().join("root")).unwrap();
        assert_eq!(&*store.read("a", 99, "").unwrap(), b"two");
    }

    #[test]
    fn what_is_no_readable_file_says_what_it_is() {
        let (dir, store) = folder();
        let root = dir.path().join("root");
        let fifo = root.join("fifo");
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        assert!(matches!(store.read("fifo", 99, ""), Err(ReadError::NotAFile)));
        assert!(matches!(store.read("lists", 99, ""), Err(ReadError::NotAFile)));
        assert!(matches!(store.read("none", 99, ""), Err(ReadError::Missing)));
        symlink("loop", root.join("loop")).unwrap();
        assert!(store.read("loop", 99, "").is_err());
        fs::set_permissions(root.join("a.wall"), fs::Permissions::from_mode(0o000)).unwrap();
        // Root can read all files.
        let root_user = fs::File::open(root.join("a.wall")).is_ok();
        let read = store.read("a.wall", 99, "");
        assert!(root_user || matches!(read, Err(ReadError::Unreadable(_))), "{read:?}");
    }

    /// Returns the files that a pattern of the operator matches.
    fn globbed(store: &PolicyDir, pattern: &str) -> Result<Vec<String>, ReadError> {
        let place = store.root.join("globbing");
        fs::write(place, format!("policy 1\ninclude \"{pattern}\"\n")).unwrap();
        Sources::gather("globbing", store).host().included("globbing", pattern)
    }

    /// A store that sets a flag at its fifth read.
    struct Told<'t>(&'t PolicyDir, &'t StopFlag, std::cell::Cell<usize>);

    impl SourceStore for Told<'_> {
        fn read(&self, path: &str, bytes_max: u64, within: &str) -> Result<Arc<[u8]>, ReadError> {
            self.2.set(self.2.get() + 1);
            if self.2.get() == 5 {
                self.1.stop();
            }
            self.0.read(path, bytes_max, within)
        }
        fn list(&self, at: &str, within: &str, most: usize) -> Result<Vec<Entry>, ReadError> {
            self.0.list(at, within, most)
        }
        fn is_file(&self, path: &str, within: &str) -> bool {
            self.0.is_file(path, within)
        }
    }

    #[test]
    fn a_reading_that_is_stopped_reads_no_more_and_is_not_believed() {
        let (dir, store) = folder();
        let lists = dir.path().join("root/lists");
        (0..50).for_each(|n| fs::write(lists.join(format!("{n}.wall")), "policy 1\n").unwrap());
        fs::write(dir.path().join("root/r.wall"), "policy 1\ninclude \"lists/*.wall\"\n").unwrap();
        let stop = StopFlag::default();
        let told = Told(&store, &stop, std::cell::Cell::default());
        let sources = Sources::gather("r.wall", &Stoppable { inner: &told, stop: &stop });
        assert!(sources.changing());
        assert_eq!(told.2.get(), 5);
        let none = Sources::gather("r.wall", &Stoppable { inner: &told, stop: &stop });
        assert!(none.changing());
        assert_eq!(told.2.get(), 5);
    }

    #[test]
    fn a_pattern_finds_files_in_the_order_of_counting() {
        let (dir, store) = folder();
        let root = dir.path().join("root");
        for name in ["m10.wall", "m2.wall", "m1.wall", "m2.txt", ".hidden.wall", "b.wall"] {
            fs::write(root.join("lists").join(name), "").unwrap();
        }
        fs::create_dir(root.join("lists/dir.wall")).unwrap();
        symlink("../../secret", root.join("lists/out.wall")).unwrap();
        let found = globbed(&store, "lists/*.wall").unwrap();
        assert_eq!(found, ["lists/b.wall", "lists/m1.wall", "lists/m2.wall", "lists/m10.wall"]);
        assert_eq!(globbed(&store, "*/m?.wall").unwrap(), ["lists/m1.wall", "lists/m2.wall"]);
        assert_eq!(globbed(&store, "a.wall").unwrap(), ["a.wall"]);
        assert!(globbed(&store, "none/*.wall").unwrap().is_empty());
        assert_eq!(globbed(&store, "../*"), Err(ReadError::Outside));
        assert_eq!(globbed(&store, "/etc/*"), Err(ReadError::Outside));
    }

    #[test]
    fn a_folder_past_its_limit_is_refused() {
        let (dir, store) = folder();
        let lists = dir.path().join("root/lists");
        for n in 0..GLOB_ENTRIES_MAX {
            fs::File::create(lists.join(n.to_string())).unwrap();
        }
        assert_eq!(globbed(&store, "lists/*").unwrap().len(), GLOB_ENTRIES_MAX);
        fs::File::create(lists.join("one more")).unwrap();
        assert!(matches!(globbed(&store, "lists/*"), Err(ReadError::Unreadable(_))));
    }

    #[test]
    fn whoever_has_a_folder_stays_in_it_links_and_all() {
        let (dir, store) = folder();
        let root = dir.path().join("root");
        fs::create_dir_all(root.join("alice/..1")).unwrap();
        fs::create_dir(root.join("alice-2")).unwrap();
        fs::write(root.join("lists/partners"), "secret").unwrap();
        fs::write(root.join("alice-2/x"), "secret").unwrap();
        fs::write(root.join("alice/..1/own"), "hers").unwrap();
        symlink("..1", root.join("alice/..data")).unwrap();
        symlink("..data/own", root.join("alice/own")).unwrap();
        symlink("../lists/partners", root.join("alice/file")).unwrap();
        symlink("../lists", root.join("alice/lists")).unwrap();
        symlink(root.join("lists/partners"), root.join("alice/absolute")).unwrap();
        symlink("file", root.join("alice/chain")).unwrap();
        symlink("../alice-2/x", root.join("alice/prefix")).unwrap();
        assert_eq!(&*store.read("alice/own", 99, "alice").unwrap(), b"hers");
        assert_eq!(store.real("alice/own", "alice").unwrap(), "alice/..1/own");
        for path in ["file", "lists/partners", "absolute", "chain", "prefix", "../a.wall"] {
            let path = format!("alice/{path}");
            assert_eq!(store.read(&path, 99, "alice"), Err(ReadError::Outside), "{path}");
            assert!(!store.is_file(&path, "alice"), "{path}");
            assert!(store.read(&path, 99, "").is_ok(), "the host may: {path}");
        }
        assert_eq!(store.list("alice/lists", "alice", 9), Err(ReadError::Outside));
        // A folder that is itself a link is resolved, but not out of the root.
        symlink("alice", root.join("moved")).unwrap();
        symlink("..", root.join("out")).unwrap();
        assert_eq!(&*store.read("moved/own", 99, "moved").unwrap(), b"hers");
        assert_eq!(store.read("out/secret", 99, "out"), Err(ReadError::Outside));
    }
}
